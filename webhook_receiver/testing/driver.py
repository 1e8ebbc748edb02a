"""The driver of a rehearsal: it handles stored deliveries one at a time, when a test says so, by the test's clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ..delivery import Attempt, Headers
from ..events import Event
from ..inbox.base import Inbox
from ..inbox.records import DEAD_LETTER_HANDLER, Claim, Filter, Settlement, State
from ..options import WorkerOptions
from ..receiver import WebhookReceiver
from ..routing import CallNext, DeadLetterHandler, Handler, Middleware
from ..senders.order_check import OrderCheck
from ..worker.dispatcher import Dispatcher
from ..worker.executor import Executor, InFlight


class Clock:
    """A clock that stands still until it is moved forward. It begins at the real time when it is made."""

    def __init__(self) -> None:
        self._now = time.time()

    def __call__(self) -> float:
        return self._now

    def __repr__(self) -> str:
        return f"<Clock at {self._now}>"

    @property
    def now(self) -> float:
        """The time of the clock, in Unix seconds."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move the clock forward.

        Args:
            seconds: the number of seconds.

        Raises:
            ValueError: the number is negative.
        """
        if seconds < 0:
            raise ValueError(f"a clock advances by a number of seconds from 0 up, not {seconds!r}")
        self._now += seconds

    def advance_to(self, now: float) -> None:
        """Move the clock forward to a time in Unix seconds; a time that is past changes nothing."""
        self._now = max(self._now, now)


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one handler."""

    handler: str
    """The handler's name: `module:qualname`, or the name that it was registered with."""
    attempt: int
    """The number of the attempt, 1 for the first."""
    delivery: str
    """The delivery's id."""
    event: Event = field(repr=False)
    """The event that the handler was given."""
    error: BaseException | None = None
    """The exception that the handler raised; None if it succeeded."""


class Watching:
    """A dispatcher that passes on to a receiver, and records each run of a handler.

    Args:
        hooks: the receiver.
        note: a function that is called with each run at its end.
    """

    def __init__(self, hooks: WebhookReceiver, note: Callable[[Run], None]) -> None:
        self._hooks = hooks
        self._note = note

    def parse(self, body: bytes, headers: Headers = (), part: int = 0) -> Event:
        """Return an event in a body, or raise NotAnEvent."""
        return self._hooks.parse(body, headers, part)

    def parse_all(self, body: bytes, headers: Headers) -> list[Event | Exception]:
        """Return all events in a body, and an error for each part that is none."""
        return self._hooks.parse_all(body, headers)

    def number_of_events(self, body: bytes, headers: Headers) -> int:
        """Return the number of events in a body."""
        return self._hooks.number_of_events(body, headers)

    def match(self, event: Event) -> tuple[Handler, ...]:
        """Return the handlers of an event, in the order in which they run."""
        return self._hooks.match(event)

    @property
    def handlers(self) -> tuple[Handler, ...]:
        """All handlers of the receiver."""
        return self._hooks.handlers

    @property
    def dead_letter_handlers(self) -> tuple[DeadLetterHandler, ...]:
        """The dead-letter handlers of the receiver."""
        return self._hooks.dead_letter_handlers

    @property
    def middlewares(self) -> tuple[Middleware, ...]:
        """A middleware that records each run of a handler, and inside it those of the receiver."""
        return (Middleware(self._watch), *self._hooks.middlewares)

    async def _watch(self, attempt: Attempt, call_next: CallNext) -> None:
        error: BaseException | None = None
        try:
            await call_next()
        except BaseException as raised:
            error = raised
            raise
        finally:
            if not attempt.handler.startswith(DEAD_LETTER_HANDLER):
                delivery = attempt.delivery
                event = self._hooks.parse(delivery.body, delivery.headers, delivery.part)
                self._note(Run(attempt.handler, attempt.number, delivery.id, event, error))

    @property
    def order_check(self) -> OrderCheck | None:
        """The order check of the receiver; None without one."""
        return self._hooks.order_check


class Driver:
    """A worker by the same rules as the real one, which works only when a method is called.

    Args:
        inbox: the inbox with the deliveries.
        receiver: the receiver's name.
        dispatcher: the receiver's parser of deliveries, and its handlers.
        options: the options of the receiver's own worker.
        clock: the clock, which is moved on while handlers wait for their next attempt.
    """

    def __init__(
        self, inbox: Inbox, receiver: str, dispatcher: Dispatcher, options: WorkerOptions, clock: Clock
    ) -> None:
        self._inbox = inbox
        self._receiver = receiver
        self._dispatcher = dispatcher
        self._options = options
        self._clock = clock
        self.restart()

    def restart(self) -> None:
        """Forget all that is not in the inbox, as a process does that dies and is started again."""
        self._settlement: asyncio.Future[Settlement | None] | None = None
        clock = self._clock
        self._executor = Executor(self._inbox, self._dispatcher, self._options, clock, clock, self._abandon)

    async def handle_due(self) -> None:
        """Handle the deliveries that are due, one after the other."""
        while claim := await self._claim():
            settlement = await self._handle(claim)
            if settlement is not None:
                await self._inbox.settle(settlement, self._clock())

    async def handle_without_settling(self) -> None:
        """Handle the deliveries that are due, and settle none, as when the process dies in between."""
        while claim := await self._claim():
            await self._handle(claim)

    async def drain(self) -> None:
        """Handle all deliveries until none is due or will be, and move the clock over each wait."""
        await self.handle_due()
        while (due := await self._next_due()) is not None:
            self._clock.advance_to(due)
            await self.handle_due()

    async def _claim(self) -> Claim | None:
        self._executor.paused = await self._inbox.paused()
        claims = await self._inbox.claim(self._receiver, 1, self._options.lease, self._clock())
        return claims[0] if claims else None

    async def _next_due(self) -> float | None:
        """Return the next due time in Unix seconds, or None. Deliveries that are due already wait for a resume."""
        found = await self._inbox.find(Filter(receiver=self._receiver, states={State.WAITING, State.DEAD}))
        return min((each.due for each in found if each.due is not None and each.due > self._clock()), default=None)

    async def _handle(self, claim: Claim) -> Settlement | None:
        in_flight = InFlight(claim)
        settlement: asyncio.Future[Settlement | None] = asyncio.get_running_loop().create_future()
        self._settlement = settlement
        in_flight.task = asyncio.create_task(self._run(in_flight, settlement))
        try:
            return await settlement
        finally:
            if settlement.cancelled():
                in_flight.cut_off()

    async def _run(self, in_flight: InFlight, settlement: asyncio.Future[Settlement | None]) -> None:
        try:
            found = await self._executor.handle(in_flight)
        except BaseException as error:
            if not settlement.done():
                settlement.set_exception(error)
        else:
            if not settlement.done():
                settlement.set_result(found)

    def _abandon(self, in_flight: InFlight, settlement: Settlement) -> None:
        """Settle a delivery whose handler ignores that its time is up."""
        if self._settlement is not None and not self._settlement.done():
            self._settlement.set_result(settlement)
