"""Senders: who delivers, how each proves itself, and what its events are. One module each; this is their registry.

`presets()` knows every sender that is here, or that another package brings by an entry point of the group
`webhook_receiver.senders`, which names a `Preset`. Commands, `explain`, captures and the tests read it, so that a
sender that is added once is known everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points

from ..delivery import Headers
from ..errors import ConfigurationError
from ..signatures import Scheme
from ..signatures.secrets import Secrets
from .base import Identity, Order, OrderingKey, Orders, OrdersApi, Sender, checked_api
from .preset import Make, Preset

__all__ = [
    "Identity",
    "Make",
    "Order",
    "OrderingKey",
    "Orders",
    "OrdersApi",
    "Preset",
    "Sender",
    "checked_api",
    "default_sender",
    "preset_of",
    "presets",
    "recognize",
]

GROUP = "webhook_receiver.senders"
"""The group of entry points by which other packages bring senders."""

MODULES = ("up42", "standard_webhooks", "github", "stripe", "slack", "shopify", "http_message")
"""The modules with our own, in the order in which a request's headers are compared with theirs."""


@cache
def presets() -> Mapping[str, Preset]:
    """Return all presets by name: our own first, the default sender at their head, then those of other packages.

    Raises:
        ConfigurationError: another package brings something else, or a name that is taken.
    """
    own = [preset for module in MODULES for preset in import_module(f"{__name__}.{module}").PRESETS]
    found: dict[str, Preset] = {preset.name: preset for preset in own}
    for entry in entry_points(group=GROUP):
        brought: object = entry.load()
        if not isinstance(brought, Preset):
            raise ConfigurationError(
                f"the entry point {entry.name} of {GROUP} is to name a Preset, not a {type(brought).__name__}"
            )
        if brought.name in found:
            raise ConfigurationError(f"the entry point {entry.name} of {GROUP} brings a second {brought.name!r}")
        found[brought.name] = brought
    return found


def recognize(headers: Headers) -> Preset | None:
    """Return the preset of the sender whose headers these are, or None."""
    return next((preset for preset in presets().values() if preset.fits(headers)), None)


def preset_of(make: Make) -> Preset | None:
    """Return the preset whose scheme is made by `make`, maybe with options, or None."""
    for way in (make, getattr(make, "func", None)):
        for preset in presets().values():
            if preset.make == way:
                return preset
    return None


def default_sender(secret: Secrets | None = None, scheme: Scheme | None = None) -> Sender:
    """Return the sender of a receiver that was given a secret or a scheme and no sender: UP42."""
    from .up42 import up42  # who brings a sender does not need it

    return up42(secret, scheme=scheme)
