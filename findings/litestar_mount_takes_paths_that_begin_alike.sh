#!/usr/bin/env bash
# What surprises: in Litestar an app that is mounted at /web also gets what is sent to /webhooks, for it compares the
# beginnings of paths, not their parts. Of two mounts the shorter one wins in whatever order they are registered, so an app
# that is mounted at /webhooks is never asked, and no error says so; nor where something is mounted at /. A mounted app sees
# a path without its first slash, such as "hooks/" or "a/". A route that is no mount keeps its path. In Starlette /web
# takes /web/ alone.
#
# What a receiver should do: look, before a deploy, which of the host's routes answers at its path, instead of trusting
# that a path of its own is enough; and not depend on the path that the host hands over.
#
# Measured with Litestar 2.25.0 and Starlette 1.10.0 on CPython 3.11. Fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check litestar==2.25.0 starlette==1.10.0 httpx==0.28.1
cat > "$work/probe.py" <<'PYTHON'
import asyncio
import logging
from importlib.metadata import version
from typing import Any

import httpx
from litestar import Litestar, asgi, post
from starlette.applications import Starlette
from starlette.routing import Mount


def named(name: str) -> Any:
    """Return an app that answers with its name, and the path that it sees."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = f"{name} {scope['path']}".encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    return app


def mounted(path: str) -> Any:
    return asgi(path, is_mount=True, copy_scope=True)(named(path))


@post("/webhooks")
async def route() -> str:
    return "a route"


async def asked(app: Any, path: str) -> str:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://host") as client:
        response = await client.post(path)
        return response.text if response.is_success else str(response.status_code)


logging.disable(logging.INFO)  # which Litestar turns on
litestar, starlette = (f"{name} {version(name)}" for name in ("litestar", "starlette"))
for first, second in (("/web", "/webhooks"), ("/webhooks", "/web")):
    app = Litestar([mounted(first), mounted(second)])
    found = {path: asyncio.run(asked(app, path)) for path in ("/web", "/webhooks", "/webhooks/a", "/other")}
    print(f"{litestar}, mounts at {first} and {second}: {found}")
    assert found == {"/web": "/web /", "/webhooks": "/web hooks/", "/webhooks/a": "/web hooks/a/", "/other": "404"}
found = {path: asyncio.run(asked(Litestar([mounted("/"), mounted("/webhooks")]), path)) for path in ("/webhooks",)}
print(f"{litestar}, mounts at / and /webhooks: {found}")
assert found == {"/webhooks": "/ webhooks/"}
found = {path: asyncio.run(asked(Litestar([mounted("/web"), route]), path)) for path in ("/webhooks",)}
print(f"{litestar}, a mount at /web and a route at /webhooks: {found}")
assert found == {"/webhooks": "a route"}
app = Starlette(routes=[Mount(path, named(path)) for path in ("/web", "/webhooks")])
found = {path: asyncio.run(asked(app, path)) for path in ("/web/", "/webhooks/")}
print(f"{starlette}, mounts at /web and /webhooks: {found}")
assert found == {"/web/": "/web /web/", "/webhooks/": "/webhooks /webhooks/"}
PYTHON
"$work/venv/bin/python" -W ignore "$work/probe.py"
