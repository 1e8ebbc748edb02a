#!/usr/bin/env bash
# What surprises: pygeoapi can publish each change of an item over HTTP, to a receiver of its operator. It does so after
# the change is stored and before it answers its own client. If the receiver answers 503, or nobody listens, the client
# is told 500, "Internal Server Error", although the item is there; the event is lost, since it is not sent again. The
# client that tries again, as one does after 500, is told that the item exists, or, where the server gives the id, makes
# the same item twice. For the deletion of an item the second try says 404. So a receiver that is away for a minute
# makes the catalogue of its neighbour fail, and has not heard of the changes that were made in this minute.
#
# What a receiver should do: answer 2xx as soon as the event is kept, whatever becomes of it, and never an error to be
# sent it again; after each time that it was away, compare with the collection itself.
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
"$work/venv/bin/pip" install --quiet --disable-pip-version-check pygeoapi==0.24.0 tinydb==4.9.0
cat > "$work/probe.py" <<'PYTHON'
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path

received: list[bytes] = []
code = 204


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        received.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
threading.Thread(target=server.serve_forever, daemon=True).start()
Path("scenes.json").write_text('{"_default": {}}')
config = {
    "server": {
        "bind": {"host": "127.0.0.1", "port": 0},
        "url": "http://localhost",
        "mimetype": "application/json; charset=UTF-8",
        "encoding": "utf-8",
        "languages": ["en-US"],
        "limits": {"default_items": 10, "max_items": 10},
        "map": {"url": "", "attribution": ""},
    },
    "logging": {"level": "CRITICAL"},
    "metadata": {
        "identification": {"title": "-", "description": "-", "keywords": [], "terms_of_service": "-", "url": "-"},
        "license": {"name": "-", "url": "-"},
        "provider": {"name": "-", "url": "-"},
        "contact": {"name": "-"},
    },
    "resources": {
        "scenes": {
            "type": "collection",
            "title": "-",
            "description": "-",
            "keywords": [],
            "links": [],
            "extents": {"spatial": {"bbox": [-180, -90, 180, 90]}},
            "providers": [
                {
                    "type": "record",
                    "name": "TinyDBCatalogue",
                    "editable": True,
                    "data": "scenes.json",
                    "id_field": "externalId",
                    "time_field": "recordCreated",
                    "title_field": "title",
                }
            ],
        }
    },
    "pubsub": {"name": "HTTP", "broker": {"url": f"http://127.0.0.1:{server.server_port}"}},
}
Path("config.yml").write_text(json.dumps(config))  # JSON is YAML
os.environ |= {"PYGEOAPI_CONFIG": "config.yml", "PYGEOAPI_OPENAPI": "openapi.json"}
from pygeoapi.openapi import generate_openapi_document  # noqa: E402

Path("openapi.json").write_text(generate_openapi_document(Path("config.yml"), "json", False))
from pygeoapi.flask_app import APP  # noqa: E402

APP.logger.disabled = True
client = APP.test_client()


def change(method: str, path: str = "", **properties: str) -> tuple[int, int, list[str]]:
    """Change an item; return the server's answer, the number of events, and the titles that the server has then."""
    received.clear()
    item: dict[str, object] = {"type": "Feature", "properties": properties}
    item["geometry"] = {"type": "Point", "coordinates": [13, 52]}
    if "externalId" in properties:
        item["id"] = properties["externalId"]
    headers = {"Content-Type": "application/geo+json"}
    response = client.open(f"/collections/scenes/items{path}", method=method, data=json.dumps(item), headers=headers)
    found = client.get("/collections/scenes/items?f=json").json
    return response.status_code, len(received), [each["properties"]["title"] for each in found["features"]]


print("pygeoapi", version("pygeoapi"))
seen = []
for code, method, path, properties in (
    (204, "POST", "", {"title": "first", "externalId": "1"}),
    (503, "POST", "", {"title": "second", "externalId": "2"}),
    (503, "POST", "", {"title": "second", "externalId": "2"}),
    (503, "POST", "", {"title": "third"}),
    (503, "POST", "", {"title": "third"}),
    (503, "DELETE", "/1", {}),
    (503, "DELETE", "/1", {}),
):
    seen.append(change(method, path, **properties))
    told, events, titles = seen[-1]
    what = " ".join((method, *properties.values(), path)).strip()
    print(f"the receiver answers {code}: {what:15} the client is told {told}, events: {events}, items: {titles}")
assert seen == [
    (201, 1, ["first"]),
    (500, 1, ["first", "second"]),
    (500, 0, ["first", "second"]),
    (500, 1, ["first", "second", "third"]),
    (500, 1, ["first", "second", "third", "third"]),
    (500, 1, ["second", "third", "third"]),
    (404, 0, ["second", "third", "third"]),
], seen
PYTHON
cd "$work"
timeout 120 "$work/venv/bin/python" "$work/probe.py" 2>&1 | grep -v '^\[.*ERROR'
