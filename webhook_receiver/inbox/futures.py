"""Telling tasks in any loop, from a thread, what has come of what they asked."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

Reply = tuple[asyncio.Future[Any], Any]
"""What somebody waits for, and its result, or the exception."""


def tell(outcomes: Iterable[Reply]) -> None:
    """Answer in each loop that asked, once for all that it waits for."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Reply]] = defaultdict(list)
    for outcome in outcomes:
        by_loop[outcome[0].get_loop()].append(outcome)
    for loop, answers in by_loop.items():
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_answer, answers)


def _answer(answers: list[Reply]) -> None:
    for answer, outcome in answers:
        if answer.done():
            continue  # whoever asked was cancelled meanwhile
        if isinstance(outcome, Exception):
            answer.set_exception(outcome)
        else:
            answer.set_result(outcome)
