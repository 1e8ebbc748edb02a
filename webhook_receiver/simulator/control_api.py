"""The control API, the sender's own, at /_sender: orders that move, what was delivered, and mischief.

It asks for no token, so serve it to the loopback only.

GET  /_sender                           what there is, in numbers
GET  /_sender/orders?status=            orders, newest first
POST /_sender/orders                    create orders: count, status, displayName, type, tags, assets, assetSize
POST /_sender/orders/{id}/status        move one: {"status": "FULFILLED"}
POST /_sender/orders/{id}/walk          move one through its statuses: {"to": "FULFILLED", "pace": 1} (seconds)
GET  /_sender/deliveries?orderId=       deliveries with their attempts, newest first
POST /_sender/deliveries/{id}/replay    deliver the same body again
GET  /_sender/mischief                  what is done to deliveries
PUT  /_sender/mischief                  do this from now on; {} does no harm any more
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Annotated

from pydantic import ConfigDict, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from ..events import OrderStatus
from ..senders.up42.models import Resource
from .envelope import plain, query, read
from .factories import NewOrders
from .faults import FaultPlan
from .simulator import Simulator
from .tokens import Endpoint

ROOT = "/_sender"
ORDERS = ROOT + "/orders"
STATUS = ORDERS + "/{order_id}/status"
WALK = ORDERS + "/{order_id}/walk"
DELIVERIES = ROOT + "/deliveries"
REPLAY = DELIVERIES + "/{delivery_id}/replay"
MISCHIEF = ROOT + "/mischief"


class Move(Resource):
    """What an order is to become."""

    model_config = ConfigDict(extra="forbid")

    status: OrderStatus


class Walk(Resource):
    """Where an order is to end, and how fast it gets there."""

    model_config = ConfigDict(extra="forbid")

    to: OrderStatus = OrderStatus.FULFILLED
    pace: Annotated[float, Field(ge=0, le=86_400)] = 1.0


class ListQuery(Resource):
    """Which orders or deliveries are wanted."""

    status: tuple[OrderStatus, ...] = ()
    order_id: str | None = None
    limit: Annotated[int, Field(ge=1)] = 100


def routes(sender: Simulator) -> list[BaseRoute]:
    """Return the routes of the control API."""

    def route(path: str, endpoint: Endpoint, method: str = "GET") -> BaseRoute:
        return Route(path, partial(endpoint, sender), methods=[method])

    return [
        route(ROOT, overview),
        route(ORDERS, orders),
        route(ORDERS, create, "POST"),
        route(STATUS, move, "POST"),
        route(WALK, walk, "POST"),
        route(DELIVERIES, deliveries),
        route(REPLAY, replay, "POST"),
        route(MISCHIEF, mischief),
        route(MISCHIEF, use, "PUT"),
    ]


async def overview(sender: Simulator, request: Request) -> Response:
    """Tell what there is, in numbers."""
    state = sender.state
    return JSONResponse(
        {
            "workspaceId": sender.options.workspace_id,
            "webhooks": len(state.webhooks),
            "orders": Counter(each.order.status for each in state.orders),
            "deliveries": Counter(each.ended or "waiting" for each in state.outgoing),
        }
    )


async def orders(sender: Simulator, request: Request) -> Response:
    """List orders, newest first."""
    wanted = query(request, ListQuery)
    found = [each.order for each in sender.state.orders if not wanted.status or each.order.status in wanted.status]
    return JSONResponse(plain(found[::-1][: wanted.limit]))


async def create(sender: Simulator, request: Request) -> Response:
    """Create orders."""
    return JSONResponse(plain(sender.create(await read(request, NewOrders, empty=b"{}"))))


async def move(sender: Simulator, request: Request) -> Response:
    """Give an order another status."""
    wanted = await read(request, Move)
    return JSONResponse(sender.move(request.path_params["order_id"], wanted.status).as_json())


async def walk(sender: Simulator, request: Request) -> Response:
    """Have an order move through its statuses; answer with those to come."""
    wanted = await read(request, Walk, empty=b"{}")
    return JSONResponse([*sender.walk(request.path_params["order_id"], wanted.to, pace=wanted.pace)], 202)


async def deliveries(sender: Simulator, request: Request) -> Response:
    """List deliveries with their attempts, newest first."""
    wanted = query(request, ListQuery)
    found = [each for each in sender.state.outgoing if wanted.order_id in (None, each.order_id)]
    return JSONResponse(plain(found[::-1][: wanted.limit]))


async def replay(sender: Simulator, request: Request) -> Response:
    """Deliver the same body again."""
    return JSONResponse(sender.replay(request.path_params["delivery_id"]).as_json(), 202)


async def mischief(sender: Simulator, request: Request) -> Response:
    """Tell what is done to deliveries."""
    return JSONResponse(sender.mischief.as_json())


async def use(sender: Simulator, request: Request) -> Response:
    """Do this to the deliveries that are made from now on."""
    sender.mischief = await read(request, FaultPlan)
    return JSONResponse(sender.mischief.as_json())
