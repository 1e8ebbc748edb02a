"""What holds for every scheme whatever the secret, the headers and the body are: hypothesis looks for a way out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers import came
from webhook_receiver import (
    AnyOf,
    HMACBody,
    HTTPMessageSignature,
    Scheme,
    StandardWebhooks,
    UP42Signature,
    VerificationError,
)
from webhook_receiver.delivery import RequestHead
from webhook_receiver.senders import github, shopify, slack, stripe
from webhook_receiver.testing.scheme_suite import HOSTILE_VALUES, NOW

from .keys import ED25519, WHSK, pem, whsec

ID = {"x-github-delivery": "1", "x-shopify-webhook-id": "1", "x-id": "1"}
SCHEMES: dict[str, Callable[[list[str]], Scheme]] = {
    "UP42": UP42Signature,
    "Standard Webhooks": lambda secrets: StandardWebhooks([whsec(each) for each in secrets]),
    "Svix": lambda secrets: StandardWebhooks([whsec(each) for each in secrets], headers="svix"),
    "GitHub": github.signature,
    "Stripe": stripe.signature,
    "Slack": slack.signature,
    "Shopify": shopify.signature,
    "id, time and body": lambda secrets: HMACBody(
        secrets, signature="x-sig", hash="sha384", signed="a{id}\0{timestamp}{body}{{}}", timestamp="x-time", id="x-id"
    ),
    "RFC 9421": lambda secrets: HTTPMessageSignature({each.encode().hex(): each for each in secrets}),
    "any of two": lambda secrets: AnyOf(UP42Signature(secrets[0]), github.signature(secrets)),
}
schemes = pytest.mark.parametrize("make", SCHEMES.values(), ids=SCHEMES)
UP42_FREE = [b"signature-input", b"signature"]
FREE = {"UP42": UP42_FREE, "any of two": UP42_FREE, "RFC 9421": [b"signature"]}
"""Where a changed bit may mean the same: UP42 covers neither time nor label, base64 has unused bits. See the suite."""

secrets = st.lists(
    # Within a secret whatever there is, at its ends nothing invisible.
    st.text(st.characters(exclude_categories=["Cs"]), max_size=80).map("s{}t".format),
    min_size=1,
    max_size=3,
)
names = st.sampled_from(["x-other", "x-more", "accept", "user-agent"])
others = st.dictionaries(
    names, st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=30).map(str.strip)
)


@schemes
@given(secrets=secrets, headers=others, body=st.binary(max_size=300))
@settings(max_examples=60)
def test_what_is_signed_is_verified_whatever_it_is(
    make: Callable[[list[str]], Scheme], secrets: list[str], headers: dict[str, str], body: bytes
) -> None:
    scheme = make(secrets)
    signed = scheme.sign(RequestHead.of({"content-type": "a/b", **ID, **headers}), body, NOW).headers
    verified = scheme.verify(came(signed), NOW)(body)
    assert (verified.by, verified.body) == (0, True)


@schemes
@given(data=st.data())
@settings(max_examples=100)
def test_one_changed_bit_of_what_is_covered_is_rejected(
    make: Callable[[list[str]], Scheme], request: pytest.FixtureRequest, data: st.DataObject
) -> None:
    scheme, body = make(["a secret"]), data.draw(st.binary(min_size=1, max_size=60))
    given = {"content-type": "a/b", **ID}
    signed = list(scheme.sign(RequestHead.of(given), body, NOW).headers)
    free = FREE.get(request.node.callspec.id, [])
    covered = [at for at in range(len(given), len(signed)) if signed[at][0] not in free]
    where = data.draw(st.sampled_from([*covered, None]))
    target = body if where is None else signed[where][1]
    bit = data.draw(st.integers(0, 8 * len(target) - 1))
    changed = target[: bit // 8] + bytes([target[bit // 8] ^ (1 << bit % 8)]) + target[bit // 8 + 1 :]
    if where is not None:
        signed[where] = (signed[where][0], changed)
    with pytest.raises(VerificationError):
        scheme.verify(came(signed), NOW)(changed if where is None else body)


hostile: st.SearchStrategy[Any] = st.binary(max_size=80) | st.sampled_from([x for x in HOSTILE_VALUES if len(x) < 1000])


@schemes
@given(data=st.data(), now=st.floats() | st.just(NOW), body=st.binary(max_size=50))
@settings(max_examples=100)
def test_only_verification_errors_come_out_whatever_goes_in(
    make: Callable[[list[str]], Scheme], data: st.DataObject, now: float, body: bytes
) -> None:
    scheme = make(["a secret", "another"])
    signed = list(
        scheme.sign(
            RequestHead.of({"content-type": "a/b", **ID}), b"what nobody draws, being too long for that" * 2, NOW
        ).headers
    )
    known = st.sampled_from([name for name, _ in signed])
    values = hostile | st.sampled_from([value for _, value in signed])
    drawn = data.draw(st.lists(st.tuples(known | st.binary(max_size=8), values), max_size=8))
    headers = drawn if data.draw(st.booleans()) else [*dict(signed + drawn).items()]
    with pytest.raises(VerificationError):
        scheme.verify(came(headers), now)(body)


@given(st.sampled_from([WHSK[:2], [pem(each) for each in ED25519[:2]]]), st.binary(max_size=300))
def test_ed25519_signs_any_body(keys: list[str], body: bytes) -> None:
    scheme: Scheme
    if keys[0].startswith("whsk_"):
        scheme = StandardWebhooks(keys)
    else:
        scheme = HTTPMessageSignature({"a": keys[0], "b": keys[1]}, algorithm="ed25519")
    assert scheme.verify(came(scheme.sign(RequestHead.of({}), body, NOW).headers), NOW)(body).by == 0
