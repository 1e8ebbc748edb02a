"""SkyFi's orders, as in its OpenAPI 2.0.0+8113881.

That a webhook is tried within 2 seconds, and again up to three times until it is answered 200, is written there; the
waits in between, and the order of the statuses, are modelled. Without a bucket, the processing is the end (inferred).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute

from ..options import SimulatorOptions
from .base import KEY, Files, Notification, ProviderApi, get, moment, not_found, number_of, post, url_problem

_SIGNED = "/signed/"
_GIVEN = ("aoi", "archiveId", "deliveryDriver", "deliveryParams", "label", "orderLabel", "metadata", "webhookUrl")
_READY = ("PROCESSING_COMPLETE", "DELIVERY_PENDING", "DELIVERY_COMPLETED")


class SkyFi(ProviderApi):
    """Orders with their events. A listing leaves out the events."""

    stages = (
        *("CREATED", "STARTED", "PROVIDER_PENDING", "PROVIDER_COMPLETE", "PROCESSING_PENDING"),
        *("PROCESSING_COMPLETE", "DELIVERY_PENDING", "DELIVERY_COMPLETED"),
    )
    failed = "PROVIDER_FAILED"
    rules = SimulatorOptions(retry=(1.0, 5.0, 30.0), timeout=2.0, accepted=frozenset({200}))

    def __init__(self) -> None:
        super().__init__()
        self.url = "https://app.skyfi.com/platform-api"
        self.orders: dict[str, dict[str, Any]] = {}

    @property
    def routes(self) -> list[BaseRoute]:
        return [
            get("/orders", self.page),
            get("/orders/{id}", self.one),
            get("/orders/{id}/image", self.image),
            get(_SIGNED + "{token}", lambda request: self.download(request, request.path_params["token"])),
            post("/order-archive", self.order),
        ]

    def lets_in(self, headers: Mapping[str, str]) -> bool:
        return headers.get("x-skyfi-api-key") == KEY

    def is_public(self, path: str) -> bool:
        return path.startswith(_SIGNED)

    def refusal(self) -> Response:
        return JSONResponse({"detail": f"invalid key {KEY}"}, 401)

    def create(self, files: Files | None = None, **more: Any) -> str:
        return super().create(files, **{"deliveryDriver": "NONE", **more})

    def put(self, id: str, status: str, at: str, **more: Any) -> None:
        known = self.orders.get(id, {"createdAt": at, "events": []})
        self.orders[id] = {
            "id": id,
            "itemId": id,
            "orderId": f"order-of-{id}",
            "orderCode": "AB12",
            "orderType": "ARCHIVE",
            "orderCost": 100,
            "ownerId": "u-1",
            "aoi": "POLYGON EMPTY",
            "aoiSqkm": 25.0,
            "archiveId": "a-1",
            "archive": {},
            "deliveryDriver": "S3",
            "downloadImageUrl": f"{self.url}/orders/{id}/image",
            "downloadPayloadUrl": None,
            **known,
            **more,
            "status": status,
            "events": [*known["events"], {"status": status, "timestamp": at, "message": None}],
        }
        self.changed(id, status)

    def remove(self, id: str) -> None:
        del self.orders[id]

    def way(self, id: str) -> Sequence[str]:
        has_bucket = self.orders[id]["deliveryDriver"] not in (None, "NONE")
        return self.stages if has_bucket else self.stages[: self.stages.index("PROCESSING_COMPLETE") + 1]

    def notifications(self, id: str, status: str) -> Sequence[Notification]:
        order = self.orders[id]
        url = order.get("webhookUrl") or self.webhook
        return [Notification(url, {"orderInfo": _short(order), "event": order["events"][-1]})] if url else ()

    def page(self, request: Request) -> Response:
        """Return a page of the listing."""
        query = request.query_params
        found = list(self.orders.values())
        column = query.get("sort_columns", "created_at")
        time_of = _modified if column == "last_modified" else _created
        found.sort(key=time_of, reverse=query.get("sort_directions", "desc") == "desc")
        number, size = number_of(request, "pageNumber", 0), number_of(request, "pageSize", 25)
        if not 1 <= size <= 100:
            return _wrong("query", "pageSize", "is too large")
        page = found[number * size : (number + 1) * size]
        return JSONResponse({"request": dict(query), "total": len(found), "orders": [_short(each) for each in page]})

    def one(self, request: Request) -> Response:
        """Return an order with its events."""
        found = self.orders.get(request.path_params["id"])
        return JSONResponse(found) if found else not_found(detail="Order not found")

    def order(self, request: Request, wanted: dict[str, Any]) -> Response:
        """Order an image of the archive."""
        for name in ("aoi", "archiveId"):
            if not isinstance(wanted.get(name), str):
                return _wrong("body", name, "Field required")
        if problem := url_problem(wanted.get("webhookUrl")):
            return _wrong("body", "webhookUrl", problem)
        id = self.create(**{name: wanted[name] for name in _GIVEN if name in wanted})
        return JSONResponse(_short(self.orders[id]), 201)

    def image(self, request: Request) -> Response:
        """Redirect to a link to the image, which ends."""
        found = self.orders.get(id := request.path_params["id"])
        if found is None or found["status"] not in _READY:
            return not_found(detail="Order not found" if found is None else "The order has no image yet")
        token = self.link(id, self.files.get(id, Files()).size, self.time)
        return RedirectResponse(f"{self.url}{_SIGNED}{token}")


def _created(order: Mapping[str, Any]) -> datetime:
    return moment(order["createdAt"])


def _modified(order: Mapping[str, Any]) -> datetime:
    return moment(order["events"][-1]["timestamp"])


def _short(order: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in order.items() if name != "events"}


def _wrong(place: str, name: str, why: str) -> Response:
    return JSONResponse({"detail": [{"loc": [place, name], "msg": why, "type": "value_error"}]}, 422)
