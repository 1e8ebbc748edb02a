from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from webhook_receiver import ConfigurationError
from webhook_receiver.options import WorkerOptions


def test_the_options_are_one_frozen_value_that_works_as_it_is() -> None:
    options = WorkerOptions()
    assert options == WorkerOptions()
    with pytest.raises(FrozenInstanceError):
        options.concurrency = 2  # type: ignore[misc]


def test_a_worker_need_not_wait_when_it_stops() -> None:
    assert WorkerOptions(stop=0).stop == 0


@pytest.mark.parametrize("name", ["timeout", "lease", "poll"])
@pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan"), "30", None])
def test_times_are_above_0_seconds(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=rf"{name} is above 0 seconds, not "):
        WorkerOptions(**{name: value})


@pytest.mark.parametrize("value", [-1, float("inf"), float("nan"), "10"])
def test_the_time_to_stop_is_0_seconds_or_more(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="stop is 0 seconds or more, not "):
        WorkerOptions(stop=value)


@pytest.mark.parametrize("value", [0, -1, 1.5, "16", None])
def test_at_least_one_delivery_is_handled_at_once(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="concurrency is 1 or more, not "):
        WorkerOptions(concurrency=value)
