from __future__ import annotations

import asyncio
import logging
import threading

import pytest

from tests.working import PATIENCE, deliver, durable, settled
from webhook_receiver import Event
from webhook_receiver.worker.watchdog import Watchdog


class Said(logging.Handler):
    """Sets an event when something is logged, from whichever thread."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []
        self.something = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())
        self.something.set()


@pytest.fixture
def said() -> Said:
    return Said()


def watching() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "webhook-loop-watchdog"]


async def test_a_handler_that_blocks_the_loop_is_named_with_the_line_where_it_is(
    said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Watchdog.__init__, "__defaults__", (0.05,))
    logging.getLogger("webhook_receiver").addHandler(said)
    hooks = durable()

    @hooks.on(Event, name="blocking")
    async def blocking(event: Event) -> None:
        said.something.wait(PATIENCE)

    try:
        async with hooks:
            await settled(hooks, await deliver(hooks))
    finally:
        logging.getLogger("webhook_receiver").removeHandler(said)
    message = next(message for message in said.messages if "blocked" in message)  # a busy machine may say more
    assert message.startswith("blocking has blocked the event loop for more than 0.05 s, just now in ")
    assert "Make it a plain function" in message


async def test_what_blocks_the_loop_and_is_no_handler_is_not_complained_about(
    caplog: pytest.LogCaptureFixture,
) -> None:
    asked = threading.Event()

    def nobody(task: object) -> None:
        asked.set()

    watchdog = Watchdog(asyncio.get_running_loop(), nobody, 0.01)
    asked.wait(PATIENCE)
    assert asked.is_set()
    watchdog.stop()
    assert caplog.text == ""


def test_its_thread_ends_when_it_is_stopped() -> None:
    async def main() -> None:
        before = watching()
        watchdog = Watchdog(asyncio.get_running_loop(), lambda task: None, 0.01)
        (thread,) = set(watching()) - set(before)
        watchdog.stop()
        await asyncio.to_thread(thread.join, PATIENCE)
        assert not thread.is_alive()

    asyncio.run(main())


@pytest.mark.parametrize("blocked", [True, False])
def test_its_thread_ends_with_the_loop_also_if_that_was_blocked_to_the_end(blocked: bool) -> None:
    before, asked = watching(), threading.Event()

    def nobody(task: object) -> None:
        asked.set()

    loop = asyncio.new_event_loop()  # one that does not run is blocked
    Watchdog(loop, nobody, 0.01)
    (thread,) = set(watching()) - set(before)
    if blocked:
        assert asked.wait(PATIENCE)
    loop.close()
    thread.join(PATIENCE)
    assert not thread.is_alive()
