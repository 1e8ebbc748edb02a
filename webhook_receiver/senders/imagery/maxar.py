"""The provider Maxar, now Vantor: orders, tasking and monitors, by HTTP or by AWS SNS, in documents not known."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from typing import Any, Literal, cast

from ...delivery import Headers
from ...events import ImageryFailed, ImageryPartlyReady, ImageryProgress, ImageryReady
from ...json_repair import parsed
from ...signatures.secrets import Secret, Secrets
from ..aws_sns import TOPIC, SNSSignature, aws_sns
from ..base import Sender
from ..page import Page
from ..preset import Preset
from .events import URL_PLACES, DocumentPlaces, ProviderEvent, Reading
from .schemes import EXAMPLE, secret_path
from .statuses import STATUSES


class MaxarReady(ProviderEvent, ImageryReady, frozen=True):
    """An order is complete, or a tasking fulfilled."""

    event: Literal["maxar.order.ready"]


class MaxarPartlyReady(ProviderEvent, ImageryPartlyReady, frozen=True):
    """A tasking is fulfilled in part."""

    event: Literal["maxar.order.partly-ready"]


class MaxarFailed(ProviderEvent, ImageryFailed, frozen=True):
    """An order or a tasking has failed, or was denied."""

    event: Literal["maxar.order.failed"]


class MaxarProgress(ProviderEvent, ImageryProgress, frozen=True):
    """Any other news of an order, a tasking or a monitor."""

    event: Literal["maxar.order.progress"]


_EVENTS = (MaxarReady, MaxarPartlyReady, MaxarFailed, MaxarProgress)
_FACTS = (
    "developers.maxar.com, the guides to notifications of ordering, tasking v2 and monitoring, read in November 2026, "
    "and MGP_SDK 1.3.2 for Python: how a notification is asked for, and the statuses",
    "The documents are not known; nor is what the type http proves, and which answer it wants",
)


_NO_PLACES = DocumentPlaces(status=(), order_id=())


class _InMessages(Reading):
    """The reading of the texts of messages of SNS. Other messages are left as they are."""

    def read(self, document: Any, headers: Headers) -> dict[str, Any]:
        inner: object = parsed(str(document.get("Message", "")).encode())
        return super().read(cast("object", inner) if isinstance(inner, dict) else document, headers)


def maxar(secret: Secrets, *, places: DocumentPlaces = URL_PLACES) -> Sender:
    """Return the sender Maxar, for notifications of the type http.

    Args:
        secret: the last part of the URL's path, or several while it is changed.
        places: the places of the order's id, its status and the rest.

    Raises:
        ConfigurationError: a secret or a place cannot work.
    """
    reading = Reading(event="maxar.order", statuses=STATUSES["maxar"], **vars(places))
    return reading.sender("maxar", secret_path(secret), _EVENTS, facts=_FACTS)


def maxar_sns(secret: Secrets, *, places: DocumentPlaces = _NO_PLACES) -> Sender:
    """Return the sender Maxar, for notifications of the type sns: see `webhook_receiver.senders.aws_sns`.

    Args:
        secret: the ARN of the topic, or of several: a message has to be of it.
        places: the places of the order's id, its status and the rest in the text of a message. AWS does not sign the
            URL, so none is there.

    Raises:
        ConfigurationError: a topic is no ARN, a place cannot work, or an extra is missing.
    """
    reading = _InMessages(
        event="maxar.order",
        statuses=STATUSES["maxar"],
        id=(("MessageId",),),
        where=("Type", "Notification"),
        **vars(places),
    )
    sns = aws_sns(secret)
    return replace(
        sns,
        name="maxar-sns",
        facts=(*_FACTS, *sns.facts),
        decode=reading,
        event_name=("Type", "event"),
        events=(*sns.events, *_EVENTS),
        order_items=reading.order_items,
    )


def _played(topic: Secrets, key: Secret) -> Sender:
    """Return the sender as `send` plays it, which signs with a private key of its own."""
    return replace(maxar_sns(topic), scheme=SNSSignature(topic, key=key))


_MESSAGE = {"Type": "Notification", "TopicArn": TOPIC, "Message": "{}", "id": "first-number"}
_BACKFILL = "List the orders by start_date and end_date, and the events of one."
_UNKNOWN = "Its documents are not known. Without places each call is an ImageryProgress without a status."

PRESETS = (
    Preset(
        "maxar",
        "Maxar (Vantor)",
        maxar,
        partial(secret_path),
        example=EXAMPLE,
        page=Page(
            trade="images",
            docs="developers.maxar.com/docs/ordering/guides/notifications",
            setup=(
                'In the order, the tasking or the monitor, a notification of {"type": "http", "target": URL, "level": '
                '"FINAL_ONLY"}. The secret is the last part of the URL\'s path.'
            ),
            answer="Which answers are taken for received is not known.",
            backfill=_BACKFILL,
            traps=(
                f"{_UNKNOWN} ?order=...&status=... in the URL says what a call is about: with the level FINAL_ONLY or "
                "ON_FAIL, status=SUCCESS or status=FAIL.",
                "A third party describes subscriptions with a secret: Maxar's own pages have none.",
            ),
        ),
    ),
    Preset(
        "maxar-sns",
        "Maxar (Vantor), by SNS",
        maxar_sns,
        partial(SNSSignature),
        example=TOPIC,
        played=_played,
        body=json.dumps(_MESSAGE).encode(),
        page=Page(
            trade="images",
            docs="developers.maxar.com/docs/ordering/guides/notifications",
            setup=(
                'In the order, the tasking or the monitor, a notification of {"type": "sns", "target": the ARN of a '
                "topic of yours}. Subscribe the URL to the topic as for AWS SNS, and register confirm of "
                "webhook_receiver.senders.aws_sns for SubscriptionConfirmation."
            ),
            answer="Any 2xx.",
            backfill=_BACKFILL,
            traps=(f"{_UNKNOWN} maxar_sns(places=...) takes those in the text of a message.",),
        ),
    ),
)
