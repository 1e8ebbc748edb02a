"""Every block of code in the README is run: programs as programs, commands as commands."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

import psycopg
import pytest

from tests.helpers import ROOT, printed, running, serving
from webhook_receiver.simulator import Simulator, simulator_app

README = ROOT.joinpath("README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
PROGRAMS = [code for language, code in BLOCKS if language == "python"]
COMMANDS = [line for language, code in BLOCKS if language == "sh" for line in code.splitlines()]
USER = {"UP42_USERNAME": "me", "UP42_PASSWORD": "anything"}
ENVIRONMENT = {**os.environ, **USER, "PYTHONPATH": str(ROOT), "WEBHOOK_SECRET": "try-me"}

DELIVER = """
import asyncio, json, time
import httpx
from webhook_receiver import State, UP42Signature
from webhook_receiver.delivery import RequestHead

def signed(order_id):
    body = json.dumps({"event": "order.status", "body": {"id": order_id, "status": "FULFILLED"}}).encode()
    head = RequestHead.of({"content-type": "application/json"})
    return body, list(UP42Signature("try-me").sign(head, body, time.time()).headers)

async def deliver(app, *paths):
    async with hooks, httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
        for path in paths:
            body, headers = signed(path)
            answer = await client.post(f"http://receiver{path}", content=body, headers=headers)
            assert answer.status_code == STATUS, (answer.status_code, answer.text)
        if STATUS == 202 and "Retry(after=" not in SOURCE:
            while (await hooks.inbox.stats()).counts[State.WAITING]:
                await asyncio.sleep(0.01)
            assert (await hooks.inbox.stats()).counts[State.DEAD] == 0

STATUS = 202 if "inbox=" in SOURCE else 204
if "app" in globals():
    asyncio.run(deliver(app, "/webhooks", "/webhooks/"))
elif "from_env" in SOURCE:
    asyncio.run(deliver(hooks, "/"))
"""

DJANGO = """
import django.conf
django.conf.settings.configure(ROOT_URLCONF="django.contrib.flatpages.urls", ALLOWED_HOSTS=["*"], SECRET_KEY="x")
"""


@pytest.mark.parametrize("code", PROGRAMS, ids=range(len(PROGRAMS)))
def test_a_program_runs_and_takes_a_delivery(code: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    file = tmp_path / "program.py"
    if elsewhere := re.findall(r"postgresql://[^\"]+", code):
        code = code.replace(elsewhere[0], request.getfixturevalue("postgres_url"))
    before = DJANGO if "django" in code else ""
    file.write_text(f"SOURCE = {code!r}\n{before}{code}{DELIVER}", encoding="utf-8")
    with serving(simulator_app(Simulator())) if "WebhooksClient" in code else nullcontext("") as api:
        done = subprocess.run(
            [sys.executable, "-W", "error", str(file)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            env=ENVIRONMENT | {"UP42_URL": api},
            check=False,
        )
    assert done.returncode == 0, done.stderr


def test_the_ten_lines_are_ten_and_are_the_quickstart() -> None:
    def bare(code: str) -> list[str]:
        return [line for line in code.splitlines() if line.strip()]

    example = ROOT.joinpath("examples", "quickstart.py").read_text(encoding="utf-8")
    assert len(bare(PROGRAMS[0])) == 8
    assert bare(PROGRAMS[0]) == bare(example.split('"""')[2])


def lines_with(*words: str) -> list[str]:
    return [line for line in COMMANDS if any(f"/webhook-receiver {word} " in line for word in words)]


SET_UP = [line for line in COMMANDS if line.startswith("python3 -m venv")]
SERVED = lines_with("serve", "send")
LOOPED = lines_with("dev", "order", "faults", "inbox ls", "webhooks", "backfill")
MIGRATING = lines_with("inbox migrate")
CAUGHT = lines_with("capture", "explain", "to-test")


def test_every_command_line_of_the_readme_is_run_here() -> None:
    assert sorted(SET_UP + SERVED + LOOPED + MIGRATING + CAUGHT) == sorted(COMMANDS)


def test_the_two_first_commands(tmp_path: Path) -> None:
    assert [line.rpartition("&& ")[2] for line in SET_UP] == [
        ".venv/bin/webhook-receiver demo",  # run with its set-up by .ci/run, and here without
        ".venv/bin/python -m pytest",  # what is running just now
    ]
    assert shell(".venv/bin/webhook-receiver demo", tmp_path, "").returncode == 0


def test_what_is_sent_by_hand_is_received(tmp_path: Path) -> None:
    tmp_path.joinpath("quickstart.py").write_text(PROGRAMS[0], encoding="utf-8")
    serve, *sends = SERVED
    with running(*prepared(serve, "")[2:], cwd=tmp_path, environment={"WEBHOOK_SECRET": "try-me"}) as (url, server):
        for line in sends:
            done = shell(line, tmp_path, url)
            assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        told = "".join(printed(server, "ready to download:") for _ in range(1 + 1 + 100))
        assert "failed for good:" in told or printed(server, "failed for good:")
        assert "ready to download: 7\n" in told


def test_the_local_loop_is_lived_as_the_readme_says(tmp_path: Path) -> None:
    tmp_path.joinpath("quickstart.py").write_text(PROGRAMS[0], encoding="utf-8")
    first, *lines = LOOPED
    with looping(tmp_path, first) as (url, simulator):
        for line in lines:
            done = shell(line, tmp_path, url, UP42_URL=simulator)
            assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
            if " inbox ls " in line:
                assert len(done.stdout.splitlines()) == 1 + 1 + 3 + 1  # one is the test of the webhook
            if " backfill " in line:
                assert done.stdout.startswith("5 orders")


@contextmanager
def looping(folder: Path, line: str) -> Generator[tuple[str, str]]:
    """Run the README's `dev` on ports of our own; yield the addresses of the receiver and of the simulator."""
    ports = [str(each) for each in free_ports(2)]
    process = subprocess.Popen(
        [*prepared(line, ""), "--port", ports[0], "--simulator-port", ports[1]],
        cwd=folder,
        env=ENVIRONMENT | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        printed(process, "1 of 1 succeeded")
        yield f"http://127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}"
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


def test_the_tables_are_made_for_a_role_that_may_make_none(tmp_path: Path, empty_database: str) -> None:
    (line,) = MIGRATING
    with psycopg.connect(empty_database, autocommit=True) as connection, suppress(psycopg.errors.DuplicateObject):
        connection.execute("CREATE ROLE app")
    line = line.replace("postgresql://owner@127.0.0.1/hooks", shlex.quote(empty_database))
    done = shell(line, tmp_path, "")
    assert done.returncode == 0, done.stdout + done.stderr
    assert shell(line, tmp_path, "").stdout == "the tables are up to date\n"


def test_a_request_is_caught_explained_and_made_a_test_of(tmp_path: Path) -> None:
    capture, explain, to_test = CAUGHT
    (port,) = free_ports(1)
    process = subprocess.Popen(
        [*(word if word != "8000" else str(port) for word in prepared(capture, "")), "--json"],
        cwd=tmp_path,
        env=ENVIRONMENT | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        printed(process, "listening")
        url = f"http://127.0.0.1:{port}"
        assert (
            shell(".venv/bin/webhook-receiver send http://127.0.0.1:8000/ --secret try-me", tmp_path, url).returncode
            == 0
        )
        file = json.loads(printed(process, "file").splitlines()[-1])["file"]
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    for line in (explain, to_test):
        done = shell(re.sub(r"captured/\S+", file, line), tmp_path, url)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    assert passed(tmp_path / "test_captured.py") == 1


def test_the_tests_in_the_readme_pass(tmp_path: Path) -> None:
    (tests,) = [code for code in PROGRAMS if "def test_" in code]
    tmp_path.joinpath("test_mine.py").write_text(tests, encoding="utf-8")
    assert passed(tmp_path / "test_mine.py") == 2
    assert not tmp_path.joinpath("hooks.db").exists()


def passed(file: Path) -> int:
    """Run the tests in a file; return how many passed, where none failed."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:asyncio", "-p", "no:cacheprovider", str(file)],
        cwd=file.parent,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return int(re.findall(r"(\d+) passed", done.stdout)[0])


def free_ports(count: int) -> list[int]:
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


def prepared(line: str, url: str) -> list[str]:
    """Return a command of the README's as it is run here: this interpreter, and a port of our own."""
    words = shlex.split(line.replace("http://127.0.0.1:8000", url))
    words = [word for word in words if not word.startswith("WEBHOOK_SECRET=")]
    assert words[0] == ".venv/bin/webhook-receiver"
    return [sys.executable, "-m", "webhook_receiver", *words[1:]]


def shell(line: str, cwd: Path, url: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command, _, fallback = line.partition(" || ")
    done = subprocess.run(
        prepared(command, url),
        cwd=cwd,
        env=ENVIRONMENT | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return subprocess.CompletedProcess(done.args, int(not done.returncode)) if fallback else done


def test_what_the_readme_says_of_answers_is_what_is_answered() -> None:
    from webhook_receiver.responses import rejections

    table = README.partition("## What is answered")[2].partition("Errors are")[0]
    told = {int(status) for status in re.findall(r"\| (\d{3})", table)}
    assert told == {200, 202, 204, 500, 503, 422} | {answer.status for answer in rejections(401).values()}


def test_every_command_is_in_the_readme() -> None:
    from webhook_receiver.cli.commands import app

    names = [command.name or command.callback.__name__ for command in app.registered_commands if command.callback]
    groups = [group.name for group in app.registered_groups if group.name]
    told = re.findall(r"^\| `webhook-receiver ([\w-]+)", README, re.MULTILINE)
    assert sorted(told) == sorted(names + groups)
