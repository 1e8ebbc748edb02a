"""Handling one claimed delivery: its handlers are run one after the other, in their time, and noted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable, Sequence
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from ..errors import GiveUp, InboxError, NotAnEvent, Retry, Unconfirmed
from ..events import Event
from ..inbox.base import Inbox
from ..inbox.records import Claim, Settlement, State
from ..options import WorkerOptions
from ..redaction import log_failure
from ..routing import DeadLetterHandler, Handler
from ..senders.order_check import OrderCheck
from .circuit_breaker import CircuitBreakers
from .progress import DeliveryProgress, ProcessEnded, Runnable

logger = logging.getLogger("webhook_receiver")

_GRACE = 5.0  # seconds that a handler has to end when its time is up and it was cancelled

Start = Callable[[int], Awaitable[object]]
"""Begins the run with this number."""


class Dispatcher(Protocol):
    """Who says what a delivery is and who wants it: the receiver."""

    def parse(self, body: bytes, headers: Sequence[tuple[bytes, bytes]] = ()) -> Event:
        """Return the event that a delivery is, or raise NotAnEvent."""
        ...

    def match(self, event: Event) -> Sequence[Handler]:
        """Return the handlers that want it."""
        ...

    @property
    def handlers(self) -> Sequence[Handler]:
        """Return all there are."""
        ...

    @property
    def dead_letter_handlers(self) -> Sequence[DeadLetterHandler]:
        """Return who wants to hear of dead letters."""
        ...

    @property
    def confirmation(self) -> OrderCheck | None:
        """Return what has to confirm an uncovered body before a handler runs."""
        ...


@dataclass(eq=False, slots=True)
class InFlight:
    """A delivery that we have a lease on, and where it is."""

    claim: Claim
    next: Claim | None = None
    """A newer lease on it that came while this one was worked on."""
    task: asyncio.Task[None] = field(init=False)
    was_ready: bool = False
    """It waited for a slot already when the leases were renewed last."""
    has_begun: bool = False
    has_slot: bool = False
    work: DeliveryProgress | None = None
    handler: Runnable | None = None
    """The handler that is running."""
    started: float = 0
    timeout: float = 0
    timed_out: bool = False
    abandoned: bool = False


class LeaseLost(Exception):
    """Another worker has the delivery now."""


class Executor:
    """How deliveries are handled in this process.

    Args:
        inbox: where a run is noted before it begins, if need be.
        handlers: who says what a delivery is and who wants it.
        options: how long a run may take, and when the next one is.
        clock: returns the time in Unix seconds.
        abandon: called with the outcome of a case whose handler does not end although its time is up.
    """

    def __init__(
        self,
        inbox: Inbox,
        handlers: Dispatcher,
        options: WorkerOptions,
        clock: Callable[[], float],
        abandon: Callable[[InFlight, Settlement], None],
    ) -> None:
        self.paused: frozenset[str] = frozenset()
        self._inbox = inbox
        self._handlers = handlers
        self._options = options
        self._clock = clock
        self._abandon = abandon
        self._circuits = CircuitBreakers(options.breaker)
        self._running: dict[asyncio.Task[Any] | None, InFlight] = {}
        self._deadlines = Timeouts(self._time_is_up)

    def handler_of(self, task: asyncio.Task[Any] | None) -> str | None:
        """Return the name of the handler that a task is running."""
        case = self._running.get(task)
        return case.handler.name if case is not None and case.handler is not None else None

    def stop(self) -> list[str]:
        """Nothing more is to be run; return the names of the handlers that still are."""
        self._deadlines.stop()
        return [name for task in [*self._running] if (name := self.handler_of(task)) is not None]

    async def handle(self, case: InFlight) -> Settlement | None:
        """Return what became of it; None if that is not ours to say any more.

        When it is cancelled, or the inbox fails, it is what was reached until then, and the rest is to run again.
        """
        task = asyncio.current_task()
        self._running[task] = case
        try:
            return await self._outcome(case)
        except asyncio.CancelledError:
            if case.work is None or case.abandoned:
                raise
        except InboxError as error:
            if case.work is None:
                raise
            logger.error("delivery %s: %s", case.claim.delivery.id, error)
            case.work.delay(self._clock() + self._options.poll)
        except LeaseLost:
            logger.warning("delivery %s: its lease was lost, another worker has it", case.claim.delivery.id)
            return None
        finally:
            del self._running[task]
        return self._reached(case.work)

    def _reached(self, work: DeliveryProgress) -> Settlement:
        return work.outcome(self._clock(), self.paused, notify=bool(self._handlers.dead_letter_handlers))

    async def _outcome(self, case: InFlight) -> Settlement | None:
        delivery = case.claim.delivery
        if case.claim.state is State.DEAD:
            return await self._notify(case)
        try:
            event = self._handlers.parse(delivery.body, delivery.headers)
        except Exception as error:
            if not isinstance(error, NotAnEvent):
                log_failure(f"delivery {delivery.id}: a validator failed", error)
            work = DeliveryProgress(case.claim, (), self._options.backoff)
            return work.buried(no_event(error), notify=bool(self._handlers.dead_letter_handlers))
        handlers = self._handlers.match(event)
        work = case.work = DeliveryProgress(case.claim, handlers, self._options.backoff)
        first = self._handlers.confirmation
        if first is not None and not await self._is_confirmed(first, case, work, event):
            return None if case.abandoned else self._reached(work)
        for handler in handlers:
            await self._attempt(case, work, handler, partial(handler.call, event, delivery))
            if case.abandoned:
                return None
        outcome = self._reached(work)
        _log(outcome, event, handlers)
        return outcome

    async def _is_confirmed(self, first: OrderCheck, case: InFlight, work: DeliveryProgress, event: Event) -> bool:
        """Whether handlers may run: nothing has to confirm the delivery, or it is confirmed."""
        if not first.is_about(event, case.claim.delivery) or not work.is_any_due(self._clock(), self.paused):
            return True  # there is nothing to ask, or nobody would run
        work.require(first)
        await self._attempt(case, work, first, lambda number: first.call(event))
        return work.of(first).state is State.DONE

    async def _notify(self, case: InFlight) -> Settlement | None:
        """Tell those who want to hear of it that a delivery is dead."""
        dead_letter_handlers = self._handlers.dead_letter_handlers
        work = case.work = DeliveryProgress(case.claim, dead_letter_handlers, self._options.backoff)
        kept = await self._inbox.get(case.claim.delivery.id) if dead_letter_handlers else None
        attempts = kept.attempts if kept is not None else ()
        for notice in dead_letter_handlers:
            await self._attempt(case, work, notice, partial(notice.call, case.claim.delivery, attempts))
            if case.abandoned:
                return None
        return self._reached(work)

    async def _attempt(self, case: InFlight, work: DeliveryProgress, handler: Runnable, start: Start) -> None:
        """Run one handler, if it is due and nothing keeps it from running."""
        now = self._clock()
        if not work.is_due(handler, now) or handler.name in self.paused:
            return
        if work.of(handler).running:
            logger.error("delivery %s: the process ended while %s ran", case.claim.delivery.id, handler.name)
            work.failed(handler, ProcessEnded("the process ended while it ran"), now, now)
            if not work.is_due(handler, now):
                return
        circuit = self._circuits.of(handler.name)
        if circuit is not None and (wait := circuit.wait(now)):
            work.postpone(handler, now + wait)
            return
        number = work.begin(handler)
        try:
            if work.is_careful and not await self._inbox.save_progress(case.claim, work.progress, now):
                raise LeaseLost
            error = await self._run(case, handler, partial(start, number))
        except BaseException:
            if not case.abandoned:
                work.undo(handler)
                if circuit is not None:
                    circuit.undecided()
            raise
        if case.abandoned:
            return
        self._tell_circuit(handler, error)
        if error is None:
            work.done(handler)
        else:
            work.failed(handler, error, case.started, self._clock())

    async def _run(
        self, case: InFlight, handler: Runnable, start: Callable[[], Awaitable[object]]
    ) -> BaseException | None:
        """Run it for no longer than its time; return what it raised."""
        case.handler, case.started, case.timed_out = handler, self._clock(), False
        case.timeout = self._options.timeout if handler.timeout is None else handler.timeout
        self._deadlines.begin(case, case.timeout)
        try:
            error = await run(start, handler.name, case.claim.delivery.id)
        except asyncio.CancelledError:
            if not case.timed_out or case.task.cancelling() > 1:
                raise
            error = _late(case)
            logger.error("delivery %s: %s: %s", case.claim.delivery.id, handler.name, error)
        finally:
            self._deadlines.end(case)
            case.handler = None
        if case.timed_out:
            case.task.uncancel()
        return error

    def _time_is_up(self, case: InFlight) -> None:
        case.timed_out = True
        case.task.cancel()
        loop = asyncio.get_running_loop()
        loop.call_later(min(_GRACE, case.timeout), self._leave_behind, case, case.handler, case.started)

    def _leave_behind(self, case: InFlight, handler: Runnable | None, started: float) -> None:
        """Go on without a handler that ignores that it was cancelled."""
        if handler is None or case.handler is not handler or case.started != started or case.work is None:
            return
        logger.error("delivery %s: %s ignores that its time is up", case.claim.delivery.id, handler.name)
        case.abandoned = True
        error = _late(case)
        self._tell_circuit(handler, error)
        case.work.failed(handler, error, started, self._clock())
        self._abandon(case, self._reached(case.work))

    def _tell_circuit(self, handler: Runnable, error: BaseException | None) -> None:
        if not isinstance(handler, DeadLetterHandler):  # which has nothing else to wait for
            self._circuits.tell(handler.name, error, self._clock())


def no_event(error: Exception) -> str:
    """Return why a body is no event, in words that hold nothing of it: what a validator raised may."""
    return str(error) if isinstance(error, NotAnEvent) else f"a validator failed with {type(error).__name__}"


def _late(case: InFlight) -> TimeoutError:
    return TimeoutError(f"it took more than {case.timeout:g} s")


def _log(outcome: Settlement, event: Event, handlers: Sequence[Handler]) -> None:
    if logger.isEnabledFor(logging.INFO):
        names = ", ".join(handler.name for handler in handlers) or "no handler"
        logger.info("delivery %s: %s: %s: %s", outcome.claim.delivery.id, type(event).__name__, names, outcome.state)


async def run(start: Callable[[], Awaitable[object]], name: str, delivery: str) -> BaseException | None:
    """Run a handler, which `start` calls, for the delivery of this id; return what it raised, None if it is done."""
    try:
        await start()
    except Retry as raised:
        logger.info("delivery %s: %s wants to %s", delivery, name, raised)
        return raised
    except GiveUp as raised:
        logger.warning("delivery %s: %s gave up: %s", delivery, name, raised)
        return raised
    except Unconfirmed as raised:
        logger.warning("delivery %s: %s: not yet: %s", delivery, name, raised)
        return raised
    except (KeyboardInterrupt, GeneratorExit):
        raise  # the process ends, or this coroutine does
    except BaseException as raised:
        # Whoever stops us cancels us. A cancellation of the handler's own making is a failure, as is sys.exit().
        if isinstance(raised, asyncio.CancelledError) and _is_cancelled():
            raise
        log_failure(f"delivery {delivery}: {name} failed", raised)
        return raised
    return None


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


K = TypeVar("K", bound=Hashable)

_NEVER = float("inf")
_TICK = 0.001  # seconds: the clock of some event loops goes by milliseconds


class Timeouts(Generic[K]):
    """Tells of what has not ended in its time. One event loop uses it at a time: what began in another is forgotten.

    Args:
        is_up: called with what was given to `begin`, once, as soon as its time is up.
    """

    def __init__(self, is_up: Callable[[K], None]) -> None:
        self._is_up = is_up
        self._context = copy_context()  # not that of the task which happens to set the timer
        self._ends: dict[K, float] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._rings = _NEVER
        """When the timer does: at the first of the ends or before, since it is left alone when something ends."""

    def begin(self, what: K, seconds: float) -> None:
        """From now on it has so many seconds."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._ends, self._timer, self._rings = loop, {}, None, _NEVER
        ends = self._ends[what] = loop.time() + seconds
        if ends < self._rings:
            self._ring_at(ends, loop)

    def end(self, what: K) -> None:
        """It has ended, in its time or not."""
        self._ends.pop(what, None)

    def stop(self) -> None:
        """Leave no timer behind for nothing; what still begins sets another one."""
        if self._timer is not None and not self._ends:
            self._timer.cancel()
            self._rings = _NEVER

    def _ring_at(self, when: float, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings = when
        self._timer = loop.call_at(when, self._ring, loop, context=self._context)

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        if loop is not self._loop:
            return
        now, self._rings = loop.time(), _NEVER
        late = [what for what, ends in self._ends.items() if ends <= now]
        for what in late:
            del self._ends[what]
        if self._ends:
            self._ring_at(max(min(self._ends.values()), now + _TICK), loop)
        for what in late:
            self._is_up(what)
