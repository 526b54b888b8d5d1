"""Driving a running simulator from a test or a load run."""

from typing import Self

import aiohttp
import msgspec

from actors.testing.sms_simulator.plan import Fault, Report


class SmsControl:
    """A client of the side door. Use as an async context manager. AssertionError when it is told nonsense."""

    def __init__(self, url: str, *, secret: str = "simulator-secret") -> None:
        self._url = url.rstrip("/")
        self._session = aiohttp.ClientSession(headers={"Authorization": f"Bearer {secret}"})

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def fault(self, fault: Fault) -> None:
        """The next calls go wrong."""
        await self._post("faults", msgspec.json.encode(fault))

    async def report(self) -> Report:
        """What was seen, and what phones have got."""
        return msgspec.json.decode(await self._post("report"), type=Report)

    async def reset(self) -> None:
        """Forget everything."""
        await self._post("reset")

    async def _post(self, name: str, data: bytes = b"") -> bytes:
        async with self._session.post(f"{self._url}/_control/{name}", data=data) as answer:
            told = await answer.read()
            assert answer.status == 200, f"{name}: {answer.status} {told[:200]!r}"
            return told
