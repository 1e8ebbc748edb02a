"""Export and import: an inbox's deliveries as a file of JSON lines, and back."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

import typer

from ..errors import InboxError
from ..inbox import DamagedDelivery, Filter, Inbox, StoredDelivery
from ..inbox.json_format import HEADER, check_header, from_document, has_body, may_share, to_document
from ..inbox.whole_file import whole_file
from .output import fail, results
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
    latest: StoredDelivery | None = None  # whose line has its body
    with _written(file) as lines, progress_bar() as bar:
        task = bar.add_task("exporting", total=total)
        lines.write(_line(HEADER))
        async for stored in inbox.dump(which):
            if isinstance(stored, DamagedDelivery):
                damaged.append(stored)
            else:
                if latest is None or not may_share(stored, latest):
                    lines.write(_line(to_document(stored)))
                    latest = stored
                else:
                    lines.write(_line(to_document(stored, latest)))
                written += 1
            bar.advance(task)
    return written, damaged


def _line(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"


@contextmanager
def _written(file: Path | None) -> Generator[IO[bytes]]:
    """Yield the stream to write to."""
    if file is None:
        yield results().buffer
        results().buffer.flush()
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


class Chunk(NamedTuple):
    """The lines of deliveries that are loaded in one transaction."""

    begin: int
    """Offset of the first one, in bytes."""
    body: int | None
    """Offset of the line that has the body of the first one if that has none itself; None if there is no such line."""


def checked(lines: IO[bytes]) -> tuple[list[Chunk], int]:
    """Check every line; return the chunks, and the number of deliveries.

    Raises:
        BadLine: a line cannot be read; the message names it.
    """
    try:
        check_header(_parsed(lines.readline()))
    except ValueError as error:
        raise BadLine(f"line 1: {error}") from None
    chunks: list[Chunk] = []
    count, begin, body = 0, lines.tell(), None
    try:
        for _, is_whole in _deliveries(iter(lines.readline, b"")):
            if count % CHUNK == 0:
                chunks.append(Chunk(begin, body))
            count += 1
            begin, body = lines.tell(), begin if is_whole else body
    except ValueError as error:
        raise BadLine(f"line {count + 2}: {error}") from None
    return chunks, count


def _deliveries(lines: Iterable[bytes], latest: StoredDelivery | None = None) -> Iterator[tuple[StoredDelivery, bool]]:
    """Yield the delivery of each line, and whether its body is there; `latest` is that of the last such line before.

    Raises:
        ValueError: the line cannot be read.
    """
    for line in lines:
        document = _parsed(line)
        stored, is_whole = from_document(document, latest), has_body(document)
        latest = stored if is_whole else latest
        yield stored, is_whole


async def load(inbox: Inbox, lines: IO[bytes], chunks: Sequence[Chunk], count: int, now: float) -> int:
    """Load the checked lines; return the number of new deliveries.

    The last chunk goes first, since an inbox takes loaded deliveries for older than all that it has.

    Raises:
        InboxError: the inbox did not take a chunk; the message says how many were loaded before.
    """
    new = 0
    with progress_bar() as bar:
        task = bar.add_task("importing", total=count)
        for each in reversed(chunks):
            chunk = _chunk(lines, each)
            try:
                new += await inbox.load(chunk, now)
            except InboxError as error:
                raise InboxError(f"{error}; {new} were loaded before that: import again, it loads the others") from None
            bar.advance(task, len(chunk))
    return new


def _chunk(lines: IO[bytes], chunk: Chunk) -> list[StoredDelivery]:
    latest: StoredDelivery | None = None
    if chunk.body is not None:
        lines.seek(chunk.body)
        ((latest, _),) = _deliveries([lines.readline()])
    lines.seek(chunk.begin)
    some = [line for _ in range(CHUNK) if (line := lines.readline())]
    return [stored for stored, _ in _deliveries(some, latest)]


def _parsed(line: bytes) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError("not JSON") from None
