from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Generator
from contextlib import ExitStack, suppress
from typing import Any

import psycopg
import pytest

from tests.postgres import database, execute
from webhook_receiver import ConfigurationError
from webhook_receiver.errors import InboxDamaged, InboxError, InboxUnavailable
from webhook_receiver.inbox.postgres import PostgresInbox
from webhook_receiver.inbox.postgres.leases import NEVER, NotYet
from webhook_receiver.inbox.records import Claim, DamagedDelivery, Duplicate, Filter, Stored, StoredDelivery
from webhook_receiver.testing.inbox_suite import (
    DEAD,
    LEASE,
    NOW,
    WAITING,
    Make,
    SharedInboxSuite,
    claim,
    dumped,
    entry,
    finish,
    listed,
    put,
    settle,
)


class TestPostgresInbox(SharedInboxSuite):
    @pytest.fixture
    def make(self, postgres_address: str, postgres_template: str) -> Generator[Make]:
        with ExitStack() as stack:
            urls: dict[str, str] = {}

            def make(name: str) -> PostgresInbox:
                if name not in urls:
                    urls[name] = stack.enter_context(database(postgres_address, postgres_template))
                return PostgresInbox(urls[name])

            yield make


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


def jobs(url: str) -> list[tuple[Any, ...]]:
    """Return the delivery, the state, the lock and the time of every job, the first to be run first."""
    return execute(
        url,
        "SELECT d.id, j.status::text, j.lock, j.scheduled_at FROM webhook_receiver.procrastinate_jobs j "
        "JOIN webhook_receiver.delivery d ON d.seq = (j.args ->> 'seq')::bigint ORDER BY j.priority DESC, j.id",
    )


# Jobs


async def test_a_delivery_and_its_job_are_kept_together(inbox: PostgresInbox, postgres_url: str) -> None:
    await put(inbox, "d-1")
    await put(inbox, "d-2", "d-3", ordering_key="o-1")
    (one, *others) = jobs(postgres_url)
    assert one == ("d-1", "todo", None, None)
    assert [job[:2] for job in others] == [("d-2", "todo"), ("d-3", "todo")]
    assert others[0][2] == others[1][2] != None  # noqa: E711 - the lock is there, and the same


async def test_what_is_not_kept_has_no_job(inbox: PostgresInbox, postgres_url: str) -> None:
    await put(inbox, "d-1", key=b"k")
    assert await put(inbox, "d-2", key=b"k") == [Duplicate("d-1")]
    with pytest.raises(InboxError):
        await inbox.put(entry("d-1"), NOW)
    assert [job[0] for job in jobs(postgres_url)] == ["d-1"]
    assert execute(postgres_url, "SELECT count(*) FROM webhook_receiver.procrastinate_jobs") == [(1,)]


async def test_without_room_for_the_job_the_delivery_is_not_kept(inbox: PostgresInbox, postgres_url: str) -> None:
    execute(postgres_url, "ALTER TABLE webhook_receiver.procrastinate_jobs ADD CHECK (priority < -1000)")
    with pytest.raises(InboxError):
        await inbox.put(entry("d-1"), NOW)
    assert await listed(inbox) == []


async def test_an_older_one_that_is_replayed_has_its_job_before_those_behind_it(
    inbox: PostgresInbox, postgres_url: str
) -> None:
    await put(inbox, "d-1", "d-2", "d-3", ordering_key="o-1")
    await finish(inbox, DEAD)
    await inbox.replay(["d-1"], NOW)
    assert [job[0] for job in jobs(postgres_url)] == ["d-1", "d-2", "d-3"], "one each, the old one of d-1 is withdrawn"


async def test_what_is_loaded_has_its_job_before_what_is_there(
    inbox: PostgresInbox, postgres_address: str, postgres_template: str
) -> None:
    await put(inbox, "d-1", "d-2", ordering_key="o-1")
    with database(postgres_address, postgres_template) as url:
        another = await PostgresInbox(url).open()
        await put(another, "e-1", ordering_key="o-1")
        await another.load(await dumped(inbox), NOW)
        await another.close()
        assert [job[0] for job in jobs(url)] == ["d-1", "d-2", "e-1"]


async def test_what_is_purged_leaves_no_job_that_would_hold_up_its_ordering_key(
    inbox: PostgresInbox, postgres_url: str
) -> None:
    await put(inbox, "d-1", "d-2", ordering_key="o-1")
    await inbox.purge(Filter(ids=["d-1"]), NOW, limit=1)
    assert [job[0] for job in jobs(postgres_url)] == ["d-2"]
    assert execute(postgres_url, "SELECT count(*) FROM webhook_receiver.procrastinate_jobs") == [(1,)]


async def test_a_job_takes_the_lease_on_its_delivery_alone(inbox: PostgresInbox, postgres_url: str) -> None:
    await put(inbox, "d-1", "d-2")
    (_, second) = seqs_and_jobs(postgres_url)
    claimed = await inbox.claim_for_job(*second, LEASE, NOW)
    assert isinstance(claimed, Claim)
    assert claimed.delivery.id == "d-2"
    assert await inbox.claim_for_job(*second, LEASE, NOW) == NotYet(NOW + LEASE), "it is leased until then"
    assert await settle(inbox, claimed)
    assert await inbox.claim_for_job(*second, LEASE, NOW) is None, "nothing is left to do"


async def test_a_job_hears_what_its_delivery_waits_for(inbox: PostgresInbox, postgres_url: str) -> None:
    await put(inbox, "d-1", "d-2", "d-3", ordering_key="o-1")
    first, second, third = seqs_and_jobs(postgres_url)
    assert await inbox.claim_for_job(*second, LEASE, NOW) == NotYet(0, needs_own_lock=True), "another one goes first"
    await settle(inbox, taken(await inbox.claim_for_job(*first, LEASE, NOW)), WAITING, due=NOW + 50)
    assert await inbox.claim_for_job(*first, LEASE, NOW) == NotYet(NOW + 50), "it waits for its retry"
    await inbox.pause("h", NOW)
    again = taken(await inbox.claim_for_job(*first, LEASE, NOW + 50))
    await settle(inbox, again, WAITING, paused_by="h", now=NOW + 50)
    assert await inbox.claim_for_job(*first, LEASE, NOW + 51) == NotYet(NEVER), "it waits until its handler is resumed"
    await inbox.resume("h")
    assert await inbox.claim_for_job(*first, LEASE, NOW + 51) is None, "another job has it now"
    (first, *_) = seqs_and_jobs(postgres_url)
    assert isinstance(await inbox.claim_for_job(*first, LEASE, NOW + 51), Claim)
    await inbox.purge(Filter(ids=["d-3"]), NOW, limit=1)
    assert await inbox.claim_for_job(*third, LEASE, NOW) is None, "it is gone"


async def test_a_delivery_that_lost_its_job_gets_another_one(inbox: PostgresInbox, postgres_url: str) -> None:
    await put(inbox, "d-1", "d-2", "d-3")
    await settle(inbox, (await claim(inbox, 1))["d-1"])
    execute(postgres_url, "DELETE FROM webhook_receiver.procrastinate_jobs")
    assert await inbox.restore_jobs("another", NOW + 61) == 0
    assert await inbox.restore_jobs("hooks", NOW + 61) == 2
    assert [job[0] for job in jobs(postgres_url)] == ["d-2", "d-3"]
    assert await inbox.restore_jobs("hooks", NOW + 61) == 0


def seqs_and_jobs(url: str) -> list[tuple[int, int]]:
    return [(seq, job) for seq, job in execute(url, "SELECT seq, job FROM webhook_receiver.progress ORDER BY seq")]


def taken(found: object) -> Claim:
    assert isinstance(found, Claim)
    return found


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


async def test_a_delivery_that_was_changed_is_never_handed_out(
    inbox: PostgresInbox, postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    await put(inbox, "d-1", "d-2", ordering_key="o-1")
    execute(postgres_url, "UPDATE webhook_receiver.delivery SET body = 'x' WHERE id = 'd-1'")
    assert [*await claim(inbox)] == ["d-2"], "those behind it go on"
    assert "delivery d-1 is dead: what is kept of the delivery 'd-1' is not what was put" in caplog.text
    (record,) = await inbox.find(Filter(states=[DEAD]))
    assert (record.id, record.due, record.leased) == ("d-1", None, False)
    with pytest.raises(InboxDamaged):
        await inbox.get("d-1")


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


async def test_it_goes_on_with_a_new_connection_when_one_was_cut(inbox: PostgresInbox, postgres_url: str) -> None:
    await put(inbox, "d-1")
    execute(
        postgres_url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    with pytest.raises(InboxUnavailable):
        await put(inbox, "d-2")
    assert await put(inbox, "d-3") == [Stored("d-3")]


async def test_a_server_that_does_not_answer_in_time_is_away(postgres_url: str) -> None:
    inbox = await PostgresInbox(postgres_url, timeout=0.2).open()
    await put(inbox, "d-1")
    with psycopg.connect(postgres_url) as other:
        other.execute("LOCK TABLE webhook_receiver.delivery")
        with pytest.raises(InboxUnavailable, match=r"did not answer within 0\.4 s"):
            await put(inbox, "d-2")
    async with asyncio.timeout(30):
        while True:
            with suppress(InboxUnavailable):  # the connection that hung is given up just now
                assert await put(inbox, "d-3") == [Stored("d-3")]
                break
    await inbox.close()


@pytest.mark.parametrize(
    "settings", [{"window": 0}, {"window": 9e9}, {"timeout": 0}, {"schema": "no schema"}, {"schema": "x" * 64}]
)
def test_settings_that_cannot_work_are_rejected(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        PostgresInbox("postgresql://127.0.0.1/inbox", **settings)
