"""Staff: what a person's roles allow. Pure rules over ``schemas.permissions``; the default is no."""

from typing import Final

import msgspec

from actors.domain.token import Role
from schemas.permissions import ANYONE, PERMISSIONS

MACHINE: Final = "machine"
"""Who acts from the command line: whoever may log in to the machine and read its keys. No user id has this form."""


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """Who acts: a user with the roles of the staff that the table says, or the machine itself.

    roles: bits of :class:`Role`. merchant_id: whose goods and orders a merchant's are, else empty.
    """

    user_id: str
    roles: int
    merchant_id: str = ""

    def __post_init__(self) -> None:
        assert not self.merchant_id or self.roles & Role.MERCHANT, "only a merchant has a firm"


def roles_of(permission: str) -> int:
    """The bits of the roles that have a permission; none for one that is not in the table."""
    row = PERMISSIONS.get(permission)
    return 0 if row is None else sum(int(Role[name.upper()]) for name in row.roles if name != ANYONE)


_BITS: Final = {name: roles_of(name) for name in PERMISSIONS}


def allows(roles: int, permission: str) -> bool:
    """Whether somebody with these roles may. A permission that is not in the table, nobody has."""
    row = PERMISSIONS.get(permission)
    return row is not None and (ANYONE in row.roles or bool(roles & _BITS[permission]))


def role_used(roles: int, permission: str) -> str:
    """The name of the role by which it is allowed, as the trail keeps it: the first of the permission's. Empty: none."""
    row = PERMISSIONS.get(permission)
    return next((name for name in (row.roles if row else ()) if name != ANYONE and roles & Role[name.upper()]), "")


def role_bits(names: list[str]) -> int:
    """The bits of roles by their names."""
    return sum({int(Role[name.upper()]) for name in names})


def role_names(roles: int) -> tuple[str, ...]:
    """The names of these roles, from the lowest bit up."""
    return tuple((role.name or "").lower() for role in Role if roles & role)
