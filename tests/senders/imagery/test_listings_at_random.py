"""Listings that change at random, also while their pages are read: what is so in the end is told, and told last."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhook_receiver import ApiError
from webhook_receiver.senders.imagery.api import Api, Connection
from webhook_receiver.senders.imagery.listings import ByChange, ByStart, Item, Page, cursor_at, ends_with
from webhook_receiver.senders.source import MOST_OF_A_CURSOR

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
NOBODY = Connection(cast("Api", None), cast("httpx.AsyncClient", None))
"""A connection to no API: nothing is asked for by it."""
STATUSES = ("running", "paused", "done", "failed")
has_ended = ends_with("done", "failed")

steps = st.lists(
    st.one_of(
        st.tuples(st.just("make"), st.sampled_from(STATUSES), st.integers(-8, 0)),
        st.tuples(st.just("change"), st.integers(0, 30), st.sampled_from(STATUSES)),
        st.tuples(st.just("remove"), st.integers(0, 30), st.just(0)),
        st.tuples(st.just("wait"), st.integers(0, 20_000), st.just(0)),
        st.tuples(st.just("poll"), st.integers(1, 3), st.just(0)),
    ),
    max_size=40,
)


class Listed:
    """Jobs in memory, to be listed by pages, while the next steps are taken.

    Attributes:
        now: the time.
        jobs: the status of each job, with the times when it was made and changed.
    """

    def __init__(self, given: list[tuple[str, Any, Any]], kind: str) -> None:
        self.now = BEGIN
        self.jobs: dict[str, tuple[str, datetime, datetime]] = {}
        self.left: Iterator[tuple[str, Any, Any]] = iter(given)
        self.size = 2
        self.number = 0
        self.is_filtered, self.is_sorted = kind.startswith("by change"), not kind.endswith("not sorted")
        self.tells_changes = self.is_filtered or kind == "by the start of a status, not sorted"

    def take(self, step: tuple[str, Any, Any]) -> None:
        what, first, second = step
        self.now += timedelta(milliseconds=1)
        names = list(self.jobs)
        if what == "make":
            self.number += 1  # with a clock that is behind, or listed late
            at = self.now + timedelta(minutes=second)
            self.jobs[f"j-{self.number}"] = (first, at, at)
        elif what == "change" and names:
            name = names[first % len(names)]
            status, made, _ = self.jobs[name]
            if self.tells_changes or not has_ended(Item(name, status, made, {})):  # else it is not started again
                self.jobs[name] = (second, made, self.now)
        elif what == "remove" and names:
            del self.jobs[names[first % len(names)]]
        elif what == "wait":
            self.now += timedelta(minutes=first)

    def item(self, name: str) -> Item:
        status, made, changed = self.jobs[name]
        return Item(name, status, changed if self.tells_changes else made, {"id": name, "status": status})

    async def read(self, connection: Connection, begin: datetime, after: str | None) -> Page:
        items = [item for item in map(self.item, self.jobs) if item.at >= begin or not self.is_filtered]
        if self.is_sorted:
            items.sort(key=lambda item: item.at, reverse=not self.is_filtered)
        first = int(after or 0)
        page = Page(
            items[first : first + self.size], str(first + self.size) if len(items) > first + self.size else None
        )
        step = next(self.left, None)
        if step is not None and step[0] not in ("poll", "remove"):  # what is removed may hide another one
            self.take(step)
        return page

    async def one(self, connection: Connection, name: str) -> Item:
        if name not in self.jobs:
            raise ApiError("gone", status=404)
        return self.item(name)


KINDS = [
    *("by change", "by change, not sorted", "by start", "by start, not sorted"),
    "by the start of a status, not sorted",
]


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None)
@given(given=steps)
async def test_what_is_so_in_the_end_is_told_last(kind: str, given: list[tuple[str, Any, Any]]) -> None:
    listed = Listed(given, kind)
    if listed.is_filtered:
        listing: ByChange | ByStart = ByChange(read=listed.read, one=listed.one, is_sorted=listed.is_sorted)
    else:
        listing = ByStart(read=listed.read, one=listed.one, has_ended=has_ended, newest_first=listed.is_sorted)
    cursor, told = cursor_at(BEGIN - timedelta(hours=1)), dict[str, list[str]]()

    async def poll() -> int:
        nonlocal cursor
        number = 0
        for _ in range(1000):
            documents, cursor, more = await listing.changes(NOBODY, cursor, listed.now)
            assert len(cursor) <= MOST_OF_A_CURSOR
            for document in map(json.loads, documents):
                told.setdefault(document["id"], []).append(document["status"])
                number += 1
            if not more:
                return number
        raise AssertionError("the pages never end")

    for step in listed.left:
        if step[0] == "poll":
            listed.size = step[1]
            await poll()
        else:
            listed.take(step)
    listed.now += timedelta(minutes=1)
    await poll()
    await poll()
    assert {name: statuses[-1] for name, statuses in told.items() if name in listed.jobs} == {
        name: status for name, (status, _, _) in listed.jobs.items()
    }
    assert await poll() == 0, "nothing is told without news"
