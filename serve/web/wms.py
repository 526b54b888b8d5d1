"""Warehouses' systems as pages: how the lines go, messages that could not be delivered or carried out, counts that differ."""

from typing import Annotated, Any, Final, Literal

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath

from actors.storage.staff import NotDone
from schemas.ids import is_id
from serve.framework import ShopRequest
from serve.requests import Refusal
from serve.staff.doing import refusing
from serve.staff.wms import LAST_MS, STATES, request_id
from serve.web.forms import FORMS, form_of
from serve.web.pages import asked, number_of, page, see_other

SHOWN: Final = 50
BODY_SHOWN: Final = 20_000
"""Characters of a message that the page shows."""

Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


class ForReasonForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why, for the trail."""

    reason: Reason


class RetryAllForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All dead messages of a line, on one side."""

    side: Literal["in", "out"]
    reason: Reason


FORMS["staffRetryLetter"] = ForReasonForm
FORMS["staffDropLetter"] = ForReasonForm
FORMS["staffRetryLetters"] = RetryAllForm


def _start(request: ShopRequest) -> tuple[int, str]:
    before, _, name = asked(request, "before").partition(".")
    return number_of(before, LAST_MS), name


@get("/staff/wms", operation_id="staffWmsPage", media_type="text/html")
async def wms_page(request: ShopRequest) -> Response[str]:
    """The lines to warehouses, and how they go."""
    lines = await request.desk.wms.connections(closed=False)
    return page(request, "wms.html", lines=lines, now_ms=request.desk.clock.now_ms())


@get("/staff/wms/letters", operation_id="staffLettersPage", media_type="text/html")
async def letters_page(request: ShopRequest) -> Response[str]:
    """Messages of one side and state; of those that are dead, all can be tried again."""
    side: Literal["in", "out"] = "out" if asked(request, "side") == "out" else "in"
    wanted = asked(request, "status") or "dead"
    wanted = wanted if wanted in STATES[side] else "dead"
    line = asked(request, "line")
    line = line if is_id(line, "wms") else ""
    rows = await request.desk.wms.letters(side, (wanted,), line, *_start(request), SHOWN + 1)
    last = rows[SHOWN - 1] if len(rows) > SHOWN else None
    lines = await request.desk.wms.connections(closed=True)
    return page(
        request, "letters.html", letters=rows[:SHOWN], more=f"{last.at_ms}.{last.letter_id}" if last else "", side=side, wanted=wanted,
        line=line, lines=lines, states=STATES[side],
    )  # fmt: skip


def _letter_id(letter_id: str) -> str:
    if not is_id(letter_id, "wml") and not is_id(letter_id, "msg"):
        raise Refusal("wms_letter_unknown")
    return letter_id


@get("/staff/wms/letters/{letter_id:str}", operation_id="staffLetterPage", media_type="text/html")
async def letter_page(request: ShopRequest, letter_id: FromPath[str]) -> Response[str]:
    """One message, and what became of its changes."""
    found = await request.desk.wms.letter(_letter_id(letter_id))
    if found is None:
        raise Refusal("wms_letter_unknown")
    letter, lines = found
    return page(request, "letter.html", letter=letter, lines=lines, body=letter.body[:BODY_SHOWN], cut=len(letter.body) > BODY_SHOWN)


async def _acted(request: ShopRequest, letter_id: str, action: Any, reason: str) -> Response[str]:
    desk = request.desk
    try:
        await action(request.actor(), _letter_id(letter_id), reason, desk.clock.now_ms(), request_id(request))
    except NotDone as ended:
        found = await desk.wms.letter(letter_id) if ended.code == "wms_letter_state" else None
        raise Refusal(ended.code, {"state": found[0].state} if found else None) from None
    desk.wms_work.wake()
    return see_other(f"/staff/wms/letters/{letter_id}")


@post("/staff/wms/letters/{letter_id:str}/retry", operation_id="staffRetryLetter", media_type="text/html", status_code=303)
async def retry(request: ShopRequest, letter_id: FromPath[str]) -> Response[str]:
    """Have a dead message tried again."""
    form = await form_of(request, ForReasonForm)
    return await _acted(request, letter_id, request.desk.wms_letters.retry, form.reason)


@post("/staff/wms/letters/{letter_id:str}/drop", operation_id="staffDropLetter", media_type="text/html", status_code=303)
async def drop(request: ShopRequest, letter_id: FromPath[str]) -> Response[str]:
    """Let a dead message be."""
    form = await form_of(request, ForReasonForm)
    return await _acted(request, letter_id, request.desk.wms_letters.drop, form.reason)


@post("/staff/wms/connections/{connection_id:str}/retries", operation_id="staffRetryLetters", media_type="text/html", status_code=303)
async def retry_all(request: ShopRequest, connection_id: FromPath[str]) -> Response[str]:
    """Have all dead messages of a line tried again."""
    form, desk = await form_of(request, RetryAllForm), request.desk
    if not is_id(connection_id, "wms"):
        raise Refusal("wms_connection_unknown")
    with refusing():
        await desk.wms_letters.retry_all(
            request.actor(), connection_id, form.side, form.reason, desk.clock.now_ms(), request_id(request)
        )  # fmt: skip
    desk.wms_work.wake()
    return see_other(f"/staff/wms/letters?side={form.side}&line={connection_id}")


@get("/staff/wms/comparisons", operation_id="staffComparisonsPage", media_type="text/html")
async def comparisons_page(request: ShopRequest) -> Response[str]:
    """Our counts beside warehouses', the newest comparison first."""
    rows = await request.desk.wms_counts.runs(*_start(request), SHOWN + 1)
    last = rows[SHOWN - 1] if len(rows) > SHOWN else None
    lines = {line.connection_id: line for line in await request.desk.wms.connections(closed=True)}
    return page(request, "comparisons.html", runs=rows[:SHOWN], more=f"{last.made_at_ms}.{last.run_id}" if last else "", lines=lines)


@get("/staff/wms/comparisons/{run_id:str}", operation_id="staffComparisonPage", media_type="text/html")
async def comparison_page(request: ShopRequest, run_id: FromPath[str]) -> Response[str]:
    """One comparison: each SKU that differs, and why that may be."""
    counts = request.desk.wms_counts
    run = await counts.run(run_id) if is_id(run_id, "rec") else None
    if run is None:
        raise Refusal("wms_run_unknown")
    rows = await counts.differences(run_id, matched=asked(request, "matched") == "1", after=asked(request, "after"), limit=SHOWN + 1)
    more = rows[SHOWN - 1].sku if len(rows) > SHOWN else ""
    return page(request, "comparison.html", run=run, rows=rows[:SHOWN], more=more, matched=asked(request, "matched") == "1")


HANDLERS: Final[list[Any]] = [
    wms_page, letters_page, letter_page, retry, drop, retry_all, comparisons_page, comparison_page,
]  # fmt: skip
