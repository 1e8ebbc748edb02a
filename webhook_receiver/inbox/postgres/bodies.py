"""Headers and bodies in a PostgreSQL inbox: the parts of one request share one row's, and those of done ones may go
early.

The first of the parts that were new when they were put has the headers and the body, and the rows of all others name
it as `body_of`. Before that row goes, they are moved to the oldest part that stays: none is lost, and none is there
twice. The checksum of each row counts with them, wherever they are.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...delivery import Delivery
from .. import rows
from .rows import DELIVERY, PostgresConnection, all_unescaped, ask, columns, escaped

_MOVING = 0x57484B53  # the advisory lock of whatever removes rows, or adds some that share a body with older ones
_AT_ONCE = 50  # bodies that are read to be removed: each may have a MiB


def lock(connection: PostgresConnection) -> None:
    """Let no body be moved or removed by others until the transaction ends."""
    ask(connection, "SELECT pg_advisory_xact_lock(%s)", [_MOVING])


def hand_on(connection: PostgresConnection, leaving: Sequence[int]) -> None:
    """Move what rows that are about to go have for others to the oldest of these that stays. `lock` comes first.

    Args:
        connection: the connection, inside a transaction.
        leaving: the rows.
    """
    heirs = ask(
        connection,
        "WITH heirs AS (SELECT body_of, min(seq) AS seq FROM delivery WHERE body_of = ANY(%s) AND seq <> ALL(%s) "
        "GROUP BY body_of) UPDATE delivery d SET headers = o.headers, body = o.body, body_of = NULL "
        "FROM heirs h JOIN delivery o ON o.seq = h.body_of WHERE d.seq = h.seq RETURNING o.seq, d.seq",
        [leaving, leaving],
    ).fetchall()
    if heirs:
        ask(
            connection,
            "UPDATE delivery d SET body_of = h.heir FROM unnest(%s::bigint[], %s::bigint[]) AS h(seq, heir) "
            "WHERE d.body_of = h.seq",
            columns(heirs, 2),
        )


def remove(connection: PostgresConnection, settled_before: float) -> int:
    """Remove headers and bodies of some deliveries that were done before a Unix time; return how many had them."""
    lock(connection)
    found = ask(
        connection,
        "SELECT seq FROM progress WHERE state = 'done' AND NOT body_removed AND settled < %s LIMIT %s FOR UPDATE",
        [settled_before, _AT_ONCE],
    )
    seqs = [seq for (seq,) in found.fetchall()]
    if not seqs:
        return 0
    stored = ask(connection, f"SELECT {DELIVERY}, d.seq FROM delivery d WHERE d.seq = ANY(%s)", [seqs])
    checksums = [(rows.checksum_without_body(all_unescaped(row)), row[-1]) for row in stored.fetchall()]
    hand_on(connection, seqs)
    ask(
        connection,
        "WITH n AS (SELECT * FROM unnest(%s::bigint[], %s::bigint[]) AS n(checksum, seq)), emptied AS (UPDATE "
        "delivery d SET headers = '', body = '', body_of = NULL, checksum = n.checksum FROM n WHERE d.seq = n.seq) "
        "UPDATE progress p SET body_removed = true FROM n WHERE p.seq = n.seq",
        columns(checksums, 2),
    )
    return len(seqs)


def shared(connection: PostgresConnection, seqs: Sequence[int]) -> dict[int, tuple[bytes, bytes]]:
    """Return the headers and the body of each of these rows, which others may have for it: each goes to us once."""
    found = ask(
        connection,
        "SELECT array_agg(d.seq), b.headers, b.body FROM delivery d "
        "JOIN delivery b ON b.seq = coalesce(d.body_of, d.seq) WHERE d.seq = ANY(%s) GROUP BY b.seq",
        [seqs],
    )
    return {seq: (headers, body) for some, headers, body in found.fetchall() for seq in some}


def stored_with(connection: PostgresConnection, delivery: Delivery) -> int | None:
    """Return the row that has the headers and the body of a delivery, since another part of it is stored; else None.

    `lock` comes first.
    """
    request = escaped(delivery.request_id)
    found = ask(
        connection,
        "SELECT seq FROM delivery WHERE seq IN (SELECT coalesce(body_of, seq) FROM delivery "
        "WHERE source = %s AND id >= %s AND id < %s AND (id = %s OR id > %s)) AND headers = %s AND body = %s LIMIT 1",
        [
            *(escaped(delivery.receiver), request, f"{request}/", request, f"{request}."),  # "/" comes next after "."
            *(rows.encode_headers(delivery.headers), delivery.body),
        ],
    ).fetchone()
    return None if found is None else found[0]
