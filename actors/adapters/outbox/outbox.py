"""The development outbox: messages to people are kept where a person reads them in the browser, and go nowhere."""

from actors.ports.clock import Clock
from actors.ports.journal import StorageUnknown
from actors.ports.messages import KeptMessages
from schemas.messages import EmailMessage, Outcome, OutgoingMessage, Sent, SmsMessage, Unknown


class Outbox:
    """Implements ``actors.ports.messages.SmsSender`` and ``EmailSender`` over the messages that are kept."""

    def __init__(self, kept: KeptMessages, clock: Clock) -> None:
        self._kept = kept
        self._clock = clock

    async def close(self) -> None:
        """See the port."""

    async def send(self, message: SmsMessage | EmailMessage) -> Outcome:
        """See the port."""
        email = isinstance(message, EmailMessage)
        kept = OutgoingMessage(
            message_id=message.message_id,
            channel="email" if email else "sms",
            recipient=message.to,
            template=message.template,
            language=message.language,
            subject=message.subject if isinstance(message, EmailMessage) else "",
            body=message.text,
            at_ms=self._clock.now_ms(),
        )
        try:
            await self._kept.keep(kept)
        except StorageUnknown as error:
            return Unknown(reason=str(error))
        return Sent(provider_id=message.message_id)
