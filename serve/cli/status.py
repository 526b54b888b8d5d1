"""``stampede status``: what runs, from the tables and from each host's own mouth. Ray is not asked."""

import asyncio
import urllib.error
import urllib.request
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import msgspec

from actors.runtime.config import short_directory
from schemas.settings import Settings
from serve.cli.door import open_connection, running
from serve.cli.words import Trouble

if TYPE_CHECKING:
    from actors.ports.journal import HostLease
    from actors.ports.transport import Transport
    from actors.storage.upkeep.status import JournalStatus

ASK_S: Final = 1.0
"""A host that does not answer in this time is shown as not answering."""


class ShardView(msgspec.Struct, frozen=True, kw_only=True):
    """One shard. ``host`` is empty while nobody owns it; ``target`` differs while it is to move."""

    shard: int
    epoch: int
    host: str
    target: str
    head_seq: int


class Lag(msgspec.Struct, frozen=True, kw_only=True):
    """How far a group of projections is behind the journal."""

    rows_behind: int
    seconds_behind: float


class ProjectionView(msgspec.Struct, frozen=True, kw_only=True):
    """``stopped``: shards that stand at a record which could not be followed."""

    lag: Lag
    stopped: int


class LaneView(msgspec.Struct, frozen=True, kw_only=True):
    """One way in over HTTP."""

    url: str
    ready: bool


class ServerView(msgspec.Struct, frozen=True, kw_only=True):
    """A process that is known by its number alone."""

    pid: int


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """``stampede status --json``.

    hosts: live ones, by name, each with its own numbers (``actors.runtime.assembly.HostProcess.status``)
    beside ``host``, ``pid``, ``node``, ``draining`` and ``answers``; ``hosts_gone``: names of those whose
    lease ended or whose process died within the last minute. postgres, valkey: the embedded servers,
    None where others are used. journal: ``actors.storage.upkeep.status.JournalStatus``.
    """

    data_dir: str
    hosts: list[dict[str, Any]]
    hosts_gone: list[str]
    shards: list[ShardView]
    projections: dict[str, ProjectionView]
    journal: Any
    replicas: list[ServerView]
    lanes: dict[str, LaneView]
    postgres: ServerView | None
    valkey: ServerView | None


def status(settings: Settings) -> Status:
    """What runs now. Trouble as ``serve.cli.door``."""
    return asyncio.run(_status(running(settings)))


async def _status(settings: Settings) -> Status:
    from actors.ports.journal import StorageUnknown
    from actors.runtime.joining import JoiningTransport
    from actors.runtime.socket_transport import SocketTransport
    from actors.storage.board import PostgresBoard
    from actors.storage.upkeep.status import journal_status

    # This connection says in plain words when the database is away.
    async with open_connection(settings) as connection:
        journal: JournalStatus = await journal_status(connection)
    board = PostgresBoard(str(settings.database_url), "cli")
    transport = SocketTransport(short_directory(settings), JoiningTransport())
    try:
        leases, rows = await board.hosts(), await board.shards()
        projections = await _projections(settings)
        live = [lease for lease in leases if lease.alive and not _is_dead_here(settings, lease)]
        hosts = await asyncio.gather(*(_host(transport, lease) for lease in live))
        lanes = await asyncio.to_thread(_lanes, settings)
    except StorageUnknown as error:
        raise Trouble("database_away", reason=error.reason) from error
    finally:
        transport.close()
        await board.close()
    return Status(
        data_dir=str(settings.data_path),
        hosts=list(hosts),
        hosts_gone=sorted({lease.host for lease in leases} - {lease.host for lease in live}),
        shards=[ShardView(shard=row.shard, epoch=row.epoch, host=row.host, target=row.target, head_seq=row.head) for row in rows],
        projections=projections,
        journal=journal,
        replicas=_replicas(settings),
        lanes=lanes,
        postgres=_server(settings, "postgres"),
        valkey=_server(settings, "valkey"),
    )


def _is_dead_here(settings: Settings, lease: "HostLease") -> bool:
    """True when a host of this machine is known to be gone although its lease still runs."""
    from actors.runtime.socket_transport import socket_path
    from actors.storage.embedded.traces import started_at

    return socket_path(short_directory(settings), lease.host).exists() and not started_at(lease.pid)


async def _host(transport: "Transport", lease: "HostLease") -> dict[str, Any]:
    from actors.runtime.host_status import host_status

    known = {"host": lease.host, "pid": lease.pid, "node": lease.node, "draining": lease.draining}
    told = await host_status(transport, lease.host, ASK_S)
    return {**known, "answers": False} if told is None else {**told, **known, "answers": True}


async def _projections(settings: Settings) -> dict[str, ProjectionView]:
    from actors.storage.projections.follower import Follower

    follower = Follower(str(settings.database_url))
    try:
        lag, stopped = await follower.lag(), await follower.stopped()
    finally:
        await follower.close()
    return {
        name: ProjectionView(lag=Lag(rows_behind=rows, seconds_behind=round(seconds, 3)), stopped=stopped[name])
        for name, (rows, seconds) in lag.items()
    }


def _lanes(settings: Settings) -> dict[str, LaneView]:
    ports = {"ingress": settings.ingress_port, "direct": settings.direct_port}
    urls = {name: f"http://{settings.host}:{port}" for name, port in ports.items() if port}
    return {name: LaneView(url=url, ready=_is_ready(url + "/readyz")) for name, url in urls.items()}


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=ASK_S) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _replicas(settings: Settings) -> list[ServerView]:
    """The replicas of this machine: children of the raylet that works in this copy's directory."""
    import psutil

    directory = str(short_directory(settings))
    raylets, found = set(), []
    for process in psutil.process_iter(["pid", "ppid", "cmdline"]):
        command = " ".join(process.info["cmdline"] or ())
        if "raylet" in command.partition(" ")[0] and directory in command:
            raylets.add(process.info["pid"])
        elif command.startswith("ray::ServeReplica"):
            found.append((process.info["pid"], process.info["ppid"]))
    return [ServerView(pid=pid) for pid, parent in sorted(found) if parent in raylets]


def _server(settings: Settings, name: str) -> ServerView | None:
    from actors.storage.embedded.traces import read_state, started_at

    state = read_state(settings.data_path / name / "server.json")
    return ServerView(pid=state.pid) if state.pid and started_at(state.pid) == state.started else None


def owners(found: Status) -> Counter[str]:
    """How many shards each host owns; those of nobody under an empty name."""
    return Counter(shard.host for shard in found.shards)
