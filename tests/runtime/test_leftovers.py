"""Processes that outlive whoever started them: begun as nobody's children, found by what they were given, ended by the next run."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from actors.runtime.config import short_directory
from actors.runtime.detached import start_module
from actors.runtime.environment import TOKEN
from actors.runtime.leftovers import end_leftovers
from actors.runtime.own_ray import NEEDED, ended_process
from schemas.settings import Settings

SLEEP = "import time; print('now', flush=True); time.sleep(60)"
Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    settings = Settings(data_dir=str(tmp_path / "data"))
    yield settings
    shutil.rmtree(short_directory(settings), ignore_errors=True)


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a process that sleeps, with more arguments and environment; it is ended after the test."""
    started: list[subprocess.Popen[bytes]] = []

    def run(*arguments: str, command: list[str] | None = None, **environment: str) -> "subprocess.Popen[bytes]":
        program = command or [sys.executable, "-c", SLEEP]
        process = subprocess.Popen([*program, *arguments], env={**os.environ, **environment}, stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout is not None
        if command is None:
            assert process.stdout.readline() == b"now\n"
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_what_this_copy_left_is_ended_by_its_token_or_its_directory_and_nothing_else_is(settings: Settings, start: Start) -> None:
    token, directory = str(settings.data_path / TOKEN), short_directory(settings)
    ours = [start(RAY_AUTH_TOKEN_PATH=token), start(f"--temp-dir={directory}/r"), start(str(directory / "r"), RAY_AUTH_TOKEN_PATH=token)]
    others = [
        start(RAY_AUTH_TOKEN_PATH=token + "2"),
        start(f"--temp-dir={directory}x/r"),
        start(f"{directory}"),
        # An editor that has one of our files open is nobody of ours.
        start("60", command=["sleep"], LOG=f"{directory}/r/x"),
    ]
    assert end_leftovers(settings) == 3
    for process in ours:
        process.wait(5)
    assert [process.poll() for process in others] == [None] * 4
    assert end_leftovers(settings) == 0


def test_who_looks_is_never_among_the_found(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(settings.data_path / TOKEN))
    assert end_leftovers(settings) == 0


@pytest.mark.slow
def test_what_is_started_beside_us_is_not_our_child_and_writes_to_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    start_module("timeit", "-n1", "-r1", "import os, time; print('parent', os.getppid()); time.sleep(0.5)", log=log)
    children = [command for child in psutil.Process().children(recursive=True) if (command := _command(child))]
    deadline = time.monotonic() + 20
    while "loop" not in log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    parent = int(log.read_text().split()[1])
    assert parent != os.getpid()
    assert [command for command in children if "timeit" in command] == []


def _command(process: psutil.Process) -> list[str]:
    """Empty for one that ended meanwhile: other tests have children, too."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def node_of(**kinds: list[int | None]) -> Any:
    """A node as Ray describes it: its processes by kind, each with its exit code, or None while it lives."""
    return SimpleNamespace(
        all_processes={
            kind: [SimpleNamespace(process=SimpleNamespace(poll=lambda code=code: code)) for code in codes] for kind, codes in kinds.items()
        }
    )


def test_of_a_node_that_lost_a_process_which_it_needs_the_kind_is_told() -> None:
    assert ended_process(node_of(gcs_server=[None], raylet=[None], reaper=[0])) == ""
    assert ended_process(node_of(gcs_server=[-9], raylet=[None])) == "gcs_server"
    assert ended_process(node_of(gcs_server=[None], raylet=[1])) == "raylet"
    assert ended_process(node_of()) == ""
    assert set(NEEDED) == {"gcs_server", "raylet"}
