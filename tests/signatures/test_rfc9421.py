"""What is particular to HTTP Message Signatures; the rest is in the suite and beside the library."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from http_message_signatures import HTTPMessageSigner, MappingKeyResolver, algorithms  # pyright: ignore[reportPrivateImportUsage]

from tests.helpers import came
from webhook_receiver import (
    BadSignature,
    BodyMismatch,
    ConfigurationError,
    HTTPMessageSignature,
    MalformedSignature,
    StaleSignature,
)
from webhook_receiver.delivery import Headers, RequestHead
from webhook_receiver.testing.scheme_suite import NOW

from .keys import ED25519, P256, RSA, pem, public_pem

URL = "https://hooks.example.com/in?x=1"
BODY = b'{"event": "a"}'


def by_library(components: list[str], *, body: bytes | None = BODY, name: str = "key-1", **more: Any) -> Headers:
    """Return the headers of a delivery that the library signs with the secret "a"."""
    keys = MappingKeyResolver(public_keys={}, private_keys={name: b"a"})
    signer: Any = HTTPMessageSigner(signature_algorithm=algorithms.HMAC_SHA256, key_resolver=keys)  # pyright: ignore[reportPrivateImportUsage]
    message = SimpleNamespace(method="POST", url=URL, headers={"content-type": "text/plain", "x-id": "7"})
    more.setdefault("created", datetime.fromtimestamp(NOW, UTC))
    signer.sign(message, key_id=name, covered_component_ids=components, body=body, **more)
    return [(key.lower().encode(), value.encode()) for key, value in message.headers.items()]


def test_the_example_of_the_rfc_is_authentic_but_covers_no_body() -> None:
    key = "MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs="
    key = f"-----BEGIN PUBLIC KEY-----\n{key}\n-----END PUBLIC KEY-----"
    signature = b"wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw=="
    headers = [  # RFC 9421, appendix B.2.6
        (b"host", b"example.com"),
        (b"date", b"Tue, 20 Apr 2021 02:07:55 GMT"),
        (b"content-type", b"application/json"),
        (b"content-length", b"18"),
        (
            b"signature-input",
            b'sig-b26=("date" "@method" "@path" "@authority" "content-type" "content-length")'
            b';created=1618884473;keyid="test-key-ed25519"',
        ),
        (b"signature", b"sig-b26=:" + signature + b":"),
    ]
    scheme = HTTPMessageSignature(
        {"test-key-ed25519": key}, algorithm="ed25519", url="https://example.com/foo?param=Value&Pet=dog"
    )
    with pytest.raises(BodyMismatch, match="does not cover content-digest"):
        scheme.verify(came(headers), 1_618_884_473)
    elsewhere = HTTPMessageSignature({"test-key-ed25519": key}, algorithm="ed25519", url="https://example.com/bar")
    with pytest.raises(BadSignature):
        elsewhere.verify(came(headers), 1_618_884_473)


def test_every_derived_component_of_a_request_is_verified_from_the_url() -> None:
    derived = ["@method", "@target-uri", "@authority", "@scheme", "@request-target", "@path", "@query"]
    headers = by_library([*derived, '"@query-param";name="x"'])
    assert HTTPMessageSignature({"key-1": "a"}, url=URL).verify(came(headers), NOW)(BODY).body
    for url in ("https://hooks.example.com/in?x=2", "https://example.com/in?x=1", "http://hooks.example.com/in?x=1"):
        with pytest.raises(BadSignature):
            HTTPMessageSignature({"key-1": "a"}, url=url).verify(came(headers), NOW)


def test_without_the_url_only_the_method_is_known_and_the_rest_is_rejected_with_a_word_of_advice() -> None:
    scheme = HTTPMessageSignature({"key-1": "a"})
    assert scheme.verify(came(by_library(["@method"])), NOW)(BODY).body
    for component in ("@target-uri", "@authority", "@path"):
        with pytest.raises(MalformedSignature, match=r"HTTPMessageSignature\(url="):
            scheme.verify(came(by_library([component])), NOW)


def test_the_url_of_the_head_stands_in_for_one_that_was_left_out() -> None:
    components = ["@target-uri", '"@query-param";name="x"']
    scheme = HTTPMessageSignature({"key-1": "a"}, components=components)
    headers = by_library([*components])
    assert scheme.needs_url
    assert scheme.verify(came(headers, url=URL), NOW)(BODY).body
    with pytest.raises(BadSignature):
        scheme.verify(came(headers, url="https://hooks.example.com/in?x=2"), NOW)
    with pytest.raises(MalformedSignature, match=r"WebhookReceiver\(public_url="):
        scheme.verify(came(headers), NOW)
    with pytest.raises(ConfigurationError, match=r"cannot sign.*public_url="):
        scheme.sign(RequestHead.of({}), BODY, NOW)
    its_own = HTTPMessageSignature({"key-1": "a"}, url=URL)
    assert not its_own.needs_url
    assert its_own.verify(came(headers, url="https://example.com/"), NOW)(BODY).body


def test_the_method_is_the_requests() -> None:
    scheme, headers = HTTPMessageSignature({"key-1": "a"}), by_library(["@method"])
    with pytest.raises(BadSignature):
        scheme.verify(came(headers, method="PUT"), NOW)
    head = scheme.sign(RequestHead.of({}, method="PUT"), BODY, NOW)
    assert scheme.verify(head, NOW)(BODY).body


def test_what_has_to_be_covered_is_settable_and_named() -> None:
    scheme = HTTPMessageSignature({"key-1": "a"}, components=["@method", "Content-Type"])
    assert scheme.verify(came(by_library(["content-type", "@method"])), NOW)(BODY).body
    with pytest.raises(MalformedSignature, match='does not cover "content-type", which'):
        scheme.verify(came(by_library(["@method"])), NOW)
    with pytest.raises(BodyMismatch, match="another body under it"):
        scheme.verify(came(by_library(["content-type", "@method"], body=None)), NOW)


def test_it_expires_when_it_says_so() -> None:
    headers = by_library([], expires=datetime.fromtimestamp(NOW + 10, UTC))
    scheme = HTTPMessageSignature({"key-1": "a"})
    assert scheme.verify(came(headers), NOW + 10)(BODY).body
    with pytest.raises(StaleSignature, match="expired"):
        scheme.verify(came(headers), NOW + 10.5)


def test_the_nonce_tells_an_exact_repeat_and_may_be_required() -> None:
    headers = by_library([], nonce="once")
    assert HTTPMessageSignature({"key-1": "a"}).verify(came(headers), NOW)(BODY).id == "once"
    required = HTTPMessageSignature({"key-1": "a"}, nonce="required")
    assert required.verify(came(headers), NOW)(BODY).id == "once"
    with pytest.raises(MalformedSignature, match="no nonce"):
        required.verify(came(by_library([])), NOW)
    first, second = (
        required.verify(came(required.sign(RequestHead.of({}), BODY, NOW).headers), NOW)(BODY).id for _ in range(2)
    )
    assert first != second


def test_the_senders_id_has_to_be_covered() -> None:
    scheme = HTTPMessageSignature({"key-1": "a"}, id="X-Id")
    assert scheme.verify(came(by_library(["x-id"], nonce="once")), NOW)(BODY).id == "7"
    with pytest.raises(MalformedSignature, match="x-id"):
        scheme.verify(came(by_library([])), NOW)


def test_the_key_id_chooses_the_key_and_an_unknown_one_is_rejected() -> None:
    keys = {"key-0": "a", "key-1": "b", "key-2": "a"}
    scheme = HTTPMessageSignature(keys)
    assert scheme.verify(came(by_library([], name="key-2")), NOW)(BODY).by == 2
    with pytest.raises(BadSignature, match="the key gives another"):
        scheme.verify(came(by_library([], name="key-1")), NOW)
    with pytest.raises(BadSignature, match="does not have"):
        scheme.verify(came(by_library([], name="key-9")), NOW)


def test_of_two_signatures_the_tag_says_which_one_counts() -> None:
    two = dict(by_library([], tag="ours"))
    others = dict(by_library(["content-type"], tag="proxy", label="other", name="key-9"))
    for name in (b"signature", b"signature-input"):
        two[name] += b", " + others[name]
    headers = [*two.items()]
    assert HTTPMessageSignature({"key-1": "a"}, tag="ours").verify(came(headers), NOW)(BODY).body
    with pytest.raises(MalformedSignature, match="by tag="):
        HTTPMessageSignature({"key-1": "a"}).verify(came(headers), NOW)


def test_a_digest_that_is_there_already_is_kept_and_has_to_be_right() -> None:
    scheme = HTTPMessageSignature({"key-1": "a"})
    headers = scheme.sign(RequestHead.of({}), BODY, NOW).headers
    digest = dict(headers)[b"content-digest"].decode()
    assert scheme.sign(RequestHead.of({"content-digest": digest}), BODY, NOW).headers[0] == (
        b"content-digest",
        digest.encode(),
    )
    with pytest.raises(ConfigurationError, match="cannot sign"):
        scheme.sign(RequestHead.of({"content-digest": digest}), b"another", NOW)
    with pytest.raises(ConfigurationError, match="cannot sign"):
        HTTPMessageSignature({"key-1": "a"}, components=["x-absent"]).sign(RequestHead.of({}), BODY, NOW)


@pytest.mark.parametrize(
    ("algorithm", "private"),
    [("ed25519", ED25519[0]), ("ecdsa-p256-sha256", P256[0]), ("rsa-pss-sha512", RSA[0])],
)
def test_a_public_key_verifies_and_signs_nothing(algorithm: Any, private: Any) -> None:
    headers = HTTPMessageSignature({"k": pem(private)}, algorithm=algorithm).sign(RequestHead.of({}), BODY, NOW).headers
    public = HTTPMessageSignature({"k": public_pem(private)}, algorithm=algorithm)
    assert public.verify(came(headers), NOW)(BODY).body
    with pytest.raises(ConfigurationError, match="public key"):
        public.sign(RequestHead.of({}), BODY, NOW)


@pytest.mark.parametrize(
    ("keys", "options", "complaint"),
    [
        ("a", {}, "keys is a mapping"),
        (["a"], {}, "keys is a mapping"),
        ({}, {}, "list of secrets is empty"),
        ({"k": ""}, {}, "must not be empty"),
        ({"k": "a"}, {"algorithm": "md5"}, "algorithm is one of"),
        ({"k": "a"}, {"algorithm": "ed25519"}, "is PEM of that kind"),
        ({"k": pem(P256[0])}, {"algorithm": "ed25519"}, "is PEM of that kind"),
        ({"k": "a"}, {"components": "date"}, "not one text"),
        ({"k": "a"}, {"components": ["@status"]}, "cannot work"),
        ({"k": "a"}, {"components": ["@nothing"]}, "cannot work"),
        ({"k": "a"}, {"components": ["@status"], "url": URL}, "cannot work"),
        ({"k": "a"}, {"components": ["@nothing"], "url": URL}, "cannot work"),
        ({"k": "a"}, {"url": "/in"}, "cannot work"),
        ({"k": "a"}, {"nonce": "maybe"}, "nonce is"),
        ({"k": "a"}, {"tolerance": 0}, "tolerance"),
    ],
)
def test_what_cannot_work_is_rejected_at_once(keys: Any, options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        HTTPMessageSignature(keys, **options)
