"""One-time codes: sent, and answered. The door for logins, second factors and whatever else asks for proof of a phone or an address.

A code is six digits out of a challenge's id by a secret of the servers; its owner (the kind ``codes``) knows only a hash
of it. So a repeat of a request finds the same code again without its being written down anywhere.
"""

import asyncio
import hmac
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final

import msgspec
import structlog

from actors.adapters.outbox.outbox import Outbox
from actors.domain import messages
from actors.domain.codes import RESEND_MS, codes_key
from actors.domain.phone import canonical_phone, dialling_prefix
from actors.domain.sms_budget import budget_of, parse_budgets
from actors.ports.messages import EmailSender, SmsSender
from schemas.codes import AnswerCode, CodeStands, IssueCode, SpendSms, WithdrawCode
from schemas.ids import derived_id, id_of
from schemas.messages import EmailMessage, NotSent, Outcome, Sent, SmsMessage, Unknown
from serve.rates import Rate
from serve.requests import Refusal
from serve.shop.email_addresses import canonical as canonical_email

if TYPE_CHECKING:
    from serve.desk import Desk

log = structlog.get_logger("stampede.messages")

DIGITS: Final = 6
TTL_MS: Final = 10 * 60_000
"""ASVS 5.0 (6.6.2) gives codes of this strength ten minutes."""

PAUSES_S: Final = (0.5, 2.0)
"""Between the tries of one message: three tries, after which the person is quicker than we are."""

ANSWER_WAIT_S: Final = 2.0
"""So long the asker waits for news of his message; what takes longer goes on without him."""

UNDER_WAY_MAX: Final = 500
"""Messages that one replica is about to hand over."""

ASKER_PER_S: Final = 0.1
ASKER_BURST: Final = 20
"""Codes asked for by one user, and from one address, which may be a school's or an office's."""

_CODE: Final = b"stampede.code\0"
_HASH: Final = b"stampede.code.hash\0"
_CHALLENGE: Final = b"stampede.code.challenge\0"


class SentCode(msgspec.Struct, frozen=True, kw_only=True):
    """A code stands, and its message is under way."""

    challenge_id: str
    resend_after_s: int
    expires_in_s: int


def canonical_destination(channel: str, text: str) -> str:
    """The one form of a phone number or an address. Refusal ``phone_invalid``, ``invalid_request``."""
    found = canonical_phone(text) if channel == "sms" else canonical_email(text)
    if found is None:
        raise Refusal("phone_invalid") if channel == "sms" else Refusal("invalid_request", {"reason": "to is no e-mail address"})
    return found


class Codes:
    """One a replica. Messages under way are finished in the background, and lost with the process: their reader asks for another."""

    def __init__(self, desk: "Desk", *, pauses_s: tuple[float, ...] = PAUSES_S, wait_s: float = ANSWER_WAIT_S) -> None:
        services = desk.services
        self._desk = desk
        outbox = Outbox(desk.outgoing, desk.clock) if services.settings.outbox_on else None
        self._sms: SmsSender | None = services.sms or outbox
        self._email: EmailSender | None = services.email or outbox
        self._budgets = parse_budgets(services.settings.sms_budget)
        keys = services.token_keys
        self._secret = keys.keys[keys.current]
        self._pauses_s = pauses_s
        self._wait_s = wait_s
        self._askers = Rate(desk.clock.monotonic_ms, ASKER_PER_S, ASKER_BURST)
        self._under_way: set[asyncio.Task[Any]] = set()

    async def send(
        self, *, channel: str, to: str, purpose: str, user_id: str, language: str, address: str, template: str = "code", key: bytes = b""
    ) -> SentCode:
        """Let a code stand for a canonical destination, and send it.

        template: another message of the same kind goes out instead of the code, at the same pace and with the same answer, so
        that nobody learns who has an account. key: of a request that may be repeated; the repeat gets the first answer and sends
        nothing. Refusal ``rate_limited``, ``code_too_soon``, ``code_limit``, ``sms_budget_spent``, ``message_not_sent``, ``busy``.
        """
        if not all(self._askers.take(asker) for asker in (address, user_id) if asker):
            raise Refusal("rate_limited", {"retry_after_s": round(1 / ASKER_PER_S)})
        if len(self._under_way) >= UNDER_WAY_MAX:
            raise Refusal("busy")
        key = key or self._desk.new_id()
        challenge_id = self._challenge(channel, to, purpose, user_id, key)
        code = self._code(challenge_id)
        issue = IssueCode(
            challenge_id=challenge_id, purpose=purpose, user_id=user_id, code_hash=self._hash(challenge_id, code), ttl_ms=TTL_MS
        )
        stands = await self._desk.told("codes", codes_key(channel, to), issue)
        assert isinstance(stands, CodeStands)
        if not stands.repeated:
            params = {"code": code, "minutes": str(TTL_MS // 60_000)}
            await self._send_first(channel, to, issue, _message(channel, template, challenge_id, to, language, params))
        now_ms = self._desk.clock.now_ms()
        return SentCode(
            challenge_id=challenge_id,
            resend_after_s=max(0, -(-(stands.expires_at_ms - TTL_MS + RESEND_MS - now_ms) // 1000)),
            expires_in_s=max(0, (stands.expires_at_ms - now_ms) // 1000),
        )

    async def answered(
        self, *, channel: str, to: str, challenge_id: str, purpose: str, user_id: str, code: str, command_id: bytes = b""
    ) -> None:
        """Spend a code. Choose ``to`` by what is known of the user, never by what a request says.

        command_id: of a request that may be repeated; the repeat gets the first answer, also once the code is spent.
        Refusal ``code_unknown``, ``code_wrong``, ``code_expired``, ``code_spent``, ``code_killed``, ``message_not_sent``.
        """
        presented = self._hash(challenge_id, code)
        answer = AnswerCode(challenge_id=challenge_id, purpose=purpose, user_id=user_id, presented_hash=presented)
        await self._desk.told("codes", codes_key(channel, to), answer, command_id=command_id, digest=presented)

    def notify(self, *, channel: str, to: str, template: str, language: str, params: dict[str, str]) -> None:
        """Send a notice in the background, as well as can be: whatever it tells of has happened already."""
        if len(self._under_way) >= UNDER_WAY_MAX:
            self._note(channel, template, NotSent(reason="overloaded", again=False, detail="too many under way"))
            return
        message_id = id_of("msg", self._desk.new_id())
        self._begin(self._notified(channel, to, _message(channel, template, message_id, to, language, params)))

    def in_background(self, template: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do what leads to a notice without anybody waiting for it; not at all when too much is under way."""
        if len(self._under_way) >= UNDER_WAY_MAX:
            self._note("notice", template, NotSent(reason="overloaded", again=False, detail="too many under way"))
            return
        self._begin(work())

    async def close(self) -> None:
        """Give up what is under way, and close connections."""
        tasks = list(self._under_way)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for sender in (self._sms, self._email):
            if sender is not None:
                await sender.close()

    # --- sending ----------------------------------------------------------------------------------

    async def _send_first(self, channel: str, to: str, issue: IssueCode, message: SmsMessage | EmailMessage) -> None:
        """Hand a code's message over. Refusal ``sms_budget_spent``; ``message_not_sent`` when that is sure in time."""
        try:
            await self._spend(channel, to)
        except Refusal:
            await self._withdraw(channel, to, issue)
            raise
        delivery = self._begin(self._code_delivered(channel, to, issue, message))
        done, _ = await asyncio.wait({delivery}, timeout=self._wait_s)
        if done and isinstance(delivery.result(), NotSent):
            raise Refusal("message_not_sent")

    def _begin(self, work: Any) -> "asyncio.Task[Any]":
        task: asyncio.Task[Any] = asyncio.ensure_future(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return task

    async def _code_delivered(self, channel: str, to: str, issue: IssueCode, message: SmsMessage | EmailMessage) -> Outcome:
        outcome = await self._delivered(channel, message)
        if isinstance(outcome, NotSent):
            try:
                await self._withdraw(channel, to, issue)
            except Exception as error:
                # It stands although nobody has it: it ends by itself.
                log.warning("code_not_withdrawn", reason=f"{type(error).__name__}: {error}")
        return outcome

    async def _notified(self, channel: str, to: str, message: SmsMessage | EmailMessage) -> None:
        try:
            await self._spend(channel, to)
        except Exception as error:
            self._note(channel, message.template, NotSent(reason="limited", again=False, detail=f"{type(error).__name__}: {error}"))
            return
        await self._delivered(channel, message)

    async def _delivered(self, channel: str, message: SmsMessage | EmailMessage) -> Outcome:
        """What became of a message after at most three tries: NotSent only when every one of them surely failed."""
        outcome: Outcome = NotSent(reason="not_configured", again=False)
        unsure: Unknown | None = None
        for pause_s in (*self._pauses_s, None):
            outcome = await self._tried(message)
            if isinstance(outcome, Unknown):
                unsure = outcome
            elif isinstance(outcome, Sent) or not outcome.again:
                break
            if pause_s is not None:
                await self._desk.clock.sleep(pause_s)
        if unsure is not None and not isinstance(outcome, Sent):
            outcome = unsure
        self._note(channel, message.template, outcome)
        return outcome

    async def _tried(self, message: SmsMessage | EmailMessage) -> Outcome:
        sender: Any = self._sms if isinstance(message, SmsMessage) else self._email
        if sender is None:
            return NotSent(reason="not_configured", again=False)
        try:
            outcome: Outcome = await sender.send(message)
        except Exception as error:
            log.error("sender_failed", template=message.template, exc_info=error)
            return Unknown(reason=type(error).__name__)
        return outcome

    def _note(self, channel: str, template: str, outcome: Outcome) -> None:
        """Count what became of a message; a failure is logged, without saying whose."""
        match outcome:
            case Sent():
                self._desk.services.counters.messages[(channel, "sent")] += 1
            case Unknown():
                self._desk.services.counters.messages[(channel, "unknown")] += 1
                log.warning("message_unknown", channel=channel, template=template, reason=outcome.reason)
            case NotSent():
                self._desk.services.counters.messages[(channel, "not_sent")] += 1
                log.warning("message_not_sent", channel=channel, template=template, reason=outcome.reason, detail=outcome.detail)

    async def _spend(self, channel: str, to: str) -> None:
        """Count a text message in the budget of its prefix. Refusal ``sms_budget_spent``."""
        if channel == "sms":
            prefix = dialling_prefix(to)
            budget = budget_of(self._budgets, prefix)
            await self._desk.told("sms_budget", prefix, SpendSms(hour_max=budget.hour_max, day_max=budget.day_max))

    async def _withdraw(self, channel: str, to: str, issue: IssueCode) -> None:
        await self._desk.told("codes", codes_key(channel, to), WithdrawCode(challenge_id=issue.challenge_id, purpose=issue.purpose))

    # --- what a code is ---------------------------------------------------------------------------

    def _challenge(self, channel: str, to: str, purpose: str, user_id: str, key: bytes) -> str:
        mark = hmac.digest(self._secret, _CHALLENGE + derived_id(channel, to, purpose, user_id, key), "sha256")
        return id_of("chl", mark)

    def _code(self, challenge_id: str) -> str:
        mark = hmac.digest(self._secret, _CODE + challenge_id.encode(), "sha256")
        return f"{int.from_bytes(mark[:16], 'big') % 10**DIGITS:0{DIGITS}}"

    def _hash(self, challenge_id: str, code: str) -> bytes:
        return hmac.digest(self._secret, _HASH + challenge_id.encode() + b"\0" + code.strip().encode(), "sha256")


def _message(channel: str, template: str, message_id: str, to: str, language: str, params: dict[str, str]) -> SmsMessage | EmailMessage:
    write = messages.sms if channel == "sms" else messages.email
    return write(template, message_id=message_id, to=to, language=language, params=params)
