"""Plots as SVG: shapes laid out in per cent of the width, so that a plot fits a phone as well as a wide screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .figures import Counts, Span
from .wording import at

HEIGHT = 120
"""The height of the bars, in pixels."""
_GAP = 0.18  # of a bar's width


class Kind(NamedTuple):
    """A kind of what is stacked: its class, what it is called, and what is counted for it."""

    name: str
    title: str
    what: str


KINDS = (
    Kind("stored", "new, stored", "stored"),
    Kind("duplicate", "duplicates", "duplicate"),
    Kind("rejected", "rejected", "answered 4"),
    Kind("failed", "failed", "answered 5"),
)


class Bar(NamedTuple):
    """A part of a bar."""

    kind: str
    x: float
    """Its left edge and its width, in per cent."""
    width: float
    y: float
    """Its upper edge and its height, in pixels."""
    height: float


class Step(NamedTuple):
    """A step of the plot, as a row of the table beside it."""

    begin: str
    numbers: Sequence[int]
    x: float
    width: float
    told: str
    """The step in words."""


class Plot(NamedTuple):
    """A plot of stacked bars, with its numbers."""

    bars: Sequence[Bar]
    steps: Sequence[Step]
    most: int
    """What the upper end of the axis says."""
    totals: Sequence[tuple[Kind, int]]
    ticks: Sequence[tuple[float, str, str]]
    """Places on the axis of time in per cent, what stands there, and how it is anchored."""


def plot(counts: Counts, begins: Sequence[float], span: Span) -> Plot:
    """Return the plot of what a receiver was sent.

    Args:
        counts: the counts.
        begins: when each step began, in Unix seconds.
        span: the span of time.
    """
    by_kind = [(kind, counts.by_step(kind.what)) for kind in KINDS]
    columns = [[numbers[index] for _, numbers in by_kind] for index in range(len(begins))]
    most = _round_up(max(map(sum, columns), default=0))
    width = 100 / len(begins)
    bars: list[Bar] = []
    steps: list[Step] = []
    for index, (begin, numbers) in enumerate(zip(begins, columns, strict=True)):
        left, top = index * width + width * _GAP / 2, float(HEIGHT)
        for (kind, _), number in zip(by_kind, numbers, strict=True):
            height = HEIGHT * number / most
            if number:
                height = max(height, 1.5)
                top -= height
                bars.append(
                    Bar(kind.name, round(left, 3), round(width * (1 - _GAP), 3), round(top, 2), round(height, 2))
                )
        said = ", ".join(
            f"{number:,} {kind.title}" for (kind, _), number in zip(by_kind, numbers, strict=True) if number
        )
        steps.append(
            Step(
                _label(begin, span, whole=True),
                numbers,
                round(index * width, 3),
                round(width, 3),
                f"{_label(begin, span, whole=True)}: {said or 'nothing'}",
            )
        )
    middle = len(begins) // 2
    ticks = [(0.0, _label(begins[0], span), "start")]
    if len(begins) > 2:
        ticks.append((round(middle * width, 3), _label(begins[middle], span), "middle"))
    ticks.append((100.0, "now", "end"))
    return Plot(bars, steps, most, [(kind, sum(numbers)) for kind, numbers in by_kind], ticks)


def _label(unix: float, span: Span, *, whole: bool = False) -> str:
    date, _, time = at(unix, seconds=False).partition(" ")
    if span.name == "week":
        return f"{date[5:]} {time}" if whole else date[5:]
    return time


def _round_up(number: int) -> int:
    """Return the next number that reads well on an axis."""
    size = 1
    while True:
        for digit in (1, 2, 4, 5, 10):
            if number <= digit * size and (digit * size) % 2 == 0:
                return digit * size
        size *= 10
