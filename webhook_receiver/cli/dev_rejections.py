"""Rejected requests of the server of `dev`: taken from its process, and explained here.

They come through a socket of the file system, in a folder that is this user's only.
"""

from __future__ import annotations

import os
import socketserver
from collections.abc import Generator
from contextlib import contextmanager, suppress
from tempfile import TemporaryDirectory
from threading import Thread

from ..capture.rejected_request import MOST_OF_A_BODY, RejectedRequest
from ..explain import Explanation
from ..explain import explain as explained
from ..inspector.rejections import Rejections
from ..receiver import WebhookReceiver
from .request import ITS_OWN, sender_of

_MOST = 2 * MOST_OF_A_BODY  # bytes of a message
_PATIENCE = 5.0  # seconds for one


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = 100


@contextmanager
def taken(rejections: Rejections) -> Generator[str]:
    """Take the requests that are handed over until this is left; yield the path of the socket."""

    class Handler(socketserver.StreamRequestHandler):
        timeout = _PATIENCE

        def handle(self) -> None:
            with suppress(OSError, ValueError):  # its process was ended meanwhile
                rejections.add(RejectedRequest.from_bytes(self.rfile.read(_MOST)))

    with TemporaryDirectory(prefix="webhook-receiver-") as folder:
        path = os.path.join(folder, "rejected")
        with _Server(path, Handler) as server:
            thread = Thread(target=server.serve_forever, args=(0.1,))
            thread.start()
            try:
                yield path
            finally:
                server.shutdown()
                thread.join()


def explain(hooks: WebhookReceiver, request: RejectedRequest) -> Explanation | None:
    """Return why a receiver rejected a request; None where its body was not read to its end."""
    if not request.is_whole:
        return None
    return explained(
        request.headers,
        request.body,
        [ITS_OWN],
        make=sender_of(hooks).preset.make_for(request.headers),
        now=request.at,
        method=request.method,
        target=request.target,
        url=hooks.public_url,
        client=request.client,
        max_body=hooks.max_body,
        content_encodings=hooks.sender.content_encodings,
    )
