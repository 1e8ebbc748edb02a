"""The sender Mailgun: an HMAC over a time and a token, all of them in the body. What else is in it is not signed."""

from __future__ import annotations

from ..responses import ResponseStatuses
from ..signatures.hmac_fields import HMACFields
from ..signatures.secrets import Secrets
from .base import Sender
from .page import Page
from .preset import LATE, Preset


def signature(secrets: Secrets, *, tolerance: float = LATE) -> HMACFields:
    """Return Mailgun's scheme (documentation.mailgun.com, "Securing webhooks").

    Args:
        secrets: the account's HTTP webhook signing key, or several while it is changed.
        tolerance: seconds that Mailgun's clock may be behind or ahead of ours.
    """
    return HMACFields(
        secrets,
        signature="signature.signature",
        signed=("signature.timestamp", "signature.token"),
        timestamp="signature.timestamp",
        id="signature.token",
        tolerance=tolerance,
    )


def mailgun(secret: Secrets, *, tolerance: float = LATE) -> Sender:
    """Return the sender Mailgun.

    Args:
        secret: the account's HTTP webhook signing key, or several while it is changed.
        tolerance: seconds that Mailgun's clock may be behind or ahead of ours.

    Raises:
        ConfigurationError: a secret or the tolerance cannot work.
    """
    return Sender(
        name="mailgun",
        responses=ResponseStatuses(stored=200),
        scheme=signature(secret, tolerance=tolerance),
        facts=(
            "mailgun 1.10.0 for Python, read in November 2026",
            "documentation.mailgun.com/docs/mailgun/user-manual/webhooks/webhook-retries, read in November 2026",
            "django-anymail 15.2 for Python (of a third party), read in November 2026",
        ),
        event_name="event-data.event",
    )


PRESETS = (
    Preset(
        "mailgun",
        "Mailgun",
        mailgun,
        signature,
        body=(
            b'{"signature": {"timestamp": "1765433012", "token": "t-1", "signature": '
            b'"d5c000d210e1cea6b4abbb7f456b61e3cbc09086815e5693f866898793366163"}, '
            b'"event-data": {"event": "delivered", "id": "e-1"}}'
        ),
        shape=("signature.token", "event-data"),
        page=Page(
            trade="mail",
            docs="documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks",
            setup=(
                "In the control panel, Send, Sending, Webhooks, add the URL for each event. The key is the account's "
                "HTTP webhook signing key."
            ),
            answer=(
                "200; else it is sent again for 8 hours, and not at all after a 406. Events of delivery are never sent "
                "again."
            ),
            traps=(
                "The event itself is not signed: who has seen one delivery can send another one with its signature. "
                "Each token is taken once, so such a one is a duplicate, if it does not come first.",
                "Its own library allows 15 minutes; here it is half a day, so that what is sent again for hours is "
                "taken.",
            ),
            verified=("mailgun 1.10.0 (Python)", "2026-11-29"),
        ),
    ),
)
