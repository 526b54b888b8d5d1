"""One HTTP request as the application reads it: headers by name, a body with a limit, who asks, in which language."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import lru_cache
from ipaddress import ip_address
from typing import Any, Final

from serve.answers import language_of

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

HEADERS_MAX: Final = 100
HEADER_BYTES_MAX: Final = 16 * 1024
"""A token, a key and what a browser and two proxies add are under 4 KB."""

PATH_MAX: Final = 2048

LARGE: Final = frozenset({"/v1/staff/imports"})
"""A POST here is a file: its handler reads it by itself, a piece at a time, once it is known who sends it."""

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._\-]{1,64}\Z")
_IDEMPOTENCY_KEY: Final = re.compile(rb"[A-Za-z0-9_\-]{8,64}\Z")


class Refusal(Exception):
    """The request ends here with a problem. Raised and caught inside one request; ``code`` is of ``schemas.problems``."""

    def __init__(self, code: str, params: dict[str, Any] | None = None) -> None:
        super().__init__(code, params)
        self.code = code
        self.params = params


class ClientGone(Exception):
    """The client left before its body was whole: nobody is there to answer."""


class Request:
    """The parts of a request that every endpoint needs."""

    __slots__ = ("_address", "cookies", "headers", "id", "method", "path", "pieces", "receive", "route", "scope")

    def __init__(self, scope: Scope, fresh_id: bytes) -> None:
        self.scope = scope
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        given = self.headers.get(b"x-request-id")
        self.id = given if given is not None and _REQUEST_ID.match(given) else fresh_id
        self.route = "unknown"
        self.cookies: tuple[bytes, ...] = ()
        self._address: str | None = None
        self.receive: Receive | None = None
        """Where the body comes from, of a request whose handler reads it by itself."""
        self.pieces: AsyncIterator[bytes] | None = None
        """What the answer's body goes on with, of one that is not made in memory."""

    @property
    def language(self) -> str:
        """``en`` or ``zh-CN``."""
        return language_of(self.headers.get(b"accept-language"))

    def idempotency_key(self) -> bytes:
        """The key of a creating request. Refusal: idempotency_key_missing, also when its form is wrong."""
        key = self.headers.get(b"idempotency-key")
        if key is None or not _IDEMPOTENCY_KEY.match(key):
            raise Refusal("idempotency_key_missing")
        return key

    def address(self, hops: int) -> str:
        """Where the request came from: the peer, or what the outermost of ``hops`` trusted proxies saw. Empty for this machine itself."""
        if self._address is None:
            self._address = self._find_address(hops)
        return self._address

    def _find_address(self, hops: int) -> str:
        client = self.scope.get("client")
        peer: str = client[0] if client else ""
        if hops:
            chain = b",".join(value for name, value in self.scope["headers"] if name == b"x-forwarded-for").split(b",")
            if len(chain) >= hops and chain[-hops].strip():
                peer = chain[-hops].strip().decode("latin-1")
        return "" if _is_here(peer) else peer[:64]


@lru_cache(maxsize=16_384)
def _is_here(peer: str) -> bool:
    """True for an address of this machine's loopback, and for none at all."""
    try:
        return not peer or ip_address(peer).is_loopback
    except ValueError:
        return False


def check_head(request: Request) -> None:
    """Refusal when the head is larger or stranger than any honest client's."""
    path = request.path
    if len(request.scope["headers"]) > HEADERS_MAX or len(path) > PATH_MAX or len(request.scope.get("query_string", b"")) > PATH_MAX:
        raise Refusal("header_too_large")
    if sum(map(len, request.headers.values())) > HEADER_BYTES_MAX:
        raise Refusal("header_too_large")
    if "\0" in path or not (path.isascii() or path.isprintable()):
        raise Refusal("not_found")


def check_json_type(request: Request) -> None:
    """Refusal unless the body says that it is JSON, in UTF-8."""
    given = request.headers.get(b"content-type", b"")
    if given == b"application/json":
        return
    kind, _, rest = given.lower().partition(b";")
    charset = rest.replace(b'"', b"").strip()
    if kind.strip() != b"application/json" or charset not in (b"", b"charset=utf-8"):
        raise Refusal("unsupported_media_type")


def check_length(request: Request, length: int, limit: int) -> None:
    """Refusal when the body is too long, by what it says or by what is here."""
    declared = request.headers.get(b"content-length")
    if length > limit or (declared is not None and (not declared.isdigit() or int(declared[:20]) > limit)):
        raise Refusal("body_too_large", {"limit": limit})


async def body_pieces(request: Request, limit: int) -> AsyncIterator[bytes]:
    """The body as it arrives, of a handler that reads it by itself. Refusal ``body_too_large``; ClientGone."""
    check_length(request, 0, limit)
    receive, size, more = request.receive, 0, True
    assert receive is not None, "the body was read already"
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        piece: bytes = message.get("body", b"")
        more = message.get("more_body", False)
        size += len(piece)
        if size > limit:
            raise Refusal("body_too_large", {"limit": limit})
        if piece:
            yield piece


async def read_body(request: Request, receive: Receive, limit: int) -> bytes:
    """The whole body. Refusal ``body_too_large`` as soon as it is known to be; ClientGone when it never comes whole."""
    check_length(request, 0, limit)
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGone
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        if len(body) > limit:
            raise Refusal("body_too_large", {"limit": limit})
        return body
    parts, size = [body], len(body)
    while message.get("more_body", False):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise Refusal("body_too_large", {"limit": limit})
        parts.append(part)
    return b"".join(parts)
