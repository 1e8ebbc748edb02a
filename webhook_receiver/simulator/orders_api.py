"""The orders API: read, list and cancel orders."""

from __future__ import annotations

from operator import attrgetter

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from ..events import OrderStatus
from ..senders.up42.models import CANCELLATION, ORDER, ORDERS, Order
from .envelope import Paging, paged, query
from .simulator import Simulator
from .tokens import guarded


class OrdersQuery(Paging):
    """Which orders are wanted (SDK, docs); `orderIds`, parted by commas, is of newer SDKs."""

    workspace_id: str | None = None
    type: str | None = None
    status: tuple[OrderStatus, ...] = ()
    sub_status: tuple[str, ...] = ()
    display_name: str | None = None
    """What its name contains."""
    tags: tuple[str, ...] = ()
    """Any of them."""
    order_ids: str | None = None

    def fits(self, order: Order) -> bool:
        """Whether an order is wanted."""
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


def routes(sender: Simulator) -> list[BaseRoute]:
    """Return the routes of the orders API."""
    return [
        guarded(sender, ORDERS, all_orders),
        guarded(sender, ORDER, get),
        guarded(sender, CANCELLATION, cancel, "POST"),
    ]


async def all_orders(sender: Simulator, request: Request) -> Response:
    """List orders, a page of them."""
    wanted = query(request, OrdersQuery)
    found = [each.order for each in sender.state.orders if wanted.fits(each.order)]
    return paged(found, wanted, _KEYS)


async def get(sender: Simulator, request: Request) -> Response:
    """Return an order, bare."""
    return JSONResponse(sender.order(request.path_params["order_id"]).order.as_json())


async def cancel(sender: Simulator, request: Request) -> Response:
    """Cancel an order that can be cancelled."""
    order = sender.cancel(request.path_params["order_id"])
    return JSONResponse({"orderId": order.id, "status": order.status})
