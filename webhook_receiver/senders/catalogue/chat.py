"""Chats and their bots that a row each tells."""

from __future__ import annotations

from functools import partial
from typing import Any

from ...responses import ResponseStatuses
from ...signatures.body_forms import gunzipped
from ...signatures.hmac_body import HMACBody
from ...signatures.public_key_body import PublicKeyBody
from ..base import Sender
from ..challenges import ping
from ..page import Page
from ..preset import LATE, NOT_TOLD
from ..split import Split
from .examples import ED25519_KEY
from .row import row

_DISCORD: dict[str, Any] = {
    "algorithm": "ed25519",
    "signature": "x-signature-ed25519",
    "encoding": "hex-any-case",
    "timestamp": "x-signature-timestamp",
    "signed": "{timestamp}{body}",
    "tolerance": LATE,
}
"""The options of Discord's signatures, of its webhook events and of its interactions."""

PRESETS = (
    row(
        "line",
        "LINE",
        partial(HMACBody, signature="x-line-signature", encoding="base64"),
        partial(
            Sender,
            responses=ResponseStatuses(stored=200),
            facts=("line-bot-sdk 3.27.0 for Python and @line/bot-sdk 11.2.0 for Node, run in November 2026",),
            split=Split("events.*", {"destination": "destination"}),
            event_name="type",
            delivery_id_path="webhookEventId",
        ),
        ("x-line-signature",),
        page=Page(
            trade="chat",
            docs="developers.line.biz/en/docs/messaging-api/receiving-messages",
            setup="In the console, the channel's Messaging API: the webhook URL. The secret is the channel secret.",
            traps=(
                "The console checks the URL by a signed delivery without events.",
                "A delivery may hold several events; each has an id, and says whether it was sent before.",
            ),
            verified=("line-bot-sdk 3.27.0 (Python), @line/bot-sdk 11.2.0 (Node)", "2026-11-28"),
        ),
    ),
    row(
        "viber",
        "Viber",
        partial(HMACBody, signature="x-viber-content-signature"),
        partial(
            Sender,
            responses=ResponseStatuses(stored=200),
            facts=("viberbot 1.0.12 for Python and viber-bot 1.0.18 for Node, run in November 2026",),
            challenges=(ping(where={"body:event": "webhook"}),),
        ),
        ("x-viber-content-signature",),
        page=Page(
            trade="chat",
            docs="developers.viber.com/docs/api/rest-bot-api",
            setup="Call set_webhook of the API with the URL. The secret is the bot's authentication token.",
            traps=(
                "While set_webhook runs it sends the event webhook, which has to be answered by 200.",
                "The message_token is that of the message: events about one message share it.",
            ),
            verified=("viberbot 1.0.12 (Python), viber-bot 1.0.18 (Node)", "2026-11-28"),
        ),
    ),
    row(
        "webex",
        "Webex",
        partial(HMACBody, signature="x-spark-signature", hash="sha1"),
        partial(
            Sender,
            facts=(
                "webex-node-bot-framework 2.3.14 for Node, run in November 2026",
                "n8n-nodes-base 2.41.2 (of a third party), read in November 2026",
            ),
            event_name="{resource}.{event}",
        ),
        ("x-spark-signature",),
        page=Page(
            trade="chat",
            docs="developer.webex.com/docs/api/guides/webhooks",
            setup="Create a webhook by the API, with the URL as targetUrl and a secret of your own.",
            traps=(
                "It signs by SHA-1.",
                "Its library for Node hashes the body as JavaScript writes it anew; here it is the bytes that came.",
            ),
            verified=("webex-node-bot-framework 2.3.14 (Node)", "2026-11-29"),
        ),
    ),
    row(
        "stream",
        "Stream",
        partial(HMACBody, signature="x-signature", body_form=gunzipped),
        partial(
            Sender,
            facts=(
                "stream-chat 4.33.0 for Python and 9.53.0 for Node, run in November 2026",
                "getstream.io/chat/docs: the header with the id",
            ),
            event_name="type",
            decode=gunzipped,
            content_encodings=("gzip",),
            delivery_id="X-Webhook-Id",
        ),
        ("x-signature",),
        marks=("x-webhook-attempt",),
        page=Page(
            trade="chat",
            docs="getstream.io/chat/docs/python/webhooks_overview",
            setup="In the dashboard, the app's chat overview: the webhook URL. The secret is the app's API secret.",
            traps=(
                "A body may be packed by gzip, with Content-Encoding or without: its first two bytes tell. It is "
                "signed unpacked, and kept as it came; duplicates are known by what is in it.",
            ),
            verified=("stream-chat 4.33.0 (Python), stream-chat 9.53.0 (Node)", "2026-11-28"),
        ),
    ),
    row(
        "intercom",
        "Intercom",
        partial(HMACBody, signature="x-hub-signature", prefix="sha1=", hash="sha1"),
        partial(
            Sender,
            responses=ResponseStatuses(stored=200),
            facts=("intercom-developer-hub.readme.io/reference/signed-notifications, read in November 2026",),
            event_name="topic",
            delivery_id_path="id",
            challenges=(ping(methods=("HEAD",), signed=False),),
        ),
        ("x-hub-signature",),
        within=b"sha1=",
        page=Page(
            trade="chat",
            docs="developers.intercom.com/docs/webhooks",
            setup="In the Developer Hub, Webhooks: the URL and the topics. The secret is the app's client secret.",
            traps=("It signs by SHA-1.", "Saving the URL asks for it by HEAD."),
        ),
    ),
    row(
        "discord",
        "Discord",
        partial(PublicKeyBody, **_DISCORD),
        partial(
            Sender,
            facts=(
                "discord-interactions 0.4.0 for Python and 4.4.0 for Node, run in November 2026",
                "docs.discord.com/developers/events/webhook-events, read in November 2026",
            ),
            event_name="event.type",
            responses=ResponseStatuses(stored=204, duplicate=204),
            challenges=(ping(where={"body:type": 0}, status=204),),
        ),
        ("x-signature-ed25519", "x-signature-timestamp"),
        example=ED25519_KEY,
        shape=("application_id", "event.type"),
        body=b'{"application_id": "1", "type": 1, "event": {"type": "ENTITLEMENT_CREATE", "data": {"id": "7"}}}',
        page=Page(
            trade="chat",
            docs="docs.discord.com/developers/events/webhook-events",
            setup=(
                "In the app's settings, Webhooks: the URL as endpoint, and the events. The secret is the public key "
                "under General Information."
            ),
            answer="A 204 within 3 seconds.",
            traps=(
                "This is for webhook events. Interactions want a reply in the body, and their number 1 is a ping, "
                "while that of webhook events is an event.",
                "Saving the URL sends requests with wrong signatures, too, which have to be rejected.",
                "Events are not sent in their order.",
                NOT_TOLD,
            ),
            verified=("discord-interactions 0.4.0 (Python), discord-interactions 4.4.0 (Node)", "2026-11-29"),
        ),
    ),
    row(
        "discord-interactions",
        "Discord interactions",
        partial(PublicKeyBody, **_DISCORD),
        partial(
            Sender,
            facts=("discord-interactions 0.4.0 for Python and 4.4.0 for Node, run in November 2026",),
            event_name=("data.name", "data.custom_id", "{type}"),
            delivery_id_path="id",
            responses=ResponseStatuses(stored=200),
            challenges=(ping(where={"body:type": 1}, document={"type": 1}),),
        ),
        ("x-signature-ed25519", "x-signature-timestamp"),
        example=ED25519_KEY,
        shape=("application_id", "token", "id"),
        body=b'{"id": "7", "application_id": "1", "type": 2, "token": "made-up", "data": {"name": "track"}}',
        page=Page(
            trade="chat",
            docs="docs.discord.com/developers/interactions/receiving-and-responding",
            setup=(
                "In the app's settings, General Information: the interactions endpoint URL. The secret is the public "
                "key there. The receiver has to run when you save."
            ),
            answer="A reply in the body within 3 seconds: say it by replace(sender, reply=Reply(...)).",
            traps=(
                "The URL of webhook events is another one: what is a ping there is an event here, and the other way "
                "round.",
                "Saving the URL sends requests with wrong signatures, too, which have to be rejected.",
                "An event has the name of its command, the custom_id of its component, or the number of its type.",
            ),
            verified=("discord-interactions 0.4.0 (Python), discord-interactions 4.4.0 (Node)", "2026-11-29"),
        ),
    ),
)
