"""The sender Shopify: an HMAC over the body, in base64. Topic and id are in headers that are not signed."""

from __future__ import annotations

from ..signatures.hmac_body import HMACBody
from ..signatures.secrets import Secrets
from .base import Sender
from .page import Page
from .preset import Preset


def signature(secrets: Secrets) -> HMACBody:
    """Return Shopify's scheme (shopify.dev/docs/apps/build/webhooks/subscribe/https)."""
    return HMACBody(secrets, signature="x-shopify-hmac-sha256", encoding="base64")


def shopify(secret: Secrets) -> Sender:
    """Return the sender Shopify.

    Args:
        secret: the app's client secret, or several while it is changed.

    Raises:
        ConfigurationError: a secret cannot work.
    """
    return Sender(
        name="shopify",
        scheme=signature(secret),
        facts=("shopify.dev/docs/apps/build/webhooks/subscribe/https, read in November 2026",),
        event_header="X-Shopify-Topic",
        delivery_id="X-Shopify-Webhook-Id",
    )


PRESETS = (
    Preset(
        "shopify",
        "Shopify",
        shopify,
        signature,
        ("x-shopify-hmac-sha256",),
        page=Page(
            trade="shops",
            docs="shopify.dev/docs/apps/build/webhooks/subscribe/https",
            setup=(
                "In the app's shopify.app.toml or by the Admin API, subscribe the URL to topics. The key is the app's "
                "client secret."
            ),
            answer="Any 2xx within 5 seconds; else it is sent again up to 8 times in 4 hours.",
            traps=("Topic, shop and id are in headers that are not signed, and no time is.",),
        ),
    ),
)
