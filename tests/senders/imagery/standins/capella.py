"""Capella's tasking requests, as in capella-console-client 0.20.1 and a copy of the OpenAPI of its tasking service."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from webhook_receiver.simulator.providers.base import KEY, ProviderApi, get, interval, moment, not_found

USER = {"id": "u-1", "organizationId": "org-1", "email": "me@example.com"}


class Capella(ProviderApi):
    """Tasking requests; `least` is the least size of a page."""

    least = 250

    def __init__(self) -> None:
        super().__init__()
        self.requests: dict[str, dict[str, Any]] = {}
        self.page_size = 250

    @property
    def routes(self) -> list[BaseRoute]:
        return [
            get("/user", lambda request: JSONResponse(USER)),
            Route("/tasks/search", self.search, methods=["POST"]),
            get("/task/{id}", self.one),
        ]

    def lets_in(self, headers: Mapping[str, str]) -> bool:
        return headers.get("authorization") == f"ApiKey {KEY}"

    def refusal(self) -> Response:
        return JSONResponse({"error": {"code": "UNAUTHORIZED", "message": f"bad key {KEY}"}}, 401)

    def put(self, id: str, status: str, at: str, **more: Any) -> None:
        known = self.requests.get(id)
        history = known["properties"]["statusHistory"] if known else []
        properties = {
            "submissionTime": at if known is None else known["properties"]["submissionTime"],
            "taskingrequestId": id,
            "taskingrequestName": "a request",
            "userId": USER["id"],
            "windowOpen": at,
            "windowClose": at,
            "statusHistory": [{"time": at, "code": status, "message": ""}, *history],
            **more,
        }
        geometry = {"type": "Point", "coordinates": [0, 0]}
        self.requests[id] = {"type": "Feature", "geometry": geometry, "properties": properties}

    def remove(self, id: str) -> None:
        del self.requests[id]

    async def search(self, request: Request) -> Response:
        body = json.loads(await request.body())
        query = request.query_params
        size, number = int(query.get("limit", 250)), int(query.get("page", 1))
        if not self.least <= size <= 500:
            return JSONResponse({"error": {"code": "BAD_REQUEST", "message": "limit is from 250 to 500"}}, 400)
        found = list(self.requests.values())
        wanted = body.get("query", {}).get("lastStatusTime")
        if isinstance(wanted, dict):
            wanted = f"{next(iter(wanted.values()))}/.."
        if wanted:
            begin, end = interval(wanted)
            found = [each for each in found if begin <= moment(_latest(each)) <= end]
        if query.get("sort") == "lastStatusTime":
            found.sort(key=lambda each: moment(_latest(each)), reverse=query.get("order", "desc") == "desc")
        size = min(size, self.page_size)
        page = found[(number - 1) * size : number * size]
        return JSONResponse({"results": page, "currentPage": number, "totalPages": -(-len(found) // size)})

    def one(self, request: Request) -> Response:
        found = self.requests.get(request.path_params["id"])
        if found is None:
            return not_found(error={"code": "NOT_FOUND", "message": "Unable to find the tasking request"})
        return JSONResponse(found)


def _latest(whole: dict[str, Any]) -> str:
    times: list[str] = [each["time"] for each in whole["properties"]["statusHistory"]]
    return max(times, key=moment)
