"""How pages are made: templates, language, navigation, and the policy under which a browser shows them.

Whoever asks for no page (``Accept`` without ``text/html``) gets the problems of the API, so that programs and tests meet the same
gate as everywhere. Pages are never kept by a browser or a proxy, and a form is taken only from a page of this shop.
"""

import base64
import hashlib
import re
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

import jinja2
import msgspec
from litestar import MediaType, Response

from actors.domain.staff import allows
from schemas.problems import problem_of
from serve.answers import NO_STORE, Header, Reply, timestamp
from serve.framework import ShopRequest
from serve.permissions import ACTOR
from serve.requests import Refusal
from serve.requests import Request as Head
from serve.web.words import LANGUAGES, WORDS

HOME: Final = "/staff"
LOGIN: Final = "/staff/login"
RENEW: Final = "/staff/session"
"""Where a page goes whose session's access token has ended, and comes back from with another one."""

_FOLDER: Final = Path(__file__).parent
_STYLE: Final = (_FOLDER / "style.css").read_text()
POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'; "
    "img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
# A browser that may say nothing of where it comes from says ``Origin: null`` with a form, which is refused.
_REFERRER: Final = "same-origin"
_LANGUAGE_COOKIE: Final = "stampede-language"
_LANGUAGE_S: Final = 365 * 86_400
_PROBLEMS: Final = msgspec.json.Decoder(dict[str, Any])
_PLACE: Final = re.compile(r"/staff(/[A-Za-z0-9_][A-Za-z0-9_.\-]*)*(\?[A-Za-z0-9_.\-=&%+]*)?\Z")


TEXT_MAX: Final = 100
"""Characters of a field of the address that are looked at."""


class Entry(NamedTuple):
    """One page of the navigation. word: of ``serve.web.words``. permission: who sees it."""

    path: str
    word: str
    permission: str


NAVIGATION: list[Entry] = []
"""In the order in which they are shown; filled where the handlers are put together."""


@lru_cache(maxsize=1)
def _templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def wants_page(head: Head) -> bool:
    """Whether it is a browser that asks for a page of the staff."""
    path = head.path
    return (path == HOME or path.startswith(HOME + "/")) and b"text/html" in head.headers.get(b"accept", b"")


def language_of_page(head: Head) -> str:
    """The language that was chosen by the switch (now, or in this browser before), else what the browser prefers."""
    asked = dict(parse_qsl(head.scope.get("query_string", b"").decode("latin-1"), max_num_fields=100)).get("lang", "")
    kept = re.search(rb"(?:^|;\s*)" + _LANGUAGE_COOKIE.encode() + rb"=([A-Za-z-]{2,8})", head.headers.get(b"cookie", b"")[:4096])
    for found in (asked, kept[1].decode() if kept else ""):
        if found in LANGUAGES:
            return found
    return head.language


def place_of(text: str) -> str:
    """Where to go on: a page of the staff, whatever was asked for."""
    return text if _PLACE.match(text) and len(text) < 500 else HOME


def asked(request: ShopRequest, name: str, longest: int = TEXT_MAX) -> str:
    """A field of the address, as somebody filled it in; what is too long or no text is cut off or left out."""
    return str(request.query_params.get(name, ""))[:longest].replace("\0", "").strip()


def number_of(text: str, otherwise: int) -> int:
    """A number in the address; ``otherwise`` for what is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else otherwise


def word(language: str, key: str, **values: object) -> str:
    """One text of a page. KeyError for one that does not exist."""
    text = WORDS[key][LANGUAGES.index(language)]
    return text.format(**values) if values else text


def said(language: str, kind: str, value: str) -> str:
    """What people call a value of the shop's own (``state.draft``); the value itself where nobody has named it."""
    found = WORDS.get(f"{kind}.{value}")
    return found[LANGUAGES.index(language)] if found else value


def money(amount: int, currency: str) -> str:
    """An amount of minor units as people read it."""
    digits = 0 if currency in ("JPY", "KRW", "VND") else 2
    return f"{amount / 10**digits:,.{digits}f} {currency}"


def when(at_ms: int) -> str:
    """A time in UTC, to the minute."""
    return timestamp(at_ms)[:16].replace("T", " ")


def _context(head: Head, language: str, actor: Any) -> dict[str, Any]:
    """What every template may use."""
    query = head.scope.get("query_string", b"").decode("latin-1")
    other = [(name, value) for name, value in parse_qsl(query, max_num_fields=100) if name != "lang"]
    return {
        "t": lambda key, **values: word(language, key, **values),
        "said": lambda kind, value: said(language, kind, value),
        "money": money,
        "when": when,
        "language": language,
        "style": _STYLE,
        "path": head.path,
        "navigation": [entry for entry in NAVIGATION if actor is not None and allows(actor.roles, entry.permission)],
        "actor": actor,
        "switch": [(each, "?" + urlencode([*other, ("lang", each)])) for each in LANGUAGES],
        "link": lambda **changed: "?" + urlencode({**dict(other), **{name: value for name, value in changed.items() if value != ""}}),
        "may": lambda permission: actor is not None and allows(actor.roles, permission),
        "refresh_s": 0,
    }


def _keep_language(head: Head, language: str, secure: bool) -> None:
    """Remember in this browser which language was chosen."""
    if b"lang=" in head.scope.get("query_string", b""):
        marks = "; HttpOnly; SameSite=Lax" + ("; Secure" if secure else "")
        cookie = f"{_LANGUAGE_COOKIE}={language}; Path=/staff; Max-Age={_LANGUAGE_S}{marks}"
        head.cookies = (*head.cookies, cookie.encode())


def page(request: ShopRequest, template: str, *, status: int = 200, **values: Any) -> Response[str]:
    """A page of the staff."""
    head: Head = request.head
    scope: Any = request.scope
    language = language_of_page(head)
    _keep_language(head, language, request.desk.settings.cookie_secure)
    text = _templates().get_template(template).render(_context(head, language, scope.get(ACTOR)) | values)
    headers = {
        "content-security-policy": POLICY,
        "referrer-policy": _REFERRER,
        "content-language": language,
        "vary": "accept-language, cookie",
    }
    return Response(content=text, status_code=status, media_type=MediaType.HTML, headers=headers)


def see_other(path: str) -> Response[str]:
    """Go on there with a GET: what was changed is changed, and a reload changes nothing again."""
    return Response(content="", status_code=303, media_type=MediaType.HTML, headers={"location": path})


class PageRefused(Refusal):
    """A refusal that has a page of its own: what is shown to a browser is that, and for all others it is the problem."""

    def __init__(self, refused: Refusal, reply: Reply) -> None:
        super().__init__(refused.code, refused.params)
        self.reply = reply


def page_reply(head: Head, template: str, status: int, code: str, **values: Any) -> Reply:
    """A page as the application sends it, where there is no handler to answer."""
    language = language_of_page(head)
    body = _templates().get_template(template).render(_context(head, language, head.scope.get(ACTOR)) | values).encode()
    headers: tuple[Header, ...] = (
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
        (b"content-security-policy", POLICY.encode()),
        (b"referrer-policy", _REFERRER.encode()),
        (b"content-language", language.encode()),
        NO_STORE,
    )
    return Reply(status, body, headers, code)


def problem_page(head: Head, reply: Reply) -> Reply:
    """What a browser is shown of a problem: the way to the login, or a page that says what it is."""
    if reply.status == 401 and head.path not in (LOGIN, RENEW):
        return _elsewhere(f"{RENEW}?{urlencode({'next': _here(head)})}")
    title = problem_of(reply.code, _params(reply), language=language_of_page(head)).title
    kind = {403: "forbidden", 404: "missing"}.get(reply.status, "failed")
    shown = page_reply(head, "problem.html", reply.status, reply.code, kind=kind, said_title=title)
    shown.headers += tuple(header for header in reply.headers if header[0] == b"retry-after")
    return shown


def _params(reply: Reply) -> dict[str, Any]:
    """The parameters of a problem, out of its body."""
    found = _PROBLEMS.decode(reply.body).get("params")
    return found if isinstance(found, dict) else {}


def _here(head: Head) -> str:
    """The page that somebody was at: this one, or the one whose form was sent."""
    if head.method == "GET":
        query = head.scope.get("query_string", b"").decode("latin-1")
        return place_of(head.path + (f"?{query}" if query else ""))
    before = urlsplit(head.headers.get(b"referer", b"").decode("latin-1"))
    return place_of(before.path + (f"?{before.query}" if before.query else ""))


def _elsewhere(path: str) -> Reply:
    return Reply(303, b"", ((b"location", path.encode()), (b"content-length", b"0"), NO_STORE), "unauthenticated")
