"""Every block of code in the README is run: programs as programs, commands as commands."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import ROOT, printed, running

README = ROOT.joinpath("README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
PROGRAMS = [code for language, code in BLOCKS if language == "python"]
COMMANDS = [line for language, code in BLOCKS if language == "sh" for line in code.splitlines()]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "WEBHOOK_SECRET": "try-me"}

DELIVER = """
import asyncio, json, time
import httpx
from webhook_receiver import State, UP42Signature

def signed(order_id):
    body = json.dumps({"event": "order.status", "body": {"id": order_id, "status": "FULFILLED"}}).encode()
    return body, list(UP42Signature("try-me").sign({"content-type": "application/json"}, body, time.time()))

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
def test_a_program_runs_and_takes_a_delivery(code: str, tmp_path: Path) -> None:
    file = tmp_path / "program.py"
    before = DJANGO if "django" in code else ""
    file.write_text(f"SOURCE = {code!r}\n{before}{code}{DELIVER}", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(file)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        env=ENVIRONMENT,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_ten_lines_are_ten_and_are_the_quickstart() -> None:
    def bare(code: str) -> list[str]:
        return [line for line in code.splitlines() if line.strip()]

    example = ROOT.joinpath("examples", "quickstart.py").read_text(encoding="utf-8")
    assert len(bare(PROGRAMS[0])) == 8
    assert bare(PROGRAMS[0]) == bare(example.split('"""')[2])


def test_the_commands_do_what_the_readme_says(tmp_path: Path) -> None:
    setting_up = [line for line in COMMANDS if line.startswith("python3 -m venv")]
    assert [line.rpartition("&& ")[2] for line in setting_up] == [
        ".venv/bin/webhook-receiver demo",  # run with its set-up by .ci/run, and here without
        ".venv/bin/python -m pytest",  # what is running just now
    ]
    tmp_path.joinpath("quickstart.py").write_text(PROGRAMS[0], encoding="utf-8")
    assert shell(".venv/bin/webhook-receiver demo", tmp_path, "").returncode == 0
    (serve,) = [line for line in COMMANDS if " serve " in line]
    sends = [line for line in COMMANDS if " send " in line]
    (listing,) = [line for line in COMMANDS if " inbox ls " in line]
    assert len(sends) == len(COMMANDS) - 4
    with running(*prepared(serve, "")[2:], cwd=tmp_path, environment={"WEBHOOK_SECRET": "try-me"}) as (url, server):
        for line in sends:
            done = shell(line, tmp_path, url)
            assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        told = "".join(printed(server, "ready to download:") for _ in range(1 + 1 + 100))
        assert "failed for good:" in told or printed(server, "failed for good:")
        assert "ready to download: 7\n" in told
        listed = shell(listing, tmp_path, url).stdout.splitlines()
    assert len(listed) == 50
    assert all("FULFILLED" in line for line in listed)


def prepared(line: str, url: str) -> list[str]:
    """Return a command of the README's as it is run here: this interpreter, and a port of our own."""
    words = shlex.split(line.replace("http://127.0.0.1:8000", url))
    words = [word for word in words if not word.startswith("WEBHOOK_SECRET=")]
    assert words[0] == ".venv/bin/webhook-receiver"
    return [sys.executable, "-m", "webhook_receiver", *words[1:]]


def shell(line: str, cwd: Path, url: str) -> subprocess.CompletedProcess[str]:
    command, _, fallback = line.partition(" || ")
    done = subprocess.run(
        prepared(command, url), cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False
    )
    return subprocess.CompletedProcess(done.args, int(not done.returncode)) if fallback else done


def test_what_the_readme_says_of_answers_is_what_is_answered() -> None:
    from webhook_receiver.answers import refusals

    table = README.partition("## What is answered")[2].partition("Errors are")[0]
    told = {int(status) for status in re.findall(r"\| (\d{3})", table)}
    assert told == {200, 202, 204, 500, 503, 422} | {answer.status for answer in refusals(401).values()}


def test_every_command_is_in_the_readme() -> None:
    from webhook_receiver.cli.commands import app

    names = [command.name or command.callback.__name__ for command in app.registered_commands if command.callback]
    assert names == ["backfill", "demo", "serve", "send", "sender", "mischief", "explain", "capture", "to-test"]
    groups = [group.name for group in app.registered_groups if group.name]
    assert groups == ["webhooks", "inbox", "order"]
    assert all(f"`webhook-receiver {name}" in README for name in names + groups)
