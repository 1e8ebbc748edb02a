"""The system's clock is set, hours ahead or back, while several processes work on one inbox: nothing changes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.faults.harness import moment
from tests.helpers import ROOT

COUNT = 24  # deliveries of 0.8 seconds for two processes of four slots
HOUR = 3600.0


class Run(NamedTuple):
    at: float
    what: str
    id: str
    number: int


def runs(folder: Path) -> list[Run]:
    file = folder / "ran"
    lines = file.read_text(encoding="ascii").splitlines() if file.exists() else []
    return [Run(float(at), what, id, int(number)) for at, what, id, number in map(str.split, lines)]


def step(folder: Path, seconds: float) -> None:
    folder.joinpath("next").write_text(str(seconds), encoding="ascii")
    folder.joinpath("next").rename(folder / "shift")


@contextmanager
def process(folder: Path, inbox: str, count: int = 0) -> Generator[subprocess.Popen[bytes]]:
    started = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.stepped", inbox, str(count)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "FAULTS_FOLDER": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert started.stdout is not None
        assert started.stdout.readline() == b"kept\n"
        yield started
    finally:
        started.kill()
        started.communicate()


def wait_for(folder: Path, what: str, count: int) -> None:
    deadline = time.monotonic() + 60
    while Counter(run.what for run in runs(folder))[what] < count:
        assert time.monotonic() < deadline, f"only {Counter(run.what for run in runs(folder))}"
        moment(0.05)


@pytest.fixture(params=["sqlite", "postgresql"])
def inbox(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'hooks.db'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.mark.parametrize("hours", [1, -1], ids=["ahead", "back"])
def test_no_step_of_the_clock_lets_anything_run_twice_at_once_or_delays_it(
    tmp_path: Path, inbox: str, hours: int
) -> None:
    step(tmp_path, 0)
    with process(tmp_path, inbox, COUNT), process(tmp_path, inbox):
        wait_for(tmp_path, "end", 2)
        step(tmp_path, hours * HOUR)
        with process(tmp_path, inbox):  # which has never known another time
            wait_for(tmp_path, "end", COUNT)
            wait_for(tmp_path, "later", 2)
    found = runs(tmp_path)
    assert Counter((run.what, run.id) for run in found if run.what == "begin").most_common(1)[0][1] == 1
    first, second = (run for run in found if run.what == "later")
    assert (first.number, second.number) == (1, 2)
    assert 3.9 < second.at - first.at < 15
