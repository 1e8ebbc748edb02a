"""A role of Debian's server: its rights, its isolation level and its timeouts."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Sequence
from contextlib import contextmanager

import psycopg
import pytest
from typer.testing import CliRunner

from tests.postgres import execute, needs_debian
from tests.working import about, deliver, settled, until
from webhook_receiver import ConfigurationError
from webhook_receiver.cli.commands import app
from webhook_receiver.errors import InboxUnavailable
from webhook_receiver.inbox.postgres import PostgresInbox, schema
from webhook_receiver.inbox.postgres.rows import PostgresConnection, ask
from webhook_receiver.testing.inbox_suite import listed, put

from .conftest import Debian
from .pgbouncer import needs_pgbouncer, pgbouncer
from .receivers import all_handled, working, works

pytestmark = needs_debian


def has(url: str, **settings: str) -> None:
    """Give the role `app` settings in a database, from its next session on."""
    for name, value in settings.items():
        execute(url, f"ALTER ROLE app IN DATABASE {url.rpartition('/')[2]} SET {name} = '{value}'")


def sessions(url: str, also: str = "true") -> int:
    """Return how many sessions the role `app` has in a database."""
    asked = f"SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND datname = %s AND {also}"
    return int(execute(url, asked, url.rpartition("/")[2])[0][0])


# Rights


def test_every_table_that_processes_use_is_looked_at(debian_url: str) -> None:
    found = execute(debian_url, "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'webhook_receiver'"
                    "::regnamespace ORDER BY 1")  # fmt: skip
    assert [name for (name,) in found] == sorted([*schema._TABLES, "migration"])


async def test_the_owner_makes_the_tables_by_a_command_for_a_role_without_create(debian_url: str) -> None:
    execute(debian_url, "DROP SCHEMA webhook_receiver CASCADE; REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    theirs = debian_url.replace("postgres@", "app@")
    with pytest.raises(ConfigurationError, match="has no tables of the inbox: run  webhook-receiver inbox migrate URL"):
        await PostgresInbox(theirs).open()
    with pytest.raises(ConfigurationError, match="cannot be made: permission denied for database"):
        await PostgresInbox(theirs).migrate()
    done = await asyncio.to_thread(CliRunner().invoke, app, ["inbox", "migrate", debian_url, "--grant", "app"])
    assert done.exit_code == 0, done.output
    await works(theirs)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        execute(theirs, "CREATE TABLE webhook_receiver.mine (one integer)")


@pytest.mark.parametrize(
    ("revoked", "said"),
    [
        (["DELETE ON tally"], "GRANT DELETE ON webhook_receiver.tally TO app"),
        (
            ["INSERT, SELECT ON attempt", "UPDATE ON poll"],
            "GRANT SELECT, INSERT ON webhook_receiver.attempt TO app; GRANT UPDATE ON webhook_receiver.poll TO app",
        ),
        (
            ["USAGE ON SEQUENCE delivery_seq_seq"],
            "GRANT USAGE ON SEQUENCE webhook_receiver.delivery_seq_seq TO app",
        ),
    ],
)
async def test_the_start_names_the_rights_that_are_missing(debian_url: str, revoked: list[str], said: str) -> None:
    for each in revoked:
        execute(debian_url, f"REVOKE {each} FROM app")
    theirs = debian_url.replace("postgres@", "app@")
    with pytest.raises(ConfigurationError, match="lacks rights in the schema webhook_receiver") as raised:
        await PostgresInbox(theirs).open()
    assert "webhook-receiver inbox migrate URL --grant ROLE" in str(raised.value)
    assert str(raised.value).endswith(f" or {said}")
    execute(debian_url, said)
    await (await PostgresInbox(theirs).open()).close()


async def test_a_right_that_goes_while_it_works_is_named_and_comes_back(
    debian_url: str, app_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with working(app_url) as hooks:
        await all_handled(hooks)
        execute(debian_url, "REVOKE INSERT ON delivery FROM app")
        assert (await hooks.receive({}, about("o-x"))).response.status == 503
        assert "permission denied for table delivery: the owner of the tables grants this role all" in caplog.text
        assert "webhook-receiver inbox migrate URL --grant ROLE" in caplog.text
        execute(debian_url, "GRANT INSERT ON delivery TO app")
        await settled(hooks, await deliver(hooks, about("o-x")))


async def test_a_role_that_may_only_read_reads_and_is_told_what_it_lacks(debian_url: str, app_url: str) -> None:
    inbox = await PostgresInbox(app_url).open()
    await put(inbox, "d-1")
    await inbox.close()
    execute(debian_url, "REVOKE INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA webhook_receiver FROM app")
    reading = await PostgresInbox(app_url).open()
    assert await listed(reading) == ["d-1"]
    with pytest.raises(InboxUnavailable, match=r"permission denied for .* --grant ROLE"):
        await put(reading, "d-2")
    await reading.close()
    execute(debian_url, "REVOKE SELECT ON ALL TABLES IN SCHEMA webhook_receiver FROM app")
    with pytest.raises(InboxUnavailable, match=r"permission denied for table migration: .* --grant ROLE"):
        await PostgresInbox(app_url).open()


# Isolation levels


@pytest.mark.parametrize("level", ["serializable", "repeatable read"])
@pytest.mark.parametrize("is_pooled", [False, pytest.param(True, marks=needs_pgbouncer)])
async def test_many_put_and_handle_at_once_whatever_isolation_a_role_has(
    debians: Debian,
    debian_url: str,
    app_url: str,
    own_processes: None,
    tmp_path_factory: pytest.TempPathFactory,
    level: str,
    is_pooled: bool,
) -> None:
    has(debian_url, default_transaction_isolation=level, default_transaction_deferrable="on")
    with way(app_url, tmp_path_factory) if is_pooled else direct(app_url) as url:
        async with working(url) as one, working(url) as two, working(url, work=False) as keeps:
            await all_handled(one, two, keeps, number=90)
            inbox = one.inbox
            assert isinstance(inbox, PostgresInbox)
            for writer in range(3):
                assert await inbox._writer(writer).submit(isolation, None) == "read committed"
    log = debians.server.folder.joinpath("log").read_text()
    assert "could not serialize" not in log


def isolation(connection: PostgresConnection, requests: Sequence[None]) -> list[str]:
    return [*(ask(connection, "SELECT current_setting('transaction_isolation')").fetchone() or ())] * len(requests)


@contextmanager
def direct(url: str) -> Generator[str]:
    yield url


@contextmanager
def way(url: str, folders: pytest.TempPathFactory) -> Generator[str]:
    with pgbouncer(url, folders.mktemp("pgbouncer"), "transaction", size=5) as reached:
        yield f"{reached}?pooling=transaction"


async def test_the_tables_are_made_whatever_isolation_a_database_has(debian_url: str) -> None:
    execute(debian_url, "DROP SCHEMA webhook_receiver CASCADE")
    name = debian_url.rpartition("/")[2]
    execute(debian_url, f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")
    inboxes = [PostgresInbox(debian_url) for _ in range(3)]
    steps = await asyncio.gather(*[inbox.migrate() for inbox in inboxes])
    assert sorted(map(bool, steps)) == [False, False, True]


# Timeouts


@pytest.mark.parametrize("setting", ["statement_timeout", "lock_timeout"])
async def test_what_a_timeout_of_the_role_ends_is_503_and_names_the_setting(
    debian_url: str, app_url: str, caplog: pytest.LogCaptureFixture, setting: str
) -> None:
    has(debian_url, **{setting: "500ms"})
    async with working(app_url) as hooks:
        with psycopg.connect(debian_url) as other:
            other.execute("LOCK TABLE webhook_receiver.delivery")
            assert (await hooks.receive({}, about("o-x"))).response.status == 503
        assert f"ALTER ROLE ... SET {setting} = '60s'" in caplog.text
        await settled(hooks, await deliver(hooks, about("o-x")))
        assert (await hooks.health()).ok


async def test_a_lock_timeout_that_passes_is_tried_again(debians: Debian, debian_url: str, app_url: str) -> None:
    def timeouts() -> int:
        return debians.server.folder.joinpath("log").read_text().count("due to lock timeout")

    has(debian_url, lock_timeout="500ms")
    inbox = await PostgresInbox(app_url).open()
    before = timeouts()
    with psycopg.connect(debian_url) as other:
        other.execute("LOCK TABLE webhook_receiver.delivery")
        asked = asyncio.ensure_future(put(inbox, "d-1"))
        await until(lambda: timeouts() > before)
    await asked
    assert await listed(inbox) == ["d-1"]
    await inbox.close()


async def test_a_process_that_stands_still_in_a_transaction_loses_it_and_goes_on(debian_url: str, app_url: str) -> None:
    has(debian_url, idle_in_transaction_session_timeout="2s")
    inbox = await PostgresInbox(app_url).open()

    def stand_still(connection: PostgresConnection, requests: Sequence[None]) -> Sequence[None]:
        ask(connection, "SET idle_in_transaction_session_timeout = '100ms'")  # shorter than what the others get
        mine = connection.info.backend_pid
        while execute(debian_url, "SELECT 1 FROM pg_stat_activity WHERE pid = %s", mine):
            pass
        ask(connection, "SELECT 1")
        return requests

    with pytest.raises(InboxUnavailable, match="SET idle_in_transaction_session_timeout = '60s'"):
        await inbox._writer(0).submit(stand_still, None)
    await put(inbox, "d-1")
    assert await listed(inbox) == ["d-1"]
    await inbox.close()
    await works(app_url)


async def test_no_session_of_ours_ends_for_being_idle(debian_url: str, app_url: str) -> None:
    has(debian_url, idle_session_timeout="1s")
    async with working(app_url) as hooks:
        await all_handled(hooks)
        await hooks.health()
        await until(lambda: sessions(debian_url, "query LIKE 'LISTEN %%'") == 1)
        asked = "SELECT pid FROM pg_stat_activity WHERE usename = 'app' AND datname = %s ORDER BY 1"
        name = debian_url.rpartition("/")[2]
        before = execute(debian_url, asked, name)
        idle = "state = 'idle' AND clock_timestamp() - state_change > '1200ms'"
        await until(lambda: sessions(debian_url, f"{idle} AND query LIKE 'LISTEN %%'") == 1)
        assert execute(debian_url, asked, name) == before
