"""The catalogue over HTTP."""

import msgspec

from schemas.goods import Option
from schemas.http.prices import PriceNow
from schemas.http.shapes import Timestamp
from schemas.http.titles import Titles as Titles
from schemas.money import Money


class ProductImage(msgspec.Struct, frozen=True, kw_only=True):
    """A picture. ``url``: of a middle width; ``srcset``: of all, as HTML takes it."""

    image_id: str
    alt: Titles
    url: str
    srcset: str


class ProductSku(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One article of a product. ``in_stock`` is at most a moment old.

    price: what one costs anybody now; ``pricing`` says why, and is absent where the article is not sold in the currency that was asked for.
    choice: its value of each option. Sizes in millimetres, weight in grams, absent where nobody has said them.
    """

    sku_id: str
    code: str
    price: Money
    on_sale: bool
    in_stock: bool
    pricing: PriceNow | None = None
    choice: dict[str, str] = {}
    barcode: str = ""
    weight_g: int = 0
    length_mm: int = 0
    width_mm: int = 0
    height_mm: int = 0
    image_id: str = ""


class ProductSeo(msgspec.Struct, frozen=True, kw_only=True):
    """For search engines; the product's own words where nobody has written any. keywords: by language."""

    titles: Titles
    descriptions: Titles
    keywords: dict[str, tuple[str, ...]]


class ProductAttribute(msgspec.Struct, frozen=True, kw_only=True):
    """One attribute, as the category defines it. value: a text, number or flag, or a list of texts; texts: the same for people."""

    attribute_id: str
    titles: Titles
    unit: str
    value: str | bool | float | tuple[str, ...]
    texts: Titles


class NamedPlace(msgspec.Struct, frozen=True, kw_only=True):
    """A brand or a category by its id."""

    id: str
    titles: Titles
    slug: str


class NamedTag(msgspec.Struct, frozen=True, kw_only=True):
    """A tag, as shoppers see it."""

    tag_id: str
    titles: Titles


class Product(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A product with its articles. Fields beyond ``skus`` are absent where there is nothing to tell.

    details: HTML, sanitised. category_path: from the root. options: the axes of the matrix of articles. version: of what is shown.
    """

    product_id: str
    titles: Titles
    department: Titles
    category: str | None
    type: str | None
    brand: str | None
    size: str | None
    skus: tuple[ProductSku, ...]
    code: str = ""
    slug: str = ""
    subtitles: Titles | None = None
    details: Titles | None = None
    seo: ProductSeo | None = None
    options: tuple[Option, ...] = ()
    images: tuple[ProductImage, ...] = ()
    attributes: tuple[ProductAttribute, ...] = ()
    brand_named: NamedPlace | None = None
    category_path: tuple[NamedPlace, ...] = ()
    tags: tuple[NamedTag, ...] = ()
    on_shelf_since: Timestamp | None = None
    version: int = 0


class ProductLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A product in a list. ``price``: what its cheapest article costs anybody now; null when none is on sale in the currency.

    list_price: to be struck through; absent where that is the ``price``. until: when the price ends.
    """

    product_id: str
    titles: Titles
    category: str | None
    brand: str | None
    price: Money | None
    list_price: Money | None = None
    price_kind: str = ""
    until: Timestamp | None = None
    slug: str = ""
    category_id: str = ""
    brand_id: str = ""
    tags: tuple[str, ...] = ()
    image: ProductImage | None = None


class ProductPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page; ``next_cursor`` is null on the last."""

    products: tuple[ProductLine, ...]
    next_cursor: str | None
