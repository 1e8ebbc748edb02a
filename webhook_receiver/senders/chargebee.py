"""The sender Chargebee: nothing is signed, and a user name and a password let it in."""

from __future__ import annotations

from functools import partial

from ..signatures.secrets import Secrets
from ..signatures.shared_secret import BasicAuth
from .base import Sender
from .page import Page
from .preset import Preset

USERNAME = "webhook"
"""The user name, if no other one is said."""

signature = partial(BasicAuth, username=USERNAME)


def chargebee(secret: Secrets, *, username: str = USERNAME) -> Sender:
    """Return the sender Chargebee.

    Args:
        secret: the password that the webhook's settings have, or several while it is changed.
        username: the user name that they have.

    Raises:
        ConfigurationError: the user name or a password cannot work.
    """
    return Sender(
        name="chargebee",
        scheme=BasicAuth(secret, username=username),
        facts=("chargebee 3.33.0 for Node and 3.29.0 for Python, read in November 2026",),
        event_name="event_type",
        delivery_id_path="id",
    )


PRESETS = (
    Preset(
        "chargebee",
        "Chargebee",
        chargebee,
        signature,
        shape=("event_type", "content", "api_version"),
        page=Page(
            trade="payments",
            docs="www.chargebee.com/docs/billing/2.0/site-configuration/webhook_settings",
            setup=(
                "In Settings, Configure Chargebee, Webhooks, add one with an https URL, and protect it by basic "
                f"authentication: the user name {USERNAME} and a password of your own."
            ),
            traps=("Nothing is signed: who knows the password can make any event.",),
            verified=("chargebee 3.33.0 (Node)", "2026-11-29"),
        ),
    ),
)
