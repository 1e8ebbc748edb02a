"""`serve`: the receiver under uvicorn, with a health check beside it."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from copy import deepcopy
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from uvicorn.config import LOGGING_CONFIG

from ..receiver import WebhookReceiver
from .app_loader import inbox_of, load

logger = logging.getLogger("webhook_receiver")

TARGET = "WEBHOOK_RECEIVER_TARGET"
PATH = "WEBHOOK_RECEIVER_PATH"
_PATIENCE = 1.0  # seconds for idle threads to end


def run(target: str, path: str, **options: Any) -> None:
    """Serve `target` at `path` until it is told to stop. `options` are uvicorn's."""
    os.environ |= {TARGET: target, PATH: path}  # for the processes that workers and reload start
    code: object = 0
    try:
        uvicorn.run(
            f"{__name__}:app",
            factory=True,
            lifespan="on",
            access_log=False,  # it would hold what strangers put into a path; the receiver has its own lines
            ws="none",  # and so would what uvicorn logs of a WebSocket that is refused
            log_config=log_config(),
            app_dir=os.getcwd(),
            **options,
        )
    except SystemExit as ended:
        code = ended.code
        raise
    finally:
        leave_threads_behind(code if isinstance(code, int) else 1)


def leave_threads_behind(code: int) -> None:
    """End the process now if a handler is stuck in its thread, for Python would wait for it.

    This concerns Ctrl-C where the server is in this process: uvicorn ends every other one by the signal it got.
    """
    others = [each for each in threading.enumerate() if each is not threading.current_thread() and not each.daemon]
    deadline = time.monotonic() + _PATIENCE
    for each in others:
        each.join(max(0.0, deadline - time.monotonic()))
    stuck = sum(each.is_alive() for each in others)
    if stuck:
        logger.error("the process ends although %d of its threads still run: a handler in one does not end", stuck)
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def app() -> Starlette:
    """Make the app in the process that serves it."""
    if reconfigure := getattr(sys.stdout, "reconfigure", None):
        reconfigure(line_buffering=True)  # what handlers print is to be seen at once, in a container's log too
    return beside_health(load(os.environ[TARGET]), os.environ[PATH])


def beside_health(hooks: WebhookReceiver, path: str) -> Starlette:
    """Return an app with the receiver at `path` and a health check at `/healthz`."""

    async def health(request: Request) -> Response:
        found = await hooks.health()
        return JSONResponse(found.as_json(), 200 if found.ok else 503)

    return Starlette(routes=[Route("/healthz", health), hooks.route(path)], lifespan=hooks.lifespan)


async def try_inbox(hooks: WebhookReceiver) -> None:
    """Open the receiver's inbox once, so that one that cannot work is told in a sentence before anything is served.

    Raises:
        ConfigurationError: it can never work.
        InboxError: it cannot be used now.
    """
    inbox = inbox_of(hooks)
    if inbox is not None:
        await inbox.open()
        await inbox.close()


def log_config() -> dict[str, Any]:
    """Return uvicorn's logging, with the receiver's lines among its own."""
    config = deepcopy(LOGGING_CONFIG)
    config["loggers"]["webhook_receiver"] = {"handlers": ["default"], "level": "INFO", "propagate": False}
    config["loggers"]["psycopg.pool"] = {"level": "ERROR"}  # the receiver says once that the server is away
    return config
