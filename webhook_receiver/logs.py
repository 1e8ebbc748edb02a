"""Log lines: the fields of a record, how an error is logged, and which of many lines that are alike are written."""

from __future__ import annotations

import json
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from .redaction import can_be_formatted, frames, leave_own_frames_out, places, summary

logger = logging.getLogger("webhook_receiver")

SECONDS = 60.0
"""Seconds after which lines of one kind are counted anew."""


def fields(
    *, delivery_id: str | None = None, handler: str | None = None, attempt: int | None = None, reason: str | None = None
) -> dict[str, object]:
    """Return the fields of a log record, for `extra`.

    Args:
        delivery_id: the id of the delivery.
        handler: the name of the handler.
        attempt: the number of the attempt.
        reason: why a request was rejected, an attempt failed or a delivery died.
    """
    return {"delivery_id": delivery_id, "handler": handler, "attempt": attempt, "reason": reason}


_FIELDS = tuple(fields())


_is_unnoticed: ContextVar[bool] = ContextVar("webhook_receiver_is_unnoticed", default=False)


@contextmanager
def unnoticed() -> Generator[None]:
    """Have what happens in this context neither logged nor measured: a delivery is tried that never came."""
    token = _is_unnoticed.set(True)
    try:
        yield
    finally:
        _is_unnoticed.reset(token)


def is_unnoticed() -> bool:
    """Return whether what happens in this context is neither logged nor measured."""
    return _is_unnoticed.get()


def _with_fields(record: logging.LogRecord) -> bool:
    """Give a record the fields that it has not: a format may name each of them. Return whether it is to be written."""
    for name in _FIELDS:
        record.__dict__.setdefault(name, None)
    return not is_unnoticed()


logger.addFilter(_with_fields)


class JSONFormatter(logging.Formatter):
    """Formats a record as one line of JSON, for a host's own `logging.config` as for `serve --log-format json`.

    A line has `timestamp` (RFC 3339, UTC), `level`, `logger` and `message`; what else the record carries, such as
    `delivery_id`, `handler`, `attempt` and `reason`, unless it is None; with an error `exception`, its traceback; and
    inside of a span of OpenTelemetry `trace_id` and `span_id`. What JSON has no form for is written as text. A field of
    the user's that has the name of one of these is called `level_` and so on.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, whatever the record carries."""
        line: dict[str, Any] = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": _message(record),
        }
        if record.exc_info:
            line["exception"] = self._traceback(record.exc_info)
        if record.stack_info:
            line["stack"] = self.formatStack(record.stack_info)
        trace = sys.modules.get("opentelemetry.trace")  # else there is no span
        context = None if trace is None else trace.get_current_span().get_span_context()
        if context is not None and context.is_valid:
            line |= {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}
        taken = {*line, "exception", "stack"}
        for name, each in vars(record).items():
            if name not in _STANDARD and each is not None:
                line[f"{name}_" if name in taken else str(name)] = each
        try:
            return _readable(json.dumps(line, default=_text, allow_nan=False))
        except Exception:  # one value is not JSON: NaN, a circle, a key that is no text
            return _readable(json.dumps({name: _plain(each) for name, each in line.items()}))

    def _traceback(self, info: Any) -> str:
        try:
            return self.formatException(info)
        except Exception:  # the error cannot say what it is
            return places(info[1])


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as error:  # the arguments do not fit, or cannot be written
        return f"{_text(record.msg)} (its arguments cannot be filled in: {type(error).__name__})"


def _readable(line: str) -> str:
    """Return a line of JSON with ? for each lone surrogate, of which other languages cannot read the whole line."""
    if "\\ud" not in line:
        return line
    text = json.dumps(json.loads(line), ensure_ascii=False)
    return json.dumps(json.loads(text.encode("utf-8", "replace")))


def _plain(value: object) -> object:
    """Return a value as JSON has it, as text if JSON has no form for it."""
    try:
        return json.loads(json.dumps(value, default=_text, allow_nan=False))
    except Exception:
        return _text(value)


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception as error:
        return f"({type(value).__name__}, which cannot be written: {type(error).__name__})"


_STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName", "color_message"}
"""What every record has; `color_message` is uvicorn's message for a terminal."""


def log_uncaught() -> None:
    """Log what Python would write on stderr by itself: warnings, and errors that nobody catches, of threads too."""

    def uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, Exception):
            logger.critical("an error ends the process", exc_info=(kind, error, trace))
        else:  # as by Ctrl-C
            sys.__excepthook__(kind, error, trace)

    def of_thread(found: threading.ExceptHookArgs) -> None:
        if found.exc_value is not None and not isinstance(found.exc_value, SystemExit):
            name = None if found.thread is None else found.thread.name
            logger.error("an error ends the thread %s", name, exc_info=found.exc_value)

    def unraisable(found: Any) -> None:  # of a type that Python does not have when it runs
        what = f"{found.err_msg or 'an error that cannot be raised'}: {_text(found.object)}"
        logger.error("%s", what, exc_info=found.exc_value)

    logging.captureWarnings(True)
    sys.excepthook, threading.excepthook, sys.unraisablehook = uncaught, of_thread, unraisable


def log_failure(
    what: str,
    error: BaseException,
    *,
    delivery_id: str | None = None,
    handler: str | None = None,
    attempt: int | None = None,
) -> None:
    """Log an error with its traceback; redacted where a ValidationError, which quotes the body, has a part in it.

    Args:
        what: the sentence to log with it.
        error: the error.
        delivery_id: the id of the delivery.
        handler: the name of the handler that failed.
        attempt: the number of the attempt.
    """
    said = summary(error)
    extra = fields(delivery_id=delivery_id, handler=handler, attempt=attempt, reason=said)
    leave_own_frames_out(error)
    if can_be_formatted(error):
        logger.error("%s", what, exc_info=error, extra=extra)
    else:
        logger.error("%s: %s\n%s", what, said, frames(error), extra=extra)


def warn_if_disabled() -> None:
    """Warn if the receiver's logger is disabled, as `logging.config` does with every logger that is there already."""
    if logger.disabled:
        warnings.warn(
            f"the logger {logger.name!r} is disabled: no line will say what is rejected, fails or dies. Configure "
            "logging with disable_existing_loggers=False, or before webhook_receiver is imported "
            "(docs.python.org/3/library/logging.config.html#logging.config.fileConfig)",
            RuntimeWarning,
            stacklevel=2,
        )


@dataclass(slots=True)
class _Window:
    """The lines of one kind within a minute."""

    start: float
    count: int = 1
    left_out: int = 0


class LineLimit:
    """Decides which of many lines of one kind are written: within a minute the first, the 10th, the 100th and so on.

    Args:
        clock: returns the time in Unix seconds.
        first: the number of lines that are written before any is left out.
    """

    def __init__(self, clock: Callable[[], float], first: int = 1) -> None:
        self._clock = clock
        self._first = first
        self._windows: dict[str, _Window] = {}

    def left_out(self, kind: str) -> str | None:
        """Count a line. Return what to write behind it about those left out before it, or None to leave this one out.

        Args:
            kind: what lines that are alike have in common; one of a small number.
        """
        now, window = self._clock(), self._windows.get(kind)
        if window is not None and 0 <= now - window.start < SECONDS:
            window.count += 1
            if window.count > self._first and str(window.count).rstrip("0") != "1":
                window.left_out += 1
                return None
            left_out, window.left_out = window.left_out, 0
        else:
            left_out = 0 if window is None else window.left_out
            self._windows[kind] = _Window(now)
        return f" ({left_out} more since the last line)" if left_out else ""


def log_repeated(id: str, known_as: Sequence[str]) -> None:
    """Log that events of a delivery are duplicates of others in it, as where a sender gives an id twice.

    Args:
        id: the id of the delivery.
        known_as: the ids under which some of its events are stored already.
    """
    inside = sum(each.partition(".")[0] == id for each in known_as)
    if inside:
        logger.warning(
            "delivery %s: %s of its events are duplicates of others in it, by their ids, and were not stored",
            *(id, inside),
            extra=fields(delivery_id=id),
        )


class DeadLetterLog:
    """Logs the deliveries that have died: of each handler ten a minute, and then the 100th, the 1000th and so on.

    Args:
        clock: returns the time in Unix seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._limit = LineLimit(clock, first=10)

    def add(
        self,
        delivery_id: str,
        reason: str,
        handler: str | None = None,
        attempt: int | None = None,
        *,
        what: str = "is dead",
    ) -> None:
        """Log a dead delivery.

        Args:
            delivery_id: its id.
            reason: why it is dead.
            handler: the name of the handler that gave up or used up its attempts; None if none was run.
            attempt: the number of that handler's last attempt.
            what: what became of the delivery.
        """
        more = self._limit.left_out(handler or "")
        if more is not None:
            with suppress(RuntimeWarning):  # where warnings are errors, too, the worker goes on
                warn_if_disabled()
            extra = fields(delivery_id=delivery_id, handler=handler, attempt=attempt, reason=reason)
            logger.error("delivery %s %s: %s%s", delivery_id, what, reason, more, extra=extra)
