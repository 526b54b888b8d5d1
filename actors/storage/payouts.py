"""Payout accounts: where merchants' money goes, sealed. Setting one is a staff action: checked and written down with the change.

An account that was replaced or called off before it was in force never is: whoever took a firm's account over for an hour must not
be paid the day after.
"""

from typing import Any, Final

import msgspec

from actors.domain.payout import WAIT_MS, masked_account
from actors.domain.staff import Actor
from actors.storage.connect import known
from actors.storage.sealing import Sealer
from actors.storage.staff import Deed, NotDone, Staff, actor_of
from schemas.ids import random_id
from schemas.payout import PayoutAccount

_COLUMNS: Final = "payout_id, merchant_id, sealed, set_by, set_at_ms, in_force_ms"
IN_FORCE: Final = f"""
SELECT {_COLUMNS} FROM payout_account WHERE merchant_id = $1 AND called_off_ms IS NULL AND in_force_ms <= $2
ORDER BY in_force_ms DESC, payout_id LIMIT 1"""
PENDING: Final = f"""
SELECT {_COLUMNS} FROM payout_account WHERE merchant_id = $1 AND called_off_ms IS NULL AND in_force_ms > $2
ORDER BY in_force_ms DESC, payout_id LIMIT 1"""
KNOWN: Final = "SELECT EXISTS (SELECT FROM merchant WHERE merchant_id = $1)"
INSERT: Final = """
INSERT INTO payout_account (payout_id, merchant_id, kind, sealed, set_by, set_at_ms, in_force_ms) VALUES ($1, $2, $3, $4, $5, $6, $7)"""
CALL_OFF: Final = "UPDATE payout_account SET called_off_ms = $2 WHERE merchant_id = $1 AND called_off_ms IS NULL AND in_force_ms > $2"
PEOPLE: Final = "SELECT user_id FROM staff_role WHERE role = 'merchant' AND merchant_id = $1 ORDER BY user_id"
OLD: Final = "SELECT payout_id, sealed FROM payout_account WHERE substr(sealed, 1, 2) <> $1 ORDER BY payout_id LIMIT 1000"
RESEAL: Final = "UPDATE payout_account SET sealed = $2 WHERE payout_id = $1 AND sealed = $3"

_PURPOSE: Final = "payout_account"
PERMISSION: Final = "merchant.payout"


class Payout(msgspec.Struct, frozen=True, kw_only=True):
    """One account of a firm, opened. Times in UTC, ms."""

    payout_id: str
    merchant_id: str
    account: PayoutAccount
    set_by: str
    set_at_ms: int
    in_force_ms: int


class Payouts:
    """Payout accounts on a pool. StorageUnknown when the database cannot be asked."""

    def __init__(self, pool: Any, sealer: Sealer, staff: Staff) -> None:
        self._pool = pool
        self._sealer = sealer
        self._staff = staff

    async def of_merchant(self, merchant_id: str, now_ms: int) -> tuple[Payout | None, Payout | None]:
        """The account in force, and the one that waits to be. NotDone ``merchant_unknown``."""

        async def within() -> tuple[Payout | None, Payout | None]:
            async with self._pool.acquire() as connection:
                if not await connection.fetchval(KNOWN, merchant_id):
                    raise NotDone("merchant_unknown")
                in_force = await self._read(connection, IN_FORCE, merchant_id, now_ms)
                return in_force, await self._read(connection, PENDING, merchant_id, now_ms)

        return await known(within())

    async def set(self, actor: Actor, account: PayoutAccount, reason: str, now_ms: int, request_id: str = "") -> bool:
        """Let this be the account of the actor's firm a day from now; one that waits is called off.

        False when it is in force or waits already: a repeat begins no new wait. NotDone ``forbidden``.
        """
        firm = actor.merchant_id
        if account in [one.account for one in await self.of_merchant(firm, now_ms) if one is not None][-1:]:
            return False

        async def change(connection: Any) -> None:
            await _check_firm(connection, actor)
            payout_id = random_id("pyo")
            sealed = self._sealer.seal(_PURPOSE, payout_id, msgspec.json.encode(account).decode())
            await connection.execute(CALL_OFF, firm, now_ms)
            await connection.execute(INSERT, payout_id, firm, account.kind, sealed, actor.user_id, now_ms, now_ms + WAIT_MS)

        after = masked_account(account.kind, account.number)
        await self._staff.do(actor, Deed(permission=PERMISSION, target=firm, reason=reason, request_id=request_id, after=after), change)
        return True

    async def call_off(self, actor: Actor, reason: str, now_ms: int, request_id: str = "") -> None:
        """The account that waits will not be in force. A repeat changes nothing. NotDone ``forbidden``."""

        async def change(connection: Any) -> None:
            await _check_firm(connection, actor)
            await connection.execute(CALL_OFF, actor.merchant_id, now_ms)

        deed = Deed(permission=PERMISSION, target=actor.merchant_id, reason=reason, request_id=request_id, after="called off")
        await self._staff.do(actor, deed, change)

    async def people(self, merchant_id: str) -> list[str]:
        """Who acts for a firm: they are told."""
        return [row["user_id"] for row in await known(self._pool.fetch(PEOPLE, merchant_id))]

    async def _read(self, connection: Any, sql: str, merchant_id: str, now_ms: int) -> Payout | None:
        row = await connection.fetchrow(sql, merchant_id, now_ms)
        if row is None:
            return None
        text = self._sealer.open(_PURPOSE, row["payout_id"], row["sealed"])
        return Payout(
            payout_id=row["payout_id"],
            merchant_id=row["merchant_id"],
            account=msgspec.json.decode(text, type=PayoutAccount),
            set_by=row["set_by"],
            set_at_ms=row["set_at_ms"],
            in_force_ms=row["in_force_ms"],
        )


async def _check_firm(connection: Any, actor: Actor) -> None:
    """Whoever was given to another firm since the request began does not act for this one."""
    if not actor.merchant_id or (await actor_of(connection, actor.user_id)).merchant_id != actor.merchant_id:
        raise NotDone("forbidden")


async def reseal_payouts(connection: Any, sealer: Sealer) -> int:
    """Seal with the current key what was sealed with an older one; answers how many. May be ended at any moment."""
    count, mark = 0, bytes((1, sealer.current))
    while rows := await connection.fetch(OLD, mark):
        for row in rows:
            text = sealer.open(_PURPOSE, row["payout_id"], row["sealed"])
            await connection.execute(RESEAL, row["payout_id"], sealer.seal(_PURPOSE, row["payout_id"], text), row["sealed"])
            count += 1
    return count
