"""Driving a running simulator from a test: faults, plans, and people who press buttons."""

from typing import Any, Self

import aiohttp
import msgspec

from actors.testing.oauth_simulator.plan import AppKeys, AppleNative, AppleTold, Choose, Chosen, Fault, Issued, MiniCode, Plan, Report


class SimulatorControl:
    """A client of the simulator's control API. Use as an async context manager. AssertionError when it is told nonsense."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._session = aiohttp.ClientSession()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def choose(self, authorize_url: str, who: str = "kim") -> Chosen:
        """A person at the page says who they are; "" says no."""
        path = authorize_url.removeprefix(self._url).partition("#")[0]
        return msgspec.json.decode(await self._post("choose", Choose(authorize_url=path, who=who)), type=Chosen)

    async def mini_code(self, who: str = "kim") -> str:
        """A person opens the mini-program."""
        return msgspec.json.decode(await self._post("mini_code", MiniCode(who=who)), type=Issued).code

    async def apple_native(self, nonce: str, who: str = "kim", **more: Any) -> str:
        """The id_token that a telephone gives our app."""
        return msgspec.json.decode(await self._post("apple_native", AppleNative(who=who, nonce=nonce, **more)), type=Issued).code

    async def apple_told(self, kind: str, who: str = "kim", **more: Any) -> str:
        """The token of a notification from Apple's server."""
        return msgspec.json.decode(await self._post("apple_told", AppleTold(kind=kind, who=who, **more)), type=Issued).code

    async def fault(self, **fault: Any) -> None:
        """The next calls go wrong; see ``Fault``."""
        await self._post("faults", Fault(**fault))

    async def plan(self, **plan: Any) -> None:
        """How the providers are from now on; see ``Plan``."""
        await self._post("plan", Plan(**plan))

    async def report(self) -> Report:
        """What the simulator has seen."""
        return msgspec.json.decode(await self._post("report", None), type=Report)

    async def keys(self) -> AppKeys:
        """What a shop is given."""
        return msgspec.json.decode(await self._post("keys", None), type=AppKeys)

    async def reset(self) -> None:
        """Forget everything but the keys."""
        await self._post("reset", None)

    async def _post(self, name: str, body: msgspec.Struct | None) -> bytes:
        data = b"" if body is None else msgspec.json.encode(body)
        async with self._session.post(f"{self._url}/_control/{name}", data=data) as answer:
            told = await answer.read()
            assert answer.status == 200, f"{name}: {answer.status} {told[:200]!r}"
            return told
