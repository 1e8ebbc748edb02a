"""A copy of an inbox in use: whole, of one moment, an inbox by itself."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from webhook_receiver import ConfigurationError, SQLiteInbox
from webhook_receiver.errors import InboxUnavailable
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


async def test_a_copy_that_cannot_be_written_is_told_and_nothing_is_left(inbox: SQLiteInbox, tmp_path: Path) -> None:
    with pytest.raises(InboxUnavailable, match="No such file or directory"):
        await inbox.backup(tmp_path / "no" / "copy.db")
    assert not (tmp_path / "no").exists()


async def test_the_check_of_the_whole_file_is_waited_for(inbox: SQLiteInbox) -> None:
    await inbox.check_integrity()
    await inbox.close()
    with pytest.raises(InboxUnavailable):
        await inbox.check_integrity()
