"""Whose behaviour events may be kept, which terminals are whose, and which events must go: the tables beside the lake."""

from bisect import bisect_right
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from actors.domain.pseudonym import Pseudonyms
from actors.domain.sharding import Sharding
from actors.storage.connect import known
from actors.storage.events.rows import COLUMNS, Row

CHOOSE: Final = "INSERT INTO event_consent (user_id, actor, choice, text_version, at_ms) VALUES ($1, $2, $3, $4, $5)"
CHOICE: Final = "SELECT choice, text_version, at_ms FROM event_consent WHERE user_id = $1 ORDER BY consent_id DESC LIMIT 1"
CHOICES: Final = "SELECT actor, choice, at_ms FROM event_consent WHERE actor = ANY($1::text[]) ORDER BY consent_id"
LOCK_USER: Final = "SELECT pg_advisory_xact_lock(7274, hashtext($1))"

JOIN: Final = """
INSERT INTO visitor_link (user_id, actor, visitor, joined_at_ms)
SELECT $1, $2, $3, $4 WHERE NOT EXISTS (SELECT FROM account WHERE user_id = $1 AND status = 'erased')
ON CONFLICT (user_id, visitor) DO UPDATE SET joined_at_ms = greatest(excluded.joined_at_ms, visitor_link.joined_at_ms)"""
LINKS: Final = """
SELECT actor, visitor, joined_at_ms FROM visitor_link link WHERE coalesce(
    (SELECT choice FROM event_consent said WHERE said.user_id = link.user_id ORDER BY consent_id DESC LIMIT 1), 'granted') = 'granted'
ORDER BY joined_at_ms, actor"""
OLD_LINKS: Final = """
DELETE FROM visitor_link WHERE joined_at_ms < (extract(epoch FROM now() - make_interval(days => $1)) * 1000)::bigint
    OR user_id IN (SELECT user_id FROM event_erasure)"""
"""Those of whom a login met the erasure in the same moment go, too."""

ERASED: Final = "SELECT user_id, visitors, erased_at_ms FROM event_erasure"

ACTOR: Final = COLUMNS.index("actor")
VISITOR: Final = COLUMNS.index("visitor")
RECEIVED: Final = COLUMNS.index("received_ms")
AT: Final = COLUMNS.index("at_ms")


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """What an account said of its behaviour events. text_version: of the text that was shown. at_ms: UTC."""

    choice: str
    text_version: str
    at_ms: int


class EventPeople:
    """Consents and terminals on a pool. StorageUnknown when the database cannot be asked."""

    def __init__(self, pool: Any, names: Pseudonyms) -> None:
        self._pool = pool
        self.names = names

    async def choice(self, user_id: str) -> Choice | None:
        """What holds; None when the account never said."""
        row = await known(self._pool.fetchrow(CHOICE, user_id))
        return None if row is None else Choice(**row)

    async def choose(self, user_id: str, choice: str, text_version: str, at_ms: int) -> Choice:
        """Write down what the account says from now on; saying the same again adds nothing."""

        async def within() -> Choice:
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(LOCK_USER, user_id)
                row = await connection.fetchrow(CHOICE, user_id)
                if row is not None and (row["choice"], row["text_version"]) == (choice, text_version):
                    return Choice(**row)
                await connection.execute(CHOOSE, user_id, self.names.actor(user_id), choice, text_version, at_ms)
                return Choice(choice=choice, text_version=text_version, at_ms=at_ms)

        return await known(within())

    async def join(self, user_id: str, visitor_id: str, at_ms: int) -> bool:
        """What this terminal saw until now is this account's, unless the account said no; whether it is."""
        found = await self.choice(user_id)
        if found is not None and found.choice == "denied":
            return False
        await known(self._pool.execute(JOIN, user_id, self.names.actor(user_id), self.names.visitor(visitor_id), at_ms))
        return True


def names_of(secret: bytes, shards: int = 1) -> Pseudonyms:
    """The pseudonyms of the database with this secret."""
    return Pseudonyms(Sharding(secret, shards).derived_key("events"))


class Erased(msgspec.Struct, frozen=True, kw_only=True):
    """Who was erased: actors, and visitors with the moment (UTC ms) up to which their unsigned events belong to somebody erased."""

    actors: frozenset[str]
    visitors: dict[str, int]

    def has(self, actor: str | None, visitor: str, at_ms: int) -> bool:
        """Whether an event is of somebody who was erased. What another account did on a shared terminal is that account's."""
        return actor in self.actors if actor else at_ms <= self.visitors.get(visitor, -1)


def erased_of(rows: Iterable[Any], names: Pseudonyms) -> Erased:
    """Lines of ``event_erasure``, by pseudonym."""
    actors, visitors = set(), dict[str, int]()
    for row in rows:
        actors.add(names.actor(row["user_id"]))
        for visitor in row["visitors"]:
            visitors[visitor] = max(row["erased_at_ms"], visitors.get(visitor, 0))
    return Erased(actors=frozenset(actors), visitors=visitors)


async def allowed(connection: Any, names: Pseudonyms, rows: list[Row]) -> list[Row]:
    """The rows that may land: of nobody who was erased, and received while their account did not say no.

    The edge asks as well, but what it knows may be seconds old, and it takes events while the database is away.
    """
    erased = erased_of(await connection.fetch(ERASED), names)
    said: dict[str, tuple[list[int], list[str]]] = {}
    for row in await connection.fetch(CHOICES, list({row[ACTOR] for row in rows if row[ACTOR]})):
        times, choices = said.setdefault(row["actor"], ([], []))
        times.append(row["at_ms"])
        choices.append(row["choice"])
    return [row for row in rows if not erased.has(row[ACTOR], row[VISITOR], row[AT]) and not _denied(said.get(row[ACTOR]), row[RECEIVED])]


def _denied(said: tuple[list[int], list[str]] | None, received_ms: int) -> bool:
    if said is None:
        return False
    times, choices = said
    before = bisect_right(times, received_ms)
    return before > 0 and choices[before - 1] == "denied"
