"""The limits of handlers: how many runs there may be at once, and in a time. They hold in one process.

A delivery whose next handler is at its limit gives its slot back, so that deliveries for other handlers run, and takes
it again when its turn comes. Until then it is under its lease, and in the line of the handler. Only a few are in that
line, and for a short time. All others are postponed: no attempt is counted, and the delivery is settled as one that
waits until it may be its turn. So neither leases nor memory are held for them, and another process may run them.

When that is, is an estimate. Those that are postponed get places one after the other, as far apart as the handler's
turns are: by its rate, and by how long its runs take.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, TypeVar

from ..options import Limits

_PATIENCE = 2.0  # seconds in the line, and then it is postponed
_PATIENCE_OF_FIRST = 30.0  # seconds for the first in the line, so that the handler is never short of work
_LONGEST_LINE = 64  # deliveries for each handler
_SOONEST = 0.5  # seconds for which a delivery is postponed at least
_DENSITY = 0.8  # of the time between two turns is between two places, for the same reason
_EXACT = 60.0  # seconds: places that are further away are guesses, and closer to each other
_DIED_TWICE = "deliveries with which the process died twice", Limits(concurrency=1, rate=None)
_CLOSEST = 0.01  # seconds between such places: no more than 100 deliveries a second are looked at in vain


D = TypeVar("D")


class Limiter:
    """The turns of one handler in this process.

    Args:
        limits: the limits of the handler.
        clock: returns the time in seconds, from any starting point.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = limits.concurrency or float("inf")
        self._rate = limits.rate
        self._clock = clock
        self._taken = 0
        """The number of turns that have not ended."""
        self._unbegun = 0
        """How many of them have not begun."""
        self._begun = deque[float](maxlen=0 if self._rate is None else self._rate.runs)
        """When the latest turns began, those that may count, exactly: a bucket of tokens lets twice as many pass."""
        self._line = deque[asyncio.Future[Turn | None]]()
        self._timer: asyncio.TimerHandle | None = None
        self._mean: float | None = None
        """The seconds that a turn takes, the latest ones counting most."""
        self._last = self._places_end = float("-inf")

    def take(self) -> Turn | None:
        """Take a turn if there is one, and nobody waits for it."""
        return None if self._line or self._free_in() > 0 else self._turn()

    def _turn(self) -> Turn:
        self._taken += 1
        self._unbegun += 1
        return Turn(self)

    def begin(self) -> float:
        """Begin a turn that was taken; return when that is."""
        self._unbegun -= 1
        self._last = self._clock()
        self._begun.append(self._last)
        return self._last

    def end(self, begun: float | None) -> None:
        """End a turn; `begun` says when it began, None if it never did."""
        self._taken -= 1
        if begun is None:
            self._unbegun -= 1
        else:
            took = self._clock() - begun
            self._mean = took if self._mean is None else (3 * self._mean + took) / 4
        self._call()

    @property
    def is_crowded(self) -> bool:
        """Whether the line is so long that nobody should wait in it."""
        return len(self._line) >= _LONGEST_LINE

    async def wait(self) -> Turn | None:
        """Wait in the line for a turn, and take it; return None if that takes too long."""
        place: asyncio.Future[Turn | None] = asyncio.get_running_loop().create_future()
        self._line.append(place)
        self._call()
        place.get_loop().call_later(_PATIENCE, self._lose_patience, place, self._clock())
        try:
            return await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled() and (turn := place.result()):
                turn.end()
            raise
        finally:
            if place in self._line:
                self._line.remove(place)

    def send_all_away(self) -> None:
        """Let nobody wait any longer."""
        for place in [*self._line]:
            self._send_away(place)

    def place(self) -> float:
        """Return the seconds for which one that is postponed should wait for its turn."""
        now, apart = self._clock(), self._apart() * _DENSITY
        end = max(self._places_end, now)
        self._places_end = end + (apart if end < now + _EXACT else min(apart, _CLOSEST))
        return max(self._places_end - now, _SOONEST)

    def _apart(self) -> float:
        """Return the seconds from one turn to the next, as far as is known."""
        by_rate = 0 if self._rate is None else self._rate.seconds / self._rate.runs
        by_runs = 0 if self._mean is None else self._mean / self._most
        # Nothing has begun for so long, although somebody waits.
        return max(by_rate, by_runs, self._clock() - self._last if self._taken else 0)

    def _free_in(self) -> float:
        """Return the seconds until a turn may be taken; infinite while as many run as may."""
        if self._taken >= self._most:
            return float("inf")
        rate = self._rate
        if rate is None or len(self._begun) + self._unbegun < rate.runs:
            return 0
        # The turns that are taken and not begun will push out the oldest ones.
        if self._unbegun >= rate.runs:
            return float("inf")
        return max(0, self._begun[self._unbegun - rate.runs] + rate.seconds - self._clock())

    def _call(self) -> None:
        """Give turns to the first in the line; set a timer if the next one has to wait for the rate."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._line:
            seconds = self._free_in()
            if seconds > 0:
                if seconds < float("inf"):
                    self._timer = self._line[0].get_loop().call_later(seconds, self._call)
                return
            place = self._line.popleft()
            if not place.done():
                place.set_result(self._turn())

    def _lose_patience(self, place: asyncio.Future[Turn | None], since: float) -> None:
        if place in self._line:
            if place is self._line[0] and self._clock() - since < _PATIENCE_OF_FIRST:
                place.get_loop().call_later(_PATIENCE, self._lose_patience, place, since)
            else:
                self._send_away(place)

    def _send_away(self, place: asyncio.Future[Turn | None]) -> None:
        self._line.remove(place)
        if not place.done():
            place.set_result(None)


class Turn:
    """The turn of one run, which was taken. It begins, and ends; or ends before it has begun."""

    def __init__(self, limiter: Limiter) -> None:
        self._limiter = limiter
        self._begun: float | None = None

    def begin(self) -> None:
        """Begin it: from now on it counts in the rate."""
        self._begun = self._limiter.begin()

    def end(self) -> None:
        """End it, and let the next one have its turn."""
        self._limiter.end(self._begun)


class Limiters:
    """The limiters of all handlers of a receiver in this process.

    Args:
        clock: returns the time in seconds, from any starting point.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._by_name: dict[str, Limiter] = {}

    def of(self, handler: str, limits: Limits) -> Limiter:
        """Return the limiter of a handler, by its name."""
        found = self._by_name.get(handler)
        if found is None:
            found = self._by_name[handler] = Limiter(limits, self._clock)
        return found

    def take_all(self, handlers: Mapping[str, Limits]) -> list[Turn] | float:
        """Take a turn of each of these handlers, or of none; then return the seconds after which there may be one."""
        turns: list[Turn] = []
        for limiter in [self.of(name, limits) for name, limits in handlers.items()]:
            turn = limiter.take()
            if turn is None:
                for each in turns:
                    each.end()
                return limiter.place()
            turns.append(turn)
        for turn in turns:
            turn.begin()
        return turns

    def send_all_away(self) -> None:
        """Let nobody wait for a turn any longer."""
        for limiter in self._by_name.values():
            limiter.send_all_away()


class Turns(Generic[D]):
    """The turns that the deliveries of one worker take, and wait for without a slot.

    Args:
        free_slot: gives the slot of a delivery in flight back.
        take_slot: waits for a slot for it.
        clock: returns the time in seconds, from any starting point.
    """

    def __init__(
        self,
        free_slot: Callable[[D], None],
        take_slot: Callable[[D], Awaitable[None]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.waiting = 0
        """The number of deliveries that wait."""
        self._limiters = Limiters(clock)
        self._free_slot = free_slot
        self._take_slot = take_slot
        self._stopped = False

    async def take(self, handler: str, limits: Limits, delivery: D) -> Turn | float:
        """Take a turn for a delivery in flight, at once or after a while in the line.

        Args:
            handler: the handler's name.
            limits: its limits.
            delivery: the delivery, which has a slot.

        Returns:
            The turn; or the seconds for which the delivery should be postponed. In both cases it has a slot.

        Raises:
            asyncio.CancelledError: the delivery's task was cancelled; it has no turn, and no slot.
        """
        limiter = self._limiters.of(handler, limits)
        turn = limiter.take()
        if turn is None and not self._stopped and not limiter.is_crowded:
            turn = await self._wait(limiter, delivery)
        if turn is not None:
            return turn
        return 0 if self._stopped else limiter.place()  # another process may run it at once

    async def take_alone(self, delivery: D) -> Turn | float:
        """Take, and begin, the only turn there is for deliveries with which the process died twice; else as `take`."""
        turn = await self.take(*_DIED_TWICE, delivery)
        if isinstance(turn, Turn):
            turn.begin()
        return turn

    async def _wait(self, limiter: Limiter, delivery: D) -> Turn | None:
        turn = None
        self.waiting += 1
        self._free_slot(delivery)
        try:
            turn = await limiter.wait()
            await self._take_slot(delivery)
        except BaseException:
            if turn is not None:
                turn.end()
            raise
        finally:
            self.waiting -= 1
        return turn

    def stop(self) -> None:
        """Let nobody wait any longer, since the worker stops."""
        self._stopped = True
        self._limiters.send_all_away()
