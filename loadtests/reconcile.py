"""What clients were told against what the tables hold: every acknowledged order must be there, as it was told, once."""

from collections.abc import Iterable, Mapping
from typing import Final

import asyncpg
import msgspec

from loadtests.generator.plan import Requests, Sent

READ_ORDERS: Final = "SELECT order_id, user_id, status, total_amount, currency, sale_id FROM orders WHERE order_id = ANY($1)"
READ_CHUNK: Final = 10_000
SHOWN_MAX: Final = 20


class Acknowledged(msgspec.Struct, frozen=True, kw_only=True):
    """One 2xx to an order, as a client saw it. Empty fields were not told and are not compared; key: its Idempotency-Key."""

    order_id: str
    user_id: str = ""
    sale_id: str = ""
    total: int | None = None
    currency: str = ""
    key: str = ""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table of orders."""

    order_id: str
    user_id: str
    status: str
    total_amount: int
    currency: str
    sale_id: str | None


class Differences(msgspec.Struct, frozen=True, kw_only=True):
    """Where the tables say something else than clients were told.

    missing: acknowledged and not in the table. different: there, with another user, sale or total.
    doubled: one Idempotency-Key of one user that was answered with two orders. shared: one order told to two keys.
    """

    acknowledged: int
    missing: tuple[str, ...] = ()
    different: tuple[str, ...] = ()
    doubled: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()

    @property
    def none(self) -> bool:
        """The tables say exactly what the clients were told."""
        return not (self.missing or self.different or self.doubled or self.shared)

    def __str__(self) -> str:
        kinds = (("missing", self.missing), ("different", self.different), ("doubled", self.doubled), ("shared", self.shared))
        parts = [f"{len(ids)} {name} ({', '.join(ids[:SHOWN_MAX])})" for name, ids in kinds if ids]
        return f"{self.acknowledged} acknowledged orders: " + ("; ".join(parts) or "all in the tables, as told")


def compare(told: Iterable[Acknowledged], rows: Mapping[str, Row]) -> Differences:
    """The differences between what was told and the rows by order id."""
    by_key: dict[tuple[str, str], str] = {}
    by_order: dict[str, tuple[str, str]] = {}
    missing, different, doubled, shared, count = [], [], [], [], 0
    for ack in told:
        count += 1
        row = rows.get(ack.order_id)
        if row is None:
            missing.append(ack.order_id)
        elif not _agrees(ack, row):
            different.append(ack.order_id)
        if ack.key:
            asked = (ack.user_id, ack.key)
            if by_key.setdefault(asked, ack.order_id) != ack.order_id:
                doubled.append(f"{ack.key}: {by_key[asked]}, {ack.order_id}")
            if by_order.setdefault(ack.order_id, asked) != asked:
                shared.append(ack.order_id)
    return Differences(acknowledged=count, missing=tuple(missing), different=tuple(different), doubled=tuple(doubled), shared=tuple(shared))


async def reconcile(database_url: str, told: Iterable[Acknowledged]) -> Differences:
    """Compare with the tables over a read-only connection."""
    known = list(told)
    rows = await rows_of(database_url, sorted({ack.order_id for ack in known}))
    return compare(known, rows)


async def rows_of(database_url: str, order_ids: list[str]) -> dict[str, Row]:
    """The rows of these orders by id, in chunks, over a read-only connection."""
    connection = await asyncpg.connect(database_url, server_settings={"default_transaction_read_only": "on"})
    try:
        found: dict[str, Row] = {}
        for start in range(0, len(order_ids), READ_CHUNK):
            for record in await connection.fetch(READ_ORDERS, order_ids[start : start + READ_CHUNK]):
                found[record["order_id"]] = msgspec.convert(dict(record), Row)
        return found
    finally:
        await connection.close()


def told_by(sent: Iterable[Sent], requests: Requests, sale_id: str = "") -> list[Acknowledged]:
    """The acknowledged orders among these requests."""
    return [
        Acknowledged(order_id=row.order_id, user_id=requests.user_of(row.number), sale_id=sale_id, key=requests.key_of(row.number))
        for row in sent
        if row.attempt.accepted and row.order_id
    ]


def _agrees(ack: Acknowledged, row: Row) -> bool:
    return (
        (not ack.user_id or ack.user_id == row.user_id)
        and (not ack.sale_id or ack.sale_id == row.sale_id)
        and (ack.total is None or ack.total == row.total_amount)
        and (not ack.currency or ack.currency == row.currency)
    )
