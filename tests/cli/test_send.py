"""`send` plays any sender: its documents, its challenges, its private key, and a secret in its body."""

from __future__ import annotations

import json
import re
import stat
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from httpx import ASGITransport, AsyncClient
from typer import BadParameter, Context
from typer.testing import CliRunner, Result

from tests.helpers import ROOT, noting, serving
from tests.signatures.keys import ED25519, P256, pem
from webhook_receiver import (
    BodySecret,
    HMACBody,
    MemoryInbox,
    PublicKeyBody,
    QuerySecret,
    Secret,
    SecretsByRequest,
    Sender,
    Unsigned,
    VerificationError,
    WebhookReceiver,
)
from webhook_receiver.cli import challenge, notification, options, sample, send
from webhook_receiver.cli.commands import app
from webhook_receiver.cli.notification import Notifier
from webhook_receiver.senders import Split, registry
from webhook_receiver.senders.aws_sns import Certificates, aws_sns
from webhook_receiver.senders.challenges import cloudevents, echo, ping, token_hmac
from webhook_receiver.senders.preset import Make, Preset
from webhook_receiver.senders.registry import presets
from webhook_receiver.senders.slack import slack
from webhook_receiver.signatures.learnt_secret import LearntSecret

SAMPLES = [(name, event) for name, known in presets().items() for event in known.samples]


def sent(url: str, *arguments: str, **options: Any) -> Result:
    return CliRunner().invoke(app, ["send", url, *arguments], **options)


@pytest.mark.parametrize("arguments", [("send", "http://127.0.0.1:9/"), ("explain", str(ROOT / "README.md"))])
@pytest.mark.parametrize("origin", ["--secret", "WEBHOOK_SECRET", "WEBHOOK_RECEIVER_SECRET"])
def test_a_blank_secret_is_told_with_the_option_or_the_variable_that_has_it(
    origin: str, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    if origin == "--secret":
        arguments = (*arguments, origin, " ")
    else:
        monkeypatch.setenv(origin, " ")
    done = CliRunner().invoke(app, arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert f"Invalid value for {origin}: a secret must not be empty or blank" in done.stderr


def test_a_file_without_a_secret_is_told_with_the_option_or_the_variable_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "http://127.0.0.1:9/"
    assert "Invalid value for --secret-file: cannot read" in sent(url, "--secret-file", str(tmp_path)).stderr
    monkeypatch.setenv("WEBHOOK_RECEIVER_SECRET_FILE", str(tmp_path))
    assert "Invalid value for WEBHOOK_RECEIVER_SECRET_FILE: cannot read" in sent(url).stderr


def test_a_secret_that_the_sender_cannot_have_is_told_wherever_it_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    told = "Invalid value for the secret: a secret of Standard Webhooks is base64"
    assert told in sent("http://127.0.0.1:9/", "--sender", "svix", "--secret", "whsec_!").stderr
    monkeypatch.setenv("WEBHOOK_SECRET", "whsec_!")
    assert told in sent("http://127.0.0.1:9/", "--sender", "svix").stderr


def test_the_secret_is_in_the_file_that_the_environment_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "secret"
    file.write_text("KbsDE5kGZoDiPCFd\n", encoding="utf-8")
    hooks = WebhookReceiver(secret="KbsDE5kGZoDiPCFd")
    monkeypatch.setenv("WEBHOOK_RECEIVER_SECRET_FILE", str(file))
    monkeypatch.setenv("WEBHOOK_SECRET", "an older one")  # which counts after it, as in the settings
    with serving(hooks) as url:
        assert sent(url).exit_code == 0
        assert sent(url, "--secret", "another").exit_code == 1
        monkeypatch.setenv("WEBHOOK_RECEIVER_SECRET", "another")
        assert sent(url).exit_code == 1


def of(make: Make, name: str = "acme", *, parts: dict[str, Any] | None = None, **more: Any) -> Preset:
    def sender(secret: Any) -> Sender:
        return Sender(name=name, scheme=make(secret), facts=("made up",), **(parts or {}))

    return Preset(name, name.title(), sender, make, **more)


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Callable[[Preset], None]:
    """Let the registry have one more preset."""

    def put(known: Preset) -> None:
        found = {**presets(), known.name: known}
        for module in (registry, notification, send):
            monkeypatch.setattr(module, "presets", lambda: found)

    return put


@pytest.mark.parametrize(("name", "event"), SAMPLES)
def test_a_sample_is_taken_and_no_duplicate_of_the_one_before(name: str, event: str) -> None:
    known = presets()[name]
    hooks = WebhookReceiver(sender=known.sender(known.example), inbox=MemoryInbox(), work=False)
    with serving(hooks) as url:
        done = sent(url, "--as", name, "--event", event, "--count", "2", "--json", "--secret", known.example)
        answer = {200: "200 OK", 202: "202 Accepted"}[hooks.sender.responses.stored]
        assert json.loads(done.stdout)["responses"] == {answer: 2}, done.output


@pytest.mark.parametrize("name", [*presets()])
def test_every_sender_is_played_by_its_name_alone_and_forged(name: str) -> None:
    known, url, now = presets()[name], "https://example.com/in?a=b", time.time()
    notifier = Notifier.of_preset(name, Secret(known.example))
    scheme = known.sender(known.example).scheme if known.played is None else notifier.sender.scheme
    body = notifier.body(notifier.document("made" if known.played is None else None, None, None))
    scheme.verify(notifier.head(body, "made", url=url, now=now), now)(body)
    if known.example.encode() not in body and not hasattr(scheme, "sign_body"):
        forged = notifier.head(body, "made", url=url, now=now, forge=True)
        with pytest.raises(VerificationError):
            scheme.verify(forged, now)(body)


@pytest.mark.parametrize("event", [None, "made", "thing.made"])
@pytest.mark.parametrize("name", [*presets()])
async def test_an_event_that_is_sent_by_its_name_is_the_one_that_a_receiver_reads_or_it_is_not_sent(
    name: str, event: str | None
) -> None:
    known, url, now = presets()[name], "https://example.com/in?a=b", time.time()
    if name == "ogc-processes":  # whose URL says it
        url = "https://example.com/in/job-1/successful?a=b"
    notifier = Notifier.of_preset(name, Secret(known.example))
    sender = known.sender(known.example) if known.played is None else notifier.sender  # which alone trusts its key
    noted = noting(sender=sender, clock=None, public_url=url)
    sent_as = notifier.event_name(event)
    if sent_as is None:
        return  # the command asks for a name
    if name in ("aws-sns", "maxar-sns") and event is not None:
        with pytest.raises(BadParameter, match="the Type of a message of AWS SNS is one of Notification, Subscription"):
            notifier.body(notifier.document(sent_as, None, None))
        return
    body = notifier.body(notifier.document(sent_as, None, None))
    head = notifier.head(body, sent_as, url=url, now=now)
    given = known.sender(known.example).event_name
    template = given if isinstance(given, str) else next(iter(given), "")
    if event is not None and (name in OWN_NAMES or (event == "made" and template.count("{") == 2)):
        with pytest.raises(BadParameter, match=r"it is known to send|its names are of the form \{"):
            notifier.check_read(head, body, sent_as)
        return
    notifier.check_read(head, body, sent_as)
    await noted.hooks.receive(head.headers, body, method=head.method, target=head.target)
    assert [got.event for got in noted.events] == [sent_as]


def test_a_status_that_is_in_the_path_is_said_to_be_missing_there() -> None:
    notifier = Notifier.of_preset("ogc-processes", Secret(presets()["ogc-processes"].example))
    head = notifier.head(b"{}", "ogc.job.failed", url="https://example.com/webhooks", now=0)
    with pytest.raises(BadParameter, match=r"the path of --url says what happened, as in .*/JOB/failed"):
        notifier.check_read(head, b"{}", "ogc.job.failed")


OWN_NAMES = {
    *("dropbox", "mollie-classic", "telegram", "geospan", "airbus-radar", "arlula", "copernicus", "iceye", "maxar"),
    *("nasa-cmr", "ogc-processes", "planet-orders", "planet-subscriptions", "skyfi", "skyfi-archive", "skywatch"),
}
"""The senders whose events have names of their own only, or names that are keys of what is in the events."""


@pytest.mark.parametrize(
    ("name", "event", "members"),
    [
        ("figma", "FILE_DELETE", {"event_type": "FILE_DELETE"}),
        ("microsoft-graph", "updated", {"changeType": "updated", "resource": "users/7/messages/8"}),
        ("slack", "app_mention", {"type": "event_callback", "team_id": "T061EG9R6"}),
        ("telegram", "channel_post", {}),
    ],
)
def test_an_event_that_is_sent_by_its_name_has_what_the_sender_has_beside_it(
    name: str, event: str, members: dict[str, str]
) -> None:
    known = presets()[name]
    noted = noting(sender=known.sender(known.example), clock=None)
    with serving(noted.hooks) as url:
        done = sent(f"{url}/in", "--as", name, "--secret", known.example, "--event", event)
        assert done.exit_code == 0, done.output
    (got,) = noted.events
    assert (got.event, members.items() <= (got.model_extra or {}).items()) == (event, True)


def test_a_body_may_be_a_text_and_headers_may_be_added_and_signed(play: Callable[[Preset], None]) -> None:
    make = partial(HMACBody, signature="x-sig", signed="{header:x-trace}.{body}")
    play(of(make))
    noted = noting(sender=of(make).sender("theirs"), clock=None)
    with serving(noted.hooks) as url:
        text = '{"event": "parcel.lost"}'
        arguments = ("--as", "acme", "--secret", "theirs", "--body", text)
        assert sent(url, *arguments, "-H", "X-Trace: 7").stdout.startswith("204 No Content"), text
        assert "cannot sign: there is no header x-trace" in " ".join(sent(url, *arguments).stderr.split())
    assert [each.event for each in noted.events] == ["parcel.lost"]


def test_a_secret_in_the_body_is_put_there(play: Callable[[Preset], None]) -> None:
    known = of(
        partial(BodySecret, member="token"),
        body=b'{"event": "made", "token": "a-secret-for-tests", "id": "first-number"}',
    )
    play(known)
    noted = noting(sender=known.sender('the"irs'), clock=None)
    with serving(noted.hooks) as url:
        for _ in range(2):
            done = sent(url, "--as", "acme", "--secret", 'the"irs', "--event", "made")
            assert done.exit_code == 0, done.output
    first, second = noted.events
    assert first != second


@pytest.mark.parametrize(
    ("parts", "event"),
    [
        ({"event_name": "type"}, "made"),
        ({"event_name": ("meta.name", "type")}, "made"),
        ({"event_name": "header:X-Topic"}, "made"),
        ({"event_name": "query:topic"}, "made"),
        ({"event_name": "{resource}.{header:X-Action}"}, "thing.made"),
        ({"event_name": "type", "split": Split("events.*")}, "made"),
        ({"event_header": "X-Event", "split": Split("*")}, "made"),
        ({}, "made"),
    ],
)
def test_an_event_has_its_name_where_the_sender_has_it(
    parts: dict[str, Any], event: str, play: Callable[[Preset], None]
) -> None:
    known = of(partial(HMACBody, signature="x-sig"), parts=parts)
    play(known)
    noted = noting(sender=known.sender("theirs"), clock=None)
    with serving(noted.hooks) as url:
        done = sent(f"{url}/in?a=b", "--as", "acme", "--secret", "theirs", "--event", event)
        assert done.exit_code == 0, done.output
    assert [each.event for each in noted.events] == [event]


# challenges

EVERY = (
    echo("query:hub.challenge", methods=("GET",), signed=False, scheme=QuerySecret("verify-me", parameter="token")),
    echo("body:challenge", where={"body:type": "check"}, key="challenge"),
    token_hmac("body:plain", "theirs", where={"body:type": "hmac"}, key="encrypted"),
    ping(methods=("HEAD",), signed=False),
    cloudevents("*"),
)


def test_every_challenge_is_asked_and_the_answer_compared(play: Callable[[Preset], None]) -> None:
    known = of(partial(HMACBody, signature="x-sig"), parts={"challenges": EVERY})
    play(known)
    noted = noting(sender=known.sender("theirs"), clock=None)
    with serving(noted.hooks) as url:
        done = sent(f"{url}/in?a=b", "--as", "acme", "--secret", "theirs", "--challenge")
        lines = done.stdout.splitlines()
        told = [line.partition(":")[0] for line in lines if "as the sender expects" in line and ", not" not in line]
        assert told == [
            f"challenge {number} of 5 by {method}"
            for number, method in enumerate(("GET", "POST", "POST", "HEAD", "OPTIONS"), 1)
        ], done.output
        assert done.exit_code == 0
    assert noted.events == []


ASKING = [name for name, known in presets().items() if known.registering(known.example).challenges]


@pytest.mark.parametrize("name", ASKING)
async def test_every_sender_asks_its_challenges_by_its_name(name: str) -> None:
    known, token, url = presets()[name], Secret("a token of ours"), "https://example.com/in?a=b"
    noted = noting(sender=known.registering(known.example, token), clock=None, public_url=url)
    notifier = Notifier.of_preset(name, Secret(known.example), token=token)
    async with AsyncClient(transport=ASGITransport(noted.hooks)) as client:
        played = await challenge.play(notifier, url, client)
    assert [each.as_json() for each in played if not each.ok] == []
    assert len(played) == len(noted.hooks.sender.challenges)
    assert noted.events == []


@pytest.mark.parametrize("name", ["asana", "notion"])
def test_a_secret_that_is_told_is_the_one_that_deliveries_are_signed_with(name: str, tmp_path: Path) -> None:
    learnt, known = LearntSecret(tmp_path / "secret"), presets()[name]
    make: Any = known.sender
    noted = noting(sender=make(learnt), clock=None)
    with serving(noted.hooks) as url:
        early = sent(url, "--as", name, "--secret", "theirs", "--challenge")
        assert (early.exit_code, "only while it waits for one" in early.output) == (1, True)
        assert "is --secret the one" not in early.output
        with learnt.open(60):
            assert sent(url, "--as", name, "--secret", "theirs", "--challenge").exit_code == 0
        assert (tmp_path / "secret").read_text(encoding="utf-8") == "theirs"
        done = sent(url, "--as", name, "--secret", "theirs", "--event", "thing.made")
        assert (done.exit_code, [each.event for each in noted.events]) == (0, ["thing.made"]), done.output
        assert sent(url, "--as", name, "--secret", "others", "--event", "thing.made").exit_code == 1


def test_the_senders_that_ask_are_the_ones_that_say_so() -> None:
    assert {"meta", "asana", "notion", "slack", "zoom", "microsoft-graph", "cloudevents"} <= {*ASKING}


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--as", "github", "--verify-token", "x", "--challenge"), "github shows no token"),
        (("--as", "meta", "--verify-token", "", "--challenge"), "empty"),
        (("--as", "github", "--key", "key.pem"), "the sender has no key beside the secret"),
    ],
)
def test_an_option_that_the_sender_has_no_use_for_is_told(arguments: tuple[str, ...], why: str) -> None:
    done = sent("http://127.0.0.1:9/", *arguments, "--secret", "s")
    assert (done.exit_code, why in " ".join(done.stderr.split())) == (2, True), done.stderr


def test_aws_sns_is_played_with_a_key_of_its_own_which_a_receiver_is_told_to_trust(tmp_path: Path) -> None:
    topic, file = "arn:aws:sns:eu-west-1:123456789012:orders", tmp_path / "key.pem"
    arguments = ("--as", "aws_sns", "--secret", topic, "--key", str(file))
    first = sent("http://127.0.0.1:9/", *arguments)
    assert f"a new private key is in {file}" in first.stderr.replace("\n", "")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "PRIVATE" not in first.stderr + first.stdout
    code = first.stderr[first.stderr.index("certificate = ") :].replace("  ", "")
    made: dict[str, Any] = {"aws_sns": aws_sns, "Certificates": Certificates, "topic": topic}
    certificate, sender = code.strip().rpartition("\n")[::2]
    exec(certificate, made)
    noted = noting(sender=eval(sender, made), clock=None)
    with serving(noted.hooks) as url:
        for event in ("Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation"):
            assert sent(url, *arguments, "--event", event).exit_code == 0
        assert "is in the body: give one" in " ".join(sent(url, *arguments, "--forge").stderr.split())
        assert sent(url, "--as", "aws-sns", "--secret", topic).exit_code == 1  # another key
    assert [each.event for each in noted.events] == [
        "Notification",
        "SubscriptionConfirmation",
        "UnsubscribeConfirmation",
    ]


def test_why_a_wrong_signature_is_503_just_after_the_secrets_were_fetched_is_told() -> None:
    async def secrets_of(tenant: str) -> str:
        return "a secret"

    scheme = SecretsByRequest(
        secrets_of, partial(HMACBody, signature="x-hub-signature-256", prefix="sha256="), tenant="path"
    )
    github = replace(presets()["github"].sender("s"), scheme=scheme)
    with serving(noting(clock=None, sender=github).hooks) as url:
        given = ("--as", "github", "--secret", "a secret", "--event", "push")
        assert sent(url + "/acme", *given).output.startswith("2")
        forged = sent(url + "/acme", *given, "--forge")
    assert forged.output.startswith("503")
    assert "within 30 s of fetching them" in forged.output


def test_maxar_by_sns_is_played_by_its_name_alone() -> None:
    topic = presets()["maxar-sns"].example
    notifier = Notifier.of_preset("maxar-sns", Secret(topic))
    noted = noting(sender=notifier.sender, clock=None)
    with serving(noted.hooks) as url:
        body = notifier.body(notifier.document(notifier.event_name(None), None, None))
        head = notifier.head(body, None, url=url, now=time.time())
        assert httpx.post(url, content=body, headers=[*head.headers]).status_code == 204
    assert [each.event for each in noted.events] == ["maxar.order.progress"]


def test_a_challenge_that_is_not_answered_is_told_with_what_was_expected() -> None:
    with serving(noting(scheme=Unsigned(), clock=None).hooks) as url:
        done = sent(url, "--as", "slack", "--secret", "s", "--challenge")
        assert (done.exit_code, "not as the sender expects" in done.stdout) == (1, True)
        assert 'expected: 200, {"challenge": "' in done.stdout
        assert "  the receiver says: The signature was rejected" in done.stdout
        assert done.stdout.splitlines()[-1].startswith("is --secret the one that the receiver has?")
    unreachable = sent("http://127.0.0.1:9/", "--as", "slack", "--secret", "s", "--challenge", "--json")
    played, *_ = json.loads(unreachable.stdout)["challenges"]
    assert (unreachable.exit_code, played["status"], played["as_expected"]) == (1, None, False)


def test_without_the_secret_a_challenge_is_not_proven() -> None:
    with serving(noting(sender=slack("s"), clock=None).hooks) as url:
        done = sent(url, "--as", "slack", "--challenge", "--json")
        played, *_ = json.loads(done.stdout)["challenges"]
        assert (done.exit_code, played["method"], played["status"]) == (1, "POST", 401)


# private keys


@pytest.mark.parametrize(
    ("example", "algorithm", "forms"), [(ED25519[0], "ed25519", 2), (P256[0], "ecdsa-p256-sha256", 1)]
)
def test_a_private_key_is_made_where_there_is_none_and_its_public_half_is_told(
    example: Any, algorithm: Any, forms: int, play: Callable[[Preset], None], tmp_path: Path
) -> None:
    known = of(partial(PublicKeyBody, signature="x-sig", algorithm=algorithm), example=pem(example))
    play(known)
    file = tmp_path / "key.pem"
    arguments = ("--as", "acme", "--secret-file", str(file), "--event", "made")
    first = sent("http://127.0.0.1:9/", *arguments)
    assert f"a new private key is in {file}" in first.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    public = first.stderr.partition("the receiver needs the public half of the key:\n")[2].strip()
    assert "PRIVATE" not in first.stderr + first.stdout
    *key, end = public.splitlines()[:-1] if forms == 2 else public.splitlines()
    pems = "\n".join([*key, end])
    for half in [pems, public.splitlines()[-1]][:forms]:
        noted = noting(sender=known.sender(half), clock=None)
        with serving(noted.hooks) as url:
            again = sent(url, *arguments)
            assert (again.exit_code, "a new private key" in again.stderr) == (0, False), again.output
    wrong = sent("http://127.0.0.1:9/", "--as", "acme", "--secret", pems, "--event", "made")
    assert "cannot sign with a public key: give the private one" in " ".join(wrong.stderr.split())


def test_a_key_that_is_made_for_once_is_another_each_time(play: Callable[[Preset], None]) -> None:
    play(of(partial(PublicKeyBody, signature="x-sig", algorithm="ed25519"), example=pem(ED25519[0])))
    told = [sent("http://127.0.0.1:9/", "--as", "acme", "--event", "made").stderr for _ in range(2)]
    assert told[0] != told[1]
    assert all("the receiver needs the public half" in each for each in told)


def test_a_key_that_cannot_be_written_is_told(play: Callable[[Preset], None], tmp_path: Path) -> None:
    play(of(partial(PublicKeyBody, signature="x-sig", algorithm="ed25519"), example=pem(ED25519[0])))
    done = sent("http://127.0.0.1:9/", "--as", "acme", "--secret-file", str(tmp_path / "no" / "key"), "--event", "made")
    assert done.exit_code == 2
    assert "cannot write" in " ".join(done.stderr.split())


# what a shell completes, and new ids


def test_a_shell_completes_the_names_of_events() -> None:
    context = Context(app_command())
    context.params["sender"] = "github"
    assert options.event_names(context, "pu") == ["push", "pull_request"]
    context.params["sender"] = None
    assert options.event_names(context, "") == ["order.status", "job.status"]
    for name, begins, names in (
        ("notion", "page.l", ["page.locked"]),
        ("telegram", "call", ["callback_query"]),
        ("dropbox", "", ["list_folder"]),
        ("figma", "", ["FILE_UPDATE"]),
    ):
        context.params["sender"] = name
        assert options.event_names(context, begins) == names


def app_command() -> Any:
    from typer.main import get_command

    return get_command(app)


@pytest.mark.parametrize(
    ("like", "pattern"),
    [
        ("evt_1NG8Du2eZvKYlo2CUI79vXWy", r"evt_[0-9A-Za-z]{24}"),
        ("0d1a26e67d8f5eaf1f6ba5c57fc3c7d91ac0fd1c", r"[0-9a-f]{40}"),
        ("1f81eb52-5198-4599-803e-771906343485", r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}"),
        (820982911946154508, r"\d{18}"),
        (7, r"\d{9}"),
        ("id-7", r"[0-9a-f-]{36}"),
        (None, r"[0-9a-f-]{36}"),
    ],
)
def test_a_new_id_is_like_the_old_one(like: object, pattern: str) -> None:
    ids = {sample.new_id(like) for _ in range(50)}
    assert len(ids) == 50
    assert all(re.fullmatch(pattern, str(each)) for each in ids)


@pytest.mark.parametrize(
    ("document", "place", "where"),
    [
        ({"id": 7, "a": {"id": 8}}, None, ("id",)),
        ({"meta": {"number": "x"}, "id": 7}, "meta.number", ("meta", "number")),
        ({"a": [{"b": {"id": "x"}}]}, None, ("a", 0, "b", "id")),
        ({"a": 1}, None, ("id",)),
        ({"a": 1}, "a.b", ("id",)),
        ({"a": [{"b": "x"}, {"b": "y"}]}, "a.1.b", ("a", 1, "b")),
        ({"a": [], "id": 7}, "a.0.b", ("id",)),
    ],
)
def test_a_new_id_is_in_the_senders_place_else_the_first_from_outside_in(
    document: dict[str, Any], place: str | None, where: tuple[Any, ...]
) -> None:
    before = json.dumps(document)
    made: Any = sample.with_new_id(document, place)
    assert json.dumps(document) == before
    assert made != document
    for key in where[:-1]:
        made = made[key]
    assert made.pop(where[-1])
