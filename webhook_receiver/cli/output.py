"""The output of the commands: tables and colours for people, plain lines in a pipe, JSON for programs."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table
from rich.text import Text
from typer import Exit

console = Console(highlight=False)
stderr = Console(stderr=True, highlight=False)


def say(text: str, style: str = "") -> None:
    """Print a line without markup or wrapping, so that a command in it can be copied."""
    console.print(Text(text, style), soft_wrap=True)


def program() -> str:
    """Return the words that call this program again, to print commands that can be pasted."""
    called = sys.argv[0]
    if Path(called).name == "__main__.py":
        return shlex.join([sys.executable, "-m", "webhook_receiver"])
    found = shutil.which(Path(called).name)
    return Path(called).name if found and Path(found).samefile(called) else shlex.quote(called)


def say_json(document: object) -> None:
    """Print one JSON document on a line."""
    print(json.dumps(document), flush=True)  # noqa: T201 - rich would wrap it


def table(headings: Sequence[str], rows: Iterable[Sequence[str | Text]], *, one_line: bool = False) -> None:
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
        cells = [Text(cell) if isinstance(cell, str) else cell for cell in row]
        for cell in cells if one_line else ():
            cell.no_wrap, cell.overflow = True, "ellipsis"
        drawn.add_row(*cells)
    console.print(drawn)


def printable(text: str) -> str:
    """Return text with control characters escaped: nothing in it moves a terminal's cursor or ends the line."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def progress_bar() -> Progress:
    """Return a progress bar on stderr, which shows nothing where that is not a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=stderr, transient=True, disable=not stderr.is_terminal)


def fail(why: str) -> Exit:
    """Print an error message; return the exception that ends the command with 1."""
    stderr.print(Text(why, "red"), soft_wrap=True)
    return Exit(1)
