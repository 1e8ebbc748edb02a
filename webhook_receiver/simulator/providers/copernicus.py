"""The Copernicus Data Space Ecosystem's subscriptions, as in eu-cdse/documentation, APIs/Subscriptions.qmd.

A PUSH subscription is notified at its endpoint, with its user name and password; created products come alone, modified
and deleted ones in an array, as in the examples there. A notification is tried again three times. A PULL subscription
has a queue. One subscription runs at a time, of ten. What counts as success, the waits, and the errors are modelled,
and so is that nothing is filtered. That the user name and the password come as Basic is a third party's word.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from ..options import SimulatorOptions
from .base import Notification, ProviderApi, get, not_found, number_of, post, url_problem
from .copernicus_production import CopernicusProduction

_ROOT = "/Subscriptions"
_ONE = _ROOT + "({id})"
_SECRETS = ("NotificationEpUsername", "NotificationEpPassword")
_MOST = 10  # subscriptions
_LONGEST_QUEUE = 100_000
_CONTEXT = "$metadata#Notification/$entity"


class Copernicus(ProviderApi):
    """The catalogue's subscriptions, and production orders.

    What is put is a product, unless it is a production order; its status is the event in the catalogue.

    Args:
        pull: the id of a PULL subscription that runs already; None for no subscription.
    """

    stages = ("created",)
    rules = SimulatorOptions(retry=(1.0, 5.0, 30.0))

    def __init__(self, pull: str | None = None) -> None:
        super().__init__()
        self.subscriptions: dict[str, dict[str, Any]] = {}
        self.queue: list[dict[str, Any]] = []
        self.production = CopernicusProduction()
        """The production orders, which are at the same address here."""
        self.production.changed = lambda id, status: self.changed(id, status)
        self.production.clock = lambda: self.clock()
        self._names: dict[str, str] = {}
        self._told: dict[str, str] = {}
        if pull is not None:
            self._subscribe(pull, {})

    @property
    def routes(self) -> list[BaseRoute]:
        return [
            post(_ROOT, self.subscribe),
            get(_ROOT + "/Info", lambda request: JSONResponse([_shown(each) for each in self.subscriptions.values()])),
            get(_ONE, self.one),
            post(_ONE, self.update, "PATCH"),
            get(_ONE, self.cancel, "DELETE"),
            get(_ONE + "/Read", self.read),
            get(_ONE + "/Ack", self.ack, "POST"),
            *self.production.routes,
        ]

    def way(self, id: str) -> Sequence[str]:
        return self.production.stages if id in self.production.orders else self.stages

    def failure(self, id: str) -> str:
        return self.production.failed if id in self.production.orders else self.failed

    def put(self, id: str, status: str, at: str, **more: Any) -> None:
        if id in self.production.orders:
            self.production.put(id, status, at, **more)
            return
        self._names.setdefault(id, str(more.pop("name", id)))
        self._told[id] = at
        running = self._running()
        if running is not None and "NotificationEndpoint" not in running:
            document = self._document(id, status, running["Id"])
            self.queue.append({**document, "AckId": f"ack {id} {len(self.queue)}+=", **more})
            del self.queue[:-_LONGEST_QUEUE]
        self.changed(id, status)

    def remove(self, id: str) -> None:
        self.queue = [each for each in self.queue if each["ProductId"] != id]

    def notifications(self, id: str, status: str) -> Sequence[Notification]:
        if id in self.production.orders:
            return ()
        running = self._running()
        if running is None:
            subscription, url, events = str(uuid4()), self.webhook, ["created", "modified", "deleted"]
        else:
            subscription, url = running["Id"], running.get("NotificationEndpoint")
            events = running["SubscriptionEvent"]
        if not url or status not in events:
            return ()
        document = self._document(id, status, subscription)
        credentials = dict(zip(("username", "password"), [(running or {}).get(name) for name in _SECRETS], strict=True))
        if credentials["username"]:
            url = str(httpx.URL(url).copy_with(**credentials))
        return [Notification(url, document if status == "created" else [document])]

    def _document(self, id: str, status: str, subscription: str) -> dict[str, Any]:
        name = f"{self._names[id]}.SAFE"
        return {
            "@odata.context": _CONTEXT,
            "SubscriptionEvent": status,
            "ProductId": id,
            "ProductName": name,
            "SubscriptionId": subscription,
            "NotificationDate": self._told[id],
            "value": {"Id": id, "Name": name},
        }

    def _running(self) -> dict[str, Any] | None:
        return next((each for each in self.subscriptions.values() if each["Status"] == "running"), None)

    def subscribe(self, request: Request, wanted: dict[str, Any]) -> Response:
        """Create a subscription: PUSH with a `NotificationEndpoint`, else PULL."""
        if len(self.subscriptions) >= _MOST:
            return _refused(f"there are {_MOST} subscriptions, and no more is allowed")
        if problem := url_problem(wanted.get("NotificationEndpoint")):
            return _refused(f"NotificationEndpoint: {problem}")
        if wanted.get("Status", "running") == "running" and self._running() is not None:
            return _refused("one subscription is running, and no more is allowed")
        return JSONResponse(self._subscribe(str(uuid4()), wanted), 201)

    def _subscribe(self, id: str, wanted: dict[str, Any]) -> dict[str, Any]:
        events = wanted.get("SubscriptionEvent") or ["created"]
        given = {name: wanted[name] for name in ("NotificationEndpoint", *_SECRETS) if wanted.get(name)}
        self.subscriptions[id] = {
            "Id": id,
            "FilterParam": wanted.get("FilterParam") or "",
            "StageOrder": wanted.get("StageOrder", True),
            "Priority": 1,
            "Status": wanted.get("Status", "running"),
            "SubscriptionEvent": [events] if isinstance(events, str) else events,
            "SubmissionDate": self.now,
            **given,
            "@odata.context": "$metadata#OData.CSC.Subscription",
        }
        return _shown(self.subscriptions[id])

    def one(self, request: Request) -> Response:
        """Return a subscription."""
        found = self.subscriptions.get(request.path_params["id"])
        return JSONResponse(_shown(found)) if found else _gone(request)

    def update(self, request: Request, wanted: dict[str, Any]) -> Response:
        """Change a subscription's status, endpoint or credentials; the status cancelled deletes it."""
        found = self.subscriptions.get(request.path_params["id"])
        if found is None:
            return _gone(request)
        if problem := url_problem(wanted.get("NotificationEndpoint")):
            return _refused(f"NotificationEndpoint: {problem}")
        if wanted.get("Status") == "cancelled":
            return self.cancel(request)
        if wanted.get("Status") == "running" and self._running() not in (None, found):
            return _refused("one subscription is running, and no more is allowed")
        found.update({name: wanted[name] for name in ("Status", "NotificationEndpoint", *_SECRETS) if name in wanted})
        return JSONResponse(_shown(found))

    def cancel(self, request: Request) -> Response:
        """Delete a subscription, with its queue."""
        found = self.subscriptions.pop(request.path_params["id"], None)
        if found is None:
            return _gone(request)
        if "NotificationEndpoint" not in found:
            self.queue.clear()
        return Response(status_code=204)

    def read(self, request: Request) -> Response:
        """Return the front of the queue."""
        top = number_of(request, "$top", 1)
        if request.path_params["id"] not in self.subscriptions:
            return _gone(request)
        return JSONResponse(self.queue[: min(top, 20)])

    def ack(self, request: Request) -> Response:
        """Take a notification off the queue, and all before it."""
        if request.path_params["id"] not in self.subscriptions:
            return _gone(request)
        ids = [each["AckId"] for each in self.queue]
        found = request.query_params.get("$ackid")
        if found not in ids:
            return _refused("unknown ackid")
        number = ids.index(found) + 1
        del self.queue[:number]
        length = {"CurrentQueueLength": len(self.queue), "MaxQueueLength": _LONGEST_QUEUE}
        return JSONResponse({"@odata.context": _CONTEXT, "AckMessagesNum": number, **length})


def _shown(subscription: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in subscription.items() if name not in _SECRETS}


def _refused(why: str) -> Response:
    return JSONResponse({"detail": {"message": why, "request_id": "r"}}, 400)


def _gone(request: Request) -> Response:
    message = f"Subscription with id {request.path_params['id']} not found."
    return not_found(detail={"message": message, "request_id": "r"})
