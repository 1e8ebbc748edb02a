"""hookspool's two processes, which deliver each event to an HTTP endpoint: `python -m apps.spool FOLDER`.

The endpoint is the handler; it runs in this process, whose work is not counted.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path

from .serving import SECRET, Ran, announce, answer, padded, request

ran = Ran()

CONFIG = """
[intake]
listen = "127.0.0.1:{port}"
threads = 64

[dispatch]
poll_s = 0.05

[limits]
min_free_bytes = 0

[alerts]
dry = true

[bobbins.benchmark]
bobbin = "hookspool.webhook"
settings = {{ scheme = "hmac-sha256-hex", header = "X-Signature", prefix = "sha256=", key = ["id"], dedup = "id" }}
secrets.secret = {{ file = "{folder}/secret" }}
span = "immediate"
outputs = {{ "*" = "endpoint" }}

[destinations.endpoint]
type = "http"
url = "http://127.0.0.1:{endpoint}/"
allow_insecure = true
secret = {{ file = "{folder}/outbound" }}
max_inflight = 4
"""


class Endpoint(BaseHTTPRequestHandler):
    """Takes the documents that hookspool delivers, each of one event or more."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        document = json.loads(self.rfile.read(int(self.headers["content-length"])))
        ran.count += len(document["events"])
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def requests() -> Iterator[bytes]:
    for number in count():
        body = padded({"id": f"o-{number}"})
        signature = "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        yield request("/hooks/benchmark", [("content-type", "application/json"), ("x-signature", signature)], body)


def _until_it_listens(port: int) -> None:
    for _ in range(500):
        with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.02)


def main(folder: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    endpoint = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=endpoint.serve_forever, daemon=True).start()
    home = Path(folder)
    home.mkdir(mode=0o700)
    for name, secret in (("secret", SECRET), ("outbound", "whsec_" + b64encode(SECRET.encode()).decode())):
        home.joinpath(name).touch(mode=0o600)
        home.joinpath(name).write_text(secret)
    home.joinpath("config.toml").write_text(CONFIG.format(folder=folder, port=port, endpoint=endpoint.server_port))
    command = [sys.executable, "-m", "hookspool", "--home", folder]
    for what in ("check", "migrate"):
        subprocess.run([*command, what], check=True, stdout=sys.stderr)
    processes = [
        subprocess.Popen([*command, what], stdin=subprocess.DEVNULL, stdout=sys.stderr, stderr=subprocess.DEVNULL)
        for what in ("intake", "dispatch")
    ]
    try:
        _until_it_listens(port)
        announce(port, [process.pid for process in processes])
        answer(requests(), ran)
    finally:
        for process in processes:
            process.terminate()
            process.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
