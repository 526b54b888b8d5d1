"""The lines to warehouses as this replica knows them: a look at two small tables, at most once in some seconds."""

from typing import Final

import msgspec

from actors.ports.clock import Clock
from actors.ports.wms import Dialect, Warehouse
from actors.storage.wms import Secrets, Wms
from schemas.wms import Connection

FRESH_MS: Final = 3000
"""A line that was closed, or a secret that was ended, is still believed for so long by another replica."""

NONE: Final = Secrets(ours=(), theirs=())


class OpenLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line that is not closed, and its live secrets."""

    connection: Connection
    secrets: Secrets


class Lines:
    """One a replica. StorageUnknown when the database cannot be asked."""

    def __init__(self, wms: Wms, clock: Clock, dialect: Dialect) -> None:
        self._wms = wms
        self._clock = clock
        self._dialect = dialect
        self._known: dict[str, OpenLine] = {}
        self._read_at_ms = -1e12
        self._warehouses: dict[str, tuple[OpenLine, Warehouse]] = {}

    async def all(self) -> dict[str, OpenLine]:
        """Every open line, by its id. Unknown ids cost nothing: a crowd of them asks no table."""
        now = self._clock.monotonic_ms()
        if now - self._read_at_ms > FRESH_MS:
            connections = await self._wms.connections()
            secrets = await self._wms.secrets(self._clock.now_ms()) if connections else {}
            self._known = {one.connection_id: OpenLine(connection=one, secrets=secrets.get(one.connection_id, NONE)) for one in connections}
            self._read_at_ms = now
        return self._known

    def forget(self) -> None:
        """Look again at the next question: something was changed here."""
        self._read_at_ms = -1e12

    async def warehouse(self, line: OpenLine) -> Warehouse:
        """What calls go through; made anew when the address or a secret is another."""
        name = line.connection.connection_id
        kept = self._warehouses.get(name)
        if kept is not None and (kept[0].connection.url, kept[0].secrets) == (line.connection.url, line.secrets):
            return kept[1]
        if kept is not None:
            await kept[1].close()
        made = self._dialect(line.connection.url, line.secrets.ours, line.secrets.theirs)
        self._warehouses[name] = (line, made)
        return made

    async def close(self) -> None:
        """Close the connections."""
        for _, warehouse in self._warehouses.values():
            await warehouse.close()
        self._warehouses.clear()
