"""Senders of video and sound that a row each tells."""

from __future__ import annotations

from functools import partial

from ...signatures.hmac_body import HMACBody
from ..base import Sender
from ..page import Page
from .row import row

PRESETS = (
    row(
        "mux",
        "Mux",
        partial(HMACBody, signature="mux-signature:v1", timestamp="mux-signature:t", signed="{timestamp}.{body}"),
        partial(
            Sender,
            facts=("@mux/mux-node 15.3.0, read in November 2026",),
            event_name="type",
            delivery_id_path="id",
        ),
        ("mux-signature",),
        page=Page(
            trade="media",
            docs="www.mux.com/docs/core/verify-webhook-signatures",
            setup="In the dashboard, Settings, Webhooks, add one for an environment; it shows the signing secret.",
            traps=("Each environment has webhooks and secrets of its own.",),
            verified=("@mux/mux-node 15.3.0 (Node)", "2026-11-29"),
        ),
    ),
)
