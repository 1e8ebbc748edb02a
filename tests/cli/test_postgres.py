"""The commands on a PostgreSQL inbox: its tables, a worker of its own, and moving there and back under traffic."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.faults.harness import HANDLERS, Sender, Server, assert_order, doubled, moment, runs
from tests.faults.harness import states as states_of_file
from tests.faults.test_postgres import begun, states
from tests.helpers import ROOT, printed
from tests.postgres import execute, migrated, postgres
from webhook_receiver.cli.commands import app
from webhook_receiver.inbox.postgres import PostgresInbox
from webhook_receiver.inbox.postgres.schema import MIGRATIONS
from webhook_receiver.testing.inbox_suite import put

MODULE = """
from webhook_receiver import Event, Unsigned, WebhookReceiver

hooks = WebhookReceiver(scheme=Unsigned(), inbox={url!r}, work=False)

@hooks.on(Event)
async def tell(event):
    print("handled", event.event, flush=True)
"""


KEEP = """
import asyncio, hooksapp

async def keep():
    async with hooksapp.hooks as hooks:
        await hooks.receive({}, b'{"event": "x"}')

asyncio.run(keep())
"""


def command(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["inbox", *arguments])


def test_the_tables_are_made_once(empty_database: str) -> None:
    done = command("migrate", empty_database, "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["steps"][-1] == f"inbox {len(MIGRATIONS)}"
    assert command("migrate", empty_database).stdout == "the tables are up to date\n"
    assert json.loads(command("stats", empty_database, "--json").stdout)["counts"]["waiting"] == 0


def test_check_reads_every_delivery_and_backup_is_for_files(postgres_url: str, tmp_path: Path) -> None:
    assert command("check", postgres_url).stdout == "0 deliveries checked, none damaged\n"
    done = command("backup", postgres_url, str(tmp_path / "copy.db"))
    assert (done.exit_code, "PostgreSQL has pg_dump" in done.stderr) == (1, True)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("change", ["delivery SET body = 'x'", "progress SET handlers = '[1]'"])
def test_check_says_of_what_is_damaged_that_the_database_was(postgres_url: str, change: str) -> None:
    async def fill() -> None:
        inbox = await PostgresInbox(postgres_url).open()
        await put(inbox, "d-1")
        await inbox.close()

    asyncio.run(fill())
    execute(postgres_url, f"UPDATE {change}")
    done = command("check", postgres_url)
    assert (done.exit_code, done.stdout) == (1, "1 delivery checked, 1 damaged\n")
    assert done.stderr.startswith("d-1 is damaged: what is kept of the ")
    assert done.stderr.endswith("the database was damaged\n")


def test_a_role_that_is_not_there_is_told_without_a_traceback(empty_database: str) -> None:
    done = command("migrate", empty_database, "--grant", "nobody")
    assert done.exit_code == 1
    assert done.stderr == 'the schema webhook_receiver cannot be made: role "nobody" does not exist\n'


def test_a_file_needs_no_migrating_and_has_no_roles(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/hooks.db"
    assert command("migrate", url).stdout == "the tables are up to date\n"
    done = command("migrate", url, "--grant", "app")
    assert (done.exit_code, done.stderr) == (1, "only an inbox on PostgreSQL has roles: leave out --grant\n")


@pytest.mark.parametrize("what", ["serve", "worker"])
def test_without_tables_the_command_that_makes_them_is_told(empty_database: str, tmp_path: Path, what: str) -> None:
    tmp_path.joinpath("hooksapp.py").write_text(MODULE.format(url=empty_database))
    done = started(tmp_path, what, "hooksapp:hooks")
    _, said = done.communicate(timeout=60)
    assert done.returncode == 1
    assert "run  webhook-receiver inbox migrate URL" in said


def test_a_worker_needs_an_inbox(tmp_path: Path) -> None:
    tmp_path.joinpath("hooksapp.py").write_text(MODULE.format(url=None).replace(", inbox=None, work=False", ""))
    done = started(tmp_path, "worker", "hooksapp:hooks")
    _, said = done.communicate(timeout=60)
    assert (done.returncode, said) == (1, "hooksapp:hooks has no inbox that another process can work on\n")


def test_a_worker_handles_what_is_kept_until_it_is_told_to_stop(postgres_url: str, tmp_path: Path) -> None:
    tmp_path.joinpath("hooksapp.py").write_text(MODULE.format(url=postgres_url))
    keep = tmp_path / "keep.py"
    keep.write_text(KEEP)
    subprocess.run([sys.executable, keep], cwd=tmp_path, env=environment(), check=True, timeout=60)
    worker = started(tmp_path, "worker", "hooksapp:hooks", "--concurrency", "2")
    assert "handles what is in <PostgresInbox" in printed(worker, "handled x")
    worker.send_signal(signal.SIGTERM)
    worker.communicate(timeout=60)
    assert worker.returncode == 0
    assert execute(postgres_url, "SELECT state FROM progress") == [("done",)]


def test_a_worker_says_once_that_the_server_is_away_and_that_it_is_back(tmp_path: Path) -> None:
    with postgres() as server:
        url = migrated(f"{server.address}/postgres")
        tmp_path.joinpath("hooksapp.py").write_text(MODULE.format(url=url))
        worker = started(tmp_path, "worker", "hooksapp:hooks", stderr=subprocess.STDOUT)
        printed(worker, "handles what is in")
        wait_until_begun(url)
        server.stop(signal.SIGQUIT)
        said = printed(worker, "cannot be reached")
        moment(1)
        server.start()
        said += printed(worker, "the inbox works again")
        worker.send_signal(signal.SIGTERM)
        said += worker.communicate(timeout=60)[0]
        assert worker.returncode == 0
    assert "pool" not in said
    assert "Traceback" not in said


def wait_until_begun(url: str) -> None:
    for _ in range(600):
        if begun(url):
            return
        moment(0.1)
    raise AssertionError("the worker does not begin")


def started(folder: Path, *arguments: str, stderr: int = subprocess.PIPE) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "webhook_receiver", *arguments],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


# Moving


@pytest.fixture
def server(tmp_path: Path) -> Generator[Server]:
    options: dict[str, Any] = {"worker": {"lease": 10.0, "poll": 0.1}}
    with Server(tmp_path, **options) as server:
        yield server


def test_an_inbox_moves_from_a_file_to_postgresql_under_traffic(server: Server, postgres_url: str) -> None:
    file = f"sqlite:///{server.inbox}?min_free=0"
    with Sender(server.port, orders=6, budget=100) as sender:
        server.wait_for(lambda: len(sender.acknowledged) >= 100, "the first hundred")
        sender.budget = 200
        move(server, sender, file, postgres_url, {"url": postgres_url})
    server.wait_for(lambda: "waiting" not in states(postgres_url), "the end of it all", 60)
    server.stop()
    assert_moved(server, sender)
    assert states(postgres_url) == {"done": len(sender.acknowledged)}


def test_an_inbox_moves_from_postgresql_to_a_file_under_traffic(server: Server, postgres_url: str) -> None:
    server.stop()
    server.change(url=postgres_url)
    server.start()
    file = f"sqlite:///{server.inbox}?min_free=0"
    with Sender(server.port, orders=6, budget=100) as sender:
        server.wait_for(lambda: len(sender.acknowledged) >= 100, "the first hundred")
        sender.budget = 200
        move(server, sender, postgres_url, file, {"url": None})
    server.wait_for(lambda: "waiting" not in states_of_file(server.inbox), "the end of it all", 60)
    server.stop()
    assert_moved(server, sender)
    assert states_of_file(server.inbox) == {"done": len(sender.acknowledged)}


def move(server: Server, sender: Sender, old: str, new: str, options: dict[str, Any]) -> None:
    """Move as the README says: keep in the new place, and work there only when it has what was in the old one."""
    server.stop()
    server.change(**options, work=False)
    server.start()
    server.wait_for(lambda: len(sender.acknowledged) >= 200, "what arrives meanwhile")
    file = server.folder / "moved.jsonl"
    for done in (command("export", old, str(file), "--all"), command("import", new, str(file))):
        assert done.exit_code == 0, done.stderr
    sender.budget = 300
    moment(0.1)
    server.stop()
    server.change(work=True)
    server.start()
    server.wait_for(lambda: len(sender.acknowledged) >= 300, "what arrives afterwards")


def assert_moved(server: Server, sender: Sender) -> None:
    found = runs(server.folder)
    assert sender.wrong == []
    for handler in HANDLERS:
        ended = {run[3:5] for run in found if (run.handler, run.what) == (handler, "end")}
        assert ended == set(sender.acknowledged)
    assert doubled(found) == []
    assert_order(found)
