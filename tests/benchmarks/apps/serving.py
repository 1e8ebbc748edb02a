"""How an app that is measured is served, and what it says of itself.

A line on standard output says where it listens and which processes do the work. Commands come as lines on standard
input: `ran` asks how often handlers have run, `requests N` for as many requests that the app accepts, each a line of
base64. When the input ends, so does the app.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Literal

SECRET = "benchmark-secret"
SIZE = 600
"""Bytes of a body."""


class Ran:
    """How often handlers have run."""

    count = 0


def padded(said: dict[str, Any], *path: str) -> bytes:
    """Return an object as JSON of SIZE bytes, with a long enough note in the object that `path` leads to."""
    inner = said
    for name in path:
        inner = inner[name]
    inner["note"] = "x" * (SIZE - len(json.dumps(said)) - len(', "note": ""'))
    return json.dumps(said).encode()


def request(path: str, headers: Iterable[tuple[str, str]], body: bytes) -> bytes:
    """Return a whole HTTP request."""
    given = [("host", "127.0.0.1"), *headers, ("content-length", str(len(body)))]
    head = "".join(f"{name}: {value}\r\n" for name, value in given)
    return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body


def announce(port: int, processes: Sequence[int]) -> None:
    """Say where the app listens, and which processes do its work."""
    print(json.dumps({"port": port, "processes": processes}), flush=True)


def answer(requests: Iterator[bytes], ran: Ran) -> None:
    """Answer commands until there are no more."""
    for line in sys.stdin:
        command, *arguments = line.split()
        if command == "ran":
            print(ran.count)
        else:
            print("\n".join(b64encode(each).decode() for each in islice(requests, int(arguments[0]))))
        sys.stdout.flush()


def serve(app: Any, requests: Iterator[bytes], ran: Ran, *, lifespan: Literal["on", "off"] = "off") -> None:
    """Serve an ASGI app with uvicorn, on a free port of the loopback, until the standard input ends."""
    import uvicorn  # here: hookspool's environment has none

    config = uvicorn.Config(
        app, http="httptools", loop="uvloop", lifespan=lifespan, access_log=False, log_level="warning"
    )
    server = uvicorn.Server(config)

    def until_the_end() -> None:
        answer(requests, ran)
        server.should_exit = True

    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        announce(listener.getsockname()[1], [os.getpid()])
        threading.Thread(target=until_the_end, daemon=True).start()
        server.run(sockets=[listener])
