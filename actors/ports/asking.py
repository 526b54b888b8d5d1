"""The door to entities, for code that needs an answer and not how it comes."""

from typing import Any, Protocol

from schemas.envelope import Answer


class Asks(Protocol):
    """``actors.client.client.Client`` is one."""

    async def ask(
        self, kind: str, key: str, command: Any, *, command_id: bytes, digest: bytes = b"", deadline_ms: int = 0, trace: str = ""
    ) -> Answer:
        """The durable answer of an entity to a command; a refusal or an unknown outcome is an answer with a ``code``."""
        ...
