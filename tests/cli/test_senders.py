"""`senders`: the list and the page of one, for people, in a pipe and for programs; the completion of names."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from tests.cli.test_commands import on_a_terminal
from tests.commands import COMMAND, run
from webhook_receiver.cli import options, rich_output, sender_report
from webhook_receiver.senders.registry import presets


def test_all_senders_are_listed_by_trade_a_line_each() -> None:
    done = run("senders")
    assert (done.returncode, done.stderr) == (0, "")
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert sorted(row[0] for row in rows) == sorted(presets())
    assert [row[1] for row in rows] == sorted(row[1] for row in rows)
    assert ["stripe", "payments", "body, time"] in [row[:3] for row in rows]


@pytest.mark.parametrize("module", ["cryptography", "jwt", "rfc8785", "http_message_signatures"])
def test_without_an_extra_all_senders_are_listed_all_the_same(module: str) -> None:
    for more in ("", "'--json'"):
        done = without(module, f"[{more}]")
        assert (done.returncode, done.stderr) == (0, "")
        lines = done.stdout.splitlines()
        names = [json.loads(line)["name"] if more else line.split("\t")[0] for line in lines]
        assert sorted(names) == sorted(presets())
        assert "asgi-webhook-receiver[" in done.stdout


@pytest.mark.parametrize("name", ["sendgrid", "kinde", "aws-sns", "discord"])
def test_a_sender_whose_extra_is_missing_has_its_page_and_what_to_install(name: str) -> None:
    done = without("cryptography", f"['show', '{name}']")
    assert (done.returncode, done.stderr) == (0, "")
    page = presets()[name].page
    assert page is not None
    assert page.setup in done.stdout
    assert "pip install 'asgi-webhook-receiver[" in done.stdout


def without(module: str, command: str) -> subprocess.CompletedProcess[str]:
    """Run `senders` where a module cannot be imported."""
    program = (
        f"import sys; sys.modules['{module}'] = None\n"
        f"from webhook_receiver.cli import main; sys.argv[1:] = ['senders', *{command}]; main()"
    )
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)


def test_the_list_fits_a_terminal_of_80_columns() -> None:
    code, shown = on_a_terminal("senders", columns=80)
    assert code == 0
    assert "\x1b[1m" in shown
    bare = re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()
    assert max(map(len, bare)) <= 80
    assert len([line for line in bare if line.strip()]) == len(presets()) + 2


def test_programs_get_one_document_for_each_sender() -> None:
    documents = [json.loads(line) for line in run("senders", "--json").stdout.splitlines()]
    assert sorted(each["name"] for each in documents) == sorted(presets())
    (slack,) = [each for each in documents if each["name"] == "slack"]
    for command in (("show", "slack", "--json"), ("--json", "show", "slack")):
        assert json.loads(run("senders", *command).stdout) == slack
    assert slack["proof"] == {
        "scheme": "HMACBody",
        "body": True,
        "tolerance": 300,
        "id": False,
        "form": False,
        "url": False,
        "secret": True,
    }
    assert (slack["module"], slack["function"]) == ("webhook_receiver.senders.slack", "slack")
    assert slack["challenges"] == ["POST"]
    assert slack["statuses"] == {"stored": 202, "duplicate": 200, "rejected": 401}


def test_a_page_tells_how_to_register_what_is_proven_what_is_answered_and_what_surprises() -> None:
    done = run("senders", "show", "slack")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "Slack (slack), chat"
    headings = [line for line in lines if line and line[0].islower() and "://" not in line]
    assert headings == ["register", "proof", "answer", "events", "traps", "sources", "how sure"]
    assert "  The time is covered: 300 seconds after its signing, a delivery is too old." in lines
    assert "  from webhook_receiver.senders.catalogue import slack" in lines


@pytest.mark.parametrize("name", [*presets()])
def test_a_page_is_wrapped_on_a_terminal(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        monkeypatch.setattr(rich_output, "console", Console(force_terminal=True, width=80, record=True, file=nowhere))
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("COLUMNS", "80")
        sender_report.show(name, as_json=False)
        shown = rich_output.console.export_text()
    assert max(len(line) for line in shown.splitlines() if " " in line.strip()) <= 80  # an address is not broken


@pytest.mark.parametrize(
    ("given", "near"),
    [
        ("gihub", "did you mean github?"),
        ("Strip", "did you mean stripe"),
        ("foo", "there is no sender 'foo': `webhook-receiver senders` lists all"),
        ("standard webhooks", "did you mean standard-webhooks"),
        ("razor", "did you mean razorpay"),
        ("qqqqqqqqqq", "there is no sender 'qqqqqqqqqq': `webhook-receiver senders` lists all"),
        ("", "there is no sender ''"),
    ],
)
def test_a_name_that_is_none_is_answered_with_those_near_it(given: str, near: str) -> None:
    done = run("senders", "show", given)
    assert done.returncode == 2
    assert near in " ".join(done.stderr.split())


@pytest.mark.parametrize("name", ["Github", "STRIPE", "AWS_SNS", "Standard-Webhooks"])
def test_a_sender_is_known_by_its_name_in_capitals_too(name: str) -> None:
    assert options.checked_sender(name) == name.lower().replace("_", "-") in presets()


@pytest.mark.parametrize("name", [preset.function for preset in presets().values() if "_" in preset.function])
def test_a_sender_is_known_by_the_name_of_its_function_too(name: str) -> None:
    assert options.checked_sender(name) == name.replace("_", "-") in presets()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("slack", "slack is a sender: `webhook-receiver senders show slack` shows all about it"),
        ("aws_sns", "`webhook-receiver senders show aws-sns` shows all about it"),
        ("slak", "there is no sender 'slak': did you mean slack"),
    ],
)
def test_a_sender_in_place_of_a_command_is_answered_with_the_command_that_shows_it(given: str, said: str) -> None:
    done = run("senders", given)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.replace("│", " ").split())


def test_every_sender_has_one_name() -> None:
    for name, preset in presets().items():
        assert name == preset.function.replace("_", "-") == preset.sender(preset.example).name


@pytest.mark.parametrize(
    "command", ["senders show s", "send http://127.0.0.1/ --sender s", "explain request.http --sender s"]
)
def test_a_shell_completes_the_names_of_senders(command: str) -> None:
    words = f"webhook-receiver {command}"
    environment = {"_WEBHOOK_RECEIVER_COMPLETE": "complete_bash", "COMP_WORDS": words}
    environment["COMP_CWORD"] = str(len(words.split()) - 1)
    done = subprocess.run(
        [Path(COMMAND[0]).with_name("webhook-receiver")],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    found = done.stdout.split()
    assert sorted(found) == sorted(name for name in presets() if name.startswith("s"))
