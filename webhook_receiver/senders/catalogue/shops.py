"""Shops that a row each tells."""

from __future__ import annotations

from functools import partial

from ...signatures.hmac_body import HMACBody
from ...signatures.shared_secret import HeaderSecret
from ..base import Sender
from ..challenges import ping
from ..page import Page
from .row import row

PRESETS = (
    row(
        "bigcommerce",
        "BigCommerce",
        partial(HeaderSecret, header="x-webhook-token"),
        partial(
            Sender,
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
            traps=("Topic and id are in headers that are not signed, and no time is signed.",),
            verified=("@hookflo/tern 4.1.0 (Node)", "2026-11-29"),
        ),
    ),
)
