"""The embedded Valkey: private, restarted with what it held, and started empty rather than not at all."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis

from actors.storage.embedded import EmbeddedValkey, ServerError
from actors.storage.embedded.messages import MESSAGES, say

pytestmark = pytest.mark.slow

OWNER = """
import sys
from pathlib import Path
from actors.storage.embedded import EmbeddedValkey
server = EmbeddedValkey(Path(sys.argv[1]))
server.start()
print(server.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    found = EmbeddedValkey(tmp_path / "valkey")
    found.start()
    yield found
    found.stop()
    assert EmbeddedValkey.running_url(found.directory) is None


def test_it_keeps_keys_over_a_restart_at_the_same_address(server: EmbeddedValkey) -> None:
    url = server.url
    with redis.Redis.from_url(url) as client:
        assert client.set("key", "value")
    server.stop()
    assert server.start() == url
    with redis.Redis.from_url(url) as client:
        assert client.get("key") == b"value"


def test_it_starts_again_after_a_kill(server: EmbeddedValkey) -> None:
    killed = psutil.Process(server.pid)
    server.kill()
    assert not killed.is_running()
    with redis.Redis.from_url(server.start()) as client:
        assert client.ping()


def test_nobody_gets_in_without_the_password_and_no_command_line_shows_it(server: EmbeddedValkey) -> None:
    password = (server.directory / "password").read_text()
    assert (server.directory / "password").stat().st_mode & 0o777 == 0o600
    assert password not in " ".join(psutil.Process(server.pid).cmdline())
    with redis.Redis.from_url(server.url.replace(f":{password}@", "")) as client, pytest.raises(redis.AuthenticationError):
        client.ping()


def test_a_broken_append_only_file_is_set_aside(server: EmbeddedValkey) -> None:
    server.stop()
    (server.data / "appendonlydir" / "appendonly.aof.manifest").write_text("file nonsense\n")
    heard: list[str] = []
    with redis.Redis.from_url(server.start(heard.append)) as client:
        assert client.dbsize() == 0
    assert f"Valkey: {server.data}/appendonlydir cannot be used and was set aside as {server.data}/appendonlydir.aside-1" in heard
    assert (server.data / "appendonlydir.aside-1" / "appendonly.aof.manifest").exists()


def test_two_owners_of_one_directory_are_refused(server: EmbeddedValkey) -> None:
    with pytest.raises(ServerError, match=rf"another running copy uses .* \(process {os.getpid()}\)"):
        EmbeddedValkey(server.directory).start()


def test_it_ends_when_its_owner_is_killed(tmp_path: Path) -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert owner.stdout is not None
    process = psutil.Process(int(owner.stdout.readline()))
    owner.kill()
    owner.communicate()
    psutil.wait_procs([process], timeout=30)
    assert not process.is_running()


def test_a_directory_that_cannot_be_made_is_refused_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ServerError, match=r"cannot be written \(Not a directory\). Correct its owner, or set STAMPEDE_DATA_DIR"):
        EmbeddedValkey(tmp_path / "file" / "valkey").start()


def test_messages_come_in_the_language_of_the_environment() -> None:
    assert say("ready", environ={"LANG": "zh_CN.UTF-8"}, name="Valkey", port=1) == "Valkey:已就绪,端口 1"
    assert say("ready", environ={"LC_ALL": "C", "LANG": "zh_CN.UTF-8"}, name="Valkey", port=1) == "Valkey: ready on port 1"


@pytest.mark.parametrize("code", MESSAGES)
def test_both_languages_of_a_message_say_the_same_things(code: str) -> None:
    english, chinese = (sorted(part for part in text.replace("}", "{").split("{")[1::2]) for text in MESSAGES[code])
    assert set(english) == set(chinese)
