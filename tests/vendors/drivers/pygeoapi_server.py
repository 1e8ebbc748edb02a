"""pygeoapi on a free port of the loopback: `python pygeoapi_server.py FOLDER`, where FOLDER has its `config.yml`.

It prints its port and serves until it is stopped. It runs in the environment of pygeoapi, so it has nothing of this
project; what it imports is not known where the project is checked.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

RESULTS = {
    "list": ("application/json", [{"href": "a.tif"}, {"href": "b.tif"}]),
    "text": ("text/plain", "ready"),
    "image": ("image/png", b"\x89PNG\r\n\x1a\n"),
}
METADATA = {
    "id": "own",
    "version": "1",
    "title": "own",
    "description": "own",
    "keywords": [],
    "links": [],
    "jobControlOptions": ["sync-execute", "async-execute"],
    "inputs": {},
    "outputs": {},
}


def process(definition: dict[str, Any]) -> Any:
    """Return a process of our own: it fails, or has results of the kind that its input asks for."""
    base = import_module("pygeoapi.process.base")

    def execute(data: dict[str, Any], outputs: object = None) -> tuple[str, Any]:
        if data["result"] == "failure":
            raise base.ProcessorExecuteError("too many clouds")
        return RESULTS[data["result"]]

    processor = base.BaseProcessor(definition, METADATA)
    processor.execute = execute
    return processor


def main(folder: Path) -> None:
    config, openapi = folder / "config.yml", folder / "openapi.json"
    os.environ |= {"PYGEOAPI_CONFIG": str(config), "PYGEOAPI_OPENAPI": str(openapi)}
    document = import_module("pygeoapi.openapi").generate_openapi_document(config, "json", False)
    openapi.write_text(document, encoding="utf-8")
    app = import_module("pygeoapi.flask_app").APP
    server = import_module("werkzeug.serving").make_server("127.0.0.1", 0, app, threaded=True)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
