"""Actions on many deliveries: a second of work at a time, so that a page shows how far they are.

Nothing runs behind a page: each request does a part, and says where the next one goes on. So an action goes on in
whichever process gets the next request, and stops when its page is left. The first part stores the audit record before
it does anything; the others have to show it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..errors import InboxDamaged
from ..inbox.base import Inbox
from ..inbox.records import AuditRecord, Filter, Total
from .site import View

AT_ONCE = 200
"""Deliveries in one transaction."""
PART = 1.0
"""Seconds of work in one request, about."""
COUNT = 0.5
"""Seconds that are counted for a confirmation, at most."""
_LOOK = 0.2  # seconds that the next ones are looked for
_RECENT = 200  # audit records among which that of an action is looked for


class Part(NamedTuple):
    """What a part of an action has done."""

    done: int
    """Number of deliveries that were replayed or removed."""
    seen: int
    """Number of deliveries that were looked at."""
    cursor: str | None
    """Where the next part goes on; None if there is none."""


async def part(inbox: Inbox, action: str, which: Filter, cursor: str | None, now: float, handler: str | None) -> Part:
    """Do a part of an action.

    Args:
        inbox: the inbox.
        action: "replay" or "purge".
        which: the deliveries.
        cursor: where the part before has ended; None for the first.
        now: the time in Unix seconds.
        handler: the only handler that is to run again; None for all.
    """
    until = time.monotonic() + PART
    done = seen = 0
    while True:
        page = await inbox.page(which, limit=AT_ONCE, newest_first=False, after=cursor, seconds=_LOOK)
        ids = [each.id for each in page.summaries]
        if ids and action == "replay":
            done += await inbox.replay(ids, inbox.clock(), handler=handler)
        elif ids:
            # The filter again: what was replayed meanwhile is not removed.
            done += await inbox.purge(which._replace(ids=ids, id_begins=None), inbox.clock(), limit=len(ids), unix=now)
        seen += len(ids)
        cursor = page.next
        if cursor is None or time.monotonic() >= until:
            return Part(done, seen, cursor)


async def record(view: View, action: str, parameters: Mapping[str, Any], count: int | None, began: float) -> None:
    """Store the audit record of an action, unless an earlier part of it has.

    Args:
        view: the request, which knows who acts.
        action: what is done.
        parameters: which deliveries, and why.
        count: their number, as far as it is known.
        began: when the first part of the action was done, in Unix seconds.
    """
    given = json.loads(json.dumps({name: value for name, value in parameters.items() if value not in (None, "", [])}))
    for each in await view.inbox.audited(limit=_RECENT):
        if (each.at, each.who, each.action, dict(each.parameters)) == (began, view.user, action, given):
            return
    await view.inbox.audit(AuditRecord(began, view.user[:200], action, given, count))


async def counted(view: View, which: Filter) -> Total:
    """Return the number of deliveries for a confirmation."""
    return await view.inbox.total(which, seconds=COUNT)


async def id_of(view: View, id: str) -> str | None:
    """Return the id of a delivery, also of one that is damaged; None if there is none."""
    try:
        stored = await view.inbox.get(id)
    except InboxDamaged:  # it can be purged all the same
        found = await view.inbox.find(Filter(ids=[id]))
        return found[0].id if found else None
    return None if stored is None else stored.summary.id
