"""Goods in bulk over HTTP: a file is sent, checked, imported; what was wrong is fetched; what there is is exported."""

import asyncio
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec
import pytest
import pytest_asyncio

from actors.runtime.importing import import_folder
from actors.storage.import_work import Worker
from actors.storage.sheets.limits import FILE_BYTES_MAX
from actors.storage.sheets.reading import read_here
from actors.storage.sheets.workbook_reading import read_workbook
from serve import importing
from tests.api.conftest import SETTINGS
from tests.api.staff_people import firm, member

pytestmark = pytest.mark.asyncio(loop_scope="session")

CSV = {"Content-Type": "text/csv"}
LEFT = "SELECT count(*) FROM import_piece"
HEAD = "product code,title en,title zh,sku code,price CNY\n"


async def worked(shop: Any, url: str) -> None:
    await Worker(url, import_folder(shop.services.settings), lambda path, result: read_here(path.read_bytes())).run()


def goods(mark: str, price: str = "8.90") -> str:
    return HEAD + f"P-{mark},Cup {mark},杯子,S-{mark},{price}\n"


async def sent(shop: Any, bearer: str, data: str | bytes, path: str = "/v1/staff/imports", **headers: str) -> Any:
    body = data.encode() if isinstance(data, str) else data
    return await shop.ask("POST", path, body, token=bearer, headers={**CSV, **headers})


@pytest_asyncio.fixture(scope="session", loop_scope="session", autouse=True)
async def selling(shop: Any) -> None:
    await shop.pool.execute("INSERT INTO shipping_fee (currency, fee_minor) VALUES ('CNY', 0) ON CONFLICT DO NOTHING")


async def test_a_file_is_checked_then_imported_and_exported(shop, database_url: str) -> None:
    _, bearer = await member(shop, "operator")
    mark = secrets.token_hex(4)
    answer = await sent(shop, bearer, goods(mark).encode("gbk"), **{"File-Name": quote("../../商品.csv"), "Accept-Language": "zh-CN"})
    assert (answer.status, answer.json["state"], answer.json["file_name"], answer.json["dry_run"]) == (202, "uploaded", "商品.csv", True)
    job = f"/v1/staff/imports/{answer.json['job_id']}"
    early = await shop.ask("POST", job + "/run", token=bearer)
    assert (early.status, early.code) == (409, "import_not_checked")
    await worked(shop, database_url)
    found = (await shop.ask("GET", job, token=bearer)).json
    assert (found["state"], found["encoding"], found["created"], found["rows_done"]) == ("checked", "gb18030", 1, 1)
    none = await shop.ask("GET", job + "/report", token=bearer)
    assert (none.status, none.code) == (404, "report_unknown")
    ran = await shop.ask("POST", job + "/run", token=bearer)
    assert (ran.status, ran.json["state"]) == (202, "importing")
    await worked(shop, database_url)
    assert (await shop.ask("GET", job, token=bearer)).json["state"] == "done"
    listed = (await shop.ask("GET", "/v1/staff/imports?limit=100", token=bearer)).json
    assert answer.json["job_id"] in [one["job_id"] for one in listed["imports"]]
    ended = await shop.ask("POST", job + "/cancel", token=bearer)
    assert (ended.status, ended.code) == (409, "import_ended")
    exported = await shop.ask("GET", "/v1/staff/exports/products.csv?language=en&state=draft", token=bearer)
    assert exported.headers["content-type"].startswith("text/csv")
    assert exported.headers["content-disposition"] == 'attachment; filename="products.csv"'
    assert f"P-{mark}".encode() in exported.body
    # What was exported changes nothing, in one go.
    again = await sent(shop, bearer, exported.body, "/v1/staff/imports?dry_run=false")
    await worked(shop, database_url)
    found = (await shop.ask("GET", f"/v1/staff/imports/{again.json['job_id']}", token=bearer)).json
    assert (found["state"], found["created"], found["changed"]) == ("done", 0, 0)
    trail = await shop.pool.fetch("SELECT permission FROM staff_action WHERE target = $1", answer.json["job_id"])
    assert [row["permission"] for row in trail] == ["goods.import"] * 3
    assert await shop.pool.fetchval("SELECT count(*) FROM staff_action WHERE permission = 'goods.export'") > 0


async def test_bad_cells_are_fetched_in_three_ways(shop, database_url: str) -> None:
    _, bearer = await member(shop, "operator")
    mark = secrets.token_hex(4)
    answer = await sent(shop, bearer, goods(mark, "eight"), "/v1/staff/imports?dry_run=false")
    await worked(shop, database_url)
    job = f"/v1/staff/imports/{answer.json['job_id']}"
    assert (await shop.ask("GET", job, token=bearer)).json["bad_cells"] == 1
    refused = await shop.ask("POST", job + "/run", token=bearer)
    assert (refused.status, refused.code) == (409, "import_flawed")
    [flaw] = (await shop.ask("GET", job + "/flaws.json", token=bearer)).json["flaws"]
    assert (flaw["row"], flaw["column"], flaw["cell"], flaw["code"]) == (2, "price CNY", "E2", "price_form")
    assert flaw["zh-CN"].startswith("价格")
    assert b"price_form" in (await shop.ask("GET", job + "/flaws.csv", token=bearer)).body
    report = await shop.ask("GET", job + "/report", token=bearer)
    assert report.headers["content-disposition"] == f'attachment; filename="{answer.json["job_id"]}.csv"'
    assert report.body.decode("utf-8-sig").startswith("row,problems,product code")
    cancelled = await shop.ask("POST", job + "/cancel", token=bearer)
    assert (cancelled.status, cancelled.json["state"]) == (200, "cancelled")


async def test_a_file_that_is_refused_says_why_in_both_languages(shop, database_url: str) -> None:
    _, bearer = await member(shop, "operator")
    answer = await sent(shop, bearer, b"PK\x03\x04 and no more", **{"Content-Type": "application/vnd.ms-excel"})
    await worked(shop, database_url)
    for language, said in (("en", "The workbook is damaged."), ("zh-CN", "工作簿已损坏。")):
        found = await shop.ask("GET", f"/v1/staff/imports/{answer.json['job_id']}", token=bearer, headers={"Accept-Language": language})
        assert (found.json["state"], found.json["reason"], found.json["said"]) == ("refused", "sheet_damaged", said)


async def test_only_this_route_takes_a_large_body_and_it_has_its_own_limit(shop) -> None:
    _, bearer = await member(shop, "operator")
    large = HEAD + "x" * 300_000
    assert (await sent(shop, bearer, large)).status == 202
    other = await shop.ask("POST", "/v1/staff/imports/job_x/run", large.encode(), token=bearer)
    assert (other.status, other.code) == (413, "body_too_large")
    host, port = shop.base.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /v1/staff/imports HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {bearer}\r\ncontent-type: text/csv\r\n"
    writer.write(f"{head}content-length: {FILE_BYTES_MAX + 1}\r\n\r\n".encode())
    assert (await asyncio.wait_for(reader.readline(), 10)).split()[1] == b"413"
    writer.close()
    _, nobody = shop.user()
    refused = await sent(shop, nobody, large)
    assert (refused.status, refused.code) == (403, "forbidden")
    wrong = await shop.ask("POST", "/v1/staff/imports", {}, token=bearer)
    assert (wrong.status, wrong.code) == (415, "sheet_type_unsupported")


async def test_an_upload_that_breaks_off_leaves_no_piece(shop) -> None:
    _, bearer = await member(shop, "operator")
    before = await shop.pool.fetchval(LEFT)

    async def broken() -> Any:
        yield b"x" * 1_500_000
        await asyncio.sleep(0.2)
        raise ConnectionResetError

    headers = {**CSV, "Authorization": f"Bearer {bearer}"}
    with pytest.raises((ConnectionResetError, aiohttp.ClientError)):
        await shop.session.post(shop.base + "/v1/staff/imports", data=broken(), headers=headers)
    async with asyncio.timeout(10):
        while await shop.pool.fetchval(LEFT) != before:  # noqa: ASYNC110 (the replica says nowhere that it noticed)
            await asyncio.sleep(0.02)
    assert await shop.pool.fetchval("SELECT count(*) FROM import_job WHERE state = 'uploading'") == 0


async def test_a_merchant_sees_own_jobs_and_goods_alone(shop, database_url: str) -> None:
    one, other = await firm(shop), await firm(shop)
    _, bearer = await member(shop, "merchant", merchant_id=one)
    _, rival = await member(shop, "merchant", merchant_id=other)
    mark = secrets.token_hex(4)
    answer = await sent(shop, bearer, goods(mark), "/v1/staff/imports?dry_run=false")
    await worked(shop, database_url)
    job = f"/v1/staff/imports/{answer.json['job_id']}"
    assert (await shop.ask("GET", job, token=bearer)).json["merchant_id"] == one
    for method, path in (
        ("GET", job),
        ("GET", job + "/report"),
        ("GET", job + "/flaws.json"),
        ("POST", job + "/run"),
        ("POST", job + "/cancel"),
    ):
        unknown = await shop.ask(method, path, token=rival)
        assert (unknown.status, unknown.code) == (404, "import_unknown")
    assert (await shop.ask("GET", "/v1/staff/imports", token=rival)).json["imports"] == []
    for whose in ("", f"&merchant_id={one}"):
        seen = await shop.ask("GET", f"/v1/staff/exports/products.csv?language=en{whose}", token=rival)
        assert mark.encode() not in seen.body
    own = await shop.ask("GET", "/v1/staff/exports/products.xlsx?language=en", token=bearer)
    assert [list(row)[:2] for row in read_workbook(own.body).rows] == [[f"P-{mark}", one]]
    foreign = await sent(shop, rival, goods(mark), "/v1/staff/imports?dry_run=false")
    await worked(shop, database_url)
    [flaw] = (await shop.ask("GET", f"/v1/staff/imports/{foreign.json['job_id']}/flaws.json", token=rival)).json["flaws"]
    assert flaw["code"] == "sku_taken"


async def test_columns_and_templates_say_what_may_be_sent(shop) -> None:
    _, bearer = await member(shop, "operator")
    columns = (await shop.ask("GET", "/v1/staff/import-columns", token=bearer)).json["columns"]
    assert {"sku code", "price", "attr"} <= {column["en"] for column in columns}
    assert all(column["help_en"] and column["help_zh"] for column in columns)
    empty = await shop.ask("GET", "/v1/staff/import-template.csv", token=bearer, headers={"Accept-Language": "zh-CN"})
    assert "价格 CNY" in empty.body.decode("utf-8-sig")
    book = await shop.ask("GET", "/v1/staff/import-template.xlsx?language=en", token=bearer)
    assert "price CNY" in read_workbook(book.body).header


async def test_a_replica_starts_the_worker_and_large_exports_are_made_beside_it(
    running_shop, new_database, tmp_path: Path, monkeypatch
) -> None:
    url = await asyncio.to_thread(new_database, "imports_by_replica")
    settings = msgspec.structs.replace(SETTINGS, database_url=url, data_dir=str(tmp_path))
    monkeypatch.setattr(importing, "LOOK_S", 0.05)
    monkeypatch.setattr(importing, "FEW", 0)
    async with running_shop(url, settings) as shop:
        _, bearer = await member(shop, "operator")
        await shop.pool.execute("INSERT INTO shipping_fee (currency, fee_minor) VALUES ('CNY', 0) ON CONFLICT DO NOTHING")
        answer = await sent(shop, bearer, goods("x"), "/v1/staff/imports?dry_run=false")
        job = f"/v1/staff/imports/{answer.json['job_id']}"
        async with asyncio.timeout(30):
            while (await shop.ask("GET", job, token=bearer)).json["state"] != "done":  # noqa: ASYNC110 (another process works)
                await asyncio.sleep(0.05)
        exported = await shop.ask("GET", "/v1/staff/exports/products.csv?language=en", token=bearer)
        assert b"P-x" in exported.body
        monkeypatch.setattr(importing, "_exports", asyncio.Semaphore(0))
        full = await shop.ask("GET", "/v1/staff/exports/products.csv", token=bearer)
        assert (full.status, full.code) == (503, "busy")
