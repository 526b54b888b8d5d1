"""Reaching hosts of other machines from a process that is not Ray's: the cluster is joined when it is first needed."""

import asyncio
import os

from actors.ports.transport import Transport, TransportLost


class JoiningTransport:
    """Importing and joining Ray takes seconds, so whoever finds its hosts by socket never pays for it."""

    def __init__(self) -> None:
        self._remote: Transport | None = None
        self._joining = asyncio.Lock()

    async def call(self, host: str, payload: bytes) -> bytes:
        """See :class:`actors.ports.transport.Transport`."""
        address = os.environ.get("RAY_ADDRESS")
        if not address:
            raise TransportLost(f"{host} has no socket on this machine, and RAY_ADDRESS names no cluster")
        async with self._joining:
            if self._remote is None:
                self._remote = await asyncio.to_thread(_join, address)
        return await self._remote.call(host, payload)


def _join(address: str) -> Transport:
    import ray

    from actors.runtime.options import NAMESPACE
    from actors.runtime.ray_transport import RayTransport

    ray.init(address=address, namespace=NAMESPACE, log_to_driver=False)
    return RayTransport()
