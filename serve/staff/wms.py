"""Warehouses for staff: lines and their secrets, messages and dead letters, parcels. What is changed is in the trail."""

from typing import Annotated, Any, Final, Literal

from litestar import get, post, put
from litestar.params import FromPath, JSONBody, QueryParameter

from actors.adapters.wms.addresses import networks, url_flaw
from actors.adapters.wms.signature import KEY_BYTES, key_of, secret_of
from actors.storage.staff import NotDone
from actors.storage.wms import NewConnection
from schemas.http.staff import ForReason
from schemas.http.wms import (
    AddConnection,
    AskStock,
    ChangeConnection,
    ConnectionAdded,
    Connections,
    ConnectionSeen,
    LetterLine,
    LetterPage,
    LetterSeen,
    LettersRetried,
    LetterWhole,
    RetryLetters,
    RollSecret,
    SecretRolled,
    SendPurchase,
    ShipmentLine,
    ShipmentPage,
    ShipmentShown,
)
from schemas.ids import id_of, is_id
from schemas.providers.wms import PurchaseOrder, StockAsk
from schemas.wms import Connection, Letter, ShipmentSeen
from serve.answers import timestamp
from serve.cursors import cursor_of, parts_of
from serve.framework import ShopRequest
from serve.requests import Refusal
from serve.staff.doing import refusing
from serve.step_up import require_step_up

LAST_MS: Final = 2**53
STATES: Final = {
    "in": ("waiting", "open", "done", "dead", "dropped"),
    "out": ("waiting", "done", "dead", "dropped"),
}  # fmt: skip

Cursor = Annotated[str | None, QueryParameter(max_length=300, description="`next_cursor` of the page before")]
Limit = Annotated[int, QueryParameter(ge=1, le=100)]


def at(time_ms: int) -> str | None:
    """A time; None for none."""
    return timestamp(time_ms) if time_ms else None


def page_start(kind: str, cursor: str | None) -> tuple[int, str]:
    """Where a list goes on, by time and id. Refusal for a cursor of another list."""
    if cursor is None:
        return LAST_MS, ""
    found, time_ms, name = parts_of(cursor, 3)
    if found != kind or not time_ms.isdigit() or len(time_ms) > 16:
        raise Refusal("invalid_request", {"reason": "cursor is none of ours"})
    return int(time_ms), name


def request_id(request: ShopRequest) -> str:
    """For the trail."""
    return request.head.id.decode()


def _line_of(connection_id: str) -> str:
    if not is_id(connection_id, "wms"):
        raise Refusal("wms_connection_unknown")
    return connection_id


def _connection(one: Connection) -> ConnectionSeen:
    return ConnectionSeen(
        connection_id=one.connection_id, title=one.title, warehouse_id=one.warehouse_id, warehouse_code=one.warehouse_code, url=one.url,
        state=one.state, created_at=timestamp(one.created_at_ms), failures=one.failures, rests_until=at(one.rests_until_ms),
        last_error=one.last_error, last_sent_at=at(one.last_sent_ms), last_heard_at=at(one.last_heard_ms),
        last_asked_at=at(one.polled_at_ms), waiting=one.waiting, dead=one.dead,
    )  # fmt: skip


@get("/v1/staff/wms/connections", operation_id="listWmsConnections")
async def list_connections(
    request: ShopRequest, closed: Annotated[bool, QueryParameter(description="also those that were closed")] = False
) -> Connections:
    """The lines to warehouses, and how they go."""
    return Connections(connections=tuple(map(_connection, await request.desk.wms.connections(closed=closed))))


@post("/v1/staff/wms/connections", operation_id="addWmsConnection", status_code=201)
async def add_connection(request: ShopRequest, data: JSONBody[AddConnection]) -> ConnectionAdded:
    """Open a line. Its secrets leave here, once."""
    await require_step_up(request)
    desk, actor = request.desk, request.actor()
    command_id, _ = request.command(actor.user_id, "wms.connection")
    _check_url(request, data.url)
    ours, theirs = _secret(request, data.our_secret), _secret(request, data.their_secret)
    new = NewConnection(
        connection_id=id_of("wms", command_id), title=data.title, warehouse_id=data.warehouse_id, warehouse_code=data.warehouse_code,
        url=data.url, ours=ours, theirs=theirs,
    )  # fmt: skip
    with refusing():
        made = await desk.wms.add(actor, new, data.reason, desk.clock.now_ms(), request_id(request))
    desk.wms_work.lines.forget()
    return ConnectionAdded(
        connection_id=new.connection_id, hook=f"/v1/hooks/wms/{new.connection_id}", our_secret=ours if made else None,
        their_secret=theirs if made else None,
    )  # fmt: skip


@put("/v1/staff/wms/connections/{connection_id:str}", operation_id="changeWmsConnection")
async def change_connection(request: ShopRequest, connection_id: FromPath[str], data: JSONBody[ChangeConnection]) -> None:
    """Change, pause or close a line."""
    await require_step_up(request)
    desk = request.desk
    _check_url(request, data.url)
    with refusing():
        await desk.wms.change(
            request.actor(), _line_of(connection_id), data.title, data.url, data.warehouse_code, data.state, data.reason,
            request_id(request),
        )  # fmt: skip
    desk.wms_work.lines.forget()


@post("/v1/staff/wms/connections/{connection_id:str}/secrets", operation_id="rollWmsSecret", status_code=201)
async def roll_secret(request: ShopRequest, connection_id: FromPath[str], data: JSONBody[RollSecret]) -> SecretRolled:
    """A new secret beside those that are good for a while yet."""
    await require_step_up(request)
    desk, actor, now_ms = request.desk, request.actor(), request.desk.clock.now_ms()
    command_id, _ = request.command(actor.user_id, "wms.secret")
    secret, until_ms = _secret(request, data.secret), now_ms + data.old_good_s * 1000
    with refusing():
        made = await desk.wms.roll(
            actor, _line_of(connection_id), id_of("wsk", command_id), data.side, secret, until_ms, data.reason, now_ms, request_id(request)
        )
    desk.wms_work.lines.forget()
    return SecretRolled(secret=secret if made else None)


def _check_url(request: ShopRequest, url: str) -> None:
    if wrong := url_flaw(url, networks(request.desk.settings.wms_private_networks)):
        raise Refusal("wms_url_refused", {"reason": wrong})


def _secret(request: ShopRequest, given: str) -> str:
    if not given:
        return secret_of(request.desk.services.random_bytes(KEY_BYTES))
    try:
        key_of(given)
    except ValueError:
        raise Refusal("wms_secret_invalid") from None
    return given


@post("/v1/staff/wms/connections/{connection_id:str}/stock-questions", operation_id="askWmsStock", status_code=202)
async def ask_stock(request: ShopRequest, connection_id: FromPath[str], data: JSONBody[AskStock]) -> None:
    """Ask for counts; they come as messages."""
    desk, actor = request.desk, request.actor()
    command_id, _ = request.command(actor.user_id, "wms.ask")
    ask = StockAsk(skus=data.skus)
    with refusing():
        await desk.wms_letters.ask_stock(
            actor, _line_of(connection_id), command_id.hex(), ask, data.reason, desk.clock.now_ms(), request_id(request)
        )
    desk.wms_work.wake()


@post("/v1/staff/wms/connections/{connection_id:str}/purchase-orders", operation_id="sendPurchaseOrder", status_code=202)
async def send_purchase(request: ShopRequest, connection_id: FromPath[str], data: JSONBody[SendPurchase]) -> None:
    """Tell a warehouse of goods that will come; once for one reference."""
    desk, actor = request.desk, request.actor()
    request.command(actor.user_id, "wms.purchase")
    order = PurchaseOrder(reference=data.reference, supplier=data.supplier, expected_on=data.expected_on, lines=data.lines)
    with refusing():
        await desk.wms_letters.purchase(
            actor, _line_of(connection_id), order, data.reason, desk.clock.now_ms(), request_id(request)
        )  # fmt: skip
    desk.wms_work.wake()


@post("/v1/staff/wms/connections/{connection_id:str}/retries", operation_id="retryWmsLetters", status_code=200)
async def retry_letters(request: ShopRequest, connection_id: FromPath[str], data: JSONBody[RetryLetters]) -> LettersRetried:
    """Have all dead messages of a line tried again, a thousand at most."""
    desk = request.desk
    with refusing():
        retried = await desk.wms_letters.retry_all(
            request.actor(), _line_of(connection_id), data.side, data.reason, desk.clock.now_ms(), request_id(request)
        )
    desk.wms_work.wake()
    return LettersRetried(retried=retried)


def _letter(one: Letter) -> LetterSeen:
    return LetterSeen(
        letter_id=one.letter_id, side=one.side, connection_id=one.connection_id, message_id=one.message_id, type=one.type, state=one.state,
        reason=one.reason, tries=one.tries, at=timestamp(one.at_ms), due_at=at(one.due_ms) if one.state == "waiting" else None,
        ended_at=at(one.ended_at_ms), order_id=one.order_id, lines_dead=one.lines_dead,
    )  # fmt: skip


@get("/v1/staff/wms/letters", operation_id="listWmsLetters")
async def list_letters(
    request: ShopRequest,
    side: Annotated[Literal["in", "out"], QueryParameter(description="in: received; out: ours")] = "in",
    status: Annotated[Literal["", "waiting", "open", "done", "dead", "dropped"], QueryParameter(description="of this state alone")] = "",
    connection_id: Annotated[str, QueryParameter(max_length=64, pattern="^[A-Za-z0-9_.-]*$", description="of one line alone")] = "",
    cursor: Cursor = None,
    limit: Limit = 20,
) -> LetterPage:
    """Messages, the newest first, without their bodies."""
    before_ms, before_id = page_start(f"l{side}", cursor)
    states = (status,) if status else STATES[side]
    rows = await request.desk.wms.letters(side, states, connection_id, before_ms, before_id, limit + 1)
    more = cursor_of(f"l{side}", str(rows[limit - 1].at_ms), rows[limit - 1].letter_id) if len(rows) > limit else None
    return LetterPage(letters=tuple(map(_letter, rows[:limit])), next_cursor=more)


@get("/v1/staff/wms/letters/{letter_id:str}", operation_id="readWmsLetter")
async def read_letter(request: ShopRequest, letter_id: FromPath[str]) -> LetterWhole:
    """One message with its body, and what became of its changes."""
    found = await request.desk.wms.letter(_letter_id(letter_id))
    if found is None:
        raise Refusal("wms_letter_unknown")
    letter, lines = found
    seen = tuple(
        LetterLine(
            line=one.line, sku=one.sku, kind=one.kind, quantity=one.quantity, sequence=one.sequence, state=one.state, reason=one.reason,
            tries=one.tries,
        )
        for one in lines
    )  # fmt: skip
    return LetterWhole(letter=_letter(letter), body=letter.body, lines=seen)


def _letter_id(letter_id: str) -> str:
    if not is_id(letter_id, "wml") and not is_id(letter_id, "msg"):
        raise Refusal("wms_letter_unknown")
    return letter_id


async def _refuse_state(request: ShopRequest, letter_id: str, ended: NotDone) -> None:
    if ended.code == "wms_letter_state":
        found = await request.desk.wms.letter(letter_id)
        raise Refusal(ended.code, {"state": found[0].state if found else "?"})
    raise Refusal(ended.code)


@post("/v1/staff/wms/letters/{letter_id:str}/retry", operation_id="retryWmsLetter", status_code=200)
async def retry_letter(request: ShopRequest, letter_id: FromPath[str], data: JSONBody[ForReason]) -> None:
    """Have a dead message tried again, from the first try on."""
    desk = request.desk
    try:
        await desk.wms_letters.retry(request.actor(), _letter_id(letter_id), data.reason, desk.clock.now_ms(), request_id(request))
    except NotDone as ended:
        await _refuse_state(request, letter_id, ended)
    desk.wms_work.wake()


@post("/v1/staff/wms/letters/{letter_id:str}/drop", operation_id="dropWmsLetter", status_code=200)
async def drop_letter(request: ShopRequest, letter_id: FromPath[str], data: JSONBody[ForReason]) -> None:
    """Let a dead message be; it stays to be seen."""
    desk = request.desk
    try:
        await desk.wms_letters.drop(request.actor(), _letter_id(letter_id), data.reason, desk.clock.now_ms(), request_id(request))
    except NotDone as ended:
        await _refuse_state(request, letter_id, ended)


def _shipment(one: ShipmentSeen) -> ShipmentShown:
    return ShipmentShown(
        connection_id=one.connection_id, shipment_id=one.shipment_id, order_id=one.order_id, parcel=one.parcel, state=one.state,
        carrier=one.carrier, tracking=one.tracking, lines=tuple(ShipmentLine(sku=sku, quantity=count) for sku, count in one.lines),
        changed_at=timestamp(one.changed_at_ms), shipped_at=at(one.shipped_at_ms),
    )  # fmt: skip


@get("/v1/staff/wms/shipments", operation_id="listShipments")
async def list_shipments(
    request: ShopRequest,
    order_id: Annotated[str, QueryParameter(max_length=100, pattern="^[A-Za-z0-9_.-]*$", description="of one order alone")] = "",
    cursor: Cursor = None,
    limit: Limit = 20,
) -> ShipmentPage:
    """Parcels, those that changed last first."""
    before_ms, before_id = page_start("s", cursor)
    rows = await request.desk.wms.shipments(order_id, before_ms, before_id, limit + 1)
    more = cursor_of("s", str(rows[limit - 1].changed_at_ms), rows[limit - 1].shipment_id) if len(rows) > limit else None
    return ShipmentPage(shipments=tuple(map(_shipment, rows[:limit])), next_cursor=more)


HANDLERS: Final[list[Any]] = [
    list_connections, add_connection, change_connection, roll_secret, ask_stock, send_purchase, retry_letters, list_letters, read_letter,
    retry_letter, drop_letter, list_shipments,
]  # fmt: skip
