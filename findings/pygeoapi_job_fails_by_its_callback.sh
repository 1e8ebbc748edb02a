#!/usr/bin/env bash
# What surprises: pygeoapi executes processes as OGC API - Processes says, and calls the subscriber's URLs when a job
# begins, has succeeded or has failed. The call of successUri is a part of the job. If its answer does not arrive, the
# job that has succeeded and whose results are on the disk becomes a failed one for good, its results are withdrawn, and
# failedUri is called: a receiver that took the success and lost the connection hears of both, in this order. An error
# answer changes nothing: after 500 the job has succeeded, and the call is not made again. Results that are no JSON,
# such as an image, cannot be sent, so a job that makes one fails if it has a subscriber, and succeeds without. The call
# of inProgressUri comes before the job: if its answer does not arrive, the job is not executed, nobody is told, and its
# status stays "accepted" for ever.
#
# What a receiver should do: register no inProgressUri that one can do without; let a process return a link to an
# image; take the last of two calls about one job for the truth; and ask for the status of each job that has not ended
# in time, since neither a missing call nor a missing error tells anything.
#
# Measured with pygeoapi 0.21.0, the last one for CPython 3.11 (0.24.0 does the same), against receivers on the
# loopback. Fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check pygeoapi==0.21.0 requests==2.34.2
cat > "$work/probe.py" <<'PYTHON'
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from multiprocessing.dummy import DummyProcess
from pathlib import Path
from textwrap import dedent

calls: list[str] = []


class Receiver(BaseHTTPRequestHandler):
    """It answers as the last part of the URL says: with a code, or by closing the connection after the request."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        _, what, answer = self.path.split("/")
        calls.append(what)
        if answer != "closes":
            self.send_response(int(answer))
            self.send_header("Content-Length", "0")
            self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


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
        # The receiver is on the loopback, which later versions allow for such a process alone.
        "hello-world": {"type": "process", "processor": {"name": "HelloWorld"}, "allow_internal_requests": True},
        "image": {"type": "process", "processor": {"name": "image.Image"}, "allow_internal_requests": True},
    },
}
Path("config.yml").write_text(json.dumps(config))  # JSON is YAML
os.environ |= {"PYGEOAPI_CONFIG": "config.yml", "PYGEOAPI_OPENAPI": "openapi.json"}
from pygeoapi.openapi import generate_openapi_document  # noqa: E402

Path("openapi.json").write_text(generate_openapi_document(Path("config.yml"), "json", False))
from pygeoapi.flask_app import APP  # noqa: E402

threading.excepthook = lambda *_: None  # of the job's thread
server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
threading.Thread(target=server.serve_forever, daemon=True).start()
address = f"http://127.0.0.1:{server.server_port}"
client = APP.test_client()


def job(progress: object, success: object, process: str = "hello-world") -> tuple[str, int, list[str], int]:
    """Return a new job's status, the code of its results, what was called, and how many results came to the disk."""
    calls.clear()
    kept = len(os.listdir("results"))
    subscriber = {
        "inProgressUri": f"{address}/progress/{progress}",
        "successUri": f"{address}/success/{success}",
        "failedUri": f"{address}/failure/200",
    }
    document = {"inputs": {"name": "Berlin"}} | ({} if success is None else {"subscriber": subscriber})
    response = client.post(f"/processes/{process}/execution", json=document, headers={"Prefer": "respond-async"})
    path = "/jobs/" + response.headers["Location"].rpartition("/")[2]
    for thread in threading.enumerate():
        if isinstance(thread, DummyProcess):  # that of the job
            thread.join(20)
    status = client.get(f"{path}?f=json").json["status"]
    results = client.get(f"{path}/results?f=json").status_code
    return status, results, calls[:], len(os.listdir("results")) - kept


print("pygeoapi", version("pygeoapi"), "requests", version("requests"))
seen = {}
for name, *how in (
    ("a receiver that takes all", 200, 200),
    ("a success answered by 500", 200, 500),
    ("a success that is not answered", 200, "closes"),
    ("progress that is not answered", "closes", 200),
    ("an image", 200, 200, "image"),
    ("an image without a subscriber", 200, None, "image"),
):
    seen[name] = job(*how)
    status, results, called, kept = seen[name]
    print(f"{name:31} job: {status:10} results: {results} called: {', '.join(called):26} on the disk: {kept}")
fine = ("successful", 200, ["progress", "success"], 1)
taken, error, lost, progress, image, alone = seen.values()
assert taken == error == fine, (taken, error)
assert lost[0] == "failed" and lost[1] != 200 and lost[2] == ["progress", "success", "failure"] and lost[3] == 1, lost
assert progress[0] == "accepted" and progress[1] != 200 and progress[2:] == (["progress"], 0), progress
assert image[0] == "failed" and image[2:] == (["progress", "failure"], 1), image
assert alone == ("successful", 200, [], 1), alone
PYTHON
cd "$work"
timeout 120 "$work/venv/bin/python" "$work/probe.py"
