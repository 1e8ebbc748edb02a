from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.helpers import NOW, SECRET, came, order, signed
from webhook_receiver import (
    BadSignature,
    BodyMismatch,
    ConfigurationError,
    MalformedSignature,
    MissingSignature,
    StaleSignature,
    UP42Signature,
    VerificationError,
)
from webhook_receiver.delivery import RequestHead
from webhook_receiver.senders.up42.signature import _mac
from webhook_receiver.signatures import Verified

VECTORS = json.loads(Path(__file__).parents[2].joinpath("vectors", "up42.json").read_text(encoding="utf-8"))
BODY = order()


def raw(vector: dict[str, Any]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in vector["headers"]]


def outcome(scheme: UP42Signature, headers: Any, body: bytes, now: float) -> str:
    try:
        scheme.verify(RequestHead.of(headers), now)(body)
    except VerificationError as error:
        return type(error).__name__
    return "ok"


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_every_vector_ends_as_it_says(vector: dict[str, Any]) -> None:
    scheme = UP42Signature(vector["secrets"], **vector["options"])
    body = b64decode(vector["body_b64"])
    assert outcome(scheme, raw(vector), body, vector["now"]) == vector["expect"]
    assert outcome(scheme, [tuple(pair) for pair in vector["headers"]], body, vector["now"]) == vector["expect"]


def test_there_are_as_many_vectors_as_were_given() -> None:
    assert len(VECTORS) == 68
    assert {vector["expect"] for vector in VECTORS} == {
        "ok",
        "MissingSignature",
        "MalformedSignature",
        "BadSignature",
        "StaleSignature",
        "BodyMismatch",
    }


def test_signing_gives_the_signature_of_the_vector() -> None:
    vector = VECTORS[0]
    given = {"content-type": "application/json", "date": "Wed, 18 Feb 2026 15:12:18 GMT"}
    made = dict(
        UP42Signature(vector["secrets"])
        .sign(RequestHead.of(given), b64decode(vector["body_b64"]), 1765433007.9)
        .headers
    )
    assert {name: made[name] for name in (b"digest", b"signature-input", b"signature")} == {
        name: value for name, value in raw(vector) if name in (b"digest", b"signature-input", b"signature")
    }


def test_the_first_secret_signs_and_any_verifies_telling_which() -> None:
    headers = signed(BODY, scheme=UP42Signature(["new", "old"]))
    assert UP42Signature("new").verify(RequestHead.of(headers), NOW)(BODY) == Verified(0, body=True, signed_at=NOW)
    assert UP42Signature(["other", "third", "new"]).verify(RequestHead.of(headers), NOW)(BODY).by == 2
    assert outcome(UP42Signature("old"), headers, BODY, NOW) == "BadSignature"


def test_headers_alone_are_verified_before_there_is_a_body() -> None:
    check = UP42Signature(SECRET).verify(came(signed(BODY)), NOW)
    assert check(BODY).body
    with pytest.raises(BodyMismatch):
        check(BODY + b" ")


@pytest.mark.parametrize("digest_header", ["content-digest", "x-body-digest"])
def test_signs_and_verifies_another_digest_header(digest_header: str) -> None:
    scheme = UP42Signature(SECRET, digest_header=digest_header, components=["content-type", digest_header])
    headers = signed(BODY, scheme=scheme)
    assert digest_header.encode() in dict(headers)
    assert scheme.verify(RequestHead.of(headers), NOW)(BODY).body


def test_a_digest_in_a_header_it_does_not_know_is_rejected_and_the_reason_names_the_options() -> None:
    scheme = UP42Signature(SECRET, digest_header="x-body-digest", components=["content-type", "x-body-digest"])
    with pytest.raises(BodyMismatch, match=r"digest_header=.*body_binding=\"optional\".*components="):
        UP42Signature(SECRET).verify(RequestHead.of(signed(BODY, scheme=scheme)), NOW)(BODY)


def test_without_body_binding_the_body_is_said_to_be_unverified() -> None:
    scheme = UP42Signature(SECRET, body_binding="optional", components=["content-type"])
    headers = signed(BODY, scheme=scheme)
    assert not scheme.verify(RequestHead.of(headers), NOW)(BODY).body
    assert not scheme.verify(RequestHead.of(headers), NOW)(b"anything else").body


def test_body_binding_that_is_optional_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    scheme = UP42Signature(SECRET, body_binding="optional")
    scheme.verify(RequestHead.of(signed(BODY)), NOW)(BODY)
    (record,) = caplog.records
    assert "can put another body under it" in record.getMessage()


def test_max_age_and_max_ahead_are_settable() -> None:
    scheme = UP42Signature(SECRET, max_age=10, max_ahead=0)
    headers = signed(BODY)
    assert [outcome(scheme, headers, BODY, NOW + seconds) for seconds in (-1, 0, 9, 10)] == [
        "StaleSignature",
        "ok",
        "ok",
        "StaleSignature",
    ]


def test_the_reason_says_how_old_a_stale_signature_is() -> None:
    with pytest.raises(StaleSignature, match="signed 3600 s ago, by our clock; allowed are 300 s ago to 60 s ahead"):
        UP42Signature(SECRET).verify(RequestHead.of(signed(BODY)), NOW + 3600)(BODY)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("signature", "", MalformedSignature),
        ("signature", "=", MalformedSignature),
        ("signature", "up42-sig=:", MalformedSignature),
        ("signature", "up42-sig=::", MalformedSignature),
        ("signature", "up42-sig=AAAA,up42-sig=AAAA", MalformedSignature),
        ("signature", "up42-sig=  AAAA", MalformedSignature),
        ("signature", "up42-sig=AAAA", BadSignature),
        ("signature-input", "", MalformedSignature),
        ("signature-input", "()", MalformedSignature),
        ("signature-input", 'up42-sig=("digest");created=', MalformedSignature),
        ("signature-input", 'up42-sig=("digest");created=+1765433007', MalformedSignature),
        ("signature-input", 'up42-sig=("digest");created=1765433007.0', MalformedSignature),
        ("signature-input", 'up42-sig=("digest");created="1765433007"', MalformedSignature),
        ("signature-input", 'up42-sig=("digest");1765433007', MalformedSignature),
        ("signature-input", 'up42-sig=("digest");keyid=";created=1765433007";created=1765433007', MalformedSignature),
        ("signature-input", "up42-sig=(" + "x" * 5000 + ");created=1765433007", MalformedSignature),
        ("signature-input", "UP42-SIG=(digest);created=1765433007", MalformedSignature),
    ],
)
def test_a_hostile_signature_header_is_malformed_or_bad(name: str, value: str, error: type[Exception]) -> None:
    headers = dict(signed(BODY)) | {name.encode(): value.encode()}
    with pytest.raises(error):
        UP42Signature(SECRET).verify(RequestHead.of(list(headers.items())), NOW)(BODY)


@pytest.mark.parametrize(
    "parameters", ['created=1765433007;alg="x"', 'alg="x"; created=1765433007', "a;created=1765433007"]
)
def test_other_parameters_beside_created_mean_nothing(parameters: str) -> None:
    headers = dict(signed(BODY))
    headers[b"signature-input"] = f'up42-sig=("content-type" "digest");{parameters}'.encode()
    assert UP42Signature(SECRET).verify(RequestHead.of(list(headers.items())), NOW)(BODY).body


@pytest.mark.parametrize(
    "digest",
    ["", "=", "SHA-256", "SHA-256=", "SHA-256=::", "SHA-256=%%%", "sha-256=:AAAA", "SHA-1=AAAA", "SHA-256=AAAA", "é"],
)
def test_a_hostile_digest_that_is_signed_all_the_same_is_a_mismatch(digest: str) -> None:
    headers = signed(BODY, headers={"digest": digest})
    with pytest.raises(BodyMismatch):
        UP42Signature(SECRET).verify(RequestHead.of(headers), NOW)(BODY)


def test_every_listed_digest_has_to_be_right() -> None:
    scheme = UP42Signature(SECRET, components=["digest", "content-digest"])
    assert scheme.verify(RequestHead.of(signed(BODY, scheme=scheme)), NOW)(BODY).body
    wrong = b64encode(hashlib.sha512(b"another body").digest()).decode()
    headers = signed(BODY, scheme=scheme, headers={"content-digest": f"sha-512=:{wrong}:"})
    with pytest.raises(BodyMismatch):
        scheme.verify(RequestHead.of(headers), NOW)(BODY)


def test_a_missing_header_is_named() -> None:
    with pytest.raises(MissingSignature, match="signature-input"):
        UP42Signature(SECRET).verify(RequestHead.of({"x-a": "1"}), NOW)(BODY)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"max_age": 0}, "max_age"),
        ({"max_age": float("nan")}, "max_age"),
        ({"max_ahead": -1}, "max_ahead"),
        ({"body_binding": "never"}, "body_binding"),
        ({"components": []}, "lists no headers"),
        ({"components": "digest"}, "not one text"),
        ({"components": ["digest", "Digest"]}, "twice"),
        ({"components": ["digest", "signature"]}, "signature header"),
        ({"components": ["content-type"]}, "every delivery would be rejected"),
    ],
)
def test_options_that_cannot_work_are_rejected_at_once(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        UP42Signature(SECRET, **options)


def test_signing_without_a_header_that_is_to_be_signed_is_rejected() -> None:
    with pytest.raises(ConfigurationError, match="content-type"):
        UP42Signature(SECRET).sign(RequestHead.of({}), BODY, NOW)


@given(st.binary(min_size=1, max_size=200), st.binary(max_size=300))
def test_the_mac_is_that_of_the_standard_library(key: bytes, message: bytes) -> None:
    assert _mac(key)(message) == b64encode(hmac.digest(key, message, "sha256"))


names = st.sampled_from([b"signature", b"signature-input", b"digest", b"content-type", b"content-digest", b"x"])
near_inputs = st.builds(
    lambda label, listed, tail: label + b"(" + listed + b")" + tail,
    st.sampled_from([b"up42-sig=", b"sig1=", b""]),
    st.sampled_from([b'"content-type" "digest"', b"digest", b"", b'"signature"', b"@method"]) | st.binary(max_size=20),
    st.sampled_from([b";created=1765433007", b";created=1", b";a=b;created=1765433007", b""]) | st.binary(max_size=20),
)
values = st.binary(max_size=60) | near_inputs | st.sampled_from([v.encode() for x in VECTORS for _, v in x["headers"]])


@given(st.lists(st.tuples(names | st.binary(max_size=10), values), max_size=12), st.binary(max_size=100), st.floats())
def test_whatever_the_headers_hold_only_verification_errors_come_out(
    headers: list[tuple[bytes, bytes]], body: bytes, now: float
) -> None:
    for scheme in (UP42Signature(SECRET), UP42Signature(["a", "b"], body_binding="optional")):
        with pytest.raises(VerificationError):
            scheme.verify(RequestHead.of(headers), now)(body)


@given(st.data())
def test_a_genuine_delivery_with_one_byte_changed_is_rejected(data: st.DataObject) -> None:
    pairs = list(signed(BODY))
    covered = [index for index, (name, _) in enumerate(pairs) if name != b"signature-input"]
    where = data.draw(st.sampled_from([*covered, None]))
    target = BODY if where is None else pairs[where][1]
    at = data.draw(st.integers(0, len(target) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != target[at]))
    changed = target[:at] + bytes([byte]) + target[at + 1 :]
    if where is not None and pairs[where][0] == b"signature":
        # by the sender's own rule, the label before the first "=" is not checked
        assume(changed.partition(b"=")[2] != target.partition(b"=")[2])
    if where is not None:
        pairs[where] = (pairs[where][0], changed)
    with pytest.raises(VerificationError):
        UP42Signature(SECRET).verify(RequestHead.of(pairs), NOW)(changed if where is None else BODY)


@pytest.mark.parametrize(
    ("name", "said"),
    [("date", "date"), ("x-forwarded-for", "x-forwarded-for"), ("x_mine", "number 2 of 3")],
)
def test_the_listed_header_that_is_absent_or_repeated_is_named_unless_a_stranger_may_have_made_the_name_up(
    name: str, said: str
) -> None:
    head = UP42Signature(SECRET, components=["digest", name, "content-type"]).sign(
        RequestHead.of({"content-type": "text/plain", name: "1"}), BODY, NOW
    )
    absent = head._replace(headers=[pair for pair in head.headers if pair[0] != name.encode()])
    repeated = head.with_headers((name.encode(), b"1"))
    for broken, how in ((absent, "absent"), (repeated, "more than once")):
        with pytest.raises(MalformedSignature, match=f"{how}: {said}"):
            UP42Signature(SECRET).verify(broken, NOW)
        with pytest.raises(MalformedSignature, match=f"{how}: {name}"):
            UP42Signature(SECRET, components=["digest", name, "content-type"]).verify(broken, NOW)


def test_a_signature_header_that_is_repeated_is_named() -> None:
    head = RequestHead.of(list(signed(BODY)))
    for name in ("signature", "signature-input"):
        again = (name.encode(), dict(head.headers)[name.encode()])
        with pytest.raises(MalformedSignature, match=f"more than once: {name}$"):
            UP42Signature(SECRET).verify(head.with_headers(again), NOW)
