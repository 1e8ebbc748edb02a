#!/usr/bin/env bash
# What surprises: the time of a CloudEvent is optional, and an event that comes without one has none. The libraries of
# the project for Python and for JavaScript put in the time at which they read it, when they read: nothing says that it
# is not the sender's. One delivery, read twice, is two events with two times; and where the event is written out again,
# nobody can tell the time from a real one.
#
# What a receiver should do: keep the headers and bytes as they came, and look there whether a time was sent; and know a
# duplicate by source and id, never by comparing two events that were read.
#
# Measured with cloudevents 2.2.0 on CPython 3.11 and cloudevents 10.0.0 on Node.js. Fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check cloudevents==2.2.0
npm install --silent --no-audit --no-fund --prefix "$work" cloudevents@10.0.0
cat > "$work/probe.py" <<'PYTHON'
import time
from importlib.metadata import version

from cloudevents.core.bindings.http import HTTPMessage, from_http_event

print("Python: cloudevents", version("cloudevents"))
SENT = {"ce-specversion": "1.0", "ce-source": "/parcels", "ce-type": "parcel.lost", "content-type": "application/json"}


def read() -> object:
    return from_http_event(HTTPMessage(headers={**SENT, "ce-id": "7"}, body=b"{}")).get_time()


first = read()
time.sleep(0.01)
second = read()
print("Python: one delivery without a time, read twice:", first, second, sep="\n    ")
assert first is not None and first != second
PYTHON
cat > "$work/probe.cjs" <<'JAVASCRIPT'
const assert = require("assert");
const { HTTP } = require("cloudevents");
const { version } = JSON.parse(require("fs").readFileSync(`${__dirname}/node_modules/cloudevents/package.json`));
console.log("Node.js: cloudevents", version);
const sent = { "ce-specversion": "1.0", "ce-source": "/parcels", "ce-type": "parcel.lost", "ce-id": "7" };
const read = () => HTTP.toEvent({ headers: { ...sent, "content-type": "application/json" }, body: "{}" });
const first = read();
setTimeout(() => {
  const second = read();
  console.log("Node.js: one delivery without a time, read twice:\n   ", first.time, "\n   ", second.time);
  assert(first.time && first.time !== second.time);
}, 10);
JAVASCRIPT
"$work/venv/bin/python" "$work/probe.py"
node "$work/probe.cjs"
