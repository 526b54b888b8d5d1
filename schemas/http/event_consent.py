"""What an account allows of its behaviour events, over HTTP."""

from typing import Annotated, Literal

import msgspec

from schemas.http.shapes import Timestamp

TextVersion = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_.-]{1,40}$", description="of the text that was shown", examples=["2026-11"])]


class SetEventConsent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Say yes or no, for all terminals on which one is logged in."""

    choice: Literal["granted", "denied"]
    text_version: TextVersion


class EventConsent(msgspec.Struct, frozen=True, kw_only=True):
    """What holds. All null: nothing was said, and the word of each batch counts."""

    choice: Literal["granted", "denied"] | None
    text_version: str | None
    at: Timestamp | None
