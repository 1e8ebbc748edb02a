"""What proves to a provider's API who is asking: a key or token in a header, or a token that OAuth 2.0 grants."""

from __future__ import annotations

import re
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple, Protocol

from pydantic import BaseModel, NonNegativeFloat, SecretStr, ValidationError

from ...errors import ApiError, ConfigurationError
from ...signatures.http_get import checked_url

EARLY = 30.0
"""Seconds before its expiry that a token is renewed; a short-lived one at half of its life."""


class Header(NamedTuple):
    """A header of a request."""

    name: str
    value: str


class Answer(NamedTuple):
    """A response to a form."""

    status: int
    content: bytes
    retry_after: float | None = None
    """The seconds that its `Retry-After` asks to wait; None without one."""


Post = Callable[[str, Mapping[str, str], Mapping[str, str]], Awaitable[Answer]]
"""A function that posts a form: of a URL, the fields and the headers."""


class Access(Protocol):
    """The proof in requests, and the secrets that no message may repeat."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """All the secrets in use."""
        ...

    async def proof(self, post: Post) -> Header:
        """Return the header that proves who is asking.

        Args:
            post: the function by which a token can be asked for.

        Raises:
            ApiError: there is no token.
        """
        ...

    def rejected(self) -> bool:
        """Note that the API answered 401 to the proof, and return whether there may be another one."""
        ...


class KeyAccess:
    """Access with a key or a token that stays the same.

    Args:
        secret: the key or token.
        header: the header's name.
        scheme: the word before the secret; none for the secret alone.
        name: the argument that the secret was given as, for the error.

    Raises:
        ConfigurationError: the text cannot be in a header.
    """

    def __init__(
        self, secret: str, *, header: str = "Authorization", scheme: str = "Bearer", name: str = "token"
    ) -> None:
        self._secret = _sendable(secret, name)
        self._header = Header(header, f"{scheme} {self._secret}" if scheme else self._secret)

    @property
    def secrets(self) -> tuple[str, ...]:
        return (self._secret,)

    async def proof(self, post: Post) -> Header:
        return self._header

    def rejected(self) -> bool:
        return False


class _Granted(BaseModel, hide_input_in_errors=True):
    """A token endpoint's response (RFC 6749, section 5.1)."""

    access_token: SecretStr
    expires_in: NonNegativeFloat = 300.0


class OAuth2:
    """Access with tokens that an OAuth 2.0 token endpoint grants (RFC 6749).

    A token is obtained for the first request, again before it ends, and again after a 401.

    Args:
        token_url: the URL of the token endpoint, of https or of this machine.
        client_id: the client's id.
        client_secret: the client's secret, which is sent by HTTP Basic; None for a public client.
        form: the fields of the form beside `client_id`: the grant, `client_credentials` if it is not there, and what
            belongs to it.
        clock: returns the time of a monotonic clock, in seconds.

    Raises:
        ConfigurationError: the URL is none of these.
    """

    def __init__(
        self,
        token_url: str,
        client_id: str,
        client_secret: str | None = None,
        *,
        form: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = checked_url("token_url", token_url)
        self._form = {"grant_type": "client_credentials", **(form or {})}
        self._headers: dict[str, str] = {}
        if client_secret is None:
            self._form["client_id"] = client_id
        else:
            self._headers["authorization"] = "Basic " + b64encode(f"{client_id}:{client_secret}".encode()).decode()
        self._client_secret = client_secret
        self._clock = clock
        self._token: str | None = None
        self._renew_at = 0.0

    @property
    def secrets(self) -> tuple[str, ...]:
        known = (self._client_secret, self._token, self._form.get("password"), self._form.get("refresh_token"))
        return tuple(each for each in known if each)

    async def proof(self, post: Post) -> Header:
        if self._token is None or self._clock() >= self._renew_at:
            asked_at = self._clock()
            status, content, retry_after = await post(self._url, self._form, self._headers)
            if status != 200:
                hint = ": the credentials were rejected" if status in (400, 401, 403) else ""
                raise ApiError(f"the token endpoint answered {status}{hint}", status=status, retry_after=retry_after)
            try:
                granted = _Granted.model_validate_json(content)
                self._token = _sendable(granted.access_token.get_secret_value(), "the token")
            except (ValidationError, ConfigurationError):
                raise ApiError("the token endpoint's response has no token that can be sent", status=status) from None
            self._renew_at = asked_at + granted.expires_in - min(EARLY, granted.expires_in / 2)
        return Header("Authorization", f"Bearer {self._token}")

    def rejected(self) -> bool:
        self._token = None
        return True


def _sendable(secret: str, name: str) -> str:
    # httpx would reject another one with an error that shows it.
    if not isinstance(secret, str) or not re.fullmatch(r"[\x21-\x7e]+", secret):
        raise ConfigurationError(f"{name} is a text without spaces, ends of lines, or characters beyond ASCII")
    return secret
