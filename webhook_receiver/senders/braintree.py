"""The sender Braintree: a form with a notification in it, and an HMAC over that by the private key of the API."""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from hashlib import sha256
from html import escape
from typing import Any
from urllib.parse import urlencode

from ..signatures.content import form_fields
from ..signatures.hmac_fields import HMACFields
from ..signatures.hmac_keys import KeyForm
from ..signatures.secrets import Secrets
from .base import Sender
from .challenges import token_hmac
from .page import Page
from .preset import Preset

_KEY = KeyForm(hash="sha1")
_KIND = re.compile(r"<kind>\s*([\w.-]{1,100})\s*</kind>")


def signature(secrets: Secrets) -> HMACFields:
    """Return Braintree's scheme (developer.paypal.com/braintree/docs/guides/webhooks).

    Args:
        secrets: the private key of the API, or several while it is changed.
    """
    return HMACFields(
        secrets,
        form=True,
        signature="bt_signature",
        item_separator="&",
        label_end="|",
        signed=("bt_payload",),
        hash="sha1",
        key=_KEY,
    )


def braintree(secret: Secrets, *, public_key: str | None = None) -> Sender:
    """Return the sender Braintree.

    Args:
        secret: the private key of the API, or several while it is changed.
        public_key: the public key that belongs to the first of them. It is in the answer to the challenge by which
            Braintree checks the URL; None to answer none.

    Raises:
        ConfigurationError: a secret cannot work.
    """
    challenge = token_hmac(
        "query:bt_challenge",
        secret,
        methods=("GET",),
        prefix=f"{public_key}|",
        hash="sha1",
        key_form=_KEY,
        pattern="[0-9a-f]{20,32}",
        signed=False,
    )
    return Sender(
        name="braintree",
        scheme=signature(secret),
        facts=(
            "braintree 4.48.0 for Python and 3.40.0 for Node, run in November 2026",
            "developer.paypal.com/braintree/docs/guides/webhooks, read in November 2026",
        ),
        decode=notification,
        delivery_id_path="digest",
        challenges=() if public_key is None else (challenge,),
    )


def notification(body: bytes) -> bytes:
    """Return the document of a notification: its kind as `event`, its XML as `body`, and the `digest` of that.

    Any other body is returned unchanged. The XML is not parsed; Braintree's library makes objects of the body's
    bt_signature and bt_payload.

    Args:
        body: the bytes of the body, a form.
    """
    try:
        xml = b64decode(dict(form_fields(body))[b"bt_payload"].replace(b"\n", b""), validate=True).decode()
    except (ValueError, KeyError):  # whose texts may quote the body
        return body
    kind = _KIND.search(xml)
    named = {} if kind is None else {"event": kind[1]}
    return json.dumps({**named, "digest": sha256(xml.encode()).hexdigest(), "body": xml}).encode()


_EXAMPLE = "a-secret-for-tests"
_BODY = (
    b"bt_signature=a-public-key%7C7b87b796035a4869173748fd11ec9231bf567d30&bt_payload="
    b"PG5vdGlmaWNhdGlvbj48a2luZD5jaGVjazwva2luZD48L25vdGlmaWNhdGlvbj4K%0A"
)
"""A form that is signed with the secret for tests."""


def _form_of(document: Mapping[str, Any]) -> bytes:
    """Return the form, without its signature, of a notification of the kind `event`."""
    kind, id = (escape(str(document.get(name, ""))) for name in ("event", "digest"))
    xml = f"<notification><kind>{kind}</kind><subject><id>{id}</id></subject></notification>\n"
    return urlencode({"bt_payload": b64encode(xml.encode()) + b"\n"}).encode()


PRESETS = (
    Preset(
        "braintree",
        "Braintree",
        braintree,
        signature,
        example=_EXAMPLE,
        body=_BODY,
        asking=lambda secret, token: braintree(secret, public_key=token.get_secret_value()),
        encode=_form_of,
        shape=("digest", "body"),
        page=Page(
            arguments=('Secret.from_env("WEBHOOK_SECRET")', 'public_key="a-token-for-tests"'),
            trade="payments",
            docs="developer.paypal.com/braintree/docs/guides/webhooks",
            setup=(
                "In the Control Panel, the settings of the API, Webhooks: the destination URL and the events. Say "
                "braintree(private_key, public_key=...) and let the receiver run: Braintree asks for the URL by GET."
            ),
            answer="Any 2xx.",
            traps=(
                "It signs by SHA-1, by the private key of the API: keep it as safe as that.",
                "A notification is XML, in base64, in the field bt_payload of a form: an event's body is that XML.",
                "No time and no id are signed: a copy is known by the digest of its XML.",
                "Its libraries also take a payload whose last line break is gone, as some frameworks cut it; here the "
                "form is read as it came.",
            ),
            verified=("braintree 4.48.0 (Python), braintree 3.40.0 (Node)", "2026-11-29"),
        ),
    ),
)
