"""A measured load, with what everybody else on the machine took meanwhile: a figure from a busy machine says so itself."""

from collections.abc import Callable, Mapping

import msgspec

from loadtests.generator.closed import Peak
from loadtests.processes import Process, machine_busy_s, spent


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """A load and its surroundings. foreign_cores: what neither the system nor the generator used, in cores."""

    found: Peak
    before: dict[int, Process]
    foreign_cores: float


def watched(read: Callable[[], dict[int, Process]], load: Callable[[], Peak]) -> Watched:
    """Carry out ``load``; ``read`` gives the processes of the system under it."""
    before, busy_s = read(), machine_busy_s()
    found = load()
    busy_s = machine_busy_s() - busy_s
    return Watched(found=found, before=before, foreign_cores=foreign_cores(busy_s, spent(before, read()), found))


def foreign_cores(busy_s: float, cpu_s: Mapping[str, float], found: Peak) -> float:
    """The cores that others used while a load ran; never below zero, though clock ticks may say so."""
    return max(0.0, round((busy_s - sum(cpu_s.values()) - found.generator_cpu_s) / found.seconds, 2))
