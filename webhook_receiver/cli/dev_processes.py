"""A receiver and the simulator, each in a process of its own, and the webhook between them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import IO, Any

import httpx

from ..senders.up42.client import WebhooksClient
from ..senders.up42.models import Webhook
from ..signatures import Secret
from ..simulator import SimulatorOptions
from ..simulator.payloads import post
from .options import SECRET_VARIABLE

USER, PASSWORD = "dev", "anything"
"""The credentials to get a token with from the simulator, which takes any."""
_PATIENCE = 30.0  # seconds for a process to respond, or to end

OnAttempt = Callable[[dict[str, Any]], None]
"""A function called with each attempt to deliver, as `webhook-receiver simulator --json` prints it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The options of both processes. The ports are free ones."""

    target: str
    """The receiver, as module:hooks."""
    port: int
    """The receiver's port."""
    simulator_port: int
    path: str = "/webhooks"
    """The receiver's path."""
    secret: Secret | None = None
    """The secret of both; deliveries are unsigned if None."""
    reload: bool = False
    """Whether the receiver restarts when a file changes."""
    retry: str = "1s,5s,30s"
    """The simulator's waits before further attempts."""
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    """Additional environment variables."""
    log: IO[Any] | None = None
    """The file for the receiver's output; this process's own output if None."""

    @property
    def url(self) -> str:
        """The receiver's URL."""
        return f"http://127.0.0.1:{self.port}{self.path}"

    @property
    def simulator_url(self) -> str:
        """The simulator's URL."""
        return f"http://127.0.0.1:{self.simulator_port}"


class ProcessEnded(Exception):
    """A process has ended by itself, or failed."""


def environment(plan: Plan) -> dict[str, str]:
    """Return an environment in which API clients ask the simulator and nobody else, whatever was set before."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith("UP42_")}
    mine |= {"UP42_URL": plan.simulator_url, "UP42_USERNAME": USER, "UP42_PASSWORD": PASSWORD}
    mine["UP42_WORKSPACE_ID"] = SimulatorOptions().workspace_id
    if plan.secret is not None:
        mine[SECRET_VARIABLE] = plan.secret.get_secret_value()
    return mine | dict(plan.environment)


class LocalLoop:
    """Both processes while they run, and the clients to drive them; `running` starts them."""

    def __init__(self, plan: Plan, client: WebhooksClient, http: httpx.AsyncClient) -> None:
        self.plan = plan
        self.client = client
        """A client of the simulator's API, which is UP42's."""
        self.http = http
        """A client for the simulator's control API and for the receiver."""
        self._simulator: Process | None = None
        self._receiver: Process | None = None

    async def start_simulator(self, on_attempt: OnAttempt) -> asyncio.Task[None]:
        """Start the simulator, and wait until it listens; return the task that passes on its attempts until it ends."""
        command = ["simulator", "--port", str(self.plan.simulator_port), "--retry", self.plan.retry, "--json"]
        self._simulator = await self._start(*command, stdout=PIPE, limit=1 << 20)
        assert self._simulator.stdout is not None  # noqa: S101 - for the type checkers
        if not await self._simulator.stdout.readline():  # it says where it is once it listens
            raise ProcessEnded("the simulator did not start")
        return asyncio.create_task(_read_attempts(self._simulator.stdout, on_attempt))

    async def start_receiver(self) -> None:
        """Start the receiver, and wait until it responds."""
        options = ["--port", str(self.plan.port), "--path", self.plan.path]
        more = ["--reload"] if self.plan.reload else []
        self._receiver = await self._start("serve", self.plan.target, *options, *more, stdout=self.plan.log)
        async with asyncio.timeout(_PATIENCE):
            while not (await post(self.http, f"http://127.0.0.1:{self.plan.port}/healthz", (), b"")).status:
                if self._receiver.returncode is not None:
                    raise ProcessEnded("the receiver did not start")
                await asyncio.sleep(0.02)

    async def create_webhook(self) -> Webhook:
        """Create the simulator's webhook for the receiver, and return it."""
        ensured = await self.client.ensure(
            name="local loop", url=self.plan.url, events=["order.status"], secret=self.plan.secret
        )
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
        process = await self._start(*arguments, stdout=self.plan.log)
        try:
            if await process.wait():
                raise ProcessEnded(f"{arguments[0]} has failed")
        finally:
            await _end(process, signal.SIGTERM)

    async def until_one_ends(self) -> None:
        """Wait until one of the processes ends.

        Raises:
            ProcessEnded: one has ended by itself.
        """
        names = {"receiver": self._receiver, "simulator": self._simulator}
        waits = {asyncio.create_task(each.wait()): name for name, each in names.items() if each is not None}
        try:
            ended, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        raise ProcessEnded(f"the {waits[ended.pop()]} has ended by itself")

    async def end_receiver(self, with_signal: signal.Signals = signal.SIGTERM) -> None:
        """End the receiver's process, and wait for its end."""
        process, self._receiver = self._receiver, None
        await _end(process, with_signal)

    async def end(self) -> None:
        """End both: first the simulator, so that nothing is delivered to a receiver that is gone."""
        process, self._simulator = self._simulator, None
        await _end(process, signal.SIGTERM)
        await self.end_receiver()

    async def _start(self, *arguments: str, stdout: int | IO[Any] | None, limit: int = 1 << 16) -> Process:
        # In a session of its own, so that Ctrl-C reaches only this process, which ends the others in order.
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "webhook_receiver", *arguments),
            env=environment(self.plan),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=stdout,
            stderr=self.plan.log,
            start_new_session=True,
            limit=limit,
        )


@asynccontextmanager
async def running(plan: Plan, on_attempt: OnAttempt) -> AsyncGenerator[LocalLoop]:
    """Start both processes; end them on exit, also after SIGTERM or the loss of the terminal.

    Raises:
        ProcessEnded: one did not start, or ended before it responded.
    """
    _cancel_on_signals()
    identity: dict[str, Any] = {"username": USER, "password": PASSWORD, "workspace_id": SimulatorOptions().workspace_id}
    async with (
        httpx.AsyncClient(trust_env=False, timeout=10) as http,
        WebhooksClient(url=plan.simulator_url, **identity) as client,
    ):
        loop = LocalLoop(plan, client, http)
        reading: asyncio.Task[None] | None = None
        try:
            reading = await loop.start_simulator(on_attempt)
            await loop.start_receiver()
            yield loop
        finally:
            await loop.end()
            if reading is not None:
                await reading


def _cancel_on_signals() -> None:
    """Cancel this task on SIGTERM and SIGHUP, as Ctrl-C does: the other processes must not stay."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - for the type checkers
    for each in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(each, task.cancel)


def free_port(port: int) -> int:
    """Return `port` if it is free, or a free port for 0.

    Raises:
        OSError: the port is taken, or this user may not listen on it.
    """
    with socket.create_server(("127.0.0.1", port)) as listener:
        found: int = listener.getsockname()[1]
        return found


async def _read_attempts(lines: asyncio.StreamReader, on_attempt: OnAttempt) -> None:
    async for line in lines:
        on_attempt(json.loads(line))


async def _end(process: Process | None, with_signal: signal.Signals) -> None:
    if process is None or process.returncode is not None:
        return
    process.send_signal(with_signal)
    try:
        async with asyncio.timeout(_PATIENCE):
            await process.wait()
    except TimeoutError:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
