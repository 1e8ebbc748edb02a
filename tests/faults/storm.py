"""Several processes on one inbox that are killed, stopped and started again at random, while somebody works with it."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import threading
import time
from base64 import b64decode
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

from tests import commands
from tests.faults.forked import Forked
from tests.faults.harness import HANDLERS, Sender, ask, moment
from tests.faults.ledger import LEASE, Name

PATIENCE = 60.0  # seconds for a process to answer once nothing befalls it any more
SLOW = 0.3
"""The part of its lease for which a process may get no time, before it counts as one that stood still."""
OPTIONS = {
    "worker": {"lease": LEASE, "poll": 0.1},
    "backoff": {"first": 0.02, "longest": 0.1, "attempts": 1000},
    "late": LEASE * SLOW,
}


def seeded() -> random.Random:
    """Return random numbers whose seed is FAULTS_SEED, or printed to become it."""
    seed = int(os.environ.get("FAULTS_SEED") or random.randrange(10**6))
    print(f"FAULTS_SEED={seed}")
    return random.Random(seed)


def kills(default: int) -> int:
    """Return how many kills a long form has: FAULTS_KILLS, or the default."""
    return int(os.environ.get("FAULTS_KILLS") or default)


def seconds(default: float) -> float:
    """Return how long a long form may take before it ends early: FAULTS_SECONDS, or the default."""
    return float(os.environ.get("FAULTS_SECONDS") or default)


class Operator:
    """Who works with the inbox by the command line, in a thread of its own, and is killed at times, too.

    Args:
        folder: where its files are.
        where: the inbox, as a command takes it.
        acknowledged: the deliveries that were acknowledged until now; grows.
        chosen: random numbers.
        kinds: the commands that it gives.
    """

    def __init__(
        self, folder: Path, where: str, acknowledged: list[Name], chosen: random.Random, kinds: Sequence[str]
    ) -> None:
        self.ran = Counter[str]()
        """How many commands have ended by themselves, of each kind."""
        self.killed = 0
        self.wrong: list[str] = []
        self._folder = folder
        self._where = where
        self._acknowledged = acknowledged
        self._chosen = chosen
        self._kinds = kinds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)  # which pytest does not wait for at its own end

    def __enter__(self) -> Operator:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop.set()
        self._thread.join(timeout=120)
        assert not self._thread.is_alive(), "a command does not end"

    def _work(self) -> None:
        while not self._stop.wait(self._chosen.uniform(0, 0.5)):
            kind = self._chosen.choice(self._kinds)
            try:
                getattr(self, f"_{kind}")()
            except Exception as error:
                self.wrong.append(f"{kind}: {error!r}")

    def resume(self) -> None:
        """Resume all handlers: a command that should have done so may have been killed."""
        for handler in HANDLERS:
            self.give("resume", f"tests.faults.app:{handler}", mortal=False)

    def give(self, *arguments: str, unless: str = "never", mortal: bool = True) -> bool:
        """Give a command, and see that it succeeds, unless it says this; return whether it has ended by itself."""
        patience = self._chosen.uniform(0, 0.3) if mortal and self._chosen.random() < 0.3 else None
        name, *rest = arguments
        ended = commands.run("inbox", name, self._where, *rest, kill_after=patience)
        if ended.returncode == -signal.SIGKILL:
            self.killed += 1
            return False
        if ended.returncode and unless not in ended.stderr:
            self.wrong.append(f"{arguments} ended with {ended.returncode}: {ended.stdout[-300:]}{ended.stderr[-1000:]}")
        self.ran[name] += 1
        return True

    def _replay(self) -> None:
        self.give("replay", "--dead", "--yes")

    def _purge(self) -> None:
        self.give("purge", "--dead", "--yes")

    def _pause(self) -> None:
        handler = f"tests.faults.app:{self._chosen.choice(HANDLERS)}"
        self.give("pause", handler, unless="has run on this inbox lately")
        self._stop.wait(self._chosen.uniform(0, 0.3))
        self.give("resume", handler, mortal=False)

    def _migrate(self) -> None:
        self.give("migrate")

    def _check(self) -> None:
        self.give("check")

    def _stats(self) -> None:
        self.give("stats")

    def _export(self) -> None:
        file = self._folder / "exported.jsonl"
        before = {*self._acknowledged}
        if self.give("export", str(file), "--all", "--force"):
            _, *documents = map(json.loads, file.read_text(encoding="utf-8").splitlines())
            self._compare("export", before, {_name(b64decode(each["body"])) for each in documents})

    def _backup(self) -> None:
        file = self._folder / "copy.db"
        before = {*self._acknowledged}
        if self.give("backup", str(file), "--force"):
            with closing(sqlite3.connect(file)) as copy:
                found = copy.execute("SELECT body FROM delivery").fetchall()
                (damage,) = copy.execute("PRAGMA quick_check").fetchone()
            if damage != "ok":
                self.wrong.append(f"a copy is damaged: {damage}")
            self._compare("backup", before, {_name(body) for (body,) in found})

    def _compare(self, what: str, before: set[Name], found: set[Name]) -> None:
        missing = {name for name in before - found if not name[0].startswith("d-")}  # which may be purged
        if missing:
            self.wrong.append(
                f"{what}: {len(missing)} are missing that were acknowledged before: {sorted(missing)[:5]}"
            )


def _name(body: bytes) -> Name:
    order = json.loads(body)["body"]
    return order["orderId"], order["number"]


class Storm:
    """The processes, and what becomes of them.

    Args:
        folder: where their files are.
        chosen: random numbers.
        count: of processes.
        options: those of `app.OPTIONS` that differ.
    """

    def __init__(self, folder: Path, chosen: random.Random, count: int = 2, **options: object) -> None:
        self.victims = [Forked(folder, **{**OPTIONS, **options}) for _ in range(count)]
        self.kills = self.stops = self.standstills = self.restarts = 0
        self._chosen = chosen
        self._busy = [0.0] * count
        """When the next thing befalls each of the processes."""
        self._still = [False] * count

    @property
    def away(self) -> dict[int, list[tuple[float, float]]]:
        """From when to when each process stood still, or was killed."""
        return {process: spans for victim in self.victims for process, spans in victim.away.items()}

    def __enter__(self) -> Storm:
        return self

    def __exit__(self, *exc_info: object) -> None:
        with ExitStack() as stack:
            for victim in self.victims:
                stack.push(victim.__exit__)

    def start(self) -> None:
        for victim in self.victims:
            victim.start()

    def rage_at(self, sender: Sender, kills: int, longest_life: float, seconds: float) -> float:
        """Kill the processes while a sender sends no more than can be handled; return how many seconds it took."""
        began = time.monotonic()

        def allow_more() -> None:
            sender.budget = len(sender.acknowledged) + 50

        self.rage(kills, longest_life, began + seconds, allow_more)
        return time.monotonic() - began

    def rage(self, kills: int, longest_life: float, until: float, each: Callable[[], None] = lambda: None) -> None:
        """Kill the processes again and again, all of them running at the end.

        Args:
            kills: how many.
            longest_life: seconds that a process lives at most, and mostly less.
            until: the monotonic time when it ends early.
            each: called before whatever befalls a process.
        """
        while self.kills < kills and time.monotonic() < until:
            number = min(range(len(self._busy)), key=self._busy.__getitem__)
            moment(max(0.0, self._busy[number] - time.monotonic()))
            each()
            self._busy[number] = time.monotonic() + self._befall(number, longest_life)
        for number, victim in enumerate(self.victims):
            if self._still[number]:
                self._still[number] = False
                victim.go_on()
        for victim in self.victims:
            victim.wait_for(partial(self._answers, victim), "an answer of each process", PATIENCE)

    def _answers(self, victim: Forked) -> bool:
        """Return whether a process answers; start it again if it could not start."""
        self._start_again(victim)
        return ask(victim.port, b"GET / HTTP/1.1\r\nhost: receiver\r\n\r\n", 5) is not None

    def _start_again(self, victim: Forked) -> None:
        """Start a process again that could not start, as a supervisor does: one that stands still may have the lock."""
        if not victim.is_alive:
            assert "cannot start" in victim.said()[-5000:], victim.said()[-5000:]
            self.restarts += 1
            victim.start()

    def _befall(self, number: int, longest_life: float) -> float:
        """Do something to a process; return the seconds until the next time."""
        victim = self.victims[number]
        self._start_again(victim)
        die = self._chosen.random()
        if self._still[number] and die < 0.8:
            self._still[number] = False
            victim.go_on()
            return self._chosen.uniform(0, longest_life)
        if die < 0.1 and not self._still[number]:
            self._still[number] = True
            self.standstills += 1
            victim.stand_still()
            return self._chosen.uniform(0.5, 2.0) * LEASE
        if die < 0.13 and not any(self._still):  # one that stands still may have the lock that a stop waits for
            victim.stop()
            self.stops += 1
        else:
            if die < 0.17 and not self._still[number]:
                victim.end_soon()
                moment(self._chosen.uniform(0, 0.1))
            self._still[number] = False
            victim.kill()
            self.kills += 1
        victim.start()
        life = self._chosen.random()
        return longest_life * (life**2 if life < 0.5 else life)  # short ones are of the start

    def stop(self) -> None:
        for victim in self.victims:
            victim.stop()


def told(storm: Storm, sender: Sender, operator: Operator) -> str:
    """Return the figures of it all."""
    return (
        f"{storm.kills} kills, {storm.standstills} standstills, {storm.stops} stops, "
        f"{storm.restarts} starts in vain; "
        f"{operator.killed} commands killed, {dict(operator.ran)}; "
        f"{len(sender.acknowledged)} acknowledged, {sender.unanswered} unanswered, "
        f"{sender.rejected} rejected, {sender.repeated} repeated"
    )
