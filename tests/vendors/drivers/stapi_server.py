"""A server of STAPI by stapi-fastapi, with orders in memory: `python stapi_server.py PORT`.

It runs in the environment of that package. `POST /test/ID/STATUS?created=TIME` makes an order, or changes its status.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

stapi, server = import_module("stapi_pydantic"), import_module("stapi_fastapi.routers.root_router")
fastapi, returns, maybe = import_module("fastapi"), import_module("returns.result"), import_module("returns.maybe")

ORDERS: dict[str, Any] = {}
POINT = {"type": "Point", "coordinates": [0.0, 0.0]}


async def get_orders(token: str | None, limit: int, request: Any) -> Any:
    first = int(token or 0)
    found = list(ORDERS.values())
    following = maybe.Some(str(first + limit)) if first + limit < len(found) else maybe.Nothing
    page = [each.model_copy(deep=True) for each in found[first : first + limit]]  # to which the router adds links
    return returns.Success((page, following, maybe.Some(len(found))))


async def get_order(id: str, request: Any) -> Any:
    found = ORDERS.get(id)
    return returns.Success(maybe.Some(found.model_copy(deep=True)) if found else maybe.Nothing)


def put(id: str, status: str, created: str) -> None:
    wanted = {"datetime": "2026-01-01T00:00:00Z/2026-01-02T00:00:00Z", "geometry": POINT}
    properties = {
        "product_id": "p-1",
        "created": ORDERS[id].properties.created if id in ORDERS else created,
        "status": {"timestamp": datetime.now(UTC), "status_code": status},
        "search_parameters": wanted,
        "opportunity_properties": {},
        "order_parameters": {},
    }
    order = {"type": "Feature", "id": id, "geometry": POINT, "properties": properties}
    ORDERS[id] = stapi.Order[stapi.OrderStatus].model_validate(order)


def main(port: int) -> None:
    app = fastapi.FastAPI()
    app.include_router(server.RootRouter(get_orders=get_orders, get_order=get_order))
    app.post("/test/{id}/{status}")(put)
    import_module("uvicorn").run(app, port=port, log_level="info")


if __name__ == "__main__":
    main(int(sys.argv[1]))
