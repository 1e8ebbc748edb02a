"""Connections to a PostgreSQL server: the URL, the schema that a connection sees, and the meaning of its errors."""

from __future__ import annotations

import os
import re
import secrets
import select
import socket
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Event, Timer
from typing import Any, Literal, get_args

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ...errors import ConfigurationError, InboxError, InboxUnavailable
from .hints import hint
from .rows import PostgresConnection, ask

# Parameters of libpq unless the URL has others: a server that is gone without a word is noticed
# (postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS).
MOST_CONNECTIONS = 4
"""Connections of a process, at most: for puts, for leases, for everything else, and one that listens."""
_DEFAULTS: Mapping[str, Any] = {"connect_timeout": 5, "tcp_user_timeout": 15_000, "keepalives_idle": 15}
PATIENCE = 5.0
"""Seconds to wait for a session: a pooler such as PgBouncer takes the connection and may have none to give."""

Pooling = Literal["session", "transaction"]
"""What a pooler such as PgBouncer gives a client a session of the server for (pgbouncer.org/features.html)."""
_SETTINGS: Mapping[str, str] = {
    "client_encoding": "UTF8",
    "default_transaction_isolation": "read committed",
    "idle_session_timeout": "0",  # a connection is held for the next delivery
    # The form of values as text. What is stored is written and read in binary; this is for whatever is not.
    "array_nulls": "on",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "jit": "off",  # to compile a claim takes ten times as long as to run it, and plans by index are taken for dear ones
    "standard_conforming_strings": "on",
    "transform_null_equals": "off",
}
"""The settings of every session, whatever the role, the database or PGOPTIONS say
(postgresql.org/docs/current/runtime-config-client.html)."""
_SESSION = "webhook_receiver.session"
"""A setting of our own that names the session: who finds one has the session of somebody else."""
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_USER_IN_URL = re.compile(r"postgres(?:ql)?://(?:[^@/]*@)?")
_PARAMETER = re.compile(r"[a-z_]{1,40}")
_PORTS = re.compile(r"[0-9,]*")


# How the server, and PgBouncer, say that all connections are taken (errcodes 53300; pgbouncer.org/config.html).
_TOO_MANY = re.compile(r"too many (clients|connections)|remaining connection slots|max_client_conn|no more connections")


class NoConnection(psycopg.OperationalError):
    """All connections that this role, the database, the server or a pooler allows are taken."""


@dataclass(frozen=True, slots=True)
class Server:
    """A PostgreSQL database, and the schema in it that holds the inbox's tables.

    Of several hosts the one that takes writes is meant, unless the URL has `target_session_attrs`.

    Args:
        url: as libpq takes it, `postgresql://user:password@host/database?sslmode=verify-full`
            (postgresql.org/docs/current/libpq-connect.html).
        schema: the schema's name: letters, digits and underscores, at most 63.
        pooling: what a session is for, all of a connection, or one transaction.

    Raises:
        ConfigurationError: libpq cannot read the URL, or the name is none that a schema here may have.
    """

    url: str = field(repr=False)
    schema: str
    pooling: Pooling = "session"
    _conninfo: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if _NAME.fullmatch(self.schema) is None:
            raise ConfigurationError(f"a schema's name is made of a-z, 0-9 and _, not {self.schema!r:.80}")
        if self.pooling not in get_args(Pooling):
            raise ConfigurationError(
                f"an inbox's pooling is {' or '.join(get_args(Pooling))}, not {self.pooling!r:.40}"
            )
        try:
            given = conninfo_to_dict(self.url)
            ours = {"fallback_application_name": "webhook-receiver", "client_encoding": "UTF8"}
            if any("," in str(given.get(name, "")) for name in ("host", "hostaddr")):
                ours["target_session_attrs"] = os.environ.get("PGTARGETSESSIONATTRS", "read-write")
            conninfo = make_conninfo("", **{**_DEFAULTS, **ours, **given})
        except psycopg.Error:  # whose message may quote the password
            given, conninfo = {}, None
        if conninfo is None or self._is_split_amiss(given):
            unknown = self._unknown_parameter()
            named = "" if unknown is None else f"libpq knows no parameter {unknown}; "
            raise ConfigurationError(
                f"the URL of the PostgreSQL server cannot be read: {named}it is "
                "postgresql://user:password@host/database, with %XX for characters that mean something in a URL, and "
                "with parameters of libpq's or of the inbox's"
            )
        encoding = str(given.get("client_encoding", "UTF8"))
        if encoding.upper().replace("-", "") != "UTF8":
            raise ConfigurationError(
                f"the inbox exchanges texts in UTF8, not in {encoding!r:.40}: leave client_encoding out of the URL"
            )
        object.__setattr__(self, "_conninfo", conninfo)

    def _unknown_parameter(self) -> str | None:
        """Name a parameter that libpq does not know; None if there is none, or it may be of a password."""
        query = self.url.partition("?")[2]
        if "@" in query or "password" in query:
            return None
        known = {each.keyword.decode() for each in psycopg.pq.Conninfo.get_defaults()} | {"ssl"}
        names = (part.partition("=")[0] for part in query.split("&") if "=" in part)
        return next((name for name in names if _PARAMETER.fullmatch(name) and name not in known), None)

    def _is_split_amiss(self, given: Mapping[str, Any]) -> bool:
        """Return whether libpq takes the end of a password with an @ or a / for the host, the port or the database."""
        user = _USER_IN_URL.match(self.url)
        place = "" if user is None else self.url[user.end() :].partition("?")[0]
        return "@" in place or _PORTS.fullmatch(str(given.get("port", ""))) is None

    def __str__(self) -> str:
        """Return the address of the database, without the password and the user."""
        given = conninfo_to_dict(self._conninfo)
        port = f":{given['port']}" if "port" in given else ""
        service = f"service={given['service']}&" if "service" in given else ""
        return f"postgresql://{given.get('host', '')}{port}/{given.get('dbname', '')}?{service}schema={self.schema}"

    @property
    def conninfo(self) -> str:
        """The connection string for libpq, which may hold the password."""
        return self._conninfo

    def connect(self) -> PostgresConnection:
        """Return a connection that commits each statement, and each transaction as a whole: see `transaction`.

        Raises:
            ConfigurationError: the session cannot be one of the inbox's, whatever is tried.
            NoConnection: the server has none left.
            psycopg.Error: the server cannot be reached, or rejects the connection.
        """
        try:
            connection = psycopg.connect(self._conninfo, autocommit=True)
            if self.pooling == "transaction":
                connection.prepare_threshold = None  # the next transaction may be in a session without the statement
                connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED  # said by BEGIN
        except psycopg.OperationalError as error:
            if _TOO_MANY.search(str(error)):  # libpq does not tell the class of an error of the start
                raise NoConnection(_primary_message(error)) from None
            raise
        gave_up = Event()

        def give_up() -> None:
            gave_up.set()
            cut(connection)

        timer = Timer(PATIENCE, give_up)
        timer.start()
        try:
            self._prepare(connection)
        except BaseException as error:
            connection.close()
            if gave_up.is_set() and isinstance(error, psycopg.OperationalError):
                raise NoConnection(
                    f"no session is free within {PATIENCE:g} s, as when all of a pooler's are taken"
                ) from None
            raise
        finally:
            timer.cancel()
        return connection

    @contextmanager
    def transaction(self, connection: PostgresConnection) -> Generator[None]:
        """A transaction, all of which is committed or nothing; within another one, a part of that."""
        is_first = connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        with connection.transaction():
            if is_first and self.pooling == "transaction":
                self._set(connection, _SETTINGS, local=True)
            yield

    def _prepare(self, connection: PostgresConnection) -> None:
        """Set the schema and the settings, and see that they stay set."""
        if (encoding := connection.info.parameter_status("server_encoding")) != "UTF8":
            raise ConfigurationError(
                f"the database keeps texts as {encoding}: the inbox needs one that is made with ENCODING 'UTF8'"
            )
        if self.pooling == "transaction":
            with self.transaction(connection):
                found = _settings(connection)
        else:
            session = secrets.token_hex(8)
            (before,) = ask(connection, "SELECT current_setting(%s, true)", [_SESSION]).fetchone() or (None,)
            self._set(connection, {**_SETTINGS, _SESSION: session}, local=False)
            found = _settings(connection)
            if before or found[_SESSION] != session:
                raise ConfigurationError(
                    "the PostgreSQL server is behind a pooler that gives one session to several clients: PgBouncer "
                    "needs pool_mode = session, and server_reset_query = DISCARD ALL; or the URL says "
                    "?pooling=transaction"
                )
        if found["session_replication_role"] == "replica":
            raise ConfigurationError(
                "session_replication_role is replica, by which foreign keys do not hold: the inbox needs origin"
            )
        unlike = [name for name, value in _SETTINGS.items() if found[name] not in (value, None)]
        if unlike:
            raise ConfigurationError(f"the PostgreSQL server does not take these settings: {', '.join(unlike)}")

    def _set(self, connection: PostgresConnection, wanted: Mapping[str, str], *, local: bool) -> None:
        """Set the schema and the settings, until the transaction ends if `local`.

        A commit has to survive the loss of power, whatever the role's default
        (postgresql.org/docs/current/runtime-config-wal.html#GUC-SYNCHRONOUS-COMMIT). What is right already is set, too:
        else a session would follow when the server reads its configuration anew.
        """
        ask(
            connection,
            "SELECT set_config('search_path', quote_ident(%s), %s), set_config('synchronous_commit', "
            "CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on' "
            "ELSE current_setting('synchronous_commit') END, %s) "
            "UNION ALL SELECT set_config(name, value, %s), NULL FROM unnest(%s::text[], %s::text[]) "
            "AS wanted(name, value) WHERE name = %s OR current_setting(name, true) IS NOT NULL",
            [self.schema, local, local, local, [*wanted], [*wanted.values()], _SESSION],
        )


def _settings(connection: PostgresConnection) -> dict[str, str | None]:
    """Return the settings that count, None for those that this server does not have."""
    names = [*_SETTINGS, _SESSION, "session_replication_role"]
    asked = "SELECT name, current_setting(name, true) FROM unnest(%s::text[]) AS name"
    return dict(ask(connection, asked, [names]).fetchall())


def cut(connection: PostgresConnection) -> None:
    """Shut down a connection, from whatever thread: whoever waits for the server has an error."""
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as open_one:
        open_one.shutdown(socket.SHUT_RDWR)


def has_ended(connection: PostgresConnection) -> bool:
    """Return whether a connection without a transaction has ended, as when its server was started anew.

    The server says nothing there but its farewell, and what the next connection can do without.
    """
    if connection.closed:
        return True
    if sys.platform == "win32":
        return bool(select.select([connection], [], [], 0)[0])
    poll = select.poll()  # a selector would take longer than some transactions
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))


def translated(error: Exception) -> Exception:
    """Return the InboxError that an error of psycopg means; any other error as it is. No message holds stored data."""
    if isinstance(error, psycopg.errors.UndefinedTable | psycopg.errors.InvalidSchemaName):
        return InboxUnavailable("the inbox has no tables: webhook-receiver inbox migrate makes them")
    if isinstance(error, NoConnection):
        return InboxUnavailable(
            f"the PostgreSQL server has no connection left: a process takes up to {MOST_CONNECTIONS}, and gets by with "
            f"fewer ({_primary_message(error)})"
        )
    rejected = psycopg.DataError | psycopg.IntegrityError | psycopg.errors.ProgramLimitExceeded | UnicodeError
    if isinstance(error, rejected):
        return InboxError(f"the inbox does not take it: {_primary_message(error)}")
    if isinstance(error, psycopg.Error | OSError):
        said = f"the inbox cannot be reached or written to: {_primary_message(error)}"
        return InboxUnavailable(said if (advice := hint(error)) is None else f"{said}: {advice}")
    return error


def _primary_message(error: Exception) -> str:
    # Not the whole message: its second line may quote a row.
    primary = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    return " ".join((primary or str(error)).split())
