"""Third-party logins that have begun and not come back yet. Hashes alone: who reads this table can finish none of them."""

from typing import Any, Final, Literal

import msgspec

from actors.storage.connect import known
from schemas.oauth import Provider

SWEPT_MAX: Final = 20
"""Forgotten flows that are cleared away with each new one: more than come, so that they never pile up."""

ADD: Final = """
WITH swept AS (
    DELETE FROM oauth_flow WHERE flow_hash IN (
        SELECT flow_hash FROM oauth_flow WHERE expires_at_ms <= $9 ORDER BY expires_at_ms, flow_hash LIMIT $10 FOR UPDATE SKIP LOCKED))
INSERT INTO oauth_flow (flow_hash, secret_hash, provider, purpose, user_id, redirect_uri, return_url, expires_at_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"""
TAKE: Final = """
DELETE FROM oauth_flow WHERE flow_hash = $1 AND secret_hash = $2 AND provider = $3
RETURNING purpose, user_id, redirect_uri, return_url, expires_at_ms"""
RETURN_URL: Final = "SELECT return_url FROM oauth_flow WHERE flow_hash = $1 AND provider = $2 AND expires_at_ms > $3"

Purpose = Literal["login", "link"]


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """One login under way. user_id: whose account is to get the identity, for ``link`` alone. expires_at_ms: UTC.

    redirect_uri: what the provider was told. return_url: the shop's page.
    """

    provider: Provider
    purpose: Purpose
    user_id: str | None
    redirect_uri: str
    return_url: str
    expires_at_ms: int


class OAuthFlows:
    """Flows on a pool. StorageUnknown when the database cannot be asked: then the flow may be gone, and the person begins again."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def add(self, flow_hash: bytes, secret_hash: bytes, flow: Flow, now_ms: int) -> None:
        """Begin one."""
        fields = (flow.provider, flow.purpose, flow.user_id, flow.redirect_uri, flow.return_url, flow.expires_at_ms)
        await known(self._pool.execute(ADD, flow_hash, secret_hash, *fields, now_ms, SWEPT_MAX))

    async def take(self, flow_hash: bytes, secret_hash: bytes, provider: Provider, now_ms: int) -> Flow | None:
        """End one, once: of many at the same instant one gets it. A wrong secret takes nothing from whoever has the right one."""
        row = await known(self._pool.fetchrow(TAKE, flow_hash, secret_hash, provider))
        if row is None or row["expires_at_ms"] <= now_ms:
            return None
        return Flow(provider=provider, **dict(row))

    async def return_url(self, flow_hash: bytes, provider: Provider, now_ms: int) -> str | None:
        """The page that a flow comes back to, without ending it."""
        found: str | None = await known(self._pool.fetchval(RETURN_URL, flow_hash, provider, now_ms))
        return found
