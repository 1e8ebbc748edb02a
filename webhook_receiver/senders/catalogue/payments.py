"""Senders of payments that a row each tells."""

from __future__ import annotations

from functools import partial

from ...signatures.hmac_body import HMACBody
from ..base import Sender
from ..page import Page
from .row import row

PRESETS = (
    row(
        "razorpay",
        "Razorpay",
        partial(HMACBody, signature="x-razorpay-signature"),
        partial(
            Sender,
            facts=("razorpay 2.0.1 for Python and 2.9.8 for Node, read in November 2026",),
            delivery_id="X-Razorpay-Event-Id",
        ),
        ("x-razorpay-signature",),
        page=Page(
            trade="payments",
            docs="razorpay.com/docs/webhooks",
            setup="In the dashboard, add a webhook with the URL and a secret of your own.",
            traps=("Its libraries do not read the header x-razorpay-event-id, which tells what was sent twice.",),
        ),
    ),
    row(
        "square",
        "Square",
        partial(HMACBody, signature="x-square-hmacsha256-signature", encoding="base64", signed="{url}{body}"),
        partial(
            Sender,
            facts=("squareup 46.0.0 for Python and square 46.0.0 for Node, read in November 2026",),
            delivery_id_path="event_id",
        ),
        ("x-square-hmacsha256-signature",),
        page=Page(
            trade="payments",
            docs="developer.squareup.com/docs/webhooks/step3validate",
            setup="In the developer console, add a subscription with the URL; it shows the signature key.",
            traps=(
                "The URL is signed byte for byte, as the subscription has it: slash, port, query and case of the host "
                "count.",
            ),
        ),
    ),
)
