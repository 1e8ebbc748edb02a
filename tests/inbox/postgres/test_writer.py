"""The threads that talk to the server: what they share, what fails alone, and what is tried again."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import psycopg
import pytest

from tests.postgres import execute
from webhook_receiver.errors import InboxError, InboxUnavailable
from webhook_receiver.inbox.postgres.connection import Server
from webhook_receiver.inbox.postgres.rows import Connection, ask
from webhook_receiver.inbox.postgres.writer import Writer


@pytest.fixture
def server(empty_database: str) -> Server:
    execute(empty_database, "CREATE SCHEMA webhook_receiver")
    execute(empty_database, "CREATE TABLE kept (number integer PRIMARY KEY)")
    return Server(empty_database, "webhook_receiver")


@pytest.fixture
async def lane(server: Server) -> AsyncIterator[Writer]:
    lane = Writer("lane", server.connect, 10, 30)
    yield lane
    await lane.close()


def keep(connection: Connection, numbers: Sequence[int]) -> list[int]:
    """Keep numbers; return for each how many were kept with it."""
    ask(connection, "INSERT INTO kept SELECT unnest(%s::integer[])", [[*numbers]])
    return [len(numbers)] * len(numbers)


def kept(url: str) -> list[int]:
    return [number for (number,) in execute(url, "SELECT number FROM kept ORDER BY number")]


def waiting_for(event: threading.Event) -> Callable[[Connection, Sequence[None]], Sequence[None]]:
    def wait(connection: Connection, requests: Sequence[None]) -> Sequence[None]:
        assert event.wait(30)
        return requests

    return wait


async def test_what_is_asked_for_meanwhile_shares_a_transaction_up_to_a_number(lane: Writer, server: Server) -> None:
    go_on = threading.Event()
    first = asyncio.ensure_future(lane.do(waiting_for(go_on), None))
    others = [asyncio.ensure_future(lane.do(keep, number)) for number in range(25)]
    await asyncio.sleep(0)
    go_on.set()
    await first
    assert max(await asyncio.gather(*others)) <= 10
    assert execute(server.url, "SELECT count(DISTINCT xmin::text) FROM kept")[0][0] <= 4
    assert kept(server.url) == [*range(25)]


async def test_one_that_fails_fails_alone(lane: Writer, server: Server) -> None:
    await lane.do(keep, 3)
    found = await asyncio.gather(*[lane.do(keep, number) for number in range(6)], return_exceptions=True)
    failed = [number for number, each in enumerate(found) if isinstance(each, InboxError)]
    assert failed == [3]
    assert "duplicate key value violates unique constraint" in str(found[3])
    assert kept(server.url) == [*range(6)]


async def test_an_error_of_ours_is_told_as_it_is_and_nothing_of_it_is_kept(lane: Writer, server: Server) -> None:
    def stumble(connection: Connection, numbers: Sequence[int]) -> Sequence[int]:
        keep(connection, numbers)
        raise LookupError("no")

    with pytest.raises(LookupError, match="no"):
        await lane.do(stumble, 1)
    assert kept(server.url) == []
    assert await lane.do(keep, 1) == 1


async def test_one_that_others_got_in_the_way_of_is_tried_again(lane: Writer, server: Server) -> None:
    tries: list[int] = []

    def meet(connection: Connection, numbers: Sequence[int]) -> Sequence[int]:
        tries.append(len(tries))
        keep(connection, numbers)
        if len(tries) < 3:
            ask(connection, "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'deadlock_detected'; END $$")
        return numbers

    assert await lane.do(meet, 1) == 1
    assert (tries, kept(server.url)) == ([0, 1, 2], [1])


async def test_two_that_wait_for_each_other_both_end(server: Server) -> None:
    lanes = [Writer(name, server.connect, 1, 30) for name in "ab"]
    both = threading.Barrier(2)
    tries: list[str] = []

    def cross(connection: Connection, orders: Sequence[tuple[str, int, int]]) -> Sequence[Any]:
        for name, first, second in orders:
            tries.append(name)
            ask(connection, "SELECT pg_advisory_xact_lock(%s)", [first])
            if tries.count(name) == 1:
                both.wait(30)
            ask(connection, "SELECT pg_advisory_xact_lock(%s)", [second])
        return orders

    await asyncio.gather(lanes[0].do(cross, ("a", 1, 2)), lanes[1].do(cross, ("b", 2, 1)))
    assert len(tries) >= 3, "the server ended one of them"
    for lane in lanes:
        await lane.close()


async def test_who_gives_up_before_it_begins_leaves_nothing(lane: Writer, server: Server) -> None:
    go_on = threading.Event()
    first = asyncio.ensure_future(lane.do(waiting_for(go_on), None))
    second = asyncio.ensure_future(lane.do(keep, 1))
    third = asyncio.ensure_future(lane.do(keep, 2))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(first, third)
    assert kept(server.url) == [2]


async def test_a_lost_connection_is_told_and_the_next_one_is_new(lane: Writer, server: Server) -> None:
    def end(connection: Connection, requests: Sequence[None]) -> Sequence[None]:
        ask(connection, "SELECT pg_terminate_backend(pg_backend_pid())")
        return requests

    with pytest.raises(InboxUnavailable, match="terminating connection"):
        await lane.do(end, None)
    assert await lane.do(keep, 1) == 1


async def test_when_it_is_closed_what_was_asked_for_is_done_and_nothing_more(server: Server) -> None:
    lane = Writer("lane", server.connect, 10, 30)
    asked = [asyncio.ensure_future(lane.do(keep, number)) for number in range(5)]
    await asyncio.sleep(0)
    await lane.close()
    await asyncio.gather(*asked)
    assert kept(server.url) == [*range(5)]
    with pytest.raises(InboxUnavailable, match="closed"):
        await lane.do(keep, 9)
    await lane.close()


async def test_a_server_that_hangs_does_not_keep_it_from_being_closed(server: Server) -> None:
    lane = Writer("lane", server.connect, 10, 0.2)
    with psycopg.connect(server.url) as other:
        other.execute("LOCK TABLE webhook_receiver.kept")
        with pytest.raises(InboxUnavailable, match="did not answer"):
            await lane.do(keep, 1)
        async with asyncio.timeout(30):
            await lane.close()
