from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from webhook_receiver.errors import InboxDamaged, InboxError, InboxUnavailable
from webhook_receiver.inbox.sqlite.connection import WriterConnection, connect
from webhook_receiver.inbox.sqlite.writer import Writer


def keep(connection: sqlite3.Connection, jobs: Sequence[str]) -> list[int]:
    """Insert each text; the table rejects one that it has."""
    return [connection.execute("INSERT INTO kept VALUES (?)", (job,)).rowcount for job in jobs]


@dataclass
class Rig:
    """A writer on a file, the statements of its connections, and a gate that keeps its thread busy."""

    path: Path
    connections: list[WriterConnection] = field(default_factory=list[WriterConnection])
    statements: list[str] = field(default_factory=list[str])
    transactions: int = 0
    rejection: Exception | None = None
    unconfirmed: Exception | None = None
    gate: threading.Event = field(default_factory=threading.Event)
    busy: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        with closing(self.other()) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS kept (text TEXT UNIQUE)")
        self.writer = Writer(self.connect, self.guard, self.confirm)

    def connect(self) -> WriterConnection:
        connection = self.other()
        connection.set_trace_callback(self.statements.append)
        self.connections.append(connection)
        return connection

    def other(self) -> WriterConnection:
        connection = connect(self.path)
        connection.execute("PRAGMA journal_mode = WAL")
        return connection

    def guard(self) -> None:
        self.transactions += 1
        if self.rejection is not None:
            raise self.rejection

    def confirm(self, connection: WriterConnection) -> None:
        if self.unconfirmed is not None:
            raise self.unconfirmed

    def hold(self, connection: sqlite3.Connection, jobs: Sequence[None]) -> Sequence[None]:
        """Keep the writer busy until the gate is opened, so that what is asked for meanwhile is one batch."""
        self.busy.set()
        assert self.gate.wait(30)
        return jobs

    async def while_busy(self, *jobs: str) -> list[int | BaseException]:
        """Ask for all jobs while the writer is busy; return what became of each."""
        self.busy.clear()
        self.gate.clear()
        holding = asyncio.ensure_future(self.writer.submit(self.hold, None))
        await asyncio.to_thread(self.busy.wait, 30)
        asked = [asyncio.ensure_future(self.writer.submit(keep, job)) for job in jobs]
        asyncio.get_running_loop().call_soon(self.gate.set)  # behind the first step of each of them
        found = await asyncio.gather(*asked, return_exceptions=True)
        await holding
        return found

    @property
    def commits(self) -> int:
        return self.statements.count("COMMIT")

    @property
    def kept(self) -> list[str]:
        with closing(self.other()) as connection:
            return [text for (text,) in connection.execute("SELECT text FROM kept ORDER BY rowid").fetchall()]


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    rig = Rig(tmp_path / "kept.db")
    yield rig
    await rig.writer.close()


async def test_what_is_done_is_committed_and_answered(rig: Rig) -> None:
    assert await rig.writer.submit(keep, "a") == 1
    assert rig.kept == ["a"]
    assert rig.commits == 1


async def test_many_that_are_asked_for_while_it_is_busy_share_a_commit(rig: Rig) -> None:
    jobs = [f"job {number}" for number in range(100)]
    assert await rig.while_busy(*jobs) == [1] * 100
    assert rig.kept == jobs
    assert rig.commits == 2, "that of the one that kept it busy, and one for a hundred"


async def test_no_transaction_is_so_large_that_other_processes_wait_for_long(rig: Rig) -> None:
    assert await rig.while_busy(*[f"job {number}" for number in range(600)]) == [1] * 600
    assert rig.commits == 1 + 3


async def test_what_comes_in_one_turn_of_the_loop_after_the_other_shares_a_commit(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhook_receiver.inbox.sqlite.writer._PATIENCE", 30.0)  # a turn may take a while
    asked: list[asyncio.Future[int]] = []
    for number in range(5):
        asked.append(rig.writer.submit(keep, f"job {number}"))
        await asyncio.sleep(0)
        while not rig.writer._submitted.empty():
            pass  # until the thread has what was handed over too early, and commits it alone
    assert await asyncio.gather(*asked) == [1] * 5
    assert rig.commits == 1


async def test_a_loop_that_asks_in_every_turn_is_answered_all_the_same(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhook_receiver.inbox.sqlite.writer._LARGEST_BATCH", 10**9)
    first = rig.writer.submit(keep, "first")
    asked: list[asyncio.Future[int]] = []
    async with asyncio.timeout(30):
        while not first.done():
            asked.append(rig.writer.submit(keep, f"job {len(asked)}"))
            await asyncio.sleep(0)
    assert await asyncio.gather(first, *asked) == [1] * (1 + len(asked))


async def test_what_was_gathered_when_it_closes_is_done(rig: Rig) -> None:
    asked = rig.writer.submit(keep, "last")
    await rig.writer.close()
    assert await asked == 1


async def test_different_operations_share_a_commit_too(rig: Rig) -> None:
    def count(connection: sqlite3.Connection, jobs: Sequence[None]) -> list[int]:
        return [connection.execute("SELECT count(*) FROM kept").fetchone()[0] for _ in jobs]

    rig.gate.set()
    found = await asyncio.gather(
        rig.writer.submit(rig.hold, None),
        rig.writer.submit(keep, "a"),
        rig.writer.submit(count, None),
        rig.writer.submit(keep, "b"),
    )
    assert found[1] == found[3] == 1
    assert rig.kept == ["a", "b"]


async def test_one_that_fails_fails_alone(rig: Rig) -> None:
    found = await rig.while_busy("a", "b", "a", "\ud800", "c")
    assert [found[at] for at in (0, 1, 4)] == [1, 1, 1]
    for at in (2, 3):
        assert type(found[at]) is InboxError
        assert "does not take it" in str(found[at])
    assert rig.kept == ["a", "b", "c"]


async def test_an_error_of_our_own_is_raised_as_it_is(rig: Rig) -> None:
    def stumble(connection: sqlite3.Connection, jobs: Sequence[str]) -> list[int]:
        keep(connection, jobs)
        raise ZeroDivisionError("a mistake")

    with pytest.raises(ZeroDivisionError, match="a mistake"):
        await rig.writer.submit(stumble, "a")
    assert rig.kept == []
    assert await rig.writer.submit(keep, "b") == 1
    assert len(rig.connections) == 1, "nothing is wrong with the connection"


async def test_an_operation_may_reject_single_jobs(rig: Rig) -> None:
    def choosy(connection: sqlite3.Connection, jobs: Sequence[str]) -> list[int | Exception]:
        return [InboxUnavailable("no room") if job == "a" else keep(connection, [job])[0] for job in jobs]

    with pytest.raises(InboxUnavailable, match="no room"):
        await rig.writer.submit(choosy, "a")
    assert await rig.writer.submit(choosy, "b") == 1
    assert rig.kept == ["b"]


async def test_a_busy_database_fails_the_batch_once_and_not_once_for_each(rig: Rig) -> None:
    with closing(rig.other()) as other:
        other.execute("BEGIN IMMEDIATE")
        rig.transactions = 0
        rig.gate.set()
        asked = [asyncio.ensure_future(rig.writer.submit(keep, f"job {number}")) for number in range(50)]
        found = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(each, InboxUnavailable) and "locked" in str(each) for each in found)
    assert rig.transactions <= 3, "what came together failed together"
    assert await rig.writer.submit(keep, "later") == 1
    assert rig.kept == ["later"]


async def test_a_batch_that_may_not_be_written_fails_once(rig: Rig) -> None:
    rig.rejection = InboxUnavailable("not now")
    found = await asyncio.gather(*[rig.writer.submit(keep, "a") for _ in range(50)], return_exceptions=True)
    assert all(each is rig.rejection for each in found)
    assert rig.transactions <= 3
    rig.rejection = None
    assert await rig.writer.submit(keep, "a") == 1


async def test_what_is_committed_and_not_confirmed_is_not_acknowledged(rig: Rig) -> None:
    rig.unconfirmed = InboxDamaged("its file is gone")
    with pytest.raises(InboxDamaged, match="its file is gone"):
        await rig.writer.submit(keep, "a")
    rig.unconfirmed = None
    assert await rig.writer.submit(keep, "b") == 1
    assert rig.kept == ["a", "b"], "a sender repeats the first one"


async def test_after_an_error_of_the_database_it_takes_another_connection(rig: Rig) -> None:
    def broken(connection: sqlite3.Connection, jobs: Sequence[str]) -> list[int]:
        keep(connection, jobs)
        connection.execute("SELECT * FROM nowhere")
        return []

    assert await rig.writer.submit(keep, "a") == 1
    with pytest.raises(InboxUnavailable, match="nowhere"):
        await rig.writer.submit(broken, "b")
    assert await rig.writer.submit(keep, "c") == 1
    assert rig.kept == ["a", "c"]
    assert len(rig.connections) == 2


async def test_what_a_transaction_changed_in_memory_is_taken_back_when_its_commit_fails(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[str] = []
    told: list[bool] = []

    def count(connection: WriterConnection, jobs: Sequence[str]) -> list[int]:
        counted.extend(jobs)
        connection.undo += (counted.pop,)
        connection.after_commit += (told.append,)
        return keep(connection, jobs)

    def execute(connection: WriterConnection, sql: str, *arguments: Any) -> sqlite3.Cursor:
        if sql == "COMMIT":
            raise sqlite3.OperationalError("database or disk is full")
        return sqlite3.Connection.execute(connection, sql, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(WriterConnection, "execute", execute)
        with pytest.raises(InboxUnavailable, match="disk is full"):
            await rig.writer.submit(count, "a")
    assert (counted, told) == ([], [])
    assert await rig.writer.submit(count, "b") == 1
    await rig.writer.close()  # which also ends what comes after a commit
    assert (counted, told, rig.kept) == (["b"], [True], ["b"])


async def test_a_damaged_file_is_reported_as_such(tmp_path: Path) -> None:
    path = tmp_path / "kept.db"
    with open(path, "wb") as file:  # noqa: ASYNC230
        file.write(b"this is not a database, by any means" * 100)
    writer = Writer(lambda: connect(path), lambda: None, lambda _: None)
    for _ in range(2):
        with pytest.raises(InboxDamaged, match="not a database"):
            await writer.submit(keep, "a")
    await writer.close()


async def test_a_file_that_cannot_be_opened_is_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "later" / "kept.db"
    writer = Writer(lambda: connect(path), lambda: None, lambda _: None)
    with pytest.raises(InboxUnavailable, match="unable to open"):
        await writer.submit(keep, "a")
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE kept (text TEXT)")
    assert await writer.submit(keep, "a") == 1
    await writer.close()


async def test_close_does_what_was_asked_for_and_then_rejects(rig: Rig) -> None:
    asked = [asyncio.ensure_future(rig.writer.submit(keep, f"job {number}")) for number in range(20)]
    closing = asyncio.ensure_future(rig.writer.close())
    assert await asyncio.gather(*asked) == [1] * 20
    await closing
    with pytest.raises(InboxUnavailable, match="closed"):
        await rig.writer.submit(keep, "later")
    await rig.writer.close()
    assert not rig.writer._thread.is_alive()
    with pytest.raises(sqlite3.ProgrammingError, match="closed database"):
        rig.connections[0].execute("SELECT 1")


async def test_a_caller_that_went_away_or_whose_loop_is_closed_hinders_nobody(rig: Rig) -> None:
    async def ask_and_leave() -> None:
        task = asyncio.ensure_future(rig.writer.submit(keep, "gone"))
        asyncio.get_running_loop().call_soon(task.cancel)
        await asyncio.wait([task])

    holding = asyncio.ensure_future(rig.writer.submit(rig.hold, None))
    await asyncio.to_thread(rig.busy.wait, 30)
    await asyncio.to_thread(asyncio.run, ask_and_leave())
    cancelled = asyncio.ensure_future(rig.writer.submit(keep, "cancelled"))
    asyncio.get_running_loop().call_soon(cancelled.cancel)
    await asyncio.wait([cancelled])
    rig.gate.set()
    await holding
    assert await rig.writer.submit(keep, "a") == 1
    assert rig.kept == ["gone", "cancelled", "a"]
