from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

import pytest
from pydantic import AliasChoices, AliasPath, BaseModel, Field

from tests.helpers import NOW, SECRET, came
from webhook_receiver import (
    BadSignature,
    ConfigurationError,
    Event,
    HTTPMessageSignature,
    OrderFulfilled,
    StandardWebhooks,
    Unsigned,
    UP42Signature,
)
from webhook_receiver.delivery import RequestHead, header_pairs
from webhook_receiver.senders import github, slack
from webhook_receiver.signatures import BodyCheck, Scheme, Verified
from webhook_receiver.testing import encode, forge, make, sign
from webhook_receiver.testing.wire import forged_head, signed_head


class Parcel(BaseModel, frozen=True, extra="allow"):
    number: str = Field(alias="no")
    weight: Decimal = Decimal(1)


class ParcelDelivered(Event, frozen=True):
    event: Literal["parcel.delivered"] = Field(validation_alias=AliasChoices(AliasPath("meta", 0), "type", "kind"))
    parcels: list[Parcel] = Field(alias="data")
    at: datetime | None = None


SENT: dict[str, Any] = {
    "type": "parcel.delivered",
    "data": [{"no": "P7", "colour": "red"}],
    "at": "2026-01-01T00:00:00Z",
    "more": {"of": ["it"]},
}


def test_an_event_becomes_what_its_sender_has_sent() -> None:
    assert json.loads(encode(ParcelDelivered.model_validate(SENT))) == SENT


def test_what_was_not_given_is_not_sent() -> None:
    event = ParcelDelivered.model_validate({"type": "parcel.delivered", "data": []})
    assert encode(event) == b'{"type":"parcel.delivered","data":[]}'


def test_a_dict_may_hold_times_and_models() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    document = {"at": at, "weights": (Decimal("1.5"),), "parcel": Parcel(no="P7")}
    assert json.loads(encode(document)) == {"at": "2026-01-01T00:00:00Z", "weights": ["1.5"], "parcel": {"no": "P7"}}


def test_bytes_are_sent_as_they_are() -> None:
    assert encode(b" \xff") == b" \xff"


@pytest.mark.parametrize("what", ["text", 7, None, [1]])
def test_what_is_no_event_no_dict_and_no_bytes_is_rejected(what: Any) -> None:
    with pytest.raises(TypeError, match="an event, a dict or bytes, not"):
        encode(what)


def test_a_field_that_is_read_from_a_path_is_rejected() -> None:
    class Deep(Event, frozen=True):
        event: Literal["deep"]
        number: str = Field(validation_alias=AliasPath("data", "number"))

    event = Deep.model_validate({"event": "deep", "data": {"number": "7"}})
    with pytest.raises(ValueError, match=r"Deep\.number is read from a path: send the document as a dict"):
        encode(event)


@pytest.mark.parametrize("what", [make(OrderFulfilled), {"event": "x"}, b"not JSON"])
def test_what_is_signed_verifies(what: Any) -> None:
    scheme = UP42Signature(SECRET)
    headers = sign(what, scheme, now=NOW)
    assert scheme.verify(RequestHead.of(headers), NOW)(encode(what))[:2] == (0, True)
    assert headers["content-type"] == "application/json"


def test_it_is_signed_now_unless_told_otherwise() -> None:
    scheme = UP42Signature(SECRET)
    assert scheme.verify(RequestHead.of(sign(b"", scheme)), time.time())(b"")


def test_more_headers_can_be_signed() -> None:
    scheme = UP42Signature(SECRET, components=("x-tenant", "digest"))
    headers = sign(b"", scheme, headers={"X-Tenant": "acme"}, now=NOW)
    assert scheme.verify(RequestHead.of(headers), NOW)(b"")
    assert headers["x-tenant"] == "acme"


def test_an_unsigned_delivery_has_no_more_than_it_is_given() -> None:
    assert sign(b"", Unsigned()) == {"content-type": "application/json"}


def test_what_is_forged_is_rejected_although_it_looks_well() -> None:
    scheme = UP42Signature(SECRET)
    genuine, forged = sign(b"{}", scheme, now=NOW), forge(b"{}", scheme, now=NOW)
    assert {name for name in genuine if genuine[name] != forged[name]} == {"signature"}
    with pytest.raises(BadSignature):
        scheme.verify(RequestHead.of(forged), NOW)(b"{}")


def test_a_forger_does_not_need_the_digest_where_the_receiver_does_not() -> None:
    scheme = UP42Signature(SECRET, body_binding="optional", components=("content-type",))
    with pytest.raises(BadSignature):
        scheme.verify(RequestHead.of(forge(b"{}", scheme, now=NOW)), NOW)(b"{}")


class Token:
    """A scheme that hands over the secret itself, and a short one."""

    secret_count = 1

    def sign(self, head: RequestHead, body: bytes, now: float) -> RequestHead:
        return head.with_headers((b"x-token", b"abba"))

    def verify(self, head: RequestHead, now: float) -> BodyCheck:
        if dict(head.headers).get(b"x-token") != b"abba":
            raise BadSignature("no")
        return lambda body: Verified(0, body=False)


def test_the_proof_of_any_scheme_can_be_forged() -> None:
    scheme: Scheme = Token()
    scheme.verify(came(header_pairs(sign(b"", scheme))), NOW)
    with pytest.raises(BadSignature):
        scheme.verify(came(header_pairs(forge(b"", scheme))), NOW)


def test_where_all_are_let_in_there_is_nothing_to_forge() -> None:
    with pytest.raises(ConfigurationError, match="Unsigned signs nothing"):
        forge(b"", Unsigned())


@pytest.mark.parametrize(
    ("scheme", "proof"),
    [
        (StandardWebhooks("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), "webhook-signature"),
        (github.signature(SECRET), "x-hub-signature-256"),
        (slack.signature(SECRET), "x-slack-signature"),
        (HTTPMessageSignature({"key-1": SECRET}), "signature"),
    ],
)
def test_of_what_is_forged_only_the_proof_is_wrong(monkeypatch: pytest.MonkeyPatch, scheme: Scheme, proof: str) -> None:
    for module in ("standard", "content_scheme"):
        monkeypatch.setattr(f"webhook_receiver.signatures.{module}.uuid4", lambda: UUID(int=7))
    genuine, forged = sign(b"{}", scheme, now=NOW), forge(b"{}", scheme, now=NOW)
    assert {name for name in genuine if genuine[name] != forged[name]} == {proof}
    assert scheme.verify(came(header_pairs(genuine)), NOW)(b"{}").by == 0
    with pytest.raises(BadSignature):
        scheme.verify(came(header_pairs(forged)), NOW)(b"{}")


@pytest.mark.parametrize("token", ["Zm9vYmFyYmF6cXV4cXV1eA", "x" * 30])
def test_a_token_in_the_path_is_forged_by_another_path(token: str) -> None:
    scheme = Unsigned(token_in_path=token)
    genuine = signed_head(b"{}", scheme, now=NOW, target="/in?from=here")
    forged = forged_head(b"{}", scheme, now=NOW, target="/in?from=here")
    assert genuine.target == f"/in/{token}?from=here".encode()
    assert (forged.headers, forged.target == genuine.target) == (genuine.headers, False)
    assert scheme.verify(genuine, NOW)(b"{}").by == 0
    with pytest.raises(BadSignature):
        scheme.verify(forged, NOW)
    assert sign(b"{}", scheme, now=NOW) == {"content-type": "application/json"}
    with pytest.raises(ConfigurationError, match="by its URL: post to another one"):
        forge(b"{}", scheme, now=NOW)


def test_the_url_can_be_signed() -> None:
    scheme = HTTPMessageSignature({"key-1": SECRET}, components=["@target-uri"])
    headers = sign(b"{}", scheme, now=NOW, url="https://hooks.example.com/in")
    there, elsewhere = (RequestHead.of(headers, url=f"https://hooks.example.com/{path}") for path in ("in", "out"))
    assert scheme.verify(there, NOW)(b"{}").by == 0
    with pytest.raises(BadSignature):
        scheme.verify(elsewhere, NOW)
