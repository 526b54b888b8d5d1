"""The simulator's books: intents and refunds, and the rules by which they change. No HTTP here.

Every operation answers with the object or a :class:`Refusal`, and tells ``on_event`` what happened.
"""

import random
import re
import string
from collections.abc import Callable
from typing import Final

import msgspec

from actors.testing.stripe_simulator.forms import Form, Refusal, charge_amount, metadata, refusal, text, whole_number
from actors.testing.stripe_simulator.plan import Outcome, Pay
from schemas.providers.stripe import CardError, Error, PaymentIntent, PaymentIntentList, Refund, RefundList

INTENTS_MAX: Final = 500_000
"""Beyond it the oldest are forgotten, so that a long load test does not fill the machine (an intent takes ~1 KB)."""

_CANCELABLE: Final = ("requires_payment_method", "requires_capture", "requires_confirmation", "requires_action")
_CONFIRMABLE: Final = ("requires_payment_method", "requires_confirmation", "requires_action")
_ALPHABET: Final = string.ascii_letters + string.digits
_TERM: Final = re.compile(r"""\s*metadata\[(['"])([^'"]+)\1\]\s*:\s*(['"])((?:[^'"\\]|\\.)*)\3\s*\Z""")

METHODS: Final[dict[str, Outcome]] = {
    "pm_card_visa": "paid",
    "pm_card_mastercard": "paid",
    "pm_card_unionpay": "paid",
    "pm_card_chargeDeclined": "declined",
    "pm_card_visa_chargeDeclined": "declined",
    "pm_card_visa_chargeDeclinedInsufficientFunds": "insufficient_funds",
    "pm_card_authenticationRequired": "requires_action",
    "pm_card_threeDSecure2Required": "requires_action",
    "pm_usBankAccount_success": "processing",
}
"""Stripe's own test payment methods, and what each leads to. https://docs.stripe.com/testing"""

_DECLINES: Final = {
    "declined": CardError(type="card_error", code="card_declined", decline_code="generic_decline", message="Your card was declined."),
    "insufficient_funds": CardError(
        type="card_error", code="card_declined", decline_code="insufficient_funds", message="Your card has insufficient funds."
    ),
}

EventSink = Callable[[str, PaymentIntent | Refund], None]


class Books(msgspec.Struct, frozen=True, kw_only=True):
    """What survives a restart. ``searchable_at``: when the search index shows an intent."""

    intents: dict[str, PaymentIntent] = {}
    refunds: dict[str, Refund] = {}
    searchable_at: dict[str, float] = {}


class Ledger:
    """One Stripe account. ``now`` gives UTC seconds; ``search_lag_s`` is how far the search index is behind."""

    def __init__(self, now: Callable[[], float], rng: random.Random, on_event: EventSink, *, search_lag_s: float = 0.0) -> None:
        self.books = Books()
        self.search_lag_s = search_lag_s
        self._now, self._rng, self._on_event = now, rng, on_event

    def create(self, form: Form) -> PaymentIntent | Refusal:
        """POST /v1/payment_intents."""
        asked, extra = charge_amount(form), metadata(form)
        if isinstance(asked, Refusal):
            return asked
        if isinstance(extra, Refusal):
            return extra
        intent_id = self._new_id("pi_")
        intent = PaymentIntent(
            id=intent_id,
            amount=asked[0],
            currency=asked[1],
            status="requires_payment_method",
            client_secret=f"{intent_id}_secret_{self._random(25)}",
            created=int(self._now()),
            metadata=extra,
        )
        self.books.searchable_at[intent_id] = self._now() + self.search_lag_s
        self._forget_oldest()
        return self._keep(intent, "payment_intent.created")

    def retrieve(self, intent_id: str) -> PaymentIntent | Refusal:
        """GET /v1/payment_intents/{id}."""
        return self.books.intents.get(intent_id) or _no_such("payment_intent", intent_id, "intent")

    def list_intents(self, limit: int, after: str, created_min: int) -> PaymentIntentList | Refusal:
        """GET /v1/payment_intents, newest first."""
        newest = list(reversed(self.books.intents.values()))
        if after:
            if after not in self.books.intents:
                return _no_such("payment_intent", after, "starting_after")
            newest = newest[1 + newest.index(self.books.intents[after]) :]
        found = [intent for intent in newest if intent.created >= created_min]
        return PaymentIntentList(data=found[:limit], has_more=len(found) > limit)

    def search(self, query: str, limit: int) -> PaymentIntentList | Refusal:
        """GET /v1/payment_intents/search, for ``metadata['key']:'value'``; sees what the index has by now."""
        term = _TERM.match(query)
        if term is None:
            return refusal("We were unable to parse your search query.", param="query")
        key, value = term[2], re.sub(r"\\(.)", r"\1", term[4])
        now = self._now()
        found = [i for i in self.books.intents.values() if i.metadata.get(key) == value and self.books.searchable_at.get(i.id, 0) <= now]
        return PaymentIntentList(data=found[:limit], has_more=len(found) > limit)

    def cancel(self, intent_id: str, form: Form) -> PaymentIntent | Refusal:
        """POST /v1/payment_intents/{id}/cancel."""
        intent = self.retrieve(intent_id)
        if isinstance(intent, Refusal):
            return intent
        if intent.status not in _CANCELABLE:
            return _unexpected_state("cancel", "canceled", intent, _CANCELABLE)
        closed = msgspec.structs.replace(
            intent, status="canceled", canceled_at=int(self._now()), cancellation_reason=text(form, "cancellation_reason") or None
        )
        return self._keep(closed, "payment_intent.canceled")

    def confirm(self, intent_id: str, form: Form) -> PaymentIntent | Refusal:
        """POST /v1/payment_intents/{id}/confirm, as the customer's browser does."""
        intent = self.retrieve(intent_id)
        if isinstance(intent, Refusal):
            return intent
        method = text(form, "payment_method")
        if method not in METHODS:
            return _no_such("PaymentMethod", method, "payment_method")
        if intent.status not in _CONFIRMABLE:
            return _unexpected_state("confirm", "confirmed", intent, _CONFIRMABLE)
        after = self.act(intent, Pay(payment=intent.id, outcome=METHODS[method]))
        error = after.last_payment_error
        if after.status == "requires_payment_method" and error is not None:
            card_error = Error(
                type=error.type, code=error.code, decline_code=error.decline_code, message=error.message, payment_intent=after
            )
            return Refusal(status=402, error=card_error)
        return after

    def act(self, intent: PaymentIntent, pay: Pay) -> PaymentIntent:
        """What a customer's try leads to, whatever the state was: the control API may force it."""
        replace = msgspec.structs.replace
        match pay.outcome:
            case "paid":
                received = intent.amount if pay.amount is None else pay.amount
                charge = intent.latest_charge or self._new_id("ch_")
                paid = replace(
                    intent,
                    status="succeeded",
                    amount_received=received,
                    latest_charge=charge,
                    last_payment_error=None,
                    next_action=None,
                    canceled_at=None,
                )
                return self._keep(paid, "payment_intent.succeeded")
            case "requires_action":
                redirect = {"type": "redirect_to_url", "redirect_to_url": {"url": f"https://hooks.stripe.com/3d_secure/{intent.id}"}}
                return self._keep(replace(intent, status="requires_action", next_action=redirect), "payment_intent.requires_action")
            case "processing":
                return self._keep(replace(intent, status="processing"), "payment_intent.processing")
            case "declined" | "insufficient_funds":
                declined = replace(intent, status="requires_payment_method", last_payment_error=_DECLINES[pay.outcome])
                return self._keep(declined, "payment_intent.payment_failed")

    def find(self, payment: str) -> PaymentIntent | None:
        """An intent by its own id, or the newest one of a payment id of the shop's."""
        intents = self.books.intents
        return intents.get(payment) or next((i for i in reversed(intents.values()) if i.metadata.get("payment_id") == payment), None)

    def refund(self, form: Form) -> Refund | Refusal:
        """POST /v1/refunds."""
        intent = self.retrieve(text(form, "payment_intent"))
        extra = metadata(form)
        if isinstance(intent, Refusal):
            return _no_such("payment_intent", text(form, "payment_intent"), "payment_intent", status=400)
        if isinstance(extra, Refusal):
            return extra
        if intent.status != "succeeded" or intent.latest_charge is None:
            return refusal("This PaymentIntent does not have a successful charge to refund.", param="payment_intent")
        given_back = sum(r.amount for r in self._refunds_of(intent.id) if r.status in ("succeeded", "pending"))
        left = intent.amount_received - given_back
        if left == 0:
            return refusal(f"Charge {intent.latest_charge} has already been refunded.", code="charge_already_refunded")
        amount = whole_number(form, "amount") if "amount" in form else left
        if isinstance(amount, Refusal):
            return amount
        if amount > left:
            return refusal(f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})", param="amount")
        refund = Refund(
            id=self._new_id("re_"),
            amount=amount,
            currency=intent.currency,
            status="succeeded",
            charge=intent.latest_charge,
            created=int(self._now()),
            metadata=extra,
            payment_intent=intent.id,
        )
        self.books.refunds[refund.id] = refund
        self._on_event("refund.created", refund)
        return refund

    def retrieve_refund(self, refund_id: str) -> Refund | Refusal:
        """GET /v1/refunds/{id}."""
        return self.books.refunds.get(refund_id) or _no_such("refund", refund_id, "id")

    def list_refunds(self, intent_id: str, limit: int) -> RefundList | Refusal:
        """GET /v1/refunds?payment_intent=..., newest first."""
        if intent_id not in self.books.intents:
            return _no_such("payment_intent", intent_id, "payment_intent")
        found = self._refunds_of(intent_id)[::-1]
        return RefundList(data=found[:limit], has_more=len(found) > limit)

    def _refunds_of(self, intent_id: str) -> list[Refund]:
        return [refund for refund in self.books.refunds.values() if refund.payment_intent == intent_id]

    def _keep(self, intent: PaymentIntent, event: str) -> PaymentIntent:
        self.books.intents[intent.id] = intent
        self._on_event(event, intent)
        return intent

    def _forget_oldest(self) -> None:
        while len(self.books.intents) >= INTENTS_MAX:
            oldest = next(iter(self.books.intents))
            del self.books.intents[oldest]
            self.books.searchable_at.pop(oldest, None)

    def _new_id(self, prefix: str) -> str:
        return prefix + self._random(24)

    def _random(self, length: int) -> str:
        return "".join(self._rng.choices(_ALPHABET, k=length))


def _no_such(what: str, name: str, param: str, *, status: int = 404) -> Refusal:
    return refusal(f"No such {what}: '{name}'", code="resource_missing", param=param, status=status)


def _unexpected_state(verb: str, participle: str, intent: PaymentIntent, allowed: tuple[str, ...]) -> Refusal:
    message = (
        f"You cannot {verb} this PaymentIntent because it has a status of {intent.status}. "
        f"Only a PaymentIntent with one of the following statuses may be {participle}: {', '.join(allowed)}."
    )
    return refusal(message, code="payment_intent_unexpected_state", intent=intent)
