"""The sender AWS SNS: messages of topics that are signed in their bodies, and the confirmation of a subscription.

`signature` has the scheme.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Literal
from urllib.parse import parse_qs, urlsplit

from pydantic import Field

from ...delivery import Attempt
from ...errors import GiveUp, VerificationError
from ...events import Event
from ...signatures import http_get
from ...signatures.http_get import Fetch
from ...signatures.secrets import Secret, Secrets
from ..base import Sender
from ..page import Page
from ..preset import Preset
from .signature import (
    SUBSCRIPTION,
    Certificates,
    SNSSignature,
    host_of,
    is_of_host,
    message_of,
    signed_message,
)

__all__ = [
    "Certificates",
    "Confirmation",
    "Notification",
    "SNSSignature",
    "SubscriptionConfirmation",
    "UnsubscribeConfirmation",
    "aws_sns",
    "confirm",
    "signed_message",
]


class _Message(Event, frozen=True):
    """A message of SNS. What AWS does not sign, such as `MessageAttributes`, is in `model_extra`."""

    message_id: str = Field(alias="MessageId")
    """The id of the message, the same when it is sent again."""
    topic_arn: str = Field(alias="TopicArn")
    """The topic."""
    message: str = Field(alias="Message")
    """The text of the message."""
    timestamp: str = Field(alias="Timestamp")
    """The time at which it was published, by ISO 8601."""


class Notification(_Message, frozen=True):
    """The event `Notification`: what was published to the topic."""

    event: Literal["Notification"]
    subject: str | None = Field(None, alias="Subject")
    """The subject; None without one."""


class Confirmation(_Message, frozen=True):
    """What `SubscriptionConfirmation` and `UnsubscribeConfirmation` have in common."""

    token: str = Field(alias="Token", repr=False)
    """The token of the confirmation."""
    subscribe_url: str = Field(alias="SubscribeURL", repr=False)
    """The URL whose request subscribes the receiver's URL to the topic."""


class SubscriptionConfirmation(Confirmation, frozen=True):
    """The event `SubscriptionConfirmation`: somebody wants the topic to be delivered here. See `confirm`."""

    event: Literal["SubscriptionConfirmation"]


class UnsubscribeConfirmation(Confirmation, frozen=True):
    """The event `UnsubscribeConfirmation`: the topic is no longer delivered here."""

    event: Literal["UnsubscribeConfirmation"]


async def confirm(event: SubscriptionConfirmation, attempt: Attempt, *, fetch: Fetch = http_get.get) -> None:
    """Confirm a subscription, as the handler of `SubscriptionConfirmation`: AWS delivers nothing before.

    Nothing is confirmed unless this is registered, `hooks.on(SubscriptionConfirmation)(confirm)`. Then every
    subscription to one of the receiver's topics is. It requests the signed `SubscribeURL` at AWS, and nothing else: a
    confirmation inside the text of a message, where `split` makes an event of it, is anybody's who may publish. If the
    request fails, it is tried again as every handler is, and without an inbox when AWS delivers again.

    Args:
        event: the message, which the receiver has verified.
        attempt: the attempt.
        fetch: an async function that requests the URL.

    Raises:
        GiveUp: the delivery is no such message, or not verified as a whole, or its URL is none that confirms a
            subscription to its topic.
        KeysUnavailable: AWS does not confirm it.
        TimeoutError: it takes more than ten seconds.
    """
    if not attempt.delivery.body_verified:
        raise GiveUp("the message of AWS SNS is not verified, so its subscription is not confirmed")
    try:
        message = message_of(attempt.delivery.body)
    except VerificationError as error:
        raise GiveUp(f"the delivery is no message of AWS SNS, so no subscription is confirmed: {error}") from None
    if message["Type"] != SUBSCRIPTION:
        raise GiveUp("the confirmation is inside a message of AWS SNS, and not signed by it, so it is not confirmed")
    url, topic = message["SubscribeURL"], message["TopicArn"]
    if not is_of_host(url, host_of(topic)) or not _confirms(url, topic):
        raise GiveUp("the SubscribeURL of the message is none that confirms a subscription to its topic")
    async with asyncio.timeout(_TIMEOUT):
        await fetch(url)


_TIMEOUT = 10.0  # seconds


def _confirms(url: str, topic: str) -> bool:
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    return parts.path == "/" and query.get("Action") == ["ConfirmSubscription"] and query.get("TopicArn") == [topic]


def aws_sns(secret: Secrets, *, certificates: Certificates | None = None) -> Sender:
    """Return the sender AWS SNS. Needs the extras `[ed25519]` and `[standard]`.

    The events are the messages of SNS. Where the text of a message is an event itself, say so by
    `dataclasses.replace(aws_sns(topic), split=Split("Message"))`, or "Message.Records.*" for those of S3.

    Args:
        secret: what a delivery has to be of, in place of a secret, which SNS has none of: the ARN of the topic, or of
            several.
        certificates: the certificates of AWS; those that all receivers share if None.

    Raises:
        ConfigurationError: a topic is no ARN, or an extra is missing.
    """
    return Sender(
        name="aws-sns",
        scheme=SNSSignature(secret, certificates=certificates),
        facts=(
            "docs.aws.amazon.com/sns, 'Verifying the signatures of Amazon SNS messages' and 'HTTP/HTTPS notification "
            "JSON format', by documentation",
            "sns-validator 0.3.5 for Node, run in November 2026, see tests/senders/test_aws_sns.py",
        ),
        events=(Notification, SubscriptionConfirmation, UnsubscribeConfirmation),
        event_name="Type",
    )


def played(topic: Secrets, key: Secret) -> Sender:
    """Return the sender as `send` plays it, which signs with a private key of its own."""
    return replace(aws_sns(topic), scheme=SNSSignature(topic, key=key))


TOPIC = "arn:aws:sns:eu-central-1:123456789012:orders"

PRESETS = (
    Preset(
        "aws-sns",
        "AWS SNS",
        aws_sns,
        SNSSignature,
        example=TOPIC,
        played=played,
        body=json.dumps({"Type": "Notification", "TopicArn": TOPIC, "Message": "{}", "id": "first-number"}).encode(),
        marks=("x-amz-sns-message-type",),
        page=Page(
            arguments=('"arn:aws:sns:eu-central-1:123456789012:orders"',),
            imports=("from webhook_receiver.senders.aws_sns import SubscriptionConfirmation, confirm",),
            then=("hooks.on(SubscriptionConfirmation)(confirm)",),
            trade="clouds",
            docs="docs.aws.amazon.com/sns/latest/dg",
            setup=(
                "Subscribe the URL to the topic, with the protocol HTTPS and without raw message delivery, which signs "
                "nothing. The receiver is given the ARN of the topic in place of a secret. It confirms a subscription "
                "only if the handler confirm of webhook_receiver.senders.aws_sns is registered for "
                "SubscriptionConfirmation."
            ),
            answer="Any 2xx. A subscription can be confirmed for three days.",
            traps=(
                "SignatureVersion is 1 (SHA-1) unless the topic says 2 (SHA-256).",
                "MessageAttributes are not signed: body_verified is False for a message that has them.",
                "The Content-Type is text/plain.",
                "Receivers trust AWS alone: one that send --as aws-sns is to reach is given the certificate it prints.",
                "sns-validator 0.3.5 for Node rejects a genuine UnsubscribeConfirmation.",
            ),
            verified=(
                "aws-sns-message-validator 0.0.5 (Python), sns-validator 0.3.5 (Node), n8n-nodes-base 2.41.2 (Node)",
                "2026-11-29",
            ),
        ),
    ),
)
