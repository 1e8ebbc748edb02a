"""The executor: runs the handlers of one claimed delivery and returns its settlement.

Theory of operation
-------------------

The worker claims a delivery under a lease, calls `Executor.handle` in a task of the delivery's own, and settles what
that returns. Nothing here settles, renews or releases.

**What is run.** The state in the claim decides:

- WAITING: the body is parsed and matched anew, by the code of today; events in it that an older `split` left out are
  stored first. One that is no event makes the delivery DEAD. No handler for it makes it UNHANDLED. Else the order check
  runs first, where `confirm=` asks for one and the body is not verified; then the handlers, the most specific first,
  one after the other. One that fails does not stop the next.
- DEAD: the dead-letter handlers run, in order of registration. The delivery stays DEAD whatever becomes of them.

A handler is run if it is WAITING, its `due` has come, it is not paused, and its circuit breaker lets it; so a delivery
that is tried again runs only what is left. The delivery becomes DONE when all its handlers are; WAITING while one of
them is; DEAD when none is WAITING and one is DEAD. The order check decides alone until it is DONE: if it ends DEAD, so
does the delivery, and no handler has run.

**An attempt**, in this order: a handler with limits waits for its turn, without a slot (if that would take long it is
postponed and nothing is counted, see `limits.py`); the breaker is asked (if it is open, likewise); if the lease may be
over, for the process was stopped or the inbox has failed, it is renewed; a number is given; the run is saved in the
inbox if that was so, or a process died with this delivery before; the timeout begins; the middleware runs, the
first registered outermost, and inside it the handler, on the loop or in a thread; the timeout ends; the breaker and
`DeliveryProgress` record how it ended. A handler that returns is DONE. With `Retry` it is WAITING for that long, with
any other exception by its `Backoff`, and in both cases DEAD when its attempts are used up; with `GiveUp` it is DEAD at
once. The order check is an attempt, too, but no handler of the user's: no middleware runs round it. Dead-letter
handlers have middleware, but no breaker: they have nothing else to wait for.

**What is written, and when.** Progress is kept in memory and written at once, by the settlement: the state of each
handler, the failed attempts, and when the delivery is due again. So the common delivery costs no write but this one.
The exception is `Inbox.save_progress`, before each attempt, once a lease on the delivery has ended without a word, or
may have: it keeps the states reached so far, and that this handler is running. What it says is also how an executor
knows that no other process has the delivery: no handler begins beside those of another one. While the inbox fails
nobody knows, and the rest waits.

**What a crash leaves behind.** Nothing repairs it: the lease ends, and the next claim counts it in `crashes`.

- Before an attempt, or between two: what was run since the claim, or the last save, is forgotten, and runs again under
  the same numbers. That is the "at least once" of this package, and what `Attempt.idempotency_key` is for.
- During an attempt, the first time: the same. Afterwards: the saved progress says which handler ran, and the next
  claim records `ProcessEnded` as its failed attempt. A handler that kills the process thus ends DEAD. The first
  death of a delivery that was born leased is not counted: nothing had been written about it.
- After the last attempt, before the settlement is committed: as between two attempts. After it: nothing is lost.

A process that stops in good order waits for the attempt, and then cuts the task off: the attempt is uncounted (`undo`),
and what was reached until then is settled. So it is when a save fails, and the rest is due a little later. When a save
says that the lease is lost nothing is settled, since another worker has the delivery.

**Cancellation.** Whoever cancels the task for the worker says so: `InFlight.cut_off`, or the timeout. Any other
cancellation is a failed attempt: the handler cancels its own task, or waits for one that was cancelled. What it came to
is settled at once, and the other handlers run under the next claim, for the event loop may be about to end. One that
the handler swallowed, or never came to, is taken back before the next handler runs.

**Timeouts.** When an attempt's time is up, its task is cancelled. What ends then is recorded: a TimeoutError if the
cancellation came through, success if the handler returned after all. A plain function's thread cannot be stopped; it
is left to end by itself, and while too many of a handler's go on, it is postponed and nothing is counted: retries would
start threads without end. An async handler, or middleware, that ignores the cancellation is left behind after the
grace time: the attempt has failed, the settlement goes to `abandon`, which takes over from the task, and whatever the
task does later changes nothing.

**Context variables.** The worker has the context of whoever started it; the first request, if that did, has nothing to
do with it. Each attempt has a copy of that for itself: no other handler's attempt sees what one sets, and no later one.

**Middleware** runs in the task and the context of its attempt, so it sees cancellation, its time counts, and context
variables that it sets are seen by the handler. It may fail an attempt and not save one: see `middleware.py`.

**The circuit breaker** of a handler counts its failures in this process, over all deliveries. `Retry`, `GiveUp` and
"not yet confirmed" say nothing about what the handler depends on, and are not counted.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import Any

from ..delivery import Delivery
from ..errors import InboxError, NotAnEvent
from ..events import Event
from ..inbox.base import Inbox
from ..inbox.counters import UNTIMED, Counters, bucket_of
from ..inbox.records import Claim, Settlement, State
from ..logs import fields, log_failure
from ..options import Limits, WorkerOptions
from ..routing import DeadLetterHandler, Handler, Middleware
from ..senders.order_check import OrderCheck
from .attempt import run
from .attempt_log import AttemptLog
from .circuit_breaker import CircuitBreakers
from .context import InOwnContext
from .dispatcher import Dispatcher
from .limits import Turn, Turns
from .middleware import Start, cancellations, inside, take_back
from .progress import DeliveryProgress, ProcessEnded, Runnable
from .timeouts import Timeouts

logger = logging.getLogger("webhook_receiver")

_OUTCOMES = {State.DONE: "done", State.WAITING: "retry", State.DEAD: "dead"}
_GRACE = 5.0  # seconds that a handler has to end when its time is up and it was cancelled
_MOST_LEFT_BEHIND = 16  # threads of a handler that go on although their time is up, or as many as there are slots
_UNTIL_THREADS_END = 10.0  # seconds for which a delivery is postponed then


class InFlight:
    """A delivery under a lease of this process, and how far it is."""

    task: asyncio.Task[None]

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.next: Claim | None = None
        """A newer lease on the delivery, claimed while this one was in flight."""
        self.leased_until = math.inf
        """Until when its lease is sure to run, by the clock of the inbox."""
        self.was_ready = False
        """Whether it waited for a slot already when the leases were renewed last."""
        self.leaves_nothing = False
        """Whether it is settled, and neither it nor another delivery is due because of that."""
        self.has_begun = False
        self.has_slot = False
        self.turn: Turn | None = None
        """Its turn among the deliveries with which the process died twice, of which one runs at a time."""
        self.progress: DeliveryProgress | None = None
        """None until the delivery is parsed."""
        self.handler: Runnable | None = None
        """The handler that is running."""
        self.started = 0.0
        """The begin of the attempt, by the clock of the inbox."""
        self.timeout = 0.0
        """The seconds that the attempt may take."""
        self.timed_out = False
        self.is_settling = False
        """Whether nothing is run any more, and what was reached is being written."""
        self.is_cut_off = False
        """Whether its worker has cancelled it, since it stops or has given the delivery back."""
        self.abandoned = False
        """Whether a handler ignored that its time was up, and the delivery was settled without it."""

    @property
    def is_running(self) -> bool:
        """Whether it has begun, and there is nothing to be written yet."""
        return self.has_begun and not self.is_settling

    def end_turn(self) -> None:
        """End its turn if it has one, so that the next one runs."""
        turn, self.turn = self.turn, None
        if turn is not None:
            turn.end()

    def cut_off(self) -> None:
        """Cancel the task for the worker. A cancellation by anybody else is a failed attempt of the handler."""
        self.is_cut_off = True
        self.task.cancel()


class LeaseLost(Exception):
    """Another worker has the delivery now."""


class Executor:
    """Runs the handlers of claimed deliveries, any number at a time; see the top of this module.

    Args:
        inbox: where progress is saved before an attempt begins, if need be.
        dispatcher: the receiver, which has the handlers.
        options: the timeouts, backoff and circuit breaker of handlers that have none of their own.
        clock: returns the time by which deliveries are due, in seconds.
        unix: returns the time in Unix seconds, for what is kept of attempts.
        abandon: called with a delivery in flight and its settlement when a handler ignores that its time is up.
        turns: the turns of handlers with limits; None to run them without, and not to mind how many threads go on.
        counters: count the attempts by how they ended, and how long they took.
        complete: stores the events of a delivery's body that are not stored, or raises NotAnEvent; None to store none.
        outermost: middleware that runs round that of the user's.
    """

    def __init__(
        self,
        inbox: Inbox,
        dispatcher: Dispatcher,
        options: WorkerOptions,
        clock: Callable[[], float],
        unix: Callable[[], float],
        abandon: Callable[[InFlight, Settlement], None],
        turns: Turns[InFlight] | None = None,
        counters: Counters | None = None,
        complete: Callable[[Delivery], Awaitable[None]] | None = None,
        outermost: tuple[Middleware, ...] = (),
    ) -> None:
        self.paused: frozenset[str] = frozenset()
        self._inbox = inbox
        self._dispatcher = dispatcher
        self._options = options
        self._clock = clock
        self._unix = unix
        self._abandon = abandon
        self._turns = turns
        self._complete = complete
        self._outermost = outermost
        self._counters = Counters(unix) if counters is None else counters
        self.breakers = CircuitBreakers(options.breaker)
        self._attempt_log = AttemptLog(clock)
        self._crowded: set[str] = set()
        """The names of the handlers that wait until a thread of theirs ends."""
        self._running: dict[asyncio.Task[Any] | None, InFlight] = {}
        self._timeouts = Timeouts(self._time_is_up)

    def handler_of(self, task: asyncio.Task[Any] | None) -> str | None:
        """Return the name of the handler that a task is running, None if it runs none."""
        in_flight = self._running.get(task)
        return in_flight.handler.name if in_flight is not None and in_flight.handler is not None else None

    def stop(self) -> list[str]:
        """Stop the timer, since nothing more is to be run; return the names of the handlers that still run."""
        self._timeouts.stop()
        return [name for task in [*self._running] if (name := self.handler_of(task)) is not None]

    async def handle(self, in_flight: InFlight) -> Settlement | None:
        """Return the settlement of a claimed delivery, or None when the lease was lost or a handler left behind.

        When it is cancelled, or the inbox fails, the settlement is of what was reached until then.

        Raises:
            asyncio.CancelledError, InboxError: before anything was reached.
        """
        task = asyncio.current_task()
        self._running[task] = in_flight
        try:
            return await self._settlement(in_flight)
        except asyncio.CancelledError:
            if in_flight.progress is None or in_flight.abandoned:
                raise
        except InboxError as error:
            if in_flight.progress is None:
                raise
            id = in_flight.claim.delivery.id
            logger.error("delivery %s: %s", id, error, extra=fields(delivery_id=id, reason=str(error)))
            in_flight.progress.delay(self._clock() + self._options.poll)
        except LeaseLost:
            id = in_flight.claim.delivery.id
            extra = fields(delivery_id=id, reason="its lease was lost")
            logger.warning("delivery %s: its lease was lost, another worker has it", id, extra=extra)
            return None
        finally:
            del self._running[task]
        return self._reached(in_flight.progress)

    def _reached(self, progress: DeliveryProgress) -> Settlement:
        """Return the settlement of what was reached so far."""
        return progress.settlement(self._unix(), self.paused, notify=bool(self._dispatcher.dead_letter_handlers))

    async def _settlement(self, in_flight: InFlight) -> Settlement | None:
        delivery, event = in_flight.claim.delivery, in_flight.claim.parsed
        if in_flight.claim.state is State.DEAD:
            return await self._notify(in_flight)
        try:
            if not isinstance(event, Event):
                if self._complete is not None and not delivery.part:
                    await self._complete(delivery)
                event = self._dispatcher.parse(delivery.body, delivery.headers, delivery.part)
        except InboxError:
            raise
        except Exception as error:
            if not isinstance(error, NotAnEvent):
                log_failure(f"delivery {delivery.id}: a validator failed", error, delivery_id=delivery.id)
            progress, now = DeliveryProgress(in_flight.claim, (), self._options.backoff), self._unix()
            return progress.buried(no_event(error), notify=bool(self._dispatcher.dead_letter_handlers), now=now)
        handlers = self._dispatcher.match(event)
        progress = in_flight.progress = DeliveryProgress(in_flight.claim, handlers, self._options.backoff)
        check = self._dispatcher.order_check
        if check is not None and not await self._is_confirmed(check, in_flight, progress, event):
            return None if in_flight.abandoned else self._reached(progress)
        middlewares = self._outermost + self._dispatcher.middlewares
        for handler in handlers:
            name = progress.name_of(handler)
            named = handler if name == handler.name else replace(handler, name=name)
            start = inside(middlewares, delivery, name, partial(named.call, event, delivery))
            await self._attempt(in_flight, progress, handler, start)
            if in_flight.abandoned:
                return None
        settlement = self._reached(progress)
        _log(settlement, event, handlers)
        return settlement

    async def _is_confirmed(
        self, check: OrderCheck, in_flight: InFlight, progress: DeliveryProgress, event: Event
    ) -> bool:
        """Whether the handlers may run: there is nothing to confirm, or the order check is done."""
        if not check.is_about(event, in_flight.claim.delivery) or not progress.is_any_due(self._clock(), self.paused):
            return True  # there is nothing to ask, or nobody would run
        progress.require(check)
        await self._attempt(in_flight, progress, check, lambda number: check.call(event))
        return progress.of(check).state is State.DONE

    async def _notify(self, in_flight: InFlight) -> Settlement | None:
        """Run the dead-letter handlers of a dead delivery."""
        dead_letter_handlers = self._dispatcher.dead_letter_handlers
        progress = in_flight.progress = DeliveryProgress(in_flight.claim, dead_letter_handlers, self._options.backoff)
        delivery, middlewares = in_flight.claim.delivery, self._outermost + self._dispatcher.middlewares
        stored = await self._inbox.get(delivery.id) if dead_letter_handlers else None
        attempts = stored.attempts if stored is not None else ()
        for handler in dead_letter_handlers:
            start = inside(middlewares, delivery, handler.name, partial(handler.call, delivery, attempts))
            await self._attempt(in_flight, progress, handler, start)
            if in_flight.abandoned:
                return None
        return self._reached(progress)

    async def _attempt(self, in_flight: InFlight, progress: DeliveryProgress, handler: Runnable, start: Start) -> None:
        """Run one handler, if it is due and nothing keeps it from running."""
        if in_flight.is_cut_off:
            raise asyncio.CancelledError  # which the handler before has swallowed
        now = self._clock()
        if not progress.is_due(handler, now) or handler.name in self.paused:
            return
        if progress.of(handler).running:
            ended = ProcessEnded("the process ended while it ran")
            self._attempt_log.add(ended, in_flight.claim.delivery.id, handler.name, progress.of(handler).attempts)
            self._failed(progress, handler, ended, now)
            self._count(progress, handler)
            if not progress.is_due(handler, now):
                return
        if self._leaves_too_many_threads(handler):
            progress.postpone(handler, now + _UNTIL_THREADS_END)
            return
        turn = None
        if handler.limits is not None and self._turns is not None:
            turn = await self._turn(self._turns, handler.limits, in_flight, progress, handler)
            if turn is None:
                return
            now = self._clock()
        breaker = self.breakers.of(handler.name)
        try:
            if breaker is not None and (wait := breaker.wait(now)):
                progress.postpone(handler, now + wait)
                return
            if in_flight.leased_until <= now:  # another process may have it
                progress.is_careful = True
                await self._inbox.renew([in_flight.claim], self._options.lease, now)
                in_flight.leased_until = now + self._options.lease
            number, began = progress.begin(handler), perf_counter()
            try:
                if progress.is_careful and not await self._inbox.save_progress(in_flight.claim, progress.states, now):
                    raise LeaseLost
                error = await self._run(in_flight, handler, partial(start, number))
            except BaseException:
                if not in_flight.abandoned:
                    progress.undo(handler)
                    if breaker is not None:
                        breaker.undecided()
                raise
        finally:
            if turn is not None:
                turn.end()
        if in_flight.abandoned:
            return
        self._record_in_breaker(handler, error)
        if error is None:
            progress.done(handler)
        else:
            self._attempt_log.add(error, in_flight.claim.delivery.id, handler.name, number)
            self._failed(progress, handler, error, in_flight.started)
        self._count(progress, handler, bucket_of(perf_counter() - began))
        if isinstance(error, asyncio.CancelledError):
            raise error  # maybe the event loop ends, and waits for this task: the others run under another claim

    def _leaves_too_many_threads(self, handler: Runnable) -> bool:
        """Whether so many threads of a handler go on, although their time is up, that no other one may begin."""
        if self._turns is None or not isinstance(handler, Handler | DeadLetterHandler):
            return False
        number, most = handler.threads.left_behind, max(_MOST_LEFT_BEHIND, self._options.concurrency)
        if number >= most and handler.name not in self._crowded:
            self._crowded.add(handler.name)
            why = f"{number} of its threads go on although their time is up"
            said = "%s waits: %s, and no other begins until one of them ends: give what it calls a timeout of its own"
            logger.error(said, handler.name, why, extra=fields(handler=handler.name, reason=why))
        elif number < most and handler.name in self._crowded:
            self._crowded.discard(handler.name)
            logger.info("%s runs again: a thread of it has ended", handler.name)
        return number >= most

    async def _turn(
        self, turns: Turns[InFlight], limits: Limits, in_flight: InFlight, progress: DeliveryProgress, handler: Runnable
    ) -> Turn | None:
        """Return a turn that has begun; None if the handler is not to run now, and waits without an attempt."""
        breaker = self.breakers.of(handler.name)
        if breaker is not None and (wait := breaker.remaining(self._clock())):  # nobody waits in the line for nothing
            progress.postpone(handler, self._clock() + wait)
            return None
        turn = await turns.take(handler.name, limits, in_flight)
        if not isinstance(turn, Turn):
            progress.postpone(handler, self._clock() + turn)
            return None
        breaker = self.breakers.of(handler.name)
        wait = 0 if breaker is None else breaker.remaining(self._clock())
        if wait or handler.name in self.paused:  # since a moment ago
            progress.postpone(handler, self._clock() + wait)
            turn.end()
            return None
        turn.begin()
        return turn

    async def _run(
        self, in_flight: InFlight, handler: Runnable, start: Callable[[], Awaitable[object]]
    ) -> BaseException | None:
        """Run an attempt within its timeout; return what it raised, None if the handler is done."""
        in_flight.handler, in_flight.started, in_flight.timed_out = handler, self._clock(), False
        in_flight.timeout = self._options.timeout if handler.timeout is None else handler.timeout
        before = cancellations()
        self._timeouts.begin(in_flight, in_flight.timeout)
        try:
            alone = in_flight.progress is not None and len(in_flight.progress.handlers) == 1
            error = await run(start if alone else partial(InOwnContext, start))
        finally:
            self._timeouts.end(in_flight)
            in_flight.handler = None
        if isinstance(error, asyncio.CancelledError):
            if in_flight.is_cut_off:
                raise error
            if in_flight.timed_out:
                error = _late(in_flight)
        if (leaked := cancellations() - before) > 0:
            await take_back(leaked)
        return error

    def _time_is_up(self, in_flight: InFlight) -> None:
        in_flight.timed_out = True
        in_flight.task.cancel()
        loop = asyncio.get_running_loop()
        grace = min(_GRACE, in_flight.timeout)
        loop.call_later(grace, self._leave_behind, in_flight, in_flight.handler, in_flight.started)

    def _leave_behind(self, in_flight: InFlight, handler: Runnable | None, started: float) -> None:
        """Settle without a handler that ignores that it was cancelled."""
        progress = in_flight.progress
        if handler is None or progress is None or in_flight.handler is not handler or in_flight.started != started:
            return  # it has ended meanwhile
        id, error = in_flight.claim.delivery.id, _late(in_flight)
        extra = fields(delivery_id=id, handler=handler.name, attempt=progress.of(handler).attempts, reason=str(error))
        logger.error("delivery %s: %s ignores that its time is up", id, handler.name, extra=extra)
        in_flight.abandoned = True
        self._record_in_breaker(handler, error)
        self._failed(progress, handler, error, started)
        self._count(progress, handler, bucket_of(in_flight.timeout))
        self._abandon(in_flight, self._reached(progress))

    def _count(self, progress: DeliveryProgress, handler: Runnable, bucket: int = UNTIMED) -> None:
        self._counters.attempts[_OUTCOMES[progress.of(handler).state], handler.name][bucket] += 1

    def _failed(self, progress: DeliveryProgress, handler: Runnable, error: BaseException, started: float) -> None:
        now = self._clock()
        progress.failed(handler, error, started, now, self._unix() - now)

    def _record_in_breaker(self, handler: Runnable, error: BaseException | None) -> None:
        if not isinstance(handler, DeadLetterHandler):  # which has nothing else to wait for
            self.breakers.record(handler.name, error, self._clock())


def no_event(error: Exception) -> str:
    """Return why a body is no event, in words that quote nothing of it, as the error of a validator might."""
    return str(error) if isinstance(error, NotAnEvent) else f"a validator failed with {type(error).__name__}"


def _late(in_flight: InFlight) -> TimeoutError:
    return TimeoutError(f"it took more than {in_flight.timeout:g} s")


def _log(settlement: Settlement, event: Event, handlers: Sequence[Handler]) -> None:
    if logger.isEnabledFor(logging.INFO):
        names = ", ".join(handler.name for handler in handlers) or "no handler"
        id = settlement.claim.delivery.id
        extra = fields(delivery_id=id, reason=settlement.reason)
        logger.info("delivery %s: %s: %s: %s", id, type(event).__name__, names, settlement.state, extra=extra)
