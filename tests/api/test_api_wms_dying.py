"""Wherever a replica dies, and whatever a message breaks, each change has its effect once, and stops no other."""

import random
import secrets

import pytest

from actors.domain.wms import EFFECT_MS_MAX
from schemas.envelope import Answer
from serve.wms.reading import read_message
from serve.wms.taking import Taking
from tests.api.wms_line import Killed, change, dying_at, opened

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("step", ["opened", "claimed", "asked", "carried_out"])
async def test_wherever_a_replica_dies_each_change_has_its_effect_once(shop, step) -> None:
    desk = shop.application.desk
    skus = [await shop.sku() for _ in range(3)]
    async with opened(shop) as line:
        for sku in skus:
            line.simulator.happen(change(sku, 5), change(sku, 2, "damage"))
        await line.simulator.deliveries.quiet()
        line.work.lines.forget()
        connection = (await line.work.lines.all())[line.connection_id].connection
        for times in (1, 2, 3):
            dying = Taking(desk.wms_inbox, desk.ask, shop.clock, random.Random(1), dying_at(step, times))
            try:
                await dying.round(connection)
            except Killed:
                pass
            # Nobody knows of its death: its claims end by themselves.
            shop.clock_forward(61_000)
        await line.hear()
        assert [await line.stock(sku) for sku in skus] == [3, 3, 3]
        assert {letter["state"] for letter in await line.letters("in")} == {"done"}


async def test_control_with_another_command_id_each_time_a_death_doubles_the_effect(shop) -> None:
    """What the test above would find: without an id that is the same for a repeat the change counts twice."""
    desk = shop.application.desk
    sku = await shop.sku()

    async def forgetful(kind, key, command, *, command_id, digest):
        return await desk.ask(kind, key, command, command_id=secrets.token_bytes(16), digest=digest)

    async with opened(shop) as line:
        line.simulator.happen(change(sku, 5))
        await line.simulator.deliveries.quiet()
        line.work.lines.forget()
        connection = (await line.work.lines.all())[line.connection_id].connection
        with pytest.raises(Killed):
            await Taking(desk.wms_inbox, forgetful, shop.clock, random.Random(1), dying_at("asked", 1)).round(connection)
        shop.clock_forward(61_000)
        await Taking(desk.wms_inbox, forgetful, shop.clock, random.Random(1)).round(connection)
        assert await line.stock(sku) == 10


async def test_an_owner_that_does_not_answer_is_asked_again_and_after_six_days_nobody_tries_any_more(shop) -> None:
    desk = shop.application.desk
    sku = await shop.sku()
    answers = []

    async def silent(kind, key, command, *, command_id, digest):
        answers.append(command_id)
        return Answer(code="outcome_unknown")

    async with opened(shop) as line:
        line.simulator.happen(change(sku, 5))
        await line.simulator.deliveries.quiet()
        line.work.lines.forget()
        connection = (await line.work.lines.all())[line.connection_id].connection
        taking = Taking(desk.wms_inbox, silent, shop.clock, random.Random(1))
        for _ in range(3):
            await taking.round(connection)
            shop.clock_forward(3000)
        assert len(answers) == 3
        assert len(set(answers)) == 1
        shop.clock_forward(EFFECT_MS_MAX)
        await line.hear()
        [letter] = await line.letters("in", "dead")
        assert letter["reason"] == "too_late"
        retried = await line.ask("POST", f"/letters/{letter['letter_id']}/retry", {"reason": "once more"})
        assert (retried.status, retried.code) == (409, "wms_letter_too_late")
        assert await line.stock(sku) == 0


async def test_a_change_that_breaks_what_carries_it_out_is_dead_in_the_end_and_stops_no_other(shop) -> None:
    desk = shop.application.desk
    poison, good = await shop.sku(), await shop.sku()

    async def breaking(kind, key, command, *, command_id, digest):
        assert not key.startswith(poison), "a bug"
        return await desk.ask(kind, key, command, command_id=command_id, digest=digest)

    async with opened(shop) as line:
        line.simulator.happen(change(poison, 1), change(good, 2))
        await line.simulator.deliveries.quiet()
        line.work.lines.forget()
        connection = (await line.work.lines.all())[line.connection_id].connection
        for _ in range(7):
            await Taking(desk.wms_inbox, breaking, shop.clock, random.Random(1)).round(connection)
            shop.clock_forward(5 * 3_600_000)
        assert await line.stock(good) == 2
        [letter] = await line.letters("in", "dead")
        assert letter["reason"] == "internal_error"


async def test_a_message_that_breaks_what_takes_it_apart_is_dead_in_the_end_and_stops_no_other(shop) -> None:
    sku = await shop.sku()

    def breaking(body: bytes, message_id: str):
        assert message_id != "evt_000001", "a bug"
        return read_message(body, message_id)

    async with opened(shop) as line:
        line.simulator.happen(change(sku, 1))
        line.simulator.happen(change(sku, 2))
        await line.simulator.deliveries.quiet()
        for _ in range(7):
            await shop.application.desk.wms_inbox.open_some(line.connection_id, "", breaking, shop.clock.now_ms(), 0.5)
            shop.clock_forward(5 * 3_600_000)
        await line.hear()
        assert await line.stock(sku) == 2
        assert [(letter["message_id"], letter["reason"]) for letter in await line.letters("in", "dead")] == [
            ("evt_000001", "internal_error")
        ]
