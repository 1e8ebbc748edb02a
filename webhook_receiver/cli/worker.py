"""`worker`: runs a receiver's handlers for what is in its inbox, and answers no requests."""

from __future__ import annotations

import asyncio
import logging.config
import signal
from typing import Annotated

import typer

from ..errors import ConfigurationError, InboxError
from ..inbox import MemoryInbox
from ..receiver import WebhookReceiver
from . import output
from .app_loader import inbox_of, load
from .inbox_option import fail
from .serve import leave_threads_behind, log_config


def worker(
    target: Annotated[str, typer.Argument(metavar="MODULE:HOOKS", help="Your receiver, as quickstart:hooks.")],
    concurrency: Annotated[
        int | None, typer.Option(min=1, help="How many deliveries are handled at once; else as the receiver says.")
    ] = None,
) -> None:
    """Run a receiver's handlers for what is in its inbox, and answer no requests; on as many machines as you like.

    Beside it others only receive: WebhookReceiver(..., work=False).
    """
    hooks = load(target)
    inbox = inbox_of(hooks)
    if inbox is None or isinstance(inbox, MemoryInbox):
        raise fail(f"{target} has no inbox that another process can work on")
    names = ", ".join(handler.name for handler in hooks.handlers) or "none yet"
    output.say(f"{target} handles what is in {inbox!r}; handlers: {names}", "bold")
    logging.config.dictConfig(log_config())
    hooks.set_to_work(concurrency)
    try:
        asyncio.run(_until_told(hooks))
    except (ConfigurationError, InboxError) as error:
        raise fail(f"{target} cannot start: {error}") from None
    leave_threads_behind(0)


async def _until_told(hooks: WebhookReceiver) -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    async with hooks:
        await told.wait()
