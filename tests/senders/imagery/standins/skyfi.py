"""SkyFi's orders, as in its OpenAPI 2.0.0+8113881."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from .base import KEY, StandIn, get, moment, not_found


class SkyFi(StandIn):
    """Orders with their events. A listing leaves out the events."""

    def __init__(self) -> None:
        super().__init__()
        self.orders: dict[str, dict[str, Any]] = {}

    @property
    def routes(self) -> list[BaseRoute]:
        return [get("/orders", self.page), get("/orders/{id}", self.one)]

    def lets_in(self, headers: Mapping[str, str]) -> bool:
        return headers.get("x-skyfi-api-key") == KEY

    def refusal(self) -> Response:
        return JSONResponse({"detail": f"invalid key {KEY}"}, 401)

    def put(self, id: str, status: str, at: str, **more: Any) -> None:
        known = self.orders.get(id, {"createdAt": at, "events": []})
        self.orders[id] = {
            "id": id,
            "itemId": id,
            "orderId": f"order-of-{id}",
            "orderCode": "AB12",
            "orderType": "ARCHIVE",
            "orderCost": 100,
            "ownerId": "u-1",
            "status": status,
            "aoi": "POLYGON EMPTY",
            "aoiSqkm": 25.0,
            "archiveId": "a-1",
            "archive": {},
            "deliveryDriver": "S3",
            "downloadImageUrl": f"https://app.skyfi.com/platform-api/orders/{id}/image",
            "downloadPayloadUrl": None,
            "createdAt": known["createdAt"],
            **more,
            "events": [*known["events"], {"status": status, "timestamp": at, "message": None}],
        }

    def remove(self, id: str) -> None:
        del self.orders[id]

    def page(self, request: Request) -> Response:
        query = request.query_params
        found = list(self.orders.values())
        column = query.get("sort_columns", "created_at")
        times = {
            "created_at": lambda each: each["createdAt"],
            "last_modified": lambda each: each["events"][-1]["timestamp"],
        }
        found.sort(key=lambda each: moment(times[column](each)), reverse=query.get("sort_directions", "desc") == "desc")
        number, size = int(query.get("pageNumber", 0)), int(query.get("pageSize", 25))
        if not 1 <= size <= 100:
            return JSONResponse({"detail": [{"loc": ["query", "pageSize"], "msg": "is too large", "type": "v"}]}, 422)
        page = found[number * size : (number + 1) * size]
        orders = [{name: value for name, value in each.items() if name != "events"} for each in page]
        return JSONResponse({"request": dict(query), "total": len(found), "orders": orders})

    def one(self, request: Request) -> Response:
        found = self.orders.get(request.path_params["id"])
        return JSONResponse(found) if found else not_found(detail="Order not found")
