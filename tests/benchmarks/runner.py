"""Runs what is measured: servers under load and jobs, on a core of their own, in rounds that take turns.

What slows the machine slows all candidates of a round, so that ratios are taken within rounds. CPU is that of the
processes that do a candidate's work, user and system, from the kernel's clock of each process.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import tempfile
import time
from base64 import b64decode
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import IO, Any

import uvloop

from . import load
from .environments import THIS, Environment, Unavailable
from .figures import Found

CORES = os.sched_getaffinity(0)
PATIENCE = 60.0
"""Seconds for a process to start, or to handle what it has acknowledged."""
RATE, CPU, ANSWERED = "requests/s", "CPU µs", "answered"


class Broke(Exception):
    """What a candidate did that it must not do, in a sentence."""


@dataclass
class Session:
    """What holds for all measures of a run."""

    rounds: int | None
    """Number of rounds; None for each measure's own."""
    smoke: bool
    """Whether it only has to be seen that everything runs."""
    peers: bool
    """Whether peers are measured, too."""
    cache: Path
    """The folder with the environments of others."""
    before: Environment | None
    """The environment of the build to compare with."""
    deadline: float
    """Time of the monotonic clock after which the measure that is under way begins no other round."""
    end: float
    """Time of the monotonic clock at which a job that still runs is ended."""
    progress: Callable[[str], object] = lambda said: None
    """Is told what is being done."""

    def some(self, count: int) -> int:
        """Return how many of something to take: few for a smoke test."""
        return max(count // 500, 10) if self.smoke else count

    def turns(self, what: str, rounds: int) -> Iterator[int]:
        """Yield the numbers of rounds, of which the first one always takes place."""
        rounds = 1 if self.smoke else self.rounds or rounds
        for number in range(rounds):
            if number and time.monotonic() > self.deadline:
                return
            self.progress(f"{what}: round {number + 1} of {rounds}")
            yield number

    @property
    def builds(self) -> dict[str, Environment]:
        """The environments of this build and of the one to compare with, by what is behind a candidate's name."""
        return {"": THIS} if self.before is None else {"": THIS, BEFORE: self.before}

    def job(self, environment: Environment, app: str, *arguments: str) -> dict[str, float]:
        """Run a job, as `apps` has it, on the first core; return the figures that it prints as JSON."""
        with on_core(min(CORES)):
            process = subprocess.Popen(
                [*environment.command, f"apps.{app}", *arguments],
                cwd=environment.folder,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        try:
            said, errors = process.communicate(timeout=max(self.end - time.monotonic(), 1))
        except subprocess.TimeoutExpired as error:
            raise Broke("there was no time left for it to end") from error
        finally:
            if process.poll() is None:
                process.kill()
                process.communicate()
        if process.returncode:
            raise Broke(f"it ended with {process.returncode}: {(errors.strip().splitlines() or [''])[-1][:200]}")
        figures: dict[str, float] = json.loads(said.splitlines()[-1])
        return figures


BEFORE = " before"
"""Behind the name of a candidate of the build to compare with."""


class Server:
    """A process with an app that says of itself what `apps.serving` says."""

    def __init__(self, process: subprocess.Popen[str], said: Mapping[str, Any], log: IO[bytes]) -> None:
        self.port: int = said["port"]
        self._processes: list[int] = said["processes"]
        self._process = process
        self._log = log

    def cpu(self) -> float:
        """Return the seconds of CPU that its work has taken."""
        try:
            return sum(cpu_of(process) for process in self._processes)
        except OSError as error:
            raise Broke(f"it ended: {last_line(self._log)}") from error

    def resident(self) -> float:
        """Return the MiB of memory that it has at most had."""
        return sum(peak_of(process) for process in self._processes)

    def ran(self) -> int:
        """Return how often its handlers have run."""
        return int(self._ask("ran"))

    def requests(self, count: int) -> list[bytes]:
        """Return so many requests that it accepts, signed now."""
        first = b64decode(self._ask(f"requests {count}"))
        return [first, *(b64decode(self._line()) for _ in range(count - 1))]

    def _ask(self, command: str) -> str:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(f"{command}\n")
            self._process.stdin.flush()
        return self._line()

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise Broke(f"it ended: {last_line(self._log)}")
        return line


@contextmanager
def serving(environment: Environment, app: str, *arguments: str) -> Generator[Server]:
    """Run an app, as `apps` has it, on the first core."""
    name = f"apps.{app}" if environment.command[-1] == "-m" else f"{app}.mjs"
    with tempfile.TemporaryFile() as log:
        with on_core(min(CORES)):
            process = subprocess.Popen(
                [*environment.command, name, *arguments],
                cwd=environment.folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            ready, _, _ = select.select([process.stdout], [], [], PATIENCE)
            line = process.stdout.readline() if ready else ""
            if not line:
                raise Broke(f"it does not start: {last_line(log)}")
            yield Server(process, json.loads(line), log)
        finally:
            with suppress(BrokenPipeError):
                process.stdin.close()  # which ends it
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()


@dataclass(frozen=True)
class Candidate:
    """An app in an environment, and how it is loaded."""

    app: str
    arguments: tuple[str, ...] = ()
    environment: Callable[[], Environment] = lambda: THIS
    fresh: int = 0
    """Number of requests for each round, of which no two are the same; 0 for one that is sent again and again."""
    handles: bool = True
    """Whether its handlers run, so that each acknowledged request is one run."""
    status: str = "2"
    """How the status of each answer begins."""


def load_in_turns(
    session: Session,
    found: Found,
    candidates: Mapping[str, Candidate],
    *,
    rounds: int,
    connections: int = 16,
    seconds: float = 0.4,
) -> None:
    """Load candidates in turns, all of them up all the time, and add to `found` what each round gave."""
    with ExitStack() as stack, on_core(max(CORES)):
        servers: dict[str, Server] = {}
        for name, candidate in candidates.items():
            session.progress(f"{found.title}: starting {name}")
            with told(found, name):
                environment = candidate.environment()
                server = stack.enter_context(serving(environment, candidate.app, *candidate.arguments))
                _warm_up(server, candidate, connections, 20 if session.smoke else 3_000)
                servers[name] = server
        for _ in session.turns(found.title, rounds):
            for name, server in [*servers.items()]:
                with told(found, name, servers):
                    length = 0.05 if session.smoke else seconds
                    figures = _round(server, candidates[name], connections, length)
                    found.add(name, {unit: figures[unit] for unit in (RATE, CPU)})


@contextmanager
def told(found: Found, name: str, left: dict[str, Any] | None = None) -> Generator[None]:
    """Let the rest go on without a candidate that fails, and say why it has no figures."""
    try:
        yield
    except (Unavailable, Broke, OSError, AssertionError, TimeoutError) as error:
        found.drop(name, str(error) or type(error).__name__)
        if left is not None:
            del left[name]


def _warm_up(server: Server, candidate: Candidate, connections: int, answers: float) -> None:
    """Have what compiles as it runs compiled, which takes a few thousand requests, but no longer than 3 s."""
    for _ in range(6):
        answers -= _round(server, candidate, connections, 0.5)[ANSWERED]
        if answers <= 0 or candidate.fresh:
            return


def _round(server: Server, candidate: Candidate, connections: int, seconds: float) -> dict[str, float]:
    fresh = candidate.fresh
    requests: Iterable[bytes] = server.requests(fresh) if fresh else repeat(server.requests(1)[0])
    ran, cpu, start = server.ran(), server.cpu(), time.monotonic()
    answered = uvloop.run(
        load.run(
            server.port,
            iter(requests),
            status=candidate.status,
            connections=connections,
            seconds=seconds,
            stay_awake=len(CORES) > 1,
        )
    ).answered
    took = time.monotonic() - start
    if candidate.handles:
        took = max(took, _until_ran(server, ran + answered) - start)
    if candidate.fresh:
        time.sleep(0.2)  # for what the last runs leave to do, such as the commit of their results
    return {RATE: answered / took, CPU: (server.cpu() - cpu) / answered * 1e6, ANSWERED: answered}


def _until_ran(server: Server, count: int) -> float:
    """Wait until handlers have run so often; return when that was."""
    start = time.monotonic()
    while (ran := server.ran()) < count:
        waited = time.monotonic() - start
        if waited > PATIENCE:
            raise Broke(f"{count - ran} of what it acknowledged was not handled within {PATIENCE:.0f} s")
        time.sleep(max(waited / 20, 0.002))  # to be asked costs the server time
    if ran > count:
        raise Broke(f"its handler ran {ran - count} times more often than it acknowledged a request")
    return time.monotonic()


@contextmanager
def on_core(core: int) -> Generator[None]:
    """Keep this process, and what it starts, on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cpu_of(process: int) -> float:
    """Return the seconds of CPU of a process with all its threads, user and system, also of those that have ended."""
    # Linux numbers the CPU clock of a process by its id, see clock_getcpuclockid(3); /proc has hundredths only.
    return time.clock_gettime((~process << 3) | 2)


def peak_of(process: int) -> float:
    """Return the largest resident memory of a process so far, in MiB."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


def last_line(log: IO[bytes]) -> str:
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines() or ["it said nothing"]
    return lines[-1].strip()[:200]
