"""The ordering keys of an inbox under whatever order of puts, claims, settles, crashes, replays, pauses and purges."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from webhook_receiver import MemoryInbox
from webhook_receiver.delivery import Delivery
from webhook_receiver.inbox import Claim, Duplicate, Entry, Filter, HandlerState, Settlement, State, Stored

R = TypeVar("R")

LEASE = 10.0
KEYS = st.sampled_from(["a", "b", None])
STATES = st.sampled_from([*State])
PICK = st.integers(0, 1000)


@dataclass
class Expected:
    """The state that a delivery should have, by the contract of `Inbox` alone."""

    place: int
    key: str | None
    state: State
    due: float | None = 0.0
    """None: not by time."""
    paused_by: bool = False
    was_blocked: bool = False
    """Whether it may have lost its `due` time to an older one: then it may be claimed earlier."""
    claim: Claim | None = None
    """The lease that it is under, be that still running or not."""
    until: float = 0.0

    def is_leased(self, now: float) -> bool:
        return self.claim is not None and self.until > now


class OrderingRules(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.inbox = MemoryInbox()
        self.now = 1000.0
        self.kept: dict[str, Expected] = {}
        self.claims: list[Claim] = []
        self.paused = False
        self.puts = 0

    def teardown(self) -> None:
        try:
            self.drain()
        finally:
            self.wait(self.inbox.close())
            self.runner.close()

    def wait(self, awaitable: Awaitable[R]) -> R:
        async def result() -> R:
            return await awaitable

        return self.runner.run(result())

    def together(self, awaitables: Sequence[Awaitable[R]]) -> list[R]:
        async def results() -> list[R]:
            return list(await asyncio.gather(*awaitables))

        return self.runner.run(results())

    @initialize()
    def open(self) -> None:
        self.wait(self.inbox.open())

    @rule(keys=st.lists(KEYS, min_size=1, max_size=6), dead=st.booleans())
    def put_some(self, keys: list[str | None], dead: bool) -> None:
        entries: list[Entry] = []
        for key in keys:
            self.puts += 1
            delivery = Delivery(f"d-{self.puts}", "webhooks", (), b"{}", self.now, None, True)
            reason = "no event" if dead else None
            entries.append(Entry(delivery, key=b"%d" % self.puts, ordering_key=None if dead else key, dead=reason))
        stored = self.together([self.inbox.put(entry, self.now) for entry in entries])
        for entry, answer in zip(entries, stored, strict=True):
            assert isinstance(answer, Stored)
            state = State.WAITING if entry.dead is None else State.DEAD
            place = int(entry.delivery.id.removeprefix("d-"))
            self.kept[entry.delivery.id] = Expected(place, entry.ordering_key, state)

    @precondition(lambda self: self.kept)
    @rule(pick=PICK)
    def put_again(self, pick: int) -> None:
        identifier = self.picked(pick)
        expected = self.kept[identifier]
        again = Delivery(f"again-{identifier}", "webhooks", (), b"{}", self.now, None, True)
        answer = self.wait(self.inbox.put(Entry(again, key=b"%d" % expected.place), self.now))
        was_in_vain = expected.state in (State.DEAD, State.UNHANDLED)
        assert answer == Duplicate(identifier, replayed=was_in_vain)
        if was_in_vain:
            self.revived(expected)

    @rule(limit=st.sampled_from([1, 2, 3, 50]), batches=st.integers(1, 2))
    def claim(self, limit: int, batches: int) -> None:
        for claims in self.together([self.inbox.claim("webhooks", limit, LEASE, self.now) for _ in range(batches)]):
            self.check_claims(claims, limit)

    def check_claims(self, claims: Sequence[Claim], limit: int) -> None:
        assert len(claims) <= limit
        must = {identifier for identifier in self.kept if self.is_eligible(identifier)}
        for claim in claims:
            expected = self.kept[claim.delivery.id]
            assert not expected.is_leased(self.now), "a lease is running on it"
            assert claim.state is expected.state
            assert expected.state in (State.WAITING, State.DEAD)
            if expected.state is State.WAITING and expected.key is not None:
                waiting = self.waiting_of(expected.key)
                assert self.kept[claim.delivery.id] is waiting[0], "an older one of its ordering key waits"
                leased = any(each.is_leased(self.now) for each in waiting)
                assert not leased, "another one of its ordering key is being handled"
            if claim.delivery.id not in must:
                assert expected.was_blocked, "it is not due"
        got = {claim.delivery.id for claim in claims}
        assert len(got) == len(claims)
        if len(claims) < limit:
            assert must <= got, "what may be claimed was not"
        for claim in claims:
            expected = self.kept[claim.delivery.id]
            expected.claim, expected.until = claim, self.now + LEASE
            expected.due = expected.until
            expected.was_blocked = expected.paused_by = False
            for each in self.waiting_of(expected.key) if expected.key and expected.state is State.WAITING else []:
                if each is not expected:
                    each.claim = None  # it had run out; now the ordering key is this one's
            self.claims.append(claim)

    def waiting_of(self, key: str | None) -> list[Expected]:
        waiting = [each for each in self.kept.values() if each.key == key and each.state is State.WAITING]
        return sorted(waiting, key=lambda each: each.place)

    def is_eligible(self, identifier: str) -> bool:
        expected = self.kept[identifier]
        if expected.due is None or expected.due > self.now or expected.state not in (State.WAITING, State.DEAD):
            return False
        if expected.state is State.DEAD or expected.key is None:
            return True
        waiting = self.waiting_of(expected.key)
        return waiting[0] is expected and not any(each.is_leased(self.now) for each in waiting)

    @precondition(lambda self: self.claims)
    @rule(
        picks=st.lists(PICK, min_size=1, max_size=4),
        state=STATES,
        due=st.sampled_from([None, -1.0, 0.0, 3.0, 30.0]),
    )
    def settle(self, picks: list[int], state: State, due: float | None) -> None:
        chosen = {id(each): each for each in [self.claims[pick % len(self.claims)] for pick in picks]}.values()
        settlements = [self.settlement(claim, state, due) for claim in chosen]
        settled = self.together([self.inbox.settle(settlement, self.now) for settlement in settlements])
        for settlement, is_settled in zip(settlements, settled, strict=True):
            self.claims.remove(settlement.claim)
            expected = self.kept.get(settlement.claim.delivery.id)
            assert is_settled == (expected is not None and expected.claim is settlement.claim), "leases are fenced"
            if is_settled and expected is not None:
                expected.claim = None
                expected.state = settlement.state
                expected.paused_by = settlement.paused_by is not None and self.paused
                expected.due = 0.0 if settlement.paused_by is not None and not self.paused else settlement.due
                self.block(expected)

    def settlement(self, claim: Claim, state: State, due: float | None) -> Settlement:
        handlers = {"h": HandlerState(state=State.DONE if state is State.DONE else State.DEAD, attempts=1)}
        if claim.state is State.DEAD:
            return Settlement(claim, State.DEAD, handlers, due=None if due is None else self.now + due, reason="why")
        if state is not State.WAITING:
            notify = 0.0 if state is State.DEAD and due is not None else None
            return Settlement(claim, state, handlers, due=notify, reason="why")
        waiting = {"h": HandlerState(attempts=1)}
        if due is None:
            return Settlement(claim, state, waiting, paused_by="h")
        return Settlement(claim, state, waiting, due=self.now + due)

    def block(self, expected: Expected) -> None:
        """Deliveries that wait for an older one may lose their `due` time, and then be claimed before it."""
        if expected.state is State.WAITING and expected.key is not None:
            for each in self.waiting_of(expected.key)[1:]:
                each.was_blocked = True

    @precondition(lambda self: self.claims)
    @rule(picks=st.lists(PICK, min_size=1, max_size=4))
    def release(self, picks: list[int]) -> None:
        chosen = list({id(each): each for each in [self.claims[pick % len(self.claims)] for pick in picks]}.values())
        self.wait(self.inbox.release(chosen, self.now))
        for claim in chosen:
            self.claims.remove(claim)
            expected = self.kept.get(claim.delivery.id)
            if expected is not None and expected.claim is claim:
                expected.claim, expected.due = None, 0.0
                self.block(expected)

    @precondition(lambda self: self.claims)
    @rule(picks=st.lists(PICK, min_size=1, max_size=4))
    def renew(self, picks: list[int]) -> None:
        chosen = list({id(each): each for each in [self.claims[pick % len(self.claims)] for pick in picks]}.values())
        self.wait(self.inbox.renew(chosen, LEASE, self.now))
        for claim in chosen:
            expected = self.kept.get(claim.delivery.id)
            if expected is not None and expected.claim is claim:
                expected.due = expected.until = self.now + LEASE

    @rule(seconds=st.sampled_from([1.0, 5.0, LEASE, 3 * LEASE]))
    def let_time_pass(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.kept)
    @rule(picks=st.lists(PICK, min_size=1, max_size=3))
    def replay(self, picks: list[int]) -> None:
        chosen = list(dict.fromkeys(self.picked(pick) for pick in picks))
        revived = [
            self.kept[each]
            for each in chosen
            if self.kept[each].state is not State.WAITING or not self.kept[each].is_leased(self.now)
        ]
        assert self.wait(self.inbox.replay(chosen, self.now)) == len(revived)
        for expected in revived:
            self.revived(expected)

    def revived(self, expected: Expected) -> None:
        expected.state, expected.due, expected.claim, expected.paused_by = State.WAITING, 0.0, None, False
        for each in self.waiting_of(expected.key):
            self.block(each)

    @rule(pause=st.booleans())
    def pause_or_resume(self, pause: bool) -> None:
        if pause:
            self.wait(self.inbox.pause("h", self.now))
        else:
            self.resume()
        self.paused = pause

    def resume(self) -> None:
        assert self.wait(self.inbox.resume("h")) == self.paused
        self.paused = False
        for expected in self.kept.values():
            if expected.paused_by:
                expected.due, expected.paused_by = 0.0, False

    @precondition(lambda self: self.kept)
    @rule(picks=st.lists(PICK, min_size=1, max_size=3))
    def purge(self, picks: list[int]) -> None:
        chosen = list(dict.fromkeys(self.picked(pick) for pick in picks))
        gone = [each for each in chosen if not self.kept[each].is_leased(self.now)]
        assert self.wait(self.inbox.purge(Filter(ids=chosen), self.now, limit=10)) == len(gone)
        for each in gone:
            del self.kept[each]

    def picked(self, pick: int) -> str:
        return [*self.kept][pick % len(self.kept)]

    @invariant()
    def nothing_is_lost(self) -> None:
        summaries = self.wait(self.inbox.find(Filter(), newest_first=False))
        states = {summary.id: summary.state for summary in summaries}
        in_order = sorted(self.kept.items(), key=lambda item: item[1].place)
        assert states == {identifier: expected.state for identifier, expected in in_order}
        assert [summary.id for summary in summaries] == [identifier for identifier, _ in in_order]

    def drain(self) -> None:
        """Whatever happened: once every lease has ended and nothing is paused, all that waits can be handled."""
        self.resume()
        self.now += 1000
        handled: list[str] = []
        while claims := self.wait(self.inbox.claim("webhooks", 3, LEASE, self.now)):
            self.check_claims(claims, 3)
            for claim in claims:
                state = State.DONE if claim.state is State.WAITING else State.DEAD
                settlement = Settlement(claim, state, {})
                assert self.wait(self.inbox.settle(settlement, self.now))
                expected = self.kept[claim.delivery.id]
                expected.claim, expected.state, expected.due = None, state, None
                handled.append(claim.delivery.id)
        assert len(handled) == len(set(handled))
        self.nothing_is_lost()
        assert [each for each in self.kept.values() if each.state is State.WAITING] == []


OrderingRules.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestOrderingRules = OrderingRules.TestCase
