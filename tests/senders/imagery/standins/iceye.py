"""ICEYE's tasks, as in a copy of the OpenAPI of its Tasking API 2.0.0; the order of a listing is not specified."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from webhook_receiver.simulator.providers.base import KEY, ProviderApi, get, moment, not_found


class Iceye(ProviderApi):
    """Tasks, with a filter of the time when they were created."""

    base = "/tasking/v2/tasks"

    def __init__(self) -> None:
        super().__init__()
        self.tasks: dict[str, dict[str, Any]] = {}

    @property
    def routes(self) -> list[BaseRoute]:
        return [get(self.base, self.page), get(self.base + "/{id}", self.one)]

    def refusal(self) -> Response:
        return JSONResponse({"code": "ERR_UNAUTHORISED", "message": f"no {KEY}"}, 401)

    def put(self, id: str, status: str, at: str, **more: Any) -> None:
        known = self.tasks.get(id, {"createdAt": at})
        self.tasks[id] = {
            "id": id,
            "contractID": "c-1",
            "status": status,
            "createdAt": known["createdAt"],
            "updatedAt": at,
            "pointOfInterest": {"lat": 0, "lon": 0},
            "imagingMode": "SPOTLIGHT",
            **more,
        }

    def remove(self, id: str) -> None:
        del self.tasks[id]

    def page(self, request: Request) -> Response:
        query = request.query_params
        found = [
            task
            for task in self.tasks.values()
            if "createdAfter" not in query or moment(task["createdAt"]) > moment(query["createdAfter"])
        ]
        first, size = int(query.get("cursor", 0)), min(int(query.get("limit", 100)), self.page_size)
        page: dict[str, Any] = {"data": found[first : first + size]}
        if first + size < len(found):
            page["cursor"] = str(first + size)
        return JSONResponse(page)

    def one(self, request: Request) -> Response:
        found = self.tasks.get(request.path_params["id"])
        return JSONResponse(found) if found else not_found(code="ERR_NOT_FOUND", message="no such task")
