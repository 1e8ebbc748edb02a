"""The orders of a STAPI, as in stapi-spec and in stapi-pydantic 0.1.0; the order of a listing is not specified."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from webhook_receiver.simulator.providers.base import ProviderApi, get, not_found


class Stapi(ProviderApi):
    """Orders, in the order in which they were made."""

    def __init__(self) -> None:
        super().__init__()
        self.orders: dict[str, dict[str, Any]] = {}

    @property
    def routes(self) -> list[BaseRoute]:
        return [get("/orders", self.page), get("/orders/{id}", self.one)]

    def put(self, id: str, status: str, at: str, **more: Any) -> None:
        known = self.orders.get(id)
        wanted = {"datetime": "2026-01-01T00:00:00Z/2026-01-02T00:00:00Z", "geometry": _POINT, "filter": None}
        self.orders[id] = {
            "type": "Feature",
            "stapi_type": "Order",
            "stapi_version": "0.1.0",
            "id": id,
            "geometry": _POINT,
            "properties": {
                "product_id": "p-1",
                "created": at if known is None else known["properties"]["created"],
                "status": {
                    "timestamp": at,
                    "status_code": status,
                    "reason_code": None,
                    "reason_text": None,
                    "links": [],
                },
                "search_parameters": wanted,
                "opportunity_properties": {},
                "order_parameters": {},
                **more,
            },
            "links": [],
        }

    def remove(self, id: str) -> None:
        del self.orders[id]

    def page(self, request: Request) -> Response:
        found = list(self.orders.values())
        first, size = int(request.query_params.get("next", 0)), int(request.query_params.get("limit", 10))
        size = min(size, self.page_size)
        links = []
        if first + size < len(found):
            href = str(request.url.include_query_params(next=first + size, limit=size))
            links.append({"href": href, "rel": "next", "type": "application/json"})
        page = {"type": "FeatureCollection", "features": found[first : first + size], "links": links}
        return JSONResponse(page, media_type="application/geo+json")

    def one(self, request: Request) -> Response:
        found = self.orders.get(request.path_params["id"])
        return JSONResponse(found) if found else not_found(detail="Order not found")


_POINT = {"type": "Point", "coordinates": [0.0, 0.0]}
