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

from webhook_receiver.errors import ConfigurationError, InboxDamaged, InboxUnavailable
from webhook_receiver.inbox.sqlite import file_guard
from webhook_receiver.inbox.sqlite.file_guard import FileGuard


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "hooks.db"


@pytest.fixture
def made(path: Path) -> Path:
    path.touch()
    return path


def test_a_file_that_was_removed_or_replaced_is_noticed(made: Path) -> None:
    guard = FileGuard(made, 0)
    guard.check_not_replaced()  # none is remembered
    guard.remember()
    guard.check_not_replaced()
    made.rename(made.with_name("moved.db"))
    with pytest.raises(InboxDamaged, match="removed or replaced while it was in use"):
        guard.check_not_replaced()
    made.touch()
    with pytest.raises(InboxDamaged):
        guard.check_not_replaced()
    guard.forget()
    guard.check_not_replaced()


def test_a_folder_in_whose_place_there_is_a_file_now_is_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "hooks.db").touch()
    guard = FileGuard(folder / "hooks.db", 0)
    guard.remember()
    (folder / "hooks.db").unlink()
    folder.rmdir()
    folder.touch()
    with pytest.raises(InboxDamaged):
        guard.check_not_replaced()


def test_a_disk_with_too_little_room_is_rejected(made: Path) -> None:
    FileGuard(made, 0).check_free_space()
    guard = FileGuard(made, 2**62)
    for at_once in (False, True):
        with pytest.raises(InboxUnavailable, match=r"bytes free, less than min_free="):
            guard.check_free_space(at_once=at_once)


def test_where_no_file_can_be_is_a_mistake(made: Path, tmp_path: Path) -> None:
    FileGuard(made, 0).check_path(create=False)
    FileGuard(tmp_path / "new.db", 0).check_path(create=True)
    with pytest.raises(ConfigurationError, match="there is no inbox at"):
        FileGuard(tmp_path / "new.db", 0).check_path(create=False)
    with pytest.raises(ConfigurationError, match=r"there is no folder .*: make it"):
        FileGuard(tmp_path / "nowhere" / "new.db", 0).check_path(create=True)


def connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=0)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE IF NOT EXISTS kept (number INTEGER)")
    return connection


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
    with file_guard.opening(path, alone=True) as check_nothing_lost, closing(connect(path)) as connection:
        (rows,) = connection.execute("SELECT count(*) FROM kept").fetchone()
        check_nothing_lost()
    return int(rows)


def beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def test_where_there_is_no_log_nothing_is_lost(path: Path) -> None:
    assert reopen(path) == 0
    assert reopen(path) == 0


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


def test_a_file_that_somebody_has_open_is_not_looked_into(live: sqlite3.Connection, path: Path) -> None:
    live.execute("BEGIN IMMEDIATE")
    look = "import sys; from pathlib import Path; from webhook_receiver.inbox.sqlite import file_guard\n"
    look += "with file_guard.opening(Path(sys.argv[1]), alone=True) as reject_loss: reject_loss()"
    subprocess.run([sys.executable, "-c", look, path], check=True)
    begin = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN IMMEDIATE')"
    other = subprocess.run([sys.executable, "-c", begin, path], capture_output=True, text=True, check=False)
    assert "database is locked" in other.stderr
    live.execute("ROLLBACK")


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
    with file_guard.opening(path, alone=True) as check_nothing_lost:
        check_nothing_lost()
    assert not beside(path, "-damaged").exists()
