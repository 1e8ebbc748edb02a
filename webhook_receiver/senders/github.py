"""The sender GitHub: an HMAC over the body. Event name and delivery id are in headers that are not signed."""

from __future__ import annotations

from ..signatures.hmac_body import HMACBody
from ..signatures.secrets import Secrets
from .base import Sender
from .form import form_document
from .preset import Preset


def signature(secrets: Secrets) -> HMACBody:
    """Return GitHub's scheme (docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries)."""
    return HMACBody(secrets, signature="x-hub-signature-256", prefix="sha256=")


def github(secret: Secrets) -> Sender:
    """Return the sender GitHub.

    Args:
        secret: the webhook's secret, or several while it is changed.

    Raises:
        ConfigurationError: a secret cannot work.
    """
    return Sender(
        name="github",
        scheme=signature(secret),
        facts=(
            "docs.github.com/en/webhooks, read in November 2026",
            "signatures compared with gidgethub and octokit, see tests/signatures/test_peers.py",
        ),
        decode=form_document,  # of "content type": application/x-www-form-urlencoded, which its form preselects
        event_header="X-GitHub-Event",
        delivery_id="X-GitHub-Delivery",
    )


PRESETS = (Preset("github", "GitHub", github, signature, ("x-hub-signature-256",)),)
