"""Senders: the services that deliver webhooks, each with its signatures and events in a module.

`registry.presets()` returns all of them by name.
"""

from __future__ import annotations

from types import ModuleType

from ..errors import ConfigurationError
from ..signatures import Scheme
from ..signatures.secrets import Secrets
from .base import Decode, Envelope, Identity, Order, OrderingKey, Orders, OrdersApi, Sender, check_scheme, checked_api
from .split import Split

__all__ = [
    "Decode",
    "Envelope",
    "Identity",
    "Order",
    "OrderingKey",
    "Orders",
    "OrdersApi",
    "Sender",
    "Split",
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


def sender_for(sender: Sender | None, secret: Secrets | None, scheme: Scheme | None) -> Sender:
    """Return the sender that is given, or the default sender with the secret or scheme that is given.

    Raises:
        ConfigurationError: nothing is given, or too much, or something of the wrong kind.
    """
    if sender is not None:
        if secret is not None or scheme is not None:
            raise ConfigurationError("give the secret to the sender: sender=github(secret), not both")
        return checked_sender(sender)
    if secret is None and scheme is None:
        raise ConfigurationError(
            "a receiver needs the secret that its sender signs with, or anyone could deliver: "
            'WebhookReceiver(secret=Secret.from_env("WEBHOOK_SECRET")); '
            "if the sender has no secret, say so with scheme=Unsigned()"
        )
    if scheme is not None:
        check_scheme(scheme)
    return default_sender(secret, scheme)


def checked_sender(sender: object) -> Sender:
    """Return a sender unchanged; reject anything else, such as the function that makes one, a common mistake."""
    if not isinstance(sender, Sender):
        given = getattr(sender, "__name__", type(sender).__name__)
        if isinstance(sender, ModuleType):
            given = f"the module {given}: import the function that it has"
        raise ConfigurationError(f"sender=... takes a Sender, such as github(secret), not {given}")
    return sender
