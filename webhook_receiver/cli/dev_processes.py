"""A receiver in a process of its own, the simulator in a thread of this one, and the webhooks between them."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from threading import Thread
from typing import IO, Any

import httpx
import uvicorn
from starlette.types import ASGIApp
from typer import BadParameter

from ..senders.up42.client import WebhooksClient
from ..senders.up42.models import Webhook
from ..senders.up42.settings import Settings
from ..signatures import Scheme, Secret
from ..simulator import Simulator, SimulatorOptions, simulator_app
from ..simulator.scheduler import OnAttempt
from . import output
from .browsers import NoStrangersPages
from .dev_handover import SOCKET, broken
from .options import SECRET_VARIABLES

USER, PASSWORD = "dev", "anything"
"""The credentials to get a token with from the simulator, which takes any."""
_NOT_THEIRS = frozenset(f"UP42_{name}".upper() for name in Settings.model_fields) | {f"{SECRET_VARIABLES[0]}_FILE"}
"""The variables, in upper case, that API clients read, and the one of the secret of production."""
_PACKAGE = str(__package__).rpartition(".")[0]
_PATIENCE = 30.0  # seconds for a process to respond, or to end


@dataclass(frozen=True, slots=True)
class Plan:
    """The options of receiver and simulator. The ports are free ones."""

    target: str
    """The receiver as module:hooks, or the app that it is mounted in."""
    port: int
    """The receiver's port."""
    simulator_port: int
    path: str = "/webhooks"
    """The path of a receiver that is no part of another app."""
    secret: Secret | None = None
    """The secret in the receiver's environment; none if None."""
    reload: bool = False
    """Whether the receiver restarts when a file changes."""
    apart: bool = False
    """Whether deliveries are kept apart from those of production, see `dev_server`."""
    retry: Sequence[float] = ()
    """The simulator's waits before further attempts, in seconds."""
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    """Additional environment variables."""
    log: IO[Any] | None = None
    """The file for the receiver's output; this process's own output if None."""
    inspector_port: int = 0
    """The port of the inspector, where there is one."""

    @property
    def base_url(self) -> str:
        """The URL of the app that is served, without a path."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The URL of a receiver that is no part of another app."""
        return self.base_url + self.path

    @property
    def simulator_url(self) -> str:
        """The simulator's URL."""
        return f"http://127.0.0.1:{self.simulator_port}"

    @property
    def inspector_url(self) -> str:
        """The inspector's URL."""
        return f"http://127.0.0.1:{self.inspector_port}/"


class ProcessEnded(Exception):
    """A process has ended by itself, or failed."""


def environment(plan: Plan) -> dict[str, str]:
    """Return an environment in which API clients ask the simulator and nobody else, whatever was set before."""
    mine = {name: value for name, value in os.environ.items() if name.upper() not in _NOT_THEIRS}
    mine |= {"UP42_URL": plan.simulator_url, "UP42_USERNAME": USER, "UP42_PASSWORD": PASSWORD}
    mine["UP42_WORKSPACE_ID"] = SimulatorOptions().workspace_id
    if plan.secret is not None:
        mine |= dict.fromkeys(SECRET_VARIABLES, plan.secret.get_secret_value())
    return mine | {"PYTHONUNBUFFERED": "1"} | dict(plan.environment)


class LocalLoop:
    """Receiver and simulator while they run, and the clients to drive them; `running` starts them."""

    def __init__(self, plan: Plan, client: WebhooksClient, http: httpx.AsyncClient, simulator: Simulator) -> None:
        self.plan = plan
        self.client = client
        """A client of the simulator's API, which is UP42's."""
        self.http = http
        """A client for the simulator's control API and for the receiver."""
        self._simulator = simulator
        self._receiver: Process | None = None
        self._started: list[Process] = []

    async def start_receiver(self) -> None:
        """Start the receiver, and wait until it responds; with reload also for a change, if it does not start.

        Raises:
            ProcessEnded: it ended, or does not respond.
        """
        plan = self.plan
        if plan.apart:
            served = [f"{__package__}.dev_server", plan.target, plan.path, str(plan.port), "reload" * plan.reload]
        else:
            served = [_PACKAGE, "serve", plan.target, "--port", str(plan.port), "--path", plan.path]
        self._receiver = await self._start(*served, stdout=plan.log)
        told, until = "", time.monotonic() + _PATIENCE
        while not await self._responds():
            why = broken(plan.environment[SOCKET]) if SOCKET in plan.environment else ""
            if self._receiver.returncode is not None:
                raise ProcessEnded(f"the receiver did not start{': ' if why else ''}{why}")
            if why and plan.reload:
                if why != told:
                    output.warn(f"your app does not start: {why}; it is started again when a file changes")
                until = time.monotonic() + _PATIENCE
            elif time.monotonic() > until:
                raise ProcessEnded(f"the receiver does not respond within {_PATIENCE:g} s")
            told = why
            await asyncio.sleep(0.02)

    async def _responds(self) -> bool:
        try:
            await self.http.get(f"{self.plan.base_url}/healthz")
        except httpx.TransportError:
            return False
        return True

    async def create_webhook(
        self, name: str, url: str, secret: Secret | None = None, *, scheme: Scheme | None = None
    ) -> Webhook:
        """Create a webhook for a receiver, and return it.

        Args:
            name: the webhook's name.
            url: the receiver's URL.
            secret: the webhook's secret; None for none.
            scheme: the scheme that signs if there is no secret; None to leave deliveries unsigned.
        """
        ensured = await self.client.ensure(name=name, url=url, events=["order.status"], secret=secret)
        if scheme is not None:
            self._simulator.scheduler.schemes[ensured.webhook.id] = scheme
        return ensured.webhook

    async def control(self, path: str, body: Any = None, *, method: str = "POST") -> Any:
        """Call the simulator's control API; return the JSON of its response."""
        response = await self.http.request(method, self.plan.simulator_url + path, json=body)
        response.raise_for_status()
        return response.json()

    async def run(self, *arguments: str) -> None:
        """Run another command of this package to its end, in the receiver's environment.

        Raises:
            ProcessEnded: the command failed.
        """
        process = await self._start(_PACKAGE, *arguments, stdout=self.plan.log)
        try:
            if await process.wait():
                raise ProcessEnded(f"{arguments[0]} has failed")
        finally:
            await _end(process, signal.SIGTERM)

    async def until_it_ends(self) -> None:
        """Wait until the receiver ends by itself.

        Raises:
            ProcessEnded: it has.
        """
        if self._receiver is not None:
            await self._receiver.wait()
        raise ProcessEnded("the receiver has ended by itself")

    async def end_receiver(self, with_signal: signal.Signals = signal.SIGTERM) -> None:
        """End the receiver's process, and wait for its end."""
        process, self._receiver = self._receiver, None
        await _end(process, with_signal)

    def kill(self) -> None:
        """Kill every process that was started here, with those that it has started."""
        for each in self._started:
            if each.returncode is None:
                _kill(each)

    async def _start(self, *module: str, stdout: int | IO[Any] | None) -> Process:
        # In a session of its own, so that Ctrl-C reaches only this process, which ends the others in order.
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", *module),
            env=environment(self.plan),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=stdout,
            stderr=self.plan.log,
            start_new_session=True,
        )
        self._started.append(process)
        return process


@asynccontextmanager
async def running(
    plan: Plan,
    on_attempt: OnAttempt,
    inspector: Callable[[Simulator], ASGIApp] | None = None,
    *,
    introduce: Callable[[], None] = lambda: None,
) -> AsyncGenerator[LocalLoop]:
    """Start receiver and simulator; end them on exit, also after Ctrl-C, SIGTERM or the loss of the terminal.

    Handlers are waited for then; a further Ctrl-C kills their processes.

    Args:
        plan: the options of both.
        on_attempt: called with each attempt to deliver, in the thread of the simulator.
        inspector: returns the app of an inspector, to serve beside the simulator, in its event loop; None for none.
        introduce: called once these listen, before the receiver is started, which prints lines of its own.

    Raises:
        ProcessEnded: the receiver did not start.
    """
    identity: dict[str, Any] = {"username": USER, "password": PASSWORD, "workspace_id": SimulatorOptions().workspace_id}
    simulator = Simulator(SimulatorOptions(retry=tuple(plan.retry)), on_attempt=on_attempt)
    async with (
        httpx.AsyncClient(trust_env=False, timeout=10) as http,
        WebhooksClient(url=plan.simulator_url, **identity) as client,
    ):
        loop = LocalLoop(plan, client, http, simulator)
        _end_on_signals(loop.kill)
        try:
            apps: list[tuple[ASGIApp, int]] = [
                (NoStrangersPages(simulator_app(simulator), loopback=True), plan.simulator_port)
            ]
            if inspector is not None:
                apps.append((inspector(simulator), plan.inspector_port))
            async with _served(apps):  # ends first: nothing is delivered to what is gone
                introduce()
                await loop.start_receiver()
                yield loop
        finally:
            await loop.end_receiver()


@asynccontextmanager
async def _served(apps: Sequence[tuple[ASGIApp, int]]) -> AsyncGenerator[None]:
    """Serve apps in one event loop, in a thread, each at a port of the loopback, until the block ends."""
    servers: list[uvicorn.Server] = []
    with ExitStack() as listening:
        listeners: list[socket.socket] = []
        for app, port in apps:
            listeners.append(listening.enter_context(socket.create_server(("127.0.0.1", port))))
            config = uvicorn.Config(
                app,
                lifespan="on",
                log_config=None,
                access_log=False,
                ws="none",
                proxy_headers=False,
                timeout_graceful_shutdown=1 if len(apps) > 1 else None,
            )
            servers.append(uvicorn.Server(config))

        async def serve() -> None:
            await asyncio.gather(*(each.serve([listener]) for each, listener in zip(servers, listeners, strict=True)))

        thread = Thread(target=lambda: asyncio.run(serve()))
        thread.start()
        try:
            yield
        finally:
            for each in servers:
                each.should_exit = True
            await asyncio.to_thread(thread.join)


def _end_on_signals(kill: Callable[[], None]) -> None:
    """Cancel this task on the first signal: the other processes must not stay. A Ctrl-C after that calls `kill`."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - for the type checkers
    is_ending = False

    def end(by: signal.Signals) -> None:
        nonlocal is_ending
        if not is_ending:
            is_ending = True
            task.cancel()
            if by is signal.SIGINT:
                output.warn("waiting for the handlers; Ctrl-C again ends at once")
        elif by is signal.SIGINT:  # a terminal that is lost may say so twice
            kill()

    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(each, end, each)


def free_port(port: int = 0, option: str = "--port") -> int:
    """Return `port` if it is free, or a free port for 0.

    Args:
        port: the port.
        option: the option that gives it, for the error.

    Raises:
        BadParameter: the port is taken, or this user may not listen on it.
    """
    try:
        with socket.create_server(("127.0.0.1", port)) as listener:
            found: int = listener.getsockname()[1]
            return found
    except OSError as error:
        raise BadParameter(f"cannot listen on {port}: {error.strerror}", param_hint=option) from None


async def _end(process: Process | None, with_signal: signal.Signals) -> None:
    if process is None or process.returncode is not None:
        return
    with suppress(ProcessLookupError):  # it has just been killed
        process.send_signal(with_signal)
    try:
        async with asyncio.timeout(_PATIENCE):
            await process.wait()
    except TimeoutError:
        _kill(process)
        await process.wait()


def _kill(process: Process) -> None:
    """Kill a process that was started here, with those that it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
