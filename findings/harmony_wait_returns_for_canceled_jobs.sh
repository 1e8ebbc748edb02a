#!/usr/bin/env bash
# What surprises: NASA Harmony makes images as a job, and has no webhook, so that one asks until the job has ended. The
# method of its Python client for that, wait_for_processing, raises for one ending only, "failed". For a job that was
# canceled it returns as for one that succeeded, without a word; so it does for one that is paused (a line on stderr
# says so, and the job goes on later), and for one that ended as "complete_with_errors", of whose images some are
# missing. It returns None each time, where its documentation says that it returns the progress.
#
# What a receiver or poller should do: after the wait, ask for the status and take "successful" alone for success;
# handle "complete_with_errors" as a success of which the errors are reported; go on asking about "paused"; and take
# "canceled" for a failure for good. The progress of 100 percent tells nothing: two of these have it.
#
# Measured with harmony-py 1.8.0 on CPython 3.11, against a server on the loopback that answers as Harmony's job status
# does. Fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check harmony-py==1.8.0
cat > "$work/probe.py" <<'PYTHON'
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from threading import Thread

from harmony import Client, Environment
from harmony.client import ProcessingFailedException

PROGRESS = {"successful": 100, "complete_with_errors": 100, "canceled": 40, "paused": 40, "failed": 40}


class Jobs(BaseHTTPRequestHandler):
    """The two resources that tell the status of jobs, as Harmony's API has them; a job's id is its status here."""

    def do_GET(self) -> None:
        status = self.path.partition("?")[0].rpartition("/")[2]
        time = "2026-01-01T00:00:00.000Z"
        self.answer(
            jobID=status, status=status, progress=PROGRESS[status], message="a message", links=[], request="",
            createdAt=time, updatedAt=time, numInputGranules=2,
        )  # fmt: skip

    def do_POST(self) -> None:
        wanted = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["jobIDs"]
        self.answer(jobStatuses=[{"jobID": each, "status": each, "progress": PROGRESS[each]} for each in wanted])

    def answer(self, **document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Jobs)
Thread(target=server.serve_forever, daemon=True).start()
print("harmony-py", version("harmony-py"))
client = Client(env=Environment.LOCAL, should_validate_auth=False, check_interval=0.01)
client.config.localhost_port = server.server_port
seen = {}
for status in PROGRESS:
    try:
        seen[status] = f"returned {client.wait_for_processing(status)!r}"
    except ProcessingFailedException:
        seen[status] = "raised ProcessingFailedException"
    print(f"{status:21} {seen[status]}")
returned = [status for status, how in seen.items() if how == "returned None"]
assert returned == ["successful", "complete_with_errors", "canceled", "paused"], returned
assert seen["failed"] == "raised ProcessingFailedException"
PYTHON
"$work/venv/bin/python" "$work/probe.py"
