"""The watch over goods: the overview, proposals and what staff make of them, facts, thresholds."""

import re
from typing import Annotated, Any, Final

import msgspec
from litestar import get, post, put
from litestar.params import FromPath, JSONBody, QueryParameter

from actors.storage.lifecycle import SHOP, Mover, ProposalRow, ThresholdsSet
from actors.storage.proposal_actions import Quota
from schemas.http.catalogue import Titles
from schemas.http.watch import (
    Decide,
    FactsSeen,
    MovingProduct,
    Proposal,
    ProposalPage,
    SetThresholds,
    ThresholdsSeen,
    WatchOverview,
)
from schemas.ids import derived_id, is_id
from schemas.watch import ProposalState, Rule, Thresholds
from serve.answers import timestamp
from serve.cursors import cursor_of, parts_of
from serve.framework import ShopRequest
from serve.requests import Refusal
from serve.staff.doing import deed_of, refusing

DEFAULTS: Final[dict[str, int]] = {name: getattr(Thresholds(), name) for name in Thresholds.__struct_fields__}


@get("/v1/staff/watch", operation_id="readWatch")
async def read_watch(request: ShopRequest) -> WatchOverview:
    """Proposals by rule and state; what sells most, rises, falls and runs out, each with its units a day."""
    desk = request.desk
    found = await desk.lifecycle.overview(desk.clock.now_ms())
    return WatchOverview(
        counts=found.counts,
        top=tuple(map(_mover, found.top)),
        rising=tuple(map(_mover, found.rising)),
        falling=tuple(map(_mover, found.falling)),
        low_stock=tuple(map(_mover, found.low_stock)),
        looked_at=timestamp(found.ended_at_ms),
        waiting=found.due,
        whole=found.whole,
    )


def _mover(one: Mover) -> MovingProduct:
    return MovingProduct(
        product_id=one.product_id,
        titles=Titles(en=one.title, zh=one.title_zh),
        units_7=one.units_7,
        units_28=one.units_28,
        trend=one.trend,
        available=one.available,
        days_of_cover=one.days_of_cover,
        series=one.series,
    )


@get("/v1/staff/products/{product_id:str}/facts", operation_id="readProductFacts")
async def read_facts(request: ShopRequest, product_id: FromPath[str]) -> FactsSeen:
    """What is known of a product: what tags and proposals are judged by."""
    found = await request.desk.lifecycle.facts(product_id, request.desk.clock.now_ms()) if is_id(product_id, "prd") else None
    if found is None:
        raise Refusal("product_not_found")
    return FactsSeen(facts=found.facts, made_at=timestamp(found.refreshed_at_ms), series=found.series)


# --- proposals ------------------------------------------------------------------------------------


@get("/v1/staff/proposals", operation_id="listProposals")
async def list_proposals(
    request: ShopRequest,
    in_state: Annotated[ProposalState | None, QueryParameter(description="of one state alone")] = None,
    rule: Annotated[Rule | None, QueryParameter(description="of one rule alone")] = None,
    product_id: Annotated[str | None, QueryParameter(max_length=64, description="of one product alone")] = None,
    cursor: Annotated[str | None, QueryParameter(max_length=200, description="`next_cursor` of the page before")] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=100)] = 20,
) -> ProposalPage:
    """Proposals, the newest first."""
    if product_id is not None and not is_id(product_id, "prd"):
        raise Refusal("product_not_found")
    rows = await request.desk.lifecycle.proposals(
        state=in_state or "", rule=rule or "", product_id=product_id or "", before=_place(cursor), limit=limit + 1
    )
    last = rows[limit - 1] if len(rows) > limit else None
    more = cursor_of("w", str(last.opened_at_ms), last.proposal_id) if last else None
    return ProposalPage(proposals=tuple(map(_proposal, rows[:limit])), next_cursor=more)


def _place(cursor: str | None) -> tuple[int, str]:
    if cursor is None:
        return 2**62, ""
    kind, opened, proposal_id = parts_of(cursor, 3)
    if kind != "w" or not re.fullmatch(r"\d{1,15}", opened):
        raise Refusal("invalid_request", {"reason": "cursor is none of ours"})
    return int(opened), proposal_id


def _proposal(row: ProposalRow) -> Proposal:
    return Proposal(
        proposal_id=row.proposal_id,
        product_id=row.product_id,
        titles=Titles(en=row.title, zh=row.title_zh),
        rule=row.rule,
        state=row.state,
        action=row.action,
        evidence=row.evidence,
        opened_at=timestamp(row.opened_at_ms),
        changed_at=timestamp(row.changed_at_ms),
        decided_at=timestamp(row.decided_at_ms) if row.decided_at_ms else None,
        decided_by=row.decided_by,
        reason=row.reason,
        result=row.result,
    )


def _id_of(proposal_id: str) -> str:
    if not is_id(proposal_id, "prp"):
        raise Refusal("proposal_unknown")
    return proposal_id


@get("/v1/staff/proposals/{proposal_id:str}", operation_id="readProposal")
async def read_proposal(request: ShopRequest, proposal_id: FromPath[str]) -> Proposal:
    """One proposal with its evidence."""
    row = await request.desk.lifecycle.proposal(_id_of(proposal_id))
    if row is None:
        raise Refusal("proposal_unknown")
    return _proposal(row)


@post("/v1/staff/proposals/{proposal_id:str}/accept", operation_id="acceptProposal", status_code=200)
async def accept_proposal(request: ShopRequest, proposal_id: FromPath[str], data: JSONBody[Decide]) -> Proposal:
    """Carry a proposal out. Accepted again, or by two at once, it is carried out once."""
    return _proposal(await accepted(request, _id_of(proposal_id), data.reason))


async def accepted(request: ShopRequest, proposal_id: str, reason: str) -> ProposalRow:
    """Carry a proposal out, and tell whoever has to know. Refusal of what the storage does not do."""
    desk = request.desk
    deed = deed_of(request, "goods.watch", proposal_id, reason)
    with refusing():
        row, quota = await desk.proposal_actions.accept(request.actor(), proposal_id, deed, desk.clock.now_ms())
        if quota is not None:
            await _tell(request, quota)
            row = await desk.proposal_actions.finish(proposal_id)
    return row


async def _tell(request: ShopRequest, quota: Quota) -> None:
    """Tell a coupon's owner its terms; told again they are the same command."""
    command_id = derived_id("quota", quota.coupon_id, repr(quota.terms))
    await request.desk.told("quota", quota.coupon_id, quota.terms, command_id=command_id, digest=command_id)


@post("/v1/staff/proposals/{proposal_id:str}/dismiss", operation_id="dismissProposal", status_code=200)
async def dismiss_proposal(request: ShopRequest, proposal_id: FromPath[str], data: JSONBody[Decide]) -> Proposal:
    """Not this. It comes up again when the case is another one, or after ``rest_days``."""
    desk = request.desk
    deed = deed_of(request, "goods.watch", _id_of(proposal_id), data.reason)
    with refusing():
        return _proposal(await desk.proposal_actions.dismiss(request.actor(), proposal_id, deed, desk.clock.now_ms()))


# --- thresholds -----------------------------------------------------------------------------------


def _scope(scope: str) -> str:
    if scope != SHOP and not is_id(scope, "cat"):
        raise Refusal("category_unknown")
    return scope


def _thresholds(found: ThresholdsSet) -> ThresholdsSeen:
    return ThresholdsSeen(scope=found.scope, own=found.own, effective=found.effective, defaults=DEFAULTS)


@get("/v1/staff/watch/thresholds/{where:str}", operation_id="readThresholds")
async def read_thresholds(request: ShopRequest, where: FromPath[str]) -> ThresholdsSeen:
    """By what the rules judge in the whole shop (``shop``), or in a category and those below it."""
    with refusing():
        return _thresholds(await request.desk.lifecycle.thresholds(_scope(where)))


@put("/v1/staff/watch/thresholds/{where:str}", operation_id="setThresholds")
async def set_thresholds(request: ShopRequest, where: FromPath[str], data: JSONBody[SetThresholds]) -> ThresholdsSeen:
    """Let these hold there; proposals follow with the next round."""
    msgspec.convert(data.terms, Thresholds)
    desk = request.desk
    deed = deed_of(request, "goods.watch", _scope(where), data.reason)
    with refusing():
        await desk.lifecycle.set_thresholds(request.actor(), where, data.terms, deed, desk.clock.now_ms())
        return _thresholds(await desk.lifecycle.thresholds(where))


HANDLERS: Final[list[Any]] = [
    read_watch,
    read_facts,
    list_proposals,
    read_proposal,
    accept_proposal,
    dismiss_proposal,
    read_thresholds,
    set_thresholds,
]
