"""Several processes on a PostgreSQL server, all of which are killed, stopped and cut off: nothing acknowledged is lost.

The long form, and what FAULTS_KILLS, FAULTS_SECONDS and FAULTS_SEED do, are as in test_kills.py.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.faults.harness import HANDLERS, Sender, Server, ask, assert_order, delivery, doubled, moment, runs
from tests.faults.ledger import SLACK, begin_postgres, collect_postgres, faults
from tests.faults.storm import Operator, Storm, kills, seconds, seeded, told
from tests.helpers import free_port
from tests.postgres import Postgres, execute, migrated, postgres

LEASE = 1.0  # seconds
COMMANDS = ("replay", "replay", "purge", "pause", "check", "stats", "export")


class Worker(Server):
    """The same receiver in a process that answers nothing and handles what is kept, on a "host" of its own if it can.

    A host is a network namespace, in which the server is reached by its socket and nothing else by anything.
    """

    apart = False

    def command(self) -> list[str]:
        host = ["unshare", "--net"] if self.apart else []
        return [*host, sys.executable, "-m", "webhook_receiver", "worker", "tests.faults.app:hooks"]


def _can_be_apart() -> bool:
    program = shutil.which("unshare")
    return program is not None and subprocess.run([program, "--net", "true"], capture_output=True).returncode == 0


def states(url: str) -> dict[str, int]:
    """Return how many deliveries are in which state; as yet none is known while the server is away."""
    try:
        found = execute(url, "SELECT state, count(*) FROM webhook_receiver.progress GROUP BY state")
    except psycopg.OperationalError:
        return {"waiting": 0}
    return dict(found)


def begun(url: str) -> int:
    """Return how many workers listen."""
    [(count,)] = execute(url, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN %%'")
    return int(count)


class Cluster:
    """A server, a receiver that only keeps, workers, and a sender; and when which of them was away."""

    def __init__(self, folder: Path, server: Postgres, url: str, receiver: Server, workers: list[Worker]) -> None:
        self.folder = folder
        self.server = server
        self.url = url
        self.receiver = receiver
        self.workers = workers
        self.away: list[tuple[float, float]] = []
        """From when to when the server was away, or cut off."""

    @contextmanager
    def without_server(self) -> Generator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self.away.append((began, time.monotonic()))

    def assert_all_handled(self, sender: Sender, *, rejected: bool = True) -> None:
        """Nothing acknowledged is lost, each order's news are in order, and only what was in flight ran twice."""
        acknowledged = set(sender.acknowledged)
        self.receiver.wait_for(lambda: "waiting" not in states(self.url), "the end of it all", 120)
        for each in [self.receiver, *self.workers]:
            each.stop()
        found = runs(self.folder)
        print(
            f"{len(acknowledged)} acknowledged, {sender.rejected} rejected, {sender.unanswered} unanswered, "
            f"slowest {sender.slowest:.1f} s"
        )
        assert sender.wrong == []
        assert len(acknowledged) > 20
        assert bool(sender.rejected) is rejected
        for handler in HANDLERS:
            assert {run[3:5] for run in found if (run.handler, run.what) == (handler, "end")} >= acknowledged
        assert set(states(self.url)) == {"done"}
        twice = doubled(found)
        killed = {process: at for each in self.workers for process, at in each.ended.items()}
        print(f"{len(twice)} runs for a second time")
        for run in twice:
            latest = max(
                at for at, *which in found if which[0] == run.process and which[2:4] == [run.order, run.number]
            )
            was_killed = run.process in killed and killed[run.process] - latest < SLACK
            was_cut_off = any(began - SLACK < latest and run.at < ended + SLACK for began, ended in self.away)
            assert was_killed or was_cut_off, run
        assert_order(found)


@pytest.fixture
def make(tmp_path: Path) -> Generator[Callable[..., Cluster]]:
    """Make a cluster of processes that all use one server."""
    with ExitStack() as stack:

        def make(*, workers: int = 2, apart: bool = False, also: int | None = None, **settings: Any) -> Cluster:
            server = stack.enter_context(postgres(**settings))
            execute(f"{server.address}/postgres", "CREATE DATABASE inbox")
            execute(f"{server.address}/postgres", "CREATE ROLE app LOGIN")
            url = migrated(f"{server.address}/inbox", "app")
            hosts = f"127.0.0.1:{server.port}" if also is None else f"127.0.0.1:{server.port},127.0.0.1:{also}"
            reached = f"postgresql://app@{hosts}/inbox?timeout=1"
            by_socket = f"postgresql://app@/inbox?timeout=1&host={server.sockets}&port={server.port}"
            options = {"worker": {"lease": LEASE, "poll": 0.1}}
            receiver = stack.enter_context(Server(tmp_path, url=reached, work=False, **options))
            others: list[Worker] = []
            for _ in range(workers):
                worker = Worker(tmp_path, url=by_socket if apart else reached, work=False, **options)
                worker.apart = apart
                stack.enter_context(worker)
                others.append(worker)
            return Cluster(tmp_path, server, url, receiver, others)

        yield make


@contextmanager
def sending(cluster: Cluster, orders: int = 6) -> Generator[Sender]:
    """Send, and see that it has begun to be handled, and that each worker has begun.

    One that cannot reach the server when it starts says so, and ends with 1: whoever started it may start it again.
    """
    with Sender(cluster.receiver.port, orders, budget=60, in_doubt=True) as sender:
        cluster.receiver.wait_for(lambda: runs(cluster.folder), "the first run", 60)
        cluster.receiver.wait_for(lambda: begun(cluster.url) >= len(cluster.workers), "the last worker", 60)
        yield sender
        sender.budget = len(sender.acknowledged) + 60  # what was away is back: this is answered
        cluster.receiver.wait_for(lambda: len(sender.acknowledged) >= sender.budget, "an answer", 60)


def test_what_was_acknowledged_is_handled_in_spite_of_12_kills(tmp_path: Path) -> None:
    survive(tmp_path, kills=12, longest_life=2.0, seconds=30)


@pytest.mark.faults
def test_what_was_acknowledged_is_handled_in_spite_of_300_kills(tmp_path: Path) -> None:
    survive(tmp_path, kills=kills(300), longest_life=2.0, seconds=seconds(600))


def survive(folder: Path, *, kills: int, longest_life: float, seconds: float) -> None:
    """Kill three receivers that also handle, again and again, while somebody works with the inbox."""
    chosen = seeded()
    with postgres() as server:
        execute(f"{server.address}/postgres", "CREATE DATABASE inbox")
        execute(f"{server.address}/postgres", "CREATE ROLE app LOGIN")
        url = migrated(f"{server.address}/inbox", "app")
        begin_postgres(url)
        reached = f"postgresql://app@127.0.0.1:{server.port}/inbox"
        with Storm(folder, chosen, count=3, url=reached) as storm:
            first, *others = storm.victims
            storm.start()
            ports = [each.port for each in others]
            sender = Sender(first.port, 5, 0, others=ports, unordered=16, deadly=2, impatient=0.05, in_doubt=True)
            operator = Operator(folder, reached, sender.acknowledged, chosen, COMMANDS)
            with sender, operator:
                took = storm.rage_at(sender, kills, longest_life, seconds)
            operator.resume()
            first.wait_for(lambda: "waiting" not in states(url), "the end of it all", 120)
            operator.give("check", mortal=False)
            storm.stop()
        evidence = collect_postgres(folder, url, sender.acknowledged, storm.away)
        print(f"{told(storm, sender, operator)}; {took:.1f} s; {evidence.told()}; {states(url)}")
        wrong = [*sender.wrong, *operator.wrong, *faults(evidence)]
        assert not wrong, "\n".join(wrong[:50])
        assert len(evidence.acknowledged) > kills


def test_two_hosts_that_share_nothing_but_the_server(make: Callable[..., Cluster]) -> None:
    apart = _can_be_apart()
    print("in network namespaces" if apart else "as plain processes: network namespaces cannot be made here")
    cluster = make(workers=2, apart=apart)
    with sending(cluster) as sender:
        sender.budget = 200
        cluster.receiver.wait_for(lambda: len({run.process for run in runs(cluster.folder)}) > 1, "both hosts", 60)
        cluster.workers[0].kill()
        moment(1)
        cluster.workers[0].start()
    cluster.assert_all_handled(sender, rejected=False)


@pytest.mark.parametrize("how", [pytest.param(signal.SIGQUIT, marks=pytest.mark.faults), signal.SIGKILL])
def test_the_server_is_restarted_in_the_middle_as_after_a_crash(
    make: Callable[..., Cluster], how: signal.Signals
) -> None:
    cluster = make()
    with sending(cluster) as sender:
        sender.budget = 10_000
        for _ in range(2):
            moment(1)
            with cluster.without_server():
                cluster.server.stop(how)
                answer = ask(cluster.receiver.port, delivery("away", 1))
                assert answer is not None
                assert (answer.status, answer.retry_after) == (503, True)
                moment(1.5)
                cluster.server.start()
        sender.budget = 0
    cluster.assert_all_handled(sender)


def test_a_second_server_takes_over_the_data_of_the_first(make: Callable[..., Cluster]) -> None:
    second = free_port()
    cluster = make(also=second)
    with sending(cluster) as sender:
        sender.budget = 10_000
        moment(1)
        with cluster.without_server():
            cluster.server.stop(signal.SIGKILL)
            cluster.server.port = second
            cluster.server.start()
        cluster.url = f"{cluster.server.address}/inbox"
        sender.budget = 0
    cluster.assert_all_handled(sender, rejected=bool(sender.rejected))


def test_all_connections_are_cut_again_and_again(make: Callable[..., Cluster]) -> None:
    cluster = make()
    with sending(cluster) as sender, cluster.without_server():
        sender.budget = 10_000
        for _ in range(20):
            execute(
                f"{cluster.server.address}/postgres",
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'inbox'",
            )
            moment(0.15)
        sender.budget = 0
    cluster.assert_all_handled(sender)


def test_a_server_that_stands_still_and_goes_on(make: Callable[..., Cluster]) -> None:
    cluster = make()
    with sending(cluster) as sender:
        sender.budget = 10_000
        moment(1)
        with cluster.without_server(), cluster.server.standing_still():
            began = time.monotonic()
            answer = ask(cluster.receiver.port, delivery("away", 1))
            assert answer is not None
            assert (answer.status, answer.retry_after) == (503, True)
            assert time.monotonic() - began < 10
        sender.budget = 0
    cluster.assert_all_handled(sender)


def test_a_server_without_a_connection_to_spare(make: Callable[..., Cluster]) -> None:
    cluster = make(max_connections=30)
    execute(cluster.url, "CREATE ROLE other LOGIN")
    with sending(cluster) as sender, ExitStack() as taken:
        sender.budget = 10_000
        with cluster.without_server():
            while not sender.rejected:
                execute(cluster.url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'")
                take_all(cluster.url.replace("postgres@", "other@"), taken)
            moment(1)
            taken.close()
        sender.budget = 0
    cluster.assert_all_handled(sender)


def take_all(url: str, taken: ExitStack) -> None:
    """Take all the connections that a server has."""
    with suppress(psycopg.OperationalError):
        while True:
            taken.enter_context(psycopg.connect(url))
