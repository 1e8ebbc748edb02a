"""Printing by rich, which is slow to import: tables, colours and progress bars. `output` has what commands call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table
from rich.text import Text

console = Console(highlight=False)
stderr = Console(stderr=True, highlight=False)


def table(headings: Sequence[str], rows: Iterable[Sequence[object]], *, one_line: bool = False) -> None:
    """Print a table; in a pipe one line a row, with tabs between the cells and without headings.

    Args:
        headings: the headings of the columns.
        rows: the cells of each row.
        one_line: whether a row is one line on a terminal, too, so that long cells are cut, the last one first.
    """
    if not console.is_terminal:
        for row in rows:
            print("\t".join(str(cell) for cell in row), flush=True)  # noqa: T201 - rich would turn tabs into spaces
        return
    first, *others = headings  # the first cell is an id for other commands: it is never cut
    columns = [Column(each, no_wrap=one_line and each != others[-1]) for each in others]
    drawn = Table(
        Column(first, no_wrap=True, overflow="ignore"), *columns, box=None, pad_edge=False, header_style="bold"
    )
    for row in rows:
        cells = [cell if isinstance(cell, Text) else Text(str(cell)) for cell in row]
        for cell in cells if one_line else ():
            cell.no_wrap, cell.overflow = True, "ellipsis"
        drawn.add_row(*cells)
    console.print(drawn)


def progress_bar() -> Progress:
    """Return a progress bar on stderr, which shows nothing where that is not a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=stderr, transient=True, disable=not stderr.is_terminal)
