"""Shops, and what they are paid by, that a row each tells."""

from __future__ import annotations

from functools import partial

from ...responses import ResponseStatuses
from ...signatures.any_of import AnyOf
from ...signatures.hmac_body import HMACBody
from ...signatures.secrets import Secrets
from ...signatures.shared_secret import HeaderSecret, QuerySecret
from ..base import Sender
from ..challenges import ping
from ..form import form_document
from ..page import Page
from .row import row

_NO_TIME = "No time is signed, and no id but the one in the body tells a copy."


def _klarna(secrets: Secrets) -> AnyOf:
    """Return Klarna's scheme: over the body, in hex or base64."""
    scheme = partial(HMACBody, secrets, signature="klarna-signature")
    return AnyOf(scheme(), scheme(encoding="base64"), same_secrets=True)


PRESETS = (
    row(
        "bigcommerce",
        "BigCommerce",
        partial(HeaderSecret, header="x-webhook-token"),
        partial(
            Sender,
            responses=ResponseStatuses(stored=200),
            facts=("developer-beta.bigcommerce.com/docs/integrations/webhooks/http, read in November 2026",),
            event_name="scope",
        ),
        ("x-webhook-token",),
        page=Page(
            trade="shops",
            docs="developer.bigcommerce.com/docs/integrations/webhooks",
            setup=(
                "By the API, create a webhook with a scope, the URL as destination, on port 443, and a header of your "
                "own, X-Webhook-Token with a secret of your own. It works a minute later."
            ),
            answer="200.",
            traps=(
                "The body's hash is no signature. The header of your own is all that proves a delivery.",
                "An event tells what it is about by its id alone: ask the API for it.",
            ),
        ),
    ),
    row(
        "woocommerce",
        "WooCommerce",
        partial(HMACBody, signature="x-wc-webhook-signature", encoding="base64"),
        partial(
            Sender,
            facts=(
                "@hookflo/tern 4.1.0 for Node (of a third party), read in November 2026",
                "WooCommerce's own PHP: the unsigned form at the activation",
                "developer.woocommerce.com/docs/apis/rest-api/v3/webhooks, read in November 2026",
            ),
            event_header="X-WC-Webhook-Topic",
            delivery_id="X-WC-Webhook-Delivery-ID",
            challenges=(ping(only=("form:webhook_id",), signed=False),),
        ),
        ("x-wc-webhook-signature",),
        marks=("x-wc-webhook-topic", "x-wc-webhook-source"),
        page=Page(
            trade="shops",
            docs="developer.woocommerce.com/docs/apis/rest-api/v3/webhooks",
            setup=(
                "In WordPress, WooCommerce, Settings, Advanced, Webhooks, Add webhook: the topic, the delivery URL and "
                "a secret of your own. The receiver has to run when you save it, which pings the URL."
            ),
            answer="The ping has to be answered by exactly 200, and is.",
            traps=(
                "Topic and id are in headers that are not signed, and no time is signed.",
                "The body of a topic that begins with action. is the action and its argument alone: where these are "
                "the same again, it is taken for a duplicate and never runs. Take a topic of a resource, such as "
                "order.updated, whose body says when it was changed.",
            ),
            verified=("@hookflo/tern 4.1.0 (Node)", "2026-11-29"),
        ),
    ),
    row(
        "shopify-events",
        "Shopify Events",
        partial(HMACBody, signature="shopify-hmac-sha256", encoding="base64"),
        partial(
            Sender,
            facts=(
                "@shopify/shopify-api 15.0.0 for Node, run in November 2026",
                "shopify.dev/docs/apps/build/events/verify-deliveries, read in November 2026",
            ),
            event_name=("{header:Shopify-Topic}.{header:Shopify-Action}", "header:Shopify-Topic"),
            delivery_id="Shopify-Webhook-Id",
        ),
        ("shopify-hmac-sha256",),
        marks=("shopify-topic", "shopify-handle", "shopify-action"),
        page=Page(
            trade="shops",
            docs="shopify.dev/docs/apps/build/events/verify-deliveries",
            setup=(
                "In the app's shopify.app.toml, subscribe the URL to topics of Events. The key is the app's client "
                "secret."
            ),
            traps=(
                "Events are not the webhooks of before, which come with headers of other names: see shopify.",
                "Topic, action, shop and id are in headers that are not signed, and no time is.",
                "An event's name is the topic and the action, such as product.update.",
                "Events are a preview for developers, in the version unstable of the API.",
            ),
            verified=("@shopify/shopify-api 15.0.0 (Node)", "2026-11-29"),
        ),
    ),
    row(
        "klarna",
        "Klarna",
        _klarna,
        partial(
            Sender,
            facts=(
                "docs.klarna.com: Set up your webhooks, of the Klarna Network, read in November 2026",
                "its documentation names HMAC-SHA256 over the body; how the signature is spelt is not confirmed",
            ),
            event_name="metadata.event_type",
            delivery_id_path="metadata.event_id",
        ),
        ("klarna-signature",),
        marks=("klarna-signing-key-id",),
        page=Page(
            trade="payments",
            docs="docs.klarna.com/klarna-network-distribution/acquiring-partner-setup/webhooks",
            setup=(
                "By the API, create a signing key, which is shown once, and a webhook with the URL, the events and the "
                "id of that key. The port of the URL is 443 or 8443."
            ),
            answer=(
                "200, 201, 202 or 204; else it is sent again after 10 seconds, 2 and 15 minutes, and 3, 6 and 12 hours."
            ),
            traps=(
                "Callbacks of its older APIs are not signed, and rejected.",
                "Hex and base64 are both taken, since its documentation does not say which it is.",
                _NO_TIME,
            ),
        ),
    ),
    row(
        "mollie-classic",
        "Mollie classic",
        partial(QuerySecret, parameter="token"),
        partial(
            Sender,
            responses=ResponseStatuses(stored=200),
            facts=("mollie-api-python 4.0.0 and @mollie/api-client 4.6.0, read in November 2026: nothing is signed",),
            decode=form_document,
            event_name="text:changed",
        ),
        body=b"id=tr_5B8cwPMGnU",
        page=Page(
            trade="payments",
            docs="docs.mollie.com/reference/webhooks",
            setup=(
                "Each payment, order or other resource that you create by the API names its webhookUrl: the URL with "
                "?token= and a secret of your own behind it."
            ),
            answer="200; else it is sent again.",
            traps=(
                "A delivery is a form of an id alone, and says not what has changed: ask the API for it.",
                "Nothing is signed: the secret is in the URL.",
                "Each change of one payment comes with the same body, so no delivery is taken for a duplicate.",
                "Webhooks of the next generation are other ones, and signed: see mollie.",
            ),
        ),
    ),
)
