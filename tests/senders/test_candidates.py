"""Whose request it is, where headers overlap: by marks, by what a scheme can read, and by the body."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest

from tests.helpers import NOW
from webhook_receiver import BasicAuth, BodySecret, HMACBody, Secret, Sender, Unsigned
from webhook_receiver.cli.notification import Notifier
from webhook_receiver.delivery import RequestHead
from webhook_receiver.senders import Split, registry
from webhook_receiver.senders.preset import Make, Preset
from webhook_receiver.senders.registry import alike, candidates, presets, recognize


def preset(name: str, make: Make, headers: tuple[str, ...] = (), *, parts: Any = None, **more: Any) -> Preset:
    def sender(secret: Any) -> Sender:
        return Sender(name=name, scheme=make(secret), facts=("made up",), **(parts or {}))

    return Preset(name, name.title(), sender, make, headers, **more)


HUB = partial(HMACBody, signature="x-hub-signature-256", prefix="sha256=")

KNOWN = [
    preset("codehub", HUB, ("x-hub-signature-256",), marks=("x-codehub-event",), parts={"event_header": "X-A"}),
    preset("social", HUB, ("x-hub-signature-256",), samples={"a": {"object": "page", "entry": []}}),
    preset("chat", HUB, ("x-hub-signature-256",), parts={"delivery_id_path": "chat_id"}),
    preset("hexer", partial(HMACBody, signature="x-signature"), ("x-signature",)),
    preset("coder", partial(HMACBody, signature="x-signature", encoding="base64"), ("x-signature",)),
    preset(
        "bodied",
        partial(BodySecret, member="items[].token"),
        parts={"delivery_id_path": "number", "split": Split("items.*"), "event_name": "{kind}.{header:x-action}"},
    ),
    preset(
        "basic", partial(BasicAuth, username="basic"), parts={"event_header": "X-Basic-Event", "delivery_id_path": "id"}
    ),
    preset("open", lambda secret: Unsigned(), marks=("x-open-event",)),
]


LENGTHS: list[int] = []


def noting_its_length(body: bytes) -> bytes:
    LENGTHS.append(len(body))
    return body


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b'{"object": "page", "entry": [%b]}' % b",".join([b'{"text": "a"}'] * 20_000), "social"),
        (b'{"chat_id": 1, "text": "%b"}' % (b"x" * 200_000), "chat"),
        (b'{"a":' * 50_000, "codehub"),
        (b"[" * 200_000, "codehub"),
        (b" " * 3_000_000, "codehub"),
        (json.dumps({f"a{number}": "x" * 600 for number in range(2_000)}).encode(), "codehub"),
    ],
    ids=["items", "text", "objects", "arrays", "nothing", "members"],
)
def test_of_a_large_body_a_part_is_read(body: bytes, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reading = preset("reading", HUB, ("x-hub-signature-256",), parts={"decode": noting_its_length})
    monkeypatch.setattr(registry, "presets", lambda: {each.name: each for each in [*KNOWN[:3], reading]})
    LENGTHS.clear()
    headers = {"x_codehub_event": "push"} if name == "codehub" else {}
    assert named(body, x_hub_signature_256="sha256=" + "0" * 64, **headers)[0] == name
    assert max(LENGTHS) <= 65_536


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "presets", lambda: {each.name: each for each in KNOWN})


def named(body: bytes = b"{}", **headers: str) -> list[str]:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return [each.preset.name for each in candidates(RequestHead.of(given), body)]


def of(name: str, body: bytes) -> dict[str, str]:
    """Return the headers of a request of a sender, signed with somebody's secret."""
    make = next(each.make for each in KNOWN if each.name == name)
    signed = make("somebody's").sign(RequestHead.of({}), body, NOW)
    return {name.decode().replace("-", "_"): value.decode() for name, value in signed.headers}


def test_who_has_headers_of_its_own_is_the_one_if_they_are_there_and_none_if_not() -> None:
    body = json.dumps({"object": "page", "entry": [], "chat_id": 7}).encode()
    assert named(body, **of("codehub", body), x_codehub_event="push")[0] == "codehub"
    assert named(body, **of("codehub", body))[-1] == "codehub"


@pytest.mark.parametrize(
    ("document", "first"), [({"object": "page", "entry": [], "time": 1}, "social"), ({"chat_id": 7}, "chat")]
)
def test_of_two_with_the_same_proof_the_body_tells_the_one(document: dict[str, Any], first: str) -> None:
    body = json.dumps(document).encode()
    assert named(body, **of("social", body))[0] == first


@pytest.mark.parametrize("name", ["hexer", "coder"])
def test_of_two_with_the_same_header_the_one_counts_that_can_read_it(name: str) -> None:
    assert named(b"{}", **of(name, b"{}"))[0] == name


def test_what_nothing_tells_apart_is_alike() -> None:
    found = candidates(RequestHead.of({"x-hub-signature-256": "sha256=" + "0" * 64}), b"[]")
    assert [each.name for each in alike(found)] == ["social", "chat"]
    assert alike([]) == []


def test_a_user_agent_may_name_the_sender() -> None:
    assert named(user_agent="Hexer/1.0 (+https://example.com)") == ["hexer"]
    assert named(user_agent="curl/8.0") == []


def test_a_sender_without_a_header_of_its_own_is_known_by_its_proof_and_something_else() -> None:
    assert named(b'{"items": [{"token": "theirs", "number": 7}]}') == ["bodied"]
    assert named(b'{"items": [{"token": "theirs", "kind": "made"}]}') == ["bodied"]
    assert named(b'{"items": [{"number": 7, "kind": "made"}]}') == []
    assert named(b'{"id": 7}', authorization="Basic YTpi", x_basic_event="a") == ["basic"]
    assert named(b'{"id": 7}', authorization="Basic YTpi") == named(x_basic_event="a") == []
    assert named(x_open_event="a") == ["open"]


@pytest.mark.parametrize("body", [b"", b"\xff", b"[" * 100_000, b"[]", b'"text"', b"a=1&a=2", b"<xml/>"])
def test_whatever_a_stranger_sends_is_looked_at_without_an_error(body: bytes) -> None:
    assert named(body, **of("codehub", body))


LIKE = {
    name: each
    for each in (["standard-webhooks", "polar", "openai", "liveblocks"], ["svix", "resend", "clerk", "liveeo"])
    for name in each[1:]
}
"""The senders that deliver by the same specification, with the same headers, and events named by the same member: only
the values of their events tell them apart."""
KNOWN_BY_NOTHING = {
    *("mollie-classic", "planet-subscriptions", "iceye", "maxar", "arlula", "skywatch", "ogc-processes"),
}
"""The senders whose delivery is a form of an id alone, or a document of any kind, with the secret in the URL."""

HEX, BASE64 = "0" * 64, "A" * 43 + "="


class TestOfThisPackage:
    @pytest.fixture(autouse=True)
    def known(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(registry, "presets", presets)

    @pytest.mark.parametrize(
        ("name", "event", "document"),
        [(name, event, sample) for name, known in presets().items() for event, sample in known.samples.items()],
    )
    def test_a_sample_is_known_as_its_senders_although_nobody_knows_the_secret(
        self, name: str, event: str, document: dict[str, Any]
    ) -> None:
        preset = presets()[name]
        sender, body = preset.sender(preset.example), json.dumps(document).encode()
        headers = {} if sender.event_header is None else {sender.event_header: event}
        head = sender.scheme.sign(RequestHead.of(headers, url="https://example.com/in"), body, NOW)
        assert preset in alike(candidates(head, body))
        assert recognize(head.headers, body) in alike(candidates(head, body))

    @pytest.mark.parametrize(
        ("headers", "body", "likely"),
        [
            (
                {
                    "X-GitHub-Event": "push",
                    "X-GitHub-Delivery": "7",
                    "X-Hub-Signature": f"sha1={HEX[:40]}",
                    "X-Hub-Signature-256": f"sha256={HEX}",
                    "User-Agent": "GitHub-Hookshot/044aadd",
                },
                b"{}",
                ["github"],
            ),
            (
                {"X-GitHub-Event": "push", "X-GitHub-Delivery": "7", "User-Agent": "GitHub-Hookshot/7"},
                b"{}",
                ["github"],
            ),
            (
                {"X-Hub-Signature": f"sha256={HEX}", "X-Atlassian-Webhook-Identifier": "7"},
                b'{"webhookEvent": "jira:issue_created"}',
                ["jira"],
            ),
            (
                {"X-Hub-Signature": f"sha256={HEX}", "X-Event-Key": "repo:push"},
                b"{}",
                ["bitbucket"],
            ),
            (
                {
                    "X-Gitea-Event": "push",
                    "X-Gitea-Event-Type": "push",
                    "X-Gitea-Delivery": "7",
                    "X-Gitea-Signature": HEX,
                    "X-GitHub-Event": "push",
                    "X-GitHub-Delivery": "7",
                    "X-Hub-Signature-256": f"sha256={HEX}",
                },
                b"{}",
                ["gitea"],
            ),
            (
                {"X-Slack-Signature": f"v0={HEX}", "X-Slack-Request-Timestamp": "1764000188"},
                b"command=%2Fweather&text=94070",
                ["slack"],
            ),
            ({"User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)"}, b"{}", ["slack"]),
            ({"Authorization": "Bearer abc", "User-Agent": "Mozilla/5.0 (X11; Linux x86_64)"}, b"{}", []),
            ({"Authorization": "Basic YTpi"}, b'{"id": 7}', []),
            ({"User-Agent": "curl/8.0"}, b'{"event": "made"}', []),
        ],
    )
    def test_requests_as_they_come_are_told_apart(
        self, headers: dict[str, str], body: bytes, likely: list[str]
    ) -> None:
        assert [each.name for each in alike(candidates(RequestHead.of(headers), body))] == likely

    @pytest.mark.parametrize("name", [name for name in presets() if name != "maxar-sns"])  # whose requests are AWS's
    def test_a_genuine_request_of_every_sender_is_known_as_its_own(self, name: str) -> None:
        notifier = Notifier.of_preset(name, Secret(presets()[name].example))
        event = (notifier.events or ["thing.made"])[0]
        body = notifier.body(notifier.document(event, None, None))
        head = notifier.head(body, event, url="https://example.com/in", now=NOW)
        likely = [each.name for each in alike(candidates(head, body))]
        assert likely == ([] if name in KNOWN_BY_NOTHING else LIKE.get(name, [name]))
        unsigned = head._replace(url=None)  # as a capture has it, behind a proxy that says no Host
        assert [each.name for each in alike(candidates(unsigned, body))] == likely

    @pytest.mark.parametrize(
        ("headers", "body", "first"),
        [
            (
                {
                    "ce-specversion": "1.0",
                    "ce-type": "made",
                    "ce-source": "/s",
                    "ce-id": "1",
                    "authorization": "Bearer x",
                },
                b"{}",
                "cloudevents",
            ),
            (
                {"content-type": "application/cloudevents+json; charset=utf-8"},
                b'{"specversion": "1.0", "type": "made", "source": "/s", "id": "1"}',
                "cloudevents",
            ),
            ({}, b'{"specversion": "1.0", "type": "made", "source": "/s", "id": "1"}', "cloudevents"),
            (
                {"content-type": "application/webhook+json", "authorization": "e30.e30.e30"},
                b'{"event": "room_started", "id": "EV_1", "room": {}}',
                "livekit",
            ),
            (
                {"authorization": "Bearer e30.e30.e30"},
                b'{"message": {"data": "e30=", "messageId": "1"}, "subscription": "projects/p/subscriptions/s"}',
                "google-pubsub",
            ),
            ({}, b'{"live": "false", "notificationItems": [{"NotificationRequestItem": {"eventCode": "x"}}]}', "adyen"),
            (
                {},
                b'{"signature": {"token": "t", "timestamp": "1", "signature": "0"}, "event-data": {"event": "failed"}}',
                "mailgun",
            ),
            ({}, b'{"event_type": "PING", "passcode": "p", "timestamp": "t", "webhook_id": "7"}', "figma"),
            (
                {"x-pagerduty-signature": f"v1={'0' * 64}", "x-webhook-id": "7"},
                b'{"event": {"event_type": "incident.triggered"}}',
                "pagerduty",
            ),
            (
                {"x-signature": "0" * 64, "x-event-name": "order_created"},
                b'{"meta": {"event_name": "order_created"}, "data": {}}',
                "lemon-squeezy",
            ),
            ({"x-signature": "0" * 64}, b'{"event": "taskCreated", "webhook_id": "7", "task_id": "8"}', "clickup"),
        ],
    )
    def test_a_request_is_known_by_its_headers_or_else_by_the_shape_of_its_body(
        self, headers: dict[str, str], body: bytes, first: str
    ) -> None:
        assert [each.name for each in alike(candidates(RequestHead.of(headers), body))] == [first]

    def test_who_delivers_by_the_same_specification_is_told_with_all_others_that_do(self) -> None:
        headers = {"webhook-id": "msg_1", "webhook-timestamp": "1764000188", "webhook-signature": f"v1,{BASE64}"}
        likely = [each.name for each in alike(candidates(RequestHead.of(headers), b"{}"))]
        assert likely[0] == "standard-webhooks"
        assert {"openai", "polar"} <= {*likely}

    @pytest.mark.parametrize(
        ("document", "likely"),
        [
            ({"order_id": "o", "items": [{"name": "a", "delivery": "b", "location": "c", "expires_at": "d"}]}, True),
            ({"order_id": "o", "items": []}, True),
            ({"order_id": "o", "items": [{"sku": "a"}]}, False),
            ({"order_id": "o", "items": {"sku": "a"}}, False),
            ({"order_id": "o"}, False),
        ],
    )
    def test_a_sender_that_signs_nothing_is_known_by_the_members_within_its_documents(
        self, document: dict[str, Any], likely: bool
    ) -> None:
        head = RequestHead.of({"authorization": "Basic YTpi"})
        found = [each.preset.name for each in candidates(head, json.dumps(document).encode())]
        assert ("planet-orders" in found) is likely
