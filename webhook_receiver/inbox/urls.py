"""The URL of an inbox: which inbox it names, and with which settings."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from ..errors import ConfigurationError, needs
from ..options import seconds
from .base import Inbox

GROUP = "webhook_receiver.inboxes"
"""The group of entry points by which other packages bring inboxes: a URL's scheme names what makes one of the URL."""


_SETTINGS: dict[str, Callable[[str], float | int | str]] = {
    "window": seconds,
    "retention": seconds,
    "unhandled_retention": seconds,
    "dead_retention": seconds,
    "keep_body": seconds,
    "min_free": int,
    "busy_timeout": seconds,
    "timeout": seconds,
    "schema": str,
    "pooling": str,
}
_OF_MEMORY = ("window", "retention", "unhandled_retention", "dead_retention", "keep_body")
_OF_SQLITE = (*_OF_MEMORY, "min_free", "busy_timeout")
_OF_POSTGRES = (*_OF_MEMORY, "timeout", "schema", "pooling")
_FORMS = "an inbox's URL is sqlite:///file.db (four slashes before an absolute path), postgresql://... or memory://"


def from_url(url: str, *, create: bool = True) -> Inbox:
    """Return the inbox that a URL names, which is not opened yet.

    Args:
        url: `sqlite:///relative/path.db`, `sqlite:////absolute/path.db` or `memory://`; settings of the inbox may
            follow as in `?retention=90d&window=7d&min_free=1000000&busy_timeout=5s`. Or
            `postgresql://user:password@host/database`, with parameters of libpq's, `schema=name`,
            `timeout=5s` and `pooling=transaction`.
            Other schemes are looked for among the entry points of `webhook_receiver.inboxes`.
        create: whether a SQLite file that does not exist is created.

    Raises:
        ConfigurationError: the URL names no inbox, or one of its settings cannot be read.
    """
    # Of a URL that names no inbox at most the scheme is quoted: that of a database server may hold its password.
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ConfigurationError(f"{_FORMS}; this one cannot be read") from None
    if parts.scheme in ("postgresql", "postgres"):
        return _postgres(url)
    path = unquote(parts.path).removeprefix("/")
    if parts.scheme not in ("sqlite", "memory"):
        return _brought(parts.scheme, url)
    if parts.fragment or "\0" in path:
        raise ConfigurationError(f"{_FORMS}; a # in the file's name is written as %23, and a zero byte is in none")
    if parts.scheme == "memory":
        if parts.netloc or path:
            raise ConfigurationError(f"{_FORMS}; memory:// names no file and no host")
        from .memory import MemoryInbox

        return MemoryInbox(**_settings(parse_qsl(parts.query, keep_blank_values=True), _OF_MEMORY))
    if parts.netloc or not path or path.endswith("/") or path == ":memory:":
        raise ConfigurationError(f"{_FORMS}; this one names no file, or a host")
    from .sqlite import SQLiteInbox

    return SQLiteInbox(path, create=create, **_settings(parse_qsl(parts.query, keep_blank_values=True), _OF_SQLITE))


def _brought(scheme: str, url: str) -> Inbox:
    """Return the inbox of another package that brings this scheme."""
    from importlib.metadata import entry_points  # slow to import, and seldom needed

    for entry in entry_points(group=GROUP, name=scheme) if scheme else ():
        try:
            made: object = entry.load()(url)
        except ConfigurationError:
            raise
        except Exception as error:  # whatever the other package raises
            raise ConfigurationError(
                f"the entry point {scheme} of {GROUP} made no inbox: it raised {type(error).__name__}"
            ) from None
        if not isinstance(made, Inbox):
            raise ConfigurationError(f"the entry point {scheme} of {GROUP} makes no inbox, but a {type(made).__name__}")
        return made
    kind = f"{scheme!r} is no kind of inbox" if scheme else "this one begins otherwise"
    raise ConfigurationError(f"{_FORMS}; {kind}")


def _postgres(url: str) -> Inbox:
    """Return the inbox on a server; parameters of the URL that are no settings of the inbox are left to libpq."""
    try:
        from .postgres import PostgresInbox
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] not in ("psycopg", "psycopg_binary"):
            raise
        raise ConfigurationError(needs("an inbox on PostgreSQL", error.name, "postgres")) from None
    address, _, query = url.partition("?")
    parts = query.split("&") if query else []
    ours = [part for part in parts if part.partition("=")[0] in _OF_POSTGRES]
    theirs = "&".join(part for part in parts if part not in ours)
    try:
        settings = _settings(parse_qsl("&".join(ours), keep_blank_values=True), _OF_POSTGRES)
    except ConfigurationError:  # it quotes what may be a part of the password, if that was not written as %XX
        raise ConfigurationError(
            "the settings of the inbox in the URL of the PostgreSQL server cannot be read: each is there once, as in "
            "?schema=name&window=7d&retention=30d&timeout=5s"
        ) from None
    return PostgresInbox(f"{address}?{theirs}" if theirs else address, **settings)


def _settings(given: Iterable[tuple[str, str]], known: Collection[str]) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for name, value in given:
        if name not in known:
            raise ConfigurationError(f"this inbox has no setting {name!r}; it has {', '.join(known)}")
        if name in settings:
            raise ConfigurationError(f"the inbox's setting {name!r} is given twice")
        try:
            settings[name] = _SETTINGS[name](value)
        except ValueError as error:
            raise ConfigurationError(f"the inbox's setting {name}={value!r} cannot be read: {error}") from None
    return settings
