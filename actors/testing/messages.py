"""Senders in memory: what they were given can be read, and they can be told to fail."""

from collections import deque
from typing import Generic, TypeVar

from actors.ports.messages import EmailSender, SmsSender
from schemas.messages import EmailMessage, Outcome, OutgoingMessage, Sent, SmsMessage

M = TypeVar("M", SmsMessage, EmailMessage)


class FakeSender(Generic[M]):
    """Implements ``actors.ports.messages.SmsSender`` or ``EmailSender``.

    ``outcomes``: what the next tries come to; then all go well. A message whose outcome is NotSent is not in ``sent``.
    """

    def __init__(self) -> None:
        self.sent: list[M] = []
        self.tries = 0
        self.outcomes: deque[tuple[Outcome, bool]] = deque()

    def next(self, *outcomes: Outcome, arrives: bool = False) -> None:
        """What the next tries come to. ``arrives``: of an Unknown, that its reader has it all the same."""
        self.outcomes.extend((outcome, arrives) for outcome in outcomes)

    async def send(self, message: M) -> Outcome:
        """See the port."""
        self.tries += 1
        outcome, arrives = self.outcomes.popleft() if self.outcomes else (Sent(provider_id=message.message_id), True)
        if arrives:
            self.sent.append(message)
        return outcome

    async def close(self) -> None:
        """See the port."""


class MemoryShelf:
    """Implements ``actors.ports.messages.KeptMessages``."""

    def __init__(self) -> None:
        self.kept: list[OutgoingMessage] = []

    async def keep(self, message: OutgoingMessage) -> None:
        """See the port."""
        self.kept.append(message)

    async def newest(self, limit: int) -> list[OutgoingMessage]:
        """See the port."""
        return self.kept[::-1][:limit]


def fake_senders() -> tuple[FakeSender[SmsMessage], FakeSender[EmailMessage]]:
    """Both, typed as the ports."""
    sms: FakeSender[SmsMessage] = FakeSender()
    email: FakeSender[EmailMessage] = FakeSender()
    _: tuple[SmsSender, EmailSender] = (sms, email)
    return sms, email
