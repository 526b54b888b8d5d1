"""From rows of a sheet to documents of products, with everything that is wrong, cell by cell. Pure.

The tables are asked before (``Known``): which products and SKUs there are. What a sheet has no column for stays as it is.
"""

import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from actors.domain.product import Terms, flaws, may_move, unknown_images
from actors.domain.product_html import clean
from actors.domain.sheet import CellFlaw, Plan
from actors.domain.sheet_cells import (
    BadCell,
    control_character,
    plain,
    read_code,
    read_flag,
    read_float,
    read_images,
    read_list,
    read_state,
    read_time,
    split,
    unguarded,
)
from actors.domain.sheet_skus import SkuReader, in_order
from schemas.goods import Attribute, AttributeValue, Product, ProductText, ProductTexts, Sku

SEO_MAX: Final = 500
HTML_MAX: Final = 200_000
KEYWORDS_MAX: Final = 20
BY_THEMSELVES: Final = frozenset({
    "title_missing", "barcode_invalid", "level_unknown", "tier_order", "price_above_list", "window_empty",
    "merchant_unknown", "shelf_time_missing", "off_before_shelf", "category_missing", "image_unknown", "image_repeated",
})  # fmt: skip
"""Flaws of a document that are true whatever its bad cells should have been."""
OF_CATEGORY: Final = frozenset({"attribute_unknown", "attribute_kind", "attribute_choice", "attribute_required"})

_SLUG: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\Z")
_PATH: Final = re.compile(r"skus\[(\d+)\](?:\.(\w+)(?:\[(\d+)\])?)?")
_TEXTS: Final = re.compile(r"texts\.(en|zh)(?:-CN)?(?:\.(\w+))?")
_WHERE: Final = re.compile(r"(.*) - at `\$\.?(.*)`\Z")
_PLACES: Final = {
    "merchant_id": "merchant", "category_id": "category", "brand_id": "brand", "shelf_at_ms": "shelf_at", "off_at_ms": "off_at",
    "weight_g": "weight", "length_mm": "length", "width_mm": "width", "height_mm": "height", "image_id": "image",
}  # fmt: skip


class Ways(msgspec.Struct, frozen=True, kw_only=True):
    """What cells may name. categories, brands: ids by slug. merchant_id: whose goods alone are imported; empty: everybody's."""

    terms: Terms
    categories: Mapping[str, str]
    brands: Mapping[str, str]
    merchant_id: str = ""


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What the tables know of a sheet's codes.

    by_sku: (product, merchant, product code) by SKU code. by_code: product by (merchant, product code). slugs: product by slug.
    """

    by_sku: Mapping[str, tuple[str, str, str]]
    by_code: Mapping[tuple[str, str], str]
    slugs: Mapping[str, str] = {}


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of one product. product_id: empty for a new one. rows: (row as a spreadsheet counts, its cells)."""

    merchant_id: str
    code: str
    product_id: str
    rows: list[tuple[int, list[str]]]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a group. doc: None where cells are bad, or nothing changes (``same``). places: of each SKU its row, 0: none."""

    doc: Product | None
    same: bool
    flaws: tuple[CellFlaw, ...]
    places: tuple[int, ...] = ()


def cells_of(row: int, cells: Sequence[str], width: int) -> tuple[list[str], list[CellFlaw]]:
    """A row's cells as they were meant, as many as the header has, and those that hold what no cell may."""
    found = [unguarded(cell) if cell[:1] == "'" else cell for cell in cells[:width]]
    found += [""] * (width - len(found))
    wrong = []
    if control_character("".join(found)):
        wrong = [CellFlaw(row=row, column=place, code="control_character") for place, cell in enumerate(found) if control_character(cell)]
    if any(cells[width:]):
        wrong.append(CellFlaw(row=row, column=-1, code="row_long"))
    return found, wrong


def codes_of(plan: Plan, rows: Iterable[tuple[int, list[str]]]) -> tuple[set[str], set[str], set[str]]:
    """The SKU codes, product codes and slugs that a sheet names: what the tables are to be asked for."""
    places = plan.place("sku"), plan.place("code"), plan.place("slug")
    found: tuple[set[str], set[str], set[str]] = (set(), set(), set())
    for _, cells in rows:
        for names, place in zip(found, places, strict=True):
            if place >= 0 and cells[place]:
                names.add(cells[place].strip())
    return found


def groups_of(plan: Plan, rows: Iterable[tuple[int, list[str]]], known: Known, ways: Ways) -> tuple[list[Group], list[CellFlaw]]:
    """The rows by product, in the order in which they first stand there, and what is wrong with how they are told apart."""
    sku_at, code_at, merchant_at = plan.place("sku"), plan.place("code"), plan.place("merchant")
    groups: dict[tuple[str, str], Group] = {}
    wrong: list[CellFlaw] = []
    seen: dict[str, int] = {}
    before = ("", "")
    for row, cells in rows:
        if not any(cells):
            continue
        sku = cells[sku_at].strip() if sku_at >= 0 else ""
        code = cells[code_at].strip() if code_at >= 0 else ""
        given = cells[merchant_at].strip() if merchant_at >= 0 else ""
        there = known.by_sku.get(sku) if sku else None
        if ways.merchant_id and given not in ("", ways.merchant_id):
            wrong.append(CellFlaw(row=row, column=merchant_at, code="merchant_foreign"))
            continue
        if there is not None and ways.merchant_id not in ("", there[1]):
            wrong.append(CellFlaw(row=row, column=sku_at, code="sku_taken"))
            continue
        if not code and there is None:
            wrong.append(CellFlaw(row=row, column=code_at if code_at >= 0 else sku_at, code="cell_required"))
            continue
        merchant = ways.merchant_id or given or (before[0] if code and before[1] == code else there[1] if there else "")
        before = key = (merchant, code) if code or there is None else (there[1], there[2])
        if there is not None and (there[1], there[2]) != key:
            wrong.append(CellFlaw(row=row, column=sku_at, code="sku_elsewhere", params={"code": there[2]}))
            continue
        if sku and sku in seen:
            wrong.append(CellFlaw(row=row, column=sku_at, code="sku_twice", params={"row": seen[sku]}))
            continue
        if sku:
            seen[sku] = row
        group = groups.get(key)
        if group is None:
            product_id = known.by_code.get(key) or (there[0] if there else "")
            group = groups[key] = Group(merchant_id=key[0], code=key[1], product_id=product_id, rows=[])
        group.rows.append((row, cells))
    return list(groups.values()), wrong


class Reader:
    """Reads groups of one sheet."""

    def __init__(self, plan: Plan, ways: Ways, slugs: Mapping[str, str]) -> None:
        self._plan = plan
        self._ways = ways
        self._slugs = dict(slugs)
        self._new_slugs: dict[str, int] = {}
        self._skus = SkuReader(plan)
        self._attributes: dict[str, dict[str, Attribute]] = {}
        self._attribute_places = [(place, column.key[5:]) for place, column in plan.product if column.key.startswith("attr:")]

    def read(self, group: Group, base: Product | None) -> Outcome:
        """The document of a group's product, of ``base`` (as it is now) and its rows."""
        wrong: list[CellFlaw] = []
        first = group.rows[0]
        self._check_following(group, wrong)
        fields = self._product(first, base, group, wrong)
        options, skus, places = self._skus.read(group.rows, base, wrong)
        doc = Product(**fields, options=options, skus=skus)
        if wrong:
            return Outcome(doc=None, same=False, flaws=(*wrong, *self._beside(doc, first[0], places, wrong)))
        try:
            doc = msgspec.convert(msgspec.to_builtins(doc), Product)
        except msgspec.ValidationError as error:
            return Outcome(doc=None, same=False, flaws=(self._of_form(str(error), doc, first[0], places),))
        doc = in_order(doc)
        if base is not None and doc == in_order(base):
            return Outcome(doc=None, same=True, flaws=())
        wrong += self._of_tables(doc, base, group)
        wrong += [
            CellFlaw(row=row, column=column, code=flaw.code, params=flaw.params)
            for flaw in flaws(doc, self._ways.terms)
            for row, column in [self._where(flaw.path, doc, first[0], places)]
        ]
        return Outcome(doc=None if wrong else doc, same=False, flaws=tuple(wrong), places=tuple(places))

    def image_flaws(self, group: Group, outcome: Outcome, there: Container[str]) -> list[CellFlaw]:
        """Where the document of a group names images that are not there."""
        if outcome.doc is None:
            return []
        found = list(unknown_images(outcome.doc, there.__contains__))
        cells = [self._where(flaw.path, outcome.doc, group.rows[0][0], outcome.places) for flaw in found]
        return [
            CellFlaw(row=row, column=column, code=flaw.code, params=flaw.params) for flaw, (row, column) in zip(found, cells, strict=True)
        ]

    # --- the product's own cells ------------------------------------------------------------------

    def _check_following(self, group: Group, wrong: list[CellFlaw]) -> None:
        if len(group.rows) < 2:
            return
        number, first = group.rows[0]
        for row, cells in group.rows[1:]:
            for place, column in self._plan.product:
                if cells[place] and cells[place] != first[place] and column.key not in ("code", "merchant"):
                    wrong.append(CellFlaw(row=row, column=place, code="first_row_differs", params={"row": number}))

    def _product(self, first: tuple[int, list[str]], base: Product | None, group: Group, wrong: list[CellFlaw]) -> dict[str, Any]:
        cell = _Cells(self._plan, first, wrong)
        ways = self._ways
        code = cell.read("code", read_code, group.code) if base is None else base.code
        category_id = cell.read("category", lambda text: _named(text, "category", ways.terms.categories, ways.categories), "", base)
        return {
            "code": code,
            "merchant_id": group.merchant_id,
            "state": cell.read("state", read_state, base.state if base else "draft"),
            "shelf_at_ms": cell.read("shelf_at", read_time, 0, base),
            "off_at_ms": cell.read("off_at", read_time, 0, base),
            "category_id": category_id,
            "brand_id": cell.read("brand", lambda text: _named(text, "brand", ways.terms.brands, ways.brands), "", base),
            "slug": cell.read("slug", _slug, "", base),
            "texts": ProductTexts(
                en=_text(cell, "en", base.texts.en if base else ProductText()),
                zh=_text(cell, "zh", base.texts.zh if base else ProductText()),
            ),
            "images": cell.read("images", read_images, (), base),
            "attributes": self._read_attributes(first, base, category_id, wrong),
        }

    def _read_attributes(
        self, first: tuple[int, list[str]], base: Product | None, category_id: str, wrong: list[CellFlaw]
    ) -> dict[str, AttributeValue]:
        found = {name: value for name, value in base.attributes.items() if value not in ("", ())} if base else {}
        if not self._attribute_places:
            return found
        defined = self._attributes.get(category_id)
        if defined is None:
            place_of = self._ways.terms.categories.get(category_id)
            defined = self._attributes[category_id] = {one.attribute_id: one for one in place_of.attributes} if place_of else {}
        row, cells = first
        for place, attribute_id in self._attribute_places:
            found.pop(attribute_id, None)
            if not cells[place]:
                continue
            try:
                found[attribute_id] = _attribute(cells[place], defined.get(attribute_id))
            except BadCell as bad:
                wrong.append(CellFlaw(row=row, column=place, code=bad.code, params=bad.params))
        return found

    # --- what is wrong, by cell -------------------------------------------------------------------

    def _beside(self, doc: Product, row: int, places: Sequence[int], wrong: list[CellFlaw]) -> Iterator[CellFlaw]:
        """What is wrong with other cells than those that could not be read, whatever stands in those."""
        bad = {(flaw.row, flaw.column) for flaw in wrong}
        category = self._plan.place("category")
        for flaw in flaws(doc, self._ways.terms):
            if flaw.code not in BY_THEMSELVES and not (flaw.code in OF_CATEGORY and (row, category) not in bad):
                continue
            where = self._where(flaw.path, doc, row, places)
            if where not in bad and where[1] >= 0:
                yield CellFlaw(row=where[0], column=where[1], code=flaw.code, params=flaw.params)

    def _of_tables(self, doc: Product, base: Product | None, group: Group) -> Iterator[CellFlaw]:
        row = group.rows[0][0]
        before = base.state if base else ""
        if not may_move(before, doc.state):
            params = {"from": before or "new", "to": doc.state}
            yield CellFlaw(row=row, column=self._plan.place("state"), code="state_not_allowed", params=params)
        if doc.slug:
            owner = self._slugs.get(doc.slug, group.product_id)
            if owner != group.product_id or self._new_slugs.setdefault(doc.slug, row) != row:
                yield CellFlaw(row=row, column=self._plan.place("slug"), code="slug_taken", params={"slug": doc.slug})

    def _of_form(self, text: str, doc: Product, row: int, places: Sequence[int]) -> CellFlaw:
        found = _WHERE.match(text)
        reason, path = (found[1], found[2]) if found else (text, "")
        row, column = self._where(path, doc, row, places)
        return CellFlaw(row=row, column=column, code="form", params={"reason": reason[:200]})

    def _where(self, path: str, doc: Product, row: int, places: Sequence[int]) -> tuple[int, int]:
        """The cell of a field of the document. places: of each SKU its row, 0 where it has none."""
        sku = _PATH.match(path)
        if sku is None:
            return row, self._plan.place(*_product_keys(path))
        number, field, price = int(sku[1]), sku[2] or "sku", sku[3]
        if number >= len(places):
            return row, -1
        return places[number] or row, self._plan.place(*_sku_keys(doc.skus[number], field, price))


def _product_keys(path: str) -> tuple[str, ...]:
    text = _TEXTS.match(path)
    if text:
        key = f"{text[2] or 'title'}_{text[1]}"
        return (key, "title_zh") if key == "title_en" else (key,)
    head = re.split(r"[.\[]", path, maxsplit=1)[0]
    if head == "attributes":
        return (f"attr:{path[11:]}",)
    if head == "options":
        return ("options", "choice")
    return (_PLACES.get(head, head), "code")


def _sku_keys(sku: Sku, field: str, price: str | None) -> tuple[str, ...]:
    if field == "prices":
        one = sku.prices[int(price)] if price is not None and int(price) < len(sku.prices) else sku.prices[0]
        return f"{one.kind}:{one.currency}", f"list:{one.currency}", "currency"
    return (_PLACES.get(field, field) if field != "code" else "sku",)


class _Cells:
    """The cells of one row by the names of their columns."""

    def __init__(self, plan: Plan, row: tuple[int, list[str]], wrong: list[CellFlaw]) -> None:
        self._plan = plan
        self._row, self._cells = row
        self._wrong = wrong

    def read(self, key: str, read: Callable[[str], Any], empty: Any, base: Product | None = None) -> Any:
        """What a cell says; ``empty`` where it says nothing; without such a column what ``base`` has."""
        place = self._plan.places.get(key, -1)
        if place < 0:
            return empty if base is None else getattr(base, _FIELDS[key])
        text = self._cells[place]
        if not text.strip():
            return empty
        try:
            return read(text)
        except BadCell as bad:
            self._wrong.append(CellFlaw(row=self._row, column=place, code=bad.code, params=bad.params))
            return empty

    def text(self, key: str, now: Any, read: Callable[[str], Any]) -> Any:
        """A text as it stands there, spaces included; without such a column what it is now."""
        place = self._plan.places.get(key, -1)
        if place < 0:
            return now
        text = self._cells[place]
        for at in self._plan.more.get(key, ()):
            text += self._cells[at]
        try:
            return read(text) if text else now.__class__()
        except BadCell as bad:
            self._wrong.append(CellFlaw(row=self._row, column=place, code=bad.code, params=bad.params))
            return now


_FIELDS: Final = {
    "shelf_at": "shelf_at_ms", "off_at": "off_at_ms", "category": "category_id", "brand": "brand_id", "slug": "slug", "images": "images",
}  # fmt: skip


def _up_to(limit: int) -> Callable[[str], str]:
    def read(text: str) -> str:
        if len(text) > limit:
            raise BadCell("too_long", limit=limit)
        return text

    return read


def _keywords(text: str) -> tuple[str, ...]:
    found = read_list(text)
    if len(found) > KEYWORDS_MAX:
        raise BadCell("too_many", limit=KEYWORDS_MAX)
    if any(len(word) > 200 for word in found):
        raise BadCell("too_long", limit=200)
    return found


_LINE, _SEO, _LONG = _up_to(200), _up_to(SEO_MAX), _up_to(HTML_MAX)


def _html(text: str) -> str:
    return clean(_LONG(text))


def _text(cell: _Cells, language: str, now: ProductText) -> ProductText:
    return ProductText(
        title=cell.text(f"title_{language}", now.title, _LINE),
        subtitle=cell.text(f"subtitle_{language}", now.subtitle, _LINE),
        detail=cell.text(f"detail_{language}", now.detail, _html),
        seo_title=cell.text(f"seo_title_{language}", now.seo_title, _LINE),
        seo_description=cell.text(f"seo_description_{language}", now.seo_description, _SEO),
        keywords=cell.text(f"keywords_{language}", now.keywords, _keywords),
    )


def _slug(text: str) -> str:
    text = text.strip()
    if len(text) > 100 or not _SLUG.match(text):
        raise BadCell("slug_form")
    return text


def _named(text: str, what: str, ids: Any, slugs: Mapping[str, str]) -> str:
    text = text.strip()
    if text in ids:
        return text
    if text in slugs:
        return slugs[text]
    raise BadCell(f"{what}_unknown", **{f"{what}_id": text[:100]})


def _attribute(text: str, attribute: Attribute | None) -> AttributeValue:
    match attribute.kind if attribute else "text":
        case "number":
            return read_float(text)
        case "flag":
            return read_flag(text)
        case "choice":
            assert attribute is not None
            return _chosen(text, attribute)
        case "choices":
            assert attribute is not None
            return tuple(_chosen(each, attribute) for each in split(text, ";") if each.strip())
        case _:
            return text


def _chosen(text: str, attribute: Attribute) -> str:
    """A choice by its id or by a title of it."""
    word = plain(text)
    for choice in attribute.choices:
        if word in (choice.value_id, choice.titles.en, choice.titles.zh):
            return choice.value_id
    return word
