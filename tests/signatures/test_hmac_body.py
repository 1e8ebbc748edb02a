"""What is particular to HMACBody; the rest is in the suite and beside the senders' libraries."""

from __future__ import annotations

import hmac
from typing import Any

import pytest

from tests.helpers import came
from webhook_receiver import ConfigurationError, HMACBody, MalformedSignature, MissingSignature, StaleSignature
from webhook_receiver.delivery import RequestHead
from webhook_receiver.senders import github as github_sender
from webhook_receiver.senders import slack as slack_sender
from webhook_receiver.senders import stripe

NOW = 1_531_420_618.0


def test_the_examples_that_github_and_slack_publish() -> None:
    github = github_sender.signature("It's a Secret to Everybody")
    signature = b"sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    headers = [(b"x-hub-signature-256", signature), (b"x-github-delivery", b"7")]
    assert github.verify(came(headers), NOW)(b"Hello, World!").by == 0

    slack = slack_sender.signature("8f742231b10e8888abcd99yyyzzz85a5")
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&"
        b"channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&"
        b"response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&"
        b"trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    headers = [
        (b"x-slack-request-timestamp", b"1531420618"),
        (b"x-slack-signature", b"v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"),
    ]
    assert slack.verify(came(headers), NOW)(body).body


def test_an_id_that_is_not_signed_is_a_part_of_the_sender() -> None:
    with pytest.raises(ConfigurationError, match=r"an id that is not signed proves nothing: .*Sender\(delivery_id="):
        HMACBody("a", signature="x-sig", id="x-id")


def test_an_id_that_is_signed_is_the_senders() -> None:
    scheme = HMACBody("a", signature="x-sig", id="x-id", signed="{id}.{body}")
    assert scheme.verify(came(scheme.sign(RequestHead.of({"x-id": "7"}), b"{}", NOW).headers), NOW)(b"{}").id == "7"


def test_an_id_cannot_take_over_a_part_of_the_body() -> None:
    scheme = HMACBody("a", signature="x-sig", id="x-id", signed="{id}.{body}")
    signature = hmac.digest(b"a", b"7.8.{}", "sha256").hex().encode()
    assert scheme.verify(came([(b"x-id", b"7"), (b"x-sig", signature)]), NOW)(b"8.{}").id == "7"
    with pytest.raises(MalformedSignature, match=r"the separator that stands behind \{id\}"):
        scheme.verify(came([(b"x-id", b"7.8"), (b"x-sig", signature)]), NOW)
    with pytest.raises(ConfigurationError, match=r"cannot sign: .* separator"):
        scheme.sign(RequestHead.of({"x-id": "7.8"}), b"{}", NOW)


@pytest.mark.parametrize(
    ("scheme", "header"),
    [
        (HMACBody("a", signature="x-sig", id="x-id", signed="{id}.{body}"), b"x-id"),
        (HMACBody("a", signature="x-sig:v1", id="x-sig:id", signed="{id}.{body}"), b"x-sig"),
    ],
)
def test_signing_makes_an_id_unless_there_is_one(scheme: HMACBody, header: bytes) -> None:
    first, second = (
        scheme.sign(RequestHead.of({}), b"{}", NOW).headers,
        scheme.sign(RequestHead.of({}), b"{}", NOW).headers,
    )
    assert dict(first)[header] != dict(second)[header]
    ids = [scheme.verify(came(headers), NOW)(b"{}").id for headers in (first, second)]
    assert None not in ids
    assert ids[0] != ids[1]


def test_of_several_signatures_any_may_be_right_up_to_sixteen() -> None:
    scheme = stripe.signature("a")
    ((name, value),) = scheme.sign(RequestHead.of({}), b"{}", NOW).headers
    for more in (b",v1=abcd", b",v0=old", b",v1=,x=,", b", v2=1", b",v1=ab" * 15):
        assert scheme.verify(came([(name, value + more)]), NOW)(b"{}").by == 0
    with pytest.raises(MalformedSignature, match="v1 in stripe-signature"):
        scheme.verify(came([(name, value + b",v1=ab" * 16)]), NOW)


def test_the_tolerance_is_settable() -> None:
    scheme = slack_sender.signature("a", tolerance=10)
    check = scheme.verify(came(scheme.sign(RequestHead.of({}), b"{}", NOW).headers), NOW + 11)
    with pytest.raises(StaleSignature, match="signed 11 s ago, by our clock; allowed are 10 s either way"):
        check(b"{}")
    patient = stripe.signature("a", tolerance=86_400)
    assert patient.verify(came(patient.sign(RequestHead.of({}), b"", NOW).headers), NOW + 86_400)(b"").by == 0


def test_a_header_that_is_missing_or_repeated_is_named() -> None:
    with pytest.raises(MissingSignature, match="no header x-hub-signature-256"):
        github_sender.signature("a").verify(came([(b"x-other", b"1")]), NOW)
    scheme = HMACBody("a", signature="x-sig", id="x-id", signed="{id}.{body}")
    headers = [*scheme.sign(RequestHead.of({"x-id": "7"}), b"", NOW).headers]
    with pytest.raises(MissingSignature, match="no header x-id"):
        scheme.verify(came(headers[1:]), NOW)
    with pytest.raises(MalformedSignature, match="x-id is there more than once"):
        scheme.verify(came([*headers, headers[0]]), NOW)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"signature": ""}, "a place is"),
        ({"signature": "x-sig:"}, "a place is"),
        ({"signature": ":v1"}, "a place is"),
        ({"signature": "x-sïg"}, "a place is"),
        ({"signature": 7}, "a place is"),
        ({"hash": "md5"}, "hash is one of"),
        ({"encoding": "utf-8"}, "encoding is"),
        ({"tolerance": -1}, "tolerance"),
        ({"signed": "{timestamp}"}, r"needs \{body\} exactly once"),
        ({"signed": "{body}{body}"}, r"needs \{body\} exactly once"),
        ({"signed": "{body"}, "cannot be read"),
        ({"signed": "{body}{uri}"}, "not 'uri'"),
        ({"signed": "{body}{}"}, "not ''"),
        ({"signed": "{body!r}"}, "has a field with a format"),
        ({"signed": "{timestamp}.{body}"}, "name its header"),
        ({"signed": "{id}.{body}"}, "name its header"),
        ({"timestamp": "x-time"}, "proves nothing"),
        ({"signed": "{timestamp}.{body}", "timestamp": "X-Sig"}, "places of their own"),
        ({"id": "x-sig"}, "places of their own"),
        ({"signed": "{timestamp}.{body}", "timestamp": "x-a", "id": "x-a"}, "places of their own"),
        ({"signed": "{id}{body}", "id": "x-id"}, r"needs a separator behind \{id\}"),
    ],
)
def test_options_that_cannot_work_are_rejected_at_once(options: dict[str, Any], complaint: str) -> None:
    options.setdefault("signature", "x-sig")
    with pytest.raises(ConfigurationError, match=complaint):
        HMACBody("a", **options)
