"""Webhooks of the simulator: signed, tried again when they fail, and spoilt on demand."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import aiohttp
import msgspec

from actors.adapters.wms.signature import headers, secret_of
from actors.testing.wms_simulator.plan import Delivery, WebhookPlan
from schemas.providers.wms import Envelope

RETRY_S: Final = (0.5, 2.0, 10.0)
FOREIGN: Final = secret_of(b"somebody else's key, 32 bytes !!")
STALE_S: Final = 3600


class Deliveries:
    """Sends messages to one hook. Nothing is sent while ``url`` is empty."""

    def __init__(self, url: str, secrets: Sequence[str], now_s: Callable[[], int] = lambda: int(time.time())) -> None:
        self.url = url
        self.secrets = tuple(secrets)
        self.seen: deque[Delivery] = deque(maxlen=10_000)
        self.lost = 0
        self.now_s = now_s
        self._plan = WebhookPlan()
        self._lose = self._forge = self._stale = 0
        self._held: list[Envelope] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None

    @property
    def held(self) -> int:
        """Messages kept back."""
        return len(self._held)

    def plan(self, plan: WebhookPlan) -> None:
        """Deliver so from now on. What is held stays held until released."""
        self._plan = plan
        self._lose, self._forge, self._stale = plan.lose, plan.forge, plan.stale

    def push(self, envelope: Envelope) -> None:
        """Something happened."""
        if not self.url:
            return
        if self._lose > 0:
            self._lose -= 1
            self.lost += 1
        elif self._plan.hold:
            self._held.append(envelope)
        else:
            for _ in range(self._plan.copies):
                task = asyncio.create_task(self._deliver(envelope))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def release(self, *, reverse: bool) -> None:
        """Deliver what is held, one after the other, and keep back no more."""
        held, self._held = self._held, []
        self._plan = msgspec.structs.replace(self._plan, hold=False)
        for envelope in reversed(held) if reverse else held:
            await self.post(envelope)

    async def quiet(self) -> None:
        """Wait until no delivery is under way."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def close(self) -> None:
        """Stop; what was not delivered is in the feed."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _deliver(self, envelope: Envelope) -> None:
        status = await self.post(envelope)
        for wait_s in RETRY_S:
            # Whoever says that the signature is wrong will say so again.
            if 200 <= status < 300 or status == 401:
                return
            await asyncio.sleep(wait_s)
            status = await self.post(envelope)
        self.lost += 1

    async def post(self, envelope: Envelope) -> int:
        """One try; answers the status, 0 without an answer."""
        body, secrets, at_s = msgspec.json.encode(envelope), self.secrets, self.now_s()
        if self._forge > 0:
            self._forge, secrets = self._forge - 1, (FOREIGN,)
        if self._stale > 0:
            self._stale, at_s = self._stale - 1, at_s - STALE_S
        send = {**headers(secrets, envelope.id, body, at_s), "content-type": "application/json"}
        status = 0
        try:
            async with self._connected().post(self.url, data=body, headers=send, allow_redirects=False) as answer:
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            pass  # nobody there: tried again
        self.seen.append(Delivery(message_id=envelope.id, type=envelope.type, status=status))
        return status

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10), connector=aiohttp.TCPConnector(limit=32))
        return self._session
