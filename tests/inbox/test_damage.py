from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from struct import pack

import pytest

from webhook_receiver.errors import InboxDamaged
from webhook_receiver.inbox import damage


def connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=0)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE IF NOT EXISTS kept (number INTEGER)")
    return connection


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "hooks.db"


@pytest.fixture
def live(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(connect(path)) as connection:
        yield connection


@pytest.fixture
def crashed(live: sqlite3.Connection, path: Path, tmp_path: Path) -> Path:
    """The files as a process leaves them that dies: nothing of the log is in the database yet."""
    for number in range(10):
        live.execute("INSERT INTO kept VALUES (?)", (number,))
    left = tmp_path / "crashed"
    left.mkdir()
    for ending in ("", "-wal", "-shm"):
        shutil.copy(f"{path}{ending}", left)
    return left / path.name


def reopen(path: Path) -> int:
    """Open it as the inbox does; return how many rows are there."""
    before = damage.committed(path)
    with closing(connect(path)) as connection:
        (rows,) = connection.execute("SELECT count(*) FROM kept").fetchone()
        damage.compare(path, before, damage.committed(path))
    return int(rows)


def beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def test_where_there_is_no_log_nothing_is_known(path: Path) -> None:
    assert damage.committed(path) is None
    damage.compare(path, None, None)


def test_the_index_tells_how_much_was_committed_and_is_in_the_database(live: sqlite3.Connection, path: Path) -> None:
    first = damage.committed(path)
    assert first is not None
    live.execute("INSERT INTO kept VALUES (1)")
    second = damage.committed(path)
    assert second is not None
    assert (second.frames > first.frames, second.backfilled, second.salt) == (True, 0, first.salt)
    live.execute("PRAGMA wal_checkpoint(PASSIVE)")
    third = damage.committed(path)
    assert third is not None
    assert third.backfilled == third.frames == second.frames


def test_after_a_crash_everything_is_there(crashed: Path) -> None:
    assert reopen(crashed) == 10
    assert reopen(crashed) == 10


def cut(wal: Path) -> None:
    os.truncate(wal, wal.stat().st_size // 2)


def empty(wal: Path) -> None:
    os.truncate(wal, 0)


def flip(wal: Path) -> None:
    content = bytearray(wal.read_bytes())
    content[len(content) // 2] ^= 1
    wal.write_bytes(content)


@pytest.mark.parametrize("harm", [cut, empty, flip, Path.unlink])
def test_a_log_that_lost_what_was_committed_is_noticed_and_stays_noticed(crashed: Path, harm: object) -> None:
    assert callable(harm)
    harm(beside(crashed, "-wal"))
    for _ in range(2):  # the second time nothing in the files tells of it, except the mark
        with pytest.raises(
            InboxDamaged, match=r"hooks\.db-wal was damaged or removed: .*missing.*from a copy; or remove"
        ):
            reopen(crashed)
    beside(crashed, "-damaged").unlink()
    assert reopen(crashed) < 10


def test_a_log_that_is_in_the_database_already_may_be_lost(live: sqlite3.Connection, crashed: Path) -> None:
    with closing(connect(crashed)) as connection:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        left = crashed.parent / "again"
        left.mkdir()
        for ending in ("", "-shm"):
            shutil.copy(f"{crashed}{ending}", left)
    assert reopen(left / crashed.name) == 10


def test_a_log_that_another_process_began_anew_meanwhile_is_no_damage(live: sqlite3.Connection, path: Path) -> None:
    for number in range(5):
        live.execute("INSERT INTO kept VALUES (?)", (number,))
    before = damage.committed(path)
    live.execute("PRAGMA wal_checkpoint(RESTART)")
    live.execute("INSERT INTO kept VALUES (6)")
    after = damage.committed(path)
    assert before is not None
    assert after is not None
    assert before.backfilled < before.frames
    assert after.frames < before.frames
    damage.compare(path, before, after)


def test_a_last_process_that_ended_in_peace_meanwhile_is_no_damage(path: Path) -> None:
    with closing(connect(path)) as connection:
        connection.execute("INSERT INTO kept VALUES (1)")
        before = damage.committed(path)
    assert before is not None
    assert before.backfilled < before.frames
    with closing(connect(path)):
        damage.compare(path, before, damage.committed(path))
    damage.compare(path, before, None)


def test_to_look_into_the_index_ends_no_lock_on_it(live: sqlite3.Connection, path: Path) -> None:
    live.execute("BEGIN IMMEDIATE")
    for _ in range(2):
        assert damage.committed(path) is not None
    begin = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN IMMEDIATE')"
    other = subprocess.run([sys.executable, "-c", begin, path], capture_output=True, text=True, check=False)
    assert "database is locked" in other.stderr
    live.execute("ROLLBACK")


def test_an_index_that_was_removed_is_not_kept_open(path: Path) -> None:
    with closing(connect(path)):
        found = damage.committed(path)
    assert found is not None
    assert found.file in damage._opened
    assert damage.committed(path) is None
    assert found.file not in damage._opened


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 99,
        pack("=12xB3xI28x", 1, 5) + pack("=12xB3xI28x", 1, 6) + b"\x00" * 40,  # a header that is being written
        pack("=12xB3xI28x", 0, 5) * 2 + b"\x00" * 40,  # not initialised
    ],
)
def test_an_index_that_is_not_whole_tells_nothing(path: Path, content: bytes) -> None:
    beside(path, "-shm").write_bytes(content)
    assert damage.committed(path) is None


def test_a_file_that_was_removed_or_replaced_is_noticed(path: Path) -> None:
    path.touch()
    inode = path.stat().st_ino
    damage.refuse_replaced(path, inode)
    path.rename(path.with_name("moved.db"))
    with pytest.raises(InboxDamaged, match="removed or replaced while it was in use"):
        damage.refuse_replaced(path, inode)
    path.touch()
    with pytest.raises(InboxDamaged):
        damage.refuse_replaced(path, inode)
    damage.refuse_replaced(path, None)
