"""Alipay's certificate mode: numbers of certificates go out, and only the key of the named certificate is believed."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from actors.adapters.oauth.alipay import AlipayLogin
from actors.adapters.oauth.alipay_certificates import certificates
from actors.adapters.oauth.alipay_signature import private_key
from actors.adapters.oauth.offered import logins_of
from actors.testing.oauth_simulator.certificates import issued
from actors.testing.oauth_simulator.control import SimulatorControl
from actors.testing.oauth_simulator.keys import SimulatorKeys
from actors.testing.oauth_simulator.server import Simulator
from schemas.oauth import ExternalIdentity, LoginUnknown
from schemas.settings import Settings
from tests.oauth.test_alipay_and_apple_login import login


@pytest.fixture
async def alipay(simulator: Simulator, control: SimulatorControl) -> AsyncIterator[AlipayLogin]:
    """An app in certificate mode, by its settings alone."""
    given, url = simulator.desk.keys.given, simulator.desk.url
    await control.plan(alipay_certificates=True)
    settings = Settings(
        alipay_app_id=given.alipay_app_id, alipay_private_key=given.alipay_private_key, alipay_app_cert=given.alipay_app_cert,
        alipay_root_cert=given.alipay_root_cert, alipay_cert=given.alipay_cert, alipay_authorize_url=url,
        alipay_gateway_url=f"{url}/gateway.do",
    )  # fmt: skip
    logins = logins_of(settings)
    provider = logins.providers["alipay"]
    assert isinstance(provider, AlipayLogin)
    yield provider
    await logins.close()


async def test_who_says_yes_is_identified(alipay: AlipayLogin, control: SimulatorControl) -> None:
    found = await login(alipay, control)
    assert isinstance(found, ExternalIdentity)
    assert found.display_name == "小金"


@pytest.mark.parametrize("twist", ["forged", "unsigned", "certificate"])
async def test_an_answer_of_another_key_or_another_certificate_is_not_believed(
    alipay: AlipayLogin, control: SimulatorControl, twist: Any
) -> None:
    await control.fault(kind="twist", operation="alipay.token", twist=twist)
    assert await login(alipay, control) == LoginUnknown(detail="not_signed_by_alipay")


async def test_an_app_in_certificate_mode_is_refused_without_its_numbers(simulator: Simulator, control: SimulatorControl) -> None:
    await control.plan(alipay_certificates=True)
    given, url = simulator.desk.keys.given, simulator.desk.url
    by_key = AlipayLogin(
        app_id=given.alipay_app_id, app_private_key=given.alipay_private_key, alipay_public_key=given.alipay_public_key,
        authorize_url=url, gateway_url=f"{url}/gateway.do",
    )  # fmt: skip
    assert await login(by_key, control) == LoginUnknown(detail="code_40002_isv.invalid-app-cert-sn")
    await by_key.close()


def test_the_numbers_are_those_of_alipay_s_own_library_and_roots_of_other_algorithms_are_left_out(simulator_keys: SimulatorKeys) -> None:
    given, files = simulator_keys.given, simulator_keys.certificates
    found = certificates(files.app, files.root, files.alipay, private_key(given.alipay_private_key))
    assert (found.app_sn, found.root_sn, found.alipay_sn) == (files.app_sn, files.root_sn, files.alipay_sn)
    assert files.root.count("BEGIN CERTIFICATE") == 2
    twice = certificates(files.app, files.root + files.alipay, files.alipay, private_key(given.alipay_private_key))
    assert twice.root_sn == f"{files.root_sn}_{files.alipay_sn}_{files.root_sn}"


def test_files_that_do_not_belong_together_stop_the_start_and_are_not_shown(simulator_keys: SimulatorKeys) -> None:
    files, key = simulator_keys.certificates, private_key(simulator_keys.given.alipay_private_key)
    small = rsa.generate_private_key(public_exponent=65537, key_size=1024).public_key()
    curve = files.root[: files.root.index("-----END")] + "-----END CERTIFICATE-----\n"
    for told, match in (
        ((files.alipay, files.root, files.alipay), "not that of the private key"),
        (("nonsense", files.root, files.alipay), "app certificate"),
        ((files.app, "-----END CERTIFICATE-----", files.alipay), "root certificate"),
        ((files.app, curve, files.alipay), "none of RSA"),
        ((files.app, files.root, issued(simulator_keys.alipay_app, small).alipay), "2048 bits"),
    ):
        with pytest.raises(ValueError, match=match) as refused:
            certificates(*told, key)
        assert "BEGIN" not in str(refused.value)


@pytest.mark.parametrize("missing", ["alipay_app_cert", "alipay_root_cert", "alipay_cert", "alipay_private_key"])
def test_half_of_the_certificates_is_said_to_be_half(simulator_keys: SimulatorKeys, missing: str) -> None:
    given = simulator_keys.given
    names = ("alipay_app_id", "alipay_private_key", "alipay_app_cert", "alipay_root_cert", "alipay_cert")
    with pytest.raises(ValueError, match="STAMPEDE_ALIPAY"):
        logins_of(Settings(**{name: getattr(given, name) for name in names if name != missing}))


def test_both_modes_at_once_are_refused(simulator_keys: SimulatorKeys) -> None:
    given = simulator_keys.given
    names = ("alipay_app_id", "alipay_private_key", "alipay_public_key", "alipay_app_cert", "alipay_root_cert", "alipay_cert")
    with pytest.raises(ValueError, match="not both"):
        logins_of(Settings(**{name: getattr(given, name) for name in names}))
