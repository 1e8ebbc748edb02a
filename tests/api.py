"""A small stand-in for the sender's API, served for real: it answers what a test tells it to, and notes what it got."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
from httpx_retries import Retry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from webhook_receiver.senders.up42.models import TOKEN, USER_INFO

PASSWORD = "correct-horse-battery"
AT = "2022-06-20T04:05:31.755744Z"
WEBHOOK = {
    "id": "wh-1",
    "name": "images",
    "url": "https://example.com/webhooks",
    "events": ["order.status"],
    "secret": "QWZTFnMEXhqZKNmu",
    "active": True,
    "createdAt": AT,
    "updatedAt": AT,
}
ORDER = {"id": "o-1", "status": "FULFILLED", "workspaceId": "w-1", "createdAt": AT, "updatedAt": AT}

Answer = Response | Callable[["Got"], Response]


@dataclass(frozen=True)
class Got:
    """A request as it arrived."""

    method: str
    path: str
    query: list[tuple[str, str]]
    authorization: str | None
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def form(self) -> dict[str, str]:
        return dict(httpx.QueryParams(self.body.decode()))


@dataclass
class Api:
    """Answers by method and path, each in turn, the last one for ever; tokens t-1, t-2, ... for whoever asks."""

    answers: dict[tuple[str, str], list[Answer]] = field(default_factory=dict)
    got: list[Got] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.on("GET", USER_INFO, JSONResponse({"sub": "w-1"}))
        self.on("POST", TOKEN, lambda got: token(f"t-{len(self.at(TOKEN))}"))

    def on(self, method: str, path: str, *answers: Answer) -> None:
        self.answers[method, path] = [*answers]

    def at(self, path: str) -> list[Got]:
        return [each for each in self.got if each.path == path]

    @property
    def called(self) -> list[tuple[str, str]]:
        """What was asked beside tokens and the user."""
        return [(each.method, each.path) for each in self.got if each.path not in (TOKEN, USER_INFO)]

    @property
    def app(self) -> Starlette:
        methods = ["GET", "POST", "PUT", "DELETE"]
        return Starlette(routes=[Route("/{path:path}", self._answer, methods=methods)])

    async def _answer(self, request: Request) -> Response:
        got = Got(
            request.method,
            request.url.path,
            request.query_params.multi_items(),
            request.headers.get("authorization"),
            await request.body(),
        )
        self.got.append(got)
        answers = self.answers.get((got.method, got.path), [failed(404, "there is no such thing")])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return answer if isinstance(answer, Response) else answer(got)


def token(value: str, expires_in: float = 300) -> Response:
    return JSONResponse({"access_token": value, "expires_in": expires_in, "token_type": "Bearer"})


def data(value: object) -> Response:
    return JSONResponse({"data": value, "error": None})


def failed(status: int, message: str, **headers: str) -> Response:
    error = {"code": "NO", "message": message, "details": {"field": "name"}}
    return JSONResponse(
        {"data": None, "error": error}, status, headers={k.replace("_", "-"): v for k, v in headers.items()}
    )


def page(items: list[dict[str, Any]], *, number: int = 0, total_pages: int = 1) -> Response:
    return JSONResponse({"content": items, "totalPages": total_pages, "number": number, "size": 20})


def noting(waits: list[float]) -> Retry:
    """Return the client's way to repeat calls, which notes how long it would wait and does not."""

    class Noting(Retry):
        async def asleep(self, response: httpx.Response | Exception) -> None:
            waits.append(self._calculate_sleep(response.headers if isinstance(response, httpx.Response) else {}))

    return Noting(
        total=3, backoff_factor=1, backoff_jitter=0, max_backoff_wait=60, status_forcelist=[429, 500, 502, 503, 504]
    )
