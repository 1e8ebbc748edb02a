"""The list of deliveries: live, with filters in its address, a page at a time."""

from __future__ import annotations

from starlette.responses import Response

from ...inbox.records import State
from ..choice import choice
from ..site import View
from ..summaries import row, short_name

PAGE = 50
"""Deliveries on a page."""
_LOOK, _COUNT = 0.03, 0.01  # seconds that are looked for a page, and counted


async def show(view: View) -> Response:
    """Show deliveries, the newest first."""
    query = view.request.query_params
    given = {name: query.getlist(name) for name in query}
    handlers = [each.name for hooks in view.inspected.receivers for each in hooks.handlers]
    if (short := view.asked("handler")) and ":" not in short:  # as the pages name it
        found_by_name = [each for each in handlers if short_name(each) == short]
        given["handler"] = found_by_name if len(found_by_name) == 1 else [short]
    chosen = choice(given, view.now)
    is_older = not view.asked("newer")
    cursor = view.asked("older") or view.asked("newer") or None
    found = await view.inbox.page(chosen.filter, limit=PAGE, newest_first=is_older, after=cursor, seconds=_LOOK)
    summaries = [*found.summaries] if is_older else [*reversed(found.summaries)]
    older, newer = (found.next, found.previous) if is_older else (found.previous, found.next)
    total = await view.inbox.total(chosen.filter, seconds=_COUNT)
    rows = [row(view, each) for each in summaries]
    return await view.page(
        "deliveries.html",
        chosen=chosen,
        rows=rows,
        several=len({each.receiver for each in rows}) > 1,
        older=older,
        newer=newer if cursor else None,
        reached=found.reached if is_older and len(rows) < PAGE else None,
        total=total,
        counts=(await view.stats()).counts,
        states=[*State],
        handlers=sorted({*handlers}),
        is_first=cursor is None,
    )
