"""One-time codes of one destination, and the budget of messages of one dialling prefix: commands, events, replies."""

from typing import Final, Literal

import msgspec

Channel = Literal["sms", "email"]
Purpose = Literal["login", "register", "reset_password", "bind", "step_up", "merge"]

PURPOSES: Final[tuple[str, ...]] = ("login", "register", "reset_password", "bind", "step_up", "merge")

# --- commands ---------------------------------------------------------------------------------


class IssueCode(msgspec.Struct, frozen=True, kw_only=True, tag="code.issue"):
    """Let a code stand for ``ttl_ms``. ``code_hash``: 32 bytes, an HMAC under a secret of the servers.

    ``user_id`` is empty where nobody is logged in. The same ``challenge_id`` again is a repeat.
    """

    challenge_id: str
    purpose: str
    user_id: str
    code_hash: bytes
    ttl_ms: int


class AnswerCode(msgspec.Struct, frozen=True, kw_only=True, tag="code.answer"):
    """Spend the code that hashes to ``presented_hash``; a wrong one counts as a guess."""

    challenge_id: str
    purpose: str
    user_id: str
    presented_hash: bytes


class WithdrawCode(msgspec.Struct, frozen=True, kw_only=True, tag="code.withdraw"):
    """The code was surely not sent: nobody can have it."""

    challenge_id: str
    purpose: str


# --- events -----------------------------------------------------------------------------------


class CodeIssued(msgspec.Struct, frozen=True, kw_only=True, tag="code.issued"):
    """It stands from now on, and an older one of the same purpose no more."""

    challenge_id: str
    purpose: str
    user_id: str
    code_hash: bytes
    expires_at_ms: int
    at_ms: int


class CodeMissed(msgspec.Struct, frozen=True, kw_only=True, tag="code.missed"):
    purpose: str
    at_ms: int


class CodeSpent(msgspec.Struct, frozen=True, kw_only=True, tag="code.spent"):
    purpose: str
    at_ms: int


class CodeWithdrawn(msgspec.Struct, frozen=True, kw_only=True, tag="code.withdrawn"):
    purpose: str
    at_ms: int


class CodesForgotten(msgspec.Struct, frozen=True, kw_only=True, tag="code.forgotten"):
    """Nothing of this destination matters any more."""

    at_ms: int


# --- replies ----------------------------------------------------------------------------------


class CodeStands(msgspec.Struct, frozen=True, kw_only=True, tag="code.stands"):
    """``repeated``: it stood already, so its message is not for this command to send."""

    challenge_id: str
    expires_at_ms: int
    repeated: bool = False


class CodeAccepted(msgspec.Struct, frozen=True, kw_only=True, tag="code.accepted"):
    """The code was right, and is spent."""


class CodeGone(msgspec.Struct, frozen=True, kw_only=True, tag="code.gone"):
    """The code stands no more, whether or not it did."""


# --- the budget -------------------------------------------------------------------------------


class SpendSms(msgspec.Struct, frozen=True, kw_only=True, tag="sms.spend"):
    """Count one message, unless ``hour_max`` or ``day_max`` are counted already."""

    hour_max: int
    day_max: int


class SmsCounted(msgspec.Struct, frozen=True, kw_only=True, tag="sms.counted"):
    at_ms: int


class SmsGranted(msgspec.Struct, frozen=True, kw_only=True, tag="sms.granted"):
    """One message may go out; so many more after it."""

    hour_left: int
    day_left: int
