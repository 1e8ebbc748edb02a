"""Whole orders: one event of each, once all of its items have ended, however these are told."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.working import AT_ONCE, PATIENCE, durable, until
from webhook_receiver import (
    Attempt,
    Delivery,
    DeliverySummary,
    Event,
    FailedAttempt,
    Filter,
    HandlerState,
    HMACBody,
    ImageryEvent,
    ImageryFailed,
    ImageryPartlyReady,
    ImageryProgress,
    ImageryReady,
    MemoryInbox,
    NotAnEvent,
    SecretsByRequest,
    Sender,
    State,
    StoredDelivery,
    Unsigned,
    WebhookReceiver,
)
from webhook_receiver.delivery import RequestHead, headers_of_order
from webhook_receiver.inbox import Settlement
from webhook_receiver.inbox.dedup import PutJob
from webhook_receiver.inbox.postgres import PostgresInbox, insert
from webhook_receiver.inbox.postgres.rows import PostgresConnection
from webhook_receiver.inbox.records import Duplicate, Stored, Total
from webhook_receiver.runtime.whole_orders import NAME, VIA, WholeOrders
from webhook_receiver.senders import Split
from webhook_receiver.senders.imagery.events import ProviderEvent, Reading
from webhook_receiver.senders.imagery.statuses import Statuses


class AcmeReady(ProviderEvent, ImageryReady, frozen=True):
    event: Literal["acme.item.ready"]


class AcmePartlyReady(ProviderEvent, ImageryPartlyReady, frozen=True):
    event: Literal["acme.item.partly-ready"]


class AcmeFailed(ProviderEvent, ImageryFailed, frozen=True):
    event: Literal["acme.item.failed"]


class AcmeProgress(ProviderEvent, ImageryProgress, frozen=True):
    event: Literal["acme.item.progress"]


def acme(**parts: Any) -> Sender:
    """Return a sender that tells the items of an order, alone or several in one call."""
    reading = Reading(
        event="acme.item",
        statuses=Statuses(ready="done", partly_ready="part", failed="lost", progress="underway", source="made up"),
        status=("state",),
        order_id=("order",),
        item=("file",),
        expires_at=("until",),
        item_count=("count", "query:items"),
        id=(("order",), ("file",), ("state",)),
        parts=Split("files.*", {"order": "order", "count": "count"}),
    )
    scheme = parts.pop("scheme", Unsigned())
    sender = reading.sender(
        "acme", scheme, (AcmeReady, AcmePartlyReady, AcmeFailed, AcmeProgress), facts=("made up for tests",)
    )
    return replace(sender, **parts)


def item(file: str, state: str = "done", order: object = "o-1", **more: Any) -> dict[str, Any]:
    return {"order": order, "file": file, "state": state, **more}


def grouped(*files: str, order: str = "o-1", **more: Any) -> dict[str, Any]:
    return {"order": order, "files": [{"file": each, "state": "done"} for each in files], **more}


COUNT = {"order": "o-1", "state": "underway", "count": 3}
"""A document that tells how many items the order has."""


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an inbox of each kind."""
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_url"))
    return "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/hooks.db?min_free=0"


Make = Callable[..., WebhookReceiver]


@pytest.fixture
def make(url: str) -> Make:
    return partial(durable, url, clock=time.time, backoff=AT_ONCE)


def noting(hooks: WebhookReceiver) -> tuple[list[str], list[ImageryEvent]]:
    """Have a receiver note the items that are told, and the whole orders."""
    items, orders = list[str](), list[ImageryEvent]()

    @hooks.on(ImageryReady)
    def ready(image: ImageryReady) -> None:
        items.extend(image.items)

    @hooks.on(ImageryEvent, whole_order=True)
    def whole(image: ImageryEvent) -> None:
        orders.append(image)

    return items, orders


def told(orders: Sequence[ImageryEvent]) -> list[tuple[str, list[str], list[str], bool]]:
    """Return what events of whole orders tell: their class, the items, and whether they are late."""
    return [
        (
            type(each).__name__.removeprefix("WholeOrder"),
            sorted(each.items),
            sorted(each.failed_items),
            each.late,
        )
        for each in orders
    ]


async def send(hooks: WebhookReceiver, *documents: object, target: str = "/webhooks") -> None:
    for document in documents:
        body = json.dumps(document).encode()
        given = RequestHead.of({"content-type": "application/json"}, target=target)
        head = hooks.sender.scheme.sign(given, body, hooks.runtime.clock())
        receipt = await hooks.receive(head.headers, body, target=head.target)
        assert receipt.response.status in (200, 202), receipt


async def finished(hooks: WebhookReceiver) -> Sequence[DeliverySummary]:
    """Wait until all deliveries are finished; return them in order of receipt."""
    async with asyncio.timeout(PATIENCE):
        while True:
            found = await hooks.inbox.find(Filter(), newest_first=False)
            if not any(each.leased or each.state is State.WAITING for each in found):
                assert {each.state for each in found} <= {State.DONE}
                return found
            await asyncio.sleep(0.01)  # a look reads all deliveries, and must not hold up the worker


@pytest.mark.parametrize(
    "documents",
    [
        [item("a", count=3), item("b"), item("c")],
        [item("a"), item("b", count=3), item("c")],
        [item("c"), item("b"), item("a", count=3)],
        [COUNT, item("c"), item("a"), item("b")],
        [item("a"), COUNT, item("b"), item("c")],
        [item("a"), item("b"), item("c"), COUNT],
        [grouped("a", "b", "c", count=3)],
        [grouped("a", "b"), COUNT, item("c")],
        [item("b"), grouped("a", "b", "c"), item("a"), COUNT],
        [item("a"), item("a"), item("b", "underway"), item("b"), item("b"), item("c"), COUNT, COUNT],
    ],
)
async def test_an_order_is_told_once_however_its_items_and_their_number_are_told(
    make: Make, documents: list[Any]
) -> None:
    hooks = make(sender=acme())
    items, orders = noting(hooks)
    async with hooks:
        await send(hooks, *documents)
        found = await finished(hooks)
    assert sorted(items) == ["a", "b", "c"]
    assert told(orders) == [("Ready", ["a", "b", "c"], [], False)]
    (order,) = orders
    assert (order.provider, order.order_id, order.status, order.item_count) == ("acme", "o-1", "done", 3)
    assert {name: each["file"] for name, each in order.document.items()} == {"a": "a", "b": "b", "c": "c"}
    assert [each.via for each in found].count(VIA) == 1
    assert all(NAME in each.handlers for each in found if each.via != VIA)


async def test_the_url_of_an_order_tells_how_many_items_it_has(make: Make) -> None:
    hooks = make(sender=acme())
    items, orders = noting(hooks)
    async with hooks:
        for name in ("c", "a", "b"):
            await send(hooks, item(name), target="/webhooks?items=3")
        await finished(hooks)
    assert sorted(items) == ["a", "b", "c"]
    assert told(orders) == [("Ready", ["a", "b", "c"], [], False)]


async def test_calls_at_once_make_one_event(make: Make) -> None:
    hooks = make(sender=acme())
    items, orders = noting(hooks)
    async with hooks:
        calls = [item(f"f-{number}", count=20) for number in range(20)]
        await asyncio.gather(*(send(hooks, each) for each in [*calls, grouped("f-3", "f-7"), *calls]))
        await finished(hooks)
    assert len(items) == 20
    assert told(orders) == [("Ready", sorted(f"f-{number}" for number in range(20)), [], False)]


@pytest.mark.parametrize(
    ("documents", "expected"),
    [
        ([item("a", count=2), item("b", "lost")], ("PartlyReady", ["a"], ["b"])),
        ([item("a", "lost", count=2), item("b", "lost")], ("Failed", ["a", "b"], ["a", "b"])),
        ([item("a", "part", count=2), item("b")], ("PartlyReady", ["a", "b"], [])),
        ([item("a"), item("b"), {"order": "o-1", "state": "part"}], ("PartlyReady", ["a", "b"], [])),
        ([item("a"), {"order": "o-1", "state": "lost"}], ("PartlyReady", ["a"], [])),
        ([{"order": "o-1", "state": "lost"}], ("Failed", [], [])),
        ([{"order": "o-1", "state": "part", "count": 3}], ("PartlyReady", [], [])),
        ([item("a"), item("b"), {"order": "o-1", "state": "done"}], ("Ready", ["a", "b"], [])),
        ([{"order": "o-1", "state": "done"}], ("Ready", [], [])),
        ([{"order": "o-1", "state": "done", "count": 1}, item("a")], ("Ready", ["a"], [])),
        ([item("a", "lost", count=2), item("a"), item("b")], ("Ready", ["a", "b"], [])),
    ],
)
async def test_an_order_has_ended_as_its_items_or_the_provider_say(
    documents: list[Any], expected: tuple[str, list[str], list[str]]
) -> None:
    hooks = durable(sender=acme(), backoff=AT_ONCE)
    _, orders = noting(hooks)
    async with hooks:
        await send(hooks, documents)  # in one call, so that all of it is stored when the first item is handled
        await finished(hooks)
    assert told(orders) == [(*expected, False)]


@pytest.mark.parametrize(
    "documents",
    [
        [item("a"), item("b")],
        [item("a", count=2), item("b", "underway")],
        [item("a", count=2), item("a", "lost")],
        [item("a", count=2), item("b", order="o-2")],
        [item("a", count=0)],
        [item("a", count="many")],
        [item("a", count=-1)],
        [item("a", count=1, order=None)],
        [{"order": "o-1", "state": "done", "count": 2}, item("a")],
    ],
)
async def test_an_order_that_has_not_ended_or_whose_size_nobody_tells_is_not_told(documents: list[Any]) -> None:
    hooks = durable(sender=acme(), backoff=AT_ONCE)
    _, orders = noting(hooks)
    async with hooks:
        await send(hooks, *documents)
        await finished(hooks)
    assert orders == []


async def test_an_item_that_comes_late_or_ends_otherwise_has_the_order_told_again(make: Make) -> None:
    hooks = make(sender=acme())
    _, orders = noting(hooks)
    async with hooks:
        for document in (item("a", count=2), item("b", "lost"), item("c"), item("b"), item("c", "underway")):
            await send(hooks, document)
            await finished(hooks)
    assert told(orders) == [
        ("PartlyReady", ["a"], ["b"], False),
        ("PartlyReady", ["a", "c"], ["b"], True),
        ("Ready", ["a", "b", "c"], [], True),
    ]


async def test_a_replay_of_an_item_makes_no_second_event_and_one_of_the_order_runs_its_handlers(make: Make) -> None:
    hooks = make(sender=acme())
    items, orders = noting(hooks)
    async with hooks:
        await send(hooks, item("a", count=2), item("b"))
        found = await finished(hooks)
        of_items = [each.id for each in found if each.via != VIA]
        assert await hooks.inbox.replay(of_items, hooks.runtime.inbox_clock()) == 2
        await finished(hooks)
        assert (len(items), len(orders)) == (4, 1)
        (whole,) = await hooks.inbox.find(Filter(event="imagery.order.ready"))
        assert await hooks.inbox.replay([whole.id], hooks.runtime.inbox_clock()) == 1
        await finished(hooks)
        assert len(await hooks.inbox.find(Filter())) == 3
    assert orders[0] == orders[1]


async def test_a_handler_of_whole_orders_that_fails_is_tried_again_and_its_dead_letter_is_the_order(make: Make) -> None:
    hooks = make(sender=acme())
    runs, dead = list[int](), list[Delivery]()

    @hooks.on(ImageryReady, whole_order=True)
    def fail(image: ImageryReady, attempt: Attempt) -> None:
        runs.append(attempt.number)
        raise OSError("the disk is full")

    @hooks.on_dead
    def mourn(delivery: Delivery, attempts: Sequence[FailedAttempt]) -> None:
        dead.append(delivery)

    async with hooks:
        await send(hooks, grouped("a", "b", count=2))
        await until(lambda: bool(dead))
    assert runs == [1, 2, 3]
    (delivery,) = dead
    assert (delivery.via, delivery.verified_by, delivery.part) == ("order", None, 0)
    event = hooks.parse(delivery.body, delivery.headers)
    assert told([cast("ImageryEvent", event)]) == [("Ready", ["a", "b"], [], False)]
    assert hooks.number_of_events(delivery.body, delivery.headers) == 1
    assert hooks.parse_all(delivery.body, delivery.headers) == [event]


async def test_two_processes_on_one_inbox_make_one_event(url: str, own_processes: None) -> None:
    if url.startswith("memory"):
        return  # which has no other process
    ours = [durable(url, clock=time.time, backoff=AT_ONCE, sender=acme(), lease=5.0) for _ in range(2)]
    noted = [noting(hooks) for hooks in ours]
    async with ours[0], ours[1]:
        calls = [item(f"f-{number}", count=16) for number in range(16)]
        await asyncio.gather(*(send(hooks, each) for each in calls for hooks in ours))
        await finished(ours[0])
    assert sorted(name for items, _ in noted for name in items) == sorted(each["file"] for each in calls)
    assert len([each for _, orders in noted for each in orders]) == 1


@pytest.fixture
async def late_put(
    postgres_url: str, own_processes: None, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[Callable[[WebhookReceiver, object], Awaitable[Callable[[], Awaitable[None]]]]]:
    """Put a document in a process of its own, up to the commit; return what commits it, and waits for that."""
    put, go_on = insert.put, threading.Event()

    async with AsyncExitStack() as stack:
        stack.callback(go_on.set)

        async def begin(hooks: WebhookReceiver, document: object) -> Callable[[], Awaitable[None]]:
            inserted, loop = asyncio.Event(), asyncio.get_running_loop()

            def held(connection: PostgresConnection, puts: Sequence[PutJob]) -> list[Stored | Duplicate]:
                results = put(connection, puts)
                loop.call_soon_threadsafe(inserted.set)
                assert go_on.wait(PATIENCE)
                return results

            other = durable(postgres_url, clock=time.time, sender=hooks.sender, work=False)
            await stack.enter_async_context(other)
            with monkeypatch.context() as patched:
                patched.setattr(insert, "put", held)
                sent = asyncio.create_task(send(other, document))
                async with asyncio.timeout(PATIENCE):
                    await inserted.wait()

            async def commit() -> None:
                go_on.set()
                await sent

            return commit

        yield begin


async def handle(hooks: WebhookReceiver, by: WholeOrders, file: str) -> None:
    """Claim what is due, and handle the delivery of an item, as a worker does; release the others."""
    for claim in await hooks.inbox.claim(hooks.name, 10, 30.0, hooks.inbox.clock()):
        event = hooks.parse(claim.delivery.body)
        assert isinstance(event, ImageryEvent)
        if event.items == (file,):
            await by.collect(event, Attempt(claim.delivery, NAME, 1))
            handlers = {NAME: HandlerState(State.DONE, 1)}
            settled = Settlement(claim, State.DONE, handlers, None, None, None, [], time.time())
            assert await hooks.inbox.settle(settled, hooks.inbox.clock())
        else:
            await hooks.inbox.release([claim], hooks.inbox.clock())


@pytest.mark.parametrize("whose", ["another process", "the same process, which leaves it to the last one"])
async def test_an_item_that_is_committed_after_one_with_a_higher_number_counts(
    postgres_url: str, late_put: Any, whose: str
) -> None:
    hooks = durable(postgres_url, clock=time.time, sender=acme(), work=False)
    noting(hooks)
    one, another = WholeOrders(lambda: hooks.runtime), WholeOrders(lambda: hooks.runtime)
    async with hooks:
        commit = await late_put(hooks, item("a", count=3))
        await send(hooks, item("b", count=3))
        await handle(hooks, one, "b")
        await commit()
        if whose == "another process":
            await handle(hooks, another, "a")
            await send(hooks, item("c", count=3))
        else:
            await send(hooks, item("c", count=3))
            await handle(hooks, one, "a")
        await handle(hooks, one, "c")
        found = await hooks.inbox.find(Filter(), newest_first=False)
        whole = await hooks.inbox.get(found[-1].id)
    assert [each.event for each in found] == [*["acme.item.ready"] * 3, "imagery.order.ready"]
    assert [each.settled is None for each in found] == [False, False, False, True]
    assert whole is not None
    assert json.loads(whole.delivery.body)["body"]["items"] == ["a", "b", "c"]


async def test_an_item_that_is_committed_late_costs_one_reading_of_the_order(
    postgres_url: str, late_put: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox, read = PostgresInbox(postgres_url), list[int]()
    find = inbox.find

    async def counted(*args: Any, **kwargs: Any) -> Sequence[DeliverySummary]:
        found = await find(*args, **kwargs)
        read.append(len(found))
        return found

    hooks = durable(inbox, clock=time.time, sender=acme(), work=False)
    noting(hooks)
    one, another = WholeOrders(lambda: hooks.runtime), WholeOrders(lambda: hooks.runtime)
    async with hooks:
        commit = await late_put(hooks, item("late", count=41))
        monkeypatch.setattr(inbox, "find", counted)
        for number in range(40):
            if number == 20:
                await commit()
                await handle(hooks, another, "late")
                assert read.pop() == 21
            await send(hooks, item(f"f-{number}"))
            await handle(hooks, one, f"f-{number}")
        assert sum(read) <= 41 + 40 + 22  # the newest that waits, what is new, and all of them once
        assert len(await hooks.inbox.find(Filter(event="imagery.order.ready"))) == 1


async def test_the_number_of_an_orders_deliveries_is_exact_at_once_in_a_full_inbox(make: Make) -> None:
    hooks = make(sender=acme(), work=False)
    noting(hooks)
    async with hooks:
        await send(hooks, grouped("a", "b", "c"))
        await send(hooks, grouped(*[f"f-{number}" for number in range(600)], order="o-2"))
        for order, number in (("o-1", 3), ("o-2", 600), ("o-3", 0)):
            which = Filter(receiver="acme", ordering_key=order)
            assert await hooks.inbox.total(which, seconds=0) == Total(number, is_exact=True)
            others = which._replace(receiver="others")
            assert (await hooks.inbox.total(others, seconds=60)).number == 0


async def test_an_item_that_is_imported_meanwhile_counts(make: Make) -> None:
    elsewhere = durable(clock=time.time, backoff=AT_ONCE, sender=acme())
    noting(elsewhere)
    async with elsewhere:
        await send(elsewhere, item("a"))
        await finished(elsewhere)
        exported = [each async for each in elsewhere.inbox.dump(Filter())]
    hooks = make(sender=acme())
    _, orders = noting(hooks)
    async with hooks:
        await send(hooks, item("b", count=3))
        await finished(hooks)
        stored = [each for each in exported if isinstance(each, StoredDelivery)]
        assert await hooks.inbox.load(stored, hooks.inbox.clock()) == 1
        await send(hooks, item("c"))
        await finished(hooks)
    assert told(orders) == [("Ready", ["a", "b", "c"], [], False)]


KILLED = """
import asyncio, os, signal, sys, time
from tests.runtime.test_whole_orders import acme, grouped, noting, send
from tests.working import durable
from webhook_receiver.runtime import Runtime

put = Runtime.put

async def killed(self, entry, now=None):
    if entry.delivery.via == "order":
        if sys.argv[2] == "behind":
            await put(self, entry, now)
        os.kill(os.getpid(), signal.SIGKILL)
    return await put(self, entry, now)

async def main():
    hooks = durable(sys.argv[1], clock=time.time, sender=acme())
    noting(hooks)
    async with hooks:
        Runtime.put = killed
        await send(hooks, grouped("a", "b", count=2))
        await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.parametrize("when", ["before", "behind"])
async def test_a_process_that_is_killed_as_it_tells_an_order_has_it_told_once(when: str, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/hooks.db?min_free=0"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED, url, when)
    async with asyncio.timeout(PATIENCE):
        assert await process.wait() == -signal.SIGKILL
    hooks = durable(url, clock=lambda: time.time() + 60, backoff=AT_ONCE, sender=acme())
    _, orders = noting(hooks)
    async with hooks:
        found = await finished(hooks)
    assert told(orders) == [("Ready", ["a", "b"], [], False)]
    assert [each.via for each in found].count(VIA) == 1


async def test_orders_of_two_tenants_never_mix(make: Make) -> None:
    async def secrets_of(tenant: str) -> str | None:
        return {"one": "s-1", "two": "s-2"}.get(tenant)

    scheme = SecretsByRequest(secrets_of, partial(HMACBody, signature="x-acme-signature"), tenant="path")
    hooks = make(sender=acme(scheme=scheme))
    _, orders = noting(hooks)
    signs = {each: HMACBody(secret, signature="x-acme-signature") for each, secret in (("one", "s-1"), ("two", "s-2"))}

    async def post(tenant: str, document: object) -> None:
        body = json.dumps(document).encode()
        head = signs[tenant].sign(RequestHead.of({}), body, time.time())
        assert (await hooks.receive(head.headers, body, target=f"/webhooks/{tenant}")).response.status == 202
        await finished(hooks)

    async with hooks:
        await post("one", item("a", count=2))
        await post("two", item("b", count=2))
        assert orders == []
        await post("two", item("a"))
        await post("one", item("c"))
        found = await finished(hooks)
        wholes = [await hooks.inbox.get(each.id) for each in found if each.via == VIA]
    assert told(orders) == [("Ready", ["a", "b"], [], False), ("Ready", ["a", "c"], [], False)]
    assert [each and each.delivery.tenant for each in wholes] == ["two", "one"]


async def test_who_hears_of_items_or_of_nothing_else_does_not_hear_of_whole_orders(make: Make) -> None:
    hooks = make(sender=acme())
    heard = list[str]()
    hooks.on(ImageryReady, name="ready")(lambda image: heard.append("ready"))
    hooks.on(Event, name="all")(lambda event: heard.append("all"))
    hooks.on(ImageryFailed, whole_order=True, name="failed orders")(lambda image: heard.append("failed order"))
    hooks.on(ImageryReady, whole_order=True, where=lambda image: "z" in image.items, name="some")(
        lambda image: heard.append("order")
    )
    hooks.fallback(lambda event: heard.append("fallback"))
    async with hooks:
        await send(hooks, grouped("a", "b", count=2))
        found = await finished(hooks)
    assert sorted(heard) == ["all", "all", "ready", "ready"]
    assert [each.via for each in found] == ["http", "http"]  # nobody would hear of the order


async def test_an_item_that_no_other_handler_takes_goes_to_the_fallback_and_is_collected(make: Make) -> None:
    hooks = make(sender=acme())
    rest, orders = list[Event](), list[ImageryReady]()
    hooks.on(ImageryReady, whole_order=True)(orders.append)
    hooks.fallback(lambda event: rest.append(event))
    event = hooks.parse(json.dumps(item("a")).encode())
    assert [each.name for each in hooks.match(event)][1:] == [NAME]
    assert [each.name for each in hooks.handlers][-1] == NAME
    async with hooks:
        await send(hooks, grouped("a", "b", count=2))
        await finished(hooks)
    assert [each.event for each in rest] == ["acme.item.ready"] * 2
    assert len(orders) == 1


def test_without_a_handler_of_whole_orders_nothing_is_collected() -> None:
    hooks = WebhookReceiver(sender=acme())
    hooks.on(ImageryReady)(print)
    assert NAME not in [each.name for each in hooks.handlers]
    assert [each.name for each in hooks.match(hooks.parse(json.dumps(item("a")).encode()))] == ["builtins:print"]


async def test_a_where_that_fails_is_a_failure_of_its_handler(make: Make) -> None:
    hooks = make(sender=acme())

    def broken(image: ImageryReady) -> bool:
        raise OSError("the catalogue is gone")

    @hooks.on(ImageryReady, whole_order=True, where=broken)
    def never(image: ImageryReady) -> None: ...

    dead = list[Delivery]()
    hooks.on_dead(lambda delivery, attempts: dead.append(delivery))

    async with hooks:
        await send(hooks, grouped("a", "b", count=2))
        await until(lambda: bool(dead))
    assert [each.via for each in dead] == [VIA]


@pytest.mark.parametrize("keeps", [True, False])
async def test_no_request_passes_for_a_whole_order(*, keeps: bool) -> None:
    hooks = durable(sender=acme(), backoff=AT_ONCE) if keeps else WebhookReceiver(sender=acme())
    heard = list[str]()
    if keeps:
        hooks.on(ImageryReady, whole_order=True, name="orders")(lambda image: heard.append("a whole order"))
    hooks.fallback(lambda event: heard.append(event.event))
    forged = {"event": "imagery.order.ready", "body": {"order_id": "o-1", "items": ["a"]}, "order": "o-1"}
    async with hooks:
        receipt = await hooks.receive([(b"stored=order", b"1")], json.dumps(forged).encode())
        assert receipt.response.status in (202, 204)
        await until(lambda: bool(heard))
    assert heard == ["acme.item.progress"]


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"event": "imagery.order.ready"}', b'{"event": "x", "body": {}}']
)
def test_a_whole_order_that_somebody_has_changed_is_no_event(body: bytes) -> None:
    hooks = WebhookReceiver(sender=acme())
    with pytest.raises(NotAnEvent, match="not what the receiver wrote"):
        hooks.parse(body, headers_of_order(None))


async def test_what_the_inbox_has_no_more_is_not_counted(make: Make) -> None:
    hooks = make(sender=acme())
    hooks.fallback(lambda event: None)
    async with hooks:
        await send(hooks, item("a", count=2))
        (first,) = await finished(hooks)
        assert await hooks.inbox.purge(Filter(ids=[first.id]), hooks.runtime.inbox_clock(), limit=1) == 1
        _, orders = noting(hooks)
        await send(hooks, item("b", count=2))
        await finished(hooks)
        assert orders == []
        await send(hooks, item("c"))
        await finished(hooks)
    assert told(orders) == [("Ready", ["b", "c"], [], False)]


async def test_a_document_that_is_too_large_with_the_others_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webhook_receiver.runtime.whole_orders.MOST_OF_DOCUMENTS", 200)
    hooks = durable(sender=acme(), backoff=AT_ONCE)
    _, orders = noting(hooks)
    async with hooks:
        await send(hooks, grouped("a", "b", count=2), item("a", order="o-2", count=1, note="x" * 200))
        await finished(hooks)
    small, large = sorted(orders, key=lambda order: order.order_id or "")
    assert sorted(small.document) == ["a", "b"]
    assert (large.document, large.items) == ({}, ("a",))


async def test_a_repr_and_the_log_tell_no_link(caplog: pytest.LogCaptureFixture) -> None:
    hooks = durable(sender=acme(), backoff=AT_ONCE)
    _, orders = noting(hooks)
    async with hooks:
        await send(hooks, item("a", count=1, link="https://example.com/?token=hush"))
        await finished(hooks)
    assert "hush" in orders[0].document["a"]["link"]
    assert "hush" not in repr(orders[0]) + caplog.text


class Counting(MemoryInbox):
    """An inbox that counts what is asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = Counter[str]()

    async def find(self, *args: Any, **kwargs: Any) -> Any:
        found = await super().find(*args, **kwargs)
        self.calls["find"] += 1
        self.calls["rows"] += len(found)
        return found

    async def get(self, id: str) -> StoredDelivery | None:
        self.calls["get"] += 1
        return await super().get(id)


async def test_a_big_order_in_one_call_costs_no_more_than_its_items() -> None:
    inbox = Counting()
    hooks = durable(inbox, clock=time.time, backoff=AT_ONCE, sender=acme())
    _, orders = noting(hooks)
    async with hooks:
        await send(hooks, grouped(*[f"f-{number}" for number in range(1000)], count=1000))
        await until(lambda: bool(orders))
        assert inbox.calls["find"] <= 1002  # one for each item, and one for the last
        assert inbox.calls["get"] <= 2
    assert [len(each.items) for each in orders] == [1000]


async def test_500_calls_cost_no_more_than_what_is_new() -> None:
    inbox = Counting()
    hooks = durable(inbox, clock=time.time, backoff=AT_ONCE, sender=acme())
    items, orders = noting(hooks)
    async with hooks:
        for number in range(500):
            await send(hooks, item(f"f-{number}", count=500))
            await until(partial(items.__contains__, f"f-{number}"))
        await until(lambda: bool(orders))
        assert inbox.calls["find"] <= 1001
        assert inbox.calls["rows"] <= 1001  # the newest that waits, and each once
        assert inbox.calls["get"] <= 1500  # each for what it tells, and once more for its document
    assert [len(each.items) for each in orders] == [500]
    assert not orders[0].late


Batch = list[tuple[str, str, int]]


@given(
    st.lists(
        st.lists(
            st.tuples(
                st.sampled_from(["a", "b", "c", "d", ""]),
                st.sampled_from(["done", "done", "lost", "part", "underway"]),
                st.sampled_from([0, 0, 0, 2, 3]),
            ),
            min_size=1,
            max_size=4,
        ),
        max_size=6,
    )
)
@settings(max_examples=40)
def test_whatever_comes_an_order_is_told_as_the_rule_says(batches: list[Batch]) -> None:
    """The rule, once more and in another way: after each call, by the last that was told of each item."""
    ends: dict[str, str] = {}
    of_order, count, expected = "", 0, list[tuple[str, list[str], list[str], bool]]()
    seen, before = set[tuple[str, str]](), set[str]()
    for batch in batches:
        for file, state, number in batch:
            if file and (file, state) in seen:
                continue  # a duplicate
            seen.add((file, state))
            count = number or count
            if state != "underway" and file:
                ends[file] = state
            elif state != "underway":
                of_order = state
        is_said = of_order in ("lost", "part") or (of_order == "done" and not count)
        if not is_said and not (count and len(ends) >= count):
            continue
        ready, failed = [[each for each in ends if (ends[each] == "lost") is lost] for lost in (False, True)]
        states = {*ends.values(), *filter(None, [of_order])}
        in_part = bool(ready) or of_order in ("part", "done")
        kind = "Ready" if states == {"done"} else "PartlyReady" if in_part else "Failed"
        shown = (kind, sorted(ready if kind != "Failed" else failed), sorted(failed))
        if repr(shown) not in before:
            expected.append((*shown, bool(before)))
            before.add(repr(shown))

    async def run() -> list[ImageryEvent]:
        hooks = durable(sender=acme(), backoff=AT_ONCE)
        _, orders = noting(hooks)
        async with hooks:
            for number, batch in enumerate(batches):
                await send(
                    hooks,
                    [
                        {"order": "o-1", "state": state, "n": f"{number}.{each}"}
                        | ({"file": file} if file else {})
                        | ({"count": count} if count else {})
                        for each, (file, state, count) in enumerate(batch)
                    ],
                )
                await finished(hooks)
        return orders

    assert told(asyncio.run(run())) == expected
