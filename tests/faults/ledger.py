"""What really became of each delivery, written down by the database itself, and what must not have become of it.

Triggers of ours note each change of a delivery's progress in its own transaction. So whether a run for a second time
was allowed is no matter of seconds: what is noted as done was committed, and must not run again.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from bisect import bisect
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

from tests.faults.harness import HANDLERS, Run, name_of_old, runs
from webhook_receiver import SQLiteInbox

FINAL = ("done", "dead", "unhandled")
LEASE = 1.0
"""Seconds for which a process's sign of life counts, see `app.OPTIONS`."""
SLACK = 1.0
"""Seconds within which what has run is certainly settled."""
ROUNDED = 0.005
"""Seconds by which the times of the database's clock may be too late."""
BEHIND = 3.0
"""Seconds within which a process that stood still has found out what it does not have any more."""

_NOW = "(julianday('now') - 2440587.5) * 86400.0"
_SQLITE = f"""
CREATE TABLE IF NOT EXISTS noted_delivery (seq INTEGER PRIMARY KEY, id TEXT, body BLOB, at REAL);
CREATE TABLE IF NOT EXISTS noted_change (seq INTEGER, at REAL, state TEXT, handlers TEXT);
CREATE TABLE IF NOT EXISTS noted_crash (seq INTEGER, at REAL, lease INTEGER);
INSERT OR IGNORE INTO noted_delivery SELECT seq, id, body, {_NOW} FROM delivery;
INSERT INTO noted_change SELECT seq, {_NOW}, state, handlers FROM progress
    WHERE seq NOT IN (SELECT seq FROM noted_change);
CREATE TRIGGER IF NOT EXISTS note_delivery AFTER INSERT ON delivery BEGIN
    INSERT INTO noted_delivery VALUES (NEW.seq, NEW.id, NEW.body, {_NOW});
END;
CREATE TRIGGER IF NOT EXISTS note_progress AFTER INSERT ON progress BEGIN
    INSERT INTO noted_change VALUES (NEW.seq, {_NOW}, NEW.state, NEW.handlers);
END;
CREATE TRIGGER IF NOT EXISTS note_change AFTER UPDATE ON progress
WHEN NEW.state <> OLD.state OR NEW.handlers IS NOT OLD.handlers BEGIN
    INSERT INTO noted_change VALUES (NEW.seq, {_NOW}, NEW.state, NEW.handlers);
END;
CREATE TRIGGER IF NOT EXISTS note_crash AFTER UPDATE ON progress WHEN NEW.crashes > OLD.crashes BEGIN
    INSERT INTO noted_crash VALUES (NEW.seq, {_NOW}, OLD.lease);
END;
"""
_POSTGRES = """
CREATE TABLE noted_delivery (seq bigint PRIMARY KEY, id text, body bytea, at double precision);
CREATE TABLE noted_change (number bigserial, seq bigint, at double precision, state text, handlers text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$ BEGIN
    IF TG_TABLE_NAME = 'delivery' THEN
        INSERT INTO noted_delivery VALUES (NEW.seq, NEW.id, NEW.body, extract(epoch FROM clock_timestamp()));
    ELSE
        INSERT INTO noted_change (seq, at, state, handlers)
        VALUES (NEW.seq, extract(epoch FROM clock_timestamp()), NEW.state, NEW.handlers);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER note_delivery AFTER INSERT ON delivery FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER note_progress AFTER INSERT ON progress FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER note_change AFTER UPDATE ON progress FOR EACH ROW
WHEN (NEW.state <> OLD.state OR NEW.handlers IS DISTINCT FROM OLD.handlers) EXECUTE FUNCTION note();
"""

Name = tuple[str, int]
"""The order that a delivery is about, and the number of this news of it."""
Away = Mapping[int, Sequence[tuple[float, float]]]
"""From when to when each process stood still, or was killed."""


class Change(NamedTuple):
    """A change of a delivery's progress that was committed; the time is that of the processes' monotonic clock."""

    at: float
    state: str
    handlers: Mapping[str, str]


class Crash(NamedTuple):
    """A lease that ended by itself, and was counted."""

    seq: int
    at: float
    lease: int | None


@dataclass
class Evidence:
    """All that is known after a run of tests with a database."""

    acknowledged: set[Name]
    away: Away
    runs: list[Run]
    names: dict[int, Name] = field(default_factory=dict[int, Name])
    """All deliveries that ever were in the inbox, by row."""
    born: dict[int, float] = field(default_factory=dict[int, float])
    owners: dict[int, int] = field(default_factory=dict[int, int])
    """The tokens of the owners that deliveries were born to."""
    there: set[int] = field(default_factory=set[int])
    purged: set[int] = field(default_factory=set[int])
    changes: dict[int, list[Change]] = field(default_factory=lambda: defaultdict[int, list[Change]](list))
    crashes: list[Crash] = field(default_factory=list[Crash])
    processes: dict[int, int] = field(default_factory=dict[int, int])
    """The processes of owners, by token."""

    def told(self) -> str:
        """Return the figures of it."""
        begun = Counter((run.handler, run.order, run.number) for run in self.runs if run.what == "end")
        again = sum(count - 1 for count in begun.values())
        late = sum(len(spans) for spans in self.away.values())
        return (
            f"{len(self.owners)} of {len(self.there)} born leased, {len(self.purged)} purged, {again} handled again, "
            f"{len(self.crashes)} counted as crashed, {late} times away"
        )


def begin_sqlite(path: Path) -> None:
    """Make a SQLite file, or take an older one, and have it note what becomes of its deliveries."""

    async def make() -> None:
        await (await SQLiteInbox(path).open()).close()

    if not path.exists():
        asyncio.run(make())
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(_SQLITE)


def begin_postgres(url: str) -> None:
    """Have a database note what becomes of its deliveries."""
    with psycopg.connect(url, autocommit=True, options="-c search_path=webhook_receiver,public") as connection:
        connection.execute(_POSTGRES)


def collect_sqlite(folder: Path, acknowledged: Iterable[Name], away: Away) -> Evidence:
    """Return what a SQLite file and its processes have noted."""
    with closing(sqlite3.connect(folder / "hooks.db")) as connection:

        def read(statement: str) -> list[tuple[Any, ...]]:
            return connection.execute(statement).fetchall()

        evidence = _collect(folder, acknowledged, away, read, "rowid")
        evidence.owners = dict(read("SELECT seq, owner FROM delivery WHERE owner IS NOT NULL"))
        offset = time.monotonic() - time.time()
        evidence.crashes = [Crash(seq, at + offset, lease) for seq, at, lease in read("SELECT * FROM noted_crash")]
        return evidence


def collect_postgres(folder: Path, url: str, acknowledged: Iterable[Name], away: Away) -> Evidence:
    """Return what a database and the processes at work on it have noted."""
    with psycopg.connect(url, options="-c search_path=webhook_receiver,public") as connection:
        return _collect(
            folder, acknowledged, away, lambda statement: connection.execute(statement.encode()).fetchall(), "number"
        )


def _collect(
    folder: Path,
    acknowledged: Iterable[Name],
    away: Away,
    read: Any,
    order: str,
) -> Evidence:
    # So that what is found can be looked into afterwards, without those who noted it.
    known = {"acknowledged": [*acknowledged], "away": away, "offset": time.monotonic() - time.time()}
    (folder / "known.json").write_text(json.dumps(known), encoding="utf-8")
    offset = time.monotonic() - time.time()
    all_away = {process: [*spans] for process, spans in away.items()}
    for process, since, until in _lines(folder / "late"):
        all_away.setdefault(int(process), []).append((float(since), float(until)))
    evidence = Evidence({*acknowledged}, all_away, runs(folder))
    for seq, id, body, at in read("SELECT seq, id, body, at FROM noted_delivery"):
        evidence.names[seq] = name_of(id, body)
        evidence.born[seq] = at + offset
    evidence.there = {seq for (seq,) in read("SELECT seq FROM delivery")}
    evidence.purged = {seq for (seq,) in read("SELECT seq FROM purged")}
    for seq, at, state, handlers in read(f"SELECT seq, at, state, handlers FROM noted_change ORDER BY {order}"):
        states = {name.rpartition(":")[2]: each[0] for name, each in json.loads(handlers or "{}").items()}
        evidence.changes[seq].append(Change(at + offset, state, states))
    evidence.processes = {int(token): int(process) for token, process in _lines(folder / "owners")}
    return evidence


def _lines(file: Path) -> list[list[str]]:
    return [line.split() for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []


def name_of(id: str, body: bytes) -> Name:
    """Return what a delivery is called in the handlers' notes."""
    document = json.loads(body)
    if "n" in document:  # in an older file
        return name_of_old(id)
    return document["body"]["orderId"], document["body"]["number"]


def faults(evidence: Evidence) -> list[str]:
    """Return what should not have been, in words."""
    return [*_lost(evidence), *_twice(evidence), *_out_of_order(evidence), *_crashed(evidence)]


def _lost(evidence: Evidence) -> list[str]:
    found: list[str] = []
    rows: dict[Name, int] = {}
    for seq, name in evidence.names.items():
        if name in rows:
            found.append(f"{name} was kept twice, in the rows {rows[name]} and {seq}")
        rows[name] = seq
    found += [f"{name} was acknowledged and not kept" for name in evidence.acknowledged - rows.keys()]
    ended = {(run.handler, run.order, run.number) for run in evidence.runs if run.what == "end"}
    for seq, name in evidence.names.items():
        changes = evidence.changes[seq]
        last = changes[-1] if changes else None
        if seq in evidence.purged and seq not in evidence.there:
            if last is None or last.state != "dead":
                found.append(f"{name} was purged, and was not dead: {last}")
        elif seq not in evidence.there:
            found.append(f"{name} is lost: its row {seq} is gone")
        elif changes and changes[0].state in FINAL:
            if len(changes) > 1:
                found.append(f"{name} was finished before it all began, and then it was {changes[1:]}")
        elif last is None or last.state not in FINAL:
            found.append(f"{name} is not finished: {last}")
        elif last.state == "done":
            missing = [handler for handler in HANDLERS if (handler, *name) not in ended]
            if missing:
                found.append(f"{name} is done, and {missing} never came to an end")
        elif not name[0].startswith("d-"):
            found.append(f"{name} is {last.state}")
    return found


def _was_away(evidence: Evidence, process: int, since: float, until: float) -> bool:
    """Whether a process stood still or was killed in a span of time."""
    return any(start <= until and end >= since for start, end in evidence.away.get(process, ()))


def _is_behind(evidence: Evidence, process: int, seq: int, at: float) -> bool:
    """Whether a process may think that it has a delivery, since it had it when it stood still, and has just gone on."""
    return any(
        evidence.born[seq] <= start <= at <= end + BEHIND and end < float("inf")
        for start, end in evidence.away.get(process, ())
    )


def _twice(evidence: Evidence) -> list[str]:
    rows = {name: seq for seq, name in evidence.names.items()}
    found: list[str] = []
    latest: dict[tuple[str, str, int], Run] = {}
    times = {seq: [each.at for each in changes] for seq, changes in evidence.changes.items()}
    for run in evidence.runs:
        which = (run.handler, run.order, run.number)
        if run.what == "end":
            latest[which] = run
        if run.what != "begin":
            continue
        seq = rows.get((run.order, run.number))
        if seq is None:
            found.append(f"{run} is of nothing that was ever kept")
            continue
        changes = evidence.changes[seq]
        count = bisect(times.get(seq, []), run.at - ROUNDED)
        if _is_behind(evidence, run.process, seq, run.at):
            continue
        # The latest one before it began, and those of about the same time.
        maybe = changes[max(0, count - 1) : bisect(times.get(seq, []), run.at + ROUNDED)]
        if count and all(each.state in FINAL or each.handlers.get(run.handler) == "done" for each in maybe):
            found.append(f"{run} was begun after it was settled as {maybe[0]}")
        elif which in latest:
            before = latest[which]
            again = bisect(times.get(seq, []), before.at)
            is_replayed = any(
                one.state in FINAL and two.state == "waiting"
                for one, two in pairwise([*changes[max(0, again - 1) : max(0, count - 1)], *maybe])
            )
            until = min(run.at, before.at + SLACK)
            was_in_flight = _was_away(evidence, before.process, before.at - ROUNDED, until)
            if not (is_replayed or was_in_flight or _is_behind(evidence, before.process, seq, before.at)):
                found.append(f"{run} was run again after {before}, although that process was there all the time")
    return found


def _out_of_order(evidence: Evidence) -> list[str]:
    rows = {name: seq for seq, name in evidence.names.items()}
    finished = {
        name: next((each.at for each in evidence.changes[seq] if each.state in FINAL), float("inf"))
        for name, seq in rows.items()
    }
    older: dict[Name, Name] = {}
    by_order: dict[str, list[Name]] = defaultdict(list)
    for name in sorted(rows):
        if by_order[name[0]]:
            older[name] = by_order[name[0]][-1]
        by_order[name[0]].append(name)
    found: list[str] = []
    running: dict[str, list[Run]] = defaultdict(list)
    for run in evidence.runs:
        name = (run.order, run.number)
        seq = rows.get(name)
        if seq is None or run.what == "swallowed":
            continue
        if run.what != "begin":
            running[run.order] = [
                each for each in running[run.order] if (each.process, each.handler) != (run.process, run.handler)
            ]
            continue
        if not _is_behind(evidence, run.process, seq, run.at):
            for other in running[run.order]:
                if not _was_away(evidence, other.process, other.at - ROUNDED, run.at):
                    found.append(f"{run} was begun while another one of its order ran: {other}")
            if name in older and finished[older[name]] - ROUNDED > run.at:
                found.append(f"{run} was begun before {older[name]} was finished")
        running[run.order].append(run)
    return found


def _crashed(evidence: Evidence) -> list[str]:
    """Return what was counted as crashed though it had not begun, and its worker had it from memory only.

    What was tracked before the worker's end is counted; and what another process tracked soon after it, which could not
    know of that as long as the worker's last sign of life counted.
    """
    begun: dict[Name, float] = {}
    for run in evidence.runs:
        begun.setdefault((run.order, run.number), run.at)
    found: list[str] = []
    for crash in evidence.crashes:
        name = evidence.names[crash.seq]
        owner = evidence.owners.get(crash.seq)
        if begun.get(name, float("inf")) < crash.at or crash.lease != owner or owner is None:
            continue
        process = evidence.processes[owner]
        tracked = evidence.changes[crash.seq][0].at - ROUNDED
        if not any(start + LEASE >= tracked for start, _ in evidence.away.get(process, ())):
            found.append(f"{name} was counted as crashed with process {process}, where it had not begun")
    return found
