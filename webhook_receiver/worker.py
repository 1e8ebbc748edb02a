"""The worker: claims deliveries from the inbox, has them handled, and settles what became of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from .errors import InboxError
from .handling import Case, Handlers, Handling
from .inbox.base import Inbox
from .inbox.records import Claim, Outcome
from .options import WorkerOptions
from .watchdog import Watchdog

logger = logging.getLogger("webhook_receiver")

_MOST_AHEAD = 256  # deliveries that are claimed beyond those that run, while handlers are fast
_PATIENCE = 1.0  # seconds for a cancelled handler to end when the process stops
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
        self, inbox: Inbox, source: str, handlers: Handlers, options: WorkerOptions, clock: Callable[[], float]
    ) -> None:
        self._inbox = inbox
        self._source = source
        self._options = options
        self._clock = clock
        self._handling = Handling(inbox, handlers, options, clock, self._abandoned)
        self._cases: dict[str, Case] = {}
        """All that we have a lease on, by the delivery's id: ready, running or being settled."""
        self._tasks: dict[asyncio.Task[None], Case] = {}
        self._slots = asyncio.Semaphore(options.concurrency)
        self._alone = asyncio.Lock()
        """For deliveries with which the process died twice: none of them may take another one along."""
        self._finished = 0
        """How many were finished since the last claim: as many are worth claiming ahead."""
        self._next_due = float("inf")
        self._changed = asyncio.Event()
        self._stopping = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._chores: list[asyncio.Task[None]] = []
        self._watchdog: Watchdog | None = None

    def start(self) -> None:
        """Begin to work, in tasks of its own."""
        chores = (self._claim, self._renew, self._look_around, self._tidy)
        self._chores = [self._loop.create_task(self._go_on(chore)) for chore in chores]
        self._watchdog = Watchdog(self._loop, self._handling.handler_of)

    @property
    def is_working(self) -> bool:
        """Whether it claims what is there, or will when it is woken."""
        return not (self._stopping.is_set() or self._loop.is_closed() or any(chore.done() for chore in self._chores))

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that it works in."""
        return self._loop

    def wake(self) -> None:
        """Something was put: look at once. May be called from another loop's thread."""
        try:
            here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            here = False
        if here:
            self._changed.set()
            return
        with suppress(RuntimeError):  # its loop is closed
            self._loop.call_soon_threadsafe(self._changed.set)

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
        await asyncio.wait([claiming])
        await self._release_ready()
        for task in await self._still_running(self._options.stop):
            task.cancel()
        await self._still_running(_PATIENCE)
        for chore in others:
            chore.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        if self._watchdog is not None:
            self._watchdog.stop()
        for name in self._handling.stuck():
            logger.error("%s: %s does not end, and is left behind; its lease ends by itself", self._source, name)

    async def _still_running(self, seconds: float) -> set[asyncio.Task[None]]:
        """Wait for what is running; return what has not ended by then."""
        if not self._tasks:
            return set()
        _, running = await asyncio.wait(set(self._tasks), timeout=seconds)
        return running

    async def _release_ready(self) -> None:
        ready = [(task, case) for task, case in self._tasks.items() if not case.has_begun]
        for task, _ in ready:
            task.cancel()
        try:
            await self._inbox.release([case.claim for _, case in ready], self._clock())
        except InboxError as error:
            logger.error("%s: leases are not released, they end by themselves: %s", self._source, error)

    async def _go_on(self, chore: Callable[[], Awaitable[None]]) -> None:
        """Do a chore again and again; when something goes wrong say so, once, and wait."""
        failing = False
        while not self._stopping.is_set() or chore == self._renew:
            try:
                await chore()
                if failing:
                    logger.info("%s: the inbox works again", self._source)
                failing = False
            except InboxError as error:
                if not failing:
                    logger.error("%s: %s", self._source, error)
                failing = True
                await asyncio.sleep(self._options.poll)
            except Exception:
                logger.exception("%s: the worker stumbled, and goes on", self._source)
                await asyncio.sleep(self._options.poll)

    async def _claim(self) -> None:
        """Claim what there is room for, then wait until there may be more."""
        wanted = self._options.concurrency + min(self._finished, _MOST_AHEAD) - len(self._cases)
        self._changed.clear()
        claims: Sequence[Claim] = []
        if wanted > 0:
            self._finished = 0
            self._next_due = float("inf")
            claims = await self._inbox.claim(self._source, wanted, self._options.lease, self._clock())
            for claim in claims:
                self._take(claim)
        if len(claims) < max(wanted, 1) and not self._stopping.is_set():
            seconds = min(self._options.poll, max(0.0, self._next_due - self._clock()))
            timer = self._loop.call_later(seconds, self._changed.set)
            await self._changed.wait()
            timer.cancel()

    def _take(self, claim: Claim) -> None:
        ours = self._cases.get(claim.delivery.id)
        if ours is not None:  # its lease ended under our hands, as when the clock jumps: it goes on under the new one
            ours.claim = claim
            return
        case = self._cases[claim.delivery.id] = Case(claim)
        task = case.task = self._loop.create_task(self._handle(case))
        self._tasks[task] = case
        task.add_done_callback(self._ended)

    async def _handle(self, case: Case) -> None:
        if case.claim.crashes > 1:
            async with self._alone:
                outcome = await self._in_slot(case)
        else:
            outcome = await self._in_slot(case)
        if outcome is not None:  # no slot is needed to settle: a slow disk must not keep handlers from running
            await self._settle(outcome)

    async def _in_slot(self, case: Case) -> Outcome | None:
        await self._slots.acquire()
        case.has_begun = case.has_slot = True
        try:
            return await self._handling.handle(case)
        finally:
            self._leave_slot(case)

    def _leave_slot(self, case: Case) -> None:
        if case.has_slot:
            case.has_slot = False
            self._slots.release()
            self._finished += 1
            if len(self._cases) - self._finished < self._options.concurrency:
                self._changed.set()

    def _ended(self, task: asyncio.Task[None]) -> None:
        case = self._tasks.pop(task)
        if self._cases.get(case.claim.delivery.id) is case:
            del self._cases[case.claim.delivery.id]
        self._changed.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("%s: delivery %s: the worker stumbled", self._source, case.claim.delivery.id, exc_info=error)

    def _abandoned(self, case: Case, outcome: Outcome) -> None:
        """A handler ignores that its time is up: settle without it, and let another delivery run."""
        self._leave_slot(case)
        self._tasks.pop(case.task, None)
        case.task.remove_done_callback(self._ended)
        task = self._loop.create_task(self._settle(outcome))
        self._tasks[task] = case
        task.add_done_callback(self._ended)

    async def _settle(self, outcome: Outcome) -> None:
        while True:
            try:
                settled = await self._inbox.settle(outcome, self._clock())
                break
            except InboxError as error:
                logger.error("%s: delivery %s is not settled: %s", self._source, outcome.claim.delivery.id, error)
                if self._stopping.is_set():
                    return
                await asyncio.sleep(self._options.poll)
        if not settled:
            logger.warning("delivery %s: its lease was lost, so it is handled again", outcome.claim.delivery.id)
        if outcome.due is not None:
            self._next_due = min(self._next_due, outcome.due)

    async def _renew(self) -> None:
        await asyncio.sleep(self._options.lease / 3)
        await self._inbox.renew([case.claim for case in self._cases.values()], self._options.lease, self._clock())

    async def _look_around(self) -> None:
        """Hear of handlers that other processes, or the command line, have paused or resumed."""
        before = self._handling.paused
        found = await self._inbox.paused()
        if self._handling.paused is before and found != before:
            self._handling.paused = found
            self._changed.set()
        await self._nap(self._options.poll)

    async def _tidy(self) -> None:
        """Purge what is past its retention, a little at a time."""
        while await self._inbox.tidy(self._clock()):
            await self._nap(0.05)
        await self._nap(_SECONDS_BETWEEN_TIDYING)

    async def _nap(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
