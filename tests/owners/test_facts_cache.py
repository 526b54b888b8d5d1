"""Facts in memory: a crowd waits for one reading, a change stops nobody, and what cannot be read is not made up."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from actors.owners.facts import RENEWED_MAX, FactCache, NeedsFacts
from actors.owners.limits import Limits
from actors.ports.journal import StorageUnknown
from actors.ports.peers import EVERYTHING
from actors.testing.room import play as play_in_virtual_time
from actors.testing.sim_world import WorldClock

NAMES = ("sale:sal_1", "sku:sku_1")


class Shelf:
    """A source that counts its readings, takes a while for each, and can be away."""

    def __init__(self) -> None:
        self.facts: dict[str, str] = {"sale:sal_1": "open", "sku:sku_1": "10 CNY"}
        self.version = 1
        self.news: list[tuple[int, str]] = []
        self.readings: list[list[str]] = []
        self.away = False

    async def load(self, names: list[str]) -> dict[str, Any]:
        self.readings.append(names)
        found = {name: self.facts[name] for name in names if name in self.facts}
        await self._work()
        return found

    async def changed(self, since: int) -> tuple[int, list[str]]:
        version, names = self.version, [name for version, name in self.news if version > since >= 0]
        await self._work()
        return version, names

    def change(self, name: str, fact: str) -> None:
        self.version += 1
        self.facts[name] = fact
        self.news.append((self.version, name))

    async def _work(self) -> None:
        await asyncio.sleep(0.01)
        if self.away:
            raise StorageUnknown("away")


def play(scene: Callable[[Shelf, FactCache], Coroutine[Any, Any, None]]) -> None:
    async def with_a_shelf() -> None:
        shelf = Shelf()
        await scene(shelf, FactCache(shelf, WorldClock(asyncio.get_running_loop()), Limits()))  # type: ignore[arg-type]

    play_in_virtual_time(with_a_shelf)


def test_a_crowd_that_comes_before_the_facts_waits_for_one_reading() -> None:
    async def scene(shelf: Shelf, cache: FactCache) -> None:
        assert await asyncio.gather(*(cache.fetch(list(NAMES)) for _ in range(500))) == [True] * 500
        assert shelf.readings == [list(NAMES)]
        assert cache.get(NAMES) == shelf.facts

    play(scene)


def test_only_what_nobody_is_reading_is_asked_for() -> None:
    async def scene(shelf: Shelf, cache: FactCache) -> None:
        await cache.refresh()
        first = asyncio.ensure_future(cache.fetch(["sale:sal_1"]))
        await asyncio.sleep(0.005)
        assert await cache.fetch(list(NAMES))
        assert await first
        assert shelf.readings == [["sale:sal_1"], ["sku:sku_1"]]

    play(scene)


def test_whoever_leaves_ends_only_its_own_wait() -> None:
    async def scene(shelf: Shelf, cache: FactCache) -> None:
        await cache.refresh()
        first, second = (asyncio.ensure_future(cache.fetch(list(NAMES))) for _ in range(2))
        await asyncio.sleep(0.005)
        first.cancel()
        assert await second
        assert shelf.readings == [list(NAMES)]

    play(scene)


def test_a_fact_that_changes_is_there_anew_without_anybody_waiting() -> None:
    async def scene(shelf: Shelf, cache: FactCache) -> None:
        await cache.fetch(list(NAMES))
        shelf.change("sku:sku_1", "12 CNY")
        shelf.change("sku:sku_2", "nobody has asked for it")
        refreshing = asyncio.ensure_future(cache.refresh())
        await asyncio.sleep(0.015)
        assert cache.get(NAMES)["sku:sku_1"] == "10 CNY"
        await refreshing
        assert cache.get(NAMES)["sku:sku_1"] == "12 CNY"
        assert shelf.readings == [list(NAMES), ["sku:sku_1"]]

    play(scene)


def test_past_a_number_of_changes_facts_are_dropped_and_read_when_they_are_needed() -> None:
    async def scene(shelf: Shelf, cache: FactCache) -> None:
        many = [f"sku:{number}" for number in range(RENEWED_MAX + 1)]
        await cache.fetch(many)
        for name in many:
            shelf.change(name, "new")
        await cache.refresh()
        with pytest.raises(NeedsFacts):
            cache.get((many[0],))
        assert len(shelf.readings) == 1
        assert await cache.fetch([many[0]])
        assert cache.get((many[0],))[many[0]] == "new"

    play(scene)


def test_when_too_much_changed_to_be_named_nothing_is_kept_as_it_was() -> None:
    async def scene(shelf: Shelf, cache: FactCache) -> None:
        told: list[list[str] | None] = []
        cache.on_news = told.append
        assert await cache.fetch(list(NAMES))
        shelf.facts["sku:sku_1"] = "8 CNY"
        shelf.version += 1
        shelf.news.append((shelf.version, EVERYTHING))
        reading = asyncio.ensure_future(cache.refresh())
        await asyncio.sleep(0.001)
        assert cache.get(NAMES)["sku:sku_1"] == "10 CNY"
        assert await reading
        # What was held was read again before anybody asks.
        assert cache.get(NAMES) == {"sale:sal_1": "open", "sku:sku_1": "8 CNY"}
        assert told == [None, None]

    play(scene)


def test_what_changes_while_it_is_read_is_not_kept_as_it_was() -> None:
    async def scene(shelf: Shelf, cache: FactCache) -> None:
        await cache.refresh()
        shelf.change("sku:sku_1", "11 CNY")
        refreshing = asyncio.ensure_future(cache.refresh())
        await asyncio.sleep(0.005)
        reading = asyncio.ensure_future(cache.fetch(["sku:sku_1"]))
        shelf.change("sku:sku_1", "12 CNY")
        await asyncio.gather(refreshing, reading)
        await cache.refresh()
        await cache.fetch(["sku:sku_1"])
        assert cache.get(("sku:sku_1",))["sku:sku_1"] == "12 CNY"

    play(scene)


def test_facts_that_cannot_be_renewed_are_not_trusted_for_longer_than_a_second() -> None:
    async def scene(shelf: Shelf, cache: FactCache) -> None:
        await cache.fetch(list(NAMES))
        shelf.away = True
        assert await cache.fetch(["sku:sku_2"]) is False
        assert cache.get(NAMES) == shelf.facts
        await asyncio.sleep(Limits().facts_age_max_ms / 1000)
        with pytest.raises(NeedsFacts):
            cache.get(NAMES)
        assert await cache.fetch(list(NAMES)) is False
        shelf.away = False
        assert await cache.fetch(list(NAMES))
        assert cache.get(NAMES) == shelf.facts

    play(scene)
