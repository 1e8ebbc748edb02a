"""When a failed handler is run again."""

from __future__ import annotations

import random
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
