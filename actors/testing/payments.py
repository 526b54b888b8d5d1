"""A payment provider in memory: no sockets, no time of its own, and the same run for the same seed.

It passes the same contract suite as the adapter with the simulator behind it.
"""

import hashlib
import hmac
import random
from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from actors.ports.clock import Clock
from schemas.payment import (
    Decline,
    NoSuchPayment,
    NoSuchRefund,
    Notice,
    NoticeIgnored,
    NoticeRefused,
    PaymentRequest,
    PaymentState,
    PaymentStatus,
    RefundRequest,
    RefundState,
    RefundStatus,
)

TOLERANCE_S: Final = 300
HEADER: Final = "fake-signature"

Outcome = Literal["paid", "declined", "requires_action", "processing"]
Trouble = Literal["lose", "drop"]
"""lose: nothing is done and nothing answered. drop: it is done, and the answer is lost."""


class FakeFaults(msgspec.Struct, frozen=True, kw_only=True):
    """How bad the provider is. Shares are of 1; a call takes up to ``delay_ms_max`` each way.

    notice_lost_share, notice_copies_max: what happens to webhooks, which also come in any order.
    """

    lose_share: float = 0.0
    drop_share: float = 0.0
    delay_ms_max: int = 0
    notice_lost_share: float = 0.0
    notice_copies_max: int = 1


class FakeGateway:
    """Implements ``actors.ports.payments.PaymentGateway``.

    A test or simulation acts as the customer with :meth:`act`, and fetches webhooks with
    :meth:`take_notices` to deliver them when it likes. ``counts`` tells which faults occurred.
    """

    def __init__(
        self, clock: Clock, rng: random.Random, faults: FakeFaults | None = None, *, secret: str = "fake", amount_min: int = 50
    ) -> None:
        self.counts = {"lose": 0, "drop": 0, "notice_lost": 0, "notice_copied": 0}
        self.payments: dict[str, PaymentState] = {}
        self.refunds: dict[str, RefundState] = {}
        self._clock, self._rng, self._faults = clock, rng, faults or FakeFaults()
        self._secret, self._amount_min = secret.encode(), amount_min
        self._processing: set[str] = set()
        self._troubles: list[Trouble] = []
        self._notices: list[Notice] = []
        self._events = 0

    # --- the port ---------------------------------------------------------------------------

    async def create(self, request: PaymentRequest) -> PaymentState:
        """See the port."""
        trouble = await self._arrive()
        if trouble != "lose":
            answer = self._open(request)
        return answer if await self._return(trouble) else _unknown(request.payment_id)

    async def lookup(self, payment_id: str, provider_id: str = "") -> PaymentState | NoSuchPayment:
        """See the port."""
        trouble = await self._arrive()
        found = self.payments.get(payment_id)
        if not await self._return(trouble):
            return _unknown(payment_id)
        if found is None or (provider_id and found.provider_id != provider_id):
            return NoSuchPayment(payment_id=payment_id)
        return found

    async def cancel(self, request: PaymentRequest, provider_id: str = "") -> PaymentState:
        """See the port."""
        trouble = await self._arrive()
        if trouble != "lose":
            answer = self._close(self._open(request))
        return answer if await self._return(trouble) else _unknown(request.payment_id)

    async def refund(self, request: RefundRequest) -> RefundState:
        """See the port."""
        trouble = await self._arrive()
        if trouble != "lose":
            answer = self.refunds.get(request.refund_id) or self._give_back(request)
        return answer if await self._return(trouble) else _unknown_refund(request)

    async def lookup_refund(self, request: RefundRequest) -> RefundState | NoSuchRefund:
        """See the port."""
        trouble = await self._arrive()
        found = self.refunds.get(request.refund_id)
        if not await self._return(trouble):
            return _unknown_refund(request)
        return found or NoSuchRefund(refund_id=request.refund_id)

    def parse_notice(self, headers: Mapping[str, str], body: bytes, now_s: int) -> Notice | NoticeIgnored | NoticeRefused:
        """See the port."""
        given = next((value for name, value in headers.items() if name.lower() == HEADER), "")
        at, _, signature = given.partition(".")
        if not hmac.compare_digest(signature.encode(errors="replace"), self._digest(at, body).encode()):
            return NoticeRefused(code="signature_invalid", reason="no signature matches")
        if abs(now_s - int(at)) > TOLERANCE_S:
            return NoticeRefused(code="signature_stale", reason=f"signed at {at}")
        try:
            return msgspec.json.decode(body, type=Notice)
        except msgspec.DecodeError as error:
            return NoticeRefused(code="malformed_body", reason=str(error))

    # --- the other side: customers, faults, webhooks ------------------------------------------

    def act(self, payment_id: str, outcome: Outcome = "paid", *, amount: int | None = None, force: bool = False) -> PaymentState:
        """A customer's try to pay. KeyError when there is no such payment; ``force`` acts on a closed or paid one as well."""
        before = self.payments[payment_id]
        if before.status is not PaymentStatus.PENDING and not force:
            return before
        self._processing.discard(payment_id)
        replace = msgspec.structs.replace
        match outcome:
            case "paid":
                received = before.amount if amount is None else amount
                after = replace(before, status=PaymentStatus.PAID, amount=received, requires_action=False, decline=None)
            case "declined":
                declined = Decline(code="card_declined", decline_code="generic_decline", message="Your card was declined.")
                after = replace(before, requires_action=False, decline=declined)
            case "requires_action":
                after = replace(before, requires_action=True)
            case "processing":
                self._processing.add(payment_id)
                after = replace(before, requires_action=False)
        return self._keep(after)

    def trouble_next(self, *troubles: Trouble) -> None:
        """The next calls go wrong like this, whatever the shares say."""
        self._troubles.extend(troubles)

    def sign(self, body: bytes, at_s: int) -> dict[str, str]:
        """The headers of a webhook with this body."""
        return {HEADER: f"{at_s}.{self._digest(str(at_s), body)}"}

    def take_notices(self) -> list[tuple[dict[str, str], bytes]]:
        """Webhooks since the last time, (headers, body) each: in any order, some twice, some lost, as the faults say."""
        waiting, self._notices = self._notices, []
        out: list[tuple[dict[str, str], bytes]] = []
        for notice in waiting:
            if self._rng.random() < self._faults.notice_lost_share:
                self.counts["notice_lost"] += 1
                continue
            copies = self._rng.randint(1, self._faults.notice_copies_max)
            self.counts["notice_copied"] += copies - 1
            body = msgspec.json.encode(notice)
            out.extend([(self.sign(body, self._clock.now_ms() // 1000), body)] * copies)
        if self._faults.notice_copies_max > 1:
            self._rng.shuffle(out)
        return out

    # --- rules --------------------------------------------------------------------------------

    def _open(self, request: PaymentRequest) -> PaymentState:
        known = self.payments.get(request.payment_id)
        if known is None and request.amount < self._amount_min:
            return PaymentState(payment_id=request.payment_id, status=PaymentStatus.FAILED, reason="amount_too_small")
        if known is None:
            provider_id = f"fake_{len(self.payments) + 1}"
            opened = PaymentState(
                payment_id=request.payment_id,
                status=PaymentStatus.PENDING,
                provider_id=provider_id,
                order_id=request.order_id,
                user_id=request.user_id,
                amount=request.amount,
                currency=request.currency,
                client_secret=f"{provider_id}_secret",
            )
            return self._keep(opened)
        if known.status is PaymentStatus.PENDING and (known.amount, known.currency) != (request.amount, request.currency):
            return PaymentState(
                payment_id=request.payment_id, status=PaymentStatus.FAILED, provider_id=known.provider_id, reason="amount_differs"
            )
        return known

    def _close(self, payment: PaymentState) -> PaymentState:
        if payment.status is not PaymentStatus.PENDING or payment.payment_id in self._processing:
            return payment
        return self._keep(msgspec.structs.replace(payment, status=PaymentStatus.CLOSED, requires_action=False))

    def _give_back(self, request: RefundRequest) -> RefundState:
        payment = self.payments.get(request.payment_id)
        given_back = sum(refund.amount for refund in self.refunds.values() if refund.payment_id == request.payment_id)
        refused = RefundState(refund_id=request.refund_id, payment_id=request.payment_id, status=RefundStatus.FAILED)
        if payment is None or payment.provider_id != request.provider_id or payment.status is not PaymentStatus.PAID:
            return msgspec.structs.replace(refused, reason="not_paid")
        if request.amount > payment.amount - given_back:
            return msgspec.structs.replace(refused, reason="charge_already_refunded")
        done = RefundState(
            refund_id=request.refund_id,
            status=RefundStatus.DONE,
            payment_id=request.payment_id,
            provider_id=f"fake_refund_{len(self.refunds) + 1}",
            amount=request.amount,
            currency=payment.currency,
        )
        self.refunds[request.refund_id] = done
        self._tell(done)
        return done

    def _keep(self, payment: PaymentState) -> PaymentState:
        self.payments[payment.payment_id] = payment
        self._tell(msgspec.structs.replace(payment, client_secret=""))
        return payment

    def _tell(self, about: PaymentState | RefundState) -> None:
        self._events += 1
        self._notices.append(Notice(event_id=f"evt_{self._events}", created_s=self._clock.now_ms() // 1000, about=about))

    def _digest(self, at: str, body: bytes) -> str:
        return hmac.new(self._secret, at.encode(errors="replace") + b"." + body, hashlib.sha256).hexdigest()

    async def _arrive(self) -> Trouble | None:
        """The way there: how long it takes, and what will go wrong with this call."""
        await self._travel()
        if self._troubles:
            return self._troubles.pop(0)
        drawn = self._rng.random()
        if drawn < self._faults.lose_share:
            return "lose"
        return "drop" if drawn < self._faults.lose_share + self._faults.drop_share else None

    async def _return(self, trouble: Trouble | None) -> bool:
        """The way back: False when no answer comes."""
        await self._travel()
        if trouble is not None:
            self.counts[trouble] += 1
        return trouble is None

    async def _travel(self) -> None:
        if self._faults.delay_ms_max:
            await self._clock.sleep(self._rng.uniform(0, self._faults.delay_ms_max) / 1000)


def _unknown(payment_id: str) -> PaymentState:
    return PaymentState(payment_id=payment_id, status=PaymentStatus.UNKNOWN, reason="no answer")


def _unknown_refund(request: RefundRequest) -> RefundState:
    return RefundState(refund_id=request.refund_id, payment_id=request.payment_id, status=RefundStatus.UNKNOWN, reason="no answer")
