"""Operations on many deliveries, a page at a time, so that an inbox may have any number of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import NamedTuple

from ..errors import InboxDamaged
from ..inbox import Filter, Inbox, State
from . import output
from .inbox_option import InboxTarget
from .listing import deliveries
from .output import fail
from .rich_output import progress_bar

PAGE = 200
"""Deliveries in one transaction."""


async def named(target: InboxTarget, ids: Sequence[str]) -> list[str]:
    """Return the full ids of the deliveries that `ids` name in whole or by their beginnings.

    Raises:
        typer.Exit: one is unknown; nothing was done to any.
    """
    found = {each: await _full_id(target.inbox, each) for each in ids}
    unknown = [each for each, id in found.items() if id is None]
    if unknown:
        raise fail(f"there is no delivery {', '.join(map(repr, unknown))}; nothing was done")
    return list(dict.fromkeys(id for id in found.values() if id is not None))


async def _full_id(inbox: Inbox, beginning: str) -> str | None:
    try:
        stored = await inbox.get(beginning)
    except InboxDamaged:  # by its whole id it is found nevertheless
        if not await inbox.find(Filter(ids=[beginning])):
            raise
        return beginning
    return None if stored is None else stored.summary.id


class Chosen(NamedTuple):
    """The deliveries that a command is about: it does no more than was counted, whatever comes while it asks."""

    counts: Counter[State]
    """Number of them in each state."""
    pages: list[str]
    """Their ids, the oldest first, a line each: a million take less than half of what a list of them would."""

    async def ids(self) -> AsyncIterator[Sequence[str]]:
        """Yield their ids, the oldest first, a page at a time."""
        for page in self.pages:
            yield page.split("\n")


async def chosen(inbox: Inbox, which: Filter, *, leased: bool = True) -> Chosen:
    """Return the deliveries that match a filter.

    Args:
        inbox: the open inbox.
        which: the filter.
        leased: whether those under a lease are among them.
    """
    found = Chosen(Counter(), [])
    page = await inbox.find(which, limit=PAGE, newest_first=False)
    while page:
        some = [summary for summary in page if leased or not summary.leased]
        found.counts.update(summary.state for summary in some)
        if some:
            found.pages.append("\n".join(summary.id for summary in some))
        page = await inbox.find(which, limit=PAGE, newest_first=False, after=page[-1].id)
    return found


async def chunks(ids: Sequence[str]) -> AsyncIterator[Sequence[str]]:
    """Yield ids, a page at a time."""
    for begin in range(0, len(ids), PAGE):
        yield ids[begin : begin + PAGE]


async def by_pages(
    what: str, total: int, ids: AsyncIterator[Sequence[str]], do: Callable[[Sequence[str]], Awaitable[int]]
) -> int:
    """Call `do` with one page of ids after the other, under a progress bar; return the sum of its results."""
    count = 0
    with progress_bar() as bar:
        task = bar.add_task(what, total=total, visible=total > PAGE)
        async for some in ids:
            count += await do(some)
            bar.advance(task, len(some))
    return count


def report(count: int, done: str, *, as_json: bool) -> None:
    """Print how many deliveries were replayed, removed and so on; `done` is the participle."""
    output.say_json({done: count}) if as_json else output.say(f"{deliveries(count)} {done}")
