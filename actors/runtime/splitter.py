"""Splitting what is too hot for one host: the measured rates of all hosts, the rule, and the same act as by hand.

The rule is ``actors.domain.splitting``, the act ``actors.storage.sales.split_skus``. One splitter is enough; two
do no harm: parts are only ever added, and units move by transfers that are debited and credited once.
"""

import asyncio
from typing import Any, Final

import asyncpg
import structlog

from actors.client.client import Client
from actors.domain.entity import Refused
from actors.domain.splitting import SplitRule, Watch, parts_wanted, rested, watch
from actors.ports.journal import StorageUnknown
from actors.ports.transport import Transport
from actors.runtime.host_status import host_status
from actors.storage.board import PostgresBoard
from actors.storage.clock import DatabaseClock
from actors.storage.connect import CONNECT_TIMEOUT_S, LOST
from actors.storage.migrate import found_cluster
from actors.storage.sales import part_levels, split_skus
from schemas.settings import Settings

log = structlog.get_logger("stampede.runtime")

LOOK_S: Final = 1.0
ALONE_S: Final = 5.0
"""With one host there is nobody to split with: it is enough to see when another one comes."""


class Splitter:
    """Looks every second. What it knows of the past is gone when it is started anew, which costs three seconds."""

    def __init__(self, settings: Settings, board: PostgresBoard, transport: Transport) -> None:
        self.splits = 0
        self._settings = settings
        self._rule = SplitRule(rate_per_s=settings.split_rate_per_s, parts_max=settings.split_parts_max)
        self._board = board
        self._transport = transport
        self._clock = DatabaseClock()
        self._client: Client | None = None
        self._watches: dict[str, Watch] = {}

    async def run(self) -> None:
        """For ever; with a threshold of 0 nothing is ever done."""
        while self._rule.rate_per_s:
            try:
                hosts = [lease.host for lease in await self._board.hosts() if lease.alive and not lease.draining]
                if len(hosts) > 1:
                    await self.look(await self.rates(hosts), self._clock.now_ms())
                await asyncio.sleep(LOOK_S if len(hosts) > 1 else ALONE_S)
            except (StorageUnknown, *LOST) as error:
                log.warning("split_looked_in_vain", reason=str(error) or type(error).__name__)
                await asyncio.sleep(ALONE_S)
        await asyncio.Event().wait()

    async def rates(self, hosts: list[str]) -> dict[str, float]:
        """Changes a second by part of an article, as the hosts measured them; of a host that does not answer nothing."""
        found: dict[str, float] = {}
        for told in await asyncio.gather(*(host_status(self._transport, host) for host in hosts)):
            for hot in (told or {}).get("hot", ()):
                if hot["kind"] == "stock":
                    found[hot["key"]] = hot["records_per_s"]
        return found

    async def look(self, rates: dict[str, float], now_ms: int) -> list[str]:
        """Judge by these rates, and do what is to be done; the articles that were split or made even."""
        self._watches, hot = watch(self._rule, self._watches, rates, now_ms)
        done = []
        for sku_id in hot:
            self._watches[sku_id] = rested(self._watches[sku_id], now_ms)
            rate = sum(value for key, value in rates.items() if key.partition("#")[0] == sku_id)
            if await self._consider(sku_id, rate):
                done.append(sku_id)
        return done

    async def _consider(self, sku_id: str, rate: float) -> bool:
        """True when units were moved."""
        connection = await asyncpg.connect(
            self._settings.database_url, timeout=CONNECT_TIMEOUT_S, server_settings={"application_name": "stampede splitter"}
        )
        try:
            client = await self._met(connection)
            levels = await part_levels(connection, client, sku_id)
            if isinstance(levels, Refused):
                log.warning("split_not_judged", sku=sku_id, code=levels.code)
                return False
            available = tuple(part.sellable for part in levels)
            parts = parts_wanted(self._rule, available, rate, await self._homes(client, sku_id))
            if not parts:
                log.info("split_left_alone", sku=sku_id, changes_per_s=round(rate), available=available)
                return False
            log.info("sku_split", sku=sku_id, changes_per_s=round(rate), available=available, parts=parts)
            split = await split_skus(connection, client, [sku_id], parts)
        finally:
            await connection.close()
        if isinstance(split, Refused):
            log.warning("split_unfinished", sku=sku_id, parts=parts, code=split.code)
            return True
        self.splits += 1
        log.info("sku_was_split", sku=sku_id, parts=parts, available=tuple(part.sellable for part in split))
        return True

    async def _met(self, connection: Any) -> Client:
        if self._client is None:
            await self._clock.sync(connection)
            cluster = await found_cluster(connection, self._settings.shard_count, self._settings.pools)
            self._client = Client(cluster.sharding(), self._transport, self._board, self._clock)
        return self._client

    async def _homes(self, client: Client, sku_id: str) -> tuple[str, ...]:
        """Where each part lives, or would live; of those whose shard is on the move the first and all that follow are left out."""
        routes = await self._board.routes()
        homes = []
        for part in range(self._rule.parts_max):
            host = routes.get(client.sharding.shard("stock", f"{sku_id}#{part}"))
            if host is None:
                break
            homes.append(host)
        return tuple(homes)
