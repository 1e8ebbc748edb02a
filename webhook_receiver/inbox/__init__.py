"""Inboxes: where accepted deliveries are kept until they are handled, and after."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qsl, unquote, urlsplit

from ..durations import seconds
from ..errors import ConfigurationError
from .base import Inbox
from .memory import MemoryInbox
from .records import (
    Claim,
    Duplicate,
    Entry,
    Filter,
    Kept,
    Outcome,
    PastAttempt,
    Progress,
    Record,
    State,
    Stats,
    Stored,
)
from .sqlite import SQLiteInbox

__all__ = [
    "Claim",
    "Duplicate",
    "Entry",
    "Filter",
    "Inbox",
    "Kept",
    "MemoryInbox",
    "Outcome",
    "PastAttempt",
    "Progress",
    "Record",
    "SQLiteInbox",
    "State",
    "Stats",
    "Stored",
    "from_url",
]

_SETTINGS: dict[str, Callable[[str], float | int]] = {
    "window": seconds,
    "retention": seconds,
    "min_free": int,
    "busy_timeout": seconds,
}


def from_url(url: str, *, create: bool = True) -> SQLiteInbox:
    """Return the inbox that a URL names; it is opened later.

    Args:
        url: `sqlite:///relative/path.db`, `sqlite:////absolute/path.db` or `memory://`; settings of the inbox may
            follow as in `?retention=90d&window=7d&min_free=1000000&busy_timeout=5s`.
        create: whether a file is made if it is not there.

    Raises:
        ConfigurationError: it names none.
    """
    parts = urlsplit(url)
    in_memory = parts.scheme == "memory" and not parts.netloc and not parts.path.strip("/")
    known = {name: _SETTINGS[name] for name in ("window", "retention")} if in_memory else _SETTINGS
    forms = "sqlite:///file.db (four slashes before an absolute path) or memory://"
    settings: dict[str, float | int] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name not in known:
            raise ConfigurationError(f"this inbox has no setting {name!r}; it has {', '.join(known)}")
        try:
            settings[name] = known[name](value)
        except ValueError as error:
            raise ConfigurationError(f"the inbox's setting {name}={value!r} cannot be read: {error}") from None
    if in_memory:
        return MemoryInbox(**settings)
    if parts.scheme != "sqlite":
        # Only the scheme is quoted: the URL of a database server may hold its password.
        raise ConfigurationError(f"an inbox's URL is {forms}; {parts.scheme or 'none'!r} is no kind of inbox")
    path = unquote(parts.path).removeprefix("/")
    if parts.netloc or not path or path.endswith("/"):
        raise ConfigurationError(f"an inbox's URL is {forms}; this one names no file, or a host")
    return SQLiteInbox(path, create=create, **settings)  # type: ignore[arg-type]
