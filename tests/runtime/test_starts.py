from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal

from tests.working import PATIENCE, about, deliver, durable, settled, until
from webhook_receiver import Event, Filter, InboxUnavailable, SQLiteInbox, State
from webhook_receiver.runtime import starts
from webhook_receiver.runtime.starts import Starts, stop_in


class Slow:
    """A receiver whose handler of the first delivery ends when it is told to."""

    def __init__(self, inbox: str) -> None:
        self.hooks = durable(inbox)
        self.began, self.goes_on = threading.Event(), threading.Event()
        self.calls: list[str] = []
        """What is called of the inbox, which opens and closes it."""
        for name in ("register", "close"):
            self._note(name)

        @self.hooks.on(Event, name="handler")
        async def handle(event: Event) -> None:
            self.began.set()
            await until(self.goes_on.is_set)

    def _note(self, name: str) -> None:
        call = getattr(self.hooks.inbox, name)

        def noted(*given: Any) -> Any:
            self.calls.append(name)
            return call(*given)

        setattr(self.hooks.inbox, name, noted)

    async def begin(self) -> str:
        """Start the receiver, and return the id of a delivery once its handler has begun."""
        await self.hooks.__aenter__()
        id = await deliver(self.hooks, about(1))
        await until(self.began.is_set)
        return id

    async def stopping(self) -> asyncio.Task[None]:
        """Return a stop that is under way, and waits for the handler."""
        worker = self.hooks.runtime.worker
        assert worker is not None
        stop = asyncio.create_task(self.hooks.__aexit__())
        await until(lambda: not worker.is_working)
        return stop


@pytest.fixture
def slow(tmp_path: Path) -> Slow:
    return Slow(f"sqlite:///{tmp_path}/hooks.db")


async def turns() -> None:
    """Let everybody go on for some turns of the event loop."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_start_while_the_receiver_stops_waits_for_the_end_of_that_and_starts_anew(slow: Slow) -> None:
    hooks = slow.hooks
    await slow.begin()
    stop = await slow.stopping()
    slow.calls.clear()
    again = [asyncio.create_task(hooks.__aenter__()) for _ in range(2)]
    await turns()
    assert slow.calls == [], "it waits"
    slow.goes_on.set()
    await asyncio.gather(stop, *again)
    assert slow.calls == ["close", "register", "register"]
    await settled(hooks, await deliver(hooks, about(2)))
    await hooks.__aexit__()
    assert hooks.runtime.is_started(), "two starts count"
    await hooks.__aexit__()
    assert not hooks.runtime.is_started()


async def test_a_start_that_gives_up_waiting_leaves_the_stop_and_the_next_start_alone(slow: Slow) -> None:
    hooks = slow.hooks
    await slow.begin()
    stop = await slow.stopping()
    again = [asyncio.create_task(hooks.__aenter__()) for _ in range(2)]
    await turns()
    again[0].cancel()
    await turns()
    assert again[0].cancelled()
    assert not stop.done()
    assert not again[1].done()
    slow.goes_on.set()
    await asyncio.gather(stop, again[1])
    await settled(hooks, await deliver(hooks, about(2)))
    await hooks.__aexit__()
    assert not hooks.runtime.is_started()


async def test_a_delivery_that_comes_while_the_receiver_stops_is_503_and_a_later_one_starts_it_again(
    slow: Slow, caplog: pytest.LogCaptureFixture
) -> None:
    hooks = slow.hooks
    first = await slow.begin()
    stop = await slow.stopping()
    receipt = await hooks.receive({}, about(2))
    assert (receipt.response.status, str(receipt.error)) == (503, "up42 stops just now")
    assert "retry-after" in receipt.response.headers
    assert "was not started" not in caplog.text
    slow.goes_on.set()
    await stop
    assert slow.calls == ["register", "close"]
    await settled(hooks, await deliver(hooks, about(3)))
    await settled(hooks, first)
    await hooks.runtime.stop()


async def test_a_receiver_stops_only_once_a_delivery_that_starts_it_has_done_so(slow: Slow) -> None:
    hooks, register, registers, goes_on = slow.hooks, slow.hooks.inbox.register, asyncio.Event(), asyncio.Event()

    async def held(*given: Any) -> Any:
        if not registers.is_set():
            registers.set()
            await goes_on.wait()
        return await register(*given)

    setattr(hooks.inbox, "register", held)  # noqa: B010 - for the type checkers
    slow.goes_on.set()
    late = asyncio.create_task(hooks.receive({}, about(1)))
    await registers.wait()
    await hooks.__aenter__()
    stop = asyncio.create_task(hooks.__aexit__())
    await turns()
    assert hooks.runtime.is_started(), "it waits"
    goes_on.set()
    await asyncio.gather(stop, late)
    assert not hooks.runtime.is_started()
    await settled(hooks, await deliver(hooks, about(2)))
    await hooks.runtime.stop()


async def test_a_stop_in_another_event_loop_stops_the_worker_where_it_runs(slow: Slow, tmp_path: Path) -> None:
    with start_blocking_portal() as portal:
        portal.call(slow.hooks.__aenter__)
        id = portal.call(deliver, slow.hooks, about(1))
        await until(slow.began.is_set)
        stop = await slow.stopping()
        assert slow.calls == ["register"]
        slow.goes_on.set()
        await stop
    assert slow.calls == ["register", "close"]
    inbox = await SQLiteInbox(tmp_path / "hooks.db").open()
    (kept,) = await inbox.find(Filter())
    await inbox.close()
    assert (kept.id, kept.state) == (id, State.DONE)


async def test_a_stop_does_not_wait_for_ever_for_an_event_loop_that_is_blocked(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(starts, "_PATIENCE", 0.01)
    blocked, goes_on, stopped = threading.Event(), threading.Event(), threading.Event()

    def block() -> None:
        blocked.set()
        goes_on.wait(PATIENCE)

    async def stop() -> None:
        stopped.set()

    with start_blocking_portal() as portal:
        loop = portal.call(running_loop)
        portal.start_task_soon(block)
        await until(blocked.is_set)
        await stop_in(loop, stop, "up42", 0.0)
        assert "up42 stops only when the event loop that it was started in goes on" in caplog.text
        assert not stopped.is_set()
        goes_on.set()
        await until(stopped.is_set)


async def running_loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


async def test_an_error_of_a_stop_in_another_event_loop_is_the_callers() -> None:
    async def stop() -> None:
        raise InboxUnavailable("the disk is full")

    with start_blocking_portal() as portal:
        loop = portal.call(running_loop)
        with pytest.raises(InboxUnavailable, match="the disk is full"):
            await stop_in(loop, stop, "up42", 1.0)


def test_a_stop_that_was_left_behind_with_its_event_loop_keeps_nobody_waiting() -> None:
    them, loop = Starts(), asyncio.new_event_loop()
    left = them.stop()
    loop.run_until_complete(left.__aenter__())

    async def late() -> None:
        with them.late("up42"):
            pass

    with pytest.raises(InboxUnavailable, match="up42 stops just now"):
        asyncio.run(late())
    loop.close()
    asyncio.run(late())
    asyncio.run(them.begin())


async def test_a_stop_without_a_start_takes_none_of_the_later_ones_away() -> None:
    them = Starts()
    assert them.end()
    await them.begin()
    await them.begin()
    assert not them.end()
    assert them.end()


async def test_a_stop_waits_for_another_one() -> None:
    them, order = Starts(), list[str]()

    async def stop(name: str) -> None:
        async with them.stop():
            order.append(f"{name} begins")
            await turns()
            order.append(f"{name} ends")

    await asyncio.gather(stop("a"), stop("b"))
    assert order == ["a begins", "a ends", "b begins", "b ends"]


async def test_a_process_that_was_forked_off_knows_nothing_of_a_stop() -> None:
    them = Starts()
    await them.begin()
    async with them.stop():
        them.forget()
        with them.late("up42"):
            await them.begin()
    assert them.end()
