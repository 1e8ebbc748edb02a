"""Planet's Orders API.

As in the package planet 3.7.0: paths, filters, `sort_by`, `_links.next`, the request for an order and its
`notifications`, and the documents of its tests. A page is asked for by the place where the last one ended, so that what
moves meanwhile is met twice or not at all. A notification comes for each item, or for the whole order with `per_order`
(docs.planet.com, orders/notifications). Whether one is tried again is not known: it is not. When links end is modelled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from ...senders.imagery.listings import member
from .base import (
    KEY,
    Files,
    Notification,
    ProviderApi,
    get,
    interval,
    moment,
    not_found,
    number_of,
    post,
    text_of,
    url_problem,
)

_DOWNLOAD = "/compute/ops/download/"
_MANIFEST = 2000  # bytes


class Planet(ProviderApi):
    """The base class of Planet's APIs."""

    base: str

    def __init__(self) -> None:
        super().__init__()
        self.url = "https://api.planet.com"
        self.things: dict[str, dict[str, Any]] = {}

    def lets_in(self, headers: Mapping[str, str]) -> bool:
        return headers.get("authorization") == f"api-key {KEY}"

    def remove(self, id: str) -> None:
        del self.things[id]

    def one(self, request: Request) -> Response:
        """Return an order or a subscription."""
        found = self.things.get(request.path_params["id"])
        return JSONResponse(found) if found else not_found(general=[{"message": "order not found"}], field={})


class PlanetByChange(Planet):
    """The base class of listings with a filter of the last change, and links to pages."""

    created: str
    updated: str
    listed: str

    @property
    def routes(self) -> list[BaseRoute]:
        return [get(self.base, self.page), get(self.base + "/{id}", self.one)]

    def page(self, request: Request) -> Response:
        """Return a page of the listing."""
        query = request.query_params
        begin, end = interval(query.get(self.updated, "../.."))
        found = [each for each in self.things.values() if begin <= moment(each[self.updated]) <= end]
        name, _, direction = query.get("sort_by", "created DESC").partition(" ")
        place = self.updated if name == self.updated else self.created
        found.sort(key=lambda each: moment(each[place]), reverse=direction == "DESC")
        size, first = number_of(request, "page_size", self.page_size), number_of(request, "page_marker", 0)
        size = min(size, self.page_size)
        links = {"_self": str(request.url)}
        if first + size < len(found):
            links["next"] = str(request.url.include_query_params(page_marker=first + size))
        return JSONResponse({"_links": links, self.listed: [self.short(each) for each in found[first : first + size]]})

    def short(self, whole: dict[str, Any]) -> dict[str, Any]:
        """Return what a listing tells of an order or a subscription."""
        return whole


class PlanetOrders(PlanetByChange):
    """The Orders API. A listing leaves out the results of an order."""

    stages = ("queued", "running", "success")
    failed = "failed"
    base = "/compute/ops/orders/v2"
    updated = "last_modified"
    listed = "orders"
    created = "created_on"

    @property
    def routes(self) -> list[BaseRoute]:
        return [
            *super().routes,
            post(self.base, self.order),
            get(_DOWNLOAD, lambda request: self.download(request, request.query_params.get("token", ""))),
        ]

    def is_public(self, path: str) -> bool:
        return path == _DOWNLOAD

    def put(self, id: str, status: str, at: str, **more: Any) -> None:
        known = self.things.get(id, {"created_on": at})
        self.things[id] = {
            "id": id,
            "name": "an order",
            "last_message": "",
            "error_hints": [],
            "products": [{"item_ids": ["i-1"], "item_type": "PSScene", "product_bundle": "analytic"}],
            **known,
            "state": status,
            "last_modified": at,
            "_links": {"_self": f"{self.url}{self.base}/{id}"},
            **more,
        }
        if status in ("success", "partial"):
            self._links_of(id, at)
        self.changed(id, status)

    def _links_of(self, id: str, at: str) -> None:
        """Give an order links to its results, from a time on."""
        files = self.files.get(id, Files())
        names = ["scene.tif", *(f"scene_{number}.tif" for number in range(2, files.number + 1))][: files.number]
        results: list[dict[str, Any]] = []
        for name, size in [*((name, files.size) for name in names), ("manifest.json", _MANIFEST)]:
            token = self.link(f"{id}/{name}", size, moment(at))
            results.append(
                {
                    "name": f"{id}/{name}",
                    "delivery": "success",
                    "location": f"{self.url}{_DOWNLOAD}?token={token}",
                    "expires_at": text_of(moment(at) + self.link_life),
                }
            )
        self.things[id]["_links"]["results"] = results

    def notifications(self, id: str, status: str) -> Sequence[Notification]:
        order = self.things[id]
        webhook = member(order, "notifications", "webhook")
        url = member(webhook, "url") or self.webhook
        items: list[Any] = order["_links"].get("results", [])
        if not url:
            return ()
        parts = [items] if member(webhook, "per_order") and items else [[each] for each in items]
        return [Notification(url, {"order_id": id, "items": part}) for part in parts]

    def order(self, request: Request, wanted: dict[str, Any]) -> Response:
        """Order items."""
        for name, kind in (("name", str), ("products", list)):
            if not isinstance(wanted.get(name), kind):
                return JSONResponse({"field": {name: [{"message": f"{name} is missing"}]}, "general": []}, 400)
        if problem := url_problem(member(wanted, "notifications", "webhook", "url")):
            return JSONResponse({"field": {"notifications": [{"message": problem}]}, "general": []}, 400)
        asked = {name: wanted[name] for name in ("name", "products", "notifications") if name in wanted}
        return JSONResponse(self.short(self.things[self.create(**asked)]), 202)

    def one(self, request: Request) -> Response:
        """Return an order, with new links if one has ended."""
        found = self.things.get(id := request.path_params["id"])
        ends = [moment(each["expires_at"]) for each in cast("list[Any]", member(found, "_links", "results") or [])]
        if any(end <= self.time for end in ends):
            self._links_of(id, self.now)
        return super().one(request)

    def short(self, whole: dict[str, Any]) -> dict[str, Any]:
        return {**whole, "_links": {"_self": whole["_links"]["_self"]}}
