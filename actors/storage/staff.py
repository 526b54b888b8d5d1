"""What staff do to tables. Each change is checked here again, against the roles as they are now, and written into the trail
in the same transaction: no handler can forget either.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

import msgspec

from actors.domain.staff import MACHINE, Actor, allows, role_bits, role_names, role_used
from actors.domain.token import Role
from actors.storage import staff_actions
from actors.storage.connect import known
from actors.storage.staff_actions import Action
from schemas.ids import random_id
from schemas.permissions import GRANTABLE

T = TypeVar("T")

OF_USER: Final = "SELECT role, merchant_id FROM staff_role WHERE user_id = $1"
ALL: Final = """
SELECT user_id, role, merchant_id, granted_by, (extract(epoch FROM granted_at) * 1000)::bigint AS granted_at_ms
FROM staff_role WHERE $1 = '' OR user_id = $1 ORDER BY user_id, role LIMIT 1000"""
LOCK_TRAIL: Final = staff_actions.HEAD
GRANT: Final = """
INSERT INTO staff_role (user_id, role, merchant_id, granted_by) VALUES ($1, $2, $3, $4)
ON CONFLICT (user_id, role) DO UPDATE SET merchant_id = excluded.merchant_id, granted_by = excluded.granted_by, granted_at = now()"""
REVOKE: Final = "DELETE FROM staff_role WHERE user_id = $1 AND role = $2"
ADMINISTRATORS: Final = "SELECT count(*) FROM staff_role WHERE role = 'administrator'"
KNOWN_USER: Final = "SELECT status FROM account WHERE user_id = $1"
KNOWN_MERCHANT: Final = "SELECT EXISTS (SELECT FROM merchant WHERE merchant_id = $1)"
MERCHANT: Final = """
INSERT INTO merchant (merchant_id, title, title_zh) VALUES ($1, $2, $3)
ON CONFLICT (merchant_id) DO UPDATE SET title = excluded.title, title_zh = excluded.title_zh"""
OWN_PRODUCTS: Final = "UPDATE product SET merchant_id = $1 WHERE product_id = ANY($2::text[])"
OWN_SKUS: Final = "UPDATE sku SET merchant_id = $1 WHERE product_id = ANY($2::text[])"
HOLD_ORDERS: Final = "LOCK TABLE orders IN SHARE ROW EXCLUSIVE MODE"
"""Waits for whoever is writing orders and lets no other begin: each order is seen here, or sees whose its goods are."""
OWN_ORDERS: Final = """
INSERT INTO merchant_order (merchant_id, order_id)
SELECT DISTINCT $1, o.order_id FROM orders o CROSS JOIN LATERAL jsonb_array_elements(o.lines) AS line
JOIN sku s ON s.sku_id = line ->> 'sku_id' WHERE s.product_id = ANY($2::text[]) ON CONFLICT DO NOTHING"""
SET_STATUS: Final = "UPDATE account SET status = $3 WHERE user_id = $1 AND status = $2 RETURNING user_id"


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """One role of one user. granted_at_ms: UTC. granted_by: a user id, or ``machine``."""

    user_id: str
    role: str
    merchant_id: str | None
    granted_by: str
    granted_at_ms: int


class Deed(msgspec.Struct, frozen=True, kw_only=True):
    """What an actor is about to do: for the check, and for the trail."""

    permission: str
    target: str
    reason: str
    request_id: str = ""
    before: str = ""
    after: str = ""


class NotDone(Exception):
    """The deed ends here, and nothing of it stays. ``code`` is of ``schemas.problems``."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


async def actor_of(connection: Any, user_id: str) -> Actor:
    """A user with the roles that stand in the table now. Whoever has none is a customer."""
    rows = await connection.fetch(OF_USER, user_id)
    merchant_id = next((row["merchant_id"] for row in rows if row["merchant_id"]), "")
    return Actor(user_id=user_id, roles=int(Role.CUSTOMER) | role_bits([row["role"] for row in rows]), merchant_id=merchant_id)


class Staff:
    """Roles and staff actions on a pool. StorageUnknown when the database cannot be asked.

    Nothing is cached: a role that was taken away on one replica must not come back with a login on another.
    """

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def of(self, user_id: str) -> int:
        """The bits of a user's roles now, for the token of a login or a refresh."""
        return (await self.actor(user_id)).roles

    async def actor(self, user_id: str) -> Actor:
        """A user as one who acts."""
        return await known(actor_of(self._pool, user_id))

    async def grants(self, actor: Actor, user_id: str = "") -> list[Grant]:
        """The roles of a user, or everybody's. NotDone ``forbidden``."""
        self._check(actor, "role.read")
        return [Grant(**dict(row)) for row in await known(self._pool.fetch(ALL, user_id))]

    async def grant(self, actor: Actor, user_id: str, role: str, merchant_id: str, reason: str, request_id: str = "") -> None:
        """Give a role. A repeat changes nothing but who gave it.

        NotDone: ``forbidden``, ``own_role``, ``user_unknown``, ``merchant_unknown``.
        """

        async def change(connection: Any) -> None:
            if user_id == actor.user_id:
                raise NotDone("own_role")
            if await connection.fetchval(KNOWN_USER, user_id) != "active":
                raise NotDone("user_unknown")
            if (role == "merchant") != bool(merchant_id) or (merchant_id and not await connection.fetchval(KNOWN_MERCHANT, merchant_id)):
                raise NotDone("merchant_unknown")
            await connection.execute(GRANT, user_id, role, merchant_id or None, actor.user_id)

        assert role in GRANTABLE, role
        await self.do(
            actor, Deed(permission="role.grant", target=user_id, reason=reason, request_id=request_id), change, _roles_of(user_id)
        )

    async def revoke(self, actor: Actor, user_id: str, role: str, reason: str, request_id: str = "") -> None:
        """Take a role away. NotDone: ``forbidden``, ``own_role``, ``role_unknown``, ``last_administrator``."""

        async def change(connection: Any) -> None:
            if user_id == actor.user_id:
                raise NotDone("own_role")
            if await connection.execute(REVOKE, user_id, role) != "DELETE 1":
                raise NotDone("role_unknown")
            if role == "administrator" and not await connection.fetchval(ADMINISTRATORS):
                raise NotDone("last_administrator")

        await self.do(
            actor, Deed(permission="role.grant", target=user_id, reason=reason, request_id=request_id), change, _roles_of(user_id)
        )

    async def set_merchant(self, actor: Actor, merchant_id: str, title: str, title_zh: str, product_ids: Sequence[str]) -> int:
        """Let there be a firm with these titles, and let these products and their articles be its own; answers how many are.

        Orders that were placed before are in its list too; they are all read for it, while no new one is listed.

        NotDone ``forbidden``.
        """

        async def change(connection: Any) -> int:
            await connection.execute(MERCHANT, merchant_id, title, title_zh)
            # Products before articles, as whoever writes documents does: the other way round the two could wait for each other.
            owned = await connection.execute(OWN_PRODUCTS, merchant_id, list(product_ids))
            await connection.execute(HOLD_ORDERS)
            await connection.execute(OWN_SKUS, merchant_id, list(product_ids))
            await connection.execute(OWN_ORDERS, merchant_id, list(product_ids))
            return int(owned.split()[-1])

        after = msgspec.json.encode({"products": len(product_ids)}).decode()
        return await self.do(actor, Deed(permission="role.grant", target=merchant_id, reason="a firm", after=after), change)

    async def set_status(self, actor: Actor, user_id: str, before: str, after: str, reason: str, request_id: str = "") -> None:
        """Close an account or open it again. NotDone: ``forbidden``, ``own_role``, ``user_unknown``."""

        async def change(connection: Any) -> None:
            if user_id == actor.user_id:
                raise NotDone("own_role")
            if await connection.fetchval(SET_STATUS, user_id, before, after) is None:
                raise NotDone("user_unknown")

        deed = Deed(permission="person.disable", target=user_id, reason=reason, request_id=request_id, before=before, after=after)
        await self.do(actor, deed, change)

    async def note(self, actor: Actor, deed: Deed) -> None:
        """Write down what only reads: whoever looks at what is masked. NotDone ``forbidden``."""

        async def nothing(connection: Any) -> None:
            pass

        await self.do(actor, deed, nothing)

    async def do(
        self, actor: Actor, deed: Deed, change: Callable[[Any], Awaitable[T]], state: Callable[[Any], Awaitable[str]] | None = None
    ) -> T:
        """Change tables and write it into the trail, both or neither. NotDone ``forbidden``, and what ``change`` raises.

        state: reads what is changed, before and after.
        """

        async def within() -> T:
            async with self._pool.acquire() as connection, connection.transaction():
                # The trail first: staff act one after the other, so that two administrators cannot depose each other.
                await connection.fetchrow(LOCK_TRAIL)
                role = await self._check_now(connection, actor, deed.permission)
                before = deed.before if state is None else await state(connection)
                found = await change(connection)
                after = deed.after if state is None else await state(connection)
                full = msgspec.structs.replace(deed, before=before, after=after)
                await staff_actions.add(connection, _row("done", random_id("act"), actor, role, full))
                return found

        return await known(within())

    async def intend(self, actor: Actor, deed: Deed) -> str:
        """Write down that an entity will be asked; answers the action's id for :meth:`ended`. NotDone ``forbidden``."""
        action_id = random_id("act")

        async def within() -> None:
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.fetchrow(LOCK_TRAIL)
                role = await self._check_now(connection, actor, deed.permission)
                await staff_actions.add(connection, _row("intended", action_id, actor, role, deed))

        await known(within())
        return action_id

    async def ended(self, actor: Actor, action_id: str, deed: Deed, *, done: bool) -> None:
        """Write down how an intention ended."""
        role = role_used(actor.roles, deed.permission)

        async def within() -> None:
            async with self._pool.acquire() as connection, connection.transaction():
                await staff_actions.add(connection, _row("done" if done else "failed", action_id, actor, role, deed))

        await known(within())

    def _check(self, actor: Actor, permission: str) -> None:
        if actor.user_id != MACHINE and not allows(actor.roles, permission):
            raise NotDone("forbidden")

    async def _check_now(self, connection: Any, actor: Actor, permission: str) -> str:
        """The role by which it is allowed, by the table as of this transaction. NotDone ``forbidden``."""
        if actor.user_id == MACHINE:
            return MACHINE
        now = await actor_of(connection, actor.user_id)
        self._check(actor, permission)
        self._check(now, permission)
        return role_used(now.roles, permission)


def _row(state: str, action_id: str, actor: Actor, role: str, deed: Deed) -> Action:
    return Action(
        action_id=action_id,
        state=state,
        at_ms=0,
        actor_id=actor.user_id,
        role=role,
        permission=deed.permission,
        target=deed.target,
        reason=deed.reason,
        before=deed.before,
        after=deed.after,
        request_id=deed.request_id,
    )


def _roles_of(user_id: str) -> Callable[[Any], Awaitable[str]]:
    async def read(connection: Any) -> str:
        found = await actor_of(connection, user_id)
        shown = {"roles": list(role_names(found.roles)), "merchant_id": found.merchant_id or None}
        return msgspec.json.encode(shown).decode()

    return read
