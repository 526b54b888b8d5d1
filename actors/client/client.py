"""Ask an entity: the call finds its shard's owner, rides in a batch, and is asked again safely.

Promises of :meth:`Client.ask`: the answer is durable; a refusal is true of every try that was made, also
of one that was lost on its way and comes late (two asks under one id that overlap speak each for itself);
when it is not known whether an earlier try took effect the code is ``outcome_unknown``, and the same id
may be asked again for seven days.
"""

import asyncio
import random
from typing import Any, Final

import msgspec
import structlog

from actors.domain.entity import Refused
from actors.domain.kinds import answers_decoder, encoder
from actors.domain.sharding import Sharding
from actors.ports.clock import Clock
from actors.ports.journal import StorageUnknown
from actors.ports.transport import Directory, Transport, TransportLost
from schemas.envelope import BATCH_BYTES_MAX, Answer, Call

log = structlog.get_logger("stampede.client")

ENVELOPES_MAX: Final = 3
"""Envelopes in flight to one host: one at the database, one being decided, one on its way."""

CALLS_MAX: Final = 256
QUEUE_MAX: Final = 4096
"""Calls that wait for one host; the next is told ``busy`` here, at the cheapest point."""

CALL_TIMEOUT_S: Final = 2.0
"""A live host answers every envelope in its door's patience, 50 ms: one that does not is hung or cut off."""

RETRY_FIRST_S: Final = 0.02
RETRY_MAX_S: Final = 0.5
PENDING_FREE: Final = 4
"""So often a call that is under way is asked for again at once; after that it stands still (a database that is
away, a provider that is slow), and asking twenty times a second would only add to it."""

AGAIN: Final = frozenset({"moved", "outcome_unknown", "pending"})
DEADLINE_MS: Final = 10_000


class _Lane:
    """The calls for one host: what waits, and how many envelopes are out."""

    __slots__ = ("envelopes", "kicked", "waiting")

    def __init__(self) -> None:
        self.waiting: list[tuple[bytes, asyncio.Future[Answer]]] = []
        self.envelopes = 0
        self.kicked = False


class Client:
    """One per process and event loop."""

    def __init__(
        self, sharding: Sharding, transport: Transport, directory: Directory, clock: Clock, rng: random.Random | None = None
    ) -> None:
        self.sharding = sharding
        self._transport = transport
        self._directory = directory
        self._clock = clock
        self._rng = rng or random.Random()
        self._routes: dict[int, str] = {}
        self._lanes: dict[str, _Lane] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._refreshing: asyncio.Task[bool] | None = None
        self.envelopes = 0
        self.calls = 0
        self.retries = 0

    async def ask(
        self, kind: str, key: str, command: Any, *, command_id: bytes, digest: bytes = b"", deadline_ms: int = 0, trace: str = ""
    ) -> Answer:
        """The durable answer of an entity to a command.

        digest: a hash of what the caller was asked; with it the answer is remembered by ``command_id``.
        deadline_ms: UTC; without it ten seconds from now.
        """
        deadline_ms = deadline_ms or self._clock.now_ms() + DEADLINE_MS
        packed = msgspec.Raw(encoder.encode(command))
        call = Call(id=command_id, kind=kind, key=key, command=packed, digest=digest, deadline_ms=deadline_ms, trace=trace)
        payload = encoder.encode(call)
        if len(payload) > BATCH_BYTES_MAX:
            return Answer(code="body_too_large", params={"limit": BATCH_BYTES_MAX})
        shard = self.sharding.shard(kind, key)
        answer = await self._try(shard, payload)
        if answer.code not in AGAIN:
            return answer
        return await self._again(shard, call, payload, answer)

    async def _again(self, shard: int, call: Call, payload: bytes, answer: Answer) -> Answer:
        """Ask until there is an answer or the time is over; the id makes it safe."""
        uncertain, wait_s, pendings = False, RETRY_FIRST_S, 0
        while True:
            if not uncertain and answer.code in ("outcome_unknown", "pending"):
                uncertain = True
                payload = encoder.encode(msgspec.structs.replace(call, again=True)) if call.digest else payload
            if self._clock.now_ms() >= call.deadline_ms:
                return Answer(code="outcome_unknown" if uncertain else "busy", shard=shard)
            self.retries += 1
            pendings += answer.code == "pending"
            if answer.code != "pending" or pendings > PENDING_FREE:
                await self._clock.sleep(wait_s * (0.5 + self._rng.random()))
                wait_s = min(wait_s * 2, RETRY_MAX_S)
            if answer.code != "pending":
                await self.refresh()
            answer = await self._try(shard, payload)
            if answer.code not in AGAIN:
                # "Nothing happened" is this try's word; an earlier one may have been heard.
                hollow = answer.code in ("busy", "deadline_passed", "storage_unavailable")
                return Answer(code="outcome_unknown", shard=shard) if hollow and uncertain else answer

    async def _try(self, shard: int, payload: bytes) -> Answer:
        host = self._routes.get(shard)
        if host is None:
            if not self._routes:
                await self.refresh()
                host = self._routes.get(shard)
            if host is None:
                return Answer(code="moved", shard=shard)
        lane = self._lanes.get(host)
        if lane is None:
            lane = self._lanes[host] = _Lane()
        if len(lane.waiting) >= QUEUE_MAX:
            return Answer(code="busy", shard=shard)
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        lane.waiting.append((payload, future))
        self._kick(host, lane)
        return await future

    def _kick(self, host: str, lane: _Lane) -> None:
        if not lane.kicked and lane.envelopes < ENVELOPES_MAX:
            lane.kicked = True
            asyncio.get_running_loop().call_soon(self._send, host, lane)

    def _send(self, host: str, lane: _Lane) -> None:
        lane.kicked = False
        if not lane.waiting or lane.envelopes >= ENVELOPES_MAX:
            return
        size, count = 0, 0
        for payload, _ in lane.waiting[:CALLS_MAX]:
            if size + len(payload) > BATCH_BYTES_MAX and count:
                break
            size, count = size + len(payload), count + 1
        some, lane.waiting = lane.waiting[:count], lane.waiting[count:]
        lane.envelopes += 1
        self.envelopes += 1
        self.calls += count
        task = asyncio.ensure_future(self._deliver(host, lane, some))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if lane.waiting:
            self._kick(host, lane)

    async def _deliver(self, host: str, lane: _Lane, some: list[tuple[bytes, asyncio.Future[Answer]]]) -> None:
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                packed = await self._transport.call(host, join([payload for payload, _ in some]))
            answers = answers_decoder.decode(packed)
            for (_, future), answer in zip(some, answers, strict=True):
                if not future.done():
                    future.set_result(answer)
        except (TransportLost, TimeoutError) as error:
            log.info("envelope_lost", host=host, reason=str(error) or "timed out")
        finally:
            for _, future in some:
                if not future.done():
                    future.set_result(Answer(code="outcome_unknown"))
            lane.envelopes -= 1
            if lane.waiting:
                self._kick(host, lane)

    async def refresh(self) -> bool:
        """Read the routes anew; callers share one reading. False when they cannot be read."""
        if self._refreshing is None:
            self._refreshing = asyncio.ensure_future(self._refresh())
        return await asyncio.shield(self._refreshing)

    async def _refresh(self) -> bool:
        try:
            self._routes = await self._directory.routes()
            return True
        except StorageUnknown:
            return False
        finally:
            self._refreshing = None


def join(payloads: list[bytes]) -> bytes:
    """One msgpack array of calls that are packed already."""
    count = len(payloads)
    head = bytes([0x90 | count]) if count < 16 else b"\xdc" + count.to_bytes(2, "big")
    return head + b"".join(payloads)


class ClientPeers:
    """The client as the owners' door to other hosts (``actors.ports.peers.Peers``)."""

    def __init__(self, client: Client, clock: Clock, timeout_ms: int = 5000) -> None:
        self._client = client
        self._clock = clock
        self._timeout_ms = timeout_ms

    async def ask(self, kind: str, key: str, command: Any, command_id: bytes) -> Any | Refused:
        """See :class:`actors.ports.peers.Peers`. A code that is not the entity's own word is a time-out."""
        answer = await self._client.ask(kind, key, command, command_id=command_id, deadline_ms=self._clock.now_ms() + self._timeout_ms)
        if answer.code in NOT_AN_ANSWER:
            raise TimeoutError(answer.code)
        if answer.code:
            return Refused(code=answer.code, params=answer.params)
        return answer.reply


NOT_AN_ANSWER: Final = frozenset(
    {"busy", "moved", "outcome_unknown", "pending", "deadline_passed", "storage_unavailable", "internal_error", "command_poisoned"}
)
"""Codes with which a host says that the entity was not asked, or that it is not known."""
