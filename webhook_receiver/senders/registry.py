"""The registry of senders: every preset of this package, and of other packages.

Other packages have an entry point of the group `webhook_receiver.senders` that names a `Preset`. Commands, `explain`,
captures and tests read the registry, so a sender that is added once is known everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points

from ..delivery import Headers
from ..errors import ConfigurationError
from .preset import Make, Preset

GROUP = "webhook_receiver.senders"
"""The group of entry points by which other packages add senders."""

MODULES = ("up42", "standard_webhooks", "github", "stripe", "slack", "shopify", "http_message")
"""The modules of this package's senders, in the order in which `recognize` compares a request with each."""


@cache
def presets() -> Mapping[str, Preset]:
    """Return all presets by name: those of this package, the default sender first, then those of other packages.

    Raises:
        ConfigurationError: an entry point names something else than a preset, or its preset has a name that is taken.
    """
    own = [preset for module in MODULES for preset in import_module(f".{module}", __package__).PRESETS]
    found: dict[str, Preset] = {preset.name: preset for preset in own}
    for entry in entry_points(group=GROUP):
        brought: object = entry.load()
        if not isinstance(brought, Preset):
            raise ConfigurationError(
                f"the entry point {entry.name} of {GROUP} has to name a Preset, not a {type(brought).__name__}"
            )
        if brought.name in found:
            raise ConfigurationError(
                f"the entry point {entry.name} of {GROUP} has a preset named {brought.name!r}, which exists already"
            )
        found[brought.name] = brought
    return found


def recognize(headers: Headers) -> Preset | None:
    """Return the preset of the sender whose requests have such headers; None if no preset fits."""
    return next((preset for preset in presets().values() if preset.fits(headers)), None)


def preset_of(make: Make) -> Preset | None:
    """Return the preset whose scheme `make` makes, with or without options by `functools.partial`; None without one."""
    for way in (make, getattr(make, "func", None)):
        for preset in presets().values():
            if preset.make == way:
                return preset
    return None
