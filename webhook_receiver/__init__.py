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
- `webhook_receiver.runtime`, `runtime.edit`, `webhook_receiver.delivery`, `webhook_receiver.responses`,
  `webhook_receiver.errors`
- `webhook_receiver.settings`: what a deployment sets
- `webhook_receiver.testing`, `testing.inbox_suite`, `testing.scheme_suite`: the test kit, and suites of tests for
  an inbox or a scheme of your own
- `webhook_receiver.inspector`: an inbox as web pages
- `webhook_receiver.simulator`: a local server that simulates UP42

All other import paths may change in any version.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    ".delivery": "Attempt Delivery",
    ".errors": (
        "AddressNotAllowed AmbiguousId ApiError BadSignature BodyMismatch ConfigurationError GiveUp HandlerSignal "
        "InboxDamaged InboxError InboxUnavailable KeysUnavailable MalformedSignature MissingSignature NotAnEvent "
        "RequestError Retry StaleSignature Unconfirmed UnexpectedSignature VerificationError WebhookError"
    ),
    ".events": (
        "Event FailedPermanentlyBody FulfilledBody ImageryEvent ImageryFailed ImageryPartlyReady ImageryProgress "
        "ImageryReady OrderBody OrderFailedPermanently OrderFulfilled OrderProgress OrderStatus OrderStatusChanged "
        "UnknownEvent"
    ),
    ".inbox": "DeliverySummary FailedAttempt Filter HandlerState Inbox State Stats StoredDelivery",
    ".inbox.memory": "MemoryInbox",
    ".inbox.sqlite": "SQLiteInbox",
    ".options": "Backoff Breaker WorkerOptions",
    ".receiver": "WebhookReceiver",
    ".responses": "Receipt Response ResponseStatuses",
    ".routing": "CallNext Router",
    ".runtime": "Health",
    ".senders": "OrdersApi Sender",
    ".senders.backfill": "Backfill",
    ".senders.source": "Changes",
    ".senders.up42": "JobStatusChanged UP42Signature",
    ".signatures": "Scheme Secret",
    ".signatures.allow_from": "AllowFrom",
    ".signatures.any_of": "AnyOf",
    ".signatures.bearer_jwt": "BearerJWT",
    ".signatures.by_request": "SecretsByRequest",
    ".signatures.hmac_body": "HMACBody",
    ".signatures.jwks": "JWKS",
    ".signatures.no_pushes": "NoPushes",
    ".signatures.public_key_body": "PublicKeyBody",
    ".signatures.rfc9421": "HTTPMessageSignature",
    ".signatures.shared_secret": "BasicAuth BodySecret HeaderSecret QuerySecret",
    ".signatures.standard": "StandardWebhooks",
    ".signatures.unsigned": "Unsigned",
}
"""The public names by their modules. A module is imported when one of its names is used, so that `import
webhook_receiver`, and with it every command, costs next to nothing. `__init__.pyi` has the names for type checkers."""
_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = sorted(_HOME)  # pyright: ignore[reportUnsupportedDunderAll] - the stub has them as a list


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib import metadata

        from .errors import DISTRIBUTION

        return metadata.version(DISTRIBUTION)
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_HOME[name], __name__), name)
    return found
