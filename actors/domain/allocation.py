"""Which warehouses send an order: as few parcels as possible, then from as near as possible. Pure rules; see README.md in this folder.

A warehouse costs its distance in kilometres, ``DAY_KM`` more when its parcels of today have left, and ``PRIORITY_KM`` less for each
step of its priority. One parcel more is never worth it: what splits an order is that no warehouse has all of it.
"""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from schemas.order import Considered, Line, Wish
from schemas.warehouse import Point, WarehouseTerms

EARTH_KM: Final = 6371.0
DAY_KM: Final = 800.0
"""What a parcel travels in a day: a warehouse that is nearer by more than this is quicker although it sends tomorrow."""

PRIORITY_KM: Final = 100.0
UNKNOWN_KM: Final = 20_000.0
"""Of the unnamed warehouse, and of an address that nobody can place: half of the equator."""

EXHAUSTIVE_MAX: Final = 10
"""Warehouses of which every combination is tried (1,023); of more, the fullest are taken one after the other."""

CONSIDERED_MAX: Final = 20
"""Warehouses that an order keeps a word of."""

DAY_MIN: Final = 1440


class Parcel(msgspec.Struct, frozen=True, kw_only=True):
    """What one warehouse sends: (line, units)."""

    warehouse_id: str
    units: tuple[tuple[int, int], ...]


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """One warehouse, and why it sends something or nothing. km: None where the distance is not known. cost: in kilometres."""

    warehouse_id: str
    verdict: str
    cost: float
    km: float | None
    missed_cutoff: bool


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """An allocation. ``short``: (line, units) that are nowhere; ``wishes``: by line, what the stock is asked for."""

    parcels: tuple[Parcel, ...]
    judged: tuple[Judged, ...]
    short: tuple[tuple[int, int], ...]
    wishes: tuple[Wish, ...]

    def considered(self) -> tuple[Considered, ...]:
        """What an order keeps of it: those that send, then the best of the others."""
        first = sorted(self.judged, key=lambda judged: judged.verdict not in ("whole", "part"))
        return tuple(Considered(warehouse_id=judged.warehouse_id, verdict=judged.verdict) for judged in first[:CONSIDERED_MAX])


class _Place(msgspec.Struct, kw_only=True):
    """A warehouse under judgement. ``has``: units by line, no more than are wanted."""

    warehouse_id: str
    km: float | None
    missed_cutoff: bool
    priority: int
    active: bool
    has: tuple[int, ...]

    @property
    def cost(self) -> float:
        near = UNKNOWN_KM if self.km is None else self.km
        return near + DAY_KM * self.missed_cutoff - PRIORITY_KM * self.priority


def distance_km(one: Point, other: Point) -> float:
    """Along a great circle."""
    lat, lon, other_lat, other_lon = (math.radians(value) for value in (one.lat, one.lon, other.lat, other.lon))
    half = math.sin((other_lat - lat) / 2) ** 2 + math.cos(lat) * math.cos(other_lat) * math.sin((other_lon - lon) / 2) ** 2
    return 2 * EARTH_KM * math.asin(min(1.0, math.sqrt(half)))


def missed_cutoff(warehouse: WarehouseTerms, now_ms: int) -> bool:
    """True when what is ordered now leaves with the parcels of tomorrow."""
    minute = (now_ms // 60_000 + warehouse.utc_offset_min) % DAY_MIN
    return minute >= warehouse.cutoff_min


def allocate(
    lines: Sequence[Line],
    address: Point | None,
    warehouses: Iterable[WarehouseTerms],
    levels: Mapping[str, Mapping[str, int]],
    now_ms: int,
) -> Plan:
    """The plan for an order, the same for the same arguments whatever their order.

    lines: of different SKUs. address: None where it cannot be placed. levels: units that may be sold, by SKU and warehouse ("": the
    unnamed one, which is nowhere and comes last). Never allocates what is not there; what is missing is ``short``.
    """
    wanted = [line.quantity for line in lines]
    stock = [levels.get(line.sku_id, {}) for line in lines]
    places = _places(wanted, stock, address, warehouses, now_ms)
    useful = [place for place in places if place.active and any(place.has)]
    chosen = _fewest(useful, wanted)
    short = not chosen
    if short:
        chosen = _greedy(useful, wanted)
    shares = _shares(chosen, wanted)
    whole = chosen[0] if len(chosen) == 1 and not short else None
    judged = tuple(
        Judged(
            warehouse_id=place.warehouse_id,
            verdict=_verdict(place, chosen, whole, wanted, short),
            cost=round(place.cost, 1),
            km=None if place.km is None else round(place.km, 1),
            missed_cutoff=place.missed_cutoff,
        )
        for place in places
    )
    return Plan(
        parcels=_parcels(chosen, shares),
        judged=judged,
        short=tuple((line, missing) for line, missing in enumerate(_missing(wanted, shares)) if missing),
        wishes=tuple(_wish(line, shares, useful) for line in range(len(wanted))),
    )


def _places(
    wanted: list[int], stock: list[Mapping[str, int]], address: Point | None, warehouses: Iterable[WarehouseTerms], now_ms: int
) -> list[_Place]:
    """All of them, the cheapest first."""

    def has(warehouse_id: str) -> tuple[int, ...]:
        return tuple(max(0, min(need, there.get(warehouse_id, 0))) for need, there in zip(wanted, stock, strict=True))

    places = [
        _Place(
            warehouse_id=warehouse.warehouse_id,
            km=None if address is None else distance_km(address, warehouse.point),
            missed_cutoff=missed_cutoff(warehouse, now_ms),
            priority=warehouse.priority,
            active=warehouse.active,
            has=has(warehouse.warehouse_id),
        )
        for warehouse in warehouses
    ]
    if any(has("")):
        # Behind all that have a name, wherever they are.
        places.append(_Place(warehouse_id="", km=None, missed_cutoff=True, priority=-1000, active=True, has=has("")))
    return sorted(places, key=lambda place: (place.cost, place.warehouse_id))


def _fewest(places: list[_Place], wanted: list[int]) -> list[_Place]:
    """The cheapest of the smallest sets that have everything; none where all together have not."""
    if any(sum(place.has[line] for place in places) < need for line, need in enumerate(wanted)):
        return []
    for place in places:
        if list(place.has) == wanted:
            return [place]
    if len(places) > EXHAUSTIVE_MAX:
        return _greedy(places, wanted)
    # The scarcest line first: it rules out most of the sets.
    lines = sorted(range(len(wanted)), key=lambda line: sum(place.has[line] for place in places) - wanted[line])
    for size in range(2, len(places) + 1):
        sets = [
            some
            for some in itertools.combinations(places, size)
            if all(sum(place.has[line] for place in some) >= wanted[line] for line in lines)
        ]
        if sets:
            return list(min(sets, key=lambda some: (sum(place.cost for place in some), [place.warehouse_id for place in some])))
    return []


def _greedy(places: list[_Place], wanted: list[int]) -> list[_Place]:
    """Whoever has most of what is missing, until nothing is missing or nobody has it; then whoever turned out superfluous leaves."""
    missing, chosen, left = list(wanted), [], list(places)
    while any(missing):
        best = max(left, key=lambda place: (_covers(place, missing), -place.cost, place.warehouse_id), default=None)
        if best is None or not _covers(best, missing):
            break
        left.remove(best)
        chosen.append(best)
        missing = [need - min(need, units) for need, units in zip(missing, best.has, strict=True)]
    for place in sorted(chosen, key=lambda place: -place.cost):
        others = [other for other in chosen if other is not place]
        if all(sum(other.has[line] for other in others) >= need - missing[line] for line, need in enumerate(wanted)):
            chosen = others
    return sorted(chosen, key=lambda place: (place.cost, place.warehouse_id))


def _covers(place: _Place, missing: list[int]) -> int:
    return sum(min(need, units) for need, units in zip(missing, place.has, strict=True))


def _shares(chosen: list[_Place], wanted: list[int]) -> list[dict[str, int]]:
    """By line: units of each chosen warehouse. A line stays together in the cheapest that has all of it."""
    shares: list[dict[str, int]] = []
    for line, need in enumerate(wanted):
        whole = next((place for place in chosen if place.has[line] >= need), None)
        share: dict[str, int] = {}
        for place in chosen if whole is None else [whole]:
            units = min(need, place.has[line])
            need -= units
            if units:
                share[place.warehouse_id] = units
        shares.append(share)
    return shares


def _missing(wanted: list[int], shares: list[dict[str, int]]) -> list[int]:
    return [need - sum(share.values()) for need, share in zip(wanted, shares, strict=True)]


def _parcels(chosen: list[_Place], shares: list[dict[str, int]]) -> tuple[Parcel, ...]:
    found = (
        (place.warehouse_id, tuple((line, share[place.warehouse_id]) for line, share in enumerate(shares) if place.warehouse_id in share))
        for place in chosen
    )
    return tuple(Parcel(warehouse_id=warehouse_id, units=units) for warehouse_id, units in found if units)


def _wish(line: int, shares: list[dict[str, int]], useful: list[_Place]) -> Wish:
    """First what is planned for the line, then what sends other lines of the order, then whatever is near."""
    planned = list(shares[line])
    parcels = dict.fromkeys(warehouse_id for share in shares for warehouse_id in share)
    prefer = dict.fromkeys((*planned, *parcels, *(place.warehouse_id for place in useful)))
    return Wish(prefer=tuple(prefer), together=max(1, len(planned)))


def _verdict(place: _Place, chosen: list[_Place], whole: _Place | None, wanted: list[int], short: bool) -> str:
    if not place.active:
        return "inactive"
    if not any(place.has):
        return "no_stock"
    if short:
        return "short"
    if any(place is one for one in chosen):
        return "whole" if whole is not None else "part"
    if whole is None:
        return "not_needed"
    if list(place.has) != wanted:
        return "some_stock"
    return _why_not(place, whole)


def _why_not(place: _Place, whole: _Place) -> str:
    """It has everything and costs more: what made the difference?"""
    near, other = (UNKNOWN_KM if one.km is None else one.km for one in (place, whole))
    if near < other and place.missed_cutoff and not whole.missed_cutoff and place.cost - DAY_KM < whole.cost:
        return "cutoff"
    if near < other and place.priority < whole.priority:
        return "priority"
    return "farther" if near >= other else "cutoff"
