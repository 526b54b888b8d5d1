"""The whole core in one process, under one seed: hosts, owners, client, sagas, followers, and everything that goes wrong.

``run(seed)`` lives through some minutes of a small shop in virtual time, heals the world, waits
until it rests, and checks the books. The same seed is the same run, event by event. From the shell::

    python -m actors.testing.simulator --seeds 0:2000 [--control fence]
"""

import argparse
import asyncio
import contextlib
import gc
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator, MutableMapping
from typing import Any, Final

import msgspec
import structlog

from actors.domain.entity import Accepted, Context, Outcome
from actors.domain.kinds import KINDS
from actors.domain.stock import StockCommand, StockKind, StockState
from actors.testing.sim_audit import audit, unrest
from actors.testing.sim_chaos import Chaos
from actors.testing.sim_crowd import Crowd
from actors.testing.sim_projection import Follower, Tables
from actors.testing.sim_world import HOSTS, Controls, World
from schemas.stock import Release, StockDone

REST_MAX_S: Final = 900.0
"""Virtual seconds within which every saga must have ended once nothing fails any more."""

TAIL: Final = 25

CONTROLS: Final = ("fence", "gate", "dedup", "tombstone", "snapshot_fence")


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a run came to. ``broken``: promises that did not hold, none when all is well; ``tail``: the last records and words."""

    seed: int
    broken: tuple[str, ...]
    oversold: bool
    commands: int
    records: int
    takeovers: int
    faults: dict[str, int]
    refusals: dict[str, int]
    counts: dict[str, int]
    virtual_s: float
    steps: int
    tail: tuple[str, ...]


def run(seed: int, controls: Controls | None = None) -> Report:
    """One seeded life of the shop."""
    controls = controls or Controls()
    said: deque[str] = deque(maxlen=TAIL)
    world = World(seed, controls)
    crowd = Crowd(world, seed)
    tables = Tables(world.sharding.shard_count)
    with _quiet_log(world, said), _kinds(controls):
        try:
            world.loop.run(_live(world, crowd, tables, seed))
        except RuntimeError as error:
            world.books.breach(f"the run did not end: {error}")
        if not world.books.broken:
            audit(world, tables, crowd)
    for word in world.loop.errors:
        world.books.breach(word)
    return _report(seed, world, crowd, said)


async def _live(world: World, crowd: Crowd, tables: Tables, seed: int) -> None:
    for number in range(HOSTS):
        world.boot(f"host{number}")
    await asyncio.sleep(3.0)
    await crowd.open_shop()
    chaos = Chaos(world, seed)
    followers = [asyncio.ensure_future(Follower(world.store, tables, world.rng, f"follower{i}").follow()) for i in range(2)]
    background = [asyncio.ensure_future(chaos.reign()), asyncio.ensure_future(crowd.webhooks())]
    world.break_things()
    await asyncio.gather(crowd.clerk(), crowd.manager(seed), *(crowd.buyer(user_id) for user_id in crowd.orders))
    background[0].cancel()
    await chaos.settle()
    world.heal()
    for number in range(HOSTS - len(world.live())):
        world.boot(f"healer{number}")
    for _ in range(2):
        await asyncio.gather(*(crowd.insist(intent, 40) for intent in crowd.intents if not intent.is_definite()))
        await _rest(world, crowd, tables)
    for task in [*followers, background[1]]:
        task.cancel()


async def _rest(world: World, crowd: Crowd, tables: Tables) -> None:
    """Time passes until nothing is going on any more."""
    until_s = world.loop.time() + REST_MAX_S
    await asyncio.sleep(5.0)
    while unrest(world, tables, crowd) and not world.books.broken:
        if world.loop.time() > until_s:
            world.books.breach(f"no rest: {unrest(world, tables, crowd)}")
            return
        await asyncio.sleep(5.0)


@contextlib.contextmanager
def _quiet_log(world: World, said: deque[str]) -> Iterator[None]:
    """Words are kept, not printed; a word of error is a broken promise."""

    def listen(_: Any, level: str, event: MutableMapping[str, Any]) -> Any:
        at_s = world.loop.time()
        said.append(f"{at_s:.3f} {level} {event}")
        expected = event["event"] == "adopt_failed" and "StorageUnknown" in event["reason"]
        if level in ("error", "exception", "critical") and not expected:
            world.books.breach(f"{event['event']}: {sys.exc_info()[1]!r} {event}")
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(processors=[listen], wrapper_class=structlog.make_filtering_bound_logger(30), cache_logger_on_first_use=False)
    try:
        yield
    finally:
        structlog.configure(**before)


class _Forgetful(StockKind):
    """The control of the tombstone: a release of what is not held leaves no trace."""

    def decide(self, state: StockState, command: StockCommand, context: Context) -> Outcome:
        if isinstance(command, Release) and command.reservation_id not in state.holds:
            return Accepted(reply=StockDone(available=state.available))
        return super().decide(state, command, context)


@contextlib.contextmanager
def _kinds(controls: Controls) -> Iterator[None]:
    before = KINDS["stock"]
    if not controls.tombstone:
        KINDS["stock"] = _Forgetful()
    try:
        yield
    finally:
        KINDS["stock"] = before


def _report(seed: int, world: World, crowd: Crowd, said: deque[str]) -> Report:
    processes = [*world.processes.values(), *world.died]
    refusals = Counter(crowd.refusals)
    counts: Counter[str] = Counter()
    for process in processes:
        counters = process.host.counters
        refusals.update(counters.refusals)
        for name in (
            "unknown",
            "fenced",
            "snapshots",
            "activations",
            "passivations",
            "reminders",
            "sends",
            "send_retries",
            "plans_direct",
            "plans_staged",
        ):
            counts[name] += getattr(counters, name)
    faults = world.counts + Counter({f"provider_{name}": count for name, count in world.gateway.counts.items()})
    records = sorted(
        (record.row.at_ms, record.row.shard, record.row.seq, record) for kept in world.books.records.values() for record in kept[-5:]
    )
    tail = (
        [f"{at_ms} {shard}/{seq} {r.row.kind} {r.row.key} {r.body.events}" for at_ms, shard, seq, r in records[-TAIL:]]
        if world.books.broken
        else []
    )
    return Report(
        seed=seed,
        broken=tuple(world.books.broken),
        oversold=world.books.oversold,
        commands=crowd.commands,
        records=sum(len(kept) for kept in world.books.records.values()),
        takeovers=world.takeovers(),
        faults=dict(faults),
        refusals=dict(refusals),
        counts=dict(counts),
        virtual_s=world.loop.time() - 1000.0,
        steps=world.loop.steps,
        tail=(*tail, *said) if world.books.broken else (),
    )


def without(control: str) -> Controls:
    """All protections but one. ValueError when there is no such one."""
    if control not in CONTROLS:
        raise ValueError(f"no such control: {control}")
    return Controls(**{control: False})


def main(arguments: list[str] | None = None) -> int:
    """Run seeds; 1 when a promise was broken. With ``--control``: until it is found, 1 when it is not."""
    parser = argparse.ArgumentParser(description="Run the core under seeds.")
    parser.add_argument("--seeds", default="0:200", help="FIRST:END, or one seed")
    parser.add_argument("--control", choices=CONTROLS, help="turn this protection off and look for the seed that notices")
    parser.add_argument("--all", action="store_true", help="go on after a broken promise")
    options = parser.parse_args(arguments)
    first, _, end = options.seeds.partition(":")
    seeds = range(int(first), int(end) if end else int(first) + 1)
    controls = without(options.control) if options.control else Controls()
    return _run_all(seeds, controls, options.control or "", options.all)


def _run_all(seeds: range, controls: Controls, control: str, go_on: bool) -> int:
    gc.disable()
    gc.freeze()
    began_s, failed, totals = time.perf_counter(), 0, Counter[str]()
    faults, refusals = Counter[str](), Counter[str]()
    for done, seed in enumerate(seeds, 1):
        report = run(seed, controls)
        totals.update({"commands": report.commands, "records": report.records, "takeovers": report.takeovers, **report.counts})
        faults.update(report.faults)
        refusals.update(report.refusals)
        if report.broken:
            failed += 1
            _print_failure(report)
            if not go_on:
                break
        if done % 10 == 0:
            gc.collect()
            rate = done / (time.perf_counter() - began_s) * 60
            print(f"\r{done} of {len(seeds)} seeds, {rate:.0f} a minute, {failed} failed", end="", file=sys.stderr, flush=True)
    print(f"\nfaults {dict(faults)}\nrefusals {dict(refusals)}\ntotals {dict(totals)}")
    if control:
        print(f"control {control}: {'found' if failed else 'NOT found'}")
        return 0 if failed else 1
    return 1 if failed else 0


def _print_failure(report: Report) -> None:
    print(f"\nseed {report.seed}: {len(report.broken)} broken{', oversold' if report.oversold else ''}")
    for promise in report.broken:
        print("  ", promise[:400])
    for line in report.tail:
        print("     ", line[:300])


if __name__ == "__main__":
    sys.exit(main())
