"""Envelopes as Ray actor calls (``actors.ports.transport.Transport``)."""

from typing import Any

import ray
from ray.exceptions import RayError

from actors.ports.transport import TransportLost
from actors.runtime.options import NAMESPACE


class RayTransport:
    """Keeps handles: they work while Ray's control store is away, looking one up does not."""

    def __init__(self) -> None:
        self._handles: dict[str, Any] = {}

    async def call(self, host: str, payload: bytes) -> bytes:
        """See :class:`actors.ports.transport.Transport`."""
        handle = self._handles.get(host)
        try:
            if handle is None:
                handle = self._handles[host] = ray.get_actor(host, namespace=NAMESPACE)
            answer: bytes = await handle.envelope.remote(payload)
            return answer
        except ValueError as error:
            # No such actor: it never was, or it ended for good.
            raise TransportLost(f"{host}: {error}") from error
        except RayError as error:
            self._handles.pop(host, None)
            raise TransportLost(f"{host}: {type(error).__name__}") from error
