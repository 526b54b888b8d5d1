"""``stampede sale create``, ``prepare``, ``status``."""

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from schemas.settings import Settings
from serve.cli.door import open_client, open_connection, running
from serve.cli.words import Trouble, is_chinese, say

if TYPE_CHECKING:
    from actors.domain.entity import Refused
    from actors.storage.sales import NewSale, PartLevel, SaleStatus

WEEK_MS: Final = 7 * 86_400_000
DEMO_STOCK: Final = 100
DEMO_LIMIT: Final = 2


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What was typed. Times in RFC 3339; None where nothing was said."""

    sku: str | None = None
    stock: int | None = None
    limit: int | None = None
    price: int | None = None
    opens_in_s: int | None = None
    opens_at: str | None = None
    ends_at: str | None = None
    ticket: bool = False
    mode: str = "first_come"
    draws_in_s: int | None = None
    winners: int | None = None
    rate: int = 0
    demo: bool = False


def create(settings: Settings, wish: Wish) -> "NewSale":
    """Make the sale that was asked for; a sale that opens now is open when this returns."""
    return asyncio.run(_create(running(settings), wish))


async def _create(settings: Settings, wish: Wish) -> "NewSale":
    from actors.domain.entity import Refused
    from actors.storage.sales import SalePlan, create_sale, open_sale

    now_ms = int(time.time() * 1000)
    opens_ms, ends_ms = times_of(wish, now_ms)
    if wish.mode not in ("first_come", "draw"):
        raise Trouble("mode_unknown", mode=wish.mode)
    if wish.mode == "draw" and not (wish.draws_in_s and wish.winners):
        raise Trouble("draw_incomplete")
    async with open_connection(settings) as connection, open_client(settings) as client:
        sku, stock, limit, price = await _goods(connection, wish)
        plan = SalePlan(
            sku_id=sku,
            stock=stock,
            limit=limit,
            price=price,
            opens_at_ms=opens_ms,
            ends_at_ms=ends_ms,
            mode=wish.mode,
            ticket=wish.ticket,
            rate_per_s=wish.rate,
            draws_at_ms=opens_ms + 1000 * (wish.draws_in_s or 0) if wish.mode == "draw" else 0,
            winners=wish.winners or 0,
        )
        sale = await create_sale(connection, client, plan)
        if not isinstance(sale, Refused) and opens_ms <= now_ms:
            sale = await open_sale(connection, client, sale)
    if isinstance(sale, Refused):
        raise _trouble(sale)
    return sale


def times_of(wish: Wish, now_ms: int) -> tuple[int, int]:
    """(opens, ends), UTC in ms. Trouble: ``time_wrong``, ``times_twice``, ``ends_first``."""
    if wish.opens_at is not None and wish.opens_in_s is not None:
        raise Trouble("times_twice")
    opens_ms = _moment(wish.opens_at) if wish.opens_at is not None else now_ms + 1000 * (wish.opens_in_s or 0)
    ends_ms = _moment(wish.ends_at) if wish.ends_at is not None else opens_ms + WEEK_MS
    if ends_ms <= opens_ms:
        raise Trouble("ends_first")
    return opens_ms, ends_ms


def _moment(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise Trouble("time_wrong", text=text) from error
    if moment.tzinfo is None:
        raise Trouble("time_wrong", text=text)
    return int(moment.timestamp() * 1000)


async def _goods(connection: Any, wish: Wish) -> tuple[str, int, int, int]:
    """(SKU, stock, limit, price): as typed, and for a demo sale whatever was not typed by its own taste: half the price."""
    from actors.storage.sales import demo_pick

    sku, stock, limit, price = wish.sku, wish.stock, wish.limit, wish.price
    if wish.demo:
        picked = await demo_pick(connection)
        if picked is None:
            raise Trouble("shop_empty")
        sku, stock = sku or picked[0], stock or DEMO_STOCK
        limit = DEMO_LIMIT if limit is None else limit
        price = max(1, picked[1] // 2) if price is None else price
    if sku is None or stock is None or price is None:
        raise Trouble("sale_incomplete")
    return sku, stock, limit or 0, price


def prepare(settings: Settings, sale_id: str, parts: int) -> "list[PartLevel]":
    """Spread the sale's stock; answers the levels of its parts."""
    return asyncio.run(_prepare(running(settings), sale_id, parts))


async def _prepare(settings: Settings, sale_id: str, parts: int) -> "list[PartLevel]":
    from actors.domain.entity import Refused
    from actors.storage.sales import split_sale

    async with open_connection(settings) as connection, open_client(settings) as client:
        levels = await split_sale(connection, client, sale_id, parts)
    if isinstance(levels, Refused):
        raise _trouble(levels)
    return levels


def status(settings: Settings, sale_id: str) -> "SaleStatus":
    """The sale, as its owners know it now."""
    return asyncio.run(_status(running(settings), sale_id))


async def _status(settings: Settings, sale_id: str) -> "SaleStatus":
    from actors.domain.entity import Refused
    from actors.storage.sales import sale_status

    async with open_connection(settings) as connection, open_client(settings) as client:
        found = await sale_status(connection, client, sale_id)
    if isinstance(found, Refused):
        raise _trouble(found)
    return found


def _trouble(refused: "Refused") -> Trouble:
    from schemas.problems import problem_of

    problem = problem_of(refused.code, refused.params, language="zh-CN" if is_chinese() else "en")
    return Trouble("refused", reason=problem.title.rstrip(".。"), code=refused.code)


# --- as text and JSON -----------------------------------------------------------------------------


def new_sale_words(sale: "NewSale") -> str:
    """One line for people."""
    return say(
        "sale_made",
        sale=sale.sale_id,
        stock=sale.stock,
        title=sale.title_zh if is_chinese() else sale.title,
        sku=sale.sku_id,
        price=f"{sale.price / 100:.2f} {sale.currency}",
        limit=sale.limit_per_user or say("no_limit"),
        state=sale.state,
    )


def new_sale_json(sale: "NewSale") -> dict[str, Any]:
    """``sale create --json``."""
    return {
        "sale_id": sale.sale_id,
        "sku_id": sale.sku_id,
        "product_id": sale.product_id,
        "state": sale.state,
        "price": {"amount": sale.price, "currency": sale.currency},
        "stock": sale.stock,
        "limit_per_user": sale.limit_per_user,
        "opens_at": _text(sale.opens_at_ms),
        "ends_at": _text(sale.ends_at_ms),
        "orders_path": f"/v1/flash-sales/{sale.sale_id}/orders",
    }


def part_json(part: "PartLevel") -> dict[str, Any]:
    """One part's stock."""
    return {"key": part.key, **msgspec.structs.asdict(part.level)}


def status_json(found: "SaleStatus") -> dict[str, Any]:
    """``sale status --json``. ``stock`` sums the parts."""
    parts = [part_json(part) for part in found.parts]
    counts = ("put_in", "available", "held", "sold", "written_off", "in_transit")
    return {
        "sale_id": found.terms.sale_id,
        "title": found.title,
        "state": found.admission.state,
        "told_state": found.terms.state,
        "mode": found.terms.mode,
        "opens_at": _text(found.terms.opens_at_ms),
        "ends_at": _text(found.terms.ends_at_ms),
        "limit_per_user": found.terms.limit_per_user,
        "ticket_required": found.terms.ticket_required,
        "rate_per_s": found.terms.rate_per_s,
        "entrants": found.admission.entrants,
        "winners": found.admission.winners,
        "prices": {sku: {"amount": price, "currency": found.terms.currency} for sku, price in found.terms.prices.items()},
        "stock": {name: sum(part[name] for part in parts) for name in counts},
        "parts": parts,
    }


def _text(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
