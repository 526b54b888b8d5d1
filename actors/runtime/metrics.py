"""The hosts' numbers as Prometheus text."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from actors.ports.journal import Board, StorageUnknown
from actors.ports.transport import Transport
from actors.runtime.host_status import host_status

Lag = Callable[[], Awaitable[Mapping[str, tuple[int, float]]]]

GAUGES: Final = {
    "shards": "Shards owned by a host",
    "entities": "Entities in a host's memory",
    "queue": "Commands that wait for a place in a batch",
    "loading": "Commands that wait for an entity to load",
    "sends_open": "Sends that are not answered yet",
    "sends_oldest_ms": "Age of the oldest open send",
    "reminders": "Reminders that are set",
    "memory_bytes": "Memory that a host uses by itself",
    "memory_limit_bytes": "Memory that a host may use",
    "memory_pressure": "0: none; 1: idle entities are dropped early; 2: new commands are told busy; 3: the host starts anew",
}
SHARED: Final = ("stock", "quota", "admission")
"""Kinds whose busiest entities are named: articles, coupons and sales. A buyer's name is nobody's business here."""

COUNTERS: Final = (
    "commands", "turns", "records", "flushes", "flush_ms_total", "fenced", "unknown", "storage_full", "takeovers", "activations",
    "passivations", "snapshots", "sends", "send_retries", "poisoned", "plans_direct", "plans_staged",
)  # fmt: skip


class HostMetrics:
    """Asks every live host over the transport; Ray's control store, which may be away, is not asked. ``journal``: its lines."""

    def __init__(self, board: Board, transport: Transport, lag: Lag, journal: Callable[[], Awaitable[str]]) -> None:
        self._board = board
        self._transport = transport
        self._lag = lag
        self._journal = journal

    async def text(self) -> str:
        """Prometheus text of all hosts and projections; without those that do not answer."""
        try:
            leases = [lease.host for lease in await self._board.hosts() if lease.alive]
            lag, journal = await self._lag(), await self._journal()
        except StorageUnknown:
            leases, lag, journal = [], {}, ""
        found = await asyncio.gather(*(host_status(self._transport, host) for host in leases))
        return metrics_text([status for status in found if status], lag) + journal


def metrics_text(hosts: list[dict[str, Any]], projections: Mapping[str, tuple[int, float]]) -> str:
    """The numbers of hosts (``HostProcess.status``), and how far projections are behind (records, seconds)."""
    lines: list[str] = []
    for name, meaning in GAUGES.items():
        lines += [f"# HELP stampede_host_{name} {meaning}", f"# TYPE stampede_host_{name} gauge"]
        lines += [f'stampede_host_{name}{{host="{host["host"]}"}} {host[name]}' for host in hosts if name in host]
    for name in COUNTERS:
        lines.append(f"# TYPE stampede_host_{name} counter")
        lines += [f'stampede_host_{name}{{host="{host["host"]}"}} {host["counters"][name]}' for host in hosts if "counters" in host]
    lines.append("# TYPE stampede_host_entity_records_per_second gauge")
    for host in hosts:
        lines += [_heat(host["host"], hot) for hot in host.get("hot", ()) if hot["kind"] in SHARED]
    for host in hosts:
        counters = host.get("counters", {})
        refusals = counters.get("refusals", {})
        lines += [f'stampede_host_refusals{{host="{host["host"]}",code="{code}"}} {count}' for code, count in refusals.items()]
        lines += _histogram("flush_rows", host["host"], counters.get("flush_sizes", {}))
        lines += _histogram("flush_milliseconds", host["host"], counters.get("flush_times", {}))
    for group, lag in projections.items():
        lines.append(f'stampede_projection_lag_rows{{projection="{group}"}} {lag[0]}')
        lines.append(f'stampede_projection_lag_seconds{{projection="{group}"}} {lag[1]}')
    return "\n".join(lines) + "\n" if lines else ""


def _heat(host: str, hot: Mapping[str, Any]) -> str:
    labels = f'host="{host}",kind="{hot["kind"]}",key="{hot["key"]}"'
    return f"stampede_host_entity_records_per_second{{{labels}}} {hot['records_per_s']}"


def _histogram(name: str, host: str, counts: Mapping[str, int]) -> list[str]:
    """Counts by powers of two as cumulative buckets."""
    lines, total = [], 0
    for bound in sorted(counts, key=int):
        total += counts[bound]
        lines.append(f'stampede_host_{name}_bucket{{host="{host}",le="{bound}"}} {total}')
    if counts:
        lines += [f'stampede_host_{name}_bucket{{host="{host}",le="+Inf"}} {total}', f'stampede_host_{name}_count{{host="{host}"}} {total}']
    return lines
