"""The Serve deployment: one replica is one process that answers on both lanes."""

import asyncio
from functools import partial
from typing import Any

import asyncpg
import redis.asyncio as redis_client
import structlog
from ray import serve as ray_serve

from actors.adapters.oauth.offered import Logins, logins_of
from actors.client.client import Client
from actors.domain.signing import SigningKeys
from actors.runtime.assembly import gateway_of, meet_cluster
from actors.runtime.collect import tune_garbage_collection
from actors.runtime.config import read_config, short_directory
from actors.runtime.logs import configure_logs
from actors.runtime.metrics import HostMetrics
from actors.runtime.priority import take_short_turns
from actors.runtime.ray_transport import RayTransport
from actors.runtime.socket_transport import SocketTransport
from actors.storage.board import PostgresBoard
from actors.storage.clock import DatabaseClock
from actors.storage.connect import open_pool
from actors.storage.facts import PostgresFacts
from actors.storage.probe import Probe
from actors.storage.projections.follower import Follower
from actors.storage.sealing import Sealer, keys_of
from actors.storage.upkeep.status import journal_metrics
from schemas.settings import Settings
from serve.application import Application, build
from serve.listener import DirectListener
from serve.listening_socket import shared_socket
from serve.login_tries import LoginTries
from serve.senders import email_of, sms_of
from serve.services import Services

log = structlog.get_logger("stampede.serve")

SYNC_S = 30.0


class _Storefront:
    """One replica: the HTTP application on Serve's ingress and on the node's direct listener.

    It owns nothing that matters: killed at any moment, its clients ask another replica again with
    the same Idempotency-Key.
    """

    def __init__(self, config_path: str) -> None:
        self._config_path = config_path
        self._settings: Settings = read_config(config_path)
        self._listener: DirectListener | None = None
        self._keeper: Any = None
        self._app: Application | None = None
        self._pool: Any = None
        self._probe: Probe | None = None
        self._redis: Any = None
        self._logins = Logins()
        self._clock = DatabaseClock()
        self._syncing: asyncio.Task[None] | None = None

    async def __serve_build_asgi_app__(self) -> Any:
        """Called by Serve on the replica's event loop, after the constructor."""
        configure_logs(self._settings)
        self._app = build(await self._services())
        await self._app.start()
        settings = self._settings
        if settings.direct_port:
            directory = short_directory(settings)
            shared, self._keeper = await asyncio.to_thread(shared_socket, directory, settings.host, settings.direct_port)
            self._listener = DirectListener(self._app, shared)
            await self._listener.start()
        tune_garbage_collection()
        take_short_turns()
        self._syncing = asyncio.ensure_future(self._keep_time())
        return self._app

    async def _services(self) -> Services:
        settings = self._settings
        assert settings.database_url is not None
        cluster = await meet_cluster(settings, self._clock)
        self._pool = await open_pool(settings.database_url, size=8)
        self._probe = Probe(settings.database_url)
        self._logins = logins_of(settings)
        sealer = Sealer(keys_of(settings))
        async with self._pool.acquire() as connection:
            await sealer.check(connection)
        if settings.redis_url:
            self._redis = redis_client.from_url(settings.redis_url, socket_timeout=1.0, socket_connect_timeout=0.5)
        sharding = cluster.sharding()
        directory = PostgresBoard(settings.database_url, "replica")
        transport = SocketTransport(short_directory(settings), RayTransport())
        return Services(
            settings=settings,
            clock=self._clock,
            client=Client(sharding, transport, directory, self._clock),
            directory=directory,
            facts=PostgresFacts(self._pool),
            pool=self._pool,
            probe=self._probe,
            gateway=gateway_of(settings),
            token_keys=SigningKeys(current=1, keys={1: cluster.token_key}),
            ticket_keys=SigningKeys(current=1, keys={1: cluster.ticket_key}),
            sealer=sealer,
            logins=self._logins,
            redis=self._redis,
            sms=sms_of(settings, self._clock),
            email=email_of(settings, self._clock),
            login_tries=LoginTries.shared(short_directory(settings) / "login-tries", cluster.token_key[:64]),
            host_metrics=HostMetrics(directory, transport, Follower(settings.database_url).lag, partial(journal_metrics, self._pool)).text,
        )

    async def _keep_time(self) -> None:
        while True:
            await asyncio.sleep(SYNC_S)
            try:
                async with self._pool.acquire(timeout=1) as connection:
                    await self._clock.sync(connection)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
                log.info("clock_not_synced", reason=str(error))

    def record_routing_stats(self) -> dict[str, Any]:
        """The direct listener's load, for Serve: a replica is as busy as both its lanes."""
        listener = self._listener
        return {"direct_in_flight": listener.in_flight if listener else 0, "direct_connections": listener.connections if listener else 0}

    async def check_health(self) -> None:
        """Serve replaces a replica whose listener died."""
        if self._listener is not None and not self._listener.draining and not self._listener.serving:
            raise RuntimeError("the direct listener does not accept")

    async def __del__(self) -> None:
        """Drain the direct lane; Serve has drained its own by now."""
        if self._listener is not None:
            await self._listener.drain()
        if self._syncing is not None:
            self._syncing.cancel()
        if self._app is not None:
            await self._app.stop()
        if self._keeper is not None:
            self._keeper.close()
        await self._logins.close()
        if self._redis is not None:
            await self._redis.aclose()
        if self._probe is not None:
            await self._probe.close()
        if self._pool is not None:
            self._pool.terminate()


Storefront = ray_serve.ingress()(_Storefront)
