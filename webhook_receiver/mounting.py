"""Mounting: the route that a sender can post to, whichever way its URL was typed."""

from __future__ import annotations

from starlette.convertors import Convertor, register_url_convertor
from starlette.routing import Route
from starlette.types import ASGIApp

from .errors import ConfigurationError


class _OptionalSlash(Convertor[str]):
    regex = "/?"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("optional_slash", _OptionalSlash())


def slash_or_not(path: str, app: ASGIApp, *, name: str) -> Route:
    """Return a route to `app` at `path`, with and without a slash at its end, for every method.

    Raises:
        ConfigurationError: the path does not start with a slash.
    """
    if not path.startswith("/"):
        raise ConfigurationError(f"a route's path starts with a slash; {path!r} does not")
    stem = path.rstrip("/")
    return Route(f"{stem}{{_:optional_slash}}" if stem else "/", app, name=name)
