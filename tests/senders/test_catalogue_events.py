"""The events of the catalogue's senders: their names, ids and parts, from documents as the senders have them."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.helpers import NOW
from webhook_receiver import Attempt, Event, WebhookReceiver
from webhook_receiver.delivery import RequestHead
from webhook_receiver.events import parsed_paths, value_at
from webhook_receiver.senders.registry import presets

URL = "https://example.com/webhooks"
SECRET = "a-secret-for-tests"


async def events_of(name: str, document: Any, **headers: str) -> list[tuple[str, str | None]]:
    """Return the names and ids of the events in a delivery of a document."""
    preset = presets()[name]
    sender = preset.sender(preset.example)
    hooks = WebhookReceiver(sender=sender, public_url=URL, clock=lambda: NOW)
    found: list[tuple[str, str | None]] = []

    @hooks.fallback
    async def note(event: Event, attempt: Attempt) -> None:
        ids = [value_at(event, path) for path in parsed_paths(sender.delivery_id_paths)]
        of_class = event.delivery_id
        found.append((event.event, " ".join(map(str, ids)) if ids and None not in ids else of_class))

    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    given = {"x-lark-request-nonce": "n-1"} | headers
    head = sender.scheme.sign(RequestHead.of(given, target="/webhooks", url=URL), body, NOW)
    receipt = await hooks.receive(head.headers, body, target=head.target)
    assert 200 <= receipt.response.status <= 299, receipt.error
    return found


def form(events: list[dict[str, Any]]) -> bytes:
    """Return a delivery of Mandrill's."""
    return urlencode({"mandrill_events": json.dumps(events)}).encode()


@pytest.mark.parametrize(
    ("name", "document", "expected"),
    [
        (
            "airwallex",
            {"id": "evt_1", "name": "payment_intent.succeeded", "data": {}},
            [("payment_intent.succeeded", "evt_1")],
        ),
        ("qonto", {"id": "d-1", "type": "v1/transactions", "data": {}}, [("v1/transactions", "d-1")]),
        ("recurly", {"id": "a", "object_type": "account", "event_type": "created"}, [("account.created", None)]),
        ("agora", {"noticeId": "n-1", "eventType": 101, "payload": {}}, [("101", "n-1")]),
        (
            "asana",
            {"events": [{"action": "added", "resource": {"resource_type": "task"}}, {"action": "deleted"}]},
            [("task.added", None), ("deleted", None)],
        ),
        ("asana", {"events": []}, []),
        (
            "auth0",
            [{"log_id": "1", "data": {"type": "s"}}, {"log_id": "2", "data": {"type": "f"}}],
            [("s", "1"), ("f", "2")],
        ),
        ("auth0", {"log_id": "1", "data": {"type": "s"}}, [("s", "1")]),
        ("azure-devops", {"id": "e-1", "eventType": "git.push", "resource": {}}, [("git.push", "e-1")]),
        ("azure-event-grid", [{"id": "1", "eventType": "A.B", "data": {}}], [("A.B", "1")]),
        ("azure-event-grid", [], []),
        ("box", {"trigger": "FILE.UPLOADED", "source": {}}, [("FILE.UPLOADED", None)]),
        ("cal-com", {"triggerEvent": "BOOKING_CREATED", "payload": {}}, [("BOOKING_CREATED", None)]),
        ("calendly", {"event": "invitee.created", "payload": {}}, [("invitee.created", None)]),
        ("clerk", {"type": "user.created", "data": {}}, [("user.created", None)]),
        (
            "cloudevents",
            [{"specversion": "1.0", "id": "1", "source": "/a", "type": "parcel.lost"}] * 2,
            [("parcel.lost", "/a 1"), ("parcel.lost", "/a 1")],
        ),
        ("cloudevents", {"specversion": "1.0", "id": "1", "source": "/a", "type": "x"}, [("x", "/a 1")]),
        ("clickup", {"event": "taskCreated", "task_id": "c0j"}, [("taskCreated", None)]),
        ("discord", {"type": 1, "event": {"type": "ENTITLEMENT_CREATE", "data": {}}}, [("ENTITLEMENT_CREATE", None)]),
        ("docusign", {"event": "envelope-completed", "data": {}}, [("envelope-completed", None)]),
        ("dropbox", {"list_folder": {"accounts": ["dbid:1"]}}, [("list_folder", None)]),
        ("elevenlabs", {"type": "post_call_transcription", "data": {}}, [("post_call_transcription", None)]),
        ("figma", {"event_type": "PING", "passcode": SECRET}, [("PING", None)]),
        (
            "hubspot",
            [{"eventId": 1, "subscriptionType": "deal.creation"}, {"eventId": 1, "subscriptionType": "deal.deletion"}],
            [("deal.creation", None), ("deal.deletion", None)],
        ),
        (
            "intercom",
            {"type": "notification_event", "id": "notif_1", "topic": "user.created"},
            [("user.created", "notif_1")],
        ),
        ("jira", {"webhookEvent": "jira:issue_updated", "issue": {}}, [("jira:issue_updated", None)]),
        (
            "kontent-ai",
            {"notifications": [{"data": {}, "message": {"object_type": "content_item", "action": "published"}}]},
            [("content_item.published", None)],
        ),
        ("knock", {"type": "message.sent", "data": {}}, [("message.sent", None)]),
        (
            "line",
            {
                "destination": "U1",
                "events": [{"type": "message", "webhookEventId": "a"}, {"type": "follow", "webhookEventId": "b"}],
            },
            [("message", "a"), ("follow", "b")],
        ),
        ("line", {"destination": "U1", "events": []}, []),
        (
            "lark",
            {"header": {"event_id": "e-1", "event_type": "im.message.receive_v1"}},
            [("im.message.receive_v1", "e-1")],
        ),
        ("lark", {"uuid": "1", "event": {"type": "message"}}, [("message", None)]),
        ("discord-interactions", {"id": "1", "type": 2, "data": {"name": "weather"}}, [("weather", "1")]),
        ("discord-interactions", {"id": "2", "type": 3, "data": {"custom_id": "ok"}}, [("ok", "2")]),
        ("discord-interactions", {"id": "3", "type": 4}, [("4", "3")]),
        ("linear", {"type": "Issue", "action": "update", "data": {}}, [("Issue.update", None)]),
        ("liveblocks", {"type": "userEntered", "data": {}}, [("userEntered", None)]),
        ("livekit", {"event": "room_started", "id": "EV_1"}, [("room_started", "EV_1")]),
        (
            "meta",
            {
                "object": "whatsapp_business_account",
                "entry": [
                    {
                        "id": "1",
                        "changes": [{"field": "messages", "value": {}}, {"field": "account_update", "value": {}}],
                    },
                    {"id": "2", "changes": [{"field": "messages", "value": {}}]},
                ],
            },
            [("messages", None), ("account_update", None), ("messages", None)],
        ),
        ("meta", {"object": "page", "entry": [{"id": "1", "messaging": [{}]}]}, [("messaging", None)]),
        (
            "meta",
            {
                "object": "instagram",
                "entry": [
                    {
                        "id": "1",
                        "messaging": [
                            {"sender": {"id": "2"}, "message": {"mid": "m-1", "text": "hi"}},
                            {"sender": {"id": "2"}, "postback": {"mid": "m-2", "payload": "YES"}},
                            {"sender": {"id": "2"}, "postback": {"payload": "NO"}},
                            {"sender": {"id": "2"}, "read": {"watermark": 7}},
                            {"sender": {"id": "2"}, "reaction": {"mid": "m-1", "action": "react"}},
                        ],
                        "changes": [{"field": "comments", "value": {"id": "c-1"}}],
                    },
                    {"id": "2", "standby": [{"message": {"mid": "m-3"}}]},
                ],
            },
            [
                *(("message", "m-1"), ("postback", "m-2"), ("postback", None), ("read", None), ("reaction", None)),
                *(("comments", None), ("message", "m-3")),
            ],
        ),
        (
            "microsoft-graph",
            {
                "value": [
                    {"clientState": SECRET, "changeType": "created"},
                    {"clientState": SECRET, "lifecycleEvent": "missed"},
                ]
            },
            [("created", None), ("missed", None)],
        ),
        ("monday", {"event": {"type": "create_item", "boardId": 1}}, [("create_item", None)]),
        ("google-pubsub", {"message": {"messageId": "7", "data": "aGk="}}, [("message", "7")]),
        (
            "google-pubsub",
            {"message": {"messageId": "8", "attributes": {"eventType": "OBJECT_FINALIZE"}}},
            [("OBJECT_FINALIZE", "8")],
        ),
        ("qstash", {"event": "parcel.lost"}, [("parcel.lost", None)]),
        ("qstash", {"hello": "world"}, [("message", None)]),
        ("notion", {"id": "e-1", "type": "page.created", "entity": {}}, [("page.created", "e-1")]),
        (
            "okta",
            {"data": {"events": [{"uuid": "u-1", "eventType": "user.lifecycle.create"}]}},
            [("user.lifecycle.create", "u-1")],
        ),
        ("openai", {"type": "response.completed", "data": {}}, [("response.completed", None)]),
        ("pagerduty", {"event": {"id": "1", "event_type": "incident.triggered"}}, [("incident.triggered", None)]),
        ("replicate", {"id": "p-1", "status": "succeeded"}, [("succeeded", None)]),
        ("seam", {"event_type": "device.connected"}, [("device.connected", None)]),
        (
            "slack",
            {"type": "event_callback", "event_id": "Ev1", "event": {"type": "app_mention"}},
            [("app_mention", "Ev1")],
        ),
        ("slack", b"payload=%7B%22type%22%3A%20%22block_actions%22%7D", [("block_actions", None)]),
        ("slack", b"command=%2Fweather&text=94070", [("/weather", None)]),
        ("stream", {"type": "message.new", "cid": "messaging:1"}, [("message.new", None)]),
        ("telegram", {"update_id": 7, "message": {"text": "hi"}}, [("message", "7")]),
        ("telegram", '{"callback_query": {"data": "é"}, "update_id": 8}'.encode(), [("callback_query", "8")]),
        ("trello", {"action": {"id": "a-1", "type": "updateCard"}, "model": {}}, [("updateCard", "a-1")]),
        ("trigger-dev", {"id": "1", "type": "alert.run.failed"}, [("alert.run.failed", "1")]),
        ("twilio", b"MessageSid=SM1&SmsStatus=received&Body=hi", [("received", None)]),
        ("twilio", b"MessageSid=SM1&SmsStatus=sent&MessageStatus=delivered", [("delivered", None)]),
        ("twilio", b"CallSid=CA1&CallStatus=ringing", [("ringing", None)]),
        ("twilio", b"RecordingSid=RE1&CallSid=CA1&RecordingStatus=completed", [("completed", None)]),
        ("twilio", b"ConferenceSid=CF1&StatusCallbackEvent=participant-join", [("participant-join", None)]),
        ("twilio", b"ConversationSid=CH1&EventType=onMessageAdded&Body=hi", [("onMessageAdded", None)]),
        ("twilio", b"Digits=7", [("message", None)]),
        (
            "mandrill",
            form([{"event": "send", "_id": "1"}, {"type": "whitelist", "action": "add", "reject": {}}]),
            [("send", None), ("whitelist.add", None)],
        ),
        ("mandrill", form([{"type": "blacklist", "action": "remove"}]), [("blacklist.remove", None)]),
        ("typeform", {"event_id": "e-1", "event_type": "form_response"}, [("form_response", "e-1")]),
        ("vercel", {"id": "1", "type": "deployment.created", "payload": {}}, [("deployment.created", "1")]),
        ("viber", {"event": "seen", "message_token": 7}, [("seen", None)]),
        ("vonage", {"status": "answered", "uuid": "1"}, [("answered", None)]),
        ("webex", {"id": "the webhook", "resource": "messages", "event": "created"}, [("messages.created", None)]),
        ("workos", {"id": "event_1", "event": "dsync.user.created", "data": {}}, [("dsync.user.created", "event_1")]),
        ("zendesk", {"id": "1", "type": "zen:event-type:ticket.created"}, [("zen:event-type:ticket.created", None)]),
        ("zendesk", {"ticket_id": 35436, "status": "open"}, [("template", None)]),
        ("zendesk", {"event": "solved", "ticket_id": 35436}, [("solved", None)]),
        ("zoom", {"event": "meeting.started", "payload": {}}, [("meeting.started", None)]),
    ],
)
async def test_an_event_has_the_senders_name_and_id(
    name: str, document: Any, expected: list[tuple[str, str | None]]
) -> None:
    assert await events_of(name, document) == expected


@pytest.mark.parametrize(
    ("name", "headers", "expected"),
    [
        ("bitbucket", {"x-event-key": "repo:push"}, "repo:push"),
        ("forgejo", {"x-forgejo-event": "push"}, "push"),
        ("gitea", {"x-gitea-event": "push"}, "push"),
        ("gitlab", {"x-gitlab-event": "Push Hook"}, "Push Hook"),
        ("netlify", {"x-netlify-event": "deploy_created"}, "deploy_created"),
        ("sentry", {"sentry-hook-resource": "issue"}, "issue.created"),
        ("twitch", {"twitch-eventsub-subscription-type": "channel.follow"}, "channel.follow"),
    ],
)
async def test_an_event_is_named_by_a_header(name: str, headers: dict[str, str], expected: str) -> None:
    assert await events_of(name, {"action": "created", "subscription": {}}, **headers) == [(expected, None)]


HAS_EVENT = {
    *(
        "calendly",
        "clickup",
        "docusign",
        "livekit",
        "paystack",
        "razorpay",
        "revolut",
        "up42",
        "viber",
        "workos",
        "zoom",
    )
}
"""Senders whose documents have the name in the member `event`, by their documentation."""
NO_NAME = {
    "braintree": "its decode puts the kind into `event`",
    "http-message": "any sender that signs by HTTP Message Signatures",
    "sanity": "the document is what a projection of the user's makes",
    "telegram": "its decode puts the name into `event`",
}
"""Senders that have no place of the name, and why."""


def test_every_sender_has_a_place_of_the_name() -> None:
    senders = {name: preset.sender(preset.example) for name, preset in presets().items()}
    unnamed = {name for name, each in senders.items() if not each.event_name and each.event_header is None}
    of_images = {
        name for name in unnamed if ".imagery." in presets()[name].module
    }  # by statuses: tests/senders/imagery
    assert unnamed - of_images == HAS_EVENT | NO_NAME.keys()


@pytest.mark.parametrize("name", sorted(HAS_EVENT))
async def test_a_member_event_is_the_name(name: str) -> None:
    found = await events_of(name, {"event": "a.b", "id": "1"}, **{"content-type": "application/json"})
    assert [event for event, _ in found] == ["a.b"]


@pytest.mark.parametrize("name", ["hubspot", "qstash", "sanity", "sentry", "viber", "webex", "zendesk"])
def test_no_event_is_lost_to_another_with_an_equal_id_or_body(name: str) -> None:
    """Ids of webhooks and messages, or of no guarantee; and bodies that say the same of two events."""
    sender = presets()[name].sender(presets()[name].example)
    assert (sender.delivery_id, sender.delivery_id_path) == (None, None)


async def test_the_events_of_a_batch_of_twitch_keep_their_subscription() -> None:
    document = {"subscription": {"status": "enabled"}, "events": [{"id": "1", "data": {}}, {"id": "2", "data": {}}]}
    named = {"twitch-eventsub-subscription-type": "drop.entitlement.grant"}
    assert await events_of("twitch", document, **named) == [("drop.entitlement.grant", None)] * 2


@pytest.mark.parametrize("header", ["channel.follow", "stream.online", ""])
async def test_the_signed_body_of_twitch_names_the_event_not_the_header(header: str) -> None:
    document = {"subscription": {"type": "channel.ban", "status": "enabled"}, "event": {"user_id": "1"}}
    named = {"twitch-eventsub-subscription-type": header}
    assert await events_of("twitch", document, **named) == [("channel.ban", None)]
    batch = {"subscription": document["subscription"], "events": [{"id": "1"}, {"id": "2"}]}
    assert await events_of("twitch", batch, **named) == [("channel.ban", None)] * 2


@pytest.mark.parametrize(
    "update",
    [
        b"",
        b"[]",
        b'"update_id"',
        b"{}",
        b'{"update_id": 1}',
        b'{"update_id": 1, "a": 1, "b": 2}',
        b'{"message": 1}',
        b"\xff",
    ],
)
async def test_what_is_no_update_of_telegram_stays_as_it_is(update: bytes) -> None:
    from webhook_receiver.senders.telegram import named

    assert named(update) == update
