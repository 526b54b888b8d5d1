"""Sessions of browsers: tokens in cookies that no script reads, and that no other site's page makes use of.

An app or a mini-program sends its token in ``Authorization``. A page may ask for cookies instead (``"cookie": true`` at
login). A cookie is sent by the browser whoever asked for it, so what changes something is taken only from a page of
this shop: ``SameSite=Lax`` keeps it from most others, and the ``Origin`` (or ``Sec-Fetch-Site``) that the browser adds
must say so. Rejected: a token in a hidden field, which every page and app would have to carry.
"""

from typing import Final

from schemas.settings import Settings
from serve.requests import Refusal, Request

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
REFRESH_PATH: Final = "/v1/sessions"
COOKIES_MAX: Final = 4096
"""Bytes of a ``Cookie`` header that are looked through."""


class Cookies:
    """Reads and writes the cookies of web sessions."""

    def __init__(self, settings: Settings) -> None:
        secure = settings.cookie_secure
        self._access = "__Host-stampede" if secure else "stampede"
        self._refresh = "__Secure-stampede-refresh" if secure else "stampede-refresh"
        self._marks = "; HttpOnly; SameSite=Lax" + ("; Secure" if secure else "")
        self._access_s = settings.access_token_s
        self._refresh_s = settings.refresh_token_s
        self._prefix = (self._access + "=").encode()
        self._refresh_prefix = (self._refresh + "=").encode()
        self._origins = frozenset(origin.strip().rstrip("/").encode() for origin in settings.web_origins.split(",") if origin.strip())

    def credential(self, request: Request) -> bytes | None:
        """What stands for ``Authorization``: the header itself, or the cookie. Refusal ``csrf_refused``."""
        header = request.headers.get(b"authorization")
        if header is not None:
            return header
        cookies = request.headers.get(b"cookie")
        if cookies is None:
            return None
        value = _value(cookies, self._prefix)
        if value is None:
            return None
        self.check_origin(request)
        return b"Bearer " + value

    def refresh_token(self, request: Request) -> str | None:
        """The refresh token of the cookie. Refusal ``csrf_refused``."""
        value = _value(request.headers.get(b"cookie", b""), self._refresh_prefix)
        if value is None:
            return None
        self.check_origin(request)
        return value.decode("latin-1")

    def check_origin(self, request: Request) -> None:
        """Refusal ``csrf_refused`` when a cookie is used to change something by anything but a page of ours."""
        if request.method in SAFE:
            return
        headers = request.headers
        origin = headers.get(b"origin")
        if origin is None:
            own = headers.get(b"sec-fetch-site") == b"same-origin"
        else:
            named = origin.partition(b"://")[2]
            own = origin in self._origins or (bool(named) and named == headers.get(b"host"))
        if not own:
            raise Refusal("csrf_refused")

    def give(self, request: Request, access_token: str, refresh_token: str, refresh_path: str = REFRESH_PATH) -> None:
        """Send both tokens as cookies with the answer; the second is sent back to ``refresh_path`` alone."""
        request.cookies = (
            f"{self._access}={access_token}; Path=/; Max-Age={self._access_s}{self._marks}".encode(),
            f"{self._refresh}={refresh_token}; Path={refresh_path}; Max-Age={self._refresh_s}{self._marks}".encode(),
        )

    def give_access(self, request: Request, access_token: str) -> None:
        """Send another access token for the same session."""
        request.cookies = (f"{self._access}={access_token}; Path=/; Max-Age={self._access_s}{self._marks}".encode(),)

    def take_back(self, request: Request, refresh_path: str = REFRESH_PATH) -> None:
        """Tell the browser to forget them."""
        request.cookies = (
            f"{self._access}=; Path=/; Max-Age=0{self._marks}".encode(),
            f"{self._refresh}=; Path={refresh_path}; Max-Age=0{self._marks}".encode(),
        )


def _value(cookies: bytes, prefix: bytes) -> bytes | None:
    """The first cookie of this name."""
    for part in cookies[:COOKIES_MAX].split(b";"):
        text = part.strip()
        if text.startswith(prefix):
            return text[len(prefix) :] or None
    return None
