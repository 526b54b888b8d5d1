"""How good the search is, by judged queries; and that facets, filters, orders and pages are what a count by hand says."""

from pathlib import Path

import msgspec
import pytest

from actors.domain.search_query import Wish
from actors.storage.search.index import DAMAGED, current
from actors.storage.search.searching import Search
from loadtests.relevance import Label, Rule, gain, labels, score, summary

NDCG_MIN = 0.91
MRR_MIN = 0.95
ZERO_MAX = 0.02
KIND_MIN = 0.80
"""Of each kind of query (Chinese, English, pinyin, typos and so on)."""


def found(search: Search, wish: Wish) -> list[str]:
    return [hit.product.product_id for hit in search.search(wish).hits]


def test_the_measures_are_what_they_are_called() -> None:
    label = Label(query="q", kind="en", rules=(Rule(grade=3, where={"type": "^A"}), Rule(grade=1, where={"type": "A|B"})))
    products = {name: {"type": name[0]} for name in ("A1", "A2", "B1", "C1")}
    best = score(label, ["A2", "A1", "B1"], products)
    assert (best.ndcg, best.reciprocal) == (1.0, 1.0)
    worse = score(label, ["C1", "B1", "A1"], products)
    assert worse.ndcg == pytest.approx(gain([0, 1, 3]) / gain([3, 3, 1]))
    assert worse.reciprocal == pytest.approx(1 / 3)
    assert summary([best, worse]).mrr == pytest.approx(2 / 3)
    assert not score(label, [], {"C1": {"type": "C"}}).possible


def test_judged_queries_find_what_was_meant(search: Search, products: dict) -> None:
    judged = labels()
    assert len(judged) >= 120
    assert {"zh", "en", "pinyin", "typo", "synonym", "traditional", "code"} <= {label.kind for label in judged}
    scores = []
    for label in judged:
        page = search.search(Wish(text=label.query, limit=10))
        own = () if page.fallback == "popular" else [hit.product.product_id for hit in page.hits]
        scores.append(score(label, own, products))
    total = summary(scores)
    assert total.queries > 170
    worst = sorted((round(one.ndcg, 2), one.query) for one in scores if one.possible)[:15]
    assert total.ndcg >= NDCG_MIN, (total, worst)
    assert total.mrr >= MRR_MIN, (total, worst)
    assert total.zero <= ZERO_MAX, (total, worst)
    kinds = {kind: summary(one for one in scores if one.kind == kind) for kind in {label.kind for label in judged}}
    assert {kind: one.ndcg for kind, one in kinds.items() if one.queries > 3 and one.ndcg < KIND_MIN} == {}


def test_facets_count_what_each_choice_would_show(search: Search, products: dict) -> None:
    wish = Wish(text="huawei", brands=("brd_huawei",), attributes={"colour": ("black", "red")})
    page = search.search(wish)
    facets = {facet.name: {value.value: value for value in facet.values} for facet in page.facets}
    mine = [product for product in products.values() if product["brand"] == "Huawei"]
    colours = {one: sum(product["title"].endswith(" " + one.title()) for product in mine) for one in ("black", "red", "white")}
    # Its own choice does not shrink a facet; the others do.
    assert {one: facets["attr.colour"][one].count for one in colours} == colours
    assert page.total == colours["black"] + colours["red"]
    assert facets["brand"]["brd_huawei"].count == page.total
    assert [value.chosen for name, value in sorted(facets["attr.colour"].items())].count(True) == 2
    assert facets["category"]["cat_all"].count == page.total
    assert facets["attr.colour"]["black"].titles.zh == "黑色"
    assert facets["brand"]["brd_huawei"].titles.zh == "华为"
    assert sum(part.count for part in page.prices) == page.total


def test_filters_narrow_and_a_category_holds_those_below_it(search: Search) -> None:
    every = search.search(Wish(categories=("cat_all",))).total
    assert every == 600
    parts = [search.search(Wish(categories=(name,))).total for name in ("cat_phones", "cat_shoes")]
    assert search.search(Wish(categories=("cat_phones", "cat_shoes"))).total == sum(parts)
    cheap = search.search(Wish(categories=("cat_all",), price_max=100_000, limit=100))
    assert 0 < cheap.total < every
    assert all(hit.product.price.amount <= 100_000 for hit in cheap.hits if hit.product.price)
    dear = search.search(Wish(categories=("cat_all",), price_min=100_001))
    assert cheap.total + dear.total == every
    stock = [search.search(Wish(categories=("cat_all",), in_stock=one)).total for one in (True, False)]
    assert sum(stock) == every
    assert min(stock) > 0


def test_orders_are_orders_and_pages_are_the_whole(search: Search) -> None:
    wish = Wish(categories=("cat_phones",), limit=50)
    for sort in ("price", "-price"):
        page = search.search(msgspec.structs.replace(wish, sort=sort))
        prices = [hit.product.price.amount for hit in page.hits if hit.product.price]
        assert prices == sorted(prices, reverse=sort == "-price")
    newest = found(search, msgspec.structs.replace(wish, sort="newest"))
    numbers = [int(product_id.removeprefix("prd_syn")) for product_id in newest]
    assert numbers == sorted(numbers, reverse=True)
    pages, offset = [], 0
    while True:
        page = search.search(msgspec.structs.replace(wish, text="phone", offset=offset, limit=17))
        pages += [hit.product.product_id for hit in page.hits]
        if page.next_cursor is None:
            break
        offset = int(page.next_cursor)
    assert len(pages) == len(set(pages)) == page.total


def test_when_nothing_has_it_all_the_answer_says_what_was_given_up(search: Search) -> None:
    typo = search.search(Wish(text="yogrut"))
    assert (typo.fallback, typo.corrected) == ("typo", "yogurt")
    fewer = search.search(Wish(text="milk fjordpony"))
    assert fewer.fallback in ("fewer_words", "typo")
    assert fewer.hits
    popular = search.search(Wish(text="qqzzxxvv"))
    assert popular.fallback == "popular"
    assert popular.hits
    none = search.search(Wish(text="milk", brands=("brd_nike",)))
    assert (none.total, none.fallback) == (0, "")


def test_nothing_of_a_query_is_an_operator(search: Search) -> None:
    plain = found(search, Wish(text="milk chocolate"))
    for text in ("milk AND chocolate", "+milk +chocolate", 'title:milk "chocolate"', "milk* chocolate~2", "(milk) && [chocolate]"):
        page = search.search(Wish(text=text))
        assert page.hits, text
    assert found(search, Wish(text="+milk -chocolate")) == plain
    for text in ("*:*", "\\", '"', "id:prd_1", "\x00", "AND OR NOT", "𠀀𠀁", "ｱｲｳ", "🙂" * 50, "a" * 100, "的" * 100, "手" * 100):
        search.search(Wish(text=text))


def test_suggestions_come_for_what_is_typed_in_any_script(search: Search) -> None:
    for typed, wanted in (
        ("酸", "酸奶"),
        ("suann", "酸奶"),
        ("hua", "华为"),
        ("hw", "华为"),
        ("yog", "Yogurt"),
        ("shoej", ""),
        ("跑", "跑鞋"),
    ):
        said = search.suggest(typed).suggestions
        texts = " ".join(one.titles.en + one.titles.zh for one in said)
        assert (wanted in texts) if wanted else not said, typed
    brand = next(one for one in search.suggest("nai").suggestions if one.kind == "brand")
    assert (brand.value, brand.titles.zh) == ("brd_nike", "耐克")
    assert brand.count > 0
    assert search.suggest("  ").suggestions == ()


def test_a_fault_of_ours_is_no_damage_of_the_index(search: Search, indexed: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        search._guarded(lambda view: view.searcher.num_docs / 0)
    used = current(indexed)
    assert used is not None
    assert not (used / DAMAGED).exists()
    assert search.search(Wish(text="milk")).hits
