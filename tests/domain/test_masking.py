"""What a mask lets through, row by row, and what no free text may keep."""

import pytest

from actors.domain.masking import (
    HIDDEN,
    masked_email,
    masked_line,
    masked_name,
    masked_number,
    masked_phone,
    masked_subject,
    masked_text,
    masked_value,
)
from actors.domain.signing import SigningKeys
from actors.domain.token import AccessToken, RefreshToken, issue, refresh_token_text

TOKEN = issue(
    SigningKeys(current=1, keys={1: b"k" * 32}),
    AccessToken(user_id="usr_1", session_id="ses_1", generation=0, roles=1, expires_at_ms=1_700_000_000_000),
)
REFRESH = refresh_token_text(RefreshToken(user_id="usr_1", session_id="ses_1", secret=b"s" * 32))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("kim@example.com", "k***@example.com"),
        ("k@example.com", "k***@example.com"),
        ("a.very.long.name+tag@mail.example.co.uk", "a***@mail.example.co.uk"),
        ("no address", HIDDEN),
        ("@example.com", HIDDEN),
        ("", HIDDEN),
    ],
)
def test_of_an_address_the_first_letter_and_the_domain_are_shown(text: str, shown: str) -> None:
    assert masked_email(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("+8613800138012", "+86138***12"),
        ("+86 138-0013-8012", "+86138***12"),
        ("13800138012", "138***12"),
        ("+12025550143", "+120***43"),
        ("010 6555 1234", "010***34"),
        ("5551234", "***34"),
        ("110", HIDDEN),
        ("", HIDDEN),
    ],
)
def test_of_a_number_its_last_eight_digits_are_hidden_but_for_two(text: str, shown: str) -> None:
    assert masked_phone(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("王小明", "王***"),
        ("欧阳娜娜", "欧阳***"),
        ("李雷", "李***"),
        ("Kim Larsen", "K*** L***"),
        ("  Ana María de la Cruz ", "A*** M*** d***"),
        ("Ö", "Ö***"),
        ("", HIDDEN),
    ],
)
def test_of_a_name_the_family_or_the_first_letters_are_shown(text: str, shown: str) -> None:
    assert masked_name(text) == shown


def test_of_a_street_nothing_and_of_a_document_two_signs_are_shown() -> None:
    assert (masked_line("中关村大街1号"), masked_line("")) == (HIDDEN, "")
    assert masked_number("11010519491231002X") == "1***X"
    assert masked_number("4111 1111 1111 1111") == "4***1"
    assert masked_number("12345") == HIDDEN
    assert masked_subject("email", "kim@example.com") == "k***@example.com"
    assert masked_subject("phone", "+8613800138012") == "+86138***12"
    assert masked_subject("wechat", "oABCDEF123456") == "o***6"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("mail to kim@example.com failed", "mail to k***@example.com failed"),
        ("call +8613800138012 or 138 0013 8012", "call +86138***12 or 138***12"),
        ("id 11010519491231002X", "id 1***X"),
        (f"Authorization: Bearer {TOKEN}", f"Authorization: Bearer {HIDDEN}"),
        (f"presented {REFRESH}.", f"presented {HIDDEN}."),
        ("key sk_live_abcdefgh12345678", f"key {HIDDEN}"),
        ("guest gst_0123456789abcdefghjk", f"guest {HIDDEN}"),
        ("eyJhbGciOiJFUzI1NiJ9aaaa.eyJzdWIiOiIxMjM0NTY3ODkw.MEUCIQDx0123456789", HIDDEN),
    ],
)
def test_addresses_numbers_and_tokens_are_hidden_within_a_text(text: str, shown: str) -> None:
    assert masked_text(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "usr_t1x0a1b2c", "ord_0123456789abcdefghjkmn", "ses_0123456789abcdefghjk", "2026-11-11T12:00:00.000Z",
        "shard 17 of 256 at 1700000000000",
        "0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9", "10.0.0.1:8701", "request_failed", "STAMPEDE_DATABASE_URL",
        "/v1/flash-sales/sal_1/orders", "actors.storage.projections.follower", "",
    ],
)  # fmt: skip
def test_what_our_logs_are_made_of_is_left_as_it_is(text: str) -> None:
    assert masked_text(text) == text


def test_a_secret_by_its_name_is_never_written_and_lists_and_tables_are_looked_through() -> None:
    assert masked_value("Password", "x") == HIDDEN
    assert masked_value("set-cookie", ["a"]) == HIDDEN
    assert masked_value("frames", [{"locals": {"refresh_token": "x", "to": "kim@example.com"}}]) == [
        {"locals": {"refresh_token": HIDDEN, "to": "k***@example.com"}}
    ]
    assert masked_value("data", b"kim@example.com") == "k***@example.com"
    assert masked_value("count", 13800138012) == 13800138012
