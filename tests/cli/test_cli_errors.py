"""A command that cannot be carried out says why and the way out, in one sentence, and ends with 1; help comes at once."""

import fcntl
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loadtests.baselines.server import free_port
from serve.cli import words as word_table
from serve.cli.words import WORDS, Trouble

Run = Callable[..., Any]

COMMANDS = (("status",), ("audit",), ("drain", "host-a"), ("sale", "status", "sal_1"), ("sale", "prepare", "sal_1", "--parts", "2"))


@pytest.mark.parametrize("command", COMMANDS)
def test_without_a_copy_every_command_says_so(run: Run, tmp_path: Path, command: tuple[str, ...]) -> None:
    said = run(*command)
    assert (said.code, said.out) == (1, "")
    assert said.err == (
        f"No copy is running in {tmp_path / 'nothing'}. Start one with: stampede up (or set STAMPEDE_DATA_DIR, or STAMPEDE_DATABASE_URL).\n"
    )
    assert not (tmp_path / "nothing").exists()


def test_errors_are_chinese_for_whom_reads_chinese(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert "没有正在运行的实例" in run("status").err


@pytest.mark.parametrize("command", COMMANDS)
def test_a_database_that_is_away_is_named(run: Run, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]) -> None:
    monkeypatch.setenv("STAMPEDE_DATABASE_URL", f"postgresql://nobody:secret@127.0.0.1:{free_port()}/none")
    said = run(*command)
    assert said.code == 1
    assert said.err.startswith("PostgreSQL cannot be reached (")
    assert said.err.endswith("Check STAMPEDE_DATABASE_URL, or start a copy with: stampede up\n")
    assert "secret" not in said.err


def test_a_copy_that_is_still_starting_says_so(run: Run, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    with (tmp_path / "nothing" / "up.lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert run("status").err == f"The copy in {tmp_path / 'nothing'} is still starting. Try again in a moment.\n"


def test_half_a_state_file_is_of_a_copy_that_is_still_starting(run: Run, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    (tmp_path / "nothing" / "runtime.json").write_text('{"data_dir": "/half')
    with (tmp_path / "nothing" / "up.lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert run("status").err == f"The copy in {tmp_path / 'nothing'} is still starting. Try again in a moment.\n"


def test_a_setting_that_cannot_be_read_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAMPEDE_HOSTS", "two")
    said = run("status")
    assert (said.code, said.err.startswith("A setting cannot be used: STAMPEDE_HOSTS: ")) == (1, True)


def test_every_word_takes_the_same_parameters_in_both_languages() -> None:
    import string

    def names(text: str) -> set[str]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    assert [word for word, (english, chinese) in WORDS.items() if names(english) != names(chinese)] == []


def test_every_word_that_is_said_exists() -> None:
    sources = sorted(Path(word_table.__file__).parent.glob("*.py"))
    said = {word for path in sources for word in re.findall(r"""\b(?:say|Trouble)\(\s*["'](\w+)["']""", path.read_text())}
    assert len(said) > 50
    assert said - set(WORDS) == set()


def test_a_trouble_is_its_sentence() -> None:
    assert str(Trouble("shop_empty")) == "There is no article to sell. Load a shop with: stampede seed --shop demo"


@pytest.mark.slow
def test_the_program_ends_with_one_and_its_help_needs_neither_ray_nor_a_database(tmp_path: Path) -> None:
    environment = {**os.environ, "STAMPEDE_DATA_DIR": str(tmp_path)}
    call = [sys.executable, "-X", "importtime", "-m", "serve.cli.main"]
    told = subprocess.run([*call, "--help"], env=environment, capture_output=True, text=True, check=True)
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in told.stderr.splitlines()}
    assert "typer" in loaded
    assert not loaded & {"ray", "asyncpg", "polars", "rich", "actors"}
    failed = subprocess.run([*call, "status"], env=environment, capture_output=True, text=True, check=False)
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in failed.stderr.splitlines()}
    assert (failed.returncode, failed.stdout) == (1, "")
    assert "No copy is running" in failed.stderr
    assert not loaded & {"ray", "polars"}
