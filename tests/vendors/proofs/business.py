"""Senders of services for a business, and of clouds."""

from __future__ import annotations

from .. import differences
from ..comparison import NOW, Difference, Proof
from ..library import Library

TEXT = "a-secret-for-tests"
WHSEC = "whsec_YS1zZWNyZXQtZm9yLXRlc3Rz"
WEBHOOK = ("webhook-id", "webhook-timestamp", "webhook-signature")
N8N = Library("n8n-nodes-base", "2.41.2", "Node", "verifySignature", is_official=False, is_alone=True)
SVIX = ("svix-id", "svix-timestamp", "svix-signature")

PROOFS = (
    Proof(
        sender="hubspot",
        secret=TEXT,
        libraries=(
            Library("hubspot-api-client", "12.0.0", "Python", "Signature.is_valid", signs=True),
            Library("@hubspot/api-client", "14.0.1", "Node", "Signature.isValid", signs=True),
        ),
        headers=("x-hubspot-signature-v3", "x-hubspot-request-timestamp"),
        changes=(differences.other_url,),
        differences=(differences.ahead(),),
    ),
    Proof(
        sender="linear",
        secret=TEXT,
        libraries=(Library("@linear/sdk", "98.0.0", "Node", "LinearWebhookClient.verify"),),
        headers=("linear-signature",),
        bodies=(
            b'{"type":"Issue","action":"create","webhookTimestamp":%d000}' % NOW,
            '{\n "type": "Issue",\n "name": "é☃",\n "webhookTimestamp": %d000\n}'.encode() % NOW,
        ),
    ),
    Proof(
        sender="box",
        secret=TEXT,
        libraries=(
            Library("boxsdk", "10.18.0", "Python", "WebhooksManager.validate_message"),
            Library("box-node-sdk", "10.12.0", "Node", "WebhooksManager.validateMessage"),
        ),
        headers=("box-signature-primary", "box-delivery-timestamp"),
        given={"box-signature-version": "1", "box-signature-algorithm": "HmacSHA256"},
        tolerance=600,
        differences=(
            Difference("it takes no time in the future", "here", lambda request: -600 <= request.signed < 0),
            differences.lenient_base64_text("box-signature-primary", "Node"),
        ),
    ),
    Proof(
        sender="sanity",
        secret=TEXT,
        libraries=(Library("@sanity/webhook", "4.0.4", "Node", "isValidSignature", signs=True),),
        headers=("sanity-webhook-signature",),
        tolerance=43_200,
        differences=(differences.no_time(tolerance=43_200), differences.whole_header("sanity-webhook-signature")),
    ),
    Proof(
        sender="clerk",
        secret=WHSEC,
        libraries=(Library("@clerk/backend", "3.25.0", "Node", "verifyWebhook"),),
        headers=SVIX,
        given={"svix-id": "msg_7"},
        changes=(differences.other_version,),
        differences=differences.standard("svix"),
    ),
    Proof(
        sender="seam",
        secret=WHSEC,
        libraries=(Library("@seamapi/webhook", "1.5.0", "Node", "SeamWebhook.verify"),),
        headers=SVIX,
        given={"svix-id": "msg_7"},
        bodies=(b'{"event_id":"e-1","event_type":"a.b"}', '{ "event_id": "é☃", "event_type": "a" }'.encode()),
        changes=(differences.other_version,),
        differences=differences.standard("svix"),
    ),
    Proof(
        sender="workos",
        secret=TEXT,
        libraries=(
            Library("workos", "10.6.0", "Python", "webhooks.verify_header"),
            Library("@workos-inc/node", "11.0.0", "Node", "webhooks.verifyHeader"),
        ),
        headers=("workos-signature",),
        tolerance=180,
        differences=(
            differences.ahead("Node", 180),
            differences.cut_at_every_equals_sign("workos-signature", "Node"),
        ),
    ),
    Proof(
        sender="openai",
        secret=WHSEC,
        libraries=(
            Library("openai", "3.51.0", "Python", "webhooks.verify_signature"),
            Library("openai", "7.55.0", "Node", "webhooks.verifySignature"),
        ),
        headers=WEBHOOK,
        given={"webhook-id": "msg_7"},
        changes=(differences.other_version,),
        differences=(*differences.standard("webhook"), differences.any_version("webhook-signature")),
    ),
    Proof(
        sender="replicate",
        secret=WHSEC,
        libraries=(
            Library("replicate", "1.0.7", "Python", "webhooks.validate"),
            Library("replicate", "1.4.0", "Node", "validateWebhook"),
        ),
        headers=WEBHOOK,
        given={"webhook-id": "msg_7"},
        changes=(differences.other_version,),
        differences=(
            *differences.standard("webhook"),
            differences.any_version("webhook-signature"),
            differences.no_time("Node"),
        ),
    ),
    Proof(
        sender="liveblocks",
        secret=WHSEC,
        libraries=(
            Library("liveblocks", "3.23.0", "Python", "WebhookHandler.verify_request"),
            Library("@liveblocks/node", "3.24.2", "Node", "WebhookHandler.verifyRequest"),
        ),
        headers=WEBHOOK,
        given={"webhook-id": "msg_7"},
        bodies=(b'{"type":"userEntered","data":{}}', '{ "type": "userLeft", "data": {"name": "é☃"} }'.encode()),
        changes=(differences.other_version,),
        differences=(*differences.standard("webhook"), differences.any_version("webhook-signature")),
    ),
    Proof(
        sender="trigger-dev",
        secret=TEXT,
        libraries=(Library("@trigger.dev/sdk", "4.8.3", "Node", "webhooks.constructEvent"),),
        headers=("x-trigger-signature-hmacsha256",),
    ),
    Proof(
        sender="notion",
        secret=TEXT,
        libraries=(Library("@notionhq/client", "5.26.0", "Node", "verifyWebhookSignature", signs=True),),
        headers=("x-notion-signature",),
    ),
    Proof(
        sender="elevenlabs",
        secret="wsec_a-secret-for-tests",
        libraries=(
            Library("elevenlabs", "2.78.0", "Python", "webhooks.construct_event"),
            Library("@elevenlabs/elevenlabs-js", "2.73.0", "Node", "webhooks.constructEvent"),
        ),
        headers=("elevenlabs-signature",),
        tolerance=1800,
        differences=(differences.ahead("", 1800),),
    ),
    Proof(
        sender="kontent-ai",
        secret=TEXT,
        libraries=(Library("@kontent-ai/webhook-helper", "3.0.3", "Node", "isValidSignatureFromString", signs=True),),
        headers=("x-kontent-ai-signature",),
    ),
    Proof(
        sender="gitlab",
        secret=TEXT,
        libraries=(Library("gidgetlab", "2.1.2", "Python", "sansio.Event.from_http", is_official=False),),
        headers=("x-gitlab-token",),
        given={"content-type": "application/json", "x-gitlab-event": "Push Hook"},
        differences=(differences.no_json(),),
    ),
    Proof(
        sender="calendly",
        secret=TEXT,
        libraries=(N8N,),
        headers=("calendly-webhook-signature",),
    ),
    Proof(
        sender="typeform",
        secret=TEXT,
        libraries=(N8N,),
        headers=("typeform-signature",),
    ),
    Proof(
        sender="cal-com",
        secret=TEXT,
        libraries=(N8N,),
        headers=("x-cal-signature-256",),
    ),
    Proof(
        sender="trello",
        secret=TEXT,
        libraries=(N8N,),
        headers=("x-trello-webhook",),
        changes=(differences.other_url,),
    ),
    Proof(
        sender="zendesk",
        secret=TEXT,
        libraries=(N8N,),
        headers=("x-zendesk-webhook-signature", "x-zendesk-webhook-signature-timestamp"),
        tolerance=43_200,
        differences=(differences.no_time(tolerance=43_200),),
    ),
    Proof(
        sender="asana",
        secret=TEXT,
        libraries=(N8N,),
        headers=("x-hook-signature",),
    ),
    Proof(
        sender="netlify",
        secret="a-secret-for-tests-of-32-bytes-or-more",
        libraries=(N8N,),
        headers=("x-webhook-signature",),
        differences=(
            differences.token_ahead(),
            differences.token_expired(),
            differences.lenient_token("x-webhook-signature"),
        ),
    ),
    Proof(
        sender="qstash",
        secret="a-secret-for-tests-of-32-bytes-or-more",
        libraries=(
            Library("qstash", "3.4.0", "Python", "Receiver.verify"),
            Library("@upstash/qstash", "2.12.0", "Node", "Receiver.verify"),
        ),
        headers=("upstash-signature",),
        changes=(differences.other_url,),
        differences=(
            differences.token_ahead(),
            differences.token_expired(),
            differences.lenient_token("upstash-signature"),
        ),
    ),
)
