"""Requests to the APIs of imagery providers: JSON, bounded in time and size; each failure is an `ApiError`.

A connection is opened for each call of a source, so that a source has no state and nothing to close. Redirects are not
followed, and links to next pages only to the same host: both would give the credentials away.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote

import httpx

from ...errors import ApiError, ConfigurationError
from ...signatures.http_get import is_loopback
from ..source import retry_after
from .access import Access, Answer

MOST_OF_A_RESPONSE = 32 * 1024 * 1024
"""Number of bytes of a response, at most."""
_MOST_OF_A_MESSAGE = 300  # characters of what an API says about an error

_HINTS = {
    401: "the credentials were rejected",
    403: "these credentials do not allow it",
    404: "there is no such thing: check the address and the id",
    429: "too many requests",
}

Query = Mapping[str, str | int | list[str]]
"""The parameters of a query."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Api:
    """A provider's API, and the access to it.

    Raises:
        ConfigurationError: the address is none of https, or of http to this machine, or the time-out is no time.
    """

    url: str
    """The address, without the "/" at its end."""
    access: Access
    """What proves to the API who is asking."""
    timeout: float = 60.0
    """Seconds for one request and its whole response."""
    retry_after_unit: float = 1.0
    """The seconds that 1 in the API's `Retry-After` stands for."""

    def __post_init__(self) -> None:
        try:
            url = httpx.URL(self.url)
        except (httpx.InvalidURL, TypeError):
            url = httpx.URL("")
        if url.scheme != "https" and not (url.scheme == "http" and is_loopback(url.host)):
            here = f", not one of {url.scheme} at {url.host}" if url.host else ""
            raise ConfigurationError(f"url is an address of https, such as https://api.example.com{here}")
        if url.userinfo:
            raise ConfigurationError("url has a user name or password in it, which errors would show")
        if url.query or url.fragment or "?" in self.url or "#" in self.url:
            raise ConfigurationError(
                f"url is an address to which paths are added, without a query or a fragment (? or #): {url.scheme}://"
                f"{url.host} and a path"
            )
        seconds: object = self.timeout
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < float("inf"):
            raise ConfigurationError(f"timeout is a number of seconds above 0, not {self.timeout!r}")

    def __repr__(self) -> str:
        url = httpx.URL(self.url)  # whose path may hold a secret
        return f"<Api at {url.scheme}://{url.host}>"

    @asynccontextmanager
    async def connected(self) -> AsyncGenerator[Connection]:
        """Yield a connection, which is closed at the end.

        Raises:
            ConfigurationError: the environment's proxy or certificates cannot be used.
        """
        trust = not is_loopback(httpx.URL(self.url).host)
        try:
            client = httpx.AsyncClient(
                timeout=self.timeout, verify=_certificates(), trust_env=trust, follow_redirects=False
            )
        except (ImportError, OSError, ValueError) as error:
            raise ConfigurationError(f"the environment's proxy or certificates cannot be used: {error}") from None
        async with client:
            yield Connection(self, client)


class Connection:
    """A connection to an API.

    Args:
        api: the API.
        client: the client, which is open.
    """

    def __init__(self, api: Api, client: httpx.AsyncClient) -> None:
        self._api = api
        self._client = client
        self._told: datetime | None = None

    def earlier(self, now: datetime) -> datetime:
        """Return a time, or the API's own of its last response if that is earlier (`Date`, RFC 9110, section 6.6.1)."""
        return now if self._told is None else min(now, self._told)

    async def get(self, place: str, query: Query | None = None) -> Any:
        """Return the JSON at a path of the API, or at a URL that `same_host` returned.

        Args:
            place: the path, such as "/orders", or the URL.
            query: the parameters of the query.

        Raises:
            ApiError: there is no response in time, or one that is no success, not JSON, or too large.
        """
        return await self._call("GET", place, query, None)

    async def post(self, place: str, query: Query | None = None, body: object = None) -> Any:
        """Return the JSON of the response to a document, as `get` does. It is sent again only with another token.

        Args:
            place: the path, or the URL.
            query: the parameters of the query.
            body: the document; None for an empty body.
        """
        return await self._call("POST", place, query, body)

    def same_host(self, link: object) -> str | None:
        """Return the URL of a link of the API, with the scheme and port of the API's address; None if there is none.

        An API behind a proxy may tell the wrong ones of these two.

        Args:
            link: the link, absolute or relative to the API's address.

        Raises:
            ApiError: it leads to another host.
        """
        if not link:
            return None
        if not isinstance(link, str):
            raise ApiError(f"{httpx.URL(self._api.url).host}: the link to the next page is no text")
        here = httpx.URL(self._api.url)
        try:
            there = here.join(link)
        except (httpx.InvalidURL, UnicodeError):
            raise ApiError(f"{here.host}: the link to the next page is no URL") from None
        if there.host != here.host or there.userinfo:
            raise ApiError(f"{here.host}: the next page is at {there.host[:100]!r}, which is not asked: check url")
        return str(there.copy_with(scheme=here.scheme, port=here.port))

    async def _call(self, method: str, place: str, query: Query | None, body: object) -> Any:
        url = place if "://" in place else self._api.url + place
        where = self._where(method, url)
        access = self._api.access
        params = None if query is None else cast("dict[str, Any]", query)

        async def asked() -> tuple[httpx.Response, bytes]:
            proof = await access.proof(self._post)
            request = self._client.build_request(method, url, params=params, json=body, headers=[proof])
            return await self._send(request, where)

        response, content = await asked()
        if response.status_code == 401 and access.rejected():
            response, content = await asked()
        return self._document(response, content, where)

    async def _post(self, url: str, form: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
        request = self._client.build_request("POST", url, data=form, headers=headers)
        response, content = await self._send(request, self._where("POST", url))
        return Answer(response.status_code, content, self._wait(response))

    async def _send(self, request: httpx.Request, where: str) -> tuple[httpx.Response, bytes]:
        """Return the response to a request, and its whole body.

        Raises:
            ApiError: there is no response in time, or one that is too large.
        """
        request.headers["accept"] = "application/json"
        request.headers["accept-encoding"] = "identity"  # compressed, a small response may become a large one at once
        try:
            async with asyncio.timeout(self._api.timeout):
                response = await self._client.send(request, stream=True)
                self._told = _date(response) or self._told
                try:
                    return response, await _bounded(response, where)
                finally:
                    await response.aclose()
        except (TimeoutError, httpx.TimeoutException):
            raise ApiError(f"{where}: no response within {self._api.timeout:g} s") from None
        except httpx.HTTPError as error:
            said = _without(error, self._api) or type(error).__name__
            raise ApiError(f"{where}: {said}: is it up, and is the address right?") from None

    def _wait(self, response: httpx.Response) -> float | None:
        """Return the seconds that a `Retry-After` asks to wait; its numbers are in the API's unit."""
        value = response.headers.get("retry-after", "")
        seconds = retry_after(value, time.time())
        return seconds if seconds is None or not value.strip().isdigit() else seconds * self._api.retry_after_unit

    def _where(self, method: str, url: str) -> str:
        """Return what was asked, without the query and the path of the API's address, which may hold a secret."""
        asked = httpx.URL(url)
        return f"{method} {asked.path.removeprefix(httpx.URL(self._api.url).path.rstrip('/'))} at {asked.host}"

    def _document(self, response: httpx.Response, content: bytes, where: str) -> Any:
        """Return the JSON of a response.

        Raises:
            ApiError: it is no success, or not JSON.
        """
        status = response.status_code
        phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else ""
        what = f"{where}: {status} {phrase}".rstrip()
        if response.has_redirect_location:
            raise ApiError(f"{what}: redirects are not followed: check url", status=status)
        document: Any = None
        wrong = ""
        try:
            document = json.loads(content) if content.strip() else None
        except (ValueError, RecursionError):
            html = "html" in response.headers.get("content-type", "")
            wrong = "the response is HTML and not JSON; is there a proxy in between?" if html else "it is not JSON"
        if response.is_success and not wrong:
            return document
        said = _without(_message(document), self._api)[:_MOST_OF_A_MESSAGE]
        told = "; ".join(each for each in (said, _HINTS.get(status, ""), wrong) if each)
        raise ApiError(
            f"{what}: {told or 'it does not say why'}",
            status=status,
            retry_after=self._wait(response),
        )


@cache
def _certificates() -> ssl.SSLContext:
    """Return the certificates that are trusted. To read them takes longer than most requests, so it is done once."""
    return httpx.create_ssl_context()


def part_of_path(id: str) -> str:
    """Return an id as one part of a URL's path.

    Raises:
        ApiError: the id is none that an API could have.
    """
    if not id.strip("."):  # which lead elsewhere
        raise ApiError(f"there is no {id!r}", status=404)
    return quote(id, safe="", errors="replace")


async def _bounded(response: httpx.Response, where: str) -> bytes:
    if response.headers.get("content-encoding", "identity") != "identity":
        raise ApiError(f"{where}: the response has a Content-Encoding that was not asked for")
    content = bytearray()
    async for chunk in response.aiter_raw():
        content += chunk
        if len(content) > MOST_OF_A_RESPONSE:
            raise ApiError(f"{where}: the response has more than {MOST_OF_A_RESPONSE} bytes: ask for smaller pages")
    return bytes(content)


def _date(response: httpx.Response) -> datetime | None:
    """Return the time at which a response was made, as it says; None if it does not."""
    for text in response.headers.get_list("date")[-1:]:
        with suppress(ValueError, OverflowError):
            found = parsedate_to_datetime(text)
            return found if found.tzinfo else found.replace(tzinfo=UTC)
    return None


def _message(document: object, depth: int = 4) -> str:
    """Return what a document says about an error, in the forms that the providers use, RFC 9457 among them."""
    if isinstance(document, str) or depth == 0:
        return document if isinstance(document, str) else ""
    if isinstance(document, list):
        return "; ".join(filter(None, (_message(each, depth - 1) for each in cast("list[object]", document)[:3])))
    if not isinstance(document, dict):
        return ""
    fields = cast("dict[str, object]", document)
    names = ("message", "detail", "description", "title", "error_description", "error", "errors", "general")
    return next((found for name in names if (found := _message(fields.get(name), depth - 1))), "")


def _without(said: object, api: Api) -> str:
    """Return a text without the secrets that it may repeat, and without what cannot be printed."""
    text = str(said)
    for secret in api.access.secrets:
        if len(secret) > 3:  # a shorter one is in any text, and would be given away by the gaps
            text = text.replace(secret, "***")
    return "".join(each if each.isprintable() else " " for each in text)
