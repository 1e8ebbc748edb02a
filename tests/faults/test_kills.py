"""Receivers that are killed at random moments: what they acknowledged is handled, in order, and once but for the kills.

The long form: `pytest -n0 -s -o faulthandler_timeout=0 -m faults tests/faults/test_kills.py`.
FAULTS_KILLS=... has so many kills, FAULTS_SECONDS=... lets it end early, and FAULTS_SEED=... repeats the moments of an
earlier run as well as they can be.
"""

from __future__ import annotations

import lzma
import random
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.faults.harness import Sender, states
from tests.faults.ledger import Evidence, begin_sqlite, collect_sqlite, faults
from tests.faults.storm import Operator, Storm, kills, seconds, seeded, told

OLD = Path(__file__).parents[1] / "inbox" / "old" / "schema-4.db.xz"
"""A file of before, with 10,000 deliveries: see tests/inbox/sqlite/test_migration.py."""
COMMANDS = ("replay", "replay", "purge", "pause", "check", "stats", "export", "backup", "backup")


def test_what_was_acknowledged_is_handled_in_spite_of_20_kills(tmp_path: Path) -> None:
    survive(tmp_path, kills=20, longest_life=1.0, seconds=30)


@pytest.mark.faults
def test_what_was_acknowledged_is_handled_in_spite_of_1000_kills(tmp_path: Path) -> None:
    survive(tmp_path, kills=kills(1000), longest_life=1.2, seconds=seconds(900))


def survive(folder: Path, *, kills: int, longest_life: float, seconds: float) -> None:
    chosen = seeded()
    with Storm(folder, chosen) as storm:
        first, second = storm.victims
        begin_sqlite(first.inbox)
        storm.start()
        sender = Sender(
            first.port, 6, budget=0, others=[second.port], unordered=16, deadly=2, impatient=0.05, in_doubt=True
        )
        operator = Operator(folder, str(first.inbox), sender.acknowledged, chosen, COMMANDS)
        with sender, operator:
            took = storm.rage_at(sender, kills, longest_life, seconds)
        operator.resume()
        evidence = seen_to_its_end(storm, sender, operator, folder, f"{took:.1f} s")
        assert len(evidence.acknowledged) > kills


def seen_to_its_end(storm: Storm, sender: Sender, operator: Operator, folder: Path, took: str) -> Evidence:
    """Wait until nothing waits any more, end the storm, and return what was found once nothing of it is wrong."""
    first, _ = storm.victims
    first.wait_for(lambda: "waiting" not in states(first.inbox), "the end of it all", 120)
    operator.give("check", mortal=False)
    storm.stop()
    evidence = collect_sqlite(folder, sender.acknowledged, storm.away)
    print(f"{told(storm, sender, operator)}; {took}; {evidence.told()}; {states(first.inbox)}")
    wrong = [*sender.wrong, *operator.wrong, *faults(evidence)]
    assert not wrong, "\n".join(wrong[:50])
    return evidence


def test_an_older_file_is_migrated_in_spite_of_8_kills(tmp_path: Path) -> None:
    survive_in_migration(tmp_path, seeded(), kills=8, whole=False)


@pytest.mark.faults
def test_older_files_are_migrated_in_spite_of_100_kills(tmp_path: Path) -> None:
    chosen = seeded()
    for number in range(rounds := 10):
        folder = tmp_path / str(number)
        folder.mkdir()
        survive_in_migration(folder, chosen, kills=kills(100) // rounds)


def survive_in_migration(folder: Path, chosen: random.Random, *, kills: int, whole: bool = True) -> None:
    """Kill processes that start with an older file: while they migrate it, or handle what waits.

    Args:
        whole: whether all that waits in the file is handled, and not only an eighth of it.
    """
    for_ever = {"window": 1e11, "retention": 1e12, "unhandled_retention": None, "dead_retention": None}
    with Storm(folder, chosen, name="hooks", inbox=for_ever) as storm:
        first, second = storm.victims
        first.inbox.write_bytes(lzma.decompress(OLD.read_bytes()))
        if not whole:
            with closing(sqlite3.connect(first.inbox)) as connection, connection:
                connection.execute(
                    "UPDATE progress SET state = 'done', due = NULL, lease = NULL, held = NULL, settled = 1e9 "
                    "WHERE state = 'waiting' AND seq % 16 > 1"
                )
                connection.execute("DELETE FROM holder WHERE seq % 16 > 1")
        begin_sqlite(first.inbox)
        storm.start()
        sender = Sender(first.port, 4, others=[second.port], in_doubt=True)
        operator = Operator(folder, str(first.inbox), sender.acknowledged, chosen, ["migrate"])
        with sender, operator:
            storm.rage(kills, 0.3, time.monotonic() + 60)
        operator.give("resume", "handler", mortal=False)
        evidence = seen_to_its_end(storm, sender, operator, folder, "an older file")
        assert len(evidence.names) == 10_000 + len(evidence.acknowledged)
        with closing(sqlite3.connect(first.inbox.with_name("hooks.db.schema-4.bak"))) as copy:
            assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert copy.execute("PRAGMA user_version").fetchone() == (4,)
