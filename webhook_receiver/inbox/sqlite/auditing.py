"""The audit records of a SQLite inbox."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from ..auditing import parameters_of, row_of
from ..records import AuditRecord
from .connection import WriterConnection


def audit(connection: WriterConnection, jobs: Sequence[AuditRecord]) -> list[int]:
    """Store audit records; return their numbers."""
    return [
        connection.execute(
            "INSERT INTO audit (at, who, action, parameters, deliveries) VALUES (?, ?, ?, ?, ?) RETURNING number", row
        ).fetchone()[0]
        for row in [row_of(each) for each in jobs]
    ]


def audit_done(connection: WriterConnection, jobs: Sequence[tuple[int, int]]) -> list[None]:
    """Add to what was done; each job is the number of a record, and how many more."""
    connection.executemany(
        "UPDATE audit SET done = coalesce(done, 0) + ? WHERE number = ?", [(count, number) for number, count in jobs]
    )
    return [None] * len(jobs)


def audited(connection: sqlite3.Connection, limit: int, before: int | None) -> list[AuditRecord]:
    """Return audit records, the newest first. See `InboxReader.audited`."""
    found = connection.execute(
        "SELECT at, who, action, parameters, deliveries, number, done FROM audit WHERE number < ? "
        "ORDER BY number DESC LIMIT ?",
        (2**63 - 1 if before is None else before, limit),
    )
    return [
        AuditRecord(at, who, action, parameters_of(parameters), deliveries, number, done)
        for at, who, action, parameters, deliveries, number, done in found.fetchall()
    ]


def forget(connection: WriterConnection, jobs: Sequence[tuple[float, int]]) -> list[int]:
    """Remove records from before a Unix time in seconds, up to a number; return how many for each."""
    return [
        connection.execute(
            "DELETE FROM audit WHERE number IN (SELECT number FROM audit WHERE at < ? LIMIT ?)", (before, limit)
        ).rowcount
        for before, limit in jobs
    ]
