"""One HTTP call to a login provider: one try, bounded, its outcome a value that says no secret."""

from typing import Final, Self, TypeVar

import aiohttp
import msgspec

TIMEOUT_S: Final = 8.0
"""Of a whole call. A login is one to three calls, and a person waits."""

CONNECTIONS_MAX: Final = 32
"""Open connections to one provider."""

ANSWER_BYTES_MAX: Final = 64 * 1024
"""Tokens and profiles are under 8 KB."""

_Body = TypeVar("_Body")


class _Lost(aiohttp.ClientError):
    """The connection broke: what kind of break is its text."""


async def _once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """aiohttp sends a GET again when its connection breaks. These GETs spend a code: the second would be told that it was used."""
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _Lost(type(error).__name__) from None


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """One answer. ``status`` 0: none came, ``lost`` says why. The body may hold tokens: it is in no repr."""

    status: int
    body: bytes = b""
    lost: str = ""

    def __repr__(self) -> str:
        return f"Reply(status={self.status}, lost={self.lost!r})"

    def read(self, kind: type[_Body]) -> _Body | None:
        """The body of a 200 as ``kind``; None when it is none or cannot be read."""
        if self.status != 200:
            return None
        try:
            return msgspec.json.decode(self.body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None

    def reason(self) -> str:
        """Why it could not be used, for logs."""
        return self.lost or f"http_{self.status}"


class Calls:
    """The connections to one provider. ``close`` it; a later call opens them anew."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def get(self, url: str, query: dict[str, str] | None = None) -> Reply:
        """One GET."""
        return await self._call("GET", url, query, None)

    async def post(self, url: str, form: dict[str, str], query: dict[str, str] | None = None) -> Reply:
        """One POST of a form."""
        return await self._call("POST", url, query, form)

    async def _call(self, method: str, url: str, query: dict[str, str] | None, form: dict[str, str] | None) -> Reply:
        try:
            # A redirect would carry our secrets to wherever it leads.
            async with self._connected().request(method, url, params=query, data=form, allow_redirects=False) as response:
                body = await response.content.read(ANSWER_BYTES_MAX)
                while len(body) < ANSWER_BYTES_MAX and (more := await response.content.read(ANSWER_BYTES_MAX - len(body))):
                    body += more
                return Reply(status=response.status, body=body)
        except _Lost as lost:
            return Reply(status=0, lost=str(lost))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            # Not its text: that names the URL, and some providers want our secret in there.
            return Reply(status=0, lost=type(error).__name__)

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX),
                timeout=self._timeout,
                cookie_jar=aiohttp.DummyCookieJar(),
                middlewares=(_once,),
            )
        return self._session
