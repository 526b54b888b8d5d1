"""The gate before every handler: an operation names a permission, and whoever asks must have it. The default is no.

The token's roles turn away whoever never had the right, at the price of a look; staff are then looked up in the table, so
that a role acts, and ends to act, at once and on every replica. What staff change is checked a third time, in the
transaction of the change (``actors.storage.staff``).
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import structlog

from actors.domain.entity import Refused
from actors.domain.staff import allows
from schemas.permissions import PERMISSIONS, SHOPPERS
from serve.ops.operations import BENCH, HOT, SAID
from serve.requests import Refusal

if TYPE_CHECKING:
    from litestar.connection import ASGIConnection
    from litestar.handlers import BaseRouteHandler

    from serve.desk import Desk
    from serve.requests import Request as Head

log = structlog.get_logger("stampede.permissions")

ACTOR: Final = "stampede.actor"
"""Where a request's scope keeps who of the staff asks."""


class Undeclared(Exception):
    """An operation does not say who may use it, or names a permission that does not exist."""


def check_declared(operation_ids: Iterable[str]) -> None:
    """Undeclared unless each of these operations, and each hot one, names a permission that stands in the table.

    A hot one passes no gate but its own, which knows shoppers: it cannot take a permission of the staff.
    """
    hot = {operation.operation_id for operation in (*HOT, BENCH)}
    wanted = {*operation_ids, *hot}
    missing = sorted(name for name in wanted if name not in SAID or SAID[name].who not in (SHOPPERS if name in hot else PERMISSIONS))
    if missing:
        raise Undeclared(f"no permission is declared in serve.ops.operations for: {', '.join(missing)}")


async def guard(connection: "ASGIConnection[Any, Any, Any, Any]", handler: "BaseRouteHandler") -> None:
    """Refusal unless whoever asks may use this operation: ``unauthenticated`` and the like, ``forbidden``."""
    scope: Any = connection.scope
    operation_id: str = getattr(handler, "operation_id", None) or ""
    said = SAID.get(operation_id)
    await admit(connection.app.state.desk, scope["stampede.head"], said.who if said else "", operation_id, scope)


async def admit(desk: "Desk", head: "Head", permission: str, operation_id: str, scope: dict[str, Any]) -> None:
    """Let in who has the permission; a member of the staff is put into the scope. Carts are let in by their handlers, which know guests."""
    if permission in ("public", "anyone", "cart"):
        return
    token = desk.authentication.customer(desk.cookies.credential(head), desk.clock.now_ms())
    if isinstance(token, Refused):
        raise Refusal(token.code)
    if permission in SHOPPERS:
        return
    actor = await desk.roles.actor(token.user_id) if allows(token.roles, permission) else None
    if actor is None or not allows(actor.roles, permission):
        desk.services.counters.staff_refused[operation_id] += 1
        log.warning(
            "staff_route_refused", user_id=token.user_id, operation=operation_id, permission=permission, roles=token.roles,
            request_id=head.id.decode(),
        )  # fmt: skip
        raise Refusal("forbidden")
    scope[ACTOR] = actor
