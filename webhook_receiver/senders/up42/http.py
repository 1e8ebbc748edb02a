"""Calls of the sender's API: each with its token, time-outs and retries, and its answer read into a model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any, TypeVar

import httpx
from httpx_retries import Retry, aretry_request
from pydantic import BaseModel, SecretStr, TypeAdapter

from ...errors import ConfigurationError
from . import api_errors, models
from .auth import Access, PasswordAccess, TokenAccess
from .models import Asset, Order, Page
from .settings import Settings, is_local

T = TypeVar("T")
Listed = TypeVar("Listed", Order, Asset)
Params = Mapping[str, Any]

RETRY = Retry(
    total=3, backoff_factor=0.25, max_backoff_wait=60, total_timeout=120, status_forcelist=[429, 500, 502, 503, 504]
)
"""How a failed call is repeated: after up to 0.5, 1 and 2 s, or what `Retry-After` says, of which 60 s at most are
waited, and 120 s in all. That is so for GET, PUT and DELETE; a POST is sent once, for it might do its work twice."""


class _UserInfo(BaseModel):
    """Who the token is for; `sub` is the default of the workspace id (SDK)."""

    sub: str


_USER_INFO = TypeAdapter(_UserInfo)


class Connection:
    """The connection that a client keeps to the API.

    Args:
        settings: where the API is, and who asks.
        timeout: seconds to wait for a connection, for the answer, and for each next part of it.
        retry: how failed calls are repeated.

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
        self.local = is_local(self._hosts.api)
        try:
            httpx.URL(self._hosts.api)
            self._http = httpx.AsyncClient(timeout=timeout, trust_env=not self.local, follow_redirects=False)
        except httpx.InvalidURL as error:
            raise ConfigurationError(f"UP42_URL is no URL: {error}") from None
        except (ImportError, OSError, ValueError) as error:
            raise ConfigurationError(f"the environment's proxy or certificates cannot be used: {error}") from None
        if settings.token:
            self._access: Access = TokenAccess(settings.token)
        else:
            user, password = settings.username or "", settings.password or SecretStr("")
            self._access = PasswordAccess(self._http, self._hosts.auth + models.TOKEN, user, password, retry)

    async def aclose(self) -> None:
        """Close it."""
        await self._http.aclose()

    async def workspace_id(self) -> str:
        """Return the workspace's id: the settings', else that of the user's own, which is asked for once."""
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
        """Call, and return what the answer says.

        Args:
            method: of HTTP.
            path: within the host.
            shape: what is answered.
            enveloped: whether that is in `data` of `{data, error}`, as it is where the path has no version (SDK).
            params: of the query; those that are None are left out.
            body: is sent as JSON; its `secret` is repeated in no error.
            host: the API's if None.

        Raises:
            ApiError: there was no answer, or not that.
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
        """Call as `call` does, and return the answer if it is a success."""
        url = (host or self._hosts.api) + path
        query = {name: value for name, value in (params or {}).items() if value is not None}
        try:
            response = await aretry_request(
                self._http, method, url, retry=self._retry, auth=self._access, params=query, json=body
            )
        except httpx.HTTPError as error:
            raise api_errors.no_answer(method, url, error) from error
        except (httpx.InvalidURL, UnicodeError) as error:
            raise ConfigurationError(f"{method} {path[:100]}: an argument cannot be in a URL: {error}") from None
        api_errors.check(response, self._secrets(body))
        return response

    async def pages(
        self, path: str, shape: TypeAdapter[Page[Listed]], params: Params, size: int
    ) -> AsyncGenerator[Listed]:
        """Yield what is on all pages of a list, each as it is needed.

        The list may change meanwhile, so what is met again is left out, unless it was changed since. It ends with a
        page that brings nothing new, whatever `totalPages` says; and not before one that is not full.
        """
        seen: set[object] = set()
        number = 0
        while True:
            page = await self.call("GET", path, shape, enveloped=False, params={**params, "page": number, "size": size})
            new = [each for each in page.content if (each.id, each.updated_at) not in seen]
            for each in new:
                yield each
            seen.update((each.id, each.updated_at) for each in new)
            number += 1
            if not new or (number >= page.total_pages and len(page.content) < size):
                return

    def _secrets(self, body: Mapping[str, Any] | None) -> tuple[str, ...]:
        """Return what no error may repeat: who asks, and what is in the body that was sent."""
        secret = (body or {}).get("secret")
        return (*self._access.secrets, *([secret] if secret else []))
