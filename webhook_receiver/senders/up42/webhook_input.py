"""What a webhook is made from, checked before it is sent to the sender's API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict
from urllib.parse import quote, urlsplit

from pydantic import SecretStr, ValidationError

from ...errors import ConfigurationError
from ...signatures.scheme import is_utf8
from .models import Webhook, WebhookInput
from .settings import is_local


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
