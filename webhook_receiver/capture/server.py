"""A server that responds to any HTTP request, and writes it to a file byte for byte."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import h11

from ..delivery import RequestHead
from ..senders.preset import Preset
from ..senders.registry import alike, asking, candidates

LARGEST = 16 * 1024 * 1024
"""The largest request, head and body together, in bytes; the response to a larger one is 413, and it is not saved."""
PATIENCE = 60.0
"""Seconds within which a request must be complete."""

_count = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Captured:
    """A captured request, or the failed attempt at one. The repr shows no header."""

    file: Path | None
    """The file with the request; None if it was not written."""
    size: int
    """The size of head and body together, in bytes."""
    method: str = ""
    target: str = ""
    senders: tuple[Preset, ...] = ()
    """The senders that it looks like, the likeliest first; of several, all are as likely."""
    complaint: str = ""
    """The reason why the request is incomplete or was not written; empty if there is none."""

    def as_json(self) -> dict[str, Any]:
        """Return the captured request as JSON can hold it."""
        return {
            "file": None if self.file is None else str(self.file),
            "size": self.size,
            "method": self.method,
            "target": self.target,
            "scheme": self.senders[0].title if self.senders else None,
            "senders": [each.name for each in self.senders],
            "complaint": self.complaint,
        }


async def serve(
    host: str,
    port: int,
    directory: Path,
    *,
    status: int,
    ready: Callable[[int], None],
    report: Callable[[Captured], None],
    largest: int = LARGEST,
    patience: float = PATIENCE,
) -> None:
    """Capture requests until cancelled. Each connection is for one request, so that all its bytes are that request's.

    Args:
        host: the address to listen on.
        port: the port to listen on; 0 takes a free one.
        directory: an existing directory for the files; only their owner can read them, since they hold signatures.
        status: the status of the response to a complete request.
        ready: called with the port, once the server listens.
        report: called after each request.
        largest: the largest request, in bytes.
        patience: seconds that a request may take.

    Raises:
        OSError: the server cannot listen on the address.
    """

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        incoming = _Incoming(reader, writer, largest)
        try:
            async with asyncio.timeout(patience):
                await incoming.read()
        except TimeoutError:
            incoming.status, incoming.complaint = 408, f"it is not complete after {patience:g} s"
        except OSError:
            incoming.status, incoming.complaint = 400, "the connection broke"
        except asyncio.CancelledError:  # the server ends; Python 3.11's streams would print a traceback of that
            writer.close()
            return
        captured = incoming.captured(directory) if incoming.raw else None
        try:
            if captured is not None:
                is_lost = captured.file is None and not incoming.status
                writer.write(_response(500 if is_lost else incoming.status or status))
            writer.close()
            await writer.wait_closed()
        except OSError:
            pass  # the client has gone; its request is saved
        if captured is not None:
            try:
                senders = await asyncio.to_thread(incoming.senders)  # behind the answer, which it keeps waiting no more
            except asyncio.CancelledError:  # the server ends
                senders = ()
            report(replace(captured, senders=senders))

    server = await asyncio.start_server(talk, host, port)
    ready(server.sockets[0].getsockname()[1])
    try:
        await asyncio.get_running_loop().create_future()  # until cancelled
    finally:
        server.close()


class _Incoming:
    """A request being received: its bytes, and what `h11` reads in them."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, largest: int) -> None:
        self.raw = bytearray()
        self._body = bytearray()
        self.status = 0
        """The status of the response; 0 for a complete request."""
        self.complaint = ""
        self._request: h11.Request | None = None
        self._reader = reader
        self._writer = writer
        self._largest = largest
        self._connection = h11.Connection(h11.SERVER, max_incomplete_event_size=largest)

    async def read(self) -> None:
        """Read up to the request's end, or until it turns out to be wrong."""
        try:
            while not self.complaint:
                event = self._connection.next_event()
                if isinstance(event, h11.Request):
                    self._request = event
                elif isinstance(event, h11.EndOfMessage):
                    more, _ = self._connection.trailing_data
                    del self.raw[len(self.raw) - len(more) :]
                    return
                elif event is h11.NEED_DATA:
                    await self._more()
                elif isinstance(event, h11.Data):
                    self._body += event.data
                else:
                    self._wrong(400, "the connection ended before the request did")
        except h11.RemoteProtocolError as error:
            self._wrong(400, str(error).partition(":")[0])  # behind it is what came

    async def _more(self) -> None:
        if self._connection.they_are_waiting_for_100_continue:
            go_on = h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")
            self._writer.write(self._connection.send(go_on) or b"")
        data = await self._reader.read(65_536)
        self.raw += data
        if len(self.raw) > self._largest:
            self._wrong(413, f"it is larger than {self._largest} bytes, and not saved")
        else:
            self._connection.receive_data(data)

    def _wrong(self, status: int, complaint: str) -> None:
        self.status, self.complaint = status, complaint

    def captured(self, directory: Path) -> Captured:
        """Write the request, complete or not, unless it is too large; return the result without its senders."""
        file, complaint = None, self.complaint
        if self.status != HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            try:
                file = _write(directory, bytes(self.raw))
            except OSError as error:
                complaint = f"it cannot be written: {error.strerror}"
        if self._request is None:
            return Captured(file, len(self.raw), complaint=complaint)
        method, target = self._request.method.decode("latin-1"), self._request.target.decode("latin-1")
        return Captured(file, len(self.raw), method, target, complaint=complaint)

    def senders(self) -> tuple[Preset, ...]:
        """Return the senders that the request looks like; none for what is no HTTP request."""
        if self._request is None:
            return ()
        head = RequestHead(self._request.method.decode("latin-1"), self._request.target, list(self._request.headers))
        body = bytes(self._body)
        return (*(alike(candidates(head, body)) or asking(head, body)),)


def _write(directory: Path, raw: bytes) -> Path:
    """Write a new file whose name sorts by time; only its owner may read it."""
    while True:
        file = directory / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}-{next(_count):04}.http"
        try:
            handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            continue
        with os.fdopen(handle, "wb") as opened:
            opened.write(raw)
        return file


def _response(status: int) -> bytes:
    phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else ""
    length = "" if status in (204, 304) else "content-length: 0\r\n"
    return f"HTTP/1.1 {status} {phrase}\r\n{length}connection: close\r\n\r\n".encode()
