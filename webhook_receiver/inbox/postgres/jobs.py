"""The jobs of procrastinate's: one for each delivery that has something left to do.

A job is made, and withdrawn, in the transaction that says so. What the worker runs for it is in `worker`. The row
of a delivery names its job; another one that is still there does nothing any more.
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
"""The one task that there is; its argument is the row of a delivery."""
_LEAST, _MOST = -(2**31) + 1, 2**31 - 1

_manager = JobManager(SyncPsycopgConnector())  # always given a connection, so that it needs none of its own


class NewJob(NamedTuple):
    """What a job is to be made for."""

    seq: int
    receiver: str
    order_key_hash: int | None
    state: State


def queue(receiver: str) -> str:
    """Return the queue of a source: a name short enough for a channel of PostgreSQL's."""
    return "webhooks-" + blake2b(receiver.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def create(connection: PostgresConnection, new_jobs: Sequence[NewJob]) -> list[int]:
    """Make a job for each, to be run at once; return their ids."""
    if not new_jobs:
        return []
    made = _manager.batch_defer_jobs([_job(new) for new in new_jobs], connection=connection)
    return [job.id for job in made if job.id is not None]


def _job(new: NewJob) -> Job:
    # The older goes first, whenever its job is made: one that is replayed before those that came after it.
    priority = min(max(-new.seq, _LEAST), _MOST)
    # Only who waits holds up those behind: of the dead somebody hears beside them.
    lock = None if new.order_key_hash is None or new.state is not State.WAITING else str(new.order_key_hash)
    name = queue(new.receiver)
    return Job(
        queue=name, priority=priority, lock=lock, queueing_lock=None, task_name=TASK, task_kwargs={"seq": new.seq}
    )


def cancel(connection: PostgresConnection, jobs: Iterable[int | None]) -> None:
    """Let these run no more; whoever just runs one hears of it."""
    for job in jobs:
        if job is not None:
            _manager.cancel_job_by_id(job, abort=True, delete_job=True, connection=connection)


def replace(connection: PostgresConnection, seqs: Sequence[int]) -> None:
    """Give these deliveries new jobs, to be run at once, instead of those that they have."""
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
