"""Times as the providers' APIs tell them, and as cursors keep them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ...errors import ApiError

EPOCH = datetime.fromtimestamp(0, UTC)
NEVER = datetime.max.replace(tzinfo=UTC)
"""The time of what has none: it is in the future, and moves no cursor."""


def moment(text: object) -> datetime:
    """Return a time of RFC 3339, in UTC; taken for UTC if it has no time zone.

    Raises:
        ApiError: the text is no such time.
    """
    try:
        at = datetime.fromisoformat(text if isinstance(text, str) else "")
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ApiError(f"the API told the time {str(text)[:40]!r}, which is none of RFC 3339") from None


def moment_or_never(text: object) -> datetime:
    """Return a time of RFC 3339, as `moment` does; a time in the future for what is none, as Go's zero time."""
    try:
        at = moment(text)
    except ApiError:
        return NEVER
    return at if at > EPOCH else NEVER


def text_of(at: datetime) -> str:
    """Return a time as RFC 3339 in UTC, with microseconds and "Z"."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def text_or_none(at: datetime | None) -> str | None:
    """Return a time as `text_of` does; None for None."""
    return None if at is None else text_of(at)


def time_in(state: Mapping[str, Any], name: str) -> datetime | None:
    """Return the time that a cursor's state has under a name; None if it has none."""
    return moment(state[name]) if name in state else None
