"""Receivers that are killed at random moments: what they acknowledged is handled, in order, and once but for the kills.

The long form: `pytest -n0 -s -o faulthandler_timeout=0 -m faults tests/faults/test_kills.py`.
FAULTS_KILLS=... has so many kills, FAULTS_SECONDS=... lets it end early, and FAULTS_SEED=... repeats the moments of an
earlier run as well as they can be.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from tests.faults.harness import Sender, states
from tests.faults.ledger import begin_sqlite, collect_sqlite, faults
from tests.faults.storm import Operator, Storm, kills, seconds, seeded, told

COMMANDS = ("replay", "replay", "purge", "pause", "check", "stats", "export", "backup", "backup")


def test_what_was_acknowledged_is_handled_in_spite_of_20_kills(tmp_path: Path) -> None:
    survive(tmp_path, kills=20, longest_life=0.5, seconds=30)


@pytest.mark.faults
def test_what_was_acknowledged_is_handled_in_spite_of_1000_kills(tmp_path: Path) -> None:
    survive(tmp_path, kills=kills(1000), longest_life=1.0, seconds=seconds(900))


def survive(folder: Path, *, kills: int, longest_life: float, seconds: float) -> None:
    chosen = seeded()
    with Storm(folder, chosen) as storm:
        first, second = storm.victims
        asyncio.run(begin_sqlite(first.inbox))
        storm.start()
        sender = Sender(first.port, 6, budget=0, others=[second.port], unordered=6, deadly=2, in_doubt=True)
        operator = Operator(folder, str(first.inbox), sender.acknowledged, chosen, COMMANDS)
        began = time.monotonic()

        def allow_more() -> None:
            sender.budget = len(sender.acknowledged) + 30

        with sender, operator:
            storm.rage(kills, longest_life, began + seconds, allow_more)
            took = time.monotonic() - began
        operator.resume()
        first.wait_for(lambda: "waiting" not in states(first.inbox), "the end of it all", 120)
        operator.give("check", mortal=False)
        storm.stop()
        evidence = collect_sqlite(folder, sender.acknowledged, storm.away)
        print(f"{told(storm, sender, operator)}; {took:.1f} s; {evidence.told()}; {states(first.inbox)}")
        wrong = [*sender.wrong, *operator.wrong, *faults(evidence)]
        assert not wrong, "\n".join(wrong[:50])
        assert len(evidence.acknowledged) > kills
