"""The receivers in an app of Starlette or FastAPI, and the paths that senders post to."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any, NamedTuple

from starlette.routing import Mount

from ..asgi import OPTIONAL_SLASH
from ..receiver import WebhookReceiver
from ..signatures.scheme import secret_places

TOKEN = "path:-1"  # noqa: S105 - where it is
"""The place of a secret that is the last part of the URL's path. See `Scheme`."""


class Mounted(NamedTuple):
    """A receiver, and where it is in an app."""

    hooks: WebhookReceiver
    path: str
    """The path that a sender posts to, without a secret behind it."""


def receivers_in(app: object) -> list[Mounted]:
    """Return the receivers that an app has at a fixed path, in the order of its routes, each once."""
    found: dict[int, Mounted] = {}
    for each in _in_routes(app, ""):
        if "{" not in each.path:
            found.setdefault(id(each.hooks), each)
    return [*found.values()]


def unreached_in(app: object) -> list[Mounted]:
    """Return the receivers that an app has at no fixed path, but at one with a parameter that only a sender knows."""
    reached = {id(each.hooks) for each in receivers_in(app)}
    return [each for each in _in_routes(app, "") if id(each.hooks) not in reached]


def all_in(app: object) -> list[Mounted]:
    """Return all receivers in an app, also those at a path with a parameter; none for what is no app."""
    if isinstance(app, type | ModuleType):
        return []
    return [*receivers_in(app), *unreached_in(app)]


def every_receiver() -> list[WebhookReceiver]:
    """Return all receivers of this process, whether an app has them at a path or not."""
    return [each for each in gc.get_objects() if issubclass(type(each), WebhookReceiver)]


def _in_routes(app: object, prefix: str) -> Iterator[Mounted]:
    routes: Sequence[Any] | None = getattr(app, "routes", None)
    if routes is None:
        if (wrapped := getattr(app, "app", None)) is not None:  # inside a middleware
            yield from _in_routes(wrapped, prefix)
        return
    for route in routes:
        path, inner = _place(route, prefix)
        if not isinstance(inner, WebhookReceiver):
            yield from _in_routes(inner, path)
            continue
        before, _, last = path.rpartition("/")
        if last.startswith("{") and TOKEN in secret_places(inner.sender.scheme):
            path = before  # the scheme puts its secret behind it
        yield Mounted(inner, f"{path}/" if isinstance(route, Mount) else path)


def _place(route: Any, prefix: str) -> tuple[str, object]:
    """Return the path of a route, and the app or router that is there."""
    if (included := getattr(route, "include_context", None)) is not None:  # FastAPI's,
        return prefix + included.prefix, route.original_router
    path: str = getattr(route, "path", "")
    return prefix + path.replace(OPTIONAL_SLASH, ""), _unwrapped(getattr(route, "app", None))


def _unwrapped(app: object) -> object:
    """Return the app inside the middleware of a route."""
    while not isinstance(app, WebhookReceiver) and not hasattr(app, "routes") and hasattr(app, "app"):
        app = getattr(app, "app")  # noqa: B009 - of whatever type it is
    return app
