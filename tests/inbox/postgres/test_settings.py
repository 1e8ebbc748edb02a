"""What is stored and read back is the same whatever settings a role, a database or PGOPTIONS give a session."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, get_args

import pytest

from tests.postgres import PATIENCE, execute, postgres
from webhook_receiver import ConfigurationError
from webhook_receiver.delivery import Delivery
from webhook_receiver.errors import InboxUnavailable
from webhook_receiver.inbox import Filter, from_url
from webhook_receiver.inbox.postgres import PostgresInbox
from webhook_receiver.inbox.postgres.connection import Pooling, Server
from webhook_receiver.inbox.postgres.rows import PostgresConnection, ask
from webhook_receiver.inbox.records import Duplicate, Entry, FailedAttempt, HandlerState, State, Stored
from webhook_receiver.testing.inbox_suite import DEAD, NOW, claim, entry, listed, put, settle

RECEIVED = NOW + 0.1234567  # which needs all of its digits

SETTINGS = {
    "array_nulls": "off",
    "backslash_quote": "off",
    "bytea_output": "escape",
    "client_encoding": "latin1",
    "client_min_messages": "debug5",
    "constraint_exclusion": "on",
    "DateStyle": "German, DMY",
    "default_transaction_deferrable": "on",
    "default_transaction_isolation": "serializable",
    "escape_string_warning": "on",
    "extra_float_digits": "-15",
    "gin_fuzzy_search_limit": "1",
    "idle_session_timeout": "1h",
    "IntervalStyle": "sql_standard",
    "jit": "on",
    "lc_messages": "C",
    "lc_monetary": "C",
    "lc_numeric": "C",
    "lc_time": "C",
    "plan_cache_mode": "force_generic_plan",
    "quote_all_identifiers": "on",
    "row_security": "off",
    "search_path": "pg_catalog",
    "session_replication_role": "local",
    "standard_conforming_strings": "off",
    "synchronous_commit": "off",
    "TimeZone": "Asia/Kathmandu",
    "timezone_abbreviations": "India",
    "transform_null_equals": "on",
    "xmlbinary": "hex",
    "xmloption": "document",
}


async def go_round(url: str) -> None:
    """Put, fail, read, replay and finish deliveries that have something in each column."""
    inbox = await PostgresInbox(url).open()
    odd = "日本 \\ ' \" NULL {}, \0"
    given = [
        Entry(
            Delivery(
                f"{number} {odd}", "hooks", ((b"a", b"\\x41\\"),), bytes(range(256)), RECEIVED, number, True, "http"
            ),
            event=odd,
            key=bytes([number, 0, 92, 120, 255]),
            identity=f"{number}{odd}",
            ordering_key=f"NULL{number}",
        )
        for number in range(3)
    ]
    for each in given:
        assert await inbox.put(each, NOW) == Stored(each.delivery.id)
        assert await inbox.put(each, NOW) == Duplicate(each.delivery.id)
    claims = await claim(inbox)
    assert [claim.delivery for claim in claims.values()] == [each.delivery for each in given]
    handlers = {odd[:-1]: HandlerState(State.DEAD, 1, 1, RECEIVED, False, RECEIVED)}
    attempt = FailedAttempt(odd, 1, RECEIVED, 0.1 + 0.2, "dead", odd, odd)
    for found in claims.values():
        assert await settle(inbox, found, DEAD, handlers=handlers, reason=odd, attempts=[attempt])
    for each in given:
        stored = await inbox.get(each.delivery.id)
        assert stored is not None
        assert (stored.delivery, stored.key, stored.ordering_key) == (each.delivery, each.key, each.ordering_key)
        assert (stored.summary.reason, stored.summary.handlers, stored.attempts) == (odd, handlers, [attempt])
    assert await inbox.replay([each.delivery.id for each in given], NOW) == 3
    for found in (await claim(inbox)).values():
        assert await settle(inbox, found)
    assert {record.state for record in await inbox.find(Filter())} == {State.DONE}
    await inbox.close()


@pytest.mark.parametrize("name", SETTINGS)
async def test_no_setting_of_a_database_damages_what_is_stored(
    postgres_url: str, postgres_address: str, name: str
) -> None:
    changed = postgres_url.rpartition("/")[2]
    execute(f"{postgres_address}/postgres", f"ALTER DATABASE {changed} SET \"{name}\" = '{SETTINGS[name]}'")
    await go_round(postgres_url)


@pytest.mark.parametrize("name", ["standard_conforming_strings", "extra_float_digits", "session_replication_role"])
async def test_nor_does_one_of_a_role(postgres_url: str, postgres_address: str, name: str) -> None:
    execute(f"{postgres_address}/postgres", "CREATE ROLE other SUPERUSER LOGIN")
    try:
        execute(f"{postgres_address}/postgres", f"ALTER ROLE other SET {name} = '{SETTINGS[name]}'")
        await go_round(postgres_url.replace("postgres@", "other@"))
    finally:
        execute(postgres_url, "DROP OWNED BY other")
        execute(f"{postgres_address}/postgres", "DROP ROLE other")


@pytest.mark.parametrize("name", ["standard_conforming_strings", "extra_float_digits", "client_encoding", "DateStyle"])
async def test_nor_does_one_of_the_environment(postgres_url: str, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("PGOPTIONS", f"-c {name}={SETTINGS[name].replace(' ', chr(92) + ' ')}")
    monkeypatch.setenv("PGCLIENTENCODING", "latin1")
    monkeypatch.setenv("PGTZ", "Asia/Kathmandu")
    await go_round(postgres_url)


async def test_no_claim_is_compiled(postgres_url: str, postgres_address: str) -> None:
    changed = postgres_url.rpartition("/")[2]
    execute(f"{postgres_address}/postgres", f"ALTER DATABASE {changed} SET jit_above_cost = 0")
    with PostgresInbox(postgres_url).server.connect() as connection:
        plan = connection.execute(b"EXPLAIN (ANALYZE, FORMAT JSON) SELECT 1").fetchone()
        assert plan is not None
        assert "JIT" not in plan[0][0]
        assert connection.execute("SHOW jit").fetchone() == ("off",)


async def test_a_transaction_that_takes_longer_than_the_session_allows_names_the_setting(postgres_url: str) -> None:
    if execute(postgres_url, "SELECT 1 FROM pg_settings WHERE name = 'transaction_timeout'") == []:
        pytest.skip("this server has no transaction_timeout, which came with PostgreSQL 17")
    inbox = await PostgresInbox(postgres_url).open()

    def take_longer(connection: PostgresConnection, requests: Sequence[None]) -> Sequence[None]:
        ask(connection, "SET transaction_timeout = '100ms'")
        ask(connection, "SELECT pg_sleep(60)")
        return requests

    with pytest.raises(InboxUnavailable, match="SET transaction_timeout = '60s'"):
        await inbox._writer(0).submit(take_longer, None)
    assert await put(inbox, "d-1") == [Stored("d-1")]
    await inbox.close()


@pytest.mark.parametrize(("given", "found"), [("off", "on"), ("local", "local"), ("remote_apply", "remote_apply")])
def test_a_commit_is_on_the_disk_and_what_standbys_have_is_up_to_the_role(
    postgres_url: str, given: str, found: str
) -> None:
    for pooling in get_args(Pooling):
        server = Server(f"{postgres_url}?options=-c%20synchronous_commit%3D{given}", "webhook_receiver", pooling)
        with server.connect() as connection, server.transaction(connection):
            assert connection.execute("SHOW synchronous_commit").fetchone() == (found,)


@pytest.mark.parametrize("pooling", get_args(Pooling))
def test_a_session_stays_as_it_is_when_the_server_reads_its_configuration_anew(pooling: Pooling) -> None:
    changed = {"synchronous_commit": "off", "default_transaction_isolation": "serializable", "bytea_output": "escape"}
    shown = "SELECT array_agg(current_setting(name)) FROM unnest(%s::text[]) AS name"
    with postgres(fsync="off") as own:
        url = f"{own.address}/postgres"
        server = Server(url, "webhook_receiver", pooling)
        with server.connect() as connection, server.transaction(connection):
            before = connection.execute("SELECT pg_conf_load_time()").fetchone()
            for name, value in changed.items():
                execute(url, f"ALTER SYSTEM SET {name} = '{value}'")
            execute(url, "SELECT pg_reload_conf()")
            deadline = time.monotonic() + PATIENCE
            while connection.execute("SELECT pg_conf_load_time()").fetchone() == before:
                assert time.monotonic() < deadline
            assert connection.execute(shown, [[*changed]]).fetchone() == (["on", "read committed", "hex"],)
        assert execute(url, shown, [*changed]) == [([*changed.values()],)], "it counts for others"


async def test_what_was_only_read_amiss_is_whole_again(
    postgres_url: str, postgres_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def as_text(connection: PostgresConnection, statement: str, arguments: Sequence[Any] = ()) -> object:
        return connection.execute(statement.encode(), arguments or None)

    inbox = await PostgresInbox(postgres_url).open()
    await inbox.put(entry("d-1", received=RECEIVED), NOW)
    with monkeypatch.context() as patched:
        patched.setattr("webhook_receiver.inbox.postgres.leases.ask", as_text)
        await inbox._writer(1).submit(lambda connection, _: [connection.execute("SET extra_float_digits = 0")], None)
        assert await claim(inbox) == {}
        assert [record.state for record in await inbox.find(Filter())] == [DEAD]
    await inbox.replay(["d-1"], NOW)
    assert [*await claim(inbox)] == ["d-1"]
    await inbox.close()


async def test_foreign_keys_have_to_hold(postgres_url: str, postgres_address: str) -> None:
    name = postgres_url.rpartition("/")[2]
    execute(f"{postgres_address}/postgres", f"ALTER DATABASE {name} SET session_replication_role = replica")
    with pytest.raises(ConfigurationError, match="session_replication_role is replica"):
        await PostgresInbox(postgres_url).open()


@pytest.mark.parametrize("column", ["body", "key"])
async def test_a_server_that_gives_back_something_else_is_rejected_at_the_start(postgres_url: str, column: str) -> None:
    execute(
        postgres_url,
        f"CREATE FUNCTION change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.{column} = 'x'; RETURN NEW; "
        "END $$; "
        "CREATE TRIGGER change BEFORE INSERT ON delivery FOR EACH ROW EXECUTE FUNCTION change()",
    )
    with pytest.raises(ConfigurationError, match=rf"is not what it gives back \(in {column}\)"):
        await PostgresInbox(postgres_url).open()


async def test_the_row_that_is_written_at_the_start_is_gone(postgres_url: str) -> None:
    inbox = await PostgresInbox(postgres_url).open()
    assert await listed(inbox) == []
    assert await put(inbox, "d-1") == [Stored("d-1")]
    assert execute(postgres_url, "SELECT seq FROM delivery") == [(1,)]
    await inbox.close()


async def test_who_may_only_read_reads(postgres_url: str, postgres_address: str) -> None:
    inbox = await PostgresInbox(postgres_url).open()
    await put(inbox, "d-1")
    await inbox.close()
    reading = PostgresInbox(f"{postgres_url}?options=-c%20default_transaction_read_only%3Don")
    await reading.open()
    assert await listed(reading) == ["d-1"]
    with pytest.raises(InboxUnavailable, match="read-only transaction"):
        await put(reading, "d-2")
    await reading.close()


# Encodings


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
async def test_a_database_in_another_encoding_is_rejected(postgres_address: str, encoding: str) -> None:
    name = f"in_{encoding.lower()}"
    execute(
        f"{postgres_address}/postgres",
        f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0",
    )
    try:
        inbox = PostgresInbox(f"{postgres_address}/{name}")
        for rejected in (inbox.migrate(), inbox.open()):
            with pytest.raises(ConfigurationError, match=f"keeps texts as {encoding}: the inbox needs one that"):
                await rejected
    finally:
        execute(f"{postgres_address}/postgres", f"DROP DATABASE {name}")


@pytest.mark.parametrize("encoding", ["latin1", "SQL_ASCII"])
def test_another_encoding_of_the_client_is_rejected(encoding: str) -> None:
    with pytest.raises(ConfigurationError, match="exchanges texts in UTF8, not in"):
        from_url(f"postgresql://db/hooks?client_encoding={encoding}")
    from_url("postgresql://db/hooks?client_encoding=utf-8")
