"""The trail of what staff did: rows that are only added, each with a hash over the one before it.

A trigger refuses every change, and every row that does not follow the last one. Whoever turns triggers off and edits,
removes or swaps rows breaks the chain, which ``stampede audit`` proves. Who could write every later row and the head anew
would not be found by the tables alone: the head is also logged with each action, and logs are kept elsewhere.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import structlog

from actors.domain.masking import masked_text
from actors.storage.connect import known

log = structlog.get_logger("stampede.staff")

REASON_MAX: Final = 500
"""Characters of a reason: a ticket's number and a sentence."""

HEAD: Final = "SELECT seq, hash FROM staff_action_head FOR UPDATE"
NOW: Final = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint"
COLUMNS: Final = "action_id, state, at_ms, actor_id, role, permission, target, reason, before, after, request_id"
INSERT: Final = f"""
INSERT INTO staff_action (seq, {COLUMNS}, previous, hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"""
PAGE: Final = f"""
SELECT seq, {COLUMNS} FROM staff_action
WHERE seq < $1 AND ($2 = '' OR actor_id = $2) AND ($3 = '' OR target = $3) AND ($4 = '' OR permission = $4) ORDER BY seq DESC LIMIT $5"""
ABOUT: Final = f"SELECT seq, {COLUMNS} FROM staff_action WHERE target = $1 OR actor_id = $1 ORDER BY seq LIMIT $2"


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """One row. action_id: the same for an intention and its end. before, after: JSON, without personal fields. at_ms: UTC.

    state: ``done`` (within the transaction of what it changed), or ``intended`` and then ``done`` or ``failed`` where an
    entity was asked. role: the one by which it was allowed; ``machine`` from the command line.
    """

    action_id: str
    state: str
    at_ms: int
    actor_id: str
    role: str
    permission: str
    target: str
    reason: str = ""
    before: str = ""
    after: str = ""
    request_id: str = ""
    seq: int = 0


FIELDS: Final = tuple(name for name in Action.__struct_fields__ if name != "seq")


def chain_hash(previous: bytes, seq: int, values: Sequence[Any]) -> bytes:
    """SHA-256 over the row before, the number and the values, each after its length."""
    parts = [previous, str(seq).encode(), *(str(value).encode() for value in values)]
    return hashlib.sha256(b"".join(len(part).to_bytes(4, "big") + part for part in parts)).digest()


async def add(connection: Any, action: Action) -> int:
    """Add a row within the caller's transaction, at the database's time; answers its number. The trail is locked until the commit."""
    head = await connection.fetchrow(HEAD)
    seq, previous = head["seq"] + 1, bytes(head["hash"])
    at_ms = await connection.fetchval(NOW)
    written = msgspec.structs.replace(action, at_ms=at_ms, reason=masked_text(action.reason)[:REASON_MAX])
    values = [getattr(written, name) for name in FIELDS]
    digest = chain_hash(previous, seq, values)
    await connection.execute(INSERT, seq, *values, previous, digest)
    log.info(
        "staff_action", seq=seq, action=action.action_id, state=action.state, actor=action.actor_id, permission=action.permission,
        target=action.target, request_id=action.request_id, head=digest.hex(),
    )  # fmt: skip
    return int(seq)


class StaffActions:
    """Reads the trail. StorageUnknown when the database cannot be asked."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def page(self, before: int, actor_id: str, target: str, permission: str, limit: int) -> list[Action]:
        """Rows before one of them, the newest first; an empty filter lets all pass."""
        rows = await known(self._pool.fetch(PAGE, before, actor_id, target, permission, limit))
        return [Action(**dict(row)) for row in rows]
