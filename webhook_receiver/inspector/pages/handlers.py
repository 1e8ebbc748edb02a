"""Handlers: what they are for, how often they run and how long, what fails, and which of them are left alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from starlette.responses import Response

from ...inbox.records import DEAD_LETTER_HANDLER
from ...receiver import WebhookReceiver
from ...routing.handlers import Handler
from ..figures import SPANS, Counts, counts_of, span_named
from ..site import View
from ..summaries import short_name

_OUTCOMES = ("done", "retry", "dead")


class Row(NamedTuple):
    """A handler."""

    name: str
    short: str
    route: str
    """What it is registered for; empty if its receiver is not at hand."""
    details: Sequence[str]
    """Its options, in words."""
    done: int
    failed: int
    """Number of attempts that failed, and are followed by others."""
    dead: int
    half: str
    """The time that half of its attempts took at most."""
    most: str
    """The time that 95 % took at most."""
    is_open: bool | None
    """Whether its circuit breaker is open in this process; None if the process runs no handlers."""
    paused: float | None
    """The seconds for which it is paused."""
    is_known: bool
    """Whether a receiver at hand has it, or has it as a dead-letter handler."""


async def show(view: View) -> Response:
    """Show the handlers of all receivers."""
    span = span_named(view.asked("span") or "day")
    counts, begins = await counts_of(view, span)
    stats = await view.stats()
    paused = dict(stats.paused)
    names = sorted({*counts, *(each.name for each in view.inspected.receivers)})
    found: list[tuple[str, WebhookReceiver | None, list[Row]]] = []
    for name in names:
        hooks = view.inspected.receiver(name)
        rows = _rows(view, hooks, counts.get(name, Counts({}, len(begins))), paused)
        if rows or hooks is not None:
            found.append((name, hooks, rows))
    shown = {row.name for _, _, rows in found for row in rows}
    left = [(name, short_name(name), view.now - since) for name, since in paused.items() if name not in shown]
    return await view.page(
        "handlers.html", span=span, spans=SPANS, receivers=found, others=left, at_hand=bool(view.inspected.receivers)
    )


def _rows(view: View, hooks: WebhookReceiver | None, counts: Counts, paused: dict[str, float]) -> list[Row]:
    registered = {} if hooks is None else {handler.name: handler for handler in hooks.handlers}
    after = [] if hooks is None else [handler.name for handler in hooks.dead_letter_handlers]
    seen = {name for outcome in _OUTCOMES for name in counts.by_name(outcome)}
    is_open = None if hooks is None else hooks.runtime.open_breakers
    rows: list[Row] = []
    for name in [*registered, *after, *sorted(seen - registered.keys() - {*after})]:
        handler = registered.get(name)
        done, failed, gave_up = [counts.total(f"{outcome} {name}") for outcome in _OUTCOMES]
        whats = [f"{outcome} {name}" for outcome in _OUTCOMES]
        since = paused.get(name)
        rows.append(
            Row(
                name,
                short_name(name),
                "dead letters" if name in after or name.startswith(DEAD_LETTER_HANDLER) else _route(handler),
                _details(handler),
                done,
                failed,
                gave_up,
                counts.quantile(whats, 0.5),
                counts.quantile(whats, 0.95),
                None if is_open is None else name in is_open,
                None if since is None else view.now - since,
                handler is not None or name in after,
            )
        )
    return rows


def _route(handler: Handler | None) -> str:
    if handler is None:
        return ""
    return handler.route if isinstance(handler.route, str) else handler.route.__name__


def _details(handler: Handler | None) -> list[str]:
    if handler is None:
        return []
    found: list[str] = []
    if handler.where is not None:
        found.append("where a condition holds")
    if handler.timeout is not None:
        found.append(f"timeout {handler.timeout:g} s")
    if handler.backoff is not None:
        found.append(f"{handler.backoff.attempts} attempts")
    if handler.limits is not None:
        if handler.limits.concurrency is not None:
            found.append(f"{handler.limits.concurrency} at once")
        if handler.limits.rate is not None:
            found.append(f"{handler.limits.rate.runs} in {handler.limits.rate.seconds:g} s")
    return found
