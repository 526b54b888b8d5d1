"""A host's own numbers, asked over the transport like everything else: Ray's control store may be away."""

import asyncio
from typing import Any, Final

import msgspec

from actors.ports.transport import Transport, TransportLost

TIMEOUT_S: Final = 2.0


async def host_status(transport: Transport, host: str, timeout_s: float = TIMEOUT_S) -> dict[str, Any] | None:
    """``HostProcess.status`` of a host, by an empty envelope; None when it does not answer in time."""
    try:
        told = await asyncio.wait_for(transport.call(host, b""), timeout_s)
        return msgspec.json.decode(told, type=dict[str, Any])
    except (TransportLost, TimeoutError, msgspec.DecodeError):
        return None
