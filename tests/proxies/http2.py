"""A client that sends requests of the matrix over HTTP/2 (RFC 9113), and tells how each was answered."""

from __future__ import annotations

import socket
import ssl
from contextlib import closing

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, ResponseReceived, StreamEnded, StreamReset
from h2.exceptions import ProtocolError

from .app import MARK
from .client import PATIENCE, told
from .matrix import Case, Pairs, Request, cases

OF_ONE_HOP = {b"connection", b"keep-alive", b"proxy-connection", b"te", b"transfer-encoding", b"upgrade"}
"""Headers of HTTP/1.1 that have no place in HTTP/2 (section 8.2.2)."""


def fields(request: Request) -> Pairs | None:
    """Return the header fields of a request, as HTTP/2 has them; None of what only HTTP/1 has."""
    head, end, more = request.head.partition(b"\r\n\r\n")
    line, *lines = head.split(b"\r\n")
    method, target, version = line.split(b" ") if end else (b"", b"", b"")
    if request.pause or request.is_last:
        return None
    if more or version != b"HTTP/1.1" or not target.startswith(b"/") or request.waits:
        return None
    pseudo = {b":method": method, b":scheme": b"https", b":path": target}
    found: list[tuple[bytes, bytes]] = []
    for each in lines:
        name, _, value = each.partition(b": ")
        if name.lower() in OF_ONE_HOP or value != value.strip(b" \t"):
            return None
        if name == b"Host":
            pseudo[b":authority"] = value
        else:
            found.append((name.lower(), value))
    return [*pseudo.items(), *found]


def cases_of_http2() -> list[Case]:
    """Return what of the matrix can be sent over HTTP/2."""
    return [case for case in cases() if all(map(fields, case.requests))]


def answer(port: int, case: Case, tls: ssl.SSLContext) -> str:
    """Send the requests of a case on one connection, one after another; return how they were answered.

    Args:
        port: the port of the proxy.
        case: one of `cases_of_http2`.
        tls: the context of TLS, which has to offer "h2" only.
    """
    with (
        closing(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)) as plain,
        closing(tls.wrap_socket(plain, server_hostname="hooks.example.com")) as connection,
    ):
        assert connection.selected_alpn_protocol() == "h2"
        # What is sent is what the matrix has, be it ever so odd.
        config = H2Configuration(
            validate_outbound_headers=False, normalize_outbound_headers=False, header_encoding=None
        )
        http = H2Connection(config)
        http.initiate_connection()
        return ", ".join([_ask(connection, http, request) for request in case.requests])


def _ask(connection: ssl.SSLSocket, http: H2Connection, request: Request) -> str:
    """Send a request; return its answer, as `client.answer` has it."""
    stream, body, found = http.get_next_available_stream_id(), b"".join(request.parts), "none"
    try:
        http.send_headers(stream, fields(request) or (), end_stream=not body)
        while True:
            while body and (room := min(http.local_flow_control_window(stream), http.max_outbound_frame_size)):
                part, body = body[:room], body[room:]
                http.send_data(stream, part, end_stream=not body)
            connection.sendall(http.data_to_send())
            received = connection.recv(65536)
            for event in http.receive_data(received):
                if isinstance(event, ResponseReceived):
                    headers = dict(event.headers)
                    found = told(headers[b":status"], is_of_app=MARK in headers)
                elif isinstance(event, DataReceived):
                    http.acknowledge_received_data(event.flow_controlled_length, stream)
                elif isinstance(event, StreamEnded | StreamReset | ConnectionTerminated):
                    return found
            if not received:
                return found
    except (OSError, ProtocolError):
        return found
