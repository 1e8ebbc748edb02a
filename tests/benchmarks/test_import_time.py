"""What importing costs: CPU beside that of what the package stands on, in turns, in processes of their own.

And what a command costs before it has read its arguments, beside the smallest one that typer reads them for.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from statistics import median

import pytest

ROUNDS = 15
FLOOR = "import starlette.routing, pydantic\nclass Model(pydantic.BaseModel):\n    number: int"
"""What every receiver needs anyway, with one model defined."""
PROGRAMS = {
    "floor": FLOOR,
    "import webhook_receiver": "import webhook_receiver",
    "a receiver": "from webhook_receiver import WebhookReceiver\nWebhookReceiver(secret='try-me')",
    "a receiver with an inbox": "from webhook_receiver import WebhookReceiver\n"
    "WebhookReceiver(secret='try-me', inbox='sqlite:///hooks.db')",
}
COMMANDS = ["", "demo", "dev", "serve", "send", "inbox ls", "webhooks ls", "order create", "explain"]
SPARE = 2.0
"""How many times as much as the smallest command of typer's one of ours may cost before it has read its arguments.
typer imports pydantic where a flag has no default, which is about as much again: see `cli.options.Group`."""
SMALLEST = """
import sys, typer
from typing import Annotated
app = typer.Typer(rich_markup_mode=None)
@app.command()
def command(number: Annotated[int, typer.Option(min=1)] = 1, name: str | None = None) -> None: ...
sys.stdout = None
app(["--help"])
"""


def cpu(program: str) -> float:
    """Return the seconds of CPU, user and system, that a new interpreter takes for a program."""
    cached = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", program], check=True, env=cached)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


@pytest.mark.benchmark
def test_importing_costs_little_more_than_what_the_package_stands_on() -> None:
    assert len(ratios_of(PROGRAMS)) == len(PROGRAMS)


@pytest.mark.benchmark
def test_a_command_that_reads_its_arguments_costs_little_more_than_typer() -> None:
    programs = {"floor": SMALLEST} | {
        f"webhook-receiver {command}": "from webhook_receiver.cli.commands import app\n"
        f"import sys; sys.stdout = None; app({[*command.split(), '-h']})"
        for command in COMMANDS
    }
    assert {name: ratio for name, ratio in ratios_of(programs).items() if ratio > SPARE} == {}


def ratios_of(programs: Mapping[str, str]) -> dict[str, float]:
    """Run each program in turns, print what it costs, and return the median of its ratios to the first one."""
    for program in programs.values():
        cpu(program)  # compiles what is not compiled yet
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(ROUNDS):
        for name, program in programs.items():
            seconds[name].append(cpu(program))
    found: dict[str, float] = {}
    for name, each in seconds.items():
        ratios = [mine / base for mine, base in zip(each, seconds["floor"], strict=True)]
        found[name] = median(ratios)
        print(f"{name:30} {median(each) * 1000:5.0f} ms, {found[name]:.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    return found
