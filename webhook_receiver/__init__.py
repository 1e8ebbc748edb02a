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

Public are the names here and, each with the names in its `__all__` or without an underscore:

- `webhook_receiver.senders` and the modules in it: who delivers; `senders.up42.client` has `WebhooksClient`
- `webhook_receiver.signatures`, `webhook_receiver.explain`: how deliveries prove themselves, and why one does not
- `webhook_receiver.inbox`, `inbox.records`, `inbox.postgres`: where deliveries are kept, and the contract of an inbox
- `webhook_receiver.runtime`, `webhook_receiver.delivery`, `webhook_receiver.errors`
- `webhook_receiver.testing`, `testing.inbox_suite`, `testing.scheme_suite`: the kit, and suites for your own
- `webhook_receiver.simulator`: the local server that plays UP42

All other import paths may change in any version.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from .delivery import Attempt, Delivery
from .errors import (
    AmbiguousId,
    ApiError,
    BadSignature,
    BodyMismatch,
    ConfigurationError,
    GiveUp,
    HandlerSignal,
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
    State,
    Stats,
    StoredDelivery,
)
from .options import Backoff, Breaker, WorkerOptions
from .receiver import WebhookReceiver
from .responses import Receipt, Response, Responses
from .routing import CallNext, Router
from .runtime import Health
from .senders import OrdersApi, Sender
from .senders.backfill import Backfill
from .signatures import AnyOf, HMACBody, HTTPMessageSignature, Scheme, Secret, StandardWebhooks, Unsigned

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
    "CallNext",
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
    "HandlerSignal",
    "HandlerState",
    "Health",
    "Inbox",
    "InboxDamaged",
    "InboxError",
    "InboxUnavailable",
    "JobStatusChanged",  # pyright: ignore[reportUnsupportedDunderAll] - see __getattr__
    "MalformedSignature",
    "MemoryInbox",  # pyright: ignore[reportUnsupportedDunderAll] - see __getattr__
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
    "SQLiteInbox",  # pyright: ignore[reportUnsupportedDunderAll] - see __getattr__
    "Scheme",
    "Secret",
    "Sender",
    "StaleSignature",
    "StandardWebhooks",
    "State",
    "Stats",
    "StoredDelivery",
    "UP42Signature",  # pyright: ignore[reportUnsupportedDunderAll] - see __getattr__
    "Unconfirmed",
    "UnexpectedSignature",
    "UnknownEvent",
    "Unsigned",
    "VerificationError",
    "WebhookError",
    "WebhookReceiver",
    "WorkerOptions",
]

_WHEN_ASKED_FOR = {
    "JobStatusChanged": ".senders.up42",
    "UP42Signature": ".senders.up42",
    "MemoryInbox": ".inbox.memory",
    "SQLiteInbox": ".inbox.sqlite",
}
"""Names whose modules cost more than the rest of the package together; `__init__.pyi` tells type checkers of them."""


def __getattr__(name: str) -> Any:
    if name not in _WHEN_ASKED_FOR:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_WHEN_ASKED_FOR[name], __name__), name)
    return found
