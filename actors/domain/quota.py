"""Coupon quotas: how often a coupon may be used, and by whom. Pure rules; see README.md in this folder."""

from typing import ClassVar, Final, assert_never

import msgspec

from actors.domain.entity import Accepted, Answered, Context, Outcome, Refused, Send, Wake
from actors.domain.finished import outcome_of, remember
from schemas.ids import derived_id
from schemas.order import ConfirmHold, HoldAlive
from schemas.quota import (
    Claim,
    Configure,
    GiveBack,
    QuotaAsked,
    QuotaClaimed,
    QuotaConfigured,
    QuotaDone,
    QuotaGivenBack,
    QuotaKept,
    QuotaLevel,
    QuotaRedeemed,
    QuotaReinstated,
    ReadQuota,
    Redeem,
    Reinstate,
)

GRACE_MS: Final = 60_000
"""The order owns the deadline; the quota asks only this much later."""

AGAIN_MS: Final = 15 * 60_000
"""An order that lives past its deadline waits for its payment provider: it is asked again this much later."""

ASK_MAX: Final = 100
"""Claims asked about in one turn, so that thousands ending together stop nobody."""

SLOT_MS: Final = 10_000
"""Claims are asked about in slots of this width: finding the next due one does not depend on how many there are."""

TOTAL_MAX: Final = 2**53
"""Counts stay exact in every language that reads them as JSON."""

REDEEMED: Final = 1
GIVEN_BACK: Final = 2

QuotaCommand = Configure | Claim | Redeem | GiveBack | Reinstate | ReadQuota | Answered | Wake
QuotaEvent = QuotaConfigured | QuotaClaimed | QuotaRedeemed | QuotaGivenBack | QuotaReinstated | QuotaAsked | QuotaKept


class LiveClaim(msgspec.Struct, kw_only=True, array_like=True):
    """Uses kept for one order. ``slot``: when its order is asked, 0 while a question is under way. ``asks``: questions so far.
    ``holder``: the kind that is asked."""

    order_id: str
    user_id: str
    quantity: int
    slot: int
    asks: int = 0
    holder: str = "order"


class QuotaState(msgspec.Struct, kw_only=True):
    """Counters, the live claims, uses by user, and what became of finished claims (``actors.domain.finished``).

    ``slots``: the claims to ask about, by slot (a dict of None is a set that keeps its order);
    ``slot_first`` is the least of them, 0 when there is none.
    """

    key: str
    configured: bool = False
    total: int = 0
    available: int = 0
    claimed: int = 0
    redeemed: int = 0
    per_user: int = 0
    starts_at_ms: int = 0
    ends_at_ms: int = 0
    users: dict[str, int] = {}
    claims: dict[bytes, LiveClaim] = {}
    slots: dict[int, dict[bytes, None]] = {}
    slot_first: int = 0
    done: dict[bytes, int] = {}
    done_before: dict[bytes, int] = {}
    done_since_ms: int = 0


class QuotaKind:
    """The kind ``quota``. Key: a coupon id."""

    name: ClassVar[str] = "quota"
    commands: ClassVar[tuple[type, ...]] = (Configure, Claim, Redeem, GiveBack, Reinstate, ReadQuota)
    reads: ClassVar[tuple[type, ...]] = (ReadQuota,)
    ending: ClassVar[tuple[type, ...]] = (Redeem, GiveBack, Reinstate)
    events: ClassVar[tuple[type, ...]] = (
        QuotaConfigured, QuotaClaimed, QuotaRedeemed, QuotaGivenBack, QuotaReinstated, QuotaAsked, QuotaKept,
    )  # fmt: skip
    replies: ClassVar[tuple[type, ...]] = (QuotaLevel, QuotaDone)
    state: ClassVar[type] = QuotaState

    def route(self, key: str) -> str:
        return "quota:" + key

    def crowd(self, key: str, command: object) -> str:
        return "quota:" + key

    def needs(self, command: object) -> tuple[str, ...]:
        return ()

    def new(self, key: str) -> QuotaState:
        return QuotaState(key=key)

    def wake_at(self, state: QuotaState) -> int | None:
        return state.slot_first * SLOT_MS or None

    def decide(self, state: QuotaState, command: QuotaCommand, context: Context) -> Outcome:
        match command:
            case Claim():
                return _claim(state, command, context)
            case Redeem():
                return _redeem(state, command, context)
            case GiveBack():
                return _give_back(state, command, context)
            case Reinstate():
                return _reinstate(state, command, context)
            case Configure():
                return _configure(state, command)
            case ReadQuota():
                return Accepted(reply=level(state, command.user_id))
            case Answered():
                return _answered(state, command, context)
            case Wake():
                return _ask(state, context)
            case _:
                assert_never(command)

    def apply(self, state: QuotaState, event: QuotaEvent) -> None:
        match event:
            case QuotaClaimed():
                _apply_claimed(state, event)
            case QuotaRedeemed():
                claim = state.claims.pop(event.claim_id)
                _unslot(state, event.claim_id, claim)
                state.claimed -= claim.quantity
                state.redeemed += claim.quantity
                remember(state, event.claim_id, REDEEMED, event.at_ms)
            case QuotaGivenBack():
                _apply_given_back(state, event)
            case QuotaReinstated():
                state.redeemed -= event.quantity
                state.available += event.quantity
                _uncount(state, event.user_id, event.quantity)
                remember(state, event.claim_id, GIVEN_BACK, event.at_ms)
            case QuotaConfigured():
                _apply_configured(state, event)
            case QuotaAsked():
                for claim_id in event.claim_ids:
                    claim = state.claims[claim_id]
                    _unslot(state, claim_id, claim)
                    claim.asks += 1
            case QuotaKept():
                _enslot(state, event.claim_id, state.claims[event.claim_id], event.again_ms)
            case _:
                assert_never(event)


def level(state: QuotaState, user_id: str = "") -> QuotaLevel:
    """The counts as a reply."""
    return QuotaLevel(
        total=state.total,
        available=state.available,
        claimed=state.claimed,
        redeemed=state.redeemed,
        per_user=state.per_user,
        starts_at_ms=state.starts_at_ms,
        ends_at_ms=state.ends_at_ms,
        used_by_user=state.users.get(user_id, 0),
    )


def invariant(state: QuotaState) -> list[str]:
    """What does not hold of this state; empty when all is well. Recomputes the sums, for tests and audits."""
    wrong = []
    if min(state.total, state.available, state.claimed, state.redeemed) < 0:
        wrong.append(f"{state.key}: a counter is negative: {level(state)}")
    if state.total != state.available + state.claimed + state.redeemed:
        wrong.append(f"{state.key}: uses appeared or vanished: {level(state)}")
    if state.claimed != sum(claim.quantity for claim in state.claims.values()):
        wrong.append(f"{state.key}: claimed is not the sum of the claims")
    if sum(state.users.values()) != state.claimed + state.redeemed or min(state.users.values(), default=1) <= 0:
        wrong.append(f"{state.key}: the users' uses do not add up")
    if any(outcome_of(state, claim_id) for claim_id in state.claims):
        wrong.append(f"{state.key}: a claim is live and finished at once")
    slotted = {claim_id: slot for slot, claim_ids in state.slots.items() for claim_id in claim_ids}
    if slotted != {claim_id: claim.slot for claim_id, claim in state.claims.items() if claim.slot}:
        wrong.append(f"{state.key}: the slots do not match the claims")
    if state.slot_first != min(state.slots, default=0) or not all(state.slots.values()):
        wrong.append(f"{state.key}: the first slot is wrong")
    return wrong


def _configure(state: QuotaState, command: Configure) -> Outcome:
    same = (state.total, state.per_user, state.starts_at_ms, state.ends_at_ms)
    if state.configured and same == (command.total, command.per_user, command.starts_at_ms, command.ends_at_ms):
        return Accepted(reply=level(state))
    if not 0 <= command.total <= TOTAL_MAX or not 0 <= command.per_user <= TOTAL_MAX:
        return Refused(code="invalid_request", params={"reason": f"total and per_user must be from 0 to {TOTAL_MAX}"})
    if command.starts_at_ms >= command.ends_at_ms:
        return Refused(code="invalid_request", params={"reason": "the window must begin before it ends"})
    used = state.claimed + state.redeemed
    if command.total < used:
        return Refused(code="quota_below_used", params={"used": used})
    event = QuotaConfigured(
        total=command.total,
        per_user=command.per_user,
        starts_at_ms=command.starts_at_ms,
        ends_at_ms=command.ends_at_ms,
    )
    reply = QuotaLevel(
        total=command.total,
        available=command.total - used,
        claimed=state.claimed,
        redeemed=state.redeemed,
        per_user=command.per_user,
        starts_at_ms=command.starts_at_ms,
        ends_at_ms=command.ends_at_ms,
    )
    return Accepted(events=(event,), reply=reply)


def _claim(state: QuotaState, command: Claim, context: Context) -> Outcome:
    reply = QuotaDone(claim_id=command.claim_id)
    finished = outcome_of(state, command.claim_id)
    if command.claim_id in state.claims or finished == REDEEMED:
        return Accepted(reply=reply)
    if finished == GIVEN_BACK:
        return Refused(code="claim_released")
    if not state.configured:
        return Refused(code="coupon_unknown")
    if not 0 < command.quantity <= TOTAL_MAX:
        return Refused(code="quantity_invalid", params={"limit": TOTAL_MAX})
    if not state.starts_at_ms <= context.at_ms < state.ends_at_ms:
        return Refused(code="coupon_not_active")
    if state.per_user and state.users.get(command.user_id, 0) + command.quantity > state.per_user:
        return Refused(code="coupon_limit")
    if command.quantity > state.available:
        return Refused(code="coupon_exhausted")
    event = QuotaClaimed(
        claim_id=command.claim_id,
        order_id=command.order_id,
        user_id=command.user_id,
        quantity=command.quantity,
        deadline_ms=command.deadline_ms,
        holder=command.holder,
    )
    return Accepted(events=(event,), reply=reply)


def _redeem(state: QuotaState, command: Redeem, context: Context) -> Outcome:
    claim = state.claims.get(command.claim_id)
    if claim is not None:
        event = QuotaRedeemed(claim_id=command.claim_id, quantity=claim.quantity, at_ms=context.at_ms)
        return Accepted(events=(event,), reply=QuotaDone(claim_id=command.claim_id))
    match outcome_of(state, command.claim_id):
        case 1:
            return Accepted(reply=QuotaDone(claim_id=command.claim_id))
        case 0:
            return Refused(code="claim_unknown")
        case _:
            return Refused(code="claim_released")


def _give_back(state: QuotaState, command: GiveBack, context: Context) -> Outcome:
    finished = outcome_of(state, command.claim_id)
    if finished == GIVEN_BACK:
        return Accepted(reply=QuotaDone(claim_id=command.claim_id))
    if finished == REDEEMED:
        return Refused(code="claim_redeemed")
    claim = state.claims.get(command.claim_id)
    quantity = claim.quantity if claim else 0
    event = QuotaGivenBack(claim_id=command.claim_id, quantity=quantity, reason="order", at_ms=context.at_ms)
    return Accepted(events=(event,), reply=QuotaDone(claim_id=command.claim_id))


def _reinstate(state: QuotaState, command: Reinstate, context: Context) -> Outcome:
    """Whatever became of it: redeemed uses come back, a claim is given back, and what has not come yet never will."""
    if outcome_of(state, command.claim_id) != REDEEMED:
        return _give_back(state, GiveBack(claim_id=command.claim_id), context)
    if not 0 < command.quantity <= min(state.redeemed, state.users.get(command.user_id, 0)):
        return Refused(code="claim_unknown")
    event = QuotaReinstated(claim_id=command.claim_id, user_id=command.user_id, quantity=command.quantity, at_ms=context.at_ms)
    return Accepted(events=(event,), reply=QuotaDone(claim_id=command.claim_id))


def _ask(state: QuotaState, context: Context) -> Outcome:
    """Ask the orders of overdue claims whether they live. No answer means keep."""
    overdue: list[bytes] = []
    for slot in sorted(slot for slot in state.slots if slot * SLOT_MS <= context.at_ms):
        overdue.extend(claim_id for claim_id in state.slots[slot])
        if len(overdue) >= ASK_MAX:
            break
    if not overdue:
        return Accepted()
    asked = tuple(overdue[:ASK_MAX])
    sends = tuple(_question(state, claim_id, state.claims[claim_id]) for claim_id in asked)
    return Accepted(events=(QuotaAsked(claim_ids=asked),), sends=sends)


def _question(state: QuotaState, claim_id: bytes, claim: LiveClaim) -> Send:
    """A new id for each question: the answer to an earlier one must not stand for this one's."""
    return Send(
        id=derived_id("quota.ask", state.key, claim_id, str(claim.asks)),
        step="ask:" + claim_id.hex(),
        kind=claim.holder,
        key=claim.user_id,
        command=ConfirmHold(order_id=claim.order_id, reservation_id=claim_id),
    )


def _answered(state: QuotaState, command: Answered, context: Context) -> Outcome:
    claim_id = bytes.fromhex(command.step.removeprefix("ask:"))
    claim = state.claims.get(claim_id)
    if claim is None or claim.slot:
        return Accepted()
    if isinstance(command.reply, HoldAlive) and not command.reply.alive:
        event = QuotaGivenBack(claim_id=claim_id, quantity=claim.quantity, reason="abandoned", at_ms=context.at_ms)
        return Accepted(events=(event,))
    return Accepted(events=(QuotaKept(claim_id=claim_id, again_ms=context.at_ms + AGAIN_MS),))


def _apply_configured(state: QuotaState, event: QuotaConfigured) -> None:
    state.configured = True
    state.total = event.total
    state.available = event.total - state.claimed - state.redeemed
    state.per_user = event.per_user
    state.starts_at_ms = event.starts_at_ms
    state.ends_at_ms = event.ends_at_ms


def _apply_claimed(state: QuotaState, event: QuotaClaimed) -> None:
    claim = LiveClaim(order_id=event.order_id, user_id=event.user_id, quantity=event.quantity, slot=0, holder=event.holder)
    state.claims[event.claim_id] = claim
    state.available -= event.quantity
    state.claimed += event.quantity
    state.users[event.user_id] = state.users.get(event.user_id, 0) + event.quantity
    _enslot(state, event.claim_id, claim, event.deadline_ms + GRACE_MS)


def _apply_given_back(state: QuotaState, event: QuotaGivenBack) -> None:
    claim = state.claims.pop(event.claim_id, None)
    if claim is not None:
        _unslot(state, event.claim_id, claim)
        state.claimed -= claim.quantity
        state.available += claim.quantity
        _uncount(state, claim.user_id, claim.quantity)
    remember(state, event.claim_id, GIVEN_BACK, event.at_ms)


def _uncount(state: QuotaState, user_id: str, quantity: int) -> None:
    state.users[user_id] -= quantity
    if not state.users[user_id]:
        del state.users[user_id]


def _enslot(state: QuotaState, claim_id: bytes, claim: LiveClaim, ask_at_ms: int) -> None:
    """Rounded up: a question is never early."""
    claim.slot = max(1, -(-ask_at_ms // SLOT_MS))
    state.slots.setdefault(claim.slot, {})[claim_id] = None
    state.slot_first = min(state.slot_first or claim.slot, claim.slot)


def _unslot(state: QuotaState, claim_id: bytes, claim: LiveClaim) -> None:
    """The least slot is sought anew only when it runs empty."""
    slot, claim.slot = claim.slot, 0
    if not slot:
        return
    del state.slots[slot][claim_id]
    if not state.slots[slot]:
        del state.slots[slot]
        if slot == state.slot_first:
            state.slot_first = min(state.slots, default=0)
