"""Sentinel Hub's batch requests, as in the OpenAPI of API v2 and in the package sentinelhub 3.12.0."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from webhook_receiver.simulator.providers.base import KEY, ProviderApi, get, moment, not_found


class SentinelHub(ProviderApi):
    """Batch processing requests, with pages by `viewtoken`."""

    base = "/api/v2/batch/process"

    def __init__(self) -> None:
        super().__init__()
        self.requests: dict[str, dict[str, Any]] = {}

    @property
    def routes(self) -> list[BaseRoute]:
        return [get(self.base, self.page), get(self.base + "/{id}", self.one)]

    def refusal(self) -> Response:
        error = {"status": 401, "reason": "Unauthorized", "message": f"no {KEY}", "code": "COMMON_UNAUTHORIZED"}
        return JSONResponse({"error": error}, 401)

    def put(self, id: str, status: str, at: str, **more: Any) -> None:
        known = self.requests.get(id, {"created": at})
        self.requests[id] = {
            "id": id,
            "domainAccountId": "a-1",
            "status": status,
            "userAction": "START",
            "created": known["created"],
            "lastUpdated": at,
            "completionPercentage": 0,
            "request": {},
            **more,
        }

    def remove(self, id: str) -> None:
        del self.requests[id]

    def page(self, request: Request) -> Response:
        query = request.query_params
        found = list(self.requests.values())
        if query.get("sort", "").startswith("created"):
            found.sort(key=lambda each: moment(each["created"]), reverse=query["sort"].endswith(":desc"))
        first = int(query.get("viewtoken", 0))
        links: dict[str, str] = {"@id": str(request.url)}
        if first + self.page_size < len(found):
            links["nextToken"] = str(first + self.page_size)
            links["next"] = str(request.url.include_query_params(viewtoken=first + self.page_size))
        return JSONResponse({"data": found[first : first + self.page_size], "links": links})

    def one(self, request: Request) -> Response:
        found = self.requests.get(request.path_params["id"])
        return JSONResponse(found) if found else not_found(error={"status": 404, "message": "no such request"})
