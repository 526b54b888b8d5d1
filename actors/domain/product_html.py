"""The HTML of product descriptions: what a shop needs, and nothing that acts. Pure; the same again for what it has answered."""

import re
from collections import Counter
from html import escape
from html.parser import HTMLParser
from typing import Final

import msgspec
import nh3

from schemas.goods import Product, ProductText

TAGS: Final = frozenset({
    "a", "b", "blockquote", "br", "caption", "code", "col", "colgroup", "dd", "del", "div", "dl", "dt", "em", "figcaption", "figure", "h2",
    "h3", "h4", "h5", "h6", "hr", "i", "img", "ins", "li", "mark", "ol", "p", "pre", "s", "small", "span", "strong", "sub", "sup", "table",
    "tbody", "td", "tfoot", "th", "thead", "tr", "u", "ul",
})  # fmt: skip
EMPTIED: Final = frozenset(
    {"script", "style", "iframe", "object", "embed", "noscript", "noembed", "noframes", "template", "svg", "math", "xmp"}
)
"""Tags whose content goes with them: it was never text for people."""

ATTRIBUTES: Final[dict[str, set[str]]] = {
    "*": {"style", "title", "lang", "dir"},
    "a": {"href"},
    "img": {"src", "alt", "width", "height"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan", "scope"},
    "col": {"span"},
    "colgroup": {"span"},
    "ol": {"start", "reversed"},
}
STYLES: Final = frozenset({"color", "background-color", "font-weight", "font-style", "text-align", "text-decoration", "width"})
_STYLE_VALUE: Final = re.compile(r"[#a-zA-Z0-9 .%,\-]{1,60}\Z")
_MEDIA: Final = re.compile(r"/media/[A-Za-z0-9][A-Za-z0-9_./\-]{0,200}\Z")
LANGUAGES: Final = {"en": "en", "zh": "zh-CN"}
_SPACES: Final = re.compile(r"\s+")
_LINK: Final = re.compile(r"(https?://|mailto:)[^\s\x00-\x1f]{1,1900}\Z", re.IGNORECASE)
_SCRIPT: Final = re.compile(r"(javascript|vbscript|livescript|data):", re.IGNORECASE)
_CONTROLS: Final = re.compile(r"[\x00-\x20]+")
_NUMBER: Final = re.compile(r"[0-9]{1,4}%?\Z")
_NUMBERS: Final = frozenset({"width", "height", "colspan", "rowspan", "span", "start"})


def _attribute(tag: str, name: str, value: str) -> str | None:
    match name:
        case "href":
            return value if _LINK.match(value) else None
        case "src":
            return value if _MEDIA.match(value) and ".." not in value else None
        case "style":
            return _style(value) or None
        case _ if name in _NUMBERS:
            return value if _NUMBER.match(value) else None
        case _:
            # A word for people all the same: whoever copies it into a link some day must not copy a script.
            return None if _SCRIPT.match(_CONTROLS.sub("", value)) else value


def _style(value: str) -> str:
    kept = []
    for declaration in value.split(";"):
        name, _, given = declaration.partition(":")
        name, given = name.strip().lower(), given.strip()
        if name in STYLES and _STYLE_VALUE.match(given):
            kept.append(f"{name}:{given}")
    return ";".join(kept)


PASSES_MAX: Final = 8
_CLEANER: Final = nh3.Cleaner(
    tags=set(TAGS),
    clean_content_tags=set(EMPTIED),
    attributes=ATTRIBUTES,
    attribute_filter=_attribute,
    url_schemes={"http", "https", "mailto"},
    link_rel="noopener",
    strip_comments=True,
)


def clean(html: str) -> str:
    """The HTML without anything that is not allowed. A text without markup is as it was.

    Taking out may leave what a reader builds anew (a paragraph in a paragraph), so it is read again until it stays the same; what
    will not settle is shown as the text that it is.
    """
    if "<" not in html and "&" not in html and ">" not in html:
        return html
    for _ in range(PASSES_MAX):
        # A carriage return that was written as a reference would be read as a line's end the next time.
        cleaned = _CLEANER.clean(html).replace("\r", "\n")
        if cleaned == html:
            return cleaned
        html = cleaned
    return escape(html, quote=False)


def sanitised(doc: Product) -> tuple[Product, tuple[str, ...]]:
    """The document with its HTML cleaned, and the paths of the texts of which something was taken out."""
    texts, removed = {}, []
    for language in ("en", "zh"):
        text: ProductText = getattr(doc.texts, language)
        detail = clean(text.detail)
        if detail != text.detail:
            texts[language] = msgspec.structs.replace(text, detail=detail)
            if _contents(text.detail) - _contents(detail):
                removed.append(f"texts.{LANGUAGES[language]}.detail")
    if not texts:
        return doc, ()
    return msgspec.structs.replace(doc, texts=msgspec.structs.replace(doc.texts, **texts)), tuple(removed)


class _Contents(HTMLParser):
    """What stands in a piece of HTML: its tags with each attribute, and its words."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: Counter[tuple[str, ...]] = Counter()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found[(tag,)] += 1
        for name, value in attrs:
            if name != "rel":
                self.found[(tag, name, _SPACES.sub("", value or "").rstrip(";"))] += 1

    def handle_data(self, data: str) -> None:
        self.found.update((word, "") for word in data.split())

    def handle_comment(self, data: str) -> None:
        self.found[("", "comment")] += 1

    def unknown_decl(self, data: str) -> None:
        self.found[("", "declaration")] += 1


def _contents(html: str) -> Counter[tuple[str, ...]]:
    parser = _Contents()
    parser.feed(html)
    parser.close()
    return parser.found
