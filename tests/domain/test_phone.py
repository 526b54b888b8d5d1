"""Phone numbers: one form each, and only those that a text message reaches at a known price."""

import pytest

from actors.domain.phone import canonical_phone, dialling_prefix, masked_phone


@pytest.mark.parametrize(
    ("text", "phone"),
    [
        ("13800138000", "+8613800138000"),
        ("138 0013 8000", "+8613800138000"),
        ("138-0013-8000", "+8613800138000"),
        (" +86 138 0013 8000 ", "+8613800138000"),
        ("13800138000\n", "+8613800138000"),
        ("008613800138000", "+8613800138000"),
        ("+８６１３８００１３８０００", "+8613800138000"),
        ("19912345678", "+8619912345678"),
        ("+886 912 345 678", "+886912345678"),
        ("+886 0912 345 678", "+886912345678"),
        ("+852 6123 4567", "+85261234567"),
        ("+1 (201) 555-0123", "+12015550123"),
        ("+44 7400 123456", "+447400123456"),
        ("+44 (0)7400 123456", "+447400123456"),
    ],
)
def test_a_number_has_one_form_however_it_is_typed(text: str, phone: str) -> None:
    assert canonical_phone(text) == phone
    assert canonical_phone(phone) == phone


def test_a_number_without_its_country_is_one_of_the_region() -> None:
    assert canonical_phone("0912 345 678", "TW") == "+886912345678"
    assert canonical_phone("6123 4567", "HK") == "+85261234567"
    assert canonical_phone("07400 123456", "GB") == "+447400123456"


@pytest.mark.parametrize(
    "text",
    [
        "+1 900 234 5678",  # premium rate
        "+44 909 879 0000",
        "+44 871 234 5678",
        "+852 900 1234 5678",
        "+886 20 400 0000",
        "+44 70 1234 5678",  # personal
        "+44 20 7946 0958",  # a landline
        "010-12345678",
        "400-810-8888",
        "+1 800 234 5678",  # toll-free
        "+8816 1234 5678",  # satellite
        "+882 13 1234567",
        "+979 1 2345 6789",  # international premium rate
        "12345678901",
        "1380013800",
        "138001380001",
        "+999 123456789",
    ],
)
def test_f66_premium_numbers_and_whatever_is_no_mobile_phone_are_refused(text: str) -> None:
    assert canonical_phone(text) is None


@pytest.mark.parametrize(
    "text",
    ["", "+", "abc", "kim@example.com", "tel:+8613800138000", "13800138000 ext. 5", "13800138000;ext=5", "1-800-FLOWERS", "+86+13800138000",
     "13800138000\r\nBcc: x", "１" * 100, "1" * 33, "138\0000138000", "+86 138/0013/8000"],
)  # fmt: skip
def test_what_is_no_number_is_refused(text: str) -> None:
    assert canonical_phone(text) is None


@pytest.mark.parametrize(
    ("phone", "prefix"),
    [("+8613800138000", "+86"), ("+85261234567", "+852"), ("+12015550123", "+1"), ("+14165550123", "+1"), ("+18762101234", "+1876"),
     ("+447400123456", "+44")],
)  # fmt: skip
def test_a_budget_is_kept_by_dialling_prefix_and_islands_with_the_prefix_of_america_have_their_own(phone: str, prefix: str) -> None:
    assert dialling_prefix(phone) == prefix


def test_a_masked_number_shows_its_country_and_two_digits() -> None:
    assert masked_phone("+8613800138000") == "+86…00"
