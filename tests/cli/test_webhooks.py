"""The commands of the webhooks, against a real server: what they send, what they print, and how they end."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import stat
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.api import AT, PASSWORD, WEBHOOK, Api, data, failed
from tests.cli.test_commands import on_a_terminal
from tests.cli.test_inbox import answering
from tests.commands import COMMAND
from tests.helpers import serving
from webhook_receiver.cli.commands import app

WEBHOOKS = "/workspaces/w-1/webhooks"
ONE = f"{WEBHOOKS}/wh-1"
SECRET = str(WEBHOOK["secret"])
URL = "https://example.com/webhooks"
CREATE, ENSURE = (("create", "--name", "images", "--url", URL), ("ensure", "--name", "images", "--url", URL))


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Generator[Api]:
    """An API with one webhook, named by the environment."""
    api = Api()
    api.on("GET", WEBHOOKS, data([WEBHOOK]))
    api.on("POST", WEBHOOKS, lambda got: data(WEBHOOK | got.json))
    api.on("GET", ONE, data(WEBHOOK))
    api.on("PUT", ONE, lambda got: data(WEBHOOK | got.json))
    api.on("DELETE", ONE, data(None))
    with serving(api.app) as url:
        for name, value in {"URL": url, "USERNAME": "me", "PASSWORD": PASSWORD}.items():
            monkeypatch.setenv(f"UP42_{name}", value)
        yield api


def command(*arguments: str, **options: Any) -> Result:
    return CliRunner().invoke(app, ["webhooks", *arguments], **options)


def made(api: Api) -> dict[str, Any]:
    """Return what was sent to make or replace a webhook."""
    (got,) = (got for got in api.got if (got.method, got.path) in (("POST", WEBHOOKS), ("PUT", ONE)))
    document: dict[str, Any] = got.json
    return document


def test_events_are_listed(api: Api) -> None:
    event = {"name": "order.status", "category": "order", "description": "An order\x1b[31m changed"}
    api.on("GET", "/webhooks/events", data([event]))
    listed = command("events")
    assert (listed.exit_code, listed.stdout) == (0, "order.status\torder\tAn order\\x1b[31m changed\n")
    assert json.loads(command("events", "--json").stdout)["name"] == "order.status"


def test_webhooks_are_listed_without_their_secrets(api: Api) -> None:
    listed = command("ls")
    assert (listed.exit_code, listed.stdout) == (0, f"wh-1\timages\t{URL}\torder.status\tactive\tsigned\n")
    assert json.loads(command("ls", "--json").stdout) == WEBHOOK | {"secret": "**********"}
    assert json.loads(command("ls", "--json", "--show-secret").stdout) == WEBHOOK
    assert SECRET in command("ls", "--show-secret").stdout


def test_a_webhook_is_shown_with_what_is_not_known_of_it(api: Api) -> None:
    api.on("GET", ONE, data(WEBHOOK | {"retryPolicy": {"tries": 3}, "odd\x1b": "a\nb"}))
    shown = command("show", "wh-1")
    assert shown.stdout.splitlines()[:6] == [
        "id\twh-1",
        "name\timages",
        f"url\t{URL}",
        "events\torder.status",
        "active\ttrue",
        "secret\t**********",
    ]
    assert 'retryPolicy\t{"tries": 3}' in shown.stdout
    assert "odd\\x1b\ta\\nb" in shown.stdout
    assert f"secret\t{SECRET}" in command("show", "wh-1", "--show-secret").stdout
    api.on("GET", ONE, data(WEBHOOK | {"secret": None}))
    assert "secret\tnone: its deliveries are unsigned" in command("show", "wh-1").stdout


def test_a_webhook_is_created_with_the_secret_that_receivers_have(api: Api, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("in the file\n", encoding="utf-8")
    created = command(*CREATE, env={"WEBHOOK_SECRET": "in the environment"})
    assert created.exit_code == 0
    assert created.stdout.startswith("created\nid\twh-1\n")
    assert "in the environment" not in created.output
    assert made(api) == {
        "name": "images",
        "url": URL,
        "events": ["order.status"],
        "secret": "in the environment",
        "active": True,
    }
    api.got.clear()
    options = ("--secret-file", str(file), "--event", "a", "--event", "b", "--inactive", "--json")
    created = command(*CREATE, *options, env={"WEBHOOK_SECRET": "in the environment"})
    assert json.loads(created.stdout)["secret"] == "**********"
    assert made(api) | {"name": ""} == {
        "name": "",
        "url": URL,
        "events": ["a", "b"],
        "secret": "in the file",
        "active": False,
    }


def test_a_generated_secret_is_kept_in_a_file_or_printed_on_demand(api: Api, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    created = command(*CREATE, "--generate-secret", "--secret-file", str(file))
    assert created.exit_code == 0
    secret = file.read_text(encoding="utf-8").rstrip("\n")
    assert len(secret) == 43
    assert made(api)["secret"] == secret
    assert secret not in created.output
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    api.got.clear()
    printed = command(*CREATE, "--generate-secret", "--show-secret", "--json")
    other = json.loads(printed.stdout)["secret"]
    assert made(api)["secret"] == other
    assert other != secret


def test_a_generated_secret_overwrites_none_and_is_not_lost_when_the_api_rejects(api: Api, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    generate = (*CREATE, "--generate-secret", "--secret-file", str(file))
    api.on("POST", WEBHOOKS, failed(500, "not now"))
    rejected = command(*generate)
    assert rejected.exit_code == 1
    assert f"the new secret is in {file}: try again without --generate-secret" in rejected.stderr
    assert "500 Internal Server Error: not now" in rejected.stderr
    before = file.read_bytes()
    again = command(*generate, env={"COLUMNS": "300"})
    assert again.exit_code == 2
    assert "is there already, and may be in use" in " ".join(again.stderr.split())
    assert file.read_bytes() == before
    assert command(*generate[:-1], "/not/there/secret").exit_code == 2


def test_no_secret_is_made_where_nobody_may_ask(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    rejected = command(*CREATE, "--generate-secret", "--secret-file", str(file))
    assert (rejected.exit_code, rejected.stdout) == (1, "")
    assert rejected.stderr == "no credentials: set UP42_USERNAME and UP42_PASSWORD, or UP42_TOKEN\n"
    assert not file.exists()


def test_an_update_changes_what_is_named_and_not_the_secret_by_chance(api: Api) -> None:
    options = ("--name", "pictures", "--url", "https://moved.example.com/", "--inactive")
    updated = command("update", "wh-1", *options, env={"WEBHOOK_SECRET": "for something else"})
    assert updated.exit_code == 0
    assert updated.stdout.startswith("updated\nid\twh-1\nname\tpictures\n")
    assert made(api) == {
        "name": "pictures",
        "url": "https://moved.example.com/",
        "events": ["order.status"],
        "secret": SECRET,
        "active": False,
    }
    api.got.clear()
    command("update", "wh-1", "--secret", "new", "--event", "a", "--active")
    assert made(api) | {"name": "", "url": ""} == {
        "name": "",
        "url": "",
        "events": ["a"],
        "secret": "new",
        "active": True,
    }


def test_ensure_tells_what_was_done(api: Api) -> None:
    assert command(*ENSURE).stdout.startswith("unchanged\nid\twh-1\n")
    updated = command(*ENSURE, "--event", "a", "--json", env={"WEBHOOK_SECRET": "another"})
    assert json.loads(updated.stdout)["done"] == "updated"
    assert json.loads(updated.stdout)["webhook"]["secret"] == "**********"
    assert (made(api)["events"], made(api)["secret"]) == (["a"], "another")
    api.got.clear()
    assert command("ensure", "--name", "new", "--url", URL, "--inactive").stdout.startswith("created\n")
    assert made(api)["active"] is False


def test_a_webhook_is_removed_when_that_is_said(api: Api) -> None:
    rejected = command("rm", "wh-1", env={"COLUMNS": "300"})
    assert rejected.exit_code == 2
    assert f"Remove images, which delivers to {URL}? Nobody is here to be asked: give --yes" in " ".join(
        rejected.stderr.split()
    )
    assert ("DELETE", ONE) not in api.called
    assert command("rm", "wh-1", "--yes").stdout == "images is removed\n"
    assert json.loads(command("rm", "wh-1", "--yes", "--json").stdout) == {"removed": "wh-1"}
    assert api.called.count(("DELETE", ONE)) == 2


@pytest.mark.parametrize(("answer", "code", "removed"), [("y", 0, 1), ("n", 1, 0)])
def test_a_person_is_asked_before_a_webhook_is_removed(api: Api, answer: str, code: int, removed: int) -> None:
    ended, shown = answering(answer, "rm", "wh-1", group="webhooks")
    assert "Remove images" in shown
    assert (ended, api.called.count(("DELETE", ONE))) == (code, removed)


def test_ctrl_c_ends_the_question_at_once(api: Api) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen([*COMMAND, "webhooks", "rm", "wh-1"], stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    try:
        shown = b""
        while b"[y/N]: " not in shown:  # the space is printed by what reads the answer
            shown += os.read(ours, 65536)
        stat = Path(f"/proc/{process.pid}/stat")
        while stat.read_text(encoding="ascii").rpartition(")")[2].split()[0] != "S":
            pass  # just before it waits, Python itself overlooks a signal
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 1
    finally:
        process.kill()
        process.wait(30)
        os.close(ours)
    assert ("DELETE", ONE) not in api.called


def outcome(api: Api, run: int, succeeded: int, *tests: dict[str, Any]) -> None:
    summary = {"startedAt": AT, "testsRun": run, "testsSucceeded": succeeded, "tests": list(tests)}
    api.on("POST", f"{ONE}/tests", data(summary))


def test_a_test_shows_which_failed_and_why(api: Api) -> None:
    good = {"event": "order.status", "succeeded": True, "status": 202}
    bad = {"event": "job.status", "succeeded": False, "error": "rejected\x1b"}
    outcome(api, 2, 1, good, bad)
    tested = command("test", "wh-1")
    assert tested.exit_code == 1
    assert tested.stdout.splitlines() == [
        "order.status\tok\t202\t",
        "job.status\tfailed\tno response\trejected\\x1b",
        "1 of 2 succeeded",
    ]
    told = command("test", "wh-1", "--json")
    assert (told.exit_code, json.loads(told.stdout)["testsFailed"]) == (1, 1)


@pytest.mark.parametrize(
    ("run", "succeeded", "code", "advice"),
    [(1, 1, 0, ""), (1, 0, 1, "the sender does not say why"), (0, 0, 1, "none was run: has it events")],
)
def test_a_test_ends_well_only_if_all_went_well(api: Api, run: int, succeeded: int, code: int, advice: str) -> None:
    outcome(api, run, succeeded)
    tested = command("test", "wh-1", "--event", "order.status")
    assert tested.exit_code == code
    assert advice in tested.stdout
    assert tested.stdout.startswith(f"{succeeded} of {run} succeeded\n")
    assert api.at(f"{ONE}/tests")[0].query == [("event", "order.status")]


def test_a_person_sees_a_table(api: Api) -> None:
    code, shown = on_a_terminal("webhooks", "ls")
    assert code == 0
    assert f"wh-1  images  {URL}  order.status  active  signed" in shown
    assert SECRET not in shown


@pytest.mark.parametrize("events", [["a.b,c.d"], ["a.b", "c.d"], ["a.b, c.d"]])
@pytest.mark.parametrize("what", [["update", "wh-1"], CREATE])
def test_events_are_separated_by_commas_or_options(api: Api, what: list[str], events: list[str]) -> None:
    done = command(*what, *(part for each in events for part in ("--events", each)))
    assert done.exit_code == 0, done.output
    assert made(api)["events"] == ["a.b", "c.d"]


def test_on_a_narrow_terminal_a_webhook_has_a_block_in_which_nothing_is_cut(api: Api) -> None:
    url = "https://hooks.example.com/a/path/of/some/length/webhooks"
    api.on("GET", WEBHOOKS, data([WEBHOOK | {"url": url, "events": ["order.status", "job.status"]}] * 2))
    code, shown = on_a_terminal("webhooks", "ls", columns=80)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()
    block = ["wh-1", "  name    images", f"  url     {url}", "  events  order.status, job.status"]
    assert (code, lines) == (0, [*block, "  active  active", "  secret  signed"] * 2)


LONG = "11111111-aaaa-bbbb-cccc-222222222222"


@pytest.mark.parametrize("name", [LONG, "11111111-a", "images of the sea"])
@pytest.mark.parametrize("what", [["show"], ["test"], ["update", "--inactive"], ["rm", "--yes"]])
def test_a_webhook_is_named_by_its_id_the_beginning_of_it_or_its_name(api: Api, name: str, what: list[str]) -> None:
    one = f"{WEBHOOKS}/{LONG}"
    webhook = WEBHOOK | {"id": LONG, "name": "images of the sea"}
    api.on("GET", WEBHOOKS, data([WEBHOOK, webhook, WEBHOOK | {"id": "images of"}]))
    api.on("GET", one, data(webhook))
    api.on("PUT", one, data(webhook))
    api.on("DELETE", one, data(None))
    api.on("POST", f"{one}/tests", data({"startedAt": AT, "testsRun": 1, "testsSucceeded": 1, "tests": []}))
    done = command(what[0], name, *what[1:])
    assert done.exit_code == 0, done.output
    assert {path for _, path in api.called} <= {WEBHOOKS, one, f"{one}/tests"}


@pytest.mark.parametrize("name", ["twins", "wh-"])
def test_a_name_of_several_webhooks_is_rejected_with_their_ids(api: Api, name: str) -> None:
    twins = [WEBHOOK | {"id": id, "name": "twins"} for id in ("wh-1", "wh-2")]
    api.on("GET", WEBHOOKS, data(twins))
    rejected = command("rm", name, "--yes", env={"COLUMNS": "300"})
    assert (rejected.exit_code, api.called) == (2, [("GET", WEBHOOKS)])
    assert f"{name!r} names several webhooks: wh-1 (twins), wh-2 (twins)" in " ".join(rejected.stderr.split())


def test_the_options_say_where_the_api_is(api: Api) -> None:
    url = os.environ["UP42_URL"]
    api.on("GET", "/workspaces/w-9/webhooks", data([WEBHOOK]))
    elsewhere = {"UP42_URL": "http://127.0.0.1:9", "UP42_REGION": "sa"}
    listed = command("ls", "--api", url, "--workspace", "w-9", env=elsewhere | {"UP42_URL": None})
    assert listed.exit_code == 0
    assert api.called == [("GET", "/workspaces/w-9/webhooks")]
    rejected = command("ls", "--api", url, "--region", "eu")
    assert (rejected.exit_code, rejected.stderr) == (1, "UP42_URL is in place of UP42_REGION: give one or the other\n")
    assert command("ls", "--region", "us").exit_code == 2


def test_what_the_api_says_is_printed_so_that_no_terminal_is_moved(api: Api) -> None:
    api.on("GET", ONE, failed(404, "no \x1b[2J such webhook"))
    rejected = command("show", "wh-1")
    assert (rejected.exit_code, rejected.stdout) == (1, "")
    assert rejected.stderr.startswith(f"GET {ONE}: 404 Not Found: no \\x1b[2J such webhook; check the id")
    assert PASSWORD not in rejected.output


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (["create", "--name", "a", "--url", "http://example.com/"], 1, "has to be https"),
        ([*CREATE, "--secret", ""], 2, "a secret must not be empty"),
        (
            [*CREATE, "--secret-file", "/not/there"],
            2,
            "cannot read a secret from /not/there",
        ),
        (
            [*CREATE, "--secret", "a", "--secret-file", "b"],
            2,
            "give --secret or --secret-file, not both",
        ),
        ([*CREATE, "--generate-secret"], 2, "say where you will find it"),
        (
            [*CREATE, "--generate-secret", "--secret", "a"],
            2,
            "give --secret or --generate-secret",
        ),
        (["update", "wh-1"], 2, "say what changes"),
        (["show", ".."], 1, "'..' is not an id"),
    ],
)
def test_what_makes_no_sense_is_rejected(api: Api, arguments: list[str], code: int, complaint: str) -> None:
    rejected = command(*arguments, env={"COLUMNS": "300"})
    assert (rejected.exit_code, rejected.stdout) == (code, "")
    assert complaint in " ".join(rejected.stderr.split())
    assert [method for method, _ in api.called if method != "GET"] == []
