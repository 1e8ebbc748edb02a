from __future__ import annotations

import tempfile
from contextlib import ExitStack, closing
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook_receiver.errors import InboxError
from webhook_receiver.inbox import Filter, Stored
from webhook_receiver.inbox.clock import LeaseTime
from webhook_receiver.inbox.dedup import PutJob
from webhook_receiver.inbox.sqlite import dedup_index, insert, leases, maintenance, tracking
from webhook_receiver.inbox.sqlite.connection import WriterConnection, connect
from webhook_receiver.inbox.sqlite.schema import migrate
from webhook_receiver.testing.inbox_suite import NOW, entry

Step = tuple[str, list[int]]

PUTS = st.tuples(st.just("put"), st.lists(st.integers(0, 3), min_size=1, max_size=2))
OTHERS: st.SearchStrategy[Step] = st.tuples(
    st.sampled_from(["claim", "track", "track one", "purge", "look"]), st.just([])
)
TRANSACTION = st.tuples(st.integers(0, 1), st.lists(st.one_of(PUTS, OTHERS), max_size=3), st.booleans())

keys = count()


class OnPurpose(Exception):
    """A transaction is to be rolled back."""


def kept(connection: WriterConnection) -> list[str]:
    """Return the ids that the file has, whatever the connection holds in memory."""
    return sorted(id for (id,) in connection.execute("SELECT id FROM delivery").fetchall())


def take(connection: WriterConnection, step: str, numbers: list[int]) -> None:
    """Take a step. Ids that are all new are stored, and others are rejected."""
    if step == "put":
        ids = [f"d-{number}" for number in numbers]
        new = len({*ids, *kept(connection)}) == len(ids) + len(kept(connection))
        jobs = [PutJob(entry(id, key=b"%d" % next(keys)), NOW, NOW - 1) for id in ids]
        if new:
            assert insert.put(connection, jobs) == [Stored(id) for id in ids]
        else:
            with pytest.raises(InboxError, match="this id"):
                insert.put(connection, jobs)
            raise OnPurpose
    elif step == "claim":
        leases.claim(connection, [leases.ClaimJob("hooks", 1, LeaseTime.of(NOW, 60.0), NOW)])
    elif step == "track":
        tracking.track(connection, tracking.untracked(connection, -1, 2))
    elif step == "track one":
        found = connection.execute("SELECT id FROM delivery ORDER BY seq DESC LIMIT 1").fetchall()
        maintenance.replay(connection, [maintenance.ReplayJob([id for (id,) in found], NOW, None)])
    elif step == "purge":
        maintenance.purge(connection, [maintenance.PurgeJob(Filter(), NOW + 61, 2, NOW, NOW)])
    else:
        dedup_index.refresh(connection)


def assert_each_has_progress_or_is_found(connection: WriterConnection) -> None:
    untracked = {each.seq for each in tracking.untracked(connection, tracking.tracked_until(connection))}
    found = connection.execute("SELECT seq FROM delivery EXCEPT SELECT seq FROM progress").fetchall()
    assert untracked == {seq for (seq,) in found}


def transaction(connection: WriterConnection, steps: list[Step], *, commits: bool) -> None:
    connection.execute("BEGIN IMMEDIATE")
    before = kept(connection)
    try:
        for step in steps:
            take(connection, *step)
        if not commits:
            raise OnPurpose
        connection.execute("COMMIT")
        connection.committed()
    except OnPurpose:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        connection.rolled_back()
        assert kept(connection) == before


@given(st.lists(TRANSACTION, max_size=16))
def test_each_id_is_kept_once_whatever_is_rolled_back_and_whoever_else_writes(
    transactions: list[tuple[int, list[Step], bool]],
) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.setattr(dedup_index, "_MANY", 2)
        connections = [stack.enter_context(closing(connect(Path(folder) / "hooks.db"))) for _ in range(2)]
        migrate(connections[0], "hooks.db")
        for connection in connections:
            connection.execute("PRAGMA synchronous = OFF")  # nobody pulls the plug here
        for which, steps, commits in transactions:
            transaction(connections[which], steps, commits=commits)
            assert_each_has_progress_or_is_found(connections[1 - which])
