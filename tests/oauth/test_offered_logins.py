"""What the settings offer, and where their secrets are not seen."""

from pathlib import Path

import pytest

from actors.adapters.oauth.offered import logins_of
from actors.testing.oauth_simulator.keys import SimulatorKeys
from actors.testing.oauth_simulator.settings_file import variables, write_settings
from schemas.settings import Settings, from_environment
from serve.cli.up import CannotStart, _check_logins


def test_nothing_is_offered_without_keys() -> None:
    logins = logins_of(Settings())
    assert logins.providers == {}
    assert logins.mini_program is None


@pytest.mark.parametrize("name", ["WECHAT_APP_SECRET", "WECHAT_MINI_APP_SECRET", "QQ_APP_KEY", "ALIPAY_PUBLIC_KEY", "APPLE_TEAM_ID"])
def test_half_of_the_keys_is_said_to_be_half(simulator_keys: SimulatorKeys, name: str) -> None:
    environ = variables("http://127.0.0.1:1", simulator_keys.given)
    del environ[f"STAMPEDE_{name}"]
    with pytest.raises(ValueError, match=f"STAMPEDE_{name.partition('_')[0]}") as refused:
        logins_of(from_environment(environ))
    assert not any(value in str(refused.value) for value in environ.values())


def test_a_mini_program_is_offered_without_a_website_and_the_other_way_round(simulator_keys: SimulatorKeys) -> None:
    given = simulator_keys.given
    mini = logins_of(Settings(wechat_mini_app_id=given.wechat_mini_app_id, wechat_mini_app_secret="s"))
    assert (list(mini.providers), mini.mini_program is not None) == ([], True)
    site = logins_of(Settings(wechat_app_id=given.wechat_app_id, wechat_app_secret="s"))
    assert (list(site.providers), site.mini_program) == (["wechat"], None)


def test_a_written_file_of_settings_offers_all_four_and_only_its_owner_reads_it(tmp_path: Path, simulator_keys: SimulatorKeys) -> None:
    path = write_settings(tmp_path / "logins", "http://127.0.0.1:1", simulator_keys.given)
    lines = [line.removeprefix("export ") for line in path.read_text().splitlines()]
    environ = {name: value.strip("'") for name, _, value in (line.partition("=") for line in lines)}
    assert environ["STAMPEDE_APPLE_PRIVATE_KEY"].startswith("file:")
    assert list(logins_of(from_environment(environ)).providers) == ["wechat", "qq", "alipay", "apple"]
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="absent: No such file"):
        logins_of(Settings(qq_app_id="1", qq_app_key=f"file:{tmp_path / 'absent'}"))


def test_no_secret_is_in_the_settings_repr(simulator_keys: SimulatorKeys) -> None:
    environ = variables("http://127.0.0.1:1", simulator_keys.given)
    settings = from_environment({**environ, "STAMPEDE_DATABASE_URL": "postgresql://u:hidden@h/d", "STAMPEDE_FIELD_KEYS": "1=hidden"})
    text = repr(settings)
    for name, value in environ.items():
        if name.endswith(("_SECRET", "_KEY")):
            assert value not in text, name
    assert "hidden" not in text
    assert "qq_app_id='101000001'" in text
    assert "hosts=1" in text


def test_a_start_with_keys_that_cannot_be_used_ends_before_anything_is_started() -> None:
    for settings, said in ((Settings(qq_app_id="1"), "STAMPEDE_QQ"), (Settings(qq_app_id="1", qq_app_key="file:absent"), "absent")):
        with pytest.raises(CannotStart, match=said):
            _check_logins(settings)
    assert _check_logins(Settings()) == Settings()
