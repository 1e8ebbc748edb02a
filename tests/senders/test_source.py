"""Sources: what one is, and the name that its cursor is kept under."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from webhook_receiver.errors import ApiError, ConfigurationError
from webhook_receiver.senders.source import Changes, Source, source_name


async def orders(cursor: str | None) -> Changes:
    return Changes([], cursor or "1")


class Tasks:
    name = "acme-tasks"

    async def __call__(self, cursor: str | None) -> Changes:
        return Changes([], cursor or "1")


class Nameless(Tasks):
    name = ""


def test_the_name_of_a_source_is_the_functions_or_what_its_class_says() -> None:
    assert source_name(orders) == "orders"
    assert source_name(Tasks()) == "acme-tasks"


def test_a_page_is_the_last_one_unless_it_says_otherwise() -> None:
    assert Changes([b"{}"], "2") == ([b"{}"], "2", False)


@pytest.mark.parametrize("source", [lambda cursor: orders(cursor), partial(orders), Nameless()])
def test_a_source_needs_a_name(source: Source) -> None:
    with pytest.raises(ConfigurationError, match="a source needs a name"):
        source_name(source)


@pytest.mark.parametrize("name", ["two\nlines", " orders", 7, "x\0"])
def test_a_name_is_a_text_in_one_line(name: Any) -> None:
    source = Tasks()
    source.name = name
    with pytest.raises(ConfigurationError, match="a source needs a name"):
        source_name(source)


@pytest.mark.parametrize("given", [Tasks, "orders", None, Changes([], "1")])
def test_what_cannot_be_called_with_a_cursor_is_no_source(given: Any) -> None:
    with pytest.raises(ConfigurationError, match="a source is an async function of a cursor"):
        source_name(given)


def test_an_api_may_say_when_to_ask_again() -> None:
    assert ApiError("too many calls", status=429, retry_after=30).retry_after == 30
    assert ApiError("gone", status=410).retry_after is None
