"""Every sender of the catalogue is held to the contract of senders."""

from __future__ import annotations

import inspect
from base64 import b64encode
from collections.abc import Sequence
from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from webhook_receiver import Secret, Sender
from webhook_receiver.cli.notification import Notifier
from webhook_receiver.senders.catalogue.examples import P256_KEY, RSA_KEY
from webhook_receiver.senders.preset import Preset
from webhook_receiver.senders.registry import presets
from webhook_receiver.testing.sender_suite import SenderSuite
from webhook_receiver.testing.wire import named_target

SPELT_FREELY = {"up42": frozenset({"signature"})}  # any label will do
BY_NO_SECRET = {"aws-sns", "maxar-sns"}  # which have suites in tests/senders/test_aws_sns.py
GIVEN = {
    "lark": {"content-type": "application/json", "x-lark-request-nonce": "n-1"},
    "wechat-pay": {"content-type": "application/json", "wechatpay-nonce": "n-1"},
}
"""The headers of a request before it is signed, where the sender signs one of them."""
IN_THE_PATH = {"ogc-processes": "/webhooks/job-1/successful"}
"""The target of the sender that has the event's name in the path, before the secret."""
SEND_FORMS = {"mandrill", "twilio"}  # whose signatures are over the fields of one
HAVE_PLACES = {"box", "docusign"}
SIGNED_IN_THE_BODY = {"adyen", "braintree", "kinde", "mailgun"}
"""Those that have suites of their own, in tests/signatures/test_hmac_fields.py and tests/senders/test_token.py."""


@cache
def another(secret: str) -> str:
    """Return another secret of the same kind."""
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
    if secret == RSA_KEY:
        key = rsa.generate_private_key(65537, 2048)
    elif secret == P256_KEY:
        key = ec.generate_private_key(ec.SECP256R1())
    else:
        return secret[:-1] + ("B" if secret[-1] != "B" else "C")
    return b64encode(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())).decode()


@cache
def _with_key(preset: Preset, *secrets: str) -> Sender:
    """Return a sender with keys of RSA, which take long to be read."""
    return preset.sender(secrets)


def genuine(name: str) -> tuple[str | None, bytes]:
    """Return a short body as the sender sends it, and the name of its event."""
    known = presets()[name]
    notifier = Notifier.of_preset(name, Secret(known.example))
    if not known.samples and known.body != b"{}":
        return notifier.event_name(None), known.body
    event = (notifier.event_name(None) if name in OWN_EVENTS else None) or "thing.made"
    return event, notifier.body(notifier.document(event, None, None))


OF_IMAGERY = {name for name, each in presets().items() if ".imagery." in each.module}
OWN_EVENTS = {"dropbox", "meta", "mollie-classic", "telegram"} | OF_IMAGERY
"""The senders whose events have names of their own only."""


@pytest.mark.parametrize("name", [name for name in presets() if name not in SIGNED_IN_THE_BODY | BY_NO_SECRET])
class TestCatalogue(SenderSuite):
    @pytest.fixture(autouse=True)
    def choose(self, name: str) -> None:
        self.preset = presets()[name]
        first = self.preset.example
        self.secrets = (first, another(first))
        self.has_places = name in HAVE_PLACES
        self.given = GIVEN.get(name, self.given)
        self.spelt_freely = SPELT_FREELY.get(name, frozenset())
        tolerance = inspect.signature(self.preset.sender).parameters.get("tolerance")
        self.event, self.body = genuine(name)
        sender = self.preset.sender(first)
        self.target = IN_THE_PATH.get(name) or named_target(sender, self.event or "", self.target)
        self.body = self.body_of(self.secrets)
        self.past = self.future = None if tolerance is None else tolerance.default

    def sender(self, secrets: Sequence[str]) -> Sender:
        return _with_key(self.preset, *secrets) if len(secrets[0]) > 1000 else self.preset.sender(secrets)

    def body_of(self, secrets: Sequence[str]) -> bytes:
        example = self.preset.example.encode()
        if self.preset.name in SEND_FORMS:
            return self.preset.body
        return self.preset.body.replace(example, secrets[0].encode()) if example in self.preset.body else self.body
