from .delivery import Attempt, Delivery
from .errors import (
    AddressNotAllowed,
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
    KeysUnavailable,
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
    ImageryEvent,
    ImageryFailed,
    ImageryPartlyReady,
    ImageryProgress,
    ImageryReady,
    OrderBody,
    OrderFailedPermanently,
    OrderFulfilled,
    OrderProgress,
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
from .inbox.memory import MemoryInbox
from .inbox.sqlite import SQLiteInbox
from .options import Backoff, Breaker, WorkerOptions
from .receiver import WebhookReceiver
from .responses import Receipt, Response, ResponseStatuses
from .routing import CallNext, Router
from .runtime import Health
from .senders import OrdersApi, Sender
from .senders.backfill import Backfill
from .senders.source import Changes
from .senders.up42 import JobStatusChanged
from .senders.up42.signature import UP42Signature
from .signatures import Scheme, Secret
from .signatures.allow_from import AllowFrom
from .signatures.any_of import AnyOf
from .signatures.bearer_jwt import BearerJWT
from .signatures.by_request import SecretsByRequest
from .signatures.hmac_body import HMACBody
from .signatures.jwks import JWKS
from .signatures.no_pushes import NoPushes
from .signatures.public_key_body import PublicKeyBody
from .signatures.rfc9421 import HTTPMessageSignature
from .signatures.shared_secret import BasicAuth, BodySecret, HeaderSecret, QuerySecret
from .signatures.standard import StandardWebhooks
from .signatures.unsigned import Unsigned

__version__: str

__all__ = [
    "AddressNotAllowed",
    "AllowFrom",
    "AmbiguousId",
    "AnyOf",
    "ApiError",
    "Attempt",
    "Backfill",
    "Backoff",
    "BadSignature",
    "BearerJWT",
    "BasicAuth",
    "BodyMismatch",
    "BodySecret",
    "Breaker",
    "CallNext",
    "Changes",
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
    "HeaderSecret",
    "Health",
    "ImageryEvent",
    "ImageryFailed",
    "ImageryPartlyReady",
    "ImageryProgress",
    "ImageryReady",
    "Inbox",
    "InboxDamaged",
    "InboxError",
    "InboxUnavailable",
    "JWKS",
    "JobStatusChanged",
    "KeysUnavailable",
    "MalformedSignature",
    "MemoryInbox",
    "MissingSignature",
    "NoPushes",
    "NotAnEvent",
    "OrderBody",
    "OrderFailedPermanently",
    "OrderFulfilled",
    "OrderProgress",
    "OrderStatus",
    "OrderStatusChanged",
    "OrdersApi",
    "PublicKeyBody",
    "QuerySecret",
    "Receipt",
    "RequestError",
    "Response",
    "ResponseStatuses",
    "Retry",
    "Router",
    "SQLiteInbox",
    "Scheme",
    "Secret",
    "SecretsByRequest",
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
