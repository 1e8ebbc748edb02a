"""The worker of a PostgreSQL inbox: procrastinate runs a job for each delivery, and the job handles it."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString, Protocol, TypeVar

import procrastinate
import procrastinate.builtin_tasks  # pyright: ignore[reportUnusedImport] - else imported while we run, see `forks`
import psycopg
from procrastinate import BaseRetryStrategy, RetryDecision
from procrastinate.connector import Notify
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Job
from procrastinate.manager import JobManager
from procrastinate.psycopg_connector import PsycopgConnector
from procrastinate.worker import Worker as Fetcher
from psycopg import sql
from psycopg_pool import AsyncConnectionPool

from ..inbox.base import Inbox
from ..inbox.postgres import jobs
from ..inbox.postgres.connection import Server, translated
from ..inbox.postgres.leases import NEVER, NotYet
from ..inbox.records import Claim, Settlement, State
from ..options import WorkerOptions
from .executor import Dispatcher, InFlight
from .worker import Worker

_NEVER = datetime(9000, 1, 1, tzinfo=UTC)
_SECONDS_BETWEEN_MENDING = 60.0
_HOURS_OF_FAILED_JOBS = 1
_SLACK = 1.0  # seconds beyond those that handlers have, for jobs to end when the process stops


class JobInbox(Inbox, Protocol):
    """An inbox whose deliveries have jobs of procrastinate, such as `PostgresInbox`."""

    server: Server
    """The database of the inbox and of the jobs."""

    async def claim_for_job(self, seq: int, job: int, lease: float, now: float) -> Claim | NotYet | None:
        """Claim one delivery for its job; return until when to wait, or None if the job has nothing left to do."""
        ...

    async def restore_jobs(self, receiver: str, now: float) -> int:
        """Create the missing jobs of deliveries that are overdue; return how many."""
        ...

    async def server_time(self) -> float:
        """Return the time by the server's clock, in Unix seconds."""
        ...


class RunAgain(Exception):
    """Raised by a job that is to be run again, with this lock if one is given."""

    def __init__(self, at: datetime, lock: str | None = None) -> None:
        super().__init__(f"again at {at:%Y-%m-%d %H:%M:%S}")
        self.at = at
        self.lock = lock


class _RetryAsRaised(BaseRetryStrategy):
    def __init__(self, otherwise: float) -> None:
        self._otherwise = timedelta(seconds=otherwise)

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision:
        if isinstance(exception, RunAgain):
            return RetryDecision(retry_at=exception.at, lock=exception.lock)
        return RetryDecision(retry_at=datetime.now(UTC) + self._otherwise)


class JobWorker(Worker):
    """A worker that handles the deliveries of one receiver by the jobs that procrastinate has for them.

    A job claims its delivery, and ends when that has been handled and settled. Then the job is done, or it is retried
    when the delivery is due, holding its lock meanwhile. The inbox decides, never the job: a job that is run twice, or
    for nothing, does no harm.

    Args:
        inbox: the store of the deliveries and of the jobs.
        receiver: the receiver's name.
        handlers: the dispatcher, which parses a delivery and knows the handlers that match it.
        options: the settings of the worker.
        clock: returns the time in Unix seconds.
    """

    def __init__(
        self, inbox: JobInbox, receiver: str, handlers: Dispatcher, options: WorkerOptions, clock: Callable[[], float]
    ) -> None:
        super().__init__(inbox, receiver, handlers, options, clock)
        self._job_inbox = inbox
        self._queue = jobs.queue(receiver)
        self._connector = RetryingConnector(inbox.server, receiver, self._stopping)
        self._fetcher: Fetcher | None = None
        self._fetching: asyncio.Task[None] | None = None
        self._ahead = 0.0
        """The number of seconds by which the server's clock is ahead of this machine's."""
        self._in_hand: set[int] = set()
        """The ids of the jobs that run here."""
        self._missed: set[int] = set()
        """The ids of the jobs that the server says run here, but that did not at the last look."""
        self._mended = float("-inf")
        self._settled: dict[str, Settlement] = {}
        self._ends: dict[str, list[asyncio.Future[Settlement | None]]] = {}
        """The futures that wait for a delivery to be settled, by its id."""

    def start(self, paused: frozenset[str] = frozenset()) -> None:
        """See `Worker`."""
        super().start(paused)
        self._tasks.append(self._begin(self._rescue))

    def wake(self) -> None:
        """See `Worker`."""
        with suppress(RuntimeError):  # its loop is closed
            self.loop.call_soon_threadsafe(self._connector.wake)

    async def stop(self) -> None:
        """See `Worker`."""
        await super().stop()
        if self._fetching is not None:
            await asyncio.wait([self._fetching], timeout=_SLACK)
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)
            await self._connector.end()

    async def _claim(self) -> float:
        """Have procrastinate fetch and run jobs until the worker stops, or until that fails."""
        self._connector = RetryingConnector(self._job_inbox.server, self._receiver, self._stopping)
        try:
            return await self._fetch()
        except BaseException:
            await self._connector.end()  # cancelled with its loop; a pool that is not closed may keep that from ending
            raise

    async def _fetch(self) -> float:
        await self._connector.begin()
        app = procrastinate.App(connector=self._connector)
        app.task(name=jobs.TASK, retry=_RetryAsRaised(self._options.poll), pass_context=True)(self._run)
        self._fetcher = Fetcher(
            app,
            queues=[self._queue],
            name=self._receiver,
            concurrency=2 * self._options.concurrency,  # as many more are ready, so that handlers never wait for one
            fetch_job_polling_interval=self._options.poll,
            shutdown_graceful_timeout=self._options.stop + _SLACK,
            delete_jobs="always",
            install_signal_handlers=False,
            update_heartbeat_interval=self._options.lease / 3,
            stalled_worker_timeout=self._options.lease,
        )
        run: Callable[[], Coroutine[Any, Any, None]] = self._fetcher.run
        self._fetching = self.loop.create_task(run())
        stopping = self.loop.create_task(self._stopping.wait())
        await asyncio.wait([self._fetching, stopping], return_when=asyncio.FIRST_COMPLETED)
        if self._stopping.is_set():
            stop: Callable[[], None] = self._fetcher.stop
            stop()  # what runs is waited for in our own `stop`
            return 0
        stopping.cancel()
        fetching, self._fetching = self._fetching, None
        await self._connector.end()
        try:
            fetching.result()
        except ConnectorException as error:
            raise translated(error) from None
        return self._options.poll

    async def _run(self, context: procrastinate.JobContext, seq: int) -> None:
        """Run a job: handle the delivery in row `seq`."""
        job = context.job.id
        assert job is not None  # noqa: S101 - for the type checkers
        self._in_hand.add(job)
        try:
            if not self._stopping.is_set():
                await self._try(seq, job)
            else:
                raise self._again(self._clock())
        finally:
            self._in_hand.discard(job)

    async def _try(self, seq: int, job: int) -> None:
        found = await self._job_inbox.claim_for_job(seq, job, self._options.lease, self._clock())
        if found is None:
            return
        if isinstance(found, NotYet):
            if found.needs_own_lock:  # its job must not hold up that of the one which goes first
                raise self._again(max(found.due, self._clock() + self._options.poll), f"alone-{seq}")
            raise self._again(found.due)
        settlement = await self._handled(found)
        if settlement is None:  # the inbox knows what is left to do, if anything
            raise self._again(self._clock())
        if settlement.due is not None:
            raise self._again(settlement.due, f"dead-{seq}" if settlement.state is State.DEAD else None)
        if settlement.state is State.WAITING:  # for a handler that is paused, unless that has been resumed already
            raise self._again(self._clock())

    async def _handled(self, claim: Claim) -> Settlement | None:
        """Have a delivery handled; return its settlement, or None if it was not settled."""
        if self._stopping.is_set():
            await self._release([claim])
            return None
        end: asyncio.Future[Settlement | None] = self.loop.create_future()
        self._ends.setdefault(claim.delivery.id, []).append(end)
        self._add(claim)
        return await end

    def _again(self, due: float, lock: str | None = None) -> RunAgain:
        if due == NEVER:
            return RunAgain(_NEVER, lock)
        wait = max(0.0, due - self._clock())
        if 0 < wait < self._options.poll:
            # A little later than due, since the two clocks do not tick alike.
            self.loop.call_later(wait + 0.01, self.wake)
        return RunAgain(datetime.now(UTC) + timedelta(seconds=min(wait, 1e9) + self._ahead), lock)

    async def _try_to_settle(self, settlement: Settlement) -> bool | None:
        settled = await super()._try_to_settle(settlement)
        if settled:
            self._settled[settlement.claim.delivery.id] = settlement
        return settled

    def _remove(self, in_flight: InFlight) -> None:
        super()._remove(in_flight)
        id = in_flight.claim.delivery.id
        if id in self._in_flight:
            return  # under a newer lease
        settlement = self._settled.pop(id, None)
        for end in self._ends.pop(id, ()):
            if not end.done():
                end.set_result(settlement)

    async def _rescue(self) -> float:
        """Have those jobs run again whose worker died, or never learned that it has them."""
        if self._fetcher is None or self._fetcher.worker_id is None:
            return 0.1  # it is just about to begin
        self._ahead = await self._job_inbox.server_time() - time.time()
        manager = JobManager(self._connector)
        stalled = await manager.get_stalled_jobs(queue=self._queue, seconds_since_heartbeat=self._options.lease)
        ours = await manager.list_jobs_async(queue=self._queue, status="doing", worker_id=self._fetcher.worker_id)
        missing = {job.id for job in ours if job.id is not None} - self._in_hand
        lost = {job.id for job in stalled if job.id is not None} | (missing & self._missed)
        self._missed = missing
        for id in lost - self._in_hand:
            await manager.retry_job_by_id_async(id, datetime.now(UTC) + timedelta(seconds=self._ahead))
        if time.monotonic() > self._mended + _SECONDS_BETWEEN_MENDING:
            self._mended = time.monotonic()
            await self._job_inbox.restore_jobs(self._receiver, self._clock())
            await manager.delete_old_jobs(
                _HOURS_OF_FAILED_JOBS, self._queue, include_failed=True, include_cancelled=True, include_aborted=True
            )
        return self._options.lease / 3


logger = logging.getLogger("webhook_receiver")

R = TypeVar("R")

_CONNECTIONS = 4
_PAUSE = 1.0  # seconds between two tries, at most, while the server is away
_LISTENING = 5.0  # seconds after which it is seen whether the connection that listens still is one
_NEXT_JOB_BY_INDEX = "; ".join(
    f"SET enable_{way} = off" for way in ("hashjoin", "mergejoin", "seqscan", "bitmapscan", "sort", "material")
)
"""Planner settings with which the next job is found by an index
(postgresql.org/docs/current/runtime-config-query.html): without statistics the server would read all jobs, which is
much slower."""
_WORTH_IT = json.dumps({"type": "job_inserted", "job_id": 0})


class RetryingConnector(PsycopgConnector):
    """A connector for procrastinate's worker that retries each query while the server is away.

    Args:
        server: the database of the jobs.
        receiver: the receiver's name, for log messages.
        stopping: set when waiting for the server is pointless.
    """

    def __init__(self, server: Server, receiver: str, stopping: asyncio.Event) -> None:
        super().__init__()  # pyright: ignore[reportUnknownMemberType]
        self._server = server
        self._receiver = receiver
        self._stopping = stopping
        self._is_away = False
        self._has_ended = False
        self._notify: Notify | None = None
        self._channel = ""
        self._wakes = 0
        self._waking: set[asyncio.Task[None]] = set()

    async def begin(self) -> None:
        """Open the pool of connections."""
        pool: AsyncConnectionPool[psycopg.AsyncConnection[tuple[Any, ...]]] = AsyncConnectionPool(
            self._server.conninfo,
            kwargs={"autocommit": True},
            configure=self._configure,
            min_size=1,
            max_size=_CONNECTIONS,
            timeout=_LISTENING,
            open=False,
        )
        await pool.open()
        await self.open_async(pool)

    async def end(self) -> None:
        """Close the pool; queries that wait for the server get its error."""
        self._has_ended = True
        await self.pool.close()

    async def _configure(self, connection: psycopg.AsyncConnection[Any]) -> None:
        await connection.execute("SELECT set_config('search_path', quote_ident(%s), false)", [self._server.schema])
        # What becomes of a job need not survive a crash of the server: what became of the delivery does, and a job
        # that is run again finds that out.
        await connection.execute("SET synchronous_commit = off")
        await connection.execute(_NEXT_JOB_BY_INDEX.encode())

    def wake(self) -> None:
        """Make the worker look for a job at once."""
        self._wakes += 1
        if self._notify is not None:
            task = asyncio.ensure_future(self._tell(self._notify))
            self._waking.add(task)
            task.add_done_callback(self._waking.discard)

    async def _tell(self, notify: Notify) -> None:
        await notify(channel=self._channel, payload=_WORTH_IT)

    async def execute_query_async(self, query: LiteralString, **arguments: Any) -> None:
        """See `PsycopgConnector`."""
        execute = super().execute_query_async
        try:
            await self._with_retries(lambda: execute(query, **arguments))
        except ConnectorException as error:
            # The job is no longer ours, since it was rescued or cancelled, or it is left for others to rescue.
            # That does no harm, for the inbox decides; nobody would see the error but asyncio, which prints it.
            if not (self._is_over or isinstance(error.__cause__, psycopg.errors.RaiseException)):
                raise
        self.wake()  # a job has ended, and maybe lets another one of its lock go on

    async def execute_query_one_async(self, query: LiteralString, **arguments: Any) -> dict[str, Any]:
        """See `PsycopgConnector`."""
        execute = super().execute_query_one_async
        wakes = self._wakes
        found: dict[str, Any] = await self._with_retries(lambda: execute(query, **arguments))
        if self._wakes != wakes:  # the worker forgets notifications that come while it fetches
            asyncio.get_running_loop().call_soon(self.wake)
        return found

    async def execute_query_all_async(self, query: LiteralString, **arguments: Any) -> list[dict[str, Any]]:
        """See `PsycopgConnector`."""
        execute = super().execute_query_all_async
        return await self._with_retries(lambda: execute(query, **arguments))

    async def listen_notify(self, on_notification: Notify, channels: Iterable[str]) -> None:
        """See `PsycopgConnector`."""
        names = [*channels]
        self._notify, self._channel = on_notification, names[0]
        try:
            while True:
                with suppress(psycopg.Error):
                    await self._listen(on_notification, names)
                await asyncio.sleep(_PAUSE)
        finally:
            self._notify = None

    async def _listen(self, on_notification: Notify, channels: list[str]) -> None:
        connection = await psycopg.AsyncConnection.connect(self._server.conninfo, autocommit=True)
        async with connection:
            for channel in channels:
                await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
            while True:
                async for found in connection.notifies(timeout=_LISTENING):
                    self._wakes += 1
                    await on_notification(channel=found.channel, payload=found.payload)
                await connection.execute("SELECT 1")

    @property
    def _is_over(self) -> bool:
        """Whether waiting for the server is pointless."""
        return self._stopping.is_set() or self._has_ended

    async def _with_retries(self, do: Callable[[], Awaitable[R]]) -> R:
        pause = 0.05
        while True:
            try:
                found = await do()
            except ConnectorException as error:
                if self._is_over or not isinstance(error.__cause__, psycopg.OperationalError):
                    raise
                if not self._is_away and pause > 0.05:
                    self._is_away = True
                    logger.error("%s: %s", self._receiver, translated(error))
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._stopping.wait()
                pause = min(2 * pause, _PAUSE)
            else:
                if self._is_away:
                    self._is_away = False
                    logger.info("%s: the inbox works again", self._receiver)
                return found
