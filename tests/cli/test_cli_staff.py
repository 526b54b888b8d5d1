"""Roles from the command line, where the first administrator is made; and what is due to be erased."""

from collections.abc import Callable
from typing import Any

import pytest

Run = Callable[..., Any]

pytestmark = pytest.mark.slow


def account(copy: Any, user_id: str) -> str:
    copy.sql("INSERT INTO account (user_id, register_id) VALUES ($1, '') ON CONFLICT DO NOTHING", user_id)
    return user_id


def test_the_first_administrator_is_made_seen_and_unmade_here(in_copy: Any, run: Run) -> None:
    boss, other = account(in_copy, "usr_boss"), account(in_copy, "usr_other")
    assert run("staff", "grant", boss, "administrator").out == "usr_boss is administrator from the next login on.\n"
    assert [(one["user_id"], one["role"], one["granted_by"]) for one in run("staff", "list", "--json").json] == [
        (boss, "administrator", "machine")
    ]
    said = run("staff", "revoke", boss, "administrator")
    assert (said.code, said.err) == (1, "This is the last administrator. Make another one first. (last_administrator)\n")
    assert run("staff", "grant", other, "administrator").code == 0
    assert run("staff", "revoke", boss, "administrator").out == "usr_boss is no longer administrator; all sessions were ended.\n"
    assert run("staff", "list").out == "usr_other\tadministrator\t-\tmachine\n"
    rows = in_copy.sql("SELECT actor_id, role, permission, target FROM staff_action ORDER BY seq")
    by = ("machine", "machine", "role.grant")
    assert [tuple(row) for row in rows][-3:] == [(*by, boss), (*by, other), (*by, boss)]
    assert run("audit").code == 0


def test_a_merchant_has_a_firm(in_copy: Any, run: Run) -> None:
    user_id = account(in_copy, "usr_seller")
    made = run("staff", "merchant", "mer_1", "--title", "Firm", "--title-zh", "商家", "--product", "prd_1", "--product", "prd_2")
    assert made.out == "mer_1 is Firm; 2 products were made its own.\n"
    assert [row[0] for row in in_copy.sql("SELECT product_id FROM product WHERE merchant_id = 'mer_1' ORDER BY product_id")] == [
        "prd_1",
        "prd_2",
    ]
    assert in_copy.sql("SELECT count(*) FROM sku WHERE merchant_id = 'mer_1'")[0][0] >= 2
    assert run("staff", "merchant", "firm", "--title", "Firm", "--title-zh", "商家").code == 1
    assert run("staff", "grant", user_id, "merchant").code == 1
    assert run("staff", "grant", user_id, "merchant", "--merchant", "mer_1").code == 0
    assert "usr_seller\tmerchant\tmer_1\tmachine\n" in run("staff", "list").out
    assert run("staff", "revoke", user_id, "merchant").code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("usr_nobody", "support"), "There is no such account. (user_unknown)"),
        (
            ("usr_nobody", "king"),
            "There is no role king. These are: merchant, warehouse, support, marketing, finance, operator, administrator",
        ),
    ],
)
def test_a_role_that_cannot_be_given_is_refused_in_one_sentence(in_copy: Any, run: Run, arguments: tuple[str, ...], words: str) -> None:
    said = run("staff", "grant", *arguments)
    assert (said.code, said.out, said.err) == (1, "", words + "\n")


def test_who_is_due_is_erased_once_and_the_books_balance(in_copy: Any, run: Run) -> None:
    run("privacy", "run")
    account(in_copy, "usr_gone")
    in_copy.sql("INSERT INTO erasure (user_id, due_at) VALUES ('usr_gone', now()) ON CONFLICT DO NOTHING")
    account(in_copy, "usr_stays")
    in_copy.sql("INSERT INTO erasure (user_id, due_at) VALUES ('usr_stays', now() + interval '1 day') ON CONFLICT DO NOTHING")
    assert run("privacy", "run", "--json").json == {"erased": 1, "exports": 0, "messages": 0, "resealed": 0}
    assert run("privacy", "run").out == "Erased 0 people; deleted 0 exports and 0 messages; sealed 0 fields anew.\n"
    states = {
        row["user_id"]: row["status"]
        for row in in_copy.sql("SELECT user_id, status FROM account WHERE user_id IN ('usr_gone', 'usr_stays')")
    }
    assert states == {"usr_gone": "erased", "usr_stays": "active"}
    assert run("audit").code == 0
