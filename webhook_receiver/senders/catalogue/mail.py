"""Senders of mail that a row each tells."""

from __future__ import annotations

from functools import partial

from ...signatures.hmac_body import HMACBody
from ...signatures.public_key_body import PublicKeyBody
from ...signatures.standard import StandardWebhooks
from ..base import Sender
from ..challenges import ping
from ..form import form_document
from ..page import Page
from ..preset import LATE
from ..split import Split
from ..standard_webhooks import EXAMPLE, header_names
from .examples import P256_KEY
from .row import row

PRESETS = (
    row(
        "mailersend",
        "MailerSend",
        partial(HMACBody, signature="signature"),
        partial(
            Sender,
            facts=(
                "mailersend 3.4.0 for Node, read in November 2026",
                "django-anymail 15.2 for Python (of a third party), read in November 2026",
            ),
            event_name="type",
        ),
        ("signature",),
        page=Page(
            trade="mail",
            docs="developers.mailersend.com/api/v1/webhooks.html",
            setup="In the domain's settings, Webhooks, or by the API, add one with the URL; it has a signing secret.",
            traps=(
                "Its header has the name that HTTP message signatures (RFC 9421) give another one.",
                "No time is signed.",
            ),
            verified=("mailersend 3.4.0 (Node)", "2026-11-29"),
        ),
    ),
    row(
        "mandrill",
        "Mandrill",
        partial(HMACBody, signature="x-mandrill-signature", hash="sha1", encoding="base64", signed="{url}{form}"),
        partial(
            Sender,
            facts=(
                "django-anymail 15.2 for Python (of a third party), read in November 2026",
                "mailchimp.com/developer/transactional/docs/webhooks: events of sync have a type and an action",
            ),
            decode=partial(form_document, field="mandrill_events"),
            split=Split("*"),
            event_name=("event", "{type}.{action}"),
            challenges=(ping(methods=("HEAD",), signed=False),),
        ),
        ("x-mandrill-signature",),
        body=b"mandrill_events=%5B%7B%22event%22%3A%22send%22%2C%22_id%22%3A%22e-1%22%7D%5D",
        page=Page(
            trade="mail",
            docs="mailchimp.com/developer/transactional/docs/webhooks",
            setup="In Mandrill's Settings, Webhooks, add one with the URL; each has a key of its own.",
            traps=(
                "It signs by SHA-1: the URL, with query and user name, and then names and values of the form. The "
                "border between these is not signed.",
                "A delivery is a form with an array of events in mandrill_events, which is empty at a test.",
                "An event of sync has no name: it gets one of type and action, such as blacklist.add.",
                "A HEAD asks whether the URL is there.",
            ),
            verified=("django-anymail 15.2 (Python)", "2026-11-29"),
        ),
    ),
    row(
        "resend",
        "Resend",
        partial(StandardWebhooks, headers="svix"),
        partial(
            Sender, facts=("resend 2.51.0 for Python and 6.38.0 for Node, read in November 2026",), event_name="type"
        ),
        header_names("svix"),
        example=EXAMPLE,
        page=Page(
            trade="mail",
            docs="resend.com/docs/dashboard/webhooks/introduction",
            setup="In the dashboard, Webhooks, Add Webhook: the URL and the events; its page shows the signing secret.",
            verified=("resend 2.51.0 (Python), resend 6.38.0 (Node)", "2026-11-29"),
        ),
    ),
    row(
        "sendgrid",
        "SendGrid",
        partial(
            PublicKeyBody,
            algorithm="ecdsa-p256-sha256",
            signature="x-twilio-email-event-webhook-signature",
            timestamp="x-twilio-email-event-webhook-timestamp",
            signed="{timestamp}{body}",
            tolerance=LATE,
        ),
        partial(
            Sender,
            facts=("sendgrid 6.12.5 for Python and @sendgrid/eventwebhook 8.0.0 for Node, read in November 2026",),
            split=Split("*"),
            event_name="event",
            delivery_id_path="sg_event_id",
        ),
        ("x-twilio-email-event-webhook-signature", "x-twilio-email-event-webhook-timestamp"),
        example=P256_KEY,
        page=Page(
            trade="mail",
            docs="www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features",
            setup=(
                "In Settings, Mail Settings, Event Webhooks, add one with the URL, and enable the signature: it shows "
                "the verification key, which is given as it stands."
            ),
            traps=(
                "A delivery is an array of events, each with an id of its own.",
                "Every byte counts, also the line break behind the array.",
            ),
            verified=("sendgrid 6.12.5 (Python), @sendgrid/eventwebhook 8.0.0 (Node)", "2026-11-29"),
        ),
    ),
)
