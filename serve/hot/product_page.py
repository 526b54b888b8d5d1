"""A product's page and the lines of lists, made of what was read. Prices are the rule's; an empty text shows the other language's."""

from typing import Any, Final, NamedTuple

from actors.domain.entity import Refused
from actors.storage.product_pages import LineRows, ProductRows, lowest
from schemas.goods import FOREVER_MS, Attribute, AttributeValue, Image, Sku, Words
from schemas.goods import Product as Document
from schemas.http.catalogue import (
    Product,
    ProductAttribute,
    ProductImage,
    ProductLine,
    ProductSeo,
    ProductSku,
)
from schemas.http.titles import Titles
from schemas.money import Money
from schemas.offer import Offer
from serve.answers import timestamp
from serve.prices import ends, price_now

IMAGE_WIDTHS: Final = (160, 480, 960, 1600)
"""Pixels: the widths in which pictures are kept."""

IMAGE_WIDTH: Final = 960


class Made(NamedTuple):
    """A page. until_ms: when its prices may change by themselves (wall clock). skus: what stands on it. in_stock: those that there are."""

    page: Product
    until_ms: int
    skus: tuple[str, ...]
    in_stock: frozenset[str]


def product_page(rows: ProductRows, now_ms: int, currency: str = "") -> Made | Refused:
    """The page of a product in a currency ("": each article's own). Refused ``currency_not_offered`` when no article is sold in it."""
    known = {sku.sku_id: sku for sku in rows.doc.skus}
    until_ms, skus, refused = FOREVER_MS, [], None
    for row in rows.skus:
        offer = rows.facts["sku:" + row["sku_id"]]
        assert isinstance(offer, Offer)
        priced = price_now(offer, rows.facts, now_ms, currency=currency)
        if isinstance(priced, Refused):
            refused = priced
            skus.append(_sku(row, known.get(row["sku_id"]), Money(amount=offer.price, currency=offer.currency), None))
        else:
            until_ms = min(until_ms, priced[1])
            skus.append(_sku(row, known.get(row["sku_id"]), priced[0].unit_price, priced[0]))
    if refused is not None and all(sku.pricing is None for sku in skus):
        return refused
    page = _page(rows, tuple(skus))
    stocked = frozenset(row["sku_id"] for row in rows.skus if row["in_stock"])
    return Made(page, until_ms, tuple(row["sku_id"] for row in rows.skus), stocked)


def _sku(row: dict[str, Any], said: Sku | None, price: Money, pricing: Any) -> ProductSku:
    said = said or Sku(code=row["code"], prices=())
    return ProductSku(
        sku_id=row["sku_id"],
        code=row["code"],
        price=price,
        on_sale=pricing is not None,
        in_stock=row["in_stock"],
        pricing=pricing,
        choice=said.choice,
        barcode=row["barcode"],
        weight_g=row["weight_g"],
        length_mm=said.length_mm,
        width_mm=said.width_mm,
        height_mm=said.height_mm,
        image_id=said.image_id,
    )


def _page(rows: ProductRows, skus: tuple[ProductSku, ...]) -> Product:
    product, doc = rows.product, rows.doc
    # Titles of the columns: those of a seeded product may be longer than a document takes.
    titles = Titles(en=product["title"], zh=product["title_zh"])
    return Product(
        product_id=product["product_id"],
        titles=titles,
        department=Titles(en=product["department"], zh=product["department_zh"]),
        category=product["category"],
        type=product["type"],
        brand=product["brand"],
        size=product["size"],
        skus=skus,
        code=product["code"] or "",
        slug=product["slug"] or "",
        subtitles=_either(doc.texts.en.subtitle, doc.texts.zh.subtitle),
        details=_either(doc.texts.en.detail, doc.texts.zh.detail),
        seo=_seo(doc, titles),
        options=doc.options if len(skus) > 1 or product["doc"] is not None else (),
        images=tuple(image_of(image) for image in doc.images),
        attributes=_attributes(rows),
        brand_named=rows.brand,
        category_path=rows.path,
        tags=rows.tags,
        on_shelf_since=timestamp(product["on_shelf_since_ms"]),
        version=product["version"],
    )


def _either(en: str, zh: str) -> Titles | None:
    return Titles(en=en or zh, zh=zh or en) if en or zh else None


def _seo(doc: Document, titles: Titles) -> ProductSeo | None:
    en, zh = doc.texts.en, doc.texts.zh
    words = (en.seo_title, zh.seo_title, en.seo_description, zh.seo_description, en.keywords, zh.keywords)
    if not any(words):
        return None
    said = _either(en.seo_title, zh.seo_title) or titles
    described = _either(en.seo_description, zh.seo_description) or _either(en.subtitle, zh.subtitle) or Titles(en="", zh="")
    return ProductSeo(titles=said, descriptions=described, keywords={"en": en.keywords, "zh-CN": zh.keywords})


def image_of(image: Image) -> ProductImage:
    """A picture under the addresses that it is served by."""
    base = f"/media/{image.image_id}/"
    return ProductImage(
        image_id=image.image_id,
        alt=_words(image.alt),
        url=f"{base}{IMAGE_WIDTH}.webp",
        srcset=", ".join(f"{base}{width}.webp {width}w" for width in IMAGE_WIDTHS),
    )


def _words(words: Words) -> Titles:
    return Titles(en=words.en or words.zh, zh=words.zh or words.en)


def _attributes(rows: ProductRows) -> tuple[ProductAttribute, ...]:
    """In the order in which the categories define them; one that no category defines any more is not shown."""
    found: dict[str, ProductAttribute] = {}
    for defined in rows.attributes:
        value = rows.doc.attributes.get(defined.attribute_id)
        if value is not None:
            found[defined.attribute_id] = ProductAttribute(
                attribute_id=defined.attribute_id,
                titles=_words(defined.titles),
                unit=defined.unit,
                value=value,
                texts=_value_texts(defined, value),
            )
    return tuple(found.values())


def _value_texts(defined: Attribute, value: AttributeValue) -> Titles:
    if isinstance(value, bool):
        return Titles(en="Yes" if value else "No", zh="是" if value else "否")
    if isinstance(value, float):
        number = f"{value:g}" if abs(value) < 1e6 else f"{value:.0f}"
        text = f"{number} {defined.unit}".strip()
        return Titles(en=text, zh=text)
    names = {choice.value_id: _words(choice.titles) for choice in defined.choices}
    chosen = [names.get(each, Titles(en=each, zh=each)) for each in (value if isinstance(value, tuple) else (value,))]
    return Titles(en=", ".join(each.en for each in chosen), zh="、".join(each.zh for each in chosen))


def product_line(rows: LineRows, image: Image | None, now_ms: int, currency: str = "") -> ProductLine:
    """A product in a list, with what its cheapest article costs anybody now."""
    product = rows.product
    best = lowest(rows.offers, rows.facts, now_ms, currency)
    return ProductLine(
        product_id=product["product_id"],
        titles=Titles(en=product["title"], zh=product["title_zh"]),
        category=product["category"],
        brand=product["brand"],
        price=None if best is None else Money(amount=best.amount, currency=best.currency),
        list_price=None if best is None or best.list_price == best.amount else Money(amount=best.list_price, currency=best.currency),
        price_kind="" if best is None else best.kind,
        until=None if best is None else ends(best.until_ms),
        slug=product["slug"] or "",
        category_id=product["category_id"] or "",
        brand_id=product["brand_id"] or "",
        tags=tuple(product["tags"]),
        image=None if image is None else image_of(image),
    )
