"""A rehearsal: a receiver's own handlers and verifier, with another inbox and a clock that the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial, wraps
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
from .wire import Sendable, encode, forged_head, readable, signed_head

P = ParamSpec("P")
R = TypeVar("R")


class Request(TypedDict):
    """What httpx and the test clients built on it take: `client.post(url, **request)`."""

    content: bytes
    headers: dict[str, str]


class PersistentMemoryInbox(MemoryInbox):
    """An inbox that survives the lives of the app and of the receiver, as a file does, and ends with the test."""

    async def close(self) -> None:
        """Do nothing yet."""

    async def forget(self) -> None:
        """Let go of everything."""
        await super().close()


class Rehearsal:
    """A receiver under test. Nothing is handled until the test says so, and no wait takes real time.

    What is sent goes through the receiver's own verifier into an inbox of the test's; `drain` then runs the handlers
    by the receiver's own rules. Deliveries are handled one at a time. Only what a handler awaits itself takes its time,
    and so does its timeout. A receiver without an inbox runs its handlers before it answers, here as ever: there is
    nothing to drain.

    Made by the fixture `webhooks`, or by `rehearse(hooks)`.
    """

    clock: Clock
    """What the receiver takes for the time. It stands still until `clock.advance(seconds)`, or `drain`, moves it."""
    ran: list[Run]
    """All runs of handlers, in the order in which they ended."""

    def __init__(self, hooks: WebhookReceiver, inbox: Inbox | None) -> None:
        self.hooks = hooks
        self.clock = Clock()
        self.ran = []
        self.sync = Sync(self)
        self._memory = PersistentMemoryInbox()
        kept_in = self._memory if inbox is None else inbox
        self._life = ExitStack()
        self._driver = self._run_on(kept_in if hooks.runtime.keeps else None)
        self._portal: BlockingPortal | None = None
        self._is_open = False

    def _run_on(self, inbox: Inbox | None) -> Driver | None:
        """Let the receiver keep in this inbox by this clock; return what does its worker's work meanwhile."""
        hooks, dispatcher = self.hooks, Watching(self.hooks, self.ran.append)
        options = hooks.runtime.options
        runtime = Runtime(hooks.name, hooks.sender, dispatcher, inbox=inbox, clock=self.clock, work=inbox is None)
        self._life.enter_context(hooks.running_on(runtime))
        return None if inbox is None else Driver(inbox, hooks.name, dispatcher, options, self.clock)

    def request(self, what: Sendable, *, headers: Mapping[str, str] | None = None) -> Request:
        """Return a signed request for a client: `client.post("/webhooks", **webhooks.request(event))`.

        A token in the path is no part of the request: the client has to post to the URL that ends in it.

        Args:
            what: an event, a dict, or the bytes of any body.
            headers: more headers. Of an event, the receiver's `event_header` has its name unless it is given here.
        """
        head, body = self._request(what, headers)
        return {"content": body, "headers": readable(head)}

    async def send(self, what: Sendable, *, headers: Mapping[str, str] | None = None) -> Receipt:
        """Deliver it, signed as the sender does; return what became of it, as `hooks.receive` does."""
        return await self._receive(*self._request(what, headers))

    async def send_twice(self, what: Sendable, *, headers: Mapping[str, str] | None = None) -> tuple[Receipt, Receipt]:
        """Deliver it, and the very same request again."""
        request = self._request(what, headers)
        return await self._receive(*request), await self._receive(*request)

    async def send_out_of_order(self, *whats: Sendable) -> list[Receipt]:
        """Deliver what was signed one second after the other the other way round, the last one first."""
        requests: list[tuple[RequestHead, bytes]] = []
        for what in whats:
            requests.append(self._request(what, None))
            self.clock.advance(1)
        return [await self._receive(head, body) for head, body in reversed(requests)]

    async def send_forged(self, what: Sendable, *, headers: Mapping[str, str] | None = None) -> Receipt:
        """Deliver it as somebody would who does not know the secret.

        Raises:
            ConfigurationError: the receiver lets everybody in.
        """
        return await self._receive(*self._request(what, headers, forged_head))

    async def handle_due(self) -> list[Run]:
        """Run the handlers of all that is due by now; return their runs."""
        return await self._drive(lambda driver: driver.handle_due())

    async def drain(self) -> list[Run]:
        """Run handlers until nothing is left to do, moving the clock over all waits; return their runs.

        What waits for a handler that is paused is left.
        """
        return await self._drive(lambda driver: driver.drain())

    async def crash(self) -> None:
        """Let the process die and another one go on with the same inbox: what was answered with 2xx is in it."""
        await self._open()
        if self._driver is not None:
            self._driver.begin_anew()

    async def crash_after_handling(self) -> list[Run]:
        """Run the handlers of all that is due, then let the process die before any of that is kept; return the runs.

        They run again when the lease has ended, as `drain` awaits it: what a handler does must bear that.
        """
        return await self._drive(lambda driver: driver.handle_in_vain())

    async def dead_letters(self) -> Sequence[StoredDelivery]:
        """Return the dead letters, the oldest first, each with its failed attempts."""
        await self._open()
        inbox = self.hooks.inbox
        dead = await inbox.find(Filter(receiver=self.hooks.name, states={State.DEAD}), newest_first=False)
        return [kept for record in dead if (kept := await inbox.get(record.id)) is not None]

    async def kept(self, receipt: Receipt) -> StoredDelivery:
        """Return what the inbox knows of a delivery: its state, how far its handlers are, its failed attempts.

        Raises:
            ValueError: it was rejected, so nothing is kept.
        """
        await self._open()
        kept = await self.hooks.inbox.get(self._id_of(receipt))
        if kept is None:
            raise ValueError("the delivery is not in the inbox any more")
        return kept

    async def replay(self, *which: Receipt | StoredDelivery) -> None:
        """Put deliveries back to be handled again; of a dead one those handlers run that are not done."""
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
        """Fail unless runs of a handler ended well so many times; failed runs do not count."""
        __tracebackhide__ = True
        runs = self.runs_of(handler)
        well = sum(run.error is None for run in runs)
        if well != times:
            ran = "\n".join(f"  attempt {run.attempt}: {_how(run)}" for run in runs) or "  it was never run"
            raise AssertionError(f"{self.hooks.name_of(handler)} ended well {well} times, not {times}:\n{ran}")

    async def _open(self) -> None:
        """Begin the receiver's life, as its host does."""
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
        prove: Callable[..., RequestHead] = signed_head,
    ) -> tuple[RequestHead, bytes]:
        sender = self.hooks.sender
        header = sender.event_header
        named = {} if header is None or not isinstance(what, Event) else {header.lower(): what.event}
        given = named | {name.lower(): value for name, value in (headers or {}).items()}
        url = self.hooks.public_url
        return prove(what, sender.scheme, headers=given, now=self.clock(), url=url), encode(what)

    async def _receive(self, head: RequestHead, body: bytes) -> Receipt:
        await self._open()
        return await self.hooks.receive(head.headers, body, method=head.method, target=head.target)

    async def _drive(self, act: Callable[[Driver], Awaitable[None]]) -> list[Run]:
        await self._open()
        before = len(self.ran)
        if self._driver is not None:
            await act(self._driver)
        return self.ran[before:]

    def _id_of(self, receipt: Receipt) -> str:
        if receipt.delivery is None:
            raise ValueError(f"it was answered {receipt.response.status} and not kept: {receipt.error}")
        return receipt.duplicate_of or receipt.delivery.id

    @property
    def portal(self) -> BlockingPortal:
        """What runs async code for tests that are plain functions: an event loop in a thread of its own."""
        if self._portal is None:
            self._portal = self._life.enter_context(start_blocking_portal("asyncio"))
        return self._portal

    def end(self) -> None:
        """End the receiver's life here, and leave it as it was before."""
        with self._life:
            if self._is_open:
                self.portal.call(self.hooks.__aexit__, None, None, None)
                self.portal.call(self._memory.forget)


def _blocking(method: Callable[Concatenate[Rehearsal, P], Awaitable[R]]) -> Callable[Concatenate[Sync, P], R]:
    @wraps(method)
    def call(sync: Sync, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return sync.rehearsal.portal.call(partial(method, sync.rehearsal, *args, **kwargs))

    return call


class Sync:
    """What a rehearsal does, for tests that are plain functions: each call returns when it is done."""

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


def _how(run: Run) -> str:
    return "ended well" if run.error is None else summary(run.error)


@contextmanager
def rehearse(hooks: WebhookReceiver, *, inbox: Inbox | None = None) -> Generator[Rehearsal]:
    """Rehearse a receiver: what the fixture `webhooks` does, for a fixture or a test of your own.

    Until it ends, the receiver itself, and so every app that it is mounted in, keeps deliveries in the other inbox,
    tells the time by the rehearsal's clock, and runs no handler by itself. Its own inbox is not touched.

    Args:
        hooks: your receiver.
        inbox: where deliveries are kept meanwhile; in memory if None.

    Raises:
        ConfigurationError: it is no receiver, or has no inbox but is given one.
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
