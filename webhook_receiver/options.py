"""Options of a worker: backoff, circuit breaker, concurrency and time-outs; and durations as people write them."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import NamedTuple, TypeGuard

from .errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential waits between attempts, with full jitter so that handlers do not retry in step.

    The wait before attempt n + 1 lies anywhere between 0 and `first * 2 ** (n - 1)`, at most `longest`: full
    jitter (aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter). The default goes on for 11.6 hours
    on average, and for 23.1 at most; each attempt more adds half of `longest` on average.

    Raises:
        ConfigurationError: a value is out of its range.
    """

    first: float = 2.0
    """The longest wait after the first attempt, in seconds."""
    longest: float = 3600.0
    """The longest wait of all, in seconds."""
    attempts: int = 34
    """The number of attempts, the first one included; after the last one the delivery is dead."""

    def __post_init__(self) -> None:
        numbers: tuple[object, ...] = (self.first, self.longest, self.attempts)
        if not all(isinstance(each, int | float) for each in numbers) or not (
            0 <= self.first <= self.longest < float("inf") and self.attempts >= 1
        ):
            raise ConfigurationError(f"a backoff waits 0 <= first <= longest seconds, for 1 attempt or more: {self!r}")

    def wait(self, attempts: int) -> float | None:
        """Return the seconds to wait after `attempts` attempts, or None when no more are made."""
        if attempts >= self.attempts:
            return None
        return random.uniform(0, self._longest_after(attempts))  # noqa: S311

    def lasts(self, attempts: int = 0) -> float:
        """Return the seconds from attempt number `attempts + 1` to the last one, with waits as they are on average.

        Args:
            attempts: the number of attempts that were made.
        """
        # The waits before the attempts `attempts + 2` to `self.attempts`; from the 65th on they are the longest.
        doubling = range(attempts + 1, min(self.attempts, 65))
        rest = max(0, self.attempts - max(attempts + 1, 65))
        return (sum(self._longest_after(each) for each in doubling) + rest * self._longest_after(65)) / 2

    def _longest_after(self, attempts: int) -> float:
        # The exponent is bounded since 2.0 ** 1024 is an error.
        return min(self.longest, self.first * 2.0 ** min(attempts - 1, 64))


BACKOFF = Backoff()

_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}


def is_number(value: object) -> TypeGuard[int | float]:
    """Return whether a value is a number; True and False are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_name(value: object) -> TypeGuard[str]:
    """Return whether a value can be a name: a text in one line, without white space around it."""
    return isinstance(value, str) and value != "" and value.isprintable() and value == value.strip()


def check_callable(argument: str, given: object, what: str) -> None:
    """Reject an argument that is given and is no function."""
    if given is not None and not callable(given):
        raise ConfigurationError(f"{argument}=... is {what}, not {given!r}")


def seconds(text: str) -> float:
    """Return the seconds in a text such as "45", "45s", "200ms", "15m", "2h", "30d" or "2w".

    Raises:
        ValueError: the text is not a span of time.
    """
    found = re.fullmatch(r"(\d{1,12}(?:\.\d{1,9})?)\s*(ms|[smhdw]?)", text.strip().lower(), re.ASCII)
    if found is None:
        raise ValueError(f"{text!r} is not a span of time such as 45s, 15m, 2h or 30d")
    return float(found[1]) * _UNITS[found[2]]


@dataclass(frozen=True, slots=True)
class Breaker:
    """The options of a handler's circuit breaker: when it opens, and for how long.

    Raises:
        ConfigurationError: a value is out of its range.
    """

    failures: int = 10
    """The number of failures in a row, all with the same class of exception, that opens the breaker."""
    seconds: float = 30.0
    """Seconds that the breaker stays open, so that nothing runs; then one delivery tries, and reopens or closes it."""

    def __post_init__(self) -> None:
        numbers: tuple[object, ...] = (self.failures, self.seconds)
        if not all(isinstance(each, int | float) for each in numbers) or not (
            self.failures >= 1 and 0 < self.seconds < float("inf")
        ):
            raise ConfigurationError(f"a breaker has 1 failure or more, and seconds above 0: {self!r}")


BREAKER = Breaker()


class Rate(NamedTuple):
    """A rate: in any time of so many seconds, no more than so many runs begin."""

    runs: int
    seconds: float


class Limits(NamedTuple):
    """The limits of a handler in one process; None for no limit."""

    concurrency: int | None
    """The number of its runs at once."""
    rate: Rate | None
    """The number of its runs that begin in a time."""


_RATE = re.compile(
    r"(\d{1,9})\s*(?:/|per\s)\s*(s|sec|seconds?|m|min|minutes?|h|hours?|d|days?)", re.ASCII | re.IGNORECASE
)


def limits(concurrency: int | None, rate: str | None) -> Limits | None:
    """Return the limits of a handler as they were registered, None if there are none.

    Args:
        concurrency: the number of its runs at once.
        rate: a text such as "10/s", "100/min" or "1000/h".

    Raises:
        ConfigurationError: one of them is of another type, or out of its range.
    """
    given: object = concurrency
    if given is not None and (not isinstance(given, int) or isinstance(given, bool) or given < 1):
        raise ConfigurationError(
            f"concurrency=... of a handler is the number of its runs at once, 1 or more, such as concurrency=2, "
            f"not {given!r}"
        )
    found = None if rate is None else _rate(rate)
    return None if concurrency is None and found is None else Limits(concurrency, found)


def _rate(given: object) -> Rate:
    found = _RATE.fullmatch(given.strip()) if isinstance(given, str) else None
    if found is None or int(found[1]) == 0:
        raise ConfigurationError(
            'rate=... of a handler is a text with a whole number of runs, 1 or more, and a time, such as rate="10/s", '
            f'rate="100/min" or rate="1000/h", not {given!r}'
        )
    return Rate(int(found[1]), _UNITS[found[2][0].lower()])


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """The options of a receiver's worker. All times are seconds.

    Raises:
        ConfigurationError: a value is out of its range.
    """

    concurrency: int = 16
    """The number of deliveries handled at once in one process; plain functions get as many threads beyond the 40 that
    anyio has for the whole process."""
    timeout: float = 3600.0
    """The time-out of one attempt of a handler, unless its route has another."""
    stop: float = 6.0
    """The longest wait for running handlers when the process stops. The default, and the seconds that other parts may
    take to stop, fit into the 10 that a container usually has between SIGTERM and SIGKILL."""
    lease: float = 30.0
    """The duration of a lease: so long after the death of a process others take its deliveries. Leases are renewed
    while the process lives."""
    poll: float = 1.0
    """The interval at which the inbox is polled for deliveries that other processes have put."""
    backoff: Backoff = BACKOFF
    """The waits between attempts, unless a handler's route has others."""
    breaker: Breaker = BREAKER
    """The circuit breaker of each handler."""

    def __post_init__(self) -> None:
        if not isinstance(self.concurrency, int) or self.concurrency < 1:
            raise ConfigurationError(f"a worker's concurrency is 1 or more, not {self.concurrency!r}")
        for name, kind in (("backoff", Backoff), ("breaker", Breaker)):
            if not isinstance(getattr(self, name), kind):
                raise ConfigurationError(f"a worker's {name} is a {kind.__name__}(...), not {getattr(self, name)!r}")
        for name in ("timeout", "lease", "poll"):
            value: object = getattr(self, name)
            if not is_number(value) or not 0 < value < float("inf"):
                raise ConfigurationError(f"a worker's {name} is above 0 seconds, not {value!r}")
        if not is_number(self.stop) or not 0 <= self.stop < float("inf"):
            raise ConfigurationError(f"a worker's stop is 0 seconds or more, not {self.stop!r}")
