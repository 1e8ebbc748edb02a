from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Sequence
from contextlib import ExitStack, asynccontextmanager, nullcontext
from functools import cache
from types import ModuleType, SimpleNamespace
from typing import Any

import psycopg
import pytest

from tests.postgres import database, execute, migrated, postgres
from webhook_receiver import ConfigurationError
from webhook_receiver.errors import InboxDamaged, InboxError, InboxUnavailable
from webhook_receiver.inbox.clock import LeaseTime
from webhook_receiver.inbox.dedup import PutJob
from webhook_receiver.inbox.postgres import PostgresInbox, insert, leases, maintenance, queries
from webhook_receiver.inbox.postgres.connection import cut
from webhook_receiver.inbox.postgres.rows import BY_INDEX, PostgresConnection, ask
from webhook_receiver.inbox.records import (
    Claim,
    DamagedDelivery,
    Duplicate,
    FailedAttempt,
    Filter,
    State,
    Stored,
    StoredDelivery,
)
from webhook_receiver.inbox.retention import known_since
from webhook_receiver.testing.inbox_suite import (
    DEAD,
    LEASE,
    NOW,
    Make,
    RemovedBodiesSuite,
    SharedInboxSuite,
    batch,
    claim,
    entry,
    listed,
    put,
    settle,
)

from .receivers import put_in_the_end


@pytest.fixture
def url(postgres_address: str, postgres_template: str) -> Generator[Callable[[str], str]]:
    """A function that returns the URL of the database of a name."""
    with ExitStack() as stack:
        yield cache(lambda name: stack.enter_context(database(postgres_address, postgres_template)))


class TestPostgresInbox(SharedInboxSuite):
    @pytest.fixture
    def make(self, url: Callable[[str], str]) -> Make:
        return lambda name: PostgresInbox(url(name))


class TestRemovedBodies(RemovedBodiesSuite):
    @pytest.fixture
    def make(self, url: Callable[[str], str]) -> Make:
        return lambda name: PostgresInbox(url(name), keep_body=self.keep_body)


@pytest.fixture
async def inbox(postgres_url: str) -> AsyncIterator[PostgresInbox]:
    inbox = await PostgresInbox(postgres_url).open()
    yield inbox
    await inbox.close()


async def test_an_identity_may_be_long(inbox: PostgresInbox) -> None:
    long = random.Random(1).randbytes(50_000).hex()  # nothing that could be compressed to fit into an index
    assert await put(inbox, "d-1", identity=f"{long}1") == [Stored("d-1")]
    assert await put(inbox, "d-2", identity=f"{long}2", via="backfill") == [Stored("d-2")]
    assert await put(inbox, "d-3", identity=f"{long}1", via="backfill") == [Duplicate("d-1")]


async def test_what_the_server_has_no_room_for_is_rejected_alone(inbox: PostgresInbox, postgres_url: str) -> None:
    execute(postgres_url, "CREATE INDEX ON webhook_receiver.delivery (order_key)")
    long = random.Random(1).randbytes(50_000).hex()
    puts = [inbox.put(entry(f"d-{each}", ordering_key=long if each == 2 else None), NOW) for each in range(5)]
    found = await asyncio.gather(*puts, return_exceptions=True)
    assert [type(each) for each in found] == [Stored, Stored, InboxError, Stored, Stored]


async def test_its_clock_is_the_servers_of_the_first_connection_whatever_this_machines_says(
    inbox: PostgresInbox, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 3600)
    off = await PostgresInbox(postgres_url).open()
    await off.stats()
    await inbox.stats()
    assert abs(off.clock() - inbox.clock()) < 5
    began = off.clock() - off._clock.uptime()
    await off.close()
    await off.open()
    await off.stats()
    assert off.clock() - off._clock.uptime() == pytest.approx(began, abs=1e-3), "it is measured once"
    await off.close()


# Many at once


async def test_requests_of_thousands_of_events_take_no_more_locks_than_a_small_server_has() -> None:
    with (
        postgres(fsync="off", max_connections=10, max_locks_per_transaction=10) as server,  # some hundreds for all
        database(server.address) as url,
    ):
        inbox = await PostgresInbox(migrated(url)).open()
        many = [batch(f"m-{number}", *[f"{number}.{part}" for part in range(3000)]) for number in range(2)]
        found = await asyncio.gather(*[inbox.put(each, NOW) for each in (*many, entry("d-1", key=b"k"))])
        assert [each.id for each in found] == ["m-0", "m-1", "d-1"]
        assert await inbox.put(many[1], NOW) == Duplicate("m-1")
        await inbox.close()


@pytest.mark.parametrize("numbers", [(1, 300), (300, 1), (300, 300)])
async def test_however_many_are_put_at_once_none_is_there_twice(
    inbox: PostgresInbox, postgres_url: str, numbers: tuple[int, int]
) -> None:
    first, second = [batch(f"d-{number}", *map(str, range(number))) for number in numbers]
    server = inbox.server
    with server.connect() as other, server.transaction(other):
        assert insert.put(other, [PutJob.of(first, NOW, 7 * 86_400)]) == [Stored(first.delivery.id)]
        putting = asyncio.create_task(inbox.put(second._replace(delivery=entry("again").delivery), NOW))
        await asyncio.to_thread(wait_for_lock, postgres_url)
    await putting
    assert len(await listed(inbox)) == max(numbers)


async def test_many_and_few_of_several_receivers_do_not_wait_for_each_other(inbox: PostgresInbox) -> None:
    another = await PostgresInbox(inbox.server.url).open()
    events = [str(number) for number in range(300)]
    puts = [
        at.put(batch(f"{name}-{turn}-{place}", *events[: 300 if turn % 2 else 1], receiver=name), NOW)
        for turn in range(6)
        for place, at in enumerate([inbox, another])
        for name in ("hooks", "other")
    ]
    await asyncio.gather(*puts)
    assert len(await listed(inbox)) == 2 * 300
    await another.close()


# Durability


async def test_what_was_put_is_committed_synchronously_whatever_the_role_says(
    postgres_url: str, postgres_address: str
) -> None:
    name = postgres_url.rpartition("/")[2]
    execute(f"{postgres_address}/postgres", f"ALTER DATABASE {name} SET synchronous_commit = off")
    inbox = await PostgresInbox(postgres_url).open()
    found = await inbox._ask(lambda connection: connection.execute("SHOW synchronous_commit").fetchone())
    assert found == ("on",)
    await inbox.close()


async def test_many_concurrent_puts_share_commits(inbox: PostgresInbox, postgres_url: str) -> None:
    found = await asyncio.gather(*[inbox.put(entry(f"d-{number}"), NOW) for number in range(200)])
    assert all(isinstance(each, Stored) for each in found)
    commits = execute(postgres_url, "SELECT count(DISTINCT xmin::text) FROM webhook_receiver.delivery")
    assert commits[0][0] <= 10


async def test_what_a_dead_letter_handler_hears_of_is_not_expired_however_late_unix_time_is(postgres_url: str) -> None:
    inbox = await PostgresInbox(postgres_url, dead_retention=1.0).open()
    await put(inbox, "d-1", dead="not JSON")
    hearing = await claim(inbox)
    assert await inbox.expire(NOW + 2 * LEASE) == 0, "the system's clock was set, and the lease goes on"
    assert await settle(inbox, hearing["d-1"], DEAD)
    assert await inbox.expire(NOW + 2 * LEASE) == 1
    await inbox.close()


async def test_a_delivery_that_was_changed_is_never_handed_out(
    inbox: PostgresInbox, postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    await put(inbox, "d-1", "d-2", ordering_key="o-1")
    execute(postgres_url, "UPDATE webhook_receiver.delivery SET body = 'x' WHERE id = 'd-1'")
    (behind,) = await inbox.claim("hooks", 9, LEASE, NOW, NOW + 3600)
    assert behind.delivery.id == "d-2", "those behind it go on"
    assert "delivery d-1 is dead: what is kept of the delivery 'd-1' is not what was put" in caplog.text
    (record,) = await inbox.find(Filter(states=[DEAD]))
    assert (record.id, record.due, record.leased) == ("d-1", None, False)
    assert record.settled == NOW + 3600, "in Unix time"
    with pytest.raises(InboxDamaged):
        await inbox.get("d-1")


@pytest.mark.parametrize("fields", [{"key": b"k"}, {"identity": "i\0", "key": b"k"}])
async def test_what_is_damaged_does_not_keep_a_whole_copy_of_it_away(
    inbox: PostgresInbox, postgres_url: str, fields: dict[str, Any]
) -> None:
    await put(inbox, "d-1", **fields)
    execute(postgres_url, "UPDATE delivery SET body = 'x'")
    assert await claim(inbox) == {}
    assert await put(inbox, "d-2", "d-3", **fields) == [Stored("d-2"), Duplicate("d-2")]
    assert [*await claim(inbox)] == ["d-2"]
    assert await listed(inbox, Filter(states=[DEAD])) == ["d-1"]
    with pytest.raises(InboxDamaged):
        await inbox.get("d-1")
    assert await inbox.purge(Filter(ids=["d-1"]), NOW, limit=5) == 1
    assert await put(inbox, "d-4", **fields) == [Duplicate("d-2")]


async def test_all_parts_of_a_damaged_body_are_stored_anew(inbox: PostgresInbox, postgres_url: str) -> None:
    events = [str(number) for number in range(200)]
    await inbox.put(batch("d-1", *events), NOW)
    execute(postgres_url, "UPDATE delivery SET body = 'x' WHERE id = 'd-1'")
    assert await claim(inbox, 200) == {}
    assert await inbox.put(batch("d-2", *events), NOW) == Stored("d-2")
    assert len(await claim(inbox, 200)) == 200


async def test_what_is_dead_and_whole_is_replayed_by_its_copy(inbox: PostgresInbox, postgres_url: str) -> None:
    await inbox.put(batch("d-1", "a\0", "b", "c"), NOW)
    for each in (await claim(inbox)).values():
        await settle(inbox, each, DEAD)
    execute(postgres_url, "UPDATE progress SET handlers = '5'")
    assert await inbox.put(batch("d-2", "a\0", "b", "c"), NOW) == Duplicate("d-1", replayed=True)
    assert [*await claim(inbox)] == ["d-1", "d-1.1", "d-1.2"]


async def test_a_dump_goes_on_past_a_damaged_delivery(inbox: PostgresInbox, postgres_url: str) -> None:
    await put(inbox, "d-1", "d-2", "d-3")
    execute(postgres_url, "UPDATE webhook_receiver.delivery SET body = 'other' WHERE id = 'd-2'")
    first, second, third = [each async for each in inbox.dump(Filter())]
    assert isinstance(first, StoredDelivery)
    assert isinstance(third, StoredDelivery)
    assert isinstance(second, DamagedDelivery)
    assert (first.summary.id, second.id, third.summary.id) == ("d-1", "d-2", "d-3")
    with pytest.raises(InboxDamaged, match="d-2"):
        await inbox.get("d-2")


@pytest.mark.parametrize(
    "handlers", ["5", "[1]", '{"h": "waiting"}', '{"h": ["waiting", 1, 1, "soon", false, "later"]}', '{"h": ["lost"]}']
)
async def test_damaged_states_of_handlers_are_told_and_keep_no_other_delivery_from_being_read(
    inbox: PostgresInbox, postgres_url: str, handlers: str
) -> None:
    await put(inbox, "d-1", "d-2")
    execute(
        postgres_url,
        f"UPDATE webhook_receiver.progress SET handlers = '{handlers}' "
        "WHERE seq = (SELECT seq FROM webhook_receiver.delivery WHERE id = 'd-1')",
    )
    first, second = await inbox.find(Filter(), newest_first=False)
    assert (first.id, first.handlers, second.id, second.damage) == ("d-1", {}, "d-2", None)
    assert "handlers' progress" in str(first.damage)
    shown = await inbox.get("d-1")
    assert shown is not None
    assert shown.summary == first
    assert (await inbox.stats()).expected_dead == []
    assert await listed(inbox, Filter(handler="other")) == []
    damaged, other = [each async for each in inbox.dump(Filter())]
    assert damaged == ("d-1", first.damage)
    assert isinstance(other, StoredDelivery)
    assert await inbox.replay(["d-1", "d-2"], NOW) == 2
    (again,) = await inbox.find(Filter(ids=["d-1"]))
    assert (again.handlers, again.damage) == ({}, None)
    assert await inbox.purge(Filter(ids=["d-1"]), NOW, limit=5) == 1


async def test_no_two_kept_deliveries_have_one_key_whoever_puts_them(inbox: PostgresInbox, postgres_url: str) -> None:
    await put(inbox, "d-1", key=b"k")
    with pytest.raises(psycopg.errors.UniqueViolation):
        execute(
            postgres_url,
            "INSERT INTO webhook_receiver.delivery (id, source, origin, key, received, headers, body, body_verified, "
            "checksum, current) SELECT 'd-2', source, origin, key, received, headers, body, body_verified, checksum, "
            "current FROM webhook_receiver.delivery",
        )


# The server


async def test_a_server_that_is_not_there_is_reported_without_the_password() -> None:
    inbox = PostgresInbox("postgresql://app:hunter2@127.0.0.1:1/inbox")
    with pytest.raises(InboxUnavailable) as raised:
        await inbox.open()
    assert "refused" in str(raised.value)
    for said in (str(raised.value), repr(inbox), repr(inbox.server)):
        assert "hunter2" not in said


async def test_the_url_says_whether_the_server_has_to_prove_itself(postgres_url: str) -> None:
    inbox = PostgresInbox(f"{postgres_url}?sslmode=verify-full&sslrootcert=system")
    with pytest.raises(InboxUnavailable, match="server does not support SSL, but SSL was required"):
        await inbox.open()


async def test_without_its_tables_it_says_which_command_makes_them(empty_database: str) -> None:
    with pytest.raises(ConfigurationError, match="webhook-receiver inbox migrate URL"):
        await PostgresInbox(empty_database).open()


async def test_in_place_of_a_connection_that_has_ended_there_is_a_new_one(
    inbox: PostgresInbox, postgres_url: str
) -> None:
    await put(inbox, "d-1")
    execute(
        postgres_url,
        "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    assert await put(inbox, "d-2") == [Stored("d-2")]
    assert [*await claim(inbox)] == ["d-1", "d-2"]
    assert await listed(inbox) == ["d-1", "d-2"]


async def test_a_server_that_does_not_answer_in_time_is_away(postgres_url: str) -> None:
    inbox = await PostgresInbox(postgres_url, timeout=0.2).open()
    await put_in_the_end(inbox)  # the first one also connects
    with psycopg.connect(postgres_url) as other:
        other.execute("LOCK TABLE webhook_receiver.delivery")
        with pytest.raises(InboxUnavailable, match=r"did not answer within 0\.4 s"):
            await put(inbox, "d-2")
    await put_in_the_end(inbox)  # the connection that hung is given up just now
    await inbox.close()


@pytest.mark.parametrize(
    "settings", [{"window": 0}, {"window": 9e9}, {"timeout": 0}, {"schema": "no schema"}, {"schema": "x" * 64}]
)
def test_settings_that_cannot_work_are_rejected(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        PostgresInbox("postgresql://127.0.0.1/inbox", **settings)


# Figures


async def assert_counted(inbox: PostgresInbox, url: str) -> None:
    """The figures are those of the rows."""
    stats = await inbox.stats()
    states = dict(execute(url, "SELECT state, count(*) FROM progress GROUP BY state"))
    assert {state.value: number for state, number in stats.counts.items() if number} == states
    leased = "SELECT count(*) FROM progress WHERE lease IS NOT NULL AND state = 'waiting'"
    assert execute(url, leased) == [(stats.running,)]
    oldest = "SELECT min(received) FROM delivery JOIN progress USING (seq) WHERE state = 'waiting'"
    assert execute(url, oldest) == [(stats.oldest_waiting,)]


async def test_the_figures_are_right_whatever_happens(inbox: PostgresInbox, postgres_url: str) -> None:
    seed = random.Random(1)
    for number in range(60):
        ordering_key = seed.choice([None, "o-1", "o-2"])
        receiver = seed.choice(["hooks", "another"])
        await inbox.put(
            entry(f"d-{number}", receiver=receiver, ordering_key=ordering_key, received=NOW + number), NOW + number
        )
    now = NOW + 100.0
    for step in range(60):
        now += seed.choice([1, LEASE])
        for found in await inbox.claim(seed.choice(["hooks", "another"]), seed.randrange(6), LEASE, now):
            state = seed.choice([State.DONE, State.DEAD, State.UNHANDLED, State.WAITING, None])
            if state is not None:
                await settle(inbox, found, state, due=now + 50 if state is State.WAITING else None, now=now)
        ids = [f"d-{number}" for number in seed.sample(range(60), 3)]
        match step % 6:
            case 0:
                await inbox.replay(ids, now)
            case 1:
                await inbox.purge(Filter(ids=ids[:1]), now, limit=1)
            case 2:
                await inbox.check()
            case 3:
                await inbox.expire(now)
            case _:
                pass
        await assert_counted(inbox, postgres_url)


def wait_for_lock(url: str, waiting: int = 1) -> None:
    """Wait until so many wait for a lock."""
    asked = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    deadline = time.monotonic() + 30
    while execute(url, asked) != [(waiting,)]:
        assert time.monotonic() < deadline


async def test_a_duplicate_leaves_what_others_replay_and_lease_meanwhile_to_them(
    inbox: PostgresInbox, postgres_url: str
) -> None:
    await put(inbox, "d-1", key=b"k", dead="not JSON")
    options = "-c search_path=webhook_receiver"
    with psycopg.connect(postgres_url, options=options) as other:
        other.execute("UPDATE progress SET state = 'waiting', lease = 1, due = %s", (NOW + LEASE,))
        putting = asyncio.create_task(put(inbox, "d-2", key=b"k", now=NOW + 3600))  # the system's clock was set ahead
        await asyncio.to_thread(wait_for_lock, postgres_url)
        other.commit()
    assert await putting == [Duplicate("d-1")]
    assert execute(postgres_url, "SELECT lease, due FROM progress") == [(1, NOW + LEASE)]


@pytest.mark.parametrize("state", [State.UNHANDLED, State.DEAD])
async def test_a_repeated_push_whose_first_one_is_removed_meanwhile_is_stored(
    inbox: PostgresInbox, postgres_url: str, state: State
) -> None:
    later = NOW + 31 * 86_400
    await put(inbox, "d-1", key=b"k", lasting=True)
    assert await settle(inbox, (await claim(inbox))["d-1"], state)
    server = inbox.server
    with server.connect() as other, server.transaction(other):
        which, since = Filter(states=[state]), known_since(later, 7 * 86_400)
        assert maintenance.purge(other, which, None, 10, *since, later - 30 * 86_400) == 1
        putting = asyncio.create_task(put(inbox, "d-2", "d-3", key=b"k", lasting=True, now=later))
        await asyncio.to_thread(wait_for_lock, postgres_url)
    assert await putting == [Stored("d-2"), Duplicate("d-2")]
    assert [*await claim(inbox, now=later)] == ["d-2"]


async def test_what_a_repeated_push_replays_is_not_removed_meanwhile(inbox: PostgresInbox, postgres_url: str) -> None:
    later = NOW + 31 * 86_400
    await put(inbox, "d-1", key=b"k", lasting=True, dead="not JSON")
    again = PutJob.of(entry("d-2", received=later, key=b"k", lasting=True), later, 7 * 86_400)
    server, dead = inbox.server, Filter(states=[DEAD])
    with server.connect() as other, server.transaction(other):
        assert insert.put(other, [again]) == [Duplicate("d-1", replayed=True)]
        purging = asyncio.create_task(inbox.purge(dead, later, limit=5))
        await asyncio.to_thread(wait_for_lock, postgres_url)
    assert await purging == 0
    assert [*await claim(inbox, now=later)] == ["d-1"]


@asynccontextmanager
async def claiming(inbox: PostgresInbox, url: str) -> AsyncGenerator[asyncio.Task[dict[str, Claim]]]:
    """A claim of d-1 and d-2, whose commit is under way meanwhile, and ends then."""
    assert await claim(inbox) == {}  # after which the clock is known
    await put(inbox, "d-1", "d-2")
    execute(
        url,
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NULL; END $$; "
        "CREATE CONSTRAINT TRIGGER wait AFTER UPDATE ON progress DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION wait()",
    )
    with psycopg.connect(url) as other:
        other.execute("SELECT pg_advisory_xact_lock(1)")
        task = asyncio.create_task(claim(inbox))
        await asyncio.to_thread(wait_for_lock, url)
        yield task


async def assert_free(inbox: PostgresInbox) -> None:
    """Assert that d-1 and d-2 can be claimed before their leases have ended, and that no crash is counted."""
    found: dict[str, Claim] = {}
    async with asyncio.timeout(30):
        while len(found) < 2:
            found |= await claim(inbox)
    assert {id: each.crashes for id, each in found.items()} == {"d-1": 0, "d-2": 0}


async def test_what_is_claimed_for_a_caller_that_was_cancelled_is_free_at_once(
    inbox: PostgresInbox, postgres_url: str
) -> None:
    async with claiming(inbox, postgres_url) as task:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await assert_free(inbox)


@pytest.mark.parametrize("is_cut", [False, True])
async def test_what_is_claimed_for_a_caller_that_waited_too_long_is_free_at_once(
    inbox: PostgresInbox, postgres_url: str, monkeypatch: pytest.MonkeyPatch, is_cut: bool
) -> None:
    limits: list[asyncio.Timeout] = []
    timeout = asyncio.timeout

    def note(seconds: float | None) -> asyncio.Timeout:
        limits.append(timeout(seconds))
        return limits[-1]

    monkeypatch.setattr(asyncio, "timeout", note)
    async with claiming(inbox, postgres_url) as task:
        monkeypatch.setattr(asyncio, "timeout", timeout)
        if is_cut:  # since the transaction is old; the server goes on with its commit
            inbox._writer(1)._began = float("-inf")
        limits[-1].reschedule(asyncio.get_running_loop().time())
        with pytest.raises(InboxUnavailable, match="did not answer within 10 s"):
            await task
        if is_cut:  # who gives the leases back waits for that
            await asyncio.to_thread(wait_for_lock, postgres_url, 2)
    await assert_free(inbox)


async def test_what_is_claimed_over_a_connection_that_is_lost_meanwhile_is_free_at_once(
    inbox: PostgresInbox, postgres_url: str
) -> None:
    async with claiming(inbox, postgres_url) as task:
        connection = inbox._writer(1)._connection
        assert connection is not None
        cut(connection)
        with pytest.raises(InboxUnavailable, match="cannot be reached"):
            await task
        await asyncio.to_thread(wait_for_lock, postgres_url, 2)
    await assert_free(inbox)


async def test_for_what_is_new_nothing_is_locked_but_its_hashes(
    inbox: PostgresInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def note(connection: PostgresConnection, statement: str, arguments: Sequence[Any] = ()) -> Any:
        asked.append(statement)
        return ask(connection, statement, arguments)

    monkeypatch.setattr(insert, "ask", note)
    assert await put(inbox, "d-1", key=b"k", identity="i") == [Stored("d-1")]
    assert len(asked) == 5, "the hashes, the duplicates, the number of the row, and two tables"
    assert not any("FOR UPDATE" in statement for statement in asked)


async def test_two_that_add_the_figures_up_at_once_lose_none(inbox: PostgresInbox, postgres_url: str) -> None:
    another = await PostgresInbox(postgres_url).open()
    for number in range(10):
        await asyncio.gather(
            *[each.put(entry(f"d-{number}-{at}"), NOW) for at, each in enumerate((inbox, another))],
            *[each.check() for each in (inbox, another) for _ in range(3)],
        )
    await assert_counted(inbox, postgres_url)
    await another.close()


async def test_the_figures_take_no_longer_with_many_deliveries(inbox: PostgresInbox, postgres_url: str) -> None:
    await put(inbox, "d-1")
    fill(postgres_url, 30_000)
    await inbox.check()  # after which the tally is added up
    asked = asked_by(queries, queries.stats)
    plans = await inbox._ask(lambda connection: [explained(connection, each) for each in asked])
    assert len(plans) > 3
    for plan in plans:
        assert max(rows_read(plan)) < 100, plan


def fill(url: str, count: int) -> None:
    """Put many older deliveries past the inbox: of each kind that there may be many of."""
    numbers = f"generate_series(1, {count}) AS n"
    execute(
        url,
        "INSERT INTO delivery SELECT -n, 'f-' || n, source, origin, event, NULL, NULL, NULL, received, "
        f"headers, body, verified_by, body_verified, checksum, true FROM delivery, {numbers} WHERE id = 'd-1'",
    )
    execute(
        url,
        "INSERT INTO progress (seq, source, state, due) SELECT -n, 'hooks', "
        "(ARRAY['waiting', 'dead', 'done', 'unhandled'])[1 + n %% 4], CASE n %% 4 WHEN 0 THEN 0 END "
        f"FROM {numbers}",
    )


async def test_a_claim_looks_once_for_who_goes_first_of_a_key_that_many_wait_for(
    inbox: PostgresInbox, postgres_url: str
) -> None:
    ids = [f"d-{number}" for number in range(600)]
    await asyncio.gather(*[inbox.put(entry(id, ordering_key=f"o-{id[-1]}"), NOW) for id in ids])
    assert [*await claim(inbox)] == ids[:10]
    execute(postgres_url, "ANALYZE progress")  # as the server does by itself once there are many
    job = leases.ClaimJob("hooks", 100, LeaseTime.of(NOW, LEASE), NOW, [])
    _, find, _ = asked_by(leases, lambda connection: leases.claim(connection, [job]))

    def plan_of(connection: PostgresConnection) -> Any:
        ask(connection, BY_INDEX)
        return explained(connection, find)

    assert max(looks(await inbox._ask(plan_of))) <= 10


def asked_by(module: ModuleType, work: Callable[[Any], object]) -> list[tuple[str, Sequence[Any]]]:
    """Return the statements of a function of a module."""
    asked: list[tuple[str, Sequence[Any]]] = []

    class Nothing:
        def fetchall(self) -> list[Any]:
            return []

        def fetchone(self) -> None:
            return None

    def note(connection: PostgresConnection, statement: str, arguments: Sequence[Any] = ()) -> Any:
        asked.append((statement, arguments))
        return Nothing()

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "ask", note)
        work(SimpleNamespace(pipeline=nullcontext))
    return asked


def explained(connection: PostgresConnection, asked: tuple[str, Sequence[Any]]) -> Any:
    statement, arguments = asked
    ((plan,),) = ask(connection, f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", arguments).fetchall()
    return plan[0]["Plan"]


def looks(plan: Any) -> list[int]:
    """Return how often each step of a plan was taken that looks into a table."""
    own = [plan["Actual Loops"]] if "Relation Name" in plan else []
    return own + [count for each in plan.get("Plans", []) for count in looks(each)]


def rows_read(plan: Any) -> list[float]:
    """Return how many rows each step of a plan has read; those of the catalogue do not count."""
    passed = sum(value for name, value in plan.items() if name.startswith("Rows Removed"))
    read = 0 if str(plan.get("Relation Name", "")).startswith("pg_") else (plan["Actual Rows"] + passed)
    return [read * plan["Actual Loops"], *[rows for each in plan.get("Plans", []) for rows in rows_read(each)]]


async def test_to_load_some_takes_no_longer_with_many_deliveries(inbox: PostgresInbox, postgres_url: str) -> None:
    await put(inbox, "d-1", key=b"k")
    (dumped,) = [stored async for stored in inbox.dump(Filter()) if isinstance(stored, StoredDelivery)]
    fill(postgres_url, 30_000)
    for work in (
        lambda connection: maintenance._unrelated(connection, [dumped]),
        lambda connection: maintenance._duplicate_of(connection, dumped, 60.0),
    ):
        (look,) = asked_by(maintenance, work)

        def plan_of(connection: PostgresConnection, look: tuple[str, Sequence[Any]] = look) -> Any:
            ask(connection, BY_INDEX)
            return explained(connection, look)

        assert max(rows_read(plan := await inbox._ask(plan_of))) < 100, plan


async def test_to_load_many_takes_few_round_trips_also_if_some_are_known(
    inbox: PostgresInbox, url: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(inbox, "d-0", "d-1", "d-2", "d-3")
    for number, found in enumerate((await claim(inbox)).values()):
        failed = FailedAttempt("h", 1, NOW, 0.1, "dead", "it failed", "")
        assert await settle(inbox, found, *([DEAD] if number % 2 else []), reason="it failed", attempts=[failed])
    await put(inbox, *(f"d-{number}" for number in range(4, 50)), ordering_key="o")
    dumped = [stored async for stored in inbox.dump(Filter()) if isinstance(stored, StoredDelivery)]
    other = await PostgresInbox(url("another")).open()
    partly = await PostgresInbox(url("partly")).open()
    await partly.load(dumped[20:21], NOW)
    asked = 0

    def counted(*arguments: Any, **named: Any) -> object:
        nonlocal asked
        asked += 1
        return original(*arguments, **named)

    original = psycopg.Connection.execute
    monkeypatch.setattr(psycopg.Connection, "execute", counted)
    assert await other.load(dumped, NOW) == 50
    assert asked < 15
    asked = 0
    assert await partly.load(dumped, NOW) == 49
    assert asked < 20
    assert {stored.summary.id for stored in dumped} == {*await listed(partly)}
    await partly.close()
    assert await other.load(dumped, NOW) == 0
    assert [stored async for stored in other.dump(Filter())] == dumped
    assert [*await claim(other, 50)] == ["d-4"]
    await other.close()
