"""Those that migrate an older PostgreSQL inbox are killed and cut off: the tables are the old or the new ones.

The long form, and what FAULTS_KILLS, FAULTS_SECONDS and FAULTS_SEED do, are as in test_kills.py.
"""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests import commands
from tests.faults.harness import moment
from tests.faults.storm import kills, seconds, seeded
from tests.inbox.postgres.test_old import STEPS, handle_all
from tests.postgres import database, execute, load_version_2, postgres

OTHERS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


def test_an_older_database_is_migrated_in_spite_of_6_kills() -> None:
    survive(kills=6, seconds=30)


@pytest.mark.faults
def test_an_older_database_is_migrated_in_spite_of_100_kills() -> None:
    survive(kills=kills(100), seconds=seconds(300))


SLOWLY = """
    CREATE FUNCTION public.take_time() RETURNS event_trigger LANGUAGE plpgsql
        AS $$ BEGIN PERFORM pg_sleep(0.03); END $$;
    CREATE EVENT TRIGGER slowly ON ddl_command_end EXECUTE FUNCTION public.take_time();
"""
"""What makes each of the migration's some fifty changes take its time, as with many deliveries."""


def survive(*, kills: int, seconds: float) -> None:
    """Kill two that migrate at once, or cut them off, again and again, and then let them come to an end."""
    chosen, until = seeded(), time.monotonic() + seconds
    came = Counter[str]()
    with postgres(fsync="off") as server, database(server.address) as old, ThreadPoolExecutor(2) as two:
        load_version_2(old)
        execute(old, SLOWLY)
        while not came["migrated"] or (came["in vain"] < kills and time.monotonic() < until):
            with database(server.address, old.rpartition("/")[2]) as url:
                while came["in vain"] < kills and time.monotonic() < until and not is_new(url):
                    is_killed = chosen.random() < 0.5
                    given = [
                        two.submit(migrate, url, chosen.uniform(0.2, 1.2) if is_killed else None) for _ in range(2)
                    ]
                    if not is_killed:
                        while not execute(url, f"SELECT pid {OTHERS}") and not all(each.done() for each in given):
                            moment(0.01)
                        moment(chosen.uniform(0, 1))
                        execute(url, f"SELECT pg_terminate_backend(pid) {OTHERS}")
                    codes = [each.result() for each in given]
                    came["killed"] += codes.count(-signal.SIGKILL)
                    came["cut off"] += codes.count(1)
                    came["in vain"] += 0 not in codes
                assert migrate(url, None) == 0, "whatever was left, it can be brought to its end"
                assert is_new(url)
                asyncio.run(handle_all(url))
                came["migrated"] += 1
    print(dict(came))
    assert came["in vain"]


def migrate(url: str, kill_after: float | None) -> int:
    """Migrate by the command; return its exit code. One that is cut off says so."""
    ended = commands.run("inbox", "migrate", url, "--json", kill_after=kill_after)
    assert ended.returncode in (0, 1, -signal.SIGKILL), ended.stderr
    assert ended.returncode != 1 or "cannot be reached or written to" in ended.stderr, ended.stderr
    assert ended.returncode or json.loads(ended.stdout)["steps"] in ([], STEPS)
    return ended.returncode


def is_new(url: str) -> bool:
    """Return whether the tables are those of the newest version, and not of the older one: there is nothing between."""
    steps = {name for (name,) in execute(url, "SELECT name FROM webhook_receiver.migration")}
    assert {"inbox 1", "inbox 2"} <= steps
    new = steps >= {*STEPS}
    assert new or not steps & {*STEPS}
    assert any(name.startswith("procrastinate") for name in steps) is not new
    return new
