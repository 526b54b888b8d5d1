"""The catalogue over HTTP."""

import msgspec

from schemas.money import Money


class Titles(msgspec.Struct, frozen=True, kw_only=True, rename={"zh": "zh-CN"}):
    """One name in every language of the shop."""

    en: str
    zh: str


class ProductSku(msgspec.Struct, frozen=True, kw_only=True):
    """One article of a product. ``in_stock`` is at most a moment old."""

    sku_id: str
    code: str
    price: Money
    on_sale: bool
    in_stock: bool


class Product(msgspec.Struct, frozen=True, kw_only=True):
    """A product with its articles."""

    product_id: str
    titles: Titles
    department: Titles
    category: str | None
    type: str | None
    brand: str | None
    size: str | None
    skus: tuple[ProductSku, ...]


class ProductLine(msgspec.Struct, frozen=True, kw_only=True):
    """A product in a list. ``price``: its cheapest article; null when none is on sale."""

    product_id: str
    titles: Titles
    category: str | None
    brand: str | None
    price: Money | None


class ProductPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page; ``next_cursor`` is null on the last."""

    products: tuple[ProductLine, ...]
    next_cursor: str | None
