"""The simulator of a provider as an ASGI app: the provider's API, and beside it the simulator's control API.

The control API is that of the simulator of UP42, as far as it is about any provider. FULFILLED and FAILED_PERMANENTLY
stand for the provider's own words.

GET  /_simulator                           numbers of webhooks, orders and deliveries
GET  /_simulator/orders                    orders, newest first
POST /_simulator/orders                    create orders: count, assets, assetSize
POST /_simulator/orders/{id}/status        set an order's status: {"status": "FULFILLED"}
POST /_simulator/orders/{id}/walk          move an order through its statuses: {"to": "FULFILLED", "pace": 1} (seconds)
POST /_simulator/answers                   answer the next requests so: {"status": 429, "headers": {}, "count": 1}
     /_simulator/deliveries, /_simulator/faults as of the simulator of UP42
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from pydantic import ConfigDict, Field
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount

from ...errors import ApiError
from ...senders.up42.models import Resource
from .. import control_api
from ..control_api import FAULTS, ORDERS, ROOT, STATUS, WALK, route
from ..envelope import error_response, query, read
from ..faults import FaultPlan
from .base import Files
from .simulator import ProviderSimulator

ANSWERS = ROOT + "/answers"


class NewOrders(Resource):
    """A request to create orders. What only UP42 has is left out of account."""

    count: Annotated[int, Field(ge=1, le=10_000)] = 1
    status: str = "CREATED"
    """Their status, if it is another one than the first."""
    assets: Annotated[int, Field(ge=1, le=1000)] = 1
    """The number of images of each order, where the provider has several."""
    asset_size: Annotated[int, Field(ge=0, le=1 << 40)] = 1 << 20
    """The size of each image, in bytes."""


class Move(Resource):
    """A request to set an order's status."""

    model_config = ConfigDict(extra="forbid")

    status: Annotated[str, Field(min_length=1, max_length=100)]


class Walk(Resource):
    """A request to move an order through its statuses to a last one."""

    model_config = ConfigDict(extra="forbid")

    to: Annotated[str, Field(min_length=1, max_length=100)] = "FULFILLED"
    pace: Annotated[float, Field(ge=0, le=86_400)] = 1.0
    """Seconds between two statuses."""


class Answers(Resource):
    """A request to answer the next requests to the API in place of it."""

    model_config = ConfigDict(extra="forbid")

    status: Annotated[int, Field(ge=200, le=599)] = 503
    headers: Annotated[dict[str, str], Field(default_factory=dict[str, str])]
    text: str = ""
    """The body."""
    count: Annotated[int, Field(ge=1, le=10_000)] = 1


class ListQuery(Resource):
    """The query of a list of orders."""

    status: tuple[str, ...] = ()
    limit: Annotated[int, Field(ge=1)] = 100


def provider_app(simulator: ProviderSimulator) -> Starlette:
    """Return the ASGI app that serves the simulator of a provider.

    Deliveries are made while the app's lifespan runs, so serve it as an app of its own.
    """

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[None]:
        async with simulator:
            yield

    return Starlette(
        routes=[
            route(simulator, ROOT, overview),
            route(simulator, ORDERS, orders),
            route(simulator, ORDERS, create, "POST"),
            route(simulator, STATUS, move, "POST"),
            route(simulator, WALK, walk, "POST"),
            route(simulator, ANSWERS, answer, "POST"),
            *control_api.delivery_routes(simulator),
            route(simulator, FAULTS, set_faults, "PUT"),
            Mount("/", simulator.api),
        ],
        exception_handlers={ApiError: error_response, HTTPException: error_response},
        lifespan=lifespan,
    )


async def overview(simulator: ProviderSimulator, request: Request) -> Response:
    """Return the numbers of webhooks, and of orders and deliveries by status."""
    store = simulator.store
    return JSONResponse(
        {
            "provider": simulator.provider,
            "webhooks": len(store.webhooks),
            "orders": Counter(simulator.orders.values()),
            "deliveries": Counter(each.ended or "waiting" for each in store.outgoing),
        }
    )


async def orders(simulator: ProviderSimulator, request: Request) -> Response:
    """Return orders, newest first."""
    wanted = query(request, ListQuery)
    found = [id for id, status in simulator.orders.items() if not wanted.status or status in wanted.status]
    return JSONResponse([_shown(simulator, id) for id in found[::-1][: wanted.limit]])


async def create(simulator: ProviderSimulator, request: Request) -> Response:
    """Create orders, and return them."""
    wanted = await read(request, NewOrders, empty=b"{}")
    simulator.api.url = str(request.base_url).rstrip("/")
    made = simulator.create(wanted.count, Files(wanted.assets, wanted.asset_size))
    if wanted.status != "CREATED":
        for id in made:
            simulator.move(id, wanted.status)
    return JSONResponse([_shown(simulator, id) for id in made])


async def move(simulator: ProviderSimulator, request: Request) -> Response:
    """Set an order's status, and return the order."""
    wanted, id = await read(request, Move), request.path_params["order_id"]
    simulator.move(id, wanted.status)
    return JSONResponse(_shown(simulator, id))


async def walk(simulator: ProviderSimulator, request: Request) -> Response:
    """Move an order through its statuses; return those to come."""
    wanted = await read(request, Walk, empty=b"{}")
    return JSONResponse(simulator.walk(request.path_params["order_id"], wanted.to, pace=wanted.pace), 202)


async def answer(simulator: ProviderSimulator, request: Request) -> Response:
    """Answer the next requests to the API in place of it."""
    wanted = await read(request, Answers)
    simulator.api.answers += [
        Response(wanted.text, wanted.status, wanted.headers, "application/json") for _ in range(wanted.count)
    ]
    return JSONResponse({"waiting": len(simulator.api.answers)}, 202)


async def set_faults(simulator: ProviderSimulator, request: Request) -> Response:
    """Set the fault plan of the deliveries that are made from now on, and return it."""
    simulator.faults = await read(request, FaultPlan)
    return JSONResponse(simulator.faults.as_json())


def _shown(simulator: ProviderSimulator, id: str) -> dict[str, Any]:
    """Return an order as the commands show orders."""
    return {"id": id, "status": simulator.status(id), "type": simulator.provider, "displayName": ""}
