from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

import pytest

from tests.helpers import NOW, SECRET, came, order, signed
from webhook_receiver import (
    AllowFrom,
    AnyOf,
    BadSignature,
    BasicAuth,
    BodyMismatch,
    ConfigurationError,
    Event,
    Filter,
    HMACBody,
    MissingSignature,
    Sender,
    StaleSignature,
    StandardWebhooks,
    Unsigned,
    UP42Signature,
    WebhookReceiver,
)
from webhook_receiver.delivery import RequestHead
from webhook_receiver.errors import AddressNotAllowed
from webhook_receiver.inbox.memory import MemoryInbox
from webhook_receiver.senders import Split, slack
from webhook_receiver.senders import stripe as stripe_sender
from webhook_receiver.senders.registry import presets
from webhook_receiver.senders.up42 import up42

from .keys import whsec

BODY = order()
TOKEN = "x" * 22
CHANGE = AnyOf(StandardWebhooks([whsec("a"), whsec("b")]), UP42Signature([SECRET, "old"]), stripe_sender.signature("c"))


def test_any_of_the_schemes_verifies_and_the_index_is_over_all_their_secrets() -> None:
    made = [
        StandardWebhooks(whsec("b")).sign(RequestHead.of({}), BODY, NOW).headers,
        signed(BODY),
        signed(BODY, secret="old"),
        stripe_sender.signature("c").sign(RequestHead.of({}), BODY, NOW).headers,
    ]
    assert [CHANGE.verify(came(headers), NOW)(BODY).by for headers in made] == [1, 2, 3, 4]
    assert CHANGE.secret_count == 5


def test_the_first_signs() -> None:
    assert CHANGE.verify(came(CHANGE.sign(RequestHead.of({}), BODY, NOW).headers), NOW)(BODY).by == 0


def test_one_may_be_within_another() -> None:
    outer = AnyOf(slack.signature("z"), CHANGE)
    assert outer.verify(came(signed(BODY, secret="old")), NOW)(BODY).by == 4


def test_an_address_that_is_not_let_in_is_told_before_a_proof_that_is_missing() -> None:
    scheme = AnyOf(HMACBody("s", signature="x-sig"), AllowFrom(["192.0.2.0/24"], BasicAuth("p", username="u")))
    with pytest.raises(AddressNotAllowed):
        scheme.verify(RequestHead.of({}, client="198.51.100.1"), NOW)
    with pytest.raises(BadSignature):
        scheme.verify(RequestHead.of({"x-sig": "0" * 64}, client="198.51.100.1"), NOW)(BODY)


def test_the_error_is_that_of_the_scheme_that_came_furthest() -> None:
    with pytest.raises(MissingSignature):
        CHANGE.verify(came([]), NOW)
    with pytest.raises(BadSignature):
        CHANGE.verify(came(signed(BODY, secret="another")), NOW)
    with pytest.raises(StaleSignature):
        CHANGE.verify(came(signed(BODY)), NOW + 3600)
    with pytest.raises(BodyMismatch):
        CHANGE.verify(came(signed(BODY)), NOW)(b"another")
    stripe = stripe_sender.signature("c").sign(RequestHead.of({}), BODY, NOW).headers
    with pytest.raises(BadSignature):
        CHANGE.verify(came(stripe), NOW)(b"another")
    both = [*stripe, *signed(BODY, secret="another")]
    assert CHANGE.verify(came(both), NOW)(BODY).by == 4


def test_a_token_in_the_path_is_one_of_the_secrets() -> None:
    change = AnyOf(UP42Signature(SECRET), Unsigned(token_in_path=TOKEN))
    verified = change.verify(came([], target=f"/hooks/{TOKEN}".encode()), NOW)(BODY)
    assert (verified.by, verified.body) == (1, False)


@pytest.mark.parametrize("schemes", [[], ["do-not-show-me"], [UP42Signature], [UP42Signature(SECRET), Unsigned()]])
def test_what_is_no_scheme_or_lets_everybody_in_is_rejected(schemes: list[Any]) -> None:
    with pytest.raises(ConfigurationError, match="AnyOf") as rejected:
        AnyOf(*schemes)
    assert "do-not-show-me" not in str(rejected.value)


def test_it_signs_by_the_first_scheme_that_can_sign_the_body() -> None:
    form, other = (HMACBody("key", signature="x-sig", signed=signed) for signed in ("{form}", "b:{body}"))
    scheme, head = AnyOf(form, other), RequestHead.of({})
    for body, first in [(b"a=1", form), (b'{"a": 1}', other), (b"[1]", other)]:
        signed = scheme.sign(head, body, NOW)
        assert signed == first.sign(head, body, NOW)
        assert scheme.verify(signed, NOW)(body).by == (0 if first is form else 1)
    with pytest.raises(ConfigurationError, match="no form"):
        AnyOf(form, form).sign(head, b"[1]", NOW)


@pytest.mark.parametrize("name", ["twilio", "cloudevents"])
def test_a_secret_by_which_a_sender_signs_in_several_ways_is_one(name: str) -> None:
    for secrets in (["new"], ["new", "old"]):
        scheme = presets()[name].sender(secrets).scheme
        assert scheme.secret_count == len(secrets)


def test_schemes_with_the_same_secrets_tell_the_index_of_the_secret() -> None:
    def scheme(encoding: Literal["hex", "base64"], secrets: Sequence[str]) -> HMACBody:
        return HMACBody(secrets, signature="x-sig", encoding=encoding)

    both = AnyOf(scheme("hex", ["new", "old"]), scheme("base64", ["new", "old"]), same_secrets=True)
    encodings: tuple[Literal["hex", "base64"], ...] = ("hex", "base64")
    for encoding in encodings:
        for by, secret in enumerate(("new", "old")):
            head = scheme(encoding, [secret]).sign(RequestHead.of({}), b"{}", NOW)
            assert both.verify(head, NOW)(b"{}").by == by
    with pytest.raises(ConfigurationError, match=r"with \[1, 2\] secrets: give all the same"):
        AnyOf(scheme("hex", ["new"]), scheme("base64", ["new", "old"]), same_secrets=True)


async def test_who_signs_in_the_second_way_is_not_said_to_sign_with_an_old_secret(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hooks = WebhookReceiver(sender=presets()["cloudevents"].sender("token"))
    hooks.fallback(print)
    body = b'{"specversion": "1.0", "type": "made", "source": "/s", "id": "1"}'
    receipt = await hooks.receive({"content-type": "application/json"}, body, target="/?access_token=token")
    assert receipt.response.status == 204
    assert hooks.verified == {0: 1}
    assert "secret" not in caplog.text


OLD = HMACBody("s", signature="x-old")


@pytest.mark.parametrize(
    "new",
    [
        StandardWebhooks(whsec("a")),
        HMACBody("s", signature="x-new", id="x-id", signed="{id}.{body}"),
        AllowFrom(["203.0.113.0/24"], StandardWebhooks(whsec("a"))),
        AnyOf(StandardWebhooks(whsec("a")), StandardWebhooks(whsec("b"))),
    ],
    ids=["standard", "an id of its own", "within networks", "within another"],
)
@pytest.mark.parametrize("ids", [{"delivery_id": "x-id"}, {"delivery_id_path": "id"}], ids=["header", "body"])
async def test_a_copy_without_what_one_scheme_signs_is_a_duplicate(new: Any, ids: Any) -> None:
    now = [NOW]
    sender = Sender(name="acme", scheme=AnyOf(new, OLD), facts=("made up",), event_name="type", **ids)
    hooks = WebhookReceiver(sender=sender, inbox=MemoryInbox(), clock=lambda: now[0], work=False)
    hooks.on("paid")(lambda event: None)
    body = b'{"type": "paid", "id": "7"}'
    head = OLD.sign(new.sign(RequestHead.of({}), body, NOW), body, NOW)
    copy = [pair for pair in head.headers if not pair[0].startswith((b"x-new", b"webhook-"))]
    async with hooks:
        first = await hooks.receive(head.headers, body, client="203.0.113.7")
        assert (first.response.status, first.duplicate_of) == (202, None)
        for now[0] in (NOW, NOW + 30 * 86_400):
            again = await hooks.receive(copy, body, client="203.0.113.7")
            assert (again.response.status, again.duplicate_of) == (200, first.delivery and first.delivery.id)


@pytest.mark.parametrize(
    ("document", "status"),
    [
        ({"event": "order.status", "body": {"orderId": "o1", "status": "FULFILLED"}}, 200),
        ({"event": "parcel.lost"}, 202),
        ({"event": 7}, 200),
    ],
    ids=["with an identity", "without one", "no event"],
)
async def test_a_copy_of_up42s_without_the_id_is_a_duplicate_of_an_event_with_an_identity(
    document: object, status: int
) -> None:
    new, old = StandardWebhooks(whsec("a")), UP42Signature("s")
    hooks = WebhookReceiver(sender=up42(scheme=AnyOf(new, old)), inbox=MemoryInbox(), clock=lambda: NOW, work=False)
    hooks.on(Event)(lambda event: None)
    body = json.dumps(document).encode()
    head = old.sign(new.sign(RequestHead.of({"content-type": "application/json"}), body, NOW), body, NOW)
    copy = [pair for pair in head.headers if not pair[0].startswith(b"webhook-")]
    async with hooks:
        answers = [(await hooks.receive(each, body)).response.status for each in (head.headers, head.headers, copy)]
    assert answers == [202, 200, status]


async def test_each_part_of_a_delivery_is_known_without_the_id_by_its_own_identity() -> None:
    class Moved(Event, frozen=True):
        event: Literal["moved"]
        parcel: str

        @property
        def identity(self) -> tuple[str, ...]:
            return (self.parcel,)

    new = StandardWebhooks(whsec("a"))
    sender = Sender(name="acme", scheme=AnyOf(new, OLD), facts=("made up",), split=Split("*"))
    hooks = WebhookReceiver(sender=sender, inbox=MemoryInbox(), clock=lambda: NOW, work=False)
    hooks.on(Moved, name="moved")(lambda event: None)
    hooks.fallback(lambda event: None)
    body = b'[{"event": "moved", "parcel": "1"}, {"event": "seen"}, {"event": "moved", "parcel": "2"}]'
    head = OLD.sign(new.sign(RequestHead.of({}), body, NOW), body, NOW)
    copy = [pair for pair in head.headers if not pair[0].startswith(b"webhook-")]
    async with hooks:
        for headers in (head.headers, copy):
            await hooks.receive(headers, body)
        stored = await hooks.inbox.find(Filter())
    assert Counter(each.event for each in stored) == {"moved": 2, "seen": 2}


def test_ids_count_where_all_schemes_prove_one_or_none_does() -> None:
    both = AnyOf(StandardWebhooks(whsec("a")), StandardWebhooks(whsec("b")))
    found = both.verify(both.sign(RequestHead.of({}), BODY, NOW), NOW)(BODY)
    assert (both.proves_id, bool(found.id), found.is_id_optional, found.fresh) == (True, True, False, True)
    assert (AnyOf(OLD, OLD).proves_id, AnyOf(both, OLD).proves_id) == (False, False)
