"""The line between a server of others and a receiver: it notes the requests, and fails as a test says."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from typing import NamedTuple

import httpx


class Request(NamedTuple):
    """A request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    """By names in lower case."""
    body: bytes


class Line:
    """A line at `address`. At first nobody is at its other end."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.receiver: str | None = None
        """The address of the receiver; None, and connections are closed as they come."""
        self.loses_answers = False
        """Whether the connection breaks after the receiver has answered."""
        self.is_open = threading.Event()
        """While it is not set, requests wait."""
        self.is_open.set()
        self.requests = Queue[Request]()
        """Those that came and were not looked at."""

    def next(self) -> Request:
        """Return the next request; wait for it."""
        return self.requests.get(timeout=60)


@contextmanager
def line() -> Generator[Line]:
    """Open a line on the loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            receiver = found.receiver  # whoever comes later, is not this request's
            found.requests.put(
                Request("POST", self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            )
            found.is_open.wait(60)
            self.close_connection = True
            if receiver is None:
                return
            answer = httpx.post(receiver + self.path, headers=[*self.headers.items()], content=body)
            if found.loses_answers:
                return
            self.send_response(answer.status_code)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found = Line(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield found
        finally:
            found.is_open.set()
            server.shutdown()
            thread.join()
