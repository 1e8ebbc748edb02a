"""The registry of senders: every preset of this package, and of other packages.

Other packages have an entry point of the group `webhook_receiver.senders` that names a `Preset`. Commands, `explain`,
captures and tests read the registry, so a sender that is added once is known everywhere.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module

from ..delivery import Headers
from .preset import Make, Preset

logger = logging.getLogger("webhook_receiver")

GROUP = "webhook_receiver.senders"
"""The group of entry points by which other packages add senders."""


@cache
def presets() -> Mapping[str, Preset]:
    """Return all presets by name: those of this package, the default sender first, then those of other packages.

    An entry point that cannot be loaded, names something else or a name that is taken is left out, with a log line.
    """
    from importlib.metadata import entry_points  # slow to import, as some of these modules are

    from . import catalogue

    own = [preset for module in catalogue.MODULES for preset in import_module(module, catalogue.__name__).PRESETS]
    found: dict[str, Preset] = {preset.name: preset for preset in own}
    for entry in entry_points(group=GROUP):
        if (preset := _loaded(entry.name, entry.load)) is None:
            continue
        if preset.name in found:
            logger.error("the entry point %s of %s is left out: there is a sender %s", entry.name, GROUP, preset.name)
            continue
        found[preset.name] = preset
    return found


def _loaded(name: str, load: Callable[[], object]) -> Preset | None:
    """Return the preset that an entry point loads; None, with a log line, if it loads none.

    One broken package must not take every command and every other sender with it.
    """
    try:
        preset = load()
    except Exception as error:  # whatever the other package raises when it is imported
        logger.error("the entry point %s of %s is left out: it raised %s", name, GROUP, type(error).__name__)
        return None
    if isinstance(preset, Preset):
        return preset
    logger.error("the entry point %s of %s is left out: it names no Preset, but %r", name, GROUP, type(preset))
    return None


def recognize(headers: Headers) -> Preset | None:
    """Return the preset of the sender whose requests have such headers; None if no preset fits.

    Senders of one specification have the same headers, such as all that deliver through Svix: then it is the first.
    """
    fitting = (preset for preset in presets().values() if preset.fits(headers))
    return max(fitting, key=lambda preset: preset.likeness(headers), default=None)


def preset_of(make: Make) -> Preset | None:
    """Return the preset whose scheme `make` makes, with or without options by `functools.partial`; None without one."""
    for way in (make, getattr(make, "func", None)):
        for preset in presets().values():
            if preset.make == way:
                return preset
    return None
