"""What a replica does for warehouses: a round every few seconds, and at once after a webhook. Of several replicas each thing is done
by one: claims are leases in the tables.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

import structlog

from actors.adapters.wms.addresses import networks
from actors.adapters.wms.client import WmsClient
from actors.ports.journal import StorageUnknown
from actors.ports.wms import Dialect, Warehouse
from actors.storage.connect import LOST
from actors.storage.sealing import Unreadable
from schemas.providers.wms import ShipTo
from schemas.wms import Connection
from serve.wms.comparing import Comparing
from serve.wms.lines import Lines, OpenLine
from serve.wms.polling import Polling
from serve.wms.sending import Sending
from serve.wms.taking import Taking

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serve.desk import Desk

log = structlog.get_logger("stampede.wms")

JITTER: Final = 0.3
IDLE_S: Final = 15.0
"""Between two looks while there is no line at all."""

FORGET_EVERY_MS: Final = 3_600_000
CAUSE_ROUNDS_MAX: Final = 20


class WmsWork:
    """One a replica. ``tell``: called at each step, for tests that end the process there."""

    def __init__(self, desk: "Desk", dialect: Dialect | None = None, tell: Callable[[str], None] = lambda step: None) -> None:
        services, settings = desk.services, desk.settings
        self._desk = desk
        self._clock = services.clock
        self._rng = services.rng
        self._private = networks(settings.wms_private_networks)
        self.lines = Lines(desk.wms, services.clock, dialect or self._client)
        self._inbox, self._outbox, self._counts = desk.wms_inbox, desk.wms_outbox, desk.wms_counts
        self.taking = Taking(self._inbox, desk.ask, services.clock, self._rng, tell)
        self.sending = Sending(self._outbox, self._address, services.clock, self._rng, tell)
        self.polling = Polling(self._inbox, self._outbox, services.clock, self._rng, settings.wms_poll_s, tell)
        self.comparing = Comparing(self._counts, self._inbox, self.polling, self.taking, services.clock, self._rng)
        self._woken = asyncio.Event()
        self._forgotten_at_ms = 0

    def wake(self) -> None:
        """There is something to do: begin now."""
        self._woken.set()

    async def run(self) -> None:
        """Work for ever. What fails is logged and tried again. Nothing where the settings want no work here."""
        look_s = self._desk.settings.wms_look_s
        while look_s > 0:
            found = 0
            try:
                found = await self.round()
            except (StorageUnknown, *LOST) as error:
                log.info("wms_work_waits", reason=type(error).__name__)
            except Exception:
                log.exception("wms_work_failed")
            wait_s = (look_s if found else IDLE_S) * (1 - JITTER + 2 * JITTER * self._rng.random())
            try:
                await asyncio.wait_for(self._woken.wait(), wait_s)
            except TimeoutError:
                pass
            self._woken.clear()

    async def close(self) -> None:
        """Close the connections."""
        await self.lines.close()

    async def round(self) -> int:
        """Everything that is due, once; answers how many lines there are."""
        lines = await self.lines.all()
        if not lines:
            return 0
        for _ in range(CAUSE_ROUNDS_MAX):
            if not await self._outbox.take_causes(self._clock.now_ms()):
                break
        # Each for itself: a warehouse that takes long to answer holds up no other.
        ended = await asyncio.gather(*(self._line(line) for line in lines.values()), return_exceptions=True)
        for error in ended:
            if isinstance(error, BaseException):
                raise error
        await self._forget()
        return len(lines)

    async def _line(self, line: OpenLine) -> None:
        name, connection = line.connection.connection_id, line.connection
        works: list[Callable[[], Awaitable[Any]]] = [lambda: self.taking.round(connection)]
        if connection.state == "active":
            warehouse = await self.lines.warehouse(line)
            works += [
                lambda: self._outbox.take_products(name, self._clock.now_ms()),
                lambda: self.sending.round(line, warehouse),
                lambda: self._ask(connection, warehouse),
                lambda: self.comparing.round(connection, warehouse),
            ]
        failed: Exception | None = None
        for work in works:
            # What breaks one of them is no reason to leave the others.
            try:
                await work()
            except Exception as error:
                failed = failed or error
        if failed is not None:
            raise failed

    async def _ask(self, connection: Connection, warehouse: Warehouse) -> None:
        if await self.polling.round(connection.connection_id, warehouse, waiting=connection.waiting):
            await self.taking.round(connection)

    async def _forget(self) -> None:
        now_ms = self._clock.now_ms()
        if now_ms - self._forgotten_at_ms < FORGET_EVERY_MS:
            return
        self._forgotten_at_ms = now_ms
        before_ms = now_ms - self._desk.settings.wms_keep_days * 86_400_000
        for table in (self._inbox, self._outbox, self._counts):
            await table.forget(before_ms)

    async def _address(self, order_id: str) -> ShipTo | None:
        """Where an order goes; None when nobody can say any more."""
        user_id, placed = await self._outbox.sealed_address(order_id)
        if placed is None:
            return None
        try:
            found = await self._desk.user_keys.open_address(user_id, placed.sealed_ship_to) if placed.sealed_ship_to else placed.ship_to
        except Unreadable:
            log.error("wms_address_unreadable", order_id=order_id)
            return None
        if found is None:
            return None
        return ShipTo(
            country=found.country, name=found.name, phone=found.phone, line1=found.line1, line2=found.line2, city=found.city,
            region=found.region, district=found.district, postal_code=found.postal_code,
        )  # fmt: skip

    def _client(self, url: str, secrets: "Sequence[str]", answer_secrets: "Sequence[str]") -> Warehouse:
        now_s = self._now_s
        return WmsClient(url, secrets, answer_secrets, private=self._private, now_s=now_s)

    def _now_s(self) -> int:
        return self._clock.now_ms() // 1000
