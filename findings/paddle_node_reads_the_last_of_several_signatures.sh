#!/usr/bin/env bash
# What surprises: `Paddle-Signature` may have `h1=` several times, as while the secret of a destination is changed.
# Paddle's library for Python compares with each of them. Its library for Node.js keeps the last one only: a genuine
# delivery verifies with one of the two secrets, and is rejected with the other one, by nothing but their order. Also,
# it takes one secret at a time, where the one for Python takes a list.
#
# What a receiver should do: compare with each of the signatures in a header, and give a scheme the old secret and the
# new one while a secret is changed. Before a change, see whether the library in use takes both.
#
# Measured with paddle-python-sdk 1.16.1 on CPython 3.11 and @paddle/paddle-node-sdk 3.10.0 on Node.js. Fails if that
# changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check paddle-python-sdk==1.16.1
npm install --silent --no-audit --no-fund --prefix "$work" @paddle/paddle-node-sdk@3.10.0
cat > "$work/probe.py" <<'PYTHON'
import hashlib
import hmac
import json
import subprocess
import sys
import time
from importlib.metadata import version
from types import SimpleNamespace

from paddle_billing.Notifications import Secret, Verifier

OLD, NEW, BODY = "pdl_ntfset_old", "pdl_ntfset_new", '{"event_type": "transaction.paid"}'


def header(*secrets: str) -> str:
    now = int(time.time())
    digests = [hmac.digest(secret.encode(), f"{now}:{BODY}".encode(), hashlib.sha256).hex() for secret in secrets]
    return f"ts={now};" + ";".join(f"h1={digest}" for digest in digests)


def in_python(value: str, secret: str) -> bool:
    body = BODY.encode()
    request = SimpleNamespace(headers={"Paddle-Signature": value}, body=body, content=body, data=body)
    try:
        return bool(Verifier().verify(request, Secret(secret)))
    except ConnectionRefusedError:
        return False


def in_node(value: str, secret: str) -> bool:
    done = subprocess.run(["node", sys.argv[1], BODY, secret, value], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


print("paddle-python-sdk", version("paddle-python-sdk"))
seen = {}
for what, secrets in {"old": (OLD,), "old, new": (OLD, NEW), "new, old": (NEW, OLD)}.items():
    for mine in (OLD, NEW):
        seen[what, mine] = in_python(header(*secrets), mine), in_node(header(*secrets), mine)
        print(f"signed with {what:8} read with {mine}: Python {seen[what, mine][0]}, Node.js {seen[what, mine][1]}")
assert seen == {
    ("old", OLD): (True, True),
    ("old", NEW): (False, False),
    ("old, new", OLD): (True, False),
    ("old, new", NEW): (True, True),
    ("new, old", OLD): (True, True),
    ("new, old", NEW): (True, False),
}, "the behaviour has changed"
PYTHON
cat > "$work/probe.cjs" <<'JAVASCRIPT'
const { Paddle } = require("@paddle/paddle-node-sdk");
const [body, secret, header] = process.argv.slice(2);
new Paddle("a key").webhooks.isSignatureValid(body, secret, header).then((valid) => console.log(JSON.stringify(valid)));
JAVASCRIPT
"$work/venv/bin/python" "$work/probe.py" "$work/probe.cjs"
