"""The Copernicus Data Space Ecosystem's production orders; its subscriptions are in the simulator."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from webhook_receiver.simulator.providers.base import ProviderApi, get, not_found


class CopernicusProduction(ProviderApi):
    """Production orders. Pages are those of OData: they are not documented."""

    def __init__(self) -> None:
        super().__init__()
        self.orders: dict[str, dict[str, Any]] = {}

    @property
    def routes(self) -> list[BaseRoute]:
        return [get("/ProductionOrders", self.page), get("/ProductionOrders({id})", self.one)]

    def put(self, id: str, status: str, at: str, **more: Any) -> None:
        known = self.orders.get(id, {"SubmissionDate": at})
        self.orders[id] = {
            "Id": id,
            "Status": status,
            "StatusMessage": status,
            "SubmissionDate": known["SubmissionDate"],
            "Name": f"order {id}",
            "InputProductReference": {"Reference": "S1A.SAFE", "ContentDate": None},
            "WorkflowName": "card_bs",
            "WorkflowOptions": [],
            "Priority": 1,
            **more,
        }

    def remove(self, id: str) -> None:
        del self.orders[id]

    def page(self, request: Request) -> Response:
        first = int(request.query_params.get("$skip", 0))
        found = list(self.orders.values())
        page: dict[str, Any] = {
            "@odata.context": "$metadata#ProductionOrder/$entity",
            "value": found[first : first + self.page_size],
        }
        if first + self.page_size < len(found):
            page["@odata.nextLink"] = str(request.url.include_query_params(**{"$skip": first + self.page_size}))
        return JSONResponse(page)

    def one(self, request: Request) -> Response:
        found = self.orders.get(request.path_params["id"])
        context = "$metadata#ProductionOrder/$entity"
        return JSONResponse({"@odata.context": context, "value": found}) if found else not_found(detail="no such order")
