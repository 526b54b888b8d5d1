"""Documents of products: everything that can be wrong with one, the table of its states, and the rows that are made of it."""

import itertools
import string
from typing import Any

import msgspec
import pytest

from actors.domain.product import (
    MEMBER_PRICE_COLUMNS,
    MOVES,
    PRICE_COLUMNS,
    PRODUCT_COLUMNS,
    SKU_COLUMNS,
    Place,
    Terms,
    flaws,
    founded,
    images_of,
    materialised,
    matrix,
    matrix_size,
    may_move,
    with_ids,
)
from schemas.flaws import FLAWS, Flaw, said
from schemas.goods import FOREVER_MS, Attribute, OptionValue, Price, Product, ProductText, ProductTexts, Sku, Words
from schemas.goods import Image as Picture
from schemas.goods import Option as Axis

CHOICES = (OptionValue(value_id="cotton", titles=Words(en="Cotton")), OptionValue(value_id="wool", titles=Words(en="Wool")))
ROOT = (
    Attribute(attribute_id="material", titles=Words(en="Material"), kind="choice", choices=CHOICES, required=True),
    Attribute(attribute_id="care", titles=Words(en="Care"), kind="choices", choices=CHOICES),
)
LEAF = (
    Attribute(attribute_id="weight", titles=Words(en="Weight"), kind="number", unit="g"),
    Attribute(attribute_id="organic", titles=Words(en="Organic"), kind="flag"),
    Attribute(attribute_id="maker", titles=Words(en="Maker"), kind="text"),
)
CLOTHES, SHIRTS = Words(en="Clothes", zh="服装"), Words(en="Shirts", zh="衬衫")
TERMS = Terms(
    currencies=frozenset({"CNY", "USD"}),
    categories={
        "cat_clothes": Place(path=("cat_clothes",), titles=CLOTHES, root_titles=CLOTHES, attributes=ROOT),
        "cat_shirts": Place(path=("cat_clothes", "cat_shirts"), titles=SHIRTS, root_titles=CLOTHES, attributes=ROOT + LEAF),
        "cat_free": Place(path=("cat_free",), titles=Words(en="Free"), root_titles=Words(en="Free")),
    },
    brands=frozenset({"brd_1"}),
    merchants=frozenset({"mer_1"}),
    levels=frozenset({"gold"}),
    has_image=lambda image_id: image_id == "img_1",
)


def axis(option_id: str, *values: str) -> Axis:
    titled = tuple(OptionValue(value_id=value, titles=Words(en=value)) for value in values)
    return Axis(option_id=option_id, titles=Words(zh=option_id), values=titled)


def listed(amount: int = 1000, currency: str = "CNY") -> Price:
    return Price(currency=currency, amount=amount)


def sku(code: str = "S-1", **more: Any) -> Sku:
    return Sku(**({"code": code, "prices": (listed(),)} | more))


def doc(**more: Any) -> Product:
    fields: dict[str, Any] = {
        "code": "SHIRT",
        "state": "on_shelf",
        "category_id": "cat_free",
        "texts": ProductTexts(zh=ProductText(title="衬衫")),
        "skus": (sku(),),
    }
    return Product(**(fields | more))


def shirt(**more: Any) -> Product:
    return doc(category_id="cat_shirts", **({"attributes": {"material": "wool"}} | more))


def priced(*prices: Price) -> Product:
    return doc(skus=(sku(prices=prices),))


RED_BLUE = (axis("color", "red", "blue"), axis("size", "s"))
RED, BLUE = {"color": "red", "size": "s"}, {"color": "blue", "size": "s"}

RIGHT = {
    "the least": doc(),
    "a draft of nearly nothing": doc(state="draft", category_id="", skus=()),
    "a category above with its attributes": doc(category_id="cat_clothes", attributes={"material": "cotton", "care": ("wool", "cotton")}),
    "attributes of every kind": shirt(attributes={"material": "wool", "care": (), "weight": 120.5, "organic": False, "maker": "Li"}),
    "options": doc(options=RED_BLUE, skus=(sku("A", choice=RED), sku("B", choice=BLUE))),
    "barcodes": doc(
        options=(axis("n", "1", "2", "3", "4"),),
        skus=tuple(
            sku(code, choice={"n": number}, barcode=barcode)
            for number, code, barcode in zip("1234", "ABCD", ("73513537", "036000291452", "4006381333931", "10012345000017"), strict=True)
        ),
    ),
    "every kind of price": priced(
        listed(),
        listed(150, "USD"),
        Price(kind="tier", currency="CNY", amount=900, min_quantity=10),
        Price(kind="tier", currency="CNY", amount=800, min_quantity=100),
        Price(kind="tier", currency="USD", amount=140, min_quantity=5),
        Price(kind="promotion", currency="CNY", amount=1000, starts_at_ms=5, ends_at_ms=9, label=Words(en="Sale")),
        Price(kind="promotion", currency="CNY", amount=700, starts_at_ms=9),
        Price(kind="member", currency="CNY", amount=950, level_id="gold"),
    ),
    "images": doc(images=(Picture(image_id="img_1"),), skus=(sku(image_id="img_1"),)),
    "a schedule": doc(state="scheduled", shelf_at_ms=5, off_at_ms=6),
    "everything that may be named": doc(merchant_id="mer_1", brand_id="brd_1"),
}

WRONG = [
    (doc(merchant_id="mer_2"), "merchant_id", "merchant_unknown"),
    (doc(category_id="cat_2"), "category_id", "category_unknown"),
    (doc(brand_id="brd_2"), "brand_id", "brand_unknown"),
    (doc(category_id=""), "category_id", "category_missing"),
    (doc(state="scheduled", shelf_at_ms=0), "shelf_at_ms", "shelf_time_missing"),
    (doc(state="scheduled", shelf_at_ms=6, off_at_ms=6), "off_at_ms", "off_before_shelf"),
    (doc(skus=()), "skus", "sku_missing"),
    (doc(skus=(sku(offered=False),)), "skus", "sku_missing"),
    (doc(texts=ProductTexts(en=ProductText(title=" \n", subtitle="x"))), "texts.en.title", "title_missing"),
    (shirt(attributes={}), "attributes.material", "attribute_required"),
    (shirt(attributes={"material": ""}), "attributes.material", "attribute_choice"),
    (shirt(attributes={"material": "silk"}), "attributes.material", "attribute_choice"),
    (shirt(attributes={"material": "wool", "care": ("wool", "silk")}), "attributes.care", "attribute_choice"),
    (shirt(attributes={"material": ("wool",)}), "attributes.material", "attribute_kind"),
    (shirt(attributes={"material": "wool", "care": "wool"}), "attributes.care", "attribute_kind"),
    (shirt(attributes={"material": "wool", "weight": "12"}), "attributes.weight", "attribute_kind"),
    (shirt(attributes={"material": "wool", "weight": True}), "attributes.weight", "attribute_kind"),
    (shirt(attributes={"material": "wool", "organic": 1.0}), "attributes.organic", "attribute_kind"),
    (shirt(attributes={"material": "wool", "maker": 1.0}), "attributes.maker", "attribute_kind"),
    (shirt(attributes={"material": "wool", "colour": "red"}), "attributes.colour", "attribute_unknown"),
    (doc(category_id="cat_clothes", attributes={"material": "wool", "maker": "Li"}), "attributes.maker", "attribute_unknown"),
    (doc(images=(Picture(image_id="img_2"),)), "images[0].image_id", "image_unknown"),
    (doc(images=(Picture(image_id="img_1"), Picture(image_id="img_1"))), "images[1].image_id", "image_repeated"),
    (doc(skus=(sku(image_id="img_2"),)), "skus[0].image_id", "image_unknown"),
    (doc(options=(axis("n", "1"), axis("n", "1")), skus=(sku(choice={"n": "1"}),)), "options[1].option_id", "option_repeated"),
    (doc(options=(axis("n", "1", "1"),), skus=(sku(choice={"n": "1"}),)), "options[0].values[1].value_id", "value_repeated"),
    (
        doc(options=(msgspec.structs.replace(axis("n", "1"), titles=Words()),), skus=(sku(choice={"n": "1"}),)),
        "options[0].titles",
        "name_missing",
    ),
    (doc(options=RED_BLUE, skus=(sku(choice={"color": "red"}),)), "skus[0].choice", "option_missing"),
    (doc(options=RED_BLUE, skus=(sku(choice=RED | {"size": "xl"}),)), "skus[0].choice.size", "value_unknown"),
    (doc(options=RED_BLUE, skus=(sku(choice=RED | {"fit": "slim"}),)), "skus[0].choice.fit", "option_unknown"),
    (doc(options=RED_BLUE, skus=(sku("A", choice=RED), sku("B", choice=RED))), "skus[1].choice", "choice_repeated"),
    (doc(skus=(sku("A"), sku("B"))), "skus[1].choice", "choice_repeated"),
    (doc(options=RED_BLUE, skus=(sku("A", choice=RED), sku("A", choice=BLUE))), "skus[1].code", "code_repeated"),
    (
        doc(options=RED_BLUE, skus=(sku("A", choice=RED, sku_id="sku_1"), sku("B", choice=BLUE, sku_id="sku_1"))),
        "skus[1].sku_id",
        "sku_repeated",
    ),
    (
        doc(options=RED_BLUE, skus=(sku("A", choice=RED, barcode="73513537"), sku("B", choice=BLUE, barcode="73513537"))),
        "skus[1].barcode",
        "barcode_repeated",
    ),
    (priced(), "skus[0].prices", "price_missing"),
    (priced(Price(kind="tier", currency="CNY", amount=9, min_quantity=2)), "skus[0].prices", "list_price_missing"),
    (priced(listed(), listed(900)), "skus[0].prices[1]", "price_repeated"),
    (priced(listed(100, "JPY")), "skus[0].prices[0].currency", "currency_unknown"),
    (priced(msgspec.structs.replace(listed(), min_quantity=2)), "skus[0].prices[0].min_quantity", "price_field"),
    (priced(msgspec.structs.replace(listed(), level_id="gold")), "skus[0].prices[0].level_id", "price_field"),
    (
        priced(listed(), Price(kind="tier", currency="CNY", amount=9, min_quantity=2, ends_at_ms=5)),
        "skus[0].prices[1].ends_at_ms",
        "price_field",
    ),
    (priced(listed(), Price(kind="tier", currency="CNY", amount=9)), "skus[0].prices[1].min_quantity", "tier_order"),
    (
        priced(listed(), *(Price(kind="tier", currency="CNY", amount=9, min_quantity=n) for n in (5, 3))),
        "skus[0].prices[2].min_quantity",
        "tier_order",
    ),
    (
        priced(listed(), Price(kind="promotion", currency="CNY", amount=9, starts_at_ms=5, ends_at_ms=5)),
        "skus[0].prices[1].ends_at_ms",
        "window_empty",
    ),
    (priced(listed(), Price(kind="promotion", currency="CNY", amount=1001)), "skus[0].prices[1].amount", "price_above_list"),
    (priced(listed(), Price(kind="tier", currency="CNY", amount=1001, min_quantity=2)), "skus[0].prices[1].amount", "price_above_list"),
    (priced(listed(), Price(kind="promotion", currency="USD", amount=1)), "skus[0].prices[1].currency", "list_price_missing"),
    (priced(listed(), Price(kind="member", currency="CNY", amount=9, level_id="tin")), "skus[0].prices[1].level_id", "level_unknown"),
    (priced(listed(), Price(kind="member", currency="CNY", amount=9)), "skus[0].prices[1].level_id", "level_unknown"),
]

BARCODES_WRONG = [
    "73513538",
    "036000291453",
    "4006381333932",
    "10012345000018",
    "7351353",
    "735-13537",
    " 73513537",
    "٧٣٥١٣٥٣٧",
    "abcdefgh",
    "0" * 13 + "1",
]


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_document_has_no_flaws(name: str) -> None:
    assert flaws(RIGHT[name], TERMS) == ()


@pytest.mark.parametrize(("document", "path", "code"), WRONG)
def test_each_flaw_is_found_where_it_is_and_can_be_read(document: Product, path: str, code: str) -> None:
    found = flaws(document, TERMS)
    assert (path, code) in [(flaw.path, flaw.code) for flaw in found]
    assert {flaw.code for flaw in found} <= {code, "price_repeated", "attribute_required", "attribute_choice"}
    for flaw in found:
        for language in ("en", "zh-CN"):
            assert "{" not in said(flaw, language)


@pytest.mark.parametrize("barcode", BARCODES_WRONG)
def test_a_barcode_is_the_digits_of_a_known_length_with_the_right_last_one(barcode: str) -> None:
    assert [flaw.code for flaw in flaws(doc(skus=(sku(barcode=barcode),)), TERMS)] == ["barcode_invalid"]


def test_all_flaws_are_found_at_once_in_the_order_of_the_fields() -> None:
    document = doc(brand_id="brd_9", category_id="", skus=(sku(barcode="1", choice={"a": "b"}), sku("B", prices=(listed(1, "JPY"),))))
    assert [(flaw.path, flaw.code) for flaw in flaws(document, TERMS)] == [
        ("brand_id", "brand_unknown"), ("category_id", "category_missing"), ("skus[0].choice.a", "option_unknown"),
        ("skus[0].barcode", "barcode_invalid"), ("skus[1].prices[0].currency", "currency_unknown"),
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "x\udfff", "\x01", "a\x1fb", "\b", "\x0c", "\x7f", "\ufffe", "\uffff"])
def test_what_no_database_or_sheet_keeps_is_found_where_it_is(text: str) -> None:
    texts = ProductTexts(zh=ProductText(title="衬衫", detail=text, keywords=("a", text)))
    assert [(flaw.path, flaw.code) for flaw in flaws(doc(texts=texts), TERMS)] == [
        ("texts.zh-CN.detail", "text_invalid"), ("texts.zh-CN.keywords[1]", "text_invalid"),
    ]  # fmt: skip
    assert "text_invalid" in [flaw.code for flaw in flaws(doc(skus=(sku(choice={text: "1"}),)), TERMS)]
    for kept in ("\\u0000", "\\b", "\\f", "a\tb", "\ufffd"):
        assert flaws(doc(texts=ProductTexts(zh=ProductText(title=kept))), TERMS) == ()


def test_images_are_looked_for_only_where_somebody_knows_them() -> None:
    blind = msgspec.structs.replace(TERMS, has_image=None)
    value = OptionValue(value_id="1", titles=Words(en="1"), image_id="img_8")
    option = Axis(option_id="n", titles=Words(en="n"), values=(value,))
    document = doc(images=(Picture(image_id="img_7"),), options=(option,), skus=(sku(choice={"n": "1"}, image_id="img_7"),))
    assert flaws(document, blind) == ()
    assert [flaw.path for flaw in flaws(document, TERMS)] == ["images[0].image_id", "options[0].values[0].image_id", "skus[0].image_id"]
    assert images_of(document) == ["img_7", "img_8"]


def test_every_message_exists_in_both_languages_and_names_the_same_values() -> None:
    def names(text: str) -> set[str]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    for code, (english, chinese) in FLAWS.items():
        assert english.isascii(), code
        assert not chinese.isascii(), code
        assert names(english) >= names(chinese), code
    assert said(Flaw(path="", code="image_unknown", params={"image_id": "img_7"}), "zh-CN") == "图片 img_7 不存在。"


STATES = ("draft", "scheduled", "on_shelf", "off_shelf", "retired")
ALLOWED = {
    "": "draft scheduled on_shelf off_shelf",
    "draft": "draft scheduled on_shelf retired",
    "scheduled": "draft scheduled on_shelf off_shelf retired",
    "on_shelf": "on_shelf off_shelf retired",
    "off_shelf": "scheduled on_shelf off_shelf retired",
    "retired": "",
}


@pytest.mark.parametrize(("before", "after"), list(itertools.product(("", *STATES), STATES)))
def test_a_product_goes_only_where_the_table_says(before: str, after: str) -> None:
    assert may_move(before, after) is (after in ALLOWED[before].split())
    assert MOVES.keys() == ALLOWED.keys()


def test_the_matrix_is_every_combination_once_and_makes_a_document_without_flaws() -> None:
    options = (axis("color", "red", "blue"), axis("size", "s", "m", "l"))
    choices = matrix(options)
    assert choices[:2] == [{"color": "red", "size": "s"}, {"color": "red", "size": "m"}]
    assert len(choices) == matrix_size(options) == 6
    assert len({tuple(choice.items()) for choice in choices}) == 6
    assert flaws(doc(options=options, skus=tuple(sku(f"S{n}", choice=choice) for n, choice in enumerate(choices))), TERMS) == ()
    assert matrix(()) == [{}]
    assert matrix_size(tuple(axis(str(n), *map(str, range(100))) for n in range(4))) == 10**8


def test_only_new_skus_get_ids() -> None:
    counted = itertools.count(1)
    document = doc(skus=(sku("A", sku_id="sku_x"), sku("B"), sku("C")))
    named = with_ids(document, lambda: f"sku_{next(counted)}")
    assert [one.sku_id for one in named.skus] == ["sku_x", "sku_1", "sku_2"]
    assert with_ids(named, lambda: "sku_never") is named


def test_the_rows_of_a_document() -> None:
    prices = (
        listed(1000), listed(150, "USD"), Price(kind="member", currency="CNY", amount=900, level_id="gold"),
        Price(kind="member", currency="USD", amount=130, level_id="gold"),
    )  # fmt: skip
    document = shirt(brand_id="brd_1", skus=(
        sku("A", sku_id="sku_1", prices=prices, barcode="73513537", weight_g=7, safety_stock=3), sku("B", sku_id="sku_2", offered=False),
    ))  # fmt: skip
    rows = materialised("prd_1", document, TERMS.categories, {"brd_1": "Nike"})
    product = dict(zip(PRODUCT_COLUMNS, rows.product, strict=True))
    assert product == {
        "product_id": "prd_1", "code": "SHIRT", "state": "on_shelf", "shelf_at_ms": 0, "off_at_ms": 0, "merchant_id": None,
        "category_id": "cat_shirts", "brand_id": "brd_1", "slug": None, "title": "衬衫", "title_zh": "衬衫", "department": "Clothes",
        "department_zh": "服装", "category": "SHIRTS", "brand": "Nike",
    }  # fmt: skip
    skus = [dict(zip(SKU_COLUMNS, values, strict=True)) for values in rows.skus]
    assert [(one["price_minor"], one["currency"], one["on_shelf"], one["offered"], one["position"]) for one in skus] == [
        (1000, "CNY", True, True, 0), (1000, "CNY", False, False, 1),
    ]  # fmt: skip
    of_prices = [dict(zip(PRICE_COLUMNS, values, strict=True)) for values in rows.prices]
    assert [(one["sku_id"], one["position"], one["kind"], one["currency"]) for one in of_prices] == [
        ("sku_1", 0, "list", "CNY"), ("sku_1", 1, "list", "USD"), ("sku_1", 3, "member", "USD"), ("sku_2", 0, "list", "CNY"),
    ]  # fmt: skip
    assert [dict(zip(MEMBER_PRICE_COLUMNS, values, strict=True)) for values in rows.member_prices] == [
        {"sku_id": "sku_1", "level_id": "gold", "price_minor": 900}
    ]


@pytest.mark.parametrize("state", STATES)
def test_no_article_is_on_the_shelf_while_its_product_is_not(state: str) -> None:
    rows = materialised("prd_1", doc(state=state, skus=(sku(sku_id="sku_1"),)), TERMS.categories, {})
    [values] = rows.skus
    assert dict(zip(SKU_COLUMNS, values, strict=True))["on_shelf"] is (state == "on_shelf")


def test_a_seeded_product_becomes_a_document_that_makes_the_same_rows() -> None:
    product = {
        "product_id": "prd_1", "code": None, "state": "on_shelf", "shelf_at_ms": 0, "off_at_ms": 0, "merchant_id": None,
        "category_id": "cat_free", "brand_id": None, "slug": None, "title": "T" * 300, "title_zh": "",
    }  # fmt: skip
    of_sku = {
        "product_id": "prd_1", "price_minor": 500, "currency": "CNY", "offered": True, "on_shelf": True, "barcode": "", "weight_g": 1,
        "position": 0, "safety_stock": 2, "merchant_id": None,
    }  # fmt: skip
    skus = [of_sku | {"sku_id": "sku_2", "code": "B"}, of_sku | {"sku_id": "sku_1", "code": "A"}]
    tier = {
        "sku_id": "sku_1", "position": 1, "kind": "tier", "currency": "CNY", "price_minor": 400, "min_quantity": 3, "level_id": "",
        "starts_at_ms": 0, "ends_at_ms": FOREVER_MS, "label": "", "label_zh": "",
    }  # fmt: skip
    prices = [{"sku_id": "sku_1", "level_id": "gold", "price_minor": 450}, tier]
    document = founded(product, skus, prices)
    assert flaws(document, TERMS) == ()
    assert (document.code, len(document.texts.en.title)) == ("prd_1", 200)
    assert [(one.code, one.choice) for one in document.skus] == [("A", {"article": "A"}), ("B", {"article": "B"})]
    assert [(price.kind, price.amount) for price in document.skus[0].prices] == [("list", 500), ("tier", 400), ("member", 450)]
    rows = materialised("prd_1", document, TERMS.categories, {})
    assert [values[4] for values in rows.skus] == [500, 500]
    assert rows.member_prices == [("sku_1", "gold", 450)]
    assert founded(product, skus[:1], []).skus[0].choice == {}
