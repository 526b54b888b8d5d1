"""Those who carry messages to people, as the shop needs them. Promises that hold for every provider behind them."""

from typing import Protocol

from schemas.messages import EmailMessage, Outcome, OutgoingMessage, SmsMessage


class SmsSender(Protocol):
    """Stateless translation to a provider of text messages."""

    async def send(self, message: SmsMessage) -> Outcome:
        """One try. Nothing expected is raised, and it ends within the sender's time-out.

        ``NotSent`` is said only where it is sure; what is not sure is ``Unknown``. A second try with the same message may reach
        its reader twice: providers have no key for repeats. It has the same text, so it does no harm.
        """
        ...

    async def close(self) -> None:
        """Close connections. A later ``send`` opens them anew."""
        ...


class EmailSender(Protocol):
    """The same for e-mail. A repeat has the same Message-ID, by which most mailboxes show it once."""

    async def send(self, message: EmailMessage) -> Outcome:
        """See :meth:`SmsSender.send`."""
        ...

    async def close(self) -> None:
        """Close connections. A later ``send`` opens them anew."""
        ...


class KeptMessages(Protocol):
    """Where the development outbox keeps what it was given: a bounded number, the newest."""

    async def keep(self, message: OutgoingMessage) -> None:
        """Keep one more. StorageUnknown when it is not known whether it was kept."""
        ...

    async def newest(self, limit: int) -> list[OutgoingMessage]:
        """What is kept, newest first."""
        ...
