"""The durable side of a receiver: deliveries are put into its inbox, and its worker lives beside it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass, replace
from typing import Any

from anyio.to_thread import current_default_thread_limiter

from .delivery import Delivery
from .errors import ConfigurationError, InboxError, InboxUnavailable
from .events import Event, OrderStatusChanged
from .inbox import from_url
from .inbox.base import Inbox
from .inbox.dedup import digester, identity_text
from .inbox.records import Duplicate, Entry, State, Stored
from .options import WorkerOptions
from .redaction import log_failure, storable
from .worker import worker_for
from .worker.executor import Dispatcher
from .worker.worker import Worker

logger = logging.getLogger("webhook_receiver")

OrderKey = Callable[[Any], object]


@dataclass(frozen=True, slots=True)
class Health:
    """How a receiver is. Its `as_json()` is what `serve` answers at `/healthz`."""

    ok: bool
    """Whether deliveries can be kept."""
    state: str
    """"working", "not started" (what is kept waits), or "failing"."""
    problem: str | None = None
    waiting: int = 0
    oldest_waiting_seconds: float | None = None
    """How long ago the oldest delivery was received that is not handled yet."""
    unhandled: int = 0
    dead: int = 0
    paused: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return asdict(self)


def order_of(event: Event) -> str | None:
    """Return the order that an event is about: its deliveries are handled one at a time, in order of receipt."""
    return event.order_id if isinstance(event, OrderStatusChanged) else None


class Runtime:
    """A receiver's inbox and the worker on it.

    Args:
        inbox: an inbox, or the URL of one.
        source: the receiver's name.
        handlers: the receiver.
        key: returns the order key of an event.
        options: how the worker works.
        clock: returns the time in Unix seconds.
        work: whether it works in this process.
    """

    def __init__(
        self,
        inbox: Inbox | str,
        receiver: str,
        handlers: Dispatcher,
        key: OrderKey,
        options: WorkerOptions,
        clock: Callable[[], float],
        *,
        work: bool = True,
    ) -> None:
        if not isinstance(inbox, Inbox | str) or isinstance(inbox, type):
            raise ConfigurationError(
                f'inbox=... takes a URL such as "sqlite:///hooks.db" or an inbox, not {type(inbox).__name__}'
            )
        self.inbox: Inbox = from_url(inbox) if isinstance(inbox, str) else inbox
        self._source = receiver
        self._digest = digester(receiver)
        self._handlers = handlers
        self._key = key
        self._options = options
        self._clock = clock
        self._work = work
        self.chores = BackgroundTasks()
        self._worker: Worker | None = None
        self._opened = False
        self._lives = 0
        self._is_late = False
        """It was said that the host does not start it."""

    async def start(self) -> None:
        """Open the inbox and set the worker to work; once more for each start that was not stopped yet is nothing."""
        self._lives += 1
        if self._work and not self._handlers.handlers:
            logger.warning("%s has no handlers: what is kept is unhandled, until it is replayed", self._source)
        try:
            await self._start()
        except BaseException:
            self._lives -= 1
            raise

    def set_to_work(self, concurrency: int | None = None) -> None:
        """Work in this process, with so many deliveries at once; to be called before it starts."""
        self._work = True
        if concurrency is not None:
            self._options = replace(self._options, concurrency=concurrency)

    async def stop(self) -> None:
        """Stop the worker in a bounded time, then close the inbox."""
        self._lives -= 1
        if self._lives > 0:
            return
        worker, self._worker = self._worker, None
        self._opened = False
        try:
            await self.chores.stop()
            if worker is not None and worker.loop is asyncio.get_running_loop():  # else its loop ended, and so has it
                await worker.stop()
                current_default_thread_limiter().total_tokens -= self._options.concurrency
        finally:
            await self.inbox.close()

    async def _start(self) -> None:
        await self.inbox.open()
        self._opened = True
        if self._work:
            paused = await self.inbox.paused()  # before anything is claimed
            if self._worker is None or not self._worker.is_working:  # it may be since a moment ago
                self._worker = worker_for(self.inbox, self._source, self._handlers, self._options, self._clock)
                self._worker.start(paused)
                current_default_thread_limiter().total_tokens += self._options.concurrency  # beside those of the host's
        self.chores.start()

    async def put(
        self, delivery: Delivery, event: Event | None, *, id: str | None = None, dead: str | None = None
    ) -> Stored | Duplicate:
        """Keep a delivery; return once that is committed.

        Args:
            delivery: what was received and verified.
            event: what it says; None with `dead`.
            id: the sender's id of the delivery, if its scheme has one.
            dead: why it is no event.

        Raises:
            InboxError: it is not kept.
        """
        try:
            if delivery.via == "backfill":
                await self.inbox.open()  # maybe by a command, which leaves the handlers to who serves
            elif not self._is_started():
                await self._start_late()
            kept = await self.inbox.put(self._entry(delivery, event, id, dead), delivery.received)
        except InboxError:
            raise
        except Exception as error:
            log_failure(f"delivery {delivery.id}: the inbox stumbled", error)
            raise InboxError(f"the inbox stumbled: {type(error).__name__}") from None
        if self._worker is not None and not (isinstance(kept, Duplicate) and not kept.replayed):
            self._worker.wake()
        return kept

    def _is_started(self) -> bool:
        if not self._work:
            return self._opened
        return self._worker is not None and self._worker.is_working

    async def _start_late(self) -> None:
        """Start with the first delivery, where the host's lifespan did not."""
        if self._worker is None and self._work and not self._is_late:
            self._is_late = True
            logger.warning(
                "%s was not started: it begins to work with this delivery, but after a restart what is kept waits for "
                "the next one. Give its life to the host: lifespan=hooks.lifespan, or `async with hooks:`",
                self._source,
            )
        try:
            await self._start()
        except ConfigurationError as error:
            raise InboxUnavailable(f"the inbox cannot work: {error}") from None

    def _entry(self, delivery: Delivery, event: Event | None, id: str | None, dead: str | None) -> Entry:
        if event is None:
            key = None if id is None else self._digest(id)
            return Entry(delivery, key=key, dead=dead)
        identity = self._identity(delivery, event)
        if id is not None:
            key = self._digest(id, event.event, *map(storable, identity or ()))
        else:
            key = None if identity is None else self._digest(delivery.body)
        said = None if identity is None else identity_text(identity)
        return Entry(delivery, event.event, key, said, self._order_key(delivery, event, identity))

    def _identity(self, delivery: Delivery, event: Event) -> list[str] | None:
        try:
            identity = event.identity
            return None if identity is None else [*map(str, identity)]
        except Exception as error:  # of a class of the user's
            log_failure(f"delivery {delivery.id}: its event's identity failed, so a repeat of it is not known", error)
            return None

    def _order_key(self, delivery: Delivery, event: Event, identity: list[str] | None) -> str | None:
        if identity and self._key is order_of and type(event).identity is OrderStatusChanged.identity:
            return storable(identity[0])  # the order's id, which takes a microsecond to find again
        try:
            key = self._key(event)
        except Exception as error:
            log_failure(f"delivery {delivery.id}: key=... failed, so it is handled in no order", error)
            return None
        return None if key is None else storable(str(key))

    async def pause(self, handler: str) -> None:
        """Run a handler no more, in any process, until it is resumed."""
        await self.inbox.pause(handler, self._clock())
        if self._worker is not None:
            self._worker.pause(handler)

    async def resume(self, handler: str) -> bool:
        """Let a handler run again; False if it was not paused."""
        resumed = await self.inbox.resume(handler)
        if self._worker is not None:
            self._worker.resume(handler)
        return resumed

    async def health(self) -> Health:
        """Return how it is; commits something to find out whether that works, and opens the inbox if need be."""
        try:
            await self.inbox.open()
            await self.inbox.check()
            stats = await self.inbox.stats()
        except (InboxError, ConfigurationError) as error:
            return Health(ok=False, state="failing", problem=str(error))
        except Exception as error:
            log_failure(f"{self._source}: the inbox stumbled", error)
            return Health(ok=False, state="failing", problem=f"the inbox stumbled: {type(error).__name__}")
        oldest = stats.oldest_waiting
        return Health(
            ok=True,
            state="working" if self._is_started() else "not started",
            waiting=stats.counts[State.WAITING],
            oldest_waiting_seconds=None if oldest is None else max(0.0, self._clock() - oldest),
            unhandled=stats.counts[State.UNHANDLED],
            dead=stats.counts[State.DEAD],
            paused=tuple(stats.paused),
        )


Chore = Callable[[], Coroutine[Any, Any, None]]
"""Goes on until it is cancelled; whatever fails in it is its own to tell."""

_PATIENCE = 1.0  # seconds for a cancelled task to end when the receiver stops


class BackgroundTasks:
    """What runs beside a receiver's worker."""

    def __init__(self) -> None:
        self._chores: list[Chore] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._started = False

    def add(self, chore: Chore) -> None:
        """Run it from the next start on.

        Raises:
            ConfigurationError: they run already.
        """
        if self._started:
            raise ConfigurationError("the receiver runs already: what it has to do besides is said before it starts")
        self._chores.append(chore)

    def start(self) -> None:
        """Run them all, each in a task; nothing if they run already, in whichever loop."""
        self._started = True
        if not any(not task.done() and not task.get_loop().is_closed() for task in self._tasks):
            self._tasks = [asyncio.get_running_loop().create_task(chore()) for chore in self._chores]

    async def stop(self) -> None:
        """Cancel them, and wait a bounded time for their end."""
        tasks, self._tasks, self._started = self._tasks, [], False
        ours = [task for task in tasks if task.get_loop() is asyncio.get_running_loop()]  # others ended with their loop
        for task in ours:
            task.cancel()
        if ours:
            await asyncio.wait(ours, timeout=_PATIENCE)
