"""The sender's API for the owner of a receiver: its webhooks, and the orders and assets that they tell of."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple, Self, TypedDict, Unpack
from urllib.parse import quote, urlsplit

from pydantic import BaseModel, SecretStr, TypeAdapter, ValidationError

from ...errors import ConfigurationError
from ...signatures.secrets import is_utf8
from . import models
from .models import Asset, EventType, Order, Page, Webhook, WebhookInput, WebhookTests

try:
    from httpx_retries import Retry

    from .http import RETRY, Connection
    from .settings import Settings, is_local
except ImportError as error:
    if error.name is None or error.name.partition(".")[0] == "webhook_receiver":
        raise
    raise ImportError(
        f"the client of UP42's API needs {error.name}: install it with  pip install 'webhook-receiver[standard]'",
        name=error.name,
    ) from None


class _Link(BaseModel, hide_input_in_errors=True):
    """Where an asset can be downloaded from (SDK)."""

    url: str


_EVENT_TYPES = TypeAdapter(tuple[EventType, ...])
_WEBHOOK = TypeAdapter(Webhook)
_WEBHOOKS = TypeAdapter(tuple[Webhook, ...])
_TESTS = TypeAdapter(WebhookTests)
_ORDER = TypeAdapter(Order)
_ORDERS = TypeAdapter(Page[Order])
_ASSETS = TypeAdapter(Page[Asset])
_LINK = TypeAdapter(_Link)


class Ensured(NamedTuple):
    """What `ensure` came to."""

    webhook: Webhook
    done: Literal["created", "updated", "unchanged"]


class WebhooksClient:
    """UP42's API with a user's rights, for use in `async with`.

    An argument that is left out is taken from the environment. Calls that fail are repeated where that cannot do
    anything twice. No redirect is followed: a token goes to the API's host and to that of the user info only.

    Args:
        username: the user's name; else UP42_USERNAME.
        password: the user's password; else UP42_PASSWORD.
        token: a ready bearer token in place of the two; else UP42_TOKEN. It is not renewed, and UP42's last 300 s.
        region: "eu" or "sa"; else UP42_REGION, else "eu".
        url: the address of a server that is both API and token endpoint, as the local test server is, in place of
            `region`; else UP42_URL.
        workspace_id: whose webhooks it is about; else UP42_WORKSPACE_ID, else the user's own, which is asked for once.
        timeout: seconds to wait for a connection, for the answer, and for each next part of it.
        retry: how failed calls are repeated.

    Raises:
        ConfigurationError: the credentials are missing, or an argument or a variable cannot be used.
        ApiError: by every method, when the API did not do what it was asked, and when there was no answer.
    """

    def __init__(
        self,
        *,
        username: str | None = None,
        password: str | SecretStr | None = None,
        token: str | SecretStr | None = None,
        region: models.Region | None = None,
        url: str | None = None,
        workspace_id: str | None = None,
        timeout: float = 30,
        retry: Retry = RETRY,
    ) -> None:
        settings = Settings.of(
            username=username, password=password, token=token, region=region, url=url, workspace_id=workspace_id
        )
        self._api = Connection(settings, timeout, retry)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._api.aclose()

    async def event_types(self) -> tuple[EventType, ...]:
        """Return the events that a webhook can be created for."""
        return await self._api.call("GET", models.EVENTS, _EVENT_TYPES)

    async def create(
        self,
        name: str,
        url: str,
        events: Sequence[str],
        *,
        secret: str | SecretStr | None = None,
        active: bool = True,
    ) -> Webhook:
        """Create a webhook.

        Args:
            name: what people call it.
            url: where it delivers to; https, or http to this machine where the API is on it, too.
            events: names of event types, such as "order.status".
            secret: what its deliveries are signed with; unsigned if None.
            active: whether it delivers. The API's own default is no; but whoever creates a webhook expects deliveries,
                and would wait for the first one for ever.

        Raises:
            ConfigurationError: an argument cannot be; nothing was sent.
        """
        made = document(
            {"name": name, "url": url, "events": events, "secret": secret, "active": active}, local=self._api.local
        )
        return await self._api.call("POST", await self._path(models.WEBHOOKS), _WEBHOOK, body=made)

    async def list(self) -> tuple[Webhook, ...]:
        """Return all webhooks of the workspace. No paging of them is known."""
        return await self._api.call("GET", await self._path(models.WEBHOOKS), _WEBHOOKS)

    async def get(self, id: str) -> Webhook:
        """Return a webhook, its secret included."""
        return await self._api.call("GET", await self._path(models.WEBHOOK, id), _WEBHOOK)

    async def update(self, id: str, **changes: Unpack[Changes]) -> Webhook:
        """Change a webhook, and nothing else of it.

        The API only replaces (SDK): so it is read, and all of it sent back with the changes, what is not known here
        included. A change that somebody else makes between the two is lost.

        Raises:
            ConfigurationError: a change cannot be; nothing was changed.
        """
        return await self._replace(await self.get(id), changes)

    async def delete(self, id: str) -> None:
        """Delete a webhook. What the API answers beside its success is not known, and not read, unless it is a page."""
        await self._api.send("DELETE", await self._path(models.WEBHOOK, id))

    async def test(self, id: str, event: str | None = None) -> WebhookTests:
        """Have the sender deliver test events to a webhook's URL, and return what came of it.

        Args:
            id: the webhook's.
            event: just this event; each that the webhook has if None. Modelled: UP42's API is only known to test
                them all, and may overlook it.
        """
        path = await self._path(models.TESTS, id)
        return await self._api.call("POST", path, _TESTS, params={"event": event})

    async def ensure(
        self,
        *,
        name: str,
        url: str,
        events: Sequence[str],
        secret: str | SecretStr | None = None,
        active: bool = True,
    ) -> Ensured:
        """Create a webhook, or make the one of that name as it should be; for scripts that run again and again.

        A webhook is known by its name, so that it can move to another URL: give each deployment a name of its own.
        Where several have the name, the URL decides between them. Without a secret, the one it has is left alone.
        Two that run at the same moment may both create it.

        Raises:
            ConfigurationError: an argument cannot be, or several webhooks may be meant: the message has their ids.
        """
        changes: Changes = {"name": name, "url": url, "events": events, "active": active}
        if secret is not None:
            changes["secret"] = secret
        wanted = document(changes, local=self._api.local)
        named = [webhook for webhook in await self.list() if webhook.name == name]
        if not named:
            return Ensured(await self.create(name, url, events, secret=secret, active=active), "created")
        found = named if len(named) == 1 else [webhook for webhook in named if webhook.url == url]
        if len(found) != 1:
            ids = ", ".join(webhook.id for webhook in named)
            raise ConfigurationError(
                f"{len(named)} webhooks are called {name!r}: delete or rename all but one of {ids}"
            )
        if not differs(found[0], {name: wanted[name] for name in changes}):
            return Ensured(found[0], "unchanged")
        return Ensured(await self._replace(found[0], changes), "updated")

    async def order(self, id: str) -> Order:
        """Return an order as it is now."""
        return await self._api.call("GET", models.ORDER.format(order_id=segment(id)), _ORDER, enveloped=False)

    async def orders(
        self,
        *,
        status: str | Sequence[str] | None = None,
        type: Literal["ARCHIVE", "TASKING"] | None = None,
        sub_status: str | None = None,
        display_name: str | None = None,
        tags: str | Sequence[str] | None = None,
        workspace_id: str | None = None,
        sort: str | None = None,
        size: int = 20,
    ) -> AsyncGenerator[Order]:
        """Yield the orders that all that is given fits, each page as it is needed (docs, SDK).

        Orders may come, go and change meanwhile. One that is met again is left out, unless it has changed.

        Args:
            status: one or several, any of which fits.
            type: of the order.
            sub_status: of a tasking order.
            display_name: of the order.
            tags: one or several.
            workspace_id: only of this workspace; of all that the user sees if None.
            sort: such as "updatedAt,asc"; the API's own is "createdAt,desc". By createdAt, updatedAt, type or status.
            size: how many on a page; the API's own is 20, the most that it allows is not known.
        """
        params = {
            "status": status,
            "type": type,
            "subStatus": sub_status,
            "displayName": display_name,
            "tags": tags,
            "workspaceId": workspace_id,
            "sort": sort,
        }
        async for order in self._api.pages(models.ORDERS, _ORDERS, params, size):
            yield order

    async def assets(
        self,
        order_id: str,
        *,
        workspace_id: str | None = None,
        created_after: datetime | None = None,
        search: str | None = None,
    ) -> AsyncGenerator[Asset]:
        """Yield the assets of an order. The API has no filter for it: all are read (SDK up to 2.6), and these chosen.

        Args:
            order_id: the order's.
            workspace_id: look only in this workspace.
            created_after: look only at those made later, as all of an order are later than the order; with a zone.
            search: look only at those that the API finds for this text.
        """
        after = None if created_after is None else created_after.isoformat()
        params = {"workspaceId": workspace_id, "createdAfter": after, "search": search}
        async for asset in self._api.pages(models.ASSETS, _ASSETS, params, size=50):
            if asset.order_id == order_id:
                yield asset

    async def download_url(self, asset_id: str) -> str:
        """Return where an asset can be downloaded from, without a token and for a while (SDK up to 2.6)."""
        path = models.DOWNLOAD.format(asset_id=segment(asset_id))
        return (await self._api.call("POST", path, _LINK, enveloped=False)).url

    async def _replace(self, webhook: Webhook, changes: Changes) -> Webhook:
        body = replacement(webhook, changes, local=self._api.local)
        return await self._api.call("PUT", await self._path(models.WEBHOOK, webhook.id), _WEBHOOK, body=body)

    async def _path(self, template: str, id: str | None = None) -> str:
        """Return a path within the workspace; a wrong id is refused before anything is sent."""
        webhook_id = "" if id is None else segment(id)
        return template.format(workspace_id=segment(await self._api.workspace_id()), webhook_id=webhook_id)


class Changes(TypedDict, total=False):
    """What can be changed of a webhook. A secret of None takes it away: its deliveries come unsigned."""

    name: str
    url: str
    events: Sequence[str]
    secret: str | SecretStr | None
    active: bool


def document(fields: Mapping[str, object], *, local: bool) -> dict[str, Any]:
    """Return a webhook's input as it goes over the API.

    Args:
        fields: by name.
        local: whether the API is on this machine, so that the webhook's URL may be http to this machine.

    Raises:
        ConfigurationError: a field cannot be; the message names it.
    """
    try:
        made = WebhookInput.model_validate(fields)
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise ConfigurationError(f"that is no webhook: {told}") from None
    if made.secret is None and fields.get("secret") is not None:
        raise ConfigurationError("the webhook's secret is empty: leave it out if deliveries are to come unsigned")
    for event in made.events:
        if "," in event:
            raise ConfigurationError(f"{event!r} is one text; events are a list of names, one in each")
    _refuse_undeliverable(made.url, local)
    sent = made.as_json()
    for name in ("name", "url", "secret"):
        if not is_utf8(sent[name] or ""):
            raise ConfigurationError(f"the webhook's {name} has half characters in it, which UTF-8 cannot hold")
    return sent


def replacement(webhook: Webhook, changes: Changes, *, local: bool) -> dict[str, Any]:
    """Return a whole webhook, what is not known here included, with changes, to replace it.

    Raises:
        ConfigurationError: a change cannot be; the message names it.
    """
    unknown = changes.keys() - Changes.__annotations__.keys()
    if unknown:
        raise ConfigurationError(f"a webhook has no {', '.join(sorted(unknown))} that can be changed")
    own = {"id", "createdAt", "updatedAt"}  # which the API sets itself
    there = {name: value for name, value in webhook.as_json().items() if name not in own}
    return document({**there, **changes}, local=local)


def differs(webhook: Webhook, wanted: Mapping[str, Any]) -> bool:
    """Whether a webhook is not as wanted; events may be in any order."""
    there = webhook.as_json()
    return any(
        sorted(there[name]) != sorted(value) if name == "events" else there[name] != value
        for name, value in wanted.items()
    )


def segment(id: str) -> str:
    """Return an id as a part of a path that cannot lead anywhere else.

    Raises:
        ConfigurationError: it is empty, or dots, and so would name another resource.
    """
    if not isinstance(id, str) or not id.strip(". ") or not is_utf8(id):
        raise ConfigurationError(f"{id!r} is no id")
    return quote(id, safe="")


def _refuse_undeliverable(url: str, local: bool) -> None:
    """Refuse what the sender would; the message does not repeat the URL, which may hold a token."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ConfigurationError("the webhook's URL is none: it has to be as https://host/path") from None
    if not host or parts.scheme not in ("http", "https"):
        raise ConfigurationError("the webhook's URL has to be as https://host/path")
    if parts.scheme == "http" and not (local and is_local(url)):
        near = " to this machine, where the sender's API is on it, too" if is_local(url) else ""
        raise ConfigurationError(f"the webhook's URL has to be https; http is only for trying out{near}")
