"""The ledger: double entry, every posting sums to zero in its currency.

| account | what it says |
| --- | --- |
| ``provider.receivable`` | money that the payment provider holds for us |
| ``customer.deposits`` | money that came in and is not yet an order's (credit) |
| ``merchant.payable`` | paid orders (credit) |
| ``refunds.payable`` | money promised back and not yet confirmed by the provider (credit) |
| ``suspense`` | money of another amount or currency than asked, kept for a person (credit) |

Debits are positive, credits negative.
"""

from typing import Any, ClassVar, Final, NamedTuple

from actors.storage.projections.projection import Fact, Statement
from schemas.order import OrderPaid, PaymentQuestioned, PaymentSettled, RefundDone, RefundStarted

RECEIVABLE: Final = "provider.receivable"
DEPOSITS: Final = "customer.deposits"
MERCHANT: Final = "merchant.payable"
REFUNDS: Final = "refunds.payable"
SUSPENSE: Final = "suspense"

INSERT_ENTRIES: Final = """
INSERT INTO ledger_entry (posting, account, amount, currency, order_id, at_ms)
SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::bigint[])
"""

INSERT_REFUNDED: Final = """
INSERT INTO ledger_entry (posting, account, amount, currency, order_id, at_ms)
SELECT 'refunded:' || d.refund_id, e.account, e.amount, s.currency, s.order_id, d.at_ms
FROM unnest($1::text[], $2::bigint[]) AS d (refund_id, at_ms)
JOIN ledger_entry s ON s.posting = 'refund:' || d.refund_id AND s.account = 'refunds.payable'
CROSS JOIN LATERAL (VALUES ('refunds.payable', -s.amount), ('provider.receivable', s.amount)) AS e (account, amount)
"""
"""The event of a refund that arrived does not repeat its amount: it stands in the posting that promised it."""


RECOUNT_SALES: Final = "UPDATE watch_state SET recount = true"
"""A rebuild writes entries that no trigger saw: sales by day (``actors.storage.watch.selling``) are counted anew."""


class Entry(NamedTuple):
    """One row of the ledger."""

    posting: str
    account: str
    amount: int
    currency: str
    order_id: str
    at_ms: int


class LedgerProjection:
    """Fills ``ledger_entry``."""

    events: ClassVar[tuple[type, ...]] = (PaymentSettled, PaymentQuestioned, OrderPaid, RefundStarted, RefundDone)
    tables: ClassVar[tuple[str, ...]] = ("ledger_entry",)
    after_swap: ClassVar[tuple[str, ...]] = (RECOUNT_SALES,)

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._refunded: list[tuple[str, int]] = []

    def fold(self, fact: Fact, event: Any, turn: list[Any]) -> None:
        match event:
            case RefundDone():
                self._refunded.append((event.refund_id, event.at_ms))
            case PaymentSettled() | PaymentQuestioned() | OrderPaid() | RefundStarted():
                self._entries.extend(postings(event, turn))
            case _:
                pass

    def statements(self) -> list[Statement]:
        found = []
        if self._entries:
            found.append(Statement(INSERT_ENTRIES, tuple(zip(*self._entries, strict=True))))
        if self._refunded:
            found.append(Statement(INSERT_REFUNDED, tuple(zip(*self._refunded, strict=True))))
        return found


def postings(event: PaymentSettled | PaymentQuestioned | OrderPaid | RefundStarted, turn: list[Any]) -> tuple[Entry, Entry]:
    """The two entries of an event. ``turn``: all events of its record; an order is paid in the turn that settles its payment."""
    match event:
        case PaymentSettled():
            return _pair(f"payment:{event.payment_id}", RECEIVABLE, DEPOSITS, event)
        case PaymentQuestioned():
            return _pair(f"questioned:{event.payment_id}", RECEIVABLE, SUSPENSE, event)
        case RefundStarted():
            return _pair(f"refund:{event.refund_id}", MERCHANT if event.reason == "unfulfillable" else DEPOSITS, REFUNDS, event)
        case OrderPaid():
            settled = next(item for item in turn if isinstance(item, PaymentSettled) and item.payment_id == event.payment_id)
            return _pair(f"order:{event.order_id}", DEPOSITS, MERCHANT, settled)


def _pair(posting: str, debit: str, credit: str, event: PaymentSettled | PaymentQuestioned | RefundStarted) -> tuple[Entry, Entry]:
    return (
        Entry(posting, debit, event.amount, event.currency, event.order_id, event.at_ms),
        Entry(posting, credit, -event.amount, event.currency, event.order_id, event.at_ms),
    )
