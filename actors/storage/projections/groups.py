"""Which projections stand together. A group has one position a shard: one reading, one transaction, one rebuild."""

from collections.abc import Mapping
from typing import Final

from actors.storage.projections.admission import AdmissionProjection
from actors.storage.projections.ledger import LedgerProjection
from actors.storage.projections.order import OrderProjection
from actors.storage.projections.payment import PaymentProjection
from actors.storage.projections.projection import Projection
from actors.storage.projections.quota import QuotaProjection
from actors.storage.projections.sessions import SessionsProjection
from actors.storage.projections.stock import StockProjection

Group = tuple[type[Projection], ...]

GROUPS: Final[Mapping[str, Group]] = {
    "orders": (
        OrderProjection,
        StockProjection,
        PaymentProjection,
        LedgerProjection,
        QuotaProjection,
        SessionsProjection,
        AdmissionProjection,
    ),
}
