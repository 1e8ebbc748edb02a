"""The jobs of HyP3, as its server has them (ASFHyP3/hyp3) and hyp3-sdk 7.7.8 reads them."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from webhook_receiver.simulator.providers.base import KEY, ProviderApi, get, moment, not_found


class HyP3(ProviderApi):
    """Jobs, the newest first. A filter leaves out jobs of a page, which may be empty then."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: dict[str, dict[str, Any]] = {}

    @property
    def routes(self) -> list[BaseRoute]:
        return [get("/jobs", self.page), get("/jobs/{id}", self.one)]

    def refusal(self) -> Response:
        problem = {"status": 401, "detail": f"no {KEY}", "title": "Unauthorized", "type": "about:blank"}
        return JSONResponse(problem, 401, media_type="application/problem+json")

    def put(self, id: str, status: str, at: str, **more: Any) -> None:
        known = self.jobs.get(id, {"request_time": at})
        self.jobs[id] = {
            "job_id": id,
            "user_id": "me",
            "job_type": "RTC_GAMMA",
            "job_parameters": {},
            "request_time": known["request_time"],
            "status_code": status,
            **more,
        }
        if status == "SUCCEEDED":
            file = {"filename": f"{id}.zip", "size": 1, "url": f"https://example.com/{id}.zip"}
            self.jobs[id] |= {"files": [file], "expiration_time": "2026-01-15T00:00:00+00:00"}

    def remove(self, id: str) -> None:
        del self.jobs[id]

    def page(self, request: Request) -> Response:
        query = request.query_params
        found = sorted(self.jobs.values(), key=lambda job: moment(job["request_time"]), reverse=True)
        if "start" in query:
            found = [job for job in found if moment(job["request_time"]) >= moment(query["start"])]
        first = int(query.get("start_token", 0))
        page = found[first : first + self.page_size]
        jobs = [job for job in page if query.get("status_code", job["status_code"]) == job["status_code"]]
        answer: dict[str, Any] = {"jobs": jobs}
        if first + self.page_size < len(found):
            answer["next"] = str(request.url.include_query_params(start_token=first + self.page_size))
        return JSONResponse(answer)

    def one(self, request: Request) -> Response:
        found = self.jobs.get(request.path_params["id"])
        return (
            JSONResponse(found) if found else not_found(status=404, detail="job_id does not exist", title="Not Found")
        )
