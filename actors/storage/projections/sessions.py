"""Sessions that ended before their time: replicas refuse their access tokens without asking anybody.

Rows go when no token can live any more: what is listed is bounded by the logouts of some days.
"""

from typing import Any, ClassVar, Final

from actors.storage.projections.projection import Fact, Statement
from schemas.sessions import REVOKED_KEPT_MS, SessionsEnded

INSERT_REVOKED: Final = """
INSERT INTO revoked_session (session_id, revoked_at_ms)
SELECT * FROM unnest($1::text[], $2::bigint[])
ON CONFLICT (session_id) DO NOTHING
"""
PRUNE_REVOKED: Final = "DELETE FROM revoked_session WHERE revoked_at_ms < $1::bigint"
"""Whose access tokens are all past their end. It runs when somebody ends a session: while nobody does, nothing is added."""


class SessionsProjection:
    """Fills ``revoked_session``: logged out, all at once, replaced by newer logins, or stolen. Expired ones end by themselves."""

    events: ClassVar[tuple[type, ...]] = (SessionsEnded,)
    tables: ClassVar[tuple[str, ...]] = ("revoked_session",)
    after_swap: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        self._ended: list[tuple[str, int]] = []

    def fold(self, fact: Fact, event: Any, turn: list[Any]) -> None:
        if event.reason != "expired":
            self._ended.extend((session_id, event.at_ms) for session_id in event.session_ids)

    def statements(self) -> list[Statement]:
        if not self._ended:
            return []
        oldest_ms = max(at_ms for _, at_ms in self._ended) - REVOKED_KEPT_MS
        return [Statement(INSERT_REVOKED, tuple(zip(*self._ended, strict=True))), Statement(PRUNE_REVOKED, (oldest_ms,))]
