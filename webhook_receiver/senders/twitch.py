"""The sender Twitch: an HMAC over id, time and body. A subscription begins with a challenge."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from ..events import Event
from ..signatures.hmac_body import HMACBody
from ..signatures.secrets import Secrets
from .base import Sender
from .challenges import echo
from .page import Page
from .preset import Preset
from .split import Split


def signature(secrets: Secrets, *, tolerance: float = 600) -> HMACBody:
    """Return Twitch's scheme (dev.twitch.tv/docs/eventsub/handling-webhook-events).

    Args:
        secrets: the subscription's secret, or several while it is changed.
        tolerance: seconds that Twitch's clock may be behind or ahead of ours.
    """
    return HMACBody(
        secrets,
        signature="twitch-eventsub-message-signature",
        prefix="sha256=",
        id="twitch-eventsub-message-id",
        timestamp="twitch-eventsub-message-timestamp",
        timestamp_format="rfc3339",
        signed="{id}{timestamp}{body}",
        tolerance=tolerance,
    )


class Subscription(BaseModel, frozen=True, extra="allow", hide_input_in_errors=True):
    """The subscription that an event is of."""

    id: str
    type: str
    version: str
    status: str
    """"enabled", or in a revocation why it has ended."""


class Broadcaster(BaseModel, frozen=True, extra="allow", hide_input_in_errors=True):
    """What happened to a broadcaster."""

    broadcaster_user_id: str
    broadcaster_user_login: str
    broadcaster_user_name: str


class ChannelChanged(Event, frozen=True):
    """The events `stream.online`, `stream.offline`, `channel.follow` and `channel.update`; or their revocation."""

    event: Literal["stream.online", "stream.offline", "channel.follow", "channel.update"]
    subscription: Subscription
    body: Broadcaster | None = None
    """What happened; None in a revocation."""


def twitch(secret: Secrets, *, tolerance: float = 600) -> Sender:
    """Return the sender Twitch (EventSub).

    Args:
        secret: the subscription's secret, or several while it is changed.
        tolerance: seconds that Twitch's clock may be behind or ahead of ours.

    Raises:
        ConfigurationError: a secret or the tolerance cannot work.
    """
    return Sender(
        name="twitch",
        scheme=signature(secret, tolerance=tolerance),
        facts=(
            "@twurple/eventsub-http 8.1.4 for Node, twitchAPI 4.5.0 and twitchio 3.3.2 for Python (of third parties), "
            "run in November 2026",
        ),
        split=Split("events.*", {"subscription": "subscription"}),
        event_name=("subscription.type", "header:Twitch-Eventsub-Subscription-Type"),  # the header is not signed
        challenges=(
            echo(
                "body:challenge",
                where={"body:subscription.status": "webhook_callback_verification_pending"},  # no header is signed
            ),
        ),
    )


PRESETS = (
    Preset(
        "twitch",
        "Twitch",
        twitch,
        signature,
        ("twitch-eventsub-message-signature", "twitch-eventsub-message-id", "twitch-eventsub-message-timestamp"),
        events=(ChannelChanged,),
        page=Page(
            trade="media",
            docs="dev.twitch.tv/docs/eventsub/handling-webhook-events",
            setup=(
                "Create an EventSub subscription by the API, with the URL as callback and a secret of your own, of 10 "
                "to 100 characters. The receiver has to run then."
            ),
            answer="Any 2xx within 10 seconds.",
            traps=(
                "A revocation has the name of the revoked event, and no member event: subscription.status says why.",
            ),
            verified=("@twurple/eventsub-http 8.1.4 (Node)", "2026-11-29"),
        ),
    ),
)
