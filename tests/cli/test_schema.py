"""`schema`, by the real command on real app files."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.cli.test_commands import on_a_terminal
from tests.commands import COMMAND, run
from tests.helpers import ROOT
from webhook_receiver import Delivery, SQLiteInbox
from webhook_receiver.delivery import new_id
from webhook_receiver.inbox import Entry

APP = """
from starlette.applications import Starlette
from starlette.routing import Mount
from webhook_receiver import Event, Unsigned, WebhookReceiver
from webhook_receiver.senders.github import github

hooks = WebhookReceiver(secret="KbsDE5kGZoDiPCFd", inbox="sqlite:///hooks.db")
code = WebhookReceiver(sender=github("KbsDE5kGZoDiPCFd"))
token = WebhookReceiver(scheme=Unsigned(token_in_path="q8-J3nVw0aKx7ZcEr5TyLm"), name="token")
app = Starlette(routes=[
    hooks.route("/webhooks"),
    Mount("/in", routes=[code.route("/github"), token.route("/{token}")]),
])
bare = Starlette()

@hooks.on_fulfilled
async def download(order) -> None:
    "Lade die Bilder herunter: \N{SNOWMAN}."

@code.on("push")
def build(event) -> None: ...

@token.fallback
def rest(event: Event) -> None: ...
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.joinpath("main.py").write_text(APP, encoding="utf-8")
    return tmp_path


LOUD = """
import logging, os, sys
print("hello")
os.write(1, b"by a descriptor\\n")
os.system("echo by a program")
logging.basicConfig(stream=sys.stdout, level="INFO")
"""


@pytest.mark.parametrize(
    "command",
    [
        ("schema", "main:app"),
        ("check", "main:app"),
        ("inbox", "ls", "main:hooks"),
        ("inbox", "stats", "main:hooks"),
        ("send", "http://127.0.0.1:9/", "--hooks", "main:hooks"),
    ],
)
def test_what_the_module_prints_is_no_part_of_the_json(folder: Path, command: tuple[str, ...]) -> None:
    kept(folder)
    folder.joinpath("main.py").write_text(f"{LOUD}{APP}", encoding="utf-8")
    done = run(*command, "--json", cwd=folder)
    assert [json.loads(line) for line in done.stdout.splitlines()]
    assert {"hello", "by a descriptor", "by a program"} <= {*done.stderr.splitlines()}


def test_what_the_module_prints_is_no_part_of_other_documents(folder: Path) -> None:
    id = kept(folder)
    folder.joinpath("main.py").write_text(f"{LOUD}{APP}", encoding="utf-8")
    assert json.loads(run("schema", "main:app", cwd=folder).stdout)["asyncapi"] == "3.0.0"
    assert run("inbox", "show", "main:hooks", id, "--raw", cwd=folder).stdout == "{}"
    exported = run("inbox", "export", "main:hooks", "-", "--all", cwd=folder).stdout
    assert [json.loads(line).get("id") for line in exported.splitlines()] == [None, id]


def kept(folder: Path) -> str:
    """Keep a delivery in the inbox of the receiver; return its id."""
    delivery = Delivery(new_id(time.time()), "up42", (), b"{}", time.time(), None, True)

    async def keep() -> None:
        inbox = await SQLiteInbox(folder / "hooks.db").open()
        await inbox.put(Entry(delivery, "order.status", b"key", None, None), time.time())
        await inbox.close()

    asyncio.run(keep())
    return delivery.id


def test_a_receiver_is_printed_as_asyncapi_and_nothing_is_opened(folder: Path) -> None:
    done = run("schema", "main:hooks", "--title", "Orders", "--api-version", "2.1", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert (document["asyncapi"], document["info"]) == ("3.0.0", {"title": "Orders", "version": "2.1"})
    assert document["channels"]["up42"]["address"] is None
    assert document["operations"]["main.download"]["summary"] == "Lade die Bilder herunter: ☃"
    assert not folder.joinpath("hooks.db").exists()
    (line,) = run(
        "schema", "main:hooks", "--title", "Orders", "--api-version", "2.1", "--json", cwd=folder
    ).stdout.splitlines()
    assert json.loads(line) == document


def test_a_document_is_json_where_the_output_cannot_encode_it(folder: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "latin-1:strict"}
    command = [*COMMAND, "schema", "main:hooks"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=60, check=True)
    summary = json.loads(done.stdout.decode("ascii"))["operations"]["main.download"]["summary"]
    assert summary == "Lade die Bilder herunter: ☃"


def test_the_receivers_of_an_app_have_their_paths(folder: Path) -> None:
    document = json.loads(run("schema", "main:app", cwd=folder).stdout)
    addresses = {name: each["address"] for name, each in document["channels"].items()}
    assert addresses == {"up42": "/webhooks", "github": "/in/github", "token": "/in/{token}"}
    assert document["channels"]["token"]["parameters"] == {"token": {"description": "The secret of the sender."}}


def test_an_app_is_printed_as_openapi_by_the_setting_app(folder: Path) -> None:
    environment = {**os.environ, "WEBHOOK_RECEIVER_APP": "main:app"}
    document = json.loads(run("schema", "--format", "openapi", cwd=folder, env=environment).stdout)
    assert (document["openapi"], {*document["webhooks"]}) == (
        "3.1.0",
        {"OrderFulfilled", "push", "OtherEvents", *OTHERS},
    )
    assert {*document["webhooks"]["push"]["post"]["responses"]} >= {"204", "500"}  # it has no inbox
    assert {*document["webhooks"]["OrderFulfilled"]["post"]["responses"]} >= {"202", "200"}


OTHERS = {"OrderProgress", "OrderFulfilled-2", "OrderFailedPermanently", "JobStatusChanged"}
"""What the fallback of the second receiver of UP42 gets."""


def test_what_is_no_receiver_is_a_mistake(folder: Path) -> None:
    for arguments, complaint in {
        ("main:bare",): "main:bare has no receiver among its routes",
        ("main:hooks", "--format", "raml"): "'raml' is not one of 'asyncapi', 'openapi'",
    }.items():
        done = run("schema", *arguments, cwd=folder)
        assert (done.returncode, complaint in " ".join(done.stderr.split())) == (2, True), done.stderr


def test_on_a_terminal_it_is_the_same_document(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    code, shown = on_a_terminal("schema", "main:hooks", columns=80)
    assert (code, json.loads(shown)["asyncapi"]) == (0, "3.0.0")
