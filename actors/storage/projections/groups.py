"""Which projections stand together. A group has one position a shard: one reading, one transaction, one rebuild."""

from collections.abc import Mapping
from typing import Final

from actors.domain.kinds import KINDS
from actors.storage.projections.admission import AdmissionProjection
from actors.storage.projections.ledger import LedgerProjection
from actors.storage.projections.members import PointsProjection, SignInProjection, StandingProjection
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
    "members": (StandingProjection, PointsProjection, SignInProjection),
}


def kinds_of(group: Group) -> list[str]:
    """The kinds of entity whose records the group wants: those that write an event which one of its projections takes."""
    taken = {event for projection in group for event in projection.events}
    return sorted(name for name, kind in KINDS.items() if not taken.isdisjoint(kind.events))
