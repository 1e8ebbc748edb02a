"""What all stand-ins have: they note requests, check who asks, and answer what a test tells them to, in turn."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

KEY = "key-0123456789"
"""The key, token or password that a stand-in lets in."""


@dataclass(frozen=True)
class Got:
    """A request as it arrived."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


class StandIn(ABC):
    """A provider's API in memory, for one test.

    Attributes:
        got: the requests, tokens left out.
        answers: what is answered in place of the API, in turn: a response, or None for the API's own.
        meanwhile: what happens before each request is answered.
        tokens_for: the secret without which no token is granted; None to grant one to anybody.
    """

    page_size = 2
    public: frozenset[str] = frozenset()
    """The paths that are for everybody."""

    def __init__(self) -> None:
        self.got: list[Got] = []
        self.answers: list[Response | None] = []
        self.meanwhile: Callable[[Got], object] | None = None
        self.tokens_for: str | None = None

    @property
    @abstractmethod
    def routes(self) -> list[BaseRoute]:
        """The resources of the API."""

    @abstractmethod
    def put(self, id: str, status: str, at: str, **more: Any) -> None:
        """Add an order or a job, or change it: its status, and when that was."""

    @abstractmethod
    def remove(self, id: str) -> None:
        """Take an order or a job away."""

    def lets_in(self, headers: Mapping[str, str]) -> bool:
        """Return whether a request proves who asks."""
        return headers.get("authorization") == f"Bearer {KEY}"

    def refusal(self) -> Response:
        """Return the answer to who does not."""
        return JSONResponse({"message": f"no such key: {KEY}"}, 401)

    @property
    def paths(self) -> list[str]:
        """The paths that were asked for."""
        return [each.path for each in self.got]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        body = await request.body()
        path = request.url.path
        got = Got(request.method, path, request.query_params, request.headers, body)
        if path.endswith("/token"):
            await self._token(got)(scope, _again(body), send)
            return
        self.got.append(got)
        if self.meanwhile is not None:
            self.meanwhile(got)
        answer = self.answers.pop(0) if self.answers else None
        if answer is None and path not in self.public and not self.lets_in(request.headers):
            answer = self.refusal()
        if isinstance(answer, Silence):
            await answer(scope, receive, send)
        else:
            await (answer or Starlette(routes=self.routes))(scope, _again(body), send)

    def _token(self, got: Got) -> Response:
        secrets = got.body.decode() + b64decode(got.headers.get("authorization", "").partition(" ")[2]).decode()
        if self.tokens_for is not None and self.tokens_for not in secrets:
            return JSONResponse({"error": "invalid_client"}, 401)
        return JSONResponse({"access_token": KEY, "expires_in": 600, "token_type": "Bearer"})


class Silence(Response):
    """An answer of which only a part ever comes, until the client has gone."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"[", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass


def _again(body: bytes) -> Receive:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def get(path: str, handler: Callable[[Request], Response], method: str = "GET") -> Route:
    """Return the route of a resource."""

    async def endpoint(request: Request) -> Response:
        return handler(request)

    return Route(path, endpoint, methods=[method])


def moment(text: str) -> datetime:
    """Return a time of RFC 3339."""
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def interval(text: str) -> tuple[datetime, datetime]:
    """Return the ends of an interval, such as "2026-01-01T00:00:00Z/.."."""
    begin, _, end = text.partition("/")
    least, most = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    return least if begin == ".." else moment(begin), most if end == ".." else moment(end)


def not_found(**document: Any) -> Response:
    """Return the answer to who asks for what is not there."""
    return JSONResponse(document or {"message": "there is no such thing"}, 404)


def json_of(got: Got) -> Any:
    """Return the JSON in a request."""
    return json.loads(got.body)
