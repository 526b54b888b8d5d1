"""Everything that the tables say about one person, for the copy that they may ask for."""

from typing import Any, Final

import msgspec

from actors.domain.kinds import body_decoder
from actors.storage.addresses import Addresses
from actors.storage.connect import known
from actors.storage.identities import Identities
from actors.storage.orders import Orders
from actors.storage.staff_actions import ABOUT
from actors.storage.user_keys import UserKeys
from schemas.order import OrderPlaced, OrderStarted

ROWS_MAX: Final = 5000
"""Of one kind: more than a person reads, and what one replica makes in a moment."""

ACCOUNT: Final = "SELECT user_id, status, created_at, merged_into FROM account WHERE user_id = $1"
PAYMENTS: Final = """
SELECT payment_id, order_id, status, amount, currency, started_at_ms FROM payment WHERE order_id = ANY(
    SELECT order_id FROM orders WHERE user_id = ANY($1::text[]) ORDER BY placed_at_ms DESC LIMIT $2
) ORDER BY started_at_ms DESC"""
MERGED: Final = "SELECT user_id FROM account WHERE merged_into = $1 ORDER BY user_id"
RECORDS: Final = "SELECT body FROM journal WHERE key = $1 AND kind = 'order' ORDER BY version DESC LIMIT $2"
STANDS: Final = "SELECT to_regclass($1) IS NOT NULL"
ELSEWHERE: Final = {
    "member_standing": "SELECT to_jsonb(t)::text FROM member_standing t WHERE user_id = $1 LIMIT $2",
    "points_entry": "SELECT to_jsonb(t)::text FROM points_entry t WHERE user_id = $1 ORDER BY seq DESC LIMIT $2",
    "sign_in": "SELECT to_jsonb(t)::text FROM sign_in t WHERE user_id = $1 ORDER BY day DESC LIMIT $2",
    "passkey": "SELECT to_jsonb(t)::text FROM passkey t WHERE user_id = $1 LIMIT $2",
    "event_consent": "SELECT to_jsonb(t)::text FROM event_consent t WHERE user_id = $1 ORDER BY consent_id DESC LIMIT $2",
    "visitor_link": "SELECT to_jsonb(t)::text FROM visitor_link t WHERE user_id = $1 ORDER BY joined_at_ms DESC LIMIT $2",
}
"""Tables that not every database has."""


class PersonalData:
    """Reads on a pool. StorageUnknown when the database cannot be asked."""

    def __init__(self, pool: Any, identities: Identities, addresses: Addresses, orders: Orders, keys: UserKeys) -> None:
        self._pool = pool
        self._identities = identities
        self._addresses = addresses
        self._orders = orders
        self._keys = keys

    async def of_user(self, user_id: str) -> dict[str, Any]:
        """Section by section, as plain JSON; the newest ``ROWS_MAX`` of each."""
        account = await known(self._pool.fetchrow(ACCOUNT, user_id))
        # Orders stay under the accounts that were merged into this one: they are this person's, too.
        everyone = [user_id, *(row["user_id"] for row in await known(self._pool.fetch(MERGED, user_id)))]
        payments = await known(self._pool.fetch(PAYMENTS, everyone, ROWS_MAX))
        actions = await known(self._pool.fetch(ABOUT, user_id, ROWS_MAX))
        found: dict[str, Any] = {
            "account": [dict(account)] if account else [],
            "identities": await self._identities.of_user(user_id),
            "addresses": await self._addresses.of_user(user_id),
            "orders": [order for one in everyone for order in await self._orders_of(one)],
            "payments": [dict(row) for row in payments],
            "staff_actions": [dict(row) for row in actions],
        }
        for table, statement in ELSEWHERE.items():
            if await known(self._pool.fetchval(STANDS, table)):
                rows = await known(self._pool.fetch(statement, user_id, ROWS_MAX))
                found[table] = [msgspec.json.decode(row[0]) for row in rows]
        plain: dict[str, Any] = msgspec.to_builtins(found, builtin_types=())
        return plain

    async def _orders_of(self, user_id: str) -> list[dict[str, Any]]:
        goes_to = await self._ship_tos(user_id)
        found = []
        for row in await self._orders.page([user_id], 2**62, "", ROWS_MAX):
            whole = await self._orders.one([user_id], row.order_id) or row
            found.append(msgspec.structs.asdict(whole) | {"ship_to": goes_to.get(row.order_id)})
        return found

    async def _ship_tos(self, user_id: str) -> dict[str, Any]:
        """Where orders went, of those whose record is in the journal's table still."""
        found: dict[str, Any] = {}
        for row in await known(self._pool.fetch(RECORDS, user_id, ROWS_MAX)):
            for event in body_decoder.decode(row["body"]).events:
                placed = event.draft if isinstance(event, OrderStarted) else event
                if isinstance(placed, OrderPlaced):
                    sealed = placed.sealed_ship_to
                    found[placed.order_id] = await self._keys.open_address(user_id, sealed) if sealed else placed.ship_to
        return found
