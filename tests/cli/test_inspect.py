"""`inspect`, `password`, and the inspector of `serve`, as commands of their own processes."""

from __future__ import annotations

import asyncio
import json
import lzma
import os
import re
import signal
import sqlite3
import subprocess
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.commands import COMMAND, run
from tests.helpers import ROOT, SECRET, free_port, printed, running
from tests.inspector.stage import DOWNLOAD, some, sqlite
from webhook_receiver import SQLiteInbox
from webhook_receiver.inspector.passwords import read_users

MODULE = f"""
from starlette.applications import Starlette
from webhook_receiver import OrderFulfilled, WebhookReceiver
hooks = WebhookReceiver(secret="{SECRET}", inbox="sqlite:///hooks.db")
memory = WebhookReceiver(secret="{SECRET}", inbox="memory://", name="memory")
bare = WebhookReceiver(secret="{SECRET}", name="bare")
@hooks.on(OrderFulfilled, name="{DOWNLOAD}")
def download(order): print("it ran", flush=True)
app = Starlette(routes=[hooks.route("/webhooks")])
empty = Starlette()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.joinpath("app.py").write_text(MODULE, encoding="utf-8")

    async def fill() -> None:
        inbox = sqlite(tmp_path)
        await inbox.open()
        await inbox.load(some(8), inbox.clock())
        await inbox.close()

    asyncio.run(fill())
    return tmp_path


@contextmanager
def inspecting(*arguments: str, cwd: Path, env: dict[str, str] | None = None) -> Generator[tuple[str, str]]:
    """Run `inspect` until the block ends; yield its address, and what it has printed."""
    process = subprocess.Popen(
        [*COMMAND, "inspect", *arguments, "--port", "0"],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        said = printed(process, "http")
        found = re.search(r"https?://[^/\s\"]+(/[^;\s\"]*)?", said)
        assert found is not None, said
        yield found[0].rstrip("/"), said
    finally:
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=30)
    assert (process.returncode, rest) == (0, "")


def get(url: str, **options: str) -> httpx.Response:
    return httpx.get(url, trust_env=False, headers={name.replace("_", "-"): each for name, each in options.items()})


def test_a_file_is_shown_on_the_loopback_until_ctrl_c(folder: Path) -> None:
    with inspecting("hooks.db", cwd=folder) as (url, said):
        assert said == f"hooks.db is at {url}/; it only shows, and --writable lets it change\n"
        assert url.startswith("http://127.0.0.1:")
        page = get(f"{url}/deliveries")
        assert (page.status_code, "8 deliveries" in page.text, "read-only" in page.text) == (200, True, True)
        assert get(f"{url}/deliveries", host="evil.example").status_code == 403
        assert get(f"{url}/static/0/htmx.min.js").status_code == 200


def test_a_receiver_is_shown_with_what_only_it_knows_and_its_handlers_do_not_run(folder: Path) -> None:
    with inspecting("app:hooks", "--writable", "--json", cwd=folder) as (url, said):
        assert json.loads(said) == {"url": f"{url}/", "inboxes": ["hooks.db"], "writable": True}
        assert "OrderFulfilled" in get(f"{url}/handlers").text
        with httpx.Client(base_url=url, trust_env=False) as client:
            asked = client.get("/replay", params={"state": "dead"})
            fields = dict(re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', asked.text))
            fields["which"] = fields["which"].replace("&amp;", "&")
            done = client.post("/replay", data=fields, headers={"sec-fetch-site": "same-origin"})
            assert done.status_code == 303
    listed = run("inbox", "ls", "hooks.db", "--state", "waiting", "--json", cwd=folder)
    assert len(listed.stdout.splitlines()) == 1, "it waits for a process that works"


def test_an_app_and_the_variable_will_do(folder: Path) -> None:
    with inspecting("app:app", cwd=folder) as (url, _):
        assert "OrderFulfilled" in get(f"{url}/handlers").text
    for variable in ("WEBHOOK_INBOX", "WEBHOOK_RECEIVER_INBOX"):
        with inspecting(cwd=folder, env={variable: "sqlite:///hooks.db"}) as (url, _):
            assert get(f"{url}/").status_code == 200
    with inspecting(cwd=folder, env={"WEBHOOK_RECEIVER_APP": "app:hooks", "WEBHOOK_INBOX": "other.db"}) as (url, _):
        assert "OrderFulfilled" in get(f"{url}/handlers").text


def test_several_inboxes_are_side_by_side_and_one_by_two_names_is_one(folder: Path) -> None:
    asyncio.run(_make(folder / "other.db"))
    with inspecting("hooks.db", "other.db", "app:hooks", cwd=folder) as (url, said):
        assert said.startswith("hooks.db, other.db is at")
        assert "/inbox/2/" in get(f"{url}/").text
        assert "OrderFulfilled" in get(f"{url}/handlers").text
        assert "No delivery yet" in get(f"{url}/inbox/2/deliveries").text


async def _make(path: Path) -> None:
    inbox = SQLiteInbox(path, min_free=0)
    await inbox.open()
    await inbox.close()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "say what to show"),
        (["nothing.db"], 1, "there is no inbox at"),
        (["memory://"], 1, "an inbox in memory is in its own process"),
        (["app:bare"], 1, "app:bare has no inbox: nothing is kept"),
        (["app:empty"], 2, "there is no receiver among the routes of app:empty"),
        (["app:nothing"], 2, "app has nothing called nothing"),
        (["hooks.db", "--host", "0.0.0.0"], 2, "give --passwords FILE, or leave it at 127.0.0.1"),
        (["hooks.db", "--passwords", "nothing"], 1, "cannot read the users of the inspector from nothing"),
        (["nothing:nobody"], 2, "there is no module 'nothing'"),
        (["postgresql://ann:s3cret@127.0.0.1:1/x?connect_timeout=1"], 1, "cannot"),
    ],
)
def test_what_cannot_be_shown_is_told_in_a_sentence(folder: Path, arguments: list[str], code: int, said: str) -> None:
    done = run("inspect", *arguments, "--port", "0", cwd=folder, kill_after=30)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    assert said in re.sub(r"\s+", " ", done.stderr)
    assert "s3cret" not in done.stderr + done.stdout


def test_an_inspector_that_only_shows_leaves_a_file_of_an_older_version_alone(folder: Path) -> None:
    old = lzma.decompress((ROOT / "tests" / "inbox" / "old" / "schema-4.db.xz").read_bytes())
    folder.joinpath("hooks.db").write_bytes(old)
    files = sorted(each.name for each in folder.iterdir())
    for where in ("hooks.db", "app:hooks", "sqlite:///hooks.db"):
        done = run("inspect", where, "--port", "0", cwd=folder, kill_after=30)
        assert done.returncode == 1
        assert "has the tables of an older version (schema 4)" in done.stderr
        assert "webhook-receiver inbox migrate" in done.stderr
    assert folder.joinpath("hooks.db").read_bytes() == old
    assert [each for each in files if not each.startswith("__")] == sorted(
        each.name for each in folder.iterdir() if not each.name.startswith("__")
    )
    with inspecting("hooks.db", "--writable", cwd=folder) as (url, _):
        assert get(f"{url}/deliveries").status_code == 200


def test_an_inspector_that_only_shows_makes_no_file(folder: Path) -> None:
    path = folder / "hooks.db"
    path.unlink()
    done = run("inspect", "app:hooks", "--port", "0", cwd=folder, kill_after=30)
    assert (done.returncode, "there is no inbox at" in done.stderr, path.exists()) == (1, True, False)
    with inspecting("app:hooks", "--writable", cwd=folder) as (url, _):
        assert get(f"{url}/").status_code == 200
    assert path.exists()


def test_an_inspector_that_only_shows_makes_no_receiver_known(folder: Path) -> None:
    def known() -> list[tuple[str, ...]]:
        with closing(sqlite3.connect(folder / "hooks.db")) as file:
            return file.execute("SELECT name, sender FROM receiver").fetchall()

    assert known() == []
    with inspecting("app:hooks", cwd=folder) as (url, _):
        assert "OrderFulfilled" in get(f"{url}/handlers").text
        assert known() == []
    with inspecting("app:hooks", "--writable", cwd=folder) as (url, _):
        assert known() == [("up42", "up42")]


def test_a_port_that_is_taken_is_told(folder: Path) -> None:
    with inspecting("hooks.db", cwd=folder) as (url, _):
        done = run("inspect", "hooks.db", "--port", url.rpartition(":")[2], cwd=folder, kill_after=30)
        assert (done.returncode, "take another --port" in done.stderr) == (1, True)


def test_a_password_is_written_and_asked_for(folder: Path) -> None:
    written = run("password", "users", "ann", cwd=folder, input="a good password\n")
    assert (written.returncode, written.stdout) == (0, "ann was added to users\n")
    assert [*read_users(folder / "users")] == ["ann"]
    again = run("password", "users", "ann", cwd=folder, input="a better password\n")
    assert again.stdout == "ann has a new password in users\n"
    for name, given, why in (("bo", "short", "8 characters"), ("a:b", "a good password", "without a colon")):
        refused = run("password", "users", name, cwd=folder, input=f"{given}\n")
        assert (refused.returncode, why in refused.stderr) == (1, True)
    with inspecting("hooks.db", "--passwords", "users", cwd=folder) as (url, _):
        assert get(url).status_code == 401
        assert httpx.get(url, auth=("ann", "a good password"), trust_env=False).status_code == 401
        found = httpx.get(url, auth=("ann", "a better password"), trust_env=False)
        assert (found.status_code, "ann" in found.text) == (200, True)


@pytest.mark.parametrize("prefix", ["/ops", "ops/"])
def test_a_prefix_is_in_every_address(folder: Path, prefix: str) -> None:
    run("password", "users", "ann", cwd=folder, input="a good password\n")
    ann = ("ann", "a good password")
    with inspecting("hooks.db", "--root-path", prefix, "--passwords", "users", cwd=folder) as (url, told):
        assert "/ for a proxy that strips /ops; it only shows" in told
        found = httpx.get(url, auth=ann, trust_env=False)
        assert found.status_code == 200, "what is printed is where the proxy finds it"
        page = httpx.get(f"{url.removesuffix('/')}/deliveries", auth=ann, trust_env=False)
        assert page.status_code == 200
        links = re.findall(r'href="([^"#]+)"', page.text)
        assert links
        assert all(each.startswith("/ops/") for each in links)


def test_behind_a_proxy_passwords_are_asked_for(folder: Path) -> None:
    """A proxy on this machine, such as nginx, asks as this machine does: everybody would get in."""
    done = run("inspect", "hooks.db", "--root-path", "/ops", "--port", "0", cwd=folder, kill_after=30)
    assert (done.returncode, done.stdout) == (2, "")
    assert "give --passwords FILE" in " ".join(re.sub("[│╭╮╰╯─]", "", done.stderr).split())


@pytest.mark.parametrize("options", [[], ["--workers", "2"]])
def test_serve_mounts_the_inspector_beside_the_receiver(folder: Path, options: list[str]) -> None:
    run("password", "users", "ann", cwd=folder, input="a good password\n")
    arguments = ["--inspector", "/_webhooks", "--inspector-passwords", "users", "--inspector-writable", *options]
    with (
        running("webhook_receiver", "serve", "app:hooks", *arguments, cwd=folder) as (url, _),
        httpx.Client(base_url=url, trust_env=False) as client,
    ):
        assert client.get("/_webhooks/").status_code == 401
        client.auth = ("ann", "a good password")
        moved = client.get("/_webhooks", headers={"host": "evil.example"})
        assert (moved.status_code, moved.headers["location"]) == (307, "/_webhooks/")
        for _ in range(4):  # whichever process answers
            asked = client.get("/_webhooks/replay", params={"state": "dead"})
            assert "Replay" in asked.text
            fields = dict(re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', asked.text))
            if "which" not in fields:
                break
            fields["which"] = fields["which"].replace("&amp;", "&")
            done = client.post("/_webhooks/replay", data=fields, headers={"sec-fetch-site": "same-origin"})
            assert (done.status_code, done.headers["location"][:22]) == (303, "/_webhooks/finished?re")
        assert client.get("/healthz").status_code == 200
        assert client.post("/webhooks", content=b"{}").status_code == 401


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--inspector", "/_webhooks"], "give --inspector-passwords FILE"),
        (["--inspector", "_webhooks", "--inspector-passwords", "users"], "is no path to mount at"),
        (["--inspector", "/", "--inspector-passwords", "users"], "is no path to mount at"),
        (["--inspector", "/healthz", "--inspector-passwords", "users"], "the health check is at /healthz"),
        (["--inspector", "/healthz/live", "--inspector-passwords", "users"], "the health check is at /healthz"),
        (["--inspector", "/webhooks/", "--inspector-passwords", "users"], "senders post to /webhooks"),
        (["--inspector-passwords", "users"], "say where it is"),
        (["--inspector-writable"], "say where it is"),
        (["--inspector", "/_webhooks", "--inspector-passwords", "nothing"], "cannot read the users"),
    ],
)
def test_options_of_serve_that_do_not_go_together_are_told(folder: Path, options: list[str], said: str) -> None:
    folder.joinpath("users").write_text("", encoding="utf-8")
    done = run("serve", "app:hooks", *options, "--port", str(free_port()), cwd=folder, kill_after=30)
    assert done.returncode in (1, 2)
    assert said in re.sub(r"\s+", " ", done.stderr), done.stderr
    assert "Traceback" not in done.stderr


def test_a_receiver_without_an_inbox_cannot_be_inspected_by_serve(folder: Path) -> None:
    run("password", "users", "ann", cwd=folder, input="a good password\n")
    options = ["--inspector", "/_webhooks", "--inspector-passwords", "users"]
    done = run("serve", "app:bare", *options, "--port", str(free_port()), cwd=folder, kill_after=30)
    assert (done.returncode, "bare has no inbox" in done.stderr) == (1, True)


def test_an_open_page_holds_up_no_stop(folder: Path) -> None:
    with httpx.Client(trust_env=False) as client, inspecting("hooks.db", cwd=folder) as (url, _):
        lines = client.send(client.build_request("GET", f"{url}/live"), stream=True).iter_lines()
        assert any(line.startswith("event: changed") for line in lines)
        # `inspecting` sends Ctrl-C now, and sees it end with nothing else printed.


def test_an_open_page_holds_up_no_stop_of_a_receiver(folder: Path) -> None:
    run("password", "users", "ann", cwd=folder, input="a good password\n")
    arguments = ["--inspector", "/_webhooks", "--inspector-passwords", "users"]
    with (
        httpx.Client(trust_env=False, auth=("ann", "a good password")) as client,
        running("webhook_receiver", "serve", "app:hooks", *arguments, cwd=folder) as (url, process),
    ):
        lines = client.send(client.build_request("GET", f"{url}/_webhooks/live"), stream=True).iter_lines()
        assert any(line.startswith("event: changed") for line in lines)
        os.killpg(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=30)
        assert "Finished server process" in said
        assert "ERROR" not in said, said
