"""Sheets of goods: every kind of cell, what is wrong with it, and that what is written is read back and written again alike."""

import csv
import io
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.domain.product import Place, Terms
from actors.domain.product_html import clean
from actors.domain.sheet import BY_CURRENCY, FIXED, CellFlaw, column_of, columns_for, header_of, plan_of, template_columns
from actors.domain.sheet_cells import (
    control_character,
    read_choice,
    read_images,
    read_options,
    read_prices,
    write_choice,
    write_images,
    write_options,
    write_prices,
)
from actors.domain.sheet_reading import Known, Outcome, Reader, Ways, cells_of, groups_of
from actors.domain.sheet_skus import in_order
from actors.domain.sheet_words import words_of
from actors.domain.sheet_writing import Writer, extent_of
from schemas.goods import (
    FOREVER_MS,
    Attribute,
    Image,
    Option,
    OptionValue,
    Price,
    Product,
    ProductText,
    ProductTexts,
    Sku,
    Words,
)

ATTRIBUTES = (
    Attribute(attribute_id="material", titles=Words(en="Material"), kind="text"),
    Attribute(attribute_id="volume", titles=Words(en="Volume"), kind="number"),
    Attribute(attribute_id="safe", titles=Words(en="Safe"), kind="flag"),
    Attribute(
        attribute_id="use", titles=Words(en="Use"), kind="choices",
        choices=tuple(OptionValue(value_id=name, titles=Words(en=name.title(), zh=zh)) for name, zh in (("tea", "茶"), ("milk", "奶"))),
    ),
)  # fmt: skip
TERMS = Terms(
    currencies=frozenset({"CNY", "USD", "JPY", "KWD"}),
    categories={"cat_1": Place(path=("cat_1",), titles=Words(en="Cups"), root_titles=Words(en="Cups"), attributes=ATTRIBUTES)},
    brands=frozenset({"brd_1"}),
    merchants=frozenset({"mer_1"}),
    levels=frozenset({"gold", "silver"}),
)
WAYS = Ways(terms=TERMS, categories={"cups": "cat_1"}, brands={"acme": "brd_1"})
NOTHING = Known(by_sku={}, by_code={})


def outcomes(text: str, bases: dict[str, Product] | None = None, known: Known = NOTHING, ways: Ways = WAYS) -> list[Any]:
    """What becomes of a CSV: outcomes by product, after flaws of how rows are told apart."""
    header, *rows = csv.reader(io.StringIO(text))
    plan, wrong = plan_of(header)
    assert wrong == []
    cells = [(number, cells_of(number, row, len(header))[0]) for number, row in enumerate(rows, start=2)]
    groups, wrong = groups_of(plan, cells, known, ways)
    reader = Reader(plan, ways, known.slugs)
    return [*wrong, *(reader.read(group, (bases or {}).get(group.product_id)) for group in groups)]


def flaws_of(text: str, **more: Any) -> list[tuple[int, str, str]]:
    """(row, header, code) of every flaw of a CSV."""
    header = next(csv.reader(io.StringIO(text)))
    found: list[CellFlaw] = []
    for one in outcomes(text, **more):
        found += one.flaws if isinstance(one, Outcome) else [one]
    return [(flaw.row, header[flaw.column] if flaw.column >= 0 else "", flaw.code) for flaw in found]


TEXT = st.text(st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="\ufffe\uffff"), max_size=30)
SHORT = st.text(st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="\ufffe\uffff"), min_size=1, max_size=12).filter(
    str.strip
)
SPICY = st.text(r"\;|=:,@ab'+-", max_size=12)


# --- documents -----------------------------------------------------------------------------------------


CODES = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._/\-]{0,8}\Z")
WORDS_OF = st.builds(Words, en=st.one_of(SHORT, SPICY.filter(bool)), zh=TEXT)
HTML = st.one_of(st.just(""), st.sampled_from(["<p>a</p>", "=<b>x</b>", "x" * 26_000, "plain", "a\nb"]))
TEXTS = st.builds(
    ProductText, title=st.one_of(SHORT, st.sampled_from(["=1+1", "-x", "'=x"])), subtitle=TEXT, detail=HTML, seo_title=TEXT,
    seo_description=TEXT, keywords=st.lists(st.one_of(SHORT, SPICY.filter(bool)), max_size=3).map(tuple),
)  # fmt: skip


@st.composite
def prices(draw: Any) -> tuple[Price, ...]:
    currencies = draw(st.lists(st.sampled_from(["CNY", "USD", "JPY"]), min_size=1, max_size=3, unique=True))
    found = [
        Price(currency=currency, amount=draw(st.integers(1000, 9999)), label=draw(WORDS_OF | st.just(Words()))) for currency in currencies
    ]
    for currency in currencies:
        for quantity in sorted(draw(st.sets(st.integers(2, 99), max_size=2))):
            found.append(Price(kind="tier", currency=currency, amount=draw(st.integers(0, 1000)), min_quantity=quantity))
        for starts in sorted(draw(st.sets(st.integers(0, 10**12), max_size=2))):
            ends = draw(st.just(FOREVER_MS) | st.integers(starts + 1, starts + 10**9))
            label = draw(WORDS_OF | st.just(Words()))
            amount = draw(st.integers(0, 1000))
            found.append(Price(kind="promotion", currency=currency, amount=amount, starts_at_ms=starts, ends_at_ms=ends, label=label))
        for level in sorted(draw(st.sets(st.sampled_from(["gold", "silver"]), max_size=2))):
            found.append(Price(kind="member", currency=currency, amount=draw(st.integers(0, 1000)), level_id=level))
    return tuple(found)


@st.composite
def products(draw: Any, number: int) -> Product:
    sizes = draw(st.lists(CODES, min_size=0, max_size=3, unique=True))
    options = ()
    if sizes:
        values = tuple(OptionValue(value_id=size, titles=draw(WORDS_OF), image_id=draw(st.sampled_from(["", "img_1"]))) for size in sizes)
        options = (Option(option_id="size", titles=draw(WORDS_OF), values=values),)
    skus = tuple(
        Sku(
            code=f"S{number}-{place}", choice={"size": size} if size else {}, offered=draw(st.booleans()), prices=draw(prices()),
            barcode=draw(st.sampled_from(["", "0012345678905"])) if not place else "", weight_g=draw(st.integers(0, 500)),
            length_mm=draw(st.integers(0, 50)), image_id=draw(st.sampled_from(["", "img_2"])), safety_stock=draw(st.integers(0, 9)),
        )
        for place, size in enumerate(sizes or ([""] if draw(st.booleans()) else []))
    )  # fmt: skip
    return Product(
        code=f"P{number}", state="draft", shelf_at_ms=draw(st.integers(0, 10**12)), category_id="cat_1",
        brand_id=draw(st.sampled_from(["", "brd_1"])), slug=draw(st.sampled_from(["", f"p-{number}"])),
        texts=ProductTexts(en=draw(TEXTS), zh=draw(TEXTS | st.just(ProductText()))),
        attributes=draw(st.sampled_from([{}, {"volume": 2.0, "safe": True, "material": "=wood"}, {"use": ("tea", "milk"), "volume": 3.5}])),
        images=draw(st.sampled_from([(), (Image(image_id="img_1", alt=Words(en="a;b", zh="=")), Image(image_id="img_2"))])),
        options=options, skus=skus,
    )  # fmt: skip


def sheet_of(docs: list[Product], language: str) -> list[list[str]]:
    columns = extent_of(docs).columns()
    writer = Writer(columns)
    return [header_of(columns, language), *(row for doc in docs for row in writer.rows(doc))]


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.data(), st.sampled_from(["en", "zh-CN"]))
def test_what_is_exported_is_imported_as_it_was_and_exported_alike(data: Any, language: str) -> None:
    docs = [in_order(data.draw(products(number))) for number in range(3)]
    rows = sheet_of(docs, language)
    assert max(len(cell) for row in rows for cell in row) <= 32_767
    assert not any(control_character(cell) for row in rows for cell in row)
    plan, wrong = plan_of(rows[0])
    assert wrong == []
    cells = [(number, cells_of(number, row, len(rows[0]))[0]) for number, row in enumerate(rows[1:], start=2)]
    groups, wrong = groups_of(plan, cells, NOTHING, WAYS)
    assert wrong == []
    reader = Reader(plan, WAYS, {})
    # Into an empty shop: the same documents, as they would be stored.
    found = [reader.read(group, None) for group in groups]
    assert [outcome.flaws for outcome in found] == [()] * 3
    read = [outcome.doc for outcome in found]
    assert [doc.skus for doc in read if doc] == [doc.skus for doc in docs]
    assert all(doc.texts.en.detail == clean(before.texts.en.detail) for doc, before in zip(read, docs, strict=True) if doc)
    again = sheet_of([doc for doc in read if doc], language)
    # And from there on nothing changes: the same cells, and a second import finds everything the same.
    groups, _ = groups_of(
        plan_of(again[0])[0], [(n, cells_of(n, row, len(again[0]))[0]) for n, row in enumerate(again[1:], 2)], NOTHING, WAYS
    )
    reader = Reader(plan_of(again[0])[0], WAYS, {})
    second = [reader.read(group, doc) for group, doc in zip(groups, read, strict=True)]
    assert [outcome.same for outcome in second] == [True] * 3
    if [clean(doc.texts.en.detail) for doc in docs] == [doc.texts.en.detail for doc in docs]:
        assert again == rows


def test_options_come_back() -> None:
    options = (
        Option(
            option_id="color", titles=Words(en="Co;lor", zh="颜=色"),
            values=(
                OptionValue(value_id="a/b", titles=Words(en="A,|@", zh=""), image_id="img_1"),
                OptionValue(value_id="b", titles=Words(zh="乙")),
            ),
        ),
        Option(option_id="size", titles=Words(en="Size"), values=(OptionValue(value_id="1", titles=Words(en="1")),)),
    )  # fmt: skip
    assert read_options(write_options(options)) == options
    assert read_choice(write_choice({"size": "1", "color": "a/b"})) == {"color": "a/b", "size": "1"}
    found = [Price(kind="promotion", currency="CNY", amount=5, starts_at_ms=1, ends_at_ms=2, label=Words(en="a@b;c", zh="=:"))]
    assert read_prices(write_prices(found, windows=True), "promotion", "CNY") == found
    images = (Image(image_id="img_1", alt=Words(en="x;y")),)
    assert read_images(write_images(images)) == images


# --- columns -------------------------------------------------------------------------------------------


def test_every_header_is_read_in_both_languages() -> None:
    columns = columns_for(("CNY", "USD"), ("material",), {"detail_en": 3}, {"list", "tier", "promotion", "member"}, main_currency=True)
    for column in columns:
        assert column_of(column.en) == column_of(column.zh) == column
        assert column_of(f"  {column.en.upper().replace('ATTR:MATERIAL', 'ATTR:material')} ") == column
    assert {column.key for column in FIXED if column.scope != "said"} < {column.key for column in columns}
    assert {base.key for base in BY_CURRENCY} == {"list", "tier", "promotion", "member"}
    assert column_of("stock") is None
    assert column_of("price") is None
    assert [flaw.code for flaw in plan_of(["sku code", "SKU 编码", "colour"])[1]] == ["column_repeated", "column_unknown"]
    assert [flaw.code for flaw in plan_of(["title en"])[1]] == ["column_missing"]
    assert plan_of(header_of(template_columns(["CNY"]), "zh-CN"))[1] == []


def test_the_columns_that_we_write_before_a_sheet_are_passed_over() -> None:
    plan, wrong = plan_of(["row", "problems", "sku code", "行号"])
    assert [flaw.code for flaw in wrong] == ["column_repeated"]
    assert [column.key for column in plan.columns if column] == ["sku"]


# --- rows ----------------------------------------------------------------------------------------------


HEAD = "product code,state,category,title en,sku code,choice,barcode,price CNY,price USD,weight g,slug,attr:volume\n"


def test_every_bad_cell_of_a_sheet_is_listed_with_its_row_and_column() -> None:
    rows = [
        "P1,sold,nowhere,,S 1,red,123,8.905,x,1.5,A b,wide",
        "P2,on_shelf,,Title,S2,,6901234567890,5,,1,,",
        "P3,draft,cups,Title,S3,,,,,,,2",
        "P4,draft,cups,Title,,,,5,,,,",
        ",draft,cups,Title,S5,,,5,,,,",
        "P6,draft,cups,Title,S6,,,5,,,,",
        "P6,on_shelf,,Other,S6,,,5,,,,",
        "P7,draft,cups,Title,S2,,,5,,,,",
    ]
    assert flaws_of(HEAD + "\n".join(rows)) == [
        (6, "product code", "cell_required"),
        (8, "sku code", "sku_twice"),
        (9, "sku code", "sku_twice"),
        (2, "category", "category_unknown"),
        (2, "state", "state_unknown"),
        (2, "slug", "slug_form"),
        (2, "choice", "choice_form"),
        (2, "sku code", "code_form"),
        (2, "weight g", "number_form"),
        (2, "price CNY", "price_precision"),
        (2, "price USD", "price_form"),
        (2, "title en", "title_missing"),
        (2, "barcode", "barcode_invalid"),
        (3, "category", "category_missing"),
        (3, "barcode", "barcode_invalid"),
        (4, "price CNY", "price_missing"),
        (5, "sku code", "cell_required"),
    ]


def test_rows_of_one_product_say_the_same_or_nothing() -> None:
    text = HEAD + "P1,draft,cups,Title,S1,size=1,,5,,,,\nP1,,,Title,S2,size=2,,5,,,,\nP1,on_shelf,,,S3,size=3,,5,,,,"
    assert flaws_of(text) == [(4, "state", "first_row_differs")]


def test_flaws_of_documents_stand_at_their_cells() -> None:
    text = HEAD + "P1,draft,cups,Title,S1,size=1,0012345678905,5,,,,\nP1,,,,S2,size=1,0012345678905,5,,,,\nP2,draft,,T,S4,,,5,,,,1"
    assert flaws_of(text) == [(3, "choice", "choice_repeated"), (3, "barcode", "barcode_repeated"), (4, "attr:volume", "attribute_unknown")]
    text = "product code,title en,sku code,price CNY,tiers CNY,member CNY\nP1,T,S1,5,1:4;3:9,stone:4"
    assert sorted(flaws_of(text)) == [
        (2, "member CNY", "level_unknown"),
        (2, "tiers CNY", "price_above_list"),
        (2, "tiers CNY", "tier_order"),
    ]


def test_white_space_at_the_ends_of_titles_stays() -> None:
    options = "size:Size=l:L\u00a0"
    [outcome] = outcomes(f"product code,title en,options,sku code,choice,price CNY\nP1, Cup ,{options},S1,size=l,5")
    assert (outcome.doc.texts.en.title, outcome.doc.options[0].values[0].titles.en) == (" Cup ", "L\u00a0")


def test_leading_zeros_of_a_barcode_stay() -> None:
    [outcome] = outcomes(HEAD + "P1,draft,cups,T,S1,,0012345678905,5,,,,")
    assert outcome.doc.skus[0].barcode == "0012345678905"


BASE = Product(
    code="P1", category_id="cat_1", slug="p-1", attributes={"volume": 2.0}, images=(Image(image_id="img_1"),),
    texts=ProductTexts(en=ProductText(title="Cup", detail="<p>x</p>"), zh=ProductText(title="杯")),
    options=(
        Option(option_id="color", titles=Words(en="Color"), values=(OptionValue(value_id="red", titles=Words(en="Red", zh="红色")),)),
    ),
    skus=(
        Sku(sku_id="sku_1", code="S1", choice={"color": "red"}, barcode="0012345678905", weight_g=7,
            prices=(
                Price(currency="USD", amount=200), Price(currency="CNY", amount=900),
                Price(kind="tier", currency="CNY", amount=800, min_quantity=9),
            )),
    ),
)  # fmt: skip
THERE = Known(by_sku={"S1": ("prd_1", "", "P1")}, by_code={("", "P1"): "prd_1"}, slugs={"p-1": "prd_1", "taken": "prd_9"})


def with_base(text: str) -> Any:
    [outcome] = outcomes(text, bases={"prd_1": BASE}, known=THERE)
    return outcome


def test_what_has_no_column_stays_as_it_is() -> None:
    outcome = with_base("sku code,price CNY\nS1,8.5")
    assert outcome.flaws == ()
    [sku] = outcome.doc.skus
    assert [(price.kind, price.currency, price.amount) for price in sku.prices] == [
        ("list", "USD", 200),
        ("list", "CNY", 850),
        ("tier", "CNY", 800),
    ]
    assert (sku.sku_id, sku.barcode, sku.weight_g) == ("sku_1", "0012345678905", 7)
    assert (outcome.doc.texts, outcome.doc.options, outcome.doc.attributes, outcome.doc.slug) == (
        BASE.texts,
        BASE.options,
        BASE.attributes,
        "p-1",
    )
    assert with_base("sku code,price CNY\nS1,9").same


def test_a_new_sku_joins_its_product_and_a_new_value_its_option() -> None:
    outcome = with_base("product code,sku code,choice,price CNY\nP1,S2,color=Sky Blue|天蓝,8\nP1,S1,color=Red|红色,9")
    assert [sku.code for sku in outcome.doc.skus] == ["S1", "S2"]
    assert [value.value_id for value in outcome.doc.options[0].values] == ["red", "sky-blue"]
    assert outcome.doc.skus[1].choice == {"color": "sky-blue"}
    assert outcome.doc.skus[0].choice == {"color": "red"}


def test_an_empty_cell_of_a_column_that_is_there_empties_it() -> None:
    outcome = with_base("product code,sku code,title zh,slug,attr:volume,barcode,images,state\nP1,S1,,,,,,")
    assert (outcome.doc.texts.zh.title, outcome.doc.slug, outcome.doc.attributes, outcome.doc.images) == ("", "", {}, ())
    assert outcome.doc.skus[0].barcode == ""
    assert outcome.doc.state == "draft"


def test_what_belongs_to_others_is_refused() -> None:
    assert flaws_of("product code,sku code,price CNY\nP2,S1,5", known=THERE) == [(2, "sku code", "sku_elsewhere")]
    merchant = Ways(terms=TERMS, categories={}, brands={}, merchant_id="mer_1")
    assert flaws_of("product code,sku code,price CNY\nP1,S1,5", known=THERE, ways=merchant) == [(2, "sku code", "sku_taken")]
    assert flaws_of("merchant,product code,sku code,title en,price CNY\nmer_2,P8,S8,T,5", ways=merchant) == [
        (2, "merchant", "merchant_foreign")
    ]
    [outcome] = outcomes("product code,sku code,title en,price CNY\nP1,S8,T,5", ways=merchant, known=THERE)
    assert (outcome.doc.merchant_id, outcome.doc.code) == ("mer_1", "P1")
    text = "product code,sku code,title en,price CNY,slug\nP5,S5,T,5,taken\nP6,S6,T,5,new\nP7,S7,T,5,new"
    assert flaws_of(text, known=THERE) == [(2, "slug", "slug_taken"), (4, "slug", "slug_taken")]


def test_a_retired_product_does_not_come_back_by_an_import() -> None:
    base = Product(code="P1", state="retired", texts=BASE.texts, skus=BASE.skus, options=BASE.options)
    text = "product code,sku code,state\nP1,S1,draft"
    [outcome] = outcomes(text, bases={"prd_1": base}, known=THERE)
    assert [(flaw.row, flaw.column, flaw.code) for flaw in outcome.flaws] == [(2, 2, "state_not_allowed")]


def test_too_many_of_something_is_a_flaw_of_its_cell() -> None:
    images = ";".join(f"img_{number}" for number in range(51))
    assert flaws_of(f"product code,title en,sku code,price CNY,images\nP1,T,S1,5,{images}") == [(2, "images", "form")]


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.lists(st.one_of(TEXT, SPICY, st.sampled_from(["P1", "S1", "8.9", "draft", "cups", "color=red"])), max_size=12), max_size=4)
)
def test_whatever_stands_in_cells_is_read_or_refused(rows: list[list[str]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    for outcome in outcomes(HEAD + text.getvalue().replace("\0", "")):
        flaws = outcome.flaws if isinstance(outcome, Outcome) else [outcome]
        assert all(
            "{" not in words_of(flaw.code, flaw.params, "en").replace("{row}", "") or "{" in "".join(map(str, flaw.params.values()))
            for flaw in flaws
        )
