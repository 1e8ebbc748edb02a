"""The sender Asana: an HMAC over the body, by a secret that Asana tells while a webhook is created."""

from __future__ import annotations

from ..responses import ResponseStatuses
from ..signatures.hmac_body import HMACBody
from ..signatures.learnt_secret import ToldSecrets
from ..signatures.secrets import Secrets
from .base import Sender
from .challenges import told
from .page import Page
from .preset import Preset
from .split import Split


def signature(secrets: Secrets) -> HMACBody:
    """Return Asana's scheme (developers.asana.com/docs/webhooks-guide).

    Args:
        secrets: the secret that was told in `X-Hook-Secret`, or several.
    """
    return HMACBody(secrets, signature="x-hook-signature")


def asana(secret: ToldSecrets) -> Sender:
    """Return the sender Asana.

    Args:
        secret: a `LearntSecret`, open while you create the webhook, or the secret that was told before; several of both
            for several webhooks.

    Raises:
        ConfigurationError: a secret cannot work.
    """
    secrets, challenges = told("header:x-hook-secret", secret)
    return Sender(
        name="asana",
        responses=ResponseStatuses(stored=200),
        scheme=signature(secrets),
        facts=("n8n-nodes-base 2.41.2 (of a third party), run in November 2026; asana 5.4.0 for Python, read",),
        split=Split("events.*"),
        event_name=("{resource.resource_type}.{action}", "action"),
        challenges=challenges,
    )


PRESETS = (
    Preset(
        "asana",
        "Asana",
        asana,
        signature,
        ("x-hook-signature",),
        tells="header:x-hook-secret",
        page=Page(
            arguments=('LearntSecret("asana.secret")',),
            imports=("from webhook_receiver.signatures.learnt_secret import LearntSecret",),
            trade="business",
            docs="developers.asana.com/docs/webhooks-guide",
            setup=(
                "Create a webhook by the API, with the URL as target, while a LearntSecret is open and the receiver "
                "runs: before it answers, Asana tells the secret in the header X-Hook-Secret."
            ),
            traps=(
                "A delivery holds several events, or none: that is a heartbeat.",
                "Each webhook has its own secret.",
            ),
            verified=("n8n-nodes-base 2.41.2 (Node)", "2026-11-29"),
        ),
    ),
)
