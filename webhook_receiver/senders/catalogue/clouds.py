"""Clouds and services for builders of software that a row each tells."""

from __future__ import annotations

from functools import partial

from ...signatures.any_of import AnyOf
from ...signatures.bearer_jwt import BearerJWT, request_url
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
    )


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
            Sender, facts=("openai 3.51.0 for Python and 7.55.0 for Node, run in November 2026",), event_name="type"
        ),
        _WEBHOOK,
        example=_EXAMPLE,
        page=Page(
            trade="clouds",
            docs="platform.openai.com/docs/guides/webhooks",
            setup="In the project's settings, Webhooks: the URL and the events; the secret is shown once.",
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
            facts=("developer.okta.com/docs/concepts/event-hooks, read in November 2026",),
            split=Split("data.events.*"),
            event_name="eventType",
            delivery_id_path="uuid",
            challenges=(
                echo("header:x-okta-verification-challenge", methods=("GET",), key="verification", signed=False),
            ),
        ),
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
        body=b'{"value": [{"clientState": "a-secret-for-tests"}]}',
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
                "What tells a repeat is the header Upstash-Message-Id alone: two messages may have equal bodies.",
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
)
