"""Imports as jobs: all or nothing, once, by whoever may, and whole again after a kill at any moment."""

import asyncio
import contextlib
import csv
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

from actors.domain.staff import MACHINE, Actor, role_bits
from actors.runtime.importing import MODULE, Order
from actors.storage.connect import open_pool
from actors.storage.export import Wish, count_of, export_on
from actors.storage.goods import By, Edit, Goods
from actors.storage.import_work import Worker
from actors.storage.imports import OPEN_MAX, FileTooLarge, Imports, Job
from actors.storage.sheets.limits import FILE_BYTES_MAX, Sheet
from actors.storage.sheets.reading import read_here
from actors.storage.sheets.workbook_reading import read_workbook
from actors.storage.staff import NotDone, Staff
from schemas.goods import Product
from schemas.settings import Settings

ME = Actor(user_id=MACHINE, roles=0)
CATEGORY = """
INSERT INTO category (category_id, title, title_zh, slug, attributes) VALUES ('cat_1', 'Cups', '杯子', 'cups',
    '[{"attribute_id": "volume", "titles": {"en": "Volume"}, "kind": "number"}]')"""
HEAD = "product code,state,category,title en,title zh,detail en,sku code,choice,barcode,price CNY,tiers CNY,attr:volume\n"
GOOD = HEAD + (
    "P1,on_shelf,cups,Cup,杯子,<p>x</p><script>y</script>,S1,color=Red|红色,0012345678905,8.90,10:8.50,3.5\n"
    "P1,,,,,,S2,color=Blue|蓝色,,9.90,,\n"
    "P2,draft,cups,Pot,,,S3,,,5,,\n"
)


class Shop:
    """A database with the tables of goods, and who works on imports."""

    def __init__(self, url: str, pool: Any, folder: Path) -> None:
        self.url, self.pool, self.folder = url, pool, folder
        self.staff = Staff(pool)
        self.imports = Imports(pool, self.staff)
        self.worker = Worker(url, folder, read_quickly)

    async def send(
        self, data: bytes | str, *, dry_run: bool = False, actor: Actor = ME, firm: str = "", name: str = "goods.csv", **more: Any
    ) -> Job:
        whole = data.encode() if isinstance(data, str) else data

        async def body() -> AsyncIterator[bytes]:
            for start in range(0, len(whole), 100_000):
                yield whole[start : start + 100_000]

        return await self.imports.upload(
            actor, firm, name, more.get("language", "en"), body(), more.get("most", FILE_BYTES_MAX), dry_run=dry_run
        )

    async def done(self, data: bytes | str, **more: Any) -> Job:
        job = await self.send(data, **more)
        await self.worker.run()
        return await self.imports.one(job.job_id)

    async def part(self, job: Job, part: str) -> bytes:
        return b"".join([piece async for piece in self.imports.pieces(job.job_id, part)])

    async def flaws(self, job: Job) -> list[tuple[str, str]]:
        return [(flaw["cell"], flaw["code"]) for flaw in json.loads(await self.part(job, "list_json"))["flaws"]]

    async def exported(self, file_format: str = "csv", **more: Any) -> bytes:
        path = self.folder / "exported"
        self.folder.mkdir(exist_ok=True)
        async with self.pool.acquire() as connection:
            await export_on(connection, path, Wish(format=file_format, **more))
        return path.read_bytes()

    async def counts(self) -> tuple[int, ...]:
        return tuple(
            [await self.pool.fetchval(f"SELECT count(*) FROM {table}") for table in ("product", "sku", "sku_price", "product_revision")]
        )

    async def member(self, role: str, merchant_id: str | None = None) -> Actor:
        user_id = "usr_" + role + (merchant_id or "")
        await self.pool.execute(
            "INSERT INTO account (user_id, register_id) VALUES ($1, $2) ON CONFLICT DO NOTHING", user_id, os.urandom(16)
        )
        if merchant_id:
            await self.pool.execute(
                "INSERT INTO merchant (merchant_id, title, title_zh) VALUES ($1, 'F', '商') ON CONFLICT DO NOTHING", merchant_id
            )
        await self.staff.grant(ME, user_id, role, merchant_id or "", "a test")
        return Actor(user_id=user_id, roles=1 | role_bits([role]), merchant_id=merchant_id or "")


def read_quickly(path: Path, result: Path) -> Sheet:
    """Without a process for each file: those have tests of their own."""
    return read_here(path.read_bytes())


@pytest.fixture(scope="session")
def imports_url(new_database: Callable[[str], str]) -> str:
    """One database for all tests here; its trail of the staff goes on from test to test."""
    return new_database("imports")


async def founded(pool: Any) -> None:
    await pool.execute(CATEGORY)
    await pool.execute("INSERT INTO shipping_fee (currency, fee_minor) VALUES ('CNY', 0) ON CONFLICT DO NOTHING")


@pytest.fixture
async def shop(imports_url: str, tmp_path: Path) -> AsyncIterator[Shop]:
    pool = await open_pool(imports_url, size=4)
    await pool.execute("TRUNCATE import_job, import_piece, product, sku, sku_price, product_revision, category, staff_role CASCADE")
    await founded(pool)
    yield Shop(imports_url, pool, tmp_path / "imports")
    await pool.close()


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


async def test_images_that_are_not_there_are_bad_cells(shop: Shop) -> None:
    async def known_images(connection: Any, ids: list[str]) -> set[str]:
        return {image_id for image_id in ids if image_id == "img_1"}

    head = "product code,title en,sku code,price CNY,images,sku image,choice\n"
    job = await shop.send(head + "P1,A,A1,5,img_1,,\nP2,B,B1,5,img_1;img_2,img_1,size=1\nP2,,B2,5,,img_3,size=2\n")
    await Worker(shop.url, shop.folder, read_quickly, known_images).run()
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


# --- at the same time ------------------------------------------------------------------------------------


async def test_two_imports_at_once_are_one_after_the_other(shop: Shop) -> None:
    first, second = await shop.send(GOOD), await shop.send(GOOD.replace("8.90", "9.50"))
    done = await asyncio.gather(shop.worker.run(), Worker(shop.url, shop.folder, read_quickly).run())
    assert sorted(done) == [0, 2]
    assert [(await shop.imports.one(job.job_id)).state for job in (first, second)] == ["done", "done"]
    assert await shop.pool.fetchval("SELECT price_minor FROM sku WHERE code = 'S1'") == 950
    assert await shop.counts() == (2, 3, 4, 3)


class Meddling(Worker):
    """A worker beside which something happens between reading and writing."""

    def __init__(self, url: str, folder: Path, meddle: Any) -> None:
        super().__init__(url, folder, read_quickly)
        self.meddle = meddle

    async def _written(self, task: Any, found: Any) -> bool:
        await self.meddle(task)
        return await super()._written(task, found)


async def edited(shop: Shop, title: str) -> None:
    """A member of the staff changes the first product."""
    product_id = await shop.pool.fetchval("SELECT product_id FROM product WHERE code = 'P1'")
    stored = await Goods(shop.pool).read(product_id)
    assert stored is not None
    text = msgspec.structs.replace(stored.doc.texts.en, title=title)
    doc: Product = msgspec.structs.replace(stored.doc, texts=msgspec.structs.replace(stored.doc.texts, en=text))
    async with shop.pool.acquire() as connection, connection.transaction():
        await Goods(shop.pool).write_many(connection, [Edit(doc=doc, product_id=product_id)], By(actor_id="usr_x", role="operator"), 1)


async def test_what_staff_change_meanwhile_is_kept_where_the_sheet_says_nothing_of_it(shop: Shop) -> None:
    await shop.done(GOOD)
    job = await shop.send("sku code,price CNY\nS1,8.8\n")
    times = []

    async def meddle(task: Any) -> None:
        times.append(task.job_id)
        if len(times) == 1:
            await edited(shop, "Mug")

    assert await Meddling(shop.url, shop.folder, meddle).run() == 1
    found = await shop.imports.one(job.job_id)
    assert (found.state, found.changed, len(times)) == ("done", 1, 2)
    row = await shop.pool.fetchrow(
        "SELECT p.title, s.price_minor, p.revision FROM product p JOIN sku s USING (product_id) WHERE s.code = 'S1'"
    )
    assert tuple(row) == ("Mug", 880, 3)


async def test_goods_that_change_again_and_again_end_an_import_unwritten(shop: Shop) -> None:
    await shop.done(GOOD)
    job = await shop.send("sku code,price CNY\nS1,8.8\n")
    names = iter("abcdef")

    async def meddle(task: Any) -> None:
        await edited(shop, next(names))

    await Meddling(shop.url, shop.folder, meddle).run()
    found = await shop.imports.one(job.job_id)
    assert (found.state, found.reason) == ("failed", "import_goods_changed")
    assert await shop.pool.fetchval("SELECT price_minor FROM sku WHERE code = 'S1'") == 890


async def test_a_code_that_is_taken_meanwhile_is_found_as_a_bad_cell(shop: Shop) -> None:
    job = await shop.send(GOOD)
    times = []

    async def meddle(task: Any) -> None:
        if not times:
            await shop.pool.execute(
                "INSERT INTO product (product_id, title, title_zh, department, department_zh) VALUES ('prd_a', 'x', 'x', '', '')"
            )
            await shop.pool.execute(
                "INSERT INTO sku (sku_id, product_id, code, price_minor, currency, on_shelf) "
                "VALUES ('sku_a', 'prd_a', 'S3', 500, 'CNY', true)"
            )
        times.append(1)

    await Meddling(shop.url, shop.folder, meddle).run()
    found = await shop.imports.one(job.job_id)
    assert (found.state, await shop.flaws(found), (await shop.counts())[0]) == ("checked", [("G4", "sku_elsewhere")], 1)


async def test_an_import_that_is_cancelled_while_it_writes_is_taken_back(shop: Shop) -> None:
    job = await shop.send(GOOD)

    async def meddle(task: Any) -> None:
        await shop.imports.cancel(ME, "", task.job_id)

    await Meddling(shop.url, shop.folder, meddle).run()
    assert ((await shop.imports.one(job.job_id)).state, await shop.counts()) == ("cancelled", (0, 0, 0, 0))
    assert (await shop.imports.cancel(ME, "", job.job_id)).state == "cancelled"


async def test_a_job_that_ends_its_worker_each_time_is_given_up(shop: Shop) -> None:
    job = await shop.send(GOOD)

    async def meddle(task: Any) -> None:
        raise asyncpg.InterfaceError("gone")

    for _ in range(7):
        with contextlib.suppress(Exception):
            await Meddling(shop.url, shop.folder, meddle).run()
    found = await shop.imports.one(job.job_id)
    assert (found.state, found.reason, await shop.counts()) == ("failed", "import_failed", (0, 0, 0, 0))


async def test_a_fault_of_ours_ends_the_job_and_not_the_worker(shop: Shop) -> None:
    broken, good = await shop.send(GOOD), await shop.send(GOOD)

    async def meddle(task: Any) -> None:
        if task.job_id == broken.job_id:
            raise RuntimeError("a mistake")

    assert await Meddling(shop.url, shop.folder, meddle).run() == 2
    assert [(await shop.imports.one(job.job_id)).state for job in (broken, good)] == ["failed", "done"]


async def test_old_files_go_and_the_lines_of_their_jobs_stay(shop: Shop) -> None:
    job = await shop.done(GOOD)
    await shop.pool.execute("UPDATE import_job SET asked_at_ms = 1, ended_at_ms = 1")
    await shop.pool.execute(
        "INSERT INTO import_job (job_id, state, actor_id, role, file_name, file_bytes, digest, language, dry_run, asked_at_ms) "
        "VALUES ('job_u', 'uploading', 'x', '', 'x', 0, '', 'en', true, 1)"
    )
    await shop.worker.run()
    assert await shop.pool.fetchval("SELECT count(*) FROM import_piece") == 0
    assert [row["job_id"] for row in await shop.pool.fetch("SELECT job_id FROM import_job")] == [job.job_id]


# --- kill -9 ---------------------------------------------------------------------------------------------


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from actors.storage import import_work
where, count = sys.argv[3], int(sys.argv[4])
seen = 0

def killing(before):
    async def step(self, *arguments, **named):
        global seen
        seen += 1
        if seen == count:
            os.kill(os.getpid(), signal.SIGKILL)
        found = await before(self, *arguments, **named)
        return found
    return step

def killing_after(before):
    async def step(self, *arguments, **named):
        found = await before(self, *arguments, **named)
        os.kill(os.getpid(), signal.SIGKILL)
        return found
    return step

name = where.rstrip("+")
kind = killing_after if where != name else killing
setattr(import_work.Worker, name, kind(getattr(import_work.Worker, name)))
asyncio.run(import_work.Worker(sys.argv[1], Path(sys.argv[2])).run())
"""


async def killed(shop: Shop, where: str, count: int = 1) -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED, shop.url, str(shop.folder), where, str(count))
    assert await process.wait() == -signal.SIGKILL


@pytest.mark.slow
async def test_a_worker_that_is_killed_at_any_step_leaves_the_same_end(shop: Shop) -> None:
    steps = ["_one", "_move+", "_fetch+", "_judged+", "_allowed", "_written+", "_note"]
    await shop.done("sku code,product code,title en,price CNY\nX,X,X,1\n")
    for number, step in enumerate(steps):
        job = await shop.send(
            GOOD.replace("P1", f"P1-{number}").replace("P2", f"P2-{number}").replace(",S", f",S{number}-").replace("0012345678905", "")
        )
        before = await shop.counts()
        await killed(shop, step)
        after = await shop.counts()
        whole = tuple(x + y for x, y in zip(before, (2, 3, 4, 2), strict=True))
        assert after in (before, whole), step
        assert (after == whole) is (step in ("_written+", "_note")), step
        await shop.worker.run()
        found = await shop.imports.one(job.job_id)
        assert (found.state, found.created, await shop.counts()) == ("done", 2, whole), step
        noted = await shop.pool.fetchval("SELECT count(*) FROM staff_action WHERE target = $1 AND after LIKE '%created%'", job.job_id)
        assert noted == 1, step
    assert list(shop.folder.iterdir()) == []


@pytest.mark.slow
async def test_a_worker_that_is_killed_while_it_reports_makes_the_report_again(shop: Shop) -> None:
    job = await shop.send(GOOD + "P3,sold,,,,,S9,,,,,\n")
    await killed(shop, "_checked")
    await shop.worker.run()
    found = await shop.imports.one(job.job_id)
    assert (found.state, found.bad_cells) == ("checked", len(await shop.flaws(found)))
    assert found.bad_cells > 1


@pytest.mark.slow
async def test_the_process_does_what_waits_and_ends(shop: Shop, tmp_path: Path) -> None:
    job = await shop.send(GOOD)
    order = Order(settings=Settings(data_dir=str(tmp_path), database_url=shop.url))
    command = [sys.executable, "-m", MODULE]
    done = await asyncio.to_thread(subprocess.run, command, input=msgspec.json.encode(order), capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert (await shop.imports.one(job.job_id)).state == "done"
    wish = Order(settings=order.settings, wish=Wish(format="csv"), path=str(tmp_path / "out.csv"))
    done = await asyncio.to_thread(subprocess.run, command, input=msgspec.json.encode(wish), capture_output=True, timeout=60, check=False)
    assert (tmp_path / "out.csv").read_bytes() == await shop.exported()
    assert done.returncode == 0


@pytest.mark.slow
async def test_two_thousand_skus_are_imported_in_a_moment(shop: Shop) -> None:
    """The small brother of ``make bench-import``."""
    lines = [HEAD.rstrip()]
    lines += [f"P{n},on_shelf,cups,Cup {n},杯子{n},<p>{n}</p>,S{n},,,{n % 90 + 10}.90,10:8.50,3.5" for n in range(2000)]
    job = await shop.done("\n".join(lines))
    assert (job.state, job.created, sum(shop.worker.seconds.values()) < 12) == ("done", 2000, True)
