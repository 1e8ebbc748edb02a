"""The receivers in an app of Starlette, FastAPI or Litestar, and the paths that senders post to."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any, NamedTuple

from starlette.middleware.httpsredirect import HTTPSRedirectMiddleware
from starlette.routing import Host, Match, Mount

from ..asgi import OPTIONAL_SLASH
from ..receiver import WebhookReceiver
from ..signatures.scheme import secret_places

TOKEN = "path:-1"  # noqa: S105 - where it is
"""The place of a secret that is the last part of the URL's path. See `Scheme`."""

_NO_ROUTE = "405, or 404: no route takes it"
_TO_HTTPS = "a redirect to https, wherever the server takes a request for one by http, as behind a proxy that ends TLS"


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


def instead_of(app: object, hooks: WebhookReceiver) -> tuple[str, str] | None:
    """Return the path of a receiver that no POST reaches, and what answers there; None if one of its paths is reached.

    Routes are asked as the router does it; nothing is run. Of a path with a parameter nothing is known.
    """
    places = [each for each in _in_routes(app, "") if each.hooks is hooks]
    if any("{" in each.path for each in places) or TOKEN in secret_places(hooks.sender.scheme):
        return None
    answers = {each.path: _answer(app, hooks, _post(each.path)) for each in places}
    return None if None in answers.values() else next(((path, str(what)) for path, what in answers.items()), None)


def _post(path: str) -> dict[str, Any]:
    about = {"type": "http", "method": "POST", "scheme": "http", "http_version": "1.1", "query_string": b""}
    return {**about, "path": path, "raw_path": path.encode(), "root_path": "", "headers": [], "path_params": {}}


def _answer(app: Any, hooks: WebhookReceiver, scope: dict[str, Any]) -> str | None:
    """Return what answers a request in place of a receiver; None if the receiver does."""
    while not isinstance(app, WebhookReceiver) and not hasattr(app, "routes") and hasattr(app, "app"):
        if isinstance(app, HTTPSRedirectMiddleware):
            return _TO_HTTPS
        app = app.app
    if app is hooks:
        return None
    if HTTPSRedirectMiddleware in [each.cls for each in getattr(app, "user_middleware", ())]:
        return _TO_HTTPS
    if (of_litestar := getattr(app, "asgi_router", None)) is not None:
        return _answer_of_litestar(of_litestar, hooks, scope)
    for route in getattr(app, "routes", ()):
        if isinstance(route, Host):  # nobody knows for which name a sender asks
            if any(each.hooks is hooks for each in _in_routes(route.app, "")):
                return None
            continue
        match, inner = route.matches(scope)
        if match is not Match.FULL:
            continue
        if (router := getattr(route, "original_router", None)) is not None:  # FastAPI's, which asks it itself
            is_there = any(each.hooks is hooks for each in _in_routes(router, ""))
        else:
            is_there = any(each.hooks is hooks for each in [*_in_routes(_Routes([route]), "")])
            if is_there:
                return _answer(route.app, hooks, {**scope, **inner})
        return None if is_there else f"the route {getattr(route, 'path', '')!r} before the receiver's"
    return _NO_ROUTE


def _answer_of_litestar(router: Any, hooks: WebhookReceiver, scope: dict[str, Any]) -> str | None:
    path = scope["path"].removeprefix(scope["root_path"])
    try:
        _, handler, rest, *_ = router.handle_routing(path=path, method=scope["method"])
    except Exception:  # of Litestar's, for a path or a method that it does not have
        return _NO_ROUTE
    inner = _unwrapped(handler.fn)
    if inner is hooks or any(each.hooks is hooks for each in _in_routes(inner, "")):
        return _answer(inner, hooks, {**scope, "path": rest, "root_path": ""})
    return f"the route {min(handler.paths)!r} before the receiver's"


def every_receiver() -> list[WebhookReceiver]:
    """Return all receivers of this process, whether an app has them at a path or not."""
    return [each for each in gc.get_objects() if issubclass(type(each), WebhookReceiver)]


class _Routes(NamedTuple):
    """Some routes of an app."""

    routes: Sequence[Any]


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


def part_at(route: object) -> object:
    """Return the app, router or receiver at a route; None if there is none."""
    return _place(route, "")[1]


def _place(route: Any, prefix: str) -> tuple[str, object]:
    """Return the path of a route, and the app or router that is there."""
    if (included := getattr(route, "include_context", None)) is not None:  # FastAPI's,
        return prefix + included.prefix, route.original_router
    path: str = getattr(route, "path", "")
    handler = getattr(route, "route_handler", None)  # Litestar's
    return prefix + path.replace(OPTIONAL_SLASH, ""), _unwrapped(getattr(route, "app", getattr(handler, "fn", None)))


def _unwrapped(app: object) -> object:
    """Return the app inside the middleware of a route."""
    while not isinstance(app, WebhookReceiver) and not hasattr(app, "routes") and hasattr(app, "app"):
        app = getattr(app, "app")  # noqa: B009 - of whatever type it is
    return app
