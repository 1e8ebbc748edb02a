"""Receive webhooks in any ASGI app: verified, parsed into pydantic models, routed to handlers.

    from webhook_receiver import OrderFailedPermanently, OrderFulfilled, Secret, WebhookReceiver

    hooks = WebhookReceiver(secret=Secret.from_env("WEBHOOK_SECRET"), inbox="sqlite:///hooks.db")

    @hooks.on(OrderFulfilled)
    async def download(order: OrderFulfilled) -> None:
        print("ready to download:", order.order_id)

    @hooks.on(OrderFailedPermanently)
    def alert(order: OrderFailedPermanently) -> None:
        print("failed for good:", order.order_id)

`hooks` is the ASGI app: run it with uvicorn, or mount it in yours with `hooks.route("/webhooks")`.
"""

from __future__ import annotations

from .answers import Answer, Receipt
from .delivery import Attempt, Delivery
from .errors import (
    BadSignature,
    BodyMismatch,
    ConfigurationError,
    GiveUp,
    MalformedSignature,
    MissingSignature,
    NotAnEvent,
    RequestError,
    Retry,
    StaleSignature,
    UnexpectedSignature,
    VerificationError,
    WebhookError,
)
from .events import (
    Event,
    FailedPermanentlyBody,
    FulfilledBody,
    JobStatusChanged,
    OrderBody,
    OrderFailedPermanently,
    OrderFulfilled,
    OrderStatus,
    OrderStatusChanged,
    UnknownEvent,
)
from .receiver import WebhookReceiver
from .routing import Router
from .signatures import Scheme, Secret, Unsigned, UP42Signature

__all__ = [
    "Answer",
    "Attempt",
    "BadSignature",
    "BodyMismatch",
    "ConfigurationError",
    "Delivery",
    "Event",
    "FailedPermanentlyBody",
    "FulfilledBody",
    "GiveUp",
    "JobStatusChanged",
    "MalformedSignature",
    "MissingSignature",
    "NotAnEvent",
    "OrderBody",
    "OrderFailedPermanently",
    "OrderFulfilled",
    "OrderStatus",
    "OrderStatusChanged",
    "Receipt",
    "RequestError",
    "Retry",
    "Router",
    "Scheme",
    "Secret",
    "StaleSignature",
    "UP42Signature",
    "UnexpectedSignature",
    "UnknownEvent",
    "Unsigned",
    "VerificationError",
    "WebhookError",
    "WebhookReceiver",
]
