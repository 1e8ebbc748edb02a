"""What all simulators have: webhooks, deliveries to them, faults, and work in the background."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, TypeVar

from ..errors import ApiError
from ..logs import log_failure
from .faults import FaultPlan, Sleep
from .options import SimulatorOptions
from .scheduler import OnAttempt, Scheduler
from .store import Outgoing, SendAttempt, Store

M = TypeVar("M")


def ignored(outgoing: Outgoing, attempt: SendAttempt) -> None:
    """Do nothing: the default of `on_attempt`."""


class BaseSimulator:
    """The base class of simulators. Deliveries are made within `async with`.

    Args:
        options: the simulator's options.
        state: the file that holds everything; memory if None.
        clock: returns the time in Unix seconds; for tests.
        sleep: waits for a number of seconds; for tests.
        on_attempt: called after each attempt of a delivery.

    Raises:
        ConfigurationError: the file cannot be used.
    """

    def __init__(
        self,
        options: SimulatorOptions,
        *,
        state: Path | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Sleep = asyncio.sleep,
        on_attempt: OnAttempt = ignored,
    ) -> None:
        self.options = options
        self.clock = clock
        self.store = Store(state)
        self.scheduler = Scheduler(self.store, self.options, clock=clock, sleep=sleep, on_attempt=on_attempt)
        self._sleep = sleep
        self._walks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self.scheduler.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        for walk in self._walks:
            walk.cancel()
        await asyncio.gather(*self._walks, return_exceptions=True)
        await self.scheduler.__aexit__()

    def close(self) -> None:
        """Close the file that holds the simulator's state."""
        self.store.close()

    @property
    def now(self) -> datetime:
        """The time by the simulator's clock."""
        return datetime.fromtimestamp(self.clock(), UTC)

    @property
    def faults(self) -> FaultPlan:
        """The fault plan of the deliveries that are made from now on; may be set."""
        return self.store.faults

    @faults.setter
    def faults(self, faults: FaultPlan) -> None:
        self.scheduler.use(faults)

    def delivery(self, delivery_id: str) -> Outgoing:
        """Return a delivery with its attempts.

        Raises:
            ApiError: there is no delivery of this id.
        """
        return known(self.store.outgoing.get(delivery_id), "delivery", delivery_id)

    def replay(self, delivery_id: str) -> Outgoing:
        """Deliver the same body again; return the new delivery.

        Raises:
            ApiError: there is no delivery of this id.
        """
        return self.scheduler.replay(self.delivery(delivery_id))

    def _walk_on(self, walk: Coroutine[Any, Any, None]) -> None:
        """Let an order walk through its statuses in the background."""
        task = asyncio.create_task(walk)
        self._walks.add(task)
        task.add_done_callback(self._walked)

    def _walked(self, task: asyncio.Task[None]) -> None:
        self._walks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log_failure("a walk has ended early", error)


def known(found: M | None, what: str, id: str) -> M:
    """Return what was found under an id.

    Args:
        found: what was found; None for nothing.
        what: what was looked for, such as "order".
        id: the id.

    Raises:
        ApiError: nothing was found.
    """
    if found is None:
        raise ApiError(f"there is no {what} {id[:64]!r}", status=404)
    return found
