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
from webhook_receiver.inbox.postgres.rows import PostgresConnection, ask
from webhook_receiver.inbox.postgres.writer import Writer


@pytest.fixture
def server(empty_database: str) -> Server:
    execute(empty_database, "CREATE SCHEMA webhook_receiver")
    execute(empty_database, "CREATE TABLE kept (number integer PRIMARY KEY)")
    return Server(empty_database, "webhook_receiver")


@pytest.fixture
async def writer(server: Server) -> AsyncIterator[Writer]:
    writer = Writer("writer", server, 10, 30)
    yield writer
    await writer.close()


def keep(connection: PostgresConnection, numbers: Sequence[int]) -> list[int]:
    """Keep numbers; return for each how many were kept with it."""
    ask(connection, "INSERT INTO kept SELECT unnest(%s::integer[])", [[*numbers]])
    return [len(numbers)] * len(numbers)


def kept(url: str) -> list[int]:
    return [number for (number,) in execute(url, "SELECT number FROM kept ORDER BY number")]


def waiting_for(
    event: threading.Event, begun: threading.Event | None = None
) -> Callable[[PostgresConnection, Sequence[None]], Sequence[None]]:
    def wait(connection: PostgresConnection, requests: Sequence[None]) -> Sequence[None]:
        if begun is not None:
            begun.set()
        assert event.wait(30)
        return requests

    return wait


async def test_what_is_asked_for_meanwhile_shares_a_transaction_up_to_a_number(writer: Writer, server: Server) -> None:
    go_on = threading.Event()
    first = asyncio.ensure_future(writer.submit(waiting_for(go_on), None))
    others = [asyncio.ensure_future(writer.submit(keep, number)) for number in range(25)]
    await asyncio.sleep(0)
    go_on.set()
    await first
    assert max(await asyncio.gather(*others)) <= 10
    assert execute(server.url, "SELECT count(DISTINCT xmin::text) FROM kept")[0][0] <= 4
    assert kept(server.url) == [*range(25)]


async def test_one_that_fails_fails_alone(writer: Writer, server: Server) -> None:
    await writer.submit(keep, 3)
    found = await asyncio.gather(*[writer.submit(keep, number) for number in range(6)], return_exceptions=True)
    failed = [number for number, each in enumerate(found) if isinstance(each, InboxError)]
    assert failed == [3]
    assert "duplicate key value violates unique constraint" in str(found[3])
    assert kept(server.url) == [*range(6)]


async def test_one_that_the_server_has_not_enough_memory_for_fails_alone(writer: Writer, server: Server) -> None:
    def keep_few(connection: PostgresConnection, numbers: Sequence[int]) -> Sequence[int]:
        kept = keep(connection, numbers)
        if sum(numbers) >= 3:
            ask(connection, "DO $$ BEGIN RAISE EXCEPTION 'out of shared memory' USING ERRCODE = '53200'; END $$")
        return kept

    go_on = threading.Event()
    first = asyncio.ensure_future(writer.submit(waiting_for(go_on), None))
    others = [asyncio.ensure_future(writer.submit(keep_few, number)) for number in (1, 3, 2)]
    await asyncio.sleep(0)
    go_on.set()
    await first
    one, three, two = await asyncio.gather(*others, return_exceptions=True)
    assert (one, two) == (1, 1)
    assert isinstance(three, InboxUnavailable)
    assert kept(server.url) == [1, 2]


async def test_an_error_of_ours_is_raised_as_it_is_and_nothing_of_it_is_kept(writer: Writer, server: Server) -> None:
    def stumble(connection: PostgresConnection, numbers: Sequence[int]) -> Sequence[int]:
        keep(connection, numbers)
        raise LookupError("no")

    with pytest.raises(LookupError, match="no"):
        await writer.submit(stumble, 1)
    assert kept(server.url) == []
    assert await writer.submit(keep, 1) == 1


async def test_one_that_others_got_in_the_way_of_is_tried_again(writer: Writer, server: Server) -> None:
    tries: list[int] = []

    def meet(connection: PostgresConnection, numbers: Sequence[int]) -> Sequence[int]:
        tries.append(len(tries))
        keep(connection, numbers)
        if len(tries) < 3:
            ask(connection, "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'deadlock_detected'; END $$")
        return numbers

    assert await writer.submit(meet, 1) == 1
    assert (tries, kept(server.url)) == ([0, 1, 2], [1])


async def test_two_that_wait_for_each_other_both_end(server: Server) -> None:
    writers = [Writer(name, server, 1, 30) for name in "ab"]
    both = threading.Barrier(2)
    tries: list[str] = []

    def cross(connection: PostgresConnection, orders: Sequence[tuple[str, int, int]]) -> Sequence[Any]:
        for name, first, second in orders:
            tries.append(name)
            ask(connection, "SELECT pg_advisory_xact_lock(%s)", [first])
            if tries.count(name) == 1:
                both.wait(30)
            ask(connection, "SELECT pg_advisory_xact_lock(%s)", [second])
        return orders

    await asyncio.gather(writers[0].submit(cross, ("a", 1, 2)), writers[1].submit(cross, ("b", 2, 1)))
    assert len(tries) >= 3, "the server ended one of them"
    for writer in writers:
        await writer.close()


async def test_who_gives_up_before_it_begins_leaves_nothing(writer: Writer, server: Server) -> None:
    begun, go_on = threading.Event(), threading.Event()
    first = asyncio.ensure_future(writer.submit(waiting_for(go_on, begun), None))
    assert await asyncio.to_thread(begun.wait, 30)
    second = asyncio.ensure_future(writer.submit(keep, 1))
    third = asyncio.ensure_future(writer.submit(keep, 2))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(first, third)
    assert kept(server.url) == [2]


async def test_who_gives_up_while_others_of_its_batch_are_done_leaves_nothing(writer: Writer, server: Server) -> None:
    both, has_begun, go_on = threading.Event(), threading.Event(), threading.Event()

    def begin(connection: PostgresConnection, requests: Sequence[None]) -> Sequence[None]:
        has_begun.set()
        assert go_on.wait(30)
        return requests

    first = asyncio.ensure_future(writer.submit(waiting_for(both), None))
    second = asyncio.ensure_future(writer.submit(begin, None))
    third = asyncio.ensure_future(writer.submit(keep, 1))
    await asyncio.sleep(0)
    both.set()
    assert await asyncio.to_thread(has_begun.wait, 30)
    third.cancel()
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(first, second)
    assert await writer.submit(keep, 2) == 1
    assert kept(server.url) == [2]


async def test_a_lost_connection_is_reported_and_the_next_one_is_new(writer: Writer, server: Server) -> None:
    def end(connection: PostgresConnection, requests: Sequence[None]) -> Sequence[None]:
        ask(connection, "SELECT pg_terminate_backend(pg_backend_pid())")
        return requests

    with pytest.raises(InboxUnavailable, match="terminating connection"):
        await writer.submit(end, None)
    assert await writer.submit(keep, 1) == 1


async def test_when_it_is_closed_what_was_asked_for_is_done_and_nothing_more(server: Server) -> None:
    writer = Writer("writer", server, 10, 30)
    asked = [asyncio.ensure_future(writer.submit(keep, number)) for number in range(5)]
    await asyncio.sleep(0)
    await writer.close()
    await asyncio.gather(*asked)
    assert kept(server.url) == [*range(5)]
    with pytest.raises(InboxUnavailable, match="closed"):
        await writer.submit(keep, 9)
    await writer.close()


async def test_a_server_that_hangs_does_not_keep_it_from_being_closed(server: Server) -> None:
    writer = Writer("writer", server, 10, 0.2)
    with psycopg.connect(server.url) as other:
        other.execute("LOCK TABLE webhook_receiver.kept")
        with pytest.raises(InboxUnavailable, match="did not answer"):
            await writer.submit(keep, 1)
        async with asyncio.timeout(30):
            await writer.close()
