"""Doing something with many deliveries: by their ids, a chunk at a time, with a progress bar."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from . import output
from .inbox_option import Place, fail
from .listing import deliveries

CHUNK = 200  # deliveries in one transaction


async def named(place: Place, ids: Sequence[str]) -> list[str]:
    """Return the whole ids; refuse all if one is unknown, before anything is done."""
    found = [(each, await place.inbox.get(each)) for each in dict.fromkeys(ids)]
    unknown = [each for each, kept in found if kept is None]
    if unknown:
        raise fail(f"there is no delivery {', '.join(map(repr, unknown))}; nothing was done")
    return list(dict.fromkeys(kept.summary.id for _, kept in found if kept is not None))


async def by_chunks(what: str, ids: Sequence[str], do: Callable[[Sequence[str]], Awaitable[int]]) -> int:
    count = 0
    with output.progress_bar() as bar:
        task = bar.add_task(what, total=len(ids), visible=len(ids) > CHUNK)
        for begin in range(0, len(ids), CHUNK):
            some = ids[begin : begin + CHUNK]
            count += await do(some)
            bar.advance(task, len(some))
    return count


def tell(count: int, done: str, *, as_json: bool) -> None:
    output.say_json({done: count}) if as_json else output.say(f"{deliveries(count)} {done}")
