#!/usr/bin/env bash
# What surprises: a sender has sent all of its delivery and goes away before the answer, as each sender does whose
# time is up. The same async handler is run to its end by Starlette (so by FastAPI) and Falcon, and is ended half way,
# with CancelledError at the await where it happens to be, by Quart, Django's ASGI handler and Sanic. The server has
# no part in it: the first four run under one uvicorn. "except Exception" does not see it, and none of them logs it.
#
# What a receiver should do: keep nothing half. Commit a delivery by one await that either happens or does not, or run
# the work in a task of its own that the request only waits for (asyncio.shield, and a reference that is kept). A slow
# handler under the last three is not slow but cut: the sender sends again, its time is up again, and the end of the
# handler is never reached. And the other way round: under the first two a delivery that the sender counts as failed
# has been handled to its end, so that its repeat has to be known by its id.
#
# Measured with starlette 1.10.0, falcon 4.4.0, quart 0.22.0, django 5.2.19 under uvicorn 0.54.0 (h11 0.16.0), and
# sanic 25.12.1 under its own server, on CPython 3.11. Fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check starlette==1.10.0 falcon==4.4.0 quart==0.22.0 \
    django==5.2.19 uvicorn==0.54.0 h11==0.16.0 sanic==25.12.1
cat > "$work/apps.py" <<'PYTHON'
"""The same handler in five frameworks: it reads the body, works for a second, and writes down how far it came."""

import asyncio
import sys
from pathlib import Path

import django.conf
import falcon.asgi
import quart
import sanic
import starlette.requests
import starlette.responses
from django.core.asgi import get_asgi_application
from django.http import HttpResponse
from django.urls import path as django_path


def note(name: str, what: str) -> None:
    with Path(__file__).with_name(name + ".seen").open("a") as file:
        file.write(what + "\n")


async def handle(name: str, body: bytes) -> None:
    note(name, f"got {body!r}")
    try:
        await asyncio.sleep(1)
    except BaseException as error:
        note(name, f"ended by {type(error).__name__}")
        raise
    note(name, "came to its end")


async def with_starlette(scope, receive, send):
    await handle("starlette", await starlette.requests.Request(scope, receive).body())
    await starlette.responses.Response(status_code=204)(scope, receive, send)


class WithFalcon:
    async def on_post(self, request, response):
        await handle("falcon", await request.stream.read())


with_falcon = falcon.asgi.App()
with_falcon.add_route("/falcon", WithFalcon())
with_quart = quart.Quart("with_quart")


@with_quart.post("/quart")
async def quart_handler():
    await handle("quart", await quart.request.get_data())
    return "", 204


async def django_handler(request):
    await handle("django", request.body)
    return HttpResponse(status=204)


urlpatterns = [django_path("django", django_handler)]
django.conf.settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="unused", MIDDLEWARE=[])
APPS = {"/starlette": with_starlette, "/falcon": with_falcon, "/quart": with_quart, "/django": get_asgi_application()}


async def app(scope, receive, send):
    await APPS[scope["path"]](scope, receive, send)


if __name__ == "__main__":
    with_sanic = sanic.Sanic("with_sanic")

    @with_sanic.post("/sanic")
    async def sanic_handler(request):
        await handle("sanic", request.body)
        return sanic.empty()

    with_sanic.run("127.0.0.1", int(sys.argv[1]), single_process=True, access_log=False, motd=False)
PYTHON
cat > "$work/probe.py" <<'PYTHON'
import socket
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

UVICORN = ["-m", "uvicorn", "--http", "h11", "--lifespan", "off", "--port", "PORT", "apps:app"]
SERVERS = {"uvicorn": UVICORN, "sanic": ["apps.py", "PORT"]}
GOT, END, CUT = "got b'0123456789'", "came to its end", "ended by CancelledError"
EXPECTED = {
    ("uvicorn", "starlette"): [GOT, END],
    ("uvicorn", "falcon"): [GOT, END],
    ("uvicorn", "quart"): [GOT, CUT],
    ("uvicorn", "django"): [GOT, CUT],
    ("sanic", "sanic"): [GOT, CUT],
}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def connect(port: int) -> socket.socket:
    for _ in range(300):
        try:
            return socket.create_connection(("127.0.0.1", port), 10)
        except ConnectionRefusedError:
            time.sleep(0.1)
    raise SystemExit("the server does not start")


def lines(file: Path, wanted: int) -> list[str]:
    for _ in range(500):
        if file.exists() and len(found := file.read_text().splitlines()) >= wanted:
            return found
        time.sleep(0.02)
    raise SystemExit(f"the handler wrote no {wanted} lines")


print(", ".join(f"{name} {version(name)}" for name in ("starlette", "falcon", "quart", "django", "uvicorn", "sanic")))
seen = {}
for server_name, command in SERVERS.items():
    port = free_port()
    log = Path(server_name + ".log")
    with log.open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, *(part.replace("PORT", str(port)) for part in command)], stdout=output, stderr=output
        )
    try:
        for on, name in EXPECTED:
            if on != server_name:
                continue
            file = Path(name + ".seen")
            with connect(port) as connection:
                head = f"POST /{name} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\n"
                connection.sendall(head.encode() + b"0123456789")
                lines(file, 1)  # the handler has all of the body; now the sender goes away
            seen[on, name] = lines(file, 2)
            print(f"{name:9} under {on:7}: the handler {' and '.join(seen[on, name])}")
    finally:
        server.terminate()
        server.wait(20)
    assert "Cancel" not in log.read_text() and "Traceback" not in log.read_text(), log.read_text()
print("none of them logs it")
assert seen == EXPECTED, "the behaviour has changed"
PYTHON
cd "$work"
timeout 120 "$work/venv/bin/python" "$work/probe.py"
