"""The log lines about attempts that failed, or want to run again; tracebacks that are alike are told once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable

from ..errors import GiveUp, Retry, Unconfirmed
from ..logs import fields, log_failure
from ..redaction import message, summary, trail_of

logger = logging.getLogger("webhook_receiver")

_DAY = 86_400.0  # seconds after which a traceback is told again
_MOST = 1000  # tracebacks that are remembered


class AttemptLog:
    """Logs how attempts ended that did not end well.

    A handler's traceback is told once a day: where it fails again from the same lines with the same exceptions, a line
    says with which message.

    Args:
        clock: returns the time in Unix seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._told: dict[Hashable, float] = {}
        """When each traceback was told last, in Unix seconds."""

    def add(self, error: BaseException, delivery_id: str, handler: str, attempt: int) -> None:
        """Log one attempt.

        Args:
            error: what the handler raised.
            delivery_id: the id of the delivery.
            handler: the handler's name.
            attempt: the attempt's number.
        """
        said = summary(error)
        extra = fields(delivery_id=delivery_id, handler=handler, attempt=attempt, reason=said)
        if isinstance(error, Retry):
            logger.info("delivery %s: %s wants to %s", delivery_id, handler, message(error), extra=extra)
        elif isinstance(error, GiveUp):
            logger.warning("delivery %s: %s gave up: %s", delivery_id, handler, message(error), extra=extra)
        elif isinstance(error, Unconfirmed):
            logger.warning("delivery %s: %s: not yet: %s", delivery_id, handler, error, extra=extra)
        elif error.__traceback__ is None:  # it was raised nowhere: the time is up, or the process ended
            logger.error("delivery %s: %s failed: %s", delivery_id, handler, said, extra=extra)
        elif self._is_news(handler, error):
            what = f"delivery {delivery_id}: {handler} failed"
            log_failure(what, error, delivery_id=delivery_id, handler=handler, attempt=attempt)
        else:
            logger.error("delivery %s: %s failed as before: %s", delivery_id, handler, said, extra=extra)

    def _is_news(self, handler: str, error: BaseException) -> bool:
        """Whether the traceback was not told within a day."""
        key = handler, trail_of(error)
        now, last = self._clock(), self._told.get(key)
        if last is not None and 0 <= now - last < _DAY:
            return False
        if len(self._told) >= _MOST:
            self._told.clear()
        self._told[key] = now
        return True
