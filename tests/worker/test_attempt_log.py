from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.working import Clock
from webhook_receiver import Attempt, CallNext, Event, UnknownEvent
from webhook_receiver.delivery import Delivery
from webhook_receiver.redaction import frames
from webhook_receiver.routing import Handler, Middleware
from webhook_receiver.worker.attempt import run
from webhook_receiver.worker.attempt_log import AttemptLog
from webhook_receiver.worker.middleware import run_inside

EVENT = UnknownEvent(event="an event")
DELIVERY = Delivery("d-1", "webhooks", [], b"", 0, 0, True)
DAY = 86_400


async def raised_by(function: Callable[..., Any], *middleware: Middleware) -> BaseException:
    """Return what a handler raises when it is run as a worker does it."""
    handler = Handler("store", function, Event)
    attempt = Attempt(DELIVERY, handler.name, 1)
    error = await run(lambda: run_inside(middleware, attempt, lambda: handler.call(EVENT, DELIVERY, 1)))
    assert error is not None
    return error


def disk(event: Event) -> None:
    raise OSError(f"no room for {id(event)}")


async def network(event: Event) -> None:
    try:
        disk(event)
    except OSError as error:
        raise ConnectionError("down") from error


async def watched(attempt: Attempt, call_next: CallNext) -> None:
    await call_next()


@pytest.mark.parametrize(
    ("function", "middleware", "functions"),
    [
        (disk, (), ["disk"]),
        (network, (), ["network", "disk", "network"]),
        (disk, (Middleware(watched),), ["watched", "disk"]),
        (network, (Middleware(watched), Middleware(watched)), ["network", "disk", "watched", "watched", "network"]),
    ],
)
async def test_a_traceback_has_the_frames_of_the_user_alone(
    function: Callable[..., Any],
    middleware: tuple[Middleware, ...],
    functions: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    error = await raised_by(function, *middleware)
    AttemptLog(Clock()).add(error, "d-1", "store", 1)
    for told in (caplog.text, frames(error)):
        lines = [line for line in told.splitlines() if line.strip().startswith("File ")]
        assert [line.rpartition(" in ")[2] for line in lines] == functions


async def test_a_traceback_of_which_all_frames_are_ours_stays(caplog: pytest.LogCaptureFixture) -> None:
    def several(event: Event) -> Any:
        return (each for each in [1])

    error = await raised_by(several)
    AttemptLog(Clock()).add(error, "d-1", "store", 1)
    assert "routing/handlers.py" in caplog.text
    assert "TypeError: the handler handed back a generator" in caplog.text


async def test_equal_tracebacks_are_told_once_a_day_whatever_their_messages(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    log = AttemptLog(clock)

    async def fail(function: Callable[..., Any], handler: str = "store") -> str:
        caplog.clear()
        log.add(await raised_by(function), "d-1", handler, 1)
        (record,) = caplog.records
        assert record.levelname == "ERROR"
        return record.getMessage() if record.exc_info is None else "told"

    assert await fail(disk) == "told"
    assert await fail(disk) == f"delivery d-1: store failed as before: OSError: no room for {id(EVENT)}"
    assert await fail(network) == "told"
    assert await fail(disk, "another") == "told"
    assert await fail(disk) != "told"
    clock.move(DAY - 1)
    assert await fail(disk) != "told"
    clock.move(1)
    assert await fail(disk) == "told"
    clock.move(-1)  # the clock is set back
    assert await fail(disk) == "told"


async def test_it_remembers_a_bounded_number_of_tracebacks(caplog: pytest.LogCaptureFixture) -> None:
    log = AttemptLog(Clock())
    error = await raised_by(disk)
    for number in range(1001):
        log.add(error, "d-1", f"handler {number}", 1)
    caplog.clear()
    log.add(error, "d-1", "handler 0", 2)
    assert "Traceback" in caplog.text
