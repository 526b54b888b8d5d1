"""``python -m loadtests.kills``: kill hosts, or restart PostgreSQL, under an open load of orders, and look for what was lost.

Each fault is one episode: a constant rate of orders, the fault in the middle of it, then every request that
got no 2xx is sent again under its own Idempotency-Key, with a part of those that did. Afterwards every 2xx
is compared with the tables, and ``stampede audit`` reads the books. Exit 1 when an acknowledged order is
missing, doubled or different, when buying did not work again in time, or when the books do not balance.
"""

import argparse
import asyncio
import collections
import os
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import msgspec

from loadtests.figures import median, recovered_after_s
from loadtests.generator.closed import run_crowd
from loadtests.generator.plan import Plan, Requests, Sent, read_tokens
from loadtests.instance import LOOPBACK, Sale, ShopCopy
from loadtests.reconcile import Acknowledged, Differences, reconcile, told_by

OUTPUT: Final = Path(".bench")
LEAD_S: Final = 3.0
AGAIN_S: Final = 30.0
AGAIN_PAUSE_S: Final = 0.5
AGAIN_ACCEPTED_MAX: Final = 200
WHOLE_S: Final = 60.0
STOCK: Final = 1_000_000
RECOVERY_S_MAX: Final = 5.0


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """The load of an episode."""

    rate_per_s: float
    seconds: float
    connections: int


class Episode(msgspec.Struct, frozen=True, kw_only=True):
    """One fault. recovered_s: until buying worked again; None when it did not while the load ran.

    longest_wait_s: of a buyer whose order was accepted, from the intended send.
    failed: requests without a 2xx, by code or status; unanswered: those that had none even when sent again.
    """

    fault: str
    recovered_s: float | None
    longest_wait_s: float
    sent: int
    accepted: int
    failed: dict[str, int]
    again: int
    unanswered: int
    differences: Differences


def main() -> int:
    """Run the episodes that the arguments ask for."""
    found = _arguments()
    load = Load(rate_per_s=found.rate, seconds=found.seconds, connections=found.connections)
    with tempfile.TemporaryDirectory(prefix="stampede-kills-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        with ShopCopy(Path(folder) / "shop", {"STAMPEDE_HOSTS": str(found.hosts)}) as shop:
            shop.seed(found.users)
            sale = shop.open_sale(stock=STOCK, limit=1000)
            fault = _restart_postgres if found.postgres else _kill_a_host
            episodes = []
            for number in range(found.times):
                episodes.append(_episode(shop, sale, load, fault, number))
                print(_words(number + 1, episodes[-1]), flush=True)
            shop.wait_caught_up()
            books = shop.audit()
    return _finish(episodes, books, "postgres" if found.postgres else "hosts")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.kills", description=__doc__)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--postgres", action="store_true", help="restart PostgreSQL at once (mode immediate) instead of killing a host")
    parser.add_argument("--hosts", type=int, default=2)
    parser.add_argument("--rate", type=float, default=200.0, help="orders a second")
    parser.add_argument("--seconds", type=float, default=12.0, help="of load around each fault")
    parser.add_argument("--connections", type=int, default=1024)
    parser.add_argument("--users", type=int, default=10_000, help="twenty open orders are the most that one may have")
    return parser.parse_args()


def _episode(shop: ShopCopy, sale: Sale, load: Load, fault: Callable[[ShopCopy, int], tuple[str, float]], number: int) -> Episode:
    hosts = _whole(shop, 0)
    plan = _plan(shop, sale, load, first=number * 97)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run_crowd, plan)
        time.sleep(LEAD_S)
        name, at_s = fault(shop, number)
        sent = running.result()
    failed = [row for row in sent if not row.attempt.accepted]
    again = _send_again(plan, sent, failed)
    _whole(shop, hosts)
    recovered = recovered_after_s((row.attempt for row in sent), at_s)
    return Episode(
        fault=name,
        recovered_s=None if recovered is None else round(recovered, 2),
        longest_wait_s=round(max((row.done_s - row.intended_s for row in sent if row.attempt.accepted), default=0.0), 2),
        sent=len(sent),
        accepted=len(sent) - len(failed),
        failed=dict(collections.Counter(row.code or str(row.status) for row in failed)),
        again=len(again),
        unanswered=len({row.number for row in failed} - {row.number for row in again if row.attempt.accepted}),
        differences=asyncio.run(_differences(shop, plan, [*sent, *again], sale)),
    )


def _plan(shop: ShopCopy, sale: Sale, load: Load, first: int) -> Plan:
    return Plan(
        host=LOOPBACK,
        port=shop.direct_port,
        paths=(sale.path,),
        method="POST",
        body=sale.body,
        tokens=str(shop.tokens),
        first=first,
        run="k" + secrets.token_hex(6),
        rate_per_s=load.rate_per_s,
        seconds=load.seconds,
        connections=load.connections,
        output="",
    )


def _send_again(plan: Plan, sent: list[Sent], failed: list[Sent]) -> list[Sent]:
    accepted = [row.number for row in sent if row.attempt.accepted][-AGAIN_ACCEPTED_MAX:]
    left, again = [row.number for row in failed], []
    deadline = time.monotonic() + AGAIN_S
    numbers = tuple(left + accepted)
    while numbers and time.monotonic() < deadline:
        pass_plan = msgspec.structs.replace(plan, only=numbers, rate_per_s=0.0, seconds=AGAIN_S, connections=32)
        rows = run_crowd(pass_plan)
        again += rows
        numbers = tuple(row.number for row in rows if not row.attempt.accepted)
        time.sleep(AGAIN_PAUSE_S if numbers else 0)
    return again


async def _differences(shop: ShopCopy, plan: Plan, sent: list[Sent], sale: Sale) -> Differences:
    told: list[Acknowledged] = told_by(sent, Requests(plan, read_tokens(plan.tokens)), sale.sale_id)
    shop.wait_caught_up()
    return await reconcile(shop.database_url, told)


def _kill_a_host(shop: ShopCopy, number: int) -> tuple[str, float]:
    """What was done, and when it began."""
    hosts = sorted(shop.hosts(), key=lambda host: host.host)
    victim = hosts[number % len(hosts)]
    at_s = time.monotonic()
    os.kill(victim.pid, signal.SIGKILL)
    return f"kill -9 {victim.host}", at_s


def _restart_postgres(shop: ShopCopy, number: int) -> tuple[str, float]:
    at_s = time.monotonic()
    shop.postgres.stop("immediate")
    shop.postgres.start()
    return "PostgreSQL, immediate restart", at_s


def _whole(shop: ShopCopy, hosts: int) -> int:
    deadline = time.monotonic() + WHOLE_S
    while len(found := shop.hosts()) < hosts:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(found)} of {hosts} hosts are back after {WHOLE_S:.0f} s")
        time.sleep(0.2)
    return len(found)


def _words(number: int, episode: Episode) -> str:
    back = "did not recover" if episode.recovered_s is None else f"buying again after {episode.recovered_s:.2f} s"
    return (
        f"{number}. {episode.fault}: {back}, longest wait {episode.longest_wait_s:.2f} s; "
        f"{episode.accepted} of {episode.sent} accepted at once, failed {episode.failed}, "
        f"{episode.unanswered} never; {episode.differences}"
    )


def _finish(episodes: list[Episode], books: str, name: str) -> int:
    OUTPUT.mkdir(exist_ok=True)
    (OUTPUT / f"kills-{name}.json").write_bytes(msgspec.json.format(msgspec.json.encode({"episodes": episodes, "books": books}), indent=2))
    times = [episode.recovered_s for episode in episodes if episode.recovered_s is not None]
    late = len(episodes) - sum(seconds <= RECOVERY_S_MAX for seconds in times)
    lost = sum(len(episode.differences.missing) for episode in episodes)
    if times:
        spread = f"{median(times):.2f} s (median), {max(times):.2f} s (longest)"
        waits = [episode.longest_wait_s for episode in episodes]
        print(f"Buying worked again after {spread}; {late} later than {RECOVERY_S_MAX:g} s.")
        print(f"The longest wait of an accepted order: {median(waits):.2f} s (median), {max(waits):.2f} s (longest).")
    print(f"{sum(episode.differences.acknowledged for episode in episodes)} answers of acknowledged orders, {lost} lost. Books: {books}.")
    wrong = any(not episode.differences.none or episode.unanswered for episode in episodes)
    return 1 if late or wrong or books != "balanced" else 0


if __name__ == "__main__":
    sys.exit(main())
