"""Admission to one flash sale: commands, events, replies."""

import msgspec

# --- commands ---------------------------------------------------------------------------------


class Configure(msgspec.Struct, frozen=True, kw_only=True, tag="sale.configure"):
    """Set the terms, as long as the sale has never been open. Times are UTC, ms.

    ``mode``: first_come or draw. A draw also needs ``draws_at_ms``, ``winners_max`` and ``seed``: 32
    random bytes, of which only the SHA-256 is shown before the draw. ``rate_per_s`` (tickets of
    this sale a second; 0: no limit of its own) and ``ticket_ttl_ms`` are carried for the edge.
    """

    mode: str
    sku_ids: tuple[str, ...]
    opens_at_ms: int
    ends_at_ms: int
    draws_at_ms: int = 0
    ticket_ttl_ms: int = 300_000
    winners_max: int = 0
    rate_per_s: int = 0
    seed: bytes = b""


class Open(msgspec.Struct, frozen=True, kw_only=True, tag="sale.open"):
    """Open now: before its time, or again after a close."""


class Close(msgspec.Struct, frozen=True, kw_only=True, tag="sale.close"):
    """Close for the moment; only ``Open`` opens it again."""


class End(msgspec.Struct, frozen=True, kw_only=True, tag="sale.end"):
    """End for good."""


class Enter(msgspec.Struct, frozen=True, kw_only=True, tag="sale.enter"):
    """This user takes part in the draw, once."""

    user_id: str


class Draw(msgspec.Struct, frozen=True, kw_only=True, tag="sale.draw"):
    """Draw now instead of at the set time."""


class IsWinner(msgspec.Struct, frozen=True, kw_only=True, tag="sale.is_winner"):
    """Ask whether this user was drawn."""

    user_id: str


class MarkSoldOut(msgspec.Struct, frozen=True, kw_only=True, tag="sale.mark_sold_out"):
    """Told by stock: nothing of this SKU is available. ``stock_seq`` orders such news; an older one is ignored (0: unordered)."""

    sku_id: str
    stock_seq: int = 0


class Restocked(msgspec.Struct, frozen=True, kw_only=True, tag="sale.restocked"):
    """Told by stock: units of this SKU were given back. ``stock_seq`` as in ``MarkSoldOut``."""

    sku_id: str
    stock_seq: int = 0


class ReadSale(msgspec.Struct, frozen=True, kw_only=True, tag="sale.read"):
    """Ask for the sale, exactly."""


# --- events -----------------------------------------------------------------------------------


class SaleConfigured(msgspec.Struct, frozen=True, kw_only=True, tag="sale.configured"):
    mode: str
    sku_ids: tuple[str, ...]
    opens_at_ms: int
    ends_at_ms: int
    draws_at_ms: int
    ticket_ttl_ms: int
    winners_max: int
    rate_per_s: int
    seed: bytes


class SaleMoved(msgspec.Struct, frozen=True, kw_only=True, tag="sale.moved"):
    """The sale went from one state to the next. ``trigger``: the key of the transition table that moved it."""

    state: str
    trigger: str
    at_ms: int


class SaleEntered(msgspec.Struct, frozen=True, kw_only=True, tag="sale.entered"):
    user_id: str
    at_ms: int


class SaleDrawn(msgspec.Struct, frozen=True, kw_only=True, tag="sale.was_drawn"):
    """Everything that anybody needs to check the draw: the seed, the roll of the entrants, the highest winning rank.

    An entrant won if ``actors.domain.admission.rank(seed, roll, user_id) <= cutoff``.
    """

    seed: bytes
    roll: bytes
    cutoff: bytes
    entrants: int
    winners: int
    at_ms: int


class SaleStockTold(msgspec.Struct, frozen=True, kw_only=True, tag="sale.stock_told"):
    sku_id: str
    sold_out: bool
    stock_seq: int
    at_ms: int


# --- replies ----------------------------------------------------------------------------------


class SaleView(msgspec.Struct, frozen=True, kw_only=True, tag="sale.view"):
    """The sale after the command. ``state``: closed, open, entering, drawn, sold_out or ended.

    ``seed``, ``roll`` and ``cutoff`` are empty until the draw; ``seed_hash`` is the SHA-256 of the seed.
    """

    sale_id: str
    state: str
    mode: str
    sku_ids: tuple[str, ...]
    sold_out_sku_ids: tuple[str, ...]
    opens_at_ms: int
    draws_at_ms: int
    ends_at_ms: int
    ticket_ttl_ms: int
    winners_max: int
    rate_per_s: int
    entrants: int
    winners: int
    seed_hash: bytes
    seed: bytes
    roll: bytes
    cutoff: bytes


class DrawEntered(msgspec.Struct, frozen=True, kw_only=True, tag="sale.draw_entered"):
    """This user takes part."""

    draws_at_ms: int


class Winner(msgspec.Struct, frozen=True, kw_only=True, tag="sale.winner"):
    """Whether the user was drawn."""

    won: bool
