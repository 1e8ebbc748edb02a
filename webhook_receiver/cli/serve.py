"""`serve`: the receiver under uvicorn, with a health check beside it."""

from __future__ import annotations

import os
import sys
from copy import deepcopy
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from uvicorn.config import LOGGING_CONFIG

from ..receiver import WebhookReceiver
from .target import load

TARGET = "WEBHOOK_RECEIVER_TARGET"
PATH = "WEBHOOK_RECEIVER_PATH"


def run(target: str, path: str, **options: Any) -> None:
    """Serve `target` at `path` until it is told to stop. `options` are uvicorn's."""
    os.environ |= {TARGET: target, PATH: path}  # for the processes that workers and reload start
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


def app() -> Starlette:
    """Make the app in the process that serves it."""
    if reconfigure := getattr(sys.stdout, "reconfigure", None):
        reconfigure(line_buffering=True)  # what handlers print is to be seen at once, in a container's log too
    return beside_health(load(os.environ[TARGET]), os.environ[PATH])


def beside_health(hooks: WebhookReceiver, path: str) -> Starlette:
    """Return an app with the receiver at `path` and a health check at `/healthz`."""

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    return Starlette(routes=[Route("/healthz", health), hooks.route(path)], lifespan=hooks.lifespan)


def log_config() -> dict[str, Any]:
    """Return uvicorn's logging, with the receiver's lines among its own."""
    config = deepcopy(LOGGING_CONFIG)
    config["loggers"]["webhook_receiver"] = {"handlers": ["default"], "level": "INFO", "propagate": False}
    return config
