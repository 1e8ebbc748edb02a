"""Clouds and services for builders of software that a row each tells."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial

from ...responses import ResponseStatuses
from ...signatures import Scheme
from ...signatures.any_of import AnyOf
from ...signatures.bearer_jwt import BearerJWT, request_url
from ...signatures.body_forms import canonical_json
from ...signatures.hmac_body import HMACBody
from ...signatures.hmac_keys import KeyForm
from ...signatures.secrets import Secrets
from ...signatures.shared_secret import BodySecret, HeaderSecret, QuerySecret
from ...signatures.standard import StandardWebhooks
from ..base import Sender
from ..challenges import echo
from ..cloudevents import cloudevents as sender_of_cloudevents
from ..page import Page
from ..split import Split
from .row import row

_EXAMPLE = "whsec_YS1zZWNyZXQtZm9yLXRlc3Rz"
_WEBHOOK = ("webhook-signature", "webhook-id", "webhook-timestamp")
_SVIX = ("svix-signature", "svix-id", "svix-timestamp")


def _access_token(secrets: Secrets) -> AnyOf:
    """Return the scheme of "HTTP 1.1 Web Hooks for Event Delivery" 1.0.2, section 3: a token in a header or the "
    "query."""
    return AnyOf(
        HeaderSecret(secrets, header="authorization", prefix="Bearer "),
        QuerySecret(secrets, parameter="access_token"),
        same_secrets=True,
    )


def _inngest(secrets: Secrets) -> HMACBody:
    """Return Inngest's scheme: over canonical JSON and a time, by the key without its prefix signkey-prod-."""
    return HMACBody(
        secrets,
        signature="x-inngest-signature:s",
        timestamp="x-inngest-signature:t",
        item_separator="&",
        signed="{body}{timestamp}",
        key=KeyForm(prefix=re.compile(r"signkey-\w+-")),
        body_form=canonical_json,
    )


def _web_pubsub(name: str, scheme: Scheme) -> Sender:
    sender = sender_of_cloudevents(scheme, name=name, origins=("*",), binary=True)
    facts = (
        "learn.microsoft.com/azure/azure-web-pubsub/howto-develop-eventhandler, read in November 2026",
        "@azure/web-pubsub-express 1.1.0 for Node, read in November 2026: it passes the signature on, unverified",
    )
    return replace(sender, facts=(*facts, *sender.facts))


PRESETS = (
    row(
        "clerk",
        "Clerk",
        partial(StandardWebhooks, headers="svix"),
        partial(Sender, facts=("@clerk/backend 3.25.0 for Node, run in November 2026",), event_name="type"),
        _SVIX,
        example=_EXAMPLE,
        page=Page(
            trade="clouds",
            docs="clerk.com/docs/webhooks/overview",
            setup="In the dashboard, Webhooks, Add Endpoint: the URL and the events; it shows the signing secret.",
            verified=("@clerk/backend 3.25.0 (Node)", "2026-11-29"),
        ),
    ),
    row(
        "seam",
        "Seam",
        partial(StandardWebhooks, headers="svix"),
        partial(Sender, facts=("@seamapi/webhook 1.5.0 for Node, run in November 2026",), event_name="event_type"),
        _SVIX,
        example=_EXAMPLE,
        page=Page(
            trade="clouds",
            docs="docs.seam.co/latest/developer-tools/webhooks",
            setup="In the console, Developer, Webhooks: the URL and the events; it shows the secret.",
            verified=("@seamapi/webhook 1.5.0 (Node)", "2026-11-29"),
        ),
    ),
    row(
        "openai",
        "OpenAI",
        partial(StandardWebhooks, key="prefixed"),
        partial(
            Sender,
            facts=(
                "openai 3.51.0 for Python and 7.55.0 for Node, run in November 2026",
                "developers.openai.com/api/reference/resources/webhooks, read in November 2026: the secret",
            ),
            event_name="type",
        ),
        _WEBHOOK,
        example=_EXAMPLE,
        page=Page(
            trade="clouds",
            docs="platform.openai.com/docs/guides/webhooks",
            setup=(
                "In the project's settings, Webhooks, or by the API at /webhook_endpoints: the URL and the events; the "
                "secret is shown once."
            ),
            verified=("openai 3.51.0 (Python), openai 7.55.0 (Node)", "2026-11-29"),
        ),
    ),
    row(
        "replicate",
        "Replicate",
        partial(StandardWebhooks),
        partial(
            Sender, facts=("replicate 1.0.7 for Python and 1.4.0 for Node, run in November 2026",), event_name="status"
        ),
        _WEBHOOK,
        example=_EXAMPLE,
        page=Page(
            trade="clouds",
            docs="replicate.com/docs/topics/webhooks",
            setup="Name the URL as webhook when you start a prediction. The API tells the account's signing secret.",
            traps=("An event has no name; its status tells what happened.",),
            verified=("replicate 1.0.7 (Python), replicate 1.4.0 (Node)", "2026-11-29"),
        ),
    ),
    row(
        "liveblocks",
        "Liveblocks",
        partial(StandardWebhooks),
        partial(
            Sender,
            facts=("liveblocks 3.23.0 for Python and @liveblocks/node 3.24.2 for Node, run in November 2026",),
            event_name="type",
        ),
        _WEBHOOK,
        example=_EXAMPLE,
        page=Page(
            trade="clouds",
            docs="liveblocks.io/docs/platform/webhooks",
            setup="In the dashboard, the project's Webhooks: the URL and the events; it shows the signing secret.",
            verified=("liveblocks 3.23.0 (Python), @liveblocks/node 3.24.2 (Node)", "2026-11-29"),
        ),
    ),
    row(
        "okta",
        "Okta",
        partial(HeaderSecret, header="authorization"),
        partial(
            Sender,
            facts=(
                "developer.okta.com/docs/concepts/event-hooks, read in November 2026",
                "help.okta.com/en-us/Content/Topics/automation-hooks/add-event-hooks.htm, read in November 2026",
            ),
            split=Split("data.events.*"),
            event_name="eventType",
            delivery_id_path="uuid",
            challenges=(
                echo("header:x-okta-verification-challenge", methods=("GET",), key="verification", signed=False),
            ),
        ),
        shape=("data.events", "cloudEventsVersion"),
        page=Page(
            trade="clouds",
            docs="developer.okta.com/docs/concepts/event-hooks",
            setup=(
                "In the Admin Console, Workflow, Event Hooks: the URL, Authorization as authentication field, and a "
                "secret of your own; then Verify."
            ),
            answer="Within 3 seconds.",
            traps=("A secret for HTTP Basic is to be given as it is sent: Basic, a space, and the base64.",),
        ),
    ),
    row(
        "auth0",
        "Auth0",
        partial(HeaderSecret, header="authorization"),
        partial(
            Sender,
            facts=("auth0.com/docs/customize/log-streams/custom-log-streams, read in November 2026",),
            split=Split("*"),
            event_name="data.type",
            delivery_id_path="log_id",
        ),
        shape=("0.log_id", "0.data"),
        page=Page(
            trade="clouds",
            docs="auth0.com/docs/customize/log-streams/custom-log-streams",
            setup=(
                "In the dashboard, Monitoring, Streams, Custom Webhook: the payload URL, a secret of your own as "
                "authorization token, and a content format of JSON arrays or objects."
            ),
            traps=("JSON lines are no JSON: choose another content format.",),
        ),
    ),
    row(
        "microsoft-graph",
        "Microsoft Graph",
        partial(BodySecret, member="value[].clientState"),
        partial(
            Sender,
            facts=("n8n-nodes-base 2.41.2 (of a third party), run in November 2026: its trigger of Teams",),
            split=Split("value.*"),
            event_name=("changeType", "lifecycleEvent"),
            challenges=(echo("query:validationToken", signed=False),),
        ),
        body=(
            b'{"value": [{"subscriptionId": "76222963-cc7b-42d2-882d-8aaa69cb2ba3", "changeType": "created", '
            b'"clientState": "a-secret-for-tests", "resource": "users/7/messages/8", "id": "first-number"}]}'
        ),
        shape=("value.0.subscriptionId", "value.0.resource"),
        page=Page(
            trade="clouds",
            docs="learn.microsoft.com/graph/change-notifications-delivery-webhooks",
            setup=(
                "Create a subscription by the API, with the URL as notificationUrl and a clientState of your own. The "
                "receiver has to run then and whenever it is renewed."
            ),
            traps=("A delivery is a batch.",),
        ),
    ),
    row(
        "azure-event-grid",
        "Azure Event Grid",
        partial(QuerySecret, parameter="code"),
        partial(
            Sender,
            facts=(
                "@azure/eventgrid 5.12.0 for Node and azure-eventgrid 4.22.1 for Python, run in November 2026",
                "learn.microsoft.com/azure/event-grid: the answer to the validation",
            ),
            split=Split("*"),
            event_name=("eventType", "type"),
            delivery_id_path="id",
            challenges=(
                echo(
                    "body:0.data.validationCode",
                    where={"header:aeg-event-type": "SubscriptionValidation"},
                    key="validationResponse",
                ),
            ),
        ),
        marks=("aeg-event-type", "aeg-subscription-name", "aeg-delivery-count"),
        page=Page(
            trade="clouds",
            docs="learn.microsoft.com/azure/event-grid/webhook-event-delivery",
            setup=(
                "Create an event subscription with the endpoint type Web Hook, the Event Grid schema, and the URL with "
                "?code= and a secret of your own behind it. The receiver has to run then."
            ),
            answer="Within 30 seconds.",
            traps=("Nothing is signed: the secret is in the URL.", "A delivery is an array of events."),
        ),
    ),
    row(
        "qstash",
        "Upstash QStash",
        partial(
            BearerJWT,
            algorithm="HS256",
            header="upstash-signature",
            prefix="",
            issuer="Upstash",
            claims={"sub": request_url},
            body_claim="body",
            body_encoding="base64url",
            required=("exp", "nbf"),
        ),
        partial(
            Sender,
            facts=(
                "qstash 3.4.0 for Python and @upstash/qstash 2.12.0 for Node, run in November 2026",
                "upstash.com/docs/qstash: the header Upstash-Message-Id",
            ),
            event_name=("event", "type", "text:message"),
        ),
        ("upstash-signature",),
        page=Page(
            trade="clouds",
            docs="upstash.com/docs/qstash/howto/signature",
            setup=(
                "Name the URL as the destination of a message. The secrets are the current signing key and the next "
                "one, which the console shows."
            ),
            traps=(
                "The URL is stated as the message has it: a slash at its end counts.",
                "The header Upstash-Message-Id would tell a repeat, but is not signed; two bodies may be equal.",
                "A message is what you have published: one without a member event or type is called message.",
            ),
            verified=("qstash 3.4.0 (Python), @upstash/qstash 2.12.0 (Node)", "2026-11-29"),
        ),
    ),
    row(
        "cloudevents",
        "CloudEvents",
        _access_token,
        partial(sender_of_cloudevents, origins=("*",), binary=True),
        body=(
            b'{"specversion": "1.0", "type": "com.example.parcel.lost", "source": "/parcels", "id": "first-number", '
            b'"data": {"parcel": 7}}'
        ),
        marks=("ce-specversion", "content-type:application/cloudevents"),
        shape=("specversion", "type", "source", "id"),
        page=Page(
            trade="specifications",
            docs="github.com/cloudevents/spec/blob/main/cloudevents/http-webhook.md",
            setup=(
                "Give the sender the URL and a token of your own, which it sends as a bearer token or as access_token "
                "in the query. The receiver has to run when the sender asks for the URL by OPTIONS."
            ),
            traps=("Any origin may deliver that knows the token: name yours by cloudevents(scheme, origins=...).",),
        ),
    ),
    row(
        "azure-web-pubsub",
        "Azure Web PubSub",
        partial(QuerySecret, parameter="code"),
        _web_pubsub,
        marks=("ce-awpsversion", "ce-hub", "ce-connectionid"),
        page=Page(
            trade="clouds",
            docs="learn.microsoft.com/azure/azure-web-pubsub/howto-develop-eventhandler",
            setup=(
                "In the portal, the hub's event handler: the URL as template, with ?code= and a secret of your own "
                "behind it, and the events. The receiver has to run when you save it."
            ),
            traps=(
                "ce-signature is the HMAC of the connection's id: it says nothing of the event, and is the same for "
                "all events of a connection. The secret in the URL is what proves a delivery.",
                "The event connect, and events of users, wait for a response: it is empty here, so a connection is "
                "let in as it asked, and a user gets no reply.",
                "The URL is saved after an OPTIONS was answered, which any origin may ask.",
            ),
        ),
    ),
    row(
        "inngest",
        "Inngest",
        _inngest,
        partial(
            Sender,
            facts=("inngest 0.5.19 for Python and 4.24.0 for Node, run in November 2026",),
            split=Split("events.*"),
            event_name="name",
            delivery_id_path="id",
            responses=ResponseStatuses(stored=200),
        ),
        ("x-inngest-signature",),
        example="signkey-test-a-secret-for-tests",
        page=Page(
            trade="clouds",
            docs="www.inngest.com/docs/platform/signing-keys",
            setup=(
                "Register a function by a PUT or by a call of its API, with the URL: this is what its own library does "
                "when it is synchronized. Not confirmed for a receiver without that library. The secret is the "
                "environment's signing key."
            ),
            traps=(
                "A delivery is a call of a function, and a 200 is its result: Inngest does not wait for a handler, and "
                "no step is repeated by it.",
                "JSON is signed in its canonical form (RFC 8785). It needs the extra rfc8785.",
                "That form rounds a whole number beyond 2 to the 53rd, such as the id of a message of Discord, so that "
                "one signature would fit many numbers: such a delivery is rejected. Send these ids as texts.",
                "Its library for Python looks at no time, that for Node at 5 minutes.",
            ),
            verified=("inngest 0.5.19 (Python), inngest 4.24.0 (Node)", "2026-11-29"),
        ),
    ),
    row(
        "apify",
        "Apify",
        partial(QuerySecret, parameter="token"),
        partial(
            Sender,
            facts=(
                "docs.apify.com/webhooks/actions, read in November 2026",
                "apify-client 2.25.0 for Python and 3.4.0 for Node, read in November 2026: nothing is signed",
            ),
            event_name="eventType",
        ),
        shape=("eventType", "eventData", "resource"),
        body=b'{"eventType": "ACTOR.RUN.SUCCEEDED", "eventData": {"actorId": "7"}, "resource": {"id": "8"}}',
        page=Page(
            trade="clouds",
            docs="docs.apify.com/webhooks/actions",
            setup=(
                "In the console, the actor's or the task's Integrations, or by the API: the events, and the URL with "
                "?token= and a secret of your own behind it. Where the console has it is not confirmed."
            ),
            answer="Any 2xx; else it is sent again up to 11 times, at last after about 32 hours.",
            traps=(
                "Nothing is signed: the secret is in the URL. Its documentation lists its addresses, for AllowFrom.",
                "The body is what the payload template makes: the event's name is its eventType.",
            ),
        ),
    ),
)
