"""Planet's Subscriptions and Tasking APIs; the Orders API is in the simulator."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from webhook_receiver.simulator.providers.base import get, moment
from webhook_receiver.simulator.providers.planet import Planet, PlanetByChange


class PlanetSubscriptions(PlanetByChange):
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


class PlanetResults(PlanetByChange):
    """The results of one subscription. Nothing says how they are sorted: here, in the order in which they were made."""

    base = "/subscriptions/v1/s-1/results"
    updated = "updated"
    listed = "results"
    created = "created"

    def put(self, id: str, status: str, at: str, **more: Any) -> None:
        known = self.things.get(id, {"created": at})
        item = {"item_id": f"item-of-{id}", "item_types": ["PSScene"]}
        self.things[id] = {
            "id": id,
            "status": status,
            "created": known["created"],
            "updated": at,
            "properties": item,
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
