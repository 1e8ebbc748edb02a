"""A GET of a small document, bounded in size and time, from one URL that the user has named. Redirects are errors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from ipaddress import ip_address
from urllib.parse import urlsplit

from ..errors import ConfigurationError, KeysUnavailable, needs

Fetch = Callable[[str], Awaitable[bytes]]
"""A function of a URL that returns the document there, or raises KeysUnavailable."""

MAX_DOCUMENT = 256 * 1024  # bytes


def checked_url(name: str, url: str) -> str:
    """Return the URL of a document unchanged.

    Args:
        name: the argument, for the error.
        url: the URL.

    Raises:
        ConfigurationError: it is none of https, or of http to this machine, or has a password in it.
    """
    try:
        parts = urlsplit(url if isinstance(url, str) and url.isascii() and url.isprintable() and " " not in url else "")
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        parts, host = urlsplit(""), ""
    if not host:
        raise ConfigurationError(f'{name} is an absolute URL, such as "https://example.com/.well-known/jwks.json"')
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise ConfigurationError(f"{name} is a URL of https: on the way of any other, strangers could change the keys")
    if "@" in parts.netloc:
        raise ConfigurationError(f"{name} has a user name or password in it, which errors would show")
    return url


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def check_client() -> None:
    """Check that the HTTP client is installed.

    Raises:
        ConfigurationError: it is not.
    """
    if find_spec("httpx") is None:
        raise ConfigurationError(needs("a scheme that fetches its keys", "an extra", "standard"))


async def get(url: str) -> bytes:
    """Return the document at a URL.

    The caller bounds the time. The environment's proxy is used, but not to this machine.

    Args:
        url: the absolute URL.

    Raises:
        KeysUnavailable: there is no response, another status than 200, a redirect included, or more than 256 KiB.
    """
    import httpx  # here, since few schemes need it

    host = urlsplit(url).hostname or ""
    document = bytearray()
    try:
        async with (
            httpx.AsyncClient(follow_redirects=False, trust_env=not is_loopback(host)) as client,
            client.stream("GET", url, headers={"accept-encoding": "identity"}) as response,
        ):
            if response.status_code != 200:
                more = ": redirects are not followed" if response.has_redirect_location else ""
                raise KeysUnavailable(f"{host} answered {response.status_code}{more}")
            if response.headers.get("content-encoding", "identity") != "identity":
                raise KeysUnavailable(f"{host} answered in a Content-Encoding that was not asked for")
            async for chunk in response.aiter_raw():
                document += chunk
                if len(document) > MAX_DOCUMENT:
                    raise KeysUnavailable(f"{host} answered with more than {MAX_DOCUMENT} bytes")
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        raise KeysUnavailable(f"{host} gave no answer: {type(error).__name__}") from None
    return bytes(document)
