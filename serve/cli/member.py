"""``stampede member``: how a member stands, from the tables; and the rules of the shop."""

import asyncio
from typing import TYPE_CHECKING, Any

from schemas.settings import Settings
from serve.cli.door import open_connection, with_database
from serve.cli.words import Trouble, say

if TYPE_CHECKING:
    from schemas.membership import MemberRules


def show(settings: Settings, user_id: str) -> dict[str, Any]:
    """The row of one member. Trouble ``member_none``, or as ``serve.cli.door``."""
    with with_database(settings) as found:
        return asyncio.run(_show(found, user_id))


async def _show(settings: Settings, user_id: str) -> dict[str, Any]:
    from actors.storage.members import Members

    async with open_connection(settings) as connection:
        row = await Members(connection).standing(user_id)
    if row is None:
        raise Trouble("member_none", user=user_id)
    return row


def show_words(row: dict[str, Any]) -> str:
    """One line."""
    from serve.answers import timestamp

    review = timestamp(row["review_ms"])[:10] if row["review_ms"] else "-"
    return say(
        "member_line",
        user=row["user_id"],
        level=row["level_id"] or "-",
        available=row["available"],
        held=row["held"],
        debt=row["debt"],
        review=review,
        queue=row["support_queue"],
    )


def rules(settings: Settings) -> "MemberRules":
    """The rules as the owners read them. Trouble ``no_membership``, or as ``serve.cli.door``."""
    with with_database(settings) as found:
        return asyncio.run(_rules(found))


async def _rules(settings: Settings) -> "MemberRules":
    from actors.storage.facts import LEVELS, RULES, rules_of

    async with open_connection(settings) as connection:
        found = rules_of(await connection.fetch(RULES), await connection.fetch(LEVELS))
    if found is None:
        raise Trouble("no_membership")
    return found


def rules_words(found: "MemberRules") -> str:
    """A line a level, a line a currency."""
    lines = [
        say(
            "level_line",
            level=level.level_id,
            growth=level.growth_min,
            discount=level.discount_percent,
            points=level.points_percent,
            shipping=level.free_shipping,
        )
        for level in found.levels
    ]
    lines += [
        say("rate_line", currency=name, growth=rate.growth_per_100, points=rate.points_per_100, worth=rate.minor_per_100_points)
        for name, rate in sorted(found.terms.rates.items())
    ]
    return "\n".join(lines)
