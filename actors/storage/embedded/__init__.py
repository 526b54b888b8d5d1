"""Development servers: a real PostgreSQL and a real Valkey out of PyPI wheels, private to one directory."""

from actors.storage.embedded.postgres import EmbeddedPostgres
from actors.storage.embedded.process import EmbeddedServer, ServerError
from actors.storage.embedded.valkey import EmbeddedValkey

__all__ = ["EmbeddedPostgres", "EmbeddedServer", "EmbeddedValkey", "ServerError"]
