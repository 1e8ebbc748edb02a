"""Senders of payments that a row each tells."""

from __future__ import annotations

from functools import partial

from ...responses import ResponseStatuses
from ...signatures.hmac_body import HMACBody
from ...signatures.public_key_body import PublicKeyBody
from ...signatures.shared_secret import HeaderSecret
from ...signatures.standard import StandardWebhooks
from ..base import Sender
from ..page import Page
from ..preset import LATE
from ..split import Split
from ..standard_webhooks import EXAMPLE, header_names
from .examples import RSA_KEY
from .row import row

_NO_TIME = "No time is signed, and no id but the one in the body tells a copy."

PRESETS = (
    row(
        "adyen-platform",
        "Adyen for Platforms",
        partial(HMACBody, signature="hmacsignature", encoding="base64", key="hex"),
        partial(
            Sender,
            facts=(
                "Adyen 16.0.0 for Python, @adyen/api-library 32.1.0 for Node, read in November 2026",
                "docs.adyen.com/issuing/notification-webhooks, read in November 2026",
            ),
            event_name="type",
        ),
        ("hmacsignature",),
        example="44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056",
        page=Page(
            trade="payments",
            docs="docs.adyen.com/development-resources/webhooks",
            setup=(
                "In the Balance Platform Customer Area, add a webhook with the URL, and generate its HMAC key: "
                "hex of either case."
            ),
            answer="Any 2xx within 10 seconds; else what follows is queued, and sent again.",
            traps=(
                "These are the webhooks of platforms and banking. Those of payments sign some values in the body: see "
                "adyen.",
            ),
            verified=("Adyen 16.0.0 (Python), @adyen/api-library 32.1.0 (Node)", "2026-11-29"),
        ),
    ),
    row(
        "airwallex",
        "Airwallex",
        partial(
            HMACBody,
            signature="x-signature",
            timestamp="x-timestamp",
            timestamp_format="milliseconds",
            signed="{timestamp}{body}",
            tolerance=LATE,
        ),
        partial(
            Sender,
            responses=ResponseStatuses(stored=200),
            facts=("www.airwallex.com/docs/developer-tools/webhooks/listen-for-webhook-events, read in November 2026",),
            event_name="name",
            delivery_id_path="id",
        ),
        ("x-signature", "x-timestamp"),
        page=Page(
            trade="payments",
            docs="www.airwallex.com/docs/developer-tools/webhooks/listen-for-webhook-events",
            setup="In the web app, Settings, Developer, Webhooks, add one with the URL; each has a secret of its own.",
            answer="200 alone counts: any other status, or none, has it sent again.",
            traps=("The time is in milliseconds, and stands right in front of the body when both are signed.",),
        ),
    ),
    row(
        "checkout",
        "Checkout.com",
        partial(HMACBody, signature="cko-signature"),
        partial(
            Sender,
            facts=("checkout.com/docs/workflows/set-up-your-webhook-receiver, read in November 2026",),
            event_name="type",
            delivery_id_path="id",
        ),
        ("cko-signature",),
        page=Page(
            trade="payments",
            docs="www.checkout.com/docs/workflows",
            setup="In the Dashboard, Developers, Webhooks, New webhook: the URL and a signature key of your own.",
            answer="Any 2xx within 10 seconds.",
            traps=(_NO_TIME,),
        ),
    ),
    row(
        "coinbase-commerce",
        "Coinbase Commerce",
        partial(HMACBody, signature="x-cc-webhook-signature"),
        partial(
            Sender,
            responses=ResponseStatuses(stored=200),
            facts=(
                "coinbase-commerce 1.0.1 for Python and coinbase-commerce-node 1.0.4, read in November 2026",
                "docs.cdp.coinbase.com/commerce/api-arcitecture/webhooks-overview, read in November 2026",
            ),
            event_name="event.type",
            delivery_id_path="event.id",
        ),
        ("x-cc-webhook-signature",),
        page=Page(
            trade="payments",
            docs="docs.cdp.coinbase.com/commerce/api-arcitecture/webhooks-overview",
            setup="Under Settings, Notifications, add an endpoint with an https URL; the shared secret is there, too.",
            answer="200; else it is sent again for up to 3 days, at last once an hour.",
            traps=(
                "The event's id is deeper than that of the delivery: event.id stays the same when it is sent again.",
            ),
            verified=("coinbase-commerce 1.0.1 (Python), coinbase-commerce-node 1.0.4 (Node)", "2026-11-29"),
        ),
    ),
    row(
        "dwolla",
        "Dwolla",
        partial(HMACBody, signature="x-request-signature-sha-256"),
        partial(
            Sender,
            facts=(
                "developers.dwolla.com/docs/connect/webhooks/process-validate, read in November 2026",
                "developers.dwolla.com/guides/webhooks/validating-webhooks.html, read in November 2026",
            ),
            event_name="topic",
            delivery_id_path="id",
        ),
        ("x-request-signature-sha-256",),
        page=Page(
            trade="payments",
            docs="developers.dwolla.com/docs/connect/webhooks/process-validate",
            setup="By the API, create a webhook subscription with the URL and a secret of your own.",
            answer="Any 2xx within 10 seconds; else it is sent up to 8 times more in 72 hours.",
            traps=("An event tells what it is about by links alone: ask the API for it.", _NO_TIME),
        ),
    ),
    row(
        "flutterwave",
        "Flutterwave",
        partial(HeaderSecret, header="verif-hash"),
        partial(
            Sender,
            responses=ResponseStatuses(stored=200),
            facts=("developer.flutterwave.com/docs/webhooks, read in November 2026",),
            event_name=("event", "type"),
        ),
        ("verif-hash",),
        page=Page(
            trade="payments",
            docs="developer.flutterwave.com/docs/webhooks",
            setup="In the dashboard, Settings, Webhooks: the URL, and a secret hash of your own.",
            traps=(
                "The secret hash is sent as it is, and nothing is signed: ask the API for the transaction before you "
                "give value for it.",
            ),
        ),
    ),
    row(
        "gocardless",
        "GoCardless",
        partial(HMACBody, signature="webhook-signature"),
        partial(
            Sender,
            facts=("gocardless-pro 3.22.0 for Python and gocardless-nodejs 10.1.2, read in November 2026",),
            split=Split("events.*"),
            event_name="{resource_type}.{action}",
            delivery_id_path="id",
        ),
        ("webhook-signature",),
        page=Page(
            trade="payments",
            docs="developer.gocardless.com/api-reference/#appendix-webhooks",
            setup="In the dashboard, Developers, Create, Webhook endpoint: the URL and a secret.",
            traps=(
                "A delivery holds several events, each with an id of its own.",
                "Its header has the name that Standard Webhooks gives another signature.",
                _NO_TIME,
            ),
            verified=("gocardless-pro 3.22.0 (Python), gocardless-nodejs 10.1.2 (Node)", "2026-11-29"),
        ),
    ),
    row(
        "increase",
        "Increase",
        partial(StandardWebhooks, key="text"),
        partial(Sender, facts=("increase 0.552.0 for Python, read in November 2026",), event_name="category"),
        header_names("webhook"),
        page=Page(
            trade="payments",
            docs="increase.com/documentation/webhooks",
            setup="In the dashboard or by the API, create an event subscription with the URL and a secret of your own.",
            traps=("The secret is the key as it stands. Its headers are those of Standard Webhooks.",),
            verified=("increase 0.552.0 (Python)", "2026-11-29"),
        ),
    ),
    row(
        "lemon-squeezy",
        "Lemon Squeezy",
        partial(HMACBody, signature="x-signature"),
        partial(
            Sender,
            responses=ResponseStatuses(stored=200),
            facts=("@hookflo/tern 4.1.0 for Node (of a third party), read in November 2026",),
            event_name="meta.event_name",
        ),
        ("x-signature",),
        marks=("x-event-name",),
        shape=("meta.event_name", "data"),
        body=b'{"meta": {"event_name": "order_created"}, "data": {"type": "orders", "id": "1"}}',
        page=Page(
            trade="payments",
            docs="docs.lemonsqueezy.com/help/webhooks",
            setup="In the store's Settings, Webhooks, add one with the URL and a signing secret of your own.",
            traps=("The event's name is in the header X-Event-Name, too, which is not signed.",),
            verified=("@hookflo/tern 4.1.0 (Node)", "2026-11-29"),
        ),
    ),
    row(
        "lithic",
        "Lithic",
        partial(StandardWebhooks),
        partial(
            Sender,
            facts=("lithic 0.133.0 for Python and 0.145.0 for Node, read in November 2026",),
            event_name="event_type",
        ),
        header_names("webhook"),
        example=EXAMPLE,
        page=Page(
            trade="payments",
            docs="docs.lithic.com/docs/events-api",
            setup="By the API, create an event subscription with the URL; another call returns its secret.",
            verified=("lithic 0.133.0 (Python), lithic 0.145.0 (Node)", "2026-11-29"),
        ),
    ),
    row(
        "mollie",
        "Mollie",
        partial(HMACBody, signature="x-mollie-signature", prefix="sha256="),
        partial(
            Sender,
            facts=("mollie-api-py 1.10.20 and mollie-api-typescript 1.12.28, read in November 2026",),
            event_name="type",
            delivery_id_path="id",
        ),
        ("x-mollie-signature",),
        page=Page(
            trade="payments",
            docs="docs.mollie.com/reference/webhooks-new",
            setup="In the dashboard, Developers, Webhooks, or by the API, add one with the URL; it has a secret.",
            traps=(
                "Classic webhooks are other ones: forms of an id without a signature. Its libraries call a request "
                "without one no error, but classic.",
                _NO_TIME,
            ),
            verified=("mollie-api-py 1.10.20 (Python), mollie-api-typescript 1.12.28 (Node)", "2026-11-29"),
        ),
    ),
    row(
        "paystack",
        "Paystack",
        partial(HMACBody, signature="x-paystack-signature", hash="sha512"),
        partial(
            Sender,
            responses=ResponseStatuses(stored=200),
            facts=("pypaystack2 3.4.0 for Python (of a third party), read in November 2026",),
        ),
        ("x-paystack-signature",),
        page=Page(
            trade="payments",
            docs="paystack.com/docs/payments/webhooks",
            setup="In the dashboard, Settings, API Keys & Webhooks: the URL. The secret is the API's secret key.",
            traps=(
                "It signs by SHA-512, with the secret key of the API: keep it as safe as that.",
                "Nothing tells a delivery that is sent again: data.id is that of the transaction.",
            ),
            verified=("pypaystack2 3.4.0 (Python)", "2026-11-29"),
        ),
    ),
    row(
        "polar",
        "Polar",
        partial(StandardWebhooks, key="text"),
        partial(
            Sender,
            facts=("polar-sdk 1.0.2 for Python and @polar-sh/sdk 1.0.1 for Node, read in November 2026",),
            event_name="type",
        ),
        header_names("webhook"),
        page=Page(
            trade="payments",
            docs="docs.polar.sh/integrate/webhooks",
            setup="In the organization's Settings, Webhooks, add an endpoint with the URL; its secret is polar_whs_...",
            traps=("The secret is the key as it stands, with its prefix. Its headers are those of Standard Webhooks.",),
            verified=("polar-sdk 1.0.2 (Python), @polar-sh/sdk 1.0.1 (Node)", "2026-11-29"),
        ),
    ),
    row(
        "qonto",
        "Qonto",
        partial(
            HMACBody,
            signature="x-qonto-signature:v1",
            timestamp="x-qonto-signature:t",
            signed="{timestamp}.{body}",
            tolerance=LATE,
        ),
        partial(
            Sender,
            facts=("docs.qonto.com/api-reference/business-api/webhooks/overview, read in November 2026",),
            event_name="type",
            delivery_id_path="id",
        ),
        ("x-qonto-signature",),
        page=Page(
            trade="payments",
            docs="docs.qonto.com/api-reference/business-api/webhooks/overview",
            setup="By the API, create a webhook subscription with the URL; the call returns its secret.",
            answer="Any 2xx within 1 second.",
            traps=("The secret is that of the subscription, not the API's key.",),
        ),
    ),
    row(
        "razorpay",
        "Razorpay",
        partial(HMACBody, signature="x-razorpay-signature"),
        partial(
            Sender,
            facts=(
                "razorpay 2.0.1 for Python and 2.9.8 for Node, read in November 2026",
                "razorpay.com/docs/webhooks, read in November 2026",
            ),
            delivery_id="X-Razorpay-Event-Id",
        ),
        ("x-razorpay-signature",),
        page=Page(
            trade="payments",
            docs="razorpay.com/docs/webhooks",
            setup=(
                "In the dashboard, Accounts & Settings, Webhooks, Add New Webhook: the URL, and a secret of your own, "
                "which is none of the API's."
            ),
            answer="Any 2xx; else it is sent again for 24 hours, and then the webhook is disabled.",
            traps=(
                "After a change of the secret, what is sent again is still signed with the old one.",
                "The id is in a header that is not signed and that its own libraries do not read.",
            ),
            verified=("razorpay 2.0.1 (Python), razorpay 2.9.8 (Node)", "2026-11-28"),
        ),
    ),
    row(
        "recurly",
        "Recurly",
        partial(
            HMACBody,
            signature="recurly-signature[1:]",
            timestamp="recurly-signature[0]",
            timestamp_format="milliseconds",
            signed="{timestamp}.{body}",
        ),
        partial(
            Sender,
            facts=(
                "docs.recurly.com/recurly-subscriptions/docs/signature-verification, read in November 2026",
                "github.com/recurly/recurly-client-ruby, lib/recurly/webhooks.rb: the time is in milliseconds",
            ),
            event_name="{object_type}.{event_type}",
        ),
        ("recurly-signature",),
        page=Page(
            trade="payments",
            docs="docs.recurly.com/recurly-subscriptions/docs/signature-verification",
            setup="On the page Webhook Endpoints, add one with the URL and the format JSON; its secret key is there.",
            traps=(
                "XML is not signed: choose JSON.",
                "The time is in milliseconds, by its libraries; the example in its documentation has seconds.",
                "For 24 hours after a change of the key there are two signatures in the header.",
            ),
        ),
    ),
    row(
        "revolut",
        "Revolut",
        partial(
            HMACBody,
            signature="revolut-signature[0:]",
            prefix="v1=",
            timestamp="revolut-request-timestamp",
            timestamp_format="milliseconds",
            signed="v1.{timestamp}.{body}",
        ),
        partial(
            Sender,
            facts=(
                "developer.revolut.com/docs/guides/manage-accounts/webhooks/verify-the-payload-signature, "
                "read in November 2026",
            ),
        ),
        ("revolut-signature", "revolut-request-timestamp"),
        page=Page(
            trade="payments",
            docs="developer.revolut.com/docs/guides/merchant/monitor-and-observe/webhooks",
            setup="By the API, create a webhook with the URL; the call returns its signing secret.",
            traps=(
                "While two secrets are valid, after a rotation with an expiration period, there are two signatures.",
                "The time is in milliseconds.",
            ),
        ),
    ),
    row(
        "square",
        "Square",
        partial(HMACBody, signature="x-square-hmacsha256-signature", encoding="base64", signed="{url}{body}"),
        partial(
            Sender,
            facts=(
                "squareup 46.0.0.20260916 for Python and square 46.0.0 for Node, read in November 2026",
                "developer.squareup.com/docs/webhooks, read in November 2026",
            ),
            event_name="type",
            delivery_id_path="event_id",
        ),
        ("x-square-hmacsha256-signature",),
        page=Page(
            trade="payments",
            docs="developer.squareup.com/docs/webhooks/step2subscribe",
            setup=(
                "In the Developer Console, Webhooks, Subscriptions, Add subscription: the notification URL. Its "
                "endpoint details show the signature key."
            ),
            answer="Any 2xx within 10 seconds; else it is sent again for up to 72 hours.",
            traps=(
                "The URL is signed byte for byte, as the subscription has it: slash, port, query and case of the host "
                "count.",
                _NO_TIME,
            ),
            verified=("squareup 46.0.0.20260916 (Python), square 46.0.0 (Node)", "2026-11-28"),
        ),
    ),
    row(
        "wise",
        "Wise",
        partial(PublicKeyBody, algorithm="rsa-v1_5-sha256", signature="x-signature-sha256"),
        partial(
            Sender,
            facts=("docs.wise.com/guides/developer/webhooks/event-handling, read in November 2026",),
            event_name="event_type",
            delivery_id="X-Delivery-Id",
        ),
        ("x-signature-sha256",),
        example=RSA_KEY,
        marks=("x-delivery-id", "x-test-notification"),
        page=Page(
            trade="payments",
            docs="docs.wise.com/guides/developer/webhooks/event-handling",
            setup=(
                "In the account's settings or by the API, create a subscription with an https URL. The key is Wise's "
                "public one, which its documentation has: one for production, another for the sandbox."
            ),
            answer="Any 2xx within 5 seconds; else it is sent up to 25 times more in two weeks.",
            traps=(
                "The id in its header is that of the attempt, and not signed; no time is signed.",
                "Events may come in any order.",
            ),
        ),
    ),
    row(
        "xero",
        "Xero",
        partial(HMACBody, signature="x-xero-signature", encoding="base64"),
        partial(
            Sender,
            facts=("developer.xero.com/documentation/webhooks/configuring-your-server, read in November 2026",),
            split=Split("events.*"),
            event_name="{eventCategory}.{eventType}",
            responses=ResponseStatuses(stored=200),
        ),
        ("x-xero-signature",),
        page=Page(
            trade="business",
            docs="developer.xero.com/documentation/webhooks/configuring-your-server",
            setup=(
                "At developer.xero.com, in the app's Webhooks: the URL and the events; the webhooks key is there. The "
                "receiver has to run when you save it: signed and forged requests without events are sent."
            ),
            answer="200 within 5 seconds, and 401 to what is forged; else it is sent again for 24 hours.",
            traps=("An event tells what has changed by its id alone: ask the API for it.",),
        ),
    ),
)
