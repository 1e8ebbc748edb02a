"""What the APIs of all providers have: they check who asks, note requests, tell of changes, and have files."""

from __future__ import annotations

import json
import re
import secrets
import time
from abc import ABC, abstractmethod
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, cast
from uuid import uuid4

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Message, Receive, Scope, Send

from ...errors import ApiError
from ..envelope import read_bytes
from ..files import file_response
from ..options import SimulatorOptions
from ..urls import reachable

KEY = "key-0123456789"
"""The key, token or password that is let in."""

_MOST_GOT = 10_000  # requests that are remembered


@dataclass(frozen=True)
class Got:
    """A request as it arrived."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


class Notification(NamedTuple):
    """A notification of a change."""

    url: str
    """The URL that it is posted to, with the credentials that come with it."""
    body: Any
    """The document, as JSON has it."""


class Files(NamedTuple):
    """The files of an order."""

    number: int = 1
    """The number of files."""
    size: int = 1 << 20
    """The size of each, in bytes."""


class _Link(NamedTuple):
    """What a token of a download link is for."""

    id: str
    size: int
    until: datetime


class ProviderApi(ABC):
    """The API of a provider, in memory: an ASGI app.

    Attributes:
        got: the latest requests, those for tokens left out.
        answers: what is answered in place of the API, in turn: a response, or None for the API's own.
        meanwhile: what happens before each request is answered.
        tokens_for: the secret without which no token is granted; None to grant one to anybody.
        clock: returns the time in Unix seconds.
        changed: is told the id and the new status of each order that is put.
        webhook: the URL that is notified of orders that name none; None for no URL.
        files: the files of orders, by their ids; `Files()` for others.
        page_size: the most that a page has.
        link_life: the time until a download link ends.
    """

    stages: tuple[str, ...] = ()
    """The statuses of an order that all goes well with, in turn."""
    failed: str = ""
    """The status of an order that has failed; none if nothing fails here."""
    rules: SimulatorOptions = SimulatorOptions(retry=())
    """How notifications are delivered."""
    public: frozenset[str] = frozenset()
    """The paths that are for everybody."""
    page_size = 100

    def __init__(self) -> None:
        self.got: list[Got] = []
        self.answers: list[Response | None] = []
        self.meanwhile: Callable[[Got], object] | None = None
        self.tokens_for: str | None = None
        self.clock: Callable[[], float] = time.time
        self.changed: Callable[[str, str], object] = _ignored
        self.url = ""
        """The address at which it was asked last, which its links begin with."""
        self.webhook: str | None = None
        self.files: dict[str, Files] = {}
        self.link_life = timedelta(days=1)
        self._links: dict[str, _Link] = {}

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

    def create(self, files: Files | None = None, **more: Any) -> str:
        """Add an order that has the first status, and return its id.

        Args:
            files: the files that it will have.
            more: what else the order says.
        """
        id = str(uuid4())
        if files is not None:
            self.files[id] = files
        self.put(id, self.stages[0], self.now, **more)
        return id

    def way(self, id: str) -> Sequence[str]:
        """Return the statuses of an order that all goes well with, in turn."""
        return self.stages

    def failure(self, id: str) -> str:
        """Return the status of an order that has failed; an empty text for what cannot fail."""
        return self.failed

    def notifications(self, id: str, status: str) -> Sequence[Notification]:
        """Return the notifications of a new status of an order."""
        return ()

    def lets_in(self, headers: Mapping[str, str]) -> bool:
        """Return whether a request proves who asks."""
        return headers.get("authorization") == f"Bearer {KEY}"

    def is_public(self, path: str) -> bool:
        """Return whether a path is for everybody."""
        return path in self.public

    def refusal(self) -> Response:
        """Return the answer to who does not prove it."""
        return JSONResponse({"message": f"no such key: {KEY}"}, 401)

    @property
    def paths(self) -> list[str]:
        """The paths that were asked for."""
        return [each.path for each in self.got]

    @property
    def time(self) -> datetime:
        """The time by the API's clock."""
        return datetime.fromtimestamp(self.clock(), UTC)

    @property
    def now(self) -> str:
        """The time by the API's clock, as RFC 3339 has it."""
        return text_of(self.time)

    def link(self, file: str, size: int, at: datetime) -> str:
        """Return the token of a link to a file, which ends a while after a time. Older ones of the file end at once.

        Args:
            file: the id of the file.
            size: its size, in bytes.
            at: the time.
        """
        self._links = {token: each for token, each in self._links.items() if each.id != file}
        token = secrets.token_urlsafe(24)
        self._links[token] = _Link(file, size, at + self.link_life)
        return token

    def download(self, request: Request, token: str) -> Response:
        """Return the file, or the part of it, that a link leads to; 403 if the link has ended."""
        link = self._links.get(token)
        if link is None or link.until <= self.time:
            return JSONResponse({"message": "the link has ended"}, 403)
        return file_response(request, link.id, link.size, "image/tiff")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        try:
            body = await read_bytes(request)
        except ApiError as error:
            await JSONResponse({"message": error.message}, error.status or 400)(scope, receive, send)
            return
        self.url = str(request.base_url).rstrip("/")
        path = request.url.path
        got = Got(request.method, path, request.query_params, request.headers, body)
        if path.endswith("/token"):
            await self._token(got)(scope, _again(body, receive), send)
            return
        self.got.append(got)
        del self.got[:-_MOST_GOT]
        if self.meanwhile is not None:
            self.meanwhile(got)
        answer = self.answers.pop(0) if self.answers else None
        if answer is None and not self.is_public(path) and not self.lets_in(request.headers):
            answer = self.refusal()
        if isinstance(answer, Silence):
            await answer(scope, receive, send)
        else:
            await (answer or Starlette(routes=self.routes))(scope, _again(body, receive), send)

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


def _ignored(id: str, status: str) -> None:
    """Do nothing: the default of `changed`."""


def _again(body: bytes, receive: Receive) -> Receive:
    """Return a function that receives a body that was read already, and then what comes behind it."""
    bodies = [body]

    async def again() -> Message:
        if bodies:
            return {"type": "http.request", "body": bodies.pop(), "more_body": False}
        return await receive()

    return again


def get(path: str, handler: Callable[[Request], Response], method: str = "GET") -> Route:
    """Return the route of a resource."""

    async def endpoint(request: Request) -> Response:
        return handler(request)

    return Route(path, endpoint, methods=[method])


def post(path: str, handler: Callable[[Request, dict[str, Any]], Response], method: str = "POST") -> Route:
    """Return the route of a resource that is given a JSON object."""

    async def endpoint(request: Request) -> Response:
        try:
            document: object = json.loads(await request.body())
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            return JSONResponse({"message": "the body is no JSON object"}, 400)
        return handler(request, cast("dict[str, Any]", document))

    return Route(path, endpoint, methods=[method])


def url_problem(url: object) -> str:
    """Return what is wrong with the URL that an order names; an empty text if nothing is, or if it names none."""
    try:
        _ = url is None or reachable(url)
    except ValueError as error:
        return str(error)
    return ""


def number_of(request: Request, name: str, default: int) -> int:
    """Return a number in the query, 0 or above.

    Raises:
        HTTPException: it is none.
    """
    text = request.query_params.get(name, str(default))
    if not re.fullmatch("[0-9]{1,9}", text):
        raise HTTPException(422, f"{name} is not a number")
    return int(text)


def moment(text: str) -> datetime:
    """Return a time of RFC 3339."""
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def text_of(at: datetime) -> str:
    """Return a time as RFC 3339 has it, in UTC."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def interval(text: str) -> tuple[datetime, datetime]:
    """Return the ends of an interval, such as "2026-01-01T00:00:00Z/..".

    Raises:
        HTTPException: it is none.
    """
    begin, _, end = text.partition("/")
    least, most = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    try:
        return least if begin == ".." else moment(begin), most if end == ".." else moment(end)
    except ValueError:
        raise HTTPException(422, f"{text[:100]} is not an interval of time") from None


def not_found(**document: Any) -> Response:
    """Return the answer to who asks for what is not there."""
    return JSONResponse(document or {"message": "there is no such thing"}, 404)
