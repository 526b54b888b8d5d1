"""``stampede sale``: what an operator makes is what buyers meet."""

from collections.abc import Callable
from typing import Any

import pytest

from actors.storage.sales import transfers
from serve.cli.sale import Wish, times_of
from serve.cli.words import Trouble

Run = Callable[..., Any]

pytestmark = pytest.mark.slow


def test_a_sale_that_opens_now_is_open_and_has_exactly_its_stock(in_copy: Any, run: Run) -> None:
    made = run("sale", "create", "--sku", "sku_1", "--stock", "7", "--limit", "2", "--price", "1999", "--json").json
    assert made["state"] == "open"
    assert made["orders_path"] == f"/v1/flash-sales/{made['sale_id']}/orders"
    assert made["price"] == {"amount": 1999, "currency": "CNY"}
    assert made["sku_id"] != "sku_1"
    row = in_copy.sql("SELECT state, prices, limit_per_user, mode, ticket_required FROM flash_sale WHERE sale_id = $1", made["sale_id"])[0]
    assert tuple(row) == ("open", f'{{"{made["sku_id"]}": 1999}}', 2, "first_come", False)
    found = run("sale", "status", made["sale_id"], "--json").json
    assert (found["state"], found["told_state"]) == ("open", "open")
    assert found["stock"] == {"put_in": 7, "available": 7, "held": 0, "sold": 0, "written_off": 0, "in_transit": 0}


def test_a_sale_of_tomorrow_is_closed(in_copy: Any, run: Run) -> None:
    options = ("--sku", "sku_1", "--stock", "7", "--price", "1", "--opens-at", "2099-11-11T00:00:00Z", "--ticket", "--rate", "50")
    made = run("sale", "create", *options, "--json").json
    assert (made["state"], made["opens_at"], made["ends_at"]) == ("closed", "2099-11-11T00:00:00Z", "2099-11-18T00:00:00Z")
    found = run("sale", "status", made["sale_id"], "--json").json
    assert (found["state"], found["ticket_required"], found["rate_per_s"]) == ("closed", True, 50)


def test_a_draw_keeps_its_terms_and_needs_a_ticket(in_copy: Any, run: Run) -> None:
    options = ("--sku", "sku_2", "--stock", "3", "--price", "1", "--mode", "draw", "--draws-in", "600", "--winners", "3")
    made = run("sale", "create", *options, "--json").json
    assert made["state"] == "entering"
    found = run("sale", "status", made["sale_id"], "--json").json
    assert (found["mode"], found["ticket_required"], found["entrants"]) == ("draw", True, 0)


def test_a_demo_sale_chooses_for_itself_at_half_the_price(in_copy: Any, run: Run) -> None:
    made = run("sale", "create", "--demo", "--json").json
    full = in_copy.sql("SELECT price_minor FROM sku WHERE sku_id = $1", made["sku_id"])[0]["price_minor"]
    assert (made["stock"], made["limit_per_user"], made["price"]["amount"], made["state"]) == (100, 2, full // 2, "open")
    again = run("sale", "create", "--demo", "--json").json
    assert again["product_id"] == made["product_id"]
    assert again["sku_id"] != made["sku_id"]


def test_a_prepared_sale_is_spread_evenly_and_loses_nothing(in_copy: Any, run: Run) -> None:
    made = run("sale", "create", "--sku", "sku_1", "--stock", "10", "--price", "1", "--json").json
    split = run("sale", "prepare", made["sale_id"], "--parts", "4", "--json").json
    assert [part["available"] for part in split["parts"]] == [3, 3, 2, 2]
    assert in_copy.sql("SELECT parts FROM sku WHERE sku_id = $1", made["sku_id"])[0]["parts"] == 4
    found = run("sale", "status", made["sale_id"], "--json").json
    assert (found["stock"]["put_in"], found["stock"]["available"], found["stock"]["in_transit"]) == (10, 10, 0)
    fewer = run("sale", "prepare", made["sale_id"], "--parts", "2")
    assert (fewer.code, "parts must be from 4 to 64" in fewer.err) == (1, True)


def test_people_get_a_sentence_and_a_table_instead_of_json(in_copy: Any, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    made = run("sale", "create", "--sku", "sku_1", "--stock", "5", "--price", "1234")
    sale_id = made.out.split()[1]
    assert made.out.startswith("Sale sal_")
    assert "at 12.34 CNY, any number each; it is open." in made.out
    table = run("sale", "status", sale_id).out
    assert sale_id in table
    assert "available" in table
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert "当前状态 open" in run("sale", "create", "--sku", "sku_1", "--stock", "5", "--price", "1234").out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--stock", "5", "--price", "1"), "Say what is sold"),
        (("--sku", "sku_none", "--stock", "5", "--price", "1"), "There is no such article (sku_unknown)"),
        (("--demo", "--mode", "auction"), "The mode is first_come or draw, not auction."),
        (("--demo", "--mode", "draw"), "A draw needs --draws-in and --winners."),
        (("--demo", "--opens-at", "soon"), "soon is no time. Write one like 2030-11-11T00:00:00Z."),
        (("--demo", "--opens-at", "2099-11-11T00:00:00"), "2099-11-11T00:00:00 is no time."),
        (("--demo", "--opens-in", "5", "--opens-at", "2099-11-11T00:00:00Z"), "Give --opens-in or --opens-at, not both."),
        (("--demo", "--ends-at", "2001-01-01T00:00:00Z"), "ends before it opens"),
    ],
)
def test_a_sale_that_cannot_be_is_refused_in_one_sentence(in_copy: Any, run: Run, options: tuple[str, ...], words: str) -> None:
    said = run("sale", "create", *options)
    assert said.code == 1
    assert said.err.startswith(words) or words in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""


def test_an_unknown_sale_is_refused(in_copy: Any, run: Run) -> None:
    for arguments in (("status", "sal_none"), ("prepare", "sal_none", "--parts", "2")):
        said = run("sale", *arguments)
        assert (said.code, said.err) == (1, "There is no such sale (sale_unknown)\n")


def test_times_are_taken_as_they_are_said() -> None:
    assert times_of(Wish(opens_in_s=5), 1000) == (6000, 6000 + 7 * 86_400_000)
    assert times_of(Wish(opens_at="1970-01-01T08:00:01+08:00", ends_at="1970-01-01T00:00:02Z"), 0) == (1000, 2000)
    with pytest.raises(Trouble, match="no time"):
        times_of(Wish(ends_at="never"), 0)


@pytest.mark.parametrize(
    ("available", "moves"),
    [
        ([9], []),
        ([9, 0, 0], [("s#0", "s#1", 3), ("s#0", "s#2", 3)]),
        ([8, 0, 0], [("s#0", "s#1", 3), ("s#0", "s#2", 2)]),
        ([0, 8, 0], [("s#1", "s#0", 3), ("s#1", "s#2", 2)]),
        ([5, 5, 0, 0], [("s#0", "s#2", 2), ("s#1", "s#3", 2)]),
        ([0, 0], []),
    ],
)
def test_transfers_even_out_the_parts(available: list[int], moves: list[tuple[str, str, int]]) -> None:
    assert transfers("s", available) == moves
