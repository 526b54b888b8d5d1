"""From documents of products to rows of a sheet, always the same: what is written is read back as it was, and written again alike. Pure."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from actors.domain.sheet import CELL_CHARACTERS_MAX, Column, columns_for
from actors.domain.sheet_cells import (
    guarded,
    write_amount,
    write_choice,
    write_flag,
    write_float,
    write_images,
    write_list,
    write_options,
    write_prices,
    write_time,
)
from schemas.goods import FOREVER_MS, UNSEEN, AttributeValue, Price, Product, ProductText, Sku

_PIECE: Final = CELL_CHARACTERS_MAX - 7_767
"""Characters of a long description in one cell, with room for what a workbook writes with several."""


class Extent(msgspec.Struct, frozen=True, kw_only=True):
    """What a sheet of some products needs columns for."""

    currencies: frozenset[str] = frozenset()
    attributes: frozenset[str] = frozenset()
    details: dict[str, int] = {}
    kinds: frozenset[str] = frozenset()
    main_currency: bool = False

    def columns(self) -> list[Column]:
        """The columns, always in the same order."""
        return columns_for(
            tuple(sorted(self.currencies)),
            tuple(sorted(self.attributes)),
            self.details,
            {*self.kinds, "list"},
            main_currency=self.main_currency,
        )


def extent_of(docs: Iterable[Product], before: Extent | None = None) -> Extent:
    """What these documents need, and whatever was needed before."""
    before = before or Extent()
    currencies, attributes, kinds = set(before.currencies), set(before.attributes), set(before.kinds)
    details, main_currency = dict(before.details), before.main_currency
    for doc in docs:
        attributes |= doc.attributes.keys()
        for language, text in (("en", doc.texts.en), ("zh", doc.texts.zh)):
            key = f"detail_{language}"
            details[key] = max(details.get(key, 1), -(-len(text.detail) // _PIECE))
        for sku in doc.skus:
            listed = [price.currency for price in sku.prices if price.kind == "list"]
            main_currency = main_currency or bool(listed and listed[0] != min(listed))
            for price in sku.prices:
                currencies.add(price.currency)
                kinds.add(price.kind)
    return Extent(
        currencies=frozenset(currencies),
        attributes=frozenset(attributes),
        details=details,
        kinds=frozenset(kinds),
        main_currency=main_currency,
    )


class Writer:
    """Writes products into rows with these columns."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = columns
        self._product = [(place, column.key) for place, column in enumerate(columns) if column.scope == "product"]
        self._sku = [(place, column.key) for place, column in enumerate(columns) if column.scope == "sku"]
        self._code = next((place for place, key in self._product if key == "code"), 0)

    def rows(self, doc: Product) -> list[list[str]]:
        """The rows of one product: one a SKU, what is said of the product in the first of them; one row for a product without SKUs."""
        first = [""] * len(self._columns)
        for place, key in self._product:
            first[place] = shown(_product_cell(doc, key))
        rows = [first]
        for number, sku in enumerate(doc.skus):
            row = first if number == 0 else [""] * len(self._columns)
            if number:
                row[self._code] = first[self._code]
                rows.append(row)
            self._fill(row, sku)
        return rows

    def _fill(self, row: list[str], sku: Sku) -> None:
        windows = {(price.starts_at_ms, price.ends_at_ms) for price in sku.prices if price.kind == "promotion"}
        window = next(iter(windows)) if len(windows) == 1 else None
        for place, key in self._sku:
            row[place] = shown(_sku_cell(sku, key, window))


def shown(text: str) -> str:
    """A cell as it is written: nothing that a spreadsheet would evaluate, and no character that no file can hold."""
    return guarded(UNSEEN.sub("", text)) if text else ""


def _product_cell(doc: Product, key: str) -> str:
    match key:
        case "code":
            return doc.code
        case "merchant":
            return doc.merchant_id
        case "state":
            return doc.state
        case "shelf_at" | "off_at":
            at_ms = doc.shelf_at_ms if key == "shelf_at" else doc.off_at_ms
            return write_time(at_ms) if at_ms else ""
        case "category":
            return doc.category_id
        case "brand":
            return doc.brand_id
        case "slug":
            return doc.slug
        case "images":
            return write_images(doc.images)
        case "options":
            return write_options(doc.options)
    if key.startswith("attr:"):
        return _attribute(doc.attributes.get(key[5:], ""))
    name, _, number = key.partition(":")
    field, _, language = name.rpartition("_")
    return _text_cell(doc.texts.zh if language == "zh" else doc.texts.en, field, int(number or 1))


def _text_cell(text: ProductText, field: str, number: int) -> str:
    if field == "keywords":
        return write_list(text.keywords)
    if field == "detail":
        return text.detail[(number - 1) * _PIECE : number * _PIECE]
    found: str = getattr(text, field)
    return found


def _attribute(value: AttributeValue) -> str:
    if isinstance(value, bool):
        return write_flag(value)
    if isinstance(value, str):
        return value
    return write_list(value) if isinstance(value, tuple) else write_float(value)


def _sku_cell(sku: Sku, key: str, window: tuple[int, int] | None) -> str:
    kind, _, currency = key.partition(":")
    if currency:
        return _price_cell(sku.prices, kind, currency, windows=window is None)
    match key:
        case "sku":
            return sku.code
        case "choice":
            return write_choice(sku.choice)
        case "barcode":
            return sku.barcode
        case "offered":
            return write_flag(sku.offered)
        case "currency":
            listed = [price.currency for price in sku.prices if price.kind == "list"]
            return listed[0] if listed and listed[0] != min(listed) else ""
        case "promotion_from":
            return write_time(window[0]) if window and window[0] else ""
        case "promotion_to":
            return write_time(window[1]) if window and window[1] != FOREVER_MS else ""
        case "image":
            return sku.image_id
        case "safety_stock":
            return str(sku.safety_stock) if sku.safety_stock else ""
    number: int = getattr(sku, f"{key}_g" if key == "weight" else f"{key}_mm")
    return str(number) if number else ""


def _price_cell(prices: Sequence[Price], kind: str, currency: str, *, windows: bool) -> str:
    found = [price for price in prices if price.kind == kind and price.currency == currency]
    if len(found) == 1 and kind == "list" and not (found[0].label.en or found[0].label.zh):
        return write_amount(found[0].amount, currency)
    found.sort(key=lambda price: (price.min_quantity, price.starts_at_ms, price.ends_at_ms, price.level_id, price.amount))
    return write_prices(found, windows=windows)
