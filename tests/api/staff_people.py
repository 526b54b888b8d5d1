"""Staff for tests of the API: accounts with roles, and tokens as a login and a second factor would have given them."""

import secrets
from typing import Any

from actors.domain.staff import MACHINE, Actor, role_bits
from actors.domain.token import AccessToken, Role, issue

MACHINE_ACTOR = Actor(user_id=MACHINE, roles=0)
INSERT_MERCHANT = "INSERT INTO merchant (merchant_id, title, title_zh) VALUES ($1, 'Firm', '商家') ON CONFLICT DO NOTHING"


async def account(shop: Any) -> str:
    """A new account that nobody logs in to."""
    user_id = f"usr_s{secrets.token_hex(6)}"
    await shop.pool.execute("INSERT INTO account (user_id, register_id) VALUES ($1, $2)", user_id, secrets.token_bytes(16))
    return user_id


async def firm(shop: Any, name: str = "") -> str:
    """A merchant."""
    merchant_id = name or f"mer_{secrets.token_hex(6)}"
    await shop.pool.execute(INSERT_MERCHANT, merchant_id)
    return merchant_id


async def member(shop: Any, *roles: str, merchant_id: str = "") -> tuple[str, str]:
    """An account with these roles, and a token that has just been stepped up."""
    user_id = await account(shop)
    for role in roles:
        firm_id = (merchant_id or await firm(shop)) if role == "merchant" else ""
        await shop.application.desk.roles.grant(MACHINE_ACTOR, user_id, role, firm_id, "a test")
    return user_id, token(shop, user_id, *roles)


def token(shop: Any, user_id: str, *roles: str, stepped_up: bool = True, session_id: str = "") -> str:
    """A token with these roles, whatever the table says."""
    now_ms = shop.clock.now_ms()
    made = AccessToken(
        user_id=user_id,
        session_id=session_id or "ses_" + secrets.token_hex(8),
        generation=0,
        roles=int(Role.CUSTOMER) | role_bits(list(roles)),
        expires_at_ms=now_ms + 600_000,
        stepped_up_at_ms=now_ms if stepped_up else 0,
    )
    return issue(shop.services.token_keys, made)
