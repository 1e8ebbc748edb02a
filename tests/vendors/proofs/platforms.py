"""Senders of platforms, and those that prove a delivery by a key or a secret in the body."""

from __future__ import annotations

import hmac
import json
import random
import re
from base64 import b64decode, b64encode, encodebytes
from datetime import UTC, datetime
from hashlib import sha1, sha256
from typing import Any
from urllib.parse import urlencode

from cryptography import x509
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.signatures.keys import pem
from tests.signatures.mutants import More, Request
from webhook_receiver import BearerJWT, Secret
from webhook_receiver.senders.aws_sns import Certificates, SNSSignature, signed_message
from webhook_receiver.senders.catalogue import kinde
from webhook_receiver.senders.catalogue.examples import RSA_KEY
from webhook_receiver.senders.paypal import signature as paypal_signature
from webhook_receiver.signatures.public_keys import private_key

from .. import differences
from ..comparison import NOW, Difference, Proof
from ..library import Library
from .in_body import other_character

TEXT = "a-secret-for-tests"
N8N = Library("n8n-nodes-base", "2.41.2", "Node", "verifySignature", is_official=False, is_alone=True)
_RSA: Any = private_key(Secret(RSA_KEY))
_PUBLIC = _RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

TOPIC = "arn:aws:sns:eu-central-1:123456789012:orders"
CERTIFICATE_URL = "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-" + "7" * 32 + ".pem"


def certificate() -> str:
    """Return a certificate of the key for tests, the same each time."""
    name = x509.Name([])
    made = (
        x509.CertificateBuilder(name, name, _RSA.public_key(), 7)
        .not_valid_before(datetime(2025, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2035, 1, 1, tzinfo=UTC))
        .sign(_RSA, SHA256())
    )
    return made.public_bytes(Encoding.PEM).decode()


def sns_body(version: str, **members: str) -> bytes:
    """Return a message as AWS documents it."""
    message = {
        "Type": "Notification",
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": TOPIC,
        "Message": "Hello",
        "Timestamp": "2025-12-11T06:03:32.000Z",
        **members,
    }
    return signed_message(message, _RSA, CERTIFICATE_URL, version)


_CONFIRMATION = {"Type": "SubscriptionConfirmation", "Token": "t-1", "SubscribeURL": "https://sns.example.com/?a=1"}


def lark_body(document: str) -> bytes:
    """Return a document as Lark encrypts it, by a key of the secret, with a start that is the same each time."""
    padder, start = PKCS7(128).padder(), bytes(range(16))
    encryptor = Cipher(algorithms.AES(sha256(TEXT.encode()).digest()), modes.CBC(start)).encryptor()
    data = encryptor.update(padder.update(document.encode()) + padder.finalize()) + encryptor.finalize()
    return json.dumps({"encrypt": b64encode(start + data).decode()}, separators=(",", ":")).encode()


def wechat_body(document: str) -> bytes:
    """Return a notification whose resource is encrypted as WeChat Pay documents it."""
    nonce = b"n" * 12
    resource = {
        "algorithm": "AEAD_AES_256_GCM",
        "nonce": nonce.decode(),
        "associated_data": "transaction",
        "ciphertext": b64encode(AESGCM(b"k" * 32).encrypt(nonce, document.encode(), b"transaction")).decode(),
    }
    return json.dumps({"id": "e-1", "resource_type": "encrypt-resource", "resource": resource}).encode()


def braintree_body(xml: str, public_key: str = "a-public-key") -> bytes:
    """Return a form as Braintree's libraries make one for tests."""
    payload = encodebytes(xml.encode()).decode()
    key = sha1(TEXT.encode()).digest()
    signature = hmac.new(key, payload.encode(), "sha1").hexdigest()
    return urlencode({"bt_signature": f"{public_key}|{signature}", "bt_payload": payload}).encode()


def other_field(request: Request, rng: random.Random, names: list[bytes], more: More) -> None:
    """Add a field to a form, or a label and a signature that are none."""
    body = request.body
    request.body = rng.choice(
        [
            body + b"&more=1",
            b"more=1&" + body,
            body.replace(b"bt_signature=", b"bt_signature=another%7C" + b"0" * 40 + b"%26"),
            body.replace(b"a-public-key", b"another"),
            body.replace(b"%7C", b""),
            body.replace(b"bt_payload=", b"bt_payload=AAAA"),
        ]
    )


_XML = (
    "<notification><kind>check</kind><timestamp type='datetime'>2025-12-11T06:03:32Z</timestamp>"
    "<subject>{}</subject></notification>"
)


def kinde_body(document: bytes) -> bytes:
    """Return a token with the members of a document as claims."""
    scheme = kinde(RSA_KEY).scheme
    assert isinstance(scheme, BearerJWT)
    return scheme.sign_body(document, NOW)


def is_no_base64(request: Request) -> bool:
    """Return whether the Signature in a message is no base64, or not in its one spelling."""
    try:
        text = str(json.loads(request.body)["Signature"])
        return b64encode(b64decode(text, validate=True)).decode() != text
    except (ValueError, KeyError, TypeError):
        return True


def is_written_anew(request: Request) -> bool:
    """Return whether JavaScript writes a body in another way than it came."""
    try:
        document = json.loads(request.body)
    except ValueError:
        return True
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode() != request.body


def other_notification(request: Request, rng: random.Random, names: list[bytes], more: More) -> None:
    """Put another passcode into the body, or none."""
    passcode = rng.choice([TEXT + "x", TEXT[:-1], TEXT.upper(), "", None, 7, [TEXT]])
    request.body = json.dumps({"event_type": "PING", "passcode": passcode}).encode()


PROOFS = (
    Proof(
        sender="lark",
        secret=TEXT,
        libraries=(
            Library("lark-oapi", "1.7.5", "Python", "EventDispatcherHandler.do"),
            Library("@larksuiteoapi/node-sdk", "1.74.0", "Node", "EventDispatcher.invoke"),
        ),
        headers=("x-lark-signature", "x-lark-request-timestamp", "x-lark-request-nonce"),
        given={"x-lark-request-nonce": "n-1"},
        bodies=(
            lark_body('{"schema":"2.0","header":{"event_type":"a.b","token":""},"event":{}}'),
            lark_body('{"schema":"2.0","header":{"event_type":"a.b","token":""},"event":{"name":"é☃"}}'),
        ),
        tolerance=43_200,
        differences=(differences.no_time(tolerance=43_200),),
    ),
    Proof(
        sender="aws-sns",
        secret=certificate(),
        scheme=lambda secret: SNSSignature(TOPIC, certificates=Certificates(known={CERTIFICATE_URL: secret.encode()})),
        libraries=(
            Library(
                "aws-sns-message-validator",
                "0.0.5",
                "Python",
                "SNSMessageValidator.validate_message",
                is_official=False,
            ),
            Library("sns-validator", "0.3.5", "Node", "MessageValidator.validate"),
            N8N,
        ),
        headers=(),
        bodies=(
            sns_body("1"),
            sns_body("1", Subject="é☃", Message='{"a": "b\\nc"}'),
            sns_body("1", **_CONFIRMATION),
            sns_body("2", Message="two\nlines"),
        ),
        tolerance=None,
        changes=(other_character,),
        differences=(
            Difference(
                "it takes messages of SignatureVersion 1 alone",
                "here",
                lambda request: b'"SignatureVersion": "2"' in request.body,
                "Python",
            ),
            Difference("it passes over what is no base64 in the signature", "there", is_no_base64, "Node"),
        ),
    ),
    Proof(
        sender="google-pubsub",
        secret=certificate(),
        private=pem(_RSA),
        libraries=(
            Library("google-auth", "2.62.2", "Python", "id_token.verify_oauth2_token"),
            Library("google-auth-library", "10.5.0", "Node", "OAuth2Client.verifySignedJwtWithCertsAsync"),
        ),
        headers=("authorization",),
        changes=(differences.other_url,),
        differences=(
            differences.lenient_token("authorization", "", differences.RS256),
            differences.token_expired("Python"),
            Difference(
                "it grants 300 s of leeway, not 60", "there", lambda request: 60 < abs(request.signed) <= 700, "Node"
            ),
        ),
    ),
    Proof(
        sender="braintree",
        secret=TEXT,
        libraries=(
            Library("braintree", "4.48.0", "Python", "webhook_notification.parse"),
            Library("braintree", "3.40.0", "Node", "webhookNotification.parse"),
        ),
        headers=(),
        bodies=(
            braintree_body(_XML.format("<check type='boolean'>true</check>")),
            braintree_body(_XML.format("<check type='boolean'>true</check>" * 9)),
        ),
        tolerance=None,
        changes=(other_character, other_field),
        differences=(
            Difference(
                "it looks for the signature behind its own public key alone",
                "here",
                lambda request: b"a-public-key%7C" not in request.body,
            ),
        ),
    ),
    Proof(
        sender="paypal",
        secret=certificate(),
        private=pem(_RSA),
        scheme=lambda secret: paypal_signature(secret, webhook_id="WH-1"),
        libraries=(
            Library(
                *("dj-paypal-checkout", "0.4.0", "Python", "webhooks.verify.verify_offline"),
                is_official=False,
                is_alone=True,
            ),
        ),
        headers=("paypal-transmission-sig", "paypal-transmission-id", "paypal-transmission-time"),
        given={
            "paypal-transmission-id": "69cd13f0-d67a-11e5-baa3-778b53f4ae55",
            "paypal-cert-url": "https://api.paypal.com/v1/notifications/certs/CERT-7",
            "paypal-auth-algo": "SHA256withRSA",
        },
        tolerance=43_200,
        differences=(
            differences.no_time(tolerance=43_200),
            differences.lenient_base64_text("paypal-transmission-sig"),
        ),
    ),
    Proof(
        sender="kinde",
        secret=_PUBLIC,
        libraries=(Library("@kinde/webhooks", "1.0.0", "Node", "decodeWebhook"),),
        headers=(),
        bodies=(
            kinde_body(b'{"type":"user.created","event_id":"e-1"}'),
            kinde_body('{"type":"user.updated","event_id":"e-2","data":{"name":"é☃"}}'.encode()),
        ),
        tolerance=None,
        changes=(other_character,),
        differences=(
            Difference(
                "it decodes base64url leniently, where a token has just one spelling",
                "there",
                lambda request: (
                    re.fullmatch(rf"[\w-]+\.[\w-]+\.{differences.RS256}", request.body.decode("latin-1")) is None
                ),
            ),
        ),
    ),
    Proof(
        sender="jira",
        secret=TEXT,
        libraries=(
            Library(
                *("airflow-provider-inbound-webhooks", "0.2.0", "Python", "JiraSource.verify"),
                is_official=False,
                is_alone=True,
            ),
        ),
        headers=("x-hub-signature",),
    ),
    Proof(
        sender="inngest",
        secret="signkey-test-a-secret-for-tests",
        libraries=(
            Library("inngest", "0.5.19", "Python", "net.validate_request_sig", signs=True),
            Library("inngest", "4.24.0", "Node", "InngestCommHandler.validateSignature", signs=True),
        ),
        headers=("x-inngest-signature",),
        differences=(differences.no_time("Python"), differences.ahead("Node")),
    ),
    Proof(
        sender="webex",
        secret=TEXT,
        libraries=(Library("webex-node-bot-framework", "2.3.14", "Node", "webhook"),),
        headers=("x-spark-signature",),
        bodies=(
            b'{"id":"e-1","resource":"memberships","event":"created","data":{}}',
            '{"id":"e-1","resource":"memberships","event":"created","name":"é☃"}'.encode(),
            b'{"id": "e-1", "resource": "memberships", "event": "created", "price": 1.0}\n',
        ),
        differences=(
            Difference("it hashes the body as JavaScript writes it anew, not as it came", "here", is_written_anew),
        ),
    ),
    Proof(
        sender="sentry",
        secret=TEXT,
        libraries=(Library("@hookflo/tern", "4.1.0", "Node", "WebhookVerificationService.verify", is_official=False),),
        headers=("sentry-hook-signature",),
        given={"sentry-hook-timestamp": str(NOW), "sentry-hook-resource": "issue", "request-id": "e-1"},
    ),
    Proof(
        sender="figma",
        secret=TEXT,
        libraries=(N8N,),
        headers=(),
        bodies=(
            json.dumps({"event_type": "PING", "passcode": TEXT}).encode(),
            json.dumps({"event_type": "FILE_UPDATE", "passcode": TEXT, "name": "é☃"}, ensure_ascii=False).encode(),
        ),
        tolerance=None,
        changes=(other_character, other_notification),
        differences=(differences.no_json(),),
    ),
    Proof(
        sender="wechat-pay",
        secret=_PUBLIC,
        private=pem(_RSA),
        libraries=(
            Library("wechatpayv3", "2.0.4", "Python", "WeChatPay.callback", is_official=False),
            Library("wechatpay-node-v3", "2.2.1", "Node", "Pay.verifySign", is_official=False),
        ),
        headers=("wechatpay-signature", "wechatpay-timestamp", "wechatpay-nonce"),
        given={
            "wechatpay-nonce": "n-1",
            "wechatpay-serial": "PUB_KEY_ID_7",
            "wechatpay-signature-type": "WECHATPAY2-SHA256-RSA2048",
        },
        bodies=(wechat_body('{"a":1}'), wechat_body('{"name":"é☃"}')),
        tolerance=43_200,
        differences=(
            differences.no_time(tolerance=43_200),
            differences.lenient_base64_text("wechatpay-signature"),
        ),
    ),
    Proof(
        sender="shopify-events",
        secret=TEXT,
        libraries=(Library("@shopify/shopify-api", "15.0.0", "Node", "webhooks.validate"),),
        headers=("shopify-hmac-sha256",),
        given={
            "shopify-topic": "Product",
            "shopify-action": "update",
            "shopify-shop-domain": "a.myshopify.com",
            "shopify-api-version": "unstable",
            "shopify-webhook-id": "e-1",
            "shopify-handle": "products",
            "shopify-triggered-at": "2025-12-11T06:03:32Z",
        },
    ),
    Proof(
        sender="postmark",
        secret=TEXT,
        libraries=(Library("django-anymail", "15.2", "Python", "PostmarkTrackingWebhookView", is_official=False),),
        headers=("authorization",),
        differences=(differences.lenient_base64_text("authorization", prefix="Basic "),),
    ),
)
