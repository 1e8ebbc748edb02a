#!/usr/bin/env bash
# What surprises: a probe that only connects, such as `tcpSocket` of Kubernetes, a TCP check of a load balancer or `nc -z`,
# says that an ASGI server is well whose event loop hangs. The kernel completes the handshake for whatever listens; the
# process need not be there for it. uvicorn, hypercorn and granian do not differ in that, although granian accepts in
# threads of its own. So a server that answers no sender any more is kept for ever by its liveness probe, and a load
# balancer goes on to send deliveries to it.
#
# What a receiver should do: have liveness asked by a request that its event loop has to answer, and that asks no database.
#
# Measured with uvicorn 0.54.0, hypercorn 0.18.0 and granian 2.8.9 on Linux x86-64, CPython 3.11. Fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check uvicorn==0.54.0 hypercorn==0.18.0 granian==2.8.9
cat > "$work/app.py" <<'PYTHON'
import time


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["path"] == "/hang":
        time.sleep(12)  # as a handler that blocks the loop
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})
PYTHON
cat > "$work/probe.py" <<'PYTHON'
import os
import signal
import socket
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

BIN = Path(sys.executable).parent
SERVERS = {
    "uvicorn": ["--host", "127.0.0.1", "--port"],
    "hypercorn": ["--bind"],
    "granian": ["--interface", "asgi", "--host", "127.0.0.1", "--port"],
}


def asked(port: int, path: str, patience: float) -> str:
    """Return the first line of the answer; empty if none comes."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=patience) as client:
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: probe\r\n\r\n".encode())
            return client.recv(100).partition(b"\r\n")[0].decode()
    except OSError:
        return ""


def connects(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except OSError:
        return False
    return True


for name, options in SERVERS.items():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"127.0.0.1:{port}" if name == "hypercorn" else str(port)
    server = subprocess.Popen(
        [BIN / name, "app:app", *options, address],
        cwd=Path(__file__).parent,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 30
        while "200" not in asked(port, "/", 2):
            assert time.monotonic() < deadline, f"{name} does not start"
            time.sleep(0.1)
        with socket.create_connection(("127.0.0.1", port)) as hanging:
            hanging.sendall(b"GET /hang HTTP/1.1\r\nHost: probe\r\n\r\n")
            time.sleep(1)
            found = [connects(port) for _ in range(3)], asked(port, "/", 3)
        print(f"{name} {version(name)}, its loop hangs: connections {found[0]}, a request is answered by {found[1]!r}")
        assert found == ([True] * 3, ""), "that has changed"
    finally:
        os.killpg(server.pid, signal.SIGKILL)  # with the processes that it has started
        server.wait()
PYTHON
cd "$work"
"$work/venv/bin/python" "$work/probe.py"
