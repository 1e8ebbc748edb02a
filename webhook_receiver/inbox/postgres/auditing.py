"""The audit records of a PostgreSQL inbox.

As in `queries`, each function is a request by itself, in a transaction of its own.
"""

from __future__ import annotations

from ..auditing import parameters_of, row_of
from ..records import AuditRecord
from .rows import PostgresConnection, all_escaped, ask, unescaped


def audit(connection: PostgresConnection, record: AuditRecord) -> int:
    """Store an audit record; return its number."""
    ((number,),) = ask(
        connection,
        "INSERT INTO audit (at, who, action, parameters, deliveries) VALUES (%s, %s, %s, %s, %s) RETURNING number",
        all_escaped(row_of(record)),
    ).fetchall()
    return int(number)


def audit_done(connection: PostgresConnection, number: int, count: int) -> None:
    """Add to what was done. See `Inbox.audit_done`."""
    ask(connection, "UPDATE audit SET done = coalesce(done, 0) + %s WHERE number = %s", [count, number])


def audited(connection: PostgresConnection, limit: int, before: int | None) -> list[AuditRecord]:
    """Return audit records, the newest first. See `InboxReader.audited`."""
    found = ask(
        connection,
        "SELECT at, who, action, parameters, deliveries, number, done FROM audit "
        "WHERE %s::bigint IS NULL OR number < %s::bigint ORDER BY number DESC LIMIT %s",
        [before, before, limit],
    )
    return [
        AuditRecord(at, unescaped(who), unescaped(action), parameters_of(unescaped(parameters)), *counts)
        for at, who, action, parameters, *counts in found.fetchall()
    ]


def forget(connection: PostgresConnection, before: float, limit: int) -> int:
    """Remove records from before a Unix time in seconds, up to a number; return how many."""
    return ask(
        connection,
        "DELETE FROM audit WHERE number IN (SELECT number FROM audit WHERE at < %s LIMIT %s)",
        [before, limit],
    ).rowcount
