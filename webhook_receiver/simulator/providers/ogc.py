"""A server of OGC API - Processes, with the callbacks of pygeoapi.

As in opengeospatial/ogcapi-processes (statusInfo.yaml, subscriber.yaml) and geopython/pygeoapi@debd17bd,
process/manager/base.py: a success has the outputs, the two others have {}; one attempt, any answer will do, and there
is no time-out. A subscriber without a successUri is refused. The outputs of this process are made up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from ..options import SimulatorOptions
from .base import Files, Notification, ProviderApi, get, not_found, post, url_problem

PROCESS = "image"
"""The id of the only process."""

_URIS = {"running": "inProgressUri", "successful": "successUri", "failed": "failedUri"}
_FILE = "/files/{token}"


class OgcProcesses(ProviderApi):
    """Jobs of one process. There is no proof of who asks.

    In `webhook`, "{job}" and "{status}" stand for the id of a job and for its status.
    """

    stages = ("accepted", "running", "successful")
    failed = "failed"
    rules = SimulatorOptions(retry=(), timeout=3600.0, accepted=frozenset(range(100, 600)))

    def __init__(self) -> None:
        super().__init__()
        self.jobs: dict[str, dict[str, Any]] = {}
        self._subscribers: dict[str, dict[str, Any]] = {}

    @property
    def routes(self) -> list[BaseRoute]:
        return [
            post(f"/processes/{PROCESS}/execution", self.execute),
            get("/jobs", lambda request: JSONResponse({"jobs": [*self.jobs.values()], "links": []})),
            get("/jobs/{id}", self.one),
            get("/jobs/{id}/results", self.results),
            get(_FILE, lambda request: self.download(request, request.path_params["token"])),
        ]

    def lets_in(self, headers: Mapping[str, str]) -> bool:
        return True

    def put(self, id: str, status: str, at: str, **more: Any) -> None:
        if subscriber := more.pop("subscriber", None):
            self._subscribers[id] = subscriber
        known = self.jobs.get(id, {"processID": PROCESS, "type": "process", "jobID": id, "created": at})
        self.jobs[id] = {**known, "status": status, "updated": at, **more}
        if status in ("successful", "failed"):
            self.jobs[id]["finished"] = at
        self.changed(id, status)

    def remove(self, id: str) -> None:
        del self.jobs[id]

    def notifications(self, id: str, status: str) -> Sequence[Notification]:
        url = self._subscribers.get(id, {}).get(_URIS.get(status, ""))
        if url is None and id not in self._subscribers and status in _URIS and self.webhook:
            url = self.webhook.replace("{job}", id).replace("{status}", status)
        return [Notification(url, self._outputs(id) if status == "successful" else {})] if url else ()

    def _outputs(self, id: str) -> dict[str, Any]:
        token = self.link(id, self.files.get(id, Files()).size, self.time)
        return {"image": {"href": f"{self.url}{_FILE.format(token=token)}", "type": "image/tiff"}}

    def execute(self, request: Request, wanted: dict[str, Any]) -> Response:
        """Start a job."""
        subscriber: object = wanted.get("subscriber")
        more: dict[str, Any] = {}
        if subscriber is not None:
            given = cast("dict[str, Any]", subscriber) if isinstance(subscriber, dict) else {}
            if not isinstance(given.get("successUri"), str):
                problem = {"code": "MissingParameterValue", "description": "Missing successUri"}
                return JSONResponse(problem, 400)
            for name in _URIS.values():
                if wrong := url_problem(given.get(name)):
                    return JSONResponse({"code": "InvalidParameterValue", "description": f"{name}: {wrong}"}, 400)
            more["subscriber"] = given
        id = self.create(**more)
        return JSONResponse(self.jobs[id], 201, {"location": f"{self.url}/jobs/{id}"})

    def one(self, request: Request) -> Response:
        """Return the status of a job."""
        found = self.jobs.get(request.path_params["id"])
        return JSONResponse(found) if found else not_found(code="NoSuchJob", description="job not found")

    def results(self, request: Request) -> Response:
        """Return the outputs of a job that was successful."""
        found = self.jobs.get(id := request.path_params["id"])
        if found is None:
            return not_found(code="NoSuchJob", description="job not found")
        if found["status"] != "successful":
            return not_found(code="ResultNotReady", description="job still running or failed")
        return JSONResponse(self._outputs(id))
