"""Operations on many deliveries: by their ids, a chunk at a time, with a progress bar."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from . import output
from .inbox_option import InboxTarget
from .listing import deliveries
from .output import fail
from .rich_output import progress_bar

CHUNK = 200
"""Deliveries in one transaction."""


async def named(target: InboxTarget, ids: Sequence[str]) -> list[str]:
    """Return the full ids of the deliveries that `ids` name in whole or by their beginnings.

    Raises:
        typer.Exit: one is unknown; nothing was done to any.
    """
    found = [(each, await target.inbox.get(each)) for each in dict.fromkeys(ids)]
    unknown = [each for each, stored in found if stored is None]
    if unknown:
        raise fail(f"there is no delivery {', '.join(map(repr, unknown))}; nothing was done")
    return list(dict.fromkeys(stored.summary.id for _, stored in found if stored is not None))


async def by_chunks(what: str, ids: Sequence[str], do: Callable[[Sequence[str]], Awaitable[int]]) -> int:
    """Call `do` with one chunk of ids after the other, under a progress bar; return the sum of its results."""
    count = 0
    with progress_bar() as bar:
        task = bar.add_task(what, total=len(ids), visible=len(ids) > CHUNK)
        for begin in range(0, len(ids), CHUNK):
            some = ids[begin : begin + CHUNK]
            count += await do(some)
            bar.advance(task, len(some))
    return count


def report(count: int, done: str, *, as_json: bool) -> None:
    """Print how many deliveries were replayed, removed and so on; `done` is the participle."""
    output.say_json({done: count}) if as_json else output.say(f"{deliveries(count)} {done}")
