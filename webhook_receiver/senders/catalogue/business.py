"""Services of a business that a row each tells: projects, customers, documents, content."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from ...events import Event, identity_of, value_at
from ...responses import ResponseStatuses
from ...signatures.any_of import AnyOf
from ...signatures.bearer_jwt import BearerJWT, request_url
from ...signatures.body_forms import escaped
from ...signatures.hmac_body import HMACBody
from ...signatures.secrets import Secrets
from ...signatures.shared_secret import BodySecret, QuerySecret
from ..base import Sender
from ..challenges import echo, ping
from ..page import Page
from ..preset import LATE, NOT_TOLD
from ..split import Split
from .row import row


def _box(secrets: Secrets) -> AnyOf:
    """Return Box's scheme: a key for each header, over the body as it is or in ASCII."""
    scheme = partial(
        HMACBody,
        secrets,
        signature=["box-signature-primary", "box-signature-secondary"],
        encoding="base64",
        signed="{body}{timestamp}",
        timestamp="box-delivery-timestamp",
        timestamp_format="rfc3339",
        tolerance=600,
    )
    return AnyOf(scheme(), scheme(body_form=escaped), same_secrets=True)


def _zendesk_event(event: Event) -> Sequence[str] | None:
    """Return the identity of an event of Zendesk's own; a template of the user's has none, whatever its `id` is."""
    id: object = value_at(event, ("id",)) if event.event.startswith("zen:event-type") else None
    return (id,) if isinstance(id, str) and id else identity_of(event)


PRESETS = (
    row(
        "hubspot",
        "HubSpot",
        partial(
            HMACBody,
            signature="x-hubspot-signature-v3",
            encoding="base64",
            signed="{method}{url}{body}{timestamp}",
            timestamp="x-hubspot-request-timestamp",
            timestamp_format="milliseconds",
        ),
        partial(
            Sender,
            facts=(
                "hubspot-api-client 12.0.0 for Python and @hubspot/api-client 14.0.1 for Node, run in November 2026: "
                "their v3",
            ),
            split=Split("*"),
            event_name="subscriptionType",
        ),
        ("x-hubspot-signature-v3", "x-hubspot-request-timestamp"),
        page=Page(
            trade="business",
            docs="developers.hubspot.com/docs/api/webhooks/validating-requests",
            setup="In the app's settings, Webhooks: the target URL. The secret is the app's client secret.",
            traps=(
                "It sends the older signatures v1 and v2 as well, which are plain hashes: they are not looked at.",
                "The URL is signed as the app's settings have it.",
                "A delivery is an array of events.",
            ),
            verified=("hubspot-api-client 12.0.0 (Python), @hubspot/api-client 14.0.1 (Node)", "2026-11-28"),
        ),
    ),
    row(
        "zendesk",
        "Zendesk",
        partial(
            HMACBody,
            signature="x-zendesk-webhook-signature",
            encoding="base64",
            signed="{timestamp}{body}",
            timestamp="x-zendesk-webhook-signature-timestamp",
            timestamp_format="rfc3339",
            tolerance=LATE,
        ),
        partial(
            Sender,
            facts=(
                "n8n-nodes-base 2.41.2 (of a third party), run in November 2026",
                "developer.zendesk.com/api-reference/webhooks/event-types, read in November 2026: the types and ids",
            ),
            event_name=("type", "event", "text:template"),
            identity=_zendesk_event,
        ),
        ("x-zendesk-webhook-signature", "x-zendesk-webhook-signature-timestamp"),
        body=b'{"type": "zen:event-type:user.created", "id": "2b24ef10-19d4-4740-93cf-8f98ec4776c0", "event": {}}',
        page=Page(
            trade="business",
            docs="developer.zendesk.com/documentation/webhooks",
            setup="In the Admin Center, Apps and integrations, Webhooks: the URL; it shows the signing secret.",
            traps=(
                "The body of a trigger or an automation is a template of your own: one without a member type or event "
                "is called template.",
                "The header X-Zendesk-Webhook-Invocation-Id would tell a repeat of such a body, but is not signed; two "
                "happenings may have equal bodies. So a copy of one runs the handlers again until half a day after its "
                "signing.",
            ),
            verified=("n8n-nodes-base 2.41.2 (Node)", "2026-11-29"),
        ),
    ),
    row(
        "box",
        "Box",
        _box,
        partial(
            Sender,
            facts=("boxsdk 10.18.0 for Python and box-node-sdk 10.12.0 for Node, run in November 2026",),
            event_name="trigger",
            delivery_id="Box-Delivery-Id",
        ),
        ("box-signature-primary", "box-delivery-timestamp"),
        page=Page(
            trade="business",
            docs="developer.box.com/guides/webhooks/v2/signatures-v2",
            setup=(
                "In the developer console, the app's Webhooks: the URL and the triggers, and under Manage signature "
                "keys the primary key and the secondary key, to be given in this order."
            ),
            traps=(
                "Each key has a header of its own.",
                "Its libraries take a body that is signed with what is beyond ASCII in it escaped, so both forms "
                "verify.",
            ),
            verified=("boxsdk 10.18.0 (Python), box-node-sdk 10.12.0 (Node)", "2026-11-28"),
        ),
    ),
    row(
        "trello",
        "Trello",
        partial(HMACBody, signature="x-trello-webhook", hash="sha1", encoding="base64", signed="{body}{url}"),
        partial(
            Sender,
            responses=ResponseStatuses(stored=200),
            facts=("n8n-nodes-base 2.41.2 (of a third party), run in November 2026",),
            event_name="action.type",
            delivery_id_path="action.id",
            challenges=(ping(methods=("HEAD",), signed=False),),
        ),
        ("x-trello-webhook",),
        page=Page(
            trade="business",
            docs="developer.atlassian.com/cloud/trello/guides/rest-api/webhooks",
            setup="Create a webhook by the API, with the URL as callbackURL. The secret is that of the API's key.",
            traps=(
                "It signs by SHA-1.",
                "The URL is signed as callbackURL has it.",
                "Creating a webhook asks for the URL by HEAD.",
            ),
            verified=("n8n-nodes-base 2.41.2 (Node)", "2026-11-29"),
        ),
    ),
    row(
        "calendly",
        "Calendly",
        partial(
            HMACBody,
            signature="calendly-webhook-signature:v1",
            timestamp="calendly-webhook-signature:t",
            signed="{timestamp}.{body}",
        ),
        partial(Sender, facts=("n8n-nodes-base 2.41.2 (of a third party), run in November 2026",)),
        ("calendly-webhook-signature",),
        page=Page(
            trade="business",
            docs="developer.calendly.com/api-docs/overview-of-webhooks",
            setup="Create a webhook subscription by the API, with the URL and a signing_key of your own.",
            verified=("n8n-nodes-base 2.41.2 (Node)", "2026-11-29"),
        ),
    ),
    row(
        "typeform",
        "Typeform",
        partial(HMACBody, signature="typeform-signature", prefix="sha256=", encoding="base64"),
        partial(
            Sender,
            facts=("n8n-nodes-base 2.41.2 (of a third party), run in November 2026",),
            event_name="event_type",
            delivery_id_path="event_id",
        ),
        ("typeform-signature",),
        page=Page(
            trade="business",
            docs="developer.typeform.com/webhooks",
            setup="In the form, Connect, Webhooks: the URL, and under Edit a secret of your own.",
            traps=("Its signature begins as GitHub's does, but is base64.",),
            verified=("n8n-nodes-base 2.41.2 (Node)", "2026-11-29"),
        ),
    ),
    row(
        "cal-com",
        "Cal.com",
        partial(HMACBody, signature="x-cal-signature-256"),
        partial(
            Sender, facts=("n8n-nodes-base 2.41.2 (of a third party), run in November 2026",), event_name="triggerEvent"
        ),
        ("x-cal-signature-256",),
        page=Page(
            trade="business",
            docs="cal.com/docs/core-features/webhooks",
            setup="In Settings, Developer, Webhooks: the subscriber URL, the events, and a secret of your own.",
            verified=("n8n-nodes-base 2.41.2 (Node)", "2026-11-29"),
        ),
    ),
    row(
        "sanity",
        "Sanity",
        partial(
            HMACBody,
            signature="sanity-webhook-signature:v1",
            encoding="base64url-unpadded",
            timestamp="sanity-webhook-signature:t",
            timestamp_format="milliseconds",
            signed="{timestamp}.{body}",
            tolerance=LATE,
        ),
        partial(
            Sender,
            facts=(
                "@sanity/webhook 4.0.4 for Node, run in November 2026",
                "www.sanity.io/docs/content-lake/webhooks: the header idempotency-key",
            ),
        ),
        ("sanity-webhook-signature",),
        page=Page(
            trade="business",
            docs="www.sanity.io/docs/content-lake/webhooks",
            setup="In the project's API settings, GROQ-powered webhooks: the URL, a projection, a secret of your own.",
            traps=(
                "A body is what your projection makes: it has a name of an event only if the projection gives one.",
                "The header idempotency-key would tell a repeat, but is not signed; two changes may have equal bodies.",
                NOT_TOLD,
            ),
            verified=("@sanity/webhook 4.0.4 (Node)", "2026-11-28"),
        ),
    ),
    row(
        "kontent-ai",
        "Kontent.ai",
        partial(HMACBody, signature="x-kontent-ai-signature", encoding="base64"),
        partial(
            Sender,
            facts=(
                "@kontent-ai/webhook-helper 3.0.3 for Node, run in November 2026",
                "kontent.ai/learn/docs/webhooks, and the types of that package: the header, and the members",
            ),
            split=Split("notifications.*"),
            event_name="{message.object_type}.{message.action}",
        ),
        ("x-kontent-ai-signature",),
        page=Page(
            trade="business",
            docs="kontent.ai/learn/docs/webhooks",
            setup="In the environment's settings, Webhooks: the URL; it shows the secret.",
            traps=("A delivery is a batch of notifications.",),
            verified=("@kontent-ai/webhook-helper 3.0.3 (Node)", "2026-11-28"),
        ),
    ),
    row(
        "elevenlabs",
        "ElevenLabs",
        partial(
            HMACBody,
            signature="elevenlabs-signature:v0",
            timestamp="elevenlabs-signature:t",
            signed="{timestamp}.{body}",
            tolerance=1800,
        ),
        partial(
            Sender, facts=("elevenlabs 2.78.0 for Python and 2.73.0 for Node, run in November 2026",), event_name="type"
        ),
        ("elevenlabs-signature",),
        page=Page(
            trade="business",
            docs="elevenlabs.io/docs/product-guides/administration/webhooks",
            setup="In the workspace's settings, Webhooks: the URL; the secret is shown once.",
            traps=("The secret counts as it is shown, with wsec_ in front.", "Its libraries allow half an hour."),
            verified=("elevenlabs 2.78.0 (Python), @elevenlabs/elevenlabs-js 2.73.0 (Node)", "2026-11-28"),
        ),
    ),
    row(
        "knock",
        "Knock",
        partial(
            HMACBody,
            signature="x-knock-signature:s",
            encoding="base64",
            timestamp="x-knock-signature:t",
            timestamp_format="milliseconds",
            signed="{timestamp}.{body}",
            tolerance=LATE,
        ),
        partial(
            Sender,
            responses=ResponseStatuses(stored=200),
            facts=("docs.knock.app/developer-tools/outbound-webhooks, read in November 2026",),
            event_name="type",
        ),
        ("x-knock-signature",),
        page=Page(
            trade="business",
            docs="docs.knock.app/developer-tools/outbound-webhooks",
            setup="In the dashboard, Developers, Webhooks: the URL and the events; it shows the signing secret.",
            answer="A 200 or 204.",
            traps=(NOT_TOLD,),
        ),
    ),
    row(
        "docusign",
        "DocuSign",
        partial(HMACBody, signature=["x-docusign-signature-1", "x-docusign-signature-2"], encoding="base64"),
        partial(
            Sender,
            responses=ResponseStatuses(stored=200),
            facts=("developers.docusign.com/platform/webhooks/connect/validate, read in November 2026",),
        ),
        ("x-docusign-signature-1",),
        page=Page(
            trade="business",
            docs="developers.docusign.com/platform/webhooks/connect",
            setup=(
                "In the account's settings, Connect: a configuration with the URL, the events and Include HMAC "
                "Signature, and under Connect Keys a secret, or two in their order."
            ),
            traps=("Each key has a header of its own, by its number.",),
        ),
    ),
    row(
        "clickup",
        "ClickUp",
        partial(HMACBody, signature="x-signature"),
        partial(Sender, facts=("developer.clickup.com/docs/webhooksignature, read in November 2026",)),
        ("x-signature",),
        shape=("event", "webhook_id"),
        body=b'{"event": "taskUpdated", "task_id": "1vj37mc", "webhook_id": "7fa3ec74-69a8-4530-a251-8a13730bd204"}',
        page=Page(
            trade="business",
            docs="developer.clickup.com/docs/webhooks",
            setup="Create a webhook by the API, with the URL and the events; the response has the secret.",
        ),
    ),
    row(
        "dropbox",
        "Dropbox",
        partial(HMACBody, signature="x-dropbox-signature"),
        partial(
            Sender,
            facts=("www.dropbox.com/developers/reference/webhooks, read in November 2026",),
            event_name="text:list_folder",
            challenges=(echo("query:challenge", methods=("GET",), signed=False),),
        ),
        ("x-dropbox-signature",),
        page=Page(
            trade="business",
            docs="www.dropbox.com/developers/reference/webhooks",
            setup="In the App Console, the app's Webhook URIs: the URL. The secret is the app's secret.",
            answer="Within 10 seconds.",
            traps=("A delivery names accounts with changes, and no event: ask the API for what has changed.",),
        ),
    ),
    row(
        "figma",
        "Figma",
        partial(BodySecret, member="passcode"),
        partial(
            Sender,
            facts=(
                "developers.figma.com/docs/rest-api/webhooks-events and webhooks-security, read in November 2026",
                "n8n-nodes-base 2.41.2 (of a third party), run in November 2026: a PING is answered by 200",
            ),
            event_name="event_type",
            responses=ResponseStatuses(stored=200),
        ),
        shape=("passcode", "event_type", "webhook_id"),
        body=(
            b'{"event_type": "FILE_UPDATE", "passcode": "a-secret-for-tests", "webhook_id": "22", '
            b'"timestamp": "2026-11-29T00:00:00Z", "file_key": "first-number"}'
        ),
        page=Page(
            trade="business",
            docs="developers.figma.com/docs/rest-api/webhooks",
            setup="Create a webhook by the API, with the URL as endpoint and a passcode of your own.",
            traps=(
                "Creating a webhook sends an event PING at once.",
                "A 400 stops the webhook, which is to be the answer to a wrong passcode; ours is 401.",
            ),
            verified=("n8n-nodes-base 2.41.2 (Node)", "2026-11-29"),
        ),
    ),
    row(
        "linear",
        "Linear",
        partial(HMACBody, signature="linear-signature"),
        partial(
            Sender,
            facts=("@linear/sdk 98.0.0 for Node, run in November 2026",),
            event_name="{type}.{action}",
            delivery_id="Linear-Delivery",
        ),
        ("linear-signature",),
        page=Page(
            trade="business",
            docs="linear.app/developers/webhooks",
            setup="In the workspace's settings, API, Webhooks: the URL and the events; it shows the signing secret.",
            traps=("The time is a member of the body, webhookTimestamp: it is signed, but not looked at.",),
            verified=("@linear/sdk 98.0.0 (Node)", "2026-11-28"),
        ),
    ),
    row(
        "workos",
        "WorkOS",
        partial(
            HMACBody,
            signature="workos-signature:v1",
            timestamp="workos-signature:t",
            timestamp_format="milliseconds",
            item_separator=", ",
            signed="{timestamp}.{body}",
            tolerance=180,
        ),
        partial(
            Sender,
            facts=("workos 10.6.0 for Python and @workos-inc/node 11.0.0 for Node, run in November 2026",),
            delivery_id_path="id",
        ),
        ("workos-signature",),
        page=Page(
            trade="business",
            docs="workos.com/docs/events/data-syncing/webhooks",
            setup="In the dashboard, Webhooks: the endpoint URL and the events; it shows the signing secret.",
            verified=("workos 10.6.0 (Python), @workos-inc/node 11.0.0 (Node)", "2026-11-29"),
        ),
    ),
    row(
        "monday",
        "monday.com",
        partial(BearerJWT, algorithm="HS256", prefix="", claims={"aud": request_url}),
        partial(
            Sender,
            facts=("developer.monday.com/apps/docs/authorization-header and advanced-concepts, read in November 2026",),
            event_name="event.type",
            challenges=(echo("body:challenge", key="challenge", signed=False),),
        ),
        shape=("event.type", "event.boardId"),
        body=b'{"event": {"type": "create_pulse", "boardId": 1771812698, "pulseId": 1772099344, "userId": 9603417}}',
        page=Page(
            trade="business",
            docs="developer.monday.com/api-reference/reference/webhooks",
            setup=(
                "Create a webhook by the API with a token of an app of yours, with the URL. The secret is the app's "
                "signing secret. The receiver has to run then."
            ),
            traps=(
                "The token states the URL as the webhook has it.",
                "Webhooks that are not created by an app are not signed: they are rejected.",
            ),
        ),
    ),
    row(
        "keap",
        "Keap",
        partial(QuerySecret, parameter="token"),
        partial(
            Sender,
            facts=(
                "developer.keap.com/rest-hook-documentation, read in November 2026",
                "n8n-nodes-base 2.41.2 (of a third party), read in November 2026: X-Hook-Secret is sent back",
            ),
            event_name="event_key",
            challenges=(echo("header:x-hook-secret", header="x-hook-secret", signed=False),),
        ),
        shape=("event_key", "object_type", "object_keys"),
        body=b'{"event_key": "contact.add", "object_type": "contact", "object_keys": [{"id": 7}]}',
        page=Page(
            trade="business",
            docs="developer.keap.com/rest-hook-documentation",
            setup=(
                "Create a REST hook by the API, one for each event, with the URL as hookUrl and ?token= and a secret "
                "of your own behind it. The receiver has to run then."
            ),
            answer=(
                "Any status from 200 to 399 within 30 seconds; else it is sent again 3 times, at last after 30 "
                "minutes, and then the hook is inactive until it is verified anew. A 410 ends it at once."
            ),
            traps=(
                "Nothing is signed: the secret is in the URL. X-Hook-Secret is a challenge, and no key.",
                "A delivery names up to 1,000 objects of one event by their ids alone: ask the API for them.",
            ),
        ),
    ),
)
