"""How long finished deliveries are kept, by their state, and counts and audit records."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import ConfigurationError
from ..options import is_number
from .records import State

COUNTS_RETENTION = 90 * 86_400.0
"""Seconds for which the counts of a minute are kept."""
AUDIT_RETENTION = 365 * 86_400.0
"""Seconds for which an audit record is kept."""


POLLED_RETENTION = 400 * 86_400.0
"""Seconds from receipt for which a delivery of a receiver that polls is known, also after it was removed: sources tell
what changed long ago again, such as each job since the oldest that has not ended."""


def known_since(now: float, window: float) -> tuple[float, float]:
    """Return the Unix times in seconds of receipt from which on removed deliveries are known, and those of a receiver
    that polls.

    Args:
        now: the time in Unix seconds.
        window: seconds for which duplicates are recognized.
    """
    return now - window, now - max(window, POLLED_RETENTION)


def retention_of(window: float, done: float, unhandled: float | None, dead: float | None) -> Mapping[State, float]:
    """Return the retention of each state that has one, in seconds.

    Args:
        window: seconds for which duplicates are recognized.
        done: seconds for which a done delivery is kept.
        unhandled: seconds for which an unhandled one is kept; None for ever.
        dead: seconds for which a dead one is kept; None for ever.

    Raises:
        ConfigurationError: one is no positive number, or done deliveries would be forgotten within the window.
    """
    for name, given in (("window", window), ("retention", done)):
        if not is_number(given):
            raise ConfigurationError(f"{name} is a number of seconds, not {given!r}")
    if not (window > 0 and done >= window):
        raise ConfigurationError(
            f"an inbox's window is above 0 seconds, and its retention no shorter: window={window:g} s with "
            f"retention={done:g} s does not work"
        )
    found = {
        State.DONE: done,
        State.UNHANDLED: checked_span("unhandled_retention", unhandled),
        State.DEAD: checked_span("dead_retention", dead),
    }
    return {state: seconds for state, seconds in found.items() if seconds is not None}


def checked_span(name: str, seconds: float | None) -> float | None:
    """Return the setting `name`, a number of seconds or None for ever.

    Raises:
        ConfigurationError: it is no positive number.
    """
    if seconds is not None and not (is_number(seconds) and seconds > 0):
        raise ConfigurationError(f"{name} is a number of seconds above 0, or None for ever, not {seconds!r}")
    return seconds
