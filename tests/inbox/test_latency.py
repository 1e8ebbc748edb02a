from __future__ import annotations

from math import ceil, inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook_receiver.inbox import Bounds, Metric, by_bucket, quantile
from webhook_receiver.inbox.counters import bucket_of


@given(st.lists(st.floats(0, 20), min_size=1, max_size=50), st.floats(0, 1, exclude_min=True))
def test_the_bounds_of_a_quantile_hold_the_latency_that_so_many_do_not_exceed(took: list[float], share: float) -> None:
    numbers = [0] * 10
    for seconds in took:
        numbers[bucket_of(seconds)] += 1
    found = quantile(numbers, share)
    assert found is not None
    exact = sorted(took)[ceil(len(took) * share) - 1]
    assert found.low <= exact <= found.high


@pytest.mark.parametrize(
    ("numbers", "median", "most"),
    [
        ([0] * 10, None, None),
        ([1] + [0] * 9, (0.0, 0.001), (0.0, 0.001)),
        ([0] * 9 + [3], (10.0, inf), (10.0, inf)),
        ([0, 0, 50, 45, 5, 0, 0, 0, 0, 0], (0.003, 0.01), (0.01, 0.03)),
        ([0, 0, 50, 44, 6, 0, 0, 0, 0, 0], (0.003, 0.01), (0.03, 0.1)),
    ],
)
def test_the_median_and_the_95th_of_a_hundred(
    numbers: list[int], median: tuple[float, float] | None, most: tuple[float, float] | None
) -> None:
    for share, expected in ((0.5, median), (0.95, most)):
        assert quantile(numbers, share) == (None if expected is None else Bounds(*expected))


def test_the_latencies_of_several_counts_of_a_receiver_add_up() -> None:
    counts = {
        Metric("hooks", "done h", 0): 3,
        Metric("hooks", "retry h", 0): 4,
        Metric("hooks", "retry h", 9): 5,
        Metric("hooks", "dead h"): 6,
        Metric("hooks", "done g", 0): 7,
        Metric("others", "done h", 0): 8,
    }
    assert by_bucket(counts, "hooks", {"done h", "retry h", "dead h"}) == [7, 0, 0, 0, 0, 0, 0, 0, 0, 5]
    assert by_bucket(counts, "nobody", {"done h"}) == [0] * 10
