"""The senders' own libraries: what they sign we verify, what we sign they verify, what they reject we reject.

Where the two differ over a thousand changed requests, the difference is listed with its reason; another one fails.
"""
# pyright: reportPrivateImportUsage=false

from __future__ import annotations

import random
import re
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import partial
from types import SimpleNamespace
from typing import Any

import http_message_signatures.signatures
import pytest
import standardwebhooks.webhooks
import stripe._webhook
import svix.webhooks
from gidgethub import sansio
from http_message_signatures import HTTPMessageSigner, HTTPMessageVerifier, MappingKeyResolver, algorithms
from slack_sdk.signature import Clock, SignatureVerifier

from tests.helpers import came
from webhook_receiver import HTTPMessageSignature, Scheme, StandardWebhooks, VerificationError
from webhook_receiver.delivery import RequestHead
from webhook_receiver.senders import github, slack
from webhook_receiver.senders import stripe as stripe_sender

from .keys import ED25519, P256, RSA, pem, whsec
from .mutants import COUNT, Pairs, Request, compared, requests

NOW = 1_765_433_012
SECRET = "the secret of a peer"
WHSEC = whsec(SECRET)
BODIES = [b"{}", b'{"type": "a.b"}', "é☃".encode(), b"", b"a.b.c", b"x" * 100_000]


class StoppedDatetime(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> StoppedDatetime:
        return cls.fromtimestamp(NOW, tz)


@pytest.fixture(autouse=True)
def stopped_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop the clock of the libraries, which take no other: so that every run compares the same."""
    monkeypatch.setattr(standardwebhooks.webhooks, "datetime", StoppedDatetime)
    monkeypatch.setattr(stripe._webhook, "time", SimpleNamespace(time=lambda: NOW))
    stopped = SimpleNamespace(datetime=StoppedDatetime, timedelta=timedelta, timezone=timezone)
    monkeypatch.setattr(http_message_signatures.signatures, "datetime", stopped)


def no_change(rng: random.Random, value: bytes) -> bytes:
    return value


@dataclass
class Peer:
    """A sender's library, and our scheme for the same sender."""

    scheme: Scheme
    sign: Callable[[bytes, int], Pairs]
    """Returns the headers of a body that the library signed so many seconds ago."""
    verify: Callable[[Request], object]
    """Lets the library verify; raises, or returns False, if it rejects."""
    headers: list[str]
    """Those that matter."""
    more: Callable[[random.Random, bytes], bytes] = no_change
    why_only_they: Callable[[Request], str | None] = lambda request: None
    """Says why only the library takes a request."""
    why_only_we: Callable[[Request], str | None] = lambda request: None
    given: tuple[tuple[str, str], ...] = ()
    """What is there before our scheme signs."""


# Standard Webhooks, and Svix


def standard(prefix: Any, library: Any, scheme: Scheme | None = None, **options: Any) -> Peer:
    names = [f"{prefix}-{part}" for part in ("id", "timestamp", "signature")]

    def sign(body: bytes, ago: int) -> Pairs:
        signature = library.sign("msg_7", datetime.fromtimestamp(NOW - ago, UTC), body.decode())
        values = (b"msg_7", b"%d" % (NOW - ago), signature.encode())
        return list(zip(map(str.encode, names), values, strict=True))

    def why_only_they(request: Request) -> str | None:
        if not request.header(names[1]).isdigit():
            return "it reads the time as a float and signs what that is cut to: 1765433012. and 1_765_433_012 will do"
        if re.search(r"\.\d{10,12}(\.|$)", request.header(names[0])):
            return "it takes an id that holds a time between full stops, which may be a part of another content"
        claims = [claimed for part in request.header(names[2]).split(" ") for _, _, claimed in [part.partition(",")]]
        if any(b64encode(b64decode(claimed)).decode() != claimed for claimed in claims):
            return "it decodes base64 leniently, and stops at the first padding"
        return None

    def why_only_we(request: Request) -> str | None:
        if any(part.count(",") != 1 for part in request.header(names[2]).split(" ")):
            return "it raises ValueError for a part without just one comma, although a right signature stands beside it"
        return None

    return Peer(
        scheme or StandardWebhooks(WHSEC, headers=prefix),
        sign,
        lambda request: library.verify(request.body, request.text(), **options),
        names,
        more_signatures,
        why_only_they,
        why_only_we,
    )


def more_signatures(rng: random.Random, value: bytes) -> bytes:
    other = b"v1," + b64encode(rng.randbytes(32))
    form = rng.choice([b"%b %b", b"v2,%b %b", b"v1a,AAAA %b %b", b"v1,AAAA %b %b", b"%b  %b", b"%b,%b"])
    return form % ((other, value) if rng.random() < 0.5 else (value, other))


# Stripe


STRIPE: Any = stripe.WebhookSignature


def by_stripe(body: bytes, ago: int) -> Pairs:
    header = STRIPE.generate_signature_header(body.decode(), SECRET, NOW - ago)
    return [(b"stripe-signature", header.encode())]


def verify_by_stripe(request: Request) -> object:
    return STRIPE.verify_header(request.body, request.header("stripe-signature"), SECRET, 300)


def more_items(rng: random.Random, value: bytes) -> bytes:
    other = rng.randbytes(32).hex().encode()
    form = rng.choice([b"%b,v1=%b", b"%b,v0=%b", b"%b,v1=,v2=%b", b"%b, v1=%b", b"%b,t=%b"])
    turned = b",".join(reversed(value.split(b",")))
    return rng.choice([form % (value, other), turned, value.replace(b",", b", "), value.replace(b"t=", b"t=0")])


def why_only_stripe(request: Request) -> str | None:
    header = request.header("stripe-signature")
    times = [item[2:] for item in header.split(",") if item.startswith("t=")]
    if len(times) > 1:
        return "of several times it takes the first"
    if times and times[0] != str(NOW - request.signed):
        return "it signs the number that the time is, however it is written, such as with a zero before it"
    if request.signed < 0:
        return "it takes a time in the future, however far"
    if any(item.count("=") > 1 for item in header.split(",")):
        return "it cuts an item at every '=', and takes what is between the first two for the signature"
    return None


def why_not_stripe(request: Request) -> str | None:
    header = request.header("stripe-signature")
    if any(item != item.strip() for item in header.split(",")):
        return "it takes no white space around an item"
    return "it raises for items without '='" if any("=" not in item for item in header.split(",")) else None


# Slack


class StoppedClock(Clock):
    def now(self) -> float:
        return NOW


SLACK = SignatureVerifier(SECRET, StoppedClock())


def by_slack(body: bytes, ago: int) -> Pairs:
    signature = SLACK.generate_signature(timestamp=str(NOW - ago), body=body)
    assert signature is not None
    return [(b"x-slack-request-timestamp", b"%d" % (NOW - ago)), (b"x-slack-signature", signature.encode())]


# GitHub


def by_github(body: bytes, ago: int) -> Pairs:
    # gidgethub only verifies, so it is asked what it compares with.
    return list(github.signature(SECRET).sign(RequestHead.of({"x-github-delivery": "72d3162e"}), body, NOW).headers)


def verify_by_gidgethub(request: Request) -> None:
    sansio.validate_event(request.body, signature=request.header("x-hub-signature-256"), secret=SECRET)


def why_only_gidgethub(request: Request) -> str | None:
    if not request.header("x-github-delivery"):
        return "it does not ask for the id of the delivery, by which we know it again"
    return None


# RFC 9421


class Verifier(HTTPMessageVerifier):
    max_clock_skew = timedelta(seconds=300)


def messages(algorithm: Any, name: Any, private: Any, text: str) -> Peer:
    is_hmac = isinstance(private, bytes)
    public = private if is_hmac else private.public_key()
    keys = MappingKeyResolver(public_keys={"key-1": public}, private_keys={"key-1": private})
    signer = HTTPMessageSigner(signature_algorithm=algorithm, key_resolver=keys)
    verifier = Verifier(signature_algorithm=algorithm, key_resolver=keys)
    components = ("@method", "@target-uri", "content-digest")
    url = "https://hooks.example.com/in?x=1"

    def sign(body: bytes, ago: int) -> Pairs:
        message = SimpleNamespace(method="POST", url=url, headers={"content-type": "text/plain"})
        created = datetime.fromtimestamp(NOW - ago, UTC)
        signer.sign(message, key_id="key-1", created=created, covered_component_ids=components[:2], body=body)
        return [(key.lower().encode(), value.encode()) for key, value in message.headers.items()]

    def verify(request: Request) -> None:
        message = SimpleNamespace(method="POST", url=url, headers=request.text())
        verifier.verify(message, max_age=timedelta(0), require_components=components, body=request.body)

    return Peer(
        HTTPMessageSignature({"key-1": text}, algorithm=name, components=components[:2], url=url),
        sign,
        verify,
        ["content-digest", "signature-input", "signature"],
        lambda rng, value: rng.choice([b"%b;x=1", b"%b, other=()", b" %b ", b'%b;tag="a"', b"%b;expires=1"]) % value,
    )


PEERS = {
    "standardwebhooks": standard("webhook", standardwebhooks.webhooks.Webhook(WHSEC), json_parse=False),
    "standardwebhooks, raw": standard(
        "webhook",
        standardwebhooks.webhooks.Webhook(SECRET.encode()),
        StandardWebhooks(SECRET, key="text"),
        json_parse=False,
    ),
    "standardwebhooks, unpadded": standard(
        "webhook", standardwebhooks.webhooks.Webhook(WHSEC.rstrip("=")), json_parse=False
    ),
    "svix": standard("svix", svix.webhooks.Webhook(WHSEC)),
    "svix, webhook-": standard("webhook", svix.webhooks.Webhook(WHSEC), StandardWebhooks(WHSEC, headers="svix")),
    "stripe": Peer(
        stripe_sender.signature(SECRET),
        by_stripe,
        verify_by_stripe,
        ["stripe-signature"],
        more_items,
        why_only_stripe,
        why_not_stripe,
    ),
    "slack": Peer(
        slack.signature(SECRET),
        by_slack,
        lambda request: SLACK.is_valid_request(request.body, request.text()),
        ["x-slack-request-timestamp", "x-slack-signature"],
    ),
    "gidgethub": Peer(
        github.signature(SECRET),
        by_github,
        verify_by_gidgethub,
        ["x-hub-signature-256", "x-github-delivery"],
        why_only_they=why_only_gidgethub,
        given=(("x-github-delivery", "72d3162e"),),
    ),
    "hmac-sha256": messages(algorithms.HMAC_SHA256, "hmac-sha256", SECRET.encode(), SECRET),
    "ed25519": messages(algorithms.ED25519, "ed25519", ED25519[0], pem(ED25519[0])),
    "ecdsa-p256": messages(algorithms.ECDSA_P256_SHA256, "ecdsa-p256-sha256", P256[0], pem(P256[0])),
    "rsa-pss": messages(algorithms.RSA_PSS_SHA512, "rsa-pss-sha512", RSA[0], pem(RSA[0])),
}
peers = pytest.mark.parametrize("peer", PEERS.values(), ids=PEERS)


def we_take(peer: Peer, request: Request) -> bool:
    try:
        return peer.scheme.verify(came(request.headers), NOW)(request.body).body
    except VerificationError:
        return False


def they_take(peer: Peer, request: Request) -> bool:
    try:
        return peer.verify(request) is not False
    except Exception:  # many raise all sorts of errors for what is no request of theirs
        return False


@peers
@pytest.mark.parametrize("body", BODIES, ids=len)
def test_what_the_library_signs_is_verified(peer: Peer, body: bytes) -> None:
    assert we_take(peer, Request(peer.sign(body, 0), body, 0))


@peers
@pytest.mark.parametrize("body", BODIES, ids=len)
def test_what_is_signed_is_verified_by_the_library(peer: Peer, body: bytes) -> None:
    headers = [*peer.scheme.sign(RequestHead.of(peer.given), body, NOW).headers]
    peer.verify(Request(headers, body, 0))
    assert they_take(peer, Request(headers, body, 0))
    assert not they_take(peer, Request(headers, body + b"!", 0))


@peers
def test_what_the_library_rejects_is_rejected(peer: Peer) -> None:
    made = [*requests(peer.sign, [name.encode() for name in peer.headers], peer.more)]
    assert sum(request.changes > 0 for request in made) >= 1000
    took, rejected, only_we, only_they = compared(made, partial(we_take, peer), partial(they_take, peer))
    reasons = Counter([peer.why_only_they(each) for each in only_they] + [peer.why_only_we(each) for each in only_we])
    print(
        f"\n{took} taken and {rejected} rejected by both;", *(f"\n{count} not: {why}" for why, count in reasons.items())
    )
    assert took + rejected + len(only_we) + len(only_they) == COUNT
    assert min(took, rejected) >= 100
    assert None not in reasons
