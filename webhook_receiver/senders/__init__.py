"""Senders: the services that deliver webhooks, each with its signatures and events in a module.

`registry.presets()` returns all of them by name.
"""

from __future__ import annotations

from ..signatures import Scheme
from ..signatures.secrets import Secrets
from .base import Decode, Identity, Order, OrderingKey, Orders, OrdersApi, Sender, checked_api

__all__ = [
    "Decode",
    "Identity",
    "Order",
    "OrderingKey",
    "Orders",
    "OrdersApi",
    "Sender",
    "checked_api",
    "default_sender",
]


def default_sender(secret: Secrets | None = None, scheme: Scheme | None = None) -> Sender:
    """Return UP42: the sender of a receiver that is given a secret or a scheme, and no sender.

    Raises:
        ConfigurationError: both or neither are given, or one cannot work.
    """
    from .up42 import up42  # here, since an import of another sender should not load it

    return up42(secret, scheme=scheme)
