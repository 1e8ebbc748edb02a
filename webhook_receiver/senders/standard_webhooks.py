"""The senders for services that follow Standard Webhooks (standardwebhooks.com), or deliver through Svix."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

from ..signatures.secrets import Secrets
from ..signatures.standard import StandardWebhooks
from .base import Sender
from .page import Page
from .preset import Preset

_FACTS = (
    "the specification of Standard Webhooks, version 1.0.0",
    "signatures compared with standardwebhooks and svix for Python, see tests/signatures/test_peers.py",
)
EXAMPLE = "whsec_YS1zZWNyZXQtZm9yLXRlc3Rz"
_svix_signature = partial(StandardWebhooks, headers="svix")


def standard_webhooks(
    secret: Secrets, *, key: Literal["base64", "text", "prefixed"] = "base64", tolerance: float = 300
) -> Sender:
    """Return a sender that follows Standard Webhooks; `dataclasses.replace(..., name=...)` gives it its name.

    Args:
        secret: the secret as the sender shows it, or several while it is changed; see `StandardWebhooks`.
        key: the form of the key in the secret; see `StandardWebhooks`.
        tolerance: seconds that the sender's clock may be behind or ahead of ours.

    Raises:
        ConfigurationError: a secret or the tolerance cannot work.
    """
    scheme = StandardWebhooks(secret, key=key, tolerance=tolerance)
    return Sender(name="standard-webhooks", scheme=scheme, facts=_FACTS, event_name="type")


def svix(secret: Secrets, *, tolerance: float = 300) -> Sender:
    """Return a sender that delivers through Svix. The arguments are as those of `standard_webhooks`."""
    return Sender(name="svix", scheme=_svix_signature(secret, tolerance=tolerance), facts=_FACTS, event_name="type")


def header_names(prefix: str) -> tuple[str, str, str]:
    """Return the names of the three headers."""
    return (f"{prefix}-signature", f"{prefix}-id", f"{prefix}-timestamp")


SAMPLES: Mapping[str, Mapping[str, Any]] = {
    "contact.created": {
        "type": "contact.created",
        "timestamp": "2022-11-03T20:26:10.344522Z",
        "data": {
            "id": "1f81eb52-5198-4599-803e-771906343485",
            "type": "contact",
            "first_name": "John",
            "last_name": "Smith",
        },
    }
}
"""An event in the form that the specification recommends: a type, a time and data."""

PRESETS = (
    Preset(
        "standard-webhooks",
        "Standard Webhooks",
        standard_webhooks,
        StandardWebhooks,
        header_names("webhook"),
        example=EXAMPLE,
        samples=SAMPLES,
        page=Page(
            trade="specifications",
            docs="standardwebhooks.com",
            setup="Each service that follows it shows a secret for each endpoint, mostly behind whsec_.",
            answer="Any 2xx. The specification has senders wait 15 to 30 seconds, and send again for days.",
            verified=("standardwebhooks 1.1.0 (Python), standardwebhooks 1.1.1 (Node)", "2026-11-29"),
        ),
    ),
    Preset(
        "svix",
        "Svix",
        svix,
        _svix_signature,
        header_names("svix"),
        example=EXAMPLE,
        samples=SAMPLES,
        page=Page(
            trade="specifications",
            docs="docs.svix.com/receiving/verifying-payloads/how",
            setup="In the portal of a service that sends by Svix, add an endpoint; its page shows the secret.",
            answer="Any 2xx within 15 seconds; else it is sent again for about 28 hours.",
            verified=("svix 2.9.1 (Python), svix 2.5.0 (Node)", "2026-11-29"),
        ),
    ),
)
