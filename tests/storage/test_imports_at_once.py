"""Imports beside each other, beside the staff, and whole again after a kill at any moment."""

import asyncio
import contextlib
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

from actors.runtime.importing import MODULE, Order
from actors.storage.export import Wish
from actors.storage.goods import By, Edit, Goods
from actors.storage.import_work import Worker
from schemas.goods import Product
from schemas.settings import Settings
from tests.storage.imports_shop import GOOD, HEAD, ME, Shop, imports_url, read_quickly, shop

__all__ = ["imports_url", "shop"]


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
where = sys.argv[3]

def killing(before):
    async def step(self, *arguments, **named):
        os.kill(os.getpid(), signal.SIGKILL)
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
HELD = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 7284"


async def killed(shop: Shop, eventually: Any, where: str) -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED, shop.url, str(shop.folder), where)
    assert await process.wait() == -signal.SIGKILL
    # The server holds the lock of the dead until it has noticed.

    async def free() -> bool:
        return await shop.pool.fetchval(HELD) == 0

    await eventually(free)


@pytest.mark.slow
async def test_a_worker_that_is_killed_at_any_step_leaves_the_same_end(shop: Shop, eventually: Any) -> None:
    steps = ["_one", "_move+", "_fetch+", "_judged+", "_allowed", "_written+", "_note"]
    await shop.done("sku code,product code,title en,price CNY\nX,X,X,1\n")
    for number, step in enumerate(steps):
        job = await shop.send(
            GOOD.replace("P1", f"P1-{number}").replace("P2", f"P2-{number}").replace(",S", f",S{number}-").replace("0012345678905", "")
        )
        before = await shop.counts()
        await killed(shop, eventually, step)
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
async def test_a_worker_that_is_killed_while_it_reports_makes_the_report_again(shop: Shop, eventually: Any) -> None:
    job = await shop.send(GOOD + "P3,sold,,,,,S9,,,,,\n")
    await killed(shop, eventually, "_checked")
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
