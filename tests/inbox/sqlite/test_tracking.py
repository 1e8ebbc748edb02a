from __future__ import annotations

import asyncio
import sqlite3
from contextlib import AsyncExitStack, closing
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Any

import pytest

from webhook_receiver import SQLiteInbox
from webhook_receiver.errors import InboxError
from webhook_receiver.inbox import Duplicate, Filter, Stored
from webhook_receiver.inbox.sqlite import dedup_index, tracking
from webhook_receiver.testing.inbox_suite import (
    ALL,
    DEAD,
    NOW,
    WAITING,
    claim,
    dumped,
    entry,
    finish,
    kept,
    listed,
    put,
    settle,
)


@pytest.fixture
def inbox(inboxes: list[SQLiteInbox]) -> SQLiteInbox:
    return inboxes[0]


async def together(inbox: SQLiteInbox, *ids: str, **said: Any) -> list[Stored | Duplicate | BaseException]:
    """Put deliveries at once, so that they share a commit."""
    return await asyncio.gather(*[inbox.put(entry(id, **said), NOW) for id in ids], return_exceptions=True)


def untracked(file: sqlite3.Connection) -> list[str]:
    """Return the ids of the deliveries that a claim would find by their numbers alone."""
    return [each.id for each in tracking.untracked(file, tracking.tracked_until(file))]


def tracked_until(file: sqlite3.Connection) -> int:
    """Return the row up to which each delivery has progress."""
    return int(file.execute("SELECT tracked FROM position").fetchone()[0])


@pytest.fixture(autouse=True)
def progress_is_noted_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "_MANY_BEHIND", 0)


IDS = [f"d-{number}" for number in range(10)]


async def test_untracked_deliveries_are_claimed_a_few_at_a_time_by_whoever_asks(
    inboxes: list[SQLiteInbox], file: sqlite3.Connection
) -> None:
    here, there = inboxes
    await together(here, *IDS)
    assert [*await claim(here, 3)] == IDS[:3]
    assert [*await claim(there, 4)] == IDS[3:7]
    assert (untracked(file), tracked_until(file)) == (IDS[7:], 7)
    assert [*await claim(here)] == IDS[7:]
    assert (untracked(file), tracked_until(file)) == ([], 10)
    assert await claim(there) == {}


async def test_what_is_due_already_is_claimed_before_what_is_untracked(inbox: SQLiteInbox) -> None:
    await together(inbox, "d-0", "d-1")
    claimed = await claim(inbox, 1)
    await put(inbox, "d-2")
    await inbox.release([*claimed.values()], NOW)
    assert [*await claim(inbox, 2)] == ["d-0", "d-1"]
    assert [*await claim(inbox, 2)] == ["d-2"]


async def test_the_deliveries_of_other_receivers_are_left_for_them(inbox: SQLiteInbox) -> None:
    await asyncio.gather(*[inbox.put(entry(id, receiver=f"hooks-{int(id[2:]) % 3}"), NOW) for id in IDS])
    assert [*await claim(inbox, 2, receiver="hooks-2")] == ["d-2", "d-5"]
    assert [*await claim(inbox, receiver="hooks-0")] == ["d-0", "d-3", "d-6", "d-9"]
    assert [*await claim(inbox, receiver="hooks-2")] == ["d-8"]
    assert [*await claim(inbox, receiver="hooks-1")] == ["d-1", "d-4", "d-7"]


async def test_deliveries_of_one_order_in_one_row_are_handled_one_at_a_time(inbox: SQLiteInbox) -> None:
    await together(inbox, "d-0", "d-1", "d-2", ordering_key="o-1")
    await together(inbox, "d-3", ordering_key="o-2")
    assert [*await claim(inbox)] == ["d-0", "d-3"]
    assert await finish(inbox) == []
    claimed = (await kept(inbox, "d-0")).summary
    assert claimed.leased
    assert [
        (summary.id, summary.due) for summary in await inbox.find(Filter(ids=["d-1", "d-2"]), newest_first=False)
    ] == [
        ("d-1", None),
        ("d-2", None),
    ]


async def test_a_delivery_whose_ordering_key_is_held_is_blocked(inbox: SQLiteInbox) -> None:
    await together(inbox, "d-0", ordering_key="o-1")
    first = (await claim(inbox))["d-0"]
    await together(inbox, "d-1", "d-2", ordering_key="o-1")
    assert await claim(inbox) == {}
    await settle(inbox, first, WAITING, due=NOW + 10)
    assert await claim(inbox) == {}
    for id in ("d-0", "d-1", "d-2"):
        assert await finish(inbox, now=NOW + 10) == [id]


async def test_what_is_no_event_is_dead_and_claimed_as_such(inbox: SQLiteInbox) -> None:
    await asyncio.gather(inbox.put(entry("d-0")._replace(dead="no event"), NOW), inbox.put(entry("d-1"), NOW))
    claimed = await claim(inbox)
    assert [(each.state, each.reason) for each in claimed.values()] == [(DEAD, "no event"), (WAITING, None)]


async def test_untracked_deliveries_are_changed_like_any_other(
    inboxes: list[SQLiteInbox], file: sqlite3.Connection
) -> None:
    here, there = inboxes
    await together(here, *IDS)
    assert (await there.stats()).counts[WAITING] == 10
    assert (await kept(there, "d-2")).delivery == entry("d-2").delivery
    assert await there.purge(Filter(ids=["d-3"]), NOW, limit=10) == 1
    assert await there.replay(["d-5"], NOW) == 1
    assert untracked(file) == [id for id in IDS if id != "d-3"], "it waits and is due already"
    assert sorted(await finish(here)) == [id for id in IDS if id != "d-3"]


async def test_reading_sees_what_was_put_and_writes_nothing(
    inbox: SQLiteInbox, path: Path, file: sqlite3.Connection
) -> None:
    await together(inbox, *IDS)
    await claim(inbox, 4)
    await put(inbox, "d-10", dead="no event")
    before = path.with_name("hooks.db-wal").stat().st_size, file.execute("PRAGMA data_version").fetchone()
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as other:
        assert other.execute("SELECT count(*) FROM delivery").fetchone() == (11,)
    assert await listed(inbox) == [*IDS, "d-10"]
    assert [each.id for each in await inbox.find(ALL, limit=3)] == ["d-10", "d-9", "d-8"]
    assert [each.id for each in await inbox.find(Filter(states=[WAITING]), limit=2)] == ["d-9", "d-8"]
    assert [each.id for each in await inbox.find(Filter(states=[DEAD]))] == ["d-10"]
    assert [each.summary.id for each in await dumped(inbox)] == [*IDS, "d-10"]
    summary = (await kept(inbox, "d-7")).summary
    assert (summary.state, summary.due, summary.leased, summary.handlers) == (WAITING, 0.0, False, {})
    stats = await inbox.stats()
    assert (stats.counts[WAITING], stats.counts[DEAD], stats.running) == (10, 1, 4)
    assert (path.with_name("hooks.db-wal").stat().st_size, file.execute("PRAGMA data_version").fetchone()) == before


async def test_what_is_locked_is_read_all_the_same(path: Path, file: sqlite3.Connection) -> None:
    inbox = await SQLiteInbox(path, min_free=0, busy_timeout=0).open()
    await put(inbox, "d-0", "d-1")
    file.execute("BEGIN IMMEDIATE")
    assert await listed(inbox) == ["d-0", "d-1"]
    assert [each.summary.id for each in await dumped(inbox)] == ["d-0", "d-1"]
    file.execute("ROLLBACK")
    await inbox.close()


@pytest.mark.parametrize("handler", [None, "module:handler"])
async def test_a_replay_out_of_turn_passes_no_older_one_of_its_ordering_key(
    inbox: SQLiteInbox, file: sqlite3.Connection, handler: str | None
) -> None:
    await together(inbox, *IDS[:3], ordering_key="o-1")
    await together(inbox, *IDS[3:6], ordering_key="o-2")
    assert await inbox.replay(["d-2", "d-5"], NOW, handler=handler) == 2
    assert [*await claim(inbox)] == ["d-0", "d-3"]


async def test_a_dead_one_that_is_replayed_before_any_claim_passes_no_older_one_of_its_ordering_key(
    inbox: SQLiteInbox, file: sqlite3.Connection
) -> None:
    await together(inbox, "d-0", "d-1", ordering_key="o-1")
    await inbox.put(entry("d-2", ordering_key="o-1", key=b"2")._replace(dead="no event"), NOW)
    assert await put(inbox, "again", ordering_key="o-1", key=b"2") == [Duplicate("d-2", replayed=True)]
    for id in ("d-0", "d-1", "d-2"):
        assert await finish(inbox) == [id]


@pytest.mark.parametrize("ordering_key", [None, "o-1"])
async def test_a_replay_of_one_that_waits_behind_many_others_writes_nothing(
    inbox: SQLiteInbox, file: sqlite3.Connection, ordering_key: str | None
) -> None:
    await together(inbox, *IDS, ordering_key=ordering_key)
    assert await inbox.replay(["d-5"], NOW, handler="module:handler") == 1
    assert (untracked(file), tracked_until(file)) == (IDS, 0)


async def test_what_is_dead_at_once_is_not_looked_at_again_by_each_claim(
    inbox: SQLiteInbox, file: sqlite3.Connection
) -> None:
    await together(inbox, *IDS, dead="no event")
    assert tracked_until(file) == 0
    assert await claim(inbox, receiver="another") == {}
    assert tracked_until(file) == 10


async def test_a_delivery_that_was_changed_before_any_claim_is_never_handed_out(
    inbox: SQLiteInbox, file: sqlite3.Connection
) -> None:
    await together(inbox, *IDS[:3], ordering_key="o-1")
    file.execute("UPDATE delivery SET body = x'00' WHERE id = 'd-0'")
    assert await claim(inbox) == {}
    assert [*await claim(inbox)] == ["d-1"], "the next one of its ordering key goes on"
    (dead,) = await inbox.find(Filter(states=[DEAD]))
    assert (dead.id, "not what was put" in str(dead.reason)) == ("d-0", True)


async def test_a_delivery_whose_receiver_was_changed_before_any_claim_is_dead(
    inbox: SQLiteInbox, file: sqlite3.Connection
) -> None:
    await together(inbox, *IDS[:3])
    file.execute("UPDATE delivery SET source = 'hooms' WHERE id = 'd-1'")
    assert sorted(await claim(inbox)) == ["d-0", "d-2"]
    (dead,) = await inbox.find(Filter(states=[DEAD]))
    assert (dead.id, "not what was put" in str(dead.reason)) == ("d-1", True)


async def test_the_number_of_a_removed_delivery_is_not_used_again(path: Path, file: sqlite3.Connection) -> None:
    for number in range(3):
        inbox = await SQLiteInbox(path, min_free=0).open()
        await put(inbox, f"d-{number}")
        assert file.execute("SELECT seq FROM delivery").fetchall() == [(number + 1,)]
        assert await inbox.purge(ALL, NOW, limit=1) == 1
        await inbox.close()


@pytest.mark.parametrize("looked_at", [False, True])
async def test_an_id_that_is_kept_already_is_rejected_alone(
    inboxes: list[SQLiteInbox], file: sqlite3.Connection, looked_at: bool
) -> None:
    here, there = inboxes
    await together(here, "d-0")
    if looked_at:
        await here.find(ALL)
    outcomes = await together(there, "d-1", "d-0", "d-2", "d-2")
    assert [type(outcome) for outcome in outcomes] == [Stored, InboxError, Stored, InboxError]
    assert await listed(here) == ["d-0", "d-1", "d-2"]


@pytest.mark.parametrize("part", ["identity", "ordering_key", "receiver", "event", "dead"])
async def test_a_text_that_no_file_can_hold_is_rejected_alone_and_at_once(inbox: SQLiteInbox, part: str) -> None:
    lone: Any = "\ud800"
    whole = entry("d-1", receiver=lone) if part == "receiver" else entry("d-1")._replace(**{part: lone})
    outcomes = await asyncio.gather(
        *[inbox.put(each, NOW) for each in (entry("d-0"), whole, entry("d-2"))], return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [Stored, InboxError, Stored]
    assert await listed(inbox) == ["d-0", "d-2"]


async def test_a_duplicate_of_an_untracked_delivery_is_known(inboxes: list[SQLiteInbox]) -> None:
    here, there = inboxes
    assert await put(here, "d-0", key=b"k", identity="o-1") == [Stored("d-0")]
    assert await put(there, "d-1", key=b"k", identity="o-1") == [Duplicate("d-0")]
    assert await put(here, "d-2", key=b"k", identity="o-1") == [Duplicate("d-0")]
    assert await finish(there) == ["d-0"]


class Colour(StrEnum):
    RED = "red"


class Number(IntEnum):
    ONE = 1


async def test_members_of_enums_become_what_they_are(inbox: SQLiteInbox) -> None:
    strange = entry("d-1", receiver="hooks", event=Colour.RED, identity=Colour.RED, ordering_key=Colour.RED)
    strange.delivery.__dict__["verified_by"] = Number.ONE
    assert await inbox.put(strange, NOW) == Stored("d-1")
    found = (await claim(inbox))["d-1"].delivery
    assert (type(found.verified_by), found.verified_by) == (int, 1)
    assert [type(summary.event) for summary in await inbox.find(ALL)] == [str]


@pytest.mark.parametrize(
    ("part", "value"),
    [
        *(("id", None), ("id", b"d-1"), ("receiver", 1), ("body", "text"), ("body", None), ("via", None)),
        *(("verified_by", 2**63), ("verified_by", "0"), ("received", float("nan"))),
    ],
)
async def test_what_no_row_could_hold_is_rejected_alone_and_at_once(
    inbox: SQLiteInbox, part: str, value: object
) -> None:
    strange = entry("d-1")
    strange.delivery.__dict__[part] = value
    outcomes = await asyncio.gather(
        *[inbox.put(each, NOW) for each in (entry("d-0"), strange, entry("d-2"))], return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [Stored, InboxError, Stored]
    assert [*await claim(inbox)] == ["d-0", "d-2"]


async def test_an_id_is_known_by_whoever_connects_anew(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dedup_index, "_MANY", 1)
    async with AsyncExitStack() as stack:
        first = await SQLiteInbox(path, min_free=0).open()
        stack.push_async_callback(first.close)
        for number in range(100):
            await put(first, f"d-{number}", key=b"%d" % number)
        second = await SQLiteInbox(path, min_free=0).open()
        stack.push_async_callback(second.close)
        with pytest.raises(InboxError, match="this id"):
            await put(second, "d-0", key=b"new")
        assert len(await claim(second, 1000)) == 100


async def test_duplicates_and_claims_of_others_take_nothing_away(
    inbox: SQLiteInbox, file: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "AT_ONCE", 5)
    for number in range(100):
        await put(inbox, f"d-{number}", key=b"%d" % number, identity="o-1")
    assert await put(inbox, "again", key=b"3", identity="o-1") == [Duplicate("d-3")]
    assert len(untracked(file)) == 100
    assert await claim(inbox, receiver="another") == {}
    assert sorted(await claim(inbox, 100)) == sorted(f"d-{number}" for number in range(100))


async def test_an_identity_with_thousands_of_deliveries_is_looked_up_quickly(inbox: SQLiteInbox) -> None:
    told = 1_400
    for start in range(0, told * 12, 256):
        await asyncio.gather(
            *[
                inbox.put(entry(f"d-{n}", key=b"%d" % n, identity=f"o-{n % 12}"), NOW)
                for n in range(start, min(start + 256, told * 12))
            ]
        )
    assert len(await inbox.find(ALL, limit=1)) == 1
    async with asyncio.timeout(30):
        assert await asyncio.gather(
            *[inbox.put(entry(f"new-{n}", key=b"new %d" % n, identity=f"o-{n}"), NOW) for n in range(12)]
        ) == [Stored(f"new-{n}") for n in range(12)]


async def test_a_duplicate_of_a_dead_untracked_delivery_replays_it_alone(
    inbox: SQLiteInbox, file: sqlite3.Connection
) -> None:
    await together(inbox, "d-0", "d-1", dead="no event", key=None)
    await put(inbox, "d-2", key=b"2", dead="no event")
    await together(inbox, "d-3", "d-4")
    again = await asyncio.gather(*[inbox.put(entry(id, key=b"2"), NOW) for id in ("d-5", "d-6")])
    assert again == [Duplicate("d-2", replayed=True), Duplicate("d-2")]
    assert untracked(file) == ["d-3", "d-4"]
    states = {id: claimed.state for id, claimed in (await claim(inbox)).items()}
    assert states == {"d-0": DEAD, "d-1": DEAD, "d-2": WAITING, "d-3": WAITING, "d-4": WAITING}


async def test_puts_that_fail_take_no_memory(inboxes: list[SQLiteInbox]) -> None:
    inbox, other = inboxes
    await put(inbox, "mine")
    for number in range(10):
        await put(other, f"d-{number}", key=b"%d" % number)
    for _ in range(20):
        with pytest.raises(InboxError, match="this id"):
            await put(inbox, "d-0", key=b"new")
    assert inbox._writer is not None
    connection = inbox._writer._connection
    assert connection is not None
    assert connection.dedup_cache is not None
    assert sum(len(seqs) for part in connection.dedup_cache.young for seqs in part.values()) == 10


async def test_a_time_that_no_file_gives_back_becomes_one_that_it_does(inbox: SQLiteInbox) -> None:
    await put(inbox, "d-0", now=-0.0)
    for later in (0, 1):
        claimed = await claim(inbox, now=NOW + later * 60)
        assert str(claimed["d-0"].delivery.received) == "0.0"
