"""`backfill`: on a real file, from a real API, also beside a server on the same file."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_commands import on_a_terminal
from tests.cli.test_inbox import records
from tests.commands import run
from tests.helpers import ROOT, SECRET, printed, running
from tests.orders import Simulator
from webhook_receiver import State

MODULE = f"""
from webhook_receiver import OrderStatusChanged, WebhookReceiver
hooks = WebhookReceiver(secret="{SECRET}", inbox="sqlite:///hooks.db?min_free=0")
bare = WebhookReceiver(secret="{SECRET}")
@hooks.on(OrderStatusChanged)
async def tell(order: OrderStatusChanged) -> None:
    print("told of", order.order_id, order.status, flush=True)
"""

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def backfill(tmp_path: Path, url: str) -> Command:
    """Return the command, in a directory with a receiver in it, with the right to ask the API."""
    tmp_path.joinpath("app.py").write_text(MODULE, encoding="utf-8")

    def backfill(*arguments: str, target: str = "app:hooks", **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "UP42_URL": url, "UP42_TOKEN": "t", **variables}
        return run("backfill", target, *arguments, cwd=tmp_path, env=environment)

    return backfill


def test_it_puts_what_is_missing_and_leaves_the_handlers_to_the_server(
    tmp_path: Path, sender: Simulator, backfill: Command
) -> None:
    now = time.time()
    sender.change("o-1", at=now)
    sender.change("o-2", "CANCELED", now - 3600)
    sender.change("o-old", at=now - 3 * 3600)
    sender.change("o-placed", "PLACED", now)
    done = backfill("--since", "2h")
    said = "2 orders: 2 put into the inbox, 0 were there already\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, said, "")
    found = records(tmp_path / "hooks.db").values()
    assert {(each.identity, each.via, each.state) for each in found} == {
        ("o-1 FULFILLED", "backfill", State.WAITING),
        ("o-2 CANCELED", "backfill", State.WAITING),
    }
    done = backfill("--since", "2h", "--json")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"seen": 2, "put": 0, "known": 2, "unfit": 0})


def test_it_works_beside_a_server_which_handles_what_is_put(
    tmp_path: Path, sender: Simulator, backfill: Command
) -> None:
    with running("webhook_receiver", "serve", "app:hooks", cwd=tmp_path) as (_, process):
        sender.change("o-1", at=time.time())
        assert backfill().returncode == 0
        printed(process, "told of o-1 FULFILLED")


def test_longer_ago_than_any_clock_can_tell_is_all_of_them(sender: Simulator, backfill: Command) -> None:
    sender.change("o-1", at=time.time())
    done = backfill("--since", "99999999999w")
    assert (done.returncode, done.stdout) == (0, "1 orders: 1 put into the inbox, 0 were there already\n")


def test_only_the_orders_of_the_workspace_where_one_is_named(sender: Simulator, backfill: Command) -> None:
    sender.change("o-1", at=time.time())
    assert "0 orders" in backfill("--workspace", "w-2").stdout
    assert "0 orders" in backfill(UP42_WORKSPACE_ID="w-2").stdout
    assert "1 orders" in backfill("--workspace", "w-1").stdout


def test_an_api_that_fails_ends_it_with_a_sentence_and_1(sender: Simulator, backfill: Command) -> None:
    for number in range(30):
        sender.change(f"o-{number}", at=time.time() - number)

    def fail(page: int) -> None:
        sender.failure = 403 if page else None

    sender.before_page = fail
    done = backfill("--json")
    assert (done.returncode, done.stdout) == (1, "")
    assert "403" in done.stderr
    assert "20 orders: 20 put into the inbox, 0 were there already until then" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_order_that_no_event_can_be_made_of_ends_it_with_1(
    tmp_path: Path, sender: Simulator, backfill: Command
) -> None:
    own = f'hooks = WebhookReceiver(sender=up42("{SECRET}", order_id_paths=["body.status"])'
    module = MODULE.replace(f'hooks = WebhookReceiver(secret="{SECRET}"', own)
    module = f"from webhook_receiver.senders.up42 import up42{module}"
    tmp_path.joinpath("app.py").write_text(module, encoding="utf-8")
    sender.change("o-1", at=time.time())
    done = backfill()
    assert done.returncode == 1
    assert "1 that no event could be made of" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "options", "code", "said"),
    [
        (["--since", "yesterday"], {}, 2, "neither a span of time such as 2h or 30d nor a date"),
        (["--since", "2100-01-01"], {}, 1, "is in the future"),
        ([], {"target": "sqlite:///hooks.db"}, 2, "a receiver is needed, as quickstart:hooks"),
        ([], {"target": "app:bare"}, 1, "app:bare has no inbox"),
        ([], {"UP42_TOKEN": ""}, 1, "no credentials: set UP42_USERNAME and UP42_PASSWORD, or UP42_TOKEN"),
        ([], {"UP42_URL": "http://api.example.org"}, 1, "must be https"),
    ],
)
def test_a_mistake_is_told_in_a_sentence(
    backfill: Command, arguments: list[str], options: dict[str, Any], code: int, said: str
) -> None:
    done = backfill(*arguments, **options)
    assert done.returncode == code
    assert said in " ".join(done.stderr.replace("│", " ").split())
    assert "Traceback" not in done.stderr


def test_on_a_terminal_it_shows_how_far_it_is(
    tmp_path: Path, sender: Simulator, url: str, backfill: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(40):
        sender.change(f"o-{number}", at=time.time())
    monkeypatch.chdir(tmp_path)
    for name, value in {"PYTHONPATH": str(ROOT), "UP42_URL": url, "UP42_TOKEN": "t"}.items():
        monkeypatch.setenv(name, value)
    code, shown = on_a_terminal("backfill", "app:hooks")
    assert code == 0
    assert "40/?" in shown
    assert "40 orders: 40 put into the inbox" in shown
