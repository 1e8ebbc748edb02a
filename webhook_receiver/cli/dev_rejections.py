"""Rejected requests on the way from the server of `dev` to its inspector, which is in another process.

The server starts again at a change, and the inspector does not: so it keeps them. They go through a socket of the file
system, in a folder that is this user's only.
"""

from __future__ import annotations

import json
import os
import socket
import socketserver
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import partial
from queue import Full, Queue
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any, cast

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..asgi import request_head
from ..delivery import Headers
from ..errors import WebhookError
from ..explain import Explanation
from ..explain import explain as explained
from ..inspector.rejections import MOST_BYTES, RejectedRequest, Rejections
from ..receiver import WebhookReceiver
from ..signatures import Secret
from .request import sender_of

PLACE = "WEBHOOK_RECEIVER_REJECTIONS"
"""The variable with the path of the socket."""
_MOST_OF_A_BODY = 2 * 1024 * 1024  # bytes that are kept of one; a receiver reads 1 MiB by default
_MOST_OF_A_MESSAGE = MOST_BYTES
_WAITING = 100  # requests that wait to be handed over; more are left out
_PATIENCE = 5.0  # seconds for one


class _Exchange:
    """A request that is being answered, as far as it was seen."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.at = time.time()
        self.body = bytearray()
        self.is_whole = False
        self.status = 0
        self.rejected: tuple[str, WebhookError] | None = None
        """The name of the receiver that has rejected it, and the error."""
        self._scope = scope
        self._receive = receive
        self._send = send

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            body: bytes = message.get("body", b"")
            self.body += body[: _MOST_OF_A_BODY - len(self.body)]
            self.is_whole = not message.get("more_body") and len(self.body) < _MOST_OF_A_BODY
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)

    def request(self) -> RejectedRequest | None:
        """Return the request if a receiver has rejected it."""
        if self.rejected is None or self.status < 400:
            return None
        receiver, error = self.rejected
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
        )


_exchange: ContextVar[_Exchange | None] = ContextVar("webhook_receiver_dev_exchange", default=None)


def watched(served: ASGIApp, receivers: Sequence[WebhookReceiver], place: str) -> ASGIApp:
    """Return an app that hands over what its receivers reject.

    Args:
        served: the app.
        receivers: its receivers.
        place: the path of the socket.
    """
    waiting: Queue[RejectedRequest] = Queue(_WAITING)
    Thread(target=_hand_over, args=(waiting, place), name="rejections", daemon=True).start()
    for each in receivers:
        each.runtime.rejections.note = partial(_note, each)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
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


def _note(hooks: WebhookReceiver, error: WebhookError) -> None:
    exchange = _exchange.get()
    if exchange is not None and exchange.rejected is None:
        exchange.rejected = (hooks.name, error)


def _hand_over(waiting: Queue[RejectedRequest], place: str) -> None:
    """Hand over each request that waits, as one line of JSON and the bytes of the body."""
    while True:
        request = waiting.get()
        headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in request.headers]
        head = request._asdict() | {"headers": headers, "body": None}
        with suppress(OSError), socket.socket(socket.AF_UNIX) as connection:  # or dev is at its end
            connection.settimeout(_PATIENCE)
            connection.connect(place)
            connection.sendall(json.dumps(head).encode() + b"\n" + request.body)


@contextmanager
def taken(rejections: Rejections) -> Generator[str]:
    """Take the requests that are handed over until this is left; yield the path of the socket."""

    class Handler(socketserver.StreamRequestHandler):
        timeout = _PATIENCE

        def handle(self) -> None:
            message = b""
            with suppress(OSError):
                message = self.rfile.read(_MOST_OF_A_MESSAGE)
            line, _, body = message.partition(b"\n")
            with suppress(ValueError, KeyError, TypeError):  # its process was ended meanwhile
                rejections.add(_read(json.loads(line), body))

    with TemporaryDirectory(prefix="webhook-receiver-") as folder:
        place = os.path.join(folder, "rejected")
        with _Server(place, Handler) as server:
            thread = Thread(target=server.serve_forever, args=(0.1,))
            thread.start()
            try:
                yield place
            finally:
                server.shutdown()
                thread.join()


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = _WAITING


def _read(head: dict[str, Any], body: bytes) -> RejectedRequest:
    pairs = cast("list[tuple[str, str]]", head["headers"])
    headers: Headers = tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs)
    return RejectedRequest(**head | {"headers": headers, "body": body})


def explain(receivers: Sequence[WebhookReceiver], request: RejectedRequest) -> Explanation | None:
    """Return why a receiver rejected a request.

    Args:
        receivers: the receivers that are at hand.
        request: the request.

    Returns:
        The explanation; None where the receiver is not at hand, or the body was not read to its end.
    """
    hooks = next((each for each in receivers if each.name == request.receiver), None)
    if hooks is None or not request.is_whole:
        return None
    return explained(
        request.headers,
        request.body,
        [Secret("of the receiver itself")],  # which counts for nothing: the sender has its own
        make=sender_of(hooks).preset.make_for(request.headers),
        now=request.at,
        method=request.method,
        target=request.target,
        url=hooks.public_url,
        client=request.client,
        max_body=hooks.max_body,
        content_encodings=hooks.sender.content_encodings,
    )
