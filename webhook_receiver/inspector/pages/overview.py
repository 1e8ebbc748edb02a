"""The overview: what came and how it was answered, what waits, what is dead, and how the polls stand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from starlette.responses import Response

from ... import errors
from ...inbox.records import MOST_EXPECTED_DEAD, Filter, Poll
from ...receiver import WebhookReceiver
from ..figures import SPANS, Counts, Span, counts_of, span_named
from ..live import NEWEST
from ..plots import Plot, plot
from ..site import View

_LOOK = 0.04  # seconds that the newest deliveries are looked for


class Receiver(NamedTuple):
    """A receiver on the overview."""

    name: str
    hooks: WebhookReceiver | None
    plot: Plot
    answers: Sequence[tuple[str, int]]
    """Numbers of answers by their status."""
    rejected: Sequence[tuple[str, int, str]]
    """Numbers of rejected requests by reason, with what the reason means."""
    put: tuple[str, str]
    """The latency of storing that half, and 95 % of the deliveries had at most."""
    total: int


async def show(view: View) -> Response:
    """Show how all receivers of the inbox stand."""
    span = span_named(view.asked("span"))
    counts, begins = await counts_of(view, span)
    names = sorted({*counts, *await _known(view), *(each.name for each in view.inspected.receivers)})
    receivers = [_receiver(view, name, counts.get(name, Counts({}, len(begins))), begins, span) for name in names]
    stats = await view.stats()
    return await view.page(
        "overview.html",
        span=span,
        spans=SPANS,
        receivers=receivers,
        retrying=len(stats.expected_dead),
        most_retrying=MOST_EXPECTED_DEAD,
        soon=stats.dead_within_hour(view.clock),
        polls=[(each, _next(each, view)) for each in await view.inbox.polls()],
    )


async def _known(view: View) -> set[str]:
    """Return the receivers that the inbox knows: those counted within the longest span, and those of what came last."""
    counts, _ = await counts_of(view, SPANS[-1])
    newest = await view.inbox.page(Filter(), limit=NEWEST, seconds=_LOOK)
    return {*counts, *(each.receiver for each in newest.summaries)}


def _receiver(view: View, name: str, counts: Counts, begins: Sequence[float], span: Span) -> Receiver:
    rejected = [(reason, number, meaning(reason)) for reason, number in counts.by_name("rejected").items()]
    answers = sorted(counts.by_name("answered").items())
    put = tuple(counts.quantile(["stored", "duplicate"], share) for share in (0.5, 0.95))
    drawn = plot(counts, begins, span)
    total = sum(number for _, number in answers)
    return Receiver(name, view.inspected.receiver(name), drawn, answers, rejected, (put[0], put[1]), total)


def meaning(reason: str) -> str:
    """Return what the name of an error means, in a sentence; nothing if it is none of this package's."""
    found = getattr(errors, reason, None)
    return (found.__doc__ or "").strip().split("\n\n")[0] if isinstance(found, type) else ""


def _next(poll: Poll, view: View) -> float | None:
    """Return the seconds to the next poll; None while one is running."""
    return None if poll.leased else max(0.0, (poll.until or view.clock) - view.clock)
