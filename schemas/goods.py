"""Goods as merchandisers edit them: a product is one document, changed and versioned as a whole.

The document is the truth of what is sold and how it is described. The tables ``product``, ``sku`` and ``sku_price`` are
made from it in the transaction that writes it (``actors.domain.product.materialised``), for everybody who joins and lists.
"""

import re
from typing import Annotated, Final, Literal

import msgspec

from schemas.money import Currency, MinorUnits

UNSEEN: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
"""Characters that XML has not, and so no workbook: a document with one would not come back from its export."""

FOREVER_MS: Final = 2**53
"""The end of what never ends: the largest integer that every reader of JSON keeps exactly."""

QUANTITY_MAX: Final = 1_000_000

Text = Annotated[str, msgspec.Meta(max_length=200)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Html = Annotated[str, msgspec.Meta(max_length=200_000)]
Code = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/\-]{0,63}$", description="a merchant's own code")]
Slug = Annotated[str, msgspec.Meta(pattern=r"^([a-z0-9]+(-[a-z0-9]+)*)?$", max_length=100)]
Millimetres = Annotated[int, msgspec.Meta(ge=0, le=100_000)]
Grams = Annotated[int, msgspec.Meta(ge=0, le=100_000_000)]
TimeMs = Annotated[int, msgspec.Meta(ge=0, le=FOREVER_MS, description="UTC, milliseconds")]

State = Literal["draft", "scheduled", "on_shelf", "off_shelf", "retired"]
PriceKind = Literal["list", "tier", "promotion", "member"]


class _Edited(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a client may send: nothing else than these fields."""


class Words(_Edited, frozen=True, kw_only=True, rename={"zh": "zh-CN"}):
    """One name in every language of the shop; an empty one shows the other."""

    en: Text = ""
    zh: Text = ""


class ProductText(_Edited, frozen=True, kw_only=True):
    """How a product is described in one language. ``detail``: HTML, sanitised before it is stored."""

    title: Text = ""
    subtitle: Text = ""
    detail: Html = ""
    seo_title: Text = ""
    seo_description: Annotated[str, msgspec.Meta(max_length=500)] = ""
    keywords: Annotated[tuple[Text, ...], msgspec.Meta(max_length=20)] = ()


class ProductTexts(_Edited, frozen=True, kw_only=True, rename={"zh": "zh-CN"}):
    """The descriptions of a product; at least one of them has a title."""

    en: ProductText = ProductText()
    zh: ProductText = ProductText()


class OptionValue(_Edited, frozen=True, kw_only=True):
    """One value of an option (red, XL). ``image_id``: what a shopper sees who chooses it."""

    value_id: Code
    titles: Words
    image_id: str = ""


class Option(_Edited, frozen=True, kw_only=True):
    """One axis of the SKU matrix. ``option_id``: ``color``, ``size``, ``material``, or a free one."""

    option_id: Code
    titles: Words
    values: Annotated[tuple[OptionValue, ...], msgspec.Meta(min_length=1, max_length=100)]


class Price(_Edited, frozen=True, kw_only=True):
    """One price of a SKU; which one applies is the rule of ``actors.domain.pricing``.

    list: what it costs when nothing else applies; one for each currency in which it is sold.
    tier: from ``min_quantity`` units of one line on. promotion: within [starts_at_ms, ends_at_ms). member: for ``level_id``.
    """

    kind: PriceKind = "list"
    currency: Currency
    amount: MinorUnits
    min_quantity: Annotated[int, msgspec.Meta(ge=1, le=QUANTITY_MAX)] = 1
    level_id: Text = ""
    starts_at_ms: TimeMs = 0
    ends_at_ms: TimeMs = FOREVER_MS
    label: Words = Words()
    """What a shopper reads of a promotion ("Spring sale")."""


class Sku(_Edited, frozen=True, kw_only=True):
    """One article. ``choice``: the value of each option. ``code``: unique in the shop; imports know a SKU by it.

    sku_id: empty for a new one, which gets its id when it is written. barcode: EAN-8, UPC-A, EAN-13 or GTIN-14, check digit included.
    """

    sku_id: str = ""
    code: Code
    choice: dict[str, str] = {}
    barcode: Annotated[str, msgspec.Meta(max_length=14)] = ""
    offered: bool = True
    """False takes this one off the shelf while its product stays."""
    prices: Annotated[tuple[Price, ...], msgspec.Meta(min_length=1, max_length=100)]
    weight_g: Grams = 0
    length_mm: Millimetres = 0
    width_mm: Millimetres = 0
    height_mm: Millimetres = 0
    image_id: str = ""
    safety_stock: Annotated[int, msgspec.Meta(ge=0, le=QUANTITY_MAX)] = 0
    """Units in all warehouses below which replenishment is proposed."""


class Image(_Edited, frozen=True, kw_only=True):
    """One picture of a product, in the order in which they are shown."""

    image_id: str
    alt: Words = Words()


AttributeValue = str | bool | float | tuple[str, ...]


class Product(_Edited, frozen=True, kw_only=True):
    """The whole document of one product.

    code: the merchant's own. attributes: by the ids that its category (or one above it) defines; numbers in the unit defined there.
    shelf_at_ms, off_at_ms: when a scheduled product goes on the shelf, and when one leaves it by itself (0: never).
    """

    code: Code
    state: State = "draft"
    shelf_at_ms: TimeMs = 0
    off_at_ms: TimeMs = 0
    merchant_id: str = ""
    category_id: str = ""
    brand_id: str = ""
    slug: Slug = ""
    texts: ProductTexts
    attributes: Annotated[dict[str, AttributeValue], msgspec.Meta(max_length=100)] = {}
    images: Annotated[tuple[Image, ...], msgspec.Meta(max_length=50)] = ()
    options: Annotated[tuple[Option, ...], msgspec.Meta(max_length=4)] = ()
    skus: Annotated[tuple[Sku, ...], msgspec.Meta(max_length=500)] = ()


class Attribute(_Edited, frozen=True, kw_only=True):
    """What products of a category may or must say. choice: one of ``choices``; choices: several of them."""

    attribute_id: Code
    titles: Words
    kind: Literal["text", "number", "flag", "choice", "choices"]
    unit: Text = ""
    choices: Annotated[tuple[OptionValue, ...], msgspec.Meta(max_length=200)] = ()
    required: bool = False
    facet: bool = False
    """True offers it as a filter in lists."""


class Category(_Edited, frozen=True, kw_only=True):
    """A node of the tree. ``parent_id`` empty: a root. Products stand in nodes of any depth."""

    category_id: str = ""
    parent_id: str = ""
    titles: Words
    slug: Slug = ""
    position: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0
    shown: bool = True
    attributes: Annotated[tuple[Attribute, ...], msgspec.Meta(max_length=100)] = ()


class Brand(_Edited, frozen=True, kw_only=True):
    """A brand, as it is shown and searched for. ``aliases``: other spellings (耐克)."""

    brand_id: str = ""
    titles: Words
    slug: Slug = ""
    aliases: Annotated[tuple[Text, ...], msgspec.Meta(max_length=20)] = ()
    logo_id: str = ""
