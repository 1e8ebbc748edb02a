"""What a bounded look costs in a SQLite file: no more the more deliveries there are, whatever is looked for."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.benchmarks import large
from webhook_receiver.inbox import Filter, State
from webhook_receiver.inbox.sqlite import look
from webhook_receiver.inbox.sqlite.connection import connect

MANY = 24_000
STEPS = 60_000
"""Instructions of SQLite's machine (sqlite.org/opcode.html): to read all deliveries takes twice as many."""
MIDDLE = large.START + large.MONTH / 2
ID = large.id_of(MANY // 3, MANY)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("large") / "hooks.db"
    large.fill_sqlite(path, MANY, minutes=1)
    return path


@pytest.fixture
def connection(file: Path) -> Iterator[sqlite3.Connection]:
    with closing(connect(file)) as connection:
        yield connection


def steps_of(connection: sqlite3.Connection, ask: Callable[[], object]) -> int:
    """Return the number of instructions that a question takes, about."""
    tens = 0

    def count() -> int:
        nonlocal tens
        tens += 1
        return 0

    connection.set_progress_handler(count, 10)
    ask()
    connection.set_progress_handler(None, 0)
    return tens * 10


FILTERS = [
    Filter(),
    Filter(event="event.3"),
    Filter(event="rare.event"),
    Filter(event="no.such"),
    Filter(receiver="rare"),
    Filter(receiver="hooks", ordering_key="order-000001"),
    Filter(ordering_key="order-000001"),
    Filter(states=[State.DEAD]),
    Filter(states=[State.WAITING]),
    Filter(states=[State.DONE]),
    Filter(states=[State.DEAD, State.UNHANDLED, State.WAITING]),
    Filter(states=[State.DEAD], error="RareError: of its own"),
    Filter(handler="app.rare:on_order"),
    Filter(handler="app.orders:on_1", handler_states=[State.DEAD]),
    Filter(since=MIDDLE),
    Filter(before=MIDDLE),
    Filter(since=MIDDLE, event="no.such"),
    Filter(ids=[ID, "no such"]),
    Filter(id_begins=ID[:12]),
    Filter(id_begins=ID[:1]),
]


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("which", FILTERS, ids=str)
def test_a_page_reads_a_few_rows_whatever_it_looks_for(
    connection: sqlite3.Connection, which: Filter, newest_first: bool
) -> None:
    steps = steps_of(connection, lambda: look.page(connection, which, 50, newest_first, None, 0))
    assert 0 < steps < STEPS


@pytest.mark.parametrize("which", FILTERS, ids=str)
def test_a_total_counts_a_few_rows_at_a_time(connection: sqlite3.Connection, which: Filter) -> None:
    assert steps_of(connection, lambda: look.total(connection, which, 0)) < STEPS


def test_to_read_every_row_would_take_more(connection: sqlite3.Connection) -> None:
    asked = "SELECT count(*) FROM progress p CROSS JOIN delivery d USING (seq) WHERE d.event = 'no.such'"
    assert steps_of(connection, lambda: connection.execute(asked).fetchone()) > 1.9 * STEPS


def test_dead_letters_are_grouped_a_few_at_a_time(connection: sqlite3.Connection) -> None:
    found = look.dead_letters(connection, Filter(), 60)
    assert (found.number, found.reached) == (MANY // 100 + large.RARE, None)
    rare = [group for group in found.groups if group.handler == "app.rare:on_order"]
    assert [(group.error, group.number) for group in rare] == [("RareError: of its own", large.RARE)]
    assert sum(group.number for group in found.groups) == found.number
    few = look.dead_letters(connection, Filter(receiver="rare"), 0)
    assert [group.number for group in few.groups] == [large.RARE]
