"""Which user a server runs as, and where that user may run its programs.

PostgreSQL refuses to run as root, so root's servers run as ``nobody``. That user may not walk
through a private home: the server is given its data directory as its working directory, which
needs no walk, and its programs from a copy when the environment cannot be walked either.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

CACHES: Final = (Path("/var/cache/stampede"), Path("/var/tmp/stampede-cache"))
"""Where root keeps copies of programs that ``nobody`` may run; the first that can be made."""


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """The user a server runs as. ``dropped``: it is another user than this process."""

    name: str
    uid: int
    gid: int
    dropped: bool

    def popen_options(self) -> dict[str, Any]:
        """What ``subprocess`` needs to start a server as this user, away from our terminal and its Ctrl-C."""
        options: dict[str, Any] = {"start_new_session": True, "umask": 0o077, "env": {"LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath}}
        if self.dropped:
            options |= {"user": self.uid, "group": self.gid, "extra_groups": []}
        return options

    def own(self, path: Path) -> None:
        """Make ``path`` this user's alone."""
        path.chmod(0o700)
        if self.dropped:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


def server_account(data: Path) -> Account:
    """For root the owner of ``data``, or ``nobody`` when root owns it or it does not exist; else the user that we are."""
    if os.geteuid() != 0:
        return Account(name=str(os.geteuid()), uid=os.geteuid(), gid=os.getegid(), dropped=False)
    if data.exists() and (owner := data.stat()).st_uid != 0:
        return Account(name=str(owner.st_uid), uid=owner.st_uid, gid=owner.st_gid, dropped=True)
    nobody = pwd.getpwnam("nobody")
    return Account(name=nobody.pw_name, uid=nobody.pw_uid, gid=nobody.pw_gid, dropped=True)


def may_run(account: Account, program: Path) -> bool:
    """True when ``account`` can start ``program``. PermissionError when we may not become that user at all."""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, cwd="/", check=False, **account.popen_options())
    except PermissionError:
        subprocess.run(["/bin/sh", "-c", ":"], cwd="/", check=True, **account.popen_options())
        return False
    return done.returncode == 0


def copy_of(roots: tuple[Path, ...], label: str, on_copy: Callable[[Path], None]) -> Path:
    """A folder that every user may walk, with copies of ``roots`` (folders or files) under their own names.

    Made once for each ``label``, which names the version; ``on_copy`` hears of it then. The rename
    at the end makes a copy that was interrupted invisible.
    """
    cache = _cache()
    copy = cache / label
    if not copy.exists():
        on_copy(copy)
        partial = Path(tempfile.mkdtemp(prefix="partial-", dir=cache))
        for root in roots:
            _copy(root, partial / root.name)
        partial.chmod(0o755)
        try:
            partial.rename(copy)
        except OSError:  # another process finished the same copy first
            shutil.rmtree(partial, ignore_errors=True)
    return copy


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy2(source, target)


def _cache() -> Path:
    for cache in CACHES:
        try:
            cache.mkdir(mode=0o755, exist_ok=True)
        except OSError:
            continue
        found = cache.lstat()
        if found.st_uid == os.geteuid() and not found.st_mode & 0o022:  # nobody else may put programs into it
            return cache
    cache = Path(tempfile.mkdtemp(prefix="stampede-"))
    cache.chmod(0o755)
    return cache
