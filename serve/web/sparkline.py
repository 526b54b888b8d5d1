"""Small charts, drawn on the server as SVG: units a day, as bars."""

from collections.abc import Sequence
from typing import NamedTuple

WIDTH = 280
HEIGHT = 48


class Bar(NamedTuple):
    """One day, in the chart's own units."""

    x: float
    y: float
    width: float
    height: float


class Sparkline(NamedTuple):
    """A chart: its bars, and what a reader who does not see it is told (first, last, most, sum)."""

    bars: tuple[Bar, ...]
    first: int
    last: int
    most: int
    total: int


def sparkline(series: Sequence[int]) -> Sparkline:
    """The chart of a series, the newest last. Days below nothing (more came back than was sold) are shown as nothing."""
    shown = [max(0, value) for value in series] or [0]
    most = max(shown)
    step = WIDTH / len(shown)
    bars = tuple(
        Bar(round(at * step, 2), round(HEIGHT - value * HEIGHT / most, 2), round(step * 0.8, 2), round(value * HEIGHT / most, 2))
        for at, value in enumerate(shown)
        if value
    )  # fmt: skip
    return Sparkline(bars, shown[0], shown[-1], most, sum(shown))
