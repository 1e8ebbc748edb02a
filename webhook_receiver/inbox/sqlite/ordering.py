"""The lines in a SQLite inbox: deliveries of one source and order key, which are handled one at a time.

Whoever is claimed first holds its line until it is done, dead or unhandled; the table `holder` says who that is.
Those that are found due meanwhile stand back: they lose their `due`, so that nobody looks at them again until the
line is theirs. To put a delivery costs nothing for its line, and to claim costs the same however long lines are.
"""

from __future__ import annotations

from collections.abc import Sequence
from sqlite3 import Connection

from .. import rows
from ..records import State, reset_for_replay

Due = tuple[int, int | None]
"""The row of a delivery that is due, and the line that it stands in."""


def enter(connection: Connection, due: Sequence[Due], now: float) -> list[int]:
    """Return who of these may be handled now, and let them hold their lines; the others stand back."""
    holders = _holders(connection, {line for _, line in due if line is not None}, now)
    entering = [seq for seq, line in due if line is None]
    back: list[int] = []
    new: dict[int, int] = {}
    for seq, line in due:
        if line is None:
            continue
        holder, leased = holders.get(line, (None, False))
        if holder is None or (seq < holder and not leased):  # an older one was replayed meanwhile
            holders[line] = seq, False
            new[line] = seq
            back += [] if holder is None else [holder]
        elif seq != holder:
            back.append(seq)
    entering += [seq for seq, line in due if line is not None and holders[line][0] == seq]
    if new:
        rows.insert(connection, "holder (line, seq)", [*new.items()], otherwise="REPLACE")
    if back:
        stand_back(connection, back)
    return entering


def _holders(connection: Connection, lines: set[int], now: float) -> dict[int, tuple[int, bool]]:
    """Return who holds these lines, and whether a lease on it is running."""
    if not lines:
        return {}
    asked = rows.rounded(lines)
    found = connection.execute(
        "SELECT h.line, h.seq, p.lease IS NOT NULL AND p.due > ? FROM holder h JOIN progress p ON p.seq = h.seq "
        f"WHERE h.line IN ({rows.marks(asked)})",
        [now, *asked],
    )
    return {line: (seq, bool(leased)) for line, seq, leased in found.fetchall()}


def stand_back(connection: Connection, seqs: Sequence[int]) -> None:
    """Let these wait for their turn."""
    seqs = rows.rounded(seqs)
    connection.execute(
        # A lease whose time is up ends here: only who holds the line may have one.
        "UPDATE OR ROLLBACK progress SET due = NULL, held = NULL, lease = NULL, "
        f"crashes = crashes + (lease IS NOT NULL) WHERE seq IN ({rows.marks(seqs)})",
        seqs,
    )


def leave(connection: Connection, left: Sequence[int]) -> None:
    """Let these hold no line any more, and the next one of each line be due."""
    if not left:
        return
    left = rows.rounded(left)
    among = f"({rows.marks(left)})"
    found = connection.execute(f"SELECT line FROM holder WHERE seq IN {among}", left).fetchall()
    if found:
        connection.execute(f"DELETE FROM holder WHERE seq IN {among}", left)
        call(connection, [line for (line,) in found])


def give_way(connection: Connection, seq: int) -> bool:
    """Let a delivery that is not handled now stand back if an older one has come into its line; whether it did."""
    found = connection.execute(
        "SELECT h.line FROM holder h WHERE h.seq = ?1 AND EXISTS (SELECT 1 FROM progress p "
        "WHERE p.line = h.line AND p.state = 'waiting' AND p.due IS NULL AND p.held IS NULL AND p.seq < ?1)",
        (seq,),
    ).fetchone()
    if found is None:
        return False
    stand_back(connection, [seq])
    leave(connection, [seq])
    return True


def call(connection: Connection, lines: Sequence[int]) -> None:
    """Let the first of those that stood back in each of these lines be due."""
    if not lines:
        return
    lines = rows.rounded(lines)
    connection.execute(
        "UPDATE OR ROLLBACK progress SET due = 0 WHERE seq IN (SELECT min(seq) FROM progress "
        f"WHERE line IN ({rows.marks(lines)}) AND state = 'waiting' AND due IS NULL AND held IS NULL GROUP BY line)",
        lines,
    )


def requeue(connection: Connection, seq: int, now: float, handler: str | None = None) -> bool:
    """Let a kept delivery be handled again; see `Inbox.replay`."""
    state, text, leased = connection.execute(
        "SELECT state, handlers, lease IS NOT NULL AND due > ? FROM progress WHERE seq = ?", (now, seq)
    ).fetchone()
    if state == State.WAITING and leased:
        return False  # it is being handled just now
    handlers = reset_for_replay(State(state), rows.progress(text), handler)
    connection.execute(
        "UPDATE progress SET state = 'waiting', due = 0, since = ?, lease = NULL, crashes = 0, handlers = ?, "
        "held = NULL, reason = NULL, settled = NULL WHERE seq = ?",
        (now, rows.progress_json(handlers), seq),
    )
    return True


def bury(connection: Connection, seq: int, reason: str, now: float) -> None:
    """Let a delivery be dead, and let nobody claim it."""
    connection.execute(
        "UPDATE progress SET state = 'dead', due = NULL, lease = NULL, held = NULL, handlers = NULL, reason = ?, "
        "settled = ? "
        "WHERE seq = ?",
        (reason, now, seq),
    )
    leave(connection, [seq])
