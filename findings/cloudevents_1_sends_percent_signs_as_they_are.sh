#!/usr/bin/env bash
# What surprises: an attribute of a CloudEvent in the binary mode is a header, and its value is percent-encoded
# (HTTP Protocol Binding 1.0.2, section 3.1.3.2). Version 2 of the package cloudevents for Python does that in both
# directions; version 1, to which senders in the field of satellite images are pinned, in none. So an attribute that
# version 1 sends with a percent sign is another one for each receiver that keeps to the specification: the id
# "scenes%2F7" arrives as "scenes/7". Two events whose ids differ in this alone become one, and the second is dropped
# for a duplicate; and an id that the receiver gives back is not known at the sender. The other way round a receiver with
# version 1 keeps the escapes: "Müggelsee" of version 2 arrives as "M%C3%BCggelsee". Neither says a word, and in the
# structured mode nothing of this happens.
#
# What a receiver should do: ask senders for the structured mode; else decode as the specification says, and know that
# ids and subjects with a percent sign may have been decoded once too often or too seldom.
#
# Measured with cloudevents 1.13.0 and 2.2.0 on CPython 3.11. Fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for version in 1.13.0 2.2.0; do
    python3 -m venv "$work/$version"
    "$work/$version/bin/pip" install --quiet --disable-pip-version-check "cloudevents==$version"
done
cat > "$work/one.py" <<'PYTHON'
"""Writes or reads ids and subjects of CloudEvents by the version that is installed: `write MODE`, or `read`."""

import json
import sys
from importlib.metadata import version

ATTRIBUTES = {"specversion": "1.0", "type": "scene.ready", "source": "/scenes", "datacontenttype": "application/json"}
given = json.load(sys.stdin)
if version("cloudevents").startswith("1."):
    from cloudevents.conversion import to_binary, to_structured
    from cloudevents.http import CloudEvent, from_http

    write = {"binary": to_binary, "structured": to_structured}

    def read(headers: dict[str, str], body: str) -> list[str]:
        event = from_http(headers, body.encode())
        return [event["id"], event["subject"]]
else:
    from cloudevents.core.bindings.http import HTTPMessage, from_http_event, to_binary_event, to_structured_event
    from cloudevents.core.v1.event import CloudEvent

    write = {"binary": to_binary_event, "structured": to_structured_event}

    def read(headers: dict[str, str], body: str) -> list[str]:
        event = from_http_event(HTTPMessage(headers, body.encode()))
        return [event.get_id(), event.get_subject()]


if sys.argv[1] == "write":
    found = []
    for id, subject in given:
        message = write[sys.argv[2]](CloudEvent(ATTRIBUTES | {"id": id, "subject": subject}, {}))
        headers, body = message if isinstance(message, tuple) else (message.headers, message.body)
        found.append([headers, body.decode()])
else:
    found = [read(*message) for message in given]
print(json.dumps(found))
PYTHON
cat > "$work/probe.py" <<'PYTHON'
import json
import subprocess

OLD, NEW = "1.13.0", "2.2.0"
EVENTS = [["scenes%2F7", "Müggelsee"], ["scenes/7", "100 %"]]


def run(version: str, given: object, *arguments: str) -> list[list[str]]:
    command = [f"{version}/bin/python", "one.py", *arguments]
    done = subprocess.run(command, input=json.dumps(given), stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


print("ids and subjects that are sent:", EVENTS)
seen = {}
for mode in ("binary", "structured"):
    for sender in (OLD, NEW):
        for reader in (OLD, NEW):
            seen[mode, sender, reader] = run(reader, run(sender, EVENTS, "write", mode), "read")
            print(f"{mode:10} cloudevents {sender:6} to cloudevents {reader:6}: {seen[mode, sender, reader]}")
assert all(seen["structured", sender, reader] == EVENTS for sender in (OLD, NEW) for reader in (OLD, NEW))
assert seen["binary", OLD, OLD] == seen["binary", NEW, NEW] == EVENTS
assert seen["binary", OLD, NEW] == [["scenes/7", "Müggelsee"], ["scenes/7", "100 %"]]
assert seen["binary", NEW, OLD] == [["scenes%252F7", "M%C3%BCggelsee"], ["scenes/7", "100%20%25"]]
PYTHON
cd "$work"
timeout 120 python3 probe.py
