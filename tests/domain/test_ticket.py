"""Admission tickets: whose, for what, until when; and nothing that was altered passes."""

import base64

import msgspec
import pytest

from actors.domain import ticket, token
from actors.domain.entity import Refused
from actors.domain.signing import TEXT_MAX, SigningKeys
from actors.domain.ticket import Ticket

NOW = 1_700_000_000_000
KEYS = SigningKeys(current=1, keys={1: bytes(range(32))})
GOOD = Ticket(user_id="usr_a", sale_id="sal_a", expires_at_ms=NOW + 1, nonce="n0")
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def verified(text: str, *, keys: SigningKeys = KEYS, user_id: str = "usr_a", sale_id: str = "sal_a", at_ms: int = NOW) -> object:
    outcome = ticket.verify(keys, text, user_id=user_id, sale_id=sale_id, at_ms=at_ms)
    return outcome.code if isinstance(outcome, Refused) else outcome


def test_a_ticket_says_what_was_issued_until_it_expires() -> None:
    text = ticket.issue(KEYS, GOOD)
    assert verified(text) == GOOD
    assert verified(text, at_ms=NOW + 1) == "ticket_expired"
    assert len(text) < 200
    assert set(text) <= set(ALPHABET)


def test_a_ticket_of_another_user_or_sale_is_invalid_also_when_it_has_expired() -> None:
    text = ticket.issue(KEYS, GOOD)
    assert verified(text, user_id="usr_b", at_ms=NOW + 9) == "ticket_invalid"
    assert verified(text, sale_id="sal_b", at_ms=NOW + 9) == "ticket_invalid"


def test_a_ticket_with_any_character_altered_is_invalid() -> None:
    text = ticket.issue(KEYS, GOOD)
    for place, character in enumerate(text):
        other = ALPHABET[(ALPHABET.index(character) + 1) % 64]
        assert verified(text[:place] + other + text[place + 1 :]) == "ticket_invalid"


def test_a_ticket_has_one_form_only() -> None:
    for nonce in ("n0", "n01", "n012"):
        text = ticket.issue(KEYS, msgspec.structs.replace(GOOD, nonce=nonce))
        accepted = [last for last in ALPHABET if verified(text[:-1] + last) != "ticket_invalid"]
        assert accepted == [text[-1]]
        for variant in (text + "=", text + "==", text + "\n", " " + text, text[:5] + "\n" + text[5:]):
            assert verified(variant) == "ticket_invalid"


@pytest.mark.parametrize(
    "text",
    ["", "A", "AQE", "券" * 20, "\x00" * 60, "\ud800" * 60, "A" * TEXT_MAX, "A" * (TEXT_MAX + 1), "A" * 10_000_000, "+/" * 30, "." * 60],
    ids=lambda text: f"{len(text)} x {text[:1]!a}",
)
def test_what_is_no_ticket_is_invalid_and_raises_nothing(text: str) -> None:
    assert verified(text) == "ticket_invalid"


def test_an_access_token_is_no_ticket_and_a_ticket_no_access_token() -> None:
    access = token.AccessToken(user_id="usr_a", session_id="sal_a", generation=NOW + 1, roles=1, expires_at_ms=NOW + 1)
    assert verified(token.issue(KEYS, access)) == "ticket_invalid"
    assert token.verify(KEYS, ticket.issue(KEYS, GOOD), at_ms=NOW) == Refused(code="unauthenticated")


def test_another_version_of_the_form_is_invalid() -> None:
    data = base64.urlsafe_b64decode(ticket.issue(KEYS, GOOD) + "==")
    assert verified(base64.urlsafe_b64encode(b"\x02" + data[1:]).rstrip(b"=").decode()) == "ticket_invalid"


def test_a_change_of_the_secret_keeps_tickets_valid_until_the_old_one_is_removed() -> None:
    both_old = SigningKeys(current=1, keys={1: bytes(range(32)), 2: bytes(32)})
    both_new = SigningKeys(current=2, keys=both_old.keys)
    new = SigningKeys(current=2, keys={2: bytes(32)})
    before, after = ticket.issue(both_old, GOOD), ticket.issue(both_new, GOOD)
    assert [verified(before, keys=keys) == GOOD for keys in (KEYS, both_old, both_new, new)] == [True, True, True, False]
    assert [verified(after, keys=keys) == GOOD for keys in (KEYS, both_old, both_new, new)] == [False, True, True, True]


def test_the_same_key_id_with_another_secret_verifies_nothing() -> None:
    assert verified(ticket.issue(KEYS, GOOD), keys=SigningKeys(current=1, keys={1: bytes(32)})) == "ticket_invalid"


@pytest.mark.parametrize(
    ("current", "keys"), [(1, {}), (1, {2: bytes(32)}), (1, {1: bytes(31)}), (256, {256: bytes(32)}), (-1, {-1: bytes(32)})]
)
def test_keys_that_cannot_be_used_are_refused_at_the_start(current: int, keys: dict[int, bytes]) -> None:
    with pytest.raises(ValueError, match="key"):
        SigningKeys(current=current, keys=keys)


def test_keys_do_not_show_their_secrets() -> None:
    assert repr(KEYS) == "SigningKeys(current=1, ids=[1])"
