"""The life cycle of goods as pages: how goods are doing, and what the rules propose, with the evidence and the two answers to it."""

from typing import Annotated, Any, Final, get_args

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath

from actors.storage.lifecycle import Mover, ProposalRow
from schemas.ids import is_id
from schemas.watch import RULES, ProposalState
from serve.framework import ShopRequest
from serve.requests import Refusal
from serve.staff.doing import deed_of, refusing
from serve.staff.watch import accepted
from serve.web.forms import FORMS, form_of
from serve.web.pages import asked, number_of, page, see_other
from serve.web.sparkline import Sparkline, sparkline

SHOWN: Final = 30
STATES: Final[tuple[str, ...]] = get_args(ProposalState)


class DecideForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why, for the trail and the revision."""

    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


FORMS["staffAcceptProposal"] = DecideForm
FORMS["staffDismissProposal"] = DecideForm


class Moving(msgspec.Struct, frozen=True, kw_only=True):
    """A product in a list, with its chart."""

    one: Mover
    chart: Sparkline


def _moving(found: tuple[Mover, ...]) -> list[Moving]:
    return [Moving(one=one, chart=sparkline(one.series)) for one in found]


@get("/staff/lifecycle", operation_id="staffLifecyclePage", media_type="text/html")
async def lifecycle_page(request: ShopRequest) -> Response[str]:
    """How goods are doing, and how many proposals wait."""
    found = await request.desk.lifecycle.overview(request.desk.clock.now_ms())
    lists = [(name, _moving(getattr(found, name))) for name in ("low_stock", "rising", "falling", "top")]
    return page(request, "lifecycle.html", counts=found.counts, lists=lists, rules=RULES, ended_at_ms=found.ended_at_ms, due=found.due)


@get("/staff/proposals", operation_id="staffProposalsPage", media_type="text/html")
async def proposals_page(request: ShopRequest) -> Response[str]:
    """Proposals, the newest first."""
    state, rule = asked(request, "in_state") or "open", asked(request, "rule")
    state, rule = state if state in STATES else "open", rule if rule in RULES else ""
    before, _, before_id = asked(request, "before").partition(".")
    start = (number_of(before, 2**62), before_id)
    rows = await request.desk.lifecycle.proposals(state=state, rule=rule, before=start, limit=SHOWN + 1)
    last = rows[SHOWN - 1] if len(rows) > SHOWN else None
    more = f"{last.opened_at_ms}.{last.proposal_id}" if last else ""
    return page(request, "proposals.html", rows=rows[:SHOWN], more=more, state=state, rule=rule, rules=RULES, states=STATES)


def _id(proposal_id: str) -> str:
    if not is_id(proposal_id, "prp"):
        raise Refusal("proposal_unknown")
    return proposal_id


async def _one(request: ShopRequest, proposal_id: str) -> ProposalRow:
    row = await request.desk.lifecycle.proposal(_id(proposal_id))
    if row is None:
        raise Refusal("proposal_unknown")
    return row


@get("/staff/proposals/{proposal_id:str}", operation_id="staffProposalPage", media_type="text/html")
async def proposal_page(request: ShopRequest, proposal_id: FromPath[str]) -> Response[str]:
    """One proposal: what it would do, the facts that led to it, and the two answers."""
    row = await _one(request, proposal_id)
    facts = await request.desk.lifecycle.facts(row.product_id, request.desk.clock.now_ms())
    chart = sparkline(facts.series) if facts else None
    return page(request, "proposal.html", row=row, action=msgspec.to_builtins(row.action), chart_line=chart)


@post("/staff/proposals/{proposal_id:str}/accept", operation_id="staffAcceptProposal", media_type="text/html", status_code=303)
async def accept(request: ShopRequest, proposal_id: FromPath[str]) -> Response[str]:
    """Carry a proposal out."""
    form = await form_of(request, DecideForm)
    await accepted(request, _id(proposal_id), form.reason)
    return see_other(f"/staff/proposals/{proposal_id}")


@post("/staff/proposals/{proposal_id:str}/dismiss", operation_id="staffDismissProposal", media_type="text/html", status_code=303)
async def dismiss(request: ShopRequest, proposal_id: FromPath[str]) -> Response[str]:
    """Not this."""
    form, desk = await form_of(request, DecideForm), request.desk
    deed = deed_of(request, "goods.watch", _id(proposal_id), form.reason)
    with refusing():
        await desk.proposal_actions.dismiss(request.actor(), proposal_id, deed, desk.clock.now_ms())
    return see_other(f"/staff/proposals/{proposal_id}")


HANDLERS: Final[list[Any]] = [lifecycle_page, proposals_page, proposal_page, accept, dismiss]
