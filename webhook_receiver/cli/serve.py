"""`serve`: serve a receiver with uvicorn, and a health check."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from copy import deepcopy
from math import ceil
from typing import Any, TypeVar

import uvicorn
from starlette.applications import Starlette
from typer import BadParameter
from uvicorn.config import LOGGING_CONFIG

from ..options import WorkerOptions
from ..receiver import WebhookReceiver
from .app_loader import inbox_of, load

logger = logging.getLogger("webhook_receiver")

T = TypeVar("T")

TARGET = "WEBHOOK_RECEIVER_TARGET"
PATH = "WEBHOOK_RECEIVER_PATH"
HEALTH = "/healthz"
_PATIENCE = 1.0  # seconds for idle threads to end


def run(target: str, path: str, **options: Any) -> None:
    """Serve the receiver `target`, given as module:hooks, at `path` until a signal ends it. `options` are uvicorn's."""
    os.environ |= {TARGET: target, PATH: path}  # for the processes that workers and reload start
    code: object = 0
    try:
        uvicorn.run(
            f"{__name__}:app",
            factory=True,
            lifespan="on",
            access_log=False,  # it would hold paths that strangers chose; the receiver logs its own lines
            ws="none",  # so would uvicorn's line about a rejected WebSocket
            log_config=log_config(),
            app_dir=os.getcwd(),
            **options,
        )
    except SystemExit as ended:
        code = ended.code
        raise
    finally:
        leave_threads_behind(code if isinstance(code, int) else 1)


def grace(hooks: WebhookReceiver) -> int:
    """Return the seconds that requests under way have to end when the server stops.

    With an inbox a request is a commit, and the handlers of stored deliveries are waited for afterwards; without one
    its handlers run meanwhile. What is cut off was not acknowledged.
    """
    return 1 if inbox_of(hooks) is not None else ceil(WorkerOptions().stop)


def leave_threads_behind(code: int) -> None:
    """Exit with `code` at once if a handler is stuck in a thread, since Python would wait for the thread.

    This concerns Ctrl-C if the server runs in this process: uvicorn ends other processes by signals.
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
    """Return the app; called in each process that serves it."""
    if reconfigure := getattr(sys.stdout, "reconfigure", None):
        reconfigure(line_buffering=True)  # so that prints of handlers appear in a container's log at once
    return beside_health(loaded_again(load, os.environ[TARGET]), os.environ[PATH])


def loaded_again(load: Callable[[str], T], target: str) -> T:
    """Return what `load` loads, in a process that uvicorn starts; log why it cannot, and exit.

    That is after a change of the module, when nobody but uvicorn is there to tell it.
    """
    try:
        return load(target)
    except BadParameter as error:
        logger.error("%s", error.message)
        sys.exit(1)


def beside_health(hooks: WebhookReceiver, path: str) -> Starlette:
    """Return an app with the receiver at `path` and its health at `/healthz`."""
    return Starlette(routes=[hooks.health_route(HEALTH), hooks.route(path)], lifespan=hooks.lifespan)


def health_server(hooks: WebhookReceiver, host: str, port: int) -> uvicorn.Server:
    """Return a server of the receiver's health alone, at `/healthz`, for a worker that runs in the same event loop."""
    app = Starlette(routes=[hooks.health_route(HEALTH)])
    options: dict[str, Any] = {"host": host, "port": port, "log_config": log_config(), "timeout_graceful_shutdown": 1}
    return uvicorn.Server(uvicorn.Config(app, lifespan="off", access_log=False, ws="none", **options))


async def try_inbox(hooks: WebhookReceiver) -> None:
    """Open and close the receiver's inbox, so that an error is reported before anything is served.

    Raises:
        ConfigurationError: the inbox is misconfigured, or the receiver's name in it is another sender's.
        InboxError: the inbox cannot be used now.
    """
    inbox = inbox_of(hooks)
    if inbox is not None:
        await hooks.runtime.open()
        await inbox.close()


class CutOff(logging.Filter):
    """Leaves out the tracebacks of requests that are cut off when the server stops: a line has told their number."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is none of them."""
        return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))


def log_config() -> dict[str, Any]:
    """Return uvicorn's logging configuration, extended by the receiver's logger."""
    config = deepcopy(LOGGING_CONFIG)
    config["loggers"]["webhook_receiver"] = {"handlers": ["default"], "level": "INFO", "propagate": False}
    config["filters"] = {"cut off": {"()": f"{__name__}.CutOff"}}
    config["loggers"]["uvicorn.error"]["filters"] = ["cut off"]
    config["loggers"]["psycopg.pool"] = {"level": "ERROR"}  # the receiver logs once that the server is away
    return config
