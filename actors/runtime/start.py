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
from schemas.settings import Settings

TRIES: Final = 3
OBJECT_STORE_BYTES: Final = 96 * 1024 * 1024
"""Envelopes stay below 100 KB and never enter the object store; Ray wants at least 75 MB."""

QUIET: Final = {
    # Nothing is reported to anybody, and workers are not started through `uv run`.
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # A prestarted worker for every core would idle at 60 MB each.
    "RAY_prestart_worker_first_driver": "0",
    "RAY_enable_worker_prestart": "0",
}


class RayStartFailed(Exception):
    """Ray did not start. The message says what was tried and where its logs are."""


def start_ray(settings: Settings, progress: Callable[[str], None]) -> None:
    """Join ``RAY_ADDRESS`` when it is set; otherwise a Ray of our own, never somebody else's."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    address = os.environ.get("RAY_ADDRESS")
    directory = str(short_directory(settings))
    last: Exception | None = None
    for attempt in range(1, TRIES + 1):
        try:
            if address:
                ray.init(address=address, namespace=NAMESPACE, log_to_driver=False, logging_level=logging.WARNING)
            else:
                _start_local(directory)
            return
        except Exception as error:
            last = error
            progress(f"Ray did not start ({type(error).__name__}); try {attempt + 1} of {TRIES}" if attempt < TRIES else "Ray did not start")
            ray.shutdown()
            time.sleep(attempt)
    raise RayStartFailed(f"Ray did not start in {TRIES} tries. Its logs are in {directory}. The last error: {last}") from last


def _start_local(directory: str) -> None:
    ray.init(
        address="local",
        namespace=NAMESPACE,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.WARNING,
        object_store_memory=OBJECT_STORE_BYTES,
        _temp_dir=directory,
        _node_ip_address="127.0.0.1",
        num_cpus=max(2, os.cpu_count() or 2),
    )


def start_runtime(settings: Settings) -> Any:
    """The coordinator, with every host started; answers its handle."""
    path = write_config(settings)
    options = {**COORDINATOR, "name": "coordinator", "namespace": NAMESPACE, "get_if_exists": True}
    coordinator = Coordinator.options(**options).remote(str(path))
    ray.get(coordinator.start.remote(), timeout=120)
    return coordinator


def stop_ray() -> None:
    """End the Ray that was started here; a cluster that was joined goes on."""
    ray.shutdown()


def stop_runtime() -> None:
    """Stop the hosts cleanly, then the actors."""
    try:
        coordinator = ray.get_actor("coordinator", namespace=NAMESPACE)
        ray.get(coordinator.stop.remote(), timeout=30)
    except (ValueError, ray.exceptions.RayError):
        return
