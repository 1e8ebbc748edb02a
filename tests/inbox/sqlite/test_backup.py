"""A copy of an inbox in use: whole, of one moment, an inbox by itself."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from threading import Event

import pytest

from tests.working import PATIENCE, until
from webhook_receiver import ConfigurationError, SQLiteInbox
from webhook_receiver.errors import InboxDamaged, InboxUnavailable
from webhook_receiver.testing.inbox_suite import DEAD, claim, dumped, finish, listed, put, settle


@pytest.fixture
async def inbox(tmp_path: Path) -> AsyncIterator[SQLiteInbox]:
    inbox = await SQLiteInbox(tmp_path / "hooks.db", min_free=0).open()
    yield inbox
    await inbox.close()


async def opened(path: Path) -> SQLiteInbox:
    return await SQLiteInbox(path, min_free=0, create=False).open()


async def test_all_that_was_acknowledged_is_in_the_copy_as_it_is(inbox: SQLiteInbox, tmp_path: Path) -> None:
    await put(inbox, "done", "dead", "leased", "waiting")
    one, two, _ = (await claim(inbox, 3)).values()
    await settle(inbox, one)
    await settle(inbox, two, DEAD, reason="no use")
    copy = tmp_path / "copy.db"
    await inbox.backup(copy)
    assert {*os.listdir(tmp_path)} == {"hooks.db", "hooks.db-wal", "hooks.db-shm", "copy.db"}
    assert copy.stat().st_mode & 0o077 == 0
    another = await opened(copy)
    assert await dumped(another) == await dumped(inbox)
    await another.close()


async def test_a_copy_does_not_begin_anew_when_others_commit_meanwhile(inbox: SQLiteInbox, tmp_path: Path) -> None:
    await put(inbox, *[f"d-{number}" for number in range(1000)], body=b"x" * 2000)
    await inbox.stats()
    seen: list[tuple[int, int]] = []
    with closing(sqlite3.connect(tmp_path / "hooks.db", isolation_level=None, check_same_thread=False)) as outsider:

        def commit(copied: int, pages: int) -> None:
            seen.append((copied, pages))
            if len(seen) < 50:
                outsider.execute("INSERT INTO paused VALUES (?, 0)", (f"handler {len(seen)}",))

        await inbox.backup(tmp_path / "copy.db", commit)
    steps = [copied for copied, _ in seen]
    assert len(steps) > 2
    assert steps == sorted({*steps})
    assert seen[-1][0] == seen[-1][1]
    another = await opened(tmp_path / "copy.db")
    assert (await another.paused(), len(await listed(another))) == (frozenset(), 1000)
    await another.close()


async def test_nothing_is_left_of_a_copy_that_nobody_waits_for_any_more(inbox: SQLiteInbox, tmp_path: Path) -> None:
    await put(inbox, "d-1")
    names = {*os.listdir(tmp_path)}
    began, go = Event(), Event()

    def progress(copied: int, pages: int) -> None:
        began.set()
        assert go.wait(PATIENCE)

    copying = asyncio.create_task(inbox.backup(tmp_path / "copy.db", progress))
    await until(began.is_set)
    assert {*os.listdir(tmp_path)} > names
    copying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await copying
    go.set()
    await until(lambda: {*os.listdir(tmp_path)} == names)


async def test_what_is_put_back_in_place_is_handled_on(inbox: SQLiteInbox, tmp_path: Path) -> None:
    await put(inbox, "d-1", "d-2")
    await inbox.backup(tmp_path / "copy.db")
    await finish(inbox)
    await put(inbox, "d-3")
    await inbox.close()
    os.replace(tmp_path / "copy.db", tmp_path / "hooks.db")
    restored = await opened(tmp_path / "hooks.db")
    assert [*await claim(restored)] == ["d-1", "d-2"]
    await restored.close()


async def test_the_inbox_itself_is_no_copy(inbox: SQLiteInbox, tmp_path: Path) -> None:
    await put(inbox, "d-1")
    (tmp_path / "link.db").symlink_to("hooks.db")
    for name in ("hooks.db", "link.db"):
        with pytest.raises(ConfigurationError, match="the inbox itself"):
            await inbox.backup(tmp_path / name)
    assert await listed(inbox) == ["d-1"]


@pytest.mark.parametrize("name", ["other.db", "link.db"])
async def test_no_copy_replaces_an_inbox_in_use(inbox: SQLiteInbox, tmp_path: Path, name: str) -> None:
    other = await SQLiteInbox(tmp_path / "other.db", min_free=0).open()
    (tmp_path / "link.db").symlink_to("other.db")
    await put(other, "d-1")
    with pytest.raises(
        ConfigurationError, match=r"has other.db-wal and other.db-shm beside it.*order.*move other.db, "
    ):
        await inbox.backup(tmp_path / name)
    await put(other, "d-2")
    assert await listed(other) == ["d-1", "d-2"]
    await other.close()
    await inbox.backup(tmp_path / name)
    another = await opened(tmp_path / name)
    assert await listed(another) == []
    await another.close()


@pytest.mark.parametrize("ending", ["-wal", "-shm", "-journal"])
async def test_no_copy_is_made_beside_the_log_of_another_file(inbox: SQLiteInbox, tmp_path: Path, ending: str) -> None:
    (tmp_path / f"copy.db{ending}").touch()
    with pytest.raises(ConfigurationError, match=f"has copy.db{ending} beside it"):
        await inbox.backup(tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()


@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
async def test_no_copy_replaces_a_database_that_is_read_without_a_log(
    inbox: SQLiteInbox, tmp_path: Path, mode: str
) -> None:
    await put(inbox, "d-1")
    file = tmp_path / "copy.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as reader:
        reader.execute(f"PRAGMA journal_mode = {mode}")
        reader.execute("CREATE TABLE mine (one)")
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM mine").fetchall()
        for ending in ("-wal", "-shm"):
            (tmp_path / f"copy.db{ending}").unlink(missing_ok=True)
        before = file.read_bytes()
        with pytest.raises(ConfigurationError, match=r"copy.db is open in a process"):
            await inbox.backup(file)
        assert file.read_bytes() == before
    await inbox.backup(file)
    assert {*os.listdir(tmp_path)} == {"hooks.db", "hooks.db-wal", "hooks.db-shm", "copy.db"}


async def test_no_copy_replaces_what_comes_into_use_meanwhile(inbox: SQLiteInbox, tmp_path: Path) -> None:
    (tmp_path / "copy.db").write_bytes(b"")
    with pytest.raises(ConfigurationError, match="beside it"):
        await inbox.backup(tmp_path / "copy.db", lambda *_: (tmp_path / "copy.db-wal").touch())
    assert (tmp_path / "copy.db").read_bytes() == b""
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]


async def test_a_copy_replaces_a_file_that_is_no_database_but_no_folder(inbox: SQLiteInbox, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is a folder"):
        await inbox.backup(tmp_path)
    (tmp_path / "copy.db").write_text("mine")
    await inbox.backup(tmp_path / "copy.db")
    await (await opened(tmp_path / "copy.db")).close()


async def test_a_copy_that_cannot_be_written_is_told_and_nothing_is_left(inbox: SQLiteInbox, tmp_path: Path) -> None:
    with pytest.raises(InboxUnavailable, match="No such file or directory"):
        await inbox.backup(tmp_path / "no" / "copy.db")
    assert not (tmp_path / "no").exists()


async def test_the_check_of_the_whole_file_is_waited_for(inbox: SQLiteInbox) -> None:
    await inbox.check_integrity()
    await inbox.close()
    with pytest.raises(InboxUnavailable):
        await inbox.check_integrity()


@pytest.mark.parametrize("change", ["count = count + 1", "count = -1", "what = what || 'x'"])
@pytest.mark.parametrize("what", ["stored", "done", "unhandled", "dead"])
async def test_counts_that_are_damaged_are_told(inbox: SQLiteInbox, tmp_path: Path, what: str, change: str) -> None:
    await inbox.check_integrity()
    with closing(sqlite3.connect(tmp_path / "hooks.db", isolation_level=None)) as file:
        file.execute(f"UPDATE tally SET {change} WHERE what = ?", (what,))
    with pytest.raises(InboxDamaged, match="its counts of deliveries"):
        await inbox.check_integrity()
    if "-1" in change or (what == "stored" and "x" in change):
        with pytest.raises(InboxDamaged, match="its counts of deliveries cannot be"):
            await inbox.stats()
