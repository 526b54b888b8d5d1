"""What the processes of a copy are told, and who else can read it."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from actors.runtime.config import read_config, short_directory, write_config
from actors.runtime.environment import prepare_ray
from schemas.settings import Settings, from_environment


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=str(tmp_path / "data"), database_url="postgresql://u:secret@127.0.0.1/x")


def test_settings_travel_in_a_file_that_only_this_user_can_read(settings: Settings) -> None:
    path = write_config(settings)
    path.write_text("longer than what comes, and with other rights" * 100)
    path = write_config(settings)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_config(str(path)) == settings


def test_a_node_without_the_file_reads_its_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STAMPEDE_DATABASE_URL", "postgresql://elsewhere/x")
    assert read_config(str(tmp_path / "nothing.json")).database_url == "postgresql://elsewhere/x"


def test_sockets_lie_in_a_short_directory_of_this_user_alone_and_of_this_copy_alone(settings: Settings, tmp_path: Path) -> None:
    first, again = short_directory(settings), short_directory(settings)
    other = short_directory(Settings(data_dir=str(tmp_path / "other")))
    try:
        assert first == again != other
        assert len(str(first)) < 60
        assert stat.S_IMODE(first.stat().st_mode) == 0o700
    finally:
        first.rmdir()
        other.rmdir()


def test_a_directory_of_another_user_is_refused(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    path = short_directory(settings)
    try:
        owner = os.getuid()
        if owner == 0:
            os.chown(path, 65534, -1)
            with pytest.raises(PermissionError, match="belongs to another user"):
                short_directory(settings)
    finally:
        path.rmdir()


def test_f77_every_start_has_a_token_of_its_own_that_only_this_user_can_read(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("RAY_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    tokens = []
    for _ in range(2):
        os.environ.pop("RAY_AUTH_TOKEN_PATH", None)
        prepare_ray(settings)
        path = Path(os.environ["RAY_AUTH_TOKEN_PATH"])
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        tokens.append(path.read_text())
    assert os.environ["RAY_AUTH_MODE"] == "token"
    assert [len(token) for token in tokens] == [64, 64]
    assert tokens[0] != tokens[1]


def test_a_cluster_that_is_joined_keeps_its_own_token(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"RAY_ADDRESS": "10.0.0.1:6379"})
    prepare_ray(settings)
    assert not [name for name in os.environ if "AUTH" in name]


def test_preparing_ray_does_not_import_it() -> None:
    program = "import sys, actors.runtime.environment; raise SystemExit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize("value", ["0", "86401", "ten"])
def test_no_access_token_may_live_longer_than_the_end_of_its_session_is_told(value: str) -> None:
    with pytest.raises(ValueError, match="STAMPEDE_ACCESS_TOKEN_S"):
        from_environment({"STAMPEDE_ACCESS_TOKEN_S": value})
    assert from_environment({"STAMPEDE_ACCESS_TOKEN_S": "86400"}).access_token_s == 86_400
