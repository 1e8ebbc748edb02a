"""What the tests of the worker need: a clock that they move, receivers with an inbox, an inbox that fails on demand."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.helpers import NOW
from webhook_receiver import (
    Backoff,
    DeliverySummary,
    HandlerState,
    Inbox,
    MemoryInbox,
    State,
    StoredDelivery,
    Unsigned,
    WebhookReceiver,
)
from webhook_receiver.inbox import Claim, Settlement
from webhook_receiver.inbox.records import Metric
from webhook_receiver.options import WorkerOptions
from webhook_receiver.responses import Receipt

PATIENCE = 30.0  # seconds of real time after which a test that waits fails
LEASE = 30.0  # seconds


class Clock:
    """A clock that stands still until it is moved, and counts how often it was looked at."""

    def __init__(self) -> None:
        self.now = NOW
        self.looks = 0

    def __call__(self) -> float:
        self.looks += 1
        return self.now

    def move(self, seconds: float) -> None:
        self.now += seconds


class Ticking:
    """A clock that goes on as real time does, from `NOW` on."""

    def __init__(self) -> None:
        self._since = time.monotonic()

    def __call__(self) -> float:
        return NOW + time.monotonic() - self._since


AT_ONCE = Backoff(first=0, longest=0, attempts=3)
LATER = Backoff(first=10, longest=10, attempts=3)


def durable(
    inbox: Inbox | str = "memory://", *, clock: Callable[[], float] = lambda: NOW, **worker: Any
) -> WebhookReceiver:
    """Return a receiver of unsigned deliveries with an inbox; what is no option of a worker's is one of its own."""
    names = ("confirm", "expect_every", "name", "ordering_key", "scheme", "secret", "sender", "work")
    own = {name: worker.pop(name) for name in names if name in worker}
    if not {"secret", "sender"} & own.keys():
        own.setdefault("scheme", Unsigned())
    options: dict[str, Any] = {"poll": 0.01, "backoff": LATER, "lease": LEASE} | worker
    return WebhookReceiver(inbox=inbox, worker=WorkerOptions(**options), clock=clock, **own)


def about(order: object = "o-1", status: str = "FULFILLED", **more: Any) -> bytes:
    """Return the body of a notification about an order."""
    return json.dumps({"event": "order.status", "body": {"orderId": order, "status": status, **more}}).encode()


async def deliver(hooks: WebhookReceiver, body: bytes | None = None, *, status: int = 202) -> str:
    """Deliver a body; return the id under which it is kept."""
    receipt: Receipt = await hooks.receive({}, about() if body is None else body)
    assert receipt.response.status == status
    assert receipt.delivery is not None
    return receipt.duplicate_of or receipt.delivery.id


async def fail_in_a_task_group() -> None:
    """Fail by a task of a task group: before Python 3.12.4 this leaves the task around it cancelled, by its count."""

    async def fail() -> None:
        raise ValueError("odd")

    async with asyncio.TaskGroup() as group:
        group.create_task(fail())


def cancel_own_task() -> None:
    """Cancel the task that runs this; the next await in it raises the cancellation."""
    task = asyncio.current_task()
    assert task is not None
    task.cancel()


async def until(holds: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(PATIENCE):
        while not holds():
            await asyncio.to_thread(int)  # lets everybody else go on


async def kept_until(hooks: WebhookReceiver, id: str, holds: Callable[[DeliverySummary], bool]) -> StoredDelivery:
    """Wait until the record of a delivery is as it should be."""
    async with asyncio.timeout(PATIENCE):
        while True:
            kept = await hooks.inbox.get(id)
            assert kept is not None
            if holds(kept.summary):
                return kept


async def settled(hooks: WebhookReceiver, id: str, state: State = State.DONE) -> StoredDelivery:
    """Wait until a delivery is finished in this state, and nobody has to hear of it any more."""
    return await kept_until(hooks, id, lambda record: (record.state, record.due) == (state, None) and not record.leased)


async def waiting(hooks: WebhookReceiver, id: str) -> StoredDelivery:
    """Wait until a delivery that was tried waits for its retry."""
    return await kept_until(
        hooks, id, lambda record: record.state is State.WAITING and not record.leased and bool(record.handlers)
    )


class Faulty(MemoryInbox):
    """An inbox that counts what it is asked for, and fails on demand."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: dict[str, Exception] = {}
        self.calls = Counter[str]()

    def _meet(self, what: str) -> None:
        self.calls[what] += 1
        if what in self.faults:
            raise self.faults[what]

    async def open(self) -> Any:
        self._meet("open")
        return await super().open()

    async def check(self) -> None:
        self._meet("check")
        await super().check()

    async def counted(self, since: float, until: float) -> Mapping[Metric, int]:
        self._meet("counted")
        return await super().counted(since, until)

    async def get(self, id: str) -> StoredDelivery | None:
        self._meet("get")
        return await super().get(id)

    async def put(self, entry: Any, now: float) -> Any:
        self._meet("put")
        return await super().put(entry, now)

    async def claim(
        self, receiver: str, limit: int, lease: float, now: float, unix: float | None = None
    ) -> Sequence[Claim]:
        self._meet("claim")
        return await super().claim(receiver, limit, lease, now, unix)

    async def renew(self, claims: Sequence[Claim], lease: float, now: float) -> None:
        self._meet("renew")
        await super().renew(claims, lease, now)

    async def save_progress(self, claim: Claim, handlers: Mapping[str, HandlerState], now: float) -> bool:
        self._meet("save_progress")
        return await super().save_progress(claim, handlers, now)

    async def settle(self, settlement: Settlement, now: float) -> bool:
        self._meet("settle")
        return await super().settle(settlement, now)

    async def release(self, claims: Sequence[Claim], now: float) -> None:
        self._meet("release")
        await super().release(claims, now)

    async def paused(self) -> frozenset[str]:
        self._meet("paused")
        return await super().paused()

    async def expire(self, now: float) -> int:
        self._meet("expire")
        return await super().expire(now)
