"""Activation: reading entities into memory, once each, at most so many at a time."""

import asyncio
from collections import deque
from typing import TYPE_CHECKING

import structlog

from actors.owners.cell import Cell, Shard
from actors.owners.remembering import rebuild_cell
from actors.owners.turns import Incoming
from actors.ports.journal import Journal, Loaded, StorageUnknown

if TYPE_CHECKING:
    from actors.owners.host import Host

log = structlog.get_logger("stampede.owners")

Entity = tuple[int, str, str]


class Loading:
    """Single flight per entity; one query for up to ``activations_max`` of them."""

    def __init__(self, host: "Host", journal: Journal) -> None:
        self._host = host
        self._journal = journal
        self._waiting: dict[Entity, list[Incoming]] = {}
        self._to_read: deque[Entity] = deque()
        self._reading: asyncio.Task[None] | None = None
        self._waiting_count = 0

    def wait(self, call: Incoming, entities: list[Entity]) -> None:
        """Take the call again once its first missing entity is in memory."""
        if self._waiting_count >= self._host.limits.waiting_max and call.digest:
            self._host.turns.refuse(call, "busy")
            return
        self._waiting_count += 1
        entity = entities[0]
        if entity in self._waiting:
            self._waiting[entity].append(call)
            return
        self._waiting[entity] = [call]
        self._to_read.append(entity)
        if self._reading is None:
            self._reading = asyncio.ensure_future(self._read())

    def forget(self, shard: Shard) -> None:
        """The shard is gone: its waiting calls go elsewhere."""
        for entity in [entity for entity in self._waiting if entity[0] == shard.number]:
            for call in self._take_waiting(entity):
                self._host.turns.refuse(call, "moved")

    def __len__(self) -> int:
        return self._waiting_count

    def _take_waiting(self, entity: Entity) -> list[Incoming]:
        calls = self._waiting.pop(entity, [])
        self._waiting_count -= len(calls)
        return calls

    async def _read(self) -> None:
        try:
            # One round of the loop, so that the calls of one envelope are read together.
            await asyncio.sleep(0)
            while self._to_read:
                some = [self._to_read.popleft() for _ in range(min(len(self._to_read), self._host.limits.activations_max))]
                await self._read_some([entity for entity in some if entity in self._waiting])
        finally:
            self._reading = None

    async def _read_some(self, entities: list[Entity]) -> None:
        owners = [self._host.shards.get(entity[0]) for entity in entities]
        try:
            async with asyncio.timeout(self._host.limits.flush_timeout_ms / 1000):
                found = await self._journal.load(entities)
        except (StorageUnknown, TimeoutError) as error:
            log.warning("activation_failed", host=self._host.name, reason=str(error))
            for entity in entities:
                for call in self._take_waiting(entity):
                    self._host.turns.refuse(call, "storage_unavailable")
            return
        for entity, owner, loaded in zip(entities, owners, found, strict=True):
            self._install(entity, owner, loaded)
        self._host.kick()

    def _install(self, entity: Entity, owner: Shard | None, loaded: Loaded) -> None:
        shard = self._host.shards.get(entity[0])
        calls = self._take_waiting(entity)
        if shard is None or shard is not owner:
            for call in calls:
                self._host.turns.refuse(call, "moved")
            return
        if (entity[1], entity[2]) not in shard.cells:
            try:
                shard.cells[(entity[1], entity[2])] = self._build(shard, entity, loaded)
                self._host.counters.activations += 1
            except (AssertionError, ValueError):
                log.exception("entity_unreadable", shard=entity[0], kind=entity[1], key=entity[2])
                for call in calls:
                    self._host.turns.refuse(call, "internal_error")
                return
        for call in calls:
            self._host.enter(call)

    def _build(self, shard: Shard, entity: Entity, loaded: Loaded) -> Cell:
        cell = rebuild_cell(shard, entity[1], entity[2], loaded)
        cell.touched_ms = self._host.clock.monotonic_ms()
        return cell
