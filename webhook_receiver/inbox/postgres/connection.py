"""Connections to a PostgreSQL server: the URL, the schema that a connection sees, and the meaning of its errors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg
from procrastinate.exceptions import ConnectorException
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ...errors import ConfigurationError, InboxError, InboxUnavailable
from .rows import PostgresConnection

# Parameters of libpq unless the URL has others: a server that is gone without a word is noticed
# (postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS).
_DEFAULTS: Mapping[str, Any] = {"connect_timeout": 5, "tcp_user_timeout": 15_000, "keepalives_idle": 15}
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_USER_IN_URL = re.compile(r"postgres(?:ql)?://(?:[^@/]*@)?")
_PORTS = re.compile(r"[0-9,]*")


@dataclass(frozen=True, slots=True)
class Server:
    """A PostgreSQL database, and the schema in it that holds the inbox's tables.

    Args:
        url: as libpq takes it, `postgresql://user:password@host/database?sslmode=verify-full`
            (postgresql.org/docs/current/libpq-connect.html).
        schema: the schema's name: letters, digits and underscores, at most 63.

    Raises:
        ConfigurationError: libpq cannot read the URL, or the name is none that a schema here may have.
    """

    url: str = field(repr=False)
    schema: str
    _conninfo: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if _NAME.fullmatch(self.schema) is None:
            raise ConfigurationError(f"a schema's name is made of a-z, 0-9 and _, not {self.schema!r:.80}")
        try:
            given = conninfo_to_dict(self.url)
            conninfo = make_conninfo("", **{**_DEFAULTS, "application_name": "webhook-receiver", **given})
        except psycopg.Error:  # whose message may quote the password
            given, conninfo = {}, None
        if conninfo is None or self._is_split_amiss(given):
            raise ConfigurationError(
                "the URL of the PostgreSQL server cannot be read: it is postgresql://user:password@host/database, with "
                "%XX for characters that mean something in a URL, and with parameters of libpq's or of the inbox's"
            )
        object.__setattr__(self, "_conninfo", conninfo)

    def _is_split_amiss(self, given: Mapping[str, Any]) -> bool:
        """Return whether libpq takes the end of a password with an @ or a / for the host, the port or the database."""
        user = _USER_IN_URL.match(self.url)
        place = "" if user is None else self.url[user.end() :].partition("?")[0]
        return "@" in place or _PORTS.fullmatch(str(given.get("port", ""))) is None

    def __str__(self) -> str:
        """Return the address of the database, without the password and the user."""
        given = conninfo_to_dict(self._conninfo)
        port = f":{given['port']}" if "port" in given else ""
        return f"postgresql://{given.get('host', '')}{port}/{given.get('dbname', '')}?schema={self.schema}"

    @property
    def conninfo(self) -> str:
        """The connection string for libpq, which may hold the password."""
        return self._conninfo

    def connect(self) -> PostgresConnection:
        """Return a connection that commits each statement, and each `transaction()` as a whole.

        Raises:
            psycopg.Error: the server cannot be reached, or rejects the connection.
        """
        connection = psycopg.connect(self._conninfo, autocommit=True)
        try:
            connection.execute(PREPARE, [self.schema])
        except BaseException:
            connection.close()
            raise
        return connection


PREPARE = """
SELECT set_config('search_path', quote_ident(%s), false),
    CASE WHEN current_setting('synchronous_commit') = 'off' THEN set_config('synchronous_commit', 'on', false) END
"""
"""The first statement on every connection: it sets the schema, and makes commits survive the loss of power, whatever
the role's default (postgresql.org/docs/current/runtime-config-wal.html#GUC-SYNCHRONOUS-COMMIT)."""


def translated(error: Exception) -> Exception:
    """Return the InboxError that an error of psycopg means; any other error as it is. No message holds stored data."""
    if isinstance(error, ConnectorException) and isinstance(error.__cause__, psycopg.Error):
        error = error.__cause__
    if isinstance(error, psycopg.errors.UndefinedTable | psycopg.errors.InvalidSchemaName):
        return InboxUnavailable("the inbox has no tables: webhook-receiver inbox migrate makes them")
    rejected = psycopg.DataError | psycopg.IntegrityError | psycopg.errors.ProgramLimitExceeded | UnicodeError
    if isinstance(error, rejected):
        return InboxError(f"the inbox does not take it: {_primary_message(error)}")
    if isinstance(error, psycopg.Error | OSError):
        return InboxUnavailable(f"the inbox cannot be reached or written to: {_primary_message(error)}")
    return error


def _primary_message(error: Exception) -> str:
    # Not the whole message: its second line may quote a row.
    primary = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    return " ".join((primary or str(error)).split())
