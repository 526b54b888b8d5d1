"""The embedded PostgreSQL: what it promises, and what it makes of every mess that an earlier run can leave."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from actors.storage.embedded import EmbeddedPostgres, ServerError

pytestmark = pytest.mark.slow

OWNER = """
import os, sys
from pathlib import Path
from actors.storage.embedded import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]))
server.start()
print(server.pid, server._watcher.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory with a database, shared by the tests that leave it whole."""
    directory = tmp_path_factory.mktemp("postgres")
    yield directory
    assert processes_in(directory) == []


@pytest.fixture
async def server(home: Path) -> AsyncIterator[EmbeddedPostgres]:
    found = EmbeddedPostgres(home)
    found.start()
    yield found
    found.stop()


def processes_in(directory: Path) -> list[str]:
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(directory):
                found.append(process.name())
        except psutil.Error:
            continue
    return found


async def ask(url: str, query: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def test_it_answers_with_every_durability_setting_on(server: EmbeddedPostgres) -> None:
    for setting in ("fsync", "synchronous_commit", "full_page_writes", "data_checksums"):
        assert await ask(server.url, f"SHOW {setting}") == "on"
    assert await ask(server.url, "SELECT current_user || '@' || current_database()") == "stampede@stampede"
    assert await ask(server.url, "SHOW listen_addresses") == "127.0.0.1"
    assert await ask(server.socket_url, "SELECT 1") == 1


async def test_it_sorts_and_encodes_alike_on_every_machine(server: EmbeddedPostgres) -> None:
    row = "datlocprovider::text || ' ' || datlocale || ' ' || pg_encoding_to_char(encoding)"
    assert await ask(server.url, f"SELECT {row} FROM pg_database WHERE datname = 'stampede'") == "b C.UTF-8 UTF8"


async def test_a_wrong_password_is_refused_and_no_command_line_shows_the_right_one(server: EmbeddedPostgres) -> None:
    password = (server.directory / "password").read_text()
    assert (server.directory / "password").stat().st_mode & 0o777 == 0o600
    assert password not in " ".join(psutil.Process(server.pid).cmdline())
    with pytest.raises(asyncpg.InvalidPasswordError):
        await ask(server.url.replace(password, "wrong"), "SELECT 1")


async def test_what_was_committed_survives_a_stop_and_a_kill_at_the_same_address(home: Path) -> None:
    server = EmbeddedPostgres(home)
    url = server.start()
    await ask(url, "CREATE TABLE kept AS SELECT 1 AS number")
    server.stop()
    assert processes_in(home) == []
    assert server.start() == url
    await ask(url, "INSERT INTO kept VALUES (2)")
    server.kill()
    assert processes_in(home) == []
    assert server.start() == url
    assert await ask(url, "SELECT sum(number) FROM kept") == 3
    await ask(url, "INSERT INTO kept VALUES (4)")
    server.stop("immediate")
    assert server.start() == url
    assert await ask(url, "SELECT sum(number) FROM kept") == 7
    server.stop()


async def test_the_address_can_be_asked_for_only_while_it_serves(home: Path) -> None:
    assert EmbeddedPostgres.running_url(home / "nowhere") is None
    with EmbeddedPostgres(home) as server:
        assert EmbeddedPostgres.running_url(home) == server.url
    assert EmbeddedPostgres.running_url(home) is None


async def test_two_owners_of_one_directory_are_refused_with_the_first_ones_number(server: EmbeddedPostgres) -> None:
    with pytest.raises(ServerError, match=rf"another running copy uses .* \(process {os.getpid()}\)\. Stop it, or set STAMPEDE_DATA_DIR"):
        EmbeddedPostgres(server.directory).start()
    assert await ask(server.url, "SELECT 1") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become another user")
async def test_root_runs_it_as_an_ordinary_user_behind_a_directory_that_user_may_not_enter(server: EmbeddedPostgres) -> None:
    server.directory.chmod(0o700)
    server.stop()
    server.start()
    assert psutil.Process(server.pid).uids().real != 0
    assert server.directory.stat().st_uid == 0


def owner_of(directory: Path) -> tuple[subprocess.Popen[bytes], int, int]:
    """Another process that owns a server; its server and the watcher."""
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(directory)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert owner.stdout is not None
    server, watcher = owner.stdout.readline().split()
    return owner, int(server), int(watcher)


def end(owner: subprocess.Popen[bytes]) -> None:
    owner.kill()
    owner.communicate()


def test_it_ends_when_its_owner_is_killed(home: Path) -> None:
    owner, server, _ = owner_of(home)
    process = psutil.Process(server)
    end(owner)
    psutil.wait_procs([process], timeout=30)
    assert not process.is_running()


def test_it_outlives_a_ctrl_c_that_is_meant_for_its_owner(home: Path) -> None:
    owner, server, _ = owner_of(home)
    assert os.getsid(server) != os.getsid(owner.pid)
    process = psutil.Process(server)
    end(owner)
    psutil.wait_procs([process], timeout=30)


async def test_a_server_left_behind_is_stopped_cleanly_and_its_data_kept(home: Path) -> None:
    owner, server, watcher = owner_of(home)
    url = EmbeddedPostgres.running_url(home)
    assert url is not None
    await ask(url, "CREATE TABLE left_behind AS SELECT 5 AS number")
    os.kill(watcher, signal.SIGKILL)
    end(owner)
    heard: list[str] = []
    found = EmbeddedPostgres(home)
    found.start(heard.append)
    assert heard[0] == f"PostgreSQL: an earlier run left a server behind (process {server}); stopping it cleanly"
    assert await ask(found.url, "SELECT number FROM left_behind") == 5
    assert "was not properly shut down" not in found.log.read_text().rpartition("received fast shutdown")[2]
    found.stop()


async def test_a_lock_file_that_names_a_stranger_does_not_stop_it(home: Path) -> None:
    (home / "data" / "postmaster.pid").write_text(f"{os.getpid()}\n{home / 'data'}\n1\n5432\n\n\n\nready\n")
    with EmbeddedPostgres(home) as server:
        assert await ask(server.url, "SELECT 1") == 1


async def test_a_remembered_port_that_was_taken_is_chosen_anew(home: Path) -> None:
    with EmbeddedPostgres(home) as server:
        before = server.url
    with socket.create_server(("127.0.0.1", int(before.rpartition(":")[2].partition("/")[0]))), EmbeddedPostgres(home) as server:
        assert server.url != before
        assert await ask(server.url, "SELECT 1") == 1


def test_a_fixed_port_that_is_busy_is_refused_with_a_way_out(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        with pytest.raises(ServerError, match=f"port {port} is busy. Stop what listens there, or choose another port"):
            EmbeddedPostgres(home, port=port).start()


def test_a_lost_password_is_replaced(home: Path) -> None:
    (home / "password").unlink()
    with EmbeddedPostgres(home) as server:
        assert EmbeddedPostgres.running_url(home) == server.url


def test_a_setting_it_does_not_know_is_told_with_the_servers_own_words(home: Path) -> None:
    with pytest.raises(ServerError, match=r'ended while starting(.|\n)*unrecognized configuration parameter "no_such_setting"'):
        EmbeddedPostgres(home, options={"no_such_setting": "1"}).start()


def test_a_data_directory_of_another_version_is_left_alone(home: Path) -> None:
    version = home / "data" / "PG_VERSION"
    version.write_text("17\n")
    try:
        with pytest.raises(ServerError, match="was made by version 17, the programs are 18"):
            EmbeddedPostgres(home).start()
    finally:
        version.write_text("18\n")


def test_data_that_was_used_and_is_damaged_is_never_replaced(home: Path) -> None:
    control = home / "data" / "global" / "pg_control"
    control.rename(home / "pg_control")
    try:
        with pytest.raises(ServerError, match=r"has held data and global/pg_control is missing\. Restore a backup"):
            EmbeddedPostgres(home).start()
    finally:
        (home / "pg_control").rename(control)


def test_an_interrupted_first_start_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "unfinished-x" / "base").mkdir(parents=True)
    (tmp_path / "data" / "base").mkdir(parents=True)
    (tmp_path / "data" / "PG_VERSION").write_text("18\n")
    heard: list[str] = []
    server = EmbeddedPostgres(tmp_path)
    server.start(heard.append)
    server.stop()
    assert [line for line in heard if "copying" not in line][:2] == [
        "PostgreSQL: an earlier start was interrupted before its data directory was made; starting over",
        f"PostgreSQL: {tmp_path}/data cannot be used and was set aside as {tmp_path}/data.aside-1",
    ]
    assert not (tmp_path / "unfinished-x").exists()
    assert (tmp_path / "data.aside-1" / "PG_VERSION").read_text() == "18\n"


def test_a_folder_without_the_programs_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAMPEDE_PG_BIN", str(tmp_path))
    with pytest.raises(ServerError, match=f"{tmp_path} does not hold the server's programs. Set STAMPEDE_PG_BIN"):
        EmbeddedPostgres(tmp_path / "postgres").start()
