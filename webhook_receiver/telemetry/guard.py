"""The guard between a receiver and OpenTelemetry: what fails there changes nothing of what becomes of a delivery.

The SDK catches the errors of exporters, but not those of a sampler, a span processor or a view, which are users' code.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Token
from types import TracebackType
from typing import Any, Self

from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import INVALID_SPAN, Span, set_span_in_context

from ..logs import log_failure
from ..redaction import place_of
from .tracing import text_of

_MOST = 100  # places at which failures are told


class Guard:
    """Drops every Exception that is raised inside of it, and logs it: once for its class and the line that raised it.

    It is entered any number of times, by any task and thread.
    """

    def __init__(self) -> None:
        self._told: set[str] = set()

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        self.log(error)
        return True

    def log(self, error: Exception) -> None:
        """Log an error, if it is the first of its kind."""
        place = place_of(error)
        if place not in self._told and len(self._told) < _MOST:
            self._told.add(place)
            log_failure("OpenTelemetry failed, of which no delivery takes notice; it is not told again", error)


class Inside:
    """A span around what is inside of it, for which it is the current one. It ends with it, and tells its outcome.

    Args:
        guard: logs what OpenTelemetry raises.
        begin: begins the span.
        tell_error: lets a span tell an error that was raised inside.
        tell: lets a span tell the outcome; None if there is none to tell.
    """

    __slots__ = ("_begin", "_guard", "_span", "_tell", "_tell_error", "_token", "outcome")

    def __init__(
        self,
        guard: Guard,
        begin: Callable[[], Span],
        tell_error: Callable[[Span, BaseException], None],
        tell: Callable[[Span, Any], None] | None = None,
    ) -> None:
        self.outcome: Any = None
        """What the span is to tell, to be set inside."""
        self._guard = guard
        self._begin = begin
        self._tell_error = tell_error
        self._tell = tell
        self._span: Span = INVALID_SPAN
        self._token: Token[Context] | None = None

    # Everything here runs twice for each delivery: to enter the guard each time would cost as much again.

    def __enter__(self) -> Self:
        try:
            self._span = self._begin()
            self._token = attach(set_span_in_context(self._span))
        except Exception as failure:
            self._guard.log(failure)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._token is not None:
            detach(self._token)
        try:
            try:
                if error is not None:
                    self._tell_error(self._span, error)
                elif self._tell is not None:
                    self._tell(self._span, self.outcome)
            finally:
                self._span.end()
        except Exception as failure:
            self._guard.log(failure)

    def text(self) -> str | None:
        """Return the text of the span's context, to keep with a delivery."""
        try:
            return text_of(self._span)
        except Exception as failure:
            self._guard.log(failure)
            return None
