"""pygeoapi, pinned: its real server, which executes processes and keeps items, in an environment of its own."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from .environments import DRIVERS, newer_python, python_with

VERSION = "0.24.0"
VERIFIED = dict.fromkeys(("ogc-processes", "pygeoapi-pubsub"), (f"pygeoapi {VERSION} (Python)", "2026-11-29"))
"""The senders that it is, and when its server was last run against them."""
PYTHON = (3, 12)
"""The oldest Python on which it runs."""
COLLECTION = "scenes"
PATIENCE = 60.0  # seconds


class Pygeoapi:
    """A server that runs."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client

    def execute(
        self,
        process: str,
        inputs: Mapping[str, Any],
        subscriber: Mapping[str, str] | None = None,
        *,
        wait: bool = False,
    ) -> httpx.Response:
        """Execute a process; without `wait`, the server answers at once with the job.

        Args:
            process: the process, "hello-world" of pygeoapi or "own" of `drivers/pygeoapi_server.py`.
            inputs: its inputs.
            subscriber: the URLs that the server calls.
            wait: whether to wait for the results.
        """
        document = {"inputs": inputs} | ({} if subscriber is None else {"subscriber": subscriber})
        prefer = {} if wait else {"Prefer": "respond-async"}
        return self.client.post(f"/processes/{process}/execution", json=document, headers=prefer)

    def job(self, response: httpx.Response) -> dict[str, Any]:
        """Return the status of the job with which the server has answered."""
        path = httpx.URL(response.headers["location"]).path
        status: dict[str, Any] = self.client.get(path, params={"f": "json"}).raise_for_status().json()
        return status

    def wait_for_end(self, response: httpx.Response) -> None:
        """Wait until the job with which the server has answered has ended."""
        end = time.monotonic() + PATIENCE
        while self.job(response)["status"] in ("accepted", "running"):
            assert time.monotonic() < end

    def change(self, method: str, id: str = "", item: Mapping[str, Any] | None = None) -> httpx.Response:
        """Change an item of the collection: POST without an id, PUT or DELETE."""
        path = f"/collections/{COLLECTION}/items" + (f"/{id}" if id else "")
        return self.client.request(method, path, json=item, headers={"Content-Type": "application/geo+json"})

    def items(self) -> list[str]:
        """Return the titles of the items of the collection."""
        found = self.client.get(f"/collections/{COLLECTION}/items", params={"f": "json"}).raise_for_status().json()
        return [each["properties"]["title"] for each in found["features"]]


@contextmanager
def running(broker: str | None = None) -> Generator[Pygeoapi]:
    """Run the server on the loopback; stop it at the end.

    Args:
        broker: the URL to which it publishes; None to publish nothing.
    """
    base = newer_python(PYTHON)
    if base is None:
        pytest.skip(f"pygeoapi {VERSION} runs on Python {'.'.join(map(str, PYTHON))} and newer, and none is here")
    python = python_with(f"pygeoapi-{VERSION}", [f"pygeoapi=={VERSION}"], base)
    with tempfile.TemporaryDirectory(prefix="pygeoapi-") as name, tempfile.TemporaryFile("w+") as said:
        folder = Path(name)
        (folder / "results").mkdir()
        (folder / "scenes.json").write_text('{"_default": {}}', encoding="utf-8")
        (folder / "config.yml").write_text(json.dumps(_config(folder, broker)), encoding="utf-8")  # JSON is YAML
        process = subprocess.Popen(
            [python, str(DRIVERS / "pygeoapi_server.py"), name], stdout=subprocess.PIPE, stderr=said, text=True
        )
        try:
            assert process.stdout is not None
            port = process.stdout.readline()
            said.seek(0)
            assert port, said.read()[-2000:]
            with httpx.Client(base_url=f"http://127.0.0.1:{int(port)}", timeout=PATIENCE) as client:
                yield Pygeoapi(client)
        finally:
            process.kill()
            process.communicate()


def _config(folder: Path, broker: str | None) -> dict[str, Any]:
    config: dict[str, Any] = {
        "server": {
            "bind": {"host": "127.0.0.1", "port": 0},
            "url": "http://pygeoapi.test",
            "mimetype": "application/json; charset=UTF-8",
            "encoding": "utf-8",
            "languages": ["en-US"],
            "limits": {"default_items": 10, "max_items": 10},
            "map": {"url": "", "attribution": ""},
            "manager": {
                "name": "TinyDB",
                "connection": str(folder / "jobs.json"),
                "output_dir": str(folder / "results"),
            },
        },
        "logging": {"level": "ERROR"},
        "metadata": {
            "identification": {"title": "-", "description": "-", "keywords": [], "terms_of_service": "-", "url": "-"},
            "license": {"name": "-", "url": "-"},
            "provider": {"name": "-", "url": "-"},
            "contact": {"name": "-"},
        },
        "resources": {
            # The receiver is on the loopback.
            process: {"type": "process", "processor": {"name": code}, "allow_internal_requests": True}
            for process, code in (("hello-world", "HelloWorld"), ("own", "pygeoapi_server.process"))
        }
        | {
            COLLECTION: {
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
                        "data": str(folder / "scenes.json"),
                        "id_field": "externalId",
                        "time_field": "recordCreated",
                        "title_field": "title",
                    }
                ],
            }
        },
    }
    if broker is not None:
        config["pubsub"] = {"name": "HTTP", "broker": {"url": broker}}
    return config
