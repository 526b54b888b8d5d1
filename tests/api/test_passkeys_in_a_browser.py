"""Passkeys as people have them: a real browser, its own authenticator, and a page of the shop's origin."""

import secrets
import shutil
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Page, async_playwright

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
PASSWORD = "correct horse battery staple"

PAGE = """<!doctype html><meta charset="utf-8"><title>Passkeys</title><script>
async function ask(path, body, token) {
  const headers = {"Content-Type": "application/json", "Idempotency-Key": crypto.randomUUID()};
  if (token) headers.Authorization = "Bearer " + token;
  const answer = await fetch(path, {method: "POST", headers, body: body === undefined ? undefined : JSON.stringify(body)});
  return {status: answer.status, body: await answer.json()};
}
async function register(token) {
  const asked = await ask("/v1/me/passkeys/options", undefined, token);
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(asked.body.publicKey);
  const made = await navigator.credentials.create({publicKey});
  return ask("/v1/me/passkeys", {name: "this laptop", credential: made.toJSON()}, token);
}
async function sign(path, body, token) {
  const asked = await ask(path, body, token);
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(asked.body.publicKey);
  return (await navigator.credentials.get({publicKey})).toJSON();
}
async function logIn() {
  return ask("/v1/sessions/passkey", {assertion: await sign("/v1/sessions/passkey/options")});
}
async function finish(ticket) {
  const assertion = await sign("/v1/sessions/second-factor/passkey-options", {login_ticket: ticket});
  return ask("/v1/sessions/second-factor", {login_ticket: ticket, assertion});
}
async function stepUp(token) {
  return ask("/v1/me/step-up", {assertion: await sign("/v1/me/step-up/passkey-options", undefined, token)}, token);
}
</script>"""


def browser_path() -> str:
    """The browser that ``make browser`` has installed, or another one of its kind."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    assert found, "No browser for the test of passkeys: install the Debian package chromium-headless-shell, or any Chromium."
    return found


@pytest_asyncio.fixture(loop_scope="session")
async def page(shop) -> AsyncIterator[Page]:
    """A page on localhost, in a browser whose platform authenticator has a finger on it."""
    base = f"http://localhost:{urlsplit(shop.base).port}"
    async with async_playwright() as playwright:
        # A browser that runs as root, as in a container, has no sandbox. It sees nothing but this shop.
        browser = await playwright.chromium.launch(executable_path=browser_path(), args=["--no-sandbox"])
        opened = await browser.new_page()
        await opened.route("**/passkeys.html", lambda route: route.fulfill(body=PAGE, content_type="text/html"))
        devtools = await opened.context.new_cdp_session(opened)
        await devtools.send("WebAuthn.enable")
        options = {
            "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
            "isUserVerified": True, "automaticPresenceSimulation": True,
        }  # fmt: skip
        await devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})
        await opened.goto(f"{base}/passkeys.html")
        yield opened
        await browser.close()


async def test_a_browser_registers_a_passkey_logs_in_with_it_and_steps_up(shop, page: Page) -> None:
    email = f"kim.{secrets.token_hex(6)}@example.com"
    registered = await shop.register({"email": email, "password": PASSWORD})
    token = (await shop.ask("POST", "/v1/sessions", {"email": email, "password": PASSWORD})).json["access_token"]
    stepped = await shop.ask("POST", "/v1/me/step-up", {"password": PASSWORD}, token=token)

    made = await page.evaluate("token => register(token)", stepped.json["access_token"])
    assert (made["status"], made["body"]["method"]) == (201, "passkey"), made
    listed = (await shop.ask("GET", "/v1/me/factors", token=token)).json
    assert [(one["factor_id"], one["name"]) for one in listed["passkeys"]] == [(made["body"]["factor_id"], "this laptop")]

    # Nobody typed a name.
    done = await page.evaluate("() => logIn()")
    assert (done["status"], done["body"]["user_id"]) == (201, registered["user_id"]), done

    refused = await shop.ask("POST", "/v1/sessions", {"email": email, "password": PASSWORD})
    assert refused.code == "second_factor_required"
    finished = await page.evaluate("ticket => finish(ticket)", refused.json["params"]["login_ticket"])
    assert finished["status"] == 201, finished

    stepped_up = await page.evaluate("token => stepUp(token)", token)
    assert (stepped_up["status"], stepped_up["body"]["factor_id"]) == (200, made["body"]["factor_id"]), stepped_up
    codes = await shop.ask("POST", "/v1/me/factors/recovery-codes", token=stepped_up["body"]["access_token"])
    assert codes.status == 201

    # The same browser is asked to make a second passkey for the same account, and refuses by itself.
    twice = await page.evaluate("token => register(token).catch(error => error.name)", stepped_up["body"]["access_token"])
    assert twice == "InvalidStateError"
