"""Export and import: an inbox's deliveries as a file of JSON lines, and back."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import typer

from ..errors import InboxError
from ..inbox import DamagedDelivery, Filter, Inbox, StoredDelivery
from ..inbox.json_format import HEADER, check_header, from_document, to_document
from ..inbox.whole_file import whole_file
from .output import fail
from .rich_output import progress_bar

CHUNK = 200
"""Deliveries loaded in one transaction."""


class BadLine(ValueError):
    """A line of an export that cannot be read."""


def check_target(file: Path, *, force: bool) -> None:
    """Check that an export may be written to `file`, in place of what is there only if `force`.

    Raises:
        typer.Exit: it may not; the message was printed.
    """
    from ..inbox.sqlite.backup import contents

    if file.is_dir():
        raise fail(f"{file} is a folder: name a file in it for the export")
    if file.is_file() and (found := contents(file)) is not None:
        raise fail(f"{file} is {found}, which no export replaces. The inbox comes first, then the file to write")
    if file.exists() and not force:
        raise fail(f"{file} is there already: --force overwrites it")


def check_source(file: str, where: str) -> None:
    """Check that what `import` is to read is no database: an inbox is exported first, or the order is wrong.

    Args:
        file: the file to read.
        where: the inbox that it is to be loaded into.

    Raises:
        typer.Exit: it is one; the message was printed.
    """
    from ..inbox.sqlite.backup import contents

    if file == "-" or not Path(file).is_file() or (found := contents(Path(file))) is None:
        return
    if "://" not in where and Path(where).is_file() and contents(Path(where)) is None:
        raise fail(f"{file} is {found}, and {where} is none. The inbox comes first:  inbox import {file} {where}")
    raise fail(f"{file} is {found}: first  inbox export {file} file.jsonl --all  and then import that")


async def write(inbox: Inbox, which: Filter, total: int, file: Path | None) -> tuple[int, list[DamagedDelivery]]:
    """Write the deliveries that match a filter to a file, or to standard output.

    Returns:
        Their number, and the damaged ones, which are left out.

    Args:
        inbox: the open inbox.
        which: the filter.
        total: the expected number, for the progress bar.
        file: the file; standard output if None.
    """
    written = 0
    damaged: list[DamagedDelivery] = []
    with _written(file) as lines, progress_bar() as bar:
        task = bar.add_task("exporting", total=total)
        lines.write(_line(HEADER))
        async for stored in inbox.dump(which):
            if isinstance(stored, DamagedDelivery):
                damaged.append(stored)
            else:
                lines.write(_line(to_document(stored)))
                written += 1
            bar.advance(task)
    return written, damaged


def _line(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"


@contextmanager
def _written(file: Path | None) -> Generator[IO[bytes]]:
    """Yield the stream to write to."""
    if file is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with whole_file(file) as temporary, temporary.open("wb") as lines:
        yield lines


@contextmanager
def seekable(file: str) -> Generator[IO[bytes]]:
    """Yield a file, or standard input for "-", as a stream that can be read twice."""
    try:
        stream = sys.stdin.buffer if file == "-" else Path(file).open("rb")  # noqa: SIM115 - closed below
    except OSError as error:
        raise typer.BadParameter(f"cannot read {file}: {error.strerror}", param_hint="FILE") from None
    with stream:
        if stream.seekable():
            yield stream
            return
        with tempfile.TemporaryFile() as copy:
            while block := stream.read(1 << 20):
                copy.write(block)
            copy.seek(0)
            yield copy


def checked(lines: IO[bytes]) -> tuple[list[int], int]:
    """Check every line; return the offset of each chunk in bytes, and the number of deliveries.

    Raises:
        BadLine: a line cannot be read; the message names it.
    """
    try:
        check_header(_parsed(lines.readline()))
    except ValueError as error:
        raise BadLine(f"line 1: {error}") from None
    begins: list[int] = []
    count, begin = 0, lines.tell()
    for number, line in enumerate(iter(lines.readline, b""), 2):
        try:
            from_document(_parsed(line))
        except ValueError as error:
            raise BadLine(f"line {number}: {error}") from None
        if count % CHUNK == 0:
            begins.append(begin)
        count += 1
        begin += len(line)
    return begins, count


async def load(inbox: Inbox, lines: IO[bytes], begins: list[int], count: int, now: float) -> int:
    """Load the checked lines; return the number of new deliveries.

    The last chunk goes first, since an inbox takes loaded deliveries for older than all that it has.

    Raises:
        InboxError: the inbox did not take a chunk; the message says how many were loaded before.
    """
    new = 0
    with progress_bar() as bar:
        task = bar.add_task("importing", total=count)
        for begin in reversed(begins):
            chunk = _chunk(lines, begin)
            try:
                new += await inbox.load(chunk, now)
            except InboxError as error:
                raise InboxError(f"{error}; {new} were loaded before that: import again, it loads the others") from None
            bar.advance(task, len(chunk))
    return new


def _chunk(lines: IO[bytes], begin: int) -> list[StoredDelivery]:
    lines.seek(begin)
    some: Iterable[bytes] = (lines.readline() for _ in range(CHUNK))
    return [from_document(_parsed(line)) for line in some if line]


def _parsed(line: bytes) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError("not JSON") from None
