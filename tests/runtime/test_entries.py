"""Which deliveries are duplicates, by sender: what repeats, what is news, and what a stranger can do with a copy."""

from __future__ import annotations

import asyncio
import gzip
import json
from dataclasses import replace
from decimal import Decimal
from functools import partial
from types import SimpleNamespace
from typing import Any, Literal
from urllib.parse import urlencode
from uuid import UUID

import pytest
from pydantic import Field

from tests.helpers import NOW
from tests.working import PATIENCE, Clock, durable, until
from webhook_receiver import (
    AllowFrom,
    AnyOf,
    BasicAuth,
    BearerJWT,
    ConfigurationError,
    Event,
    Filter,
    HeaderSecret,
    HMACBody,
    HTTPMessageSignature,
    MemoryInbox,
    NotAnEvent,
    OrderFulfilled,
    QuerySecret,
    Scheme,
    SecretsByRequest,
    Sender,
    StaleSignature,
    StandardWebhooks,
    State,
    UnknownEvent,
    Unsigned,
    UP42Signature,
    WebhookReceiver,
)
from webhook_receiver.delivery import Delivery, RequestHead
from webhook_receiver.inbox.base import window_of
from webhook_receiver.runtime.entries import EntryBuilder
from webhook_receiver.senders import Split
from webhook_receiver.senders.adyen import adyen
from webhook_receiver.senders.catalogue import gitlab, stream, zendesk
from webhook_receiver.senders.form import form_document
from webhook_receiver.senders.github import EVENT_MEMBERS, github
from webhook_receiver.senders.meta import MessagesChanged, meta
from webhook_receiver.senders.preset import LATE
from webhook_receiver.senders.shopify import shopify
from webhook_receiver.senders.slack import slack
from webhook_receiver.senders.stripe import stripe
from webhook_receiver.senders.up42 import up42
from webhook_receiver.signatures.body_forms import canonical_json, escaped, gunzipped
from webhook_receiver.signatures.hmac_fields import HMACFields

DAY = 86_400
TIMED = partial(HMACBody, "s", timestamp="x-at", signed="{timestamp}.{body}")

PUSH = {
    "ref": "refs/heads/main",
    "before": "6113728f27ae",
    "after": "0000000000",
    "commits": [],
    "pusher": {"name": "octocat"},
    "repository": {"id": 1},
    "sender": {"id": 1},
}


def handling(sender: Sender, *events: type[Event] | str, **options: Any) -> tuple[WebhookReceiver, list[str]]:
    """Return a receiver with an inbox, and the names of the events that its handlers got."""
    hooks, ran = durable(options.pop("inbox", "memory://"), sender=sender, **options), list[str]()
    for event in events:
        hooks.on(event, name=f"on {event}")(lambda event: ran.append(event.event))
    return hooks, ran


async def deliver(hooks: WebhookReceiver, what: object, headers: dict[str, str] | None = None) -> int:
    """Deliver a document, signed anew as the sender does; wait until all its events are settled; return the status."""
    body = what if isinstance(what, bytes) else json.dumps(what).encode()
    head = hooks.sender.scheme.sign(RequestHead.of(headers or {}), body, hooks.runtime.clock())
    receipt = await hooks.receive(head.headers, body)
    assert receipt.delivery is not None
    async with asyncio.timeout(PATIENCE):
        while any(kept.due is not None or kept.leased for kept in await hooks.inbox.find(Filter())):
            await asyncio.to_thread(int)
    return receipt.response.status


class Paid(Event, frozen=True):
    event: Literal["invoice.paid"] = Field(alias="type")
    id: str

    @property
    def identity(self) -> tuple[str, ...]:
        return (self.id,)


class ByOwnId(Event, frozen=True):
    event: Literal["parcel.moved"]
    number: int
    left: int = 0

    @property
    def delivery_id(self) -> str | None:
        if self.number == 0:
            raise ZeroDivisionError
        return str(self.number)


async def test_stripe_repeats_an_event_with_another_counter() -> None:
    hooks, ran = handling(stripe("s"), Paid)
    async with hooks:
        statuses = [
            await deliver(hooks, {"id": id, "type": "invoice.paid", "pending_webhooks": left})
            for id, left in (("evt_1", 2), ("evt_1", 1), ("evt_2", 1))
        ]
    assert (statuses, len(ran)) == ([202, 200, 202], 2)


async def test_stripe_repeats_an_event_that_has_no_class() -> None:
    hooks, ran = handling(stripe("s"))
    hooks.fallback(lambda event: ran.append(event.event))
    hooks.on(Paid, name="book")(lambda event: None)
    async with hooks:
        for left in (2, 1):
            await deliver(hooks, {"id": "evt_9", "type": "charge.failed", "pending_webhooks": left})
    assert ran == ["charge.failed"]


async def test_stripe_repeats_an_event_that_has_no_name_here() -> None:
    hooks, ran = handling(replace(stripe("s"), event_name=()), UnknownEvent)
    async with hooks:
        for id, left in (("evt_9", 2), ("evt_9", 1), ("evt_8", 1)):
            await deliver(hooks, {"id": id, "type": "charge.failed", "pending_webhooks": left})
    assert ran == ["", ""]


@pytest.mark.parametrize(
    "body",
    [
        urlencode({"command": "/deploy", "text": "{}", "trigger_id": "1.2"}),
        urlencode({"payload": json.dumps({"type": "block_actions", "trigger_id": "1.2", "value": "{}"})}),
        '{"type": "app_rate_limited", "minute": "{}"}',
    ],
    ids=["slash command", "interaction", "event without an id"],
)
async def test_slack_repeats_what_has_no_id_with_the_same_bytes(body: str) -> None:
    hooks, ran = handling(slack("s"), UnknownEvent)
    async with hooks:
        statuses = [
            await deliver(hooks, body.replace("%7B%7D", text).replace("{}", text).encode())
            for text in ("a", "a", "b", "a")
        ]
    assert (statuses, len(ran)) == ([202, 200, 202, 200], 2)


@pytest.mark.parametrize("body", [b"[1, 2, 3]", b"no JSON", b'{"event": 7}'])
async def test_copies_of_what_is_no_event_are_stored_once(body: bytes) -> None:
    hooks, clock = durable("memory://", sender=up42("s")), Clock()
    hooks.runtime.clock = clock
    hooks.on(OrderFulfilled, name="h")(lambda event: None)
    async with hooks:
        for _ in range(3):
            await deliver(hooks, body, {"content-type": "application/json"})
            clock.move(1)  # the signature has another time
        assert [each.state for each in await hooks.inbox.find(Filter())] == [State.DEAD]


async def test_slack_repeats_an_event_with_another_time() -> None:
    class Callback(Event, frozen=True):
        event: Literal["event_callback"] = Field(alias="type")

    hooks, ran = handling(slack("s"), Callback)
    async with hooks:
        for id, time in (("Ev1", 1), ("Ev1", 2), ("Ev2", 2)):
            await deliver(hooks, {"type": "event_callback", "event_id": id, "event_time": time})
    assert len(ran) == 2


async def test_a_class_may_say_where_the_senders_id_is(caplog: pytest.LogCaptureFixture) -> None:
    hooks, ran = handling(Sender(name="acme", scheme=HMACBody("s", signature="x-sig"), facts=("none",)), ByOwnId)
    async with hooks:
        for number, left in ((1, 2), (1, 1), (2, 1), (0, 1), (0, 1)):
            await deliver(hooks, {"event": "parcel.moved", "number": number, "left": left})
    assert len(ran) == 4
    assert caplog.text.count("its event's delivery_id failed, so a duplicate may not be recognized") == 2


@pytest.mark.parametrize("annotation", [UUID, Decimal, list[int], bool, bytes, object], ids=str)
async def test_an_id_of_a_class_is_anything_that_has_a_text_of_its_own(
    annotation: Any, caplog: pytest.LogCaptureFixture
) -> None:
    given: Any = {UUID: UUID(int=7), Decimal: Decimal("1.50"), list[int]: [7], bool: True, bytes: b"7"}

    class Moved(Event, frozen=True):
        event: Literal["moved"]

        @property
        def delivery_id(self) -> Any:
            return given.get(annotation, object())

    hooks, ran = handling(Sender(name="acme", scheme=HMACBody("s", signature="x-sig"), facts=("none",)), Moved)
    async with hooks:
        for left in (2, 1):
            await deliver(hooks, {"event": "moved", "left": left})
    is_id = annotation in (UUID, Decimal)
    assert (len(ran), caplog.text.count("TypeError: an id is a text, a number")) == ((1, 0) if is_id else (2, 2))


@pytest.mark.parametrize("id", [7, "7", 1.5, 12345678901234567890123, None, "", True, ["7"], {"a": 1}])
async def test_an_id_in_a_document_is_a_text_or_a_number(id: object, caplog: pytest.LogCaptureFixture) -> None:
    sender = Sender(
        name="acme", scheme=HMACBody("s", signature="x-sig"), facts=("none",), delivery_id_path="meta.ids.0"
    )
    hooks, ran = handling(sender, "parcel")
    async with hooks:
        for left in (2, 1):
            await deliver(hooks, {"event": "parcel", "left": left, "meta": {"ids": [id]}})
    is_none = id in (None, "")
    is_id = not is_none and isinstance(id, str | int | float) and id is not True
    assert len(ran) == (1 if is_id else 2)
    assert ("delivery_id failed" in caplog.text) is not (is_id or is_none)


async def test_however_many_parts_have_an_odd_id_that_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    scheme = HMACBody("s", signature="x-sig")
    split = Split("events.*")
    sender = Sender(name="acme", scheme=scheme, facts=("none",), split=split, delivery_id_path="id")
    hooks, ran = handling(sender, "parcel")
    async with hooks:
        await deliver(hooks, {"events": [{"event": "parcel", "id": {"a": n}} for n in range(300)]})
        await until(lambda: len(ran) == 300)
    (record,) = (each for each in caplog.records if "id" in each.getMessage())
    assert "of 300 of its 300 events the delivery_id failed" in record.getMessage()


@pytest.mark.parametrize("wrap", [lambda text: text, lambda text: urlencode({"payload": text})])
async def test_an_id_in_a_form_counts_as_in_its_json_with_a_name_and_without(wrap: Any) -> None:
    hooks, ran = handling(replace(slack("s"), event_name=()), "parcel")
    hooks.fallback(lambda event: ran.append(event.body["event_id"]))
    async with hooks:
        for name in ({"event": "parcel"}, {}):
            for left in (2, 1):
                document = json.dumps({**name, "event_id": f"Ev{len(name)}", "left": left})
                await deliver(hooks, wrap(document).encode())
    assert ran == ["parcel", "Ev0"]


async def test_an_id_among_the_fields_of_a_form_counts() -> None:
    hooks, ran = handling(replace(slack("s"), event_name=(), delivery_id_path="trigger_id"))
    hooks.fallback(lambda event: ran.append(event.body["command"]))
    async with hooks:
        for text in ("a", "b"):
            await deliver(hooks, urlencode({"command": "/weather", "trigger_id": "1.2", "text": text}).encode())
    assert ran == ["/weather"]


async def test_a_second_notice_of_one_fact_with_another_body_is_news() -> None:
    hooks, ran = handling(Sender(name="acme", scheme=HMACBody("s", signature="x-sig"), facts=("none",)), Paid)
    async with hooks:
        for note in ("first", "second", "second"):
            await deliver(hooks, {"type": "invoice.paid", "id": "1", "note": note})
    assert len(ran) == 2


async def test_a_redelivery_of_what_nobody_wanted_runs_once_somebody_does(tmp_path: Any) -> None:
    url = f"sqlite:///{tmp_path}/hooks.db"
    headers = {"x-github-event": "push", "x-github-delivery": "1"}
    before, _ = handling(github("s"), "ping", inbox=url)
    async with before:
        assert await deliver(before, b"{}", headers) == 202
    after, ran = handling(github("s"), "push", inbox=url)
    async with after:
        assert [await deliver(after, b"{}", headers) for _ in range(3)] == [200, 200, 200]
    assert ran == ["push"]


@pytest.mark.parametrize("body", [PUSH, {"ref": "refs/heads/main"}], ids=["whole", "small"])
async def test_a_copy_from_github_runs_nothing_under_any_header(body: dict[str, Any]) -> None:
    clock = Clock()
    hooks, ran = handling(github("s"), "push", "delete", clock=clock, inbox="memory://?window=60&retention=600")
    hooks.fallback(lambda event: ran.append(event.event))
    async with hooks:
        assert await deliver(hooks, body, {"x-github-event": "push", "x-github-delivery": "1"}) == 202
        clock.move(61)
        for event in ("push", "delete", "whatever"):
            for id in ({"x-github-delivery": "2"}, {}):
                await deliver(hooks, body, {"x-github-event": event, **id})
    assert ran == ["push"]


class Issue(Event, frozen=True):
    event: Literal["issues"]
    action: str

    @property
    def identity(self) -> tuple[str, ...]:
        return ("issue", self.action)


async def test_a_copy_under_a_made_up_name_is_one_where_a_class_has_an_identity() -> None:
    hooks, ran = handling(github("s"), Issue, Event)
    async with hooks:
        for name in ("issues", "foo", "foo2", "issues"):
            await deliver(hooks, {"action": "opened", "issue": {"n": 1}}, {"x-github-event": name})
        assert set(ran) == {"issues"}
        await deliver(hooks, {"action": "opened", "issue": {"n": 2}}, {"x-github-event": "foo"})
    assert ran[-1] == "foo"


async def test_an_id_in_the_body_counts_under_any_name_in_a_header_whatever_the_class_says() -> None:
    acme = Sender(
        name="acme",
        scheme=HMACBody("s", signature="x-sig"),
        facts=("none",),
        event_header="x-event",
        delivery_id_path="id",
    )
    hooks, ran = handling(acme, Issue, "foo")
    async with hooks:
        for name in ("issues", "foo", "issues"):
            await deliver(hooks, {"action": "opened", "id": 7}, {"x-event": name})
    assert ran == ["issues"]


async def test_a_push_is_no_deletion_and_the_true_one_is_handled_afterwards() -> None:
    hooks, ran = handling(github("s"), "push", "delete")
    async with hooks:
        assert await deliver(hooks, PUSH, {"x-github-event": "delete"}) == 202
        (dead,) = await hooks.inbox.find(Filter(states=[State.DEAD]))
        assert dead.reason is not None
        assert "tells another event than the header x-github-event, which no signature covers" in dead.reason
        assert await deliver(hooks, PUSH, {"x-github-event": "delete"}) == 200
        assert await deliver(hooks, PUSH, {"x-github-event": "push"}) == 202
    assert ran == ["push"]


async def test_a_push_in_a_form_is_no_deletion_either() -> None:
    hooks, ran = handling(github("s"), "push", "delete")
    body = urlencode({"payload": json.dumps(PUSH)}).encode()
    async with hooks:
        for event in ("delete", "push"):
            await deliver(hooks, body, {"x-github-event": event})
    assert ran == ["push"]


@pytest.mark.parametrize(
    ("body", "name", "is_so"),
    [
        ({"issue": {}, "comment": {}}, "issue_comment", True),
        ({"issue": {}, "comment": {}}, "issues", False),
        ({"issue": {}, "label": {}}, "issues", True),
        ({"issue": {}, "label": {}}, "label", False),
        ({"alert": {}}, "secret_scanning_alert", True),
        ({"alert": {}}, "dependabot_alert", True),
        ({"issue": {}}, "an_event_of_tomorrow", True),
        ({"issue": {}}, "watch", False),
        ({"action": "started"}, "watch", True),
        ({}, "push", True),
        ({"event": "push", "deployment": {}, "environment": "x"}, "deployment_protection_rule", True),
    ],
)
def test_githubs_documents_tell_their_events(body: dict[str, Any], name: str, is_so: bool) -> None:
    hooks = WebhookReceiver(sender=github("s"))
    headers = [(b"x-github-event", name.encode())]
    if is_so:
        assert hooks.parse(json.dumps(body).encode(), headers).event == name
    else:
        with pytest.raises(NotAnEvent, match="another event"):
            hooks.parse(json.dumps(body).encode(), headers)


def test_what_is_more_special_comes_first_in_githubs_members() -> None:
    seen: list[frozenset[str]] = []
    for members in EVENT_MEMBERS.values():
        assert not any(earlier < members for earlier in seen if earlier)
        seen.append(members)


@pytest.mark.parametrize("own", ["order.paid", None, 7, {"name": "order.paid"}])
def test_a_name_in_a_header_does_not_count_over_one_in_the_body(own: object) -> None:
    acme = Sender(name="acme", scheme=HMACBody("s", signature="x-sig"), facts=("none",), event_header="X-Acme-Event")
    hooks, body = WebhookReceiver(sender=acme), json.dumps({"event": own}).encode()
    assert hooks.parse(body, [(b"x-acme-event", b"order.paid")]).event == "order.paid"
    if isinstance(own, str):
        with pytest.raises(NotAnEvent, match="another event"):
            hooks.parse(body, [(b"x-acme-event", b"order.deleted")])
    else:
        assert hooks.parse(body, [(b"x-acme-event", b"order.deleted")]).event == "order.deleted"


async def test_shopifys_topics_are_told_apart_by_the_header_alone() -> None:
    hooks, ran = handling(shopify("s"), "orders/create", "orders/paid")
    async with hooks:
        for topic, id in (("orders/create", "1"), ("orders/create", "2"), ("orders/paid", "3"), ("orders/paid", "3")):
            await deliver(hooks, {"id": 820982911}, {"x-shopify-topic": topic, "x-shopify-webhook-id": id})
    assert ran == ["orders/create", "orders/paid"]


async def test_a_sender_whose_bodies_may_be_alike_says_that_it_has_no_ids() -> None:
    hooks, ran = handling(replace(github("s"), delivery_id=None), "membership")
    async with hooks:
        for _ in range(2):
            await deliver(hooks, {"action": "added", "member": {}, "team": {}}, {"x-github-event": "membership"})
    assert ran == ["membership", "membership"]


@pytest.mark.parametrize(
    ("body", "runs"),
    [
        ({"ticket_id": 35436, "status": "open"}, 2),
        ({"id": "35436", "type": "ticket"}, 2),
        ({"id": 7, "type": "zen:event-type:user.created"}, 2),
        ({"id": "2b24ef10", "type": "zen:event-type:user.created"}, 1),
    ],
    ids=["template", "template with an id", "no id of an event", "event"],
)
async def test_of_zendesk_equal_templates_are_two_happenings_and_equal_events_one(body: Any, runs: int) -> None:
    hooks, ran = handling(zendesk("s"), Event)
    async with hooks:
        for id in ("1", "2"):
            await deliver(hooks, body, {"x-zendesk-webhook-invocation-id": id})
    assert len(ran) == runs


async def secrets_of(tenant: str) -> str:
    return "s"


async def answers_to_ids(scheme: Scheme, signer: Scheme) -> list[int]:
    """Return the answers to deliveries with the ids 1, 2 and 1, of which all have equal bodies."""
    sender = Sender(name="acme", scheme=scheme, facts=("made up",), event_name="text:x", delivery_id="X-Id")
    hooks = WebhookReceiver(sender=sender, inbox=MemoryInbox(), clock=lambda: NOW, work=False)
    hooks.on("x")(lambda event: None)
    found: list[int] = []
    async with hooks:
        for id in ("1", "2", "1"):
            given = RequestHead.of({"x-id": id}, target="/hooks/anna", client="203.0.113.7")
            head = signer.sign(given, b"{}", NOW)
            receipt = await hooks.receive(head.headers, b"{}", target=head.target, client=head.client)
            found.append(receipt.response.status)
    return found


KEY, SIGNED = HeaderSecret("s", header="x-api-key"), HMACBody("s", signature="x-sig")


@pytest.mark.parametrize(
    ("scheme", "signer"),
    [
        (KEY, KEY),
        (BasicAuth("s", username="acme"), BasicAuth("s", username="acme")),
        (QuerySecret("s", parameter="token"), QuerySecret("s", parameter="token")),
        (AnyOf(BasicAuth("new", username="acme"), KEY), KEY),
        (AllowFrom(["203.0.113.0/24"], KEY), KEY),
        (SecretsByRequest(secrets_of, partial(HeaderSecret, header="x-api-key"), tenant="path"), KEY),
    ],
    ids=["header", "basic", "query", "any of two", "networks", "tenants"],
)
async def test_where_a_secret_alone_proves_a_request_the_id_in_its_header_is_the_key(
    scheme: Scheme, signer: Scheme
) -> None:
    assert await answers_to_ids(scheme, signer) == [202, 202, 200]


@pytest.mark.parametrize(
    ("scheme", "signer"),
    [
        (SIGNED, SIGNED),
        (AnyOf(SIGNED, KEY), KEY),
        (AllowFrom(["203.0.113.0/24"], SIGNED), SIGNED),
        (SecretsByRequest(secrets_of, partial(HMACBody, signature="x-sig"), tenant="path"), SIGNED),
        (Unsigned(), Unsigned()),
    ],
    ids=["signed", "signed or not", "networks", "tenants", "everybody"],
)
async def test_where_one_may_write_an_id_without_the_secret_the_body_is_the_key(scheme: Scheme, signer: Scheme) -> None:
    assert await answers_to_ids(scheme, signer) == [202, 200, 200]


async def test_a_tag_that_is_pushed_to_gitlab_again_is_news() -> None:
    hooks, ran = handling(gitlab("s"), "Tag Push Hook")
    body = {"object_kind": "tag_push", "before": "0" * 40, "after": "82b3d5ae", "ref": "refs/tags/v1"}
    async with hooks:
        for key in ("k1", "k2", "k1", "k2"):
            await deliver(hooks, body, {"x-gitlab-event": "Tag Push Hook", "idempotency-key": key})
    assert len(ran) == 2


@pytest.mark.parametrize("ids", [[], [""], ["k1", "k2"]], ids=["absent", "empty", "twice"])
async def test_without_the_one_id_of_a_header_an_equal_body_is_a_duplicate(ids: list[str]) -> None:
    hooks, _ = handling(gitlab("s"), "Tag Push Hook")
    given = [("x-gitlab-token", "s"), ("x-gitlab-event", "Tag Push Hook"), *(("idempotency-key", id) for id in ids)]
    async with hooks:
        assert [(await hooks.receive(given, b"{}")).response.status for _ in range(2)] == [202, 200]


@pytest.mark.parametrize("first", ["false", None])
async def test_of_one_payment_a_success_after_a_failure_is_news(first: str | None) -> None:
    def item(success: str | None) -> bytes:
        told = {"pspReference": "p1", "eventCode": "AUTHORISATION", "amount": {"value": 1130}, "success": success}
        told = {"additionalData": {}} | {name: value for name, value in told.items() if value is not None}
        return json.dumps({"notificationItems": [{"NotificationRequestItem": told}]}).encode()

    sender = adyen("44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056")
    scheme = sender.scheme
    assert isinstance(scheme, HMACFields)
    hooks, ran = handling(sender, UnknownEvent)
    async with hooks:
        statuses = [
            await deliver(hooks, scheme.sign_body(item(success), NOW)) for success in (first, "true", first, "true")
        ]
    assert (statuses, ran) == ([202, 202, 200, 200], ["AUTHORISATION"] * 2)


class Seen(Event, frozen=True):
    event: Literal["seen"]
    id: str | None = None

    @property
    def delivery_id(self) -> str | None:
        return self.id


@pytest.mark.parametrize("body", [{"event": "seen", "at": 1}, {"event": "other", "at": 1}])
async def test_where_a_class_of_the_sender_has_an_id_what_has_none_is_known_by_an_equal_body(body: object) -> None:
    acme = Sender(name="acme", scheme=HMACBody("s", signature="x-sig"), facts=("none",), events=(Seen,))
    hooks, ran = handling(acme, Seen, UnknownEvent)
    async with hooks:
        assert [await deliver(hooks, body) for _ in range(2)] == [202, 200]
    assert len(ran) == 1


MESSAGES: list[dict[str, Any]] = [
    {"messages": [{"id": "wamid.1"}, {"id": "wamid.2"}]},
    {"statuses": [{"id": "wamid.3", "status": "sent"}]},
    {"statuses": [{"id": "wamid.3", "status": "read"}]},
]


async def test_a_message_of_whatsapp_is_known_by_its_id_in_whatever_batch() -> None:
    hooks, ran = handling(meta("s"), MessagesChanged)

    def batch(*values: Any) -> object:
        changes = [{"field": "messages", "value": value} for value in values]
        return {"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": changes}]}

    async with hooks:
        await deliver(hooks, batch(*MESSAGES))
        assert len(ran) == 3
        for value in MESSAGES:
            await deliver(hooks, batch({**value, "metadata": {}}))
        assert len(ran) == 3
        for _ in range(2):
            await deliver(hooks, batch({"messages": [{"id": 7}], "statuses": "odd"}))
        assert len(ran) == 4
        await deliver(hooks, batch("odd"))
    assert len(ran) == 5


async def test_a_number_is_one_id_however_the_signed_form_lets_it_be_written() -> None:
    scheme = HMACBody("s", signature="x-sig", body_form=canonical_json)
    hooks, ran = handling(Sender(name="acme", scheme=scheme, facts=("none",), delivery_id_path="id"), "paid")
    async with hooks:
        statuses = [
            await deliver(hooks, b'{"event": "paid", "id": %b}' % id)
            for id in (b"1", b"1.0", b"1e0", b"10e-1", b"1.5", b"15e-1", b"0", b"-0.0")
        ]
    assert (statuses, len(ran)) == ([202, 200, 200, 200, 202, 200, 202, 200], 3)


async def test_an_id_of_a_signed_header_counts_whatever_the_name_in_a_header_that_is_not() -> None:
    scheme = HMACBody("s", signature="x-sig", id="x-id", signed="{id}.{body}")
    acme = Sender(name="acme", scheme=scheme, facts=("none",), event_header="X-Acme-Event")
    hooks, ran = handling(acme, "paid", "deleted")
    async with hooks:
        for id, event in (("1", "paid"), ("1", "deleted"), ("2", "paid")):
            await deliver(hooks, {"n": 1}, {"x-id": id, "x-acme-event": event})
    assert ran == ["paid", "paid"]


@pytest.mark.parametrize(
    ("scheme", "is_fresh"),
    [
        (stripe("s").scheme, True),
        (slack("s").scheme, True),
        (StandardWebhooks("c2VjcmV0"), True),
        (AnyOf(stripe("s").scheme, github("s").scheme), True),
        (github("s").scheme, False),
        (shopify("s").scheme, False),
        (UP42Signature("s"), False),
        (Unsigned(), False),
    ],
)
def test_a_scheme_says_whether_a_copy_verifies_for_ever(scheme: Scheme, is_fresh: bool) -> None:
    head = scheme.sign(RequestHead.of({"content-type": "application/json"}), b"{}", NOW)
    assert scheme.verify(head, NOW)(b"{}").fresh is is_fresh


@pytest.mark.parametrize(
    ("tolerance", "inbox", "days", "status"),
    [
        (30 * DAY, "memory://", 6, 200),
        (30 * DAY, "memory://", 8, 200),
        (30 * DAY, "memory://", 31, 401),
        (LATE, "memory://?window=1h&retention=1d", 0.1, 200),
        (LATE, "memory://?window=1h&retention=1d", 0.6, 401),
    ],
)
async def test_a_copy_is_a_duplicate_as_long_as_it_verifies(
    tolerance: float, inbox: str, days: float, status: int
) -> None:
    scheme = TIMED(signature="x-sig", tolerance=tolerance)
    sender, clock = Sender(name="acme", scheme=scheme, facts=("none",), delivery_id_path="id"), Clock()
    hooks, _ = handling(sender, "parcel", clock=clock, inbox=inbox)
    body = b'{"event": "parcel", "id": "7"}'
    copied = scheme.sign(RequestHead.of({}), body, clock()).headers
    async with hooks:
        assert (await hooks.receive(copied, body)).response.status == 202
        clock.move(days * DAY)
        assert (await hooks.receive(copied, body)).response.status == status


@pytest.mark.parametrize(("window", "lasting"), [(299, True), (300, False), (None, True)])
def test_a_key_lasts_unless_the_window_is_known_and_ends_after_the_last_copy(
    window: float | None, lasting: bool
) -> None:
    sender, body = stripe("s"), b'{"id": "evt_1", "type": "invoice.paid"}'
    verified = sender.scheme.verify(sender.scheme.sign(RequestHead.of({}), body, NOW), NOW)(body)
    told: Any = object() if window is None else SimpleNamespace(window=window)
    delivery = Delivery("d-1", "acme", (), body, NOW, 0, True)
    entry = EntryBuilder("acme", sender, window_of(told)).build(delivery, [UnknownEvent(event="paid")], verified)
    assert entry.lasting is lasting


@pytest.mark.parametrize(
    "scheme",
    [
        TIMED(signature="x-sig", tolerance=1000),
        StandardWebhooks("c2VjcmV0", tolerance=1000),
        HMACFields("s", signature="sig", signed=["at", "id"], joined_by=".", timestamp="at", tolerance=1000),
        HTTPMessageSignature({"k": "s"}, tolerance=1000),
        BearerJWT("a secret of thirty-two bytes, long", algorithm="HS256", max_age=200),
        AnyOf(TIMED(signature="x-sig"), TIMED(signature="x-sig", tolerance=1000), same_secrets=True),
    ],
    ids=lambda scheme: type(scheme).__name__,
)
def test_a_scheme_says_until_when_a_copy_verifies(scheme: Any) -> None:
    body = b'{"id": "7"}'
    body = scheme.sign_body(body, NOW) if hasattr(scheme, "sign_body") else body
    head = scheme.sign(RequestHead.of({"content-type": "application/json"}), body, NOW)
    until = scheme.verify(head, NOW)(body).copies_until
    assert scheme.verify(head, until)(body).fresh
    with pytest.raises(StaleSignature):
        scheme.verify(head, until + 0.1)(body)


def test_of_two_schemes_that_sign_a_delivery_a_copy_may_have_what_the_one_without_a_time_signs() -> None:
    timed, bare = TIMED(signature="x-sig"), HMACBody("s", signature="x-other")
    head = bare.sign(timed.sign(RequestHead.of({}), b"{}", NOW), b"{}", NOW)
    assert not AnyOf(timed, bare).verify(head, NOW)(b"{}").fresh
    assert AnyOf(timed, bare).verify(timed.sign(RequestHead.of({}), b"{}", NOW), NOW)(b"{}").fresh


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("delivery_id_path", ""),
        ("delivery_id_path", "a..b"),
        ("delivery_id_path", 7),
        ("event_members", ["push"]),
        ("event_members", {"push": "commits"}),
    ],
)
def test_a_rule_that_cannot_work_is_rejected(part: str, value: Any) -> None:
    with pytest.raises(ConfigurationError):
        replace(github("s"), **{part: value})


async def test_what_is_no_event_is_a_duplicate_only_of_what_is_none() -> None:
    hooks, ran = handling(github("s"), "push")
    async with hooks:
        assert await deliver(hooks, b"[1]", {"x-github-event": "push"}) == 202
        assert await deliver(hooks, b"[1]", {"x-github-event": "push", "x-github-delivery": "2"}) == 200
        assert await deliver(hooks, PUSH, {}) == 202
        assert await deliver(hooks, PUSH, {"x-github-event": "push"}) == 202
    assert ran == ["push"]
    assert UnknownEvent(event="x").delivery_id is None


def packed(level: int, time: int) -> bytes:
    return gzip.compress(b'{"type": "moved", "n": 1}', level, mtime=time)


def lower(body: bytes) -> bytes:
    return body.lower()


FORMS: dict[str, tuple[dict[str, Any], list[bytes], bytes]] = {
    "gunzipped": (
        {"body_form": gunzipped},
        [packed(9, 0), packed(1, 7), gzip.decompress(packed(9, 0))],
        gzip.compress(b'{"type": "moved", "n": 2}'),
    ),
    "escaped": (
        {"body_form": escaped},
        ['{"type": "caf\u00e9"}'.encode(), b'{"type": "caf\\u00e9"}'],
        b'{"type": "cafe"}',
    ),
    "canonical JSON": (
        {"body_form": canonical_json},
        [b'{"type": "moved", "n": 1}', b'{"n":1.0,"type":"mov\\u0065d"}', b' {"n": 10e-1 , "type": "moved"}'],
        b'{"n":1,"type":"gone"}',
    ),
    "a form": (
        {"signed": "{form}"},
        [b"a=1&b=c+d", b"b=c%20d&a=1", b"b=c+d&&a=%31&a=1"],
        b"a=1b&c+d=",
    ),
    "one's own": ({"body_form": lower}, [b'{"type": "moved"}', b'{"TYPE": "Moved"}'], b'{"type": "gone"}'),
}


@pytest.mark.parametrize("kind", FORMS)
async def test_bodies_of_one_signature_are_duplicates(kind: str) -> None:
    options, alike, other = FORMS[kind]
    scheme = HMACBody("secret", signature="x-signature", **options)
    sender = Sender(name="acme", scheme=scheme, facts=("made up",), event_name="text:x", delivery_id="x-id")
    hooks, _ = handling(replace(sender, decode=form_or_gzip), "x")
    copied = scheme.sign(RequestHead.of({}), alike[0], NOW).headers
    async with hooks:
        answered = [(await hooks.receive(copied, body)).response.status for body in alike]
        assert answered == [202, *[200] * (len(alike) - 1)]
        assert await deliver(hooks, other) == 202


def form_or_gzip(body: bytes) -> bytes:
    return form_document(gunzipped(body))


@pytest.mark.parametrize("scheme", [HMACBody("s", signature="x-s", signed="{header:x-topic}\n{body}"), Unsigned()])
async def test_what_headers_add_to_a_document_tells_it_from_another_one(scheme: Scheme) -> None:
    def with_topic(document: bytes, headers: Any) -> bytes:
        return json.dumps({**json.loads(document), "topic": dict(headers)[b"x-topic"].decode()}).encode()

    sender = Sender(
        name="acme",
        scheme=scheme,
        facts=("made up",),
        event_name="topic",
        envelope=with_topic,
        delivery_id="x-id",
    )
    hooks, ran = handling(sender, "a", "b")
    async with hooks:
        for topic, status in (("a", 202), ("b", 202), ("a", 200)):
            assert await deliver(hooks, {"n": 1}, {"x-topic": topic}) == status
        assert await deliver(hooks, b"[", {"x-topic": "a"}) == 202, "what the envelope fails on is known by its bytes"
        assert await deliver(hooks, b"[", {"x-topic": "a"}) == 200
    assert ran == ["a", "b"]


async def test_stream_delivers_packed_with_a_content_encoding() -> None:
    hooks, ran = handling(stream("secret"), "message.new")
    body = gzip.compress(b'{"type": "message.new"}')
    async with hooks:
        assert await deliver(hooks, body, {"content-encoding": "GZIP"}) == 202
        assert await deliver(hooks, gzip.compress(b'{"type": "message.new"}', mtime=7), {}) == 200
        signed = hooks.sender.scheme.sign(RequestHead.of({"content-encoding": "br"}), body, NOW)
        receipt = await hooks.receive(signed.headers, body)
        assert (receipt.response.status, receipt.response.headers["accept-encoding"]) == (415, "gzip, identity")
    assert ran == ["message.new"]


@pytest.mark.parametrize(
    "parts",
    [
        {"content_encodings": "gzip"},
        {"content_encodings": ("GZIP",), "decode": gunzipped},
        {"content_encodings": ("gzip",), "decode": None},
        {"content_encodings": (7,), "decode": gunzipped},
    ],
)
def test_an_encoding_that_nothing_unpacks_is_a_mistake(parts: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="content_encodings"):
        replace(github("s"), **parts)


@pytest.mark.parametrize(
    ("place", "document", "another"),
    [
        ("event.id", {"id": 1, "event": {"id": "a", "type": "made"}}, {"id": 2, "event": {"id": "a", "type": "made"}}),
        (
            ("source", "event.id"),
            {"source": "s", "event": {"id": 7, "type": "made"}, "attempt": 1},
            {"source": "s", "event": {"id": 7, "type": "made"}, "attempt": 2},
        ),
        (
            "body.id",
            {"event": {"type": "made"}, "body": {"id": 7}, "n": 1},
            {"event": {"type": "made"}, "body": {"id": 7}},
        ),
    ],
)
async def test_an_id_in_an_event_that_is_no_name_is_found_although_that_is_its_body_then(
    place: Any, document: dict[str, Any], another: dict[str, Any]
) -> None:
    sender = Sender(name="acme", scheme=Unsigned(), facts=("made up",), event_name="event.type", delivery_id_path=place)
    hooks, _ = handling(sender, "made")
    async with hooks:
        first, again = [await hooks.receive({}, json.dumps(each).encode()) for each in (document, another)]
    assert first.delivery is not None
    assert again.duplicate_of == first.delivery.id
