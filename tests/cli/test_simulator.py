"""`simulator`: what it says and shows, that it delivers, and that its state outlives a kill."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.test_order import check, invoke
from tests.commands import COMMAND
from tests.helpers import ROOT, SECRET, printed
from tests.simulator.playing import Real, catching, receiving, token
from webhook_receiver.senders.up42.models import USER_INFO
from webhook_receiver.simulator.providers.simulator import PROVIDERS


@contextmanager
def started(directory: Path, *options: str) -> Generator[tuple[str, str, subprocess.Popen[str]]]:
    """Start a simulator on a free port; yield its address, what it said first, and its process."""
    process = subprocess.Popen(
        [*COMMAND, "simulator", "--port", "0", *options],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        as_json = "--json" in options
        said = printed(process, "url" if as_json else "order create" if "--as" in options else "UP42_PASSWORD")
        found = re.search(r"UP42_URL=(\S+)|--simulator (\S+)", said)
        url = json.loads(said)["url"] if as_json or found is None else found[1] or found[2]
        yield url, said, process
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)


def test_it_says_where_it_is_delivers_and_ends_with_0_on_ctrl_c(tmp_path: Path) -> None:
    real = Real()
    with receiving(real) as hook, started(tmp_path, "--webhook", hook, "--secret", SECRET) as (url, said, process):
        assert f"delivers order.status, signed, to {hook}\n" in said
        assert f"export UP42_URL={url}\nexport UP42_USERNAME=anybody\nexport UP42_PASSWORD=anything\n" in said
        assert invoke("order", "create", "--status", "FULFILLED", "--simulator", url).exit_code == 0
        assert real.next().status == 204
        line = printed(process, "order.status")
        assert f" to {hook}: 204 in " in line
        assert "ms, attempt 1\n" in line
        assert "\x1b" not in line
    assert process.returncode == 0


@pytest.mark.parametrize("ended", [signal.SIGTERM, signal.SIGINT])
def test_its_state_is_one_file_once_it_has_ended(tmp_path: Path, ended: signal.Signals) -> None:
    with started(tmp_path, "--state", "state.json", "--webhook", "http://127.0.0.1:9/x") as (_, _, process):
        process.send_signal(ended)
        assert process.wait(30) in (0, -ended)
    assert [each.name for each in tmp_path.iterdir()] == ["state.json"]
    with started(tmp_path, "--state", "state.json") as (_, said, _):
        assert "to http://127.0.0.1:9/x" in said


def test_each_failed_attempt_is_shown_with_what_is_next(tmp_path: Path) -> None:
    with (
        catching(500, 500) as (_, hook),
        started(tmp_path, "--webhook", hook, "--retry", "0.1s") as (url, said, process),
    ):
        assert f"delivers order.status, unsigned, to {hook}\n" in said
        invoke("order", "create", "--status", "FULFILLED", "--simulator", url)
        assert "500 in " in printed(process, "attempt 1, again in 0 s\n")
        assert "500 in " in printed(process, "attempt 2, failed\n")


def test_for_programs_it_prints_json_without_bodies_and_signatures(tmp_path: Path) -> None:
    with (
        catching() as (_, hook),
        started(tmp_path, "--json", "--webhook", hook, "--secret", SECRET) as (url, said, process),
    ):
        assert json.loads(said) == {
            "url": url,
            "workspaceId": "00000000-0000-4000-8000-000000000042",
            "webhooks": 1,
        }
        made = invoke("order", "create", "--status", "FULFILLED", "--simulator", url, "--json")
        document: dict[str, Any] = json.loads(printed(process, "{"))
        assert document["orderId"] == json.loads(made.stdout)["id"]
        assert (document["status"], document["attempt"], document["ended"]) == (204, 1, "delivered")
        assert {"body", "headers", "attempts"}.isdisjoint(document)


def test_what_it_keeps_in_a_file_outlives_a_kill(tmp_path: Path) -> None:
    options = ("--state", "simulator.db", "--retry", "0.1s,0.1s")
    with started(tmp_path, *options, "--webhook", "http://127.0.0.1:9/", "--secret", SECRET) as (url, _, process):
        made = invoke("order", "create", "--count", "3", "--simulator", url)
        order_id = made.stdout.split("\t")[0]
        process.kill()
        process.wait(timeout=30)
    real = Real()
    with receiving(real) as hook, started(tmp_path, *options, "--webhook", hook, "--secret", SECRET) as (url, said, _):
        assert said.count("delivers order.status, signed, to ") == 2  # the one of before, and this one
        assert len(invoke("order", "ls", "--simulator", url).stdout.splitlines()) == 3
        invoke("order", "fulfill", order_id, "--simulator", url)
        assert real.next().order_id == order_id


def test_the_webhook_of_the_command_line_is_not_doubled_but_brought_up_to_date(tmp_path: Path) -> None:
    options = ("--state", "simulator.db", "--webhook", "http://127.0.0.1:9/webhooks")
    for secret in ((), ("--secret", SECRET)):
        with started(tmp_path, *options, *secret) as (_, said, _):
            assert said.count("delivers ") == 1
            assert (", signed, " in said) is bool(secret)


def test_only_the_user_gets_a_token_and_the_password_is_not_shown(tmp_path: Path) -> None:
    options = ("--user", "me@example.com", "--password", "hush-hush", "--expires-in", "90s")
    with started(tmp_path, *options) as (url, said, _), httpx.Client(base_url=url, trust_env=False) as client:
        assert "UP42_USERNAME=me@example.com" in said
        assert "hush-hush" not in said
        assert token(client).status_code == 401
        given = token(client, username="me@example.com", password="hush-hush").json()
        assert given["expires_in"] == 90
        told = client.get(USER_INFO, headers={"authorization": f"Bearer {given['access_token']}"})
        assert told.json()["email"] == "me@example.com"


@pytest.mark.parametrize(
    ("options", "code", "complaint"),
    [
        (["--retry", "soon"], 2, "'soon' is not a span of time"),
        (["--timeout", "0"], 1, "the simulator's timeout is above 0 seconds"),
        (["--webhook", "http://example.com/"], 2, "it begins with https://, or with http:// and a loopback address"),
        (["--webhook", "nonsense"], 2, "is not of the form http://host/path"),
        (["--webhook", "https://example.com/", "--secret", ""], 2, "a secret must not be empty"),
        (["--secret-file", "nothing", "--webhook", "https://example.com/"], 2, "cannot read a secret from nothing"),
        (["--state", "no/simulator.db"], 1, "cannot keep the simulator's state in no/simulator.db: No such file"),
        (["--state", "text"], 1, "text is not a simulator's state, or is damaged: name another file"),
        ([], 2, "cannot listen on 203.0.113.1:0"),
        (["--port", "99999"], 2, "--port"),
    ],
)
def test_what_cannot_be_is_told_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], code: int, complaint: str
) -> None:
    tmp_path.joinpath("text").write_text("no database" * 99, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    nowhere = ("--port", "0", "--host", "203.0.113.1")  # an address that is for examples, so nothing is ever served
    check(invoke("simulator", *nowhere, *options), code, complaint)


def test_it_plays_a_provider_whose_orders_advance_by_themselves(tmp_path: Path) -> None:
    with (
        catching(200) as (catcher, hook),
        started(tmp_path, "--as", "skyfi", "--webhook", hook.replace("://", "://me:hush@"), "--pace", "never") as (
            url,
            said,
            process,
        ),
    ):
        assert f"the simulator of skyfi is at {url}, its key is key-0123456789\n" in said
        assert f"orders that name no URL are told to {hook}\n" in said
        made = invoke("order", "create", "--simulator", url).stdout
        order_id = made.split("\t")[0]
        assert catcher.next().document["orderInfo"]["id"] == order_id
        assert f"skyfi CREATED {order_id} to {hook}: 200 in " in printed(process, "attempt 1")
        invoke("order", "fulfill", order_id, "--simulator", url)
        assert catcher.next().document["event"]["status"] == "PROCESSING_COMPLETE"
        assert ": 204 in " in printed(process, "attempt 1, again in 1 s")
        assert "PROCESSING_COMPLETE" in invoke("order", "ls", "--simulator", url).stdout
        assert "hush" not in said


@pytest.mark.parametrize(("provider", "key"), [("planet", "key-0123456789"), ("copernicus", "key-0123456789")])
def test_a_provider_is_told_to_programs_as_json(tmp_path: Path, provider: str, key: str) -> None:
    with started(tmp_path, "--json", "--as", provider) as (url, said, _):
        assert json.loads(said) == {"url": url, "provider": provider, "key": key}


def test_all_providers_that_can_be_played_are_offered() -> None:
    told = invoke("simulator", "--help").output
    assert "|".join(["up42", *PROVIDERS]) in told


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--as", "maxar"], "'maxar' is not one of 'up42', 'copernicus', 'ogc', 'planet', 'skyfi'"),
        (["--as", "skyfi", "--state", "x.db"], "only the simulator of UP42 has it"),
        (["--as", "skyfi", "--every-status"], "only the simulator of UP42 has it"),
        (["--as", "ogc", "--secret", "s"], "it signs nothing: the URL is the proof"),
        (["--as", "planet", "--pace", "soon"], "'soon' is not a span of time"),
        (["--pace", "1s"], "UP42's orders advance by"),
    ],
)
def test_options_that_a_provider_has_no_use_for_are_refused(options: list[str], complaint: str) -> None:
    check(invoke("simulator", "--port", "0", "--host", "203.0.113.1", *options), 2, complaint)
