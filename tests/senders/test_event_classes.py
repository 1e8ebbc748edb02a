"""The classes of senders' events take their documents, and keep what they do not declare."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, get_args

import pytest

from tests.helpers import NOW
from webhook_receiver import Event, WebhookReceiver
from webhook_receiver.cli.notification import Notifier
from webhook_receiver.delivery import RequestHead
from webhook_receiver.senders import github, notion, paddle, shopify, slack, stripe, twitch, zoom
from webhook_receiver.senders.registry import presets
from webhook_receiver.testing import encode, make, rehearse

_SUBSCRIPTION = {"id": "s-1", "type": "stream.online", "version": "1", "status": "enabled"}
_BROADCASTER = {"broadcaster_user_id": "1", "broadcaster_user_login": "mona", "broadcaster_user_name": "Mona"}
_SAID = {"type": "message", "channel": "C1", "ts": "1764000188.000200", "user": "U1", "text": "hi"}
_CALLBACK = {"type": "event_callback", "team_id": "T1", "event_id": "Ev1", "event_time": 1764000188}
_NOTIFIED = {
    "event_id": "evt_1",
    "notification_id": "ntf_1",
    "occurred_at": "2026-11-24T12:03:08.000000Z",
    "data": {"id": "txn_1", "status": "completed"},
}
DOCUMENTS: list[tuple[str, type[Event], Mapping[str, Any], str | None]] = [
    ("github", github.Push, github.SAMPLES["push"], "push"),
    ("github", github.PullRequest, github.SAMPLES["pull_request"], "pull_request"),
    ("github", github.Issues, github.SAMPLES["issues"], "issues"),
    ("github", github.Ping, github.SAMPLES["ping"], "ping"),
    ("stripe", stripe.PaymentIntentSucceeded, stripe.SAMPLES["payment_intent.succeeded"], None),
    ("stripe", stripe.CheckoutSessionCompleted, stripe.SAMPLES["checkout.session.completed"], None),
    ("stripe", stripe.ChargeRefunded, stripe.SAMPLES["charge.refunded"], None),
    ("shopify", shopify.OrderChanged, shopify.SAMPLES["orders/create"], "orders/create"),
    ("shopify", shopify.ProductChanged, shopify.SAMPLES["products/update"], "products/update"),
    ("shopify", shopify.AppUninstalled, shopify.SAMPLES["app/uninstalled"], "app/uninstalled"),
    ("paddle", paddle.TransactionCompleted, {**_NOTIFIED, "event_type": "transaction.completed"}, None),
    ("paddle", paddle.SubscriptionChanged, {**_NOTIFIED, "event_type": "subscription.past_due"}, None),
    ("slack", slack.AppMention, {**_CALLBACK, "event": {**_SAID, "type": "app_mention"}}, None),
    ("slack", slack.Message, {**_CALLBACK, "event": _SAID}, None),
    (
        "slack",
        slack.Message,
        {**_CALLBACK, "event": {"type": "message", "channel": "C1", "ts": "1", "bot_id": "B"}},
        None,
    ),
    (
        "zoom",
        zoom.MeetingChanged,
        {
            "event": "meeting.started",
            "event_ts": 1764000188000,
            "payload": {"account_id": "a", "object": {"id": "1234567890", "uuid": "u==", "topic": "Parcels"}},
        },
        None,
    ),
    (
        "twitch",
        twitch.ChannelChanged,
        {"subscription": {**_SUBSCRIPTION, "status": "enabled"}, "challenge": "x", "event": _BROADCASTER},
        "stream.online",
    ),
    ("twitch", twitch.ChannelChanged, {"subscription": _SUBSCRIPTION, "event": _BROADCASTER}, "stream.online"),
    ("twitch", twitch.ChannelChanged, {"subscription": {**_SUBSCRIPTION, "status": "user_removed"}}, "stream.online"),
    (
        "notion",
        notion.PageChanged,
        {
            "id": "e-1",
            "type": "page.created",
            "timestamp": "2026-11-24T12:03:08.000Z",
            "workspace_id": "w-1",
            "entity": {"id": "p-1", "type": "page"},
            "attempt_number": 1,
        },
        None,
    ),
]


@pytest.mark.parametrize(("name", "cls", "document", "event"), DOCUMENTS)
async def test_a_document_becomes_an_event_of_its_class(
    name: str, cls: type[Event], document: Mapping[str, Any], event: str | None
) -> None:
    preset = presets()[name]
    assert cls in preset.events
    sender = preset.sender(preset.example)
    hooks = WebhookReceiver(sender=sender, clock=lambda: NOW)
    found: list[Event] = []

    @hooks.on(cls)
    async def take(event: Event) -> None:
        found.append(event)

    for each in preset.events:
        if each is not cls:
            hooks.on(each)(ignore)
    body = json.dumps({**document, "a_new_member": {"of": ["theirs"]}}).encode()
    given = {} if event is None or sender.event_header is None else {sender.event_header: event}
    head = sender.scheme.sign(RequestHead.of(given), body, NOW)
    receipt = await hooks.receive(head.headers, body)
    assert receipt.response.status < 300, receipt.error
    assert [type(each) for each in found] == [cls]
    assert found[0].model_extra is not None
    assert found[0].model_extra["a_new_member"] == {"of": ["theirs"]}


async def ignore(event: Event) -> None: ...


def test_what_happened_is_in_the_body_of_an_event_that_is_named_inside() -> None:
    revoked = twitch.ChannelChanged.model_validate({"event": "stream.online", "subscription": _SUBSCRIPTION})
    assert revoked.body is None
    mention = slack.AppMention.model_validate({**_CALLBACK, "event": "app_mention", "body": _SAID})
    assert (mention.body.channel, mention.body.text) == ("C1", "hi")


MADE = [
    (preset.name, cls, name)
    for preset in presets().values()
    for cls in preset.events
    for name in get_args(cls.model_fields["event"].annotation)
]


@pytest.mark.parametrize(("sender", "cls", "name"), MADE)
async def test_a_made_event_reaches_its_handler(sender: str, cls: type[Event], name: str) -> None:
    preset = presets()[sender]
    hooks = WebhookReceiver(sender=preset.sender(preset.example))
    noted: list[Event] = []

    @hooks.on(cls)
    async def note(event: Event) -> None:
        noted.append(event)

    with rehearse(hooks) as webhooks:
        await webhooks.send(make(cls, event=name))
    assert [(type(each), each.event) for each in noted] == [(cls, name)]


@pytest.mark.parametrize(("sender", "cls", "name"), MADE)
async def test_an_event_that_a_command_sends_reaches_its_handler(sender: str, cls: type[Event], name: str) -> None:
    preset = presets()[sender]
    hooks = WebhookReceiver(sender=preset.sender(preset.example))
    noted: list[Event] = []

    @hooks.on(cls)
    async def note(event: Event) -> None:
        noted.append(event)

    notifier = Notifier.of_receiver(hooks)
    body = notifier.body(notifier.document(name, None, None))
    head = notifier.head(body, name, url="http://localhost/webhooks", now=time.time())
    receipt = await hooks.receive(head.headers, body, target=head.target)
    assert receipt.error is None
    assert [(type(each), each.event) for each in noted] == [(cls, name)]


def test_a_sender_has_an_events_name_in_a_place_of_its_own() -> None:
    said = {"team_id": "T1", "event_id": "E1", "event_time": 1, "body": {"channel": "C1", "ts": "1"}}
    event = slack.Message.model_validate({"event": "message", **said})
    assert json.loads(encode(event, sender=slack.slack("secret"))) == {
        "team_id": "T1",
        "event_id": "E1",
        "event_time": 1,
        "event": {"channel": "C1", "ts": "1", "type": "message"},
    }
    assert json.loads(encode(event)) == {"event": "message", **said}


async def test_a_document_in_a_field_of_a_form_is_sent_as_one() -> None:
    preset = presets()["mandrill"]
    hooks = WebhookReceiver(sender=preset.sender(preset.example), public_url="http://localhost/webhooks")
    noted: list[str] = []

    @hooks.fallback
    async def note(event: Event) -> None:
        noted.append(event.event)

    notifier = Notifier.of_receiver(hooks)
    body = notifier.body(notifier.document("send", None, None))
    head = notifier.head(body, "send", url="http://localhost/webhooks", now=time.time())
    receipt = await hooks.receive(head.headers, body, target=head.target)
    assert (receipt.error, noted) == (None, ["send"])
    assert body.startswith(b"mandrill_events=%5B%7B")
