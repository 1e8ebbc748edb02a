"""The orders API: read, list and cancel orders."""

from __future__ import annotations

from operator import attrgetter

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from ..senders.up42.models import CANCELLATION, ORDER, ORDERS, Order, SpeltStatus
from .envelope import Paging, paged, query
from .simulator import Simulator
from .tokens import guarded


class OrdersQuery(Paging):
    """The query of a list of orders (SDK, docs); `orderIds`, separated by commas, is of newer SDKs."""

    workspace_id: str | None = None
    type: str | None = None
    status: tuple[SpeltStatus, ...] = ()
    sub_status: tuple[str, ...] = ()
    display_name: str | None = None
    """A text that the order's name contains."""
    tags: tuple[str, ...] = ()
    """Tags; an order matches that has any of them."""
    order_ids: str | None = None

    def fits(self, order: Order) -> bool:
        """Whether an order matches the query."""
        sub_status = (order.order_details or {}).get("subStatus")
        ids = self.order_ids.split(",") if self.order_ids else None
        return (
            self.workspace_id in (None, order.workspace_id)
            and self.type in (None, order.type)
            and (not self.status or order.status in self.status)
            and (not self.sub_status or sub_status in self.sub_status)
            and (self.display_name or "").lower() in order.display_name.lower()
            and (not self.tags or not set(self.tags).isdisjoint(order.tags or ()))
            and (ids is None or order.id in ids)
        )


_KEYS = {
    "createdAt": attrgetter("created_at"),
    "updatedAt": attrgetter("updated_at"),
    "type": attrgetter("type"),
    "status": attrgetter("status"),
}


def routes(simulator: Simulator) -> list[BaseRoute]:
    """Return the routes of the orders API."""
    return [
        guarded(simulator, ORDERS, all_orders),
        guarded(simulator, ORDER, get),
        guarded(simulator, CANCELLATION, cancel, "POST"),
    ]


async def all_orders(simulator: Simulator, request: Request) -> Response:
    """Return one page of the list of orders."""
    wanted = query(request, OrdersQuery)
    found = [each.order for each in simulator.store.orders if wanted.fits(each.order)]
    return paged(found, wanted, _KEYS)


async def get(simulator: Simulator, request: Request) -> Response:
    """Return an order, without an envelope."""
    return JSONResponse(simulator.order(request.path_params["order_id"]).order.as_json())


async def cancel(simulator: Simulator, request: Request) -> Response:
    """Cancel an order that can be cancelled; return its id and status."""
    order = simulator.cancel(request.path_params["order_id"])
    return JSONResponse({"orderId": order.id, "status": order.status})
