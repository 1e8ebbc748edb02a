"""The sender PayPal: RSA, by a certificate of PayPal's, over an id, a time, the webhook's id, and a sum of the body."""

from __future__ import annotations

import re

from ..errors import ConfigurationError
from ..signatures import http_get
from ..signatures.body_forms import crc32_decimal
from ..signatures.http_get import Fetch
from ..signatures.keys_by_id import KeysById
from ..signatures.public_key_body import PublicKeyBody
from ..signatures.secrets import Secrets
from .base import Sender
from .catalogue.examples import RSA_KEY
from .page import Page
from .preset import LATE, Preset

CERTIFICATES = r"https://api\.(?:sandbox\.)?paypal\.com/v1/notifications/certs/[A-Za-z0-9-]{1,100}"
"""The URLs of PayPal's certificates: no other one is ever requested, whatever a delivery says."""

_WEBHOOK_ID = re.compile(r"[A-Za-z0-9-]{0,100}")


def certificates(fetch: Fetch = http_get.get) -> KeysById:
    """Return PayPal's certificates, each fetched from PayPal with the first delivery that names it. Needs `[standard]`.

    Args:
        fetch: an async function of a URL that returns the document there, or raises KeysUnavailable.
    """
    http_get.check_client()
    return KeysById(fetch, pattern=CERTIFICATES)


def signature(secrets: Secrets | KeysById, *, webhook_id: str = "") -> PublicKeyBody:
    """Return PayPal's scheme (developer.paypal.com/api/rest/webhooks/rest).

    Args:
        secrets: PayPal's certificates, or other keys for tests.
        webhook_id: the id of the webhook, which is signed.
    """
    if not _WEBHOOK_ID.fullmatch(webhook_id):
        raise ConfigurationError("webhook_id is the id of the webhook as PayPal shows it, such as 8PT597110X687430L")
    return PublicKeyBody(
        secrets,
        algorithm="rsa-v1_5-sha256",
        signature="paypal-transmission-sig",
        timestamp="paypal-transmission-time",
        timestamp_format="rfc3339",
        id="paypal-transmission-id",
        signed="{id}|{timestamp}|" + webhook_id + "|{body}",
        body_form=crc32_decimal,
        key_id="paypal-cert-url" if isinstance(secrets, KeysById) else None,
        tolerance=LATE,
    )


def paypal(secret: Secrets | KeysById | None = None, *, webhook_id: str = "") -> Sender:
    """Return the sender PayPal.

    Args:
        secret: other keys than PayPal's, for tests; None for PayPal's certificates, which are fetched from PayPal.
        webhook_id: the id of the webhook, as PayPal shows it. PayPal's certificates sign for anybody's webhooks, so it
            is needed with them.

    Raises:
        ConfigurationError: `webhook_id` is missing, a key cannot work, or an extra is missing.
    """
    if secret is None and not webhook_id:
        raise ConfigurationError("paypal(webhook_id=...) needs the id of the webhook: PayPal signs for anybody's")
    return Sender(
        name="paypal",
        scheme=signature(certificates() if secret is None else secret, webhook_id=webhook_id),
        facts=(
            "dj-paypal-checkout 0.4.0 for Python (of a third party), run in November 2026; paypalrestsdk 1.13.3, read",
            "developer.paypal.com/api/rest/webhooks/rest, read in November 2026",
        ),
        event_name="event_type",
    )


PRESETS = (
    Preset(
        "paypal",
        "PayPal",
        paypal,
        signature,
        ("paypal-transmission-sig", "paypal-transmission-id", "paypal-transmission-time"),
        example=RSA_KEY,
        marks=("paypal-cert-url", "paypal-auth-algo", "paypal-auth-version"),
        page=Page(
            trade="payments",
            docs="developer.paypal.com/api/rest/webhooks/rest",
            setup=(
                "In the app's settings, or by the API, add a webhook with the URL, on port 443, and the events; say "
                "paypal(webhook_id=...) with its id. There is no secret."
            ),
            answer="Any 2xx; else it is sent again up to 25 times in 3 days.",
            traps=(
                "Of the body a checksum is signed (CRC-32), which anybody can keep while he changes the body: who has "
                "seen one delivery can make another. Ask the API for what is worth money.",
                "The certificate is fetched from the URL in a header, if that is one of api.paypal.com.",
                "A copy is known by its transmission id, which is signed. Whether what is sent again keeps it is not "
                "confirmed: the event has an id of its own.",
                "Its simulator signs for no webhook of yours: what it sends is rejected.",
            ),
            verified=("dj-paypal-checkout 0.4.0 (Python)", "2026-11-29"),
        ),
    ),
)
