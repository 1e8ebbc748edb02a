"""An orders API as a real server, whose orders the tests move, and a client of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.helpers import NOW, serving
from webhook_receiver import ApiError, OrderStatus
from webhook_receiver.senders.up42.models import ORDER, ORDERS, Order, Page


def order(id: str, status: str = "FULFILLED", changed: float = NOW, workspace: str = "w-1") -> Order:
    """Return an order that changed at this Unix time."""
    at = datetime.fromtimestamp(changed, UTC)
    return Order(id=id, status=OrderStatus(status), workspace_id=workspace, created_at=at, updated_at=at)


@dataclass
class Simulator:
    """The orders, and how their API behaves."""

    orders: dict[str, Order] = field(default_factory=dict[str, Order])
    asked: list[str] = field(default_factory=list[str])
    """What was asked for: "page 0", or an order's id."""
    failure: int | None = None
    """The status that everything is answered with."""
    size: int = 20
    """How many orders are on a page, as with UP42."""
    before_page: Callable[[int], None] = lambda page: None

    def change(self, id: str, status: str = "FULFILLED", at: float = NOW) -> None:
        """Let an order be in a status, from now on."""
        self.orders[id] = order(id, status, at)

    def answer(self, what: str, document: dict[str, Any] | None) -> Response:
        self.asked.append(what)
        status = self.failure or (200 if document is not None else 404)
        return JSONResponse(document if status == 200 else {"error": {"code": "X"}}, status)

    async def list(self, request: Request) -> Response:
        page, size = int(request.query_params["page"]), self.size
        self.before_page(page)
        statuses = request.query_params.getlist("status")
        assert request.query_params["sort"] == "updatedAt,desc"
        workspace = request.query_params.get("workspaceId")
        found = [
            each
            for each in self.orders.values()
            if (not statuses or each.status in statuses) and workspace in (None, each.workspace_id)
        ]
        found.sort(key=lambda each: each.updated_at, reverse=True)
        content = [each.as_json() for each in found[page * size : (page + 1) * size]]
        return self.answer(f"page {page}", {"content": content, "totalPages": -(-len(found) // size)})

    async def get(self, request: Request) -> Response:
        found = self.orders.get(request.path_params["order_id"])
        return self.answer(request.path_params["order_id"], None if found is None else found.as_json())

    @property
    def app(self) -> Starlette:
        return Starlette(routes=[Route(ORDERS, self.list), Route(ORDER, self.get)])


@dataclass
class Client:
    """As much of a client as a receiver needs."""

    http: httpx.AsyncClient

    async def orders(
        self, *, status: Sequence[OrderStatus] | None = None, workspace_id: str | None = None, sort: str | None = None
    ) -> AsyncIterator[Order]:
        number, pages = 0, 1
        while number < pages:
            query: dict[str, Any] = {"status": [*map(str, status or ())], "sort": sort or "", "page": number}
            if workspace_id is not None:
                query["workspaceId"] = workspace_id
            page = Page[Order].model_validate(await self._get(ORDERS, query))
            for each in page.content:
                yield each
            number, pages = number + 1, page.total_pages

    async def order(self, id: str) -> Order:
        return Order.model_validate(await self._get(ORDER.format(order_id=id), {}))

    async def _get(self, path: str, query: dict[str, Any]) -> Any:
        try:
            answer = await self.http.get(path, params=query)
        except httpx.RequestError as error:
            raise ApiError(f"no answer from the API: {type(error).__name__}") from None
        if answer.status_code != 200:
            raise ApiError(f"GET {path} was answered {answer.status_code}", status=answer.status_code)
        return answer.json()


@asynccontextmanager
async def client_at(url: str) -> AsyncGenerator[Client]:
    """Return a client of the API at this address."""
    async with httpx.AsyncClient(base_url=url, trust_env=False) as http:
        yield Client(http)


@contextmanager
def sending(sender: Simulator) -> Generator[str]:
    """Serve the API of these orders; yield its address."""
    with serving(sender.app) as url:
        yield url
