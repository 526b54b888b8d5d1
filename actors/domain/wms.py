"""Rules of the exchange with warehouses: what a change is to the stock, when to try again, when to stop calling, what a difference is."""

from typing import Final

import msgspec

from schemas.ids import derived_id
from schemas.providers.wms import Change, Receipt, StockDelta
from schemas.stock import Adjust, Arrive, Move, PutIn, WriteOff

RETRY_MS: Final = (5_000, 30_000, 5 * 60_000, 30 * 60_000, 4 * 3_600_000)
"""Waits after the first, second, ... try that failed. After the last one the message is dead."""

JITTER: Final = 0.2
"""Part of a wait that is left to chance, so that what failed together does not come back together."""

UNANSWERED_MS_MAX: Final = 3 * 86_400_000
"""A message that nobody answered, because nobody was there, is kept so long without counting tries."""

EFFECT_MS_MAX: Final = 6 * 86_400_000
"""Owners know a command again for seven days. A change that was tried longer ago is not tried again: it might count twice."""

FAILURES_MAX: Final = 5
"""Calls in a row that failed; then the connection rests."""

REST_MS: Final = (30_000, 60_000, 120_000, 300_000)
"""How long it rests, each time that the call after a rest fails too; the last one repeats."""

GAP_ASK_MS: Final = 5_000
"""A change whose predecessor is missing waits so long for it, then the warehouse is asked for what it said meanwhile."""

GAP_MS_MAX: Final = 15 * 60_000
"""After so long it is no longer waited for: what never came is for the reconciliation to find."""

StockCommand = PutIn | WriteOff | Adjust | Move | Arrive


def changes_of(message: StockDelta | Receipt) -> tuple[Change, ...]:
    """The changes of stock that a message tells of, in its order."""
    if isinstance(message, StockDelta):
        return message.changes
    return tuple(
        Change(
            sku=line.sku, kind="receipt", quantity=line.quantity, sequence=line.sequence, batch=line.batch, expires_on=line.expires_on,
            reference=message.purchase_order or message.receipt_id,
        )
        for line in message.lines
    )  # fmt: skip


def change_flaw(change: Change) -> str:
    """What makes a change none, whatever its fields say one by one; empty when it is one."""
    if change.kind == "adjustment":
        return "" if change.quantity else "quantity_zero"
    if change.quantity < 1:
        return "quantity_not_positive"
    if change.kind != "transfer":
        return ""
    if not change.transfer_id or not change.phase:
        return "transfer_incomplete"
    return "transfer_without_goal" if change.phase == "sent" and not change.to_warehouse else ""


def effect_of(change: Change) -> int:
    """By how many units the count of what is in the house changes."""
    match change.kind:
        case "damage":
            return -change.quantity
        case "transfer":
            return -change.quantity if change.phase == "sent" else 0
        case _:
            return change.quantity


def command_of(change: Change, connection_id: str, warehouse_id: str, to_warehouse_id: str) -> StockCommand:
    """The command to the stock that a change is."""
    reference = change.reference
    match change.kind:
        case "receipt" | "return":
            return PutIn(
                quantity=change.quantity, reason=change.kind, warehouse_id=warehouse_id, batch=change.batch, expires_on=change.expires_on,
                reference=reference,
            )  # fmt: skip
        case "damage":
            return WriteOff(
                quantity=change.quantity, reason="damage", warehouse_id=warehouse_id, batch=change.batch, reference=reference
            )  # fmt: skip
        case "adjustment":
            return Adjust(
                delta=change.quantity, reason="count", warehouse_id=warehouse_id, batch=change.batch, expires_on=change.expires_on,
                reference=reference,
            )  # fmt: skip
        case "transfer":
            move_id = derived_id("wms.move", change.transfer_id, change.sku)
            if change.phase == "arrived":
                return Arrive(move_id=move_id, lost=change.lost, reference=reference)
            return Move(
                move_id=move_id, from_warehouse=warehouse_id, to_warehouse=to_warehouse_id, quantity=change.quantity, batch=change.batch,
                reference=reference,
            )  # fmt: skip


def asks_every_part(change: Change) -> bool:
    """Whether a change that one part of a SKU refuses may be another part's. What comes in is always the first part's."""
    return change.kind in ("damage", "transfer") or change.quantity < 0


def wait_ms(tries: int, chance: float) -> int | None:
    """How long to wait after so many tries (from 1 on) failed; None: it is dead. ``chance``: 0 to 1."""
    if tries > len(RETRY_MS):
        return None
    return int(RETRY_MS[tries - 1] * (1 - JITTER + 2 * JITTER * chance))


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a connection's line: failures in a row, and until when nothing is called (UTC, ms)."""

    failures: int = 0
    rests_until_ms: int = 0


def after_call(line: Line, *, failed: bool, now_ms: int) -> Line:
    """The line after a call: it rests after ``FAILURES_MAX`` failures in a row, longer and longer, and is whole again after one success."""
    if not failed:
        return Line()
    failures = line.failures + 1
    if failures < FAILURES_MAX:
        return Line(failures=failures)
    rest = REST_MS[min(failures - FAILURES_MAX, len(REST_MS) - 1)]
    return Line(failures=failures, rests_until_ms=now_ms + rest)


def calls_at_once(line: Line, wanted: int) -> int:
    """How many messages may be tried now: after a rest one, to see whether anybody is there."""
    return 1 if line.failures >= FAILURES_MAX else wanted
