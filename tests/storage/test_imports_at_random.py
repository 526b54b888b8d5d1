"""Sheets whose cells hold whatever people and programs leave in cells: each is refused by its cells, or written whole, and never breaks."""

import csv
import io
import random

import pytest

from actors.domain.sheet_words import words_of
from actors.storage.import_reports import list_csv, list_json, sheet_again
from actors.storage.import_rows import judged
from actors.storage.sheets.limits import SheetRefused
from actors.storage.sheets.reading import read_here
from tests.storage.imports_shop import GOOD, Shop, imports_url, shop

__all__ = ["imports_url", "shop"]

pytestmark = pytest.mark.slow

CELLS = (
    "", "x", "-1", "0", "1.234", "1e5", "=1+1", "|", "a|b", "a|b|c", ";", ";;", "=", "a=b", "a=b;a=c", "\\", "\\\\", "size=S|M",
    "color=Red|红;size=", "10:8.5", "10:8.5;10:8", "8.5@2026-01-01..2026-02-01", "@", "..", "2026-13-40", "2026-01-01 25:00", "yes",
    "maybe", "retired", "draft", "scheduled", "off_shelf", "on_shelf", "img_1", "img_1;img_1", "9" * 400, "x" * 40_000, "<script>",
    "\u202e", "'=1", "杯子", "是", "gold:5", "gold:5;gold:6", "0012345678905", "true", "1.0", "  5 ", "５", "NaN",
    "a\nb", "\t", "P1", "P2", "S1", "cups",
)  # fmt: skip
COLUMNS = (
    "tiers USD",
    "promotion CNY",
    "attr:x",
    "price USD",
    "member CNY",
    "title fr",
    "sku code",
    "options",
    "images",
    "slug",
    "weight g",
)


def sheet_text(chance: random.Random) -> str:
    """The good sheet, with columns more, rows more, and cells of any kind."""
    head, *rows = csv.reader(io.StringIO(GOOD))
    for name in chance.sample(COLUMNS, chance.randrange(4)):
        head.append(name)
        for row in rows:
            row.append(chance.choice(CELLS) if chance.random() < 0.3 else "")
    if chance.random() < 0.5:
        rows.append([f"N{chance.randrange(3)}" if name == "product code" else chance.choice(CELLS) for name in head])
    for _ in range(chance.randrange(6)):
        row = chance.choice(rows)
        row[chance.randrange(len(row))] = chance.choice(CELLS)
    if chance.random() < 0.1:
        head[chance.randrange(len(head))] = chance.choice(CELLS)
    text = io.StringIO()
    csv.writer(text).writerows([head, *rows])
    return text.getvalue()


@pytest.mark.parametrize("seed", range(4))
async def test_no_mix_of_cells_breaks_an_import(shop: Shop, seed: int) -> None:
    chance = random.Random(seed)
    await shop.done(GOOD)
    refused = written = 0

    async def progress(rows: int) -> None:
        pass

    for _ in range(60):
        text = sheet_text(chance)
        try:
            sheet = read_here(text.encode())
        except SheetRefused:
            continue
        async with shop.pool.acquire() as connection:
            found = await judged(connection, sheet, "", progress)
        if not found.flaws:
            written += 1
            assert (await shop.done(text)).state == "done", text
            continue
        refused += 1
        for flaw in found.flaws:
            assert all(words_of(flaw.code, flaw.params, language) for language in ("en", "zh-CN"))
        assert list_json(found)
        for language in ("en", "zh-CN"):
            assert list_csv(found, language)
            assert read_here(sheet_again(found, "csv", language)).rows
    assert refused > 10
    assert written > 0
