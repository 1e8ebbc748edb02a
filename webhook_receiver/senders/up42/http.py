"""Calls of UP42's API, with token, time-outs and retries, and the response read into a model."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Mapping
from typing import Any, TypeVar, cast

import httpx
from httpx_retries import Retry, aretry_request
from pydantic import BaseModel, SecretStr, TypeAdapter, ValidationError

from ...errors import ApiError, ConfigurationError
from . import api_errors, models
from .auth import Access, PasswordAccess, TokenAccess
from .models import Asset, Order, Page
from .settings import Settings, is_local

logger = logging.getLogger("webhook_receiver")

T = TypeVar("T")
Listed = TypeVar("Listed", Order, Asset)
Params = Mapping[str, Any]

RETRY = Retry(
    total=3, backoff_factor=0.25, max_backoff_wait=60, total_timeout=120, status_forcelist=[429, 500, 502, 503, 504]
)
"""The retries of failed calls: after up to 0.5, 1 and 2 s, or as `Retry-After` says, but at most 60 s each and 120 s in
all. GET, PUT and DELETE are repeated; a POST is not, since it could take effect twice."""


class _UserInfo(BaseModel):
    """The user info; `sub` is the default of the workspace's id (SDK)."""

    sub: str


_USER_INFO = TypeAdapter(_UserInfo)
_PAGE = TypeAdapter(Page[Any])
_MOST_LOGGED = 1000  # lines about what is left out


class Connection:
    """The connection of a client to the API.

    Args:
        settings: the API's address and the credentials.
        timeout: seconds to wait for a connection, for the response, and for each next part of it.
        retry: the retries of failed calls.

    Raises:
        ConfigurationError: the time-out, the token, or the environment's proxy or certificates cannot be used.
    """

    def __init__(self, settings: Settings, timeout: float, retry: Retry) -> None:
        seconds: object = timeout
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < float("inf"):
            raise ConfigurationError(f"timeout is a number of seconds above 0, not {timeout!r}")
        self._hosts = settings.hosts
        self._retry = retry
        self._workspace_id = settings.workspace_id
        self._asking = asyncio.Lock()
        self._logged: set[str] = set()
        self.local = is_local(self._hosts.api)
        try:
            httpx.URL(self._hosts.api)
            self._http = httpx.AsyncClient(timeout=timeout, trust_env=not self.local, follow_redirects=False)
        except httpx.InvalidURL as error:
            raise ConfigurationError(f"UP42_URL is not a URL: {error}") from None
        except (ImportError, OSError, ValueError) as error:
            raise ConfigurationError(f"the environment's proxy or certificates cannot be used: {error}") from None
        if settings.token:
            self._access: Access = TokenAccess(settings.token)
        else:
            user, password = settings.username or "", settings.password or SecretStr("")
            self._access = PasswordAccess(self._http, self._hosts.auth + models.TOKEN, user, password, retry)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._http.aclose()

    async def workspace_id(self) -> str:
        """Return the workspace's id: that of the settings, or else the user's own, which is requested once."""
        async with self._asking:
            if self._workspace_id is None:
                info = await self.call("GET", models.USER_INFO, _USER_INFO, host=self._hosts.auth, enveloped=False)
                self._workspace_id = info.sub
            return self._workspace_id

    async def call(
        self,
        method: str,
        path: str,
        shape: TypeAdapter[T],
        *,
        enveloped: bool = True,
        params: Params | None = None,
        body: Mapping[str, Any] | None = None,
        host: str | None = None,
    ) -> T:
        """Call the API, and return the content of the response.

        Args:
            method: the HTTP method.
            path: the path within the host.
            shape: the type of the content.
            enveloped: whether the content is in `data` of `{data, error}`, as for paths without a version (SDK).
            params: the parameters of the query; those that are None are left out.
            body: the object to send as JSON; no error repeats its `secret`.
            host: the host's URL; the API's if None.

        Raises:
            ApiError: there was no response, no success, or content of another type.
            ConfigurationError: a parameter cannot be in a URL.
        """
        response = await self.send(method, path, params=params, body=body, host=host)
        return api_errors.read(response, shape, enveloped=enveloped, secrets=self._secrets(body))

    async def send(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        body: Mapping[str, Any] | None = None,
        host: str | None = None,
    ) -> httpx.Response:
        """Call the API as `call` does, and return the response if it is a success."""
        url = (host or self._hosts.api) + path
        query = {name: value for name, value in (params or {}).items() if value is not None}
        try:
            response = await aretry_request(
                self._http, method, url, retry=self._retry, auth=self._access, params=query, json=body
            )
        except httpx.HTTPError as error:
            raise api_errors.no_response(method, url, error) from error
        except (httpx.InvalidURL, UnicodeError) as error:
            raise ConfigurationError(f"{method} {path[:100]}: an argument cannot be in a URL: {error}") from None
        api_errors.check(response, self._secrets(body))
        return response

    async def pages(self, path: str, shape: TypeAdapter[Listed], params: Params, size: int) -> AsyncGenerator[Listed]:
        """Yield the items of all pages of a list; each page is requested when it is needed.

        The list may change meanwhile: items met again are left out, unless they were changed since. The last page is
        one without a new item, whatever `totalPages` says, or else the last of `totalPages` that is not full.

        Args:
            path: the path of the list.
            shape: the type of an item; what is none is left out, and logged once.
            params: the parameters of the query.
            size: the number of items on a page.

        Raises:
            ApiError: there was no page, or nothing that is an item among what was on them.
        """
        seen: set[object] = set()
        odd, is_any, number = "", False, 0
        while True:
            page = await self.call("GET", path, _PAGE, enveloped=False, params={**params, "page": number, "size": size})
            is_new = False
            for entry in page.content:
                try:
                    item = shape.validate_python(entry)
                except ValidationError as error:
                    item, odd = None, self._left_out(path, entry, error)
                key = json.dumps(entry, sort_keys=True) if item is None else (item.id, item.updated_at)
                if key in seen:
                    continue
                seen.add(key)
                is_new = True
                if item is not None:
                    is_any = True
                    yield item
            number += 1
            if not is_new or (number >= page.total_pages and len(page.content) < size):
                break
        if odd and not is_any:
            raise ApiError(odd)

    def _left_out(self, path: str, entry: object, error: ValidationError) -> str:
        """Return why something on a page is left out, and log it once: a listing tells it again and again."""
        id: object = cast("dict[str, object]", entry).get("id") if isinstance(entry, dict) else None
        what = f"{id!r}"[:100] if isinstance(id, str | int) else "what has no id"
        line = f"GET {path}: {what} is left out, which is not as expected: {api_errors.reasons_of(error)}"
        if line not in self._logged and len(self._logged) < _MOST_LOGGED:
            self._logged.add(line)
            logger.warning("%s", line)
        return line

    def _secrets(self, body: Mapping[str, Any] | None) -> tuple[str, ...]:
        """Return the texts that no error may repeat: credentials, and the secret in the body sent."""
        secret = (body or {}).get("secret")
        return (*self._access.secrets, *([secret] if secret else []))
