"""A Ray of our own: one node on loopback, without the processes that nothing here asks.

``ray.init`` cannot leave out the log monitor, the autoscaler's monitor and the dashboard's server:
200 MB and a twentieth of a core at rest. So the node is made as ``ray.cluster_utils`` makes one.
"""

import os
from pathlib import Path
from typing import Any, Final

from ray._private.node import Node
from ray._private.parameter import RayParams

LOOPBACK: Final = "127.0.0.1"
OBJECT_STORE_BYTES: Final = 96 * 1024 * 1024
"""Envelopes stay below 100 KB and never enter the object store; Ray wants at least 75 MB."""

NEEDED: Final = ("gcs_server", "raylet")
"""Ray starts neither of them again, and the node is of no use without them."""


class _Node(Node):
    def start_api_server(self, **_: Any) -> None:
        """No dashboard, and nothing that listens for one."""


def start_node(directory: Path, *, gcs_address: str | None = None) -> Any:
    """Start a node: the head of a new cluster, or one more of the cluster at ``gcs_address``. It ends with this process."""
    options: dict[str, Any] = {
        "node_ip_address": LOOPBACK,
        "gcs_address": gcs_address,
        "num_cpus": max(2, os.cpu_count() or 2),
        "num_gpus": 0,
        "object_store_memory": OBJECT_STORE_BYTES,
        "temp_dir": str(directory),
        "include_dashboard": False,
        "include_log_monitor": False,
        "no_monitor": True,
    }
    if gcs_address is not None:
        # Two nodes of one machine would want the same ports.
        options |= {"node_manager_port": 0, "dashboard_agent_listen_port": None}
    return _Node(RayParams(**options), head=gcs_address is None, shutdown_at_exit=False, spawn_reaper=True)


def ended_process(node: Any) -> str:
    """The kind of a process of the node that has ended by itself; empty when there is none."""
    kinds: dict[str, list[Any]] = node.all_processes
    return next((kind for kind, found in kinds.items() if kind in NEEDED and any(item.process.poll() is not None for item in found)), "")


def end_node(node: Any) -> None:
    """End every process of the node; actors that are still there are told first."""
    node.kill_all_processes(check_alive=False, allow_graceful=True)
