"""Replays in a PostgreSQL inbox: stored deliveries become WAITING again."""

from __future__ import annotations

from collections.abc import Sequence

from ..records import State, reset_for_replay
from ..rows import known_progress, progress_json
from .announcement import ANNOUNCE
from .rows import PostgresConnection, ask


def requeue(connection: PostgresConnection, seqs: Sequence[int], now: float, handler: str | None = None) -> int:
    """Make these rows WAITING again, except those that are just being handled, or have no body any more; return how
    many. See `Inbox.replay`."""
    found = ask(
        connection,
        "SELECT seq, state, handlers::text, lease IS NOT NULL AND due > %s FROM progress WHERE seq = ANY(%s) "
        "AND NOT body_removed ORDER BY seq FOR UPDATE",
        [now, [*seqs]],
    ).fetchall()
    requeued: list[int] = []
    for seq, state, text, leased in found:
        if state == State.WAITING and leased:
            continue
        handlers = reset_for_replay(State(state), known_progress(text), handler)
        ask(
            connection,
            "UPDATE progress SET state = 'waiting', due = 0, since = %s, lease = NULL, crashes = 0, "
            f"handlers = %s::jsonb, held = NULL, reason = NULL, settled = NULL WHERE seq = %s RETURNING {ANNOUNCE}",
            [now, progress_json(handlers), seq],
        )
        requeued.append(seq)
    return len(requeued)
