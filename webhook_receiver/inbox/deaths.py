"""What dead deliveries died of: groups of them, by receiver, handler and error."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from .records import MOST_GROUPS

ENDS = "0123456789'\"`\n"
"""The characters before which a `DeadGroup.error` ends."""
TRIMMED = " :;,.=#([{<"
"""The characters that none ends with."""


class Death(NamedTuple):
    """What some deliveries died of."""

    receiver: str
    handler: str | None
    error: str
    """As `DeadGroup.error`."""


class Deaths(NamedTuple):
    """Deliveries that died of one thing."""

    death: Death
    number: int
    newest: int
    """The row of the one that was received last."""


def largest(some: Iterable[Deaths]) -> list[Deaths]:
    """Return the largest groups, each once, the largest first."""
    sums: dict[Death, tuple[int, int]] = {}
    for death, number, newest in some:
        before, row = sums.get(death, (0, newest))
        sums[death] = before + number, max(row, newest)
    found = [Deaths(death, *each) for death, each in sums.items()]
    return sorted(found, key=lambda each: (-each.number, -each.newest))[:MOST_GROUPS]
