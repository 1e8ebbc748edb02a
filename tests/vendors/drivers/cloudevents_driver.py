"""Writes CloudEvents as the package of this name does: `python cloudevents_driver.py EVENT MODE`.

EVENT is a JSON document with the attributes and the data, MODE "binary" or "structured". Printed are the headers and
the body in base64, as JSON. It runs in an environment that has version 1 or 2 of the package.
"""

from __future__ import annotations

import json
import sys
from base64 import b64encode
from importlib import import_module
from importlib.metadata import version
from typing import Any


def written(event: dict[str, Any], mode: str) -> tuple[dict[str, str], bytes]:
    data = event.pop("data")
    if version("cloudevents").startswith("1."):
        headers, body = getattr(import_module("cloudevents.conversion"), f"to_{mode}")(
            import_module("cloudevents.http").CloudEvent(event, data)
        )
        return headers, body
    event["time"] = import_module("datetime").datetime.fromisoformat(event["time"])
    made = import_module("cloudevents.core.v1.event").CloudEvent(event, data)
    message = getattr(import_module("cloudevents.core.bindings.http"), f"to_{mode}_event")(made)
    return message.headers, message.body


if __name__ == "__main__":
    headers, body = written(json.loads(sys.argv[1]), sys.argv[2])
    print(json.dumps({"headers": headers, "body": b64encode(body).decode()}))
