"""`worker`: run a receiver's handlers for the deliveries in its inbox, without serving requests."""

from __future__ import annotations

from collections.abc import Awaitable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Annotated, Protocol

import typer

from ..errors import ConfigurationError, InboxError
from .defaults import Target
from .options import LogFormatOption, MetricsHost, MetricsPort
from .output import fail


def worker(
    target: Target = "",
    concurrency: Annotated[
        int | None, typer.Option(min=1, help="The number of deliveries handled at once; else the receiver's.")
    ] = None,
    health_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Serve the health at /healthz on this port.")
    ] = None,
    health_host: Annotated[str, typer.Option(help="The address of the health port.")] = "127.0.0.1",
    metrics_port: MetricsPort = None,
    metrics_host: MetricsHost = "127.0.0.1",
    log_format: LogFormatOption = "text",
) -> None:
    """Run a receiver's handlers without serving requests.

    It handles the deliveries in the receiver's inbox, beside other workers on any number of machines, and serves
    nothing but its health. Other processes then only receive: WebhookReceiver(..., work=False). Of an app that has one
    receiver, given as main:app, the lifespan is run, too: handlers have what it makes.
    """
    import asyncio
    import logging.config

    from ..inbox.memory import MemoryInbox
    from . import exporters
    from .addresses import check_address
    from .app_loader import inbox_of, load_with_app
    from .serve import announce, health_server, leave_threads_behind, living, log_config

    if health_port is not None:
        check_address(health_host, health_port, prefix="--health-")
    hooks, app = load_with_app(target)
    inbox = inbox_of(hooks)
    if inbox is None or isinstance(inbox, MemoryInbox):
        raise fail(f"{target} has no inbox that another process can work on")
    try:
        metrics = None if metrics_port is None else exporters.Metrics(metrics_host, metrics_port)
        exporters.check(metrics, health_port)
    except ConfigurationError as error:
        raise fail(f"{target} cannot start: {error}") from None
    names = ", ".join(handler.name for handler in hooks.handlers) or "none yet"
    announce(f"{target} handles what is in {inbox!r}; handlers: {names}", log_format)
    logging.config.dictConfig(log_config(log_format))
    hooks.set_to_work(concurrency)
    server = None if health_port is None else health_server(hooks, health_host, health_port, log_format)
    try:
        asyncio.run(_until_signal(nullcontext() if app is None else living(app), hooks, server))
    except (ConfigurationError, InboxError) as error:
        raise fail(f"{target} cannot start: {error}") from None
    leave_threads_behind(0)


class _Server(Protocol):
    """What the worker needs of uvicorn's server, whose module is slow to import."""

    should_exit: bool

    def serve(self) -> Awaitable[None]: ...


async def _until_signal(
    host: AbstractAsyncContextManager[object], hooks: AbstractAsyncContextManager[object], health: _Server | None
) -> None:
    import asyncio
    import signal

    from .exporters import exporting

    stopped = asyncio.Event()

    def stop() -> None:
        stopped.set()
        if health is not None:  # a signal that comes before it serves is not its own
            health.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    async with exporting(), host, hooks:  # the receiver stops before what its handlers use
        if health is None or stopped.is_set():
            await stopped.wait()
        else:
            await health.serve()  # until a signal, which it raises again
