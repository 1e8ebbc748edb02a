"""`serve`: serve a receiver with uvicorn, and a health check."""

from __future__ import annotations

import asyncio
import ctypes
import json
import logging.config
import multiprocessing
import os
import re
import signal
import sys
import sysconfig
import threading
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from copy import deepcopy
from inspect import signature
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp
from typer import BadParameter
from uvicorn.config import LOGGING_CONFIG
from uvicorn.supervisors import Multiprocess

from ..errors import ConfigurationError
from ..inbox.names import check_name, claim_name, release_name
from ..logs import JSONFormatter, log_uncaught
from ..options import WorkerOptions
from ..receiver import WebhookReceiver
from ..signatures.scheme import secret_places
from . import exporters, output
from .app_loader import inbox_of, load
from .connections import checked_limit, within_bounds
from .mounted import TOKEN
from .options import PARSER, LogFormat, Parser
from .output import fail

logger = logging.getLogger("webhook_receiver")

T = TypeVar("T")

TARGET = "WEBHOOK_RECEIVER_APP"
PATH = "WEBHOOK_RECEIVER_PATH"
INSPECTOR = "WEBHOOK_RECEIVER_INSPECTOR"
HEALTH = "/healthz"
LIVE = f"{HEALTH}/live"
_STARTUP_FAILURE = 3  # uvicorn's code, which it has in another module in each version
_M_MMAP_THRESHOLD = -3  # in glibc's malloc.h
_PATIENCE = 1.0  # seconds for idle threads to end


class Mounting(NamedTuple):
    """Where an inspector is mounted, and how."""

    path: str
    passwords: str
    """The file of its users."""
    writable: bool

    @classmethod
    def of(cls, path: str | None, passwords: Path | None, *, writable: bool) -> Self | None:
        """Return what the options of the command say; None without an inspector."""
        return None if path is None or passwords is None else cls(path, str(passwords.absolute()), writable)


def run(
    target: str,
    path: str,
    *,
    parser: Parser,
    connections: int,
    log_format: LogFormat = "text",
    inspector: Mounting | None = None,
    **options: Any,
) -> None:
    """Serve a receiver until a signal ends it.

    Args:
        target: the receiver, as module:hooks.
        path: the path that senders post to.
        parser: uvicorn's parser of HTTP.
        connections: the largest number of connections of a process at a time.
        log_format: the format of log lines.
        inspector: where an inspector is mounted; None for none.
        options: options of uvicorn.

    Raises:
        SystemExit: the server cannot start; the code is 1.
    """
    # For the processes that workers and reload start.
    os.environ |= {TARGET: target, PATH: path, INSPECTOR: "" if inspector is None else json.dumps(inspector)}
    config: dict[str, Any] = {
        "app": f"{__name__}:app",
        "factory": True,
        **within_bounds(parser, connections),
        "lifespan": "on",
        "access_log": False,  # it would hold paths that strangers chose; the receiver logs its own lines
        "ws": "none",  # so would uvicorn's line about a rejected WebSocket
        "proxy_headers": False,  # uvicorn would take a stranger's X-Forwarded-For for the address of the peer
        "log_config": log_config(log_format),
        **options,
    }
    code: object = 0
    try:
        if options["workers"] > 1:
            _run_workers(uvicorn.Config(**config))
        else:
            uvicorn.run(app_dir=os.getcwd(), **config)
    except SystemExit as ended:
        code = 1 if ended.code == _STARTUP_FAILURE else ended.code
        raise SystemExit(code) from None
    finally:
        leave_threads_behind(code if isinstance(code, int) else 1)


def _run_workers(config: uvicorn.Config) -> None:
    """Run server processes as `uvicorn.run` does, but do not end with 0 if one of them could not start."""
    make: Any = Multiprocess
    # Older versions of uvicorn take it, too.
    older = {"target": uvicorn.Server(config).run} if "target" in signature(make).parameters else {}
    if config.uds:  # of a process that was killed: with one process asyncio removes it
        Path(config.uds).unlink(missing_ok=True)
    processes = make(config, sockets=[config.bind_socket()], **older)
    try:
        processes.run()
    finally:
        if config.uds:
            Path(config.uds).unlink(missing_ok=True)
    if any(each.process.exitcode == _STARTUP_FAILURE for each in processes.processes):
        raise SystemExit(_STARTUP_FAILURE)


def announce(said: str, log_format: LogFormat) -> None:
    """Say what is served or handled: to people, or as a line of a log that is JSON."""
    if log_format == "json":
        logger.info("%s", said)
    else:
        output.say(said, "bold")


def log_json() -> None:
    """Have all that this process says be lines of JSON, why it cannot start among them."""
    logging.config.dictConfig(log_config("json"))
    output.tell_failures(lambda why: logger.error("%s", why))


def grace(hooks: WebhookReceiver) -> int:
    """Return the seconds that requests under way have to end when the server stops.

    With an inbox a request is a commit, and the handlers of stored deliveries are waited for afterwards; without one
    its handlers run meanwhile. What is cut off was not acknowledged.
    """
    return 1 if inbox_of(hooks) is not None else ceil(WorkerOptions().stop)


def leave_threads_behind(code: int) -> None:
    """Exit with `code` at once if a handler is stuck in a thread, since Python would wait for the thread.

    This concerns Ctrl-C if the server runs in this process: uvicorn ends other processes by signals.
    """
    others = [each for each in threading.enumerate() if each is not threading.current_thread() and not each.daemon]
    deadline = time.monotonic() + _PATIENCE
    for each in others:
        each.join(max(0.0, deadline - time.monotonic()))
    stuck = sum(each.is_alive() for each in others)
    if stuck:
        logger.error("the process ends although a handler does not end; threads that still run: %d", stuck)
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def app() -> Starlette:
    """Return the app; called in each process that serves it."""
    if reconfigure := getattr(sys.stdout, "reconfigure", None):
        reconfigure(line_buffering=True)  # so that prints of handlers appear in a container's log at once
    _give_memory_back()
    hooks = loaded_again(load, os.environ[TARGET])
    given = os.environ.get(INSPECTOR)
    served = beside_health(hooks, os.environ[PATH], Mounting(*json.loads(given)) if given else None)
    return exporters.beside(served) if exporters.are_wanted() else served


def loaded_again(load: Callable[[str], T], target: str) -> T:
    """Return what `load` loads, in a process that uvicorn starts; log why it cannot, and exit.

    That is after a change of the module, when nobody but uvicorn is there to tell it. The process ends with its parent.
    """
    if multiprocessing.parent_process() is not None:
        threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    try:
        return load(target)
    except BadParameter as error:
        logger.error("%s", error.message)
        sys.exit(1)


def _give_memory_back() -> None:
    """Have glibc return the memory of large bodies once they are gone.

    By default it keeps what it once had for reuse, as soon as a large block was freed (mallopt(3), M_MMAP_THRESHOLD).
    """
    with suppress(OSError, AttributeError, TypeError):  # another C library, or none
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 64 * 1024)


def _end_with_parent() -> None:
    """End this process, in good order, when the one that started it is gone, which would start none in its place.

    It would hold the port, so that a new start failed.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None  # noqa: S101 - for the type checkers
    parent.join()
    logger.error("the process that started this one is gone, so this one ends")
    os.kill(os.getpid(), signal.SIGTERM)


def beside_health(hooks: WebhookReceiver, path: str, inspector: Mounting | None = None) -> Starlette:
    """Return an app with the receiver at `path`, its health beside it, and an inspector.

    A receiver whose secret is the last part of the URL's path is below `path`.
    """
    if TOKEN in secret_places(hooks.sender.scheme) and "{" not in path:
        path = f"{path.rstrip('/')}/{{token}}"
    health, live, probe = _health(hooks)
    mounted = [] if inspector is None else _mounted(hooks, inspector)
    return Starlette(routes=[health, live, hooks.route(path), *mounted, probe], lifespan=hooks.lifespan)


def _mounted(hooks: WebhookReceiver, mounting: Mounting) -> list[BaseRoute]:
    """Return the routes of an inspector: of what is below its path, and of the path itself."""
    from ..inspector import Inspector, PasswordFile

    def below(request: Request) -> Response:
        return RedirectResponse(f"{request.scope.get('root_path', '')}{mounting.path}/", 307)

    inspector = Inspector(hooks, auth=PasswordFile(mounting.passwords), writable=mounting.writable)
    return [Route(mounting.path, below), Mount(mounting.path, inspector)]


def check_inspector(hooks: WebhookReceiver, passwords: Path) -> None:
    """Check that an inspector of a receiver can be mounted.

    Raises:
        typer.Exit: it cannot; the message was printed.
    """
    from ..inspector import Inspector, PasswordFile

    try:
        Inspector(hooks, auth=PasswordFile(passwords))
    except ConfigurationError as error:
        raise fail(str(error)) from None


def _health(hooks: WebhookReceiver) -> list[Route]:
    """Return the routes of the health: in full, for a probe of readiness; of whether the process answers, for one of
    liveness; and at `/` by OPTIONS, for HAProxy's `option httpchk`.

    Who asks for liveness starts the process anew, which mends no inbox: so that one is not asked. Proxies pass `/` on,
    so strangers are told no more than the status there.
    """
    health = hooks.health_route(HEALTH)

    async def status(request: Request) -> Response:
        return Response(status_code=(await health.endpoint(request)).status_code)

    async def live(_: Request) -> Response:
        return Response(status_code=204)

    return [health, Route(LIVE, live), Route("/", status, methods=["OPTIONS"])]


def health_server(hooks: WebhookReceiver, host: str, port: int, log_format: LogFormat) -> uvicorn.Server:
    """Return a server of the receiver's health alone, as `serve` has it, for a worker in the same event loop."""
    app = Starlette(routes=_health(hooks))
    options: dict[str, Any] = {"host": host, "port": port, "log_config": log_config(log_format)}
    options |= {"timeout_graceful_shutdown": 1}
    options |= within_bounds(PARSER, checked_limit(None))
    return uvicorn.Server(uvicorn.Config(app, lifespan="off", access_log=False, ws="none", **options))


@asynccontextmanager
async def living(app: ASGIApp) -> AsyncGenerator[None]:
    """Run the lifespan of an app, as uvicorn does, and serve nothing.

    Raises:
        ConfigurationError: the app cannot start; why is in the log.
    """
    config = uvicorn.Config(app, ws="none", log_config=None)
    config.load()
    lifespan = config.lifespan_class(config)
    await lifespan.startup()
    if lifespan.should_exit:
        raise ConfigurationError("its lifespan has failed, as the log says")
    try:
        yield
    finally:
        await lifespan.shutdown()


async def try_inboxes(*receivers: WebhookReceiver) -> None:
    """Open and close the inboxes of receivers that will run beside each other, so that an error is reported before
    anything is served.

    Raises:
        ConfigurationError: an inbox is misconfigured, or a receiver's name in it is another one's.
        InboxError: an inbox cannot be used now.
    """
    async with AsyncExitStack() as opened:
        for hooks in receivers:
            inbox = inbox_of(hooks)
            if inbox is not None:
                check_name(hooks.runtime, inbox, hooks.name)
                opened.push_async_callback(inbox.close)
                await hooks.runtime.open()
                claim_name(hooks.runtime, inbox, hooks.name)
                opened.callback(release_name, hooks.runtime)


class CutOff(logging.Filter):
    """Leaves out the tracebacks of requests that are cut off when the server stops: a line has told their number."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is none of them."""
        return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))


class StartFailure(logging.Filter):
    """Leaves out what nobody reads of the traceback of an app that could not start: the frames of libraries.

    The error of a misconfigured receiver is a sentence, which needs no frames at all.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Shorten the record; return True."""
        message = record.getMessage()
        if message.startswith("Traceback (most recent call last)"):
            record.msg, record.args = _shortened(message), ()
        return True


_FRAME = re.compile(r'^  File "(.+?)", line \d+(?:, in .*)?\n(?:    .*\n)*', re.MULTILINE)
_OWN_ERROR = re.compile(rf"^{re.escape(ConfigurationError.__module__)}\.\w+: ", re.MULTILINE)
_LIBRARIES = ("<frozen", sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), str(Path(__file__).parents[1]))


def _shortened(traceback: str) -> str:
    *_, said = _OWN_ERROR.split(traceback)
    if said != traceback:
        return f"cannot start: {said.strip()}"
    return _FRAME.sub(lambda frame: "" if frame[1].startswith(_LIBRARIES) else frame[0], traceback).rstrip()


class Upgrades(logging.Filter):
    """Leaves out uvicorn's warnings that it does not upgrade: the request is answered without (RFC 9110, 7.8)."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is none of them."""
        return not record.getMessage().startswith(("Unsupported upgrade request", "No supported WebSocket library"))


def json_formatter() -> JSONFormatter:
    """Return the formatter of a process whose log lines are JSON, those of Python's own among them."""
    log_uncaught()
    return JSONFormatter()


def log_config(log_format: LogFormat = "text") -> dict[str, Any]:
    """Return uvicorn's logging configuration, extended by the receiver's logger.

    Args:
        log_format: the format of its lines; as "json" also of those of other loggers, from WARNING on.
    """
    config = deepcopy(LOGGING_CONFIG)
    if log_format == "json":
        config["formatters"]["default"] = {"()": f"{__name__}.json_formatter"}
        config["root"] = {"handlers": ["default"], "level": "WARNING"}
        config["loggers"]["uvicorn"]["propagate"] = False
    config["loggers"]["webhook_receiver"] = {"handlers": ["default"], "level": "INFO", "propagate": False}
    config["filters"] = {"cut off": {"()": f"{__name__}.CutOff"}, "upgrades": {"()": f"{__name__}.Upgrades"}}
    config["filters"]["start failure"] = {"()": f"{__name__}.StartFailure"}
    config["loggers"]["uvicorn.error"]["filters"] = [*config["filters"]]
    config["loggers"]["psycopg.pool"] = {"level": "ERROR"}  # the receiver logs once that the server is away
    return config
