"""The spans: of each receipt, each page of a poll and each attempt, and what links them across processes and machines.

A receipt has the kind SERVER: somebody waits for the answer; inside of a span of the host's it is INTERNAL. The text of
its context is kept with the delivery. Every attempt, in whatever process and however late, is its child, so that all of
a delivery is one trace, sampled as its receipt is; and it links to it, as the semantic conventions ask of a consumer.

A page of a poll has the kind CLIENT, and its deliveries belong to it as a pushed one belongs to its receipt. It is a
child of a span around it that has not ended, and else a trace of its own: polls go on long after what started them.

What a stranger sends decides nothing: the header `traceparent` is read only of a request that is verified, and becomes
a link of its receipt, never the parent, so that nobody else chooses what is sampled.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from opentelemetry.context import Context, get_current
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    Tracer,
    TraceState,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from ..delivery import Attempt, Headers
from ..errors import GiveUp, Retry, WebhookError
from ..inbox.records import MOST_CONTEXT
from ..redaction import place_of, places
from ..responses import Receipt
from . import names
from .polled_page import PolledPage

_PROPAGATOR: Final = TraceContextTextMapPropagator()
_NOTHING: Final = Context()
_LONGEST_TRACEBACK = 8000  # characters


class Tracing:
    """The spans of one receiver.

    Args:
        tracer: makes the spans.
        own_clock: whether the receiver has another clock than the system's, by which no span begins.
    """

    def __init__(self, tracer: Tracer, *, own_clock: bool) -> None:
        self._tracer = tracer
        self._own_clock = own_clock

    def receipt(self, receiver: str, headers: Headers, now: float, around: Context) -> Span:
        """Return the span of the receipt of a verified request, which began at a Unix time in seconds."""
        start = None if self._own_clock else int(now * 1e9)
        return self._receipt(receiver, around, _links(headers), start)

    def rejection(self, receiver: str, error: WebhookError) -> None:
        """Make the span of a request that was rejected. It is no failure of ours, so its status is left unset."""
        span = self._receipt(receiver, get_current(), (), None)
        if span.is_recording():
            span.set_attribute(names.ERROR, type(error).__name__)
        span.end()

    def _receipt(self, receiver: str, around: Context, links: Sequence[Link], start: int | None) -> Span:
        is_inside = get_current_span(around).get_span_context().is_valid
        kind = SpanKind.INTERNAL if is_inside else SpanKind.SERVER
        name, attributes = _begin_of("receive", "receive", receiver)
        return self._tracer.start_span(name, around, kind, attributes.copy(), links, start)

    def poll(self, receiver: str, source: str) -> Span:
        """Return the span of a request for a page of a source."""
        name, attributes = _begin_of("poll", "receive", receiver)
        around = None if get_current_span().is_recording() else _NOTHING
        return self._tracer.start_span(name, around, SpanKind.CLIENT, {**attributes, names.SOURCE: source})

    def attempt(self, receiver: str, attempt: Attempt, *, is_stored: bool) -> Span:
        """Return the span of an attempt.

        Args:
            receiver: the receiver's name.
            attempt: the attempt.
            is_stored: whether its delivery was stored, so that what is around the worker has nothing to do with it.
        """
        name, attributes = _begin_of("process", "process", receiver)
        delivery = attempt.delivery
        told = {
            **attributes,
            names.MESSAGE: delivery.id,
            names.HANDLER: attempt.handler,
            names.ATTEMPT: attempt.number,
        }
        origin = context_of(delivery.context)
        if origin is None:
            return self._tracer.start_span(name, _NOTHING if is_stored else None, SpanKind.CONSUMER, told)
        below = set_span_in_context(NonRecordingSpan(origin), _NOTHING)
        return self._tracer.start_span(name, below, SpanKind.CONSUMER, told, (Link(origin),))


@lru_cache
def _begin_of(operation: str, kind: str, receiver: str) -> tuple[str, dict[str, str | int]]:
    """Return the name of a span, and the attributes that all of that name have, which are not to be changed."""
    attributes: dict[str, str | int] = {
        names.SYSTEM: names.SCOPE,
        names.OPERATION: operation,
        names.OPERATION_TYPE: kind,
        names.DESTINATION: receiver,
    }
    return f"{operation} {receiver}", attributes


def text_of(span: Span) -> str | None:
    """Return the text of a span's context, to keep with a delivery: `traceparent`, and `tracestate` on a next line.

    See w3.org/TR/trace-context, whose version is 00.
    """
    context = span.get_span_context()
    if not context.is_valid:
        return None
    # By % in half of the time of an f-string, for numbers as large as these.
    text = "00-%032x-%016x-%02x" % (context.trace_id, context.span_id, context.trace_flags)  # noqa: UP031
    if not context.trace_state:
        return text
    whole = f"{text}\n{context.trace_state.to_header()}"
    return whole if len(whole) <= MOST_CONTEXT else text


def context_of(text: str | None) -> SpanContext | None:
    """Return the context that a text is of, as `text_of` returns it; None of any other text."""
    if text is None:
        return None
    parent, _, state = text.partition("\n")
    try:
        _, trace, span, flags = parent.split("-")
        found = TraceState.from_header([state]) if state else None
        context = SpanContext(int(trace, 16), int(span, 16), True, TraceFlags(int(flags, 16)), found)
    except ValueError:
        return None
    return context if context.is_valid else None


def _links(headers: Headers) -> Sequence[Link]:
    """Return the link to what the sender says that its request belongs to; none if it says nothing valid."""
    said = [value for name, value in headers if name == b"traceparent"]
    if len(said) != 1:
        return ()
    states = [value for name, value in headers if name == b"tracestate"]
    carrier = {"traceparent": said[0].decode("latin-1"), "tracestate": b",".join(states).decode("latin-1")}
    span = get_current_span(_PROPAGATOR.extract(carrier, Context()))
    return () if span is INVALID_SPAN else (Link(span.get_span_context()),)


def tell_receipt(span: Span, receipt: Receipt) -> None:
    """Let the span of a receipt tell its outcome."""
    if not span.is_recording():
        return
    # One by one, in three quarters of the time of `set_attributes`, which looks at the whole mapping first.
    span.set_attribute(names.STATUS, receipt.response.status)
    if receipt.delivery is not None:
        span.set_attribute(names.MESSAGE, receipt.delivery.id)
    if receipt.event is not None:
        span.set_attribute(names.EVENT, names.cut(receipt.event.event))
    if receipt.duplicate_of is not None:
        span.set_attribute("webhook_receiver.duplicate_of", receipt.duplicate_of)
    if receipt.error is not None:
        span.set_attribute(names.ERROR, type(receipt.error).__name__)


def tell_page(span: Span, page: PolledPage) -> None:
    """Let the span of a page tell how much of it was new."""
    if span.is_recording():
        span.set_attributes({names.DOCUMENTS: page.documents, names.STORED: page.stored, names.KNOWN: page.known})


def tell_failed_poll(span: Span, error: BaseException) -> None:
    """Let the span of a page tell why it failed: an error that is not ours may have a key in its message."""
    if not span.is_recording():
        return
    span.set_attribute(names.ERROR, type(error).__qualname__)
    if isinstance(error, Exception):
        span.set_status(StatusCode.ERROR, str(error) if isinstance(error, WebhookError) else place_of(error))


def tell_error(span: Span, error: BaseException) -> None:
    """Let a span tell why it failed: by class and place; its message may repeat the body. `Retry` is none."""
    if not span.is_recording():
        return
    span.set_attribute(names.ERROR, type(error).__qualname__)
    if isinstance(error, Retry):
        return
    span.set_status(StatusCode.ERROR, place_of(error))
    if not isinstance(error, GiveUp):
        told = {"exception.type": type(error).__qualname__, "exception.stacktrace": places(error)[-_LONGEST_TRACEBACK:]}
        span.add_event("exception", told)
