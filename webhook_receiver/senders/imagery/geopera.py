"""The provider Geopera: an HMAC over the body, with the provider's id of the event in it."""

from __future__ import annotations

from functools import partial
from typing import Literal

from ...events import ImageryProgress, ImageryReady
from ...signatures.hmac_body import HMACBody
from ...signatures.secrets import Secrets
from ..base import Sender
from ..page import Page
from ..preset import Preset
from .events import ProviderEvent, Reading
from .statuses import STATUSES

_signature = partial(HMACBody, signature="x-geopera-signature", prefix="sha256=")


class GeoperaOrderFulfilled(ProviderEvent, ImageryReady, frozen=True):
    """An order is fulfilled."""

    event: Literal["geopera.order.ready"]


class GeoperaOrderProgress(ProviderEvent, ImageryProgress, frozen=True):
    """Any other news of an order."""

    event: Literal["geopera.order.progress"]


def geopera(secret: Secrets) -> Sender:
    """Return the sender Geopera. What is not about an order is an event by its own name, such as "credits.low".

    Args:
        secret: the secret of the subscription, whole, with its whsec_; or several while it is changed.

    Raises:
        ConfigurationError: a secret cannot work.
    """
    reading = Reading(
        event="geopera.order",
        statuses=STATUSES["geopera"],
        status=("event_type",),
        order_id=("entity_id",),
        id=(("event_id",),),
        where=("entity_type", "order"),
    )
    return reading.sender(
        "geopera",
        _signature(secret),
        (GeoperaOrderFulfilled, GeoperaOrderProgress),
        event_name=("event_type", "event"),
        facts=(
            "docs.geopera.com, guides/webhooks, read in November 2026: the header, the HMAC and the document",
            "geopera 2.1.0 for Python, read: how a subscription is made and tested",
            "Whether the key is the secret with or without its whsec_ is not known: this takes it whole",
            "The name of an order's failure is not known, so it is an ImageryProgress until it is",
        ),
    )


PRESETS = (
    Preset(
        "geopera",
        "Geopera",
        geopera,
        _signature,
        ("x-geopera-signature",),
        samples={
            "geopera.order.ready": {
                "event_id": "b8a2f0de-3f8b-4c07-9d6f-2d0a6a3e5c04",
                "event_type": "order.fulfilled",
                "timestamp": "2026-01-01T00:00:00Z",
                "organization_id": "g-1",
                "entity_type": "order",
                "entity_id": "o-1",
                "data": {},
            }
        },
        sample_id="event_id",
        page=Page(
            trade="images",
            docs="docs.geopera.com/guides/webhooks",
            setup=(
                "POST /v1/op/event_subscriptions.create with event_type and endpoint_url; the answer shows the secret "
                "once. event_subscriptions.test delivers a test."
            ),
            answer="Any 2xx. When it is sent again is not known.",
            backfill="orders.list and orders.get of the API.",
            traps=(
                "No time is signed; what comes again is known by its event_id.",
                "Events of jobs, uploads and credits have their own names, and no class here.",
            ),
        ),
    ),
)
