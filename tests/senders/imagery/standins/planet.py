"""Planet's Orders, Subscriptions and Tasking APIs.

As in the package planet 3.7.0: paths, filters, `sort_by`, `_links.next`, and the documents of its tests. A page
is asked for by the place where the last one ended, so that what moves meanwhile is met twice or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from .base import KEY, StandIn, get, interval, moment, not_found

EXPIRES = "2026-01-03T00:00:00Z"


class Planet(StandIn):
    """Orders, subscriptions or tasking orders."""

    base: str

    def __init__(self) -> None:
        super().__init__()
        self.things: dict[str, dict[str, Any]] = {}

    def lets_in(self, headers: Mapping[str, str]) -> bool:
        return headers.get("authorization") == f"api-key {KEY}"

    def remove(self, id: str) -> None:
        del self.things[id]

    def one(self, request: Request) -> Response:
        found = self.things.get(request.path_params["id"])
        return JSONResponse(found) if found else not_found(general=[{"message": "order not found"}], field={})


class _ByChange(Planet):
    """A listing with a filter of the last change, and links to pages."""

    created: str
    updated: str
    listed: str

    @property
    def routes(self) -> list[BaseRoute]:
        return [get(self.base, self.page), get(self.base + "/{id}", self.one)]

    def page(self, request: Request) -> Response:
        query = request.query_params
        begin, end = interval(query.get(self.updated, "../.."))
        found = [each for each in self.things.values() if begin <= moment(each[self.updated]) <= end]
        name, _, direction = query.get("sort_by", "created DESC").partition(" ")
        place = self.updated if name == self.updated else self.created
        found.sort(key=lambda each: moment(each[place]), reverse=direction == "DESC")
        size, first = int(query.get("page_size", self.page_size)), int(query.get("page_marker", 0))
        size = min(size, self.page_size)
        links = {"_self": str(request.url)}
        if first + size < len(found):
            links["next"] = str(request.url.include_query_params(page_marker=first + size))
        return JSONResponse({"_links": links, self.listed: [self.short(each) for each in found[first : first + size]]})

    def short(self, whole: dict[str, Any]) -> dict[str, Any]:
        return whole


class PlanetOrders(_ByChange):
    """The Orders API. A listing leaves out the results of an order."""

    base = "/compute/ops/orders/v2"
    updated = "last_modified"
    listed = "orders"
    created = "created_on"

    def put(self, id: str, status: str, at: str, **more: Any) -> None:
        links: dict[str, Any] = {"_self": f"https://api.planet.com{self.base}/{id}"}
        if status in ("success", "partial"):
            links["results"] = [
                {"name": f"{id}/scene.tif", "delivery": "success", "location": "/l?token=t", "expires_at": EXPIRES},
                {"name": f"{id}/manifest.json", "delivery": "success", "location": "/m?token=t", "expires_at": EXPIRES},
            ]
        known = self.things.get(id, {"created_on": at})
        self.things[id] = {
            "_links": links,
            "id": id,
            "name": "an order",
            "state": status,
            "created_on": known["created_on"],
            "last_modified": at,
            "last_message": "",
            "error_hints": [],
            "products": [{"item_ids": ["i-1"], "item_type": "PSScene", "product_bundle": "analytic"}],
            **more,
        }

    def short(self, whole: dict[str, Any]) -> dict[str, Any]:
        return {**whole, "_links": {"_self": whole["_links"]["_self"]}}


class PlanetSubscriptions(_ByChange):
    """The Subscriptions API."""

    base = "/subscriptions/v1"
    updated = "updated"
    listed = "subscriptions"
    created = "created"

    def put(self, id: str, status: str, at: str, **more: Any) -> None:
        known = self.things.get(id, {"created": at})
        self.things[id] = {
            "_links": {"_self": f"https://api.planet.com{self.base}/{id}"},
            "id": id,
            "name": "a subscription",
            "status": status,
            "created": known["created"],
            "updated": at,
            "source": {"type": "catalog", "parameters": {}},
            **more,
        }


class PlanetTasking(Planet):
    """The Tasking API, as third parties have it: pages by `limit` and `offset`, `ordering`, `next`."""

    base = "/tasking/v2/orders"

    @property
    def routes(self) -> list[BaseRoute]:
        return [get(self.base + "/", self.page), get(self.base + "/{id}", self.one)]

    def put(self, id: str, status: str, at: str, **more: Any) -> None:
        known = self.things.get(id, {"created_time": at})
        self.things[id] = {
            "id": id,
            "name": "a tasking order",
            "status": status,
            "created_time": known["created_time"],
            "updated_time": at,
            **more,
        }

    def page(self, request: Request) -> Response:
        query = request.query_params
        found = list(self.things.values())
        name = query.get("ordering", "")
        if name:
            found.sort(key=lambda each: moment(each[name.lstrip("-")]), reverse=name.startswith("-"))
        size, first = min(int(query.get("limit", 20)), self.page_size), int(query.get("offset", 0))
        follows = str(request.url.include_query_params(offset=first + size)) if first + size < len(found) else None
        page = {"count": len(found), "next": follows, "previous": None, "results": found[first : first + size]}
        return JSONResponse(page)
