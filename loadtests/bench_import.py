"""``python -m loadtests.bench_import``: how long 50,000 SKUs take from a file to the tables, by phase, and back into a file.

Through the command line, into a PostgreSQL with fsync: CSV and workbook, into an empty shop; then the same file again, which changes
nothing; then with every price changed. Every product has one SKU, which is the most rows that so many SKUs can make.
"""

import argparse
import asyncio
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import asyncpg
import xlsxwriter

from actors.storage.embedded import EmbeddedPostgres

SKUS: Final = 50_000
SECONDS_MAX: Final = 30.0
HEADER: Final = (
    "product code", "state", "category", "title en", "title zh", "subtitle zh", "detail zh", "keywords zh", "attr:material", "sku code",
    "barcode", "price CNY", "tiers CNY", "weight g", "safety stock",
)  # fmt: skip
FOUND: Final = (
    """INSERT INTO category (category_id, title, title_zh, slug, attributes) VALUES ('cat_bench', 'Cups', '杯子', 'cups',
    '[{"attribute_id": "material", "titles": {"en": "Material"}, "kind": "text"}]')""",
    "INSERT INTO shipping_fee (currency, fee_minor) VALUES ('CNY', 0) ON CONFLICT DO NOTHING",
)
EMPTY: Final = "TRUNCATE product_revision, sku_price, sku, product CASCADE"


def barcode(number: int) -> str:
    """An EAN-13 with its check digit."""
    digits = f"{690_000_000_000 + number:012d}"
    total = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(digits))
    return digits + str(-total % 10)


def rows(count: int, yuan: int) -> Iterator[list[str]]:
    """A sheet of so many SKUs, each of a product of its own."""
    yield list(HEADER)
    for number in range(count):
        yield [
            f"P{number:06d}", "on_shelf", "cups", f"Stone cup number {number}", f"石头杯子{number}号", "好用的杯子",
            f"<p>详情 {number}</p><ul><li>双层隔热</li><li>可机洗</li></ul>", "杯子;石头", "stone", f"S{number:06d}", barcode(number),
            f"{yuan + number % 90}.90", "10:8.50;50:7.90", str(100 + number % 400), "5",
        ]  # fmt: skip


def write(folder: Path, count: int) -> dict[str, Path]:
    """The files of the bench."""
    found = {name: folder / name for name in ("goods.csv", "prices.csv", "goods.xlsx")}
    for name, yuan in (("goods.csv", 10), ("prices.csv", 11)):
        with found[name].open("w", encoding="utf-8-sig", newline="") as stream:
            csv.writer(stream).writerows(rows(count, yuan))
    book = xlsxwriter.Workbook(str(found["goods.xlsx"]), {"constant_memory": True})
    sheet = book.add_worksheet()
    for number, row in enumerate(rows(count, 10)):
        sheet.write_row(number, 0, row)
    book.close()
    return found


async def execute(url: str, *statements: str) -> None:
    """Run statements."""
    connection = await asyncpg.connect(url)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


class Bench:
    """A database, and the command line on it."""

    def __init__(self, url: str, folder: Path) -> None:
        (folder / "data").mkdir()
        self.url = url
        self._environment = os.environ | {"STAMPEDE_DATABASE_URL": url, "STAMPEDE_DATA_DIR": str(folder / "data"), "LANG": "C.UTF-8"}

    def command(self, *arguments: str) -> str:
        """Run a command; what it said. RuntimeError."""
        done = subprocess.run(
            [sys.executable, "-m", "serve.cli.main", *arguments], env=self._environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(done.stderr + done.stdout)
        return done.stdout

    def imported(self, what: str, path: Path, *, empty: bool = False) -> float:
        """Import a file and say what it took; seconds in all, the command's own start included."""
        if empty:
            asyncio.run(execute(self.url, EMPTY))
        began = time.perf_counter()
        job: dict[str, Any] = json.loads(self.command("goods", "import", str(path), "--json"))["job"]
        seconds = time.perf_counter() - began
        phases = "  ".join(f"{name} {job[name + '_ms'] / 1000:5.1f}" for name in ("read", "check", "write"))
        counts = f"{job['created']:,} new, {job['changed']:,} changed, {job['same']:,} same"
        print(f"{what:34} {seconds:5.1f} s   {phases}   peak {job['peak_bytes'] / 1e6:4.0f} MB   {counts}", flush=True)
        if job["state"] != "done":
            raise RuntimeError(f"the import ended as {job['state']}: {job}")
        return seconds


def main() -> int:
    """The exit code: 1 when an import takes longer than it may."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--skus", type=int, default=SKUS)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # a PostgreSQL that root starts runs as another user
        files = write(folder, asked.skus)
        with EmbeddedPostgres(folder / "postgres") as server:
            bench = Bench(server.url, folder)
            bench.command("migrate")
            asyncio.run(execute(server.url, *FOUND))
            slowest = max(
                bench.imported("CSV, empty shop", files["goods.csv"]),
                bench.imported("the same again", files["goods.csv"]),
                bench.imported("every price changed", files["prices.csv"]),
                bench.imported("workbook, empty shop", files["goods.xlsx"], empty=True),
            )
            for ending in ("csv", "xlsx"):
                began = time.perf_counter()
                bench.command("goods", "export", str(folder / f"out.{ending}"))
                print(f"{'export ' + ending:34} {time.perf_counter() - began:5.1f} s", flush=True)
    print(f"slowest import {slowest:.1f} s, at most {SECONDS_MAX:g} are wanted")
    return int(slowest > SECONDS_MAX)


if __name__ == "__main__":
    sys.exit(main())
