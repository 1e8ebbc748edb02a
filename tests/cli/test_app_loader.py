"""A mistake in the user's module is told with its place, and never with a line of it, which may hold a secret."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
import typer

from tests.commands import COMMAND
from webhook_receiver.cli import serve
from webhook_receiver.cli.app_loader import load

MISTAKES = {
    "from webhook_receiver import WebhookReceiver\nhooks = WebhookReceiver(secret='hush', inbx='')": (
        "TypeError: WebhookReceiver.__init__() got an unexpected keyword argument 'inbx'\n  {file}, line 2, in <module>"
    ),
    "def connect(password):\n    raise OSError('no route')\nconnect('hush')": (
        "OSError: no route\n  {file}, line 3, in <module>\n  {file}, line 2, in connect"
    ),
    "hooks = = 'hush'": "SyntaxError: invalid syntax (mistaken.py, line 1)",
    "import not_there; secret = 'hush'": "No module named 'not_there'\n  {file}, line 1, in <module>",
    "from pydantic import BaseModel\nclass Settings(BaseModel):\n    secret: int\nSettings(secret='hush')": (
        "ValidationError: ?: Input should be a valid integer, unable to parse string as an integer\n  {file}, line 4"
    ),
    "try:\n    int('hush')\nexcept ValueError:\n    raise RuntimeError('none') from None": "RuntimeError: none",
}


@pytest.fixture
def mistaken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Path]:
    """The file of a module in the current directory, which is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path / "mistaken.py"
    sys.modules.pop("mistaken", None)


@pytest.mark.parametrize("source", MISTAKES)
def test_a_module_that_cannot_be_imported_is_told_with_its_places_and_none_of_its_lines(
    source: str, mistaken: Path
) -> None:
    mistaken.write_text(source, encoding="utf-8")
    with pytest.raises(typer.BadParameter) as raised:
        load("mistaken")
    assert raised.value.message.startswith("mistaken cannot be imported: ")
    assert MISTAKES[source].format(file=mistaken) in raised.value.message
    assert "hush" not in raised.value.message
    assert (raised.value.__cause__, raised.value.__suppress_context__) == (None, True)


def test_a_mistake_that_comes_while_it_is_served_is_a_line_too(
    mistaken: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    source, said = next(iter(MISTAKES.items()))
    mistaken.write_text(source, encoding="utf-8")
    monkeypatch.setenv(serve.TARGET, "mistaken:hooks")
    monkeypatch.setenv(serve.PATH, "/webhooks")
    with pytest.raises(SystemExit) as ended:
        serve.app()
    (record,) = caplog.records
    assert (ended.value.code, record.levelno, record.exc_info) == (1, logging.ERROR, None)
    assert said.format(file=mistaken) in record.getMessage()


@pytest.mark.parametrize("target", ["mistaken.hooks", "mistaken/hooks", "mistaken.other", "mistaken.hooks:app"])
def test_a_dot_in_place_of_the_colon_is_told(target: str, mistaken: Path) -> None:
    mistaken.write_text("hooks = 1", encoding="utf-8")
    with pytest.raises(typer.BadParameter) as raised:
        load(target)
    assert raised.value.message.startswith("there is no module 'mistaken.")
    assert raised.value.message.endswith(": did you mean mistaken:hooks?") == ("other" not in target)


APP = """
from starlette.applications import Starlette
from webhook_receiver import WebhookReceiver
hooks, more = WebhookReceiver(secret="s"), WebhookReceiver(secret="s")
app = Starlette(routes=[hooks.route("/webhooks")])
both = Starlette(routes=[hooks.route("/webhooks"), more.route("/more")])
"""


def test_an_app_stands_for_the_receiver_in_it_if_it_has_one(mistaken: Path) -> None:
    mistaken.write_text(APP, encoding="utf-8")
    assert load("mistaken:app") is load("mistaken:hooks")
    with pytest.raises(typer.BadParameter) as raised:
        load("mistaken:both")
    said = "both in mistaken is not a WebhookReceiver; it has mistaken:hooks, mistaken:more"
    assert raised.value.message == said
    with pytest.raises(typer.BadParameter, match="not a WebhookReceiver but an app, which uvicorn serves"):
        load("mistaken:app", or_in_app=False)


@pytest.mark.parametrize("command", [["serve"], ["inbox", "ls"]])
def test_a_command_prints_no_line_of_a_module_that_cannot_be_imported(command: list[str], mistaken: Path) -> None:
    mistaken.write_text(next(iter(MISTAKES)), encoding="utf-8")
    done = subprocess.run(
        [*COMMAND, *command, "mistaken:hooks"], cwd=mistaken.parent, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "got an unexpected keyword argument 'inbx'" in done.stderr
    assert "hush" not in done.stderr
