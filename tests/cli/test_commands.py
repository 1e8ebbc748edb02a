from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Literal

import httpx
import pytest
import trustme
import typer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.commands import COMMAND, run
from tests.helpers import ROOT, SECRET, free_port, noting, order, printed, running, serving
from webhook_receiver import Event, OrderFulfilled, Unsigned, WebhookReceiver
from webhook_receiver.cli import send as sending
from webhook_receiver.cli.commands import SUMMARIES, app, loaded
from webhook_receiver.cli.notification import Notifier
from webhook_receiver.cli.send import Summary
from webhook_receiver.delivery import RequestHead
from webhook_receiver.senders.stripe import stripe
from webhook_receiver.simulator.payloads import signed

MOUNTING = """
from starlette.applications import Starlette
mounting = Starlette(routes=[hooks.route("/webhooks")], lifespan=hooks.lifespan)
"""
MODULE = """
from webhook_receiver import OrderFulfilled, WebhookReceiver
hooks = WebhookReceiver(secret="{secret}")
@hooks.on_fulfilled
async def download(order: OrderFulfilled) -> None:
    print("downloading", order.order_id, flush=True)
"""


def on_a_terminal(*arguments: str, columns: int = 120) -> tuple[int, str]:
    """Run a command on a pseudo terminal; return its exit code and what a person would see."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": str(columns)}
    process = subprocess.Popen([*COMMAND, *arguments], stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    shown = b""
    while True:
        try:
            shown += os.read(ours, 65536)
        except OSError:  # how Linux says that the other end is closed
            break
    os.close(ours)
    return process.wait(), shown.decode()


def serve(directory: Path, *options: str) -> AbstractContextManager[tuple[str, subprocess.Popen[str]]]:
    directory.joinpath("app.py").write_text(MODULE.format(secret=SECRET), encoding="utf-8")
    return running("webhook_receiver", "serve", "app:hooks", *options, cwd=directory)


def test_the_demo_shows_what_became_of_everything_and_ends_well() -> None:
    done = run("demo")
    assert (done.returncode, done.stderr) == (0, "")
    assert "17 of 17 cases ended as expected." in done.stdout
    lines = done.stdout.splitlines()
    assert re.split(r"  +", lines[3]) == ["", "what is delivered", "response", "in the inbox"]
    rows = [tuple(re.split(r"  +", line)[1:]) for line in lines if line.startswith("ok ")]
    assert rows[:-1] == [
        ("its webhook is created and tested", "202", "download: done"),
        ("order fulfilled", "202", "download: done"),
        ("order failed permanently", "202", "alert: done"),
        ("another status of an order", "202", "other: done"),
        ("delivered twice", "200, 202", "download: done"),
        ("an event nobody knows", "202", "other: done"),
        ("its handler fails twice", "202", "download: done, 3 attempts"),
        ("its handler gives up", "202", "download: dead"),
        ("signed, but not JSON", "202", "dead"),
        ("forged: with another secret", "401", "-"),
        ("forged: not signed at all", "401", "-"),
        ("forged: with another body", "401", "-"),
        ("stale: signed an hour ago", "401", "-"),
        ("oversized: more than 1 MiB", "413", "-"),
        ("a backfill finds what was missed", "never", "4 times download: done"),
        ("the dead letter is replayed", "-", "download: done, 2 attempts"),
    ]
    case, responses, stored = rows[-1]
    assert (case, responses) == ("kill -9 with 12 just acknowledged", "12 times 202")
    assert stored == "12 left, 12 done later"
    assert lines[-1].endswith(" -m webhook_receiver dev quickstart:hooks")  # what is next
    assert max(map(len, lines[:-1])) <= 80
    assert "\x1b" not in done.stdout


def test_the_demo_for_programs_prints_json_and_nothing_else() -> None:
    done = run("demo", "--json")
    assert done.returncode == 0
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(results) == 17
    assert all(result["ok"] for result in results)


def test_the_demo_is_coloured_on_a_terminal() -> None:
    code, shown = on_a_terminal("demo")
    assert code == 0
    assert "\x1b[32m" in shown


def test_the_demo_fails_when_an_answer_is_wrong() -> None:
    broken = "import webhook_receiver.cli.demo as d; scheme = d.UP42Signature;"
    broken += "d.UP42Signature = lambda secret: scheme('another');"
    broken += "from webhook_receiver.cli import main; import sys; sys.argv[1:] = ['demo']; main()"
    done = subprocess.run([sys.executable, "-c", broken], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "BAD  an event nobody knows" in done.stdout
    assert "expected: 202, other: done" in done.stdout
    assert "15 of 17" in done.stdout


SLOWLY = """
import asyncio, contextlib, sys
import webhook_receiver.cli.demo as d
notify = d.Demo._notify

async def slowly(self, order, faults):
    found = await notify(self, order, faults)
    if order.get("displayName") == d.SLOW:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2):
                await self._until_finished()
    return found

d.Demo._notify = slowly
d.CASES = ()
sys.argv[1:] = ["demo", "--json"]
from webhook_receiver.cli import main; main()
"""


def test_the_demo_kills_the_receiver_before_a_handler_is_done_however_long_that_takes() -> None:
    done = subprocess.run([sys.executable, "-c", SLOWLY], capture_output=True, text=True, timeout=60, check=False)
    killed = json.loads(done.stdout.splitlines()[-1])
    assert (killed["inbox"], killed["ok"]) == ("12 left, 12 done later", True)


def test_the_demo_that_keeps_running_takes_what_is_sent_and_ends_with_ctrl_c() -> None:
    process = subprocess.Popen(
        [*COMMAND, "demo", "--keep-running"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        command = printed(process, "webhook_receiver order").splitlines()[-1]
        assert subprocess.run(command, shell=True, timeout=60, check=False).returncode == 0
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 0


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_demo_that_is_interrupted_leaves_no_process_and_is_no_success(end: signal.Signals) -> None:
    process = subprocess.Popen(
        [*COMMAND, "demo"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        shown = printed(process, "order fulfilled")
    finally:
        process.send_signal(end)
        process.communicate(timeout=60)
    assert process.returncode == 130
    for address in re.findall(r"http://127\.0\.0\.1:\d+", shown):
        with pytest.raises(httpx.ConnectError):
            httpx.get(address, trust_env=False)
    assert len(re.findall(r"http://", shown)) == 2


def test_a_port_that_is_taken_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run("demo", "--port", str(taken.getsockname()[1]))
    assert done.returncode == 2
    assert "Address already in use" in done.stderr


def test_serve_receives_what_send_sends(tmp_path: Path) -> None:
    with serve(tmp_path) as (url, process):
        assert run("send", f"{url}/webhooks", "--secret", SECRET, "--order-id", "o-7").returncode == 0
        assert "downloading o-7" in printed(process, "OrderFulfilled: app:download")
        rejected = run("send", f"{url}/webhooks", "--secret", "another")
        said, advice = rejected.stdout.splitlines()[1:]
        assert (rejected.returncode, said) == (1, "the receiver says: The signature was rejected")
        assert advice.startswith("is --secret the one that the receiver has? It was signed as UP42 does: --sender")
        assert "no secret gives this signature" in printed(process, "up42 rejected a request: BadSignature")
        assert "serve` puts it at /webhooks" in run("send", url, "--secret", SECRET).stdout
        health = httpx.get(f"{url}/healthz", trust_env=False)
        assert (health.status_code, health.json()["ok"], health.json()["state"]) == (200, True, "working")


def test_serve_logs_nothing_of_what_a_stranger_asks_for(tmp_path: Path) -> None:
    with serve(tmp_path) as (url, process):
        upgrade = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
        for more in ("", f"{upgrade}sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"):
            with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as sock:
                sock.sendall(f"GET /webhooks/?STRANGER HTTP/1.1\r\nhost: x\r\n{more}\r\n".encode())
                assert sock.recv(100).startswith(b"HTTP/1.1 405")
        assert run("send", f"{url}/webhooks", "--secret", SECRET).returncode == 0
        assert "STRANGER" not in printed(process, "OrderFulfilled: app:download")


def test_serve_says_where_and_with_which_handlers(tmp_path: Path) -> None:
    tmp_path.joinpath("app.py").write_text(MODULE.format(secret=SECRET), encoding="utf-8")
    process = subprocess.Popen(
        [*COMMAND, "serve", "app", "--port", "0", "--path", "/in"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        first = printed(process, "app receives")
        assert "at /in, on a free port; handlers: app:download" in first
        assert SECRET not in printed(process, "Uvicorn running")
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)


def test_serve_with_several_workers(tmp_path: Path) -> None:
    with serve(tmp_path, "--workers", "2") as (url, process):
        printed(process, "Application startup complete")  # the second one's
        assert run("send", f"{url}/webhooks", "--secret", SECRET, "--count", "20", "--concurrency", "4").returncode == 0


def test_serve_starts_anew_when_a_file_changes(tmp_path: Path) -> None:
    started = threading.Event()

    def save() -> None:
        while not started.is_set():  # once more, if it was not looking yet: on a busy machine that takes its time
            tmp_path.joinpath("app.py").write_text(MODULE.format(secret="changed"), encoding="utf-8")
            started.wait(10)

    with serve(tmp_path, "--reload") as (url, process):
        saving = threading.Thread(target=save)
        saving.start()
        printed(process, "Application startup complete")
        started.set()
        saving.join()
        assert run("send", f"{url}/webhooks", "--secret", "changed").returncode == 0


def test_serve_over_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    options = ("--ssl-certfile", str(tmp_path / "cert.pem"), "--ssl-keyfile", str(tmp_path / "key.pem"))
    with serve(tmp_path, *options) as (url, _):
        url = url.replace("http:", "https:")
        assert run("send", f"{url}/webhooks", "--secret", SECRET, "--insecure").returncode == 0
        untrusted = run("send", f"{url}/webhooks", "--secret", SECRET)
        assert untrusted.returncode == 1
        assert "CERTIFICATE_VERIFY_FAILED" in untrusted.stdout
        assert "trust its certificate with SSL_CERT_FILE" in untrusted.stdout
        environment = {**os.environ, "SSL_CERT_FILE": str(tmp_path / "ca.pem")}
        assert run("send", f"{url}/webhooks", "--secret", SECRET, env=environment).returncode == 0


@pytest.mark.parametrize(
    ("target", "complaint"),
    [
        ("nowhere:hooks", "there is no module 'nowhere'"),
        ("nowhere.at.all:hooks", "there is no module 'nowhere.at.all'"),
        ("app:missing", "app has nothing called missing; it has app:hooks"),
        ("app:mounting", "mounting in app is not a WebhookReceiver but an app, which uvicorn serves; it has app:hooks"),
        ("secrets:hooks", "secrets has nothing called hooks: it is the module at /"),
        ("app:download", "download in app is not a WebhookReceiver; it has app:hooks"),
        ("app.py:other", "app has nothing called other; it has app:hooks"),
        ("bad:hooks", "bad is not configured correctly: a receiver needs the secret"),
        ("ends:hooks", "ends cannot be imported: SystemExit: 4"),
        ("app:hooks.more", "'app:hooks.more' is not of the form module:hooks"),
        (":hooks", "':hooks' is not of the form module:hooks"),
        ("host=db password=hush dbname=hooks", "what is given is not of the form module:hooks"),
        ("postgresql:hush@db/hooks", "what is given is not of the form module:hooks"),
        ("./app.py:hooks", "is not of the form module:hooks"),
        ("../app:hooks", "is not of the form module:hooks"),
        ("app:hooks:more", "is not of the form module:hooks"),
    ],
)
def test_serve_says_what_is_wrong_with_its_target(tmp_path: Path, target: str, complaint: str) -> None:
    tmp_path.joinpath("app.py").write_text(f"{MODULE.format(secret=SECRET)}{MOUNTING}", encoding="utf-8")
    tmp_path.joinpath("bad.py").write_text(
        "import webhook_receiver\nwebhook_receiver.WebhookReceiver()", encoding="utf-8"
    )
    tmp_path.joinpath("ends.py").write_text("raise SystemExit(4)", encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "300"}
    done = run("serve", target, "--port", "0", cwd=tmp_path, env=environment)
    assert (done.returncode, done.stdout) == (2, "")
    assert complaint in " ".join(done.stderr.split())
    assert "URL" not in done.stderr  # which `serve` does not take


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--path", "webhooks"], "'webhooks' does not"),
        (["--path", "/{x:nope}"], "is not a path to serve at"),
        (["--path", "/healthz/"], "the health check is at /healthz"),
        (["--path", "/healthz/live"], "the health check is at /healthz"),
        (["--ssl-certfile", __file__], "cannot serve TLS: one of the files holds no certificate"),
        (["--ssl-certfile", str(Path(__file__).parent)], "is a directory"),
        (["--ssl-certfile", "nowhere.pem"], "does not exist"),
        (["--reload", "--workers", "2"], "one process only"),
        (["--ssl-keyfile", __file__], "a key needs its certificate"),
        (["--port", "70000"], "Invalid value for '--port'"),
    ],
)
def test_serve_rejects_options_that_do_not_go_together(options: list[str], complaint: str) -> None:
    done = run("serve", "app:hooks", *options)
    assert done.returncode == 2
    assert complaint in " ".join(done.stderr.split())


def test_send_makes_the_delivery_it_is_told_to(tmp_path: Path) -> None:
    noted = noting(clock=None)
    with serving(noted.hooks) as url:
        secret = tmp_path / "secret"
        secret.write_text(f"{SECRET}\n", encoding="utf-8")
        sent = run(
            *("send", url, "--secret-file", str(secret), "--event", "parcel", "--status", "LOST", "--order-id", "7"),
            *("--set", "body.n=1", "--set", "body.text=one", "--set", "top.deep=[true]"),
        )
        assert (sent.returncode, sent.stderr) == (0, "")
        data = tmp_path / "data.json"
        data.write_bytes(order(orderId="from the file"))
        assert run("send", url, "--data", str(data), env={**os.environ, "WEBHOOK_SECRET": SECRET}).returncode == 0
        stdin = run("send", url, "--secret", SECRET, "--data", "-", "--set", "body.orderId=9", input=order().decode())
        assert stdin.returncode == 0
    first, second, third = noted.events
    body = first.model_dump()["body"]
    assert (first.event, body.pop("updatedAt")[-1]) == ("parcel", "Z")
    assert body == {"orderId": "7", "status": "LOST", "n": 1, "text": "one"}
    assert first.model_extra == {"top": {"deep": [True]}}
    assert isinstance(second, OrderFulfilled)
    assert isinstance(third, OrderFulfilled)
    assert (second.order_id, third.order_id) == ("from the file", "9")


def test_send_forges_dates_back_and_leaves_the_signature_out() -> None:
    noted = noting(clock=None)
    with serving(noted.hooks) as url:
        for options in (["--forge"], ["--secret", SECRET, "--stale"], []):
            done = run("send", url, *options)
            assert done.returncode == 1
            assert ("it was not signed: give --secret" in done.stdout) is (options == [])
    assert noted.hooks.rejected == {"BadSignature": 1, "StaleSignature": 1, "MissingSignature": 1}


IN_BODY = ("razorpay", "square", "http-message")
"""Senders whose bodies have the event's name."""

OTHERS = """
from typing import Literal
from webhook_receiver import Event, HMACBody, Secret, Sender, WebhookReceiver
from webhook_receiver.senders.github import github
from webhook_receiver.senders.shopify import shopify
from webhook_receiver.senders.stripe import stripe
from pydantic import Field

class Push(Event, frozen=True):
    event: Literal["push"]
    ref: str

class Parcel(Event, frozen=True):
    event: Literal["parcel.delivered"]
    number: int

class Ordered(Event, frozen=True):
    event: Literal["orders/create"]
    id: int

class Charged(Event, frozen=True):
    event: Literal["charge.succeeded"] = Field(alias="type")
    id: str

scheme = HMACBody("acme's own", signature="x-acme-signature")
acme = WebhookReceiver(sender=Sender(name="acme", scheme=scheme, facts=("its documents",)))
named = WebhookReceiver(sender=Sender(name="named", scheme=scheme, facts=("its",), event_header="X-Event"))
hub = WebhookReceiver(sender=github("the hub's"))
money = WebhookReceiver(sender=stripe("whsec_the_money"))
up42 = WebhookReceiver(secret="in the code")
shop = WebhookReceiver(sender=shopify("the shop's"), inbox="memory://")
kept = WebhookReceiver(sender=github("kept"), inbox="memory://")
paid = WebhookReceiver(sender=stripe("whsec_paid"), inbox="memory://")

@hub.on(Push)
async def build(push: Push) -> None: ...

@kept.on(Push)
async def keep(push: Push) -> None: ...

@shop.on(Ordered)
async def pack(order: Ordered) -> None: ...

@paid.on(Charged)
async def book(charge: Charged) -> None: ...

@acme.on(Parcel)
async def unpack(parcel: Parcel) -> None: ...
"""


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a module of receivers of several senders."""
    folder = tmp_path_factory.mktemp("others")
    folder.joinpath("others.py").write_text(OTHERS, encoding="utf-8")
    return folder


def receivers_in(folder: Path) -> dict[str, Any]:
    """Run the module in this process, too: what serves has the same secrets as what sends."""
    module = ModuleType("others")
    sys.modules["others"] = module  # where pydantic looks for what an annotation names
    try:
        exec(folder.joinpath("others.py").read_text(encoding="utf-8"), vars(module))
    finally:
        del sys.modules["others"]
    return vars(module)


@pytest.mark.parametrize("name", ["hub", "acme", "up42"])
def test_send_signs_as_the_receivers_own_sender_does_and_sends_what_a_handler_is_there_for(
    name: str, others: Path
) -> None:
    hooks = receivers_in(others)[name]
    with serving(hooks) as url:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "WEBHOOK_SECRET": "of something else"}
        sent = run("send", url, "--hooks", f"others:{name}", cwd=others, env=environment)
        assert (sent.returncode, sent.stdout[:3]) == (0, "204"), sent.stdout + sent.stderr
        forged = run("send", url, "--hooks", f"others:{name}", "--forge", cwd=others, env=environment)
        assert (forged.returncode, forged.stdout[:3]) == (1, "401"), forged.stdout + forged.stderr
    assert hooks.rejected == {"BadSignature": 1}


@pytest.mark.parametrize("name", ["kept", "shop", "paid"])
def test_send_makes_each_event_a_new_one_and_no_duplicate(name: str, others: Path) -> None:
    with serving(receivers_in(others)[name]) as url:
        for _ in range(2):
            sent = run("send", url, "--hooks", f"others:{name}", "--count", "3", "--json", cwd=others)
            assert json.loads(sent.stdout)["responses"] == {"202 Accepted": 3}, sent.stdout + sent.stderr


def test_send_makes_an_event_that_forbids_what_it_does_not_declare_without_a_new_id() -> None:
    class Strict(Event, frozen=True, extra="forbid"):
        event: Literal["strict"]

    hooks = WebhookReceiver(sender=stripe("whsec_s"))
    hooks.on(Strict)(_ignore)
    assert Notifier.of_receiver(hooks).document("strict", None, None) == {"type": "strict"}


async def _ignore(_: Event) -> None: ...


def test_send_signs_as_a_sender_by_its_name(others: Path) -> None:
    hooks = receivers_in(others)
    with serving(hooks["hub"]) as url:
        for options, bare in ((["push", "--set", "ref=main"], False), (["ping"], False), (["star"], True)):
            done = run("send", url, "--as", "github", "--secret", "the hub's", "--event", *options)
            assert (done.returncode, "the event has only a name and an id" in done.stdout) == (0, bare)
        own = run("send", url, "--hooks", "others:hub", cwd=others)
        assert (own.returncode, "only a name" in own.stdout) == (0, False)
        wrong = run("send", url, "--secret", "the hub's")
        assert "It was signed as UP42 does: --sender NAME, or --hooks MODULE:HOOKS" in wrong.stdout
        wrong = run("send", url, "--hooks", "others:money", "--event", "push", cwd=others)
        assert "is this the receiver that is served there" in wrong.stdout
    with serving(hooks["money"]) as url:
        money = ["--sender", "stripe", "--secret", "whsec_the_money"]
        assert run("send", url, *money, "--set", "type=charge.succeeded").returncode == 0  # which is its name there
        assert run("send", url, *money, "--event", "charge.succeeded", "--stale").stdout.startswith("401")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--hooks", "others:named"], "named names the event in the header X-Event: say which with --event NAME"),
        *((["--sender", name], f"{name} names the event in the body: say which with --event NAME") for name in IN_BODY),
        (["--hooks", "others:acme", "--challenge"], "acme asks for no answer before it delivers"),
        (["--sender", "slack", "--challenge", "--forge"], "a challenge has no event, and is not forged"),
        (["--sender", "github", "--header", "X-A"], "'X-A' is not of the form NAME: VALUE"),
        (["--sender", "github", "--header", "X A: 7"], "'X A: 7' is not of the form NAME: VALUE"),
        (["--sender", "github", "--event", "push", "--status", "FULFILLED"], "only UP42's notifications have an order"),
        (["--sender", "github", "--secret", "s", "--event", "push", "--stale"], "signatures of github state no time"),
        (
            ["--sender", "standard-webhooks", "--secret", "not base64!", "--event", "a"],
            "Invalid value for the secret: a secret",
        ),
        (["--hooks", "others:hub", "--secret", "s"], "a receiver has its own sender and secret"),
        (["--hooks", "others:hub", "--sender", "github"], "a receiver has its own sender and secret"),
        (["--hooks", "others:nothing"], "others has nothing called nothing"),
    ],
)
def test_send_says_what_does_not_go_together_of_senders(options: list[str], complaint: str, others: Path) -> None:
    done = run("send", "http://127.0.0.1:9/", *options, cwd=others)
    assert (done.returncode, done.stdout) == (2, "")
    assert complaint in " ".join(done.stderr.split())


@pytest.mark.parametrize("name", ["demo", "dev", "inspect", "poll", "serve", "worker"])
def test_what_windows_cannot_end_is_rejected_there_at_the_start(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webhook_receiver.cli.commands.sys", SimpleNamespace(platform="win32"))
    with pytest.raises(Exception, match=f"{name} needs Linux or macOS.*: run it in WSL or in a container"):
        typer.main.get_command(app).main([name, "no_such_module:hooks"], standalone_mode=False)


def test_what_windows_can_do_is_done_there(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("webhook_receiver.cli.commands.sys", SimpleNamespace(platform="win32"))
    typer.main.get_command(app).main(["senders", "--json"], standalone_mode=False)
    assert "stripe" in capsys.readouterr().out


@pytest.mark.parametrize(("old", "new"), [("sender", "simulator"), ("mischief", "faults")])
def test_a_command_that_was_renamed_says_how_it_is_called_now(old: str, new: str) -> None:
    done = run(old)
    assert done.returncode == 2
    assert f"No such command '{old}': it is called '{new}' now." in done.stderr


def test_bytes_that_are_no_utf_8_are_sent_as_they_are_given() -> None:
    bodies: list[bytes] = []

    async def take(request: Request) -> Response:
        bodies.append(await request.body())
        return Response(status_code=202)

    with serving(Starlette(routes=[Route("/in", take, methods=["POST"])])) as url:
        done = run("send", f"{url}/in", "--secret", SECRET, "--data", '{"event": "a", "n": "\udcff"}')
    assert (done.returncode, bodies) == (0, [b'{"event": "a", "n": "\xff"}']), done.stderr


def test_send_tells_people_and_programs_what_was_answered() -> None:
    noted = noting(clock=None)
    many = ("--secret", SECRET, "--count", "50", "--concurrency", "5")
    with serving(noted.hooks) as url:
        piped = run("send", url, *many)
        told = run("send", url, *many, "--json")
        code, shown = on_a_terminal("send", url, *many)
    assert piped.returncode == told.returncode == code == 0
    assert piped.stdout.startswith("204 No Content\t50\nmin ")
    assert "50 sent in " in piped.stdout
    summary = json.loads(told.stdout)
    assert (summary["sent"], summary["rejected"], summary["responses"]) == (50, 0, {"204 No Content": 50})
    latency = summary["latency_ms"]
    assert 0 < latency["min"] <= latency["p50"] <= latency["p95"] <= latency["p99"] <= latency["max"]
    assert "50/50" in shown
    assert "deliveries" in shown
    ids = {event.order_id for event in noted.events if isinstance(event, OrderFulfilled)}
    assert len(ids) == len(noted.events) == 150


def test_send_takes_odd_text_and_an_odd_environment() -> None:
    noted = noting(clock=None)
    environment = {**os.environ, "ALL_PROXY": "socks5://127.0.0.1:1", "HTTP_PROXY": "http://127.0.0.1:1"}
    deep = "[" * 100_000
    with serving(noted.hooks) as url:
        for odd in ('body.x="\\ud800"', "body.x=é鍵", f"body.x={deep}"):
            assert run("send", url, "--secret", SECRET, "--set", odd, env=environment).returncode == 0
    assert len(noted.events) == 3
    rejected = run("send", "http://192.0.2.1/", env={**environment, "COLUMNS": "300"})
    assert rejected.returncode == 2
    assert "the environment's proxy or certificates cannot be used" in rejected.stderr


def test_send_says_when_nobody_responds() -> None:
    port = free_port()
    done = run("send", f"http://127.0.0.1:{port}/", "--json")
    assert done.returncode == 1
    (answer,) = json.loads(done.stdout)["responses"]
    assert answer.startswith("no response: ")
    assert "is the receiver running" in run("send", f"http://127.0.0.1:{port}/").stdout


def test_send_stops_at_ctrl_c_and_tells_how_far_it_came() -> None:
    noted = noting(clock=None)
    with serving(noted.hooks) as url:
        process = subprocess.Popen(
            [*COMMAND, "send", url, "--secret", SECRET, "--count", "1000000", "--json"],
            stdout=subprocess.PIPE,
            text=True,
        )
        while len(noted.events) < 10:
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        stdout, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert 0 < json.loads(stdout)["sent"] < 1_000_000


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["ftp://host/"], "is not of the form http://host/path"),
        (["localhost:8000"], "is not of the form http://host/path"),
        (["http://h:port/"], "is not a URL"),
        (["http://h/", "--set", "nothing"], "'nothing' is not of the form body.key=value"),
        (["http://h/", "--set", "event.deeper=1"], "'event' in 'event.deeper' is not an object"),
        (["http://h/", "--data", __file__, "--status", "PLACED"], "a file has its own event, status and order id"),
        (["http://h/", "--data", "/not/there"], "cannot read /not/there: No such file"),
        (["http://h/", "--data", __file__, "--set", "a=1"], "--set needs JSON in --data"),
        (["http://h/", "--secret", ""], "a secret must not be empty"),
        (["http://h/", "--secret-file", "/not/there"], "cannot read a secret from /not/there"),
        (["http://h/", "--secret", "a", "--secret-file", "b"], "give --secret or --secret-file, not both"),
        (["http://h:99999/"], "there is no port 99999"),
        (["http://h/", "--count", "0"], "Invalid value for '--count'"),
    ],
)
def test_send_rejects_what_makes_no_sense_before_it_sends(arguments: list[str], complaint: str) -> None:
    done = run("send", *arguments, env={**os.environ, "COLUMNS": "300"})
    assert (done.returncode, done.stdout) == (2, "")
    assert complaint in " ".join(done.stderr.split())


HEAVY = [
    "asyncio",
    "httpx",
    "pydantic",
    "rich",
    "starlette",
    "uvicorn",
    "webhook_receiver.receiver",
    "webhook_receiver.senders",
]
GROUPS = {"inbox": "ls", "order": "create", "webhooks": "ensure"}
LISTED = typer.main.get_command(app)
NAMES: list[str] = list(getattr(LISTED, "commands", ()))
EVERY = [[], *([name] for name in NAMES), *([group, name] for group in GROUPS for name in loaded(group).commands)]


@pytest.mark.parametrize("command", ["", *(f"{name} {GROUPS.get(name, '')}".strip() for name in NAMES)])
def test_a_command_reads_its_arguments_before_it_imports_what_it_works_with(command: str) -> None:
    code = (
        "import sys; from webhook_receiver.cli.commands import app\n"
        f"try: app({[*command.split(), '-h']})\n"
        f"finally: print('imported:', [name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "imported: []"


@pytest.mark.parametrize("name", NAMES)
def test_the_list_of_commands_has_the_first_sentence_of_each(name: str) -> None:
    own = re.split(r"(?<=\.)\s", str(loaded(name).help))[0]
    assert SUMMARIES[name] == own
    assert len(f"  {'simulator'}  {own}") <= 80  # nothing of it is cut


@pytest.mark.parametrize("command", ["", *NAMES, *(f"{group} {name}" for group, name in GROUPS.items())])
def test_the_help_fits_a_terminal_of_80_columns_and_is_cut_nowhere(command: str) -> None:
    code, shown = on_a_terminal(*command.split(), "-h", columns=80)
    assert code == 0
    assert max(map(len, shown.splitlines())) <= 80
    assert not any(line.endswith("...") for line in shown.splitlines() if not line.startswith("Usage: "))
    assert "\x1b" not in shown


def test_the_help_of_every_command_calls_values_by_names_and_is_as_wide_as_can_be_read() -> None:
    code = (
        f"from webhook_receiver.cli.commands import app\nfor each in {EVERY}: app([*each, '-h'], standalone_mode=False)"
    )
    pages: dict[int, str] = {}
    for columns in (60, 80, 200):
        environment = {**os.environ, "COLUMNS": str(columns)}
        pages[columns] = subprocess.check_output([sys.executable, "-c", code], text=True, env=environment)
        assert max(map(len, pages[columns].splitlines())) <= min(columns, 100)
    assert len(pages[60].splitlines()) > len(pages[80].splitlines()) > len(pages[200].splitlines())
    assert re.search(r"<\w|list\[|range|\{|\[\[", pages[80]) is None
    assert "--port PORT" in pages[80]
    assert "inbox pause [OPTIONS] WHERE HANDLER" in pages[80]
    assert "inbox replay [OPTIONS] WHERE [ID]..." in pages[80]


def test_help_version_and_completion_are_there() -> None:
    assert "demo" in run("--help").stdout
    assert run("inbox", "ls", "-h").stdout == run("inbox", "ls", "--help").stdout
    assert re.fullmatch(r"webhook-receiver \d+\.\d+\.\d+\n", run("--version").stdout)
    assert "--install-completion" in run("--help").stdout


def test_a_missing_extra_is_named() -> None:
    without = "import sys; sys.modules['typer'] = None; from webhook_receiver.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", without], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert (
        done.stderr == "webhook-receiver needs typer: install it with  pip install 'asgi-webhook-receiver[standard]'\n"
    )


async def test_send_posts_to_the_url_that_the_signed_head_says() -> None:
    scheme = Unsigned(token_in_path="sS6-4Vd_bB.q~0123456789")
    noted, summary, body = noting(scheme=scheme), Summary(), order()

    def request(head: RequestHead) -> tuple[RequestHead, bytes]:
        return head, body

    with serving(noted.hooks) as url:
        for path in ("", "/in", "/in/?from=here"):
            to = url + path
            client = sending.client(to, 30, 1, check_tls=True)
            head = signed(body, scheme, now=0, url=to)
            await sending.send(summary, client, to, partial(request, head), count=1, concurrency=1)
    assert (summary.responses, len(noted.events)) == ({"204 No Content": 3}, 3)
