#!/usr/bin/env bash
# What surprises: resend.Webhooks.verify of Resend's library for Python takes the body as bytes, as every framework
# hands it over, raises no TypeError, and says "no matching signature found" of each genuine delivery: it signs the text
# that Python shows for the bytes, b'...' with the quotes. The same body as a text verifies. The message sends one to
# look for a wrong secret.
#
# What a receiver should do: keep the body's bytes, and give a library what it signs: here `body.decode()`. Where a
# genuine delivery is rejected, try the other type before the secret is changed.
#
# Measured with resend 2.51.0 on CPython 3.11. Fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check resend==2.51.0
cat > "$work/probe.py" <<'PYTHON'
import base64
import hashlib
import hmac
import time
from importlib.metadata import version

import resend

SECRET = "whsec_YS1zZWNyZXQtZm9yLXRlc3Rz"
BODIES = [b'{"type": "email.sent"}', '{"type": "email.sent", "subject": "caf\u00e9"}'.encode(), b'{}']


def verified(payload: object, body: bytes) -> str:
    now = str(int(time.time()))
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    digest = hmac.digest(key, b"msg_7." + now.encode() + b"." + body, hashlib.sha256)
    headers = {"id": "msg_7", "timestamp": now, "signature": "v1," + base64.b64encode(digest).decode()}
    try:
        return repr(resend.Webhooks.verify({"payload": payload, "headers": headers, "webhook_secret": SECRET}))
    except Exception as error:
        return f"{type(error).__name__}: {error}"


print("resend", version("resend"))
for body in BODIES:
    as_text, as_bytes = verified(body.decode(), body), verified(body, body)
    print(f"{body!r}\n    as text:  {as_text}\n    as bytes: {as_bytes}")
    assert not as_text.startswith("ValueError")
    assert as_bytes == "ValueError: no matching signature found"
PYTHON
"$work/venv/bin/python" "$work/probe.py"
