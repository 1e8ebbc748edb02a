"""An inbox in a PostgreSQL database, which many machines share.

# Theory of operation

PostgreSQL itself is the engine: row locks that are skipped, advisory locks, NOTIFY. `delivery` is written once, by the
put; `progress` is what changes, and has one row for each delivery.

| state | `progress` says | who ends it |
| --- | --- | --- |
| due | waiting or dead, no lease, `due` has come | a claim |
| leased | a lease, and its end as `due` | the worker settles or releases it; else the next claim after the end |
| waits | waiting, `due` in the future | the clock |
| held | waiting or dead, `held` names a handler | a resume |
| finished | done, dead or unhandled, no `due` | a replay |

**Put.** One transaction for all that arrive during the commit before: lock the hashes by which they could be
duplicates, look for those, insert into both tables, announce.

A page of a poll is put under one lock of its receiver, which every put of that shares.

**Claim.** Two statements in one round trip, as one transaction: the first one locks up to N due rows, passing those
that others have locked, and their ordering keys; the second one sees under these locks which of them still go first,
and writes the leases. No more is claimed than is finished within 0.05 s, and what waits for a slot is released before
its lease ends. The leases are known before they are committed: those of a caller that has gone by then are released.

**Settle.** One statement for all that have ended since the last one; under a lease that has ended it changes nothing.

**Parts.** Each event of a request is a row by itself; the headers and the body are in the row of the first one that was
new, which the others name (`body_of`). When that row goes they move to the oldest one that stays: see `bodies.py`. An
advisory lock lets one transaction at a time move them.

**Looks.** A page reads rows in their order for a bounded time, from whichever of the two tables tells most of them: see
`inbox/look.py`. `progress_undone` has the few that are dead or unhandled, and is none that a put or a settlement of a
done one writes to.

**Wake.** What makes a row due announces its receiver in the same transaction; each worker has a connection that
listens. An announcement may be lost, so workers also poll.

**Clock.** Each process asks for the server's time when it connects first, and counts the seconds since by a steady
clock of its own: neither a step of its machine's clock nor one of the server's changes what it does. But those that
connect before and after a step of the server's differ by that, until they are started again: for the ones that are
ahead the leases of the others end early, and retries are due early.

**Crash.** A process leaves leases, which end by themselves, and the next claim counts it; nothing else has to be
repaired. The server leaves what was committed.

Why no job queue is beneath it, by measurement: docs/how-far-it-goes.md.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from threading import Lock
from typing import Any, Self, TypeVar

import psycopg

from ...errors import ConfigurationError, InboxUnavailable
from .. import forks
from ..clock import InboxClock, LeaseTime
from ..dedup import PutJob
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
from . import auditing, bodies, counting, insert, leases, look, maintenance, polls, queries
from .announcement import listening
from .connection import MOST_CONNECTIONS, NoConnection, Pooling, Server, translated
from .rows import PostgresConnection, PostgresOperation
from .schema import check_ready, check_rights, migrate
from .writer import Writer

logger = logging.getLogger("webhook_receiver")

R = TypeVar("R")

DAY = 86_400.0  # seconds
SCHEMA = "webhook_receiver"
_MOST = 128  # requests in one transaction: each may take an advisory lock, of which a server has some thousands
_MOST_SETTLED = 1024  # settlements in one statement
_LISTENS_AGAIN = 5.0  # seconds after which a connection that listens is opened again
_STEP = 200  # rows that are read or tidied away at a time
_SLOWLY = 12  # times as long as a put may take an operation on many deliveries


class PostgresInbox:
    """An inbox in a schema of a PostgreSQL database. Fulfils `Inbox`.

    A process takes up to four connections, as it needs them: for puts, for leases, for everything else, and one that
    listens. Where the server allows it fewer, it shares them and polls; one is enough.

    Its tables are made by `migrate`, or by `webhook-receiver inbox migrate URL`, and never when it is opened.

    Args:
        url: as libpq takes it: `postgresql://user:password@host/database`, with `?sslmode=verify-full` and the like.
        schema: the schema of the tables.
        window: seconds for which a duplicate of a delivery is recognized.
        retention: seconds for which a done delivery is kept; at least `window`.
        unhandled_retention: seconds for which an unhandled one is kept; None for ever.
        dead_retention: seconds for which a dead one is kept; None for ever.
        keep_body: seconds for which the headers and the body of a done one are kept; None for as long as the delivery.
        timeout: seconds after which a server that does not answer counts as away.
        pooling: "transaction" behind a pooler that gives a session for one transaction; then nothing listens, and
            workers poll.

    Raises:
        ConfigurationError: the settings cannot work.
    """

    def __init__(
        self,
        url: str,
        *,
        schema: str = SCHEMA,
        window: float = 7 * DAY,
        retention: float = 30 * DAY,
        unhandled_retention: float | None = 30 * DAY,
        dead_retention: float | None = None,
        keep_body: float | None = None,
        timeout: float = 5.0,
        pooling: Pooling = "session",
    ) -> None:
        self._retention = retention_of(window, retention, unhandled_retention, dead_retention)
        self._keep_body = checked_span("keep_body", keep_body)
        if not 0 < timeout < 86_400:
            raise ConfigurationError(f"an inbox's timeout is above 0 seconds and below a day, not {timeout!r}")
        self.server = Server(url, schema, pooling)
        self.window = window
        self._timeout = timeout
        self._writers: tuple[Writer, Writer, Writer] | None = None
        """The writers for puts, for leases, and for everything else: no kind of work waits for another kind."""
        self.place = self.address
        """The place of the tables as the server says it, once it was asked: by whichever address it was reached."""
        self._opening = Lock()
        self._clock = InboxClock()
        self._is_measured = False
        """Whether the clock is that of the server, as it was when this process connected first."""
        self._latest = float("-inf")
        """The latest Unix time that was passed to a claim, in seconds: a clock that is set back shows here."""
        forks.tell(self)

    def __repr__(self) -> str:
        return f"<PostgresInbox {self.server}>"

    @property
    def address(self) -> str:
        """See `Inbox`."""
        return str(self.server)

    def clock(self) -> float:
        """See `Inbox`. It is what the server's clock was when this process connected first, and the seconds since."""
        return self._clock()

    def before_fork(self) -> None:
        """See `Forkable`."""
        self._opening.acquire()

    def after_fork_in_parent(self) -> None:
        """See `Forkable`."""
        self._opening.release()

    def after_fork_in_child(self) -> None:
        """See `Forkable`. The parent's connections are not closed, which would end them for the parent, too."""
        self._writers = None
        self._opening.release()

    async def migrate(self, role: str | None = None) -> list[str]:
        """Make the tables, or bring them to the newest version; safe to do twice, and from several places at once.

        Args:
            role: the role that may use the tables from then on, without being allowed to make any.

        Returns:
            The names of the migrations that were run.

        Raises:
            ConfigurationError: the tables are newer than this code, or the server does not allow it.
            InboxUnavailable: the server cannot be reached.
        """
        return await asyncio.to_thread(_translating, lambda: migrate(self.server, role))

    async def open(self) -> Self:
        """See `Inbox`."""
        if self._writers is None:
            await asyncio.to_thread(self._open_once)
        return self

    def _open_once(self) -> None:
        with self._opening:
            if self._writers is None:
                server, ready = self.server, _translating(self._connect_ready)
                one = Writer("webhook-inbox-insert", server, _MOST, self._timeout, leases.AT_ONCE)
                two = Writer("webhook-inbox-leases", server, _MOST_SETTLED, self._timeout, leases.AT_ONCE)
                three = Writer("webhook-inbox-rest", server, 1, self._timeout * _SLOWLY, leases.AT_ONCE, ready)
                one.others, two.others, three.others = (two, three), (three, one), (two, one)
                self._writers = one, two, three

    def _connect_ready(self) -> PostgresConnection:
        """Return a connection to a server that was found fit."""
        connection = self.server.connect()
        try:
            if self.server.pooling == "session":
                with suppress(NoConnection):
                    self.server.connect().close()  # beside this one: a pooler that shares one session shows
            with self.server.transaction(connection):
                self._check(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _check(self, connection: PostgresConnection) -> None:
        check_ready(connection, self.server)
        check_rights(connection, self.server)
        self.place = f"{queries.database(connection)} {self.server.schema}"
        if not self._is_measured:
            self._clock.booted, self._is_measured = queries.booted(connection, self._clock.uptime), True
        insert.check_round_trip(connection)
        allowed = queries.connections_allowed(connection)
        if self.server.pooling == "session" and allowed < MOST_CONNECTIONS:
            said = "%s allows this role %d connections: a process takes up to %d, and is slower with fewer"
            logger.warning(said, self.server, allowed, MOST_CONNECTIONS)
        if connection.execute("SELECT current_setting('fsync')").fetchone() == ("off",):
            logger.warning("%s runs with fsync = off: what it has committed may not survive", self.server)

    async def close(self) -> None:
        """See `Inbox`."""
        writers, self._writers = self._writers, None
        for writer in writers or ():
            await writer.close()

    async def check(self) -> None:
        """See `Inbox`."""
        await self._writer(0).submit(maintenance.beat, None)

    async def register(self, receiver: Registration) -> Registration:
        """See `Inbox`."""
        return await self._ask(lambda connection: maintenance.register(connection, receiver))

    async def put(self, entry: Entry, now: float) -> Stored | Duplicate:
        """See `Inbox`."""
        return await self._writer(0).submit(insert.put, PutJob.of(entry, now, self.window))

    async def put_all(
        self, entries: Sequence[Entry], cursor: str | None, poll: PollLease, now: float
    ) -> Sequence[Stored | Duplicate]:
        """See `Inbox`."""
        job = PutAllJob.of(entries, cursor, poll, now, self.window)
        return await self._ask(lambda connection: polls.put_all(connection, job))

    async def lease_poll(
        self, receiver: str, source: str, lease: float, now: float, *, early: bool = False
    ) -> PollLease | None:
        """See `Inbox`."""
        job = LeaseJob(receiver, source, lease, now, early)
        return await self._ask(lambda connection: polls.lease(connection, job))

    async def renew_poll(self, poll: PollLease, lease: float, now: float) -> bool:
        """See `Inbox`."""
        return await self._ask(lambda connection: polls.renew(connection, poll, lease, now))

    async def release_poll(
        self, poll: PollLease, now: float, outcome: PollOutcome = SUCCESS, unix: float | None = None
    ) -> bool:
        """See `Inbox`."""
        job = ReleaseJob.of(poll, now, outcome, unix)
        return await self._ask(lambda connection: polls.release(connection, job))

    async def polls(self) -> Sequence[Poll]:
        """See `Inbox`."""
        return await self._ask(polls.polls)

    async def count(self, counts: Mapping[Metric, int], now: float) -> None:
        """See `Inbox`."""
        await self._ask(lambda connection: counting.count(connection, counts, now))

    async def counted(self, since: float, until: float) -> Mapping[Metric, int]:
        """See `Inbox`."""
        return await self._ask(lambda connection: counting.counted(connection, since, until))

    async def series(self, since: float, until: float, step: float) -> Mapping[Metric, Sequence[int]]:
        """See `InboxReader`."""
        return await self._ask(lambda connection: counting.series(connection, since, until, step))

    async def audit(self, record: AuditRecord) -> int:
        """See `Inbox`."""
        return await self._ask(lambda connection: auditing.audit(connection, record))

    async def audit_done(self, number: int, count: int) -> None:
        """See `Inbox`."""
        await self._ask(lambda connection: auditing.audit_done(connection, number, count))

    async def audited(self, *, limit: int, before: int | None = None) -> Sequence[AuditRecord]:
        """See `InboxReader`."""
        return await self._ask(lambda connection: auditing.audited(connection, limit, before))

    async def claim(
        self, receiver: str, limit: int, lease: float, now: float, unix: float | None = None
    ) -> Sequence[Claim]:
        """See `Inbox`."""
        await self._watch_clock(now)
        job = leases.ClaimJob(receiver, limit, LeaseTime.of(now, lease), now if unix is None else unix, [])
        return await leases.claimed(self._writer(1), job)

    async def _watch_clock(self, now: float) -> None:
        if now < self._latest - 1 or self._latest == float("-inf"):
            await self._ask(lambda connection: maintenance.restart_waits(connection, now))
        self._latest = now

    async def renew(self, claims: Sequence[Claim], lease: float, now: float) -> None:
        """See `Inbox`."""
        if claims:
            await self._writer(1).submit(leases.renew, (claims, LeaseTime.of(now, lease)))

    async def save_progress(self, claim: Claim, handlers: Mapping[str, HandlerState], now: float) -> bool:
        """See `Inbox`."""
        return await self._writer(1).submit(leases.save_progress, (claim, handlers))

    async def settle(self, settlement: Settlement, now: float) -> bool:
        """See `Inbox`."""
        return await self._writer(1).submit(leases.settle, (settlement, now))

    async def release(self, claims: Sequence[Claim], now: float) -> None:
        """See `Inbox`."""
        if claims:
            await self._writer(1).submit(leases.release, claims)

    async def pause(self, handler: str, now: float) -> None:
        """See `Inbox`."""
        await self._ask(lambda connection: maintenance.pause(connection, handler, now))

    async def resume(self, handler: str) -> bool:
        """See `Inbox`."""
        return await self._ask(lambda connection: maintenance.resume(connection, handler))

    async def paused(self) -> frozenset[str]:
        """See `Inbox`."""
        return await self._ask(queries.paused)

    async def find(
        self, which: Filter, *, limit: int | None = None, newest_first: bool = True, after: str | None = None
    ) -> Sequence[DeliverySummary]:
        """See `Inbox`."""
        return await self._ask(lambda connection: queries.find(connection, which, limit, newest_first, after))

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
        return await self._ask(lambda connection: look.page(connection, which, limit, newest_first, after, seconds))

    async def total(self, which: Filter, *, seconds: float = LOOK) -> Total:
        """See `InboxReader`."""
        return await self._ask(lambda connection: look.total(connection, which, seconds))

    async def dead_letters(self, which: Filter, *, seconds: float = LOOK) -> DeadLetters:
        """See `InboxReader`."""
        return await self._ask(lambda connection: look.dead_letters(connection, which, seconds))

    async def get(self, id: str) -> StoredDelivery | None:
        """See `Inbox`."""
        return await self._ask(lambda connection: queries.get(connection, id))

    async def replay(self, ids: Sequence[str], now: float, *, handler: str | None = None) -> int:
        """See `Inbox`."""
        return await self._ask(lambda connection: maintenance.replay(connection, ids, now, handler))

    async def purge(self, which: Filter, now: float, *, limit: int, unix: float | None = None) -> int:
        """See `Inbox`."""
        since = known_since(now if unix is None else unix, self.window)
        return await self._ask(lambda connection: maintenance.purge(connection, which, now, limit, *since))

    async def expire(self, now: float) -> int:
        """See `Inbox`."""
        since = known_since(now, self.window)

        def expire(connection: PostgresConnection) -> int:
            maintenance.add_up(connection)
            removed = [
                maintenance.purge(connection, Filter(states=[state]), None, _STEP, *since, now - seconds)
                for state, seconds in self._retention.items()
            ]
            if self._keep_body is not None:
                removed.append(bodies.remove(connection, now - self._keep_body))
            removed.append(maintenance.forget(connection, *since, _STEP))
            removed.append(auditing.forget(connection, now - AUDIT_RETENTION, _STEP))
            return sum(removed) + counting.forget(connection, now - COUNTS_RETENTION, _STEP)

        return await self._ask(expire)

    async def stats(self) -> Stats:
        """See `Inbox`."""
        return await self._ask(queries.stats)

    async def watch(self, receiver: str, poll: float) -> AsyncGenerator[None, None]:
        """See `Inbox`. Without a connection that listens it polls."""
        while self.server.pooling == "transaction":  # who listens needs a session
            yield
            await asyncio.sleep(poll)
        failing = False
        while True:
            try:
                async with listening(self.server, receiver) as listener:
                    failing = False
                    while True:
                        yield
                        await listener.wait(poll)
            except (psycopg.Error, OSError) as error:
                if not failing:
                    logger.info("%s: nothing listens, so deliveries are found by polling: %s", receiver, error)
                failing = True
            for _ in range(max(1, round(_LISTENS_AGAIN / poll))):
                yield
                await asyncio.sleep(poll)

    async def dump(self, which: Filter) -> AsyncIterator[StoredDelivery | DamagedDelivery]:
        """See `Inbox`."""
        seq = None
        while True:
            page = await self._page(which, seq)
            for seq, delivery in page:  # noqa: B007 - the last one is where the next page begins
                yield delivery
            if len(page) < _STEP:
                return

    async def _page(self, which: Filter, seq: int | None) -> list[tuple[int, StoredDelivery | DamagedDelivery]]:
        return await self._ask(lambda connection: queries.after(connection, which, seq, _STEP))

    async def load(self, deliveries: Sequence[StoredDelivery], now: float) -> int:
        """See `Inbox`."""
        return await self._ask(lambda connection: maintenance.load(connection, deliveries, now, self.window))

    async def _ask(self, ask: Callable[[PostgresConnection], R]) -> R:
        operation: PostgresOperation[Any, Any] = lambda connection, requests: [ask(connection) for _ in requests]  # noqa: E731
        found: R = await self._writer(2).submit(operation, None)
        return found

    def _writer(self, which: int) -> Writer:
        if self._writers is None:
            raise InboxUnavailable("the inbox is not open")
        return self._writers[which]


def _translating(do: Callable[[], R]) -> R:
    try:
        return do()
    except (psycopg.Error, OSError) as error:
        raise translated(error) from None
