"""What a product's document must be, and what tables are made of it. Pure.

A document is judged by :func:`flaws`, which finds everything at once, and by :func:`may_move`, the table of states. What only
the tables know (codes that are taken, the revision, whose it is) is found where it is written (``actors.storage.goods``).
"""

import re
from collections.abc import Callable, Container, Iterator, Mapping
from itertools import product as combinations
from typing import Any, Final, NamedTuple

import msgspec
from stdnum import ean

from actors.domain.product_prices import price_flaws
from schemas.flaws import Flaw
from schemas.goods import UNSEEN, Attribute, AttributeValue, Option, Price, Product, ProductText, ProductTexts, Sku, Words

SKUS_MAX: Final = 500
ON_SALE: Final = frozenset({"scheduled", "on_shelf"})
"""States in which a document must be complete."""

MOVES: Final[dict[str, frozenset[str]]] = {
    "": frozenset({"draft", "scheduled", "on_shelf", "off_shelf"}),
    "draft": frozenset({"draft", "scheduled", "on_shelf", "retired"}),
    "scheduled": frozenset({"draft", "scheduled", "on_shelf", "off_shelf", "retired"}),
    "on_shelf": frozenset({"on_shelf", "off_shelf", "retired"}),
    "off_shelf": frozenset({"scheduled", "on_shelf", "off_shelf", "retired"}),
    "retired": frozenset(),
}
"""Where a product may go from each state; from "" when it is new. A retired one comes back only by a revert, off the shelf."""

KINDS: Final[dict[str, type | tuple[type, ...]]] = {"text": str, "number": (int, float), "flag": bool, "choice": str, "choices": tuple}

_SUSPECTED: Final = re.compile(rb"\\(?:u00|[bf])|\x7f|\xef\xbf[\xbe\xbf]")
"""How they stand in JSON, or something that looks so."""

_ENCODER: Final = msgspec.json.Encoder()


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A category as a document is judged and filed by it. path: from the root to itself. attributes: its own and those above it."""

    path: tuple[str, ...]
    titles: Words
    root_titles: Words
    attributes: tuple[Attribute, ...] = ()


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What a document may name: the shop's currencies, categories, brands, merchants and member levels, by id.

    has_image: whether there is such an image; without it images are not looked for.
    """

    currencies: frozenset[str]
    categories: Mapping[str, Place]
    brands: Container[str]
    merchants: Container[str]
    levels: Container[str]
    has_image: Callable[[str], bool] | None = None


def may_move(from_state: str, to_state: str) -> bool:
    """Whether an edit may take a product from one state to another, or leave it there; ``from_state`` "" for a new one."""
    return to_state in MOVES[from_state]


def matrix(options: tuple[Option, ...]) -> list[dict[str, str]]:
    """Every combination of the options' values, the last option changing fastest; one empty choice without options."""
    axes = [[(option.option_id, value.value_id) for value in option.values] for option in options]
    return [dict(combination) for combination in combinations(*axes)]


def matrix_size(options: tuple[Option, ...]) -> int:
    """How many combinations :func:`matrix` would make."""
    count = 1
    for option in options:
        count *= len(option.values)
    return count


def with_ids(doc: Product, new_id: Callable[[], str]) -> Product:
    """The document with an id for each SKU that has none. new_id: ``lambda: random_id("sku")``, where chance is allowed."""
    if all(sku.sku_id for sku in doc.skus):
        return doc
    skus = tuple(sku if sku.sku_id else msgspec.structs.replace(sku, sku_id=new_id()) for sku in doc.skus)
    return msgspec.structs.replace(doc, skus=skus)


def flaws(doc: Product, terms: Terms) -> tuple[Flaw, ...]:
    """Everything that is wrong with a document whose form is right, in the order of its fields; what cannot be stored comes first."""
    return (
        *_character_flaws(doc),
        *_place_flaws(doc, terms),
        *_state_flaws(doc),
        *_text_flaws(doc),
        *_attribute_flaws(doc, terms),
        *_image_flaws(doc, terms),
        *_option_flaws(doc),
        *_sku_flaws(doc, terms),
    )


def _character_flaws(doc: Product) -> Iterator[Flaw]:
    """What no database, spreadsheet or page keeps: control characters, half a pair of surrogates. Files and hands send them."""
    try:
        suspected = _SUSPECTED.search(_ENCODER.encode(doc)) is not None
    except UnicodeEncodeError:
        suspected = True
    if suspected:
        yield from (Flaw(path=path, code="text_invalid") for path in _unstorable("", msgspec.to_builtins(doc)))


def _unstorable(path: str, value: Any) -> Iterator[str]:
    match value:
        case str():
            if UNSEEN.search(value):
                yield path
        case dict():
            for key, member in value.items():
                here = f"{path}.{key}" if path else key
                yield from (path for _ in _unstorable(path, key))
                yield from _unstorable(here, member)
        case list() | tuple():
            for number, member in enumerate(value):
                yield from _unstorable(f"{path}[{number}]", member)


def _place_flaws(doc: Product, terms: Terms) -> Iterator[Flaw]:
    for name, there in (("merchant", terms.merchants), ("category", terms.categories), ("brand", terms.brands)):
        value = getattr(doc, f"{name}_id")
        if value and value not in there:
            yield Flaw(path=f"{name}_id", code=f"{name}_unknown", params={f"{name}_id": value})


def _state_flaws(doc: Product) -> Iterator[Flaw]:
    if doc.state == "scheduled" and not doc.shelf_at_ms:
        yield Flaw(path="shelf_at_ms", code="shelf_time_missing")
    if doc.state == "scheduled" and 0 < doc.off_at_ms <= doc.shelf_at_ms:
        yield Flaw(path="off_at_ms", code="off_before_shelf")
    if doc.state in ON_SALE:
        if not doc.category_id:
            yield Flaw(path="category_id", code="category_missing")
        if not any(sku.offered for sku in doc.skus):
            yield Flaw(path="skus", code="sku_missing")


def _text_flaws(doc: Product) -> Iterator[Flaw]:
    if not (doc.texts.en.title.strip() or doc.texts.zh.title.strip()):
        yield Flaw(path="texts.en.title", code="title_missing")


def _attribute_flaws(doc: Product, terms: Terms) -> Iterator[Flaw]:
    place = terms.categories.get(doc.category_id)
    if place is None and doc.category_id:
        return  # an unknown category is flaw enough
    defined = {attribute.attribute_id: attribute for attribute in place.attributes} if place else {}
    for attribute_id, value in doc.attributes.items():
        path = f"attributes.{attribute_id}"
        attribute = defined.get(attribute_id)
        if attribute is None:
            yield Flaw(path=path, code="attribute_unknown", params={"attribute_id": attribute_id})
        else:
            yield from _value_flaws(path, attribute, value)
    for attribute in defined.values():
        if attribute.required and doc.attributes.get(attribute.attribute_id) in (None, "", ()):
            attribute_id = attribute.attribute_id
            yield Flaw(path=f"attributes.{attribute_id}", code="attribute_required", params={"attribute_id": attribute_id})


def _value_flaws(path: str, attribute: Attribute, value: AttributeValue) -> Iterator[Flaw]:
    if not isinstance(value, KINDS[attribute.kind]) or (isinstance(value, bool) and attribute.kind != "flag"):
        yield Flaw(path=path, code="attribute_kind", params={"kind": attribute.kind})
    elif attribute.kind in ("choice", "choices"):
        known = {choice.value_id for choice in attribute.choices}
        for chosen in value if isinstance(value, tuple) else (value,):
            if chosen not in known:
                yield Flaw(path=path, code="attribute_choice", params={"value": chosen})


def _image_flaws(doc: Product, terms: Terms) -> Iterator[Flaw]:
    seen: set[str] = set()
    for number, image in enumerate(doc.images):
        if image.image_id in seen:
            yield Flaw(path=f"images[{number}].image_id", code="image_repeated", params={"image_id": image.image_id})
        seen.add(image.image_id)
    if terms.has_image is not None:
        yield from unknown_images(doc, terms.has_image)


def unknown_images(doc: Product, has_image: Callable[[str], bool]) -> Iterator[Flaw]:
    """Where a document names images that there are not."""
    for path, image_id in _images_of(doc):
        if not has_image(image_id):
            yield Flaw(path=path, code="image_unknown", params={"image_id": image_id})


def _images_of(doc: Product) -> Iterator[tuple[str, str]]:
    yield from ((f"images[{number}].image_id", image.image_id) for number, image in enumerate(doc.images))
    for number, option in enumerate(doc.options):
        for place, value in enumerate(option.values):
            if value.image_id:
                yield f"options[{number}].values[{place}].image_id", value.image_id
    yield from ((f"skus[{number}].image_id", sku.image_id) for number, sku in enumerate(doc.skus) if sku.image_id)


def images_of(doc: Product) -> list[str]:
    """Every image that a document names, in the order of its fields."""
    return list(dict.fromkeys(image_id for _, image_id in _images_of(doc)))


def _option_flaws(doc: Product) -> Iterator[Flaw]:
    seen: set[str] = set()
    for number, option in enumerate(doc.options):
        path = f"options[{number}]"
        if option.option_id in seen:
            yield Flaw(path=f"{path}.option_id", code="option_repeated", params={"option_id": option.option_id})
        seen.add(option.option_id)
        if not (option.titles.en or option.titles.zh):
            yield Flaw(path=f"{path}.titles", code="name_missing")
        values: set[str] = set()
        for place, value in enumerate(option.values):
            if value.value_id in values:
                yield Flaw(path=f"{path}.values[{place}].value_id", code="value_repeated", params={"value_id": value.value_id})
            values.add(value.value_id)
            if not (value.titles.en or value.titles.zh):
                yield Flaw(path=f"{path}.values[{place}].titles", code="name_missing")


def _sku_flaws(doc: Product, terms: Terms) -> Iterator[Flaw]:
    options = {option.option_id: {value.value_id for value in option.values} for option in doc.options}
    codes: set[str] = set()
    ids: set[str] = set()
    choices: dict[frozenset[tuple[str, str]], str] = {}
    barcodes: dict[str, str] = {}
    for number, sku in enumerate(doc.skus):
        path = f"skus[{number}]"
        if sku.sku_id and sku.sku_id in ids:
            yield Flaw(path=f"{path}.sku_id", code="sku_repeated", params={"sku_id": sku.sku_id})
        ids.add(sku.sku_id)
        if sku.code in codes:
            yield Flaw(path=f"{path}.code", code="code_repeated", params={"code": sku.code})
        codes.add(sku.code)
        yield from _choice_flaws(path, sku, options)
        choice = frozenset(sku.choice.items())
        if choice in choices:
            yield Flaw(path=f"{path}.choice", code="choice_repeated", params={"code": choices[choice]})
        choices.setdefault(choice, sku.code)
        if sku.barcode:
            yield from _barcode_flaws(path, sku, barcodes)
        yield from price_flaws(path, sku.prices, terms.currencies, terms.levels)


def _choice_flaws(path: str, sku: Sku, options: dict[str, set[str]]) -> Iterator[Flaw]:
    for option_id, values in options.items():
        value_id = sku.choice.get(option_id)
        if value_id is None:
            yield Flaw(path=f"{path}.choice", code="option_missing", params={"option_id": option_id})
        elif value_id not in values:
            params = {"option_id": option_id, "value_id": value_id}
            yield Flaw(path=f"{path}.choice.{option_id}", code="value_unknown", params=params)
    for option_id in sku.choice:
        if option_id not in options:
            yield Flaw(path=f"{path}.choice.{option_id}", code="option_unknown", params={"option_id": option_id})


def _barcode_flaws(path: str, sku: Sku, barcodes: dict[str, str]) -> Iterator[Flaw]:
    # The library passes over spaces and hyphens; here a barcode is its digits alone.
    if not (sku.barcode.isascii() and sku.barcode.isdigit() and ean.is_valid(sku.barcode)):
        yield Flaw(path=f"{path}.barcode", code="barcode_invalid")
    elif sku.barcode in barcodes:
        yield Flaw(path=f"{path}.barcode", code="barcode_repeated", params={"code": barcodes[sku.barcode]})
    barcodes.setdefault(sku.barcode, sku.code)


class Rows(NamedTuple):
    """What the tables hold of one document: a row of ``product``, and rows of ``sku``, ``sku_price`` and ``member_price``.

    Each a tuple in the order of the constants below.
    """

    product: tuple[Any, ...]
    skus: list[tuple[Any, ...]]
    prices: list[tuple[Any, ...]]
    member_prices: list[tuple[Any, ...]]


PRODUCT_COLUMNS: Final = (
    "product_id", "code", "state", "shelf_at_ms", "off_at_ms", "merchant_id", "category_id", "brand_id", "slug", "title", "title_zh",
    "department", "department_zh", "category", "brand",
)  # fmt: skip
SKU_COLUMNS: Final = (
    "sku_id", "product_id", "merchant_id", "code", "price_minor", "currency", "offered", "on_shelf", "barcode", "weight_g", "position",
    "safety_stock",
)  # fmt: skip
PRICE_COLUMNS: Final = (
    "sku_id", "position", "kind", "currency", "price_minor", "min_quantity", "level_id", "starts_at_ms", "ends_at_ms", "label", "label_zh",
)  # fmt: skip
MEMBER_PRICE_COLUMNS: Final = ("sku_id", "level_id", "price_minor")


def list_price(sku: Sku) -> Price:
    """What a SKU costs where nothing is said of currency: its first list price. StopIteration: it has none (a flaw)."""
    return next(price for price in sku.prices if price.kind == "list")


def materialised(product_id: str, doc: Product, categories: Mapping[str, Place], brands: Mapping[str, str]) -> Rows:
    """The rows of a document without flaws whose SKUs have ids. brands: English titles by id.

    Members' prices in the currency of the first list price are rows of ``member_price``, all others of ``sku_price``.
    """
    place = categories.get(doc.category_id)
    english, chinese = _both(doc.texts.en.title, doc.texts.zh.title)
    department, department_zh = _both(place.root_titles.en, place.root_titles.zh) if place else ("", "")
    product = (
        product_id, doc.code, doc.state, doc.shelf_at_ms, doc.off_at_ms, doc.merchant_id or None, doc.category_id or None,
        doc.brand_id or None, doc.slug or None, english, chinese, department, department_zh,
        (place.titles.en or place.titles.zh).upper() if place else None, brands.get(doc.brand_id),
    )  # fmt: skip
    skus, prices, member_prices = [], [], []
    for number, sku in enumerate(doc.skus):
        base = list_price(sku)
        skus.append((
            sku.sku_id, product_id, doc.merchant_id or None, sku.code, base.amount, base.currency, sku.offered,
            sku.offered and doc.state == "on_shelf", sku.barcode, sku.weight_g, number, sku.safety_stock,
        ))  # fmt: skip
        for place_number, price in enumerate(sku.prices):
            if price.kind == "member" and price.currency == base.currency:
                member_prices.append((sku.sku_id, price.level_id, price.amount))
            else:
                prices.append((
                    sku.sku_id, place_number, price.kind, price.currency, price.amount, price.min_quantity, price.level_id,
                    price.starts_at_ms, price.ends_at_ms, price.label.en, price.label.zh,
                ))  # fmt: skip
    return Rows(product, skus, prices, member_prices)


def _both(english: str, chinese: str) -> tuple[str, str]:
    """Each language's words, and the other's where it has none."""
    return english or chinese, chinese or english


def founded(product: Mapping[str, Any], skus: list[Mapping[str, Any]], prices: list[Mapping[str, Any]]) -> Product:
    """The document of a product that nobody has edited yet, of its rows.

    skus: without those of flash sales. prices: rows of ``sku_price`` and of ``member_price`` (which have no ``kind``).
    A product or SKU of before codes has its id for one.
    """
    by_sku: dict[str, list[Mapping[str, Any]]] = {}
    for row in prices:
        by_sku.setdefault(row["sku_id"], []).append(row)
    ordered = sorted(skus, key=lambda row: (row["position"], row["sku_id"]))
    return Product(
        code=product["code"] or product["product_id"],
        state=product["state"],
        shelf_at_ms=product["shelf_at_ms"],
        off_at_ms=product["off_at_ms"],
        merchant_id=product["merchant_id"] or "",
        category_id=product["category_id"] or "",
        brand_id=product["brand_id"] or "",
        slug=product["slug"] or "",
        texts=ProductTexts(en=ProductText(title=product["title"][:200]), zh=ProductText(title=product["title_zh"][:200])),
        options=_founded_options(ordered),
        skus=tuple(_founded_sku(row, by_sku.get(row["sku_id"], []), alone=len(ordered) == 1) for row in ordered),
    )


def _founded_options(skus: list[Mapping[str, Any]]) -> tuple[Option, ...]:
    """What tells several SKUs apart that have no options: their codes."""
    if len(skus) < 2:
        return ()
    values = [{"value_id": row["code"], "titles": {"en": row["code"], "zh-CN": row["code"]}} for row in skus]
    found = {"option_id": "article", "titles": {"en": "Article", "zh-CN": "款式"}, "values": values}
    return (msgspec.convert(found, Option),)


def _founded_sku(row: Mapping[str, Any], prices: list[Mapping[str, Any]], *, alone: bool) -> Sku:
    kept = [_price_of(price, row["currency"]) for price in sorted(prices, key=lambda price: price.get("position", 1 << 15))]
    if not any(price.kind == "list" for price in kept):
        kept.insert(0, Price(currency=row["currency"], amount=row["price_minor"]))
    return Sku(
        sku_id=row["sku_id"],
        code=row["code"],
        choice={} if alone else {"article": row["code"]},
        barcode=row["barcode"],
        offered=row["offered"],
        prices=tuple(kept),
        weight_g=row["weight_g"],
        safety_stock=row["safety_stock"],
    )


def _price_of(row: Mapping[str, Any], currency: str) -> Price:
    if "kind" not in row:
        return Price(kind="member", currency=currency, amount=row["price_minor"], level_id=row["level_id"])
    return Price(
        kind=row["kind"],
        currency=row["currency"],
        amount=row["price_minor"],
        min_quantity=row["min_quantity"],
        level_id=row["level_id"],
        starts_at_ms=row["starts_at_ms"],
        ends_at_ms=row["ends_at_ms"],
        label=Words(en=row["label"], zh=row["label_zh"]),
    )
