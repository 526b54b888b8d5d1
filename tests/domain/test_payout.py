"""Payout accounts: which numbers can be right, and what is shown of them."""

import pytest

from actors.domain.payout import canonical, flaw, masked_account
from schemas.payout import PayoutAccount

RIGHT = [
    ("iban", "DE89 3704 0044 0532 0130 00"),
    ("iban", "gb82-west-1234-5698-7654-32"),
    ("iban", "NO9386011117947"),
    ("iban", "MT84MALT011000012345MTLCAST001S"),
    ("card", "6212 3456 7890 1232"),
    ("card", "4111111111111111"),
    ("alipay", "2088102146225135"),
    ("alipay", "kim@example.com"),
    ("alipay", "13800138000"),
    ("wechat", "1900000109"),
    ("wechat", "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"),
]
WRONG = [
    ("iban", "DE88 3704 0044 0532 0130 00"),  # a wrong check digit
    ("iban", "DE89 3704 0044 0532 0103 00"),  # two digits changed places
    ("iban", "D189370400440532013000"),
    ("iban", "DE89"),
    ("iban", "DE89 3704 0044 0532 0130 0٠"),  # no digit of ours
    ("card", "6212345678901233"),
    ("card", "411111111111111"),
    ("card", "41111111111111111111"),
    ("card", "0000000000000000"),
    ("card", "DE89370400440532013000"),
    ("alipay", "2089102146225135"),
    ("alipay", "kim@example"),
    ("alipay", "12800138000"),
    ("wechat", "xUpF8uMuAJO_M2pxb1Q9zNjWeS6o"),
    ("wechat", "1234567"),
]


def account(kind: str, number: str, holder: str = " 王  芳 ", bank: str = "工商银行") -> PayoutAccount:
    return canonical(PayoutAccount(kind=kind, holder=holder, number=number, bank=bank))  # type: ignore[arg-type]


@pytest.mark.parametrize(("kind", "number"), RIGHT)
def test_a_number_that_can_be_right_is_taken(kind: str, number: str) -> None:
    assert flaw(account(kind, number)) == ""


@pytest.mark.parametrize(("kind", "number"), WRONG)
def test_a_number_that_cannot_be_right_is_not(kind: str, number: str) -> None:
    assert flaw(account(kind, number)) == "number"


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"holder": "  "}, "holder"),
        ({"holder": "x" * 101}, "holder"),
        ({"holder": "a\x07b"}, "holder"),
        ({"bank": ""}, "bank"),
        ({"bank": "x" * 101}, "bank"),
    ],
)
def test_holder_and_bank_have_a_form(fields: dict[str, str], wrong: str) -> None:
    assert flaw(account("card", "4111111111111111", **fields)) == wrong


def test_numbers_are_kept_without_the_spaces_that_people_write() -> None:
    assert account("iban", " gb82 WEST 1234 5698 7654 32 ").number == "GB82WEST12345698765432"
    assert account("card", "4111-1111 11111111").number == "4111111111111111"
    assert account("card", "4111111111111111").holder == "王 芳"
    assert "4111" not in repr(account("card", "4111111111111111"))


@pytest.mark.parametrize(
    ("kind", "number", "shown"),
    [
        ("iban", "DE89370400440532013000", "DE***3000"),
        ("card", "4111111111111111", "***1111"),
        ("alipay", "kim@example.com", "k***@example.com"),
        ("alipay", "13800138000", "138***00"),
        ("alipay", "2088102146225135", "***5135"),
        ("wechat", "1900000109", "***0109"),
    ],
)
def test_what_is_shown_is_enough_to_know_it_by(kind: str, number: str, shown: str) -> None:
    assert masked_account(kind, number) == shown
