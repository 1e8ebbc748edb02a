"""Measures this package, beside peers and beside another revision: `python -m tests.benchmarks` in a checkout."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from subprocess import SubprocessError

from rich.console import Console

from . import in_process, looking, over_http, polling, processes, report, with_postgres
from .environments import Unavailable, cache, of_revision
from .figures import Found
from .peers import DURABLE_PEERS, PEERS
from .runner import CPU, Broke, Session

MEASURES: dict[str, Callable[[Session], Found]] = {
    "requests": over_http.requests,
    "kept-16": over_http.kept_16,
    "kept-64": over_http.kept_64,
    "put": in_process.put,
    "whole": in_process.whole,
    "batch": in_process.batch,
    "telemetry": in_process.telemetry,
    "watched": in_process.watched,
    "worker": in_process.worker,
    "polls": polling.polls,
    "postgres": with_postgres.beside,
    "postgres-distant": with_postgres.distant,
    "start": processes.start,
    "idle": processes.idle,
    "imports": processes.imports,
    "commands": processes.commands,
    "full": in_process.full,
    "memory": in_process.memory,
    "look": looking.look,
}
SHARES = {"requests": 3, "kept-16": 3, "kept-64": 2, "full": 4, "memory": 3}
"""How much of the time is a measure's, where it is not 1. What one leaves is for those behind it."""
COSTLY = {"look", "watched"}
"""What takes minutes: measured by --only, and a little of it by --smoke."""
PEERED = {"requests", "kept-16", "postgres"}
CHARTED = ("requests", "kept-16")
MINUTES, GRACE = 9.0, 50.0
"""Minutes after which no round begins, and the seconds that what runs then has to end."""


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m tests.benchmarks", description=__doc__)
    add = parser.add_argument
    add("--list", action="store_true", help="list the measures, and measure nothing")
    add("--only", nargs="+", metavar="NAME", choices=MEASURES, help="measure only these")
    add("--rounds", type=int, metavar="N", help="the number of rounds of each measure, in place of its own")
    add(
        "--minutes",
        type=float,
        default=MINUTES,
        metavar="N",
        help="leave out rounds beyond this (default: %(default)g)",
    )
    add("--smoke", action="store_true", help="one small round of each, without peers: see that everything runs")
    add("--against", metavar="REV", help="measure this revision of the repository, too, in an environment of its own")
    add("--no-peers", action="store_true", help="measure no peers")
    add("--strict", action="store_true", help="end with 1 if a target is missed")
    add("--json", type=Path, metavar="FILE", help="write everything that was found to this file")
    add("--svg", type=Path, metavar="FILE", help="write a chart of the peers to this file")
    add("--cache", type=Path, metavar="FOLDER", default=cache(), help="environments of others (default: %(default)s)")
    return parser


def main(arguments: Sequence[str]) -> int:
    asked = (parsing := parser()).parse_args(arguments)
    console, status = Console(soft_wrap=True, highlight=False), Console(stderr=True, highlight=False)
    if asked.list:
        for name, measure in MEASURES.items():
            console.print(f"{name:18} {measure.__doc__}{' By --only.' if name in COSTLY else ''}")
        return 0
    about = report.machine() | ({} if asked.against is None else {"against": asked.against})
    everything: dict[str, Found] = {}
    names = asked.only or [name for name in MEASURES if asked.smoke or name not in COSTLY]
    if asked.svg and not set(CHARTED) & {*names}:
        parsing.error(f"--svg needs one of {', '.join(CHARTED)}")
    peers = not asked.no_peers and not asked.smoke
    with status.status("making the environments of others, once"):
        if peers and PEERED & {*names}:
            for peer in (*PEERS.values(), *DURABLE_PEERS.values()):
                with suppress(Unavailable):  # which the measure tells
                    peer.environment(asked.cache)
        try:
            before = None if asked.against is None else of_revision(asked.against, asked.cache)
        except Unavailable as error:
            parsing.error(f"--against {asked.against}: {error}")
    end = time.monotonic() + asked.minutes * 60
    session = Session(asked.rounds, asked.smoke, peers, asked.cache, before, deadline=end, end=end + GRACE)
    for number, name in enumerate(names):
        begin = time.monotonic()
        if everything and begin > end:
            status.print(f"{name}: no time left; --only {name} measures it alone")
            continue
        shares = [SHARES.get(each, 1) for each in names[number:]]
        session.deadline = begin + (end - begin) * shares[0] / sum(shares)
        with status.status(name, refresh_per_second=2) as shown:  # more often would be measured, too
            if status.is_terminal:
                session.progress = shown.update
            try:
                everything[name] = MEASURES[name](session)
            except (Unavailable, Broke, OSError, SubprocessError) as error:
                everything[name] = Found(name, missing={"all of it": str(error)})
        status.print(f"{name}: {time.monotonic() - begin:.0f} s")
        report.show(console, everything[name], judges=not asked.smoke)
    console.print(", ".join(f"{what}: {value}" for what, value in about.items()))
    if asked.json:
        asked.json.write_text(report.as_json(about, everything))
    if asked.svg:
        charted = [found for name in CHARTED if (found := everything.get(name)) is not None and found.rows]
        asked.svg.write_text(report.as_svg(about, charted, CPU, (over_http.RECEIVER, over_http.KEPT)))
    broken = [name for found in everything.values() for name in found.missing]
    missed = report.missed(everything)
    if asked.strict and missed:
        status.print("missed: " + "; ".join(missed))
    return 1 if (asked.smoke and broken) or (asked.strict and missed) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
