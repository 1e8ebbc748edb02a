"""The sender Zoom: an HMAC over a version, a time and the body. A token of its is to be sent back with an HMAC."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from ..events import Event
from ..responses import ResponseStatuses
from ..signatures.hmac_body import HMACBody
from ..signatures.secrets import Secrets
from .base import Sender
from .challenges import token_hmac
from .page import Page
from .preset import LATE, NOT_TOLD, Preset


def signature(secrets: Secrets) -> HMACBody:
    """Return Zoom's scheme (developers.zoom.us/docs/api/webhooks).

    Args:
        secrets: the app's secret token, or several while it is changed.
    """
    return HMACBody(
        secrets,
        signature="x-zm-signature",
        prefix="v0=",
        timestamp="x-zm-request-timestamp",
        signed="v0:{timestamp}:{body}",
        tolerance=LATE,
    )


class Meeting(BaseModel, frozen=True, extra="allow", hide_input_in_errors=True):
    """A meeting."""

    id: str | int
    uuid: str


class MeetingPayload(BaseModel, frozen=True, extra="allow", hide_input_in_errors=True):
    """What happened to which meeting of which account."""

    account_id: str
    object: Meeting


class MeetingChanged(Event, frozen=True):
    """The events `meeting.started`, `meeting.ended` and `recording.completed`."""

    event: Literal["meeting.started", "meeting.ended", "recording.completed"]
    event_ts: int
    """Milliseconds since 1970."""
    payload: MeetingPayload


def zoom(secret: Secrets) -> Sender:
    """Return the sender Zoom.

    Args:
        secret: the app's secret token, or several while it is changed: the first answers Zoom's challenges.

    Raises:
        ConfigurationError: a secret cannot work.
    """
    return Sender(
        name="zoom",
        responses=ResponseStatuses(stored=200),
        scheme=signature(secret),
        facts=("@zoom/rivet 0.4.0 for Node, run in November 2026",),
        challenges=(
            token_hmac(
                "body:payload.plainToken",
                secret,
                where={"body:event": "endpoint.url_validation"},
                key="encryptedToken",
                token_key="plainToken",  # noqa: S106
            ),
        ),
    )


PRESETS = (
    Preset(
        "zoom",
        "Zoom",
        zoom,
        signature,
        ("x-zm-signature", "x-zm-request-timestamp"),
        events=(MeetingChanged,),
        page=Page(
            trade="chat",
            docs="developers.zoom.us/docs/api/webhooks",
            setup=(
                "In the app's settings at the App Marketplace, Access, Event Subscriptions: the URL and the events; "
                "the secret token is beside them. The receiver has to run when you validate the URL."
            ),
            traps=(
                "The URL is validated again every 72 hours.",
                "Its own library writes the JSON anew before it verifies, and so rejects some genuine spellings.",
                NOT_TOLD,
            ),
            verified=("@zoom/rivet 0.4.0 (Node)", "2026-11-29"),
        ),
    ),
)
