"""What was found: tables on a terminal, lines in a pipe, JSON, and a chart for the guide."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from .environments import ROOT
from .figures import Cell, Found, Spread, Target


def machine() -> dict[str, Any]:
    """Return what the figures depend on: where and when they were measured, and what else ran there at the time."""
    model = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    commit = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True)
    return {
        "measured": datetime.now(UTC).isoformat(timespec="minutes"),
        "commit": commit.stdout.strip() or "unknown",
        "processor": model[0].partition(": ")[2] if model else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "python": sys.version.split()[0],
        "system": f"{platform.system()} {platform.release()}",
        "load average": f"{os.getloadavg()[0]:.1f}",
    }


def show(console: Console, found: Found, *, judges: bool) -> None:
    """Print what a measure found: a table on a terminal, else a line for each figure; targets if it `judges`."""
    if console.is_terminal:
        console.print(_table(found))
    else:
        console.print(found.title)
        for candidate, unit in _cells(found):
            cell = Cell(candidate, unit)
            console.print(f"  {candidate}: {unit} {_said(found.spread(cell))}{_of_base(found, cell, ', ')}")
    for candidate, reason in found.missing.items():
        console.print(f"  {candidate} was not measured: {reason}")
    for target in found.targets if judges else []:
        console.print(f"  {judged(found, target)}")
    console.print()


def judged(found: Found, target: Target) -> str:
    """Return a target in a line, and whether it was met."""
    spread = found.spread(target.of, target.to)
    says = f"{target.says}: {target.bound} {target.value:g}"
    if spread is None:
        return f"{says}: not measured"
    return f"{says}: {_said(spread)}, {'met' if target.met_by(spread) else 'missed'}"


def _table(found: Found) -> Table:
    beneath = None if found.base is None else f"ratios are to {found.base}"
    table = Table(title=found.title, title_justify="left", caption=beneath, caption_justify="left")
    table.add_column("")
    units = found.units
    for unit in units:
        table.add_column(unit, justify="right")
        if found.base is not None:
            table.add_column("ratio", justify="right")
    for candidate in found.rows:
        cells = [Cell(candidate, unit) for unit in units]
        columns = [[_said(found.spread(cell)), _of_base(found, cell, "")] for cell in cells]
        table.add_row(candidate, *(text for pair in columns for text in pair[: 2 if found.base is not None else 1]))
    return table


def _cells(found: Found) -> list[Cell]:
    return [Cell(candidate, unit) for candidate, row in found.rows.items() for unit in row]


def _of_base(found: Found, cell: Cell, before: str) -> str:
    if found.base is None or cell.candidate == found.base:
        return ""
    ratio = found.spread(cell, Cell(found.base, cell.unit))
    return "" if ratio is None else f"{before}{_said(ratio)} of {found.base}" if before else _said(ratio)


def _said(spread: Spread | None) -> str:
    if spread is None:
        return ""
    low, high = _number(spread.low), _number(spread.high)
    return _number(spread.median) if low == high else f"{_number(spread.median)} ({low} to {high})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def as_json(about: Mapping[str, Any], everything: Mapping[str, Found]) -> str:
    """Return everything that was found, with each round's values."""
    measures = {
        name: {
            "title": found.title,
            "base": found.base,
            "rounds": found.rows,
            "medians": {
                candidate: {unit: Spread.of(values)._asdict() for unit, values in row.items()}
                for candidate, row in found.rows.items()
            },
            "missing": found.missing,
            "targets": [
                asdict(target)
                | {"found": None if (spread := found.spread(target.of, target.to)) is None else spread._asdict()}
                | {"met": None if spread is None else target.met_by(spread)}
                for target in found.targets
            ],
        }
        for name, found in everything.items()
    }
    return json.dumps({"about": about, "measures": measures}, indent=1, ensure_ascii=False) + "\n"


WIDTH, NAMES, BARS = 760, 240, 380
ROW, HEAD, FOOT = 26, 58, 30
STYLE = """<style>text{fill:#333}.bar{fill:#90a4ae}.own{fill:#1565c0}.line{stroke:#333;stroke-width:1.5}
@media(prefers-color-scheme:dark){text{fill:#ddd}.own{fill:#64b5f6}.line{stroke:#ddd}}</style>"""


def as_svg(about: Mapping[str, Any], everything: Sequence[Found], unit: str, ours: Sequence[str]) -> str:
    """Return a chart of figures in a unit, of which less is better, a part for each measure.

    Bars are medians, lines go from the smallest to the largest value.

    Args:
        about: what the figures depend on.
        everything: what the measures found.
        unit: the unit.
        ours: the beginnings of the names of this package's own candidates.
    """
    parts: list[str] = []
    described: list[str] = []
    top = 0
    for found in everything:
        rows = [(name, Spread.of(row[unit])) for name, row in found.rows.items() if unit in row]
        rows.sort(key=lambda row: row[1].median)
        described.append(f"{found.title}: " + ", ".join(f"{name} {_said(spread)}" for name, spread in rows))
        parts += _heading(found.title, unit, top)
        scale = BARS / max(spread.high for _, spread in rows)
        for number, (name, spread) in enumerate(rows):
            kind = "own" if name.startswith(tuple(ours)) else "bar"
            parts += _bar(name, spread, kind, scale, top + HEAD + ROW * number)
        top += HEAD + ROW * len(rows) + FOOT
    where = ", ".join(f"{about[what]}{behind}" for what, behind in BENEATH.items())
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" role="img" aria-labelledby="t d"',
            ' font-family="system-ui, sans-serif" font-size="13">',
            f'<title id="t">{escape(unit)} for each request</title>',
            f'<desc id="d">{escape("; ".join(described))}</desc>',
            STYLE,
            *parts,
            f'<text x="0" y="{top - 6}" font-size="11">{escape(where)}</text>',
            "</svg>\n",
        ]
    )


BENEATH = {"processor": "", "cores": " cores", "load average": " processes busy before it", "measured": ""}


def _heading(title: str, unit: str, top: int) -> list[str]:
    said = f"{unit} for each request, less is better; the line goes from the least to the most of a round"
    return [
        f'<text x="0" y="{top + 18}" font-size="15" font-weight="600">{escape(title)}</text>',
        f'<text x="0" y="{top + 38}">{escape(said)}</text>',
    ]


def _bar(name: str, spread: Spread, kind: str, scale: float, top: int) -> list[str]:
    middle, low, high = top + ROW / 2 - 3, NAMES + spread.low * scale, NAMES + spread.high * scale
    return [
        f'<text x="{NAMES - 8}" y="{middle + 4:.1f}" text-anchor="end">{escape(name)}</text>',
        f'<rect class="{kind}" x="{NAMES}" y="{top}" width="{spread.median * scale:.1f}" height="{ROW - 8}" rx="2"/>',
        f'<path class="line" d="M{low:.1f} {middle:.1f}H{high:.1f}"/>',
        f'<text x="{high + 8:.1f}" y="{middle + 4:.1f}">{_number(spread.median)}</text>',
    ]


def missed(everything: Mapping[str, Found]) -> Sequence[str]:
    """Return the targets that were measured and missed, in a line each."""
    return [
        f"{name}: {judged(found, target)}"
        for name, found in everything.items()
        for target in found.targets
        if (spread := found.spread(target.of, target.to)) is not None and not target.met_by(spread)
    ]
