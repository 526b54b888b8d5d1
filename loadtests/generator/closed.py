"""The peak: as many requests as the connections carry, by wrk where it is installed, else by several raw clients.

A closed load. The result names the generator, since their own CPU shares the machine with the server.
"""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import msgspec

from loadtests.figures import Latency, latency_of
from loadtests.generator.plan import Plan, Sent

LUA: Final = Path(__file__).with_name("flash.lua")
WRK_THREADS: Final = 1
"""One LuaJIT thread writes tens of thousands of requests a second; more only take CPU from the server."""

CLIENTS: Final = 2
GRACE_S: Final = 60.0


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where a load goes: one path of one listener, with one body, by the users of a token file."""

    host: str
    port: int
    path: str
    body: str
    tokens: str


class Peak(msgspec.Struct, frozen=True, kw_only=True):
    """What a closed load reached. accepted and refused count answers; broken counts connections."""

    generator: str
    seconds: float
    accepted: int
    refused: int
    broken: int
    latency: Latency
    order_ids: tuple[str, ...] = ()
    generator_cpu_s: float = 0.0

    @property
    def per_s(self) -> float:
        """Answers a second, accepted and refused."""
        return (self.accepted + self.refused) / self.seconds

    @property
    def accepted_per_s(self) -> float:
        """Accepted requests a second."""
        return self.accepted / self.seconds


class _Result(msgspec.Struct, frozen=True, kw_only=True):
    """The line that ``flash.lua`` prints."""

    answers: int
    refused: int
    broken: int
    seconds: float
    sends: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float
    statuses: dict[str, int]


def peak(target: Target, *, run: str, seconds: float, connections: int, first: int = 0, record: bool = False) -> Peak:
    """Load the target for ``seconds``. RuntimeError carries the generator's own words when it fails."""
    how = _by_wrk if shutil.which("wrk") else _by_clients
    before_s = _children_cpu_s()
    with tempfile.TemporaryDirectory(prefix="stampede-load-") as folder:
        found = how(target, run, seconds, connections, first, Path(folder), record)
    return msgspec.structs.replace(found, generator_cpu_s=round(_children_cpu_s() - before_s, 3))


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _by_wrk(target: Target, run: str, seconds: float, connections: int, first: int, folder: Path, record: bool) -> Peak:
    acknowledged = str(folder / "acknowledged") if record else "-"
    command = ["wrk", f"-t{WRK_THREADS}", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "15s", "-s", str(LUA)]
    command += [f"http://{target.host}:{target.port}", "--"]
    command += [target.tokens, target.path, target.body, run, str(WRK_THREADS), str(first), acknowledged]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + GRACE_S, check=False)
    line = next((text for text in done.stdout.splitlines() if text.startswith("RESULT ")), None)
    if line is None:
        raise RuntimeError(f"wrk gave no result: {done.stdout[-400:]} {done.stderr[-400:]}")
    result = msgspec.json.decode(line.removeprefix("RESULT "), type=_Result)
    ids = tuple(order for file in sorted(folder.iterdir()) for order in file.read_text().splitlines()) if record else ()
    return Peak(
        generator="wrk",
        seconds=result.seconds,
        accepted=result.answers - result.refused,
        refused=result.refused,
        broken=result.broken,
        latency=Latency(count=result.answers, p50_ms=result.p50_ms, p90_ms=result.p90_ms, p99_ms=result.p99_ms, max_ms=result.max_ms),
        order_ids=ids,
    )


def _by_clients(target: Target, run: str, seconds: float, connections: int, first: int, folder: Path, record: bool) -> Peak:
    running = []
    for number in range(CLIENTS):
        plan = Plan(
            host=target.host,
            port=target.port,
            paths=(target.path,),
            method="POST",
            body=target.body,
            tokens=target.tokens,
            first=first + number,
            step=CLIENTS,
            run=f"{run}-{number}",
            seconds=seconds,
            connections=max(1, connections // CLIENTS),
            answers_kept=record,
            output=str(folder / f"sent-{number}"),
        )
        running.append((start_crowd(plan, folder), plan))
    sent = [row for process, plan in running for row in finish_crowd(process, plan)]
    times = [row.done_s for row in sent] or [0.0]
    latency = latency_of(row.attempt for row in sent)
    if latency is None:
        raise RuntimeError("no request was answered")
    return Peak(
        generator=f"{CLIENTS} raw asyncio clients",
        seconds=max(times) - min(row.intended_s for row in sent),
        accepted=sum(row.attempt.accepted for row in sent),
        refused=sum(row.status > 0 and not row.attempt.accepted for row in sent),
        broken=sum(row.status == 0 for row in sent),
        latency=latency,
        order_ids=tuple(row.order_id for row in sent if row.order_id) if record else (),
    )


def start_crowd(plan: Plan, folder: Path) -> "subprocess.Popen[bytes]":
    """Start one plan in its own process; its plan file lies in ``folder``."""
    file = folder / f"plan-{Path(plan.output).name}.json"
    file.write_bytes(msgspec.json.encode(plan))
    command = [sys.executable, "-m", "loadtests.generator.crowd", str(file)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, env=os.environ | {"PYTHONUNBUFFERED": "1"})


def finish_crowd(process: "subprocess.Popen[bytes]", plan: Plan) -> list[Sent]:
    """Wait for a started plan and read what became of its requests. RuntimeError carries its last words when it failed."""
    _, errors = process.communicate(timeout=plan.seconds + plan.timeout_s + GRACE_S)
    if process.returncode:
        raise RuntimeError(f"load generator: {errors.decode(errors='replace')[-600:]}")
    return read_sent(Path(plan.output))


def read_sent(file: Path) -> list[Sent]:
    """The rows that a crowd wrote."""
    return [msgspec.json.decode(line, type=Sent) for line in file.read_bytes().splitlines() if line]


def run_crowd(plan: Plan) -> list[Sent]:
    """Carry out one plan in its own process and wait for it. Its ``output`` may be empty: then nothing is left behind."""
    with tempfile.TemporaryDirectory(prefix="stampede-load-") as folder:
        kept = msgspec.structs.replace(plan, output=plan.output or str(Path(folder) / "sent"))
        return finish_crowd(start_crowd(kept, Path(folder)), kept)
