"""Bearer tokens for requests to UP42's API.

No maintained library does this for an async client. httpx-auth (0.23) asks for the token with a synchronous client
while the event loop waits, and pins httpx. Authlib (1.9) waits properly, but renews a password's token only by refresh
tokens, does nothing on a 401, and is leaving httpx. Hence this small `httpx.Auth`.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Callable
from typing import Annotated, Protocol

import httpx
from httpx_retries import Retry, aretry_request
from pydantic import AfterValidator, BaseModel, Field, NonNegativeFloat, SecretStr, TypeAdapter

from ...errors import ApiError, ConfigurationError
from . import api_errors
from .models import CLIENT_ID

EARLY = 30.0
"""Seconds before its expiry that a token is renewed, as UP42's SDK does; a short-lived one at half of its life."""


class Access(Protocol):
    """The authentication of requests, and the secrets that no message may repeat."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """All the secrets in use."""
        ...

    def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Authenticate a request: yield it with a token, and again with a new token after a 401."""
        ...


def _sendable(token: SecretStr) -> SecretStr:
    # httpx would reject another one with an error that shows it.
    if not re.fullmatch(r"[\x21-\x7e]+", token.get_secret_value()):
        raise ValueError("a token has no spaces, ends of lines, or characters beyond ASCII")
    return token


class _Granted(BaseModel, hide_input_in_errors=True):
    """A token endpoint's response (docs; RFC 6749 section 5.1)."""

    access_token: Annotated[SecretStr, AfterValidator(_sendable)]
    expires_in: NonNegativeFloat = Field(300, allow_inf_nan=False)
    """The token's lifetime, in seconds."""


_GRANTED = TypeAdapter(_Granted)


class TokenAccess(httpx.Auth):
    """Access with a given token, which is not renewed.

    Raises:
        ConfigurationError: the text cannot be a token.
    """

    def __init__(self, token: SecretStr) -> None:
        try:
            self._token = _sendable(token)
        except ValueError as error:
            raise ConfigurationError(f"UP42_TOKEN: {error}") from None

    @property
    def secrets(self) -> tuple[str, ...]:
        return (self._token.get_secret_value(),)

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        _bear(request, self._token)
        yield request


class PasswordAccess(httpx.Auth):
    """Access with tokens obtained for a user name and a password, by the grant `password` (docs, SDK).

    A token is obtained for the first request, again before it expires, and again when a request with it is rejected;
    requests that need it at the same time share one call. As in UP42's SDK, each call has the password.

    Args:
        http: the client that obtains tokens.
        url: the URL of the token endpoint.
        username: the user's name.
        password: the user's password.
        retry: the retries of a failed request for a token; it changes nothing, so that a POST may be repeated, too.
        clock: returns the time of a monotonic clock, in seconds.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        url: str,
        username: str,
        password: SecretStr,
        retry: Retry,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._http = http
        self._url = url
        self._username = username
        self._password = password
        self._retry = retry.copy_with(allowed_methods=["POST"])
        self._clock = clock
        self._asking = asyncio.Lock()
        self._token: SecretStr | None = None
        self._renew_at = 0.0
        self._asked = 0
        self._failure: ApiError | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        known = (self._password, self._token)
        return tuple(each.get_secret_value() for each in known if each is not None)

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        token = await self._current()
        _bear(request, token)
        response = yield request
        if response.status_code == 401:
            await response.aread()  # which returns its connection before another is used
            _bear(request, await self._current(rejected=token))
            yield request

    async def _current(self, rejected: SecretStr | None = None) -> SecretStr:
        """Return a token that is valid for a while, other than the one that was rejected."""
        asked = self._asked
        async with self._asking:
            if self._failure is not None and self._asked != asked:
                raise self._failure  # of the call that was waited for: not each request tries a wrong password
            token = self._token
            if token is None or token is rejected or self._clock() >= self._renew_at:
                token = await self._renewed()
            return token

    async def _renewed(self) -> SecretStr:
        asked_at = self._clock()
        try:
            granted = await self._ask()
            self._failure = None
        except ApiError as error:
            self._failure = error
            raise
        finally:
            self._asked += 1
        self._token = granted.access_token
        self._renew_at = asked_at + granted.expires_in - min(EARLY, granted.expires_in / 2)
        return self._token

    async def _ask(self) -> _Granted:
        form = {
            "grant_type": "password",
            "client_id": CLIENT_ID,
            "username": self._username,
            "password": self._password.get_secret_value(),
        }
        try:
            response = await aretry_request(self._http, "POST", self._url, retry=self._retry, auth=None, data=form)
        except httpx.HTTPError as error:
            raise api_errors.no_response("POST", self._url, error) from error
        return api_errors.read(response, _GRANTED, enveloped=False, secrets=self.secrets)


def _bear(request: httpx.Request, token: SecretStr) -> None:
    request.headers["Authorization"] = f"Bearer {token.get_secret_value()}"
