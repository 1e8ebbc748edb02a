"""The receiver of `app.py` in a process forked off one that has imported all: it starts in some 0.05 s of one core."""

from __future__ import annotations

import importlib
import json
import logging
import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from tests.faults.harness import Server
from tests.forks import code_of, fork

ALIVE = float("inf")


class Forked(Server):
    """A receiver that is started, killed and stopped several times a second; it answers on its socket, and handles."""

    def __init__(self, folder: Path, **options: Any) -> None:
        super().__init__(folder, **options)
        self.away: dict[int, list[tuple[float, float]]] = {}
        """From when to when each of its processes stood still: for ever, once it was killed."""
        self._fork: ForkServerProcess | None = None
        """Its process now."""

    def __exit__(self, *exc_info: object) -> None:
        if self.is_alive:
            self.kill()
        self.listener.close()

    @property
    def pid(self) -> int:
        assert self._fork is not None
        assert self._fork.pid is not None
        return self._fork.pid

    @property
    def is_alive(self) -> bool:
        return self._fork is not None and code_of(self._fork) is None

    def start(self, preexec: Callable[[], None] | None = None) -> None:
        assert preexec is None, "that of a forked process is its own"
        self._fork = fork(_serve, self.listener, self.folder, self._options)

    def kill(self) -> None:
        if self.is_alive:  # its number may be another one's by now
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self._went()
        self._wait()

    def end_soon(self) -> None:
        """Have it begin to end itself, as a supervisor does."""
        os.kill(self.pid, signal.SIGTERM)

    def stop(self) -> None:
        self.end_soon()
        code = self._wait()
        # It may have been told to end before it knew what to do then.
        could_not_start = code == 3 and "cannot start" in self.said()[-1000:]
        assert code in (0, -signal.SIGTERM) or could_not_start, f"ended with {code}:\n{self.said()[-5000:]}"

    def stand_still(self) -> None:
        """Keep it from doing anything until it goes on."""
        os.kill(self.pid, signal.SIGSTOP)
        self._went()

    def go_on(self) -> None:
        since, _ = self.away[self.pid].pop()
        os.kill(self.pid, signal.SIGCONT)
        self.away[self.pid].append((since, time.monotonic()))

    def _went(self) -> None:
        # Not before it is hit: on a busy machine it may go on for a while until then.
        self.away.setdefault(self.pid, []).append((time.monotonic(), ALIVE))

    def _wait(self) -> int | None:
        assert self._fork is not None
        code = code_of(self._fork, 30)
        assert code is not None, f"it does not end:\n{self.said()[-5000:]}"
        self.ended[self.pid] = time.monotonic()
        return code


def _serve(listener: socket.socket, folder: Path, options: dict[str, Any]) -> None:
    """Be what `python -m tests.faults.app` is, in the process that was forked."""
    os.setsid()
    said = os.open(folder / "said", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for number in (1, 2):
        os.dup2(said, number)
    os.environ |= {"FAULTS_FOLDER": str(folder), "FAULTS_OPTIONS": json.dumps(options)}
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    importlib.import_module("tests.faults.app").serve(listener)
