"""explain fetches the keys that a scheme needs, and says what is wrong with them."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from tests.helpers import NOW
from tests.signatures.key_server import jwk, jwks
from tests.signatures.keys import ED25519, RSA, pem
from tests.signatures.test_jwks import bearer
from webhook_receiver import JWKS, BearerJWT, HMACBody, KeysUnavailable, PublicKeyBody, SecretsByRequest
from webhook_receiver.delivery import RequestHead
from webhook_receiver.explain import explain

BODY = b'{"event": "parcel.lost", "order": "o-1"}'
TIMED: dict[str, Any] = {
    "algorithm": "ed25519",
    "signature": "x-signature",
    "signed": "{timestamp}{body}",
    "timestamp": "x-timestamp",
}


class Host:
    """A host of keys, and how often it was asked."""

    def __init__(self, *keys: Any) -> None:
        self.keys, self.asked = keys, 0

    async def fetch(self, url: str) -> bytes:
        self.asked += 1
        if not self.keys:
            raise KeysUnavailable("example.com answered 500")
        return jwks(*self.keys)

    def jwks(self) -> JWKS:
        return JWKS("https://example.com/keys", fetch=self.fetch)


def test_a_token_is_verified_by_keys_that_are_fetched() -> None:
    host = Host(jwk(RSA[0], kid="a"))
    make = partial(BearerJWT, algorithm="RS256")
    found = explain(bearer(RSA[0], kid="a"), BODY, host.jwks(), make=make, now=NOW)
    assert (found.ok, found.verified_by) == (True, 0)
    unknown = explain(bearer(RSA[0], kid="b"), BODY, host.jwks(), make=make, now=NOW)
    assert unknown.error == "BadSignature"
    assert unknown.failed is not None
    assert "it names a key that is not among those of <JWKS of example.com>" in unknown.failed.said


async def test_it_does_so_where_an_event_loop_runs() -> None:
    make = partial(BearerJWT, algorithm="RS256")
    assert explain(bearer(RSA[0]), BODY, Host(jwk(RSA[0])).jwks(), make=make, now=NOW).ok


def test_keys_that_cannot_be_fetched_are_the_cause() -> None:
    host = Host()
    found = explain(bearer(RSA[0]), BODY, host.jwks(), make=partial(BearerJWT, algorithm="RS256"), now=NOW)
    assert found.error == "KeysUnavailable"
    assert str(found).startswith("x the keys to verify by can be fetched: example.com answered 500\n")
    assert [cause.name for cause in found.causes] == ["keys-unavailable"]
    assert host.asked == 1


@pytest.mark.parametrize("now", [NOW, NOW + 1000, None])
def test_many_trials_are_few_fetches(now: float | None) -> None:
    host = Host(jwk(ED25519[0]))
    head = PublicKeyBody(pem(ED25519[0]), **TIMED).sign(RequestHead.of({}), BODY, NOW)
    found = explain(head.headers, BODY + b"\n", host.jwks(), make=partial(PublicKeyBody, **TIMED), now=now)
    assert "newline" in found.causes[0].what
    assert host.asked <= 8


def test_of_many_tenants_each_is_explained_by_its_own_secret() -> None:
    async def secrets_of(tenant: str) -> str:
        return {"a": "secret"}[tenant]

    make = partial(HMACBody, signature="x-signature")
    scheme = SecretsByRequest(secrets_of, make, tenant="path")
    head = make("secret").sign(RequestHead.of({}), BODY, NOW)
    given: Any = {"headers": head.headers, "secrets": "none", "make": lambda secrets: scheme, "now": NOW}
    assert explain(body=BODY, target="/hooks/a", **given).ok
    assert explain(body=BODY, target="/hooks/b", **given).failed is not None
    assert "a tenant that the receiver does not know" in str(explain(body=BODY, target="/hooks/b", **given))
    assert "newline" in str(explain(body=BODY + b"\n", target="/hooks/a", **given))
