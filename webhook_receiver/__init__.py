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
app's `lifespan=hooks.lifespan`. A delivery is in the inbox once the response is 2xx.

Public are the names here and, each with the names in its `__all__` or without an underscore:

- `webhook_receiver.senders` and its modules: the senders; `senders.up42.client` has `WebhooksClient`
- `webhook_receiver.signatures`, `webhook_receiver.explain`: signature schemes, and the causes of a rejected signature
- `webhook_receiver.inbox`, `inbox.records`, `inbox.postgres`: stores of deliveries, and the contract of an inbox
- `webhook_receiver.runtime`, `webhook_receiver.delivery`, `webhook_receiver.errors`
- `webhook_receiver.testing`, `testing.inbox_suite`, `testing.scheme_suite`: the test kit, and suites of tests for
  an inbox or a scheme of your own
- `webhook_receiver.simulator`: a local server that simulates UP42

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
from .responses import Receipt, Response, ResponseStatuses
from .routing import CallNext, Router
from .runtime import Health
from .senders import OrdersApi, Sender
from .senders.backfill import Backfill
from .signatures import Scheme, Secret

__all__ = [
    "AmbiguousId",
    "AnyOf",  # pyright: ignore[reportUnsupportedDunderAll] - see __getattr__
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
    "HMACBody",  # pyright: ignore[reportUnsupportedDunderAll] - see __getattr__
    "HTTPMessageSignature",  # pyright: ignore[reportUnsupportedDunderAll] - see __getattr__
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
    "ResponseStatuses",
    "Retry",
    "Router",
    "SQLiteInbox",  # pyright: ignore[reportUnsupportedDunderAll] - see __getattr__
    "Scheme",
    "Secret",
    "Sender",
    "StaleSignature",
    "StandardWebhooks",  # pyright: ignore[reportUnsupportedDunderAll] - see __getattr__
    "State",
    "Stats",
    "StoredDelivery",
    "UP42Signature",  # pyright: ignore[reportUnsupportedDunderAll] - see __getattr__
    "Unconfirmed",
    "UnexpectedSignature",
    "UnknownEvent",
    "Unsigned",  # pyright: ignore[reportUnsupportedDunderAll] - see __getattr__
    "VerificationError",
    "WebhookError",
    "WebhookReceiver",
    "WorkerOptions",
]

_LAZY = {
    "AnyOf": ".signatures.any_of",
    "HMACBody": ".signatures.hmac_body",
    "HTTPMessageSignature": ".signatures.rfc9421",
    "JobStatusChanged": ".senders.up42",
    "StandardWebhooks": ".signatures.standard",
    "UP42Signature": ".senders.up42",
    "Unsigned": ".signatures.unsigned",
    "MemoryInbox": ".inbox.memory",
    "SQLiteInbox": ".inbox.sqlite",
}
"""The names that are imported on first use, since their modules are slow to load, and their modules. `__init__.pyi` has
them for type checkers."""


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_LAZY[name], __name__), name)
    return found
