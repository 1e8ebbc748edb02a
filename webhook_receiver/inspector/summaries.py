"""Deliveries as lists show them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import unquote

from ..inbox.records import DEAD_LETTER_HANDLER, DeliverySummary, HandlerState, State
from .site import View

SHORT = 12
"""Digits of an id in a list."""
_NAMED = 3  # handlers that a list names


class HandlerOf(NamedTuple):
    """A handler of a delivery, in short."""

    name: str
    """Its name."""
    short: str
    """The last part of its name."""
    state: State
    attempts: int


class Row(NamedTuple):
    """A delivery in a list."""

    id: str
    short: str
    """The beginning of the id."""
    receiver: str
    event: str
    about: str
    """What it tells of: the order and its status, or another identity."""
    received: float
    state: State
    told: str
    """The state in words, with what it waits for."""
    via: str
    handlers: Sequence[HandlerOf]
    """The first handlers."""
    more: int
    """Number of further handlers."""
    attempts: int
    """Number of attempts of all handlers."""
    reason: str
    url: str


def row(view: View, summary: DeliverySummary) -> Row:
    """Return a delivery as a list shows it."""
    handlers = handlers_of(summary)
    return Row(
        summary.id,
        summary.id[:SHORT],
        summary.receiver,
        summary.event or "no event",
        unquote(summary.identity or ""),
        summary.received,
        summary.state,
        told(view, summary),
        summary.via,
        handlers[:_NAMED],
        max(0, len(handlers) - _NAMED),
        sum(each.attempts for each in handlers),
        view.masked(summary.damage or summary.reason or ""),
        view.url(f"/deliveries/{summary.id}"),
    )


def handlers_of(summary: DeliverySummary) -> list[HandlerOf]:
    """Return the handlers that were run for a delivery, those that are not done first."""
    found = [HandlerOf(name, short_name(name), each.state, each.attempts) for name, each in summary.handlers.items()]
    return sorted(found, key=lambda each: (each.state is State.DONE, each.name.startswith(DEAD_LETTER_HANDLER)))


def short_name(handler: str) -> str:
    """Return the part of a handler's name that people know it by."""
    return handler.removeprefix(DEAD_LETTER_HANDLER).rpartition(":")[2] or handler


def told(view: View, summary: DeliverySummary) -> str:
    """Return the state of a delivery in words, with what it waits for."""
    if summary.state is not State.WAITING:
        return str(summary.state)
    if summary.leased and (summary.due is None or summary.due > view.clock):
        return "running"
    if summary.paused_by:
        return "paused"
    if summary.due is None:
        return "in line"
    if any(is_retried(each) for each in summary.handlers.values()):
        return "retrying"
    return "waiting"


def is_retried(state: HandlerState) -> bool:
    """Return whether a handler has failed, and is to run again."""
    return state.state is State.WAITING and state.since_replay > 0
