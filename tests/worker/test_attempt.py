from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from tests.helpers import NOW
from webhook_receiver import Delivery, Event, GiveUp, Retry, UnknownEvent
from webhook_receiver.redaction import storable
from webhook_receiver.routing import Handler
from webhook_receiver.worker.attempt import run
from webhook_receiver.worker.attempt_log import AttemptLog

EVENT = UnknownEvent(event="an event")
DELIVERY = Delivery("d-1", "webhooks", [(b"signature", b"sign-here")], b"a body", NOW, 0, True)


async def outcome(function: Callable[..., Any]) -> BaseException | None:
    handler = Handler("the handler", function, Event)
    error = await run(lambda: handler.call(EVENT, DELIVERY, 1))
    if error is not None:
        AttemptLog(lambda: NOW).add(error, DELIVERY.id, handler.name, 1)
    return error


def raising(error: BaseException) -> Callable[[Event], None]:
    def handler(event: Event) -> None:
        raise error

    return handler


async def test_a_handler_that_returns_is_done() -> None:
    assert await outcome(lambda event: 7) is None


async def test_a_failure_is_logged_once_with_its_traceback_and_the_deliverys_id(
    caplog: pytest.LogCaptureFixture,
) -> None:
    error = ValueError("the disk is full")
    assert await outcome(raising(error)) is error
    (record,) = caplog.records
    assert record.getMessage() == "delivery d-1: the handler failed"
    assert "ValueError: the disk is full" in caplog.text
    assert "in handler" in caplog.text
    assert not any(kept in caplog.text for kept in ("a body", "sign-here"))


async def test_retry_and_give_up_are_outcomes_and_no_failures(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    retry, give_up = Retry(after=90), GiveUp("no such order")
    assert await outcome(raising(retry)) is retry
    assert await outcome(raising(give_up)) is give_up
    assert [(record.levelname, record.getMessage(), record.exc_info) for record in caplog.records] == [
        ("INFO", "delivery d-1: the handler wants to try again after 90 s", None),
        ("WARNING", "delivery d-1: the handler gave up: no such order", None),
    ]


class Mute(Retry):
    def __str__(self) -> str:
        raise OSError("no")


async def test_a_retry_that_cannot_say_what_it_is_is_one(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert isinstance(await outcome(raising(Mute(after=90))), Mute)
    assert "the handler wants to (it cannot say what it is: OSError)" in caplog.text


async def test_a_cancellation_of_the_handlers_own_making_is_a_failure() -> None:
    async def handler(event: Event) -> None:
        await _cancelled()

    assert isinstance(await outcome(handler), asyncio.CancelledError)


async def _cancelled() -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


async def test_what_pydantic_would_quote_of_the_body_is_not_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    class Strict(BaseModel):
        size: int

    def handler(event: Event) -> None:
        Strict.model_validate({"size": "-".join(["hush"] * 2)})

    assert isinstance(await outcome(handler), ValidationError)
    assert "the handler failed: ValidationError: ?: Input should be a valid integer" in caplog.text
    assert "in handler" in caplog.text
    assert "hush-hush" not in caplog.text


@pytest.mark.parametrize(
    "error",
    [SystemExit(3), GeneratorExit(), BaseExceptionGroup("many", [SystemExit()])],
    ids=lambda error: type(error).__name__,
)
async def test_no_handler_ends_the_server(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    assert await outcome(raising(error)) is error
    assert "the handler failed" in caplog.text


async def test_an_async_handler_that_raises_what_closes_a_coroutine_has_failed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def handler(event: Event) -> None:
        await asyncio.sleep(0)
        raise GeneratorExit

    assert isinstance(await outcome(handler), GeneratorExit)
    assert "the handler failed" in caplog.text


@pytest.mark.parametrize("within", [True, False])
def test_a_run_that_is_closed_ends_there(within: bool) -> None:
    """Closed in a step of another task, as garbage is, or when no event loop runs any more."""
    ended: list[str] = []

    async def handler(event: Event) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("handler")

    async def work() -> None:
        await outcome(handler)
        ended.append("goes on")

    async def begin() -> Coroutine[Any, Any, None]:
        working = work()
        asyncio.get_running_loop().create_task(_step(working))
        await asyncio.sleep(0)
        if within:
            working.close()
        return working

    asyncio.run(begin()).close()
    assert ended == ["handler"]


async def _step(coroutine: Coroutine[Any, Any, None]) -> None:
    coroutine.send(None)


async def test_a_retry_of_the_users_own_that_says_no_time_is_one_at_once() -> None:
    class Again(Retry):
        def __init__(self) -> None:
            pass

    raised = await outcome(raising(Again()))
    assert isinstance(raised, Retry)
    assert raised.after == 0


@given(st.text(st.characters(exclude_categories=())))
@example("half \ud800 a character")
def test_a_text_is_storable_once_half_characters_are_spelt_out_and_all_others_stay(text: str) -> None:
    assert storable(text) == text.encode("utf-8", "backslashreplace").decode()


def test_what_is_storable_is_a_text_and_of_no_class_of_the_users() -> None:
    class Theirs(str):
        pass

    assert type(storable(Theirs("a"))) is str
