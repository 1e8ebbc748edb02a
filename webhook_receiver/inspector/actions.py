"""Actions on many deliveries: a second of work at a time, so that a page shows how far they are.

Nothing runs behind a page: each request does a part, and says where the next one goes on. So an action goes on in
whichever process gets the next request, and stops when its page is left. The first part stores the audit record before
it does anything; the others name it, and are of the same user, for the same deliveries, until what was confirmed is
done. Each part adds to the record what it has done, by which a part that is asked for again is told.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..errors import InboxDamaged
from ..inbox.records import AuditRecord, DeliverySummary, Filter, State, Total
from .site import Problem, View

AT_ONCE = 200
"""Deliveries in one transaction."""
PART = 1.0
"""Seconds of work in one request, about."""
MOST_OF_A_REASON = 500
"""Characters of a reason."""
COUNT = 0.5
"""Seconds that are counted for a confirmation, at most."""
_LOOK = 0.2  # seconds that the next ones are looked for
_GOES_ON = 86_400.0  # seconds after which no part of an action goes on


class Part(NamedTuple):
    """What a part of an action has done."""

    done: int
    """Number of deliveries that were replayed or removed."""
    seen: int
    """Number of deliveries that were looked at."""
    cursor: str | None
    """Where the next part goes on; None if there is none."""


async def part(view: View, audited: AuditRecord, which: Filter, cursor: str | None, handler: str | None) -> Part:
    """Do a part of an action.

    Args:
        view: the request.
        audited: the record of the action, with what was confirmed and what is done: "replay" or "purge".
        which: the deliveries.
        cursor: where the part before has ended; None for the first.
        handler: the only handler that is to run again; None for all.
    """
    inbox, until = view.inbox, time.monotonic() + PART
    left = None if audited.deliveries is None else audited.deliveries - (audited.done or 0)
    seen = did = 0
    while left is None or left > did:
        at_once = AT_ONCE if left is None else min(AT_ONCE, left - did)
        page = await inbox.page(which, limit=at_once, newest_first=False, after=cursor, seconds=_LOOK)
        ids = [each.id for each in page.summaries if handler is None or await _has(view, each, handler)]
        done = 0
        if ids and audited.action == "replay":
            done = await inbox.replay(ids, inbox.clock(), handler=handler)
        elif ids:
            # The filter again: what was replayed meanwhile is not removed.
            gone = which._replace(ids=ids, id_begins=None)
            done = await inbox.purge(gone, inbox.clock(), limit=len(ids), unix=view.now)
        await inbox.audit_done(audited.number, done)
        did, seen, cursor = did + done, seen + len(page.summaries), page.next
        if cursor is None or time.monotonic() >= until:
            return Part(did, seen, cursor)
    return Part(did, seen, None)


async def _has(view: View, summary: DeliverySummary, handler: str) -> bool:
    """Return whether a delivery has a handler: it was given to it, or its receiver gives it to it now."""
    if handler in summary.handlers:
        return True
    hooks = view.inspected.receiver(summary.receiver)
    if hooks is None or handler not in {each.name for each in hooks.handlers}:
        return False
    stored = await view.inbox.get(summary.id)
    if stored is None:
        return False
    try:
        event = hooks.runtime.dispatcher.parse(stored.delivery.body, stored.delivery.headers, summary.part)
        return handler in {each.name for each in hooks.runtime.dispatcher.match(event)}
    except Exception:  # it is no event, or a filter of the user's failed
        return False


async def record(view: View, action: str, parameters: Mapping[str, Any], count: int | None) -> AuditRecord:
    """Store the audit record of what the user is about to do, and return it with its number.

    Args:
        view: the request, which knows who acts.
        action: what is done.
        parameters: which deliveries, and why.
        count: their number; None if nobody knows.
    """
    found = AuditRecord(view.now, view.user[:200], action, _given(parameters), count)
    return found._replace(number=await view.inbox.audit(found))


async def record_of(view: View, action: str, parameters: Mapping[str, Any], number: int) -> AuditRecord:
    """Return the audit record of an action that goes on.

    Args:
        view: the request.
        action: what is done.
        parameters: which deliveries, and why.
        number: the number of the record.

    Raises:
        Problem: it is the record of something else, of somebody else, or of long ago.
    """
    found = await numbered(view, number)
    told = (view.user[:200], action, _given(parameters))
    if (
        found is None
        or (found.who, found.action, dict(found.parameters)) != told
        or not 0 <= view.now - found.at < _GOES_ON
    ):
        raise Problem(409, "Nothing was done", "This form is not of the action that it goes on with: begin again.")
    return found


async def numbered(view: View, number: int) -> AuditRecord | None:
    """Return an audit record by its number; None if there is none."""
    found = await view.inbox.audited(limit=1, before=number + 1)
    return found[0] if found and found[0].number == number else None


def _given(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that are given, as they are read again."""
    found: dict[str, Any] = json.loads(
        json.dumps({name: value for name, value in parameters.items() if value not in (None, "", [])})
    )
    return found


async def counted(view: View, which: Filter) -> Total:
    """Return the number of deliveries for a confirmation."""
    return await view.inbox.total(which, seconds=COUNT)


async def is_handler(view: View, name: str, which: Filter, seconds: float) -> bool:
    """Return whether a name is that of a handler: a receiver at hand has it, or a delivery was given to it.

    Args:
        view: the request.
        name: the name.
        which: the deliveries that are looked for.
        seconds: how long they are looked for, at most.
    """
    if any(name in {each.name for each in hooks.handlers} for hooks in view.inspected.receivers):
        return True
    given = which._replace(handler=name, handler_states=tuple(State))
    return bool((await view.inbox.page(given, limit=1, seconds=seconds)).summaries)


async def id_of(view: View, id: str) -> str | None:
    """Return the id of a delivery, also of one that is damaged; None if there is none."""
    try:
        stored = await view.inbox.get(id)
    except InboxDamaged:  # it can be purged all the same
        found = await view.inbox.find(Filter(ids=[id]))
        return found[0].id if found else None
    return None if stored is None else stored.summary.id
