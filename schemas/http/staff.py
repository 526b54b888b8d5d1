"""Staff over HTTP: roles, the trail of actions, people with their personal fields masked."""

from typing import Annotated, Literal

import msgspec

from schemas.http.catalogue import Titles
from schemas.http.orders import OrderInList, OrderLine
from schemas.http.shapes import Timestamp
from schemas.money import Money

Reason = Annotated[str, msgspec.Meta(min_length=3, max_length=500, description="why, for the trail", examples=["ticket 4711"])]
MerchantRef = Annotated[str, msgspec.Meta(pattern="^mer_[A-Za-z0-9_.-]{1,58}$", description="a merchant", examples=["mer_1"])]
Field = Literal["identities", "addresses"]


class GrantRole(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Give a role. ``merchant_id``: of a merchant, and of nobody else."""

    reason: Reason
    merchant_id: MerchantRef | None = None


class RoleGrant(msgspec.Struct, frozen=True, kw_only=True):
    """One role of one user."""

    user_id: str
    role: str
    merchant_id: str | None
    granted_by: str
    granted_at: Timestamp


class RoleGrants(msgspec.Struct, frozen=True, kw_only=True):
    """The roles of a user."""

    roles: tuple[RoleGrant, ...]


class StaffAction(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the trail. ``state``: done, intended, failed. An intention and its end share ``action_id``."""

    seq: int
    action_id: str
    state: str
    at: Timestamp
    actor_id: str
    role: str
    permission: str
    target: str
    reason: str
    before: str
    after: str
    request_id: str


class StaffActionPage(msgspec.Struct, frozen=True, kw_only=True):
    """The newest first; ``next_cursor`` is null on the last page."""

    actions: tuple[StaffAction, ...]
    next_cursor: str | None


class IdentitySeen(msgspec.Struct, frozen=True, kw_only=True):
    """By what somebody logs in: masked, or in the clear where that was asked for."""

    identity_id: str
    kind: str
    subject: str
    name: str


class AddressSeen(msgspec.Struct, frozen=True, kw_only=True):
    """Where somebody lives: masked, or in the clear where that was asked for. The town is shown."""

    address_id: str
    country: str
    region: str
    city: str
    district: str
    postal_code: str
    name: str
    phone: str
    line1: str
    line2: str


class MembershipSeen(msgspec.Struct, frozen=True, kw_only=True):
    """How somebody stands. ``support_queue``: where their questions wait; ``priority``: whose parcels are packed first, the highest."""

    level_id: str
    titles: Titles
    priority: int
    support_queue: str
    points: int


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """An account as staff see it. What was not asked for in the clear is masked."""

    user_id: str
    status: str
    roles: tuple[str, ...]
    identities: tuple[IdentitySeen, ...]
    addresses: tuple[AddressSeen, ...]
    membership: MembershipSeen | None = None


class Unmask(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Show these fields in the clear; that is written down."""

    reason: Reason
    fields: Annotated[tuple[Field, ...], msgspec.Meta(min_length=1, max_length=2)]


class ForReason(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Do it, and say why."""

    reason: Reason


class PersonState(msgspec.Struct, frozen=True, kw_only=True):
    """Whether an account may log in: active or disabled."""

    user_id: str
    status: str


class StaffOrderPage(msgspec.Struct, frozen=True, kw_only=True):
    """The newest orders of an account."""

    orders: tuple[OrderInList, ...]


class PaidOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A paid order, for whoever packs it. ``priority``: of the buyer's level when the order was paid, the highest first."""

    order_id: str
    user_id: str
    priority: int
    placed_at: Timestamp
    total: Money
    points: int
    points_discount: Money | None
    shipping: Money | None
    lines: tuple[OrderLine, ...]


class PaidOrders(msgspec.Struct, frozen=True, kw_only=True):
    """In the order that was asked for; ``next_cursor`` is null on the last page."""

    orders: tuple[PaidOrder, ...]
    next_cursor: str | None


class StockSeen(msgspec.Struct, frozen=True, kw_only=True):
    """One part of an article's stock, as the table last knew it."""

    key: str
    available: int
    held: int
    sold: int
    written_off: int


class StockLevels(msgspec.Struct, frozen=True, kw_only=True):
    """All parts of an article."""

    sku_id: str
    parts: tuple[StockSeen, ...]


class CouponSeen(msgspec.Struct, frozen=True, kw_only=True):
    """One coupon, and how many are taken."""

    coupon_id: str
    title: str
    title_zh: str
    total: int
    claimed: int
    redeemed: int


class CouponPage(msgspec.Struct, frozen=True, kw_only=True):
    """By id; ``next_cursor`` is null on the last page."""

    coupons: tuple[CouponSeen, ...]
    next_cursor: str | None


class LedgerLine(msgspec.Struct, frozen=True, kw_only=True):
    """One entry. The entries of one posting sum to zero."""

    posting: str
    account: str
    amount: Money
    at: Timestamp


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """All entries of one order."""

    order_id: str
    entries: tuple[LedgerLine, ...]


class MerchantProduct(msgspec.Struct, frozen=True, kw_only=True):
    """One product of one's own firm."""

    product_id: str
    title: str
    title_zh: str


class MerchantProducts(msgspec.Struct, frozen=True, kw_only=True):
    """By id; ``next_cursor`` is null on the last page."""

    products: tuple[MerchantProduct, ...]
    next_cursor: str | None


class MerchantOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order with the lines that are of one's own firm; who bought, and what else, is not shown."""

    order_id: str
    status: str
    placed_at: Timestamp
    lines: tuple[OrderLine, ...]


class MerchantOrders(msgspec.Struct, frozen=True, kw_only=True):
    """The newest first. A page may be empty and go on: it looks through so many orders at once. Null: the last page."""

    orders: tuple[MerchantOrder, ...]
    next_cursor: str | None


class ResetAsked(msgspec.Struct, frozen=True, kw_only=True):
    """A reset of second factors waits until ``due_at`` for its owner to object."""

    reset_id: str
    state: str
    due_at: Timestamp


class AnswerReset(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``code``: of the notice. cancel: nothing changes. confirm: at once."""

    code: Annotated[str, msgspec.Meta(min_length=16, max_length=40)]
    decision: Literal["cancel", "confirm"]


class ResetAnswered(msgspec.Struct, frozen=True, kw_only=True):
    """``state``: cancelled or done."""

    state: str
