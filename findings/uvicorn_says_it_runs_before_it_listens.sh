#!/usr/bin/env bash
# What surprises: with several workers uvicorn logs "Uvicorn running on http://..." before it has imported the app, let
# alone listens. The parent binds the address, so that it is taken, and leaves it to the workers to listen; until the first
# of them has started, whoever connects is refused. With one worker the same line comes once it listens. Scripts, tests and
# supervisors that wait for the line and then send get "connection refused" as soon as there is a second worker, and a
# sender that is told of the URL at that moment loses its first deliveries, or counts them as failed.
#
# What a receiver should do: take a request that is answered as the sign that it is there, not a line of the log; under
# systemd pass a socket that listens already.
#
# Measured with uvicorn 0.54.0 on Linux x86-64, CPython 3.11. Fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check uvicorn==0.54.0
cat > "$work/app.py" <<'PYTHON'
import time

time.sleep(3)  # an app that takes a while to import


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
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


def connected(port: int) -> str:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except OSError as error:
        return type(error).__name__
    return "connected"


for workers, at_the_line in ((1, "connected"), (2, "ConnectionRefusedError")):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [Path(sys.executable).parent / "uvicorn", "app:app", "--workers", str(workers), "--port", str(port)],
        cwd=Path(__file__).parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        lines = []
        for line in server.stdout:
            lines.append(line)
            if "Uvicorn running on" in line:
                break
        found, started = connected(port), any("startup complete" in line for line in lines)
        deadline = time.monotonic() + 30
        while connected(port) != "connected":
            assert time.monotonic() < deadline, "it never listens"
            time.sleep(0.1)
        print(f"uvicorn {version('uvicorn')}, workers {workers}: at the line {found}, app started before it: {started}")
        assert (found, started) == (at_the_line, workers == 1), "that has changed"
    finally:
        os.killpg(server.pid, signal.SIGKILL)  # with the processes that it has started
        server.wait()
PYTHON
"$work/venv/bin/python" "$work/probe.py"
