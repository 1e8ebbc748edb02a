#!/usr/bin/env bash
# What surprises: Webhook.verify of svix returned the parsed body up to version 1, and returns nothing since version 2:
# None in Python, undefined in Node.js. Nothing fails at the upgrade. `event = webhook.verify(body, headers)` goes on
# without an event, and `if not webhook.verify(...)` rejects every genuine delivery. Its sister standardwebhooks, whose
# class has the same name and methods, still returns the parsed body. And version 2 verifies a body that is no JSON,
# where version 1 raised a JSON error for the same genuine delivery.
#
# What a receiver should do: take for the proof that verify did not raise, and nothing else; parse the body's bytes
# itself, afterwards; and count a verified body that is no JSON as authentic.
#
# Measured with svix 1.99.1 and 2.9.1 and standardwebhooks 1.1.0 on CPython 3.11, and svix 1.99.1 and 2.5.0 on Node.js.
# Fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat > "$work/probe.py" <<'PYTHON'
import sys
from datetime import UTC, datetime
from importlib.metadata import version

library = sys.argv[1]
if library == "svix":
    from svix.webhooks import Webhook
else:
    from standardwebhooks.webhooks import Webhook

SECRET = "whsec_YS1zZWNyZXQtZm9yLXRlc3Rz"
now = datetime.now(UTC)
for body in ('{"type": "parcel.lost"}', "parcel=lost"):
    signature = Webhook(SECRET).sign("msg_7", now, body)
    prefix = "svix" if library == "svix" else "webhook"
    values = {"id": "msg_7", "timestamp": str(int(now.timestamp())), "signature": signature}
    try:
        seen = repr(Webhook(SECRET).verify(body, {f"{prefix}-{key}": value for key, value in values.items()}))
    except Exception as error:
        seen = f"raised {type(error).__name__}"
    print(f"{library} {version(library)} Python: verify({body!r}) {seen}")
PYTHON
cat > "$work/probe.cjs" <<'JAVASCRIPT'
const { Webhook } = require("svix");
const { version } = JSON.parse(require("fs").readFileSync(`${__dirname}/node_modules/svix/package.json`));
const webhook = new Webhook("whsec_YS1zZWNyZXQtZm9yLXRlc3Rz");
const now = new Date();
for (const body of ['{"type": "parcel.lost"}', "parcel=lost"]) {
  const signature = webhook.sign("msg_7", now, body);
  const headers = { "svix-id": "msg_7", "svix-timestamp": `${Math.floor(now / 1000)}`, "svix-signature": signature };
  let seen;
  try {
    seen = JSON.stringify(webhook.verify(body, headers)) ?? "undefined";
  } catch (error) {
    seen = `raised ${error.name}`;
  }
  console.log(`svix ${version} Node.js: verify('${body}') ${seen}`);
}
JAVASCRIPT
for package in svix==1.99.1 svix==2.9.1 standardwebhooks==1.1.0; do
    python3 -m venv --clear "$work/venv"
    "$work/venv/bin/pip" install --quiet --disable-pip-version-check "$package"
    "$work/venv/bin/python" "$work/probe.py" "${package%%=*}" | tee -a "$work/seen"
done
for version in 1.99.1 2.5.0; do
    mkdir "$work/$version"
    npm install --silent --no-audit --no-fund --prefix "$work/$version" "svix@$version"
    cp "$work/probe.cjs" "$work/$version"
    node "$work/$version/probe.cjs" | tee -a "$work/seen"
done
diff "$work/seen" - <<'EXPECTED'
svix 1.99.1 Python: verify('{"type": "parcel.lost"}') {'type': 'parcel.lost'}
svix 1.99.1 Python: verify('parcel=lost') raised JSONDecodeError
svix 2.9.1 Python: verify('{"type": "parcel.lost"}') None
svix 2.9.1 Python: verify('parcel=lost') None
standardwebhooks 1.1.0 Python: verify('{"type": "parcel.lost"}') {'type': 'parcel.lost'}
standardwebhooks 1.1.0 Python: verify('parcel=lost') raised JSONDecodeError
svix 1.99.1 Node.js: verify('{"type": "parcel.lost"}') {"type":"parcel.lost"}
svix 1.99.1 Node.js: verify('parcel=lost') raised SyntaxError
svix 2.5.0 Node.js: verify('{"type": "parcel.lost"}') undefined
svix 2.5.0 Node.js: verify('parcel=lost') undefined
EXPECTED
