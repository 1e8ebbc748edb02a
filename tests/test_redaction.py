"""What is said of an error holds nothing of a body, however the error that quotes it is wrapped."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
from pydantic import BaseModel, ValidationError

from tests.helpers import NOW
from webhook_receiver import Event, GiveUp, UnknownEvent
from webhook_receiver.redaction import frames, message, summary
from webhook_receiver.routing import Handler
from webhook_receiver.worker.attempt_log import AttemptLog
from webhook_receiver.worker.executor import run

HUSH = "hush-hush"


class Strict(BaseModel):
    size: int


def parse() -> None:
    Strict.model_validate({"size": HUSH})


def chained() -> None:
    try:
        parse()
    except ValidationError as error:
        raise RuntimeError("the order cannot be read") from error


def repeated() -> None:
    try:
        parse()
    except ValidationError as error:
        raise RuntimeError(f"the order cannot be read: {error}") from error


def quoted() -> None:
    try:
        parse()
    except ValidationError as error:
        raise KeyError(str(error)) from error  # which shows the repr of its argument


def hidden() -> None:
    try:
        parse()
    except ValidationError as error:
        raise RuntimeError(f"the order cannot be read: {error}") from None


def given_up() -> None:
    try:
        parse()
    except ValidationError as error:
        raise GiveUp(str(error)) from error


def grouped() -> None:
    errors: list[Exception] = []
    for fail in (parse, chained, repeated):
        try:
            fail()
        except Exception as error:
            errors.append(error)
    raise ExceptionGroup("several", [ExceptionGroup("nested", errors), OSError("no room")])


def twice_removed() -> None:
    try:
        grouped()
    except ExceptionGroup as group:
        raise RuntimeError("the shop") from group


def noted() -> None:
    try:
        parse()
    except ValidationError as error:
        error.add_note(f"the order was {HUSH}")
        raise


@pytest.mark.parametrize(
    "fail",
    [parse, chained, repeated, quoted, hidden, given_up, grouped, twice_removed, noted],
    ids=lambda each: each.__name__,
)
async def test_what_pydantic_would_quote_of_the_body_is_nowhere(
    fail: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    handler = Handler("handler", lambda event: fail(), Event)
    caplog.set_level(logging.DEBUG)
    error = await run(lambda: handler.call(UnknownEvent(event="an event"), None, 1))  # type: ignore[arg-type]
    assert error is not None
    log = AttemptLog(lambda: NOW)
    for attempt in (1, 2):
        log.add(error, "d-1", handler.name, attempt)
    records = [str(vars(record)) for record in caplog.records]
    for text in (caplog.text, summary(error), message(error), frames(error), *records):
        assert HUSH not in text
    assert "Input should be a valid integer" in summary(error) + frames(error)
    assert fail.__name__ in frames(error)


def test_an_error_of_another_kind_is_told_in_its_own_words() -> None:
    assert summary(OSError("no room")) == "OSError: no room"
    assert summary(OSError()) == "OSError"
    assert message(OSError("no room")) == "no room"
