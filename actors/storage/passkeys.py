"""Whose a passkey is, and the challenges of logins that name nobody. What a passkey can do stands in the entity ``factors``."""

from typing import Any, Final

from actors.storage.connect import known

INSERT: Final = "INSERT INTO passkey (credential_id, user_id) VALUES ($1, $2) ON CONFLICT (credential_id) DO NOTHING RETURNING user_id"
OWNER: Final = "SELECT user_id FROM passkey WHERE credential_id = $1"
REMOVE: Final = "DELETE FROM passkey WHERE credential_id = $1 AND user_id = $2"
REMOVE_ALL: Final = "DELETE FROM passkey WHERE user_id = $1"
KEEP_CHALLENGE: Final = """
WITH gone AS (DELETE FROM passkey_challenge WHERE expires_at_ms <= $3)
INSERT INTO passkey_challenge (challenge_id, expires_at_ms) VALUES ($1, $2)"""
TAKE_CHALLENGE: Final = "DELETE FROM passkey_challenge WHERE challenge_id = $1 AND expires_at_ms > $2 RETURNING challenge_id"


class Passkeys:
    """Passkeys on a pool, by credential id. StorageUnknown when the database cannot be asked."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def add(self, credential_id: bytes, user_id: str) -> bool:
        """Make it this user's; False when it is somebody's already (:meth:`owner` says whose)."""
        return await known(self._pool.fetchval(INSERT, credential_id, user_id)) is not None

    async def owner(self, credential_id: bytes) -> str | None:
        """The user whose it is."""
        found = await known(self._pool.fetchval(OWNER, credential_id))
        return None if found is None else str(found)

    async def remove(self, credential_id: bytes, user_id: str) -> None:
        """Nobody logs in with it any more."""
        await known(self._pool.execute(REMOVE, credential_id, user_id))

    async def remove_all(self, user_id: str) -> None:
        """Nobody logs in with a passkey of this user any more."""
        await known(self._pool.execute(REMOVE_ALL, user_id))

    async def keep_challenge(self, challenge_id: bytes, expires_at_ms: int, now_ms: int) -> None:
        """Remember a challenge until it is answered or expires (UTC, ms); those that have expired go."""
        await known(self._pool.execute(KEEP_CHALLENGE, challenge_id, expires_at_ms, now_ms))

    async def take_challenge(self, challenge_id: bytes, now_ms: int) -> bool:
        """Whether it was there and alive. Of two at the same instant one gets it."""
        return await known(self._pool.fetchval(TAKE_CHALLENGE, challenge_id, now_ms)) is not None
