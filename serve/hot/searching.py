"""``GET /v1/search`` and ``/v1/suggest``: the index of this node, asked on a thread beside the loop, cached for a second."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, TypeVar, get_args
from urllib.parse import parse_qsl

import msgspec

from actors.domain.search_query import ATTRIBUTES_MAX, OFFSET_MAX, TEXT_MAX, VALUES_MAX, Sort, Wish
from actors.storage.search.plain import NoIndex, Unfiltered, search_plainly
from schemas.http.search import SearchPage, Suggestions
from serve.answers import Reply, encode
from serve.cursors import cursor_of, parts_of
from serve.pages import Content, Pages
from serve.requests import Refusal, Request
from serve.services import Services

if TYPE_CHECKING:
    from actors.storage.search.searching import Search

LIMIT: Final = 20
LIMIT_MAX: Final = 100
PRICE_MAX: Final = 10**13
VALUE_MAX: Final = 200
FIELDS_MAX: Final = 60
SUGGEST_MAX: Final = 50
WAITING_MAX: Final = 64
"""Searches that wait for the thread of one replica; some 0.3 s of work. More are told to come again."""
PLAIN_MAX: Final = 2
"""Searches of one replica that compare titles in the database at once, while there is no index."""
SWITCH_S: Final = 0.001
"""How long the thread may compute before the loop is let on."""

SEVERAL: Final = frozenset({"category", "brand", "tag"})
ONCE: Final = frozenset({"q", "price_min", "price_max", "in_stock", "sort", "cursor", "limit"})
T = TypeVar("T")


class Searching:
    """The searches of one replica."""

    def __init__(self, services: Services) -> None:
        self._pool = services.pool
        self._directory = services.settings.search_path
        # Pages of its own: whoever searches for everything does not push products out.
        self._pages = Pages(services.clock)
        self._thread: ThreadPoolExecutor | None = None
        self._opened: Search | None = None
        self._waiting = 0
        self._plain = 0

    def close(self) -> None:
        """End the thread; a search under way is answered."""
        if self._thread is not None:
            self._thread.shutdown(wait=False)

    def search(self, request: Request) -> Reply | Awaitable[Reply]:
        """One page of what matches, or what will give it. Refusal for a query that it does not take."""
        wish = wish_of(request)

        async def make() -> Content:
            return Content(encode(await self.found(wish)))

        return self._pages.begin(request, "search\n" + encode(wish).decode(), make)

    async def found(self, wish: Wish) -> SearchPage:
        """One page of what matches, not kept. Refusal ``busy``, ``storage_unavailable``."""
        try:
            page = await self._asked(lambda search: search.search(wish))
        except NoIndex:
            page = await self._plainly(wish)
        return msgspec.structs.replace(page, next_cursor=_cursor(page))

    def suggest(self, request: Request) -> Reply | Awaitable[Reply]:
        """What one may mean who has typed so much, or what will give it. Refusal for a query that it does not take."""
        text = _only(_pairs(request), {"q"}).get("q", "")
        if not text or len(text) > SUGGEST_MAX or not text.isprintable():
            raise Refusal("invalid_request", {"reason": f"q must be 1 to {SUGGEST_MAX} characters"})

        async def make() -> Content:
            try:
                return Content(encode(await self._asked(lambda search: search.suggest(text))))
            except NoIndex:
                return Content(encode(Suggestions(suggestions=(), degraded=True)))

        return self._pages.begin(request, "suggest\n" + text, make)

    async def _asked(self, work: "Callable[[Search], T]") -> T:
        """What the index answers. Refusal ``busy``; NoIndex."""
        if self._waiting >= WAITING_MAX:
            raise Refusal("busy")
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="search")
            sys.setswitchinterval(SWITCH_S)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: work(self._search()))
        finally:
            self._waiting -= 1

    def _search(self) -> "Search":
        """On the thread: what reads the index is loaded when somebody searches."""
        if self._opened is None:
            from actors.storage.search.searching import Search

            self._opened = Search(self._directory)
        return self._opened

    async def _plainly(self, wish: Wish) -> SearchPage:
        if self._plain >= PLAIN_MAX:
            raise Refusal("busy")
        self._plain += 1
        try:
            return await search_plainly(self._pool, wish)
        except Unfiltered as error:
            raise Refusal("storage_unavailable") from error
        finally:
            self._plain -= 1


def _cursor(page: SearchPage) -> str | None:
    """Where the next page begins; nobody reads further than :data:`OFFSET_MAX`."""
    if page.next_cursor is None or int(page.next_cursor) > OFFSET_MAX:
        return None
    return cursor_of("f", page.next_cursor)


def wish_of(request: Request) -> Wish:
    """What a query asks for. Refusal ``invalid_request`` for whatever is unknown, repeated or out of bounds."""
    pairs = _pairs(request)
    several: dict[str, list[str]] = {}
    once: list[tuple[str, str]] = []
    for name, value in pairs:
        if name in SEVERAL or (name.startswith("attr.") and 5 < len(name) <= 70 and name.isprintable()):
            several.setdefault(name, []).append(value)
        else:
            once.append((name, value))
    found = _only(once, ONCE)
    for name, values in several.items():
        if len(values) > VALUES_MAX or not all(0 < len(value) <= VALUE_MAX and value.isprintable() for value in values):
            raise Refusal("invalid_request", {"reason": f"{name[:70]} takes up to {VALUES_MAX} values of up to {VALUE_MAX} characters"})
    attributes = {name[5:]: tuple(dict.fromkeys(values)) for name, values in sorted(several.items()) if name not in SEVERAL}
    if len(attributes) > ATTRIBUTES_MAX:
        raise Refusal("invalid_request", {"reason": f"at most {ATTRIBUTES_MAX} attributes"})
    text = " ".join(found.get("q", "").split())
    if len(text) > TEXT_MAX or not text.isprintable():
        raise Refusal("invalid_request", {"reason": f"q must be at most {TEXT_MAX} characters"})
    sort = found.get("sort", "relevance")
    if sort not in get_args(Sort):
        raise Refusal("invalid_request", {"reason": "sort is one of " + ", ".join(get_args(Sort))})
    stock = found.get("in_stock")
    if stock not in (None, "true", "false"):
        raise Refusal("invalid_request", {"reason": "in_stock is true or false"})
    return Wish(
        text=text,
        categories=tuple(sorted(set(several.get("category", ())))),
        brands=tuple(sorted(set(several.get("brand", ())))),
        tags=tuple(sorted(set(several.get("tag", ())))),
        attributes=attributes,
        price_min=_number(found, "price_min", 0, PRICE_MAX),
        price_max=_number(found, "price_max", 0, PRICE_MAX),
        in_stock=None if stock is None else stock == "true",
        sort=sort,  # type: ignore[arg-type]
        offset=_offset(found.get("cursor")),
        limit=_number(found, "limit", 1, LIMIT_MAX) or LIMIT,
    )


def _pairs(request: Request) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            request.scope.get("query_string", b"").decode("ascii"),
            keep_blank_values=True, strict_parsing=False, errors="strict", max_num_fields=FIELDS_MAX,
        )  # fmt: skip
    except ValueError as error:
        raise Refusal("invalid_request", {"reason": "the query cannot be read"}) from error


def _only(pairs: list[tuple[str, str]], names: "frozenset[str] | set[str]") -> dict[str, str]:
    """Each of these names once at most, and no other."""
    found = dict(pairs)
    if found.keys() - names or len(found) != len(pairs):
        raise Refusal("invalid_request", {"reason": "the query takes each parameter of the document once, and no other"})
    return found


def _number(found: dict[str, str], name: str, lowest: int, highest: int) -> int | None:
    text = found.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 14 and lowest <= int(text) <= highest):
        raise Refusal("invalid_request", {"reason": f"{name} must be from {lowest} to {highest}"})
    return int(text)


def _offset(cursor: str | None) -> int:
    if cursor is None:
        return 0
    text = parts_of(cursor, 2)[1]
    if not (text.isdigit() and len(text) <= 5 and int(text) <= OFFSET_MAX):
        raise Refusal("invalid_request", {"reason": "cursor is none of ours"})
    return int(text)
