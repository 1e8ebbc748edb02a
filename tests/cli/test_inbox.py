"""The commands of the inbox, on real files: what they print, and what is in the file afterwards."""

from __future__ import annotations

import asyncio
import json
import lzma
import os
import pty
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from typer.testing import CliRunner, Result

from tests.cli.test_commands import on_a_terminal
from tests.commands import COMMAND, run
from tests.helpers import ROOT
from webhook_receiver import Delivery, SQLiteInbox
from webhook_receiver.cli.commands import app
from webhook_receiver.delivery import new_id, with_tenant
from webhook_receiver.inbox import (
    DeliverySummary,
    Entry,
    FailedAttempt,
    Filter,
    HandlerState,
    Part,
    Settlement,
    State,
    Stored,
)
from webhook_receiver.inbox.records import Metric, PollOutcome

R = TypeVar("R")

IDS = {"waiting": "aa01", "done": "bb02", "unhandled": "cc03", "dead": "dd04", "no event": "dd05", "held": "ee06"}
FAILED = FailedAttempt(
    "app:alert", 1, 1_765_000_000.0, 0.25, "dead", "ValueError: boom", "Traceback:\n  line \x1b[31m\n"
)

MODULE = """
from webhook_receiver import OrderFulfilled, WebhookReceiver
hooks = WebhookReceiver(secret="x", inbox="sqlite:///hooks.db", name="{name}")
@hooks.on_fulfilled
async def download(order: OrderFulfilled) -> None: ...
"""


def inbox_command(*arguments: str, **options: Any) -> Result:
    return CliRunner().invoke(app, ["inbox", *arguments], **options)


def outside(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, which nobody can be asked from."""
    given: dict[str, Any] = {"env": {**os.environ, "PYTHONPATH": str(ROOT)}, **options}
    return run("inbox", *arguments, **given)


def answering(answer: str, *arguments: str, group: str = "inbox") -> tuple[int, str]:
    """Run a command on a pseudo terminal and type an answer; return its exit code and what a person would see."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "160", "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [*COMMAND, group, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    )
    os.close(theirs)
    os.write(ours, f"{answer}\n".encode())
    shown = b""
    while True:
        try:
            shown += os.read(ours, 65536)
        except OSError:  # how Linux says that the other end is closed
            break
    os.close(ours)
    return process.wait(60), shown.decode()


def on(path: Path, work: Callable[[SQLiteInbox], Awaitable[R]]) -> R:
    async def opened() -> R:
        inbox = await SQLiteInbox(path).open()
        try:
            return await work(inbox)
        finally:
            await inbox.close()

    return asyncio.run(opened())


def records(path: Path) -> dict[str, DeliverySummary]:
    found = on(path, lambda inbox: inbox.find(Filter(), newest_first=False))
    return {record.id: record for record in found}


def entry(id: str, *, ago: float = 60, receiver: str = "webhooks", body: bytes = b'{"n":"\xc3\xa9"}') -> Entry:
    headers = ((b"content-type", b"application/json"), (b"x-odd", b"\xff\x1b[31m"))
    delivery = Delivery(id, receiver, headers, body, time.time() - ago, 1, True)
    return Entry(delivery, "order.status", id.encode(), f"o%20{id} FULFILLED", None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return an inbox with a delivery in each state."""
    path = tmp_path / "hooks.db"

    async def fill(inbox: SQLiteInbox) -> None:
        now = time.time()
        await inbox.pause("app:download", now)
        for what in ("done", "unhandled", "dead", "held"):
            await inbox.put(entry(IDS[what]), now)
        for claim in await inbox.claim("webhooks", 9, 60, now):
            (what,) = [what for what, id in IDS.items() if id == claim.delivery.id]
            outcome = {
                "done": Settlement(claim, State.DONE, {"app:download": HandlerState(State.DONE, 1, 1)}),
                "unhandled": Settlement(claim, State.UNHANDLED, {}, reason="no handler wants it"),
                "dead": Settlement(
                    claim,
                    State.DEAD,
                    {"app:alert": HandlerState(State.DEAD, 1, 1), "app:download": HandlerState(State.DONE, 1, 1)},
                    reason="app:alert: ValueError: boom",
                    attempts=[FAILED],
                ),
                "held": Settlement(claim, State.WAITING, {"app:download": HandlerState()}, paused_by="app:download"),
            }[what]
            assert await inbox.settle(outcome, now)
        await inbox.put(entry(IDS["no event"])._replace(event=None, identity=None, dead="not JSON"), now)
        await inbox.put(entry(IDS["waiting"]), now)

    on(path, fill)
    return path


@pytest.fixture
def url(path: Path) -> str:
    return f"sqlite:///{path}"


def test_waits_are_told_by_the_clock_of_the_inbox_and_ages_by_unix_time(tmp_path: Path) -> None:
    path = tmp_path / "hooks.db"

    async def fill(inbox: SQLiteInbox) -> None:
        now = inbox.clock()
        await inbox.put(entry(IDS["waiting"], ago=130), now)
        (claim,) = await inbox.claim("webhooks", 9, 60, now)
        handlers = {"app:alert": HandlerState(attempts=1, since_replay=1, due=now + 3000, expected_dead=now + 3000)}
        await inbox.settle(Settlement(claim, State.WAITING, handlers, due=now + 3000), now)

    asyncio.run(set_back(path))
    on(path, fill)
    assert "due in 49 min" in inbox_command("ls", f"sqlite:///{path}").output
    shown = inbox_command("show", f"sqlite:///{path}", IDS["waiting"]).output
    assert "2 min ago" in shown
    assert shown.count("due in 49 min") == 2
    assert json.loads(inbox_command("stats", f"sqlite:///{path}", "--json").output)["dead_within_hour"] == 1


async def set_back(path: Path) -> None:
    """Let the clock of an inbox be two hours behind, as if the system's had been set ahead since."""
    await (await SQLiteInbox(path).open()).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE clock SET booted = booted - 7200")
        connection.commit()


def test_ls_shows_what_there_is_the_newest_first(url: str) -> None:
    done = inbox_command("ls", url)
    assert done.exit_code == 0
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [(row[0], *row[2:]) for row in rows] == [
        ("aa01", "order.status", "o aa01 FULFILLED", "waiting", "due now"),
        ("dd05", "-", "-", "dead", "not JSON"),
        ("ee06", "order.status", "o ee06 FULFILLED", "waiting", "waits: app:download is paused"),
        ("dd04", "order.status", "o dd04 FULFILLED", "dead", "app:alert: ValueError: boom"),
        ("cc03", "order.status", "o cc03 FULFILLED", "unhandled", "no handler wants it"),
        ("bb02", "order.status", "o bb02 FULFILLED", "done", "-"),
    ]


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        (["--dead"], ["dd05", "dd04"]),
        (["--state", "dead", "--state", "unhandled"], ["dd05", "dd04", "cc03"]),
        (["--dead", "--event", "order.status"], ["dd04"]),
        (["--handler", "app:alert"], ["dd04"]),
        (["--handler", "app:download"], ["ee06"]),
        (["--receiver", "another"], []),
        (["--limit", "1"], ["aa01"]),
        (["--since", "30s"], []),
        (["--before", "30s", "--limit", "2"], ["aa01", "dd05"]),
        (["--since", "20200101"], ["aa01", "dd05", "ee06", "dd04", "cc03", "bb02"]),
        (["--before", "2020-01-01T00:00+01:00"], []),
    ],
)
def test_ls_for_programs_lists_only_what_fits(url: str, options: list[str], ids: list[str]) -> None:
    done = inbox_command("ls", url, "--json", *options)
    assert done.exit_code == 0
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == ids


def test_ls_says_from_whom_when_there_are_several_and_keeps_a_stranger_off_the_terminal(path: Path, url: str) -> None:
    odd = entry("ff07", receiver="another")._replace(identity="a%1B%5B2J%09b x")
    on(path, lambda inbox: inbox.put(odd, time.time()))
    first = inbox_command("ls", url).stdout.splitlines()[0].split("\t")
    assert first[0] == "ff07"
    assert first[2:] == ["another", "order.status", r"a\x1b[2J\tb x", "waiting", "due now"]


def test_ls_on_a_terminal_is_a_table_in_colours(url: str) -> None:
    code, shown = answering("", "ls", url)
    assert code == 0
    assert re.search(r"received .* next", re.sub(r"\x1b\[[0-9;]*m", "", shown))
    assert "1 min ago" in shown
    assert "\x1b[31mdead" in shown


def test_ls_on_a_narrow_terminal_has_a_line_for_each_and_ids_that_can_be_typed(tmp_path: Path) -> None:
    path = tmp_path / "hooks.db"
    order = "ec728f00-1a82-43a4-a124-db35dba309d1 FAILED_PERMANENTLY"
    received = [time.time() - 7200, *[time.time() - 60] * 40]
    ids = [new_id(each) for each in received]

    async def fill(inbox: SQLiteInbox) -> None:
        for id in ids:
            dead = "app:download: ConnectionError: the storage is down, and was down all the day"
            await inbox.put(entry(id)._replace(identity=order, dead=dead), time.time())

    on(path, fill)
    code, shown = on_a_terminal("inbox", "ls", f"sqlite:///{path}", columns=80)
    heading, *lines, hint = re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()
    assert hint == "why: inbox show WHERE ID; handle it again: inbox replay WHERE ID"
    assert (code, heading.split()) == (0, ["id", "received", "event", "identity", "state", "next"])
    assert len(lines) == len(ids)
    assert max(map(len, [heading, *lines])) <= 80
    assert all("ec728f00… FAILED" in line and " dead " in line for line in lines)
    assert all(re.search(r" app:download: Conn\S*…$", line) for line in lines)
    short = [line.split()[0] for line in lines]
    assert len(set(short)) == len(ids)
    assert (len(short[-1]), max(map(len, short))) == (8, 12)
    for each, id in zip(short, reversed(ids), strict=True):
        assert id.startswith(each)
    for each in short[-1], short[7]:
        assert json.loads(inbox_command("show", f"sqlite:///{path}", each, "--json").stdout)["id"].startswith(each)
    assert inbox_command("purge", f"sqlite:///{path}", *short[:3], "--yes").stdout == "3 deliveries removed\n"


@pytest.mark.parametrize("receivers", [["webhooks"], ["webhooks", "hub-of-images"]])
def test_ls_on_a_narrow_terminal_leaves_room_for_what_is_next(tmp_path: Path, receivers: list[str]) -> None:
    path = tmp_path / "hooks.db"
    order = "ec728f00-1a82-43a4-a124-db35dba309d1 FAILED_PERMANENTLY"

    async def fill(inbox: SQLiteInbox) -> None:
        for number in range(4):
            receiver = receivers[number % len(receivers)]
            stored = entry(f"01a0b0c0d0{number}{'e' * 20}", receiver=receiver)
            await inbox.put(stored._replace(identity=order, dead="app:download: it failed"), time.time())

    on(path, fill)
    _, shown = on_a_terminal("inbox", "ls", f"sqlite:///{path}", columns=80)
    heading, *lines, hint = re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()
    assert hint == "why: inbox show WHERE ID; handle it again: inbox replay WHERE ID"
    assert max(map(len, [heading, *lines])) <= 80
    assert len(lines) == 4
    assert all(re.search(r"ec728f00… \S.* dead +app:download:", line) for line in lines), lines


def test_on_a_terminal_a_list_of_none_says_so_and_numbers_of_dead_ones_say_what_to_do(url: str) -> None:
    _, shown = on_a_terminal("inbox", "ls", url, "--event", "none of them", columns=80)
    assert shown.splitlines()[1:] == ["(none)"]
    _, shown = on_a_terminal("inbox", "stats", url, columns=80)
    assert "the dead ones: inbox ls WHERE --dead; handle them again: inbox replay WHERE --dead" in shown
    assert "WHERE" not in inbox_command("stats", url).stdout
    assert inbox_command("ls", url, "--event", "none of them").stdout == ""


def test_ls_shows_of_an_id_what_no_other_one_is_or_begins_with(tmp_path: Path) -> None:
    path = tmp_path / "hooks.db"
    ids = ["abcdef0012", "abcdef001", "abcdef0099", "f"]

    async def fill(inbox: SQLiteInbox) -> None:
        for id in ids:
            await inbox.put(entry(id), time.time())

    on(path, fill)
    _, shown = on_a_terminal("inbox", "ls", f"sqlite:///{path}", columns=120)
    assert [line.split()[0] for line in shown.splitlines()[1:]] == ["f", "abcdef009", "abcdef001", "abcdef0012"]


def test_show_tells_all_and_the_body_only_when_asked(url: str) -> None:
    done = inbox_command("show", url, "dd04")
    assert done.exit_code == 0
    for part in (
        "dd04  dead",
        "at receipt, by secret 1 (counted from 0); the body is covered",
        "handler app:alert: dead, 1 attempt",
        "handler app:download: done, 1 attempt",
        "0.250 s, then dead: ValueError: boom",
        r"  line \x1b[31m",
        r"x-odd: ÿ\x1b[31m",
        "body, 10 bytes: --body shows it",
    ):
        assert part in done.stdout
    assert "é" not in done.stdout
    assert '{\n  "n": "é"\n}' in inbox_command("show", url, "dd04", "--body").stdout
    assert inbox_command("show", url, "dd04", "--raw").stdout_bytes == b'{"n":"\xc3\xa9"}'


@pytest.mark.parametrize("closed", ["0<&-", ">&-", "2>&-", "0<&- >&- 2>&-"])
def test_a_stream_that_is_closed_keeps_no_command_from_its_work(closed: str, url: str) -> None:
    show = f'exec "$0" -W always::ResourceWarning -m webhook_receiver inbox show "$1" dd04 --raw {closed}'
    done = subprocess.run(["sh", "-c", show, sys.executable, url], capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == (b"" if ">&-" in closed.split() else b'{"n":"\xc3\xa9"}')


@pytest.mark.parametrize(("encoding", "shown"), [("ascii", b"\\xe9 \\u2192"), ("latin-1", b"\xe9 \\u2192")])
def test_what_the_output_cannot_encode_is_escaped(path: Path, url: str, encoding: str, shown: bytes) -> None:
    wide = entry("ff07", body='{"n":"é →"}'.encode())
    on(path, lambda inbox: inbox.put(wide._replace(event="order.→"), time.time()))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": f"{encoding}:strict"}
    command = [*COMMAND, "inbox", "show", url, "ff07", "--body"]
    done = subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b'"n": "' + shown + b'"' in done.stdout


def test_show_tells_which_delivery_an_edited_one_was_made_of(path: Path) -> None:
    edited = entry("aa01").delivery.edited("ff07", b'{"n": 2}', time.time())
    on(path, lambda inbox: inbox.put(Entry(edited, "order.status"), time.time()))
    shown = inbox_command("show", f"{path}", "ff07").output
    assert "verified      no: somebody has edited the body of aa01" in shown
    assert ", by edit" in shown


def test_show_tells_equal_tracebacks_of_a_handler_once(path: Path, url: str) -> None:
    async def fail_again(inbox: SQLiteInbox) -> None:
        now = time.time()
        await inbox.replay([IDS["dead"]], now)
        (claim,) = [each for each in await inbox.claim("webhooks", 9, 60, now) if each.delivery.id == IDS["dead"]]
        again = [FAILED._replace(number=2), FAILED._replace(number=3, handler="app:download")]
        assert await inbox.settle(Settlement(claim, State.DEAD, {}, reason="boom", attempts=again), now)

    on(path, fail_again)
    shown = inbox_command("show", url, IDS["dead"]).stdout
    assert shown.count(r"  line \x1b[31m") == 2
    assert "(the traceback is that of attempt 1)" in shown


def test_show_takes_a_beginning_that_only_one_id_has(url: str) -> None:
    document = json.loads(inbox_command("show", url, "aa", "--json").stdout)
    assert (document["id"], document["state"], document["body"]) == ("aa01", "waiting", "eyJuIjoiw6kifQ==")
    several = inbox_command("show", url, "dd")
    assert (several.exit_code, several.stdout) == (1, "")
    assert several.stderr == "several deliveries have ids that begin with 'dd': give more of it\n"
    unknown = inbox_command("show", url, "zz")
    assert (unknown.exit_code, unknown.stderr) == (1, "there is no delivery 'zz'\n")


def test_replay_of_ids_asks_nobody(path: Path, url: str) -> None:
    done = inbox_command("replay", url, "dd04", "bb")
    assert (done.exit_code, done.stdout) == (0, "2 deliveries replayed\n")
    found = records(path)
    assert found["dd04"].state is found["bb02"].state is State.WAITING
    assert found["dd04"].handlers["app:alert"] == HandlerState(attempts=1)
    assert found["dd04"].handlers["app:download"].state is State.DONE


def test_replay_with_an_unknown_id_replays_nothing(path: Path, url: str) -> None:
    done = inbox_command("replay", url, "dd04", "zz")
    assert (done.exit_code, done.stderr) == (1, "there is no delivery 'zz'; nothing was done\n")
    assert records(path)["dd04"].state is State.DEAD


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        (["--dead"], {"dd04", "dd05"}),
        (["--unhandled"], {"cc03"}),
        (["--dead", "--unhandled", "--event", "order.status"], {"dd04", "cc03"}),
        (["--dead", "--handler", "app:alert"], {"dd04"}),
        (["--since", "1h", "--receiver", "webhooks"], {"bb02", "cc03", "dd04", "dd05"}),
        (["--dead", "--since", "10s"], set[str]()),
    ],
)
def test_replay_of_a_selection(path: Path, url: str, options: list[str], ids: set[str]) -> None:
    done = inbox_command("replay", url, *options, "--yes", "--json")
    assert (done.exit_code, json.loads(done.stdout)) == (0, {"replayed": len(ids)})
    waiting = {record.id for record in records(path).values() if record.state is State.WAITING}
    assert waiting - {"aa01", "ee06"} == ids


def test_replay_of_just_one_handler(path: Path, url: str) -> None:
    assert inbox_command("replay", url, "dd04", "--handler", "app:download").exit_code == 0
    handlers = records(path)["dd04"].handlers
    assert handlers["app:download"] == HandlerState(attempts=1)
    assert handlers["app:alert"].state is State.DEAD


def test_replay_takes_ids_or_a_selection(url: str) -> None:
    for arguments in ([], ["dd04", "--dead"], ["dd04", "--event", "order.status"]):
        done = inbox_command("replay", url, *arguments)
        assert done.exit_code == 2
        assert "give ids, or a selection such as --dead" in done.stderr


def test_a_selection_is_replayed_only_after_a_yes(path: Path, url: str) -> None:
    nobody = outside("replay", url, "--dead")
    assert (nobody.returncode, nobody.stdout) == (2, "")
    assert "Replay 2 deliveries (2 dead)? Nobody is here to be asked: give --yes" in nobody.stderr
    code, shown = answering("n", "replay", url, "--dead")
    assert (code, "nothing was done" in shown) == (1, True)
    assert records(path)["dd04"].state is State.DEAD
    code, shown = answering("y", "replay", url, "--dead")
    assert (code, "Replay 2 deliveries (2 dead)? [y/N]" in shown, "2 deliveries replayed" in shown) == (0, True, True)
    assert records(path)["dd04"].state is State.WAITING


@pytest.mark.parametrize(("command", "left"), [("replay", State.WAITING), ("purge", None)])
def test_no_more_is_done_than_was_asked_about(
    path: Path, url: str, monkeypatch: pytest.MonkeyPatch, command: str, left: State | None
) -> None:
    """While the question stands a waiting delivery dies, and a dead one is replayed by somebody else."""

    async def meanwhile(inbox: SQLiteInbox) -> None:
        now = time.time()
        claims = await inbox.claim("webhooks", 9, 60, now)
        (claim,) = [each for each in claims if each.delivery.id == IDS["waiting"]]
        assert await inbox.settle(Settlement(claim, State.DEAD, {}, reason="no"), now)
        assert await inbox.replay([IDS["no event"]], now) == 1

    def asked(question: str, *, yes: bool) -> None:
        assert "2 deliveries (2 dead)" in question
        with ThreadPoolExecutor() as pool:
            pool.submit(on, path, meanwhile).result()

    monkeypatch.setattr("webhook_receiver.cli.inbox.confirm", asked)
    assert inbox_command(command, url, "--dead").stdout.startswith("1 delivery re")
    found = {id: each.state for id, each in records(path).items()}
    assert (found.get(IDS["dead"]), found[IDS["waiting"]], found[IDS["no event"]]) == (left, State.DEAD, State.WAITING)


def test_many_are_replayed_in_chunks_under_a_progress_bar(path: Path, url: str) -> None:
    async def more(inbox: SQLiteInbox) -> None:
        await asyncio.gather(*(inbox.put(entry(f"many{n}")._replace(dead="x"), time.time()) for n in range(450)))

    on(path, more)
    code, shown = answering("y", "replay", url, "--dead")
    assert (code, "452 deliveries replayed" in shown) == (0, True)
    assert "452/452" in shown


@pytest.mark.parametrize(
    ("options", "left"),
    [
        (["--state", "done"], {"aa01", "cc03", "dd04", "dd05", "ee06"}),
        (["dd04", "cc"], {"aa01", "bb02", "dd05", "ee06"}),
        (["--older-than", "10s"], {"aa01", "ee06"}),
        (["--older-than", "1h"], {"aa01", "bb02", "cc03", "dd04", "dd05", "ee06"}),
        (["--event", "order.status"], {"aa01", "dd05", "ee06"}),
        (["--state", "waiting", "--state", "dead"], {"bb02", "cc03"}),
        (["aa01"], {"aa01", "bb02", "cc03", "dd04", "dd05", "ee06"}),
    ],
)
def test_purge_removes_what_is_chosen_and_waiting_ones_only_by_name(
    path: Path, url: str, options: list[str], left: set[str]
) -> None:
    done = inbox_command("purge", url, *options, "--yes", "--json")
    assert (done.exit_code, json.loads(done.stdout)) == (0, {"removed": 6 - len(left)})
    assert set(records(path)) == left


def test_many_are_replayed_and_removed_page_by_page(path: Path, url: str) -> None:
    async def many(inbox: SQLiteInbox) -> None:
        now = time.time()
        await asyncio.gather(*[inbox.put(entry(f"many{number:03}")._replace(dead="no"), now) for number in range(450)])

    on(path, many)
    done = inbox_command("replay", url, "--dead", "--yes", "--json")
    assert json.loads(done.stdout) == {"replayed": 452}
    assert json.loads(inbox_command("stats", url, "--json").stdout)["counts"]["dead"] == 0
    done = inbox_command("purge", url, "--state", "waiting", "--yes", "--json")
    assert json.loads(done.stdout) == {"removed": 454}
    assert set(records(path)) == {"bb02", "cc03"}


def test_purge_never_removes_what_is_leased_and_asks_before_it_removes(path: Path, url: str) -> None:
    on(path, lambda inbox: inbox.claim("webhooks", 9, 600, time.time()))
    nobody = outside("purge", url, "--state", "waiting")
    assert nobody.returncode == 2
    assert "Remove 1 delivery (1 waiting) for good?" in nobody.stderr
    code, _ = answering("n", "purge", url, "--state", "waiting")
    assert code == 1
    assert set(IDS.values()) == set(records(path))
    code, _ = answering("y", "purge", url, "--state", "waiting")
    assert code == 0
    assert set(IDS.values()) - set(records(path)) == {"ee06"}  # the other waiting one is leased
    assert inbox_command("purge", url).exit_code == 2
    assert inbox_command("purge", url, "aa", "--yes").stderr.startswith("1 delivery spared: being handled now, or not")


@pytest.mark.parametrize("days", [-20, 0, 20])
def test_what_is_purged_is_known_for_the_window_in_unix_time_wherever_the_clock_of_the_inbox_is(
    path: Path, url: str, days: int
) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE clock SET booted = booted + ?", (days * 86_400,))
        connection.commit()
    on(path, lambda inbox: inbox.put(entry("young"), time.time()))
    on(path, lambda inbox: inbox.put(entry("old", ago=8 * 86_400), time.time()))
    assert inbox_command("purge", url, "young", "old", "--state", "waiting", "--yes").stdout == "2 deliveries removed\n"

    async def purged(inbox: SQLiteInbox) -> list[tuple[str]]:
        return await inbox._read(lambda connection: connection.execute("SELECT id FROM purged").fetchall())

    assert on(path, purged) == [("young",)]


def test_what_will_be_dead_soon_is_shown(path: Path, url: str) -> None:
    assert json.loads(inbox_command("stats", url, "--json").stdout)["dead_within_hour"] == 0

    async def fail(inbox: SQLiteInbox) -> None:
        now = time.time()
        (claim,) = [each for each in await inbox.claim("webhooks", 9, 60, now) if each.delivery.id == IDS["waiting"]]
        failing = {"app:alert": HandlerState(State.WAITING, 33, 33, now + 60, False, now + 1810)}
        assert await inbox.settle(Settlement(claim, State.WAITING, failing, now + 60), now)

    on(path, fail)
    rows = dict(line.split("\t") for line in inbox_command("stats", url).stdout.splitlines())
    assert rows["dead within an hour"] == "1, the first in 30 min, if they go on failing"
    assert json.loads(inbox_command("stats", url, "--json").stdout)["dead_within_hour"] == 1
    assert "33 attempts, due in" in (shown := inbox_command("show", url, IDS["waiting"]).stdout)
    assert "dead in about 30 min if it goes on failing" in shown


def test_stats_for_people_and_programs(path: Path, url: str) -> None:
    rows = dict(line.split("\t") for line in inbox_command("stats", url).stdout.splitlines())
    assert rows | {"waiting": "2", "done": "1", "unhandled": "1", "dead": "2", "running": "0"} == rows
    assert rows["oldest waiting"] == "received 1 min ago"
    assert "paused: app:download" in rows
    document = json.loads(inbox_command("stats", url, "--json").stdout)
    assert document["counts"] == {"waiting": 2, "done": 1, "unhandled": 1, "dead": 2}
    assert 59 < document["oldest_waiting_seconds"] < 600
    assert list(document["paused"]) == ["app:download"]
    assert document["bytes"] == path.stat().st_size
    assert rows["size of the file"] == f"{document['bytes'] / 1024:,.0f} KiB"
    assert rows["unused within it"] == f"{document['free_bytes'] / 1024:,.0f} KiB"


def test_stats_tell_what_was_counted_lately_and_how_polls_stand(path: Path, url: str) -> None:
    before = json.loads(inbox_command("stats", url, "--json").stdout)
    assert (before["last_hour"], before["last_day"], before["polls"]) == ({}, {}, [])

    async def fill(inbox: SQLiteInbox) -> None:
        now = time.time()
        for ago, number in ((60, 1), (7200, 10), (2 * 86_400, 100)):
            handled = {
                Metric("hooks", "done app:book\x1b", 3): 97 * number,
                Metric("hooks", "done app:book\x1b", 7): number,
            }
            await inbox.count({Metric("hooks", "answered 202"): number} | handled, now - ago)
        lease = await inbox.lease_poll("hooks", "api", 60, now)
        assert lease is not None
        await inbox.put_all([], "page\x1b 7", lease, now - 180)
        await inbox.release_poll(lease, now - 300)
        lease = await inbox.lease_poll("hooks", "api", 60, now)
        assert lease is not None
        await inbox.release_poll(lease, inbox.clock(), PollOutcome("the API is down", wait=3700), now)

    on(path, fill)
    lines = [line.split("\t") for line in inbox_command("stats", url).stdout.splitlines()]
    assert lines[-3:] == [
        ["hooks: api", "failed", "5 min ago", "in 1 h", "3 min ago", r"page\x1b 7", "the API is down"],
        ["answered 202", "1", "11", "-"],
        [r"done app:book\x1b", "98", "1078", "at most 0.03 s"],
    ]
    document = json.loads(inbox_command("stats", url, "--json").stdout)
    done = {"count": 98, "latency": [0, 0, 0, 97, 0, 0, 0, 1, 0, 0]}
    assert document["last_hour"] == {"hooks": {"answered 202": {"count": 1}, "done app:book\x1b": done}}
    assert document["last_day"]["hooks"]["answered 202"] == {"count": 11}
    assert len(document["latency_buckets"]) == 9
    (poll,) = document["polls"]
    assert (poll["cursor"], poll["error"], poll["leased"]) == ("page\x1b 7", "the API is down", False)
    assert (poll["failures"], round(poll["cursor_age_seconds"], -1)) == (1, 180)
    assert 3600 < poll["next_poll_seconds"] <= 3700


def test_of_several_receivers_it_is_said_whose_each_count_is(path: Path, url: str) -> None:
    async def fill(inbox: SQLiteInbox) -> None:
        counts = {Metric(receiver, "stored", 9): 1 for receiver in ("one", "two")}
        await inbox.count(counts, time.time())

    on(path, fill)
    lines = [line.split("\t") for line in inbox_command("stats", url).stdout.splitlines()]
    assert lines[-2:] == [[f"{name}: stored", "1", "1", "more than 10 s"] for name in ("one", "two")]


@pytest.mark.parametrize(("options", "copies"), [([], ["hooks.db.schema-4.bak"]), (["--no-backup"], [])])
def test_a_file_of_an_older_version_is_copied_before_it_is_migrated_unless_that_is_not_wanted(
    tmp_path: Path, options: list[str], copies: list[str]
) -> None:
    old = Path(__file__).parents[1] / "inbox" / "old" / "schema-4.db.xz"
    tmp_path.joinpath("hooks.db").write_bytes(lzma.decompress(old.read_bytes()))
    url = f"sqlite:///{tmp_path}/hooks.db?min_free=0"
    assert inbox_command("migrate", url, *options).stdout == "the tables are up to date\n"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["hooks.db", *copies]


def test_the_copy_that_a_migration_left_is_looked_into_under_another_name_alone(tmp_path: Path) -> None:
    old = lzma.decompress((Path(__file__).parents[1] / "inbox" / "old" / "schema-4.db.xz").read_bytes())
    copy = tmp_path / "hooks.db.schema-4.bak"
    copy.write_bytes(old)
    for command in ("ls", "stats", "check", "migrate", "export"):
        done = inbox_command(command, f"sqlite:///{copy}?min_free=0")
        assert (done.exit_code, done.stdout) == (1, "")
        assert done.stderr.startswith(f"{copy} is the copy of hooks.db that was made before its tables changed")
        assert f"copy it under another name first:  cp {copy} look.db" in done.stderr
        assert "To go back to it, stop what uses hooks.db" in done.stderr
    assert copy.read_bytes() == old
    assert [each.name for each in tmp_path.iterdir()] == [copy.name]
    look = tmp_path / "look.db"
    look.write_bytes(old)
    assert inbox_command("ls", f"sqlite:///{look}?min_free=0").exit_code == 0


def test_a_copy_of_that_name_whose_tables_are_of_now_is_an_inbox_as_any_other(path: Path) -> None:
    copy = path.with_name("hooks.db.schema-5.bak")
    assert inbox_command("backup", str(path), str(copy)).exit_code == 0
    assert inbox_command("ls", str(copy)).stdout == inbox_command("ls", str(path)).stdout


def test_vacuum_says_what_it_gave_back(path: Path, url: str) -> None:
    on(path, lambda inbox: inbox.put(entry("big0", body=bytes(500_000))._replace(dead="big"), time.time()))
    assert inbox_command("purge", url, "big0", "--yes").exit_code == 0
    freed = json.loads(inbox_command("vacuum", url, "--json").stdout)["freed_bytes"]
    assert 400_000 < freed < 600_000
    assert path.stat().st_size < 200_000
    assert inbox_command("vacuum", url).stdout == "0 bytes given back\n"


def test_resume_makes_due_what_was_held(path: Path, url: str) -> None:
    assert inbox_command("resume", url, "app:download").stdout == "app:download runs again\n"
    assert records(path)["ee06"].paused_by is None
    assert records(path)["ee06"].due is not None
    assert inbox_command("resume", url, "app:download").stdout == "app:download was not paused\n"
    assert inbox_command("pause", url, "app:alert").stdout == "app:alert is paused\n"
    assert on(path, lambda inbox: inbox.paused()) == {"app:alert"}


def test_a_dead_letter_handler_that_ran_is_paused_by_its_name(path: Path, url: str) -> None:
    name = "on_dead app:tell"

    async def tell(inbox: SQLiteInbox) -> None:
        (claim,) = [each for each in await inbox.claim("webhooks", 9, 60, time.time()) if each.state is State.DEAD]
        await inbox.settle(Settlement(claim, State.DEAD, {name: HandlerState(State.DONE, 1, 1)}), time.time())

    on(path, tell)
    assert inbox_command("pause", url, name).stdout == f"{name} is paused\n"
    assert on(path, lambda inbox: inbox.paused()) == {"app:download", name}
    assert inbox_command("resume", url, name).stdout == f"{name} runs again\n"


def test_a_receiver_without_a_name_has_the_one_that_its_inbox_knows_it_by(tmp_path: Path) -> None:
    tmp_path.joinpath("app.py").write_text(MODULE.replace(', name="{name}"', ""), encoding="utf-8")
    stored = entry("d-1", body=b'{"event": "order.status", "body": {"orderId": "1", "status": "FULFILLED"}}')
    on(tmp_path / "hooks.db", lambda inbox: inbox.put(stored, time.time()))
    listed = outside("ls", "app:hooks", cwd=tmp_path)
    assert len(listed.stdout.splitlines()) == 1
    assert "WebhookReceiver(name='webhooks') says so" in listed.stderr


def test_a_handler_that_never_ran_is_paused_by_its_app_and_not_by_its_inbox_alone(path: Path, url: str) -> None:
    rejected = inbox_command("pause", url, "nosuch:handler")
    assert rejected.exit_code == 1
    assert (
        "no handler nosuch:handler has run on this inbox lately; known are: app:alert, app:download; to pause"
        in rejected.stderr
    )
    assert "name its app in place of the inbox, such as app:hooks" in rejected.stderr
    assert on(path, lambda inbox: inbox.paused()) == {"app:download"}


def test_an_inbox_may_be_named_by_its_file(path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    for where in ("hooks.db", str(path), f"./{path.name}"):
        assert inbox_command("ls", where).stdout == inbox_command("ls", url).stdout
    elsewhere = {"WEBHOOK_INBOX": "sqlite:///elsewhere.db"}
    assert inbox_command("show", "hooks.db", "aa", env=elsewhere).exit_code == 0
    assert inbox_command("ls", "missing.db").exit_code == 1


@pytest.mark.parametrize("command", ["ls", "stats"])
def test_an_inbox_that_is_named_by_its_file_needs_no_receiver_and_no_app(path: Path, command: str) -> None:
    code = (
        "import sys; from webhook_receiver.cli.commands import app\n"
        f"app(['inbox', {command!r}, {str(path)!r}], standalone_mode=False)\n"
        "print([name for name in ('webhook_receiver.receiver', 'starlette', 'httpx') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_receiver_names_its_inbox_its_source_and_its_handlers(path: Path) -> None:
    path.parent.joinpath("app.py").write_text(MODULE.format(name="another"), encoding="utf-8")
    on(path, lambda inbox: inbox.put(entry("ff07", receiver="another"), time.time()))
    listed = outside("ls", "app:hooks", cwd=path.parent)
    assert [line.split("\t")[0] for line in listed.stdout.splitlines()] == ["ff07"]
    assert len(outside("ls", "app:hooks", "--receiver", "webhooks", cwd=path.parent).stdout.splitlines()) == 6
    rejected = outside("pause", "app:hooks", "app:alert", cwd=path.parent)
    assert (rejected.returncode, rejected.stderr) == (1, "there is no handler app:alert; there is app:download\n")
    assert outside("resume", "app:hooks", "app:download", cwd=path.parent).stdout == "app:download runs again\n"


@pytest.mark.parametrize(
    "variables",
    [["WEBHOOK_INBOX"], ["WEBHOOK_RECEIVER_INBOX"], ["WEBHOOK_RECEIVER_INBOX", "WEBHOOK_INBOX"]],
    ids=["formerly", "now", "both"],
)
def test_the_environment_may_name_the_inbox(path: Path, url: str, variables: list[str]) -> None:
    first, *older = variables
    environment = {first: url} | dict.fromkeys(older, "sqlite:///elsewhere.db")
    assert len(inbox_command("ls", env=environment).stdout.splitlines()) == 6
    assert "aa01  waiting" in inbox_command("show", "aa", env=environment).stdout
    assert inbox_command("replay", "bb", "cc", env=environment).stdout == "2 deliveries replayed\n"
    assert inbox_command("pause", "app:alert", env=environment).stdout == "app:alert is paused\n"
    other = on(path.with_name("other.db"), lambda inbox: inbox.stats())
    assert sum(other.counts.values()) == 0
    elsewhere = f"sqlite:///{path.with_name('other.db')}"
    assert inbox_command("ls", elsewhere, env=environment).stdout == ""
    assert inbox_command("show", elsewhere, "aa", env=environment).exit_code == 1
    assert inbox_command("--help", env=environment).exit_code == 0
    assert "WHERE" in inbox_command("ls", "--help", env=environment).stdout


@pytest.mark.parametrize("name", ["out.db", "out.sqlite3", "out.jsonl", "out:2026-11-28"])
def test_beside_an_inbox_in_the_environment_a_file_is_the_one_to_write_or_read_whatever_its_suffix(
    path: Path, url: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    other = {"WEBHOOK_INBOX": f"sqlite:///{path.with_name('other.db')}"}
    assert inbox_command("export", name, "--all", env={"WEBHOOK_INBOX": url}).stderr == "6 deliveries exported\n"
    assert inbox_command("import", name, env=other).stdout == "6 deliveries loaded, 0 were there already\n"
    assert len(inbox_command("ls", env=other).stdout.splitlines()) == 6
    missing = inbox_command("import", f"no-{name}", env=other)
    assert missing.exit_code == 2
    assert "cannot read no-out" in missing.stderr


def test_beside_an_inbox_in_the_environment_another_one_that_is_there_can_be_named(
    path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    other = {"WEBHOOK_INBOX": "sqlite:///other.db"}
    on(path.with_name("other.db"), lambda inbox: inbox.stats())
    for where in ("hooks.db", url):
        assert len(inbox_command("export", where, "--all", env=other).stdout.splitlines()) == 7
        assert inbox_command("export", where, "out.db", "--force", env=other).exit_code == 0
    missing = inbox_command("export", "missing.db", "out.jsonl", env=other)
    assert "there is no inbox at" in missing.stderr
    assert not path.with_name("missing.db").exists()


@pytest.mark.parametrize(
    ("where", "complaint"),
    [
        ("sqlite:///{here}/none.db", "there is no inbox at {here}/none.db"),
        ("mysql://user:word@host/x", "'mysql' is no kind of inbox"),
        ("{here}/none.db", "there is no inbox at {here}/none.db"),
        ("{here}/none.sqlite3", "there is no inbox at {here}/none.sqlite3"),
        ("{here}/folder.db", "{here}/folder.db is a folder: name the inbox's file in it"),
        ("sqlite:///{here}", "{here} is a folder: name the inbox's file in it"),
        ("memory://", "an inbox in memory is in its own process"),
        ("sqlite:///{here}/text.db", "{here}/text.db is not an inbox, or is damaged"),
        ("sqlite:///{here}/other.db", "{here}/other.db is a database of another program"),
        ("{here}/empty.db", "{here}/empty.db is empty, and no inbox"),
        ("{here}/no-tables.db", "{here}/no-tables.db is empty, and no inbox"),
        ("sqlite:///{here}/kept-from-us.db", "the inbox {here}/kept-from-us.db cannot be opened: "),
    ],
)
def test_an_inbox_that_is_none_is_told_in_a_sentence_and_never_made(tmp_path: Path, where: str, complaint: str) -> None:
    tmp_path.joinpath("text.db").write_text("no database " * 100, encoding="utf-8")
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE mine (x)")
    other.close()
    tmp_path.joinpath("empty.db").touch()
    tmp_path.joinpath("folder.db").mkdir()
    with sqlite3.connect(tmp_path / "no-tables.db") as other:
        other.execute("VACUUM")
    other.close()
    assert tmp_path.joinpath("no-tables.db").stat().st_size == 4096
    on(tmp_path / "kept-from-us.db", lambda inbox: inbox.stats())
    tmp_path.joinpath("kept-from-us.db-shm").mkdir()  # as good as a file that only another user may read
    size = tmp_path.joinpath("empty.db").stat().st_size
    commands = (
        *(["ls"], ["stats"], ["check"], ["vacuum"], ["export"], ["purge", "--state", "done"], ["replay", "--dead"]),
        ["backup", str(tmp_path / "copy.db")],
    )
    for command in commands:
        done = inbox_command(command[0], where.format(here=tmp_path), *command[1:])
        assert (done.exit_code, done.stdout) == (1, "")
        assert complaint.format(here=tmp_path) in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert not tmp_path.joinpath("none.db").exists()
    assert not tmp_path.joinpath("copy.db").exists()
    assert tmp_path.joinpath("empty.db").stat().st_size == size == 0


def test_a_file_that_is_missing_is_no_module_and_import_creates_it(
    path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    missing = inbox_command("ls", "nosuch.db")
    assert (missing.exit_code, missing.stderr.startswith("there is no inbox at ")) == (1, True)
    assert missing.stderr.endswith("nosuch.db\n")
    assert inbox_command("export", url, "out.jsonl").exit_code == 0
    assert "were there already" in inbox_command("import", "new.db", "out.jsonl").stdout
    assert path.with_name("new.db").exists()
    path.with_name("modules").mkdir()
    path.with_name("modules").joinpath("db.py").write_text("hooks = 1", encoding="utf-8")
    assert "hooks in modules.db is not a WebhookReceiver" in inbox_command("ls", "modules.db").stderr.replace("\n", " ")
    neither = inbox_command("ls", "a b", env={"COLUMNS": "300"})
    assert "is not of the form module:hooks, and no URL or file of an inbox" in neither.stderr


def test_a_receiver_whose_inbox_is_not_there_or_none_is_told_in_a_sentence(tmp_path: Path) -> None:
    tmp_path.joinpath("app.py").write_text(
        MODULE.format(name="webhooks") + "bare = WebhookReceiver(secret='x')\n", encoding="utf-8"
    )
    done = outside("ls", "app:hooks", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, f"there is no inbox at {tmp_path}/hooks.db\n")
    assert not tmp_path.joinpath("hooks.db").exists()
    done = outside("ls", "app:bare", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "app:bare has no inbox: nothing is kept\n")
    assert outside("ls", "app:nothing", cwd=tmp_path).returncode == 2


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["ls", "--since", "soon"], "'soon' is neither a span of time such as 2h or 30d nor a date"),
        (["ls", "--state", "lost"], "'lost' is not one of"),
        (["ls", "--limit", "0"], "Invalid value for '--limit'"),
        (["purge", "--older-than", "ever"], "'ever' is not a span of time"),
        (["show"], "Missing argument"),
    ],
)
def test_what_an_option_cannot_mean_is_rejected(url: str, arguments: list[str], complaint: str) -> None:
    done = inbox_command(arguments[0], url, *arguments[1:])
    assert done.exit_code == 2
    assert complaint in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("arguments", "example"),
    [
        (["ls"], "inbox ls hooks.db"),
        (["show"], "inbox show hooks.db ID"),
        (["show", "aa01"], "inbox show hooks.db ID"),
        (["pause", "app:alert"], "inbox pause hooks.db HANDLER"),
        (["import"], "inbox import hooks.db"),
        (["backup", "copy.db"], "inbox backup hooks.db FILE"),
    ],
)
def test_without_an_inbox_it_is_said_what_where_is(arguments: list[str], example: str) -> None:
    done = inbox_command(*arguments, env={"WEBHOOK_INBOX": "", "COLUMNS": "300"})
    said = " ".join(done.stderr.split())
    assert done.exit_code == 2
    assert "WHERE is the inbox: its file, its URL, or module:hooks. It comes first, or is the value of" in said
    assert said.endswith(f"WEBHOOK_RECEIVER_INBOX: {example}")


def test_backup_copies_an_inbox_in_use_and_overwrites_only_when_told(path: Path, url: str) -> None:
    copy = path.with_name("copy.db")
    done = inbox_command("backup", url, str(copy))
    assert (done.exit_code, done.stdout) == (0, f"{copy.stat().st_size} bytes copied to {copy}\n")
    assert inbox_command("ls", str(copy)).stdout == inbox_command("ls", url).stdout
    again = inbox_command("backup", url, str(copy))
    said = "is there already, an inbox with 6 deliveries. Is the order right? The inbox comes first, then its copy."
    assert (again.exit_code, again.stderr) == (1, f"{copy} {said} --force overwrites it\n")
    told = json.loads(inbox_command("backup", url, str(copy), "--force", "--json").stdout)
    assert told == {"file": str(copy), "bytes": copy.stat().st_size}
    nowhere = inbox_command("backup", url, str(path.with_name("no") / "copy.db"))
    assert (nowhere.exit_code, "No such file or directory" in nowhere.stderr) == (1, True)


def test_a_name_that_no_file_can_have_is_told(path: Path, url: str) -> None:
    for command in ("backup", "export"):
        done = inbox_command(command, url, str(path.with_name("x" * 300)))
        assert (done.exit_code, "File name too long" in done.stderr) == (1, True)
        assert len(done.stderr.splitlines()) == 1


def test_backup_says_what_the_file_is_before_it_offers_to_overwrite_it(path: Path, url: str) -> None:
    text, other = path.with_name("text"), path.with_name("other.db")
    text.write_text("mine")
    with sqlite3.connect(other) as outsider:
        outsider.execute("CREATE TABLE mine (one)")
    outsider.close()
    for file, said in [
        (text, "is there already: --force overwrites it"),
        (other, "is there already, a SQLite database. Is the order right?"),
        (path, "is the inbox itself: choose another name for the copy"),
        (path.parent, "is a folder: name a file in it for the copy"),
    ]:
        before = file.is_file() and file.read_bytes()
        done = inbox_command("backup", url, str(file))
        assert (done.exit_code, done.stderr.startswith(f"{file} {said}")) == (1, True), done.stderr
        assert (file.is_file() and file.read_bytes()) == before


STOPPED = """
import asyncio, sys, threading
from rich.progress import Progress
from webhook_receiver import SQLiteInbox
from webhook_receiver.cli import main
from webhook_receiver.inbox.sqlite import backup

async def dump(self, which):
    print("writing", flush=True)
    await asyncio.Event().wait()
    yield

class Left(threading.Event):
    def set(self):
        super().set()
        left.set()

def update(self, *_, **__):
    print("writing", flush=True)
    left.wait()

left = threading.Event()
SQLiteInbox.dump, Progress.update, backup.Event = dump, update, Left
main()
"""


@pytest.mark.parametrize("command", ["export", "backup"])
def test_a_command_that_is_stopped_leaves_no_half_of_a_file(path: Path, url: str, command: str) -> None:
    """It has bodies in it, under a name that nobody looks for."""
    folder = path.parent / "to"
    folder.mkdir()
    arguments = [sys.executable, "-c", STOPPED, "inbox", command, url, str(folder / "out")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"writing\n"
        assert [*folder.iterdir()]
        process.terminate()
        assert process.communicate(timeout=60) == (b"", b"")
    assert (process.returncode, [*folder.iterdir()]) == (143, [])


def test_neither_backup_nor_export_replaces_an_inbox_in_use_whatever_they_are_told(path: Path, url: str) -> None:
    other = path.with_name("other.db")
    assert inbox_command("backup", url, str(other)).exit_code == 0

    async def in_use(inbox: SQLiteInbox) -> tuple[Result, Result]:
        assert await inbox.replay(["aa01"], time.time()) == 1
        backup = await asyncio.to_thread(inbox_command, "backup", str(other), str(path), "--force")
        return backup, await asyncio.to_thread(inbox_command, "export", str(other), str(path), "--force")

    backup, export = on(path, in_use)
    assert (backup.exit_code, export.exit_code) == (1, 1)
    assert "hooks.db-wal" in backup.stderr
    assert "Is the order right? The inbox comes first, then its copy" in backup.stderr
    assert export.stderr.startswith(f"{path} is an inbox with 6 deliveries, which no export replaces")
    assert len(inbox_command("ls", url).stdout.splitlines()) == len(inbox_command("ls", str(other)).stdout.splitlines())


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE progress SET handlers = '{' WHERE seq = (SELECT seq FROM delivery WHERE id = 'dd04')",
        "UPDATE delivery SET body = x'00' WHERE id = 'dd04'",
    ],
)
def test_what_is_damaged_is_listed_with_the_others_and_can_be_purged(path: Path, url: str, change: str) -> None:
    with sqlite3.connect(path) as outsider:
        assert outsider.execute(change).rowcount == 1
    outsider.close()
    lines = inbox_command("ls", url).stdout.splitlines()
    assert len(lines) == 6
    if "handlers" in change:
        (line,) = [line for line in lines if line.startswith("dd04")]
        assert line.endswith(
            "damaged: what is kept of the handlers' progress is not what was written: the database was damaged"
        )
        told = [json.loads(line) for line in inbox_command("ls", url, "--json").stdout.splitlines()]
        assert [each["id"] for each in told if "handlers' progress" in each.get("damage", "")] == ["dd04"]
        assert "  next          damaged: what is kept of the handlers'" in inbox_command("show", url, "dd04").stdout
    assert inbox_command("stats", url).exit_code == 0
    assert inbox_command("purge", url, "--event", "none", "--yes").stdout == "0 deliveries removed\n"
    assert inbox_command("purge", url, "dd04", "--yes").stdout == "1 delivery removed\n"
    assert inbox_command("check", url).stdout == "5 deliveries checked, none damaged\n"


def test_check_names_what_is_damaged_and_exits_with_1(path: Path, url: str) -> None:
    whole = inbox_command("check", url)
    assert (whole.exit_code, whole.stdout) == (0, "6 deliveries checked, none damaged\n")
    with sqlite3.connect(path) as outsider:
        outsider.execute("UPDATE delivery SET body = x'00' WHERE id = 'aa01'")
    outsider.close()
    damaged = inbox_command("check", url)
    assert (damaged.exit_code, damaged.stdout) == (1, "6 deliveries checked, 1 damaged\n")
    assert damaged.stderr.startswith("aa01 is damaged: ")
    (told,) = json.loads(inbox_command("check", url, "--json").stdout)["damaged"]
    assert told["id"] == "aa01"


def test_what_the_commands_take_alike(path: Path, url: str) -> None:
    paused = outside("pause", url, "app:download", "--json", cwd=path.parent)
    assert json.loads(paused.stdout) == {"handler": "app:download", "paused": True}
    resumed = outside("resume", url, "app:download", "--json", cwd=path.parent)
    assert json.loads(resumed.stdout) == {"handler": "app:download", "resumed": True}
    exported = outside("export", url, "-", "--json", cwd=path.parent)
    assert json.loads(exported.stderr)["exported"] == len(exported.stdout.splitlines()) - 1 > 0
    assert not (path.parent / "-").exists()
    removed = outside("purge", url, "--dead", "--yes", cwd=path.parent)
    assert removed.returncode == 0
    assert outside("ls", url, "--dead", cwd=path.parent).stdout == ""


def test_a_handler_that_the_receiver_has_not_is_not_replayed(path: Path) -> None:
    path.parent.joinpath("app.py").write_text(MODULE.format(name="webhooks"), encoding="utf-8")
    rejected = outside("replay", "app:hooks", IDS["dead"], "--handler", "nosuch", cwd=path.parent)
    assert (rejected.returncode, rejected.stderr) == (1, "there is no handler nosuch; there is app:download\n")


def test_a_handler_that_nothing_was_given_to_is_not_replayed_by_a_file(path: Path, url: str) -> None:
    """Its state would be stored, and wait for ever."""
    for which in ([IDS["dead"]], ["--dead"]):
        rejected = inbox_command("replay", url, *which, "--handler", "nosuch", "--yes")
        assert (rejected.exit_code, rejected.stdout) == (1, "")
        assert rejected.stderr.startswith("no delivery was given to a handler 'nosuch'; ")
    assert (records(path)["dd04"].state, "nosuch" in records(path)["dd04"].handlers) == (State.DEAD, False)
    done = inbox_command("replay", url, "dd04", "dd05", "--handler", "app:alert")
    assert (done.exit_code, done.stdout) == (0, "1 delivery replayed\n")
    assert done.stderr.startswith("1 delivery passed over: never given to 'app:alert'")
    assert records(path)["dd05"].state is State.DEAD


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """Return an inbox with a request of three parts, of which the second one is done and has lost its body."""
    path = tmp_path / "parts.db"

    async def fill() -> None:
        async with AsyncExitStack() as stack:
            inbox = SQLiteInbox(path, keep_body=1)
            await inbox.open()
            stack.push_async_callback(inbox.close)
            now = time.time() - 60
            given = entry("aa01", body=b'["a","b","c"]')
            more = [Part(1, "order.b", b"b", "b"), Part(2, "order.c", b"c", "c", "line")]
            given = given._replace(
                delivery=replace(given.delivery, context="00-4bf9-01", headers=with_tenant((), "anna")), parts=more
            )
            assert await inbox.put(given, now) == Stored("aa01")
            claims = await inbox.claim("webhooks", 9, 60, now)
            await inbox.release([claims[0], claims[2]], now)
            await inbox.settle(Settlement(claims[1], State.DONE, {}), now)
            while await inbox.expire(time.time()):
                pass

    asyncio.run(fill())
    return path


def test_parts_are_listed_and_shown_each_by_itself(parts: Path) -> None:
    lines = [line.split("\t") for line in inbox_command("ls", str(parts)).stdout.splitlines()]
    assert [(line[0], line[2], line[4], line[5]) for line in lines] == [
        ("aa01.2", "order.c", "waiting", "due now"),
        ("aa01.1", "order.b", "done", "its body was removed"),
        ("aa01", "order.status", "waiting", "due now"),
    ]
    shown = inbox_command("show", str(parts), "aa01.2", "--body").stdout
    assert "part          2 of the request aa01" in shown
    assert "context       00-4bf9-01" in shown
    assert "tenant        anna" in shown
    assert '"b",' in shown
    assert inbox_command("show", str(parts), "aa01", "--raw").stdout == '["a","b","c"]'
    assert json.loads(inbox_command("ls", str(parts), "--json").stdout.splitlines()[0])["part"] == 2


def test_what_has_no_body_any_more_is_not_replayed_and_that_is_said(parts: Path) -> None:
    done = inbox_command("replay", str(parts), "aa01.1", "aa01.2")
    assert (done.exit_code, done.stdout) == (0, "1 delivery replayed\n")
    why = "1 delivery passed over: done, and the body was removed since (keep_body)\n"
    assert done.stderr == why
    done = inbox_command("replay", str(parts), "--receiver", "webhooks", "--yes", "--json")
    assert (json.loads(done.stdout), done.stderr) == ({"replayed": 0}, why)
    shown = inbox_command("show", str(parts), "aa01.1", "--body").stdout
    assert shown.endswith("headers and body were removed some time after it was done: it cannot be replayed\n")
    raw = inbox_command("show", str(parts), "aa01.1", "--raw")
    assert (raw.exit_code, raw.stdout) == (1, "")
    assert raw.stderr == "the body of aa01.1 was removed some time after it was done (keep_body)\n"


def test_a_part_is_purged_by_itself_and_leaves_the_body_to_the_others(parts: Path) -> None:
    done = inbox_command("purge", str(parts), "aa01", "--state", "waiting", "--yes")
    assert done.stdout == "1 delivery removed\n"
    assert inbox_command("show", str(parts), "aa01.2", "--raw").stdout == '["a","b","c"]'
    assert inbox_command("check", str(parts)).stdout == "2 deliveries checked, none damaged\n"
