"""The worker: it claims deliveries from the inbox, has them handled, and settles them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from contextvars import copy_context
from functools import partial

from ..delivery import Delivery
from ..errors import InboxError
from ..inbox.base import Inbox, settle
from ..inbox.counters import Counters
from ..inbox.direct import DirectInbox
from ..inbox.owner import Owner
from ..inbox.records import Claim, Settlement, State
from ..logs import DeadLetterLog, fields, log_failure
from ..options import WorkerOptions
from ..routing import Middleware
from .dispatcher import Dispatcher
from .executor import Executor, InFlight
from .limits import Turn, Turns
from .prefetch import Prefetch
from .stop_log import log_cut_off, log_left_behind, log_wait
from .watchdog import Watchdog

logger = logging.getLogger("webhook_receiver")

_MOST_UNSETTLED = 512  # deliveries that have been handled; with more of them nothing else is claimed
_PATIENCE = 1.0  # seconds for a cancelled handler to end when the process stops
_PAUSE = 1.0  # seconds between two tries, at most, while the inbox fails
_SECONDS_BETWEEN_EXPIRY = 60.0
_UNTIL_RESTART = 0.5  # seconds
_MOST_FAILURES = 5  # in a row that are logged, each with another message
_LONG_CLAIM = 5.0  # seconds for which claiming may fail, as while a server restarts, until the health says so


class Worker:
    """A worker that handles the deliveries of one receiver until it is stopped. No error of the inbox ends it.

    Args:
        inbox: the store of the deliveries.
        receiver: the receiver's name.
        handlers: the dispatcher, which parses a delivery and knows the handlers that match it.
        options: the settings of the worker.
        clock: returns the time by which leases run and deliveries are due, in seconds.
        unix: returns the time in Unix seconds.
        counters: count the attempts of the handlers.
        complete: as of `Executor`.
        outermost: as of `Executor`.
    """

    def __init__(
        self,
        inbox: Inbox,
        receiver: str,
        handlers: Dispatcher,
        options: WorkerOptions,
        clock: Callable[[], float],
        unix: Callable[[], float],
        counters: Counters,
        complete: Callable[[Delivery], Awaitable[None]] | None = None,
        outermost: tuple[Middleware, ...] = (),
    ) -> None:
        self._inbox = inbox
        self._receiver = receiver
        self._options = options
        self._clock = clock
        self._unix = unix
        self._counters = counters
        self._dead_letter_log = DeadLetterLog(clock)
        self._turns = Turns(self._give_slot_back, self._take_slot)
        self._executor = Executor(
            *(inbox, handlers, options, clock, unix, self._abandon, self._turns, counters, complete, outermost)
        )
        self._in_flight: dict[str, InFlight] = {}
        """The deliveries that we have a lease on, by id: ready, running or being settled."""
        self._open: set[InFlight] = set()
        """The deliveries in flight that have a task of this worker."""
        self._slots = asyncio.Semaphore(options.concurrency)
        self._let_go: list[Claim] = []
        """The leases on deliveries that are in flight no more and not settled: they are to be released."""
        self._unfinished = 0
        """The number of deliveries that are ready or running: one that is only being settled needs no room."""
        self._claiming_since: float | None = None
        """The monotonic time at which the claim began that has not succeeded yet."""
        self._claim_error: str | None = None
        self._changed = asyncio.Event()
        self._stopping = asyncio.Event()
        self.loop = asyncio.get_running_loop()
        """The event loop of the worker."""
        self._prefetch = Prefetch(self.loop.time)
        """How many deliveries were to be claimed ahead at the latest claim."""
        self._direct_inbox = inbox if isinstance(inbox, DirectInbox) else None
        self._owned_until = 0.0
        """Until when its sign of life is sure to go on, by the clock of the inbox."""
        self._owner: Owner | None = None
        """What the inbox hands deliveries over to that this process puts; None before, and where it does not."""
        self._is_hungry = False
        """Whether the inbox had no more to claim than there was room for."""
        self._tasks: list[asyncio.Task[None]] = []
        self._context = copy_context()

    def start(self, paused: frozenset[str] = frozenset()) -> None:
        """Start the tasks of the worker.

        Args:
            paused: the names of the handlers that must not run.
        """
        self._executor.paused = paused
        loops = (self._claim, self._watch, self._renew, self._refresh_paused, self._expire)
        self._tasks = [self._begin(run) for run in loops]
        self._watchdog = Watchdog(self.loop, self._executor.handler_of)

    @property
    def problem(self) -> str | None:
        """Why nothing has been claimed for long although there is room; None if something was, or is not due."""
        since = self._claiming_since
        if since is None or time.monotonic() - since < _LONG_CLAIM:
            return None
        return f"nothing was claimed for {time.monotonic() - since:.0f} s: {self._claim_error or 'no answer'}"

    @property
    def open_breakers(self) -> frozenset[str]:
        """The names of the handlers whose circuit breakers are open in this process."""
        return self._executor.breakers.open()

    @property
    def is_working(self) -> bool:
        """Whether the worker claims deliveries, now or when it is woken."""
        return not (self._stopping.is_set() or self.loop.is_closed())

    @property
    def busy(self) -> int:
        """The number of deliveries that are being handled. May be asked in any thread."""
        return min(self._unfinished, self._options.concurrency)

    def wake(self) -> None:
        """Look for deliveries at once, since one was put. May be called from another loop's thread."""
        try:
            if asyncio.get_running_loop() is self.loop:
                self._changed.set()
                return
        except RuntimeError:
            pass  # no loop runs here
        with suppress(RuntimeError):  # its loop is closed
            self.loop.call_soon_threadsafe(self._changed.set)

    def pause(self, handler: str) -> None:
        """Stop calling a handler."""
        self._executor.paused |= {handler}

    def resume(self, handler: str) -> None:
        """Call a handler again."""
        self._executor.paused -= {handler}
        self.wake()

    async def stop(self) -> None:
        """Claim no more, wait up to `options.stop` seconds for running handlers, cancel them, release the rest."""
        self._stopping.set()
        self._changed.set()
        self._turns.stop()
        claiming, *others = self._tasks
        await self._release_unbegun([in_flight for in_flight in self._open if not in_flight.has_begun])
        await asyncio.wait([claiming])
        log_wait(self._receiver, self._open, self._options.stop)
        for in_flight in await self._still_running(self._options.stop):
            if in_flight.is_running:  # else what was reached is being written
                log_cut_off(in_flight, self._options.stop)
                in_flight.cut_off()
        await self._still_running(_PATIENCE)
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._release([])
        await self._disown()
        self._watchdog.stop()
        for name in self._executor.stop():
            log_left_behind(self._receiver, name)

    async def _still_running(self, seconds: float) -> list[InFlight]:
        """Wait up to `seconds` for running deliveries; return those that have not ended by then."""
        running = {in_flight.task: in_flight for in_flight in self._open}
        return [running[task] for task in (await asyncio.wait(running, timeout=seconds))[1]] if running else []

    async def _release_unbegun(self, ready: Sequence[InFlight]) -> None:
        """Release deliveries that were claimed, but have not begun."""
        for in_flight in ready:
            in_flight.cut_off()
            self._remove(in_flight)  # which its task does not say if it never began
            self._prefetch.reset()
        await self._release([in_flight.claim for in_flight in ready])

    async def _release(self, claims: Sequence[Claim]) -> None:
        """Release leases, and those that were let go of."""
        claims, self._let_go = [*claims, *self._let_go], []
        try:
            await self._inbox.release(claims, self._clock())
        except Exception as error:
            logger.error("%s: leases are not released, they end by themselves: %s", self._receiver, error)

    def _begin(self, run: Callable[[], Awaitable[float]]) -> asyncio.Task[None]:
        """Begin to repeat a function in a task of its own, which is replaced if somebody cancels it."""
        task = self.loop.create_task(self._repeat(run), context=self._context.copy())
        task.add_done_callback(partial(self._restart, run))
        return task

    def _restart(self, run: Callable[[], Awaitable[float]], ended: asyncio.Task[None]) -> None:
        if self._stopping.is_set():
            return
        # A little later, since an event loop that ends cancels all tasks, and has no use for new ones.
        self.loop.call_later(_UNTIL_RESTART, self._replace, run, ended, context=self._context)

    def _replace(self, run: Callable[[], Awaitable[float]], ended: asyncio.Task[None]) -> None:
        if self._stopping.is_set():
            return
        said = "%s: a task of the worker's (%s) was cancelled, and not by the worker: it starts again"
        logger.error(said, self._receiver, run.__name__.strip("_"))
        self._tasks[self._tasks.index(ended)] = self._begin(run)

    async def _repeat(self, run: Callable[[], Awaitable[float]]) -> None:
        """Call a function again and again, after as many seconds as it returns; log its failures in a row once each."""
        failing = set[str]()
        while not self._stopping.is_set() or run == self._renew:
            try:
                seconds = await run()
                if failing:
                    logger.info("%s: the inbox works again", self._receiver)
                failing.clear()
            except Exception as error:
                said = str(error)
                if said not in failing and len(failing) < _MOST_FAILURES and isinstance(error, InboxError):
                    logger.error("%s: %s", self._receiver, said)
                elif not failing:
                    log_failure(f"{self._receiver}: the worker stumbled, and goes on", error)
                failing.add(said)
                seconds = min(self._options.poll, _PAUSE)
            # Leases are renewed while it stops, too.
            if seconds:
                await (asyncio.sleep(seconds) if run == self._renew else self._sleep(seconds))

    async def _claim(self) -> float:
        """Claim as many deliveries as there is room for, then wait until there may be more."""
        owner = self._owner
        wanted = max(0, self._room()) if owner is None else owner.room()
        self._changed.clear()
        if not wanted:
            self._is_hungry = False  # until a claim says what has come meanwhile
            await self._changed.wait()  # until one of ours has ended
            return 0
        before = 0 if owner is None else owner.handed
        asked, now = time.monotonic(), self._clock()
        self._claiming_since = self._claiming_since or asked
        try:
            claims = await self._inbox.claim(self._receiver, wanted, self._options.lease, now, self._unix())
        except Exception as error:
            self._claim_error = str(error)
            raise
        self._claiming_since = None
        self._prefetch.away = time.monotonic() - asked
        if self._stopping.is_set():
            await self._release(claims)
            return 0
        for claim in claims:
            self._add(claim, now + self._options.lease)
        self._is_hungry = (len(claims) if owner is None else owner.handed - before) < wanted
        if self._is_hungry:
            await self._changed.wait()
        return 0

    def _unsettled(self) -> int:
        """Return how many deliveries have been handled, and are to be settled. Called in any thread."""
        return len(self._in_flight) - self._unfinished - self._turns.waiting

    def _room(self) -> int:
        """Return how many deliveries may be born to this worker now. Called in any thread."""
        if not self.is_working or self._unsettled() > _MOST_UNSETTLED:
            return 0
        return self._options.concurrency + self._prefetch.ahead() - self._unfinished

    def _take(self, owner: Owner, claims: Sequence[Claim]) -> bool:
        """Take deliveries that are born to this worker; return False if its loop is closed. Called in any thread."""
        try:
            # Claims that share the commit are older. Their task goes on two turns of the loop later: it is shielded.
            soon, add = self.loop.call_soon, self._add_born
            self.loop.call_soon_threadsafe(lambda: soon(lambda: soon(add, owner, claims)))
        except RuntimeError:
            return False
        return True

    def _add_born(self, owner: Owner, claims: Sequence[Claim]) -> None:
        owner.taken += len(claims)
        for claim in claims:
            if owner is self._owner and not self._stopping.is_set():
                self._add(claim, self._owned_until)
            else:
                owner.in_hand.discard(claim.delivery.id)

    async def _keep_owner(self) -> None:
        """Renew the sign of life of this worker; begin one if there is none, or the last one has ended."""
        if self._direct_inbox is None:
            return
        if self._owner is not None:
            owner, now = self._owner, self._clock()
            if await self._direct_inbox.own(owner, self._options.lease, now):
                self._owned_until = now + self._options.lease
                return
            self._owner = None
            for in_flight in [each for each in self._open if not each.has_begun]:
                if in_flight.claim.delivery.id in owner.in_hand:  # which others may have by now
                    in_flight.task.cancel()
                    self._remove(in_flight)
        if not self._stopping.is_set():
            owner, now = Owner(self._receiver, self._room, self._take, self._clock), self._clock()
            if await self._direct_inbox.own(owner, self._options.lease, now):
                self._owner, self._owned_until = owner, now + self._options.lease

    async def _disown(self) -> None:
        owner, self._owner = self._owner, None
        if owner is not None and self._direct_inbox is not None:
            try:
                await self._direct_inbox.disown(owner, {each.claim.delivery.id for each in self._open})
            except Exception as error:
                logger.error("%s: its sign of life is left to end by itself: %s", self._receiver, error)

    async def _watch(self) -> float:
        """Look for deliveries whenever another process may have put some."""
        async with aclosing(self._inbox.watch(self._receiver, self._options.poll)) as watching:
            async for _ in watching:
                self._changed.set()
        return self._options.poll

    def _add(self, claim: Claim, leased_until: float) -> None:
        ours = self._in_flight.get(claim.delivery.id)
        if ours is not None:  # it is settled and due again; or its lease ended, as when the clock jumps
            ours.leased_until = leased_until
            if ours.has_begun:
                ours.next = claim
            else:
                ours.claim = claim
            return
        if not self._unfinished:
            self._prefetch.begin()
        in_flight = self._in_flight[claim.delivery.id] = InFlight(claim)
        in_flight.leased_until = leased_until
        self._unfinished += 1
        self._open.add(in_flight)
        # The task may have begun, or ended, when this returns.
        # In the worker's context, not in that of the delivery before, whose end may be what calls this.
        in_flight.task = self.loop.create_task(self._handle(in_flight), context=self._context.copy())

    async def _handle(self, in_flight: InFlight) -> None:
        try:
            settlement = await self._in_slot(in_flight)
            if settlement is not None:  # no slot is needed to settle: a slow disk must not keep handlers from running
                in_flight.is_settling = True
                await self._settle(in_flight, settlement)
        except BaseException as error:
            if in_flight.is_running and isinstance(error, InboxError | asyncio.CancelledError):
                self._let_go.append(in_flight.claim)
            if not isinstance(error, Exception):
                raise
            id = in_flight.claim.delivery.id
            log_failure(f"{self._receiver}: delivery {id}: the worker stumbled", error, delivery_id=id)
        finally:
            if not in_flight.abandoned:
                self._remove(in_flight)  # not by a callback of the task's, which would cost as much as to run a handler

    async def _in_slot(self, in_flight: InFlight) -> Settlement | None:
        await self._slots.acquire()
        in_flight.has_begun = in_flight.has_slot = True
        try:
            if self._is_late(in_flight):
                await self._release([in_flight.claim])
                return None
            if (claim := in_flight.claim).crashes > 1:  # none of these may take another one along
                turn = await self._turns.take_alone(in_flight)
                if not isinstance(turn, Turn):
                    return Settlement(claim, claim.state, claim.handlers, self._clock() + turn, reason=claim.reason)
                in_flight.turn = turn
            return await self._executor.handle(in_flight)
        finally:
            self._free_slot(in_flight)

    def _is_late(self, in_flight: InFlight) -> bool:
        """Return whether another process may have the delivery, as after this one was stopped for a while."""
        return in_flight.leased_until <= self._clock()

    def _free_slot(self, in_flight: InFlight) -> None:
        in_flight.end_turn()
        if in_flight.has_slot:
            self._prefetch.count()
            self._give_slot_back(in_flight)

    def _give_slot_back(self, in_flight: InFlight) -> None:
        in_flight.has_slot = False
        self._slots.release()
        self._unfinished -= 1
        if self._unfinished < self._options.concurrency and not self._is_hungry:
            self._changed.set()

    async def _take_slot(self, in_flight: InFlight) -> None:
        """Wait for a slot for a delivery that has given its own back."""
        await self._slots.acquire()
        in_flight.has_slot = True
        self._unfinished += 1

    def _remove(self, in_flight: InFlight) -> None:
        if in_flight not in self._open:
            return  # it was given back
        self._open.discard(in_flight)
        if self._owner is not None:
            self._owner.in_hand.discard(in_flight.claim.delivery.id)
        self._unfinished -= not in_flight.has_begun
        if self._in_flight.get(in_flight.claim.delivery.id) is in_flight:
            del self._in_flight[in_flight.claim.delivery.id]
            if in_flight.next is not None and self._stopping.is_set():
                self._let_go.append(in_flight.next)
            elif in_flight.next is not None:
                self._add(in_flight.next, in_flight.leased_until)
        if not (self._is_hungry and in_flight.leaves_nothing):
            self._changed.set()

    def _abandon(self, in_flight: InFlight, settlement: Settlement) -> None:
        """Settle a delivery whose handler ignores that its time is up, and let another delivery run."""
        self._free_slot(in_flight)
        in_flight.is_settling = True
        in_flight.task = self.loop.create_task(self._settle(in_flight, settlement))
        in_flight.task.add_done_callback(lambda task: self._remove(in_flight))

    async def _settle(self, in_flight: InFlight, settlement: Settlement) -> None:
        settled = await self._try_to_settle(settlement)
        if settled is False:
            await asyncio.sleep(0)  # a claim of ours that shared the commit may have it
        claim, newer = in_flight.claim, in_flight.next
        if settled is False and newer and (newer.state, newer.handlers) == (claim.state, claim.handlers):
            # Its lease ended under our hands, but no other worker had it meanwhile: the settlement counts.
            settlement, in_flight.next = settlement._replace(claim=newer), None
            settled = await self._try_to_settle(settlement)
        if settled:
            if settlement.paused_by is not None:  # by another process it may be resumed, and due again at once
                with suppress(Exception):
                    await self._refresh_paused()
            left = settlement.due is not None or settlement.paused_by is not None
            left = left or self._direct_inbox is None  # which tells of the next one of an ordering key by `watch`
            in_flight.leaves_nothing = not left
            self._log_end(settlement)
        elif settled is False:
            id = settlement.claim.delivery.id
            extra = fields(delivery_id=id, reason="its lease was lost")
            logger.warning("delivery %s: its lease was lost, so it is handled again", id, extra=extra)
        if settlement.due is not None and 0 < (seconds := settlement.due - self._clock()) < self._options.poll:
            # A little later than due, since the two clocks do not tick alike. What is due already is looked at anyway.
            self.loop.call_later(seconds + 0.001, self._changed.set)

    def _log_end(self, settlement: Settlement) -> None:
        """Log that nothing will be done any more for a delivery that is not done."""
        claim, reason = settlement.claim, settlement.reason or ""
        died: list[tuple[str, int] | tuple[None, None]] = [
            (each.handler, each.number) for each in settlement.attempts if each.outcome == "dead"
        ]
        if settlement.state is State.DEAD and (died or claim.state is not State.DEAD):
            what = "is dead" if claim.state is not State.DEAD else f"is dead, and {died[-1][0]} has failed for good"
            self._dead_letter_log.add(claim.delivery.id, reason, *(died or [(None, None)])[-1], what=what)
            self._counters.dead_letters += claim.state is not State.DEAD
        elif settlement.state is State.UNHANDLED and claim.handlers:
            self._dead_letter_log.add(claim.delivery.id, reason, what="is unhandled")

    async def _try_to_settle(self, settlement: Settlement) -> bool | None:
        """Return whether the lease still counted; None if the process stops while the inbox fails."""
        failing = False
        while True:
            try:
                return await settle(self._inbox, settlement, self._clock(), again=failing)
            except InboxError as error:
                if not failing:
                    id = settlement.claim.delivery.id
                    extra = fields(delivery_id=id, reason=str(error))
                    logger.error("%s: delivery %s is not settled: %s", self._receiver, id, error, extra=extra)
                failing = True
                if self._stopping.is_set():
                    return None
                await self._sleep(min(self._options.poll, _PAUSE))

    async def _renew(self) -> float:
        """Renew the leases, and release deliveries that wait for a slot so long that another worker may have one."""
        deliveries = [*self._in_flight.values()]
        await self._release_unbegun(
            [each for each in deliveries if not each.has_begun and (each.was_ready or self._is_late(each))]
        )
        for in_flight in deliveries:
            in_flight.was_ready = True
        await self._keep_owner()
        deliveries, now = [*self._in_flight.values()], self._clock()
        await self._inbox.renew([each.next or each.claim for each in deliveries], self._options.lease, now)
        for in_flight in deliveries:
            if not self._is_late(in_flight):  # else nobody knows whether it is still ours
                in_flight.leased_until = now + self._options.lease
        return self._options.lease / 3

    async def _refresh_paused(self) -> float:
        """Read which handlers other processes, or the command line, have paused or resumed."""
        before = self._executor.paused
        found = await self._inbox.paused()
        if self._executor.paused is before and found != before:
            self._executor.paused = found
            self._changed.set()
        return self._options.poll

    async def _expire(self) -> float:
        """Remove deliveries past their retention, a small number at a time."""
        return 0.05 if await self._inbox.expire(self._unix()) else _SECONDS_BETWEEN_EXPIRY

    async def _sleep(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
