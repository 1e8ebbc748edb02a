"""The simulator as an ASGI app: UP42's API, and beside it the simulator's control API."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException

from ..errors import ApiError
from . import assets_api, control_api, orders_api, tokens, webhooks_api
from .envelope import error_response
from .simulator import Simulator


def simulator_app(simulator: Simulator) -> Starlette:
    """Return the ASGI app that serves a simulator.

    Deliveries are made while the app's lifespan runs, so serve it as an app of its own.
    """

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[None]:
        async with simulator:
            yield

    return Starlette(
        routes=[
            part
            for module in (tokens, webhooks_api, orders_api, assets_api, control_api)
            for part in module.routes(simulator)
        ],
        exception_handlers={ApiError: error_response, HTTPException: error_response},
        lifespan=lifespan,
    )
