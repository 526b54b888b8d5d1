"""The development outbox keeps the newest messages, and who carries messages is said by the settings."""

from typing import Any

import pytest

from actors.adapters.email.smtp import SmtpSender
from actors.adapters.outbox.outbox import Outbox
from actors.adapters.sms.alibaba import AlibabaSms
from actors.domain import messages
from actors.storage import outgoing_messages
from actors.storage.clock import DatabaseClock
from actors.storage.connect import open_pool
from actors.storage.outgoing_messages import OutgoingMessages
from schemas.messages import OutgoingMessage, Sent, Unknown
from schemas.settings import Settings, from_environment
from serve.senders import email_of, sms_of

CLOCK = DatabaseClock()
SMS = {"STAMPEDE_SMS_KEY_ID": "LTAI", "STAMPEDE_SMS_SECRET": "s", "STAMPEDE_SMS_SIGN_NAME": "店", "STAMPEDE_SMS_TEMPLATE": "SMS_1"}
SMTP = {"STAMPEDE_SMTP_URL": "smtps://kim:pw@mail.example.com", "STAMPEDE_MAIL_FROM": "Shop <shop@example.com>"}


def kept(n: int) -> OutgoingMessage:
    return OutgoingMessage(
        message_id=f"msg_{n}", channel="sms", recipient="+8613800138000", template="code", language="en", subject="", body=str(n), at_ms=n
    )


@pytest.mark.slow
async def test_the_newest_are_kept_and_older_ones_go(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outgoing_messages, "KEPT_MAX", 3)
    pool = await open_pool(database_url, size=1)
    shelf = OutgoingMessages(pool)
    for n in range(5):
        await shelf.keep(kept(n))
    assert await shelf.newest(10) == [kept(4), kept(3), kept(2)]
    assert await shelf.newest(1) == [kept(4)]
    assert await pool.fetchval("SELECT count(*) FROM outgoing_message") == 3
    outbox = Outbox(shelf, CLOCK)
    email = messages.email("account_exists", message_id="msg_9", to="kim@example.com", language="zh-CN", params={})
    assert await outbox.send(email) == Sent(provider_id="msg_9")
    [newest] = await shelf.newest(1)
    assert (newest.channel, newest.recipient, newest.subject, newest.body) == ("email", "kim@example.com", email.subject, email.text)
    pool.terminate()


async def test_an_outbox_without_its_database_does_not_know() -> None:
    class Pool:
        async def execute(self, *_: Any) -> Any:
            raise ConnectionResetError

    sms = messages.sms("account_exists", message_id="msg_9", to="+8613800138000", language="en", params={})
    assert isinstance(await Outbox(OutgoingMessages(Pool()), CLOCK).send(sms), Unknown)


@pytest.mark.parametrize(
    ("environ", "on"),
    [
        ({}, True),
        ({"STAMPEDE_HOST": "0.0.0.0"}, False),
        ({"STAMPEDE_HOST": "0.0.0.0", "STAMPEDE_OUTBOX": "true"}, True),
        (SMS, False),
        (SMTP, False),
        (SMS | {"STAMPEDE_OUTBOX": "1"}, True),
        ({"STAMPEDE_OUTBOX": "0"}, False),
    ],
)
def test_the_outbox_stands_where_nothing_else_does_and_only_this_machine_can_ask(environ: dict[str, str], on: bool) -> None:
    assert from_environment(environ).outbox_on is on


async def test_the_settings_name_who_carries_messages() -> None:
    assert (sms_of(Settings(), CLOCK), email_of(Settings(), CLOCK)) == (None, None)
    settings = from_environment(SMS | SMTP)
    assert isinstance(sms_of(settings, CLOCK), AlibabaSms)
    assert isinstance(email_of(settings, CLOCK), SmtpSender)


@pytest.mark.parametrize("missing", ["STAMPEDE_SMS_SECRET", "STAMPEDE_SMS_SIGN_NAME", "STAMPEDE_SMS_TEMPLATE"])
def test_half_of_the_settings_of_text_messages_is_refused(missing: str) -> None:
    with pytest.raises(ValueError, match=missing):
        sms_of(from_environment({name: value for name, value in SMS.items() if name != missing}), CLOCK)


def test_a_mail_server_without_a_sender_is_refused() -> None:
    with pytest.raises(ValueError, match="sender of mail"):
        email_of(from_environment({"STAMPEDE_SMTP_URL": SMTP["STAMPEDE_SMTP_URL"]}), CLOCK)


def test_no_key_or_password_of_a_carrier_is_shown() -> None:
    settings = from_environment(SMS | SMTP | {"STAMPEDE_SMS_SECRET": "sms-secret"})
    assert "sms-secret" not in repr(settings)
    assert "kim:pw" not in repr(settings)
