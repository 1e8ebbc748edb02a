"""slack_bolt's async app by its own ASGI adapter. The request is signed by slack_sdk."""

# pyright: reportMissingImports=false
# It runs in an environment of its own.

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from slack_bolt.adapter.asgi.async_handler import AsyncSlackRequestHandler
from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.signature import SignatureVerifier

from .serving import SECRET, Ran, padded, request, serve

ran = Ran()


async def authorize(**_: Any) -> AuthorizeResult:
    """Take every workspace: no token is looked up, and nobody is asked."""
    return AuthorizeResult(enterprise_id=None, team_id="T1", bot_token="xoxb-1", bot_id="B1", bot_user_id="U9")


app = AsyncApp(signing_secret=SECRET, authorize=authorize)


async def mentioned(event: dict[str, Any]) -> None:
    ran.count += 1


app.event("app_mention")(mentioned)


def requests() -> Iterator[bytes]:
    signer = SignatureVerifier(SECRET)
    event = {"type": "app_mention", "user": "U1", "channel": "C1", "ts": "1515449522.000016"}
    body = padded({"type": "event_callback", "team_id": "T1", "event_id": "Ev1", "event": event}, "event")
    while True:
        now = str(int(time.time()))
        signature = signer.generate_signature(timestamp=now, body=body)
        given = [
            ("content-type", "application/json"),
            ("x-slack-request-timestamp", now),
            ("x-slack-signature", str(signature)),
        ]
        yield request("/slack/events", given, body)


if __name__ == "__main__":
    serve(AsyncSlackRequestHandler(app), requests(), ran)
