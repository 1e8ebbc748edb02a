#!/usr/bin/env bash
# What surprises: Sentinel Hub makes images as batch requests and has no webhook, so that one asks, and it limits how
# often. The Retry-After of its 429 is in milliseconds, as its documentation says, where HTTP has seconds (RFC 9110,
# section 10.2.3). Any client that knows the standard waits a thousand times too long: for the 3398 of the documented
# example urllib3 and httpx-retries would wait 57 minutes instead of 3.4 seconds, in silence. Its own client divides by
# 1000, and so it does where a gateway in between answers the 429, in seconds: then it comes back at once.
#
# What a poller should do: read Retry-After by the host that it asked, as milliseconds from Sentinel Hub, and bound what
# it waits both ways: at least a second, and at most an hour or so.
#
# Measured with sentinelhub 3.12.0, urllib3 2.6.3 and httpx-retries 0.6.0 on CPython 3.11, against a server on the
# loopback that answers as documented. Fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check sentinelhub==3.12.0 urllib3==2.6.3 httpx-retries==0.6.0
cat > "$work/probe.py" <<'PYTHON'
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from threading import Thread

import httpx
import urllib3
from httpx_retries import Retry
from sentinelhub import SHConfig
from sentinelhub.api.batch.process import BatchProcessClient
from sentinelhub.download.sentinelhub_client import SentinelHubDownloadClient
from sentinelhub.download.session import SentinelHubSession

asked: list[float] = []
wait = "3398"


class SentinelHub(BaseHTTPRequestHandler):
    """Batch requests: the first time a 429 as in the documentation of rate limiting, then an empty list."""

    def do_GET(self) -> None:
        asked.append(time.monotonic())
        limited = len(asked) == 1
        body = b'{"error": {"status": 429, "code": "RATE_LIMIT_EXCEEDED"}}' if limited else b'{"data": [], "links": {}}'
        self.send_response(429 if limited else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if limited:
            self.send_header("Retry-After", wait)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), SentinelHub)
Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"
print(*(f"{name} {version(name)}" for name in ("sentinelhub", "urllib3", "httpx-retries")))


def waited() -> float:
    """Return the seconds that the client of Sentinel Hub waits after a 429."""
    asked.clear()
    config = SHConfig(use_defaults=True)
    config.sh_base_url = url
    token = {"access_token": "a-token", "expires_at": time.time() + 3600}
    SentinelHubDownloadClient.cache_session(SentinelHubSession.from_token(token), universal=True)
    assert list(BatchProcessClient(config).iter_requests()) == []
    return asked[1] - asked[0]


own = waited()
print(f"Retry-After: {wait}  sentinelhub waits {own:.1f} s")
assert 3 < own < 6, own
asked.clear()
known = urllib3.Retry().get_retry_after(urllib3.PoolManager().request("GET", url, retries=False))
print(f"Retry-After: {wait}  urllib3 waits {known:.0f} s")
assert known == 3398, known
asked.clear()
standard = Retry().parse_retry_after(httpx.get(url).headers["retry-after"])
print(f"Retry-After: {wait}  httpx-retries waits {standard:.0f} s")
assert standard == 3398, standard
wait = "30"  # seconds, as of a gateway
gateway = waited()
print(f"Retry-After: {wait}    sentinelhub waits {gateway:.2f} s")
assert gateway < 1, gateway
PYTHON
cd "$work"
timeout 120 "$work/venv/bin/python" "$work/probe.py"
