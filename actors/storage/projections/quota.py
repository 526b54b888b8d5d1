"""The levels of coupon quotas, one row a coupon."""

from typing import Any, ClassVar, Final, assert_never

from actors.storage.projections.projection import Fact, Statement
from schemas.quota import QuotaClaimed, QuotaConfigured, QuotaGivenBack, QuotaRedeemed, QuotaReinstated

ADD_QUOTAS: Final = """
INSERT INTO quota_level AS q (coupon_id, total, claimed, redeemed)
SELECT r.coupon_id, r.total, r.claimed, r.redeemed
FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[]) AS r (coupon_id, total, claimed, redeemed)
WHERE r.total IS NOT NULL
ON CONFLICT (coupon_id) DO UPDATE SET
    total = excluded.total,
    claimed = q.claimed + excluded.claimed,
    redeemed = q.redeemed + excluded.redeemed
"""
CHANGE_QUOTAS: Final = """
UPDATE quota_level q SET claimed = q.claimed + r.claimed, redeemed = q.redeemed + r.redeemed
FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[]) AS r (coupon_id, total, claimed, redeemed)
WHERE q.coupon_id = r.coupon_id AND r.total IS NULL
"""

QuotaEvent = QuotaConfigured | QuotaClaimed | QuotaRedeemed | QuotaGivenBack | QuotaReinstated


class _Change:
    """``total``: the terms' newest total, None when they did not change in this step; the others are added."""

    __slots__ = ("claimed", "redeemed", "total")

    def __init__(self) -> None:
        self.total: int | None = None
        self.claimed = 0
        self.redeemed = 0


class QuotaProjection:
    """Fills ``quota_level``."""

    events: ClassVar[tuple[type, ...]] = (QuotaConfigured, QuotaClaimed, QuotaRedeemed, QuotaGivenBack, QuotaReinstated)
    tables: ClassVar[tuple[str, ...]] = ("quota_level",)
    after_swap: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        self._changes: dict[str, _Change] = {}

    def fold(self, fact: Fact, event: Any, turn: list[Any]) -> None:
        change = self._changes.get(fact.key)
        if change is None:
            change = self._changes[fact.key] = _Change()
        _add(change, event)

    def statements(self) -> list[Statement]:
        rows = [(key, change.total, change.claimed, change.redeemed) for key, change in sorted(self._changes.items())]
        found = []
        if any(row[1] is not None for row in rows):
            found.append(Statement(ADD_QUOTAS, tuple(zip(*rows, strict=True))))
        if any(row[1] is None and (row[2] or row[3]) for row in rows):
            found.append(Statement(CHANGE_QUOTAS, tuple(zip(*rows, strict=True))))
        return found


def _add(change: _Change, event: QuotaEvent) -> None:
    match event:
        case QuotaClaimed():
            change.claimed += event.quantity
        case QuotaRedeemed():
            change.claimed -= event.quantity
            change.redeemed += event.quantity
        case QuotaGivenBack():
            change.claimed -= event.quantity
        case QuotaReinstated():
            change.redeemed -= event.quantity
        case QuotaConfigured():
            change.total = event.total
        case _:
            assert_never(event)
