#!/usr/bin/env bash
# What surprises: the functions by which Liveblocks and Polar have webhooks verified in Python know the names of today's
# events, and raise for a genuine delivery with any other: after the signature was found to be right. The sender may add
# an event whenever it likes, and it goes to every endpoint that takes all events. Liveblocks raises the same ValueError
# as for a wrong signature, with another message; Polar an error of its own. Code that answers 400 or 500 to what is
# raised has the sender try again for days, and in the end turn the endpoint off, over an event that nobody has asked
# for.
#
# What a receiver should do: verify first, answer 2xx, and look at the name then; take an unknown name for no error, and
# a new value of a known field neither. Where a library does both in one, catch its error for unknown names apart.
#
# Measured with liveblocks 3.23.0 and polar-sdk 1.0.2 on CPython 3.11. Fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check liveblocks==3.23.0 polar-sdk==1.0.2
cat > "$work/probe.py" <<'PYTHON'
import base64
import hashlib
import hmac
import json
import time
from importlib.metadata import version

from liveblocks.webhooks import WebhookHandler
from polar.v2026_10.webhooks import validate_event

SECRET = "whsec_YS1zZWNyZXQtZm9yLXRlc3Rz"


def headers_of(body: str, key: bytes) -> dict[str, str]:
    now = str(int(time.time()))
    digest = hmac.digest(key, f"msg_7.{now}.{body}".encode(), hashlib.sha256)
    signature = "v1," + base64.b64encode(digest).decode()
    return {"webhook-id": "msg_7", "webhook-timestamp": now, "webhook-signature": signature}


def by_liveblocks(body: str, *, right: bool = True) -> object:
    key = base64.b64decode(SECRET.removeprefix("whsec_")) if right else b"another"
    return WebhookHandler(SECRET).verify_request(headers=headers_of(body, key), raw_body=body)


def by_polar(body: str, *, right: bool = True) -> object:
    return validate_event(body, headers_of(body, SECRET.encode() if right else b"another"), SECRET)
EVENTS = {
    by_liveblocks: ("userEntered", "roomArchived"),
    by_polar: ("checkout.expired", "checkout.archived"),
}
print("liveblocks", version("liveblocks"), "polar-sdk", version("polar-sdk"))
for library, (known, unknown) in EVENTS.items():
    raised = {}
    for name, right in ((known, True), (unknown, True), (unknown, False)):
        try:
            library(json.dumps({"type": name, "timestamp": "2026-11-28T00:00:00Z", "data": {}}), right=right)
            raised[name, right] = None
        except Exception as error:
            raised[name, right] = error
        print(f"{library.__name__}: {name}, signature {right}: {raised[name, right]!r}")
    assert "nown" not in repr(raised[known, True]), "it knows this one"
    assert "nknown" in repr(raised[unknown, True])
    assert raised[unknown, False] is not None and "nknown" not in repr(raised[unknown, False])
PYTHON
"$work/venv/bin/python" "$work/probe.py"
