from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import child
from webhook_receiver import ConfigurationError, SQLiteInbox
from webhook_receiver.errors import InboxDamaged, InboxError, InboxUnavailable
from webhook_receiver.inbox.owner import Owner
from webhook_receiver.inbox.records import (
    Claim,
    DamagedDelivery,
    Duplicate,
    Filter,
    HandlerState,
    State,
    Stored,
    StoredDelivery,
)
from webhook_receiver.inbox.sqlite import queries
from webhook_receiver.inbox.sqlite.connection import Files, WriterConnection, connect, patiently
from webhook_receiver.inbox.sqlite.writer import Writer
from webhook_receiver.testing.inbox_suite import (
    ALL,
    DAY,
    DEAD,
    DONE,
    LEASE,
    NOW,
    UNHANDLED,
    WAITING,
    Make,
    RemovedBodiesSuite,
    SharedInboxSuite,
    batch,
    claim,
    dumped,
    entry,
    finish,
    kept,
    listed,
    put,
    settle,
)


class TestSQLiteInbox(SharedInboxSuite):
    @pytest.fixture
    def make(self, tmp_path: Path) -> Make:
        return lambda name: SQLiteInbox(tmp_path / f"{name}.db", min_free=0)


class TestRemovedBodies(RemovedBodiesSuite):
    @pytest.fixture
    def make(self, tmp_path: Path) -> Make:
        return lambda name: SQLiteInbox(tmp_path / f"{name}.db", min_free=0, keep_body=self.keep_body)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "hooks.db"


@pytest.fixture
async def inbox(path: Path) -> AsyncIterator[SQLiteInbox]:
    inbox = await SQLiteInbox(path, min_free=0, busy_timeout=0).open()
    yield inbox
    await inbox.close()


def raw(path: Path) -> closing[sqlite3.Connection]:
    """A connection of another program's, which commits at once."""
    return closing(sqlite3.connect(path, isolation_level=None, timeout=0))


# Durability


async def test_each_commit_is_flushed_to_the_disk(inbox: SQLiteInbox) -> None:
    def settings(connection: sqlite3.Connection, jobs: Sequence[None]) -> list[tuple[object, object]]:
        (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
        (synchronous,) = connection.execute("PRAGMA synchronous").fetchone()
        return [(mode, synchronous) for _ in jobs]

    assert await inbox._write(settings, None) == ("wal", 2), "2 is FULL"


async def test_what_was_put_is_seen_by_another_connection_at_once(inbox: SQLiteInbox, path: Path) -> None:
    await put(inbox, "d-1")
    with raw(path) as other:
        assert other.execute("SELECT id FROM delivery").fetchall() == [("d-1",)]


FIND = """
import asyncio, sys
from webhook_receiver import SQLiteInbox
from webhook_receiver.inbox import Filter

async def find():
    inbox = await SQLiteInbox(sys.argv[1], min_free=0).open()
    print(*[record.id for record in await inbox.find(Filter(), newest_first=False)])
    await inbox.close()

asyncio.run(find())
"""


async def test_what_was_put_is_seen_by_another_process(inbox: SQLiteInbox, path: Path) -> None:
    await put(inbox, "d-1", "d-2")
    found, _ = await asyncio.to_thread(child(FIND, path).communicate)
    assert found == "d-1 d-2\n"
    assert [*await claim(inbox)] == ["d-1", "d-2"]


PUT_AND_WAIT = """
import asyncio, sys
from webhook_receiver.testing.inbox_suite import put
from webhook_receiver import SQLiteInbox

async def put_and_wait():
    inbox = await SQLiteInbox(sys.argv[1], min_free=0).open()
    await put(inbox, *[f"d-{number}" for number in range(20)])
    print("put", flush=True)
    sys.stdin.read()

asyncio.run(put_and_wait())
"""


def killed(path: Path) -> None:
    """Have another process put twenty deliveries, and kill it."""
    with child(PUT_AND_WAIT, path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "put\n"
        process.send_signal(signal.SIGKILL)


async def test_what_a_killed_process_has_put_is_there(path: Path) -> None:
    await asyncio.to_thread(killed, path)
    inbox = await SQLiteInbox(path, min_free=0).open()
    assert len(await claim(inbox)) == 20
    await inbox.close()


async def test_a_log_of_a_killed_process_that_was_cut_is_noticed(path: Path) -> None:
    await asyncio.to_thread(killed, path)
    wal = f"{path}-wal"
    os.truncate(wal, os.stat(wal).st_size // 2)
    for _ in range(2):
        with pytest.raises(InboxDamaged, match="deliveries that had been acknowledged are missing"):
            await SQLiteInbox(path, min_free=0).open()
    os.remove(f"{path}-damaged")
    inbox = await SQLiteInbox(path, min_free=0).open()
    assert len(await listed(inbox)) < 20
    await inbox.close()


@pytest.mark.parametrize("endings", [("-wal", "-shm"), ("-wal",)])
async def test_a_log_that_was_removed_after_a_kill_is_noticed(path: Path, endings: tuple[str, ...]) -> None:
    await asyncio.to_thread(killed, path)
    for ending in endings:
        os.remove(f"{path}{ending}")
    for _ in range(2):
        with pytest.raises(InboxDamaged, match="deliveries that had been acknowledged are missing"):
            await SQLiteInbox(path, min_free=0).open()
    os.remove(f"{path}-damaged")
    for _ in range(2):
        inbox = await SQLiteInbox(path, min_free=0).open()
        assert await listed(inbox) == []
        await put(inbox, "d-0")
        await inbox.purge(ALL, NOW, limit=1)
        await inbox.close()
    assert os.listdir(path.parent) == ["hooks.db"]


async def test_after_a_kill_another_program_may_bring_the_log_into_the_file(path: Path) -> None:
    await asyncio.to_thread(killed, path)
    with raw(path) as other:
        other.execute("SELECT count(*) FROM delivery").fetchone()
    assert os.listdir(path.parent) == ["hooks.db"], "as the last one that had it open"
    inbox = await SQLiteInbox(path, min_free=0).open()
    assert len(await claim(inbox)) == 20
    await inbox.close()


async def test_after_a_stop_in_good_order_an_older_copy_may_be_put_in_place(path: Path) -> None:
    inbox = await SQLiteInbox(path, min_free=0).open()
    await put(inbox, "d-1")
    await inbox.close()
    copy = path.read_bytes()  # noqa: ASYNC240
    await inbox.open()
    await put(inbox, "d-2")
    await inbox.close()
    path.write_bytes(copy)  # noqa: ASYNC240
    await inbox.open()
    assert await listed(inbox) == ["d-1"]
    await inbox.close()


OPEN = """
import asyncio, sys
from webhook_receiver.testing.inbox_suite import put
from webhook_receiver import SQLiteInbox

async def open_and_put():
    inbox = await SQLiteInbox(sys.argv[1], min_free=0).open()
    await put(inbox, sys.argv[2])
    await inbox.close()

print("ready", flush=True)
sys.stdin.read()
asyncio.run(open_and_put())
"""


async def test_several_processes_may_make_the_file_at_once(path: Path) -> None:
    processes = [child(OPEN, path, f"d-{number}") for number in range(4)]
    for process in processes:
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline) == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
    for process in processes:
        with process:
            assert await asyncio.to_thread(process.wait, 60) == 0
    inbox = await SQLiteInbox(path, min_free=0).open()
    assert sorted(await listed(inbox)) == ["d-0", "d-1", "d-2", "d-3"]
    await inbox.close()


# Concurrency


async def test_many_concurrent_puts_share_commits(inbox: SQLiteInbox) -> None:
    statements: list[str] = []

    def trace(connection: sqlite3.Connection, jobs: Sequence[None]) -> Sequence[None]:
        connection.set_trace_callback(statements.append)
        return jobs

    await inbox._write(trace, None)
    found = await asyncio.gather(*[inbox.put(entry(f"d-{number}"), NOW) for number in range(200)])
    assert all(isinstance(each, Stored) for each in found)
    assert statements.count("COMMIT") <= 10


async def test_a_long_read_holds_no_write_up_and_sees_one_moment(inbox: SQLiteInbox) -> None:
    await put(inbox, "d-1")
    begun, written = threading.Event(), threading.Event()

    def twice(connection: sqlite3.Connection) -> list[int]:
        counts: list[int] = []
        for _ in range(2):
            counts += connection.execute("SELECT count(*) FROM delivery").fetchone()
            begun.set()
            assert written.wait(30)
        return counts

    reading = asyncio.ensure_future(inbox._read(twice))
    await asyncio.to_thread(begun.wait, 30)
    await put(inbox, "d-2")
    assert [*await claim(inbox)] == ["d-1", "d-2"]
    written.set()
    assert await reading == [1, 1]
    assert await listed(inbox) == ["d-1", "d-2"]


async def test_a_reader_of_another_program_holds_no_write_up(inbox: SQLiteInbox, path: Path) -> None:
    await put(inbox, "d-1")
    with raw(path) as other:
        other.execute("BEGIN")
        other.execute("SELECT * FROM delivery").fetchone()
        await put(inbox, "d-2")
        assert await finish(inbox) == ["d-1", "d-2"]


async def test_a_writer_of_another_program_makes_it_unavailable_until_it_is_done(
    inbox: SQLiteInbox, path: Path
) -> None:
    with raw(path) as other:
        other.execute("BEGIN IMMEDIATE")
        for rejected in (put(inbox, "d-1"), inbox.check()):
            with pytest.raises(InboxUnavailable, match="cannot be written to: database is locked"):
                await rejected
        assert await listed(inbox) == [], "reading goes on"
    await put(inbox, "d-1")
    assert await listed(inbox) == ["d-1"]


# The disk


async def test_a_disk_that_is_nearly_full_keeps_nothing_new_but_what_is_kept_goes_on(path: Path) -> None:
    before = await SQLiteInbox(path, min_free=0).open()
    await put(before, "d-1", "d-2")
    dump = await dumped(before)
    await before.close()
    inbox = await SQLiteInbox(path, min_free=2**62).open()
    for rejected in (put(inbox, "d-3"), inbox.check(), inbox.load(dump, NOW)):
        with pytest.raises(
            InboxUnavailable, match=r"the disk of the inbox has \d+ bytes free, less than min_free=4\d+"
        ):
            await rejected
    found = await asyncio.gather(inbox.put(entry("d-3"), NOW), claim(inbox), return_exceptions=True)
    assert isinstance(found[0], InboxUnavailable)
    assert isinstance(found[1], dict)
    assert await settle(inbox, found[1]["d-1"])
    assert await inbox.expire(NOW + 31 * DAY) == 1
    assert await listed(inbox) == ["d-2"]
    await inbox.close()


@pytest.mark.parametrize("replaced", [True, False])
@pytest.mark.parametrize("reads_first", [True, False])
async def test_a_file_that_is_removed_or_replaced_while_it_is_in_use_is_written_to_no_more(
    inbox: SQLiteInbox, path: Path, replaced: bool, reads_first: bool
) -> None:
    await put(inbox, "d-1")
    os.rename(path, f"{path}.moved")
    if replaced:
        with open(path, "xb"):  # noqa: ASYNC230
            pass
    if reads_first:
        with pytest.raises(InboxDamaged, match="removed or replaced"):
            await listed(inbox)
    for _ in range(2):
        with pytest.raises(InboxDamaged, match="removed or replaced"):
            await put(inbox, "d-2")
    assert os.path.exists(path) is replaced  # noqa: ASYNC240
    assert not replaced or os.stat(path).st_size == 0


PUT_AND_REMOVE = """
import asyncio, os, signal, sys
from webhook_receiver.errors import InboxDamaged
from webhook_receiver.testing.inbox_suite import listed, put
from webhook_receiver import SQLiteInbox

async def put_and_remove(path, endings):
    inbox = await SQLiteInbox(path, min_free=0).open()
    await put(inbox, "d-1", "d-2")
    if "read" in sys.argv:
        await listed(inbox)
    for ending in endings:
        os.remove(path + ending)
    for number in range(3, 6):
        try:
            await put(inbox, f"d-{number}")
            print(f"d-{number} was acknowledged", flush=True)
        except InboxDamaged as error:
            print(error, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(put_and_remove(sys.argv[1], sys.argv[2].split(",")))
"""


@pytest.mark.parametrize("reads", ["", "read"])
@pytest.mark.parametrize("endings", ["-wal", "-wal,-shm", "-shm"])
async def test_a_log_that_is_removed_while_it_is_in_use_is_noticed_and_its_deliveries_are_rescued(
    path: Path, endings: str, reads: str
) -> None:
    said, _ = await asyncio.to_thread(child(PUT_AND_REMOVE, path, endings, reads).communicate)
    assert said.count(f"hooks.db{endings.split(',')[0]}") == 3
    assert said.count("removed or replaced while") == 3
    assert said.count("in use: stop everything that uses hooks.db, and start again") == 3
    assert "acknowledged" not in said
    inbox = await SQLiteInbox(path, min_free=0).open()
    assert [*await listed(inbox)] == ["d-1", "d-2", "d-3"], "the last one is known when its sender repeats it"
    await inbox.close()


async def test_files_that_were_all_away_during_a_commit_are_used_again_once_they_are_put_back(
    inbox: SQLiteInbox, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def move(there: str, back: str) -> None:
        for ending in ("", "-wal", "-shm"):
            os.rename(f"{path}{ending}{there}", f"{path}{ending}{back}")

    await put(inbox, "d-1")
    guard = inbox._file_guard
    check = guard.check_open_files

    def check_when_away(files: Files) -> None:
        move("", ".moved")
        check(files)

    with monkeypatch.context() as patched:
        patched.setattr(guard, "check_open_files", check_when_away)
        with pytest.raises(InboxDamaged, match="removed or replaced"):
            await put(inbox, "d-2")
    with pytest.raises(InboxDamaged, match="removed or replaced"):
        await put(inbox, "d-3")
    move(".moved", "")
    await put(inbox, "d-4")
    assert [*await listed(inbox)] == ["d-1", "d-2", "d-4"], "the second was committed, and never acknowledged"
    await inbox.close()
    again = await SQLiteInbox(path, min_free=0).open()
    assert [*await listed(again)] == ["d-1", "d-2", "d-4"]
    await again.close()


async def test_a_log_in_the_place_of_ours_is_noticed_and_nothing_is_written(inbox: SQLiteInbox, path: Path) -> None:
    await put(inbox, "d-1")
    for ending in ("-wal", "-shm"):
        os.rename(f"{path}{ending}", f"{path}{ending}.moved")
    with child(OPEN, path, "d-2") as process:
        await asyncio.to_thread(process.communicate, "")
    assert process.returncode == 1, "it finds that deliveries are missing"
    before = path.read_bytes()  # noqa: ASYNC240
    with pytest.raises(InboxDamaged, match="removed or replaced"):
        await put(inbox, "d-3")
    assert path.read_bytes() == before  # noqa: ASYNC240


async def test_one_file_is_one_inbox_by_whatever_path_it_is_opened(inbox: SQLiteInbox, path: Path) -> None:
    await put(inbox, "d-1")
    os.link(path, path.with_name("other.db"))
    with pytest.raises(ConfigurationError, match="has a second name"):
        await SQLiteInbox(path.with_name("other.db"), min_free=0).open()
    await put(inbox, "d-2")
    os.remove(path.with_name("other.db"))
    await (await SQLiteInbox(path, min_free=0).open()).close()


async def test_space_is_given_back_by_vacuum(inbox: SQLiteInbox, path: Path) -> None:
    await asyncio.gather(*[inbox.put(entry(f"d-{number}", body=b"x" * 10_000), NOW) for number in range(100)])
    await inbox.purge(ALL, NOW, limit=99)
    before = (await inbox.stats()).extra
    assert before["free_bytes"] > 500_000
    await inbox.vacuum()
    after = (await inbox.stats()).extra
    assert after["free_bytes"] == 0
    assert after["bytes"] < before["bytes"] / 5
    assert os.stat(path).st_size == after["bytes"]
    assert len(await listed(inbox)) == 1


VACUUM = """
import asyncio, re, sys
from pathlib import Path
from webhook_receiver import SQLiteInbox

def most():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

async def main():
    inbox = await SQLiteInbox(sys.argv[1], min_free=0).open()
    before = most()
    await inbox.vacuum()
    print(most() - before)
    await inbox.close()

asyncio.run(main())
"""


async def test_vacuum_does_not_take_the_inbox_into_memory(inbox: SQLiteInbox, path: Path) -> None:
    for number in range(40):
        await inbox.put(entry(f"d-{number}", body=os.urandom(1_000_000)), NOW)
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", VACUUM, str(path)], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 20 * 1024, "KiB, where the file has 40 MB"


async def test_vacuum_does_not_wait_for_ever_for_another_writer(inbox: SQLiteInbox, path: Path) -> None:
    with raw(path) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(InboxUnavailable, match="cannot be vacuumed: database is locked"):
            await inbox.vacuum()


# Opening


async def test_a_place_where_no_file_can_be_is_reported_when_it_is_opened(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"there is no folder .*none for the inbox hooks\.db: make it"):
        await SQLiteInbox(tmp_path / "none" / "hooks.db").open()
    with pytest.raises(ConfigurationError, match="is a folder: name the inbox's file in it"):
        await SQLiteInbox(tmp_path).open()
    with pytest.raises(ConfigurationError, match="there is no inbox at"):
        await SQLiteInbox(tmp_path / "hooks.db", create=False).open()
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.name != "posix", reason="this system has no modes")
async def test_a_new_inbox_is_readable_for_its_owner_only(inbox: SQLiteInbox, path: Path) -> None:
    await put(inbox, "d-1")
    assert [*map(oct, sorted(os.stat(each).st_mode & 0o777 for each in path.parent.iterdir()))] == ["0o600"] * 3


async def test_a_file_that_is_no_database_is_reported(path: Path) -> None:
    with open(path, "wb") as file:  # noqa: ASYNC230
        file.write(b"some text, which nobody wants to lose\n" * 100)
    with pytest.raises(InboxDamaged, match="is not an inbox, or is damaged"):
        await SQLiteInbox(path).open()


async def test_it_is_opened_once_by_many(path: Path) -> None:
    inbox = SQLiteInbox(path, min_free=0)
    before = set(threading.enumerate())  # another test's writer may be on its way out
    assert await asyncio.gather(*[inbox.open() for _ in range(10)]) == [inbox] * 10
    started = set(threading.enumerate()) - before
    assert sum(thread.name == "webhook-inbox-writer" for thread in started) == 1
    await inbox.close()
    assert os.listdir(path.parent) == ["hooks.db"]


async def test_it_may_be_opened_anew_while_it_closes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox = await SQLiteInbox(path, min_free=0).open()
    await put(inbox, "d-1")
    go_on = asyncio.Event()

    async def close_later(writer: Writer) -> None:
        await go_on.wait()
        await close(writer)

    close = Writer.close
    with monkeypatch.context() as slowly:
        slowly.setattr(Writer, "close", close_later)
        closing_one = asyncio.create_task(inbox.close())
        await asyncio.sleep(0)
        await inbox.open()
        await put(inbox, "d-2")
        go_on.set()
        await closing_one
    assert await listed(inbox) == ["d-1", "d-2"]
    await inbox.close()
    assert os.listdir(path.parent) == ["hooks.db"]


async def test_to_close_it_while_it_is_opened_takes_nothing_of_it_away(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = SQLiteInbox(path, min_free=0)
    began, go_on = threading.Event(), threading.Event()

    def begin_later(*given: Any) -> Writer:
        began.set()
        assert go_on.wait(30)
        return Writer(*given)

    monkeypatch.setattr("webhook_receiver.inbox.sqlite.Writer", begin_later)
    opening = asyncio.create_task(inbox.open())
    await asyncio.to_thread(began.wait, 30)
    await inbox.close()
    go_on.set()
    await opening
    await put(inbox, "d-1")
    assert await listed(inbox) == ["d-1"]
    await inbox.close()


@pytest.mark.parametrize(
    "settings",
    [
        {"window": 0},
        {"window": -1},
        {"window": 2 * DAY, "retention": DAY},
        {"retention": float("nan")},
        {"unhandled_retention": 0},
        {"dead_retention": float("nan")},
        {"keep_body": 0},
        {"min_free": -1},
        {"busy_timeout": -1},
        {"busy_timeout": 1e9},
    ],
)
def test_settings_that_cannot_work_are_rejected(path: Path, settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        SQLiteInbox(path, **settings)
    assert not path.exists()


# Damage


def change(path: Path, statement: str) -> None:
    with raw(path) as other:
        assert other.execute(statement).rowcount == 1


async def test_what_a_dead_letter_handler_hears_of_is_not_expired_however_late_unix_time_is(path: Path) -> None:
    inbox = await SQLiteInbox(path, min_free=0, dead_retention=1.0).open()
    await put(inbox, "d-1", dead="not JSON")
    hearing = await claim(inbox)
    assert await inbox.expire(NOW + 2 * LEASE) == 0, "the system's clock was set, and the lease goes on"
    assert await settle(inbox, hearing["d-1"], DEAD)
    assert await inbox.expire(NOW + 2 * LEASE) == 1
    await inbox.close()


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each statement takes as many arguments as SQLite allows by default; that of Debian takes more."""

    def connect_narrow(path: Path, timeout: float = 0) -> WriterConnection:
        connection = connect(path, timeout)
        connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 32_766)
        return connection

    monkeypatch.setattr("webhook_receiver.inbox.sqlite.connect", connect_narrow)


@pytest.mark.usefixtures("narrow")
async def test_a_worker_may_have_any_number_in_hand(path: Path) -> None:
    number = 17_000  # for which 32,768 arguments would be given
    inbox = await SQLiteInbox(path, min_free=0).open()
    first = batch("d-1", *map(str, range(number)))._replace(ordering_key="o-0")
    first = first._replace(parts=[each._replace(ordering_key=f"o-{each.number}") for each in first.parts])
    assert await inbox.put(first, NOW) == Stored("d-1")
    claims: list[Claim] = []
    while found := await inbox.claim("hooks", 20_000, LEASE, NOW):
        claims += found
    assert [claim.delivery.part for claim in claims] == [*range(number)]
    await inbox.renew(claims, LEASE, NOW + LEASE - 1)
    assert await claim(inbox, now=NOW + LEASE) == {}
    await inbox.release(claims, NOW + LEASE)
    assert await inbox.put(batch("d-2", *map(str, range(number))), NOW + LEASE) == Duplicate("d-1")
    assert len(await inbox.claim("hooks", 20_000, LEASE, NOW + LEASE)) == number
    assert await inbox.purge(ALL, NOW + 3 * LEASE, limit=20_000) == number
    await inbox.close()


@pytest.mark.usefixtures("narrow")
async def test_also_of_those_that_were_born_to_it(path: Path) -> None:
    inbox = await SQLiteInbox(path, min_free=0).open()
    claims: list[Claim] = []

    def take(owner: Owner, born: Sequence[Claim]) -> bool:
        claims.extend(born)
        return True

    owner = Owner("hooks", lambda: 5000, take, lambda: NOW)
    await inbox.own(owner, LEASE, NOW)
    assert await claim(inbox) == {}
    assert await inbox.put(batch("d-1", *map(str, range(3000))), NOW) == Stored("d-1", leased=True)
    await inbox.check()  # by the same thread that hands them over
    assert len(claims) == 3000
    await inbox.renew(claims, LEASE, NOW + 1)
    await inbox.release(claims, NOW + 1)
    assert len(await claim(inbox, 3000, now=NOW + 1)) == 3000
    await inbox.close()


@pytest.mark.parametrize(
    "changed", ["body = x'00'", "headers = x'00'", "event = NULL", "received = received + 1", "verified_by = NULL"]
)
async def test_a_delivery_that_was_changed_is_never_handed_out(
    inbox: SQLiteInbox, path: Path, changed: str, caplog: pytest.LogCaptureFixture
) -> None:
    await put(inbox, "d-1", "d-2", ordering_key="o-1")
    change(path, f"UPDATE delivery SET {changed} WHERE id = 'd-1'")
    assert await inbox.claim("hooks", 9, LEASE, NOW, NOW + 3600) == []
    assert "delivery d-1 is dead: what is kept of the delivery 'd-1' is not what was put" in caplog.text
    (record,) = await inbox.find(Filter(states=[DEAD]))
    assert (record.id, record.due, record.leased) == ("d-1", None, False)
    assert record.settled == NOW + 3600, "in Unix time"
    assert "the database was damaged" in str(record.reason)
    with pytest.raises(InboxDamaged, match="'d-1' is not what was put"):
        await inbox.get("d-1")
    first, second = [each async for each in inbox.dump(ALL)]
    assert isinstance(first, DamagedDelivery)
    assert (first.id, "'d-1' is not what was put" in first.reason) == ("d-1", True)
    assert isinstance(second, StoredDelivery)
    assert [*await claim(inbox)] == ["d-2"], "those behind it go on"


@pytest.mark.parametrize("changed", ["body = x'00'", "event = NULL", "received = received + 1"])
@pytest.mark.parametrize("fields", [{"key": b"k"}, {"key": b"k", "identity": "i"}])
async def test_what_is_damaged_does_not_keep_a_whole_copy_of_it_away(
    inboxes: list[SQLiteInbox], path: Path, changed: str, fields: dict[str, Any]
) -> None:
    first, second = inboxes
    await put(first, "d-1", **fields)
    await put(second, "other")
    change(path, f"UPDATE delivery SET {changed} WHERE id = 'd-1'")
    assert [*await claim(first)] == ["other"]
    for inbox, found in [(first, Stored("d-2")), (second, Duplicate("d-2")), (first, Duplicate("d-2"))]:
        assert await put(inbox, "d-2" if found == Stored("d-2") else "d-3", **fields) == [found]
    assert [*await claim(second)] == ["d-2"]
    assert await listed(first, Filter(states=[DEAD])) == ["d-1"]
    with pytest.raises(InboxDamaged):
        await first.get("d-1")
    assert await first.purge(Filter(ids=["d-1"]), NOW, limit=5) == 1
    assert await put(first, "d-4", **fields) == [Duplicate("d-2")]
    await first.check_integrity()


async def test_all_parts_of_a_damaged_body_are_stored_anew(inbox: SQLiteInbox, path: Path) -> None:
    events = [str(number) for number in range(200)]
    await inbox.put(batch("d-1", *events), NOW)
    change(path, "UPDATE delivery SET body = x'00' WHERE id = 'd-1'")
    assert await claim(inbox, 200) == {}
    assert await inbox.put(batch("d-2", *events), NOW) == Stored("d-2")
    assert len(await claim(inbox, 200)) == 200


async def test_what_is_dead_and_whole_is_replayed_by_its_copy(inbox: SQLiteInbox, path: Path) -> None:
    await inbox.put(batch("d-1", "a", "b", "c"), NOW)
    for each in (await claim(inbox)).values():
        await settle(inbox, each, DEAD)
    change(path, "UPDATE progress SET handlers = '{' WHERE seq = 1")
    assert await inbox.put(batch("d-2", "a", "b", "c"), NOW) == Duplicate("d-1", replayed=True)
    assert [*await claim(inbox)] == ["d-1", "d-1.1", "d-1.2"]


async def test_what_is_dead_since_it_was_damaged_is_not_expected_to_be_dead_when_it_is_replayed(
    inbox: SQLiteInbox, path: Path
) -> None:
    await put(inbox, "d-1")
    failing = HandlerState(WAITING, 1, 1, NOW, expected_dead=NOW + 50)
    await settle(inbox, (await claim(inbox))["d-1"], WAITING, due=NOW, handlers={"a": failing})
    assert (await inbox.stats()).expected_dead == [NOW + 50]
    change(path, "UPDATE delivery SET body = x'00'")
    assert await claim(inbox) == {}
    assert await inbox.replay(["d-1"], NOW) == 1
    assert (await inbox.stats()).expected_dead == [], "no handler of it has failed"


@pytest.mark.parametrize(
    "handlers", ["{", "5", "[1]", '{"h": "waiting"}', '{"h": ["waiting", 1, 1, "soon", false]}', '{"h": ["lost"]}', ""]
)
async def test_damaged_states_of_handlers_are_told_and_keep_no_other_delivery_from_being_read(
    inbox: SQLiteInbox, path: Path, handlers: str
) -> None:
    await put(inbox, "d-1", "d-2", "d-3")
    for each in (await claim(inbox, 2)).values():
        await settle(inbox, each, DEAD, reason="no use")
    with raw(path) as other:
        other.execute(
            "UPDATE progress SET state = 'waiting', handlers = ? "
            "WHERE seq = (SELECT seq FROM delivery WHERE id = 'd-1')",
            [handlers],
        )
    first, second, third = await inbox.find(ALL, newest_first=False)
    assert [each.id for each in (first, second, third)] == ["d-1", "d-2", "d-3"]
    assert (first.handlers, second.damage, third.damage) == ({}, None, None)
    assert "handlers' progress" in str(first.damage)
    shown = await inbox.get("d-1")
    assert shown is not None
    assert shown.summary == first
    assert (await inbox.stats()).counts[DEAD] == 1
    assert await listed(inbox, Filter(handler="other")) == []
    damaged, *others = [each async for each in inbox.dump(ALL)]
    assert damaged == ("d-1", first.damage)
    assert len(others) == 2
    assert await inbox.replay(["d-1", "d-2"], NOW) == 2
    (again,) = await inbox.find(Filter(ids=["d-1"]))
    assert (again.handlers, again.damage) == ({}, None)
    assert await inbox.purge(Filter(ids=["d-1"]), NOW, limit=5) == 1


async def test_a_page_that_was_changed_is_noticed_when_the_file_is_opened(path: Path) -> None:
    inbox = await SQLiteInbox(path, min_free=0).open()
    await put(inbox, *[f"d-{number}" for number in range(200)])
    await inbox.close()
    with open(path, "r+b") as file:  # noqa: ASYNC230
        file.seek(4096)
        file.write(b"\xff" * (os.fstat(file.fileno()).st_size - 4096))
    with pytest.raises(InboxDamaged, match="damaged"):
        await SQLiteInbox(path).open()


# The speed of questions


def plans(path: Path, statements: Iterable[str]) -> str:
    with raw(path) as other:
        found = [other.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall() for statement in statements]
    return "\n".join(str(step[3]) for plan in found for step in plan)


async def test_what_every_delivery_needs_reads_no_table_from_end_to_end(inbox: SQLiteInbox, path: Path) -> None:
    statements: list[str] = []

    def trace(connection: sqlite3.Connection, jobs: Sequence[None]) -> Sequence[None]:
        connection.set_trace_callback(statements.append)
        return jobs

    await put(inbox, "d-0")
    await claim(inbox)
    await inbox._write(trace, None)
    await put(inbox, "d-1", "d-2", key=b"k", identity="o-1", ordering_key="o-1")
    claimed = (await claim(inbox))["d-1"]
    await inbox.save_progress(claimed, {}, NOW)
    await inbox.renew([claimed], 30, NOW)
    await settle(inbox, claimed, WAITING, due=NOW)
    await inbox.release([*(await claim(inbox)).values()], NOW)
    await finish(inbox)
    await inbox.replay(["d-1"], NOW)
    await inbox.pause("h", NOW)
    await inbox.resume("h")
    await inbox.expire(NOW)
    asked = [each for each in statements if each.split()[0] in ("SELECT", "UPDATE", "DELETE", "INSERT")]
    assert len(asked) > 20
    plan = plans(path, asked)
    scanned = {step for step in plan.splitlines() if step.startswith("SCAN")}
    tables = ("delivery", "progress", "d", "p", "attempt", "lookup")
    assert not {step for step in scanned if step.split()[1] in tables}
    of_untracked = plans(path, [each for each in asked if each.startswith("SELECT d.seq, d.id, d.source")])
    assert of_untracked.splitlines()[0] == "SEARCH d USING INTEGER PRIMARY KEY (rowid>?)"
    assert "ORDER BY" not in of_untracked, "it is found in order"
    assert (await kept(inbox, "d-1")).summary.state is WAITING


@pytest.mark.parametrize("newest_first", [True, False])
async def test_what_is_due_is_found_by_its_index(path: Path, inbox: SQLiteInbox, newest_first: bool) -> None:
    await put(inbox, "d-1", "d-2", "d-3")
    for each in (await claim(inbox)).values():
        await settle(inbox, each, WAITING, due=NOW)
    which, asked = Filter(states=[WAITING], due_before=NOW + 1, not_receivers={"others"}), list[str]()
    with raw(path) as other:
        other.set_trace_callback(asked.append)
        found = queries.find(other, which, 2, newest_first, None)
    assert [each.id for each in found] == (["d-3", "d-2"] if newest_first else ["d-1", "d-2"])
    assert "SCAN p USING INDEX ready" in plans(path, asked).splitlines()


async def test_thousands_of_ids_are_looked_for_and_what_cannot_be_is_rejected(tmp_path: Path) -> None:
    inbox = await SQLiteInbox(tmp_path / "hooks.db", min_free=0).open()
    await put(inbox, "d-0", "d-1")
    many = [f"d-{number}" for number in range(1, 100_001)]
    assert [record.id for record in await inbox.find(Filter(ids=many))] == ["d-1"]
    assert await inbox.purge(Filter(ids=["d-2", *many[5:]]), NOW, limit=1) == 0
    with pytest.raises(InboxError, match="cannot look for that"):
        await inbox.get("\ud800")
    with pytest.raises(InboxError, match="cannot look for that"):
        await inbox.find(Filter(), limit=2**63)
    with pytest.raises(InboxError, match="does not take it"):
        await inbox.claim("hooks", 2**63, 30.0, NOW)
    assert len(await inbox.find(Filter())) == 2
    await inbox.close()


async def test_what_is_counted_is_what_there_is_whatever_becomes_of_the_deliveries(
    path: Path, inbox: SQLiteInbox, tmp_path: Path
) -> None:
    async def check() -> None:
        with raw(path) as other:
            found = dict(other.execute("SELECT state, count(*) FROM progress GROUP BY state").fetchall())
            (everything,) = other.execute("SELECT count(*) FROM delivery").fetchone()
        counts = (await inbox.stats()).counts
        tracked = {state: found.get(state, 0) for state in State if state is not WAITING}
        assert counts == {**tracked, WAITING: everything - sum(tracked.values())}

    await check()
    await put(inbox, *[f"d-{number}" for number in range(9)])
    await inbox.put(entry("dead", dead="no event"), NOW)
    await check()
    claims = await claim(inbox)
    await check()
    for id, state in (("d-0", DONE), ("d-1", DEAD), ("d-2", UNHANDLED), ("d-3", DONE), ("d-4", WAITING)):
        await settle(inbox, claims[id], state, due=NOW if state is WAITING else None)
        await check()
    assert await inbox.replay(["d-1", "d-3"], NOW) == 2
    await check()
    assert await inbox.purge(Filter(ids=["d-0", "d-2", "d-3", "d-5", "d-8"]), NOW + LEASE + 1, limit=9) == 5
    await check()
    stored = [each async for each in inbox.dump(Filter())]
    other = await SQLiteInbox(tmp_path / "other.db", min_free=0).open()
    assert await other.load([each for each in stored if isinstance(each, StoredDelivery)], NOW) == len(stored)
    assert (await other.stats()).counts == (await inbox.stats()).counts
    await other.close()


async def test_figures_and_health_read_no_table_from_end_to_end(path: Path, inbox: SQLiteInbox) -> None:
    await put(inbox, "d-1", "d-2")
    await settle(inbox, (await claim(inbox))["d-1"])
    asked = list[str]()
    with raw(path) as other:
        other.set_trace_callback(asked.append)
        queries.stats(other)
    steps = plans(path, [each for each in asked if not each.startswith("PRAGMA")]).splitlines()
    tables = ("d", "p", "progress", "delivery")
    scanned = {step for step in steps if step.startswith("SCAN") and step.split()[1] in tables}
    assert scanned == {"SCAN progress USING INDEX leased"}, "there are as many as run"


def test_a_file_that_is_locked_for_a_moment_is_waited_for_and_one_that_stays_so_is_not() -> None:
    busy, tries = sqlite3.OperationalError("database is locked"), list[int]()
    busy.sqlite_errorcode = sqlite3.SQLITE_BUSY_RECOVERY

    def locked_at_first() -> str:
        tries.append(len(tries))
        if len(tries) < 3:
            raise busy
        return "open"

    assert patiently(locked_at_first, 30) == "open"
    tries.clear()
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        patiently(locked_at_first, 0)
    assert len(tries) == 1
