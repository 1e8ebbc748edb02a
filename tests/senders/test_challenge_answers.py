"""The challenge of each sender that has one: what comes, and the answer to it byte for byte."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.helpers import NOW, noting
from webhook_receiver import BodySecret, ConfigurationError, PublicKeyBody, QuerySecret, Response, Scheme, Unsigned
from webhook_receiver.delivery import RequestHead
from webhook_receiver.senders.challenges import Challenge, cloudevents, echo, ping, token_hmac
from webhook_receiver.senders.slack import slack
from webhook_receiver.signatures.hmac_keys import KeyForm

from ..signatures.keys import ED25519, pem
from .asking import EVENT, SCHEME, SECRET, asked, receiver

TOKEN = "qgg8vlvZRS6UYooatFL8Aw"
TOKEN_HMAC = hmac.new(SECRET.encode(), TOKEN.encode(), "sha256").hexdigest()
HEX = "20f0a1b2c3d4e5f60718293a4b5c6d7e"
HEX_HMAC = hmac.new(hashlib.sha1(b"a private key").digest(), HEX.encode(), "sha1").hexdigest()
DISCORD = PublicKeyBody(
    pem(ED25519[0]),
    algorithm="ed25519",
    signature="x-signature-ed25519",
    encoding="hex",
    signed="{timestamp}{body}",
    timestamp="x-signature-timestamp",
)
EVENT_GRID = [
    {
        "id": "2d1781af-3a4c-4d7c-bd0c-e34b19da4e66",
        "topic": "/subscriptions/1",
        "subject": "",
        "data": {"validationCode": "512d38b6-c7b8-40c8-89fe-f46f9e9622b6", "validationUrl": "https://127.0.0.1:1/"},
        "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
        "eventTime": "2026-01-25T22:12:19.4556811Z",
        "dataVersion": "1",
    }
]

Answer = tuple[int, dict[str, str], bytes]


def answer(kind: str, body: bytes) -> Answer:
    headers = {"content-type": kind, "content-length": str(len(body)), "x-content-type-options": "nosniff"}
    return 200, headers, body


def json_answer(body: str) -> Answer:
    return answer("application/json", body.encode())


def text_answer(body: str) -> Answer:
    return answer("text/plain; charset=utf-8", body.encode())


EMPTY: Answer = (200, {"content-length": "0"}, b"")


@dataclass(frozen=True)
class Case:
    """A challenge, its request, and the answer to that."""

    challenge: Challenge
    answer: Answer
    body: bytes = b""
    method: str = "POST"
    target: str = "/"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    scheme: Scheme = SCHEME
    signed: bool = False


def get(query: str) -> dict[str, Any]:
    return {"method": "GET", "target": f"/?{query}"}


SLACK, SSL_CHECK = slack(SECRET).challenges
SLACK_SCHEME = slack(SECRET).scheme
META = echo(
    "query:hub.challenge",
    methods=("GET",),
    where={"query:hub.mode": "subscribe"},
    signed=False,
    scheme=QuerySecret("verify-me", parameter="hub.verify_token"),
)
ZOOM = token_hmac(
    "body:payload.plainToken",
    SECRET,
    where={"body:event": "endpoint.url_validation"},
    key="encryptedToken",
    token_key="plainToken",
)
AZURE = echo(
    "body:0.data.validationCode",
    where={
        "header:aeg-event-type": "SubscriptionValidation",
        "body:0.eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
    },
    key="validationResponse",
)
LARK = echo(
    "body:challenge",
    where={"body:type": "url_verification"},
    key="challenge",
    signed=False,
    scheme=BodySecret("a token", member="token"),
)
BRAINTREE = token_hmac(
    "query:bt_challenge",
    "a private key",
    methods=("GET",),
    prefix="a_public_key|",
    hash="sha1",
    key_form=KeyForm(hash="sha1"),
    pattern="[0-9a-f]{20,32}",
    signed=False,
)

CASES = {
    "slack": Case(
        SLACK,
        json_answer('{"challenge": "3eZbrw1aB"}'),
        b'{"token": "x", "challenge": "3eZbrw1aB", "type": "url_verification"}',
        scheme=SLACK_SCHEME,
        signed=True,
    ),
    "slack, ssl_check": Case(SSL_CHECK, EMPTY, b"ssl_check=1&token=Jhj5dZrVaK7ZwHHjRyZWjbDl", scheme=SLACK_SCHEME),
    "discord, interactions": Case(
        ping(where={"body:type": 1}, document={"type": 1}),
        json_answer('{"type": 1}'),
        b'{"application_id":"1","id":"2","token":"t","type":1,"user":{},"version":1}',
        scheme=DISCORD,
        signed=True,
    ),
    "discord, events": Case(
        ping(where={"body:type": 0}, status=204),
        (204, {}, b""),
        b'{"version":1,"application_id":"1234560123453231555","type":0}',
        scheme=DISCORD,
        signed=True,
    ),
    "meta, whatsapp": Case(
        META,
        text_answer("1158201444"),
        **get("hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=verify-me"),
    ),
    "zoom": Case(
        ZOOM,
        json_answer(f'{{"plainToken": "{TOKEN}", "encryptedToken": "{TOKEN_HMAC}"}}'),
        b'{"payload":{"plainToken":"%b"},"event_ts":1654503849680,"event":"endpoint.url_validation"}' % TOKEN.encode(),
        signed=True,
    ),
    "twitch": Case(
        echo("body:challenge", where={"body:subscription.status": "webhook_callback_verification_pending"}),
        text_answer("pogchamp-kappa-360noscope-vohiyo"),
        b'{"challenge":"pogchamp-kappa-360noscope-vohiyo","subscription":'
        b'{"id":"f1c2a387","status":"webhook_callback_verification_pending"}}',
        signed=True,
    ),
    "trello": Case(ping(methods=("HEAD",), signed=False), EMPTY, method="HEAD"),
    "intercom": Case(ping(methods=("HEAD",), signed=False), EMPTY, method="HEAD", target="/intercom?a=b"),
    "dropbox": Case(
        echo("query:challenge", methods=("GET",), signed=False),
        text_answer("a+b <c>"),
        **get("challenge=a%2Bb+%3Cc%3E"),
    ),
    "microsoft graph": Case(
        echo("query:validationToken", signed=False),
        text_answer("Validation: Testing client application reachability for subscription Request-Id: 6d7b"),
        target="/?validationToken=Validation%3A+Testing+client+application+reachability+for+subscription+Request-Id"
        "%3A+6d7b",
        headers={"content-type": "text/plain; charset=utf-8"},
    ),
    "azure event grid": Case(
        AZURE,
        json_answer('{"validationResponse": "512d38b6-c7b8-40c8-89fe-f46f9e9622b6"}'),
        json.dumps(EVENT_GRID).encode(),
        target="/?code=a-code",
        headers={"Aeg-Event-Type": "SubscriptionValidation"},
        scheme=QuerySecret("a-code", parameter="code"),
    ),
    "cloudevents": Case(
        cloudevents("eventgrid.azure.net", rate=120),
        (
            200,
            {
                "webhook-allowed-origin": "eventgrid.azure.net",
                "webhook-allowed-rate": "120",
                "allow": "POST",
                "content-length": "0",
            },
            b"",
        ),
        method="OPTIONS",
        headers={
            "WebHook-Request-Origin": "eventgrid.azure.net",
            "WebHook-Request-Rate": "120",
            "WebHook-Request-Callback": "http://127.0.0.1:1/confirm",
        },
    ),
    "azure web pubsub": Case(
        cloudevents("*"),
        (
            200,
            {"webhook-allowed-origin": "*", "webhook-allowed-rate": "*", "allow": "POST", "content-length": "0"},
            b"",
        ),
        method="OPTIONS",
        headers={"WebHook-Request-Origin": "a.webpubsub.azure.com", "ce-awpsversion": "1.0"},
    ),
    "lark": Case(
        LARK,
        json_answer('{"challenge": "ajls384kdjx98XX"}'),
        b'{"challenge": "ajls384kdjx98XX", "token": "a token", "type": "url_verification"}',
    ),
    "monday": Case(
        echo("body:challenge", key="challenge", signed=False),
        json_answer('{"challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"}'),
        b'{"challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"}',
    ),
    "okta": Case(
        echo("header:X-Okta-Verification-Challenge", methods=("GET",), key="verification", signed=False),
        json_answer('{"verification": "z-Vgz"}'),
        method="GET",
        headers={"x-okta-verification-challenge": "z-Vgz"},
    ),
    "figma": Case(
        ping(where={"body:event_type": "PING"}, signed=False), EMPTY, b'{"event_type": "PING", "passcode": "p"}'
    ),
    "viber": Case(
        ping(where={"body:event": "webhook"}),
        EMPTY,
        b'{"event":"webhook","timestamp":1457764197627,"message_token":241256543215}',
        signed=True,
    ),
    "braintree": Case(
        BRAINTREE,
        text_answer(f"a_public_key|{HEX_HMAC}"),
        **get(f"bt_challenge={HEX}"),
    ),
    "woocommerce": Case(
        ping(only=("form:webhook_id",), signed=False),
        EMPTY,
        b"webhook_id=17",
        headers={"content-type": "application/x-www-form-urlencoded"},
    ),
}
cases = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


@cases
async def test_each_challenge_has_its_answer_byte_for_byte(case: Case) -> None:
    noted = receiver(case.challenge, scheme=case.scheme)
    response = await asked(
        noted, case.body, method=case.method, target=case.target, headers=case.headers, signed=case.signed
    )
    assert (response.status, dict(response.headers), response.body) == case.answer
    assert (repr(response), noted.events) == (f"Response(status={response.status})", [])


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.signed])
async def test_a_challenge_that_the_sender_signs_is_rejected_with_another_signature(name: str) -> None:
    case = CASES[name]
    noted = receiver(case.challenge, scheme=case.scheme)
    head = case.scheme.sign(RequestHead.of(case.headers), case.body + b" ", NOW)
    for headers in (head.headers, RequestHead.of(case.headers).headers):
        response = (await noted.hooks.receive(headers, case.body)).response
        assert (response.status, response.headers["content-type"]) == (401, "application/problem+json")


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.body])
@pytest.mark.parametrize(
    "form", [b"%b&command=a", b"command=a&%b", b'{"event": "parcel.lost", "more": %b}', b"[%b]", b"{%b}"]
)
async def test_nothing_gets_past_the_scheme_with_a_challenge_in_it(name: str, form: bytes) -> None:
    case = CASES[name]
    noted = receiver(case.challenge)
    for body in (form.replace(b"%b", case.body), EVENT):
        receipt = await noted.hooks.receive({**case.headers, "x-sig": "0" * 64}, body, target=case.target)
        assert (receipt.response.status, receipt.delivery) == (401, None)
    assert noted.events == []


@cases
async def test_a_delivery_of_the_sender_is_none_of_its_challenges(case: Case) -> None:
    noted = receiver(case.challenge, scheme=SCHEME)
    head = SCHEME.sign(RequestHead.of(case.headers, target=case.target), EVENT, NOW)
    assert (await noted.hooks.receive(head.headers, EVENT, target=head.target)).response.status == 204
    assert len(noted.events) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"ssl_check=1&token=a&command=%2Fweather",
        b"ssl_check=0&token=a",
        b"ssl_check=1&ssl_check=0",
        b"token=a",
        b"ssl_check=%ff",
        b"ssl_check=1&token=" + b"a" * 1_000_000,
        b'{"ssl_check": "1"}',
    ],
    ids=range(7),
)
async def test_a_form_with_more_or_other_fields_is_no_probe_of_slack(body: bytes) -> None:
    assert (await asked(noting(sender=slack(SECRET)), body)).status == 401


async def test_a_signed_command_with_the_field_of_the_probe_is_handled() -> None:
    noted = noting(sender=slack(SECRET))
    body = b"ssl_check=1&token=a&command=%2Fweather&event=command"
    head = SLACK_SCHEME.sign(RequestHead.of({"content-type": "application/x-www-form-urlencoded"}), body, NOW)
    assert (await noted.hooks.receive(head.headers, body)).response.status == 204
    assert len(noted.events) == 1


@pytest.mark.parametrize(
    "body",
    [
        [],
        EVENT_GRID * 2,
        [EVENT_GRID],
        EVENT_GRID[0],
        [{**EVENT_GRID[0], "eventType": "Microsoft.Storage.BlobCreated"}],
        [{**EVENT_GRID[0], "data": "validationCode"}],
    ],
    ids=range(6),
)
async def test_a_batch_with_a_validation_in_it_is_no_challenge(body: object) -> None:
    noted = receiver(AZURE, scheme=Unsigned())
    headers = {"aeg-event-type": "SubscriptionValidation"}
    receipt = await noted.hooks.receive(headers, json.dumps(body).encode())
    assert receipt.delivery is not None


@pytest.mark.parametrize("token", ["", HEX[:19], HEX + "0", HEX.upper(), HEX + "%0A", f"{HEX}&bt_challenge={HEX}"])
async def test_another_token_than_the_sender_makes_is_not_signed(token: str) -> None:
    assert (await asked(receiver(BRAINTREE), **get(f"bt_challenge={token}"))).status == 400


@pytest.mark.parametrize("length", ["16385", "1048576", "9" * 400])
async def test_a_body_that_is_too_long_for_a_challenge_is_not_read(length: str) -> None:
    noted = receiver(CASES["woocommerce"].challenge)
    messages: list[str] = []

    async def receive() -> Any:
        messages.append("asked for")
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        messages.append(message["type"])

    headers = [(b"content-length", length.encode()), (b"expect", b"100-continue")]
    scope = {"type": "http", "method": "POST", "path": "/", "root_path": "", "headers": headers}
    await noted.hooks(scope, receive, send)
    assert messages == ["http.response.start", "http.response.body"]


@pytest.mark.parametrize(
    "make",
    [
        lambda: ping(only=(), signed=False),
        lambda: ping(only="form:a", signed=False),  # type: ignore[arg-type]
        lambda: ping(only=("query:a",), signed=False),
        lambda: ping(only=("form:a", "body:b"), signed=False),
        lambda: ping(only=("body:a.b",), signed=False),
        lambda: token_hmac("query:a", "s", pattern="("),
        lambda: token_hmac("query:a", "s", pattern=7),  # type: ignore[arg-type]
        lambda: token_hmac("query:a", "s", hash="md5"),  # type: ignore[arg-type]
        lambda: token_hmac("query:a", "s", token_key="a"),
    ],
)
def test_a_part_that_cannot_work_is_rejected(make: Any) -> None:
    with pytest.raises(ConfigurationError):
        make()


@cases
async def test_what_a_challenge_makes_of_itself_for_tests_is_answered(case: Case) -> None:
    assert case.challenge.ask is not None
    asked_for = RequestHead.of({}, method=case.challenge.methods[0])
    head, body = case.challenge.ask(asked_for, HEX)
    noted = receiver(case.challenge)
    if case.challenge.scheme is not None:
        if isinstance(case.challenge.scheme, BodySecret):
            body = body.replace(b"{", b'{"token": "a token", ', 1)
        head = case.challenge.scheme.sign(head, body, NOW)
    if case.challenge.signed:
        head = SCHEME.sign(head, body, NOW)
    receipt = await noted.hooks.receive(head.headers, body, method=head.method, target=head.target)
    assert (receipt.response.status, receipt.delivery) == (case.answer[0], None)


ECHOES = [
    *("slack", "meta, whatsapp", "zoom", "twitch", "dropbox", "microsoft graph", "azure event grid", "lark", "monday"),
    *("okta", "braintree"),
]


async def ask_with(case: Case, token: str) -> Response:
    """Return the response to a genuine challenge with another token."""
    assert case.challenge.ask is not None
    head, body = case.challenge.ask(RequestHead.of({}, method=case.challenge.methods[0]), token)
    if isinstance(case.challenge.scheme, BodySecret):
        body = body.replace(b"{", b'{"token": "a token", ', 1)
    elif case.challenge.scheme is not None:
        head = case.challenge.scheme.sign(head, body, NOW)
    head = SCHEME.sign(head, body, NOW) if case.challenge.signed else head
    noted = receiver(case.challenge, max_body=2_000_000)
    response = (await noted.hooks.receive(head.headers, body, method=head.method, target=head.target)).response
    assert noted.events == []
    return response


@pytest.mark.parametrize("name", ECHOES)
@pytest.mark.parametrize(
    "token", ["a" * 4097, "a" * 1_000_000, "a\x00b", "a\r\nset-cookie: b", "\x1b[2J", "a\x85b", ""]
)
async def test_no_answer_has_an_endless_token_or_control_characters(name: str, token: str) -> None:
    response = await ask_with(CASES[name], token)
    assert response.status in ((400, 401) if len(token) < 5000 else (400, 401, 405))
    assert len(response.body) < 1000
    assert not token or token[:3].encode() not in response.body


@pytest.mark.parametrize("name", ECHOES)
@pytest.mark.parametrize("token", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{7*7}}", "';--"])
async def test_markup_is_never_more_than_text(name: str, token: str) -> None:
    response = await ask_with(CASES[name], token)
    if response.status == 200:
        assert response.headers["content-type"] in ("text/plain; charset=utf-8", "application/json")
        assert response.headers["x-content-type-options"] == "nosniff"
    else:  # nobody gets the HMAC of it
        assert name in ("zoom", "braintree")
