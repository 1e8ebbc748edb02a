"""Replay and purge: a confirmation that states the count, then the action a part at a time, with its progress."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qs, parse_qsl, unquote, urlencode

from starlette.responses import Response

from ...errors import ConfigurationError
from ...inbox.records import DEAD_LETTER_HANDLER, Filter, State
from ..actions import counted, part, record
from ..choice import Choice, choice
from ..site import Problem, View

MOST_OF_A_REASON = 500
"""Characters of a reason."""
_AGAIN = (State.UNHANDLED, State.DONE, State.DEAD)
"""The states that are replayed or purged where none is named: what waits is not."""
_MORE_HANDLERS = 200


async def confirm_replay(view: View) -> Response:
    """Ask whether deliveries are to be replayed."""
    return await _confirm(view, "replay")


async def confirm_purge(view: View) -> Response:
    """Ask whether deliveries are to be removed, and why."""
    return await _confirm(view, "purge")


async def replay(view: View) -> Response:
    """Replay deliveries, a part of them."""
    return await _act(view, "replay")


async def purge(view: View) -> Response:
    """Remove deliveries, a part of them."""
    return await _act(view, "purge")


async def finished(view: View) -> Response:
    """Show what an action has done."""
    action, count = view.asked("action"), view.asked("count")
    if action not in ("replay", "purge") or not count.isdigit() or len(count) > 12:
        raise Problem(404, "There is no such page")
    return await view.page("finished.html", action=action, count=int(count), one=view.asked("only"))


def _chosen(given: Mapping[str, Sequence[str]], now: float) -> Choice:
    """Return the choice of an action: what comes from now on is not in it."""
    found = choice(given, now).checked()
    which = found.filter
    states = which.states or (State if which.ids else _AGAIN)
    before = now if which.before is None else min(which.before, now)
    if found.is_all:
        raise Problem(400, "Nothing was chosen", "Choose deliveries by a filter, such as a state, or one by its id.")
    return found.bounded(which._replace(states=tuple(states), before=before))


async def _confirm(view: View, action: str) -> Response:
    query = view.request.query_params
    chosen = _chosen({name: query.getlist(name) for name in query}, view.now)
    total = await counted(view, chosen.filter)
    return await view.page(
        "confirm.html",
        action=action,
        chosen=chosen,
        total=total,
        told=chosen.told,
        handlers=await _handlers(view, chosen.filter) if action == "replay" else [],
        most_of_a_reason=MOST_OF_A_REASON,
    )


async def _act(view: View, action: str) -> Response:
    before = dict(parse_qsl(view.sent("goes_on")))  # what the part before has left
    began = _moment(before.get("began", "")) if before else view.now
    chosen = _chosen(parse_qs(view.sent("which")), began)
    reason = before.get("reason", view.sent("reason").strip())[:MOST_OF_A_REASON]
    if action == "purge" and not reason:
        raise Problem(400, "Nothing was removed", "Say why: the reason is recorded.")
    handler = before.get("handler", unquote(view.sent("only_handler")).strip()) or None
    if handler is not None:
        _check_handler(view, chosen.filter, handler)
    total = _count(before.get("total", view.sent("total")))
    parameters = {**chosen.told, "handler to run": handler, "reason": reason}
    await record(view, action, parameters, total, began)
    did = await part(view.inbox, action, chosen.filter, before.get("cursor"), view.now, handler)
    done, seen = _count(before.get("done", "0")) + did.done, _count(before.get("seen", "0")) + did.seen
    if did.cursor is None:
        one = chosen.text("only") if action == "replay" else None
        return view.redirect("/finished", action=action, count=done, only=one)
    total = max(total, seen)
    after = {"total": total, "done": done, "seen": seen, "began": repr(began), "cursor": did.cursor, "reason": reason}
    return await view.page(
        "progress.html",
        action=action,
        chosen=chosen,
        done=done,
        seen=seen,
        total=total,
        goes_on=urlencode({**after, "handler": handler or ""}),
    )


def _count(text: str) -> int:
    return int(text) if text.isdigit() and len(text) <= 12 else 0


def _moment(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise Problem(400, "Nothing was done", "The form does not say when the action began: begin again.")
    return found


async def _handlers(view: View, which: Filter) -> list[str]:
    """Return the names of the handlers that may be named as the only one to run."""
    names: dict[str, None] = {}
    if which.handler:
        names[which.handler] = None
    for hooks in view.inspected.receivers:
        if which.receiver in (None, hooks.name):
            names |= dict.fromkeys(each.name for each in hooks.handlers)
    page = await view.inbox.page(which, limit=50, seconds=0.02)
    for each in page.summaries:
        names |= dict.fromkeys(name for name in each.handlers if not name.startswith(DEAD_LETTER_HANDLER))
    return [*names][:_MORE_HANDLERS]


def _check_handler(view: View, which: Filter, handler: str) -> None:
    """Reject a handler that no receiver at hand has, if the receiver that it is of is at hand."""
    hooks = None if which.receiver is None else view.inspected.receiver(which.receiver)
    if hooks is not None:
        try:
            hooks.name_of(handler)
        except ConfigurationError as error:
            raise Problem(400, "Nothing was replayed", f"{error}.") from None
