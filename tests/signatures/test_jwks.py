"""Public keys at a URL, served here by real servers that do it well or badly, and by none at all."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import ssl
from base64 import b64encode
from collections.abc import AsyncGenerator, Sequence
from functools import partial
from typing import Any

import httpx
import jwt
import pytest
import trustme

from tests.helpers import NOW, noting
from webhook_receiver import (
    JWKS,
    AnyOf,
    BearerJWT,
    ConfigurationError,
    HMACBody,
    KeysUnavailable,
    PublicKeyBody,
    Sender,
    StandardWebhooks,
    WebhookReceiver,
)
from webhook_receiver.delivery import RequestHead
from webhook_receiver.senders.challenges import echo
from webhook_receiver.signatures import KeysNeeded, Scheme
from webhook_receiver.signatures.fetching import INTERVAL, with_keys
from webhook_receiver.signatures.http_get import MAX_DOCUMENT
from webhook_receiver.testing.scheme_suite import SchemeSuite

from .key_server import Answer, Fetching, jwk, jwks, ok, serving, status
from .keys import ED25519, P256, P384, RSA, pem, whsec

BODY = b'{"event": "parcel.lost"}'


def keyed(url: str, **options: Any) -> PublicKeyBody:
    return PublicKeyBody(JWKS(url, **options), signature="x-sig", algorithm="ed25519")


def hooks_for(scheme: Scheme, **options: Any) -> WebhookReceiver:
    sender = Sender(name="acme", scheme=scheme, facts=("made up",))
    return noting(sender=sender, **options).hooks


def signed(key: int = 0, **members: str) -> dict[str, str]:
    return {"x-sig": b64encode(ED25519[key].sign(BODY)).decode(), **members}


def bearer(key: Any, algorithm: str = "RS256", claims: Any = None, **header: Any) -> dict[str, str]:
    return {"authorization": "Bearer " + jwt.encode(claims or {}, key, algorithm=algorithm, headers=header)}


async def statuses(hooks: WebhookReceiver, *deliveries: dict[str, str]) -> list[int]:
    return [(await hooks.receive(each, BODY)).response.status for each in deliveries]


# what is genuine


@pytest.mark.parametrize(
    ("algorithm", "key", "sign"),
    [
        ("ed25519", ED25519[0], None),
        ("rsa-v1_5-sha256", RSA[0], None),
        ("rsa-v1_5-sha512", RSA[0], None),
        ("ecdsa-p256-sha256", P256[0], None),
        ("ecdsa-p384-sha384", P384[0], None),
    ],
)
async def test_keys_of_every_kind_are_fetched_and_verify(algorithm: Any, key: Any, sign: None) -> None:
    options: dict[str, Any] = {"signature": "x-sig", "algorithm": algorithm}
    every = [jwk(each) for each in (ED25519[1], RSA[1], P256[1], P384[1], ED25519[0], RSA[0], P256[0], P384[0])]
    head = PublicKeyBody(pem(key), **options).sign(RequestHead.of({}), BODY, NOW)
    async with serving(ok(jwks(*every))) as served:
        hooks = hooks_for(PublicKeyBody(JWKS(served.url), **options))
        receipt = await hooks.receive(head.headers, BODY)
        assert receipt.response.status == 204
        assert receipt.delivery is not None
        assert receipt.delivery.verified_by == 0
        assert (await hooks.receive(head.headers, BODY + b" ")).response.status == 401
        assert served.paths == ["/keys"]


@pytest.mark.parametrize(
    ("algorithm", "keys"), [("RS256", RSA), ("ES256", P256), ("EdDSA", ED25519)], ids=["RS256", "ES256", "EdDSA"]
)
async def test_a_token_is_verified_by_the_key_that_it_names_or_by_any(algorithm: Any, keys: list[Any]) -> None:
    published = jwks(jwk(keys[1], kid="one", alg=algorithm), jwk(keys[0], kid="two", use="sig", key_ops=["verify"]))
    async with serving(ok(published)) as served:
        hooks = hooks_for(BearerJWT(JWKS(served.url), algorithm=algorithm))
        good = [
            bearer(keys[0], algorithm, kid="two"),
            bearer(keys[1], algorithm, kid="one"),
            bearer(keys[0], algorithm),
        ]
        assert await statuses(hooks, *good) == [204] * 3
        wrong = [bearer(keys[0], algorithm, kid="one"), bearer(keys[0], algorithm, kid="three")]
        assert await statuses(hooks, *wrong) == [401] * 2
        assert served.paths == ["/keys"]


async def test_over_tls_the_certificate_of_the_host_has_to_be_right(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    async with serving(ok(jwks(jwk(ED25519[0]))), tls) as served:
        assert await statuses(hooks_for(keyed(served.url)), signed()) == [503]
        assert served.paths == []

        async def trusting(url: str) -> bytes:
            import httpx

            context = ssl.create_default_context()
            authority.configure_trust(context)
            async with httpx.AsyncClient(verify=context) as client:
                return (await client.get(url)).content

        assert await statuses(hooks_for(keyed(served.url, fetch=trusting)), signed()) == [204]
        assert served.paths == ["/keys"]


async def test_a_key_is_named_in_a_header() -> None:
    published = jwks(jwk(ED25519[0], kid="one"), jwk(ED25519[1], kid="two"))
    async with serving(ok(published)) as served:
        scheme = PublicKeyBody(JWKS(served.url), signature="x-sig", algorithm="ed25519", key_id="x-key")
        hooks = hooks_for(scheme)
        given = [signed(0, **{"x-key": "one"}), signed(1, **{"x-key": "two"}), signed(0, **{"x-key": "two"}), signed(0)]
        assert await statuses(hooks, *given) == [204, 204, 401, 401]


# rotation, and strangers


async def test_a_new_key_counts_with_the_first_delivery_that_names_it() -> None:
    now = [NOW]
    async with serving(ok(jwks(jwk(RSA[0], kid="old")))) as served:
        hooks = hooks_for(BearerJWT(JWKS(served.url), algorithm="RS256"), clock=None)
        hooks = WebhookReceiver(sender=hooks.sender, clock=lambda: now[0])
        old, new = bearer(RSA[0], kid="old"), bearer(RSA[1], kid="new")
        assert await statuses(hooks, old) == [204]
        served.answer = ok(jwks(jwk(RSA[0], kid="old"), jwk(RSA[1], kid="new")))
        now[0] += INTERVAL
        assert await statuses(hooks, new, old) == [204, 204]
        assert len(served.paths) == 2


async def test_a_stranger_does_not_make_us_hammer_the_host() -> None:
    now = [NOW]
    async with serving(ok(jwks(jwk(RSA[0], kid="known")))) as served:
        scheme = BearerJWT(JWKS(served.url), algorithm="RS256")
        hooks = WebhookReceiver(sender=Sender(name="acme", scheme=scheme, facts=("made up",)), clock=lambda: now[0])
        for number in range(50):
            now[0] += 1
            forged = bearer(RSA[1], kid=f"{number}"), bearer(RSA[1], kid="known"), bearer(RSA[1])
            assert await statuses(hooks, *forged) == [503 if number % 30 else 401] * 3
        assert len(served.paths) == 2
        assert hooks.rejected == {"BadSignature": 6, "KeysUnavailable": 144}


@pytest.mark.parametrize("named", [True, False])
async def test_a_key_that_is_published_after_a_stranger_had_the_set_fetched_loses_no_delivery(named: bool) -> None:
    now = [NOW]
    old, new = jwk(RSA[0], kid="old"), jwk(RSA[1], kid="new")
    async with serving(ok(jwks(old))) as served:
        scheme = BearerJWT(JWKS(served.url), algorithm="RS256")
        hooks = WebhookReceiver(sender=Sender(name="acme", scheme=scheme, facts=("made up",)), clock=lambda: now[0])
        assert await statuses(hooks, bearer(RSA[1], kid="made-up" if named else "old")) == [401]
        served.answer = ok(jwks(old, new))
        given = bearer(RSA[1], kid="new") if named else bearer(RSA[1])
        for now[0] in (NOW + 1, NOW + INTERVAL - 1):
            receipt = await hooks.receive(given, BODY)
            assert (receipt.response.status, receipt.response.headers["retry-after"]) == (503, "10")
            assert await statuses(hooks, bearer(RSA[0], kid="old")) == [204], "and what is known goes on"
        assert len(served.paths) == 1
        now[0] = NOW + INTERVAL
        assert await statuses(hooks, given) == [204]


async def test_while_a_set_cannot_be_fetched_again_another_scheme_accepts_its_own() -> None:
    now = [NOW]
    async with serving(ok(jwks(jwk(RSA[0], kid="known")))) as served:
        scheme = AnyOf(BearerJWT(JWKS(served.url), algorithm="RS256"), StandardWebhooks(whsec("a")))
        hooks = WebhookReceiver(sender=Sender(name="acme", scheme=scheme, facts=("made up",)), clock=lambda: now[0])
        assert await statuses(hooks, bearer(RSA[0], kid="known")) == [204]
        now[0] += 1
        forged = bearer(RSA[1], kid="made-up")
        own = dict(StandardWebhooks(whsec("a")).sign(RequestHead.of(forged), BODY, NOW).headers)
        both = {name.decode(): value.decode() for name, value in own.items()}
        assert await statuses(hooks, forged, both) == [503, 204]
        assert len(served.paths) == 1


@pytest.mark.parametrize(
    "forged",
    [
        {"authorization": "Bearer " + jwt.encode({}, "", algorithm="none")},
        bearer("a secret of thirty-two bytes, or more", "HS256", kid="known"),
        bearer(P256[0], "ES256", kid="known"),
        bearer(RSA[0], "RS256", kid="x" * 1_000_000),
        {"authorization": "Bearer e30.e30.e30"},
        {"authorization": "Bearer " + bearer(RSA[0], "RS256", kid="known")["authorization"]},
        {"authorization": "Basic YTpi"},
        {},
    ],
    ids=["none", "HS256", "ES256", "huge", "no algorithm", "twice", "basic", "nothing"],
)
async def test_no_token_that_cannot_be_right_has_keys_fetched(forged: dict[str, str]) -> None:
    async with serving(ok(jwks(jwk(RSA[0], kid="known")))) as served:
        hooks = hooks_for(BearerJWT(JWKS(served.url), algorithm="RS256"))
        assert await statuses(hooks, forged) == [401]
        assert served.paths == []


async def test_no_url_that_a_token_or_a_key_names_is_requested() -> None:
    async with (
        serving(ok(b"{}")) as other,
        serving(ok(jwks(jwk(RSA[0], kid="a", x5u="http://127.0.0.1:1/")))) as served,
    ):
        hooks = hooks_for(BearerJWT(JWKS(served.url), algorithm="RS256"))
        own = jwk(RSA[1])
        forged = [bearer(RSA[1], jku=other.url, kid="b"), bearer(RSA[1], x5u=other.url), bearer(RSA[1], jwk=own)]
        assert await statuses(hooks, *forged) == [401] * 3
        assert other.paths == []


# hosts


async def never() -> bytes:
    await asyncio.Event().wait()
    return b""


HOSTS: dict[str, tuple[Answer, str]] = {
    "slow": (never, "took more than 0.05 s"),
    "failing": (status("500 Oops"), "answered 500"),
    "not found": (status("404 Not Found"), "answered 404"),
    "empty": (status("204 No Content"), "answered 204"),
    "redirecting": (status("302 Found", b"location: http://127.0.0.1:1/"), "answered 302: redirects are not followed"),
    "moved": (status("301 Moved", b"location: /other"), "answered 301: redirects are not followed"),
    "gone": (b"", "gave no answer: RemoteProtocolError"),
    "no HTTP": (b"220 mail.example.com ESMTP\r\n", "gave no answer: RemoteProtocolError"),
    "huge": (ok(b"[" * (MAX_DOCUMENT + 1)), "more than 262144 bytes"),
    "nested": (ok(b"[" * 200_000), "not JSON"),
    "compressed": (ok(b"{}", b"content-encoding: gzip"), "a Content-Encoding that was not asked for"),
    "a page": (ok(b"<html>"), "not JSON"),
    "a list": (ok(b"[]"), "no set of public keys"),
    "no keys": (ok(b'{"keys": []}'), "no set of public keys"),
    "no list": (ok(b'{"keys": {"kty": "RSA"}}'), "no set of public keys"),
    "many keys": (ok(jwks(*[jwk(ED25519[1])] * 101)), "more than 100"),
}


@pytest.mark.parametrize("host", HOSTS)
async def test_while_the_host_is_not_well_deliveries_are_answered_503(
    host: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer, why = HOSTS[host]
    async with serving(answer) as served:
        receipt = await hooks_for(keyed(served.url, timeout=0.05 if answer is never else 5)).receive(signed(), BODY)
        assert len(served.paths) <= 1  # of a slow host, the connection may take all the time
    assert receipt.response.status == 503
    assert receipt.response.headers["retry-after"] == "10"
    assert isinstance(receipt.error, KeysUnavailable)
    assert why in str(receipt.error)
    assert [record.levelname for record in caplog.records if record.name == "webhook_receiver"] == ["ERROR"]
    assert why in caplog.text
    assert signed()["x-sig"] not in caplog.text


async def test_a_host_that_is_away_is_a_503_and_known_keys_go_on() -> None:
    now = [NOW]
    async with serving(ok(jwks(jwk(ED25519[0])))) as served:
        sender = Sender(name="acme", scheme=keyed(served.url, lifetime=60, max_stale=600), facts=("made up",))
        hooks = WebhookReceiver(sender=sender, clock=lambda: now[0])
        assert await statuses(hooks, signed()) == [204]
    now[0] += 600
    assert await statuses(hooks, signed(), signed(1)) == [204, 503], "another key may be the host's new one"
    now[0] += 61
    assert await statuses(hooks, signed()) == [503]
    assert hooks.rejected == {"KeysUnavailable": 2}


async def test_a_hundred_deliveries_at_once_are_one_request() -> None:
    go = asyncio.Event()

    async def slow() -> bytes:
        await go.wait()
        return ok(jwks(jwk(ED25519[0])))

    async with serving(slow) as served:
        hooks = hooks_for(keyed(served.url))
        waiting = [asyncio.create_task(hooks.receive(signed(), BODY)) for _ in range(100)]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)  # of those that are one too many
        go.set()
        answered = [receipt.response.status for receipt in await asyncio.gather(*waiting)]
        assert sorted(answered) == [204] * 64 + [503] * 36
        assert len(served.paths) == 1


async def test_while_a_host_is_slow_those_who_cannot_wait_are_verified_by_known_keys_at_once() -> None:
    now, go, document = [NOW], asyncio.Event(), ok(jwks(jwk(ED25519[0])))
    async with serving(document) as served:
        sender = Sender(name="acme", scheme=keyed(served.url, lifetime=60), facts=("made up",))
        hooks = WebhookReceiver(sender=sender, clock=lambda: now[0])
        assert await statuses(hooks, signed()) == [204]

        async def slow() -> bytes:
            await go.wait()
            return document

        now[0] += 60
        served.answer = slow
        waiting = [asyncio.create_task(hooks.receive(signed(), BODY)) for _ in range(100)]
        assert {receipt.response.status for receipt in await asyncio.gather(*waiting[64:])} == {204}
        assert not any(task.done() for task in waiting[:64])
        assert await statuses(hooks, signed()) == [204]
        go.set()
        assert {receipt.response.status for receipt in await asyncio.gather(*waiting)} == {204}
        assert len(served.paths) == 2


@pytest.mark.parametrize(
    "unfit",
    [
        jwk(ED25519[0], use="enc"),
        jwk(ED25519[0], key_ops=["sign"]),
        jwk(ED25519[0], key_ops="verify"),
        jwk(ED25519[0], alg="ES256"),
        jwk(ED25519[0], alg=7),
        jwk(ED25519[0], kid=7),
        jwk(ED25519[0], kty=["OKP"]),
        jwk(ED25519[0], d="AAAA"),
        jwk(ED25519[0], x="AAAA"),
        {"kty": "OKP"},
        {"kty": "oct", "k": "c2VjcmV0"},
        {},
        None,
        "key",
    ],
    ids=lambda each: json.dumps(each)[-30:],
)
async def test_what_is_no_public_key_for_signatures_verifies_nothing(unfit: Any) -> None:
    async with serving(ok(jwks(unfit, jwk(ED25519[1])))) as served:
        assert await statuses(hooks_for(keyed(served.url)), signed(0), signed(1)) == [401, 204]


# what cannot work


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://example.com/keys", "a URL of https"),
        ("http://127.0.0.1.example.com/keys", "a URL of https"),
        ("ftp://example.com/keys", "a URL of https"),
        ("file:///etc/passwd", "an absolute URL"),
        ("https:///keys", "an absolute URL"),
        ("example.com/keys", "an absolute URL"),
        ("https://example.com:port/keys", "an absolute URL"),
        ("https://[example.com/keys", "an absolute URL"),
        ("https://exa mple.com/keys", "an absolute URL"),
        ("https://example.com/\nkeys", "an absolute URL"),
        ("https://user:password@example.com/keys", "a user name or password"),
        ("", "an absolute URL"),
        (None, "an absolute URL"),
    ],
)
def test_a_url_that_cannot_work_is_rejected_without_being_told(url: Any, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why) as rejected:
        JWKS(url)
    assert "password@" not in str(rejected.value)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "[::1]"])
def test_this_machine_may_be_asked_without_tls(host: str) -> None:
    assert "JWKS of" in repr(JWKS(f"http://{host}:8080/keys"))


@pytest.mark.parametrize("option", [{"lifetime": 0}, {"max_stale": -1}, {"timeout": float("inf")}, {"fetch": "a"}])
def test_an_option_that_cannot_work_is_rejected(option: Any) -> None:
    with pytest.raises(ConfigurationError):
        JWKS("https://example.com/keys", **option)


def test_a_jwks_is_not_for_every_scheme() -> None:
    keys = JWKS("https://example.com/keys")
    with pytest.raises(ConfigurationError, match="HS256 takes a secret"):
        BearerJWT(keys, algorithm="HS256")
    with pytest.raises(ConfigurationError, match="a secret is a text, not JWKS"):
        HMACBody(keys, signature="x-sig")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="any number of secrets for 2 places"):
        PublicKeyBody(keys, signature=["x-a", "x-b"], algorithm="ed25519")
    with pytest.raises(ConfigurationError, match="key_ids has an id for each secret"):
        PublicKeyBody(keys, signature="x-a", algorithm="ed25519", key_id="x-key", key_ids=["one"])
    for scheme in (PublicKeyBody(keys, signature="x-a", algorithm="ed25519"), BearerJWT(keys, algorithm="RS256")):
        with pytest.raises(ConfigurationError, match=r"cannot sign with public keys, <JWKS of example\.com>"):
            scheme.sign(RequestHead.of({}), BODY, NOW)


@pytest.mark.parametrize(("module", "extra"), [("jwt", "jwt"), ("cryptography", "jwt"), ("httpx", "standard")])
def test_a_missing_extra_is_named(module: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec

    def without(name: str) -> Any:
        return None if name == module else find(name)

    for place in ("jwks", "http_get"):
        monkeypatch.setattr(f"webhook_receiver.signatures.{place}.find_spec", without)
    with pytest.raises(ConfigurationError, match=rf"\[{extra}\]"):
        JWKS("https://example.com/keys")


# in an app


async def test_over_http_the_keys_are_fetched_before_the_body_is_read() -> None:
    begun = list[str]()

    async def failing() -> bytes:
        begun.append("fetch")
        return status("500 Oops")

    async def body() -> AsyncGenerator[bytes]:
        begun.append("body")
        yield BODY

    async with serving(failing) as served:
        hooks = hooks_for(BearerJWT(JWKS(served.url), algorithm="RS256"))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(hooks), base_url="http://receiver") as client:
            response = await client.post("/", content=body(), headers=bearer(RSA[0], kid="one"))
            assert (response.status_code, begun[0]) == (503, "fetch")
            assert response.json()["type"] == "urn:webhook-receiver:problem:keys-unavailable"
            assert (await client.post("/", content=BODY)).status_code == 401


async def test_a_challenge_may_be_proven_by_keys_that_are_fetched() -> None:
    question = b'{"type": "url_verification", "challenge": "abc"}'
    proof = {"x-sig": b64encode(ED25519[0].sign(question)).decode()}
    async with serving(ok(jwks(jwk(ED25519[0])))) as served:
        asked = echo("body:challenge", where={"body:type": "url_verification"})
        sender = Sender(name="acme", scheme=keyed(served.url), facts=("made up",), challenges=(asked,))
        receipt = await noting(sender=sender).hooks.receive(proof, question)
        assert (receipt.response.status, receipt.response.body) == (200, b"abc")
        assert (await noting(sender=sender).hooks.receive(signed(), question)).response.status == 401


# beside other schemes


async def test_a_scheme_that_has_its_keys_is_asked_first() -> None:
    async with serving(status("500 Oops")) as served:
        old = HMACBody("secret", signature="x-old")
        hooks = hooks_for(AnyOf(keyed(served.url), old))
        by_old = dict(old.sign(RequestHead.of({}), BODY, NOW).headers)
        both = {name.decode(): value.decode() for name, value in by_old.items()} | signed()
        assert await statuses(hooks, both) == [204]
        assert served.paths == []
        assert await statuses(hooks, signed()) == [503]
        assert await statuses(hooks, {"x-old": "0" * 64}) == [401]


async def test_two_schemes_may_need_keys_for_one_delivery() -> None:
    async with serving(ok(jwks(jwk(ED25519[0])))) as one, serving(ok(jwks(jwk(ED25519[1])))) as two:
        scheme = AnyOf(keyed(one.url), keyed(two.url))
        verify = partial(lambda: scheme.verify(RequestHead.of(signed(1)), NOW)(BODY))
        with pytest.raises(KeysNeeded) as needed:
            verify()
        assert (await with_keys(verify, needed.value)).by == 1


class _Suite(SchemeSuite):
    secrets: Sequence[str] = [pem(ED25519[0])]

    def jwks(self) -> JWKS:
        async def fetch(url: str) -> bytes:
            return jwks(jwk(ED25519[0], kid="one"))

        return JWKS("https://example.com/keys", fetch=fetch)

    def test_the_first_secret_signs_and_any_verifies_telling_which(self) -> None:
        assert self.verify(self.signed()).by == 0

    def test_another_secret_does_not_verify(self) -> None:
        self.reject(self.scheme([pem(ED25519[1])]).sign(self.head(), self.body, NOW).headers)


class TestPublicKeyBodyWithJWKS(_Suite):
    bits = 2

    def scheme(self, secrets: Sequence[str]) -> Scheme:
        signer = PublicKeyBody(secrets[0], signature="x-sig", algorithm="ed25519")
        return Fetching(signer, PublicKeyBody(self.jwks(), signature="x-sig", algorithm="ed25519"))


class TestBearerJWTWithJWKS(_Suite):
    bits = 2
    spelt_freely = frozenset(("authorization",))

    def scheme(self, secrets: Sequence[str]) -> Scheme:
        signer = BearerJWT(secrets[0], algorithm="EdDSA", body_claim="hash")
        return Fetching(signer, BearerJWT(self.jwks(), algorithm="EdDSA", body_claim="hash"))
