"""Deliveries that are born to the worker of the process which puts them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import NOW
from tests.working import LEASE, Clock, Faulty, about, deliver, durable, settled, until
from webhook_receiver import Attempt, Event, InboxUnavailable, MemoryInbox, SQLiteInbox, WebhookReceiver
from webhook_receiver.inbox import Entry, Stored
from webhook_receiver.inbox.futures import resolve
from webhook_receiver.inbox.owner import Owner
from webhook_receiver.inbox.records import Claim
from webhook_receiver.testing.inbox_suite import entry
from webhook_receiver.worker.prefetch import SOON


def no_key(event: Event) -> None:
    """The ordering key of events that have none."""


def note(hooks: WebhookReceiver, ran: list[str], go_on: asyncio.Event) -> None:
    """Register a handler that notes the delivery's id, and then waits until it may go on."""

    @hooks.on(Event)
    async def handle(event: Event, attempt: Attempt) -> None:
        ran.append(attempt.delivery.id)
        await go_on.wait()


class Counting(Faulty):
    """An inbox that notes what was born leased, and which owners it had."""

    def __init__(self) -> None:
        super().__init__()
        self.born: list[str] = []
        self.owners: list[Owner] = []
        self.crashes: list[int] = []

    async def put(self, entry: Entry, now: float) -> Any:
        stored = await super().put(entry, now)
        if isinstance(stored, Stored) and stored.leased:
            self.born.append(stored.id)
        return stored

    async def own(self, owner: Owner, lease: float, now: float) -> bool:
        goes_on = await super().own(owner, lease, now)
        if goes_on and owner not in self.owners:
            self.owners.append(owner)
        return goes_on

    async def claim(
        self, receiver: str, limit: int, lease: float, now: float, unix: float | None = None
    ) -> Sequence[Claim]:
        claims = await super().claim(receiver, limit, lease, now, unix)
        self.crashes += [each.crashes for each in claims]
        return claims


async def ready(hooks: WebhookReceiver, inbox: Counting) -> None:
    """Wait until what is put next is born leased."""
    await until(lambda: hooks._runtime._worker is not None and hooks._runtime._worker._owner is not None)
    calls = inbox.calls["claim"]
    await until(lambda: inbox.calls["claim"] > calls + 1)


async def test_what_is_put_while_the_worker_is_idle_is_handled_without_a_claim() -> None:
    inbox, ran = Counting(), list[str]()
    hooks = durable(inbox, poll=3600, ordering_key=no_key)

    @hooks.on(Event)
    async def handle(event: Event, attempt: Attempt) -> None:
        ran.append(attempt.delivery.id)

    async with hooks:
        await until(lambda: hooks._runtime._worker is not None and hooks._runtime._worker._owner is not None)
        await until(lambda: hooks._runtime._worker is not None and hooks._runtime._worker._is_hungry)
        claims = inbox.calls["claim"]
        ids = [await deliver(hooks, about(number)) for number in range(5)]
        for id in ids:
            await settled(hooks, id)
        assert inbox.born == ran == ids
        assert inbox.calls["claim"] == claims


async def test_a_settlement_is_followed_by_a_claim_only_if_another_delivery_waits_for_its_ordering_key() -> None:
    inbox, ran, go_on = Counting(), list[str](), asyncio.Event()
    hooks = durable(inbox, poll=3600)

    note(hooks, ran, go_on)

    async with hooks:
        await until(lambda: hooks._runtime._worker is not None and hooks._runtime._worker._owner is not None)
        await until(lambda: hooks._runtime._worker is not None and hooks._runtime._worker._is_hungry)
        claims = inbox.calls["claim"]
        go_on.set()
        ids = [await deliver(hooks, about(number)) for number in range(5)]
        for id in ids:
            await settled(hooks, id)
        assert (inbox.born, inbox.calls["claim"]) == (ids, claims)
        go_on.clear()
        first, second = [
            await deliver(hooks, about(9, status=status)) for status in ("FULFILLED", "FAILED_PERMANENTLY")
        ]
        await until(lambda: ran[5:] == [first])
        go_on.set()
        await settled(hooks, second)
        assert ran[5:] == [first, second]


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_no_more_are_born_to_a_worker_than_it_has_free_slots(concurrency: int) -> None:
    inbox, running, go_on = Counting(), list[str](), asyncio.Event()
    hooks = durable(inbox, concurrency=concurrency, ordering_key=no_key)

    note(hooks, running, go_on)

    async with hooks:
        await ready(hooks, inbox)
        ids = [*await asyncio.gather(*[deliver(hooks, about(number)) for number in range(6)])]
        await until(lambda: len(running) == concurrency)
        assert len(inbox.born) <= concurrency
        assert (await inbox.stats()).running == concurrency
        go_on.set()
        for id in ids:
            await settled(hooks, id)
        assert running == ids, "the older first"


async def test_when_its_sign_of_life_has_ended_a_worker_takes_a_new_one_and_handles_all_once() -> None:
    clock, inbox, ran, go_on = Clock(), Counting(), list[str](), asyncio.Event()
    hooks = durable(inbox, clock=clock, lease=0.3, ordering_key=no_key)

    note(hooks, ran, go_on)

    async with hooks:
        await ready(hooks, inbox)
        first = await deliver(hooks, about(1))
        await until(lambda: ran == [first])
        clock.move(1)
        await until(lambda: len(inbox.owners) == 2)
        go_on.set()
        await settled(hooks, first)
        second = await deliver(hooks, about(2))
        await settled(hooks, second)
    assert ran == [first, second]
    assert len({owner.token for owner in inbox.owners}) == len(inbox.owners)


async def test_what_has_not_begun_is_left_to_others_when_the_sign_of_life_has_ended() -> None:
    clock, inbox, ran, go_on = Clock(), Counting(), list[str](), asyncio.Event()
    hooks = durable(inbox, clock=clock, lease=0.3, concurrency=1, ordering_key=no_key)

    note(hooks, ran, go_on)

    async with hooks:
        await ready(hooks, inbox)
        worker = hooks._runtime._worker
        assert worker is not None
        inbox.faults["claim"] = InboxUnavailable("on purpose")
        calls = inbox.calls["claim"]
        await until(lambda: inbox.calls["claim"] > calls)
        worker._prefetch._rate = 5 / SOON  # as after quick handlers
        ids = [await deliver(hooks, about(number)) for number in range(2)]
        assert inbox.born == ids
        await until(lambda: ran == ids[:1])
        clock.move(1)
        await until(lambda: len(inbox.owners) == 2)
        taken = await MemoryInbox.claim(inbox, hooks.name, 10, LEASE, clock())
        assert ids[1] in {each.delivery.id for each in taken}
        go_on.set()
        await until(lambda: not worker._open)
    assert ran == ids[:1]


async def test_a_worker_that_stops_leaves_nothing_in_its_hands(tmp_path: Path) -> None:
    path = tmp_path / "hooks.db"
    running = list[str]()
    hooks = durable(SQLiteInbox(path, min_free=0), stop=0, concurrency=2, ordering_key=no_key)

    @hooks.on(Event)
    async def handle(event: Event, attempt: Attempt) -> None:
        running.append(attempt.delivery.id)
        await asyncio.Event().wait()

    inbox = await SQLiteInbox(path, min_free=0).open()  # before, or it would be the first to open what nobody has open
    async with hooks:
        await until(lambda: hooks._runtime._worker is not None and hooks._runtime._worker._owner is not None)
        ids = [await deliver(hooks, about(number)) for number in range(6)]
        await until(lambda: len(running) == 2)
        owner = hooks._runtime._worker._owner if hooks._runtime._worker is not None else None
    assert owner is not None
    assert not await inbox.own(owner, LEASE, NOW), "it ends with its worker"
    found = await inbox.claim(hooks.name, 10, LEASE, NOW)
    assert sorted(each.delivery.id for each in found) == sorted(ids)
    assert {each.crashes for each in found} == {0}
    await inbox.close()


def test_nothing_is_born_to_a_worker_whose_loop_has_ended(tmp_path: Path) -> None:
    inbox, clock = SQLiteInbox(tmp_path / "hooks.db", min_free=0), Clock()
    hooks = durable(inbox, clock=clock, ordering_key=no_key)
    hooks.on(Event, name="handler")(lambda event: None)

    async def begin() -> None:
        await hooks._runtime.start()
        await until(lambda: hooks._runtime._worker is not None and hooks._runtime._worker._is_hungry)
        await until(lambda: hooks._runtime._worker is not None and hooks._runtime._worker._owner is not None)

    async def go_on() -> None:
        assert await inbox.put(entry("d-1", receiver=hooks.name), clock()) == Stored("d-1")
        (found,) = await inbox.claim(hooks.name, 10, LEASE, clock())
        assert found.delivery.id == "d-1"
        await inbox.close()

    asyncio.run(begin())
    asyncio.run(go_on())


async def test_what_is_claimed_is_begun_before_what_is_born_in_the_same_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    hooks, came = durable(Counting(), poll=3600), list[str]()
    async with hooks:
        worker = hooks._runtime._worker
        assert worker is not None
        monkeypatch.setattr(worker, "_add_born", lambda owner, claims: came.append("born"))
        asked: asyncio.Future[None] = worker.loop.create_future()

        async def claim() -> None:
            await asyncio.shield(asked)
            came.append("claimed")

        claiming = asyncio.create_task(claim())
        await asyncio.sleep(0)

        def commit() -> None:
            resolve([(asked, None)])
            worker._take(Owner(hooks.name, lambda: 1, worker._take, lambda: NOW), [])

        await asyncio.to_thread(commit)
        await claiming
        await until(lambda: len(came) == 2)
    assert came == ["claimed", "born"]
