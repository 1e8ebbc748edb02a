"""Replay and purge: a confirmation that states the count, then the action a part at a time, with its progress."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import parse_qs, parse_qsl, unquote, urlencode

from starlette.responses import Response

from ...errors import ConfigurationError
from ...inbox.records import DEAD_LETTER_HANDLER, AuditRecord, Filter, State, Total
from ..actions import MOST_OF_A_REASON, counted, is_handler, numbered, part, record, record_of
from ..choice import Choice, choice
from ..site import Problem, View

_AGAIN = (State.UNHANDLED, State.DONE, State.DEAD)
"""The states that are replayed or purged where none is named: what waits is not."""
_MORE_HANDLERS = 200
_LOOK = 0.02  # seconds that are looked for a few of the deliveries
_SHORTLY = 600.0  # seconds
_AFTER = 0.001  # seconds; `Filter.before` leaves out what was received at that very time


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
    audited = await numbered(view, _count(view.asked("record")))
    if audited is None or audited.action not in ("replay", "purge"):
        raise Problem(404, "There is no such record", "It may be past its retention.")
    one = audited.parameters.get("delivery") if audited.action == "replay" else None
    count = audited.done or 0
    before = None if count else await _same_before(view, audited)
    return await view.page("finished.html", action=audited.action, count=count, one=one, before=before)


async def _same_before(view: View, audited: AuditRecord) -> AuditRecord | None:
    """Return the record of what was done shortly before, and may have left nothing to do; None if there is none."""
    for each in await view.inbox.audited(limit=20, before=audited.number):
        if each.done and each.action in ("replay", "purge") and audited.at - each.at < _SHORTLY:
            return each
    return None


def _chosen(given: Mapping[str, Sequence[str]], now: float) -> Choice:
    """Return the choice of an action, with the states that it is about."""
    found = choice(given, now).checked()
    which = found.filter
    if found.is_all:
        raise Problem(400, "Nothing was chosen", "Choose deliveries by a filter, such as a state, or one by its id.")
    return found.bounded(which._replace(states=tuple(which.states or (State if which.ids else _AGAIN))))


async def _until_now(view: View, chosen: Choice) -> Choice:
    """Return a choice of many without what comes from now on; what a clock that is ahead has received is in it."""
    which = chosen.filter
    if which.ids or which.before is not None:
        return chosen
    ahead = await view.inbox.page(which._replace(since=max(view.now, which.since or 0)), limit=200, seconds=_LOOK)
    before = max([view.now, *(each.received + _AFTER for each in ahead.summaries)])
    return chosen.bounded(which._replace(before=before))


async def _confirm(view: View, action: str) -> Response:
    query = view.request.query_params
    chosen = _chosen({name: query.getlist(name) for name in query}, view.now)
    chosen = await _until_now(view, chosen)
    return await _ask(view, action, chosen, await counted(view, chosen.filter))


async def _ask(view: View, action: str, chosen: Choice, total: Total, *, has_more: bool = False) -> Response:
    """Ask whether an action is meant; again, if there is more to it than was confirmed."""
    return await view.page(
        "confirm.html",
        status=409 if has_more else 200,
        action=action,
        chosen=chosen,
        total=total,
        told=chosen.told,
        has_more=has_more,
        reason=view.sent("reason") if has_more else "",
        only_handler=unquote(view.sent("only_handler")) if has_more else "",
        handlers=await _handlers(view, chosen.filter) if action == "replay" else [],
        most_of_a_reason=MOST_OF_A_REASON,
    )


async def _act(view: View, action: str) -> Response:
    goes_on = dict(parse_qsl(view.sent("goes_on")))  # what the part before has left
    chosen = await _until_now(view, _chosen(parse_qs(view.sent("which")), view.now))
    reason = goes_on.get("reason", view.sent("reason").strip())[:MOST_OF_A_REASON]
    if action == "purge" and not reason:
        raise Problem(400, "Nothing was removed", "Say why: the reason is recorded.")
    handler = goes_on.get("handler", unquote(view.sent("only_handler")).strip()) or None
    parameters = {**chosen.told, "handler to run": handler, "reason": reason}
    async with view.inspected.acting:
        if goes_on:
            audited = await record_of(view, action, parameters, _count(goes_on.get("record", "")))
            _check_is_next(audited, _count(goes_on.get("done", "")))
        else:
            if handler is not None:
                await _check_handler(view, chosen.filter, handler)
            found = await counted(view, chosen.filter)
            if found.number > _count(view.sent("total")) and (found.is_exact or not view.sent("total")):
                return await _ask(view, action, chosen, found, has_more=True)
            audited = await record(view, action, parameters, found.number if found.is_exact else None)
        did = await part(view, audited, chosen.filter, goes_on.get("cursor"), handler)
    if did.cursor is None:
        return view.redirect("/finished", record=audited.number)
    seen = _count(goes_on.get("seen", "")) + did.seen
    total = max(seen, audited.deliveries or _count(goes_on.get("total", view.sent("total"))))  # to be seen, no more
    done = (audited.done or 0) + did.done
    after = {"record": audited.number, "done": done, "total": total, "seen": seen, "cursor": did.cursor}
    return await view.page(
        "progress.html",
        action=action,
        chosen=chosen,
        record=audited.number,
        done=done,
        seen=seen,
        total=total,
        goes_on=urlencode({**after, "reason": reason, "handler": handler or ""}),
    )


def _check_is_next(audited: AuditRecord, done: int) -> None:
    """Reject the form of a part that was done before: done again, its deliveries would count for the last ones.

    Args:
        audited: the record of the action; where it says that all is done, there is no further part.
        done: the number of deliveries that were done when the form was made.
    """
    if (audited.done or 0) not in (done, audited.deliveries):
        did = "replayed" if audited.action == "replay" else "removed"
        of = "" if audited.deliveries is None else f" of {audited.deliveries}"
        said = f"{audited.done}{of} are {did}, the oldest first. Nothing was done now"
        raise Problem(
            409,
            "This part was done already",
            f"Its answer got lost, or its form was sent twice. {said}: look in the list for what is left, and begin "
            "again with that.",
        )


def _count(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 12 else 0


async def _handlers(view: View, which: Filter) -> list[str]:
    """Return the names of the handlers that may be named as the only one to run."""
    names: dict[str, None] = {}
    if which.handler:
        names[which.handler] = None
    page = await view.inbox.page(which, limit=50, seconds=_LOOK)
    receivers = {which.receiver, *(each.receiver for each in page.summaries)}
    for hooks in view.inspected.receivers:
        if hooks.name in receivers:
            names |= dict.fromkeys(each.name for each in hooks.handlers)
    for each in page.summaries:
        names |= dict.fromkeys(name for name in each.handlers if not name.startswith(DEAD_LETTER_HANDLER))
    return [*names][:_MORE_HANDLERS]


async def _check_handler(view: View, which: Filter, handler: str) -> None:
    """Reject a handler that neither a receiver at hand has, nor a delivery was given to."""
    hooks = None if which.receiver is None else view.inspected.receiver(which.receiver)
    if hooks is not None:
        try:
            hooks.name_of(handler)
        except ConfigurationError as error:
            raise Problem(400, "Nothing was replayed", f"{error}.") from None
    elif handler not in await _handlers(view, which) and not await is_handler(view, handler, which, 1):
        raise Problem(400, "Nothing was replayed", f"No delivery has a handler {handler[:200]!r}.")
