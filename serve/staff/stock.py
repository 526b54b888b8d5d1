"""What staff do to stock: receipts, losses, counts, moves, returns, safety stock. Each is a command of the article's owner.

A command goes to the part that is named (an article that is not split has one, 0), so that a repeat meets its first answer.
"""

import re
from typing import Annotated, Any, Final

import msgspec
from litestar import get, post, put
from litestar.params import FromPath, JSONBody, QueryParameter

from schemas.http.warehouses import (
    Count,
    GoodsReturned,
    Loss,
    LotSeen,
    MovementPage,
    MovementSeen,
    MoveUnits,
    PartSeen,
    Receipt,
    SafetyStock,
    StockChanged,
    StockPlaces,
    UnderWay,
    UnitsArrived,
)
from schemas.ids import derived_id, is_id
from schemas.order import OrderView, PricedLine, ReadOrder, Source
from schemas.stock import Adjust, Arrive, Move, PutIn, ReadStock, ReturnIn, SetSafety, StockDone, StockLevel, WriteOff
from serve.answers import timestamp
from serve.cursors import cursor_of, parts_of
from serve.desk import ONCE
from serve.framework import ShopRequest
from serve.requests import Refusal
from serve.staff.doing import deed_of, told_for

PERMISSION: Final = "stock.adjust"
RETURNABLE: Final = ("paid", "unfulfillable", "refunded")

_LINES: Final = msgspec.json.Decoder(tuple[PricedLine, ...])
_SOURCES: Final = msgspec.json.Decoder(tuple[Source, ...])
NEWEST: Final = (2**62, 2**15 - 1, 2**62, 2**15 - 1)


async def _parts(request: ShopRequest, sku_id: str) -> int:
    """Refusal ``sku_unknown``."""
    parts = await request.desk.warehouses.parts(sku_id) if is_id(sku_id, "sku") else 0
    if not parts:
        raise Refusal("sku_unknown")
    return parts


async def _key(request: ShopRequest, sku_id: str, part: int) -> str:
    if part >= await _parts(request, sku_id):
        raise Refusal("invalid_request", {"reason": "the article has no such part"})
    return f"{sku_id}#{part}"


async def _known(request: ShopRequest, *warehouse_ids: str | None) -> None:
    """Refusal ``warehouse_unknown`` for one that is none; the unnamed one is always there."""
    for warehouse_id in filter(None, warehouse_ids):
        if await request.desk.warehouses.one(warehouse_id) is None:
            raise Refusal("warehouse_unknown")


async def _done(
    request: ShopRequest, sku_id: str, part: int, what: str, command: Any, reason: str, command_id: bytes = b""
) -> StockChanged:
    """Ask the owner on behalf of staff, under the request's key."""
    key = await _key(request, sku_id, part)
    # What sets a value needs no key: a repeat sets it again.
    given_id, digest = (command_id, ONCE) if command_id else request.command(request.actor().user_id, what)
    deed = deed_of(request, PERMISSION, sku_id, reason, after=_shown(what, key, command))
    reply = await told_for(request, deed, "stock", key, command, command_id=given_id, digest=digest)
    assert isinstance(reply, StockDone)
    move_id = given_id.hex() if isinstance(command, Move) else None
    return StockChanged(sku_id=sku_id, part=part, available=reply.available, move_id=move_id)


def _shown(what: str, key: str, command: Any) -> str:
    values = {name: value.hex() if isinstance(value, bytes) else value for name, value in msgspec.structs.asdict(command).items()}
    return msgspec.json.encode({"do": what, "key": key, **{name: value for name, value in values.items() if value}}).decode()


@post("/v1/staff/stock/{sku_id:str}/receipts", operation_id="receiveStock", status_code=200)
async def receive(request: ShopRequest, sku_id: FromPath[str], data: JSONBody[Receipt]) -> StockChanged:
    """Units arrived in a warehouse."""
    await _known(request, data.warehouse_id)
    command = PutIn(
        quantity=data.quantity,
        reason=data.reason,
        warehouse_id=data.warehouse_id,
        batch=data.batch,
        expires_on=data.expires_on,
        reference=data.reference,
    )
    return await _done(request, sku_id, data.part, "receipt", command, data.reason)


@post("/v1/staff/stock/{sku_id:str}/losses", operation_id="writeOffStock", status_code=200)
async def write_off(request: ShopRequest, sku_id: FromPath[str], data: JSONBody[Loss]) -> StockChanged:
    """Units are lost or broken. What is held for orders stays."""
    command = WriteOff(
        quantity=data.quantity, reason=data.reason, warehouse_id=data.warehouse_id, batch=data.batch, reference=data.reference
    )
    return await _done(request, sku_id, data.part, "loss", command, data.reason)


@post("/v1/staff/stock/{sku_id:str}/counts", operation_id="adjustStock", status_code=200)
async def adjust(request: ShopRequest, sku_id: FromPath[str], data: JSONBody[Count]) -> StockChanged:
    """A count found more or fewer than the books have. What is held for orders stays."""
    await _known(request, data.warehouse_id)
    command = Adjust(
        delta=data.delta,
        reason=data.reason,
        warehouse_id=data.warehouse_id,
        batch=data.batch,
        expires_on=data.expires_on,
        reference=data.reference,
    )
    return await _done(request, sku_id, data.part, "count", command, data.reason)


@post("/v1/staff/stock/{sku_id:str}/moves", operation_id="moveStock", status_code=200)
async def move(request: ShopRequest, sku_id: FromPath[str], data: JSONBody[MoveUnits]) -> StockChanged:
    """Units leave one warehouse for another."""
    await _known(request, data.from_warehouse, data.to_warehouse)
    move_id, _ = request.command(request.actor().user_id, "move")
    command = Move(
        move_id=move_id,
        from_warehouse=data.from_warehouse,
        to_warehouse=data.to_warehouse,
        quantity=data.quantity,
        batch=data.batch,
        reason=data.reason,
        reference=data.reference,
    )
    return await _done(request, sku_id, data.part, "move", command, data.reason)


@post("/v1/staff/stock/{sku_id:str}/arrivals", operation_id="arriveStock", status_code=200)
async def arrive(request: ShopRequest, sku_id: FromPath[str], data: JSONBody[UnitsArrived]) -> StockChanged:
    """What was moved is there."""
    command = Arrive(move_id=bytes.fromhex(data.move_id), lost=data.lost, reference=data.reference)
    return await _done(request, sku_id, data.part, "arrival", command, data.reason)


@put("/v1/staff/stock/{sku_id:str}/safety", operation_id="setSafetyStock")
async def set_safety(request: ShopRequest, sku_id: FromPath[str], data: JSONBody[SafetyStock]) -> StockChanged:
    """Keep units of a warehouse from being sold."""
    await _known(request, data.warehouse_id)
    command = SetSafety(warehouse_id=data.warehouse_id, quantity=data.quantity)
    return await _done(request, sku_id, data.part, "safety", command, data.reason, request.desk.new_id())


@post("/v1/staff/stock/{sku_id:str}/returns", operation_id="returnStock", status_code=200)
async def take_return(request: ShopRequest, sku_id: FromPath[str], data: JSONBody[GoodsReturned]) -> StockChanged:
    """Units of a paid order came back. The money is another matter."""
    await _known(request, data.warehouse_id)
    row = await request.desk.warehouses.sent(data.order_id)
    lines = _LINES.decode(row["lines"]) if row is not None and row["status"] in RETURNABLE else ()
    number = next((n for n, line in enumerate(lines) if line.sku_id == sku_id), None)
    if row is None or number is None:
        raise Refusal("order_unknown")
    line = lines[number]
    if data.quantity > line.quantity:
        raise Refusal("quantity_invalid", {"limit": line.quantity})
    return_id, _ = request.command(request.actor().user_id, "return")
    reservation_id = await _reservation(request, row["user_id"], data.order_id, number)
    warehouse_id = data.warehouse_id
    if warehouse_id is None and not reservation_id:
        # Neither the order nor the stock remembers: the table does.
        sources = _SOURCES.decode(row["sources"])
        warehouse_id = next((source.warehouse_id for source in sources if source.line == number), "")
    command = ReturnIn(
        return_id=return_id,
        reservation_id=reservation_id or derived_id("return", data.order_id, sku_id),
        quantity=data.quantity,
        warehouse_id=warehouse_id,
        batch=data.batch,
        expires_on=data.expires_on,
        reason=data.reason,
        reference=data.reference or data.order_id,
    )
    return await _done(request, sku_id, int(line.stock_key.partition("#")[2] or 0), "return", command, data.reason)


async def _reservation(request: ShopRequest, user_id: str, order_id: str, line: int) -> bytes:
    """Under which the units were sold; empty when the order is so old that its owner has forgotten it."""
    answer = await request.desk.ask("order", user_id, ReadOrder(order_id=order_id))
    if answer.code and answer.code != "order_unknown":
        raise Refusal(answer.code, answer.params)
    view = answer.reply
    return view.reservation_ids[line] if isinstance(view, OrderView) and line < len(view.reservation_ids) else b""


@get("/v1/staff/stock/{sku_id:str}/warehouses", operation_id="readStockPlaces")
async def read_places(request: ShopRequest, sku_id: FromPath[str]) -> StockPlaces:
    """Where an article is, by warehouse and batch, as its owner knows it now."""
    desk, found = request.desk, []
    for part in range(await _parts(request, sku_id)):
        level = await desk.told("stock", f"{sku_id}#{part}", ReadStock())
        assert isinstance(level, StockLevel)
        found.append(_part_seen(part, level))
    return StockPlaces(sku_id=sku_id, parts=tuple(found))


def _part_seen(part: int, level: StockLevel) -> PartSeen:
    lots = tuple(LotSeen(**msgspec.structs.asdict(lot)) for lot in level.lots)
    if not lots:
        plain = {name: getattr(level, name) for name in ("put_in", "received", "returned", "adjusted", "available", "held", "sold")}
        more = {"written_off": level.written_off, "sent": level.sent, "moved_in": 0, "moved_out": 0}
        lots = (LotSeen(warehouse_id="", batch="", expires_on="", **plain, **more),)
    return PartSeen(
        part=part,
        available=level.available,
        sellable=level.available if level.sellable is None else level.sellable,
        held=level.held,
        lots=lots,
        safety=level.safety,
        moves=tuple(
            UnderWay(move_id=move_id, to_warehouse=lot.warehouse_id, batch=lot.batch, quantity=lot.quantity)
            for move_id, moved in level.moves.items()
            for lot in moved
        ),
    )


@get("/v1/staff/stock/{sku_id:str}/movements", operation_id="listStockMovements")
async def list_movements(
    request: ShopRequest,
    sku_id: FromPath[str],
    warehouse_id: Annotated[str, QueryParameter(max_length=64, description="of this warehouse alone")] = "",
    cursor: Annotated[str | None, QueryParameter(max_length=200, description="`next_cursor` of the page before")] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=100)] = 20,
) -> MovementPage:
    """What happened to an article in its warehouses, a moment ago, the newest first."""
    keys = [f"{sku_id}#{part}" for part in range(await _parts(request, sku_id))]
    if "\0" in warehouse_id:
        raise Refusal("warehouse_unknown")
    rows = await request.desk.warehouses.movements(keys, warehouse_id, _place(cursor), limit + 1)
    last = rows[limit - 1] if len(rows) > limit else None
    more = cursor_of("m", *(str(last[name]) for name in ("at_ms", "shard", "seq", "n"))) if last else None
    return MovementPage(movements=tuple(_movement(row) for row in rows[:limit]), next_cursor=more)


def _movement(row: Any) -> MovementSeen:
    values = {name: row[name] for name in MovementSeen.__struct_fields__ if name != "at"}
    return MovementSeen(**values, at=timestamp(row["at_ms"]))


def _place(cursor: str | None) -> tuple[int, int, int, int]:
    """Where a list goes on. Refusal for a cursor of another list."""
    if cursor is None:
        return NEWEST
    kind, *numbers = parts_of(cursor, 5)
    if kind != "m" or not all(re.fullmatch(r"\d{1,15}", number) for number in numbers):
        raise Refusal("invalid_request", {"reason": "cursor is none of ours"})
    at_ms, shard, seq, n = (int(number) for number in numbers)
    if max(shard, n) >= 2**15:
        raise Refusal("invalid_request", {"reason": "cursor is none of ours"})
    return at_ms, shard, seq, n


HANDLERS: Final[list[Any]] = [
    receive, write_off, adjust, move, arrive, set_safety, take_return, read_places, list_movements,
]  # fmt: skip
