"""The sender as an ASGI app: UP42's API, and the control API beside it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException

from ..errors import ApiError
from . import assets_api, control_api, orders_api, tokens, webhooks_api
from .envelope import refused
from .simulator import Simulator


def simulator_app(sender: Simulator) -> Starlette:
    """Return the app that serves a sender. Its lifespan makes the sender deliver, so serve it as an app of its own."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[None]:
        async with sender:
            yield

    return Starlette(
        routes=[
            part
            for module in (tokens, webhooks_api, orders_api, assets_api, control_api)
            for part in module.routes(sender)
        ],
        exception_handlers={ApiError: refused, HTTPException: refused},
        lifespan=lifespan,
    )
