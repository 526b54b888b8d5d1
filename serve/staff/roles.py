"""Roles: who has which, giving and taking away. A role that is taken away acts at once."""

from typing import Annotated, Any, Final

from litestar import delete, get, put
from litestar.params import FromPath, JSONBody, QueryParameter

from schemas.http.staff import GrantRole, RoleGrant, RoleGrants
from schemas.ids import is_id
from schemas.permissions import GRANTABLE
from serve.answers import timestamp
from serve.framework import ShopRequest
from serve.requests import Refusal
from serve.shop.sessions import end_sessions
from serve.staff.doing import refusing
from serve.step_up import require_step_up


def user_of(user_id: str) -> str:
    """The id, when it is one. Refusal ``user_unknown``."""
    if not is_id(user_id, "usr"):
        raise Refusal("user_unknown")
    return user_id


def _role(role: str) -> str:
    if role not in GRANTABLE:
        raise Refusal("role_unknown")
    return role


async def _roles(request: ShopRequest, user_id: str) -> RoleGrants:
    with refusing():
        found = await request.desk.roles.grants(request.actor(), user_id)
    return RoleGrants(
        roles=tuple(
            RoleGrant(
                user_id=grant.user_id,
                role=grant.role,
                merchant_id=grant.merchant_id,
                granted_by=grant.granted_by,
                granted_at=timestamp(grant.granted_at_ms),
            )
            for grant in found
        )
    )


@get("/v1/staff/users/{user_id:str}/roles", operation_id="readRoles")
async def read_roles(request: ShopRequest, user_id: FromPath[str]) -> RoleGrants:
    """The roles of a user."""
    return await _roles(request, user_of(user_id))


@put("/v1/staff/users/{user_id:str}/roles/{role:str}", operation_id="grantRole")
async def grant_role(request: ShopRequest, user_id: FromPath[str], role: FromPath[str], data: JSONBody[GrantRole]) -> RoleGrants:
    """Give a role; it is in the next token that the user gets. Nobody gives one to themselves."""
    await require_step_up(request)
    name = _role(role)
    with refusing():
        await request.desk.roles.grant(
            request.actor(), user_of(user_id), name, data.merchant_id or "", data.reason, request.head.id.decode()
        )
    return await _roles(request, user_id)


@delete("/v1/staff/users/{user_id:str}/roles/{role:str}", operation_id="revokeRole")
async def revoke_role(
    request: ShopRequest,
    user_id: FromPath[str],
    role: FromPath[str],
    reason: Annotated[str, QueryParameter(min_length=3, max_length=500, description="why, for the trail")],
) -> None:
    """Take a role away, and end all sessions of the user: no token says any more that there was one."""
    await require_step_up(request)
    name = _role(role)
    with refusing():
        await request.desk.roles.revoke(request.actor(), user_of(user_id), name, reason, request.head.id.decode())
    await end_sessions(request.desk, user_id)


HANDLERS: Final[list[Any]] = [read_roles, grant_role, revoke_role]
