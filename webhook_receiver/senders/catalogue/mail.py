"""Senders of mail, by wire or on paper, that a row each tells."""

from __future__ import annotations

from functools import partial

from ...responses import ResponseStatuses
from ...signatures.any_of import AnyOf
from ...signatures.hmac_body import HMACBody
from ...signatures.public_key_body import PublicKeyBody
from ...signatures.secrets import Secrets
from ...signatures.shared_secret import BasicAuth
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


def _lob(secrets: Secrets) -> AnyOf:
    """Return Lob's scheme: over a time, which is in milliseconds or seconds, a full stop and the body."""
    scheme = partial(
        HMACBody,
        secrets,
        signature="lob-signature",
        timestamp="lob-signature-timestamp",
        signed="{timestamp}.{body}",
        tolerance=LATE,
    )
    return AnyOf(scheme(timestamp_format="milliseconds"), scheme(), same_secrets=True)


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
    row(
        "klaviyo",
        "Klaviyo",
        partial(
            HMACBody,
            signature="klaviyo-signature",
            timestamp="klaviyo-timestamp",
            timestamp_format="http-date",
            signed="{body}{timestamp}",
            tolerance=LATE,
        ),
        partial(
            Sender,
            facts=(
                "developers.klaviyo.com/en/docs/working_with_system_webhooks, read in November 2026",
                "tests of other receivers on GitHub have the time as a date of HTTP; its documentation does not say",
            ),
            split=Split("data.*"),
            event_name="topic",
            delivery_id_path="external_id",
        ),
        ("klaviyo-signature", "klaviyo-timestamp"),
        marks=("klaviyo-webhook-id",),
        page=Page(
            trade="mail",
            docs="developers.klaviyo.com/en/docs/working_with_system_webhooks",
            setup=(
                "Create a webhook by the API, with the URL, the topics, and a secret of your own of 16 characters or "
                "more. Only apps of partners and customers of its Advanced KDP can."
            ),
            traps=(
                "These are system webhooks. The action Webhook in a flow is not signed.",
                "A delivery is a batch of up to 1,000 events in data.",
                "The time is a date of HTTP, and stands right behind the body when both are signed.",
            ),
        ),
    ),
    row(
        "lob",
        "Lob",
        _lob,
        partial(
            Sender,
            facts=(
                "help.lob.com/print-and-mail/getting-data-and-results/using-webhooks, read in November 2026",
                "other receivers on GitHub have the time in milliseconds; not confirmed, so seconds are read as well",
            ),
            event_name="event_type.id",
            delivery_id_path="id",
        ),
        ("lob-signature", "lob-signature-timestamp"),
        page=Page(
            trade="mail",
            docs="help.lob.com/print-and-mail/getting-data-and-results/using-webhooks",
            setup=(
                "In the dashboard, Webhooks, choose Test or Live, then Create: the URL and the events. Each webhook "
                "has a secret."
            ),
            answer="Any 2xx; else it is sent again.",
            traps=("Webhooks of the test environment and of the live one are apart, each with its own secret.",),
        ),
    ),
    row(
        "postmark",
        "Postmark",
        partial(BasicAuth, username="postmark"),
        partial(
            Sender,
            responses=ResponseStatuses(stored=200),
            facts=(
                "postmarkapp.com/developer/webhooks/webhooks-overview and postmarkapp.com/support: inbound webhook "
                "retries, read in November 2026",
                "django-anymail 15.2 for Python (of a third party), run in November 2026",
            ),
            event_name=("RecordType", "text:Inbound"),
        ),
        shape=("MessageID", "MessageStream"),
        body=b'{"RecordType": "Delivery", "ServerID": 23, "MessageStream": "outbound", "MessageID": "first-number"}',
        page=Page(
            trade="mail",
            docs="postmarkapp.com/developer/webhooks/webhooks-overview",
            setup=(
                "In the message stream's Webhooks, or by the API, add one with the URL and the events; the user name "
                "postmark and a password of your own are in the URL: https://postmark:password@example.com/webhooks."
            ),
            answer=(
                "200; mail that comes in is sent again up to 10 times in about 10 hours, and not at all after a 403."
            ),
            traps=(
                "Nothing is signed: who knows the password can make any event.",
                "MessageID is the id of the message: events about one message share it, so it tells no repeat.",
                "Mail that comes in has no RecordType, and gets the name Inbound. It has a webhook of its own.",
            ),
            verified=("django-anymail 15.2 (Python)", "2026-11-29"),
        ),
    ),
)
