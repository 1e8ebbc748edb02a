"""The sender Shopify: an HMAC over the body, in base64. Topic and id are in headers that are not signed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from ..events import Event
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


class OrderChanged(Event, frozen=True):
    """The events `orders/create`, `orders/updated`, `orders/paid`, `orders/fulfilled` and `orders/cancelled`."""

    event: Literal["orders/create", "orders/updated", "orders/paid", "orders/fulfilled", "orders/cancelled"]
    id: int
    name: str
    currency: str
    total_price: str
    """A decimal number."""


class ProductChanged(Event, frozen=True):
    """The events `products/create` and `products/update`."""

    event: Literal["products/create", "products/update"]
    id: int
    title: str


class AppUninstalled(Event, frozen=True):
    """The event `app/uninstalled`: the shop has the app no more, and its token is void."""

    event: Literal["app/uninstalled"]
    id: int
    myshopify_domain: str


_LINE = {"id": 866550311766439020, "title": "A parcel", "quantity": 1, "price": "199.00", "sku": "PARCEL-1"}

SAMPLES: Mapping[str, Mapping[str, Any]] = {
    "orders/create": {
        "id": 820982911946154508,
        "admin_graphql_api_id": "gid://shopify/Order/820982911946154508",
        "name": "#1001",
        "email": "mona@example.com",
        "created_at": "2026-11-24T12:03:08+01:00",
        "currency": "EUR",
        "total_price": "199.00",
        "financial_status": "paid",
        "line_items": [_LINE],
    },
    "products/update": {
        "id": 788032119674292922,
        "title": "A parcel",
        "vendor": "Acme",
        "status": "active",
        "updated_at": "2026-11-24T12:03:08+01:00",
        "variants": [{"id": 642667041472713922, "sku": "PARCEL-1", "price": "199.00"}],
    },
    "app/uninstalled": {
        "id": 548380009,
        "name": "Super Toys",
        "email": "super@supertoys.com",
        "domain": None,
        "myshopify_domain": "super-toys.myshopify.com",
    },
}
"""A few members each of the documents that shopify.dev/docs/api/webhooks describes; the values are made up."""

PRESETS = (
    Preset(
        "shopify",
        "Shopify",
        shopify,
        signature,
        ("x-shopify-hmac-sha256",),
        samples=SAMPLES,
        events=(OrderChanged, ProductChanged, AppUninstalled),
        page=Page(
            trade="shops",
            docs="shopify.dev/docs/apps/build/webhooks/subscribe/https",
            setup=(
                "In the app's shopify.app.toml or by the Admin API, subscribe the URL to topics. The key is the app's "
                "client secret."
            ),
            answer="Any 2xx within 5 seconds; else it is sent again up to 8 times in 4 hours.",
            traps=(
                "Topic, shop and id are in headers that are not signed, and no time is.",
                "A subscription with include_fields has to include updated_at: without it two changes may have equal "
                "bodies, and the second is taken for a duplicate and never runs.",
            ),
            verified=("@shopify/shopify-api 15.0.0 (Node)", "2026-11-29"),
        ),
    ),
)
