from __future__ import annotations

import inspect
import re
from datetime import timedelta

import pytest

from webhook_receiver import Retry, errors


def test_the_tree_that_is_drawn_is_the_tree_that_is() -> None:
    tree = (errors.__doc__ or "").split("\n\n")[1]
    drawn: dict[str, str | None] = {}
    above: dict[int, str] = {}
    for line in tree.splitlines():
        found = re.search(r"[A-Z]\w+", line)
        assert found
        depth = found.start() // 4
        above[depth] = found.group()
        drawn[found.group()] = above[depth - 1] if depth else None
    actual = {
        name: cls.__base__.__name__ if cls.__base__ not in (Exception, None) else None
        for name, cls in inspect.getmembers(errors, inspect.isclass)
        if issubclass(cls, Exception)
    }
    assert drawn == actual


def test_every_error_says_when_it_is_raised() -> None:
    for _, cls in inspect.getmembers(errors, inspect.isclass):
        assert cls.__doc__


@pytest.mark.parametrize(("after", "seconds"), [(0, 0), (1.5, 1.5), (timedelta(minutes=2), 120)])
def test_a_retry_takes_seconds_or_a_timedelta(after: float | timedelta, seconds: float) -> None:
    assert Retry(after=after).after == seconds


@pytest.mark.parametrize("after", [-1, float("nan"), float("inf"), timedelta(seconds=-1)])
def test_a_retry_in_the_past_or_never_is_refused(after: float | timedelta) -> None:
    with pytest.raises(ValueError, match="from 0 up"):
        Retry(after=after)
