"""What is said of an error holds nothing of a body, however the error that quotes it is wrapped."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from tests.helpers import NOW
from tests.odd_errors import ODD, caught
from webhook_receiver import Delivery, Event, GiveUp, UnknownEvent
from webhook_receiver.logs import log_failure
from webhook_receiver.redaction import frames, message, place_of, places, summary
from webhook_receiver.routing import Handler
from webhook_receiver.worker.attempt import run
from webhook_receiver.worker.attempt_log import AttemptLog

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


def invalid() -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        parse()
    return caught.value


def listed() -> None:
    try:
        parse()
    except ValidationError as error:
        raise ValueError(f"bad: {error.errors()}") from error


def as_json() -> None:
    try:
        parse()
    except ValidationError as error:
        raise ValueError(error.json()) from error


def on_one_line() -> None:
    try:
        parse()
    except ValidationError as error:
        raise ValueError(str(error).replace("\n", "; ")) from error


def value_alone() -> None:
    try:
        parse()
    except ValidationError as error:
        raise ValueError(*[detail["input"] for detail in error.errors()]) from error


def before_it() -> None:
    try:
        raise LookupError(f"no size {HUSH}")
    except LookupError:
        parse()


class Wrapped(Exception):
    def __init__(self, error: ValidationError, *args: object) -> None:
        super().__init__(*args)
        self.error = error


def argument() -> None:
    raise RuntimeError("the order cannot be read", [invalid()])


def attribute() -> None:
    raise Wrapped(invalid(), f"no size {HUSH}")


def note_alone() -> None:
    error = RuntimeError("the order cannot be read")
    error.add_note(str(invalid()))
    raise error


def text_alone() -> None:
    raise RuntimeError(f"the order cannot be read: {invalid().errors()}")


DELIVERY = Delivery("d-1", "up42", (), b"{}", NOW, None, True)


@pytest.mark.parametrize(
    "fail",
    [
        *(parse, chained, repeated, quoted, hidden, given_up, grouped, twice_removed, noted),
        *(listed, as_json, on_one_line, value_alone, before_it, argument, attribute),
    ],
    ids=lambda each: each.__name__,
)
async def test_what_pydantic_would_quote_of_the_body_is_nowhere(
    fail: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    handler = Handler("handler", lambda event: fail(), Event)
    caplog.set_level(logging.DEBUG)
    error = await run(lambda: handler.call(UnknownEvent(event="an event"), DELIVERY, 1))
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


@pytest.mark.parametrize("fail", [note_alone, text_alone], ids=lambda each: each.__name__)
def test_what_pydantic_quotes_is_known_by_its_words_where_its_error_is_gone(
    fail: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(RuntimeError) as caught:
        fail()
    log_failure("a delivery", caught.value)
    records = [str(vars(record)) for record in caplog.records]
    assert not any(HUSH in text for text in (caplog.text, summary(caught.value), *records))
    assert fail.__name__ in caplog.text


class Order(BaseModel):
    size: int
    color: str


LONG = "a-card-number-" * 9


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"size": 1, "name": "Müller-Lüdenscheidt"}, "no Müller-Lüdenscheidt here"),
        ({"size": 1, "name": "Müller-Lüdenscheidt"}, r"no M\u00fcller-L\u00fcdenscheidt here"),
        ({"size": 1, "nested": [{"card": 4111_1111}]}, "no 41111111 here"),
        ({"size": LONG, "color": "red"}, "of a-card-number-a-card-num... here"),  # as pydantic cuts it
        ({"size": "n/a", "color": "red"}, "[{'type': 'int_parsing', 'input': 'n/a'}]"),  # too short to be told apart
        ({"size": "n/a", "color": "red"}, "x" * 6000),
        ({"size": 1, "name": "x"}, "{'size': 1, 'name': 'x'}"),
    ],
)
def test_a_message_that_may_repeat_a_value_of_the_body_is_left_out(document: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Order.model_validate(document)
    error = RuntimeError(said)
    error.__cause__ = caught.value
    assert summary(error) == "RuntimeError: (message left out: it may repeat the body)"
    error.args = ("the order of the shop cannot be read",)
    assert summary(error) == "RuntimeError: the order of the shop cannot be read"


def test_a_message_is_left_out_unread_where_much_would_be_to_look_through() -> None:
    with pytest.raises(ValidationError) as caught:
        Order.model_validate({"sizes": list(range(10_000, 20_000))})
    with pytest.raises(ValidationError) as many:
        TypeAdapter(list[Order]).validate_python([{}] * 40)
    for cause in (caught.value, many.value):
        for said in ("no room", f"no room: {cause}"):
            error = RuntimeError(said)
            error.__cause__ = cause
            assert summary(error) == "RuntimeError: (message left out: it may repeat the body)"


@pytest.mark.parametrize("fail", ODD.values(), ids=ODD)
def test_whatever_is_odd_about_an_error_it_is_told_by_its_class_at_least(
    fail: Callable[[], object], caplog: pytest.LogCaptureFixture
) -> None:
    error = caught(fail)
    name = type(error).__name__
    assert summary(error).startswith(name)
    assert isinstance(message(error), str)
    assert place_of(error).startswith(name)
    assert name in frames(error)
    assert name in places(error)
    log_failure("it failed", error)
    assert "it failed" in caplog.text
    assert name in caplog.text


@pytest.mark.parametrize("fail", ODD.values(), ids=ODD)
def test_nothing_of_the_body_is_told_of_an_odd_error_either(
    fail: Callable[[], object], caplog: pytest.LogCaptureFixture
) -> None:
    def both() -> None:
        try:
            parse()
        except ValidationError:
            fail()

    error = caught(both)
    log_failure("it failed", error)
    for text in (caplog.text, summary(error), message(error), frames(error), places(error), place_of(error)):
        assert HUSH not in text


def test_an_error_that_lets_nobody_set_its_attributes_has_the_frames_of_the_user_alone() -> None:
    error = caught(ODD["frozen"])
    assert frames(error).startswith("Traceback (most recent call last):")
    assert frames(error).endswith("tests.odd_errors.Frozen: 3\n")


@pytest.mark.parametrize("note", [f"input_value={HUSH}", [f"input_value={HUSH}"], (f"input_value={HUSH}",)])
def test_what_pydantic_quotes_is_known_in_notes_of_any_type(note: object) -> None:
    error = OSError("no room")
    error.__notes__ = note  # type: ignore[assignment]
    assert HUSH not in frames(error)
