"""From where an order is sent: what is wished for when it is placed, and what its buyer is told."""

from collections.abc import Sequence
from typing import Final

from actors.domain.allocation import Plan, allocate
from actors.storage.places import point_of
from schemas.http.orders import Parcel, ParcelLine
from schemas.order import Address, Considered, Line, PricedLine, Source, Wish
from schemas.warehouse import Point, Warehouses, WarehouseTerms
from serve.desk import Desk

FACT: Final = "shop:warehouses"


async def warehouses_of(desk: Desk) -> tuple[WarehouseTerms, ...]:
    """The shop's, as of the last second; none where there is but the unnamed one."""
    known = (await desk.facts.fetch((FACT,))).get(FACT)
    return known.items if isinstance(known, Warehouses) else ()


async def wishes_for(desk: Desk, lines: Sequence[Line], address: Address) -> tuple[tuple[Wish, ...], tuple[Considered, ...]]:
    """What an order asks its stock for, and why. The levels are a moment old: the stock takes what is really there."""
    warehouses = await warehouses_of(desk)
    if not warehouses or not lines:
        return (), ()
    plan = await plan_for(desk, warehouses, lines, point_of(address))
    return plan.wishes, plan.considered()


async def plan_for(desk: Desk, warehouses: Sequence[WarehouseTerms], lines: Sequence[Line], point: Point | None) -> Plan:
    """The allocation for this basket and place."""
    levels = await desk.warehouses.levels([line.sku_id for line in lines])
    return allocate(lines, point, warehouses, levels, desk.clock.now_ms())


async def parcels_of(desk: Desk, lines: Sequence[PricedLine], sources: Sequence[Source]) -> tuple[Parcel, ...]:
    """Each warehouse's part of an order, with its city."""
    if not sources:
        return ()
    cities = {warehouse.warehouse_id: warehouse for warehouse in await warehouses_of(desk)}
    units: dict[str, list[ParcelLine]] = {}
    for source in sources:
        units.setdefault(source.warehouse_id, []).append(ParcelLine(sku_id=lines[source.line].sku_id, quantity=source.quantity))
    return tuple(
        Parcel(
            city=(cities[warehouse_id].city or None) if warehouse_id in cities else None,
            city_zh=(cities[warehouse_id].city_zh or None) if warehouse_id in cities else None,
            lines=tuple(found),
        )
        for warehouse_id, found in units.items()
    )
