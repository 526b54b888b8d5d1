"""Pages of the staff: who sees which, in which language, how one gets in and stays in, and what a form may say."""

import re

import msgspec
import pyotp
import pytest

from schemas.permissions import PERMISSIONS
from serve.ops.operations import SAID
from serve.requests import Refusal
from serve.web import handlers
from serve.web.differences import differences
from serve.web.entrance import LogInForm
from serve.web.forms import FILE_FORMS, FORMS, read_form
from serve.web.pages import NAVIGATION, place_of
from serve.web.words import WORDS
from tests.api.staff_pages import KEY, PAGE, PASSWORD, Browser, document, employee, inside, write
from tests.api.staff_people import account, member, token

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_every_text_stands_in_both_languages_and_takes_the_same_values() -> None:
    for key, (en, zh) in WORDS.items():
        assert en.isascii() or key.startswith("language."), key
        assert re.findall(r"{\w+}", en) == re.findall(r"{\w+}", zh) or sorted(re.findall(r"{\w+}", en)) == sorted(re.findall(r"{\w+}", zh))
    assert {entry.word for entry in NAVIGATION} <= WORDS.keys()
    assert {entry.word + "_about" for entry in NAVIGATION} <= WORDS.keys()
    by_path = {path: handler.operation_id for handler in handlers.HANDLERS for path in handler.paths}
    # What somebody may not see is not offered either.
    assert [(entry.path, entry.permission) for entry in NAVIGATION] == [(entry.path, SAID[by_path[entry.path]].who) for entry in NAVIGATION]


async def test_a_form_of_every_operation_that_takes_one_is_in_the_document(shop) -> None:
    document = (await shop.ask("GET", "/openapi.json")).json
    posts = {handler.operation_id for handler in handlers.HANDLERS if "POST" in handler.http_methods}
    assert posts == {*FORMS, *FILE_FORMS}
    for methods in document["paths"].values():
        for one in methods.values():
            if one["operationId"] in FORMS:
                [kind] = one["requestBody"]["content"]
                assert kind == "application/x-www-form-urlencoded"


@pytest.mark.slow
async def test_somebody_logs_in_sees_pages_in_the_own_language_and_logs_out(shop) -> None:
    email = await employee(shop, "operator")
    browser = Browser(shop, "zh-CN,zh;q=0.9")
    sent_on = await browser.ask("GET", "/staff/products?q=cup")
    assert (sent_on.status, sent_on.headers["location"]) == (303, "/staff/session?next=%2Fstaff%2Fproducts%3Fq%3Dcup")
    entrance = await browser.get("/staff/products?q=cup")
    assert entrance.status == 200
    assert 'value="/staff/products?q=cup"' in entrance.body.decode()
    assert "密码" in entrance.body.decode()
    answer = await browser.log_in(email, next="/staff/products?q=cup")
    assert (answer.status, answer.headers["location"]) == (303, "/staff/products?q=cup")
    assert all("HttpOnly" in text and "SameSite=Lax" in text and "Secure" in text for text in answer.headers.getall("set-cookie"))
    page = await browser.get("/staff")
    assert page.status == 200
    assert "商品" in page.body.decode()
    assert page.headers["content-language"] == "zh-CN"
    english = (await browser.get("/staff?lang=en")).body.decode()
    assert "Products" in english
    assert "Products" in (await browser.get("/staff")).body.decode()
    assert page.headers["cache-control"] == "no-store"
    [policy] = page.headers.getall("content-security-policy")
    assert "script-src" not in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert page.headers["referrer-policy"] == "same-origin"
    cookies = dict(browser.cookies)
    out = await browser.ask("POST", "/staff/logout", {})
    assert (out.status, out.headers["location"]) == (303, "/staff/login")
    assert [name for name in browser.cookies if "stampede" in name] == ["stampede-language"]
    browser.cookies = cookies
    assert 'name="password"' in (await browser.get("/staff/products")).body.decode()


@pytest.mark.slow
async def test_a_page_goes_on_when_its_token_has_ended_and_not_when_its_session_has(shop) -> None:
    browser = await inside(shop, "operator")
    shop.clock_forward(601_000)
    page = await browser.ask("GET", "/staff/products")
    assert page.headers["location"] == "/staff/session?next=%2Fstaff%2Fproducts"
    old = dict(browser.cookies)
    assert "<h1>Products</h1>" in (await browser.get("/staff/products")).body.decode()
    # Two windows at once: the other one comes a moment later with the cookie of before.
    newer, browser.cookies = browser.cookies, old
    assert "<h1>Products</h1>" in (await browser.get("/staff/products")).body.decode()
    browser.cookies = newer
    sent = await browser.ask("POST", "/staff/logout", {}, Referer=f"{shop.base}/staff/products?q=x", Cookie="")
    assert (sent.status, sent.headers["location"]) == (303, "/staff/session?next=%2Fstaff%2Fproducts%3Fq%3Dx")
    user_id = (await shop.ask("GET", "/v1/me", headers={"Cookie": f"__Host-stampede={newer['__Host-stampede'][0]}"})).json["user_id"]
    bearer = token(shop, user_id)
    await shop.ask("DELETE", "/v1/sessions", token=bearer)
    assert 'name="password"' in (await browser.get("/staff/products")).body.decode()
    assert "__Secure-stampede-refresh" not in browser.cookies


@pytest.mark.slow
async def test_a_wrong_password_a_second_factor_and_a_form_of_somebody_else(shop) -> None:
    email = await employee(shop, "operator")
    browser = Browser(shop)
    wrong = await browser.ask(
        "POST", "/staff/login", {"name": email, "password": "wrong password 1", "key": KEY, "next": "/staff/products"}
    )
    assert wrong.status == 401
    assert f'value="{email}"' in wrong.body.decode()
    assert 'role="alert"' in wrong.body.decode()
    assert "wrong password 1" not in wrong.body.decode()
    assert browser.cookies == {}
    for origin in ("https://evil.example", "null", ""):
        refused = await browser.ask("POST", "/staff/login", {"name": email, "password": PASSWORD, "key": KEY}, Origin=origin)
        assert (refused.status, "set-cookie" in refused.headers) == (403, False)
    # A program is told what the API would tell it.
    told = await browser.ask("POST", "/staff/login", {"name": email, "password": "wrong password 1", "key": KEY}, Accept="*/*")
    assert (told.status, told.code) == (401, "wrong_credentials")
    session = (await shop.ask("POST", "/v1/sessions", {"email": email, "password": PASSWORD})).json
    proven = await shop.ask("POST", "/v1/me/step-up", {"password": PASSWORD}, token=session["access_token"])
    stepped = proven.json["access_token"]
    made = (await shop.ask("POST", "/v1/me/factors/totp", {"name": "phone"}, token=stepped)).json
    now_s = shop.clock.now_ms() / 1000
    code = pyotp.TOTP(made["secret"]).at(int(now_s))
    confirmed = await shop.ask("POST", f"/v1/me/factors/totp/{made['factor_id']}/confirm", {"code": code}, token=stepped)
    assert confirmed.status == 200, confirmed.body
    step = await browser.log_in(email, next="/staff/products")
    assert step.status == 401
    assert 'name="totp"' in step.body.decode()
    assert 'role="alert"' not in step.body.decode()
    ticket = re.search(r'name="ticket" value="([^"]+)"', step.body.decode())[1]
    form = {"ticket": ticket, "next": "/staff/products"}
    again = await browser.ask("POST", "/staff/login/second-factor", {**form, "totp": "000000"})
    assert again.status >= 400
    assert ticket in again.body.decode()
    both = await browser.ask("POST", "/staff/login/second-factor", {**form, "totp": "000000", "recovery_code": "x"})
    assert both.status == 422
    shop.clock_forward(30_000)
    code = pyotp.TOTP(made["secret"]).at(int(shop.clock.now_ms() / 1000))
    done = await browser.ask("POST", "/staff/login/second-factor", {**form, "totp": code})
    assert done.status == 303, done.body.decode()[-1500:]
    assert done.headers["location"] == "/staff/products"
    assert (await browser.get("/staff/products")).status == 200


@pytest.mark.slow
async def test_who_has_not_the_permission_is_shown_so_and_offered_nothing(shop) -> None:
    finance = await inside(shop, "finance")
    home = (await finance.get("/staff")).body.decode()
    assert "finance" in home
    assert "/staff/products" not in home
    refused = await finance.get("/staff/products")
    assert refused.status == 403
    assert "<h1>You may not see this</h1>" in refused.body.decode()
    missing = await finance.get("/staff/nothing")
    assert (missing.status, "<h1>There is no such page</h1>" in missing.body.decode()) == (404, True)
    customer = Browser(shop)
    await customer.log_in(await employee(shop))
    assert (await customer.get("/staff")).status == 403
    # Whoever asks for no page is told as everywhere.
    bearer = token(shop, await account(shop))
    assert (await shop.ask("GET", "/staff/products", token=bearer)).code == "forbidden"
    assert (await shop.ask("GET", "/staff/products")).code == "unauthenticated"
    assert set(PERMISSIONS["desk.open"].roles) >= set(PERMISSIONS["goods.read"].roles)


@pytest.mark.slow
async def test_products_are_found_and_shown_with_what_each_revision_changed(shop) -> None:
    doc = document()
    product_id = await write(shop, doc, reason="new")
    english = msgspec.structs.replace(doc.texts.en, title="Tall cup", detail="<p>One</p>" + "<p>Same again</p>" * 8 + "<p>Three</p>")
    newer = msgspec.structs.replace(doc, texts=msgspec.structs.replace(doc.texts, en=english), skus=doc.skus[::-1])
    await write(shop, newer, product_id, reason="taller")
    browser = await inside(shop, "marketing")
    for text in (doc.code, f"{doc.code}-red", product_id, "tall CUP", doc.texts.zh.title):
        page = (await browser.get(f"/staff/products?q={text}&state=draft")).body.decode()
        assert f'href="/staff/products/{product_id}"' in page, text
    for query in (f"q={doc.code}&state=retired", "q=%25%25", "q=100%25_", "q=%5C", "q=" + "x" * 500, "before=1", "q=%00x&before=-1"):
        page = await browser.get(f"/staff/products?{query}")
        assert (page.status, product_id in page.body.decode()) == (200, False), query
    shown = (await browser.get(f"/staff/products/{product_id}")).body.decode()
    assert "Cup &lt;b&gt;" not in shown
    assert "<h1>Tall cup</h1>" in shown
    assert "17.99 CNY" in shown
    assert "&lt;p&gt;Three&lt;/p&gt;" in shown
    first = (await browser.get(f"/staff/products/{product_id}/revisions/1")).body.decode()
    assert "This is the first revision" in first
    assert "Cup &lt;b&gt;" in first
    second = (await browser.get(f"/staff/products/{product_id}/revisions/2?lang=zh-CN")).body.decode()
    assert "<del>Cup &lt;b&gt;" in second
    assert "<ins>Tall cup</ins>" in second
    assert "<ins>+ &lt;p&gt;Three&lt;/p&gt;</ins>" in second
    assert "版本 2 与版本 1 的差异" in second
    for path in ("prd_nobody", "..%2fx", *(f"{product_id}/revisions/{number}" for number in ("3", "0", "x", "99999999999"))):
        assert (await browser.get(f"/staff/products/{path}")).status == 404, path
    seeded = await shop.sku()
    assert "导入时的内容" in (await browser.get(f"/staff/products/prd_{seeded[4:]}")).body.decode()


async def test_a_list_goes_on_where_it_ended(shop, monkeypatch) -> None:
    from serve.web import products

    monkeypatch.setattr(products, "SHOWN", 3)
    made = [await shop.sku() for _ in range(7)]
    _, bearer = await member(shop, "operator")
    path, seen = "/staff/products", []
    while path and len(seen) < 7:
        text = (await shop.ask("GET", path, token=bearer, headers=PAGE)).body.decode()
        seen += re.findall(r'href="/staff/products/(prd_[^"]+)"', text)
        more = re.search(r'href="(\?before=\d+)">Next', text)
        path = f"/staff/products{more[1]}" if more else ""
    assert seen[:7] == [f"prd_{sku_id[4:]}" for sku_id in reversed(made)]


async def test_a_document_differs_where_it_differs() -> None:
    before = document()
    title = msgspec.structs.replace(before.texts.zh, title="新杯子")
    after = msgspec.structs.replace(before, skus=before.skus[:1], texts=msgspec.structs.replace(before.texts, zh=title))
    found = {each.path: (each.before, each.after) for each in differences(before, after)}
    assert found["texts.zh-CN.title"] == (before.texts.zh.title, "新杯子")
    [gone] = [path for path in found if path.startswith("skus")]
    assert gone == f"skus[{before.skus[1].code}]"
    assert found[gone][1] is None
    assert differences(before, before) == []


@pytest.mark.parametrize(
    "place",
    [
        "https://evil.example/staff", "//evil.example", "/staff/../x", "/staff//evil", "/staff\\x", "/v1/x", "/staffx", "/staff/..",
        "/staff/x\r\nset-cookie: a=b", "/staff/x y", "javascript:alert(1)", "", "/staff/" + "x" * 600, "/staff/%2e%2e",
    ],
)  # fmt: skip
async def test_a_login_goes_on_to_pages_of_ours_alone(place: str) -> None:
    assert place_of(place) == "/staff"
    assert place_of("/staff/products/prd_1.a?q=%20b&state=draft") == "/staff/products/prd_1.a?q=%20b&state=draft"


@pytest.mark.parametrize(
    "body",
    [b"name=abc&password=x&key=" + KEY.encode() + b"&name=abc", b"name=abc&password=x&key=" + KEY.encode() + b"&more=1", b"\xff", b"name",
     b"name=%00abc&password=x&key=" + KEY.encode(), b"name=%ff%fe&password=x&key=" + KEY.encode(), b"name=abc&password=x&key=short", b"",
     b"&".join(b"a%d=1" % number for number in range(300)), b"name=a&password=x&key=" + KEY.encode()],
)  # fmt: skip
async def test_what_is_no_such_form_is_refused(body: bytes) -> None:
    with pytest.raises(Refusal, match="invalid_request"):
        read_form(body, LogInForm)
    assert read_form(b"name=abc&password=x+y&key=" + KEY.encode() + b"&next=", LogInForm).password == "x y"
