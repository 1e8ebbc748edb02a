from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import NOW
from tests.working import PATIENCE, Clock, about, deliver, durable, kept_until, settled, until
from webhook_receiver import (
    Attempt,
    Backoff,
    Breaker,
    Delivery,
    Event,
    FailedAttempt,
    Filter,
    GiveUp,
    MemoryInbox,
    OrderFailedPermanently,
    OrderFulfilled,
    SQLiteInbox,
    State,
)
from webhook_receiver.delivery import new_id
from webhook_receiver.inbox import Claim, Entry
from webhook_receiver.options import Limits, Rate, limits
from webhook_receiver.worker.limits import Limiter, Limiters, Turn, Turns

ONE = Limits(1, None)


def taken(limiter: Limiter) -> Turn:
    turn = limiter.take()
    assert turn is not None
    return turn


def test_no_more_turns_than_may_be_at_once_are_taken() -> None:
    limiter = Limiter(Limits(2, None), Clock())
    first, _ = taken(limiter), taken(limiter)
    assert limiter.take() is None
    first.end()
    assert taken(limiter)
    assert limiter.take() is None


def test_in_no_time_of_its_length_do_more_turns_begin_than_the_rate_says() -> None:
    clock = Clock()
    limiter = Limiter(Limits(None, Rate(3, 10)), clock)
    began: list[float] = []
    for _ in range(400):
        if (turn := limiter.take()) is not None:
            turn.begin()
            began.append(clock.now)
            turn.end()
        clock.move(0.7)
    assert len(began) >= 400 * 0.7 / 10 * 3 - 3
    assert all(later - earlier >= 10 for earlier, later in zip(began, began[3:], strict=False))


def test_a_turn_counts_in_the_rate_from_when_it_begins_not_from_when_it_was_taken() -> None:
    clock = Clock()
    limiter = Limiter(Limits(None, Rate(1, 10)), clock)
    turn = taken(limiter)
    clock.move(100)
    assert limiter.take() is None
    turn.begin()
    clock.move(9)
    assert limiter.take() is None
    clock.move(1)
    assert taken(limiter)


def test_a_turn_that_ends_before_it_has_begun_costs_nothing() -> None:
    limiter = Limiter(Limits(1, Rate(1, 10)), Clock())
    taken(limiter).end()
    assert taken(limiter)


def test_places_of_the_postponed_are_as_far_apart_as_turns_and_never_take_more_than_a_hundred_looks_a_second() -> None:
    clock = Clock()
    limiter = Limiter(Limits(None, Rate(10, 1)), clock)
    for _ in range(10):
        taken(limiter).begin()
    places = [limiter.place() for _ in range(10_000)]
    assert places == sorted(places)
    assert 0.5 <= places[0] < 1
    assert 7 < places[99] < 10  # a little dense, so that the handler is never short of work
    assert 60 < places[-1] < 60 + 10_000 * 0.01


def test_places_are_as_far_apart_as_runs_are_long() -> None:
    clock = Clock()
    limiter = Limiter(Limits(2, None), clock)
    turn = taken(limiter)
    turn.begin()
    clock.move(8)
    turn.end()
    assert limiter.place() == pytest.approx(3.2)
    assert limiter.place() == pytest.approx(6.4)


async def test_those_that_wait_get_their_turns_in_order() -> None:
    limiter = Limiter(ONE)
    turn = taken(limiter)
    got: list[int] = []

    async def wait(number: int) -> None:
        mine = await limiter.wait()
        assert mine is not None
        mine.begin()
        got.append(number)
        mine.end()

    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
        for number in range(5):
            group.create_task(wait(number))
        await asyncio.sleep(0)
        assert limiter.take() is None
        turn.end()
    assert got == [0, 1, 2, 3, 4]
    assert taken(limiter)


async def test_who_waits_for_the_rate_is_called_when_the_time_comes() -> None:
    limiter = Limiter(Limits(None, Rate(1, 0.01)))
    taken(limiter).begin()
    async with asyncio.timeout(PATIENCE):
        assert await limiter.wait()


@pytest.mark.parametrize("its_turn", [False, True], ids=["still waiting", "as its turn came"])
async def test_one_that_is_cancelled_leaves_the_line_and_keeps_no_turn(its_turn: bool) -> None:
    limiter = Limiter(ONE)
    turn = taken(limiter)
    task = asyncio.create_task(limiter.wait())
    await asyncio.sleep(0)
    if its_turn:
        turn.end()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    if not its_turn:
        turn.end()
    assert taken(limiter)


async def test_the_first_in_the_line_waits_for_longer_than_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webhook_receiver.worker.limits._PATIENCE", 0.01)
    limiter = Limiter(ONE)
    turn = taken(limiter)
    first, second = asyncio.create_task(limiter.wait()), asyncio.create_task(limiter.wait())
    async with asyncio.timeout(PATIENCE):
        assert await second is None
        assert not first.done()
        turn.end()
        assert await first
    monkeypatch.setattr("webhook_receiver.worker.limits._PATIENCE_OF_FIRST", 0.01)
    assert await limiter.wait() is None


async def test_a_turn_is_given_up_when_no_slot_can_be_taken_for_it() -> None:
    async def cancelled(delivery: str) -> None:
        raise asyncio.CancelledError

    turns = Turns[str](lambda delivery: None, cancelled)
    first = await turns.take("f", ONE, "one")
    assert isinstance(first, Turn)
    waiting = asyncio.create_task(turns.take("f", ONE, "two"))
    await asyncio.sleep(0)
    assert turns.waiting == 1
    first.end()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert turns.waiting == 0
    assert isinstance(await turns.take("f", ONE, "three"), Turn)


def test_all_turns_are_taken_or_none() -> None:
    limiters = Limiters(Clock())
    assert isinstance(limiters.take_all({"b": ONE}), list)
    wait = limiters.take_all({"a": ONE, "b": ONE})
    assert isinstance(wait, float)
    assert wait > 0
    assert isinstance(limiters.take_all({"a": ONE}), list)


# In a worker.


class Slow:
    """A receiver with a handler of one event that waits until it is let go, and a quick one of another event."""

    def __init__(self, *arguments: Any, limits: dict[str, Any] | None = None, **options: Any) -> None:
        self.hooks = durable(*arguments, **{"clock": time.time} | options)
        self.go_on = asyncio.Event()
        self.began: list[int] = []
        self.running = self.most = self.quick = 0
        self.hooks.on(OrderFulfilled, name="slow", **limits or {"concurrency": 1})(self.slow)
        self.hooks.on(OrderFailedPermanently, name="quick")(self._quick)

    async def slow(self, event: OrderFulfilled, attempt: Attempt) -> None:
        self.began.append(attempt.number)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.go_on.wait()
        finally:
            self.running -= 1

    async def _quick(self, event: OrderFailedPermanently) -> None:
        self.quick += 1

    async def put(self, slow: int, quick: int) -> None:
        bodies = [about(number) for number in range(slow)]
        bodies += [about(f"q-{number}", "FAILED_PERMANENTLY") for number in range(quick)]
        for body in bodies:
            await deliver(self.hooks, body)

    async def states(self) -> Counter[State]:
        return Counter(each.state for each in await self.hooks.inbox.find(Filter()))


async def test_a_handler_runs_no_more_often_at_once_than_it_may_and_others_run_meanwhile() -> None:
    slow = Slow(concurrency=4, limits={"concurrency": 2})
    async with slow.hooks:
        await slow.put(12, 12)  # more than there are slots
        await until(lambda: slow.quick == 12 and slow.running == 2)
        slow.go_on.set()
        await until(lambda: len(slow.began) == 12)
    assert slow.most == 2
    assert slow.began == [1] * 12, "waiting counted as an attempt"


async def test_ten_thousand_that_wait_for_one_handler_keep_no_other_one_from_running() -> None:
    inbox = await MemoryInbox().open()
    slow = Slow(inbox, concurrency=4, stop=0)
    deliveries = [Delivery(new_id(), slow.hooks.name, [], about(number), NOW, None, True) for number in range(10_000)]
    await asyncio.gather(*(inbox.put(Entry(each, "order.status"), NOW) for each in deliveries))
    async with slow.hooks:
        await slow.put(0, 100)
        async with asyncio.timeout(PATIENCE):
            await until(lambda: slow.quick == 100)
        assert slow.running == slow.most == 1
        worker: Any = slow.hooks.runtime._worker
        await until(lambda: len(worker._in_flight) <= 70)  # all others hold no lease, and no memory
        left = await inbox.find(Filter(states=[State.WAITING]))
        assert len(left) == 10_000
        assert not any(each.handlers["slow"].attempts for each in left if each.handlers)


async def test_those_that_were_postponed_run_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webhook_receiver.worker.limits._LONGEST_LINE", 1)
    monkeypatch.setattr("webhook_receiver.worker.limits._SOONEST", 0.01)
    slow = Slow()
    async with slow.hooks:
        await slow.put(30, 0)
        await until(lambda: slow.running == 1)
        slow.go_on.set()
        await until(lambda: len(slow.began) == 30)
    assert slow.most == 1
    assert slow.began == [1] * 30


async def test_a_rate_is_kept_while_all_slots_are_taken_and_free(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(concurrency=2, limits={"rate": "5/s"})
    at: list[float] = []
    begin = Limiter.begin

    def note(limiter: Limiter) -> float:
        at.append(begin(limiter))  # the run itself begins a little later, the one more than the other
        return at[-1]

    monkeypatch.setattr(Limiter, "begin", note)
    async with slow.hooks:
        await slow.put(8, 0)
        await until(lambda: slow.running == 2)  # which have both slots
        slow.go_on.set()
        await until(lambda: len(slow.began) == 8)
    assert len(at) == 8
    assert all(later - earlier > 0.999 for earlier, later in zip(at, at[5:], strict=False))


async def test_one_ordering_key_is_handled_in_order_behind_a_limit() -> None:
    hooks = durable(clock=time.time, ordering_key=lambda event: "one")
    order: list[str] = []

    @hooks.on(OrderFulfilled, rate="20/s", concurrency=1)
    async def handle(event: OrderFulfilled) -> None:
        order.append(str(event.order_id))

    async with hooks:
        for number in range(25):
            await deliver(hooks, about(f"o-{number}"))
        await until(lambda: len(order) == 25)
    assert order == [f"o-{number}" for number in range(25)]


async def test_a_worker_that_stops_waits_for_nobody_in_the_line_and_leaves_it_to_others() -> None:
    slow = Slow(stop=PATIENCE)
    inbox = await slow.hooks.inbox.open()
    async with slow.hooks:
        await slow.put(5, 0)
        await until(lambda: slow.running == 1)
        worker: Any = slow.hooks.runtime._worker
        await until(lambda: worker._turns.waiting == 4)
        stopping = asyncio.create_task(worker.stop())
        await until(lambda: worker._turns.waiting == 0 and len(worker._in_flight) == 1)
        left = await inbox.find(Filter(states=[State.WAITING]))
        assert sum(not each.leased and each.due is not None and each.due <= time.time() for each in left) == 4
        slow.go_on.set()
        await stopping
    assert slow.began == [1]


async def test_a_handler_that_is_paused_meanwhile_is_not_run_by_those_in_the_line() -> None:
    slow = Slow()
    async with slow.hooks:
        first = await deliver(slow.hooks, about(1))
        await until(lambda: slow.running == 1)
        second = await deliver(slow.hooks, about(2))
        worker: Any = slow.hooks.runtime._worker
        await until(lambda: worker._turns.waiting == 1)
        await slow.hooks.pause("slow")
        slow.go_on.set()
        await settled(slow.hooks, first)
        await kept_until(slow.hooks, second, lambda record: record.paused_by == "slow")
        await slow.hooks.resume("slow")
        await settled(slow.hooks, second)
    assert slow.began == [1, 1]


async def test_a_breaker_that_opens_meanwhile_lets_nobody_in_the_line_run() -> None:
    hooks = durable(clock=time.time, breaker=Breaker(failures=1, seconds=60))
    go_on = asyncio.Event()
    ran: list[int] = []

    @hooks.on(OrderFulfilled, concurrency=1, name="slow")
    async def fail(event: OrderFulfilled) -> None:
        ran.append(1)
        await go_on.wait()
        raise ValueError("odd")

    async with hooks:
        await deliver(hooks, about(1))
        await until(lambda: len(ran) == 1)
        ids = [await deliver(hooks, about(number)) for number in (2, 3)]
        worker: Any = hooks.runtime._worker
        await until(lambda: worker._turns.waiting == 2)
        go_on.set()
        for id in ids:
            kept = await kept_until(hooks, id, lambda record: not record.leased and bool(record.handlers))
            assert kept.summary.due is not None
            assert kept.summary.due > time.time() + 30
            assert kept.summary.handlers["slow"].attempts == 0
    assert ran == [1]


async def test_what_waits_in_the_line_is_replayed_no_second_time() -> None:
    slow = Slow()
    async with slow.hooks:
        await slow.put(3, 0)
        worker: Any = slow.hooks.runtime._worker
        await until(lambda: worker._turns.waiting == 2)
        ids = [each.id for each in await slow.hooks.inbox.find(Filter())]
        assert await slow.hooks.inbox.replay(ids, time.time()) == 0  # each is under its lease
        slow.go_on.set()
        for id in ids:
            await settled(slow.hooks, id)
    assert slow.began == [1, 1, 1]


class ByRenewal(MemoryInbox):
    """An inbox whose renewals move the clock: leases would end if they were not renewed."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.moved = clock
        self.renewals = 0

    async def renew(self, claims: Sequence[Claim], lease: float, now: float) -> None:
        await super().renew(claims, lease, now)
        self.moved.move(lease * 2 / 3)
        self.renewals += 1


async def test_what_waits_in_the_line_keeps_its_lease_for_as_long_as_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webhook_receiver.worker.limits._PATIENCE", PATIENCE)
    clock = Clock()
    inbox = ByRenewal(clock)
    slow = Slow(inbox, clock=clock, lease=0.03)
    async with slow.hooks:
        await slow.put(3, 0)
        worker: Any = slow.hooks.runtime._worker
        await until(lambda: worker._turns.waiting == 2)
        before = inbox.renewals
        await until(lambda: inbox.renewals > before + 10)
        assert await inbox.claim(slow.hooks.name, 10, 1, clock()) == []
        slow.go_on.set()
        await until(lambda: len(slow.began) == 3)
    assert slow.began == [1] * 3


async def test_what_waited_in_the_line_of_a_process_that_died_is_run_by_another(tmp_path: Path) -> None:
    path = tmp_path / "hooks.db"
    slow = Slow(SQLiteInbox(path), lease=0.5)
    async with slow.hooks:
        await slow.put(3, 0)
        worker: Any = slow.hooks.runtime._worker
        await until(lambda: worker._turns.waiting == 2)
        copy = tmp_path / "copy.db"  # what the disk has when the process dies now
        inbox: Any = slow.hooks.inbox
        await inbox.backup(copy)
        slow.go_on.set()
    other = Slow(SQLiteInbox(copy), lease=0.5)
    other.go_on.set()
    async with other.hooks:
        await until(lambda: len(other.began) == 3)
    assert other.began == [1, 1, 1]


async def test_a_handler_at_its_limit_keeps_no_other_one_of_the_delivery_from_running_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("webhook_receiver.worker.limits._LONGEST_LINE", 0)
    slow = Slow()
    also: list[object] = []

    @slow.hooks.on(OrderFulfilled, name="also")
    async def hear(event: OrderFulfilled) -> None:
        also.append(event.order_id)

    async with slow.hooks:
        first = await deliver(slow.hooks, about(1))
        await until(lambda: slow.running == 1)
        second = await deliver(slow.hooks, about(2))
        await kept_until(slow.hooks, second, lambda record: record.handlers.get("also") is not None)
        assert len(also) == 1
        slow.go_on.set()
        await settled(slow.hooks, first)
        await settled(slow.hooks, second)
    assert len(also) == 2


async def test_dead_letter_handlers_and_fallbacks_have_limits_too() -> None:
    hooks = durable(clock=time.time, backoff=Backoff(attempts=1))
    running = Counter[str]()
    most = Counter[str]()
    ran = Counter[str]()
    go_on = asyncio.Event()

    async def run(name: str) -> None:
        running[name] += 1
        most[name] = max(most[name], running[name])
        await asyncio.to_thread(int)
        if name == "dead":
            await go_on.wait()
        running[name] -= 1
        ran[name] += 1

    @hooks.fallback(concurrency=1)
    async def rest(event: Event) -> None:
        await run("rest")
        raise GiveUp("never")

    @hooks.on_dead(concurrency=2)
    async def hear(delivery: Delivery, attempts: Sequence[FailedAttempt]) -> None:
        await run("dead")

    async with hooks:
        for number in range(10):
            await deliver(hooks, about(number))
        await until(lambda: ran["rest"] == 10 and running["dead"] >= 2)
        go_on.set()
        await until(lambda: ran["dead"] == 10)
    assert most == {"rest": 1, "dead": 2}


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("10/s", Rate(10, 1)),
        ("10/second", Rate(10, 1)),
        ("10 / s", Rate(10, 1)),
        (" 10/sec ", Rate(10, 1)),
        ("100/min", Rate(100, 60)),
        ("100/m", Rate(100, 60)),
        ("100 per minute", Rate(100, 60)),
        ("1000/h", Rate(1000, 3600)),
        ("1000/Hours", Rate(1000, 3600)),
        ("1/day", Rate(1, 86_400)),
    ],
)
def test_a_rate_is_read_as_people_write_it(text: str, rate: Rate) -> None:
    assert limits(None, text) == Limits(None, rate)
