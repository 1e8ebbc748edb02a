"""Challenges: who is answered what, and that nothing else gets past the scheme, is stored or handled by one."""

from __future__ import annotations

import hmac
import json
from base64 import b64decode, b64encode
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.helpers import NOW, noting, serving
from tests.working import durable
from webhook_receiver import (
    AddressNotAllowed,
    AllowFrom,
    AnyOf,
    BadSignature,
    BasicAuth,
    ConfigurationError,
    HMACBody,
    QuerySecret,
    Response,
    Scheme,
    Secret,
    SecretsByRequest,
    Sender,
    Unsigned,
    WebhookReceiver,
)
from webhook_receiver.delivery import RequestHead
from webhook_receiver.errors import MalformedChallenge
from webhook_receiver.senders.asana import asana
from webhook_receiver.senders.challenges import Challenge, cloudevents, echo, ping, token_hmac
from webhook_receiver.senders.meta import meta
from webhook_receiver.senders.slack import slack
from webhook_receiver.senders.twitch import twitch
from webhook_receiver.signatures.hmac_fields import HMACFields
from webhook_receiver.signatures.learnt_secret import LearntSecret

from .asking import EVENT, SCHEME, SECRET, asked, receiver

META = echo(
    "query:hub.challenge",
    methods=("GET",),
    where={"query:hub.mode": "subscribe"},
    signed=False,
    scheme=QuerySecret("verify-me", parameter="hub.verify_token"),
)
GRAPH = echo("query:validationToken", signed=False)
OKTA = echo("header:X-Okta-Verification-Challenge", methods=("GET",), key="verification", signed=False)
SLACK = echo("body:challenge", where={"body:type": "url_verification"}, key="challenge")
TWITCH = echo("body:challenge", where={"header:Message-Type": "webhook_callback_verification"})
MONDAY = echo("body:challenge", key="challenge", signed=False)
ZOOM = token_hmac(
    "body:payload.plainToken",
    SECRET,
    where={"body:event": "endpoint.url_validation"},
    key="encryptedToken",
    token_key="plainToken",
)
X = token_hmac(
    "query:crc_token", SECRET, methods=("GET",), key="response_token", prefix="sha256=", encoding="base64", signed=False
)
DISCORD = ping(where={"body:type": 1}, document={"type": 1})
FIGMA = ping(where={"body:event_type": "PING"}, signed=False)
TRELLO = ping(methods=("HEAD", "GET"), signed=False)


def as_text(response: Response) -> str:
    """Return the text of an answer, after a check that no browser takes it for HTML."""
    assert response.status == 200
    assert dict(response.headers) == {
        "content-type": "text/plain; charset=utf-8",
        "content-length": str(len(response.body)),
        "x-content-type-options": "nosniff",
    }
    return response.body.decode()


def as_json(response: Response) -> Any:
    assert response.status == 200
    assert dict(response.headers) == {
        "content-type": "application/json",
        "content-length": str(len(response.body)),
        "x-content-type-options": "nosniff",
    }
    return json.loads(response.body)


# who is answered


def networked(scheme: Scheme) -> dict[str, Scheme]:
    """Return schemes that let in one network alone."""
    behind = AllowFrom(["203.0.113.0/24"], scheme)
    other = AllowFrom(["203.0.113.0/24"], HMACBody("another", signature="x-other"))

    async def secrets_of(tenant: str) -> str:
        return SECRET

    def tenants(secrets: list[Secret]) -> Scheme:
        return AllowFrom(["203.0.113.0/24"], HMACBody(secrets, signature="x-sig"))

    return {
        "AllowFrom": behind,
        "AnyOf": AnyOf(behind, other),
        "in one another": AllowFrom(["203.0.0.0/16"], behind),
        "SecretsByRequest": SecretsByRequest(secrets_of, tenants, tenant=lambda head: "a"),
    }


@pytest.mark.parametrize("kind", networked(SCHEME))
@pytest.mark.parametrize(
    ("challenge", "method", "target", "body"),
    [
        (MONDAY, "POST", "/", b'{"challenge": "a"}'),
        (GRAPH, "POST", "/?validationToken=a", b""),
        (TRELLO, "HEAD", "/", b""),
        (META, "GET", "/?hub.mode=subscribe&hub.challenge=1&hub.verify_token=verify-me", b""),
        (cloudevents("*"), "OPTIONS", "/", b""),
    ],
)
async def test_networks_are_checked_before_any_challenge(
    kind: str, challenge: Challenge, method: str, target: str, body: bytes
) -> None:
    hooks = receiver(challenge, scheme=networked(SCHEME)[kind]).hooks
    headers = {"webhook-request-origin": "example.com"}
    found: list[Any] = []
    for client in ("203.0.113.7", "198.51.100.7", None):
        receipt = await hooks.receive(headers, body, method=method, target=target, client=client)
        found.append((receipt.response.status, type(receipt.error)))
    assert found == [(200, type(None)), (401, AddressNotAllowed), (401, AddressNotAllowed)]


HOME = "203.0.113.7"
AWAY = "198.51.100.7"


@pytest.mark.parametrize(
    ("challenge", "method", "target", "body"),
    [
        (MONDAY, "POST", "/", b'{"challenge": "a"}'),
        (GRAPH, "POST", "/?validationToken=a", b""),
        (TRELLO, "HEAD", "/", b""),
        (META, "GET", "/?hub.mode=subscribe&hub.challenge=1&hub.verify_token=verify-me", b""),
        (cloudevents("*"), "OPTIONS", "/", b""),
    ],
)
@pytest.mark.parametrize(
    "scheme",
    [
        AnyOf(AllowFrom(["203.0.113.0/24"], BasicAuth("p", username="us")), SCHEME),
        AnyOf(SCHEME, AllowFrom(["203.0.113.0/24"], BasicAuth("p", username="us"))),
        AnyOf(SCHEME, AnyOf(BasicAuth("p", username="us"), AllowFrom(["203.0.113.0/24"], SCHEME))),
    ],
)
async def test_beside_networks_another_scheme_lets_no_unsigned_challenge_in_from_elsewhere(
    scheme: Scheme, challenge: Challenge, method: str, target: str, body: bytes
) -> None:
    hooks = receiver(challenge, scheme=scheme).hooks
    found = [
        (await hooks.receive(headers, body, method=method, target=target, client=client)).response.status
        for headers in ({"webhook-request-origin": "a"}, {"webhook-request-origin": "a", "x-sig": "ab"})
        for client in (HOME, AWAY, None)
    ]
    assert found == [200, 401, 401] * 2


@pytest.mark.parametrize(("method", "body"), [("POST", b'{"challenge": "a"}'), ("GET", b"")])
async def test_a_challenge_that_another_scheme_verifies_may_come_from_elsewhere(method: str, body: bytes) -> None:
    scheme = AnyOf(AllowFrom(["203.0.113.0/24"], BasicAuth("p", username="us")), SCHEME)
    place = "body:challenge" if body else "query:token"
    hooks = receiver(echo(place, methods=(method,)), scheme=scheme).hooks
    head = SCHEME.sign(RequestHead.of({}, method=method, target="/?token=a"), body, NOW)
    for headers, status in ((head.headers, 200), ([], 401)):
        receipt = await hooks.receive(headers, body, method=method, target=head.target, client=AWAY)
        assert receipt.response.status == status


async def test_of_an_unknown_tenant_with_networks_no_challenge_is_answered() -> None:
    async def secrets_of(tenant: str) -> str | None:
        return SECRET if tenant == "a" else None

    def tenants(secrets: list[Secret]) -> Scheme:
        return AllowFrom(["203.0.113.0/24"], HMACBody(secrets, signature="x-sig"))

    hooks = receiver(TRELLO, scheme=SecretsByRequest(secrets_of, tenants, tenant="path")).hooks
    found = [
        (await hooks.receive({}, b"", method="HEAD", target=target, client=client)).response.status
        for target, client in (("/a", HOME), ("/a", AWAY), ("/b", HOME), ("/", HOME))
    ]
    assert found == [200, 401, 401, 401]


async def test_a_stranger_elsewhere_tells_no_secret(tmp_path: Path) -> None:
    learnt = LearntSecret(tmp_path / "secret", clock=lambda: NOW)
    sender = asana(learnt)
    hooks = noting(sender=replace(sender, scheme=AllowFrom(["203.0.113.7"], sender.scheme))).hooks
    with learnt.open(60):
        told = {"x-hook-secret": "a-secret-of-a-stranger"}
        receipt = await hooks.receive(told, b"", client="198.51.100.7")
        assert (receipt.response.status, "x-hook-secret" in receipt.response.headers) == (401, False)
        told = {"x-hook-secret": "a-secret-of-the-sender"}
        assert (await hooks.receive(told, b"", client="203.0.113.7")).response.status == 200


# what is answered


async def test_the_value_of_a_query_is_sent_back_to_who_knows_the_token() -> None:
    noted, target = receiver(META), "/in?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token="
    assert as_text(await asked(noted, method="GET", target=f"{target}verify-me")) == "1158201444"
    for wrong in (f"{target}verify-you", target.removesuffix("&hub.verify_token=")):
        assert (await asked(noted, method="GET", target=wrong)).status == 401
    assert (await asked(noted, method="GET", target=target.replace("sub", "unsub") + "verify-me")).status == 405


@pytest.mark.parametrize("body", [b"", b" ", b"{}"])
async def test_a_validation_token_comes_by_post_and_is_sent_back_decoded(body: bytes) -> None:
    target = "/?validationToken=Validation%3a+Testing+caf%C3%A9+%3cb%3e"
    assert as_text(await asked(receiver(GRAPH), body, target=target)) == "Validation: Testing café <b>"


async def test_the_value_of_a_header_is_sent_back_as_json() -> None:
    headers = {"x-okta-verification-challenge": "abc"}
    assert as_json(await asked(receiver(OKTA), method="GET", headers=headers)) == {"verification": "abc"}


async def test_a_signed_challenge_in_the_body_is_sent_back() -> None:
    body = b'{"type": "url_verification", "challenge": "3eZbrw1aB", "token": "x"}'
    assert as_json(await asked(receiver(SLACK), body, signed=True)) == {"challenge": "3eZbrw1aB"}
    headers = {"Message-Type": "webhook_callback_verification"}
    assert as_text(await asked(receiver(TWITCH), body, headers=headers, signed=True)) == "3eZbrw1aB"


async def test_an_unsigned_challenge_in_the_body_is_sent_back() -> None:
    assert as_json(await asked(receiver(MONDAY), b'{"challenge": "abc"}')) == {"challenge": "abc"}


async def test_a_token_is_sent_back_with_its_hmac() -> None:
    body = b'{"event": "endpoint.url_validation", "payload": {"plainToken": "qgg8vlvZRS6UYooatFL8Aw"}}'
    digest = hmac.new(SECRET.encode(), b"qgg8vlvZRS6UYooatFL8Aw", "sha256")
    assert as_json(await asked(receiver(ZOOM), body, signed=True)) == {
        "plainToken": "qgg8vlvZRS6UYooatFL8Aw",
        "encryptedToken": digest.hexdigest(),
    }
    response = as_json(await asked(receiver(X), method="GET", target="/?crc_token=qgg8vlvZRS6UYooatFL8Aw"))
    assert response == {"response_token": f"sha256={b64encode(digest.digest()).decode()}"}


async def test_pings_and_probes_are_answered() -> None:
    assert as_json(await asked(receiver(DISCORD), b'{"type": 1}', signed=True)) == {"type": 1}
    assert (await asked(receiver(FIGMA), b'{"event_type": "PING", "passcode": "x"}')).status == 200
    for method in ("HEAD", "GET"):
        response = await asked(receiver(TRELLO), method=method)
        assert (response.status, response.body) == (200, b"")


@pytest.mark.parametrize(
    ("challenge", "asking", "allowed"),
    [
        (cloudevents("eventgrid.azure.net"), {}, {"webhook-allowed-rate": "*"}),
        (
            cloudevents("EventGrid.azure.net", "b", rate=120),
            {"WebHook-Request-Rate": "200"},
            {"webhook-allowed-rate": "120"},
        ),
        (cloudevents("*"), {"WebHook-Request-Callback": "http://127.0.0.1:1/"}, {"webhook-allowed-origin": "*"}),
    ],
)
async def test_cloudevents_are_asked_for_by_options(
    challenge: Challenge, asking: dict[str, str], allowed: dict[str, str]
) -> None:
    headers = {"WebHook-Request-Origin": "eventgrid.azure.net", **asking}
    response = await asked(receiver(challenge), method="OPTIONS", headers=headers)
    assert (response.status, response.headers["allow"]) == (200, "POST")
    assert response.headers["webhook-allowed-origin"].lower() in ("eventgrid.azure.net", "*")
    assert response.headers.items() >= allowed.items()


@pytest.mark.parametrize("origin", [None, "", "evil.example", "eventgrid.azure.net, evil.example", "*"])
async def test_another_origin_is_not_allowed(origin: str | None) -> None:
    headers = {} if origin is None else {"WebHook-Request-Origin": origin}
    noted = receiver(cloudevents("eventgrid.azure.net"))
    response = await asked(noted, method="OPTIONS", headers=headers)
    assert (response.status, response.headers["allow"]) == (405, "POST, OPTIONS")
    assert "webhook-allowed-origin" not in response.headers


async def test_slack_is_answered_without_a_word() -> None:
    noted = noting(sender=slack(SECRET))
    body = b'{"type": "url_verification", "challenge": "3eZbrw1aB"}'
    assert as_json(await asked(noted, body, signed=True)) == {"challenge": "3eZbrw1aB"}
    assert (await asked(noted, body)).status == 401


# what is not


@pytest.mark.parametrize(
    ("challenge", "body", "headers"),
    [
        (SLACK, b'{"type": "url_verification", "challenge": "abc"}', {}),
        (TWITCH, b'{"challenge": "abc"}', {"message-type": "webhook_callback_verification"}),
        (ZOOM, b'{"event": "endpoint.url_validation", "payload": {"plainToken": "abc"}}', {}),
        (DISCORD, b'{"type": 1}', {}),
    ],
)
async def test_a_challenge_that_the_sender_signs_is_not_answered_unsigned(
    challenge: Challenge, body: bytes, headers: dict[str, str]
) -> None:
    for signature in ({}, {"x-sig": "0" * 64}):
        noted = receiver(challenge)
        assert (await asked(noted, body, headers={**headers, **signature})).status == 401
        assert sum(noted.hooks.rejected.values()) == 1
    for each in (GRAPH, FIGMA):  # another challenge that is not signed does not let it in
        assert (await asked(receiver(each, challenge), body, headers=headers)).status == 401


@pytest.mark.parametrize("challenge", [META, GRAPH, OKTA, SLACK, TWITCH, MONDAY, ZOOM, X, DISCORD, FIGMA, TRELLO])
@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/?validationToken=abc&hub.mode=subscribe&hub.challenge=1&hub.verify_token=verify-me&crc_token=abc",
    ],
)
async def test_a_challenge_is_no_way_round_the_signature_for_a_delivery(challenge: Challenge, target: str) -> None:
    noted = receiver(challenge)
    headers = {"x-okta-verification-challenge": "abc", "message-type": "webhook_callback_verification"}
    for body in (EVENT, b'{"event": "parcel.lost", "challenge": "abc"}', b"[" * 100_000):
        assert (await asked(noted, body, target=target, headers=headers)).status == 401
    for method in ("PUT", "DELETE", "\ud800"):
        assert (await asked(noted, EVENT, target=target, headers=headers, method=method)).status == 405


@pytest.mark.parametrize("challenge", [META, GRAPH, OKTA, SLACK, MONDAY, ZOOM, X, DISCORD, FIGMA, TRELLO])
@pytest.mark.parametrize("scheme", [SCHEME, Unsigned()], ids=["signed", "unsigned"])
async def test_a_delivery_is_not_taken_for_a_challenge(challenge: Challenge, scheme: Scheme) -> None:
    noted = receiver(challenge, scheme=scheme)
    bodies = [
        *(EVENT, b'{"event": "parcel.lost", "challenge": "abc"}', b'{"event": "parcel.lost", "type": true}'),
        *(b'{"event": "parcel.lost", "type": "1"}', b'{"event": "url_verification", "challenge": "abc"}'),
    ]
    for body in bodies:
        head = scheme.sign(
            RequestHead.of({"x-okta-verification-challenge": "a"}, target="/?validationToken=a"), body, NOW
        )
        assert (await noted.hooks.receive(head.headers, body, target=head.target)).response.status == 204
    assert len(noted.events) == len(bodies)


async def test_a_delivery_that_fails_the_scheme_of_a_challenge_is_still_one() -> None:
    challenge = echo(
        "body:challenge", where={"body:event": "a"}, signed=False, scheme=QuerySecret("pw", parameter="token")
    )
    noted, body = receiver(challenge), b'{"event": "a", "challenge": "abc"}'
    head = SCHEME.sign(RequestHead.of({}), body, NOW)
    assert (await noted.hooks.receive(head.headers, body)).response.status == 204
    assert (await asked(noted, body)).status == 401
    assert as_text(await asked(noted, body, target="/?token=pw")) == "abc"


@pytest.mark.parametrize(
    "token",
    ["", "a" * 4097, "a" * 1_000_000, "%00", "a%0Ab", "%1b[2J", "%ff", "%E2%80%AE", "a&validationToken=b"],
)
async def test_a_token_that_is_endless_twice_there_or_has_control_characters_is_none(token: str) -> None:
    response = await asked(receiver(GRAPH), target=f"/?validationToken={token}")
    assert response.status == 401
    body = json.dumps({"challenge": token if len(token) > 4096 else "a\x1b[2J"}).encode()
    assert (await asked(receiver(MONDAY), body)).status == 401


@pytest.mark.parametrize("token", ["<script>alert(1)</script>", '"><img src=x>', "a" * 4096, "é☃"])
async def test_markup_is_text(token: str) -> None:
    target = str(httpx.URL("/", params={"validationToken": token}))
    assert as_text(await asked(receiver(GRAPH), target=target)) == token
    assert as_json(await asked(receiver(MONDAY), json.dumps({"challenge": token}).encode())) == {"challenge": token}


@pytest.mark.parametrize("token", ['{"event": "a"}', "1765433012.abc", "v0:1765433012:abc", "a=b", "a b", "[]", "é"])
async def test_nobody_gets_the_hmac_of_what_a_scheme_signs(token: str) -> None:
    target = str(httpx.URL("/", params={"crc_token": token}))
    assert (await asked(receiver(X), method="GET", target=target)).status == 400


@pytest.mark.parametrize(
    "token", ["", "a" * 4097, "a" * 20_000, "%00", "%1b[2J", "%ff", "%E2%80%AE", "a&validationToken=b"]
)
@pytest.mark.parametrize("scheme", [Unsigned(), Unsigned(token_in_path="a-token-of-22-characters-or-more")])
@pytest.mark.parametrize("inbox", ["memory://", None])
async def test_a_malformed_challenge_is_no_delivery_of_a_sender_that_signs_nothing(
    token: str, scheme: Scheme, inbox: str | None
) -> None:
    sender = Sender(name="acme", scheme=scheme, facts=("made up",), challenges=(GRAPH, MONDAY, SLACK, ZOOM))
    hooks = WebhookReceiver(sender=sender, inbox=inbox, work=inbox is None, clock=lambda: NOW)
    hooks.fallback(lambda event: None)
    path = "/in/a-token-of-22-characters-or-more"
    text = "a" * 20_000 if len(token) > 4096 else f"\x1b{token}"
    bodies: list[tuple[str, object]] = [
        (f"?validationToken={token}", None),
        ("", {"challenge": text}),
        ("", {"challenge": [text]}),
        ("", {"challenge": 7}),
        ("", {"type": "url_verification", "challenge": text, "token": "t"}),
        ("", {"event": "endpoint.url_validation", "payload": {"plainToken": f"<{text}>"}}),
    ]
    async with hooks:
        for query, document in bodies:
            body = b"" if document is None else json.dumps(document).encode()
            receipt = await hooks.receive({}, body, target=path + query)
            assert (receipt.response.status, receipt.delivery) == (400, None)
            assert isinstance(receipt.error, MalformedChallenge)
    assert hooks.rejected == {"MalformedChallenge": len(bodies)}


async def test_a_delivery_that_speaks_of_a_challenge_is_still_one() -> None:
    noted = receiver(SLACK, MONDAY, GRAPH, TWITCH, scheme=Unsigned())
    bodies: list[object] = [
        {"event": "a", "text": "challenge url_verification" * 1000},
        {"event": "a", "type": "message", "challenge": "a" * 20_000},
        {"event": "a", "type": "url_verification"},
        {"event": "a", "challenge": 7},
    ]
    for each in bodies:
        receipt = await noted.hooks.receive({}, json.dumps(each).encode(), target="/?validationToken=%00")
        assert receipt.response.status == 204
    assert len(noted.events) == len(bodies)


@pytest.mark.parametrize("kind", ["webhook_callback_verification", "notification", "revocation", None])
async def test_a_header_that_nobody_signs_makes_no_event_of_twitchs_challenge_and_no_challenge_of_an_event(
    kind: str | None,
) -> None:
    noted = noting(sender=twitch("a secret"))
    headers = {} if kind is None else {"twitch-eventsub-message-type": kind}
    subscription = {"id": "s1", "type": "stream.online", "version": "1"}

    def body(status: str) -> bytes:
        return json.dumps({"challenge": "pogchamp", "subscription": {**subscription, "status": status}}).encode()

    pending = body("webhook_callback_verification_pending")
    assert (await asked(noted, pending, headers=headers, signed=True)).body == b"pogchamp"
    enabled = body("enabled")
    head = noted.hooks.sender.scheme.sign(RequestHead.of(headers), enabled, NOW)
    assert (await noted.hooks.receive(head.headers, enabled)).response.status == 204
    assert len(noted.events) == 1


async def test_a_wrong_token_has_the_status_that_the_challenge_says() -> None:
    sender = meta(SECRET, verify_token="verify-me")
    hooks = noting(sender=sender).hooks
    target = "/?hub.mode=subscribe&hub.challenge=1&hub.verify_token="
    found = []
    for wrong in (target + "verify-you", target.removesuffix("&hub.verify_token="), target + "verify-me"):
        receipt = await hooks.receive({}, b"", method="GET", target=wrong)
        found.append((receipt.response.status, type(receipt.error).__name__))
    assert found == [(403, "BadSignature"), (403, "MissingSignature"), (200, "NoneType")]
    assert hooks.rejected == {"BadSignature": 1, "MissingSignature": 1}
    with pytest.raises(ConfigurationError, match="to 499"):
        replace(META, rejected=200)


@pytest.mark.parametrize("body", [b"null", b"[1]", b'{"challenge": ' * 5000, b'{"challenge": 7}', b"\xff", b'"abc"'])
async def test_a_body_that_holds_no_challenge_is_none(body: bytes) -> None:
    assert (await asked(receiver(MONDAY), body)).status == 401


async def test_a_body_that_is_too_large_is_rejected_as_ever() -> None:
    noted = receiver(MONDAY, max_body=1000)
    assert (await asked(noted, b'{"challenge": "%b"}' % (b"a" * 1000))).status == 413
    assert (await asked(noted, b'{"challenge": "a"}', headers={"content-encoding": "gzip"})).status == 415


async def test_nothing_of_a_challenge_is_stored() -> None:
    sender = replace(slack(SECRET), challenges=(*slack(SECRET).challenges, GRAPH, TRELLO))
    hooks = durable("memory://", sender=sender, work=False)
    body = b'{"type": "url_verification", "challenge": "3eZbrw1aB"}'
    async with hooks:
        head = sender.scheme.sign(RequestHead.of({}), body, NOW)
        statuses = [
            (await hooks.receive(head.headers, body)).response.status,
            (await hooks.receive({}, b"", target="/?validationToken=a")).response.status,
            (await hooks.receive({}, b"", method="HEAD")).response.status,
        ]
        assert (statuses, sum((await hooks.inbox.stats()).counts.values())) == ([200, 200, 200], 0)


# misuse


@pytest.mark.parametrize(
    "make",
    [
        lambda: echo("challenge"),
        lambda: echo("path:a"),
        lambda: echo("body:a..b"),
        lambda: echo("query:"),
        lambda: echo("query:a", methods=("get",)),
        lambda: echo("query:a", methods=()),
        lambda: echo("query:a", where={"type": "a"}),
        lambda: echo("query:a", where={"body:type": True}),
        lambda: echo("query:a", where={"body:type": None}),  # type: ignore[dict-item]
        lambda: echo("query:a", scheme=HMACBody),  # type: ignore[arg-type]
        lambda: ping(),
        lambda: ping(methods=("HEAD",), status=302),
        lambda: token_hmac("query:a", "", key="b"),
        lambda: token_hmac("query:a", "s", key="b", encoding="base32"),  # type: ignore[arg-type]
        lambda: cloudevents(),
        lambda: cloudevents("a\r\nb"),
        lambda: cloudevents("a", rate=0),
        lambda: Challenge(answer=7),  # type: ignore[arg-type]
        lambda: receiver(challenges=[GRAPH]),
        lambda: receiver(ping),  # type: ignore[arg-type]
    ],
)
def test_a_challenge_that_cannot_work_is_rejected(make: Any) -> None:
    with pytest.raises((ConfigurationError, TypeError)):
        make()


# over HTTP


@pytest.mark.parametrize("http", ["h11", "httptools"])
async def test_challenges_are_answered_over_http(http: str) -> None:
    noted = receiver(META, GRAPH, SLACK, MONDAY, TRELLO, cloudevents("*"))
    signed = b'{"type": "url_verification", "challenge": "abc"}'
    head = SCHEME.sign(RequestHead.of({}), signed, NOW)
    origin = {"webhook-request-origin": "a.example"}
    meta = "/?hub.mode=subscribe&hub.challenge=115&hub.verify_token="
    with serving(noted.hooks, http=http) as url:
        async with httpx.AsyncClient(trust_env=False, base_url=url) as client:
            responses = [
                await client.get(f"{meta}verify-me"),
                await client.get(f"{meta}verify-you"),
                await client.head("/"),
                await client.post("/?validationToken=a%20b"),
                await client.post("/", content=signed, headers=[*head.headers]),
                await client.post("/", content=signed),
                await client.post("/", content=b'{"challenge": "a"}'),
                await client.options("/", headers=origin),
                await client.request("GET", f"{meta}verify-me", content=b"a" * 100_000),
                await client.put("/", content=EVENT),
            ]
    assert [(each.status_code, each.text[:15]) for each in responses] == [
        (200, "115"),
        (401, responses[1].text[:15]),
        (200, ""),
        (200, "a b"),
        (200, '{"challenge": "'),
        (401, responses[5].text[:15]),
        (200, '{"challenge": "'),
        (200, ""),
        (200, "115"),
        (405, responses[9].text[:15]),
    ]
    assert responses[9].headers["allow"] == "POST, GET, HEAD, OPTIONS"
    assert noted.events == []


async def test_a_challenge_of_your_own_is_a_function() -> None:
    def answer(head: RequestHead, body: bytes, now: float) -> Response | None:
        return Response(200, {"content-length": "2"}, b"ok") if head.path == b"/are-you-there" else None

    noted = receiver(Challenge(answer=answer, methods=("GET",), signed=False))
    assert (await asked(noted, method="GET", target="/are-you-there")).body == b"ok"
    assert (await asked(noted, method="GET", target="/")).status == 405


def test_a_receiver_without_challenges_has_its_scheme_as_it_is() -> None:
    hooks = WebhookReceiver(scheme=SCHEME)
    assert hooks._scheme is SCHEME  # a request costs no more


# what a challenge tells anybody proves nothing

FORM = HMACFields(SECRET, form=True, signature="sig", signed=("payload",))
BATCH = HMACFields(SECRET, items="all.*", signature="sig", signed=("id",))
OTHER = HMACBody("another", signature="x-other")


async def forged(scheme: Scheme, token: str, body: str) -> int:
    """Return the status of a delivery whose signature a stranger has had told by the challenge."""
    noted = receiver(X, scheme=scheme)
    asked_for = await noted.hooks.receive({}, b"", method="GET", target=f"/?crc_token={quote(token, safe='')}")
    digest = b64decode(as_json(asked_for.response)["response_token"].removeprefix("sha256=")).hex()
    receipt = await noted.hooks.receive({"x-sig": digest}, body.replace("DIGEST", digest).encode())
    assert (noted.events, receipt.delivery) == ([], None)
    return receipt.response.status


@pytest.mark.parametrize(
    "scheme",
    [
        SCHEME,
        HMACBody([Secret("a newer one"), Secret(SECRET)], signature="x-sig"),
        AnyOf(OTHER, SCHEME),
        AllowFrom(["203.0.113.0/24"], SCHEME),
    ],
    ids=["alone", "the older secret", "AnyOf", "AllowFrom"],
)
@pytest.mark.parametrize("token", ["12345", "null", "events=", "PG5vdGlmaWNhdGlvbj4", "a" * 4096])
async def test_a_body_whose_hmac_a_challenge_tells_is_rejected(token: str, scheme: Scheme) -> None:
    noted = receiver(X, scheme=scheme)
    came = {"client": "203.0.113.7"}
    told = await noted.hooks.receive({}, b"", method="GET", target=f"/?crc_token={quote(token, safe='')}", **came)
    digest = b64decode(as_json(told.response)["response_token"].removeprefix("sha256=")).hex()
    receipt = await noted.hooks.receive({"x-sig": digest}, token.encode(), **came)
    assert (receipt.response.status, type(receipt.error), noted.events) == (401, BadSignature, [])


@pytest.mark.parametrize(
    ("scheme", "body"),
    [
        (FORM, "payload=0123456789abcdef&sig=DIGEST"),
        (FORM, "sig=DIGEST&payload=0123456789abcdef&more=1"),
        (BATCH, '{"all": [{"id": "0123456789abcdef", "sig": "DIGEST"}]}'),
    ],
)
async def test_a_value_whose_hmac_a_challenge_tells_is_rejected_too(scheme: Scheme, body: str) -> None:
    assert await forged(scheme, "0123456789abcdef", body) == 401


async def test_one_forged_item_of_several_is_enough_to_be_rejected() -> None:
    genuine = hmac.new(SECRET.encode(), b"an id with spaces", "sha256").hexdigest()
    items = f'{{"id": "an id with spaces", "sig": "{genuine}"}}'
    assert await forged(BATCH, "abc", f'{{"all": [{items}, {{"id": "abc", "sig": "DIGEST"}}]}}') == 401
    whole = receiver(X, scheme=BATCH)
    assert (await whole.hooks.receive({}, f'{{"event": "parcel.lost", "all": [{items}]}}'.encode())).delivery


@pytest.mark.parametrize("challenge", [replace(X, signed=True), ZOOM, X])
async def test_what_is_no_token_is_a_delivery(challenge: Challenge) -> None:
    noted = receiver(challenge)
    receipt = await noted.hooks.receive(SCHEME.sign(RequestHead.of({}), EVENT, NOW).headers, EVENT)
    assert receipt.delivery is not None


async def test_a_challenge_with_a_secret_of_its_own_or_a_pattern_leaves_other_deliveries_alone() -> None:
    own = token_hmac("query:crc_token", "its own", methods=("GET",), signed=False)
    hexes = token_hmac("query:crc_token", SECRET, methods=("GET",), pattern="[0-9a-f]{20,32}", signed=False)
    for challenge in (own, hexes):
        noted = receiver(challenge)
        signed = SCHEME.sign(RequestHead.of({}), b"12345", NOW).headers
        assert (await noted.hooks.receive(signed, b"12345")).response.status != 401
