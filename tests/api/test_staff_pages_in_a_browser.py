"""A browser goes through all pages of the staff, in both languages and at two widths: nothing is refused, missing or from elsewhere."""

import re
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Page, async_playwright

from serve.web.pages import NAVIGATION
from serve.web.words import WORDS
from tests.api.staff_pages import PASSWORD, document, employee, write
from tests.api.staff_people import member
from tests.api.test_passkeys_in_a_browser import browser_path
from tests.images.image_files import encoded, gradient

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

WIDTHS = {"en-US": 1280, "zh-CN": 390}

LOOK = """() => ({
  lang: document.documentElement.lang,
  heading: document.querySelector("h1") ? document.querySelector("h1").textContent : "",
  headings: document.querySelectorAll("h1").length,
  wide: document.documentElement.scrollWidth - window.innerWidth,
  unlabelled: [...document.querySelectorAll("input:not([type=hidden]), select, textarea")].filter(one => !one.labels.length).length,
  nameless: [...document.querySelectorAll("a, button")].filter(one => !one.textContent.trim() && !one.querySelector("img[alt]")).length,
  pictures: [...document.images].filter(one => one.loading !== "lazy" && !one.naturalWidth).length,
  styled: getComputedStyle(document.querySelector("h1")).fontSize,
})"""
"""What a page is like. ``wide``: pixels that it sticks out beyond the window."""


async def looked_at(page: Page, language: str) -> dict[str, Any]:
    # A click is over when the next page has begun to arrive.
    await page.wait_for_load_state()
    found: dict[str, Any] = await page.evaluate(LOOK)
    assert found["headings"] == 1, page.url
    assert found["lang"] == language, page.url
    assert found["wide"] <= 0, page.url
    assert (found["unlabelled"], found["nameless"], found["pictures"]) == (0, 0, 0), page.url
    assert found["styled"] == "24px", page.url
    return found


async def test_a_browser_goes_through_the_pages(shop) -> None:
    email = await employee(shop, "administrator", "operator", "warehouse", "marketing")
    _, bearer = await member(shop, "marketing")
    picture = await shop.ask("POST", "/v1/staff/images", encoded(gradient(400, 300), "PNG"), token=bearer)
    product_id = await write(shop, document(picture.json["image_id"]), reason="new")
    sku_id = await shop.sku(4)
    port = urlsplit(shop.base).port
    more = [f"/staff/products/{product_id}", f"/staff/products/{product_id}/revisions/1", f"/staff/stock/{sku_id}", "/staff/search?q=cup",
            "/staff/wms/letters", "/staff/wms/comparisons"]  # fmt: skip
    said: list[str] = []
    asked: set[str] = set()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=browser_path(), args=["--no-sandbox"])
        for locale, width in WIDTHS.items():
            language, column = ("en", 0) if locale == "en-US" else ("zh-CN", 1)
            context = await browser.new_context(viewport={"width": width, "height": 800}, locale=locale)
            page = await context.new_page()
            page.on("console", lambda message: said.append(f"{message.type}: {message.text} {message.location['url']}"))
            page.on("pageerror", lambda error: said.append(str(error)))
            page.on("request", lambda request: asked.add(request.url))
            await page.goto(f"http://localhost:{port}/staff/products")
            assert urlsplit(page.url).path == "/staff/login"
            await looked_at(page, language)
            await page.fill("[name=name]", email)
            await page.fill("[name=password]", PASSWORD)
            await page.click("main button")
            assert urlsplit(page.url).path == "/staff/products"
            for entry in NAVIGATION:
                await page.click(f'nav a[href="{entry.path}"]')
                assert urlsplit(page.url).path == entry.path
                assert (await looked_at(page, language))["heading"] == WORDS[entry.word][column]
                assert await page.get_attribute("nav [aria-current]", "href") == entry.path
            for path in more:
                await page.goto(f"http://localhost:{port}{path}")
                await looked_at(page, language)
            other = "zh-CN" if language == "en" else "en"
            await page.click(f'.languages a[hreflang="{other}"]')
            await looked_at(page, other)
            await page.goto(f"http://localhost:{port}/staff")
            await looked_at(page, other)
            await page.click(".side button")
            assert urlsplit(page.url).path == "/staff/login"
            await context.close()
        await browser.close()
    # Products of other tests name pictures that nobody sent.
    missing = re.compile(r"error: Failed to load resource: .*404 .*/media/img_")
    assert [one for one in said if not missing.match(one) or picture.json["image_id"] in one] == []
    assert {urlsplit(url).netloc for url in asked if not url.startswith("data:")} == {f"localhost:{port}"}
    assert any(re.search(r"/media/img_\w+/160\.webp$", url) for url in asked)
