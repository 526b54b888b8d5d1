"""Saying "sold out" without asking, while it is proven.

After an owner refused an order as sold out, every part of the SKU is asked for a proof: that it has
nothing left, and the first bytes of every reservation that it knows. Each further answer brings only
the reservations that were added. While all proofs are younger than half a second and complete, an order
that is none of these is refused here. Whoever may hold something always reaches the owner, so a retry
gets its first answer.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from actors.client.client import Client
from actors.ports.clock import Clock
from schemas.envelope import Answer
from schemas.ids import derived_id
from schemas.stock import ProveSoldOut, StockSoldOut
from serve.holders import PREFIX_BYTES, Holders

VALID_MS: Final = 500.0
"""Counted from before the question was sent: nobody is refused for longer than this after units were given back."""

REFRESH_S: Final = 0.25
DEMAND_MS: Final = 2000.0
"""Without anybody asking for this long, the proofs are let go."""

ASK_MS: Final = 400
SKUS_MAX: Final = 1000

HOLDERS_MAX: Final = 2_000_000
"""Reservations kept in one replica, of all SKUs: some 10 MB. Beyond it, orders are refused by their owners alone."""

TOO_MANY_S: Final = 10.0
"""So long nobody asks again for a list that is too long to be kept."""

STALE_MS: Final = 5000.0
"""A list that was not proven for this long is asked for anew: its owner may have been restored from a backup."""


class _Part:
    """What one part has proven. ``seq``: (shard, seq) of its newest answer; ``proven_ms``: when its newest complete one was asked for."""

    __slots__ = ("generation", "holders", "key", "proven_ms", "seq")

    def __init__(self, key: str) -> None:
        self.key = key
        self.seq = (-1, 0)
        self.begin(0)

    def begin(self, generation: int) -> None:
        """Nothing is known of this list, and nothing proven."""
        self.generation = generation
        self.holders = Holders()
        self.proven_ms = -VALID_MS

    def learn(self, told: StockSoldOut) -> bool:
        """Add what is new; False when more is to come."""
        if told.start == len(self.holders):
            self.holders.add(told.prefixes)
        return len(self.holders) == told.count


class _Mark:
    """What is proven of one SKU, by its parts."""

    __slots__ = ("asked_ms", "parts", "until_ms")

    def __init__(self, sku_id: str, parts: int) -> None:
        self.parts = [_Part(f"{sku_id}#{part}") for part in range(parts)]
        self.until_ms = -1.0
        self.asked_ms = 0.0

    def forget(self) -> None:
        """Keep no list, and refuse nobody."""
        self.until_ms = -1.0
        for part in self.parts:
            part.begin(0)


class SoldOut:
    """The marks of one replica."""

    def __init__(self, client: Client, clock: Clock, random_id: Callable[[], bytes]) -> None:
        self._client = client
        self._clock = clock
        self._random_id = random_id
        self._marks: dict[str, _Mark] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def refuses(self, sku_id: str, parts: int, command_id: bytes) -> bool:
        """True when an order with this command id is certainly refused as sold out by all ``parts`` of the SKU."""
        mark = self._marks.get(sku_id)
        if mark is None or len(mark.parts) != parts:
            return False
        mark.asked_ms = now_ms = self._clock.monotonic_ms()
        if now_ms >= mark.until_ms:
            return False
        prefix = derived_id(command_id, "r0")[:PREFIX_BYTES]
        return all(prefix not in part.holders for part in mark.parts)

    def is_marked(self, sku_id: str) -> bool:
        """True while it is proven that nothing is left."""
        mark = self._marks.get(sku_id)
        return mark is not None and self._clock.monotonic_ms() < mark.until_ms

    def told(self, sku_id: str, parts: int) -> None:
        """An owner refused an order of this SKU as sold out: begin to keep proofs."""
        mark = self._marks.get(sku_id)
        if mark is not None and len(mark.parts) == parts:
            return
        if len(self._marks) >= SKUS_MAX:
            return
        task = self._tasks.pop(sku_id, None)
        if task is not None:
            task.cancel()
        mark = self._marks[sku_id] = _Mark(sku_id, parts)
        mark.asked_ms = self._clock.monotonic_ms()
        self._tasks[sku_id] = asyncio.ensure_future(self._keep(sku_id, mark))

    def close(self) -> None:
        """Let all marks go."""
        for task in self._tasks.values():
            task.cancel()
        self._tasks.clear()
        self._marks.clear()

    async def _keep(self, sku_id: str, mark: _Mark) -> None:
        """Renew the proofs while there is demand; the first part with something left ends it."""
        try:
            while self._clock.monotonic_ms() - mark.asked_ms < DEMAND_MS:
                proofs = await asyncio.gather(*(self._prove(mark, part) for part in mark.parts))
                if not all(proofs):
                    return
                if self._kept() > HOLDERS_MAX:
                    mark.forget()
                    await self._clock.sleep(TOO_MANY_S)
                    return
                mark.until_ms = min(part.proven_ms for part in mark.parts) + VALID_MS
                await self._clock.sleep(REFRESH_S)
        finally:
            if self._marks.get(sku_id) is mark:
                del self._marks[sku_id]
                self._tasks.pop(sku_id, None)

    async def _prove(self, mark: _Mark, part: _Part) -> bool:
        """Ask one part until all is known that it has, or too much. False when it is not sold out; an answer that
        did not come proves nothing and ends nothing."""
        if self._clock.monotonic_ms() > part.proven_ms + STALE_MS:
            part.begin(0)
        while self._kept() <= HOLDERS_MAX:
            sent_ms = self._clock.monotonic_ms()
            ask = ProveSoldOut(generation=part.generation, known=len(part.holders))
            deadline_ms = self._clock.now_ms() + ASK_MS
            answer = await self._client.ask("stock", part.key, ask, command_id=self._random_id(), deadline_ms=deadline_ms)
            if answer.code == "insufficient_stock":
                return False
            told = answer.reply
            if not isinstance(told, StockSoldOut) or _is_older(part, answer):
                return True
            if told.generation != part.generation or told.count < len(part.holders):
                # Another list: until all of it is here, nobody is refused by it.
                mark.until_ms = -1.0
                part.begin(told.generation)
            if part.learn(told):
                part.proven_ms = sent_ms
                return True
        return True

    def _kept(self) -> int:
        return sum(len(part.holders) for mark in self._marks.values() for part in mark.parts)


def _is_older(part: _Part, answer: Answer) -> bool:
    """An answer that was overtaken on its way says nothing."""
    if part.seq[0] == answer.shard and answer.seq < part.seq[1]:
        return True
    part.seq = (answer.shard, answer.seq)
    return False
