"""The files in `examples/operations/` as they are deployed: their commands as processes of this machine."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import yaml

from tests.commands import COMMAND
from tests.helpers import ROOT, order, printed, signed
from webhook_receiver.cli.serve import grace
from webhook_receiver.options import WorkerOptions
from webhook_receiver.receiver import WebhookReceiver

OPERATIONS = ROOT / "examples" / "operations"
SECRET = "of the test alone"
STOP = grace(WebhookReceiver(secret=SECRET, inbox="memory://")) + WorkerOptions().stop
"""The seconds that requests and handlers have at the end of a process."""


@dataclass
class Part:
    """A process of a deployment.

    Args:
        name: its name there.
        command: its command line.
        environment: its environment, that of the image included.
        port: the port that others are told.
        scraped: the port at which the configuration of Prometheus has its metrics.
        paths: the paths of its probes.
        check: the command that tells whether it is well.
        patience: the seconds after which it is killed when it was told to end.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    port: int | None = None
    scraped: int | None = None
    paths: Sequence[str] = ()
    check: Sequence[str] = ()
    patience: float = 0.0


@contextmanager
def started(
    command: Sequence[str], environment: Mapping[str, str], folder: Path, *, until: str
) -> Generator[subprocess.Popen[str]]:
    """Run a command line of a deployment in a folder of its own until it says something; kill it if it does not end."""
    process = subprocess.Popen(
        command, cwd=folder, env=own(environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        printed(process, until)
        yield process
    finally:
        process.kill()
        process.communicate(timeout=30)


def own(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which the package and the receiver of the examples are found."""
    found = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}{os.pathsep}{OPERATIONS}", "PYTHONUNBUFFERED": "1"}
    return {**found, **{name: value for name, value in environment.items() if name != "PATH"}}


def ended(process: subprocess.Popen[str], patience: float) -> None:
    """Have a process end as a supervisor does, and hold it to the time that it has."""
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=patience)
    assert time.monotonic() - began < patience
    assert process.returncode in (0, -signal.SIGTERM), said


def here(command: Sequence[str], places: Mapping[str, str] | None = None) -> list[str]:
    """Return a command line as it is run here: this interpreter, and places of our own."""
    first, *rest = command
    rest = [replaced(word, places or {}) for word in rest]
    if first == "python":
        return [sys.executable, *rest]
    assert first.rpartition("/")[2] == "webhook-receiver"
    return [*COMMAND, *rest]


def replaced(text: str, places: Mapping[str, str]) -> str:
    for place, other in places.items():
        text = text.replace(place, other)
    return text


def scrapes(name: str) -> dict[str, tuple[str, int]]:
    """Return the one host and port that each job of a configuration of Prometheus scrapes."""
    config = yaml.safe_load(OPERATIONS.joinpath(name).read_text(encoding="utf-8"))
    found: dict[str, tuple[str, int]] = {}
    for job in config["scrape_configs"]:
        targets = [each for given in job.get("static_configs", ()) for each in given["targets"]]
        targets += [f"{each}:{given['port']}" for given in job.get("dns_sd_configs", ()) for each in given["names"]]
        ((host, _, port),) = (each.rpartition(":") for each in targets)
        found[job["job_name"]] = host, int(port)
    return found


def told_metrics(port: int) -> bool:
    """Return whether a process tells its metrics at a port of this machine."""
    answer = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False)
    return answer.is_success and "webhook_receiver_silence_limit_seconds{" in answer.text


def secret_in(file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(SECRET, encoding="utf-8")
    return file


def deliver(url: str, order_id: str) -> int:
    """Deliver a notification; return the status of the response."""
    body = order(orderId=order_id)
    headers = signed(body, secret=SECRET, now=time.time())
    # Who is started by the first connection answers it once it has started.
    return httpx.post(url, content=body, headers=[*headers], trust_env=False, timeout=60).status_code


def image() -> tuple[dict[str, str], dict[str, list[str]]]:
    """Return the environment of the image, and the arguments of each instruction of its last stage."""
    text = re.sub(r"\\\n", " ", OPERATIONS.joinpath("docker", "Dockerfile").read_text(encoding="utf-8"))
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        instruction, _, arguments = line.partition(" ")
        if instruction == "FROM":
            found = {}
        if instruction.isupper():
            found.setdefault(instruction, []).append(arguments)
    environment = dict(word.split("=", 1) for line in found["ENV"] for word in shlex.split(line))
    return environment, found
