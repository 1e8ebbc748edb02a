"""Results for futures of any event loop, set from another thread."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

Reply = tuple[asyncio.Future[Any], Any]
"""A future, and the result or the exception that it is to have."""


def resolve(replies: Iterable[Reply]) -> None:
    """Set the results of futures, with one call into each event loop that they belong to."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Reply]] = defaultdict(list)
    for reply in replies:
        by_loop[reply[0].get_loop()].append(reply)
    for loop, group in by_loop.items():
        with suppress(RuntimeError):  # the loop is closed: no task waits any more
            loop.call_soon_threadsafe(_resolve, group)


def _resolve(replies: list[Reply]) -> None:
    for future, result in replies:
        if future.done():
            continue  # the task that waits was cancelled meanwhile
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)
