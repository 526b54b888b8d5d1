"""Identities: by what people may log in. Found by fingerprint, kept sealed, each of one account at a time."""

import hashlib
from typing import Any, Final

import msgspec

from actors.storage.connect import known
from actors.storage.sealing import PLAIN, Sealer
from schemas.identity import IdentityKind, ProvenIdentity
from schemas.ids import id_of

IDENTITIES_MAX: Final = 20
"""Of one account: a person has some addresses and numbers, not hundreds."""

INSERT: Final = """
INSERT INTO identity (identity_id, user_id, kind, lookup, union_lookup, sealed, sealed_name) VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (kind, lookup) DO NOTHING RETURNING identity_id"""
BY_LOOKUP: Final = "SELECT user_id FROM identity WHERE kind = $1 AND lookup = $2"
BY_UNION: Final = "SELECT DISTINCT user_id FROM identity WHERE kind = $1 AND union_lookup = $2"
LEARN_UNION: Final = "UPDATE identity SET union_lookup = $3 WHERE kind = $1 AND lookup = $2 AND union_lookup IS NULL"
OF_USER: Final = """
SELECT identity_id, user_id, kind, union_lookup, sealed, sealed_name, added_at
FROM identity WHERE user_id = $1 ORDER BY added_at, identity_id"""
LOCK_ACCOUNT: Final = "SELECT status, password_hash IS NOT NULL AS has_password FROM account WHERE user_id = $1 FOR UPDATE"
COUNT: Final = "SELECT count(*) FROM identity WHERE user_id = $1"
REMOVE: Final = "DELETE FROM identity WHERE user_id = $1 AND identity_id = ANY($2::text[])"
OLD: Final = """
SELECT identity_id, user_id, kind, lookup, sealed, sealed_name FROM identity
WHERE substr(sealed, 1, 2) <> $1 OR substr(coalesce(sealed_name, $1), 1, 2) <> $1 ORDER BY identity_id LIMIT 1000"""
RESEAL: Final = "UPDATE identity SET lookup = $2, sealed = $3, sealed_name = $4 WHERE identity_id = $1 AND sealed = $5"

_SUBJECT: Final = "identity"
_UNION: Final = "identity.union"
_NAME: Final = "identity.name"


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """One identity of an account, opened. added_at_ms: UTC."""

    identity_id: str
    user_id: str
    kind: IdentityKind
    subject: str
    name: str
    added_at_ms: int

    def __repr__(self) -> str:
        return f"Identity(identity_id={self.identity_id!r}, kind={self.kind!r})"


def identity_id_of(lookup: bytes) -> str:
    """The id of an identity: the same whenever it is added again."""
    digest = hashlib.blake2b(lookup, digest_size=13, person=b"stampede.idn").digest()
    return id_of("idn", digest)


class Identities:
    """Identities on a pool. StorageUnknown when the database cannot be asked."""

    def __init__(self, pool: Any, sealer: Sealer) -> None:
        self._pool = pool
        self._sealer = sealer

    async def find(self, proven: ProvenIdentity) -> str | None:
        """Whose it is: by the subject, or by the name that a third party gives the same person in all apps."""
        user_id = await known(self._pool.fetchval(BY_LOOKUP, proven.kind, self.lookup(proven)))
        if user_id is None and proven.union_subject:
            union = self._sealer.lookup(_UNION + proven.kind, proven.union_subject)
            rows = await known(self._pool.fetch(BY_UNION, proven.kind, union))
            user_id = rows[0]["user_id"] if len(rows) == 1 else None
        return None if user_id is None else str(user_id)

    async def add(self, user_id: str, proven: ProvenIdentity) -> str:
        """Make it this account's. Answers "" (also when it was already), ``identity_taken``, ``identities_full`` or ``account_closed``."""

        async def within() -> str:
            async with self._pool.acquire() as connection, connection.transaction():
                account = await connection.fetchrow(LOCK_ACCOUNT, user_id)
                if account is None or account["status"] != "active":
                    return "account_closed"
                if await connection.fetchval(COUNT, user_id) >= IDENTITIES_MAX:
                    return "identities_full"
                if await self.insert(connection, user_id, proven):
                    return ""
                owner = await connection.fetchval(BY_LOOKUP, proven.kind, self.lookup(proven))
                return "" if owner == user_id else "identity_taken"

        return await known(within())

    async def insert(self, connection: Any, user_id: str, proven: ProvenIdentity) -> bool:
        """Write it down within the caller's transaction; False when somebody has it."""
        lookup = self.lookup(proven)
        identity_id = identity_id_of(lookup)
        union = self._sealer.lookup(_UNION + proven.kind, proven.union_subject) if proven.union_subject else None
        name = self._sealer.seal(_NAME, identity_id, proven.name) if proven.name else None
        sealed = self._sealer.seal(_SUBJECT, identity_id, proven.subject)
        found = await connection.fetchval(INSERT, identity_id, user_id, proven.kind, lookup, union, sealed, name)
        return found is not None

    async def learn_union(self, proven: ProvenIdentity) -> None:
        """Remember a third party's name for all apps, which it does not say every time."""
        if proven.union_subject:
            union = self._sealer.lookup(_UNION + proven.kind, proven.union_subject)
            await known(self._pool.execute(LEARN_UNION, proven.kind, self.lookup(proven), union))

    async def remove(self, user_id: str, identity_id: str) -> str:
        """Take it away. Answers "", ``identity_unknown``, or ``last_identity`` when nothing to log in by would be left.

        The same person's names in a third party's other apps go with it: the one that stayed would open the account to all of them.
        """

        async def within() -> str:
            async with self._pool.acquire() as connection, connection.transaction():
                if await connection.fetchrow(LOCK_ACCOUNT, user_id) is None:
                    return "identity_unknown"
                rows = await connection.fetch(OF_USER, user_id)
                chosen = next((row for row in rows if row["identity_id"] == identity_id), None)
                if chosen is None:
                    return "identity_unknown"
                gone = [row["identity_id"] for row in rows if row is chosen or _same_person(row, chosen)]
                if len(rows) == len(gone):
                    return "last_identity"
                await connection.execute(REMOVE, user_id, gone)
                return ""

        return await known(within())

    async def of_user(self, user_id: str) -> list[Identity]:
        """All of an account, the oldest first."""
        return [self._opened(row) for row in await known(self._pool.fetch(OF_USER, user_id))]

    def lookup(self, proven: ProvenIdentity) -> bytes:
        """The fingerprint by which it is found."""
        return self._sealer.lookup(_SUBJECT + "." + proven.kind, proven.subject)

    def _opened(self, row: Any) -> Identity:
        identity_id, name = row["identity_id"], row["sealed_name"]
        return Identity(
            identity_id=identity_id,
            user_id=row["user_id"],
            kind=row["kind"],
            subject=self._sealer.open(_SUBJECT, identity_id, row["sealed"]),
            name=self._sealer.open(_NAME, identity_id, name) if name is not None else "",
            added_at_ms=round(row["added_at"].timestamp() * 1000),
        )


def _same_person(row: Any, other: Any) -> bool:
    """True for two names that a third party gives one person in two apps."""
    return row["union_lookup"] is not None and (row["kind"], row["union_lookup"]) == (other["kind"], other["union_lookup"])


async def reseal_identities(connection: Any, sealer: Sealer) -> int:
    """Seal with the current key what was sealed with an older one, or not at all; answers how many. May be ended at any moment."""
    count, mark = 0, bytes((1, sealer.current))
    while rows := await connection.fetch(OLD, mark):
        for row in rows:
            identity_id, subject, old_name = row["identity_id"], "", row["sealed_name"]
            subject = sealer.open(_SUBJECT, identity_id, row["sealed"])
            was_plain = row["sealed"][:1] == bytes((PLAIN,))
            lookup = sealer.lookup(_SUBJECT + "." + row["kind"], subject) if was_plain else row["lookup"]
            name = sealer.seal(_NAME, identity_id, sealer.open(_NAME, identity_id, old_name)) if old_name is not None else None
            await connection.execute(RESEAL, identity_id, lookup, sealer.seal(_SUBJECT, identity_id, subject), name, row["sealed"])
            count += 1
    return count
