"""The Ray actor around a host."""

import asyncio
import os
from typing import Any

import ray

from actors.runtime.assembly import HostProcess, host_number
from actors.runtime.collect import tune_garbage_collection
from actors.runtime.config import read_config, short_directory
from actors.runtime.indexing import keep_indexing
from actors.runtime.landing import keep_landing
from actors.runtime.logs import configure_logs
from actors.runtime.priority import take_short_turns
from actors.runtime.ray_transport import RayTransport
from actors.runtime.socket_transport import SocketServer, SocketTransport, socket_path
from actors.runtime.watchdog import ensure_watchdog


class _ShardHost:
    """Owns shards; answers envelopes after the commit.

    Success promises durability. A call that raises (the process died, the network broke) leaves
    the outcome of its commands unknown: ask again, any owner, with the same command ids.
    """

    def __init__(self, name: str, config_path: str) -> None:
        settings = read_config(config_path)
        configure_logs(settings)
        node = ray.get_runtime_context().get_node_id()
        directory = short_directory(settings)
        self._process = HostProcess(name, node, settings, SocketTransport(directory, RayTransport()))
        self._socket = SocketServer(socket_path(directory, name), self._process.envelope)
        self._settings = settings
        # Begun here and not when told to: a host that Ray starts again is back that much earlier.
        self._ready: asyncio.Task[None] | None = asyncio.ensure_future(self._start())
        # Of each node the first host: events and the index lie in directories of their node.
        keepers = (keep_landing, keep_indexing) if host_number(name) == 0 else ()
        self._of_node = [asyncio.ensure_future(keep(config_path, settings)) for keep in keepers]
        self._stopped = False

    async def _start(self) -> None:
        if self._settings.watchdog_ms:
            ensure_watchdog(self._settings.data_path / "pulse", self._settings.watchdog_ms / 1000)
        await self._process.start()
        tune_garbage_collection()
        take_short_turns()
        await self._socket.start()

    def _is_ready(self) -> bool:
        return self._ready is not None and self._ready.done() and not self._ready.cancelled() and self._ready.exception() is None

    async def _ensure_started(self) -> str:
        if self._stopped:
            raise RuntimeError(f"{self._process.name} was stopped")
        if self._ready is None:
            self._ready = asyncio.ensure_future(self._start())
        try:
            await asyncio.shield(self._ready)
        except Exception:
            self._ready = None
            raise
        return self._process.name

    @ray.method
    async def start(self) -> str:
        """Return when the host has joined the board; answers its name. Safe to call again, also after a failure."""
        return await self._ensure_started()

    @ray.method
    async def envelope(self, payload: bytes) -> bytes:
        """One batch of calls (``actors.owners.door``)."""
        if not self._is_ready():
            await self._ensure_started()
        return await self._process.envelope(payload)

    @ray.method
    async def status(self) -> dict[str, Any]:
        """Numbers for people and metrics."""
        if not self._is_ready():
            return {"host": self._process.name, "pid": os.getpid(), "shards": 0}
        return {**self._process.status(), "pid": os.getpid()}

    @ray.method
    async def stop(self) -> None:
        """Hand over every shard and leave the board."""
        self._stopped = True
        for keeper in self._of_node:
            keeper.cancel()
        if self._is_ready():
            self._socket.close()
            await self._process.stop()
        self._ready = None


ShardHost = ray.remote(_ShardHost)
