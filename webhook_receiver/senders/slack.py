"""The sender Slack: an HMAC over a version, a time and the body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel

from ..events import Event
from ..signatures.hmac_body import HMACBody
from ..signatures.secrets import Secrets
from .base import Sender
from .challenges import echo, ping
from .form import form_document
from .page import Page
from .preset import Preset


def signature(secrets: Secrets, *, tolerance: float = 300) -> HMACBody:
    """Return Slack's scheme (docs.slack.dev/authentication/verifying-requests-from-slack).

    Args:
        secrets: the app's signing secret, or several while it is changed.
        tolerance: seconds that Slack's clock may be behind or ahead of ours.
    """
    return HMACBody(
        secrets,
        signature="x-slack-signature",
        prefix="v0=",
        timestamp="x-slack-request-timestamp",
        signed="v0:{timestamp}:{body}",
        tolerance=tolerance,
    )


def slack(secret: Secrets, *, tolerance: float = 300) -> Sender:
    """Return the sender Slack.

    Args:
        secret: the app's signing secret, or several while it is changed.
        tolerance: seconds that Slack's clock may be behind or ahead of ours.

    Raises:
        ConfigurationError: a secret or the tolerance cannot work.
    """
    return Sender(
        name="slack",
        scheme=signature(secret, tolerance=tolerance),
        facts=(
            "docs.slack.dev/authentication/verifying-requests-from-slack, read in November 2026",
            "signatures compared with slack_sdk, see tests/signatures/test_peers.py",
            "slack_bolt 1.30.0, @slack/bolt 5.1.0: url_verification is signed, and answered by its challenge as JSON; "
            "the form ssl_check=1 with a token is not signed, and answered by 200",
            "docs.slack.dev/interactivity/handling-user-interaction: a form with JSON in its field payload",
            "docs.slack.dev/interactivity/implementing-slash-commands: a form of plain fields",
        ),
        decode=form_document,
        event_name=("event.type", "command", "type"),
        challenges=(
            echo("body:challenge", where={"body:type": "url_verification"}, key="challenge"),
            ping(where={"form:ssl_check": "1"}, only=("form:ssl_check", "form:token"), signed=False),
        ),
        delivery_id_path="event_id",  # docs.slack.dev/apis/events-api
    )


class Said(BaseModel, frozen=True, extra="allow", hide_input_in_errors=True):
    """What was said in a channel. A message of an app or with a subtype may lack its user or text."""

    channel: str
    ts: str
    user: str | None = None
    text: str | None = None


class AppMention(Event, frozen=True):
    """The event `app_mention`: somebody named the app."""

    event: Literal["app_mention"]
    team_id: str
    event_id: str
    event_time: int
    body: Said


class Message(Event, frozen=True):
    """The event `message`: somebody, maybe the app itself, wrote into a conversation."""

    event: Literal["message"]
    team_id: str
    event_id: str
    event_time: int
    body: Said


SAMPLES: Mapping[str, Mapping[str, Any]] = {
    "app_mention": {
        "token": "XXYYZZ",
        "team_id": "T061EG9R6",
        "api_app_id": "A0FFV41KK",
        "event": {
            "type": "app_mention",
            "user": "U061F7AUR",
            "text": "<@U0LAN0Z89> where is my parcel?",
            "ts": "1764000188.000200",
            "channel": "C061EG9SL",
            "event_ts": "1764000188.000200",
        },
        "type": "event_callback",
        "event_id": "Ev9UQ52YNA",
        "event_time": 1764000188,
        "authed_users": ["U061F7AUR"],
    },
    "app_rate_limited": {
        "token": "XXYYZZ",
        "type": "app_rate_limited",
        "team_id": "T061EG9R6",
        "minute_rate_limited": 1764000180,
        "api_app_id": "A0FFV41KK",
    },
}
"""A few members each of the documents that docs.slack.dev/apis/events-api describes; the values are made up."""

PRESETS = (
    Preset(
        "slack",
        "Slack",
        slack,
        signature,
        ("x-slack-signature", "x-slack-request-timestamp"),
        samples=SAMPLES,
        events=(AppMention, Message),
        page=Page(
            trade="chat",
            docs="docs.slack.dev/apis/events-api",
            setup=(
                "In the app's settings at api.slack.com/apps: the URL under Event Subscriptions, the signing secret "
                "under Basic Information. The receiver has to run when you save the URL, which is a challenge."
            ),
            answer="Any 2xx within 3 seconds; else an event is sent again up to 3 times.",
            traps=("Slash commands and interactions are forms, and each has a URL of its own in the settings.",),
            verified=("slack_sdk 3.47.0 (Python), @slack/bolt 5.1.0 (Node)", "2026-11-29"),
        ),
    ),
)
