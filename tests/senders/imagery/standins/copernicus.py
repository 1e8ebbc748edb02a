"""The Copernicus Data Space Ecosystem, as in eu-cdse/documentation: a PULL subscription, and production orders."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from .base import StandIn, get, not_found

SUBSCRIPTION = "991c4730-cf6f-432a-9f6c-47be0230ff45"


class CopernicusQueue(StandIn):
    """The queue of a PULL subscription: what is acknowledged is gone, and all before it."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: list[dict[str, Any]] = []
        self.is_there = True

    @property
    def routes(self) -> list[BaseRoute]:
        return [
            get("/Subscriptions({id})/Read", self.read),
            get("/Subscriptions({id})/Ack", self.ack, "POST"),
        ]

    def put(self, id: str, status: str, at: str, **more: Any) -> None:
        self.queue.append(
            {
                "@odata.context": "$metadata#Notification/$entity",
                "SubscriptionEvent": status,
                "ProductId": id,
                "ProductName": f"{id}.SAFE",
                "SubscriptionId": SUBSCRIPTION,
                "NotificationDate": at,
                "AckId": f"ack {id} {len(self.queue)}+=",
                "value": {"Id": id, "Name": f"{id}.SAFE"},
                **more,
            }
        )

    def remove(self, id: str) -> None:
        self.queue = [each for each in self.queue if each["ProductId"] != id]

    def read(self, request: Request) -> Response:
        top = int(request.query_params.get("$top", 1))
        if not self.is_there or request.path_params["id"] != SUBSCRIPTION:
            return self._gone()
        return JSONResponse(self.queue[: min(top, 20)])

    def ack(self, request: Request) -> Response:
        if not self.is_there:
            return self._gone()
        ids = [each["AckId"] for each in self.queue]
        found = request.query_params.get("$ackid")
        if found not in ids:
            return JSONResponse({"detail": {"message": "unknown ackid", "request_id": "r"}}, 400)
        number = ids.index(found) + 1
        del self.queue[:number]
        length = {"CurrentQueueLength": len(self.queue), "MaxQueueLength": 100000}
        return JSONResponse({"@odata.context": "$metadata#Notification/$entity", "AckMessagesNum": number, **length})

    def _gone(self) -> Response:
        return not_found(detail={"message": f"Subscription with id {SUBSCRIPTION} not found.", "request_id": "r"})


class CopernicusProduction(StandIn):
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
