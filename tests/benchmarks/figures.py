"""What a measure found: figures of each candidate, a value for each round, and the targets that they are held to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Literal, NamedTuple


class Spread(NamedTuple):
    """The median of some values, the smallest and the largest one."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(median(values), min(values), max(values))


class Cell(NamedTuple):
    """The figure of a candidate in a unit."""

    candidate: str
    unit: str


@dataclass(frozen=True)
class Target:
    """A bound on a figure, or on its ratio to another one within each round."""

    says: str
    """What is bounded, for the report."""
    of: Cell
    to: Cell | None
    """What it is divided by; None for the figure itself."""
    bound: Literal["at most", "at least"]
    value: float
    stretch: float | None = None

    def met_by(self, found: Spread) -> bool:
        return found.median <= self.value if self.bound == "at most" else found.median >= self.value


@dataclass
class Found:
    """The result of one measure."""

    title: str
    """What was measured."""
    base: str | None = None
    """The candidate that ratios are taken to, if any."""
    rows: dict[str, dict[str, list[float]]] = field(default_factory=dict[str, dict[str, list[float]]])
    """A value for each round, by candidate and unit."""
    targets: list[Target] = field(default_factory=list[Target])
    missing: dict[str, str] = field(default_factory=dict[str, str])
    """Why a candidate has no figures."""

    def add(self, candidate: str, values: Mapping[str, float]) -> None:
        """Add the figures of a round."""
        row = self.rows.setdefault(candidate, {})
        for unit, value in values.items():
            row.setdefault(unit, []).append(value)

    def drop(self, candidate: str, reason: str) -> None:
        """Take a candidate out, whose figures would be incomplete."""
        self.rows.pop(candidate, None)
        self.missing[candidate] = reason

    def spread(self, cell: Cell, to: Cell | None = None) -> Spread | None:
        """Return what was found for a cell, or for its ratio to another one; None if that was not measured."""
        values = self.rows.get(cell.candidate, {}).get(cell.unit)
        if to is None:
            return Spread.of(values) if values else None
        others = self.rows.get(to.candidate, {}).get(to.unit)
        if not values or not others:
            return None
        return Spread.of([value / other for value, other in zip(values, others, strict=True) if other] or [0.0])

    @property
    def units(self) -> list[str]:
        return list(dict.fromkeys(unit for row in self.rows.values() for unit in row))
