"""A crowd of customers for load tests: accounts and first sessions that are the same each time they are made."""

import hmac
from typing import Any, Final

from actors.domain.token import RefreshToken, refresh_hash
from schemas.ids import derived_id
from schemas.sessions import Login

INSERT_ACCOUNTS: Final = """
INSERT INTO account (user_id, register_id) SELECT * FROM unnest($1::text[], $2::bytea[]) ON CONFLICT DO NOTHING"""
ROWS: Final = 10_000


def crowd_ids(count: int) -> list[str]:
    """The ids of the first ``count`` customers of the crowd."""
    return [f"usr_load{number:07d}" for number in range(1, count + 1)]


async def add_accounts(connection: Any, user_ids: list[str]) -> None:
    """An account for each of them that has none. Nothing is known by which anybody could log in to it."""
    for first in range(0, len(user_ids), ROWS):
        some = user_ids[first : first + ROWS]
        register_ids = [derived_id("crowd", user_id) for user_id in some]
        await connection.execute(INSERT_ACCOUNTS, some, register_ids)


def login_of(key: bytes, user_id: str) -> Login:
    """The login of a customer of the crowd, the same each time. The refresh token follows from the cluster's ``key`` alone."""
    session_id = "ses_" + derived_id("crowd", user_id).hex()
    secret = hmac.digest(key, b"stampede.crowd\0" + user_id.encode(), "sha256")
    token = RefreshToken(user_id=user_id, session_id=session_id, secret=secret)
    return Login(session_id=session_id, refresh_hash=refresh_hash(token), device="load test")
