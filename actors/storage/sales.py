"""Flash sales as an operator makes them: rows for the terms, commands for stock and admission.

A sale has an article of its own: a SKU of the same product, with a stock that nobody outside the
sale was promised, so that the sale sells exactly as many as it was given. Every command's id is
derived from the sale, so that asking again after a failure does nothing twice.
"""

import asyncio
import os
from typing import Any, Final

import msgspec

from actors.domain.entity import Refused
from actors.ports.asking import Asks
from actors.storage.facts import sale_of
from schemas.admission import Configure, Open, ReadSale, SaleView
from schemas.envelope import Answer
from schemas.ids import derived_id, random_id
from schemas.offer import SaleTerms
from schemas.stock import PutIn, ReadStock, StockLevel, TransferOut

KNOWN_S: Final = 1.5
"""After this long everybody works by a changed fact: none is used that is older than a second."""

OPEN_S: Final = 10.0
PARTS_MAX: Final = 64

SKU: Final = """
SELECT s.sku_id, s.product_id, s.code, s.price_minor, s.currency, p.title, p.title_zh
FROM sku s JOIN product p USING (product_id) WHERE s.sku_id = $1"""
DEMO_SKU: Final = """
SELECT s.sku_id, s.price_minor FROM sku s JOIN product p USING (product_id)
WHERE s.on_shelf AND s.sku_id NOT LIKE '%\\_s\\_%'
ORDER BY (p.category IS NOT DISTINCT FROM 'COFFEE' AND p.size IS NOT NULL) DESC, s.price_minor BETWEEN 500 AND 5000 DESC,
    s.price_minor DESC, s.sku_id LIMIT 1"""
INSERT_SKU: Final = """
INSERT INTO sku (sku_id, product_id, code, price_minor, currency) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING"""
INSERT_SALE: Final = """
INSERT INTO flash_sale (sale_id, title, title_zh, state, mode, opens_at_ms, ends_at_ms, prices, currency, limit_per_user,
    ticket_required, ticket_ttl_ms, rate_per_s)
VALUES ($1, $2, $3, 'closed', $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING"""
SALE: Final = """
SELECT sale_id, title, title_zh, state, mode, opens_at_ms, ends_at_ms, prices, currency, limit_per_user, ticket_required, ticket_ttl_ms,
    rate_per_s, version
FROM flash_sale WHERE sale_id = $1"""
STATE: Final = "SELECT state FROM flash_sale WHERE sale_id = $1"
PARTS: Final = "SELECT sku_id, parts FROM sku WHERE sku_id = ANY ($1) ORDER BY sku_id"
SPLIT: Final = "UPDATE sku SET parts = $2 WHERE sku_id = ANY ($1) AND parts < $2"


class SalePlan(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator asks for. Times are UTC, ms; ``price`` in minor units of the SKU's currency; ``limit`` 0: none for one user.

    ``draws_at_ms``, ``winners``: of a draw alone.
    """

    sku_id: str
    stock: int
    limit: int
    price: int
    opens_at_ms: int
    ends_at_ms: int
    mode: str = "first_come"
    ticket: bool = False
    rate_per_s: int = 0
    draws_at_ms: int = 0
    winners: int = 0
    sale_id: str = ""


class NewSale(msgspec.Struct, frozen=True, kw_only=True):
    """A sale that stands. ``sku_id``: the article of its own that it sells."""

    sale_id: str
    sku_id: str
    product_id: str
    title: str
    title_zh: str
    price: int
    currency: str
    stock: int
    limit_per_user: int
    opens_at_ms: int
    ends_at_ms: int
    state: str


class PartLevel(msgspec.Struct, frozen=True, kw_only=True):
    """The exact stock of one part."""

    key: str
    level: StockLevel

    @property
    def sellable(self) -> int:
        """Units that may be sold now: without safety stock and expired ones."""
        return self.level.available if self.level.sellable is None else self.level.sellable


class SaleStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A sale as its owners know it. ``terms.state`` is what buyers are judged by, ``admission`` the exact word."""

    title: str
    title_zh: str
    terms: SaleTerms
    admission: SaleView
    parts: tuple[PartLevel, ...]


async def demo_pick(connection: Any) -> tuple[str, int] | None:
    """An article worth a sale, and its price; None in an empty shop. The same each time."""
    row = await connection.fetchrow(DEMO_SKU)
    return (row["sku_id"], row["price_minor"]) if row else None


async def create_sale(connection: Any, client: Asks, plan: SalePlan) -> NewSale | Refused:
    """Make the sale; it opens by itself at its time, at once when that is past.

    The stock is there before the sale can be seen, the sale's row before its first move is told.
    Refused: ``sku_unknown``, ``quantity_invalid``, ``invalid_request``, or whatever hinders an answer.
    """
    row = await connection.fetchrow(SKU, plan.sku_id)
    if row is None:
        return Refused(code="sku_unknown", params={"sku_id": plan.sku_id})
    sale_id = plan.sale_id or random_id("sal")
    mark = sale_id.partition("_")[2]
    sku_id = f"sku_s_{mark}"
    await connection.execute(INSERT_SKU, sku_id, row["product_id"], f"{row['code']}-{mark}", row["price_minor"], row["currency"])
    put_in = await _tell(client, "stock", sku_id + "#0", PutIn(quantity=plan.stock, reason=sale_id), sale_id, "stock")
    if put_in.code:
        return _refusal(put_in)
    prices = msgspec.json.encode({sku_id: plan.price}).decode()
    ticket = plan.ticket or plan.mode == "draw"
    terms = Configure(
        mode=plan.mode,
        sku_ids=(sku_id,),
        opens_at_ms=plan.opens_at_ms,
        ends_at_ms=plan.ends_at_ms,
        draws_at_ms=plan.draws_at_ms,
        winners_max=plan.winners,
        rate_per_s=plan.rate_per_s,
        seed=os.urandom(32) if plan.mode == "draw" else b"",
    )
    await connection.execute(
        INSERT_SALE, sale_id, row["title"], row["title_zh"], plan.mode, plan.opens_at_ms, plan.ends_at_ms, prices, row["currency"],
        plan.limit, ticket, terms.ticket_ttl_ms, plan.rate_per_s,
    )  # fmt: skip
    configured = await _tell(client, "admission", sale_id, terms, sale_id, "configure")
    if configured.code:
        return _refusal(configured)
    return NewSale(
        sale_id=sale_id,
        sku_id=sku_id,
        product_id=row["product_id"],
        title=row["title"],
        title_zh=row["title_zh"],
        price=plan.price,
        currency=row["currency"],
        stock=plan.stock,
        limit_per_user=plan.limit,
        opens_at_ms=plan.opens_at_ms,
        ends_at_ms=plan.ends_at_ms,
        state="closed",
    )


async def open_sale(connection: Any, client: Asks, sale: NewSale) -> NewSale | Refused:
    """Open now, and wait until buyers are told so. Refused: ``outcome_unknown`` when the projections do not come to it."""
    opened = await _tell(client, "admission", sale.sale_id, Open(), sale.sale_id, "open")
    if opened.code:
        return _refusal(opened)
    deadline = asyncio.get_running_loop().time() + OPEN_S
    while (state := await connection.fetchval(STATE, sale.sale_id)) == "closed":
        if asyncio.get_running_loop().time() > deadline:
            return Refused(code="outcome_unknown")
        await asyncio.sleep(0.02)
    return msgspec.structs.replace(sale, state=state)


async def split_sale(connection: Any, client: Asks, sale_id: str, parts: int) -> list[PartLevel] | Refused:
    """Spread the stock of a sale over ``parts`` owners, evenly; answers the levels.

    More parts can be made of fewer, never the other way round. Best done before the rush. Refused: ``sale_unknown``,
    ``invalid_request``, and as :func:`split_skus`.
    """
    terms = await _terms(connection, sale_id)
    if terms is None:
        return Refused(code="sale_unknown")
    rows = await connection.fetch(PARTS, list(terms.prices))
    most = max(row["parts"] for row in rows)
    if not most <= parts <= PARTS_MAX:
        return Refused(code="invalid_request", params={"reason": f"parts must be from {most} to {PARTS_MAX}"})
    return await split_skus(connection, client, sorted(terms.prices), parts)


async def split_skus(connection: Any, client: Asks, sku_ids: list[str], parts: int) -> list[PartLevel] | Refused:
    """Spread the stock of these articles over ``parts`` owners each, evenly, also while they are bought; answers the levels.

    First everybody learns to ask all the parts, then units move: an empty part is never the last word. Units
    on their way, milliseconds long, are nobody's; every part but an empty one keeps some meanwhile. Asked again
    after a failure it goes on from there. Refused: whatever hinders an answer; nothing is lost then.
    """
    if await connection.execute(SPLIT, sku_ids, parts) != "UPDATE 0":
        await asyncio.sleep(KNOWN_S)
    levels: list[PartLevel] = []
    for sku_id in sku_ids:
        found = await _spread(client, sku_id, parts)
        if isinstance(found, Refused):
            return found
        levels += found
    return levels


async def sale_status(connection: Any, client: Asks, sale_id: str) -> SaleStatus | Refused:
    """The sale, exactly. Refused: ``sale_unknown``, or whatever hinders an answer."""
    row = await connection.fetchrow(SALE, sale_id)
    if row is None:
        return Refused(code="sale_unknown")
    terms = sale_of(row)
    admission = await client.ask("admission", sale_id, ReadSale(), command_id=os.urandom(16))
    if not isinstance(admission.reply, SaleView):
        return _refusal(admission)
    levels: list[PartLevel] = []
    for sku in await connection.fetch(PARTS, list(terms.prices)):
        found = await _levels(client, sku["sku_id"], sku["parts"])
        if isinstance(found, Refused):
            return found
        levels += found
    return SaleStatus(title=row["title"], title_zh=row["title_zh"], terms=terms, admission=admission.reply, parts=tuple(levels))


async def _terms(connection: Any, sale_id: str) -> SaleTerms | None:
    row = await connection.fetchrow(SALE, sale_id)
    return sale_of(row) if row else None


async def part_levels(connection: Any, client: Asks, sku_id: str) -> list[PartLevel] | Refused:
    """The exact stock of every part of an article. Refused: ``sku_unknown``, or whatever hinders an answer."""
    for row in await connection.fetch(PARTS, [sku_id]):
        return await _levels(client, sku_id, row["parts"])
    return Refused(code="sku_unknown", params={"sku_id": sku_id})


async def _levels(client: Asks, sku_id: str, parts: int) -> list[PartLevel] | Refused:
    keys = [f"{sku_id}#{part}" for part in range(parts)]
    answers = await asyncio.gather(*(client.ask("stock", key, ReadStock(), command_id=os.urandom(16)) for key in keys))
    levels = []
    for key, answer in zip(keys, answers, strict=True):
        if not isinstance(answer.reply, StockLevel):
            return _refusal(answer)
        levels.append(PartLevel(key=key, level=answer.reply))
    return levels


async def _spread(client: Asks, sku_id: str, parts: int) -> list[PartLevel] | Refused:
    """Move units from parts with more than their share to those with less, and wait until they have arrived."""
    levels = await _levels(client, sku_id, parts)
    if isinstance(levels, Refused):
        return levels
    for source, target, quantity in transfers(sku_id, [part.sellable for part in levels]):
        transfer_id = os.urandom(16)
        command = TransferOut(transfer_id=transfer_id, to_key=target, quantity=quantity)
        answer = await client.ask("stock", source, command, command_id=transfer_id, digest=transfer_id)
        # Sold meanwhile: what is left where it is may be bought there.
        if answer.code not in ("", "insufficient_stock"):
            return _refusal(answer)
    while True:
        levels = await _levels(client, sku_id, parts)
        if isinstance(levels, Refused):
            return levels
        if not any(part.level.in_transit for part in levels):
            # The sources have heard that all arrived; the targets may have been asked before.
            return await _levels(client, sku_id, parts)
        await asyncio.sleep(0.02)


def transfers(sku_id: str, available: list[int]) -> list[tuple[str, str, int]]:
    """(from, to, quantity) after which every part has the same, give or take one."""
    share, odd = divmod(sum(available), len(available))
    surplus = [have - share - (part < odd) for part, have in enumerate(available)]
    moves = []
    for target, missing in enumerate(surplus):
        for source, extra in enumerate(surplus):
            quantity = min(extra, -missing)
            if quantity > 0:
                moves.append((f"{sku_id}#{source}", f"{sku_id}#{target}", quantity))
                surplus[source] -= quantity
                missing += quantity
    return moves


async def _tell(client: Asks, kind: str, key: str, command: Any, sale_id: str, step: str) -> Answer:
    command_id = derived_id("sale", sale_id, step)
    return await client.ask(kind, key, command, command_id=command_id, digest=derived_id(step, msgspec.msgpack.encode(command)))


def _refusal(answer: Answer) -> Refused:
    return Refused(code=answer.code or "internal_error", params=answer.params)
