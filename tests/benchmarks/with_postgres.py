"""How fast one worker handles what is in PostgreSQL, beside the server and at a distance, and how fast it is kept."""

from __future__ import annotations

import asyncio
import subprocess
import threading
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from tests.postgres import database, postgres

from .environments import Environment
from .figures import Cell, Found, Target
from .in_process import Job, run_in_turns
from .peers import DURABLE_PEERS, PROCRASTINATE
from .runner import BEFORE, CORES, Session, on_core, told

ALONE = "procrastinate by itself"
EACH_WAY = 0.005  # seconds


def beside(session: Session) -> Found:
    """Kept, and handled by one worker, with the server on the same machine; procrastinate by itself."""
    found = Found("PostgreSQL beside the worker", ALONE)
    _measure(session, found, session.some(1_500), rounds=3, alone=session.peers)
    of, to = (Cell(f"one worker{before}", "handled/s") for before in ("", BEFORE))
    kept, before = (Cell(f"one worker{before}", "puts/s") for before in ("", BEFORE))
    found.targets = [
        Target("handled a second by one worker, of the build before", of, to, "at least", 5),
        Target("kept a second, of the build before", kept, before, "at least", 1),
    ]
    return found


def distant(session: Session) -> Found:
    """Handled by one worker whose server is 5 ms away each way."""
    found = Found("PostgreSQL 5 ms away each way")
    _measure(session, found, session.some(1_500), rounds=2, seconds=EACH_WAY)
    found.targets = [
        Target("handled a second by one worker", Cell("one worker", "handled/s"), None, "at least", 1_500),
    ]
    return found


def _measure(
    session: Session, found: Found, number: int, *, rounds: int, alone: bool = False, seconds: float = 0
) -> None:
    """Have deliveries kept and handled in a new database for each round; those of the build before a tenth as many."""
    with ExitStack() as stack:
        with on_core(max(CORES)):
            server = stack.enter_context(postgres(max_connections=200))
        port = stack.enter_context(_far(server.port, seconds)) if seconds else server.port
        jobs: dict[str, Job] = {}

        def run(template: str, count: int, build: Environment, *what: str) -> Job:
            def in_new_database(folder: Path) -> dict[str, float]:
                with database(server.address, template) as url:
                    reached = url.replace(f":{server.port}/", f":{port}/")
                    return session.job(build, *what, reached, str(count))

            return in_new_database

        for before, build in session.builds.items():
            url = stack.enter_context(database(server.address))
            migrate = [*build.command, "webhook_receiver", "inbox", "migrate", url]
            subprocess.run(migrate, cwd=build.folder, check=True, capture_output=True)
            count = number // 10 if seconds and before else number  # that one took a round trip for each
            jobs[f"one worker{before}"] = run(url.rpartition("/")[2], count, build, "inbox", "worker")
        if alone:
            with told(found, ALONE):
                theirs = DURABLE_PEERS[PROCRASTINATE].environment(session.cache)
                jobs[ALONE] = run("template1", number // 5, theirs, "procrastinate_alone")
        run_in_turns(session, found, jobs, rounds=rounds)


@contextmanager
def _far(port: int, seconds: float) -> Generator[int]:
    """Yield a port of which what is sent takes so long to the other one, and back."""

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        while data := await reader.read(1 << 16):
            loop.call_later(seconds, writer.write, data)
        loop.call_later(seconds, writer.close)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        with suppress(OSError, asyncio.CancelledError):
            await asyncio.gather(pass_on(reader, back), pass_on(there, writer))

    async def serve() -> None:
        listening = await asyncio.start_server(connected, "127.0.0.1", 0)
        ready.put((asyncio.get_running_loop(), asyncio.current_task(), listening.sockets[0].getsockname()[1]))
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        listening.close()

    ready: SimpleQueue[Any] = SimpleQueue()
    thread = threading.Thread(target=partial(asyncio.run, serve()))
    thread.start()
    loop, task, listens = ready.get()
    yield listens
    loop.call_soon_threadsafe(task.cancel)
    thread.join()
