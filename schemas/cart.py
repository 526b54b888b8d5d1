"""A cart, of a user or a guest: commands, events, replies. Prices are never here: a cart says what and how many."""

import msgspec

from schemas.order import Line

# --- commands ---------------------------------------------------------------------------------


class PutLine(msgspec.Struct, frozen=True, kw_only=True, tag="cart.put"):
    """Let the line of this SKU be ``quantity`` (0 to 999); 0 removes it."""

    sku_id: str
    quantity: int


class RemoveLine(msgspec.Struct, frozen=True, kw_only=True, tag="cart.remove"):
    """Take the line of this SKU out; nothing happens when it is not there."""

    sku_id: str


class Clear(msgspec.Struct, frozen=True, kw_only=True, tag="cart.clear"):
    """Empty the cart. With the ``version`` of a ``TakeForMerge`` only what was taken leaves; another version is refused."""

    version: int | None = None


class ReadCart(msgspec.Struct, frozen=True, kw_only=True, tag="cart.read"):
    """Ask for the cart, exactly."""


class TakeForMerge(msgspec.Struct, frozen=True, kw_only=True, tag="cart.take"):
    """Asked of a guest's cart: its lines and version, for ``MergeGuest``. The same ones until that version is cleared."""


class MergeGuest(msgspec.Struct, frozen=True, kw_only=True, tag="cart.merge"):
    """Asked of a user's cart: add the lines taken from a guest's. The same guest and version count once."""

    guest_id: str
    guest_version: int
    lines: tuple[Line, ...]


class ConsumeLines(msgspec.Struct, frozen=True, kw_only=True, tag="cart.consume"):
    """These quantities became an order: they leave the cart, once an order."""

    order_id: str
    lines: tuple[Line, ...]


# --- events -----------------------------------------------------------------------------------


class CartLinePut(msgspec.Struct, frozen=True, kw_only=True, tag="cart.line_put"):
    """``quantity`` 0: the line was removed."""

    sku_id: str
    quantity: int
    at_ms: int


class CartCleared(msgspec.Struct, frozen=True, kw_only=True, tag="cart.cleared"):
    at_ms: int


class CartTaken(msgspec.Struct, frozen=True, kw_only=True, tag="cart.taken"):
    """The lines of ``version`` were handed out to be merged into a user's cart."""

    version: int
    at_ms: int


class CartHandedOver(msgspec.Struct, frozen=True, kw_only=True, tag="cart.handed_over"):
    """What was taken at ``version`` is now the user's: it leaves this cart, later additions stay."""

    version: int
    at_ms: int


class CartMerged(msgspec.Struct, frozen=True, kw_only=True, tag="cart.merged"):
    """``lines`` holds the quantities after the merge of the lines that changed."""

    guest_id: str
    guest_version: int
    lines: tuple[Line, ...]
    at_ms: int


class CartConsumed(msgspec.Struct, frozen=True, kw_only=True, tag="cart.consumed"):
    order_id: str
    lines: tuple[Line, ...]
    at_ms: int


class CartTouched(msgspec.Struct, frozen=True, kw_only=True, tag="cart.touched"):
    """Somebody looked: the cart is not idle. Written at most once a day."""

    at_ms: int


class CartExpired(msgspec.Struct, frozen=True, kw_only=True, tag="cart.expired"):
    at_ms: int


# --- replies ----------------------------------------------------------------------------------


class CartContents(msgspec.Struct, frozen=True, kw_only=True, tag="cart.contents"):
    """The cart after the command. ``clipped``: SKUs whose quantity a merge cut to the limits (or left out)."""

    version: int
    lines: tuple[Line, ...]
    clipped: tuple[str, ...] = ()


class CartTakenLines(msgspec.Struct, frozen=True, kw_only=True, tag="cart.taken_lines"):
    """What ``MergeGuest`` and then ``Clear`` need."""

    version: int
    lines: tuple[Line, ...]
