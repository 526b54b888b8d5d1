"""The messages: both languages, the same parameters, and nothing that can be smuggled in."""

import string

import pytest

from actors.domain import messages
from schemas.message_templates import LANGUAGES, TEMPLATES

VALUES = {
    "code": "042871",
    "minutes": "10",
    "device": "Firefox",
    "at": "2026-11-11T12:00:00Z",
    "left": "7",
    "due": "2026-11-12T12:00:00Z",
    "identity": "k***@example.com",
    "account": "DE***3000",
    "in_force_at": "2026-11-12T12:00:00Z",
}
SMS_PART_MAX = 70
"""Characters of one text message in Chinese, the provider's signature included."""


def names(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_the_templates_are_those_that_the_shop_sends() -> None:
    assert sorted(TEMPLATES) == [
        "account_exists", "accounts_merged", "code", "factor_added", "factor_removed", "factor_reset_asked",
        "factor_reset_cancelled", "factor_reset_done", "identity_added", "identity_removed", "new_device", "no_account",
        "password_changed", "payout_changed", "recovery_renewed", "recovery_used", "sessions_ended",
    ]  # fmt: skip


@pytest.mark.parametrize("template", sorted(TEMPLATES))
def test_both_languages_are_whole_and_take_the_same_parameters(template: str) -> None:
    row = TEMPLATES[template]
    for text in (row.en, row.zh):
        assert names(text.subject + text.body) == set(row.params)
        assert names(text.sms) <= set(row.params)
        assert "\n" not in text.subject + text.sms
    assert row.en.sms.isascii()
    assert not row.zh.sms.isascii()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("template", sorted(TEMPLATES))
def test_every_template_is_one_text_message(template: str, language: str) -> None:
    message = messages.sms(template, message_id="msg_1", to="+8613800138000", language=language, params=VALUES)
    assert "{" not in message.text
    assert len(message.text) <= (SMS_PART_MAX - 10 if language == "zh-CN" else 160)


def test_a_code_stands_in_the_text_of_both_languages() -> None:
    for language in LANGUAGES:
        email = messages.email("code", message_id="msg_1", to="kim@example.com", language=language, params=VALUES)
        assert "042871" in email.text
        assert "042871" not in email.subject


def test_a_missing_parameter_is_a_bug_and_one_too_many_is_left_out() -> None:
    with pytest.raises(KeyError):
        messages.sms("code", message_id="m", to="+8613800138000", language="en", params={"code": "1"})
    assert messages.sms("account_exists", message_id="m", to="+8613800138000", language="en", params=VALUES).params == {}


@pytest.mark.parametrize("device", ["a\r\nBcc: x@y.z", "a\u2028b", "a\u202eb", "a\0b", "x" * 1000, "{code} {0.__class__}"])
def test_what_a_client_says_of_itself_is_one_line_of_text(device: str) -> None:
    message = messages.email("new_device", message_id="m", to="kim@example.com", language="en", params={"device": device, "at": "now"})
    [line] = [line for line in message.text.splitlines() if line.startswith("Device: ")]
    assert len(line) <= len("Device: ") + messages.PARAM_MAX
    assert line.isprintable()
    assert message.text.count("\n") == TEMPLATES["new_device"].en.body.count("\n")


def test_no_message_shows_its_reader_or_its_text_in_a_log() -> None:
    sms = messages.sms("code", message_id="msg_1", to="+8613800138000", language="en", params=VALUES)
    email = messages.email("code", message_id="msg_1", to="kim@example.com", language="en", params=VALUES)
    assert "042871" not in repr(sms) + repr(email)
    assert "13800138000" not in repr(sms)
    assert "kim" not in repr(email)
