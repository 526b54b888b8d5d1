"""Which notices were handed out, and which of a provider's were acted on, so that a repeat tells and does nothing twice."""

from typing import Any, Final

from actors.storage.connect import known

KEPT_MS: Final = 8 * 86_400_000
"""A day longer than answers are remembered: no request is repeated after that."""

CLAIM: Final = """
WITH gone AS (DELETE FROM notice_told WHERE told_at_ms < $2::bigint - $3::bigint)
INSERT INTO notice_told (notice_id, told_at_ms) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING notice_id"""

CLAIMED: Final = "SELECT EXISTS (SELECT FROM notice_told WHERE notice_id = $1)"


class Notices:
    """Notices on a pool, by an id that follows from what they tell of. StorageUnknown when the database cannot be asked."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def claim(self, notice_id: bytes, now_ms: int) -> bool:
        """Whether the caller is the one to send it; False for all who come later."""
        return await known(self._pool.fetchval(CLAIM, notice_id, now_ms, KEPT_MS)) is not None

    async def is_claimed(self, notice_id: bytes) -> bool:
        """Whether somebody did."""
        return bool(await known(self._pool.fetchval(CLAIMED, notice_id)))
