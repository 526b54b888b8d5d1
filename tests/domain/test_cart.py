"""Carts: refusals in the order of the guards, merges that count once, and replay."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.domain import cart
from actors.domain.cart import CartKind
from actors.domain.entity import Accepted, Wake
from actors.testing.rehearsal import Rehearsal
from schemas.cart import (
    CartContents,
    CartTakenLines,
    Clear,
    ConsumeLines,
    MergeGuest,
    PutLine,
    ReadCart,
    RemoveLine,
    TakeForMerge,
)
from schemas.order import Line

NOW = 1_700_000_000_000
DAY = 86_400_000


def lines(**quantities: int) -> tuple[Line, ...]:
    return tuple(Line(sku_id=sku_id, quantity=quantity) for sku_id, quantity in quantities.items())


def filled(key: str = "usr_a", **quantities: int) -> Rehearsal:
    run = Rehearsal(CartKind(), key)
    for sku_id, quantity in quantities.items():
        run.ask(PutLine(sku_id=sku_id, quantity=quantity), NOW)
    return run


def full() -> Rehearsal:
    return filled(**{f"s{i}": 1 for i in range(cart.LINES_MAX)})


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (PutLine(sku_id="s0", quantity=1000), "quantity_invalid"),
        (PutLine(sku_id="new", quantity=-1), "quantity_invalid"),
        (PutLine(sku_id="new", quantity=2**62), "quantity_invalid"),
        (PutLine(sku_id="new", quantity=1), "cart_full"),
        (Clear(version=99), "cart_changed"),
        (Clear(version=101), "cart_changed"),
        (MergeGuest(guest_id="usr_a", guest_version=1, lines=()), "invalid_request"),
        (MergeGuest(guest_id="gst_b", guest_version=1, lines=lines(s0=0)), "quantity_invalid"),
        (MergeGuest(guest_id="gst_b", guest_version=1, lines=lines(s0=1000)), "quantity_invalid"),
        (ConsumeLines(order_id="ord_1", lines=lines(s0=0)), "quantity_invalid"),
    ],
)
def test_a_full_cart_refuses_in_the_order_of_the_guards(command: Any, answer: str) -> None:
    run = full()
    before = run.state.version
    assert run.told(command, NOW) == answer
    assert run.state.version == before
    assert len(run.events) == cart.LINES_MAX


def test_a_line_of_a_full_cart_can_still_be_changed_and_removed() -> None:
    run = full()
    assert run.told(PutLine(sku_id="s0", quantity=999), NOW).version == 101
    assert run.told(RemoveLine(sku_id="s1"), NOW).version == 102
    assert run.told(PutLine(sku_id="new", quantity=1), NOW).version == 103


def test_the_version_rises_with_each_change_and_only_then() -> None:
    run = filled(a=1)
    assert run.told(PutLine(sku_id="a", quantity=1), NOW) == CartContents(version=1, lines=lines(a=1))
    assert run.told(RemoveLine(sku_id="b"), NOW) == CartContents(version=1, lines=lines(a=1))
    assert run.told(PutLine(sku_id="b", quantity=2), NOW) == CartContents(version=2, lines=lines(a=1, b=2))
    assert run.told(PutLine(sku_id="a", quantity=0), NOW) == CartContents(version=3, lines=lines(b=2))
    assert run.told(Clear(), NOW) == CartContents(version=4, lines=())
    assert run.told(Clear(), NOW) == CartContents(version=4, lines=())
    assert len(run.events) == 4


def test_a_merge_sums_quantities_and_never_makes_two_lines_of_one_sku() -> None:
    run = filled(a=2, b=998)
    twice = (*lines(a=3), *lines(b=2, c=4), *lines(a=1))
    reply = run.told(MergeGuest(guest_id="gst_g", guest_version=3, lines=twice), NOW)
    assert reply == CartContents(version=3, lines=lines(a=6, b=999, c=4), clipped=("b",))


def test_a_merge_into_an_almost_full_cart_keeps_the_users_lines_and_names_what_was_left_out() -> None:
    run = filled(**{f"s{i}": 1 for i in range(99)})
    reply = run.told(MergeGuest(guest_id="gst_g", guest_version=1, lines=lines(x=1, y=1, s0=1)), NOW)
    assert len(reply.lines) == 100
    assert reply.clipped == ("y",)
    assert (run.state.lines["x"], run.state.lines["s0"], "y" in run.state.lines) == (1, 2, False)


def test_the_same_guest_and_version_is_merged_once() -> None:
    run = filled(a=1)
    merge = MergeGuest(guest_id="gst_g", guest_version=2, lines=lines(a=1))
    assert run.told(merge, NOW).lines == lines(a=2)
    assert run.told(merge, NOW) == CartContents(version=2, lines=lines(a=2))
    older = MergeGuest(guest_id="gst_g", guest_version=1, lines=lines(a=5))
    assert run.told(older, NOW).lines == lines(a=2)
    assert run.told(MergeGuest(guest_id="gst_g", guest_version=3, lines=lines(a=1)), NOW).lines == lines(a=3)


def test_a_merge_that_was_cut_short_at_any_step_gives_each_unit_to_the_user_once() -> None:
    guest, user = filled("gst_g", a=2), filled("usr_u")
    taken = guest.told(TakeForMerge(), NOW)
    assert taken == CartTakenLines(version=1, lines=lines(a=2))
    merge = MergeGuest(guest_id="gst_g", guest_version=taken.version, lines=taken.lines)
    user.ask(merge, NOW)
    guest.ask(PutLine(sku_id="a", quantity=3), NOW)
    guest.ask(PutLine(sku_id="b", quantity=1), NOW)
    assert guest.told(TakeForMerge(), NOW) == taken
    user.ask(merge, NOW)
    assert guest.told(Clear(version=taken.version), NOW).lines == lines(a=1, b=1)
    assert guest.told(Clear(version=taken.version), NOW).lines == lines(a=1, b=1)
    rest = guest.told(TakeForMerge(), NOW)
    user.ask(MergeGuest(guest_id="gst_g", guest_version=rest.version, lines=rest.lines), NOW)
    assert guest.told(Clear(version=rest.version), NOW).lines == ()
    assert user.state.lines == {"a": 3, "b": 1}


def test_a_take_of_an_empty_cart_is_empty_and_writes_nothing() -> None:
    run = Rehearsal(CartKind(), "gst_g")
    assert run.told(TakeForMerge(), NOW) == CartTakenLines(version=0, lines=())
    assert run.events == []


def test_an_order_takes_its_lines_once_and_leaves_what_was_added_since() -> None:
    run = filled(a=5, b=1)
    consume = ConsumeLines(order_id="ord_1", lines=lines(a=2, b=1, gone=4))
    assert run.told(consume, NOW) == CartContents(version=3, lines=lines(a=3))
    assert run.told(consume, NOW + 6 * DAY) == CartContents(version=3, lines=lines(a=3))
    assert run.told(ConsumeLines(order_id="ord_2", lines=lines(a=9)), NOW).lines == ()


def test_orders_are_forgotten_after_a_week() -> None:
    run = filled(a=5)
    run.ask(ConsumeLines(order_id="ord_1", lines=lines(a=1)), NOW)
    run.ask(ConsumeLines(order_id="ord_2", lines=lines(a=1)), NOW + 7 * DAY)
    assert list(run.state.consumed) == ["ord_1", "ord_2"]
    run.ask(ConsumeLines(order_id="ord_3", lines=lines(a=1)), NOW + 7 * DAY + 1)
    assert list(run.state.consumed) == ["ord_2", "ord_3"]


def test_only_the_newest_guests_are_remembered() -> None:
    run = filled(a=1)
    for i in range(cart.MERGED_MAX + 1):
        run.ask(MergeGuest(guest_id=f"gst_{i}", guest_version=1, lines=lines(a=1)), NOW)
    assert list(run.state.merged) == [f"gst_{i}" for i in range(1, cart.MERGED_MAX + 1)]


@pytest.mark.parametrize(("key", "days"), [("gst_g", 30), ("usr_u", 365)])
def test_an_idle_cart_expires_and_not_a_moment_earlier(key: str, days: int) -> None:
    run = filled(key, a=1)
    end = NOW + days * DAY
    assert run.kind.wake_at(run.state) == end
    assert run.ask(Wake(), end - 1) == Accepted()
    run.ask(Wake(), end)
    assert (run.state.lines, run.state.version) == ({}, 2)
    assert run.kind.wake_at(run.state) is None
    assert run.ask(Wake(), end) == Accepted()


def test_reading_keeps_a_cart_alive_and_writes_at_most_once_a_day() -> None:
    run = filled("gst_g", a=1)
    run.ask(ReadCart(), NOW + DAY - 1)
    assert len(run.events) == 1
    assert run.told(ReadCart(), NOW + DAY) == CartContents(version=1, lines=lines(a=1))
    assert len(run.events) == 2
    assert run.kind.wake_at(run.state) == NOW + 31 * DAY


sku_ids = st.sampled_from(["a", "b", "c", "d"])
some_lines = st.lists(st.builds(Line, sku_id=sku_ids, quantity=st.integers(-1, 1000)), max_size=4).map(tuple)
commands = st.one_of(
    st.builds(PutLine, sku_id=sku_ids, quantity=st.integers(-1, 1000)),
    st.builds(RemoveLine, sku_id=sku_ids),
    st.builds(Clear, version=st.none() | st.integers(0, 12)),
    st.just(ReadCart()),
    st.just(TakeForMerge()),
    st.builds(MergeGuest, guest_id=st.sampled_from(["gst_1", "gst_2"]), guest_version=st.integers(1, 4), lines=some_lines),
    st.builds(ConsumeLines, order_id=st.sampled_from(["ord_1", "ord_2"]), lines=some_lines),
    st.just(Wake()),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(commands, st.integers(0, 9 * DAY)), max_size=30))
def test_whatever_happens_the_invariant_holds_and_the_reply_is_the_cart_and_replay_gives_it_again(steps: list[Any]) -> None:
    run, at_ms = Rehearsal(CartKind(), "gst_g"), NOW
    for command, pause in steps:
        at_ms += pause
        reply = run.told(command, at_ms)
        assert cart.invariant(run.state) == []
        if isinstance(reply, CartContents):
            assert (reply.version, {line.sku_id: line.quantity for line in reply.lines}) == (run.state.version, run.state.lines)
    run.check_replay()
