"""The quota of one coupon, in total and for each user: commands, events, replies."""

import msgspec

# --- commands ---------------------------------------------------------------------------------


class Configure(msgspec.Struct, frozen=True, kw_only=True, tag="quota.configure"):
    """Set the terms. ``per_user`` 0: no limit for one user. The window is [starts_at_ms, ends_at_ms)."""

    total: int
    per_user: int = 0
    starts_at_ms: int = 0
    ends_at_ms: int = 2**53


class Claim(msgspec.Struct, frozen=True, kw_only=True, tag="quota.claim", omit_defaults=True):
    """Keep ``quantity`` uses for an order until its deadline (UTC, ms). Same id: same answer.

    ``holder``: the kind of entity, of this user, that knows whether the order lives.
    """

    claim_id: bytes
    order_id: str
    user_id: str
    deadline_ms: int
    quantity: int = 1
    holder: str = "order"


class Redeem(msgspec.Struct, frozen=True, kw_only=True, tag="quota.redeem"):
    """The order is paid: the claimed uses are spent."""

    claim_id: bytes


class GiveBack(msgspec.Struct, frozen=True, kw_only=True, tag="quota.give_back"):
    """The order will not be: its uses are available again. Before its ``Claim`` it leaves a tombstone."""

    claim_id: bytes


class Reinstate(msgspec.Struct, frozen=True, kw_only=True, tag="quota.reinstate"):
    """The uses come back, redeemed or still claimed (an order that was paid and cannot be delivered).

    Before its ``Claim`` it leaves a tombstone, as ``GiveBack`` does.
    """

    claim_id: bytes
    user_id: str
    quantity: int = 1


class ReadQuota(msgspec.Struct, frozen=True, kw_only=True, tag="quota.read"):
    """Ask for the exact counts; with ``user_id`` also for those of one user."""

    user_id: str = ""


# --- events -----------------------------------------------------------------------------------


class QuotaConfigured(msgspec.Struct, frozen=True, kw_only=True, tag="quota.configured"):
    total: int
    per_user: int
    starts_at_ms: int
    ends_at_ms: int


class QuotaClaimed(msgspec.Struct, frozen=True, kw_only=True, tag="quota.claimed", omit_defaults=True):
    claim_id: bytes
    order_id: str
    user_id: str
    quantity: int
    deadline_ms: int
    holder: str = "order"


class QuotaRedeemed(msgspec.Struct, frozen=True, kw_only=True, tag="quota.redeemed"):
    claim_id: bytes
    quantity: int
    at_ms: int


class QuotaGivenBack(msgspec.Struct, frozen=True, kw_only=True, tag="quota.given_back"):
    """``quantity`` is 0 when nothing was claimed: the tombstone of a claim that may still come.

    ``reason``: order (it said so itself), abandoned (asked, it did not live).
    """

    claim_id: bytes
    quantity: int
    reason: str
    at_ms: int


class QuotaReinstated(msgspec.Struct, frozen=True, kw_only=True, tag="quota.reinstated"):
    """Redeemed uses of this user are available again."""

    claim_id: bytes
    user_id: str
    quantity: int
    at_ms: int


class QuotaAsked(msgspec.Struct, frozen=True, kw_only=True, tag="quota.asked"):
    """The orders of these overdue claims were asked whether they live."""

    claim_ids: tuple[bytes, ...]


class QuotaKept(msgspec.Struct, frozen=True, kw_only=True, tag="quota.kept"):
    """The order of an overdue claim lives, or cannot say: ask again at ``again_ms``."""

    claim_id: bytes
    again_ms: int


# --- replies ----------------------------------------------------------------------------------


class QuotaLevel(msgspec.Struct, frozen=True, kw_only=True, tag="quota.level"):
    """Counts. ``total = available + claimed + redeemed`` always holds. ``used_by_user``: claimed or redeemed by whom was asked for."""

    total: int
    available: int
    claimed: int
    redeemed: int
    per_user: int
    starts_at_ms: int
    ends_at_ms: int
    used_by_user: int = 0


class QuotaDone(msgspec.Struct, frozen=True, kw_only=True, tag="quota.done"):
    """The command on this claim took effect, now or when it first came."""

    claim_id: bytes
