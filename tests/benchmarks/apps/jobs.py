"""What jobs in one process share: many callers at once, and what they took."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

Figures = dict[str, float]
CALLERS = 64


class Stopwatch:
    """What this process took since it was made, for each of so many deliveries."""

    def __init__(self) -> None:
        self._cpu, self._written, self._start = time.process_time(), _written(), time.perf_counter()

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._start

    def cpu(self, deliveries: int) -> Figures:
        return {"CPU µs": (time.process_time() - self._cpu) / deliveries * 1e6}

    def bytes(self, deliveries: int) -> Figures:
        return {"bytes written": (_written() - self._written) / deliveries}


def _written() -> int:
    """Return the bytes that this process has handed to the system to be written."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("wchar")).split()[1])


async def together(callers: int, things: Iterable[Any], do: Callable[[Any], Awaitable[object]]) -> None:
    """Do something for each thing, with so many callers at once."""
    left = iter(things)

    async def caller() -> None:
        for each in left:
            await do(each)

    await asyncio.gather(*(caller() for _ in range(callers)))
