"""Answers as bytes: JSON bodies, problems in the reader's language, and the headers that every answer carries."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import msgspec

from schemas.envelope import Answer
from schemas.problems import PROBLEMS, problem_of

Header = tuple[bytes, bytes]

JSON_TYPE: Final[Header] = (b"content-type", b"application/json")
PROBLEM_TYPE: Final[Header] = (b"content-type", b"application/problem+json")
SECURITY: Final[tuple[Header, ...]] = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)
NO_STORE: Final[Header] = (b"cache-control", b"no-store")

encode: Final = msgspec.json.Encoder().encode


class Reply:
    """One answer, ready to send. ``headers`` hold its type and length; those of every answer are added when it leaves."""

    __slots__ = ("body", "code", "head", "headers", "status")

    def __init__(self, status: int, body: bytes, headers: tuple[Header, ...], code: str = "") -> None:
        self.status = status
        self.body = body
        self.headers = headers
        self.code = code
        self.head: bytes | None = None


def json_reply(status: int, body: bytes, *more: Header) -> Reply:
    """An answer with a JSON body that nobody may keep."""
    return Reply(status, body, (JSON_TYPE, (b"content-length", b"%d" % len(body)), NO_STORE, *more))


def empty_reply(status: int, *more: Header) -> Reply:
    """An answer without a body."""
    return Reply(status, b"", (NO_STORE, *more))


def problem_reply(code: str, params: Mapping[str, Any] | None = None, *, language: str = "en") -> Reply:
    """The problem of a code in this language; ``Retry-After`` where the table has one."""
    if not params:
        return _plain_problem(code, language)
    return _problem(code, dict(params), language)


@lru_cache(maxsize=512)
def _plain_problem(code: str, language: str) -> Reply:
    return _problem(code, None, language)


def _problem(code: str, params: dict[str, Any] | None, language: str) -> Reply:
    problem = problem_of(code, params, language=language)
    body = encode(problem)
    headers: tuple[Header, ...] = (
        PROBLEM_TYPE,
        (b"content-length", b"%d" % len(body)),
        (b"content-language", b"zh-CN" if language == "zh-CN" else b"en"),
        NO_STORE,
    )
    retry_after_s = (params or {}).get("retry_after_s") or PROBLEMS[problem.code].retry_after_s
    if retry_after_s is not None:
        headers = (*headers, (b"retry-after", b"%d" % retry_after_s))
    if problem.status == 401:
        headers = (*headers, (b"www-authenticate", b"Bearer"))
    return Reply(problem.status, body, headers, problem.code)


def refusal_reply(answer: Answer, language: str) -> Reply:
    """The problem of an entity's refusal."""
    return problem_reply(answer.code, answer.params, language=language)


def language_of(accept: bytes | None) -> str:
    """``en`` or ``zh-CN``, whichever a client prefers; ``en`` when it does not say."""
    if accept is None:
        return "en"
    return _preferred(accept[:200])


@lru_cache(maxsize=256)
def _preferred(accept: bytes) -> str:
    best, weight = "en", 0.0
    for part in accept.decode("latin-1").lower().split(","):
        tag, _, quality = part.strip().partition(";q=")
        language = {"zh": "zh-CN", "en": "en"}.get(tag.strip().split("-")[0])
        try:
            q = float(quality) if quality else 1.0
        except ValueError:
            continue
        if language and q > weight:
            best, weight = language, q
    return best


@lru_cache(maxsize=4096)
def _second(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def timestamp(at_ms: int) -> str:
    """RFC 3339 in UTC with milliseconds. Times past the year 9999 are its last day."""
    at_s, ms = divmod(min(at_ms, 253_402_214_400_000), 1000)
    return f"{_second(at_s)}.{ms:03d}Z"
