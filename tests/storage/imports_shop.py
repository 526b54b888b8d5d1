"""A database with the tables of goods, and who sends files and works on them."""

import itertools
import json
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from actors.domain.staff import MACHINE, Actor, role_bits
from actors.storage.connect import open_pool
from actors.storage.export import Wish, export_on
from actors.storage.import_work import Worker
from actors.storage.imports import Imports, Job
from actors.storage.sheets.limits import FILE_BYTES_MAX, Sheet
from actors.storage.sheets.reading import read_here
from actors.storage.staff import Staff

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


_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def imports_url(new_database: Callable[[str], str]) -> str:
    """One database for all tests of a file; its trail of the staff goes on from test to test."""
    return new_database(f"imports_{next(_numbers)}")


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
