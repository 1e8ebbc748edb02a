from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook_receiver import InboxUnavailable, MemoryInbox
from webhook_receiver.inbox.counters import UNTIMED, Counters, bucket_of
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
    now, inbox, rejected = HOUR, Kept(), {"BadSignature": 5}
    counters = Counters(lambda: now, {"rejected": rejected})
    counters.answered[202] += 2
    counters.attempts["done", "handler"][3] += 1
    counters.attempts["dead", "handler"][UNTIMED] += 1
    counters.stored[0] += 1
    now += 60
    await counters.write(inbox, "hooks")
    await counters.write(inbox, "hooks")
    counters.answered[202] += 1
    rejected["BadSignature"] += 1
    await counters.write(inbox, "renamed")
    assert inbox.written == [
        (
            {
                Metric("hooks", "answered 202"): 2,
                Metric("hooks", "done handler", 3): 1,
                Metric("hooks", "dead handler"): 1,
                Metric("hooks", "stored", 0): 1,
                Metric("hooks", "rejected BadSignature"): 5,
            },
            HOUR,
        ),
        ({Metric("renamed", "answered 202"): 1, Metric("renamed", "rejected BadSignature"): 1}, HOUR + 60),
    ]


@pytest.mark.parametrize("fault", [InboxUnavailable("full"), ValueError("odd"), asyncio.CancelledError()])
async def test_what_is_not_written_is_added_to_the_next_minute(fault: BaseException) -> None:
    now, inbox = HOUR, Kept()
    counters = Counters(lambda: now)
    inbox.fault = fault
    for _ in range(3):
        counters.answered[202] += 1
        now += 60
        with pytest.raises(type(fault)):
            await counters.write(inbox, "hooks")
    inbox.fault = None
    await counters.write(inbox, "hooks")
    await counters.write(inbox, "hooks")
    assert inbox.written == [({Metric("hooks", "answered 202"): 3}, HOUR + 180)]


async def test_a_child_of_a_fork_does_not_write_what_its_parent_has_counted() -> None:
    inbox, counters = Kept(), Counters(lambda: HOUR)
    counters.answered[202] += 1
    counters.forget()
    counters.answered[202] += 1
    await counters.write(inbox, "hooks")
    assert inbox.written == [({Metric("hooks", "answered 202"): 1}, HOUR)]


names = st.text(max_size=3) | st.integers(0, 400).map(str)
attempts = st.tuples(st.sampled_from(["done", "retry"]), names, st.integers(0, UNTIMED))


@given(st.lists(st.lists(attempts, max_size=5) | st.booleans(), max_size=20), st.integers(0, 2 * MOST_COUNTED))
def test_whatever_is_counted_and_fails_nothing_is_lost_and_nothing_goes_beyond_its_bounds(
    steps: list[list[tuple[str, str, int]] | bool], many: int
) -> None:
    inbox, counters = Kept(), Counters(lambda: HOUR)
    expected = Counter[int | None]()

    async def run() -> None:
        for number in range(many):
            counters.answered[number] += 1
            expected[None] += 1
        for step in [*steps, True]:
            if isinstance(step, bool):
                inbox.fault = None if step else InboxUnavailable("full")
                with suppress(InboxUnavailable):
                    await counters.write(inbox, "hooks")
            else:
                for outcome, handler, bucket in step:
                    counters.attempts[outcome, handler][bucket] += 1
                    expected[None if bucket == UNTIMED else bucket] += 1

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
            counters.attempts["done", f"{number}"][bucket] += 1
    counters.attempts["done", "0"][1] += 1
    await counters.write(inbox, "hooks")
    ((counts, _),) = inbox.written
    assert counts[Metric("hooks", "done 0", 1)] == 2
    assert counts[Metric("hooks", OTHER, 1)] == 6
    assert len({metric.what for metric in counts}) == MOST_COUNTED
