"""A poller: it asks one source at intervals, and keeps what that tells in the inbox of a receiver.

Theory of operation
-------------------
A poll is done under a lease on the source, from the cursor that the inbox has. Page by page, the documents become
entries of the inbox as bodies of pushes do, and are put with the cursor behind them in one transaction. So after a
crash the next poll goes on where this one has stopped, and a process whose lease has ended puts nothing and moves no
cursor. A page is put in several transactions if it is long; the cursor moves with the last of them.

The lease is released with the time before which nobody polls again: by it all processes on an inbox poll a source once
in an interval, together. After failures that time grows. A process that was killed keeps the others waiting until its
lease ends, which is `LEASE` seconds later at most.

Whatever a source does, the receiver goes on: it is given bounded time, what it returns is checked, and the entries are
made and put in small steps, between which pushes come first.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext, suppress
from datetime import datetime
from hashlib import blake2b
from itertools import count, islice
from time import perf_counter
from typing import NamedTuple, cast

from ..delivery import Delivery, new_id
from ..errors import ApiError, ConfigurationError, InboxError, PollLeaseLost, WebhookError
from ..events import Event, order_id_of
from ..inbox.records import Entry, PollLease, PollOutcome, Stored
from ..logs import LineLimit
from ..redaction import place_of, places, storable
from ..senders.source import MOST_OF_A_CURSOR, Changes, NotAllTold, Source, StartsAt, api_error, source_name
from ..telemetry import PolledPage
from . import Runtime
from .intake import log_failed_validators

logger = logging.getLogger("webhook_receiver")

LEASE = 60.0
"""Seconds after which another process polls, when the one that did was killed."""
MOST_PAGES = 1000
"""Number of pages of a poll, at most; the next poll goes on behind them."""
SHORTEST_BACKOFF = 60.0
"""Seconds to the next poll after the first failure, at most; they double with each further one."""
LONGEST_BACKOFF = 3600.0
"""Seconds to the next poll after many failures, unless the interval is longer."""
LONGEST_RETRY_AFTER = 86_400.0
"""Seconds for which an API may ask not to be called, at most."""
PAGE_TIMEOUT = 600.0
"""Seconds that a source may take for a page."""

_SOON = 1.0  # seconds between two looks at a source that another process polls, at least
_JITTER = (0.9, 1.1)  # of a wait, so that no two processes or sources ask together for ever
_AT_ONCE, _AT_ONCE_BESIDE_PUSHES = 100, 20  # documents that are put together, which no push notices
_BYTES_AT_ONCE = 1024 * 1024
_MOST_TOLD = 50_000  # documents that are known without a look into the inbox: some MiB
_MOST_NAMED = 3  # documents that are too large, in the error of a poll
_STEP = 0.001  # seconds of work, after which the event loop is left to others
_REST = 10.0  # for so many times as long as the work took, while pushes come
_LONGEST_REST = 0.1  # seconds
_BUSY = 0.2  # seconds after a push in which others are expected


class Polled(NamedTuple):
    """The counts of a poll."""

    documents: int = 0
    """Number of documents that the source returned."""
    stored: int = 0
    """Number of documents that were new, or had a part that was, and are in the inbox now."""
    known: int = 0
    """Number of documents that the inbox had already, by a push or by another poll."""
    dead: int = 0
    """Number of those stored that are no events, and so dead letters."""

    def as_json(self) -> dict[str, int]:
        """Return the counts as a JSON object."""
        return self._asdict()


Progress = Callable[[Polled], object]
"""A function that is called with the counts so far, whenever something was put."""


class _Batch:
    """Documents that are put together."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.digests: list[bytes] = []
        self.known = 0
        """Number of documents besides, which the source has told before."""
        self._size = 0

    def is_full(self, most: int) -> bool:
        """Whether no further document is to be added, of so many at most."""
        return len(self.entries) >= most or self._size >= _BYTES_AT_ONCE

    def add(self, digest: bytes, size: int, entry: Entry | None) -> None:
        """Add a document; its entry is None if it is an empty batch."""
        self.digests.append(digest)
        if entry is not None:
            self.entries.append(entry)
            self._size += size


class Poller:
    """Polls one source for one receiver.

    Args:
        runtime: the runtime of the receiver.
        source: the source.
        interval: the seconds between two polls; a tenth more or less, at random.
        max_document: the largest size of a document, in bytes.

    Raises:
        ConfigurationError: the source is none.
    """

    def __init__(self, runtime: Runtime, source: Source, interval: float, max_document: int) -> None:
        self.name = source_name(source)
        """The name of the source."""
        self._runtime = runtime
        self.source = source
        """The source."""
        self._interval = interval
        self._max_document = max_document
        self._wait = 0.0
        """The seconds before which nobody polls, by the end of the latest poll of this process."""
        self._left_out: list[str] = []
        """What this poll has left out: documents that are too large."""
        self._context: str | None = None
        """What the deliveries of this page keep of its telemetry."""
        self._logged = ""
        """What kind of error was logged last, unless a poll has succeeded since."""
        self._told: dict[bytes, None] = {}
        """The digests of what the source told last, and the inbox has: a listing tells it again."""
        self._answered: int = 0  # requests, when that was last looked at
        self._busy_until = 0.0
        self._invalid = LineLimit(runtime.clock, first=10)

    async def run(self, report: Progress | None = None) -> None:
        """Poll at intervals until the task is cancelled. What fails is logged, and tried again.

        Args:
            report: a function that is called with the counts of each poll that has not failed.
        """
        while True:
            wait = await self._turn(report)
            await asyncio.sleep(wait)

    async def _turn(self, report: Progress | None) -> float:
        """Poll if it is time to, and nobody else does; return the seconds to the next turn."""
        try:
            polled = await self.poll()
            if polled is None:
                return await self._until_due()
            if report is not None:
                report(polled)
            return self._wait
        except PollLeaseLost as error:
            logger.info("%s: %s", self._runtime.name, error)
            return min(self._interval, LEASE)
        except Exception as error:
            wait = self._wait or self._interval
            self._log(error, wait)
            return min(wait, self._interval)  # somebody may poll it early, and succeed

    async def _until_due(self) -> float:
        """Return the seconds to the next look at a source that another process polls, or has polled lately."""
        runtime, left = self._runtime, 0.0
        for each in await runtime.inbox.polls():
            if (each.receiver, each.source) == (runtime.name, self.name) and each.until is not None:
                left = each.until - runtime.inbox_clock()
        return min(max(left, _SOON), self._interval)

    async def poll(
        self, *, early: bool = False, since: datetime | None = None, progress: Progress | None = None
    ) -> Polled | None:
        """Poll once, to the end of what the source tells.

        Args:
            early: whether to poll also before the wait after the last poll is over.
            since: the moment at which to begin in place of the cursor, with a time zone; None for the cursor.
            progress: a function that is called with the counts so far, whenever something was put.

        Returns:
            The counts; None if another process polls the source, or it is too early.

        Raises:
            ConfigurationError: the source cannot begin at a time.
            PollLeaseLost: another process polls the source since: this one was stopped for too long.
            ApiError: the API failed, or the source returned what it must not. What was put until then stays.
            InboxError: the inbox failed.
            Exception: whatever else the source has raised.
        """
        begin = None if since is None else self._cursor_at(since)
        runtime, self._wait = self._runtime, 0.0
        lease = await self._lease(early=early)
        if lease is None:
            return None
        outcome = PollOutcome(stopped=True)
        renewing = asyncio.create_task(self._renew(lease))
        try:
            if begin is not None:
                self._told.clear()  # who asks for what is past may have removed it from the inbox
                await runtime.put_all([], begin, lease)
            polled = await self._pages(lease, lease.cursor if begin is None else begin, progress)
            outcome = PollOutcome(wait=self._interval * random.uniform(*_JITTER))  # noqa: S311
        except Exception as error:
            is_partial = isinstance(error, NotAllTold)
            outcome = PollOutcome(reason_of(error), self._wait_after(error, lease.failures), partial=is_partial)
            if not isinstance(error, PollLeaseLost):
                runtime.polled[f"failed {self.name}"] += 1
            raise
        finally:
            renewing.cancel()
            self._wait = outcome.wait
            with suppress(InboxError):  # it ends by itself, then
                await asyncio.shield(self._release(lease, outcome))
        self._log_success(polled)
        return polled

    async def _lease(self, *, early: bool) -> PollLease | None:
        """Take the lease; if the task is cancelled meanwhile, give it back."""
        runtime = self._runtime
        taking = asyncio.ensure_future(
            runtime.inbox.lease_poll(runtime.name, self.name, LEASE, runtime.inbox_clock(), early=early)
        )
        try:
            return await asyncio.shield(taking)
        except asyncio.CancelledError:
            with suppress(InboxError):
                lease = await taking
                if lease is not None:
                    await self._release(lease, PollOutcome(stopped=True))
            raise

    async def _release(self, lease: PollLease, outcome: PollOutcome) -> None:
        runtime = self._runtime
        await runtime.inbox.release_poll(lease, runtime.inbox_clock(), outcome, runtime.clock())

    def _cursor_at(self, moment: datetime) -> str:
        source: object = self.source
        if not isinstance(source, StartsAt):
            raise ConfigurationError(
                f"the source {self.name} cannot begin at a time: it has no `cursor_at`, a method that returns the "
                "cursor for one"
            )
        return source.cursor_at(moment)

    async def _renew(self, lease: PollLease) -> None:
        """Renew the lease until the task is cancelled, or the lease has ended: then putting fails."""
        renewed = True
        while renewed:
            await asyncio.sleep(LEASE / 3)
            with suppress(InboxError):
                renewed = await self._runtime.inbox.renew_poll(lease, LEASE, self._runtime.inbox_clock())

    async def _pages(self, lease: PollLease, cursor: str | None, progress: Progress | None) -> Polled:
        polled, seen = Polled(), {cursor}
        self._left_out.clear()
        telemetry = self._runtime.telemetry
        for number in count(1):
            with nullcontext(PolledPage()) if telemetry is None else telemetry.poll(self.name) as page:
                self._context, before = page.context, polled
                changes = await self._ask(cursor)
                polled = await self._put(changes, cursor, lease, polled, progress)
                page.documents = len(changes.documents)
                page.stored, page.known = polled.stored - before.stored, polled.known - before.known
            if not changes.more:
                break
            if changes.cursor in seen:
                raise ApiError(
                    f"the source {self.name} goes in a circle: it says that more is behind an earlier cursor"
                )
            if number == MOST_PAGES:
                logger.info(
                    "%s: the source %s has more behind %d pages: the next poll goes on there",
                    *(self._runtime.name, self.name, number),
                )
                break
            cursor = changes.cursor
            seen.add(cursor)
        if self._left_out:  # the rest is stored, and the cursor is behind all of it
            raise ApiError(f"the source {self.name} told {'; '.join(self._left_out)}: {self._how_to_take}")
        return polled

    async def _ask(self, cursor: str | None) -> Changes:
        """Return the next page of the source.

        Raises:
            ApiError: it returned none, or too late.
        """
        given: object = self.source(cursor)
        if not isinstance(given, Awaitable):
            raise ApiError(f"the source {self.name} is not async: write it as `async def`")
        limit = asyncio.timeout(PAGE_TIMEOUT)
        try:
            async with limit:
                found = await cast("Awaitable[object]", given)
        except TimeoutError:
            if limit.expired():
                raise ApiError(f"the source {self.name} gave no page within {PAGE_TIMEOUT:g} s") from None
            raise
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise ApiError(f"the source {self.name} was cancelled from within") from None  # or it would end the polls
        except SystemExit:
            raise ApiError(f"the source {self.name} called sys.exit()") from None  # or it would end the server
        if (wrong := _complaint(found)) is not None:
            raise ApiError(f"the source {self.name} returned {wrong}")
        return cast("Changes", found)

    async def _put(
        self, changes: Changes, before: str | None, lease: PollLease, polled: Polled, progress: Progress | None
    ) -> Polled:
        """Put the documents of a page, and at the end the cursor behind them; return the counts with them added."""
        batch, told, began = _Batch(), self._told, perf_counter()
        for number, document in enumerate(changes.documents, 1):
            if type(document) is not bytes:
                raise ApiError(
                    f"the source {self.name} returned as document {number} of a page {type(document).__name__}, and "
                    "not bytes, the body of a delivery"
                )
            if len(document) > self._max_document:
                self._leave_out(document)
                continue
            digest = blake2b(document, digest_size=16).digest()
            if digest in told:
                batch.known += 1
            else:
                batch.add(digest, len(document), self._entry(document))
                if batch.is_full(_AT_ONCE if began > self._busy_until else _AT_ONCE_BESIDE_PUSHES):
                    polled = await self._put_batch(batch, before, lease, polled, progress)
                    batch = _Batch()
            worked = perf_counter() - began
            if worked > _STEP:
                await self._let_pushes_go_first(worked)
                began = perf_counter()
        if batch.entries or batch.known or changes.cursor != before:
            polled = await self._put_batch(batch, changes.cursor, lease, polled, progress)
        return polled

    async def _put_batch(
        self, batch: _Batch, cursor: str | None, lease: PollLease, polled: Polled, progress: Progress | None
    ) -> Polled:
        runtime, entries, told = self._runtime, batch.entries, self._told
        results = await runtime.put_all(entries, cursor, lease)
        told.update(dict.fromkeys(batch.digests))
        for digest in [*islice(told, max(0, len(told) - _MOST_TOLD))]:
            del told[digest]
        new = [entry for entry, result in zip(entries, results, strict=True) if isinstance(result, Stored)]
        known = len(entries) - len(new) + batch.known
        for what, number in (("stored", len(new)), ("known", known)):
            if number:
                runtime.polled[f"{what} {self.name}"] += number
        dead = [entry for entry in new if entry.dead is not None]
        for entry in dead:
            runtime.note_dead(entry.delivery.id, entry.dead or "")
        polled = Polled(
            polled.documents + len(new) + known,
            polled.stored + len(new),
            polled.known + known,
            polled.dead + len(dead),
        )
        if progress is not None:
            progress(polled)
        return polled

    async def _let_pushes_go_first(self, worked: float) -> None:
        """Leave the event loop to others after so many seconds of work, and for longer while pushes come."""
        answered, now = sum(self._runtime.counters.answered.values()), perf_counter()
        if answered != self._answered:
            self._answered, self._busy_until = answered, now + _BUSY
        await asyncio.sleep(min(worked * _REST, _LONGEST_REST) if now < self._busy_until else 0)

    def _leave_out(self, document: bytes) -> None:
        """Note that a document is too large; nothing else waits for it. The error at the end of the poll says so."""
        what = f"a document of {len(document)} bytes"
        with suppress(Exception):  # in a user's class
            events = self._runtime.dispatcher.parse_all(document, ())
            orders = [order_id_of(each) for each in events if isinstance(each, Event)]
            order = next(each for each in orders if each is not None)
            what += f" about the order {storable(order)[:100]!r}"
        logger.error(
            "%s: the source %s told %s, which is left out: %s",
            *(self._runtime.name, self.name, what, self._how_to_take),
        )
        if len(self._left_out) < _MOST_NAMED:
            self._left_out.append(what)

    @property
    def _how_to_take(self) -> str:
        return (
            f"WebhookReceiver(max_body=...) allows {self._max_document}; with more, the command poll --since tells it "
            "again"
        )

    def _entry(self, document: bytes) -> Entry | None:
        """Return the entry of a document; None for an empty batch."""
        runtime = self._runtime
        now = runtime.clock()
        # It was read from the sender's API, so an order check has nothing to confirm.
        delivery = Delivery(*(new_id(now), runtime.name, (), document, now, None, True, "poll"), context=self._context)
        found = runtime.dispatcher.parse_all(document, ())
        failed = [each for each in found if isinstance(each, Exception) and not isinstance(each, WebhookError)]
        if failed and self._invalid.left_out("") is not None:
            log_failed_validators(delivery, failed)
        return runtime.entries.build(delivery, found) if found else None

    def _wait_after(self, error: Exception, failures: int) -> float:
        """Return the seconds to the next poll after a failure, and so many others before it."""
        wait = self._interval
        if not isinstance(error, NotAllTold):
            wait = min(wait, SHORTEST_BACKOFF) * 2.0 ** min(failures, 30)
        wait = min(wait, max(self._interval, LONGEST_BACKOFF)) * random.uniform(*_JITTER)  # noqa: S311
        known = api_error(error, self._runtime.clock())
        asked: object = None if known is None else known.retry_after
        if isinstance(asked, int | float) and asked > 0:
            wait = max(wait, min(asked, LONGEST_RETRY_AFTER) * random.uniform(1, _JITTER[1]))  # noqa: S311
        return wait

    def _log(self, error: Exception, wait: float) -> None:
        """Log a failure; the same one in several polls only once."""
        known = api_error(error, self._runtime.clock())
        status = None if known is None else known.status
        kind = f"{type(error).__name__} {reason_of(error) if status is None else status}"
        if kind == self._logged:
            return
        self._logged = kind
        what = f"{self._runtime.name}: the source {self.name} failed, and is asked again in about {wait:.3g} s"
        logger.error("%s: %s", what, "\n".join(filter(None, (reason_of(error), trail_of(error)))))

    def _log_success(self, polled: Polled) -> None:
        name = self._runtime.name
        if self._logged:
            logger.info("%s: the source %s works again", name, self.name)
        self._logged = ""
        if polled.stored:
            logger.info("%s: the source %s told %d changes, %d were known", name, self.name, *polled[1:3])


def _complaint(found: object) -> str | None:
    """Return what is wrong with what a source returned; None if nothing is."""
    if not isinstance(found, Changes):
        return f"{type(found).__name__}, and not Changes(documents, cursor)"
    documents: object = found.documents
    cursor: object = found.cursor
    more: object = found.more
    if not isinstance(documents, Sequence) or isinstance(documents, str | bytes | bytearray | memoryview):
        return f"{type(documents).__name__} as documents, and not a list of bytes"
    if not isinstance(cursor, str):
        return f"{type(cursor).__name__} as cursor, and not a text"
    if len(cursor) > MOST_OF_A_CURSOR:
        return f"a cursor of {len(cursor)} characters, with more than {MOST_OF_A_CURSOR}"
    if storable(cursor) != cursor:
        return "a cursor with half a surrogate pair, which no inbox can store"
    if not isinstance(more, bool):
        return f"{type(more).__name__} as more, and not True or False"
    return None


def reason_of(error: Exception) -> str:
    """Return why a poll failed, for everybody to see: an error that is not ours may have a key in its message."""
    if isinstance(error, WebhookError):
        return str(error)
    known = api_error(error, 0)
    return place_of(error) if known is None else str(known)


def trail_of(error: Exception) -> str:
    """Return the traceback of an error that is not ours, with nothing that it says; empty for others."""
    return "" if isinstance(error, WebhookError) or api_error(error, 0) is not None else places(error)


def poller_of(runtime: Runtime, source: Source, interval: float, max_body: int, *, names_are_in_body: bool) -> Poller:
    """Return the poller of a source, which runs while the receiver does. See `WebhookReceiver.poll_every`.

    Args:
        runtime: the runtime of the receiver.
        source: the source.
        interval: the time between two polls, in seconds.
        max_body: the largest size of a document, in bytes.
        names_are_in_body: whether the sender's documents have the names of their events.

    Raises:
        ConfigurationError: there is no inbox, another source has the name, or documents have no names of events.
    """
    _ = runtime.inbox
    poller = Poller(runtime, source, interval, max_body)
    if poller.name in runtime.sources:
        raise ConfigurationError(f"{runtime.name} polls a source {poller.name} already: give this one another name")
    sender = runtime.sender
    if not names_are_in_body and sender.orders is None:
        raise ConfigurationError(
            f"the sender {sender.name} names its events in a header or the URL, which a source does not return"
        )
    runtime.tasks.add(poller.run)
    runtime.sources.append(poller.name)
    return poller
