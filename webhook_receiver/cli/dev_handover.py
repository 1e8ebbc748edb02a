"""What the server of `dev` hands over to the inspector, which is in another process.

These are rejected requests, and why the app does not start. The server starts again at a change, and the inspector does
not: so it keeps them.
"""

from __future__ import annotations

import os
import socket
import time
import traceback
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from queue import Full, Queue
from threading import Thread

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from typer import BadParameter

from ..asgi import request_head
from ..capture.rejected_request import MOST_OF_A_BODY, RejectedRequest
from ..errors import WebhookError
from ..receiver import WebhookReceiver

SOCKET = "WEBHOOK_DEV_REJECTIONS"
"""The variable with the path of the socket that takes rejected requests."""
_WAITING = 100  # requests that wait to be handed over; more are left out
_PATIENCE = 5.0  # seconds for one


def broken(path: str) -> str:
    """Return why the app does not start, by the path of the socket; empty if it does."""
    try:
        return _broken(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def _broken(path: str) -> Path:
    return Path(path).with_name("broken")


@contextmanager
def loading(path: str) -> Generator[None]:
    """Tell the inspector why what this block does fails: the app cannot be loaded."""
    try:
        yield
    except BaseException as error:
        _tell(path, error)
        raise
    _broken(path).unlink(missing_ok=True)


def _tell(path: str, error: BaseException) -> None:
    written = _broken(path).with_suffix(".new")
    written.write_text(_cause(error), encoding="utf-8")
    written.replace(_broken(path))  # so that nobody reads a part of it


def _cause(error: BaseException) -> str:
    """Return the class of an error and the user's line that raised it; not its message, which may hold a secret."""
    while isinstance(error, SystemExit | BadParameter) and error.__context__ is not None:  # as `load_app` tells it
        error = error.__context__
    if isinstance(error, BadParameter):
        return error.message.partition("\n")[0]
    places = [(each.filename, each.lineno) for each in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError):
        places.append((error.filename or "", error.lineno))
    here = os.path.join(os.getcwd(), "")
    theirs = [(file, line) for file, line in places if file.startswith(here) and "site-packages" not in file]
    if not theirs:
        return type(error).__name__
    return f"{type(error).__name__} in {os.path.relpath(theirs[-1][0])} line {theirs[-1][1]}"


class _Exchange:
    """A request that is being answered, as far as it was seen, and what the app receives and sends by."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.at = time.time()
        self.body = bytearray()
        self.is_whole = False
        self.status = 0
        self.rejected: tuple[str, int, WebhookError] | None = None
        """The name and the place of the receiver that has rejected it, and the error."""
        self._scope = scope
        self._receive = receive
        self._send = send

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            body: bytes = message.get("body", b"")
            self.body += body[: MOST_OF_A_BODY - len(self.body)]
            self.is_whole = not message.get("more_body") and len(self.body) < MOST_OF_A_BODY
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)

    def request(self) -> RejectedRequest | None:
        """Return the request if a receiver has rejected it."""
        if self.rejected is None or self.status < 400:
            return None
        receiver, place, error = self.rejected
        head = request_head(self._scope, None)
        return RejectedRequest(
            receiver,
            self.at,
            head.method,
            head.target.decode("latin-1"),
            head.client,
            head.headers,
            bytes(self.body),
            self.is_whole,
            type(error).__name__,
            str(error),
            self.status,
            place,
        )


_exchange: ContextVar[_Exchange | None] = ContextVar("webhook_receiver_dev_exchange", default=None)


def watched(served: ASGIApp, receivers: Sequence[WebhookReceiver], path: str) -> ASGIApp:
    """Return an app that hands over what its receivers reject, and why it does not start.

    Args:
        served: the app.
        receivers: its receivers, first those that the inspector has, in the same order.
        path: the path of the socket.
    """
    waiting: Queue[RejectedRequest] = Queue(_WAITING)
    Thread(target=_hand_over, args=(waiting, path), name="rejections", daemon=True).start()
    for number, each in enumerate(receivers):
        each.runtime.rejections.note = partial(_note, each, number)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _start(served, path, scope, receive, send)
            return
        if scope["type"] != "http":
            await served(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send)
        token = _exchange.set(exchange)
        try:
            await served(scope, exchange.receive, exchange.send)
        finally:
            _exchange.reset(token)
            if (request := exchange.request()) is not None:
                with suppress(Full):
                    waiting.put_nowait(request)

    return app


async def _start(served: ASGIApp, path: str, scope: Scope, receive: Receive, send: Send) -> None:
    """Run the lifespan of an app, and tell why its start fails."""
    is_failed = False

    async def watched_send(message: Message) -> None:
        nonlocal is_failed
        is_failed = message["type"] == "lifespan.startup.failed"
        await send(message)

    try:
        await served(scope, receive, watched_send)
    except BaseException as error:
        if is_failed:  # else it knows no lifespan
            _tell(path, error)
        raise


def _note(hooks: WebhookReceiver, place: int, error: WebhookError) -> None:
    exchange = _exchange.get()
    if exchange is not None and exchange.rejected is None:
        exchange.rejected = (hooks.name, place, error)


def _hand_over(waiting: Queue[RejectedRequest], path: str) -> None:
    """Hand over each request that waits."""
    while True:
        request = waiting.get()
        with suppress(OSError), socket.socket(socket.AF_UNIX) as connection:  # or dev is at its end
            connection.settimeout(_PATIENCE)
            connection.connect(path)
            connection.sendall(request.as_bytes())
