"""Carrying out what warehouses said. Each change is a command to the stock, under an id that its message and line give it.

So it does not matter how often a change is heard, or where this process dies: the stock's owner knows the command again. What is
not known to have been done stays ``waiting`` and is asked again under the same id, for as long as owners remember.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog

from actors.client.client import NOT_AN_ANSWER
from actors.domain.wms import EFFECT_MS_MAX, asks_every_part, change_flaw, command_of, wait_ms
from actors.ports.clock import Clock
from actors.ports.journal import StorageUnknown
from actors.storage.connect import LOST
from actors.storage.wms_inbox import Due, Inbox, Outcome
from schemas.envelope import Answer
from schemas.ids import derived_id
from schemas.wms import Connection
from serve.wms.reading import read_message

log = structlog.get_logger("stampede.wms")

LINES_MAX: Final = 100
"""Changes of one step."""

STEPS_MAX: Final = 20
"""Steps of one round and connection: then the others have their turn."""

UNDER_WAY_MAX: Final = 16
"""SKUs asked at once: the shop's own orders come first."""

AGAIN_MS: Final = 2000
DIGEST: Final = b"wms"

Ask = Callable[..., Awaitable[Answer]]


class Taking:
    """One a replica; several may work on one connection."""

    def __init__(self, inbox: Inbox, ask: Ask, clock: Clock, rng: random.Random, tell: Callable[[str], None] = lambda step: None) -> None:
        self._inbox = inbox
        self._ask = ask
        self._clock = clock
        self._rng = rng
        self._tell = tell

    async def round(self, connection: Connection) -> int:
        """Take waiting messages apart and carry out what is due; answers how many changes ended."""
        ended, name = 0, connection.connection_id
        for _ in range(STEPS_MAX):
            now_ms = self._clock.now_ms()
            opened = await self._inbox.open_some(name, connection.warehouse_code, read_message, now_ms, self._rng.random())
            self._tell("opened")
            due = await self._inbox.claim(name, now_ms, LINES_MAX)
            self._tell("claimed")
            if due:
                outcomes, lost = await self._carry_out(connection, due)
                self._tell("carried_out")
                await self._inbox.finish(outcomes, self._clock.now_ms())
                ended += sum(outcome.state != "waiting" for outcome in outcomes)
                if lost is not None:
                    raise lost
            if not due and not opened:
                break
        return ended

    async def _carry_out(self, connection: Connection, due: list[Due]) -> tuple[list[Outcome], BaseException | None]:
        """What became of those that came to an end, and what kept the others from it: their claims end by themselves."""
        articles = await self._inbox.articles(sorted({one.sku for one in due}))
        warehouses = await self._inbox.warehouses() if any(one.change.to_warehouse for one in due) else {}
        by_sku: dict[str, list[Due]] = defaultdict(list)
        for one in due:
            by_sku[one.sku].append(one)
        places = asyncio.Semaphore(UNDER_WAY_MAX)

        async def in_order(some: list[Due]) -> list[Outcome]:
            async with places:
                return [await self._whatever_happens(connection, one, articles.get(one.sku), warehouses) for one in some]

        done = await asyncio.gather(*(in_order(some) for some in by_sku.values()), return_exceptions=True)
        outcomes = [outcome for found in done if not isinstance(found, BaseException) for outcome in found]
        return outcomes, next((found for found in done if isinstance(found, BaseException)), None)

    async def _whatever_happens(
        self, connection: Connection, due: Due, article: tuple[str, int] | None, warehouses: dict[str, str]
    ) -> Outcome:
        """A change that breaks what carries it out is that change's failure: it is dead in the end, and stops no other."""
        try:
            return await self._one(connection, due, article, warehouses)
        except (StorageUnknown, *LOST):
            raise
        except Exception:
            log.exception("wms_change_broke", connection=connection.connection_id, message=due.message_id, line=due.line)
            return self._refused(due, "internal_error", uncertain=True)

    async def _one(self, connection: Connection, due: Due, article: tuple[str, int] | None, warehouses: dict[str, str]) -> Outcome:
        if wrong := change_flaw(due.change):
            return Outcome(due=due, state="dead", reason=wrong, tries=due.tries + 1, part=due.part)
        if article is None:
            return self._refused(due, "sku_unknown")
        goal = warehouses.get(due.change.to_warehouse)
        if due.change.to_warehouse and goal is None:
            return self._refused(due, "warehouse_unknown")
        if due.first_try_ms and self._clock.now_ms() - due.first_try_ms > EFFECT_MS_MAX:
            return Outcome(due=due, state="dead", reason="too_late", tries=due.tries, part=due.part, uncertain=True)
        command = command_of(due.change, connection.connection_id, connection.warehouse_id, goal or "")
        return await self._at_the_parts(connection, due, article, command)

    async def _at_the_parts(self, connection: Connection, due: Due, article: tuple[str, int], command: Any) -> Outcome:
        """Ask one part after the other until one takes it. Which one is asked is written down first."""
        sku_id, parts = article
        part = min(due.part, parts - 1)
        while True:
            command_id = derived_id("wms", connection.connection_id, due.message_id, str(due.line), str(part))
            answer = await self._ask("stock", f"{sku_id}#{part}", command, command_id=command_id, digest=DIGEST)
            self._tell("asked")
            if not answer.code:
                return Outcome(due=due, state="done", tries=due.tries + 1, part=part)
            if answer.code in NOT_AN_ANSWER:
                due_ms = self._clock.now_ms() + AGAIN_MS
                return Outcome(due=due, state="waiting", reason=answer.code, tries=due.tries, due_ms=due_ms, part=part, uncertain=True)
            if part + 1 >= parts or not asks_every_part(due.change):
                log.warning(
                    "wms_change_refused", connection=connection.connection_id, message=due.message_id, line=due.line, code=answer.code
                )
                return self._refused(due, answer.code)
            part += 1
            await self._inbox.choose_part(due, part)

    def _refused(self, due: Due, reason: str, *, uncertain: bool = False) -> Outcome:
        """To be tried again from the first part on, or dead. A part that refused has done nothing, so that any may be asked."""
        tries = due.tries + 1
        wait = wait_ms(tries, self._rng.random())
        if wait is None:
            return Outcome(due=due, state="dead", reason=reason, tries=tries, uncertain=uncertain)
        due_ms, part = self._clock.now_ms() + wait, due.part if uncertain else 0
        return Outcome(due=due, state="waiting", reason=reason, tries=tries, due_ms=due_ms, part=part, uncertain=uncertain)
