"""A disk that is full, a file that is locked, read-only or gone: 503 and never a 2xx for what is not kept."""

from __future__ import annotations

import ctypes
import os
import random
import resource
import shutil
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.harness import Answer, Server, ask, delivery, ended, runs, states
from tests.faults.keep import entry
from webhook_receiver import SQLiteInbox
from webhook_receiver.errors import InboxUnavailable
from webhook_receiver.inbox import Filter, State
from webhook_receiver.inbox.records import Settlement

STORED = Answer(202, False)
UNAVAILABLE = Answer(503, True)
LARGE = random.Random(1).randbytes(4096).hex()  # which PostgreSQL cannot compress


def may_mount() -> bool:
    """Whether this process may mount a disk of its own; found out in a namespace that ends at once."""
    try:
        tried = subprocess.run(
            ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False
        )
    except FileNotFoundError:
        return False
    return tried.returncode == 0


@contextmanager
def small_disk(folder: Path, size: int) -> Generator[Path]:
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def send_until_full(server: Server) -> list[tuple[str, int]]:
    """Send one delivery after the other until five were rejected; return those that were acknowledged."""
    acknowledged: list[tuple[str, int]] = []
    rejected = 0
    for number in range(1, 1000):
        answer = ask(server.port, delivery("o-1", number, does="end at once", filler=LARGE))
        assert answer in (STORED, UNAVAILABLE)
        if answer == STORED:
            acknowledged.append(("o-1", number))
        rejected += answer == UNAVAILABLE
        if rejected == 5:
            break
    assert rejected == 5
    assert acknowledged
    return acknowledged


def goes_on(server: Server, acknowledged: list[tuple[str, int]]) -> None:
    """Assert that the same process keeps what comes now, and handles that and all that it ever acknowledged."""
    process = server.process.pid
    after = [("o-2", number) for number in range(1, 4)]
    for order, number in after:
        assert ask(server.port, delivery(order, number, does="end at once")) == STORED
    expected = {*acknowledged, *after}
    server.wait_for(lambda: expected <= ended(server.folder), "the handling of what was acknowledged")
    server.wait_for(lambda: states(server.inbox) == {"done": len(expected)}, "the commit of it")
    server.stop()
    assert server.process.pid == process
    assert ended(server.folder) == expected


def test_a_full_disk_is_answered_503_and_with_space_again_it_goes_on(tmp_path: Path) -> None:
    with Server(tmp_path, max_file=600_000) as server:  # each file may grow so large and no larger
        acknowledged = send_until_full(server)
        assert "the inbox cannot be written to" in server.said()
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, resource.getrlimit(resource.RLIMIT_FSIZE))
        goes_on(server, acknowledged)


def limit(server: Server, size: int) -> None:
    """Let none of a process's files grow beyond so many bytes, as if the disk were full."""
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (size, most))


def full_between_put_and_settle(server: Server) -> list[tuple[str, int]]:
    """Fill the disk while handlers run, and have them end; return what is not settled, once the worker has said so."""
    before = [("o-0", number) for number in range(1, 13)]
    for order, number in before:
        assert ask(server.port, delivery(order, number, does="end at once", filler=LARGE)) == STORED
    server.wait_for(lambda: states(server.inbox) == {"done": len(before)}, "its log of some length")
    running = [(f"w-{number}", number) for number in range(1, 9)]
    for order, number in running:
        assert ask(server.port, delivery(order, number, does="wait")) == STORED
    server.wait_for(lambda: begun(server.folder, "on_loop").keys() >= {*running}, "the begin of all")
    limit(server, 64_000)  # less than the log has already, and more than the handlers write
    server.folder.joinpath("go").touch()
    server.wait_for(lambda: server.said().count("is not settled") == len(running), "word of all settlements")
    assert ask(server.port, delivery("o-0", 13)) == UNAVAILABLE
    return running


def begun(folder: Path, handler: str) -> Counter[tuple[str, int]]:
    """Return how often a handler has begun with each delivery."""
    return Counter((run.order, run.number) for run in runs(folder) if (run.handler, run.what) == (handler, "begin"))


def assert_each_handled(folder: Path, running: list[tuple[str, int]], times: int) -> None:
    """Assert that what was running has been so many times, and all else once."""
    for handler in ("on_loop", "in_thread"):
        for which, count in begun(folder, handler).items():
            assert count == (times if which in running else 1), (handler, which)
    for which in running:  # it fails at first, which was to be settled when the disk was full
        assert begun(folder, "at_second_try")[which] == times + 1


def test_a_disk_that_is_full_between_put_and_settle_has_nothing_run_again(tmp_path: Path) -> None:
    with Server(tmp_path, worker={"lease": 30.0, "poll": 0.1}) as server:
        running = full_between_put_and_settle(server)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, resource.getrlimit(resource.RLIMIT_FSIZE))
        goes_on(server, [*running, *(("o-0", number) for number in range(1, 13))])
    assert_each_handled(tmp_path, running, 1)


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_who_ends_while_the_disk_is_full_has_only_what_was_running_run_again(tmp_path: Path, how: str) -> None:
    with Server(tmp_path) as server:
        running = full_between_put_and_settle(server)
        server.kill() if how == "kill" else server.stop()
        server.start()
        goes_on(server, [*running, *(("o-0", number) for number in range(1, 13))])
    assert_each_handled(tmp_path, running, 2)


def test_what_another_process_has_taken_while_the_disk_was_full_is_not_settled_again(tmp_path: Path) -> None:
    with Server(tmp_path) as server, Server(tmp_path) as other:
        other.kill()
        running = full_between_put_and_settle(server)
        other.start()  # which may write all it wants
        total = len(running) + 12
        server.wait_for(lambda: states(server.inbox) == {"done": total}, "the handling by another process")
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, resource.getrlimit(resource.RLIMIT_FSIZE))
        server.wait_for(lambda: server.said().count("its lease was lost") == len(running), "word of what was lost")
        other.stop()
        goes_on(server, [*running, *(("o-0", number) for number in range(1, 13))])
    assert_each_handled(tmp_path, running, 2)


if may_mount():  # the test above needs no such right

    def test_a_small_disk_that_is_full_is_answered_503_and_with_space_again_it_goes_on(tmp_path: Path) -> None:
        with small_disk(tmp_path / "disk", 4_000_000) as disk:
            disk.joinpath("ballast").write_bytes(b"x" * 3_000_000)
            with Server(disk) as server:
                acknowledged = send_until_full(server)
                disk.joinpath("ballast").unlink()
                goes_on(server, acknowledged)

    def test_a_disk_that_is_nearly_full_takes_nothing_more_while_there_is_room_for_the_outcome(tmp_path: Path) -> None:
        with (
            small_disk(tmp_path / "disk", 8_000_000) as disk,
            Server(disk, inbox={"min_free": 5_000_000}) as server,
        ):
            acknowledged = send_until_full(server)
            server.wait_for(lambda: set(acknowledged) <= ended(disk), "the handling of what was acknowledged")
            assert shutil.disk_usage(disk).free > 2_000_000
            server.stop()
            assert "less than min_free=5000000" in server.said()
            assert states(server.inbox) == {"done": len(acknowledged)}


async def test_below_min_free_nothing_is_put_but_what_is_there_is_handled_and_removed(tmp_path: Path) -> None:
    path = tmp_path / "hooks.db"
    inbox = await SQLiteInbox(path, min_free=0).open()
    await inbox.put(entry("d", 1), 1000.0)
    await inbox.close()
    full = await SQLiteInbox(path, min_free=2**62).open()
    for ask_for in (full.put(entry("d", 2), 1000.0), full.check(), full.load([], 1000.0)):
        with pytest.raises(InboxUnavailable, match="less than min_free="):
            await ask_for
    (claim,) = await full.claim("webhooks", 10, 30.0, 1000.0)
    assert await full.settle(Settlement(claim, State.DONE, {}), 1000.0)
    assert await full.purge(Filter(), 1000.0, limit=10) == 1
    await full.close()


def test_a_file_that_another_process_has_locked_is_answered_503_until_it_lets_go(tmp_path: Path) -> None:
    with Server(tmp_path, inbox={"busy_timeout": 0.2}) as server:
        assert ask(server.port, delivery("o-1", 1, does="end at once")) == STORED
        server.wait_for(lambda: ended(tmp_path), "its end")
        lock = sqlite3.connect(server.inbox, isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        for number in range(2, 6):
            assert ask(server.port, delivery("o-1", number, does="end at once")) == UNAVAILABLE
        server.wait_for(lambda: "database is locked" in server.said(), "word of it")
        lock.execute("ROLLBACK")
        lock.close()
        goes_on(server, [("o-1", 1)])


def test_what_was_begun_while_the_file_was_locked_goes_on_afterwards_and_nothing_is_run_again(tmp_path: Path) -> None:
    with Server(tmp_path, inbox={"busy_timeout": 0.2}) as server:
        assert ask(server.port, delivery("o-1", 1, does="block")) == STORED
        server.wait_for(lambda: tmp_path.joinpath("ran").exists(), "its begin")
        lock = sqlite3.connect(server.inbox, isolation_level=None, timeout=10)
        lock.execute("BEGIN IMMEDIATE")
        begun = time.monotonic()
        server.wait_for(lambda: time.monotonic() > begun + 1.5, "the end of its lease, of 1 s")
        tmp_path.joinpath("go").touch()
        server.wait_for(lambda: "is not settled" in server.said(), "word of it")
        assert [(run.handler, run.what) for run in runs(tmp_path)] == [("on_loop", "begin"), ("on_loop", "end")], (
            "its lease is over, and nobody knows whether another process has it"
        )
        lock.execute("ROLLBACK")
        lock.close()
        goes_on(server, [("o-1", 1)])
        for handler in ("on_loop", "in_thread", "at_second_try"):
            of_it = [run.what for run in runs(tmp_path) if (run.handler, run.order) == (handler, "o-1")]
            assert of_it == [*(["begin", "fail"] if handler == "at_second_try" else []), "begin", "end"]


def without_override() -> None:
    """Let file permissions count for this process even if it is root's."""
    pr_capbset_drop, cap_dac_override = 24, 1
    ctypes.CDLL(None).prctl(pr_capbset_drop, cap_dac_override, 0, 0, 0)


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_file_that_cannot_be_written_to_ends_the_start_with_a_sentence(tmp_path: Path, what: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with Server(folder) as server:
        assert ask(server.port, delivery("o-1", 1)) == STORED
        server.kill()
        read_only = [folder, server.inbox, *folder.glob("hooks.db-*")] if what == "folder" else [server.inbox]
        before = [path.stat().st_mode for path in read_only]
        for path in read_only:
            path.chmod(0o555 if path.is_dir() else 0o444)
        server.start(preexec=without_override if os.geteuid() == 0 else None)
        assert server.process.wait(timeout=30) == 3
        assert f"the inbox {server.inbox} cannot be opened" in server.said()
        for path, mode in zip(read_only, before, strict=True):
            path.chmod(mode)
        server.start()
        server.wait_for(lambda: ended(folder), "the handling of what was acknowledged")


@pytest.mark.parametrize("what", ["removed", "replaced", "folder removed"])
def test_a_file_that_is_gone_or_another_one_is_answered_503(tmp_path: Path, what: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with Server(folder) as server:
        assert ask(server.port, delivery("o-1", 1, does="end at once")) == STORED
        server.wait_for(lambda: ended(folder), "its end")
        if what == "replaced":
            shutil.copy(server.inbox, tmp_path / "copy")
            (tmp_path / "copy").rename(server.inbox)
        elif what == "removed":
            server.inbox.unlink()
        else:
            folder.rename(tmp_path / "elsewhere")
        for number in range(2, 6):
            assert ask(server.port, delivery("o-1", number)) == UNAVAILABLE
        if what == "folder removed":
            (tmp_path / "elsewhere").rename(folder)
        said = server.said()
        assert "was removed or replaced while it was in use" in said or "cannot be looked at" in said
