"""The forms in which senders sign by a hash: what is signed, where it stands, how it is written, what the key is."""

from __future__ import annotations

import gzip
import hashlib
import hmac
import json
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any
from unicodedata import normalize
from urllib.parse import urlencode

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers import came
from tests.signatures.keys import ED25519, pem
from webhook_receiver import (
    BadSignature,
    ConfigurationError,
    HMACBody,
    MalformedSignature,
    MissingSignature,
    PublicKeyBody,
    Scheme,
    Sender,
    StaleSignature,
    VerificationError,
    WebhookReceiver,
)
from webhook_receiver.delivery import RequestHead
from webhook_receiver.explain import explain
from webhook_receiver.signatures.body_forms import (
    MAX_UNPACKED,
    canonical_json,
    crc32_decimal,
    escaped,
    gunzipped,
    sha256_hex,
)
from webhook_receiver.signatures.hmac_keys import KeyForm
from webhook_receiver.testing.scheme_suite import HOSTILE_VALUES, NOW, SchemeSuite

URL = "https://hooks.example.com/in/parcels"
BODY = b'{"a": "\xc3\xa9", "n": 1.0}'


def mac(content: bytes, key: bytes = b"key", hash: str = "sha256") -> bytes:
    return hmac.digest(key, content, hash)


def hexed(content: bytes, key: bytes = b"key", hash: str = "sha256") -> bytes:
    return mac(content, key, hash).hex().encode()


def verified(scheme: Scheme, headers: dict[str, bytes], body: bytes = BODY, *, now: float = NOW, **head: Any) -> bool:
    """Return whether a request is accepted; raise the error of any other."""
    given = [(name.encode(), value) for name, value in headers.items()]
    return scheme.verify(came(given, **head), now)(body).by is not None


# vectors, by the ways that the senders document, written here by hand


def test_the_url_then_the_body() -> None:
    scheme = HMACBody("key", signature="x-sig", encoding="base64", signed="{url}{body}")
    assert scheme.needs_url
    assert verified(scheme, {"x-sig": b64encode(mac(URL.encode() + BODY))}, url=URL)
    with pytest.raises(BadSignature):
        verified(scheme, {"x-sig": b64encode(mac(URL.encode() + BODY))}, url=URL + "/")
    with pytest.raises(MissingSignature, match="public_url"):
        verified(scheme, {"x-sig": b64encode(mac(URL.encode() + BODY))})


def test_the_body_then_the_url_by_sha1() -> None:
    scheme = HMACBody("key", signature="x-sig", hash="sha1", encoding="base64", signed="{body}{url}")
    assert verified(scheme, {"x-sig": b64encode(mac(BODY + URL.encode(), hash="sha1"))}, url=URL)


def test_method_url_body_and_time_in_milliseconds() -> None:
    scheme = HMACBody(
        "key",
        signature="x-sig",
        encoding="base64",
        signed="{method}{url}{body}{timestamp}",
        timestamp="x-time",
        timestamp_format="milliseconds",
    )
    time = b"%d" % (NOW * 1000 + 7)
    headers = {"x-sig": b64encode(mac(b"POST" + URL.encode() + BODY + time)), "x-time": time}
    assert verified(scheme, headers, url=URL)
    with pytest.raises(BadSignature):
        verified(scheme, headers, url=URL, method="PUT")
    with pytest.raises(StaleSignature):
        verified(scheme, headers, url=URL, now=NOW + 301)


def test_method_path_and_query_with_a_nonce_line_by_line() -> None:
    scheme = HMACBody("key", signature="x-sig", signed="{method}{target}\n{header:X-Nonce}\n{body}\n")
    signature = hexed(b"POST/in?a=%20b\nn-1\n" + BODY + b"\n")
    assert verified(scheme, {"x-sig": signature, "x-nonce": b"n-1"}, target=b"/in?a=%20b")
    for target in (b"/in?a=+b", b"/in?", b"/in", b"/IN?a=%20b"):
        with pytest.raises(BadSignature):
            verified(scheme, {"x-sig": signature, "x-nonce": b"n-1"}, target=target)
    with pytest.raises(MissingSignature, match="x-nonce"):
        verified(scheme, {"x-sig": signature}, target=b"/in?a=%20b")


def test_behind_a_proxy_the_path_is_that_of_the_public_url() -> None:
    scheme = HMACBody("key", signature="x-sig", signed="{path}\n{body}")
    signature = hexed(b"/in/parcels\n" + BODY)
    assert verified(scheme, {"x-sig": signature}, url=URL, target=b"/internal")
    assert verified(scheme, {"x-sig": signature}, target=b"/in/parcels?more=1")
    assert verified(scheme, {"x-sig": hexed(b"/\n" + BODY)}, url="https://hooks.example.com")


def test_time_nonce_and_key_in_a_plain_hash() -> None:
    scheme = HMACBody(
        "key",
        signature="x-sig",
        signed="{timestamp}{header:x-nonce}{secret}{body}",
        timestamp="x-time",
    )
    signature = hashlib.sha256(b"%dn-1key" % NOW + BODY).hexdigest().encode()
    headers = {"x-sig": signature, "x-time": b"%d" % NOW, "x-nonce": b"n-1"}
    assert verified(scheme, headers)
    with pytest.raises(BadSignature):
        verified(scheme, {**headers, "x-sig": hexed(b"%dn-1" % NOW + BODY)})


def test_a_plain_hash_cannot_be_extended() -> None:
    """The digest of secret + body is all that is needed to hash on, behind the padding of SHA-256."""
    scheme = HMACBody("key", signature="x-sig", signed="{secret}{body}")
    padding = b"\x80".ljust(56 - len(b"key" + BODY), b"\0") + (8 * len(b"key" + BODY)).to_bytes(8, "big")
    extended = BODY + padding + b"&more=1"
    signature = hashlib.sha256(b"key" + extended).hexdigest().encode()  # as the extension would have it
    with pytest.raises(MalformedSignature, match="zero bytes"):
        verified(scheme, {"x-sig": signature}, extended)


def test_a_form_is_signed_by_its_names_and_values_in_order() -> None:
    scheme = HMACBody("key", signature="x-sig", hash="sha1", encoding="base64", signed="{url}{form}")
    content = URL.encode() + b"Bodyhi thereFrom+15Tagsa1Tagsb\xc3\xa9"
    form = b"Tags=b%C3%A9&From=%2B15&Body=hi+there&Tags=a1&Tags=a1&&"
    headers = {"x-sig": b64encode(mac(content, hash="sha1"))}
    assert verified(scheme, headers, form, url=URL)
    check = scheme.verify(came([(b"x-sig", headers["x-sig"])], url=URL), NOW)
    assert not check(form).body, "the border between a name and its value is open"
    with pytest.raises(BadSignature):
        check(form + b"more=1")
    with pytest.raises(MalformedSignature, match="more than 1000 fields"):
        check(b"a=1&" * 1001)


@pytest.mark.parametrize(
    "body",
    [
        *(b'{"a":"b="}', b"[1]", b'"a=b"', b"{a=1}", b"a", b"&&", b"a&b", b"a=b c", b"a=1\n", b" a=1", b"a=\x00"),
        *(b"a=\x7f", "a=é".encode(), b"a=\xff", b"\xff\xfe=\x00", b"<a b='c'/>", b'<a b="c"/>', b"a=}"),
    ],
)
def test_what_is_no_form_is_not_signed_as_one(body: bytes) -> None:
    """The content of a genuine form is that of many other bodies, as the borders in it are open."""
    scheme = HMACBody("key", signature="x-sig", signed="{form}")
    with pytest.raises(MalformedSignature, match="no form"):
        verified(scheme, {"x-sig": hexed(body)}, body)
    with pytest.raises(ConfigurationError, match="no form"):
        scheme.sign(RequestHead.of({}), body, NOW)


@pytest.mark.parametrize("body", [b"", b"=", b"a=", b"a&b=1", b"a[]=1&b=~'()*!", b"a=%22%7B%7D+%00%C3%A9"])
def test_a_form_of_any_library_is_signed(body: bytes) -> None:
    scheme = HMACBody("key", signature="x-sig", signed="{form}")
    assert scheme.verify(scheme.sign(RequestHead.of({}), body, NOW), NOW)(body).by == 0


def test_an_absent_part_is_no_empty_part() -> None:
    scheme = HMACBody(
        "key", signature="x-sig", signed=["{header:x-a?}", "{query?}", "b:{header:x-b?}", "{body}"], joined_by="\n"
    )
    for content, more, target in [
        (b"", {}, b"/"),
        (b"1\n", {"x-a": b"1"}, b"/"),
        (b"\n", {"x-a": b""}, b"/"),
        (b"q=1\n", {}, b"/?q=1"),
        (b"\n", {}, b"/?"),
        (b"1\nq=1\nb:2\n", {"x-a": b"1", "x-b": b"2"}, b"/?q=1"),
    ]:
        assert verified(scheme, {"x-sig": hexed(content + BODY), **more}, target=target)
    for content, more in [(b"\n", {}), (b"", {"x-a": b""}), (b"\n\n", {"x-a": b"1"})]:
        with pytest.raises(BadSignature):
            verified(scheme, {"x-sig": hexed(content + BODY), **more})


def test_a_query_that_is_signed_has_to_be_there() -> None:
    scheme = HMACBody("key", signature="x-sig", signed="{query}\n{body}")
    assert verified(scheme, {"x-sig": hexed(b"\n" + BODY)}, target=b"/?")
    with pytest.raises(MissingSignature, match="query"):
        verified(scheme, {"x-sig": hexed(b"\n" + BODY)}, target=b"/")


@pytest.mark.parametrize(
    ("value", "options"),
    [
        (b"ts=%d;h1=%b", {"signature": "x-sig:h1", "timestamp": "x-sig:ts", "item_separator": ";"}),
        (b"t=%d&s=%b", {"signature": "x-sig:s", "timestamp": "x-sig:t", "item_separator": "&"}),
        (b"t=%d, v1=%b", {"signature": "x-sig:v1", "timestamp": "x-sig:t"}),
        (b"t=%d,v1=%b", {"signature": "x-sig:v1", "timestamp": "x-sig:t", "item_separator": ", "}),
        (b"%d, %b", {"signature": "x-sig[1]", "timestamp": "x-sig[0]", "item_separator": ", "}),
        (b"%d %b", {"signature": "x-sig[1]", "timestamp": "x-sig[0]", "item_separator": " "}),
        (b"%d,%b", {"signature": "x-sig[1:]", "timestamp": "x-sig[0]"}),
        (b"%d, 00ff,%b", {"signature": "x-sig[1:]", "timestamp": "x-sig[0]"}),
        (b"%d|%b", {"signature": "X-Sig[1]", "timestamp": "X-Sig[0]", "item_separator": "|"}),
    ],
)
def test_items_are_parted_as_the_sender_does(value: bytes, options: dict[str, Any]) -> None:
    scheme = HMACBody("key", signed="{timestamp}.{body}", **options)
    assert verified(scheme, {"x-sig": value % (NOW, hexed(b"%d." % NOW + BODY))})
    signed = scheme.sign(RequestHead.of({}), BODY, NOW)
    assert scheme.verify(signed, NOW)(BODY).fresh
    with pytest.raises(VerificationError):
        verified(scheme, {"x-sig": value % (NOW + 1, hexed(b"%d." % NOW + BODY))})


@pytest.mark.parametrize(
    ("separator", "written"), [(",", b"t=%d,v1=%b"), (", ", b"t=%d, v1=%b"), (";", b"t=%d;v1=%b"), (" ", b"t=%d v1=%b")]
)
def test_items_are_written_as_the_sender_writes_them(separator: Any, written: bytes) -> None:
    options: dict[str, Any] = {"signature": "x-sig:v1", "timestamp": "x-sig:t", "item_separator": separator}
    signed = HMACBody("key", signed="{timestamp}.{body}", **options).sign(RequestHead.of({}), BODY, NOW)
    assert dict(signed.headers)[b"x-sig"] == written % (NOW, hexed(b"%d." % NOW + BODY))


def test_a_place_behind_an_item_of_somebody_else_cannot_be_signed_but_verified() -> None:
    scheme = HMACBody("key", signature="x-sig[1]", item_separator="|")
    assert verified(scheme, {"x-sig": b"public|" + hexed(BODY)})
    with pytest.raises(MalformedSignature):
        verified(scheme, {"x-sig": hexed(BODY)})
    with pytest.raises(ConfigurationError, match="cannot sign: nothing states the items in front of item 1"):
        scheme.sign(RequestHead.of({}), BODY, NOW)


DIGEST = mac(BODY + b"?")  # with + and / in its base64


@pytest.mark.parametrize(
    ("encoding", "right", "wrong"),
    [
        ("hex", [DIGEST.hex()], [DIGEST.hex().upper()]),
        ("hex-any-case", [DIGEST.hex(), DIGEST.hex().upper()], []),
        ("base64", [b64encode(DIGEST).decode()], [b64encode(DIGEST).decode().rstrip("=")]),
        ("base64-unpadded", [b64encode(DIGEST).decode().rstrip("=")], [b64encode(DIGEST).decode()]),
        ("base64url", [urlsafe_b64encode(DIGEST).decode()], [urlsafe_b64encode(DIGEST).decode().rstrip("=")]),
        ("base64url-unpadded", [urlsafe_b64encode(DIGEST).decode().rstrip("=")], [urlsafe_b64encode(DIGEST).decode()]),
    ],
)
def test_a_signature_has_the_spelling_of_its_encoding(encoding: Any, right: list[str], wrong: list[str]) -> None:
    scheme = HMACBody("key", signature="x-sig", prefix="v1=", encoding=encoding)
    for each in right:
        assert verified(scheme, {"x-sig": b"v1=" + each.encode()}, BODY + b"?")
    for each in [*wrong, "", "=", "%", right[0] + "\n", right[0] + "=", right[0] + "AAAA", right[0][:-2]]:
        with pytest.raises(VerificationError):
            verified(scheme, {"x-sig": b"v1=" + each.encode()}, BODY + b"?")
    with pytest.raises(MalformedSignature):
        verified(scheme, {"x-sig": b"V1=" + right[0].encode()}, BODY + b"?")


@pytest.mark.parametrize(
    "time",
    [
        b"2025-12-11T06:03:32Z",
        b"2025-12-11T06:03:32.4Z",
        b"2025-12-11T06:03:32.123456789Z",
        b"2025-12-11T08:03:32+02:00",
        b"2025-12-11T05:33:32-0030",
    ],
)
def test_a_time_of_rfc_3339_is_read_to_the_fraction(time: bytes) -> None:
    scheme = rfc3339_scheme(["key"])
    headers = {"x-sig": hexed(b"id-1" + time + BODY), "x-time": time, "x-id": b"id-1"}
    assert verified(scheme, headers)
    with pytest.raises(StaleSignature):
        verified(scheme, headers, now=NOW + 301)
    with pytest.raises(StaleSignature):
        verified(scheme, headers, now=NOW - 301)


@pytest.mark.parametrize(
    "time",
    [
        *(b"", b"1765433012", b"2025-12-11", b"2025-12-11T06:03:32", b"2025-12-11 06:03:32Z", b"2025-02-30T06:03:32Z"),
        *(b"2025-12-11T06:03:32,5Z", b"2025-12-11T06:03:32.Z", b"2025-12-11T06:03:60Z", b"0000-12-11T06:03:32Z"),
        *(b"12025-12-11T06:03:32Z", b"2025-12-11T06:03:32+99:99", b"2025-12-11T06:03:32ZZ", b"2025-12-11T06:03:32Z\n"),
        b"2025-12-11T06:03:32." + b"1" * 1_000_000 + b"Z",
    ],
    ids=range(15),
)
def test_any_other_time_is_malformed(time: bytes) -> None:
    headers = {"x-sig": hexed(b"id-1" + time + BODY), "x-time": time, "x-id": b"id-1"}
    with pytest.raises(MalformedSignature, match="a time by RFC 3339"):
        verified(rfc3339_scheme(["key"]), headers)


def test_a_checksum_proves_no_body() -> None:
    scheme = HMACBody("key", signature="x-sig", body_form=crc32_decimal)
    check = scheme.verify(came([(b"x-sig", hexed(b"3421780262"))]), NOW)
    assert not check(b"123456789").body  # the check value of the CRC-32 of ISO 3309
    with pytest.raises(BadSignature):
        check(b"123456780")


def dated(time: bytes, now: float = NOW) -> bool:
    scheme = HMACBody("key", signature="x-sig", signed="{body}{timestamp}", timestamp="x-time", **HTTP_DATE)
    return verified(scheme, {"x-sig": hexed(BODY + time), "x-time": time}, now=now)


HTTP_DATE: Any = {"timestamp_format": "http-date"}


def test_a_date_of_http_is_read() -> None:
    assert dated(b"Thu, 11 Dec 2025 06:03:32 GMT")
    for now in (NOW + 301, NOW - 301):
        with pytest.raises(StaleSignature):
            dated(b"Thu, 11 Dec 2025 06:03:32 GMT", now)


@pytest.mark.parametrize(
    "time",
    [
        *(b"", b"1765433012", b"2025-12-11T06:03:32Z", b"Thu, 11 Dec 2025 06:03:32", b"Fri, 11 Dec 2025 06:03:32 GMT"),
        *(b"Thu, 11 Dec 2025 6:03:32 GMT", b"thu, 11 dec 2025 06:03:32 GMT", b"Thursday, 11-Dec-25 06:03:32 GMT"),
        *(b"Thu Dec 11 06:03:32 2025", b"Thu, 11 Dec 2025 06:03:32 +0000", b"Thu, 11 Dec 2025 06:03:60 GMT"),
        *(
            b"Thu,  11 Dec 2025 06:03:32 GMT",
            b"Thu, 11 Dec 2025 06:03:32 GMT\n",
            b"\xff",
            b"Thu, 31 Feb 2025 06:03:32 GMT",
        ),
    ],
    ids=range(15),
)
def test_any_other_date_is_malformed(time: bytes) -> None:
    with pytest.raises(MalformedSignature, match="a date of HTTP"):
        dated(time)


def rfc3339_scheme(secrets: Sequence[str]) -> HMACBody:
    return HMACBody(
        secrets,
        signature="x-sig",
        signed="{id}{timestamp}{body}",
        timestamp="x-time",
        timestamp_format="rfc3339",
        id="x-id",
    )


def test_digits_of_an_id_cannot_move_to_the_time_beside_it_nor_back() -> None:
    scheme = HMACBody("key", signature="x-sig", signed="{id}{timestamp}{body}", timestamp="x-time", id="x-id")
    signature = hexed(b"id-10%d" % NOW + BODY)
    assert verified(scheme, {"x-sig": signature, "x-id": b"id-10", "x-time": b"%d" % NOW})
    for at in (1, 2):
        moved = b"10%d" % NOW
        with pytest.raises((StaleSignature, MalformedSignature)):
            verified(scheme, {"x-sig": signature, "x-id": b"id-" + moved[: 2 - at], "x-time": moved[2 - at :]})
    with pytest.raises(StaleSignature):
        verified(scheme, {"x-sig": signature, "x-id": b"id-101", "x-time": (b"%d" % NOW)[1:]})


@pytest.mark.parametrize(
    ("secret", "form", "key"),
    [
        ("00FFab", "hex", b"\x00\xff\xab"),
        ("AP+r", "base64", b"\x00\xff\xab"),
        ("AP-r_w", "base64", b"\x00\xff\xab\xff"),
        ("whsec_AP+r", KeyForm("base64", prefix="whsec_"), b"\x00\xff\xab"),
        ("AP+r", KeyForm("base64", prefix="whsec_"), b"\x00\xff\xab"),
        ("pdl_key", "text", b"pdl_key"),
        ("pdl_key", KeyForm(prefix="pdl_"), b"key"),
        ("signkey-test-a-key", KeyForm(prefix=re.compile(r"signkey-\w+-")), b"a-key"),
        ("a-signkey-test-key", KeyForm(prefix=re.compile(r"signkey-\w+-")), b"a-signkey-test-key"),
        ("é", KeyForm(nfkd=True), normalize("NFKD", "é").encode()),
        ("private", KeyForm(hash="sha1"), hashlib.sha1(b"private").digest()),
        ("k_00ff", KeyForm("hex", prefix="k_", hash="sha256"), hashlib.sha256(b"\x00\xff").digest()),
    ],
)
def test_the_key_is_in_the_secret_in_the_declared_form(secret: str, form: Any, key: bytes) -> None:
    assert verified(HMACBody(secret, signature="x-sig", key=form), {"x-sig": hexed(BODY, key)})


@pytest.mark.parametrize(
    ("secret", "form"),
    [("hush", "hex"), ("hush!", "base64"), ("k_", KeyForm(prefix="k_")), ("k_zz", KeyForm("hex", prefix="k_"))],
)
def test_a_secret_that_is_not_in_the_form_is_rejected_unshown(secret: str, form: Any) -> None:
    with pytest.raises(ConfigurationError) as rejected:
        HMACBody(secret, signature="x-sig", key=form)
    assert secret not in str(rejected.value)
    assert rejected.value.__context__ is None or rejected.value.__suppress_context__


def test_a_key_id_chooses_the_secret() -> None:
    scheme = HMACBody(["one", "two"], signature="x-sig", key_id="x-key", key_ids=["k1", "k2"])
    check = partial(verified, scheme)
    assert check({"x-sig": hexed(BODY, b"two"), "x-key": b"k2"})
    with pytest.raises(BadSignature, match="no secret gives"):
        check({"x-sig": hexed(BODY, b"two"), "x-key": b"k1"})
    with pytest.raises(BadSignature, match="names a key that the receiver does not have"):
        check({"x-sig": hexed(BODY, b"two"), "x-key": b"k3"})
    with pytest.raises(MissingSignature, match="x-key"):
        check({"x-sig": hexed(BODY, b"two")})
    signed = dict(scheme.sign(RequestHead.of({}), BODY, NOW).headers)
    assert signed == {b"x-key": b"k1", b"x-sig": hexed(BODY, b"one")}


def test_each_header_has_a_secret_of_its_own() -> None:
    scheme = HMACBody(["one", "two"], signature=["x-primary", "x-secondary"])
    one, two = hexed(BODY, b"one"), hexed(BODY, b"two")
    assert verified(scheme, {"x-primary": one, "x-secondary": b"00"})
    assert verified(scheme, {"x-secondary": two})
    assert scheme.verify(came([(b"x-primary", b"00"), (b"x-secondary", two)]), NOW)(BODY).by == 1
    with pytest.raises(BadSignature):
        verified(scheme, {"x-primary": two, "x-secondary": one})
    with pytest.raises(MissingSignature, match="x-primary"):
        verified(scheme, {"x-other": one})


def test_each_item_of_a_header_may_have_a_secret_of_its_own() -> None:
    scheme = HMACBody(["one", "two"], signature=["x-sig:a", "x-sig:b"])
    one, two = hexed(BODY, b"one"), hexed(BODY, b"two")
    for value, by in [(b"a=%b" % one, 0), (b"b=%b" % two, 1), (b"a=00,b=%b" % two, 1), (b"b=00, a=%b" % one, 0)]:
        assert scheme.verify(came([(b"x-sig", value)]), NOW)(BODY).by == by
    for value in (b"a=%b" % two, b"b=%b" % one, b"c=%b" % one, b""):
        with pytest.raises(VerificationError):
            verified(scheme, {"x-sig": value})


# other forms of the body


def test_a_packed_body_is_signed_unpacked() -> None:
    scheme = HMACBody("key", signature="x-sig", body_form=gunzipped)
    assert verified(scheme, {"x-sig": hexed(BODY)}, gzip.compress(BODY))
    assert verified(scheme, {"x-sig": hexed(BODY)}, BODY)
    packed = gzip.compress(BODY)
    bomb = gzip.compress(bytes(MAX_UNPACKED + 1))
    for hostile in (b"\x1f\x8b", packed[:-1], packed + b"x", packed[:-8] + bytes(8), bomb):
        with pytest.raises(MalformedSignature, match="not signed in the declared form"):
            verified(scheme, {"x-sig": hexed(BODY)}, hostile)


def test_a_body_is_signed_by_its_hash() -> None:
    scheme = HMACBody("key", signature="x-sig", signed="{url}?bodySHA256={body}", body_form=sha256_hex)
    content = f"{URL}?bodySHA256={hashlib.sha256(BODY).hexdigest()}".encode()
    assert verified(scheme, {"x-sig": hexed(content)}, url=URL)
    assert scheme.verify(came([(b"x-sig", hexed(content))], url=URL), NOW)(BODY).body
    for body in (BODY + b" ", b"", hashlib.sha256(BODY).hexdigest().encode()):
        with pytest.raises(BadSignature):
            verified(scheme, {"x-sig": hexed(content)}, body, url=URL)


def test_a_body_is_signed_in_ascii() -> None:
    scheme = HMACBody("key", signature="x-sig", body_form=escaped)
    body = '{"a": "é☃😀"}'.encode()
    assert verified(scheme, {"x-sig": hexed(rb'{"a": "\u00e9\u2603\ud83d\ude00"}')}, body)
    with pytest.raises(MalformedSignature):
        verified(scheme, {"x-sig": hexed(b"\xff")}, b"\xff")


def test_a_body_is_signed_in_its_canonical_form() -> None:
    scheme = HMACBody(
        "key", signature="x-sig:s", timestamp="x-sig:t", item_separator="&", signed="{body}{timestamp}",
        body_form=canonical_json,
    )  # fmt: skip
    signature = hexed('{"a":"é","n":1,"z":[1e+30]}'.encode() + b"%d" % NOW)
    body = b'{ "z": [1E30], "n": 1.0, "a": "\\u00e9" }'
    assert verified(scheme, {"x-sig": b"t=%d&s=%b" % (NOW, signature)}, body)
    for hostile in (
        b"",
        b"{",
        b'{"a":1,"a":1}',
        b"[NaN]",
        b"[9007199254740993]",
        b'["\\ud800"]',
        b"\xff",
        b"[" * 99999,
    ):
        with pytest.raises(MalformedSignature, match="RFC 8785") as rejected:
            verified(scheme, {"x-sig": b"t=%d&s=%b" % (NOW, signature)}, hostile)
        assert rejected.value.__suppress_context__


def test_the_canonical_form_is_that_of_the_rfcs_example() -> None:
    """RFC 8785, section 3.2.2 and 3.2.3."""
    given = rb"""{
      "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
      "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
      "literals": [null, true, false]
    }"""
    assert canonical_json(given) == (
        b'{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        b'"string":"\xe2\x82\xac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )


def test_a_form_of_ones_own_is_a_function() -> None:
    def payload(body: bytes) -> bytes:
        try:
            return str(json.loads(body)["payload"]).encode()
        except (KeyError, TypeError):
            raise ValueError("there is no payload") from None

    scheme = HMACBody("key", signature="x-sig", body_form=payload)
    assert verified(scheme, {"x-sig": hexed(b"hi")}, b'{"payload": "hi"}')
    for hostile in (b"{}", b"[]", b"", b"\xff"):
        with pytest.raises(MalformedSignature):
            verified(scheme, {"x-sig": hexed(b"hi")}, hostile)


@pytest.mark.parametrize(
    "body", [b"{}", b"[]", b"7", b"null", b"", b"\xff", b"[" * 100_000, b'{"payload": 7}', b'{"payload": {"a": 1}}']
)
async def test_whatever_a_form_of_ones_own_raises_is_a_rejection(body: bytes) -> None:
    def payload(body: bytes) -> Any:
        return json.loads(body)["payload"].encode()

    scheme = HMACBody("key", signature="x-sig", body_form=payload)
    hooks = WebhookReceiver(sender=Sender(name="acme", scheme=scheme, facts=("made up",)), clock=lambda: NOW)
    headers = {"x-sig": hexed(b"hi").decode()}
    receipt = await hooks.receive(headers, body)
    assert (receipt.response.status, type(receipt.error)) == (401, MalformedSignature)
    assert (await hooks.receive(headers, b'{"event": "a", "payload": "hi"}')).response.status == 204


def test_of_an_error_in_a_form_no_more_is_told_than_where_it_was() -> None:
    def quoting(body: bytes) -> bytes:
        raise LookupError(f"not in {body!r}")

    scheme = HMACBody("key", signature="x-sig", body_form=quoting)
    with pytest.raises(MalformedSignature, match=r"LookupError at .*:[0-9]+$"):
        verified(scheme, {"x-sig": hexed(b"hi")}, b"a secret text")
    with pytest.raises(ConfigurationError, match="LookupError"):
        scheme.sign(RequestHead.of({}), b"a secret text", NOW)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_escaped_is_what_the_json_of_python_escapes(text: str) -> None:
    characters = (each if each.isascii() else json.dumps(each)[1:-1] for each in text)
    assert escaped(text.encode()) == "".join(characters).encode()


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
)


@settings(max_examples=200)
@given(JSON, st.booleans(), st.sampled_from([None, 1]))
def test_canonical_json_is_that_of_a_library(document: Any, is_ascii: bool, indent: int | None) -> None:
    body = json.dumps(document, ensure_ascii=is_ascii, indent=indent).encode()
    assert canonical_json(body) == rfc8785.dumps(json.loads(body))


@pytest.mark.parametrize(
    "number",
    [
        *("1.0", "-0.0", "0.1", "-1.5", "1e5", "1E-7", "0.00001", "0.000001", "123456789012345680000.0", "5e-324"),
        *("0.1000000000000000055511151231257827", "1.7976931348623157e308", "100.10", "-0", "9007199254740991"),
        *("999999999999999.9", "123456789012345.6", "12345678.123456789", "-0.00012", "4.35", "333333333.3333333"),
    ],
)
def test_canonical_json_writes_numbers_as_a_library_does(number: str) -> None:
    for text in ("[%s]", '{"a":%s}', "%s", " %s ", "[1,-%s]"):
        if "%s" in text and not (text == "[1,-%s]" and number.startswith("-")):
            body = (text % number).encode()
            assert canonical_json(body) == rfc8785.dumps(json.loads(body))


def test_a_bomb_is_not_unpacked_beyond_a_hundred_times_its_length() -> None:
    bomb = gzip.compress(bytes(8 * 1024 * 1024))
    with pytest.raises(ValueError, match=r"more than 1048576 bytes"):
        gunzipped(bomb)
    assert len(bomb) < 10_000
    usual = gzip.compress(json.dumps([{"id": number, "type": "moved"} for number in range(100_000)]).encode())
    assert len(gunzipped(usual)) > 2 * 1024 * 1024
    small = gzip.compress(bytes(1024 * 1024))
    assert len(gunzipped(small)) == 1024 * 1024


def test_a_form_returns_bytes() -> None:
    def text(body: bytes) -> Any:
        return body if body == b"{}" else body.decode()

    scheme = HMACBody("key", signature="x-sig", body_form=text)
    with pytest.raises(MalformedSignature, match="returned str, not bytes"):
        verified(scheme, {"x-sig": hexed(b"hi")}, b"hi")
    with pytest.raises(ConfigurationError, match="not str"):
        HMACBody("key", signature="x-sig", body_form=lambda body: body.decode())  # type: ignore[arg-type,return-value]


# what cannot work


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"signed": "{header:x-a}{body}"}, r"a separator behind \{header:x-a\}"),
        ({"signed": "{body}{header:x-a}"}, r"a separator in front of \{header:x-a\}"),
        ({"signed": "{path}{body}"}, r"a separator behind \{path\}"),
        ({"signed": ["{path}", ".{header:x-a?}", "{body}"]}, r"a separator behind \{path\}"),
        ({"signed": ["{path}", "{header:x-a?}.", "{body}"]}, r"a separator behind \{path\}"),
        ({"signed": "{id}{timestamp}{form}", "id": "x-id", "timestamp": "x-t"}, "has {form}: all parts beside it"),
        ({"signed": ["{header:x-a?}", "{form}"], "joined_by": "."}, "has {form}: all parts beside it"),
        ({"signed": ["{header:x-a?}", "<{body}"], "joined_by": "."}, "such a mark has to tell where the body begins"),
        ({"signed": ["{header:x-a?}", "{body}"], "joined_by": "["}, "such a mark has to tell where the body begins"),
        ({"signed": ["{header:x-a?}", "{body}"], "joined_by": ".", "body_form": sha256_hex}, "body_form does not fit"),
        (
            {"signed": ["{header:x-a?}", "{id}", "{header:x-b?}", "{body}"], "joined_by": ".", "id": "x-id"},
            r"\{id\} between two parts",
        ),
        (
            {"signed": "{header:x-a}{timestamp}{header:x-b}.{body}", "timestamp": "x-t"},
            r"\{timestamp\} between two parts",
        ),
        ({"signed": "{header}.{body}"}, "a header as {header:x-nonce}"),
        ({"signed": "{body:x}"}, "a header as {header:x-nonce}"),
        ({"signed": "{header:x-a?}.{body}"}, "stands in an item of a list"),
        ({"signed": ["{id}.{header:x-a?}", "{body}"], "id": "x-id", "joined_by": "."}, "would be left out with it"),
        ({"signed": "{path?}.{body}"}, "only a header and the query can be absent"),
        ({"signed": "{form}{body}"}, "exactly once"),
        ({"signed": []}, "exactly once"),
        ({"signed": [7]}, "cannot be read"),
        ({"signature": []}, "places of their own"),
        ({"signature": ["x-a", "X-A"]}, "places of their own"),
        ({"signature": "x-a[x]"}, "a place is"),
        ({"signature": "x-a[1"}, "a place is"),
        ({"item_separator": "-"}, "item_separator is one of"),
        ({"timestamp_format": "minutes"}, "timestamp_format is one of"),
        ({"timestamp_format": "milliseconds"}, "say where that is, by timestamp="),
        ({"timestamp_format": "rfc3339"}, "say where that is, by timestamp="),
        ({"key": "raw"}, 'key is "text", "hex", "base64" or a KeyForm'),
        ({"key_ids": "k", "key_id": "x-key"}, "key_ids has an id for each secret"),
        ({"key_ids": ["k1"]}, "key_ids has an id for each secret"),
        ({"key_id": "x-key"}, "key_ids has an id for each secret"),
        ({"body_form": "gunzipped"}, "body_form is a function"),
    ],
)
def test_options_that_cannot_work_are_rejected_at_once(options: dict[str, Any], complaint: str) -> None:
    options.setdefault("signature", "x-sig")
    with pytest.raises(ConfigurationError, match=complaint):
        HMACBody("a", **options)


def test_more_secrets_than_places_and_ids_that_are_there_twice_are_rejected() -> None:
    with pytest.raises(ConfigurationError, match="3 secrets for 2 places"):
        HMACBody(["a", "b", "c"], signature=["x-a", "x-b"])
    with pytest.raises(ConfigurationError, match="key_ids"):
        HMACBody(["a", "b"], signature="x-a", key_id="x-key", key_ids=["k", "k"])


def test_a_form_of_a_key_is_checked() -> None:
    with pytest.raises(ConfigurationError, match="hash of a key"):
        KeyForm(hash="md5")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("signed", "headers", "body"),
    [
        ("{header:x-a}..{body}", {"x-a": b"7."}, b"x"),
        ("{header:x-a}.{body}", {"x-a": b"7.x"}, b"y"),
        ("{body}.{header:x-a}", {"x-a": b"7.x"}, b"y"),
        ("{body}..{header:x-a}", {"x-a": b".x"}, b"y"),
    ],
)
def test_no_part_can_take_over_a_part_of_the_body(signed: str, headers: dict[str, bytes], body: bytes) -> None:
    scheme = HMACBody("key", signature="x-sig", signed=signed)
    content = signed.replace("{body}", body.decode()).replace("{header:x-a}", headers["x-a"].decode()).encode()
    with pytest.raises(MalformedSignature, match="contains the separator"):
        verified(scheme, {"x-sig": hexed(content), **headers}, body)


# two readings of one content


OPTIONAL: dict[str, Any] = {"signed": ["{header:x-a?}", "{body}"], "joined_by": "."}
BESIDE_TIME: dict[str, Any] = {
    "signed": "{id}{timestamp}{body}",
    "id": "x-id",
    "timestamp": "x-time",
    "timestamp_format": "rfc3339",
}
TIME = datetime.fromtimestamp(NOW, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize(
    ("options", "genuine", "forged"),
    [
        (OPTIONAL, ({"x-a": "7"}, b'{"a": 1}'), ({}, b'7.{"a": 1}')),
        (OPTIONAL, ({}, b'{"a": 1.5}'), ({"x-a": '{"a": 1'}, b"5}")),
        (OPTIONAL, ({}, b'["a.{}"]'), ({"x-a": '["a'}, b'{}"]')),
        ({"signed": ["{query?}", "{body}"], "joined_by": "."}, ({}, b'{"a": 1.5}'), ({"?": '{"a":1'}, b"5}")),
        (
            {"signed": ["{header:x-a?}", "v1:{body}"], "joined_by": "."},
            ({}, b'["x.v1:{"]'),
            ({"x-a": 'v1:["x'}, b'{"]'),
        ),
        (
            {"signed": ["{body}", "{header:x-a?}"], "joined_by": "."},
            ({}, b'{"a": 1.5}'),
            ({"x-a": "5}"}, b'{"a": 1'),
        ),
        (
            BESIDE_TIME,
            ({"x-id": "7", "x-time": TIME}, f'{{"at":"{TIME}"}}'.encode()),
            ({"x-id": f'7{TIME}{{"at":"', "x-time": TIME}, b'"}'),
        ),
        (
            BESIDE_TIME,
            ({"x-id": TIME, "x-time": TIME}, b'{"a": 1}'),
            ({"x-id": "", "x-time": TIME}, TIME.encode() + b'{"a": 1}'),
        ),
        (
            BESIDE_TIME | {"timestamp_format": "seconds"},
            ({"x-id": "7", "x-time": f"{NOW:.0f}"}, b'{"at": %d}' % NOW),
            ({"x-id": f'7{NOW:.0f}{{"at": ', "x-time": f"{NOW:.0f}"}, b"}"),
        ),
        (
            {"signed": "{header:x-a}{timestamp}.{body}", "timestamp": "x-time"},
            ({"x-a": "7", "x-time": f"{NOW:.0f}"}, b'{"at": "%d.{"}' % NOW),
            ({"x-a": f'7{NOW:.0f}.{{"at": "', "x-time": f"{NOW:.0f}"}, b'{"}'),
        ),
        (
            {"signed": "{header:x-a}{url}{body}"},
            ({"x-a": "7"}, f'{{"to":"{URL}{{"}}'.encode()),
            ({"x-a": f'7{URL}{{"to":"'}, b'{"}'),
        ),
    ],
)
@pytest.mark.parametrize("kind", ["hmac", "public key"])
def test_the_same_content_is_not_read_in_another_way(
    options: dict[str, Any], genuine: tuple[dict[str, str], bytes], forged: tuple[dict[str, str], bytes], kind: str
) -> None:
    """What a stranger makes of one genuine delivery, with its signature, by moving bytes into or out of the body."""
    scheme = (
        HMACBody("key", signature="x-sig", encoding="base64", **options)
        if kind == "hmac"
        else PublicKeyBody(pem(ED25519[0]), algorithm="ed25519", signature="x-sig", **options)
    )

    def head(headers: dict[str, str], signature: bytes = b"") -> RequestHead:
        headers = dict(headers)
        target = b"/?" + headers.pop("?").encode() if "?" in headers else b"/"
        pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
        return came([*pairs, (b"x-sig", signature)] if signature else pairs, target=target, url=URL)

    headers, body = genuine
    sent = head({name: value for name, value in headers.items() if name != "x-time"})
    signed = scheme.sign(sent, body, NOW)
    assert scheme.verify(signed, NOW)(body).body
    headers, other = forged
    with pytest.raises(MalformedSignature):
        scheme.verify(head(headers, dict(signed.headers)[b"x-sig"]), NOW)(other)


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b'"text"', b"<order/>"])
def test_documents_are_told_from_optional_parts(body: bytes) -> None:
    scheme = HMACBody("key", signature="x-sig", signed=["{query?}", "{header:x-a?}", "{body}"], joined_by="\n")
    for more, target in [({}, b"/"), ({"x-a": "7"}, b"/"), ({"x-a": "2025-12-11, 06:50"}, b"/in?a=%5B1%5D&b=c")]:
        sent = RequestHead.of(more, target=target)
        assert scheme.verify(scheme.sign(sent, body, NOW), NOW)(body).body


@pytest.mark.parametrize("signed", ["{timestamp}{body}", "{body}{timestamp}", "{url}{timestamp}{body}"])
def test_a_time_without_a_separator_has_no_tolerance_of_years(signed: str) -> None:
    with pytest.raises(ConfigurationError, match="another time would do as well"):
        HMACBody("key", signature="x-sig", signed=signed, timestamp="x-time", tolerance=1e9)
    assert HMACBody("key", signature="x-sig", signed="{timestamp}.{body}", timestamp="x-time", tolerance=1e9)


# whatever strangers send

KINDS: dict[str, Callable[[Sequence[str]], HMACBody]] = {
    "request": lambda secrets: HMACBody(
        secrets,
        signature="x-sig",
        encoding="base64url-unpadded",
        signed=["{method}", "{target}", "{header:x-a}", "{id}", "{timestamp}", "{body}"],
        joined_by="\n",
        timestamp="x-time",
        timestamp_format="milliseconds",
        id="x-id",
    ),
    "by position": lambda secrets: HMACBody(
        secrets,
        signature="x-sig[1:]",
        timestamp="x-sig[0]",
        timestamp_format="rfc3339",
        signed="{timestamp}{body}",
        encoding="hex-any-case",
    ),
    "plain": lambda secrets: HMACBody(secrets, signature="x-sig", signed="{secret}{header:x-a}\n{body}"),
    "key id": lambda secrets: HMACBody(
        secrets, signature="x-sig", key_id="x-key", key_ids=[f"k{at}" for at, _ in enumerate(secrets)]
    ),
    "packed": lambda secrets: HMACBody(secrets, signature="x-sig", body_form=gunzipped),
    "form": lambda secrets: HMACBody(secrets, signature="x-sig", signed="{target}\n{form}"),
}
kinds = pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
names = st.sampled_from([b"x-sig", b"x-a", b"x-b", b"x-id", b"x-time", b"x-key"])
values = st.binary(max_size=80) | st.sampled_from([each for each in HOSTILE_VALUES if len(each) < 1000])
GIVEN = {"x-a": "1", "x-id": "2"}


@kinds
@given(headers=st.lists(st.tuples(names, values), max_size=8), data=st.data())
@settings(max_examples=60)
def test_strangers_get_verification_errors_only(
    make: Callable[[Sequence[str]], HMACBody], headers: list[tuple[bytes, bytes]], data: st.DataObject
) -> None:
    scheme = make(["a secret", "another"])
    genuine = scheme.sign(RequestHead.of(GIVEN, target="/in?a=1"), b"what=nobody-draws" * 9, NOW)
    if data.draw(st.booleans()):
        headers = [*dict([*genuine.headers, *headers]).items()]
    body, target, method = data.draw(st.binary(max_size=60)), data.draw(st.binary(max_size=9)), data.draw(st.text())
    with pytest.raises(VerificationError):
        scheme.verify(RequestHead(method, target, headers), NOW)(body)


@kinds
@given(body=st.binary(max_size=100).filter(lambda body: bytes(4) not in body and not body.startswith(b"\x1f\x8b")))
@settings(max_examples=40)
def test_what_is_signed_is_verified(make: Callable[[Sequence[str]], HMACBody], body: bytes) -> None:
    scheme = make(["a secret", "another"])
    if make is KINDS["form"]:
        body = urlencode({"a": body}).encode()
    signed = scheme.sign(RequestHead.of(GIVEN, target="/in?a=1"), body, NOW)
    assert scheme.verify(signed, NOW)(body).by == 0


@given(body=st.binary(max_size=200))
def test_no_form_of_a_body_raises_anything_but_a_value_error(body: bytes) -> None:
    for form in (gunzipped, escaped, canonical_json):
        try:
            assert isinstance(form(body), bytes)
        except ValueError:
            continue


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(document=json_values)
def test_a_canonical_form_is_its_own_canonical_form_and_says_the_same(document: Any) -> None:
    try:
        canonical = canonical_json(json.dumps(document).encode())
    except ValueError:
        return
    assert json.loads(canonical, parse_int=float) == document
    assert canonical_json(canonical) == canonical


def test_a_whole_number_beyond_2_to_the_53rd_is_taken_in_its_canonical_spelling_alone() -> None:
    assert canonical_json(b"[1152921504606847000]") == b"[1152921504606847000]"
    for number in (b"1152921504606846976", b"1152921504606847001", b"9" * 400, b"9" * 5000):
        with pytest.raises(ValueError, match="RFC 8785"):
            canonical_json(b"[%b]" % number)


# explain


def test_explain_finds_the_form_of_a_key() -> None:
    secret = "00ff" * 8
    headers = {"x-signature": hexed(BODY, bytes.fromhex(secret)).decode()}
    make = partial(HMACBody, signature="x-signature")
    assert [cause.name for cause in explain(headers, BODY, secret, make=make, now=NOW).causes] == ["key-form"]


@pytest.mark.parametrize("format", ["milliseconds", "rfc3339", "http-date"])
def test_explain_reads_the_times_that_senders_write(format: Any) -> None:
    make = partial(
        HMACBody,
        signature="x-signature",
        timestamp="x-timestamp",
        timestamp_format=format,
        signed="{timestamp}.{body}",
    )
    signed = make("key").sign(RequestHead.of({}), BODY, NOW).headers
    headers = {name.decode(): value.decode() for name, value in signed}
    assert explain(headers, BODY, "key", make=make, now=None).ok
    late = explain(headers, BODY, "key", make=make, now=NOW + 4000)
    assert late.authentic
    assert [cause.name for cause in late.causes] == ["stale"]


def test_explain_takes_the_time_of_the_signature_before_that_of_a_proxys_token() -> None:
    make = partial(
        HMACBody, signature="x-signature", timestamp="x-timestamp", timestamp_format="rfc3339",
        signed="{timestamp}{body}",
    )  # fmt: skip
    signed = make("key").sign(RequestHead.of({}), BODY, NOW).headers
    headers = {name.decode(): value.decode() for name, value in signed}
    token = ".".join(urlsafe_b64encode(each).decode().rstrip("=") for each in (b'{"a":1}', b'{"iat":1765433999}', b"x"))
    assert explain({"x-oidc-data": token, **headers}, BODY, "key", make=make, now=None).now == NOW


@pytest.mark.parametrize("encoding", ["base64-unpadded", "base64url", "base64url-unpadded"])
def test_explain_finds_a_signature_in_another_encoding(encoding: Any) -> None:
    make = partial(HMACBody, signature="x-signature", encoding=encoding)
    found = explain({"x-signature": hexed(BODY).decode()}, BODY, "key", make=make, now=NOW)
    assert [cause.name for cause in found.causes] == ["signature-encoding"]


# the contract of a scheme


class TestARequest(SchemeSuite):
    given = {"x-a": "1", "x-id": "2"}
    target = "/in?a=1"
    url = URL
    id_header = "x-id"
    past = future = 300

    def scheme(self, secrets: Sequence[str]) -> Scheme:
        return KINDS["request"](secrets)


class TestByPosition(SchemeSuite):
    past = future = 300
    spelt_freely = frozenset({"x-sig"})  # in upper case, with a blank, or with more signatures
    bits = 1

    def scheme(self, secrets: Sequence[str]) -> Scheme:
        return KINDS["by position"](secrets)


class TestAPlainHash(SchemeSuite):
    given = {"x-a": "1"}

    def scheme(self, secrets: Sequence[str]) -> Scheme:
        return KINDS["plain"](secrets)


class TestAPackedBody(SchemeSuite):
    def scheme(self, secrets: Sequence[str]) -> Scheme:
        return KINDS["packed"](secrets)


class TestAForm(SchemeSuite):
    covers_body = False
    body = b"a=1&b=2"

    def scheme(self, secrets: Sequence[str]) -> Scheme:
        return KINDS["form"](secrets)

    @pytest.mark.parametrize("body", [b"", b"=%00", b"a=%FF%FE", b"." * 1_000_000 + b"="])
    def test_a_body_is_bytes_whatever_they_are(self, body: bytes) -> None:
        super().test_a_body_is_bytes_whatever_they_are(body)


class TestKeysInHex(SchemeSuite):
    secrets = ("00ff", "01fe", "02fd")

    def scheme(self, secrets: Sequence[str]) -> Scheme:
        return HMACBody(secrets, signature="x-sig", encoding="base64-unpadded", hash="sha384", key="hex")


@pytest.mark.parametrize("texts", [[b"{}", b""], [b'{"a":', b"1}"], [b"", b"{}", b"\n"], [b"a"] * 100])
def test_a_gzip_of_several_members_is_what_is_in_them(texts: list[bytes]) -> None:
    assert gunzipped(b"".join(map(gzip.compress, texts))) == b"".join(texts)


@pytest.mark.parametrize(
    "body",
    [
        gzip.compress(b"{}") + b"{}",
        gzip.compress(b"{}") + gzip.compress(b"{}")[:-1],
        gzip.compress(b"{}") + gzip.compress(b"{}")[:2],
        gzip.compress(b"{}") * 101,
        gzip.compress(bytes(MAX_UNPACKED // 2 + 1)) * 2,
        gzip.compress(bytes(1024 * 1024)) + gzip.compress(b"{}"),
    ],
    ids=["text behind it", "cut off", "only begun", "too many", "a bomb of two", "a bomb by the second"],
)
def test_members_of_a_gzip_are_bounded_and_whole(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"the body('s gzip| has more)|behind the body's gzip"):
        gunzipped(body)
