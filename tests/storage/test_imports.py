"""Imports as jobs: all or nothing, once, by whoever may; and exports that are what imports take."""

import csv
import io
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from actors.storage.connect import open_pool
from actors.storage.export import Wish, count_of
from actors.storage.imports import OPEN_MAX, FileTooLarge
from actors.storage.sheets.limits import FILE_BYTES_MAX
from actors.storage.sheets.workbook_reading import read_workbook
from actors.storage.staff import NotDone
from tests.storage.imports_shop import GOOD, ME, Shop, founded, imports_url, shop

__all__ = ["imports_url", "shop"]


async def test_a_file_is_imported_once_and_what_was_exported_changes_nothing(shop: Shop) -> None:
    job = await shop.done(GOOD)
    assert (job.state, job.created, job.changed, job.same, job.bad_cells, job.rows_done) == ("done", 2, 0, 0, 0, 3)
    assert await shop.counts() == (2, 3, 4, 2)
    row = await shop.pool.fetchrow(
        "SELECT title_zh, barcode, on_shelf, price_minor, doc::text FROM product JOIN sku s USING (product_id) WHERE s.code = 'S1'"
    )
    assert tuple(row)[:4] == ("杯子", "0012345678905", True, 890)
    assert "<script" not in row["doc"]
    # The same file, and whatever we export, in either format and language: nothing is written.
    for again in (GOOD, await shop.exported(), await shop.exported(language="zh-CN"), await shop.exported("xlsx")):
        job = await shop.done(again)
        assert (job.state, job.created, job.changed, job.same) == ("done", 0, 0, 2)
    assert await shop.counts() == (2, 3, 4, 2)
    assert (
        await shop.pool.fetchval("SELECT string_agg(DISTINCT reason, ',') FROM product_revision")
        == f"import {(await shop.imports.page('', (1 << 60, ''), 9))[-1].job_id}"
    )


@pytest.fixture
def other_url(copy_of_database: Any, migrated_template: str) -> Iterator[str]:
    """Another database."""
    with copy_of_database(migrated_template) as url:
        yield url


async def test_an_export_is_the_same_bytes_again_also_out_of_another_shop(shop: Shop, other_url: str) -> None:
    await shop.done(GOOD)
    first = await shop.exported(), await shop.exported("xlsx")
    assert (await shop.exported(), await shop.exported("xlsx")) == first
    pool = await open_pool(other_url, size=2)
    await founded(pool)
    other = Shop(other_url, pool, shop.folder / "other")
    assert (await other.done(first[1])).created == 2
    assert (await other.exported(), await other.exported("xlsx")) == first
    await pool.close()
    assert await shop.exported(state="draft") != first[0]
    assert [
        await count_of(shop.pool, Wish(format="csv", **wish), 9)
        for wish in ({}, {"state": "draft"}, {"category_id": "cat_1"}, {"brand_id": "brd_9"})
    ] == [2, 1, 2, 0]


async def test_seeded_products_are_exported_and_taken_back_as_they_are(shop: Shop) -> None:
    await shop.pool.execute(
        "INSERT INTO product (product_id, title, title_zh, department, department_zh) VALUES ('prd_a', '=Cup', '杯', 'HOME', '家居')"
    )
    await shop.pool.execute(
        "INSERT INTO sku (sku_id, product_id, code, price_minor, currency, on_shelf) "
        "VALUES ('sku_a', 'prd_a', 'A', 500, 'CNY', true), ('sku_b', 'prd_a', 'B', 600, 'CNY', true)"
    )
    job = await shop.done(await shop.exported())
    assert (job.state, job.same, await shop.counts()) == ("done", 1, (1, 2, 0, 0))


async def test_a_dry_run_lists_every_bad_cell_in_files_that_can_be_sent_again(shop: Shop) -> None:
    bad = GOOD + "P3,sold,cups,Lid,,,S4,,123,x,,wide\nP4,draft,cups,=1+1,,,S5,,,5,,\n"
    job = await shop.done(bad, dry_run=True, language="zh-CN")
    assert (job.state, job.bad_cells, job.rows_total, job.created) == ("checked", 5, 5, 2)
    assert await shop.counts() == (0, 0, 0, 0)
    assert await shop.flaws(job) == [
        ("B5", "state_unknown"),
        ("I5", "barcode_invalid"),
        ("J5", "price_form"),
        ("L5", "number_form"),
        ("D6", "formula"),
    ]
    listed = list(csv.reader(io.StringIO((await shop.part(job, "list_csv")).decode("utf-8-sig"))))
    assert listed[1][:4] == ["5", "state", "B5", "state_unknown"]
    again = await shop.part(job, "sheet")
    rows = list(csv.reader(io.StringIO(again.decode("utf-8-sig"))))
    assert rows[0][:3] == ["行号", "问题", "product code"]
    assert rows[1][:2] == ["2", ""]
    assert rows[4][0] == "5"
    assert "条码" in rows[4][1]
    with pytest.raises(NotDone, match="import_flawed"):
        await shop.imports.run(ME, "", job.job_id)
    # Fixed by hand in the file that came back, it is taken.
    fixed = again.decode("utf-8-sig").replace("sold", "draft").replace(",123,x,,wide", ",,5,,").replace("'=1+1", "Lid")
    job = await shop.done(fixed)
    assert (job.state, job.created) == ("done", 4)


async def test_flaws_of_a_workbook_come_back_as_a_workbook(shop: Shop) -> None:
    await shop.done(GOOD)
    data = await shop.exported("xlsx", language="zh-CN")
    rows = [list(row) for row in [read_workbook(data).header, *read_workbook(data).rows]]
    rows[1][rows[0].index("状态")] = "飞走"
    from actors.storage.sheets.writing import write_workbook

    write_workbook(shop.folder / "x", rows)
    job = await shop.done((shop.folder / "x").read_bytes(), dry_run=True)
    assert (job.format, job.bad_cells) == ("xlsx", 1)
    again = read_workbook(await shop.part(job, "sheet"))
    assert list(again.header)[:3] == ["row", "problems", "商品编码"]
    assert again.rows[0][1].startswith("状态: ")


async def test_one_bad_cell_and_nothing_is_imported(shop: Shop) -> None:
    job = await shop.done(GOOD + "P3,draft,cups,Lid,,,S4,,,x,,\n")
    assert (job.state, job.bad_cells, await shop.counts()) == ("checked", 1, (0, 0, 0, 0))


async def test_a_checked_file_is_imported_when_somebody_says_so(shop: Shop) -> None:
    job = await shop.done(GOOD, dry_run=True)
    assert (job.state, job.created, await shop.counts()) == ("checked", 2, (0, 0, 0, 0))
    assert (await shop.imports.run(ME, "", job.job_id)).state == "importing"
    assert (await shop.imports.run(ME, "", job.job_id)).state == "importing"
    await shop.worker.run()
    assert ((await shop.imports.one(job.job_id)).state, (await shop.counts())[0]) == ("done", 2)
    assert (await shop.imports.run(ME, "", job.job_id)).state == "done"
    with pytest.raises(NotDone, match="import_ended"):
        await shop.imports.cancel(ME, "", job.job_id)
    actions = await shop.pool.fetch("SELECT permission, target, state, after FROM staff_action WHERE target = $1 ORDER BY seq", job.job_id)
    assert {(row["permission"], row["target"]) for row in actions} == {("goods.import", job.job_id)}
    assert [json.loads(row["after"]).get("created") for row in actions] == [None, None, 2]


async def test_a_file_that_is_none_is_refused(shop: Shop) -> None:
    for data, reason in (
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100), "sheet_old"),
        (b"PK\x03\x04broken", "sheet_damaged"),
        (b"", "file_empty"),
    ):
        job = await shop.done(data, name="../../x.xlsm")
        assert (job.state, job.reason, job.file_name) == ("refused", reason, "x.xlsm")
        assert list(shop.folder.iterdir()) == []


async def test_an_upload_that_is_too_large_or_breaks_off_leaves_nothing(shop: Shop) -> None:
    with pytest.raises(FileTooLarge):
        await shop.send(b"x" * 300_000, most=200_000)

    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 2_000_000
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await shop.imports.upload(ME, "", "x", "en", broken(), FILE_BYTES_MAX, dry_run=True)
    assert await shop.pool.fetchval("SELECT count(*) FROM import_piece") == 0
    assert await shop.worker.run() == 0


async def test_jobs_are_bounded(shop: Shop) -> None:
    for _ in range(OPEN_MAX):
        await shop.send("x")
    with pytest.raises(NotDone, match="imports_waiting"):
        await shop.send("x")


async def test_a_merchant_imports_own_goods_alone(shop: Shop) -> None:
    await shop.done(GOOD)
    one, other = await shop.member("merchant", "mer_1"), await shop.member("merchant", "mer_2")
    head = "product code,title en,sku code,price CNY\n"
    job = await shop.done(head + "P1,Mine,M1,5\n", actor=one, firm="mer_1")
    assert (job.state, job.created) == ("done", 1)
    assert await shop.pool.fetchval("SELECT merchant_id FROM product WHERE code = 'P1' AND merchant_id IS NOT NULL") == "mer_1"
    job = await shop.done(head + "P1,Yours,M1,5\nP9,New,S1,5\n", actor=other, firm="mer_2")
    assert (job.state, await shop.flaws(job)) == ("checked", [("C2", "sku_taken"), ("C3", "sku_taken")])
    with pytest.raises(NotDone, match="import_unknown"):
        await shop.imports.one(job.job_id, "mer_1")
    assert [found.merchant_id for found in await shop.imports.page("mer_2", (1 << 60, ""), 9)] == ["mer_2"]
    # The staff export says whose a product is, and takes it back.
    assert (await shop.done(await shop.exported())).same == 3
    assert b"S1" not in await shop.exported(merchant_id="mer_1")


@pytest.mark.parametrize("cell", ["twelve", "-3", "1,5", "=1+1", "1e999"])
async def test_the_only_price_of_what_is_there_cannot_be_read(shop: Shop, cell: str) -> None:
    await shop.done(GOOD)
    for changed in (GOOD, GOOD.replace("P2", "P3").replace("S3", "S4")):
        job = await shop.done(changed.replace(",,,5,,", f',,,"{cell}",,'))
        assert (job.state, job.bad_cells) == ("checked", 1)
        [(where, code)] = await shop.flaws(job)
        assert (where, code) in (("J4", "price_form"), ("J4", "formula"))
    job = await shop.done(GOOD.replace("P2,draft", "P2,sold").replace(",,,5,,", ",,,,,"))
    assert await shop.flaws(job) == [("B4", "state_unknown"), ("J4", "price_missing")]


async def test_images_that_are_not_there_are_bad_cells(shop: Shop) -> None:
    await shop.pool.executemany(
        """INSERT INTO image (image_id, width, height, format, colour, source_bytes, actor_id, at_ms, doomed_at_ms)
        VALUES ($1, 9, 9, 'PNG', '#ffffff', 99, 'usr_x', 1, $2)""",
        [("img_1", 0), ("img_3", 1)],
    )
    head = "product code,title en,sku code,price CNY,images,sku image,choice\n"
    job = await shop.done(head + "P1,A,A1,5,img_1,,\nP2,B,B1,5,img_1;img_2,img_1,size=1\nP2,,B2,5,,img_3,size=2\n")
    assert await shop.flaws(job) == [("E3", "image_unknown"), ("F4", "image_unknown")]


async def test_who_may_no_longer_import_does_not(shop: Shop) -> None:
    operator = await shop.member("operator")
    job = await shop.send(GOOD, actor=operator)
    await shop.staff.revoke(ME, operator.user_id, "operator", "a test")
    await shop.worker.run()
    found = await shop.imports.one(job.job_id)
    assert (found.state, found.reason, await shop.counts()) == ("failed", "forbidden", (0, 0, 0, 0))
    with pytest.raises(NotDone, match="forbidden"):
        await shop.send(GOOD, actor=operator)
