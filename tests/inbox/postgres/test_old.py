"""The tables of an older version, which had jobs of procrastinate's, are brought to the newest: nothing is lost.

`old/hooks-2.sql.gz` is what pg_dump wrote of them: a hundred deliveries of each kind, every second one with an ordering
key. A "waiting" one is due; a "retrying" one waits for its retry, a "held" one for the paused handler "h"; an "unheard"
one is dead, and on_dead has not heard of it yet; a "leased" one was being handled.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import psycopg
import pytest

from tests.postgres import execute, load_version_2
from webhook_receiver.errors import InboxUnavailable
from webhook_receiver.inbox.postgres import PostgresInbox
from webhook_receiver.inbox.postgres.connection import translated
from webhook_receiver.inbox.postgres.schema import MIGRATIONS
from webhook_receiver.inbox.records import Duplicate, Filter, State, Stored
from webhook_receiver.testing.inbox_suite import NOW, entry, settle

STEPS = [f"inbox {step}" for step in range(3, len(MIGRATIONS) + 1)]
KINDS = ("waiting", "retrying", "held", "dead", "unheard", "leased", "done", "unhandled")


def kind(id: str) -> str:
    return id.partition("-")[0]


@pytest.fixture
def old_database(empty_database: str) -> str:
    load_version_2(empty_database)
    return empty_database


async def test_none_is_lost_and_none_handled_twice(old_database: str) -> None:
    assert await PostgresInbox(old_database).migrate() == STEPS
    await handle_all(old_database)


async def handle_all(url: str) -> None:
    """Handle what waits since before the migration, and see that none is missing and none was handled before."""
    inbox = await PostgresInbox(url).open()
    assert Counter(kind(each.id) for each in await inbox.find(Filter())) == dict.fromkeys(KINDS, 100)
    now, ran = NOW + 100, Counter[str]()
    await inbox.resume("h")
    while claims := await inbox.claim("hooks", 64, 30, now):
        assert len({claim.delivery.id for claim in claims}) == len(claims)
        for claim in claims:
            ran[claim.delivery.id] += 1
            assert (claim.crashes == 1) is (kind(claim.delivery.id) == "leased")
            assert await settle(inbox, claim, State.DEAD if claim.state is State.DEAD else State.DONE, now=now)
    assert {*ran.values()} == {1}
    run = Counter(map(kind, ran))
    assert run == dict.fromkeys(("waiting", "retrying", "held", "unheard", "leased"), 100)
    stats = await inbox.stats()
    assert stats.counts == {State.WAITING: 0, State.DONE: 500, State.DEAD: 200, State.UNHANDLED: 100}
    await inbox.close()


async def test_what_was_known_is_known(old_database: str) -> None:
    inbox = PostgresInbox(old_database)
    await inbox.migrate()
    await inbox.open()
    for name in ("waiting-1", "done-1", "leased-7"):
        again = entry("again", key=name.encode(), identity=name.replace("-", " "))
        assert await inbox.put(again, NOW) == Duplicate(name)
    await inbox.close()


async def test_what_the_older_version_runs_fails_and_says_why(old_database: str) -> None:
    await PostgresInbox(old_database).migrate()
    for theirs in (
        "SELECT * FROM procrastinate_defer_jobs_v1(NULL)",
        "SELECT * FROM procrastinate_fetch_job_v2(NULL, 1)",
        "INSERT INTO progress (seq, source, state, job) VALUES (1, 'hooks', 'waiting', 1)",
    ):
        with pytest.raises(Exception, match="does not exist") as raised:
            execute(old_database, theirs)
        assert isinstance(translated(raised.value), InboxUnavailable), "which is answered 503"
    assert execute(old_database, "SELECT count(*) FROM pg_class WHERE relname LIKE 'procrastinate%%'") == [(0,)]
    assert execute(old_database, "SELECT count(*) FROM pg_proc WHERE proname LIKE 'procrastinate%%'") == [(0,)]


def until_one_waits(url: str) -> None:
    while execute(url, "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation IS NOT NULL") == [(0,)]:
        time.sleep(0.01)


@pytest.mark.parametrize("tables", [("delivery", "progress"), ("progress", "delivery")], ids=["put", "settle"])
async def test_what_the_older_version_does_meanwhile_is_waited_for(old_database: str, tables: tuple[str, str]) -> None:
    with psycopg.connect(old_database) as theirs:
        # Which of two that wait for each other is given up: not this one.
        theirs.execute("SET deadlock_timeout = '1min'")
        theirs.execute("SET lock_timeout = '20s'")
        theirs.execute(f"LOCK TABLE webhook_receiver.{tables[0]} IN ROW EXCLUSIVE MODE".encode())
        ours = asyncio.create_task(PostgresInbox(old_database).migrate())
        await asyncio.to_thread(until_one_waits, old_database)
        await asyncio.to_thread(
            theirs.execute, f"LOCK TABLE webhook_receiver.{tables[1]} IN ROW EXCLUSIVE MODE".encode()
        )
        theirs.commit()
    assert await ours


async def test_a_time_for_statements_does_not_end_a_migration(old_database: str) -> None:
    with psycopg.connect(old_database) as theirs:
        theirs.execute("LOCK TABLE webhook_receiver.delivery IN ROW EXCLUSIVE MODE")
        ours = asyncio.create_task(PostgresInbox(f"{old_database}?options=-cstatement_timeout%3D200").migrate())
        await asyncio.sleep(0.5)
        theirs.commit()
    assert await ours


async def test_jobs_that_others_have_put_there_stay(old_database: str) -> None:
    execute(
        old_database,
        "UPDATE procrastinate_jobs SET task_name = 'theirs' WHERE id = (SELECT min(id) FROM procrastinate_jobs)",
    )
    await PostgresInbox(old_database).migrate()
    assert execute(old_database, "SELECT task_name FROM procrastinate_jobs") == [("theirs",)]


async def test_keys_that_were_stored_as_text_are_mended(old_database: str) -> None:
    # As libpq escaped them with standard_conforming_strings = off.
    execute(
        old_database,
        r"UPDATE delivery SET key = convert_to('\x' || encode(key, 'hex'), 'UTF8') WHERE id LIKE 'waiting-%%'",
    )
    twin = r"INSERT INTO delivery SELECT 9999, 'twin', source, origin, event, decode('646f6e652d31', 'hex'), identity, "
    execute(old_database, r"UPDATE delivery SET key = convert_to('\x646f6e652d31', 'UTF8') WHERE id = 'done-1'")
    execute(
        old_database,
        f"{twin} order_key, received, headers, body, verified_by, body_verified, checksum, true FROM delivery "
        "WHERE id = 'done-2'",
    )
    inbox = PostgresInbox(old_database)
    await inbox.migrate()
    await inbox.open()
    claims = await inbox.claim("hooks", 500, 30, NOW)
    assert len([claim for claim in claims if kind(claim.delivery.id) == "waiting"]) > 60
    assert not [each for each in await inbox.find(Filter(states=[State.DEAD])) if kind(each.id) == "waiting"]
    for number in (1, 2):
        assert await inbox.put(entry("again", key=f"waiting-{number}".encode()), NOW) == Duplicate(f"waiting-{number}")
    assert await inbox.put(entry("new", key=b"waiting-1000"), NOW) == Stored("new")
    assert execute(old_database, "SELECT id FROM delivery WHERE key = 'done-1' AND current") == [("twin",)]
    await inbox.close()
