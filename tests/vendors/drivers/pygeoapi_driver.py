"""Runs processes of pygeoapi with callbacks, in an environment of its own: `pygeoapi_driver.py FOLDER URL SECRET`.

The last line is JSON: for each job the status that pygeoapi keeps.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from typing import Any

base, tinydb = import_module("pygeoapi.process.manager.base"), import_module("pygeoapi.process.manager.tinydb_")

FOLDER, URL, SECRET = sys.argv[1:]
NOWHERE = "http://127.0.0.1:9"  # the port of discard, where nobody listens


def subscriber(job: str, success: str = URL) -> Any:
    return base.Subscriber(
        success_uri=f"{success}/{job}/successful/{SECRET}",
        in_progress_uri=f"{URL}/{job}/running/{SECRET}",
        failed_uri=f"{URL}/{job}/failed/{SECRET}",
    )


manager = tinydb.TinyDBManager({"name": "TinyDB", "connection": f"{FOLDER}/jobs.db", "output_dir": FOLDER})
manager.processes = {"hello-world": {"type": "process", "processor": {"name": "HelloWorld"}}}
statuses: dict[str, str] = {}
for job, data, to in (
    ("done", {"name": "a"}, subscriber("done")),
    ("broken", {}, subscriber("broken")),
    ("unheard", {"name": "b"}, subscriber("unheard", NOWHERE)),
):
    _, _, _, status, _ = manager.execute_process("hello-world", data, subscriber=to)
    statuses[job] = status.value
print(json.dumps(statuses))
