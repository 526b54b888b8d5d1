"""Pages of imports, the life cycle, warehouses' systems, stock and the search: what they show, and what their buttons do, once."""

import re
import secrets
from pathlib import Path
from typing import Any

import pytest

from actors.storage.import_work import Worker
from actors.storage.watch.rounds import run_round
from serve.web.sparkline import HEIGHT, WIDTH, sparkline
from tests.api.staff_pages import Browser, document, employee, inside, write
from tests.api.staff_people import MACHINE_ACTOR, firm
from tests.api.wms_line import opened

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

DAY_MS = 86_400_000
BOUNDARY = "x" * 20


def file_form(data: bytes, name: str = "goods.csv", dry_run: str = "1") -> bytes:
    """A form with a file, as a browser sends it."""
    lines = [
        f"--{BOUNDARY}", 'Content-Disposition: form-data; name="dry_run"', "", dry_run, f"--{BOUNDARY}",
        f'Content-Disposition: form-data; name="file"; filename="{name}"', "Content-Type: text/csv", "",
    ]  # fmt: skip
    return "\r\n".join(lines).encode() + b"\r\n" + data + f"\r\n--{BOUNDARY}--\r\n".encode()


async def send(browser: Browser, body: bytes, **more: str) -> Any:
    """Send a form with a file."""
    cookies = "; ".join(f"{name}={value}" for name, (value, _) in browser.cookies.items())
    headers = {"Accept": "text/html", "Cookie": cookies, "Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    origin = {"Origin": browser.shop.base}
    return await browser.shop.ask("POST", "/staff/imports", body, headers={**headers, **origin, **more}, key=None)


async def test_a_file_is_sent_checked_shown_and_ended(shop, database_url: str, tmp_path: Path) -> None:
    browser = await inside(shop, "operator")
    assert 'enctype="multipart/form-data"' in (await browser.get("/staff/imports")).body.decode()
    sent = await send(browser, file_form("商品编码,nonsense\nA-1,<script>\n".encode(), "货 & <b>.csv"))
    assert sent.status == 303, sent.body
    path = sent.headers["location"]
    page = (await browser.get(path)).body.decode()
    assert '<meta http-equiv="refresh"' in page
    assert "货 &amp; &lt;b&gt;.csv" in page
    await Worker(database_url, tmp_path).run()
    page = (await browser.get(path)).body.decode()
    assert '<meta http-equiv="refresh"' not in page
    assert "<script>" not in page
    job_id = path.rpartition("/")[2]
    count = await shop.pool.fetchval("SELECT bad_cells FROM import_job WHERE job_id = $1", job_id)
    state = await shop.pool.fetchval("SELECT state FROM import_job WHERE job_id = $1", job_id)
    assert (state == "refused") is (count == 0)
    pieces = "SELECT data FROM import_piece WHERE job_id = $1 AND part = 'list_json'"
    if count:
        assert f"/v1/staff/imports/{job_id}/flaws.csv" in page
        assert (await shop.pool.fetchval(pieces, job_id)) is not None
    assert path in (await browser.get("/staff/imports")).body.decode()


async def test_what_was_checked_runs_and_ends_by_buttons_of_ours_alone(shop) -> None:
    browser = await inside(shop, "operator")
    names = [f"job_{secrets.token_hex(10)}" for _ in range(3)]
    add = """
    INSERT INTO import_job (job_id, state, actor_id, role, file_name, file_bytes, digest, language, dry_run, bad_cells, asked_at_ms)
    VALUES ($1, $2, 'usr_x', 'operator', 'x.csv', 1, '\\x00', 'en', true, $3, $4)"""
    for name, state, bad in zip(names, ("checked", "checked", "importing"), (0, 2, 0), strict=True):
        await shop.pool.execute(add, name, state, bad, shop.clock.now_ms())
    cells = [
        f'{{"row": {row}, "column": "price", "cell": "C{row}", "code": "x", "params": {{}}, "en": "no <b>", "zh-CN": "不"}}'
        for row in (2, 9)
    ]
    await shop.pool.execute(
        "INSERT INTO import_piece VALUES ($1, 'list_json', 0, $2)", names[1], ('{"flaws": [\n' + ",\n".join(cells) + "\n]}\n").encode()
    )
    clean, flawed, running = [(await browser.get(f"/staff/imports/{name}")).body.decode() for name in names]
    assert f'action="/staff/imports/{names[0]}/run"' in clean
    assert "/run" not in flawed
    assert "no &lt;b&gt;" in flawed
    assert "C9" in flawed
    assert "/cancel" in running
    refused = await browser.ask("POST", f"/staff/imports/{names[0]}/run", {}, Origin="https://evil.example")
    assert refused.status == 403
    assert (await browser.ask("POST", f"/staff/imports/{names[1]}/run", {})).status == 409
    ran = await browser.ask("POST", f"/staff/imports/{names[0]}/run", {})
    assert (ran.status, ran.headers["location"]) == (303, f"/staff/imports/{names[0]}")
    assert (await browser.ask("POST", f"/staff/imports/{names[2]}/cancel", {})).status == 303
    states = [await shop.pool.fetchval("SELECT state FROM import_job WHERE job_id = $1", name) for name in names]
    assert states == ["importing", "checked", "cancelled"]
    await browser.ask("POST", f"/staff/imports/{names[0]}/cancel", {})
    assert (await browser.get("/staff/imports/job_nobody")).status == 404


async def test_a_merchant_imports_for_the_own_firm_and_sees_no_other_s(shop) -> None:
    email = await employee(shop)
    user_id = (await shop.ask("POST", "/v1/sessions", {"email": email, "password": "correct horse battery staple"})).json["user_id"]
    await shop.application.desk.roles.grant(MACHINE_ACTOR, user_id, "merchant", await firm(shop), "a test")
    merchant, operator = Browser(shop), await inside(shop, "operator")
    await merchant.log_in(email)
    theirs = (await send(operator, file_form(b"x"))).headers["location"]
    own = (await send(merchant, file_form(b"x"))).headers["location"]
    assert (await merchant.get(own)).status == 200
    assert (await merchant.get(theirs)).status == 404
    listed = (await merchant.get("/staff/imports")).body.decode()
    assert own in listed
    assert theirs not in listed
    assert "/staff/products" not in (await merchant.get("/staff")).body.decode()
    for browser, path in ((merchant, own), (operator, theirs)):
        await browser.ask("POST", f"{path}/cancel", {})


NO_FORMS = (
    b"", b"nonsense", f"--{BOUNDARY}--\r\n".encode(), file_form(b"x")[:-10], file_form(b"x", ""),
    file_form(b"x").replace(b'"file"', b'"other"'),
)  # fmt: skip


async def test_what_is_no_form_with_a_file_leaves_nothing(shop) -> None:
    browser = await inside(shop, "operator")
    before = await shop.pool.fetchval("SELECT count(*) FROM import_job WHERE state <> 'cancelled'")
    for body in NO_FORMS:
        assert (await send(browser, body)).status in (400, 422), body
    assert (await send(browser, file_form(b"x"), Origin="https://evil.example")).status == 403
    assert (await send(browser, file_form(b"x"), **{"Content-Type": "text/csv"})).status == 422
    assert await shop.pool.fetchval("SELECT count(*) FROM import_job WHERE state <> 'cancelled'") == before


async def test_a_proposal_is_shown_with_its_evidence_and_answered_once(shop, database_url: str) -> None:
    browser = await inside(shop, "marketing")
    products = []
    for _ in range(2):
        sku_id = await shop.sku()
        products.append("prd_" + sku_id[4:])
        now_ms = shop.clock.now_ms()
        await shop.pool.execute("INSERT INTO stock_level (key, put_in, available) VALUES ($1, 3, 3)", sku_id + "#0")
        await shop.pool.execute("UPDATE product SET on_shelf_since_ms = $2 WHERE product_id = $1", products[-1], now_ms - 60 * DAY_MS)
        for day in range(1, 20):
            await shop.pool.execute("INSERT INTO sku_day VALUES ($1, $2, 10, 10000, 1)", sku_id, now_ms // DAY_MS - day)
    await shop.pool.execute("UPDATE watch_state SET recount = false")
    assert (await run_round(database_url, now_ms=shop.clock.now_ms())).whole
    overview = (await browser.get("/staff/lifecycle")).body.decode()
    assert f"/staff/products/{products[0]}" in overview
    assert "<rect" in overview
    assert "style=" not in overview
    found = [
        await shop.pool.fetchval("SELECT proposal_id FROM proposal WHERE product_id = $1 AND rule = 'low_stock'", one) for one in products
    ]
    listed = (await browser.get("/staff/proposals?rule=low_stock")).body.decode()
    assert all(f"/staff/proposals/{one}" in listed for one in found)
    shown = (await browser.get(f"/staff/proposals/{found[0]}?lang=zh-CN")).body.decode()
    assert "补货到达前将售罄" in shown
    assert "采购周期(天)" in shown
    assert (await browser.ask("POST", f"/staff/proposals/{found[0]}/accept", {})).status == 422
    for _ in range(2):
        done = await browser.ask("POST", f"/staff/proposals/{found[0]}/accept", {"reason": "sells"})
        assert (done.status, done.headers["location"]) == (303, f"/staff/proposals/{found[0]}")
    assert await shop.pool.fetchval("SELECT count(*) FROM purchase_order WHERE proposal_id = $1", found[0]) == 1
    assert (await browser.ask("POST", f"/staff/proposals/{found[1]}/dismiss", {"reason": "not <now>"})).status == 303
    shown = (await browser.get(f"/staff/proposals/{found[1]}?lang=en")).body.decode()
    assert "not &lt;now&gt;" in shown
    assert "/dismiss" not in shown
    for path in ("/staff/proposals/prp_nobody", "/staff/proposals/x"):
        assert (await browser.get(path)).status == 404
    for query in ("in_state=x&rule=y&before=z", "before=-1.x", "before=99999999999999999999.%00"):
        assert (await browser.get(f"/staff/proposals?{query}")).status == 200, query


async def test_dead_messages_are_shown_tried_again_and_let_be(shop) -> None:
    browser = await inside(shop, "operator")
    async with opened(shop) as line:
        names = [f"wml_{secrets.token_hex(10)}" for _ in range(3)]
        now_ms = shop.clock.now_ms()
        for name in names:
            await shop.pool.execute(
                "INSERT INTO wms_inbox VALUES ($1, $2, $1, 'stock.delta', 'webhook', $3, 'dead', 'sku <unknown>', 8, $4, $4, $4)",
                name, line.connection_id, b'{"a": "<script>"}', now_ms,
            )  # fmt: skip
        assert f"/staff/wms/letters?line={line.connection_id}" in (await browser.get("/staff/wms")).body.decode()
        listed = (await browser.get(f"/staff/wms/letters?line={line.connection_id}")).body.decode()
        assert all(name in listed for name in names)
        assert "sku &lt;unknown&gt;" in listed
        shown = (await browser.get(f"/staff/wms/letters/{names[0]}")).body.decode()
        assert "&lt;script&gt;" in shown
        assert "<script>" not in shown
        reader = await inside(shop, "warehouse")
        assert "/retry" not in (await reader.get(f"/staff/wms/letters/{names[0]}")).body.decode()
        assert (await reader.ask("POST", f"/staff/wms/letters/{names[0]}/retry", {"reason": "x"})).status == 403
        assert "/retry" in (await browser.get(f"/staff/wms/letters/{names[0]}")).body.decode()
        dropped = await browser.ask("POST", f"/staff/wms/letters/{names[1]}/drop", {"reason": "known"})
        assert (dropped.status, dropped.headers["location"]) == (303, f"/staff/wms/letters/{names[1]}")
        assert (await browser.ask("POST", f"/staff/wms/letters/{names[1]}/drop", {"reason": "known"})).status == 409
        assert (await browser.ask("POST", f"/staff/wms/letters/{names[2]}/retry", {"reason": "mended"})).status == 303
        all_of_it = {"side": "in", "reason": "all"}
        assert (await browser.ask("POST", f"/staff/wms/connections/{line.connection_id}/retries", all_of_it)).status == 303
        states = [await shop.pool.fetchval("SELECT state FROM wms_inbox WHERE letter_id = $1", name) for name in names]
        assert states[1] == "dropped"
        assert "dead" not in states
        for path in ("letters/wml_nobody", "letters/x", "comparisons/rec_nobody", "comparisons/x"):
            assert (await browser.get(f"/staff/wms/{path}")).status == 404, path
        for query in ("side=x&status=y&line=z&before=q", "before=-1.x"):
            assert (await browser.get(f"/staff/wms/letters?{query}")).status == 200


async def test_differences_of_counts_are_shown(shop) -> None:
    browser = await inside(shop, "warehouse")
    async with opened(shop) as line:
        run_id = f"rec_{secrets.token_hex(10)}"
        now_ms = shop.clock.now_ms()
        add = """
        INSERT INTO wms_reconciliation (run_id, connection_id, state, made_by, made_at_ms, due_ms)
        VALUES ($1, $2, 'preview', 'u', $3, $3)"""
        await shop.pool.execute(add, run_id, line.connection_id, now_ms)
        for sku, ours, theirs, cause in (("A-1", 5, 3, "mismatch"), ("B-1", 4, 4, "matched")):
            await shop.pool.execute(
                "INSERT INTO wms_difference VALUES ($1, $2, true, $3, $4, 0, $5, $6)", run_id, sku, ours, theirs, theirs - ours, cause
            )
        assert f"/staff/wms/comparisons/{run_id}" in (await browser.get("/staff/wms/comparisons")).body.decode()
        shown = (await browser.get(f"/staff/wms/comparisons/{run_id}")).body.decode()
        assert "A-1" in shown
        assert "<strong>-2</strong>" in shown
        assert "B-1" not in shown
        assert "B-1" in (await browser.get(f"/staff/wms/comparisons/{run_id}?matched=1")).body.decode()


async def test_an_article_is_found_and_its_stock_and_movements_are_shown(shop) -> None:
    browser = await inside(shop, "warehouse")
    sku_id = await shop.sku(7)
    found = await browser.ask("GET", f"/staff/stock?sku={sku_id}")
    assert (found.status, found.headers["location"]) == (303, f"/staff/stock/{sku_id}")
    add = "INSERT INTO stock_movement VALUES (0, $1, 0, $2, '', '', 'in', 7, 7, 0, 'from <b>', 'ref-1', $3)"
    await shop.pool.execute(add, 10_000_000 + secrets.randbelow(10**9), sku_id + "#0", shop.clock.now_ms())
    shown = (await browser.get(f"/staff/stock/{sku_id}")).body.decode()
    assert "<strong>7</strong>" in shown
    assert "from &lt;b&gt;" in shown
    assert "+7" in shown
    assert "There is no such article" in (await browser.get("/staff/stock?sku=nonsense")).body.decode()
    for path in ("sku_nobody", "x"):
        assert (await browser.get(f"/staff/stock/{path}")).status == 404, path
    assert (await browser.get(f"/staff/stock/{sku_id}?cursor=x")).status == 422


async def test_the_search_is_tried_out(shop) -> None:
    browser = await inside(shop, "support")
    doc = document()
    await write(shop, doc)
    assert 'role="search"' in (await browser.get("/staff/search")).body.decode()
    for query in (doc.code, "cup", "%3Cscript%3E", "x" * 300, "%00", "杯子&from=99999999999"):
        page = await browser.get(f"/staff/search?q={query}")
        assert page.status == 200, query
        assert "<script>" not in page.body.decode()


async def test_a_chart_has_a_bar_for_each_day_with_something_in_it() -> None:
    chart = sparkline([0, 2, 4, -1])
    assert [(bar.x, bar.height) for bar in chart.bars] == [(WIDTH / 4, HEIGHT / 2), (WIDTH / 2, HEIGHT)]
    assert (chart.first, chart.last, chart.most, chart.total) == (0, 0, 4, 6)
    assert sparkline([]).bars == sparkline([0, 0]).bars == ()
    assert not re.search(r"style|script", str(chart))
