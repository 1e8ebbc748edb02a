"""Printing by rich, which is slow to import: tables, colours and progress bars. `output` has what commands call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table
from rich.text import Text

console = Console(highlight=False)
stderr = Console(stderr=True, highlight=False)


LAST = 24
"""Characters that the last column of a table has before the columns beside it are cut for it."""


def table(
    headings: Sequence[str], rows: Iterable[Sequence[object]], *, shortest: Mapping[str, int] | None = None
) -> None:
    """Print a table; in a pipe one line a row, with tabs between the cells and without headings.

    Args:
        headings: the headings of the columns.
        rows: the cells of each row.
        shortest: the widths that columns may be cut to, the first one first, to leave `LAST` characters to the last
            column, whose cells are cut too: so a row is one line on a terminal. None to wrap cells instead.
    """
    if not console.is_terminal:
        for row in rows:
            print("\t".join(str(cell) for cell in row), flush=True)  # noqa: T201 - rich would turn tabs into spaces
        return
    first, *others = headings  # the first cell is an id for other commands: it is never cut
    columns = [Column(each, no_wrap=shortest is not None and each != others[-1]) for each in others]
    drawn = Table(
        Column(first, no_wrap=True, overflow="ignore"), *columns, box=None, pad_edge=False, header_style="bold"
    )
    texts = [[cell if isinstance(cell, Text) else Text(str(cell)) for cell in row] for row in rows]
    if shortest is not None:
        _fit(headings, texts, shortest)
    for cells in texts:
        drawn.add_row(*cells)
    console.print(drawn)
    if not texts:
        console.print("(none)")


def _fit(headings: Sequence[str], rows: Sequence[Sequence[Text]], shortest: Mapping[str, int]) -> None:
    """Cut cells, so that rows fit a line of the terminal: the last ones beyond `LAST` characters, then others."""
    columns = [[Text(heading), *cells] for heading, *cells in zip(headings, *rows, strict=True)]
    widths = [max(cell.cell_len for cell in column) for column in columns]
    excess = sum(widths[:-1]) + min(widths[-1], LAST) + len(widths) - 1 - console.width
    for name, width in shortest.items():
        if name in headings and excess > 0:
            place = headings.index(name)
            fitted = max(widths[place] - excess, min(width, widths[place]), len(name))
            excess -= widths[place] - fitted
            for row in rows:
                row[place].truncate(fitted, overflow="ellipsis")
    for row in rows:
        row[-1].no_wrap, row[-1].overflow = True, "ellipsis"


def progress_bar() -> Progress:
    """Return a progress bar on stderr, which shows nothing where that is not a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=stderr, transient=True, disable=not stderr.is_terminal)
