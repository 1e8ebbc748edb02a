"""The Copernicus Data Space Ecosystem's production orders.

As in eu-cdse/documentation, APIs/On-Demand Production API.qmd. Nobody is notified: the field for
it is said to be not used. The errors, and the answer to a new order, are modelled.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from .base import Files, ProviderApi, get, not_found, number_of, post


class CopernicusProduction(ProviderApi):
    """Production orders. Pages are those of OData: they are not documented."""

    stages = ("queued", "in progress", "completed")
    failed = "failed"

    def __init__(self) -> None:
        super().__init__()
        self.orders: dict[str, dict[str, Any]] = {}

    @property
    def routes(self) -> list[BaseRoute]:
        return [
            get("/ProductionOrders", self.page),
            get("/ProductionOrders({id})", self.one),
            post("/ProductionOrder/OData.CSC.Order", self.order),
        ]

    def create(self, files: Files | None = None, **more: Any) -> str:
        id = str(1_000_000 + len(self.orders))
        self.put(id, self.stages[0], self.now, **more)
        return id

    def put(self, id: str, status: str, at: str, **more: Any) -> None:
        self.orders[id] = {
            "Id": id,
            "SubmissionDate": at,
            "Name": f"order {id}",
            "InputProductReference": {"Reference": "S1A.SAFE", "ContentDate": None},
            "WorkflowName": "card_bs",
            "WorkflowOptions": [],
            "Priority": 1,
            **self.orders.get(id, {}),
            "Status": status,
            "StatusMessage": status,
            **more,
        }
        self.changed(id, status)

    def remove(self, id: str) -> None:
        del self.orders[id]

    def page(self, request: Request) -> Response:
        """Return a page of the listing."""
        first = number_of(request, "$skip", 0)
        found = list(self.orders.values())
        page: dict[str, Any] = {
            "@odata.context": "$metadata#ProductionOrder/$entity",
            "value": found[first : first + self.page_size],
        }
        if first + self.page_size < len(found):
            page["@odata.nextLink"] = str(request.url.include_query_params(**{"$skip": first + self.page_size}))
        return JSONResponse(page)

    def one(self, request: Request) -> Response:
        """Return an order."""
        found = self.orders.get(request.path_params["id"])
        context = "$metadata#ProductionOrder/$entity"
        return JSONResponse({"@odata.context": context, "value": found}) if found else not_found(detail="no such order")

    def order(self, request: Request, wanted: dict[str, Any]) -> Response:
        """Order that a product be processed."""
        if not isinstance(wanted.get("WorkflowName"), str):
            return JSONResponse({"detail": "WorkflowName is missing"}, 422)
        names = ("WorkflowName", "InputProductReference", "WorkflowOptions", "Priority", "Name")
        id = self.create(**{name: wanted[name] for name in names if name in wanted})
        return JSONResponse({"@odata.context": "$metadata#OData.CSC.Order", "value": self.orders[id]}, 201)
