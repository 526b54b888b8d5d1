"""Descriptions of products: what stays, what goes, and that nothing which acts is left of any vector of a public list."""

import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.domain.product_html import clean, sanitised
from schemas.goods import Product, ProductText, ProductTexts

VECTORS: list[str] = json.loads((Path(__file__).parent / "xss_vectors.json").read_text())["vectors"]
ACTIVE = {
    "applet", "audio", "base", "body", "button", "embed", "form", "frame", "frameset", "head", "html", "iframe", "input", "isindex",
    "keygen", "link", "marquee", "math", "meta", "noscript", "object", "option", "script", "select", "source", "style", "svg", "template",
    "textarea", "title", "video", "xml", "xmp",
}  # fmt: skip
SCRIPT_URL = re.compile(r"(javascript|vbscript|livescript|data|jar|feed|mocha):", re.IGNORECASE)
STYLE_ACTS = re.compile(r"expression|url\(|@import|behaviou?r|-moz-binding|\\|/\*", re.IGNORECASE)


class Acting(HTMLParser):
    """Everything in a piece of HTML that could act, as this parser reads it."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[Any] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag.partition(":")[0] in ACTIVE or not tag.isalnum():
            self.found.append(tag)
        for name, value in attrs:
            # As a browser reads it, as it reads that again, and without what browsers pass over in a URL.
            read = [re.sub(r"[\x00-\x20\x7f-\xa0]", "", text) for text in (value or "", html.unescape(html.unescape(value or "")))]
            if name.startswith("on") or name in ("srcdoc", "formaction", "action", "xlink:href", "id", "name", "class"):
                self.found.append((tag, name))
            if any(SCRIPT_URL.match(text) for text in read) or (name == "style" and STYLE_ACTS.search(value or "")):
                self.found.append((tag, name, value))

    def handle_comment(self, data: str) -> None:
        self.found.append("comment")

    def handle_decl(self, decl: str) -> None:
        self.found.append("declaration")

    def handle_pi(self, data: str) -> None:
        self.found.append("instruction")


def acting(text: str) -> list[Any]:
    parser = Acting()
    parser.feed(text)
    parser.close()
    return parser.found


def product(en: str = "", zh: str = "") -> Product:
    return Product(code="A", texts=ProductTexts(en=ProductText(title="A", detail=en), zh=ProductText(detail=zh)))


def test_the_reader_of_this_test_sees_what_acts() -> None:
    assert len(VECTORS) >= 150
    assert len(set(VECTORS)) == len(VECTORS)
    seen = [vector for vector in VECTORS if acting(vector)]
    assert len(seen) > 0.7 * len(VECTORS)


@pytest.mark.parametrize(
    "wrap", ["{}", "<p>{}</p>", '<a href="{}">x</a>', "<a href='{}' title='{}'>x</a>", "<table><tr><td>{}", "<b title={}>"]
)
def test_nothing_that_acts_is_left_of_any_vector_in_either_language(wrap: str) -> None:
    left = []
    for vector in VECTORS:
        text = wrap.replace("{}", vector)
        cleaned, _ = sanitised(product(text, text))
        for detail in (cleaned.texts.en.detail, cleaned.texts.zh.detail):
            if acting(detail) or clean(detail) != detail:
                left.append((vector, detail))
    assert left == []


def test_nothing_that_acts_is_left_of_a_vector_that_was_encoded_once_more() -> None:
    for vector in VECTORS:
        for text in (html.escape(vector), html.escape(html.escape(vector)), f'<a href="{html.escape(vector)}">x</a>'):
            assert acting(clean(text)) == [], text


KEPT = [
    "",
    "Plain words",
    "<h2>Sizes</h2><p>From <strong>S</strong> to <em>XL</em>.<br>Wash at 30.</p>",
    "<ul><li>one</li><li>two</li></ul><ol><li>three</li></ol>",
    '<table><thead><tr><th scope="col">Size</th></tr></thead><tbody><tr><td colspan="2">12</td></tr></tbody></table>',
    '<img src="/media/img_1/800.webp" alt="a cup" width="800" height="600">',
    '<a href="https://example.com/care?a=1&amp;b=2" rel="noopener">care</a>',
    '<a href="mailto:shop@example.com" rel="noopener">ask</a>',
    '<p style="color:#c00;text-align:center">红色杯子</p>',
    "Fish &amp; chips, 3 &lt; 4",
]
TAKEN = [
    ("<script>alert(1)</script>after", "after"),
    ("<svg><a href='https://a.b'>x</a></svg>", ""),
    ('<img src="https://evil.example/x.png" alt="x">', '<img alt="x">'),
    ('<img src="/media/../etc/passwd">', "<img>"),
    ('<img src="//evil.example/media/x.png">', "<img>"),
    ('<img src="/mediax/a.png">', "<img>"),
    ('<a href="/v1/orders">x</a>', '<a rel="noopener">x</a>'),
    ('<a href="ftp://a.b/c">x</a>', '<a rel="noopener">x</a>'),
    ('<a href="https://a.b" target="_blank" onclick="x()">y</a>', '<a href="https://a.b" rel="noopener">y</a>'),
    ('<p style="position:fixed;color:red">x</p>', '<p style="color:red">x</p>'),
    ('<p style="background-color:url(https://a.b)">x</p>', "<p>x</p>"),
    ('<form action="/x"><input name="card">pay</form>', "pay"),
    ('<p id="cart" class="price">x</p>', "<p>x</p>"),
    ("<!-- hidden -->shown", "shown"),
    ('<td rowspan="99999999">', ""),
    ('<b title="javascript:alert(1)">x</b>', "<b>x</b>"),
]


@pytest.mark.parametrize("text", KEPT)
def test_what_a_shop_needs_stays_as_it_is(text: str) -> None:
    assert clean(text) == text
    assert sanitised(product(text, text)) == (product(text, text), ())


@pytest.mark.parametrize(("text", "left"), TAKEN)
def test_what_is_not_allowed_is_taken_out_and_told(text: str, left: str) -> None:
    assert clean(text) == left
    cleaned, removed = sanitised(product("<p>stays</p>", text))
    assert cleaned == product("<p>stays</p>", left)
    assert removed == ("texts.zh-CN.detail",)


@pytest.mark.parametrize(
    "text", ["<p>one<p>two", "<br/>", "a & b", "<P>x</P>", '<p style="color: red ; ">x</p>', "<a href='https://a.b'>x</a>"]
)
def test_what_is_only_written_otherwise_is_not_told(text: str) -> None:
    _, removed = sanitised(product(text))
    assert removed == ()


PIECES = st.sampled_from([
    "<", ">", "</", "/>", "&", "&lt;", "&#60;", "&#13;", ";", '"', "'", "`", "=", " ", "\t", "p", "a", "td", "table", "svg", "math",
    "style", "script", "img", "href", "src", "/media/a", "javascript:", "https://a.b", "<!--", "-->", "<![CDATA[", "]]>", "<p>", "</p>",
    "<a href='https://x.y'>", "x", "\u2028", "mglyph", "mtext", "noscript", "title", "select", "<table><p>", "style=color:red", "\x0c",
    "红",
])  # fmt: skip


@given(st.lists(PIECES, max_size=40).map("".join) | st.text(max_size=60))
def test_whatever_was_cleaned_is_clean(text: str) -> None:
    cleaned = clean(text)
    assert clean(cleaned) == cleaned
    assert acting(cleaned) == []
