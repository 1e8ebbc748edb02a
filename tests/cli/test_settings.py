"""The settings, as commands take them: by the real command, in a folder of its own."""

from __future__ import annotations

import json
import os
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from tests.cli.test_commands import MODULE, on_a_terminal
from tests.commands import run
from tests.helpers import ROOT, SECRET, free_port, printed, running
from webhook_receiver.cli.commands import SUMMARIES, app, loaded
from webhook_receiver.errors import DISTRIBUTION

KEPT = MODULE.replace('secret="{secret}"', 'secret="{secret}", inbox="sqlite:///hooks.db"')


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an app and a `pyproject.toml` that names it."""
    tmp_path.joinpath("app.py").write_text(KEPT.format(secret=SECRET), encoding="utf-8")
    tmp_path.joinpath("pyproject.toml").write_text('[tool.webhook-receiver]\napp = "app:hooks"\n', encoding="utf-8")
    return tmp_path


def test_settings_are_printed_with_their_origin_and_no_secret(folder: Path) -> None:
    environment = {
        **os.environ,
        "WEBHOOK_RECEIVER_SECRET": "hush",
        "WEBHOOK_RECEIVER_INBOX": "postgresql://app:hush@db/hooks",
        "WEBHOOK_RECEIVER_SSL_KEYFILE_PASSWORD": "hush",
    }
    done = run("settings", cwd=folder, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert rows[:4] == [
        ["app", "app:hooks", "pyproject.toml"],
        ["secret", "**********", "WEBHOOK_RECEIVER_SECRET"],
        ["inbox", "postgresql://app:***@db/hooks", "WEBHOOK_RECEIVER_INBOX"],
        ["host", "127.0.0.1", "default"],
    ]
    as_json = run("settings", "--json", cwd=folder, env=environment)
    documents = [json.loads(line) for line in as_json.stdout.splitlines()]
    assert documents[0] == {
        "name": "app",
        "value": "app:hooks",
        "origin": "pyproject.toml",
        "about": "Your receiver, or the app that it is in, as module:hooks: that of all commands that take one.",
    }
    assert len(documents) == len(rows)
    assert "hush" not in done.stdout + as_json.stdout


def test_a_variable_that_is_no_setting_and_one_that_is_not_valid_are_told(folder: Path) -> None:
    unknown = run("settings", cwd=folder, env={**os.environ, "WEBHOOK_RECEIVER_PROT": "1"})
    assert unknown.returncode == 4
    assert unknown.stderr == "WEBHOOK_RECEIVER_PROT is no setting: did you mean WEBHOOK_RECEIVER_PORT?\n"
    wrong = {**os.environ, "WEBHOOK_RECEIVER_PORT": "x"}
    for command in (["settings"], ["serve"], ["serve", "app:hooks"], ["schema"]):
        done = run(*command, cwd=folder, env=wrong)
        assert (done.returncode, "WEBHOOK_RECEIVER_PORT: Input should be" in done.stderr) == (2, True), command
    assert run("senders", cwd=folder, env=wrong).returncode == 0  # which has no settings


def test_check_finds_settings_that_are_none(folder: Path) -> None:
    done = run("check", "--json", cwd=folder, env={**os.environ, "WEBHOOK_RECEIVER_PROT": "1"})
    found = {each["check"]: each for each in map(json.loads, done.stdout.splitlines())}
    assert found["settings"]["message"] == "WEBHOOK_RECEIVER_PROT is no setting: did you mean WEBHOOK_RECEIVER_PORT?"
    assert (found["settings"]["level"], done.returncode) == ("warning", 4)
    ignoring = {**os.environ, "WEBHOOK_RECEIVER_PROT": "1", "WEBHOOK_RECEIVER_IGNORE": "settings,no-fallback"}
    assert run("check", cwd=folder, env=ignoring).returncode == 0


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"PORT": "abc"}, "WEBHOOK_RECEIVER_PORT: Input should be a valid integer"),
        ({"METRICS_PORT": "99999"}, "WEBHOOK_RECEIVER_METRICS_PORT: Input should be less than or equal to 65535"),
        ({"SECRET": " "}, "WEBHOOK_RECEIVER_SECRET: a secret must not be empty or blank"),
        ({"LOG_FORMAT": "xml"}, "WEBHOOK_RECEIVER_LOG_FORMAT: Input should be 'text' or 'json'"),
        ({"SECRET_FILE": "gone"}, "WEBHOOK_RECEIVER_SECRET_FILE: cannot read a secret from gone"),
        ({"SECRET_FILE": "app.py", "SECRET": "x"}, "WEBHOOK_RECEIVER_SECRET and WEBHOOK_RECEIVER_SECRET_FILE are both"),
    ],
)
def test_check_finds_a_setting_that_is_not_valid_and_all_else(
    folder: Path, variables: dict[str, str], said: str
) -> None:
    given = {f"WEBHOOK_RECEIVER_{name}": value for name, value in variables.items()}
    done = run("check", "--json", cwd=folder, env={**os.environ, **given})
    found = {each["check"]: each for each in map(json.loads, done.stdout.splitlines())}
    assert (done.returncode, {*found}) == (1, {"settings", "no-fallback"}), done.stderr
    assert (found["settings"]["level"], found["settings"]["where"]) == ("error", "app:hooks")
    assert found["settings"]["message"].startswith(said)
    ignoring = {**given, "WEBHOOK_RECEIVER_IGNORE": "no-fallback"}
    assert "no-fallback" not in run("check", "app:hooks", cwd=folder, env={**os.environ, **ignoring}).stdout


def test_serve_needs_nothing_but_its_settings(folder: Path) -> None:
    port = free_port()
    environment = {"WEBHOOK_RECEIVER_PATH": "/in", "WEBHOOK_RECEIVER_PORT": str(port + 1)}
    with running("webhook_receiver", "serve", cwd=folder, environment=environment) as (url, server):  # with --port
        sent = run("send", f"{url}/in", env={**os.environ, "WEBHOOK_RECEIVER_SECRET": SECRET})
        assert sent.returncode == 0, sent.stdout
        printed(server, "downloading")
        assert httpx.get(f"{url}/healthz", trust_env=False).json()["ok"]


def test_commands_find_the_app_and_its_inbox(folder: Path) -> None:
    assert run("inbox", "migrate", cwd=folder).returncode == 0
    assert folder.joinpath("hooks.db").exists()
    assert run("inbox", "ls", cwd=folder).stdout == ""
    assert run("inbox", "show", "nothing", cwd=folder).returncode == 1
    assert "polls nothing" in run("poll", "--once", cwd=folder).stderr
    elsewhere = {**os.environ, "WEBHOOK_RECEIVER_INBOX": "sqlite:///elsewhere.db"}
    assert "there is no inbox at" in run("inbox", "ls", cwd=folder, env=elsewhere).stderr


@pytest.mark.parametrize("command", ["serve", "worker", "dev", "poll", "backfill", "check", "schema"])
def test_a_command_without_a_receiver_says_where_to_name_one(command: str, tmp_path: Path) -> None:
    done = run(command, cwd=tmp_path, env={**os.environ, "COLUMNS": "300"})
    assert (done.returncode, done.stdout) == (2, "")
    said = " ".join(done.stderr.split())
    assert 'in pyproject.toml: [tool.webhook-receiver] app = "quickstart:hooks" or in WEBHOOK_RECEIVER_APP' in said
    assert f"{command} [OPTIONS] [MODULE:HOOKS]" in said


@pytest.mark.parametrize("name", SUMMARIES)
def test_every_command_tells_the_version(name: str) -> None:
    def commands(command: object, words: list[str]) -> list[list[str]]:
        below = getattr(command, "commands", {})
        return [words, *(each for inner in below for each in commands(below[inner], [*words, inner]))]

    told = f"webhook-receiver {version(DISTRIBUTION)}\n"
    for words in commands(loaded(name), [name]):
        done = CliRunner().invoke(app, [*words, "--version"])
        assert (done.exit_code, done.stdout, done.stderr) == (0, told, ""), words


def test_the_settings_fit_a_terminal_of_80_columns(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    code, shown = on_a_terminal("settings", columns=80)
    lines = [line.replace("\x1b[1m", "").replace("\x1b[0m", "").rstrip() for line in shown.splitlines()]
    assert (code, lines[0].split()) == (0, ["setting", "value", "from"])
    assert max(map(len, lines)) <= 80
