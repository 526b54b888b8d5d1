"""The search over HTTP: the index of the node, the plain search while there is none, bounds, caching, and a loop that is not held up."""

import asyncio
import time
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.storage.search.index import WANTED, current
from actors.storage.search.indexer import Indexer, held

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shop(running_shop, database_url):
    """One with a data directory of its own: the tests here begin without an index."""
    async with running_shop(database_url) as found:
        found.url = database_url
        yield found


def directory_of(shop) -> Path:
    return shop.services.settings.search_path


async def index(shop) -> None:
    """An indexer comes, does what there is to do, and goes."""
    directory = directory_of(shop)
    with held(directory):
        indexer = Indexer(shop.url, directory)
        indexer.open()
        while await indexer.step():
            pass
        await indexer.close()
    await asyncio.sleep(0.25)
    shop.application.searching._pages._pages.clear()


async def test_without_an_index_titles_are_compared_and_it_is_said(shop) -> None:
    assert current(directory_of(shop)) is None
    sku_id = await shop.sku(stock=3, price=700)
    number = sku_id.removeprefix("sku_")
    answer = await shop.ask("GET", f"/v1/search?q={quote('杯子 ' + number)}")
    assert answer.status == 200, answer.body
    page = answer.json
    assert page["degraded"]
    assert [hit["product"]["product_id"] for hit in page["hits"]] == [f"prd_{number}"]
    assert page["hits"][0]["product"]["price"] == {"amount": 700, "currency": "CNY"}
    assert (await shop.ask("GET", f"/v1/search?q={number}&price_min=701")).json["hits"] == []
    assert len((await shop.ask("GET", f"/v1/search?q={number}&category=CUP&price_max=700")).json["hits"]) == 1
    # A wildcard of somebody's is a character, and what cannot be filtered by is not pretended to be.
    assert (await shop.ask("GET", "/v1/search?q=%25")).json["hits"] == []
    assert (await shop.ask("GET", "/v1/search?q=_up")).json["hits"] == []
    assert (await shop.ask("GET", "/v1/search?attr.colour=red")).code == "storage_unavailable"
    first = (await shop.ask("GET", "/v1/search?limit=1")).json
    second = (await shop.ask("GET", f"/v1/search?limit=1&cursor={first['next_cursor']}")).json if first["next_cursor"] else None
    assert second is None or second["hits"] != first["hits"]
    assert (await shop.ask("GET", "/v1/suggest?q=c")).json == {"suggestions": [], "degraded": True}


async def test_with_an_index_everything_is_found_and_cached(shop) -> None:
    sku_id = await shop.sku(stock=3, price=1234)
    number = sku_id.removeprefix("sku_")
    await index(shop)
    answer = await shop.ask("GET", f"/v1/search?q={number}")
    page = answer.json
    assert not page["degraded"]
    assert page["total"] == 1
    assert page["hits"][0]["product"]["titles"] == {"en": f"Cup {number}", "zh-CN": f"杯子 {number}"}
    assert page["hits"][0]["in_stock"] is (await shop.ask("GET", f"/v1/products/prd_{number}")).json["skus"][0]["in_stock"]
    marked = page["hits"][0]["highlights"]["en"]
    assert [f"Cup {number}"[start:end] for start, end in marked] == [number]
    again = await shop.ask("GET", f"/v1/search?q={number}", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status, again.body) == (304, b"")
    assert answer.headers["Cache-Control"] == "public, max-age=1"
    cups = (await shop.ask("GET", "/v1/search?q=%E6%9D%AF%E5%AD%90&category=CUP&sort=price&limit=1")).json
    assert cups["total"] >= 2
    assert {facet["name"] for facet in cups["facets"]} >= {"category"}
    rest = (await shop.ask("GET", f"/v1/search?q=%E6%9D%AF%E5%AD%90&category=CUP&sort=price&limit=1&cursor={cups['next_cursor']}")).json
    assert {hit["product"]["product_id"] for hit in rest["hits"]}.isdisjoint({hit["product"]["product_id"] for hit in cups["hits"]})
    said = (await shop.ask("GET", f"/v1/suggest?q={quote('beizi')}")).json
    assert any("杯子" in one["titles"]["zh-CN"] for one in said["suggestions"])
    misspelt = (await shop.ask("GET", "/v1/search?q=cupp")).json
    assert (misspelt["fallback"], misspelt["corrected"]) == ("typo", "cup")
    assert (await shop.ask("POST", "/v1/search")).code == "method_not_allowed"


BAD = (
    "q=" + "a" * 101, "q=%00", "q=%FF", "q=a&q=b", "what=1", "limit=0", "limit=101", "limit=x", "limit=-1", "limit=１", "sort=best",
    "sort=", "price_min=-1", "price_min=1e3", "price_max=99999999999999", "in_stock=yes", "in_stock=", "cursor=zzz", "cursor=Zgo5OTk5OQ",
    "category=", "brand=" + "b" * 201, "tag=%0A", "attr.=1", "attr." + "a" * 80 + "=1", "attr.x=", "language=en",
    "&".join(f"brand=b{number}" for number in range(21)), "&".join(f"attr.a{number}=1" for number in range(11)),
    "&".join(f"category=c{number}" for number in range(61)),
)  # fmt: skip


async def test_whatever_is_unknown_repeated_or_out_of_bounds_is_refused(shop) -> None:
    for query in BAD:
        answer = await shop.ask("GET", "/v1/search?" + query, headers={"Accept-Language": "zh-CN"})
        assert (answer.status, answer.code) == (422, "invalid_request"), (query, answer.status, answer.body)
        assert "字段" in answer.json["title"] + answer.json.get("detail", "")
    for query in ("", "q=", "q=" + "a" * 51, "q=a&q=b", "q=a&limit=1", "q=%00", "q=%C3"):
        assert (await shop.ask("GET", "/v1/suggest?" + query)).code == "invalid_request", query


TEXTS = st.text(alphabet=st.characters(exclude_categories=("Cs",)), max_size=40)
NAMES = st.sampled_from(["q", "category", "brand", "tag", "attr.x", "price_min", "price_max", "in_stock", "sort", "limit", "cursor", "zzz"])


async def test_no_query_that_can_be_made_up_breaks_it(shop) -> None:
    """Against the index, and against the database alone."""
    loop = asyncio.get_running_loop()

    def ask(path: str) -> int:
        return asyncio.run_coroutine_threadsafe(shop.ask("GET", path), loop).result(30).status

    @settings(max_examples=30, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.tuples(NAMES, TEXTS), max_size=5), st.booleans())
    def made_up(pairs: list[tuple[str, str]], suggest: bool) -> None:
        path = "/v1/suggest?" if suggest else "/v1/search?"
        assert ask(path + urlencode([("q", text) for _, text in pairs[:1]] if suggest else pairs)) in (200, 422, 431, 503)

    await index(shop)
    await asyncio.to_thread(made_up)
    used = current(directory_of(shop))
    assert used is not None
    (used.parent / "current").rename(used.parent / "away")
    try:
        await asyncio.sleep(0.25)
        shop.application.searching._pages._pages.clear()
        await asyncio.to_thread(made_up)
    finally:
        (used.parent / "away").rename(used.parent / "current")


@pytest.mark.alone
async def test_a_search_does_not_hold_up_the_loop(shop) -> None:
    await index(shop)
    gaps, ends = [], time.monotonic() + 1.0

    async def beat() -> None:
        while time.monotonic() < ends:
            begun = time.perf_counter()
            await asyncio.sleep(0)
            gaps.append(time.perf_counter() - begun)

    async def crowd() -> None:
        number = 0
        while time.monotonic() < ends:
            number += 1
            await shop.application.searching._asked(lambda search, n=number: search.search(wish(f"cup blue x{n}")))

    await asyncio.gather(beat(), crowd())
    gaps.sort()
    # One in a thousand may be another process of this machine.
    assert gaps[int(len(gaps) * 0.999)] < 0.005, gaps[-5:]


def wish(text: str):
    from actors.domain.search_query import Wish

    return Wish(text=text)


async def test_what_waits_for_the_thread_is_bounded(shop) -> None:
    await index(shop)
    answers = await asyncio.gather(*(shop.ask("GET", f"/v1/search?q=cup+n{number}") for number in range(200)))
    assert {answer.status for answer in answers} <= {200, 503}
    assert all(answer.headers["Retry-After"] for answer in answers if answer.status == 503)
    assert sum(answer.status == 200 for answer in answers) >= 64
    assert not (directory_of(shop) / WANTED).exists()
