"""Pause and resume a handler, after a confirmation that says how many deliveries that is about."""

from __future__ import annotations

from urllib.parse import unquote

from starlette.responses import Response

from ...inbox.records import DEAD_LETTER_HANDLER, Filter, State
from ...receiver import WebhookReceiver
from ..actions import MOST_OF_A_REASON, counted, is_handler, record
from ..site import Problem, View
from ..summaries import short_name

_MOST = 500  # characters of a handler's name


async def confirm_pause(view: View) -> Response:
    """Ask whether a handler is to be paused."""
    return await _confirm(view, "pause")


async def confirm_resume(view: View) -> Response:
    """Ask whether a handler is to be resumed."""
    return await _confirm(view, "resume")


async def pause(view: View) -> Response:
    """Pause a handler."""
    handler, hooks, count = await _named(view, unquote(view.sent("handler")))
    await record(view, "pause", {"handler": handler, "reason": view.sent("reason").strip()[:MOST_OF_A_REASON]}, count)
    await (view.inbox.pause(handler, view.now) if hooks is None else hooks.runtime.pause(handler))
    return view.redirect("/handlers")


async def resume(view: View) -> Response:
    """Resume a handler."""
    handler, hooks, count = await _named(view, unquote(view.sent("handler")))
    await record(view, "resume", {"handler": handler}, count)
    await (view.inbox.resume(handler) if hooks is None else hooks.runtime.resume(handler))
    return view.redirect("/handlers")


async def _confirm(view: View, action: str) -> Response:
    handler, _, count = await _named(view, view.asked("handler"))
    is_paused = handler in (await view.stats()).paused
    if is_paused == (action == "pause"):
        return view.redirect("/handlers")  # it was done meanwhile
    short, of_dead = short_name(handler), handler.startswith(DEAD_LETTER_HANDLER)
    return await view.page("pause.html", action=action, handler=handler, short=short, count=count, of_dead=of_dead)


async def _named(view: View, name: str) -> tuple[str, WebhookReceiver | None, int]:
    """Return the name of a handler, its receiver if that is at hand, and how many deliveries wait for it now.

    Raises:
        Problem: nobody has heard of such a handler.
    """
    name = name.strip()
    hooks = next((each for each in view.inspected.receivers if name in _names(each)), None)
    if not name or len(name) > _MOST:
        raise Problem(404, "There is no such handler")
    if hooks is None and view.inspected.receivers:
        is_paused = name in (await view.stats()).paused
        if not is_paused and not await is_handler(view, name, Filter(), 0.05):
            advice = "No receiver at hand has it, and no delivery was given to it."
            raise Problem(404, "There is no such handler", advice)
    total = await counted(view, Filter(handler=name, states=(State.WAITING,)))
    return name, hooks, total.number


def _names(hooks: WebhookReceiver) -> set[str]:
    return {each.name for each in hooks.handlers} | {each.name for each in hooks.dead_letter_handlers}
