"""`dev`: one command starts a receiver and a simulator, tells what goes between them, and ends both."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.test_commands import COMMAND, run
from tests.helpers import ROOT, SECRET, printed

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


@dataclass
class Dev:
    process: subprocess.Popen[str]
    url: str
    simulator: str

    def until(self, text: str) -> str:
        return printed(self.process, text)

    def documents(self) -> Iterator[dict[str, Any]]:
        while True:
            yield json.loads(printed(self.process, "{").splitlines()[-1])

    def order(self, status: str) -> None:
        assert run("order", "create", "--status", status, "--simulator", self.simulator).returncode == 0


def _ports() -> tuple[int, int]:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as another:
        return one.getsockname()[1], another.getsockname()[1]


@contextmanager
def dev(folder: Path, *options: str, **environment: str) -> Generator[Dev]:
    """Run it until this is left; then it has to end as it should on Ctrl-C, and leave no process."""
    port, simulator_port = _ports()
    process = subprocess.Popen(
        [*COMMAND, "dev", "app:hooks", "--port", str(port), "--simulator-port", str(simulator_port), *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if "--json" not in options else subprocess.DEVNULL,
        text=True,
    )
    ran = Dev(process, f"http://127.0.0.1:{port}", f"http://127.0.0.1:{simulator_port}")
    try:
        yield ran
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert process.returncode == 0
        for address in (ran.url, ran.simulator):
            with pytest.raises(httpx.ConnectError):
                httpx.get(address, trust_env=False)
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_it_tells_each_delivery_with_its_answer_its_handlers_and_their_time(tmp_path: Path) -> None:
    module(tmp_path)
    with dev(tmp_path) as loop:
        told = loop.until("1 of 1 succeeded")
        assert f"a simulator that delivers to it at {loop.simulator}" in told
        assert f"webhook-receiver order create --status FULFILLED --simulator {loop.simulator}" in told
        loop.order("FAILED_PERMANENTLY")
        told = loop.until("FAILED_PERMANENTLY: alert done after ")
        assert ": 202 in " in told
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


def test_a_receiver_with_another_secret_is_told_what_to_do(tmp_path: Path) -> None:
    module(tmp_path, secret='"another one, in the code"')
    with dev(tmp_path) as loop:
        told = loop.until("Take it from WEBHOOK_SECRET, or give --secret")
        assert "0 of 1 succeeded" in told
    with dev(tmp_path, "--secret", "another one, in the code") as loop:
        loop.until("1 of 1 succeeded")


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


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGHUP])
def test_other_ends_leave_no_process_either(tmp_path: Path, end: signal.Signals) -> None:
    module(tmp_path)
    with dev(tmp_path) as loop:
        loop.until("1 of 1 succeeded")
        loop.process.send_signal(end)
        loop.process.communicate(timeout=60)
        assert loop.process.returncode == 0


def test_a_receiver_that_ends_by_itself_ends_the_loop_with_1(tmp_path: Path) -> None:
    module(tmp_path)
    with tmp_path.joinpath("app.py").open("a", encoding="utf-8") as text:
        text.write("\nimport sys\nif sys.argv[1] == 'serve': raise SystemExit(3)\n")
    done = run("dev", "app:hooks", "--no-reload", *_on_free_ports(), cwd=tmp_path)
    assert done.returncode == 1
    assert "the receiver did not start" in done.stderr


def _on_free_ports() -> list[str]:
    port, simulator_port = _ports()
    return ["--port", str(port), "--simulator-port", str(simulator_port)]


def test_mistakes_are_told_before_anything_starts(tmp_path: Path) -> None:
    module(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert "Address already in use" in run("dev", "app:hooks", "--port", port, cwd=tmp_path).stderr
        assert "Address already in use" in run("dev", "app:hooks", "--simulator-port", port, cwd=tmp_path).stderr
    same = run("dev", "app:hooks", "--port", "8765", "--simulator-port", "8765", cwd=tmp_path)
    assert (same.returncode, "8765 is the receiver's: give it another one" in same.stderr) == (2, True)
    for arguments, said in [
        (["app:nothing"], "has nothing called nothing"),
        (["app:hooks", "--retry", "soon"], "'soon' is not a span of time"),
        (["app:hooks", "--secret", SECRET, "--unsigned"], "a receiver has a secret or none"),
    ]:
        done = run("dev", *arguments, *_on_free_ports(), cwd=tmp_path)
        assert done.returncode == 2
        assert said in " ".join(done.stderr.replace("│", " ").split())
    module(tmp_path, inbox="sqlite:////nowhere/hooks.db")
    done = run("dev", "app:hooks", *_on_free_ports(), cwd=tmp_path)
    assert (done.returncode, "app:hooks cannot start:" in done.stderr) == (1, True)
