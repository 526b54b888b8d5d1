"""One-time codes over HTTP, and the development outbox."""

from typing import Annotated

import msgspec

from schemas.codes import Channel, Purpose
from schemas.http.shapes import Timestamp

Destination = Annotated[
    str, msgspec.Meta(min_length=3, max_length=254, description="a phone number or an e-mail address", examples=["+8613800138000"])
]
ChallengeId = Annotated[str, msgspec.Meta(pattern="^chl_[0-9a-hjkmnp-tv-z]{20}$", description="of the answer to `POST /v1/codes`")]
CodeText = Annotated[str, msgspec.Meta(pattern="^[0-9]{6}$", description="six digits", examples=["042871"])]


class SendCode(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ask for a code. ``bind``, ``step_up`` and ``merge`` need a login."""

    channel: Channel
    to: Destination
    purpose: Purpose


class CodeSent(msgspec.Struct, frozen=True, kw_only=True):
    """A message is under way, the same whether or not there is an account. Answer within ``expires_in`` seconds with ``challenge_id``."""

    challenge_id: str
    resend_after_s: int
    expires_in: int


class OutboxMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message as its reader would have got it."""

    message_id: str
    channel: str
    to: str
    template: str
    language: str
    subject: str
    body: str
    sent_at: Timestamp


class OutboxMessages(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first."""

    messages: tuple[OutboxMessage, ...]
