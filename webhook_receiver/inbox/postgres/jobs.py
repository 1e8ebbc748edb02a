"""The jobs of procrastinate: one for each delivery that has handlers left to run.

A job is created, and cancelled, in the transaction that makes it necessary or needless. `worker.procrastinate` runs it.
The row of a delivery names its job; another job for it that still exists does nothing any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import NamedTuple

from procrastinate.jobs import Job
from procrastinate.manager import JobManager
from procrastinate.sync_psycopg_connector import SyncPsycopgConnector

from ..records import State
from .rows import PostgresConnection, ask, columns

TASK = "webhook_receiver.handle"
"""The name of the one task; its argument is the row of a delivery."""
_LEAST, _MOST = -(2**31) + 1, 2**31 - 1

_manager = JobManager(SyncPsycopgConnector())  # always given a connection, so that it needs none of its own


class NewJob(NamedTuple):
    """A delivery that is to have a job."""

    seq: int
    receiver: str
    order_key_hash: int | None
    state: State


def queue(receiver: str) -> str:
    """Return the queue of a receiver: a name short enough for a channel of PostgreSQL (an identifier, 63 bytes)."""
    return "webhooks-" + blake2b(receiver.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def create(connection: PostgresConnection, new_jobs: Sequence[NewJob]) -> list[int]:
    """Create a job for each delivery, to be run at once; return the ids of the jobs."""
    if not new_jobs:
        return []
    made = _manager.batch_defer_jobs([_job(new) for new in new_jobs], connection=connection)
    return [job.id for job in made if job.id is not None]


def _job(new: NewJob) -> Job:
    # The older goes first, whenever its job is made: one that is replayed before those that came after it.
    priority = min(max(-new.seq, _LEAST), _MOST)
    # Only a WAITING delivery holds up the others of its key: a dead-letter handler runs beside them.
    lock = None if new.order_key_hash is None or new.state is not State.WAITING else str(new.order_key_hash)
    name = queue(new.receiver)
    return Job(
        queue=name, priority=priority, lock=lock, queueing_lock=None, task_name=TASK, task_kwargs={"seq": new.seq}
    )


def cancel(connection: PostgresConnection, jobs: Iterable[int | None]) -> None:
    """Cancel jobs; the worker that is running one of them is told to abort it."""
    for job in jobs:
        if job is not None:
            _manager.cancel_job_by_id(job, abort=True, delete_job=True, connection=connection)


def replace(connection: PostgresConnection, seqs: Sequence[int]) -> None:
    """Give these rows new jobs, to be run at once, in place of those that they have."""
    found = ask(
        connection, "SELECT seq, source, line, state, job FROM progress WHERE seq = ANY(%s) ORDER BY seq", [[*seqs]]
    ).fetchall()
    cancel(connection, [row[4] for row in found])
    made = create(
        connection,
        [NewJob(seq, receiver, key_hash, State(state)) for seq, receiver, key_hash, state, _ in found],
    )
    ask(
        connection,
        "UPDATE progress SET job = n.job FROM unnest(%s::bigint[], %s::bigint[]) AS n(seq, job) "
        "WHERE progress.seq = n.seq",
        columns([(row[0], job) for row, job in zip(found, made, strict=True)], 2),
    )
