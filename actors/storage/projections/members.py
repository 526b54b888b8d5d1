"""Members as people query them: how they stand, their points in double entry, and their visits.

| account | what it says |
| --- | --- |
| ``issued`` | points that the shop ever gave (credit) |
| ``available`` | what the member may spend, and what has run out and was not swept away yet |
| ``held`` | kept for an order or an exchange that is not settled |
| ``spent``, ``expired``, ``taken_back`` | where points ended |
| ``moved`` | what went to the account that this one was merged into; less what came from accounts that were merged into it |
| ``debt`` | taken back when they were not there any more; the next earnings pay it first (credit) |

Every posting sums to zero; the sums of a member's accounts are the counters of his entity.
"""

from typing import Any, ClassVar, Final, NamedTuple

from actors.storage.projections.projection import Fact, Statement
from schemas.member import (
    MemberEarned,
    MemberHandedOver,
    MemberLevelSet,
    MemberSignedIn,
    MemberTakenBack,
    MemberTookOver,
    PointsCommitted,
    PointsExpired,
    PointsHeld,
    PointsReinstated,
    PointsReleased,
)

ADD_STANDINGS: Final = """
INSERT INTO member_standing AS m (
    user_id, level_id, level_since_ms, review_ms, priority, support_queue, available, held, debt, shard, updated_seq
)
SELECT r.user_id, coalesce(r.level_id, ''), coalesce(r.since, 0), coalesce(r.review, 0), coalesce(r.priority, 0),
    coalesce(r.queue, 'standard'), r.available, r.held, r.debt, r.shard, r.seq
FROM unnest(
    $1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::smallint[], $6::text[], $7::bigint[], $8::bigint[], $9::bigint[],
    $10::smallint[], $11::bigint[]
) AS r (user_id, level_id, since, review, priority, queue, available, held, debt, shard, seq)
ON CONFLICT (user_id) DO UPDATE SET
    level_id = CASE WHEN excluded.level_id = '' THEN m.level_id ELSE excluded.level_id END,
    level_since_ms = CASE WHEN excluded.level_since_ms = 0 THEN m.level_since_ms ELSE excluded.level_since_ms END,
    review_ms = CASE WHEN excluded.level_id = '' THEN m.review_ms ELSE excluded.review_ms END,
    priority = CASE WHEN excluded.level_id = '' THEN m.priority ELSE excluded.priority END,
    support_queue = CASE WHEN excluded.level_id = '' THEN m.support_queue ELSE excluded.support_queue END,
    available = m.available + excluded.available,
    held = m.held + excluded.held,
    debt = m.debt + excluded.debt,
    updated_seq = excluded.updated_seq
"""
INSERT_POINTS: Final = """
INSERT INTO points_entry (posting, account, user_id, amount, at_ms, seq)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[])
"""
INSERT_SIGN_INS: Final = """
INSERT INTO sign_in (user_id, day, streak, points, at_ms)
SELECT * FROM unnest($1::text[], $2::integer[], $3::integer[], $4::bigint[], $5::bigint[])
"""

POINTS_EVENTS: Final = (
    MemberEarned, MemberTakenBack, PointsHeld, PointsCommitted, PointsReleased, PointsReinstated, PointsExpired, MemberHandedOver,
    MemberTookOver,
)  # fmt: skip


class PointsEntry(NamedTuple):
    """One row of ``points_entry``, but for where it was written."""

    posting: str
    account: str
    amount: int
    at_ms: int


def postings(shard: int, seq: int, event: Any) -> tuple[PointsEntry, ...]:
    """The entries of an event; none when it moved no points.

    A posting is named ``<what>:<record>:<ref>``: an id that comes again when it was long forgotten is another posting.
    """
    where = f"{shard}.{seq}"
    match event:
        case MemberEarned():
            name = f"earned:{where}:{event.source}:{event.ref}"
            moved = {"issued": -event.points, "debt": event.debt_paid, "available": event.points - event.debt_paid}
        case MemberTakenBack():
            name = f"taken_back:{where}:{event.refund_id}"
            there = sum(points for _, points in event.parts)
            moved = {"available": -there, "debt": there - event.points, "taken_back": event.points}
        case PointsHeld():
            name, moved = f"held:{where}:{event.hold_id.hex()}", {"available": -event.points, "held": event.points}
        case PointsCommitted():
            name, moved = f"committed:{where}:{event.hold_id.hex()}", {"held": -event.points, "spent": event.points}
        case PointsReleased():
            name = f"released:{where}:{event.hold_id.hex()}"
            moved = {"held": -event.points, "debt": event.debt_paid, "available": event.points - event.debt_paid}
        case PointsReinstated():
            name = f"reinstated:{where}:{event.hold_id.hex()}"
            moved = {"spent": -event.points, "debt": event.debt_paid, "available": event.points - event.debt_paid}
        case PointsExpired():
            name, moved = f"expired:{where}:{event.number}", {"available": -event.points, "expired": event.points}
        case MemberHandedOver():
            name, gone = f"moved_out:{where}:{event.to_user_id}", sum(points for _, points in event.estate.parts)
            moved = {"available": -gone, "debt": event.estate.debt, "moved": gone - event.estate.debt}
        case MemberTookOver():
            name, came = f"moved_in:{where}:{event.from_user_id}", sum(points for _, points in event.estate.parts)
            there, owed = sum(points for _, points in event.taken), event.estate.debt
            moved = {"moved": owed - came, "available": came - event.debt_paid - there, "debt": event.debt_paid + there - owed}
        case _:
            return ()
    return tuple(PointsEntry(name, account, amount, event.at_ms) for account, amount in moved.items() if amount)


class PointsProjection:
    """Fills ``points_entry``."""

    events: ClassVar[tuple[type, ...]] = POINTS_EVENTS
    tables: ClassVar[tuple[str, ...]] = ("points_entry",)
    after_swap: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        self._rows: list[tuple[str, str, str, int, int, int]] = []

    def fold(self, fact: Fact, event: Any, turn: list[Any]) -> None:
        for entry in postings(fact.shard, fact.seq, event):
            self._rows.append((entry.posting, entry.account, fact.key, entry.amount, entry.at_ms, fact.seq))

    def statements(self) -> list[Statement]:
        return [Statement(INSERT_POINTS, tuple(zip(*self._rows, strict=True)))] if self._rows else []


class _Standing:
    """What happens to a member in this step. The level: None when it stays; the others are added."""

    __slots__ = ("available", "debt", "held", "level", "seq", "shard", "since_ms")

    def __init__(self) -> None:
        self.level: MemberLevelSet | None = None
        self.since_ms = 0
        self.available = 0
        self.held = 0
        self.debt = 0
        self.shard = 0
        self.seq = 0


class StandingProjection:
    """Fills ``member_standing``."""

    events: ClassVar[tuple[type, ...]] = (MemberLevelSet, *POINTS_EVENTS)
    tables: ClassVar[tuple[str, ...]] = ("member_standing",)
    after_swap: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        self._changes: dict[str, _Standing] = {}

    def fold(self, fact: Fact, event: Any, turn: list[Any]) -> None:
        change = self._changes.setdefault(fact.key, _Standing())
        change.shard, change.seq = fact.shard, fact.seq
        if isinstance(event, MemberLevelSet):
            change.level = event
            if event.reason != "kept":
                change.since_ms = event.at_ms
        for entry in postings(fact.shard, fact.seq, event):
            match entry.account:
                case "available":
                    change.available += entry.amount
                case "held":
                    change.held += entry.amount
                case "debt":
                    change.debt -= entry.amount
                case _:
                    pass

    def statements(self) -> list[Statement]:
        rows = [_row(user_id, change) for user_id, change in sorted(self._changes.items())]
        return [Statement(ADD_STANDINGS, tuple(zip(*rows, strict=True)))] if rows else []


def _row(user_id: str, change: _Standing) -> tuple[Any, ...]:
    level = change.level
    told = (level.level_id, change.since_ms, level.review_ms, level.priority, level.support_queue) if level else (None,) * 5
    return (user_id, *told, change.available, change.held, change.debt, change.shard, change.seq)


class SignInProjection:
    """Fills ``sign_in``."""

    events: ClassVar[tuple[type, ...]] = (MemberSignedIn,)
    tables: ClassVar[tuple[str, ...]] = ("sign_in",)
    after_swap: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        self._rows: list[tuple[str, int, int, int, int]] = []

    def fold(self, fact: Fact, event: Any, turn: list[Any]) -> None:
        if isinstance(event, MemberSignedIn):
            self._rows.append((fact.key, event.day, event.streak, event.points, event.at_ms))

    def statements(self) -> list[Statement]:
        return [Statement(INSERT_SIGN_INS, tuple(zip(*self._rows, strict=True)))] if self._rows else []
