"""The batch jobs of an openEO back-end, as in the OpenAPI 1.2.0; the order of a listing is not specified."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from webhook_receiver.simulator.providers.base import KEY, ProviderApi, get, not_found

EXPIRES = "2026-01-03T00:00:00Z"


class OpenEO(ProviderApi):
    """Jobs with results, whose links are new at each call."""

    public = frozenset({"/", "/.well-known/openeo"})

    def __init__(self) -> None:
        super().__init__()
        self.jobs: dict[str, dict[str, Any]] = {}
        self.signed = 0

    @property
    def routes(self) -> list[BaseRoute]:
        return [
            get("/", self.capabilities),
            get("/jobs", self.page),
            get("/jobs/{id}", self.one),
            get("/jobs/{id}/results", self.results),
        ]

    def refusal(self) -> Response:
        error = {"id": "e-1", "code": "TokenInvalid", "message": f"The token {KEY} is invalid.", "links": []}
        return JSONResponse(error, 403)

    def put(self, id: str, status: str, at: str, **more: Any) -> None:
        known = self.jobs.get(id, {"created": at})
        self.jobs[id] = {"id": id, "status": status, "created": known["created"], "updated": at, **more}

    def remove(self, id: str) -> None:
        del self.jobs[id]

    def capabilities(self, request: Request) -> Response:
        endpoints = [
            {"path": path, "methods": ["GET"]} for path in ("/jobs", "/jobs/{job_id}", "/jobs/{job_id}/results")
        ]
        return JSONResponse(
            {
                "api_version": "1.2.0",
                "backend_version": "1",
                "stac_version": "1.0.0",
                "type": "Catalog",
                "id": "stand-in",
                "title": "A stand-in",
                "description": "A stand-in",
                "endpoints": endpoints,
                "links": [],
            }
        )

    def page(self, request: Request) -> Response:
        found = list(self.jobs.values())
        first, size = int(request.query_params.get("page", 0)), int(request.query_params.get("limit", len(found) or 1))
        size = min(size, self.page_size)
        links = []
        if first + size < len(found):
            links.append({"rel": "next", "href": str(request.url.include_query_params(page=first + size))})
        return JSONResponse({"jobs": found[first : first + size], "links": links})

    def one(self, request: Request) -> Response:
        found = self.jobs.get(request.path_params["id"])
        return JSONResponse({**found, "process": {"process_graph": {}}}) if found else self._unknown()

    def results(self, request: Request) -> Response:
        found = self.jobs.get(request.path_params["id"])
        if found is None:
            return self._unknown()
        if found["status"] != "finished":
            return JSONResponse({"code": "JobNotFinished", "message": "The batch job has not finished yet."}, 400)
        self.signed += 1
        href = f"https://example.com/{found['id']}.tif?signature={self.signed}"
        assets = {"1.tif": {"href": href, "type": "image/tiff; application=geotiff", "roles": ["data"]}}
        properties = {"datetime": None, "expires": EXPIRES}
        item = {"type": "Feature", "stac_version": "1.0.0", "id": found["id"], "geometry": None, "links": []}
        return JSONResponse({**item, "properties": properties, "assets": assets})

    def _unknown(self) -> Response:
        return not_found(id="e-2", code="JobNotFound", message="The batch job does not exist.", links=[])
