"""What importing costs: CPU beside that of what the package stands on, in turns, in processes of their own."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
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


def cpu(program: str) -> float:
    """Return the seconds of CPU, user and system, that a new interpreter takes for a program."""
    cached = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", program], check=True, env=cached)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


@pytest.mark.benchmark
def test_importing_costs_little_more_than_what_the_package_stands_on() -> None:
    for program in PROGRAMS.values():
        cpu(program)  # compiles what is not compiled yet
    seconds: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for _ in range(ROUNDS):
        for name, program in PROGRAMS.items():
            seconds[name].append(cpu(program))
    floor = seconds["floor"]
    for name, each in seconds.items():
        ratios = [mine / base for mine, base in zip(each, floor, strict=True)]
        print(f"{name:26} {median(each) * 1000:5.0f} ms, {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    assert all(len(each) == ROUNDS for each in seconds.values())
