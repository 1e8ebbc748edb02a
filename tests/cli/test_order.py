"""`order` and `faults`: the commands that drive the simulator."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route
from typer.testing import CliRunner, Result

from tests.cli.test_commands import on_a_terminal
from tests.helpers import serving
from tests.simulator.playing import Played, catching, playing
from tests.working import Clock
from webhook_receiver.cli.commands import app


@pytest.fixture
def played() -> Iterator[Played]:
    with playing(clock=Clock(), retry=()) as played:
        yield played


def invoke(*arguments: str) -> Result:
    """Run a command in this process: each of its own would take longer than all the rest."""
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "300"})


def tell(played: Played, *arguments: str) -> list[Any]:
    """Run a command with --json; return the documents that it prints."""
    done = invoke(*arguments, "--simulator", played.url, "--json")
    assert (done.exit_code, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_orders_are_created_and_listed(played: Played) -> None:
    new = ("--count", "2", "--name", "harbour", "--type", "TASKING", "--tag", "a", "--tag", "b")
    made = tell(played, "order", "create", *new)
    assert len(made) == 2
    assert {(each["displayName"], each["type"], each["status"]) for each in made} == {("harbour", "TASKING", "CREATED")}
    assert made[0]["tags"] == ["a", "b"]
    assert tell(played, "order", "ls") == made[::-1]
    assert tell(played, "order", "ls", "--status", "PLACED") == []
    assert tell(played, "order", "ls", "--limit", "1") == [made[1]]
    (placed,) = tell(played, "order", "create", "--status", "PLACED")
    assert placed["status"] == "PLACED"
    assert tell(played, "order", "ls", "--status", "PLACED") == [placed]


def test_orders_are_fulfilled_fail_and_walk(played: Played) -> None:
    with catching() as (catcher, url):
        played.webhook(url)
        one, two, three = (each["id"] for each in played.create(count=3))
        assert tell(played, "order", "fulfill", one)[0]["status"] == "FULFILLED"
        assert catcher.next().order_id == one
        assert tell(played, "order", "fail", two)[0]["status"] == "FAILED_PERMANENTLY"
        assert catcher.next().order_id == two
        walk = invoke("order", "walk", three, "--pace", "2m", "--simulator", played.url)
        statuses = "BEING_PLACED, PLACED, BEING_FULFILLED, DOWNLOADED, FULFILLED"
        assert walk.stdout == f"{three} becomes {statuses}: one every 120 s\n"
        assert catcher.next().order_id == three
        assert played.waits == [120] * 5
        (told,) = tell(played, "order", "walk", played.create()[0]["id"], "--to", "PLACED", "--pace", "0s")
        assert told["way"] == ["BEING_PLACED", "PLACED"]


def test_deliveries_are_listed_and_replayed(played: Played) -> None:
    with catching(500) as (catcher, url):
        played.webhook(url)
        (order,) = played.create(status="FULFILLED")
        (failed,) = played.ended()
        listed = invoke("order", "deliveries", "--simulator", played.url).stdout
        assert listed == f"{failed.id}\torder.status\t{order['id']}\tfailed\t500\n"
        replayed = invoke("order", "replay", failed.id, "--simulator", played.url)
        assert replayed.stdout.startswith("delivered again as ")
        played.ended()
        assert catcher.next().body == catcher.next().body
        again, first = tell(played, "order", "deliveries", order["id"])
        assert (again["ended"], first["ended"]) == ("delivered", "failed")
        assert first["attempts"][0]["headers"]
        assert tell(played, "order", "deliveries", "another") == []


def test_faults_are_set_shown_and_ended(played: Played) -> None:
    at = ("--simulator", played.url)
    assert invoke("faults", *at).stdout == "none\n"
    done = invoke("faults", "--copies", "2", "--forged", "--rotate-after", "3", "--rotate-to", "hush", *at)
    assert done.stdout == "copies 2, forged True, rotateAfter 3, rotateTo ***\n"
    assert (played.simulator.faults.copies, played.simulator.faults.forged) == (2, True)
    assert tell(played, "faults")[0]["copies"] == 2
    assert invoke("faults", "--none", *at).stdout == "none\n"
    assert played.simulator.faults.copies == 1


def test_orders_are_a_table_on_a_terminal(played: Played) -> None:
    played.create(displayName="\x1b[2Jharbour")
    code, shown = on_a_terminal("order", "ls", "--simulator", played.url)
    assert code == 0
    assert "status" in shown
    assert "\x1b[2J" not in shown
    assert "harbour" in shown


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        ("order fulfill x", 1, "there is no order 'x'"),
        ("order fulfill ?x", 1, "there is no order '?x'"),
        ("order fulfill ..", 2, "'..' is not an id"),
        ("order create --status FUFILLED", 2, "'FUFILLED' is none of CREATED,"),
        ("order ls --status NONE", 2, "'NONE' is none of CREATED,"),
        ("order walk x --to NOWHERE", 2, "'NOWHERE' is none of CREATED,"),
        ("order walk x --pace slowly", 2, "'slowly' is not a span of time"),
        ("order create --type OTHER", 1, "type: Input should be 'ARCHIVE' or 'TASKING'"),
        ("faults --lose 3", 1, "lose: Input should be less than or equal to 1"),
        ("faults --none --copies 2", 2, "it cannot be combined with other options"),
        ("order replay x", 1, "there is no delivery 'x'"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_sentence(played: Played, arguments: str, code: int, complaint: str) -> None:
    check(invoke(*arguments.split(), "--simulator", played.url), code, complaint)


def test_where_no_simulator_is_that_is_said() -> None:
    check(
        invoke("order", "ls", "--simulator", "http://127.0.0.1:9"), 1, "no simulator responds at http://127.0.0.1:9 ("
    )
    check(invoke("order", "ls", "--simulator", "nonsense"), 1, "no simulator responds at nonsense (")


@pytest.mark.parametrize("answer", [PlainTextResponse("hello"), JSONResponse(["x"], 404), JSONResponse({}, 500)])
def test_what_is_no_simulator_is_told_so(answer: Any) -> None:
    with serving(Starlette(routes=[Route("/{path:path}", lambda request: answer)])) as url:
        check(invoke("order", "ls", "--simulator", url), 1, "simulator")


def check(done: Result, code: int, complaint: str) -> None:
    assert (done.exit_code, done.stdout) == (code, "")
    assert complaint in " ".join(done.stderr.replace("│", " ").split())
    assert "Traceback" not in done.stderr
