"""Each sender of the catalogue takes what its own rule signs. The rules are by hand here, as the senders tell them."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from datetime import UTC, datetime
from subprocess import run
from typing import Any
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.helpers import NOW
from webhook_receiver import (
    BadSignature,
    ConfigurationError,
    MalformedSignature,
    Secret,
    VerificationError,
    WebhookReceiver,
)
from webhook_receiver.delivery import RequestHead
from webhook_receiver.senders.catalogue import atlassian_connect, mollie_classic
from webhook_receiver.senders.catalogue.examples import ED25519_KEY, RSA_KEY
from webhook_receiver.senders.challenges import Challenge, echo
from webhook_receiver.senders.google_pubsub import google_pubsub
from webhook_receiver.senders.lark import lark
from webhook_receiver.senders.registry import presets

URL = "https://example.com/webhooks"
SECRET = "a-secret-for-tests"
BODY = '{"id": 1, "word": "é"}'.encode()
SECONDS, MILLISECONDS, RFC3339 = b"%d" % NOW, b"%d" % (NOW * 1000), b"2025-12-11T06:03:32Z"
HTTP_DATE = b"Thu, 11 Dec 2025 06:03:32 GMT"

Headers = dict[str, bytes]
Rule = Callable[[bytes], Headers]
"""A function of a body that returns the headers that prove it."""


def mac(content: bytes, hash: str = "sha256", key: bytes = SECRET.encode()) -> bytes:
    return hmac.digest(key, content, hash)


def hexed(content: bytes, hash: str = "sha256") -> bytes:
    return mac(content, hash).hex().encode()


def base64(content: bytes, hash: str = "sha256") -> bytes:
    return b64encode(mac(content, hash))


def over_the_body(header: str, encode: Callable[..., bytes] = hexed, prefix: bytes = b"", hash: str = "sha256") -> Rule:
    return lambda body: {header: prefix + encode(body, hash)}


def token(header: str, prefix: str, claim: str, digest: Callable[[bytes], str], **claims: Any) -> Rule:
    def part(document: Mapping[str, Any]) -> bytes:
        return urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=")

    def rule(body: bytes) -> Headers:
        given = {"iat": int(NOW), claim: digest(hashlib.sha256(body).digest()), **claims}
        content = part({"alg": "HS256", "typ": "JWT"}) + b"." + part(given)
        return {header: prefix.encode() + content + b"." + urlsafe_b64encode(mac(content)).rstrip(b"=")}

    return rule


def standard(prefix: str) -> Rule:
    def rule(body: bytes) -> Headers:
        signature = b64encode(mac(b"msg_1.%b.%b" % (SECONDS, body)))
        return {f"{prefix}-id": b"msg_1", f"{prefix}-timestamp": SECONDS, f"{prefix}-signature": b"v1," + signature}

    return rule


def discord(body: bytes) -> Headers:
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(ED25519_KEY)[-32:])
    return {"x-signature-timestamp": SECONDS, "x-signature-ed25519": key.sign(SECONDS + body).hex().upper().encode()}


def twitch(body: bytes) -> Headers:
    time = b"2025-12-11T06:03:32.123456789Z"
    return {
        "twitch-eventsub-message-id": b"e-1",
        "twitch-eventsub-message-timestamp": time,
        "twitch-eventsub-message-signature": b"sha256=" + hexed(b"e-1" + time + body),
    }


RULES: dict[str, Rule] = {
    "agora": over_the_body("agora-signature-v2"),
    "asana": over_the_body("x-hook-signature"),
    "bitbucket": over_the_body("x-hub-signature", prefix=b"sha256="),
    "box": lambda body: {
        "box-signature-primary": base64(body + RFC3339),
        "box-signature-secondary": b64encode(bytes(32)),
        "box-delivery-timestamp": RFC3339,
    },
    "cal-com": over_the_body("x-cal-signature-256"),
    "calendly": lambda body: {"calendly-webhook-signature": b"t=%b,v1=%b" % (SECONDS, hexed(SECONDS + b"." + body))},
    "clerk": standard("svix"),
    "clickup": over_the_body("x-signature"),
    "discord": discord,
    "discord-interactions": discord,
    "docusign": lambda body: {"x-docusign-signature-1": base64(body), "x-docusign-signature-2": b64encode(bytes(32))},
    "dropbox": over_the_body("x-dropbox-signature"),
    "elevenlabs": lambda body: {"elevenlabs-signature": b"t=%b,v0=%b" % (SECONDS, hexed(SECONDS + b"." + body))},
    "forgejo": over_the_body("x-forgejo-signature"),
    "gitea": over_the_body("x-gitea-signature"),
    "github": over_the_body("x-hub-signature-256", prefix=b"sha256="),
    "hubspot": lambda body: {
        "x-hubspot-request-timestamp": MILLISECONDS,
        "x-hubspot-signature-v3": base64(b"POST" + URL.encode() + body + MILLISECONDS),
    },
    "intercom": over_the_body("x-hub-signature", prefix=b"sha1=", hash="sha1"),
    "jira": over_the_body("x-hub-signature", prefix=b"sha256="),
    "klarna": over_the_body("klarna-signature", base64),
    "klaviyo": lambda body: {"klaviyo-timestamp": HTTP_DATE, "klaviyo-signature": hexed(body + HTTP_DATE)},
    "knock": lambda body: {"x-knock-signature": b"t=%b,s=%b" % (MILLISECONDS, base64(MILLISECONDS + b"." + body))},
    "kontent-ai": over_the_body("x-kontent-ai-signature", base64),
    "lark": lambda body: {
        "x-lark-request-timestamp": SECONDS,
        "x-lark-request-nonce": b"n-1",
        "x-lark-signature": hashlib.sha256(SECONDS + b"n-1" + SECRET.encode() + body).hexdigest().encode(),
    },
    "line": over_the_body("x-line-signature", base64),
    "linear": over_the_body("linear-signature"),
    "liveblocks": standard("webhook"),
    "livekit": token("authorization", "", "sha256", lambda digest: b64encode(digest).decode(), exp=int(NOW) + 300),
    "lob": lambda body: {
        "lob-signature-timestamp": MILLISECONDS,
        "lob-signature": hexed(MILLISECONDS + b"." + body),
    },
    "meta": over_the_body("x-hub-signature-256", prefix=b"sha256="),
    "netlify": token("x-webhook-signature", "", "sha256", bytes.hex, iss="netlify"),
    "notion": over_the_body("x-notion-signature", prefix=b"sha256="),
    "openai": standard("webhook"),
    "pagerduty": lambda body: {"x-pagerduty-signature": b"v1=%b,v1=%b" % (b"0" * 64, hexed(body))},
    "qstash": token(
        "upstash-signature",
        "",
        "body",
        lambda digest: urlsafe_b64encode(digest).decode(),
        iss="Upstash",
        sub=URL,
        nbf=int(NOW),
        exp=int(NOW) + 300,
    ),
    "replicate": standard("webhook"),
    "sanity": lambda body: {
        "sanity-webhook-signature": b"t=%b,v1=%b"
        % (MILLISECONDS, urlsafe_b64encode(mac(MILLISECONDS + b"." + body)).rstrip(b"="))
    },
    "seam": standard("svix"),
    "sentry": over_the_body("sentry-hook-signature"),
    "shopify-events": over_the_body("shopify-hmac-sha256", base64),
    "slack": lambda body: {
        "x-slack-request-timestamp": SECONDS,
        "x-slack-signature": b"v0=" + hexed(b"v0:" + SECONDS + b":" + body),
    },
    "stream": over_the_body("x-signature"),
    "trello": lambda body: {"x-trello-webhook": base64(body + URL.encode(), "sha1")},
    "trigger-dev": over_the_body("x-trigger-signature-hmacsha256"),
    "twilio": lambda body: {
        "x-twilio-signature": base64(f"{URL}?bodySHA256={hashlib.sha256(body).hexdigest()}".encode(), "sha1")
    },
    "twitch": twitch,
    "typeform": over_the_body("typeform-signature", base64, b"sha256="),
    "vercel": over_the_body("x-vercel-signature", hash="sha1"),
    "viber": over_the_body("x-viber-content-signature"),
    "vonage": token("authorization", "Bearer ", "payload_hash", bytes.hex, jti="j-1"),
    "webex": over_the_body("x-spark-signature", hash="sha1"),
    "workos": lambda body: {"workos-signature": b"t=%b, v1=%b" % (MILLISECONDS, hexed(MILLISECONDS + b"." + body))},
    "zendesk": lambda body: {
        "x-zendesk-webhook-signature-timestamp": RFC3339,
        "x-zendesk-webhook-signature": base64(RFC3339 + body),
    },
    "zoom": lambda body: {
        "x-zm-request-timestamp": SECONDS,
        "x-zm-signature": b"v0=" + hexed(b"v0:" + SECONDS + b":" + body),
    },
}
"""The rules of senders that sign the body with a secret, or by a key."""


def head_of(headers: Headers, **parts: Any) -> RequestHead:
    given = [(name.encode(), value) for name, value in headers.items()]
    return RequestHead.of({}, url=URL, **parts)._replace(headers=given)


def whsec(name: str) -> str:
    """Return the secret of a sender whose key is `SECRET`."""
    example = presets()[name].example
    return "whsec_" + b64encode(SECRET.encode()).decode() if example.startswith("whsec_") else example


@pytest.mark.parametrize("name", RULES)
def test_what_the_sender_signs_by_its_own_rule_is_taken_and_no_other_body(name: str) -> None:
    scheme = presets()[name].make(whsec(name))
    check = scheme.verify(head_of(RULES[name](BODY)), NOW)
    assert check(BODY).body
    for body in (BODY + b"\n", BODY[:-1], b"", BODY.replace(b"1", b"2")):
        with pytest.raises(VerificationError):
            check(body)


def test_the_token_of_monday_is_for_the_url_and_that_of_qstash_too() -> None:
    for name, claim in (("monday", "aud"), ("qstash", "sub")):
        scheme = presets()[name].make(SECRET)
        header = "authorization" if name == "monday" else "upstash-signature"
        for url in (URL, URL + "/"):
            given = {"iss": "Upstash", "nbf": int(NOW), "exp": int(NOW) + 300} | {claim: url}
            rule = token(header, "", "body", lambda digest: urlsafe_b64encode(digest).decode(), **given)
            if url == URL:
                assert scheme.verify(head_of(rule(BODY)), NOW)(BODY).by == 0
            else:
                with pytest.raises(VerificationError):
                    scheme.verify(head_of(rule(BODY)), NOW)


@pytest.mark.parametrize(
    ("target", "canonical"),
    [
        ("/hook/?a=1", "POST&/hook&a=1"),
        ("/", "POST&/&"),
        ("/hook?b=2&a=x%20y&a=c&jwt=t&d", "POST&/hook&a=c,x%20y&b=2&d="),
        ("/a&b?q=%2A(%29~+", "POST&/a%26b&q=%2A%28%29~%20"),
    ],
)
def test_the_token_of_atlassian_connect_states_the_request(target: str, canonical: str) -> None:
    scheme = presets()["atlassian-connect"].make(SECRET)
    stated = hashlib.sha256(canonical.encode()).hexdigest()
    headers = token("authorization", "JWT ", "unused", bytes.hex, iss="tenant", qsh=stated, exp=int(NOW) + 60)(BODY)
    assert not scheme.verify(head_of(headers, target=target), NOW)(BODY).body
    for other in ({"target": target + "x"}, {"target": target, "method": "PUT"}):
        with pytest.raises(VerificationError, match="another qsh"):
            scheme.verify(head_of(headers, **other), NOW)


@pytest.mark.parametrize(
    ("base_path", "target", "canonical"),
    [
        ("/jira", "/jira/hook?a=1", "POST&/hook&a=1"),
        ("/jira/", "/jira/hook", "POST&/hook&"),
        ("/jira", "/jira", "POST&/&"),
        ("/jira", "/jirahook", "POST&/jirahook&"),
        ("/jira", "/hook", "POST&/hook&"),
        ("", "/jira/hook", "POST&/jira/hook&"),
        ("/", "/hook", "POST&/hook&"),
    ],
)
def test_the_token_of_atlassian_connect_leaves_out_the_path_of_the_base_url(
    base_path: str, target: str, canonical: str
) -> None:
    scheme = atlassian_connect(SECRET, base_path=base_path).scheme
    stated = hashlib.sha256(canonical.encode()).hexdigest()
    headers = token("authorization", "JWT ", "unused", bytes.hex, qsh=stated, exp=int(NOW) + 60)(BODY)
    assert scheme.verify(head_of(headers, target=target), NOW)(BODY).by == 0
    assert scheme.verify(scheme.sign(head_of({}, target=target), BODY, NOW), NOW)(BODY).by == 0
    with pytest.raises(VerificationError, match="another qsh"):
        scheme.verify(head_of(headers, target="/other" + target), NOW)


@pytest.mark.parametrize("base_path", ["https://example.com/jira", "jira", None, "/\u00e9"])
def test_a_base_path_of_atlassian_connect_is_a_path(base_path: Any) -> None:
    with pytest.raises(ConfigurationError, match="base_path is the path of the baseUrl"):
        atlassian_connect(SECRET, base_path=base_path)


def test_pub_sub_takes_the_tokens_of_one_service_account() -> None:
    with pytest.raises(ConfigurationError, match="email="):
        google_pubsub()
    assert google_pubsub(email="push@example.com").scheme.secret_count == 1
    ours = google_pubsub(RSA_KEY, email="push@example.com").scheme
    theirs = google_pubsub(RSA_KEY, email="push@evil.example.com").scheme
    head = head_of({})
    assert ours.verify(ours.sign(head, BODY, NOW), NOW)(BODY).by == 0
    with pytest.raises(VerificationError, match="another email"):
        ours.verify(theirs.sign(head, BODY, NOW), NOW)
    with pytest.raises(VerificationError, match="another aud"):
        ours.verify(ours.sign(head._replace(url=URL + "/"), BODY, NOW)._replace(url=URL), NOW)


def test_monday_gets_its_challenge_back() -> None:
    (asked,) = challenges("monday")
    assert answered(asked, b'{"challenge": "c-1"}') == (200, b'{"challenge": "c-1"}')
    assert asked.answer(head_of({}), b'{"challenge": "c-1", "event": {"type": "create_item"}}', NOW) is None


def test_box_signs_a_body_in_ascii_too() -> None:
    escaped = rb'{"id": 1, "word": "\u00e9"}'
    assert presets()["box"].make(SECRET).verify(head_of(RULES["box"](escaped)), NOW)(BODY).body


def test_inngest_signs_json_in_its_canonical_form() -> None:
    canonical = BODY.replace(b" ", b"")
    headers = {"x-inngest-signature": b"t=%b&s=%b" % (SECONDS, hexed(canonical + SECONDS))}
    for key in (f"signkey-prod-{SECRET}", f"signkey-branch-{SECRET}", SECRET):
        check = presets()["inngest"].make(key).verify(head_of(headers), NOW)
        assert check(BODY).body
        assert check(canonical).fresh
        for body in (BODY.replace(b"1", b"2"), b"", b"{}", b"not JSON"):
            with pytest.raises(VerificationError):
                check(body)


def test_inngest_rounds_a_number_that_is_beyond_a_double_so_that_only_a_text_is_proven() -> None:
    scheme = presets()["inngest"].make(SECRET)
    for body, canonical, is_taken in (
        (b'{"id":"820982911946154508"}', b'{"id":"820982911946154508"}', True),
        (b'{"id":820982911946154508}', b'{"id":820982911946154500}', False),
    ):
        head = head_of({"x-inngest-signature": b"t=%b&s=%b" % (SECONDS, hexed(canonical + SECONDS))})
        with nullcontext() if is_taken else pytest.raises(MalformedSignature, match="canonical"):
            assert scheme.verify(head, NOW)(body).body


def test_twilio_signs_the_fields_of_a_form_in_their_order() -> None:
    scheme = presets()["twilio"].make(SECRET)
    content = URL.encode() + b"Bodyhi thereFrom+15Tags1"
    check = scheme.verify(head_of({"x-twilio-signature": base64(content, "sha1")}), NOW)
    assert not check(b"Tags=1&From=%2B15&Body=hi+there").body
    with pytest.raises(VerificationError):
        check(b"Tags=1&From=%2B15&Body=hi+you")


@pytest.mark.parametrize("url", [URL, URL + "?a=1"])
def test_a_signed_json_of_twilio_is_no_form_that_reads_like_it(url: str) -> None:
    named = f"{'&' if '?' in url else '?'}bodySHA256={hashlib.sha256(BODY).hexdigest()}"
    head = head_of({"x-twilio-signature": base64(f"{url}{named}".encode(), "sha1")})._replace(url=url)
    verify = presets()["twilio"].make(SECRET).verify
    assert verify(head, NOW)(BODY).body
    name, _, value = named.partition("=")
    for form in (quote(named, safe="") + "=", f"{quote(name, safe='')}={quote('=' + value, safe='')}"):
        with pytest.raises(BadSignature, match="another kind of body"):
            verify(head, NOW)(form.encode())


def test_twilio_names_the_hash_behind_a_query_of_the_users_own() -> None:
    url = URL + "?a=1"
    content = f"{url}&bodySHA256={hashlib.sha256(BODY).hexdigest()}".encode()
    head = head_of({"x-twilio-signature": base64(content, "sha1")})._replace(url=url)
    assert presets()["twilio"].make(SECRET).verify(head, NOW)(BODY).body


@pytest.mark.parametrize(
    ("name", "headers"),
    [
        ("gitlab", {"x-gitlab-token": SECRET.encode()}),
        ("telegram", {"x-telegram-bot-api-secret-token": SECRET.encode()}),
        ("okta", {"authorization": SECRET.encode()}),
        ("auth0", {"authorization": SECRET.encode()}),
        ("postmark", {"authorization": b"Basic " + b64encode(b"postmark:" + SECRET.encode())}),
        ("azure-devops", {"authorization": b"Basic " + b64encode(b"webhooks:" + SECRET.encode())}),
    ],
)
def test_a_sender_that_signs_nothing_is_told_by_its_secret(name: str, headers: Headers) -> None:
    scheme = presets()[name].make(SECRET)
    assert not scheme.verify(head_of(headers), NOW)(BODY).body
    for header, value in headers.items():
        for wrong in ({}, {header: value + b"x"}, {header: value[:-1]}):
            with pytest.raises(VerificationError):
                scheme.verify(head_of(wrong), NOW)


def test_lob_and_klarna_may_write_in_another_way() -> None:
    lob = {"lob-signature-timestamp": SECONDS, "lob-signature": hexed(SECONDS + b"." + BODY)}
    assert presets()["lob"].make(SECRET).verify(head_of(lob), NOW)(BODY).fresh
    assert presets()["klarna"].make(SECRET).verify(head_of({"klarna-signature": hexed(BODY)}), NOW)(BODY).body


@pytest.mark.parametrize(
    ("name", "parameter"),
    [("keap", "token"), ("apify", "token"), ("mollie-classic", "token"), ("azure-web-pubsub", "code")],
)
def test_a_sender_that_signs_nothing_has_its_secret_in_the_url(name: str, parameter: str) -> None:
    scheme = presets()[name].make(SECRET)
    assert scheme.verify(head_of({}, target=f"/in?{parameter}={SECRET}"), NOW)(BODY).by == 0
    for target in ("/in", f"/in?{parameter}={SECRET}x", f"/in?{parameter}=", f"/in?other={SECRET}"):
        with pytest.raises(VerificationError):
            scheme.verify(head_of({}, target=target), NOW)


async def test_each_change_of_a_payment_of_mollie_classic_is_an_event_of_its_own() -> None:
    url = f"/in?token={SECRET}"
    async with WebhookReceiver(sender=mollie_classic(SECRET), inbox="memory:", work=False) as hooks:
        receipts = [await hooks.receive({}, b"id=tr_7", target=url) for _ in range(2)]
    assert [(receipt.response.status, receipt.duplicate_of) for receipt in receipts] == [(200, None)] * 2
    assert [receipt.event.event for receipt in receipts if receipt.event is not None] == ["changed", "changed"]


def test_cloudevents_bear_a_token_in_a_header_or_the_query() -> None:
    scheme = presets()["cloudevents"].make(SECRET)
    right = [head_of({"authorization": b"Bearer " + SECRET.encode()}), head_of({}, target=f"/in?access_token={SECRET}")]
    wrong = [head_of({}), head_of({"authorization": SECRET.encode()}), head_of({}, target="/in?access_token=another")]
    assert [scheme.verify(head, NOW)(BODY).body for head in right] == [False, False]
    for head in wrong:
        with pytest.raises(VerificationError):
            scheme.verify(head, NOW)


def test_each_notification_of_microsoft_graph_has_the_secret() -> None:
    check = presets()["microsoft-graph"].make(SECRET).verify(head_of({}), NOW)
    assert check(json.dumps({"value": [{"clientState": SECRET}, {"clientState": SECRET}]}).encode()).by == 0
    for states in ([SECRET, "x"], ["x", SECRET], [SECRET, None], []):
        with pytest.raises(VerificationError):
            check(json.dumps({"value": [{"clientState": state} for state in states]}).encode())


def test_the_secret_of_figma_is_its_passcode_and_that_of_event_grid_is_in_the_url() -> None:
    figma = presets()["figma"].make(SECRET).verify(head_of({}), NOW)
    assert figma(b'{"event_type": "PING", "passcode": "a-secret-for-tests"}').by == 0
    with pytest.raises(VerificationError):
        figma(b'{"event_type": "PING", "passcode": "another"}')
    grid = presets()["azure-event-grid"].make("a secret & more")
    assert grid.verify(head_of({}, target="/in?code=" + quote("a secret & more", "")), NOW)(b"[]").by == 0
    with pytest.raises(VerificationError):
        grid.verify(head_of({}, target="/in?code=another"), NOW)


# challenges


def answered(
    challenge: Challenge, body: bytes = b"", headers: Headers | None = None, **parts: Any
) -> tuple[int, bytes]:
    response = challenge.answer(head_of(headers or {}, **parts), body, NOW)
    assert response is not None
    return response.status, response.body


def challenges(name: str, **options: Any) -> tuple[Challenge, ...]:
    return presets()[name].sender(whsec(name), **options).challenges


def test_zoom_gets_its_token_back_with_an_hmac_of_it() -> None:
    (asked,) = challenges("zoom")
    body = b'{"event": "endpoint.url_validation", "payload": {"plainToken": "qgg8vlvZRS6UYooatFL8Aw"}}'
    status, text = answered(asked, body)
    assert (status, asked.signed) == (200, True)
    assert json.loads(text) == {
        "plainToken": "qgg8vlvZRS6UYooatFL8Aw",
        "encryptedToken": hexed(b"qgg8vlvZRS6UYooatFL8Aw").decode(),
    }


def test_twitch_gets_its_challenge_back_as_text() -> None:
    (asked,) = challenges("twitch")
    pending = b'{"challenge": "pogchamp", "subscription": {"status": "webhook_callback_verification_pending"}}'
    assert answered(asked, pending) == (200, b"pogchamp")
    assert asked.signed
    assert asked.answer(head_of({}), b'{"challenge": "a", "subscription": {"status": "enabled"}}', NOW) is None


def test_meta_gets_its_challenge_back_if_it_knows_the_token() -> None:
    assert challenges("meta") == ()
    (asked,) = challenges("meta", verify_token="ours")
    target = "/in?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token="
    assert answered(asked, method="GET", target=target + "ours") == (200, b"1158201444")
    assert asked.scheme is not None
    assert asked.scheme.verify(head_of({}, method="GET", target=target + "ours"), NOW)(b"").by == 0
    with pytest.raises(VerificationError):
        asked.scheme.verify(head_of({}, method="GET", target=target + "theirs"), NOW)


def test_discord_is_answered_a_ping_and_no_event() -> None:
    (asked,) = challenges("discord")
    assert asked.signed
    assert answered(asked, b'{"version": 1, "application_id": "1", "type": 0}') == (204, b"")
    assert asked.answer(head_of({}), b'{"version": 1, "type": 1, "event": {"type": "QUEST"}}', NOW) is None


def test_discord_interactions_are_answered_their_ping() -> None:
    (asked,) = challenges("discord-interactions")
    assert asked.signed
    assert answered(asked, b'{"type": 1, "version": 1}') == (200, b'{"type": 1}')
    assert asked.answer(head_of({}), b'{"type": 2, "data": {"name": "weather", "type": 1}}', NOW) is None


def openssl(text: str, key: bytes = hashlib.sha256(SECRET.encode()).digest()) -> bytes:
    """Return a body as Lark sends it, by another implementation of AES."""
    command = ["openssl", "enc", "-aes-256-cbc", "-K", key.hex(), "-iv", "00" * 16]
    data = run(command, input=text.encode(), capture_output=True, check=True, timeout=60).stdout
    return json.dumps({"encrypt": b64encode(bytes(16) + data).decode()}).encode()


def test_lark_is_answered_its_challenge_if_it_has_the_key() -> None:
    (asked,) = challenges("lark")
    told = {"type": "url_verification", "challenge": "c-1", "token": "t"}
    assert answered(asked, openssl(json.dumps(told))) == (200, b'{"challenge": "c-1"}')
    for body in (
        json.dumps(told).encode(),
        openssl(json.dumps(told), bytes(32)),
        openssl(json.dumps(told | {"type": "event_callback"})),
        openssl(json.dumps(told | {"challenge": "x" * 5000})),
        openssl(json.dumps(told | {"challenge": 7})),
        openssl("[]"),
        openssl("no JSON"),
        b'{"encrypt": "AAAA"}',
        b'{"encrypt": "' + b"A" * 32 + b'"}',
        b'{"encrypt": 7}',
        b'["encrypt"]',
        b"encrypt",
    ):
        assert asked.answer(head_of({}), body, NOW) is None


def test_lark_says_which_extra_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webhook_receiver.senders.lark.find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match="ed25519"):
        lark(SECRET)


def test_a_body_of_lark_is_read_with_any_of_the_keys() -> None:
    sender = lark([SECRET, Secret("an older one", until=datetime.fromtimestamp(NOW, UTC))])
    assert sender.decode is not None
    document = '{"header": {"event_type": "im.message.receive_v1"}, "word": "é"}'
    older = hashlib.sha256(b"an older one").digest()
    assert sender.decode(openssl(document)) == sender.decode(openssl(document, older)) == document.encode()
    assert sender.decode(document.encode()) == document.encode()
    other = openssl(document, bytes(32))
    assert sender.decode(other) == other


@pytest.mark.parametrize("name", ["trello", "intercom"])
def test_a_probe_by_head_is_answered(name: str) -> None:
    (asked,) = challenges(name)
    assert (asked.methods, answered(asked, method="HEAD")) == (("HEAD",), (200, b""))


def test_values_of_the_query_and_of_a_header_come_back() -> None:
    (dropbox,), (okta,), (graph,) = challenges("dropbox"), challenges("okta"), challenges("microsoft-graph")
    assert answered(dropbox, method="GET", target="/in?challenge=a%20b") == (200, b"a b")
    header = {"x-okta-verification-challenge": b"c-1"}
    assert answered(okta, headers=header, method="GET") == (200, b'{"verification": "c-1"}')
    assert answered(graph, target="/in?validationToken=Validation%3A+it%27s") == (200, b"Validation: it's")


def test_keap_gets_its_header_back() -> None:
    (asked,) = challenges("keap")
    response = asked.answer(head_of({"x-hook-secret": b"s-1"}), b"", NOW)
    assert response is not None
    assert (response.status, response.headers["x-hook-secret"], response.body) == (200, "s-1", b"")
    delivery = b'{"event_key": "contact.add"}'
    assert asked.answer(head_of({"x-hook-secret": b"s-1"}), delivery, NOW) is None
    assert asked.answer(head_of({"x-hook-secret": b"two words"}), b"", NOW) is None
    with pytest.raises(ConfigurationError, match="in a header or by JSON"):
        echo("header:x-a", header="x-a", key="a")


def test_event_grid_gets_its_code_back() -> None:
    (asked,) = challenges("azure-event-grid")
    body = b'[{"id": "1", "data": {"validationCode": "7"}}]'
    headers = {"aeg-event-type": b"SubscriptionValidation"}
    assert answered(asked, body, headers) == (200, b'{"validationResponse": "7"}')
    assert asked.signed


def test_viber_is_answered_200_when_it_is_registered() -> None:
    (asked,) = challenges("viber")
    assert answered(asked, b'{"event": "webhook", "timestamp": 1}') == (200, b"")
    assert asked.answer(head_of({}), b'{"event": "message", "message": {"text": "webhook"}}', NOW) is None
