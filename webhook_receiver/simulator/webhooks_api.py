"""The webhooks API: create, list, get, update, test and delete webhooks, with the paths that the SDK knows."""

from __future__ import annotations

from typing import Annotated
from uuid import uuid4

import httpx
from pydantic import ConfigDict, Field, SecretStr, field_validator
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from ..errors import ApiError
from ..senders.up42.models import EVENTS, TESTS, WEBHOOK, WEBHOOKS, EventType, Webhook, WebhookInput
from ..senders.up42.settings import is_local
from .envelope import data, read
from .simulator import Simulator
from .tokens import guarded

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
"""The events that UP42's own code knows; their other fields are modelled."""

_NAMES = [event.name for event in KNOWN_EVENTS]


class GivenWebhook(WebhookInput):
    """A webhook as it may be: with the limits of this server, since UP42's own are not known."""

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
        try:
            parsed = httpx.URL(url)
        except (httpx.InvalidURL, UnicodeError):
            raise ValueError("it is no URL") from None
        local = parsed.scheme == "http" and is_local(str(parsed))
        if not parsed.host or not (parsed.scheme == "https" or local) or not 0 < (parsed.port or 443) < 65536:
            raise ValueError("it begins with https://, or with http:// and a loopback address")
        return url

    @field_validator("events", mode="after")
    @classmethod
    def _known(cls, events: tuple[str, ...]) -> tuple[str, ...]:
        for event in events:
            if event not in _NAMES:
                raise ValueError(f"there is no event {event[:64]!r}; there are {', '.join(_NAMES)}")
        return tuple(dict.fromkeys(events))


def routes(sender: Simulator) -> list[BaseRoute]:
    """Return the routes of the webhooks API."""
    return [
        guarded(sender, EVENTS, events),
        guarded(sender, WEBHOOKS, all_webhooks),
        guarded(sender, WEBHOOKS, create, "POST"),
        guarded(sender, WEBHOOK, get),
        guarded(sender, WEBHOOK, update, "PUT"),
        guarded(sender, WEBHOOK, delete, "DELETE"),
        guarded(sender, TESTS, test, "POST"),
    ]


async def events(sender: Simulator, request: Request) -> Response:
    """List the events that there are."""
    return data(KNOWN_EVENTS)


async def all_webhooks(sender: Simulator, request: Request) -> Response:
    """List the workspace's webhooks."""
    _check_workspace(sender, request)
    return data([*sender.state.webhooks])


async def create(sender: Simulator, request: Request) -> Response:
    """Create a webhook."""
    _check_workspace(sender, request)
    return data(put(sender, await read(request, GivenWebhook)))


async def get(sender: Simulator, request: Request) -> Response:
    """Return a webhook, its secret in clear, as UP42 does."""
    return data(_asked_for(sender, request))


async def update(sender: Simulator, request: Request) -> Response:
    """Replace a webhook; what is left out is what it is by default."""
    _asked_for(sender, request)
    given = await read(request, GivenWebhook)
    return data(put(sender, given, _asked_for(sender, request)))


async def test(sender: Simulator, request: Request) -> Response:
    """Deliver each event that the webhook is subscribed to, or only `?event=` (modelled); tell what was answered."""
    webhook = _asked_for(sender, request)
    only = request.query_params.get("event")
    if only is not None and only not in webhook.events:
        raise ApiError(f"event: the webhook is not subscribed to {only[:64]!r}", status=400)
    return data(await sender.delivering.test(webhook, webhook.events if only is None else [only]))


async def delete(sender: Simulator, request: Request) -> Response:
    """Delete a webhook; what still waits to be delivered to it is dropped."""
    sender.state.webhooks.remove(_asked_for(sender, request).id)
    return data(None)


def put(sender: Simulator, given: WebhookInput, old: Webhook | None = None) -> Webhook:
    """Keep a webhook, in the place of an old one if there is one."""
    now = sender.now
    fields = {name: getattr(given, name) for name in WebhookInput.model_fields}
    webhook = Webhook(
        **fields, id=old.id if old else str(uuid4()), created_at=old.created_at if old else now, updated_at=now
    )
    sender.state.webhooks.put(webhook)
    return webhook


def _check_workspace(sender: Simulator, request: Request) -> None:
    own = sender.options.workspace_id
    if request.path_params["workspace_id"] != own:
        raise ApiError(f"there is no such workspace: this sender has one, {own}", status=404)


def _asked_for(sender: Simulator, request: Request) -> Webhook:
    _check_workspace(sender, request)
    return sender.webhook(request.path_params["webhook_id"])
