"""The port over ``stampede-wms/1``: one call, one try, bounded in time and size; every doubt is Unknown."""

import secrets as random_source
from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import aiohttp
import msgspec

from actors.adapters.wms.addresses import GuardedResolver, Network, url_flaw
from actors.adapters.wms.signature import flaw, headers
from actors.ports.wms import Changes, NotTaken, Taken, Unknown
from schemas.providers.wms import ChangesPage, StockSnapshot

TIMEOUT_S: Final = 10.0
CONNECTIONS_MAX: Final = 4
"""To one warehouse: its messages are few, and it may be a small machine."""

ANSWER_BYTES_MAX: Final = 4 << 20
"""A page of a thousand changes is some 300 KB."""

REFUSALS: Final = frozenset({400, 410, 413, 415, 422})
"""What says that the message was read and will never be taken. 401, 403 and 404 are somebody's mistake in settings: they pass."""

_page = msgspec.json.Decoder(ChangesPage)
_snapshot = msgspec.json.Decoder(StockSnapshot)


class WmsClient:
    """Implements ``actors.ports.wms.Warehouse``. Holds connections and nothing else."""

    def __init__(
        self,
        url: str,
        secrets: Sequence[str],
        answer_secrets: Sequence[str],
        *,
        private: Sequence[Network] = (),
        now_s: Callable[[], int],
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._url = url.rstrip("/")
        self._path = urlsplit(self._url).path
        self._secrets, self._answer_secrets = tuple(secrets), tuple(answer_secrets)
        self._private = tuple(private)
        self._now_s = now_s
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None

    async def send(self, message_id: str, body: bytes) -> Taken | NotTaken | Unknown:
        """See the port."""
        status, found, _ = await self._call("POST", "/messages", {}, message_id, body)
        if 200 <= status < 300:
            return Taken()
        if status in REFUSALS:
            return NotTaken(reason=f"http_{status}: {_printable(found)}")
        return Unknown(reason=f"http_{status}" if status else found.decode(), answered=status != 0)

    async def changes(self, cursor: str, limit: int) -> Changes | Unknown:
        """See the port."""
        answer = await self._get("/changes", {"cursor": cursor, "limit": str(limit)})
        if isinstance(answer, Unknown):
            return answer
        try:
            page = _page.decode(answer)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return Unknown(reason=f"unreadable: {error}"[:200], answered=True)
        bodies = tuple(msgspec.json.encode(message) for message in page.messages)
        return Changes(messages=page.messages, bodies=bodies, next_cursor=page.next_cursor, more=page.more)

    async def snapshot(self, snapshot_id: str, page: int) -> StockSnapshot | Unknown:
        """See the port."""
        answer = await self._get("/snapshot", {"snapshot_id": snapshot_id, "page": str(page)})
        if isinstance(answer, Unknown):
            return answer
        try:
            found = _snapshot.decode(answer)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return Unknown(reason=f"unreadable: {error}"[:200], answered=True)
        if found.page != page or (snapshot_id and found.snapshot_id != snapshot_id):
            return Unknown(reason="another page than was asked for", answered=True)
        return found

    async def close(self) -> None:
        """See the port. A later call connects anew."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _get(self, path: str, query: dict[str, str]) -> bytes | Unknown:
        asked_id = "ask_" + random_source.token_hex(12)
        status, body, answered = await self._call("GET", path, query, asked_id, b"")
        if status != 200:
            return Unknown(reason=f"http_{status}" if status else body.decode(), answered=status != 0)
        # Signed like a webhook, under the id of the question: an old answer, or one to another question, is none.
        given = {name: answered.get(name, "") for name in ("webhook-id", "webhook-timestamp", "webhook-signature")}
        wrong = "signature_invalid" if given["webhook-id"] != asked_id else flaw(given, body, self._answer_secrets, self._now_s())
        return Unknown(reason=wrong, answered=True) if wrong else body

    async def _call(self, method: str, path: str, query: dict[str, str], message_id: str, body: bytes) -> tuple[int, bytes, Any]:
        """(status, body, headers); status 0 when no answer came, with the reason as body."""
        if wrong := url_flaw(self._url, self._private):
            return 0, wrong.encode(), {}
        target = path + ("?" + urlencode(query) if query else "")
        # A question has no body: what is signed is what is asked.
        signed = headers(self._secrets, message_id, body or f"GET {self._path}{target}".encode(), self._now_s())
        send = {**signed, "content-type": "application/json", "accept": "application/json"}
        try:
            session = self._connected()
            async with session.request(method, self._url + target, data=body or None, headers=send, allow_redirects=False) as answer:
                return answer.status, await _read(answer), answer.headers
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return 0, type(error).__name__.encode(), {}

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            resolver = GuardedResolver(self._private, plain=self._url.startswith("http:"))
            connector = aiohttp.TCPConnector(limit=CONNECTIONS_MAX, resolver=resolver, use_dns_cache=False)
            self._session = aiohttp.ClientSession(
                connector=connector, timeout=self._timeout, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
            )
        return self._session


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    """The body. ValueError when it is larger than any honest one."""
    body = b""
    async for piece in answer.content.iter_chunked(1 << 16):
        body += piece
        if len(body) > ANSWER_BYTES_MAX:
            raise ValueError("the answer is too large")
    return body


def _printable(body: bytes) -> str:
    text = body[:200].decode(errors="replace")
    return "".join(character if character.isprintable() else " " for character in text)
