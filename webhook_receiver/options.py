"""How a receiver's worker works: one frozen value, with units."""

from __future__ import annotations

from dataclasses import dataclass

from .backoff import BACKOFF, Backoff
from .breaker import BREAKER, Breaker
from .errors import ConfigurationError


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
