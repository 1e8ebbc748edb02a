"""The webhooks API: create, list, get, update, test and delete webhooks, with the paths that the SDK knows."""

from __future__ import annotations

from typing import Annotated
from uuid import uuid4

from pydantic import ConfigDict, Field, SecretStr, field_validator
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from ..errors import ApiError
from ..senders.up42.models import EVENTS, TESTS, WEBHOOK, WEBHOOKS, EventType, Webhook, WebhookInput
from .envelope import data, read
from .simulator import Simulator
from .tokens import guarded
from .urls import reachable

KNOWN_EVENTS = (
    EventType(
        name="order.status",
        title="Order status change",
        category="order",
        description="The status of an order has changed.",
        documentation="https://docs.up42.com/account/webhooks/view-events",
    ),
    EventType(
        name="job.status",
        title="Job status change",
        category="job",
        description="The status of a job has changed.",
        documentation="https://docs.up42.com/account/webhooks/view-events",
    ),
)
"""The events that UP42's own code knows; their fields besides the name are modelled."""

_NAMES = [event.name for event in KNOWN_EVENTS]


class GivenWebhook(WebhookInput):
    """The input of a webhook, within the limits of this server, since UP42's own are not known."""

    model_config = ConfigDict(extra="ignore")

    name: Annotated[str, Field(min_length=1, max_length=256)]
    url: Annotated[str, Field(max_length=2048)]
    events: Annotated[tuple[str, ...], Field(min_length=1, max_length=len(KNOWN_EVENTS))]

    @field_validator("secret", mode="after")
    @classmethod
    def _short(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and len(secret.get_secret_value()) > 256:
            raise ValueError("it has at most 256 characters")
        return secret

    @field_validator("url", mode="after")
    @classmethod
    def _reachable(cls, url: str) -> str:
        return reachable(url)

    @field_validator("events", mode="after")
    @classmethod
    def _known(cls, events: tuple[str, ...]) -> tuple[str, ...]:
        for event in events:
            if event not in _NAMES:
                raise ValueError(f"there is no event {event[:64]!r}; there are {', '.join(_NAMES)}")
        return tuple(dict.fromkeys(events))


def routes(simulator: Simulator) -> list[BaseRoute]:
    """Return the routes of the webhooks API."""
    return [
        guarded(simulator, EVENTS, events),
        guarded(simulator, WEBHOOKS, all_webhooks),
        guarded(simulator, WEBHOOKS, create, "POST"),
        guarded(simulator, WEBHOOK, get),
        guarded(simulator, WEBHOOK, update, "PUT"),
        guarded(simulator, WEBHOOK, delete, "DELETE"),
        guarded(simulator, TESTS, test, "POST"),
    ]


async def events(simulator: Simulator, request: Request) -> Response:
    """Return the events that a webhook can be created for."""
    return data(KNOWN_EVENTS)


async def all_webhooks(simulator: Simulator, request: Request) -> Response:
    """Return the workspace's webhooks."""
    _check_workspace(simulator, request)
    return data([*simulator.store.webhooks])


async def create(simulator: Simulator, request: Request) -> Response:
    """Create a webhook, and return it."""
    _check_workspace(simulator, request)
    return data(put(simulator, await read(request, GivenWebhook)))


async def get(simulator: Simulator, request: Request) -> Response:
    """Return a webhook with its secret in clear, as UP42 does."""
    return data(_asked_for(simulator, request))


async def update(simulator: Simulator, request: Request) -> Response:
    """Replace a webhook, and return it; a field that is left out gets its default."""
    _asked_for(simulator, request)
    given = await read(request, GivenWebhook)
    return data(put(simulator, given, _asked_for(simulator, request)))


async def test(simulator: Simulator, request: Request) -> Response:
    """Deliver each event that the webhook is subscribed to, or only `?event=` (modelled); return the results."""
    webhook = _asked_for(simulator, request)
    only = request.query_params.get("event")
    if only is not None and only not in webhook.events:
        raise ApiError(f"event: the webhook is not subscribed to {only[:64]!r}", status=400)
    return data(await simulator.scheduler.test(webhook, webhook.events if only is None else [only]))


async def delete(simulator: Simulator, request: Request) -> Response:
    """Delete a webhook; deliveries that still wait for it are dropped."""
    simulator.store.webhooks.remove(_asked_for(simulator, request).id)
    return data(None)


def put(simulator: Simulator, given: WebhookInput, old: Webhook | None = None) -> Webhook:
    """Store a webhook, in place of `old` if that is given; return it."""
    now = simulator.now
    fields = {name: getattr(given, name) for name in WebhookInput.model_fields}
    webhook = Webhook(
        **fields, id=old.id if old else str(uuid4()), created_at=old.created_at if old else now, updated_at=now
    )
    simulator.store.webhooks.put(webhook)
    return webhook


def _check_workspace(simulator: Simulator, request: Request) -> None:
    own = simulator.options.workspace_id
    if request.path_params["workspace_id"] != own:
        raise ApiError(f"there is no such workspace: this simulator has one, {own}", status=404)


def _asked_for(simulator: Simulator, request: Request) -> Webhook:
    _check_workspace(simulator, request)
    return simulator.webhook(request.path_params["webhook_id"])
