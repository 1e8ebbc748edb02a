"""Signatures by private keys, verified by public keys of every form; signed here by `cryptography` itself."""

from __future__ import annotations

import subprocess
import sys
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers import came
from webhook_receiver import (
    BadSignature,
    ConfigurationError,
    MalformedSignature,
    PublicKeyBody,
    Scheme,
    StaleSignature,
    VerificationError,
)
from webhook_receiver.delivery import RequestHead
from webhook_receiver.explain import explain
from webhook_receiver.testing.scheme_suite import HOSTILE_VALUES, NOW, SchemeSuite

from .keys import ED25519, P256, P384, RSA, pem, public_pem

BODY = b'{"event": "parcel.lost"}'
SIGNERS: dict[str, tuple[list[Any], Callable[[Any, bytes], bytes]]] = {
    "ed25519": (ED25519, lambda key, content: key.sign(content)),
    "rsa-v1_5-sha256": (RSA, lambda key, content: key.sign(content, padding.PKCS1v15(), hashes.SHA256())),
    "rsa-v1_5-sha512": (RSA, lambda key, content: key.sign(content, padding.PKCS1v15(), hashes.SHA512())),
    "ecdsa-p256-sha256": (P256, lambda key, content: key.sign(content, ec.ECDSA(hashes.SHA256()))),
    "ecdsa-p384-sha384": (P384, lambda key, content: key.sign(content, ec.ECDSA(hashes.SHA384()))),
}
algorithms = pytest.mark.parametrize("algorithm", SIGNERS)


def signed(algorithm: str, content: bytes, key: int = 0) -> bytes:
    keys, sign = SIGNERS[algorithm]
    return sign(keys[key], content)


def certificate(key: Any) -> x509.Certificate:
    """Return a certificate that has expired, of a key's public half."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "acme")])
    begin = datetime(2020, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 7, begin, begin + timedelta(days=1))
    return builder.sign(ED25519[0], None)


def der(key: Any) -> bytes:
    data: bytes = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return data


FORMS: dict[str, Callable[[Any], str]] = {
    "PEM": public_pem,
    "private PEM": pem,
    "PEM in one line": lambda key: public_pem(key).replace("\n", "\\n"),
    "private PEM in one line": lambda key: pem(key).replace("\n", "\\n"),
    "PEM in one line with returns": lambda key: public_pem(key).replace("\n", "\\r\\n"),
    "certificate": lambda key: certificate(key).public_bytes(serialization.Encoding.PEM).decode(),
    "certificate in base64": lambda key: b64encode(certificate(key).public_bytes(serialization.Encoding.DER)).decode(),
    "DER in hex": lambda key: der(key).hex(),
    "DER in upper hex": lambda key: der(key).hex().upper(),
    "DER in base64": lambda key: b64encode(der(key)).decode(),
    "DER in lines of base64": lambda key: "\n".join(
        b64encode(der(key)).decode()[at : at + 64] for at in range(0, 999, 64)
    ),
}


@algorithms
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_key_is_read_in_every_form(algorithm: Any, form: Callable[[Any], str]) -> None:
    keys = SIGNERS[algorithm][0]
    scheme = PublicKeyBody([form(keys[1]), form(keys[0])], algorithm=algorithm, signature="x-sig")
    check = scheme.verify(came([(b"x-sig", b64encode(signed(algorithm, BODY)))]), NOW)
    assert check(BODY).by == 1
    with pytest.raises(BadSignature):
        check(BODY + b" ")


def test_the_bytes_of_ed25519_are_a_key() -> None:
    raw = ED25519[0].public_key().public_bytes_raw()
    for text in (raw.hex(), raw.hex().upper(), b64encode(raw).decode(), urlsafe_b64encode(raw).decode().rstrip("=")):
        scheme = PublicKeyBody(text, algorithm="ed25519", signature="x-sig", encoding="hex-any-case")
        signature = signed("ed25519", BODY).hex()
        for spelt in (signature, signature.upper()):
            assert scheme.verify(came([(b"x-sig", spelt.encode())]), NOW)(BODY).by == 0


def test_the_first_vector_with_a_message_of_rfc_8032() -> None:
    """RFC 8032, section 7.1, test 3."""
    scheme = PublicKeyBody(
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        algorithm="ed25519",
        signature="x-sig",
        encoding="hex",
    )
    signature = (
        b"6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        b"18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
    )
    assert scheme.verify(came([(b"x-sig", signature)]), NOW)(b"\xaf\x82").body


def test_a_time_and_a_nonce_in_lines_and_the_key_by_its_serial() -> None:
    scheme = PublicKeyBody(
        [public_pem(key) for key in RSA],
        algorithm="rsa-v1_5-sha256",
        signature="x-signature",
        signed="{timestamp}\n{header:x-nonce}\n{body}\n",
        timestamp="x-timestamp",
        key_id="x-serial",
        key_ids=["S1", "S2"],
    )
    content = b"%d\nn-1\n%b\n" % (NOW, BODY)
    headers = {b"x-timestamp": b"%d" % NOW, b"x-nonce": b"n-1", b"x-serial": b"S2"}
    headers[b"x-signature"] = b64encode(signed("rsa-v1_5-sha256", content, 1))
    assert scheme.verify(came([*headers.items()]), NOW)(BODY).by == 1
    with pytest.raises(StaleSignature):
        scheme.verify(came([*headers.items()]), NOW + 301)(BODY)
    with pytest.raises(BadSignature):
        scheme.verify(came([*{**headers, b"x-serial": b"S1"}.items()]), NOW)(BODY)


def test_a_public_key_cannot_sign() -> None:
    scheme = PublicKeyBody(public_pem(ED25519[0]), algorithm="ed25519", signature="x-sig")
    with pytest.raises(ConfigurationError, match="cannot sign with a public key"):
        scheme.sign(RequestHead.of({}), BODY, NOW)


@pytest.mark.parametrize(
    ("key", "algorithm", "complaint"),
    [
        (public_pem(RSA[0]), "ed25519", "no key of ed25519"),
        (public_pem(P384[0]), "ecdsa-p256-sha256", "no key of ecdsa-p256"),
        (public_pem(P256[0]), "ecdsa-p384-sha384", "no key of ecdsa-p384"),
        (public_pem(ED25519[0]), "rsa-v1_5-sha256", "no key of rsa"),
        ("not a key", "ed25519", "cannot be read"),
        ("00ff", "ed25519", "cannot be read"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "ed25519", "cannot be read"),
        (public_pem(rsa.generate_private_key(65537, 1024)), "rsa-v1_5-sha256", "has 1024 bits"),
        (public_pem(ED25519[0]), "none", "algorithm is one of"),
        (public_pem(ED25519[0]), "hmac-sha256", "algorithm is one of"),
    ],
    ids=range(10),
)
def test_a_key_of_another_kind_is_rejected_unshown(key: str, algorithm: Any, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint) as rejected:
        PublicKeyBody(key, algorithm=algorithm, signature="x-sig")
    assert key not in str(rejected.value)


def test_there_is_no_secret_to_sign() -> None:
    with pytest.raises(ConfigurationError, match="a public key is none"):
        PublicKeyBody(public_pem(ED25519[0]), algorithm="ed25519", signature="x-sig", signed="{secret}{body}")


def test_a_signature_by_another_algorithm_of_the_same_key_is_wrong() -> None:
    scheme = PublicKeyBody(public_pem(RSA[0]), algorithm="rsa-v1_5-sha256", signature="x-sig")
    pss = RSA[0].sign(BODY, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
    for signature in (pss, signed("rsa-v1_5-sha512", BODY)):
        with pytest.raises(BadSignature):
            scheme.verify(came([(b"x-sig", b64encode(signature))]), NOW)(BODY)


def test_at_most_sixteen_signatures_are_verified() -> None:
    scheme = PublicKeyBody(public_pem(ED25519[0]), algorithm="ed25519", signature="x-sig:v1")
    value = b"v1=" + b64encode(signed("ed25519", BODY))
    assert scheme.verify(came([(b"x-sig", b"v1=AAAA," * 15 + value)]), NOW)(BODY).by == 0
    with pytest.raises(MalformedSignature):
        scheme.verify(came([(b"x-sig", b"v1=AAAA," * 16 + value)]), NOW)


@algorithms
@given(signature=st.binary(max_size=300) | st.sampled_from([each for each in HOSTILE_VALUES if len(each) < 1000]))
@settings(max_examples=40)
def test_strangers_get_verification_errors_only(algorithm: Any, signature: bytes) -> None:
    scheme = PublicKeyBody(public_pem(SIGNERS[algorithm][0][0]), algorithm=algorithm, signature="x-sig")
    for value in (signature, b64encode(signature)):
        with pytest.raises(VerificationError):
            scheme.verify(came([(b"x-sig", value)]), NOW)(BODY)


def test_the_extra_is_named_if_it_is_missing() -> None:
    code = (
        "import sys; sys.modules['cryptography'] = None\n"
        "from webhook_receiver import PublicKeyBody\n"
        "try:\n    PublicKeyBody('k', algorithm='ed25519', signature='x')\n"
        "except Exception as error:\n    print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith("ConfigurationError a public key needs an extra")
    assert "[ed25519]" in done.stdout


def test_explain_finds_a_signature_in_another_encoding() -> None:
    make = partial(PublicKeyBody, algorithm="ed25519", signature="x-signature", encoding="hex")
    headers = {"x-signature": b64encode(signed("ed25519", BODY)).decode()}
    found = explain(headers, BODY, public_pem(ED25519[0]), make=make, now=NOW)
    assert [cause.name for cause in found.causes] == ["signature-encoding"]


class TestEd25519(SchemeSuite):
    secrets = [pem(key) for key in ED25519]
    past = future = 300
    bits = 1
    algorithm: Any = "ed25519"

    def scheme(self, secrets: Sequence[str]) -> Scheme:
        return PublicKeyBody(
            secrets,
            algorithm=self.algorithm,
            signature="x-sig",
            encoding="hex",
            signed="{timestamp}{body}",
            timestamp="x-time",
        )


class TestP256(TestEd25519):
    secrets = [pem(key) for key in P256]
    algorithm = "ecdsa-p256-sha256"


class TestP384(TestEd25519):
    secrets = [pem(key) for key in P384]
    algorithm = "ecdsa-p384-sha384"


class TestRSA(TestEd25519):
    secrets = [pem(key) for key in RSA]
    algorithm = "rsa-v1_5-sha256"
