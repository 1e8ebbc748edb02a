"""`poll`: on a real file, from sources that ask a real server, also beside a server on the same file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.test_commands import on_a_terminal
from tests.cli.test_inbox import records
from tests.commands import COMMAND, run
from tests.helpers import ROOT, SECRET, printed, running
from webhook_receiver import State

MODULE = f"""
import asyncio
from datetime import datetime, timedelta
from pathlib import Path

from webhook_receiver import ApiError, Changes, OrderStatusChanged, WebhookReceiver
hooks = WebhookReceiver(secret="{SECRET}", inbox="sqlite:///hooks.db?min_free=0")
idle = WebhookReceiver(secret="{SECRET}", inbox="sqlite:///hooks.db?min_free=0")
bare = WebhookReceiver(secret="{SECRET}")
@hooks.on(OrderStatusChanged)
async def tell(order: OrderStatusChanged) -> None:
    print("told of", order.order_id, order.status, flush=True)

class Lines:
    "A source of the lines of a file."
    def __init__(self, name: str) -> None:
        self.name = name
    async def __call__(self, cursor: str | None) -> Changes:
        path = Path(self.name)
        lines = path.read_text().splitlines() if path.exists() else []
        if "503" in lines:
            raise ApiError("the API answered 503", status=503)
        if "hang" in lines:
            print("it hangs", flush=True)
            await asyncio.Event().wait()
        if "bug" in lines:
            raise KeyError("".join(["hu", "sh"]))
        orders = [b'{{"event": "order.status", "body": {{"id": "%s", "status": "FULFILLED"}}}}' % line.encode()
                  if line != "html" else b"<html>" for line in lines[int(cursor or 0):]]
        return Changes(orders, str(len(lines)))
    def cursor_at(self, moment: datetime) -> str:
        assert moment.tzinfo is not None
        return "1"

hooks.poll_every(timedelta(seconds=0.1), Lines("one"))
hooks.poll_every(0.1, Lines("two"))
"""

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def poll(tmp_path: Path) -> Command:
    """Return the command, in a directory with a receiver in it."""
    tmp_path.joinpath("app.py").write_text(MODULE, encoding="utf-8")

    def poll(*arguments: str, target: str = "app:hooks") -> subprocess.CompletedProcess[str]:
        return run("poll", target, *arguments, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)})

    return poll


def say(folder: Path, source: str, *lines: str) -> None:
    """Let a source have further changes."""
    with folder.joinpath(source).open("a", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)


def test_each_source_is_polled_once_and_the_handlers_are_left_to_the_server(tmp_path: Path, poll: Command) -> None:
    say(tmp_path, "one", "o-1", "o-2", "html")
    done = poll("--once")
    said = {
        "one: 3 documents: 3 put into the inbox, 1 of them no events, 0 were there already",
        "two: 0 documents: 0 put into the inbox, 0 were there already",
    }
    assert (done.returncode, {*done.stdout.splitlines()}) == (0, said)
    found = records(tmp_path / "hooks.db").values()
    assert sorted((each.identity or "", each.via, each.state) for each in found) == [
        ("", "poll", State.DEAD),
        ("o-1 FULFILLED", "poll", State.WAITING),
        ("o-2 FULFILLED", "poll", State.WAITING),
    ]
    say(tmp_path, "one", "o-3")
    done = poll("--once", "--since", "2d", "--source", "one", "--json")
    assert json.loads(done.stdout) == {
        "source": "one",
        "documents": 3,
        "stored": 1,
        "known": 2,
        "dead": 0,
        "error": None,
    }


def test_it_works_beside_a_server_which_handles_what_is_put(tmp_path: Path, poll: Command) -> None:
    idle = MODULE.replace("hooks.poll_every", "# hooks.poll_every")
    poll("--once")
    tmp_path.joinpath("serving.py").write_text(idle, encoding="utf-8")
    with running("webhook_receiver", "serve", "serving:hooks", cwd=tmp_path) as (_, process):
        say(tmp_path, "one", "o-1")
        assert poll("--once").returncode == 0
        printed(process, "told of o-1 FULFILLED")


def test_a_source_that_fails_ends_it_with_1_and_the_others_are_polled(tmp_path: Path, poll: Command) -> None:
    say(tmp_path, "one", "503")
    say(tmp_path, "two", "o-1")
    done = poll("--once")
    assert done.returncode == 1
    assert "one: the API answered 503\n" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == "two: 1 documents: 1 put into the inbox, 0 were there already\n"
    done = poll("--once", "--json", "--source", "one")
    assert (done.returncode, json.loads(done.stdout)) == (1, {"source": "one", "error": "the API answered 503"})


def test_an_error_in_a_source_is_shown_with_its_place(tmp_path: Path, poll: Command) -> None:
    say(tmp_path, "one", "bug")
    done = poll("--once", "--json")
    (failed,) = [each for each in map(json.loads, done.stdout.splitlines()) if each["error"]]
    assert failed["error"].startswith("KeyError at")
    first, *_ = [line for line in done.stderr.splitlines() if line.startswith("  File ")]
    assert first.endswith("in __call__"), "and not by what polls"
    assert "hush" not in done.stdout + done.stderr, "a message may hold a key"
    assert done.returncode == 1


def test_without_once_it_polls_until_a_signal_and_gives_the_sources_back(tmp_path: Path, poll: Command) -> None:
    say(tmp_path, "one", "o-1")
    process = subprocess.Popen(
        [sys.executable, "-m", "webhook_receiver", "poll", "app:hooks", "--since", "1h"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        printed(process, "one: 0 documents")
        say(tmp_path, "one", "o-2")
        printed(process, "one: 1 documents: 1 put into the inbox")
        say(tmp_path, "two", "o-3")
        printed(process, "two: 1 documents: 1 put into the inbox")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
        assert process.returncode == 0
    finally:
        process.kill()
    assert poll("--once").returncode == 0, "no lease is in the way"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_130_and_gives_the_sources_back(tmp_path: Path, poll: Command, number: int) -> None:
    say(tmp_path, "one", "hang")
    process = subprocess.Popen(
        [sys.executable, "-m", "webhook_receiver", "poll", "app:hooks", "--once"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        printed(process, "it hangs")
        process.send_signal(number)
        said, _ = process.communicate(timeout=30)
        assert (process.returncode, "Traceback" in said) == (130, False), said
    finally:
        process.kill()
    tmp_path.joinpath("one").write_text("o-1\n", encoding="utf-8")
    assert poll("--once").returncode == 0, "no lease is in the way"


@pytest.mark.parametrize(
    ("arguments", "target", "code", "said"),
    [
        (["--since", "yesterday"], "app:hooks", 2, "neither a span of time such as 2h or 30d nor a date"),
        (["--since", "2100-01-01"], "app:hooks", 2, "is in the future"),
        ([], "sqlite:///hooks.db", 2, "a receiver is needed, as quickstart:hooks"),
        (["--once"], "app:bare", 1, "app:bare has no inbox"),
        (["--once"], "app:idle", 1, "polls nothing: hooks.poll_every"),
        (["--once", "--source", "three"], "app:hooks", 1, "has no source three; it has one, two"),
    ],
)
def test_a_mistake_is_told_in_a_sentence(
    poll: Command, arguments: list[str], target: str, code: int, said: str
) -> None:
    done = poll(*arguments, target=target)
    assert done.returncode == code
    assert said in " ".join(done.stderr.replace("│", " ").split())
    assert "Traceback" not in done.stderr


def test_a_shell_completes_the_names_of_sources(tmp_path: Path, poll: Command) -> None:
    words = "webhook-receiver poll app:hooks --source t"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "_WEBHOOK_RECEIVER_COMPLETE": "complete_bash"}
    environment |= {"COMP_WORDS": words, "COMP_CWORD": "4"}
    done = subprocess.run(
        [Path(COMMAND[0]).with_name("webhook-receiver")],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["two"]


def test_on_a_terminal_it_shows_how_far_it_is(tmp_path: Path, poll: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    say(tmp_path, "one", *(f"o-{number}" for number in range(1000)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    code, shown = on_a_terminal("poll", "app:hooks", "--once")
    assert code == 0
    assert "1000 documents: 1000 put into the inbox" in shown
