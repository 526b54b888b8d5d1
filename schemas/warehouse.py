"""Warehouses as facts, and what is said of one when units are allocated to an order."""

from typing import Final

import msgspec


class Point(msgspec.Struct, gc=False, frozen=True, kw_only=True):
    """A place on earth, in degrees."""

    lat: float
    lon: float


class WarehouseTerms(msgspec.Struct, gc=False, frozen=True, kw_only=True):
    """One warehouse, as whoever allocates needs it.

    cutoff_min: minutes after midnight, of days that begin ``utc_offset_min`` minutes before UTC's; what is ordered later leaves
    a day later (1440: never). priority: higher is chosen before, as if it were nearer. An inactive one sends nothing.
    """

    warehouse_id: str
    code: str
    title: str
    title_zh: str
    country: str
    city: str
    city_zh: str
    point: Point
    cutoff_min: int = 1020
    utc_offset_min: int = 480
    priority: int = 0
    active: bool = True


class Warehouses(msgspec.Struct, frozen=True, kw_only=True, tag="warehouses"):
    """All of the shop's: the fact ``shop:warehouses``, which is absent where it has none."""

    items: tuple[WarehouseTerms, ...]
    version: int = 0


VERDICTS: Final[dict[str, tuple[str, str]]] = {
    "whole": ("sends everything in one parcel", "一个包裹全部发出"),
    "part": ("sends a part: no warehouse has everything", "发出部分商品:没有仓库拥有全部商品"),
    "farther": ("has everything and is farther away", "有全部商品,但距离更远"),
    "cutoff": ("has everything, but today's parcels have left", "有全部商品,但已过当日截单时间"),
    "priority": ("has everything, but another one comes first", "有全部商品,但其他仓库优先级更高"),
    "some_stock": ("has only a part", "只有部分商品"),
    "not_needed": ("is not among the fewest that have everything", "不在拥有全部商品的最少仓库之中"),
    "no_stock": ("has nothing of it", "没有库存"),
    "inactive": ("sends nothing at present", "暂停发货"),
    "short": ("has a part, and all warehouses together have not enough", "只有部分商品,且全部仓库合计库存不足"),
}
"""What an allocation says of a warehouse, in both languages."""
