"""Senders whose signature is in the body: who makes the body signs it."""

from __future__ import annotations

import hmac
import json
import random
from base64 import b64encode
from string import ascii_letters, digits
from typing import Any

from tests.signatures.mutants import More, Request

from ..comparison import NOW, Difference, Proof
from ..library import Library

TEXT = "a-secret-for-tests"
HEX = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056"


def mailgun_body(time: int, name: str = "delivered") -> bytes:
    """Return a body as Mailgun's documentation describes it."""
    signature = hmac.new(TEXT.encode(), f"{time}t-1".encode(), "sha256").hexdigest()
    signed = {"timestamp": str(time), "token": "t-1", "signature": signature}
    return json.dumps({"signature": signed, "event-data": {"event": name}}, ensure_ascii=False).encode()


def adyen_item(reference: str, **more: object) -> dict[str, Any]:
    """Return an item of a notification as Adyen's documentation describes it."""
    item: dict[str, Any] = {
        "pspReference": reference,
        "merchantAccountCode": "Acme",
        "merchantReference": "order-7",
        "amount": {"value": 1130, "currency": "EUR"},
        "eventCode": "AUTHORISATION",
        "success": "true",
        **more,
    }
    values = [reference, item.get("originalReference", ""), "Acme", "order-7", "1130", "EUR", "AUTHORISATION", "true"]
    signature = hmac.new(bytes.fromhex(HEX), ":".join(values).encode(), "sha256").digest()
    return {"NotificationRequestItem": item | {"additionalData": {"hmacSignature": b64encode(signature).decode()}}}


def adyen_body(*items: object) -> bytes:
    return json.dumps({"live": "false", "notificationItems": items}, ensure_ascii=False).encode()


def other_time(request: Request, rng: random.Random, names: list[bytes], more: More) -> None:
    """Sign at another time."""
    request.body = mailgun_body(NOW - rng.choice([899, 901, -899, -901, 43_199, 43_201, -43_199, -43_201]))


def other_character(request: Request, rng: random.Random, names: list[bytes], more: More) -> None:
    """Change a letter or a digit in the body to another one."""
    text = request.body.decode(errors="surrogateescape")
    at = rng.choice([at for at, each in enumerate(text) if each in ascii_letters + digits] or [0])
    kind = digits if text[at : at + 1].isdigit() else ascii_letters
    request.body = (text[:at] + rng.choice(kind) + text[at + 1 :]).encode(errors="surrogateescape")


def _age(request: Request) -> int:
    try:
        return NOW - int(json.loads(request.body)["signature"]["timestamp"])
    except (ValueError, KeyError, TypeError):
        return 0


PROOFS = (
    Proof(
        sender="mailgun",
        secret=TEXT,
        libraries=(Library("mailgun", "1.10.0", "Python", "SecurityGuard.verify_webhook"),),
        headers=(),
        given={"content-type": "application/json"},
        bodies=(mailgun_body(NOW), mailgun_body(NOW - 7, "é☃")),
        tolerance=None,
        changes=(other_time, other_character),
        differences=(
            Difference(
                "it allows 15 minutes, not half a day", "here", lambda request: 900 < abs(_age(request)) <= 43_200
            ),
        ),
    ),
    Proof(
        sender="adyen",
        secret=HEX,
        libraries=(
            Library("Adyen", "16.0.0", "Python", "util.is_valid_hmac_notification"),
            Library("@adyen/api-library", "32.1.0", "Node", "hmacValidator.validateHMAC"),
        ),
        headers=(),
        given={"content-type": "application/json"},
        bodies=(
            adyen_body(adyen_item("881")),
            adyen_body(adyen_item("882", originalReference="881", reason="é☃")),
        ),
        tolerance=None,
        changes=(other_character,),
    ),
)
