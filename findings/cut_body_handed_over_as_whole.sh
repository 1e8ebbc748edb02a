#!/usr/bin/env bash
# What surprises: a sender's connection breaks in the middle of a body, ten of twenty bytes have come. RFC 9112,
# section 8, says that such a message is incomplete. Starlette and Quart say so: reading the body raises. Falcon's
# ASGI request takes the end of the connection for the end of the body and hands over the ten bytes as if they were
# all, with and without a Content-Length. So do Flask, Django and Falcon's WSGI request under gunicorn, where there is
# a Content-Length: gunicorn says of its stream that it ends where the body ends, and Werkzeug, which would notice,
# then leaves the check out. Under waitress the same Flask app is never called, since waitress reads all of the body
# first.
#
# What a receiver should do: compare the number of bytes with Content-Length before anything else, and take a delivery
# that is shorter for one that never came; of a chunked body only ASGI's own messages tell, by an http.disconnect
# before the last part. A signature over the body finds it too, but reports it as a forged delivery. Without a
# signature nothing does where a part of the body is valid as well: a form, lines of JSON, CSV. The sender saw an
# error and will send again, so that the cut delivery must not have been kept under the same id.
#
# Measured with falcon 4.4.0, starlette 1.10.0, quart 0.22.0, uvicorn 0.54.0 (h11 0.16.0), flask 3.1.3, werkzeug
# 3.1.9, django 5.2.19, gunicorn 27.0.1 (sync worker) and waitress 3.0.2 on CPython 3.11. Fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check falcon==4.4.0 starlette==1.10.0 quart==0.22.0 \
    uvicorn==0.54.0 h11==0.16.0 flask==3.1.3 werkzeug==3.1.9 django==5.2.19 gunicorn==27.0.1 waitress==3.0.2
cat > "$work/apps.py" <<'PYTHON'
"""Apps of five frameworks, told apart by the first part of the path; each writes down what its handler reads."""

from pathlib import Path

import django.conf
import falcon
import falcon.asgi
import flask
import quart
import starlette.responses
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path as django_path


def note(path: str, seen: object) -> None:
    file = Path(__file__).with_name(path.strip("/") + ".seen")
    file.with_suffix(".new").write_text(repr(seen))
    file.with_suffix(".new").rename(file)


def read(path, function):
    try:
        body = function()
    except BaseException as error:
        note(path, type(error).__name__)
        raise
    note(path, body)


async def read_async(path, function):
    try:
        body = await function()
    except BaseException as error:
        note(path, type(error).__name__)
        raise
    note(path, body)


class WithFalcon:
    def on_post(self, request, response, name):
        read(request.path, request.bounded_stream.read)


class WithFalconAsync:
    async def on_post(self, request, response, name):
        await read_async(request.path, request.stream.read)


falcon_wsgi, falcon_asgi = falcon.App(), falcon.asgi.App()
falcon_wsgi.add_route("/{name}", WithFalcon())
falcon_asgi.add_route("/{name}", WithFalconAsync())
flask_app, quart_app = flask.Flask("flask"), quart.Quart("quart")


@flask_app.post("/<name>")
def with_flask(name):
    read(flask.request.path, flask.request.get_data)
    return "", 204


@quart_app.post("/<name>")
async def with_quart(name):
    await read_async(quart.request.path, lambda: quart.request.get_data())
    return "", 204


def with_django(request, name):
    read(request.path, lambda: request.body)
    return HttpResponse(status=204)


urlpatterns = [django_path("<name>", with_django)]
django.conf.settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="unused", MIDDLEWARE=[])
WSGI = {"flask": flask_app, "django": get_wsgi_application(), "falcon": falcon_wsgi}


def wsgi(environ, start_response):
    return WSGI[environ["PATH_INFO"].strip("/").partition("-")[0]](environ, start_response)


async def with_starlette(scope, receive, send):
    request = starlette.requests.Request(scope, receive)
    await read_async(request.url.path, request.body)
    await starlette.responses.Response(status_code=204)(scope, receive, send)


ASGI = {"starlette": with_starlette, "quart": quart_app, "falcon": falcon_asgi}


async def asgi(scope, receive, send):
    await ASGI[scope["path"].strip("/").partition("-")[0]](scope, receive, send)
PYTHON
cat > "$work/probe.py" <<'PYTHON'
import socket
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

BIN = Path(sys.executable).parent
NAMES = ("falcon", "starlette", "quart", "uvicorn", "h11", "flask", "werkzeug", "django", "gunicorn", "waitress")
SERVERS = {
    "uvicorn": ["uvicorn", "--http", "h11", "--lifespan", "off", "--port", "PORT", "apps:asgi"],
    "gunicorn": ["gunicorn", "--bind", "127.0.0.1:PORT", "apps:wsgi"],
    "waitress": ["waitress-serve", "--listen", "127.0.0.1:PORT", "apps:wsgi"],
}
LENGTH = b"content-length: 20\r\n\r\n0123456789"
CHUNKED = b"transfer-encoding: chunked\r\n\r\na\r\n0123456789\r\n"
HALF, NEVER = "b'0123456789'", "(the handler was not called)"
EXPECTED = {
    ("uvicorn", "starlette-length"): "'ClientDisconnect'",
    ("uvicorn", "starlette-chunked"): "'ClientDisconnect'",
    ("uvicorn", "quart-length"): "'CancelledError'",
    ("uvicorn", "quart-chunked"): "'CancelledError'",
    ("uvicorn", "falcon-length"): HALF,
    ("uvicorn", "falcon-chunked"): HALF,
    ("gunicorn", "flask-length"): HALF,
    ("gunicorn", "django-length"): HALF,
    ("gunicorn", "falcon-length"): HALF,
    ("waitress", "flask-length"): NEVER,
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


def cut_off(port: int, case: str, wait: float) -> str:
    """What the handler reads of a request that ends after ten bytes of its body."""
    file = Path(case + ".seen")
    file.unlink(missing_ok=True)
    with connect(port) as connection:
        framing = CHUNKED if case.endswith("chunked") else LENGTH
        connection.sendall(b"POST /%s HTTP/1.1\r\nhost: localhost\r\n%s" % (case.encode(), framing))
        time.sleep(0.3)
    until = time.monotonic() + wait
    while not file.exists():
        if time.monotonic() > until:
            return NEVER
        time.sleep(0.02)
    return file.read_text()


print(", ".join(f"{name} {version(name)}" for name in NAMES))
seen = {}
for name, command in SERVERS.items():
    port = free_port()
    server = subprocess.Popen(
        [BIN / command[0], *(part.replace("PORT", str(port)) for part in command[1:])],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for on, case in EXPECTED:
            if on == name:
                seen[on, case] = cut_off(port, case, 2 if name == "waitress" else 10)
                print(f"ten bytes of twenty, {case:17} under {name:8}: {seen[on, case]}")
    finally:
        server.terminate()
        server.wait(20)
assert seen == EXPECTED, "the behaviour has changed"
PYTHON
cd "$work"
timeout 120 "$work/venv/bin/python" "$work/probe.py"
