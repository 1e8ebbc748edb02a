"""Receivers are found in apps of every make that `dev` serves, at the paths that are really theirs."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from litestar import Litestar, asgi
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Host, Mount, Route, Router
from starlette.types import ASGIApp

from webhook_receiver import WebhookReceiver
from webhook_receiver.cli.mounted import every_receiver, receivers_in, unreached_in
from webhook_receiver.cli.serve import beside_health
from webhook_receiver.delivery import RequestHead
from webhook_receiver.senders.catalogue import skyfi

MakeApp = Callable[[WebhookReceiver], ASGIApp]


def fastapi_with(hooks: WebhookReceiver) -> FastAPI:
    app = FastAPI()
    inner, outer = APIRouter(prefix="/of-its-own", routes=[hooks.route("/in")]), APIRouter(prefix="/outer")
    outer.include_router(inner, prefix="/inner")
    app.include_router(outer, prefix="/api")
    return app


def mounted_in_fastapi(hooks: WebhookReceiver) -> FastAPI:
    app = FastAPI()
    app.mount("/hooks", hooks)
    return app


def litestar(path: str, app: ASGIApp, *, is_mount: bool = True) -> ASGIApp:
    # Its own configuration of logs would set up the root logger for all tests that follow.
    return cast("ASGIApp", Litestar([asgi(path, is_mount=is_mount, copy_scope=True)(app)], logging_config=None))


APPS: dict[str, MakeApp] = {
    "a route": lambda hooks: Starlette(routes=[hooks.route("/webhooks")]),
    "a route at the root": lambda hooks: Starlette(routes=[hooks.route("/")]),
    "a mount": lambda hooks: Starlette(routes=[Mount("/webhooks", hooks)]),
    "a mounted app": lambda hooks: Starlette(routes=[Mount("/a", Starlette(routes=[hooks.route("/b/")]))]),
    "a router": lambda hooks: Router([Mount("/a", routes=[Mount("/b", routes=[hooks.route("/c")])])]),
    "a plain route": lambda hooks: Starlette(routes=[Route("/plain", hooks)]),
    "middleware round the app": lambda hooks: CORSMiddleware(Starlette(routes=[hooks.route("/webhooks")])),
    "middleware of the app": lambda hooks: Starlette(
        routes=[hooks.route("/webhooks")], middleware=[Middleware(CORSMiddleware)]
    ),
    "middleware of a mount": lambda hooks: Starlette(
        routes=[Mount("/a", hooks, middleware=[Middleware(CORSMiddleware)])]
    ),
    "FastAPI's routes": lambda hooks: FastAPI(routes=[hooks.route("/webhooks")]),
    "FastAPI's mount": mounted_in_fastapi,
    "FastAPI's routers": fastapi_with,
    "Litestar's mount": lambda hooks: litestar("/webhooks", hooks),
    "a route of Litestar's": lambda hooks: litestar("/webhooks", hooks, is_mount=False),
    "an app in Litestar": lambda hooks: litestar("/a", Starlette(routes=[hooks.route("/b")])),
    "middleware in Litestar": lambda hooks: litestar("/a", CORSMiddleware(hooks)),
    "Litestar in an app": lambda hooks: Starlette(routes=[Mount("/a", litestar("/b", hooks))]),
}


@pytest.mark.parametrize("make", [pytest.param(make, id=name) for name, make in APPS.items()])
async def test_a_receiver_is_found_where_it_answers(make: MakeApp) -> None:
    hooks = WebhookReceiver(secret="try-me")
    app = make(hooks)
    (found,) = receivers_in(app)
    assert found.hooks is hooks
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://host") as client:
        response = await client.post(found.path, content=b"{}")
    assert (response.status_code, dict(hooks.rejected)) == (401, {"MissingSignature": 1})


TOKEN = "a-secret-path-for-tests"
BELOW: dict[str, Callable[[WebhookReceiver], ASGIApp]] = {
    "a route": lambda hooks: Starlette(routes=[hooks.route("/webhooks/{token}")]),
    "a route at the root": lambda hooks: Starlette(routes=[hooks.route("/{secret}")]),
    "a mounted app": lambda hooks: Starlette(routes=[Mount("/a", Starlette(routes=[hooks.route("/b/{token}")]))]),
    "FastAPI's routes": lambda hooks: FastAPI(routes=[hooks.route("/webhooks/{token}")]),
    "serve": lambda hooks: beside_health(hooks, "/webhooks"),
    "serve with a path": lambda hooks: beside_health(hooks, "/webhooks/{token}"),
    "serve at the root": lambda hooks: beside_health(hooks, "/"),
}


@pytest.mark.parametrize("make", [pytest.param(make, id=name) for name, make in BELOW.items()])
async def test_a_receiver_whose_secret_is_in_the_path_is_found_where_its_scheme_signs(make: MakeApp) -> None:
    hooks = WebhookReceiver(sender=skyfi(TOKEN))
    app = make(hooks)
    (found,) = receivers_in(app)
    head = hooks.sender.scheme.sign(RequestHead.of({}, target=found.path or "/"), b"{}", 0)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://host") as client:
        response = await client.post(head.target.decode(), content=b"{}")
        stranger = await client.post(f"{found.path}/another-token-of-somebody", content=b"{}")
    assert (response.status_code, stranger.status_code) == (200, 401)


@pytest.mark.parametrize("path", ["/{tenant}/{token}", "/{token}/webhooks"])
def test_a_path_with_more_to_fill_in_than_the_secret_is_none(path: str) -> None:
    assert receivers_in(Starlette(routes=[WebhookReceiver(sender=skyfi(TOKEN)).route(path)])) == []


def test_receivers_come_in_the_order_of_the_routes_and_each_once() -> None:
    one, two = WebhookReceiver(secret="1"), WebhookReceiver(secret="2")
    app = Starlette(routes=[two.route("/two"), Mount("/a", routes=[one.route("/one")]), two.route("/again")])
    assert [(each.hooks, each.path) for each in receivers_in(app)] == [(two, "/two"), (one, "/a/one")]


def test_a_path_that_a_sender_could_not_fill_in_and_apps_without_routes_have_none() -> None:
    hooks = WebhookReceiver(secret="try-me")
    host = Host("{tenant}.example.com", Starlette(routes=[hooks.route("/{tenant}/webhooks")]))
    for app in (Starlette(routes=[host]), Starlette(), object(), None):
        assert receivers_in(app) == []


def test_every_receiver_is_known_also_one_that_is_at_no_path() -> None:
    hooks = WebhookReceiver(secret="try-me")
    assert any(each is hooks for each in every_receiver())


@pytest.mark.parametrize("path", ["/of/{tenant}", "/{tenant}/{token}", "/{tenant}/webhooks"])
def test_a_receiver_at_a_path_with_a_parameter_is_told_apart(path: str) -> None:
    fixed, open_ = WebhookReceiver(secret="1"), WebhookReceiver(secret="2")
    app = Starlette(routes=[fixed.route("/in"), open_.route(path), fixed.route("/also/{tenant}")])
    assert [each.hooks for each in receivers_in(app)] == [fixed]
    assert [(each.hooks, each.path) for each in unreached_in(app)] == [(open_, path)]
