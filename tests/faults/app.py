"""A receiver that is run as a process of its own, to be killed and tormented: `python -m tests.faults.app FD`.

FD is a socket that listens. The folder of its files is in FAULTS_FOLDER, settings that differ are in FAULTS_OPTIONS.
Each order says in its body what its handlers are to do; what they did is in the file `ran`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from tests.faults.clock import FOLDER  # before anything takes the time
from tests.faults.harness import name_of_old
from tests.helpers import SECRET
from tests.orders import Client
from webhook_receiver import Attempt, Changes, GiveUp, OrderStatusChanged, Retry, SQLiteInbox, WebhookReceiver
from webhook_receiver.inbox import Claim
from webhook_receiver.inbox.owner import Owner
from webhook_receiver.options import Backoff, Breaker, WorkerOptions
from webhook_receiver.runtime import poller
from webhook_receiver.senders.up42 import up42

OPTIONS: dict[str, Any] = {
    "url": None,  # of another inbox than the file
    "work": True,
    "inbox": {},
    "backoff": {"first": 0.05, "longest": 0.2, "attempts": 50},
    "worker": {"lease": 1.0, "poll": 0.1},
    "max_file": None,  # bytes, as if the disk were full
    "api": None,  # the address of an orders API to poll
    "changes": None,  # the address of a list of changes to poll
    "interval": 0.5,  # seconds between two polls
    "poll_lease": 1.0,  # seconds
    "name": None,  # of the receiver
    "late": None,  # seconds that the process may stand still without a word of it in the file `late`
} | json.loads(os.environ.get("FAULTS_OPTIONS", "{}"))
OPTIONS["inbox"] = {"min_free": 0} | OPTIONS["inbox"]
poller.LEASE = OPTIONS["poll_lease"]
poller.SHORTEST_BACKOFF = poller.LONGEST_BACKOFF = OPTIONS["interval"]

if OPTIONS["max_file"] is not None:
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (OPTIONS["max_file"], most))


class Inbox(SQLiteInbox):
    """An inbox that notes whose sign of life is which, as the file `owners` has it."""

    async def own(self, owner: Owner, lease: float, now: float) -> bool:
        if owner.seen is None:
            append("owners", f"{owner.token} {os.getpid()}\n")
        with noted_if_slow():
            return await super().own(owner, lease, now)

    async def claim(
        self, receiver: str, limit: int, lease: float, now: float, unix: float | None = None
    ) -> Sequence[Claim]:
        with noted_if_slow():
            return await super().claim(receiver, limit, lease, now, unix)

    async def renew(self, claims: Sequence[Claim], lease: float, now: float) -> None:
        with noted_if_slow():
            await super().renew(claims, lease, now)


@contextmanager
def noted_if_slow() -> Generator[None]:
    """Note a commit that takes so long, on a busy disk, that the lease it is about may have ended by then."""
    before = time.monotonic()
    yield
    note_late(before)


def note_late(since: float) -> None:
    """Note it if this process has waited since a monotonic time for so long that its leases may have ended."""
    now = time.monotonic()
    if OPTIONS["late"] is not None and now - since > OPTIONS["late"]:
        append("late", f"{os.getpid()} {since} {now}\n")


def decode(body: bytes) -> bytes:
    """Return an order's news instead of the body that all deliveries in older files have."""
    if not body.startswith(b'{"n"'):
        return body
    number = json.loads(body)["n"]
    news = {"orderId": "old", "status": f"S{number}", "does": "end at once"}
    return json.dumps({"event": "order.status", "body": news}).encode()


hooks = WebhookReceiver(
    sender=replace(up42(SECRET), decode=decode),
    name=OPTIONS["name"],
    inbox=OPTIONS["url"] or Inbox(FOLDER / "hooks.db", **OPTIONS["inbox"]),
    work=OPTIONS["work"],
    worker=WorkerOptions(
        backoff=Backoff(**OPTIONS["backoff"]), breaker=Breaker(failures=1_000_000), **OPTIONS["worker"]
    ),
)

if OPTIONS["api"] is not None:
    api = httpx.AsyncClient(base_url=OPTIONS["api"], trust_env=False)
    hooks.poll_every(OPTIONS["interval"], hooks.orders(Client(api), since=3600))

if OPTIONS["changes"] is not None:
    listing = httpx.AsyncClient(base_url=OPTIONS["changes"], trust_env=False)

    async def changes(cursor: str | None) -> Changes:
        """Tell what a list of changes has behind a number."""
        page = (await listing.get("/changes", params={"after": cursor or "0"})).raise_for_status().json()
        return Changes([json.dumps(each).encode() for each in page["changes"]], str(page["next"]), page["more"])

    hooks.poll_every(OPTIONS["interval"], changes)


def append(name: str, line: str) -> None:
    """Append a line to a file of the folder, at once and whole."""
    file = os.open(FOLDER / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(file, line.encode())
    os.close(file)


def ran(event: OrderStatusChanged, attempt: Attempt, what: str) -> None:
    """Note what a handler does."""
    number = (event.body.model_extra or {}).get("number", 0)
    order = event.order_id
    if order == "old":  # of an older file, whose ids say what becomes of which
        order, number = name_of_old(attempt.delivery.id)
    handler = attempt.handler.rpartition(":")[2]
    append("ran", f"{time.monotonic()} {os.getpid()} {handler} {order} {number} {attempt.number} {what}\n")


def does(event: OrderStatusChanged) -> str:
    """Return what the order wants its handlers to do."""
    return str((event.body.model_extra or {}).get("does", "end"))


@hooks.on(OrderStatusChanged)
async def on_loop(event: OrderStatusChanged, attempt: Attempt) -> None:
    ran(event, attempt, "begin")
    match does(event):
        case "exit":
            os._exit(1)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "hang":
            await asyncio.Event().wait()
        case "swallow":
            while True:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    ran(event, attempt, "swallowed")
        case "sleep":
            await asyncio.sleep(random.uniform(0, 0.05))
        case "wait":
            while not FOLDER.joinpath("go").exists():  # noqa: ASYNC110 - another process makes it
                await asyncio.sleep(0.01)
        case "block":
            go = str(FOLDER / "go")
            while not os.access(go, os.F_OK):  # in no frame but this one, whose place is told
                time.sleep(0.01)  # noqa: ASYNC251 - what must not be done
        case _:
            await asyncio.sleep(0.001)
    ran(event, attempt, "end")


@hooks.on(OrderStatusChanged)
def in_thread(event: OrderStatusChanged, attempt: Attempt) -> None:
    ran(event, attempt, "begin")
    if does(event) == "hang in thread":
        threading.Event().wait()
    ran(event, attempt, "end")


@hooks.on(OrderStatusChanged)
async def at_second_try(event: OrderStatusChanged, attempt: Attempt) -> None:
    ran(event, attempt, "begin")
    if attempt.number == 1 and does(event) != "end at once":
        ran(event, attempt, "fail")
        raise OSError("not the first time") if event.body.status.endswith("7") else Retry(after=0.01)
    if does(event) == "give up once" and (mark := gave_up(event)) is not None:
        ran(event, attempt, "give up")
        mark.touch()
        raise GiveUp("until it is replayed")
    ran(event, attempt, "end")


def gave_up(event: OrderStatusChanged) -> Path | None:
    """Return the file that says that this has been given up; None if it is there."""
    mark = FOLDER / f"gave-up-{event.order_id}-{event.body.status}"
    return None if mark.exists() else mark


def note_when_late() -> None:
    """Note when this process got no time for so long that its leases may have ended."""
    before = time.monotonic()
    while True:
        time.sleep(0.05)
        note_late(before)
        before = time.monotonic()


def serve(listener: socket.socket) -> None:
    """Serve until a signal ends that."""
    if OPTIONS["late"] is not None:
        threading.Thread(target=note_when_late, daemon=True).start()
    config = uvicorn.Config(hooks, lifespan="on", log_level="warning", access_log=False)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    from tests.faults import app  # whose handlers have the names that they have elsewhere

    app.serve(socket.socket(fileno=int(sys.argv[1])))
