"""What was given out: codes, tokens, and who is behind them."""

import hashlib
import secrets
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

from schemas.oauth import Provider

T = TypeVar("T")

KEPT_MAX: Final = 50_000
"""Codes and tokens; then the oldest are forgotten."""


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """What a person allowed, to one app."""

    provider: Provider
    app_id: str
    who: str
    redirect_uri: str = ""
    nonce: str = ""
    challenge: str = ""
    issued_at_s: float


class Books:
    """Codes are good once and for a while; a token is what is got for one."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self.now_s = now_s
        self.replays = 0
        self._codes: dict[str, Grant] = {}
        self._used: dict[str, bool] = {}
        self._tokens: dict[str, Grant] = {}
        self._seen: set[tuple[str, str]] = set()

    def issue(self, grant: Grant) -> str:
        """A code for it."""
        code = secrets.token_urlsafe(18)
        _bounded(self._codes)[code] = grant
        return code

    def redeem(self, code: str, provider: Provider, app_id: str, good_s: float) -> Grant | str:
        """The grant of a code, once. "unknown" (also another app's), "used" or "expired"."""
        if code in self._used:
            self.replays += 1
            return "used"
        grant = self._codes.get(code)
        if grant is None or (grant.provider, grant.app_id) != (provider, app_id):
            return "unknown"
        if self.now_s() >= grant.issued_at_s + good_s:
            return "expired"
        _bounded(self._used)[code] = True
        del self._codes[code]
        return grant

    def token(self, grant: Grant) -> str:
        """A token for what it allows."""
        token = secrets.token_urlsafe(24)
        _bounded(self._tokens)[token] = grant
        return token

    def of_token(self, token: str, provider: Provider) -> Grant | None:
        """The grant of a token of this provider."""
        grant = self._tokens.get(token)
        return grant if grant is not None and grant.provider == provider else None

    def first_time(self, app_id: str, who: str) -> bool:
        """True once for each person and app."""
        new = (app_id, who) not in self._seen
        self._seen.add((app_id, who))
        return new


def _bounded(kept: dict[str, T]) -> dict[str, T]:
    if len(kept) >= KEPT_MAX:
        del kept[next(iter(kept))]
    return kept


def name_in(app_id: str, who: str, length: int = 28) -> str:
    """A person's name in one app: the same every time, and another one in every app."""
    return "o" + hashlib.sha256(f"{app_id}:{who}".encode()).hexdigest()[: length - 1]


def name_for_all(provider: Provider, who: str) -> str:
    """A person's name in all apps of the shop."""
    digits = str(int(hashlib.sha256(f"{provider}:{who}".encode()).hexdigest(), 16))[:12]
    return {"wechat": f"oUNION_{digits}", "qq": f"UID_{digits}", "alipay": f"2088{digits}"}.get(provider, digits)
