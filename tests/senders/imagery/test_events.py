"""What a provider's document becomes, whatever its shape: by places alone."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal

import pytest

from webhook_receiver import (
    Event,
    ImageryEvent,
    ImageryFailed,
    ImageryProgress,
    ImageryReady,
    OrderFulfilled,
    Receipt,
    Router,
    Sender,
    Unsigned,
    WebhookReceiver,
)
from webhook_receiver.errors import ConfigurationError
from webhook_receiver.senders import Split
from webhook_receiver.senders.imagery.events import ProviderEvent, Reading
from webhook_receiver.senders.imagery.statuses import Statuses
from webhook_receiver.testing import make

STATUSES = Statuses(ready="done", failed="lost, broken", progress="underway", source="made up for tests")


class AcmeReady(ProviderEvent, ImageryReady, frozen=True):
    event: Literal["acme.order.ready"]


class AcmeFailed(ProviderEvent, ImageryFailed, frozen=True):
    event: Literal["acme.order.failed"]


class AcmeProgress(ProviderEvent, ImageryProgress, frozen=True):
    event: Literal["acme.order.progress"]


READING = Reading(
    event="acme.order",
    statuses=STATUSES,
    status=("state.word", "state"),
    order_id=("order.number", "order"),
    item=("file",),
    expires_at=("until",),
    id=(("order.number",), ("state.word",)),
)


ACME = Sender(
    name="acme",
    scheme=Unsigned(),
    facts=("made up for tests",),
    events=(AcmeReady, AcmeFailed, AcmeProgress),
    decode=READING,
)


def parsed(document: Any) -> ImageryEvent:
    event = WebhookReceiver(sender=ACME).parse(json.dumps(document).encode())
    assert isinstance(event, ImageryEvent)
    return event


def test_a_document_is_told_in_the_words_of_all_providers() -> None:
    document = {
        "order": {"number": 7},
        "state": {"word": "done"},
        "file": "a.tif",
        "until": "2026-01-02T00:00:00Z",
        "more": [1, {"é": None}],
    }
    event = parsed(document)
    assert type(event) is AcmeReady
    assert (event.provider, event.order_id, event.items, event.status) == ("acme", "7", ("a.tif",), "done")
    assert event.expires_at == datetime(2026, 1, 2, tzinfo=UTC)
    assert event.document == document
    assert event.delivery_id == '["7", "done"]'
    assert event.identity == ('["7", "done"]',)


@pytest.mark.parametrize(
    ("state", "cls"),
    [
        ("done", AcmeReady),
        ("DONE", AcmeReady),
        ("lost", AcmeFailed),
        ("underway", AcmeProgress),
        ("a word of tomorrow", AcmeProgress),
        ("", AcmeProgress),
        (None, AcmeProgress),
        (True, AcmeProgress),
        (["done"], AcmeProgress),
        ({"phase": "done"}, AcmeProgress),
    ],
)
def test_whatever_word_comes_is_an_event_and_kept(state: object, cls: type[Event]) -> None:
    event = parsed({"order": "7", "state": state})
    assert type(event) is cls
    assert event.status == (state if isinstance(state, str) else "")


@pytest.mark.parametrize(
    ("until", "expires_at"),
    [
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T05:04:05+02:00", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05.678901", datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)),
        ("tomorrow", None),
        (None, None),
        ({}, None),
    ],
)
def test_the_end_of_a_link_is_a_time_or_none(until: object, expires_at: datetime | None) -> None:
    assert parsed({"until": until}).expires_at == expires_at


def test_a_document_that_says_nothing_is_progress_of_nothing() -> None:
    event = parsed({})
    assert type(event) is AcmeProgress
    assert (event.order_id, event.items, event.status, event.expires_at) == (None, (), "", None)
    assert (event.identity, event.delivery_id, event.document) == (None, None, {})


def test_an_id_needs_all_of_its_places() -> None:
    assert parsed({"state": {"word": "done"}}).delivery_id is None
    one, two = ({"order": {"number": n}, "state": {"word": w}} for n, w in (("1", "2,3"), ("1,2", "3")))
    assert parsed(one).delivery_id != parsed(two).delivery_id


PARTS = Split("files.*", {"order": "order", "state": "state"})
IN_PARTS = replace(ACME, decode=replace(READING, parts=PARTS), split=Split("*"))


@pytest.mark.parametrize(
    ("document", "told"),
    [
        (
            {"order": "7", "state": "lost", "files": [{"file": "a", "state": "done"}, {"file": "b"}]},
            [(AcmeReady, "7", ("a",), "done"), (AcmeFailed, "7", ("b",), "lost")],
        ),
        ({"order": "7", "state": "done", "files": []}, [(AcmeReady, "7", (), "done")]),
        ({"order": "7", "state": "done"}, [(AcmeReady, "7", (), "done")]),
        ([], []),
        (
            [{"order": "7", "files": [{"file": "a", "state": "done"}]}, {"order": "8", "state": "lost"}],
            [(AcmeReady, "7", ("a",), "done"), (AcmeFailed, "8", (), "lost")],
        ),
    ],
)
def test_a_document_of_several_items_is_an_event_for_each_and_one_of_none_is_an_event(
    document: object, told: list[tuple[object, ...]]
) -> None:
    found = WebhookReceiver(sender=IN_PARTS).parse_all(json.dumps(document).encode())
    assert [(type(each), each.order_id, each.items, each.status) for each in found] == told  # type: ignore


@pytest.mark.parametrize("body", [b"", b"not JSON", b"7", b"[7]", b"\xff\xfe", b'"a text"'])
def test_what_is_no_document_is_left_as_it_is(body: bytes) -> None:
    assert READING(body) == body


def test_a_broken_text_in_a_document_loses_nothing_else() -> None:
    event = WebhookReceiver(sender=ACME).parse(b'\xef\xbb\xbf{"order": "7", "state": "done", "note": "\\ud83d"}')
    assert isinstance(event, ImageryReady)
    assert (event.order_id, event.document["note"]) == ("7", "\\ud83d")


def test_a_test_makes_events_of_providers() -> None:
    event = make(AcmeReady, body={"order_id": "7", "items": ["a"], "status": "done"})
    assert (event.provider, event.order_id, event.items, event.status) == ("acme", "7", ("a",), "done")
    assert make(OrderFulfilled, order_id="7").provider == "up42"


@pytest.mark.parametrize("cls", [ImageryEvent, ImageryReady, ProviderEvent])
def test_a_test_cannot_make_an_event_of_an_abstract_class(cls: type[Event]) -> None:
    with pytest.raises(ValueError, match=f"{cls.__name__} is abstract"):
        make(cls)


async def test_one_router_in_several_receivers_serves_all_of_them_and_a_class_of_one_serves_one() -> None:
    images, got = Router(), list[str]()

    @images.on(ImageryReady)
    async def anybodys(image: ImageryReady) -> None:
        got.append(f"{image.provider} {image.order_id}")

    @images.on(AcmeReady)
    async def acmes(image: AcmeReady) -> None:
        got.append("acme alone")

    receivers = [WebhookReceiver(sender=ACME), WebhookReceiver(scheme=Unsigned(), name="images")]
    for each in receivers:
        each.include(images)
    statuses: list[Receipt] = []
    for hooks in receivers:
        for document in (
            {"order": "7", "state": "done"},
            {"event": "order.status", "body": {"status": "FULFILLED", "orderId": "8"}},
        ):
            async with hooks:
                statuses.append(await hooks.receive([], json.dumps(document).encode()))
    assert sorted(got) == ["acme 7", "acme alone", "up42 8"]


def test_a_handler_of_one_outcome_hears_of_no_other() -> None:
    hooks = WebhookReceiver(sender=ACME)
    names: dict[type[Event], str] = {ImageryReady: "ready", ImageryFailed: "failed", ImageryProgress: "progress"}
    for cls, name in names.items():

        @hooks.on(cls, name=name)
        def heard(event: Event) -> None: ...

    for state, name in (("done", "ready"), ("lost", "failed"), ("?", "progress")):
        event = hooks.parse(json.dumps({"state": state}).encode())
        assert [each.name for each in hooks.match(event)] == [name]


def test_an_event_of_an_order_is_handled_in_the_order_of_its_orders() -> None:
    event = parsed({"order": "7", "state": "done"})
    assert ACME.ordering_key(event) == "7"


def test_a_place_that_is_none_is_rejected_at_once() -> None:
    with pytest.raises(ConfigurationError, match=r'a list such as \["order.number"'):
        Reading(event="acme.order", statuses=STATUSES, status=("a..b",), order_id=())


def test_a_repr_tells_no_link() -> None:
    event = parsed({"order": "7", "state": "done", "link": "https://example.com/?token=secret"})
    assert "secret" not in repr(event)
    assert "secret" in event.document["link"]


@pytest.mark.parametrize("depth", [10, 300, 900])
@pytest.mark.parametrize("sender", [ACME, IN_PARTS])
def test_a_document_may_be_nested_deep(depth: int, sender: Sender) -> None:
    nested = b'{"a":' * depth + b"1" + b"}" * depth
    (event,) = WebhookReceiver(sender=sender).parse_all(b'{"order": "7", "state": "done", "more": ' + nested + b"}")
    assert isinstance(event, ImageryReady)
    assert event.order_id == "7"


def test_numbers_that_are_none_elsewhere_stay_what_they_are() -> None:
    digits = "9" * 5000
    body = f'{{"order": "7", "state": "done", "nan": NaN, "inf": 1e999, "big": {"9" * 50}, "huge": {digits}}}'
    event = WebhookReceiver(sender=ACME).parse(body.encode())
    assert isinstance(event, ImageryReady)
    document = event.document
    assert document["nan"] != document["nan"]
    assert (document["inf"], document["big"], document["huge"]) == (float("inf"), int("9" * 50), digits)


DATED = replace(ACME, decode=replace(READING, id=(("file",), ("at",))))


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00+00:00", True),
        ("2026-01-01T00:00:00.000Z", "2026-01-01T01:00:00+01:00", True),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.001Z", False),
        ("2026-01-01", "2026-01-01T00:00:00Z", False),
        ("20260101000000", "2026-01-01T00:00:00Z", False),
        ("2026-99-01T00:00:00Z", "2026-99-01T00:00:00+00:00", False),
    ],
)
def test_news_of_one_time_is_the_same_however_the_time_is_spelt_and_of_two_times_is_not(
    one: str, two: str, same: bool
) -> None:
    hooks = WebhookReceiver(sender=DATED)
    documents = [{"order": "7", "state": "done", "file": "a", "at": at} for at in (one, two)]
    first, second = (hooks.parse(json.dumps(each).encode()) for each in documents)
    assert (first.identity == second.identity) is same
    assert (first.delivery_id == second.delivery_id) is same


def test_news_without_an_id_is_known_by_its_order_its_items_and_its_status() -> None:
    assert parsed({"order": "7", "state": "done", "file": "a"}).identity == ("7", "done", "a")
    assert parsed({"file": "a"}).identity == ("", "", "a")
