from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from webhook_receiver import MemoryInbox, SQLiteInbox
from webhook_receiver.errors import InboxError
from webhook_receiver.inbox import Duplicate, Filter, Stored
from webhook_receiver.inbox.sqlite import dedup_cache, dedup_index
from webhook_receiver.inbox.sqlite.connection import WriterConnection
from webhook_receiver.testing.inbox_suite import ALL, DAY, NOW, claim, dumped, entry, finish, put

MANY, BUCKETS = 8, 16
LATER = NOW + 8 * DAY  # when the window has passed, and what is purged is known no more


@pytest.fixture(autouse=True)
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dedup_index, "_MANY", MANY)
    for module in (dedup_cache, dedup_index):
        monkeypatch.setattr(module, "BUCKETS", BUCKETS)
    monkeypatch.setattr(dedup_cache, "_REST", 65 - BUCKETS.bit_length())


async def new(inbox: SQLiteInbox, *numbers: int) -> None:
    for number in numbers:
        assert await put(inbox, f"d-{number}", key=b"%d" % number) == [Stored(f"d-{number}")]


async def duplicates(inbox: SQLiteInbox, *numbers: int) -> None:
    for number in numbers:
        assert await put(inbox, f"again-{number}", key=b"%d" % number) == [Duplicate(f"d-{number}")]


def merged(file: sqlite3.Connection) -> tuple[int, int]:
    """Return up to which row the file's table is complete, and how many rows it has."""
    complete, rows = file.execute("SELECT merged, (SELECT count(*) FROM lookup) FROM position").fetchone()
    return complete, rows


async def test_a_duplicate_is_known_before_while_and_after_its_hash_is_merged(
    inboxes: list[SQLiteInbox], file: sqlite3.Connection
) -> None:
    inbox, _ = inboxes
    seen: set[tuple[int, int]] = set()
    for number in range(4 * BUCKETS):
        await new(inbox, number)
        await duplicates(inbox, 0, number // 2, number)
        seen.add(merged(file))
    assert len({complete for complete, _ in seen}) == 4, "it was merged from end to end several times"
    assert len(seen) > 20, "and a part at a time"
    complete, rows = merged(file)
    assert rows >= complete > 2 * BUCKETS


async def test_two_processes_know_what_the_other_one_has_put_whichever_merges(
    inboxes: list[SQLiteInbox], file: sqlite3.Connection
) -> None:
    for number in range(3 * BUCKETS):
        here, there = inboxes if number // 5 % 2 else reversed(inboxes)
        await new(here, number)
        await duplicates(there, number, number // 2)
    assert merged(file)[0] > MANY
    for inbox in inboxes:
        await duplicates(inbox, *range(3 * BUCKETS))


async def test_who_puts_seldom_knows_what_was_merged_meanwhile_and_what_was_not(
    inboxes: list[SQLiteInbox], file: sqlite3.Connection
) -> None:
    here, there = inboxes
    await new(here, 0)
    await new(there, *range(1, 2 * BUCKETS))
    assert 0 < merged(file)[0] < 2 * BUCKETS
    await duplicates(here, *range(2 * BUCKETS))


@pytest.mark.parametrize("number", [1, MANY, MANY + 5, MANY + BUCKETS + 2])
async def test_whoever_starts_anew_knows_what_was_held_in_memory(path: Path, number: int) -> None:
    for _ in range(2):
        async with AsyncExitStack() as stack:
            inbox = await SQLiteInbox(path, min_free=0).open()
            stack.push_async_callback(inbox.close)
            fresh = [] if await inbox.find(ALL, limit=1) else range(number)
            await new(inbox, *fresh)
            await duplicates(inbox, *range(number))


async def test_what_was_not_committed_is_not_remembered(inboxes: list[SQLiteInbox]) -> None:
    inbox, _ = inboxes
    await new(inbox, 0)
    with pytest.raises(InboxError):
        await put(inbox, "d-0", key=b"1")
    await new(inbox, 1)
    outcomes = await asyncio.gather(
        *(inbox.put(entry(id, key=key), NOW) for id, key in [("d-2", b"2"), ("d-0", b"3"), ("d-4", b"4")]),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [Stored, InboxError, Stored]
    await new(inbox, 3)
    await duplicates(inbox, 0, 1, 2, 3, 4)


async def test_what_another_process_has_put_in_the_place_of_what_it_removed_is_known(
    inboxes: list[SQLiteInbox],
) -> None:
    here, there = inboxes
    await new(here, 0, 1)
    assert await there.purge(Filter(ids=["d-1"]), LATER, limit=1) == 1
    await new(there, 2)
    await duplicates(here, 2)
    await new(here, 1)


async def test_what_was_removed_is_no_duplicate_of_anything_also_when_it_is_merged_later(
    inboxes: list[SQLiteInbox], file: sqlite3.Connection
) -> None:
    here, there = inboxes
    await new(here, 0, 1)
    assert await there.purge(Filter(ids=["d-0"]), LATER, limit=1) == 1
    assert await here.purge(Filter(ids=["d-1"]), LATER, limit=1) == 1
    await new(here, *range(2, 2 * BUCKETS))
    assert merged(file)[0] > 2
    await new(here, 0, 1)
    assert [*await claim(there, limit=1000)] == [f"d-{number}" for number in [*range(2, 2 * BUCKETS), 0, 1]]


async def test_what_is_loaded_is_known_and_knows_what_is_held_in_memory(inboxes: list[SQLiteInbox]) -> None:
    inbox, other = inboxes
    receiver = await MemoryInbox().open()
    await new(receiver, 0, 1)
    deliveries = await dumped(receiver)
    await receiver.close()
    await put(inbox, "another", key=b"1")
    assert await other.load(deliveries, NOW) == 1
    await duplicates(inbox, 0)
    assert await put(inbox, "again", key=b"1") == [Duplicate("another")]
    assert await finish(inbox) == ["d-0", "another"]


async def test_what_is_held_in_memory_stays_small_whoever_merges(inboxes: list[SQLiteInbox]) -> None:
    def held_in_memory(connection: WriterConnection, jobs: Sequence[None]) -> list[int]:
        assert connection.dedup_cache is not None
        return [sum(map(len, connection.dedup_cache.young + connection.dedup_cache.old)) for _ in jobs]

    here, there = inboxes
    for number in range(6 * BUCKETS):
        await new(here, number)
        if number % BUCKETS == 0:
            await duplicates(there, number)
        for inbox in inboxes[: 1 + (number % BUCKETS == 0)]:
            assert await inbox._write(held_in_memory, None) <= MANY + 2 * BUCKETS
