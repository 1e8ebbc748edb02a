from __future__ import annotations

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.postgres import execute
from webhook_receiver import ConfigurationError
from webhook_receiver.errors import InboxError, InboxUnavailable
from webhook_receiver.inbox import State, from_url
from webhook_receiver.inbox.postgres import DAY, PostgresInbox
from webhook_receiver.inbox.postgres.connection import Server, translated


def test_a_url_names_an_inbox_its_settings_and_what_is_libpqs() -> None:
    inbox = from_url(
        "postgresql://app:p%40ss@db/hooks?sslmode=verify-full&schema=hooks&window=2d&retention=9d&timeout=2s"
    )
    assert isinstance(inbox, PostgresInbox)
    assert inbox.server.schema == "hooks"
    assert (inbox.window, inbox._retention[State.DONE], inbox._timeout) == (2 * DAY, 9 * DAY, 2)
    assert "sslmode=verify-full" in inbox.server.conninfo
    assert "p@ss" in inbox.server.conninfo
    assert repr(inbox) == "<PostgresInbox postgresql://db/hooks?schema=hooks>"


@pytest.mark.parametrize("password", ["ab@s3cret", "ab/s3cret", "12/s3cret", "a?b@s3cret", "s3cret%"])
def test_a_password_that_is_not_written_for_a_url_is_reported_but_not_shown(password: str) -> None:
    # libpq ends the password early, and takes the rest for what messages name: the host, the port or the database.
    with pytest.raises(ConfigurationError, match="%XX for characters") as raised:
        from_url(f"postgresql://app:{password}@127.0.0.1:5432/hooks?schema=hooks")
    assert "s3cret" not in str(raised.value)
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


@pytest.mark.parametrize("query", ["poling=transaction", "sslmode=require&schema=hooks&poling=transaction"])
def test_a_parameter_that_nobody_knows_is_named(query: str) -> None:
    with pytest.raises(
        ConfigurationError, match="cannot be read: libpq knows no parameter poling; it is postgresql://"
    ):
        from_url(f"postgresql://app:p%40ss@127.0.0.1/hooks?{query}")


@pytest.mark.parametrize("place", ["app:a?s_cret=b@c@db/hooks", "db/hooks?password=a&s_cret=b", "app:a?s_cret"])
def test_a_parameter_that_may_be_of_a_password_is_not_named(place: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read: it is postgresql://"):
        from_url(f"postgresql://{place}")


def test_what_stands_in_the_place_of_a_port_is_not_shown() -> None:
    with pytest.raises(ConfigurationError, match="cannot be read") as raised:
        from_url("postgresql://app:s3cret/hooks")
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://app:p%40s%2Fs@one:5432,two:5433/hooks", "postgresql://one,two:5432,5433/hooks?schema=hooks"),
        ("postgresql:///hooks?host=/run/a@b&user=me@here", "postgresql:///run/a@b/hooks?schema=hooks"),
        ("host=db dbname=hooks password=a@b/c", "postgresql://db/hooks?schema=hooks"),
        ("postgresql:///?service=hooks", "postgresql:///?service=hooks&schema=hooks"),
        ("postgresql://[::1]:5433/hooks", "postgresql://::1:5433/hooks?schema=hooks"),
    ],
)
def test_a_server_is_shown_by_its_hosts_ports_and_database(url: str, said: str) -> None:
    assert str(Server(url, "hooks")) == said


def test_a_server_that_is_gone_without_a_word_is_noticed_unless_the_url_says_otherwise() -> None:
    assert "connect_timeout=5 tcp_user_timeout=15000" in Server("postgresql://db/hooks", "hooks").conninfo
    assert "connect_timeout=60" in Server("postgresql://db/hooks?connect_timeout=60", "hooks").conninfo


@pytest.mark.parametrize(
    ("url", "attributes"),
    [
        ("postgresql://one,two/hooks", "read-write"),
        ("postgresql://one:5433,two/hooks?target_session_attrs=any", "any"),
        ("postgresql:///hooks?host=one,two&hostaddr=192.0.2.1,192.0.2.2", "read-write"),
        ("postgresql://one/hooks", None),
    ],
)
def test_of_several_hosts_the_one_that_takes_writes_is_meant(url: str, attributes: str | None) -> None:
    assert conninfo_to_dict(Server(url, "hooks").conninfo).get("target_session_attrs") == attributes


def test_the_environment_says_which_of_several_hosts_is_meant_and_who_we_are(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGTARGETSESSIONATTRS", "prefer-standby")
    server = Server("postgresql://one,two/hooks", "hooks")
    assert conninfo_to_dict(server.conninfo)["target_session_attrs"] == "prefer-standby"
    named = {"a": f"{empty_database}?application_name=a", "b": empty_database}
    monkeypatch.setenv("PGAPPNAME", "b")
    for name, url in named.items():
        with Server(url, "hooks").connect() as connection:
            assert connection.execute("SHOW application_name").fetchone() == (name,)
    monkeypatch.delenv("PGAPPNAME")
    with Server(empty_database, "hooks").connect() as connection:
        assert connection.execute("SHOW application_name").fetchone() == ("webhook-receiver",)


def test_options_of_the_url_are_settings_of_the_session_but_for_those_of_the_inbox(empty_database: str) -> None:
    url = f"{empty_database}?options=-c%20work_mem%3D3MB%20-c%20search_path%3Dpublic&keepalives_idle=7"
    with Server(url, "hooks").connect() as connection:
        assert connection.execute("SHOW work_mem").fetchone() == ("3MB",)
        assert connection.execute("SHOW search_path").fetchone() == ("hooks",)
        assert connection.info.get_parameters()["keepalives_idle"] == "7"


@pytest.mark.parametrize("schema", ["", "Hooks", "1hooks", "hooks; DROP", "x" * 64])
def test_a_schema_has_a_plain_name(schema: str) -> None:
    with pytest.raises(ConfigurationError, match="a schema's name is made of"):
        Server("postgresql://db/hooks", schema)


def test_a_connection_sees_its_schema(empty_database: str) -> None:
    execute(empty_database, "CREATE SCHEMA hooks")
    with Server(empty_database, "hooks").connect() as connection:
        assert connection.execute("SELECT current_schema()").fetchone() == ("hooks",)


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (psycopg.OperationalError("gone\nLINE 2"), InboxUnavailable, "gone LINE 2"),
        (psycopg.errors.DiskFull("no space"), InboxUnavailable, "no space"),
        (psycopg.errors.ReadOnlySqlTransaction("a standby"), InboxUnavailable, "a standby"),
        (psycopg.errors.InsufficientPrivilege("denied"), InboxUnavailable, "denied"),
        (psycopg.errors.UndefinedTable("no table"), InboxUnavailable, "inbox migrate"),
        (psycopg.errors.UniqueViolation("twice"), InboxError, "does not take it: twice"),
        (psycopg.errors.ProgramLimitExceeded("too large"), InboxError, "does not take it: too large"),
        (OSError("unreachable"), InboxUnavailable, "unreachable"),
    ],
)
def test_errors_of_the_server_are_translated_to_ours(error: Exception, kind: type[InboxError], said: str) -> None:
    found = translated(error)
    assert type(found) is kind
    assert said in str(found)


def test_other_errors_stay_as_they_are() -> None:
    error = LookupError("no")
    assert translated(error) is error


def test_no_row_is_shown(empty_database: str) -> None:
    execute(empty_database, "CREATE TABLE kept (body text CHECK (body <> 'secret'))")
    with pytest.raises(psycopg.errors.CheckViolation) as raised:
        execute(empty_database, "INSERT INTO kept VALUES ('secret')")
    assert "secret" in str(raised.value)
    assert "secret" not in str(translated(raised.value))
