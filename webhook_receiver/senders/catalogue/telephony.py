"""Telephony that a row each tells."""

from __future__ import annotations

from functools import partial

from ...events import Event
from ...responses import Response, ResponseStatuses, as_json
from ...signatures.any_of import AnyOf
from ...signatures.bearer_jwt import BearerJWT
from ...signatures.body_forms import sha256_hex
from ...signatures.hmac_body import HMACBody
from ...signatures.secrets import Secrets
from ..base import Sender
from ..form import form_document
from ..page import Page
from ..reply import Reply
from ..split import Split
from .row import row


def _twilio(secrets: Secrets) -> AnyOf:
    """Return Twilio's scheme: over the URL, and the fields of a form, or the hash of another body in the query."""
    scheme = partial(HMACBody, secrets, signature="x-twilio-signature", hash="sha1", encoding="base64")
    hashed = (scheme(signed="{url}" + mark + "bodySHA256={body}", body_form=sha256_hex) for mark in "?&")
    return AnyOf(scheme(signed="{url}{form}"), *hashed, same_secrets=True)


def _acknowledge(event: Event) -> Response:
    return as_json({})


PRESETS = (
    row(
        "twilio",
        "Twilio",
        _twilio,
        partial(
            Sender,
            facts=("twilio 9.13.0 for Python and 6.2.0 for Node, run in November 2026",),
            split=Split("*"),
            event_name=(
                *("MessageStatus", "CallStatus", "SmsStatus", "type"),
                *("EventType", "StatusCallbackEvent", "RecordingStatus", "text:message"),
            ),
            decode=form_document,
        ),
        ("x-twilio-signature",),
        body=b"MessageSid=SM1&MessageStatus=sent",
        page=Page(
            trade="telephony",
            docs="www.twilio.com/docs/usage/webhooks/webhooks-security",
            setup="In the console, the URL of a number or service, by POST. The secret is the account's auth token.",
            traps=(
                "It signs by SHA-1.",
                "An event's name is the status, or the event that a form of a conversation, a conference or a room "
                "names; message where there is none.",
                "The URL is signed as the console has it: scheme, slash, port and query count.",
                "Of a form, the border between a name and its value is not signed.",
                "JSON is signed by its hash, which is in the query as bodySHA256; that is not part of the public URL.",
            ),
            verified=("twilio 9.13.0 (Python), twilio 6.2.0 (Node)", "2026-11-29"),
        ),
    ),
    row(
        "vonage",
        "Vonage",
        partial(BearerJWT, algorithm="HS256", body_claim="payload_hash", id_claim="jti"),
        partial(
            Sender,
            facts=("vonage-jwt 1.1.5 for Python and @vonage/jwt 1.17.1 for Node, run in November 2026",),
            event_name=("status", "message_type"),
        ),
        shape=("message_uuid", "timestamp"),
        body=b'{"message_uuid": "first-number", "status": "delivered", "timestamp": "2026-11-29T00:00:00Z"}',
        page=Page(
            trade="telephony",
            docs="developer.vonage.com/en/getting-started/concepts/webhooks",
            setup="In the dashboard, the application's webhook URLs. The secret is the account's signature secret.",
            traps=(
                "Webhooks of the SMS API are signed otherwise, by members of the body: they are rejected.",
                "Its library for Python takes no token whose time is a second ahead.",
            ),
            verified=("vonage-jwt 1.1.5 (Python), @vonage/jwt 1.17.1 (Node)", "2026-11-29"),
        ),
    ),
    row(
        "livekit",
        "LiveKit",
        partial(
            BearerJWT, algorithm="HS256", prefix="", body_claim="sha256", body_encoding="base64", required=("exp",)
        ),
        partial(
            Sender,
            facts=("livekit-api 1.2.2 for Python and livekit-server-sdk 2.19.2 for Node, run in November 2026",),
            delivery_id_path="id",
        ),
        marks=("content-type:application/webhook+json",),
        page=Page(
            trade="telephony",
            docs="docs.livekit.io/home/server/webhooks",
            setup="In the project's settings, Webhooks: the URL and an API key. The secret is that of the key.",
            traps=("The token stands in Authorization alone, without Bearer.",),
            verified=("livekit-api 1.2.2 (Python), livekit-server-sdk 2.19.2 (Node)", "2026-11-29"),
        ),
    ),
    row(
        "agora",
        "Agora",
        partial(HMACBody, signature="agora-signature-v2"),
        partial(
            Sender,
            facts=("docs.agora.io/en/realtime-media: receive notifications, read in November 2026",),
            event_name="eventType",
            delivery_id_path="noticeId",
            responses=ResponseStatuses(stored=200),
            reply=Reply(_acknowledge),
        ),
        ("agora-signature-v2",),
        page=Page(
            trade="telephony",
            docs="docs.agora.io/en/realtime-media/media-push/build/receive-notifications",
            setup="In the console, the project's Notifications: the URL and the events; it shows the secret.",
            answer="A 200 with JSON in its body, within 10 seconds; else it is sent again, 3 times.",
            traps=("It sends a signature by SHA-1 as well, which is not looked at.",),
        ),
    ),
)
