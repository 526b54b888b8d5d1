"""One-time codes: five guesses, one use, one purpose, one user. Pure rules; see README.md in this folder."""

import hashlib
import hmac
from typing import ClassVar, Final, Literal, assert_never

import msgspec

from actors.domain.entity import Accepted, Answered, Context, Outcome, Refused, Wake
from schemas.codes import (
    PURPOSES,
    AnswerCode,
    CodeAccepted,
    CodeGone,
    CodeIssued,
    CodeMissed,
    CodesForgotten,
    CodeSpent,
    CodeStands,
    CodeWithdrawn,
    IssueCode,
    WithdrawCode,
)
from schemas.ids import id_of

DAY_MS: Final = 86_400_000

GUESSES_MAX: Final = 5
"""Wrong answers to one code: with six digits and ten codes a day, a guesser has one chance in 20,000 a day."""

RESEND_MS: Final = 60_000
"""Between two codes to one destination; Chinese providers take no more than one a minute either."""

ISSUED_MAX: Final = 10
"""Codes to one destination within 24 hours: the owner of a phone is not to be flooded."""

TTL_MS_MAX: Final = 30 * 60_000
"""No code stands longer: it lies readable in somebody's inbox."""

HASH_BYTES: Final = 32

CodesCommand = IssueCode | AnswerCode | WithdrawCode | Answered | Wake
CodesEvent = CodeIssued | CodeMissed | CodeSpent | CodeWithdrawn | CodesForgotten


class Challenge(msgspec.Struct, kw_only=True):
    """The newest code of one purpose, and what became of it."""

    challenge_id: str
    user_id: str
    code_hash: bytes
    expires_at_ms: int
    misses: int = 0
    end: Literal["", "spent", "withdrawn"] = ""


class CodesState(msgspec.Struct, kw_only=True):
    """The newest code by purpose; when those of the last 24 hours were issued, oldest first; from when the next one may be."""

    key: str
    challenges: dict[str, Challenge] = {}
    issued: dict[str, int] = {}
    resend_at_ms: int = 0


def codes_key(channel: str, to: str) -> str:
    """The key of a canonical destination. Its hash: no address stands readable in the journal, a log line or a metric."""
    digest = hashlib.blake2b(f"{channel}\0{to}".encode(), digest_size=13, person=b"stampede.codes").digest()
    return id_of("cod", digest)


class CodesKind:
    """The kind ``codes``. Key: :func:`codes_key` of a destination."""

    name: ClassVar[str] = "codes"
    commands: ClassVar[tuple[type, ...]] = (IssueCode, AnswerCode, WithdrawCode)
    reads: ClassVar[tuple[type, ...]] = ()
    ending: ClassVar[tuple[type, ...]] = (AnswerCode, WithdrawCode)
    events: ClassVar[tuple[type, ...]] = (CodeIssued, CodeMissed, CodeSpent, CodeWithdrawn, CodesForgotten)
    replies: ClassVar[tuple[type, ...]] = (CodeStands, CodeAccepted, CodeGone)
    state: ClassVar[type] = CodesState

    def route(self, key: str) -> str:
        return "code:" + key

    def crowd(self, key: str, command: object) -> str:
        return "code:" + key

    def needs(self, command: object) -> tuple[str, ...]:
        return ()

    def new(self, key: str) -> CodesState:
        return CodesState(key=key)

    def wake_at(self, state: CodesState) -> int | None:
        return max(state.issued.values()) + DAY_MS if state.issued else None

    def decide(self, state: CodesState, command: CodesCommand, context: Context) -> Outcome:
        match command:
            case IssueCode():
                return _issue(state, command, context)
            case AnswerCode():
                return _answer(state, command, context)
            case WithdrawCode():
                return _withdraw(state, command, context)
            case Wake():
                due = self.wake_at(state)
                return Accepted(events=(CodesForgotten(at_ms=context.at_ms),)) if due is not None and due <= context.at_ms else Accepted()
            case Answered():
                return Accepted()
            case _:
                assert_never(command)

    def apply(self, state: CodesState, event: CodesEvent) -> None:
        match event:
            case CodeIssued():
                state.challenges[event.purpose] = Challenge(
                    challenge_id=event.challenge_id,
                    user_id=event.user_id,
                    code_hash=event.code_hash,
                    expires_at_ms=event.expires_at_ms,
                )
                state.issued = _recent(state, event.at_ms) | {event.challenge_id: event.at_ms}
                state.resend_at_ms = event.at_ms + RESEND_MS
            case CodeMissed():
                state.challenges[event.purpose].misses += 1
            case CodeSpent():
                state.challenges[event.purpose].end = "spent"
            case CodeWithdrawn():
                state.challenges[event.purpose].end = "withdrawn"
                # Who got nothing need not wait; that it counts for the day bounds the tries of whoever asks on and on.
                state.resend_at_ms = 0
            case CodesForgotten():
                state.challenges, state.issued, state.resend_at_ms = {}, {}, 0
            case _:
                assert_never(event)


def invariant(state: CodesState) -> list[str]:
    """What does not hold of this state; empty when all is well."""
    wrong = []
    if len(state.issued) > ISSUED_MAX:
        wrong.append(f"{state.key}: {len(state.issued)} codes in a day")
    if state.challenges and not state.issued:
        wrong.append(f"{state.key}: challenges that were never issued")
    for purpose, challenge in state.challenges.items():
        if purpose not in PURPOSES:
            wrong.append(f"{state.key}: a code for {purpose}")
        if not 0 <= challenge.misses <= GUESSES_MAX:
            wrong.append(f"{challenge.challenge_id}: {challenge.misses} guesses")
        if len(challenge.code_hash) != HASH_BYTES:
            wrong.append(f"{challenge.challenge_id}: the hash has {len(challenge.code_hash)} bytes")
        if challenge.end == "spent" and challenge.misses == GUESSES_MAX:
            wrong.append(f"{challenge.challenge_id}: spent after its last guess")
    return wrong


def _issue(state: CodesState, command: IssueCode, context: Context) -> Outcome:
    standing = state.challenges.get(command.purpose)
    if standing is not None and standing.challenge_id == command.challenge_id:
        if standing.user_id != command.user_id or not hmac.compare_digest(standing.code_hash, command.code_hash):
            return Refused(code="idempotency_key_reused")
        if standing.end == "withdrawn":
            return Refused(code="message_not_sent")
        return Accepted(reply=CodeStands(challenge_id=command.challenge_id, expires_at_ms=standing.expires_at_ms, repeated=True))
    if command.challenge_id in state.issued:
        # Of the past: under its name the same code would stand a second time.
        return Refused(code="idempotency_key_reused")
    if command.purpose not in PURPOSES:
        return Refused(code="invalid_request", params={"reason": "purpose is not one of a code's"})
    if len(command.code_hash) != HASH_BYTES:
        return Refused(code="invalid_request", params={"reason": f"code_hash must have {HASH_BYTES} bytes"})
    if not 0 < command.ttl_ms <= TTL_MS_MAX:
        return Refused(code="invalid_request", params={"reason": f"ttl_ms must be from 1 to {TTL_MS_MAX}"})
    if context.at_ms < state.resend_at_ms:
        return _wait("code_too_soon", state.resend_at_ms, context)
    recent = _recent(state, context.at_ms)
    if len(recent) >= ISSUED_MAX:
        return _wait("code_limit", min(recent.values()) + DAY_MS, context)
    issued = CodeIssued(
        challenge_id=command.challenge_id,
        purpose=command.purpose,
        user_id=command.user_id,
        code_hash=command.code_hash,
        expires_at_ms=context.at_ms + command.ttl_ms,
        at_ms=context.at_ms,
    )
    return Accepted(events=(issued,), reply=CodeStands(challenge_id=command.challenge_id, expires_at_ms=issued.expires_at_ms))


def _recent(state: CodesState, at_ms: int) -> dict[str, int]:
    return {challenge_id: issued_ms for challenge_id, issued_ms in state.issued.items() if issued_ms > at_ms - DAY_MS}


def _wait(code: str, until_ms: int, context: Context) -> Refused:
    return Refused(code=code, params={"retry_after_s": -(-(until_ms - context.at_ms) // 1000)})


def _answer(state: CodesState, command: AnswerCode, context: Context) -> Outcome:
    challenge = state.challenges.get(command.purpose)
    # Before the code is looked at: for another purpose or user a right code is refused as a wrong one is, and tells nothing.
    if challenge is None or challenge.challenge_id != command.challenge_id or challenge.user_id != command.user_id:
        return Refused(code="code_unknown")
    if challenge.end == "withdrawn":
        return Refused(code="message_not_sent")
    if challenge.end == "spent":
        return Refused(code="code_spent")
    if challenge.misses >= GUESSES_MAX:
        return Refused(code="code_killed")
    if context.at_ms >= challenge.expires_at_ms:
        return Refused(code="code_expired")
    if not hmac.compare_digest(challenge.code_hash, command.presented_hash):
        # Events and a refusal go together: the guess is counted, and the answer is no.
        left = GUESSES_MAX - challenge.misses - 1
        return Accepted(
            events=(CodeMissed(purpose=command.purpose, at_ms=context.at_ms),), reply=Refused(code="code_wrong", params={"left": left})
        )
    return Accepted(events=(CodeSpent(purpose=command.purpose, at_ms=context.at_ms),), reply=CodeAccepted())


def _withdraw(state: CodesState, command: WithdrawCode, context: Context) -> Outcome:
    challenge = state.challenges.get(command.purpose)
    if challenge is None or challenge.challenge_id != command.challenge_id or challenge.end:
        return Accepted(reply=CodeGone())
    return Accepted(events=(CodeWithdrawn(purpose=command.purpose, at_ms=context.at_ms),), reply=CodeGone())
