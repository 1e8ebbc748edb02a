"""A file that was damaged from outside is noticed and said, at every start; one that was not never is."""

from __future__ import annotations

import asyncio
import random
import shutil
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.faults.keep import entry, keeping
from webhook_receiver import SQLiteInbox
from webhook_receiver.errors import InboxDamaged, InboxError, WebhookError
from webhook_receiver.inbox import Filter, State, sqlite
from webhook_receiver.inbox.records import Settlement
from webhook_receiver.testing.inbox_suite import dumped

COUNT = 300
NAME = "hooks.db"
Damage = Callable[[Path], None]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an inbox whose process was killed, with all that it keeps in the log."""
    folder = tmp_path_factory.mktemp("killed")
    process = keeping(folder / NAME, "d", COUNT, "kill")
    assert (process.communicate(timeout=60)[0], process.returncode) == ("", -signal.SIGKILL)
    return folder


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an inbox that was closed in peace: all is in the one file."""
    folder = tmp_path_factory.mktemp("closed")
    process = keeping(folder / NAME, "d", COUNT, "close")
    assert (process.communicate(timeout=60)[0], process.returncode) == ("", 0)
    return folder


def copy(folder: Path, to: Path) -> Path:
    """Return the inbox in a copy of a folder."""
    shutil.copytree(folder, to, dirs_exist_ok=True)
    return to / NAME


def flip(file: Path, at: int) -> None:
    """Change the byte at an offset."""
    with file.open("r+b") as opened:
        opened.seek(at)
        (byte,) = opened.read(1)
        opened.seek(at)
        opened.write(bytes([byte ^ 0b1001]))


def log(inbox: Path) -> Path:
    return inbox.with_name(NAME + "-wal")


def cut(inbox: Path) -> None:
    with log(inbox).open("r+b") as opened:
        opened.truncate(log(inbox).stat().st_size // 2)


def remove(inbox: Path) -> None:
    log(inbox).unlink()


def empty(inbox: Path) -> None:
    log(inbox).write_bytes(b"")


def flip_in(part: float) -> Damage:
    def damage(inbox: Path) -> None:
        flip(log(inbox), int(log(inbox).stat().st_size * part))

    return damage


LOG = [cut, remove, empty, flip_in(0), flip_in(0.1), flip_in(0.5), flip_in(0.999)]


@pytest.mark.parametrize("damage", LOG, ids=["cut", "removed", "emptied", "header", "early", "middle", "late"])
async def test_a_log_that_was_damaged_after_a_kill_is_noticed_at_every_start(
    killed: Path, tmp_path: Path, damage: Damage
) -> None:
    path = copy(killed, tmp_path)
    damage(path)
    for _ in range(3):
        with pytest.raises(InboxDamaged, match=r"hooks\.db-wal was damaged or removed"):
            await SQLiteInbox(path, min_free=0).open()
    (tmp_path / "hooks.db-damaged").unlink()  # whoever knows what that means may go on with what is left
    inbox = await SQLiteInbox(path, min_free=0).open()
    assert sum((await inbox.stats()).counts.values()) < COUNT
    await inbox.close()


async def test_a_log_that_was_not_damaged_after_a_kill_is_all_there(killed: Path, tmp_path: Path) -> None:
    path = copy(killed, tmp_path)
    for _ in range(2):
        inbox = await SQLiteInbox(path, min_free=0).open()
        assert [stored.delivery for stored in await dumped(inbox)] == [
            entry("d", number).delivery for number in range(COUNT)
        ]
        await inbox.close()


async def test_a_second_inbox_on_a_file_that_is_open_leaves_the_locks_of_the_first_alone(tmp_path: Path) -> None:
    path = tmp_path / NAME
    first = await SQLiteInbox(path, min_free=0).open()
    await first.stats()
    second = await SQLiteInbox(path, min_free=0).open()
    await second.stats()
    await second.close()
    for number in range(3):  # if its locks were gone, the other process would take itself for the first one
        await first.put(entry("ours", number), 1000.0)
        process = keeping(path, f"theirs{number}", 5, "kill")
        assert process.communicate(timeout=60)[0] == ""
    await first.put(entry("ours", 3), 1000.0)
    assert (await first.stats()).counts[State.WAITING] == 4 + 3 * 5
    await first.close()


def flip_page(inbox: Path) -> None:
    with inbox.open("r+b") as opened:
        opened.seek(inbox.stat().st_size // 2 // 4096 * 4096)
        opened.write(bytes(range(256)) * 16)


def truncate(inbox: Path) -> None:
    with inbox.open("r+b") as opened:
        opened.truncate(inbox.stat().st_size // 2)


def replace(inbox: Path) -> None:
    inbox.write_bytes(b"# Notes\n\nThis is no database.\n" * 1000)


def end_within_a_page(inbox: Path) -> None:
    with inbox.open("r+b") as opened:
        opened.truncate(inbox.stat().st_size - 100)


@pytest.mark.parametrize("damage", [flip_page, truncate, replace, end_within_a_page])
async def test_a_file_that_was_damaged_is_rejected_at_every_start(closed: Path, tmp_path: Path, damage: Damage) -> None:
    path = copy(closed, tmp_path)
    damage(path)
    for _ in range(3):
        with pytest.raises(InboxDamaged, match=r"hooks\.db.* damaged"):
            await SQLiteInbox(path, min_free=0).open()


@pytest.mark.parametrize("text", [b"checksum INTEGER", b"'waiting' AND line", b"held) WHERE", b"TABLE heartbeat"])
async def test_a_file_in_whose_definitions_a_byte_was_changed_is_rejected_at_every_start(
    closed: Path, tmp_path: Path, text: bytes
) -> None:
    path = copy(closed, tmp_path)
    content = path.read_bytes()
    assert content.count(text) >= 1
    path.write_bytes(content.replace(text, text.replace(b"h", b"a").replace(b"w", b"v")))
    for _ in range(2):
        with pytest.raises(InboxDamaged, match=r"hooks\.db is not an inbox, or is damaged"):
            await SQLiteInbox(path, min_free=0).open()


async def test_a_file_in_which_no_worker_would_find_a_delivery_is_rejected_at_every_start(
    closed: Path, tmp_path: Path
) -> None:
    path = copy(closed, tmp_path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE position SET tracked = tracked + 1")
        connection.commit()
    for _ in range(2):
        with pytest.raises(InboxDamaged, match=r"hooks\.db is damaged \(it has deliveries without progress"):
            await SQLiteInbox(path, min_free=0).open()


async def test_an_index_of_somebody_elses_is_left_alone(closed: Path, tmp_path: Path) -> None:
    path = copy(closed, tmp_path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE INDEX mine ON delivery (received)")
        connection.commit()
        connection.execute("VACUUM")
    inbox = await SQLiteInbox(path, min_free=0).open()
    assert len(await inbox.find(Filter())) == COUNT
    await inbox.close()


async def test_an_empty_file_becomes_an_inbox(tmp_path: Path) -> None:
    path = tmp_path / NAME
    path.touch()
    inbox = await SQLiteInbox(path, min_free=0).open()
    await inbox.put(entry("d", 1), 1000.0)
    await inbox.close()


async def test_the_delivery_in_whose_body_a_byte_was_changed_is_dead_and_says_why(closed: Path, tmp_path: Path) -> None:
    path = copy(closed, tmp_path)
    flip(path, path.read_bytes().index(entry("d", 150).delivery.body))
    inbox = await SQLiteInbox(path, min_free=0).open()
    assert await handled(inbox) == {f"d-{number}" for number in range(COUNT)} - {"d-150"}
    (dead,) = await inbox.find(Filter(states=[State.DEAD]))
    assert dead.id == "d-150"
    assert dead.reason == "what is kept of the delivery 'd-150' is not what was put: the database was damaged"
    with pytest.raises(InboxDamaged, match="d-150"):
        await inbox.get("d-150")
    await inbox.close()


@pytest.mark.parametrize(
    "damage",
    ["handlers = '{\"h\":'", "handlers = '[1]'", 'handlers = \'{"h":["wating",1]}\'', "handlers = CAST(x'ff' AS TEXT)"],
)
async def test_a_delivery_whose_progress_was_damaged_is_dead_and_keeps_no_other_from_being_handled(
    closed: Path, tmp_path: Path, damage: str
) -> None:
    path = copy(closed, tmp_path)
    inbox = await SQLiteInbox(path, min_free=0).open()
    await inbox.release(await inbox.claim("webhooks", 20, 30.0, 1000.0), 1000.0)
    await inbox.close()
    connection = sqlite3.connect(path)
    assert connection.execute(f"UPDATE progress SET {damage} WHERE seq = 7").rowcount == 1
    connection.commit()
    connection.close()
    inbox = await SQLiteInbox(path, min_free=0).open()
    assert len(await handled(inbox)) == COUNT - 1
    (dead,) = await inbox.find(Filter(states=[State.DEAD]))
    assert (dead.id, "progress" in (dead.reason or "")) == ("d-6", True)
    await inbox.close()


async def test_a_byte_that_was_changed_anywhere_is_never_silently_read(closed: Path, tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chosen = random.Random(seed)
    rejected = dead = unharmed = 0
    size = (closed / NAME).stat().st_size
    for number in range(30):
        path = copy(closed, tmp_path / str(number))
        at = chosen.randrange(100, size)  # before it is the file's header, half of which means nothing
        flip(path, at)
        inbox = SQLiteInbox(path, min_free=0)
        try:
            await inbox.open()
            done = await handled(inbox)
        except InboxDamaged:
            rejected += 1
        else:
            lost = {f"d-{each}" for each in range(COUNT)} - done
            states = {record.id: record.state for record in await inbox.find(Filter())}
            dead_ones = {each for each, state in states.items() if state is State.DEAD}
            assert len(states) == COUNT, at
            assert len(lost) == len(dead_ones) <= 1, at
            dead += len(dead_ones)
            unharmed += not dead_ones
        await inbox.close()
        shutil.rmtree(path.parent)
    print(f"{rejected} rejected, {dead} with a dead delivery, {unharmed} where it does no harm")
    assert rejected + dead > 0


async def handled(inbox: SQLiteInbox) -> set[str]:
    """Claim and settle everything; return the ids of what was as it was put."""
    done: set[str] = set()
    now = 2000.0
    while (await inbox.stats()).counts[State.WAITING]:
        now += 1
        claims = await inbox.claim("webhooks", 100, 30.0, now)
        assert all(await asyncio.gather(*(inbox.settle(Settlement(claim, State.DONE, {}), now) for claim in claims)))
        for claim in claims:
            number = int(claim.delivery.id.removeprefix("d-"))
            assert claim.delivery == entry("d", number).delivery
            done.add(claim.delivery.id)
        assert now < 2500, "some are never claimed"
    return done


@pytest.mark.parametrize("file", ["nothing", "another program's", "a folder", "a newer inbox"])
async def test_what_is_no_inbox_is_rejected_and_left_as_it_was(tmp_path: Path, file: str) -> None:
    path = tmp_path / NAME
    if file == "nothing":
        path = tmp_path / "missing" / NAME
    elif file == "a folder":
        path.mkdir()
    else:
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE other (thing TEXT)")
        connection.execute("PRAGMA application_id = 1464355666" if file == "a newer inbox" else "SELECT 1")
        connection.execute("PRAGMA user_version = 99")
        connection.commit()
        connection.close()
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(WebhookError, match=NAME):
        await SQLiteInbox(path, min_free=0).open()
    assert before is None or path.read_bytes() == before


def test_four_processes_that_open_and_close_one_file_again_and_again_find_no_damage(tmp_path: Path) -> None:
    path = tmp_path / NAME
    processes = [keeping(path, name, 3, "close", rounds=25) for name in "abcd"]
    assert [process.communicate(timeout=120)[0] for process in processes] == [""] * 4
    assert count(path) == 4 * 3 * 25


def test_four_processes_that_open_a_file_at_once_after_a_kill_find_no_damage(tmp_path: Path) -> None:
    after_a_kill(tmp_path, times=3)


@pytest.mark.faults
def test_four_processes_that_open_a_file_at_once_after_a_kill_find_no_damage_100_times(tmp_path: Path) -> None:
    after_a_kill(tmp_path, times=100)


def after_a_kill(folder: Path, times: int) -> None:
    path = folder / NAME
    for time in range(times):
        process = keeping(path, f"killed{time}-", 20, "kill")
        assert (process.communicate(timeout=60)[0], process.returncode) == ("", -signal.SIGKILL)
        processes = [
            keeping(path, f"{name}{time}-", 5, end) for name, end in zip("abcd", ["kill", "close"] * 2, strict=True)
        ]
        assert [process.communicate(timeout=60)[0] for process in processes] == [""] * 4
    assert count(path) == times * 40


def count(path: Path) -> int:
    connection = sqlite3.connect(path)
    try:
        (found,) = connection.execute("SELECT count(*) FROM delivery").fetchone()
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return int(found)
    finally:
        connection.close()


@pytest.mark.parametrize("replaced", [True, False])
async def test_a_file_that_was_removed_or_replaced_while_it_was_in_use_takes_nothing_more(
    tmp_path: Path, replaced: bool
) -> None:
    path = tmp_path / NAME
    inbox = await SQLiteInbox(path, min_free=0).open()
    await inbox.put(entry("d", 1), 1000.0)
    if replaced:
        shutil.copy(path, tmp_path / "copy")
        (tmp_path / "copy").rename(path)
    else:
        path.unlink()
    for ask in (inbox.put(entry("d", 2), 1000.0), inbox.check(), inbox.stats(), inbox.put(entry("d", 3), 1000.0)):
        with pytest.raises(InboxError, match="removed or replaced"):
            await ask
    await inbox.close()


async def test_damage_that_is_found_after_the_start_ends_the_keeping(
    closed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "_PATIENCE", 0.0)
    path = copy(closed, tmp_path)
    flip_page(path)
    inbox = SQLiteInbox(path, min_free=0)
    with pytest.raises(InboxDamaged, match=r"hooks\.db is damaged"):
        await use_until_rejected(inbox)
    await inbox.close()


async def use_until_rejected(inbox: SQLiteInbox) -> None:
    await inbox.open()
    while True:
        await inbox.check()
