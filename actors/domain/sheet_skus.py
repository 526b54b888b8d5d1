"""The SKUs of one product from the rows of a sheet: options and choices, prices, and what else a row says of its SKU. Pure."""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from actors.domain.sheet import CellFlaw, Plan
from actors.domain.sheet_cells import (
    CODE,
    BadCell,
    plain,
    read_choice,
    read_code,
    read_flag,
    read_options,
    read_prices,
    read_time,
    read_whole,
    read_words,
    split,
)
from schemas.goods import FOREVER_MS, QUANTITY_MAX, Option, OptionValue, Price, Product, Sku, Words

OPTIONS: Final = {
    "color": Words(en="Color", zh="颜色"),
    "size": Words(en="Size", zh="尺寸"),
    "material": Words(en="Material", zh="材质"),
}
"""Titles of options that a sheet names without."""

_CURRENCY: Final = re.compile(r"[A-Z]{3}\Z")
_NOT_CODE: Final = re.compile(r"[^a-z0-9]+")
_KINDS: Final = {"list": 0, "tier": 1, "promotion": 2, "member": 3}


def in_order(doc: Product) -> Product:
    """The document with the prices of each SKU in the order in which a sheet gives them: what is equal then is the same."""
    skus = tuple(
        sku if len(sku.prices) < 2 else msgspec.structs.replace(sku, prices=ordered(sku.prices, _main(sku.prices))) for sku in doc.skus
    )
    attributes = {name: value for name, value in doc.attributes.items() if value not in ("", ())}
    return msgspec.structs.replace(doc, skus=skus, attributes=attributes)


def _main(prices: Sequence[Price]) -> str:
    return next((price.currency for price in prices if price.kind == "list"), "")


def ordered(prices: Sequence[Price], main: str) -> tuple[Price, ...]:
    """Prices by kind, the main currency's first, then by what they are for."""

    def place(price: Price) -> tuple[Any, ...]:
        ends = price.starts_at_ms, price.ends_at_ms
        return _KINDS[price.kind], price.currency != main, price.currency, price.min_quantity, *ends, price.level_id, price.amount

    return tuple(sorted(prices, key=place))


NO_PRICES: Final = (Price(currency="ZZZ", amount=0),)
"""In place of prices that are missing, which is a flaw."""


class SkuReader:
    """Reads the SKUs of groups of one sheet."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._at = {key: plan.places.get(key, -1) for key in ("sku", "options", "choice", "currency", "promotion_from", "promotion_to")}
        prices = [(place, *column.key.partition(":")[::2]) for place, column in plan.sku]
        self._prices: list[tuple[int, str, str]] = [(place, kind, currency) for place, kind, currency in prices if currency]
        self._plain: list[tuple[int, str, Callable[[str], Any], Any]] = [
            (place, *_PLAIN_CELLS[column.key]) for place, column in plan.sku if column.key in _PLAIN_CELLS
        ]
        self._sku_places = [place for place, _ in plan.sku]

    def read(
        self, rows: list[tuple[int, list[str]]], base: Product | None, wrong: list[CellFlaw]
    ) -> tuple[tuple[Option, ...], tuple[Sku, ...], list[int]]:
        """(options, SKUs, the row of each SKU or 0): those of ``base`` in their order, changed, then the new ones."""
        options, choices = self._options(rows, base, wrong)
        there = {sku.code: sku for sku in base.skus} if base else {}
        found: dict[str, tuple[Sku, int]] = {code: (sku, 0) for code, sku in there.items()}
        for (row, cells), choice in zip(rows, choices, strict=True):
            code = self._code(row, cells, wrong)
            if code:
                found[code] = self._sku(row, cells, code, there.get(code), choice, wrong), row
            elif wrong and wrong[-1].row == row and wrong[-1].column == self._at["sku"]:
                # Its other cells may be bad too; nothing is made of it.
                found[f"~{row}"] = self._sku(row, cells, f"~{row}", None, choice, wrong), row
        return options, tuple(sku for sku, _ in found.values()), [row for _, row in found.values()]

    def _code(self, row: int, cells: list[str], wrong: list[CellFlaw]) -> str:
        place = self._at["sku"]
        text = cells[place] if place >= 0 else ""
        if not text.strip():
            if any(cells[at] for at in self._sku_places):
                wrong.append(CellFlaw(row=row, column=place, code="cell_required"))
            return ""
        try:
            return read_code(text)
        except BadCell as bad:
            wrong.append(CellFlaw(row=row, column=place, code=bad.code))
            return ""

    def _sku(self, row: int, cells: list[str], code: str, base: Sku | None, choice: dict[str, str] | None, wrong: list[CellFlaw]) -> Sku:
        fields: dict[str, Any] = {}
        for place, field, read, empty in self._plain:
            text = cells[place]
            if not text or not text.strip():
                fields[field] = empty
                continue
            try:
                fields[field] = read(text)
            except BadCell as bad:
                wrong.append(CellFlaw(row=row, column=place, code=bad.code, params=bad.params))
        if choice is not None:
            fields["choice"] = choice
        if self._prices:
            fields["prices"] = self._read_prices(row, cells, base, wrong)
        if not fields.get("prices") and (base is None or "prices" in fields):
            fields["prices"] = NO_PRICES
            column = self._prices[0][0] if self._prices else -1
            if not any(flaw.row == row and flaw.column == column for flaw in wrong):
                wrong.append(CellFlaw(row=row, column=column, code="price_missing"))
        return Sku(code=code, **fields) if base is None else msgspec.structs.replace(base, **fields)

    # --- prices -----------------------------------------------------------------------------------

    def _read_prices(self, row: int, cells: list[str], base: Sku | None, wrong: list[CellFlaw]) -> tuple[Price, ...]:
        given = {(kind, currency) for _, kind, currency in self._prices}
        found = [price for price in base.prices if (price.kind, price.currency) not in given] if base else []
        window: tuple[int, int] | None = None
        main = ""
        for place, kind, currency in self._prices:
            text = cells[place]
            if not text or not text.strip():
                continue
            if kind == "promotion" and window is None:
                window = self._window(row, cells, wrong)
            try:
                read = read_prices(text, kind, currency, window or (0, FOREVER_MS))  # type: ignore[arg-type]
            except BadCell as bad:
                wrong.append(CellFlaw(row=row, column=place, code=bad.code, params=bad.params))
                continue
            main = main or (currency if kind == "list" else "")
            found += read
        chosen = self._main_currency(row, cells, wrong) or (_main(base.prices) if base and self._at["currency"] < 0 else "")
        listed = {price.currency for price in found if price.kind == "list"}
        if chosen and chosen not in listed and self._at["currency"] >= 0:
            wrong.append(CellFlaw(row=row, column=self._at["currency"], code="list_price_missing", params={"currency": chosen}))
        return tuple(found) if len(found) < 2 else ordered(found, chosen if chosen in listed else main)

    def _main_currency(self, row: int, cells: list[str], wrong: list[CellFlaw]) -> str:
        place = self._at["currency"]
        text = cells[place].strip().upper() if place >= 0 else ""
        if text and not _CURRENCY.match(text):
            wrong.append(CellFlaw(row=row, column=place, code="currency_form"))
            return ""
        return text

    def _window(self, row: int, cells: list[str], wrong: list[CellFlaw]) -> tuple[int, int]:
        found = []
        for key, empty in (("promotion_from", 0), ("promotion_to", FOREVER_MS)):
            place = self._at[key]
            text = cells[place].strip() if place >= 0 else ""
            try:
                found.append(read_time(text) if text else empty)
            except BadCell as bad:
                wrong.append(CellFlaw(row=row, column=place, code=bad.code))
                found.append(empty)
        return found[0], found[1]

    # --- options ----------------------------------------------------------------------------------

    def _options(
        self, rows: list[tuple[int, list[str]]], base: Product | None, wrong: list[CellFlaw]
    ) -> tuple[tuple[Option, ...], list[dict[str, str] | None]]:
        """The options, and of each row the choice by ids; None where the sheet has no column for it."""
        options_at, choice_at = self._at["options"], self._at["choice"]
        row, cells = rows[0]
        text = cells[options_at] if options_at >= 0 else ""
        now = base.options if base else ()
        if text.strip():
            try:
                now = read_options(text)
            except BadCell as bad:
                wrong.append(CellFlaw(row=row, column=options_at, code=bad.code, params=bad.params))
        if choice_at < 0:
            return now, [None] * len(rows)
        if not any(cells[choice_at] for _, cells in rows):
            return (now if text.strip() or options_at < 0 else ()), [{} for _ in rows]
        made = _Options(now, fixed=bool(text.strip()))
        choices: list[dict[str, str] | None] = []
        for row, cells in rows:
            try:
                choices.append(made.choice(cells[choice_at]))
            except BadCell as bad:
                wrong.append(CellFlaw(row=row, column=choice_at, code=bad.code, params=bad.params))
                choices.append({})
        return made.options(), choices


class _Options:
    """Options that grow by what rows choose, unless they are fixed."""

    def __init__(self, now: Sequence[Option], *, fixed: bool) -> None:
        self._fixed = fixed
        self._titles = {option.option_id: option.titles for option in now}
        self._values: dict[str, list[OptionValue]] = {option.option_id: list(option.values) for option in now}

    def options(self) -> tuple[Option, ...]:
        return tuple(Option(option_id=name, titles=self._titles[name], values=tuple(values)) for name, values in self._values.items())

    def choice(self, text: str) -> dict[str, str]:
        return {name: self._value(name, value) for name, value in read_choice(text).items()}

    def _value(self, name: str, text: str) -> str:
        value_id, *named = split(text, ":", 1)
        words = read_words(named[0] if named else text)
        values = self._values.get(name, [])
        found = _found(values, plain(value_id) if named else words.en if not words.zh else "", words)
        if found:
            return found
        if self._fixed:
            return plain(value_id) if named else words.en or words.zh
        if name not in self._values:
            self._titles[name] = OPTIONS.get(name, Words(en=name))
            self._values[name] = values
        new = plain(value_id) if named else _new_id(words, {value.value_id for value in values})
        if not CODE.match(new):
            raise BadCell("choice_form")
        values.append(OptionValue(value_id=new, titles=words))
        return new


def _found(values: list[OptionValue], value_id: str, words: Words) -> str:
    for value in values:
        if value_id and value_id == value.value_id:
            return value.value_id
    for value in values:
        if (words.en and words.en == value.titles.en) or (words.zh and words.zh == value.titles.zh):
            return value.value_id
        if not words.zh and words.en and words.en == value.titles.zh:
            return value.value_id
    return ""


def _new_id(words: Words, taken: set[str]) -> str:
    if not words.zh and CODE.match(words.en):
        return words.en
    name = _NOT_CODE.sub("-", words.en.casefold()).strip("-")[:50] or f"v{len(taken) + 1}"
    number = 1
    found = name
    while found in taken:
        number += 1
        found = f"{name}-{number}"
    return found


def _whole(limit: int) -> Callable[[str], int]:
    return lambda text: read_whole(text, limit)


def _barcode(text: str) -> str:
    text = text.strip()
    if len(text) > 14:
        raise BadCell("too_long", limit=14)
    return text


def _image(text: str) -> str:
    text = text.strip()
    if len(text) > 64:
        raise BadCell("too_long", limit=64)
    return text


_PLAIN_CELLS: Final[dict[str, tuple[str, Callable[[str], Any], Any]]] = {
    "barcode": ("barcode", _barcode, ""),
    "offered": ("offered", read_flag, True),
    "weight": ("weight_g", _whole(100_000_000), 0),
    "length": ("length_mm", _whole(100_000), 0),
    "width": ("width_mm", _whole(100_000), 0),
    "height": ("height_mm", _whole(100_000), 0),
    "image": ("image_id", _image, ""),
    "safety_stock": ("safety_stock", _whole(QUANTITY_MAX), 0),
}
"""Cells that are one field: its name, how it is read, and what an empty one means."""
