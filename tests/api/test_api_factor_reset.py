"""Support resets somebody's second factors: who may, what the owner hears, what the owner may still say, and when it is done."""

import asyncio
import re
from typing import Any

import pytest

from actors.domain.staff import allows, role_bits
from schemas.permissions import GRANTABLE
from serve import factor_resets
from serve.factor_resets import DELAY_MS, carry_out
from serve.requests import Refusal
from tests.api.staff_people import MACHINE_ACTOR, member
from tests.api.test_api_factors import User, user
from tests.api.test_api_notices import text, told

# Every account here costs a hash of a password.
pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

REASON = {"reason": "ticket 4711"}


async def asked(shop: Any, kim: User, bearer: str) -> Any:
    return await shop.ask("POST", f"/v1/staff/users/{kim.user_id}/factors/reset", REASON, token=bearer)


async def waiting(shop: Any) -> tuple[User, str]:
    """Somebody whose factors are about to be reset, and the code of the notice."""
    kim = await user(shop, device=True)
    await kim.recovery_codes()
    _, support = await member(shop, "support")
    answer = await asked(shop, kim, support)
    assert (answer.status, answer.json["state"]) == (202, "waiting"), answer.body
    found = re.search(r"code: ([0-9a-z]{16})$", await text(shop, kim.email, "factor_reset_asked"), re.MULTILINE)
    assert found
    return kim, found[1]


async def say(shop: Any, code: str, decision: str) -> Any:
    return await shop.ask("POST", "/v1/factor-resets/answer", {"code": code, "decision": decision})


async def has_factor(kim: User) -> bool:
    """Whether a login asks for a second factor."""
    return (await kim.log_in()).code == "second_factor_required"


async def all_due(shop: Any) -> list[str]:
    """Carry out whatever is due; answers whose."""
    found = []
    while (done := await carry_out(shop.application.desk)) is not None:
        found.append(done.user_id)
    return found


async def trail(shop: Any, kim: User) -> list[tuple[str, str, str]]:
    rows = await shop.application.desk.staff_actions.page(2**62, "", kim.user_id, "person.factors", 20)
    return [(row.role, row.state, row.reason) for row in rows]


async def test_after_a_day_the_factors_go_and_everything_is_told_and_written_down(shop) -> None:
    kim, _ = await waiting(shop)
    assert (await kim.ask("GET", "/v1/me")).code == "token_revoked"
    assert await has_factor(kim)
    shop.clock_forward(DELAY_MS - 60_000)
    await all_due(shop)
    assert await has_factor(kim)
    shop.clock_forward(60_000)
    done = [one for found in await asyncio.gather(*(all_due(shop) for _ in range(3))) for one in found]
    # Or the replica's own work was quicker, as it may be.
    assert done.count(kim.user_id) <= 1
    assert not await has_factor(kim)
    heard = await told(shop, kim.email)
    assert (heard["factor_reset_asked"], heard["factor_reset_done"]) == (1, 1)
    assert await trail(shop, kim) == [
        ("machine", "done", "the reset was due, or its owner confirmed it"),
        ("support", "done", "ticket 4711"),
    ]


async def test_who_cancels_by_the_code_keeps_every_factor_and_is_not_asked_again(shop) -> None:
    kim, code = await waiting(shop)
    assert [(one.status, one.json) for one in [await say(shop, code, "cancel") for _ in range(2)]] == [(200, {"state": "cancelled"})] * 2
    refused = await say(shop, code, "confirm")
    assert (refused.status, refused.code) == (409, "reset_over")
    shop.clock_forward(DELAY_MS + 1)
    await all_due(shop)
    assert await has_factor(kim)
    assert (await told(shop, kim.email))["factor_reset_cancelled"] == 1


async def test_who_confirms_by_the_code_need_not_wait(shop) -> None:
    kim, code = await waiting(shop)
    assert [(one.status, one.json) for one in [await say(shop, code, "confirm") for _ in range(2)]] == [(200, {"state": "done"})] * 2
    assert not await has_factor(kim)
    assert (await told(shop, kim.email))["factor_reset_done"] == 1
    assert (await say(shop, code, "cancel")).code == "reset_over"


async def test_who_can_still_log_in_cancels_without_the_code(shop) -> None:
    kim, _ = await waiting(shop)
    bearer = shop.token_of(kim.user_id)
    answers = [await shop.ask("DELETE", "/v1/me/factor-reset", token=bearer) for _ in range(2)]
    assert [(one.status, one.code) for one in answers] == [(204, ""), (404, "reset_unknown")]
    assert (await told(shop, kim.email))["factor_reset_cancelled"] == 1


async def test_a_code_that_is_none_decides_nothing(shop) -> None:
    _, code = await waiting(shop)
    wrong = await say(shop, code[:-1] + ("0" if code[-1] != "0" else "1"), "confirm")
    assert (wrong.status, wrong.code) == (404, "reset_unknown")
    assert await shop.pool.fetchval("SELECT count(*) FROM factor_reset WHERE code_lookup = $1", code.encode()) == 0


async def test_a_repeat_finds_the_reset_that_waits_and_tells_nobody_twice(shop) -> None:
    kim, _ = await waiting(shop)
    _, other = await member(shop, "administrator")
    first, second = await asked(shop, kim, other), await asked(shop, kim, other)
    assert first.json == second.json
    assert (await told(shop, kim.email))["factor_reset_asked"] == 1
    assert await shop.pool.fetchval("SELECT count(*) FROM factor_reset WHERE user_id = $1", kim.user_id) == 1


@pytest.mark.parametrize("role", ["customer", *GRANTABLE])
async def test_the_matrix_of_who_resets_whose_factors(shop, role: str) -> None:
    kim, colleague = await user(shop, device=True), await user(shop, device=True)
    await shop.application.desk.roles.grant(MACHINE_ACTOR, colleague.user_id, "warehouse", "", "a test")
    held = [] if role == "customer" else [role]
    _, bearer = await member(shop, *held)
    bits = role_bits(held)
    for one, permission in ((kim, "person.factors"), (colleague, "staff.factors")):
        answer = await asked(shop, one, bearer)
        expected = (202, "") if allows(bits, permission) else (403, "forbidden")
        assert (answer.status, answer.code) == expected, permission


async def test_what_is_refused(shop) -> None:
    kim, plain = await user(shop, device=True), await user(shop)
    me, bearer = await member(shop, "administrator")
    assert (await asked(shop, plain, bearer)).code == "no_second_factor"
    plain.user_id = me
    assert (await asked(shop, plain, bearer)).code == "own_factors"
    plain.user_id = "usr_nobody"
    assert (await asked(shop, plain, bearer)).code == "user_unknown"
    short = await shop.ask("POST", f"/v1/staff/users/{kim.user_id}/factors/reset", {"reason": ""}, token=bearer)
    assert short.code == "invalid_request"
    weak = shop.token_of(me, roles=1 | role_bits(["administrator"]))
    assert (await asked(shop, kim, weak)).code == "step_up_required"
    assert await has_factor(kim)


async def test_a_reset_that_is_cut_short_waits_on_and_is_done_by_the_next(shop, monkeypatch) -> None:
    kim, _ = await waiting(shop)
    reset = await shop.application.desk.factor_resets.waiting(kim.user_id)

    async def cut(*_: Any) -> None:
        raise Refusal("busy")

    with monkeypatch.context() as patched:
        patched.setattr(factor_resets, "end_sessions", cut)
        with pytest.raises(Refusal):
            await carry_out(shop.application.desk, reset.reset_id)
    assert (await told(shop, kim.email))["factor_reset_done"] == 0
    assert await carry_out(shop.application.desk, reset.reset_id) is not None
    assert (await told(shop, kim.email))["factor_reset_done"] == 1
    assert len(await trail(shop, kim)) == 2
