"""Webhooks of the simulator: signed as Stripe signs them, tried again when they fail, and spoilt on demand."""

import asyncio
import hashlib
import hmac
import random
import time
from collections import deque
from typing import Any, Final

import aiohttp
import msgspec

from actors.testing.stripe_simulator.plan import Delivery, WebhookPlan
from schemas.providers.stripe import PaymentIntent, Refund

API_VERSION: Final = "2026-10-28.endive"
RETRY_S: Final = (0.5, 2.0, 10.0, 60.0, 300.0)
"""Waits before the next tries. Stripe's are hours and go on for three days; these fit a development session."""

TIMEOUT_S: Final = 10.0
UNDER_WAY_MAX: Final = 20_000
"""Events being delivered or waiting to be tried again; past it they are lost, as webhooks may be."""

REMEMBERED_MAX: Final = 1000
STALE_S: Final = 3600


class _Signed(msgspec.Struct, frozen=True, kw_only=True):
    event_id: str
    type: str
    header_secret: str
    age_s: int
    body: bytes


class Deliveries:
    """Sends events to one endpoint. Nothing is sent while ``url`` is empty."""

    def __init__(self, url: str, secret: str, rng: random.Random) -> None:
        self.url = url
        self.seen: deque[Delivery] = deque(maxlen=REMEMBERED_MAX)
        self.lost = 0
        self._secret, self._rng = secret, rng
        self._plan = WebhookPlan()
        self._lose = self._forge = self._stale = 0
        self._held: list[_Signed] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._active = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._session: aiohttp.ClientSession | None = None

    @property
    def held(self) -> int:
        """Events kept back."""
        return len(self._held)

    def plan(self, plan: WebhookPlan) -> None:
        """Deliver so from now on. What is held stays held until released."""
        self._plan = plan
        self._lose, self._forge, self._stale = plan.lose, plan.forge, plan.stale

    def push(self, event_type: str, subject: PaymentIntent | Refund) -> None:
        """An event happened."""
        if not self.url:
            return
        if self._lose > 0 or len(self._tasks) >= UNDER_WAY_MAX:
            self._lose = max(0, self._lose - 1)
            self.lost += 1
            return
        event = self._event(event_type, subject)
        if self._plan.hold:
            self._held.append(event)
            return
        for _ in range(self._plan.copies):
            self._start(event)

    async def release(self, *, reverse: bool) -> None:
        """Deliver what is held, one after the other, and keep back no more."""
        held, self._held = self._held, []
        self._plan = msgspec.structs.replace(self._plan, hold=False)
        for event in reversed(held) if reverse else held:
            await self._post(event)

    async def quiet(self, timeout_s: float) -> bool:
        """Wait until no delivery is under way (tries that wait for their turn do not count). False when that takes longer."""
        try:
            await asyncio.wait_for(self._quiet.wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    async def close(self) -> None:
        """Stop; what was not delivered is lost."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _event(self, event_type: str, subject: PaymentIntent | Refund) -> _Signed:
        event_id = f"evt_{self._rng.getrandbits(112):028x}"
        body: dict[str, Any] = {
            "id": event_id,
            "object": "event",
            "api_version": API_VERSION,
            "created": int(time.time()),
            "data": {"object": subject},
            "livemode": False,
            "pending_webhooks": 1,
            "request": {"id": None, "idempotency_key": None},
            "type": event_type,
        }
        secret, age_s = self._secret, 0
        if self._forge > 0:
            self._forge, secret = self._forge - 1, "whsec_of_somebody_else"
        if self._stale > 0:
            self._stale, age_s = self._stale - 1, STALE_S
        return _Signed(event_id=event_id, type=event_type, header_secret=secret, age_s=age_s, body=msgspec.json.encode(body))

    def _start(self, event: _Signed) -> None:
        # Active from this moment, not from the task's first step: a caller may ask for quiet at once.
        self._begin()
        task = asyncio.create_task(self._deliver(event))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, event: _Signed) -> None:
        try:
            await asyncio.sleep(self._plan.delay_s)
            delivered = await self._post(event)
        finally:
            self._end()
        for wait_s in RETRY_S:
            if delivered:
                return
            await asyncio.sleep(wait_s)
            delivered = await self._post(event)
        self.lost += not delivered

    async def _post(self, event: _Signed) -> bool:
        at_s = int(time.time()) - event.age_s
        digest = hmac.new(event.header_secret.encode(), f"{at_s}.".encode() + event.body, hashlib.sha256).hexdigest()
        headers = {"Content-Type": "application/json; charset=utf-8", "Stripe-Signature": f"t={at_s},v1={digest}"}
        status = 0
        self._begin()
        try:
            async with self._connected().post(self.url, data=event.body, headers=headers, allow_redirects=False) as answer:
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            pass  # nobody there: tried again
        finally:
            self._end()
        self.seen.append(Delivery(event_id=event.event_id, type=event.type, status=status))
        return 200 <= status < 300

    def _begin(self) -> None:
        self._active += 1
        self._quiet.clear()

    def _end(self) -> None:
        self._active -= 1
        if self._active == 0:
            self._quiet.set()

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=32), timeout=timeout)
        return self._session
