"""Accounts as staff see them: masked, unless somebody says why not; closing and opening them; acting for their owners."""

from typing import Any, Final

import msgspec
from litestar import get, post
from litestar.params import FromPath, JSONBody

from actors.domain.masking import masked_line, masked_name, masked_phone, masked_subject
from actors.domain.staff import role_names
from actors.storage.addresses import SavedAddress
from actors.storage.identities import Identity
from schemas.http.catalogue import Titles
from schemas.http.staff import AddressSeen, ForReason, IdentitySeen, MembershipSeen, Person, PersonState, StaffOrderPage, Unmask
from schemas.ids import derived_id, order_shard
from schemas.order import CancelOrder
from serve.desk import Desk
from serve.framework import ShopRequest
from serve.notices import tell_owner
from serve.requests import Refusal
from serve.shop.membership import member_of
from serve.shop.orders import in_list
from serve.shop.sessions import end_sessions, sessions_of
from serve.staff.doing import deed_of, refusing, told_for
from serve.staff.roles import user_of
from serve.step_up import require_step_up

ORDERS_SHOWN: Final = 50
"""The newest orders of an account: what somebody calls about is among them."""


async def _person(desk: Desk, user_id: str, clear: tuple[str, ...] = ()) -> Person:
    account = await desk.users.one(user_id)
    if account is None:
        raise Refusal("user_unknown")
    actor = await desk.roles.actor(user_id)
    identities = await desk.identities.of_user(user_id)
    addresses = await desk.addresses.of_user(user_id)
    return Person(
        user_id=user_id,
        status=account.status,
        roles=role_names(actor.roles),
        identities=tuple(_identity(one, clear="identities" in clear) for one in identities),
        addresses=tuple(_address(one, clear="addresses" in clear) for one in addresses),
        membership=await _membership(desk, user_id),
    )


async def _membership(desk: Desk, user_id: str) -> MembershipSeen | None:
    """How somebody stands, for whoever serves them; None where the shop has no membership."""
    found = await member_of(desk, user_id)
    if found is None:
        return None
    view, level = found
    return MembershipSeen(
        level_id=level.level_id,
        titles=Titles(en=level.title, zh=level.title_zh),
        priority=level.priority,
        support_queue=level.support_queue,
        points=view.available,
    )


def _identity(one: Identity, *, clear: bool) -> IdentitySeen:
    subject = one.subject if clear else masked_subject(one.kind, one.subject)
    name = one.name if clear or not one.name else masked_name(one.name)
    return IdentitySeen(identity_id=one.identity_id, kind=one.kind, subject=subject, name=name)


def _address(one: SavedAddress, *, clear: bool) -> AddressSeen:
    to = one.address
    return AddressSeen(
        address_id=one.address_id,
        country=to.country,
        region=to.region,
        city=to.city,
        district=to.district,
        postal_code=to.postal_code,
        name=to.name if clear else masked_name(to.name),
        phone=to.phone if clear else masked_phone(to.phone),
        line1=to.line1 if clear else masked_line(to.line1),
        line2=to.line2 if clear else masked_line(to.line2),
    )


@get("/v1/staff/users/{user_id:str}", operation_id="readPerson")
async def read_person(request: ShopRequest, user_id: FromPath[str]) -> Person:
    """An account, masked."""
    return await _person(request.desk, user_of(user_id))


@post("/v1/staff/users/{user_id:str}/unmask", operation_id="unmaskPerson", status_code=200)
async def unmask_person(request: ShopRequest, user_id: FromPath[str], data: JSONBody[Unmask]) -> Person:
    """The fields that are asked for in the clear, once it is written down who saw them and why."""
    await require_step_up(request)
    found = await _person(request.desk, user_of(user_id), data.fields)
    fields = msgspec.json.encode(sorted(set(data.fields))).decode()
    with refusing():
        await request.desk.roles.note(request.actor(), deed_of(request, "person.unmask", user_id, data.reason, after=fields))
    return found


@post("/v1/staff/users/{user_id:str}/disable", operation_id="disablePerson", status_code=200)
async def disable_person(request: ShopRequest, user_id: FromPath[str], data: JSONBody[ForReason]) -> PersonState:
    """Close an account: nobody logs in to it, and who is logged in is logged out."""
    return await _move(request, user_of(user_id), "active", "disabled", data.reason)


@post("/v1/staff/users/{user_id:str}/enable", operation_id="enablePerson", status_code=200)
async def enable_person(request: ShopRequest, user_id: FromPath[str], data: JSONBody[ForReason]) -> PersonState:
    """Open an account again."""
    return await _move(request, user_of(user_id), "disabled", "active", data.reason)


async def _move(request: ShopRequest, user_id: str, before: str, after: str, reason: str) -> PersonState:
    await require_step_up(request)
    desk = request.desk
    account = await desk.users.one(user_id)
    if account is None or account.status not in (before, after):
        raise Refusal("user_unknown")
    if account.status == before:
        with refusing():
            await desk.roles.set_status(request.actor(), user_id, before, after, reason, request.head.id.decode())
    # Also when a try before this one closed it and was lost before it had ended the sessions.
    if after == "disabled":
        await end_sessions(desk, user_id)
    return PersonState(user_id=user_id, status=after)


@post("/v1/staff/users/{user_id:str}/sessions/end", operation_id="endSessionsOf", status_code=204)
async def end_sessions_of(request: ShopRequest, user_id: FromPath[str], data: JSONBody[ForReason]) -> None:
    """End every session of an account: a telephone was lost."""
    desk, name = request.desk, user_of(user_id)
    if await desk.users.one(name) is None:
        raise Refusal("user_unknown")
    count = str(len((await sessions_of(desk, name)).sessions))
    deed = deed_of(request, "person.sessions", name, data.reason, before=count)
    with refusing():
        await desk.roles.note(request.actor(), deed)
    await end_sessions(desk, name)
    tell_owner(request, name, "sessions_ended", request.head.id)


@get("/v1/staff/users/{user_id:str}/orders", operation_id="listOrdersOf")
async def list_orders_of(request: ShopRequest, user_id: FromPath[str]) -> StaffOrderPage:
    """The newest orders of an account."""
    rows = await request.desk.orders.page([user_of(user_id)], 2**62, "", ORDERS_SHOWN)
    return StaffOrderPage(orders=tuple(in_list(row) for row in rows))


def _order_of(desk: Desk, user_id: str, name: str) -> str:
    """The id, when it can be one of this user's. Refusal ``order_unknown`` before anything is written down."""
    try:
        if order_shard(name) == desk.client.sharding.shard("order", user_id):
            return name
    except ValueError:
        pass
    raise Refusal("order_unknown")


@post("/v1/staff/users/{user_id:str}/orders/{order_id:str}/cancel", operation_id="cancelOrderOf", status_code=204)
async def cancel_order_of(request: ShopRequest, user_id: FromPath[str], order_id: FromPath[str], data: JSONBody[ForReason]) -> None:
    """End an unpaid order for its buyer, who asked for it on the telephone."""
    desk, buyer = request.desk, user_of(user_id)
    name = _order_of(desk, buyer, order_id)
    deed = deed_of(request, "order.cancel", name, data.reason)
    # The same id as when the buyer cancels: whoever is first has done it, and the other gets the same answer.
    await told_for(request, deed, "order", buyer, CancelOrder(order_id=name), command_id=derived_id("cancel", name), digest=b"cancel")


HANDLERS: Final[list[Any]] = [
    read_person, unmask_person, disable_person, enable_person, end_sessions_of, list_orders_of, cancel_order_of,
]  # fmt: skip
