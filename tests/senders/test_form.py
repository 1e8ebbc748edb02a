"""Deliveries that are forms: what GitHub and Slack send, from the request to the handler."""

from __future__ import annotations

import json
from functools import partial
from typing import Any, Literal
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from tests.helpers import NOW
from tests.working import settled
from webhook_receiver import Attempt, Event, Sender, UnknownEvent, Unsigned, WebhookReceiver
from webhook_receiver.delivery import RequestHead
from webhook_receiver.senders.form import form_document
from webhook_receiver.senders.github import github
from webhook_receiver.senders.slack import slack

FORM = {"content-type": "application/x-www-form-urlencoded"}


class Push(Event, frozen=True):
    event: Literal["push"]
    ref: str


class Weather(Event, frozen=True):
    event: Literal["/weather"] = Field(alias="command")
    text: str


class User(BaseModel, frozen=True):
    id: str


class Clicked(Event, frozen=True):
    event: Literal["block_actions"] = Field(alias="type")
    user: User


class Mentioned(Event, frozen=True):
    event: Literal["app_mention"]


texts = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from('=&"\\'))
json_documents = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=5,
)


@pytest.mark.parametrize(
    ("body", "document"),
    [
        (b"payload=%7B%22a%22%3A+%22%C3%A9%22%7D", '{"a": "é"}'.encode()),
        (b"signature=x&payload=7", b"7"),
        (b"payload=", b""),
        (b"payload=%FC", "\u00fc".encode()),
        (b"payload=%FF%FE%7B%00%7D%00", b"\xff\xfe{\0}\0"),  # as it came: the repair of JSON is not done here
        (b"payload=1&payload=2", b'{"payload": ["1", "2"]}'),
        (b"payload=%5B1%5D&a=b&payload=%5B2%5D&payload=", b'{"payload": ["[1]", "[2]", ""], "a": "b"}'),
        ('payload={"city": "Zürich"}'.encode(), '{"city": "Zürich"}'.encode()),
        ("city=Zürich&river=Aare".encode(), b'{"city": "Z\\u00fcrich", "river": "Aare"}'),
        (b"city=Z\xfcrich&town=Z%FCrich", b'{"city": "Z\\u00fcrich", "town": "Z\\u00fcrich"}'),
        ("größe=1".encode(), b'{"gr\\u00f6\\u00dfe": "1"}'),
        (b"command=%2Fweather&text=&text=94070", b'{"command": "/weather", "text": ["", "94070"]}'),
        (b"a%5B%5D=1&b=2&a%5B%5D=3", b'{"a[]": ["1", "3"], "b": "2"}'),
        (b"a%5Bb%5D=1", b'{"a[b]": "1"}'),
        (b"data[id]=1&data[list][]=2", b'{"data[id]": "1", "data[list][]": "2"}'),
        (b"token&foo=bar", b'{"token": "", "foo": "bar"}'),
        (b"&(a)=1", b'{"(a)": "1"}'),
        (b"1=2", b'{"1": "2"}'),
        (b'{"payload": "a&payload=1"}', b'{"payload": "a&payload=1"}'),
        (b'["a=1"]', b'["a=1"]'),
        (b'"a&b=1"', b'"a&b=1"'),
        (b"\xef\xbb\xbf" + b'[["a=1"]]', b"\xef\xbb\xbf" + b'[["a=1"]]'),
        ('["a=1"]'.encode("utf-16"), '["a=1"]'.encode("utf-16")),
        ('["a=1"]'.encode("utf-16-be"), '["a=1"]'.encode("utf-16-be")),
        (b"<order id='1'/>", b"<order id='1'/>"),
        (b"no form = none", b"no form = none"),
        (b"token", b"token"),
        (b"", b""),
        (b"=1", b"=1"),
        (b"a=1&" * 2000, b"a=1&" * 2000),
    ],
)
def test_the_document_in_a_form_is_found_and_what_is_no_form_is_left_alone(body: bytes, document: bytes) -> None:
    assert form_document(body) == document


@given(json_documents, st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32-le"]), st.booleans())
def test_no_json_document_is_taken_for_a_form(document: object, encoding: str, ascii: bool) -> None:
    body = json.dumps(document, ensure_ascii=ascii).encode(encoding)
    assert form_document(body) == body


async def test_githubs_form_and_its_json_become_the_same_event() -> None:
    hooks, got = WebhookReceiver(sender=github("s"), clock=lambda: NOW), list[tuple[Event, bytes]]()

    @hooks.on(Push)
    async def push(event: Push, attempt: Attempt) -> None:
        got.append((event, attempt.delivery.body))

    document = json.dumps({"ref": "refs/heads/münchen & 100 %", "event": "delete"})
    form = urlencode({"payload": document}).encode()
    for body in (form, document.encode(), b"\xef\xbb\xbf" + document.encode()):
        head = RequestHead.of({"x-github-event": "push"} | FORM)
        headers = hooks.sender.scheme.sign(head, body, NOW).headers
        assert (await hooks.receive(headers, body)).response.status == 204
    assert {event.event for event, _ in got} == {"push"}
    assert len({event.ref for event, _ in got if isinstance(event, Push)}) == 1
    assert got[0][1] == form


@pytest.mark.parametrize("content_type", [FORM, {"content-type": "application/json"}, {}])
async def test_no_header_makes_a_form_of_json(content_type: dict[str, str]) -> None:
    hooks = WebhookReceiver(sender=github("s"), clock=lambda: NOW)
    hooks.on(Push, name="push")(lambda event: None)
    body = json.dumps({"ref": '&payload={"ref": "refs/heads/evil"}&'}).encode()
    headers = hooks.sender.scheme.sign(RequestHead.of({"x-github-event": "push"} | content_type), body, NOW).headers
    event = (await hooks.receive(headers, body)).event
    assert isinstance(event, Push)
    assert "evil" in event.ref
    assert event.ref.startswith("&payload")


@pytest.mark.parametrize(
    ("body", "cls"),
    [
        (urlencode({"token": "t", "command": "/weather", "text": "94070"}).encode(), Weather),
        (urlencode({"payload": json.dumps({"type": "block_actions", "user": {"id": "U1"}})}).encode(), Clicked),
        (json.dumps({"type": "event_callback", "event": {"type": "app_mention"}}).encode(), Mentioned),
    ],
)
async def test_what_slack_sends_reaches_its_handler(body: bytes, cls: type[Event]) -> None:
    hooks, got = WebhookReceiver(sender=slack("s"), clock=lambda: NOW, inbox="memory://"), list[Event]()
    for each in (Weather, Clicked, Mentioned):
        hooks.on(each, name=each.__name__)(got.append)
    async with hooks:
        headers = hooks.sender.scheme.sign(RequestHead.of(FORM), body, NOW).headers
        receipt = await hooks.receive(headers, body)
        assert receipt.delivery is not None
        await settled(hooks, receipt.delivery.id)
    assert [type(event) for event in got] == [cls]


async def test_a_form_of_slack_that_no_class_claims_reaches_the_fallback() -> None:
    hooks, got = WebhookReceiver(sender=slack("s"), clock=lambda: NOW), list[Any]()
    hooks.fallback(got.append)
    body = b"command=%2Fimage&token=t"
    receipt = await hooks.receive(hooks.sender.scheme.sign(RequestHead.of(FORM), body, NOW).headers, body)
    assert receipt.response.status == 204
    assert got == [receipt.event]
    assert isinstance(got[0], UnknownEvent)


async def test_a_sender_of_ones_own_has_its_json_in_another_field() -> None:
    sender = Sender(
        name="acme",
        scheme=Unsigned(),
        facts=("made up",),
        decode=partial(form_document, field="data"),
    )
    hooks, got = WebhookReceiver(sender=sender), list[Event]()
    hooks.on("sent")(got.append)
    assert (await hooks.receive({}, b"data=%7B%22event%22:%22sent%22%7D")).response.status == 204
    assert [event.event for event in got] == ["sent"]


@pytest.mark.parametrize(
    ("body", "members"),
    [
        (b"event=made&name=M%FCller", {"name": "M\u00fcller"}),
        (b"event=made&name=M\xfcller&other=M%C3%BCller", {"name": "M\u00fcller", "other": "M\u00fcller"}),
        (b"event=made&na%FCme=1", {"na\u00fcme": "1"}),
        (b"event=made&name=%FC&name=%C3%BC", {"name": ["\u00fc", "\u00fc"]}),
        (b"event=made&name=%ED%A0%80", {"name": "\u00ed\u00a0\u0080"}),
        (b"payload=%7B%22event%22%3A%22made%22%2C%22name%22%3A%22M%FCller%22%7D", {"name": "M\u00fcller"}),
    ],
)
async def test_what_a_form_has_escaped_in_latin_1_reaches_a_handler_as_that(
    body: bytes, members: dict[str, object]
) -> None:
    sender = Sender(name="acme", scheme=Unsigned(), facts=("made up",), decode=form_document)
    hooks, got = WebhookReceiver(sender=sender), list[UnknownEvent]()

    @hooks.on("made")
    async def take(event: UnknownEvent) -> None:
        got.append(event)

    assert (await hooks.receive({}, body)).response.status == 204
    assert got[0].model_extra == members
