"""A client of UP42's API: webhooks, and the orders and assets that their events are about."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple, Self, TypedDict, Unpack
from urllib.parse import quote, urlsplit

from pydantic import BaseModel, SecretStr, TypeAdapter, ValidationError

from ...errors import ConfigurationError, needs
from ...signatures.secrets import Secret, is_utf8
from . import models
from .models import Asset, EventType, Order, Webhook, WebhookInput, WebhookTests

try:
    from httpx_retries import Retry

    from .http import RETRY, Connection
    from .settings import Settings, is_local
except ImportError as error:
    if error.name is None or error.name.partition(".")[0] == "webhook_receiver":
        raise
    raise ImportError(needs("the client of UP42's API", error.name, "standard"), name=error.name) from None


class _Link(BaseModel, hide_input_in_errors=True):
    """The download URL of an asset (SDK)."""

    url: str


_EVENT_TYPES = TypeAdapter(tuple[EventType, ...])
_WEBHOOK = TypeAdapter(Webhook)
_WEBHOOKS = TypeAdapter(tuple[Webhook, ...])
_TESTS = TypeAdapter(WebhookTests)
_ORDER = TypeAdapter(Order)
_ASSET = TypeAdapter(Asset)
_LINK = TypeAdapter(_Link)


class Ensured(NamedTuple):
    """The result of `ensure`: the webhook, and what was done."""

    webhook: Webhook
    done: Literal["created", "updated", "unchanged"]


class WebhooksClient:
    """A client of UP42's API with a user's rights, for use in `async with`.

    Arguments left out are read from the environment. Failed calls are repeated if they cannot take effect twice.
    Redirects are not followed: a token is sent to the hosts of the API and of the user info only.

    Args:
        username: the user's name; else UP42_USERNAME.
        password: the user's password; else UP42_PASSWORD.
        token: a bearer token in place of the two; else UP42_TOKEN. It is not renewed; UP42's are valid for 300 s.
        region: "eu" or "sa"; else UP42_REGION, else "eu".
        url: the URL of a server that is both API and token endpoint, such as the simulator, in place of `region`;
            else UP42_URL.
        workspace_id: the id of the webhooks' workspace; else UP42_WORKSPACE_ID, else the user's own, requested once.
        timeout: seconds to wait for a connection, for the response, and for each next part of it.
        retry: the retries of failed calls.

    Raises:
        ConfigurationError: the credentials are missing, or an argument or a variable cannot be used.
        ApiError: raised by every method if the API reports an error, or does not respond.
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
        """Create a webhook, and return it.

        Args:
            name: the webhook's name, for people.
            url: the URL to deliver to; https, or http to this machine if the API is on it, too.
            events: the names of event types, such as "order.status".
            secret: the secret that signs its deliveries, without what is invisible at its ends, as `Secret` reads it;
                they are unsigned if None.
            active: whether it delivers. The API's own default is no, but then the first delivery never comes.

        Raises:
            ConfigurationError: an argument is not valid; nothing was sent.
        """
        fields = {"name": name, "url": url, "events": events, "secret": receivable(secret), "active": active}
        made = document(fields, local=self._api.local)
        return await self._api.call("POST", await self._path(models.WEBHOOKS), _WEBHOOK, body=made)

    async def list(self) -> tuple[Webhook, ...]:
        """Return all webhooks of the workspace. No paging of this list is known."""
        return await self._api.call("GET", await self._path(models.WEBHOOKS), _WEBHOOKS)

    async def get(self, id: str) -> Webhook:
        """Return a webhook, its secret included."""
        return await self._api.call("GET", await self._path(models.WEBHOOK, id), _WEBHOOK)

    async def update(self, id: str, **changes: Unpack[Changes]) -> Webhook:
        """Change the given fields of a webhook, and return it.

        The API can only replace a webhook (SDK): so the webhook is read, and sent back with the changes and with its
        unknown fields. A change made by others between the two calls is lost.

        Args:
            id: the webhook's id.
            changes: the new values of the fields in `Changes`.

        Raises:
            ConfigurationError: a value is not valid; nothing was changed.
        """
        return await self._replace(await self.get(id), changes)

    async def delete(self, id: str) -> None:
        """Delete a webhook. The content of the API's response is not known, and only checked not to be HTML."""
        await self._api.send("DELETE", await self._path(models.WEBHOOK, id))

    async def test(self, id: str, event: str | None = None) -> WebhookTests:
        """Let UP42 deliver test events to a webhook's URL, and return the results.

        Args:
            id: the webhook's id.
            event: the only event to test; all of the webhook's events if None. Modelled: UP42's API is only known to
                test all of them, and may ignore it.
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
        """Create a webhook, or update the one of that name; for scripts that run repeatedly.

        A webhook is identified by its name, so that it can move to another URL: give each deployment its own name. If
        several have the name, the URL decides between them. Without a secret, the present one stays. Two calls at the
        same moment may both create it. The arguments are those of `create`.

        Raises:
            ConfigurationError: an argument is not valid, or several webhooks match: the message has their ids.
        """
        changes: Changes = {"name": name, "url": url, "events": events, "active": active}
        if secret is not None:
            changes["secret"] = receivable(secret)
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
        """Return an order."""
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
        """Yield the orders that match all arguments; each page is requested when it is needed (docs, SDK).

        Orders may be created and changed meanwhile. One that is met again is left out, unless it has changed. So is one
        without an id, a status or a time of change, which is logged once; if there is no other, that is an ApiError.

        Args:
            status: one status or several, any of which matches.
            type: the type of the order.
            sub_status: the sub-status of a tasking order.
            display_name: the display name of the order.
            tags: one tag or several.
            workspace_id: the workspace's id; all workspaces that the user sees if None.
            sort: the key and direction, such as "updatedAt,asc"; the API's default is "createdAt,desc". The keys are
                createdAt, updatedAt, type and status.
            size: the number of orders on a page; the API's default is 20, its maximum is not known.
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
        async for order in self._api.pages(models.ORDERS, _ORDER, params, size):
            yield order

    async def assets(
        self,
        order_id: str,
        *,
        workspace_id: str | None = None,
        created_after: datetime | None = None,
        search: str | None = None,
    ) -> AsyncGenerator[Asset]:
        """Yield the assets of an order. The API has no filter for orders: all assets are read (SDK up to 2.6).

        Args:
            order_id: the order's id.
            workspace_id: the only workspace to read from.
            created_after: the time, with a zone, after which the assets were created; the order's own will do.
            search: the text that the API is to search for.
        """
        after = None if created_after is None else created_after.isoformat()
        params = {"workspaceId": workspace_id, "createdAfter": after, "search": search}
        async for asset in self._api.pages(models.ASSETS, _ASSET, params, size=50):
            if asset.order_id == order_id:
                yield asset

    async def download_url(self, asset_id: str) -> str:
        """Return a URL that an asset can be downloaded from without a token, until it expires (SDK up to 2.6)."""
        path = models.DOWNLOAD.format(asset_id=segment(asset_id))
        return (await self._api.call("POST", path, _LINK, enveloped=False)).url

    async def _replace(self, webhook: Webhook, changes: Changes) -> Webhook:
        body = replacement(webhook, changes, local=self._api.local)
        return await self._api.call("PUT", await self._path(models.WEBHOOK, webhook.id), _WEBHOOK, body=body)

    async def _path(self, template: str, id: str | None = None) -> str:
        """Return a path within the workspace.

        Raises:
            ConfigurationError: the id is not one; nothing was sent.
        """
        webhook_id = "" if id is None else segment(id)
        return template.format(workspace_id=segment(await self._api.workspace_id()), webhook_id=webhook_id)


class Changes(TypedDict, total=False):
    """The fields of a webhook that can be changed. A secret of None removes it: deliveries are unsigned then."""

    name: str
    url: str
    events: Sequence[str]
    secret: str | SecretStr | None
    active: bool


def receivable(secret: str | SecretStr | None) -> str | SecretStr | None:
    """Return a secret as a receiver reads it, without what is invisible at its ends: else the two would differ.

    Raises:
        ConfigurationError: the secret is blank.
    """
    text = secret.get_secret_value() if isinstance(secret, SecretStr) else secret
    return Secret(text) if isinstance(text, str) and text and is_utf8(text) else secret


def document(fields: Mapping[str, object], *, local: bool) -> dict[str, Any]:
    """Return the JSON from which the API creates a webhook.

    Args:
        fields: the values by name.
        local: whether the API is on this machine, so that the webhook's URL may be http to this machine.

    Raises:
        ConfigurationError: a value is not valid; the message names the field.
    """
    try:
        made = WebhookInput.model_validate(fields)
    except ValidationError as error:
        reasons = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise ConfigurationError(f"that is not a webhook: {reasons}") from None
    if made.secret is None and fields.get("secret") is not None:
        raise ConfigurationError("the webhook's secret is empty: leave it out for unsigned deliveries")
    for event in made.events:
        if "," in event:
            raise ConfigurationError(f"{event!r} is one text; events are a list of names")
    _check_deliverable(made.url, local)
    sent = made.as_json()
    for name in ("name", "url", "secret"):
        if not is_utf8(sent[name] or ""):
            raise ConfigurationError(f"the webhook's {name} has lone surrogates in it, which UTF-8 cannot hold")
    return sent


def replacement(webhook: Webhook, changes: Changes, *, local: bool) -> dict[str, Any]:
    """Return the JSON that replaces a webhook: its fields, unknown ones included, with changes.

    Args:
        webhook: the webhook.
        changes: the new values.
        local: whether the API is on this machine.

    Raises:
        ConfigurationError: a value is not valid; the message names the field.
    """
    unknown = changes.keys() - Changes.__annotations__.keys()
    if unknown:
        raise ConfigurationError(f"a webhook has no {', '.join(sorted(unknown))} that can be changed")
    own = {"id", "createdAt", "updatedAt"}  # which the API sets itself
    there = {name: value for name, value in webhook.as_json().items() if name not in own}
    given = {"secret": receivable(changes["secret"])} if "secret" in changes else {}
    return document({**there, **changes, **given}, local=local)


def differs(webhook: Webhook, wanted: Mapping[str, Any]) -> bool:
    """Whether a webhook differs from the wanted values; its events are a set."""
    there = webhook.as_json()
    return any(
        {*there[name]} != {*value} if name == "events" else there[name] != value for name, value in wanted.items()
    )


def segment(id: str) -> str:
    """Return an id, escaped as a segment of a URL's path.

    Raises:
        ConfigurationError: the id is empty or only dots, and would lead to another resource.
    """
    if not isinstance(id, str) or not id.strip(". ") or not is_utf8(id):
        raise ConfigurationError(f"{id!r} is not an id")
    return quote(id, safe="")


def _check_deliverable(url: str, local: bool) -> None:
    """Check that UP42 can deliver to a URL.

    Raises:
        ConfigurationError: UP42 would reject the URL; the message does not repeat it, since it may hold a token.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ConfigurationError("the webhook's URL is not a URL: it has the form https://host/path") from None
    if not host or parts.scheme not in ("http", "https"):
        raise ConfigurationError("the webhook's URL has the form https://host/path")
    if parts.scheme == "http" and not (local and is_local(url)):
        near = " to this machine, where the sender's API is on it, too" if is_local(url) else ""
        raise ConfigurationError(f"the webhook's URL has to be https; http is only for trying out{near}")
