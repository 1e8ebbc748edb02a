"""`inbox stats`: what was counted in the last hour and day, and the polls, for people and for programs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from rich.text import Text

from ..inbox.base import Inbox
from ..inbox.counting import MINUTE
from ..inbox.latency import quantile
from ..inbox.records import LATENCY_BUCKETS, Metric, Poll
from . import output
from .listing import Now, span
from .output import printable

Spans = Mapping[str, Mapping[Metric, int]]
"""What was counted, by the name of the span of time."""

_SPANS = {"last_hour": 3600.0, "last_day": 86_400.0}  # in seconds
_MOST = 0.95  # of the latencies: the share that is told of


async def lately(inbox: Inbox, now: float) -> Spans:
    """Return what an inbox has counted in each span up to `now`, a Unix time in seconds."""
    return {name: await inbox.counted(now - seconds, now + MINUTE) for name, seconds in _SPANS.items()}


def documents(spans: Spans) -> dict[str, Any]:
    """Return what was counted as JSON: for each span, receiver and metric a number, and the latencies by bucket."""
    found: dict[str, Any] = {"latency_buckets": LATENCY_BUCKETS}
    for name, counts in spans.items():
        found[name] = {
            receiver: {
                what: {"count": buckets.total()} | ({"latency": _latency(buckets)} if {*buckets} - {None} else {})
                for what, buckets in sorted(by_what.items())
            }
            for receiver, by_what in sorted(_grouped(counts).items())
        }
    return found


def _grouped(counts: Mapping[Metric, int]) -> Mapping[str, Mapping[str, Counter[int | None]]]:
    """Return the counts by receiver, what was counted, and bucket."""
    found = defaultdict[str, dict[str, Counter[int | None]]](dict)
    for metric, number in counts.items():
        found[metric.receiver].setdefault(metric.what, Counter())[metric.bucket] += number
    return found


def _latency(buckets: Counter[int | None]) -> list[int]:
    return [buckets[bucket] for bucket in range(len(LATENCY_BUCKETS) + 1)]


def show(spans: Spans) -> None:
    """Print what was counted, each metric a line; nothing if nothing was."""
    grouped = [_grouped(counts) for counts in spans.values()]
    metrics = sorted({(receiver, what) for each in grouped for receiver, by_what in each.items() for what in by_what})
    several = len({receiver for receiver, _ in metrics}) > 1
    rows: list[Sequence[str | Text]] = []
    for receiver, what in metrics:
        found = [each.get(receiver, {}).get(what, Counter[int | None]()) for each in grouped]
        name = f"{printable(receiver)}: " * several + printable(what)
        rows.append((name, *[f"{buckets.total()}" for buckets in found], _took(found[-1])))
    if rows:
        output.table(("counted", *[name.replace("_", " ") for name in spans], f"{_MOST:.0%} took"), rows)


def _took(buckets: Counter[int | None]) -> str:
    """Return how long most of what was timed took, as far as its buckets say it."""
    took = quantile(_latency(buckets), _MOST)
    if took is None:
        return "-"
    return f"at most {took.high:g} s" if isfinite(took.high) else f"more than {took.low:g} s"


def poll_documents(polls: Sequence[Poll], now: Now) -> list[dict[str, Any]]:
    """Return how it stands with each source as JSON, with what is counted from now."""
    return [
        each._asdict() | {"cursor_age_seconds": _age(each.moved, now), "next_poll_seconds": _next(each, now)}
        for each in polls
    ]


def show_polls(polls: Sequence[Poll], now: Now) -> None:
    """Print how it stands with each source that is polled; nothing if none is."""
    rows: list[Sequence[str | Text]] = []
    for each in polls:
        worked = "never" if each.succeeded is None else f"{span(now.unix - each.succeeded)} ago"
        state = "running" if each.leased else "failed" if each.error is not None else "waits"
        wait, age = _next(each, now), _age(each.moved, now)
        due = "-" if wait is None else "due" if not wait else f"in {span(wait)}"
        cursor = "-" if each.cursor is None else printable(each.cursor)
        moved = "-" if age is None else f"{span(age)} ago"
        error = "" if each.error is None else printable(each.error)
        name = f"{printable(each.receiver)}: {printable(each.source)}"
        rows.append((name, state, worked, due, moved, cursor, error))
    if rows:
        headings = ("poll", "state", "last success", "next", "cursor moved", "cursor", "error")
        output.table(headings, rows, shortest={"cursor": 8})


def _age(at: float | None, now: Now) -> float | None:
    return None if at is None else max(0.0, now.unix - at)


def _next(poll: Poll, now: Now) -> float | None:
    """Return the seconds to the next poll, 0 if it is due; None while one is running."""
    return None if poll.leased else max(0.0, (poll.until or now.clock) - now.clock)
