"""The connections of `serve`: uvicorn's, within bounds of number, time and size that uvicorn itself does not have."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from typing import Any

import typer
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ..responses import Response, problem
from .options import Parser

logger = logging.getLogger("webhook_receiver")

MAX_HEAD = 64 * 1024
"""The number of bytes that a request's head, its first line and its headers, may have."""
HEAD_TIMEOUT = 10.0
"""The number of seconds within which a head must be complete, from the connection or from its first byte on."""
WRITE_TIMEOUT = 10.0
"""The number of seconds that responses may wait for a client that does not read them."""
MOST = 1000
"""The number of connections of a process at a time, if it may have as many."""
RESERVED = 128
"""The number of file descriptors that are left for everything else: the inbox, log files, handlers."""
_BETWEEN_WARNINGS = 60.0  # seconds

_TOO_LARGE = problem(431, "head-too-large", "The request's headers are too large", connection="close")
_TOO_SLOW = problem(408, "head-too-slow", "The request's headers took too long", connection="close")
_TOO_MANY = problem(503, "overloaded", "Too many connections", connection="close", retry_after="10")


def checked_limit(given: int | None) -> int:
    """Return the largest number of connections of a process: the one that is given, else as many as it may have.

    Raises:
        typer.BadParameter: the process may not have as many file descriptors.
    """
    available = _descriptors()
    if given is None:
        return MOST if available is None else max(1, min(MOST, available - RESERVED))
    if available is not None and given > available - RESERVED:
        raise typer.BadParameter(
            f"{given} connections need {given + RESERVED} file descriptors, and this process may have {available}: "
            "raise that limit (ulimit -n; LimitNOFILE= of systemd)",
            param_hint="--max-connections",
        )
    return given


def within_bounds(parser: Parser, limit: int) -> dict[str, Any]:
    """Return the options of uvicorn that bound connections and heads.

    Args:
        parser: uvicorn's parser of HTTP.
        limit: the largest number of connections of a process.
    """
    return {"http": Connections(parser, limit), "h11_max_incomplete_event_size": MAX_HEAD}


def _descriptors() -> int | None:
    """Return the number of file descriptors that this process may have; None if that is unlimited or unknown."""
    if sys.platform == "win32":
        return None
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


class Connections:
    """The open connections of one server process. uvicorn calls it for each, as it would the class of its protocol.

    When there are as many as there may be, one whose client sends requests before it has read a response makes room
    for a new one, else the one that has waited longest for a request.

    Args:
        parser: uvicorn's parser of HTTP.
        limit: the largest number of connections.
    """

    def __init__(self, parser: Parser, limit: int) -> None:
        self._parser = parser
        self._limit = limit
        self._open: dict[Connection, None] = {}
        """Ordered by the time of the connection or of its latest request, the oldest first."""
        self._closed = 0
        """The number of those that were closed to make room, or rejected, and not logged."""
        self._warned: float | None = None

    def __call__(self, **given: Any) -> Connection:
        """Return the protocol of a new connection; what is given is uvicorn's."""
        return Connection(self, H11Protocol(**given) if self._parser == "h11" else _HttpTools(**given))

    def add(self, connection: Connection) -> bool:
        """Add a connection, and return whether there is room for it."""
        if len(self._open) >= self._limit:
            self._warn()
            ahead = next((each for each in self._open if each.is_ahead()), None)
            least = ahead or next((each for each in self._open if each.is_waiting()), None)
            if least is None:
                return False
            self.remove(least)
            least.abort()
        self._open[connection] = None
        return True

    def renew(self, connection: Connection) -> None:
        """Note that a connection has a new request."""
        if connection in self._open:
            self._open[connection] = self._open.pop(connection)

    def remove(self, connection: Connection) -> None:
        """Remove a connection."""
        self._open.pop(connection, None)

    def _warn(self) -> None:
        self._closed += 1
        now = time.monotonic()
        if self._warned is None or now - self._warned >= _BETWEEN_WARNINGS:
            self._warned = now
            logger.warning(
                "there are %d connections, and may be no more (--max-connections): those with requests ahead of "
                "responses, or that wait longest for a request, are closed for new ones, %d so far",
                self._limit,
                self._closed,
            )


class Connection(asyncio.Protocol):
    """One connection: uvicorn's protocol, to which everything is handed on within bounds.

    Args:
        connections: all connections of the process.
        http: uvicorn's protocol.
    """

    def __init__(self, connections: Connections, http: Any) -> None:
        self._connections = connections
        self._http = http
        self._transport: Any = None
        self._has_room = False
        self._size = 0
        """The number of bytes of the head that is being received."""
        self._timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        """It runs while more responses wait than are buffered."""

    def is_ahead(self) -> bool:
        """Return whether the client sends requests before it has read a response: senders of webhooks do not."""
        if self._write_timer is not None:
            return True
        request = self._http.cycle  # uvicorn pauses reading for a next request, and for a body that is not yet read
        return self._http.flow.read_paused and not (request.more_body or request.body)

    def is_waiting(self) -> bool:
        """Return whether no request is being answered, so that the next head has not come, or not in whole."""
        request = self._http.cycle
        return request is None or request.response_complete

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hand it on, unless there are too many connections."""
        self._transport = transport
        self._has_room = self._connections.add(self)
        if self._has_room:
            self._http.connection_made(transport)
            self._start_timer()
        else:
            self._end(_TOO_MANY)

    def data_received(self, data: bytes) -> None:
        """Hand it on, up to the limits of a head."""
        if self._transport.is_closing():
            return
        if not self.is_waiting():
            self._http.data_received(data)
            return
        rest = data[MAX_HEAD - self._size :]
        self._size += len(data)
        self._http.data_received(data[: len(data) - len(rest)])
        if not self.is_waiting():
            self._size = 0
            self._stop_timer()
            self._connections.renew(self)
            if rest:
                self._http.data_received(rest)
        elif rest:
            self._end(_TOO_LARGE)
        elif self._timer is None:
            self._start_timer()

    def eof_received(self) -> bool:
        """Keep the connection of a client that sends no more, but may still read, until its request is answered."""
        request = self._http.cycle
        if self.is_waiting() or request.more_body or self._transport.get_extra_info("sslcontext"):
            return False
        request.keep_alive = False
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Hand it on."""
        self._stop_timer()
        self._stop_write_timer()
        self._connections.remove(self)
        if self._has_room:
            self._http.connection_lost(exc)

    def pause_writing(self) -> None:
        """Hand it on, and wait so long for the client to read."""
        self._stop_write_timer()
        self._write_timer = asyncio.get_running_loop().call_later(WRITE_TIMEOUT, self.abort)
        self._http.pause_writing()

    def resume_writing(self) -> None:
        """Hand it on."""
        self._stop_write_timer()
        self._http.resume_writing()

    def abort(self) -> None:
        """Close the connection at once."""
        self._transport.abort()

    def _start_timer(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(HEAD_TIMEOUT, self._too_slow)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _stop_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _too_slow(self) -> None:
        self._timer = None
        if self._size:
            self._end(_TOO_SLOW)
        else:
            self._transport.close()

    def _end(self, response: Response) -> None:
        """Close the connection with a response, if there is a request that it can be the response to."""
        if self._transport.is_closing():  # uvicorn has rejected it
            return
        answered = self._http.cycle
        if answered is None or not answered.more_body:  # else that is the rest of a body, whose response was sent
            head = [f"HTTP/1.1 {response.status} ", *(f"{name}: {value}" for name, value in response.headers.items())]
            self._transport.write("\r\n".join([*head, "", ""]).encode() + response.body)
        self._transport.close()


class _HttpTools(HttpToolsProtocol):
    """uvicorn's protocol with httptools, which would append trailers to the headers."""

    def on_headers_complete(self) -> None:
        self.scope["headers"] = [*self.headers]
        super().on_headers_complete()
