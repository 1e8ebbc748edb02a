"""What OpenTelemetry raises, by a sampler, a span processor or a view of the user's, is of no consequence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import ExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import Sampler
from opentelemetry.trace import INVALID_SPAN, NonRecordingSpan, SpanContext

from tests.helpers import NOW, SECRET, signed
from tests.odd_errors import ODD, caught
from tests.telemetry.collecting import Collected, collecting
from tests.working import AT_ONCE, about, deliver, durable, settled, until
from webhook_receiver import Changes, Event, State, Unsigned, WebhookReceiver
from webhook_receiver.telemetry.guard import Guard, Inside
from webhook_receiver.telemetry.tracing import tell_error


class AtStart(SpanProcessor):
    def on_start(self, *_: Any, **__: Any) -> NoReturn:
        raise OSError("at the start")


class AtEnd(SpanProcessor):
    def on_end(self, span: ReadableSpan) -> NoReturn:
        raise OSError("at the end")


class Choice(Sampler):
    def should_sample(self, *_: Any, **__: Any) -> NoReturn:
        raise OSError("no choice")

    def get_description(self) -> str:
        return "none"


class Exemplars(ExemplarFilter):
    def should_sample(self, *_: Any, **__: Any) -> NoReturn:
        raise OSError("no exemplar")


def _processor(processor: SpanProcessor) -> Callable[[Collected], None]:
    return lambda collected: collected.tracers.add_span_processor(processor)


def _sampler(collected: Collected) -> None:
    collected.tracers.sampler = Choice()


def _exemplars(collected: Collected) -> None:
    collected.meters.shutdown()
    collected.meters = MeterProvider([InMemoryMetricReader()], exemplar_filter=Exemplars())


FAULTS: Mapping[str, Callable[[Collected], None]] = {
    "start": _processor(AtStart()),
    "end": _processor(AtEnd()),
    "sampler": _sampler,
    "metrics": _exemplars,
}
faulty = pytest.mark.parametrize("break_it", FAULTS.values(), ids=FAULTS)


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The failures of OpenTelemetry that were logged, each by the last line of its traceback."""
    return [
        str(record.exc_info[1])
        for record in caplog.records
        if record.getMessage().startswith("OpenTelemetry failed") and record.exc_info
    ]


@faulty
async def test_with_an_inbox_each_delivery_is_handled_once_and_the_failure_is_logged_once(
    break_it: Callable[[Collected], None], caplog: pytest.LogCaptureFixture
) -> None:
    hooks, ran = durable(backoff=AT_ONCE), list[Event]()
    hooks.on(Event, name="handler")(ran.append)
    with collecting() as collected:
        break_it(collected)
        async with hooks:
            for number in range(3):
                await settled(hooks, await deliver(hooks, about(number)))
    assert len(ran) == 3
    assert len(told(caplog)) == 1


@faulty
async def test_without_an_inbox_the_answer_is_that_of_the_handlers(break_it: Callable[[Collected], None]) -> None:
    hooks, ran = WebhookReceiver(scheme=Unsigned(), clock=lambda: NOW), list[str]()

    @hooks.on(Event, name="handler")
    async def handler(event: Event) -> None:
        ran.append(event.event)
        if len(ran) > 1:
            raise ValueError("odd")

    with collecting() as collected:
        break_it(collected)
        assert (await hooks.receive({}, about())).response.status == 204
        assert (await hooks.receive({}, about())).response.status == 500
    assert len(ran) == 2


@faulty
async def test_a_handler_that_fails_has_failed_with_its_own_error(break_it: Callable[[Collected], None]) -> None:
    hooks = durable(backoff=AT_ONCE)

    @hooks.on(Event, name="handler")
    async def handler(event: Event) -> None:
        raise ValueError("odd")

    with collecting() as collected:
        break_it(collected)
        async with hooks:
            kept = await settled(hooks, await deliver(hooks), State.DEAD)
    assert [each.error for each in kept.attempts] == ["ValueError: odd"] * 3


@faulty
async def test_what_is_rejected_stays_so(break_it: Callable[[Collected], None]) -> None:
    hooks = WebhookReceiver(secret=SECRET, inbox="memory://", clock=lambda: NOW, work=False)
    with collecting() as collected:
        break_it(collected)
        async with hooks:
            assert (await hooks.receive({}, about())).response.status == 401
            assert (await hooks.receive(signed(about()), about())).response.status == 202
    assert hooks.rejected == {"MissingSignature": 1}


@faulty
async def test_a_page_of_a_poll_is_stored(break_it: Callable[[Collected], None]) -> None:
    hooks = durable(work=False)

    async def listing(cursor: str | None) -> Changes:
        return Changes([about("o-1")], "1", more=False)

    hooks.poll_every(3600, listing)
    with collecting() as collected:
        break_it(collected)
        async with hooks:
            await until(lambda: hooks.runtime.polled["stored listing"] == 1)
    assert hooks.runtime.polled["failed listing"] == 0


@faulty
async def test_the_span_of_the_host_is_the_current_one_again(break_it: Callable[[Collected], None]) -> None:
    host = NonRecordingSpan(SpanContext(1, 2, is_remote=False))
    hooks = WebhookReceiver(scheme=Unsigned(), clock=lambda: NOW)
    hooks.on(Event, name="handler")(lambda event: None)
    with collecting() as collected:
        break_it(collected)
        with trace.use_span(host):
            await deliver(hooks, status=204)
            assert trace.get_current_span() is host
        assert trace.get_current_span() is INVALID_SPAN


async def test_a_receiver_starts_whose_provider_has_no_tracer(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> NoReturn:
        raise OSError("no tracer")

    monkeypatch.setattr(TracerProvider, "get_tracer", fail)
    hooks = durable()
    hooks.on(Event, name="handler")(lambda event: None)
    with collecting() as collected:
        async with hooks:
            await settled(hooks, await deliver(hooks))
            assert collected.value("webhook_receiver.puts", result="stored") == 1
    assert told(caplog) == ["no tracer"]


@pytest.mark.parametrize("fail", ODD.values(), ids=ODD)
async def test_an_attempt_that_fails_with_an_odd_error_is_a_span_that_has_ended(fail: Callable[[], object]) -> None:
    hooks = durable(backoff=AT_ONCE)

    @hooks.on(Event, name="handler")
    async def handler(event: Event) -> None:
        fail()

    with collecting() as collected:
        async with hooks:
            kept = await settled(hooks, await deliver(hooks), State.DEAD)
    assert len(kept.attempts) == len(collected.named("process")) == 3


def test_a_failure_is_logged_once_for_its_class_and_place(caplog: pytest.LogCaptureFixture) -> None:
    guard = Guard()

    def fail(error: Exception) -> None:
        with guard:
            raise error

    def fail_elsewhere() -> None:
        with guard:
            raise OSError("elsewhere")

    for number in range(3):
        fail(OSError(f"error {number}"))
        fail_elsewhere()
    fail(ValueError("odd"))
    assert told(caplog) == ["error 0", "elsewhere", "odd"]


def test_a_bounded_number_of_failures_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    guard = Guard()
    for number in range(200):
        with guard:
            raise type(f"Error{number}", (Exception,), {})
    assert len(told(caplog)) == 100


@pytest.mark.parametrize("error", [asyncio.CancelledError(), KeyboardInterrupt(), SystemExit(3)])
def test_what_ends_a_task_or_the_process_is_let_through(error: BaseException) -> None:
    def guarded() -> None:
        with Guard():
            raise error

    assert caught(guarded) is error


class Span(NonRecordingSpan):
    """A span that cannot be told anything."""

    def __init__(self) -> None:
        super().__init__(SpanContext(1, 2, is_remote=False))
        self.has_ended = False

    def is_recording(self) -> NoReturn:
        raise OSError("not told")

    def get_span_context(self) -> NoReturn:
        raise OSError("no context")

    def end(self, end_time: int | None = None) -> None:
        self.has_ended = True


async def test_a_span_that_cannot_be_told_an_error_ends_and_the_error_goes_on() -> None:
    span, error = Span(), ValueError("odd")

    def failing() -> None:
        with Inside(Guard(), lambda: span, tell_error) as inside:
            assert trace.get_current_span() is span
            assert inside.text() is None
            raise error

    assert caught(failing) is error
    assert span.has_ended
    assert trace.get_current_span() is INVALID_SPAN
