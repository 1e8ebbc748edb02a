"""Receive webhooks in any ASGI app: verified, parsed into pydantic models, routed to handlers.

    from webhook_receiver import OrderFailedPermanently, OrderFulfilled, Secret, WebhookReceiver

    hooks = WebhookReceiver(secret=Secret.from_env("WEBHOOK_SECRET"), inbox="sqlite:///hooks.db")

    @hooks.on(OrderFulfilled)
    async def download(order: OrderFulfilled) -> None:
        print("ready to download:", order.order_id)

    @hooks.on(OrderFailedPermanently)
    def alert(order: OrderFailedPermanently) -> None:
        print("failed for good:", order.order_id)

`hooks` is the ASGI app: run it with uvicorn, or mount it in yours with `hooks.route("/webhooks")` and give it your
app's `lifespan=hooks.lifespan`. What it has answered with 2xx is in the inbox, and is handled, again if need be.
"""

from __future__ import annotations

from .delivery import Attempt, Delivery
from .errors import (
    AmbiguousId,
    ApiError,
    BadSignature,
    BodyMismatch,
    ConfigurationError,
    GiveUp,
    InboxDamaged,
    InboxError,
    InboxUnavailable,
    MalformedSignature,
    MissingSignature,
    NotAnEvent,
    RequestError,
    Retry,
    StaleSignature,
    Unconfirmed,
    UnexpectedSignature,
    VerificationError,
    WebhookError,
)
from .events import (
    Event,
    FailedPermanentlyBody,
    FulfilledBody,
    OrderBody,
    OrderFailedPermanently,
    OrderFulfilled,
    OrderStatus,
    OrderStatusChanged,
    UnknownEvent,
)
from .inbox import (
    DeliverySummary,
    FailedAttempt,
    Filter,
    HandlerState,
    Inbox,
    MemoryInbox,
    SQLiteInbox,
    State,
    Stats,
    StoredDelivery,
)
from .options import Backoff, Breaker, WorkerOptions
from .receiver import WebhookReceiver
from .responses import Receipt, Response, Responses
from .routing import Router
from .runtime import Health
from .senders import OrdersApi, Sender
from .senders.backfill import Backfill
from .senders.up42 import JobStatusChanged
from .signatures import (
    AnyOf,
    HMACBody,
    HTTPMessageSignature,
    Scheme,
    Secret,
    StandardWebhooks,
    Unsigned,
    UP42Signature,
)

__all__ = [
    "AmbiguousId",
    "AnyOf",
    "ApiError",
    "Attempt",
    "Backfill",
    "Backoff",
    "BadSignature",
    "BodyMismatch",
    "Breaker",
    "ConfigurationError",
    "Delivery",
    "DeliverySummary",
    "Event",
    "FailedAttempt",
    "FailedPermanentlyBody",
    "Filter",
    "FulfilledBody",
    "GiveUp",
    "HMACBody",
    "HTTPMessageSignature",
    "HandlerState",
    "Health",
    "Inbox",
    "InboxDamaged",
    "InboxError",
    "InboxUnavailable",
    "JobStatusChanged",
    "MalformedSignature",
    "MemoryInbox",
    "MissingSignature",
    "NotAnEvent",
    "OrderBody",
    "OrderFailedPermanently",
    "OrderFulfilled",
    "OrderStatus",
    "OrderStatusChanged",
    "OrdersApi",
    "Receipt",
    "RequestError",
    "Response",
    "Responses",
    "Retry",
    "Router",
    "SQLiteInbox",
    "Scheme",
    "Secret",
    "Sender",
    "StaleSignature",
    "StandardWebhooks",
    "State",
    "Stats",
    "StoredDelivery",
    "UP42Signature",
    "Unconfirmed",
    "UnexpectedSignature",
    "UnknownEvent",
    "Unsigned",
    "VerificationError",
    "WebhookError",
    "WebhookReceiver",
    "WorkerOptions",
]
