"""What becomes of a stored delivery whose body somebody has edited."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from tests.helpers import NOW
from tests.orders import Client, Simulator
from tests.working import about, deliver, durable, settled
from webhook_receiver import (
    Attempt,
    ConfigurationError,
    Event,
    Filter,
    InboxError,
    NotAnEvent,
    OrderFulfilled,
    State,
    Unsigned,
    WebhookReceiver,
)
from webhook_receiver.delivery import RequestHead, with_tenant
from webhook_receiver.inbox.json_format import from_document, to_document
from webhook_receiver.inbox.records import Duplicate, Entry, Stored
from webhook_receiver.runtime.edit import edit
from webhook_receiver.senders import Split
from webhook_receiver.senders.github import github
from webhook_receiver.senders.up42 import up42


def noting(**options: Any) -> tuple[WebhookReceiver, list[Attempt]]:
    """Return a receiver, and the attempts of its handler."""
    hooks, ran = durable(**options), list[Attempt]()

    @hooks.on(Event, name="note")
    def note(event: Event, attempt: Attempt) -> None:
        ran.append(attempt)

    return hooks, ran


async def test_it_is_a_delivery_of_its_own_that_points_to_the_first_and_handlers_see_it() -> None:
    hooks, ran = noting()
    async with hooks:
        first = await deliver(hooks)
        await settled(hooks, first)
        id = await edit(hooks.runtime, first[:12], about("o-2"))
        kept = await settled(hooks, id)
    delivery = ran[1].delivery
    assert (delivery.id, delivery.body, delivery.via, delivery.edited_of) == (id, about("o-2"), "edit", first)
    assert (delivery.verified_by, delivery.body_verified, delivery.received) == (None, False, NOW)
    assert (ran[0].delivery.edited_of, ran[0].delivery.id) == (None, first)
    assert kept.summary.handlers.keys() == {"note"}
    assert (kept.key, kept.summary.identity, kept.ordering_key) == (None, None, "o-2")
    assert kept.summary.event == "order.status"


async def test_it_is_a_duplicate_of_nothing_and_nothing_is_one_of_it() -> None:
    hooks, ran = noting()
    async with hooks:
        first = await deliver(hooks)
        ids = {await edit(hooks.runtime, first, about()) for _ in range(3)}
        assert len(ids) == 3
        for id in ids:
            await settled(hooks, id)
        edited = await edit(hooks.runtime, first, about("o-9"))
        pushed = await deliver(hooks, about("o-9"))
        assert pushed != edited
        await settled(hooks, pushed)
        await deliver(hooks, about("o-9"), status=200)
    assert len(ran) == 6


async def test_the_same_edit_under_the_same_name_is_one_delivery() -> None:
    hooks, ran = noting()
    async with hooks:
        first = await deliver(hooks)
        same = await asyncio.gather(*(edit(hooks.runtime, first, about("o-2"), once="form-1") for _ in range(3)))
        others = [
            await edit(hooks.runtime, first, about("o-3"), once="form-1"),
            await edit(hooks.runtime, first, about("o-2"), once="form-2"),
            await edit(hooks.runtime, same[0], about("o-2"), once="form-1"),
        ]
        for id in (first, *same, *others):
            await settled(hooks, id)
    assert (len({*same}), len({*same, *others})) == (1, 4)
    assert len(ran) == 5


async def test_an_edit_is_not_counted_as_what_a_sender_has_sent() -> None:
    hooks, _ = noting()
    async with hooks:
        first = await deliver(hooks)
        await edit(hooks.runtime, first, about("o-2"))
        await edit(hooks.runtime, first, about("o-2"), once="form")
        await edit(hooks.runtime, first, about("o-2"), once="form")
    assert (sum(hooks.runtime.counters.stored), sum(hooks.runtime.counters.duplicates)) == (1, 0)


async def test_it_keeps_its_place_behind_what_waits_of_its_ordering_key() -> None:
    hooks = durable(work=False)
    async with hooks:
        first = await deliver(hooks)
        id = await edit(hooks.runtime, first, about(extra=1))
        claims = await hooks.inbox.claim(hooks.name, 9, 30.0, NOW)
        assert [claim.delivery.id for claim in claims] == [first]
        assert id != first


async def test_an_edit_of_an_edit_points_to_the_one_that_was_edited() -> None:
    hooks, ran = noting()
    async with hooks:
        first = await deliver(hooks)
        await settled(hooks, first)
        second = await edit(hooks.runtime, first, about("o-2"))
        await settled(hooks, second)
        third = await edit(hooks.runtime, second, about("o-3"))
        await settled(hooks, third)
    assert [each.delivery.edited_of for each in ran] == [None, first, second]
    assert [name for name, _ in ran[2].delivery.headers].count(b"edited=of") == 1


async def test_it_has_the_headers_of_the_first_by_which_its_event_is_named() -> None:
    hooks, ran = noting(sender=replace(github("secret"), scheme=Unsigned()))
    async with hooks:
        receipt = await hooks.receive({"x-github-event": "push", "x-github-delivery": "g-1"}, b'{"ref": "a"}')
        assert receipt.delivery is not None
        id = await edit(hooks.runtime, receipt.delivery.id, b'{"ref": "b"}')
        kept = await settled(hooks, id)
    assert (kept.summary.event, ran[1].delivery.header("x-github-event")) == ("push", "push")


async def test_the_tenant_of_the_first_is_its_own() -> None:
    hooks, ran = noting()
    async with hooks:
        first = await deliver(hooks)
        stored = await hooks.inbox.get(first)
        assert stored is not None
        theirs = replace(stored.delivery, id="theirs", headers=with_tenant((), "anna"))
        await hooks.inbox.put(Entry(theirs, "order.status"), NOW)
        id = await edit(hooks.runtime, "theirs", about("o-7"))
        kept = await settled(hooks, id)
    assert (kept.delivery.tenant, kept.ordering_key) == ("anna", "anna o-7")
    assert [each.delivery.tenant for each in ran if each.delivery.id == id] == ["anna"]


async def test_the_order_check_is_not_made_of_it(sender: Simulator, client: Client) -> None:
    sender.change("o-1")
    hooks, ran = noting(confirm=client)
    async with hooks:
        first = await deliver(hooks)
        await settled(hooks, first)
        id = await edit(hooks.runtime, first, about(status="FAILED_PERMANENTLY"))
        kept = await settled(hooks, id)
    assert sender.asked == ["o-1"], "once, for the first"
    assert [each.delivery.id for each in ran] == [first, id]
    assert kept.summary.state is State.DONE


async def test_without_an_edit_such_a_body_would_be_contradicted(sender: Simulator, client: Client) -> None:
    sender.change("o-1")
    hooks, ran = noting(confirm=client)
    async with hooks:
        id = await deliver(hooks, about(status="FAILED_PERMANENTLY"))
        await settled(hooks, id, State.DEAD)
    assert ran == []


async def test_all_events_of_an_edited_batch_are_handled_anew() -> None:
    hooks, ran = noting(sender=replace(up42(scheme=Unsigned()), split=Split("events.*")))
    events = [json.loads(about(f"o-{number}")) for number in range(3)]
    async with hooks:
        receipt = await hooks.receive({}, json.dumps({"events": events}).encode())
        assert receipt.delivery is not None
        first = receipt.delivery.id
        for number in range(3):
            await settled(hooks, f"{first}.{number}" if number else first)
        two = await edit(hooks.runtime, f"{first}.2", json.dumps({"events": events[:2]}).encode())
        for id in (two, f"{two}.1"):
            await settled(hooks, id)
        one = await edit(hooks.runtime, two, json.dumps({"events": events[:1]}).encode())
        kept = await settled(hooks, one)
        assert kept.delivery.stored_events is None
        assert (kept.delivery.edited_of, kept.summary.via) == (two, "edit")
        summaries = await hooks.inbox.find(Filter(), newest_first=False)
    assert [each.id for each in summaries][3:] == [two, f"{two}.1", one]
    assert {each.delivery.edited_of for each in ran[3:5]} == {f"{first}.2"}
    assert {each.delivery.stored_events for each in ran[3:5]} == {2}


async def test_a_batch_that_a_later_split_finds_in_it_is_a_duplicate_of_nothing() -> None:
    whole = json.dumps({"event": "batch", "events": [json.loads(about(f"o-{each}")) for each in range(3)]}).encode()
    before, _ = noting(inbox="memory://", work=False)
    async with before:
        first = await deliver(before, whole)
        id = await edit(before.runtime, first, whole)
        stored = await before.inbox.get(id)
        assert stored is not None
    after, ran = noting(sender=replace(up42(scheme=Unsigned()), split=Split("events.*")))
    async with after:
        await after.inbox.load([stored], NOW)
        for each in (id, f"{id}.1", f"{id}.2"):
            kept = await settled(after, each)
            assert (kept.key, kept.summary.identity, kept.delivery.edited_of) == (None, None, first)
    assert len(ran) == 3


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"{", "the edited body is not stored: .*JSON"),
        (b"[]", "the edited body is not stored: "),
        (b"\xff", "the edited body is not stored: "),
    ],
)
async def test_what_is_no_event_is_an_error_and_not_stored(body: bytes, why: str) -> None:
    hooks, _ = noting()
    async with hooks:
        first = await deliver(hooks)
        with pytest.raises(NotAnEvent, match=why):
            await edit(hooks.runtime, first, body)
        assert len(await hooks.inbox.find(Filter())) == 1


async def test_an_empty_batch_and_a_part_that_is_no_event_are_errors_that_name_it() -> None:
    hooks, _ = noting(sender=replace(up42(scheme=Unsigned()), split=Split("events.*")))
    good = json.loads(about())
    async with hooks:
        receipt = await hooks.receive({}, json.dumps({"events": [good]}).encode())
        assert receipt.delivery is not None
        with pytest.raises(NotAnEvent, match="holds no event"):
            await edit(hooks.runtime, receipt.delivery.id, b'{"events": []}')
        with pytest.raises(NotAnEvent, match="its event 1: "):
            await edit(hooks.runtime, receipt.delivery.id, json.dumps({"events": [good, 7]}).encode())
        assert len(await hooks.inbox.find(Filter())) == 1


async def test_what_is_not_there_or_anothers_or_has_no_headers_any_more_is_an_error() -> None:
    hooks, _ = noting()
    async with hooks:
        first = await deliver(hooks)
        stored = await hooks.inbox.get(first)
        assert stored is not None
        theirs = replace(stored.delivery, id="theirs", receiver="others")
        await hooks.inbox.put(Entry(theirs, "order.status"), NOW)
        gone = stored._replace(
            summary=stored.summary._replace(id="gone", state=State.DONE, body_removed=True),
            delivery=replace(stored.delivery, id="gone", headers=(), body=b""),
            key=None,
        )
        await hooks.inbox.load([gone], NOW)
        for id, why in (("nobody", "there is no delivery"), ("theirs", "edit it there"), ("gone", "keep_body")):
            with pytest.raises(InboxError, match=why):
                await edit(hooks.runtime, id, about())
    with pytest.raises(ConfigurationError, match="has no inbox"):
        await edit(WebhookReceiver(scheme=Unsigned()).runtime, "d-1", about())


async def test_an_edited_delivery_is_exported_and_loaded_as_what_it_is() -> None:
    hooks, _ = noting(work=False)
    async with hooks:
        first = await deliver(hooks)
        stored = await hooks.inbox.get(await edit(hooks.runtime, first, about("o-2")))
        assert stored is not None
    again = from_document(json.loads(json.dumps(to_document(stored))))
    assert again == stored
    other, ran = noting()
    async with other:
        assert await other.inbox.load([again], NOW) == 1
        await settled(other, stored.delivery.id)
    assert [(each.delivery.via, each.delivery.edited_of) for each in ran] == [("edit", first)]


@pytest.mark.parametrize("inbox", [None, "memory://"])
async def test_no_request_can_pass_for_an_edited_delivery(inbox: str | None) -> None:
    ran: list[Attempt] = []
    hooks = WebhookReceiver(scheme=Unsigned(), inbox=inbox, clock=lambda: NOW)

    @hooks.on(OrderFulfilled, name="note")
    def note(event: OrderFulfilled, attempt: Attempt) -> None:
        ran.append(attempt)

    async with hooks:
        head = RequestHead.of({"edited=of": "d-1"})
        receipt = await hooks.receive(head.headers, about())
        if inbox is not None:
            assert receipt.delivery is not None
            kept = await settled(hooks, receipt.delivery.id)
            assert b"edited=of" not in dict(kept.delivery.headers)
    assert [(each.delivery.via, each.delivery.edited_of) for each in ran] == [("http", None)]


async def test_both_kinds_of_put_know_that_an_edited_delivery_is_none_of_theirs() -> None:
    hooks = durable(work=False)
    async with hooks:
        first = await deliver(hooks)
        await edit(hooks.runtime, first, about("o-5"))
        polled = await hooks.inbox.get(first)
        assert polled is not None
        again = replace(polled.delivery, id="polled", via="poll", body=about("o-5"))
        entry = hooks.runtime.entries.build(again, hooks.parse_all(again.body))
        assert isinstance(await hooks.runtime.put(entry), Stored)
        assert isinstance(await hooks.runtime.put(entry._replace(delivery=replace(again, id="more"))), Duplicate)
