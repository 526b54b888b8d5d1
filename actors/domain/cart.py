"""Carts: what somebody means to buy, without prices. Pure rules; see README.md in this folder."""

from typing import ClassVar, Final, assert_never

import msgspec

from actors.domain.entity import Accepted, Answered, Context, Outcome, Refused, Wake
from schemas.cart import (
    CartCleared,
    CartConsumed,
    CartContents,
    CartExpired,
    CartHandedOver,
    CartLinePut,
    CartMerged,
    CartTaken,
    CartTakenLines,
    CartTouched,
    Clear,
    ConsumeLines,
    MergeGuest,
    PutLine,
    ReadCart,
    RemoveLine,
    TakeForMerge,
)
from schemas.order import Line

DAY_MS: Final = 86_400_000

LINES_MAX: Final = 100
"""An order has at most as many lines; a longer cart could not be bought."""

QUANTITY_MAX: Final = 999
"""Units of one line; more is a matter for the merchant's sales desk."""

GUEST_IDLE_MS: Final = 30 * DAY_MS
"""A guest's cart is forgotten after this; nobody can ask for it when the cookie is gone."""

USER_IDLE_MS: Final = 365 * DAY_MS
"""A user's cart is forgotten after this."""

TOUCH_MS: Final = DAY_MS
"""A read counts as use at most this often, so that reading seldom writes."""

REMEMBER_MS: Final = 7 * DAY_MS
"""An order that consumed lines is known for this long: its repeat takes nothing."""

CONSUMED_MAX: Final = 1000
"""Orders remembered at most; nobody places as many in a week while keeping to the limit of open ones."""

MERGED_MAX: Final = 50
"""Guests remembered at most: one a device and login; the longest unused is forgotten first."""

CartCommand = PutLine | RemoveLine | Clear | ReadCart | TakeForMerge | MergeGuest | ConsumeLines | Answered | Wake
CartEvent = CartLinePut | CartCleared | CartTaken | CartHandedOver | CartMerged | CartConsumed | CartTouched | CartExpired


class CartState(msgspec.Struct, kw_only=True):
    """Lines in the order in which they were put, and what must not count twice.

    ``version`` rises with each change of the lines. ``taken``: what a merge has read at
    ``taken_version`` (0: none is open). ``merged``: the newest version merged, by guest.
    ``consumed``: when an order took its lines, by order.
    """

    key: str
    version: int = 0
    lines: dict[str, int] = {}
    used_at_ms: int = 0
    taken: dict[str, int] = {}
    taken_version: int = 0
    handed_over_version: int = 0
    merged: dict[str, int] = {}
    consumed: dict[str, int] = {}


class CartKind:
    """The kind ``cart``. Key: a user id or a guest id (``gst_...``)."""

    name: ClassVar[str] = "cart"
    commands: ClassVar[tuple[type, ...]] = (
        PutLine, RemoveLine, Clear, ReadCart, TakeForMerge, MergeGuest, ConsumeLines,
    )  # fmt: skip
    reads: ClassVar[tuple[type, ...]] = (ReadCart,)
    ending: ClassVar[tuple[type, ...]] = (RemoveLine, Clear, ConsumeLines)
    events: ClassVar[tuple[type, ...]] = (
        CartLinePut, CartCleared, CartTaken, CartHandedOver, CartMerged, CartConsumed, CartTouched, CartExpired,
    )  # fmt: skip
    replies: ClassVar[tuple[type, ...]] = (CartContents, CartTakenLines)
    state: ClassVar[type] = CartState

    def route(self, key: str) -> str:
        return "user:" + key

    def crowd(self, key: str, command: object) -> str:
        return "user:" + key

    def needs(self, command: object) -> tuple[str, ...]:
        return ()

    def new(self, key: str) -> CartState:
        return CartState(key=key)

    def wake_at(self, state: CartState) -> int | None:
        return state.used_at_ms + _idle_ms(state) if state.lines else None

    def decide(self, state: CartState, command: CartCommand, context: Context) -> Outcome:
        match command:
            case PutLine():
                return _put(state, command, context)
            case RemoveLine():
                return _put(state, PutLine(sku_id=command.sku_id, quantity=0), context)
            case Clear():
                return _clear(state, command, context)
            case ReadCart():
                return _read(state, context)
            case TakeForMerge():
                return _take(state, context)
            case MergeGuest():
                return _merge(state, command, context)
            case ConsumeLines():
                return _consume(state, command, context)
            case Wake():
                return _expire(state, context)
            case Answered():
                return Accepted()
            case _:
                assert_never(command)

    def apply(self, state: CartState, event: CartEvent) -> None:
        match event:
            case CartTaken():
                state.taken, state.taken_version = dict(state.lines), event.version
            case CartTouched():
                pass
            case CartLinePut():
                _set(state, {event.sku_id: event.quantity})
            case CartCleared():
                _set(state, dict.fromkeys(state.lines, 0))
                _close_take(state)
            case CartHandedOver():
                _set(state, _less(state.lines, state.taken))
                _close_take(state)
            case CartMerged():
                _set(state, {line.sku_id: line.quantity for line in event.lines})
                _remember_guest(state, event)
            case CartConsumed():
                _set(state, _less(state.lines, _sum(event.lines)))
                _remember_order(state, event)
            case CartExpired():
                _set(state, dict.fromkeys(state.lines, 0))
                _close_take(state)
            case _:
                assert_never(event)
        state.used_at_ms = max(state.used_at_ms, event.at_ms)


def invariant(state: CartState) -> list[str]:
    """What does not hold of this state; empty when all is well."""
    wrong = []
    if len(state.lines) > LINES_MAX:
        wrong.append(f"{state.key}: {len(state.lines)} lines")
    if any(not 0 < quantity <= QUANTITY_MAX for quantity in (*state.lines.values(), *state.taken.values())):
        wrong.append(f"{state.key}: a quantity is out of range")
    if bool(state.taken) != (state.taken_version > 0):
        wrong.append(f"{state.key}: a take without lines, or lines without a take")
    if max(state.taken_version, state.handed_over_version) > state.version:
        wrong.append(f"{state.key}: a version of the future")
    if len(state.merged) > MERGED_MAX or len(state.consumed) > CONSUMED_MAX:
        wrong.append(f"{state.key}: remembers more than its limit")
    return wrong


def _idle_ms(state: CartState) -> int:
    return GUEST_IDLE_MS if state.key.startswith("gst_") else USER_IDLE_MS


def _as_lines(quantities: dict[str, int]) -> tuple[Line, ...]:
    return tuple(Line(sku_id=sku_id, quantity=quantity) for sku_id, quantity in quantities.items())


def _sum(lines: tuple[Line, ...]) -> dict[str, int]:
    """Quantities by SKU; a SKU that is named twice is one line."""
    quantities: dict[str, int] = {}
    for line in lines:
        quantities[line.sku_id] = quantities.get(line.sku_id, 0) + line.quantity
    return quantities


def _less(lines: dict[str, int], taken: dict[str, int]) -> dict[str, int]:
    """What is left of the lines that are named in ``taken``: never below 0."""
    return {sku_id: max(0, lines[sku_id] - quantity) for sku_id, quantity in taken.items() if sku_id in lines}


def _contents(state: CartState, changes: dict[str, int], clipped: tuple[str, ...] = ()) -> CartContents:
    """The reply to a command that will change these lines (0: remove)."""
    if not changes:
        return CartContents(version=state.version, lines=_as_lines(state.lines), clipped=clipped)
    after = {sku_id: quantity for sku_id, quantity in (state.lines | changes).items() if quantity}
    return CartContents(version=state.version + 1, lines=_as_lines(after), clipped=clipped)


def _put(state: CartState, command: PutLine, context: Context) -> Outcome:
    if state.lines.get(command.sku_id, 0) == command.quantity:
        return Accepted(reply=_contents(state, {}))
    if not 0 <= command.quantity <= QUANTITY_MAX:
        return Refused(code="quantity_invalid", params={"limit": QUANTITY_MAX})
    if command.quantity and command.sku_id not in state.lines and len(state.lines) >= LINES_MAX:
        return Refused(code="cart_full", params={"limit": LINES_MAX})
    event = CartLinePut(sku_id=command.sku_id, quantity=command.quantity, at_ms=context.at_ms)
    return Accepted(events=(event,), reply=_contents(state, {command.sku_id: command.quantity}))


def _clear(state: CartState, command: Clear, context: Context) -> Outcome:
    if command.version is not None and command.version == state.handed_over_version:
        return Accepted(reply=_contents(state, {}))
    if command.version is not None and command.version == state.taken_version:
        handed_over = CartHandedOver(version=command.version, at_ms=context.at_ms)
        return Accepted(events=(handed_over,), reply=_contents(state, _less(state.lines, state.taken)))
    if command.version is not None and command.version != state.version:
        return Refused(code="cart_changed")
    if not state.lines and not state.taken_version:
        return Accepted(reply=_contents(state, {}))
    return Accepted(events=(CartCleared(at_ms=context.at_ms),), reply=_contents(state, dict.fromkeys(state.lines, 0)))


def _read(state: CartState, context: Context) -> Outcome:
    touched = state.lines and context.at_ms - state.used_at_ms >= TOUCH_MS
    return Accepted(events=(CartTouched(at_ms=context.at_ms),) if touched else (), reply=_contents(state, {}))


def _take(state: CartState, context: Context) -> Outcome:
    if state.taken_version:
        return Accepted(reply=CartTakenLines(version=state.taken_version, lines=_as_lines(state.taken)))
    reply = CartTakenLines(version=state.version, lines=_as_lines(state.lines))
    if not state.lines:
        return Accepted(reply=reply)
    return Accepted(events=(CartTaken(version=state.version, at_ms=context.at_ms),), reply=reply)


def _merge(state: CartState, command: MergeGuest, context: Context) -> Outcome:
    if command.guest_version <= state.merged.get(command.guest_id, 0):
        return Accepted(reply=_contents(state, {}))
    if command.guest_id == state.key:
        return Refused(code="invalid_request", params={"reason": "a cart cannot be merged into itself"})
    if any(not 0 < line.quantity <= QUANTITY_MAX for line in command.lines):
        return Refused(code="quantity_invalid", params={"limit": QUANTITY_MAX})
    if not command.lines:
        return Accepted(reply=_contents(state, {}))
    changes, clipped = _merged(state, command.lines)
    event = CartMerged(guest_id=command.guest_id, guest_version=command.guest_version, lines=_as_lines(changes), at_ms=context.at_ms)
    return Accepted(events=(event,), reply=_contents(state, changes, clipped))


def _merged(state: CartState, lines: tuple[Line, ...]) -> tuple[dict[str, int], tuple[str, ...]]:
    """The quantities that a merge changes, and the SKUs that met a limit. The user's own lines go before the guest's."""
    changes: dict[str, int] = {}
    clipped: list[str] = []
    room = LINES_MAX - len(state.lines)
    for sku_id, quantity in _sum(lines).items():
        held = state.lines.get(sku_id, 0)
        allowed = min(QUANTITY_MAX, held + quantity) if held or room > 0 else 0
        room -= 1 if allowed and not held else 0
        if allowed < held + quantity:
            clipped.append(sku_id)
        if allowed != held:
            changes[sku_id] = allowed
    return changes, tuple(clipped)


def _consume(state: CartState, command: ConsumeLines, context: Context) -> Outcome:
    if command.order_id in state.consumed:
        return Accepted(reply=_contents(state, {}))
    if any(line.quantity <= 0 for line in command.lines):
        return Refused(code="quantity_invalid", params={"limit": QUANTITY_MAX})
    event = CartConsumed(order_id=command.order_id, lines=command.lines, at_ms=context.at_ms)
    return Accepted(events=(event,), reply=_contents(state, _less(state.lines, _sum(command.lines))))


def _expire(state: CartState, context: Context) -> Outcome:
    if not state.lines or context.at_ms < state.used_at_ms + _idle_ms(state):
        return Accepted()
    return Accepted(events=(CartExpired(at_ms=context.at_ms),))


def _set(state: CartState, changes: dict[str, int]) -> None:
    for sku_id, quantity in changes.items():
        if quantity:
            state.lines[sku_id] = quantity
        else:
            state.lines.pop(sku_id, None)
    state.version += 1 if changes else 0


def _close_take(state: CartState) -> None:
    """A cleared take is over, whether it was handed over or thrown away: its version is not cleared twice."""
    if state.taken_version:
        state.handed_over_version = state.taken_version
    state.taken, state.taken_version = {}, 0


def _remember_guest(state: CartState, event: CartMerged) -> None:
    state.merged.pop(event.guest_id, None)
    state.merged[event.guest_id] = event.guest_version
    if len(state.merged) > MERGED_MAX:
        del state.merged[next(iter(state.merged))]


def _remember_order(state: CartState, event: CartConsumed) -> None:
    """The orders stand by age: what is forgotten is in front."""
    state.consumed[event.order_id] = event.at_ms
    while len(state.consumed) > CONSUMED_MAX or event.at_ms - next(iter(state.consumed.values())) > REMEMBER_MS:
        del state.consumed[next(iter(state.consumed))]
