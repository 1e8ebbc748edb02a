"""The entries of a listing: one that is odd is left out, or told without what it lacks, and stops no other."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from ...errors import ApiError

logger = logging.getLogger("webhook_receiver")

T = TypeVar("T")


class OddEntry(ApiError):
    """An API told something that nothing can be made of."""


_MOST_NOTED = 1000  # lines that are remembered, so that each is written once
_noted: dict[str, None] = {}


def all_of(make: Callable[[object], T], entries: Sequence[object]) -> list[T]:
    """Return what is made of each entry of a page; what nothing can be made of is left out, and logged once.

    Args:
        make: the function that makes something of an entry, or raises `OddEntry`.
        entries: the entries.

    Raises:
        OddEntry: nothing can be made of any.
    """
    made: list[T] = []
    odd: OddEntry | None = None
    for entry in entries:
        try:
            made.append(make(entry))
        except OddEntry as error:
            odd = odd or error
            note(f"{error}: it is left out; it is {_described(entry)}")
    if odd is not None and not made:
        raise odd
    return made


def note(line: str) -> None:
    """Log a line about an entry that is odd, once in this process: a listing tells it again and again."""
    if line in _noted:
        return
    _noted[line] = None
    if len(_noted) > _MOST_NOTED:
        del _noted[next(iter(_noted))]
    logger.warning("%s", line)


def _described(entry: object) -> str:
    """Return what an entry is, without what it says."""
    if not isinstance(entry, dict):
        return f"no object, but {type(entry).__name__}"
    names = ", ".join([name[:40] for name in cast("dict[str, Any]", entry) if name.isprintable()][:20])
    return f"an object with {names or 'no members'}"
