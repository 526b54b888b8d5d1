"""Members as people look them up: the moves of points, and what is in the mall."""

from typing import Any, Final

import msgspec

from actors.storage.connect import known
from schemas.http.catalogue import Titles
from schemas.http.membership import MallOffer

MALL_MAX: Final = 200
"""Items shown at once: a mall is a page, not a catalogue."""

MOVES: Final = """
SELECT posting, amount, at_ms, seq FROM points_entry
WHERE user_id = $1 AND account = 'available' AND (seq, posting) < ($2, $3) ORDER BY seq DESC, posting DESC LIMIT $4"""
MALL: Final = """
SELECT i.item_id, i.title, i.title_zh, i.kind, i.points, greatest(0, coalesce(q.total - q.claimed - q.redeemed, 0))::bigint AS left_over
FROM points_mall_item i LEFT JOIN quota_level q ON q.coupon_id = i.item_id WHERE i.active ORDER BY i.points, i.item_id LIMIT $1"""
STANDING: Final = """
SELECT user_id, level_id, level_since_ms, review_ms, priority, support_queue, available, held, debt
FROM member_standing WHERE user_id = $1"""


class MoveRow(msgspec.Struct, frozen=True, kw_only=True):
    """One change of a member's available points."""

    posting: str
    amount: int
    at_ms: int
    seq: int


class Members:
    """Reads on a pool. StorageUnknown when the database cannot be asked."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def moves(self, user_id: str, before_seq: int, before_posting: str, limit: int) -> list[MoveRow]:
        """Changes before one of them, the newest first."""
        rows = await known(self._pool.fetch(MOVES, user_id, before_seq, before_posting, limit))
        return [MoveRow(**dict(row)) for row in rows]

    async def mall(self) -> tuple[MallOffer, ...]:
        """What is in the mall, the cheapest first."""
        rows = await known(self._pool.fetch(MALL, MALL_MAX))
        return tuple(
            MallOffer(
                item_id=row["item_id"],
                titles=Titles(en=row["title"], zh=row["title_zh"]),
                kind=row["kind"],
                points=row["points"],
                left=row["left_over"],
            )
            for row in rows
        )

    async def standing(self, user_id: str) -> dict[str, Any] | None:
        """The row of one member, for the people of the shop."""
        row = await known(self._pool.fetchrow(STANDING, user_id))
        return dict(row) if row else None
