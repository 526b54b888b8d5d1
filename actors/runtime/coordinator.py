"""The coordinator: hosts on every node, a plan for the shards, the projections, hot articles, the journal's upkeep."""

import asyncio
import os
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final

import ray
import structlog
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from actors.domain.pools import parse_pools, pool_of
from actors.owners.placement import Coordinator as Planner
from actors.ports.journal import StorageUnknown
from actors.runtime.assembly import host_name
from actors.runtime.config import read_config, short_directory
from actors.runtime.goods_watch import MODULE as WATCH_MODULE
from actors.runtime.logs import configure_logs
from actors.runtime.options import NAMESPACE, SHARD_HOST
from actors.runtime.ray_transport import RayTransport
from actors.runtime.shard_host import ShardHost
from actors.runtime.socket_transport import SocketTransport
from actors.runtime.splitter import Splitter
from actors.runtime.upkeep import UpkeepTimer
from actors.storage.board import PostgresBoard
from actors.storage.projections.follower import Follower

log = structlog.get_logger("stampede.runtime")

LOOK_S: Final = 0.5
START_TIMEOUT_S: Final = 60.0


class _Coordinator:
    """Keeps hosts running on every node and proposes where shards live; runs the projections, splits
    articles that are too hot for one host, and runs the upkeep in a process of its own.

    Nothing is lost when it is gone: hosts claim by themselves, orders are taken, tables fall behind.
    """

    def __init__(self, config_path: str) -> None:
        self._config_path = config_path
        self._settings = read_config(config_path)
        configure_logs(self._settings)
        assert self._settings.database_url is not None
        self._board = PostgresBoard(self._settings.database_url, "coordinator", lease_ms=self._settings.lease_ms)
        pools = parse_pools(self._settings.pools, self._settings.shard_count)
        self._planner = Planner(self._board, partial(pool_of, pools))
        self._follower = Follower(self._settings.database_url)
        self._upkeep = UpkeepTimer(config_path, self._settings.journal_upkeep_s, self._settings.data_path / "upkeep.log")
        log_file = self._settings.data_path / "goods_watch.log"
        self._watch = UpkeepTimer(config_path, self._settings.goods_watch_s, log_file, module=WATCH_MODULE)
        transport = SocketTransport(short_directory(self._settings), RayTransport())
        self._splitter = Splitter(self._settings, self._board, transport)
        self._hosts: dict[str, Any] = {}
        # Begun here and not when told to: a coordinator that Ray starts again is told nothing.
        works = (self._keep_placing, self._keep_hosts, self._follower.run, self._upkeep.run, self._watch.run, self._splitter.run)
        self._tasks = [asyncio.ensure_future(_lasting(work)) for work in works]

    @ray.method
    async def start(self) -> list[str]:
        """Return when every node has its hosts and they serve; answers their names. Safe to call again."""
        await self._find_hosts()
        await asyncio.gather(*(self._start_host(name, handle) for name, handle in self._hosts.items()))
        return sorted(self._hosts)

    async def _find_hosts(self) -> None:
        """One set of hosts for every live node. Asking Ray's control store blocks while it is away, so it is asked on a thread."""
        self._hosts = await asyncio.to_thread(self._hosts_of_nodes, dict(self._hosts))

    def _hosts_of_nodes(self, known: dict[str, Any]) -> dict[str, Any]:
        found = {}
        nodes: Any = ray.nodes
        for node in nodes():
            for index in range(self._settings.hosts if node["Alive"] else 0):
                name = host_name(node["NodeID"], index)
                found[name] = known.get(name) or self._make_host(name, node["NodeID"])
        return found

    def _make_host(self, name: str, node: str) -> Any:
        strategy = NodeAffinitySchedulingStrategy(node_id=node, soft=False)
        options = {**SHARD_HOST, "name": name, "namespace": NAMESPACE, "get_if_exists": True, "scheduling_strategy": strategy}
        return ShardHost.options(**options).remote(name, self._config_path)

    async def _start_host(self, name: str, handle: Any) -> None:
        try:
            await asyncio.wait_for(handle.start.remote(), START_TIMEOUT_S)
        except (RayError, TimeoutError) as error:
            log.warning("host_not_started", host=name, reason=type(error).__name__)

    async def _keep_hosts(self) -> None:
        """Hosts for nodes that came, none for nodes that went; a host that Ray started again is told to begin.

        Each host is asked by itself: one that hangs keeps no other one waiting.
        """
        asked: dict[str, asyncio.Task[None]] = {}
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self._find_hosts()
            except Exception as error:
                # Ray raises many things while its control store is away; the hosts that are known go on.
                log.warning("nodes_unreadable", reason=type(error).__name__)
            for name, handle in self._hosts.items():
                if name not in asked or asked[name].done():
                    asked[name] = asyncio.ensure_future(self._start_host(name, handle))

    async def _keep_placing(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                moved = await self._planner.propose()
                if moved:
                    log.info("placement_proposed", shards=moved)
            except StorageUnknown as error:
                log.warning("placement_failed", reason=error.reason)

    @ray.method
    async def status(self) -> dict[str, Any]:
        """All hosts' numbers, and how far the projections are behind."""
        found = await asyncio.gather(*(self._status_of(name, handle) for name, handle in list(self._hosts.items())))
        return {"pid": os.getpid(), "hosts": list(found), "projections": await self._follower.lag()}

    async def _status_of(self, name: str, handle: Any) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = await asyncio.wait_for(handle.status.remote(), 2)
            return answer
        except (RayError, TimeoutError) as error:
            return {"host": name, "unreachable": type(error).__name__}

    @ray.method
    async def stop(self) -> None:
        """Stop every host cleanly."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        for handle in self._hosts.values():
            try:
                await asyncio.wait_for(handle.stop.remote(), 10)
            except (RayError, TimeoutError) as error:
                log.warning("host_not_stopped", reason=type(error).__name__)
        await self._board.close()


def _nodes() -> list[dict[str, Any]]:
    """Ray's nodes; its function has no types."""
    nodes: Any = ray.nodes
    found: list[dict[str, Any]] = nodes()
    return found


async def _lasting(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run it for ever: what nobody foresaw is logged, and it begins anew."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("coordinator_loop_failed", work=work.__qualname__)
        await asyncio.sleep(LOOK_S)


Coordinator = ray.remote(_Coordinator)
