"""Those who made the rules that others follow, and the senders with modules of their own."""

from __future__ import annotations

from webhook_receiver import HTTPMessageSignature

from .. import differences
from ..comparison import Proof
from ..library import Library

TEXT = "a-secret-for-tests"
WHSEC = "whsec_YS1zZWNyZXQtZm9yLXRlc3Rz"

PROOFS = (
    Proof(
        sender="github",
        secret=TEXT,
        libraries=(
            Library("gidgethub", "6.0.0", "Python", "sansio.validate_event", is_official=False),
            Library("@octokit/webhooks-methods", "6.0.0", "Node", "verify", signs=True),
        ),
        headers=("x-hub-signature-256",),
    ),
    Proof(
        sender="stripe",
        secret=TEXT,
        libraries=(
            Library("stripe", "16.1.0", "Python", "Webhook.construct_event", signs=True),
            Library("stripe", "23.1.0", "Node", "webhooks.constructEvent", signs=True),
        ),
        headers=("stripe-signature",),
        differences=(differences.ahead(), differences.cut_at_every_equals_sign("stripe-signature")),
    ),
    Proof(
        sender="slack",
        secret=TEXT,
        libraries=(
            Library("slack_sdk", "3.47.0", "Python", "SignatureVerifier.is_valid_request", signs=True),
            Library("@slack/bolt", "5.1.0", "Node", "verifySlackRequest"),
        ),
        headers=("x-slack-signature", "x-slack-request-timestamp"),
        differences=(
            differences.ahead("Node"),
            differences.cut_at_every_equals_sign("x-slack-signature", "Node"),
        ),
    ),
    Proof(
        sender="shopify",
        secret=TEXT,
        libraries=(Library("@shopify/shopify-api", "15.0.0", "Node", "webhooks.validate"),),
        headers=("x-shopify-hmac-sha256",),
        given={
            "x-shopify-topic": "orders/create",
            "x-shopify-shop-domain": "a.myshopify.com",
            "x-shopify-api-version": "2026-01",
            "x-shopify-webhook-id": "e-1",
        },
    ),
    Proof(
        sender="standard-webhooks",
        secret=WHSEC,
        libraries=(
            Library("standardwebhooks", "1.1.0", "Python", "Webhook.verify", signs=True),
            Library("standardwebhooks", "1.1.1", "Node", "Webhook.verify", signs=True),
        ),
        headers=("webhook-id", "webhook-timestamp", "webhook-signature"),
        given={"webhook-id": "msg_7"},
        changes=(differences.other_version,),
        differences=differences.standard("webhook"),
    ),
    Proof(
        sender="svix",
        secret=WHSEC,
        libraries=(
            Library("svix", "2.9.1", "Python", "Webhook.verify", signs=True),
            Library("svix", "2.5.0", "Node", "Webhook.verify", signs=True),
        ),
        headers=("svix-id", "svix-timestamp", "svix-signature"),
        given={"svix-id": "msg_7"},
        changes=(differences.other_version,),
        differences=differences.standard("svix"),
    ),
    Proof(
        sender="http-message",
        secret=TEXT,
        scheme=lambda secret: HTTPMessageSignature({"key-1": secret}, components=("@method", "@target-uri")),
        libraries=(
            Library(
                *("http-message-signatures", "3.0.0", "Python", "HTTPMessageVerifier.verify"),
                signs=True,
                is_official=False,
            ),
        ),
        headers=("content-digest", "signature-input", "signature"),
    ),
)
