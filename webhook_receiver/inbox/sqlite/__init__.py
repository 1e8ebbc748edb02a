"""An inbox in a SQLite file: durable, with no server to run; several processes of one machine may share it.

Theory of operation
-------------------

**Two tables.** `delivery` has what came, and is the journal: one row for each delivery, written once, by its put.
`progress` has what became of it, under the same `seq`: to settle must not write the body again. So the common way costs
two writes, a row here and a row there.

**A WAITING delivery** is one of these at every commit:

- free: no row in `progress`, and no owner, or one whose sign of life in the table `owner` has ended. It is due;
- born leased: no row in `progress`, its owner is alive and has it in hand: see `owners.py`;
- tracked: its row in `progress` alone says how it waits. That is leased (`lease`, until `due`), due at a time, blocked
  by an older one of its ordering key (neither `due` nor `held`), or held by a paused handler (`held`, DEAD or not).

**Who writes what, and when.**

| what | writes |
| --- | --- |
| put | the row in `delivery`, with its owner if it is born leased; a row in `progress` if it is dead at once |
| claim | rows in `progress` for what was free, with the lease, and for what is before it; else their leases |
| settle | the row in `progress` of a born lease, or what has become of a claimed one |
| renew | the sign of life; rows in `progress` for all that is in the worker's hands just then |
| replay, load | rows in `progress` for these, and for what is untracked of their ordering keys |
| find, page, get, stats, dump and the like | nothing |
| open | the row in `clock`, if it is the first one since the machine has booted |

**Parts.** Each event of a request is a row by itself; the headers and the body are in the row of the first one that was
new, which the others name (`body_of`). When that row goes they move to the oldest one that stays: see `bodies.py`.

`position` is one row: up to which `seq` all deliveries are tracked, so that a claim finds the others by a range of the
primary key, and up to which `lookup` has the hashes of duplicates (see `dedup_index.py`). `holder` has the delivery
that goes first of each ordering key (see `ordering.py`); a born lease holds its key without a row there.

**One thread writes**, many jobs in each transaction; a job that fails is done again alone. Only when a commit may be
acknowledged are results set, and then what was born leased is handed to its worker, by this thread: the task that put
it may be gone.

**What a crash leaves behind.** All that was committed. Claimed deliveries are under their leases until these end, and
the next claim counts the crash. Those that were born leased are free as soon as the sign of life has ended, or the next
process is the first to open the file; no crash is counted.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from threading import RLock
from typing import Any, Self, TypeVar

from ...errors import ConfigurationError, InboxDamaged, InboxUnavailable
from .. import forks
from ..clock import InboxClock, LeaseTime
from ..dedup import PutJob
from ..owner import Owner
from ..polls import LeaseJob, PutAllJob, ReleaseJob
from ..records import (
    LOOK,
    SUCCESS,
    AuditRecord,
    Claim,
    DamagedDelivery,
    DeadLetters,
    DeliverySummary,
    Duplicate,
    Entry,
    Filter,
    HandlerState,
    Metric,
    Page,
    Poll,
    PollLease,
    PollOutcome,
    Settlement,
    Stats,
    Stored,
    StoredDelivery,
    Total,
)
from ..registration import Registration
from ..retention import AUDIT_RETENTION, COUNTS_RETENTION, checked_span, known_since, retention_of
from . import auditing, backup, bodies, counting, file_guard, insert, leases, look, maintenance, owners, polls, queries
from .connection import Inode, Reader, WriterConnection, connect, patiently
from .file_guard import IntegrityCheck
from .opening import confirm, make_ready
from .watchers import Watchers
from .writer import SQLiteOperation, Writer

R = TypeVar("R")

DAY = 86_400.0  # seconds
_PATIENCE = 0.5  # seconds that the check of the whole file may hold up the start; then it goes on beside
_opening = RLock()  # a thread that forks takes it for each inbox
_open_here: list[Inode | None] = []  # the files of the inboxes that are open in this process
_STEP = 200  # rows that are tidied away at a time: a few milliseconds, which no put notices


class SQLiteInbox:
    """An inbox in a SQLite file on a local disk. Fulfils `Inbox`.

    Args:
        path: the file; it is created if it does not exist, readable for its owner only. Its folder is not created.
        window: seconds for which a duplicate of a delivery is recognized.
        retention: seconds for which a done delivery is kept; at least `window`.
        unhandled_retention: seconds for which an unhandled one is kept; None for ever.
        dead_retention: seconds for which a dead one is kept; None for ever.
        keep_body: seconds for which the headers and the body of a done one are kept; None for as long as the delivery.
        min_free: bytes that the disk must have free; with less, `put` raises InboxUnavailable before the disk is full.
        busy_timeout: seconds to wait for another process that writes (sqlite.org/c3ref/busy_timeout.html).
        create: whether a file that does not exist is created, and an empty one is made an inbox.
        backup: whether a file of an older version is copied before its tables change, to `hooks.db.schema-4.bak` beside
            `hooks.db` if it has the schema 4.

    Raises:
        ConfigurationError: the settings cannot work.
    """

    _lasts = True
    """Whether the data is in a file, so that its connections may be closed and opened again."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        window: float = 7 * DAY,
        retention: float = 30 * DAY,
        unhandled_retention: float | None = 30 * DAY,
        dead_retention: float | None = None,
        keep_body: float | None = None,
        min_free: int = 64 * 1024 * 1024,
        busy_timeout: float = 5.0,
        create: bool = True,
        backup: bool = True,
    ) -> None:
        self._retention = retention_of(window, retention, unhandled_retention, dead_retention)
        self._keep_body = checked_span("keep_body", keep_body)
        if min_free < 0 or not 0 <= busy_timeout < 2**31 / 1000:
            raise ConfigurationError(
                f"min_free is a number of bytes and busy_timeout of seconds, not {min_free!r} and {busy_timeout!r}"
            )
        if sqlite3.sqlite_version_info < (3, 38):
            raise ConfigurationError(f"the inbox needs SQLite 3.38, this Python has {sqlite3.sqlite_version}")
        self.path = Path(path).resolve()  # as SQLite does: its log is beside the file, not beside a link to it
        self.window = window
        self._file_guard = file_guard.FileGuard(self.path, min_free)
        self._busy_timeout = busy_timeout
        self.creates, self.backs_up, self.min_free = create, backup, min_free
        self._writer: Writer | None = None
        self._reader: Reader | None = None
        self._check: IntegrityCheck | None = None
        self._clock = InboxClock()
        self._latest = float("-inf")  # that a claim was asked for: a clock that is set back shows here
        self._owners: dict[str, Owner] = {}
        """The worker of this process that what is put may be born to, by the receiver's name."""
        self._watchers = Watchers()
        self._resume: list[Callable[[], None]] = []  # what the parent calls after the fork that is under way
        forks.tell(self)

    def __repr__(self) -> str:
        return f"<SQLiteInbox {self.path}>"

    @property
    def address(self) -> str:
        """See `Inbox`."""
        return str(self.path)

    def clock(self) -> float:
        """See `Inbox`. All processes of one boot of the machine that have opened the file have the same."""
        return self._clock()

    async def open(self) -> Self:
        """See `Inbox`."""
        if self._writer is None:
            await asyncio.to_thread(self._open_once)
        return self

    async def close(self) -> None:
        """See `Inbox`."""
        writer, reader, check, file = self._writer, self._reader, self._check, self._file_guard.remembered
        if writer is None or reader is None:
            return
        self._owners, self._reader, self._writer = {}, None, None  # the writer last: then it may be opened anew
        await writer.close()
        await asyncio.to_thread(reader.close)
        if check is not None:
            await asyncio.to_thread(check.stop)
        _open_here.remove(file)
        if not self._file_guard.has_log():
            self._file_guard.forget_last()

    def before_fork(self) -> None:
        """See `Forkable`."""
        _opening.acquire()
        if self._writer is not None and self._reader is not None:
            self._writer.suspend(disconnect=self._lasts)
            self._reader.suspend()
            self._resume = [self._writer.resume, self._reader.resume]
            if self._check is not None:
                self._check.stop()
                self._resume.append(self._check.resume)

    def after_fork_in_parent(self) -> None:
        """See `Forkable`."""
        for resume in self._resume:
            resume()
        self._resume = []
        _opening.release()

    def after_fork_in_child(self) -> None:
        """See `Forkable`."""
        if self._writer is not None:
            _open_here.remove(self._file_guard.remembered)
        self._writer = self._reader = self._check = None
        self._owners = {}  # whose worker is not here
        self._resume = []
        _opening.release()

    async def check(self) -> None:
        """See `Inbox`."""
        self._file_guard.check_free_space(at_once=True)
        await self._write(maintenance.beat, None)

    async def register(self, receiver: Registration) -> Registration:
        """See `Inbox`."""
        return await self._write(maintenance.register, receiver)

    async def put(self, entry: Entry, now: float) -> Stored | Duplicate:
        """See `Inbox`."""
        self._file_guard.check_free_space()
        owner = self._owners.get(entry.delivery.receiver)
        return await self._write(insert.put, PutJob.of(entry, now, self.window, owner))

    async def put_all(
        self, entries: Sequence[Entry], cursor: str | None, poll: PollLease, now: float
    ) -> Sequence[Stored | Duplicate]:
        """See `Inbox`."""
        self._file_guard.check_free_space()
        return await self._write(polls.put_all, PutAllJob.of(entries, cursor, poll, now, self.window))

    async def lease_poll(
        self, receiver: str, source: str, lease: float, now: float, *, early: bool = False
    ) -> PollLease | None:
        """See `Inbox`."""
        return await self._write(polls.lease, LeaseJob(receiver, source, lease, now, early))

    async def renew_poll(self, poll: PollLease, lease: float, now: float) -> bool:
        """See `Inbox`."""
        return await self._write(polls.renew, (poll, lease, now))

    async def release_poll(
        self, poll: PollLease, now: float, outcome: PollOutcome = SUCCESS, unix: float | None = None
    ) -> bool:
        """See `Inbox`."""
        return await self._write(polls.release, ReleaseJob.of(poll, now, outcome, unix))

    async def polls(self) -> Sequence[Poll]:
        """See `Inbox`."""
        return await self._read(polls.polls)

    async def count(self, counts: Mapping[Metric, int], now: float) -> None:
        """See `Inbox`."""
        await self._write(counting.count, (counts, now))

    async def counted(self, since: float, until: float) -> Mapping[Metric, int]:
        """See `Inbox`."""
        return await self._read(partial(counting.counted, since=since, until=until))

    async def series(self, since: float, until: float, step: float) -> Mapping[Metric, Sequence[int]]:
        """See `InboxReader`."""
        return await self._read(partial(counting.series, since=since, until=until, step=step))

    async def audit(self, record: AuditRecord) -> int:
        """See `Inbox`."""
        return await self._write(auditing.audit, record)

    async def audit_done(self, number: int, count: int) -> None:
        """See `Inbox`."""
        await self._write(auditing.audit_done, (number, count))

    async def audited(self, *, limit: int, before: int | None = None) -> Sequence[AuditRecord]:
        """See `InboxReader`."""
        return await self._read(partial(auditing.audited, limit=limit, before=before))

    async def own(self, owner: Owner, lease: float, now: float) -> bool:
        """See `DirectInbox`."""
        goes_on = await self._write(owners.own, owners.OwnJob(owner, LeaseTime.of(now, lease)))
        if goes_on:
            self._owners[owner.receiver] = owner
        elif self._owners.get(owner.receiver) is owner:
            del self._owners[owner.receiver]
        return goes_on

    async def disown(self, owner: Owner, held: Collection[str] = ()) -> None:
        """See `DirectInbox`."""
        if self._owners.get(owner.receiver) is owner:
            del self._owners[owner.receiver]
        await self._write(owners.disown, (owner, held))

    async def claim(
        self, receiver: str, limit: int, lease: float, now: float, unix: float | None = None
    ) -> Sequence[Claim]:
        """See `Inbox`."""
        if now < self._latest - 1 or self._latest == float("-inf"):
            await self._write(maintenance.restart_waits, now)
        self._latest = now
        owner = self._owners.get(receiver)
        handed = 0 if owner is None else owner.handed
        job = leases.ClaimJob(receiver, limit, LeaseTime.of(now, lease), now if unix is None else unix, owner, handed)
        if self._writer is None:
            raise InboxUnavailable("the inbox is not open")
        return await leases.claimed(self._writer, job)

    async def renew(self, claims: Sequence[Claim], lease: float, now: float) -> None:
        """See `Inbox`."""
        if claims:
            await self._write(leases.renew, (claims, LeaseTime.of(now, lease)))

    async def save_progress(self, claim: Claim, handlers: Mapping[str, HandlerState], now: float) -> bool:
        """See `Inbox`."""
        return await self._write(leases.save_progress, (claim, handlers, now))

    async def settle(self, settlement: Settlement, now: float) -> bool:
        """See `Inbox`."""
        return await self._write(leases.settle, (settlement, now))

    async def release(self, claims: Sequence[Claim], now: float) -> None:
        """See `Inbox`."""
        if claims:
            await self._write(leases.release, claims)

    def watch(self, receiver: str, poll: float) -> AsyncGenerator[None, None]:
        """See `Inbox`. No process hears of another one."""
        return self._watchers.watch(poll)

    async def pause(self, handler: str, now: float) -> None:
        """See `Inbox`."""
        await self._write(maintenance.pause, (handler, now))

    async def resume(self, handler: str) -> bool:
        """See `Inbox`."""
        return await self._write(maintenance.resume, handler)

    async def paused(self) -> frozenset[str]:
        """See `Inbox`."""
        return await self._read(queries.paused)

    async def find(
        self, which: Filter, *, limit: int | None = None, newest_first: bool = True, after: str | None = None
    ) -> Sequence[DeliverySummary]:
        """See `Inbox`."""
        return await self._read(partial(queries.find, which=which, limit=limit, newest_first=newest_first, after=after))

    async def page(
        self,
        which: Filter,
        *,
        limit: int,
        newest_first: bool = True,
        after: str | None = None,
        seconds: float = LOOK,
    ) -> Page:
        """See `InboxReader`."""
        return await self._read(lambda connection: look.page(connection, which, limit, newest_first, after, seconds))

    async def total(self, which: Filter, *, seconds: float = LOOK) -> Total:
        """See `InboxReader`."""
        return await self._read(partial(look.total, which=which, seconds=seconds))

    async def dead_letters(self, which: Filter, *, seconds: float = LOOK) -> DeadLetters:
        """See `InboxReader`."""
        return await self._read(partial(look.dead_letters, which=which, seconds=seconds))

    async def get(self, id: str) -> StoredDelivery | None:
        """See `Inbox`."""
        return await self._read(partial(queries.get, beginning=id))

    async def replay(self, ids: Sequence[str], now: float, *, handler: str | None = None) -> int:
        """See `Inbox`."""
        return await self._write(maintenance.replay, maintenance.ReplayJob(ids, now, handler))

    async def purge(self, which: Filter, now: float, *, limit: int, unix: float | None = None) -> int:
        """See `Inbox`."""
        since = known_since(now if unix is None else unix, self.window)
        return await self._write(maintenance.purge, maintenance.PurgeJob(which, now, limit, *since))

    async def expire(self, now: float) -> int:
        """See `Inbox`."""
        since = known_since(now, self.window)
        ends = {state: now - seconds for state, seconds in self._retention.items()}
        jobs = [maintenance.PurgeJob(Filter(states=[state]), None, _STEP, *since, end) for state, end in ends.items()]
        removed = sum([await self._write(maintenance.purge, job) for job in jobs])
        if self._keep_body is not None:
            removed += await self._write(bodies.remove, bodies.RemoveJob(now - self._keep_body, _STEP))
        removed += await self._write(counting.forget, (now - COUNTS_RETENTION, _STEP))
        removed += await self._write(auditing.forget, (now - AUDIT_RETENTION, _STEP))
        return removed + await self._write(maintenance.forget, (*since, _STEP))

    async def stats(self) -> Stats:
        """See `Inbox`."""
        return await self._read(queries.stats)

    async def dump(self, which: Filter) -> AsyncIterator[StoredDelivery | DamagedDelivery]:
        """See `Inbox`."""
        seq = -(2**63)
        while True:
            page = await self._read(partial(queries.after, which=which, seq=seq, limit=_STEP))
            for seq, delivery in page:  # noqa: B007 - the last one is where the next page begins
                yield delivery
            if len(page) < _STEP:
                return

    async def load(self, deliveries: Sequence[StoredDelivery], now: float) -> int:
        """See `Inbox`."""
        self._file_guard.check_free_space()
        return await self._write(maintenance.load, (deliveries, now, self.window))

    async def vacuum(self) -> None:
        """Rewrite the file without the space of removed deliveries (sqlite.org/lang_vacuum.html); writers wait
        meanwhile.

        Raises:
            InboxUnavailable: the file cannot be written to, or there is no room for the copy that this makes.
        """
        await asyncio.to_thread(backup.vacuum, self._connect)

    async def backup(
        self, file: str | os.PathLike[str], progress: Callable[[int, int], None] = lambda copied, pages: None
    ) -> None:
        """Copy the inbox, while it is in use, to a file of its own: all that was acknowledged until now is in it.

        The copy is private (mode 0600), and replaces what has its name only when it is whole. It never replaces a
        database in use. Nobody waits for it.

        Args:
            file: the copy; its folder has to be there.
            progress: called in another thread with the number of pages that are copied, and of all pages.

        Raises:
            ConfigurationError: the file is the inbox itself, a folder, or a database in use.
            InboxUnavailable: the inbox cannot be read, or the copy cannot be written.
            InboxDamaged: SQLite finds the inbox damaged.
        """
        await backup.in_thread(self._connect, Path(file), progress)

    async def check_integrity(self) -> None:
        """Wait for the end of the check of the whole file, which began when the inbox was opened, and check its counts.

        Raises:
            InboxDamaged: the file is damaged.
            InboxUnavailable: the inbox is not open, or the file cannot be read.
        """
        if self._check is None or self._writer is None:
            raise InboxUnavailable("the inbox is not open")
        try:
            await asyncio.to_thread(self._check.wait, None)
        except sqlite3.Error as error:
            raise InboxUnavailable(f"the inbox cannot be read: {error}") from None
        await self._read(queries.check_tally)

    def _open_once(self) -> None:
        with _opening:
            if self._writer is None:
                self._open()
                self._reader = Reader(self._connect)
                _open_here.append(self._file_guard.remembered)
                self._writer = Writer(self._connect_writer, self._guard, partial(confirm, self._file_guard))

    def _open(self) -> None:
        """Create the file if need be, migrate it to the newest schema, and start the check of its integrity."""
        self._file_guard.check_path(create=self.creates)
        try:
            self._file_guard.make_private()
            patiently(self._make_ready, self._busy_timeout)
            self._check = IntegrityCheck(self._connect, self.path)
            self._check.wait(_PATIENCE)
        except sqlite3.OperationalError as error:
            raise InboxUnavailable(f"the inbox {self.path} cannot be opened: {error}") from None
        except sqlite3.DatabaseError as error:
            raise InboxDamaged(f"{self.path} is not an inbox, or is damaged: {error}") from None
        except OSError as error:
            raise InboxUnavailable(f"the inbox {self.path} cannot be opened: {error.strerror}") from None

    def _make_ready(self) -> None:
        alone = self._file_guard.files()[0] not in _open_here
        given = (self._file_guard, self._connect, self._clock)
        make_ready(*given, create=self.creates, backs_up=self.backs_up, alone=alone)

    def _connect(self) -> WriterConnection:
        self._file_guard.check_not_replaced()
        return connect(self.path, self._busy_timeout)

    def _connect_writer(self) -> WriterConnection:
        connection = self._connect()
        connection.execute("SELECT 1 FROM sqlite_schema").fetchall()  # with this, SQLite opens the log
        connection.files = self._file_guard.files()
        connection.announce = self._watchers.wake
        return connection

    def _guard(self) -> None:
        self._file_guard.check_not_replaced()
        if self._check is not None:
            self._check.check_undamaged()

    def _write(self, operation: SQLiteOperation[Any, R], job: Any) -> asyncio.Future[R]:
        if self._writer is None:
            raise InboxUnavailable("the inbox is not open")
        return self._writer.submit(operation, job)

    async def _read(self, ask: Callable[[sqlite3.Connection], R]) -> R:
        if self._reader is None:
            raise InboxUnavailable("the inbox is not open")
        return await asyncio.to_thread(self._reader.ask, ask)
