"""``POST /v1/events``: what terminals saw, taken in batches and put into the spool. Never in the way of a purchase.

Guards in order: room, address's rate, query, type, token, body, consent. One batch is read at a time, a few events in each turn of the
loop, so that a request for a page or an order waits for one slice at most, however many events have come.
"""

import asyncio
import re
from typing import Any, Final

import msgspec

from actors.domain.entity import Refused
from actors.domain.pseudonym import Pseudonyms
from actors.storage.events.frames import SpooledBatch, encode_batch
from actors.storage.events.spool import Spool, SpoolRefused
from schemas.http.events import AGE_MS_MAX, Event, EventEnvelope, EventsTaken, Search
from serve import strict_json
from serve.answers import Reply, encode, json_reply
from serve.counters import HttpCounters
from serve.desk import Desk
from serve.rates import Rate
from serve.requests import Receive, Refusal, Request, check_json_type, read_body
from serve.strict_json import Malformed

PATH: Final = "/v1/events"

SLICE: Final = 32
"""Events read in one turn of the loop: less than a tenth of a millisecond, or two tenths in a form that is read twice."""

WAITING_MAX: Final = 64
"""Batches of one replica that wait to be read: a quarter of a second of work at most, and 16 MB."""

REASONS: Final = {"behind": "events_busy", "full": "events_full", "failing": "events_full"}

_KEPT_OUT: Final = re.compile(r"\S+@\S+|\+?\d(?:[ \-]?\d){6,}")
"""Addresses and long numbers, which people type into any field there is."""

NUL: Final = b"\\u0000"

_PLACE: Final = re.compile(r"at `\$\[(\d+)\]")
_decode_envelope: Final = msgspec.json.Decoder(EventEnvelope).decode
_decode_slice: Final = msgspec.json.Decoder(list[Event]).decode


class Events:
    """Takes events for one replica."""

    def __init__(self, desk: Desk) -> None:
        self._clock = desk.clock
        self._authentication = desk.authentication
        self._cookies = desk.cookies
        self._counters = desk.services.counters
        self._body_max = desk.settings.events_body_bytes_max
        self._pseudonyms = Pseudonyms(desk.client.sharding.derived_key("events"))
        self._spool = desk.spool
        self._choices = desk.event_choices
        per_s = desk.settings.rate_events_per_s
        self._rate = Rate(desk.clock.monotonic_ms, per_s, per_s * 5)
        self._hops = desk.settings.forwarded_hops
        self._reading = asyncio.Lock()
        self._waiting = 0

    async def take(self, request: Request, receive: Receive) -> Reply:
        """202 when the batch was taken. 503 when there is no room for it: the terminal keeps it and sends it again."""
        counters = self._counters
        try:
            return await self._take(request, receive)
        except Refusal as refusal:
            counters.events_refused[refusal.code] += 1
            raise
        except Malformed:
            counters.events_refused["malformed_body"] += 1
            raise
        except msgspec.DecodeError as error:
            counters.events_refused["invalid_request" if isinstance(error, msgspec.ValidationError) else "malformed_body"] += 1
            raise

    async def _take(self, request: Request, receive: Receive) -> Reply:
        self._check_room()
        address = request.address(self._hops)
        if address and not self._rate.take(address):
            raise Refusal("rate_limited")
        durable = _is_durable(request)
        check_json_type(request)
        user_id = self._user(request)
        body = await read_body(request, receive, self._body_max)
        if self._waiting >= WAITING_MAX:
            raise Refusal("events_busy")
        self._waiting += 1
        try:
            async with self._reading:
                envelope, events = await _read(body)
        finally:
            self._waiting -= 1
        denied = envelope.consent == "denied" or request.headers.get(b"sec-gpc") == b"1"
        if denied or (user_id and await self._choices.denied(user_id)):
            self._counters.events_without_consent += len(events)
            return _taken(EventsTaken(accepted=0, too_old=0, consent="denied", durable=durable))
        return await self._keep(envelope, events, user_id, durable)

    def _check_room(self) -> None:
        try:
            self._spool.check()
        except SpoolRefused as refused:
            raise Refusal(REASONS[refused.reason]) from refused

    def _user(self, request: Request) -> str:
        """Whose token or cookie it is; empty without one. A token that is not good is refused: the events would be nobody's."""
        credential = self._cookies.credential(request)
        if credential is None:
            return ""
        token = self._authentication.customer(credential, self._clock.now_ms())
        if isinstance(token, Refused):
            raise Refusal(token.code)
        return token.user_id

    async def _keep(self, envelope: EventEnvelope, events: list[Event], user_id: str, durable: bool) -> Reply:
        oldest_ms = envelope.sent_at_ms - AGE_MS_MAX
        kept: list[Any] = [_without_people(event) for event in events if event.at_ms >= oldest_ms]
        now_ms, names = self._clock.now_ms(), self._pseudonyms
        batch = SpooledBatch(
            received_ms=now_ms,
            skew_ms=now_ms - envelope.sent_at_ms,
            actor=names.actor(user_id),
            visitor=names.visitor(envelope.visitor_id),
            session=names.session(envelope.visitor_id, envelope.session_id),
            terminal=envelope.terminal,
            campaign=envelope.campaign,
            events=kept,
        )
        try:
            if kept:
                number = self._spool.append(encode_batch(batch))
                if durable:
                    await self._spool.durable(number)
        except SpoolRefused as refused:
            raise Refusal(REASONS[refused.reason]) from refused
        self._counters.events_accepted += len(kept)
        self._counters.events_too_old += len(events) - len(kept)
        return _taken(EventsTaken(accepted=len(kept), too_old=len(events) - len(kept), consent="granted", durable=durable))


async def _read(body: bytes) -> tuple[EventEnvelope, list[Event]]:
    """A batch and its events, strictly. It gives the loop to everybody else before each slice."""
    await asyncio.sleep(0)
    try:
        envelope = _decode_envelope(body)
        _check_strictly(body, envelope)
        events: list[Event] = []
        for at in range(0, len(envelope.events), SLICE):
            await asyncio.sleep(0)
            events += _read_slice(envelope.events[at : at + SLICE], at)
    except RecursionError as error:
        raise Malformed("nested too deeply") from error
    except msgspec.ValidationError:
        # What is no strict JSON is that before it is a wrong form.
        strict_json.check_shallow(body)
        raise
    return envelope, events


def _check_strictly(body: bytes, read: EventEnvelope | list[Event]) -> None:
    """Malformed when a key stands twice in ``body``, or a text holds NUL. read: what a closed type made of it.

    What it was read into is written again in the shortest form there is. A body that is as long has every key once, as it must be
    longer otherwise; only one in another form (spaces, escapes, defaults) is read a second time for it, which costs ten times as much.
    """
    if len(encode(read)) != len(body) or NUL in body:
        strict_json.check_shallow(body)


def _read_slice(raws: list[msgspec.Raw], first: int) -> list[Event]:
    part = b"[" + b",".join(raws) + b"]"
    try:
        found = _decode_slice(part)
    except msgspec.ValidationError as error:
        # The place within the slice is nobody's business.
        said = _PLACE.sub(lambda place: f"at `$.events[{int(place[1]) + first}]", str(error))
        raise msgspec.ValidationError(said) from error
    _check_strictly(part, found)
    return found


def _without_people(event: Event) -> Event:
    """A search without what may name somebody."""
    if not isinstance(event, Search):
        return event
    query = _KEPT_OUT.sub("*", event.query)
    return event if query == event.query else msgspec.structs.replace(event, query=query)


def _is_durable(request: Request) -> bool:
    query: bytes = request.scope.get("query_string", b"")
    if query in (b"", b"durable=0"):
        return False
    if query == b"durable=1":
        return True
    raise Refusal("invalid_request", {"reason": "the query takes durable, 0 or 1"})


def _taken(taken: EventsTaken) -> Reply:
    return json_reply(202, encode(taken))


def metrics_text(spool: Spool, counters: HttpCounters) -> str:
    """Prometheus text. The spool is the node's; how old its oldest file is, is how far the lake is behind."""
    lines = [
        "# TYPE stampede_events_accepted_total counter",
        f"stampede_events_accepted_total {counters.events_accepted}",
        "# TYPE stampede_events_too_old_total counter",
        f"stampede_events_too_old_total {counters.events_too_old}",
        "# TYPE stampede_events_without_consent_total counter",
        f"stampede_events_without_consent_total {counters.events_without_consent}",
        "# TYPE stampede_events_refused_batches_total counter",
        *(f'stampede_events_refused_batches_total{{code="{code}"}} {n}' for code, n in sorted(counters.events_refused.items())),
        "# TYPE stampede_events_spool_syncs_total counter",
        f"stampede_events_spool_syncs_total {spool.syncs}",
        "# TYPE stampede_events_spool_bytes gauge",
        f"stampede_events_spool_bytes {spool.seen.bytes}",
        "# TYPE stampede_events_landing_lag_seconds gauge",
        f"stampede_events_landing_lag_seconds {spool.seen.oldest_s}",
    ]
    return "\n".join(lines) + "\n"
