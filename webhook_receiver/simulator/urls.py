"""The URLs that simulators deliver to, and how they are shown."""

from __future__ import annotations

import httpx

from ..senders.up42.settings import is_local


def reachable(url: object) -> str:
    """Return a URL, checked to begin with https://, or with http:// and a loopback address.

    Raises:
        ValueError: it does not.
    """
    try:
        parsed = httpx.URL(url if isinstance(url, str) else "")
    except (httpx.InvalidURL, UnicodeError):
        raise ValueError("it is not a URL") from None
    local = parsed.scheme == "http" and is_local(str(parsed))
    if not parsed.host or not (parsed.scheme == "https" or local) or not 0 < (parsed.port or 443) < 65536:
        raise ValueError("it begins with https://, or with http:// and a loopback address")
    return str(url)


def without_credentials(url: str) -> str:
    """Return a URL without the user name and the password in it, which are nothing to show."""
    parsed = httpx.URL(url)
    return str(parsed.copy_with(userinfo=b"")) if parsed.userinfo else url


def without_secret(url: str) -> str:
    """Return a URL as a line for people has it: without credentials, and without what may be a secret in its path."""
    parsed = httpx.URL(without_credentials(url))
    parts = ["***" if len(part) >= _SHORTEST_SECRET else part for part in parsed.path.split("/")]
    return str(parsed.copy_with(path="/".join(parts), query=None))


_SHORTEST_SECRET = 22  # characters of a secret in a path, see `Unsigned`
