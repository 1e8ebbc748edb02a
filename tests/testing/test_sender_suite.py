"""The suite of senders passes with every kind of proof and challenge, and fails with one that breaks a rule."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from tests.signatures.keys import ED25519, P256, pem
from webhook_receiver import (
    AllowFrom,
    BasicAuth,
    BearerJWT,
    HeaderSecret,
    HMACBody,
    PublicKeyBody,
    QuerySecret,
    Response,
    Scheme,
    Sender,
    Unsigned,
)
from webhook_receiver.delivery import RequestHead
from webhook_receiver.senders import Split
from webhook_receiver.senders.challenges import Challenge, cloudevents, echo, ping, token_hmac
from webhook_receiver.signatures import BodyCheck, Verified
from webhook_receiver.testing.sender_suite import SenderSuite
from webhook_receiver.testing.wire import batch

TOKENS = ("the-first-of-our-tokens-0123456789", "the-second-of-our-tokens-012345678")
KEYS = [pem(key) for key in ED25519[:2]]

signature = partial(
    HMACBody, signature="x-sig:v1", timestamp="x-sig:t", signed="{timestamp}.{url}.{body}", tolerance=180
)


def acme(scheme: Scheme, **parts: Any) -> Sender:
    return Sender(name="acme", scheme=scheme, facts=("made up",), **parts)


class TestOfItsTime(SenderSuite):
    past = future = 180

    def sender(self, secrets: Sequence[str]) -> Sender:
        return acme(signature(secrets), event_header="X-Event", delivery_id="X-Delivery")


class TestOfChallenges(SenderSuite):
    def sender(self, secrets: Sequence[str]) -> Sender:
        challenges = (
            echo(
                "query:hub.challenge",
                methods=("GET",),
                where={"query:hub.mode": "subscribe"},
                signed=False,
                scheme=QuerySecret(secrets, parameter="hub.verify_token"),
            ),
            echo("query:validationToken", signed=False),
            echo("header:X-Okta-Verification-Challenge", methods=("GET",), key="verification", signed=False),
            echo("body:challenge", where={"body:type": "url_verification"}, key="challenge"),
            token_hmac("body:payload.plainToken", secrets, where={"body:event": "check"}, key="encryptedToken"),
            ping(where={"body:type": 1}, document={"type": 1}),
            ping(methods=("HEAD",), signed=False),
            cloudevents("eventgrid.azure.net"),
        )
        return acme(HMACBody(secrets, signature="x-sig"), challenges=challenges)


@pytest.mark.parametrize("place", ["*", "events.*", "entry.*.changes.*", "Message", "Message.Records.*"])
class TestOfBatches(SenderSuite):
    @pytest.fixture(autouse=True)
    def choose(self, place: str) -> None:
        self.place = place
        self.body = json.dumps(batch(place, [json.loads(self.body)])).encode()

    def sender(self, secrets: Sequence[str]) -> Sender:
        return acme(
            HMACBody(secrets, signature="x-sig"), split=Split(self.place), event_name="type", delivery_id_path="id"
        )


@pytest.mark.parametrize(
    ("make", "secrets"),
    [
        (lambda secrets: HeaderSecret(secrets, header="X-Api-Key"), TOKENS),
        (lambda secrets: BasicAuth(secrets, username="acme"), TOKENS),
        (lambda secrets: QuerySecret(secrets, parameter="token"), TOKENS),
        (lambda secrets: Unsigned(token_in_path=secrets), TOKENS),
        (lambda secrets: AllowFrom(["203.0.113.0/24"], HeaderSecret(secrets, header="X-Api-Key")), TOKENS),
        (lambda secrets: Unsigned(id="X-Delivery"), TOKENS),
        (lambda secrets: PublicKeyBody(secrets, signature="x-sig", algorithm="ed25519"), KEYS),
        (lambda secrets: BearerJWT(secrets, algorithm="ES256", body_claim="hash"), [pem(key) for key in P256[:2]]),
    ],
    ids=["header", "basic", "query", "path", "network", "nothing", "key", "token"],
)
class TestOfEveryKindOfProof(SenderSuite):
    @pytest.fixture(autouse=True)
    def choose(self, make: Callable[[Sequence[str]], Scheme], secrets: Sequence[str]) -> None:
        self.make, self.secrets = make, secrets
        self.client = "203.0.113.7"

    def sender(self, secrets: Sequence[str]) -> Sender:
        return acme(self.make(secrets))


class Broken:
    """A scheme that breaks one rule."""

    secret_count = 2

    def __init__(self, secrets: Sequence[str], fault: str) -> None:
        self.secrets, self.fault = secrets, fault
        self.good = signature(secrets)

    def __repr__(self) -> str:
        return f"<Broken {self.secrets}>" if self.fault == "repr" else "<Broken>"

    def sign(self, head: RequestHead, body: bytes, now: float) -> RequestHead:
        return self.good.sign(head, body, now)

    def verify(self, head: RequestHead, now: float) -> BodyCheck:
        if self.fault == "any head":
            return lambda body: Verified(0, body=True)
        time = next((float(value[2:12]) for name, value in head.headers if name == b"x-sig"), now)
        check = self.good.verify(head, time if self.fault == "any time" else now)
        if self.fault == "any body":
            return lambda body: check(SenderSuite.body)
        if self.fault == "one secret":
            return lambda body: check(body)._replace(by=0)
        return check


@pytest.mark.parametrize(
    ("fault", "tests"),
    [
        ("any head", ["every_byte_of_the_proof_counts", "without_any_part_of_the_proof_it_is_rejected"]),
        ("any head", ["somebody_else_with_another_secret_is_rejected"]),
        ("any time", ["a_signature_is_taken_for_its_time_only"]),
        ("any body", ["every_byte_of_the_body_counts_if_it_is_signed", "whatever_is_authentic_reaches_a_handler"]),
        ("one secret", ["while_the_secret_is_changed_both_are_taken"]),
        ("repr", ["a_secret_is_told_nowhere"]),
    ],
)
async def test_a_scheme_that_breaks_a_rule_fails(
    fault: str, tests: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    class Suite(SenderSuite):
        def sender(self, secrets: Sequence[str]) -> Sender:
            return acme(Broken(secrets, fault))

    for name in tests:
        with pytest.raises(AssertionError):
            await getattr(Suite(), f"test_{name}")(*([caplog] if name.endswith("nowhere") else []))


def made(**parts: Any) -> Callable[[Sequence[str]], Sender]:
    return lambda secrets: acme(signature(secrets), **parts)


def fails(event: object) -> Any:
    raise LookupError("no such order")


NESTED = b'{"events": [{"id": "evt-7", "type": "thing.made"}]}'


@pytest.mark.parametrize(
    ("make", "body", "test", "sentence"),
    [
        (made(), b'{"type": "thing.made"}', "has_events", "has no name, so .*: set the sender's event_name or event_h"),
        (made(event_name="kind"), b'{"type": "thing.made"}', "has_events", r'have none has event_name="text:NAME"'),
        (made(event_name="id"), None, "has_events", "an event in `body` is named 'evt-7', not 'thing.made'"),
        (made(event_name="type"), b"[]", "has_events", "has no name"),
        (made(decode=fails), None, "has_events", "has no name"),
        (made(event_name="type"), NESTED, "has_events", "has no name"),
        (
            made(event_name="type", split=Split("items.*")),
            NESTED,
            "has_events",
            r"split='items\.\*', has no name.*split",
        ),
        (made(split=Split("events.*")), b'{"events": []}', "has_events", r"has no event, at split='events\.\*'"),
        (made(delivery_id_path="data.id"), None, "id_of_every_event", "there is no 'data.id' in an event in `body`"),
        (made(delivery_id_path=("source", "id")), None, "id_of_every_event", "there is no 'source'"),
        (
            made(delivery_id_path="id", split=Split("events.*"), event_name="type"),
            b'{"id": "evt-7", "events": [{"type": "thing.made"}]}',
            "id_of_every_event",
            "there is no 'id'",
        ),
        (made(identity=lambda event: (str(id(event)),)), None, "functions_of", "identity tells .* none matches"),
        (made(identity=lambda event: None), None, "functions_of", "identity returns None"),
        (made(identity=lambda event: "evt-7"), None, "functions_of", "return a tuple of texts"),
        (made(identity=fails), None, "functions_of", "identity failed for an event in `body`, by LookupError: no such"),
        (made(ordering_key=fails), None, "functions_of", "ordering_key failed"),
        (
            lambda secrets: acme(signature(secrets[0]), event_name="type"),
            None,
            "while_the_secret",
            r"of 2 secrets sender\(secrets\) takes 1",
        ),
        (
            lambda secrets: acme(signature(["one", "two"]), event_name="type"),
            None,
            "somebody_else",
            r"sender\(secrets\) signs alike with any secret",
        ),
        (
            made(challenges=(replace(echo("body:challenge"), answer=lambda head, body, now: None),)),
            None,
            "every_challenge",
            "the challenge by POST /webhooks is never answered",
        ),
        (
            made(challenges=(echo("body:challenge"), echo("body:challenge", key="challenge"))),
            None,
            "every_challenge",
            "is another one before it in challenges that fits",
        ),
    ],
)
async def test_a_broken_sender_fails_with_a_sentence_that_says_what_to_set(
    make: Callable[[Sequence[str]], Sender], body: bytes | None, test: str, sentence: str
) -> None:
    class Suite(SenderSuite):
        def sender(self, secrets: Sequence[str]) -> Sender:
            return make(secrets)

    suite = Suite()
    suite.body = suite.body if body is None else body
    (name,) = [name for name in dir(suite) if name.startswith("test_") and test in name]
    with pytest.raises(AssertionError, match=sentence):
        await getattr(suite, name)()


def answering(response: Response) -> Challenge:
    return replace(echo("body:challenge"), answer=lambda head, body, now: response)


@pytest.mark.parametrize(
    ("challenge", "test"),
    [
        (answering(Response(200, {"content-type": "text/html"}, b"<b>")), "every_challenge_is_answered"),
        (answering(Response(200, {"content-type": "text/plain"}, b"sniffed")), "every_challenge_is_answered"),
        (answering(Response(404)), "every_challenge_is_answered"),
        (replace(echo("body:challenge"), answer=lambda head, body, now: None), "every_challenge_is_answered"),
    ],
)
async def test_a_challenge_that_is_answered_badly_fails(challenge: Challenge, test: str) -> None:
    class Suite(SenderSuite):
        def sender(self, secrets: Sequence[str]) -> Sender:
            return acme(signature(secrets), challenges=(challenge,))

    with pytest.raises(AssertionError):
        await getattr(Suite(), f"test_{test}_and_runs_no_handler")()
