"""The audit records of a SQLite inbox."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from ..auditing import parameters_of, row_of
from ..records import AuditRecord
from .connection import WriterConnection


def audit(connection: WriterConnection, jobs: Sequence[AuditRecord]) -> list[None]:
    """Store audit records."""
    connection.executemany(
        "INSERT INTO audit (at, who, action, parameters, deliveries) VALUES (?, ?, ?, ?, ?)", map(row_of, jobs)
    )
    return [None] * len(jobs)


def audited(connection: sqlite3.Connection, limit: int, before: int | None) -> list[AuditRecord]:
    """Return audit records, the newest first. See `InboxReader.audited`."""
    found = connection.execute(
        "SELECT at, who, action, parameters, deliveries, number FROM audit WHERE number < ? "
        "ORDER BY number DESC LIMIT ?",
        (2**63 - 1 if before is None else before, limit),
    )
    return [
        AuditRecord(at, who, action, parameters_of(parameters), deliveries, number)
        for at, who, action, parameters, deliveries, number in found.fetchall()
    ]


def forget(connection: WriterConnection, jobs: Sequence[tuple[float, int]]) -> list[int]:
    """Remove records from before a Unix time in seconds, up to a number; return how many for each."""
    return [
        connection.execute(
            "DELETE FROM audit WHERE number IN (SELECT number FROM audit WHERE at < ? LIMIT ?)", (before, limit)
        ).rowcount
        for before, limit in jobs
    ]
