"""The hosts' numbers as Prometheus text."""

import asyncio
from typing import Any, Final

import ray
from ray.exceptions import RayError

from actors.runtime.options import NAMESPACE

TIMEOUT_S: Final = 2.0

GAUGES: Final = {
    "shards": "Shards owned by a host",
    "entities": "Entities in a host's memory",
    "queue": "Commands that wait for a place in a batch",
    "loading": "Commands that wait for an entity to load",
    "sends_open": "Sends that are not answered yet",
    "sends_oldest_ms": "Age of the oldest open send",
    "reminders": "Reminders that are set",
}
COUNTERS: Final = (
    "commands", "turns", "records", "flushes", "flush_ms_total", "fenced", "unknown", "takeovers", "activations", "passivations",
    "snapshots", "sends", "send_retries", "poisoned", "plans_direct", "plans_staged",
)  # fmt: skip


async def cluster_status() -> dict[str, Any]:
    """What the coordinator knows; empty while it cannot be reached."""
    try:
        coordinator = ray.get_actor("coordinator", namespace=NAMESPACE)
        status: dict[str, Any] = await asyncio.wait_for(coordinator.status.remote(), TIMEOUT_S)
        return status
    except (ValueError, RayError, TimeoutError):
        return {}


async def host_metrics() -> str:
    """Prometheus text of all hosts and projections; empty while the coordinator cannot be reached."""
    status = await cluster_status()
    lines: list[str] = []
    for name, meaning in GAUGES.items():
        lines += [f"# HELP stampede_host_{name} {meaning}", f"# TYPE stampede_host_{name} gauge"]
        lines += [f'stampede_host_{name}{{host="{host["host"]}"}} {host[name]}' for host in status.get("hosts", ()) if name in host]
    for name in COUNTERS:
        lines.append(f"# TYPE stampede_host_{name} counter")
        lines += [
            f'stampede_host_{name}{{host="{host["host"]}"}} {host["counters"][name]}' for host in status.get("hosts", ()) if "counters" in host
        ]
    for host in status.get("hosts", ()):
        counters = host.get("counters", {})
        lines += [f'stampede_host_refusals{{host="{host["host"]}",code="{code}"}} {count}' for code, count in counters.get("refusals", {}).items()]
        lines += _histogram("flush_rows", host["host"], counters.get("flush_sizes", {}))
        lines += _histogram("flush_milliseconds", host["host"], counters.get("flush_times", {}))
    for group, lag in status.get("projections", {}).items():
        lines += [f'stampede_projection_lag_rows{{projection="{group}"}} {lag[0]}', f'stampede_projection_lag_seconds{{projection="{group}"}} {lag[1]}']
    return "\n".join(lines) + "\n" if lines else ""


def _histogram(name: str, host: str, counts: dict[int, int]) -> list[str]:
    """Counts by powers of two as cumulative buckets."""
    lines, total = [], 0
    for bound in sorted(counts):
        total += counts[bound]
        lines.append(f'stampede_host_{name}_bucket{{host="{host}",le="{bound}"}} {total}')
    if counts:
        lines += [f'stampede_host_{name}_bucket{{host="{host}",le="+Inf"}} {total}', f'stampede_host_{name}_count{{host="{host}"}} {total}']
    return lines
