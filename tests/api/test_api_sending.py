"""Handing messages over: a bounded number of tries, and the truth about what is known of them."""

import asyncio
import dataclasses
import secrets
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from actors.testing.messages import FakeSender, fake_senders
from schemas.messages import EmailMessage, NotSent, Sent, SmsMessage, Unknown
from serve import codes as codes_module
from serve.codes import Codes, SentCode, canonical_destination
from serve.counters import HttpCounters
from serve.desk import Desk
from serve.requests import Refusal

pytestmark = pytest.mark.asyncio(loop_scope="session")

REFUSED = NotSent(reason="recipient", again=False)
BUSY = NotSent(reason="overloaded", again=True)
UNSURE = Unknown(reason="TimeoutError")


class Office:
    """The door with senders in memory, which pauses for no time."""

    def __init__(self, shop: Any, *, wait_s: float = 5.0, **services: Any) -> None:
        self.sms, self.email = fake_senders()
        self.desk = Desk(dataclasses.replace(shop.services, **({"sms": self.sms, "email": self.email} | services)))
        self.codes = Codes(self.desk, pauses_s=(0.0, 0.0), wait_s=wait_s)

    async def send(self, to: str, channel: str = "email", **more: Any) -> SentCode:
        fields = {"channel": channel, "to": to, "purpose": "login", "user_id": "", "language": "en", "address": ""}
        return await self.codes.send(**(fields | more))

    async def answer(self, to: str, challenge_id: str, code: str) -> str:
        return await refusal_of(
            self.codes.answered(channel="email", to=to, challenge_id=challenge_id, purpose="login", user_id="", code=code)
        )

    async def quiet(self) -> None:
        """Nothing is under way any more."""
        await asyncio.gather(*self.codes._under_way, return_exceptions=True)

    def counted(self) -> dict[str, int]:
        return {outcome: count for (_, outcome), count in self.desk.services.counters.messages.items()}


@pytest.fixture
def office(shop) -> Callable[..., Office]:
    return lambda **more: Office(shop, **({"counters": HttpCounters()} | more))


def email() -> str:
    return f"kim.{secrets.token_hex(6)}@example.com"


async def refusal_of(work: Any) -> str:
    try:
        await work
    except Refusal as refused:
        return refused.code
    return ""


@pytest.mark.parametrize(
    ("outcomes", "refused", "tries", "counted"),
    [
        ([], "", 1, {"sent": 1}),
        ([REFUSED], "message_not_sent", 1, {"not_sent": 1}),
        ([BUSY], "", 2, {"sent": 1}),
        ([BUSY, BUSY], "", 3, {"sent": 1}),
        ([BUSY, BUSY, BUSY], "message_not_sent", 3, {"not_sent": 1}),
        ([BUSY, REFUSED], "message_not_sent", 2, {"not_sent": 1}),
        ([UNSURE], "", 2, {"sent": 1}),
        ([UNSURE, UNSURE, UNSURE], "", 3, {"unknown": 1}),
        ([UNSURE, BUSY, BUSY], "", 3, {"unknown": 1}),
        ([UNSURE, REFUSED], "", 2, {"unknown": 1}),
    ],
)
async def test_a_message_is_tried_three_times_at_most_and_a_refusal_is_told_only_when_it_is_sure(
    office: Callable[..., Office], outcomes: list[Any], refused: str, tries: int, counted: dict[str, int]
) -> None:
    here = office()
    here.email.next(*outcomes)
    assert await refusal_of(here.send(email())) == refused
    assert here.email.tries == tries
    assert here.counted() == counted


async def test_all_tries_carry_the_same_message(office: Callable[..., Office]) -> None:
    here = office()
    here.email.next(UNSURE, arrives=True)
    sent = await here.send(email())
    assert len(here.email.sent) == 2
    assert here.email.sent[0] == here.email.sent[1]
    assert here.email.sent[0].message_id == sent.challenge_id


async def test_who_surely_got_nothing_may_ask_again_at_once_and_the_void_code_says_why(office: Callable[..., Office]) -> None:
    here, to, key = office(), email(), b"key-of-a-request"
    here.email.next(REFUSED)
    assert await refusal_of(here.send(to, key=key)) == "message_not_sent"
    assert await refusal_of(here.send(to, key=key)) == "message_not_sent"
    assert here.email.tries == 1
    assert isinstance(await here.send(to), SentCode)


async def test_a_slow_provider_holds_nobody_up_and_its_refusal_is_told_with_the_code(office: Callable[..., Office]) -> None:
    goes_on = asyncio.Event()

    class Slow(FakeSender[EmailMessage]):
        async def send(self, message: EmailMessage) -> Any:
            await goes_on.wait()
            return REFUSED

    here, to = office(wait_s=0.01, email=Slow()), email()
    sent = await here.send(to)
    assert isinstance(sent, SentCode)
    goes_on.set()
    await here.quiet()
    assert await here.answer(to, sent.challenge_id, "000000") == "message_not_sent"


async def test_a_sender_that_breaks_is_an_unknown_and_no_failure_of_the_request(office: Callable[..., Office]) -> None:
    class Broken(FakeSender[EmailMessage]):
        async def send(self, message: EmailMessage) -> Any:
            raise RuntimeError("a bug")

    here = office(email=Broken())
    assert isinstance(await here.send(email()), SentCode)
    assert here.counted() == {"unknown": 1}


async def test_when_too_many_messages_are_under_way_the_next_asker_is_told_busy_and_no_code_stands(
    office: Callable[..., Office], monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on = asyncio.Event()

    class Slow(FakeSender[EmailMessage]):
        async def send(self, message: EmailMessage) -> Any:
            await goes_on.wait()
            return Sent(provider_id="x")

    monkeypatch.setattr(codes_module, "UNDER_WAY_MAX", 2)
    here, to = office(wait_s=0.01, email=Slow()), email()
    for _ in range(2):
        await here.send(email())
    assert await refusal_of(here.send(to)) == "busy"
    goes_on.set()
    await here.quiet()
    assert isinstance(await here.send(to), SentCode)


async def test_a_notice_goes_out_in_the_background_and_a_failed_one_fails_nothing(office: Callable[..., Office]) -> None:
    here, to = office(), email()
    params = {"device": "Firefox\r\nBcc: eve@example.com", "at": "now"}
    here.codes.notify(channel="email", to=to, template="new_device", language="zh-CN", params=params)
    await here.quiet()
    [message] = here.email.sent
    assert (message.to, message.template, "\r" in message.text) == (to, "new_device", False)
    here.sms.next(REFUSED)
    here.codes.notify(channel="sms", to="+8613800138000", template="password_changed", language="en", params={"at": "now"})
    await here.quiet()
    assert here.counted() == {"sent": 1, "not_sent": 1}


async def test_a_notice_takes_from_the_budget_of_text_messages(office: Callable[..., Office], shop) -> None:
    settings = msgspec.structs.replace(shop.services.settings, sms_budget="+27=1/1,*=50/200")
    here = office(settings=settings)
    for _ in range(2):
        here.codes.notify(channel="sms", to="+27821234567", template="password_changed", language="en", params={"at": "now"})
        await here.quiet()
    assert len(here.sms.sent) == 1
    assert here.counted() == {"sent": 1, "not_sent": 1}


async def test_what_is_under_way_is_given_up_at_the_end(office: Callable[..., Office]) -> None:
    class Never(FakeSender[SmsMessage]):
        async def send(self, message: SmsMessage) -> Any:
            await asyncio.Event().wait()

    here = office(sms=Never())
    here.codes.notify(channel="sms", to="+8613800138000", template="password_changed", language="en", params={"at": "now"})
    await here.codes.close()
    assert here.codes._under_way == set()


async def test_codes_are_six_digits_and_differ(office: Callable[..., Office]) -> None:
    here = office()
    codes = [here.codes._code(f"chl_{n}") for n in range(2000)]
    assert all(len(code) == 6 and code.isdecimal() for code in codes)
    assert len(set(codes)) > 1950
    assert {code[0] for code in codes} == set("0123456789")


async def test_a_destination_is_canonical_or_refused() -> None:
    assert canonical_destination("sms", "138 0013 8000") == "+8613800138000"
    assert canonical_destination("email", " KIM@Example.com ") == "kim@example.com"
    for channel, text, code in (("sms", "x", "phone_invalid"), ("email", "x", "invalid_request")):
        with pytest.raises(Refusal) as refused:
            canonical_destination(channel, text)
        assert refused.value.code == code
