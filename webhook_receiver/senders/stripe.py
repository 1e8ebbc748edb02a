"""The sender Stripe: an HMAC over a time and the body, both in one header."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel

from ..events import Event
from ..signatures.hmac_body import HMACBody
from ..signatures.secrets import Secrets
from .base import Sender
from .page import Page
from .preset import Preset


def signature(secrets: Secrets, *, tolerance: float = 300) -> HMACBody:
    """Return Stripe's scheme (docs.stripe.com/webhooks#verify-manually).

    Args:
        secrets: the endpoint's secrets as Stripe shows them, with the prefix `whsec_`, which is part of the key.
        tolerance: seconds that Stripe's clock may be behind or ahead of ours.
    """
    return HMACBody(
        secrets,
        signature="stripe-signature:v1",
        timestamp="stripe-signature:t",
        signed="{timestamp}.{body}",
        tolerance=tolerance,
    )


def stripe(secret: Secrets, *, tolerance: float = 300) -> Sender:
    """Return the sender Stripe.

    Args:
        secret: the endpoint's secret, or several while it is changed.
        tolerance: seconds that Stripe's clock may be behind or ahead of ours.

    Raises:
        ConfigurationError: a secret or the tolerance cannot work.
    """
    return Sender(
        name="stripe",
        scheme=signature(secret, tolerance=tolerance),
        facts=(
            "docs.stripe.com/webhooks, read in November 2026",
            "signatures compared with stripe's Python library, see tests/signatures/test_peers.py",
        ),
        event_name="type",
        delivery_id_path="id",  # docs.stripe.com/webhooks#handle-duplicate-events
    )


class StripeData(BaseModel, frozen=True, extra="allow", hide_input_in_errors=True):
    """The object that an event is about, as it was then."""

    object: dict[str, Any]
    previous_attributes: dict[str, Any] | None = None
    """What changed, with the values before; None for an event that is no change."""


class StripeEvent(Event, frozen=True):
    """The members that all of Stripe's events have (docs.stripe.com/api/events/object). Name another event by a
    subclass with `event: Literal["customer.created"]`."""

    id: str
    created: int
    """Seconds since 1970."""
    livemode: bool
    data: StripeData


class CheckoutSessionCompleted(StripeEvent, frozen=True):
    """The event `checkout.session.completed`: somebody has gone through a checkout; see `payment_status` in it."""

    event: Literal["checkout.session.completed"]


class PaymentIntentSucceeded(StripeEvent, frozen=True):
    """The event `payment_intent.succeeded`: a payment was made."""

    event: Literal["payment_intent.succeeded"]


class ChargeRefunded(StripeEvent, frozen=True):
    """The event `charge.refunded`: a charge was refunded, maybe in part."""

    event: Literal["charge.refunded"]


SAMPLES: Mapping[str, Mapping[str, Any]] = {
    name: {
        "id": "evt_1NG8Du2eZvKYlo2CUI79vXWy",
        "object": "event",
        "api_version": "2025-09-30.clover",
        "created": 1764000188,
        "data": {"object": about},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": name,
    }
    for name, about in {
        "payment_intent.succeeded": {
            "id": "pi_3MtwBwLkdIwHu7ix28a3tqPa",
            "object": "payment_intent",
            "amount": 2000,
            "amount_received": 2000,
            "currency": "eur",
            "status": "succeeded",
        },
        "checkout.session.completed": {
            "id": "cs_test_a11YYufWQzNY63zpQ6QSNRQhkUpVph4WRmzW0zWJO2znZKdVujZ0N0S22u",
            "object": "checkout.session",
            "amount_total": 2000,
            "currency": "eur",
            "payment_status": "paid",
            "status": "complete",
        },
        "charge.refunded": {
            "id": "ch_3MmlLrLkdIwHu7ix0snN0B15",
            "object": "charge",
            "amount": 2000,
            "amount_refunded": 2000,
            "currency": "eur",
            "refunded": True,
        },
    }.items()
}
"""A few members each of the documents that docs.stripe.com/api/events/object describes; the values are made up."""

PRESETS = (
    Preset(
        "stripe",
        "Stripe",
        stripe,
        signature,
        ("stripe-signature",),
        samples=SAMPLES,
        events=(CheckoutSessionCompleted, PaymentIntentSucceeded, ChargeRefunded),
        page=Page(
            trade="payments",
            docs="docs.stripe.com/webhooks",
            setup=(
                "In Workbench, the tab Webhooks, add a destination with the URL and the events; it shows the signing "
                "secret, whsec_..., which is the key as it stands."
            ),
            answer="Any 2xx, quickly. In live mode an event is sent again for up to 3 days.",
            traps=(
                "Events may come in any order.",
                "Each endpoint has a secret of its own, and so has `stripe listen`.",
            ),
            verified=("stripe 16.1.0 (Python), stripe 23.1.0 (Node)", "2026-11-29"),
        ),
    ),
)
