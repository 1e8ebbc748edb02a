"""The sender Meta, with WhatsApp, Messenger and Instagram: an HMAC over the body, and a token at registration."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal, cast

from pydantic import BaseModel

from ..events import Event
from ..responses import ResponseStatuses
from ..signatures.hmac_body import HMACBody
from ..signatures.secrets import Secrets
from ..signatures.shared_secret import QuerySecret
from .base import Sender
from .challenges import Challenge, echo
from .page import Page
from .preset import Preset
from .split import Split

_MESSAGING = ("message", "postback", "reaction", "read", "delivery", "optin", "referral", "account_linking")
"""The members by one of which an event of Messenger or Instagram tells what it is."""


class _WithId(BaseModel, frozen=True, extra="allow"):
    """What has an id of Meta's own, as a message has."""

    mid: str | None = None


class MessageReceived(Event, frozen=True):
    """The event `message` of Messenger or Instagram: a message that somebody sent, or the echo of one of yours."""

    event: Literal["message"]
    message: _WithId

    @property
    def delivery_id(self) -> str | None:
        """The id of the message, the same in whatever batch it comes again."""
        return self.message.mid


class PostbackReceived(Event, frozen=True):
    """The event `postback` of Messenger or Instagram: somebody pressed a button."""

    event: Literal["postback"]
    postback: _WithId

    @property
    def delivery_id(self) -> str | None:
        """The id of the postback, if it has one, the same in whatever batch it comes again."""
        return self.postback.mid


class MessagesChanged(Event, frozen=True):
    """The event `messages` of WhatsApp, a change: messages that somebody sent, or what became of those of yours."""

    event: Literal["messages"]
    value: Any = None
    """The change, with its `messages` or `statuses`."""

    @property
    def delivery_id(self) -> str | None:
        """The ids of all its messages, and of all its statuses with these; None where one has none."""
        messages, statuses = (_items(self.value, name) for name in ("messages", "statuses"))
        ids = [[_text(each, "id")] for each in messages] + [
            [_text(each, "id"), _text(each, "status")] for each in statuses
        ]
        return json.dumps(ids) if ids and all(map(all, ids)) else None


def _items(value: Any, name: str) -> Sequence[Any]:
    items: object = cast("dict[str, Any]", value).get(name) if isinstance(value, dict) else None
    return cast("Sequence[Any]", items) if isinstance(items, list) else []


def _text(item: Any, name: str) -> str:
    found: object = cast("dict[str, Any]", item).get(name) if isinstance(item, dict) else None
    return found if isinstance(found, str) else ""


_signature = partial(HMACBody, signature="x-hub-signature-256", prefix="sha256=")


def meta(secret: Secrets, *, verify_token: Secrets | None = None) -> Sender:
    """Return the sender Meta.

    Args:
        secret: the app's secret, or several while it is changed.
        verify_token: the text that you give beside the URL, which Meta sends when it asks for the URL; several while it
            is changed. None for a receiver whose URL is registered already: such a request is then rejected.

    Raises:
        ConfigurationError: a secret cannot work.
    """
    asked: tuple[Challenge, ...] = ()
    if verify_token is not None:
        asking = echo(
            "query:hub.challenge",
            methods=("GET",),
            where={"query:hub.mode": "subscribe"},
            signed=False,
            scheme=QuerySecret(verify_token, parameter="hub.verify_token"),
        )
        asked = (replace(asking, rejected=403),)
    return Sender(
        name="meta",
        responses=ResponseStatuses(stored=200),
        scheme=_signature(secret),
        facts=(
            "pywa 4.5.0 for Python, whatsapp-api-js 6.3.0 and @great-detail/whatsapp 9.2.0 for Node (of third "
            "parties), run in November 2026",
        ),
        events=(MessagesChanged, MessageReceived, PostbackReceived),
        split=Split("entry.*.changes|messaging|standby.*", {"object": "object", "entry_id": "entry.*.id"}),
        event_name=("field", *(f"has:{each}" for each in _MESSAGING), "text:messaging"),
        challenges=asked,
    )


PRESETS = (
    Preset(
        "meta",
        "Meta (WhatsApp, Messenger, Instagram)",
        meta,
        _signature,
        ("x-hub-signature-256",),
        samples={
            "messages": {
                "object": "whatsapp_business_account",
                "entry": [
                    {
                        "id": "1001",
                        "changes": [
                            {
                                "field": "messages",
                                "value": {
                                    "messaging_product": "whatsapp",
                                    "messages": [{"id": "wamid.1", "type": "text", "text": {"body": "Hello"}}],
                                },
                            }
                        ],
                    }
                ],
            },
            "message": {
                "object": "page",
                "entry": [
                    {"id": "1002", "messaging": [{"message": {"mid": "m_1", "text": "Hello"}, "sender": {"id": "3"}}]}
                ],
            },
            "postback": {
                "object": "page",
                "entry": [
                    {"id": "1002", "messaging": [{"postback": {"mid": "m_2", "title": "Go"}, "sender": {"id": "3"}}]}
                ],
            },
        },
        asking=lambda secret, token: meta(secret, verify_token=token),
        page=Page(
            arguments=('Secret.from_env("WEBHOOK_SECRET")', 'verify_token=Secret.from_env("VERIFY_TOKEN")'),
            trade="chat",
            docs="developers.facebook.com/docs/graph-api/webhooks/getting-started",
            setup=(
                "In the app's dashboard, Webhooks: the URL, a verify token of your own, and the fields; say "
                "meta(secret, verify_token=...). The secret is the app's secret. The receiver has to run when you save."
            ),
            traps=(
                "The signature is that of GitHub.",
                "A delivery is a batch at two levels: entry, and changes, messaging or standby in each. Those of the "
                "latter two are named by what they have: message, postback, read.",
            ),
            verified=("pywa 4.5.0 (Python), whatsapp-api-js 6.3.0 (Node)", "2026-11-29"),
        ),
    ),
)
