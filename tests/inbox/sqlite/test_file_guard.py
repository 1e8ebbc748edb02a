from __future__ import annotations

import os
import shlex
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from struct import pack

import pytest

from tests.helpers import ROOT
from webhook_receiver.errors import ConfigurationError, InboxDamaged, InboxUnavailable
from webhook_receiver.inbox.sqlite import file_guard
from webhook_receiver.inbox.sqlite.file_guard import FileGuard, IntegrityCheck


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


def test_what_sqlite_says_of_damage_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "hooks.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE one (two)")
        connection.execute("PRAGMA writable_schema = 1")
        connection.execute("UPDATE sqlite_schema SET rootpage = 3 WHERE name = 'one'")
        connection.execute("CREATE TABLE three (four)")
    with pytest.raises(InboxDamaged) as raised:
        IntegrityCheck(lambda: sqlite3.connect(file, check_same_thread=False), file).wait(None)
    assert "\n" not in str(raised.value)
    assert str(raised.value).startswith(f"{file} is damaged (")


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


def test_each_of_the_files_that_a_connection_has_open_has_to_be_there(made: Path) -> None:
    guard = FileGuard(made, 0)
    for ending in ("-wal", "-shm"):
        with pytest.raises(InboxDamaged, match=r"hooks\.db-wal|hooks\.db-shm"):
            guard.check_open_files(guard.files())  # not even at first
        beside(made, ending).touch()
    before = guard.files()
    guard.check_open_files(before)
    for ending in ("", "-wal", "-shm"):
        name = beside(made, ending)
        name.rename(beside(made, "-moved"))
        with pytest.raises(InboxDamaged, match=rf"hooks\.db{ending} was removed or replaced while it was in use: stop"):
            guard.check_open_files(before)
        name.touch()
        with pytest.raises(InboxDamaged):
            guard.check_open_files(before)
        name.unlink()
        beside(made, "-moved").rename(name)
        guard.check_open_files(before)
        with pytest.raises(InboxDamaged, match=rf"hooks\.db{ending} was"):
            guard.check_not_replaced()  # once is enough
        guard.forget()
        guard.check_not_replaced()


def test_files_that_were_all_away_are_right_again_once_the_same_are_back(made: Path) -> None:
    folder, away = made.parent / "inbox", made.parent / "away"
    folder.mkdir()
    guard = FileGuard(folder / made.name, 0)
    for ending in ("", "-wal", "-shm"):
        beside(folder / made.name, ending).touch()
    guard.remember()
    before = guard.files()
    folder.rename(away)
    with pytest.raises(InboxDamaged, match=r"hooks\.db and .*-wal and .*-shm were removed"):
        guard.check_open_files(before)
    with pytest.raises(InboxDamaged):
        guard.check_not_replaced()
    shutil.copytree(away, folder)  # others of the same names
    with pytest.raises(InboxDamaged):
        guard.check_not_replaced()
    shutil.rmtree(folder)
    away.rename(folder)
    guard.check_not_replaced()
    guard.check_open_files(before)


def test_the_last_delivery_is_noted_at_the_file_itself(made: Path, tmp_path: Path) -> None:
    guard = FileGuard(made, 0)
    assert guard.noted_last() == 0
    guard.note_last(41)
    guard.note_last(42)
    assert os.listdir(tmp_path) == ["hooks.db"]
    if FileGuard(made, 0).noted_last() == 0:
        pytest.skip("this file system has no extended attributes")
    made.rename(tmp_path / "moved.db")
    again = FileGuard(tmp_path / "moved.db", 0)
    assert again.noted_last() == 42
    again.check_last(42, 42)
    with pytest.raises(InboxDamaged, match=r"moved\.db-wal was damaged or removed, .* are missing from moved\.db"):
        again.check_last(42, 41)
    again.forget_last()
    assert again.noted_last() == 0


def test_a_file_with_two_names_is_rejected_by_each_of_them(made: Path, tmp_path: Path) -> None:
    os.link(made, tmp_path / "other.db")
    (tmp_path / "link.db").symlink_to(made)
    for name in (made, tmp_path / "other.db", (tmp_path / "link.db").resolve()):
        with pytest.raises(ConfigurationError, match=r"has a second name \(a hard link\).*Remove one name"):
            FileGuard(name, 0).check_path(create=True)
    (tmp_path / "other.db").unlink()
    FileGuard(made, 0).check_path(create=True)


@pytest.mark.skipif(os.name != "posix", reason="this system has no modes")
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_a_new_file_is_private_whatever_the_umask(path: Path, umask: int, caplog: pytest.LogCaptureFixture) -> None:
    before = os.umask(umask)
    try:
        for _ in range(2):
            FileGuard(path, 0).make_private()
        with closing(connect(path)) as connection:
            connection.execute("INSERT INTO kept VALUES (1)")
            for ending in ("", "-wal", "-shm"):
                assert stat.S_IMODE(beside(path, ending).stat().st_mode) == 0o600
    finally:
        os.umask(before)
    assert caplog.text == ""


@pytest.mark.skipif(os.name != "posix", reason="this system has no modes")
def test_the_mode_of_a_file_that_is_there_is_left_and_one_that_all_may_read_is_told(
    made: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for mode, told in ((0o640, ""), (0o644, f"{made} may be read by every user (mode 0644)"), (0o660, "")):
        made.chmod(mode)
        caplog.clear()
        FileGuard(made, 0).make_private()
        assert stat.S_IMODE(made.stat().st_mode) == mode
        assert told in caplog.text
        assert bool(told) == bool(caplog.text)


MOUNTED = """
set -e
cd {folder}
mkdir 'da ta' other && touch host.db 'da ta/hooks.db' 'da ta/hooks.db-wal' && ln -s 'da ta/hooks.db' link.db
{mount}
exec {python} -c "$0" "$1"
"""
CHECK = """
import sys
from pathlib import Path
from webhook_receiver.errors import ConfigurationError
from webhook_receiver.inbox.sqlite.file_guard import FileGuard, IntegrityCheck
try:
    FileGuard(Path(sys.argv[1]).resolve(), 0).check_path(create=True)
except ConfigurationError as error:
    print(error)
"""


def mounted(folder: Path, mount: str, name: str) -> str:
    """Return what the guard says of a file in a mount namespace, after a real mount; skip where none is allowed."""
    if sys.platform != "linux":
        pytest.skip("mount namespaces are of Linux")
    mount = mount.format(folder=folder)
    script = MOUNTED.format(folder=folder, mount=mount, python=shlex.quote(sys.executable))
    for command in (["unshare", "-m"], ["unshare", "-rm"]):
        if subprocess.run([*command, "mount", "--bind", "/tmp", "/tmp"], capture_output=True, check=False).returncode:
            continue
        done = subprocess.run(
            [*command, "sh", "-c", script, CHECK, folder / name],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout
    pytest.skip("no mounts are allowed here: unshare -m and unshare -rm failed")


@pytest.mark.parametrize(
    "mount",
    [
        "mount --bind host.db 'da ta/hooks.db'",
        "mount --bind 'da ta/hooks.db' 'da ta/hooks.db'",  # as a container's own layer and its volume may be one
        "mount --bind 'da ta' 'da ta'; mount --bind host.db 'da ta/hooks.db'",
        "mount --bind host.db 'da ta/hooks.db-wal'",
        "mount --bind other 'da ta'; mount --bind 'da ta' 'da ta'; touch 'da ta/hooks.db'; "
        "mount --bind host.db 'da ta/hooks.db'",
        "mount --bind . .; cd {folder}; mount --bind host.db 'da ta/hooks.db'",
    ],
)
@pytest.mark.parametrize("name", ["da ta/hooks.db", "link.db"])
def test_a_file_that_is_mounted_alone_is_rejected(tmp_path: Path, mount: str, name: str) -> None:
    said = mounted(tmp_path, mount, name)
    assert "da ta/hooks.db" in said
    assert "is mounted by itself" in said
    assert f"mount its folder instead, such as -v ./data:{tmp_path}/da ta\n" in said


@pytest.mark.parametrize(
    "mount",
    [
        "true",
        "mount --bind 'da ta' 'da ta'",
        "touch other/x && mount --bind host.db other/x",
        # A mount of the file that a later one of a folder above it covers is out of reach.
        "mount --bind host.db 'da ta/hooks.db'; mount --bind other 'da ta'",
        "mount --bind host.db 'da ta/hooks.db'; mount --bind other 'da ta'; mount --bind 'da ta' 'da ta'",
        "mkdir -p 'up/da ta'; mount --bind host.db 'da ta/hooks.db'; mount --bind up .; cd {folder}",
    ],
)
def test_a_file_in_a_folder_that_is_mounted_is_accepted(tmp_path: Path, mount: str) -> None:
    assert mounted(tmp_path, mount, "da ta/hooks.db") == ""


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
    with file_guard.opening(path, alone=True) as opened, closing(connect(path)) as connection:
        (rows,) = connection.execute("SELECT count(*) FROM kept").fetchone()
        opened.check_nothing_lost()
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
            InboxDamaged, match=r"hooks\.db-wal was damaged or removed, .*missing.*from a copy; or remove"
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
    look += "with file_guard.opening(Path(sys.argv[1]), alone=True) as opened: opened.check_nothing_lost()"
    subprocess.run([sys.executable, "-c", look, path], check=True)
    begin = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN IMMEDIATE')"
    other = subprocess.run([sys.executable, "-c", begin, path], capture_output=True, text=True, check=False)
    assert "database is locked" in other.stderr
    live.execute("ROLLBACK")


ASK = """
import sqlite3, sys
from contextlib import closing
from pathlib import Path
from webhook_receiver.inbox.sqlite import file_guard

path = Path(sys.argv[1])
with file_guard.opening(path, alone=True) as opened, closing(sqlite3.connect(path)) as connection:
    connection.execute("SELECT * FROM kept").fetchall()
    print(opened.writers_have_ended())
"""


def test_who_has_written_has_ended_where_nobody_else_has_the_file_open(path: Path) -> None:
    def answer() -> str:
        return subprocess.run([sys.executable, "-c", ASK, path], check=True, stdout=subprocess.PIPE, text=True).stdout

    connect(path).close()
    assert answer() == "True\n"
    with closing(connect(path)) as connection:
        connection.execute("SELECT * FROM kept").fetchall()
        assert answer() == "False\n", "it has written nothing yet, and may"
    with file_guard.opening(path, alone=False) as opened, closing(connect(path)):
        assert not opened.writers_have_ended(), "this process may have it open"


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
    with file_guard.opening(path, alone=True) as opened:
        opened.check_nothing_lost()
        assert not opened.writers_have_ended()
    assert not beside(path, "-damaged").exists()
