from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook_receiver import InboxUnavailable, MemoryInbox
from webhook_receiver.inbox.counters import Counters, bucket_of
from webhook_receiver.inbox.records import LATENCY_BUCKETS, MOST_COUNTED, OTHER, Metric

HOUR = 3600.0


class Kept(MemoryInbox):
    """An inbox that notes what is counted, or fails."""

    def __init__(self) -> None:
        super().__init__()
        self.fault: BaseException | None = None
        self.written: list[tuple[Mapping[Metric, int], float]] = []

    async def count(self, counts: Mapping[Metric, int], now: float) -> None:
        """See `Inbox`."""
        if self.fault is not None:
            raise self.fault
        self.written.append((counts, now))


@pytest.mark.parametrize(
    ("seconds", "bucket"),
    [(-1.0, 0), (0.0, 0), (0.001, 0), (0.0011, 1), (0.3, 5), (0.31, 6), (10.0, 8), (10.1, 9), (9e9, 9)],
)
def test_a_latency_belongs_to_one_of_ten_buckets(seconds: float, bucket: int) -> None:
    assert bucket_of(seconds) == bucket
    assert len(LATENCY_BUCKETS) + 1 == 10


async def test_what_was_counted_is_written_once_under_the_minute_in_which_that_began() -> None:
    now, inbox = HOUR, Kept()
    counters = Counters(lambda: now)
    counters.add("answered", 202)
    counters.add("answered", 202)
    counters.add("done", "handler", 3)
    counters.add("stored", bucket=0)
    now += 60
    await counters.write(inbox, "hooks")
    await counters.write(inbox, "hooks")
    counters.add("answered", 202)
    await counters.write(inbox, "renamed")
    answered = Metric("hooks", "answered 202")
    assert inbox.written == [
        ({answered: 2, Metric("hooks", "done handler", 3): 1, Metric("hooks", "stored", 0): 1}, HOUR),
        ({Metric("renamed", "answered 202"): 1}, HOUR + 60),
    ]


@pytest.mark.parametrize("fault", [InboxUnavailable("full"), ValueError("odd"), asyncio.CancelledError()])
async def test_what_is_not_written_is_added_to_the_next_minute(fault: BaseException) -> None:
    now, inbox = HOUR, Kept()
    counters = Counters(lambda: now)
    inbox.fault = fault
    for _ in range(3):
        counters.add("answered", 202)
        now += 60
        with pytest.raises(type(fault)):
            await counters.write(inbox, "hooks")
    inbox.fault = None
    await counters.write(inbox, "hooks")
    await counters.write(inbox, "hooks")
    assert inbox.written == [({Metric("hooks", "answered 202"): 3}, HOUR + 180)]


async def test_a_child_of_a_fork_does_not_write_what_its_parent_has_counted() -> None:
    inbox, counters = Kept(), Counters(lambda: HOUR)
    counters.add("answered", 202)
    counters.clear()
    await counters.write(inbox, "hooks")
    assert inbox.written == []


names = st.text(max_size=3) | st.integers(0, 400).map(str)
added = st.tuples(st.sampled_from(["done", "rejected"]), names, st.none() | st.integers(0, 9))


@given(st.lists(st.lists(added, max_size=5) | st.booleans(), max_size=20), st.integers(0, 2 * MOST_COUNTED))
def test_whatever_is_counted_and_fails_nothing_is_lost_and_nothing_grows_beyond_its_bounds(
    steps: list[list[tuple[str, str, int | None]] | bool], many: int
) -> None:
    inbox, counters = Kept(), Counters(lambda: HOUR)
    expected = Counter[int | None]()

    async def run() -> None:
        for number in range(many):
            counters.add("many", number)
            expected[None] += 1
        for step in [*steps, True]:
            if isinstance(step, bool):
                inbox.fault = None if step else InboxUnavailable("full")
                try:
                    await counters.write(inbox, "hooks")
                except InboxUnavailable:
                    assert not step
            else:
                for each in step:
                    counters.add(*each)
                    expected[each[2]] += 1

    asyncio.run(run())
    found = Counter[int | None]()
    for counts, _ in inbox.written:
        assert len({metric.what for metric in counts}) <= MOST_COUNTED
        for metric, number in counts.items():
            metric.what.encode()  # any store takes it
            found[metric.bucket] += number
    assert found == expected


async def test_what_is_beyond_the_bound_is_counted_as_other() -> None:
    inbox, counters = Kept(), Counters(lambda: HOUR)
    for number in range(MOST_COUNTED + 5):
        for bucket in (1, 2):
            counters.add("done", number, bucket)
    counters.add("done", 0, 1)
    await counters.write(inbox, "hooks")
    ((counts, _),) = inbox.written
    assert counts[Metric("hooks", "done 0", 1)] == 2
    assert counts[Metric("hooks", OTHER, 1)] == 6
    assert len({metric.what for metric in counts}) == MOST_COUNTED
