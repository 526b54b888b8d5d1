"""The audit finds every break of the trail of staff actions, by the row, and nothing in one that was only added to."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from actors.domain.staff import MACHINE, Actor
from actors.storage.audit import audit
from actors.storage.staff import Deed, Staff
from actors.storage.staff_actions import Action, StaffActions, chain_hash

pytestmark = pytest.mark.slow

MACHINE_ACTOR = Actor(user_id=MACHINE, roles=0)
OFF, ON = "ALTER TABLE staff_action DISABLE TRIGGER USER", "ALTER TABLE staff_action ENABLE TRIGGER USER"


@pytest.fixture
async def trail(database_url: str, connection: Any) -> AsyncIterator[Any]:
    """A connection to a database with six staff actions."""
    pool = await asyncpg.create_pool(database_url, min_size=1, max_size=2)
    staff = Staff(pool)
    for number in range(6):
        await staff.note(MACHINE_ACTOR, Deed(permission="person.unmask", target=f"usr_{number}", reason=f"ticket {number}"))
    yield connection
    await pool.close()


async def found(url: str) -> list[tuple[str, ...]]:
    return [finding.ids for finding in (await audit(url)).findings]


async def test_a_trail_that_was_only_added_to_is_in_order_and_counted(trail: Any, database_url: str) -> None:
    report = await audit(database_url)
    assert (report.ok, report.counts["staff_actions"]) == (True, 6)


@pytest.mark.parametrize(
    ("tampering", "ids"),
    [
        ("UPDATE staff_action SET reason = 'another' WHERE seq = 3", [("staff action 3",)]),
        ("UPDATE staff_action SET actor_id = 'usr_other' WHERE seq = 6", [("staff action 6",)]),
        ("UPDATE staff_action SET at_ms = at_ms - 1 WHERE seq = 1", [("staff action 1",)]),
        ("DELETE FROM staff_action WHERE seq = 3", [("staff action 4",)]),
        ("DELETE FROM staff_action WHERE seq = 6", [("staff action 6",)]),
        ("DELETE FROM staff_action", [("staff action 6",)]),
        ("UPDATE staff_action_head SET seq = 7", [("staff action 7",)]),
        ("DELETE FROM staff_action_head", [("staff action nowhere",)]),
    ],
)
async def test_a_row_that_was_edited_or_removed_with_the_triggers_off_is_found(
    trail: Any, database_url: str, tampering: str, ids: list[tuple[str, ...]]
) -> None:
    for statement in (OFF, tampering, ON):
        await trail.execute(statement)
    assert await found(database_url) == ids


async def test_two_rows_that_were_swapped_are_found(trail: Any, database_url: str) -> None:
    for statement in (
        OFF,
        "UPDATE staff_action SET seq = 100 WHERE seq = 2",
        "UPDATE staff_action SET seq = 2 WHERE seq = 3",
        "UPDATE staff_action SET seq = 3 WHERE seq = 100",
        ON,
    ):
        await trail.execute(statement)
    assert set(await found(database_url)) == {("staff action 2",), ("staff action 3",), ("staff action 4",)}


async def test_an_edited_row_with_a_hash_that_fits_it_breaks_the_row_after_it(trail: Any, database_url: str) -> None:
    row = await trail.fetchrow("SELECT * FROM staff_action WHERE seq = 3")
    forged = dict(row) | {"reason": "another"}
    values = [forged[name] for name in Action.__struct_fields__ if name != "seq"]
    await trail.execute(OFF)
    await trail.execute("UPDATE staff_action SET reason = 'another', hash = $1 WHERE seq = 3", chain_hash(row["previous"], 3, values))
    await trail.execute(ON)
    assert await found(database_url) == [("staff action 4",)]


async def test_a_trigger_that_is_off_is_found(trail: Any, database_url: str) -> None:
    await trail.execute(OFF)
    assert await found(database_url) == [("staff_action_in_turn",), ("staff_action_kept",)]


async def test_no_two_lists_of_values_have_one_hash() -> None:
    hashes = {chain_hash(b"p", 1, values) for values in (["ab", "c"], ["a", "bc"], ["abc"], ["abc", ""], ["", "abc"])}
    assert len(hashes) == 5
    assert chain_hash(b"p", 1, ["a"]) != chain_hash(b"p", 11, ["a"]) != chain_hash(b"p1", 1, ["a"])


async def test_rows_that_are_added_at_once_follow_each_other(database_url: str, connection: Any) -> None:
    pool = await asyncpg.create_pool(database_url, min_size=4, max_size=8)
    staff = Staff(pool)
    await asyncio.gather(
        *(staff.note(MACHINE_ACTOR, Deed(permission="person.unmask", target=f"usr_{n}", reason="a rush")) for n in range(40))
    )
    assert [action.seq for action in await StaffActions(pool).page(2**62, "", "", "", 100)] == list(range(40, 0, -1))
    await pool.close()
    assert (await audit(database_url)).ok
