"""A product as a document of the index: its words, what it is filtered and counted by, and the line that is shown."""

import json
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

import msgspec
import tantivy

from actors.domain.search_text import characters, codes, distinct, folded, keys, prefixes, readings, runs, whole, words
from actors.storage.search.chinese import cut, cut_finely, read
from actors.storage.search.index import META, PRODUCT
from actors.storage.search.rows import Named, Names
from schemas.http.catalogue import ProductLine, Titles
from schemas.money import Money

PREFIX_MAX: Final = 12
"""Characters of what is being typed that narrow suggestions down; from then on there are few."""
OWN_SHOWN: Final = "\x1f"
"""Between the languages of a suggested title."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What an index keeps of a product to show it."""

    line: ProductLine
    in_stock: bool


def product_document(row: Any, names: Names) -> tantivy.Document:
    """The document of one row of ``rows.PRODUCTS``."""
    document = tantivy.Document()
    document.add_text("id", row["product_id"])
    document.add_text("kind", PRODUCT)
    category = row["category_id"] or row["category"] or ""
    brand = row["brand_id"] or row["brand"] or ""
    path = names.path(category)
    _add_words(document, row, names, path, brand)
    for name, values in (("category", path), ("brand", [brand] if brand else []), ("tag", row["tags"])):
        for value in values:
            document.add_text(name, value)
    for value in _facets(row["attributes"], names):
        document.add_text("attr", value)
    document.add_integer("in_stock", int(row["in_stock"]))
    document.add_integer("since", row["on_shelf_since_ms"])
    document.add_integer("sales", row["sold"])
    if row["price_min"] is not None:
        document.add_integer("price_min", row["price_min"])
        document.add_integer("price_max", row["price_max"])
    document.add_bytes("body", msgspec.json.encode(_kept(row)))
    return document


def _kept(row: Any) -> Kept:
    price = None if row["price_min"] is None else Money(amount=row["price_min"], currency=row["currency"])
    line = ProductLine(
        product_id=row["product_id"],
        titles=Titles(en=row["title"], zh=row["title_zh"]),
        category=row["category"],
        brand=row["brand"],
        price=price,
    )
    return Kept(line=line, in_stock=row["in_stock"])


def _add_words(document: tantivy.Document, row: Any, names: Names, path: list[str], brand: str) -> None:
    titles = distinct([row["title"], row["title_zh"]])
    categories = [names.categories[name] for name in path if name in names.categories]
    nearest = [text for named in categories[:1] for text in (named.en, named.zh)]
    named_brand = names.brands.get(brand)
    brands = [named_brand.en, named_brand.zh, *named_brand.aliases] if named_brand is not None else [brand]
    above = [text for named in categories[1:] for text in (named.en, named.zh)]
    tags = [text for tag in row["tags"] if (named := names.tags.get(tag)) is not None for text in (named.en, named.zh)]
    more = [row["subtitle"], row["subtitle_zh"], *_texts(row["keywords"]), *_texts(row["keywords_zh"]), *_texts(row["attributes"])]
    others = [row["department"], row["department_zh"], *brands, *above, *tags, *_titles_of_options(row["options"]), *more]
    _add(document, "title", _cut(titles))
    _add(document, "kinds", _cut([row["type"], *nearest]))
    _add(document, "words", _cut(others))
    _add(document, "exact", distinct(whole(text) for text in (row["type"], *nearest) if text and whole(text)))
    _add(document, "chars", [one for text in (*titles, *nearest, *brands) if text for one in (*characters(text), "\x1e")])
    full, initials = readings(" ".join(text for text in (*titles, *nearest, *brands) if text), cut, cut_finely, read)
    _add(document, "pinyin", full)
    _add(document, "initials", initials)
    _add(document, "code", codes([row["code"] or "", *(row["codes"] or ()), *(row["barcodes"] or ()), *(row["ids"] or ())]))
    shown = [without_size(title, row["size"]) for title in (row["title"], row["title_zh"])]
    _add(document, "prefix", prefixes((key for title in distinct(shown) for key in keys(title, cut, read)), PREFIX_MAX))
    document.add_text("shown", OWN_SHOWN.join(shown))


def without_size(title: str, size: str | None) -> str:
    """A title as it is suggested: a dozen sizes of one thing are one suggestion."""
    return title.removesuffix(" " + size) if size else title


def _cut(texts: Iterable[str | None]) -> list[str]:
    return distinct(word for text in texts if text for word in _words(text))


@lru_cache(maxsize=8192)
def _words(text: str) -> tuple[str, ...]:
    """Categories, brands and types repeat all the time."""
    return tuple(words(text, cut_finely))


def _add(document: tantivy.Document, field: str, found: list[str]) -> None:
    if found:
        document.add_text(field, " ".join(found))


def _texts(found: str | None) -> list[str]:
    """Every text within a value of JSON."""
    if not found:
        return []
    return list(_strings(json.loads(found)))


def _strings(value: Any) -> Iterable[str]:
    match value:
        case str():
            yield value
        case list():
            for one in value:
                yield from _strings(one)
        case dict():
            for one in value.values():
                yield from _strings(one)


def _titles_of_options(found: str | None) -> list[str]:
    return [
        text
        for option in json.loads(found or "[]")
        for value in option.get("values", ())
        for text in value.get("titles", {}).values()
        if text
    ]


def _facets(found: str | None, names: Names) -> list[str]:
    values = []
    for name, value in json.loads(found or "{}").items():
        if name in names.attributes:
            values += [f"{name}={text_of(one)}" for one in (value if isinstance(value, list) else [value])]
    return distinct(value[:200] for value in values)


def text_of(value: str | bool | float) -> str:
    """A value of an attribute as filters write it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else f"{value:g}"


def with_keys(names: Names) -> Names:
    """Names with what somebody types who wants a category or a brand."""

    def keyed(named: Named) -> Named:
        found = distinct(key for text in (named.en, named.zh, *named.aliases) for key in keys(text, cut, read))
        return msgspec.structs.replace(named, keys=tuple(found))

    return msgspec.structs.replace(
        names,
        categories={name: keyed(named) for name, named in names.categories.items()},
        brands={name: keyed(named) for name, named in names.brands.items()},
    )


def meta_document(name: str, body: bytes) -> tantivy.Document:
    """A document about the index itself: it is written with what it speaks of, or not at all."""
    document = tantivy.Document()
    document.add_text("id", name)
    document.add_text("kind", META)
    document.add_bytes("body", body)
    return document


def typed(text: str) -> str:
    """What somebody has typed so far, as prefixes are looked up."""
    return "".join(runs(folded(text)))[:PREFIX_MAX]
