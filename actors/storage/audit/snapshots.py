"""Snapshots against the history: each is of a record that was written, can be read, and holds the state as of that record.

Where records were pruned, each entity that they belong to has such a snapshot, or it could not be loaded any more.
"""

from collections.abc import AsyncIterator
from typing import Any, Final

from actors.domain.kinds import KINDS, unpack_state
from actors.storage.audit.history import Entity
from actors.storage.audit.report import Findings

READ_SNAPSHOTS: Final = "SELECT shard, kind, key, version, seq, data FROM snapshot ORDER BY shard, seq, key, kind"


class Snapshots:
    """Goes along with the history, one snapshot in memory at a time."""

    def __init__(self, connection: Any, findings: Findings) -> None:
        self._rows: AsyncIterator[Any] = aiter(connection.cursor(READ_SNAPSHOTS, prefetch=10))
        self._findings = findings
        self._next: Any = None
        self._shard = -1
        self._needed: dict[tuple[str, str], int] = {}
        self._kept: dict[tuple[str, str], int] = {}

    async def follow(self, shard: int, seq: int, entity: Entity | None, *, pruned: bool) -> None:
        """A record has passed, ``pruned`` or not; ``entity`` is whose it was, as of it (None: of an unknown kind)."""
        if shard != self._shard:
            self._end_shard()
            self._shard = shard
        if pruned and entity is not None:
            self._needed[(entity.kind, entity.key)] = entity.version
        while (row := await self._peek()) is not None and (row["shard"], row["seq"]) <= (shard, seq):
            at_record = (row["shard"], row["seq"]) == (shard, seq)
            self._check(row, entity if at_record else None)
            self._next = None

    async def end(self) -> None:
        """No record follows."""
        while (row := await self._peek()) is not None:
            self._check(row, None)
            self._next = None
        self._end_shard()

    def _end_shard(self) -> None:
        for (kind, key), version in self._needed.items():
            if self._kept.get((kind, key), 0) < version:
                text = f"{kind} {key} was pruned to record {version}, and no sound snapshot covers that"
                self._findings.add(1, text, key, f"shard {self._shard}")
        self._needed, self._kept = {}, {}

    async def _peek(self) -> Any:
        if self._next is None:
            self._next = await anext(self._rows, None)
        return self._next

    def _check(self, row: Any, entity: Entity | None) -> None:
        kind, key = row["kind"], row["key"]
        if entity is None or (entity.kind, entity.key, entity.version) != (kind, key, row["version"]):
            text = f"the snapshot of {kind} {key} is of record {row['version']}, seq {row['seq']}, which the journal does not have"
            self._findings.add(4, text, key)
            entity = None
        if kind not in KINDS:
            return
        try:
            state, _ = unpack_state(kind, row["data"])
        except Exception as error:
            self._findings.add(1, f"the snapshot of {kind} {key} cannot be read: {error}", key)
            return
        if entity is None or entity.broken:
            return
        if state != entity.state:
            self._findings.add(1, f"the snapshot of {kind} {key} is not its state after record {row['version']}", key)
        self._kept[(kind, key)] = entity.version
