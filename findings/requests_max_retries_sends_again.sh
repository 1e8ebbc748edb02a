#!/usr/bin/env bash
# What surprises: HTTPAdapter(max_retries=2) of requests is said by its docstring to concern failed DNS look-ups,
# connections and connection timeouts only, "never" a request of which data has reached the server. It is not so for a
# number other than 0. A GET or PUT whose answer does not come in time, or whose connection breaks before the answer,
# is sent again with its body: the server has it three times. And an answer 503, 429 or 413 with Retry-After is asked
# for again after that many seconds, slept through inside the call, and the timeout of the call does not bound that;
# without Retry-After the same 503 is handed over at once. A POST is sent once. What is raised changes as well: a read
# timeout is requests.ReadTimeout for POST, but ConnectionError, which is no requests.Timeout, for GET and PUT.
#
# What a receiver should do: know a repeat of a PUT by its id or its bytes before it is handled, as of a POST; and
# choose Retry-After with care, since some clients stand still that long. What a poller should do: give urllib3's own
# Retry with connect=2, read=0, status=0, other=0, respect_retry_after_header=False and no total, and keep a clock of
# its own.
#
# Measured with requests 2.34.2 and urllib3 2.8.0 on CPython 3.11. Fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check requests==2.34.2 urllib3==2.8.0
cat > "$work/probe.py" <<'PYTHON'
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from threading import Event, Thread

import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry

TIMEOUT, PAUSE = 0.5, 1
received: list[bytes] = []
over = Event()


class Server(BaseHTTPRequestHandler):
    def do(self) -> None:
        received.append(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        if self.path == "/breaks":
            return  # the connection ends without an answer
        if self.path == "/late":
            over.wait(20)
            return
        self.send_response(int(self.path[1:4]))
        if self.path.endswith("-with-retry-after"):
            self.send_header("Retry-After", str(PAUSE))
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_PUT = do_POST = do

    def log_message(self, *_: object) -> None:
        pass


def ask(retries: object, method: str, path: str) -> tuple[str, int, bool]:
    """What came of it, how often the server got it, and whether it took longer than its timeout allows for."""
    received.clear()
    start = time.monotonic()
    with requests.Session() as session:
        session.mount("http://", HTTPAdapter(max_retries=retries))
        body = None if method == "GET" else b"a body"
        try:
            answer = session.request(method, f"http://127.0.0.1:{server.server_port}{path}", data=body, timeout=TIMEOUT)
            outcome = str(answer.status_code)
        except requests.RequestException as error:
            outcome = type(error).__name__ + (" (a Timeout)" if isinstance(error, requests.Timeout) else "")
    assert set(received) <= {body or b""}
    return outcome, len(received), time.monotonic() - start >= 2 * PAUSE


EXPECTED = {
    ("GET", "/503"): ("503", 1, False),
    ("GET", "/503-with-retry-after"): ("503", 3, True),
    ("GET", "/429-with-retry-after"): ("429", 3, True),
    ("GET", "/413-with-retry-after"): ("413", 3, True),
    ("GET", "/breaks"): ("ConnectionError", 3, False),
    ("GET", "/late"): ("ConnectionError", 3, False),
    ("PUT", "/503"): ("503", 1, False),
    ("PUT", "/503-with-retry-after"): ("503", 3, True),
    ("PUT", "/breaks"): ("ConnectionError", 3, False),
    ("PUT", "/late"): ("ConnectionError", 3, False),
    ("POST", "/503"): ("503", 1, False),
    ("POST", "/503-with-retry-after"): ("503", 1, False),
    ("POST", "/breaks"): ("ConnectionError", 1, False),
    ("POST", "/late"): ("ReadTimeout (a Timeout)", 1, False),
}
server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
Thread(target=server.serve_forever, daemon=True).start()
print("requests", version("requests"), "urllib3", version("urllib3"))
seen = {}
for method, path in EXPECTED:
    seen[method, path] = outcome, times, slept = ask(2, method, path)
    print(f"max_retries=2: {method:4} {path:21} got by the server {times} times, {outcome}{', slept' * slept}")
only_connect = Retry(None, connect=2, read=0, status=0, other=0, respect_retry_after_header=False)
for method, path in EXPECTED:
    outcome, times, slept = ask(only_connect, method, path)
    print(f"connect only:  {method:4} {path:21} got by the server {times} times, {outcome}{', slept' * slept}")
    assert times == 1 and not slept
over.set()
assert seen == EXPECTED, "the behaviour has changed"
PYTHON
timeout 120 "$work/venv/bin/python" "$work/probe.py"
