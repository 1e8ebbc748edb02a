"""What a process costs: to import, to start, to wait; and how soon it handles what waited for it."""

from __future__ import annotations

import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.helpers import free_port

from .environments import THIS
from .figures import Cell, Found, Target
from .runner import CORES, PATIENCE, Broke, Session, on_core, serving, told

FLOOR = "floor: Starlette and a model"
PROGRAMS = {
    FLOOR: "import starlette.routing, pydantic\nclass Model(pydantic.BaseModel):\n    number: int",
    "import webhook_receiver": "import webhook_receiver",
    "a receiver": "from webhook_receiver import WebhookReceiver\nWebhookReceiver(secret='try-me')",
    "a receiver with an inbox": "from webhook_receiver import WebhookReceiver\n"
    "WebhookReceiver(secret='try-me', inbox='sqlite:///hooks.db')",
}
COMMANDS = ["", "demo", "dev", "serve", "send", "inbox ls", "webhooks ls", "order create", "explain"]
SMALLEST = "smallest command of typer"
SMALLEST_PROGRAM = """
import sys, typer
from typing import Annotated
app = typer.Typer(rich_markup_mode=None)
@app.command()
def command(number: Annotated[int, typer.Option(min=1)] = 1, name: str | None = None) -> None: ...
sys.stdout = None
app(["--help"])
"""
SPARE = 2.0
"""How many times as much as the smallest command of typer's one of ours may cost before it has read its arguments.
typer imports pydantic where a flag has no default, which is about as much again: see `cli.options.Group`."""
RECEIVER = """
from webhook_receiver import WebhookReceiver
hooks = WebhookReceiver(secret="benchmark-secret", inbox="sqlite:///hooks.db")
@hooks.on_fulfilled
async def ignore(order): pass
"""
BARE = """
from starlette.applications import Starlette
app = Starlette()
"""
CPU, MIB = "CPU ms", "MiB"


def imports(session: Session) -> Found:
    """What importing costs, beside what the package stands on."""
    found = Found("A new process that imports", FLOOR)
    _run_programs(session, found, PROGRAMS)
    return found


def commands(session: Session) -> Found:
    """What a command costs before it has read its arguments, beside the smallest one that typer reads them for."""
    found = Found("A command that reads its arguments", SMALLEST)
    programs = {SMALLEST: SMALLEST_PROGRAM} | {
        f"webhook-receiver {command}".strip(): "from webhook_receiver.cli.commands import app\n"
        f"import sys; sys.stdout = None; app({[*command.split(), '-h']})"
        for command in COMMANDS
    }
    _run_programs(session, found, programs)
    for name in programs:
        if name != SMALLEST:
            of, to = Cell(name, CPU), Cell(SMALLEST, CPU)
            found.targets.append(Target(f"{name}, of typer's smallest", of, to, "at most", SPARE))
    return found


def _run_programs(session: Session, found: Found, programs: Mapping[str, str]) -> None:
    with on_core(max(CORES)):
        for program in programs.values():
            _cpu(program)  # compiles what is not compiled yet
        for _ in session.turns(found.title, 10):
            for name, program in programs.items():
                found.add(name, {CPU: _cpu(program) * 1e3})


def _cpu(program: str) -> float:
    """Return the seconds of CPU, user and system, that a new interpreter takes for a program."""
    cached = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", program], check=True, env=cached)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def start(session: Session) -> Found:
    """A start with 200,000 waiting deliveries: the first handler, and memory beside a process with none."""
    many = session.some(200_000)
    full_name = f"{many:,} waiting"
    found = Found("A start with many waiting deliveries", "none waiting")
    with tempfile.TemporaryDirectory() as folder:
        full = Path(folder, "full.db")
        session.progress(f"{found.title}: putting them")
        session.job(THIS, "inbox", "put", f"sqlite:///{full}?min_free=0", str(many), "64")
        for number in session.turns(found.title, 3):
            for name, waiting in (("none waiting", False), (full_name, True)):
                with told(found, name):
                    file = Path(folder, f"{number}-{waiting}.db")
                    if waiting:
                        shutil.copy(full, file)
                    found.add(name, _start(file, waiting=waiting))
                    file.unlink()
    first = Cell(full_name, "s to the first handler")
    of, to = (Cell(name, MIB) for name in (full_name, "none waiting"))
    found.targets = [
        Target("seconds to the first handler", first, None, "at most", 2),
        Target("memory, of a process with none waiting", of, to, "at most", 1.3),
    ]
    return found


def _start(file: Path, *, waiting: bool) -> dict[str, float]:
    begin = time.monotonic()
    with serving(THIS, "receiver", "handled", f"sqlite:///{file}?min_free=0") as server:
        while waiting and not server.ran():
            if time.monotonic() > begin + PATIENCE:
                raise Broke(f"no handler ran within {PATIENCE:.0f} s")
            time.sleep(0.005)
        first = {"s to the first handler": time.monotonic() - begin} if waiting else {}
        time.sleep(2)
        return first | {MIB: server.resident()}


def idle(session: Session) -> Found:
    """Memory of an idle `serve`, beside uvicorn with a bare Starlette app."""
    found = Found("Memory of an idle server", "uvicorn, bare Starlette")
    modules = {
        "uvicorn, bare Starlette": ("uvicorn", "bare:app"),
        "webhook-receiver serve": ("webhook_receiver", "serve", "ours:hooks"),
    }
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "bare.py").write_text(BARE)
        Path(folder, "ours.py").write_text(RECEIVER)
        for _ in session.turns(found.title, 3):
            for name, arguments in modules.items():
                with told(found, name):
                    found.add(name, {MIB: _idle(arguments, folder)})
    of, to = (Cell(name, MIB) for name in reversed(modules))
    found.targets = [Target("memory, of uvicorn with a bare app", of, to, "at most", 1.5)]
    return found


def _idle(arguments: Sequence[str], folder: str) -> float:
    """Return the MiB that a server has when it has nothing to do."""
    port = free_port()
    command = [sys.executable, "-m", *arguments, "--port", str(port)]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + PATIENCE
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise Broke("it does not listen")
            time.sleep(0.05)
        time.sleep(1)
        status = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        return int(next(line for line in status if line.startswith("VmRSS")).split()[1]) / 1024
    finally:
        process.terminate()
        process.wait()


def _listens(port: int) -> bool:
    with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False
