#!/usr/bin/env bash
# What surprises: pygeoapi can publish what happens over HTTP, as CloudEvents of OGC API - Pub/Sub. Its event
# "org.ogc.api.job.result" does not come when a job has ended. It comes with the answer to the request that starts the
# job, and holds that answer. Of an asynchronous job it says that it was accepted, and nothing comes later, neither when
# it succeeds nor when it fails. Of a synchronous job it holds the results or the error, which only their members tell
# apart, and not which job it was; and nothing comes if the result is an image. The body is no CloudEvent, although its
# type is application/json: it is a JSON text that holds one, so that a library for CloudEvents does not read it.
#
# What a receiver should do: decode the body twice; take the event for the start of a job where its data has a status,
# and ask for the status of that job until it has ended, or have the client of the server give a subscriber.
#
# Measured with pygeoapi 0.24.0, which needs Python 3.12 or newer, on CPython 3.13, against a receiver on the loopback.
# Fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for python in python3 python3.13 python3.12 "$HOME"/.pyenv/versions/3.1[23]*/bin/python3; do
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null && break
done
"$python" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check pygeoapi==0.24.0
cat > "$work/probe.py" <<'PYTHON'
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from multiprocessing.dummy import DummyProcess
from pathlib import Path
from textwrap import dedent

received: list[tuple[str, bytes]] = []


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        received.append((self.headers["Content-Type"], self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
threading.Thread(target=server.serve_forever, daemon=True).start()
Path("image.py").write_text(
    dedent(
        """
        from pygeoapi.process.base import BaseProcessor
        from pygeoapi.process.hello_world import PROCESS_METADATA

        class Image(BaseProcessor):
            def __init__(self, definition):
                super().__init__(definition, PROCESS_METADATA | {"id": "image"})

            def execute(self, data, outputs=None):
                return "image/png", bytes.fromhex("89504e470d0a1a0a")
        """
    )
)
Path("results").mkdir()
config = {
    "server": {
        "bind": {"host": "127.0.0.1", "port": 0},
        "url": "http://localhost",
        "mimetype": "application/json; charset=UTF-8",
        "encoding": "utf-8",
        "languages": ["en-US"],
        "limits": {"default_items": 10, "max_items": 10},
        "map": {"url": "", "attribution": ""},
        "manager": {"name": "TinyDB", "connection": "jobs.json", "output_dir": "results"},
    },
    "logging": {"level": "CRITICAL"},
    "metadata": {
        "identification": {"title": "-", "description": "-", "keywords": [], "terms_of_service": "-", "url": "-"},
        "license": {"name": "-", "url": "-"},
        "provider": {"name": "-", "url": "-"},
        "contact": {"name": "-"},
    },
    "resources": {
        "hello-world": {"type": "process", "processor": {"name": "HelloWorld"}},
        "image": {"type": "process", "processor": {"name": "image.Image"}},
    },
    "pubsub": {"name": "HTTP", "broker": {"url": f"http://127.0.0.1:{server.server_port}"}},
}
Path("config.yml").write_text(json.dumps(config))  # JSON is YAML
os.environ |= {"PYGEOAPI_CONFIG": "config.yml", "PYGEOAPI_OPENAPI": "openapi.json"}
from pygeoapi.openapi import generate_openapi_document  # noqa: E402

Path("openapi.json").write_text(generate_openapi_document(Path("config.yml"), "json", False))
from pygeoapi.flask_app import APP  # noqa: E402

client = APP.test_client()


def published(process: str, inputs: dict[str, str], prefer: str) -> tuple[str, object]:
    """Execute a process; return how its job has ended, and what came, or None."""
    received.clear()
    response = client.post(f"/processes/{process}/execution", json={"inputs": inputs}, headers={"Prefer": prefer})
    for thread in threading.enumerate():
        if isinstance(thread, DummyProcess):  # that of the job
            thread.join(20)
    (job,) = [each for each in client.get("/jobs?f=json").json["jobs"] if each["jobID"] not in jobs]
    jobs.append(job["jobID"])
    if not received:
        return job["status"], None
    ((content_type, body),) = received
    text = json.loads(body)
    assert (content_type, type(text)) == ("application/json", str), received
    event = json.loads(text)
    assert event["type"] == "org.ogc.api.job.result", event
    assert (job["jobID"] in text) == (prefer == "respond-async")
    return job["status"], event["data"]


jobs: list[str] = []
print("pygeoapi", version("pygeoapi"))
seen = []
for process, inputs, prefer in (
    ("hello-world", {"name": "Berlin"}, "respond-async"),
    ("hello-world", {}, "respond-async"),
    ("hello-world", {"name": "Berlin"}, "wait"),
    ("hello-world", {}, "wait"),
    ("image", {}, "wait"),
):
    status, data = published(process, inputs, prefer)
    if isinstance(data, dict):
        data.pop("jobID", None)
    seen.append((status, data))
    print(f"{process:11} {prefer:13} job: {status:10} org.ogc.api.job.result: {data}")
accepted = {"type": "process", "status": "accepted"}
error = {"type": "InvalidParameterValue", "code": "InvalidParameterValue"}
error["description"] = "Error executing process: Cannot process without a name"
assert seen == [
    ("successful", accepted),
    ("failed", accepted),
    ("successful", {"id": "echo", "value": "Hello Berlin!"}),
    ("failed", error),
    ("successful", None),
], seen
published("hello-world", {"name": "Berlin"}, "wait")
print("the body, of the type application/json:", received[0][1].decode()[:60], "...")
PYTHON
cd "$work"
timeout 120 "$work/venv/bin/python" "$work/probe.py"
