"""Dead letters, by what they died of."""

from __future__ import annotations

from itertools import takewhile
from typing import Any

from starlette.responses import Response

from ...inbox.records import DeadGroup, Filter, State
from ..site import View
from ..summaries import short_name

_LOOK = 0.04  # seconds that dead letters are looked through


async def show(view: View) -> Response:
    """Show the dead letters in groups."""
    found = await view.inbox.dead_letters(Filter(receiver=view.asked("receiver") or None), seconds=_LOOK)
    stats = await view.stats()
    return await view.page(
        "dead.html",
        groups=[_shown(view, group) for group in found.groups],
        looked_at=found.number,
        reached=found.reached,
        total=stats.counts[State.DEAD],
        receiver=view.asked("receiver"),
        short_name=short_name,
    )


def _shown(view: View, group: DeadGroup) -> tuple[DeadGroup, dict[str, Any] | None]:
    """Return a group with the secrets masked that its error may tell, and the members of its address.

    It has no address if its error tells one: the error would be in it.
    """
    example = view.masked(group.example)
    error = view.masked(group.error)
    if example != group.example:  # a group's error may end within a secret
        error = "".join(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], zip(error, example, strict=False)))
    return group._replace(error=error, example=example), query_of(group) if error == group.error else None


def query_of(group: DeadGroup) -> dict[str, Any]:
    """Return the members of an address that choose the deliveries of a group."""
    which = group.filter
    return {
        "state": [*(which.states or ())],
        "receiver": which.receiver,
        "handler": which.handler,
        "handler_state": [*(which.handler_states or ())],
        "error": which.error,
    }
