"""What every sender of messages promises: fakes, the outbox, Alibaba Cloud SMS with the simulator behind it, SMTP with a real server."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

import pytest
from aiosmtpd.smtp import SMTP as SmtpProtocol

from actors.adapters.email.smtp import SmtpSender, SmtpServer
from actors.adapters.outbox.outbox import Outbox
from actors.adapters.sms.alibaba import AlibabaSms
from actors.domain import messages
from actors.ports.journal import StorageUnknown
from actors.testing.messages import FakeSender, MemoryShelf
from actors.testing.sms_simulator.control import SmsControl
from actors.testing.sms_simulator.plan import Fault
from actors.testing.sms_simulator.server import Options, serving
from schemas.messages import EmailMessage, NotSent, OutgoingMessage, Sent, SmsMessage, Unknown

PARAMS = {"code": "042871", "minutes": "10"}
SMS = messages.sms("code", message_id="chl_1", to="+8613800138000", language="zh-CN", params=PARAMS)
EMAIL = messages.email("code", message_id="chl_1", to="kim@example.com", language="zh-CN", params=PARAMS)


class RealClock:
    """The real day."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> float:
        return time.monotonic() * 1000

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class World(Protocol):
    """A sender, a message for it, and what lies behind."""

    sender: Any
    message: SmsMessage | EmailMessage

    async def trouble(self, kind: str) -> None:
        """The next try ends so: refused (surely not sent), overloaded (not sent, try again), lost (sent, but unanswered)."""
        ...

    async def arrived(self) -> list[str]:
        """Who has got something, in order."""
        ...


class FakeWorld:
    def __init__(self, message: Any) -> None:
        self.sender: Any = FakeSender()
        self.message = message

    async def trouble(self, kind: str) -> None:
        match kind:
            case "refused":
                self.sender.next(NotSent(reason="refused", again=False))
            case "overloaded":
                self.sender.next(NotSent(reason="overloaded", again=True))
            case _:
                self.sender.next(Unknown(reason="told to"), arrives=True)

    async def arrived(self) -> list[str]:
        return [message.to for message in self.sender.sent]


class LosingShelf(MemoryShelf):
    """Keeps a message and does not say so, once told to."""

    lose = False

    async def keep(self, message: OutgoingMessage) -> None:
        await super().keep(message)
        if self.lose:
            self.lose = False
            raise StorageUnknown("told to")


class OutboxWorld:
    def __init__(self, message: Any) -> None:
        self.shelf = LosingShelf()
        self.sender = Outbox(self.shelf, RealClock())
        self.message = message

    async def trouble(self, kind: str) -> None:
        if kind != "lost":
            pytest.skip("the outbox refuses nothing")
        self.shelf.lose = True

    async def arrived(self) -> list[str]:
        return [message.recipient for message in self.shelf.kept]


class AlibabaWorld:
    message = SMS

    def __init__(self, sender: AlibabaSms, control: SmsControl) -> None:
        self.sender = sender
        self.control = control

    async def trouble(self, kind: str) -> None:
        match kind:
            case "refused":
                await self.control.fault(Fault(kind="refuse", code="isv.BUSINESS_LIMIT_CONTROL"))
            case "overloaded":
                await self.control.fault(Fault(kind="refuse", status=400, code="Throttling.User"))
            case _:
                await self.control.fault(Fault(kind="drop"))

    async def arrived(self) -> list[str]:
        return ["+86" + message.phone for message in (await self.control.report()).delivered]


class Mailbox:
    """A handler of aiosmtpd that keeps mail, and says no when told to."""

    def __init__(self) -> None:
        self.mail: list[Any] = []
        self.next = ""

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        kind, self.next = self.next if self.next != "lost" else "", self.next if self.next == "lost" else ""
        if kind == "refused":
            return "550 5.1.1 nobody here"
        if kind == "overloaded":
            return "450 4.2.1 come back later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.mail.append(envelope)
        if self.next == "lost":
            self.next = ""
            server.transport.abort()
        return "250 OK"


class SmtpWorld:
    message = EMAIL

    def __init__(self, sender: SmtpSender, box: Mailbox) -> None:
        self.sender = sender
        self.box = box

    async def trouble(self, kind: str) -> None:
        self.box.next = kind

    async def arrived(self) -> list[str]:
        return [recipient for envelope in self.box.mail for recipient in envelope.rcpt_tos]


@asynccontextmanager
async def alibaba_world() -> AsyncIterator[World]:
    options = Options()
    async with serving(options) as (url, _), SmsControl(url) as control:
        sender = AlibabaSms(
            clock=RealClock(),
            key_id=options.key_id,
            secret=options.secret,
            sign_name=options.sign_name,
            templates={"code": "SMS_1"},
            url=url,
        )
        yield AlibabaWorld(sender, control)
        await sender.close()


@asynccontextmanager
async def smtp_world() -> AsyncIterator[World]:
    box = Mailbox()
    protocols: list[SmtpProtocol] = []

    def protocol() -> SmtpProtocol:
        protocols.append(SmtpProtocol(box))
        return protocols[-1]

    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    sender = SmtpSender(clock=RealClock(), server=SmtpServer(f"smtp://127.0.0.1:{port}?tls=never"), mail_from="Shop <shop@example.com>")
    yield SmtpWorld(sender, box)
    await sender.close()
    for one in protocols:
        for transport in filter(None, (one.transport, one._original_transport)):
            transport.abort()
    conversations = [one._handler_coroutine for one in protocols if one._handler_coroutine is not None]
    for conversation in conversations:
        conversation.cancel()
    await asyncio.gather(*conversations, return_exceptions=True)
    server.close()
    await server.wait_closed()


@asynccontextmanager
async def plain(world: World) -> AsyncIterator[World]:
    yield world


WORLDS = {
    "fake sms": lambda: plain(FakeWorld(SMS)),
    "fake email": lambda: plain(FakeWorld(EMAIL)),
    "outbox sms": lambda: plain(OutboxWorld(SMS)),
    "outbox email": lambda: plain(OutboxWorld(EMAIL)),
    "alibaba": alibaba_world,
    "smtp": smtp_world,
}


@pytest.fixture(params=sorted(WORLDS))
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with contextlib.AsyncExitStack() as stack:
        yield await stack.enter_async_context(WORLDS[request.param]())


async def test_a_message_arrives_once_and_has_an_id(world: World) -> None:
    outcome = await world.sender.send(world.message)
    assert isinstance(outcome, Sent)
    assert outcome.provider_id
    assert await world.arrived() == [world.message.to]


async def test_what_is_surely_not_sent_is_said_to_be_and_has_not_arrived(world: World) -> None:
    await world.trouble("refused")
    outcome = await world.sender.send(world.message)
    assert isinstance(outcome, NotSent)
    assert not outcome.again
    assert await world.arrived() == []


async def test_what_passes_is_worth_a_second_try_which_arrives(world: World) -> None:
    await world.trouble("overloaded")
    outcome = await world.sender.send(world.message)
    assert isinstance(outcome, NotSent)
    assert outcome.again
    assert await world.arrived() == []
    assert isinstance(await world.sender.send(world.message), Sent)
    assert await world.arrived() == [world.message.to]


async def test_a_message_whose_answer_was_lost_is_unknown_and_never_not_sent(world: World) -> None:
    await world.trouble("lost")
    assert isinstance(await world.sender.send(world.message), Unknown)
    assert await world.arrived() == [world.message.to]


async def test_many_at_once_arrive_once_each(world: World) -> None:
    outcomes = await asyncio.gather(*(world.sender.send(world.message) for _ in range(20)))
    assert all(isinstance(outcome, Sent) for outcome in outcomes)
    assert await world.arrived() == [world.message.to] * 20


async def test_after_closing_a_message_opens_what_it_needs_anew(world: World) -> None:
    await world.sender.send(world.message)
    await world.sender.close()
    assert isinstance(await world.sender.send(world.message), Sent)


@pytest.mark.parametrize("channel", ["alibaba", "smtp"])
async def test_a_provider_that_is_not_there_has_surely_sent_nothing(channel: str) -> None:
    """A port that was just given back by its server."""
    async with WORLDS[channel]() as world:
        pass
    outcome = await world.sender.send(world.message)
    assert isinstance(outcome, NotSent)
    assert (outcome.reason, outcome.again) == ("unreachable", True)
    await world.sender.close()
