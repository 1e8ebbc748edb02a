"""Names of events: from wherever a sender has them, into the document."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.working import durable
from webhook_receiver import (
    AnyOf,
    ConfigurationError,
    Event,
    Filter,
    NotAnEvent,
    QuerySecret,
    Scheme,
    Sender,
    State,
    UnknownEvent,
    Unsigned,
    WebhookReceiver,
)
from webhook_receiver.delivery import RequestHead
from webhook_receiver.senders.event_names import EventNames


def named(body: bytes, headers: list[tuple[bytes, bytes]]) -> bytes:
    return EventNames(event_header="X-Event").named(body, headers)


HEADERS = [(b"content-type", b"application/json"), (b"x-event", b"push")]


@pytest.mark.parametrize("body", ["{}", " {\n} ", '{"a": 1}', '\t{"a": {"event": "other"}}\r\n', '{"a": "}"}'])
def test_the_name_is_as_if_it_were_in_the_body(body: str) -> None:
    assert json.loads(named(body.encode(), HEADERS)) == json.loads(body) | {"event": "push"}


values = st.none() | st.integers() | st.text(max_size=5) | st.dictionaries(st.text(max_size=5), st.text(max_size=5))


@given(st.dictionaries(st.text(max_size=5), values, max_size=4), st.text(min_size=1, max_size=9))
def test_whatever_the_object_and_the_name_are(document: dict[str, Any], name: str) -> None:
    wire = name.encode("utf-8", "surrogatepass")
    found = json.loads(named(json.dumps(document).encode(), [(b"x-event", wire)]))
    own, named_as = document.pop("event", None), wire.decode("latin-1")
    assert found.pop("event") == named_as
    if own is not None and own != named_as:
        assert found.pop("body" if isinstance(own, dict) and "body" not in document else "own_event") == own
    assert found == document


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b'"{}"', b"{", b"}", b"\xef\xbb\xbf[]", b"a{}", b"{}a"])
def test_what_is_no_object_is_no_event(body: bytes) -> None:
    with pytest.raises(NotAnEvent, match="no JSON object"):
        named(body, HEADERS)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_body_in_another_encoding_gets_its_event_from_the_header(encoding: str) -> None:
    assert json.loads(named('{"a": "é"}'.encode(encoding), HEADERS)) == {
        "a": "é",
        "event": "push",
    }


def is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


@given(st.text('{}[]",:a1\\ ', max_size=12).map(lambda inner: f"{{{inner}}}".encode()))
@example(b'{"a":"}')
@example(b'{"a":1,}')
@example(b'{"a":1}{"a":1}')
def test_what_is_no_json_does_not_become_any(body: bytes) -> None:
    assert is_json(named(body, HEADERS)) == is_json(body)


@pytest.mark.parametrize("headers", [[], [(b"x-event", b"")], [(b"x-events", b"push")]])
def test_a_delivery_without_the_header_is_no_event(headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(NotAnEvent, match="no header x-event"):
        named(b"{}", headers)


def named_by(names: str | tuple[str, ...], scheme: Scheme | None = None, **parts: Any) -> Sender:
    return Sender(name="acme", scheme=scheme or Unsigned(), facts=("this test",), event_name=names, **parts)


def event_of(names: str | tuple[str, ...], document: Any, headers: dict[str, str] | None = None) -> Event:
    hooks = WebhookReceiver(sender=named_by(names))
    return hooks.parse(json.dumps(document).encode(), RequestHead.of(headers or {}).headers)


@pytest.mark.parametrize(
    ("names", "document", "name"),
    [
        ("type", {"type": "a"}, "a"),
        ("type", {"type": "a", "event": "b"}, "a"),
        ("event", {"event": "b"}, "b"),
        ("type", {"type": 7}, "7"),
        ("meta.event_name", {"meta": {"event_name": "a"}}, "a"),
        ("items.0.type", {"items": [{"type": "a"}]}, "a"),
        ("{resource_type}.{action}", {"resource_type": "payments", "action": "paid"}, "payments.paid"),
        ("{type}/{data.kind}!", {"type": "a", "data": {"kind": "b"}}, "a/b!"),
        (("eventType", "type"), {"type": "a"}, "a"),
        (("eventType", "type"), {"type": "a", "eventType": "b"}, "b"),
        (("{type}.{action}", "type"), {"type": "a"}, "a"),
        (("type", "text:ping"), {"n": 1}, "ping"),
        (("has:read", "has:data.postback"), {"read": None, "data": {"postback": {}}}, "data.postback"),
        (("has:read", "has:message"), {"message": "", "read": False}, "read"),
        ("{has:a}.{type}", {"a": [], "type": "b"}, "a.b"),
        ("text:ping", {"event": "b"}, "ping"),
        ("header:X-Topic", {}, "orders/create"),
        ("{header:X-Topic}:{action}", {"action": "a"}, "orders/create:a"),
        (("event_type", "header:x-topic"), {"event_type": "a"}, "a"),
    ],
)
def test_a_name_is_found_wherever_the_sender_has_it(names: Any, document: Any, name: str) -> None:
    event = event_of(names, document, {"x-topic": "orders/create"})
    assert isinstance(event, UnknownEvent)
    assert event.event == name
    assert {key: (event.model_extra or {})[key] for key in document if key != "event"} == {
        key: value for key, value in document.items() if key != "event"
    }


@pytest.mark.parametrize(
    "document", [{}, {"type": None}, {"type": ""}, {"type": True}, {"type": {}}, [{"type": "a"}], 1]
)
def test_without_a_name_there_is_no_event(document: Any) -> None:
    with pytest.raises(NotAnEvent):
        event_of("type", document)
    hooks = WebhookReceiver(sender=named_by("type"))
    hooks.fallback(lambda event: None)
    event = hooks.parse(json.dumps(document).encode())
    assert isinstance(event, UnknownEvent)
    assert (event.event, event.body) == ("", document)


@pytest.mark.parametrize(
    ("document", "kept"),
    [
        ({"event": "b"}, {"own_event": "b"}),
        ({"event": 5}, {"own_event": 5}),
        ({"event": False}, {"own_event": False}),
        ({"event": ""}, {"own_event": ""}),
        ({"event": '{"event": 1}'}, {"own_event": '{"event": 1}'}),
        ({"event": {"q": 1}, "body": {"z": 2}}, {"body": {"z": 2}, "own_event": {"q": 1}}),
        ({"event": [1], "body": None}, {"body": None, "own_event": [1]}),
        ({"event": "b", "own_event": "c"}, {"own_event": "c", "own_own_event": "b"}),
        ({"event": {"q": 1.50}}, {"body": {"q": 1.5}}),
        ({"event": "a"}, {}),
        ({"event": None}, {}),
    ],
)
def test_a_member_event_that_is_not_the_name_stays(document: dict[str, Any], kept: dict[str, Any]) -> None:
    found = json.loads(EventNames("type").named(json.dumps({"type": "a", **document}).encode(), ()))
    assert found == {"type": "a", "event": "a", **kept}


def test_an_object_where_the_name_goes_is_kept_as_the_body() -> None:
    moved = {"type": "moved", "price": [1, {"event": "x"}]}
    event = event_of("event.type", {"event": moved, "n": 1})
    assert isinstance(event, UnknownEvent)
    assert (event.event, event.body, event.model_extra) == ("moved", moved, {"n": 1})
    assert getattr(event_of("event.type", {"event": moved, "body": "own"}), "body", None) == "own"
    assert getattr(event_of("header:x-topic", {"event": [1]}, {"x-topic": "a"}), "body", None) == [1]


def test_the_document_contradicts_a_name_that_is_beside_it() -> None:
    with pytest.raises(NotAnEvent, match="another event than the header x-topic, which no signature covers"):
        event_of("header:x-topic", {"event": "b"}, {"x-topic": "a"})


@pytest.mark.parametrize(
    ("names", "target", "name"),
    [
        ("query:topic", "/hooks?token=hush-hush&topic=orders%2Fpaid", "orders/paid"),
        ("query:topic", "/hooks?topic=%C3%A9%F0%9F%9B%B0", "é🛰"),
        ("path:-1", "/hush-hush/orders.paid?x=hush-hush", "orders.paid"),
        ("path:-2", "/hush-hush/orders/paid%20now/", "orders"),
        ("{path:-2}.{path:-1}", "/hush-hush/orders/paid%20now/", "orders.paid now"),
        ("{query:topic}.{action}", "/hooks?topic=a", "a.b"),
        (("query:topic", "action"), "/hooks?topic=a&topic=c", "b"),
        (("query:topic", "action"), "/hooks?topic=", "b"),
        (("query:topic", "action"), "/hooks?topic=%0A", "b"),
        (("query:topic", "action"), f"/hooks?topic={'a' * 257}", "b"),
        (("path:-9", "action"), "/hooks", "b"),
    ],
)
@pytest.mark.parametrize("url", ["memory://", "sqlite"])
async def test_a_name_in_the_url_is_stored_and_nothing_else_of_it(
    names: Any, target: str, name: str, url: str, tmp_path: Any
) -> None:
    url = url if url == "memory://" else f"sqlite:///{tmp_path}/hooks.db"
    hooks = durable(url, sender=named_by(names), work=False)
    async with hooks:
        receipt = await hooks.receive({}, b'{"action": "b"}', target=target)
        assert receipt.delivery is not None
        stored = await hooks.inbox.get(receipt.delivery.id)
    assert stored is not None
    assert stored.summary.event == name
    assert hooks.parse(stored.delivery.body, stored.delivery.headers).event == name
    assert b"hush" not in repr(stored.delivery.headers).encode()


async def test_no_header_of_a_request_is_taken_for_a_name_in_the_url() -> None:
    hooks = durable(sender=named_by("query:topic"), work=False)
    async with hooks:
        receipt = await hooks.receive({"query=topic": "forged"}, b"{}", target="/")
        found = await hooks.inbox.find(Filter())
    assert receipt.events == ()
    assert [each.state for each in found] == [State.DEAD]


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (None, "is a place"),
        (["type"], "is a place"),
        (("type", 1), "is a place"),
        ("", "list such as"),
        ("a..b", "list such as"),
        ("cookie:a", "is a place such as"),
        ("query:", "is a place such as"),
        ("path:0", "counted from its end"),
        ("path:1", "counted from its end"),
        ("path:-x", "counted from its end"),
        ("{type", "cannot be read"),
        ("{type!r}", "where only a place may be"),
        ("{}", "list such as"),
        ("header:Authorization", "stores nothing of that name"),
        ("query:token", "stores nothing of that name"),
        ("{type}.{query:api_key}", "stores nothing of that name"),
    ],
)
def test_a_place_that_cannot_work_is_rejected(names: Any, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        named_by(names)


TOKEN = "a-token-that-nobody-guesses"


@pytest.mark.parametrize(
    ("names", "scheme"),
    [
        ("query:who", QuerySecret("secret", parameter="who")),
        ("path:-1", Unsigned(token_in_path=TOKEN)),
        (("type", "{path:-1}.x"), Unsigned(token_in_path=TOKEN)),
        ("query:who", AnyOf(Unsigned(token_in_path=TOKEN), QuerySecret("secret", parameter="who"))),
    ],
)
def test_the_secret_in_a_url_is_no_name(names: Any, scheme: Scheme) -> None:
    with pytest.raises(ConfigurationError, match="the secret is there"):
        named_by(names, scheme)
    assert named_by("path:-2", scheme).event_name == "path:-2"


def test_a_header_is_named_once() -> None:
    with pytest.raises(ConfigurationError, match="give one of them"):
        named_by("type", event_header="X-Event")


# further places in the URL


def with_places(places: Any, scheme: Scheme | None = None) -> Sender:
    def told(document: bytes, headers: Any) -> bytes:
        found = {name.decode(): value.decode() for name, value in headers if b"=" in name}
        return json.dumps({"event": "made", "body": found}).encode()

    return Sender(name="acme", scheme=scheme or Unsigned(), facts=("made up",), envelope=told, url_places=places)


@pytest.mark.parametrize(
    ("target", "kept"),
    [
        ("/hooks/job-7/done/x?order=o%2F1&other=2", {"query=order": "o/1", "path=-2": "done", "path=-3": "job-7"}),
        ("/x?order=", {}),
        ("/x?order=1&order=2", {}),
        (f"/x?order={'9' * 257}", {}),
    ],
)
async def test_what_an_envelope_needs_of_the_url_is_with_the_delivery(target: str, kept: dict[str, str]) -> None:
    async with durable(sender=with_places(("query:order", "path:-2", "path:-3")), work=False) as hooks:
        receipt = await hooks.receive([(b"query=order", b"a stranger's")], b"{}", target=target)
        (stored,) = await hooks.inbox.find(Filter())
        found = await hooks.inbox.get(stored.id)
    assert found is not None
    assert {name.decode(): value.decode() for name, value in found.delivery.headers} == kept
    assert isinstance(receipt.event, UnknownEvent)
    assert receipt.event.body == kept


@pytest.mark.parametrize("places", ["query:order", ("order",), ("header:x-order",), (7,), ("path:0",), ["query:a"]])
def test_places_that_are_none_in_the_url_are_rejected(places: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"url_places is a tuple of places|counted from its end"):
        with_places(places)


def test_the_secret_in_a_url_is_not_kept() -> None:
    for place, scheme in (("path:-1", Unsigned(token_in_path=TOKEN)), ("query:q", QuerySecret("s", parameter="q"))):
        with pytest.raises(ConfigurationError, match="the secret is there"):
            with_places((place,), scheme)


def test_a_text_event_that_is_something_else_is_told_apart_by_members_or_another_place() -> None:
    body = b'{"event": "spring sale", "type": "parcel.delivered", "parcel": 1}'
    headers = [(b"x-topic", b"parcel.delivered")]
    with pytest.raises(NotAnEvent, match="tells another event than the header"):
        EventNames(event_header="X-Topic").named(body, headers)
    members = {"parcel.delivered": frozenset({"parcel"})}
    for names in (EventNames(event_header="X-Topic", event_members=members), EventNames("type")):
        found = json.loads(names.named(body, headers))
        assert (found["event"], found["own_event"]) == ("parcel.delivered", "spring sale")
