from __future__ import annotations

import asyncio
import gc
import weakref
from contextlib import closing
from contextvars import ContextVar
from typing import Any

import pytest

from tests.working import PATIENCE
from webhook_receiver.worker.timeouts import Timeouts

said: ContextVar[str] = ContextVar("said", default="nothing")


class Told:
    """Notes what it is told of, when, and what was said in the context of that."""

    def __init__(self) -> None:
        self.of: list[str] = []
        self.at: dict[str, float] = {}
        self.said: list[str] = []
        self._more = asyncio.Event()

    def __call__(self, what: str) -> None:
        self.of.append(what)
        self.at[what] = asyncio.get_running_loop().time()
        self.said.append(said.get())
        self._more.set()

    async def until(self, what: str) -> None:
        """Wait until it is told of this."""
        async with asyncio.timeout(PATIENCE):
            while what not in self.of:
                self._more.clear()
                await self._more.wait()


async def test_what_does_not_end_in_its_time_is_told_of_once_and_not_before() -> None:
    told = Told()
    deadlines = Timeouts(told)
    began = asyncio.get_running_loop().time()
    deadlines.begin("late", 0.02)
    await told.until("late")
    assert told.at["late"] >= began + 0.02
    deadlines.begin("later", 0.02)
    await told.until("later")
    assert told.of == ["late", "later"]


async def test_what_ends_in_its_time_is_not_told_of() -> None:
    told = Told()
    deadlines = Timeouts(told)
    deadlines.begin("in time", 0.01)
    deadlines.begin("late", 0.02)
    deadlines.end("in time")
    await told.until("late")
    deadlines.end("late")  # which is nothing any more
    assert told.of == ["late"]


async def test_what_begins_later_and_has_less_time_is_told_of_in_its_own() -> None:
    told = Told()
    deadlines = Timeouts(told)
    deadlines.begin("long", PATIENCE)
    deadlines.begin("middling", PATIENCE / 2)
    deadlines.begin("short", 0.02)
    await told.until("short")
    assert told.of == ["short"]


async def test_all_whose_time_is_up_at_once_are_told_of_together() -> None:
    told = Told()
    deadlines = Timeouts(told)
    for what in ("one", "two", "three"):
        deadlines.begin(what, 0.02)
    await told.until("one")
    await told.until("three")
    assert sorted(told.of) == ["one", "three", "two"]


async def test_what_begins_anew_while_its_time_is_up_is_told_of_again() -> None:
    again: list[int] = []
    done = asyncio.Event()

    def is_up(number: int) -> None:
        again.append(number)
        if number < 3:
            deadlines.begin(number + 1, 0.001)
        else:
            done.set()

    deadlines: Timeouts[int] = Timeouts(is_up)
    deadlines.begin(1, 0.001)
    async with asyncio.timeout(PATIENCE):
        await done.wait()
    assert again == [1, 2, 3]


async def test_any_number_that_end_in_time_take_one_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    told, loop, timers = Told(), asyncio.get_running_loop(), list[float]()
    call_at: Any = loop.call_at

    def counting(when: float, *rest: Any, **options: Any) -> Any:
        timers.append(when)
        return call_at(when, *rest, **options)

    monkeypatch.setattr(loop, "call_at", counting)
    deadlines = Timeouts(told)
    for number in range(1000):
        deadlines.begin(str(number), PATIENCE)
        deadlines.end(str(number))
    assert len(timers) == 1
    assert told.of == []


async def test_a_timer_belongs_to_no_task_that_happens_to_set_it() -> None:
    told = Told()
    deadlines = Timeouts(told)

    async def handler() -> None:
        said.set("a secret of its own")
        deadlines.begin("late", 0.01)

    await asyncio.create_task(handler())
    await told.until("late")
    assert told.said == ["nothing"]


async def test_stopped_it_leaves_nothing_behind() -> None:
    deadlines = Timeouts(Told())
    deadlines.begin("in time", PATIENCE)
    deadlines.end("in time")
    left = weakref.ref(deadlines)
    deadlines.stop()
    del deadlines
    gc.collect()
    assert left() is None


async def test_stopped_it_still_tells_of_what_has_not_ended_and_of_what_begins_yet() -> None:
    told = Told()
    deadlines = Timeouts(told)
    deadlines.begin("stubborn", 0.01)
    deadlines.stop()
    await told.until("stubborn")
    deadlines.begin("in time", 0.01)
    deadlines.end("in time")
    deadlines.stop()
    deadlines.begin("late", 0.02)
    await told.until("late")
    assert told.of == ["stubborn", "late"]


def test_made_outside_of_any_loop_it_is_used_in_one_after_the_other() -> None:
    late: list[str] = []
    done: asyncio.Future[None]

    def is_up(what: str) -> None:
        late.append(what)
        done.set_result(None)

    deadlines = Timeouts(is_up)

    async def begin(what: str) -> None:
        nonlocal done
        done = asyncio.get_running_loop().create_future()
        deadlines.begin(what, 0.05)
        await asyncio.wait_for(done, PATIENCE)

    async def forget() -> None:
        deadlines.begin("forgotten", 0.05)

    asyncio.run(begin("first"))
    asyncio.run(forget())
    asyncio.run(begin("second"))
    assert late == ["first", "second"]


def test_a_loop_from_which_another_one_took_over_is_not_heard_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    deadlines = Timeouts(told.append)
    now = 0.0

    async def begin(what: str) -> None:
        deadlines.begin(what, 1)

    before, after = asyncio.new_event_loop(), asyncio.new_event_loop()
    with closing(before), closing(after):
        for loop in (before, after):
            monkeypatch.setattr(loop, "time", lambda: now)
        before.run_until_complete(begin("forgotten"))
        after.run_until_complete(begin("going on"))
        now = 2.0
        before.run_until_complete(asyncio.sleep(0))
        assert told == []
        after.run_until_complete(asyncio.sleep(0))
        assert told == ["going on"]
