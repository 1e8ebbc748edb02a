"""Senders of mail, media, chats and calls."""

from __future__ import annotations

import json
from base64 import b64encode

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.signatures.keys import pem
from webhook_receiver import BearerJWT

from .. import differences
from ..comparison import Difference, Proof
from ..library import Library

TEXT = "a-secret-for-tests"
WHSEC = "whsec_YS1zZWNyZXQtZm9yLXRlc3Rz"
_ED25519 = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
_P256 = ec.derive_private_key(7, ec.SECP256R1())
_SENDGRID = "x-twilio-email-event-webhook"


PROOFS = (
    Proof(
        sender="mux",
        secret=TEXT,
        libraries=(Library("@mux/mux-node", "15.3.0", "Node", "webhooks.verifySignature"),),
        headers=("mux-signature",),
        differences=(differences.ahead(), differences.cut_at_every_equals_sign("mux-signature")),
    ),
    Proof(
        sender="sendgrid",
        secret=b64encode(_P256.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode(),
        private=pem(_P256),
        libraries=(
            Library("sendgrid", "6.12.5", "Python", "EventWebhook.verify_signature"),
            Library("@sendgrid/eventwebhook", "8.0.0", "Node", "EventWebhook.verifySignature"),
        ),
        headers=(f"{_SENDGRID}-signature", f"{_SENDGRID}-timestamp"),
        tolerance=43_200,
        differences=(differences.no_time(tolerance=43_200), differences.lenient_base64_text(f"{_SENDGRID}-signature")),
    ),
    Proof(
        sender="resend",
        secret=WHSEC,
        libraries=(
            Library("resend", "2.51.0", "Python", "Webhooks.verify"),
            Library("resend", "6.38.0", "Node", "webhooks.verify"),
        ),
        headers=("svix-id", "svix-timestamp", "svix-signature"),
        given={"svix-id": "msg_7"},
        changes=(differences.other_version,),
        differences=(*differences.standard("svix"), differences.any_version("svix-signature", "Python")),
    ),
    Proof(
        sender="mailersend",
        secret=TEXT,
        libraries=(Library("mailersend", "3.4.0", "Node", "MailerSendUtils.verifyWebHook"),),
        headers=("signature",),
    ),
    *(
        Proof(
            sender=sender,
            secret=_ED25519.public_key().public_bytes_raw().hex(),
            private=pem(_ED25519),
            libraries=(
                Library("discord-interactions", "0.4.0", "Python", "verify_key"),
                Library("discord-interactions", "4.4.0", "Node", "verifyKey"),
            ),
            headers=("x-signature-ed25519", "x-signature-timestamp"),
            tolerance=43_200,
            differences=(differences.no_time(tolerance=43_200),),
        )
        for sender in ("discord", "discord-interactions")
    ),
    Proof(
        sender="twilio",
        secret=TEXT,
        libraries=(
            Library("twilio", "9.13.0", "Python", "RequestValidator.validate", signs=True),
            Library("twilio", "6.2.0", "Node", "validateRequest", signs=True),
        ),
        headers=("x-twilio-signature",),
        bodies=(
            b"MessageSid=SM1&From=%2B15550001&Body=Hello+there",
            b"Body=%C3%A9%E2%98%83&MessageSid=SM1",
            b"Body=&Body=a&Body=b&To=%2B1",
        ),
        changes=(differences.other_url,),
    ),
    Proof(
        sender="line",
        secret=TEXT,
        libraries=(
            Library("line-bot-sdk", "3.27.0", "Python", "SignatureValidator.validate"),
            Library("@line/bot-sdk", "11.2.0", "Node", "validateSignature"),
        ),
        headers=("x-line-signature",),
        differences=(differences.lenient_base64_text("x-line-signature", "Node"),),
    ),
    Proof(
        sender="meta",
        secret=TEXT,
        libraries=(
            Library("pywa", "4.5.0", "Python", "utils.webhook_updates_validator", is_official=False),
            Library("whatsapp-api-js", "6.3.0", "Node", "verifyRequestSignature", is_official=False),
        ),
        headers=("x-hub-signature-256",),
        differences=(
            differences.lenient_hex("x-hub-signature-256", prefix="sha256="),
            Difference(
                "it hashes the body with what is beyond ASCII as \\uXXXX, in which form Meta sends it",
                "here",
                lambda request: not request.body.isascii(),
                "Node",
            ),
        ),
    ),
    Proof(
        sender="viber",
        secret=TEXT,
        libraries=(
            Library("viberbot", "1.0.12", "Python", "Api.verify_signature"),
            Library("viber-bot", "1.0.18", "Node", "MessageValidator.validateMessage"),
        ),
        headers=("x-viber-content-signature",),
    ),
    Proof(
        sender="stream",
        secret=TEXT,
        libraries=(
            Library("stream-chat", "4.33.0", "Python", "verify_and_parse_webhook"),
            Library("stream-chat", "9.53.0", "Node", "verifyAndParseWebhook"),
        ),
        headers=("x-signature",),
    ),
    Proof(
        sender="livekit",
        secret="a-secret-for-tests-of-32-bytes-or-more",
        scheme=lambda secret: BearerJWT(
            secret, algorithm="HS256", prefix="", issuer="key", body_claim="sha256", body_encoding="base64"
        ),
        libraries=(
            Library("livekit-api", "1.2.2", "Python", "WebhookReceiver.receive"),
            Library("livekit-server-sdk", "2.19.2", "Node", "WebhookReceiver.receive"),
        ),
        headers=("authorization",),
        differences=(
            differences.token_ahead("Node"),
            differences.token_expired("Node"),
            differences.lenient_token("authorization"),
        ),
    ),
    Proof(
        sender="vonage",
        secret="a-secret-for-tests-of-32-bytes-or-more",
        libraries=(
            Library("vonage-jwt", "1.1.5", "Python", "verify_signature"),
            Library("@vonage/jwt", "1.17.1", "Node", "verifySignature"),
        ),
        headers=("authorization",),
        differences=(
            differences.token_ahead("Node"),
            differences.token_expired(),
            differences.lenient_token("authorization"),
        ),
    ),
    Proof(
        sender="zoom",
        secret=TEXT,
        libraries=(Library("@zoom/rivet", "0.4.0", "Node", "AwsLambdaReceiver"),),
        headers=("x-zm-signature", "x-zm-request-timestamp"),
        bodies=(
            b'{"event":"meeting.started","payload":{}}',
            '{"event":"meeting.started","name":"é☃"}'.encode(),
            b'{"event": "meeting.started", "price": 1.0, "name": "\\u00e9"}\n',
        ),
        tolerance=43_200,
        differences=(
            differences.no_time(tolerance=43_200),
            differences.number_begins("x-zm-request-timestamp"),
            Difference(
                "it hashes the body as JavaScript writes it anew, not as it came",
                "here",
                lambda request: json.dumps(json.loads(request.body), separators=(",", ":")).encode() != request.body,
            ),
        ),
    ),
    Proof(
        sender="twitch",
        secret=TEXT,
        libraries=(Library("@twurple/eventsub-http", "8.1.4", "Node", "EventSubHttpListener", is_official=False),),
        headers=(
            "twitch-eventsub-message-signature",
            "twitch-eventsub-message-id",
            "twitch-eventsub-message-timestamp",
        ),
        given={"twitch-eventsub-message-id": "e-1", "twitch-eventsub-message-type": "notification"},
        tolerance=600,
        differences=(
            differences.no_time(tolerance=600),
            differences.lenient_hex("twitch-eventsub-message-signature", prefix="sha256="),
        ),
    ),
    Proof(
        sender="telegram",
        secret=TEXT,
        libraries=(
            Library("python-telegram-bot", "22.8", "Python", "TelegramHandler", is_official=False, extra="webhooks"),
        ),
        headers=("x-telegram-bot-api-secret-token",),
        given={"content-type": "application/json"},
    ),
    Proof(
        sender="mandrill",
        secret=TEXT,
        libraries=(Library("django-anymail", "15.2", "Python", "MandrillCombinedWebhookView", is_official=False),),
        headers=("x-mandrill-signature",),
        bodies=(
            b"mandrill_events=%5B%7B%22event%22%3A%22open%22%7D%5D",
            b"mandrill_events=%5B%5D&name=%C3%A9%E2%98%83&empty=",
        ),
        changes=(differences.other_url,),
    ),
)
