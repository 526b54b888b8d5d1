"""``python -m loadtests.stuffing``: browsing, and the logins of honest customers, beside a credential-stuffing attack.

An open load: the attack tries a list of accounts, nearly all of them unknown, from many client addresses at a
constant rate, whatever is answered. Browsing is measured by itself and beside it, in interleaved rounds; meanwhile
one customer a second logs in with the right password from an address of his own, and does as he is told when he is
to come back. Prints medians, writes ``.bench/stuffing.json``; exit 1 when browsing beside the attack has more than
twice the p99 of quiet browsing, or when customers stayed out.
"""

import argparse
import collections
import http.client
import json
import re
import secrets
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

import msgspec

from loadtests.bench.measure import OpenMeasure, median_p99, opened_of
from loadtests.figures import Latency, latency_of_ms, median, ratio
from loadtests.generator.closed import run_crowd
from loadtests.generator.plan import Plan, Sent
from loadtests.instance import LOOPBACK, ShopCopy
from loadtests.processes import machine_busy_s, spent

OUTPUT: Final = Path(".bench")
RATIO_MAX: Final = 2.0
SETTINGS: Final = {
    "STAMPEDE_HOSTS": "1",
    "STAMPEDE_FORWARDED_HOPS": "1",  # so that one generator is ten thousand addresses
    "STAMPEDE_RATE_ADDRESS_PER_S": "200",  # as in production: no address of the attack comes near it
}
PASSWORD: Final = "correct horse battery staple"
KNOWN_SHARE: Final = 10
"""One try of so many is of an account that exists."""

VICTIMS: Final = 20
CUSTOMERS: Final = 20
LEAD_S: Final = 2.0
PATIENCE_S: Final = 10.0
"""How long a customer does as he is told before he gives up."""

ENOUGH: Final = 0.99
"""The share of customers that must get in."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How it is run. seconds: of each measured load.

    onset_s: of attack before anything is measured, in which every address of it shows itself to every replica.
    """

    rounds: int = 3
    onset_s: float = 25.0
    seconds: float = 15.0
    attack_per_s: float = 1000.0
    addresses: int = 10_000
    browse_per_s: float = 100.0
    connections: int = 512


class LogIn(msgspec.Struct, frozen=True, kw_only=True):
    """One customer's login. waited_ms: from the intended send to the last answer. tries: until it."""

    inside: bool
    tries: int
    waited_ms: float


class Attacked(msgspec.Struct, frozen=True, kw_only=True):
    """One attack. answers: by status and code. judged_per_s: passwords that were compared, which is what costs.

    cpu_s: CPU seconds of the copy by group of process; busy_cores: of the whole machine, others included.
    """

    answers: dict[str, int]
    seconds: float
    judged_per_s: float
    latency: Latency
    cpu_s: dict[str, float]
    busy_cores: float
    logins: tuple[LogIn, ...]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The file."""

    options: Options
    browse_ratio: float | None
    browse_p50_ratio: float | None
    logged_in_share: float
    logged_in_at_once_share: float
    logins: Latency | None
    judged_per_s: float
    opened: tuple[OpenMeasure, ...]
    attacks: tuple[Attacked, ...]


def main() -> int:
    """Measure; see the module's text for the exit code."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="stampede-stuffing-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        with ShopCopy(Path(folder) / "shop", SETTINGS) as shop:
            report = _report(options, *_rounds(shop, options))
    OUTPUT.mkdir(exist_ok=True)
    (OUTPUT / "stuffing.json").write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2))
    print("\n".join(words_of(report)))
    good = report.browse_ratio is not None and report.browse_ratio <= RATIO_MAX and report.logged_in_share >= ENOUGH
    return 0 if good else 1


def _options() -> Options:
    parser = argparse.ArgumentParser(prog="python -m loadtests.stuffing", description=__doc__)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--onset-s", type=float, help="of attack before anything is measured")
    parser.add_argument("--seconds", type=float, help="of each measured load")
    parser.add_argument("--attack-per-s", type=float)
    parser.add_argument("--addresses", type=int)
    parser.add_argument("--browse-per-s", type=float)
    given = {name: value for name, value in vars(parser.parse_args()).items() if value is not None}
    return msgspec.structs.replace(Options(), **given)


def _rounds(shop: ShopCopy, options: Options) -> tuple[list[OpenMeasure], list[Attacked]]:
    victims = [_account(shop, f"victim{number}@example.com") for number in range(VICTIMS)]
    customers = [_account(shop, f"customer{number}@example.com") for number in range(CUSTOMERS)]
    opened: list[OpenMeasure] = []
    attacks: list[Attacked] = []
    _attack(shop, options, victims, options.onset_s, number=0)
    for number in range(options.rounds):
        opened.append(_browse(shop, options, "browse quiet"))
        with ThreadPoolExecutor(2) as pool:
            attack = pool.submit(_attack, shop, options, victims, options.seconds + 2 * LEAD_S, number=number + 1)
            time.sleep(LEAD_S)
            logins = pool.submit(_customers, shop, options, customers, number)
            opened.append(_browse(shop, options, "browse attacked"))
            attacks.append(msgspec.structs.replace(attack.result(), logins=tuple(logins.result())))
        quiet, attacked = opened[-2:]
        print(
            f"round {number + 1}: browsing p99 {quiet.latency.p99_ms:.1f} ms quiet, {attacked.latency.p99_ms:.1f} ms attacked",
            file=sys.stderr,
            flush=True,
        )
    return opened, attacks


def _account(shop: ShopCopy, email: str) -> str:
    """Open an account with the password that all customers here have; its address."""
    asked = {"channel": "email", "to": email, "purpose": "register"}
    _, _, sent = _post(shop, "/v1/codes", asked, address="", key=secrets.token_hex(12))
    with urllib.request.urlopen(f"http://{LOOPBACK}:{shop.direct_port}/dev/outbox.json", timeout=10) as kept:
        messages = json.loads(kept.read())["messages"]
    code = next(re.findall(r"\b\d{6}\b", message["body"])[0] for message in messages if message["to"] == email)
    person = {"email": email, "password": PASSWORD, "challenge_id": json.loads(sent)["challenge_id"], "code": code}
    status, _, body = _post(shop, "/v1/users", person, address="", key=secrets.token_hex(12))
    if status != 201:
        raise RuntimeError(f"no account for {email}: {status} {body[:300]!r}")
    return email


def _browse(shop: ShopCopy, options: Options, name: str) -> OpenMeasure:
    product = shop.any_product()
    plan = Plan(
        host=LOOPBACK,
        port=shop.direct_port,
        paths=("/v1/products?limit=20", f"/v1/products/{product}", f"/v1/products/{product}"),
        method="GET",
        run="b",
        rate_per_s=options.browse_per_s,
        seconds=options.seconds,
        connections=32,
        answers_kept=False,
        output="",
    )
    sent = run_crowd(plan)
    failed = sum(not row.attempt.accepted for row in sent)
    return opened_of(name, options.browse_per_s, [row.attempt.latency_ms for row in sent], failed)


def _attack(shop: ShopCopy, options: Options, victims: list[str], seconds: float, *, number: int) -> Attacked:
    tries = int(options.attack_per_s * seconds)
    plan = Plan(
        host=LOOPBACK,
        port=shop.direct_port,
        paths=("/v1/sessions",),
        method="POST",
        bodies=tuple(_try(victims, number * tries + at) for at in range(tries)),
        addresses=tuple(f"10.{at >> 16}.{at >> 8 & 255}.{at & 255}" for at in range(options.addresses)),
        first=number * tries,
        run="a" + secrets.token_hex(6),
        rate_per_s=options.attack_per_s,
        seconds=seconds,
        connections=options.connections,
        answers_kept=False,
        output="",
        niceness=19,
    )
    before, busy_s, began_s = shop.processes(), machine_busy_s(), time.monotonic()
    sent = run_crowd(plan)
    took_s = time.monotonic() - began_s
    busy_cores = (machine_busy_s() - busy_s) / took_s
    return _attacked(sent, seconds, spent(before, shop.processes()), busy_cores)


def _try(victims: list[str], at: int) -> str:
    email = victims[at // KNOWN_SHARE % len(victims)] if at % KNOWN_SHARE == 0 else f"leaked{at}@example.net"
    return json.dumps({"email": email, "password": f"from another shop {at}"}, separators=(",", ":"))


def _attacked(sent: list[Sent], seconds: float, cpu_s: dict[str, float], busy_cores: float) -> Attacked:
    latency = latency_of_ms(row.attempt.latency_ms for row in sent)
    if latency is None:
        raise RuntimeError("the attack sent nothing")
    answers = collections.Counter(f"{row.status} {row.code}".strip() for row in sent)
    return Attacked(
        answers=dict(answers.most_common()),
        seconds=seconds,
        judged_per_s=round(sum(row.code == "wrong_credentials" for row in sent) / seconds, 1),
        latency=latency,
        cpu_s=cpu_s,
        busy_cores=round(busy_cores, 2),
        logins=(),
    )


def _customers(shop: ShopCopy, options: Options, customers: list[str], number: int) -> list[LogIn]:
    """One login a second; each from an address that nobody had before."""
    began_s = time.monotonic()
    logins: list[Future[LogIn]] = []
    with ThreadPoolExecutor(16) as pool:
        for at in range(int(options.seconds)):
            time.sleep(max(0.0, began_s + at - time.monotonic()))
            address = f"172.16.{number}.{at}"
            logins.append(pool.submit(_log_in, shop, customers[at % len(customers)], address, began_s + at))
        return [login.result() for login in logins]


def _log_in(shop: ShopCopy, email: str, address: str, intended_s: float) -> LogIn:
    key, tries = secrets.token_hex(12), 0
    while True:
        status, again_s, _ = _post(shop, "/v1/sessions", {"email": email, "password": PASSWORD}, address=address, key=key)
        tries += 1
        waited_s = time.monotonic() - intended_s
        if status == 201 or waited_s + again_s > PATIENCE_S:
            return LogIn(inside=status == 201, tries=tries, waited_ms=round(waited_s * 1000, 1))
        time.sleep(again_s)


def _post(shop: ShopCopy, path: str, body: dict[str, str], *, address: str, key: str) -> tuple[int, float, bytes]:
    """Status, Retry-After in seconds (one when none is given), body."""
    connection = http.client.HTTPConnection(LOOPBACK, shop.direct_port, timeout=30)
    headers = {"Content-Type": "application/json", "Idempotency-Key": key}
    if address:
        headers["X-Forwarded-For"] = address
    try:
        connection.request("POST", path, json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, float(answer.getheader("Retry-After") or 1), answer.read()
    finally:
        connection.close()


def _report(options: Options, opened: list[OpenMeasure], attacks: list[Attacked]) -> Report:
    logins = [login for attack in attacks for login in attack.logins]
    return Report(
        options=options,
        browse_ratio=ratio(median_p99(opened, "browse attacked"), median_p99(opened, "browse quiet")),
        browse_p50_ratio=ratio(_p50(opened, "browse attacked"), _p50(opened, "browse quiet")),
        logged_in_share=_share(login.inside for login in logins),
        logged_in_at_once_share=_share(login.inside and login.tries == 1 for login in logins),
        logins=latency_of_ms(login.waited_ms for login in logins if login.inside),
        judged_per_s=median(attack.judged_per_s for attack in attacks),
        opened=tuple(opened),
        attacks=tuple(attacks),
    )


def _p50(opened: list[OpenMeasure], name: str) -> float:
    return median(measure.latency.p50_ms for measure in opened if measure.name == name)


def _share(found: Iterable[bool]) -> float:
    rows = list(found)
    return round(sum(rows) / len(rows), 4) if rows else 0.0


def words_of(report: Report) -> list[str]:
    """The report for people."""
    options = report.options
    lines = [
        f"{options.attack_per_s:g} login attempts/s from {options.addresses} addresses, one of {KNOWN_SHARE} on an account that exists.",
        f"Browsing at {options.browse_per_s:g}/s, {options.seconds:g} s, {options.rounds} interleaved rounds. Open loads.",
        "",
        "| load | p50 ms | p99 ms | max ms | failed |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for measure in report.opened:
        waits = measure.latency
        lines.append(f"| {measure.name} | {waits.p50_ms:.1f} | {waits.p99_ms:.1f} | {waits.max_ms:.1f} | {measure.failed} |")
    lines += ["", f"Browsing beside the attack against quiet (medians): p99 {report.browse_ratio}, p50 {report.browse_p50_ratio}."]
    for number, attack in enumerate(report.attacks, start=1):
        lines.append(
            f"Attack {number}: {attack.answers}; {attack.judged_per_s:g} passwords judged a second, p99 {attack.latency.p99_ms:.0f} ms"
        )
        cores = {group: round(cpu_s / attack.seconds, 2) for group, cpu_s in attack.cpu_s.items() if cpu_s / attack.seconds >= 0.01}
        lines.append(f"  cores by process: {cores}; whole machine {attack.busy_cores:g}")
        inside = [login for login in attack.logins if login.inside]
        lines.append(f"  customers inside: {len(inside)} of {len(attack.logins)}, at once {sum(login.tries == 1 for login in inside)}")
    if report.logins is not None:
        lines.append(
            f"Honest logins: {report.logged_in_share:.1%} inside, {report.logged_in_at_once_share:.1%} at the first try; "
            f"p50 {report.logins.p50_ms:.0f} ms, p99 {report.logins.p99_ms:.0f} ms"
        )
    return lines


if __name__ == "__main__":
    sys.exit(main())
