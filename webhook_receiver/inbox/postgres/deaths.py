"""What the dead deliveries of a PostgreSQL inbox died of, as SQL."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..deaths import ENDS, TRIMMED, Death, Deaths, largest
from ..records import DEAD_LETTER_HANDLER, MOST_OF_AN_ERROR, DeadGroup
from .rows import PostgresConnection, ask, columns, unescaped

_HANDLERS = "LATERAL jsonb_each(CASE jsonb_typeof(p.handlers) WHEN 'object' THEN p.handlers END) AS h(key, value)"
"""The handlers of a row of table alias p, and their states, as table alias h."""
_DIED = f"h.value ->> 0 = 'dead' AND left(h.key, {len(DEAD_LETTER_HANDLER)}) <> '{DEAD_LETTER_HANDLER}'"
_OWN = (
    "LATERAL (SELECT a.error FROM attempt a WHERE a.seq = p.seq AND a.handler = h.key AND a.outcome = 'dead' "
    "ORDER BY a.place DESC LIMIT 1) AS own ON true"
)
"""The error of the last attempt of a dead handler h; none without an attempt, or without a handler."""
_SAID = "coalesce(own.error, p.reason, '')"
_QUOTED = ENDS.replace("'", "''")
_ERROR = f"rtrim(left(substring({_SAID} FROM '^[^{_QUOTED}]*'), {MOST_OF_AN_ERROR}), '{TRIMMED}')"
"""The `DeadGroup.error` of a dead handler h, or of a dead delivery without one."""


def died_of(handler: bool) -> str:
    """Return the condition that a delivery of table alias p has died of an error, which is its last argument.

    Args:
        handler: whether the first argument is the handler.
    """
    among = "h.key = %s AND " if handler else ""
    return (
        f"p.state = 'dead' AND EXISTS (SELECT FROM (SELECT) AS one LEFT JOIN {_HANDLERS} ON {_DIED} "
        f"LEFT JOIN {_OWN} WHERE {among}{_ERROR} = %s)"
    )


def grouped(
    connection: PostgresConnection, seqs: Sequence[int], handler: str | None, error: str | None
) -> list[Deaths]:
    """Return what the dead deliveries in some rows died of, of one handler and of one error if these are given.

    Receivers and errors are escaped; handlers are not, as in the states of handlers.
    """
    found = ask(
        connection,
        f"SELECT p.source, h.key, {_ERROR}, count(*), max(p.seq) FROM progress p LEFT JOIN {_HANDLERS} ON {_DIED} "
        f"LEFT JOIN {_OWN} WHERE p.seq = ANY(%s) AND (%s::text IS NULL OR h.key = %s::text) "
        f"AND (%s::text IS NULL OR {_ERROR} = %s::text) GROUP BY 1, 2, 3",
        [[*seqs], handler, handler, error, error],
    )
    return [Deaths(Death(receiver, *of), number, newest) for receiver, *of, number, newest in found.fetchall()]


def groups_of(connection: PostgresConnection, some: Iterable[Deaths]) -> list[DeadGroup]:
    """Return the largest groups, with their newest deliveries."""
    groups = largest(some)
    newest = [(each.newest, each.death.handler) for each in groups]
    found = ask(
        connection,
        f"SELECT n.place, d.id, d.received, {_SAID} FROM unnest(%s::bigint[], %s::text[]) WITH ORDINALITY "
        "AS n(seq, handler, place) JOIN progress p USING (seq) JOIN delivery d USING (seq) "
        f"LEFT JOIN {_HANDLERS} ON h.key = n.handler LEFT JOIN {_OWN} ORDER BY n.place",
        columns(newest, 2),
    ).fetchall()
    of_groups: list[DeadGroup] = []
    for place, id, received, example in found:  # of which one may have been purged meanwhile
        (receiver, handler, error), number, _ = groups[int(place) - 1]
        of = unescaped(receiver), handler, unescaped(error), number
        of_groups.append(DeadGroup(*of, unescaped(id), received, unescaped(example)))
    return of_groups
