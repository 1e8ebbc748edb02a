"""How kept deliveries are shown: tables and pages for people."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from urllib.parse import unquote

from rich.text import Text

from ..delivery import Delivery
from ..inbox import DeliverySummary, FailedAttempt, HandlerState, State, Stats, StoredDelivery
from . import output
from .output import printable

STYLES = {State.WAITING: "cyan", State.DONE: "green", State.UNHANDLED: "yellow", State.DEAD: "red"}
_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"))


def show_records(records: Sequence[DeliverySummary], now: float) -> None:
    """Print a table of deliveries; the receiver only if there are several."""
    several = len({record.receiver for record in records}) > 1
    headings = ["id", "received", *(["receiver"] if several else []), "event", "identity", "state", "what is next"]
    output.table(headings, [_row(record, now, several=several) for record in records])


def _row(record: DeliverySummary, now: float, *, several: bool) -> list[str | Text]:
    # The whole id: those of one process differ at their ends only, so that no short beginning is unique.
    on_terminal = output.console.is_terminal
    received = f"{span(now - record.received)} ago" if on_terminal else at(record.received)
    receiver = [printable(record.receiver)] if several else []
    event = "-" if record.event is None else printable(record.event)
    state = Text(record.state, STYLES[record.state])
    return [record.id, received, *receiver, event, identity(record), state, printable(what_is_next(record, now))]


def identity(record: DeliverySummary) -> str:
    """Return what happened, for people."""
    return "-" if record.identity is None else printable(unquote(record.identity))


def what_is_next(record: DeliverySummary, now: float) -> str:
    """Say what a delivery waits for, or why it does not."""
    if record.leased and record.due is not None:
        return f"leased for {span(record.due - now)}" if record.due > now else "due now: its lease has ended"
    if record.state is not State.WAITING:
        return record.reason or "-"
    if record.paused_by is not None:
        return f"held: {record.paused_by} is paused"
    if record.due is None:
        return "waits for its turn"
    return "due now" if record.due <= now else f"due in {span(record.due - now)}"


def span(seconds: float) -> str:
    """Return a span of time in a word: 45 s, 3 min, 2 h, 5 d."""
    seconds = max(0.0, seconds)
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds:.0f} s"


def at(moment: float) -> str:
    """Return a Unix time as a local one."""
    try:
        return datetime.fromtimestamp(moment).astimezone().isoformat(" ", "seconds")
    except (ValueError, OverflowError, OSError):
        return f"{moment:g}"  # a clock that was far off


def counted(records: Sequence[DeliverySummary]) -> str:
    """Return how many deliveries these are, and in which states."""
    if not records:
        return "no deliveries"
    states = Counter(record.state for record in records)
    parts = ", ".join(f"{states[state]} {state}" for state in State if states[state])
    return f"{deliveries(len(records))} ({parts})"


def deliveries(count: int) -> str:
    """Return a number of deliveries in words."""
    return f"{count} {'delivery' if count == 1 else 'deliveries'}"


def show_kept(kept: StoredDelivery, now: float, *, body: bool) -> None:
    """Print all that is known of a delivery; its body only if that is wanted."""
    record, delivery = kept.summary, kept.delivery
    output.say(f"{record.id}  {record.state}", f"bold {STYLES[record.state]}")
    for fact, said in _facts(kept, now):
        output.say(f"  {fact:12}{printable(said)}")
    for name, progress in record.handlers.items():
        output.say(f"handler {printable(name)}: {_progress(progress, now)}", STYLES[progress.state])
    for attempt in kept.attempts:
        _show_attempt(attempt)
    output.say("headers", "bold")
    for header, value in delivery.headers:
        output.say(printable(f"  {header.decode('latin-1')}: {value.decode('latin-1')}"))
    output.say(f"body, {len(delivery.body)} bytes{'' if body else ': --body shows it'}", "bold")
    if body:
        output.say(_pretty(delivery.body))


def _facts(kept: StoredDelivery, now: float) -> Iterator[tuple[str, str]]:
    record = kept.summary
    yield "receiver", record.receiver
    yield "event", record.event or "none: the body is no event"
    yield "identity", identity(record)
    yield "received", f"{at(record.received)}, {span(now - record.received)} ago, by {record.via}"
    yield "verified", _audit(kept.delivery)
    if kept.ordering_key is not None:
        yield "order key", kept.ordering_key
    yield "next", what_is_next(record, now)
    if record.settled is not None:
        yield "settled", at(record.settled)


def _audit(delivery: Delivery) -> str:
    if delivery.via != "http":
        return f"no: it came by {delivery.via}, not from the sender itself"
    if delivery.verified_by is None:
        return "no: it came unsigned, as the receiver was told"
    covered = "the body is covered" if delivery.body_verified else "the body is NOT covered"
    return f"at receipt, by secret {delivery.verified_by} (counted from 0); {covered}"


def _progress(each: HandlerState, now: float) -> str:
    times = "1 attempt" if each.attempts == 1 else f"{each.attempts} attempts"
    due = f", due in {span(each.due - now)}" if each.state is State.WAITING and each.due > now else ""
    return f"{each.state}, {times}{due}"


def _show_attempt(attempt: FailedAttempt) -> None:
    where = f"attempt {attempt.number} of {printable(attempt.handler)}, {at(attempt.started)}"
    output.say(f"{where}, {attempt.seconds:.3f} s, then {attempt.outcome}: {printable(attempt.error)}", "yellow")
    for line in attempt.traceback.splitlines():
        output.say(f"    {printable(line)}", "dim")


def _pretty(body: bytes) -> str:
    try:
        text = json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        text = body.decode("utf-8", "backslashreplace")
    return "\n".join(printable(line) for line in text.splitlines())


def show_stats(stats: Stats, now: float) -> None:
    """Print how an inbox stands."""
    rows: list[tuple[str, str | Text]] = [
        (state, Text(f"{count}", STYLES[state] if count else "")) for state, count in stats.counts.items()
    ]
    rows.append(("running", f"{stats.running}"))
    if stats.oldest_waiting is not None:
        rows.append(("oldest waiting", f"received {span(now - stats.oldest_waiting)} ago"))
    rows += [(f"paused: {printable(name)}", f"for {span(now - since)}") for name, since in stats.paused.items()]
    rows += [(name.replace("_", " "), f"{value}") for name, value in stats.extra.items()]
    output.table(("what", "how many"), rows)
