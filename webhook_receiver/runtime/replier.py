"""The replier: it makes the reply to a delivery within its time, or goes without."""

from __future__ import annotations

import asyncio
import inspect
import logging
from contextlib import suppress
from contextvars import copy_context
from threading import Thread

from ..events import Event
from ..logs import fields, log_failure
from ..responses import Response
from ..senders.reply import Reply

logger = logging.getLogger("webhook_receiver")

_MAX_THREADS = 16
"""The number of replies that are made in threads at once. One that hangs keeps its thread; handlers have others."""


class Replier:
    """The replies of one sender.

    Args:
        reply: the sender's reply.
    """

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._is_async = inspect.iscoroutinefunction(reply.make)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._places: asyncio.Semaphore | None = None

    async def response(self, event: Event, usual: Response, delivery_id: str) -> Response:
        """Return the response with the reply; the usual one if it fails, is late, or there is none.

        Args:
            event: the event of a delivery that is stored, or was handled.
            usual: the response without a reply.
            delivery_id: the delivery's id, for the log.
        """
        task = asyncio.get_running_loop().create_task(self._make(event))
        task.add_done_callback(_take_error)
        try:
            done, _ = await asyncio.wait({task}, timeout=self._reply.timeout)  # it ends in time, whatever the task does
        finally:
            task.cancel()
        if not done:
            why, extra = f"took longer than {self._reply.timeout:g} s", fields(delivery_id=delivery_id)
            logger.error("delivery %s: the reply %s: the response has none", delivery_id, why, extra=extra)
            return usual
        try:
            return task.result() or usual
        except (Exception, asyncio.CancelledError) as error:
            log_failure(f"delivery {delivery_id}: the reply failed", error, delivery_id=delivery_id)
            return usual

    async def _make(self, event: Event) -> Response | None:
        made: object = self._reply.make(event) if self._is_async else await self._make_in_thread(event)
        return _checked(await made if inspect.isawaitable(made) else made)

    async def _make_in_thread(self, event: Event) -> object:
        loop = asyncio.get_running_loop()
        if loop is not self._loop or self._places is None:
            self._loop, self._places = loop, asyncio.Semaphore(_MAX_THREADS)
        places, ended = self._places, loop.create_future()
        await places.acquire()

        def end(made: object, error: BaseException | None) -> None:
            places.release()
            if not ended.done():  # nobody waits any more
                ended.set_result((made, error))

        def make() -> None:
            made, raised = None, None
            try:
                made = self._reply.make(event)
            except BaseException as error:
                raised = error
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(end, made, raised)

        # A thread that hangs keeps its place, which those of a pool lose with the call that gives up on them.
        Thread(target=copy_context().run, args=(make,), name="webhook-receiver reply", daemon=True).start()
        made, error = await ended
        if error is not None:
            raise error
        return made


def _checked(made: object) -> Response | None:
    """Return a response with a reply, and the length of its body; None for none.

    Raises:
        TypeError: it is no response.
        ValueError: it cannot be sent for a delivery that is stored.
    """
    if made is None:
        return None
    if not isinstance(made, Response):
        raise TypeError(f"a reply is a Response, as as_json(...) makes one, not {type(made).__name__}")
    if not 200 <= made.status <= 299:
        raise ValueError(f"the status of a reply is from 200 to 299, not {made.status}: the delivery is stored")
    if made.status in (204, 205):
        if made.body:
            raise ValueError(f"a reply with the status {made.status} has no body")
        return made
    if not all(each.isascii() and each.isprintable() for pair in made.headers.items() for each in pair):
        raise ValueError("the headers of a reply are printable ASCII")
    headers = {name.lower(): value for name, value in made.headers.items()}
    return Response(made.status, {**headers, "content-length": str(len(made.body))}, made.body)


def _take_error(task: asyncio.Task[Response | None]) -> None:
    if not task.cancelled():
        task.exception()  # of one that was late: else the loop complains that nobody has seen it
