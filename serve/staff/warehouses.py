"""Warehouses as staff set them up, and from where orders are sent."""

from typing import Annotated, Any, Final

import msgspec
from litestar import delete, get, post, put
from litestar.params import FromPath, JSONBody, QueryParameter

from actors.storage.places import city_point, country_point, point_of, point_of_region
from actors.storage.warehouses import Warehouse
from schemas.http.staff import Reason
from schemas.http.warehouses import (
    AllocationAsked,
    AllocationSeen,
    BasketLine,
    OrderParcels,
    ParcelPlanned,
    SetWarehouse,
    WarehouseJudged,
    WarehouseList,
    WarehouseSeen,
)
from schemas.ids import id_of, is_id
from schemas.order import Address, Considered, Line, PricedLine, Source
from schemas.warehouse import VERDICTS, Point
from serve.framework import ShopRequest
from serve.requests import Refusal
from serve.shop.parcels import plan_for
from serve.staff.doing import refusing

_LINES: Final = msgspec.json.Decoder(tuple[PricedLine, ...])
_SOURCES: Final = msgspec.json.Decoder(tuple[Source, ...])
_CONSIDERED: Final = msgspec.json.Decoder(tuple[Considered, ...])


def known_id(warehouse_id: str) -> str:
    """The id, when it can be a warehouse's. Refusal ``warehouse_unknown``."""
    if not is_id(warehouse_id, "whs"):
        raise Refusal("warehouse_unknown")
    return warehouse_id


def _seen(row: Warehouse) -> WarehouseSeen:
    values = msgspec.structs.asdict(row)
    minutes = values.pop("cutoff_min")
    return WarehouseSeen(**values, cutoff=f"{minutes // 60:02}:{minutes % 60:02}")


def _wanted(warehouse_id: str, data: SetWarehouse) -> Warehouse:
    """Refusal ``address_invalid`` where nobody knows where it is."""
    values = msgspec.structs.asdict(data)
    hours, _, minutes = values.pop("cutoff").partition(":")
    del values["reason"]
    point = _place(data)
    values |= {"lat": point.lat, "lon": point.lon, "cutoff_min": 60 * int(hours) + int(minutes)}
    return Warehouse(warehouse_id=warehouse_id, **values)


def _place(data: SetWarehouse) -> Point:
    if data.lat is not None and data.lon is not None:
        return Point(lat=data.lat, lon=data.lon)
    found = point_of_region(data.region_code) if data.country == "CN" else None
    found = found or city_point(data.country, data.city) or country_point(data.country)
    if found is None or (data.lat is None) != (data.lon is None):
        raise Refusal("address_invalid", {"reason": "lat, lon"})
    return found


@get("/v1/staff/warehouses", operation_id="listWarehouses")
async def list_warehouses(request: ShopRequest) -> WarehouseList:
    """The shop's warehouses."""
    return WarehouseList(warehouses=tuple(_seen(row) for row in await request.desk.warehouses.all()))


@get("/v1/staff/warehouses/{warehouse_id:str}", operation_id="readWarehouse")
async def read_warehouse(request: ShopRequest, warehouse_id: FromPath[str]) -> WarehouseSeen:
    """One of them."""
    row = await request.desk.warehouses.one(known_id(warehouse_id))
    if row is None:
        raise Refusal("warehouse_unknown")
    return _seen(row)


@post("/v1/staff/warehouses", operation_id="addWarehouse", status_code=201)
async def add_warehouse(request: ShopRequest, data: JSONBody[SetWarehouse]) -> WarehouseSeen:
    """A new one. A repeat under the same key gets the first."""
    desk, actor = request.desk, request.actor()
    command_id, _ = request.command(actor.user_id, "warehouse")
    made = _wanted(id_of("whs", command_id), data)
    with refusing():
        await desk.warehouses.add(actor, made, data.reason, request.head.id.decode())
    return await read_row(request, made.warehouse_id)


@put("/v1/staff/warehouses/{warehouse_id:str}", operation_id="changeWarehouse")
async def change_warehouse(request: ShopRequest, warehouse_id: FromPath[str], data: JSONBody[SetWarehouse]) -> WarehouseSeen:
    """Let it be so; orders from the next second on are allocated by it."""
    wanted = _wanted(known_id(warehouse_id), data)
    with refusing():
        await request.desk.warehouses.change(request.actor(), wanted, data.reason, request.head.id.decode())
    return await read_row(request, warehouse_id)


async def read_row(request: ShopRequest, warehouse_id: str) -> WarehouseSeen:
    """As it is in the table now."""
    row = await request.desk.warehouses.one(warehouse_id)
    if row is None:
        raise Refusal("warehouse_unknown")
    return _seen(row)


@delete("/v1/staff/warehouses/{warehouse_id:str}", operation_id="removeWarehouse")
async def remove_warehouse(
    request: ShopRequest, warehouse_id: FromPath[str], reason: Annotated[Reason, QueryParameter(description="why, for the trail")]
) -> None:
    """Take away one in which nothing is, and from which nothing went elsewhere."""
    with refusing():
        await request.desk.warehouses.remove(request.actor(), known_id(warehouse_id), reason, request.head.id.decode())


@post("/v1/staff/allocations", operation_id="explainAllocation", status_code=200)
async def explain_allocation(request: ShopRequest, data: JSONBody[AllocationAsked]) -> AllocationSeen:
    """From where a basket would be sent, and why from there. Nothing is held, and nothing is written."""
    desk = request.desk
    if len({line.sku_id for line in data.lines}) < len(data.lines):
        raise Refusal("invalid_request", {"reason": "the same article stands on two lines"})
    lines = [Line(sku_id=line.sku_id, quantity=line.quantity) for line in data.lines]
    address = Address(
        country=data.country, name="", phone="", line1="", city=data.city, region=data.region, district=data.district
    )  # fmt: skip
    point = (point_of_region(data.region_code) if data.country == "CN" and data.region_code else None) or point_of(address)
    plan = await plan_for(desk, await desk.warehouses.terms(), lines, point)
    codes = await _codes(request)
    return AllocationSeen(
        lat=None if point is None else point.lat,
        lon=None if point is None else point.lon,
        parcels=tuple(
            ParcelPlanned(
                warehouse_id=parcel.warehouse_id,
                code=codes.get(parcel.warehouse_id),
                lines=tuple(BasketLine(sku_id=lines[line].sku_id, quantity=units) for line, units in parcel.units),
            )
            for parcel in plan.parcels
        ),
        judged=tuple(
            _judged(one.warehouse_id, one.verdict, codes, km=one.km, cost=one.cost, missed_cutoff=one.missed_cutoff) for one in plan.judged
        ),
        short=tuple(BasketLine(sku_id=lines[line].sku_id, quantity=units) for line, units in plan.short),
    )


@get("/v1/staff/orders/{order_id:str}/parcels", operation_id="readOrderParcels")
async def read_order_parcels(request: ShopRequest, order_id: FromPath[str]) -> OrderParcels:
    """From where an order is sent, a moment ago, and what was thought of each warehouse when it was placed."""
    row = await request.desk.warehouses.sent(order_id) if is_id(order_id, "ord") else None
    if row is None:
        raise Refusal("order_unknown")
    lines, codes = _LINES.decode(row["lines"]), await _codes(request)
    units: dict[str, list[BasketLine]] = {}
    for source in _SOURCES.decode(row["sources"]):
        units.setdefault(source.warehouse_id, []).append(BasketLine(sku_id=lines[source.line].sku_id, quantity=source.quantity))
    return OrderParcels(
        order_id=order_id,
        status=row["status"],
        parcels=tuple(ParcelPlanned(warehouse_id=name, code=codes.get(name), lines=tuple(found)) for name, found in units.items()),
        judged=tuple(_judged(one.warehouse_id, one.verdict, codes) for one in _CONSIDERED.decode(row["considered"])),
    )


async def _codes(request: ShopRequest) -> dict[str, str]:
    return {row.warehouse_id: row.code for row in await request.desk.warehouses.all()}


def _judged(warehouse_id: str, verdict: str, codes: dict[str, str], **more: Any) -> WarehouseJudged:
    en, zh = VERDICTS.get(verdict, ("", ""))
    return WarehouseJudged(warehouse_id=warehouse_id, code=codes.get(warehouse_id), verdict=verdict, en=en, zh=zh, **more)


HANDLERS: Final[list[Any]] = [
    list_warehouses, read_warehouse, add_warehouse, change_warehouse, remove_warehouse, explain_allocation, read_order_parcels,
]  # fmt: skip
