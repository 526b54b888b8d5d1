"""Ids: forms, order numbers, derived ids, and the keyed hash to shards."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.domain.sharding import Sharding
from schemas.ids import base32, derived_id, is_id, order_id, order_shard, random_id, shard_of, unbase32


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("sku_1", True),
        ("sku_A-b.c_9", True),
        ("sku_", False),
        ("sku_a b", False),
        ("sku_a\n", False),
        ("sku_\x00", False),
        ("sku_" + "a" * 58, True),
        ("sku_" + "a" * 59, False),
        ("usr_1", False),
        ("skus_1", False),
        ("", False),
    ],
)
def test_an_id_is_known_by_its_prefix_and_form(text: str, wanted: bool) -> None:
    assert is_id(text, "sku") is wanted


@given(st.integers(0, 2**48 - 1), st.integers(0, 1023), st.integers(0, 2**60))
def test_an_order_number_says_its_shard(at_ms: int, shard: int, bits: int) -> None:
    number = order_id(at_ms, shard, bits)
    assert is_id(number, "ord")
    assert order_shard(number) == shard


@given(st.lists(st.integers(0, 2**48 - 1), min_size=2, max_size=2, unique=True), st.integers(0, 2**40), st.integers(0, 2**40))
def test_order_numbers_sort_by_time(times: list[int], one: int, other: int) -> None:
    early, late = sorted(times)
    assert order_id(early, 1023, one) < order_id(late, 0, other)


@pytest.mark.parametrize("text", ["", "ord_short", "ord_0123456789uu01234567", "usr_01m3260ssf063xbezgbn", "ord_01m3260ssf063xbezgbn0"])
def test_what_is_no_order_number_names_no_shard(text: str) -> None:
    with pytest.raises(ValueError):
        order_shard(text)


@given(st.integers(0, 2**50 - 1))
def test_base32_is_undone_and_keeps_the_order(number: int) -> None:
    assert unbase32(base32(number, 10)) == number
    assert base32(number, 10) < base32(number + 1, 11)[1:] or number + 1 == 2**50


def test_random_ids_differ_and_have_their_form() -> None:
    ids = {random_id("usr") for _ in range(1000)}
    assert len(ids) == 1000
    assert all(is_id(each, "usr") for each in ids)


@given(st.lists(st.text(max_size=4), max_size=4), st.lists(st.text(max_size=4), max_size=4))
def test_a_derived_id_is_of_its_parts_and_not_of_their_concatenation(one: list[str], other: list[str]) -> None:
    assert len(derived_id(*one)) == 16
    assert (derived_id(*one) == derived_id(*other)) == (one == other)


def test_f73_the_shard_of_an_id_depends_on_the_secret() -> None:
    routes = [f"stock:sku_{i}#0" for i in range(2000)]
    one = [shard_of(route, b"one secret", 256) for route in routes]
    other = [shard_of(route, b"another secret", 256) for route in routes]
    same = sum(a == b for a, b in zip(one, other, strict=True))
    assert same < 40
    assert max(one.count(shard) for shard in range(256)) < 30


def test_one_user_is_one_shard() -> None:
    sharding = Sharding(b"secret", 256)
    for number in range(50):
        assert (
            sharding.shard("order", f"usr_{number}")
            == sharding.shard("sessions", f"usr_{number}")
            == sharding.shard("cart", f"usr_{number}")
        )
    with pytest.raises(KeyError):
        sharding.shard("unheard_of", "x")
