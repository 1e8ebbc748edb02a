"""The sender as an ASGI app: UP42's API, and the control API beside it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException

from ..errors import ApiError
from . import access, assets, control, management, orders
from .play import Sender
from .wire import refused


def sender_app(sender: Sender) -> Starlette:
    """Return the app that serves a sender. Its lifespan makes the sender deliver, so serve it as an app of its own."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[None]:
        async with sender:
            yield

    return Starlette(
        routes=[part for module in (access, management, orders, assets, control) for part in module.routes(sender)],
        exception_handlers={ApiError: refused, HTTPException: refused},
        lifespan=lifespan,
    )
