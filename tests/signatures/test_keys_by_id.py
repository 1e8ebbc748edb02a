"""Keys that are fetched one by one: for ids that can be some, bounded, and while a certificate is valid."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm

from tests.signatures.keys import pem
from webhook_receiver import (
    BadSignature,
    BearerJWT,
    ConfigurationError,
    PublicKeyBody,
    StaleSignature,
    UnknownEvent,
    VerificationError,
    WebhookReceiver,
)
from webhook_receiver.delivery import RequestHead
from webhook_receiver.errors import KeysUnavailable, MissingSignature
from webhook_receiver.senders.catalogue import kinde, paypal, plaid
from webhook_receiver.senders.catalogue.examples import P256_KEY, RSA_KEY
from webhook_receiver.senders.paypal import CERTIFICATES, certificates, signature
from webhook_receiver.senders.plaid import keys
from webhook_receiver.signatures import KeysNeeded, Secret
from webhook_receiver.signatures.fetching import fetch_now
from webhook_receiver.signatures.keys_by_id import KeysById
from webhook_receiver.signatures.public_keys import private_key

NOW = 1_765_433_012.0
BODY = b'{"webhook_type": "ITEM", "webhook_code": "ERROR", "event_type": "PAYMENT.CAPTURE.COMPLETED"}'
RSA: Any = private_key(Secret(RSA_KEY))
P256: Any = private_key(Secret(P256_KEY))
URL = "https://api.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594-1d93a270"


def certificate(begin: int = 2025, end: int = 2035) -> bytes:
    name = x509.Name([])
    made = (
        x509.CertificateBuilder(name, name, RSA.public_key(), 7)
        .not_valid_before(datetime(begin, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(end, 1, 1, tzinfo=UTC))
        .sign(RSA, SHA256())
    )
    return made.public_bytes(Encoding.PEM)


def jwk(key: Any = None, **more: object) -> dict[str, object]:
    return {**json.loads(ECAlgorithm.to_jwk((key or P256).public_key())), "kid": "key-1", **more}


class Told:
    """What an API tells of keys, and what it was asked."""

    def __init__(self, found: Mapping[str, Any]) -> None:
        self.found = found
        self.asked: list[str] = []

    async def __call__(self, id: str) -> Any:
        self.asked.append(id)
        return self.found.get(id)


def from_paypal(url: str = URL, body: bytes = BODY, now: float = NOW, webhook_id: str = "WH-1") -> RequestHead:
    head = RequestHead.of({"content-type": "application/json", "paypal-cert-url": url})
    return signature(RSA_KEY, webhook_id=webhook_id).sign(head, body, now)


def from_plaid(kid: str | None = "key-1", body: bytes = BODY, now: float = NOW) -> RequestHead:
    from hashlib import sha256

    import jwt

    claims = {"iat": int(now), "request_body_sha256": sha256(body).hexdigest()}
    token = jwt.encode(claims, pem(P256), "ES256", headers={} if kid is None else {"kid": kid})
    return RequestHead.of({"plaid-verification": token})


def verified(scheme: Any, head: RequestHead, body: bytes = BODY, now: float = NOW) -> Any:
    """Return the result of a verification, with what has to be fetched fetched first."""
    try:
        return scheme.verify(head, now)(body)
    except KeysNeeded as needed:
        fetch_now(needed)
        return scheme.verify(head, now)(body)


def test_a_certificate_of_paypal_is_fetched_once_and_proves_the_id_and_the_time_and_no_body() -> None:
    told = Told({URL: certificate()})
    scheme = signature(certificates(told), webhook_id="WH-1")
    for _ in range(3):
        found = verified(scheme, from_paypal())
        assert (found.by, found.body, found.fresh) == (0, False, True)
        assert found.id
    assert told.asked == [URL]
    with pytest.raises(BadSignature):
        verified(scheme, from_paypal(webhook_id="WH-2"))
    with pytest.raises(BadSignature):
        verified(scheme, from_paypal(), b"{}")


@pytest.mark.parametrize(
    "url",
    [
        *(URL.replace("https", "http"), URL.replace("paypal.com", "paypal.com.example.com"), URL + "?a=b", URL + "#a"),
        *(
            URL.replace("api.", "api-"),
            URL.replace("api.", "evil.example/api."),
            URL + "/../../x",
            "https://a@" + URL[8:],
        ),
        *(URL.replace("com/", "com:444/"), URL.upper(), " " + URL, URL + "\n", "", "x" * 5000, URL[:-60] + "é" * 9),
    ],
    ids=range(15),
)
def test_no_other_url_is_ever_requested(url: str) -> None:
    told = Told({})
    head = from_paypal()
    changed = [(name, url.encode() if name == b"paypal-cert-url" else value) for name, value in head.headers]
    with pytest.raises(VerificationError):
        verified(signature(certificates(told), webhook_id="WH-1"), head._replace(headers=changed))
    assert told.asked == []


def test_the_certificate_of_the_sandbox_is_one_too() -> None:
    url = URL.replace("api.", "api.sandbox.")
    assert verified(signature(certificates(Told({url: certificate()})), webhook_id="WH-1"), from_paypal(url)).by == 0


def test_a_certificate_counts_while_it_is_valid() -> None:
    for years in ((2020, 2025), (2027, 2030)):
        scheme = signature(certificates(Told({URL: certificate(*years)})), webhook_id="WH-1")
        with pytest.raises(BadSignature, match="not valid at this time"):
            verified(scheme, from_paypal())


@pytest.mark.parametrize(("age", "is_taken"), [(-61, False), (-60, True), (-1, True), (300, True), (301, False)])
def test_a_token_of_plaid_is_valid_for_5_minutes_and_a_clock_may_be_a_minute_behind(age: int, is_taken: bool) -> None:
    scheme = plaid(keys(Told({"key-1": jwk()}))).scheme
    with nullcontext() if is_taken else pytest.raises(StaleSignature):
        assert verified(scheme, from_plaid(now=NOW - age)).body


def test_a_key_is_what_an_api_tells_as_a_jwk_or_pem() -> None:
    public = P256.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for found in (jwk(), json.dumps(jwk()).encode(), public):
        told = Told({"key-1": found})
        scheme = plaid(keys(told)).scheme
        assert [verified(scheme, from_plaid()).body for _ in range(2)] == [True, True]
        assert told.asked == ["key-1"]


def test_a_key_that_is_not_known_is_asked_for_once_in_half_a_minute() -> None:
    told = Told({"key-1": jwk()})
    scheme = plaid(keys(told)).scheme
    for _ in range(3):
        with pytest.raises(BadSignature, match="does not know"):
            verified(scheme, from_plaid("key-2"))
    assert told.asked == ["key-2"]
    with pytest.raises(BadSignature, match="by the pattern"):
        verified(scheme, from_plaid("../key"))
    with pytest.raises(MissingSignature, match="names no key"):
        verified(scheme, from_plaid(None))
    assert told.asked == ["key-2"]


def test_of_ids_that_strangers_make_up_eight_at_most_are_looked_up() -> None:
    told = Told({})
    scheme = plaid(keys(told)).scheme
    outcomes: list[type[Exception]] = []
    for number in [*range(12)] * 2:
        with pytest.raises((BadSignature, KeysUnavailable)) as caught:
            verified(scheme, from_plaid(f"made-up-{number}"))
        outcomes.append(caught.type)
    assert outcomes[:12] == [BadSignature] * 4 + [KeysUnavailable] * 8, "half is for those that come again"
    assert outcomes[12:] == [BadSignature] * 8 + [KeysUnavailable] * 4
    assert len(told.asked) == 8


@pytest.mark.parametrize(
    "found",
    [b"", b"[]", b"no key", {}, {"kty": "RSA"}, jwk(d="AAAA"), pem(P256).encode(), b"-----BEGIN CERTIFICATE-----", []],
    ids=range(9),
)
def test_what_is_no_public_key_is_none(found: Any) -> None:
    with pytest.raises(KeysUnavailable, match="no public key"):
        verified(plaid(keys(Told({"key-1": found}))).scheme, from_plaid())


def test_a_key_for_another_algorithm_proves_nothing() -> None:
    other = ec.generate_private_key(ec.SECP384R1())
    for found in (jwk(other), certificate(), jwk(alg="ES384")):
        with pytest.raises(BadSignature, match="another algorithm"):
            verified(plaid(keys(Told({"key-1": found}))).scheme, from_plaid())
    with pytest.raises(BadSignature, match="does not give this signature"):
        verified(plaid(keys(Told({"key-1": jwk(ec.generate_private_key(ec.SECP256R1()))}))).scheme, from_plaid())


async def test_while_an_api_is_away_the_sender_is_answered_503_and_then_taken() -> None:
    away, now = [True], [NOW]

    async def load(id: str) -> Any:
        if away[0]:
            raise RuntimeError("no route")
        return jwk()

    hooks = WebhookReceiver(sender=plaid(keys(load)), clock=lambda: now[0])
    handled: list[str] = []

    @hooks.on("ITEM.ERROR")
    async def take(event: UnknownEvent) -> None:
        handled.append(event.event)

    async def status() -> int:
        return (await hooks.receive(from_plaid().headers, BODY)).response.status

    assert (await status(), handled) == (503, [])
    away[0], now[0] = False, NOW + 10
    assert (await status(), handled) == (204, ["ITEM.ERROR"])


def test_a_mistake_is_told_when_the_sender_is_made() -> None:
    with pytest.raises(ConfigurationError, match="webhook_id"):
        paypal()
    with pytest.raises(ConfigurationError, match="webhook_id"):
        paypal(RSA_KEY, webhook_id="{body}")
    with pytest.raises(ConfigurationError, match="domain"):
        kinde()
    with pytest.raises(ConfigurationError, match="domain"):
        kinde(domain="acme.kinde.com")
    assert kinde(domain="https://acme.kinde.com").scheme.secret_count == 1
    assert paypal(webhook_id="WH-1").scheme.secret_count == 1
    load = Told({})
    with pytest.raises(ConfigurationError, match="async function"):
        KeysById("load", pattern="a")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="regular expression"):
        KeysById(load, pattern="(")
    by_id = KeysById(load, pattern=CERTIFICATES)
    with pytest.raises(ConfigurationError, match="key_id"):
        PublicKeyBody(by_id, algorithm="ed25519", signature="x-sig")
    with pytest.raises(ConfigurationError, match="HS256"):
        BearerJWT(by_id, algorithm="HS256")
    with pytest.raises(ConfigurationError, match="cannot sign with public keys"):
        plaid(keys(load)).scheme.sign(RequestHead.of({}), BODY, NOW)
    assert repr(by_id) == "<keys by their ids>"


@pytest.mark.parametrize("extra", ["jwt", "cryptography"])
def test_the_missing_extra_is_named(extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "webhook_receiver.signatures.keys_by_id.find_spec", lambda name: None if name == extra else object()
    )
    with pytest.raises(ConfigurationError, match=r"\[jwt\]"):
        KeysById(Told({}), pattern="a")


@pytest.mark.parametrize("written", [dict, lambda found: json.dumps(found).encode()])
@pytest.mark.parametrize(
    ("expired_at", "is_valid"),
    [(None, True), (NOW + 1, True), (int(NOW) + 60, True), (NOW - 1, False), (1_560_466_150, False), (0, False)],
)
def test_a_key_that_has_expired_counts_no_more(written: Any, expired_at: float | None, is_valid: bool) -> None:
    scheme = plaid(keys(Told({"key-1": written(jwk(expired_at=expired_at, created_at=1))}))).scheme
    if is_valid:
        assert verified(scheme, from_plaid()).body
    else:
        with pytest.raises(BadSignature, match="not valid at this time"):
            verified(scheme, from_plaid())


@pytest.mark.parametrize("expired_at", ["1560466150", True, [], {}])
def test_a_key_whose_end_is_no_time_is_no_key(expired_at: object) -> None:
    with pytest.raises(KeysUnavailable):
        verified(plaid(keys(Told({"key-1": jwk(expired_at=expired_at)}))).scheme, from_plaid())
