"""Messages to people by SMS and e-mail, whoever carries them, and what became of them."""

from typing import Literal

import msgspec


class SmsMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One text message. ``to``: E.164. ``template`` and ``params`` are for providers that keep the texts themselves; ``text`` is
    the same message for those that do not."""

    message_id: str
    to: str
    template: str
    language: str
    params: dict[str, str]
    text: str

    def __repr__(self) -> str:
        return f"SmsMessage(message_id={self.message_id!r}, template={self.template!r})"


class EmailMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One e-mail in plain text. ``to``: a canonical address."""

    message_id: str
    to: str
    template: str
    language: str
    subject: str
    text: str

    def __repr__(self) -> str:
        return f"EmailMessage(message_id={self.message_id!r}, template={self.template!r})"


NotSentReason = Literal["recipient", "limited", "refused", "credentials", "account", "unreachable", "overloaded", "not_configured"]
"""recipient: nobody can be reached there. limited: the provider's own limit. refused: this message, whoever asks. credentials,
account, not_configured: our affair. unreachable, overloaded: passes."""


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """The provider has taken it; whether it arrives is another matter. ``provider_id`` names it there."""

    provider_id: str


class Unknown(msgspec.Struct, frozen=True, kw_only=True):
    """It may have gone out or not."""

    reason: str


class NotSent(msgspec.Struct, frozen=True, kw_only=True):
    """It surely did not go out. ``again``: a second try may succeed. ``detail``: the provider's words, for the log."""

    reason: NotSentReason
    again: bool
    detail: str = ""


Outcome = Sent | Unknown | NotSent


class OutgoingMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message as the development outbox keeps it; ``subject`` is empty for a text message."""

    message_id: str
    channel: str
    recipient: str
    template: str
    language: str
    subject: str
    body: str
    at_ms: int
