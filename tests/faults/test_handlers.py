"""Handlers that kill their process, never return, or block the loop: others are handled all the same."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults.harness import Answer, Server, ask, delivery, ended, moment, runs, states
from tests.helpers import SECRET, order, signed
from webhook_receiver import MemoryInbox, OrderStatusChanged, WebhookReceiver
from webhook_receiver.options import Backoff, WorkerOptions

STORED = Answer(202, False)
TWICE = {"first": 0, "longest": 0, "attempts": 2}


@pytest.mark.parametrize("death", ["exit", "kill"])
def test_a_handler_that_kills_its_process_ends_dead_and_takes_no_other_along(tmp_path: Path, death: str) -> None:
    with Server(tmp_path, backoff=TWICE, worker={"lease": 0.5, "poll": 0.1}) as server:
        server.wait_for(lambda: ask(server.port, delivery("healthy", 1)) is not None, "an answer")
        # Each is sent until it is acknowledged, not waiting for long: we are also who starts the receiver again.
        requests = [delivery(f"innocent-{number}", 1, does="end at once") for number in range(20)]
        requests.insert(10, delivery("killer", 1, does=death))
        restarts = 0
        deadline = time.monotonic() + 60
        while requests or "waiting" in states(server.inbox):
            assert time.monotonic() < deadline, server.said()[-3000:]
            if server.process.poll() is not None:  # what a supervisor does
                restarts += 1
                assert restarts <= 10, "it loops"
                server.start()
            if requests and (answer := ask(server.port, requests[0], 2)) is not None:
                assert answer.status in (200, 202)
                del requests[0]
            moment(0.02)
        deaths = [run for run in runs(tmp_path) if run.order == "killer" and run.handler == "on_loop"]
        print(f"{restarts} restarts, {len(deaths)} runs of the killer")
        # The first death is not counted if it was born leased: nothing had been written about it.
        assert 2 <= len(deaths) <= 4
        assert ended(tmp_path) >= {(f"innocent-{number}", 1) for number in range(20)}
        assert states(server.inbox) == {"dead": 1, "done": 21}
        assert "tests.faults.app:on_loop failed: ProcessEnded: the process ended while it ran" in server.said()


@pytest.mark.parametrize("way", ["hang", "swallow", "hang in thread"])
def test_a_handler_that_never_returns_is_a_failed_attempt_and_others_go_on(tmp_path: Path, way: str) -> None:
    options = {"lease": 1.0, "poll": 0.1, "timeout": 0.3, "stop": 0.5, "concurrency": 2}
    with Server(tmp_path, backoff=TWICE, worker=options) as server:
        for number in range(2):  # as many as there is room for
            assert ask(server.port, delivery(f"stuck-{number}", 1, does=way)) == STORED
        assert ask(server.port, delivery("other", 1, does="end at once")) == STORED
        handler = "in_thread" if way == "hang in thread" else "on_loop"
        server.wait_for(lambda: states(server.inbox) == {"dead": 2, "done": 1}, "the end of their attempts")
        begun = [run for run in runs(tmp_path) if run.handler == handler and run.what == "begin"]
        is_run_again = way != "hang in thread"  # two threads would do the same work
        assert [run.attempt for run in begun if run.order == "stuck-0"] == [1, 2][: 1 + is_run_again]
        said = "on_loop ignores that its time is up" if way == "swallow" else "it took more than 0.3 s"
        assert said in server.said()
        assert ("its thread of an attempt before goes on" in server.said()) != is_run_again
        if way != "hang in thread":  # a thread keeps Python from ending, whatever the worker does
            began = time.monotonic()
            server.stop()
            assert time.monotonic() - began < 10


@pytest.mark.parametrize("way", ["hangs", "swallows", "hangs in a thread"])
async def test_the_stop_of_a_receiver_is_bounded_whatever_its_handlers_do(way: str) -> None:
    begun, let_go = asyncio.Event(), threading.Event()
    left_behind: list[asyncio.Task[object]] = []
    loop = asyncio.get_running_loop()
    hooks = WebhookReceiver(
        secret=SECRET, inbox=MemoryInbox(), worker=WorkerOptions(stop=0.1, timeout=3600, backoff=Backoff())
    )

    async def hangs(event: OrderStatusChanged) -> None:
        begun.set()
        await asyncio.Event().wait()

    async def swallows(event: OrderStatusChanged) -> None:
        task = asyncio.current_task()
        assert task is not None
        left_behind.append(task)
        begun.set()
        while not let_go.is_set():
            with suppress(asyncio.CancelledError, TimeoutError):
                await asyncio.wait_for(asyncio.Event().wait(), 0.05)

    def hangs_in_a_thread(event: OrderStatusChanged) -> None:
        loop.call_soon_threadsafe(begun.set)
        let_go.wait()

    handlers: dict[str, Callable[[OrderStatusChanged], object]] = {
        "hangs": hangs,
        "swallows": swallows,
        "hangs in a thread": hangs_in_a_thread,
    }
    hooks.on(OrderStatusChanged)(handlers[way])
    async with hooks:
        await hooks.receive(signed(order(), now=time.time()), order())
        await begun.wait()
        began = time.monotonic()
    assert time.monotonic() - began < 8
    let_go.set()
    if left_behind:
        await asyncio.wait(left_behind)


def test_a_handler_that_blocks_the_loop_is_named(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        assert ask(server.port, delivery("o-1", 1, does="block")) == STORED
        warning = "tests.faults.app:on_loop has blocked the event loop for more than 1 s, just now in "
        server.wait_for(lambda: warning in server.said(), "the warning")
        assert f"{Path('tests/faults/app.py')}:" in server.said()
        tmp_path.joinpath("go").touch()
        server.wait_for(lambda: ended(tmp_path), "its end")
        assert ask(server.port, delivery("o-2", 1, does="end at once")) == STORED
