"""Many events in one delivery: each has its own id, handlers, retries, order and duplicates."""

from __future__ import annotations

import asyncio
import json
import time
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlencode

import pytest
from pydantic import Field, field_validator

from tests.working import AT_ONCE, PATIENCE, durable, until
from webhook_receiver import (
    Attempt,
    Event,
    Filter,
    GiveUp,
    HMACBody,
    NotAnEvent,
    Receipt,
    Retry,
    Sender,
    StandardWebhooks,
    State,
    UnknownEvent,
    Unsigned,
    WebhookReceiver,
)
from webhook_receiver.delivery import RequestHead
from webhook_receiver.senders import Split
from webhook_receiver.senders.form import form_document
from webhook_receiver.senders.split import MOST_PARTS


def batching(place: str = "*", **parts: Any) -> Sender:
    """Return a sender that delivers several events at once."""
    given: dict[str, Any] = {"scheme": Unsigned(), "event_name": "type", "delivery_id_path": "id"} | parts
    return Sender(name="batching", facts=("this test",), split=Split(place), **given)


def event(id: object, type: str = "moved", **more: Any) -> dict[str, Any]:
    return {"id": id, "type": type, **more}


def extra(name: str) -> Callable[[Event], Any]:
    """Return a function that returns a member of an event."""
    return lambda event: (event.model_extra or {}).get(name)


def noting(hooks: WebhookReceiver) -> list[Any]:
    """Have a receiver note the ids of all events."""
    noted = list[Any]()
    hooks.fallback(lambda event: noted.append(extra("id")(event) or event.event))
    return noted


async def send(hooks: WebhookReceiver, document: object, **options: Any) -> Receipt:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    head = hooks.sender.scheme.sign(RequestHead.of({}), body, hooks.runtime.clock())
    return await hooks.receive(head.headers, body, **options)


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an inbox of each kind."""
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_url"))
    return "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/hooks.db"


Make = Callable[..., WebhookReceiver]


@pytest.fixture
def make(url: str) -> Make:
    return partial(durable, url, clock=time.time)


async def finished(hooks: WebhookReceiver, number: int) -> list[tuple[str, State]]:
    """Wait until as many deliveries are finished; return their ids behind that of the request, and their states."""
    async with asyncio.timeout(PATIENCE):
        while True:
            found = await hooks.inbox.find(Filter(), newest_first=False)
            if len(found) == number and not any(each.leased or each.state is State.WAITING for each in found):
                return [(each.id[32:], each.state) for each in found]
            await asyncio.to_thread(int)  # lets everybody else go on


async def test_each_event_of_a_batch_has_an_id_and_handlers_of_its_own(make: Make) -> None:
    hooks = make(sender=batching())
    noted = noting(hooks)
    ids = list[str]()

    @hooks.on("added")
    def add(event: UnknownEvent, attempt: Attempt) -> None:
        ids.append(attempt.delivery.id)

    async with hooks:
        receipt = await send(hooks, [event(1), event(2, "added"), event(3)])
        assert await finished(hooks, 3) == [("", State.DONE), (".1", State.DONE), (".2", State.DONE)]
        summaries = await hooks.inbox.find(Filter(event="added"))
        stored = await hooks.inbox.get(summaries[0].id)
    assert receipt.response.status == 202
    assert receipt.delivery is not None
    assert [each.event for each in receipt.events] == ["moved", "added", "moved"]
    assert (receipt.event, receipt.duplicate_of) == (receipt.events[0], None)
    assert sorted(noted) == [1, 3]
    assert ids == [f"{receipt.delivery.id}.1"] == [summaries[0].id]
    assert stored is not None
    assert (stored.delivery.part, stored.delivery.request_id) == (1, receipt.delivery.id)


async def test_a_batch_of_which_some_are_known_keeps_the_new_ones(make: Make) -> None:
    hooks = make(sender=batching())
    noted = noting(hooks)
    async with hooks:
        first = await send(hooks, [event(1), event(2)])
        both = [await send(hooks, [event(2, n=1), event(3), event(1)]), await send(hooks, [event(3), event(1)])]
        again = await send(hooks, event(2))
        await finished(hooks, 3)
    assert [each.response.status for each in (first, *both, again)] == [202, 202, 200, 200]
    assert sorted(noted) == [1, 2, 3]
    assert first.delivery is not None
    assert again.duplicate_of == f"{first.delivery.id}.1"


async def test_of_equal_ids_in_one_batch_the_first_counts_and_one_line_says_so(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    hooks = make(sender=batching())
    hooks.fallback(lambda event: None)
    async with hooks:
        first = await send(hooks, [event(1, n="secret"), event(2), event(1, n="other"), event(2), event(3)])
        await finished(hooks, 3)
        told = [each.getMessage() for each in caplog.records if "duplicates of others in it" in each.getMessage()]
        await send(hooks, [event(3), event(4)])
        await finished(hooks, 4)
    assert first.response.status == 202
    assert first.delivery is not None
    assert [each.split(":")[0] for each in told] == [f"delivery {first.delivery.id}"]
    assert ("2 of its events" in told[0], "secret" in caplog.text) == (True, False)
    assert caplog.text.count("duplicates of others in it") == 1, "a part of an earlier delivery is no such one"
    assert sum(hooks.runtime.counters.duplicates) == 3


async def test_events_without_an_id_are_known_by_their_request_and_their_number(make: Make) -> None:
    hooks = make(sender=batching(delivery_id_path=None, delivery_id="x-delivery"))
    noted = noting(hooks)
    async with hooks:
        statuses = [
            (await send(hooks, each)).response.status
            for each in ([{"type": "a"}, {"type": "a"}], [{"type": "a"}, {"type": "a"}], [{"type": "a"}])
        ]
        await finished(hooks, 3)
    assert (statuses, noted) == ([202, 200, 202], ["a", "a", "a"])


async def test_a_signed_id_of_the_request_is_no_id_of_its_events(make: Make) -> None:
    hooks = make(sender=batching(scheme=StandardWebhooks("whsec_" + "c2VjcmV0" * 4), delivery_id_path="id"))
    noted = noting(hooks)
    async with hooks:
        body = json.dumps([{"type": "a"}, {"type": "b"}, event(7)]).encode()
        head = RequestHead.of({"webhook-id": "msg_1"})
        statuses = list[int]()
        for sent in (head, head, RequestHead.of({"webhook-id": "msg_2"})):
            signed = hooks.sender.scheme.sign(sent, body, time.time())
            statuses.append((await hooks.receive(signed.headers, body)).response.status)
        await finished(hooks, 5)
    assert statuses == [202, 200, 202]
    assert sorted(map(str, noted)) == ["7", "a", "a", "b", "b"]


async def test_a_part_that_fails_is_tried_again_alone(make: Make) -> None:
    hooks = make(sender=batching(), backoff=AT_ONCE)
    ran = list[int]()

    @hooks.fallback
    def fail_once(event: Event) -> None:
        id = extra("id")(event)
        ran.append(id)
        if id == 2 and ran.count(2) < 3:
            raise OSError("away")
        if id == 3:
            raise GiveUp("never")

    async with hooks:
        await send(hooks, [event(1), event(2), event(3), event(4)])
        states = await finished(hooks, 4)
    assert [state for _, state in states] == [State.DONE, State.DONE, State.DEAD, State.DONE]
    assert [ran.count(id) for id in (1, 2, 3, 4)] == [1, 3, 1, 1]


async def test_events_of_one_ordering_key_go_in_the_order_of_the_batch(make: Make) -> None:
    hooks = make(sender=batching(), ordering_key=extra("key"), backoff=AT_ONCE)
    ran = list[int]()

    @hooks.fallback
    async def note(event: Event) -> None:
        await asyncio.sleep(0)
        ran.append(extra("id")(event))
        if ran == [0]:
            raise OSError("away")

    async with hooks:
        await send(hooks, [event(number, key="one") for number in range(6)])
        await finished(hooks, 6)
    assert ran == [0, 0, 1, 2, 3, 4, 5]


async def test_a_part_that_is_no_event_is_dead_by_itself(make: Make) -> None:
    class Moved(Event, frozen=True):
        event: Literal["moved"] = Field(alias="type")
        id: int

    hooks = make(sender=batching())
    noted = list[int]()
    hooks.on(Moved)(lambda event: noted.append(event.id))
    async with hooks:
        receipt = await send(hooks, [event(1), event("x"), "text", {"id": 4}, event(5)])
        assert await finished(hooks, 5) == [
            ("", State.DONE),
            *((f".{number}", State.DEAD) for number in (1, 2, 3)),
            (".4", State.DONE),
        ]
        reasons = [each.reason for each in await hooks.inbox.find(Filter(states=[State.DEAD]), newest_first=False)]
        again = await send(hooks, [event(1), event("x"), "text", {"id": 4}, event(5)])
    assert (receipt.response.status, again.response.status, sorted(noted)) == (202, 200, [1, 5])
    assert [each is not None and "text" not in each for each in reasons] == [True] * 3
    assert "id" in str(reasons[0])


async def test_a_dead_part_is_replayed_once_the_code_is_right(make: Make) -> None:
    hooks = make(sender=batching())
    async with hooks:
        await send(hooks, [7, {"id": 2}])
        await finished(hooks, 2)
    repaired = make(sender=batching(event_name=("type", "text:odd")))
    noted = noting(repaired)
    if hooks.inbox.address.startswith("memory"):
        return  # it was closed, and forgot all
    async with repaired:
        ids = [each.id for each in await repaired.inbox.find(Filter())]
        assert await repaired.inbox.replay(ids, repaired.runtime.inbox_clock()) == 2
        await finished(repaired, 2)
    assert sorted(map(str, noted)) == ["", "2"]


@pytest.mark.parametrize("body", [b"[]", b" [ ]\n", b"\xef\xbb\xbf[]"])
async def test_an_empty_batch_is_acknowledged_and_not_stored(make: Make, body: bytes) -> None:
    hooks = make(sender=batching())
    noted = noting(hooks)
    async with hooks:
        receipt = await send(hooks, body)
        assert await hooks.inbox.find(Filter()) == []
    assert (receipt.response.status, receipt.events, receipt.event, noted) == (202, (), None, [])


async def test_a_batch_with_too_many_events_is_stored_as_one_dead_delivery(make: Make) -> None:
    hooks = make(sender=batching())
    async with hooks:
        receipt = await send(hooks, b"[" + b"1," * MOST_PARTS + b"1]")
        assert await finished(hooks, 1) == [("", State.DEAD)]
        (summary,) = await hooks.inbox.find(Filter())
    assert (receipt.response.status, summary.reason) == (202, "the body has more than 10000 events")


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 2**18,
        b"[" * 2**17 + b"]" * 2**17,
        b"[" + b"[]," * 85_000 + b"[]]",
        b'{"events":' * 22_000,
        b"[" + b'"' * 2**17,
        b'"' + b"\\" * 2**17 + b'"',
        b"[{}" + b"," * 2**17,
    ],
    ids=len,
)
@pytest.mark.parametrize("place", ["*", "events.*"])
async def test_a_body_that_is_a_bomb_is_one_dead_delivery_in_little_memory(body: bytes, place: str) -> None:
    hooks = durable(sender=batching(place), work=False)
    async with hooks:
        tracemalloc.start()
        try:
            receipt = await send(hooks, body)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        (summary,) = await hooks.inbox.find(Filter())
    assert (receipt.response.status, summary.state) == (202, State.DEAD)
    assert peak < 32 * 2**20  # of a quarter of the largest body


async def test_a_form_with_json_in_a_field_is_a_batch(make: Make) -> None:
    decode = partial(form_document, field="mandrill_events")
    hooks = make(sender=batching(decode=decode, event_name="event", delivery_id_path="_id"))
    noted = list[str]()
    hooks.fallback(lambda event: noted.append(event.event))
    async with hooks:
        body = urlencode({"mandrill_events": json.dumps([{"event": "open", "_id": 1}, {"event": "click", "_id": 2}])})
        statuses = [(await send(hooks, each)).response.status for each in (body.encode(), b"mandrill_events=%5B%5D")]
        await finished(hooks, 2)
    assert (statuses, sorted(noted)) == ([202, 202], ["click", "open"])


async def test_a_worker_that_did_not_receive_a_batch_reads_its_parts(url: str) -> None:
    if url.startswith("memory"):
        return  # which has no other process
    storing = durable(url, clock=time.time, sender=batching("events.*"), work=False)
    async with storing:
        await send(storing, {"events": [event(number) for number in range(1, 51)]})
    working = durable(url, clock=time.time, sender=batching("events.*"))
    noted = noting(working)
    async with working:
        await finished(working, 50)
    assert sorted(noted) == [*range(1, 51)]


async def stored_by(url: str, sender: Sender, body: bytes, *, fail: bool = False) -> None:
    """Store a delivery by a receiver with this sender; its handlers are not run, or fail once."""
    hooks = durable(url, clock=time.time, sender=sender, work=fail)

    @hooks.fallback
    def handle(event: Event) -> None:
        raise Retry(after=0.01)

    async with hooks:
        receipt = await send(hooks, body)
        assert receipt.response.status == 202
        if fail:
            await until(lambda: bool(hooks.runtime.counters.attempts))


BATCH = json.dumps({"type": "batch", "events": [event(number) for number in (1, 2, 3)]}).encode()


@pytest.mark.parametrize("id_place", [(), "id"])
@pytest.mark.parametrize("fail", [False, True])
async def test_what_was_stored_as_one_event_is_handled_as_many_once_the_sender_has_a_split(
    url: str, id_place: str | tuple[()], *, fail: bool
) -> None:
    if url.startswith("memory"):
        return  # it was closed, and forgot all
    whole = replace(batching(delivery_id_path=id_place or None), split=None)
    await stored_by(url, whole, BATCH, fail=fail)
    hooks = durable(url, clock=time.time, sender=batching("events.*", delivery_id_path=id_place or None))
    noted = noting(hooks)
    async with hooks:
        assert await finished(hooks, 3) == [("", State.DONE), (".1", State.DONE), (".2", State.DONE)]
        assert sorted(noted) == [1, 2, 3]
        found = await hooks.inbox.find(Filter())
        await hooks.inbox.replay([each.id for each in found], hooks.runtime.inbox_clock())
        await until(lambda: len(noted) == 6)
        assert len(await finished(hooks, 3)) == 3
    assert sorted(noted) == [1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize(
    ("events", "states"),
    [
        ([event(1), event(2), 7], [State.DONE, State.DONE, State.DEAD]),
        ([7, event(1), event(2)], [State.DEAD, State.DONE, State.DONE]),
    ],
)
async def test_a_dead_letter_of_a_wrong_split_is_replayed_as_all_of_its_events(
    url: str, events: list[object], states: list[State]
) -> None:
    if url.startswith("memory"):
        return  # it was closed, and forgot all
    body = json.dumps({"events": events}).encode()
    wrong = durable(url, clock=time.time, sender=batching("events"))
    async with wrong:
        await send(wrong, body)
        assert await finished(wrong, 1) == [("", State.DEAD)]
    hooks = durable(url, clock=time.time, sender=batching("events.*"))
    noted = list[Any]()
    hooks.on("moved")(lambda event: noted.append(extra("id")(event)))
    async with hooks:
        (dead,) = await hooks.inbox.find(Filter())
        await hooks.inbox.replay([dead.id], hooks.runtime.inbox_clock())
        assert await finished(hooks, 3) == [*zip(("", ".1", ".2"), states, strict=True)]
    assert sorted(noted) == [1, 2]


async def test_a_batch_that_was_too_large_is_replayed_as_all_of_its_events_by_a_larger_number(url: str) -> None:
    if url.startswith("memory"):
        return  # it was closed, and forgot all
    small, large = (replace(batching(), split=Split("*", most=most)) for most in (1000, 1001))
    few = durable(url, clock=time.time, sender=small)
    async with few:
        await send(few, [event(number) for number in range(1, 1002)])
        assert await finished(few, 1) == [("", State.DEAD)]
        (dead,) = await few.inbox.find(Filter())
        assert dead.reason == "the body has more than 1000 events"
    hooks = durable(url, clock=time.time, sender=large)
    noted = noting(hooks)
    async with hooks:
        await hooks.inbox.replay([dead.id], hooks.runtime.inbox_clock())
        await finished(hooks, 1001)
    assert sorted(noted) == [*range(1, 1002)]


async def test_an_event_that_has_come_by_itself_is_not_handled_again_with_a_batch_of_old(url: str) -> None:
    if url.startswith("memory"):
        return  # it was closed, and forgot all
    await stored_by(url, replace(batching(), split=None), BATCH)
    sender = batching("events.*")
    await stored_by(url, sender, json.dumps({"events": [event(2)]}).encode())
    hooks = durable(url, clock=time.time, sender=sender)
    noted = noting(hooks)
    async with hooks:
        await finished(hooks, 3)
    assert sorted(noted) == [1, 2, 3]


@pytest.mark.parametrize("split", [None, Split("other.*"), Split("events")])
async def test_what_was_stored_as_many_events_is_never_done_as_one(url: str, split: Split | None) -> None:
    if url.startswith("memory"):
        return  # it was closed, and forgot all
    await stored_by(url, batching("events.*"), BATCH)
    hooks = durable(url, clock=time.time, sender=replace(batching(event_name=("type", "text:list")), split=split))
    noted = noting(hooks)
    async with hooks:
        assert await finished(hooks, 3) == [("", State.DEAD), (".1", State.DEAD), (".2", State.DEAD)]
        first = (await hooks.inbox.find(Filter(), newest_first=False))[0]
        assert first.reason is not None
        assert first.reason.startswith("the delivery was stored as 3 events, and ")
        assert "replay" in first.reason
    assert noted == []
    right = durable(url, clock=time.time, sender=batching("events.*"))
    noted = noting(right)
    async with right:
        ids = [each.id for each in await right.inbox.find(Filter())]
        await right.inbox.replay(ids, right.runtime.inbox_clock())
        await finished(right, 3)
    assert sorted(noted) == [1, 2, 3]


async def test_a_batch_of_which_only_the_first_is_new_is_whole(url: str) -> None:
    if url.startswith("memory"):
        return  # it was closed, and forgot all
    sender = batching("events.*")
    await stored_by(url, sender, json.dumps({"events": [event(2), event(3)]}).encode())
    await stored_by(url, sender, BATCH)
    hooks = durable(url, clock=time.time, sender=sender)
    noted = noting(hooks)
    async with hooks:
        assert {state for _, state in await finished(hooks, 3)} == {State.DONE}
    assert sorted(noted) == [1, 2, 3]


def without_inbox(**parts: Any) -> tuple[WebhookReceiver, list[Any]]:
    hooks = WebhookReceiver(sender=batching(**parts))
    noted = list[Any]()

    @hooks.on("moved")
    def move(event: UnknownEvent) -> None:
        id = extra("id")(event)
        noted.append(id)
        if isinstance(id, str):
            raise {"retry": Retry(after=7), "later": Retry(after=30), "give up": GiveUp("no")}.get(id, OSError(id))

    return hooks, noted


@pytest.mark.parametrize(
    ("ids", "status", "after"),
    [
        ([], 204, None),
        ([1, 2, 3], 204, None),
        ([1, "give up", 3], 204, None),
        ([1, "retry", 3, "later", 4], 503, "30"),
        (["later", "odd", 3], 500, None),
        ([1, None, 3], 422, None),
        ([None, "retry"], 503, "7"),
        ([None, None], 422, None),
    ],
)
async def test_without_an_inbox_all_handlers_run_before_the_answer(
    ids: Sequence[Any], status: int, after: str | None
) -> None:
    hooks, noted = without_inbox()
    receipt = await send(hooks, [event(id) if id is not None else "no event" for id in ids])
    assert (receipt.response.status, receipt.response.headers.get("retry-after")) == (status, after)
    assert noted == [id for id in ids if id is not None]
    assert isinstance(receipt.error, NotAnEvent) == (status == 422)
    assert hooks.rejected == ({"NotAnEvent": 1} if None in ids else {})


async def test_without_an_inbox_a_handler_knows_its_part() -> None:
    hooks = WebhookReceiver(sender=batching())
    ids = list[str]()

    @hooks.fallback
    def note(event: Event, attempt: Attempt) -> None:
        ids.append(attempt.delivery.id)

    receipt = await send(hooks, [event(1), event(2)])
    assert receipt.delivery is not None
    assert ids == [receipt.delivery.id, f"{receipt.delivery.id}.1"]


def test_a_part_is_parsed_by_its_number() -> None:
    hooks = WebhookReceiver(sender=batching("events.*"))
    body = json.dumps({"events": [event(1), event(2, "added")]}).encode()
    assert [hooks.parse(body, (), part).event for part in (0, 1, 0)] == ["moved", "added", "moved"]
    for part in (2, -1):
        with pytest.raises(NotAnEvent, match="the number of its events is 2"):
            hooks.parse(body, (), part)
    with pytest.raises(NotAnEvent, match="no part 0"):
        hooks.parse(b'{"events": []}')
    with pytest.raises(NotAnEvent, match="no part 1"):
        WebhookReceiver(secret="s").parse(body, (), 1)


async def test_the_events_of_a_batch_are_parsed_once_to_be_stored_and_once_to_be_handled(url: str) -> None:
    parsed = list[int]()

    class Moved(Event, frozen=True):
        event: Literal["moved"]
        id: int

        @field_validator("id")
        @classmethod
        def note(cls, id: int) -> int:
            parsed.append(id)
            return id

    hooks = durable(url, clock=time.time, sender=batching(events=(Moved,)))
    hooks.on(Moved)(lambda event: None)
    async with hooks:
        await send(hooks, [event(1), event(2), event(3)])
        await finished(hooks, 3)
    assert sorted(parsed) == [1, 1, 2, 2, 3, 3]


async def test_a_big_batch_is_stored_and_handled(make: Make) -> None:
    hooks = make(sender=batching(scheme=HMACBody("s", signature="x-signature")))
    noted = noting(hooks)
    async with hooks:
        receipt = await send(hooks, [event(number, text="x" * 90) for number in range(1, 1001)])
        await until(lambda: len(noted) == 1000)
    assert receipt.response.status == 202
    assert sorted(noted) == [*range(1, 1001)]


def test_a_body_is_split_once_for_all_of_its_parts() -> None:
    decoded_bodies = list[bytes]()

    def decode(body: bytes) -> bytes:
        decoded_bodies.append(body)
        return body

    hooks = WebhookReceiver(sender=batching(decode=decode))
    bodies = [json.dumps([event(number) for number in range(20 * batch, 20 * batch + 20)]).encode() for batch in (0, 1)]
    for part in range(20):
        for batch, body in enumerate(bodies):  # as two batches are handled at once
            assert hooks.parse(bytes(bytearray(body)), (), part).model_extra == event(20 * batch + part)
    assert decoded_bodies == bodies
