from __future__ import annotations

import asyncio
import os
import pickle
import sqlite3
from collections.abc import Sequence
from contextlib import AsyncExitStack
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from webhook_receiver.errors import InboxDamaged, InboxError, InboxUnavailable
from webhook_receiver.inbox import Duplicate, Filter, SQLiteInbox, Stored
from webhook_receiver.inbox.sqlite import dedup_index, staging
from webhook_receiver.inbox.sqlite.connection import WriterConnection
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


def staged_ids(file: sqlite3.Connection) -> list[str]:
    return [each.row[0] for each in staging.read(file)]


def parts(file: sqlite3.Connection) -> int:
    """Return how many rows the staging table has."""
    return int(file.execute("SELECT count(*) FROM journal").fetchone()[0])


IDS = [f"d-{number}" for number in range(10)]


async def test_what_shares_a_commit_shares_a_row(inbox: SQLiteInbox, file: sqlite3.Connection) -> None:
    assert await together(inbox, *IDS) == [Stored(id) for id in IDS]
    assert (staged_ids(file), parts(file)) == (IDS, 1)
    assert file.execute("SELECT count(*) FROM delivery").fetchone() == (0,)


async def test_staged_deliveries_are_claimed_a_few_at_a_time_by_whoever_asks(
    inboxes: list[SQLiteInbox], file: sqlite3.Connection
) -> None:
    here, there = inboxes
    await together(here, *IDS)
    assert [*await claim(here, 3)] == IDS[:3]
    assert [*await claim(there, 4)] == IDS[3:7]
    assert (staged_ids(file), parts(file)) == (IDS[7:], 1)
    assert [*await claim(here)] == IDS[7:]
    assert parts(file) == 0
    assert await claim(there) == {}


async def test_what_is_due_already_is_claimed_before_what_is_staged(inbox: SQLiteInbox) -> None:
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


async def test_staged_deliveries_can_be_looked_at_and_changed_like_any_other(
    inboxes: list[SQLiteInbox], file: sqlite3.Connection
) -> None:
    here, there = inboxes
    await together(here, *IDS)
    assert await listed(there) == IDS
    assert staged_ids(file) == []
    await together(here, "d-10", "d-11")
    assert (await there.stats()).counts[WAITING] == 12
    await together(here, "d-12")
    assert (await kept(there, "d-12")).delivery == entry("d-12").delivery
    await together(here, "d-13", "d-14")
    assert await there.purge(Filter(ids=["d-13"]), NOW, limit=10) == 1
    await together(here, "d-15")
    assert await there.replay(["d-15"], NOW) == 1
    assert await finish(here) == [*IDS, "d-10", "d-11", "d-12", "d-14", "d-15"]


async def test_to_look_takes_no_more_than_what_was_there(
    inbox: SQLiteInbox, file: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "FLUSH_STEP", 2)
    await together(inbox, *IDS)
    assert await listed(inbox) == IDS


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


async def test_while_nobody_looks_or_claims_the_staging_table_stays_bounded(
    inbox: SQLiteInbox, file: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "MOST_STAGED", 20)
    for start in range(0, 100, 5):
        await together(inbox, *[f"d-{number}" for number in range(start, start + 5)])
        assert len(staged_ids(file)) <= 20
    assert len(staged_ids(file)) == 20
    assert await finish(inbox) == [f"d-{number}" for number in range(100)]


async def test_a_duplicate_of_a_staged_delivery_is_known(inboxes: list[SQLiteInbox]) -> None:
    here, there = inboxes
    assert await put(here, "d-0", key=b"k", identity="o-1") == [Stored("d-0")]
    assert await put(there, "d-1", key=b"k", identity="o-1") == [Duplicate("d-0")]
    assert await put(here, "d-2", key=b"k", identity="o-1") == [Duplicate("d-0")]
    assert await finish(there) == ["d-0"]


async def test_a_staged_row_that_was_changed_is_read_by_nobody(inbox: SQLiteInbox, file: sqlite3.Connection) -> None:
    await together(inbox, *IDS)
    file.execute("UPDATE journal SET packed = CAST(replace(packed, 'd-3', 'd-4') AS BLOB)")
    for ask in (claim(inbox), inbox.find(ALL), inbox.stats(), inbox.get("d-0"), inbox.replay(["d-0"], NOW)):
        with pytest.raises(InboxDamaged, match="what is kept in its journal is not what was put"):
            await ask


async def test_a_staged_row_that_would_run_something_is_rejected(
    inbox: SQLiteInbox, file: sqlite3.Connection, tmp_path: Path
) -> None:
    class Harm:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "harmed"),)

    await together(inbox, *IDS)
    packed = pickle.dumps([Harm()], 5)
    file.execute("UPDATE journal SET packed = ?, checksum = ?", (packed, crc32(packed)))
    with pytest.raises(InboxDamaged, match="what is kept in its journal is not what was put"):
        await claim(inbox)
    assert not (tmp_path / "harmed").exists()


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


async def test_a_staged_id_is_known_by_whoever_connects_anew(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def flush_and_fail(connection: WriterConnection, jobs: Sequence[None]) -> list[None]:
    staging.flush_all(connection)
    dedup_index.refresh(connection)
    raise InboxError("on purpose")


@pytest.mark.parametrize("whose", [0, 1])
async def test_a_staged_id_is_known_after_a_flush_that_failed(inboxes: list[SQLiteInbox], whose: int) -> None:
    inbox, *_ = inboxes
    await put(inbox, "d-0")
    await put(inboxes[whose], "d-1")
    with pytest.raises(InboxError, match="on purpose"):
        await inbox._write(flush_and_fail, None)
    await inbox.pause("handler", NOW)  # which is committed, and asks for none of this
    with pytest.raises(InboxError, match="this id"):
        await put(inbox, "d-1")
    assert [*await claim(inbox)] == ["d-0", "d-1"]


async def test_duplicates_and_claims_of_others_flush_nothing(
    inbox: SQLiteInbox, file: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "FLUSH_STEP", 10)
    for number in range(20):
        await put(inbox, f"d-{number}", key=b"%d" % number, identity="o-1")
    assert await put(inbox, "again", key=b"3", identity="o-1") == [Duplicate("d-3")]
    assert len(staged_ids(file)) == 20
    assert await claim(inbox, receiver="another") == {}
    assert [*await claim(inbox)] == [f"d-{number}" for number in range(20)]


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


async def test_large_bodies_are_staged_and_flushed_a_few_at_a_time(
    inbox: SQLiteInbox, file: sqlite3.Connection
) -> None:
    bodies = [bytes([number]) * 300_000 for number in range(10)]
    await asyncio.gather(*[inbox.put(entry(f"d-{n}", body=body), NOW) for n, body in enumerate(bodies)])
    assert parts(file) == 3
    claimed = await claim(inbox)
    assert [each.delivery.body for each in claimed.values()] == bodies[: len(claimed)]
    assert await listed(inbox) == IDS


async def test_what_is_locked_is_read_as_far_as_it_has_rows(
    path: Path, file: sqlite3.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    inbox = await SQLiteInbox(path, min_free=0, busy_timeout=0).open()
    await put(inbox, "d-0")
    assert await listed(inbox) == ["d-0"]
    await put(inbox, "d-1")
    file.execute("BEGIN IMMEDIATE")
    assert await listed(inbox) == ["d-0"]
    assert "what was put lately is not looked at" in caplog.text
    with pytest.raises(InboxUnavailable):
        await dumped(inbox)
    file.execute("ROLLBACK")
    assert await listed(inbox) == ["d-0", "d-1"]
    await inbox.close()


async def test_a_duplicate_of_a_dead_staged_delivery_replays_it_and_flushes_nothing(
    inbox: SQLiteInbox, file: sqlite3.Connection
) -> None:
    await together(inbox, "d-0", "d-1", dead="no event", key=None)
    await put(inbox, "d-2", key=b"2", dead="no event")
    await together(inbox, "d-3", "d-4")
    again = await asyncio.gather(*[inbox.put(entry(id, key=b"2"), NOW) for id in ("d-5", "d-6")])
    assert again == [Duplicate("d-2", replayed=True), Duplicate("d-2")]
    assert staged_ids(file) == [f"d-{number}" for number in range(5)]
    states = {id: claimed.state for id, claimed in (await claim(inbox)).items()}
    assert states == {"d-0": DEAD, "d-1": DEAD, "d-2": WAITING, "d-3": WAITING, "d-4": WAITING}


async def test_a_duplicate_of_a_dead_delivery_is_known_when_the_same_commit_flushes_it(
    inbox: SQLiteInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "MOST_STAGED", 2)
    await put(inbox, "d-0", key=b"0", dead="no event")
    await put(inbox, "d-1")
    outcomes = await asyncio.gather(*[inbox.put(entry(id, key=key), NOW) for id, key in (("d-2", None), ("x", b"0"))])
    assert outcomes == [Stored("d-2"), Duplicate("d-0", replayed=True)]


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
