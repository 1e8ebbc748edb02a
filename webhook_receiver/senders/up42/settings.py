"""The address of UP42's API and the credentials: from arguments, or else from UP42_* in the environment."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from ...errors import ConfigurationError
from ...signatures.secrets import is_utf8
from .models import Hosts, Region

_OVERRIDES = {
    "token": ("username", "password"),
    "username": ("token",),
    "password": ("token",),
    "url": ("region",),
    "region": ("url",),
}
"""The variables of the environment that each argument overrides, since they exclude each other."""


def is_local(url: str) -> bool:
    """Whether a URL's host is this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


class Settings(BaseSettings):
    """The address of the API and the credentials. The repr masks the password and the token."""

    model_config = SettingsConfigDict(
        env_prefix="UP42_", env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    username: str | None = None
    password: SecretStr | None = None
    token: SecretStr | None = None
    """A bearer token in place of user name and password; it is not renewed."""
    region: Region | None = None
    """The region; "eu" if neither `region` nor `url` is given."""
    url: str | None = None
    """The URL of a server that is both API and token endpoint, such as the simulator; in place of `region`."""
    workspace_id: str | None = None

    @classmethod
    def of(cls, **given: object) -> Self:
        """Return the settings of the arguments that are not None, and for the rest those of the environment.

        Raises:
            ConfigurationError: a setting is missing or not valid; the message names the variables.
        """
        named: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        overridden = {other: None for name in named for other in _OVERRIDES.get(name, ())}
        try:
            return cls(**(overridden | named))
        except ValidationError as error:
            raise ConfigurationError("; ".join(_message(each) for each in error.errors(include_input=False))) from None

    @property
    def hosts(self) -> Hosts:
        """The URLs of the API and of the token endpoint."""
        return Hosts.of(self.region or "eu") if self.url is None else Hosts.at(self.url)

    @field_validator("url", mode="after")
    @classmethod
    def _safe_to_ask(cls, url: str | None) -> str | None:
        if url is None:
            return None
        url = url.strip()  # as urlsplit does
        try:
            parts = urlsplit(url)
            parts.port  # noqa: B018 - raises where it is none
        except ValueError:
            parts = urlsplit("")
        if not parts.hostname or parts.scheme not in ("http", "https") or parts.query or parts.fragment:
            raise ValueError("is not of the form https://host")
        if parts.username is not None:
            raise ValueError("holds a user name: that goes into UP42_USERNAME and UP42_PASSWORD")
        if parts.scheme == "http" and not is_local(url):
            raise ValueError("must be https: the password and the token would go in clear over the network")
        return url

    @field_validator("username", "password", "token", "workspace_id", mode="after")
    @classmethod
    def _text(cls, text: str | SecretStr | None) -> str | SecretStr | None:
        if text is not None and not is_utf8(text if isinstance(text, str) else text.get_secret_value()):
            raise ValueError("has lone surrogates in it, which UTF-8 cannot hold")
        return text

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.token and (self.username or self.password):
            raise ValueError("UP42_TOKEN is in place of UP42_USERNAME and UP42_PASSWORD: give one or the other")
        if self.url and self.region:
            raise ValueError("UP42_URL is in place of UP42_REGION: give one or the other")
        if not self.token and not (self.username and self.password):
            missing = "UP42_PASSWORD" if self.username else "UP42_USERNAME" if self.password else ""
            raise ValueError(
                f"{missing} is missing: user name and password go together"
                if missing
                else "no credentials: set UP42_USERNAME and UP42_PASSWORD, or UP42_TOKEN"
            )
        return self


def _message(error: Any) -> str:
    where = "".join(f"UP42_{str(part).upper()}: " for part in error["loc"])
    return where + str(error["msg"]).removeprefix("Value error, ")
