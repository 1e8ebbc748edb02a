"""The rehearsal of a receiver: its own scheme and handlers, with another inbox and a clock that the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial, wraps
from itertools import groupby
from typing import Concatenate, ParamSpec, TypedDict, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

from ..delivery import RequestHead
from ..errors import ConfigurationError
from ..events import Event
from ..inbox.base import Inbox
from ..inbox.memory import MemoryInbox
from ..inbox.records import Filter, State, StoredDelivery
from ..receiver import WebhookReceiver
from ..redaction import summary
from ..responses import Receipt
from ..routing import Function
from ..runtime import Runtime
from .driver import Clock, Driver, Run, Watching
from .wire import Sendable, encode, forged_head, named_target, readable, sender_headers, signed_head

P = ParamSpec("P")
R = TypeVar("R")


class Request(TypedDict):
    """The arguments of a request for httpx and test clients built on it: `client.post(url, **request)`."""

    content: bytes
    headers: dict[str, str]


class PersistentMemoryInbox(MemoryInbox):
    """An inbox in memory that `close` leaves as it is, so deliveries survive a stop of the receiver, as in a file."""

    async def close(self) -> None:
        """Do nothing, since the receiver may be started again."""

    async def close_for_good(self) -> None:
        """Close the inbox for good, at the end of the test."""
        await super().close()


class Rehearsal:
    """A receiver under test. No handler runs until the test says so, and no wait for a retry takes real time.

    A delivery that is sent goes through the receiver's own scheme into an inbox of the test. `drain` then runs the
    handlers by the receiver's own rules, for one delivery at a time. Only waits inside a handler, and its timeout, take
    real time. A receiver without an inbox runs its handlers before the response, as ever, and has nothing to drain.

    The fixture `webhooks` is a rehearsal; `rehearse(hooks)` makes one, too.
    """

    clock: Clock
    """The receiver's clock. It stands still until `clock.advance(seconds)`, or `drain`, moves it."""
    ran: list[Run]
    """The runs of handlers so far, in the order in which they ended."""

    def __init__(self, hooks: WebhookReceiver, inbox: Inbox | None) -> None:
        self.hooks = hooks
        self.clock = Clock()
        self.ran = []
        self.sync = Sync(self)
        self._memory = PersistentMemoryInbox()
        test_inbox = self._memory if inbox is None else inbox
        self._resources = ExitStack()
        self._driver = self._run_on(test_inbox if hooks.runtime.keeps else None)
        self._portal: BlockingPortal | None = None
        self._is_open = False

    def _run_on(self, inbox: Inbox | None) -> Driver | None:
        """Replace the receiver's runtime by one with this inbox and clock; return the driver in place of a worker."""
        hooks, dispatcher = self.hooks, Watching(self.hooks, self.ran.append)
        options = hooks.runtime.options
        runtime = Runtime(hooks.name, hooks.sender, dispatcher, inbox=inbox, clock=self.clock, work=inbox is None)
        self._resources.enter_context(hooks.running_on(runtime))
        return None if inbox is None else Driver(inbox, hooks.name, dispatcher, options, self.clock)

    def request(self, what: Sendable, *, headers: Mapping[str, str] | None = None, target: str = "/") -> Request:
        """Return a signed request for a client: `client.post("/webhooks", **webhooks.request(event))`.

        A token in the path is no part of the request: the client has to post to the URL that ends in it.

        Args:
            what: an event, a dict, or the bytes of any body.
            headers: more headers. The sender's `event_header` gets the name of an event unless it is given here.
            target: the path of the request, with the query behind `?`, for a sender that reads it.
        """
        head, body = self._request(what, headers, target)
        return {"content": body, "headers": readable(head)}

    async def send(self, what: Sendable, *, headers: Mapping[str, str] | None = None, target: str = "/") -> Receipt:
        """Deliver an event, a dict or bytes, signed as the sender does. Return the receipt, as `hooks.receive` does."""
        return await self._receive(*self._request(what, headers, target))

    async def send_twice(
        self, what: Sendable, *, headers: Mapping[str, str] | None = None, target: str = "/"
    ) -> tuple[Receipt, Receipt]:
        """Deliver the same request twice, and return both receipts. The second should be a duplicate."""
        request = self._request(what, headers, target)
        return await self._receive(*request), await self._receive(*request)

    async def send_out_of_order(self, *whats: Sendable) -> list[Receipt]:
        """Sign one request a second, and deliver the last one first. Return the receipts in order of delivery."""
        requests: list[tuple[RequestHead, bytes]] = []
        for what in whats:
            requests.append(self._request(what, None, "/"))
            self.clock.advance(1)
        return [await self._receive(head, body) for head, body in reversed(requests)]

    async def send_forged(
        self, what: Sendable, *, headers: Mapping[str, str] | None = None, target: str = "/"
    ) -> Receipt:
        """Deliver an event, a dict or bytes with a signature by somebody who does not know the secret.

        Raises:
            ConfigurationError: the receiver lets everybody in, so there is nothing to forge.
        """
        return await self._receive(*self._request(what, headers, target, forged_head))

    async def handle_due(self) -> list[Run]:
        """Run the handlers of the deliveries that are due; return the runs."""
        return await self._drive(lambda driver: driver.handle_due())

    async def drain(self) -> list[Run]:
        """Run handlers until no delivery is due or will be, and move the clock over each wait. Return the runs.

        Deliveries that wait for a paused handler are left.
        """
        return await self._drive(lambda driver: driver.drain())

    async def crash(self) -> None:
        """Simulate a crash, and a restart on the same inbox: what is not in the inbox is forgotten."""
        await self._open()
        if self._driver is not None:
            self._driver.restart()

    async def crash_after_handling(self) -> list[Run]:
        """Run the handlers of the deliveries that are due, and let the process die before it settles any.

        Return the runs. `drain` then waits until the leases end, and runs the handlers again: a handler has to bear
        that, since deliveries are handled at least once.
        """
        return await self._drive(lambda driver: driver.handle_without_settling())

    async def dead_letters(self) -> Sequence[StoredDelivery]:
        """Return the dead letters, the oldest first, each with its failed attempts."""
        await self._open()
        inbox = self.hooks.inbox
        dead = await inbox.find(Filter(receiver=self.hooks.name, states={State.DEAD}), newest_first=False)
        return [stored for each in dead if (stored := await inbox.get(each.id)) is not None]

    async def kept(self, receipt: Receipt) -> StoredDelivery:
        """Return a stored delivery by its receipt: its state, those of its handlers, its failed attempts.

        Raises:
            ValueError: the delivery was rejected, or was purged since.
        """
        await self._open()
        stored = await self.hooks.inbox.get(self._id_of(receipt))
        if stored is None:
            raise ValueError("the delivery is not in the inbox any more")
        return stored

    async def replay(self, *which: Receipt | StoredDelivery) -> None:
        """Replay deliveries, by receipt or as stored, so that they are handled again.

        Of a dead delivery only the handlers run that are not done.
        """
        await self._open()
        ids = [each.summary.id if isinstance(each, StoredDelivery) else self._id_of(each) for each in which]
        await self.hooks.inbox.replay(ids, self.clock())

    def runs_of(self, handler: str | Function) -> list[Run]:
        """Return the runs of a handler, given as its function or its name.

        Raises:
            ConfigurationError: the receiver has no such handler.
        """
        name = self.hooks.name_of(handler)
        return [run for run in self.ran if run.handler == name]

    def assert_handled(self, handler: str | Function, *, times: int = 1) -> None:
        """Assert how many times a handler succeeded. Failed runs do not count.

        Args:
            handler: the handler's function, or its name.
            times: the expected number of successful runs.
        """
        __tracebackhide__ = True
        runs = self.runs_of(handler)
        well = sum(run.error is None for run in runs)
        if well != times:
            waits = "; what is stored waits for drain()" if self.hooks.runtime.keeps else ""
            ran = "\n".join(_told(runs)) or f"  it was never run{waits}"
            raise AssertionError(f"{self.hooks.name_of(handler)} ended well {well} times, not {times}:\n{ran}")

    async def _open(self) -> None:
        """Start the receiver, as its host does, unless that was done."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            raise ConfigurationError(
                'a receiver needs asyncio: let the fixture anyio_backend return "asyncio"'
            ) from None
        if not self._is_open:
            self._is_open = True  # at once: several tasks may send
            try:
                await self.hooks.__aenter__()
            except BaseException:
                self._is_open = False
                raise

    def _request(
        self,
        what: Sendable,
        headers: Mapping[str, str] | None,
        target: str,
        prove: Callable[..., RequestHead] = signed_head,
    ) -> tuple[RequestHead, bytes]:
        sender = self.hooks.sender
        named = sender_headers(sender, what.event if isinstance(what, Event) else None)
        given = named | {name.lower(): value for name, value in (headers or {}).items()}
        url, body = self.hooks.public_url, encode(what, sender=sender)
        target = named_target(sender, what.event, target) if isinstance(what, Event) else target
        return prove(body, sender.scheme, headers=given, now=self.clock(), target=target, url=url), body

    async def _receive(self, head: RequestHead, body: bytes) -> Receipt:
        await self._open()
        return await self.hooks.receive(head.headers, body, method=head.method, target=head.target, client=head.client)

    async def _drive(self, act: Callable[[Driver], Awaitable[None]]) -> list[Run]:
        await self._open()
        before = len(self.ran)
        if self._driver is not None:
            await act(self._driver)
        return self.ran[before:]

    def _id_of(self, receipt: Receipt) -> str:
        if receipt.delivery is None:
            raise ValueError(
                f"the delivery was not stored: the response was {receipt.response.status} ({receipt.error})"
            )
        return receipt.duplicate_of or receipt.delivery.id

    @property
    def portal(self) -> BlockingPortal:
        """An event loop in a thread of its own, which runs async code for tests that are plain functions."""
        if self._portal is None:
            self._portal = self._resources.enter_context(start_blocking_portal("asyncio"))
        return self._portal

    def end(self) -> None:
        """Stop the receiver, and give it its own runtime back."""
        with self._resources:
            if self._is_open:
                self.portal.call(self.hooks.__aexit__, None, None, None)
                self.portal.call(self._memory.close_for_good)


def _blocking(method: Callable[Concatenate[Rehearsal, P], Awaitable[R]]) -> Callable[Concatenate[Sync, P], R]:
    @wraps(method)
    def call(sync: Sync, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return sync.rehearsal.portal.call(partial(method, sync.rehearsal, *args, **kwargs))

    return call


class Sync:
    """The methods of a rehearsal for tests that are plain functions: each call blocks until it is done."""

    def __init__(self, rehearsal: Rehearsal) -> None:
        self.rehearsal = rehearsal

    send = _blocking(Rehearsal.send)
    send_twice = _blocking(Rehearsal.send_twice)
    send_out_of_order = _blocking(Rehearsal.send_out_of_order)
    send_forged = _blocking(Rehearsal.send_forged)
    handle_due = _blocking(Rehearsal.handle_due)
    drain = _blocking(Rehearsal.drain)
    crash = _blocking(Rehearsal.crash)
    crash_after_handling = _blocking(Rehearsal.crash_after_handling)
    dead_letters = _blocking(Rehearsal.dead_letters)
    kept = _blocking(Rehearsal.kept)
    replay = _blocking(Rehearsal.replay)


def _told(runs: Sequence[Run]) -> Iterator[str]:
    """Yield a line for each run, but for runs in a row that ended alike only one."""
    for how, alike in groupby(runs, _how):
        first, *others = [run.attempt for run in alike]
        yield f"  attempt{f's {first} to {others[-1]}' if others else f' {first}'}: {how}"


def _how(run: Run) -> str:
    return "ended well" if run.error is None else summary(run.error)


@contextmanager
def rehearse(hooks: WebhookReceiver, *, inbox: Inbox | None = None) -> Generator[Rehearsal]:
    """Rehearse a receiver until the block ends, as the fixture `webhooks` does; for a fixture or test of your own.

    Meanwhile the receiver itself, and so every app that it is mounted in, stores deliveries in the other inbox, has the
    rehearsal's clock, and runs no handler by itself. Its own inbox is not touched.

    Args:
        hooks: your receiver.
        inbox: the inbox that stores deliveries meanwhile; one in memory if None.

    Raises:
        ConfigurationError: `hooks` is no receiver, or an inbox is given for a receiver without one.
    """
    if not isinstance(hooks, WebhookReceiver):
        raise ConfigurationError(f"what is rehearsed is a WebhookReceiver, not {type(hooks).__name__}")
    if inbox is not None:
        _ = hooks.inbox  # raises if it has none
    rehearsal = Rehearsal(hooks, inbox)
    try:
        yield rehearsal
    finally:
        rehearsal.end()
