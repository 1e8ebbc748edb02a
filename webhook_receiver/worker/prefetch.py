"""How many deliveries a worker claims ahead of its slots."""

from __future__ import annotations

from collections.abc import Callable

SOON = 0.05  # seconds: what will be finished within them is claimed ahead
MOST_AHEAD = 256  # deliveries, however fast they are finished
_ENOUGH = 16  # finished deliveries that tell a rate


class Prefetch:
    """The number of deliveries to claim ahead, by the rate at which deliveries are finished.

    To claim and settle many together costs far less than a few at a time. So a worker whose handlers end at once claims
    many ahead, and one whose handlers are slow claims none ahead: another process may run them meanwhile.

    Args:
        clock: returns the time in seconds, from any starting point.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.away = 0.0
        """How many seconds away the inbox is."""
        self.reset()

    def reset(self) -> None:
        """Forget the rate: nothing is worth claiming ahead just now."""
        self._rate = 0.0
        self.begin()

    def begin(self) -> None:
        """Restart the count: there is something to finish again, and the time until now says nothing about handlers."""
        self._began = self._clock()
        self._finished = 0

    def count(self) -> None:
        """Count one more finished delivery."""
        self._finished += 1
        seconds = max(self._clock() - self._began, 0.001)  # the clock of some event loops goes by milliseconds
        if self._finished == _ENOUGH or seconds >= SOON:
            self._rate = self._finished / seconds
            self.begin()

    def ahead(self) -> int:
        """Return the number of deliveries that will be finished within SOON seconds if the rate stays the same, and
        while the next ones are claimed."""
        return min(round(self._rate * (SOON + self.away)), MOST_AHEAD)
