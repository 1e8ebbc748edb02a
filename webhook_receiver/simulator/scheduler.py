"""The scheduler of deliveries: which are made, when each is attempted, and how each ended."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any, Self
from uuid import uuid4

import httpx

from ..logs import log_failure
from ..senders.up42.models import Webhook, WebhookTest, WebhookTests
from ..signatures import Scheme
from . import payloads
from .attempt import attempt
from .faults import NONE, FaultPlan, Sleep
from .options import SimulatorOptions
from .payloads import Document
from .store import Outgoing, SendAttempt, Store

OnAttempt = Callable[[Outgoing, SendAttempt], None]

_KEPT = 10_000  # deliveries; of those that have ended the oldest are forgotten beyond it
_TESTS = {"order.status": "FULFILLED", "job.status": "SUCCEEDED"}


class Scheduler:
    """Makes the deliveries of a store's webhooks while it is entered; deliveries announced before wait until then.

    Args:
        store: the webhooks, and the place where deliveries are recorded.
        options: the retries, the time-out and the like.
        clock: returns the time in Unix seconds.
        sleep: waits for a number of seconds.
        on_attempt: called after each attempt.
    """

    def __init__(
        self,
        store: Store,
        options: SimulatorOptions,
        *,
        clock: Callable[[], float],
        sleep: Sleep,
        on_attempt: OnAttempt,
    ) -> None:
        self._store = store
        self._options = options
        self._clock = clock
        self._sleep = sleep
        self._on_attempt = on_attempt
        self.schemes: dict[str, Scheme] = {}
        """The schemes that sign for webhooks that have no secret, by the webhook's id."""
        self._client: httpx.AsyncClient | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._posting: set[asyncio.Task[Any] | None] = set()
        self._held: list[str] = []
        self._made = Counter[str]()  # deliveries by webhook since the fault plan was set
        self._stopping = False

    async def __aenter__(self) -> Self:
        self._stopping = False
        self._slots = asyncio.Semaphore(self._options.concurrency)
        self._client = httpx.AsyncClient(
            timeout=self._options.timeout,
            limits=httpx.Limits(max_connections=self._options.concurrency),
            verify=self._options.verify or ssl.create_default_context(),  # which knows SSL_CERT_FILE
            trust_env=False,
        )
        for outgoing in self._store.outgoing:
            if not outgoing.ended and outgoing.id not in self._held:
                self._start(outgoing.id)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Begin no more attempts, and wait at most `options.stop` seconds for those that are running."""
        self._stopping = True
        client, self._client = self._client, None
        for task in self._tasks - self._posting:
            task.cancel()
        if ours := self._tasks & self._posting:
            await asyncio.wait(ours, timeout=self._options.stop)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if client is not None:
            await client.aclose()

    def announce(self, document: Document, order_id: str | None = None) -> list[Outgoing]:
        """Deliver a document to every active webhook subscribed to its event; return the deliveries."""
        event = document["event"]
        subscribed = [each for each in self._store.webhooks if each.active and event in each.events]
        return self.deliver(subscribed, event, payloads.dump(document), order_id)

    def deliver(
        self, webhooks: Sequence[Webhook], event: str, body: bytes, order_id: str | None = None
    ) -> list[Outgoing]:
        """Deliver a body to webhooks; return the deliveries.

        Args:
            webhooks: the webhooks.
            event: the name of the event, which is shown.
            body: the bytes of a JSON document.
            order_id: the id of the order that it is about.
        """
        faults = self._store.faults
        made: list[Outgoing] = []
        for webhook in webhooks:
            for _ in range(faults.copies):
                made.append(self._made_for(webhook, event, body, order_id, faults, len(made)))
        self._store.outgoing.put(*made)
        self._forget_old()
        going = [outgoing.id for outgoing in made if not outgoing.ended]
        if faults.reorder:
            self._held += going
            if len(self._held) >= faults.reorder:
                self.release()
        else:
            for id in going:
                self._start(id)
        return made

    def use(self, faults: FaultPlan) -> None:
        """Set the fault plan of the deliveries that are made from now on; deliveries held back are made."""
        self._store.faults = faults
        self._made.clear()
        self.release()

    def release(self) -> None:
        """Make the deliveries held back, the last one first."""
        held, self._held = self._held[::-1], []
        if held and self._client is not None:
            self._own(self._deliver_one_by_one(held))

    def replay(self, outgoing: Outgoing) -> Outgoing:
        """Deliver the same body again; return the new delivery."""
        now = self._clock()
        again = Outgoing(
            id=str(uuid4()),
            number=self._next_number(),
            webhook_id=outgoing.webhook_id,
            event=outgoing.event,
            order_id=outgoing.order_id,
            body=outgoing.body,
            created=now,
            due=now,
        )
        self._store.outgoing.put(again)
        self._start(again.id)
        return again

    async def test(self, webhook: Webhook, events: Sequence[str]) -> WebhookTests:
        """Deliver each of these events to a webhook once; return the results."""
        started = self._clock()
        tests: list[WebhookTest] = []
        for event in events:
            document = payloads.document(event, _TESTS.get(event, "TEST"), now=started)
            outgoing = self._made_for(webhook, event, payloads.dump(document), None, NONE, 0).model_copy(
                update={"test": True}
            )
            self._store.outgoing.put(outgoing)
            await self._attempt(outgoing.id)
            ended = self._store.outgoing.get(outgoing.id) or outgoing
            tests.append(_test(ended))
        return WebhookTests(
            started_at=datetime.fromtimestamp(started, UTC),
            tests_run=len(tests),
            tests_succeeded=sum(each.succeeded for each in tests),
            tests=tuple(tests),
        )

    def _next_number(self) -> int:
        newest = self._store.outgoing.newest()
        return newest.number + 1 if newest else 1

    def _made_for(
        self, webhook: Webhook, event: str, body: bytes, order_id: str | None, faults: FaultPlan, others: int
    ) -> Outgoing:
        """Return a delivery that is not stored yet; neither are the `others` before it, which its number follows."""
        now = self._clock()
        number = self._next_number() + others
        lost = faults.loses(number)
        return Outgoing(
            id=str(uuid4()),
            number=number,
            webhook_id=webhook.id,
            event=event,
            order_id=order_id,
            body=body.decode(),
            created=now,
            faults=faults,
            due=None if lost else now,
            ended="lost" if lost else "",
        )

    def _forget_old(self) -> None:
        many = len(self._store.outgoing) - _KEPT
        if many > _KEPT // 10:  # many at once: each removal reads all of them
            ended = [each.id for each in self._store.outgoing if each.ended]
            self._store.outgoing.remove(*ended[:many])

    def _start(self, id: str) -> None:
        if self._client is not None:
            self._own(self._deliver(id))

    def _own(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log_failure("a delivery could not be made", error)

    async def _deliver_one_by_one(self, ids: list[str]) -> None:
        """Make the first attempts strictly one after the other; retries come as they are due."""
        for id in ids:
            if not self._stopping:
                await self._attempt(id)
                self._start(id)

    async def _deliver(self, id: str) -> None:
        """Attempt a delivery each time that it is due, until it has ended."""
        while (outgoing := self._store.outgoing.get(id)) is not None and outgoing.due is not None:
            if (wait := outgoing.due - self._clock()) > 0:
                await self._sleep(wait)
            if self._stopping:
                return
            await self._attempt(id)

    async def _attempt(self, id: str) -> None:
        """Make one attempt once a slot is free; record it, and when the next one is due."""
        async with self._slots:
            outgoing = self._store.outgoing.get(id)
            if outgoing is None or self._client is None:
                return
            webhook = self._store.webhooks.get(outgoing.webhook_id)
            if webhook is None or not (webhook.active or outgoing.test):
                self._store.outgoing.put(outgoing.model_copy(update={"due": None, "ended": "dropped"}))
                return
            task = asyncio.current_task()
            self._posting.add(task)
            try:
                made = await attempt(
                    self._client,
                    self._rotated(webhook, outgoing),
                    outgoing,
                    scheme=self.schemes.get(webhook.id),
                    patience=self._options.timeout,
                    now=self._clock(),
                    sleep=self._sleep,
                )
            finally:
                self._posting.discard(task)
            tried = outgoing.model_copy(update={"attempts": (*outgoing.attempts, made), **self._next(outgoing, made)})
            self._store.outgoing.put(tried)
            self._on_attempt(tried, made)

    def _next(self, outgoing: Outgoing, made: SendAttempt) -> dict[str, object]:
        if self._options.accepts(made.status):
            return {"due": None, "ended": "delivered"}
        if outgoing.test or made.number > len(self._options.retry):
            return {"due": None, "ended": "failed"}
        return {"due": self._clock() + self._options.retry[made.number - 1]}

    def _rotated(self, webhook: Webhook, outgoing: Outgoing) -> Webhook:
        """Return the webhook, with the new secret of the fault plan once `rotate_after` deliveries were made."""
        faults = outgoing.faults
        if outgoing.attempts or not faults.rotate_after:
            return webhook
        self._made[webhook.id] += 1
        if self._made[webhook.id] == faults.rotate_after + 1:
            now = datetime.fromtimestamp(self._clock(), UTC)
            webhook = webhook.model_copy(update={"secret": faults.rotate_to, "updated_at": now})
            self._store.webhooks.put(webhook)
        return webhook


def _test(ended: Outgoing) -> WebhookTest:
    event, succeeded = ended.event, ended.ended == "delivered"
    if not ended.attempts:
        why = "the webhook was deleted meanwhile, or the simulator stops"
        return WebhookTest(event=event, succeeded=False, error=why)
    made = ended.attempts[-1]
    error = None if succeeded else made.reason or f"the response was {made.status}"
    return WebhookTest(event=event, succeeded=succeeded, status=made.status, error=error)
