"""The tables: made once, rejected when they are newer, and of use to a role that may make none."""

from __future__ import annotations

import asyncio
from collections.abc import Generator

import psycopg
import pytest

from tests.postgres import execute
from webhook_receiver import ConfigurationError
from webhook_receiver.errors import InboxUnavailable
from webhook_receiver.inbox.postgres import PostgresInbox, schema
from webhook_receiver.inbox.records import AuditRecord, Metric, Stored
from webhook_receiver.inbox.registration import Registration
from webhook_receiver.testing.inbox_suite import NOW, claim, put


async def test_the_tables_are_made_once_and_then_again_is_nothing(empty_database: str) -> None:
    inbox = PostgresInbox(empty_database)
    assert (await inbox.migrate()) == [f"inbox {step}" for step in range(1, len(schema.MIGRATIONS) + 1)]
    assert await inbox.migrate() == []
    await inbox.open()
    assert await put(inbox, "d-1") == [Stored("d-1")]
    await inbox.close()


async def test_many_may_make_them_at_once(empty_database: str) -> None:
    steps = await asyncio.gather(*[PostgresInbox(empty_database).migrate() for _ in range(6)])
    assert sorted(map(bool, steps)) == [False] * 5 + [True]


async def test_several_inboxes_share_a_database_in_schemas_of_their_own(empty_database: str) -> None:
    one, two = [PostgresInbox(empty_database, schema=name) for name in ("one", "two")]
    for inbox in (one, two):
        await inbox.migrate()
        await inbox.open()
    await put(one, "d-1")
    assert await claim(two) == {}
    assert [*await claim(one)] == ["d-1"]
    for inbox in (one, two):
        await inbox.close()


async def test_newer_tables_are_rejected(postgres_url: str) -> None:
    execute(postgres_url, "INSERT INTO migration VALUES ('inbox 99')")
    inbox = PostgresInbox(postgres_url)
    for rejected in (inbox.open(), inbox.migrate()):
        with pytest.raises(ConfigurationError, match=r"made by a newer webhook-receiver \(inbox 99\)"):
            await rejected


async def test_older_tables_are_reported_and_brought_to_the_newest_version(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, "CREATE TABLE another (one integer)"))
    inbox = PostgresInbox(postgres_url)
    with pytest.raises(ConfigurationError, match="has older tables: run  webhook-receiver inbox migrate URL"):
        await inbox.open()
    assert await inbox.migrate() == [f"inbox {len(schema.MIGRATIONS)}"]
    assert execute(postgres_url, "SELECT count(*) FROM another") == [(0,)]


async def test_the_counts_of_tables_of_before_are_there_by_the_hour(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = PostgresInbox(empty_database)
    with monkeypatch.context() as patched:
        patched.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:7])
        await inbox.migrate()
    hour = int(NOW // 3600)
    rows = [(hour * 60 + 59, 1), (hour * 60, 2), (hour * 60 - 1, 4)]
    for minute, count in rows:
        execute(empty_database, "INSERT INTO counter VALUES (%s, 'hooks', 'stored', 2, %s)", minute, count)
    assert await inbox.migrate() == ["inbox 8"]
    await inbox.open()
    found = await inbox.series((hour - 1) * 3600, (hour + 1) * 3600, 3600)
    assert found == {Metric("hooks", "stored", 2): [4, 3]}
    await inbox.close()


@pytest.fixture
def role(postgres_address: str) -> Generator[str]:
    name = "may_make_nothing"
    execute(f"{postgres_address}/postgres", f"CREATE ROLE {name} LOGIN")
    yield name
    execute(f"{postgres_address}/postgres", f"DROP ROLE {name}")


async def test_a_role_that_may_make_no_tables_uses_them(empty_database: str, role: str) -> None:
    theirs = empty_database.replace("postgres@", f"{role}@")
    with pytest.raises(ConfigurationError, match="cannot be made: permission denied"):
        await PostgresInbox(theirs).migrate()
    await PostgresInbox(empty_database).migrate()
    with pytest.raises(ConfigurationError, match=r"may not use the schema webhook_receiver .* --grant ROLE"):
        await PostgresInbox(theirs).open()
    await PostgresInbox(empty_database).migrate(role)
    assert await PostgresInbox(theirs).migrate() == []
    inbox = await PostgresInbox(theirs).open()
    await put(inbox, "d-1", "d-2", ordering_key="o-1")
    assert [*await claim(inbox)] == ["d-1"]
    await inbox.close()
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        execute(theirs, "CREATE TABLE webhook_receiver.mine (one integer)")
    execute(empty_database, f"DROP OWNED BY {role}")


async def test_a_role_that_uses_the_tables_may_use_new_ones(
    empty_database: str, role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:1])
        await PostgresInbox(empty_database).migrate(role)
    await PostgresInbox(empty_database).migrate()
    inbox = await PostgresInbox(empty_database.replace("postgres@", f"{role}@")).open()
    mine = Registration("hooks", "mine", "Unsigned")
    assert await inbox.register(mine) == mine
    await inbox.audit(AuditRecord(NOW, "anna", "pause"))
    assert len(await inbox.audited(limit=9)) == 1
    await inbox.close()
    execute(empty_database, f"DROP OWNED BY {role}")


async def test_a_role_that_is_not_there_is_reported(empty_database: str) -> None:
    with pytest.raises(ConfigurationError, match='role "nobody" does not exist'):
        await PostgresInbox(empty_database).migrate("nobody")
    with pytest.raises(ConfigurationError, match="has no tables"):
        await PostgresInbox(empty_database).open()


async def test_a_schema_with_a_table_of_somebody_elses_is_left_as_it_is(empty_database: str) -> None:
    execute(empty_database, "CREATE TABLE public.attempt (id integer)")
    with pytest.raises(ConfigurationError, match='public cannot be made: relation "attempt" already exists'):
        await PostgresInbox(empty_database, schema="public").migrate()
    assert execute(empty_database, "SELECT to_regclass('public.migration')") == [(None,)]


async def test_jobs_of_somebody_elses_stay_beside_new_tables(empty_database: str) -> None:
    execute(empty_database, "CREATE TABLE public.procrastinate_jobs AS SELECT 'theirs' AS task_name")
    await PostgresInbox(empty_database, schema="public").migrate()
    assert execute(empty_database, "SELECT * FROM public.procrastinate_jobs") == [("theirs",)]


async def test_a_server_that_is_away_is_reported_when_the_tables_are_made() -> None:
    with pytest.raises(InboxUnavailable, match="refused"):
        await PostgresInbox("postgresql://127.0.0.1:1/inbox").migrate()


async def test_a_schema_of_somebody_elses_is_said_to_be_that(empty_database: str, role: str) -> None:
    execute(empty_database, "CREATE SCHEMA webhook_receiver")
    theirs = empty_database.replace("postgres@", f"{role}@")
    with pytest.raises(ConfigurationError, match="belongs to the role postgres, and this role may not make tables in"):
        await PostgresInbox(theirs).migrate()
    execute(empty_database, f"GRANT USAGE ON SCHEMA webhook_receiver TO {role}")
    with pytest.raises(ConfigurationError, match="belongs to the role postgres, and this role may not make tables in"):
        await PostgresInbox(theirs).migrate()
    execute(empty_database, f"DROP OWNED BY {role}")


@pytest.mark.parametrize(
    "table",
    [
        "CREATE TABLE webhook_receiver.migration (version integer)",
        "CREATE TABLE webhook_receiver.migration AS SELECT '0001_initial' AS name",
        "CREATE TABLE webhook_receiver.migration AS SELECT 1 AS name",
    ],
)
async def test_a_table_of_migrations_that_is_anothers_is_left_as_it_is(empty_database: str, table: str) -> None:
    execute(empty_database, f"CREATE SCHEMA webhook_receiver; {table}")
    before = execute(empty_database, "SELECT * FROM migration")
    inbox = PostgresInbox(empty_database)
    for rejected in (inbox.migrate(), inbox.open()):
        with pytest.raises(
            ConfigurationError, match=r"a table named migration that is not the inbox's: .*\?schema=NAME"
        ):
            await rejected
    assert execute(empty_database, "SELECT * FROM migration") == before
