"""Circuit breakers: a handler that fails again and again in the same way is not run for a while.

What fails is then something that it depends on, and deliveries that wait for that should not use up their attempts.
"""

from __future__ import annotations

import logging

from ..errors import GiveUp, Retry, Unconfirmed
from ..options import Breaker

logger = logging.getLogger("webhook_receiver")


class CircuitBreaker:
    """The circuit breaker of one handler in this process: closed, or open until a time.

    Args:
        breaker: after how many failures it opens, and for how many seconds.
    """

    def __init__(self, breaker: Breaker) -> None:
        self._breaker = breaker
        self._kind: type[BaseException] | None = None
        self._failures = 0
        self._open_until: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether it is open: the handler is not run, except to try."""
        return self._open_until is not None

    def remaining(self, now: float) -> float:
        """Return the seconds for which the handler must not run; 0 if it may, or a try is due."""
        wait = 0 if self._open_until is None else self._open_until - now
        return wait if 0 < wait <= self._breaker.seconds else 0  # more than that: the clock was set back

    def wait(self, now: float) -> float:
        """Return the seconds for which the handler must not run; 0: the caller runs it, and records how that ended."""
        wait = self.remaining(now)
        if wait or self._open_until is None:
            return wait
        self._open_until = now + self._breaker.seconds  # should this try never tell how it went, another one follows
        return 0

    def succeeded(self) -> None:
        """Close it."""
        self._kind, self._failures, self._open_until = None, 0, None

    def undecided(self) -> None:
        """Let another delivery try: this attempt said nothing about what the handler depends on."""
        if self._open_until is not None:
            self._open_until = float("-inf")

    def failed(self, error: BaseException, now: float) -> bool:
        """Count a failure; return whether it has just opened the breaker."""
        same = type(error) is self._kind
        self._kind = type(error)
        self._failures = self._failures + 1 if same else 1
        was_open = self._open_until is not None
        if self._failures < self._breaker.failures and not was_open:
            return False
        self._open_until = now + self._breaker.seconds
        return not was_open


class CircuitBreakers:
    """The circuit breakers of all handlers in this process; a handler has one once it has failed."""

    def __init__(self, breaker: Breaker) -> None:
        self._breaker = breaker
        self._by_name: dict[str, CircuitBreaker] = {}

    def of(self, handler: str) -> CircuitBreaker | None:
        """Return the breaker of a handler, by its name; None if it has never failed."""
        return self._by_name.get(handler)

    def open(self) -> frozenset[str]:
        """Return the names of the handlers that are left alone until they work again."""
        return frozenset([name for name, each in self._by_name.copy().items() if each.is_open])

    def record(self, handler: str, error: BaseException | None, now: float) -> None:
        """Record how an attempt ended, and log when the breaker opens and when it closes.

        Args:
            handler: the handler's name.
            error: what the attempt raised; None if the handler is done.
            now: the time in Unix seconds.
        """
        breaker = self._by_name.get(handler)
        if error is None:
            if breaker is not None:
                if breaker.is_open:
                    logger.info("%s works again", handler)
                breaker.succeeded()
        elif isinstance(error, Retry | GiveUp | Unconfirmed):
            if breaker is not None:
                breaker.undecided()
        else:
            breaker = self._by_name.setdefault(handler, CircuitBreaker(self._breaker))
            if breaker.failed(error, now):
                said = "%s failed %d times in a row with %s, and is left alone for %g s at a time until it works again"
                logger.error(said, handler, self._breaker.failures, type(error).__name__, self._breaker.seconds)
