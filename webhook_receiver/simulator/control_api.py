"""The simulator's control API, at /_simulator: create and move orders, read deliveries, set faults.

It asks for no token, so serve it on the loopback interface only.

GET  /_simulator                           numbers of webhooks, orders and deliveries
GET  /_simulator/orders?status=            orders, newest first
POST /_simulator/orders                    create orders: count, status, displayName, type, tags, assets, assetSize
POST /_simulator/orders/{id}/status        set an order's status: {"status": "FULFILLED"}
POST /_simulator/orders/{id}/walk          move an order through its statuses: {"to": "FULFILLED", "pace": 1} (seconds)
GET  /_simulator/deliveries?orderId=       deliveries with their attempts, newest first
POST /_simulator/deliveries/{id}/replay    deliver the same body again
GET  /_simulator/faults                    the fault plan
PUT  /_simulator/faults                    set the fault plan of deliveries made from now on; {} ends all faults
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, TypeVar

from pydantic import ConfigDict, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from ..events import OrderStatus
from ..senders.up42.models import Resource, SpeltStatus
from .base import BaseSimulator
from .envelope import plain, query, read
from .factories import NewOrders
from .faults import FaultPlan
from .simulator import Simulator

S = TypeVar("S", bound=BaseSimulator)

ROOT = "/_simulator"
ORDERS = ROOT + "/orders"
STATUS = ORDERS + "/{order_id}/status"
WALK = ORDERS + "/{order_id}/walk"
DELIVERIES = ROOT + "/deliveries"
REPLAY = DELIVERIES + "/{delivery_id}/replay"
FAULTS = ROOT + "/faults"


class Move(Resource):
    """A request to set an order's status."""

    model_config = ConfigDict(extra="forbid")

    status: SpeltStatus


class Walk(Resource):
    """A request to move an order through its statuses to a last one."""

    model_config = ConfigDict(extra="forbid")

    to: SpeltStatus = OrderStatus.FULFILLED
    pace: Annotated[float, Field(ge=0, le=86_400)] = 1.0
    """Seconds between two statuses."""


class ListQuery(Resource):
    """The query of a list of orders or of deliveries."""

    status: tuple[SpeltStatus, ...] = ()
    order_id: str | None = None
    limit: Annotated[int, Field(ge=1)] = 100


def routes(simulator: Simulator) -> list[BaseRoute]:
    """Return the routes of the control API."""
    return [
        route(simulator, ROOT, overview),
        route(simulator, ORDERS, orders),
        route(simulator, ORDERS, create, "POST"),
        route(simulator, STATUS, move, "POST"),
        route(simulator, WALK, walk, "POST"),
        *delivery_routes(simulator),
        route(simulator, FAULTS, set_faults, "PUT"),
    ]


def delivery_routes(simulator: BaseSimulator) -> list[BaseRoute]:
    """Return the routes about deliveries, which all simulators have."""
    return [
        route(simulator, DELIVERIES, deliveries),
        route(simulator, REPLAY, replay, "POST"),
        route(simulator, FAULTS, faults),
    ]


def route(
    simulator: S, path: str, endpoint: Callable[[S, Request], Awaitable[Response]], method: str = "GET"
) -> BaseRoute:
    """Return a route to a simulator."""
    return Route(path, partial(endpoint, simulator), methods=[method])


async def overview(simulator: Simulator, request: Request) -> Response:
    """Return the numbers of webhooks, and of orders and deliveries by status."""
    store = simulator.store
    return JSONResponse(
        {
            "workspaceId": simulator.options.workspace_id,
            "webhooks": len(store.webhooks),
            "orders": Counter(each.order.status for each in store.orders),
            "deliveries": Counter(each.ended or "waiting" for each in store.outgoing),
        }
    )


async def orders(simulator: Simulator, request: Request) -> Response:
    """Return orders, newest first."""
    wanted = query(request, ListQuery)
    found = [each.order for each in simulator.store.orders if not wanted.status or each.order.status in wanted.status]
    return JSONResponse(plain(found[::-1][: wanted.limit]))


async def create(simulator: Simulator, request: Request) -> Response:
    """Create orders, and return them."""
    return JSONResponse(plain(simulator.create(await read(request, NewOrders, empty=b"{}"))))


async def move(simulator: Simulator, request: Request) -> Response:
    """Set an order's status, and return the order."""
    wanted = await read(request, Move)
    return JSONResponse(simulator.move(request.path_params["order_id"], wanted.status).as_json())


async def walk(simulator: Simulator, request: Request) -> Response:
    """Move an order through its statuses; return those to come."""
    wanted = await read(request, Walk, empty=b"{}")
    return JSONResponse([*simulator.walk(request.path_params["order_id"], wanted.to, pace=wanted.pace)], 202)


async def deliveries(simulator: BaseSimulator, request: Request) -> Response:
    """Return deliveries with their attempts, newest first."""
    wanted = query(request, ListQuery)
    found = [each for each in simulator.store.outgoing if wanted.order_id in (None, each.order_id)]
    return JSONResponse(plain(found[::-1][: wanted.limit]))


async def replay(simulator: BaseSimulator, request: Request) -> Response:
    """Deliver the same body again, and return the new delivery."""
    return JSONResponse(simulator.replay(request.path_params["delivery_id"]).as_json(), 202)


async def faults(simulator: BaseSimulator, request: Request) -> Response:
    """Return the fault plan."""
    return JSONResponse(simulator.faults.as_json())


async def set_faults(simulator: Simulator, request: Request) -> Response:
    """Set the fault plan of the deliveries that are made from now on, and return it."""
    simulator.faults = await read(request, FaultPlan)
    return JSONResponse(simulator.faults.as_json())
