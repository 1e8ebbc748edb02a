"""The contract of an inbox, `webhook_receiver.inbox.base`, as tests that run with any store.

The author of a store subclasses the suite in a test module, with a fixture that makes inboxes:

    class TestMyInbox(InboxSuite):
        @pytest.fixture
        def make(self, tmp_path: Path) -> Make:
            return lambda name: MyInbox(tmp_path / name)

`make` returns an object that is not opened yet, on the store of that name, which is empty when a test begins. For a
store that outlives its objects, so that several of them and several processes may share it, subclass
`SharedInboxSuite` instead. The tests are async, and run on asyncio: with anyio's pytest plugin and
`anyio_mode = "auto"`, or with pytest-asyncio and `asyncio_mode = "auto"`.
"""

from __future__ import annotations

import asyncio
import threading
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from itertools import permutations
from random import Random
from typing import Any

import pytest

from ..delivery import Delivery
from ..errors import AmbiguousId, InboxError, InboxUnavailable, PollLeaseLost
from ..inbox.base import Inbox
from ..inbox.polls import NOBODY
from ..inbox.records import (
    DEAD_LETTER_HANDLER,
    MOST_CONTEXT,
    MOST_COUNTED,
    MOST_OF_AN_ERROR,
    MOST_OF_AUDIT,
    OUT_OF_ORDER,
    AuditRecord,
    Claim,
    DeadGroup,
    Duplicate,
    Entry,
    FailedAttempt,
    Filter,
    HandlerState,
    Metric,
    Page,
    Part,
    Poll,
    PollLease,
    PollOutcome,
    Settlement,
    State,
    Stored,
    StoredDelivery,
    Total,
)
from ..inbox.registration import Registration
from ..inbox.retention import AUDIT_RETENTION, COUNTS_RETENTION, POLLED_RETENTION

Make = Callable[[str], Inbox]

NOW = 1_765_433_012.0
DAY = 86_400.0
LEASE = 30.0
WAITING, DONE, UNHANDLED, DEAD = State.WAITING, State.DONE, State.UNHANDLED, State.DEAD
ALL = Filter()


def entry(
    id: str,
    *,
    receiver: str = "hooks",
    via: str = "http",
    received: float = NOW,
    body: bytes = b'{"event": "order.status"}',
    event: str | None = "order.status",
    **fields: Any,
) -> Entry:
    """Return an entry to put. `fields` are other fields of the entry, such as its identity and ordering key."""
    headers = ((b"content-type", b"application/json"), (b"x-b", b""), (b"x-b", b"\xe9:1"))
    return Entry(Delivery(id, receiver, headers, body, received, 0, True, via), event, **fields)


def batch(id: str, *keys: str, by_key: bool = True, **fields: Any) -> Entry:
    """Return an entry with a part for each of these texts, which is its event, identity, and key unless `by_key` is
    False."""
    events = [(f"{key}.event", key.encode() if by_key else None, key) for key in keys]
    first, *others = events
    parts = [Part(number, *each) for number, each in enumerate(others, 1)]
    return entry(id, event=first[0], key=first[1], identity=first[2], parts=parts, **fields)


async def put(inbox: Inbox, *ids: str, now: float = NOW, **fields: Any) -> list[Stored | Duplicate]:
    """Put deliveries with these ids, one after the other; return the results."""
    return [await inbox.put(entry(id, received=now, **fields), now) for id in ids]


async def claim(inbox: Inbox, limit: int = 100, *, now: float = NOW, receiver: str = "hooks") -> dict[str, Claim]:
    """Claim deliveries; return the claims by the delivery's id, in the order of the claims."""
    claims = await inbox.claim(receiver, limit, LEASE, now)
    return {claim.delivery.id: claim for claim in claims}


async def settle(inbox: Inbox, claim: Claim, state: State = DONE, *, now: float = NOW, **more: Any) -> bool:
    """Settle a claim; the states of the handlers stay unless they are given. Return whether the lease was held."""
    return await inbox.settle(Settlement(claim, state, claim.handlers)._replace(**more), now)


async def finish(inbox: Inbox, state: State = DONE, *, now: float = NOW, **more: Any) -> list[str]:
    """Claim the eligible deliveries and settle them; return their ids."""
    claims = await claim(inbox, now=now)
    for each in claims.values():
        assert await settle(inbox, each, state, now=now, **more)
    return [*claims]


async def poll(inbox: Inbox, source: str = "api", *, now: float = NOW, receiver: str = "hooks") -> PollLease:
    """Take the lease on a source, and assert that nobody else has it."""
    lease = await inbox.lease_poll(receiver, source, LEASE, now)
    assert lease is not None
    return lease


async def kept(inbox: Inbox, id: str) -> StoredDelivery:
    """Return a stored delivery by its id, and assert that it is there."""
    found = await inbox.get(id)
    assert found is not None
    return found


async def listed(inbox: Inbox, which: Filter = ALL, **how: Any) -> list[str]:
    """Return the ids of the deliveries that match a filter, the oldest first unless `how` says otherwise."""
    how.setdefault("newest_first", False)
    return [summary.id for summary in await inbox.find(which, **how)]


async def paged(inbox: Inbox, which: Filter = ALL, **how: Any) -> list[Page]:
    """Return the pages of the deliveries that match a filter, one after the other."""
    how = {"limit": 3, "newest_first": False} | how
    pages = [await inbox.page(which, **how)]
    while (cursor := pages[-1].next) is not None:
        pages.append(await inbox.page(which, after=cursor, **how))
    return pages


async def dumped(inbox: Inbox, which: Filter = ALL) -> list[StoredDelivery]:
    """Return the stored deliveries that match a filter, as `dump` yields them."""
    found = [each async for each in inbox.dump(which)]
    whole = [each for each in found if isinstance(each, StoredDelivery)]
    assert whole == found, "none is damaged"
    return whole


@dataclass
class Course:
    """A random sequence of operations on an inbox, and a simple model of the deliveries that are eligible."""

    inbox: Inbox
    random: Random
    now: float = NOW
    waiting: dict[str, float | None] = field(default_factory=dict[str, float | None])
    """The deliveries that wait, in order of receipt, and when each is due; None while it waits for a paused handler."""
    leases: dict[str, tuple[Claim, float]] = field(default_factory=dict[str, tuple[Claim, float]])
    """The newest lease of each delivery, and when it ends."""
    everything: list[str] = field(default_factory=list[str])
    may_forget: set[str] = field(default_factory=set[str])
    """The ordering keys to which an older delivery came back: then the others of the key may be due early."""

    async def run(self, steps: int) -> None:
        acts = [self.put, self.put, self.claim, self.claim, self.claim, self.settle, self.settle, self.settle]
        acts += [self.release, self.replay, self.purge, self.pause_or_resume, self.pass_time]
        for _ in range(steps):
            await self.random.choice(acts)()

    def ordering_key(self, id: str) -> str:
        """Return the ordering key, which is the first letter of the id; x is for none."""
        return id[0]

    def is_leased(self, id: str) -> bool:
        return id in self.leases and self.leases[id][1] > self.now

    def may_be_claimed(self, id: str) -> bool:
        """Return whether the ordering key allows a claim, whatever the time."""
        if self.is_leased(id):
            return False
        key = self.ordering_key(id)
        older = [each for each in self.in_order() if each in self.waiting and self.ordering_key(each) == key]
        is_free = not any(self.is_leased(each) for each in older)
        return key == "x" or (older[0] == id and is_free)

    def in_order(self) -> list[str]:
        return [id for id in self.everything if id in self.waiting]

    def is_due(self, id: str) -> bool:
        due = self.waiting[id]
        return due is not None and due <= self.now

    async def put(self) -> None:
        id = f"{self.random.choice('abx')}-{self.random.getrandbits(64):x}"
        await self.inbox.put(entry(id, ordering_key=None if id[0] == "x" else id[0]), self.now)
        self.everything.append(id)
        self.waiting[id] = 0

    async def claim(self) -> None:
        limit = self.random.choice([1, 2, 1000])
        allowed = {id for id in self.waiting if self.may_be_claimed(id)}
        eligible = {id for id in allowed if self.is_due(id)}
        claims = await claim(self.inbox, limit, now=self.now)
        assert {*claims} <= {id for id in allowed if self.is_due(id) or self.ordering_key(id) in self.may_forget}
        assert eligible <= {*claims} or len(claims) == limit
        for id, each in claims.items():
            key = self.ordering_key(id)
            if key != "x":  # the former holder of the ordering key has lost it
                self.leases = {other: lease for other, lease in self.leases.items() if self.ordering_key(other) != key}
            self.leases[id] = each, self.now + LEASE
            self.waiting[id] = 0

    async def settle(self) -> None:
        if not self.leases:
            return
        id = self.random.choice([*self.leases])
        claimed, _ = self.leases.pop(id)
        state = self.random.choice([DONE, DEAD, UNHANDLED, WAITING, WAITING])
        paused = await self.inbox.paused()
        paused_by = "h" if state is WAITING and self.random.random() < 0.3 else None
        due = self.now + self.random.choice([0, 5, 50]) if state is WAITING and not paused_by else None
        assert await settle(self.inbox, claimed, state, due=due, paused_by=paused_by, now=self.now)
        if state is not WAITING:
            del self.waiting[id]
        else:
            self.waiting[id] = due if paused_by is None else None if paused_by in paused else 0

    async def release(self) -> None:
        claims = [each for each, _ in self.leases.values() if self.random.random() < 0.5]
        await self.inbox.release(claims, self.now)
        for each in claims:
            del self.leases[each.delivery.id]

    async def replay(self) -> None:
        if not self.everything:
            return
        id = self.random.choice(self.everything)
        replayed = await self.inbox.replay([id], self.now)
        assert replayed == (not self.is_leased(id))
        if replayed:
            self.leases.pop(id, None)
            self.waiting[id] = 0
            self.may_forget.add(self.ordering_key(id))

    async def purge(self) -> None:
        if not self.everything:
            return
        id = self.random.choice(self.everything)
        if await self.inbox.purge(Filter(ids=[id]), self.now, limit=1):
            assert not self.is_leased(id)
            self.everything.remove(id)
            self.waiting.pop(id, None)
            self.leases.pop(id, None)
        else:
            assert self.is_leased(id)

    async def pause_or_resume(self) -> None:
        if self.random.random() < 0.5:
            await self.inbox.pause("h", self.now)
            return
        await self.inbox.resume("h")
        self.waiting = {id: 0 if due is None else due for id, due in self.waiting.items()}

    async def pass_time(self) -> None:
        self.now += self.random.choice([1, 5, LEASE])


class _OnTwoStores:
    """The inboxes that tests are about."""

    @pytest.fixture
    def make(self) -> Make:
        raise NotImplementedError("a store's own tests say how one is made")

    @pytest.fixture
    async def inbox(self, make: Make) -> AsyncIterator[Inbox]:
        inbox = await make("one").open()
        yield inbox
        await inbox.close()

    @pytest.fixture
    async def another(self, make: Make) -> AsyncIterator[Inbox]:
        """An inbox on another store."""
        another = await make("another").open()
        yield another
        await another.close()


class InboxSuite(_OnTwoStores):
    """The contract of an inbox, as tests. The two attributes are settings of the store under test."""

    window = 7 * DAY
    """Seconds for which the store under test recognizes a duplicate."""
    retention = 30 * DAY
    """Seconds for which the store under test keeps a done delivery."""

    # Putting and claiming

    async def test_it_is_an_inbox(self, inbox: Inbox) -> None:
        assert isinstance(inbox, Inbox)

    async def test_its_clock_goes_on_steadily(self, inbox: Inbox) -> None:
        first, began = inbox.clock(), time.monotonic()
        second = inbox.clock()
        assert first <= second <= first + (time.monotonic() - began) + 1

    async def test_what_was_put_comes_back_as_it_was(self, inbox: Inbox) -> None:
        given = entry("d-1", body=b"\x00\xff\r\n", key=b"k\x00", identity="o-1 FULFILLED", ordering_key="o-1")
        assert await inbox.put(given, NOW) == Stored("d-1")
        (claimed,) = await inbox.claim("hooks", 10, LEASE, NOW)
        assert claimed.delivery == given.delivery
        assert (claimed.state, claimed.handlers, claimed.crashes, claimed.reason) == (WAITING, {}, 0, None)
        found = await kept(inbox, "d-1")
        assert found.delivery == given.delivery
        assert (found.key, found.ordering_key, found.attempts) == (b"k\x00", "o-1", [])
        summary = found.summary
        assert (summary.event, summary.identity, summary.via) == ("order.status", "o-1 FULFILLED", "http")
        assert (summary.received, summary.verified_by, summary.body_verified) == (NOW, 0, True)

    @pytest.mark.parametrize("text", ["o-1\x00", "ключ 鍵", "'; DROP TABLE delivery; --", "", "%_\\"])
    async def test_any_text_is_kept_as_it_is(self, inbox: Inbox, text: str) -> None:
        given = entry(f"d-{text}", receiver=text, event=text, identity=text, ordering_key=text)
        await inbox.put(given, NOW)
        (claimed,) = await inbox.claim(text, 10, LEASE, NOW)
        assert claimed.delivery == given.delivery
        handler = text.strip("\0")  # a name in Python has none
        handlers = {handler: HandlerState(DEAD, 1, 1)}
        await settle(inbox, claimed, DEAD, handlers=handlers, reason=text)
        (summary,) = await inbox.find(Filter(ids=[f"d-{text}"], receiver=text, event=text, handler=handler))
        assert (summary.event, summary.identity, summary.reason, summary.handlers) == (text, text, text, handlers)
        assert (await kept(inbox, f"d-{text}")).ordering_key == text

    async def test_an_unsigned_delivery_with_nothing_in_it_is_kept(self, inbox: Inbox) -> None:
        empty = Delivery("d-1", "hooks", (), b"", NOW, None, False, "backfill")
        await inbox.put(Entry(empty), NOW)
        assert (await kept(inbox, "d-1")).delivery == empty
        assert (await claim(inbox))["d-1"].delivery == empty

    async def test_a_claim_takes_no_more_than_its_limit_and_the_older_first(self, inbox: Inbox) -> None:
        await put(inbox, "d-1", "d-2", "d-3")
        assert [*await claim(inbox, 2)] == ["d-1", "d-2"]
        assert [*await claim(inbox, 2)] == ["d-3"]
        assert await claim(inbox) == {}

    async def test_a_claim_takes_from_its_own_receiver(self, inbox: Inbox) -> None:
        await put(inbox, "d-1")
        await put(inbox, "e-1", receiver="others")
        assert [*await claim(inbox, receiver="others")] == ["e-1"]
        assert [*await claim(inbox)] == ["d-1"]

    async def test_what_is_no_event_is_dead_at_once_and_due_so_that_somebody_hears_of_it(self, inbox: Inbox) -> None:
        await put(inbox, "d-1", event=None, dead="not JSON")
        claimed = (await claim(inbox))["d-1"]
        assert (claimed.state, claimed.reason) == (DEAD, "not JSON")
        assert await settle(inbox, claimed, DEAD, reason="not JSON")
        assert await claim(inbox, now=NOW + 9e9) == {}
        summary = (await kept(inbox, "d-1")).summary
        assert (summary.state, summary.reason, summary.due, summary.leased) == (DEAD, "not JSON", None, False)

    async def test_concurrent_claims_never_share_a_delivery(self, inbox: Inbox) -> None:
        ids = [f"d-{number:02}" for number in range(40)]
        await put(inbox, *ids)
        claims = await asyncio.gather(*[claim(inbox, 3) for _ in range(20)])
        assert sorted(id for each in claims for id in each) == ids

    # Parts

    async def test_each_part_is_a_delivery_by_itself_with_the_body_of_all(self, inbox: Inbox) -> None:
        given = batch("d-1", "a", "b", "c", body=b"[1, 2, 3]", ordering_key="first")
        assert await inbox.put(given, NOW) == Stored("d-1")
        assert await listed(inbox) == ["d-1", "d-1.1", "d-1.2"]
        claims = await claim(inbox)
        assert [*claims] == ["d-1", "d-1.1", "d-1.2"]
        for part, (id, name) in enumerate(zip(claims, "abc", strict=True)):
            expected = replace(given.delivery, id=id, part=part)
            stored = await kept(inbox, id)
            assert claims[id].delivery == stored.delivery == expected
            assert (stored.summary.part, stored.summary.event, stored.summary.identity) == (part, f"{name}.event", name)
            assert (stored.key, stored.ordering_key) == (name.encode(), None if part else "first")
            assert stored.delivery.request_id == "d-1"

    async def test_parts_that_are_claimed_together_have_one_body_in_memory(self, inbox: Inbox) -> None:
        size = 1 << 20
        for number in range(2):
            parts = [f"{number}-{part}" for part in range(24)]
            await inbox.put(batch(f"d-{number}", *parts, body=bytes([number]) * size), NOW)
        tracemalloc.start()
        try:
            claims = await claim(inbox)
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert most < 10 * size
        assert [each.delivery.body[:1] for each in claims.values()] == [b"\0"] * 24 + [b"\1"] * 24
        for each in claims.values():
            assert await settle(inbox, each)

    async def test_each_part_is_settled_replayed_and_dead_by_itself(self, inbox: Inbox) -> None:
        parts = [Part(1, "b", ordering_key="o"), Part(2, "c", ordering_key="o"), Part(7, dead="no event")]
        await inbox.put(entry("d-1", parts=parts), NOW)
        claims = await claim(inbox)
        assert {*claims} == {"d-1", "d-1.1", "d-1.7"}, "d-1.2 waits for its turn"
        assert (claims["d-1.7"].state, claims["d-1.7"].reason) == (DEAD, "no event")
        await settle(inbox, claims["d-1"])
        await settle(inbox, claims["d-1.7"], DEAD, reason="no event")
        assert await claim(inbox) == {}
        await settle(inbox, claims["d-1.1"], WAITING, due=NOW + 60)
        assert await claim(inbox) == {}
        assert await inbox.replay(["d-1"], NOW) == 1
        assert await finish(inbox) == ["d-1"]
        assert await finish(inbox, now=NOW + 60) == ["d-1.1"]
        assert await finish(inbox, now=NOW + 60) == ["d-1.2"]
        assert (await kept(inbox, "d-1.7")).summary.state is DEAD

    @pytest.mark.parametrize("known", [{"a"}, {"b"}, {"c"}, {"a", "b"}, {"a", "c"}, {"b", "c"}])
    async def test_parts_that_are_known_are_passed_over(self, inbox: Inbox, known: set[str]) -> None:
        for name in sorted(known):
            await inbox.put(batch(f"old-{name}", name, body=b"of before"), NOW)
        given = batch("d-1", "a", "b", "c", body=b"of all")
        ids = {name: id for name, id in zip("abc", ("d-1", "d-1.1", "d-1.2"), strict=True) if name not in known}
        passed = {number: Duplicate(f"old-{name}") for number, name in enumerate("abc") if name in known}
        assert await inbox.put(given, NOW) == Stored(min(ids.values()), known=passed)
        assert await listed(inbox) == [*(f"old-{name}" for name in sorted(known)), *ids.values()]
        claims = await claim(inbox)
        for id in ids.values():
            assert (await kept(inbox, id)).delivery.body == claims[id].delivery.body == b"of all"
        assert {claims[f"old-{name}"].delivery.body for name in known} == {b"of before"}

    async def test_a_request_of_which_all_parts_are_known_is_a_duplicate(self, inbox: Inbox) -> None:
        await inbox.put(batch("d-1", "a", "b"), NOW)
        assert await inbox.put(batch("d-2", "b", "a"), NOW) == Duplicate("d-1.1")
        assert await listed(inbox) == ["d-1", "d-1.1"]

    async def test_a_duplicate_replays_the_parts_that_are_dead(self, inbox: Inbox) -> None:
        await inbox.put(batch("d-1", "a", "b", "c"), NOW)
        claims = await claim(inbox)
        await settle(inbox, claims["d-1"])
        await settle(inbox, claims["d-1.1"], DEAD)
        await settle(inbox, claims["d-1.2"], UNHANDLED)
        assert await inbox.put(batch("d-2", "a", "b"), NOW) == Duplicate("d-1", replayed=True)
        known = {1: Duplicate("d-1.2", replayed=True)}
        assert await inbox.put(batch("d-3", "new", "c"), NOW) == Stored("d-3", known=known)
        assert [*await claim(inbox)] == ["d-1.1", "d-1.2", "d-3"]

    async def test_of_two_parts_that_are_duplicates_of_each_other_the_first_is_stored(self, inbox: Inbox) -> None:
        stored = await inbox.put(batch("d-1", "a", "b", "a", "b"), NOW)
        assert stored == Stored("d-1", known={2: Duplicate("d-1"), 3: Duplicate("d-1.1")})
        assert await listed(inbox) == ["d-1", "d-1.1"]

    async def test_the_backfill_of_one_part_is_known_and_the_reverse(self, inbox: Inbox) -> None:
        await inbox.put(batch("d-1", "a", "b", by_key=False), NOW)
        again = entry("d-2", via="backfill", event="b.event", identity="b")
        assert await inbox.put(again, NOW + 99 * DAY) == Duplicate("d-1.1")
        await inbox.put(entry("d-3", via="backfill", event="c.event", identity="c"), NOW)
        stored = await inbox.put(batch("d-4", "x", "c", by_key=False), NOW)
        assert stored == Stored("d-4", known={1: Duplicate("d-3")})

    @pytest.mark.parametrize("parts", [[Part(0)], [Part(-1)], [Part(1), Part(1)], [Part(2**40)], [Part(1, "\ud800")]])
    async def test_of_parts_of_which_one_cannot_be_stored_none_is(self, inbox: Inbox, parts: list[Part]) -> None:
        with pytest.raises(InboxError):
            await inbox.put(entry("d-1", parts=parts), NOW)
        assert await listed(inbox) == []
        await put(inbox, "d-1")

    async def test_requests_with_parts_and_without_come_at_the_same_moment(self, inbox: Inbox) -> None:
        entries = [batch(f"d-{n}", f"a-{n}", f"b-{n}", "of all") if n % 2 else entry(f"d-{n}") for n in range(20)]
        results = await asyncio.gather(*[inbox.put(each, NOW) for each in entries])
        assert [each.id for each in results] == [f"d-{n}" for n in range(20)]
        known = [each.known for each in results if isinstance(each, Stored) and each.known]
        assert len(known) == 9, "the last part of one request is that of all others"
        assert len(await listed(inbox)) == 10 + 20 + 1

    @pytest.mark.parametrize("order", [*permutations(range(3))])
    async def test_whichever_part_is_purged_the_others_keep_the_body(
        self, inbox: Inbox, order: tuple[int, ...]
    ) -> None:
        ids = ["d-1", "d-1.1", "d-1.2"]
        await inbox.put(batch("d-1", "a", "b", "c", body=b"of all"), NOW)
        left = [*ids]
        for number in order:
            assert await inbox.purge(Filter(ids=[ids[number]]), NOW, limit=9) == 1
            left.remove(ids[number])
            assert [each.delivery.body for each in await dumped(inbox)] == [b"of all"] * len(left)
            claims = await claim(inbox)
            assert [each.delivery.body for each in claims.values()] == [b"of all"] * len(left)
            await inbox.release([*claims.values()], NOW)
            assert [(await kept(inbox, id)).delivery.body for id in left] == [b"of all"] * len(left)
        assert await listed(inbox) == []

    async def test_parts_that_are_purged_together_leave_the_body_to_one_that_stays(self, inbox: Inbox) -> None:
        for id in ("d-1", "d-2"):
            await inbox.put(batch(id, f"{id} a", f"{id} b", f"{id} c", f"{id} d", body=id.encode()), NOW)
        some = ["d-1", "d-1.1", "d-1.3", "d-2", "d-2.2", "d-2.3"]
        assert await inbox.purge(Filter(ids=some), NOW, limit=9) == 6
        assert {id: each.delivery.body for id, each in (await claim(inbox)).items()} == {
            "d-1.2": b"d-1",
            "d-2.1": b"d-2",
        }

    async def test_a_part_that_expires_leaves_the_body_to_the_others(self, inbox: Inbox) -> None:
        await inbox.put(batch("d-1", "a", "b", body=b"of all"), NOW)
        await settle(inbox, (await claim(inbox, 1))["d-1"])
        later = NOW + self.retention + 1
        while await inbox.expire(later):
            pass
        assert {id: each.delivery.body for id, each in (await claim(inbox, now=later)).items()} == {"d-1.1": b"of all"}

    async def test_what_a_purged_part_is_known_by_stays(self, inbox: Inbox) -> None:
        await inbox.put(batch("d-1", "a", "b"), NOW)
        await finish(inbox)
        await inbox.purge(ALL, NOW, limit=9)
        assert await inbox.put(batch("d-2", "a", "b", "c"), NOW) == Stored(
            "d-2.2", known={0: Duplicate("d-1"), 1: Duplicate("d-1.1")}
        )

    @pytest.mark.parametrize("at_once", [1, 2, 9])
    async def test_parts_are_dumped_and_loaded_in_their_order(self, inbox: Inbox, another: Inbox, at_once: int) -> None:
        await inbox.put(batch("d-1", "a", "b", "c", "d", body=b"of all"), NOW)
        await inbox.put(batch("d-2", "e", "f"), NOW)
        await settle(inbox, (await claim(inbox, 1))["d-1"])
        before = await dumped(inbox)
        chunks = [before[start : start + at_once] for start in range(0, len(before), at_once)]
        for chunk in reversed(chunks):
            assert await another.load(chunk, NOW) == len(chunk)
        assert [each.delivery for each in await dumped(another)] == [each.delivery for each in before]
        assert await another.load(before, NOW) == 0
        assert await another.put(batch("d-3", "d", "c", "b", "a", "e", "f"), NOW) == Duplicate("d-1.3")
        for purged in (["d-1.3"], ["d-1"], ["d-1.1"], ["d-2"]):
            assert await another.purge(Filter(ids=purged), NOW, limit=9) == 1
        assert {id: each.delivery.body for id, each in (await claim(another)).items()} == {
            "d-1.2": b"of all",
            "d-2.1": before[-1].delivery.body,
        }

    async def test_loaded_parts_whose_bodies_differ_keep_their_own(self, inbox: Inbox, another: Inbox) -> None:
        await inbox.put(batch("d-1", "a", "b"), NOW)
        one, two = await dumped(inbox)
        await another.load([one, two._replace(delivery=replace(two.delivery, body=b"another"))], NOW)
        assert [each.delivery.body for each in await dumped(another)] == [one.delivery.body, b"another"]

    # Contexts

    async def test_a_context_comes_back_and_makes_no_duplicate_another_delivery(
        self, inbox: Inbox, another: Inbox
    ) -> None:
        context = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        given = batch("d-1", "a", "b")
        await inbox.put(given._replace(delivery=replace(given.delivery, context=context)), NOW)
        assert await inbox.put(batch("d-2", "a", "b"), NOW) == Duplicate("d-1")
        await another.load(await dumped(inbox), NOW)
        for store in (inbox, another):
            assert {each.delivery.context for each in (await claim(store)).values()} == {context}
            assert {each.delivery.context for each in await dumped(store)} == {context}
        await put(inbox, "d-3")
        assert (await kept(inbox, "d-3")).delivery.context is None

    async def test_a_context_is_of_bounded_length(self, inbox: Inbox) -> None:
        given = entry("d-1")
        longest = replace(given.delivery, context="\u9375" * MOST_CONTEXT)
        with pytest.raises(InboxError, match=f"at most {MOST_CONTEXT} characters, not {MOST_CONTEXT + 1}"):
            await inbox.put(given._replace(delivery=replace(longest, context=f"x{longest.context}")), NOW)
        await inbox.put(given._replace(delivery=longest), NOW)
        assert (await claim(inbox))["d-1"].delivery == longest

    # Leases

    async def test_a_lease_that_is_not_settled_ends_by_itself_and_that_is_counted(self, inbox: Inbox) -> None:
        await put(inbox, "d-1")
        await claim(inbox)
        assert await claim(inbox, now=NOW + LEASE - 1) == {}
        assert (await claim(inbox, now=NOW + LEASE))["d-1"].crashes == 1
        assert (await claim(inbox, now=NOW + 2 * LEASE))["d-1"].crashes == 2

    async def test_a_retry_keeps_the_count_of_crashes_and_an_end_forgets_it(self, inbox: Inbox) -> None:
        await put(inbox, "d-1")
        await claim(inbox)
        second = (await claim(inbox, now=NOW + LEASE))["d-1"]
        await settle(inbox, second, WAITING, due=NOW + 40, now=NOW + LEASE)
        third = (await claim(inbox, now=NOW + 40))["d-1"]
        assert third.crashes == 1
        await settle(inbox, third, DEAD, now=NOW + 40)
        await inbox.replay(["d-1"], NOW + 50)
        assert (await claim(inbox, now=NOW + 50))["d-1"].crashes == 0

    async def test_a_renewed_lease_ends_later(self, inbox: Inbox) -> None:
        await put(inbox, "d-1", "d-2")
        claims = await claim(inbox)
        await inbox.renew([claims["d-1"]], LEASE, NOW + 20)
        assert [*await claim(inbox, now=NOW + 20 + LEASE - 1)] == ["d-2"]
        assert [*await claim(inbox, now=NOW + 20 + LEASE)] == ["d-1"]

    async def test_a_released_lease_was_never_there(self, inbox: Inbox) -> None:
        await put(inbox, "d-1", ordering_key="o-1")
        await inbox.release([*(await claim(inbox)).values()], NOW)
        summary = (await kept(inbox, "d-1")).summary
        assert (summary.state, summary.leased) == (WAITING, False)
        again = (await claim(inbox))["d-1"]
        assert again.crashes == 0
        assert await settle(inbox, again)

    async def test_to_renew_or_release_nothing_does_nothing(self, inbox: Inbox) -> None:
        await inbox.renew([], LEASE, NOW)
        await inbox.release([], NOW)

    async def test_a_lost_lease_changes_nothing_and_says_so(self, inbox: Inbox) -> None:
        await put(inbox, "d-1")
        lost = (await claim(inbox))["d-1"]
        mine = (await claim(inbox, now=NOW + LEASE))["d-1"]
        later = NOW + LEASE + 1
        before = await kept(inbox, "d-1")
        await inbox.renew([lost], 1000, later)
        await inbox.release([lost], later)
        assert not await inbox.save_progress(lost, {"h": HandlerState(DONE)}, later)
        failed = FailedAttempt("h", 1, NOW, 1, "dead", "ValueError")
        assert not await settle(inbox, lost, DEAD, attempts=[failed], now=later)
        assert await kept(inbox, "d-1") == before
        assert await claim(inbox, now=NOW + 2 * LEASE - 1) == {}
        assert await settle(inbox, mine, now=later)
        assert not await settle(inbox, mine, DEAD, now=later)
        assert not await inbox.save_progress(mine, {}, later)
        assert (await kept(inbox, "d-1")).summary.state is DONE

    async def test_a_lease_whose_time_is_up_counts_until_another_is_given(self, inbox: Inbox) -> None:
        await put(inbox, "d-1", "d-2")
        claims = await claim(inbox)
        assert await settle(inbox, claims["d-1"], now=NOW + 2 * LEASE)
        assert await inbox.save_progress(claims["d-2"], {"h": HandlerState()}, NOW + 2 * LEASE)
        assert [*await claim(inbox, now=NOW + 2 * LEASE)] == ["d-2"]

    async def test_a_settlement_says_at_which_unix_time_it_is_finished(self, inbox: Inbox) -> None:
        await put(inbox, "d-1", "d-2")
        claims = await claim(inbox)
        assert await settle(inbox, claims["d-1"], finished=NOW + 3600, now=NOW + 7)
        assert await settle(inbox, claims["d-2"], WAITING, due=NOW + 100, finished=NOW + 3600, now=NOW + 7)
        assert [(await kept(inbox, id)).summary.settled for id in ("d-1", "d-2")] == [NOW + 3600, None]

    async def test_of_two_that_settle_at_once_under_one_lease_one_gets_false(self, inbox: Inbox) -> None:
        await put(inbox, "d-1", "d-2")
        claims = await claim(inbox)
        settled = await asyncio.gather(
            settle(inbox, claims["d-1"], DONE), settle(inbox, claims["d-1"], DEAD), settle(inbox, claims["d-2"])
        )
        assert sorted(settled[:2]) == [False, True]
        assert settled[2]

    async def test_saved_progress_is_there_for_the_next_claim(self, inbox: Inbox) -> None:
        await put(inbox, "d-1")
        handlers = {"a": HandlerState(DONE, 1, 1), "b": HandlerState(WAITING, 2, 2, NOW + 5, running=True)}
        assert await inbox.save_progress((await claim(inbox))["d-1"], handlers, NOW)
        assert await claim(inbox, now=NOW + LEASE - 1) == {}
        assert (await claim(inbox, now=NOW + LEASE))["d-1"].handlers == handlers

    # Settling

    @pytest.mark.parametrize("state", [DONE, UNHANDLED, DEAD])
    async def test_what_is_finished_is_kept_with_why_and_when_and_not_claimed(self, inbox: Inbox, state: State) -> None:
        await put(inbox, "d-1")
        claimed = (await claim(inbox))["d-1"]
        handlers = {"h": HandlerState(DONE, 3, 2)}
        assert await settle(inbox, claimed, state, handlers=handlers, reason="why", now=NOW + 7)
        assert await claim(inbox, now=NOW + 9e9) == {}
        summary = (await kept(inbox, "d-1")).summary
        assert (summary.state, summary.handlers, summary.reason) == (state, handlers, "why")
        assert (summary.settled, summary.leased, summary.due, summary.paused_by) == (NOW + 7, False, None, None)

    async def test_a_retry_waits_for_its_time(self, inbox: Inbox) -> None:
        await put(inbox, "d-1")
        handlers = {"h": HandlerState(WAITING, 1, 1, NOW + 100)}
        await settle(inbox, (await claim(inbox))["d-1"], WAITING, due=NOW + 100, handlers=handlers)
        assert await claim(inbox, now=NOW + 99) == {}
        summary = (await kept(inbox, "d-1")).summary
        assert (summary.state, summary.due, summary.settled) == (WAITING, NOW + 100, None)
        again = (await claim(inbox, now=NOW + 100))["d-1"]
        assert (again.handlers, again.crashes) == (handlers, 0)

    async def test_failed_attempts_are_kept_in_their_order(self, inbox: Inbox) -> None:
        await put(inbox, "d-1")
        first, second, third = [
            FailedAttempt("h", number, NOW, 0.5, "retry", "ValueError: \x00鍵", "File ...\n") for number in (1, 2, 3)
        ]
        await settle(inbox, (await claim(inbox))["d-1"], WAITING, due=NOW, attempts=[first, second])
        await settle(inbox, (await claim(inbox))["d-1"], DEAD, attempts=[third])
        assert (await kept(inbox, "d-1")).attempts == [first, second, third]

    async def test_a_dead_delivery_with_a_time_is_claimed_so_that_somebody_hears_of_it(self, inbox: Inbox) -> None:
        await put(inbox, "d-1")
        await settle(inbox, (await claim(inbox))["d-1"], DEAD, due=NOW + 5, reason="why")
        assert await claim(inbox, now=NOW + 4) == {}
        claimed = (await claim(inbox, now=NOW + 5))["d-1"]
        assert (claimed.state, claimed.reason) == (DEAD, "why")

    # Uniqueness

    async def test_a_duplicate_inside_the_window_keeps_nothing(self, inbox: Inbox) -> None:
        await put(inbox, "d-1", key=b"k")
        assert await put(inbox, "d-2", key=b"k", now=NOW + self.window) == [Duplicate("d-1")]
        assert await put(inbox, "d-3", key=b"other") == [Stored("d-3")]
        assert await listed(inbox) == ["d-1", "d-3"]

    async def test_outside_of_the_window_it_is_another_one_and_the_newer_is_what_counts(self, inbox: Inbox) -> None:
        later = NOW + self.window + 1
        await put(inbox, "d-1", key=b"k")
        assert await put(inbox, "d-2", key=b"k", now=later) == [Stored("d-2")]
        assert await put(inbox, "d-3", key=b"k", now=later + 1) == [Duplicate("d-2")]

    async def test_a_lasting_key_is_known_as_long_as_its_delivery_is_stored(self, inbox: Inbox) -> None:
        late = NOW + 2 * self.window + self.retention
        await put(inbox, "d-1", key=b"k", identity="o-1")
        await put(inbox, "d-2", key=b"l", lasting=True)
        await finish(inbox)
        for key, id in ((b"k", "d-1"), (b"l", "d-2")):
            identity = "o-1" if key == b"k" else None
            again = await put(inbox, "d-3", key=key, identity=identity, now=late, lasting=True)
            assert again == [Duplicate(id)]
        await inbox.expire(late)
        assert await put(inbox, "d-4", key=b"l", now=late, lasting=True) == [Stored("d-4")]

    async def test_a_key_belongs_to_its_receiver(self, inbox: Inbox) -> None:
        await put(inbox, "d-1", key=b"k", identity="o-1")
        assert await put(inbox, "d-2", key=b"k", identity="o-1", receiver="others") == [Stored("d-2")]
        assert await put(inbox, "d-3", identity="o-1", receiver="a third", via="backfill") == [Stored("d-3")]

    async def test_deliveries_without_a_key_are_never_duplicates(self, inbox: Inbox) -> None:
        kept = await put(inbox, "d-1", "d-2", identity="o-1 FULFILLED")
        assert kept == [Stored("d-1"), Stored("d-2")]
        assert await put(inbox, "d-3", "d-4") == [Stored("d-3"), Stored("d-4")]

    async def test_of_many_at_the_same_moment_one_is_kept(self, inbox: Inbox) -> None:
        entries = [entry(f"d-{number}", key=b"k", identity="o-1") for number in range(50)]
        found = await asyncio.gather(*[inbox.put(each, NOW) for each in entries])
        (stored,) = [each.id for each in found if isinstance(each, Stored)]
        assert [each for each in found if isinstance(each, Duplicate)] == [Duplicate(stored)] * 49
        assert await listed(inbox) == [stored]

    async def test_a_duplicate_runs_nothing_while_the_first_is_leased_or_waits_or_is_finished(
        self, inbox: Inbox
    ) -> None:
        await put(inbox, "d-1", key=b"k")
        claimed = (await claim(inbox))["d-1"]
        assert await put(inbox, "r-1", key=b"k") == [Duplicate("d-1")]
        await settle(inbox, claimed, WAITING, due=NOW + 10)
        assert await put(inbox, "r-2", key=b"k") == [Duplicate("d-1")]
        assert await claim(inbox, now=NOW + 9) == {}
        await inbox.pause("h", NOW)
        await settle(inbox, (await claim(inbox, now=NOW + 10))["d-1"], WAITING, paused_by="h")
        assert await put(inbox, "r-3", key=b"k") == [Duplicate("d-1")]
        assert await claim(inbox, now=NOW + 11) == {}
        await inbox.resume("h")
        assert await finish(inbox, now=NOW + 12) == ["d-1"]
        assert await put(inbox, "r-4", key=b"k") == [Duplicate("d-1")]
        assert await claim(inbox, now=NOW + 13) == {}

    async def test_a_duplicate_of_a_dead_one_replays_it(self, inbox: Inbox) -> None:
        await put(inbox, "d-1", key=b"k")
        handlers = {"a": HandlerState(DONE, 1, 1), "b": HandlerState(DEAD, 3, 3)}
        await finish(inbox, DEAD, handlers=handlers, reason="why")
        assert await put(inbox, "d-2", key=b"k") == [Duplicate("d-1", replayed=True)]
        claimed = (await claim(inbox))["d-1"]
        assert (claimed.state, claimed.reason) == (WAITING, None)
        assert claimed.handlers == {"a": HandlerState(DONE, 1, 1), "b": HandlerState(WAITING, 3, 0)}
        assert await put(inbox, "d-3", key=b"k") == [Duplicate("d-1")]

    @pytest.mark.parametrize("unix", [NOW - 3600, NOW, NOW + 3600])
    async def test_a_duplicate_replays_a_dead_one_also_while_somebody_hears_of_it_whatever_unix_time_says(
        self, inbox: Inbox, unix: float
    ) -> None:
        await put(inbox, "d-1", key=b"k", dead="not JSON")
        hearing = (await claim(inbox))["d-1"]
        assert await put(inbox, "d-2", key=b"k", now=unix) == [Duplicate("d-1", replayed=True)]
        assert not await settle(inbox, hearing, DEAD)
        again = (await claim(inbox))["d-1"]
        assert again.state is WAITING
        assert await put(inbox, "d-3", key=b"k", now=unix) == [Duplicate("d-1")], "it is being handled"
        assert await settle(inbox, again)

    async def test_a_duplicate_of_an_unhandled_one_replays_it(self, inbox: Inbox) -> None:
        await put(inbox, "d-1", key=b"k", ordering_key="o-1")
        await finish(inbox, UNHANDLED, reason="no handler matches")
        assert await put(inbox, "d-2", key=b"k", ordering_key="o-1") == [Duplicate("d-1", replayed=True)]
        claimed = (await claim(inbox))["d-1"]
        assert (claimed.state, claimed.reason) == (WAITING, None)
        assert await put(inbox, "d-3", key=b"k") == [Duplicate("d-1")]
        await settle(inbox, claimed, UNHANDLED)
        assert await put(inbox, "b-1", via="backfill", key=b"k") == [Duplicate("d-1")]
        assert await claim(inbox) == {}

    async def test_a_duplicate_of_what_is_no_event_replays_it_also_at_the_same_moment(self, inbox: Inbox) -> None:
        entries = [entry(f"d-{number}", event=None, key=b"k", dead="not JSON") for number in (1, 2, 3)]
        found = await asyncio.gather(*[inbox.put(each, NOW) for each in entries])
        assert found == [Stored("d-1"), Duplicate("d-1", replayed=True), Duplicate("d-1")]
        assert (await claim(inbox))["d-1"].state is WAITING

    @pytest.mark.parametrize("via", ["poll", "backfill"])
    async def test_what_was_polled_is_a_duplicate_of_what_has_its_identity_and_the_other_way_round(
        self, inbox: Inbox, via: str
    ) -> None:
        await put(inbox, "d-1", key=b"k1", identity="o-1")
        late = NOW + 2 * self.window
        assert await put(inbox, "b-1", via=via, identity="o-1", now=late) == [Duplicate("d-1")]
        assert await put(inbox, "b-2", via=via, identity="o-2") == [Stored("b-2")]
        assert await put(inbox, "b-3", via=via, identity="o-2") == [Duplicate("b-2")]
        assert await put(inbox, "d-2", key=b"k2", identity="o-2", now=late) == [Duplicate("b-2")]
        assert await put(inbox, "d-3", identity="o-2", event="order.other") == [Stored("d-3")]
        assert await put(inbox, "d-4", key=b"k4", identity="o-1") == [Stored("d-4")], "both came by HTTP"

    async def test_a_polled_duplicate_replays_nothing(self, inbox: Inbox) -> None:
        await put(inbox, "d-1", identity="o-1")
        await finish(inbox, DEAD)
        assert await put(inbox, "b-1", via="poll", identity="o-1") == [Duplicate("d-1")]
        assert await claim(inbox) == {}

    async def test_a_push_of_what_was_polled_and_is_dead_replays_it(self, inbox: Inbox) -> None:
        await put(inbox, "b-1", via="poll", identity="o-1")
        await finish(inbox, DEAD)
        assert await put(inbox, "d-1", key=b"k", identity="o-1") == [Duplicate("b-1", replayed=True)]

    # Polls

    async def test_a_page_and_the_cursor_behind_it_are_stored_together(self, inbox: Inbox) -> None:
        lease = await poll(inbox)
        assert (lease.receiver, lease.source, lease.cursor) == ("hooks", "api", None)
        page = [entry(f"d-{number}", key=b"%d" % number, via="poll") for number in range(3)]
        assert await inbox.put_all(page, "page 1", lease, NOW) == [Stored("d-0"), Stored("d-1"), Stored("d-2")]
        assert await inbox.put_all([], "page 2", lease, NOW) == []
        assert await inbox.release_poll(lease, NOW)
        assert [*await claim(inbox)] == ["d-0", "d-1", "d-2"]
        assert (await poll(inbox)).cursor == "page 2"

    async def test_parts_are_put_with_a_page_as_they_are_without_one(self, inbox: Inbox) -> None:
        lease = await poll(inbox)
        page = [batch("d-1", "a", "b", body=b"one"), entry("d-2"), batch("d-3", "a", "c", body=b"two")]
        known = {0: Duplicate("d-1")}
        assert await inbox.put_all(page, "page 1", lease, NOW) == [
            *(Stored("d-1"), Stored("d-2"), Stored("d-3.1", known=known))
        ]
        bodies = {id: each.delivery.body for id, each in (await claim(inbox)).items()}
        assert bodies == {"d-1": b"one", "d-1.1": b"one", "d-2": page[1].delivery.body, "d-3.1": b"two"}

    async def test_a_cursor_may_go_back_to_the_beginning(self, inbox: Inbox) -> None:
        lease = await poll(inbox)
        await inbox.put_all([], "page 1", lease, NOW)
        await inbox.put_all([], None, lease, NOW)
        await inbox.release_poll(lease, NOW)
        assert (await poll(inbox)).cursor is None

    async def test_a_source_is_polled_by_one_at_a_time_and_others_beside_it(self, inbox: Inbox) -> None:
        found = await asyncio.gather(*[inbox.lease_poll("hooks", "api", LEASE, NOW) for _ in range(20)])
        assert len([each for each in found if each is not None]) == 1
        await poll(inbox, "another")
        await poll(inbox, receiver="others")
        assert await inbox.lease_poll("hooks", "api", LEASE, NOW + LEASE - 1) is None
        await poll(inbox, now=NOW + LEASE)

    async def test_a_released_poll_may_begin_again_at_once(self, inbox: Inbox) -> None:
        for _ in range(2):
            lease = await poll(inbox)
            assert await inbox.release_poll(lease, NOW)
            assert not await inbox.release_poll(lease, NOW)
            with pytest.raises(PollLeaseLost):
                await inbox.put_all([entry("d-1")], "page 1", lease, NOW)
        assert await listed(inbox) == []

    async def test_a_renewed_poll_ends_later(self, inbox: Inbox) -> None:
        lease = await poll(inbox)
        assert await inbox.renew_poll(lease, LEASE, NOW + 20)
        assert await inbox.lease_poll("hooks", "api", LEASE, NOW + LEASE) is None
        await poll(inbox, now=NOW + 20 + LEASE)

    async def test_a_poll_whose_time_is_up_counts_until_another_begins(self, inbox: Inbox) -> None:
        lease, later = await poll(inbox), NOW + LEASE + 1
        assert await inbox.put_all([entry("d-1")], "page 1", lease, later) == [Stored("d-1")]
        assert await inbox.renew_poll(lease, LEASE, later)
        assert await inbox.lease_poll("hooks", "api", LEASE, later) is None

    @pytest.mark.parametrize("is_over", [False, True], ids=["while the other one polls", "when that has ended"])
    async def test_who_was_stopped_while_another_polled_stores_nothing_and_sets_nothing_back(
        self, inbox: Inbox, is_over: bool
    ) -> None:
        stopped, later = await poll(inbox), NOW + LEASE
        await inbox.put_all([], "page 1", stopped, NOW)
        other = await poll(inbox, now=later)
        assert other.cursor == "page 1"
        await inbox.put_all([entry("d-2")], "page 2", other, later)
        if is_over:
            await inbox.release_poll(other, later)
        with pytest.raises(PollLeaseLost, match="'api'"):
            await inbox.put_all([entry("d-1")], "page 1b", stopped, later)
        with pytest.raises(PollLeaseLost):
            await inbox.put_all([], None, stopped, NOW)
        assert not await inbox.renew_poll(stopped, 9 * LEASE, later)
        assert not await inbox.release_poll(stopped, later, PollOutcome("too late"))
        assert await listed(inbox) == ["d-2"]
        (found,) = await inbox.polls()
        assert (found.cursor, found.error) == ("page 2", None)
        assert is_over or await inbox.put_all([], "page 3", other, later) == []

    async def test_a_strange_lease_on_a_source_stores_nothing(self, inbox: Inbox) -> None:
        lease = await poll(inbox)
        for strange in (
            lease._replace(token=0),
            lease._replace(token="another's"),
            lease._replace(source="another"),
        ):
            with pytest.raises(InboxError):
                await inbox.put_all([entry("d-1")], "page 1", strange, NOW)
        assert await listed(inbox) == []
        assert [each.cursor for each in await inbox.polls()] == [None]

    @pytest.mark.parametrize(
        "bad",
        [entry("taken"), entry("d-0"), entry("d-9", identity="\ud800"), entry("d-9", receiver="others")],
        ids=["stored already", "twice in the page", "no text", "another receiver's"],
    )
    async def test_a_page_with_one_that_cannot_be_stored_is_not_stored_at_all(self, inbox: Inbox, bad: Entry) -> None:
        await put(inbox, "taken")
        lease = await poll(inbox)
        await inbox.put_all([], "page 1", lease, NOW)
        with pytest.raises(InboxError):
            await inbox.put_all([entry("d-0", key=b"k"), bad, entry("d-2")], "page 2", lease, NOW)
        assert await listed(inbox) == ["taken"]
        assert [each.cursor for each in await inbox.polls()] == ["page 1"]
        assert await put(inbox, "d-3", key=b"k") == [Stored("d-3")], "nor is it known"

    async def test_a_failing_page_fails_alone(self, inbox: Inbox) -> None:
        await put(inbox, "taken")
        lease = await poll(inbox)
        found = await asyncio.gather(
            inbox.put(entry("d-1"), NOW),
            inbox.put_all([entry("d-2"), entry("taken")], "page 1", lease, NOW),
            inbox.put_all([entry("d-3")], "page 1", lease._replace(token=0), NOW),
            inbox.put_all([entry("d-4")], "page 2", lease, NOW),
            return_exceptions=True,
        )
        assert (found[0], found[3]) == (Stored("d-1"), [Stored("d-4")])
        assert isinstance(found[1], InboxError)
        assert isinstance(found[2], PollLeaseLost)
        assert sorted(await listed(inbox)) == ["d-1", "d-4", "taken"]

    async def test_duplicates_in_a_page_are_passed_over_as_by_put(self, inbox: Inbox) -> None:
        await put(inbox, "by-key", key=b"k")
        await put(inbox, "by-identity", identity="o-1 FULFILLED")
        await put(inbox, "dead", event=None, key=b"dead", dead="not JSON")
        page = [
            entry("d-1", key=b"k"),
            entry("d-2", key=b"new"),
            entry("d-3", identity="o-1 FULFILLED", via="poll"),
            entry("d-4", key=b"new"),
            entry("d-5", event=None, key=b"dead", via="poll"),
            entry("d-6", event=None, key=b"dead"),
            entry("d-7", event=None, key=b"dead"),
            entry("d-8"),
            entry("d-9"),
        ]
        assert await inbox.put_all(page, "page 1", await poll(inbox), NOW) == [
            Duplicate("by-key"),
            Stored("d-2"),
            Duplicate("by-identity"),
            Duplicate("d-2"),
            Duplicate("dead"),
            Duplicate("dead", replayed=True),
            Duplicate("dead"),
            Stored("d-8"),
            Stored("d-9"),
        ]

    async def test_a_page_may_be_long(self, inbox: Inbox) -> None:
        lease = await poll(inbox)
        page = [entry(f"d-{number}", identity=f"o-{number % 2000}", via="poll") for number in range(3000)]
        found = await inbox.put_all(page, "page 1", lease, NOW)
        assert found == [Stored(f"d-{n}") if n < 2000 else Duplicate(f"d-{n - 2000}") for n in range(3000)]
        assert await inbox.put_all(page, "page 2", lease, NOW) == [Duplicate(f"d-{n % 2000}") for n in range(3000)]
        assert await listed(inbox) == [f"d-{number}" for number in range(2000)]

    async def test_a_page_may_have_deliveries_of_several_parts(self, inbox: Inbox) -> None:
        await put(inbox, "known", key=b"k-1")
        whole = entry("d-1", key=b"k-0", parts=[Part(1, "b", b"k-1"), Part(2, "c", b"k-2")])
        found = await inbox.put_all([whole, entry("d-2", key=b"k-2")], "page 1", await poll(inbox), NOW)
        assert found == [Stored("d-1", known={1: Duplicate("known")}), Duplicate("d-1.2")]
        assert await listed(inbox) == ["known", "d-1", "d-1.2"]

    async def test_what_a_page_stores_keeps_its_order(self, inbox: Inbox) -> None:
        await put(inbox, "d-0", ordering_key="o-1")
        page = [entry("d-1", ordering_key="o-1"), entry("d-2", ordering_key="o-2"), entry("d-3", ordering_key="o-1")]
        await inbox.put_all(page, None, await poll(inbox), NOW)
        assert [await finish(inbox) for _ in range(3)] == [["d-0", "d-2"], ["d-1"], ["d-3"]]

    async def test_of_a_page_and_puts_at_the_same_moment_each_happening_is_stored_once(self, inbox: Inbox) -> None:
        await self._race(inbox, inbox)

    async def _race(self, inbox: Inbox, other: Inbox) -> None:
        """Put what happened through one, by pages and each by itself, and through the other."""
        lease = await poll(inbox)
        for turn in range(5):
            happened = [f"o-{turn}-{number}" for number in range(40)]
            page = [entry(f"page-{each}", identity=each, key=each.encode(), via="poll") for each in happened]
            puts = [other.put(entry(f"put-{each}", identity=each, key=each.encode()), NOW) for each in happened]
            putting = asyncio.gather(*puts)
            paged = await inbox.put_all(page, f"{turn}", lease, NOW)
            each_put = await putting
            for one, two in zip(paged, each_put, strict=True):
                assert {isinstance(one, Stored), isinstance(two, Stored)} == {True, False}, (one, two)
                assert one.id == two.id

    async def test_polls_tell_how_it_stands_with_each_source(self, inbox: Inbox) -> None:
        assert await inbox.polls() == []
        running = await poll(inbox, "b", now=NOW)
        await inbox.put_all([], "page 1", running, NOW)
        failed = await poll(inbox, "a")
        await inbox.release_poll(failed, NOW + 1)
        failed = await poll(inbox, "a")
        await inbox.release_poll(failed, NOW + 2, PollOutcome("the API is down"))
        await poll(inbox, receiver="first")
        assert await inbox.polls() == [
            Poll("first", "api", None, True, NOW + LEASE, None, None),
            Poll("hooks", "a", None, False, None, NOW + 1, "the API is down", 1),
            Poll("hooks", "b", "page 1", True, NOW + LEASE, None, None, 0, NOW),
        ]
        assert await poll(inbox, receiver=NOBODY) is not None
        assert await inbox.lease_poll(NOBODY, "api", LEASE, NOW) is None
        await inbox.release_poll(await poll(inbox, "a", now=NOW + 3), NOW + 4, unix=NOW + 9)
        assert [each.receiver for each in await inbox.polls()] == ["first", "hooks", "hooks"]
        assert (await inbox.polls())[1] == Poll("hooks", "a", None, False, None, NOW + 9, None)

    async def test_failures_in_a_row_are_counted_until_a_success(self, inbox: Inbox) -> None:
        for failures in range(3):
            lease = await poll(inbox)
            assert lease.failures == failures
            await inbox.release_poll(lease, NOW, PollOutcome("down"))
        assert [each.failures for each in await inbox.polls()] == [3]
        await inbox.release_poll(await poll(inbox), NOW)
        assert (await poll(inbox)).failures == 0

    async def test_a_poll_that_failed_for_a_part_alone_is_no_failure_in_a_row(self, inbox: Inbox) -> None:
        await inbox.release_poll(await poll(inbox), NOW, PollOutcome("down"))
        await inbox.release_poll(await poll(inbox), NOW, PollOutcome("one of them", partial=True))
        assert [(each.failures, each.error) for each in await inbox.polls()] == [(0, "one of them")]

    async def test_of_a_poll_that_was_stopped_nothing_is_remembered_but_its_cursor(self, inbox: Inbox) -> None:
        await inbox.release_poll(await poll(inbox), NOW + 1)
        await inbox.release_poll(await poll(inbox), NOW + 2, PollOutcome("down"))
        stopped = await poll(inbox)
        await inbox.put_all([], "page 1", stopped, NOW + 3)
        assert await inbox.release_poll(stopped, NOW + 4, PollOutcome(stopped=True))
        assert await inbox.polls() == [Poll("hooks", "api", "page 1", False, None, NOW + 1, "down", 1, NOW + 3)]
        await poll(inbox)

    async def test_nobody_polls_before_the_wait_after_a_poll_is_over_but_early(self, inbox: Inbox) -> None:
        for outcome in (PollOutcome(wait=300), PollOutcome("down", wait=300)):
            await inbox.release_poll(await poll(inbox), NOW + 1, outcome)
            assert [(each.leased, each.until) for each in await inbox.polls()] == [(False, NOW + 301)]
            assert await inbox.lease_poll("hooks", "api", LEASE, NOW + 300) is None
            early = await inbox.lease_poll("hooks", "api", LEASE, NOW + 300, early=True)
            assert early is not None
            assert await inbox.lease_poll("hooks", "api", LEASE, NOW + 300, early=True) is None, "two at a time"
            await inbox.release_poll(early, NOW + 301, PollOutcome(wait=300))
            await inbox.release_poll(await poll(inbox, now=NOW + 601), NOW)

    async def test_a_cursor_that_stays_the_same_has_not_moved(self, inbox: Inbox) -> None:
        lease = await poll(inbox)
        for cursor, now, moved in ((None, 1, None), ("1", 2, 2), ("1", 3, 2), ("2", 4, 4), (None, 5, 5), (None, 6, 5)):
            await inbox.put_all([], cursor, lease, NOW + now)
            (found,) = await inbox.polls()
            assert found.moved == (None if moved is None else NOW + moved)

    @pytest.mark.parametrize("text", ["o-1\x00", "ключ 鍵", "'; DROP TABLE poll; --", "", "%_\\"])
    async def test_any_text_may_be_a_source_and_a_cursor(self, inbox: Inbox, text: str) -> None:
        lease = await poll(inbox, text, receiver=text)
        await inbox.put_all([], text, lease, NOW)
        assert await inbox.release_poll(lease, NOW, PollOutcome(text))
        assert await inbox.polls() == [Poll(text, text, text, False, None, None, text, 1, NOW)]
        assert (await poll(inbox, text, receiver=text)).cursor == text

    @pytest.mark.parametrize("character", ["a", "鍵", "\0", "\ud800", "\uffff"])
    async def test_of_a_long_error_of_a_poll_the_beginning_is_kept(self, inbox: Inbox, character: str) -> None:
        await inbox.release_poll(await poll(inbox), NOW, PollOutcome(character * 9999))
        (found,) = await inbox.polls()
        assert found.error is not None
        assert len(found.error) == MOST_OF_AN_ERROR

    async def test_a_clock_that_is_set_back_makes_no_poll_wait_longer_than_meant(self, inbox: Inbox) -> None:
        await poll(inbox)
        past = NOW - 365 * DAY
        assert await inbox.lease_poll("hooks", "api", LEASE, past) is None
        assert await inbox.lease_poll("hooks", "api", LEASE, past + LEASE - 1) is None
        await poll(inbox, now=past + LEASE)

    async def test_a_clock_that_is_set_back_makes_no_wait_after_a_poll_longer_than_meant(self, inbox: Inbox) -> None:
        await inbox.release_poll(await poll(inbox), NOW, PollOutcome(wait=300))
        past = NOW - 365 * DAY
        assert await inbox.lease_poll("hooks", "api", LEASE, past) is None
        assert await inbox.lease_poll("hooks", "api", LEASE, past + 299) is None
        await poll(inbox, now=past + 300)

    # Ordering

    async def test_one_delivery_of_a_key_at_a_time_and_other_keys_beside_it(self, inbox: Inbox) -> None:
        for number in (1, 2):
            await put(inbox, f"a-{number}", ordering_key="a")
            await put(inbox, f"b-{number}", ordering_key="b")
            await put(inbox, f"c-{number}")
        claims = await claim(inbox)
        assert [*claims] == ["a-1", "b-1", "c-1", "c-2"]
        assert await claim(inbox) == {}
        await settle(inbox, claims["b-1"])
        assert [*await claim(inbox)] == ["b-2"]
        await settle(inbox, claims["a-1"])
        assert [*await claim(inbox)] == ["a-2"]

    async def test_blocked_deliveries_do_not_hide_others(self, inbox: Inbox) -> None:
        await put(inbox, *[f"a-{number}" for number in range(20)], ordering_key="a")
        await put(inbox, "b-1", ordering_key="b")
        assert [*await claim(inbox, 2)] == ["a-0", "b-1"]

    async def test_deliveries_of_an_ordering_key_are_handled_in_the_order_of_receipt(self, inbox: Inbox) -> None:
        ids = [f"d-{number:02}" for number in range(12)]
        await put(inbox, *ids, ordering_key="o-1")
        assert [id for _ in ids for id in await finish(inbox)] == ids

    @pytest.mark.parametrize("state", [DONE, UNHANDLED, DEAD])
    async def test_the_next_one_is_let_through_by_one_that_is_finished(self, inbox: Inbox, state: State) -> None:
        await put(inbox, "d-1", "d-2", ordering_key="o-1")
        assert await finish(inbox, state) == ["d-1"]
        assert await finish(inbox) == ["d-2"]

    async def test_a_dead_one_that_somebody_has_to_hear_of_blocks_nobody(self, inbox: Inbox) -> None:
        await put(inbox, "d-1", "d-2", ordering_key="o-1")
        await settle(inbox, (await claim(inbox))["d-1"], DEAD, due=NOW)
        assert [*await claim(inbox)] == ["d-1", "d-2"]

    async def test_nobody_passes_one_that_waits_for_its_retry(self, inbox: Inbox) -> None:
        await put(inbox, "d-1", "d-2", ordering_key="o-1")
        await settle(inbox, (await claim(inbox))["d-1"], WAITING, due=NOW + 10)
        assert await claim(inbox, now=NOW + 9) == {}
        await put(inbox, "d-3", ordering_key="o-1")
        assert await finish(inbox, now=NOW + 10) == ["d-1"]
        assert [*await claim(inbox, now=NOW + 10)] == ["d-2"]

    async def test_nobody_passes_one_that_waits_for_a_paused_handler(self, inbox: Inbox) -> None:
        await put(inbox, "d-1", "d-2", ordering_key="o-1")
        await inbox.pause("h", NOW)
        await settle(inbox, (await claim(inbox))["d-1"], WAITING, paused_by="h")
        assert await claim(inbox, now=NOW + 9e9) == {}
        await inbox.resume("h")
        assert await finish(inbox, now=NOW + 9e9) == ["d-1"]
        assert [*await claim(inbox, now=NOW + 9e9)] == ["d-2"]

    async def test_nobody_passes_one_whose_lease_ended_or_was_released(self, inbox: Inbox) -> None:
        await put(inbox, "d-1", "d-2", ordering_key="o-1")
        await claim(inbox)
        claims = await claim(inbox, now=NOW + LEASE)
        assert [*claims] == ["d-1"]
        await inbox.release([*claims.values()], NOW + LEASE)
        assert [*await claim(inbox, now=NOW + LEASE)] == ["d-1"]

    async def test_ordering_keys_are_per_receiver(self, inbox: Inbox) -> None:
        await put(inbox, "d-1", ordering_key="o-1")
        await put(inbox, "e-1", ordering_key="o-1", receiver="others")
        assert [*await claim(inbox)] == ["d-1"]
        assert [*await claim(inbox, receiver="others")] == ["e-1"]

    async def test_an_older_one_that_is_replayed_goes_first(self, inbox: Inbox) -> None:
        await put(inbox, "d-1", "d-2", "d-3", ordering_key="o-1")
        assert await finish(inbox, DEAD) == ["d-1"]
        await inbox.replay(["d-1"], NOW)
        assert [(await finish(inbox)) for _ in range(3)] == [["d-1"], ["d-2"], ["d-3"]]

    async def test_an_older_one_that_is_replayed_goes_before_one_that_waits_for_its_retry(self, inbox: Inbox) -> None:
        await put(inbox, "d-1", "d-2", ordering_key="o-1")
        await finish(inbox, DEAD)
        await settle(inbox, (await claim(inbox))["d-2"], WAITING, due=NOW + 10)
        await inbox.replay(["d-1"], NOW)
        first = await claim(inbox, now=NOW + 10)
        assert [*first] == ["d-1"]
        await settle(inbox, first["d-1"], now=NOW + 10)
        assert [*await claim(inbox, now=NOW + 10)] == ["d-2"]

    async def test_an_older_one_that_is_replayed_waits_while_another_is_leased(self, inbox: Inbox) -> None:
        await put(inbox, "d-1", "d-2", "d-3", ordering_key="o-1")
        await finish(inbox, DEAD)
        second = (await claim(inbox))["d-2"]
        await inbox.replay(["d-1"], NOW)
        assert await claim(inbox) == {}
        await settle(inbox, second, WAITING, due=NOW)
        assert [(await finish(inbox)) for _ in range(3)] == [["d-1"], ["d-2"], ["d-3"]]

    async def test_an_older_one_that_is_replayed_goes_before_one_whose_lease_has_ended(self, inbox: Inbox) -> None:
        await put(inbox, "d-1", "d-2", ordering_key="o-1")
        await finish(inbox, DEAD)
        late = (await claim(inbox))["d-2"]
        await inbox.replay(["d-1"], NOW)
        assert await finish(inbox, now=NOW + LEASE) == ["d-1"]
        assert not await settle(inbox, late, now=NOW + LEASE)
        assert (await claim(inbox, now=NOW + LEASE))["d-2"].crashes == 1

    async def test_one_whose_process_died_lets_an_older_one_go_first(self, inbox: Inbox) -> None:
        await put(inbox, "d-1", "d-2", "d-3", ordering_key="o-1")
        await finish(inbox, DEAD)
        await claim(inbox)
        await inbox.replay(["d-1"], NOW)
        assert await claim(inbox) == {}
        assert [await finish(inbox, now=NOW + LEASE) for _ in range(3)] == [["d-1"], ["d-2"], ["d-3"]]

    async def test_a_released_one_lets_an_older_one_go_first(self, inbox: Inbox) -> None:
        await put(inbox, "d-1", "d-2", ordering_key="o-1")
        await finish(inbox, DEAD)
        second = await claim(inbox)
        await inbox.replay(["d-1"], NOW)
        assert await claim(inbox) == {}
        await inbox.release([*second.values()], NOW)
        assert [(await finish(inbox)) for _ in range(2)] == [["d-1"], ["d-2"]]

    @pytest.mark.parametrize("seed", range(10))
    async def test_whatever_happens_the_rules_of_eligibility_hold(self, inbox: Inbox, seed: int) -> None:
        await Course(inbox, Random(seed)).run(300)

    # Registering

    async def test_a_name_belongs_to_the_sender_that_was_registered_first(self, inbox: Inbox) -> None:
        mine, others = Registration("hooks", "mine", "Unsigned"), Registration("hooks", "others", "Unsigned")
        assert await inbox.register(mine) == mine
        await put(inbox, "d-1")
        assert [await inbox.register(others), await inbox.register(mine)] == [mine, mine]
        await inbox.purge(ALL, NOW, limit=10)
        assert [await inbox.register(others), await inbox.register(others)] == [others, others]

    async def test_another_scheme_is_remembered_from_then_on(self, inbox: Inbox) -> None:
        old, new = Registration("hooks", "mine", "Unsigned"), Registration("hooks", "mine", "HMACBody")
        assert [await inbox.register(each) for each in (old, new, new)] == [old, old, new]

    async def test_one_that_only_looks_is_told_what_counts_and_not_remembered(self, inbox: Inbox) -> None:
        mine, others = Registration("hooks", "mine", "Unsigned"), Registration("hooks", "others", "Unsigned")
        looking = mine._replace(finds_orders=False, looks=True)
        assert [await inbox.register(each) for each in (looking, others, looking)] == [mine, others, mine]
        await put(inbox, "d-1")
        assert [await inbox.register(each) for each in (looking, others)] == [others, others]

    @pytest.mark.parametrize("text", ["o-1\x00", "ключ 鍵", "'; DROP TABLE receiver; --", ""])
    async def test_any_name_may_be_registered(self, inbox: Inbox, text: str) -> None:
        given = Registration(text, text, text)
        assert [await inbox.register(given), await inbox.register(given)] == [given, given]

    async def test_a_default_name_is_the_former_one_where_deliveries_are_stored_under_that(self, inbox: Inbox) -> None:
        mine = Registration("mine", "mine", "Unsigned", by_default=True)
        await put(inbox, "d-1", receiver="webhooks")
        former = mine._replace(receiver="webhooks")
        nobody = await inbox.register(mine)
        assert (nobody.receiver, nobody.sender) == ("webhooks", "")
        assert await inbox.register(mine) == nobody, "nothing is changed"
        assert [await inbox.register(former), await inbox.register(mine)] == [former, former]
        others = Registration("others", "others", "Unsigned", by_default=True)
        assert await inbox.register(others) == others, "those deliveries are mine"
        await inbox.purge(ALL, NOW, limit=10)
        assert await inbox.register(mine) == former

    async def test_a_default_name_stays_when_deliveries_under_the_former_one_come_later(self, inbox: Inbox) -> None:
        mine = Registration("mine", "mine", "Unsigned", by_default=True)
        assert await inbox.register(mine) == mine
        await put(inbox, "d-1", receiver="webhooks")
        assert await inbox.register(mine) == mine

    async def test_a_name_that_was_given_is_never_another(self, inbox: Inbox) -> None:
        await put(inbox, "d-1", receiver="webhooks")
        mine = Registration("mine", "mine", "Unsigned")
        assert await inbox.register(mine) == mine

    # Pausing

    async def test_handlers_are_paused_until_they_are_resumed(self, inbox: Inbox) -> None:
        await inbox.pause("a", NOW)
        await inbox.pause("b", NOW)
        await inbox.pause("a", NOW + 1)
        assert await inbox.paused() == {"a", "b"}
        assert (await inbox.stats()).paused == {"a": NOW, "b": NOW}
        assert await inbox.resume("a")
        assert not await inbox.resume("a")
        assert await inbox.paused() == {"b"}

    async def test_what_waits_for_a_paused_handler_is_due_when_it_is_resumed(self, inbox: Inbox) -> None:
        await put(inbox, "d-1", "d-2")
        await inbox.pause("a", NOW)
        await inbox.pause("b", NOW)
        claims = await claim(inbox)
        await settle(inbox, claims["d-1"], WAITING, paused_by="a")
        await settle(inbox, claims["d-2"], WAITING, paused_by="b")
        summary = (await kept(inbox, "d-1")).summary
        assert (summary.state, summary.paused_by, summary.due) == (WAITING, "a", None)
        assert await claim(inbox, now=NOW + 9e9) == {}
        await inbox.resume("a")
        assert [*await claim(inbox)] == ["d-1"]
        assert (await kept(inbox, "d-1")).summary.paused_by is None

    async def test_what_waits_for_a_paused_handler_and_another_is_due_when_either_may_run(self, inbox: Inbox) -> None:
        await inbox.pause("a", NOW)
        await put(inbox, "d-1", "d-2")
        for claimed in (await claim(inbox)).values():
            await settle(inbox, claimed, WAITING, due=NOW + 50, paused_by="a")
        assert await claim(inbox, now=NOW + 49) == {}
        assert [*await claim(inbox, now=NOW + 50, limit=1)] == ["d-1"]
        await inbox.resume("a")
        assert [*await claim(inbox, now=NOW + 50)] == ["d-2"]

    async def test_what_waits_for_a_handler_that_was_resumed_meanwhile_is_due_at_once(self, inbox: Inbox) -> None:
        await put(inbox, "d-1")
        await inbox.pause("h", NOW)
        claimed = (await claim(inbox))["d-1"]
        await inbox.resume("h")
        await settle(inbox, claimed, WAITING, paused_by="h")
        assert (await kept(inbox, "d-1")).summary.paused_by is None
        assert [*await claim(inbox)] == ["d-1"]

    async def test_a_dead_one_that_waits_for_a_paused_handler_is_due_when_it_is_resumed(self, inbox: Inbox) -> None:
        await put(inbox, "d-1", ordering_key="o-1")
        await inbox.pause("h", NOW)
        claimed = (await claim(inbox))["d-1"]
        await put(inbox, "d-2", ordering_key="o-1")
        await settle(inbox, claimed, DEAD, reason="no", paused_by="h")
        summary = (await kept(inbox, "d-1")).summary
        assert (summary.state, summary.reason, summary.paused_by, summary.due) == (DEAD, "no", "h", None)
        assert await finish(inbox) == ["d-2"], "it holds no ordering key"
        assert await claim(inbox, now=NOW + 9e9) == {}
        await inbox.resume("h")
        again = await claim(inbox)
        assert [(id, each.state, each.reason) for id, each in again.items()] == [("d-1", DEAD, "no")]

    # Replay

    async def test_of_a_dead_one_only_the_dead_handlers_run_again_and_attempts_go_on_counting(
        self, inbox: Inbox
    ) -> None:
        await put(inbox, "d-1")
        past = FailedAttempt("b", 4, NOW, 1, "dead", "ValueError")
        handlers = {
            "a": HandlerState(DONE, 1, 1),
            "b": HandlerState(DEAD, 4, 4, NOW + 99, running=True),
            f"{DEAD_LETTER_HANDLER}tell": HandlerState(DONE, 1, 1),
        }
        await finish(inbox, DEAD, handlers=handlers, reason="why", attempts=[past])
        assert await inbox.replay(["d-1"], NOW + 5) == 1
        found = await kept(inbox, "d-1")
        assert (found.summary.state, found.summary.reason, found.summary.settled) == (WAITING, None, None)
        assert found.attempts == [past]
        again = (await claim(inbox, now=NOW + 5))["d-1"]
        assert again.handlers == {"a": HandlerState(DONE, 1, 1), "b": HandlerState(WAITING, 4, 0)}
        assert again.delivery == entry("d-1").delivery, "with who verified it at receipt"

    @pytest.mark.parametrize("state", [DONE, UNHANDLED])
    async def test_of_any_other_one_all_handlers_run_again(self, inbox: Inbox, state: State) -> None:
        await put(inbox, "d-1")
        await finish(inbox, state, handlers={"a": HandlerState(DONE, 2, 2), "b": HandlerState(DONE, 1, 1)})
        assert await inbox.replay(["d-1"], NOW) == 1
        handlers = (await claim(inbox))["d-1"].handlers
        assert handlers == {"a": HandlerState(WAITING, 2, 0), "b": HandlerState(WAITING, 1, 0)}

    async def test_a_dead_one_without_a_dead_handler_runs_what_was_left(self, inbox: Inbox) -> None:
        await put(inbox, "d-1")
        await finish(inbox, DEAD, handlers={"a": HandlerState(DONE, 1, 1), "b": HandlerState(WAITING, 1, 1, NOW + 9)})
        await inbox.replay(["d-1"], NOW)
        handlers = (await claim(inbox))["d-1"].handlers
        assert handlers == {"a": HandlerState(DONE, 1, 1), "b": HandlerState(WAITING, 1, 0)}

    @pytest.mark.parametrize("state", [DONE, DEAD])
    async def test_one_handler_alone_may_be_replayed(self, inbox: Inbox, state: State) -> None:
        await put(inbox, "d-1")
        before = {"a": HandlerState(state, 2, 2), "b": HandlerState(state, 2, 2)}
        await finish(inbox, state, handlers=before)
        assert await inbox.replay(["d-1"], NOW, handler="b") == 1
        assert (await claim(inbox))["d-1"].handlers == before | {"b": HandlerState(WAITING, 2, 0)}

    async def test_a_handler_that_never_ran_may_be_replayed(self, inbox: Inbox) -> None:
        await put(inbox, "d-1")
        await finish(inbox, handlers={"a": HandlerState(DONE, 1, 1)})
        await inbox.replay(["d-1"], NOW, handler="new")
        assert (await claim(inbox))["d-1"].handlers == {"a": HandlerState(DONE, 1, 1), "new": HandlerState()}

    async def test_a_waiting_one_is_due_at_once(self, inbox: Inbox) -> None:
        await put(inbox, "d-1", "d-2")
        await inbox.pause("h", NOW)
        claims = await claim(inbox)
        handlers = {"a": HandlerState(DONE, 1, 1), "h": HandlerState(WAITING, 1, 1, NOW + 99)}
        await settle(inbox, claims["d-1"], WAITING, due=NOW + 99, handlers=handlers)
        await settle(inbox, claims["d-2"], WAITING, paused_by="h", handlers=handlers)
        assert await inbox.replay(["d-1", "d-2"], NOW) == 2
        claims = await claim(inbox)
        assert [*claims] == ["d-1", "d-2"]
        assert claims["d-1"].handlers == {"a": HandlerState(DONE, 1, 1), "h": HandlerState(WAITING, 1, 0)}

    async def test_one_that_is_being_handled_is_not_replayed_unless_its_lease_has_ended(self, inbox: Inbox) -> None:
        await put(inbox, "d-1")
        first = (await claim(inbox))["d-1"]
        assert await inbox.replay(["d-1"], NOW + LEASE - 1) == 0
        assert await inbox.replay(["d-1"], NOW + LEASE) == 1
        assert not await settle(inbox, first, now=NOW + LEASE)
        assert [*await claim(inbox, now=NOW + LEASE)] == ["d-1"]

    async def test_a_dead_one_is_replayed_also_while_somebody_hears_of_it(self, inbox: Inbox) -> None:
        await put(inbox, "d-1", dead="not JSON")
        hearing = (await claim(inbox))["d-1"]
        assert await inbox.replay(["d-1"], NOW) == 1
        assert not await settle(inbox, hearing, DEAD)
        assert (await claim(inbox))["d-1"].state is WAITING

    async def test_each_that_is_there_is_replayed_once(self, inbox: Inbox) -> None:
        await put(inbox, "d-1", "d-2")
        await finish(inbox)
        assert await inbox.replay(["d-1", "none", "d-1"], NOW) == 1
        assert await inbox.replay([], NOW) == 0
        assert [*await claim(inbox)] == ["d-1"]

    # Removing

    async def test_purge_removes_what_fits_and_no_more_than_its_limit(self, inbox: Inbox) -> None:
        await put(inbox, "d-1", "d-2", "d-3")
        await finish(inbox, DEAD, attempts=[FailedAttempt("h", 1, NOW, 1, "dead", "ValueError")])
        await put(inbox, "d-4")
        assert await inbox.purge(Filter(states=[DEAD]), NOW, limit=2) == 2
        assert await inbox.purge(Filter(states=[DEAD]), NOW, limit=2) == 1
        assert await inbox.purge(Filter(states=[DEAD]), NOW, limit=2) == 0
        assert await listed(inbox) == ["d-4"]
        assert await inbox.get("d-1") is None

    async def test_purge_never_removes_what_is_under_a_lease(self, inbox: Inbox) -> None:
        await put(inbox, "d-1")
        await claim(inbox)
        assert await inbox.purge(ALL, NOW + LEASE - 1, limit=10) == 0
        assert await inbox.purge(ALL, NOW + LEASE, limit=10) == 1

    async def test_purge_spares_leases_by_the_clock_of_the_inbox_whatever_unix_time_says(self, inbox: Inbox) -> None:
        await put(inbox, "d-1")
        await claim(inbox)
        for unix in (NOW - LEASE, NOW, NOW + 2 * LEASE):
            assert await inbox.purge(ALL, NOW + LEASE - 1, limit=10, unix=unix) == 0
        assert await inbox.purge(ALL, NOW + LEASE, limit=10, unix=NOW - LEASE) == 1

    async def test_the_window_of_what_is_purged_ends_in_unix_time_whatever_the_clock_of_the_inbox_says(
        self, inbox: Inbox
    ) -> None:
        for key, clock in ((b"ahead", NOW + 9 * self.window), (b"behind", NOW - 9 * self.window)):
            await put(inbox, f"{key!r}", key=key)
            assert await inbox.purge(ALL, clock, limit=9, unix=NOW + self.window) == 1
            assert await put(inbox, "again", key=key) == [Duplicate(f"{key!r}")]
            await put(inbox, "old", key=key, now=NOW + self.window + 1)
            assert await inbox.purge(ALL, clock, limit=9, unix=NOW + 2 * self.window + 2) == 1
            assert await put(inbox, f"{key!r}", key=key, now=NOW + self.window + 1) == [Stored(f"{key!r}")]
            await inbox.purge(ALL, clock, limit=9)

    async def test_purge_unblocks_the_next_of_the_ordering_key(self, inbox: Inbox) -> None:
        await put(inbox, "d-1", "d-2", "d-3", ordering_key="o-1")
        await settle(inbox, (await claim(inbox))["d-1"], WAITING, due=NOW + 99)
        assert await claim(inbox) == {}
        await inbox.purge(Filter(ids=["d-1"]), NOW, limit=1)
        await inbox.purge(Filter(ids=["d-2"]), NOW, limit=1)
        assert [*await claim(inbox)] == ["d-3"]

    async def test_a_new_delivery_is_younger_than_all_also_after_the_youngest_was_purged(self, inbox: Inbox) -> None:
        await put(inbox, "d-1", "d-2", ordering_key="o-1")
        await inbox.purge(Filter(ids=["d-2"]), NOW, limit=1)
        await put(inbox, "d-3", ordering_key="o-1")
        assert (await kept(inbox, "d-3")).attempts == []
        assert [(await finish(inbox)) for _ in range(2)] == [["d-1"], ["d-3"]]

    async def test_expire_removes_what_is_done_and_past_its_retention_and_nothing_else(self, inbox: Inbox) -> None:
        for state in State:
            await put(inbox, state.value)
            await settle(inbox, (await claim(inbox))[state.value], state, **({"due": NOW} if state is WAITING else {}))
            if state is WAITING:
                await inbox.purge(Filter(ids=[state.value]), NOW, limit=1)
        await put(inbox, "waiting", now=NOW)
        assert await inbox.expire(NOW + self.retention - 1) == 0
        assert await inbox.expire(NOW + self.retention + 1) == 2
        assert await listed(inbox) == ["dead", "waiting"]

    async def test_what_was_purged_is_known_until_the_window_has_passed_it(self, inbox: Inbox) -> None:
        await put(inbox, "d-1", key=b"k", identity="o-1")
        await put(inbox, "d-2", key=b"l", dead="no event")
        await finish(inbox, DONE)
        assert await inbox.purge(ALL, NOW, limit=9) == 2
        late = NOW + self.window
        assert await inbox.expire(late) == 0
        assert await put(inbox, "d-3", key=b"k", identity="o-1", now=late) == [Duplicate("d-1")]
        assert await put(inbox, "d-3", key=b"l", now=late) == [Duplicate("d-2")], "nothing is left to replay"
        assert await put(inbox, "d-3", identity="o-1", via="backfill", now=late) == [Duplicate("d-1")]
        assert (await listed(inbox), await inbox.get("d-1")) == ([], None)
        assert await put(inbox, "d-3", key=b"k", identity="o-1", now=late + 1) == [Stored("d-3")]
        assert await put(inbox, "d-4", key=b"l", now=late + 1) == [Stored("d-4")]
        assert await inbox.expire(late + 1) == 2
        assert await inbox.expire(late + 1) == 0

    @pytest.mark.parametrize("via", ["poll", "http"])
    @pytest.mark.parametrize("leaves", ["expires", "is purged"])
    async def test_of_a_receiver_that_polls_what_leaves_is_known_for_much_longer(
        self, inbox: Inbox, leaves: str, via: str
    ) -> None:
        lease = await poll(inbox)
        for receiver in ("hooks", "others"):
            await put(inbox, f"{receiver}-1", receiver=receiver, via=via, key=b"k", identity="o-1", lasting=True)
            for each in (await claim(inbox, receiver=receiver)).values():
                assert await settle(inbox, each)
        late = NOW + self.retention + self.window + 1
        if leaves == "is purged":
            assert await inbox.purge(ALL, late, limit=9) == 2
        while await inbox.expire(late):
            pass
        assert await listed(inbox) == []
        for now in (late, NOW + POLLED_RETENTION):
            while await inbox.expire(now):
                pass
            again = [
                entry("hooks-2", via="poll", received=now, key=b"k", identity="o-1", lasting=True),
                entry("hooks-3", via="poll", received=now, key=b"m", identity="o-1", lasting=True),
            ]
            assert await inbox.put_all(again, "7", lease, now) == [Duplicate("hooks-1"), Duplicate("hooks-1")]
            pushed = entry("hooks-4", received=now, key=b"k", identity="o-1", lasting=True)
            assert await inbox.put(pushed, now) == Duplicate("hooks-1")
        known: dict[str, Any] = {"key": b"k", "identity": "o-1", "lasting": True}
        assert await put(inbox, "others-2", receiver="others", now=late, **known) == [Stored("others-2")]
        last = NOW + POLLED_RETENTION + 1
        assert await inbox.expire(last) == 1
        assert await put(inbox, "hooks-5", via="poll", now=last, **known) == [Stored("hooks-5")]

    async def test_what_was_purged_may_be_loaded_again_and_purged_again(self, inbox: Inbox) -> None:
        await put(inbox, "d-1", "d-2", key=b"k")
        dump = await dumped(inbox)
        for _ in range(2):
            assert await inbox.purge(ALL, NOW, limit=9) == 1
            assert await inbox.load(dump, NOW) == 1
        await finish(inbox, DEAD)
        assert await put(inbox, "d-3", key=b"k") == [Duplicate("d-1", replayed=True)]

    async def test_expire_takes_small_steps_until_nothing_is_left(self, inbox: Inbox) -> None:
        ids = [f"d-{number}" for number in range(300)]
        await asyncio.gather(*[inbox.put(entry(id), NOW) for id in ids])
        while await finish(inbox):
            pass
        steps: list[int] = []
        while removed := await inbox.expire(NOW + self.retention + 1):
            steps.append(removed)
        assert sum(steps) == 300
        assert await listed(inbox) == []

    # Counts

    async def test_what_is_counted_in_a_minute_adds_up(self, inbox: Inbox) -> None:
        minute = NOW - NOW % 60
        done, slow, hooks = Metric("hooks", "done h", 3), Metric("hooks", "done h", 9), Metric("hooks", "answered 202")
        others = Metric("others", "answered 202")
        await inbox.count({done: 2, slow: 1, hooks: 5}, minute)
        await inbox.count({done: 1, hooks: 1, others: 1}, minute + 59.5)
        await inbox.count({}, minute)
        await inbox.count({hooks: 100}, minute + 60)
        await inbox.count({hooks: 1000}, minute - 0.5)
        assert await inbox.counted(minute, minute + 60) == {done: 3, slow: 1, hooks: 6, others: 1}
        assert await inbox.counted(minute - 60, minute + 120) == {done: 3, slow: 1, hooks: 1106, others: 1}

    async def test_minutes_belong_to_the_span_in_which_they_began(self, inbox: Inbox) -> None:
        minute, one = NOW - NOW % 60, Metric("hooks", "answered 202")
        await inbox.count({one: 1}, minute + 30)
        for since, until, expected in (
            (minute, minute + 1, {one: 1}),
            (minute - 0.5, minute + 0.5, {one: 1}),
            (minute + 0.5, minute + 60, {}),
            (minute - 60, minute, {}),
        ):
            assert await inbox.counted(since, until) == expected

    async def test_what_is_counted_at_the_same_moment_adds_up(self, inbox: Inbox) -> None:
        await self._count_beside(inbox, inbox)

    async def _count_beside(self, inbox: Inbox, other: Inbox) -> None:
        """Count the same through two, in another order each, and beside a put."""
        metrics = [Metric("hooks", f"answered {status}", status % 10) for status in range(200, 240)]
        orders = [metrics, metrics[::-1]]
        await asyncio.gather(
            *[each.count(dict.fromkeys(orders[n % 2], n), NOW) for n in range(10) for each in (inbox, other)],
            inbox.put(entry("d-1"), NOW),
        )
        assert await inbox.counted(NOW - 60, NOW + 60) == dict.fromkeys(metrics, 2 * sum(range(10)))
        assert await listed(other) == ["d-1"]

    @pytest.mark.parametrize("text", ["o-1\x00", "ключ 鍵", "'; DROP TABLE counter; --", "", "%_\\"])
    async def test_anything_may_be_counted(self, inbox: Inbox, text: str) -> None:
        counts = {Metric(text, text): 1, Metric(text, text, 0): 2, Metric("hooks", text): 3, Metric(text, "a"): 4}
        await inbox.count(counts, NOW)
        assert await inbox.counted(NOW - 60, NOW) == counts

    async def test_a_full_minute_of_a_receiver_may_be_counted(self, inbox: Inbox) -> None:
        counts = {Metric("hooks", f"done {n}", b): n + 1 for n in range(MOST_COUNTED) for b in [None, *range(10)]}
        for _ in range(2):
            await inbox.count(counts, NOW)
        assert await inbox.counted(NOW - 60, NOW) == {metric: 2 * number for metric, number in counts.items()}

    async def test_what_cannot_be_counted_fails_alone(self, inbox: Inbox) -> None:
        one = Metric("hooks", "answered 202")
        found = await asyncio.gather(
            inbox.put(entry("d-1"), NOW),
            inbox.count({one: 1, Metric("hooks", "\ud800"): 1}, NOW),
            inbox.count({one: 10}, NOW),
            return_exceptions=True,
        )
        assert (found[0], type(found[1]), found[2]) == (Stored("d-1"), InboxError, None)
        assert await inbox.counted(NOW - 60, NOW) == {one: 10}

    async def test_a_series_has_the_sums_of_each_step(self, inbox: Inbox) -> None:
        hour, one, slow = NOW - NOW % 3600, Metric("hooks", "answered 202"), Metric("hooks", "stored", 3)
        await inbox.count({one: 1}, hour)
        await inbox.count({one: 2, slow: 5}, hour + 59)
        await inbox.count({one: 4}, hour + 60)
        await inbox.count({one: 8}, hour + 3599)
        await inbox.count({one: 16}, hour + 3 * 3600)
        await inbox.count({one: 32}, hour - 1)
        minutes = await inbox.series(hour, hour + 180, 60)
        assert minutes == {one: [3, 4, 0], slow: [5, 0, 0]}
        assert await inbox.series(hour, hour + 4 * 3600, 3600) == {one: [15, 0, 0, 16], slow: [5, 0, 0, 0]}
        assert await inbox.series(hour + 3600, hour + 3 * 3600, 3600) == {}
        assert (await inbox.series(hour - 1800, hour + 3600, 1800))[one] == [32, 7, 8]
        assert await inbox.series(hour, hour, 60) == {}

    async def test_the_steps_of_a_series_begin_at_multiples_of_their_length(self, inbox: Inbox) -> None:
        hour, one = NOW - NOW % 3600, Metric("hooks", "answered 202")
        for minute in range(120):
            await inbox.count({one: 1}, hour + minute * 60)
        assert await inbox.series(hour + 1, hour + 119, 60) == {one: [1, 1]}
        assert await inbox.series(hour + 600, hour + 3601, 3600) == {one: [60, 60]}, "whole hours"
        assert await inbox.series(hour + 600, hour + 3601, 900) == {one: [15, 15, 15, 15, 15]}
        day = NOW - NOW % DAY
        assert await inbox.series(NOW, NOW + 1, DAY) == {one: [120]}
        assert await inbox.series(day - DAY, day + DAY, DAY) == {one: [0, 120]}

    @pytest.mark.parametrize(("until", "step"), [(NOW + 60, 0), (NOW + 60, 30), (NOW + 60, -60), (NOW + 10**8, 60)])
    async def test_a_series_that_cannot_be_is_an_error(self, inbox: Inbox, until: float, step: float) -> None:
        with pytest.raises(InboxError, match="series"):
            await inbox.series(NOW, until, step)

    async def test_expire_removes_counts_past_their_retention_in_small_steps(self, inbox: Inbox) -> None:
        minute = NOW - NOW % 60
        last, metrics = minute + COUNTS_RETENTION, [Metric("hooks", f"done {n}") for n in range(MOST_COUNTED)]
        for number in range(3):
            await inbox.count(dict.fromkeys(metrics, 1), minute + number * 60)
        assert await inbox.expire(last) == 0
        removed = 0
        while step := await inbox.expire(last + 61):
            assert step <= MOST_COUNTED
            removed += step
        assert removed == 2 * MOST_COUNTED
        assert await inbox.counted(0, last) == dict.fromkeys(metrics, 1)

    # Looking

    async def test_summaries_are_found_page_by_page(self, inbox: Inbox) -> None:
        ids = [f"d-{number}" for number in range(7)]
        for id in ids:
            await put(inbox, id, receiver="others" if id == "d-3" else "hooks")
        await claim(inbox, 2)
        which = Filter(receiver="hooks")
        for newest_first in (False, True):
            seen = await listed(inbox, which, limit=2, newest_first=newest_first)
            while page := await listed(inbox, which, limit=2, newest_first=newest_first, after=seen[-1]):
                seen += page
            assert seen == sorted({*ids} - {"d-3"}, reverse=newest_first)
        with pytest.raises(InboxError, match="d-9"):
            await listed(inbox, after="d-9")

    async def test_summaries_are_found_in_order_of_receipt(self, inbox: Inbox) -> None:
        await put(inbox, "d-2", "d-1", "d-3")
        assert await listed(inbox) == ["d-2", "d-1", "d-3"]
        assert [summary.id for summary in await inbox.find(ALL)] == ["d-3", "d-1", "d-2"]
        assert await listed(inbox, limit=2) == ["d-2", "d-1"]
        assert await listed(inbox, limit=2, newest_first=True) == ["d-3", "d-1"]
        assert await listed(inbox, limit=0) == []

    @pytest.mark.parametrize(
        ("which", "expected"),
        [
            (Filter(), "abcd"),
            (Filter(ids=["a", "d", "none"]), "ad"),
            (Filter(ids=[]), ""),
            (Filter(states=[DEAD, WAITING]), "acd"),
            (Filter(states=[]), ""),
            (Filter(receiver="others"), "d"),
            (Filter(event="order.status"), "abd"),
            (Filter(event=""), ""),
            (Filter(since=NOW + 1), "bcd"),
            (Filter(before=NOW + 2), "ab"),
            (Filter(since=NOW + 1, before=NOW + 2), "b"),
            (Filter(handler="h"), "a"),
            (Filter(handler="g"), ""),
            (Filter(states=[DEAD], receiver="hooks", event="order.status", handler="h"), "a"),
            (Filter(states=[DONE], ids=["a"]), ""),
            (Filter(id_begins="a"), "a"),
            (Filter(id_begins=""), "abcd"),
            (Filter(id_begins="ab"), ""),
            (Filter(ordering_key="o-1"), "bd"),
            (Filter(ordering_key="o-1", receiver="hooks"), "b"),
            (Filter(ordering_key="o"), ""),
            (Filter(handler="h", handler_states=[DONE]), "b"),
            (Filter(handler="h", handler_states=[DONE, DEAD]), "ab"),
            (Filter(handler="g", handler_states=[DEAD, WAITING]), ""),
            (Filter(handler="h", handler_states=[]), ""),
            (Filter(error="ValueError: no"), "a"),
            (Filter(error="ValueError: no", handler="h", states=[DEAD]), "a"),
            (Filter(error="ValueError: no", handler="g"), ""),
            (Filter(error="ValueError"), ""),
        ],
    )
    async def test_every_part_of_a_filter_narrows_it(self, inbox: Inbox, which: Filter, expected: str) -> None:
        await put(inbox, "a")
        failed = FailedAttempt("h", 1, NOW, 1, "dead", "ValueError: no 'x'")
        handlers = {"h": HandlerState(DEAD, 1, 1), "g": HandlerState(DONE, 1, 1)}
        await finish(inbox, DEAD, handlers=handlers, attempts=[failed])
        await put(inbox, "b", now=NOW + 1, ordering_key="o-1")
        await finish(inbox, handlers={"h": HandlerState(DONE, 1, 1)}, now=NOW + 1)
        await put(inbox, "c", now=NOW + 2, event=None)
        await put(inbox, "d", now=NOW + 3, receiver="others", ordering_key="o-1")
        assert await listed(inbox, which) == [*expected]
        assert [each.id for page in await paged(inbox, which) for each in page.summaries] == [*expected]
        assert await inbox.total(which, seconds=60) == Total(len(expected), is_exact=True)
        assert [each.summary.id for each in await dumped(inbox, which)] == [*expected]
        assert await inbox.purge(which, NOW, limit=10) == len(expected)
        assert await listed(inbox, which) == []

    async def test_a_delivery_is_found_by_its_id_or_the_beginning_of_it(self, inbox: Inbox) -> None:
        await put(inbox, "abc", "abd", "ab", "x%1", "x_2", "Y")
        assert (await kept(inbox, "abc")).summary.id == "abc"
        assert (await kept(inbox, "ab")).summary.id == "ab", "an id as a whole comes before longer ones"
        assert (await kept(inbox, "x%")).summary.id == "x%1"
        assert (await kept(inbox, "x_")).summary.id == "x_2"
        assert await inbox.get("b") is None
        assert await inbox.get("abcd") is None
        assert await inbox.get("y") is None
        for several in ("a", "x", ""):
            with pytest.raises(AmbiguousId):
                await inbox.get(several)

    async def test_deliveries_are_found_by_when_they_were_due_and_by_whose_they_are_not(self, inbox: Inbox) -> None:
        await put(inbox, "fresh", "retried", "held", "done", "leased")
        claims = await claim(inbox)
        for id, due in (("fresh", NOW), ("retried", NOW + 60)):
            await settle(inbox, claims[id], WAITING, due=due)
        await inbox.pause("h", NOW)
        await settle(inbox, claims["held"], WAITING, paused_by="h")
        await settle(inbox, claims["done"], DONE)
        await put(inbox, "theirs", receiver="others")

        async def found(**which: Any) -> set[str]:
            return {each.id for each in await inbox.find(Filter(**which))}

        assert await found(due_before=NOW + 1) == {"fresh", "theirs"}
        assert await found(due_before=NOW + 61) == {"fresh", "retried", "leased", "theirs"}
        assert await found(due_before=NOW + 61, not_receivers=["others"]) == {"fresh", "retried", "leased"}
        assert await found(due_before=NOW + 61, not_receivers=["hooks"]) == {"theirs"}
        assert await found(due_before=NOW + 61, not_receivers=["hooks", "others"]) == set()
        assert len(await found(not_receivers=[])) == 6
        assert await found(due_before=NOW + 61, states=[DEAD, DONE]) == set()

    # Looking in bounded time

    _LOOKS = (
        *(ALL, Filter(receiver="hooks"), Filter(event="rare"), Filter(id_begins="d-1"), Filter(ids=["d-3", "d-20"])),
        *(Filter(states=[DEAD]), Filter(states=[WAITING]), Filter(states=[DONE]), Filter(states=[DEAD, WAITING])),
        *(Filter(states=[UNHANDLED, DEAD], receiver="others"), Filter(states=[WAITING], event="rare")),
        *(Filter(states=[]), Filter(ids=[]), Filter(handler="h"), Filter(handler="h", handler_states=[DONE])),
        *(Filter(ordering_key="o-1"), Filter(ordering_key="o-1", receiver="hooks"), Filter(error="because")),
        *(Filter(since=NOW + 11), Filter(before=NOW + 11), Filter(since=NOW + 5, before=NOW + 9, receiver="hooks")),
    )

    async def _lived(self, inbox: Inbox, another: Inbox) -> None:
        """Put deliveries of all kinds into the inbox, and load some."""
        await put(another, "d-100", "d-101", receiver="others", event="rare", ordering_key="o-1", now=NOW + 8)
        await inbox.load(await dumped(another), NOW)
        for number in range(24):
            receiver = "others" if number % 5 == 0 else "hooks"
            event = "rare" if number in (2, 20) else "order.status"
            key = f"o-{number % 3}" if number % 4 else None
            await put(inbox, f"d-{number}", now=NOW + number, receiver=receiver, event=event, ordering_key=key)
        claims = {**await claim(inbox, now=NOW + 30), **await claim(inbox, now=NOW + 30, receiver="others")}
        for number, each in enumerate(claims.values()):
            state = (DONE, DEAD, UNHANDLED, WAITING)[number % 4]
            handlers = {"h": HandlerState(state, 1, 1)} if state is not UNHANDLED else {}
            assert await settle(inbox, each, state, now=NOW + 40, due=None, handlers=handlers, reason="because")
        await inbox.put(batch("b-1", "x", "y", "z", received=NOW + 50), NOW + 50)

    @pytest.mark.parametrize("newest_first", [False, True])
    async def test_the_pages_together_have_what_is_found(
        self, inbox: Inbox, another: Inbox, newest_first: bool
    ) -> None:
        await self._lived(inbox, another)
        for which in self._LOOKS:
            found = [*await inbox.find(which, newest_first=newest_first)]
            for limit, seconds in ((1, 0), (3, 60), (100, 0)):
                pages = await paged(inbox, which, limit=limit, seconds=seconds, newest_first=newest_first)
                assert [each for page in pages for each in page.summaries] == found, which
                assert all(len(page.summaries) <= limit for page in pages)
                assert all((page.reached is None) == (page.next is None) for page in pages)
            total = await inbox.total(which, seconds=60)
            assert total == Total(len(found), is_exact=True), which

    async def test_a_page_that_is_just_full_is_the_last_one(self, inbox: Inbox) -> None:
        await put(inbox, "d-1", "d-2", "d-3")
        page = await inbox.page(ALL, limit=3, seconds=60)
        assert ([each.id for each in page.summaries], page.next) == (["d-3", "d-2", "d-1"], None)
        page = await inbox.page(ALL, limit=2, seconds=60)
        assert page.next is not None
        assert page.reached == NOW

    async def test_a_look_without_time_looks_at_some_and_says_how_far_it_came(self, inbox: Inbox) -> None:
        await asyncio.gather(*[inbox.put(entry(f"d-{each}", received=NOW + each), NOW) for each in range(1500)])
        (oldest,) = await listed(inbox, limit=1)
        which = Filter(event="no.such")
        pages = await paged(inbox, which, seconds=0, newest_first=True)
        assert not any(page.summaries for page in pages)
        reached = [page.reached or 0.0 for page in pages[:-1]]
        assert reached == sorted(reached, reverse=True), "each goes on from the one before"
        total = await inbox.total(which, seconds=0)
        assert total.number == 0
        assert await inbox.total(which, seconds=60) == Total(0, is_exact=True)
        assert (await kept(inbox, oldest)).summary.received == NOW

    async def test_a_cursor_outlives_the_delivery_that_it_is_from(self, inbox: Inbox) -> None:
        await put(inbox, *[f"d-{number}" for number in range(6)])
        first = await inbox.page(ALL, limit=2)
        await inbox.purge(Filter(ids=["d-4", "d-3", "d-5"]), NOW, limit=9)
        second = await inbox.page(ALL, limit=2, after=first.next)
        assert [each.id for each in second.summaries] == ["d-2", "d-1"]

    async def test_a_page_tells_where_what_is_newer_begins(self, inbox: Inbox) -> None:
        empty = await inbox.page(ALL, limit=2)
        assert empty == Page([], None, None, None)
        await put(inbox, "d-1", "d-2", "d-3")
        first = await inbox.page(ALL, limit=2)
        second = await inbox.page(ALL, limit=2, after=first.next)
        back = await inbox.page(ALL, limit=2, after=second.previous, newest_first=False)
        assert [each.id for each in back.summaries] == ["d-2", "d-3"]
        await put(inbox, "d-4", "d-5")
        newer = await inbox.page(ALL, limit=9, after=first.previous, newest_first=False)
        assert [each.id for each in newer.summaries] == ["d-4", "d-5"]

    @pytest.mark.parametrize("cursor", ["", "d-1", "1.5", "9" * 30, "\u0661", "' OR 1"])
    async def test_what_is_no_cursor_is_an_error(self, inbox: Inbox, cursor: str) -> None:
        await put(inbox, "d-1")
        with pytest.raises(InboxError, match="cursor"):
            await inbox.page(ALL, limit=2, after=cursor)
        with pytest.raises(InboxError, match="at least one"):
            await inbox.page(ALL, limit=0)

    async def test_a_span_of_time_is_found_though_a_clock_was_a_little_wrong(
        self, inbox: Inbox, another: Inbox
    ) -> None:
        await put(another, "loaded-1", "loaded-2", now=NOW + 100)
        await inbox.load(await dumped(another), NOW)
        for number in range(20):
            ahead = OUT_OF_ORDER if number % 7 == 3 else 0
            await put(inbox, f"d-{number}", now=NOW + number * 600 + ahead)
        for since in (None, NOW, NOW + 50, NOW + 3000, NOW + 8400, NOW + 10**6):
            for before in (None, NOW, NOW + 3000, NOW + 3600, NOW + 10**6):
                which = Filter(since=since, before=before)
                for newest_first in (False, True):
                    pages = await paged(inbox, which, newest_first=newest_first, seconds=60)
                    found = [each.id for page in pages for each in page.summaries]
                    assert found == await listed(inbox, which, newest_first=newest_first)

    async def test_the_total_of_states_is_exact_however_short_the_time(self, inbox: Inbox, another: Inbox) -> None:
        await self._lived(inbox, another)
        counts = (await inbox.stats()).counts
        for states in ([DEAD], [WAITING, DONE], [*State], [DEAD, DEAD], []):
            total = await inbox.total(Filter(states=states), seconds=0)
            assert total == Total(sum(counts[state] for state in {*states}), is_exact=True)
        assert await inbox.total(ALL, seconds=0) == Total(sum(counts.values()), is_exact=True)

    # What dead letters died of

    async def _die(self, inbox: Inbox, id: str, *errors: tuple[str, str], now: float = NOW, **fields: Any) -> None:
        """Put a delivery that dies of an error in each of its handlers."""
        await put(inbox, id, now=now, **fields)
        (claimed,) = (await claim(inbox, now=now, receiver=fields.get("receiver", "hooks"))).values()
        tries = [FailedAttempt(name, 1, now, 1, "retry", "OSError: first") for name, _ in errors]
        last = [FailedAttempt(name, 2, now, 1, "dead", error) for name, error in errors]
        handlers = {name: HandlerState(DEAD, 2, 2) for name, _ in errors} | {"fine": HandlerState(DONE, 1, 1)}
        handlers[f"{DEAD_LETTER_HANDLER}tell"] = HandlerState(DEAD, 1, 1)
        tries += [FailedAttempt(f"{DEAD_LETTER_HANDLER}tell", 1, now, 1, "dead", "KeyError: 'tell'")]
        await settle(inbox, claimed, DEAD, now=now, handlers=handlers, attempts=[*tries, *last], reason="h: it failed")

    async def test_dead_letters_are_grouped_by_receiver_handler_and_error(self, inbox: Inbox) -> None:
        await self._die(inbox, "d-1", ("h", "ValueError: order 7 is unknown"))
        await self._die(inbox, "d-2", ("h", "ValueError: order 12 is unknown"), ("g", "KeyError: 'a'"), now=NOW + 2)
        await self._die(inbox, "d-3", ("h", "ValueError: order 9"), receiver="others", now=NOW + 3)
        await put(inbox, "d-5", "d-6")
        await finish(inbox)
        await put(inbox, "d-4", dead="the body is no JSON", event=None, now=NOW + 4)
        found = await inbox.dead_letters(ALL, seconds=60)
        assert (found.number, found.reached) == (4, None)
        assert found.groups == [
            DeadGroup("hooks", "h", "ValueError: order", 2, "d-2", NOW + 2, "ValueError: order 12 is unknown"),
            DeadGroup("hooks", None, "the body is no JSON", 1, "d-4", NOW + 4, "the body is no JSON"),
            DeadGroup("others", "h", "ValueError: order", 1, "d-3", NOW + 3, "ValueError: order 9"),
            DeadGroup("hooks", "g", "KeyError", 1, "d-2", NOW + 2, "KeyError: 'a'"),
        ]
        ids = [await listed(inbox, group.filter) for group in found.groups]
        assert ids == [["d-1", "d-2"], ["d-4"], ["d-3"], ["d-2"]]
        some = await inbox.dead_letters(Filter(receiver="hooks", handler="h", since=NOW + 1), seconds=60)
        assert [(group.newest, group.number) for group in some.groups] == [("d-2", 1)]

    async def test_a_group_of_dead_letters_is_replayed_page_by_page(self, inbox: Inbox) -> None:
        for number in range(7):
            await self._die(inbox, f"d-{number}", ("h", f"ValueError: {number}"), now=NOW + number)
        await self._die(inbox, "other", ("h", "KeyError: 1"), now=NOW + 9)
        (group, _) = (await inbox.dead_letters(ALL, seconds=60)).groups
        replayed = 0
        for page in await paged(inbox, group.filter):
            replayed += await inbox.replay([each.id for each in page.summaries], NOW, handler="h")
        assert replayed == group.number == 7
        left = await inbox.dead_letters(ALL, seconds=60)
        assert [(each.error, each.number) for each in left.groups] == [("KeyError", 1)]

    async def test_what_died_again_died_of_the_last_error(self, inbox: Inbox) -> None:
        await self._die(inbox, "d-1", ("h", "ValueError: first"))
        await inbox.replay(["d-1"], NOW)
        claims = await claim(inbox)
        last = FailedAttempt("h", 3, NOW, 1, "dead", "KeyError: second")
        await settle(inbox, claims["d-1"], DEAD, handlers={"h": HandlerState(DEAD, 3, 1)}, attempts=[last])
        (group,) = (await inbox.dead_letters(ALL, seconds=60)).groups
        assert (group.error, await listed(inbox, group.filter)) == ("KeyError: second", ["d-1"])

    @pytest.mark.parametrize(
        ("error", "expected"),
        [
            ("ValueError", "ValueError"),
            ("TimeoutError: it took more than 5 s", "TimeoutError: it took more than"),
            ("GiveUp: no such order\nsecond line", "GiveUp: no such order"),
            ('HTTPStatusError: "404 Not Found"', "HTTPStatusError"),
            ("KeyError: `a`", "KeyError"),
            ("OSError: [Errno 28] No space", "OSError: [Errno"),
            ("ключ 鍵: \U0001f6f0 %s \\ 7", "ключ 鍵: \U0001f6f0 %s \\"),
            ("12 monkeys", ""),
            ("x" * 700, "x" * MOST_OF_AN_ERROR),
        ],
    )
    async def test_a_group_has_the_beginning_of_its_errors(self, inbox: Inbox, error: str, expected: str) -> None:
        await self._die(inbox, "d-1", ("h", error))
        (group,) = (await inbox.dead_letters(ALL, seconds=60)).groups
        assert (group.error, group.example) == (expected, error)
        assert await listed(inbox, group.filter) == ["d-1"]

    async def test_a_delivery_whose_last_attempt_is_not_known_died_of_its_reason(self, inbox: Inbox) -> None:
        await put(inbox, "d-1")
        await finish(inbox, DEAD, handlers={"h": HandlerState(DEAD, 1, 1)}, reason="h: dead since an attempt of 1970")
        (group,) = (await inbox.dead_letters(ALL, seconds=60)).groups
        assert (group.handler, group.error) == ("h", "h: dead since an attempt of")
        assert await listed(inbox, group.filter) == ["d-1"]

    # Audit records

    async def test_audit_records_are_listed_the_newest_first_page_by_page(self, inbox: Inbox) -> None:
        assert await inbox.audited(limit=9) == []
        records = [
            AuditRecord(NOW + number, "anna", "replay", {"handler": "h", "since": number, "all": None}, number)
            for number in range(5)
        ]
        given = [await inbox.audit(record) for record in [*records, AuditRecord(NOW - 9, "otto", "pause")]]
        seen = [*await inbox.audited(limit=2)]
        assert seen[0] == AuditRecord(NOW - 9, "otto", "pause", {}, None, seen[0].number)
        while page := await inbox.audited(limit=2, before=seen[-1].number):
            seen += page
        assert [each._replace(number=0) for each in seen[1:]] == records[::-1]
        numbers = [each.number for each in seen]
        assert numbers == given[::-1] == sorted({*numbers}, reverse=True)

    async def test_what_an_audited_action_has_done_adds_up(self, inbox: Inbox) -> None:
        first, second = [await inbox.audit(AuditRecord(NOW, "anna", "purge", {}, 9, 0, 7)) for _ in range(2)]
        for number, count in ((first, 3), (first, 0), (first, 4), (second + 1, 5)):
            await inbox.audit_done(number, count)
        assert [each.done for each in await inbox.audited(limit=9)] == [None, 7]

    @pytest.mark.parametrize("text", ["a\x00b", "ключ 鍵", "'; DROP TABLE audit; --", "", "%_\\", "\u202e<script>"])
    async def test_any_text_may_be_audited(self, inbox: Inbox, text: str) -> None:
        await inbox.audit(AuditRecord(NOW, text, text, {text: [text, 1.5, True]}))
        (found,) = await inbox.audited(limit=1)
        assert (found.who, found.action, found.parameters) == (text, text, {text: [text, 1.5, True]})

    @pytest.mark.parametrize(
        "bad",
        [
            AuditRecord(NOW, "a" * (MOST_OF_AUDIT + 1), "replay"),
            AuditRecord(NOW, "anna", "a" * (MOST_OF_AUDIT + 1)),
            AuditRecord(NOW, "anna", "replay", {"ids": ["a" * 32] * 200}),
            AuditRecord(NOW, "anna", "replay", {"body": b"bytes"}),
            AuditRecord(NOW, "anna", "replay", {"since": float("nan")}),
            AuditRecord(NOW, "\ud800", "replay"),
        ],
    )
    async def test_a_record_that_cannot_be_stored_fails_alone(self, inbox: Inbox, bad: AuditRecord) -> None:
        good = AuditRecord(NOW, "anna", "replay")
        found = await asyncio.gather(inbox.audit(good), inbox.audit(bad), inbox.audit(good), return_exceptions=True)
        assert [type(each) for each in found] == [int, InboxError, int]
        assert len(await inbox.audited(limit=9)) == 2

    async def test_expire_removes_audit_records_past_their_retention(self, inbox: Inbox) -> None:
        for number in range(3):
            await inbox.audit(AuditRecord(NOW + number, "anna", f"{number}"))
        assert await inbox.expire(NOW + AUDIT_RETENTION) == 0
        assert await inbox.expire(NOW + AUDIT_RETENTION + 1.5) == 2
        assert [each.action for each in await inbox.audited(limit=9)] == ["2"]

    async def test_audit_records_stay_with_their_inbox(self, inbox: Inbox, another: Inbox) -> None:
        await put(inbox, "d-1")
        await inbox.audit(AuditRecord(NOW, "anna", "replay"))
        await another.load(await dumped(inbox), NOW)
        assert await another.audited(limit=9) == []
        assert len(await inbox.audited(limit=9)) == 1

    async def test_who_watches_looks_at_each_poll(self, inbox: Inbox) -> None:
        async with asyncio.timeout(30), aclosing(inbox.watch("hooks", 0.001)) as watching:
            for _ in range(3):
                await anext(watching)

    async def test_stats_say_how_it_stands(self, inbox: Inbox) -> None:
        empty = await inbox.stats()
        assert (empty.counts, empty.running, empty.oldest_waiting) == (dict.fromkeys(State, 0), 0, None)
        for number, state in enumerate([DONE, DONE, DEAD, UNHANDLED]):
            await put(inbox, f"d-{number}")
            await finish(inbox, state)
        await put(inbox, "w-1", now=NOW + 1)
        await put(inbox, "w-2", now=NOW + 2)
        await claim(inbox, 1)
        stats = await inbox.stats()
        assert stats.counts == {WAITING: 2, DONE: 2, DEAD: 1, UNHANDLED: 1}
        assert (stats.running, stats.oldest_waiting) == (1, NOW + 1)

    async def test_stats_say_when_those_that_fail_are_expected_to_be_dead(self, inbox: Inbox) -> None:
        async def fail(id: str, paused_by: str | None = None, **handlers: HandlerState) -> None:
            await put(inbox, id)
            due = None if paused_by else NOW + 5
            await finish(inbox, WAITING, due=due, paused_by=paused_by, handlers=handlers)

        failing = HandlerState(WAITING, 1, 1, NOW + 5)
        await inbox.pause("paused", NOW)
        await fail("d-1", a=failing._replace(expected_dead=NOW + 5000))
        await fail("d-2", a=failing._replace(expected_dead=NOW + 70), b=failing._replace(expected_dead=NOW + 50.5))
        await fail("d-3", a=HandlerState(DONE, 2, 2), b=HandlerState(DEAD, 2, 2), c=failing)
        await fail("d-4", "paused", paused=failing._replace(expected_dead=NOW + 1))
        stats = await inbox.stats()
        assert [*stats.expected_dead] == [NOW + 50.5, NOW + 5000]
        assert (stats.dead_within_hour(NOW), stats.dead_within_hour(NOW + 2000)) == (1, 2)
        await inbox.replay(["d-2"], NOW)
        assert [*(await inbox.stats()).expected_dead] == [NOW + 5000]
        claims = await claim(inbox, now=NOW + 10)
        assert claims["d-1"].handlers == {"a": failing._replace(expected_dead=NOW + 5000)}

    async def test_a_dead_one_that_somebody_hears_of_is_not_running(self, inbox: Inbox) -> None:
        await put(inbox, "d-1", dead="not JSON")
        await claim(inbox)
        assert (await inbox.stats()).running == 0

    async def test_it_says_who_is_leased(self, inbox: Inbox) -> None:
        await put(inbox, "d-1")
        assert not (await kept(inbox, "d-1")).summary.leased
        await claim(inbox)
        summary = (await kept(inbox, "d-1")).summary
        assert (summary.leased, summary.due) == (True, NOW + LEASE)

    # Moving

    async def _filled(self, inbox: Inbox) -> list[StoredDelivery]:
        """Put a delivery of each kind into the inbox; return the dump."""
        await put(inbox, "done", key=b"k", identity="o-1", ordering_key="a")
        await finish(inbox, handlers={"h": HandlerState(DONE, 2, 2)})
        await put(inbox, "unhandled")
        await finish(inbox, UNHANDLED, reason="no handler wants it")
        await put(inbox, "dead")
        await finish(
            inbox,
            DEAD,
            handlers={"h": HandlerState(DEAD, 3, 3)},
            reason="why",
            attempts=[FailedAttempt("h", number, NOW, 1, "retry", "ValueError", "File") for number in (1, 2, 3)],
        )
        await put(inbox, "retried", ordering_key="b")
        await finish(inbox, WAITING, due=NOW + 50, handlers={"h": HandlerState(WAITING, 1, 1, NOW + 50)})
        await put(inbox, "leased", ordering_key="c")
        await claim(inbox)
        await put(inbox, "waiting-1", "waiting-2", ordering_key="c", via="backfill")
        return await dumped(inbox)

    async def test_what_one_dumps_another_loads(self, inbox: Inbox, another: Inbox) -> None:
        dump = await self._filled(inbox)
        assert await another.load(dump, NOW) == 7
        loaded = await dumped(another)
        assert [each.delivery for each in loaded] == [each.delivery for each in dump]
        for before, after in zip(dump, loaded, strict=True):
            was, now = before.summary, after.summary
            assert (before.attempts, before.key, before.ordering_key) == (after.attempts, after.key, after.ordering_key)
            assert now == was._replace(due=now.due, leased=False)
        claims = await claim(another)
        assert "leased" in claims, "leases do not move"
        assert {*claims} <= {"leased", "retried"}, "what waits for its retry may be due at once"
        assert claims["leased"].crashes == 0
        for each in claims.values():
            await settle(another, each, WAITING, due=NOW + 50)
        assert [*await claim(another, now=NOW + 50)] == ["retried", "leased"]

    async def test_what_is_loaded_is_known_as_kept(self, inbox: Inbox, another: Inbox) -> None:
        await another.load(await self._filled(inbox), NOW)
        assert await put(another, "d-1", key=b"k", identity="o-1") == [Duplicate("done")]
        assert await put(another, "b-1", via="backfill", identity="o-1") == [Duplicate("done")]
        assert await another.replay(["dead"], NOW) == 1

    async def test_what_is_loaded_twice_is_kept_once(self, inbox: Inbox, another: Inbox) -> None:
        dump = await self._filled(inbox)
        assert await another.load([*dump, *dump], NOW) == 7
        assert await another.load(dump, NOW) == 0
        same_key = dump[0]._replace(
            summary=dump[0].summary._replace(id="x"), delivery=replace(dump[0].delivery, id="x")
        )
        assert await another.load([same_key], NOW) == 0
        assert len(await listed(another)) == 7

    async def test_a_body_that_came_again_after_the_window_is_loaded_too(self, inbox: Inbox, another: Inbox) -> None:
        await put(inbox, "d-1", key=b"k", now=NOW - 365 * 86_400)
        await put(inbox, "d-2", key=b"k", now=NOW)
        dump = await dumped(inbox)
        assert await another.load(dump[:1], NOW) == 1
        assert await another.load(dump, NOW) == 1

    async def test_what_waits_there_and_is_dead_here_is_replayed(self, inbox: Inbox, another: Inbox) -> None:
        await put(inbox, "d-1", key=b"k")
        await put(another, "d-2", key=b"k")
        await finish(another, DEAD)
        assert await another.load(await dumped(inbox), NOW) == 0
        assert [*await claim(another)] == ["d-2"]

    async def test_what_is_loaded_comes_before_what_is_there(self, inbox: Inbox, another: Inbox) -> None:
        await put(inbox, "d-1", "d-2", ordering_key="o-1")
        dump = await dumped(inbox)
        await put(another, "e-1", "e-2", ordering_key="o-1")
        await another.load(dump[1:], NOW)
        await another.load(dump[:1], NOW)
        assert await listed(another) == ["d-1", "d-2", "e-1", "e-2"]
        assert [id for _ in range(4) for id in await finish(another)] == ["d-1", "d-2", "e-1", "e-2"]

    async def test_nobody_passes_a_loaded_one_that_waits_for_its_retry(self, inbox: Inbox, another: Inbox) -> None:
        await put(inbox, "d-1", ordering_key="o-1")
        handlers = {"h": HandlerState(WAITING, 1, 1, NOW + 50)}
        await finish(inbox, WAITING, due=NOW + 50, handlers=handlers)
        await put(another, "e-1", ordering_key="o-1")
        await another.load(await dumped(inbox), NOW)
        assert "e-1" not in await claim(another, now=NOW + 1)
        assert (await claim(another, now=NOW + 50))["d-1"].handlers == handlers

    async def test_what_is_loaded_waits_for_a_leased_one_of_its_ordering_key(
        self, inbox: Inbox, another: Inbox
    ) -> None:
        await put(inbox, "d-1", ordering_key="o-1")
        await put(another, "e-1", ordering_key="o-1")
        leased = (await claim(another))["e-1"]
        await another.load(await dumped(inbox), NOW)
        assert await claim(another) == {}
        await settle(another, leased, WAITING, due=NOW)
        assert [(await finish(another)) for _ in range(2)] == [["d-1"], ["e-1"]]

    async def test_one_that_waits_for_a_paused_handler_is_loaded_as_due(self, inbox: Inbox, another: Inbox) -> None:
        await put(inbox, "d-1")
        await inbox.pause("h", NOW)
        await finish(inbox, WAITING, paused_by="h")
        await another.load(await dumped(inbox), NOW)
        assert (await kept(another, "d-1")).summary.paused_by is None
        assert [*await claim(another)] == ["d-1"]

    async def test_a_dead_one_that_waits_for_a_paused_handler_is_loaded_as_due(
        self, inbox: Inbox, another: Inbox
    ) -> None:
        await put(inbox, "d-1")
        await inbox.pause("h", NOW)
        await finish(inbox, DEAD, paused_by="h")
        await another.load(await dumped(inbox), NOW)
        assert (await claim(another))["d-1"].state is DEAD

    async def test_a_dead_one_that_nobody_heard_of_yet_is_loaded_as_such(self, inbox: Inbox, another: Inbox) -> None:
        await put(inbox, "d-1", dead="not JSON")
        await another.load(await dumped(inbox), NOW)
        assert (await claim(another))["d-1"].state is DEAD

    async def test_a_dump_may_take_long_and_holds_nothing_up(self, inbox: Inbox) -> None:
        ids = [f"d-{number:03}" for number in range(500)]
        await asyncio.gather(*[inbox.put(entry(id), NOW) for id in ids])
        dump = aiter(inbox.dump(ALL))
        first = await anext(dump)
        await put(inbox, "later")
        assert len(await claim(inbox, 1)) == 1
        await inbox.purge(Filter(ids=["d-400"]), NOW, limit=1)
        others = [each async for each in dump]
        seen = [each.summary.id for each in (first, *others) if isinstance(each, StoredDelivery)]
        assert len({*seen}) == len(seen)
        assert set(ids) - {"d-400"} <= {*seen} <= {*ids, "later"}

    # Failing

    async def test_one_that_cannot_be_kept_fails_alone(self, inbox: Inbox) -> None:
        await put(inbox, "taken")
        entries = [entry(f"d-{number}", ordering_key="o-1") for number in range(30)]
        bad = [entry("taken"), entry("lone", identity="\ud800"), entry("lone", receiver="\udfff")]
        mixed = [*entries[:10], bad[0], *entries[10:20], bad[1], *entries[20:], bad[2]]
        found = await asyncio.gather(*[inbox.put(each, NOW) for each in mixed], return_exceptions=True)
        assert all(isinstance(each, Stored | InboxError) for each in found)
        failed = [mixed[at].delivery.id for at, each in enumerate(found) if isinstance(each, InboxError)]
        assert "taken" in failed
        assert {*failed} <= {"taken", "lone"}, "a store may take what is no text, but then it must not spoil others"
        stored = [each.id for each in found if isinstance(each, Stored) and each.id != "lone"]
        assert stored == [each.delivery.id for each in entries]
        assert {*stored} <= {*await listed(inbox)}

    async def test_a_claim_of_another_inbox_fails_alone(self, inbox: Inbox) -> None:
        await put(inbox, "d-1", "d-2")
        claims = await claim(inbox)
        strange = claims["d-1"]._replace(lease="another's")
        found = await asyncio.gather(
            settle(inbox, claims["d-1"]), settle(inbox, strange), settle(inbox, claims["d-2"]), return_exceptions=True
        )
        assert (found[0], found[2]) == (True, True)
        assert found[1] is False or isinstance(found[1], Exception)

    async def test_a_caller_that_is_cancelled_leaves_the_others_alone(self, inbox: Inbox) -> None:
        puts = [asyncio.ensure_future(inbox.put(entry(f"d-{number}"), NOW)) for number in range(20)]
        await asyncio.wait(puts, return_when=asyncio.FIRST_COMPLETED)
        for task in puts[::2]:
            task.cancel()
        found = await asyncio.gather(*puts, return_exceptions=True)
        assert [each for each in found[1::2] if not isinstance(each, Stored)] == []

    async def test_what_is_claimed_for_a_caller_that_is_cancelled_is_free_at_once(self, inbox: Inbox) -> None:
        await claim(inbox)
        await put(inbox, "d-1", "d-2", "d-3")
        for turns in range(30):
            claiming = asyncio.ensure_future(inbox.claim("hooks", 3, LEASE, NOW))
            for _ in range(turns):
                await asyncio.sleep(0)
            claiming.cancel()
            with suppress(asyncio.CancelledError):
                await inbox.release(await claiming, NOW)
            claims: dict[str, Claim] = {}
            async with asyncio.timeout(30):
                while len(claims) < 3:
                    claims |= await claim(inbox)  # no lease ends by itself, for no time passes
            assert {each.crashes for each in claims.values()} == {0}
            await inbox.release([*claims.values()], NOW)

    async def test_several_loops_in_several_threads_may_share_an_inbox(self, inbox: Inbox) -> None:
        async def put_many(name: str) -> None:
            found = await asyncio.gather(
                *[inbox.put(entry(f"{name}-{number}", key=b"k%d" % number), NOW) for number in range(50)]
            )
            assert len(found) == 50

        threads = [threading.Thread(target=asyncio.run, args=(put_many(name),)) for name in "abc"]
        for thread in threads:
            thread.start()
        await put_many("d")
        for thread in threads:
            await asyncio.to_thread(thread.join)
        assert len(await listed(inbox)) == 50
        assert len(await claim(inbox)) == 50

    # Life

    async def test_it_may_be_checked(self, inbox: Inbox) -> None:
        await inbox.check()
        assert await listed(inbox) == []

    async def test_to_open_it_twice_is_to_open_it_once(self, inbox: Inbox) -> None:
        await put(inbox, "d-1")
        assert await inbox.open() is inbox
        assert await listed(inbox) == ["d-1"]

    async def test_close_finishes_what_was_asked_for(self, make: Make) -> None:
        inbox = await make("one").open()
        puts = [inbox.put(entry(f"d-{number}"), NOW) for number in range(50)]
        *stored, _ = await asyncio.gather(*puts, inbox.close())
        assert stored == [Stored(f"d-{number}") for number in range(50)]

    async def test_before_it_is_opened_and_after_it_was_closed_it_is_unavailable(self, make: Make) -> None:
        inbox = make("one")
        for _ in range(2):
            for operation in (
                lambda: inbox.put(entry("d-1"), NOW),
                lambda: inbox.lease_poll("hooks", "api", LEASE, NOW),
                lambda: inbox.put_all([], None, PollLease("hooks", "api", None, 1), NOW),
                lambda: inbox.polls(),
                lambda: inbox.count({Metric("hooks", "answered 202"): 1}, NOW),
                lambda: inbox.counted(0, NOW),
                lambda: inbox.series(NOW, NOW + 60, 60),
                lambda: inbox.page(ALL, limit=1),
                lambda: inbox.total(ALL),
                lambda: inbox.dead_letters(ALL),
                lambda: inbox.audit(AuditRecord(NOW, "anna", "replay")),
                lambda: inbox.audit_done(1, 1),
                lambda: inbox.audited(limit=1),
                lambda: inbox.claim("hooks", 1, LEASE, NOW),
                lambda: inbox.find(ALL),
                lambda: inbox.get("d-1"),
                lambda: inbox.check(),
                lambda: inbox.stats(),
                lambda: inbox.expire(NOW),
                lambda: dumped(inbox),
            ):
                with pytest.raises(InboxUnavailable):
                    await operation()
            await inbox.open()
            await inbox.close()
            await inbox.close()

    async def test_threads_that_put_while_it_is_closed_hear_what_became_of_it(self, make: Make) -> None:
        inbox = await make("one").open()
        begun = threading.Barrier(5)
        kept: list[str] = []

        async def put_on(name: str) -> None:
            begun.wait()
            for number in range(100_000):
                try:
                    await inbox.put(entry(f"{name}-{number}"), NOW)
                except InboxUnavailable:
                    return
                kept.append(name)

        threads = [threading.Thread(target=asyncio.run, args=(put_on(name),), daemon=True) for name in "abcd"]
        for thread in threads:
            thread.start()
        await asyncio.to_thread(begun.wait)
        await inbox.close()
        for thread in threads:
            await asyncio.to_thread(thread.join, 30)
        assert not any(thread.is_alive() for thread in threads)

    # Time

    @pytest.mark.parametrize("now", [1.0, 4_000_000_000.0])
    async def test_only_the_time_that_is_passed_counts(self, inbox: Inbox, now: float) -> None:
        await put(inbox, "d-1", key=b"k", now=now)
        assert await put(inbox, "d-2", key=b"k", now=now + self.window) == [Duplicate("d-1")]
        assert await put(inbox, "d-3", key=b"k", now=now + self.window + 1) == [Stored("d-3")]
        await claim(inbox, now=now)
        assert await claim(inbox, now=now + LEASE - 0.5) == {}
        claims = await claim(inbox, now=now + LEASE)
        assert [*claims] == ["d-1", "d-3"]
        for each in claims.values():
            await settle(inbox, each, now=now + LEASE)
        assert await inbox.expire(now + LEASE + self.retention - 1) == 0
        assert await inbox.expire(now + LEASE + self.retention + 1) == 2

    async def test_a_clock_that_is_set_back_makes_nobody_wait_longer_than_meant(self, inbox: Inbox) -> None:
        await put(inbox, "leased", "retried")
        claims = await claim(inbox)
        handlers = {"h": HandlerState(WAITING, 1, 1, NOW + 10, expected_dead=NOW + 100)}
        await settle(inbox, claims["retried"], WAITING, due=NOW + 10, handlers=handlers)
        past = NOW - 365 * DAY
        await put(inbox, "new", now=past)
        assert [*await claim(inbox, now=past)] == ["new"]
        again = await claim(inbox, now=past + 10)
        assert [*again] == ["retried"]
        assert again["retried"].handlers["h"].due <= past + 10
        assert (again["retried"].handlers["h"].expected_dead or NOW) <= past + 100
        assert "leased" in await claim(inbox, now=past + LEASE)


class SharedInboxSuite(InboxSuite):
    """The contract of a store that outlives its objects, and that several of them share."""

    @pytest.fixture
    async def other(self, make: Make, inbox: Inbox) -> AsyncIterator[Inbox]:
        """Another object on the same store, as another process has one."""
        other = await make("one").open()
        yield other
        await other.close()

    async def test_both_have_the_same_clock(self, inbox: Inbox, other: Inbox) -> None:
        await inbox.stats()
        await other.stats()
        assert abs(inbox.clock() - other.clock()) < 5

    async def test_what_one_has_put_the_other_sees_and_claims(self, inbox: Inbox, other: Inbox) -> None:
        await put(inbox, "d-1", "d-2")
        assert await listed(other) == ["d-1", "d-2"]
        assert [*await claim(other, 1), *await claim(inbox)] == ["d-1", "d-2"]
        assert await claim(other) == {}

    async def test_of_duplicates_put_through_both_at_one_moment_one_is_kept(self, inbox: Inbox, other: Inbox) -> None:
        through = [inbox, other] * 25
        found = await asyncio.gather(
            *[each.put(entry(f"d-{number}", key=b"k"), NOW) for number, each in enumerate(through)]
        )
        assert sum(isinstance(each, Stored) for each in found) == 1
        assert len(await listed(inbox)) == 1

    async def test_of_two_senders_that_register_one_name_at_one_moment_one_gets_it(
        self, inbox: Inbox, other: Inbox
    ) -> None:
        await put(inbox, "d-1", receiver="webhooks")
        one, two = [Registration("webhooks", name, "Unsigned", by_default=True) for name in ("one", "two")]
        first, second = await asyncio.gather(inbox.register(one), other.register(two))
        assert first == second
        assert first in (one, two)

    async def test_an_ordering_key_is_held_by_one_delivery_for_both(self, inbox: Inbox, other: Inbox) -> None:
        await put(inbox, "d-1", ordering_key="o-1")
        await put(other, "d-2", ordering_key="o-1")
        first = await claim(other)
        assert [*first] == ["d-1"]
        assert await claim(inbox) == {}
        assert await settle(inbox, first["d-1"]), "a lease belongs to whoever has the claim"
        assert [*await claim(inbox)] == ["d-2"]

    async def test_both_claiming_at_once_never_share_a_delivery(self, inbox: Inbox, other: Inbox) -> None:
        ids = [f"d-{number:02}" for number in range(60)]
        await put(inbox, *ids)
        claims = await asyncio.gather(*[claim(each, 2) for each in [inbox, other] * 20])
        assert sorted(id for each in claims for id in each) == ids

    async def test_a_lease_lost_to_the_other_changes_nothing(self, inbox: Inbox, other: Inbox) -> None:
        await put(inbox, "d-1")
        lost = (await claim(inbox))["d-1"]
        mine = (await claim(other, now=NOW + LEASE))["d-1"]
        assert not await settle(inbox, lost, DEAD)
        assert await settle(other, mine)

    async def test_a_poll_lost_to_the_other_stores_nothing(self, inbox: Inbox, other: Inbox) -> None:
        stopped = await poll(inbox)
        assert await other.lease_poll("hooks", "api", LEASE, NOW) is None
        mine, later = await poll(other, now=NOW + LEASE), NOW + LEASE
        found = await asyncio.gather(
            *[inbox.put_all([entry(f"lost-{n}")], "old", stopped, later) for n in range(5)],
            *[other.put_all([entry(f"d-{n}")], "new", mine, later) for n in range(5)],
            return_exceptions=True,
        )
        assert [type(each) for each in found] == [PollLeaseLost] * 5 + [list] * 5
        assert sorted(await listed(inbox)) == [f"d-{n}" for n in range(5)]
        assert [each.cursor for each in await inbox.polls()] == ["new"]

    async def test_of_a_page_and_puts_through_both_each_happening_is_stored_once(
        self, inbox: Inbox, other: Inbox
    ) -> None:
        await self._race(inbox, other)

    async def test_the_counts_of_both_add_up(self, inbox: Inbox, other: Inbox) -> None:
        await self._count_beside(inbox, other)

    async def test_a_pause_is_one_for_both(self, inbox: Inbox, other: Inbox) -> None:
        await inbox.pause("h", NOW)
        assert await other.paused() == {"h"}
        await put(other, "d-1")
        await settle(other, (await claim(other))["d-1"], WAITING, paused_by="h")
        assert await inbox.resume("h")
        assert [*await claim(other)] == ["d-1"]

    async def test_everything_is_there_when_it_is_opened_again(self, inbox: Inbox, make: Make) -> None:
        before = await self._filled(inbox)
        await inbox.pause("h", NOW)
        await inbox.audit(AuditRecord(NOW, "anna", "pause", {"handler": "h"}))
        await inbox.close()
        again = await make("one").open()
        try:
            assert await dumped(again) == before
            assert await again.paused() == {"h"}
            assert [each.parameters for each in await again.audited(limit=9)] == [{"handler": "h"}]
            claims = await claim(again, now=NOW + LEASE)
            assert (claims["leased"].crashes, [*claims]) == (1, ["leased"])
        finally:
            await again.close()

    async def test_one_object_may_be_opened_again(self, inbox: Inbox) -> None:
        await put(inbox, "d-1")
        await inbox.close()
        await inbox.open()
        assert await listed(inbox) == ["d-1"]
        assert [*await claim(inbox)] == ["d-1"]


class RemovedBodiesSuite(_OnTwoStores):
    """The contract of an inbox that removes the bodies of DONE deliveries before these, as tests."""

    keep_body = DAY
    """Seconds for which the store under test keeps such a body: less than half of its retention."""

    async def test_the_body_of_a_done_delivery_goes_before_the_delivery(self, inbox: Inbox) -> None:
        await put(inbox, "d-1", "d-2", "d-3", now=NOW)
        claims = await claim(inbox)
        await settle(inbox, claims["d-1"], handlers={"h": HandlerState(DONE, 2, 2)})
        await settle(inbox, claims["d-2"], DEAD)
        await settle(inbox, claims["d-3"], UNHANDLED)
        before = {each.summary.id: each for each in await dumped(inbox)}
        assert await inbox.expire(NOW + self.keep_body - 1) == 0
        assert {each.summary.id: each for each in await dumped(inbox)} == before
        assert await inbox.expire(NOW + self.keep_body + 1) == 1
        assert await inbox.expire(NOW + self.keep_body + 1) == 0
        one = before.pop("d-1")
        emptied = one._replace(
            summary=one.summary._replace(body_removed=True), delivery=replace(one.delivery, headers=(), body=b"")
        )
        assert await kept(inbox, "d-1") == emptied
        assert await dumped(inbox) == [emptied, *before.values()]
        assert await inbox.find(Filter(ids=["d-1"])) == [emptied.summary]

    async def test_a_delivery_without_a_body_is_not_replayed(self, inbox: Inbox) -> None:
        later = NOW + self.keep_body + 1
        await put(inbox, "d-1", "d-2")
        await finish(inbox)
        await put(inbox, "d-3")
        while await inbox.expire(later):
            pass
        assert await inbox.replay(["d-1", "d-2", "d-3"], later) == 1
        assert await finish(inbox, now=later) == ["d-3"]
        assert await inbox.replay(["d-3"], later) == 1

    async def test_a_duplicate_of_a_delivery_without_a_body_is_known(self, inbox: Inbox, another: Inbox) -> None:
        later = NOW + self.keep_body + 1
        old = entry("d-1", key=b"k", identity="o", lasting=True)
        await inbox.put(old, NOW)
        await finish(inbox)
        while await inbox.expire(later):
            pass
        await another.load(await dumped(inbox), later)
        for store in (inbox, another):
            assert await store.put(old._replace(delivery=replace(old.delivery, id="d-2")), later) == Duplicate("d-1")
            assert (await kept(store, "d-1")).summary.body_removed
            assert await store.replay(["d-1"], later) == 0

    @pytest.mark.parametrize("order", [*permutations(("d-1", "d-1.1", "d-1.2"))])
    async def test_a_part_that_is_not_done_has_its_body_whichever_others_are(
        self, inbox: Inbox, order: tuple[str, ...]
    ) -> None:
        await inbox.put(batch("d-1", "a", "b", "c", body=b"of all"), NOW)
        claims, now = await claim(inbox), NOW
        for number, id in enumerate(order):
            assert await settle(inbox, claims[id], now=now)
            now += self.keep_body + 1
            await inbox.expire(now)
            bodies = {each.summary.id: each.delivery.body for each in await dumped(inbox)}
            assert bodies == {each: b"" if each in order[: number + 1] else b"of all" for each in order}

    async def test_many_bodies_are_removed_a_few_at_a_time(self, inbox: Inbox) -> None:
        later = NOW + self.keep_body + 1
        await inbox.put(batch("d-1", *(f"k-{number}" for number in range(500))), NOW)
        claims = await claim(inbox, 499)
        await asyncio.gather(*[settle(inbox, each) for each in claims.values()])
        calls = 0
        while removed := await inbox.expire(later):
            assert removed < 499, "no put has to wait for long"
            calls += 1
        assert calls > 1
        assert [each.summary.id for each in await dumped(inbox) if each.delivery.body] == ["d-1.499"]
