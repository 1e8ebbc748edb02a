"""The output of the commands: tables and colours for people, plain lines in a pipe, JSON for programs."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from typer import Exit

# By these, rich takes what is no terminal for one (rich.readthedocs.io/en/latest/console.html#environment-variables).
_TERMINAL = ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE")


def _is_plain(stream: TextIO) -> bool:
    """Whether what is printed has no colours for sure. Then rich is not imported: it takes 5 MiB of a server."""
    return not stream.isatty() and not any(map(os.environ.get, _TERMINAL))


def say(text: str, style: str = "") -> None:
    """Print a line without markup or wrapping, so that a command in it can be copied."""
    if _is_plain(sys.stdout):
        print(text, flush=True)  # noqa: T201
        return
    from rich.text import Text

    from .rich_output import console

    console.print(Text(text, style), soft_wrap=True)


def warn(text: str, style: str = "") -> None:
    """Print a line on stderr, as `say` does."""
    if _is_plain(sys.stderr):
        print(text, file=sys.stderr, flush=True)  # noqa: T201
        return
    from rich.text import Text

    from .rich_output import stderr

    stderr.print(Text(text, style), soft_wrap=True)


def is_terminal() -> bool:
    """Whether what is printed is seen by a person."""
    from .rich_output import console

    return console.is_terminal


def fits(cells: Sequence[str]) -> bool:
    """Whether a row of a table is one line on the terminal."""
    from .rich_output import console

    return sum(map(len, cells)) + len(cells) - 1 <= console.width


def table(
    headings: Sequence[str], rows: Iterable[Sequence[object]], *, shortest: Mapping[str, int] | None = None
) -> None:
    """Print a table; see `rich_output.table`. A cell is a text, or one of rich with a style."""
    from . import rich_output

    rich_output.table(headings, rows, shortest=shortest)


def program() -> str:
    """Return the words that call this program again, to print commands that can be pasted."""
    called = sys.argv[0]
    if Path(called).name == "__main__.py":
        return shlex.join([sys.executable, "-m", "webhook_receiver"])
    found = shutil.which(Path(called).name)
    return Path(called).name if found and Path(found).samefile(called) else shlex.quote(called)


def say_json(document: object, *, indent: int | None = None) -> None:
    """Print one JSON document on a line, or for people on several, indented."""
    is_wide = indent is not None and str(results().encoding).lower().startswith("utf")
    text = json.dumps(document, indent=indent, ensure_ascii=not is_wide)
    print(text, file=results(), flush=True)  # rich would wrap it


_kept: list[TextIO] = []


def keep_stdout() -> None:
    """Keep stdout for `results`: what else is printed from now on, as by the user's module, goes to stderr."""
    if _kept:
        return
    try:
        number, elsewhere = sys.stdout.fileno(), sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):  # one of them is closed, or no file
        return
    if number != 1:  # it is not that of the process
        return
    sys.stdout.flush()
    _kept.append(open(os.dup(1), "w", encoding=sys.stdout.encoding, errors=sys.stdout.errors, closefd=False))  # noqa: SIM115
    os.dup2(elsewhere, 1)


def results() -> TextIO:
    """Return the stream that results are printed on: stdout, also where that is kept for them."""
    return _kept[0] if _kept else sys.stdout


def printable(text: str) -> str:
    """Return text with control characters escaped: nothing in it moves a terminal's cursor or ends the line."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


_WIDEST = 100  # characters of a line of text on a terminal


def wrapped(sentence: str) -> list[str]:
    """Return the lines of an indented sentence: as wide as the terminal, and one in a pipe."""
    if not is_terminal():
        return [f"  {sentence}"]
    width = min(shutil.get_terminal_size().columns, _WIDEST)
    return textwrap.wrap(
        sentence, width, initial_indent="  ", subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )


def listed(names: Sequence[str], most: int = 3) -> str:
    """Return names as a text, such as "A, B or C"; of more than `most`, the number of the others."""
    if len(names) > most + 1:
        names = [*names[:most], f"{len(names) - most} others"]
    *others, last = names or [""]
    return f"{', '.join(others)} or {last}" if others else last


INCOMPLETE = 3
"""The exit code of a command that has done all but what is damaged. 1 is a failure, and 2 a mistake in its use."""
WARNED = 4
"""The exit code of a command that has found no error, and something to warn of."""


_failures: list[Callable[[str], None]] = []


def tell_failures(tell: Callable[[str], None]) -> None:
    """Have failures told in another way than by a line on stderr, as by a log."""
    _failures[:] = [tell]


def fail(why: str) -> Exit:
    """Print an error message; return the exception that ends the command with 1."""
    for tell in _failures or [lambda said: warn(said, "red")]:
        tell(why)
    return Exit(1)
