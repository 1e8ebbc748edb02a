"""`dev`: one command starts a receiver and a simulator, tells what goes between them, and ends both."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.commands import COMMAND, run
from tests.helpers import ROOT, SECRET, free_ports, printed

MODULE = """
import os
from webhook_receiver import Attempt, OrderFailedPermanently, OrderFulfilled, Secret, WebhookReceiver
from webhook_receiver.options import WorkerOptions
from webhook_receiver import Backoff

hooks = WebhookReceiver(
    secret=SECRET, inbox=INBOX, worker=WorkerOptions(poll=0.05, backoff=Backoff(first=0.01, longest=0.01, attempts=3))
)

@hooks.on(OrderFulfilled, name="download")
async def download(order: OrderFulfilled, attempt: Attempt) -> None:
    if attempt.number == 1:
        raise ConnectionError("storage is down")

@hooks.on(OrderFailedPermanently, name="alert")
async def alert(order: OrderFailedPermanently) -> None:
    print("the API is at", os.environ["UP42_URL"], "and no token is set:", "UP42_TOKEN" not in os.environ)
"""


def module(
    folder: Path, *, secret: str = 'Secret.from_env("WEBHOOK_SECRET")', inbox: str = "sqlite:///hooks.db"
) -> None:
    text = MODULE.replace("secret=SECRET", f"secret={secret}").replace("inbox=INBOX", f"inbox={inbox!r}")
    folder.joinpath("app.py").write_text(text, encoding="utf-8")


ELSEWHERE = {name: value for name, value in os.environ.items() if name != "WEBHOOK_SECRET"} | {"PYTHONPATH": str(ROOT)}
"""The environment of another terminal."""


@dataclass
class Dev:
    process: subprocess.Popen[str]
    url: str
    simulator: str
    inspector: str

    def until(self, text: str) -> str:
        return printed(self.process, text)

    def documents(self) -> Iterator[dict[str, Any]]:
        while True:
            yield json.loads(printed(self.process, "{").splitlines()[-1])

    def order(self, status: str) -> None:
        assert run("order", "create", "--status", status, "--simulator", self.simulator).returncode == 0


def _on_free_ports() -> list[str]:
    port, simulator_port, inspector_port = map(str, free_ports(3))
    return ["--port", port, "--simulator-port", simulator_port, "--inspector-port", inspector_port]


@contextmanager
def dev(folder: Path, *options: str, target: str = "app:hooks", **environment: str) -> Generator[Dev]:
    """Run it until this is left; then it has to end as it should on Ctrl-C, and leave no process."""
    at = _on_free_ports()
    process = subprocess.Popen(
        [*COMMAND, "dev", target, *at, *options],
        cwd=folder,
        env={**ELSEWHERE, "PYTHONUNBUFFERED": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if "--json" not in options else subprocess.DEVNULL,
        text=True,
    )
    ran = Dev(process, *(f"http://127.0.0.1:{port}" for port in at[1::2]))
    try:
        yield ran
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert process.returncode == 0
        for address in (ran.url, ran.simulator, ran.inspector):
            with pytest.raises(httpx.ConnectError):
                httpx.get(address, trust_env=False)
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_it_tells_each_delivery_with_its_answer_its_handlers_and_their_time(tmp_path: Path) -> None:
    module(tmp_path)
    with dev(tmp_path) as loop:
        told = loop.until("1 of 1 succeeded")
        assert told.splitlines()[0] == f"the inspector is at {loop.inspector}/"
        assert f"your receiver is at {loop.url}/webhooks" in told
        assert f"a simulator of UP42 that delivers to it is at {loop.simulator}" in told
        loop.order("FAILED_PERMANENTLY")
        told = loop.until("FAILED_PERMANENTLY: alert done after ")
        told += "" if ": 202 in " in told else loop.until(": 202 in ")  # another thread tells of the answer
        assert f"the API is at {loop.simulator} and no token is set: True" in told


def test_a_failed_attempt_is_told_with_its_error(tmp_path: Path) -> None:
    module(tmp_path)
    with dev(tmp_path) as loop:
        told = loop.until("FULFILLED: download done after ")  # the test of the webhook is an order that is fulfilled
        assert "FULFILLED: download failed after" in told
        assert "ConnectionError: storage is down" in told
        assert told.splitlines()[-1].endswith("ms, attempt 2")


def test_for_programs_it_prints_json_and_nothing_else(tmp_path: Path) -> None:
    module(tmp_path)
    with dev(tmp_path, "--json") as loop:
        documents = loop.documents()
        assert next(documents) == {"inspector": f"{loop.inspector}/"}
        first = next(documents)
        assert (first["url"], first["simulator"]) == (f"{loop.url}/webhooks", loop.simulator)
        told = [next(document for document in documents if document.get("state") == "done")]
        assert (told[0]["handler"], told[0]["attempts"]) == ("download", 2)


def test_a_handler_that_was_changed_is_taken_over(tmp_path: Path) -> None:
    module(tmp_path)
    with dev(tmp_path) as loop:
        loop.until("1 of 1 succeeded")
        changed = tmp_path.joinpath("app.py").read_text(encoding="utf-8").replace('"the API is at"', '"changed"')
        tmp_path.joinpath("app.py").write_text(changed, encoding="utf-8")
        loop.until("Application startup complete")
        loop.order("FAILED_PERMANENTLY")
        loop.until("changed ")


def pasted(told: str, folder: Path) -> Iterator[subprocess.CompletedProcess[str]]:
    """Run each command that was printed, in another terminal."""
    for line in told.splitlines():
        if line.startswith("  ") and " -m webhook_receiver " in line:
            yield subprocess.run(
                line, shell=True, cwd=folder, env=ELSEWHERE, capture_output=True, text=True, timeout=60, check=False
            )


def test_the_commands_that_it_prints_can_be_pasted(tmp_path: Path) -> None:
    module(tmp_path)
    with dev(tmp_path) as loop:
        ran = [*pasted(loop.until("1 of 1 succeeded"), tmp_path)]
        assert [(each.returncode, each.stderr) for each in ran] == [(0, "")] * 8, ran
        assert ran[-2].stdout.startswith("202 Accepted")
        assert len(ran[-1].stdout.splitlines()) >= 3  # one is the test of the webhook


def test_its_deliveries_are_kept_apart_from_those_of_production(tmp_path: Path) -> None:
    module(tmp_path, inbox=f"sqlite:///{tmp_path}/hooks.db")
    with dev(tmp_path) as loop:
        assert "deliveries are kept in hooks.dev.db" in loop.until("download done after ")
    assert tmp_path.joinpath("hooks.dev.db").exists()
    assert not tmp_path.joinpath("hooks.db").exists()


def test_a_webhook_with_the_secret_of_the_guide_is_accepted(tmp_path: Path) -> None:
    module(tmp_path)
    with dev(tmp_path) as loop:
        loop.until("1 of 1 succeeded")
        api = {**ELSEWHERE, "UP42_URL": loop.simulator, "UP42_USERNAME": "me", "UP42_PASSWORD": "anything"}
        ensure = ["webhooks", "ensure", "--name", "images", "--url", f"{loop.url}/webhooks", "--secret", "try-me"]
        made = run(*ensure, "--json", env=api)
        tested = run("webhooks", "test", json.loads(made.stdout)["webhook"]["id"], env=api)
        assert (tested.returncode, "1 of 1 succeeded" in tested.stdout) == (0, True)


def test_a_receiver_with_a_secret_of_its_own_is_delivered_to_by_its_own_scheme(tmp_path: Path) -> None:
    module(tmp_path, secret='"another one, in the code"')
    with dev(tmp_path) as loop:
        told = loop.until("1 of 1 succeeded")
        assert all(each.returncode == 0 for each in pasted(told, tmp_path))
        assert f"send {loop.url}/webhooks --hooks app:hooks" in told
        loop.order("FAILED_PERMANENTLY")
        loop.until("FAILED_PERMANENTLY: alert done after ")


@pytest.mark.parametrize("by", ["file", "text", "environment"])
def test_a_secret_that_is_given_is_the_receivers_and_the_simulators(tmp_path: Path, by: str) -> None:
    module(tmp_path)
    tmp_path.joinpath("a secret").write_text("it's secret", encoding="utf-8")
    options = {"file": ["--secret-file", "a secret"], "text": ["--secret", "it's secret"], "environment": []}[by]
    environment = {"WEBHOOK_SECRET": "it's secret"} if by == "environment" else {}
    with dev(tmp_path, *options, **environment) as loop:
        told = loop.until("1 of 1 succeeded")
        (send,) = [line for line in told.splitlines() if " send " in line]
        if by == "environment":  # it is not printed: the other terminal needs it, too
            assert "it's" not in told
        else:
            assert [each.stdout[:3] for each in pasted(send, tmp_path)] == ["202"]


HOST = """
from contextlib import asynccontextmanager
from typing import Literal
from fastapi import APIRouter, FastAPI
from webhook_receiver import Event, OrderFulfilled, Secret, WebhookReceiver
from webhook_receiver.senders.github import github

orders = WebhookReceiver(secret=Secret.from_env("WEBHOOK_SECRET"), inbox="sqlite:///orders.db", name="orders")
hub = WebhookReceiver(sender=github("the hub's own"), inbox="postgresql://nobody@192.0.2.1/hub", name="hub")
unreached = WebhookReceiver(secret="x", inbox="sqlite:///unreached.db", name="unreached")

class Push(Event, frozen=True):
    event: Literal["push"]
    ref: str

@asynccontextmanager
async def lifespan(app):
    async with orders, hub, unreached:
        print("the host has started")
        yield
    print("the host has stopped")

app = FastAPI(lifespan=lifespan)
app.include_router(APIRouter(routes=[orders.route("/in")]), prefix="/api")
app.mount("/hub", hub)
app.routes.append(unreached.route("/of/{tenant}"))

@app.get("/hello")
def hello():
    return "the host's own page"

@orders.on(OrderFulfilled, name="download")
async def download(order: OrderFulfilled) -> None: ...

@hub.on(Push, name="build")
async def build(push: Push) -> None: ...
"""


def test_an_app_with_receivers_in_it_is_served_whole_with_its_lifespan(tmp_path: Path) -> None:
    tmp_path.joinpath("main.py").write_text(HOST, encoding="utf-8")
    with dev(tmp_path, target="main:app") as loop:
        told = loop.until("push: build done after ")
        assert "the host has started" in told
        assert f"your receiver is at {loop.url}/api/in" in told
        assert f"your receiver is at {loop.url}/hub/" in told
        assert "the receiver unreached at /of/{tenant} is served, and not tested or followed here" in told
        assert "the webhook was tested: 1 of 1 succeeded" in told
        assert "a test was sent as github does, event push: 202 Accepted" in told
        assert httpx.get(f"{loop.url}/hello", trust_env=False).json() == "the host's own page"
        page = httpx.get(f"{loop.inspector}/inbox/2/deliveries", trust_env=False).text
        assert "orders.dev.db" in page
        assert "push" in page, "what was sent to the receiver of the other inbox"
        done = [*pasted(told, tmp_path)]
        assert [each.returncode for each in done] == [0] * 10
        assert sum(each.stdout.startswith("202 Accepted") for each in done) == 2  # sent by hand, and no duplicate
    assert sorted(file.name for file in tmp_path.glob("*.db")) == [
        "orders.dev.db",
        "unreached.dev.db",
        "webhooks.dev.db",
    ]


CHAT = """
from webhook_receiver import WebhookReceiver
from webhook_receiver.senders.slack import slack

hooks = WebhookReceiver(sender=slack("the chat's own"), inbox="sqlite:///chat.db")

@hooks.fallback
async def note(event): ...
"""


def test_another_sender_is_played_with_its_challenges_and_a_sample_of_its_documents(tmp_path: Path) -> None:
    tmp_path.joinpath("chat.py").write_text(CHAT, encoding="utf-8")
    with dev(tmp_path, target="chat:hooks") as loop:
        told = loop.until("note done after ")
        assert httpx.get(f"{loop.inspector}/deliveries", trust_env=False).status_code == 200
        assert httpx.get(f"{loop.inspector}/simulator", trust_env=False).status_code == 404, "which plays UP42"
    assert "challenge 1 of 2 by POST: 200 OK in " in told
    assert "not as the sender expects" not in told
    assert "a test was sent as slack does, event app_mention: 202 Accepted" in told


IMAGES = """
from webhook_receiver import ImageryReady, WebhookReceiver
from webhook_receiver.senders.catalogue import planet_orders, skyfi
from starlette.applications import Starlette

by_path = WebhookReceiver(sender=skyfi("a-secret-path-for-tests"), name="by path")
by_url = WebhookReceiver(sender=planet_orders("try-me"), name="by url")

for hooks in (by_path, by_url):
    hooks.on(ImageryReady)(print)

app = Starlette(routes=[by_path.route("/skyfi/{token}"), by_url.route("/planet")])
"""


def test_providers_of_images_are_tested_and_the_commands_that_play_them_are_told(tmp_path: Path) -> None:
    tmp_path.joinpath("images.py").write_text(IMAGES, encoding="utf-8")
    with dev(tmp_path, target="images:app") as loop:
        told = loop.until("a test was sent as planet-orders does, event planet.order.ready: 204 No Content")
    assert "a test was sent as skyfi does, event skyfi.order.ready: 200 OK" in told
    assert f"simulator --as skyfi --port 8043 --webhook {loop.url}/skyfi/SECRET\n" in told
    host = loop.url.removeprefix("http://")
    assert f"simulator --as planet --port 8043 --webhook http://webhooks:SECRET@{host}/planet\n" in told


TOPIC = """
from webhook_receiver import WebhookReceiver
from webhook_receiver.senders.aws_sns import Notification, aws_sns

hooks = WebhookReceiver(
    sender=aws_sns("arn:aws:sns:eu-central-1:123456789012:orders"), name="topic", inbox="sqlite:///topic.db"
)

@hooks.on(Notification)
async def note(message): ...
"""


def test_a_sender_whose_key_nobody_else_has_is_played_with_one_that_only_this_receiver_trusts(tmp_path: Path) -> None:
    tmp_path.joinpath("topic.py").write_text(TOPIC, encoding="utf-8")
    with dev(tmp_path, target="topic:hooks") as loop:
        told = loop.until("note done after ")
        assert "a test was sent as aws-sns does, event Notification: 202 Accepted" in told
        (line,) = [line.strip() for line in told.splitlines() if " --key topic.dev.key" in line]
        assert line.endswith("send " + f"{loop.url}/webhooks --hooks topic:hooks --key topic.dev.key")
        (sent,) = [each for each in pasted(told, tmp_path) if " send " in str(each.args)]
        assert sent.stdout.startswith("202 Accepted"), sent.stderr
    assert stat.S_IMODE((tmp_path / "topic.dev.key").stat().st_mode) == 0o600


def test_the_secret_of_the_environment_is_the_simulators_too(tmp_path: Path) -> None:
    module(tmp_path)
    with dev(tmp_path, WEBHOOK_SECRET=SECRET) as loop:
        loop.until("1 of 1 succeeded")
        assert run("send", f"{loop.url}/webhooks", "--secret", SECRET).returncode == 0


def test_a_receiver_without_an_inbox_in_a_file_is_shown_by_its_answers(tmp_path: Path) -> None:
    module(tmp_path, inbox="memory://")
    with dev(tmp_path) as loop:
        assert "no inbox in a file or database" in loop.until("1 of 1 succeeded") + loop.until(
            "no inbox in a file or database"
        )
        loop.order("FAILED_PERMANENTLY")
        loop.until(": 202 in ")
        page = httpx.get(f"{loop.inspector}/simulator", trust_env=False).text
        assert "order 1 FAILED_PERMANENTLY" in page
        assert "no inbox in a file or database" in page


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGHUP])
def test_other_ends_leave_no_process_either(tmp_path: Path, end: signal.Signals) -> None:
    module(tmp_path)
    with dev(tmp_path) as loop:
        loop.until("1 of 1 succeeded")
        loop.process.send_signal(end)
        loop.process.communicate(timeout=60)
        assert loop.process.returncode == 0


STUCK = """
import time
from webhook_receiver import WebhookReceiver
hooks = WebhookReceiver(secret="try-me", inbox="sqlite:///hooks.db")
@hooks.fallback
async def stuck(event):
    print("the handler is stuck")
    time.sleep(3600)
"""


def test_a_second_ctrl_c_ends_at_once_and_leaves_no_process(tmp_path: Path) -> None:
    tmp_path.joinpath("app.py").write_text(STUCK, encoding="utf-8")
    with dev(tmp_path) as loop:
        loop.until("the handler is stuck")
        loop.process.send_signal(signal.SIGINT)
        loop.until("waiting for the handlers; Ctrl-C again ends at once")
        loop.process.send_signal(signal.SIGINT)
        told, _ = loop.process.communicate(timeout=20)  # whatever stays holds the pipe
        assert loop.process.returncode == 0
        assert "Traceback" not in told


def test_a_receiver_that_ends_by_itself_ends_the_loop_with_1(tmp_path: Path) -> None:
    module(tmp_path)
    with tmp_path.joinpath("app.py").open("a", encoding="utf-8") as text:
        text.write("\nimport sys\nif 'dev_server' in sys.argv[0]: raise SystemExit(3)\n")
    done = run("dev", "app:hooks", "--no-reload", *_on_free_ports(), cwd=tmp_path)
    assert done.returncode == 1
    line = len(tmp_path.joinpath("app.py").read_text(encoding="utf-8").splitlines())
    assert f"the receiver did not start: SystemExit in app.py line {line}" in done.stderr


FAILING = """
from contextlib import asynccontextmanager
from starlette.applications import Starlette
from webhook_receiver import WebhookReceiver
hooks = WebhookReceiver(secret="try-me", inbox="sqlite:///hooks.db")
@asynccontextmanager
async def lifespan(app):
    raise RuntimeError("no database")
    async with hooks:
        yield
app = Starlette(routes=[hooks.route("/in")], lifespan=lifespan)
"""


def test_why_an_app_does_not_start_is_told_at_once_and_a_change_starts_it(tmp_path: Path) -> None:
    file = tmp_path / "app.py"
    file.write_text(FAILING, encoding="utf-8")
    with dev(tmp_path, target="app:app") as loop:
        loop.until("your app does not start: RuntimeError in app.py line 8; it is started again when a file changes")
        for path in ("/simulator", "/rejected"):
            page = httpx.get(loop.inspector + path, trust_env=False).text
            assert "Your app does not start: <bdi>RuntimeError in app.py line 8</bdi>; the terminal has more." in page
        file.write_text(FAILING.replace('raise RuntimeError("no database")', ""), encoding="utf-8")
        loop.until("1 of 1 succeeded")
        assert "does not start" not in httpx.get(f"{loop.inspector}/simulator", trust_env=False).text
        file.write_text(FAILING.replace("async def lifespan", "def def lifespan"), encoding="utf-8")
        loop.until("app cannot be imported: SyntaxError")
        page, until = "", time.monotonic() + 30
        while "does not start" not in page and time.monotonic() < until:  # the log comes a little before it
            page = httpx.get(f"{loop.inspector}/simulator", trust_env=False).text
        assert "Your app does not start: <bdi>SyntaxError in app.py line 7</bdi>" in page


def test_mistakes_are_told_before_anything_starts(tmp_path: Path) -> None:
    module(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert "Address already in use" in run("dev", "app:hooks", "--port", port, cwd=tmp_path).stderr
        for option in ("--simulator-port", "--inspector-port"):
            done = run("dev", "app:hooks", *_on_free_ports(), option, port, cwd=tmp_path)
            assert "Address already in use" in done.stderr
    same = run("dev", "app:hooks", "--port", "8765", "--simulator-port", "8765", cwd=tmp_path)
    assert (same.returncode, "8765 is the receiver's: give it another one" in same.stderr) == (2, True)
    same = run("dev", "app:hooks", "--port", "0", "--simulator-port", "8765", "--inspector-port", "8765", cwd=tmp_path)
    assert (same.returncode, "8765 is the simulator's: give it another one" in same.stderr) == (2, True)
    tmp_path.joinpath("empty.py").write_text(
        "from starlette.applications import Starlette\napp, NOTHING = Starlette(), 7", encoding="utf-8"
    )
    for arguments, said in [
        (["app:nothing"], "has nothing called nothing"),
        (["app:hooks", "--retry", "soon"], "'soon' is not a span of time"),
        (["app:hooks", "--secret", SECRET, "--unsigned"], "a receiver has a secret or none"),
        (["empty:app"], "there is no receiver among the routes of empty"),
        (["empty"], "there is no receiver among the routes of empty"),
        (["empty:NOTHING"], "NOTHING in empty is not a WebhookReceiver or an app"),
    ]:
        done = run("dev", *arguments, *_on_free_ports(), cwd=tmp_path)
        assert done.returncode == 2
        assert said in " ".join(done.stderr.replace("│", " ").split())
    tmp_path.joinpath("hooks.dev.db").mkdir()
    done = run("dev", "app:hooks", *_on_free_ports(), cwd=tmp_path)
    assert (done.returncode, "app:hooks cannot start:" in done.stderr) == (1, True)


TWO = """
from contextlib import asynccontextmanager
from starlette.applications import Starlette
from webhook_receiver import WebhookReceiver
one, two = (WebhookReceiver(secret="s", inbox="sqlite:///hooks.db") for _ in "12")
@asynccontextmanager
async def lifespan(app):
    async with one, two:
        yield
app = Starlette(routes=[one.route("/1"), two.route("/2")], lifespan=lifespan)
"""


def test_two_receivers_of_one_name_are_told_in_a_sentence_before_anything_starts(tmp_path: Path) -> None:
    tmp_path.joinpath("app.py").write_text(TWO, encoding="utf-8")
    done = run("dev", "app:app", *_on_free_ports(), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("app:app cannot start: a receiver named 'up42' runs on this inbox already")
    assert done.stderr.count("\n") == 1
