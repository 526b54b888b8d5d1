"""Admission to flash sales: tickets, and entries to draws."""

from typing import Any, Final

from litestar import post
from litestar.params import FromPath

from actors.domain import ticket as tickets
from schemas.admission import DrawEntered, Enter, IsWinner, Winner
from schemas.http.sales import DrawEntry, TicketGranted
from schemas.ids import is_id
from schemas.offer import SaleTerms
from serve.answers import timestamp
from serve.desk import Desk
from serve.framework import ShopRequest
from serve.rates import Rate
from serve.requests import Refusal


async def _sale(desk: Desk, sale_id: str) -> SaleTerms:
    """The terms. Refusal ``sale_unknown``."""
    facts = await desk.facts.fetch(("sale:" + sale_id,)) if is_id(sale_id, "sal") else {}
    sale = facts.get("sale:" + sale_id)
    if not isinstance(sale, SaleTerms):
        raise Refusal("sale_unknown")
    return sale


def _check_open(sale: SaleTerms, now_ms: int) -> None:
    if sale.state == "ended" or now_ms >= sale.ends_at_ms:
        raise Refusal("sale_ended")
    if sale.state == "sold_out":
        raise Refusal("sold_out")
    if now_ms < sale.opens_at_ms or sale.state in ("closed", "entering"):
        raise Refusal("sale_not_open")


@post("/v1/flash-sales/{sale_id:str}/tickets", operation_id="getTicket")
async def get_ticket(request: ShopRequest, sale_id: FromPath[str]) -> TicketGranted:
    """Admission for one order. The same key gets the same ticket, with the time that is left of it now."""
    desk, user_id = request.desk, request.customer().user_id
    command_id, _ = request.command(user_id, "ticket")
    if not desk.user_rate.take(user_id):
        raise Refusal("rate_limited")
    sale = await _sale(desk, sale_id)
    now_ms = desk.clock.now_ms()
    _check_open(sale, now_ms)
    if sale.mode == "draw":
        drawn = await desk.told("admission", sale_id, IsWinner(user_id=user_id))
        if not isinstance(drawn, Winner) or not drawn.won:
            raise Refusal("not_drawn")
    if sale.rate_per_s and not _rate_of(desk, sale).take(sale_id):
        raise Refusal("rate_limited")
    expires_at_ms = min(now_ms + sale.ticket_ttl_ms, sale.ends_at_ms)
    ticket = tickets.Ticket(user_id=user_id, sale_id=sale_id, expires_at_ms=expires_at_ms, nonce=command_id.hex())
    return TicketGranted(ticket=tickets.issue(desk.services.ticket_keys, ticket), expires_at=timestamp(expires_at_ms))


def _rate_of(desk: Desk, sale: SaleTerms) -> Rate:
    """This replica's share of the sale's rate of tickets."""
    known = desk.ticket_rates.get(sale.sale_id)
    if known is None or known[0] != sale.rate_per_s:
        share = sale.rate_per_s / max(1, desk.settings.replicas)
        known = desk.ticket_rates[sale.sale_id] = (sale.rate_per_s, Rate(desk.clock.monotonic_ms, share, max(1.0, share)))
    return known[1]


@post("/v1/flash-sales/{sale_id:str}/entries", operation_id="enterDraw")
async def enter_draw(request: ShopRequest, sale_id: FromPath[str]) -> DrawEntry:
    """Take part in a draw, once; a repeat changes nothing."""
    desk, user_id = request.desk, request.customer().user_id
    command_id, digest = request.command(user_id, "enter")
    if not desk.user_rate.take(user_id):
        raise Refusal("rate_limited")
    await _sale(desk, sale_id)
    entered = await desk.told("admission", sale_id, Enter(user_id=user_id), command_id=command_id, digest=digest)
    assert isinstance(entered, DrawEntered)
    return DrawEntry(sale_id=sale_id, draws_at=timestamp(entered.draws_at_ms))


HANDLERS: Final[list[Any]] = [get_ticket, enter_draw]
