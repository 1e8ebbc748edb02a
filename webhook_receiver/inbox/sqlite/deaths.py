"""What the dead deliveries of a SQLite inbox died of, as SQL."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from sqlite3 import Connection

from ..deaths import Death, Deaths, largest
from ..records import DEAD_LETTER_HANDLER, MOST_OF_AN_ERROR, DeadGroup

# What is damaged is passed over: without CASE, SQLite may call a function before it looks at the condition.
HANDLERS = "json_each(CASE WHEN json_valid(p.handlers) THEN p.handlers END)"
"""The handlers of a row of table alias p, and their states, as table alias h."""
STATE = "json_extract(CASE h.type WHEN 'array' THEN h.value END, '$[0]')"
"""The state of a handler h."""

_DIED = f"{STATE} = 'dead' AND substr(h.key, 1, {len(DEAD_LETTER_HANDLER)}) <> '{DEAD_LETTER_HANDLER}'"
_OWN = (
    "(SELECT a.error FROM attempt a WHERE a.seq = p.seq AND a.handler = h.key AND a.outcome = 'dead' "
    "ORDER BY a.place DESC LIMIT 1)"
)
"""The error of the last attempt of a dead handler h; null without an attempt, or without a handler."""
_SAID = f"coalesce({_OWN}, p.reason, '')"
_LINE = f"substr({_SAID}, 1, instr({_SAID} || char(10), char(10)) - 1)"
_CLASS = f"substr({_SAID}, 1, instr({_SAID} || ':', ':') - 1)"
_BY_HAND = f"({_OWN} IS NULL OR substr({_OWN}, 1, 8) = 'GiveUp: ')"
_ERROR = f"substr(CASE WHEN {_BY_HAND} THEN {_LINE} ELSE {_CLASS} END, 1, {MOST_OF_AN_ERROR})"
"""The `DeadGroup.error` of a dead handler h, or of a dead delivery without one."""


def died_of(error: str, handler: str | None) -> str:
    """Return the condition that a delivery of table alias p has died of an error.

    Args:
        error: the name of the argument that has the error.
        handler: the name of the argument that has the handler; None for any, and for none.
    """
    among = "" if handler is None else f"h.key = {handler} AND "
    return (
        f"p.state = 'dead' AND EXISTS (SELECT 1 FROM (SELECT 1) LEFT JOIN {HANDLERS} h ON {_DIED} "
        f"WHERE {among}{_ERROR} = {error})"
    )


def grouped(connection: Connection, seqs: Sequence[int], handler: str | None, error: str | None) -> list[Deaths]:
    """Return what the dead deliveries in some rows died of, of one handler and of one error if these are given."""
    found = connection.execute(
        f"SELECT p.receiver, h.key, {_ERROR} AS error, count(*), max(p.seq) FROM json_each(:seqs) s "
        f"CROSS JOIN progress p ON p.seq = s.value LEFT JOIN {HANDLERS} h ON {_DIED} "
        "WHERE (:handler IS NULL OR h.key = :handler) GROUP BY 1, 2, 3 HAVING :error IS NULL OR error = :error",
        {"seqs": json.dumps([*seqs]), "handler": handler, "error": error},
    )
    return [Deaths(Death(receiver, *of), number, newest) for receiver, *of, number, newest in found.fetchall()]


def groups_of(connection: Connection, some: Iterable[Deaths]) -> list[DeadGroup]:
    """Return the largest groups, with their newest deliveries."""
    groups: list[DeadGroup] = []
    for death, number, newest in largest(some):
        id, received, example = connection.execute(
            f"SELECT d.id, d.received, {_SAID} FROM progress p JOIN delivery d USING (seq) "
            f"LEFT JOIN {HANDLERS} h ON h.key = :handler WHERE p.seq = :seq",
            {"handler": death.handler, "seq": newest},
        ).fetchone()
        groups.append(DeadGroup(*death, number, id, received, example))
    return groups
