"""The audit records of a PostgreSQL inbox.

As in `queries`, each function is a request by itself, in a transaction of its own.
"""

from __future__ import annotations

from ..auditing import parameters_of, row_of
from ..records import AuditRecord
from .rows import PostgresConnection, all_escaped, ask, unescaped


def audit(connection: PostgresConnection, record: AuditRecord) -> None:
    """Store an audit record."""
    ask(
        connection,
        "INSERT INTO audit (at, who, action, parameters, deliveries) VALUES (%s, %s, %s, %s, %s)",
        all_escaped(row_of(record)),
    )


def audited(connection: PostgresConnection, limit: int, before: int | None) -> list[AuditRecord]:
    """Return audit records, the newest first. See `InboxReader.audited`."""
    found = ask(
        connection,
        "SELECT at, who, action, parameters, deliveries, number FROM audit "
        "WHERE %s::bigint IS NULL OR number < %s::bigint ORDER BY number DESC LIMIT %s",
        [before, before, limit],
    )
    return [
        AuditRecord(at, unescaped(who), unescaped(action), parameters_of(unescaped(parameters)), deliveries, number)
        for at, who, action, parameters, deliveries, number in found.fetchall()
    ]


def forget(connection: PostgresConnection, before: float, limit: int) -> int:
    """Remove records from before a Unix time in seconds, up to a number; return how many."""
    return ask(
        connection,
        "DELETE FROM audit WHERE number IN (SELECT number FROM audit WHERE at < %s LIMIT %s)",
        [before, limit],
    ).rowcount
