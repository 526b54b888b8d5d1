"""A person in a real browser, from the shop's page to each provider's and back."""

import shutil
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
from playwright.async_api import Page, async_playwright, expect

from actors.adapters.oauth.offered import logins_of
from actors.testing.oauth_simulator.server import serving
from actors.testing.oauth_simulator.settings_file import variables
from schemas.settings import from_environment
from serve.login_pages import LoginPages

BROWSER = shutil.which("chromium-headless-shell") or shutil.which("chromium")
pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="there is no Chromium on this machine"),
]


async def walk(page: Page, button: str, who: str = "kim") -> None:
    """Press a button of the shop, then one of the provider; ends on the shop's page."""
    await page.click(button)
    await page.click(f'button[name="who"][value="{who}"]')
    await page.wait_for_url("**/dev/login")


async def test_a_person_logs_in_links_all_the_others_and_says_no(running_shop: Any, database_url: str) -> None:
    async with serving() as (url, simulator):
        settings = from_environment({"STAMPEDE_SHARD_COUNT": "16", **variables(url, simulator.desk.keys.given)})
        logins = logins_of(settings)
        async with running_shop(database_url, settings, logins=logins) as shop, async_playwright() as playwright:
            # Its port is known when it listens.
            shop.application.desk.login_pages = LoginPages(msgspec.structs.replace(settings, direct_port=urlsplit(shop.base).port))
            browser = await playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
            page = await browser.new_page(locale="en-US")
            asked: list[str] = []
            page.on("request", lambda request: asked.append(urlsplit(request.url).netloc))
            await page.goto(shop.base + "/dev/login")
            await walk(page, "#login-apple", "")
            await expect(page.locator("#said")).to_have_text("The login was not confirmed. Begin again.")
            await walk(page, "#login-apple")
            await expect(page.locator("#said")).to_have_text("Logged in")
            await expect(page.locator("#identities li")).to_have_text(["Apple Kim Jin Remove"])
            for other in ("wechat", "qq", "alipay"):
                await walk(page, f"#link-{other}")
                await expect(page.locator("#said")).to_have_text("Linked")
            shown = ["Apple Kim Jin Remove", "微信 WeChat 小金 Remove", "QQ 小金 Remove", "支付宝 Alipay 小金 Remove"]
            await expect(page.locator("#identities li")).to_have_text(shown)
            await page.click("#remove-qq")
            await expect(page.locator("#identities li")).to_have_text([line for line in shown if not line.startswith("QQ")])
            assert page.url == shop.base + "/dev/login"
            assert set(asked) == {urlsplit(shop.base).netloc, urlsplit(url).netloc}
            await browser.close()
        await logins.close()


async def test_a_shop_with_a_page_of_its_own_does_not_serve_the_one_for_trying(running_shop: Any, database_url: str, shop: Any) -> None:
    answer = await shop.ask("GET", "/dev/login")
    assert answer.status == 200
    [policy] = answer.headers.getall("content-security-policy")
    assert "unsafe" not in policy
    assert b"http" not in answer.body
    settings = from_environment({"STAMPEDE_SHARD_COUNT": "16", "STAMPEDE_LOGIN_RETURN_URL": "https://shop.example.com/back"})
    async with running_shop(database_url, settings) as other:
        assert (await other.ask("GET", "/dev/login")).status == 404
