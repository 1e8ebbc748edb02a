"""Inboxes: where accepted deliveries are kept until they are handled, and after."""

from __future__ import annotations

from collections.abc import Callable, Collection
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
    # Of a URL that names no inbox at most the scheme is quoted: that of a database server may hold its password.
    forms = "an inbox's URL is sqlite:///file.db (four slashes before an absolute path) or memory://"
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ConfigurationError(f"{forms}; this one cannot be read") from None
    path = unquote(parts.path).removeprefix("/")
    if parts.scheme not in ("sqlite", "memory"):
        kind = f"{parts.scheme!r} is no kind of inbox" if parts.scheme else "this one begins otherwise"
        raise ConfigurationError(f"{forms}; {kind}")
    if parts.fragment or "\0" in path:
        raise ConfigurationError(f"{forms}; a # in the file's name is written as %23, and a zero byte is in none")
    if parts.scheme == "memory":
        if parts.netloc or path:
            raise ConfigurationError(f"{forms}; memory:// names no file and no host")
        return MemoryInbox(**_settings(parts.query, ("window", "retention")))
    if parts.netloc or not path or path.endswith("/") or path == ":memory:":
        raise ConfigurationError(f"{forms}; this one names no file, or a host")
    return SQLiteInbox(path, create=create, **_settings(parts.query, _SETTINGS))  # type: ignore[arg-type]


def _settings(query: str, known: Collection[str]) -> dict[str, float | int]:
    settings: dict[str, float | int] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in known:
            raise ConfigurationError(f"this inbox has no setting {name!r}; it has {', '.join(known)}")
        if name in settings:
            raise ConfigurationError(f"the inbox's setting {name!r} is given twice")
        try:
            settings[name] = _SETTINGS[name](value)
        except ValueError as error:
            raise ConfigurationError(f"the inbox's setting {name}={value!r} cannot be read: {error}") from None
    return settings
