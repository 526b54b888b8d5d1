"""Admission: when a flash sale is open, and to whom. Pure rules; see README.md in this folder."""

import hashlib
import heapq
from collections.abc import Iterable
from typing import ClassVar, Final, assert_never

import msgspec

from actors.domain.entity import Accepted, Answered, Context, Outcome, Refused, Wake
from schemas.admission import (
    Close,
    Configure,
    Draw,
    DrawEntered,
    End,
    Enter,
    IsWinner,
    MarkSoldOut,
    Open,
    ReadSale,
    Restocked,
    SaleConfigured,
    SaleDrawn,
    SaleEntered,
    SaleMoved,
    SaleStockTold,
    SaleView,
    Winner,
)

ENTRANTS_MAX: Final = 1_000_000
"""Entries of one draw: they are one entity's state, which must still load in seconds."""

SKUS_MAX: Final = 100
"""SKUs of one sale; each is told about by name."""

SEED_BYTES: Final = 32
RANK_BYTES: Final = 16

TRANSITIONS: Final[dict[tuple[str, str, str], str]] = {
    # (mode, state, trigger): next state
    ("first_come", "closed", "open"): "open",
    ("first_come", "open", "close"): "closed",
    ("first_come", "open", "sell_out"): "sold_out",
    ("first_come", "sold_out", "restock"): "open",
    ("first_come", "sold_out", "close"): "closed",
    ("first_come", "closed", "end"): "ended",
    ("first_come", "open", "end"): "ended",
    ("first_come", "sold_out", "end"): "ended",
    ("draw", "closed", "open"): "entering",
    ("draw", "entering", "close"): "closed",
    ("draw", "entering", "draw"): "drawn",
    ("draw", "closed", "resume"): "drawn",
    ("draw", "drawn", "close"): "closed",
    ("draw", "drawn", "sell_out"): "sold_out",
    ("draw", "sold_out", "restock"): "drawn",
    ("draw", "sold_out", "close"): "closed",
    ("draw", "closed", "end"): "ended",
    ("draw", "entering", "end"): "ended",
    ("draw", "drawn", "end"): "ended",
    ("draw", "sold_out", "end"): "ended",
}
"""Every move there is. ``resume`` is ``open`` after the draw: nobody enters a second time."""

AdmissionCommand = (
    Configure | Open | Close | End | Enter | Draw | IsWinner | MarkSoldOut | Restocked
    | ReadSale | Answered | Wake
)  # fmt: skip
AdmissionEvent = SaleConfigured | SaleMoved | SaleEntered | SaleDrawn | SaleStockTold


class AdmissionState(msgspec.Struct, kw_only=True):
    """The terms, where the sale is, who entered, and the draw.

    ``opened``: it was open before, so its clock does not open it again. ``entrants`` and
    ``sold_out_skus`` are sets that keep their order. ``stock_seqs``: the newest news by SKU.
    """

    key: str
    mode: str = ""
    state: str = "closed"
    opened: bool = False
    sku_ids: tuple[str, ...] = ()
    opens_at_ms: int = 0
    draws_at_ms: int = 0
    ends_at_ms: int = 0
    ticket_ttl_ms: int = 0
    winners_max: int = 0
    rate_per_s: int = 0
    seed: bytes = b""
    entrants: dict[str, None] = {}
    drawn: SaleDrawn | None = None
    sold_out_skus: dict[str, None] = {}
    stock_seqs: dict[str, int] = {}


class AdmissionKind:
    """The kind ``admission``. Key: a sale id."""

    name: ClassVar[str] = "admission"
    commands: ClassVar[tuple[type, ...]] = (
        Configure, Open, Close, End, Enter, Draw, IsWinner, MarkSoldOut, Restocked, ReadSale,
    )  # fmt: skip
    reads: ClassVar[tuple[type, ...]] = (ReadSale, IsWinner)
    ending: ClassVar[tuple[type, ...]] = (Close, End, MarkSoldOut)
    events: ClassVar[tuple[type, ...]] = (SaleConfigured, SaleMoved, SaleEntered, SaleDrawn, SaleStockTold)
    replies: ClassVar[tuple[type, ...]] = (SaleView, DrawEntered, Winner)
    state: ClassVar[type] = AdmissionState

    def route(self, key: str) -> str:
        return "sale:" + key

    def crowd(self, key: str, command: object) -> str:
        return "sale:" + key

    def needs(self, command: object) -> tuple[str, ...]:
        return ()

    def new(self, key: str) -> AdmissionState:
        return AdmissionState(key=key)

    def wake_at(self, state: AdmissionState) -> int | None:
        if not state.mode or state.state == "ended":
            return None
        if state.state == "closed" and not state.opened:
            return min(state.opens_at_ms, state.ends_at_ms)
        return min(state.draws_at_ms, state.ends_at_ms) if state.state == "entering" else state.ends_at_ms

    def decide(self, state: AdmissionState, command: AdmissionCommand, context: Context) -> Outcome:
        if isinstance(command, Configure):
            return _configure(state, command)
        if isinstance(command, Wake):
            return _tick(state, context)
        if isinstance(command, Answered):
            return Accepted()
        return _configured(state, command, context) if state.mode else Refused(code="sale_unknown")

    def apply(self, state: AdmissionState, event: AdmissionEvent) -> None:
        match event:
            case SaleEntered():
                state.entrants[event.user_id] = None
            case SaleMoved():
                state.state = event.state
                state.opened = state.opened or event.trigger == "open"
            case SaleDrawn():
                state.drawn = event
            case SaleConfigured():
                for field in event.__struct_fields__:
                    setattr(state, field, getattr(event, field))
                state.sold_out_skus, state.stock_seqs = {}, {}
            case SaleStockTold():
                _apply_stock_told(state, event)
            case _:
                assert_never(event)


def rank(seed: bytes, roll: bytes, user_id: str) -> bytes:
    """The place of an entrant in the draw: the lower the better. BLAKE2b-128 of ``roll`` and ``user_id``, keyed with the seed.

    ``roll`` is in it so that nobody who knows the seed beforehand can choose a winning user id:
    each further entry changes the rank of all.
    """
    return hashlib.blake2b(roll + user_id.encode(), key=seed, digest_size=RANK_BYTES).digest()


def roll_of(entrants: Iterable[str]) -> bytes:
    """SHA-256 of the entrants' ids, sorted, one a line: which names were in the drum."""
    return hashlib.sha256("\n".join(sorted(entrants)).encode()).digest()


def has_won(state: AdmissionState, user_id: str) -> bool:
    """Whether this user was drawn; False before the draw."""
    drawn = state.drawn
    return drawn is not None and user_id in state.entrants and rank(drawn.seed, drawn.roll, user_id) <= drawn.cutoff


def invariant(state: AdmissionState) -> list[str]:
    """What does not hold of this state; empty when all is well. Draws again, for tests and audits."""
    wrong = []
    if state.state not in {"closed", "open", "entering", "drawn", "sold_out", "ended"}:
        wrong.append(f"{state.key}: unknown state {state.state}")
    if state.state not in {"closed", "ended"} and not state.opened:
        wrong.append(f"{state.key}: {state.state} without having been opened")
    if state.entrants and state.mode != "draw":
        wrong.append(f"{state.key}: entrants without a draw")
    if state.mode == "draw" and state.state in {"drawn", "sold_out"} and state.drawn is None:
        wrong.append(f"{state.key}: {state.state} without a draw")
    if state.drawn is not None and state.drawn != _draw(state, state.drawn.at_ms):
        wrong.append(f"{state.key}: the draw cannot be repeated")
    if state.drawn is not None and sum(has_won(state, user_id) for user_id in state.entrants) != state.drawn.winners:
        wrong.append(f"{state.key}: the winners are not as many as were drawn")
    if not set(state.sold_out_skus) <= set(state.sku_ids):
        wrong.append(f"{state.key}: a foreign SKU is sold out")
    if state.state == "sold_out" and not _all_sold_out(state):
        wrong.append(f"{state.key}: sold out with stock left")
    if state.state in {"open", "drawn"} and _all_sold_out(state):
        wrong.append(f"{state.key}: {state.state} with nothing left")
    return wrong


def view(state: AdmissionState) -> SaleView:
    """The sale as a reply. The seed is not in it before the draw."""
    drawn = state.drawn
    return SaleView(
        sale_id=state.key,
        state=state.state,
        mode=state.mode,
        sku_ids=state.sku_ids,
        sold_out_sku_ids=tuple(state.sold_out_skus),
        opens_at_ms=state.opens_at_ms,
        draws_at_ms=state.draws_at_ms,
        ends_at_ms=state.ends_at_ms,
        ticket_ttl_ms=state.ticket_ttl_ms,
        winners_max=state.winners_max,
        rate_per_s=state.rate_per_s,
        entrants=len(state.entrants),
        winners=drawn.winners if drawn else 0,
        seed_hash=hashlib.sha256(state.seed).digest() if state.seed else b"",
        seed=drawn.seed if drawn else b"",
        roll=drawn.roll if drawn else b"",
        cutoff=drawn.cutoff if drawn else b"",
    )


def _configured(
    state: AdmissionState,
    command: Open | Close | End | Enter | Draw | IsWinner | MarkSoldOut | Restocked | ReadSale,
    context: Context,
) -> Outcome:
    match command:
        case Enter():
            return _enter(state, command, context)
        case IsWinner():
            return _is_winner(state, command)
        case ReadSale():
            return Accepted(reply=view(state))
        case Open() if state.state not in {"closed", "ended"}:
            return Accepted(reply=view(state))
        case Open():
            return _move(state, "resume" if state.drawn else "open", context)
        case Close() if state.state == "closed":
            return Accepted(reply=view(state))
        case Close():
            return _move(state, "close", context)
        case End() if state.state == "ended":
            return Accepted(reply=view(state))
        case End():
            return _move(state, "end", context)
        case Draw() if state.drawn is not None:
            return Accepted(reply=view(state))
        case Draw():
            return _move(state, "draw", context)
        case MarkSoldOut() | Restocked():
            return _stock_told(state, command, context)
        case _:
            assert_never(command)


def _configure(state: AdmissionState, command: Configure) -> Outcome:
    event = msgspec.convert(command, SaleConfigured, from_attributes=True)
    if state.mode and all(getattr(state, field) == getattr(event, field) for field in event.__struct_fields__):
        return Accepted(reply=view(state))
    if state.opened or state.state == "ended":
        return Refused(code="sale_state", params={"state": state.state})
    reason = _fault(command)
    if reason is not None:
        return Refused(code="invalid_request", params={"reason": reason})
    return Accepted(events=(event,), reply=_view_after(state, (event,)))


def _fault(command: Configure) -> str | None:
    """What is wrong with these terms, or None."""
    draw = command.mode == "draw"
    rules = (
        (command.mode in {"first_come", "draw"}, "mode must be first_come or draw"),
        (0 < len(set(command.sku_ids)) == len(command.sku_ids) <= SKUS_MAX, f"sku_ids must be 1 to {SKUS_MAX} different ones"),
        (0 <= command.opens_at_ms < command.ends_at_ms, "opens_at_ms must be before ends_at_ms"),
        (command.ticket_ttl_ms > 0, "ticket_ttl_ms must be positive"),
        (command.rate_per_s >= 0, "rate_per_s must not be negative"),
        (not draw or command.opens_at_ms < command.draws_at_ms < command.ends_at_ms, "draws_at_ms must be while the sale is open"),
        (not draw or 0 < command.winners_max <= ENTRANTS_MAX, f"winners_max must be from 1 to {ENTRANTS_MAX}"),
        (not draw or len(command.seed) == SEED_BYTES, f"seed must have {SEED_BYTES} bytes"),
    )
    return next((reason for holds, reason in rules if not holds), None)


def _enter(state: AdmissionState, command: Enter, context: Context) -> Outcome:
    if command.user_id in state.entrants:
        return Accepted(reply=DrawEntered(draws_at_ms=state.draws_at_ms))
    if state.state == "ended" or context.at_ms >= state.ends_at_ms:
        return Refused(code="sale_ended")
    if state.state == "closed":
        return Refused(code="sale_not_open")
    if state.state != "entering":
        return Refused(code="sale_state", params={"state": state.state})
    if context.at_ms >= state.draws_at_ms:
        return Refused(code="sale_state", params={"state": "drawn"})
    if len(state.entrants) >= ENTRANTS_MAX:
        return Refused(code="sale_full", params={"limit": ENTRANTS_MAX})
    event = SaleEntered(user_id=command.user_id, at_ms=context.at_ms)
    return Accepted(events=(event,), reply=DrawEntered(draws_at_ms=state.draws_at_ms))


def _is_winner(state: AdmissionState, command: IsWinner) -> Outcome:
    if state.drawn is None:
        return Refused(code="sale_state", params={"state": state.state})
    return Accepted(reply=Winner(won=has_won(state, command.user_id)))


def _tick(state: AdmissionState, context: Context) -> Outcome:
    """What the clock does: one move a wake; the next one, when also due, comes with the next wake."""
    if not state.mode or state.state == "ended":
        return Accepted()
    if context.at_ms >= state.ends_at_ms:
        return _move(state, "end", context)
    if state.state == "closed" and not state.opened and context.at_ms >= state.opens_at_ms:
        return _move(state, "open", context)
    if state.state == "entering" and context.at_ms >= state.draws_at_ms:
        return _move(state, "draw", context)
    return Accepted()


def _move(state: AdmissionState, trigger: str, context: Context) -> Outcome:
    """One move by the table; and a second one when the sale opens with nothing left."""
    following = TRANSITIONS.get((state.mode, state.state, trigger))
    if following is None:
        return Refused(code="sale_state", params={"state": state.state})
    events: list[AdmissionEvent] = [_draw(state, context.at_ms)] if trigger == "draw" else []
    events.append(SaleMoved(state=following, trigger=trigger, at_ms=context.at_ms))
    sold_out = TRANSITIONS.get((state.mode, following, "sell_out"))
    if sold_out is not None and _all_sold_out(state):
        events.append(SaleMoved(state=sold_out, trigger="sell_out", at_ms=context.at_ms))
    return Accepted(events=tuple(events), reply=_view_after(state, events))


def _draw(state: AdmissionState, at_ms: int) -> SaleDrawn:
    """The entrants with the lowest ranks win. Only the highest of these is written down: a rank says the rest."""
    roll = roll_of(state.entrants)
    ranks = [rank(state.seed, roll, user_id) for user_id in state.entrants]
    winning = heapq.nsmallest(state.winners_max, ranks)
    return SaleDrawn(
        seed=state.seed,
        roll=roll,
        cutoff=winning[-1] if winning else b"",
        entrants=len(ranks),
        winners=len(winning),
        at_ms=at_ms,
    )


def _all_sold_out(state: AdmissionState) -> bool:
    return len(state.sold_out_skus) == len(state.sku_ids)


def _stock_told(state: AdmissionState, command: MarkSoldOut | Restocked, context: Context) -> Outcome:
    sold_out = isinstance(command, MarkSoldOut)
    stale = 0 < command.stock_seq <= state.stock_seqs.get(command.sku_id, 0)
    known = command.stock_seq == 0 and sold_out == (command.sku_id in state.sold_out_skus)
    if stale or (known and command.sku_id in state.sku_ids):
        return Accepted(reply=view(state))
    if command.sku_id not in state.sku_ids:
        return Refused(code="sku_unknown")
    if state.state == "ended":
        return Refused(code="sale_ended")
    told = SaleStockTold(sku_id=command.sku_id, sold_out=sold_out, stock_seq=command.stock_seq, at_ms=context.at_ms)
    events: list[AdmissionEvent] = [told]
    trigger = "sell_out" if sold_out else "restock"
    following = TRANSITIONS.get((state.mode, state.state, trigger))
    nothing_left = sold_out and state.sold_out_skus.keys() | {command.sku_id} == set(state.sku_ids)
    if following is not None and (nothing_left or not sold_out):
        events.append(SaleMoved(state=following, trigger=trigger, at_ms=context.at_ms))
    return Accepted(events=tuple(events), reply=_view_after(state, events))


def _apply_stock_told(state: AdmissionState, event: SaleStockTold) -> None:
    if event.sold_out:
        state.sold_out_skus[event.sku_id] = None
    else:
        state.sold_out_skus.pop(event.sku_id, None)
    if event.stock_seq:
        state.stock_seqs[event.sku_id] = event.stock_seq


def _view_after(state: AdmissionState, events: Iterable[AdmissionEvent]) -> SaleView:
    """The view once these events are applied: computed on a copy without the entrants, which they do not change."""
    after = msgspec.structs.replace(
        state, entrants=state.entrants, sold_out_skus=dict(state.sold_out_skus), stock_seqs=dict(state.stock_seqs)
    )
    for event in events:
        AdmissionKind().apply(after, event)
    return view(after)
