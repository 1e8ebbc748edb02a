from __future__ import annotations

import functools
import json
import logging
import warnings
from collections.abc import Callable, Generator
from io import StringIO
from pathlib import Path
from typing import Literal

import pytest
from opentelemetry import trace

from tests.helpers import NOW, SECRET, order, signed
from tests.odd_errors import ODD, caught
from tests.working import AT_ONCE, Clock, deliver, durable, settled
from webhook_receiver import Event, State, WebhookReceiver
from webhook_receiver.logs import DeadLetterLog, JSONFormatter, LineLimit, fields

BODY = order()


def test_of_many_lines_within_a_minute_the_first_the_tenth_and_the_hundredth_are_written_with_a_count() -> None:
    limit = LineLimit(lambda: NOW)
    written = [(number, more) for number in range(1, 1002) if (more := limit.left_out("odd")) is not None]
    assert written == [
        (1, ""),
        (10, " (8 more since the last line)"),
        (100, " (89 more since the last line)"),
        (1000, " (899 more since the last line)"),
    ]


def test_after_a_minute_or_when_the_clock_is_set_back_the_next_line_is_written() -> None:
    clock = Clock()
    limit = LineLimit(clock)
    assert (limit.left_out("odd"), limit.left_out("odd")) == ("", None)
    assert limit.left_out("even") == ""
    clock.move(59.9)
    assert limit.left_out("odd") is None
    clock.move(0.1)
    assert limit.left_out("odd") == " (2 more since the last line)"
    clock.move(-3600)
    assert limit.left_out("odd") == ""


def test_ten_dead_letters_of_a_handler_are_told_each_by_itself(caplog: pytest.LogCaptureFixture) -> None:
    log = DeadLetterLog(lambda: NOW)
    for number in range(1, 101):
        log.add(f"d-{number}", "no room", "store", 34)
    log.add("d-101", "the body is no JSON object")
    *_, tenth, hundredth, other = caplog.records
    assert len(caplog.records) == 12
    assert tenth.getMessage() == "delivery d-10 is dead: no room"
    assert hundredth.getMessage() == "delivery d-100 is dead: no room (89 more since the last line)"
    assert vars(other) | fields(delivery_id="d-101", reason="the body is no JSON object") == vars(other)
    assert {record.levelname for record in caplog.records} == {"ERROR"}


async def test_every_record_has_the_fields_so_that_a_format_may_name_them() -> None:
    written = StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logging.Formatter("%(levelname)s %(delivery_id)s %(handler)s %(attempt)s %(reason)s"))
    logger = logging.getLogger("webhook_receiver")
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.INFO)
    try:
        hooks = durable()
        hooks.on("sized", name="store")(lambda event: None)
        async with hooks:
            id = await deliver(hooks, b'{"event": "sized"}')
            await settled(hooks, id)
            await hooks.receive({}, b"", method="GET")
        logger.warning("of anybody's")
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)
    assert written.getvalue().splitlines() == [
        f"INFO {id} None None None",
        "INFO None None None MethodNotAllowed",
        "WARNING None None None None",
    ]


@pytest.fixture
def disabled() -> Generator[None]:
    """The logger as logging.config leaves it, which disables whatever loggers are there already."""
    logger = logging.getLogger("webhook_receiver")
    logger.disabled = True
    yield
    logger.disabled = False


@pytest.mark.usefixtures("disabled")
@pytest.mark.parametrize("inbox", [None, "memory://"])
async def test_a_receiver_that_starts_with_a_disabled_logger_warns_of_that(inbox: str | None) -> None:
    hooks = WebhookReceiver(secret=SECRET, inbox=inbox)
    hooks.on(Event, name="handler")(print)
    with pytest.warns(RuntimeWarning, match="disable_existing_loggers=False"):
        async with hooks:
            pass


@pytest.mark.usefixtures("disabled")
async def test_a_receiver_that_nobody_starts_warns_with_its_first_delivery_whether_it_is_accepted_or_not() -> None:
    for headers, status in (((), 401), (signed(BODY), 202)):
        hooks = WebhookReceiver(secret=SECRET, inbox="memory://", clock=lambda: NOW)
        with pytest.warns(RuntimeWarning, match="is disabled: no line will say what is rejected, fails or dies"):
            assert (await hooks.receive(headers, BODY)).response.status == status
        await hooks.runtime.stop()


async def test_a_logger_that_is_disabled_later_is_told_with_the_next_line(disabled: None) -> None:
    logger = logging.getLogger("webhook_receiver")
    logger.disabled = False
    hooks = WebhookReceiver(secret=SECRET, inbox="memory://", clock=lambda: NOW)
    async with hooks:
        logger.disabled = True
        with pytest.warns(RuntimeWarning, match="is disabled"):
            await hooks.receive({}, BODY)
        with pytest.warns(RuntimeWarning, match="is disabled"):
            await hooks.receive(signed(b"[]"), b"[]")


@pytest.mark.usefixtures("disabled")
async def test_a_rejected_delivery_is_answered_also_where_warnings_are_errors() -> None:
    with warnings.catch_warnings(action="error"):
        assert (await WebhookReceiver(secret=SECRET).receive({}, BODY)).response.status == 401


async def test_a_receiver_whose_logger_is_on_warns_of_nothing() -> None:
    hooks = WebhookReceiver(secret=SECRET)
    hooks.on(Event, name="handler")(print)
    with warnings.catch_warnings(action="error"):
        async with hooks:
            await hooks.receive({}, BODY)


async def test_a_delivery_that_dies_after_its_last_attempt_is_an_error_with_its_fields(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hooks = durable(backoff=AT_ONCE)

    @hooks.on(Event, name="store")
    def store(event: Event) -> None:
        raise OSError("no room")

    async with hooks:
        id = await deliver(hooks)
        await settled(hooks, id, State.DEAD)
    (dead,) = [record for record in caplog.records if "is dead" in record.getMessage()]
    assert (dead.levelname, dead.getMessage()) == ("ERROR", f"delivery {id} is dead: store: OSError: no room")
    assert vars(dead) | fields(delivery_id=id, handler="store", attempt=3, reason="store: OSError: no room") == vars(
        dead
    )
    failed = [record for record in caplog.records if "store failed" in record.getMessage()]
    assert [vars(record)["attempt"] for record in failed] == [1, 2, 3]
    assert {vars(record)["reason"] for record in failed} == {"OSError: no room"}


async def test_a_delivery_that_dies_while_it_is_parsed_on_claim_is_an_error(caplog: pytest.LogCaptureFixture) -> None:
    hooks, broken = durable(work=False), False

    class Sized(Event, frozen=True):
        event: Literal["sized"]

        def model_post_init(self, context: object) -> None:
            if broken:
                raise RuntimeError("the code of today")

    hooks.on(Sized, name="handler")(print)
    async with hooks:
        id = await deliver(hooks, b'{"event": "sized"}')
        broken = True
        hooks.set_to_work()
        await hooks.runtime.start()
        kept = await settled(hooks, id, State.DEAD)
        await hooks.runtime.stop()
    (dead,) = [record for record in caplog.records if "is dead" in record.getMessage()]
    assert (dead.levelname, vars(dead)["reason"], vars(dead)["handler"]) == ("ERROR", kept.summary.reason, None)


async def test_a_dead_letter_of_which_nobody_hears_is_an_error(caplog: pytest.LogCaptureFixture) -> None:
    hooks = durable(backoff=AT_ONCE)

    @hooks.on_dead
    def tell(delivery: object, attempts: object) -> None:
        raise ConnectionError("no mail")

    async with hooks:
        id = await deliver(hooks, b"[]")
        await settled(hooks, id, State.DEAD)
    told = [record for record in caplog.records if record.getMessage().startswith(f"delivery {id} is dead")]
    assert [record.levelname for record in told] == ["ERROR", "ERROR"]
    assert "tell has failed for good" in told[1].getMessage()
    assert vars(told[1])["attempt"] == 3


async def test_what_rejects_deliveries_is_a_warning_with_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    hooks = WebhookReceiver(secret=SECRET, max_body=100, clock=lambda: NOW)
    for headers, body in (
        ({}, BODY),
        (signed(BODY, headers={"content-encoding": "gzip"}), BODY),
        (signed(b" " * 101), b" " * 101),
        (signed(BODY, headers={"content-length": "9"}), b""),
        (signed(b"[]"), b"[]"),
    ):
        await hooks.receive(headers, body)
    reasons = ["MissingSignature", "UnsupportedEncoding", "BodyTooLarge", "BodyIncomplete", "NotAnEvent"]
    assert [(record.levelname, vars(record)["reason"]) for record in caplog.records] == [
        ("WARNING", reason) for reason in reasons
    ]
    assert hooks.rejected == dict.fromkeys(reasons, 1)


def as_json(record: logging.LogRecord) -> dict[str, object]:
    line = JSONFormatter().format(record)
    assert "\n" not in line
    found: dict[str, object] = json.loads(line)
    return found


def record_of(message: str, *arguments: object, **more: object) -> logging.LogRecord:
    record = logging.LogRecord("webhook_receiver", logging.ERROR, __file__, 1, message, arguments, None)
    record.created = NOW
    vars(record).update(more)
    return record


def test_a_line_of_json_has_what_the_record_carries() -> None:
    extra = fields(delivery_id="d-1", handler="app:download", attempt=2, reason="OSError: away")
    assert as_json(record_of("delivery %s:\n%s", "d-1", "failed", **extra)) == {
        "timestamp": "2025-12-11T06:03:32.000+00:00",
        "level": "ERROR",
        "logger": "webhook_receiver",
        "message": "delivery d-1:\nfailed",
        "delivery_id": "d-1",
        "handler": "app:download",
        "attempt": 2,
        "reason": "OSError: away",
    }
    assert as_json(record_of("plain", **fields(reason="silence"))).keys() == {
        *("timestamp", "level", "logger", "message", "reason")
    }


def test_a_line_of_json_takes_any_value_and_any_text() -> None:
    path, odd = Path("/somewhere"), 'a "quote", \ud800 and \u2028'
    found = as_json(record_of(odd, path=path, color_message="\x1b[1m", nothing=None))
    assert (found["message"], found["path"]) == (odd.replace("\ud800", "?"), "/somewhere")
    face = "\N{GRINNING FACE}"
    assert as_json(record_of(f"{face} {face[:1]}\udc00", odd={"\udfff": face})) | {"odd": {"?": face}} == as_json(
        record_of(f"{face} {face}?", odd={"?": face})
    )
    assert not {"color_message", "nothing"} & found.keys()


class Unwritable:
    def __repr__(self) -> str:
        raise OSError("no")


CIRCLE: dict[str, object] = {}
CIRCLE["self"] = CIRCLE
DEEP = functools.reduce(lambda inside, _: [inside], range(100_000), list[object]())


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (float("nan"), "nan"),
        ({"share": float("inf")}, "{'share': inf}"),
        (CIRCLE, "{'self': {...}}"),
        ({(1, 2): 3}, "{(1, 2): 3}"),
        (Unwritable(), "(Unwritable, which cannot be written: OSError)"),
        ([Unwritable()], ["(Unwritable, which cannot be written: OSError)"]),
        ({Unwritable(): 1}, "(dict, which cannot be written: OSError)"),
        (DEEP, "(list, which cannot be written: RecursionError)"),
        (10**5000, "(int, which cannot be written: ValueError)"),
    ],
    ids=["NaN", "infinity", "circle", "tuple", "object", "objects", "key", "deep", "large"],
)
def test_a_line_of_json_takes_what_json_has_no_form_for(value: object, written: object) -> None:
    found = as_json(record_of("odd", value=value, other=[1]))
    assert (found["message"], found["value"], found["other"]) == ("odd", written, [1])


@pytest.mark.parametrize("value", [Unwritable(), "x"], ids=["object", "text"])
def test_a_line_of_json_is_written_whose_arguments_do_not_fit(value: object) -> None:
    found = as_json(record_of("%d of %s", value))
    assert str(found["message"]).startswith("%d of %s (its arguments cannot be filled in: ")


def test_a_field_of_the_users_replaces_none_of_the_lines_own() -> None:
    own = ("timestamp", "level", "logger", "exception", "stack")
    found = as_json(record_of("mine", **dict.fromkeys(own, "user's")))
    assert (found["level"], found["logger"], "exception" in found, "stack" in found) == (
        *("ERROR", "webhook_receiver"),
        *(False, False),
    )
    assert [found[f"{name}_"] for name in own] == ["user's"] * 5


def test_a_line_of_json_has_the_traceback_of_an_error() -> None:
    try:
        raise OSError("away")
    except OSError as error:
        record = record_of("it failed", exc_info=(type(error), error, error.__traceback__))
    told = as_json(record)["exception"]
    assert isinstance(told, str)
    assert told.startswith("Traceback (most recent call last)")
    assert told.endswith("OSError: away")


@pytest.mark.parametrize("fail", ODD.values(), ids=ODD)
def test_a_line_of_json_has_the_class_of_an_error_that_is_odd(fail: Callable[[], object]) -> None:
    error = caught(fail)
    record = record_of("it failed", exc_info=(type(error), error, None))
    assert type(error).__name__ in str(as_json(record)["exception"])


def test_a_line_of_json_inside_of_a_span_says_of_which() -> None:
    span = trace.NonRecordingSpan(trace.SpanContext(0xABC, 0xDEF, is_remote=False))
    with trace.use_span(span):
        found = as_json(record_of("inside"))
    assert (found["trace_id"], found["span_id"]) == (f"{0xABC:032x}", f"{0xDEF:016x}")
    assert "trace_id" not in as_json(record_of("outside"))
