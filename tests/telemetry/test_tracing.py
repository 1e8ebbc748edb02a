"""The spans of receipts and attempts, and how they belong together."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from opentelemetry.semconv._incubating.attributes import messaging_attributes as messaging
from opentelemetry.semconv.attributes import error_attributes, http_attributes
from opentelemetry.semconv.schemas import Schemas
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode, TraceFlags, TraceState
from pydantic import BaseModel

from tests.helpers import NOW, SECRET, signed
from tests.telemetry.collecting import collecting
from tests.working import AT_ONCE, Faulty, about, deliver, durable, settled, until
from webhook_receiver import (
    ApiError,
    Attempt,
    CallNext,
    Changes,
    Event,
    Filter,
    GiveUp,
    InboxUnavailable,
    OrderFulfilled,
    Retry,
    SQLiteInbox,
    State,
    Unsigned,
    WebhookReceiver,
)
from webhook_receiver.inbox.records import MOST_CONTEXT
from webhook_receiver.telemetry import names
from webhook_receiver.telemetry.tracing import context_of, text_of

STRANGER = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{STRANGER}-00f067aa0ba902b7-01"


def told(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def ids(context: SpanContext | None) -> tuple[int, int]:
    assert context is not None
    return context.trace_id, context.span_id


async def test_a_delivery_is_one_trace_of_its_receipt_and_each_attempt() -> None:
    hooks, tries = durable(backoff=AT_ONCE), 0

    @hooks.on(OrderFulfilled, name="download")
    async def download(order: OrderFulfilled) -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise OSError(f"try {tries}")

    with collecting() as collected:
        async with hooks:
            id = await deliver(hooks)
            await settled(hooks, id)
    (receipt,), attempts = collected.named("receive"), collected.named("process")
    assert (receipt.name, receipt.kind, receipt.parent) == ("receive up42", SpanKind.SERVER, None)
    assert told(receipt) == {
        "messaging.system": "webhook_receiver",
        "messaging.operation.name": "receive",
        "messaging.operation.type": "receive",
        "messaging.destination.name": "up42",
        "messaging.message.id": id,
        "http.response.status_code": 202,
        "webhook_receiver.event": "order.status",
    }
    assert [(span.name, span.kind) for span in attempts] == [("process up42", SpanKind.CONSUMER)] * 3
    assert [span.status.status_code for span in attempts] == [StatusCode.ERROR] * 2 + [StatusCode.UNSET]
    assert told(attempts[1]) == {
        "messaging.system": "webhook_receiver",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "up42",
        "messaging.message.id": id,
        "webhook_receiver.handler": "download",
        "webhook_receiver.attempt": 2,
        "error.type": "OSError",
    }
    (event,) = attempts[1].events
    assert event.attributes is not None
    assert "in download" in str(event.attributes["exception.stacktrace"])
    for span in attempts:
        assert ids(span.parent) == ids(receipt.context)
        assert [ids(link.context) for link in span.links] == [ids(receipt.context)]
        assert (span.start_time or 0) >= (receipt.start_time or 0)


def test_names_are_those_of_the_semantic_conventions() -> None:
    assert (names.SYSTEM, names.OPERATION) == (messaging.MESSAGING_SYSTEM, messaging.MESSAGING_OPERATION_NAME)
    assert (names.OPERATION_TYPE, names.MESSAGE) == (
        messaging.MESSAGING_OPERATION_TYPE,
        messaging.MESSAGING_MESSAGE_ID,
    )
    assert names.DESTINATION == messaging.MESSAGING_DESTINATION_NAME
    assert names.DOCUMENTS == messaging.MESSAGING_BATCH_MESSAGE_COUNT
    assert {"receive", "process", "send"} <= {each.value for each in messaging.MessagingOperationTypeValues}
    assert names.ERROR == error_attributes.ERROR_TYPE
    assert error_attributes.ErrorTypeValues.OTHER.value == names.OTHER
    assert names.STATUS == http_attributes.HTTP_RESPONSE_STATUS_CODE
    assert Schemas.V1_44_0.value == names.SCHEMA


async def test_an_attempt_in_another_process_days_later_belongs_to_the_same_trace(tmp_path: Path) -> None:
    path = tmp_path / "hooks.db"
    with collecting() as collected:
        async with durable(SQLiteInbox(path), work=False) as hooks:
            id = await deliver(hooks)
    (receipt,) = collected.spans
    later = durable(SQLiteInbox(path))

    @later.on(Event, name="handler")
    def handler(event: Event) -> None:
        trace.get_tracer_provider().get_tracer("mine").start_span("inside").end()

    with collecting() as collected:
        async with later:
            await settled(later, id)
    inside, attempt = collected.spans
    assert ids(attempt.parent) == ids(receipt.context)
    assert ids(inside.parent) == ids(attempt.context)


async def test_what_a_sender_says_of_its_trace_is_a_link_and_decides_nothing() -> None:
    hooks = WebhookReceiver(secret=SECRET, inbox="memory://", clock=lambda: NOW, work=False)
    unsampled = TRACEPARENT[:-1] + "0"
    with collecting() as collected:
        async with hooks:
            for number, value in enumerate((TRACEPARENT, unsampled)):
                said = {"traceparent": value, "tracestate": "vendor=1"}
                receipt = await hooks.receive(signed(about(number), headers=said), about(number))
                assert receipt.delivery is not None
                assert receipt.delivery.context is not None
                assert STRANGER not in receipt.delivery.context
    assert len(collected.spans) == 2
    for span in collected.spans:
        assert span.parent is None
        (link,) = span.links
        assert f"{link.context.trace_id:032x}" == STRANGER
        assert link.context.trace_state.to_header() == "vendor=1"


async def test_of_a_request_that_is_not_verified_nothing_is_read() -> None:
    hooks = WebhookReceiver(secret=SECRET, inbox="memory://", clock=lambda: NOW, work=False)
    with collecting() as collected:
        async with hooks:
            await hooks.receive({"traceparent": TRACEPARENT}, about())
            await hooks.receive(signed(about(), secret="another", headers={"traceparent": TRACEPARENT}), about())
            await hooks.receive({"traceparent": TRACEPARENT}, about(), method="PUT")
    assert [told(span)["error.type"] for span in collected.spans] == [
        "MissingSignature",
        "BadSignature",
        "MethodNotAllowed",
    ]
    for span in collected.spans:
        assert (span.parent, list(span.links), span.status.status_code) == (None, [], StatusCode.UNSET)


@pytest.mark.parametrize(
    "said",
    [
        ["nonsense"],
        ["00-" + "0" * 32 + "-00f067aa0ba902b7-01"],
        ["ff-" + TRACEPARENT[3:]],
        [TRACEPARENT, TRACEPARENT],
        ["\xff" * 3000],
        [""],
    ],
)
async def test_a_wrong_traceparent_is_no_link(said: list[str]) -> None:
    hooks = WebhookReceiver(scheme=Unsigned(), inbox="memory://", clock=lambda: NOW, work=False)
    with collecting() as collected:
        async with hooks:
            await hooks.receive([("traceparent", each) for each in said], about())
    (span,) = collected.spans
    assert list(span.links) == []


async def test_what_is_not_sampled_at_the_receipt_has_no_attempt_either() -> None:
    hooks = durable()
    hooks.on(Event, name="handler")(lambda event: None)
    with collecting(ParentBased(ALWAYS_OFF)) as collected:
        async with hooks:
            stored = await settled(hooks, await deliver(hooks))
    assert collected.spans == ()
    context = context_of(stored.delivery.context)
    assert context is not None
    assert not context.trace_flags.sampled


async def test_without_an_inbox_the_attempt_is_inside_of_the_receipt() -> None:
    hooks = WebhookReceiver(scheme=Unsigned(), clock=lambda: NOW)
    hooks.on(Event, name="handler")(lambda event: None)
    with collecting() as collected:
        assert (await hooks.receive({}, about())).response.status == 204
    attempt, receipt = collected.spans
    assert (attempt.name, receipt.name) == ("process up42", "receive up42")
    assert ids(attempt.parent) == ids(receipt.context)


async def test_a_traceback_begins_with_the_code_of_the_user(caplog: pytest.LogCaptureFixture) -> None:
    hooks = WebhookReceiver(scheme=Unsigned())

    @hooks.fallback
    async def fails(event: Event) -> None:
        raise OSError("no room")

    with collecting():
        await deliver(hooks, status=500)
    (line, *_) = [line for line in caplog.text.splitlines() if line.strip().startswith("File ")]
    assert line.endswith("in fails")


async def test_inside_of_a_span_of_the_host_the_receipt_is_a_part_of_it() -> None:
    hooks = WebhookReceiver(scheme=Unsigned(), clock=lambda: NOW)
    with collecting() as collected, collected.tracers.get_tracer("host").start_as_current_span("POST /webhooks"):
        await hooks.receive({}, about())
    receipt, host = collected.spans
    assert (ids(receipt.parent), receipt.kind) == (ids(host.context), SpanKind.INTERNAL)


async def test_what_is_around_the_start_has_nothing_to_do_with_attempts() -> None:
    hooks = durable()
    hooks.on(Event, name="handler")(lambda event: None)
    with collecting() as collected:
        with collected.tracers.get_tracer("host").start_as_current_span("startup"):
            await hooks.__aenter__()
        hooks.runtime.telemetry = None  # so that the delivery has no context
        id = await deliver(hooks)
        await settled(hooks, id)
        await hooks.__aexit__(None, None, None)
    (attempt,) = collected.named("process")
    assert (attempt.parent, list(attempt.links)) == (None, [])


async def test_middleware_of_the_user_runs_inside_of_the_span() -> None:
    hooks = durable()
    hooks.on(Event, name="handler")(lambda event: None)

    @hooks.middleware
    async def inside(attempt: Attempt, call_next: CallNext) -> None:
        with trace.get_tracer_provider().get_tracer("mine").start_as_current_span("inside"):
            await call_next()

    with collecting() as collected:
        async with hooks:
            await settled(hooks, await deliver(hooks))
    (inner,), (attempt,) = collected.named("inside"), collected.named("process")
    assert ids(inner.parent) == ids(attempt.context)


async def test_giving_up_is_a_failure_and_retry_is_none_and_a_dead_letter_handler_has_a_span() -> None:
    hooks = durable(backoff=AT_ONCE)

    @hooks.on(Event, name="later")
    def later(event: Event, attempt: Attempt) -> None:
        if attempt.number == 1:
            raise Retry(after=0)

    @hooks.on(Event, name="never")
    def never(event: Event) -> None:
        raise GiveUp("of no use")

    @hooks.on_dead
    def tell(delivery: object, attempts: object) -> None:
        pass

    with collecting() as collected:
        async with hooks:
            await settled(hooks, await deliver(hooks), State.DEAD)
            await asyncio.sleep(0)
    found = {
        (told(span)["webhook_receiver.handler"], told(span).get("error.type"), span.status.status_code)
        for span in collected.named("process")
    }
    assert {("later", "Retry", StatusCode.UNSET), ("never", "GiveUp", StatusCode.ERROR)} <= found
    assert ("later", None, StatusCode.UNSET) in found


class Card(BaseModel):
    number: int


def fail(kind: str, value: str) -> None:
    if kind == "ValidationError":
        Card.model_validate({"number": value})  # whose error quotes it
    if kind == "KeyError":
        dict[str, int]()[value]
    if kind == "ValueError":
        int(value)
    if kind == "GiveUp":
        raise GiveUp(f"give {value}")
    error = OSError("cannot take")
    error.add_note(value)
    try:
        raise RuntimeError(value)
    except RuntimeError:
        raise error from ExceptionGroup("all", [LookupError(value)])


@pytest.mark.parametrize("kind", ["ValidationError", "KeyError", "ValueError", "GiveUp", "OSError"])
async def test_nothing_of_a_body_or_a_secret_is_in_a_span(kind: str) -> None:
    hooks = WebhookReceiver(secret=SECRET, inbox="memory://", clock=lambda: NOW, worker=durable().runtime.options)

    @hooks.on(OrderFulfilled, name="handler")
    async def handler(order: OrderFulfilled) -> None:
        fail(kind, str(order.order_id))

    body = about("4111-1111-1111-1111")
    with collecting() as collected:
        async with hooks:
            receipt = await hooks.receive(signed(body), body)
            assert receipt.delivery is not None
            await hooks.receive(signed(body, secret="wrong"), body)
            await until(lambda: len(collected.named("process")) == 1)
    (attempt,) = collected.named("process")
    assert told(attempt)["error.type"] == kind
    assert f"{kind} at {__file__}:" in str(attempt.status.description) or kind == "ValidationError"
    for event in attempt.events:  # none of a GiveUp
        assert event.attributes is not None
        assert "in fail" in str(event.attributes["exception.stacktrace"])
    everything = "".join(span.to_json() for span in collected.spans)
    for secret in ("4111-1111", SECRET, dict(signed(body))[b"signature"].decode()):
        assert secret not in everything


async def test_an_inbox_that_fails_is_told_by_the_span_of_the_receipt() -> None:
    inbox = Faulty()
    hooks = durable(inbox, work=False)
    with collecting() as collected:
        async with hooks:
            inbox.faults["put"] = InboxUnavailable("the disk is full")
            assert (await hooks.receive({}, about())).response.status == 503
    (span,) = collected.spans
    assert (told(span)["error.type"], span.status.status_code) == ("InboxUnavailable", StatusCode.ERROR)


# Polls


def polling(*pages: Changes | Exception) -> WebhookReceiver:
    """Return a receiver that polls a source of these pages, and handles what it tells."""
    left = [*pages]

    async def listing(cursor: str | None) -> Changes:
        trace.get_tracer_provider().get_tracer("mine").start_span("GET /orders").end()
        page = left.pop(0)
        if isinstance(page, Exception):
            raise page
        return page

    hooks = durable()
    hooks.on(Event, name="handler")(lambda event: None)
    hooks.poll_every(3600, listing)
    return hooks


async def test_each_page_of_a_poll_is_a_span_to_which_its_attempts_belong() -> None:
    hooks = polling(
        Changes([about("o-1"), about("o-2")], "1", more=True), Changes([about("o-2"), about("o-3")], "2", more=False)
    )
    with collecting() as collected:
        async with hooks:
            await until(lambda: len(collected.named("process")) == 3)
    first, second = collected.named("poll")
    assert (first.name, first.kind, first.parent) == ("poll up42", SpanKind.CLIENT, None)
    assert told(first) == {
        "messaging.system": "webhook_receiver",
        "messaging.operation.name": "poll",
        "messaging.operation.type": "receive",
        "messaging.destination.name": "up42",
        "webhook_receiver.source": "listing",
        "messaging.batch.message_count": 2,
        "webhook_receiver.stored": 2,
        "webhook_receiver.known": 0,
    }
    assert (told(second)["webhook_receiver.stored"], told(second)["webhook_receiver.known"]) == (1, 1)
    pages = [ids(span.context) for span in (first, second)]
    assert [ids(span.parent) for span in collected.named("GET")] == pages
    attempts = collected.named("process")
    assert sorted(ids(span.parent) for span in attempts) == sorted([pages[0], pages[0], pages[1]])
    for span in attempts:
        assert [ids(link.context) for link in span.links] == [ids(span.parent)]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ApiError("the API is full"), "the API is full"),
        (OSError("GET /?key=s3cret"), r"OSError at .*test_tracing.py:\d+"),
    ],
)
async def test_a_poll_that_fails_tells_why_and_no_message_of_others(error: Exception, said: str) -> None:
    hooks = polling(error)
    with collecting() as collected:
        async with hooks:
            await until(lambda: len(collected.named("poll")) == 1)
    (span,) = collected.named("poll")
    assert (told(span)["error.type"], span.status.status_code) == (type(error).__name__, StatusCode.ERROR)
    assert re.fullmatch(said, span.status.description or "")
    assert "s3cret" not in span.to_json()


async def test_a_poll_is_a_part_of_a_span_around_it_unless_that_has_ended() -> None:
    hooks = polling(Changes([], "1", more=False), Changes([], "2", more=False))
    with collecting() as collected:
        tracer = collected.tracers.get_tracer("host")
        startup = tracer.start_span("startup")
        with trace.use_span(startup):
            startup.end()
            await hooks.__aenter__()
        await until(lambda: len(collected.named("poll")) == 1)
        with tracer.start_as_current_span("by hand") as by_hand:
            assert await hooks.pollers[0].poll(early=True) is not None
        await hooks.__aexit__(None, None, None)
    alone, inside = collected.named("poll")
    assert alone.parent is None
    assert ids(inside.parent) == ids(by_hand.get_span_context())


async def test_what_is_not_sampled_at_the_poll_has_no_attempt_either() -> None:
    hooks = polling(Changes([about("o-1")], "1", more=False))
    with collecting(ParentBased(ALWAYS_OFF)) as collected:
        async with hooks:
            await until(lambda: hooks.runtime.polled["stored listing"] == 1)
            (summary,) = await hooks.inbox.find(Filter())
            stored = await settled(hooks, summary.id)
    assert collected.spans == ()
    context = context_of(stored.delivery.context)
    assert context is not None
    assert not context.trace_flags.sampled


contexts = st.builds(
    SpanContext,
    st.integers(1, 2**128 - 1),
    st.integers(1, 2**64 - 1),
    st.just(True),
    st.integers(0, 255).map(TraceFlags),
    st.sampled_from([TraceState(), TraceState([("a", "1"), ("b", "x y")])]),
)


@given(contexts)
def test_a_context_is_the_same_after_it_was_kept(context: SpanContext) -> None:
    text = text_of(NonRecordingSpan(context))
    assert text is not None
    assert len(text) <= MOST_CONTEXT
    assert context_of(text) == context


@given(st.text(max_size=80) | st.from_regex(r"00-[0-9a-f]{1,33}-[0-9a-f]{1,17}-[0-9a-f]{1,3}", fullmatch=True))
def test_any_other_text_is_no_context_or_a_valid_one(text: str) -> None:
    found = context_of(text)
    assert found is None or found.is_valid


def test_a_state_that_is_too_long_is_left_out() -> None:
    state = TraceState([(f"key{number}", "v" * 250) for number in range(5)])
    context = SpanContext(1, 2, True, TraceFlags(1), state)
    assert text_of(NonRecordingSpan(context)) == f"00-{1:032x}-{2:016x}-01"


def test_a_span_that_is_none_has_no_text() -> None:
    assert text_of(trace.INVALID_SPAN) is None
    assert context_of(None) is None
