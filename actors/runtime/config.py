"""How a process of the cluster learns its settings.

Secrets never travel as Ray arguments, where the state API would show them: an actor is given the
path of a file that only its user can read, and on a node without that file it reads the environment.
"""

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Final

import msgspec

from actors.storage.embedded.traces import write_private
from schemas.settings import Settings, from_environment

FILE: Final = "runtime.json"


def write_config(settings: Settings) -> Path:
    """Write the settings in force for the processes of this node; readable by this user alone."""
    path = settings.data_path / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    # Whole or not at all: a run that is killed here, or a full disk, leaves the earlier file.
    write_private(path, msgspec.json.encode(settings))
    return path


def read_config(path: str) -> Settings:
    """The settings of that file, or of this node's environment where there is no such file."""
    try:
        return msgspec.json.decode(Path(path).read_bytes(), type=Settings)
    except FileNotFoundError:
        return from_environment()


def short_directory(settings: Settings) -> Path:
    """Sockets of this copy: a path of some hundred characters at most, so not below a deep data directory; this user's alone."""
    mark = hashlib.blake2b(str(settings.data_path).encode(), digest_size=4).hexdigest()
    path = Path(tempfile.gettempdir()) / f"st-{os.getuid()}-{mark}"
    path.mkdir(mode=0o700, exist_ok=True)
    if path.stat().st_uid != os.getuid():
        raise PermissionError(f"{path} belongs to another user; remove it, or set TMPDIR to a directory of your own")
    return path
