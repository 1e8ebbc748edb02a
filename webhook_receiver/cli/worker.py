"""`worker`: run a receiver's handlers for the deliveries in its inbox, without serving requests."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Annotated

import typer

from ..errors import ConfigurationError, InboxError
from . import output
from .output import fail


def worker(
    target: Annotated[str, typer.Argument(metavar="MODULE:HOOKS", help="Your receiver, as quickstart:hooks.")],
    concurrency: Annotated[
        int | None, typer.Option(min=1, help="The number of deliveries handled at once; else the receiver's.")
    ] = None,
) -> None:
    """Run a receiver's handlers without serving requests.

    It handles the deliveries in the receiver's inbox, beside other workers on any number of machines. Other processes
    then only receive: WebhookReceiver(..., work=False).
    """
    import asyncio
    import logging.config

    from ..inbox.memory import MemoryInbox
    from .app_loader import inbox_of, load
    from .serve import leave_threads_behind, log_config

    hooks = load(target)
    inbox = inbox_of(hooks)
    if inbox is None or isinstance(inbox, MemoryInbox):
        raise fail(f"{target} has no inbox that another process can work on")
    names = ", ".join(handler.name for handler in hooks.handlers) or "none yet"
    output.say(f"{target} handles what is in {inbox!r}; handlers: {names}", "bold")
    logging.config.dictConfig(log_config())
    hooks.set_to_work(concurrency)
    try:
        asyncio.run(_until_signal(hooks))
    except (ConfigurationError, InboxError) as error:
        raise fail(f"{target} cannot start: {error}") from None
    leave_threads_behind(0)


async def _until_signal(hooks: AbstractAsyncContextManager[object]) -> None:
    import asyncio
    import signal

    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with hooks:
        await stopped.wait()
