"""Behind PgBouncer: a session for each connection works, so does one for each transaction; the rest is named."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import psycopg
import pytest

from tests.postgres import database, execute, needs_debian
from tests.working import about, deliver, settled, until
from webhook_receiver import ConfigurationError
from webhook_receiver.errors import InboxUnavailable
from webhook_receiver.inbox import from_url
from webhook_receiver.inbox.postgres import PostgresInbox
from webhook_receiver.inbox.postgres.rows import PostgresConnection, ask
from webhook_receiver.inbox.records import Stored
from webhook_receiver.testing.inbox_suite import Make, SharedInboxSuite, claim, put
from webhook_receiver.testing.inbox_suite import settle as settle_claim

from .conftest import Debian
from .pgbouncer import needs_pgbouncer, pgbouncer
from .receivers import all_handled, put_in_the_end, working

pytestmark = [needs_debian, needs_pgbouncer]


async def test_sessions_work(app_url: str, tmp_path: Path) -> None:
    with pgbouncer(app_url, tmp_path) as url:
        for number in range(2):  # the second one has sessions that the first one had
            inbox = await PostgresInbox(url).open()
            assert await put(inbox, f"d-{number}") == [Stored(f"d-{number}")]
            assert [*await claim(inbox)] == [f"d-{number}"]
            await inbox.close()
        async with working(url) as hooks:
            await all_handled(hooks)


def listening(url: str) -> int:
    """Return how many sessions of a database listen."""
    asked = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND query LIKE 'LISTEN %%'"
    return int(execute(url, asked, url.rpartition("/")[2])[0][0])


async def test_who_listens_through_a_session_is_woken(
    app_url: str, debian_url: str, tmp_path: Path, own_processes: None
) -> None:
    with pgbouncer(app_url, tmp_path) as url:
        async with working(url, poll=600) as hooks, working(url, work=False) as keeps:  # nobody waits for that
            await until(lambda: listening(debian_url) == 1)
            await settled(hooks, await deliver(keeps, about("o-w")))


@pytest.mark.parametrize("mode", ["transaction", "statement"])
async def test_a_session_that_several_clients_have_is_rejected(app_url: str, tmp_path: Path, mode: str) -> None:
    with pgbouncer(app_url, tmp_path, mode) as url:
        for _ in range(2):
            with pytest.raises(
                ConfigurationError,
                match=r"PgBouncer needs pool_mode = session, and server_reset_query = DISCARD ALL; or the URL says "
                r"\?pooling=transaction",
            ):
                await PostgresInbox(url).open()


async def test_a_session_that_another_client_had_is_rejected(app_url: str, tmp_path: Path) -> None:
    with pgbouncer(app_url, tmp_path, server_reset_query="") as url:
        inbox = await PostgresInbox(url).open()
        await inbox.close()
        with pytest.raises(ConfigurationError, match="server_reset_query = DISCARD ALL"):
            await inbox.open()


async def test_settings_that_do_not_stay_are_noticed(app_url: str, tmp_path: Path) -> None:
    with (
        pgbouncer(app_url, tmp_path, "transaction", server_reset_query_always=1) as url,
        pytest.raises(ConfigurationError, match="PgBouncer needs pool_mode = session"),
    ):
        await PostgresInbox(url).open()


async def test_a_parameter_that_pgbouncer_does_not_take_is_named(app_url: str, tmp_path: Path) -> None:
    with pgbouncer(app_url, tmp_path, ignore_startup_parameters="extra_float_digits") as url:
        with pytest.raises(InboxUnavailable, match="with  ignore_startup_parameters = options; settings of"):
            await PostgresInbox(f"{url}?options=-c%20work_mem%3D1MB").open()
        await (await PostgresInbox(url).open()).close()


# A session for each transaction


@pytest.fixture
def pooled(app_url: str, tmp_path: Path) -> Generator[str]:
    """The URL through three sessions that all clients share."""
    with pgbouncer(app_url, tmp_path, "transaction", size=3) as url:
        yield f"{url}?pooling=transaction"


async def test_several_processes_share_the_sessions_of_transactions(
    pooled: str, debian_url: str, own_processes: None
) -> None:
    async with working(pooled) as one, working(pooled) as two, working(pooled, work=False) as keeps:
        await all_handled(one, two, keeps, number=60)
        health = await one.health()
        assert (health.ok, health.problem) == (True, None)
        asked = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND datname = %s"
        [(sessions,)] = execute(debian_url, asked, debian_url.rpartition("/")[2])
        assert sessions <= 3


def taken(url: str, number: int) -> Generator[psycopg.Connection]:
    """Take sessions of the pool, each of which is kept by a transaction."""
    with ExitStack() as stack:
        for _ in range(number):
            connection = stack.enter_context(psycopg.connect(url))
            connection.execute("SELECT 1")
            yield connection


async def test_every_transaction_has_the_settings_whichever_session_it_gets(pooled: str, debian_url: str) -> None:
    name = debian_url.rpartition("/")[2]
    for setting in (
        "synchronous_commit = off",
        "default_transaction_isolation = serializable",
        "search_path = pg_catalog",
    ):
        execute(debian_url, f"ALTER DATABASE {name} SET {setting}")
    names = ("synchronous_commit", "transaction_isolation", "search_path", "bytea_output")

    def look(connection: PostgresConnection, requests: Sequence[None]) -> list[tuple[int, list[str]]]:
        asked = "SELECT pg_backend_pid(), array_agg(current_setting(name)) FROM unnest(%s::text[]) AS name"
        return [ask(connection, asked, [[*names]]).fetchone() or (0, [])] * len(requests)

    plain = pooled.partition("?")[0]
    inbox = from_url(pooled)
    assert isinstance(inbox, PostgresInbox)
    await inbox.open()
    found: dict[int, list[str]] = {}
    for held in (0, 1, 2):  # those that others have are not to be had
        taking = taken(plain, held)
        kept = [next(taking) for _ in range(held)]
        session, settings = await inbox._writer(0).submit(look, None)
        found[session] = settings
        for number in range(7):  # more often than a statement has to be sent before it is prepared
            id = f"d-{held}-{number}"
            assert await put(inbox, id) == [Stored(id)]
            claims = await claim(inbox)
            assert [*claims] == [id]
            assert await settle_claim(inbox, claims[id])
        taking.close()
        assert len(kept) == held
    await inbox.close()
    assert len(found) == 3
    assert [*found.values()] == [["on", "read committed", "webhook_receiver", "hex"]] * 3


async def test_nothing_listens_where_no_session_stays(pooled: str, debian_url: str) -> None:
    async with working(pooled) as hooks:
        await all_handled(hooks)
        assert listening(debian_url) == 0


async def test_the_tables_are_made_through_sessions_of_transactions(debian_url: str, tmp_path: Path) -> None:
    with pgbouncer(debian_url, tmp_path, "transaction") as url:
        inbox = PostgresInbox(url, schema="other", pooling="transaction")
        assert len(await inbox.migrate("app")) > 5
        assert await inbox.migrate() == []
        await inbox.open()
        assert await put(inbox, "d-1") == [Stored("d-1")]
        assert execute(debian_url, "SELECT id FROM other.delivery") == [("d-1",)]
        await inbox.close()


async def test_a_pool_whose_sessions_are_all_taken_is_away_and_comes_back(pooled: str) -> None:
    inbox = PostgresInbox(pooled.partition("?")[0], pooling="transaction", timeout=0.2)
    await inbox.open()
    taking = taken(pooled.partition("?")[0], 3)
    assert len([next(taking) for _ in range(3)]) == 3
    with pytest.raises(InboxUnavailable, match="did not answer within"):
        await put(inbox, "d-1")
    taking.close()
    await put_in_the_end(inbox)  # the first of them waits behind d-1, which has a session just now
    await inbox.close()


async def test_a_pooler_without_transactions_is_told_to_have_them(app_url: str, tmp_path: Path) -> None:
    needs = r"needs transactions: pool_mode = transaction in pgbouncer\.ini"
    with pgbouncer(app_url, tmp_path, "statement") as url, pytest.raises(InboxUnavailable, match=needs):
        await from_url(f"{url}?pooling=transaction").open()


async def test_without_a_pooler_it_works_too(app_url: str) -> None:
    async with working(f"{app_url}?pooling=transaction") as hooks:
        await all_handled(hooks)


@pytest.mark.faults  # a hundred tests, each with a database and a pooler of its own
class TestPooledInbox(SharedInboxSuite):
    @pytest.fixture
    def make(self, debians: Debian, debian_template: str, tmp_path: Path) -> Generator[Make]:
        with ExitStack() as stack:

            @cache
            def pooled(name: str) -> str:
                url = stack.enter_context(database(debians.server.address, debian_template))
                return stack.enter_context(pgbouncer(url.replace("postgres@", "app@"), tmp_path, "transaction"))

            yield lambda name: PostgresInbox(pooled(name), pooling="transaction")


def test_any_other_pooling_is_rejected() -> None:
    with pytest.raises(ConfigurationError, match="an inbox's pooling is session or transaction, not 'statement'"):
        from_url("postgresql://db/hooks?pooling=statement")
