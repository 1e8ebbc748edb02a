"""`check`, by the real command on real app files: everything that it is there to find, and what it leaves alone."""

from __future__ import annotations

import json
import lzma
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import closing
from email.utils import formatdate
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.cli.test_commands import on_a_terminal
from tests.commands import COMMAND, run
from tests.helpers import ROOT, SECRET, serving
from tests.postgres import execute, load_version_2
from webhook_receiver.cli.hosting import of_host

OLD = ROOT / "tests" / "inbox" / "old"

GOOD = """
from starlette.applications import Starlette
from webhook_receiver import Event, OrderFulfilled, Secret, WebhookReceiver

hooks = WebhookReceiver(secret=Secret("KbsDE5kGZoDiPCFd"), inbox="sqlite:///hooks.db")
app = Starlette(lifespan=hooks.lifespan, routes=[hooks.route("/webhooks")])

@hooks.on_fulfilled
async def download(order: OrderFulfilled) -> None:
    raise AssertionError("check runs no handler")

@hooks.fallback
async def rest(event: Event) -> None: ...
"""


def checked(folder: Path, source: str, *options: str, target: str = "main:hooks", **environment: str) -> list[str]:
    """Write an app, check it, and return the levels and names of what was found."""
    return [
        f"{each['level']} {each['check']}" for each in findings(folder, source, *options, target=target, **environment)
    ]


def findings(
    folder: Path, source: str, *options: str, target: str = "main:hooks", **environment: str
) -> list[dict[str, Any]]:
    """Write an app, check it, and return what was found, after a look at the exit code."""
    # Python takes what it has compiled for a file of the same size and second.
    shutil.rmtree(folder / "__pycache__", ignore_errors=True)
    folder.joinpath("main.py").write_text(source, encoding="utf-8")
    done = run("check", target, "--json", *options, cwd=folder, env={**os.environ, **environment})
    found = [json.loads(line) for line in done.stdout.splitlines()]
    levels = {each["level"] for each in found}
    assert done.returncode == (1 if "error" in levels else 4 if levels else 0), done.stderr
    assert all(each.keys() == {"level", "where", "check", "message"} for each in found)
    return found


def errors(folder: Path, source: str) -> list[dict[str, Any]]:
    """Return the errors in an app: of the suite's server, whose fsync is off, there are warnings."""
    return [each for each in findings(folder, source) if each["level"] == "error"]


def said(found: Sequence[dict[str, Any]]) -> str:
    return "\n".join(each["message"] for each in found)


@pytest.mark.parametrize("target", ["main:hooks", "main:app", "main"])
def test_nothing_is_found_where_nothing_is_wrong_and_nothing_is_left_behind(tmp_path: Path, target: str) -> None:
    assert findings(tmp_path, GOOD, target=target) == []
    assert sorted(each.name for each in tmp_path.iterdir() if each.name != "__pycache__") == ["main.py"]


def test_what_is_stored_is_neither_handled_nor_changed(tmp_path: Path) -> None:
    stored(tmp_path, 0)
    before = run("inbox", "ls", "hooks.db", "--json", cwd=tmp_path).stdout
    assert json.loads(before)["state"] == "waiting"
    assert findings(tmp_path, GOOD) == []
    assert run("inbox", "ls", "hooks.db", "--json", cwd=tmp_path).stdout == before
    assert not tmp_path.joinpath("hooks.db-wal").exists()


HANDLERS = {
    "": ["warning no-handler"],
    "@hooks.on_fulfilled\ndef download(order): ...": ["warning no-fallback"],
    "@hooks.on(Event)\ndef every(event): ...": [],
    "@hooks.on(Event)\ndef every(event): ...\n@hooks.fallback\ndef rest(event): ...": ["warning shadowed"],
    "@hooks.on(Event, where=bool)\ndef some(event): ...\n@hooks.fallback\ndef rest(event): ...": [],
    "@hooks.on(ImageryPartlyReady)\ndef part(event): ...\n@hooks.fallback\ndef rest(event): ...": ["warning shadowed"],
    "@hooks.on(ImageryReady)\ndef ready(event): ...\n@hooks.fallback\ndef rest(event): ...": [],
    "@hooks.on(ImageryProgress)\ndef going(event): ...\n@hooks.fallback\ndef rest(event): ...": [],
    "@hooks.on(Event, name='__main__:every')\ndef every(event): ...": ["warning main"],
    "exec('def every(event): ...', {'__name__': '__main__'}, vars())\nhooks.on(Event)(every)": ["warning main"],
    "exec('def every(event): ...', {'__name__': '__main__'}, vars())\nhooks.on(Event, name='every')(every)": [],
    "hooks.on(Event)(print)\nexec('def dead(a, b): ...', {'__name__': '__main__'}, vars())\nhooks.on_dead(dead)": [
        "warning main"
    ],
}


@pytest.mark.parametrize("source", HANDLERS)
def test_handlers_that_miss_what_comes_are_found(tmp_path: Path, source: str) -> None:
    begin = f"from webhook_receiver import *\nhooks = WebhookReceiver(secret='{SECRET}', inbox='sqlite:///hooks.db')\n"
    found = findings(tmp_path, begin + source)
    assert [f"{each['level']} {each['check']}" for each in found] == HANDLERS[source]
    assert {each["where"] for each in found} <= {"main:hooks"}


def test_handlers_of_an_app_that_leaves_the_work_to_others_are_looked_at_too(tmp_path: Path) -> None:
    begin = (
        f"from webhook_receiver import *\n"
        f"hooks = WebhookReceiver(secret='{SECRET}', inbox='sqlite:///hooks.db', work=False)\n"
    )
    ignored = ("--ignore", "sqlite")  # which depends on that of this machine
    assert checked(tmp_path, f"{begin}hooks.on_fulfilled(print)", *ignored) == ["warning no-fallback"]
    assert checked(tmp_path, begin, *ignored) == []


def test_each_finding_says_what_and_what_to_do(tmp_path: Path) -> None:
    begin = f"from webhook_receiver import *\nhooks = WebhookReceiver(secret='{SECRET}', inbox='sqlite:///hooks.db')\n"
    (nothing,) = findings(tmp_path, begin)
    assert nothing["message"] == (
        "up42 has no handlers: deliveries are stored as unhandled until they are replayed. Register some, "
        "@hooks.on(...), or include(router) that has some"
    )
    (never,) = findings(tmp_path, begin + "hooks.on(ImageryPartlyReady)(print)\nhooks.fallback(lambda event: None)")
    assert never["message"].startswith("builtins:print never runs: no known event is an ImageryPartlyReady. Declare")


def test_without_an_inbox_what_needs_one_is_an_error_and_what_is_lost_is_told(tmp_path: Path) -> None:
    begin = f"from webhook_receiver import *\nhooks = WebhookReceiver(secret='{SECRET}')\n"
    assert "deliveries are verified, and that is all" in said(findings(tmp_path, begin))
    found = findings(tmp_path, begin + "@hooks.on(Event, timeout=5)\ndef every(event): ...")
    assert [(each["level"], each["check"]) for each in found] == [("error", "start")]
    assert "timeout=... of main:every need an inbox" in said(found)
    assert "is answered 204 and gone" in said(findings(tmp_path, begin + "hooks.on_fulfilled(lambda order: None)"))


SECRETS = {
    "secret='changeme'": ["warning weak-secret"],
    "secret='your-webhook-secret-here'": ["warning weak-secret"],
    "secret='Kb5DE5kG'": ["warning weak-secret"],
    "secret='abababababababababababab'": ["warning weak-secret"],
    "secret=['KbsDE5kGZoDiPCFd', 'Kb5DE5kG']": ["warning weak-secret"],
    "scheme=AllowFrom(['10.0.0.0/8'], scheme=HMACBody('Kb5DE5kG', signature='x'))": ["warning weak-secret"],
    "scheme=AnyOf(UP42Signature('KbsDE5kGZoDiPCFd'), BasicAuth('password', username='me'))": ["warning weak-secret"],
    "secret=Secret('KbsDE5kGZoDiPCFd', until=datetime(2020, 1, 1, tzinfo=UTC))": ["error expired-secret"],
    "scheme=Unsigned()": ["warning unsigned"],
    "scheme=Unsigned(), confirm=Api()": [],
    "scheme=Unsigned(token_in_path='q8-J3nVw0aKx7ZcEr5TyLm')": [],
    "scheme=NoPushes()": [],
    "secret='KbsDE5kGZoDiPCFd'": [],
}


@pytest.mark.parametrize("argument", SECRETS)
def test_what_lets_strangers_in_is_found_and_no_secret_is_printed(tmp_path: Path, argument: str) -> None:
    source = f"""
from datetime import UTC, datetime
from webhook_receiver import *
class Api:
    def orders(self, **which): ...
    async def order(self, id, /): ...
hooks = WebhookReceiver(inbox="sqlite:///hooks.db", {argument})
hooks.on(Event)(print)
"""
    found = findings(tmp_path, source)
    assert [f"{each['level']} {each['check']}" for each in found] == SECRETS[argument]
    for secret in ("changeme", "Kb5DE5kG", "KbsDE5kGZoDiPCFd", "abab"):
        assert secret not in said(found)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({}, "the environment variable WEBHOOK_SECRET is not set"),
        ({"WEBHOOK_SECRET": ""}, "a secret must not be empty: anyone could sign with it"),
        ({"WEBHOOK_SECRET": " \t"}, "a secret must not be empty or blank"),
    ],
)
def test_a_missing_empty_or_blank_secret_is_an_error(tmp_path: Path, given: dict[str, str], complaint: str) -> None:
    source = "from webhook_receiver import *\nhooks = WebhookReceiver(secret=Secret.from_env('WEBHOOK_SECRET'))"
    (found,) = [each for each in findings(tmp_path, source, **given) if each["check"] != "settings"]
    assert (found["level"], found["check"], found["where"]) == ("error", "start", "main:hooks")
    assert complaint in found["message"]


def test_what_is_taken_off_a_secret_is_told_as_the_start_tells_it(tmp_path: Path) -> None:
    (found,) = findings(tmp_path, GOOD.replace('PCFd"', 'PCFd "').replace('Secret("Kbs', 'Secret(" Kbs'))
    assert (found["level"], found["check"]) == ("warning", "start")
    assert "U+0020" in found["message"]


ERRORS = {
    "retention": 'WebhookReceiver(secret=S, inbox="sqlite:///hooks.db?window=30d&retention=7d")',
    "no folder": 'WebhookReceiver(secret=S, inbox="sqlite:///nowhere/hooks.db")',
    "a folder": 'WebhookReceiver(secret=S, inbox="sqlite:///folder")',
    "two names": 'WebhookReceiver(secret=S, inbox="sqlite:///other.db")',
    "two names of an old one": 'WebhookReceiver(secret=S, inbox="sqlite:///older.db")',
    "no room for a copy": f'WebhookReceiver(secret=S, inbox="sqlite:///old.db?min_free={10**18}")',
    "not to be made": 'WebhookReceiver(secret=S, inbox=SQLiteInbox("new.db", create=False))',
    "no server": 'WebhookReceiver(secret=S, inbox="postgresql://127.0.0.1:1/hooks?timeout=1s")',
    "another program": 'WebhookReceiver(secret=S, inbox="sqlite:///foreign.db")',
    "two handlers": 'WebhookReceiver(secret=S)\ndef f(event): ...\nhooks.on("a")(f)\nhooks.on("a")(f)',
}


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_is_the_one_that_the_start_would_end_with(tmp_path: Path, name: str) -> None:
    tmp_path.joinpath("folder").mkdir()
    tmp_path.joinpath("hooks.db").touch()
    os.link(tmp_path / "hooks.db", tmp_path / "other.db")
    for old in ("old.db", "older.db"):
        tmp_path.joinpath(old).write_bytes(lzma.decompress(OLD.joinpath("schema-4.db.xz").read_bytes()))
        tmp_path.joinpath(old).chmod(0o600)
    os.link(tmp_path / "older.db", tmp_path / "oldest.db")
    with closing(sqlite3.connect(tmp_path / "foreign.db")) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    source = f"from webhook_receiver import *\nS = '{SECRET}'\nhooks = {ERRORS[name]}\nhooks.on(Event)(print)"
    found = [each for each in findings(tmp_path, source) if each["level"] == "error"]
    assert len(found) == 1
    served = run("serve", "main:hooks", "--port", "0", cwd=tmp_path, env={**os.environ, "COLUMNS": "1000"})
    assert served.returncode in (1, 2)
    message, told = (
        re.sub(r"\d+ bytes are free", "some", " ".join(text.split())) for text in (found[0]["message"], served.stderr)
    )
    assert message in told


TWO = """
from contextlib import asynccontextmanager
from starlette.applications import Starlette
from webhook_receiver import *
hooks = WebhookReceiver(secret="KbsDE5kGZoDiPCFd", inbox="sqlite:///hooks.db")
more = WebhookReceiver(secret="KbsDE5kGZoDiPCFe", inbox="sqlite:///hooks.db")
for each in (hooks, more):
    each.on(Event)(print)
@asynccontextmanager
async def both(app):
    async with hooks, more:
        yield
app = Starlette(lifespan=both, routes=[hooks.route("/webhooks"), more.route("/more")])
"""


def test_two_receivers_of_one_name_on_one_inbox_are_an_error(tmp_path: Path) -> None:
    for target, where in {"main:app": "main:more", "main:hooks": "main:more", "main:more": "main:hooks"}.items():
        (found,) = findings(tmp_path, TWO, target=target)
        assert (found["level"], found["check"], found["where"]) == ("error", "name", where)
        assert "a receiver named 'up42' runs on this inbox already" in found["message"]
    named = TWO.replace('PCFe", ', 'PCFe", name="more", ')
    assert findings(tmp_path, named, target="main:app") == []


def test_a_name_that_the_inbox_knows_as_another_senders_is_an_error(tmp_path: Path) -> None:
    stored(tmp_path, 0)
    source = GOOD.replace("secret=Secret(", "name='up42', sender=github(").replace(
        "inbox=", "max_body=25_000_000, inbox="
    )
    (found,) = findings(tmp_path, f"from webhook_receiver.senders.github import github\n{source}")
    assert (found["level"], found["check"]) == ("error", "inbox")
    assert "in this inbox the name 'up42' belongs to the sender up42" in found["message"]


def stored(folder: Path, ahead: float) -> None:
    """Have a delivery in the inbox that waits, as of a receiver whose clock is ahead by some seconds."""
    script = f"""
import asyncio, time
from webhook_receiver import WebhookReceiver
from webhook_receiver.delivery import RequestHead
now = time.time() + {ahead}
hooks = WebhookReceiver(secret="KbsDE5kGZoDiPCFd", inbox="sqlite:///hooks.db", work=False, clock=lambda: now)
body = b'{{"event": "order.status", "body": {{"id": "o-1", "status": "FULFILLED"}}}}'
head = hooks.sender.scheme.sign(RequestHead.of({{"content-type": "application/json"}}), body, now)
async def put():
    async with hooks:
        assert (await hooks.receive(head.headers, body)).response.status == 202
asyncio.run(put())
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", script], cwd=folder, env=environment, check=True)


@pytest.mark.parametrize("inbox", ["hooks.db", "deep/hooks.db"])
def test_an_inbox_that_cannot_be_written_to_is_an_error(tmp_path: Path, inbox: str) -> None:
    """The file is there, or only its folder is."""
    tmp_path.joinpath("deep").mkdir()
    source = GOOD.replace("hooks.db", inbox)
    if inbox == "hooks.db":
        assert run("inbox", "migrate", "sqlite:///hooks.db", cwd=tmp_path).returncode == 0
    found = mounted(tmp_path, source, "mount --bind . . && mount -o remount,bind,ro .")
    assert [(each["level"], each["check"]) for each in found] == [("error", "inbox")]
    assert "read-only" in said(found).lower()


def test_an_inbox_whose_file_is_mounted_alone_is_an_error(tmp_path: Path) -> None:
    tmp_path.joinpath("host.db").touch()
    tmp_path.joinpath("hooks.db").touch()
    found = mounted(tmp_path, GOOD, "mount --bind host.db hooks.db")
    assert [(each["level"], each["check"]) for each in found] == [("error", "inbox")]
    assert "hooks.db is mounted by itself" in said(found)
    assert f"mount its folder instead, such as -v ./data:{tmp_path}" in said(found)


@pytest.mark.skipif(not shutil.which("sshfs"), reason="sshfs is not here: apt-get install sshfs openssh-sftp-server")
def test_an_inbox_on_a_file_system_of_the_network_is_warned_of_here_and_at_the_start(tmp_path: Path) -> None:
    """A real one: sshfs, which asks a real server of SFTP."""
    for name in ("there", "net"):
        tmp_path.joinpath(name).mkdir()
    server = "ssh_command=sh -c /usr/lib/openssh/sftp-server"
    mount = (
        f"sshfs -f -o '{server}' x:{tmp_path}/there net & until mountpoint -q net; do :; done; trap 'umount net' EXIT"
    )
    found = mounted(tmp_path, GOOD.replace("hooks.db", "net/hooks.db"), mount)
    assert [(each["level"], each["check"]) for each in found] == [("warning", "start")]
    assert f"{tmp_path}/net/hooks.db is on a file system of the network (fuse.sshfs)" in said(found)
    assert "put it on a local disk, or take PostgreSQL" in said(found)


def mounted(folder: Path, source: str, mount: str) -> list[dict[str, Any]]:
    """Check an app in a mount namespace of its own, after a real mount; skip where none is allowed."""
    folder.joinpath("main.py").write_text(source, encoding="utf-8")
    command = shlex.join([*COMMAND, "check", "main:hooks", "--json"])
    if subprocess.run(
        ["unshare", "-m", "mount", "--bind", "/tmp", "/tmp"], capture_output=True, check=False
    ).returncode:
        pytest.skip("no mounts are allowed here: unshare -m failed")
    done = subprocess.run(
        [
            "unshare",
            "-m",
            "sh",
            "-ec",
            f"cd {shlex.quote(str(folder))}\n{mount}\ncd {shlex.quote(str(folder))}\n{command}",
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode in (0, 1, 4), done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_file_that_everybody_may_read_is_told_as_the_start_tells_it(tmp_path: Path) -> None:
    assert run("inbox", "migrate", "sqlite:///hooks.db", cwd=tmp_path).returncode == 0
    tmp_path.joinpath("hooks.db").chmod(0o644)
    (found,) = findings(tmp_path, GOOD)
    assert (found["level"], found["check"]) == ("warning", "start")
    assert "may be read by every user (mode 0644)" in found["message"]


def test_an_inbox_in_memory_is_warned_of(tmp_path: Path) -> None:
    (found,) = findings(tmp_path, GOOD.replace("sqlite:///hooks.db", "memory://"))
    assert (found["level"], found["check"]) == ("warning", "memory")


@pytest.mark.parametrize("version", ["3.51.2", "3.51.3"])
@pytest.mark.parametrize(
    ("processes", "environment"),
    [
        ("one", {}),
        ("several", {"WEBHOOK_RECEIVER_WORKERS": "2"}),
        ("a worker apart", {}),
    ],
)
def test_a_sqlite_that_may_damage_what_several_processes_share_is_warned_of(
    tmp_path: Path, version: str, processes: str, environment: dict[str, str]
) -> None:
    said = f"import sqlite3\nsqlite3.sqlite_version = '{version}'\n"
    said += f"sqlite3.sqlite_version_info = {tuple(map(int, version.split('.')))}\n"
    source = said + GOOD
    if processes == "a worker apart":
        source = source.replace("hooks.db", 'hooks.db", work=False, name="apart')
    found = findings(tmp_path, source, **environment)
    if version == "3.51.3" or processes == "one":
        assert found == []
    else:
        (one,) = found
        assert (one["level"], one["check"]) == ("warning", "sqlite")
        assert "SQLite 3.51.2, by its number, may damage a file" in one["message"]


def test_an_old_file_is_warned_of_and_stays_as_it_is(tmp_path: Path) -> None:
    old = tmp_path / "hooks.db"
    old.write_bytes(lzma.decompress(OLD.joinpath("schema-4.db.xz").read_bytes()))
    old.chmod(0o600)
    before = old.read_bytes()
    (found,) = findings(tmp_path, GOOD)
    assert (found["level"], found["check"]) == ("warning", "schema")
    assert f"{old} has the tables of an older version (schema 4)" in found["message"]
    assert old.read_bytes() == before
    assert run("inbox", "migrate", "sqlite:///hooks.db", cwd=tmp_path).returncode == 0
    assert "schema" not in {each["check"] for each in findings(tmp_path, GOOD)}


def test_a_server_without_the_tables_is_an_error_and_with_them_is_none(tmp_path: Path, empty_database: str) -> None:
    source = GOOD.replace("sqlite:///hooks.db", empty_database)
    (found,) = errors(tmp_path, source)
    assert found["check"] == "inbox"
    assert "has no tables of the inbox: run  webhook-receiver inbox migrate URL" in found["message"]
    assert run("inbox", "migrate", empty_database, cwd=tmp_path).returncode == 0
    assert errors(tmp_path, source) == []


def test_a_server_with_the_tables_of_an_older_version_is_an_error_and_they_stay(
    tmp_path: Path, empty_database: str
) -> None:
    load_version_2(empty_database)
    source = GOOD.replace("sqlite:///hooks.db", empty_database)
    before = execute(empty_database, "SELECT name FROM webhook_receiver.migration ORDER BY 1")
    (found,) = errors(tmp_path, source)
    assert found["check"] == "inbox"
    assert "has older tables: run  webhook-receiver inbox migrate URL" in found["message"]
    assert execute(empty_database, "SELECT name FROM webhook_receiver.migration ORDER BY 1") == before
    assert run("inbox", "migrate", empty_database, cwd=tmp_path).returncode == 0
    assert errors(tmp_path, source) == []


@pytest.mark.parametrize(
    ("rights", "lacking"),
    [
        ("SELECT", "permission denied for "),
        ("SELECT, INSERT, UPDATE", "this role lacks rights in the schema webhook_receiver"),
        ("SELECT, INSERT, UPDATE, DELETE", ""),
    ],
)
def test_a_role_that_may_not_do_all_that_a_process_does_is_an_error(
    tmp_path: Path, postgres_url: str, reader: str, rights: str, lacking: str
) -> None:
    execute(
        postgres_url,
        f"GRANT USAGE ON SCHEMA webhook_receiver TO {reader};"
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA webhook_receiver TO {reader};"
        f"GRANT {rights} ON ALL TABLES IN SCHEMA webhook_receiver TO {reader}",
    )
    theirs = postgres_url.replace("postgres@", f"{reader}@")
    found = errors(tmp_path, GOOD.replace("sqlite:///hooks.db", theirs))
    assert [each["check"] for each in found] == ["inbox"] * bool(lacking)
    assert lacking in said(found)
    assert not lacking or "webhook-receiver inbox migrate URL --grant ROLE" in said(found)


@pytest.fixture
def reader(postgres_url: str) -> Generator[str]:
    """A role that owns nothing."""
    name = f"reader_{uuid4().hex}"
    execute(postgres_url, f"CREATE ROLE {name} LOGIN")
    yield name
    execute(postgres_url, f"DROP OWNED BY {name}; DROP ROLE {name}")


def test_an_inbox_that_the_import_opens_is_warned_of(tmp_path: Path) -> None:
    found = findings(tmp_path, GOOD + "\nimport asyncio\nasyncio.run(hooks.inbox.open())")
    assert [(each["level"], each["check"]) for each in found] == [("warning", "fork")]
    assert "gunicorn --preload" in said(found)


def test_a_receiver_that_takes_less_than_the_sender_delivers_is_warned_of(tmp_path: Path) -> None:
    source = f"""
from webhook_receiver import *
from webhook_receiver.senders.github import github
hooks = WebhookReceiver(sender=github("{SECRET}"), inbox="sqlite:///hooks.db")
hooks.on(Event)(print)
"""
    (found,) = findings(tmp_path, source)
    assert (found["level"], found["check"]) == ("warning", "max-body")
    assert "WebhookReceiver(max_body=25000000)" in found["message"]
    assert (
        findings(tmp_path, source.replace('"sqlite', 'max_body=25000000, inbox="sqlite').replace("inbox=max", "max"))
        == []
    )


def test_a_clock_that_is_far_off_is_an_error(tmp_path: Path) -> None:
    source = GOOD.replace('inbox="sqlite', 'clock=lambda: 1765433012.0, inbox="sqlite')
    found = findings(tmp_path, source)
    assert [(each["level"], each["check"]) for each in found] == [("error", "clock")]
    assert "the clock that the receiver was given (clock=...) is" in said(found)
    assert " s behind this machine's" in said(found)


def test_a_clock_that_differs_from_that_of_the_postgres_server_is_an_error(tmp_path: Path, postgres_url: str) -> None:
    ahead = GOOD.replace("sqlite:///hooks.db", postgres_url).replace(
        "inbox=", "clock=lambda: time.time() + 3600, inbox="
    )
    found = findings(tmp_path, "import time\n" + ahead)
    told = [each["message"] for each in found if each["check"] == "clock"]
    assert len(told) == 2
    assert told[1].startswith("the receiver's clock is 3600 s ahead of that of the PostgreSQL server: ")


def test_a_clock_that_is_behind_what_is_stored_is_an_error(tmp_path: Path) -> None:
    stored(tmp_path, 7200)
    (found,) = findings(tmp_path, GOOD)
    assert (found["level"], found["check"]) == ("error", "clock")
    assert "behind the time of the latest stored delivery" in found["message"]


def test_the_clock_is_compared_with_that_of_a_server_that_is_named(tmp_path: Path) -> None:
    async def slow(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            headers = (
                [] if scope["path"] == "/none" else [(b"date", formatdate(time.time() - 600, usegmt=True).encode())]
            )
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body"})

    with serving(slow, date_header=False) as url:
        (found,) = findings(tmp_path, GOOD, "--time-from", url)
        (none,) = findings(tmp_path, GOOD, "--time-from", f"{url}/none")
    assert (found["level"], found["check"]) == ("error", "clock")
    assert found["message"].startswith("this machine's clock is 60")
    assert " s ahead of that of the server that was asked: " in found["message"]
    (gone,) = findings(tmp_path, GOOD, "--time-from", url)
    for each, why in (
        (none, f"the response of {url}/none has no Date"),
        (gone, f"{url} does not answer (ConnectError)"),
    ):
        assert (each["level"], each["check"]) == ("error", "clock")
        assert each["message"] == f"this machine's clock cannot be compared: {why}"


LIFESPANS = {
    "lifespan=hooks.lifespan": True,
    "": False,
    "lifespan=starts": True,
    "lifespan=starts_all": True,
    "lifespan=starts_not": False,
    "lifespan=by_helper": True,
    "lifespan=by_module": True,
    "lifespan=Lives()": True,
    "lifespan=partial(of_partial, hooks)": True,
    "lifespan=names_the_app": False,
    "lifespan=of_an_object": True,
    "lifespan=of_the_state": True,
    "lifespan=of_other_state": False,
    "lifespan=asks": False,
    "lifespan=asks_inside(hooks)": False,
    "lifespan=asks_of_an_object": False,
    "lifespan=asks_and_starts": True,
    "lifespan=starts_by_a_method": True,
    "lifespan=container.starts": True,
}
FUNCTIONS = """
import main
from functools import partial
from contextlib import asynccontextmanager, AsyncExitStack

@asynccontextmanager
async def starts(app):
    async with hooks:
        yield

@asynccontextmanager
async def starts_all(app):
    async with AsyncExitStack() as stack:
        for each in everything["receivers"]:
            await stack.enter_async_context(each)
        yield

@asynccontextmanager
async def starts_not(app):
    print(json.dumps({}))
    yield

async def helper(stack):
    await stack.enter_async_context(hooks)

@asynccontextmanager
async def by_helper(app):
    async with AsyncExitStack() as stack:
        await helper(stack)
        yield

@asynccontextmanager
async def by_module(app):
    async with main.hooks:
        yield

@asynccontextmanager
async def of_partial(receiver, app):
    async with receiver:
        yield

@asynccontextmanager
async def names_the_app(given):
    print(app)
    yield

class Container:
    def __init__(self):
        self.receiver = hooks
    @asynccontextmanager
    async def starts(self, app):
        async with self.receiver:
            yield
container = Container()

@asynccontextmanager
async def of_an_object(app):
    async with container.receiver:
        yield

@asynccontextmanager
async def of_the_state(app):
    async with AsyncExitStack() as stack:
        for each in app.state.receivers:
            await stack.enter_async_context(each)
        yield

@asynccontextmanager
async def of_other_state(app):
    app.state.other = None
    yield

@asynccontextmanager
async def asks(app):
    print("hooks", hooks.name, await hooks.health())
    yield

def asks_inside(receiver):
    @asynccontextmanager
    async def inside(app):
        print(receiver.name)
        yield
    return inside

@asynccontextmanager
async def asks_of_an_object(app):
    print(container.receiver.name)
    yield

@asynccontextmanager
async def asks_and_starts(app):
    print(hooks.name)
    async with hooks:
        yield

class Begins(WebhookReceiver):
    @asynccontextmanager
    async def begun(self):
        async with self:
            yield
hooks.__class__ = Begins

@asynccontextmanager
async def starts_by_a_method(app):
    async with hooks.begun():
        yield

class Lives:
    def __call__(self, app):
        return hooks.lifespan()
everything = {"receivers": [hooks]}
import json
"""


def lifespan(argument: str, host: str = "Starlette") -> str:
    functions = f"from fastapi import FastAPI\n{FUNCTIONS}\napp = "
    source = GOOD.replace("app = Starlette(lifespan=hooks.lifespan", f"{functions}{host}({argument}").replace(
        "(, ", "("
    )
    return f"{source}\napp.state.receivers = [hooks]\n"


@pytest.mark.parametrize("argument", LIFESPANS)
def test_a_lifespan_that_does_not_name_the_receiver_or_only_asks_it_something_does_not_start_it(
    tmp_path: Path, argument: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this process, since each is told by the same code as below."""
    module = executed(lifespan(argument), tmp_path, monkeypatch)
    found = [finding.check for _, finding in of_host(module.app, "main:app")]
    assert found == ([] if LIFESPANS[argument] else ["lifespan"])


LITESTAR = """
from litestar import Litestar, asgi
from starlette.applications import Starlette
from starlette.routing import Mount

async def other(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body"})

def at(path, app=None, is_mount=True):
    return asgi(path, is_mount=is_mount, copy_scope=True)(app or hooks)

app = Litestar(ARGUMENTS, logging_config=None)
app.state.receivers = [hooks]
"""
LITESTAR_LIFESPANS = {
    "lifespan=[hooks.lifespan]": True,
    "lifespan=[hooks]": True,
    "lifespan=[starts_not, starts]": True,
    "lifespan=[of_the_state]": True,
    "on_startup=[hooks.__aenter__]": True,
    "lifespan=[starts_not]": False,
    "lifespan=[of_other_state]": False,
    "": False,
}


def litestar(arguments: str) -> str:
    functions = FUNCTIONS.replace("hooks.__class__ = Begins", "")  # Litestar looks for names in a class's own module
    return f"from typing import Any\n{GOOD}{functions}{LITESTAR.replace('ARGUMENTS', arguments)}"


@pytest.mark.parametrize("argument", LITESTAR_LIFESPANS)
def test_a_litestar_that_does_not_start_its_receiver_is_found(
    tmp_path: Path, argument: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = litestar(f'[at("/webhooks")], {argument}'.removesuffix(", "))
    if not argument:
        for target in ("main:app", "main:hooks"):
            (one,) = findings(tmp_path, source, target=target)
            assert (one["level"], one["check"], one["where"]) == ("warning", "lifespan", "main:app")
            assert "Say lifespan=[hooks.lifespan], or" in one["message"]
    module = executed(source, tmp_path, monkeypatch)
    found = [finding.check for _, finding in of_host(module.app, "main:app")]
    assert found == ([] if LITESTAR_LIFESPANS[argument] else ["lifespan"])


LITESTAR_ROUTES = {
    "[at('/webhooks')]": None,
    "[at('/webhooks', is_mount=False), at('/', other)]": None,
    "[at('/webhooks', Starlette(routes=[hooks.route('/in')]))]": None,
    "[at('/webhooks'), at('/', other)]": "the route '/' before the receiver's",
    "[at('/webhooks'), at('/web', other)]": "the route '/web' before the receiver's",
    "[at('/webhooks', Starlette(routes=[Mount('/', other), hooks.route('/in')]))]": "the route '' before",
}


@pytest.mark.parametrize("routes", LITESTAR_ROUTES)
def test_a_litestar_that_does_not_pass_a_post_on_to_its_receiver_is_found(
    routes: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = litestar(f"{routes}, lifespan=[hooks.lifespan]").replace("sqlite:///hooks.db", "memory://")
    module = executed(source, tmp_path, monkeypatch)
    messages = [finding.message for _, finding in of_host(module.app, "main:app")]
    assert len(messages) == (LITESTAR_ROUTES[routes] is not None)
    assert all(str(LITESTAR_ROUTES[routes]) in each for each in messages)
    with serving(module.app) as url:
        path = "/webhooks/in" if "/in" in routes else "/webhooks"
        status = httpx.post(f"{url}{path}", trust_env=False).status_code
    assert (status == 401) == (LITESTAR_ROUTES[routes] is None)  # the receiver's own: it has no signature


def executed(source: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the module `main` of this source, in this process."""
    module = ModuleType("main")
    module.__file__ = str(folder / "main.py")
    monkeypatch.setitem(sys.modules, "main", module)
    monkeypatch.chdir(folder)
    exec(source, vars(module))
    return module


@pytest.mark.parametrize("host", ["Starlette", "FastAPI"])
@pytest.mark.parametrize("argument", ["", "lifespan=starts"])
def test_a_host_that_does_not_start_its_receiver_is_found(tmp_path: Path, argument: str, host: str) -> None:
    for target in ("main:app", "main:hooks"):
        found = findings(tmp_path, lifespan(argument, host), target=target)
        assert [(each["level"], each["check"], each["where"]) for each in found] == (
            [] if argument else [("warning", "lifespan", "main:app")]
        )
        assert argument or "lifespan=hooks.lifespan" in said(found)


def test_the_lifespan_of_a_mounted_app_starts_nothing_and_that_of_an_included_router_does(tmp_path: Path) -> None:
    mounted = (
        GOOD.replace("app = ", "inner = ")
        + "\nfrom starlette.routing import Mount\napp = Starlette(routes=[Mount('/api', inner)])"
    )
    (found,) = findings(tmp_path, mounted)
    assert (found["check"], found["where"]) == ("lifespan", "main:app")
    included = (
        GOOD
        + """
from fastapi import APIRouter, FastAPI
router = APIRouter(lifespan=hooks.lifespan, routes=[hooks.route("/webhooks")])
app = FastAPI()
app.include_router(router)
"""
    )
    assert findings(tmp_path, included, target="main:app") == []


def test_a_mount_that_answers_by_a_redirect_is_found_and_does(tmp_path: Path) -> None:
    source = GOOD.replace('hooks.route("/webhooks")', 'Mount("/webhooks", hooks)')
    source = "from starlette.routing import Mount\n" + source
    (found,) = findings(tmp_path, source)
    assert (found["level"], found["check"], found["where"]) == ("warning", "mount", "main:app")
    assert "main:app answers POST /webhooks by a redirect (307) to /webhooks/" in found["message"]
    names: dict[str, Any] = {}
    exec(source.replace("sqlite:///hooks.db", "memory://"), names)
    with serving(names["app"]) as url:
        assert httpx.post(f"{url}/webhooks", trust_env=False).status_code == 307
    told = source.replace("inbox=", 'public_url="https://example.com/webhooks/", inbox=')
    assert findings(tmp_path, told) == []


ROUTES = {
    "[Mount('/', StaticFiles(directory='.')), hooks.route('/webhooks')]": "the route '' before the receiver's",
    "[Route('/{a}', other, methods=['POST']), hooks.route('/webhooks')]": "the route '/{a}' before the receiver's",
    "[Route('/webhooks', hooks, methods=['GET'])]": "405, or 404: no route takes it",
    "[Mount('/in', routes=[Mount('/', other), hooks.route('/webhooks')])]": "the route '' before the receiver's",
    "[hooks.route('/webhooks')], middleware=[Middleware(HTTPSRedirectMiddleware)]": "a redirect to https",
    "[Mount('/in', HTTPSRedirectMiddleware(Router([hooks.route('/webhooks')])))]": "a redirect to https",
    "[hooks.route('/webhooks'), Mount('/', StaticFiles(directory='.'))]": None,
    "[Route('/webhooks', hooks, methods=['GET']), Route('/webhooks', hooks, methods=['POST'])]": None,
    "[Route('/webhooks', other, methods=['GET']), hooks.route('/webhooks')]": None,
    "[Mount('/in', routes=[hooks.route('/webhooks')])]": None,
    "[Host('hooks.example.com', Router([hooks.route('/webhooks')])), Mount('/', StaticFiles(directory='.'))]": None,
    "[hooks.route('/webhooks')], middleware=[Middleware(GZipMiddleware)]": None,
}


@pytest.mark.parametrize("routes", ROUTES)
def test_an_app_that_does_not_pass_a_post_on_to_its_receiver_is_found(
    routes: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = """
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.httpsredirect import HTTPSRedirectMiddleware
from starlette.responses import Response
from starlette.routing import Host, Mount, Route, Router
from starlette.staticfiles import StaticFiles
async def other(*_): return Response("other")
"""
    source = GOOD.replace('[hooks.route("/webhooks")]', routes).replace("sqlite:///hooks.db", "memory://")
    module = executed(begin + source, tmp_path, monkeypatch)
    messages = [finding.message for _, finding in of_host(module.app, "main:app") if finding.check == "mount"]
    assert len(messages) == (ROUTES[routes] is not None)
    assert all(str(ROUTES[routes]) in each for each in messages)
    path = "/in/webhooks" if "/in" in routes else "/webhooks"
    with serving(module.app) as url:
        host = {"host": "hooks.example.com"} if "Host" in routes else {}
        status = httpx.post(f"{url}{path}", headers=host, trust_env=False).status_code
    assert (status == 401) == (ROUTES[routes] is None)  # the receiver's own: it has no signature


def test_a_router_of_fastapi_that_is_included_passes_a_post_on(tmp_path: Path) -> None:
    included = """
from fastapi import APIRouter, FastAPI
router = APIRouter(routes=[hooks.route("/webhooks")])
other = APIRouter()
@other.post("/webhooks")
async def other_post(): ...
app = FastAPI(lifespan=hooks.lifespan)
"""
    good, bad = "app.include_router(router, prefix='/a')\n", "app.include_router(other, prefix='/a')\n"
    for target in ("main:app", "main:hooks"):
        assert findings(tmp_path, GOOD + included + good + bad, target=target) == []
    (found,) = findings(tmp_path, GOOD + included + bad + good, target="main:app")
    assert (found["check"], "before the receiver's" in found["message"]) == ("mount", True)


def test_a_module_that_fails_is_a_finding_and_one_that_is_not_there_a_mistake(tmp_path: Path) -> None:
    (found,) = findings(tmp_path, "import nothing_like_it")
    assert (found["level"], found["check"]) == ("error", "start")
    assert "main cannot be imported" in found["message"]
    for target, complaint in {
        "nowhere:hooks": "there is no module 'nowhere'",
        "main:other": "main has nothing called other",
        "main:empty": "main:empty has no receiver among its routes",
    }.items():
        tmp_path.joinpath("main.py").write_text(f"{GOOD}\nempty = Starlette()", encoding="utf-8")
        done = run("check", target, cwd=tmp_path)
        assert (done.returncode, complaint in done.stderr) == (2, True), done.stderr


def test_a_check_that_is_left_out_is_left_out(tmp_path: Path) -> None:
    source = GOOD.replace("@hooks.fallback", "")
    assert checked(tmp_path, source) == ["warning no-fallback"]
    assert checked(tmp_path, source, "--ignore", "no-fallback") == []
    done = run("check", "main:hooks", "--ignore", "nothing", cwd=tmp_path)
    assert (done.returncode, "there is no check 'nothing': settings, start, no-handler, " in done.stderr) == (2, True)


def test_in_a_pipe_it_is_a_line_each_and_on_a_terminal_coloured_and_wrapped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = GOOD.replace("@hooks.fallback", "").replace('Secret("KbsDE5kGZoDiPCFd")', '"changeme"')
    tmp_path.joinpath("main.py").write_text(source, encoding="utf-8")
    piped = run("check", "main:hooks", cwd=tmp_path)
    lines = [line.split("\t") for line in piped.stdout.splitlines()]
    assert [line[:3] for line in lines] == [
        ["warning", "main:hooks", "no-fallback"],
        ["warning", "main:hooks", "weak-secret"],
    ]
    assert piped.stderr == "main:hooks: 0 errors, 2 warnings\n"
    assert "\x1b" not in piped.stdout
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    code, shown = on_a_terminal("check", "main:hooks", columns=80)
    plain = shown.replace("\x1b[33m", "").replace("\x1b[0m", "")
    assert (code, "\x1b[33m" in shown) == (4, True)
    assert max(map(len, plain.splitlines())) <= 80
    assert plain.startswith("warning no-fallback main:hooks\r\n  an event that no handler")
