"""The pace of a worker: how many deliveries are worth claiming ahead, beyond those that there are slots for."""

from __future__ import annotations

from collections.abc import Callable

SOON = 0.05  # seconds: what will be finished within them is claimed ahead
MOST_AHEAD = 256  # deliveries, however fast they are finished


class Pace:
    """Counts what is finished. To claim and settle many together costs far less than a few at a time.

    So a worker whose handlers end at once takes many, and one whose handlers are slow takes none ahead: another
    process may run them meanwhile.

    Args:
        clock: returns the time in seconds, from anywhere.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.begin()

    def begin(self) -> None:
        """Count anew, from now on."""
        self._began = self._clock()
        self._finished = 0

    def count(self) -> None:
        """One more is finished."""
        self._finished += 1

    def ahead(self) -> int:
        """Return how many will be finished soon if all goes on as it does."""
        seconds = max(self._clock() - self._began, 0.001)  # the clock of some event loops goes by milliseconds
        return min(round(self._finished / seconds * SOON), MOST_AHEAD)
