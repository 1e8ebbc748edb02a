"""What an inbox in a SQLite file costs in one process, without HTTP."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from .environments import THIS, Environment
from .figures import Cell, Found, Target
from .runner import BEFORE, CORES, CPU, Session, on_core, told

Job = Callable[[Path], dict[str, float]]
"""Runs a job once, in a folder of its own."""


def put(session: Session) -> Found:
    """Puts of one caller, and of 64, beside one insert for each commit."""
    found = Found("Put into a SQLite file, in process", "one insert a commit")
    few, many = str(session.some(1_000)), str(session.some(10_000))
    jobs: dict[str, Job] = {}
    for before, build in session.builds.items():
        jobs[f"one caller{before}"] = _job(session, build, "put", few, "1")
        jobs[f"64 callers{before}"] = _job(session, build, "put", many, "64")
    jobs["one insert a commit"] = lambda folder: session.job(THIS, "inbox", "single", f"{folder}/plain.db", few)
    run_in_turns(session, found, jobs, rounds=5)
    of, to = (Cell(f"one caller{before}", CPU) for before in ("", BEFORE))
    found.targets = [Target("CPU of a put, one caller, of the build before", of, to, "at most", 0.8)]
    return found


def whole(session: Session) -> Found:
    """Received, kept and handled in one process: CPU and bytes."""
    found = Found("Received, kept and handled, in process")
    jobs: dict[str, Job] = {}
    for before, build in session.builds.items():
        jobs[f"one caller{before}"] = _job(session, build, "whole", str(session.some(700)), "1")
        jobs[f"64 callers{before}"] = _job(session, build, "whole", str(session.some(7_000)), "64")
    run_in_turns(session, found, jobs, rounds=5)
    for callers in ("one caller", "64 callers"):
        of, to = (Cell(callers + before, "bytes written") for before in ("", BEFORE))
        says = f"bytes for each delivery, {callers}, of the build before"
        found.targets.append(Target(says, of, to, "at most", 0.6))
    return found


OFF = "off"
TELEMETRY = {"installed": 1.01, "metrics": 1.1, "0.1": 1.1, "1": 1.1}
"""What is configured, as `apps.collecting` has it, and what that may cost, of none."""
BY_HAND = "by hand"
"""The floor of telemetry with all spans: none of ours, but the least that OpenTelemetry's SDK can do for a delivery."""


def telemetry(session: Session) -> Found:
    """Received, kept and handled in one process with telemetry: none, installed only, metrics, and spans."""
    found = Found("Received, kept and handled, in process, with telemetry", f"{OFF}, one caller")
    jobs: dict[str, Job] = {}
    many = {"one caller": (str(session.some(1_000)), "1"), "64 callers": (str(session.some(7_000)), "64")}
    for callers, (number, together) in many.items():
        for mode in (OFF, *TELEMETRY, BY_HAND):
            jobs[f"{mode}, {callers}"] = _job(session, THIS, "whole", number, together, mode)
    run_in_turns(session, found, jobs, rounds=5)
    for callers in many:
        for mode, most in TELEMETRY.items():
            of, to = (Cell(f"{each}, {callers}", CPU) for each in (mode, OFF))
            found.targets.append(Target(f"CPU with {mode}, {callers}, of none", of, to, "at most", most))
        of, to = (Cell(f"{each}, {callers}", CPU) for each in ("1", BY_HAND))
        found.targets.append(Target(f"CPU with 1, {callers}, of the SDK's own spans", of, to, "at most", 1.3))
    return found


def batch(session: Session) -> Found:
    """Batches of 100 events, received, kept and handled in one process, beside single deliveries."""
    found = Found("Batches of 100 events, kept and handled, in process")
    jobs: dict[str, Job] = {}
    many = {"one caller": (str(session.some(1_000)), "1"), "64 callers": (str(session.some(10_000)), "64")}
    for callers, (number, together) in many.items():
        jobs[f"single, {callers}"] = _job(session, THIS, "whole", number, together)
        jobs[f"batches, {callers}"] = _job(session, THIS, "batch", number, together, "100")
    run_in_turns(session, found, jobs, rounds=5)
    of, to = (Cell(f"{what}, one caller", CPU) for what in ("batches", "single"))
    found.targets = [Target("CPU of an event in a batch, one caller, of a single one", of, to, "at most", 0.4)]
    return found


def watched(session: Session) -> Found:
    """Received, kept and handled in one process with five tabs of the inspector open in it, beside none."""
    found = Found("Received, kept and handled, in process, with open tabs of the inspector")
    many = str(session.some(60_000))  # many seconds: a page is told of changes every five
    jobs = {f"{tabs} tabs": _job(session, THIS, "watched", many, "16", f"{tabs}") for tabs in (0, 5)}
    run_in_turns(session, found, jobs, rounds=6)
    of, to = (Cell(f"{tabs} tabs", CPU) for tabs in (5, 0))
    found.targets = [Target("CPU with five tabs, of none", of, to, "at most", 1.05)]
    return found


def worker(session: Session) -> Found:
    """Empty handlers of what waits already, run by one worker and committed."""
    found = Found("Empty handlers, run and committed")
    many = str(session.some(10_000))
    jobs = {f"worker{before}": _job(session, build, "worker", many) for before, build in session.builds.items()}
    run_in_turns(session, found, jobs, rounds=5)
    rates = [Cell(f"worker{before}", "handled/s") for before in ("", BEFORE)]
    cpu = [Cell(f"worker{before}", CPU) for before in (BEFORE, "")]
    found.targets = [
        Target("handled a second, of the build before", rates[0], rates[1], "at least", 1.8),
        Target("CPU of the build before, of this one", cpu[0], cpu[1], "at least", 1.8),
    ]
    return found


def full(session: Session) -> Found:
    """What operations cost with 1,000,000 handled deliveries in the file, beside an empty one."""
    rows, turns = session.some(1_000_000), 1 if session.smoke else session.rounds or 15
    found = Found(f"With {rows:,} handled deliveries in the file")
    run_in_turns(
        session,
        found,
        {"SQLite": lambda folder: session.job(THIS, "inbox", "full", str(folder), str(rows), str(turns))},
        rounds=1,
    )
    for unit, value in {
        "put, of an empty file": 1.2,
        "claim and settle, of an empty file": 1.2,
        "ls ms": 100,
        "stats ms": 100,
        "readiness ms": 100,
    }.items():
        found.targets.append(Target(unit, Cell("SQLite", unit), None, "at most", value))
    return found


def memory(session: Session) -> Found:
    """Memory over 300,000 deliveries."""
    found = Found("Memory of a receiver that keeps and handles")
    many = session.some(300_000) // 6 * 6
    run_in_turns(session, found, {"receiver": _job(session, THIS, "memory", str(many))}, rounds=1)
    first, last = (Cell("receiver", f"MiB after {part:,}") for part in (many // 6, many))
    found.targets = [
        Target(f"MiB after {many:,} deliveries, of those after {many // 6:,}", last, first, "at most", 1.1)
    ]
    return found


def _job(session: Session, build: Environment, name: str, *arguments: str) -> Job:
    return lambda folder: session.job(build, "inbox", name, f"sqlite:///{folder}/inbox.db?min_free=0", *arguments)


def run_in_turns(session: Session, found: Found, jobs: Mapping[str, Job], *, rounds: int) -> None:
    """Run jobs in turns, and add to `found` what each round gave."""
    left = dict(jobs)
    with on_core(max(CORES)):
        for _ in session.turns(found.title, rounds):
            for name in [*left]:
                with told(found, name, left), tempfile.TemporaryDirectory() as folder:
                    found.add(name, left[name](Path(folder)))
