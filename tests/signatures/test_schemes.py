"""Every scheme runs through the suite of what holds for all."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

from webhook_receiver import AnyOf, HMACBody, HTTPMessageSignature, Scheme, StandardWebhooks, UP42Signature
from webhook_receiver.senders import github, shopify, slack, stripe
from webhook_receiver.testing.scheme_suite import SchemeSuite

from .keys import ED25519, P256, P384, RSA, WHSK, pem, whsec


class TestUP42(SchemeSuite):
    uncovered = frozenset({"signature-input"})
    spelt_freely = frozenset({"signature"})  # its label is no part of it
    past, future = 300, 60

    def scheme(self, secrets: Sequence[str]) -> Scheme:
        return UP42Signature(secrets)


class TestStandardWebhooks(SchemeSuite):
    secrets = [whsec(text) for text in "abc"]
    past = future = 300
    id_header = "webhook-id"

    def scheme(self, secrets: Sequence[str]) -> Scheme:
        return StandardWebhooks(secrets)


class TestStandardWebhooksWithEd25519(TestStandardWebhooks):
    secrets = WHSK
    bits = 1


class TestSvix(TestStandardWebhooks):
    past = future = 10
    id_header = "svix-id"

    def scheme(self, secrets: Sequence[str]) -> Scheme:
        return StandardWebhooks(secrets, headers="svix", tolerance=10)


class TestGitHub(SchemeSuite):
    given = {"content-type": "application/json", "x-github-delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958"}

    def scheme(self, secrets: Sequence[str]) -> Scheme:
        return github.signature(secrets)


class TestStripe(SchemeSuite):
    spelt_freely = frozenset({"stripe-signature"})
    past = future = 300

    def scheme(self, secrets: Sequence[str]) -> Scheme:
        return stripe.signature(secrets)


class TestStandardWebhooksOfTexts(TestStandardWebhooks):
    secrets = ["a secret of theirs", "polar_whs_another", "and one more"]

    def scheme(self, secrets: Sequence[str]) -> Scheme:
        return StandardWebhooks(secrets, key="text")


class TestStandardWebhooksOfBothForms(TestStandardWebhooks):
    secrets = [whsec("a"), "a secret without a prefix", WHSK[0]]

    def scheme(self, secrets: Sequence[str]) -> Scheme:
        return StandardWebhooks(secrets, key="prefixed")


class TestSlack(SchemeSuite):
    past = future = 300

    def scheme(self, secrets: Sequence[str]) -> Scheme:
        return slack.signature(secrets)


class TestShopify(SchemeSuite):
    given = {"x-shopify-webhook-id": "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043"}

    def scheme(self, secrets: Sequence[str]) -> Scheme:
        return shopify.signature(secrets)


class TestHMACOfIdTimeAndBody(SchemeSuite):
    given = {"x-id": "parcel-7"}
    id_header = "x-id"
    past = future = 60

    def scheme(self, secrets: Sequence[str]) -> Scheme:
        return HMACBody(
            secrets,
            signature="x-signature",
            hash="sha512",
            encoding="base64",
            signed="{id}\n{timestamp}\n{body}",
            timestamp="X-Time",
            id="X-Id",
            tolerance=60,
        )


class TestHTTPMessageSignature(SchemeSuite):
    past = future = 300
    spelt_freely = frozenset({"signature"})
    bits = 1
    options: dict[str, Any] = {}

    def scheme(self, secrets: Sequence[str]) -> Scheme:
        keys = {f"key-{zlib.crc32(secret.encode())}": secret for secret in secrets}
        return HTTPMessageSignature(keys, **self.options)


class TestHTTPMessageSignatureOfARequest(TestHTTPMessageSignature):
    given = {"content-type": "application/json", "x-id": "parcel-7"}
    options = {
        "components": ["@method", "@target-uri", "@authority", "@path", '"@query-param";name="from"', "content-type"],
        "url": "https://hooks.example.com/parcels?from=here",
        "id": "X-Id",
        "nonce": "required",
        "tag": "parcels",
        "tolerance": 10,
    }
    past = future = 10
    id_header = "x-id"


class TestHTTPMessageSignatureWithEd25519(TestHTTPMessageSignature):
    secrets = [pem(key) for key in ED25519]
    options = {"algorithm": "ed25519"}


class TestHTTPMessageSignatureWithP256(TestHTTPMessageSignature):
    secrets = [pem(key) for key in P256]
    options = {"algorithm": "ecdsa-p256-sha256"}


class TestHTTPMessageSignatureWithP384(TestHTTPMessageSignature):
    secrets = [pem(key) for key in P384]
    options = {"algorithm": "ecdsa-p384-sha384"}


class TestHTTPMessageSignatureWithRSA(TestHTTPMessageSignature):
    secrets = [pem(key) for key in RSA]
    options = {"algorithm": "rsa-pss-sha512"}


class TestHTTPMessageSignatureWithOldRSA(TestHTTPMessageSignature):
    secrets = [pem(key) for key in RSA]
    options = {"algorithm": "rsa-v1_5-sha256"}


class TestTheNewSchemeOfTwo(TestStandardWebhooks):
    def scheme(self, secrets: Sequence[str]) -> Scheme:
        return AnyOf(*(StandardWebhooks(secret) for secret in secrets))
