"""Warehouses, stock in them, and allocation over HTTP; for staff."""

from typing import Annotated, Final

import msgspec

from schemas.http.shapes import Quantity, SkuRef, Timestamp
from schemas.http.staff import Reason

Text = Annotated[str, msgspec.Meta(max_length=200)]
WarehouseRef = Annotated[str, msgspec.Meta(pattern="^(whs_[A-Za-z0-9_.-]{1,58})?$", description="a warehouse; empty: the unnamed one")]
NamedRef = Annotated[str, msgspec.Meta(pattern="^whs_[A-Za-z0-9_.-]{1,58}$", description="a warehouse with a name")]
Units = Annotated[int, msgspec.Meta(ge=1, le=10**9)]
Part = Annotated[int, msgspec.Meta(ge=0, le=999, description="which part of a split article; 0 where it is not split")]
Batch = Annotated[str, msgspec.Meta(max_length=64, description="the maker's lot number")]
Day = Annotated[str, msgspec.Meta(pattern="^(20\\d\\d-\\d\\d-\\d\\d)?$", description="the last day on which it may be sold")]
Reference = Annotated[str, msgspec.Meta(max_length=200, description="a delivery note, a ticket")]
ShortReason = Annotated[str, msgspec.Meta(min_length=3, max_length=200, description="why, for the trail and the movements")]
MoveId = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]
LINES_MAX: Final = 100


class _Warehouse(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    code: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._\-]{0,63}$", description="the shop's own name for it")]
    title: Text = ""
    title_zh: Text = ""
    country: Annotated[str, msgspec.Meta(pattern="^[A-Z]{2}$", examples=["CN"])]
    region_code: Annotated[str, msgspec.Meta(pattern=r"^(\d{2}|\d{4}|\d{6}|\d{9})?$", description="GB/T 2260, in China")] = ""
    city: Text = ""
    city_zh: Text = ""
    address: Text = ""
    lat: Annotated[float, msgspec.Meta(ge=-90, le=90)] | None = None
    lon: Annotated[float, msgspec.Meta(ge=-180, le=180)] | None = None
    cutoff: Annotated[str, msgspec.Meta(pattern=r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$", description="orders after it leave a day later")] = (
        "17:00"
    )
    utc_offset_min: Annotated[int, msgspec.Meta(ge=-840, le=840)] = 480
    priority: Annotated[int, msgspec.Meta(ge=-1000, le=1000, description="higher comes before, as if it were 100 km nearer a step")] = 0
    active: bool = True


class SetWarehouse(_Warehouse, frozen=True, kw_only=True):
    """One warehouse as it shall be. Without coordinates those of its region code or city are taken."""

    reason: Reason


class WarehouseSeen(_Warehouse, frozen=True, kw_only=True):
    """One warehouse."""

    warehouse_id: str


class WarehouseList(msgspec.Struct, frozen=True, kw_only=True):
    """All of the shop's, by code."""

    warehouses: tuple[WarehouseSeen, ...]


class _Lot(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    part: Part = 0
    warehouse_id: WarehouseRef = ""
    batch: Batch = ""
    reference: Reference = ""
    reason: ShortReason


class Receipt(_Lot, frozen=True, kw_only=True):
    """Units arrived."""

    quantity: Units
    expires_on: Day = ""


class Loss(_Lot, frozen=True, kw_only=True):
    """Units are lost or broken. Without a batch what expires first goes first."""

    quantity: Units


class Count(_Lot, frozen=True, kw_only=True):
    """A count found so many more (or fewer) than the books have."""

    delta: Annotated[int, msgspec.Meta(ge=-(10**9), le=10**9)]
    expires_on: Day = ""


class MoveUnits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Units leave one warehouse for another; nobody may buy them until they arrive."""

    part: Part = 0
    from_warehouse: WarehouseRef
    to_warehouse: WarehouseRef
    quantity: Units
    batch: Batch = ""
    reference: Reference = ""
    reason: ShortReason


class UnitsArrived(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What left by a move is there, but for what was lost on the way."""

    part: Part = 0
    move_id: MoveId
    lost: Annotated[int, msgspec.Meta(ge=0, le=10**9)] = 0
    reference: Reference = ""
    reason: ShortReason


class GoodsReturned(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Units of a paid order came back. ``warehouse_id`` null: to where they were sent from."""

    order_id: Annotated[str, msgspec.Meta(pattern="^ord_[0-9a-hjkmnp-tv-z]{20}$")]
    quantity: Units
    warehouse_id: WarehouseRef | None = None
    batch: Batch = ""
    expires_on: Day = ""
    reference: Reference = ""
    reason: ShortReason


class SafetyStock(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Units of a warehouse that may not be sold; 0 lets all be sold."""

    part: Part = 0
    warehouse_id: WarehouseRef = ""
    quantity: Annotated[int, msgspec.Meta(ge=0, le=10**9)]
    reason: ShortReason


class StockChanged(msgspec.Struct, frozen=True, kw_only=True):
    """It is done. ``available``: of the whole part. ``move_id``: names a move until it arrives."""

    sku_id: str
    part: int
    available: int
    move_id: str | None = None


class LotSeen(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of one warehouse and batch, exact."""

    warehouse_id: str
    batch: str
    expires_on: str
    put_in: int
    received: int
    returned: int
    moved_in: int
    adjusted: int
    available: int
    held: int
    sold: int
    written_off: int
    sent: int
    moved_out: int


class UnderWay(msgspec.Struct, frozen=True, kw_only=True):
    """Units between two warehouses."""

    move_id: str
    to_warehouse: str
    batch: str
    quantity: int


class PartSeen(msgspec.Struct, frozen=True, kw_only=True):
    """One part of an article: what may be sold, and where everything is."""

    part: int
    available: int
    sellable: int
    held: int
    lots: tuple[LotSeen, ...]
    safety: dict[str, int]
    moves: tuple[UnderWay, ...]


class StockPlaces(msgspec.Struct, frozen=True, kw_only=True):
    """Where an article is, as its owner knows it now."""

    sku_id: str
    parts: tuple[PartSeen, ...]


class MovementSeen(msgspec.Struct, frozen=True, kw_only=True):
    """One movement. ``available``, ``held``: what it changed. ``kind``: in, out, hold, release, sell, return, adjust or transfer."""

    key: str
    warehouse_id: str
    batch: str
    kind: str
    quantity: int
    available: int
    held: int
    reason: str
    reference: str
    at: Timestamp


class MovementPage(msgspec.Struct, frozen=True, kw_only=True):
    """The newest first."""

    movements: tuple[MovementSeen, ...]
    next_cursor: str | None


class BasketLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """So many of an article."""

    sku_id: SkuRef
    quantity: Quantity


class AllocationAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From where would this be sent? Nothing is held."""

    lines: Annotated[tuple[BasketLine, ...], msgspec.Meta(min_length=1, max_length=LINES_MAX)]
    country: Annotated[str, msgspec.Meta(pattern="^[A-Z]{2}$", examples=["CN"])]
    region_code: Annotated[str, msgspec.Meta(pattern=r"^(\d{2}|\d{4}|\d{6}|\d{9})?$")] = ""
    region: Text = ""
    city: Text = ""
    district: Text = ""


class ParcelPlanned(msgspec.Struct, frozen=True, kw_only=True):
    """What one warehouse would send, or sends."""

    warehouse_id: str
    code: str | None
    lines: tuple[BasketLine, ...]


class WarehouseJudged(msgspec.Struct, frozen=True, kw_only=True):
    """Why a warehouse sends something or nothing, as a code and in both languages.

    ``km`` and ``cost`` are known of a question alone: an order keeps neither.
    """

    warehouse_id: str
    code: str | None
    verdict: str
    en: str
    zh: str
    km: float | None = None
    cost: float | None = None
    missed_cutoff: bool | None = None


class AllocationSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A plan. ``short``: what no warehouse has."""

    lat: float | None
    lon: float | None
    parcels: tuple[ParcelPlanned, ...]
    judged: tuple[WarehouseJudged, ...]
    short: tuple[BasketLine, ...]


class OrderParcels(msgspec.Struct, frozen=True, kw_only=True):
    """From where an order is really sent, and what was thought when it was placed. No parcels: all from the unnamed warehouse."""

    order_id: str
    status: str
    parcels: tuple[ParcelPlanned, ...]
    judged: tuple[WarehouseJudged, ...]
