"""What many tests need: a signed delivery, a receiver that notes what ran, a real server, a command that serves."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import SystemRandom
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Message, Scope

from webhook_receiver import Event, Scheme, UP42Signature, WebhookReceiver
from webhook_receiver.delivery import Headers, RequestHead
from webhook_receiver.event_registry import EventRegistry
from webhook_receiver.events import parsed_paths
from webhook_receiver.senders.up42.events import EVENTS, ORDER_ID_PATHS, STATUSES

SECRET = "KbsDE5kGZoDiPCFd"
NOW = 1_765_433_012.0
"""What the tests' clocks show."""


def order(status: str = "FULFILLED", **body: Any) -> bytes:
    """Return the body of an `order.status` notification."""
    return json.dumps({"event": "order.status", "body": {"orderId": "o-1", "status": status, **body}}).encode()


def signed(
    body: bytes,
    *,
    secret: str = SECRET,
    now: float = NOW,
    headers: Mapping[str, str] | None = None,
    scheme: Scheme | None = None,
) -> Headers:
    """Return the headers of a genuine delivery of `body`."""
    given = {"content-type": "application/json"} | dict(headers or {})
    return (scheme or UP42Signature(secret)).sign(RequestHead.of(given), body, now).headers


def came(headers: Headers, *, method: str = "POST", target: bytes = b"/", url: str | None = None) -> RequestHead:
    """Return the head of a request that came with these very headers, as a server gives them."""
    return RequestHead(method, target, headers, url)


@dataclass
class Noted:
    """A receiver, and the events that its one handler got."""

    hooks: WebhookReceiver
    events: list[Event] = field(default_factory=list[Event])


def up42_registry(*classes: type[Event], order_id_paths: Sequence[str] = ORDER_ID_PATHS) -> EventRegistry:
    """Return the events of UP42, and these classes besides."""
    registry = EventRegistry(EVENTS, parsed_paths(order_id_paths), STATUSES)
    for cls in classes:
        registry.add(cls)
    return registry


def noting(*, clock: float | None = NOW, **options: Any) -> Noted:
    """Return a receiver that handles every event by noting it; its clock stands still unless `clock` is None."""
    if not {"scheme", "sender"} & options.keys():
        options.setdefault("secret", SECRET)
    if clock is not None:
        options["clock"] = lambda: clock
    noted = Noted(WebhookReceiver(**options))

    @noted.hooks.on(Event)
    async def note(event: Event) -> None:
        noted.events.append(event)

    return noted


@dataclass
class Exchange:
    """What an ASGI app did with a request."""

    sent: list[Message]
    read: int
    """How many messages of the body it asked for."""

    @property
    def status(self) -> int:
        status: int = self.sent[0]["status"]
        return status

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])

    @property
    def problem(self) -> dict[str, Any]:
        problem: dict[str, Any] = json.loads(self.sent[1]["body"])
        return problem


async def call(
    app: ASGIApp, headers: Headers, chunks: Sequence[bytes] = (b"",), *, method: str = "POST", gone: bool = False
) -> Exchange:
    """Call an app as a server would; with `gone`, the client leaves before the body is complete."""
    exchange = Exchange([], 0)
    messages: list[Message] = [
        {"type": "http.request", "body": chunk, "more_body": gone or index < len(chunks) - 1}
        for index, chunk in enumerate(chunks)
    ]
    messages.append({"type": "http.disconnect"})

    async def receive() -> Message:
        exchange.read += 1
        return messages[min(exchange.read, len(messages)) - 1]

    async def send(message: Message) -> None:
        exchange.sent.append(message)

    scope: Scope = {"type": "http", "method": method, "path": "/", "root_path": "", "headers": list(headers)}
    await app(scope, receive, send)
    return exchange


@contextmanager
def serving(app: Any, *, uds: str | None = None, **options: Any) -> Generator[str]:
    """Serve an app with uvicorn in a thread; yield its address. Clients may connect at once: it listens already."""
    if uds is None:
        listener = socket.create_server(("127.0.0.1", 0))
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    else:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(uds)
        listener.listen()
        address = "receiver"
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="on", **options))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    with listener:
        thread.start()
        try:
            yield ("https://" if "ssl_certfile" in options else "http://") + address
        finally:
            server.should_exit = True
            thread.join(timeout=30)
    assert not thread.is_alive(), "the server does not stop"


ROOT = Path(__file__).parents[1]


@contextmanager
def running(
    *module: str, cwd: Path, environment: Mapping[str, str] | None = None
) -> Generator[tuple[str, subprocess.Popen[str]]]:
    """Run `python -m module... --port` on a free port until it says that it is up; stop it as Ctrl-C would."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", *module, "--port", str(port)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        if "Uvicorn running" in printed(process, "Application startup complete"):
            accepted(port)  # a parent process has said so; its children listen a moment after their apps have started
        else:
            printed(process, "Uvicorn running")
        yield f"http://127.0.0.1:{port}", process
    finally:
        with suppress(ProcessLookupError):  # a test may have ended it
            os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=30)


def free_port() -> int:
    """Return a free port of those that nobody gets who asks for any: another test would have it a moment later."""
    while True:
        port = SystemRandom().randrange(15_000, 32_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def free_ports(count: int) -> list[int]:
    """Return so many different ports, as `free_port` finds them."""
    found: set[int] = set()
    while len(found) < count:
        found.add(free_port())
    return [*found]


def accepted(at: int | Path) -> None:
    """Wait until a port of the loopback, or a Unix socket, takes connections."""
    deadline = time.monotonic() + 30
    while True:
        with socket.socket(socket.AF_UNIX if isinstance(at, Path) else socket.AF_INET) as client:
            client.settimeout(5)
            try:
                client.connect(str(at) if isinstance(at, Path) else ("127.0.0.1", at))
            except ConnectionRefusedError:
                assert time.monotonic() < deadline
            else:
                return


def printed(process: subprocess.Popen[str], text: str) -> str:
    """Read what a process prints up to a line with `text`; return all of it."""
    assert process.stdout is not None
    seen = ""
    patience = threading.Timer(60, process.kill)  # ends the lines, so that what never comes is told
    patience.start()
    try:
        for line in process.stdout:
            seen += line
            if text in line:
                return seen
    finally:
        patience.cancel()
    raise AssertionError(f"{text!r} was never printed:\n{seen}")


def child(script: str, *arguments: object) -> subprocess.Popen[str]:
    """Run a script in another process; it goes on when it is written to, and says what it has done."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
