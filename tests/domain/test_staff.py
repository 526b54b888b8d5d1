"""What roles allow. The default is no."""

import pytest

from actors.domain.staff import Actor, allows, role_bits, role_names, role_used, roles_of
from actors.domain.token import Role
from schemas.permissions import ANYONE, GRANTABLE, PERMISSIONS, SHOPPERS

EVERYTHING = sum(int(role) for role in Role)


def test_a_permission_that_is_not_in_the_table_nobody_has() -> None:
    for name in ("", "role", "role.", "ROLE.GRANT", "public ", "person.erase"):
        assert not allows(EVERYTHING, name)
        assert roles_of(name) == 0
        assert role_used(EVERYTHING, name) == ""


def test_each_permission_is_of_the_roles_in_its_row_and_of_no_other() -> None:
    for name, row in PERMISSIONS.items():
        for role in Role:
            assert allows(int(role), name) is (ANYONE in row.roles or (role.name or "").lower() in row.roles), (name, role)


def test_without_a_role_one_may_do_what_anyone_may() -> None:
    assert [name for name in PERMISSIONS if allows(0, name)] == ["public", "anyone"]


def test_a_customer_has_no_permission_of_the_staff_and_no_role_of_the_staff_makes_a_customer() -> None:
    assert [name for name in PERMISSIONS if allows(int(Role.CUSTOMER), name)] == ["public", "anyone", "cart", "customer"]
    assert [name for name in ("cart", "customer") if allows(role_bits(list(GRANTABLE)), name)] == []


def test_every_role_has_something_to_do_and_every_row_names_roles() -> None:
    assert {role for row in PERMISSIONS.values() for role in row.roles} == {ANYONE, "guest", "customer", *GRANTABLE}
    assert {name for name in SHOPPERS if name not in PERMISSIONS} == set()


def test_bits_and_names_are_each_other_s_inverse() -> None:
    for role in GRANTABLE:
        assert role_names(role_bits([role])) == (role,)
    assert role_names(role_bits(["support", "merchant", "support"])) == ("support", "merchant")
    assert role_used(role_bits(["administrator", "support"]), "person.read") == "support"


def test_only_a_merchant_has_a_firm() -> None:
    assert Actor(user_id="usr_1", roles=int(Role.MERCHANT), merchant_id="mer_1").merchant_id == "mer_1"
    with pytest.raises(AssertionError, match="only a merchant"):
        Actor(user_id="usr_1", roles=int(Role.SUPPORT), merchant_id="mer_1")
