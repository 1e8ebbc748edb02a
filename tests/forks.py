"""Processes forked off one that has imported all they need: imports are most of the time of a start."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from typing import Any

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    [
        *(
            f"webhook_receiver.cli.{name}"
            for name in (
                "commands",
                "send",
                "order",
                "inbox",
                "backfill",
                "serve",
                "dev_loop",
                "bulk",
                "listing",
                "checks",
            )
        ),
        *("tests.helpers", "tests.orders", "uvicorn.lifespan.on", "uvicorn.loops.auto", "uvicorn.protocols.http.auto"),
        *("webhook_receiver.inbox.sqlite.backup", "webhook_receiver.inbox.postgres", "psycopg_pool"),
    ]
)
_lock = threading.Lock()
"""Held while processes are started or looked at: two threads that look for one's end at once would miss its code."""


def fork(target: Callable[..., None], *arguments: Any) -> ForkServerProcess:
    """Start a process that calls a function."""
    process = _context.Process(target=target, args=arguments, daemon=True)
    with _lock:
        process.start()
    return process


def code_of(process: ForkServerProcess, seconds: float = 0.0) -> int | None:
    """Return the exit code of a process, once it has ended; None if it has not within so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        with _lock:
            code = process.exitcode
        if code is not None or time.monotonic() >= deadline:
            return code
        threading.Event().wait(0.002)


def close(process: ForkServerProcess) -> None:
    """Let go of a process that has ended."""
    with _lock:
        process.close()
