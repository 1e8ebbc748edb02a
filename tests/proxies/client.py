"""A client that sends requests as bytes, and tells how each was answered."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import closing, suppress
from http.client import parse_headers
from io import BufferedReader

from .app import MARK
from .matrix import Case, Request

PATIENCE = 30.0  # seconds for an answer


def answer(port: int, case: Case, tls: ssl.SSLContext | None = None) -> str:
    """Send the requests of a case on one connection; return how they were answered.

    An answer is a status, with "of its own" behind it where the app did not give it, or "none" where none came.
    """
    with closing(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # or a body would wait for the head's receipt
        connection = plain if tls is None else tls.wrap_socket(plain, server_hostname="hooks.example.com")
        with closing(connection), connection.makefile("rb") as file:
            return ", ".join([_ask(connection, file, request) for request in case.requests])


def _ask(connection: socket.socket, file: BufferedReader, request: Request) -> str:
    with suppress(OSError):  # an answer may have come before all was sent, or none at all
        connection.sendall(request.head)
        if not request.waits or file.peek(1).startswith(b"HTTP/1.1 100"):
            if request.is_last:  # or it might be answered before it is at its end
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
            for part in request.parts:
                if request.pause:
                    threading.Event().wait(request.pause)
                connection.sendall(part)
        if request.is_last:
            _shut_sending(connection)
    try:
        return _read(file, request.method)
    except (OSError, ValueError):
        return "none"


def _shut_sending(connection: socket.socket) -> None:
    """Say that no more comes, and go on to read: over TLS by a close_notify, too (RFC 8446, section 6.1)."""
    if isinstance(connection, ssl.SSLSocket):
        connection.setblocking(False)
        with suppress(ssl.SSLWantReadError):  # it would wait for the other side's
            connection.unwrap()
        connection.settimeout(PATIENCE)
    socket.socket.shutdown(connection, socket.SHUT_WR)  # that of an SSLSocket would end TLS in both directions


def _read(file: BufferedReader, method: bytes) -> str:
    """Read a response to its end, and those that only say that it goes on.

    Raises:
        ValueError: it is none.
    """
    _, status, *_ = file.readline().split(b" ", 2)
    headers = parse_headers(file)
    if status == b"100":
        return _read(file, method)
    if method == b"HEAD" or status in (b"204", b"304"):
        pass
    elif headers.get("transfer-encoding") == "chunked":
        while size := int(file.readline(), 16):
            file.read(size + 2)
        parse_headers(file)
    else:
        length = headers.get("content-length")
        file.read(None if length is None else int(length))
    return told(status, is_of_app=MARK.decode() in headers)


def told(status: bytes, *, is_of_app: bool) -> str:
    """Return an answer as the matrix has it."""
    return str(int(status)) + ("" if is_of_app else " of its own")
