"""Handling what is in an inbox when a test says so: one delivery at a time, by a clock that the test moves."""

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
from ..worker.executor import Dispatcher, Executor, InFlight


class Clock:
    """A clock that stands still, at the time when it was made, until it is moved. It never goes back."""

    def __init__(self) -> None:
        self._now = time.time()

    def __call__(self) -> float:
        return self._now

    def __repr__(self) -> str:
        return f"<Clock at {self._now}>"

    @property
    def now(self) -> float:
        """The time that it shows, in Unix seconds."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass.

        Raises:
            ValueError: they are negative.
        """
        if seconds < 0:
            raise ValueError(f"the clock goes on by a number of seconds from 0 up, not {seconds!r}")
        self._now += seconds

    def advance_to(self, now: float) -> None:
        """Let time pass until then; nothing if that is past already."""
        self._now = max(self._now, now)


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one handler."""

    handler: str
    """The handler's name, `module:qualname` unless it was given one."""
    attempt: int
    delivery: str
    """The delivery's id."""
    event: Event = field(repr=False)
    error: BaseException | None = None
    """What it raised; None if it ended well."""


class Watching:
    """A receiver as its runtime sees it while it is rehearsed: `note` hears how each attempt of a handler ended."""

    def __init__(self, hooks: WebhookReceiver, note: Callable[[Run], None]) -> None:
        self._hooks = hooks
        self._note = note

    def parse(self, body: bytes, headers: Headers = ()) -> Event:
        """Return the event that a delivery is, or raise NotAnEvent."""
        return self._hooks.parse(body, headers)

    def match(self, event: Event) -> tuple[Handler, ...]:
        """Return the handlers that want it."""
        return self._hooks.match(event)

    @property
    def handlers(self) -> tuple[Handler, ...]:
        """All handlers there are."""
        return self._hooks.handlers

    @property
    def dead_letter_handlers(self) -> tuple[DeadLetterHandler, ...]:
        """The handlers of dead letters."""
        return self._hooks.dead_letter_handlers

    @property
    def middlewares(self) -> tuple[Middleware, ...]:
        """The receiver's own middleware, and round it one that notes how each attempt ended."""
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
                event = self._hooks.parse(attempt.delivery.body, attempt.delivery.headers)
                self._note(Run(attempt.handler, attempt.number, attempt.delivery.id, event, error))

    @property
    def order_check(self) -> OrderCheck | None:
        """What has to confirm an uncovered body before a handler runs."""
        return self._hooks.order_check


class Driver:
    """Does what a worker does, with the same rules, when it is told to.

    Args:
        inbox: where the deliveries are.
        source: the receiver's name.
        handlers: who says what a delivery is and who wants it.
        options: how the receiver's own worker works.
        clock: what is moved while handlers wait for their next attempt.
    """

    def __init__(self, inbox: Inbox, receiver: str, handlers: Dispatcher, options: WorkerOptions, clock: Clock) -> None:
        self._inbox = inbox
        self._source = receiver
        self._handlers = handlers
        self._options = options
        self._clock = clock
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget all that is in no inbox, as with the process that it was in."""
        self._outcome: asyncio.Future[Settlement | None] | None = None
        self._handling = Executor(self._inbox, self._handlers, self._options, self._clock, self._leave_behind)

    async def handle_due(self) -> None:
        """Handle all that is due by now, one delivery after the other."""
        while claim := await self._claim():
            outcome = await self._handle(claim)
            if outcome is not None:
                await self._inbox.settle(outcome, self._clock())

    async def handle_in_vain(self) -> None:
        """Handle all that is due, but keep nothing of it, as when the process dies after that."""
        while claim := await self._claim():
            await self._handle(claim)

    async def drain(self) -> None:
        """Handle all that is due or will be, moving the clock on whenever something has to wait."""
        await self.handle_due()
        while (due := await self._next_due()) is not None:
            self._clock.advance_to(due)
            await self.handle_due()

    async def _claim(self) -> Claim | None:
        self._handling.paused = await self._inbox.paused()
        claims = await self._inbox.claim(self._source, 1, self._options.lease, self._clock())
        return claims[0] if claims else None

    async def _next_due(self) -> float | None:
        """Return when something is due that is not yet; what is due already waits for its turn, or for a resume."""
        found = await self._inbox.find(Filter(receiver=self._source, states={State.WAITING, State.DEAD}))
        return min((each.due for each in found if each.due is not None and each.due > self._clock()), default=None)

    async def _handle(self, claim: Claim) -> Settlement | None:
        case = InFlight(claim)
        outcome: asyncio.Future[Settlement | None] = asyncio.get_running_loop().create_future()
        self._outcome = outcome
        case.task = asyncio.create_task(self._run(case, outcome))
        try:
            return await outcome
        finally:
            if outcome.cancelled():
                case.task.cancel()

    async def _run(self, case: InFlight, outcome: asyncio.Future[Settlement | None]) -> None:
        try:
            found = await self._handling.handle(case)
        except BaseException as error:
            if not outcome.done():
                outcome.set_exception(error)
        else:
            if not outcome.done():
                outcome.set_result(found)

    def _leave_behind(self, case: InFlight, outcome: Settlement) -> None:
        """Go on without a handler that ignores that its time is up."""
        if self._outcome is not None and not self._outcome.done():
            self._outcome.set_result(outcome)
