"""Senders of payments and shops."""

from __future__ import annotations

from base64 import b64encode

from webhook_receiver import StandardWebhooks

from .. import differences
from ..comparison import BODIES, Proof
from ..library import Library

TEXT = "a-secret-for-tests"
WHSEC = "whsec_YS1zZWNyZXQtZm9yLXRlc3Rz"
WEBHOOK = ("webhook-id", "webhook-timestamp", "webhook-signature")


def of_text(secret: str) -> StandardWebhooks:
    return StandardWebhooks("whsec_" + b64encode(secret.encode()).decode())


PROOFS = (
    Proof(
        sender="razorpay",
        secret=TEXT,
        libraries=(
            Library("razorpay", "2.0.1", "Python", "utility.verify_webhook_signature"),
            Library("razorpay", "2.9.8", "Node", "validateWebhookSignature"),
        ),
        headers=("x-razorpay-signature",),
    ),
    Proof(
        sender="square",
        secret=TEXT,
        libraries=(
            Library("squareup", "46.0.0.20260916", "Python", "square.utils.webhooks_helper.verify_signature"),
            Library("square", "46.0.0", "Node", "WebhooksHelper.verifySignature"),
        ),
        headers=("x-square-hmacsha256-signature",),
        changes=(differences.other_url,),
    ),
    Proof(
        sender="paddle",
        secret=TEXT,
        libraries=(
            Library("paddle-python-sdk", "1.16.1", "Python", "Notifications.Verifier.verify", signs=True),
            Library("@paddle/paddle-node-sdk", "3.10.0", "Node", "webhooks.isSignatureValid"),
        ),
        headers=("paddle-signature",),
        tolerance=5,
        differences=(differences.ahead("Node", 5),),
    ),
    Proof(
        sender="gocardless",
        secret=TEXT,
        libraries=(
            Library("gocardless-pro", "3.22.0", "Python", "webhooks.parse"),
            Library("gocardless-nodejs", "10.1.2", "Node", "webhooks.parse"),
        ),
        headers=("webhook-signature",),
        bodies=(
            b'{"events":[],"meta":{"webhook_id":"WB123"}}',
            b'{\n  "events": [{"id": "EV1", "action": "created", "resource_type": "payments"}]\n}\n',
            '{"events":[{"id":"EV2","description":"é☃"}]}'.encode(),
        ),
        differences=(differences.lenient_hex("webhook-signature"),),
    ),
    Proof(
        sender="mollie",
        secret=TEXT,
        libraries=(
            Library("mollie-api-py", "1.10.20", "Python", "SignatureValidator.validate_payload", signs=True),
            Library("mollie-api-typescript", "1.12.28", "Node", "SignatureValidator.validate", signs=True),
        ),
        headers=("x-mollie-signature",),
    ),
    Proof(
        sender="coinbase-commerce",
        secret=TEXT,
        libraries=(
            Library("coinbase-commerce", "1.0.1", "Python", "Webhook.construct_event"),
            Library("coinbase-commerce-node", "1.0.4", "Node", "Webhook.verifyEventBody"),
        ),
        headers=("x-cc-webhook-signature",),
        bodies=(
            b'{"id":1,"event":{"id":"e-1","resource":"event","type":"charge:created"}}',
            b'{\n  "event": {"id": "e-1", "resource": "event", "price": 1.0}\n}\n',
            '{"event":{"id":"e-1","resource":"event","name":"é☃"}}'.encode(),
        ),
    ),
    Proof(
        sender="adyen-platform",
        secret="44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056",
        libraries=(
            Library("Adyen", "16.0.0", "Python", "util.is_valid_hmac_payload"),
            Library("@adyen/api-library", "32.1.0", "Node", "hmacValidator.validateHMACSignature", signs=True),
        ),
        headers=("hmacsignature",),
        differences=(differences.lenient_base64_text("hmacsignature", "Node"),),
    ),
    Proof(
        sender="paystack",
        secret=TEXT,
        libraries=(
            Library(
                *("pypaystack2", "3.4.0", "Python", "PaystackClient.is_verified_webhook_payload"), is_official=False
            ),
        ),
        headers=("x-paystack-signature",),
    ),
    Proof(
        sender="polar",
        secret="polar_whs_a-secret-for-tests",
        libraries=(
            Library("polar-sdk", "1.0.2", "Python", "webhooks.validate_event"),
            Library("@polar-sh/sdk", "1.0.1", "Node", "webhooks.validateEvent"),
        ),
        headers=WEBHOOK,
        given={"webhook-id": "msg_7"},
        changes=(differences.other_version,),
        differences=differences.standard("webhook"),
    ),
    Proof(
        sender="lithic",
        secret=WHSEC,
        libraries=(
            Library("lithic", "0.133.0", "Python", "webhooks.verify_signature"),
            Library("lithic", "0.145.0", "Node", "webhooks.verifySignature"),
        ),
        headers=WEBHOOK,
        given={"webhook-id": "msg_7"},
        changes=(differences.other_version,),
        differences=differences.standard("webhook"),
    ),
    Proof(
        sender="increase",
        secret=TEXT,
        libraries=(Library("increase", "0.552.0", "Python", "events.unwrap"),),
        headers=WEBHOOK,
        given={"webhook-id": "msg_7"},
        bodies=(*BODIES[:1], *BODIES[2:]),
        changes=(differences.other_version,),
        differences=differences.standard("webhook"),
    ),
    Proof(
        sender="lemon-squeezy",
        secret=TEXT,
        libraries=(Library("@hookflo/tern", "4.1.0", "Node", "WebhookVerificationService.verify", is_official=False),),
        headers=("x-signature",),
    ),
    Proof(
        sender="woocommerce",
        secret=TEXT,
        libraries=(Library("@hookflo/tern", "4.1.0", "Node", "WebhookVerificationService.verify", is_official=False),),
        headers=("x-wc-webhook-signature",),
    ),
    Proof(
        sender="chargebee",
        secret=TEXT,
        libraries=(Library("chargebee", "3.33.0", "Node", "basicAuthValidator"),),
        headers=("authorization",),
        differences=(differences.lenient_base64_text("authorization", prefix="Basic "),),
    ),
)
