"""The sender Adyen, for its webhooks of payments: an HMAC over eight values of each item, in the item itself."""

from __future__ import annotations

from functools import partial

from ..events import Event
from ..signatures.hmac_fields import HMACFields
from ..signatures.secrets import Secrets
from .base import Sender
from .page import Page
from .preset import Preset
from .split import Split

signature = partial(
    HMACFields,
    items="notificationItems.*.NotificationRequestItem",
    signature="additionalData.hmacSignature",
    signed=(
        "pspReference",
        "originalReference?",
        "merchantAccountCode?",
        "merchantReference?",
        "amount.value?",
        "amount.currency?",
        "eventCode",
        "success?",
    ),
    joined_by=":",
    key="hex",
    encoding="base64",
)


def _result(event: Event) -> tuple[str, ...]:
    """Return an item's identity: of one payment, a success after a failure is news."""
    item = event.model_extra or {}
    return str(item.get("pspReference", "")), str(item.get("success", ""))


def adyen(secret: Secrets) -> Sender:
    """Return the sender Adyen, for its webhooks of payments. Those of platforms are another sender, `adyen_platform`.

    Args:
        secret: the HMAC key of the webhook, in hex, or several while it is changed.

    Raises:
        ConfigurationError: a secret is no hex.
    """
    return Sender(
        name="adyen",
        scheme=signature(secret),
        facts=("Adyen 16.0.0 for Python, @adyen/api-library 32.1.0 for Node, read in November 2026",),
        split=Split("notificationItems.*.NotificationRequestItem"),
        event_name="eventCode",
        delivery_id_path="pspReference",
        identity=_result,
    )


PRESETS = (
    Preset(
        "adyen",
        "Adyen",
        adyen,
        signature,
        example="44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056",
        body=(
            b'{"live": "false", "notificationItems": [{"NotificationRequestItem": {"additionalData": {"hmacSignature": '
            b'"coqCmt/IZ4E3CzPvMY8zTjQVL5hYJUiBRg8UU+iCWo0="}, "amount": {"value": 1130, "currency": "EUR"}, '
            b'"pspReference": "7914073381342284", "eventCode": "AUTHORISATION", "merchantAccountCode": "TestMerchant", '
            b'"merchantReference": "TestPayment-1407325143704", "success": "true"}}]}'
        ),
        shape=("notificationItems.0.NotificationRequestItem",),
        page=Page(
            trade="payments",
            docs="docs.adyen.com/development-resources/webhooks/verify-hmac-signatures",
            setup=(
                "In the Customer Area, Developers, Webhooks, add a standard webhook with the URL and the format JSON, "
                "and generate its HMAC key, which is hex."
            ),
            answer="Any 2xx within 10 seconds; else what follows is queued, and sent again.",
            traps=(
                "Eight values of an item are signed, and the rest is not. Nothing parts a colon in one from the colon "
                "between two.",
                "The same event of the same payment may come again: it has the same pspReference, eventCode and "
                "success. With another success it is news.",
            ),
            verified=("Adyen 16.0.0 (Python), @adyen/api-library 32.1.0 (Node)", "2026-11-29"),
        ),
    ),
)
