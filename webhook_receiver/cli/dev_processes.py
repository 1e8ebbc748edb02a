"""The local loop: a receiver and the local test server, each in a process of its own, and a webhook between them."""

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
"""What the local test server takes a token for; it takes anything."""
_PATIENCE = 30.0  # seconds for a process to answer, or to end

OnAttempt = Callable[[dict[str, Any]], None]
"""Hears of each attempt to deliver, as `webhook-receiver sender --json` prints it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be started, and where. The ports are free ones."""

    target: str
    """The receiver, as module:hooks."""
    port: int
    sender_port: int
    path: str = "/webhooks"
    secret: Secret | None = None
    reload: bool = False
    retry: str = "1s,5s,30s"
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    """More of it for the receiver."""
    log: IO[Any] | None = None
    """Where the receiver's output goes; to ours if None."""

    @property
    def url(self) -> str:
        """Where the receiver takes deliveries."""
        return f"http://127.0.0.1:{self.port}{self.path}"

    @property
    def sender_url(self) -> str:
        """Where the test server is."""
        return f"http://127.0.0.1:{self.sender_port}"


class Ended(Exception):
    """A process of the loop has ended by itself."""


def environment(plan: Plan) -> dict[str, str]:
    """Return an environment in which a client asks the test server and nobody else, whatever was set before."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith("UP42_")}
    mine |= {"UP42_URL": plan.sender_url, "UP42_USERNAME": USER, "UP42_PASSWORD": PASSWORD}
    mine["UP42_WORKSPACE_ID"] = SimulatorOptions().workspace_id
    if plan.secret is not None:
        mine[SECRET_VARIABLE] = plan.secret.get_secret_value()
    return mine | dict(plan.environment)


class Loop:
    """Both processes while they run, and the clients to drive them; `running` makes one."""

    def __init__(self, plan: Plan, client: WebhooksClient, http: httpx.AsyncClient) -> None:
        self.plan = plan
        self.client = client
        """Of the test server's own API, which is UP42's."""
        self.http = http
        self._sender: Process | None = None
        self._receiver: Process | None = None

    async def start_sender(self, on_attempt: OnAttempt) -> asyncio.Task[None]:
        """Start the test server, and wait until it answers; return what hears of its attempts until it ends."""
        command = ["sender", "--port", str(self.plan.sender_port), "--retry", self.plan.retry, "--json"]
        self._sender = await self._start(*command, stdout=PIPE, limit=1 << 20)
        assert self._sender.stdout is not None  # noqa: S101 - for the type checkers
        if not await self._sender.stdout.readline():  # it says where it is once it listens
            raise Ended("the test server did not start")
        return asyncio.create_task(_hear(self._sender.stdout, on_attempt))

    async def start_receiver(self) -> None:
        """Start the receiver, and wait until it answers."""
        options = ["--port", str(self.plan.port), "--path", self.plan.path]
        more = ["--reload"] if self.plan.reload else []
        self._receiver = await self._start("serve", self.plan.target, *options, *more, stdout=self.plan.log)
        async with asyncio.timeout(_PATIENCE):
            while not (await post(self.http, f"http://127.0.0.1:{self.plan.port}/healthz", (), b"")).status:
                if self._receiver.returncode is not None:
                    raise Ended("the receiver did not start")
                await asyncio.sleep(0.02)

    async def create_webhook(self) -> Webhook:
        """Have the test server deliver to the receiver."""
        ensured = await self.client.ensure(
            name="local loop", url=self.plan.url, events=["order.status"], secret=self.plan.secret
        )
        return ensured.webhook

    async def tell(self, path: str, body: Any = None, *, method: str = "POST") -> Any:
        """Have the test server do something, by its control API; return what it says."""
        answer = await self.http.request(method, self.plan.sender_url + path, json=body)
        answer.raise_for_status()
        return answer.json()

    async def run(self, *arguments: str) -> None:
        """Run another of our commands where the receiver runs, to its end.

        Raises:
            Ended: it failed.
        """
        process = await self._start(*arguments, stdout=self.plan.log)
        try:
            if await process.wait():
                raise Ended(f"{arguments[0]} has failed")
        finally:
            await _end(process, signal.SIGTERM)

    async def until_one_ends(self) -> None:
        """Wait for as long as both run.

        Raises:
            Ended: one has ended by itself.
        """
        names = {"receiver": self._receiver, "test server": self._sender}
        waits = {asyncio.create_task(each.wait()): name for name, each in names.items() if each is not None}
        try:
            ended, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        raise Ended(f"the {waits[ended.pop()]} has ended by itself")

    async def end_receiver(self, with_signal: signal.Signals = signal.SIGTERM) -> None:
        """End the receiver's process."""
        process, self._receiver = self._receiver, None
        await _end(process, with_signal)

    async def end(self) -> None:
        """End both: first the sender, so that nothing is delivered to nobody."""
        process, self._sender = self._sender, None
        await _end(process, signal.SIGTERM)
        await self.end_receiver()

    async def _start(self, *arguments: str, stdout: int | IO[Any] | None, limit: int = 1 << 16) -> Process:
        # In a session of its own, so that Ctrl-C reaches us alone and everything ends in order.
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
async def running(plan: Plan, on_attempt: OnAttempt) -> AsyncGenerator[Loop]:
    """Start both processes; end them when this is left, however that is: by a kind kill or a lost terminal, too.

    Raises:
        Ended: one did not start, or ended by itself before it answered.
    """
    _let_signals_end_it()
    identity: dict[str, Any] = {"username": USER, "password": PASSWORD, "workspace_id": SimulatorOptions().workspace_id}
    async with (
        httpx.AsyncClient(trust_env=False, timeout=10) as http,
        WebhooksClient(url=plan.sender_url, **identity) as client,
    ):
        loop = Loop(plan, client, http)
        hearing: asyncio.Task[None] | None = None
        try:
            hearing = await loop.start_sender(on_attempt)
            await loop.start_receiver()
            yield loop
        finally:
            await loop.end()
            if hearing is not None:
                await hearing


def _let_signals_end_it() -> None:
    """Have the end of the terminal, and a kind kill, end it as Ctrl-C does: the other processes must not stay."""
    ours = asyncio.current_task()
    assert ours is not None  # noqa: S101 - for the type checkers
    for each in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(each, ours.cancel)


def free_port(port: int) -> int:
    """Return `port` if it can be listened on, or a free one for 0.

    Raises:
        OSError: the port is taken, or not ours to take.
    """
    with socket.create_server(("127.0.0.1", port)) as listener:
        found: int = listener.getsockname()[1]
        return found


async def _hear(lines: asyncio.StreamReader, on_attempt: OnAttempt) -> None:
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
