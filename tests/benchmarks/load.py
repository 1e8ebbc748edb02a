"""A load: keep-alive connections that each send one request after the other, as fast as they are answered.

It ends when its time is up, or its requests are.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast


@dataclass(frozen=True)
class Rate:
    """What a round of load gave."""

    answered: int
    seconds: float
    latencies: Sequence[float] = ()
    """Seconds from each request to its answer."""

    @property
    def per_second(self) -> float:
        return self.answered / self.seconds


class _Connection(asyncio.Protocol):
    """Sends the next request whenever a whole answer has come; every answer has the first one's length."""

    def __init__(self, requests: Iterator[bytes], status: str, deadline: float) -> None:
        self.answered = 0
        self.latencies: list[float] = []
        self._asked = 0.0
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._requests = requests
        self._status = b"HTTP/1.1 " + status.encode()
        self._deadline = deadline
        self._length = 0
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own are none by class
        self._next()

    def data_received(self, data: bytes) -> None:
        self._received = self._received + data if self._received else data
        if not self._length:
            self._length = _whole(self._received)
        if not self._length or len(self._received) < self._length:
            return
        if not self._received.startswith(self._status):
            self.closed.set_exception(AssertionError(f"it answered {self._received[:200]!r}"))
            self._transport.abort()
            return
        self._received = b""
        self.answered += 1
        self.latencies.append(time.monotonic() - self._asked)
        self._next()

    def _next(self) -> None:
        request = next(self._requests, None) if time.monotonic() < self._deadline else None
        if request is None:
            self._transport.close()
        else:
            self._asked = time.monotonic()
            self._transport.write(request)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None) if exc is None else self.closed.set_exception(exc)


def _whole(answer: bytes) -> int:
    """Return the length of the answer if it is complete, else 0."""
    head, end, _ = answer.partition(b"\r\n\r\n")
    if not end:
        return 0
    if b"\r\ntransfer-encoding: chunked" in head.lower():
        return len(answer) if answer.endswith(b"\r\n0\r\n\r\n") else 0
    lengths = [line[16:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length: ")]
    length = len(head) + 4 + (int(lengths[0]) if lengths else 0)
    return length if len(answer) >= length else 0


def _stay_awake(loop: asyncio.AbstractEventLoop) -> None:
    loop.call_soon(_stay_awake, loop)


async def run(
    port: int,
    requests: Iterator[bytes],
    *,
    status: str,
    connections: int,
    seconds: float,
    stay_awake: bool = False,
) -> Rate:
    """Load the server on the loopback's `port` and return what it answered; each answer's status begins so.

    A server pays for waking a load that sleeps, inside the system call that sends the answer: some
    microseconds on a virtual machine. The faster it is, the more seldom does the load get to sleep, so that a
    slower one is charged for what the network card does elsewhere. `stay_awake` spares them all.
    """
    loop = asyncio.get_running_loop()
    if stay_awake:
        _stay_awake(loop)
    start = time.monotonic()
    protocols = [
        (await loop.create_connection(lambda: _Connection(requests, status, start + seconds), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    async with asyncio.timeout(seconds + 30):
        await asyncio.gather(*(protocol.closed for protocol in protocols))
    latencies = [each for protocol in protocols for each in protocol.latencies]
    return Rate(len(latencies), time.monotonic() - start, latencies)
