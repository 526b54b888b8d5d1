"""Saying "sold out" without asking, while it is proven.

After an owner refused an order as sold out, every part of the SKU is asked for a proof: that it has
nothing left, and the first bytes of every reservation that it knows. While all proofs are younger
than half a second, an order that is none of these is refused here. Whoever may hold something
always reaches the owner, so a retry gets its first answer.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from actors.client.client import Client
from actors.ports.clock import Clock
from schemas.envelope import Answer
from schemas.ids import derived_id
from schemas.stock import ProveSoldOut, StockSoldOut

VALID_MS: Final = 500.0
"""Counted from before the question was sent: nobody is refused for longer than this after units were given back."""

REFRESH_S: Final = 0.25
DEMAND_MS: Final = 2000.0
"""Without anybody asking for this long, the proofs are let go."""

ASK_MS: Final = 400
SKUS_MAX: Final = 1000


class _Mark:
    """What is proven of one SKU. ``seqs``: of each part's newest answer, (shard, seq)."""

    __slots__ = ("asked_ms", "holders", "packed", "parts", "refused", "seqs", "until_ms")

    def __init__(self, parts: int) -> None:
        self.parts = parts
        self.until_ms = -1.0
        self.asked_ms = 0.0
        self.packed: tuple[bytes, ...] = ()
        self.holders: frozenset[bytes] = frozenset()
        self.seqs: dict[int, tuple[int, int]] = {}
        self.refused = 0


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
        if mark is None or mark.parts != parts:
            return False
        mark.asked_ms = now_ms = self._clock.monotonic_ms()
        if now_ms >= mark.until_ms or derived_id(command_id, "r0")[:4] in mark.holders:
            return False
        mark.refused += 1
        return True

    def is_marked(self, sku_id: str) -> bool:
        """True while it is proven that nothing is left."""
        mark = self._marks.get(sku_id)
        return mark is not None and self._clock.monotonic_ms() < mark.until_ms

    def told(self, sku_id: str, parts: int) -> None:
        """An owner refused an order of this SKU as sold out: begin to keep proofs."""
        mark = self._marks.get(sku_id)
        if mark is not None and mark.parts == parts:
            return
        if len(self._marks) >= SKUS_MAX:
            return
        task = self._tasks.pop(sku_id, None)
        if task is not None:
            task.cancel()
        mark = self._marks[sku_id] = _Mark(parts)
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
                if not await self._prove(sku_id, mark):
                    return
                await self._clock.sleep(REFRESH_S)
        finally:
            if self._marks.get(sku_id) is mark:
                del self._marks[sku_id]
                self._tasks.pop(sku_id, None)

    async def _prove(self, sku_id: str, mark: _Mark) -> bool:
        """Ask all parts once. False when one is not sold out; an answer that did not come proves nothing and ends nothing."""
        sent_ms = self._clock.monotonic_ms()
        deadline_ms = self._clock.now_ms() + ASK_MS
        answers = await asyncio.gather(
            *(
                self._client.ask("stock", f"{sku_id}#{part}", ProveSoldOut(), command_id=self._random_id(), deadline_ms=deadline_ms)
                for part in range(mark.parts)
            )
        )
        packed = []
        for part, answer in enumerate(answers):
            if answer.code == "insufficient_stock":
                return False
            if not isinstance(answer.reply, StockSoldOut) or self._is_older(mark, part, answer):
                return True
            packed.append(answer.reply.prefixes)
        if mark.packed != tuple(packed):
            mark.packed = tuple(packed)
            mark.holders = frozenset(text[at : at + 4] for text in packed for at in range(0, len(text), 4))
        mark.until_ms = sent_ms + VALID_MS
        return True

    def _is_older(self, mark: _Mark, part: int, answer: Answer) -> bool:
        """An answer that was overtaken on its way says nothing."""
        seen = mark.seqs.get(part)
        if seen is not None and seen[0] == answer.shard and answer.seq < seen[1]:
            return True
        mark.seqs[part] = (answer.shard, answer.seq)
        return False
