"""The sender Paddle: an HMAC over a time and the body, both in one header. The time may be a few seconds old only."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from ..events import Event
from ..responses import ResponseStatuses
from ..signatures.hmac_body import HMACBody
from ..signatures.secrets import Secrets
from .base import Sender
from .page import Page
from .preset import Preset


class PaddleData(BaseModel, frozen=True, extra="allow", hide_input_in_errors=True):
    """The entity that an event is about, as it is then."""

    id: str
    status: str | None = None


class PaddleEvent(Event, frozen=True):
    """The members that all of Paddle's events have (developer.paddle.com/webhooks). Name another event by a subclass
    with `event: Literal["customer.created"]`."""

    event_id: str
    notification_id: str
    occurred_at: datetime
    data: PaddleData


class TransactionCompleted(PaddleEvent, frozen=True):
    """The event `transaction.completed`: somebody has paid, and all that follows is done."""

    event: Literal["transaction.completed"]


class SubscriptionChanged(PaddleEvent, frozen=True):
    """The events of subscriptions."""

    event: Literal[
        "subscription.activated",
        "subscription.canceled",
        "subscription.created",
        "subscription.past_due",
        "subscription.paused",
        "subscription.resumed",
        "subscription.trialing",
        "subscription.updated",
    ]


def signature(secrets: Secrets, *, tolerance: float = 5) -> HMACBody:
    """Return Paddle's scheme (developer.paddle.com/webhooks/signature-verification).

    Args:
        secrets: the secret keys of the notification destination, with the prefix `pdl_ntfset_`, which is part of them.
        tolerance: seconds that Paddle's clock may be behind or ahead of ours.
    """
    return HMACBody(
        secrets,
        signature="paddle-signature:h1",
        timestamp="paddle-signature:ts",
        item_separator=";",
        signed="{timestamp}:{body}",
        tolerance=tolerance,
    )


def paddle(secret: Secrets, *, tolerance: float = 5) -> Sender:
    """Return the sender Paddle (Billing).

    Args:
        secret: the secret key of the notification destination, or several while it is changed.
        tolerance: seconds that Paddle's clock may be behind or ahead of ours.

    Raises:
        ConfigurationError: a secret or the tolerance cannot work.
    """
    return Sender(
        name="paddle",
        responses=ResponseStatuses(stored=200),
        scheme=signature(secret, tolerance=tolerance),
        facts=(
            "paddle-python-sdk 1.16.1 and @paddle/paddle-node-sdk 3.10.0, read in November 2026",
            "developer.paddle.com/webhooks/respond-to-webhooks, read in November 2026",
        ),
        event_name="event_type",
        delivery_id_path="event_id",
    )


PRESETS = (
    Preset(
        "paddle",
        "Paddle",
        paddle,
        signature,
        ("paddle-signature",),
        events=(TransactionCompleted, SubscriptionChanged),
        page=Page(
            trade="payments",
            docs="developer.paddle.com/webhooks/respond-to-webhooks",
            setup=(
                "In the dashboard, Developer Tools, Notifications, create a destination of the type URL; its secret "
                "key is pdl_ntfset_..., which is the key as it stands."
            ),
            answer="200 within 5 seconds; else it is sent up to 60 times more in 3 days.",
            traps=(
                "Its libraries allow a clock to be 5 seconds off, and so does this sender: keep the clock right, or "
                "say tolerance=60.",
                "Paddle Classic signs in another way, and is not in the catalogue.",
            ),
            verified=("paddle-python-sdk 1.16.1 (Python), @paddle/paddle-node-sdk 3.10.0 (Node)", "2026-11-29"),
        ),
    ),
)
