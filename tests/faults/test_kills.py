"""A receiver that is killed at random moments: what it acknowledged is handled, in order, and once but for the kills.

The long form has 200 kills: `pytest -n0 -s -o faulthandler_timeout=0 -m faults tests/faults/test_kills.py`.
FAULTS_SEED=... repeats the moments of an earlier run as well as they can be.
"""

from __future__ import annotations

import os
import random
from collections import defaultdict
from functools import partial
from pathlib import Path

import pytest

from tests.faults.harness import Run, Sender, Server, moment, runs, states

HANDLERS = ("on_loop", "in_thread", "at_second_try")
SLACK = 1.0
"""Seconds after a delivery's last handler within which the outcome of it is certainly committed."""


def test_what_was_acknowledged_is_handled_in_spite_of_10_kills(tmp_path: Path) -> None:
    survive(tmp_path, kills=10, longest_life=0.5, orders=6, per_life=100)


@pytest.mark.faults
def test_what_was_acknowledged_is_handled_in_spite_of_200_kills(tmp_path: Path) -> None:
    survive(tmp_path, kills=200, longest_life=2.0, orders=12, per_life=250)


def survive(folder: Path, *, kills: int, longest_life: float, orders: int, per_life: int) -> None:
    seed = int(os.environ.get("FAULTS_SEED") or random.randrange(10**6))
    print(f"FAULTS_SEED={seed}")
    chosen = random.Random(seed)
    with Server(folder) as server, Sender(server.port, orders, budget=0) as sender:
        for _ in range(kills):
            before = len(sender.acknowledged)
            sender.budget = before + per_life
            if chosen.random() < 0.9:  # else it is killed while it starts
                server.wait_for(partial(_has_more_than, sender, before), "an answer")
            moment(chosen.uniform(0, longest_life))
            server.kill()
            server.start()
        sender.__exit__()
        acknowledged = set(sender.acknowledged)
        server.wait_for(lambda: "waiting" not in states(server.inbox), "the end of it all", 120)
        server.stop()
        found = runs(folder)
        print(f"{len(acknowledged)} acknowledged, {sender.unanswered} unanswered, {sender.repeated} repeated")
        assert sender.wrong == []
        assert sender.rejected == 0
        assert sender.unanswered > 0
        for handler in HANDLERS:
            assert {run[3:5] for run in found if (run.handler, run.what) == (handler, "end")} == acknowledged
        assert states(server.inbox) == {"done": len(acknowledged)}
        doubles = doubled(found)
        print(f"{len(doubles)} runs for a second time")
        assert [run for run in doubles if not was_in_flight(run, found, server.ended)] == []
        assert_order(found)


def _has_more_than(sender: Sender, count: int) -> bool:
    return len(sender.acknowledged) > count


def doubled(found: list[Run]) -> list[Run]:
    """Return the ends of runs after which the same handler ran again for the same delivery."""
    last: dict[tuple[str, str, int], Run] = {}
    again: list[Run] = []
    for run in found:
        which = (run.handler, run.order, run.number)
        if run.what == "begin" and which in last:
            again.append(last.pop(which))
        elif run.what == "end":
            last[which] = run
    return again


def was_in_flight(ran: Run, found: list[Run], killed: dict[int, float]) -> bool:
    """Whether the process that ran it was killed so soon afterwards that the outcome may not have been committed."""
    if ran.process not in killed:
        return False
    latest = max(
        run.at for run in found if (run.process, run.order, run.number) == (ran.process, ran.order, ran.number)
    )
    return killed[ran.process] - latest < SLACK


def assert_order(found: list[Run]) -> None:
    """All runs for a delivery are before all runs for the next one of its order."""
    numbers: dict[str, list[int]] = defaultdict(list)
    for run in found:
        numbers[run.order].append(run.number)
    for order, ran in numbers.items():
        assert ran == sorted(ran), order
