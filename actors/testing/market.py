"""Order books, stock and quotas played by their rules alone, with every message in the tester's hand.

No owners, no journal, no time of its own: :meth:`Market.ask` takes one turn, what it sends waits in
``sends`` until :meth:`Market.carry` delivers it, so that a test can try every order of things.
"""

from typing import Any, Final

import msgspec

from actors.domain.entity import Accepted, Answered, Context, Outcome, Plan, Refused, Send, Wake
from actors.domain.kinds import KINDS, WireSend, body_decoder, encoder
from schemas.offer import CouponTerms, Offer, SaleTerms
from schemas.order import Address

HOME: Final = Address(
    country="CN", name="李雷", phone="+86 13800138000", line1="中山路 1 号", city="南京市", region="江苏省", district="玄武区"
)
"""Where the buyers of tests live."""


class Market:
    """Entities by (kind, key), facts by name, and messages on their way."""

    def __init__(self, facts: dict[str, Any] | None = None, *, staged: bool = False) -> None:
        self.facts = facts or {}
        self.staged = staged
        self.now_ms = 1_700_000_000_000
        self.states: dict[tuple[str, str], Any] = {}
        self.events: dict[tuple[str, str], list[Any]] = {}
        self.sends: list[tuple[tuple[str, str], Send]] = []
        self.answers: dict[bytes, Any] = {}
        self._turns = 0

    def state(self, kind: str, key: str) -> Any:
        """The state of an entity, made when it is new."""
        return self.states.setdefault((kind, key), KINDS[kind].new(key))

    def ask(self, kind: str, key: str, command: Any, command_id: bytes = b"") -> Any:
        """One command: its reply, or its :class:`Refused`; None when the answer comes later, in ``answers``."""
        self._turns += 1
        command_id = command_id or b"turn %d" % self._turns
        outcome = self._decide(kind, key, command, command_id)
        if isinstance(outcome, Plan):
            outcome = outcome.staged() if self.staged else self._direct(outcome, command_id)
        if isinstance(outcome, Refused):
            return outcome
        self._take((kind, key), outcome)
        return outcome.reply

    def wake(self, kind: str, key: str) -> None:
        """Time passes until the entity wants to be woken, and it is."""
        due_ms = KINDS[kind].wake_at(self.state(kind, key))
        assert due_ms is not None, f"{kind} {key} sleeps"
        self.now_ms = max(self.now_ms, due_ms)
        self.ask(kind, key, Wake())

    def carry(self, index: int = 0, *, answer: bool = True) -> Any:
        """Deliver one message, and its answer unless that is lost (then it stays, to be carried again)."""
        sender, send = self.sends[index]
        reply = self.ask(send.kind, send.key, send.command, send.id)
        if answer:
            del self.sends[index]
            self.answer(sender, send.step, reply)
        return reply

    def carry_all(self) -> None:
        """Deliver messages between entities until only those to a provider are left."""
        while (index := next((i for i, (_, send) in enumerate(self.sends) if send.kind in KINDS), None)) is not None:
            self.carry(index)

    def answer(self, sender: tuple[str, str], step: str, reply: Any) -> None:
        """Tell a sender the answer to its message."""
        told = Answered(step=step, refused=reply) if isinstance(reply, Refused) else Answered(step=step, reply=reply)
        self.ask(*sender, told)

    def reply_from_provider(self, verb: str, reply: Any) -> None:
        """The provider answers the first message of this verb (open, close, poll, refund)."""
        index = next(i for i, (_, send) in enumerate(self.sends) if send.step.startswith(verb + ":"))
        sender, send = self.sends.pop(index)
        self.answer(sender, send.step, reply)

    def check(self) -> None:
        """Every entity's invariants hold, and its events alone give its state."""
        for (kind, key), state in self.states.items():
            replayed = KINDS[kind].new(key)
            for event in self.events.get((kind, key), []):
                KINDS[kind].apply(replayed, event)
            assert replayed == state, f"{kind} {key}"
            assert msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=KINDS[kind].state) == state

    def _decide(self, kind: str, key: str, command: Any, command_id: bytes) -> Outcome:
        state = self.state(kind, key)
        before = msgspec.msgpack.encode(state)
        outcome = KINDS[kind].decide(state, command, Context(at_ms=self.now_ms, command_id=command_id, facts=self.facts))
        assert msgspec.msgpack.encode(state) == before, "decide changed the state"
        return outcome

    def _direct(self, plan: Plan, command_id: bytes) -> Accepted | Refused:
        agreed = []
        for index, ask in enumerate(plan.asks):
            outcome: Outcome = Refused(code="nobody_was_asked")
            for key in ask.keys:
                outcome = self._decide(ask.kind, key, ask.command, command_id)
                if isinstance(outcome, Accepted):
                    agreed.append((ask.kind, key, outcome))
                    break
            if isinstance(outcome, Refused):
                return plan.refuse(index, outcome)
        for kind, key, accepted in agreed:
            self._take((kind, key), accepted)
        return plan.direct(tuple(key for _, key, _ in agreed), tuple(accepted.reply for _, _, accepted in agreed))

    def _take(self, entity: tuple[str, str], accepted: Accepted) -> None:
        stored = body_decoder.decode(encoder.encode((accepted.events, b"", accepted.reply, accepted.completes)))
        for event in stored.events:
            KINDS[entity[0]].apply(self.state(*entity), event)
            self.events.setdefault(entity, []).append(event)
        for send in accepted.sends:
            encoder.encode(WireSend(send.id, send.step, send.kind, send.key, send.command))
            self.sends.append((entity, send))
        self.answers.update(accepted.completes)


def shop(*, parts: int = 1, limit: int = 3, ticket: bool = False) -> dict[str, Any]:
    """The facts of a small shop: two SKUs, a sale of the first, and some coupons."""
    forever = 2**50
    facts: list[tuple[str, Any]] = [
        ("sku:sku_a", Offer(sku_id="sku_a", product_id="prd_a", price=1000, currency="CNY", parts=parts, version=4)),
        ("sku:sku_b", Offer(sku_id="sku_b", product_id="prd_b", price=333, currency="CNY", version=7)),
        ("sku:sku_eur", Offer(sku_id="sku_eur", product_id="prd_eur", price=333, currency="EUR")),
        ("sku:sku_off", Offer(sku_id="sku_off", product_id="prd_off", price=333, currency="CNY", on_sale=False)),
    ]
    for sale_id, state in (("sal_open", "open"), ("sal_closed", "closed"), ("sal_entering", "entering"), ("sal_ended", "ended")):
        terms = SaleTerms(
            sale_id=sale_id, state=state, opens_at_ms=0, ends_at_ms=forever, prices={"sku_a": 900}, currency="CNY", limit_per_user=limit,
            ticket_required=ticket,
        )  # fmt: skip
        facts.append(("sale:" + sale_id, terms))
    for coupon_id, method, value, products in (
        ("cpn_10", "percent", 10, frozenset[str]()),
        ("cpn_all", "percent", 100, frozenset[str]()),
        ("cpn_500", "amount", 500, frozenset[str]()),
        ("cpn_b", "percent", 50, frozenset(["prd_b"])),
    ):
        coupon = CouponTerms(coupon_id=coupon_id, method=method, value=value, currency="CNY", ends_at_ms=forever, product_ids=products)
        facts.append(("coupon:" + coupon_id, coupon))
    return dict(facts)
