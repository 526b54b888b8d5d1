"""What Ray reads from the environment. Ray looks when it is imported, so this module does not import it."""

import os
import secrets
from pathlib import Path
from typing import Final

from schemas.settings import Settings

TOKEN: Final = "ray-token"

QUIET: Final = {
    # Nothing is reported to anybody, and workers are not started through `uv run`.
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # A prestarted worker for every core would idle at 60 MB each.
    "RAY_prestart_worker_first_driver": "0",
    "RAY_enable_worker_prestart": "0",
    # Hosts and replicas answer people: nice, they would wait for whatever else is running (``actors.runtime.priority``).
    "RAY_worker_niceness": "0",
}

OWN: Final = {
    # Ray replaces 127.0.0.1 by the machine's public address unless it is told that there is no cluster beyond this machine.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "token",
}


def prepare_ray(settings: Settings) -> None:
    """Set what a Ray of our own needs; of a cluster that is joined (``RAY_ADDRESS``) only what concerns this process.

    What the operator has set stays. Call it before Ray is imported.
    """
    wanted = dict(QUIET)
    if not os.environ.get("RAY_ADDRESS"):
        wanted |= OWN
        if "RAY_AUTH_TOKEN" not in os.environ:
            wanted["RAY_AUTH_TOKEN_PATH"] = str(write_token(settings.data_path))
    for name, value in wanted.items():
        os.environ.setdefault(name, value)


def write_token(directory: Path) -> Path:
    """A new secret for every start: whoever is to call Ray's ports reads it here, and only this user can."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / TOKEN
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_hex(32))
    return path
