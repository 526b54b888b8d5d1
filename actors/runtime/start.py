"""Starting Ray for this copy alone, and the actors on it."""

import logging
import os
import time
from collections.abc import Callable
from typing import Any, Final

import ray

from actors.runtime.config import short_directory, write_config
from actors.runtime.coordinator import Coordinator
from actors.runtime.options import COORDINATOR, NAMESPACE
from actors.runtime.own_ray import end_node, ended_process, start_node
from schemas.settings import Settings

TRIES: Final = 3


class RayStartFailed(Exception):
    """Ray did not start: how often it was tried, where its logs are, and the last error."""

    def __init__(self, tries: int, logs: str, reason: str) -> None:
        super().__init__(tries, logs, reason)
        self.tries, self.logs, self.reason = tries, logs, reason


class RunningRay:
    """The Ray that this process joined, and started where the node is its own."""

    def __init__(self, node: Any = None) -> None:
        self.node = node

    def ended(self) -> str:
        """The process of our own node without which Ray does not go on, if one has ended; empty while all live, or on a joined cluster."""
        return ended_process(self.node) if self.node is not None else ""

    def stop(self) -> None:
        """Leave; a Ray that was started here ends, a cluster that was joined goes on."""
        ray.shutdown()
        if self.node is not None:
            end_node(self.node)


def start_ray(settings: Settings, failed: Callable[[int, int, str], None]) -> RunningRay:
    """Join ``RAY_ADDRESS`` when it is set; otherwise a Ray of our own, never somebody else's.

    failed: told of each try that failed: its number, how many there are, and why.
    ``actors.runtime.environment.prepare_ray`` was called before this module was imported.
    """
    address = os.environ.get("RAY_ADDRESS")
    # One of Ray's own: Ray lets everybody write where it works, and our sockets lie beside it.
    directory = short_directory(settings) / "r"
    last: Exception | None = None
    for attempt in range(1, TRIES + 1):
        running = RunningRay()
        try:
            if not address:
                running.node = start_node(directory)
            _join(address or running.node.gcs_address)
            return running
        except Exception as error:
            last = error
            failed(attempt, TRIES, type(error).__name__)
            running.stop()
            if attempt < TRIES:
                time.sleep(attempt)
    raise RayStartFailed(TRIES, str(directory), str(last)) from last


def _join(address: str) -> None:
    ray.init(address=address, namespace=NAMESPACE, log_to_driver=False, logging_level=logging.WARNING)


def start_runtime(settings: Settings) -> Any:
    """The coordinator, with every host started; answers its handle."""
    path = write_config(settings)
    options = {**COORDINATOR, "name": "coordinator", "namespace": NAMESPACE, "get_if_exists": True}
    coordinator = Coordinator.options(**options).remote(str(path))
    ray.get(coordinator.start.remote(), timeout=120)
    return coordinator


def stop_runtime() -> None:
    """Stop the hosts cleanly, then the actors."""
    try:
        coordinator = ray.get_actor("coordinator", namespace=NAMESPACE)
        ray.get(coordinator.stop.remote(), timeout=30)
    except (ValueError, ray.exceptions.RayError):
        return
