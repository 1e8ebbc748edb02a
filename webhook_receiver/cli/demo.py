"""`demo`: a receiver on the loopback gets what a sender would send it, and what strangers would; then it is killed."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from ..delivery import Headers
from ..inbox import Filter, Record, SQLiteInbox, State
from ..receiver import MAX_BODY
from ..sender import deliveries as make
from ..sender.deliveries import post
from ..signatures import UP42Signature
from . import output

FLAKY, LOST, SLOW = "storage is down twice", "no room left", "large"
"""Notes in orders, by which the handlers of `demo_app` know what to do."""
PATH = "/webhooks"
SLOW_ORDERS = 12
_PATIENCE = 30.0  # seconds for anything here to happen


@dataclass(frozen=True, slots=True)
class Case:
    """One delivery, and what has to become of it."""

    what: str
    headers: Headers
    body: bytes
    status: int
    fate: str = "-"
    """What the inbox says of it afterwards, as `download: done`."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a case."""

    what: str
    answer: str
    fate: str
    right: bool
    expected: str = ""

    def as_json(self) -> dict[str, Any]:
        return {"what": self.what, "answer": self.answer, "fate": self.fate, "right": self.right}


class Demo:
    """A receiver in a process of its own, with an inbox in a file that is looked into from here."""

    def __init__(self, port: int, folder: Path) -> None:
        self.url = f"http://127.0.0.1:{port}{PATH}"
        self.secret = secrets.token_urlsafe(24)
        self.inbox = SQLiteInbox(folder / "hooks.db", min_free=0)
        self._port = port
        self._log = folder / "log"
        self._process: asyncio.subprocess.Process | None = None

    async def serve(self, client: httpx.AsyncClient) -> None:
        """Start the receiver's process, and wait until it answers."""
        command = [sys.executable, "-m", "webhook_receiver", "serve", f"{__package__}.demo_app:hooks"]
        environment = {"WEBHOOK_SECRET": self.secret, "WEBHOOK_INBOX": f"sqlite:///{self.inbox.path}?min_free=0"}
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(*command, "--port", str(self._port), "--path", PATH),
                env={**os.environ, **environment},
                stdout=log,
                stderr=log,
            )
        health = self.url.removesuffix(PATH) + "/healthz"
        async with asyncio.timeout(_PATIENCE):
            while not (await post(client, health, (), b"")).status:
                if self._process.returncode is not None:
                    raise RuntimeError(self._log.read_text(errors="replace"))
                await asyncio.sleep(0.02)

    async def end(self, with_signal: signal.Signals) -> None:
        """End the receiver's process."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.send_signal(with_signal)
            async with asyncio.timeout(_PATIENCE):
                await process.wait()

    async def deliver(self, client: httpx.AsyncClient, case: Case) -> Outcome:
        """Deliver one case over HTTP; wait until the inbox knows what became of it."""
        before = {record.id for record in await self._records()}
        result = await post(client, self.url, case.headers, case.body)
        await self._until_finished()
        new = [record for record in await self._records() if record.id not in before]
        fate = _fate(new[0]) if new else "-"
        right = result.status == case.status and fate == case.fate
        return Outcome(case.what, result.label, fate, right, f"{case.status}, {case.fate}")

    async def replay(self, what: str) -> Outcome:
        """Replay what is dead because a handler gave up."""
        dead = [each for each in await self._records() if each.state is State.DEAD and each.event is not None]
        await self.inbox.replay([record.id for record in dead], time.time())
        await self._until_finished()
        fates = [_fate(record) for record in await self._records() if record.id in {each.id for each in dead}]
        return Outcome(
            what, "-", ", ".join(fates), fates == ["download: done, 2 attempts"], "download: done, 2 attempts"
        )

    async def kill(self, client: httpx.AsyncClient, what: str) -> Outcome:
        """Kill the receiver while it handles what it has acknowledged; start it again, and count."""
        scheme, before = UP42Signature(self.secret), {record.id for record in await self._records()}
        bodies = [_order("FULFILLED", note=SLOW) for _ in range(SLOW_ORDERS)]
        sent = [post(client, self.url, make.signed(body, scheme, now=time.time()), body) for body in bodies]
        acknowledged = sum(result.ok for result in await asyncio.gather(*sent))
        await self.end(signal.SIGKILL)
        unfinished = len([record for record in await self._records() if record.state is State.WAITING])
        await self.serve(client)
        await self._until_finished()
        new = [record for record in await self._records() if record.id not in before]
        done = len([record for record in new if record.state is State.DONE])
        fate = f"{unfinished} were left; {done} done after a restart"
        right = acknowledged == done == SLOW_ORDERS and unfinished > 0
        return Outcome(what, f"{acknowledged} times 202", fate, right, f"{SLOW_ORDERS} of {SLOW_ORDERS}")

    async def _records(self) -> list[Record]:
        return list(await self.inbox.find(Filter()))

    async def _until_finished(self) -> None:
        async with asyncio.timeout(_PATIENCE):
            while (await self.inbox.stats()).counts[State.WAITING]:  # noqa: ASYNC110 - another process works
                await asyncio.sleep(0.02)


def _fate(record: Record) -> str:
    """Say what the inbox knows of a delivery, as `download: done, 3 attempts`."""
    if not record.handlers:
        return str(record.state)
    name, progress = next(iter(record.handlers.items()))
    attempts = f", {progress.attempts} attempts" if progress.attempts > 1 else ""
    return f"{name}: {progress.state}{attempts}"


def _order(status: str, **body: str) -> bytes:
    document = make.document("order.status", status, now=time.time())
    document["body"] |= body
    return make.dump(document)


def cases(secret: str, now: float) -> Iterator[Case]:
    """Yield what is delivered, genuine and hostile."""
    scheme = UP42Signature(secret)

    def signed(body: bytes, seconds_ago: float = 0) -> Headers:
        return make.signed(body, scheme, now=now - seconds_ago)

    fulfilled, failed, placed = _order("FULFILLED"), _order("FAILED_PERMANENTLY"), _order("PLACED")
    flaky, lost = _order("FULFILLED", note=FLAKY), _order("FULFILLED", note=LOST)
    unheard_of = make.dump(make.document("storage.cleaned", "DONE", now=now))
    large = b'{"padding": "' + b"x" * MAX_BODY + b'"}'
    yield Case("order fulfilled", signed(fulfilled), fulfilled, 202, "download: done")
    yield Case("the same delivery again", signed(fulfilled), fulfilled, 200)
    yield Case("order failed permanently", signed(failed), failed, 202, "alert: done")
    yield Case("another status of an order", signed(placed), placed, 202, "other: done")
    yield Case("an event nobody knows", signed(unheard_of), unheard_of, 202, "other: done")
    yield Case("its handler fails twice", signed(flaky), flaky, 202, "download: done, 3 attempts")
    yield Case("its handler gives up", signed(lost), lost, 202, "download: dead")
    yield Case("signed, but not JSON", signed(b"<xml/>"), b"<xml/>", 202, "dead")
    yield Case("forged: signed with another secret", make.forged(fulfilled, now=now), fulfilled, 401)
    yield Case("forged: not signed at all", make.unsigned(), fulfilled, 401)
    yield Case("replayed with another body", signed(fulfilled), failed, 401)
    yield Case("stale: signed an hour ago", signed(fulfilled, seconds_ago=3600), fulfilled, 401)
    yield Case("oversized: more than 1 MiB", signed(large), large, 413)


def free_port(port: int) -> int:
    """Return `port` if it can be listened on, or a free one for 0.

    Raises:
        OSError: the port is taken, or not ours to take.
    """
    with socket.create_server(("127.0.0.1", port)) as listener:
        found: int = listener.getsockname()[1]
        return found


async def run(port: int, outcomes: list[Outcome], *, keep_running: bool, as_json: bool) -> None:
    """Show every case with what became of it; put them into `outcomes`."""
    with TemporaryDirectory(prefix="webhook-receiver-demo-") as folder:
        async with _served(Demo(port, Path(folder))) as (demo, client):
            if not as_json:
                output.say(
                    f"A receiver listens at {demo.url}. It gets what a sender, and what strangers, would send:\n"
                )
            for case in cases(demo.secret, time.time()):
                outcomes.append(_shown(await demo.deliver(client, case), as_json))
            outcomes.append(_shown(await demo.replay("the dead letter is replayed"), as_json))
            outcomes.append(_shown(await demo.kill(client, f"kill -9 with {SLOW_ORDERS} just acknowledged"), as_json))
            if not as_json:
                _conclude(outcomes)
            if keep_running:
                output.stderr.print("\nIt still listens; Ctrl-C ends it. Send it more, and look into its inbox:")
                output.stderr.print(f"  webhook-receiver send {demo.url} --secret {demo.secret}", soft_wrap=True)
                output.stderr.print(f"  webhook-receiver inbox ls sqlite:///{demo.inbox.path}", soft_wrap=True)
                await asyncio.Event().wait()


@asynccontextmanager
async def _served(demo: Demo) -> AsyncGenerator[tuple[Demo, httpx.AsyncClient]]:
    await demo.inbox.open()
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        try:
            await demo.serve(client)
            yield demo, client
        finally:
            await demo.end(signal.SIGTERM)
            await demo.inbox.close()


def _conclude(outcomes: list[Outcome]) -> None:
    right = sum(outcome.right for outcome in outcomes)
    style = "bold green" if right == len(outcomes) else "bold red"
    output.say(f"\n{right} of {len(outcomes)} came out as they should.", style)


def _shown(outcome: Outcome, as_json: bool) -> Outcome:
    if as_json:
        output.say_json(outcome.as_json())
        return outcome
    verdict = "ok" if outcome.right else f"WRONG: {outcome.expected} expected"
    line = f"{outcome.what:37}{outcome.answer:30}{outcome.fate:40}{verdict}"
    output.say(line, "green" if outcome.right else "bold red")
    return outcome
