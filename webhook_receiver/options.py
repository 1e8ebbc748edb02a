"""Options of a worker: when handlers are run again, when one is left alone, and durations as people write them."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from .errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits that double from attempt to attempt, each cut at random so that handlers do not come back in step.

    The wait before attempt n + 1 lies anywhere between 0 and `first * 2 ** (n - 1)`, at most `longest`: full
    jitter (aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter). The default goes on for about half
    a day on average.

    Raises:
        ConfigurationError: it could not work.
    """

    first: float = 2.0
    """Seconds: the longest wait after the first attempt."""
    longest: float = 3600.0
    """Seconds that no wait exceeds."""
    attempts: int = 34
    """How many there are in all, the first one included; after the last one the delivery is dead."""

    def __post_init__(self) -> None:
        if not 0 <= self.first <= self.longest < float("inf") or self.attempts < 1:
            raise ConfigurationError(f"a backoff waits 0 <= first <= longest seconds, for 1 attempt or more: {self!r}")

    def wait(self, attempts: int) -> float | None:
        """Return the seconds to wait after this many attempts; None when there are no more."""
        if attempts >= self.attempts:
            return None
        # The exponent is bounded since 2.0 ** 1024 is an error.
        return random.uniform(0, min(self.longest, self.first * 2.0 ** min(attempts - 1, 64)))  # noqa: S311


BACKOFF = Backoff()

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}


def seconds(text: str) -> float:
    """Return the seconds in a text such as "45", "45s", "15m", "2h", "30d" or "2w".

    Raises:
        ValueError: it is no span of time.
    """
    found = re.fullmatch(r"(\d{1,12}(?:\.\d{1,9})?)\s*([smhdw]?)", text.strip().lower(), re.ASCII)
    if found is None:
        raise ValueError(f"{text!r} is not a span of time such as 45s, 15m, 2h or 30d")
    return float(found[1]) * _UNITS[found[2]]


@dataclass(frozen=True, slots=True)
class Breaker:
    """When to leave a handler alone, and for how long.

    Raises:
        ConfigurationError: it could not work.
    """

    failures: int = 10
    """So many in a row, all with the same kind of exception, open it."""
    seconds: float = 30.0
    """For so long nothing runs; then one delivery tries, and opens it again or closes it."""

    def __post_init__(self) -> None:
        if self.failures < 1 or not 0 < self.seconds < float("inf"):
            raise ConfigurationError(f"a breaker has 1 failure or more, and seconds above 0: {self!r}")


BREAKER = Breaker()


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How a receiver's worker works. All times are seconds.

    Raises:
        ConfigurationError: it could not work.
    """

    concurrency: int = 16
    """How many deliveries are handled at once in one process; plain functions get as many threads more than the 40 that
    anyio has for the whole process."""
    timeout: float = 3600.0
    """How long one run of a handler may take, unless its route says otherwise."""
    stop: float = 10.0
    """How long running handlers are waited for when the process stops."""
    lease: float = 30.0
    """How long after the death of a process its deliveries are left to it. Leases are renewed while it lives."""
    poll: float = 1.0
    """How often to look for what other processes have put."""
    backoff: Backoff = BACKOFF
    """When handlers are run again, unless their route says otherwise."""
    breaker: Breaker = BREAKER
    """When a handler that fails and fails is left alone."""

    def __post_init__(self) -> None:
        if not isinstance(self.concurrency, int) or self.concurrency < 1:
            raise ConfigurationError(f"a worker's concurrency is 1 or more, not {self.concurrency!r}")
        for name in ("timeout", "lease", "poll"):
            value: object = getattr(self, name)
            if not isinstance(value, int | float) or not 0 < value < float("inf"):
                raise ConfigurationError(f"a worker's {name} is above 0 seconds, not {value!r}")
        if not isinstance(self.stop, int | float) or not 0 <= self.stop < float("inf"):
            raise ConfigurationError(f"a worker's stop is 0 seconds or more, not {self.stop!r}")
