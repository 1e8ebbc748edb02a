"""Shops that a row each tells."""

from __future__ import annotations

from functools import partial

from ...signatures.hmac_body import HMACBody
from ..base import Sender
from ..challenges import ping
from ..page import Page
from .row import row

PRESETS = (
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
        ),
    ),
)
