"""Printing stored deliveries for people: tables, and all the details of one."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Self
from urllib.parse import unquote

from rich.text import Text

from ..delivery import Delivery
from ..errors import AmbiguousId, InboxDamaged
from ..inbox import DamagedDelivery, DeliverySummary, FailedAttempt, HandlerState, Inbox, State, Stats, StoredDelivery
from . import output
from .output import printable

STYLES = {State.WAITING: "cyan", State.DONE: "green", State.UNHANDLED: "yellow", State.DEAD: "red"}
_MOST_DAMAGED = 20  # that are named
_WORD = 20  # characters of a word of an identity: a status has fewer, a UUID has more
_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"))


SHORT = 8
"""The fewest digits of an id that are shown."""


async def short_ids(inbox: Inbox, ids: Sequence[str]) -> dict[str, str]:
    """Return the shortest beginning of each id, of `SHORT` digits or more, that names its delivery in the inbox."""
    found: dict[str, str] = {}
    for id in ids:
        size = SHORT
        while size < len(id) and not await _names(inbox, id[:size], id):
            size += 1
        found[id] = id[:size]
    return found


async def _names(inbox: Inbox, beginning: str, id: str) -> bool:
    """Whether the beginning of an id names its delivery, and no other."""
    try:
        stored = await inbox.get(beginning)
    except AmbiguousId:
        return False
    except InboxDamaged:
        return True  # it is the only one that begins so
    return stored is not None and stored.summary.id == id


class Now(NamedTuple):
    """The present time."""

    unix: float
    """In Unix seconds."""
    clock: float
    """By the clock of the inbox."""

    @classmethod
    def at(cls, inbox: Inbox) -> Self:
        """Return the present time at an inbox, which is open."""
        return cls(time.time(), inbox.clock())


def show_summaries(summaries: Sequence[DeliverySummary], now: Now, short: Mapping[str, str]) -> None:
    """Print a table of deliveries, with the receiver only if there are several; on a terminal a line for each.

    Args:
        summaries: the deliveries.
        now: the present time.
        short: the beginnings of ids that are shown on a terminal, by the ids.
    """
    several = len({summary.receiver for summary in summaries}) > 1
    headings = ["id", "received", *(["receiver"] if several else []), "event", "identity", "state", "next"]
    rows = [_row(summary, now, short, several=several) for summary in summaries]
    output.table(headings, rows, shortest={"event": 8, "receiver": 8, "identity": 12})
    if any(summary.state in (State.DEAD, State.UNHANDLED) for summary in summaries):
        _suggest("why", "show WHERE ID", "handle it again", "replay WHERE ID")


def _suggest(*steps: str) -> None:
    """Print what can be done next, to a person: pairs of what it is for, and a command of `inbox`."""
    if output.is_terminal():
        pairs = zip(steps[::2], steps[1::2], strict=True)
        output.say("; ".join(f"{what}: inbox {command}" for what, command in pairs), "dim")


def _row(summary: DeliverySummary, now: Now, short: Mapping[str, str], *, several: bool) -> list[str | Text]:
    on_terminal = output.is_terminal()
    received = f"{span(now.unix - summary.received)} ago" if on_terminal else at(summary.received)
    receiver = [printable(summary.receiver)] if several else []
    event = "-" if summary.event is None else printable(summary.event)
    about = identity(summary)
    if on_terminal:
        about = " ".join(
            word if len(word) <= _WORD else f"{word[:SHORT]}\N{HORIZONTAL ELLIPSIS}" for word in about.split()
        )
    state = Text(summary.state, STYLES[summary.state])
    id = short.get(summary.id, summary.id)
    return [id, received, *receiver, event, about, state, printable(what_is_next(summary, now.clock))]


def identity(summary: DeliverySummary) -> str:
    """Return the event's identity as a terminal may show it, or "-"."""
    return "-" if summary.identity is None else printable(unquote(summary.identity))


def what_is_next(summary: DeliverySummary, now: float) -> str:
    """Return what a delivery waits for at a time by the clock of the inbox, or the reason of its state."""
    if summary.damage is not None:
        return f"damaged: {summary.damage}"
    if summary.leased and summary.due is not None:
        return f"leased for {span(summary.due - now)}" if summary.due > now else "due now: its lease has ended"
    if summary.state is not State.WAITING:
        return summary.reason or ("its body was removed" if summary.body_removed else "-")
    if summary.paused_by is not None:
        return f"waits: {summary.paused_by} is paused"
    if summary.due is None:
        return "waits for its turn"
    return "due now" if summary.due <= now else f"due in {span(summary.due - now)}"


def span(seconds: float) -> str:
    """Return a number of seconds as a short text: 45 s, 3 min, 2 h, 5 d."""
    seconds = max(0.0, seconds)
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds:.0f} s"


def at(moment: float) -> str:
    """Return a Unix time as a local date and time."""
    try:
        return datetime.fromtimestamp(moment).astimezone().isoformat(" ", "seconds")
    except (ValueError, OverflowError, OSError):
        return f"{moment:g}"  # a clock that was far off


def counted(states: Counter[State]) -> str:
    """Return the number of deliveries in words, and how many are in each state."""
    parts = ", ".join(f"{states[state]} {state}" for state in State if states[state])
    return f"{deliveries(states.total())} ({parts})"


def deliveries(count: int) -> str:
    """Return a number of deliveries in words."""
    return f"{count} {'delivery' if count == 1 else 'deliveries'}"


def warn_of_damage(damaged: Sequence[DamagedDelivery]) -> None:
    """Print on stderr which deliveries are damaged, and how."""
    for each in damaged[:_MOST_DAMAGED]:
        output.warn(f"{printable(each.id)} is damaged: {each.reason}", "red")
    if len(damaged) > _MOST_DAMAGED:
        output.warn(f"and {len(damaged) - _MOST_DAMAGED} more: --json names all", "red")


def show_delivery(stored: StoredDelivery, now: Now, *, body: bool) -> None:
    """Print all the details of a delivery, and its body if `body`."""
    summary, delivery = stored.summary, stored.delivery
    output.say(f"{summary.id}  {summary.state}", f"bold {STYLES[summary.state]}")
    for fact, said in _facts(stored, now):
        output.say(f"  {fact:14}{printable(said)}")
    for name, handler in summary.handlers.items():
        output.say(f"handler {printable(name)}: {_handler_state(handler, now.clock)}", STYLES[handler.state])
    told: dict[tuple[str, str], int] = {}
    for attempt in stored.attempts:
        _show_attempt(attempt, told.setdefault((attempt.handler, attempt.traceback), attempt.number))
    if summary.body_removed:
        output.say("headers and body were removed some time after it was done: it cannot be replayed", "bold")
        return
    output.say("headers", "bold")
    for header, value in delivery.headers:
        output.say(printable(f"  {header.decode('latin-1')}: {value.decode('latin-1')}"))
    output.say(f"body, {len(delivery.body)} bytes{'' if body else ': --body shows it'}", "bold")
    if body:
        output.say(_pretty(delivery.body))


def _facts(stored: StoredDelivery, now: Now) -> Iterator[tuple[str, str]]:
    summary = stored.summary
    yield "receiver", summary.receiver
    if summary.part:
        yield "part", f"{summary.part} of the request {stored.delivery.request_id}"
    yield "event", summary.event or "none: the body is no event"
    yield "identity", identity(summary)
    yield "received", f"{at(summary.received)}, {span(now.unix - summary.received)} ago, by {summary.via}"
    yield "verified", _audit(stored.delivery)
    if stored.delivery.tenant is not None:
        yield "tenant", stored.delivery.tenant
    if stored.ordering_key is not None:
        yield "ordering key", stored.ordering_key
    if stored.delivery.context is not None:
        yield "context", stored.delivery.context
    yield "next", what_is_next(summary, now.clock)
    if summary.settled is not None:
        yield "settled", at(summary.settled)


def _audit(delivery: Delivery) -> str:
    if delivery.edited_of is not None:
        return f"no: somebody has edited the body of {delivery.edited_of}"
    if delivery.via != "http":
        return f"no: it came by {delivery.via}, not from the sender"
    if delivery.verified_by is None:
        return "no: it was unsigned, as the receiver allows"
    covered = "the body is covered" if delivery.body_verified else "the body is NOT covered"
    return f"at receipt, by secret {delivery.verified_by} (counted from 0); {covered}"


def _handler_state(each: HandlerState, now: float) -> str:
    times = "1 attempt" if each.attempts == 1 else f"{each.attempts} attempts"
    due = f", due in {span(each.due - now)}" if each.state is State.WAITING and each.due > now else ""
    dead = ""
    if each.expected_dead is not None:
        dead = f", dead in about {span(each.expected_dead - now)} if it goes on failing"
    return f"{each.state}, {times}{due}{dead}"


def _show_attempt(attempt: FailedAttempt, first: int) -> None:
    """Print a failed attempt, with its traceback unless attempt number `first` had the same."""
    where = f"attempt {attempt.number} of {printable(attempt.handler)}, {at(attempt.started)}"
    output.say(f"{where}, {attempt.seconds:.3f} s, then {attempt.outcome}: {printable(attempt.error)}", "yellow")
    traceback = attempt.traceback
    if traceback and first != attempt.number:
        traceback = f"(the traceback is that of attempt {first})"
    for line in traceback.splitlines():
        output.say(f"    {printable(line)}", "dim")


def _pretty(body: bytes) -> str:
    try:
        text = json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        text = body.decode("utf-8", "backslashreplace")
    return "\n".join(printable(line) for line in text.splitlines())


def show_stats(stats: Stats, now: Now) -> None:
    """Print the statistics of an inbox."""
    rows: list[tuple[str, str | Text]] = [
        (state, Text(f"{count}", STYLES[state] if count else "")) for state, count in stats.counts.items()
    ]
    rows.append(("running", f"{stats.running}"))
    if stats.oldest_waiting is not None:
        rows.append(("oldest waiting", f"received {span(now.unix - stats.oldest_waiting)} ago"))
    if soon := stats.dead_within_hour(now.clock):
        first = span(stats.expected_dead[0] - now.clock)
        rows.append(("dead within an hour", Text(f"{soon}, the first in {first}, if they go on failing", "red")))
    rows += [(f"paused: {printable(name)}", f"for {span(now.unix - since)}") for name, since in stats.paused.items()]
    rows += [_extra(name, value) for name, value in stats.extra.items()]
    output.table(("what", "number"), rows)
    if stats.counts[State.DEAD]:
        _suggest("the dead ones", "ls WHERE --dead", "handle them again", "replay WHERE --dead")


def _extra(name: str, value: object) -> tuple[str, str]:
    """Return a label and a text for a number that only some inboxes have."""
    if isinstance(value, int) and name in _SIZES:
        return _SIZES[name], f"{value / 1024:,.0f} KiB"
    return name.replace("_", " "), f"{value}"


_SIZES = {"bytes": "size of the file", "free_bytes": "unused within it", "disk_free_bytes": "free on its disk"}
