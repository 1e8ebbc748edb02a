#!/usr/bin/env bash
# What surprises: openEO makes images as batch jobs and has no webhook, so that one asks for the jobs. The method of its
# Python client for that, list_jobs, returns one page of 100 jobs, whatever more there is. It follows no link to a next
# page, has no argument to ask for one, and says nothing. openEO leaves the order of a listing to the back-end: where the
# oldest job is first, the 101st job of an account, and each one after it, is never seen by who polls so.
#
# What a poller should do: look at the links of the answer, and ask for the page of the link "next" itself, until there
# is none; or list_jobs(limit=None), which asks for all jobs at once and counts on a back-end that does not cap them.
#
# Measured with openeo 0.53.0 on CPython 3.11, against a server on the loopback that lists jobs in pages as the API 1.2.0
# describes. Fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check openeo==0.53.0
cat > "$work/probe.py" <<'PYTHON'
import json
import warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import openeo

JOBS = [{"id": f"job-{number}", "status": "finished", "created": "2026-01-01T00:00:00Z"} for number in range(1, 102)]
asked: list[str] = []


class BackEnd(BaseHTTPRequestHandler):
    """The capabilities, and the jobs, the oldest first, in pages of as many as are asked for, at most 100."""

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = parse_qs(parts.query)
        if parts.path != "/jobs":
            self.answer(api_version="1.2.0", backend_version="1", stac_version="1.0.0", endpoints=[], links=[])
            return
        asked.append(self.path)
        size, first = min(int(query.get("limit", ["100"])[0]), 100), int(query.get("first", ["0"])[0])
        following = {"rel": "next", "href": f"http://{self.headers['Host']}/jobs?limit={size}&first={first + size}"}
        self.answer(jobs=JOBS[first : first + size], links=[following] if first + size < len(JOBS) else [])

    def answer(self, **document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), BackEnd)
Thread(target=server.serve_forever, daemon=True).start()
print("openeo", version("openeo"))
warnings.simplefilter("error")
connection = openeo.connect(f"http://127.0.0.1:{server.server_port}", auto_validate=False)
connection.authenticate_bearer_token("basic//a-token")
for arguments in ({}, {"limit": 1000}, {"limit": None}):
    asked.clear()
    jobs = connection.list_jobs(**arguments)
    print(f"list_jobs({arguments}): {len(jobs)} of {len(JOBS)} jobs, by {asked}")
    assert len(jobs) == 100, len(jobs)
    assert len(asked) == 1, asked
    assert "job-101" not in [job["id"] for job in jobs]
    assert [link.rel for link in jobs.links] == ["next"], "it has the link, and does not follow it"
PYTHON
cd "$work"
timeout 120 "$work/venv/bin/python" "$work/probe.py"
