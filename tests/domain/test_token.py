"""Access tokens and refresh tokens: what passes, what does not, and how fast."""

import timeit

import msgspec
import pytest

from actors.domain import token
from actors.domain.entity import Refused
from actors.domain.signing import SigningKeys, sign
from actors.domain.token import AccessToken, RefreshToken, Role

NOW = 1_700_000_000_000
KEYS = SigningKeys(current=1, keys={1: bytes(range(32))})
OTHER = SigningKeys(current=1, keys={1: bytes(32)})
GOOD = AccessToken(
    user_id="usr_" + "a" * 20, session_id="ses_" + "b" * 20, generation=3, roles=Role.CUSTOMER | Role.SUPPORT, expires_at_ms=NOW + 1
)
FIRST = RefreshToken(user_id="usr_a", session_id="ses_b", secret=bytes(range(32)))


def test_an_access_token_says_what_was_issued_until_it_expires() -> None:
    text = token.issue(KEYS, GOOD)
    assert token.verify(KEYS, text, at_ms=NOW) == GOOD
    assert token.verify(KEYS, text, at_ms=NOW + 1) == Refused(code="token_expired")


def test_a_forged_token_is_unauthenticated_also_when_it_has_expired() -> None:
    forged = token.issue(OTHER, GOOD)
    assert token.verify(KEYS, forged, at_ms=NOW + 1) == Refused(code="unauthenticated")
    for text in ("", "Bearer", "a.b.c", "券", "A" * 1000):
        assert token.verify(KEYS, text, at_ms=NOW) == Refused(code="unauthenticated")


def test_a_role_cannot_be_added_to_a_token() -> None:
    text = token.issue(KEYS, GOOD)
    stronger = token.issue(OTHER, msgspec.structs.replace(GOOD, roles=GOOD.roles | Role.OPERATOR))
    assert len(text) == len(stronger)
    for cut in range(len(text)):
        assert token.verify(KEYS, stronger[:cut] + text[cut:], at_ms=NOW) in (GOOD, Refused(code="unauthenticated"))


def test_the_bits_of_the_roles_never_change_their_meaning() -> None:
    bits = {"CUSTOMER": 1, "GUEST": 2, "SUPPORT": 4, "MERCHANT": 8, "OPERATOR": 16}
    later = {"WAREHOUSE": 32, "MARKETING": 64, "FINANCE": 128, "ADMINISTRATOR": 256}
    assert {role.name: role.value for role in Role} == bits | later


def test_a_token_from_before_the_second_factors_is_read_as_one_without() -> None:
    old = sign(KEYS, b"stampede.access\0", msgspec.msgpack.encode(["usr_1", "ses_1", 3, 1, NOW + 1]))
    read = token.verify(KEYS, old, at_ms=NOW)
    assert read == AccessToken(user_id="usr_1", session_id="ses_1", generation=3, roles=1, expires_at_ms=NOW + 1, stepped_up_at_ms=0)


def test_a_token_is_verified_in_under_twenty_microseconds() -> None:
    text = token.issue(KEYS, GOOD)
    seconds = min(timeit.repeat(lambda: token.verify(KEYS, text, at_ms=NOW), number=500, repeat=20)) / 500
    assert seconds < 20e-6


def test_a_refresh_token_is_read_back_as_it_was_written() -> None:
    assert token.parse_refresh_token(token.refresh_token_text(FIRST)) == FIRST


@pytest.mark.parametrize(
    "text",
    [
        "",
        "usr_a.ses_b",
        "usr_a.ses_b." + "00" * 31,
        "usr_a.ses_b." + "0" * 63,
        "usr_a.ses_b." + "0g" * 32,
        "usr_a.ses_b." + "AB" * 32,
        "gst_a.ses_b." + "00" * 32,
        "usr_a.sku_b." + "00" * 32,
        "usr_a.ses_b." + "券" * 64,
        "usr_a.ses_b." + "00" * 32 + ".x",
        "." * 1_000_000,
    ],
    ids=range(11),
)
def test_what_is_no_refresh_token_is_refused(text: str) -> None:
    assert token.parse_refresh_token(text) == Refused(code="session_unknown")


def test_the_successor_of_a_refresh_token_is_the_same_for_all_who_present_it_and_known_to_us_alone() -> None:
    second = token.refresh_token_after(KEYS, FIRST)
    assert token.refresh_token_after(KEYS, FIRST) == second
    assert (second.user_id, second.session_id, len(second.secret)) == ("usr_a", "ses_b", 32)
    others = {
        token.refresh_token_after(OTHER, FIRST).secret,
        token.refresh_token_after(KEYS, second).secret,
        token.refresh_token_after(KEYS, msgspec.structs.replace(FIRST, session_id="ses_c")).secret,
        token.refresh_token_after(KEYS, msgspec.structs.replace(FIRST, user_id="usr_c")).secret,
    }
    assert len(others | {second.secret, FIRST.secret}) == 6


def test_what_the_sessions_keep_of_a_refresh_token_is_not_the_token() -> None:
    assert len(token.refresh_hash(FIRST)) == 32
    assert token.refresh_hash(FIRST) != FIRST.secret
    assert token.refresh_hash(FIRST) != token.refresh_hash(token.refresh_token_after(KEYS, FIRST))


def test_a_refresh_token_does_not_show_its_secret() -> None:
    assert repr(FIRST) == "RefreshToken(user_id='usr_a', session_id='ses_b')"
