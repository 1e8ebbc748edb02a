"""Telling tasks in any loop, from a thread, what has come of what they asked."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

Reply = tuple[asyncio.Future[Any], Any]
"""What somebody waits for, and its result, or the exception."""


def resolve(replies: Iterable[Reply]) -> None:
    """Answer in each loop that asked, once for all that it waits for."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Reply]] = defaultdict(list)
    for reply in replies:
        by_loop[reply[0].get_loop()].append(reply)
    for loop, group in by_loop.items():
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_resolve, group)


def _resolve(replies: list[Reply]) -> None:
    for future, result in replies:
        if future.done():
            continue  # whoever asked was cancelled meanwhile
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)
