"""The table of payments: one row an attempt to pay, with its refund."""

from typing import Any, ClassVar, Final

from actors.storage.projections.projection import Fact, Statement
from schemas.order import (
    PaymentEnded,
    PaymentOpened,
    PaymentQuestioned,
    PaymentSettled,
    PaymentStarted,
    RefundDone,
    RefundFailed,
    RefundStarted,
)

INSERT_PAYMENTS: Final = """
INSERT INTO payment (
    payment_id, order_id, user_id, status, amount, currency, provider_id, refund_id, started_at_ms, shard, updated_seq
)
SELECT * FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[], $8::text[], $9::bigint[], $10::smallint[],
    $11::bigint[]
)
"""

CHANGE_PAYMENTS: Final = """
UPDATE payment p SET
    status = c.status,
    amount = coalesce(c.amount, p.amount),
    currency = coalesce(c.currency, p.currency),
    provider_id = coalesce(nullif(c.provider_id, ''), p.provider_id),
    refund_id = coalesce(c.refund_id, p.refund_id),
    updated_seq = c.seq
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::bigint[])
    AS c (payment_id, status, amount, currency, provider_id, refund_id, seq)
WHERE p.payment_id = c.payment_id
"""

_COLUMNS: Final = {"status": 3, "amount": 4, "currency": 5, "provider_id": 6, "refund_id": 7, "seq": 10}
"""Where a changed value stands in the row of a payment that was started in the same step."""


class PaymentProjection:
    """Fills ``payment``."""

    events: ClassVar[tuple[type, ...]] = (
        PaymentStarted, PaymentOpened, PaymentSettled, PaymentEnded, PaymentQuestioned, RefundStarted, RefundDone, RefundFailed,
    )  # fmt: skip
    tables: ClassVar[tuple[str, ...]] = ("payment",)
    after_swap: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        self._started: dict[str, list[Any]] = {}
        self._changed: dict[str, dict[str, Any]] = {}

    def fold(self, fact: Fact, event: Any, turn: list[Any]) -> None:
        match event:
            case PaymentStarted():
                self._start(fact, event)
            case PaymentOpened():
                self._change(fact, event.payment_id, status="open", provider_id=event.provider_id)
            case PaymentSettled():
                self._change(
                    fact,
                    event.payment_id,
                    status="paid",
                    amount=event.amount,
                    currency=event.currency,
                    provider_id=event.provider_id,
                )
            case PaymentEnded():
                self._change(fact, event.payment_id, status=event.status)
            case PaymentQuestioned():
                self._change(fact, event.payment_id, status="questioned")
            case RefundStarted():
                self._change(fact, event.payment_id, status="refunding", refund_id=event.refund_id)
            case RefundDone():
                self._change(fact, event.payment_id, status="refunded")
            case RefundFailed():
                self._change(fact, event.payment_id, status="refund_failed")
            case _:
                pass

    def statements(self) -> list[Statement]:
        found = []
        if self._started:
            found.append(Statement(INSERT_PAYMENTS, tuple(zip(*self._started.values(), strict=True))))
        if self._changed:
            rows = [(payment_id, *(change.get(name) for name in _COLUMNS)) for payment_id, change in self._changed.items()]
            found.append(Statement(CHANGE_PAYMENTS, tuple(zip(*rows, strict=True))))
        return found

    def _start(self, fact: Fact, event: PaymentStarted) -> None:
        assert event.payment_id not in self._started, f"{event.payment_id} is started twice"
        self._started[event.payment_id] = [
            event.payment_id,
            event.order_id,
            fact.key,
            "opening",
            event.amount,
            event.currency,
            "",
            "",
            event.at_ms,
            fact.shard,
            fact.seq,
        ]

    def _change(self, fact: Fact, payment_id: str, **values: Any) -> None:
        values["seq"] = fact.seq
        if values.get("provider_id") == "":
            del values["provider_id"]
        row = self._started.get(payment_id)
        if row is None:
            self._changed.setdefault(payment_id, {}).update(values)
            return
        for name, value in values.items():
            row[_COLUMNS[name]] = value
