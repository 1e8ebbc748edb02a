"""What `explain` says of a request besides its proof: whether it is a challenge, with the answer, and its events."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.helpers import NOW
from tests.senders.asking import SECRET
from webhook_receiver import Secret
from webhook_receiver.cli.commands import app
from webhook_receiver.cli.notification import Notifier
from webhook_receiver.delivery import RequestHead
from webhook_receiver.senders.registry import presets

URL = "https://example.com/in"
ASKING = [name for name, known in presets().items() if known.registering(known.example).challenges]
TOPIC = "arn:aws:sns:eu-central-1:123456789012:orders"


def saved(folder: Path, head: RequestHead, body: bytes) -> str:
    lines = [b"%b %b HTTP/1.1" % (head.method.encode(), head.target), b"Host: example.com"]
    lines += [name + b": " + value for name, value in head.headers]
    file = folder / "request.http"
    file.write_bytes(b"\r\n".join(lines) + b"\r\n\r\n" + body)
    return str(file)


def delivered(folder: Path, name: str, body: bytes, secret: str = SECRET) -> str:
    notifier = Notifier.of_preset(name, Secret(secret))
    return saved(folder, notifier.head(body, None, url=URL, now=NOW), body)


def explain(file: str, *arguments: str, secret: str = SECRET) -> Result:
    return CliRunner().invoke(app, ["explain", file, "--secret", secret, "--now", f"{NOW:.0f}", *arguments])


@pytest.mark.parametrize("name", ASKING)
def test_an_answered_challenge_is_said_to_be_one_with_its_answer(name: str, tmp_path: Path) -> None:
    known = presets()[name]
    notifier = Notifier.of_preset(name, Secret(known.example), token=Secret("a-token-for-tests"))
    for asked in notifier.sender.challenges:
        head, body = notifier.challenge(asked, url=URL, token="0123456789abcdef0123", now=NOW)
        expected = asked.answer(head, body, NOW)
        assert expected is not None
        file = saved(tmp_path, head, body)
        done = explain(file, "--sender", name, "--url", URL, secret=known.example)
        assert done.exit_code == 0, done.output
        assert f"it is a challenge, by which {known.title} asks whether the URL is yours" in done.stdout
        assert f"a receiver answers {expected.status}, " in done.stdout
        assert "reject" not in done.stdout
        told = json.loads(explain(file, "--sender", name, "--url", URL, "--json", secret=known.example).stdout)
        assert (told["ok"], told["events"]) == (True, [])
        assert told["challenge"]["answer"] == expected.body.decode()


def test_a_challenge_without_its_proof_is_said_to_be_one_and_is_not_answered(tmp_path: Path) -> None:
    target = b"/in?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=theirs"
    done = explain(saved(tmp_path, RequestHead("GET", target, []), b""))
    assert done.exit_code == 1
    assert done.stdout.splitlines()[1].startswith("taken for Meta")
    assert "which is answered if its token is the receiver's own" in done.stdout
    assert "it takes POST only" not in done.stdout
    body = b'{"type": "url_verification", "challenge": "abc"}'
    done = explain(delivered(tmp_path, "slack", body, "another secret"))
    assert done.exit_code == 1
    assert "it is a challenge of Slack, and would be answered if it were proven" in done.stdout
    assert "failed: one of the secrets gives this signature" in done.stdout


BATCHES: dict[str, tuple[bytes, list[dict[str, Any]]]] = {
    "line": (
        b'{"events": [{"type": "message", "webhookEventId": "1"}, {"type": "follow", "webhookEventId": "2"}, {}]}',
        [{"event": "message", "id": "1"}, {"event": "follow", "id": "2"}, {"event": None, "id": None}],
    ),
    "meta": (
        b'{"object": "page", "entry": [{"id": 1, "changes": [{"field": "feed"}, {"field": "likes"}]}]}',
        [{"event": "feed", "id": None}, {"event": "likes", "id": None}],
    ),
    "slack": (
        b'{"type": "event_callback", "event_id": "Ev1", "event": {"type": "message"}}',
        [{"event": "message", "id": "Ev1"}],
    ),
}


@pytest.mark.parametrize("name", BATCHES)
def test_the_events_of_a_delivery_are_told_each_with_its_name_and_id(name: str, tmp_path: Path) -> None:
    body, events = BATCHES[name]
    file = delivered(tmp_path, name, body)
    done = explain(file, "--sender", name)
    assert done.exit_code == 0, done.output
    lines = [line for line in done.stdout.splitlines() if line.startswith("event")]
    for number, (line, event) in enumerate(zip(lines, events, strict=True)):
        which = f"event {number} of {len(events)}" if len(events) > 1 else "event"
        id = f", id {event['id']}" if event["id"] else ""
        assert line == f"{which}: {event['event'] or 'without a name'}{id}"
    assert json.loads(explain(file, "--sender", name, "--json").stdout)["events"] == [
        {**each, "handlers": None} for each in events
    ]


def test_an_empty_batch_has_no_events_and_what_is_not_authentic_tells_none(tmp_path: Path) -> None:
    empty = delivered(tmp_path, "line", b'{"events": []}')
    assert json.loads(explain(empty, "--json").stdout)["events"] == []
    forged = delivered(tmp_path, "line", BATCHES["line"][0], "another secret")
    assert json.loads(explain(forged, "--json").stdout)["events"] == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ((b"sns.eu-central-1.amazonaws.com", b"sns.example.com"), "AWS did not send it"),
        ((TOPIC.encode(), TOPIC.encode() + b"2"), "is of another topic than the receiver's: give it the ARN"),
    ],
)
def test_a_forged_message_of_aws_sns_is_told_as_one(change: tuple[bytes, bytes], said: str, tmp_path: Path) -> None:
    notifier = Notifier.of_preset("aws-sns", Secret(TOPIC))
    body = notifier.body({"Type": "Notification", "Message": "{}"})
    head = notifier.head(body, None, url=URL, now=NOW)
    done = explain(saved(tmp_path, head, body.replace(*change)), secret=TOPIC)
    assert done.exit_code == 1
    assert "taken for AWS SNS" in done.stdout
    assert said in done.stdout
    assert "no header has a signature" not in done.stdout
