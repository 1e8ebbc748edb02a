"""The runtime of a receiver: its clock and counters, its inbox with a worker, its background tasks, and its health."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from contextvars import Context
from dataclasses import replace
from datetime import timedelta
from time import perf_counter
from typing import Any

from anyio.to_thread import current_default_thread_limiter

from ..delivery import EDIT, Delivery
from ..errors import ConfigurationError, InboxError, InboxUnavailable, NotAnEvent
from ..inbox import forks, from_url
from ..inbox.base import Inbox, window_of
from ..inbox.counters import Counters, bucket_of
from ..inbox.names import check_name, claim_name, is_shared, registered_name, release_name
from ..inbox.records import Duplicate, Entry, PollLease, State, Stored, StoredDelivery
from ..inbox.registration import Registration
from ..logs import DeadLetterLog, is_unnoticed, log_failure, log_repeated, warn_if_disabled
from ..options import WorkerOptions, is_name
from ..routing import old_names
from ..senders import Sender
from ..telemetry import Telemetry, found
from ..worker.attempt_log import AttemptLog
from ..worker.dispatcher import Dispatcher
from ..worker.inline import check_without_inbox
from ..worker.limits import Limiters
from ..worker.worker import Worker
from .background import BackgroundTasks
from .completion import missing
from .counters import RejectionCounter, SecretUsage, write_counts
from .entries import EntryBuilder
from .findings import no_handlers
from .health import Health, failing, polls_of
from .silence import Silence
from .starts import Starts, stop_in
from .unclaimed import watch_unclaimed

__all__ = ["BackgroundTasks", "Health", "Runtime"]

logger = logging.getLogger("webhook_receiver")

_WITHOUT_LOOP = (
    "so handlers of stored deliveries are cut off, and retried only when another request comes. Only store them here, "
    "WebhookReceiver(..., work=False), and handle them by `webhook-receiver worker` on the same inbox"
)
_COUNTS_TIMEOUT = 1.0  # seconds that the counts of the last minute may hold up a stop


class Runtime:
    """The runtime of a receiver: its clock and counters, its inbox with a worker, and its background tasks.

    A receiver has one runtime at a time; `WebhookReceiver.running_on` replaces it for a while.

    Args:
        name: the receiver's name; None for the default, which is the sender's name.
        sender: the sender, whose rules decide about duplicates and ordering keys.
        dispatcher: the receiver, which parses deliveries and has their handlers.
        inbox: the inbox that stores deliveries, or its URL; None to run handlers before the response.
        options: the options of the worker.
        clock: a function that returns the time in Unix seconds.
        work: whether a worker in this process runs the handlers of stored deliveries.
        expect_every: the longest time without a push that is expected; None for any.

    Raises:
        ConfigurationError: `name` is no text, or `inbox` is no inbox and no URL of one, or `expect_every` cannot work.
    """

    def __init__(
        self,
        name: str | None,
        sender: Sender,
        dispatcher: Dispatcher,
        *,
        inbox: Inbox | str | None = None,
        options: WorkerOptions | None = None,
        clock: Callable[[], float] = time.time,
        work: bool = True,
        expect_every: timedelta | float | None = None,
    ) -> None:
        if isinstance(inbox, type) or not isinstance(inbox, Inbox | str | None):
            raise ConfigurationError(
                f'inbox=... takes a URL such as "sqlite:///hooks.db" or an inbox, not {type(inbox).__name__}'
            )
        given: object = options
        if not isinstance(given, WorkerOptions | None):
            raise ConfigurationError(
                f"worker=... takes WorkerOptions(...), such as WorkerOptions(concurrency=8), not {type(given).__name__}"
            )
        if name is not None and not is_name(name):
            raise ConfigurationError(
                f'name=... is a text, such as "partner", in one line without white space around it, not {name!r}'
            )
        switch: object = work
        if not isinstance(switch, bool):
            raise ConfigurationError(f"work=... is True or False, not {switch!r}")
        self.name = sender.name if name is None else name
        """The receiver's name. One that is left at the default may have another name in its inbox, see `open`."""
        self._by_default = name is None
        self.sender = sender
        self.dispatcher = dispatcher
        self.options = options or WorkerOptions()
        self.clock = clock
        self.rejections = RejectionCounter(self.name, clock)
        self.secret_usage = SecretUsage(self.name)
        self.polled = defaultdict[str, int](int)
        """Numbers of polled documents and failed polls: "stored NAME", "known NAME" and "failed NAME" of a source."""
        self.sources: list[str] = []
        """The names of the sources that are polled."""
        self.has_own_clock = clock is not time.time
        """Whether its clock is another one than the system's."""
        self.telemetry: Telemetry | None = None
        """The metrics and spans; None where nobody has configured any before the start."""
        self._is_equipped = False
        """Whether that is known."""
        self.silence = None if expect_every is None else Silence(expect_every, clock)
        """The time without a push; None if nobody expects one."""
        rejected, by_secret = self.rejections.counts, self.secret_usage.counts
        others: dict[str, Mapping[Any, int]] = {"rejected": rejected, "secret": by_secret, "poll": self.polled}
        if self.silence is not None:
            others = {"expected": self.silence.counts, **others}
        self.counters = Counters(clock, others)
        self.attempt_log = AttemptLog(clock)
        self._dead_letter_log = DeadLetterLog(clock)
        self.limiters = Limiters(time.monotonic if clock is time.time else clock)
        """The limits of handlers that run before the response; a worker has its own."""
        self.tasks = BackgroundTasks()
        self._inbox = from_url(inbox) if isinstance(inbox, str) else inbox
        self.keeps = self._inbox is not None
        """Whether there is an inbox."""
        self.entries = EntryBuilder(self.name, sender, window_of(self._inbox))
        """The rules by which deliveries become entries of the inbox."""
        self._work = work
        self._worker: Worker | None = None
        self._opened = False
        self._starts = Starts()
        self.tasks.add(self._watch_unclaimed)
        self.tasks.add(lambda: write_counts(self.counters, self.inbox, lambda: self.name, self.clock))
        self.tasks.add(self._watch_silence)
        self.tasks.add(self._watch_figures)
        self._warnings: set[str] = set()
        """The warnings about how the receiver is hosted that were logged, each once."""
        forks.tell(self)

    @property
    def works(self) -> bool:
        """Whether this process runs the handlers."""
        return self._work or not self.keeps

    @property
    def inbox(self) -> Inbox:
        """The inbox, which is open while the receiver is.

        Raises:
            ConfigurationError: the receiver has no inbox.
        """
        if self._inbox is None:
            raise ConfigurationError(f'{self.name} has no inbox: inbox="sqlite:///hooks.db" gives it one')
        return self._inbox

    def inbox_clock(self) -> float:
        """Return the time by which leases run and deliveries are due; by the receiver's own clock if it has one."""
        return self.inbox.clock() if self.clock is time.time else self.clock()

    @property
    def worker(self) -> Worker | None:
        """The worker; None where none runs."""
        return self._worker

    def before_fork(self) -> None:
        """See `Forkable`: there is nothing to do."""

    def after_fork_in_parent(self) -> None:
        """See `Forkable`: there is nothing to do."""

    def after_fork_in_child(self) -> None:
        """See `Forkable`: what the parent has started does not run here."""
        self._worker, self._opened = None, False
        self._starts.forget()
        release_name(self)
        self.tasks.forget()
        self.counters.forget()

    async def start(self) -> None:
        """Open the inbox, if there is one, and start the worker. Starts are counted: further ones change nothing.

        While the receiver stops, wait for the end of that, and start anew.

        Raises:
            ConfigurationError: a handler needs an inbox and there is none, or the inbox can never work.
            InboxError: the inbox cannot be opened.
        """
        warn_if_disabled()
        self._equip()
        if not self.keeps:
            check_without_inbox(self.dispatcher)
        if self.works and (nothing := no_handlers(self.name, self.dispatcher.handlers, keeps=self.keeps)):
            logger.warning("%s", nothing)
        if not self.keeps:
            return
        await self._starts.begin()
        try:
            await self._start()
        except BaseException:
            with suppress(InboxError):  # which would hide why it did not start
                await self.stop()
            raise

    def set_to_work(self, concurrency: int | None = None) -> None:
        """Run the handlers in this process, whatever `work` says. Has to be called before the start.

        Args:
            concurrency: the number of deliveries that are handled at once; that of the options if None.

        Raises:
            ConfigurationError: the receiver has no inbox, or the number cannot work.
        """
        _ = self.inbox
        self._work = True
        if concurrency is not None:
            self.options = replace(self.options, concurrency=concurrency)

    async def stop(self) -> None:
        """Stop the worker in a bounded time, then close the inbox, unless another receiver runs on the same object.

        As long as another start counts, change nothing. The worker is stopped in the event loop that it was started in.
        """
        if self.keeps and self._starts.end():
            loop = None if self._worker is None else self._worker.loop
            await stop_in(loop, self._stop, self.name, self.options.stop)

    async def _stop(self) -> None:
        async with self._starts.stop():
            worker, self._worker = self._worker, None
            self._opened = False
            try:
                await self.tasks.stop()
                if worker is not None and worker.loop is asyncio.get_running_loop():  # else it ended with its loop
                    await worker.stop()
                    current_default_thread_limiter().total_tokens -= self.options.concurrency
                with suppress(Exception):
                    async with asyncio.timeout(_COUNTS_TIMEOUT):
                        await self.counters.write(self.inbox, self.name)
            finally:
                release_name(self)  # not before, since until then it needs the inbox to be open
                if not is_shared(self, self.inbox):
                    await self.inbox.close()

    async def open(self, *, looks: bool = False) -> None:
        """Open the inbox, and register the receiver in it: from then on `name` is that of its deliveries there.

        Args:
            looks: whether the name is only looked up, and an inbox that does not know the receiver stays as it is.

        Raises:
            ConfigurationError: the inbox can never work, or deliveries of another sender are stored under the name.
            InboxError: the inbox cannot be opened.
        """
        await self.inbox.open()
        by_order = self.sender.order_items != "whole" and any(each.whole_order for each in self.dispatcher.handlers)
        scheme, indexed = type(self.sender.scheme).__name__, by_order and not looks
        mine = Registration(self.name, self.sender.name, scheme, self._by_default, indexed, looks)
        if (name := await registered_name(self.inbox, mine, self._is_own)) != self.name:
            self.name = self.rejections.receiver = self.secret_usage.receiver = name
            self.entries = EntryBuilder(name, self.sender, window_of(self._inbox))

    def _is_own(self, stored: StoredDelivery) -> bool:
        """Return whether a delivery of an older version can be the sender's: read by its rules, it is the event that it
        was then. Without a header that names the event, every sender's would look alike: it was UP42's by default."""
        if self.sender.event_header is None and self.sender.name != "up42":
            return False
        event, delivery = stored.summary.event, stored.delivery
        if event is None or stored.summary.body_removed:
            return True
        try:
            return self.dispatcher.parse(delivery.body, delivery.headers, delivery.part).event == event
        except NotAnEvent:
            return False
        except Exception as error:  # in a user's validator, to which the event came
            log_failure(f"delivery {stored.delivery.id}: a validator failed", error, delivery_id=stored.delivery.id)
            return True

    async def _start(self) -> None:
        check_name(self, self.inbox, self.name)  # before anything is opened
        await self.open()
        claim_name(self, self.inbox, self.name)
        self._opened = True
        if self.silence is not None:
            self.silence.start()
        if self._work:
            # docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
            if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
                self._warn_once(f"%s runs on AWS Lambda, which stands still between two requests, {_WITHOUT_LOOP}")
            paused = await self._paused()  # before anything is claimed
            if self._worker is None or not self._worker.is_working:  # it may be since a moment ago
                clock = self.inbox.clock if self.clock is time.time else self.clock
                self._worker = Worker(
                    *(self.inbox, self.name, self.dispatcher, self.options, clock, self.clock, self.counters),
                    self._complete,
                    () if self.telemetry is None else self.telemetry.middlewares,
                )
                self._worker.start(paused)
                current_default_thread_limiter().total_tokens += self.options.concurrency  # beside those of the host's
        self.tasks.start()

    async def _watch_unclaimed(self) -> None:
        await watch_unclaimed(self.inbox, lambda: self.name, self.clock, self.inbox_clock)

    def _equip(self) -> None:
        """Take the telemetry that is configured by now."""
        self._is_equipped, self.telemetry = True, None if is_unnoticed() else found(self)
        self.rejections.tell = None if self.telemetry is None else self.telemetry.reject

    async def _watch_figures(self) -> None:
        if self.telemetry is not None:
            await self.telemetry.look()

    async def _watch_silence(self) -> None:
        if self.silence is not None:
            await self.silence.watch(self.inbox, lambda: self.name)

    async def _paused(self) -> frozenset[str]:
        """Return the names of the paused handlers; a pause under a handler's old name becomes one under its own."""
        paused = await self.inbox.paused()
        names = [handler.name for handler in self.dispatcher.handlers]
        renamed = old_names([*names, *(each.name for each in self.dispatcher.dead_letter_handlers)], paused)
        for new, old in renamed.items():
            await self.inbox.pause(new, self.clock())
            await self.inbox.resume(old)
        return paused.union(renamed).difference(renamed.values())

    async def put(self, entry: Entry, now: float | None = None) -> Stored | Duplicate:
        """Store a delivery, and return once it would survive a crash.

        Args:
            entry: the delivery, as `entries` builds it.
            now: the Unix time in seconds; None for the time of receipt.

        Returns:
            `Stored`, or `Duplicate` with the id of the delivery that is stored already.

        Raises:
            InboxError: the delivery is not stored.
        """
        delivery = entry.delivery
        began = perf_counter()
        try:
            stored = await self.inbox.put(entry, delivery.received if now is None else now)
        except InboxError:
            raise
        except Exception as error:
            raise _failed(f"delivery {delivery.id}: the inbox failed", error, delivery_id=delivery.id) from None
        numbers = self.counters.stored if isinstance(stored, Stored) else self.counters.duplicates
        bucket = bucket_of(perf_counter() - began)
        numbers[bucket] += delivery.via != EDIT  # which no sender has sent
        if isinstance(stored, Stored) and stored.known:
            self.counters.duplicates[bucket] += len(stored.known)
            log_repeated(delivery.id, [each.id for each in stored.known.values()])
        if self._worker is not None and _is_due(stored):
            self._worker.wake()
        return stored

    def note_dead(self, delivery_id: str, reason: str) -> None:
        """Count and log a delivery that is dead from its receipt on, since it is no event."""
        self.counters.dead_letters += 1
        self._dead_letter_log.add(delivery_id, reason)

    async def _complete(self, delivery: Delivery) -> None:
        """Store the events of a stored body that are not stored, see `missing`."""
        if self.sender.split is None and delivery.stored_events is None:  # as most are
            return
        entry = await missing(delivery, self.dispatcher, self.entries, self.inbox)
        if entry is not None:
            await self.put(entry, self.clock())

    async def put_all(
        self, entries: Sequence[Entry], cursor: str | None, poll: PollLease
    ) -> Sequence[Stored | Duplicate]:
        """Store a page of a source and the cursor behind it, as `Inbox.put_all` does, and have it handled."""
        results = await self.inbox.put_all(entries, cursor, poll, self.clock())
        for entry, result in zip(entries, results, strict=True):
            if isinstance(result, Stored) and result.known:
                log_repeated(entry.delivery.id, [each.id for each in result.known.values()])
        if self._worker is not None and any(map(_is_due, results)):
            self._worker.wake()
        return results

    def is_started(self) -> bool:
        """Return whether deliveries can be stored, and are handled if this process is to do that."""
        if not self.keeps:
            return self._is_equipped
        if not self._work:
            return self._opened
        return self._worker is not None and self._worker.is_working

    @property
    def open_breakers(self) -> frozenset[str] | None:
        """The names of the handlers that this process leaves alone for a while; None if it runs none."""
        return None if self._worker is None else self._worker.open_breakers

    async def start_late(self) -> None:
        """Start with the first delivery, where the host's lifespan did not start the receiver.

        Raises:
            InboxError: the inbox cannot be opened, or can never work, or the receiver stops just now.
        """
        if not self._is_equipped:
            self._equip()
        if self.keeps:
            with self._starts.late(self.name):
                await self._start_late()

    async def _start_late(self) -> None:
        if self._work and self._worker is None:
            self._warn_once(
                "%s was not started: it starts with this delivery, but after a restart stored deliveries wait for the "
                "next one. Let the host start it: lifespan=hooks.lifespan, or `async with hooks:`"
            )
        elif self._worker is not None and self._worker.loop.is_closed():
            self._warn_once(f"%s was not stopped before its event loop ended, {_WITHOUT_LOOP}")
        try:
            # In a context of its own, or the worker would run all handlers in that of this one request.
            await asyncio.get_running_loop().create_task(self._start(), context=Context())
        except ConfigurationError as error:
            raise InboxUnavailable(f"the inbox cannot work: {error}") from None
        except InboxError:
            raise
        except Exception as error:
            raise _failed(f"{self.name}: the inbox failed", error) from None

    def _warn_once(self, message: str) -> None:
        if message not in self._warnings:
            self._warnings.add(message)
            warn_if_disabled()
            logger.warning(message, self.name)

    async def pause(self, handler: str) -> None:
        """Pause a handler by its name: no process on this inbox runs it until it is resumed."""
        await self.inbox.pause(handler, self.clock())
        if self._worker is not None:
            self._worker.pause(handler)

    async def resume(self, handler: str) -> bool:
        """Resume a handler by its name. Return whether it was paused."""
        resumed = await self.inbox.resume(handler)
        if self._worker is not None:
            self._worker.resume(handler)
        return resumed

    async def health(self) -> Health:
        """Return the health of the receiver. The inbox is opened if need be, and a write without effect is committed.

        Without an inbox the state is "working", or "silent".
        """
        silence = self.silence
        seconds = limit = silent = None
        if not self.keeps:
            if silence is not None:
                seconds, limit, silent = silence.seconds, silence.limit, silence.problem
            state = "working" if silent is None else "silent"
            return Health(True, state, silent, since_push_seconds=seconds, expect_every_seconds=limit)
        try:
            await self.inbox.open()
            await self.inbox.check()
            stats = await self.inbox.stats()
            polls = await self.inbox.polls() if self.sources else ()
            if silence is not None:
                await silence.look(self.inbox, self.name)
                seconds, limit, silent = silence.seconds, silence.limit, silence.problem
        except (InboxError, ConfigurationError) as error:
            return failing(str(error))
        except Exception as error:
            log_failure(f"{self.name}: the inbox failed", error)
            return failing(f"the inbox failed: {type(error).__name__}")
        oldest = stats.oldest_waiting
        problem = None if self._worker is None else self._worker.problem
        state = "stalled" if problem is not None else "working" if silent is None else "silent"
        return Health(
            ok=True,
            state=state if self.is_started() else "not started",
            problem=problem or silent,
            waiting=stats.counts[State.WAITING],
            oldest_waiting_seconds=None if oldest is None else max(0.0, self.clock() - oldest),
            unhandled=stats.counts[State.UNHANDLED],
            dead=stats.counts[State.DEAD],
            paused=tuple(stats.paused),
            dead_within_hour=stats.dead_within_hour(self.inbox_clock()),
            polls=polls_of(self.name, self.sources, polls, self.clock(), self.inbox_clock()),
            since_push_seconds=seconds,
            expect_every_seconds=limit,
        )


def _failed(what: str, error: Exception, delivery_id: str | None = None) -> InboxError:
    """Log an error of an inbox that is none of ours, and return the one to raise."""
    log_failure(what, error, delivery_id=delivery_id)
    return InboxError(f"the inbox failed: {type(error).__name__}")


def _is_due(put: Stored | Duplicate) -> bool:
    """Whether a put has made a delivery, or a part of one, due that no worker of this process has yet."""
    replayed = put.known.values() if isinstance(put, Stored) else (put,)
    return (isinstance(put, Stored) and not put.leased) or any(each.replayed for each in replayed)
