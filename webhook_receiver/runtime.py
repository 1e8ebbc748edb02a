"""What a receiver runs on: its clock and counts, its inbox with the worker on it, its tasks; and how healthy it is."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass, replace
from typing import Any

from anyio.to_thread import current_default_thread_limiter

from .counters import RejectionCounter, SecretUsage
from .delivery import Delivery, new_id
from .errors import ConfigurationError, InboxError, InboxUnavailable
from .events import Event, OrderStatusChanged, identity_of, order_id_of, parsed_paths
from .inbox import from_url
from .inbox.base import Inbox
from .inbox.dedup import digester, identity_text
from .inbox.records import Duplicate, Entry, State, Stored
from .options import WorkerOptions
from .redaction import log_failure, storable
from .senders import Order, Orders, OrdersApi, Sender
from .senders.backfill import Backfill, ProgressCallback, backfill
from .worker import worker_for
from .worker.executor import Dispatcher, no_event
from .worker.worker import Worker

logger = logging.getLogger("webhook_receiver")


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


class Runtime:
    """What a receiver runs on: its clock, its counts, its inbox with a worker on it, and tasks beside that.

    A receiver has one at a time; `WebhookReceiver.running_on` lets it run on another.

    Args:
        name: the receiver's name.
        sender: who delivers: by its rules duplicates and ordering keys are told.
        dispatcher: what parses deliveries and knows their handlers: the receiver.
        inbox: where deliveries are kept, an inbox or the URL of one; None if their handlers run before the answer.
        options: how the worker works.
        clock: returns the time in Unix seconds.
        work: whether the handlers of what is in the inbox run in this process.

    Raises:
        ConfigurationError: `inbox` is neither, or a URL that names none.
    """

    def __init__(
        self,
        name: str,
        sender: Sender,
        dispatcher: Dispatcher,
        *,
        inbox: Inbox | str | None = None,
        options: WorkerOptions | None = None,
        clock: Callable[[], float] = time.time,
        work: bool = True,
    ) -> None:
        if isinstance(inbox, type) or not isinstance(inbox, Inbox | str | None):
            raise ConfigurationError(
                f'inbox=... takes a URL such as "sqlite:///hooks.db" or an inbox, not {type(inbox).__name__}'
            )
        self.name = name
        self.sender = sender
        self.dispatcher = dispatcher
        self.options = options or WorkerOptions()
        self.clock = clock
        self.rejections = RejectionCounter(name, clock)
        self.secret_usage = SecretUsage(name)
        self.tasks = BackgroundTasks()
        self._inbox = from_url(inbox) if isinstance(inbox, str) else inbox
        self.keeps = self._inbox is not None
        """Whether there is an inbox."""
        self._digest = digester(name)
        self._work = work
        self._worker: Worker | None = None
        self._opened = False
        self._lives = 0
        self._is_late = False
        """It was said that the host does not start it."""

    @property
    def inbox(self) -> Inbox:
        """The inbox; open while the receiver is.

        Raises:
            ConfigurationError: there is none.
        """
        if self._inbox is None:
            raise ConfigurationError(f'{self.name} has no inbox: inbox="sqlite:///hooks.db" gives it one')
        return self._inbox

    async def start(self) -> None:
        """Open the inbox, if there is one, and start the worker; a start that was not stopped yet changes nothing.

        Raises:
            ConfigurationError: a handler asks for what only an inbox can give, or the inbox can never work.
            InboxError: the inbox cannot be opened.
        """
        if not self.keeps:
            check_without_inbox(self.dispatcher)
            if not self.dispatcher.handlers:
                logger.warning("%s has no handlers: deliveries are verified, and that is all", self.name)
            return
        self._lives += 1
        if self._work and not self.dispatcher.handlers:
            logger.warning("%s has no handlers: what is kept is unhandled, until it is replayed", self.name)
        try:
            await self._start()
        except BaseException:
            self._lives -= 1
            raise

    def set_to_work(self, concurrency: int | None = None) -> None:
        """Run the handlers in this process, for so many deliveries at once; to be called before the start.

        Raises:
            ConfigurationError: there is no inbox, or the number cannot work.
        """
        _ = self.inbox
        self._work = True
        if concurrency is not None:
            self.options = replace(self.options, concurrency=concurrency)

    async def stop(self) -> None:
        """Stop the worker in a bounded time, then close the inbox."""
        if not self.keeps:
            return
        self._lives -= 1
        if self._lives > 0:
            return
        worker, self._worker = self._worker, None
        self._opened = False
        try:
            await self.tasks.stop()
            if worker is not None and worker.loop is asyncio.get_running_loop():  # else its loop ended, and so has it
                await worker.stop()
                current_default_thread_limiter().total_tokens -= self.options.concurrency
        finally:
            await self.inbox.close()

    async def _start(self) -> None:
        await self.inbox.open()
        self._opened = True
        if self._work:
            paused = await self.inbox.paused()  # before anything is claimed
            if self._worker is None or not self._worker.is_working:  # it may be since a moment ago
                self._worker = worker_for(self.inbox, self.name, self.dispatcher, self.options, self.clock)
                self._worker.start(paused)
                current_default_thread_limiter().total_tokens += self.options.concurrency  # beside those of the host's
        self.tasks.start()

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
                self.name,
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
        return Entry(delivery, event.event, key, said, self._ordering_key(delivery, event, identity))

    def _identity(self, delivery: Delivery, event: Event) -> list[str] | None:
        try:
            identity = self.sender.identity(event)
            return None if identity is None else [*map(str, identity)]
        except Exception as error:  # of a class of the user's
            log_failure(f"delivery {delivery.id}: its event's identity failed, so a repeat of it is not known", error)
            return None

    def _ordering_key(self, delivery: Delivery, event: Event, identity: list[str] | None) -> str | None:
        sender = self.sender
        usual = sender.ordering_key is order_id_of and sender.identity is identity_of
        if identity and usual and type(event).identity is OrderStatusChanged.identity:
            return storable(identity[0])  # the order's id, which takes a microsecond to find again
        try:
            key = sender.ordering_key(event)
        except Exception as error:
            log_failure(f"delivery {delivery.id}: its ordering_key failed, so it is handled in no order", error)
            return None
        return None if key is None else storable(str(key))

    def orders(self) -> Orders:
        """Return how the sender's API is asked for the orders that are backfilled into the inbox.

        Raises:
            ConfigurationError: there is no inbox, or the sender has no orders.
        """
        _ = self.inbox
        if self.sender.orders is None or not self.sender.order_id_paths:
            raise ConfigurationError(
                f"nothing to backfill from: the sender {self.sender.name} has no orders to ask for"
            )
        return self.sender.orders

    async def backfill(
        self, api: OrdersApi, workspace_id: str | None, begin: float, progress: ProgressCallback | None = None
    ) -> Backfill:
        """Put the orders that ended into the inbox, as far as it does not have them yet.

        Args:
            api: a client of the sender's API.
            workspace_id: only the orders of this workspace; all that the client's user sees if None.
            begin: the Unix time since when they have changed.
            progress: called after each order with what was reached.

        Raises:
            ConfigurationError: there is no inbox, or the sender has no orders.
            ApiError: the API failed. What was put until then stays, as with any other error.
            InboxError: the inbox failed.
        """
        orders = self.orders()
        (place, *_) = parsed_paths(self.sender.order_id_paths)

        async def keep(order: Order) -> bool | None:
            try:
                body = orders.notification(order, place)
                event = self._event_about(order, body)
            except ConfigurationError as error:
                logger.error("%s: an order cannot be backfilled: %s", self.name, error)
                return None
            except Exception as error:  # of a class of the user's, or of a validator in it
                logger.error("%s: an order cannot be backfilled: %s", self.name, no_event(error))
                return None
            # What it says was read from the sender itself, so there is nothing left to confirm.
            delivery = Delivery(new_id(), self.name, (), body, self.clock(), None, True, "backfill")
            return isinstance(await self.put(delivery, event), Stored)

        return await backfill(orders.changed_since(api, begin, workspace_id), keep, progress)

    def _event_about(self, order: Order, body: bytes) -> Event:
        event = self.dispatcher.parse(body)
        same = isinstance(event, OrderStatusChanged) and event.order_id == order.id
        if not same or self.sender.identity(event) is None:
            raise ConfigurationError("its event has another order id (see order_id_paths), or no identity")
        return event

    async def pause(self, handler: str) -> None:
        """Run a handler no more, in any process, until it is resumed."""
        await self.inbox.pause(handler, self.clock())
        if self._worker is not None:
            self._worker.pause(handler)

    async def resume(self, handler: str) -> bool:
        """Let a handler run again; False if it was not paused."""
        resumed = await self.inbox.resume(handler)
        if self._worker is not None:
            self._worker.resume(handler)
        return resumed

    async def health(self) -> Health:
        """Return how it is; commits something to find out whether that works, and opens the inbox if need be.

        Without an inbox a receiver is well as long as it answers.
        """
        if not self.keeps:
            return Health(ok=True, state="working")
        try:
            await self.inbox.open()
            await self.inbox.check()
            stats = await self.inbox.stats()
        except (InboxError, ConfigurationError) as error:
            return Health(ok=False, state="failing", problem=str(error))
        except Exception as error:
            log_failure(f"{self.name}: the inbox stumbled", error)
            return Health(ok=False, state="failing", problem=f"the inbox stumbled: {type(error).__name__}")
        oldest = stats.oldest_waiting
        return Health(
            ok=True,
            state="working" if self._is_started() else "not started",
            waiting=stats.counts[State.WAITING],
            oldest_waiting_seconds=None if oldest is None else max(0.0, self.clock() - oldest),
            unhandled=stats.counts[State.UNHANDLED],
            dead=stats.counts[State.DEAD],
            paused=tuple(stats.paused),
        )


def check_without_inbox(dispatcher: Dispatcher) -> None:
    """Raise ConfigurationError if a handler asks for what only a worker could do, where there is no inbox."""
    if dispatcher.dead_letter_handlers:
        raise ConfigurationError('on_dead needs an inbox: nothing else knows dead letters; inbox="sqlite:///hooks.db"')
    for handler in dispatcher.handlers:
        if handler.backoff is not None or handler.timeout is not None:
            raise ConfigurationError(
                f"backoff=... and timeout=... of {handler.name} need an inbox, without which a handler is run once, "
                'before the answer: inbox="sqlite:///hooks.db"'
            )


Task = Callable[[], Coroutine[Any, Any, None]]
"""Goes on until it is cancelled; whatever fails in it is its own to tell."""

_PATIENCE = 1.0  # seconds for a cancelled task to end when the receiver stops


class BackgroundTasks:
    """What runs beside a receiver's worker."""

    def __init__(self) -> None:
        self._functions: list[Task] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._started = False

    def add(self, task: Task) -> None:
        """Run it from the next start on.

        Raises:
            ConfigurationError: they run already.
        """
        if self._started:
            raise ConfigurationError("the receiver runs already: what it has to do besides is said before it starts")
        self._functions.append(task)

    def start(self) -> None:
        """Run them all, each in a task; nothing if they run already, in whichever loop."""
        self._started = True
        if not any(not task.done() and not task.get_loop().is_closed() for task in self._tasks):
            self._tasks = [asyncio.get_running_loop().create_task(function()) for function in self._functions]

    async def stop(self) -> None:
        """Cancel them, and wait a bounded time for their end."""
        tasks, self._tasks, self._started = self._tasks, [], False
        ours = [task for task in tasks if task.get_loop() is asyncio.get_running_loop()]  # others ended with their loop
        for task in ours:
            task.cancel()
        if ours:
            await asyncio.wait(ours, timeout=_PATIENCE)
