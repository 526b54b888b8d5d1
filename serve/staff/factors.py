"""Support takes the second factors of somebody away who has lost them; its owner has a day to object."""

from typing import Any, Final

from litestar import delete, post
from litestar.params import FromPath, JSONBody

from actors.domain.staff import allows
from actors.domain.token import Role
from actors.storage import factor_resets
from actors.storage.factor_resets import FactorReset
from actors.storage.staff import NotDone, actor_of
from schemas.http.staff import AnswerReset, ForReason, ResetAnswered, ResetAsked
from schemas.ids import random_id
from serve.answers import timestamp
from serve.factor_resets import DELAY_MS, carry_out, code_lookup, reset_code
from serve.framework import ShopRequest
from serve.notices import tell
from serve.requests import Refusal
from serve.shop.sessions import end_sessions
from serve.sms_factor import factors_of
from serve.staff.doing import deed_of, refusing
from serve.staff.roles import user_of
from serve.step_up import require_step_up


@post("/v1/staff/users/{user_id:str}/factors/reset", operation_id="askFactorReset", status_code=202)
async def ask_reset(request: ShopRequest, user_id: FromPath[str], data: JSONBody[ForReason]) -> ResetAsked:
    """In a day the second factors of this account go, unless its owner objects. A repeat finds the one that waits."""
    await require_step_up(request)
    desk, name = request.desk, user_of(user_id)
    if name == request.actor().user_id:
        raise Refusal("own_factors")
    if await desk.users.one(name) is None:
        raise Refusal("user_unknown")
    if not (await factors_of(desk, name)).methods:
        raise Refusal("no_second_factor")
    reset = await _asked(request, name, data.reason)
    await end_sessions(desk, name)
    due = timestamp(reset.due_at_ms)
    tell(desk, reset.language, name, "factor_reset_asked", reset.reset_id, due=due, code=reset_code(desk, reset.reset_id))
    return ResetAsked(reset_id=reset.reset_id, state=reset.state, due_at=due)


async def _asked(request: ShopRequest, user_id: str, reason: str) -> FactorReset:
    desk, actor = request.desk, request.actor()
    reset = FactorReset(
        reset_id=random_id("frs"), user_id=user_id, state="waiting", language=request.head.language,
        due_at_ms=desk.clock.now_ms() + DELAY_MS,
    )  # fmt: skip
    lookup = code_lookup(desk, reset_code(desk, reset.reset_id))

    async def change(connection: Any) -> FactorReset:
        # Within the transaction: whoever is given a role meanwhile is of the staff.
        target = await actor_of(connection, user_id)
        roles_now = actor.roles & (await actor_of(connection, actor.user_id)).roles
        if target.roles != int(Role.CUSTOMER) and not allows(roles_now, "staff.factors"):
            raise NotDone("forbidden")
        return await factor_resets.add(connection, reset, lookup, actor.user_id)

    deed = deed_of(request, "person.factors", user_id, reason, after=reset.reset_id)
    with refusing():
        return await desk.roles.do(actor, deed, change)


@post("/v1/factor-resets/answer", operation_id="answerFactorReset", status_code=200)
async def answer_reset(request: ShopRequest, data: JSONBody[AnswerReset]) -> ResetAnswered:
    """What the owner says to it, by the code that only the owner's addresses got. A repeat gets the same answer."""
    desk = request.desk
    desk.check_login_tries(request.head)
    reset = await desk.factor_resets.by_code(code_lookup(desk, data.code))
    if reset is None:
        raise Refusal("reset_unknown")
    wanted = "cancelled" if data.decision == "cancel" else "done"
    if reset.state == "waiting" and wanted == "cancelled":
        await _cancelled(request, reset)
    elif reset.state == "waiting":
        await desk.factor_resets.hasten(reset.reset_id, desk.clock.now_ms())
        await carry_out(desk, reset.reset_id)
    after = await desk.factor_resets.by_code(code_lookup(desk, data.code))
    if after is None or after.state != wanted:
        raise Refusal("reset_over")
    return ResetAnswered(state=after.state)


@delete("/v1/me/factor-reset", operation_id="cancelFactorReset")
async def cancel_reset(request: ShopRequest) -> None:
    """Whoever can still log in has lost nothing."""
    reset = await request.desk.factor_resets.waiting(request.customer().user_id)
    if reset is None or not await _cancelled(request, reset):
        raise Refusal("reset_unknown")


async def _cancelled(request: ShopRequest, reset: FactorReset) -> bool:
    desk = request.desk
    now_ms = desk.clock.now_ms()
    ended = await desk.factor_resets.cancel(reset.reset_id, now_ms)
    if ended:
        tell(desk, reset.language, reset.user_id, "factor_reset_cancelled", reset.reset_id, at=timestamp(now_ms))
    return ended


HANDLERS: Final[list[Any]] = [ask_reset, answer_reset, cancel_reset]
