#!/usr/bin/env bash
# What surprises: a request target may have the absolute form, "POST http://host/webhooks HTTP/1.1", and a server must
# accept that (RFC 9112, section 3.2.2; some proxies and HTTP libraries that are told of a proxy send it). The ASGI
# specification says that `path` is a path. Three of five servers put the whole URL there, with scheme and host, so that
# no route of a Starlette or FastAPI app matches it and the sender gets 404; with uvicorn it depends on which parser is
# installed: httptools takes the path out, h11 does not.
#
# What a receiver should do: where it routes by path or checks a token or a signature over the target, take scheme and
# host off a target that begins with "http://" or "https://" first; and have a proxy in front that sends origin form.
#
# Measured with uvicorn 0.34.3 (h11 0.16.0, httptools 0.6.4), hypercorn 0.17.3, daphne 4.1.2 and granian 2.2.6 on
# CPython 3.11. Fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    uvicorn==0.34.3 h11==0.16.0 httptools==0.6.4 hypercorn==0.17.3 daphne==4.1.2 granian==2.2.6
cat > "$work/app.py" <<'PYTHON'
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        for _ in range(2):
            await send({"type": (await receive())["type"] + ".complete"})
        return
    body = scope["path"].encode()
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
PYTHON
cat > "$work/probe.py" <<'PYTHON'
import socket
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

BIN = Path(sys.executable).parent
SERVERS = {
    "uvicorn with httptools": ["uvicorn", "--http", "httptools", "--port", "PORT", "app:app"],
    "uvicorn with h11": ["uvicorn", "--http", "h11", "--port", "PORT", "app:app"],
    "hypercorn": ["hypercorn", "-b", "127.0.0.1:PORT", "app:app"],
    "daphne": ["daphne", "-b", "127.0.0.1", "-p", "PORT", "app:app"],
    "granian": ["granian", "--interface", "asgi", "--host", "127.0.0.1", "--port", "PORT", "app:app"],
}
EXPECTED = {
    "uvicorn with httptools": "/webhooks",
    "uvicorn with h11": "http://example.com/webhooks",
    "hypercorn": "http://example.com/webhooks",
    "daphne": "http://example.com/webhooks",
    "granian": "/webhooks",
}
REQUEST = b"GET http://example.com/webhooks?a=1 HTTP/1.1\r\nhost: example.com\r\nconnection: close\r\n\r\n"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def ask(port: int) -> str:
    for _ in range(200):
        try:
            with socket.create_connection(("127.0.0.1", port), 10) as connection:
                connection.sendall(REQUEST)
                with connection.makefile("rb") as answer:
                    return answer.read().partition(b"\r\n\r\n")[2].decode()
        except ConnectionRefusedError:
            time.sleep(0.1)
    raise SystemExit("the server does not start")


print(", ".join(f"{name} {version(name)}" for name in ("uvicorn", "h11", "httptools", "hypercorn", "daphne", "granian")))
seen = {}
for name, command in SERVERS.items():
    port = free_port()
    server = subprocess.Popen(
        [BIN / command[0], *(part.replace("PORT", str(port)) for part in command[1:])],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        seen[name] = ask(port)
    finally:
        server.terminate()
        server.wait(20)
    print(f"{name}: scope['path'] is {seen[name]!r}")
assert seen == EXPECTED, "the behaviour has changed"
PYTHON
cd "$work"
timeout 180 "$work/venv/bin/python" "$work/probe.py"
