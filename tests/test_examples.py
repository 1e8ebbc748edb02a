"""The examples, each run by itself as its docstring says, and sent what it is about."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Generator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from tests.commands import run
from tests.helpers import ROOT, free_port, printed, running, serving
from webhook_receiver import HMACBody, Scheme, StandardWebhooks, WebhookReceiver
from webhook_receiver.delivery import RequestHead
from webhook_receiver.senders.github import github
from webhook_receiver.senders.up42.client import WebhooksClient
from webhook_receiver.simulator import Simulator, SimulatorOptions, control_api, simulator_app
from webhook_receiver.simulator.files import content

EXAMPLES = ROOT / "examples"
SECRETS = {"WEBHOOK_SECRET": "try-me", "PARTNER_SECRET": "try-me-too"}


def example(*module: str, cwd: Path, **secrets: str) -> AbstractContextManager[tuple[str, subprocess.Popen[str]]]:
    """Serve an example in a folder where it may leave its files."""
    paths = {"PYTHONPATH": f"{ROOT}{os.pathsep}{EXAMPLES}"}
    return running(*module, cwd=cwd, environment={**SECRETS, **secrets, **paths})


def line_with(process: subprocess.Popen[str], text: str) -> str:
    return printed(process, text).splitlines(keepends=True)[-1]


def send(url: str, *options: str, secret: str = "try-me") -> int:
    return run("send", url, "--secret", secret, *options, cwd=ROOT).returncode


def test_the_quickstart(tmp_path: Path) -> None:
    with example("webhook_receiver", "serve", "tour_01_quickstart:hooks", cwd=tmp_path) as (url, process):
        assert send(f"{url}/webhooks", "--order-id", "o-7") == 0
        assert line_with(process, "download") == "ready to download: o-7\n"
        assert send(f"{url}/webhooks", "--order-id", "o-8", "--status", "FAILED_PERMANENTLY") == 0
        assert line_with(process, "failed") == "failed for good: o-8\n"


def test_the_fastapi_app(tmp_path: Path) -> None:
    with example("uvicorn", "tour_02_fastapi:app", cwd=tmp_path) as (url, _):
        assert send(f"{url}/webhooks", "--order-id", "o-7") == 0
        assert send(f"{url}/webhooks", "--order-id", "o-8", "--status", "FAILED_PERMANENTLY") == 0
        orders = orders_at(url, 2)
    assert orders["o-7"].startswith("fulfilled, as delivery ")
    assert orders["o-8"] == "failed for good"


def orders_at(url: str, count: int) -> dict[str, str]:
    """Return what the app remembers, as soon as that is so many."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        orders: dict[str, str] = httpx.get(f"{url}/orders", trust_env=False).json()
        if len(orders) >= count:
            return orders
    raise AssertionError("the handlers did not run")


def test_what_is_to_happen_exactly_once_does_so_although_the_handler_runs_twice(tmp_path: Path) -> None:
    inbox = f"sqlite:///{tmp_path}/hooks.db"
    with example("webhook_receiver", "serve", "tour_05_exactly_once:hooks", cwd=tmp_path) as (url, process):
        assert send(f"{url}/webhooks", "--order-id", "o-7") == 0
        assert line_with(process, "invoice for") == "invoice for o-7\n"
        printed(process, "tour_05_exactly_once:invoice: done")
        (listed,) = inbox_command("ls", inbox, "--json").splitlines()
        inbox_command("replay", inbox, json.loads(listed)["id"])
        assert line_with(process, "again") == "not again for o-7\n"
        printed(process, "tour_05_exactly_once:invoice: done")
    with closing(sqlite3.connect(tmp_path / "shop.db")) as shop:
        assert shop.execute("SELECT order_id FROM invoice").fetchall() == [("o-7",)]


def inbox_command(*words: str) -> str:
    done = run("inbox", *words, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_starlette_app(tmp_path: Path) -> None:
    with example("uvicorn", "tour_03_starlette:app", cwd=tmp_path) as (url, process):
        assert send(f"{url}/webhooks", "--order-id", "o-7") == 0
        assert line_with(process, "download") == "ready to download: o-7\n"
        assert (
            send(f"{url}/partner/webhooks/", "--status", "BEING_FULFILLED", "--order-id", "o-8", secret="try-me-too")
            == 0
        )
        assert line_with(process, "on its way") == "on its way: o-8\n"
        assert send(f"{url}/partner/webhooks", "--event", "job.status") == 1
        assert send(f"{url}/webhooks", "--event", "never.heard.of") == 0
        assert "never.heard.of" in line_with(process, "something else")


def test_the_custom_event(tmp_path: Path) -> None:
    parcel = tmp_path / "parcel.json"
    with example("webhook_receiver", "serve", "tour_04_own_event:hooks", cwd=tmp_path) as (url, process):
        parcel.write_text(
            '{"type": "parcel.delivered", "data": {"number": "P7", "delivered_at": "2026-07-14T12:00:00Z"}}'
        )
        assert send(f"{url}/webhooks", "--data", str(parcel)) == 0
        assert line_with(process, "arrived") == "P7 arrived on 14 July\n"
        parcel.write_text('{"type": "parcel.lost", "where": "at sea"}')
        assert send(f"{url}/webhooks", "--data", str(parcel)) == 0
        assert line_with(process, "a parcel is lost") == "a parcel is lost: {'where': 'at sea'}\n"
        parcel.write_text('{"type": "parcel.delivered", "data": {}}')
        assert send(f"{url}/webhooks", "--data", str(parcel)) == 1


def test_the_deployment_step_that_registers_the_webhook(tmp_path: Path) -> None:
    hooks = WebhookReceiver(secret=SECRETS["WEBHOOK_SECRET"])
    with serving(simulator_app(Simulator())) as api, serving(Starlette(routes=[hooks.route("/webhooks")])) as receiver:
        asks = {"UP42_URL": api, "UP42_USERNAME": "me", "UP42_PASSWORD": "anything"}
        command = [sys.executable, str(EXAMPLES / "tour_10_register_webhook.py"), f"{receiver}/webhooks"]

        def step(secret: str) -> subprocess.CompletedProcess[str]:
            environment = {**os.environ, **asks, "PYTHONPATH": str(ROOT), "WEBHOOK_SECRET": secret}
            return subprocess.run(
                command, env=environment, cwd=tmp_path, capture_output=True, timeout=60, check=False, text=True
            )

        first, again, badly = step("try-me"), step("try-me"), step("not the receiver's")
    assert [done.returncode for done in (first, again, badly)] == [0, 0, 1]
    assert re.fullmatch(r"webhook \S+: created\n1 of 1 test deliveries succeeded\n", first.stdout)
    assert again.stdout == first.stdout.replace("created", "unchanged")
    assert badly.stdout == first.stdout.replace("created", "updated").replace("1 of 1", "0 of 1")
    assert f"is the receiver up at {receiver}/webhooks" in badly.stderr


@contextmanager
def playing(folder: Path) -> Generator[dict[str, str]]:
    """Run the test server, with a receiver at a port that is free; yield the environment of that receiver."""
    port = free_port()
    with serving(simulator_app(Simulator(SimulatorOptions(retry=(0.2,) * 100)))) as url:
        api = {"UP42_URL": url, "UP42_USERNAME": "me", "UP42_PASSWORD": "anything"}

        async def create() -> None:
            async with WebhooksClient(url=url, username="me", password="anything") as client:
                secret = SECRETS["WEBHOOK_SECRET"]
                await client.create("images", f"http://127.0.0.1:{port}/webhooks", ["order.status"], secret=secret)

        asyncio.run(create())
        paths = {"IMAGES": str(folder / "images"), "PYTHONPATH": f"{ROOT}{os.pathsep}{EXAMPLES}"}
        yield {**SECRETS, **api, **paths, "PORT": str(port)}


def receiving(folder: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "webhook_receiver", "serve", "tour_11_download_when_fulfilled:hooks"),
            "--port",
            environment["PORT"],
        ],
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def fulfilled(environment: dict[str, str], **more: object) -> str:
    """Create an order that is fulfilled; return its id."""
    wanted = {"status": "FULFILLED", **more}
    (order,) = httpx.post(f"{environment['UP42_URL']}{control_api.ORDERS}", json=wanted).json()
    return str(order["id"])


def test_the_images_of_an_order_are_downloaded_and_again_is_nothing(tmp_path: Path) -> None:
    with playing(tmp_path) as environment:
        process = receiving(tmp_path, environment)
        try:
            printed(process, "Uvicorn running")
            order = fulfilled(environment, assets=2, assetSize=3_000_000)
            printed(process, f"order {order}: 2 in ")
            images = {path: path.stat().st_mtime_ns for path in (tmp_path / "images" / order).iterdir()}
            assert sorted(path.stat().st_size for path in images) == [3_000_000, 3_000_000]
            for path in images:
                assert path.read_bytes() == b"".join(content(path.name.partition(" ")[0], 0, 3_000_000))
            (listed,) = inbox_command("ls", f"sqlite:///{tmp_path}/hooks.db", "--json").splitlines()
            inbox_command("replay", f"sqlite:///{tmp_path}/hooks.db", json.loads(listed)["id"])
            printed(process, f"order {order}: 2 in ")
            assert {path: path.stat().st_mtime_ns for path in (tmp_path / "images" / order).iterdir()} == images
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=30)


def test_a_download_goes_on_where_a_killed_process_left_it(tmp_path: Path) -> None:
    size = 100_000_000
    with playing(tmp_path) as environment:
        process = receiving(tmp_path, environment)
        printed(process, "Uvicorn running")
        order = fulfilled(environment, assetSize=size)
        part = begun(tmp_path / "images" / order)
        process.kill()
        process.communicate(timeout=30)
        left = part.stat()
        assert 0 < left.st_size < size
        process = receiving(tmp_path, environment)
        try:
            printed(process, f"order {order}: 1 in ")
            (image,) = (tmp_path / "images" / order).iterdir()
            assert image.stat().st_ino == left.st_ino  # it was appended to, not begun anew
            assert image.read_bytes() == b"".join(content(part.stem, 0, size))
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=30)


def begun(folder: Path) -> Path:
    """Return the file that a download is written to, as soon as there is something in it."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for part in folder.glob("*.part"):
            if part.stat().st_size:
                return part
        threading.Event().wait(0.01)
    raise AssertionError("no download was begun")


def test_the_tests_of_handlers(tmp_path: Path) -> None:
    file = shutil.copy(EXAMPLES / "tour_12_test_handlers.py", tmp_path)
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:asyncio", "-p", "no:faker", file]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.splitlines()[-1].startswith("5 passed"), done.stdout
    assert not (tmp_path / "hooks.db").exists()


def post_as_told(file: str, url: str, cwd: Path, **secrets: str) -> str:
    """Run the lines of an example's header that post a delivery; return what they print."""
    told = EXAMPLES.joinpath(f"{file}.py").read_text(encoding="utf-8").split('"""')[1]
    (code,) = re.findall(r"<<'END'\n(.*?)^    END$", told, re.MULTILINE | re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-"],
        input=textwrap.dedent(code).replace("http://127.0.0.1:8000", url),
        cwd=cwd,
        env={**os.environ, **SECRETS, **secrets, "PYTHONPATH": f"{ROOT}{os.pathsep}{EXAMPLES}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def post(url: str, scheme: Scheme, document: object, **headers: str) -> int:
    """Send what another sender would; return the status."""
    body = json.dumps(document).encode()
    signed = scheme.sign(RequestHead.of(headers, target="/webhooks"), body, time.time())
    return httpx.post(f"{url}/webhooks", content=body, headers=list(signed.headers), trust_env=False).status_code


def test_github_webhooks(tmp_path: Path) -> None:
    with example("webhook_receiver", "serve", "tour_06_github:hooks", cwd=tmp_path) as (url, process):
        scheme = github("try-me").scheme
        assert post_as_told("tour_06_github", url, tmp_path) == "202\n"
        assert line_with(process, "GitHub knows") == "GitHub knows this receiver now\n"
        push = {"X-GitHub-Event": "push", "X-GitHub-Delivery": "2"}
        commits = [{"id": "6dcb09b", "message": "Fix all the bugs"}]
        document = {"ref": "refs/heads/main", "repository": {"full_name": "octocat/hello"}, "commits": commits}
        assert [post(url, scheme, document, **push) for _ in range(2)] == [202, 200]
        assert line_with(process, "octocat") == "octocat/hello has 1 new commits on refs/heads/main\n"
        assert post(url, github("another").scheme, document, **push) == 401


def test_standard_webhooks(tmp_path: Path) -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    created = {"type": "contact.created", "timestamp": "2022-11-03T20:26:10.344522Z", "data": {"id": "1f81eb52"}}
    command = ("webhook_receiver", "serve", "tour_07_standard_webhooks:hooks")
    with example(*command, cwd=tmp_path, WEBHOOK_SECRET=secret) as (url, process):
        assert [post(url, StandardWebhooks(secret), created, **{"webhook-id": "msg_7"}) for _ in range(2)] == [202, 200]
        assert line_with(process, "1f81eb52") == "contact 1f81eb52 was created on 03 November\n"
        assert post_as_told("tour_07_standard_webhooks", url, tmp_path, WEBHOOK_SECRET=secret) == "202\n"
        assert line_with(process, "1f81eb52") == "contact 1f81eb52 was created on 03 November\n"


def test_a_sender_of_ones_own(tmp_path: Path) -> None:
    scheme = HMACBody("try-me", signature="x-acme-signature")
    delivered = {"X-Acme-Event": "parcel.delivered"}
    with example("webhook_receiver", "serve", "tour_08_own_sender:hooks", cwd=tmp_path) as (url, process):
        assert post(url, scheme, {"parcel": {"number": "P8"}}, **delivered) == 200
        assert line_with(process, "P8") == "P8 was delivered\n"
        assert post_as_told("tour_08_own_sender", url, tmp_path) == "200\n"
        assert line_with(process, "P7") == "P7 was delivered\n"
        assert post(url, HMACBody("another", signature="x-acme-signature"), {}, **delivered) == 401


def test_middleware(tmp_path: Path) -> None:
    with example("webhook_receiver", "serve", "tour_09_middleware:hooks", cwd=tmp_path) as (url, process):
        assert send(f"{url}/webhooks", "--order-id", "o-7") == 0
        told = printed(process, "it is done").splitlines()[-3:]
    assert told == ["attempt 1 of tour_09_middleware:invoice begins", "invoiced: o-7", "it is done"]
    with closing(sqlite3.connect(tmp_path / "shop.db")) as shop:
        assert shop.execute("SELECT order_id FROM invoice").fetchall() == [("o-7",)]


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_an_example_is_short_and_tested(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").rpartition('"""\n\n')[2].splitlines()) < 60
    assert re.search(rf"\b{file.stem}(:|\.py)", Path(__file__).read_text(encoding="utf-8"))
    told = file.read_text(encoding="utf-8").split('"""')[1]
    assert re.search(rf"\b{file.stem}(:|\.py)", told), "it says how it is run"
    assert "Expect" in told, "it says what to expect"
    assert "In this folder, with the package and `[standard]`" in told, "it says where, and what it needs"
    assert told.count("webhook-receiver ") == told.count(" ../.venv/bin/webhook-receiver "), "it says by which one"


def test_the_examples_are_numbered_without_a_gap() -> None:
    numbers = [int(file.name.split("_")[1]) for file in sorted(EXAMPLES.glob("*.py"))]
    assert numbers == [*range(1, len(numbers) + 1)]
