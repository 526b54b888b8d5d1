"""The messages of the development outbox."""

from typing import Any, Final

from actors.storage.connect import known
from schemas.messages import OutgoingMessage

KEPT_MAX: Final = 500
"""Messages kept: more than a person reads, and no archive of personal data."""

KEEP: Final = """
WITH kept AS (
    INSERT INTO outgoing_message (message_id, channel, recipient, template, language, subject, body, at_ms)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING number
)
DELETE FROM outgoing_message WHERE number <= (SELECT number FROM kept) - $9"""
NEWEST: Final = """
SELECT message_id, channel, recipient, template, language, subject, body, at_ms FROM outgoing_message ORDER BY number DESC LIMIT $1"""


class OutgoingMessages:
    """Implements ``actors.ports.messages.KeptMessages`` on a pool."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def keep(self, message: OutgoingMessage) -> None:
        """See the port."""
        columns = (message.message_id, message.channel, message.recipient, message.template, message.language)
        await known(self._pool.execute(KEEP, *columns, message.subject, message.body, message.at_ms, KEPT_MAX))

    async def newest(self, limit: int) -> list[OutgoingMessage]:
        """See the port."""
        return [OutgoingMessage(**row) for row in await known(self._pool.fetch(NEWEST, limit))]
