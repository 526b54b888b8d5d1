"""Carrying sends: at least once, with backoff, until the sender has committed the answer."""

import asyncio
import random
from typing import TYPE_CHECKING, Any, Final

import structlog

from actors.domain.entity import Answered
from actors.owners.cell import Outgoing, Shard
from actors.owners.turns import Incoming, answered_by
from actors.ports.peers import Effects, Peers
from schemas.envelope import Answer

if TYPE_CHECKING:
    from actors.owners.host import Host

log = structlog.get_logger("stampede.owners")

RETRY_FIRST_S: Final = 0.05
RETRY_MAX_S: Final = 5.0


class Outbox:
    """Delivers what shards of this host have sent. A send outlives the host: its next owner carries it on."""

    def __init__(self, host: "Host", peers: Peers, effects: Effects) -> None:
        self._host = host
        self._peers = peers
        self._effects = effects
        self._slots = asyncio.Semaphore(host.limits.sends_at_once_max)
        self._tasks: set[asyncio.Task[None]] = set()
        self.jitter = random.Random(0)

    def carry(self, shard: Shard, outgoing: Outgoing) -> None:
        """Begin to deliver a durable send."""
        task = asyncio.ensure_future(self._carry(shard, outgoing))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def __len__(self) -> int:
        return len(self._tasks)

    async def _carry(self, shard: Shard, outgoing: Outgoing) -> None:
        wait_s = RETRY_FIRST_S
        while self._is_open(shard, outgoing):
            self._host.counters.sends += 1
            answered = await self._try(outgoing)
            if answered is not None and self._is_open(shard, outgoing) and await self._settle(shard, outgoing, answered):
                return
            outgoing.tries += 1
            self._host.counters.send_retries += 1
            await self._host.clock.sleep(wait_s * (0.5 + self.jitter.random()))
            wait_s = min(wait_s * 2, RETRY_MAX_S)

    def _is_open(self, shard: Shard, outgoing: Outgoing) -> bool:
        return self._host.shards.get(shard.number) is shard and outgoing.send.id in shard.outbox

    async def _try(self, outgoing: Outgoing) -> Answered | None:
        send = outgoing.send
        async with self._slots:
            try:
                answer: Any
                if self._effects.handles(send.kind):
                    answer = await self._effects.perform(send.kind, send.command, send.id)
                else:
                    answer = await self._peers.ask(send.kind, send.key, send.command, send.id)
            except TimeoutError:
                return None
            except Exception:
                log.exception("send_failed", kind=send.kind, step=send.step)
                return None
        return answered_by(send.step, answer)

    async def _settle(self, shard: Shard, outgoing: Outgoing, answered: Answered) -> bool:
        """Give the answer to the sender; True when that is durable."""
        done: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def respond(answer: Answer) -> None:
            if not done.done():
                done.set_result(answer)

        kind, key = outgoing.from_key
        self._host.submit([Incoming(shard.number, kind, key, answered, outgoing.send.id, respond, ack=outgoing.send.id)])
        return (await done).code == ""
