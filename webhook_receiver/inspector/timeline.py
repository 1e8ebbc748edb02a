"""The time line of a delivery, drawn to scale: its receipt, its attempts, the waits between them, and its outcome."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..inbox.records import DEAD_LETTER_HANDLER, State, StoredDelivery
from .summaries import short_name
from .wording import counted, exact

_MOST_BARS = 400  # attempts of a handler that are drawn, the latest


class Bar(NamedTuple):
    """An attempt, or what came of it, at its place in per cent."""

    kind: str
    """The class: "retry", "dead", "done" or "receipt"."""
    at: float
    width: float
    told: str
    """What it is, in words."""


class Wait(NamedTuple):
    """A wait for the next attempt, from and to in per cent."""

    begin: float
    end: float


class Lane(NamedTuple):
    """A handler, and what it did."""

    name: str
    short: str
    told: str
    state: State
    bars: Sequence[Bar]
    waits: Sequence[Wait]


class Timeline(NamedTuple):
    """The time line: lanes above an axis."""

    lanes: Sequence[Lane]
    ticks: Sequence[tuple[float, str, str]]
    """Places on the axis in per cent, what stands there, and how it is anchored."""
    now: float | None
    """The place of the present, if it is on the axis."""
    length: str
    """How long it is, in words."""


def timeline(stored: StoredDelivery, now: float, clock: float) -> Timeline:
    """Return the time line of a delivery.

    Args:
        stored: the delivery.
        now: the time in Unix seconds.
        clock: the time by the clock of the inbox.
    """
    summary = stored.summary
    begin = summary.received
    due = {
        name: now + max(0.0, each.due - clock)
        for name, each in summary.handlers.items()
        if each.state is State.WAITING and each.due > clock and summary.state is State.WAITING
    }
    ends = [begin, *(each.started + each.seconds for each in stored.attempts), *due.values()]
    if summary.settled is not None:
        ends.append(summary.settled)
    if summary.state is State.WAITING:
        ends.append(now)
    end = max(ends)
    length = max(end - begin, 0.001)

    def place(unix: float) -> float:
        return round(min(100.0, max(0.0, 100 * (unix - begin) / length)), 3)

    by_handler: dict[str, list[Bar]] = {name: [] for name in summary.handlers}
    waits: dict[str, list[Wait]] = {}
    last: dict[str, float] = {}
    for each in stored.attempts:
        ended = each.started + each.seconds
        outcome = "dead" if each.outcome == "dead" else "retry"
        width = max(0.0, place(ended) - place(each.started))
        since = exact(max(0.0, each.started - begin))
        said = f"attempt {each.number}, {since} after receipt, failed after {exact(each.seconds)}"
        by_handler.setdefault(each.handler, []).append(Bar(outcome, place(each.started), round(width, 3), said))
        if each.handler in last:
            waits.setdefault(each.handler, []).append(Wait(place(last[each.handler]), place(each.started)))
        last[each.handler] = ended
    for name, at in due.items():
        waits.setdefault(name, []).append(Wait(place(last.get(name, begin)), place(at)))
    lanes: list[Lane] = []
    for name, bars in by_handler.items():
        state = summary.handlers.get(name)
        if state is not None and state.state is State.DONE and summary.settled is not None:
            # When it was done is not kept: no later than the delivery was settled.
            if name in last:
                waits.setdefault(name, []).append(Wait(place(last[name]), place(summary.settled)))
            bars.append(
                Bar("done", place(summary.settled), 0, f"done by {exact(summary.settled - begin)} after receipt")
            )
        said = "not run again" if state is None else f"{state.state}, {counted(state.attempts, 'attempt')}"
        if name in due:
            said += f", next in {exact(due[name] - now)}"
        title = f"dead-letter handler {short_name(name)}" if name.startswith(DEAD_LETTER_HANDLER) else short_name(name)
        lanes.append(
            Lane(name, title, said, state.state if state else State.WAITING, bars[-_MOST_BARS:], waits.get(name, []))
        )
    ticks = [(0.0, "received", "start"), (100.0, f"+{exact(length)}", "end")]
    if length >= 0.01:
        ticks.insert(1, (50.0, f"+{exact(length / 2)}", "middle"))
    is_present = summary.state is State.WAITING and end > now
    return Timeline(lanes, ticks, place(now) if is_present else None, exact(length))
