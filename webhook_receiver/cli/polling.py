"""What `poll` does: it polls sources, and shows what became of it."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Sequence
from datetime import datetime

import typer

from ..errors import ConfigurationError
from ..receiver import WebhookReceiver
from ..runtime.poller import Polled, Poller, reason_of, trail_of
from . import output
from .inbox_option import InboxTarget
from .rich_output import progress_bar

logger = logging.getLogger("webhook_receiver")


def pollers_of(target: InboxTarget, source: str | None) -> Sequence[Poller]:
    """Return the pollers of a receiver, or that of one source.

    Raises:
        ConfigurationError: there is none.
    """
    assert isinstance(target.hooks, WebhookReceiver)  # noqa: S101 - for the type checkers
    pollers = target.hooks.pollers
    if not pollers:
        raise ConfigurationError(f"{target.hooks.name} polls nothing: hooks.poll_every(timedelta(minutes=5), source)")
    found = [each for each in pollers if source in (None, each.name)]
    if not found:
        names = ", ".join(each.name for each in pollers)
        raise ConfigurationError(f"{target.hooks.name} has no source {source}; it has {names}")
    return found


async def poll_once(pollers: Sequence[Poller], begin: datetime | None, *, as_json: bool) -> bool:
    """Poll each source once, show what became of it, and return whether all of them worked."""

    async def poll(each: Poller) -> bool:
        report = _Report(each, as_json=as_json)
        task = bar.add_task(output.printable(each.name), total=None)
        try:
            polled = await each.poll(
                early=True, since=begin, progress=lambda so_far: bar.update(task, completed=so_far.documents)
            )
        except Exception as error:
            if trail := trail_of(error):
                logger.error("the source %s failed\n%s", each.name, trail)
            return report.failed(reason_of(error))
        if polled is None:
            return report.failed("another process polls it now")
        report(polled)
        return True

    with progress_bar() as bar:
        polls = asyncio.gather(*[poll(each) for each in pollers])
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, polls.cancel)
        try:
            return all(await polls)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise typer.Exit(130) from None  # by the signal, and the sources are given back


class _Report:
    """Says what became of the polls of one source."""

    def __init__(self, poller: Poller, *, as_json: bool) -> None:
        self._source = poller.name
        self._as_json = as_json

    def __call__(self, polled: Polled) -> None:
        if self._as_json:
            output.say_json({"source": self._source, **polled.as_json(), "error": None})
            return
        stored = f"{polled.stored} put into the inbox" + (f", {polled.dead} of them no events" if polled.dead else "")
        name, number = output.printable(self._source), polled.documents
        output.say(f"{name}: {number} documents: {stored}, {polled.known} were there already")

    def news(self, polled: Polled) -> None:
        """Say it only if the source had something to tell."""
        if polled.documents:
            self(polled)

    def failed(self, reason: str) -> bool:
        """Say why a poll failed, and return False."""
        if self._as_json:
            output.say_json({"source": self._source, "error": reason})
        else:
            output.warn(f"{output.printable(self._source)}: {output.printable(reason)}", "red")
        return False


async def poll_until_signal(pollers: Sequence[Poller], *, as_json: bool) -> None:
    """Poll until a signal, and give the sources back then."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    tasks = [asyncio.create_task(each.run(_Report(each, as_json=as_json).news)) for each in pollers]
    await stopped.wait()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks, timeout=1)
