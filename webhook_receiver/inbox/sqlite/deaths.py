"""What the dead deliveries of a SQLite inbox died of, as SQL."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from sqlite3 import Connection

from ..deaths import ENDS, TRIMMED, Death, Deaths, largest
from ..records import DEAD_LETTER_HANDLER, MOST_OF_AN_ERROR, DeadGroup

# What is damaged is passed over: without CASE, SQLite may call a function before it looks at the condition.
HANDLERS = "json_each(CASE WHEN json_valid(p.handlers) THEN p.handlers END)"
"""The handlers of a row of table alias p, and their states, as table alias h."""
STATE = "json_extract(CASE h.type WHEN 'array' THEN h.value END, '$[0]')"
"""The state of a handler h."""

_DIED = f"{STATE} = 'dead' AND substr(h.key, 1, {len(DEAD_LETTER_HANDLER)}) <> '{DEAD_LETTER_HANDLER}'"
_SAID = (
    "coalesce((SELECT a.error FROM attempt a WHERE a.seq = p.seq AND a.handler = h.key AND a.outcome = 'dead' "
    "ORDER BY a.place DESC LIMIT 1), p.reason, '')"
)
"""The error of the last attempt of a dead handler h; without that the reason."""
_ENDS = ", ".join(f"coalesce(nullif(instr(said, char({ord(each)})), 0), {MOST_OF_AN_ERROR + 1})" for each in ENDS)
_ERROR = f"rtrim(substr(said, 1, min({_ENDS}) - 1), '{TRIMMED}')"
"""The `DeadGroup.error` of what was `said`."""


def _deaths(rows: str) -> str:
    """Return a subquery of what deliveries died of, from rows of table alias p."""
    # With LIMIT it is asked by itself, and what was said is not looked up again for each character (optoverview.html,
    # section 11, at sqlite.org).
    return (
        f"(SELECT p.seq, p.receiver, h.key AS handler, {_SAID} AS said FROM {rows} "
        f"LEFT JOIN {HANDLERS} h ON {_DIED} LIMIT -1)"
    )


def died_of(error: str, handler: str | None) -> str:
    """Return the condition that a delivery of table alias p has died of an error.

    Args:
        error: the name of the argument that has the error.
        handler: the name of the argument that has the handler; None for any, and for none.
    """
    among = "" if handler is None else f"handler = {handler} AND "
    # The columns of p, outside, as a table of one row.
    row = "(SELECT p.seq, p.receiver, p.handlers, p.reason) AS p"
    return f"p.state = 'dead' AND EXISTS (SELECT 1 FROM {_deaths(row)} WHERE {among}{_ERROR} = {error})"


def grouped(connection: Connection, seqs: Sequence[int], handler: str | None, error: str | None) -> list[Deaths]:
    """Return what the dead deliveries in some rows died of, of one handler and of one error if these are given."""
    found = connection.execute(
        f"SELECT receiver, handler, {_ERROR} AS error, count(*), max(seq) "
        f"FROM {_deaths('json_each(:seqs) s CROSS JOIN progress p ON p.seq = s.value')} "
        "WHERE :handler IS NULL OR handler = :handler GROUP BY 1, 2, 3 HAVING :error IS NULL OR error = :error",
        {"seqs": json.dumps([*seqs]), "handler": handler, "error": error},
    )
    return [Deaths(Death(receiver, *of), number, newest) for receiver, *of, number, newest in found.fetchall()]


def groups_of(connection: Connection, some: Iterable[Deaths]) -> list[DeadGroup]:
    """Return the largest groups, with their newest deliveries."""
    groups = largest(some)
    newest = [[each.newest, each.death.handler] for each in groups]
    found = connection.execute(
        f"SELECT d.id, d.received, {_SAID} FROM json_each(:newest) n "
        "CROSS JOIN progress p ON p.seq = json_extract(n.value, '$[0]') JOIN delivery d USING (seq) "
        f"LEFT JOIN {HANDLERS} h ON h.key = json_extract(n.value, '$[1]') ORDER BY n.key",
        {"newest": json.dumps(newest)},
    ).fetchall()
    return [DeadGroup(*death, number, *more) for (death, number, _), more in zip(groups, found, strict=True)]
