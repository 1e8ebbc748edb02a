"""The jobs of NASA Harmony, as its server has them (nasa/harmony) and harmony-py 1.8.0 reads them."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from webhook_receiver.simulator.providers.base import KEY, ProviderApi, get, not_found


class Harmony(ProviderApi):
    """Jobs, the newest first. A listing has no links to data."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: dict[str, dict[str, Any]] = {}

    @property
    def routes(self) -> list[BaseRoute]:
        return [
            get("/jobs", self.page),
            get("/jobs/{id}", self.one),
            Route("/jobs/status", self.statuses, methods=["POST"]),
        ]

    def refusal(self) -> Response:
        return JSONResponse({"code": "harmony.UnauthorizedError", "description": f"Error: no {KEY}"}, 401)

    def put(self, id: str, status: str, at: str, **more: Any) -> None:
        known = self.jobs.get(id, {"createdAt": at})
        self.jobs[id] = {
            "jobID": id,
            "username": "me",
            "status": status,
            "message": "a message",
            "progress": 100 if status == "successful" else 40,
            "createdAt": known["createdAt"],
            "updatedAt": at,
            "dataExpiration": "2026-02-01T00:00:00.000Z",
            "request": "https://harmony.earthdata.nasa.gov/C1/ogc-api-coverages/1.0.0/collections/all/coverage/rangeset",
            "numInputGranules": 1,
            "labels": [],
            **more,
        }

    def remove(self, id: str) -> None:
        del self.jobs[id]

    def page(self, request: Request) -> Response:
        number, size = int(request.query_params.get("page", 1)), int(request.query_params.get("limit", 10))
        size = min(size, self.page_size)
        found = list(self.jobs.values())[::-1]  # by the number of the row
        jobs = [
            {
                **job,
                "links": [{"href": f"{request.url.path}/{job['jobID']}", "rel": "item", "type": "application/json"}],
            }
            for job in found[(number - 1) * size : number * size]
        ]
        links = [{"href": str(request.url), "rel": "self", "type": "application/json", "title": "The current page"}]
        if number * size < len(found):
            href = str(request.url.include_query_params(page=number + 1, limit=size))
            links.append({"href": href, "rel": "next", "type": "application/json", "title": "The next page"})
        return JSONResponse({"count": len(found), "jobs": jobs, "links": links})

    async def statuses(self, request: Request) -> Response:
        """The statuses of many jobs, as harmony-py asks for them."""
        found = [self.jobs[id] for id in (await request.json())["jobIDs"]]
        return JSONResponse(
            {"jobStatuses": [{name: job[name] for name in ("jobID", "status", "progress")} for job in found]}
        )

    def one(self, request: Request) -> Response:
        found = self.jobs.get(request.path_params["id"])
        if found is None:
            return not_found(code="harmony.NotFoundError", description="Error: Unable to find job")
        links = [{"href": str(request.url), "rel": "self", "type": "application/json"}]
        if found["status"] in ("successful", "complete_with_errors"):
            links.append({"href": f"https://example.com/{found['jobID']}.tif", "rel": "data", "type": "image/tiff"})
        return JSONResponse({**found, "links": links})
