"""Tokens (JWT) as senders make them, signed here by PyJWT's own `encode` or by hand."""

from __future__ import annotations

import hashlib
import hmac
import json
import subprocess
import sys
import traceback
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Sequence
from functools import partial
from typing import Any

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers import came
from webhook_receiver import (
    BadSignature,
    BearerJWT,
    BodyMismatch,
    ConfigurationError,
    MalformedSignature,
    MissingSignature,
    Scheme,
    StaleSignature,
    VerificationError,
)
from webhook_receiver.delivery import RequestHead
from webhook_receiver.explain import explain
from webhook_receiver.senders.registry import presets
from webhook_receiver.signatures import Verified
from webhook_receiver.signatures.bearer_jwt import request_url
from webhook_receiver.testing.scheme_suite import HOSTILE_VALUES, NOW, SchemeSuite

from .keys import ED25519, P256, P384, RSA, pem, public_pem

KEY = "a secret of thirty-two bytes, or more"
BODY = b'{"event": "parcel.lost"}'
DIGEST = hashlib.sha256(BODY).digest()
GOOD: dict[str, Any] = {
    "iss": "acme",
    "aud": "https://a/",
    "iat": int(NOW),
    "exp": int(NOW) + 60,
    "jti": "7",
    "hash": DIGEST.hex(),
}


def scheme(keys: Any = KEY, algorithm: Any = "HS256", **options: Any) -> BearerJWT:
    return BearerJWT(keys, algorithm=algorithm, **options)


def token(claims: dict[str, Any], key: Any = KEY, algorithm: str = "HS256", **headers: Any) -> bytes:
    return jwt.encode(claims, key, algorithm=algorithm, headers=headers).encode()


def by_hand(header: object, payload: bytes = b"{}", key: str = KEY) -> bytes:
    """Return a token with any header, signed by HS256."""
    parts = [urlsafe_b64encode(each).rstrip(b"=") for each in (json.dumps(header).encode(), payload)]
    content = b".".join(parts)
    return content + b"." + urlsafe_b64encode(hmac.digest(key.encode(), content, "sha256")).rstrip(b"=")


def verified(scheme: Scheme, value: bytes, body: bytes = BODY, now: float = NOW) -> Any:
    return scheme.verify(came([(b"authorization", value)]), now)(body)


def test_a_token_proves_its_sender_and_the_body() -> None:
    full = scheme(issuer="acme", audience="https://a/", body_claim="hash", id_claim="jti", max_age=300)
    found = verified(full, b"Bearer " + token(GOOD))
    until = min(GOOD["iat"] + 300, GOOD["exp"]) + 60
    assert found == Verified(0, body=True, id="7", fresh=True, copies_until=until, signed_at=GOOD["iat"])
    assert verified(full, b"bearer " + token(GOOD)).by == 0
    with pytest.raises(BodyMismatch):
        verified(full, b"Bearer " + token(GOOD), BODY + b" ")
    with pytest.raises(BadSignature, match="no secret gives"):
        verified(full, b"Bearer " + token(GOOD, "another secret of thirty-two bytes"))


def test_without_a_claim_of_the_body_it_is_not_proven() -> None:
    assert verified(scheme(), b"Bearer " + token({"iat": int(NOW)})) == Verified(0, body=False, signed_at=int(NOW))


def test_a_token_has_the_claims_that_are_asked_for() -> None:
    asking = scheme(claims={"email": "push@example.com", "aud": request_url})
    assert asking.needs_url
    good = {"email": "push@example.com", "aud": "https://a/in"}

    def by(claims: dict[str, Any], url: str | None = "https://a/in") -> Any:
        return asking.verify(came([(b"authorization", b"Bearer " + token(claims))], url=url), NOW)(BODY).by

    assert by(good) == 0
    assert by(good | {"aud": ["https://b/", "https://a/in"]}) == 0
    for name, wrong in [
        ("email", "x@example.com"),
        ("email", None),
        ("email", ["push@example.com"]),
        ("aud", "https://a/in/"),
    ]:
        with pytest.raises(BadSignature, match=f"another {name}"):
            by(good | {name: wrong})
    with pytest.raises(BadSignature, match="another aud, or none"):
        by({"email": "push@example.com"})
    with pytest.raises(MissingSignature, match="public_url"):
        by(good, url=None)
    assert not scheme(claims={"email": "a"}).needs_url


def test_a_claim_is_made_of_the_request_by_a_function_of_ones_own() -> None:
    asking = scheme(claims={"path": lambda head: head.path.decode()})
    head = asking.sign(came([], target=b"/in?a=1"), BODY, NOW)
    assert asking.verify(head, NOW)(BODY).by == 0
    with pytest.raises(BadSignature, match="another path"):
        asking.verify(head._replace(target=b"/on"), NOW)
    with pytest.raises(ConfigurationError, match="cannot sign"):
        scheme(claims={"sub": request_url}).sign(came([]), BODY, NOW)


@pytest.mark.parametrize("target", [b"/\xff", b"/"])
def test_whatever_a_function_for_a_claim_raises_is_a_rejection(target: bytes) -> None:
    def second(head: RequestHead) -> str:
        return head.path.decode().split("/")[2]

    asking = scheme(claims={"sub": second})
    good = asking.sign(came([], target=b"/in/a"), BODY, NOW)
    assert asking.verify(good, NOW)(BODY).by == 0
    with pytest.raises(MalformedSignature, match=r"Error at .*:[0-9]+$"):
        asking.verify(good._replace(target=target), NOW)
    with pytest.raises(ConfigurationError, match="cannot sign"):
        asking.sign(came([], target=target), BODY, NOW)


def test_a_token_of_our_own_states_when_it_begins_and_ends_as_some_libraries_demand() -> None:
    head = scheme().sign(RequestHead.of({}), BODY, NOW)
    made = jwt.decode(dict(head.headers)[b"authorization"][7:], options={"verify_signature": False})
    assert (made["iat"], made["nbf"], made["exp"]) == (NOW, NOW, NOW + 300)


@pytest.mark.parametrize("wrong", [{"is_verified": 1}, {"is_verified": "true"}, {"level": True}, {"level": "1"}, {}])
def test_a_claim_has_the_json_type_that_is_asked_for(wrong: dict[str, Any]) -> None:
    asking = scheme(claims={"is_verified": True, "level": 1})
    right = {"is_verified": True, "level": 1}
    assert verified(asking, b"Bearer " + token(right)).by == 0
    with pytest.raises(BadSignature, match="another"):
        verified(asking, b"Bearer " + token(right | wrong if wrong else {}))


@pytest.mark.parametrize("claims", [{"sub": 7.5}, {"sub": None}, {7: "a"}, "sub", ["sub"], None])
def test_claims_that_cannot_be_are_rejected(claims: Any) -> None:
    with pytest.raises(ConfigurationError, match="claims is a mapping"):
        scheme(claims=claims)


def test_the_audience_is_asked_for_once() -> None:
    with pytest.raises(ConfigurationError, match="give one of them"):
        scheme(claims={"aud": request_url}, audience="https://a/")


def test_a_token_may_stand_alone() -> None:
    bare = scheme(prefix="", header="X-Signature")
    assert bare.verify(came([(b"x-signature", token({}))]), NOW)(BODY).by == 0
    for value, alone in [(b"Bearer " + token({}), ""), (token({}), "Bearer "), (b"Basic YTpi", "Bearer ")]:
        with pytest.raises(MalformedSignature):
            verified(scheme(prefix=alone), value)
    with pytest.raises(MissingSignature):
        bare.verify(came([(b"authorization", token({}))]), NOW)


@pytest.mark.parametrize(
    ("encoding", "spellings"),
    [
        ("hex", [DIGEST.hex(), DIGEST.hex().upper()]),
        ("base64", [b64encode(DIGEST).decode(), b64encode(DIGEST).decode().rstrip("=")]),
        ("base64url", [urlsafe_b64encode(DIGEST).decode(), urlsafe_b64encode(DIGEST).decode().rstrip("=")]),
    ],
)
def test_the_hash_of_the_body_is_in_its_encoding(encoding: str, spellings: list[str]) -> None:
    hashed = scheme(body_claim="hash", body_encoding=encoding)
    for each in spellings:
        assert verified(hashed, b"Bearer " + token({"hash": each})).body
    for other in ("", "00", None, 7, [spellings[0]], spellings[0][:-3], "é", "\ud800"):
        with pytest.raises(BodyMismatch):
            verified(hashed, b"Bearer " + token({"hash": other}))
    with pytest.raises(BodyMismatch):
        verified(hashed, b"Bearer " + token({}))


@pytest.mark.parametrize(
    ("algorithm", "private", "public"),
    [("RS256", RSA[0], public_pem(RSA[0])), ("ES256", P256[0], public_pem(P256[0])), ("EdDSA", ED25519[0], "")],
    ids=["RS256", "ES256", "EdDSA"],
)
def test_a_public_key_verifies(algorithm: str, private: Any, public: str) -> None:
    value = b"Bearer " + token(GOOD, private, algorithm)
    keyed = scheme(public or public_pem(private), algorithm, audience="https://a/", body_claim="hash")
    assert verified(keyed, value).body
    with pytest.raises(ConfigurationError, match="cannot sign with a public key"):
        keyed.sign(RequestHead.of({}), BODY, NOW)


def test_no_token_chooses_its_algorithm() -> None:
    public = public_pem(RSA[0])
    keyed = scheme(public, "RS256")
    none = b"eyJhbGciOiJub25lIn0.e30."
    for value in (none, none + b"AAAA", by_hand({"alg": "HS256"}, key=public), by_hand({"alg": "none"}, key=public)):
        with pytest.raises(VerificationError):
            verified(keyed, b"Bearer " + value)
        with pytest.raises(VerificationError):
            verified(scheme(), b"Bearer " + value)
    for alg in ("HS384", "HS512", "hs256", "none", None, 7, ["HS256"]):
        with pytest.raises(VerificationError):
            verified(scheme(), b"Bearer " + by_hand({"alg": alg}))
    assert verified(scheme(), b"Bearer " + by_hand({"alg": "HS256", "kid": "../../x", "jku": "http://h/"})).by == 0


@pytest.mark.parametrize("header", [{"alg": "HS384"}, {"alg": "HS256", "crit": ["x"]}, [], {}])
def test_no_traceback_shows_the_secret(header: object) -> None:
    with pytest.raises(VerificationError) as rejected:
        verified(scheme(), b"Bearer " + by_hand(header))
    frames = traceback.TracebackException.from_exception(rejected.value, capture_locals=True).stack
    assert KEY not in "".join(f"{frame.locals}" for frame in frames if "/tests/" not in frame.filename)
    assert rejected.value.__context__ is None


def test_explain_knows_the_time_of_a_token() -> None:
    make = partial(BearerJWT, algorithm="HS256", max_age=300)
    headers = {"authorization": "Bearer " + token({"iat": int(NOW), "exp": int(NOW) + 60}).decode()}
    assert explain(headers, BODY, KEY, make=make, now=None).ok
    late = explain(headers, BODY, KEY, make=make, now=NOW + 4000)
    assert late.authentic
    assert [cause.name for cause in late.causes] == ["stale"]
    wrong = explain(headers, BODY, KEY + "x", make=make, now=NOW)
    assert wrong.error == "BadSignature"
    assert not any("no header has a signature" in hint for hint in wrong.hints)


@pytest.mark.parametrize(
    ("claims", "error"),
    [
        ({"iss": "other"}, BadSignature),
        ({"iss": None}, BadSignature),
        ({"iss": ["acme"]}, BadSignature),
        ({"aud": "https://a"}, BadSignature),
        ({"aud": []}, BadSignature),
        ({"aud": None}, BadSignature),
        ({"aud": {"https://a/": 1}}, BadSignature),
        ({"exp": int(NOW) - 61}, StaleSignature),
        ({"nbf": int(NOW) + 61}, StaleSignature),
        ({"iat": int(NOW) + 61}, StaleSignature),
        ({"iat": int(NOW) - 361, "exp": int(NOW) + 999}, StaleSignature),
        ({"iat": None}, MalformedSignature),
        ({"exp": "9999999999"}, MalformedSignature),
        ({"exp": True}, MalformedSignature),
        ({"exp": float("inf")}, MalformedSignature),
        ({"exp": float("nan")}, MalformedSignature),
        ({"nbf": 10**400}, MalformedSignature),
        ({"jti": 7}, MalformedSignature),
        ({"jti": ""}, MalformedSignature),
    ],
    ids=range(19),
)
def test_a_token_that_is_authentic_is_not_for_ever_nor_for_everybody(
    claims: dict[str, Any], error: type[VerificationError]
) -> None:
    full = scheme(issuer=["other-acme", "acme"], audience="https://a/", id_claim="jti", max_age=300)
    value = b"Bearer " + by_hand({"alg": "HS256"}, json.dumps({**GOOD, **claims}).encode())
    with pytest.raises(error):
        verified(full, value)


def test_the_leeway_is_allowed_on_both_sides() -> None:
    full = scheme(audience="https://a/", max_age=300)
    for claims in ({"exp": int(NOW) - 59}, {"nbf": int(NOW) + 60}, {"iat": int(NOW) + 60}, {"iat": int(NOW) - 360}):
        assert verified(full, b"Bearer " + token({**GOOD, **claims})).fresh
    assert verified(full, b"Bearer " + token({**GOOD, "aud": ["b", "https://a/"]})).by == 0
    with pytest.raises(BadSignature, match="for another audience"):
        verified(scheme(), b"Bearer " + token(GOOD))
    without = {name: value for name, value in GOOD.items() if name != "iat"}
    with pytest.raises(MalformedSignature, match="has no iat"):
        verified(full, b"Bearer " + token(without))


def test_a_token_has_one_spelling() -> None:
    good = token({"a": 1})
    assert verified(scheme(), b"Bearer " + good).by == 0
    head, _, signature = good.rpartition(b".")
    last = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    spelt = signature[:-1] + last[last.index(signature[-1:]) ^ 1 :][:1]
    for other in (head + b"." + spelt, good + b"=", b" " + good, good + b".", good + b"\n", head, b".", b"..", b""):
        with pytest.raises(VerificationError):
            verified(scheme(), b"Bearer " + other)
    with pytest.raises(MalformedSignature, match="holds no signed token"):
        verified(scheme(), b"Bearer " + token({"a": "x" * 20_000}))


@pytest.mark.parametrize("payload", [b"", b"[]", b"7", b"null", b"{", b"\xff", b"[" * 9_000], ids=range(7))
def test_claims_are_an_object(payload: bytes) -> None:
    with pytest.raises(MalformedSignature):
        verified(scheme(), b"Bearer " + by_hand({"alg": "HS256"}, payload))


@pytest.mark.parametrize("header", [[], 7, None, {}, {"alg": "HS256", "crit": ["x"]}, {"alg": "HS256", "b64": False}])
def test_a_header_of_another_kind_is_rejected(header: object) -> None:
    with pytest.raises(VerificationError):
        verified(scheme(), b"Bearer " + by_hand(header))


@pytest.mark.parametrize(
    ("key", "algorithm", "options", "complaint"),
    [
        (KEY, "none", {}, "algorithm is one of"),
        (KEY, "RS256", {}, "cannot be read"),
        (public_pem(RSA[0]), "HS256", {}, "takes a secret"),
        (public_pem(RSA[0]), "ES256", {}, "no key of ecdsa"),
        (public_pem(P384[0]), "ES256", {}, "no key of ecdsa"),
        (KEY, "HS256", {"leeway": -1}, "leeway is a number"),
        (KEY, "HS256", {"max_age": float("inf")}, "max_age is a number"),
        (KEY, "HS256", {"body_encoding": "utf-8"}, "body_encoding is one of"),
        (KEY, "HS256", {"body_hash": "md5"}, "body_hash is one of"),
    ],
    ids=range(9),
)
def test_options_that_cannot_work_are_rejected_at_once(
    key: str, algorithm: str, options: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ConfigurationError, match=complaint) as rejected:
        scheme(key, algorithm, **options)
    assert key not in str(rejected.value)


def test_the_extra_is_named_if_it_is_missing() -> None:
    code = (
        "import sys; sys.modules['jwt'] = None\n"
        "from webhook_receiver import BearerJWT\n"
        "try:\n    BearerJWT('k', algorithm='HS256')\n"
        "except Exception as error:\n    print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith("ConfigurationError a token (JWT) needs an extra")
    assert "[jwt]" in done.stdout


hostile = st.binary(max_size=80) | st.sampled_from([each for each in HOSTILE_VALUES if len(each) < 1000])


@pytest.mark.parametrize("lacking", ["iat", "exp"])
def test_a_claim_that_is_required_has_to_be_there(lacking: str) -> None:
    demanding = scheme(audience="https://a/", required=("iat", "exp"))
    assert verified(demanding, b"Bearer " + token(GOOD)).by == 0
    without = {name: value for name, value in GOOD.items() if name != lacking}
    with pytest.raises(MalformedSignature, match=f"the token has no {lacking}, which required"):
        verified(demanding, b"Bearer " + token(without))
    wrong: Any
    for wrong in ("exp", [7], [""]):
        with pytest.raises(ConfigurationError, match="required is a tuple"):
            scheme(required=wrong)


@pytest.mark.parametrize(
    ("name", "claims"), [("livekit", {"exp"}), ("qstash", {"exp", "nbf"}), ("google-pubsub", {"iat", "exp"})]
)
def test_a_sender_whose_libraries_demand_a_claim_has_it_required(name: str, claims: set[str]) -> None:
    preset = presets()[name]
    made = preset.sender(preset.example).scheme
    assert isinstance(made, BearerJWT)
    assert {*made.required} == claims


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)
names = st.sampled_from(["iss", "aud", "exp", "iat", "nbf", "jti", "hash"])


@given(value=hostile, header=json_values, body=st.binary(max_size=40))
@settings(max_examples=100)
def test_strangers_get_verification_errors_only(value: bytes, header: Any, body: bytes) -> None:
    full = scheme(body_claim="hash", max_age=300)
    unsigned = by_hand(header, key="what no receiver has as its secret")
    for each in (value, b"Bearer " + value, b"Bearer " + unsigned, b"Bearer " + value + b"." + unsigned):
        with pytest.raises(VerificationError):
            verified(full, each, body)


@given(claims=st.dictionaries(names, json_values))
@settings(max_examples=100)
def test_whatever_a_sender_claims_it_is_accepted_or_rejected(claims: dict[str, Any]) -> None:
    full = scheme(issuer="acme", audience="a", body_claim="hash", id_claim="jti", max_age=300)
    good = {"iss": "acme", "aud": "a", "iat": NOW, "jti": "7", "hash": DIGEST.hex()}
    value = b"Bearer " + by_hand({"alg": "HS256"}, json.dumps({**good, **claims}).encode())
    try:
        accepted = verified(full, value).body
    except VerificationError:
        accepted = False
    assert accepted or claims


class TestHS256(SchemeSuite):
    past, future = 360, 60
    spelt_freely = frozenset({"authorization"})  # "bearer" in any case
    algorithm: Any = "HS256"
    bits = 2

    def scheme(self, secrets: Sequence[str]) -> Scheme:
        return BearerJWT(secrets, algorithm=self.algorithm, issuer="acme", body_claim="hash", max_age=600)


class TestES256(TestHS256):
    secrets = [pem(key) for key in P256]
    algorithm = "ES256"
    bits = 1


class TestEdDSA(TestHS256):
    secrets = [pem(key) for key in ED25519]
    algorithm = "EdDSA"
    bits = 1


class TestATokenAlone(SchemeSuite):
    covers_body = False
    past, future = 360, 60

    def scheme(self, secrets: Sequence[str]) -> Scheme:
        return BearerJWT(secrets, algorithm="HS512", prefix="", audience="https://a/")
