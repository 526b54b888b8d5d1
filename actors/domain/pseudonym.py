"""Names under which people stand in records about behaviour: the same for the same person, and of no use without the key."""

import hashlib
from typing import Final

PSEUDONYM_BYTES: Final = 16


class Pseudonyms:
    """Makes pseudonyms with the database's own key: whoever has a user's id and the key finds the rows, nobody else can."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = key

    def __repr__(self) -> str:
        return "Pseudonyms()"

    def actor(self, user_id: str) -> str:
        """Of a user: 32 hexadecimal digits; empty for nobody."""
        return self._of("actor", user_id)

    def visitor(self, visitor_id: str) -> str:
        """Of a terminal."""
        return self._of("visitor", visitor_id)

    def session(self, visitor_id: str, session_id: str | None) -> str:
        """Of one visit of a terminal; empty when it did not name any."""
        return self._of("session", visitor_id + "\n" + session_id) if session_id else ""

    def _of(self, kind: str, name: str) -> str:
        if not name:
            return ""
        return hashlib.blake2b(f"{kind}\n{name}".encode(), key=self._key, digest_size=PSEUDONYM_BYTES).hexdigest()
