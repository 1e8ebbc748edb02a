"""The worker: claims deliveries from the inbox, has them handled, and settles what became of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from ..errors import InboxError
from ..inbox.base import Inbox
from ..inbox.records import Claim, Settlement
from ..options import WorkerOptions
from .executor import Dispatcher, Executor, InFlight
from .watchdog import Watchdog

logger = logging.getLogger("webhook_receiver")

_MOST_UNSETTLED = 512  # deliveries that have been handled; with more of them nothing else is claimed
_PATIENCE = 1.0  # seconds for a cancelled handler to end when the process stops
_PAUSE = 1.0  # seconds between two tries, at most, while the inbox fails
_SECONDS_BETWEEN_TIDYING = 60.0


class Worker:
    """Handles the deliveries of one source until it is stopped. An error of the inbox's never ends it.

    Args:
        inbox: where the deliveries are.
        source: the receiver's name.
        handlers: who says what a delivery is and who wants it.
        options: how it works.
        clock: returns the time in Unix seconds.
    """

    def __init__(
        self, inbox: Inbox, receiver: str, handlers: Dispatcher, options: WorkerOptions, clock: Callable[[], float]
    ) -> None:
        self._inbox = inbox
        self._source = receiver
        self._options = options
        self._clock = clock
        self._handling = Executor(inbox, handlers, options, clock, self._abandoned)
        self._cases: dict[str, InFlight] = {}
        """All that we have a lease on, by the delivery's id: ready, running or being settled."""
        self._open: set[InFlight] = set()
        """Those of them that a task of ours is about."""
        self._slots = asyncio.Semaphore(options.concurrency)
        self._alone = asyncio.Lock()
        """For deliveries with which the process died twice: none of them may take another one along."""
        self._unfinished = 0
        """How many of them are ready or running: what has been handled already keeps no room."""
        self._changed = asyncio.Event()
        self._stopping = asyncio.Event()
        self.loop = asyncio.get_running_loop()
        """The loop that it works in."""
        self._pace = Prefetch(self.loop.time)
        self._chores: list[asyncio.Task[None]] = []

    def start(self, paused: frozenset[str] = frozenset()) -> None:
        """Begin to work, in tasks of its own; `paused` are the handlers that must not run."""
        self._handling.paused = paused
        chores = (self._claim, self._renew, self._look_around, self._expire)
        self._chores = [self.loop.create_task(self._go_on(chore)) for chore in chores]
        self._watchdog = Watchdog(self.loop, self._handling.handler_of)

    @property
    def is_working(self) -> bool:
        """Whether it claims what is there, or will when it is woken."""
        return not (self._stopping.is_set() or self.loop.is_closed() or any(chore.done() for chore in self._chores))

    def wake(self) -> None:
        """Something was put: look at once. May be called from another loop's thread."""
        try:
            if asyncio.get_running_loop() is self.loop:
                self._changed.set()
                return
        except RuntimeError:
            pass  # no loop runs here
        with suppress(RuntimeError):  # its loop is closed
            self.loop.call_soon_threadsafe(self._changed.set)

    def pause(self, handler: str) -> None:
        """Do not run this handler any more."""
        self._handling.paused |= {handler}

    def resume(self, handler: str) -> None:
        """Run this handler again."""
        self._handling.paused -= {handler}
        self.wake()

    async def stop(self) -> None:
        """Claim nothing more, wait a bounded time for what is running, and let go of the rest."""
        self._stopping.set()
        self._changed.set()
        claiming, *others = self._chores
        await self._give_back([case for case in self._open if not case.has_begun])
        await asyncio.wait([claiming])
        for task in await self._still_running(self._options.stop):
            task.cancel()
        await self._still_running(_PATIENCE)
        for chore in others:
            chore.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        self._watchdog.stop()
        for name in self._handling.stop():
            logger.error("%s: %s does not end, and is left behind; its lease ends by itself", self._source, name)

    async def _still_running(self, seconds: float) -> set[asyncio.Task[None]]:
        """Wait for what is running; return what has not ended by then."""
        tasks = {case.task for case in self._open}
        return (await asyncio.wait(tasks, timeout=seconds))[1] if tasks else set()

    async def _give_back(self, ready: Sequence[InFlight]) -> None:
        """Let go of what was claimed, but has not begun."""
        for case in ready:
            case.task.cancel()
            self._end(case)  # which its task does not say if it never began
            self._pace.begin()  # nothing is worth claiming ahead just now
        await self._release([case.claim for case in ready])

    async def _release(self, claims: Sequence[Claim]) -> None:
        try:
            await self._inbox.release(claims, self._clock())
        except Exception as error:
            logger.error("%s: leases are not released, they end by themselves: %s", self._source, error)

    async def _go_on(self, chore: Callable[[], Awaitable[float]]) -> None:
        """Do a chore again and again, each time after the seconds that it says; when it fails say so, once."""
        failing = False
        while not self._stopping.is_set() or chore == self._renew:
            try:
                seconds = await chore()
                if failing:
                    logger.info("%s: the inbox works again", self._source)
                failing = False
            except Exception as error:
                if not failing and isinstance(error, InboxError):
                    logger.error("%s: %s", self._source, error)
                elif not failing:
                    logger.exception("%s: the worker stumbled, and goes on", self._source)
                failing, seconds = True, min(self._options.poll, _PAUSE)
            # Leases are renewed while it stops, too.
            if seconds:
                await (asyncio.sleep(seconds) if chore == self._renew else self._nap(seconds))

    async def _claim(self) -> float:
        """Claim what there is room for, then wait until there may be more."""
        wanted = self._options.concurrency + self._pace.ahead() - self._unfinished
        self._changed.clear()
        if wanted <= 0 or len(self._cases) - self._unfinished > _MOST_UNSETTLED:
            await self._changed.wait()  # until one of ours has ended
            return 0
        self._pace.begin()
        claims = await self._inbox.claim(self._source, wanted, self._options.lease, self._clock())
        if self._stopping.is_set():
            await self._release(claims)
            return 0
        for claim in claims:
            self._take(claim)
        if len(claims) < wanted:
            timer = self.loop.call_later(self._options.poll, self._changed.set)
            await self._changed.wait()
            timer.cancel()
        return 0

    def _take(self, claim: Claim) -> None:
        ours = self._cases.get(claim.delivery.id)
        if ours is not None:  # it is settled and due again; or its lease ended, as when the clock jumps
            ours.next = claim
            return
        case = self._cases[claim.delivery.id] = InFlight(claim)
        self._unfinished += 1
        self._open.add(case)
        case.task = self.loop.create_task(self._handle(case))  # which may have begun when this returns, or ended

    async def _handle(self, case: InFlight) -> None:
        try:
            if case.claim.crashes > 1:
                async with self._alone:
                    outcome = await self._in_slot(case)
            else:
                outcome = await self._in_slot(case)
            if outcome is not None:  # no slot is needed to settle: a slow disk must not keep handlers from running
                await self._settle(case, outcome)
        except Exception:
            logger.exception("%s: delivery %s: the worker stumbled", self._source, case.claim.delivery.id)
        finally:
            if not case.abandoned:
                self._end(case)  # not by a callback of the task's, which would cost as much as to run a handler

    async def _in_slot(self, case: InFlight) -> Settlement | None:
        await self._slots.acquire()
        case.has_begun = case.has_slot = True
        try:
            return await self._handling.handle(case)
        finally:
            self._leave_slot(case)

    def _leave_slot(self, case: InFlight) -> None:
        if case.has_slot:
            case.has_slot = False
            self._slots.release()
            self._unfinished -= 1
            self._pace.count()
            if self._unfinished < self._options.concurrency:
                self._changed.set()

    def _end(self, case: InFlight) -> None:
        if case not in self._open:
            return  # it was given back
        self._open.discard(case)
        self._unfinished -= not case.has_begun
        if self._cases.get(case.claim.delivery.id) is case:
            del self._cases[case.claim.delivery.id]
            if case.next is not None and not self._stopping.is_set():
                self._take(case.next)
        self._changed.set()

    def _abandoned(self, case: InFlight, outcome: Settlement) -> None:
        """A handler ignores that its time is up: settle without it, and let another delivery run."""
        self._leave_slot(case)
        case.task = self.loop.create_task(self._settle(case, outcome))
        case.task.add_done_callback(lambda task: self._end(case))

    async def _settle(self, case: InFlight, outcome: Settlement) -> None:
        settled = await self._try_to_settle(outcome)
        newer = case.next
        if settled is False and newer and (newer.state, newer.handlers) == (case.claim.state, case.claim.handlers):
            # Its lease ended under our hands, but nobody else had it meanwhile: what was done counts.
            outcome, case.next = outcome._replace(claim=newer), None
            settled = await self._try_to_settle(outcome)
        if settled is False:
            logger.warning("delivery %s: its lease was lost, so it is handled again", outcome.claim.delivery.id)
        if outcome.due is not None and 0 < (seconds := outcome.due - self._clock()) < self._options.poll:
            # A little later than due, since the two clocks do not tick alike. What is due already is looked at anyway.
            self.loop.call_later(seconds + 0.001, self._changed.set)

    async def _try_to_settle(self, outcome: Settlement) -> bool | None:
        """Return whether the lease was still ours; None if the process stops while the inbox fails."""
        failing = False
        while True:
            try:
                return await self._inbox.settle(outcome, self._clock())
            except InboxError as error:
                if not failing:
                    logger.error("%s: delivery %s is not settled: %s", self._source, outcome.claim.delivery.id, error)
                failing = True
                if self._stopping.is_set():
                    return None
                await self._nap(min(self._options.poll, _PAUSE))

    async def _renew(self) -> float:
        """Let leases go on; give back what has found no slot for so long that another worker may have one."""
        cases = [*self._cases.values()]
        await self._give_back([case for case in cases if case.was_ready and not case.has_begun])
        for case in cases:
            case.was_ready = True
        leases = [case.next or case.claim for case in self._cases.values()]
        await self._inbox.renew(leases, self._options.lease, self._clock())
        return self._options.lease / 3

    async def _look_around(self) -> float:
        """Hear of handlers that other processes, or the command line, have paused or resumed."""
        before = self._handling.paused
        found = await self._inbox.paused()
        if self._handling.paused is before and found != before:
            self._handling.paused = found
            self._changed.set()
        return self._options.poll

    async def _expire(self) -> float:
        """Purge what is past its retention, a little at a time."""
        return 0.05 if await self._inbox.expire(self._clock()) else _SECONDS_BETWEEN_TIDYING

    async def _nap(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()


SOON = 0.05  # seconds: what will be finished within them is claimed ahead
MOST_AHEAD = 256  # deliveries, however fast they are finished


class Prefetch:
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
