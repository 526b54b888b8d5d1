"""Sales by day, pairs and facts are what a count by hand gives, whatever was rebuilt, killed or counted anew in between."""

import asyncio
import contextlib
import random
from collections import Counter
from typing import Any

import asyncpg
import pytest

from actors.storage.projections.follower import Follower
from actors.storage.projections.rebuild import rebuild
from actors.storage.watch import selling
from actors.storage.watch.rounds import run_round
from schemas.order import OrderPaid, OrderPlaced, OrderUnfulfillable, PaymentSettled, PaymentStarted, PricedLine, RefundStarted
from schemas.stock import StockPutIn
from tests.storage.watch_shop import DAY_MS, NOW_MS, TODAY, product

pytestmark = pytest.mark.slow

NAMES = [f"{number}" for number in range(6)]


class History:
    """Orders out of chance, through the journal, and what ought to be counted of them."""

    def __init__(self, writer: Any, chance: random.Random) -> None:
        self.writer, self.chance = writer, chance
        self.days: Counter[tuple[str, int]] = Counter()
        self.revenue: Counter[tuple[str, int]] = Counter()
        self.pairs: Counter[tuple[str, str]] = Counter()
        self.paid: list[tuple[str, str, dict[str, int], int]] = []
        self._number = 0

    async def some(self, count: int) -> None:
        for _ in range(count):
            await self._one()

    async def _one(self) -> None:
        self._number += 1
        order_id, user_id = f"ord_{self._number}", f"usr_{self.chance.randrange(4)}"
        lines = {name: self.chance.randint(1, 4) for name in self.chance.sample(NAMES, self.chance.randint(1, 3))}
        at_ms = NOW_MS - self.chance.randrange(120) * DAY_MS
        written = tuple(
            PricedLine(sku_id=f"sku_{name}", quantity=units, unit_price=500, stock_key=f"sku_{name}#0", discount=7)
            for name, units in lines.items()
        )
        total = sum(500 * units - 7 for units in lines.values())
        placed = OrderPlaced(
            order_id=order_id, lines=written, total=total, currency="CNY", reservation_ids=tuple(b"r" for _ in lines), placed_at_ms=at_ms,
            expires_at_ms=at_ms + 1, price_version=1,
        )  # fmt: skip
        payment_id = f"pay_{self._number}"
        await self.writer.write("order", user_id, placed)
        if self.chance.random() < 0.2:
            return  # nobody pays
        started = PaymentStarted(order_id=order_id, payment_id=payment_id, amount=total, currency="CNY", command_id=b"c", at_ms=at_ms)
        settled = PaymentSettled(order_id=order_id, payment_id=payment_id, provider_id="p", amount=total, currency="CNY", at_ms=at_ms)
        await self.writer.write("order", user_id, started)
        await self.writer.write("order", user_id, settled, OrderPaid(order_id=order_id, payment_id=payment_id, at_ms=at_ms))
        self._count(lines, at_ms // DAY_MS, 1)
        self.paid.append((order_id, user_id, lines, at_ms))
        if self.chance.random() < 0.25:
            await self._pay_back()

    async def _pay_back(self) -> None:
        order_id, user_id, lines, at_ms = self.paid.pop(self.chance.randrange(len(self.paid)))
        total = sum(500 * units - 7 for units in lines.values())
        refund = RefundStarted(
            order_id=order_id, payment_id="pay_" + order_id[4:], refund_id="ref_" + order_id[4:], amount=total, currency="CNY",
            reason="unfulfillable", at_ms=NOW_MS,
        )  # fmt: skip
        await self.writer.write("order", user_id, OrderUnfulfillable(order_id=order_id, code="hold_released", at_ms=NOW_MS), refund)
        self._count(lines, at_ms // DAY_MS, -1)

    def _count(self, lines: dict[str, int], day: int, sign: int) -> None:
        for name, units in lines.items():
            self.days[name, day] += sign * units
            self.revenue[name, day] += sign * (500 * units - 7)
            for other in lines:
                if other != name:
                    self.pairs[name, other] += sign

    def units(self, name: str, days: int) -> int:
        return sum(units for (one, day), units in self.days.items() if one == name and day > TODAY - days)


async def counted(connection: Any) -> tuple[dict[Any, int], dict[Any, int], dict[Any, int]]:
    rows = await connection.fetch("SELECT substr(sku_id, 5) AS name, day, units, revenue_minor FROM sku_day")
    pairs = await connection.fetch("SELECT substr(product_id, 5) AS name, substr(with_id, 5) AS other, orders FROM product_pair")
    return (
        {(row["name"], row["day"]): row["units"] for row in rows},
        {(row["name"], row["day"]): row["revenue_minor"] for row in rows},
        {(row["name"], row["other"]): row["orders"] for row in pairs},
    )


def expected(history: History) -> tuple[dict[Any, int], dict[Any, int], dict[Any, int]]:
    return tuple({key: value for key, value in found.items() if value} for found in (history.days, history.revenue, history.pairs))  # type: ignore[return-value]


async def follow(follower: Follower) -> None:
    while await follower.step():
        pass


async def killed_round(url: str, chance: random.Random) -> None:
    """A round that is ended somewhere, as a process would be that is killed: its connection breaks."""
    task = asyncio.ensure_future(run_round(url, now_ms=NOW_MS))
    await asyncio.sleep(chance.random() * 0.05)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("seed", [1, 2])
async def test_facts_equal_a_count_by_hand_after_any_history(
    writer: Any, follower: Follower, database_url: str, connection: Any, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selling, "NEWS_MAX", 7)
    chance = random.Random(seed)
    history = History(writer, chance)
    for name in NAMES:
        await product(connection, name)
        await writer.write("stock", f"sku_{name}#0", StockPutIn(quantity=50))
    for part in range(4):
        await history.some(15)
        await follow(follower)
        await killed_round(database_url, chance)
        if part == 1:
            # A rebuild in the middle, with records that the old table never saw.
            await history.some(3)
            await rebuild(database_url, "orders")
        await history.some(2)
    await follow(follower)
    done = await run_round(database_url, now_ms=NOW_MS)
    assert (done.alone, done.whole) == (True, True), done
    for found, wanted in zip(await counted(connection), expected(history), strict=True):
        assert found == wanted
    for name in NAMES:
        facts = await connection.fetchrow(
            "SELECT units_7, units_28, (facts ->> 'units_90')::bigint AS units_90, (facts ->> 'units_1')::bigint AS units_1, on_hand"
            " FROM product_fact WHERE product_id = $1",
            f"prd_{name}",
        )
        assert dict(facts) == {f"units_{days}": history.units(name, days) for days in (7, 28, 90, 1)} | {"on_hand": 50}
    before = await counted(connection)
    await selling.recount(connection)
    assert await counted(connection) == before


async def test_a_rebuild_that_ends_while_everything_is_counted_is_not_overlooked(
    writer: Any, follower: Follower, database_url: str, connection: Any
) -> None:
    await product(connection, "0")
    other = await asyncpg.connect(database_url)
    await other.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    await other.fetchval("SELECT count(*) FROM product")
    await rebuild(database_url, "orders")
    with pytest.raises(asyncpg.SerializationError):
        await other.execute(selling.COUNTED)
    await other.close()
    assert await selling.recount_asked(connection)


async def test_only_one_round_is_at_work(database_url: str, connection: Any) -> None:
    await connection.fetchval("SELECT pg_advisory_lock(7281)")
    assert not (await run_round(database_url)).alone
    await connection.fetchval("SELECT pg_advisory_unlock(7281)")
    assert (await run_round(database_url)).alone
