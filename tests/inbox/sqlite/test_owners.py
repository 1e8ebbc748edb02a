from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.helpers import child
from webhook_receiver import SQLiteInbox
from webhook_receiver.errors import InboxDamaged, InboxUnavailable
from webhook_receiver.inbox import Duplicate, Filter, HandlerState, Stored
from webhook_receiver.inbox.direct import DirectInbox
from webhook_receiver.inbox.owner import Owner
from webhook_receiver.inbox.records import Claim
from webhook_receiver.inbox.sqlite import opening, tracking
from webhook_receiver.inbox.sqlite.connection import WriterConnection
from webhook_receiver.testing.inbox_suite import (
    ALL,
    DEAD,
    DONE,
    LEASE,
    NOW,
    WAITING,
    Course,
    claim,
    dumped,
    entry,
    kept,
    listed,
    settle,
)
from webhook_receiver.testing.inbox_suite import put as only_put

LATER = NOW + LEASE + 1
"""When every lease that begins at NOW is over."""


@dataclass
class Hands:
    """A worker, as far as an inbox knows it, and what it was handed."""

    room: int = 100
    now: float = NOW
    claims: dict[str, Claim] = field(default_factory=dict[str, Claim])
    owner: Owner = field(init=False)

    def __post_init__(self) -> None:
        self.owner = Owner("hooks", lambda: self.room, self.take, lambda: self.now)

    def take(self, owner: Owner, claims: Sequence[Claim]) -> bool:
        owner.taken += len(claims)
        self.claims.update((each.delivery.id, each) for each in claims)
        return True


async def put(inbox: SQLiteInbox, *ids: str, **said: Any) -> list[Stored | Duplicate]:
    """Put deliveries, and wait until they are handed over."""
    stored = await only_put(inbox, *ids, **said)
    await inbox.check()  # by the same thread
    return stored


async def hired(inbox: SQLiteInbox, room: int = 100, now: float = NOW) -> Hands:
    """Return a worker of this process whose sign of life has begun, and who finds nothing to claim."""
    hands = Hands(room, now)
    assert await inbox.own(hands.owner, LEASE, now)
    assert await claim(inbox, now=now) == {}
    return hands


@pytest.fixture
def inbox(inboxes: list[SQLiteInbox]) -> SQLiteInbox:
    return inboxes[0]


def progress(file: sqlite3.Connection) -> list[tuple[Any, ...]]:
    return file.execute("SELECT id, state, lease IS NOT NULL FROM progress JOIN delivery USING (seq)").fetchall()


async def test_what_is_put_is_in_the_hands_of_its_owner_and_nothing_else_is_written(
    inbox: SQLiteInbox, file: sqlite3.Connection
) -> None:
    assert isinstance(inbox, DirectInbox)
    hands = await hired(inbox)
    given = entry("d-1", key=b"k", ordering_key="o-1")
    assert await inbox.put(given, NOW) == Stored("d-1", leased=True)
    await inbox.check()
    (claimed,) = hands.claims.values()
    assert (claimed.delivery, claimed.state, claimed.handlers, claimed.crashes) == (given.delivery, WAITING, {}, 0)
    assert progress(file) == []
    summary = (await kept(inbox, "d-1")).summary
    assert (summary.state, summary.leased, summary.due) == (WAITING, True, NOW + LEASE)
    assert (await inbox.stats()).running == 1
    assert await claim(inbox) == {}
    assert await settle(inbox, claimed)
    assert progress(file) == [("d-1", "done", 0)]
    assert not await settle(inbox, claimed), "the lease has ended"


async def test_no_more_is_born_leased_than_there_is_room_for_and_nothing_passes_what_is_free(
    inbox: SQLiteInbox,
) -> None:
    hands = await hired(inbox, room=3)
    stored = await asyncio.gather(*[inbox.put(entry(f"d-{n}"), NOW) for n in range(5)])
    assert [each.leased for each in stored if isinstance(each, Stored)] == [True] * 3 + [False] * 2
    assert await put(inbox, "d-5") == [Stored("d-5")], "d-3 is free, and older"
    assert [*await claim(inbox)] == ["d-3", "d-4", "d-5"]
    assert await put(inbox, "d-6") == [Stored("d-6", leased=True)]
    hands.room = 0
    assert await put(inbox, "d-7") == [Stored("d-7")]


async def test_puts_and_claims_that_a_full_disk_keeps_from_being_committed_take_no_room(
    inbox: SQLiteInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    hands = await hired(inbox, room=2)

    def execute(connection: WriterConnection, sql: str, *arguments: Any) -> sqlite3.Cursor:
        if sql == "COMMIT":
            raise sqlite3.OperationalError("database or disk is full")
        return sqlite3.Connection.execute(connection, sql, *arguments)

    with monkeypatch.context() as full:
        full.setattr(WriterConnection, "execute", execute)
        for each in "ab":
            with pytest.raises(InboxUnavailable, match="disk is full"):
                await inbox.put(entry(each), NOW)
    assert (hands.owner.room(), hands.owner.in_hand) == (2, set())
    await put(inbox, "d-0", receiver="another")  # the new connection knows of nothing that is free
    await put(inbox, "d-1")
    with monkeypatch.context() as full:
        full.setattr(WriterConnection, "execute", execute)
        with pytest.raises(InboxUnavailable, match="disk is full"):
            await claim(inbox)
    assert hands.owner.room() == 2
    assert [*await claim(inbox)] == ["d-1"]
    assert await put(inbox, "d-2") == [Stored("d-2", leased=True)]


async def test_what_is_due_again_is_not_passed(inbox: SQLiteInbox) -> None:
    await put(inbox, "d-0")
    claimed = (await claim(inbox))["d-0"]
    hands = await hired(inbox)
    await settle(inbox, claimed, WAITING, due=NOW + 5)
    assert await put(inbox, "d-1") == [Stored("d-1", leased=True)]
    hands.now = NOW + 5
    assert await put(inbox, "d-2", now=NOW + 5) == [Stored("d-2")]


async def test_a_put_and_a_settlement_cost_the_same_however_many_wait_for_their_ordering_key(
    inbox: SQLiteInbox,
) -> None:
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    costs: list[int] = []
    for key, number in (("few", 50), ("many", 5000)):
        for start in range(0, number, 1000):
            some = range(start, min(start + 1000, number))
            await asyncio.gather(*[inbox.put(entry(f"{key}-{n}", ordering_key=key), NOW) for n in some])
        (first,) = (await claim(inbox)).values()
        hands = Hands()
        assert await inbox.own(hands.owner, LEASE, NOW)
        while await claim(inbox) or (await inbox.find(Filter(due_before=NOW + 1), limit=1)):
            pass
        assert inbox._writer is not None
        assert inbox._writer._connection is not None
        inbox._writer._connection.set_progress_handler(count, 100)
        steps = 0
        await put(inbox, f"{key}-last", ordering_key=key)
        assert await settle(inbox, first)
        costs.append(steps)
        inbox._writer._connection.set_progress_handler(None, 0)
        await settle(inbox, (await claim(inbox))[f"{key}-1"])
        await inbox.purge(ALL, NOW, limit=10_000)
        await inbox.disown(hands.owner)
    assert costs[1] < 2 * costs[0] + 20, costs


async def test_a_claim_that_is_cancelled_takes_no_room_and_is_given_back(inbox: SQLiteInbox) -> None:
    hands = await hired(inbox, room=2)
    hands.room = 0
    await put(inbox, "d-1", "d-2")
    hands.room = 2
    claiming = asyncio.create_task(inbox.claim("hooks", 2, LEASE, NOW))
    await asyncio.sleep(0)  # it has asked
    claiming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await claiming
    for _ in range(3):  # it is committed, and then it is given back
        await inbox.check()
    assert hands.owner.room() == 2
    assert {id: each.crashes for id, each in (await claim(inbox)).items()} == {"d-1": 0, "d-2": 0}


async def test_what_is_dead_or_another_receivers_is_born_to_nobody(inbox: SQLiteInbox) -> None:
    await hired(inbox)
    assert await put(inbox, "d-0", dead="no event") == [Stored("d-0")]
    assert await put(inbox, "d-1", receiver="another") == [Stored("d-1")]


@pytest.mark.parametrize("way", ["settle", "save", "release", "renew"])
async def test_a_born_lease_that_was_overtaken_changes_nothing(
    inboxes: list[SQLiteInbox], file: sqlite3.Connection, way: str
) -> None:
    here, there = inboxes
    hands = await hired(here)
    await put(here, "d-1", ordering_key="o-1")
    mine = hands.claims["d-1"]
    theirs = (await claim(there, now=LATER))["d-1"]
    assert theirs.crashes == 0, "nobody knows that it had begun"
    if way == "settle":
        assert not await settle(here, mine, DEAD, reason="too late", now=LATER)
    elif way == "save":
        assert not await here.save_progress(mine, {"h": HandlerState(DEAD)}, LATER)
    elif way == "release":
        await here.release([mine], LATER)
    else:
        await here.renew([mine], LEASE, LATER)
    summary = (await kept(there, "d-1")).summary
    assert (summary.state, summary.due, summary.leased, summary.handlers) == (WAITING, LATER + LEASE, True, {})
    assert await settle(there, theirs, now=LATER)
    assert not await settle(here, mine, DEAD, reason="too late", now=LATER)
    assert await there.purge(ALL, LATER, limit=1) == 1
    assert not await settle(here, mine, now=LATER)
    assert not await here.save_progress(mine, {}, LATER)
    assert file.execute("SELECT count(*) FROM progress").fetchone() == (0,), "there is no delivery"


async def test_a_late_settlement_that_nobody_overtook_counts(inbox: SQLiteInbox) -> None:
    hands = await hired(inbox)
    await put(inbox, "d-1")
    assert await settle(inbox, hands.claims["d-1"], now=LATER)
    assert (await kept(inbox, "d-1")).summary.state is DONE


@pytest.mark.parametrize("ordering_key", [None, "o-1"])
async def test_a_late_renewal_that_nobody_overtook_counts(inbox: SQLiteInbox, ordering_key: str | None) -> None:
    hands = await hired(inbox)
    await put(inbox, "d-1", ordering_key=ordering_key)
    await inbox.renew([hands.claims["d-1"]], LEASE, LATER)
    assert await claim(inbox, now=LATER + LEASE - 1) == {}
    await put(inbox, "d-2", ordering_key=ordering_key, now=LATER)
    assert [*await claim(inbox, now=LATER)] == ([] if ordering_key else ["d-2"])
    assert await settle(inbox, hands.claims["d-1"], now=LATER)
    assert [*await claim(inbox, now=LATER)] == (["d-2"] if ordering_key else [])


async def test_a_sign_of_life_that_has_ended_is_never_renewed_and_nothing_is_born_to_it(inbox: SQLiteInbox) -> None:
    hands = await hired(inbox)
    await put(inbox, "d-0")
    hands.now = LATER
    assert await inbox.put(entry("d-1"), LATER) == Stored("d-1"), "it has ended"
    assert not await inbox.own(hands.owner, LEASE, LATER)
    assert not await inbox.own(hands.owner, LEASE, NOW)
    assert [*await claim(inbox, now=LATER)] == ["d-0", "d-1"]


async def test_at_a_renewal_what_is_in_hand_gets_a_lease_of_its_own_and_what_is_not_is_free(
    inbox: SQLiteInbox, file: sqlite3.Connection
) -> None:
    hands = await hired(inbox)
    await put(inbox, "d-2", "d-3")
    await put(inbox, "d-0", "d-1", ordering_key="o-1")
    assert [*hands.claims] == ["d-2", "d-3", "d-0"]
    hands.owner.in_hand.discard("d-2")
    assert await inbox.own(hands.owner, LEASE, NOW + 10)
    await inbox.renew([*hands.claims.values()], LEASE, NOW + 10)
    assert [*await claim(inbox, now=NOW + LEASE)] == ["d-2"]
    first = await claim(inbox, now=NOW + 10 + LEASE)
    assert {id: each.crashes for id, each in first.items()} == {"d-3": 1, "d-0": 1}, "what has progress counts"


async def test_a_renewal_in_the_same_commit_leaves_what_is_put_to_its_owner(inbox: SQLiteInbox) -> None:
    hands = await hired(inbox)
    stored, goes_on = await asyncio.gather(inbox.put(entry("d-0"), NOW), inbox.own(hands.owner, LEASE, NOW))
    await inbox.check()
    assert (stored, goes_on, [*hands.claims]) == (Stored("d-0", leased=True), True, ["d-0"])
    assert await claim(inbox) == {}
    assert await settle(inbox, hands.claims["d-0"])


async def test_what_was_committed_by_a_put_that_failed_all_the_same_is_free_at_the_next_renewal(
    inbox: SQLiteInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(connection: WriterConnection) -> None:
        raise InboxDamaged("on purpose")

    hands = await hired(inbox)
    assert inbox._writer is not None
    with monkeypatch.context() as patched:
        patched.setattr(inbox._writer, "_confirm", fail)
        with pytest.raises(InboxDamaged):
            await put(inbox, "d-0")
    assert hands.claims == {}
    assert await claim(inbox) == {}, "it is owned"
    assert await inbox.own(hands.owner, LEASE, NOW + 10)
    assert [*await claim(inbox, now=NOW + 10)] == ["d-0"]


async def test_a_claim_that_was_committed_and_not_confirmed_takes_no_room(
    inbox: SQLiteInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(connection: WriterConnection) -> None:
        raise InboxDamaged("on purpose")

    hands = await hired(inbox, room=2)
    hands.room = 0
    await put(inbox, "d-0")
    hands.room = 2
    assert inbox._writer is not None
    with monkeypatch.context() as patched:
        patched.setattr(inbox._writer, "_confirm", fail)
        with pytest.raises(InboxDamaged):
            await claim(inbox)
    await inbox.check()
    assert hands.owner.room() == 2


async def test_a_put_that_is_cancelled_after_the_commit_has_handed_its_delivery_over(inbox: SQLiteInbox) -> None:
    hands = await hired(inbox)
    begun, goes_on = threading.Event(), threading.Event()

    def wait(connection: WriterConnection, jobs: Sequence[None]) -> Sequence[None]:
        begun.set()
        assert goes_on.wait(30)
        return jobs

    putting = asyncio.ensure_future(inbox.put(entry("d-0"), NOW))
    holding = asyncio.ensure_future(inbox._write(wait, None))  # in the same transaction
    await asyncio.to_thread(begun.wait, 30)
    putting.cancel()
    goes_on.set()
    await holding
    await inbox.check()
    assert putting.cancelled()
    assert [*hands.claims] == ["d-0"]
    assert await settle(inbox, hands.claims["d-0"])


async def test_what_its_owner_leaves_is_free_at_once_but_for_what_it_holds(inbox: SQLiteInbox) -> None:
    hands = await hired(inbox)
    await put(inbox, "d-0", "d-1")
    assert hands.owner.in_hand == {"d-0", "d-1"}, "d-0 is still on its way"
    await inbox.disown(hands.owner, {"d-1"})
    assert await put(inbox, "d-2") == [Stored("d-2")]
    assert [*await claim(inbox)] == ["d-0", "d-2"]
    assert [*await claim(inbox, now=LATER)][:1] == ["d-0"], "d-1 is younger, and its lease over, too"


async def test_what_is_released_is_due_at_once(inbox: SQLiteInbox) -> None:
    hands = await hired(inbox)
    await put(inbox, "d-0", ordering_key="o-1")
    await inbox.release([*hands.claims.values()], NOW)
    assert {id: each.crashes for id, each in (await claim(inbox)).items()} == {"d-0": 0}


async def test_progress_is_noted_under_a_born_lease(inbox: SQLiteInbox) -> None:
    hands = await hired(inbox)
    await put(inbox, "d-0", ordering_key="o-1")
    handlers = {"h": HandlerState(attempts=1, running=True)}
    assert await inbox.save_progress(hands.claims["d-0"], handlers, NOW)
    found = (await kept(inbox, "d-0")).summary
    assert (found.handlers, found.leased, found.due) == (handlers, True, NOW + LEASE)
    assert await claim(inbox) == {}
    assert await settle(inbox, hands.claims["d-0"])


# Ordering keys


async def test_none_is_born_leased_while_an_older_one_of_its_key_waits_whoever_has_put_it(
    inboxes: list[SQLiteInbox],
) -> None:
    here, there = inboxes
    hands, others = await hired(here), await hired(there)
    assert await put(here, "d-0", ordering_key="o-1") == [Stored("d-0", leased=True)]
    assert await claim(there) == {}
    assert await put(there, "d-1", ordering_key="o-1") == [Stored("d-1")]
    assert await claim(there) == {}, "d-0 is in hand"
    assert await put(there, "d-2", ordering_key="o-2") == [Stored("d-2", leased=True)]
    assert await put(here, "d-3", ordering_key="o-1") == [Stored("d-3")]
    assert await claim(here) == {}
    assert await settle(here, hands.claims["d-0"])
    assert [*await claim(there)] == ["d-1"], "it was called"
    assert [*others.claims] == ["d-2"]


async def test_two_of_one_key_in_one_commit_are_not_both_born_leased(inbox: SQLiteInbox) -> None:
    await hired(inbox)
    stored = await asyncio.gather(*[inbox.put(entry(id, ordering_key="o-1"), NOW) for id in ("d-0", "d-1")])
    assert stored == [Stored("d-0", leased=True), Stored("d-1")]


async def test_one_that_waits_for_its_retry_goes_on_holding_its_key(inbox: SQLiteInbox) -> None:
    hands = await hired(inbox)
    await put(inbox, "d-0", ordering_key="o-1")
    assert await settle(inbox, hands.claims["d-0"], WAITING, due=NOW + 5)
    assert await put(inbox, "d-1", ordering_key="o-1") == [Stored("d-1")]
    assert await claim(inbox) == {}
    assert [*await claim(inbox, now=NOW + 5)] == ["d-0"]


@pytest.mark.parametrize("comes_by", ["replay", "load", "duplicate"])
async def test_an_older_one_that_comes_back_waits_for_a_younger_one_that_is_born_leased(
    inboxes: list[SQLiteInbox], comes_by: str
) -> None:
    here, there = inboxes
    await put(there, "old", ordering_key="o-1", key=b"old")
    old = (await claim(there))["old"]
    await settle(there, old, DEAD, reason="gave up")
    dump = [each._replace(summary=each.summary._replace(state=WAITING, due=0.0)) for each in await dumped(there)]
    if comes_by == "load":
        await there.purge(ALL, NOW, limit=1)
    hands = await hired(here)
    assert await put(here, "young", ordering_key="o-1") == [Stored("young", leased=True)]
    if comes_by == "replay":
        assert await there.replay(["old"], NOW) == 1
    elif comes_by == "load":
        assert await there.load(dump, NOW) == 1
    else:
        await put(there, "again", ordering_key="o-1", key=b"old")
    assert await claim(there) == {}
    assert await claim(here) == {}
    assert await settle(here, hands.claims["young"])
    assert [*await claim(there)] == ["old"]


# Several processes


class Direct(Course):
    """A course whose deliveries may be born leased, by two processes on one file."""

    def __init__(self, inboxes: Sequence[SQLiteInbox], random: Random) -> None:
        super().__init__(inboxes[0], random)
        self.inboxes = inboxes
        self.hands = [Hands() for _ in inboxes]
        self.until = [0.0 for _ in inboxes]
        self.born = [set[str]() for _ in inboxes]

    async def run(self, steps: int) -> None:
        for _ in range(steps // 10):
            place = self.random.randrange(len(self.inboxes))
            self.inbox = self.inboxes[place]
            await self.renew(place)
            await super().run(10)

    async def put(self) -> None:
        place = self.random.randrange(len(self.inboxes))
        hands, now = self.hands[place], self.now
        hands.now = now
        hands.room = self.random.choice([0, 1, 5])
        id = f"{self.random.choice('abx')}-{self.random.getrandbits(64):x}"
        stored = await self.inboxes[place].put(entry(id, ordering_key=None if id[0] == "x" else id[0]), now)
        await self.inboxes[place].check()
        self.everything.append(id)
        self.waiting[id] = 0
        if stored == Stored(id, leased=True):
            assert self.until[place] > now
            assert self.may_be_claimed(id)
            self.leases[id] = hands.claims.pop(id), self.until[place]
            self.born[place].add(id)
        assert hands.claims == {}

    async def renew(self, place: int) -> None:
        inbox, hands, now = self.inboxes[place], self.hands[place], self.now
        mine = {id: self.leases[id][0] for id in self.born[place] if id in self.leases and self.is_born(id, place)}
        hands.owner.in_hand &= {*mine}
        goes_on = await inbox.own(hands.owner, LEASE, now)
        if hands.owner.seen is not None and self.until[place]:
            assert goes_on == (self.until[place] > now)
        if goes_on:
            await inbox.renew([*mine.values()], LEASE, now)
            for id, each in mine.items():
                self.leases[id] = each, now + LEASE
            self.until[place] = now + LEASE
        else:
            self.hands[place], self.born[place] = Hands(), set()
            assert await inbox.own(self.hands[place].owner, LEASE, now)
            self.until[place] = now + LEASE

    def is_born(self, id: str, place: int) -> bool:
        lease: Any = self.leases[id][0].lease
        return bool(lease.token == self.hands[place].owner.token)


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_happens_the_rules_of_eligibility_hold_for_born_leases_too(
    inboxes: list[SQLiteInbox], seed: int, monkeypatch: pytest.MonkeyPatch, file: sqlite3.Connection
) -> None:
    if seed % 2:
        monkeypatch.setattr(tracking, "MOST_BEHIND", 3)
        monkeypatch.setattr(tracking, "_MANY_BEHIND", 0)
    course = Direct(inboxes, Random(seed))
    await course.run(400)
    assert file.execute("SELECT seq FROM progress EXCEPT SELECT seq FROM delivery").fetchall() == []
    assert tracking.damage(file) is None


STOPPED = """
import asyncio, sys
from tests.inbox.sqlite.test_owners import *

async def main():
    inbox = await SQLiteInbox(sys.argv[1], min_free=0).open()
    hands = await hired(inbox)
    assert await put(inbox, "d-0", ordering_key="o-1") == [Stored("d-0", leased=True)]
    print("put", flush=True)
    sys.stdin.readline()
    print(await settle(inbox, hands.claims["d-0"], DEAD, reason="too late", now=LATER), flush=True)
    print(await inbox.save_progress(hands.claims["d-0"], {}, LATER), flush=True)
    print(await inbox.own(hands.owner, LEASE, LATER), flush=True)
    await inbox.close()

asyncio.run(main())
"""


@pytest.mark.skipif(os.name != "posix", reason="this system cannot stop a process")
async def test_a_process_that_was_stopped_past_its_lease_overwrites_nothing_when_it_goes_on(
    inbox: SQLiteInbox, path: Path, file: sqlite3.Connection
) -> None:
    with child(STOPPED, path) as process:
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline) == "put\n"
        process.send_signal(signal.SIGSTOP)
        assert await claim(inbox) == {}, "its lease runs"
        taken = await claim(inbox, now=LATER)
        assert await settle(inbox, taken["d-0"], now=LATER)
        assert await inbox.purge(ALL, LATER, limit=1) == 1
        process.send_signal(signal.SIGCONT)
        said, _ = await asyncio.to_thread(process.communicate, "go on\n")
    assert said.split() == ["False", "False", "False"]
    assert await listed(inbox) == []
    assert file.execute("SELECT count(*) FROM progress").fetchone() == (0,)


MANY = """
import asyncio, os, signal, sys
from tests.inbox.sqlite.test_owners import *

async def main(count):
    inbox = await SQLiteInbox(sys.argv[1], min_free=0).open()
    hands = await hired(inbox, room=count)
    for start in range(0, count, 500):
        made = [entry(f"d-{n}", key=b"%d" % n) for n in range(start, start + 500)]
        stored = await asyncio.gather(*[inbox.put(each, NOW) for each in made])
        assert all(each.leased for each in stored)
    print("put", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main(int(sys.argv[2])))
"""


@pytest.mark.parametrize("count", [2_000, pytest.param(50_000, marks=pytest.mark.faults)])
async def test_what_a_killed_process_had_in_hand_is_taken_at_once_and_is_no_crash(path: Path, count: int) -> None:
    with child(MANY, path, count) as process:
        said, _ = await asyncio.to_thread(process.communicate)
        assert said == "put\n"
    began = time.monotonic()
    inbox = await SQLiteInbox(path, min_free=0).open()
    claims = await claim(inbox)
    assert claims
    assert time.monotonic() - began < 10
    crashes = 0
    total = 0
    while claims:
        total += len(claims)
        crashes += sum(each.crashes for each in claims.values())
        claims = await claim(inbox, 1000)
    assert (total, crashes) == (count, 0)
    assert len(await inbox.find(Filter(states=[WAITING]), limit=10)) == 10
    await inbox.close()


async def test_what_an_owner_has_left_in_a_closed_file_is_taken_at_once(path: Path) -> None:
    inbox = await SQLiteInbox(path, min_free=0).open()
    await hired(inbox)
    assert await put(inbox, "d-0") == [Stored("d-0", leased=True)]
    await inbox.close()
    assert not path.with_name("hooks.db-shm").exists()
    await inbox.open()
    assert [*await claim(inbox)] == ["d-0"]
    await inbox.close()


BUSY = """
import asyncio, sys
from tests.inbox.sqlite.test_owners import *

async def main():
    inbox = await SQLiteInbox(sys.argv[1], min_free=0).open()
    hands = await hired(inbox)
    assert await put(inbox, "a-1") == [Stored("a-1", leased=True)]
    print("put", flush=True)
    sys.stdin.readline()
    print(await settle(inbox, hands.claims["a-1"]), flush=True)
    await inbox.close()

asyncio.run(main())
"""


@pytest.mark.skipif(os.name != "posix", reason="this system tells nobody whether a process has ended")
@pytest.mark.parametrize(
    ("left", "where"), [("closed", "version_of"), ("closed", "owners.tokens"), ("killed", "owners.tokens")]
)
async def test_a_process_that_opens_the_file_takes_nothing_of_one_that_has_opened_it_meanwhile(
    path: Path, monkeypatch: pytest.MonkeyPatch, left: str, where: str
) -> None:
    """It took itself for the first one, and the other began to work before it looked who was at work."""
    if left == "closed":
        await (await SQLiteInbox(path, min_free=0).open()).close()
    else:
        with child(MANY, path, 500) as process:
            await asyncio.to_thread(process.communicate)
    assert path.with_name("hooks.db-shm").exists() == (left == "killed")
    processes: list[subprocess.Popen[str]] = []
    goes_on = attrgetter(where)(opening)

    def held(*given: Any) -> Any:
        if not processes:
            processes.append(child(BUSY, path))
            assert processes[0].stdout is not None
            assert processes[0].stdout.readline() == "put\n"
        return goes_on(*given)

    monkeypatch.setattr(f"{opening.__name__}.{where}", held)
    inbox = await SQLiteInbox(path, min_free=0).open()
    with processes[0] as process:
        assert await claim(inbox) == {}
        said, _ = await asyncio.to_thread(process.communicate, "go on\n")
    assert said == "True\n", "its lease counts"
    assert len(await claim(inbox, 1000, now=LATER)) == (500 if left == "killed" else 0)
    await inbox.close()


async def test_who_watches_hears_of_what_becomes_due_in_this_process(inbox: SQLiteInbox) -> None:
    await put(inbox, "d-1", "d-2", ordering_key="o-1")
    await put(inbox, "d-3", "d-4", "d-5")
    claims = await claim(inbox)
    await inbox.pause("h", NOW)
    await settle(inbox, claims["d-4"], WAITING, paused_by="h")

    async with asyncio.timeout(30), aclosing(inbox.watch("hooks", 3600)) as watching:
        hears = asyncio.ensure_future(anext(watching))
        await asyncio.sleep(0)
        assert await settle(inbox, claims["d-5"])
        await inbox.save_progress(claims["d-1"], {}, NOW)
        await inbox.check()
        assert not hears.done()
        assert await settle(inbox, claims["d-1"])  # d-2 is next
        await hears
        for makes_due in (
            lambda: inbox.release([claims["d-3"]], NOW),
            lambda: inbox.replay(["d-1"], NOW),
            lambda: inbox.resume("h"),
        ):
            hears = asyncio.ensure_future(anext(watching))
            await asyncio.sleep(0)
            assert not hears.done()
            await makes_due()
            await hears


async def test_a_duplicate_of_what_is_born_leased_in_the_same_commit_is_told_as_one(inbox: SQLiteInbox) -> None:
    hands = await hired(inbox)
    found = await asyncio.gather(*[inbox.put(entry(f"d-{number}", key=b"k"), NOW) for number in range(5)])
    assert found == [Stored("d-0", leased=True), *[Duplicate("d-0")] * 4]
    await inbox.check()
    assert [*hands.claims] == ["d-0"]


async def test_nothing_of_a_page_of_a_poll_is_born_leased(inbox: SQLiteInbox) -> None:
    hands = await hired(inbox)
    lease = await inbox.lease_poll("hooks", "api", LEASE, NOW)
    assert lease is not None
    assert await inbox.put_all([entry("d-1"), entry("d-2")], "page 1", lease, NOW) == [Stored("d-1"), Stored("d-2")]
    assert await put(inbox, "d-3") == [Stored("d-3")], "nor is a younger one, before they are claimed"
    assert hands.claims == {}
    assert [*await claim(inbox)] == ["d-1", "d-2", "d-3"]
