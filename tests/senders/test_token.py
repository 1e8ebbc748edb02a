"""Bodies that are tokens: the token proves them, and the event is among its claims."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.senders.test_sender_suite import another
from tests.signatures.keys import pem
from webhook_receiver import (
    BadSignature,
    BearerJWT,
    ConfigurationError,
    MalformedSignature,
    Secret,
    Sender,
    VerificationError,
)
from webhook_receiver.delivery import RequestHead
from webhook_receiver.senders.catalogue import kinde
from webhook_receiver.senders.catalogue.examples import RSA_KEY
from webhook_receiver.senders.token import claims_document
from webhook_receiver.signatures.public_keys import private_key
from webhook_receiver.testing.sender_suite import NOW, SenderSuite

HEAD = RequestHead.of({"content-type": "application/jwt"})
KEYS = (RSA_KEY, another(RSA_KEY))


def token(key: str = RSA_KEY, algorithm: str = "RS256", **claims: Any) -> bytes:
    told = {"event_id": "e-1", "type": "user.created", "data": {"name": "é"}, "iat": int(NOW), **claims}
    secret = pem(private_key(Secret(key))) if algorithm == "RS256" else key
    return jwt.encode(told, secret, algorithm).encode()


class TestKinde(SenderSuite):
    secrets = KEYS
    given = {"content-type": "application/jwt"}
    event = "user.created"
    body = token()

    def sender(self, secrets: Sequence[str]) -> Sender:
        return kinde(secrets)

    def body_of(self, secrets: Sequence[str]) -> bytes:
        return token(secrets[0])


def test_a_token_that_is_the_body_proves_it_and_its_claims_are_the_document() -> None:
    sender = kinde(RSA_KEY)
    assert sender.decode is not None
    for body in (token(), token() + b"\n", token() + b"\r\n"):
        assert sender.scheme.verify(HEAD, NOW)(body).body
        assert json.loads(sender.decode(body))["data"] == {"name": "é"}


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{}", b"a.b.c", token()[:-1], token() + b".", b"Bearer " + token(), b'"' + token() + b'"'),
        *(token(KEYS[1]), token("a-secret-for-tests-of-32-bytes-or-more", "HS256"), token(exp=int(NOW) - 100)),
        *(token(iat=int(NOW) + 100), token(nbf=int(NOW) + 100), b"x" * 20_000),
        b".".join([urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"="), token().split(b".")[1], b""]),
    ],
    ids=range(14),
)
def test_what_is_no_token_of_ours_is_rejected(body: bytes) -> None:
    with pytest.raises(VerificationError):
        kinde(RSA_KEY).scheme.verify(HEAD, NOW)(body)


def test_a_token_in_a_header_is_not_looked_at() -> None:
    head = RequestHead.of({"authorization": "Bearer " + token().decode()})
    with pytest.raises(MalformedSignature, match="the body holds no signed token"):
        kinde(RSA_KEY).scheme.verify(head, NOW)(b"{}")


def test_a_body_is_signed_for_tests() -> None:
    scheme = kinde(RSA_KEY).scheme
    assert isinstance(scheme, BearerJWT)
    body = scheme.sign_body(b'{"type": "user.created", "event_id": "e-1"}', NOW)
    assert json.loads(claims_document(body))["type"] == "user.created"
    assert scheme.sign(HEAD, body, NOW) == HEAD
    assert scheme.sign_body(body, NOW) == body
    with pytest.raises(ConfigurationError, match="JSON object"):
        scheme.sign_body(b"[]", NOW)
    for wrong in (b"{}", token(KEYS[1])):
        with pytest.raises(ConfigurationError, match="the body has to be the token"):
            scheme.sign(HEAD, wrong, NOW)
    with pytest.raises(ConfigurationError, match="another key than the first"):
        kinde(KEYS).scheme.sign(HEAD, token(KEYS[1]), NOW)
    assert not hasattr(BearerJWT("a-secret-for-tests-of-32-bytes-or-more", algorithm="HS256"), "sign_body")


@pytest.mark.parametrize("options", [{"prefix": "Bearer "}, {"prefix": "", "body_claim": "sha256"}])
def test_a_token_that_is_the_body_has_no_prefix_and_no_hash_of_it(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="header=None"):
        BearerJWT("a-secret-for-tests-of-32-bytes-or-more", algorithm="HS256", header=None, **options)


@pytest.mark.parametrize("body", [b"", b"{}", b"a.b", b"a.b.c", b"a.W10.c", b"a..c", b"a." + b"!" * 9 + b".c", b"\xff"])
def test_another_body_stays_as_it_is(body: bytes) -> None:
    assert claims_document(body) == body


# by the same keys an account signs other tokens


@pytest.mark.parametrize(
    "claims",
    [
        {"azp": "client"},
        {"scp": ["openid"]},
        {"scp": None},
        {"aud": []},
        {"aud": "api"},
        *({name: value} for name in ("type", "event_id") for value in (None, "")),
    ],
)
def test_a_token_that_is_none_of_an_event_is_rejected(claims: dict[str, Any]) -> None:
    with pytest.raises(BadSignature):
        kinde(RSA_KEY).scheme.verify(HEAD, NOW)(token(**claims))


def test_a_token_that_is_the_body_may_be_as_long_as_a_body() -> None:
    body = token(data={"name": "x" * 500_000})
    assert kinde(RSA_KEY).scheme.verify(HEAD, NOW)(body).body
    assert len(claims_document(body)) > 500_000


@pytest.mark.parametrize("around", [b"\n%b", b"\r\n%b\n", b" %b", b"%b ", b"%b\t", b"%b\n \n"])
def test_what_stands_around_a_token_is_neither_proven_nor_read(around: bytes) -> None:
    body = around % token()
    with pytest.raises(MalformedSignature):
        kinde(RSA_KEY).scheme.verify(HEAD, NOW)(body)
    assert claims_document(body) == body


@pytest.mark.parametrize(
    "written", [b' {"n": 1}', b'\r\n\t{"n": 1}', '{"n": 1}'.encode("utf-16"), b'\xef\xbb\xbf{"n": 1}']
)
def test_claims_are_read_as_they_are_verified(written: bytes) -> None:
    scheme = BearerJWT("a-secret-for-tests-of-32-bytes-or-more", algorithm="HS256", header=None, prefix="")
    body = jwt.PyJWS().encode(written, "a-secret-for-tests-of-32-bytes-or-more", "HS256").encode()
    assert scheme.verify(HEAD, NOW)(body).body
    assert json.loads(claims_document(body)) == {"n": 1}


def test_copies_of_one_token_are_one_delivery() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    scheme = BearerJWT(pem(key), algorithm="ES256", header=None, prefix="")
    body = jwt.encode({"type": "a"}, key, "ES256").encode()
    content, _, signature = body.rpartition(b".")
    raw = urlsafe_b64decode(signature + b"==")
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of the curve (FIPS 186-4, D.1.2.3)
    twin = raw[:32] + (order - int.from_bytes(raw[32:], "big")).to_bytes(32, "big")
    copies = (body, body + b"\n", body + b"\r\n\r\n", content + b"." + urlsafe_b64encode(twin).rstrip(b"="))
    assert {scheme.verify(HEAD, NOW)(each).form for each in copies} == {content}
    other = jwt.encode({"type": "b"}, key, "ES256").encode()
    assert scheme.verify(HEAD, NOW)(other).form != content
