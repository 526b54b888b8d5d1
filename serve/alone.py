"""``python -m serve.alone``: one host with the projections, and one replica, without Ray: for benches of a replica's work.

The replica is the one that Serve would run, behind its direct listener; only that nobody starts it again. Settings come from the
environment, and name a database that is there. Ends with SIGINT or SIGTERM.
"""

import asyncio
import signal
import subprocess
import sys
from typing import Any, Final

import uvloop

from actors.ports.transport import TransportLost
from actors.runtime.assembly import HostProcess
from actors.runtime.collect import tune_garbage_collection
from actors.runtime.config import read_config, short_directory, write_config
from actors.runtime.logs import configure_logs
from actors.runtime.socket_transport import SocketServer, SocketTransport, socket_path
from actors.storage.projections.follower import Follower
from schemas.settings import from_environment
from serve.deployments import _Storefront
from serve.listening_socket import end_keeper

HOST: Final = "host-alone-0"
ROLES: Final = ("host", "replica")


class _Nowhere:
    """There are no hosts on other machines."""

    async def call(self, host: str, payload: bytes) -> bytes:
        """See :class:`actors.ports.transport.Transport`."""
        raise TransportLost(f"{host} is not on this machine")


async def _host(config: str) -> None:
    settings = read_config(config)
    configure_logs(settings)
    directory = short_directory(settings)
    process = HostProcess(HOST, "alone", settings, SocketTransport(directory, _Nowhere()))
    server = SocketServer(socket_path(directory, HOST), process.envelope)
    await process.start()
    follower = Follower(str(settings.database_url))
    following = asyncio.ensure_future(follower.run())
    tune_garbage_collection()
    await server.start()
    await _asked_to_end()
    server.close()
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    await follower.close()
    await process.stop()


async def _replica(config: str) -> None:
    storefront = _Storefront(config)
    await storefront.__serve_build_asgi_app__()
    await _asked_to_end()
    await storefront.__del__()


async def _asked_to_end() -> None:
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await ended.wait()


def _both() -> None:
    settings = from_environment()
    config = str(write_config(settings))
    running = [subprocess.Popen([sys.executable, "-m", "serve.alone", role, config]) for role in ROLES]

    def end(number: int, frame: Any) -> None:
        for process in reversed(running):
            process.terminate()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    for process in running:
        process.wait()
    end_keeper(short_directory(settings), settings.direct_port)


def main(arguments: list[str]) -> None:
    """Both, or one role of them with the path of its configuration."""
    match arguments:
        case ["host", config]:
            uvloop.run(_host(config))
        case ["replica", config]:
            uvloop.run(_replica(config))
        case _:
            _both()


if __name__ == "__main__":
    main(sys.argv[1:])
