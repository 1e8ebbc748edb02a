"""Headers and bodies in a SQLite inbox: the parts of one request share one row's, and those of done ones may go early.

The first of the parts that were new when they were put has the headers and the body, and the rows of all others name
it as `body_of`. Before that row goes, they are moved to the oldest part that stays: none is lost, and none is there
twice. The checksum of each row counts with them, wherever they are.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from sqlite3 import Connection
from typing import NamedTuple

from ...delivery import Delivery
from .. import rows


class RemoveJob(NamedTuple):
    """The part of a call of `Inbox.expire` that removes bodies; `settled_before` is a Unix time in seconds."""

    settled_before: float
    limit: int


def hand_on(connection: Connection, leaving: Collection[int]) -> None:
    """Move what rows that are about to go have for others to the oldest of these that stays.

    Args:
        connection: the connection, inside a transaction.
        leaving: the rows.
    """
    heirs = connection.execute(
        "WITH leaving AS (SELECT value FROM json_each(?)) SELECT body_of, min(seq) FROM delivery "
        "WHERE body_of IN leaving AND seq NOT IN leaving GROUP BY body_of",
        (json.dumps([*leaving]),),
    )
    for seq, heir in heirs.fetchall():
        connection.execute(
            "UPDATE delivery SET (headers, body) = (SELECT headers, body FROM delivery WHERE seq = ?), body_of = NULL "
            "WHERE seq = ?",
            (seq, heir),
        )
        connection.execute("UPDATE delivery SET body_of = ? WHERE body_of = ?", (heir, seq))


def remove(connection: Connection, jobs: Sequence[RemoveJob]) -> list[int]:
    """Remove the headers and bodies of done deliveries; return the number of these for each job."""
    return [_remove(connection, *job) for job in jobs]


def _remove(connection: Connection, settled_before: float, limit: int) -> int:
    found = connection.execute(
        "SELECT seq FROM progress WHERE state = 'done' AND body_removed = 0 AND settled < ? LIMIT ?",
        (settled_before, limit),
    ).fetchall()
    if not found:
        return 0
    seqs = rows.padded([seq for (seq,) in found])
    among = f"({rows.placeholders(seqs)})"
    stored = connection.execute(f"SELECT {rows.DELIVERY}, d.seq FROM delivery d WHERE d.seq IN {among}", seqs)
    checksums = [(rows.checksum_without_body(row), row[-1]) for row in stored]  # one body after the other in memory
    hand_on(connection, seqs)
    connection.executemany(
        "UPDATE delivery SET headers = x'', body = x'', body_of = NULL, checksum = ? WHERE seq = ?", checksums
    )
    connection.execute(f"UPDATE progress SET body_removed = 1 WHERE seq IN {among}", seqs)
    return len(found)


def shared(connection: Connection, holders: Iterable[int | None]) -> dict[int | None, tuple[bytes, bytes]]:
    """Return the headers and the body that each of these rows has for others; None, for no row, is passed over."""
    asked = rows.padded({each for each in holders if each is not None})
    among = f"({rows.placeholders(asked)})"
    found = connection.execute(f"SELECT seq, headers, body FROM delivery WHERE seq IN {among}", asked) if asked else ()
    return {seq: (headers, body) for seq, headers, body in found}


def stored_with(connection: Connection, delivery: Delivery) -> int | None:
    """Return the row that has the headers and the body of a delivery, since another part of it is stored; else None."""
    request = delivery.request_id
    found = connection.execute(
        "SELECT seq FROM delivery WHERE seq IN (SELECT coalesce(body_of, seq) FROM delivery "
        "WHERE source = ? AND (id = ? OR (id > ? AND id < ?))) AND headers = ? AND body = ? LIMIT 1",
        (
            *(delivery.receiver, request, f"{request}.", f"{request}/"),  # "/" comes next after "."
            *(rows.encode_headers(delivery.headers), delivery.body),
        ),
    ).fetchone()
    return None if found is None else found[0]
