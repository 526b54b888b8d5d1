"""A sheet of goods: its columns, and what each means.

One row a SKU; what is said of the product stands in the first of its rows, and in the others the same or nothing. A SKU is known
by its code: a row whose code exists changes that SKU, and what has no column stays as it is. Stock is not in a sheet: it belongs to
its owners, who count it by movements. Reading is in ``sheet_reading``, writing in ``sheet_writing``, single cells in ``sheet_cells``.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple

import msgspec

from actors.domain.sheet_cells import CODE
from actors.domain.sheet_words import HELP

Scope = Literal["product", "sku", "said"]

DETAIL_PARTS: Final = 8
"""A cell of a workbook holds 32,767 characters, a description up to 200,000: it goes on in further columns."""

CELL_CHARACTERS_MAX: Final = 32_767


class Column(NamedTuple):
    """One column. key: what it is called here. scope: said of the product, of the SKU, or by us (flaws, which are passed over)."""

    key: str
    scope: Scope
    en: str
    zh: str
    help_en: str = ""
    help_zh: str = ""


def _of(scope: Scope, *rows: tuple[str, str, str]) -> tuple[Column, ...]:
    return tuple(Column(key, scope, english, chinese, *HELP[key]) for key, english, chinese in rows)


FIXED: Final[tuple[Column, ...]] = (
    *_of(
        "said",
        ("row", "row", "行号"),
        ("flaws", "problems", "问题"),
    ),
    *_of(
        "product",
        ("code", "product code", "商品编码"),
        ("merchant", "merchant", "商家"),
        ("state", "state", "状态"),
        ("shelf_at", "shelf from", "上架时间"),
        ("off_at", "shelf until", "下架时间"),
        ("category", "category", "类目"),
        ("brand", "brand", "品牌"),
        ("slug", "slug", "网址别名"),
        ("title_en", "title en", "英文标题"),
        ("title_zh", "title zh", "中文标题"),
        ("subtitle_en", "subtitle en", "英文副标题"),
        ("subtitle_zh", "subtitle zh", "中文副标题"),
        ("detail_en", "detail en", "英文详情"),
        ("detail_zh", "detail zh", "中文详情"),
        ("seo_title_en", "seo title en", "英文 SEO 标题"),
        ("seo_title_zh", "seo title zh", "中文 SEO 标题"),
        ("seo_description_en", "seo description en", "英文 SEO 描述"),
        ("seo_description_zh", "seo description zh", "中文 SEO 描述"),
        ("keywords_en", "keywords en", "英文关键词"),
        ("keywords_zh", "keywords zh", "中文关键词"),
        ("images", "images", "图片"),
        ("options", "options", "规格定义"),
    ),
    *_of(
        "sku",
        ("sku", "sku code", "SKU 编码"),
        ("choice", "choice", "规格"),
        ("barcode", "barcode", "条码"),
        ("offered", "offered", "可售"),
        ("currency", "main currency", "主币种"),
        ("promotion_from", "promotion from", "促销开始"),
        ("promotion_to", "promotion to", "促销结束"),
        ("weight", "weight g", "重量(克)"),
        ("length", "length mm", "长(毫米)"),
        ("width", "width mm", "宽(毫米)"),
        ("height", "height mm", "高(毫米)"),
        ("image", "sku image", "SKU 图片"),
        ("safety_stock", "safety stock", "安全库存"),
    ),
)  # fmt: skip

BY_CURRENCY: Final[tuple[Column, ...]] = _of(
    "sku",
    ("list", "price", "价格"),
    ("tier", "tiers", "阶梯价"),
    ("promotion", "promotion", "促销价"),
    ("member", "member", "会员价"),
)  # fmt: skip
"""Each with a currency after its name."""

ATTRIBUTE: Final = Column("attr", "product", "attr", "属性", "`attr:material`: an attribute by its id.", "`属性:material`:按属性 ID 填写。")

_CURRENCY: Final = re.compile(r"(.+) ([a-z]{3})\Z")
_PART: Final = re.compile(r"(.+) ([2-8])\Z")
_NAMES: Final = {name.casefold(): column for column in FIXED for name in (column.en, column.zh)}
_PRICES: Final = {name.casefold(): column for column in BY_CURRENCY for name in (column.en, column.zh)}


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What the columns of one sheet are, by their place; None for one that is not read.

    product, sku: (place, column) of each scope. more: where long descriptions go on, in order, by the column in which they begin.
    """

    columns: tuple[Column | None, ...]
    product: tuple[tuple[int, Column], ...]
    sku: tuple[tuple[int, Column], ...]
    places: dict[str, int]
    more: dict[str, tuple[int, ...]] = {}

    def has(self, key: str) -> bool:
        """Whether the sheet has this column."""
        return key in self.places

    def place(self, *keys: str) -> int:
        """Where the first of these columns stands that the sheet has; -1: none of them."""
        return next((self.places[key] for key in keys if key in self.places), -1)


class CellFlaw(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One bad cell. row: as a spreadsheet counts, from 1. column: its place from 0, -1 for the whole row. code: of the words."""

    row: int
    column: int
    code: str
    params: dict[str, Any] = {}


@lru_cache(maxsize=4096)
def column_of(name: str) -> Column | None:
    """The column of a header in either language; None for one that we do not know."""
    shown = " ".join(unicodedata.normalize("NFKC", name).split())
    text = shown.casefold()
    # NFKC makes the brackets of a Chinese header plain ones; the table's are made the same.
    found = _NAMES.get(text) or _FOLDED.get(text)
    if found is not None:
        return found
    head, colon, attribute_id = shown.partition(":")
    if colon and head.strip().casefold() in (ATTRIBUTE.en, ATTRIBUTE.zh):
        return attribute_column(attribute_id.strip()) if CODE.match(attribute_id.strip()) else None
    if (parts := _PART.match(text)) and (base := _NAMES.get(parts[1])) is not None and base.key.startswith("detail_"):
        return detail_column(base.key, int(parts[2]))
    if (prices := _CURRENCY.match(text)) and (base := _PRICES.get(prices[1])) is not None:
        return price_column(base.key, prices[2].upper())
    return None


_FOLDED: Final = {" ".join(unicodedata.normalize("NFKC", column.zh).split()).casefold(): column for column in FIXED}
_KEYS: Final = {column.key: column for column in (*FIXED, *BY_CURRENCY, ATTRIBUTE)}


def fixed(key: str) -> Column:
    """A column of every sheet by its key."""
    return _KEYS[key]


def price_column(kind: str, currency: str) -> Column:
    """The column of one kind of price in one currency."""
    base = _KEYS[kind]
    return base._replace(key=f"{kind}:{currency}", en=f"{base.en} {currency}", zh=f"{base.zh} {currency}")


def attribute_column(attribute_id: str) -> Column:
    """The column of one attribute."""
    return ATTRIBUTE._replace(key=f"attr:{attribute_id}", en=f"attr:{attribute_id}", zh=f"属性:{attribute_id}")


def detail_column(key: str, number: int) -> Column:
    """The column in which a long description goes on, from 2."""
    base = _KEYS[key]
    return base._replace(key=f"{key}:{number}", en=f"{base.en} {number}", zh=f"{base.zh} {number}")


def plan_of(header: Sequence[str]) -> tuple[Plan, list[CellFlaw]]:
    """What a sheet's columns are by its first row, and what is wrong with that row."""
    columns: list[Column | None] = []
    places: dict[str, int] = {}
    wrong = []
    for place, name in enumerate(header):
        column = column_of(name) if name.strip() else None
        if column is None and name.strip():
            wrong.append(CellFlaw(row=1, column=place, code="column_unknown", params={"name": name[:100]}))
        elif column is not None and column.key in places:
            wrong.append(CellFlaw(row=1, column=place, code="column_repeated", params={"name": name[:100]}))
            column = None
        if column is not None:
            places[column.key] = place
        columns.append(column if column is None or column.scope != "said" else None)
    if "sku" not in places and "code" not in places:
        wrong.append(CellFlaw(row=1, column=-1, code="column_missing", params={"name": fixed("sku").en, "name_zh": fixed("sku").zh}))
    numbered = [(place, column) for place, column in enumerate(columns) if column is not None]
    return Plan(
        columns=tuple(columns),
        product=tuple(one for one in numbered if one[1].scope == "product"),
        sku=tuple(one for one in numbered if one[1].scope == "sku"),
        places=places,
        more={
            key: found
            for key in ("detail_en", "detail_zh")
            if (found := tuple(places[more] for number in range(2, DETAIL_PARTS + 1) if (more := f"{key}:{number}") in places))
        },
    ), wrong


def header_of(columns: Sequence[Column], language: str) -> list[str]:
    """The first row of a sheet with these columns."""
    return [column.zh if language == "zh-CN" else column.en for column in columns]


def template_columns(currencies: Sequence[str], attributes: Sequence[str] = ()) -> list[Column]:
    """The columns of an empty sheet, to be filled."""
    return columns_for(tuple(currencies), tuple(attributes), {}, {"list", "tier", "promotion", "member"}, main_currency=False)


def columns_for(
    currencies: tuple[str, ...], attributes: tuple[str, ...], details: dict[str, int], kinds: set[str], *, main_currency: bool
) -> list[Column]:
    """The columns of a sheet, always in the same order. details: how many columns the longest description of each language takes."""
    found: list[Column] = []
    for column in FIXED:
        if column.scope == "said" or (column.key == "currency" and not main_currency):
            continue
        if column.key == "sku":
            found += [attribute_column(attribute_id) for attribute_id in attributes]
        if column.key == "promotion_from":
            found += [price_column(base.key, currency) for currency in currencies for base in BY_CURRENCY if base.key in kinds]
        found.append(column)
        found += [detail_column(column.key, number) for number in range(2, details.get(column.key, 1) + 1)]
    return found
