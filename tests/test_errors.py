from __future__ import annotations

import inspect
import re
from datetime import timedelta

import pytest

from webhook_receiver import GiveUp, HandlerSignal, Retry, WebhookError, errors

TREES = (errors.__doc__ or "").split("\n\n")[1:3]
CLASSES = {
    name: cls
    for name, cls in vars(errors).items()
    if inspect.isclass(cls) and issubclass(cls, Exception) and cls.__module__ == errors.__name__
}


def test_the_trees_that_are_drawn_are_the_trees_that_are_in_the_same_order() -> None:
    drawn: list[tuple[str, str | None]] = []
    for tree in TREES:
        above: dict[int, str] = {}
        for line in tree.splitlines():
            found = re.search(r"[A-Z]\w+", line)
            assert found
            depth = found.start() // 4
            above[depth] = found.group()
            drawn.append((found.group(), above[depth - 1] if depth else None))
    actual = [
        (name, cls.__base__.__name__ if cls.__base__ not in (Exception, None) else None)
        for name, cls in CLASSES.items()
    ]
    assert drawn == actual


def test_every_line_of_the_trees_says_when() -> None:
    for tree in TREES:
        for line in tree.splitlines()[1:]:
            assert re.search(r"[A-Z]\w+ +when ", line), line


@pytest.mark.parametrize("signal", [Retry(after=1), GiveUp("no such order")], ids=lambda each: type(each).__name__)
def test_what_a_handler_raises_on_purpose_is_no_failure_of_this_package(signal: Exception) -> None:
    assert isinstance(signal, HandlerSignal)
    assert not isinstance(signal, WebhookError)


def test_all_else_that_is_raised_is_a_webhook_error() -> None:
    signals = {"HandlerSignal", "Retry", "GiveUp"}
    assert {name for name, cls in CLASSES.items() if not issubclass(cls, WebhookError)} == signals


def test_every_error_says_when_it_is_raised() -> None:
    for cls in CLASSES.values():
        assert cls.__doc__


@pytest.mark.parametrize(("after", "seconds"), [(0, 0), (1.5, 1.5), (timedelta(minutes=2), 120)])
def test_a_retry_takes_seconds_or_a_timedelta(after: float | timedelta, seconds: float) -> None:
    assert Retry(after=after).after == seconds


@pytest.mark.parametrize("after", [-1, float("nan"), float("inf"), timedelta(seconds=-1)])
def test_a_retry_in_the_past_or_never_is_rejected(after: float | timedelta) -> None:
    with pytest.raises(ValueError, match="from 0 up"):
        Retry(after=after)
